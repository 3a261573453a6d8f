//! Declared events by alias, kind and numbers.

use chrono::{DateTime, Utc};
use scaling_core::{EventKind, PlannedEvent};
use serde::Serialize;
use serde_json::Value;

use super::number::number;

const MAX_EVENTS: usize = 8;

#[derive(Serialize)]
pub(super) struct Event {
    id: String,
    kind: EventKind,
    starts_in_min: i64,
    ends_in_min: i64,
    load_factor: Value,
}

impl Event {
    pub(super) fn new(event: &PlannedEvent, nth: usize, now: DateTime<Utc>) -> Self {
        Self {
            id: alias(nth),
            kind: event.kind(),
            starts_in_min: (event.start() - now).num_minutes(),
            ends_in_min: (event.end() - now).num_minutes(),
            load_factor: number(event.factor()),
        }
    }
}

/// The events nearest to now. Names play no part, and so neither does the order of declaration.
pub(super) fn nearest(declared: &[PlannedEvent], now: DateTime<Utc>) -> Vec<&PlannedEvent> {
    let mut nearest: Vec<&PlannedEvent> = declared.iter().collect();
    nearest.sort_by(|a, b| {
        let key = |event: &PlannedEvent| ((event.start() - now).abs(), event.start(), event.end(), event.kind());
        key(a).cmp(&key(b)).then_with(|| a.factor().total_cmp(&b.factor()))
    });
    nearest.truncate(MAX_EVENTS);
    nearest
}

/// Alias of the event of a name: that of the first that looks like it, since events that differ in their names alone are told apart
/// by nobody who does not see the names.
pub(super) fn alias_of(name: &str, nearest: &[&PlannedEvent]) -> Option<String> {
    let named = nearest.iter().find(|event| event.name() == name)?;
    let alike = |event: &&PlannedEvent| {
        let key = |event: &PlannedEvent| (event.start(), event.end(), event.kind(), event.factor().to_bits());
        key(event) == key(named)
    };
    nearest.iter().position(alike).map(|place| alias(place + 1))
}

fn alias(nth: usize) -> String {
    format!("e{nth}")
}
