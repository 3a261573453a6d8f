//! From an observation and the baseline's decision to a prompt: pure, and bounded in size whatever comes in.
//!
//! Text that others wrote is kept out where it can be: reasons go as codes and numbers, no log text, no error text, no name of the
//! workload. The one exception, names of declared events, go as data through an allow-list of characters. Equal inputs give
//! equal bytes, so that an answer can be cached and replayed.

mod causes;
mod history;
mod number;

use chrono::{DateTime, Datelike, Offset, Timelike, Utc};
use scaling_core::{Observation, PlannedEvent, ScalingDecision, ScalingMetrics, Signal, SignalKind, Urgency};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::ReplicaRange;
use crate::text::plain_name;
use history::History;
use number::number;

/// System text of every question. Constant to the byte, so that servers can cache it.
pub const SYSTEM: &str = include_str!("prompt/system.txt");

/// Longest question, in bytes, whatever the history, the events or the reasons.
pub const MAX_BYTES: usize = 8192;

const MAX_EVENTS: usize = 8;

/// A question to a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// System text: [`SYSTEM`].
    pub system: &'static str,
    /// One line of JSON about this workload at this moment.
    pub user: String,
}

impl Prompt {
    /// Writes the question about one decision of the baseline. Times in it are measured from [`Observation::now`].
    pub fn new(observation: &Observation, baseline: &ScalingDecision, allowed: ReplicaRange) -> Self {
        let question = Question::new(observation, baseline, allowed);
        // Text keys and plain values cannot fail to be written.
        Self { system: SYSTEM, user: serde_json::to_string(&question).unwrap_or_default() }
    }
}

/// The fields in the order in which they are written.
#[derive(Serialize)]
struct Question<'a> {
    allowed: Range,
    baseline: Baseline,
    replicas: u32,
    ready: Option<u32>,
    start_up_s: Value,
    weekday: Option<String>,
    hour: Option<u32>,
    now: Signals<'a>,
    history: History,
    events: Vec<Event>,
}

#[derive(Serialize)]
struct Range {
    lowest: u32,
    highest: u32,
}

#[derive(Serialize)]
struct Baseline {
    target_replicas: u32,
    confidence_percent: Value,
    urgency: Urgency,
    causes: Vec<Value>,
}

#[derive(Serialize)]
struct Event {
    name: String,
    starts_in_min: i64,
    ends_in_min: i64,
    load_factor: Value,
}

impl<'a> Question<'a> {
    fn new(observation: &'a Observation, baseline: &ScalingDecision, allowed: ReplicaRange) -> Self {
        let now = observation.now;
        let offset = chrono::FixedOffset::east_opt(observation.facts.utc_offset_seconds);
        let local = now.naive_utc().checked_add_offset(offset.unwrap_or_else(|| Utc.fix()));
        Self {
            allowed: Range { lowest: allowed.lowest, highest: allowed.highest },
            baseline: Baseline {
                target_replicas: baseline.desired_replicas,
                confidence_percent: number(baseline.confidence.value() * 100.0),
                urgency: baseline.urgency,
                causes: causes::causes(&baseline.reasons),
            },
            replicas: baseline.current_replicas,
            ready: observation.current.current_pod_count,
            start_up_s: number(observation.facts.start_up.as_secs_f64()),
            weekday: local.map(|local| local.weekday().to_string()),
            hour: local.map(|local| local.hour()),
            now: Signals(&observation.current),
            history: History::new(&observation.history, observation.current.timestamp, now),
            events: events(&observation.events, now),
        }
    }
}

/// Those nearest to now; the name breaks ties, so that the order of declaration does not matter.
fn events(declared: &[PlannedEvent], now: DateTime<Utc>) -> Vec<Event> {
    let mut nearest: Vec<&PlannedEvent> = declared.iter().collect();
    nearest.sort_by(|a, b| {
        let key = |event: &PlannedEvent| ((event.start() - now).abs(), event.start(), event.end());
        key(a).cmp(&key(b)).then_with(|| a.name().cmp(b.name())).then_with(|| a.factor().total_cmp(&b.factor()))
    });
    let event = |event: &PlannedEvent| Event {
        name: plain_name(event.name()),
        starts_in_min: (event.start() - now).num_minutes(),
        ends_in_min: (event.end() - now).num_minutes(),
        load_factor: number(event.factor()),
    };
    nearest.into_iter().take(MAX_EVENTS).map(event).collect()
}

/// Every signal, in storage order; an absent one with its cause.
struct Signals<'a>(&'a ScalingMetrics);

impl Serialize for Signals<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(SignalKind::ALL.len()))?;
        for kind in SignalKind::ALL {
            let value = match self.0.signal(kind) {
                Signal::Present(value) => number(value),
                Signal::Absent(absence) => serde_json::json!({ "absent": absence.to_string() }),
            };
            map.serialize_entry(kind.field(), &value)?;
        }
        map.end()
    }
}
