//! The HPA's algorithm as a [`DecisionEngine`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::memory::{TargetMemory, key};
use crate::decision::{Reason, ScalingDecision, Urgency};
use crate::engine::{DecisionEngine, EngineError};
use crate::hpa::{
    Calculator, ControllerConfig, Hpa, HpaController, HpaMemory, HpaSpec, InvalidHpa, LimitReason, Metric, MetricError,
    MetricKind, PodTally, Proposal, Scale, ScaledObject, SyncResult, TargetValue,
};
use crate::metrics::{Observation, SignalKind, WorkloadFacts};
use crate::target::Target;

/// Request, in thousandths, with which a utilization is computed where the request is unknown: it cancels out of the result.
const ANY_REQUEST: i64 = 1000;

/// Engine that decides as the HPA's controller would.
///
/// It is the baseline for other engines, and the reactive part of engines that hold a floor.
///
/// An observation holds means over pods where the controller sees each pod, so ready pods are assumed to be alike and the others to
/// be starting. Metrics are found by name: `cpu` and `memory` as utilization of the request, and `request_rate_per_second` (or
/// `rps`, `requests_per_second`, …), `queue_depth` and `active_connections` for Pods, Object and External metrics. A metric that is
/// not observed has failed, and with a failed metric the algorithm does not shrink.
///
/// One engine serves many targets: it keeps recommendations and changes for each, as the controller does, of at most 10,000 targets
/// ([`HpaEngine::remembering`]). A change that it decided counts as made if the next observation shows its size. An observation of
/// the same instant gets the same decision again. If the clock goes back, memories of a later instant count as of now, so a
/// timestamp from the future has an effect for one stabilization window at most.
///
/// ```
/// use scaling_core::baseline::HpaEngine;
/// use scaling_core::hpa::{CrossVersionObjectReference, HpaSpec, MetricSpec};
/// use scaling_core::{Bounds, Observation, ScalingMetrics, SignalKind, Target, chrono::DateTime};
///
/// let mut spec = HpaSpec::new(CrossVersionObjectReference::deployment("web"), Bounds::new(2, 50)?);
/// spec.metrics = Some(vec![MetricSpec::utilization("cpu", 50)]);
/// let engine = HpaEngine::new(&spec)?;
///
/// let metrics = ScalingMetrics::new(DateTime::UNIX_EPOCH, 4).with(SignalKind::CpuUtilization, 75.0);
/// let decision = engine.evaluate(&Observation::new(Target::deployment("shop", "web"), metrics))?;
/// assert_eq!(decision.desired_replicas, 6, "75 % against 50 % on 4 pods");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct HpaEngine {
    hpa: Hpa,
    controller: HpaController,
    memory: Mutex<TargetMemory<State>>,
}

#[derive(Clone, Debug)]
struct State {
    at: DateTime<Utc>,
    /// Memory before that instant.
    before: HpaMemory,
    desired: i32,
    /// Memory if the size was changed.
    if_applied: HpaMemory,
    /// Memory if it was not.
    if_not: HpaMemory,
}

impl HpaEngine {
    /// Creates the engine of an HPA, with the default settings of the controller.
    ///
    /// # Errors
    /// [`InvalidHpa`] if the API server would have refused the HPA.
    pub fn new(spec: &HpaSpec) -> Result<Self, InvalidHpa> {
        Ok(Self { hpa: Hpa::try_from(spec)?, controller: HpaController::default(), memory: Mutex::default() })
    }

    /// Replaces the settings of the controller.
    #[must_use]
    pub fn with_controller(mut self, config: ControllerConfig) -> Self {
        self.controller = HpaController::new(config);
        self
    }

    /// Sets the number of targets that are remembered. Default 10,000, at least 1.
    ///
    /// Beyond it the least recently seen target is forgotten. A forgotten target starts as after a restart of the controller: the
    /// present size counts as recommended now, so it does not shrink before the stabilization window has passed.
    #[must_use]
    pub fn remembering(self, targets: usize) -> Self {
        self.memory().set_capacity(targets);
        self
    }

    /// Forgets a target, for hosts that no longer scale it.
    pub fn forget(&self, target: &Target) {
        self.memory().take(target);
    }

    fn memory(&self) -> MutexGuard<'_, TargetMemory<State>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides without a future, for hosts that are not asynchronous.
    ///
    /// # Errors
    /// [`EngineError::NoPodCount`] if the observation has no pod count.
    pub fn evaluate(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        self.evaluate_for(key(observation), observation)
    }

    fn evaluate_for(&self, target: Arc<Target>, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let current = observation.current.replicas().ok_or(EngineError::NoPodCount)?;
        let at = observation.now;
        let mut memory = self.memory();
        let mut object = Observed::new(observation, current);
        let mut before = match memory.take(&target) {
            Some(last) if last.at == at => last.before,
            Some(last) if object.scale.spec_replicas == last.desired => last.if_applied,
            Some(last) => last.if_not,
            None => HpaMemory::default(),
        };
        before.no_later_than(at);
        let mut if_applied = before.clone();
        let sync = self.controller.sync(&self.hpa, &mut if_applied, &mut object, at);
        let mut if_not = if_applied.clone();
        if sync.rescaled {
            // All is remembered except the change, which must not use up the allowance of the period.
            if_not.scale_up_events = before.scale_up_events.clone();
            if_not.scale_down_events = before.scale_down_events.clone();
        }
        let decision = self.decision(observation, current, sync, &if_applied);
        memory.put(target, State { at, before, desired: sync.desired, if_applied, if_not });
        Ok(decision)
    }

    fn decision(
        &self,
        observation: &Observation,
        current: u32,
        sync: SyncResult,
        memory: &HpaMemory,
    ) -> ScalingDecision {
        let desired = u32::try_from(sync.desired).unwrap_or(0);
        let desired = if sync.desired == sync.current { current } else { desired };
        let mut decision = ScalingDecision::replicas("hpa", observation.current.timestamp, current, desired)
            // The algorithm has no measure of doubt: on what it could not measure it does not act.
            .with_confidence(1.0);
        decision.urgency = if decision.grows() { Urgency::Normal } else { Urgency::Low };
        for (metric, outcome) in self.hpa.metrics.iter().zip(&memory.metrics) {
            let name = name(metric).to_owned();
            decision.reasons.push(match outcome {
                Ok(proposal) => Reason::HpaProposal { metric: name, replicas: proposal.replicas.max(0).unsigned_abs() },
                Err(error) => Reason::HpaMetricFailed { metric: name, error: error.to_string() },
            });
        }
        if let Some(limit) = sync.limit.filter(|limit| *limit != LimitReason::DesiredWithinRange) {
            decision.reasons.push(Reason::HpaLimited { limit: limit.as_str().into() });
        }
        decision
    }
}

fn name(metric: &Metric) -> &str {
    match &metric.source {
        MetricKind::Resource { resource } | MetricKind::ContainerResource { resource, .. } => resource,
        MetricKind::Pods { name } | MetricKind::Object { name } | MetricKind::External { name } => name,
        MetricKind::Unknown => "unknown",
    }
}

/// Returns the signal that a custom metric of this name measures.
pub(crate) fn signal(name: &str) -> Option<SignalKind> {
    let plain = name.to_ascii_lowercase().replace(['-', '.', ':'], "_");
    match plain.as_str() {
        "request_rate_per_second" | "rps" | "requests_per_second" | "http_requests_per_second" | "request_rate" => {
            Some(SignalKind::RequestRate)
        }
        "queue_depth" | "queue" | "queue_length" | "backlog" => Some(SignalKind::QueueDepth),
        "active_connections" | "connections" => Some(SignalKind::ActiveConnections),
        _ => None,
    }
}

/// Observation as the controller sees a workload.
struct Observed<'a> {
    observation: &'a Observation,
    scale: Scale,
    ready: u32,
    starting: u32,
}

impl<'a> Observed<'a> {
    fn new(observation: &'a Observation, current: u32) -> Self {
        let ready = observation.current.current_pod_count.unwrap_or(current).min(current);
        let replicas = i32::try_from(current).unwrap_or(i32::MAX);
        Self {
            observation,
            scale: Scale { spec_replicas: replicas, status_replicas: replicas },
            ready,
            starting: current - ready,
        }
    }

    fn value(&self, kind: Option<SignalKind>) -> Result<f64, MetricError> {
        kind.and_then(|kind| self.observation.current.value(kind)).ok_or(MetricError::FetchFailed)
    }

    /// Returns the request of each pod, in thousandths, if it is known.
    fn request(&self, kind: SignalKind) -> Option<i64> {
        let WorkloadFacts { cpu_request_millicores, memory_request_bytes, .. } = &self.observation.facts;
        let stated = match kind {
            SignalKind::CpuUtilization => *cpu_request_millicores,
            _ => memory_request_bytes.and_then(|bytes| bytes.checked_mul(1000)),
        };
        stated.and_then(|stated| i64::try_from(stated).ok()).filter(|stated| *stated > 0)
    }
}

/// Converts a value to thousandths, rounded up as a quantity is.
#[allow(clippy::cast_possible_truncation)] // the cast saturates
pub(crate) fn milli(value: f64) -> i64 {
    // 0.1 × 3 is 300.00000000000006 thousandths: an excess below a millionth is an error of the double, not load.
    (value * 1000.0 - 1e-6).ceil() as i64
}

impl ScaledObject for Observed<'_> {
    fn scale(&self) -> Option<Scale> {
        Some(self.scale)
    }

    fn propose(&self, _: usize, metric: &Metric, calculator: &Calculator<'_>) -> Result<Proposal, MetricError> {
        let target = metric.target_value().ok_or(MetricError::NoTarget)?;
        let per_pod = |usage: i64, request: i64| {
            calculator.tallied(&PodTally::alike(self.ready, self.starting, usage, request), target)
        };
        match &metric.source {
            MetricKind::Resource { resource } | MetricKind::ContainerResource { resource, .. } => {
                let kind = match resource.as_str() {
                    "cpu" => SignalKind::CpuUtilization,
                    "memory" => SignalKind::MemoryUtilization,
                    _ => return Err(MetricError::FetchFailed),
                };
                let request = match target {
                    TargetValue::Utilization(_) => self.request(kind).unwrap_or(ANY_REQUEST),
                    // The usage of a pod follows from its utilization only if its request is known.
                    _ => self.request(kind).ok_or(MetricError::UnknownRequest)?,
                };
                per_pod(milli(self.value(Some(kind))? / 100_000.0 * request as f64), request)
            }
            MetricKind::Pods { name } => {
                let each = self.value(signal(name))? / f64::from(self.ready.max(1));
                per_pod(milli(each), 0)
            }
            MetricKind::Object { name } | MetricKind::External { name } => {
                let ready = (self.ready + self.starting > 0).then_some(self.ready as usize);
                calculator.total(milli(self.value(signal(name))?), target, ready)
            }
            MetricKind::Unknown => Err(MetricError::UnknownMetricType),
        }
    }

    fn write_scale(&mut self, _: i32) -> bool {
        true
    }
}

#[async_trait]
impl DecisionEngine for HpaEngine {
    fn name(&self) -> &'static str {
        "hpa"
    }

    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        self.evaluate(observation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::Bounds;
    use crate::hpa::{CrossVersionObjectReference, HpaBehavior, MetricSpec};
    use crate::metrics::ScalingMetrics;
    use chrono::TimeDelta;

    fn engine(percent: i32, behavior: bool) -> HpaEngine {
        let mut spec = HpaSpec::new(CrossVersionObjectReference::deployment("web"), Bounds::new(1, 50).unwrap());
        spec.metrics = Some(vec![MetricSpec::utilization("cpu", percent)]);
        spec.behavior = behavior.then(HpaBehavior::default);
        HpaEngine::new(&spec).unwrap()
    }

    fn seen(second: i64, pods: u32, cpu: Option<f64>) -> Observation {
        let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap() + TimeDelta::seconds(second);
        let metrics = ScalingMetrics::new(at, pods);
        Observation::new(
            Target::deployment("shop", "web"),
            match cpu {
                Some(cpu) => metrics.with(SignalKind::CpuUtilization, cpu),
                None => metrics,
            },
        )
    }

    fn wants(engine: &HpaEngine, observation: &Observation) -> u32 {
        engine.evaluate(observation).unwrap().desired_replicas
    }

    #[test]
    fn it_grows_at_once_and_shrinks_after_five_minutes() {
        let engine = engine(50, false);
        assert_eq!(wants(&engine, &seen(0, 4, Some(75.0))), 6);
        assert_eq!(wants(&engine, &seen(15, 6, Some(20.0))), 6, "what was wanted 15 s ago holds");
        assert_eq!(wants(&engine, &seen(300, 6, Some(20.0))), 6);
        assert_eq!(wants(&engine, &seen(316, 6, Some(20.0))), 3);
    }

    #[test]
    fn without_its_metric_it_stays() {
        let decision = engine(50, false).evaluate(&seen(0, 4, None)).unwrap();
        assert_eq!(decision.desired_replicas, 4);
        assert!(decision.reasons.first().unwrap().to_string().contains("cpu"), "{:?}", decision.reasons);
    }

    #[test]
    fn a_value_per_replica_needs_the_request_and_a_utilization_does_not() {
        let mut spec = HpaSpec::new(CrossVersionObjectReference::deployment("web"), Bounds::new(1, 50).unwrap());
        let mut metric = MetricSpec::utilization("cpu", 50);
        if let Some(source) = &mut metric.resource {
            source.target = crate::hpa::MetricTarget {
                kind: "AverageValue".into(),
                average_value: Some("250m".parse().unwrap()),
                ..crate::hpa::MetricTarget::default()
            };
        }
        spec.metrics = Some(vec![metric]);
        let by_value = HpaEngine::new(&spec).unwrap();
        let mut observation = seen(0, 4, Some(75.0));
        let decision = by_value.evaluate(&observation).unwrap();
        assert_eq!(decision.desired_replicas, 4);
        assert!(decision.reasons.first().unwrap().to_string().contains("request is not known"));
        observation.facts.cpu_request_millicores = Some(500);
        assert_eq!(wants(&by_value, &observation), 6, "375 millicores against 250 on 4 pods");
        assert_eq!(wants(&engine(50, false), &seen(0, 4, Some(75.0))), 6);
    }

    #[test]
    fn a_change_that_was_not_made_is_not_charged() {
        let engine = engine(50, true);
        assert_eq!(wants(&engine, &seen(0, 4, Some(100.0))), 8);
        // Still 4: somebody refused it. The allowance of the period is not used up.
        assert_eq!(wants(&engine, &seen(10, 4, Some(100.0))), 8);
        // Now it was made, and 4 pods per 15 s are used up.
        assert_eq!(wants(&engine, &seen(20, 8, Some(100.0))), 8);
    }

    #[test]
    fn asked_again_it_answers_the_same() {
        let engine = engine(50, true);
        let now = seen(0, 4, Some(100.0));
        assert_eq!(engine.evaluate(&now).unwrap(), engine.evaluate(&now).unwrap());
    }

    const YEAR: i64 = 366 * 86_400;

    #[test]
    fn a_recommendation_from_the_future_holds_for_one_window_at_most() {
        for behavior in [false, true] {
            let engine = engine(50, behavior);
            assert_eq!(wants(&engine, &seen(YEAR, 4, Some(75.0))), 6);
            assert_eq!(wants(&engine, &seen(0, 6, Some(20.0))), 6);
            assert_eq!(wants(&engine, &seen(300 - 1, 6, Some(20.0))), 6);
            assert_eq!(wants(&engine, &seen(316, 6, Some(20.0))), 3);
        }
    }

    #[test]
    fn an_observation_from_the_future_erases_one_recommendation_at_most() {
        let engine = engine(50, false);
        assert_eq!(wants(&engine, &seen(0, 6, Some(75.0))), 9);
        assert_eq!(wants(&engine, &seen(15, 6, Some(75.0))), 9);
        // The replicas were not changed, and one sample bears a wrong instant.
        wants(&engine, &seen(YEAR, 6, Some(50.0)));
        assert_eq!(wants(&engine, &seen(30, 6, Some(50.0))), 9, "recommended 30 s ago");
    }

    #[test]
    fn growth_from_the_future_uses_up_the_allowance_of_one_period() {
        let engine = engine(50, true);
        assert_eq!(wants(&engine, &seen(YEAR, 4, Some(100.0))), 8);
        assert_eq!(wants(&engine, &seen(0, 8, Some(100.0))), 8, "8 from 4 are all that the period allows");
        assert_eq!(wants(&engine, &seen(16, 8, Some(100.0))), 16);
    }

    #[test]
    fn a_clock_that_goes_to_and_fro_fills_no_memory() {
        let engine = engine(50, true);
        for nth in 0..1000 {
            wants(&engine, &seen(nth % 2, 8, Some(100.0)));
        }
        let state = engine.memory().take(&key(&seen(0, 8, None))).unwrap();
        assert!(state.if_applied.recommendations.unwrap().as_slice().len() < 6);
        assert!(state.if_applied.scale_up_events.as_slice().len() < 6);
    }

    #[test]
    fn targets_share_nothing() {
        let engine = engine(50, false).remembering(2);
        let target = |name: &str| Arc::new(Target::deployment("shop", name));
        let wants = |name: &str, observation: &Observation| {
            engine.evaluate_for(target(name), observation).unwrap().desired_replicas
        };
        assert_eq!(wants("web", &seen(0, 6, Some(75.0))), 9);
        assert_eq!(wants("api", &seen(0, 6, Some(50.0))), 6);
        assert_eq!((wants("web", &seen(15, 6, Some(50.0))), wants("api", &seen(15, 6, Some(50.0)))), (9, 6));
        engine.forget(&target("web"));
        assert_eq!(wants("web", &seen(30, 6, Some(50.0))), 6, "forgotten");
        assert_eq!(wants("web", &seen(45, 6, Some(75.0))), 9);
        wants("job", &seen(45, 1, None));
        wants("api", &seen(45, 6, None));
        assert_eq!(wants("web", &seen(60, 6, Some(50.0))), 6, "two others were seen since, and two are remembered");
    }
}
