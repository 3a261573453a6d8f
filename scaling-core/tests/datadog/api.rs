//! A strict stand-in for Datadog's timeseries query: it refuses what the real one refuses, and evaluates what it takes over stored values.
//!
//! Where each rule is from (pages of docs.datadoghq.com):
//!
//! | rule | source |
//! | --- | --- |
//! | `POST /api/v2/query/timeseries`; `data.type`, `data.attributes`, `from`, `to`, `queries` required; milliseconds; `data_source` an enum | API reference, "Query timeseries data across multiple products" |
//! | 400, 401, 403, 429 with `{"errors": [...]}` | the same page, responses |
//! | headers `DD-API-KEY` and `DD-APPLICATION-KEY` | API reference, "Authentication" |
//! | `Content-Type: application/json` | the code examples of the page; anything else is refused here with 415 |
//! | formulas refer to queries by name; a series says the index of its formula | the page, fields `formula` and `query_index` |
//! | `times` once for all series, in milliseconds; `values` by series, `null` where there is none | the page, response model |
//! | a larger interval than the one asked for where there would be more than 350 points | the page, field `interval`; page "Rollup" |
//! | buckets aligned to the epoch | page "Rollup" |
//! | `AGGREGATOR:METRIC{SCOPE} by {TAGS}` with `.fill(null)`, `.rollup(avg, N)`, `.as_rate()`; interpolation unless turned off | pages "Querying", "Interpolation and the Fill Modifier", "Metric Type Modifiers" |
//! | `X-RateLimit-Limit`, `-Period`, `-Remaining`, `-Reset` on 429 | page "Rate Limits" |
//! | a tag that a source has not is `N/A` in a group | page "Querying" |

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::server::{Reply, Seen, Server};

pub const API_KEY: &str = "0123456789abcdef-api";
pub const APP_KEY: &str = "0123456789abcdef-app";

/// One source of a metric.
#[derive(Clone, Debug)]
pub struct Stored {
    pub metric: &'static str,
    pub tags: Vec<(String, String)>,
    pub unit: Value,
    /// By start of the minute, in seconds. What is written as it is: a number, `null`, a text.
    pub values: BTreeMap<i64, Value>,
}

impl Stored {
    pub fn new(metric: &'static str, tags: &[(&str, &str)], unit: &str) -> Self {
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let unit = match unit.split_once('/') {
            Some((name, per)) => json!([{ "name": name, "family": "x" }, { "name": per, "family": "time" }]),
            None if unit.is_empty() => Value::Null,
            None => json!([{ "name": unit, "family": "x" }, null]),
        };
        Self { metric, tags, unit, values: BTreeMap::new() }
    }

    pub fn at(mut self, minutes: impl IntoIterator<Item = (i64, Value)>) -> Self {
        self.values.extend(minutes.into_iter().map(|(minute, value)| (minute * 60, value)));
        self
    }

    fn tag(&self, key: &str) -> &str {
        self.tags.iter().find(|(known, _)| known == key).map_or("N/A", |(_, value)| value)
    }
}

/// What the server does, changed while it runs.
#[derive(Debug, Default)]
pub struct World {
    pub stored: Vec<Stored>,
    /// Answers of these statuses come first; 200 stands for the true one.
    pub faults: Vec<(u16, String)>,
    /// Seconds until the limit is reset, in answers 429.
    pub reset: u64,
    /// Larger than what is asked for, in seconds.
    pub coarse: Option<i64>,
}

pub type Shared = Arc<Mutex<World>>;

pub async fn start(stored: Vec<Stored>) -> (Server, Shared) {
    let world = Arc::new(Mutex::new(World { stored, reset: 30, ..World::default() }));
    let shared = world.clone();
    (Server::start(move |seen, _| answer(seen, &mut world.lock().unwrap())).await, shared)
}

fn answer(seen: &Seen, world: &mut World) -> Reply {
    match handle(seen, world) {
        Ok(body) => Reply::answer(200, &[("content-type", "application/json")], body.to_string()),
        Err((429, error)) => {
            let reset = world.reset.to_string();
            let headers = [
                ("x-ratelimit-limit", "1600"),
                ("x-ratelimit-period", "3600"),
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", reset.as_str()),
            ];
            Reply::answer(429, &headers, json!({ "errors": [error] }).to_string())
        }
        Err((status, error)) => Reply::answer(status, &[], json!({ "errors": [error] }).to_string()),
    }
}

type Refusal = (u16, String);

fn bad(what: impl Into<String>) -> Refusal {
    (400, what.into())
}

fn handle(seen: &Seen, world: &mut World) -> Result<Value, Refusal> {
    let mut line = seen.line.split(' ');
    let (method, path) = (line.next().unwrap_or_default(), line.next().unwrap_or_default());
    if path != "/api/v2/query/timeseries" {
        return Err((404, "Not found".into()));
    }
    if method != "POST" {
        return Err((405, "Method not allowed".into()));
    }
    if seen.header("dd-api-key") != Some(API_KEY) {
        return Err((401, "Unauthorized".into()));
    }
    if seen.header("dd-application-key") != Some(APP_KEY) {
        return Err((403, "Forbidden".into()));
    }
    if seen.header("content-type") != Some("application/json") {
        return Err((415, "Unsupported media type".into()));
    }
    if !world.faults.is_empty() {
        let fault = world.faults.remove(0);
        if fault.0 != 200 {
            return Err(fault);
        }
    }
    let body: Value = serde_json::from_slice(&seen.body).map_err(|_| bad("Invalid JSON"))?;
    let data = &body["data"];
    if data["type"] != "timeseries_request" {
        return Err(bad("data.type must be timeseries_request"));
    }
    evaluate(&data["attributes"], world)
}

fn evaluate(attributes: &Value, world: &World) -> Result<Value, Refusal> {
    let known = ["formulas", "from", "interval", "queries", "to"];
    let fields = attributes.as_object().ok_or_else(|| bad("data.attributes is required"))?;
    if let Some(unknown) = fields.keys().find(|field| !known.contains(&field.as_str())) {
        return Err(bad(format!("unknown field {unknown}")));
    }
    let number = |field: &str| attributes[field].as_i64().ok_or_else(|| bad(format!("{field} must be an integer")));
    let (from, to) = (number("from")?, number("to")?);
    if from < 1_000_000_000_000 || to < from {
        return Err(bad("from and to are milliseconds since the epoch, from first"));
    }
    let asked = if fields.contains_key("interval") { number("interval")? } else { 60_000 };
    if asked <= 0 {
        return Err(bad("interval must be positive"));
    }
    let queries = attributes["queries"].as_array().filter(|queries| !queries.is_empty());
    let queries = queries.ok_or_else(|| bad("queries is required"))?;
    let mut by_name = BTreeMap::new();
    for query in queries {
        if !["metrics", "cloud_cost"].contains(&query["data_source"].as_str().unwrap_or_default()) {
            return Err(bad("unknown data_source"));
        }
        let (name, text) = (query["name"].as_str().unwrap_or_default(), query["query"].as_str().unwrap_or_default());
        by_name.insert(name, Expression::parse(text)?);
    }
    // Three hundred and fifty points a graph.
    let mut interval = world.coarse.map_or(asked, |coarse| asked.max(coarse * 1000));
    while (to - from) / interval > 350 {
        interval *= 5;
    }
    let formulas = attributes["formulas"].as_array().cloned().unwrap_or_default();
    let mut series = Vec::new();
    for (index, formula) in formulas.iter().enumerate() {
        let name = formula["formula"].as_str().unwrap_or_default();
        let query = by_name.get(name).ok_or_else(|| bad(format!("formula {name} refers to no query")))?;
        let groups = query.groups(world);
        series.extend(groups.into_iter().map(|(tags, sources)| (index, query, tags, sources)));
    }
    let starts: BTreeSet<i64> =
        (from.div_euclid(interval)..=(to - 1).div_euclid(interval)).map(|n| n * interval).collect();
    let starts: Vec<i64> = starts.into_iter().filter(|start| *start >= from - interval && *start < to).collect();
    let values: Vec<Vec<Value>> = series
        .iter()
        .map(|(_, query, _, sources)| starts.iter().map(|start| query.bucket(sources, *start, interval)).collect())
        .collect();
    let heads: Vec<Value> = series
        .iter()
        .map(|(index, query, tags, sources)| {
            let unit = sources.first().map_or(Value::Null, |source| query.unit(source));
            json!({ "group_tags": tags, "query_index": index, "unit": unit })
        })
        .collect();
    Ok(
        json!({ "data": { "type": "timeseries_response", "attributes": { "series": heads, "times": starts, "values": values } } }),
    )
}

struct Expression {
    space: String,
    metric: String,
    scope: Vec<(String, String)>,
    by: Vec<String>,
    is_rate: bool,
}

impl Expression {
    fn parse(text: &str) -> Result<Self, Refusal> {
        let fault = || bad(format!("Invalid query {text:?}"));
        let (space, rest) = text.split_once(':').ok_or_else(fault)?;
        if !["sum", "avg", "min", "max", "p50", "p95", "p99"].contains(&space) {
            return Err(bad(format!("unknown aggregator {space:?}")));
        }
        let (metric, rest) = rest.split_once('{').ok_or_else(fault)?;
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        if metric.is_empty() || !metric.chars().all(valid) {
            return Err(fault());
        }
        let (scope, rest) = rest.split_once('}').ok_or_else(fault)?;
        let scope = match scope {
            "*" => Vec::new(),
            "" => return Err(fault()),
            tags => {
                let tags = tags
                    .split(',')
                    .map(|tag| tag.split_once(':').map(|(key, value)| (key.to_owned(), value.to_owned())));
                tags.collect::<Option<Vec<_>>>().ok_or_else(fault)?
            }
        };
        let (by, rest) = match rest.strip_prefix(" by {") {
            Some(rest) => {
                let (by, rest) = rest.split_once('}').ok_or_else(fault)?;
                (by.split(',').map(str::to_owned).collect(), rest)
            }
            None => (Vec::new(), rest),
        };
        let is_rate = match rest {
            ".as_rate()" => true,
            "" => false,
            rest if rest.starts_with(".fill(null).rollup(avg, ") && rest.ends_with(')') => false,
            _ => return Err(fault()),
        };
        Ok(Self { space: space.into(), metric: metric.into(), scope, by, is_rate })
    }

    fn groups<'a>(&self, world: &'a World) -> BTreeMap<Vec<String>, Vec<&'a Stored>> {
        let mut groups: BTreeMap<Vec<String>, Vec<&Stored>> = BTreeMap::new();
        let fits = |stored: &&Stored| {
            stored.metric == self.metric && self.scope.iter().all(|(key, value)| stored.tag(key) == value)
        };
        for stored in world.stored.iter().filter(fits) {
            let tags = self.by.iter().map(|key| format!("{key}:{}", stored.tag(key))).collect();
            groups.entry(tags).or_default().push(stored);
        }
        groups
    }

    fn unit(&self, source: &Stored) -> Value {
        // As a rate, a count is per second.
        match (self.is_rate, source.unit[0].clone()) {
            (true, name) if !name.is_null() => json!([name, { "name": "second", "family": "time" }]),
            _ => source.unit.clone(),
        }
    }

    fn bucket(&self, sources: &[&Stored], start: i64, interval: i64) -> Value {
        let (from, to) = (start / 1000, (start + interval) / 1000);
        let held: Vec<&Value> =
            sources.iter().flat_map(|source| source.values.range(from..to)).map(|(_, value)| value).collect();
        if let Some(odd) = held.iter().find(|value| value.is_string()) {
            return (*odd).clone();
        }
        let minutes = (interval as f64 / 60_000.0).max(1.0);
        let numbers: Vec<f64> = held.iter().filter_map(|value| value.as_f64()).collect();
        if numbers.is_empty() {
            return Value::Null;
        }
        let sum: f64 = numbers.iter().sum();
        json!(match (self.space.as_str(), self.is_rate) {
            (_, true) => sum / (interval as f64 / 1000.0),
            ("sum", false) => sum / minutes,
            ("avg", false) => sum / numbers.len() as f64,
            ("min", false) => numbers.iter().copied().fold(f64::INFINITY, f64::min),
            _ => numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    }
}
