//! [`PolicyDiff`]: a change of policy as a gate.
//!
//! Two candidates over the same traffic, the policy as it is and as it is proposed, differ in pod-hours, cost and violations. A
//! stated [`Budget`] says how much of that may pass. Over traffic without a single request every budget would hold, so such a
//! comparison is refused.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::report::{CandidateReport, TraceReport};
use super::score::Score;
use crate::stats::{grouped, significant};

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
    /// Changes of bounds a day under the proposed policy, each a write to the API server.
    pub bound_changes_a_day: Option<f64>,
}

/// Field of a [`Budget`], written as there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BudgetLimit {
    /// [`Budget::cost_increase`].
    CostIncrease,
    /// [`Budget::violating_share`].
    ViolatingShare,
    /// [`Budget::violating_increase`].
    ViolatingIncrease,
    /// [`Budget::violation_minutes_a_day`].
    ViolationMinutesADay,
    /// [`Budget::scale_events_a_day`].
    ScaleEventsADay,
    /// [`Budget::bound_changes_a_day`].
    BoundChangesADay,
}

impl BudgetLimit {
    /// Returns the name of the field.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CostIncrease => "cost_increase",
            Self::ViolatingShare => "violating_share",
            Self::ViolatingIncrease => "violating_increase",
            Self::ViolationMinutesADay => "violation_minutes_a_day",
            Self::ScaleEventsADay => "scale_events_a_day",
            Self::BoundChangesADay => "bound_changes_a_day",
        }
    }

    /// Returns the unit for people, and how many of it make 1: shares are told in percent.
    fn unit(self) -> (&'static str, f64) {
        match self {
            Self::CostIncrease | Self::ViolatingShare => (" %", 100.0),
            Self::ViolatingIncrease => (" percentage points", 100.0),
            Self::ViolationMinutesADay => (" min", 1.0),
            Self::ScaleEventsADay | Self::BoundChangesADay => ("", 1.0),
        }
    }
}

impl fmt::Display for BudgetLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
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
    pub budget: BudgetLimit,
    /// Limit, as in the budget: a share where that is one.
    pub allowed: f64,
    /// Value that was found, in the same unit.
    pub found: f64,
}

impl fmt::Display for Exceeded {
    /// Writes both numbers in the unit that people state limits in: percent for shares.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, scale) = self.budget.unit();
        let (found, allowed) = told_apart(self.found * scale, self.allowed * scale);
        write!(f, "{}: {} is {found}{unit}, allowed is {allowed}{unit}", self.trace, self.budget)
    }
}

/// Writes two numbers with as few digits, at least two, as tell them apart.
fn told_apart(a: f64, b: f64) -> (String, String) {
    let pairs = (2..=12).map(|digits| (format!("{a:.digits$}"), format!("{b:.digits$}")));
    let mut differing = pairs.filter(|(a, b)| a != b);
    differing.next().unwrap_or_else(|| (a.to_string(), b.to_string()))
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
            (BudgetLimit::CostIncrease, budget.cost_increase, self.cost_increase()),
            (BudgetLimit::ViolatingShare, budget.violating_share, self.proposed.violating_share),
            (BudgetLimit::ViolatingIncrease, budget.violating_increase, self.violating_increase()),
            (BudgetLimit::ViolationMinutesADay, budget.violation_minutes_a_day, minutes_a_day),
            (BudgetLimit::ScaleEventsADay, budget.scale_events_a_day, self.proposed.scale_events_a_day()),
            (BudgetLimit::BoundChangesADay, budget.bound_changes_a_day, self.proposed.bound_changes_a_day()),
        ];
        let exceeded = checks.into_iter().filter_map(|(limit, allowed, found)| {
            let allowed = allowed?;
            let holds = found <= allowed;
            (!holds).then(|| Exceeded { trace: self.trace.clone(), budget: limit, allowed, found })
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
            "  pod-hours          {} -> {} ({:+.2} %)",
            grouped(a.pod_hours, 1),
            grouped(b.pod_hours, 1),
            100.0 * self.cost_increase()
        )?;
        if let (Some(a), Some(b)) = (a.cost, b.cost) {
            let sign = if b < a { "" } else { "+" };
            let change = significant(b - a, 2);
            writeln!(f, "  cost               {} -> {} ({sign}{change})", significant(a, 2), significant(b, 2))?;
        }
        writeln!(
            f,
            "  violating requests {:.4} % -> {:.4} % ({:+.4} points)",
            100.0 * a.violating_share,
            100.0 * b.violating_share,
            100.0 * self.violating_increase()
        )?;
        writeln!(f, "  violation minutes  {} -> {}", grouped(a.violation_minutes, 1), grouped(b.violation_minutes, 1))?;
        let [da, db] = [a, b].map(|score| grouped(score.dropped_requests, 0));
        writeln!(f, "  dropped requests   {da} -> {db}")?;
        writeln!(f, "  changes a day      {:.1} -> {:.1}", a.scale_events_a_day(), b.scale_events_a_day())?;
        if a.bound_changes + b.bound_changes > 0 {
            writeln!(f, "  bounds a day       {:.1} -> {:.1}", a.bound_changes_a_day(), b.bound_changes_a_day())?;
        }
        write!(f, "  peak pods          {} -> {}", a.peak_pods, b.peak_pods)?;
        for (whose, score) in [("current", a), ("proposed", b)] {
            for note in &score.notes {
                write!(f, "\n  note: {whose}: {note}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_in_percent_out() {
        let exceeded = |budget, allowed, found| Exceeded { trace: "load".into(), budget, allowed, found }.to_string();
        assert_eq!(
            exceeded(BudgetLimit::ViolatingShare, 0.005, 0.0123),
            "load: violating_share is 1.23 %, allowed is 0.50 %"
        );
        assert_eq!(
            exceeded(BudgetLimit::ViolatingShare, 0.01, 0.010_000_2),
            "load: violating_share is 1.00002 %, allowed is 1.00000 %"
        );
        let changes = exceeded(BudgetLimit::ScaleEventsADay, 300.0, 445.0);
        assert_eq!(changes, "load: scale_events_a_day is 445.00, allowed is 300.00");
        let infinite = exceeded(BudgetLimit::CostIncrease, 0.1, f64::INFINITY);
        assert!(infinite.contains("is inf %, allowed is 10.00 %"), "{infinite}");
    }

    #[test]
    fn limits_are_written_like_the_fields_of_a_budget() {
        let limits = [
            BudgetLimit::CostIncrease,
            BudgetLimit::ViolatingShare,
            BudgetLimit::ViolatingIncrease,
            BudgetLimit::ViolationMinutesADay,
            BudgetLimit::ScaleEventsADay,
            BudgetLimit::BoundChangesADay,
        ];
        let fields = serde_json::to_value(Budget::default()).unwrap();
        for limit in limits {
            assert_eq!(serde_json::to_value(limit).unwrap(), limit.as_str());
            assert!(fields.get(limit.as_str()).is_some(), "{limit}");
        }
        assert_eq!(fields.as_object().unwrap().len(), limits.len());
    }
}
