//! The situation in which two sizes are compared: load, pods and times, as far as they are known.

use std::time::Duration;

use scaling_core::backtest::{Hold, HoldStart};
use scaling_core::{NeedDriver, Observation, Reason, ReplayVerdict, ScalingDecision, SignalKind, Urgency};

use super::past::LoadSignal;

/// Utilization in percent from which on pods count as full, so that load may be higher than what is seen.
const FULL_PERCENT: f64 = 95.0;

/// Steps of a path at most; for long start-up times the steps become longer.
const STEPS_AT_MOST: f64 = 64.0;

/// Least length of a step in seconds: the HPA's sync period.
const LEAST_STEP_S: f64 = 15.0;

/// Longest time until a decision takes effect that is replayed.
const REACTION_AT_MOST: Duration = Duration::from_secs(6 * 3600);

/// Load and pods now. Work is in pods' worth: what one pod does at full utilization.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Present {
    pub(super) signal: LoadSignal,
    /// Load in the unit of its signal.
    pub(super) level: f64,
    /// The load in pods' worth.
    pub(super) work: f64,
    pub(super) start: HoldStart,
    /// True if pods are full, so that the load is hidden.
    pub(super) full: bool,
}

impl Present {
    /// Reads it; `None` if the load, the pods or what a pod carries is not known.
    pub(super) fn of(observation: &Observation, baseline: &ScalingDecision) -> Option<Self> {
        let metrics = &observation.current;
        let pods = metrics.replicas()?;
        let ready = metrics.current_pod_count?.min(pods);
        let per_pod = per_pod(observation, baseline);
        let cpu = metrics.value(SignalKind::CpuUtilization);
        let used = cpu.map(|percent| percent / 100.0 * f64::from(metrics.current_pod_count.unwrap_or(ready)));
        let rate = metrics.value(SignalKind::RequestRate);
        let by_rate = rate.zip(per_pod).map(|(rate, per_pod)| rate / per_pod);
        // Whichever is more: a declared capacity may be wrong, and so may a share of CPU that is not the load's.
        let work = by_rate
            .into_iter()
            .chain(used)
            .fold(None, |most: Option<f64>, work| Some(most.map_or(work, |most| most.max(work))))?;
        let (signal, level) = match (rate, used) {
            (Some(rate), _) => (LoadSignal::Rate, rate),
            (None, used) => (LoadSignal::Cpu, used?),
        };
        let waiting = metrics.value(SignalKind::QueueDepth).zip(per_pod);
        let backlog = waiting.map_or(0.0, |(waiting, per_pod)| waiting / per_pod);
        (work.is_finite() && level.is_finite() && backlog.is_finite()).then_some(Self {
            signal,
            level,
            work,
            start: HoldStart { pods, ready, backlog },
            full: cpu.is_some_and(|percent| percent >= FULL_PERCENT),
        })
    }

    /// Returns true if more work came than the ready pods could do, or as much as they could.
    pub(super) fn overloaded(&self) -> bool {
        self.full || self.work > f64::from(self.start.ready)
    }
}

/// Requests per second of one pod at full utilization: as the baseline has it or, where it does not say, as the host declared it.
fn per_pod(observation: &Observation, baseline: &ScalingDecision) -> Option<f64> {
    let usable = |per_pod: &f64| per_pod.is_normal() && *per_pod > 0.0;
    let said = baseline.reasons.iter().find_map(|reason| match reason {
        Reason::Capacity { load: Some(SignalKind::RequestRate), per_pod, .. } => *per_pod,
        _ => None,
    });
    said.filter(usable).or(observation.facts.pod_capacity.filter(usable))
}

/// Times of the replay, in steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Times {
    pub(super) step_s: f64,
    /// From the newest sample until the next decision after this one can take effect.
    pub(super) steps: usize,
    pub(super) hold: Hold,
}

impl Times {
    /// Reads the facts; `None` if they are no times that can be replayed.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // at most hours over seconds
    pub(super) fn of(observation: &Observation) -> Option<Self> {
        let facts = &observation.facts;
        // What is decided now acts at once; a wrong size is seen, decided about and mended after all of these.
        let mended = [facts.metrics_lag, facts.metrics_window, facts.sync_period, facts.start_up];
        let reaction = mended.into_iter().try_fold(Duration::ZERO, Duration::checked_add)?;
        let total_s = reaction.checked_add(facts.metrics_lag).filter(|total| *total <= REACTION_AT_MOST)?.as_secs_f64();
        let step_s = LEAST_STEP_S.max(total_s / STEPS_AT_MOST);
        let whole = |duration: Duration| (duration.as_secs_f64() / step_s).ceil() as usize;
        let wait_s = facts.objective.wait.as_secs_f64();
        let decided = whole(facts.metrics_lag);
        let hold = Hold {
            step_s,
            start_up: whole(facts.start_up),
            decided,
            pod_capacity: 1.0,
            objective_s: wait_s,
            patience_s: facts.objective.patience.as_secs_f64().max(wait_s),
        };
        Some(Self { step_s, steps: decided + whole(reaction).max(1), hold })
    }
}

/// The reason why nothing below the baseline's request is replayed at all, if there is one.
pub(super) fn keeps_from_less(
    observation: &Observation,
    baseline: &ScalingDecision,
    proposed: u32,
) -> Option<ReplayVerdict> {
    if observation.absences().next().is_some() {
        return Some(ReplayVerdict::SignalAbsent);
    }
    let above = |replicas: f64| replicas > f64::from(proposed);
    let other = baseline.reasons.iter().any(|reason| match reason {
        Reason::Need { driver: NeedDriver::Memory | NeedDriver::Overload, replicas } => above(*replicas),
        Reason::MemoryPressure { .. }
        | Reason::Saturated { .. }
        | Reason::Errors { .. }
        | Reason::SlowResponses { .. }
        | Reason::HeldForAbsence { .. }
        | Reason::ScaledToZero
        | Reason::Schedule { .. }
        | Reason::Event { .. } => true,
        _ => false,
    });
    (other || baseline.urgency >= Urgency::High).then_some(ReplayVerdict::OtherNeed)
}
