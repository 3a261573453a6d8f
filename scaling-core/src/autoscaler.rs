//! The whole path, once: [`Autoscaler::tick`].

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    ApplyMode, Approved, BoundsPolicy, DecisionEngine, DecisionRecord, Guards, HardLimits, HpaApplier, HpaPlan,
    LastChanges, MetricsSource, NoRecorder, Outcome, Price, RecordError, Recorder, Situation, Step, Target,
};

/// How long removals are remembered for the fleet-wide budget.
const REMOVALS_KEPT: TimeDelta = TimeDelta::hours(1);

/// Wires a source, an engine, guards, a policy, an applier and a recorder, and runs them once per [`tick`](Self::tick).
///
/// It has no clock, no timer and no thread: the host says when, and which workload. Ticks of different workloads may run side by
/// side; two of the same workload should not.
///
/// ```
/// use scaling_core::chrono::{DateTime, TimeDelta};
/// use scaling_core::{
///     ApplyMode, Autoscaler, Bounds, MemoryApplier, MemorySource, Observation, Outcome, RuleBasedEngine, ScalingMetrics,
///     SignalKind, Target,
/// };
/// use std::sync::Arc;
///
/// let target = Target::deployment("shop", "checkout", "checkout");
/// let source = Arc::new(MemorySource::new());
/// let applier = Arc::new(MemoryApplier::new().with(target.clone(), Bounds::new(2, 6)?));
/// let autoscaler = Autoscaler::builder()
///     .source(source.clone())
///     .engine(RuleBasedEngine::default())
///     .applier(applier.clone())
///     .mode(ApplyMode::Apply) // the default, Plan, changes nothing
///     .build()?;
///
/// // Six minutes in which load more than doubles.
/// let start = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
/// for (minute, cpu, rate) in [(0, 40.0, 200.0), (1, 41.0, 205.0), (2, 39.0, 196.0), (3, 70.0, 350.0), (4, 84.0, 430.0), (5, 93.0, 470.0)] {
///     let at = start + TimeDelta::minutes(minute);
///     let metrics = ScalingMetrics::new(at, 3)
///         .with(SignalKind::CpuUtilization, cpu)
///         .with(SignalKind::MemoryUtilization, 50.0)
///         .with(SignalKind::RequestRate, rate);
///     source.advance(&target, metrics, at)?;
/// }
/// let record = futures::executor::block_on(autoscaler.tick(&target, start + TimeDelta::minutes(5)))?;
/// assert_eq!(record.outcome, Outcome::Applied);
/// assert!(applier.bounds(&target).unwrap().max() > 6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Autoscaler {
    source: Box<dyn MetricsSource>,
    engine: Box<dyn DecisionEngine>,
    guards: Guards,
    policy: BoundsPolicy,
    limits: HardLimits,
    price: Option<Price>,
    applier: Box<dyn HpaApplier>,
    recorder: Box<dyn Recorder>,
    mode: ApplyMode,
    memory: Mutex<Memory>,
}

/// What was applied lately. Short locks, never held over an await.
#[derive(Debug, Default)]
struct Memory {
    last: HashMap<Target, LastChanges>,
    removals: Vec<(DateTime<Utc>, u32)>,
}

impl std::fmt::Debug for Autoscaler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Autoscaler")
            .field("engine", &self.engine.name())
            .field("guards", &self.guards)
            .field("limits", &self.limits)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

/// A tick whose record could not be kept. What it did is done; the record is here.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", record.target)]
pub struct TickError {
    /// The record that was not kept.
    pub record: Box<DecisionRecord>,
    /// Why.
    #[source]
    pub source: RecordError,
}

/// A part that an [`Autoscaler`] cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an autoscaler needs {0}")]
pub struct MissingPart(&'static str);

/// Builds an [`Autoscaler`].
#[derive(Default)]
pub struct AutoscalerBuilder {
    source: Option<Box<dyn MetricsSource>>,
    engine: Option<Box<dyn DecisionEngine>>,
    applier: Option<Box<dyn HpaApplier>>,
    recorder: Option<Box<dyn Recorder>>,
    guards: Guards,
    policy: BoundsPolicy,
    limits: HardLimits,
    price: Option<Price>,
    mode: ApplyMode,
}

impl std::fmt::Debug for AutoscalerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AutoscalerBuilder").field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl AutoscalerBuilder {
    /// Where metrics come from. Required.
    #[must_use]
    pub fn source(mut self, source: impl MetricsSource + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// Who decides. Required.
    #[must_use]
    pub fn engine(mut self, engine: impl DecisionEngine + 'static) -> Self {
        self.engine = Some(Box::new(engine));
        self
    }

    /// Who reads and changes HPAs. Required.
    #[must_use]
    pub fn applier(mut self, applier: impl HpaApplier + 'static) -> Self {
        self.applier = Some(Box::new(applier));
        self
    }

    /// Who keeps the records. Default: nobody; [`Autoscaler::tick`] returns each.
    #[must_use]
    pub fn recorder(mut self, recorder: impl Recorder + 'static) -> Self {
        self.recorder = Some(Box::new(recorder));
        self
    }

    /// What is allowed. Default: [`Guards::default`].
    #[must_use]
    pub fn guards(mut self, guards: Guards) -> Self {
        self.guards = guards;
        self
    }

    /// How wanted replicas become bounds.
    #[must_use]
    pub fn policy(mut self, policy: BoundsPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// The sizes allowed at all.
    #[must_use]
    pub fn limits(mut self, limits: HardLimits) -> Self {
        self.limits = limits;
        self
    }

    /// What pods cost; decisions that do not say what they cost then do.
    #[must_use]
    pub fn price(mut self, price: Price) -> Self {
        self.price = Some(price);
        self
    }

    /// How far to go. Default: [`ApplyMode::Plan`], which changes nothing.
    #[must_use]
    pub fn mode(mut self, mode: ApplyMode) -> Self {
        self.mode = mode;
        self
    }

    /// The autoscaler.
    ///
    /// # Errors
    /// [`MissingPart`] without a source, an engine or an applier.
    pub fn build(self) -> Result<Autoscaler, MissingPart> {
        Ok(Autoscaler {
            source: self.source.ok_or(MissingPart("a source"))?,
            engine: self.engine.ok_or(MissingPart("an engine"))?,
            applier: self.applier.ok_or(MissingPart("an applier"))?,
            recorder: self.recorder.unwrap_or_else(|| Box::new(NoRecorder)),
            guards: self.guards,
            policy: self.policy,
            limits: self.limits,
            price: self.price,
            mode: self.mode,
            memory: Mutex::default(),
        })
    }
}

impl Autoscaler {
    /// Starts building one.
    pub fn builder() -> AutoscalerBuilder {
        AutoscalerBuilder::default()
    }

    /// Observes, decides, approves, plans, applies and records, once, for one workload at one moment. Whatever fails or is
    /// refused is in the record, and the workload is left alone.
    ///
    /// # Errors
    /// [`TickError`] if the record could not be kept.
    pub async fn tick(&self, target: &Target, now: DateTime<Utc>) -> Result<DecisionRecord, TickError> {
        let mut record = DecisionRecord {
            at: now,
            target: target.clone(),
            mode: self.mode,
            metrics: None,
            history: 0,
            bounds: None,
            decision: None,
            clamps: Vec::new(),
            change: None,
            outcome: Outcome::Unchanged,
        };
        record.outcome = self.run(&mut record).await;
        tracing::debug!(target_workload = %record.target, outcome = ?record.outcome, "tick");
        match self.recorder.record(&record) {
            Ok(()) => Ok(record),
            Err(source) => Err(TickError { record: Box::new(record), source }),
        }
    }

    async fn run(&self, record: &mut DecisionRecord) -> Outcome {
        let now = record.at;
        let observation = match self.source.observe(&record.target, now).await {
            Ok(observation) => observation,
            Err(error) => return failed(Step::Observe, &error, error.is_transient()),
        };
        record.metrics = Some(observation.current.clone());
        record.history = observation.history.before(observation.current.timestamp.timestamp_millis()).times().len();

        let state = match self.applier.current(&record.target).await {
            Ok(state) => state,
            Err(error) => return failed(Step::Read, &error, error.is_transient()),
        };
        record.bounds = Some(state.bounds);

        let mut decision = match self.engine.decide(&observation).await {
            Ok(decision) => decision,
            Err(error) => return failed(Step::Decide, &error, error.is_transient()),
        };
        if decision.cost.is_none() {
            let resources = decision.resources.as_ref();
            decision.cost =
                self.price.map(|price| price.impact(decision.current_replicas, decision.desired_replicas, resources));
        }

        let verdict = {
            let mut memory = self.memory();
            let verdict = self.guards.approve(
                decision.finite(),
                &Situation {
                    target: &record.target,
                    now,
                    observation: &observation,
                    state,
                    limits: self.limits,
                    last: memory.last.get(&record.target).copied().unwrap_or_default(),
                    removals: &memory.removals,
                },
            );
            // Spent under the same lock that it was granted under: ticks side by side share one budget.
            if let Ok(approved) = &verdict {
                memory.reserve(now, removed(approved));
            }
            verdict
        };
        let approved = match verdict {
            Ok(approved) => approved,
            Err(refusal) => {
                record.decision = Some(refusal.decision);
                record.clamps = refusal.clamps;
                return Outcome::Refused { guard: refusal.guard.to_owned(), why: refusal.why.into_owned() };
            }
        };
        let removed = removed(&approved);
        let plan = self.policy.plan(&approved);
        let (decision, clamps) = approved.into_parts();
        let grown = plan.replicas() >= decision.current_replicas;
        record.decision = Some(decision);
        record.clamps = clamps;
        record.change = (!plan.is_empty()).then(|| plan.change());
        let outcome = self.carry_out(&plan).await;
        let mut memory = self.memory();
        if outcome == Outcome::Applied {
            memory.remember(&record.target, now, grown);
        } else {
            memory.give_back(now, removed);
        }
        outcome
    }

    async fn carry_out(&self, plan: &HpaPlan) -> Outcome {
        if plan.is_empty() {
            return Outcome::Unchanged;
        }
        if self.mode == ApplyMode::Plan {
            return Outcome::Planned;
        }
        match self.applier.apply(plan, self.mode).await {
            Err(error) => failed(Step::Apply, &error, error.is_transient()),
            Ok(_) if self.mode == ApplyMode::ServerDryRun => Outcome::Validated,
            Ok(applied) if applied.changed => Outcome::Applied,
            Ok(_) => Outcome::Unchanged,
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn remember(&mut self, target: &Target, now: DateTime<Utc>, grown: bool) {
        let last = self.last.entry(target.clone()).or_default();
        *(if grown { &mut last.grown } else { &mut last.shrunk }) = Some(now);
    }

    fn reserve(&mut self, now: DateTime<Utc>, pods: u32) {
        if pods > 0 {
            self.removals.retain(|(at, _)| now.signed_duration_since(*at) < REMOVALS_KEPT);
            self.removals.push((now, pods));
        }
    }

    fn give_back(&mut self, now: DateTime<Utc>, pods: u32) {
        let reserved = self.removals.iter().rposition(|removal| *removal == (now, pods)).filter(|_| pods > 0);
        if let Some(place) = reserved {
            self.removals.remove(place);
        }
    }
}

/// Pods that an approved decision removes.
fn removed(approved: &Approved) -> u32 {
    approved.decision().current_replicas.saturating_sub(approved.replicas())
}

fn failed(step: Step, error: &dyn std::error::Error, transient: bool) -> Outcome {
    Outcome::Failed { step, error: error.to_string(), transient }
}
