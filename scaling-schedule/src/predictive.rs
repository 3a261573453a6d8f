//! Sizing for the load that is coming: [`PredictiveEngine`].

mod memory;
mod policy;
mod rehearsal;
mod saturation;
mod snapshot;
mod workload;

use std::fmt;

use async_trait::async_trait;
use scaling_core::InvalidSetting;
use scaling_core::{
    CapacityModel, DecisionEngine, EngineError, Forecast, LoadForecast, NoForecast, Observation, Reason,
    RuleBasedEngine, RuleConfig, ScalingDecision, SignalKind, SignalSet, Target,
};
use serde::{Deserialize, Serialize};

use self::memory::{Memory, lock};
use self::policy::{Aim, Policy};
use self::saturation::{BlindQueue, Pace};
pub use self::snapshot::{Snapshot, SnapshotError};
use self::workload::Workload;

const NAME: &str = "predictive";
/// Multiple of the present size that slow pods call for at most, at once.
const SLOW_GROWTH_AT_MOST: u32 = 2;
/// Targets that are remembered by default: as many as a large fleet has workloads. Each takes less than 64 KiB.
const TARGETS: usize = 10_000;

/// Settings of a [`PredictiveEngine`]. An unknown key in written form is an error that names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PredictiveConfig {
    /// Share of requests that may wait for longer than the [`Objective`](scaling_core::Objective) of the workload allows, on the long
    /// run. Within 0.0001..=0.2; default 0.01, one in a hundred.
    pub violating_share: f64,
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
            violating_share: 0.01,
            max_targets: TARGETS,
            rules: RuleConfig { learnt_target_percent: 100.0, ..RuleConfig::tracking() },
        }
    }
}

/// Sizes for the load that comes when a pod that is created now is ready: an upper quantile of a forecast learnt from the
/// workload's own past ([`Forecaster`](crate::Forecaster)), through the rules, which know capacity, backlog, health and memory.
///
/// Law 7: the forecast only raises. The rules size for the forecast or for the present load, whichever is more, add what waits,
/// and shrink only if they find the service healthy and every signal present; what the last minutes' forecasts asked for is kept
/// until none of them does. Without any load to tell by the rules decide alone.
///
/// The quantile that is sized for, the time for which a size is kept and how much smaller the next has to be are chosen every five
/// minutes by what each choice would have come to on the last days, at a price for requests that wait which follows from
/// [`violating_share`](PredictiveConfig::violating_share).
///
/// # Full pods
///
/// Full pods hide demand. The rules take them as too few where no queue is measured; where one is measured and stays empty, pods
/// that have been full over five windows of the metrics are taken as too few as well, by
/// [`overload_growth`](RuleConfig::overload_growth). Full pods that serve less than the declared or usual capacity are believed:
/// sizes are for what they serve, until utilization shows that they have recovered.
///
/// # Without a request rate
///
/// Where a request rate is neither measured nor declared, the load is the CPU that all pods use. It is hidden by full pods, for which
/// the rules ask for more.
///
/// # What is remembered
///
/// State learnt of each target, sample by sample; see [`max_targets`](PredictiveConfig::max_targets) and
/// [`forget`](Self::forget). It depends on the target's samples alone, so a replay decides the same. The first decision about a
/// target learns from its history, up to fourteen days in some tenths of a second; later ones learn what is new, in some
/// microseconds. A history in which the last sample learnt from is not to be found is another past, and learnt anew. A
/// [`snapshot`](Self::snapshot) carries what was learnt over a restart.
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
    /// [`InvalidSetting`] if the share, the number of targets or a threshold of the rules cannot work.
    pub fn new(config: PredictiveConfig) -> Result<Self, InvalidSetting> {
        let forecast = LearntForecast::new(&config)?;
        let rules = RuleBasedEngine::new(config.rules)?.without_rule("trend");
        Ok(Self { forecast, rules: rules.with_rule(BlindQueue) })
    }

    /// Creates the engine over rules of one's own, with this [`violating_share`](PredictiveConfig::violating_share) and the
    /// default number of targets. A rule about full pods beside an empty queue is added.
    ///
    /// # Errors
    /// [`InvalidSetting`] if the share cannot work.
    pub fn over(rules: RuleBasedEngine, violating_share: f64) -> Result<Self, InvalidSetting> {
        let config = PredictiveConfig { violating_share, rules: rules.config().clone(), ..PredictiveConfig::default() };
        Ok(Self { forecast: LearntForecast::new(&config)?, rules: rules.with_rule(BlindQueue) })
    }

    /// Drops what was learnt of a target that is gone. If it is asked about again, it is learnt again.
    pub fn forget(&self, target: &Target) {
        self.forecast.forget(target);
    }

    /// State learnt of a target, to be kept over a restart; `None` of one that nothing is known of. At most 64 KiB for usual
    /// start-up times.
    pub fn snapshot(&self, target: &Target) -> Option<Snapshot> {
        self.forecast.snapshot(target)
    }

    /// Goes on from a snapshot: the next decision about the target learns only what is newer. What was known of it before is dropped.
    ///
    /// # Errors
    /// [`SnapshotError`] if it is none, is of another version, or holds what cannot be. Nothing is changed then, and the target is
    /// learnt from its history.
    pub fn restore(&self, target: &Target, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        self.forecast.restore(target, snapshot)
    }

    /// Decides, without a future.
    ///
    /// # Errors
    /// [`EngineError::NoPodCount`] if nothing says how many pods there are.
    pub fn evaluate(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let Known { forecast, policy, pace, declared } = self.forecast.known(observation);
        let mut told = observation.clone().with_forecast(forecast);
        told.declared = declared.or(told.declared);
        let mut decision = self.rules.evaluate(&told)?;
        if let (Some(Ok(_)), Some(capacity)) = (told.forecast, pace.slow()) {
            let slow = self.at_pace(told, capacity)?;
            // Slow pods only raise: the rules may have learnt of them already. Pods that stopped serving must not call for thousands.
            let most = SLOW_GROWTH_AT_MOST.saturating_mul(slow.current_replicas).max(decision.desired_replicas);
            if slow.desired_replicas > decision.desired_replicas {
                decision = slow;
                decision.desired_replicas = decision.desired_replicas.min(most);
            }
        }
        let (present, wanted) = (decision.current_replicas, decision.desired_replicas);
        let needed = decision.reasons.iter().find_map(|reason| match reason {
            Reason::OverProvisioned { needed } => Some(*needed),
            _ => None,
        });
        if wanted < present && needed.unwrap_or(f64::from(wanted)) > policy.band * f64::from(present) {
            decision.desired_replicas = present;
            decision.reasons.push(Reason::SmallShrink { replicas: wanted, share: policy.band });
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

/// Forecast of a workload's load by a [`Forecaster`](crate::Forecaster) that learns from its samples as they come; the quantile, and
/// the time for which it is kept, are those that would have cost least ([`PredictiveEngine`]).
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
    aim: Aim,
    rules: RuleConfig,
    memory: Memory<Workload>,
}

impl fmt::Debug for LearntForecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LearntForecast").field("aim", &self.aim).field("memory", &self.memory).finish_non_exhaustive()
    }
}

/// Knowledge of a workload that a decision needs.
struct Known {
    forecast: Result<LoadForecast, NoForecast>,
    policy: Policy,
    pace: Pace,
    /// Declared signals, where what was learnt tells of one that the observation does not.
    declared: Option<SignalSet>,
}

impl LearntForecast {
    /// Creates a forecast that has learnt nothing yet. Of the rules it needs to know how they size.
    ///
    /// # Errors
    /// [`InvalidSetting`] if the share, the number of targets or a threshold of the rules cannot work.
    pub fn new(config: &PredictiveConfig) -> Result<Self, InvalidSetting> {
        let (share, targets) = (config.violating_share, config.max_targets);
        if targets == 0 {
            return Err(InvalidSetting { field: "max_targets", value: 0.0, must: "at least 1" });
        }
        if !(0.0001..=0.2).contains(&share) {
            return Err(InvalidSetting { field: "violating_share", value: share, must: "within 0.0001..=0.2" });
        }
        config.rules.validate()?;
        Ok(Self { aim: Aim::at(share), rules: config.rules.clone(), memory: Memory::new(targets) })
    }

    /// Drops what was learnt of a target that is gone.
    pub fn forget(&self, target: &Target) {
        self.memory.forget(target);
    }

    /// State learnt of a target, as [`PredictiveEngine::snapshot`].
    pub fn snapshot(&self, target: &Target) -> Option<Snapshot> {
        let kept = self.memory.get(target)?;
        let workload = lock(&kept);
        workload.as_ref().and_then(Snapshot::of)
    }

    /// Goes on from a snapshot, as [`PredictiveEngine::restore`].
    ///
    /// # Errors
    /// [`SnapshotError`] if it cannot be used.
    pub fn restore(&self, target: &Target, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        let workload = snapshot.workload()?;
        *lock(&self.memory.of(&target.clone().into())) = Some(workload);
        Ok(())
    }

    fn known(&self, observation: &Observation) -> Known {
        let kept = self.memory.of(&observation.target);
        let mut kept = lock(&kept);
        if let Some(workload) = kept.as_ref().filter(|workload| workload.lacks_its_rate(observation)) {
            let signal = SignalKind::RequestRate;
            return Known {
                forecast: Err(NoForecast::NoLoad { signal }),
                policy: workload.policy(self.aim),
                pace: *workload.pace(),
                declared: Some(observation.declared().with(signal)),
            };
        }
        let known = match kept.as_mut().filter(|workload| workload.continues(observation)) {
            Some(workload) => {
                workload.observe(observation, &self.rules, self.aim);
                Ok(&*workload)
            }
            None => Workload::learn(observation, &self.rules, self.aim).map(|workload| {
                let (target, moments) = (&observation.target, workload.moments());
                tracing::info!(target_workload = %target, moments, "learnt anew from the history of its source");
                &*kept.insert(workload)
            }),
        };
        match known {
            Ok(workload) => Known {
                forecast: workload.forecast(self.aim),
                policy: workload.policy(self.aim),
                pace: *workload.pace(),
                declared: None,
            },
            Err(cause) => {
                Known { forecast: Err(cause), policy: self.aim.unlearnt(), pace: Pace::default(), declared: None }
            }
        }
    }
}

impl Forecast for LearntForecast {
    fn name(&self) -> &'static str {
        "learnt quantile"
    }

    fn forecast(&self, observation: &Observation) -> Result<LoadForecast, NoForecast> {
        self.known(observation).forecast
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
