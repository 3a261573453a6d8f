//! Sizing for what is coming: [`PredictiveEngine`].

mod sizing;

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use scaling_core::rules::InvalidConfig;
use scaling_core::{
    DecisionEngine, EngineError, LoadForecast, NoForecast, Observation, RuleBasedEngine, RuleConfig, ScalingDecision,
    SignalKind,
};
use serde::{Deserialize, Serialize};

use self::sizing::{Choice, Cluster};
use crate::forecast::{Forecaster, Past, declared_capacity};

const NAME: &str = "predictive";
/// How often it is learnt again, in ms: two hours.
const LEARN_EVERY_MS: i64 = 2 * 3_600_000;
/// Samples by which one past is told from another: the newest, and some that are evenly spread.
const NEWEST: usize = 16;
const SPRINKLED: usize = 48;

/// What a [`PredictiveEngine`] goes by. An unknown key in written form is an error that names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PredictiveConfig {
    /// The one knob: by how many percent more pods may cost for one percentage point fewer requests that have to wait for more
    /// than a second. Default 10. On fifteen public load traces 6 gave 1.19 times the pods of a clairvoyant on average at 1.1 %
    /// waiting requests, 10 gave 1.22 times at 0.9 %, 20 gave 1.26 times at 0.6 %.
    pub violation_price: f64,
    /// The reactive part. Its `learnt_target_percent` is the utilization that the forecast is sized for; default 100, as the
    /// forecast has the headroom in it.
    pub rules: RuleConfig,
}

impl Default for PredictiveConfig {
    fn default() -> Self {
        Self { violation_price: 10.0, rules: RuleConfig { learnt_target_percent: 100.0, ..RuleConfig::tracking() } }
    }
}

/// Sizes for the load that comes when a pod that is created now is ready: an upper quantile of a forecast learnt from the
/// workload's own past ([`Forecaster`]), through the rules, which know capacity, backlog, health and memory.
///
/// Law 7: the forecast only raises. The rules size for the forecast or for the present load, whichever is more, add what waits,
/// and shrink only if they find the service healthy and every signal present; what the last minutes' forecasts asked for is kept
/// until none of them does. Without a request rate the rules decide alone.
///
/// How high a quantile is sized for, and for how long it is kept, is chosen every two hours by what each choice would have cost
/// on the last days, with [`violation_price`](PredictiveConfig::violation_price) for requests that wait. The two hours are those
/// of the observation, and what is learnt depends on the past alone: a replay decides the same. Learning takes tens of
/// milliseconds, a decision in between some twenty microseconds. What was learnt is kept for each past that is asked about,
/// recognized by its length, its ends and a sprinkle of its samples.
///
/// ```
/// use scaling_core::{DecisionEngine, Observation, ScalingMetrics, SignalKind, Target};
/// use scaling_schedule::{PredictiveConfig, PredictiveEngine};
///
/// let engine = PredictiveEngine::new(PredictiveConfig::default())?;
/// let now = ScalingMetrics::new("2026-11-24T08:00:00Z".parse()?, 4).with(SignalKind::RequestRate, 200.0);
/// let mut observation = Observation::new(Target::deployment("shop", "web", "web"), now);
/// observation.facts.pod_capacity = Some(50.0);
///
/// // Four pods carry 200 requests per second, and nothing is known of how they move: some headroom.
/// let decision = futures::executor::block_on(engine.decide(&observation))?;
/// assert_eq!(decision.desired_replicas, 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct PredictiveEngine {
    price: f64,
    rules: RuleBasedEngine,
    learnt: Mutex<HashMap<Key, Arc<Option<Learnt>>>>,
}

impl fmt::Debug for PredictiveEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PredictiveEngine")
            .field("price", &self.price)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

/// What was learnt from one past.
#[derive(Debug)]
struct Learnt {
    forecaster: Forecaster,
    choice: Choice,
}

/// A past: until when, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    until_ms: i64,
    fingerprint: u64,
}

impl PredictiveEngine {
    /// The engine over the rules of its configuration, without the one about long trends, which the forecast sees better.
    ///
    /// # Errors
    /// [`InvalidConfig`] if the price or a threshold of the rules cannot work.
    pub fn new(config: PredictiveConfig) -> Result<Self, InvalidConfig> {
        Self::over(RuleBasedEngine::new(config.rules)?.without_rule("trend"), config.violation_price)
    }

    /// The engine over rules of one's own, with this [`violation_price`](PredictiveConfig::violation_price).
    ///
    /// # Errors
    /// [`InvalidConfig`] if the price is not a finite number of at least 0.
    pub fn over(rules: RuleBasedEngine, violation_price: f64) -> Result<Self, InvalidConfig> {
        if !(violation_price.is_finite() && violation_price >= 0.0) {
            return Err(InvalidConfig {
                field: "violation_price",
                value: violation_price,
                must: "a finite number of at least 0",
            });
        }
        Ok(Self { price: violation_price, rules, learnt: Mutex::default() })
    }

    /// Decides, without a future.
    ///
    /// # Errors
    /// [`EngineError::NoPodCount`] if nobody knows how many pods there are.
    pub fn evaluate(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let told = observation.clone().with_forecast(self.forecast(observation));
        let mut decision = self.rules.evaluate(&told)?;
        decision.engine = NAME.into();
        Ok(decision.finite())
    }

    /// The load to provide for, in requests per second.
    fn forecast(&self, observation: &Observation) -> Result<LoadForecast, NoForecast> {
        let signal = SignalKind::RequestRate;
        let observed = observation.current.value(signal).ok_or(NoForecast::NoLoad { signal })?;
        let learnt = self.learnt(observation);
        let unlearnt;
        let Learnt { forecaster, choice } = if let Some(learnt) = learnt.as_ref() {
            learnt
        } else {
            unlearnt = self.unlearnt(observation, observed).ok_or(NoForecast::NoCapacity)?;
            &unlearnt
        };
        let upper = forecaster.upper(observation, choice.quantile, choice.hold);
        let (expected, quantile) = (upper.ok_or(NoForecast::NotFinite)?, choice.quantile.value());
        Ok(LoadForecast { signal, observed, expected, quantile, ahead_s: forecaster.ahead_seconds() })
    }

    /// What holds for any workload.
    fn unlearnt(&self, observation: &Observation, observed: f64) -> Option<Learnt> {
        let pods = f64::from(observation.current.current_pod_count.unwrap_or_default());
        let carried = Some(observed / pods).filter(|carried| carried.is_finite() && *carried > 0.0);
        let capacity = declared_capacity(&observation.facts).or(carried)?;
        let forecaster = Forecaster::generic(&observation.facts, capacity);
        Some(Learnt { forecaster, choice: Choice::unlearnt(self.price) })
    }

    /// What was known at the last full two hours.
    fn learnt(&self, observation: &Observation) -> Arc<Option<Learnt>> {
        let at = observation.current.timestamp;
        let into = TimeDelta::milliseconds(at.timestamp_millis().rem_euclid(LEARN_EVERY_MS));
        let until = at.checked_sub_signed(into).unwrap_or(at);
        let key = Key::of(observation, until);
        if let Some(known) = self.cache().get(&key) {
            return known.clone();
        }
        // Not under the lock: others may decide meanwhile, and two that learn the same learn alike.
        let learnt = Arc::new(self.learn(observation, until));
        let mut cache = self.cache();
        let outdated = key.until_ms.saturating_sub(LEARN_EVERY_MS);
        cache.retain(|known, _| known.until_ms > outdated);
        cache.insert(key, learnt.clone());
        learnt
    }

    fn learn(&self, observation: &Observation, until: DateTime<Utc>) -> Option<Learnt> {
        let past = Past::of(observation, until)?;
        let forecaster = Forecaster::learn(&past)?;
        let cluster = Cluster::of(&past, &observation.facts, self.rules.config());
        let choice = Choice::best(&past, &forecaster, &cluster, self.price);
        Some(Learnt { forecaster, choice })
    }

    fn cache(&self) -> MutexGuard<'_, HashMap<Key, Arc<Option<Learnt>>>> {
        self.learnt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Key {
    fn of(observation: &Observation, until: DateTime<Utc>) -> Self {
        let until_ms = until.timestamp_millis();
        let now_ms = observation.current.timestamp.timestamp_millis();
        let before = observation.history.before(until_ms.saturating_add(1).min(now_ms));
        let (times, rates) = (before.times(), before.column(SignalKind::RequestRate));
        // `new` has fixed keys: the same past has the same fingerprint in every process.
        let mut hasher = DefaultHasher::new();
        let facts = &observation.facts;
        facts.pod_capacity.map(f64::to_bits).hash(&mut hasher);
        (facts.start_up, facts.metrics_lag, facts.metrics_window, facts.sync_period).hash(&mut hasher);
        (times.len(), times.first()).hash(&mut hasher);
        let newest = times.len().saturating_sub(NEWEST)..times.len();
        let sprinkle = (0..SPRINKLED).map(|nth| nth * times.len() / SPRINKLED);
        for place in newest.chain(sprinkle) {
            (times.get(place), rates.get(place).map(|rate| rate.to_bits())).hash(&mut hasher);
        }
        // At a full hour the present is part of the past.
        if now_ms <= until_ms {
            observation.current.value(SignalKind::RequestRate).map(f64::to_bits).hash(&mut hasher);
        }
        Self { until_ms, fingerprint: hasher.finish() }
    }
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
