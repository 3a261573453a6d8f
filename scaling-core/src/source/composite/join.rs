//! The past of several sources. Pure.

use chrono::{DateTime, TimeDelta, Utc};

use crate::metrics::{MetricsHistory, ScalingMetrics, SignalKind, SignalSet};

/// The newest value of a signal, or of the pod count, and when it was measured.
type Newest = Option<(i64, f64)>;

/// A history and how far it has been read.
struct Cursor<'a> {
    history: &'a MetricsHistory,
    most: SignalSet,
    next: usize,
    newest: [Newest; SignalKind::ALL.len()],
    pods: Newest,
}

/// A row at each instant of any history before `until`: of each signal the freshest value up to then, if it is not older than
/// `fresh_for`. Of equally fresh ones the first history's.
pub(super) fn joined(
    histories: &[(&MetricsHistory, SignalSet)],
    until: DateTime<Utc>,
    fresh_for: TimeDelta,
) -> MetricsHistory {
    let until = until.timestamp_millis();
    let mut cursors: Vec<_> = histories
        .iter()
        .map(|(history, most)| Cursor {
            history,
            most: *most,
            next: 0,
            newest: [None; SignalKind::ALL.len()],
            pods: None,
        })
        .collect();
    let mut joined = MetricsHistory::new();
    while let Some(at) = cursors.iter().filter_map(Cursor::upcoming).min().filter(|at| *at < until) {
        for cursor in &mut cursors {
            cursor.read(at);
        }
        if let Some(row) = row(&cursors, at, fresh_for.num_milliseconds()) {
            // The instants rise, so that each row is taken.
            joined.push(&row).ok();
        }
    }
    joined
}

impl Cursor<'_> {
    fn times(&self) -> &[i64] {
        self.history.before(i64::MAX).times()
    }

    fn upcoming(&self) -> Option<i64> {
        self.times().get(self.next).copied()
    }

    /// Takes in the sample of this instant, if it has one.
    fn read(&mut self, at: i64) {
        if self.upcoming() != Some(at) {
            return;
        }
        for (kind, newest) in SignalKind::ALL.into_iter().zip(&mut self.newest) {
            if self.most.contains(kind)
                && let Some(value) = self.history.value(kind, self.next)
            {
                *newest = Some((at, value));
            }
        }
        let pods = self.history.before(i64::MAX).pods().get(self.next).copied();
        if let Some(pods) = pods.filter(|pods| !pods.is_nan()) {
            self.pods = Some((at, pods));
        }
        self.next += 1;
    }
}

fn row(cursors: &[Cursor<'_>], at: i64, fresh_for: i64) -> Option<ScalingMetrics> {
    let freshest = |of: &dyn Fn(&Cursor<'_>) -> Newest| {
        let fresh = cursors.iter().filter_map(of).filter(|(measured, _)| at.saturating_sub(*measured) <= fresh_for);
        // `max_by_key` keeps the last of equals.
        fresh.rev().max_by_key(|(measured, _)| *measured).map(|(_, value)| value)
    };
    let mut row = ScalingMetrics::new(DateTime::from_timestamp_millis(at)?, 0);
    row.current_pod_count = freshest(&|cursor| cursor.pods).and_then(count);
    for kind in SignalKind::ALL {
        if let Some(value) = freshest(&|cursor| cursor.newest.get(kind.index()).copied().flatten()) {
            row.set(kind, kind.check(value));
        }
    }
    Some(row)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn count(pods: f64) -> Option<u32> {
    (pods >= 0.0 && pods <= f64::from(u32::MAX)).then_some(pods as u32)
}
