//! A proposed size, replayed beside the one that it would replace.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Answer to the question whether a proposed size may take the place of an engine's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReplayVerdict {
    /// Replayed, it is not worse than the engine's own size by more than the margins: it is taken.
    NotWorse,
    /// More requests would have waited too long, in the past or on a path of the forecast.
    MoreViolations,
    /// It costs more than is left of what proposals may cost.
    TooCostly,
    /// Pods were full while there were fewer of them by an earlier proposal: none is taken for a while.
    Halted,
    /// The size has grown within the last minutes: what was measured since does not tell of the pods there are.
    Unsettled,
    /// A declared signal is absent: nothing below the engine's own size is taken.
    SignalAbsent,
    /// The engine's own size is for more than load (memory, overload, urgency), which no replay of load can judge.
    OtherNeed,
    /// The load, the pods, or what a pod carries is not known.
    LoadUnknown,
    /// The pods are full, so that the load is hidden.
    LoadHidden,
    /// Too little of the past resembles the present.
    TooLittlePast,
    /// The facts of the workload are no times that can be replayed.
    UnusableFacts,
}

impl ReplayVerdict {
    /// Returns true if the proposal is taken.
    pub fn is_accepted(self) -> bool {
        self == Self::NotWorse
    }
}

impl fmt::Display for ReplayVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotWorse => "taken, since it is not worse",
            Self::MoreViolations => "not taken: more requests would wait too long",
            Self::TooCostly => "not taken: it costs more than proposals may",
            Self::Halted => "not taken: pods were full after an earlier proposal for fewer",
            Self::Unsettled => "not taken: the size has just grown",
            Self::SignalAbsent => "not taken: a signal is absent",
            Self::OtherNeed => "not taken: the size it would replace is for more than load",
            Self::LoadUnknown => "not taken: the load or what a pod carries is not known",
            Self::LoadHidden => "not taken: full pods hide the load",
            Self::TooLittlePast => "not taken: too little of the past resembles the present",
            Self::UnusableFacts => "not taken: the times of the workload cannot be replayed",
        })
    }
}

/// Outcome of one size in the replays of [`Reason::Replayed`](crate::Reason::Replayed); all 0 where nothing was replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReplayedSize {
    /// The size, in pods.
    pub replicas: u32,
    /// Share of requests that violate in the moments of the past that resemble the present.
    pub past_violating_share: f64,
    /// Share of requests that violate on the worst path of the forecast's band.
    pub band_violating_share: f64,
    /// Pod-hours from the decision until the next one can take effect.
    pub pod_hours: f64,
}

impl ReplayedSize {
    pub(super) fn make_finite(&mut self) {
        for number in [&mut self.past_violating_share, &mut self.band_violating_share, &mut self.pod_hours] {
            *number = super::finite(*number);
        }
    }
}
