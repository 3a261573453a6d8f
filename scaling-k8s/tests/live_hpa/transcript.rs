//! What the real controller read and wrote, sync by sync, from what went through the proxy.

use std::collections::HashMap;

use scaling_core::chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use scaling_core::hpa::Scale;
use serde_json::Value;

use crate::support::proxy::Exchange;

/// One sync of one HPA.
#[derive(Debug)]
pub(crate) struct Sync {
    /// The spec that it saw.
    pub(crate) spec: Value,
    /// Sizes that the scale subresource said; none if it could not be read.
    pub(crate) scale: Option<Scale>,
    /// Instant at which it had read the scale.
    pub(crate) read: DateTime<Utc>,
    /// Answers to its queries of metrics, in their order.
    pub(crate) answers: Vec<Exchange>,
    /// Largest proposal of the metrics, before any limit; none if they were not evaluated or failed.
    pub(crate) proposed: Option<i32>,
    /// Size that it wrote, and true if that was stored.
    pub(crate) written: Option<(i32, bool)>,
    /// Status that it wrote, and true if that was stored; none if the one that was there was still right.
    pub(crate) status: Option<(Value, bool)>,
    /// Its clock was between these two when it decided.
    pub(crate) within: (DateTime<Utc>, DateTime<Utc>),
}

/// Proposal that the controller logged.
#[derive(Debug)]
pub(crate) struct Proposed {
    at: DateTime<Utc>,
    replicas: i32,
}

/// The proposals for the objects of a namespace in the controller's log, in the order of the syncs that made them.
///
/// A line is `I1129 04:17:13.129122 21050 horizontal.go:958] "Proposing desired replicas" desiredReplicas=7 …
/// scaleTarget="Deployment/NAMESPACE/NAME"`, in UTC.
pub(crate) fn proposals(log: &str, namespace: &str, year: i32) -> Vec<Proposed> {
    let target = format!("scaleTarget=\"Deployment/{namespace}/");
    let lines = log.lines().filter(|line| line.contains("\"Proposing desired replicas") && line.contains(&target));
    let read = |line: &str| {
        let time = format!("{year}{}", line.get(1..21)?);
        let at = NaiveDateTime::parse_from_str(&time, "%Y%m%d %H:%M:%S%.f").ok()?.and_utc();
        let (_, rest) = line.split_once(" desiredReplicas=")?;
        Some(Proposed { at, replicas: rest.split(' ').next()?.parse().ok()? })
    };
    lines.map(|line| read(line).unwrap_or_else(|| panic!("not as expected: {line}"))).collect()
}

/// Returns true for what a sync is made of.
pub(crate) fn is_part_of_a_sync(path: &str) -> bool {
    path.ends_with("/scale")
        || (path.ends_with("/status") && path.contains("/horizontalpodautoscalers/"))
        || path.contains("metrics.k8s.io/")
}

/// Returns true for the request with which a sync begins.
pub(crate) fn begins_a_sync(exchange: &Exchange) -> bool {
    exchange.method == "GET" && exchange.path.ends_with("/scale")
}

/// Cuts what went through in one namespace, which has one HPA, into syncs. The last one may not be over yet and is left out.
///
/// A status names the generation that the sync saw. A sync that writes none saw the one that the stored status names, because another
/// one would have been written.
pub(crate) fn syncs(exchanges: &[Exchange], first_spec: &Value, proposals: &[Proposed]) -> Vec<Sync> {
    let mut groups: Vec<Vec<&Exchange>> = Vec::new();
    let mut proposals = proposals.iter().peekable();
    for exchange in exchanges {
        let is_new = begins_a_sync(exchange) && !groups.last().is_some_and(|group| is_retrying(group));
        match groups.last_mut() {
            Some(group) if !is_new => group.push(exchange),
            _ => groups.push(vec![exchange]),
        }
    }
    let next = groups.pop();
    let starts: Vec<DateTime<Utc>> = groups.iter().skip(1).chain(&next).map(|group| group[0].asked).collect();
    let mut specs: HashMap<i64, Value> = HashMap::new();
    let mut spec = first_spec.clone();
    let mut syncs = Vec::new();
    for (group, next) in groups.iter().zip(starts) {
        let mut sync = read(group);
        if let Some(proposed) = proposals.next_if(|proposed| proposed.at < next) {
            sync.proposed = Some(proposed.replicas);
            sync.within.0 = proposed.at;
        }
        let (mut seen, mut is_stored) = (None, false);
        if let Some(put) = group.iter().rfind(|exchange| exchange.path.ends_with("/status")) {
            let generation = put.sent["metadata"]["generation"].as_i64().unwrap();
            specs.insert(generation, put.sent["spec"].clone());
            (seen, is_stored) = (specs.get(&generation).cloned(), put.code == 200);
        }
        sync.spec = seen.unwrap_or_else(|| spec.clone());
        if is_stored {
            spec = sync.spec.clone();
        }
        syncs.push(sync);
    }
    syncs
}

/// A write of the scale that met a newer version is followed by another read of it.
fn is_retrying(group: &[&Exchange]) -> bool {
    group.last().is_some_and(|last| last.method == "PUT" && last.path.ends_with("/scale") && last.code == 409)
}

fn read(group: &[&Exchange]) -> Sync {
    let first = group[0];
    let scale = (first.code == 200).then(|| {
        let count = |pointer: &str| first.got.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
        let count = |pointer| i32::try_from(count(pointer)).unwrap();
        Scale { spec_replicas: count("/spec/replicas"), status_replicas: count("/status/replicas") }
    });
    let answers: Vec<Exchange> =
        group.iter().filter(|exchange| exchange.path.contains("metrics.k8s.io/")).map(|one| (*one).clone()).collect();
    let put = |suffix: &str| group.iter().rfind(|exchange| exchange.method == "PUT" && exchange.path.ends_with(suffix));
    let (scaled, status) = (put("/scale"), put("/status"));
    let size = |exchange: &&&Exchange| {
        let replicas = exchange.sent.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(0);
        (i32::try_from(replicas).unwrap(), exchange.code == 200)
    };
    let early = answers.last().map_or(first.answered, |answer| answer.answered);
    let late = match (status, scaled) {
        (Some(status), _) => status.asked,
        (None, Some(scaled)) => scaled.answered,
        (None, None) => early + TimeDelta::milliseconds(50),
    };
    Sync {
        spec: Value::Null,
        scale,
        read: first.answered,
        answers,
        proposed: None,
        written: scaled.as_ref().map(size),
        status: status.map(|exchange| (exchange.sent["status"].clone(), exchange.code == 200)),
        within: (early, late),
    }
}
