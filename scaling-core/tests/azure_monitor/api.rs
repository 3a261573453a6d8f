//! A strict stand-in for the metrics APIs of Azure Monitor: it refuses what the real ones refuse, and answers from stored values.
//!
//! Where each rule is from ("specs" is the repository `Azure/azure-rest-api-specs`, the pages are those of Azure Monitor's documentation):
//!
//! | rule | source |
//! | --- | --- |
//! | `GET RESOURCE/providers/Microsoft.Insights/metrics`; `timespan` is `START/END`; `interval` a time grain; `$filter`, `top` | specs, `metrics_API.json` 2024-02-01; page "Azure monitoring REST API walkthrough" |
//! | at most 20 names; `top` only with a filter, 10 by default | specs, `metrics_API.json` |
//! | without or with an unknown `api-version`: 400 | page "Azure Resource Manager REST", error codes `MissingApiVersionParameter`, `InvalidApiVersionParameter` |
//! | `POST subscriptions/ID/metrics:getBatch`; `starttime`, `endtime`, `filter`; `metricnamespace` and `metricnames` required | specs, `metricBatch.json` 2024-02-01 |
//! | at most 50 resources, of one subscription and type; `resourceids` in lower case; no `timespan`, no `$filter` | page "Migrate from the metrics API to the getBatch API" |
//! | errors as `{"code", "message"}`, of a batch inside `"error"` | the same page |
//! | one wildcard in a filter | page "Azure monitoring REST API walkthrough", "Retrieve dimension values" |
//! | unknown metrics, aggregations, dimensions and time grains are refused with those that there are | specs, example `GetMetricError.json`; page "getBatch", "Error response changes" |
//! | no data is `"timeseries": []`; a bucket without a value has its `timeStamp` alone | page "getBatch", "Troubleshooting"; page "Metrics aggregation and display explained" |
//! | names of dimensions come back in lower case, ids in the service's own case | the pages' examples |
//! | bearer token, else 401; other audience, else 401 | page "walkthrough", "Authenticate" |
//! | 529 when the backend is overloaded | page "walkthrough", "Troubleshooting" |

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use scaling_core::chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use crate::server::{Reply, Seen, Server};

pub const TOKEN: &str = "ey0123456789abcdef-token";

/// A metric that a type of resource has (tables "Supported metrics").
struct Known {
    kind: &'static str,
    name: &'static str,
    unit: &'static str,
    aggregations: &'static [&'static str],
    dimensions: &'static [&'static str],
    grains: &'static [&'static str],
}

const MINUTE: &[&str] = &["PT1M"];
const UP_TO_12_H: &[&str] = &["PT1M", "PT5M", "PT15M", "PT30M", "PT1H", "PT6H", "PT12H"];
const POOL: &[&str] = &["Listener", "BackendServer", "BackendPool", "BackendHttpSetting"];
const GATEWAY: &str = "microsoft.network/applicationgateways";

const METRICS: &[Known] = &[
    Known {
        kind: GATEWAY,
        name: "BackendResponseStatus",
        unit: "Count",
        aggregations: &["total"],
        dimensions: &["BackendServer", "BackendPool", "BackendHttpSetting", "HttpStatusGroup"],
        grains: MINUTE,
    },
    Known {
        kind: GATEWAY,
        name: "BackendLastByteResponseTime",
        unit: "MilliSeconds",
        aggregations: &["average", "maximum"],
        dimensions: POOL,
        grains: MINUTE,
    },
    Known {
        kind: "microsoft.containerservice/managedclusters",
        name: "kube_pod_status_ready",
        unit: "Count",
        aggregations: &["total", "average"],
        dimensions: &["namespace", "pod", "condition"],
        grains: UP_TO_12_H,
    },
    Known {
        kind: "microsoft.servicebus/namespaces",
        name: "ActiveMessages",
        unit: "Count",
        aggregations: &["average", "minimum", "maximum"],
        dimensions: &["EntityName"],
        grains: MINUTE,
    },
];

/// One series as it is stored.
#[derive(Clone, Debug)]
pub struct Stored {
    pub resource: String,
    pub metric: &'static str,
    pub dimensions: Vec<(&'static str, String)>,
    /// By minute since the epoch: the fields of the bucket.
    pub values: BTreeMap<i64, Value>,
}

/// What the server does, changed while it runs.
#[derive(Debug, Default)]
pub struct World {
    pub stored: Vec<Stored>,
    /// Answers of these statuses come first.
    pub faults: Vec<u16>,
    /// Units that are reported instead of the right ones.
    pub units: HashMap<&'static str, &'static str>,
    /// Metrics that fail inside of an answer.
    pub failing: Vec<&'static str>,
    /// A metric whose calls are never answered.
    pub silent: Option<&'static str>,
}

pub type Shared = Arc<Mutex<World>>;

pub async fn start(stored: Vec<Stored>) -> (Server, Shared) {
    let world = Arc::new(Mutex::new(World { stored, ..World::default() }));
    let shared = world.clone();
    (Server::start(move |seen, _| answer(seen, &mut world.lock().unwrap())).await, shared)
}

type Refusal = (u16, &'static str, String);

fn bad(what: impl Into<String>) -> Refusal {
    (400, "BadRequest", what.into())
}

fn answer(seen: &Seen, world: &mut World) -> Reply {
    let target = seen.line.split(' ').nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let is_batch = path.ends_with("metrics:getBatch");
    if world.silent.is_some_and(|metric| query.contains(metric)) {
        return Reply::Hang;
    }
    match handle(seen, path, query, is_batch, world) {
        Ok(body) => Reply::answer(200, &[("content-type", "application/json")], body.to_string()),
        Err((status, code, message)) => {
            let error = json!({ "code": code, "message": message });
            let body = if is_batch { json!({ "error": error }) } else { error };
            Reply::answer(status, &[], body.to_string())
        }
    }
}

fn handle(seen: &Seen, path: &str, query: &str, is_batch: bool, world: &mut World) -> Result<Value, Refusal> {
    if seen.header("authorization") != Some(&format!("Bearer {TOKEN}")) {
        return Err((401, "AuthenticationFailed", "Authentication failed.".into()));
    }
    if !world.faults.is_empty() {
        return Err((world.faults.remove(0), "Fault", format!("no {TOKEN}")));
    }
    let parameters = parameters(query)?;
    let get = |name: &str| parameters.get(name).map(String::as_str);
    match get("api-version") {
        None => return Err((400, "MissingApiVersionParameter", "The api-version query parameter is required".into())),
        Some("2018-01-01" | "2019-07-01" | "2021-05-01" | "2023-10-01" | "2024-02-01") => {}
        Some(_) => return Err((400, "InvalidApiVersionParameter", "The api-version is invalid".into())),
    }
    let method = seen.line.split(' ').next().unwrap_or_default();
    if is_batch { batch(seen, path, method, &parameters, world) } else { single(path, method, &parameters, world) }
}

type Parameters = HashMap<String, String>;

fn single(path: &str, method: &str, parameters: &Parameters, world: &World) -> Result<Value, Refusal> {
    let lower = path.to_ascii_lowercase();
    let resource = lower.strip_suffix("/providers/microsoft.insights/metrics").filter(|_| method == "GET");
    let resource = resource.ok_or_else(|| (404, "NotFound", "no such API".to_owned()))?;
    if !world.stored.iter().any(|stored| stored.resource.eq_ignore_ascii_case(resource)) {
        return Err((404, "ResourceNotFound", "The Resource was not found.".into()));
    }
    let allowed = [
        "api-version",
        "timespan",
        "interval",
        "metricnames",
        "metricnamespace",
        "aggregation",
        "$filter",
        "top",
        "orderby",
        "resultType",
        "AutoAdjustTimegrain",
        "ValidateDimensions",
        "rollupby",
    ];
    only(parameters, &allowed)?;
    let (from, to) = parameters.get("timespan").and_then(|span| span.split_once('/')).ok_or_else(|| bad("timespan"))?;
    let question = question(parameters, "$filter", time(from)?, time(to)?)?;
    let mut answer = question.metrics(resource, world)?;
    answer.insert("timespan".into(), json!(format!("{from}/{to}")));
    Ok(Value::Object(answer))
}

fn batch(seen: &Seen, path: &str, method: &str, parameters: &Parameters, world: &World) -> Result<Value, Refusal> {
    if method != "POST" {
        return Err((405, "MethodNotAllowed", "POST".into()));
    }
    if seen.header("content-type") != Some("application/json") {
        return Err((415, "UnsupportedMediaType", "application/json".into()));
    }
    let allowed = [
        "api-version",
        "starttime",
        "endtime",
        "interval",
        "metricnames",
        "metricnamespace",
        "aggregation",
        "filter",
        "top",
        "orderby",
        "rollupby",
    ];
    only(parameters, &allowed)?;
    let subscription = path.split('/').nth(2).unwrap_or_default();
    let body: Value = serde_json::from_slice(&seen.body).map_err(|_| bad("the body is no JSON"))?;
    let ids = body["resourceids"].as_array().ok_or_else(|| bad("resourceids is required"))?;
    let ids: Vec<&str> = ids.iter().filter_map(Value::as_str).collect();
    if ids.is_empty() || ids.len() > 50 {
        return Err(bad("1 to 50 resource ids"));
    }
    let kind = parameters.get("metricnamespace").ok_or_else(|| bad("metricnamespace is required"))?;
    let fits = |id: &&str| id.split('/').nth(2) == Some(subscription) && kind_of(id).eq_ignore_ascii_case(kind);
    if !ids.iter().all(fits) {
        return Err(bad("resources must be of one subscription and type"));
    }
    let bound =
        |name: &str| parameters.get(name).ok_or_else(|| bad(format!("{name} is required"))).and_then(|at| time(at));
    let question = question(parameters, "filter", bound("starttime")?, bound("endtime")?)?;
    let mut values = Vec::new();
    for id in ids {
        let mut answer = question.metrics(id, world)?;
        // The service writes ids in their own case.
        answer.insert("resourceid".into(), json!(id.replace("resourcegroups", "resourceGroups")));
        answer.insert("starttime".into(), json!("x"));
        values.push(Value::Object(answer));
    }
    Ok(json!({ "values": values }))
}

fn only(parameters: &Parameters, allowed: &[&str]) -> Result<(), Refusal> {
    match parameters.keys().find(|name| !allowed.contains(&name.as_str())) {
        Some(name) => Err(bad(format!("unknown parameter {name}"))),
        None => Ok(()),
    }
}

fn kind_of(id: &str) -> String {
    let parts: Vec<&str> = id.split('/').collect();
    format!("{}/{}", parts.get(6).unwrap_or(&""), parts.get(7).unwrap_or(&""))
}

struct Question {
    names: Vec<String>,
    aggregation: String,
    filter: Vec<(String, String)>,
    interval: String,
    minutes: i64,
    top: usize,
    from: i64,
    to: i64,
}

fn question(parameters: &Parameters, filter_name: &str, from: i64, to: i64) -> Result<Question, Refusal> {
    let get = |name: &str| parameters.get(name).cloned();
    let names: Vec<String> =
        get("metricnames").ok_or_else(|| bad("metricnames"))?.split(',').map(str::to_owned).collect();
    if names.len() > 20 {
        return Err(bad("at most 20 metric names"));
    }
    let aggregation = get("aggregation").unwrap_or_else(|| "average".into()).to_ascii_lowercase();
    let filter = filter(&get(filter_name).unwrap_or_default())?;
    if filter.iter().filter(|(_, value)| value == "*").count() > 1 {
        return Err(bad("only one dimension may have a wildcard"));
    }
    let top = match get("top") {
        Some(_) if filter.is_empty() => return Err(bad("top is valid only with a filter")),
        Some(top) => top.parse().map_err(|_| bad("top is no number"))?,
        None => 10,
    };
    let interval = get("interval").unwrap_or_else(|| "PT1M".into());
    let lengths = [
        ("PT1M", 1),
        ("PT5M", 5),
        ("PT15M", 15),
        ("PT30M", 30),
        ("PT1H", 60),
        ("PT6H", 360),
        ("PT12H", 720),
        ("P1D", 1440),
    ];
    let minutes = lengths.iter().find(|(name, _)| *name == interval).map(|(_, minutes)| *minutes);
    let minutes = minutes.ok_or_else(|| bad(format!("Invalid time grain duration: {interval}")))?;
    if to <= from {
        return Err(bad("the end of the time span is not after its start"));
    }
    Ok(Question { names, aggregation, filter, interval, minutes, top, from, to })
}

impl Question {
    fn metrics(&self, resource: &str, world: &World) -> Result<Map<String, Value>, Refusal> {
        let mut metrics = Vec::new();
        for name in &self.names {
            let known = METRICS.iter().find(|known| {
                known.name.eq_ignore_ascii_case(name) && known.kind == kind_of(resource).to_ascii_lowercase()
            });
            let known = known.ok_or_else(|| bad(format!("Failed to find metric configuration for metric: {name}")))?;
            if !known.aggregations.contains(&self.aggregation.as_str()) {
                return Err(bad(format!("Metric: {name} does not support aggregation {}", self.aggregation)));
            }
            if !known.grains.contains(&self.interval.as_str()) {
                return Err(bad(format!("can not support requested time grain: {}", self.interval)));
            }
            let unknown = self
                .filter
                .iter()
                .find(|(name, _)| !known.dimensions.iter().any(|known| known.eq_ignore_ascii_case(name)));
            if let Some((dimension, _)) = unknown {
                return Err(bad(format!(
                    "Metric: {name} does not support requested dimension combination: {dimension}"
                )));
            }
            let failing = world.failing.contains(&known.name);
            let series = if failing { Vec::new() } else { self.series(resource, known, world) };
            metrics.push(json!({
                "id": format!("{resource}/providers/Microsoft.Insights/metrics/{name}"),
                "type": "Microsoft.Insights/metrics",
                "name": { "value": known.name, "localizedValue": known.name },
                "unit": world.units.get(known.name).unwrap_or(&known.unit),
                "timeseries": series,
                "errorCode": if failing { "Throttled" } else { "Success" },
            }));
        }
        let mut answer = Map::new();
        answer.insert("cost".into(), json!(0));
        answer.insert("interval".into(), json!(self.interval));
        answer.insert("value".into(), json!(metrics));
        Ok(answer)
    }

    fn series(&self, resource: &str, known: &Known, world: &World) -> Vec<Value> {
        let fits = |stored: &&Stored| {
            stored.metric == known.name
                && stored.resource.eq_ignore_ascii_case(resource)
                && self.filter.iter().all(|(name, wanted)| {
                    let value = stored.dimensions.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
                    value.is_some_and(|(_, value)| wanted == "*" || value.eq_ignore_ascii_case(wanted))
                })
        };
        // What is not asked for by a filter is added up.
        let mut groups: BTreeMap<Vec<(String, String)>, Vec<&Stored>> = BTreeMap::new();
        for stored in world.stored.iter().filter(fits) {
            let value = |name: &str| {
                stored
                    .dimensions
                    .iter()
                    .find(|(known, _)| known.eq_ignore_ascii_case(name))
                    .map(|(_, value)| value.clone())
            };
            let key =
                self.filter.iter().filter_map(|(name, _)| Some((name.to_ascii_lowercase(), value(name)?))).collect();
            groups.entry(key).or_default().push(stored);
        }
        let in_range = |stored: &&Stored| stored.values.range(self.from..self.to).next().is_some();
        groups.retain(|_, stored| stored.iter().any(in_range));
        let write = |(key, stored): (Vec<(String, String)>, Vec<&Stored>)| {
            let dimensions: Vec<Value> = key
                .iter()
                .map(|(name, value)| json!({ "name": { "value": name, "localizedValue": name }, "value": value }))
                .collect();
            json!({ "metadatavalues": dimensions, "data": self.data(&stored) })
        };
        groups.into_iter().take(self.top).map(write).collect()
    }

    fn data(&self, stored: &[&Stored]) -> Vec<Value> {
        let mut starts = self.from.div_euclid(self.minutes) * self.minutes;
        let mut data = Vec::new();
        while starts < self.to {
            let mut bucket =
                json!({ "timeStamp": DateTime::<Utc>::from_timestamp(starts * 60, 0).unwrap().to_rfc3339() });
            let held: Vec<&Value> = stored
                .iter()
                .flat_map(|one| one.values.range(starts..starts + self.minutes))
                .map(|(_, value)| value)
                .collect();
            let numbers: Vec<f64> = held.iter().filter_map(|value| value[&self.aggregation].as_f64()).collect();
            let sum: f64 = numbers.iter().sum();
            if !numbers.is_empty() {
                bucket[&self.aggregation] =
                    json!(if self.aggregation == "average" { sum / numbers.len() as f64 } else { sum });
            } else if let Some(odd) = held.iter().find_map(|value| value.get(&self.aggregation)) {
                bucket[&self.aggregation] = odd.clone();
            }
            if let Some(count) = held.iter().find_map(|value| value.get("count")) {
                bucket["count"] = count.clone();
            }
            data.push(bucket);
            starts += self.minutes;
        }
        data
    }
}

/// `A eq 'x' and B eq '*'`, quotes doubled inside.
fn filter(text: &str) -> Result<Vec<(String, String)>, Refusal> {
    let mut terms = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = rest.split_once(" eq '").ok_or_else(|| bad("invalid filter"))?;
        let mut value = String::new();
        let mut chars = after.char_indices().peekable();
        let end = loop {
            match chars.next() {
                Some((_, '\'')) if chars.peek().is_some_and(|(_, next)| *next == '\'') => {
                    chars.next();
                    value.push('\'');
                }
                Some((at, '\'')) => break at,
                Some((_, c)) => value.push(c),
                None => return Err(bad("invalid filter")),
            }
        };
        terms.push((name.to_owned(), value));
        rest = after.get(end + 1..).unwrap_or_default();
        rest = rest.strip_prefix(" and ").unwrap_or(rest);
    }
    Ok(terms)
}

/// `2023-11-14T22:14:00Z`, with or without milliseconds; as minutes since the epoch.
fn time(text: &str) -> Result<i64, Refusal> {
    let read = DateTime::parse_from_rfc3339(text).map_err(|_| bad(format!("invalid time {text:?}")))?;
    Ok(read.timestamp().div_euclid(60))
}

/// Decodes a query as RFC 3986 has it: `+` is a plus sign.
fn parameters(query: &str) -> Result<Parameters, Refusal> {
    let decode = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            if byte == b'%' {
                let digits = [rest.next().unwrap_or_default(), rest.next().unwrap_or_default()];
                let digits = std::str::from_utf8(&digits).map_err(|_| bad("encoding"))?.to_owned();
                bytes.push(u8::from_str_radix(&digits, 16).map_err(|_| bad("encoding"))?);
            } else {
                bytes.push(byte);
            }
        }
        String::from_utf8(bytes).map_err(|_| bad("encoding"))
    };
    let mut parameters = Parameters::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| bad("parameters"))?;
        if parameters.insert(decode(name)?, decode(value)?).is_some() {
            return Err(bad(format!("parameter {name} twice")));
        }
    }
    Ok(parameters)
}
