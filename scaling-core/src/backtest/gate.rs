//! [`PolicyDiff`]: a change of policy as a gate.
//!
//! Two candidates over the same traffic, the policy as it is and as it is proposed, differ in pod-hours, cost and violations. A
//! stated [`Budget`] says how much of that may pass. Over traffic without a single request every budget would hold, so such a
//! comparison is refused.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::report::{CandidateReport, TraceReport};
use super::score::Score;

/// Limits on how much a proposed policy may be worse than the current one. A limit that is not stated does not apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Rise of pod-hours, and so of cost, as a share of the current: 0.1 is ten percent; below 0 asks for savings.
    pub cost_increase: Option<f64>,
    /// Share of violating requests under the proposed policy.
    pub violating_share: Option<f64>,
    /// Rise of the share of violating requests over the current: 0.001 is a tenth of a percentage point.
    pub violating_increase: Option<f64>,
    /// Minutes of violation a day under the proposed policy.
    pub violation_minutes_a_day: Option<f64>,
    /// Changes of the size a day under the proposed policy.
    pub scale_events_a_day: Option<f64>,
}

/// Reasons why two policies cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DiffError {
    /// No candidate of that name was replayed.
    #[error("{trace}: no candidate {candidate:?} was replayed")]
    NotReplayed {
        /// Name of the trace.
        trace: String,
        /// Name of the candidate.
        candidate: String,
    },
    /// No request arrived in the part of the trace that counts: any policy would be within any budget.
    #[error(
        "{trace}: no request arrived at {candidate:?} in the part of the trace that counts, so nothing says what the change would do; \
         use a trace with load after its history"
    )]
    NothingAsked {
        /// Name of the trace.
        trace: String,
        /// Name of the candidate.
        candidate: String,
    },
}

/// Difference of one policy to another over the same trace. Both were asked for at least one request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicyDiff {
    trace: String,
    current: Score,
    proposed: Score,
}

/// One limit of a budget that was exceeded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exceeded {
    /// Name of the trace.
    pub trace: String,
    /// Field of the [`Budget`].
    pub budget: String,
    /// Limit.
    pub allowed: f64,
    /// Value that was found.
    pub found: f64,
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} is {:.6}, allowed are {:.6}", self.trace, self.budget, self.found, self.allowed)
    }
}

impl PolicyDiff {
    /// Compares two named candidates of a trace.
    ///
    /// # Errors
    /// [`DiffError`] if one of them was not replayed, or was asked for nothing in the time that counts.
    pub fn of(trace: &TraceReport, current: &str, proposed: &str) -> Result<Self, DiffError> {
        let score = |name: &str| {
            let (trace_name, candidate) = (|| trace.name.clone(), || name.to_owned());
            let Some(CandidateReport { score, .. }) = trace.candidate(name) else {
                return Err(DiffError::NotReplayed { trace: trace_name(), candidate: candidate() });
            };
            // Not `<= 0.0`: a number of requests that is no number is nothing, either.
            if score.requests > 0.0 {
                Ok(score.clone())
            } else {
                Err(DiffError::NothingAsked { trace: trace_name(), candidate: candidate() })
            }
        };
        Ok(Self { trace: trace.name.clone(), current: score(current)?, proposed: score(proposed)? })
    }

    /// Returns the name of the trace.
    pub fn trace(&self) -> &str {
        &self.trace
    }

    /// Returns the score of the policy as it is.
    pub fn current(&self) -> &Score {
        &self.current
    }

    /// Returns the score of the policy as it is proposed.
    pub fn proposed(&self) -> &Score {
        &self.proposed
    }

    /// Returns the rise of pod-hours as a share of the current; infinite if there are none now.
    pub fn cost_increase(&self) -> f64 {
        let (current, proposed) = (self.current.pod_hours, self.proposed.pod_hours);
        if current > 0.0 {
            proposed / current - 1.0
        } else if proposed > 0.0 {
            f64::INFINITY
        } else {
            0.0
        }
    }

    /// Returns the rise of the share of violating requests.
    pub fn violating_increase(&self) -> f64 {
        self.proposed.violating_share - self.current.violating_share
    }

    /// Returns the limits of a budget that are exceeded, in the order of its fields. A limit that is no number is exceeded by anything.
    pub fn exceeded(&self, budget: &Budget) -> Vec<Exceeded> {
        let days = self.proposed.hours / 24.0;
        let minutes_a_day = if days > 0.0 { self.proposed.violation_minutes / days } else { 0.0 };
        let checks = [
            ("cost_increase", budget.cost_increase, self.cost_increase()),
            ("violating_share", budget.violating_share, self.proposed.violating_share),
            ("violating_increase", budget.violating_increase, self.violating_increase()),
            ("violation_minutes_a_day", budget.violation_minutes_a_day, minutes_a_day),
            ("scale_events_a_day", budget.scale_events_a_day, self.proposed.scale_events_a_day()),
        ];
        let exceeded = checks.into_iter().filter_map(|(name, allowed, found)| {
            let allowed = allowed?;
            let holds = found <= allowed;
            (!holds).then(|| Exceeded { trace: self.trace.clone(), budget: name.to_owned(), allowed, found })
        });
        exceeded.collect()
    }
}

impl fmt::Display for PolicyDiff {
    /// Writes a line for each figure: current, proposed, difference.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (a, b) = (&self.current, &self.proposed);
        writeln!(f, "{}: current -> proposed", self.trace)?;
        writeln!(
            f,
            "  pod-hours          {:.1} -> {:.1} ({:+.2} %)",
            a.pod_hours,
            b.pod_hours,
            100.0 * self.cost_increase()
        )?;
        if let (Some(a), Some(b)) = (a.cost, b.cost) {
            writeln!(f, "  cost               {a:.2} -> {b:.2} ({:+.2})", b - a)?;
        }
        writeln!(
            f,
            "  violating requests {:.4} % -> {:.4} % ({:+.4} points)",
            100.0 * a.violating_share,
            100.0 * b.violating_share,
            100.0 * self.violating_increase()
        )?;
        writeln!(f, "  violation minutes  {:.1} -> {:.1}", a.violation_minutes, b.violation_minutes)?;
        writeln!(f, "  dropped requests   {:.0} -> {:.0}", a.dropped_requests, b.dropped_requests)?;
        writeln!(f, "  changes a day      {:.1} -> {:.1}", a.scale_events_a_day(), b.scale_events_a_day())?;
        write!(f, "  peak pods          {} -> {}", a.peak_pods, b.peak_pods)
    }
}
