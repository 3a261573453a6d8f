//! Changes as Kubernetes Events: one object for each HPA, which counts.

use std::collections::HashMap;
use std::time::Duration;

use scaling_core::Target;
use scaling_core::chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{Change, cut};
use crate::manifest::{API_VERSION, KIND};

/// Longest message of an Event, in bytes.
pub(crate) const MAX_MESSAGE: usize = 1024;
/// Longest name of a component, in bytes.
pub(crate) const MAX_COMPONENT: usize = 128;
/// Longest start of an Event's name, in bytes: with a dot and sixteen digits it is a name that Kubernetes takes.
const MAX_PREFIX: usize = 236;
/// Workloads that are kept.
const TARGETS: usize = 20_000;

/// Changes as Events of the core API, `BoundsChanged` by name. All changes of one HPA are one object, whose count goes up and whose message
/// is that of the latest: a fleet does not drown in Events. Of each HPA one is given out in a while at most; what happened in between
/// is counted, and comes with the next, or when it is [`due`](Self::due).
///
/// An Event is written by a server-side apply, which creates it or moves it on.
#[derive(Debug)]
pub struct EventSeries {
    component: String,
    every: TimeDelta,
    series: HashMap<Target, Series>,
}

#[derive(Debug)]
struct Series {
    first: DateTime<Utc>,
    sent: DateTime<Utc>,
    count: u32,
    /// The change that has not been given out yet.
    waiting: Option<Change>,
    uid: Option<String>,
}

impl EventSeries {
    /// Events of a component, the field manager as a rule: of each HPA one in such a while at most.
    pub fn new(component: impl AsRef<str>, every: Duration) -> Self {
        let component = cut(component.as_ref(), MAX_COMPONENT);
        Self { component, every: TimeDelta::from_std(every).unwrap_or(TimeDelta::MAX), series: HashMap::new() }
    }

    /// Takes in a change of the HPA with this uid, and gives the Event to be written now, if one is.
    pub fn take(&mut self, target: &Target, uid: Option<&str>, change: &Change) -> Option<Value> {
        if self.series.len() >= TARGETS && !self.series.contains_key(target) {
            let oldest = self.series.iter().min_by_key(|(_, series)| series.sent).map(|(target, _)| target.clone())?;
            self.series.remove(&oldest);
        }
        let now = change.at;
        let known = self.series.get(target).map(|series| series.sent);
        let series = self.series.entry(target.clone()).or_insert_with(|| Series {
            first: now,
            sent: now,
            count: 0,
            waiting: None,
            uid: None,
        });
        series.count = series.count.saturating_add(1);
        series.uid = uid.map(str::to_owned);
        series.waiting = Some(change.clone());
        let waits = known.is_some_and(|sent| is_early(now, sent, self.every));
        if waits { None } else { self.give(target, now) }
    }

    /// The Events that were held back and are due by now, in the order of their workloads.
    pub fn due(&mut self, now: DateTime<Utc>) -> Vec<Value> {
        let every = self.every;
        let is_due = |series: &Series| series.waiting.is_some() && !is_early(now, series.sent, every);
        let mut due: Vec<Target> =
            self.series.iter().filter(|(_, series)| is_due(series)).map(|(target, _)| target.clone()).collect();
        due.sort();
        due.iter().filter_map(|target| self.give(target, now)).collect()
    }

    fn give(&mut self, target: &Target, now: DateTime<Utc>) -> Option<Value> {
        let series = self.series.get_mut(target)?;
        let change = series.waiting.take()?;
        series.sent = now;
        let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let (before, after) = (change.before, change.after);
        let perhaps = if change.uncertain { "perhaps changed" } else { "changed" };
        let message = format!("bounds {perhaps} from {before} to {after} by {}: {}", change.who, change.why);
        let mut regarding =
            json!({ "apiVersion": API_VERSION, "kind": KIND, "namespace": target.namespace, "name": target.hpa });
        if let (Some(fields), Some(uid)) = (regarding.as_object_mut(), &series.uid) {
            fields.insert("uid".to_owned(), uid.as_str().into());
        }
        Some(json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": { "namespace": target.namespace, "name": name(&target.hpa, &self.component) },
            "involvedObject": regarding,
            "type": "Normal",
            "reason": "BoundsChanged",
            "message": cut(&message, MAX_MESSAGE),
            "source": { "component": self.component },
            "reportingComponent": self.component,
            "firstTimestamp": time(series.first),
            "lastTimestamp": time(change.at),
            "count": series.count,
        }))
    }
}

/// An Event about an HPA: its type, its reason and its text. All of one reason are one object.
#[cfg(feature = "controller")]
pub(crate) fn notice(
    component: &str,
    (target, uid): (&Target, Option<&str>),
    (kind, reason, text): (&str, &str, &str),
    at: DateTime<Utc>,
) -> Value {
    let component = cut(component, MAX_COMPONENT);
    let time = at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut regarding =
        json!({ "apiVersion": API_VERSION, "kind": KIND, "namespace": target.namespace, "name": target.hpa });
    if let (Some(fields), Some(uid)) = (regarding.as_object_mut(), uid) {
        fields.insert("uid".to_owned(), uid.into());
    }
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": { "namespace": target.namespace, "name": name(&target.hpa, &format!("{component}/{reason}")) },
        "involvedObject": regarding,
        "type": kind,
        "reason": reason,
        "message": cut(text, MAX_MESSAGE),
        "source": { "component": component },
        "reportingComponent": component,
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    })
}

/// A clock that was set back holds nothing up.
pub(crate) fn is_early(now: DateTime<Utc>, sent: DateTime<Utc>, every: TimeDelta) -> bool {
    let past = now.signed_duration_since(sent);
    past >= TimeDelta::zero() && past < every
}

/// The one name of all Events of a component about an HPA, the same after a restart.
pub(crate) fn name(hpa: &str, component: &str) -> String {
    // FNV-1a, 64 bits: it tells two components apart, and is the same in every release.
    let bytes = component.bytes().chain([0]).chain(hpa.bytes());
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let prefix = cut(hpa, MAX_PREFIX);
    let prefix = prefix.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    format!("{}.{hash:016x}", if prefix.is_empty() { "hpa" } else { prefix })
}
