//! From templates to requests, purely: names become regular expressions, and a fleet becomes as few queries as fit.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::query_set::QuerySet;
use super::template::{Measure, NamedBy, QueryTemplate};
use crate::http::{Endpoint, HttpRequest};
use crate::target::Target;

/// Matches every value, and labels that are not there: as good as no matcher.
const ANY: &str = ".*";

/// A query as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Place of its template in the set's order.
    pub(super) template: usize,
    /// What it measures.
    pub measure: Measure,
    /// The text.
    pub promql: String,
    /// Namespaces that it asks for; all if `None`.
    pub(super) namespaces: Option<BTreeSet<String>>,
}

impl Query {
    /// True if its answer speaks of a target.
    pub(super) fn covers(&self, target: &Target) -> bool {
        self.namespaces.as_ref().is_none_or(|namespaces| namespaces.contains(&target.namespace))
    }
}

/// Names to ask for: none means all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Names<'a> {
    pub(super) namespaces: Option<&'a BTreeSet<&'a str>>,
    pub(super) workloads: Option<&'a BTreeSet<&'a str>>,
}

/// Writes a text as a regular expression (RE2) that matches it and nothing else, and that as a string in double quotes.
///
/// ```
/// use scaling_core::source::prometheus::escaped;
/// assert_eq!(escaped("shop.v2"), r"shop\\.v2");
/// assert_eq!(escaped("a\"|b"), r#"a\"\\|b"#);
/// ```
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            // An escaping backslash is itself escaped in the string.
            '.' | '+' | '*' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$' => {
                out.push_str("\\\\");
                out.push(c);
            }
            '\\' => out.push_str("\\\\\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c => out.push(c),
        }
    }
    out
}

/// Writes a text as a string in double quotes.
pub(super) fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r")
}

fn alternation(names: Option<&BTreeSet<&str>>) -> String {
    names.map_or_else(|| ANY.to_owned(), |names| names.iter().map(|name| escaped(name)).collect::<Vec<_>>().join("|"))
}

/// Puts names and settings into a template.
pub(super) fn rendered(set: &QuerySet, template: &QueryTemplate, names: Names<'_>) -> String {
    let matcher = |(label, value): &(String, String)| format!(",{label}=\"{}\"", quoted(value));
    let matchers = set.matchers.iter().map(matcher).collect::<Vec<_>>().concat();
    let seconds = |time: Duration| format!("{}s", time.as_secs().max(1));
    let values = [
        ("{namespace}", alternation(names.namespaces)),
        ("{workload}", alternation(names.workloads)),
        ("{namespace_label}", template.namespace_label.clone()),
        ("{workload_label}", template.workload_label.clone()),
        ("{matchers}", matchers),
        ("{window}", seconds(set.window)),
        ("{fresh}", seconds(set.fresh)),
        ("{quantile}", set.quantile.to_string()),
    ];
    // In one pass: a name that looks like a placeholder is not replaced again.
    let mut out = String::with_capacity(template.promql.len() * 2);
    let mut rest = template.promql.as_str();
    while let Some(begin) = rest.find('{') {
        let (before, from) = rest.split_at(begin);
        out.push_str(before);
        if let Some((placeholder, value)) = values.iter().find(|(placeholder, _)| from.starts_with(placeholder)) {
            out.push_str(value);
            rest = from.get(placeholder.len()..).unwrap_or_default();
        } else {
            out.push('{');
            rest = from.get(1..).unwrap_or_default();
        }
    }
    out.push_str(rest);
    out
}

/// The name in the label that tells workloads apart.
pub(super) fn label_of<'a>(set: &'a QuerySet, template: &QueryTemplate, target: &'a Target) -> &'a str {
    match template.named_by {
        NamedBy::Workload => &target.name,
        NamedBy::Service => set.service(target),
    }
}

/// Plans the queries for a fleet: by name if all names fit into `longest` bytes; by namespace otherwise, in as few as fit; and if even
/// that were more than `most` in all, for the whole server. What comes back beyond the fleet is left aside.
pub fn plan(set: &QuerySet, targets: &[Target], longest: usize, most: usize) -> Vec<Query> {
    let templates: Vec<&QueryTemplate> = set.templates().collect();
    let namespaces: BTreeSet<&str> = targets.iter().map(|target| target.namespace.as_str()).collect();
    let most_each = (most / templates.len().max(1)).max(1);
    let of_template = |(index, template): (usize, &&QueryTemplate)| {
        let workloads: BTreeSet<&str> = targets.iter().map(|target| label_of(set, template, target)).collect();
        let by_name = rendered(set, template, Names { namespaces: Some(&namespaces), workloads: Some(&workloads) });
        let chunks = if by_name.len() <= longest {
            vec![(by_name, None)]
        } else {
            let chunks = by_namespace(set, template, &namespaces, longest);
            if chunks.len() <= most_each { chunks } else { vec![(rendered(set, template, Names::default()), None)] }
        };
        let query =
            move |(promql, namespaces)| Query { template: index, measure: template.measure, promql, namespaces };
        chunks.into_iter().map(query).collect::<Vec<_>>()
    };
    if targets.is_empty() { Vec::new() } else { templates.iter().enumerate().flat_map(of_template).collect() }
}

/// Queries for all workloads of some namespaces each, with those namespaces.
fn by_namespace(
    set: &QuerySet,
    template: &QueryTemplate,
    namespaces: &BTreeSet<&str>,
    longest: usize,
) -> Vec<(String, Option<BTreeSet<String>>)> {
    let write = |names: &BTreeSet<&str>| rendered(set, template, Names { namespaces: Some(names), workloads: None });
    let chunk = |names: &BTreeSet<&str>| (write(names), Some(names.iter().map(ToString::to_string).collect()));
    let mut chunks = Vec::new();
    let mut names = BTreeSet::new();
    for namespace in namespaces {
        names.insert(*namespace);
        if names.len() > 1 && write(&names).len() > longest {
            names.remove(namespace);
            chunks.push(chunk(&names));
            names = BTreeSet::from([*namespace]);
        }
    }
    if !names.is_empty() {
        chunks.push(chunk(&names));
    }
    chunks
}

/// Instants as the API reads them: seconds, with milliseconds where there are any.
fn seconds(at: DateTime<Utc>) -> String {
    let ms = at.timestamp_millis();
    match ms.rem_euclid(1000) {
        0 => ms.div_euclid(1000).to_string(),
        fraction => format!("{}.{fraction:03}", ms.div_euclid(1000)),
    }
}

/// The request for the value of a query at an instant. A form, because long queries do not fit into an address.
pub fn instant(endpoint: &Endpoint, promql: &str, at: DateTime<Utc>, timeout: Duration) -> HttpRequest {
    let (at, timeout) = (seconds(at), format!("{}s", timeout.as_secs().max(1)));
    let fields = [("query", promql), ("time", &at), ("timeout", &timeout)];
    HttpRequest::post_form(endpoint.join("api/v1/query"), fields).repeatable(true)
}

/// The request for the values of a query from `start` to `end`, both included, `step` apart.
pub fn range(
    endpoint: &Endpoint,
    promql: &str,
    (start, end): (DateTime<Utc>, DateTime<Utc>),
    step: Duration,
    timeout: Duration,
) -> HttpRequest {
    let (start, end, step) = (seconds(start), seconds(end), step.as_secs().max(1).to_string());
    let timeout = format!("{}s", timeout.as_secs().max(1));
    let fields = [("query", promql), ("start", &start), ("end", &end), ("step", &step), ("timeout", &timeout)];
    HttpRequest::post_form(endpoint.join("api/v1/query_range"), fields).repeatable(true)
}
