//! Sizing for the load that is coming: [`PredictiveEngine`].

mod memory;
mod policy;
mod queue;
mod saturation;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use scaling_core::InvalidSetting;
use scaling_core::{
    CapacityModel, DecisionEngine, EngineError, Forecast, LoadForecast, NoForecast, Observation, Reason,
    RuleBasedEngine, RuleConfig, ScalingDecision, SignalKind, Target,
};
use serde::{Deserialize, Serialize};

use self::memory::{Evidence, Memory};
use self::policy::Policy;
use self::queue::QueueModel;
use self::saturation::{BlindQueue, Pace};
use crate::forecast::{Forecaster, Past, Span, declared_capacity};

const NAME: &str = "predictive";
/// Time between two learnings, in ms: two hours. Seasons are known for three.
const LEARN_EVERY_MS: i64 = 2 * 3_600_000;
/// Targets that are remembered by default: as many as a large fleet has workloads. Each takes about 30 kB.
const TARGETS: usize = 10_000;

/// Settings of a [`PredictiveEngine`]. An unknown key in written form is an error that names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PredictiveConfig {
    /// Price of waiting: by how many percent more pods may cost for one percentage point fewer requests that wait for longer
    /// than the [`Objective`](scaling_core::Objective) of the workload allows. Default 10. On fifteen public load traces, at the
    /// default of one second, 6 gave 1.19 times the pods of a clairvoyant on average at 1.1 % waiting requests, 10 gave 1.22 times
    /// at 0.9 %, 20 gave 1.26 times at 0.6 %.
    pub violation_price: f64,
    /// Number of targets to remember what was learnt for; the one that was not asked for the longest makes room. At least 1,
    /// default 10,000. A fleet larger than this learns at every decision.
    pub max_targets: usize,
    /// The reactive part. Its `learnt_target_percent` is the utilization that the forecast is sized for; default 100, as the
    /// forecast has the headroom in it.
    pub rules: RuleConfig,
}

impl Default for PredictiveConfig {
    fn default() -> Self {
        Self {
            violation_price: 10.0,
            max_targets: TARGETS,
            rules: RuleConfig { learnt_target_percent: 100.0, ..RuleConfig::tracking() },
        }
    }
}

/// Sizes for the load that comes when a pod that is created now is ready: an upper quantile of a forecast learnt from the
/// workload's own past ([`Forecaster`]), through the rules, which know capacity, backlog, health and memory.
///
/// Law 7: the forecast only raises. The rules size for the forecast or for the present load, whichever is more, add what waits,
/// and shrink only if they find the service healthy and every signal present; what the last minutes' forecasts asked for is kept
/// until none of them does. Without a request rate the rules decide alone.
///
/// The quantile that is sized for, and the time for which it is kept, are chosen every two hours by what each choice would have
/// cost on the last days, with [`violation_price`](PredictiveConfig::violation_price) for requests that wait.
///
/// # Full pods
///
/// Full pods hide demand. The rules take them as too few where no queue is measured; where one is measured and stays empty, pods
/// that have been full over five windows of the metrics are taken as too few as well, by
/// [`overload_growth`](RuleConfig::overload_growth). Full pods that serve less than the declared or usual capacity are believed:
/// sizes are for what they serve, until utilization shows that they have recovered.
///
/// # What is remembered
///
/// What was learnt of each target, until the next full two hours of its observations; see
/// [`max_targets`](PredictiveConfig::max_targets) and [`forget`](Self::forget). It depends on the target's past alone, so a
/// replay decides the same. A past is recognized by its beginning rounded to two hours (less for short ones), its length, its
/// newest samples and a thousand others, so histories that slide or have a limited length are not learnt again at every decision.
/// Learning takes about a hundred milliseconds for a fortnight, a decision in between some twenty microseconds.
///
/// ```
/// use scaling_core::{DecisionEngine, Observation, ScalingMetrics, SignalKind, Target};
/// use scaling_schedule::{PredictiveConfig, PredictiveEngine};
///
/// let engine = PredictiveEngine::new(PredictiveConfig::default())?;
/// let now = ScalingMetrics::new("2026-11-24T08:00:00Z".parse()?, 4).with(SignalKind::RequestRate, 200.0);
/// let mut observation = Observation::new(Target::deployment("shop", "web"), now);
/// observation.facts.pod_capacity = Some(50.0);
///
/// // Four pods carry 200 requests per second, and nothing is known of how they move: some headroom.
/// let decision = futures::executor::block_on(engine.decide(&observation))?;
/// assert_eq!(decision.desired_replicas, 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PredictiveEngine {
    forecast: LearntForecast,
    rules: RuleBasedEngine,
}

impl PredictiveEngine {
    /// Creates the engine over the rules of its configuration, without the one about long trends, which the forecast sees better.
    ///
    /// # Errors
    /// [`InvalidSetting`] if the price, the number of targets or a threshold of the rules cannot work.
    pub fn new(config: PredictiveConfig) -> Result<Self, InvalidSetting> {
        let forecast = LearntForecast::new(&config)?;
        let rules = RuleBasedEngine::new(config.rules)?.without_rule("trend");
        Ok(Self { forecast, rules: rules.with_rule(BlindQueue) })
    }

    /// Creates the engine over rules of one's own, with this [`violation_price`](PredictiveConfig::violation_price) and the
    /// default number of targets. A rule about full pods beside an empty queue is added.
    ///
    /// # Errors
    /// [`InvalidSetting`] if the price is not a finite number of at least 0.
    pub fn over(rules: RuleBasedEngine, violation_price: f64) -> Result<Self, InvalidSetting> {
        let config = PredictiveConfig { violation_price, rules: rules.config().clone(), ..PredictiveConfig::default() };
        Ok(Self { forecast: LearntForecast::new(&config)?, rules: rules.with_rule(BlindQueue) })
    }

    /// Drops what was learnt of a target that is gone. If it is asked about again, it is learnt again.
    pub fn forget(&self, target: &Target) {
        self.forecast.forget(target);
    }

    /// Decides, without a future.
    ///
    /// # Errors
    /// [`EngineError::NoPodCount`] if nothing says how many pods there are.
    pub fn evaluate(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let learnt = self.forecast.learnt(observation);
        let told = observation.clone().with_forecast(self.forecast.by(&learnt, observation));
        let mut decision = self.rules.evaluate(&told)?;
        if let (Some(Ok(_)), Some(capacity)) = (told.forecast, learnt.pace_now(observation).slow()) {
            let slow = self.at_pace(told, capacity)?;
            // Slow pods only raise: the rules may have learnt of them already.
            if slow.desired_replicas > decision.desired_replicas {
                decision = slow;
            }
        }
        decision.engine = NAME.into();
        Ok(decision.finite())
    }

    /// Decides for pods that serve `capacity`, whatever was declared or learnt before.
    fn at_pace(&self, mut slow: Observation, capacity: f64) -> Result<ScalingDecision, EngineError> {
        slow.facts.pod_capacity = Some(capacity);
        let mut decision = self.rules.evaluate(&slow)?;
        for reason in &mut decision.reasons {
            // Measured, not declared.
            if let Reason::Capacity { model, .. } = reason {
                *model = CapacityModel::Learnt;
            }
        }
        Ok(decision)
    }
}

/// Forecast of a workload's request rate by a [`Forecaster`] that is learnt anew every two hours from the workload's own past; the
/// quantile, and the time for which it is kept, are those that would have cost least ([`PredictiveEngine`]).
///
/// ```
/// use scaling_core::{EngineExt, RuleBasedEngine};
/// use scaling_schedule::{LearntForecast, PredictiveConfig};
///
/// let forecast = LearntForecast::new(&PredictiveConfig::default())?;
/// let engine = RuleBasedEngine::default().forecasting(forecast);
/// # let _ = engine;
/// # Ok::<(), scaling_core::InvalidSetting>(())
/// ```
pub struct LearntForecast {
    price: f64,
    rules: RuleConfig,
    memory: Memory<Learnt>,
}

impl fmt::Debug for LearntForecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LearntForecast")
            .field("price", &self.price)
            .field("memory", &self.memory)
            .finish_non_exhaustive()
    }
}

/// Everything that is learnt from one past.
#[derive(Debug)]
struct Learnt {
    /// `None` from too short a past.
    forecast: Option<(Forecaster, Policy)>,
    pace: Pace,
}

impl LearntForecast {
    /// Creates a forecast that has learnt nothing yet. Of the rules it needs to know how they size and shrink.
    ///
    /// # Errors
    /// [`InvalidSetting`] if the price, the number of targets or a threshold of the rules cannot work.
    pub fn new(config: &PredictiveConfig) -> Result<Self, InvalidSetting> {
        let (price, targets) = (config.violation_price, config.max_targets);
        if targets == 0 {
            return Err(InvalidSetting { field: "max_targets", value: 0.0, must: "at least 1" });
        }
        if !(price.is_finite() && price >= 0.0) {
            return Err(InvalidSetting {
                field: "violation_price",
                value: price,
                must: "a finite number of at least 0",
            });
        }
        config.rules.validate()?;
        Ok(Self { price, rules: config.rules.clone(), memory: Memory::new(targets) })
    }

    /// Drops what was learnt of a target that is gone.
    pub fn forget(&self, target: &Target) {
        self.memory.forget(target);
    }

    /// The forecast by what was learnt, or by what holds for any workload.
    fn by(&self, learnt: &Learnt, observation: &Observation) -> Result<LoadForecast, NoForecast> {
        let signal = SignalKind::RequestRate;
        let observed = observation.current.value(signal).ok_or(NoForecast::NoLoad { signal })?;
        let unlearnt;
        let (forecaster, policy) = if let Some(forecast) = &learnt.forecast {
            forecast
        } else {
            unlearnt = self.unlearnt(observation, observed).ok_or(NoForecast::NoCapacity)?;
            &unlearnt
        };
        let upper = forecaster.upper(observation, policy.quantile, policy.hold);
        let (expected, quantile) = (upper.ok_or(NoForecast::NotFinite)?, policy.quantile.value());
        Ok(LoadForecast { signal, observed, expected, quantile, ahead_s: forecaster.ahead_seconds() })
    }

    /// Forecaster and policy that hold for any workload.
    fn unlearnt(&self, observation: &Observation, observed: f64) -> Option<(Forecaster, Policy)> {
        let pods = f64::from(observation.current.current_pod_count.unwrap_or_default());
        let carried = Some(observed / pods).filter(|carried| carried.is_finite() && *carried > 0.0);
        let capacity = declared_capacity(&observation.facts).or(carried)?;
        Some((Forecaster::generic(&observation.facts, capacity), Policy::unlearnt(self.price)))
    }

    /// State of knowledge at the last full two hours.
    fn learnt(&self, observation: &Observation) -> Arc<Learnt> {
        if observation.current.value(SignalKind::RequestRate).is_none() {
            return Arc::new(Learnt { forecast: None, pace: Pace::default() });
        }
        let span = Span::of(observation, learnt_until(observation));
        let evidence = Evidence::of(observation, span);
        self.memory.get_or_learn(&observation.target, evidence, || self.learn(observation, span))
    }

    fn learn(&self, observation: &Observation, span: Option<Span>) -> Learnt {
        let Some(span) = span else { return Learnt { forecast: None, pace: Pace::default() } };
        let forecast = || {
            let past = Past::of(observation, span)?;
            let forecaster = Forecaster::learn(&past)?;
            let model = QueueModel::of(&past, &observation.facts, &self.rules);
            let policy = Policy::best(&past, &forecaster, &model, self.price);
            Some((forecaster, policy))
        };
        Learnt { forecast: forecast(), pace: Pace::default().after(observation, span.from_ms, span.until_ms) }
    }
}

impl Forecast for LearntForecast {
    fn name(&self) -> &'static str {
        "learnt quantile"
    }

    fn forecast(&self, observation: &Observation) -> Result<LoadForecast, NoForecast> {
        self.by(&self.learnt(observation), observation)
    }
}

impl Learnt {
    /// The pace of pods with what was seen since the last full two hours.
    fn pace_now(&self, observation: &Observation) -> Pace {
        let now_ms = observation.current.timestamp.timestamp_millis();
        let until_ms = learnt_until(observation).timestamp_millis();
        self.pace.after(observation, until_ms.saturating_add(1), now_ms)
    }
}

/// The last full two hours of an observation.
fn learnt_until(observation: &Observation) -> DateTime<Utc> {
    let at = observation.current.timestamp;
    let into = TimeDelta::milliseconds(at.timestamp_millis().rem_euclid(LEARN_EVERY_MS));
    at.checked_sub_signed(into).unwrap_or(at)
}

#[async_trait]
impl DecisionEngine for PredictiveEngine {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        self.evaluate(observation)
    }
}
