//! A check that needs nothing but what the loop sees: [`ObservedHealth`].

use std::time::Duration;

use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::stats::quantile;
use scaling_core::{Columns, Observation, SignalKind, Target};

use super::{Change, Health, HealthCheck, Look};

/// Times that a value must be of what it was before the change, so that the change is to blame.
const TIMES: f64 = 2.0;

/// Harm as the source of the loop shows it: requests that fail beyond an error budget, that take longer than the
/// [objective](scaling_core::Objective) of the workload allows, or pods that do not get ready.
///
/// - **Errors**: more than [`error_budget_percent`](Self::error_budget_percent) of the requests fail.
/// - **Waiting**: the response time is above `objective.wait`.
/// - **Readiness**: one [start-up](scaling_core::WorkloadFacts::start_up) after the change or later, fewer than
///   [`ready_share`](Self::ready_share) of the pods are ready that are asked for. Of these, no more count than were ready before the
///   change: others may be starting.
///
/// The first two count only if they are twice what they were before the change. Before is the median of the samples in
/// [`before`](Self::before): a workload that was ill already is not made well by an undo. Where the history does not reach back to the change, such a
/// value is [unknown](Health::Unknown) and not harm. Without requests there is nothing to fail or to wait.
///
/// It watches changes that lower a bound. One that only raises bounds takes nothing away, and to undo it heals no error.
///
/// ```
/// use scaling_core::chrono::{DateTime, TimeDelta};
/// use scaling_core::{Bounds, HpaState, Observation, ScalingMetrics, SignalKind, Target};
/// use scaling_k8s::history::{Change, Health, HealthCheck, Look, ObservedHealth};
///
/// let (at, target) = (DateTime::UNIX_EPOCH + TimeDelta::hours(1), Target::deployment("shop", "web"));
/// let sample = |minute, errors| {
///     let metrics = ScalingMetrics::new(at + TimeDelta::minutes(minute), 3);
///     metrics.with(SignalKind::RequestRate, 50.0).with(SignalKind::ErrorRate, errors)
/// };
/// let (before, after) = (Bounds::new(6, 12)?, Bounds::new(2, 12)?);
/// let (who, why) = ("kube-scaling".to_owned(), "less load".to_owned());
/// let change = Change { number: 1, at, who, why, before, after, resting: None, uncertain: false, undo: false };
///
/// let (seen, _) = Observation::from_samples(target.clone(), vec![sample(-1, 0.1), sample(3, 6.0)]).unwrap();
/// let state = HpaState::new(change.after);
/// let health = ObservedHealth::default().check(&target, &change, &Look::new(state, seen.now).seen(Some(&seen)));
/// assert_eq!(health.to_string(), "burning: 6 % of the requests fail, the budget is 1 %, and it was 0.1 % before the change");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ObservedHealth {
    /// Share of the requests that may fail, in percent. Default: 1.
    pub error_budget_percent: f64,
    /// Share of the pods that are asked for that must be ready, from 0 to 1. Default: 0.5.
    pub ready_share: f64,
    /// Time before the change whose samples tell how it was. Default: 10 minutes.
    pub before: Duration,
}

impl Default for ObservedHealth {
    fn default() -> Self {
        Self { error_budget_percent: 1.0, ready_share: 0.5, before: Duration::from_secs(600) }
    }
}

/// Finding about one thing.
enum Finding {
    Well,
    Burning(String),
    Unknown(String),
    /// There is nothing to judge, and nothing that should be.
    Moot,
}

impl HealthCheck for ObservedHealth {
    fn check(&mut self, _: &Target, change: &Change, look: &Look<'_>) -> Health {
        let Some(seen) = look.observation else {
            return Health::Unknown("nothing is seen of the workload".to_owned());
        };
        if seen.current.timestamp <= change.at {
            return Health::Unknown("the metrics are not newer than the change".to_owned());
        }
        let wait = seen.facts.objective.wait.as_secs_f64() * 1000.0;
        let errors = (SignalKind::ErrorRate, self.error_budget_percent, "% of the requests fail, the budget is", "%");
        let waiting = (SignalKind::ResponseTime, wait, "ms is the response time, the objective is", "ms");
        let findings =
            [self.compared(seen, change, errors), self.compared(seen, change, waiting), self.ready(seen, change)];
        let (mut unknown, mut well) = (None, false);
        for finding in findings {
            match finding {
                Finding::Burning(why) => return Health::Burning(why),
                Finding::Unknown(why) => unknown = unknown.or(Some(why)),
                Finding::Well => well = true,
                Finding::Moot => {}
            }
        }
        match unknown {
            Some(why) => Health::Unknown(why),
            None if well => Health::Healthy,
            None => Health::Unknown("neither errors nor response times nor ready pods are measured".to_owned()),
        }
    }

    fn watches(&self, change: &Change) -> bool {
        change.lowers()
    }
}

impl ObservedHealth {
    /// A signal against its limit and against what it was before.
    fn compared(
        &self,
        seen: &Observation,
        change: &Change,
        (kind, limit, what, unit): (SignalKind, f64, &str, &str),
    ) -> Finding {
        if seen.current.value(SignalKind::RequestRate) == Some(0.0) {
            // Nothing arrives: nothing fails.
            return Finding::Well;
        }
        let Some(now) = seen.current.value(kind) else {
            return match seen.absences().find(|(absent, _)| *absent == kind) {
                Some((_, absence)) => Finding::Unknown(format!("{kind} is missing: {absence}")),
                None => Finding::Moot,
            };
        };
        // A limit that is no number is none.
        if now <= limit || limit.is_nan() {
            return Finding::Well;
        }
        let said = format!("{} {what} {} {unit}", rounded(now), rounded(limit));
        match self.median_before(seen, change.at, |columns| columns.column(kind)) {
            Some(before) if now >= before * TIMES => {
                Finding::Burning(format!("{said}, and it was {} {unit} before the change", rounded(before)))
            }
            Some(_) => Finding::Well,
            None => Finding::Unknown(format!("{said}; how it was before the change is not known")),
        }
    }

    fn median_before(
        &self,
        seen: &Observation,
        at: DateTime<Utc>,
        column: impl for<'a> Fn(Columns<'a>) -> &'a [f64],
    ) -> Option<f64> {
        let until = at.timestamp_millis();
        let reach = TimeDelta::from_std(self.before).unwrap_or(TimeDelta::MAX).num_milliseconds();
        let columns = seen.history.before(until.saturating_add(1));
        let from = columns.times().partition_point(|time| *time < until.saturating_sub(reach));
        let values = column(columns).get(from..).unwrap_or_default();
        let mut values: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        quantile(&mut values, 0.5)
    }

    /// Ready pods against those that are asked for, once the change has had time to settle.
    fn ready(&self, seen: &Observation, change: &Change) -> Finding {
        let (Some(ready), Some(asked)) = (seen.current.current_pod_count, seen.current.desired_pod_count) else {
            return Finding::Moot;
        };
        let start_up = seen.facts.start_up.saturating_add(seen.facts.metrics_lag);
        let start_up = TimeDelta::from_std(start_up).unwrap_or(TimeDelta::MAX);
        if change.at.checked_add_signed(start_up).is_none_or(|settled| seen.current.timestamp < settled) {
            return Finding::Moot;
        }
        let Some(before) = self.median_before(seen, change.at, |columns| columns.pods()) else { return Finding::Moot };
        let asked = f64::from(asked).min(before);
        if f64::from(ready) >= asked * self.ready_share.clamp(0.0, 1.0) {
            return Finding::Well;
        }
        Finding::Burning(format!(
            "{ready} pods are ready, of {asked} that are asked for and were ready before the change"
        ))
    }
}

/// Three digits are enough to be read.
fn rounded(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
