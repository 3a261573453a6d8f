//! Whether forecasts held: each is compared with the load that came.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

use super::counts::{Counts, Judged};
use crate::decision::{Reason, ScalingDecision};
use crate::metrics::SignalKind;
use crate::record::DecisionRecord;

/// Forecasts of one workload that wait for their time at most: an hour ahead at a tick each 15 s. Beyond it the oldest is given up.
const WAITING_AT_MOST: usize = 240;

/// Forecasts of one workload whose time has not come.
#[derive(Debug, Default)]
pub(super) struct Forecasts {
    waiting: VecDeque<Waiting>,
    /// The share of forecasts that should hold, by the newest of them.
    pub(super) quantile: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    load: SignalKind,
    expected: f64,
    due: DateTime<Utc>,
}

impl Forecasts {
    /// Judges what is due by this record, and keeps what it forecasts.
    pub(super) fn record(&mut self, record: &DecisionRecord, counts: &mut Counts) {
        let load = record.decision.as_ref().and_then(load);
        // By the time of the tick while nothing is measured: what was due then was not.
        let now = record.metrics.as_ref().map_or(record.at, |metrics| metrics.timestamp);
        self.waiting.retain(|waiting| {
            let is_due = waiting.due <= now;
            if is_due {
                counts.judged(match load {
                    Some((signal, observed)) if signal == waiting.load => {
                        if observed <= waiting.expected {
                            Judged::Held
                        } else {
                            Judged::Exceeded
                        }
                    }
                    _ => Judged::Unmeasured,
                });
            }
            !is_due
        });
        if let (Some(decision), Some((load, _))) = (&record.decision, load) {
            self.wait(decision, load, counts);
        }
    }

    fn wait(&mut self, decision: &ScalingDecision, load: SignalKind, counts: &mut Counts) {
        let forecast = decision.reasons.iter().find_map(|reason| match reason {
            Reason::Forecast { expected, quantile, ahead_s, .. } => Some((*expected, *quantile, *ahead_s)),
            _ => None,
        });
        self.quantile = forecast.map(|(_, quantile, _)| quantile);
        let Some((expected, _, ahead_s)) = forecast else { return };
        let ahead =
            std::time::Duration::try_from_secs_f64(ahead_s).ok().and_then(|ahead| TimeDelta::from_std(ahead).ok());
        let Some(due) = ahead.and_then(|ahead| decision.at.checked_add_signed(ahead)) else { return };
        if self.waiting.back().is_some_and(|last| last.due == due) {
            // The same metrics, asked about again.
            return;
        }
        if self.waiting.len() >= WAITING_AT_MOST {
            self.waiting.pop_front();
            counts.judged(Judged::Unmeasured);
        }
        self.waiting.push_back(Waiting { load, expected, due });
    }
}

/// The load of a decision, in the unit of its forecast.
fn load(decision: &ScalingDecision) -> Option<(SignalKind, f64)> {
    decision.reasons.iter().find_map(|reason| match reason {
        Reason::Load { load, observed, .. } => Some((*load, *observed)),
        _ => None,
    })
}
