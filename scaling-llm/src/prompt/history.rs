//! The past as a small table.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use scaling_core::{MetricsHistory, SignalKind};
use serde_json::Value;

use super::number::number;

const MAX_ROWS: usize = 24;

/// Rows of comma-separated values from old to new, under a row with the names of the columns: the samples before `current`, each
/// with its minutes before `now`. What was not measured is empty.
///
/// Dense near the present, sparse before: each row is about 1.4 times as many samples back as the one after it, so that few rows
/// show both the last minutes and the last days.
pub(super) fn table(history: &MetricsHistory, current: DateTime<Utc>, now: DateTime<Utc>) -> Vec<String> {
    let end = before(history, current);
    let mut rows: Vec<String> =
        steps_back().take_while(|back| *back <= end).filter_map(|back| row(history, end - back, now)).collect();
    let names: Vec<&str> = ["t_min", "ready"].into_iter().chain(SignalKind::ALL.map(SignalKind::field)).collect();
    rows.push(names.join(","));
    rows.reverse();
    rows
}

/// 1, 2, 3, 4, 5, 7, 9, 12, 16, 22, ...
fn steps_back() -> impl Iterator<Item = usize> {
    let next = |back: &usize| Some((back.saturating_mul(7) / 5).max(back.saturating_add(1)));
    std::iter::successors(Some(1), next).take(MAX_ROWS)
}

fn row(history: &MetricsHistory, index: usize, now: DateTime<Utc>) -> Option<String> {
    let sample = history.sample(index)?;
    let minutes = number((sample.timestamp - now).num_seconds() as f64 / 60.0);
    let ready = sample.current_pod_count.map_or(Value::Null, Value::from);
    let signals = SignalKind::ALL.map(|kind| sample.value(kind).map_or(Value::Null, number));
    let mut row = minutes.to_string();
    for value in std::iter::once(ready).chain(signals) {
        row.push(',');
        if !value.is_null() {
            // A String takes whatever is written.
            let _ = write!(row, "{value}");
        }
    }
    Some(row)
}

/// The number of samples before an instant, by bisection.
fn before(history: &MetricsHistory, end: DateTime<Utc>) -> usize {
    let (mut low, mut high) = (0, history.len());
    while low < high {
        let middle = usize::midpoint(low, high);
        if history.sample(middle).is_some_and(|sample| sample.timestamp < end) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}
