//! [`Score`]: the cost of a policy, and the requests that it kept waiting.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::cluster::wait;
use super::notes::Note;
use super::{ClusterModel, Run};
use crate::stats::weighted_quantile;
use crate::{DecisionRecord, Outcome, Price};

/// Three quantiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// The median.
    pub p50: f64,
    /// Exceeded one time in twenty.
    pub p95: f64,
    /// Exceeded one time in a hundred.
    pub p99: f64,
}

/// Outcomes of the decisions of an engine, at the ticks that count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decisions {
    /// Ticks.
    pub ticks: u64,
    /// Ticks that changed bounds.
    pub applied: u64,
    /// Ticks in which each guard allowed less than was asked for.
    pub limited: BTreeMap<String, u64>,
    /// Ticks in which each guard refused.
    pub refused: BTreeMap<String, u64>,
    /// Ticks in which a step failed: no data, or no answer.
    pub failed: u64,
}

impl Decisions {
    pub(super) fn take(&mut self, record: &DecisionRecord) {
        self.ticks += 1;
        for clamp in &record.clamps {
            count(&mut self.limited, &clamp.guard);
        }
        match &record.outcome {
            Outcome::Applied => self.applied += 1,
            Outcome::Refused { guard, .. } => count(&mut self.refused, guard),
            Outcome::Failed { .. } => self.failed += 1,
            Outcome::Unchanged { .. } | Outcome::Planned | Outcome::Validated => {}
        }
    }
}

/// Adds one to the count of a name, which is copied only the first time.
fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    match counts.get_mut(name) {
        Some(number) => *number += 1,
        None => {
            counts.insert(name.to_owned(), 1);
        }
    }
}

impl fmt::Display for Decisions {
    /// Writes the guards that limited or refused, most often first, and how often no decision was made.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut total: BTreeMap<&str, u64> = BTreeMap::new();
        for (guard, number) in self.limited.iter().chain(&self.refused) {
            *total.entry(guard).or_default() += number;
        }
        let mut total: Vec<_> = total.into_iter().collect();
        total.sort_by_key(|(guard, number)| (std::cmp::Reverse(*number), *guard));
        let mut parts: Vec<_> = total.iter().map(|(guard, number)| format!("{guard} {number}")).collect();
        if self.failed > 0 {
            parts.push(format!("no decision {}", self.failed));
        }
        f.write_str(&parts.join(", "))
    }
}

/// The outcome of one policy over one trace: cost beside pain. Free of wall time, so that two runs give the same bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Length of the scored part of the trace, in hours.
    pub hours: f64,
    /// Requests that arrived.
    pub requests: f64,
    /// Requests that arrived to a wait longer than the objective, or were dropped.
    pub violating_requests: f64,
    /// Share of violating requests in all.
    pub violating_share: f64,
    /// Minutes in which requests that arrived violated.
    pub violation_minutes: f64,
    /// Requests dropped.
    pub dropped_requests: f64,
    /// Hours of pods paid for.
    pub pod_hours: f64,
    /// Pod-hours over the least that any schedule could have had at the same share of violating requests, all load known in
    /// advance: "× oracle". 1 cannot be beaten. Policies that violate differently are compared by it: each is held against the
    /// schedule that violates as much as it does. None without an oracle, or where no pod was needed at all.
    pub oracle_ratio: Option<f64>,
    /// Cost of the pods, if a price is known.
    pub cost: Option<f64>,
    /// Most pods at a time.
    pub peak_pods: u32,
    /// Changes of the size that was asked for.
    pub scale_events: u64,
    /// Changes of bounds that an engine had applied, each a write to the API server. 0 where the HPA alone decided.
    pub bound_changes: u64,
    /// Share of the ready pods' capacity that was used, over time.
    pub utilization: Quantiles,
    /// Seconds that requests waited, over requests.
    pub wait_seconds: Quantiles,
    /// Outcomes of the engine's decisions; none where the HPA alone decided.
    pub decisions: Option<Decisions>,
    /// Circumstances that kept the policy from acting.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
}

/// A policy is better than another if it costs no more and violates no more, and one of the two less. Most pairs are neither.
impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let cost = self.pod_hours.partial_cmp(&other.pod_hours)?;
        let violations = self.violating_share.partial_cmp(&other.violating_share)?;
        match (cost, violations) {
            (cost, violations) if cost == violations => Some(cost),
            (Ordering::Equal, other) | (other, Ordering::Equal) => Some(other),
            _ => None,
        }
    }
}

impl Score {
    /// Scores a run.
    pub fn of(run: &Run, model: &ClusterModel, price: Option<&Price>, decisions: Option<Decisions>) -> Self {
        let step_hours = model.step().as_secs_f64() / 3600.0;
        let (mut steps, mut pod_steps, mut peak_pods) = (0_u64, 0_u64, 0);
        let (mut requests, mut violating, mut violating_s, mut dropped) = (0.0, 0.0, 0.0, 0.0);
        let mut utilizations = Vec::with_capacity(run.steps.len());
        let mut waits = Vec::with_capacity(run.steps.len());
        for step in run.scored() {
            steps += 1;
            pod_steps += u64::from(step.pods);
            peak_pods = peak_pods.max(step.pods);
            requests += step.arrived;
            violating += step.violating;
            violating_s += step.violating_s;
            dropped += step.dropped;
            utilizations.push((step.utilization, 1.0));
            waits.push((wait(step, model), step.arrived));
        }
        let pod_hours = pod_steps as f64 * step_hours;
        Self {
            hours: steps as f64 * step_hours,
            requests,
            violating_requests: violating,
            violating_share: if requests > 0.0 { (violating / requests).min(1.0) } else { 0.0 },
            violation_minutes: violating_s / 60.0,
            dropped_requests: dropped,
            pod_hours,
            oracle_ratio: None,
            cost: price.map(|price| price.pod_hour() * pod_hours),
            peak_pods,
            scale_events: run.scale_events,
            bound_changes: decisions.as_ref().map_or(0, |decisions| decisions.applied),
            notes: Note::of(run, decisions.as_ref()),
            utilization: quantiles(utilizations),
            wait_seconds: quantiles(waits),
            decisions,
        }
    }

    /// Returns the changes of the size per day.
    pub fn scale_events_a_day(&self) -> f64 {
        self.a_day(self.scale_events)
    }

    /// Returns the changes of bounds per day.
    pub fn bound_changes_a_day(&self) -> f64 {
        self.a_day(self.bound_changes)
    }

    fn a_day(&self, times: u64) -> f64 {
        if self.hours > 0.0 { times as f64 * 24.0 / self.hours } else { 0.0 }
    }
}

/// Computes quantiles of weighted values; 0 without any.
fn quantiles(mut values: Vec<(f64, f64)>) -> Quantiles {
    let mut at = |share: f64| weighted_quantile(&mut values, share).unwrap_or(0.0);
    Quantiles { p50: at(0.5), p95: at(0.95), p99: at(0.99) }
}

#[cfg(test)]
#[allow(clippy::float_cmp)] // computed exactly
mod tests {
    use super::*;
    use crate::Currency;
    use crate::backtest::{StepSeen, Syncs};

    fn step(arrived: f64, pods: u32, violating: f64) -> StepSeen {
        StepSeen {
            arrived,
            pods,
            ready: pods,
            utilization: 0.5,
            backlog: violating,
            violating,
            violating_s: if violating > 0.0 { 15.0 } else { 0.0 },
            dropped: 0.0,
            counts: !arrived.is_nan(),
        }
    }

    fn score(mut steps: Vec<StepSeen>, unscored: usize) -> Score {
        steps.iter_mut().take(unscored).for_each(|step| step.counts = false);
        let run = Run { steps, scale_events: 3, syncs: Syncs::default() };
        let price = Price::per_pod_hour(0.5, Currency::USD).unwrap();
        Score::of(&run, &ClusterModel::default(), Some(&price), None)
    }

    #[test]
    fn what_does_not_count_does_not() {
        let gap = step(f64::NAN, 90, 0.0);
        let seen = score(vec![step(100.0, 50, 9.0), step(100.0, 4, 0.0), gap, step(300.0, 8, 40.0)], 1);
        assert_eq!((seen.requests, seen.violating_requests, seen.violating_share), (400.0, 40.0, 0.1));
        assert_eq!((seen.violation_minutes, seen.peak_pods), (0.25, 8));
        assert!((seen.pod_hours - 12.0 / 240.0).abs() < 1e-12 && (seen.hours - 2.0 / 240.0).abs() < 1e-12);
        assert!((seen.cost.unwrap() - seen.pod_hours / 2.0).abs() < 1e-12);
        // Three in four requests came to 40 waiting in front of 8 pods of 50 a second.
        assert!((seen.wait_seconds.p50 - 0.1).abs() < 1e-12 && seen.utilization.p99 == 0.5);
    }

    #[test]
    fn without_a_pod_those_who_come_wait_until_they_give_up() {
        let seen = score(vec![StepSeen { ready: 0, backlog: 0.0, ..step(100.0, 4, 100.0) }], 0);
        assert_eq!(seen.wait_seconds.p50, 30.0);
    }

    #[test]
    fn better_is_better_in_both() {
        let (few, many) = (score(vec![step(1.0, 4, 0.5)], 0), score(vec![step(1.0, 5, 0.0)], 0));
        assert_eq!(few.partial_cmp(&many), None, "cheaper, but worse for users");
        let worst = score(vec![step(1.0, 5, 0.5)], 0);
        assert!(few < worst && many < worst && worst.partial_cmp(&worst) == Some(Ordering::Equal));
    }

    #[test]
    fn nothing_scored_is_all_zero() {
        let nothing = score(Vec::new(), 0);
        assert_eq!((nothing.violating_share, nothing.scale_events_a_day(), nothing.utilization.p50), (0.0, 0.0, 0.0));
    }

    #[test]
    fn guards_are_counted_and_named_most_often_first() {
        let mut decisions = Decisions::default();
        for guard in ["step", "cooldown", "step"] {
            count(&mut decisions.limited, guard);
        }
        count(&mut decisions.refused, "confidence");
        assert_eq!(decisions.to_string(), "step 2, confidence 1, cooldown 1");
        decisions.failed = 7;
        assert_eq!(
            decisions.to_string(),
            "step 2, confidence 1, cooldown 1, no decision 7",
            "an engine that fails is no calm one"
        );
    }
}
