//! The past as a small table.

use chrono::{DateTime, Utc};
use scaling_core::{MetricsHistory, SignalKind};
use serde::Serialize;
use serde_json::Value;

use super::number::number;

const MAX_ROWS: usize = 24;

/// Rows from old to new, under the names of their columns.
#[derive(Serialize)]
pub(super) struct History {
    columns: Vec<&'static str>,
    rows: Vec<Vec<Value>>,
}

impl History {
    /// The samples before `current`, each with its minutes before `now`: dense near the present, sparse before. Each row is about
    /// 1.4 times as many samples back as the one after it, so that few rows show both the last minutes and the last days.
    pub(super) fn new(history: &MetricsHistory, current: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        let end = before(history, current);
        let mut rows: Vec<Vec<Value>> =
            steps_back().take_while(|back| *back <= end).filter_map(|back| row(history, end - back, now)).collect();
        rows.reverse();
        let columns = ["t_min", "ready"].into_iter().chain(SignalKind::ALL.map(SignalKind::field)).collect();
        Self { columns, rows }
    }
}

/// 1, 2, 3, 4, 5, 7, 9, 12, 16, 22, ...
fn steps_back() -> impl Iterator<Item = usize> {
    let next = |back: &usize| Some((back.saturating_mul(7) / 5).max(back.saturating_add(1)));
    std::iter::successors(Some(1), next).take(MAX_ROWS)
}

fn row(history: &MetricsHistory, index: usize, now: DateTime<Utc>) -> Option<Vec<Value>> {
    let sample = history.sample(index)?;
    let minutes = (sample.timestamp - now).num_seconds() as f64 / 60.0;
    let signals = SignalKind::ALL.map(|kind| sample.value(kind).map_or(Value::Null, number));
    let ready = sample.current_pod_count.map_or(Value::Null, Value::from);
    Some([number(minutes), ready].into_iter().chain(signals).collect())
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
