//! Secrets out of what a server answers, and answers into one short line.

use std::borrow::Cow;

use reqwest::header::HeaderMap;

/// What stands where a secret stood.
const REDACTED: &str = "[redacted]";

/// Shortest text that is taken for a secret, in bytes. A made-up key such as `none`, for a server that wants none, is a word that answers
/// hold for other reasons.
const SHORTEST: usize = 6;

/// Longest excerpt of a body in an error, in characters.
const EXCERPT: usize = 200;

/// The secrets that went out with a request, in the forms in which a server may repeat them.
#[derive(Clone, Default)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    /// Takes the values of all headers that are marked sensitive: whole, and without the scheme (`Bearer`) in front.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut secrets = Self::default();
        for value in headers.values().filter(|value| value.is_sensitive()) {
            let Ok(text) = value.to_str() else { continue };
            secrets.add(text);
            if let Some((_, credential)) = text.split_once(' ') {
                secrets.add(credential.trim());
            }
        }
        secrets
    }

    /// Adds a secret as it is, as it stands in a JSON string, in a form, and in the host of an address, which is written small.
    /// One of fewer than six bytes is left alone.
    pub(super) fn add(&mut self, secret: &str) {
        if secret.len() < SHORTEST {
            return;
        }
        let json = serde_json::to_string(secret).unwrap_or_default();
        let json = json.get(1..json.len().saturating_sub(1)).unwrap_or_default();
        let form = reqwest::Url::parse_with_params("http://h/", [("", secret)]);
        let form = form.ok().and_then(|url| Some(url.query()?.trim_start_matches('=').to_owned())).unwrap_or_default();
        let small = secret.to_ascii_lowercase();
        self.0.extend([secret, json, &form, &small].into_iter().filter(|form| !form.is_empty()).map(str::to_owned));
        // A longer one first: it may contain a shorter one.
        self.0.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        self.0.dedup();
    }

    /// Returns the text without secrets; where it was `cut`, also without the beginning of one at its end.
    pub(super) fn removed<'a>(&self, text: &'a str, cut: bool) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for secret in &self.0 {
            if text.contains(secret.as_str()) {
                text = Cow::Owned(text.replace(secret.as_str(), REDACTED));
            }
        }
        if cut {
            let begun = self.0.iter().filter_map(|secret| {
                let beginnings = secret.char_indices().skip(1).filter_map(|(end, _)| secret.get(..end));
                beginnings.filter(|begin| text.ends_with(begin)).map(str::len).max()
            });
            if let Some(begun) = begun.max() {
                text = Cow::Owned(text.get(..text.len() - begun).unwrap_or_default().to_owned());
            }
        }
        text
    }
}

/// The start of a text on one line, without control characters and repeated white space.
pub(super) fn excerpt(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > EXCERPT * 4 {
            break;
        }
    }
    match line.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(all: &[&str]) -> Secrets {
        let mut secrets = Secrets::default();
        for secret in all {
            secrets.add(secret);
        }
        secrets
    }

    #[test]
    fn a_secret_is_cut_out_in_every_form_in_which_it_may_be_repeated() {
        let secrets = secrets(&["p\"ss w&rd", "p\"ss w&", "none"]);
        assert_eq!(secrets.removed("none is left", false), "none is left");
        for repeated in ["p\"ss w&rd", "p\\\"ss w&rd", "p%22ss+w%26rd"] {
            let text = format!("you sent {repeated}, which is wrong");
            assert_eq!(secrets.removed(&text, false), format!("you sent {REDACTED}, which is wrong"));
        }
    }

    #[test]
    fn a_secret_in_the_host_of_an_address_is_cut_out() {
        assert_eq!(secrets(&["sk-Ab-Cdef"]).removed("http://sk-ab-cdef:80", false), format!("http://{REDACTED}:80"));
    }

    #[test]
    fn the_beginning_of_a_secret_at_the_end_of_a_cut_text_goes_too() {
        let secrets = secrets(&["abcdefgh"]);
        assert_eq!(secrets.removed("xabcde", true), "x");
        assert_eq!(secrets.removed("xabcde", false), "xabcde");
        assert_eq!(secrets.removed("xabcdefghabc", true), format!("x{REDACTED}"));
    }

    #[test]
    fn an_excerpt_is_one_short_line() {
        assert_eq!(excerpt("  a\r\n\tb\u{1b}[31m c\0 "), "a b [31m c");
        let long = excerpt(&"ä".repeat(1000));
        assert_eq!((long.chars().count(), long.ends_with('…')), (EXCERPT + 1, true));
        assert_eq!(excerpt(&"word ".repeat(1000)).chars().count(), EXCERPT + 1);
    }
}
