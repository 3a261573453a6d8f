//! [`Note`]: a policy that could not act as it was meant to says so.
//!
//! The score of such a policy is right and misleads: an HPA whose metric never came holds its pods, and looks calm. Every such
//! circumstance is counted during the replay ([`Syncs`]) and becomes a note beside the score.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Run;
use super::score::Decisions;
use crate::hpa::{Hpa, Metric, MetricError, MetricKind, Proposal};
use crate::stats::grouped;

/// Share of all syncs from which on a fault is noted. A policy that misses one sync in two hundred still acts.
const NOTED_FROM: f64 = 0.01;

/// Circumstance that kept a policy from acting, with its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Note {
    /// A metric of the HPA had no value. The HPA went by its other metrics, or left the pods as they were.
    MetricFailed {
        /// Name of the metric.
        metric: String,
        /// Syncs at which it failed.
        failed: u64,
        /// Syncs at which it was evaluated.
        syncs: u64,
        /// The last error, for people.
        error: String,
    },
    /// A metric of the HPA is that of one container, and was replayed with the usage of the whole pod: a recording tells no containers
    /// apart.
    ContainerAsPod {
        /// Name of the resource, `cpu` or `memory`.
        resource: String,
        /// Name of the container.
        container: String,
    },
    /// The size that was asked for lay outside the bounds: an HPA that is scaled to zero and does not wake does that.
    OutsideBounds {
        /// Syncs after which it did.
        outside: u64,
        /// Syncs in all.
        syncs: u64,
    },
    /// Bounds were changed, and not one change of the size came of it.
    NeverFollowed {
        /// Changes of bounds.
        changes: u64,
    },
    /// Requests arrived while no pod served.
    NoPod {
        /// Requests.
        requests: f64,
        /// Share of all requests.
        share: f64,
    },
    /// The engine did not decide: no data, or no answer.
    NoDecision {
        /// Ticks without a decision.
        failed: u64,
        /// Ticks in all.
        ticks: u64,
    },
}

impl Note {
    /// Finds everything to be noted of a run.
    pub(super) fn of(run: &Run, decisions: Option<&Decisions>) -> Vec<Self> {
        let syncs = &run.syncs;
        let mut notes = Vec::new();
        for MetricSyncs { name, container, failed, evaluated, error } in &syncs.metrics {
            if let Some(container) = container {
                notes.push(Self::ContainerAsPod { resource: name.clone(), container: container.clone() });
            }
            if is_noted(*failed, *evaluated) {
                notes.push(Self::MetricFailed {
                    metric: name.clone(),
                    failed: *failed,
                    syncs: *evaluated,
                    error: error.as_ref().map(ToString::to_string).unwrap_or_default(),
                });
            }
        }
        if is_noted(syncs.outside, syncs.total) {
            notes.push(Self::OutsideBounds { outside: syncs.outside, syncs: syncs.total });
        }
        if let Some(Decisions { ticks, applied, failed, .. }) = decisions {
            if *applied > 0 && run.scale_events == 0 {
                notes.push(Self::NeverFollowed { changes: *applied });
            }
            if is_noted(*failed, *ticks) {
                notes.push(Self::NoDecision { failed: *failed, ticks: *ticks });
            }
        }
        let arrived = |of: fn(&super::StepSeen) -> bool| -> f64 {
            run.scored().filter(|step| of(step)).map(|step| step.arrived).sum()
        };
        let (requests, all) = (arrived(|step| step.ready == 0), arrived(|_| true));
        if requests > 0.0 {
            notes.push(Self::NoPod { requests, share: requests / all });
        }
        notes
    }
}

fn is_noted(faults: u64, all: u64) -> bool {
    faults > 0 && faults as f64 >= NOTED_FROM * all as f64
}

/// Writes how often something happened.
fn often(times: u64, all: u64, what: &str) -> String {
    if times == all { format!("at every {what} ({all})") } else { format!("at {times} of {all} {what}s") }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MetricFailed { metric, failed, syncs, error } => {
                write!(f, "its metric {metric} had no value {}: {error}", often(*failed, *syncs, "sync"))
            }
            Self::ContainerAsPod { resource, container } => {
                write!(f, "the {resource} of its container {container} was replayed as that of the whole pod")
            }
            Self::OutsideBounds { outside, syncs } => {
                write!(f, "its pods were outside its bounds {}", often(*outside, *syncs, "sync"))
            }
            Self::NeverFollowed { changes } => {
                write!(f, "its bounds were changed {changes} times, and the pods never followed")
            }
            Self::NoPod { requests, share } => {
                write!(f, "{} requests ({:.2} %) found no pod that served", grouped(*requests, 0), share * 100.0)
            }
            Self::NoDecision { failed, ticks } => {
                write!(f, "its engine made no decision {}", often(*failed, *ticks, "tick"))
            }
        }
    }
}

/// Counts of the syncs that count for the score.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Syncs {
    /// Syncs in all.
    pub total: u64,
    /// Syncs after which the size asked for lay outside the bounds.
    pub outside: u64,
    /// Outcome of each metric of the HPA, in the order of its list; empty without an HPA.
    pub metrics: Vec<MetricSyncs>,
}

/// Counts of one metric of an HPA.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricSyncs {
    /// Name of the metric.
    pub name: String,
    /// Container that it measures; none if it measures pods or what lies outside of them.
    pub container: Option<String>,
    /// Syncs at which it was evaluated.
    pub evaluated: u64,
    /// Syncs at which it failed.
    pub failed: u64,
    /// The last error.
    pub error: Option<MetricError>,
}

impl Syncs {
    /// Starts counting the syncs of an HPA.
    pub(super) fn of(hpa: &Hpa) -> Self {
        let metric = |metric: &Metric| MetricSyncs {
            name: name(metric),
            container: match &metric.source {
                MetricKind::ContainerResource { container, .. } => Some(container.clone()),
                _ => None,
            },
            evaluated: 0,
            failed: 0,
            error: None,
        };
        Self { metrics: hpa.metrics.iter().map(metric).collect(), ..Self::default() }
    }

    /// Counts what the metrics said at one sync; nothing if they were not asked.
    pub(super) fn count_metrics(&mut self, said: &[Result<Proposal, MetricError>]) {
        for (metric, said) in self.metrics.iter_mut().zip(said) {
            metric.evaluated += 1;
            if let Err(error) = said {
                metric.failed += 1;
                if metric.error.as_ref() != Some(error) {
                    metric.error = Some(error.clone());
                }
            }
        }
    }
}

fn name(metric: &Metric) -> String {
    match &metric.source {
        MetricKind::Resource { resource } | MetricKind::ContainerResource { resource, .. } => resource.clone(),
        MetricKind::Pods { name } | MetricKind::Object { name } | MetricKind::External { name } => name.clone(),
        MetricKind::Unknown => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtest::StepSeen;

    fn run(ready: u32, scale_events: u64, syncs: Syncs) -> Run {
        let step = StepSeen {
            arrived: 50.0,
            pods: 2,
            ready,
            utilization: 0.5,
            backlog: 0.0,
            violating: 0.0,
            violating_s: 0.0,
            dropped: 0.0,
            counts: true,
        };
        Run { steps: vec![step, StepSeen { ready: 2, ..step }], scale_events, syncs }
    }

    fn failing(failed: u64, evaluated: u64) -> Syncs {
        let error = Some(MetricError::NoMetricsReturned);
        let metric = MetricSyncs { name: "memory".into(), container: None, evaluated, failed, error };
        Syncs { total: evaluated, outside: 0, metrics: vec![metric] }
    }

    fn said(run: &Run, decisions: Option<&Decisions>) -> Vec<String> {
        Note::of(run, decisions).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_policy_that_acts_has_no_note() {
        let decisions = Decisions { ticks: 1000, applied: 3, failed: 9, ..Decisions::default() };
        assert_eq!(said(&run(2, 1, failing(9, 1000)), Some(&decisions)), [""; 0]);
    }

    #[test]
    fn a_policy_that_could_not_act_says_why() {
        assert_eq!(
            said(&run(2, 1, failing(240, 240)), None),
            ["its metric memory had no value at every sync (240): the metrics backend returned no metrics"]
        );
        assert!(said(&run(2, 1, failing(24, 240)), None)[0].contains("at 24 of 240 syncs"));
        let outside = Syncs { total: 8, outside: 8, metrics: Vec::new() };
        assert_eq!(said(&run(2, 0, outside), None), ["its pods were outside its bounds at every sync (8)"]);
        assert_eq!(said(&run(0, 1, Syncs::default()), None), ["50 requests (50.00 %) found no pod that served"]);
        let stuck = Decisions { ticks: 8, applied: 4, failed: 2, ..Decisions::default() };
        assert_eq!(
            said(&run(2, 0, Syncs::default()), Some(&stuck)),
            [
                "its bounds were changed 4 times, and the pods never followed",
                "its engine made no decision at 2 of 8 ticks"
            ]
        );
    }
}
