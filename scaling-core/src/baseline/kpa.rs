//! Knative's pod autoscaler (KPA), pure and as a [`DecisionEngine`].
//!
//! It divides the mean load of a stable window (60 s) by a target per pod. If the mean of a panic window, a tenth as long, asks for
//! twice the ready pods, it is in panic: the panic window counts as well, and the size never shrinks. Source of the rules and
//! defaults: `config-autoscaler` and the autoscaler of Knative Serving.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::bounds::MAX_REPLICAS;
use crate::decision::{Reason, ScalingDecision, Urgency};
use crate::engine::{DecisionEngine, EngineError};
use crate::metrics::{Observation, Signal, SignalKind};

/// Number of stable windows that [`KpaEngine`] looks back for the beginning of a panic: half an hour by default. A panic that lasts
/// longer is taken to have begun there.
const LOOK_BACK: i64 = 30;

/// Settings of [`Kpa`], with the defaults of Knative.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KpaConfig {
    /// Load that one pod should carry, in requests per second.
    ///
    /// Default: `target_utilization` of the declared capacity of a pod or, without one, Knative's 200.
    pub target: Option<f64>,
    /// Share of a pod's capacity to aim for. Default 0.7.
    pub target_utilization: f64,
    /// Length of the stable window, within 1 s and a day. Default 60 s.
    #[serde(with = "crate::serde_seconds")]
    pub stable_window: Duration,
    /// Length of the panic window, as a share of the stable window. Default 0.1.
    pub panic_window: f64,
    /// Size that the panic window must ask for to begin a panic, as a multiple of the ready pods. Default 2.
    pub panic_threshold: f64,
    /// Largest growth, as a multiple of the ready pods; at least 1. Default 1000.
    pub max_scale_up: f64,
    /// Largest shrinkage, as a divisor of the ready pods; at least 1. Default 2.
    pub max_scale_down: f64,
}

impl Default for KpaConfig {
    fn default() -> Self {
        Self {
            target: None,
            target_utilization: 0.7,
            stable_window: Duration::from_secs(60),
            panic_window: 0.1,
            panic_threshold: 2.0,
            max_scale_up: 1000.0,
            max_scale_down: 2.0,
        }
    }
}

/// Load at one instant, as the autoscaler sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KpaLoad {
    /// Mean over the stable window, in requests per second.
    pub stable: f64,
    /// Mean over the panic window, in requests per second.
    pub panic: f64,
    /// Number of ready pods.
    pub ready: u32,
    /// Load that one pod should carry, in requests per second; above 0.
    pub target: f64,
}

/// Autoscaler of one workload. Pure: time is an argument.
///
/// ```
/// use scaling_core::baseline::{Kpa, KpaConfig, KpaLoad};
/// use scaling_core::chrono::{DateTime, TimeDelta};
///
/// let at = |second| DateTime::UNIX_EPOCH + TimeDelta::seconds(second);
/// let mut kpa = Kpa::new(KpaConfig::default());
/// let load = KpaLoad { stable: 60.0, panic: 200.0, ready: 10, target: 10.0 };
/// assert_eq!(kpa.scale(load, at(0)), 20, "the panic window asks for twice the ready pods");
/// assert!(kpa.is_in_panic());
///
/// let calm = KpaLoad { stable: 60.0, panic: 60.0, ready: 20, ..load };
/// assert_eq!(kpa.scale(calm, at(60)), 20, "no shrinkage in panic");
/// assert_eq!(kpa.scale(calm, at(61)), 10, "the panic is over, and half of 20 may go");
/// ```
#[derive(Clone, Debug)]
pub struct Kpa {
    config: KpaConfig,
    panic: Option<Panic>,
}

#[derive(Clone, Copy, Debug)]
struct Panic {
    /// Instant at which the threshold was last exceeded.
    last: DateTime<Utc>,
    /// Largest size since the panic began.
    most: f64,
}

impl Kpa {
    /// Creates an autoscaler that is not in panic.
    pub fn new(config: KpaConfig) -> Self {
        Self { config, panic: None }
    }

    /// Returns true while the autoscaler is in panic.
    pub fn is_in_panic(&self) -> bool {
        self.panic.is_some()
    }

    /// Returns the size for a load, in pods. For a load that is not finite it is the number of ready pods.
    ///
    /// If the clock goes back, a panic ends one stable window after `now` at the latest.
    pub fn scale(&mut self, load: KpaLoad, now: DateTime<Utc>) -> u32 {
        let KpaConfig { panic_threshold, max_scale_up, max_scale_down, .. } = self.config;
        let ready = f64::from(load.ready.max(1));
        let (stable, urgent) = ((load.stable / load.target).ceil(), (load.panic / load.target).ceil());
        if !stable.is_finite() || !urgent.is_finite() {
            return load.ready;
        }
        let (least, most) = ((ready / max_scale_down.max(1.0)).floor(), (ready * max_scale_up.max(1.0)).ceil());
        let limited = |wanted: f64| wanted.max(least).min(most);

        if let Some(panic) = &mut self.panic {
            // Otherwise a panic that began while the clock was ahead would last until the clock has caught up.
            panic.last = panic.last.min(now);
        }
        let window = TimeDelta::from_std(self.config.stable_window).unwrap_or(TimeDelta::MAX);
        if urgent / ready >= panic_threshold {
            self.panic = Some(Panic { last: now, most: self.panic.map_or(0.0, |panic| panic.most) });
        } else if self.panic.is_some_and(|panic| now.signed_duration_since(panic.last) > window) {
            self.panic = None;
        }
        let mut wanted = limited(stable);
        if let Some(panic) = &mut self.panic {
            panic.most = panic.most.max(wanted).max(limited(urgent));
            wanted = panic.most;
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped
        let size = wanted.clamp(0.0, f64::from(MAX_REPLICAS)) as u32;
        size
    }
}

/// Engine that decides as Knative's autoscaler would, by the request rate.
///
/// Knative scrapes every second and sees concurrency or rates that are a few seconds old. Here it sees the metrics that every engine
/// sees, and its panic window holds at least the newest of them. It never asks for less than one pod.
///
/// A panic is found in the history and nothing is kept between two decisions. So one engine serves any number of targets, the same
/// observation gets the same decision, and a clock that goes back leaves no trace.
///
/// ```
/// use scaling_core::baseline::{KpaConfig, KpaEngine};
/// use scaling_core::{Observation, ScalingMetrics, SignalKind, Target, chrono::DateTime};
///
/// let engine = KpaEngine::new(KpaConfig { target: Some(100.0), ..KpaConfig::default() });
/// let metrics = ScalingMetrics::new(DateTime::UNIX_EPOCH, 4).with(SignalKind::RequestRate, 550.0);
/// assert_eq!(engine.evaluate(&Observation::new(Target::deployment("shop", "web"), metrics))?.desired_replicas, 6);
/// # Ok::<(), scaling_core::EngineError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct KpaEngine {
    config: KpaConfig,
}

impl KpaEngine {
    /// Creates an engine.
    pub fn new(config: KpaConfig) -> Self {
        Self { config }
    }

    /// Returns the load that one pod should carry, in requests per second.
    fn target(&self, observation: &Observation) -> f64 {
        let usable = |value: Option<f64>| value.filter(|value| value.is_finite() && *value > 0.0);
        let of_capacity =
            usable(observation.facts.pod_capacity).map(|capacity| capacity * self.config.target_utilization);
        usable(self.config.target).or(usable(of_capacity)).unwrap_or(200.0)
    }

    /// Decides without a future, for hosts that are not asynchronous.
    ///
    /// # Errors
    /// [`EngineError::NoPodCount`] if the observation has no pod count.
    pub fn evaluate(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let now = &observation.current;
        let current = now.replicas().ok_or(EngineError::NoPodCount)?;
        let decided = |desired| ScalingDecision::replicas("kpa", now.timestamp, current, desired);
        let absent =
            |absence| Ok(decided(current).because(Reason::SignalAbsent { signal: SignalKind::RequestRate, absence }));
        let rate = match now.signal(SignalKind::RequestRate) {
            Signal::Present(rate) => rate,
            Signal::Absent(absence) => return absent(absence),
        };
        let target = self.target(observation);
        let samples = self.samples(observation, rate);
        let stable_ms = self.stable_ms();
        #[allow(clippy::cast_possible_truncation)] // a share of a day
        let panic_ms = (stable_ms as f64 * self.panic_share()) as i64;
        let mut kpa = Kpa::new(self.config.clone());
        let mut desired = current;
        for (nth, sample) in samples.iter().enumerate() {
            let seen = samples.get(..=nth).unwrap_or_default();
            let load =
                KpaLoad { stable: mean(seen, stable_ms), panic: mean(seen, panic_ms), ready: sample.ready, target };
            let at = DateTime::from_timestamp_millis(sample.at_ms).unwrap_or(now.timestamp);
            desired = kpa.scale(load, at);
        }
        // Not 0: Knative's activator, which would hold requests and wake the workload, does not exist here.
        let desired = desired.max(current.min(1));
        // Law 2: with a signal lost nothing shrinks, though this algorithm looks at one only.
        let mut absences = observation.absences().filter(|_| desired < current);
        if let Some((signal, cause)) = absences.next() {
            return Ok(decided(current)
                .because(Reason::SignalAbsent { signal, absence: cause })
                .because(Reason::HeldForAbsence { replicas: current }));
        }
        let mut decision = decided(desired).with_confidence(1.0);
        decision.urgency = match (decision.grows(), kpa.is_in_panic()) {
            (true, true) => Urgency::High,
            (true, false) => Urgency::Normal,
            (false, _) => Urgency::Low,
        };
        decision.reasons.push(Reason::Load { load: SignalKind::RequestRate, observed: rate, demand: rate });
        Ok(decision.finite())
    }

    /// Returns the length of the stable window in milliseconds, within a second and a day.
    fn stable_ms(&self) -> i64 {
        let window = TimeDelta::from_std(self.config.stable_window).unwrap_or(TimeDelta::days(1));
        window.num_milliseconds().clamp(1000, 86_400_000)
    }

    fn panic_share(&self) -> f64 {
        if self.config.panic_window.is_finite() { self.config.panic_window.clamp(0.0, 1.0) } else { 1.0 }
    }

    /// Returns the samples within which a panic may have begun, oldest first, with the present last.
    fn samples(&self, observation: &Observation, rate: f64) -> Vec<Sample> {
        let now_ms = observation.current.timestamp.timestamp_millis();
        let back_ms = self.stable_ms() * LOOK_BACK;
        let past = observation.history.before(now_ms);
        let first = past.times().partition_point(|time| *time < now_ms.saturating_sub(back_ms));
        let columns = past.times().iter().zip(past.column(SignalKind::RequestRate)).zip(past.pods());
        let usable = columns.skip(first).filter(|((_, rate), pods)| rate.is_finite() && pods.is_finite());
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a count
        let sample =
            |((at_ms, rate), pods): ((&i64, &f64), &f64)| Sample { at_ms: *at_ms, rate: *rate, ready: *pods as u32 };
        let ready = observation.current.current_pod_count.or(observation.current.replicas()).unwrap_or(0);
        usable.map(sample).chain([Sample { at_ms: now_ms, rate, ready }]).collect()
    }
}

/// Returns the mean rate over the window that ends with the last sample, which is always part of it.
fn mean(samples: &[Sample], window_ms: i64) -> f64 {
    let Some(last) = samples.last() else { return f64::NAN };
    let recent = samples.iter().rev().take_while(|sample| last.at_ms.saturating_sub(sample.at_ms) < window_ms.max(1));
    let (sum, number) = recent.fold((0.0, 0.0), |(sum, number), sample| (sum + sample.rate, number + 1.0));
    sum / number
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at_ms: i64,
    rate: f64,
    ready: u32,
}

#[async_trait]
impl DecisionEngine for KpaEngine {
    fn name(&self) -> &'static str {
        "kpa"
    }

    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        self.evaluate(observation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{MetricsHistory, ScalingMetrics};
    use crate::target::Target;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
    }

    fn load(stable: f64, panic: f64, ready: u32) -> KpaLoad {
        KpaLoad { stable, panic, ready, target: 10.0 }
    }

    #[test]
    fn calm_it_follows_the_stable_window() {
        let mut kpa = Kpa::new(KpaConfig::default());
        assert_eq!(kpa.scale(load(41.0, 41.0, 4), at(0)), 5);
        assert_eq!(kpa.scale(load(5.0, 5.0, 8), at(2)), 4, "at most to half");
        assert!(!kpa.is_in_panic());
    }

    #[test]
    fn in_panic_it_follows_the_short_window_and_never_shrinks() {
        let mut kpa = Kpa::new(KpaConfig::default());
        assert_eq!(kpa.scale(load(60.0, 200.0, 10), at(0)), 20);
        assert!(kpa.is_in_panic());
        assert_eq!(kpa.scale(load(60.0, 60.0, 20), at(30)), 20);
        assert_eq!(kpa.scale(load(60.0, 60.0, 20), at(60)), 20, "the edge of the window is inside");
        assert_eq!(kpa.scale(load(60.0, 60.0, 20), at(61)), 10);
    }

    #[test]
    fn a_panic_from_the_future_lasts_one_window() {
        let mut kpa = Kpa::new(KpaConfig::default());
        assert_eq!(kpa.scale(load(60.0, 200.0, 10), at(366 * 86_400)), 20);
        assert_eq!(kpa.scale(load(60.0, 60.0, 20), at(0)), 20);
        assert_eq!(kpa.scale(load(60.0, 60.0, 20), at(60)), 20);
        assert_eq!(kpa.scale(load(60.0, 60.0, 20), at(61)), 10);
    }

    #[test]
    fn growth_is_limited_but_never_to_nothing() {
        let config = KpaConfig { max_scale_up: 1.1, ..KpaConfig::default() };
        assert_eq!(Kpa::new(config).scale(load(30.0, 30.0, 2), at(0)), 3);
    }

    #[test]
    fn load_that_is_no_number_wants_what_there_is() {
        assert_eq!(Kpa::new(KpaConfig::default()).scale(load(f64::NAN, 1.0, 7), at(0)), 7);
        assert_eq!(Kpa::new(KpaConfig::default()).scale(KpaLoad { target: 0.0, ..load(1.0, 1.0, 7) }, at(0)), 7);
    }

    #[test]
    fn the_engine_keeps_nothing_so_targets_and_clocks_leave_no_trace() {
        let sample = |second: i64, rate: f64| ScalingMetrics::new(at(second), 10).with(SignalKind::RequestRate, rate);
        let engine = KpaEngine::default();
        let calm = Observation::new(Target::deployment("shop", "web"), sample(0, 100.0));
        let before = engine.evaluate(&calm).unwrap();
        engine.evaluate(&Observation::new(Target::deployment("shop", "web"), sample(366 * 86_400, 1e6))).unwrap();
        assert_eq!(engine.evaluate(&calm).unwrap(), before);
        let (later, _) = MetricsHistory::from_unordered(vec![sample(15, 1e6)]);
        assert_eq!(
            engine.evaluate(&calm.with_history(later)).unwrap(),
            before,
            "samples of the future are not looked at"
        );
    }

    #[test]
    fn the_engine_reads_a_panic_off_the_history() {
        let sample = |second: i64, rate: f64, pods: u32| {
            ScalingMetrics::new(at(second), pods).with(SignalKind::RequestRate, rate)
        };
        let spike = [(0, 300.0), (15, 300.0), (30, 2100.0), (45, 300.0), (60, 300.0)];
        let (history, _) =
            MetricsHistory::from_unordered(spike.map(|(second, rate)| sample(second, rate, 10)).to_vec());
        let mut observation =
            Observation::new(Target::deployment("shop", "web"), sample(75, 300.0, 30)).with_history(history);
        observation.facts.pod_capacity = Some(50.0);
        let engine = KpaEngine::default();
        // 2,100 a second at 35 a pod were 60 pods, 45 s ago.
        assert_eq!(engine.evaluate(&observation).unwrap().desired_replicas, 60);
        observation.current = sample(105, 300.0, 30);
        assert_eq!(engine.evaluate(&observation).unwrap().desired_replicas, 15, "half of 30, and 9 would do");
    }
}
