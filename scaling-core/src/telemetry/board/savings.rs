//! [`Savings`]: what the HPA alone would have cost over the load that the board saw.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Mutex, PoisonError, TryLockError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::Board;
use super::kept::{Kept, LoadUnit};
use crate::backtest::{Candidate, ClusterModel, Driver, SampleTime, Scenario, Score, Trace, score_one};
use crate::bounds::HardLimits;
use crate::decision::ScalingDecision;
use crate::engine::{DecisionEngine, EngineError};
use crate::hpa::{ControllerConfig, HpaSpec};
use crate::metrics::{Observation, ScalingMetrics, SignalKind, WorkloadFacts};
use crate::state::ApplyMode;
use crate::target::Target;

/// Time between two comparisons of one workload, by the clock of its ticks.
const EVERY: TimeDelta = TimeDelta::minutes(5);
/// Load that a comparison needs at least.
const LEAST: TimeDelta = TimeDelta::hours(1);

/// The HPA that a workload would have without us, and what is known of its pods.
#[derive(Clone, Debug, PartialEq)]
pub struct HpaAlone {
    /// Specification, with the bounds of its owner.
    pub spec: HpaSpec,
    /// Start-up time, lag, objective, requests; the [capacity](WorkloadFacts::pod_capacity) of a pod, if it is declared.
    pub facts: WorkloadFacts,
}

/// The pods as they ran beside those of the HPA alone, both replayed over the load that was seen: same requests, same pods, same
/// queue. What was really paid and suffered may differ from either.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Savings {
    /// Length of what was compared, in hours.
    pub hours: f64,
    /// Pods as they ran.
    pub ours: Cost,
    /// Pods under the HPA alone.
    pub alone: Cost,
    /// Length of the slots in which the load is known, in seconds: shorter peaks are not in it.
    pub slot_s: i64,
    /// Load that a pod carries at full utilization, in the unit of the load.
    pub pod_capacity: f64,
    /// True if the capacity was learnt by the engine rather than declared.
    pub learnt: bool,
}

/// Cost of one of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// Hours of pods paid for.
    pub pod_hours: f64,
    /// Share of requests that waited longer than the objective, or were dropped.
    pub violating_share: f64,
}

impl Cost {
    fn of(score: &Score) -> Self {
        Self { pod_hours: score.pod_hours, violating_share: score.violating_share }
    }
}

/// Why there is no comparison. No number stands in for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoSavings {
    /// The board does not know the workload.
    #[error("no tick of this workload was recorded")]
    Unknown,
    /// The host gave no HPA.
    #[error("the program was given no HPA of this workload to compare with")]
    NoHpa,
    /// Nothing is changed in this mode.
    #[error("in mode {0} nothing is changed, so that nothing is saved")]
    DryRun(ApplyMode),
    /// No load is declared.
    #[error("no load is known: neither a request rate nor CPU utilization is declared")]
    NoLoad,
    /// Nobody knows the pods.
    #[error("the number of pods is not known")]
    NoPods,
    /// Nobody knows what a pod carries.
    #[error("what a pod carries is neither declared nor learnt")]
    NoCapacity,
    /// Too little was seen.
    #[error("{} min of load were seen since changes are applied, and an hour is needed", .0.num_minutes())]
    TooShort(TimeDelta),
    /// The replay refused.
    #[error("the replay is not possible: {0}")]
    Replay(String),
    /// Another comparison is under way.
    #[error("it is being worked out")]
    Busy,
}

type Answer = Result<Savings, NoSavings>;

/// HPAs to compare with, and the last comparisons.
#[derive(Debug, Default)]
pub(super) struct Comparisons {
    alone: Mutex<BTreeMap<Target, HpaAlone>>,
    /// By target, with the tick that it was made at. Held while one is worked out: one at a time.
    last: Mutex<BTreeMap<Target, (DateTime<Utc>, Answer)>>,
}

impl Comparisons {
    pub(super) fn forget(&self, target: &Target) {
        self.alone.lock().unwrap_or_else(PoisonError::into_inner).remove(target);
        // Of a comparison that is under way nothing is kept that a new tick of the workload would not replace.
        if let Ok(mut last) = self.last.try_lock() {
            last.remove(target);
        }
    }
}

impl Board {
    /// Says which HPA a workload would have without us, so that [`Board::savings`] can compare.
    pub fn compare(&self, target: Target, alone: HpaAlone) {
        self.comparisons.alone.lock().unwrap_or_else(PoisonError::into_inner).insert(target, alone);
    }

    /// Returns what the HPA alone would have cost over the load that was seen, a day at most.
    ///
    /// Worked out when asked for, at most once in five minutes of ticks, one workload at a time; it takes some hundredths of a second,
    /// so it is nothing for an async task. No tick waits for it.
    ///
    /// # Errors
    /// [`NoSavings`] with the reason why there is no figure.
    pub fn savings(&self, target: &Target) -> Answer {
        let alone = self.comparisons.alone.lock().unwrap_or_else(PoisonError::into_inner).get(target).cloned();
        let (newest, seen) = {
            let state = self.state();
            let kept = state.targets.get(target).ok_or(NoSavings::Unknown)?;
            (kept.last, Seen::of(kept))
        };
        let mut last = match self.comparisons.last.try_lock() {
            Ok(last) => last,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(NoSavings::Busy),
        };
        if let Some((at, answer)) = last.get(target) {
            if *at <= newest && newest.signed_duration_since(*at) < EVERY {
                return answer.clone();
            }
        }
        let answer = alone.ok_or(NoSavings::NoHpa).and_then(|alone| seen?.compared(&alone));
        last.insert(target.clone(), (newest, answer.clone()));
        answer
    }
}

/// What was seen of a workload, as far as it matters here.
struct Seen {
    unit: LoadUnit,
    slot_s: i64,
    per_pod: Option<f64>,
    /// Beginning of each slot in seconds, load, pods.
    slots: Vec<(i64, Option<f64>, Option<u32>)>,
}

impl Seen {
    fn of(kept: &Kept) -> Result<Self, NoSavings> {
        if kept.mode != ApplyMode::Apply {
            return Err(NoSavings::DryRun(kept.mode));
        }
        let since = kept.mode_since.timestamp();
        let slots = kept.series.points().filter(|(at, _)| *at >= since);
        Ok(Self {
            unit: kept.unit.ok_or(NoSavings::NoLoad)?,
            slot_s: kept.series.width_s(),
            per_pod: kept.per_pod,
            slots: slots.map(|(at, point)| (at, point.load().map(f64::from), point.pods())).collect(),
        })
    }

    fn compared(&self, alone: &HpaAlone) -> Answer {
        let mut loads = self.slots.iter().filter(|(_, load, _)| load.is_some());
        let length = match (loads.clone().next(), loads.next_back()) {
            (Some((first, ..)), Some((last, ..))) => TimeDelta::seconds(last.saturating_sub(*first)),
            _ => TimeDelta::zero(),
        };
        if length < LEAST {
            return Err(NoSavings::TooShort(length));
        }
        let pods: Vec<_> = self.slots.iter().filter_map(|(at, _, pods)| Some((*at, (*pods)?))).collect();
        let most = pods.iter().map(|(_, pods)| *pods).max().ok_or(NoSavings::NoPods)?;
        let (pod_capacity, learnt) = match (self.unit, alone.facts.pod_capacity, self.per_pod) {
            (LoadUnit::PodsFilled, ..) => (1.0, false),
            (_, Some(declared), _) => (declared, false),
            (_, None, Some(learnt)) => (learnt, true),
            (_, None, None) => return Err(NoSavings::NoCapacity),
        };
        let failed = |error: &dyn std::fmt::Display| NoSavings::Replay(error.to_string());
        let own = alone.spec.bounds().map_err(|error| failed(&error))?;
        let limits = HardLimits::new(0, own.max().max(most).max(1)).map_err(|error| failed(&error))?;
        let scenario = self.scenario(alone, pod_capacity, limits)?;
        let start_up_s = i64::try_from(alone.facts.start_up.as_secs()).unwrap_or(i64::MAX);
        let as_seen =
            Candidate::direct("as seen", move |_| Ok(Driver::direct(AsSeen { pods: pods.clone(), start_up_s })));
        let hpa = Candidate::hpa("the HPA alone", alone.spec.clone(), ControllerConfig::default());
        let [ours, alone] = [as_seen, hpa].map(|candidate| score(&scenario, &candidate));
        let (ours, alone) = (ours?, alone?);
        let (hours, slot_s) = (alone.hours, self.slot_s);
        Ok(Savings { hours, ours: Cost::of(&ours), alone: Cost::of(&alone), slot_s, pod_capacity, learnt })
    }

    fn scenario(&self, alone: &HpaAlone, pod_capacity: f64, limits: HardLimits) -> Result<Scenario, NoSavings> {
        let samples = self.slots.iter().filter_map(|(at, load, pods)| {
            let mut sample = ScalingMetrics::new(DateTime::from_timestamp(*at, 0)?, 0);
            sample.current_pod_count = *pods;
            Some(match (self.unit, load, pods) {
                (LoadUnit::RequestsPerSecond, Some(rate), _) => sample.with(SignalKind::RequestRate, *rate),
                (LoadUnit::PodsFilled, Some(filled), Some(pods)) if *pods > 0 => {
                    sample.with(SignalKind::CpuUtilization, filled / f64::from(*pods) * 100.0)
                }
                (_, None, _) | (LoadUnit::PodsFilled, ..) => sample,
            })
        });
        let trace = Trace::from_samples("seen", samples.collect(), SampleTime::Starts);
        let facts = &alone.facts;
        let whole = |duration: Duration| Duration::from_secs(duration.as_secs());
        let model = ClusterModel {
            pod_capacity,
            limits,
            start_up: whole(facts.start_up),
            sync_period: whole(facts.sync_period).max(Duration::from_secs(1)),
            metrics_lag: whole(facts.metrics_lag),
            metrics_window: whole(facts.metrics_window).max(Duration::from_secs(1)),
            objective: facts.objective.wait,
            patience: facts.objective.patience,
            ..ClusterModel::default()
        };
        let trace = trace.map_err(|error| NoSavings::Replay(error.to_string()))?;
        Ok(Scenario { history_share: 0.0, facts: facts.clone(), ..Scenario::new(trace, model) })
    }
}

/// Replays one of them. Nothing in it waits, so that one poll is the whole.
fn score(scenario: &Scenario, candidate: &Candidate) -> Result<Score, NoSavings> {
    let replay = pin!(score_one(scenario, candidate, &()));
    match replay.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(score) => score.map_err(|error| NoSavings::Replay(error.to_string())),
        Poll::Pending => Err(NoSavings::Busy),
    }
}

/// Asks for the pods that ran: those that will be ready once a pod created now is, and none less than are ready now.
struct AsSeen {
    /// Seconds and ready pods, in order.
    pods: Vec<(i64, u32)>,
    start_up_s: i64,
}

impl AsSeen {
    fn at(&self, second: i64) -> Option<u32> {
        let next = self.pods.partition_point(|(at, _)| *at <= second);
        // Before the first the first is as good as any.
        self.pods.get(next.saturating_sub(1)).map(|(_, pods)| *pods)
    }
}

#[async_trait]
impl DecisionEngine for AsSeen {
    fn name(&self) -> &'static str {
        "as seen"
    }

    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let now = observation.now.timestamp();
        let current = observation.current.replicas().ok_or(EngineError::NoPodCount)?;
        let pods = self.at(now).max(self.at(now.saturating_add(self.start_up_s))).unwrap_or(current);
        Ok(ScalingDecision::replicas("as seen", observation.current.timestamp, current, pods).with_confidence(1.0))
    }
}
