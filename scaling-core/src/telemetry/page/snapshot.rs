//! [`snapshot`]: the page as one file, with what it shows inside.

use std::collections::BTreeMap;
use std::fmt::Write;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::{HTML, SCRIPT, STYLE, compared};
use crate::target::Target;
use crate::telemetry::board::Board;

/// Writes the page as one file that needs no server: the list, and these workloads in full. For a ticket, or a look later.
///
/// `taken` is the time that it is taken to be.
///
/// ```
/// use scaling_core::chrono::DateTime;
/// use scaling_core::telemetry::{Board, page};
///
/// let html = page::snapshot(&Board::new(), &[], DateTime::UNIX_EPOCH);
/// assert!(html.starts_with("<!doctype html>") && !html.contains(" src="));
/// ```
pub fn snapshot(board: &Board, targets: &[Target], taken: DateTime<Utc>) -> String {
    let mut answers: BTreeMap<String, Value> = BTreeMap::new();
    answers.insert("api/targets".to_owned(), json!(board.overview()));
    for target in targets {
        if let Some(view) = board.target(target) {
            let (path, query) = address(target);
            answers.insert(format!("api/targets/{path}{query}"), json!(view));
            answers.insert(format!("api/targets/{path}/savings{query}"), compared(board, target));
        }
    }
    let data = json!({ "taken": taken.to_rfc3339_opts(SecondsFormat::Secs, true), "answers": answers });
    // A `<` in a name must not end the script.
    let data = data.to_string().replace('<', "\\u003c");
    let inside = format!(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'unsafe-inline'; \
         style-src 'unsafe-inline'; img-src data:\">\n<style>\n{}</style>",
        STYLE.as_str()
    );
    let scripts = format!(
        "<script type=\"application/json\" id=\"snapshot\">{data}</script>\n<script>\n{}</script>\n</body>",
        SCRIPT.as_str()
    );
    HTML.replace("<link rel=\"stylesheet\" href=\"page.css\">", &inside)
        .replace("<script src=\"page.js\" defer></script>\n", "")
        .replace("</body>", &scripts)
}

/// A workload's address, as the page's script writes it: what is as usual is left out.
fn address(target: &Target) -> (String, String) {
    let said = [
        ("kind", (target.kind != "Deployment").then_some(&target.kind)),
        ("hpa", (target.hpa != target.name).then_some(&target.hpa)),
        ("cluster", target.cluster.as_ref()),
    ];
    let said = said.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", encoded(value?))));
    let said: Vec<_> = said.collect();
    let query = if said.is_empty() { String::new() } else { format!("?{}", said.join("&")) };
    (format!("{}/{}", encoded(&target.namespace), encoded(&target.name)), query)
}

/// Text in an address, as the script's `encodeURIComponent` writes it.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            let _ = write!(encoded, "{byte:02X}");
        }
    }
    encoded
}
