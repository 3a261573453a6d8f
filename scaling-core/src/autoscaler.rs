//! The whole path, once: [`Autoscaler::tick`].

mod caught;
mod review;
mod spans;
mod underway;

use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use tracing::Instrument;

use crate::applier::HpaApplier;
use crate::bounds::HardLimits;
use crate::change_log::ChangeLog;
use crate::cost::Price;
use crate::decision::{Floor, ScalingDecision};
use crate::engine::DecisionEngine;
use crate::guard::{Approved, GuardContext, Guards, Limit, Proposal};
use crate::metrics::Observation;
use crate::plan::HpaPlan;
use crate::policy::BoundsPolicy;
use crate::record::{DecisionRecord, NoRecorder, Outcome, RecordError, Recorder, Step, Unchanged, Undoing};
use crate::source::{MetricsSource, SourceError};
use crate::state::{Adoption, ApplyMode, HpaState};
use crate::target::Target;
#[cfg(feature = "live")]
pub(crate) use caught::caught as caught_panic;
use caught::{Panicked, called, caught, kept};
pub use review::{Review, Undo};
use underway::{Underway, begin};

/// Wires a source, an engine, guards, a policy, an applier and a recorder, and runs them once per [`tick`](Self::tick).
///
/// It has no clock, no timer and no thread: the host says when, and which workload. Ticks of different workloads may run side by
/// side; two of the same workload should not. What it remembers of each workload is a [`ChangeLog`], of bounded size.
///
/// ```
/// use scaling_core::chrono::{DateTime, TimeDelta};
/// use scaling_core::{
///     ApplyMode, Autoscaler, Bounds, MemoryApplier, MemorySource, Observation, Outcome, RuleBasedEngine, ScalingMetrics,
///     SignalKind, Target,
/// };
/// use std::sync::Arc;
///
/// let target = Target::deployment("shop", "checkout");
/// let source = Arc::new(MemorySource::new());
/// let applier = Arc::new(MemoryApplier::new().with(target.clone(), Bounds::new(2, 6)?));
/// let autoscaler = Autoscaler::builder()
///     .source(source.clone())
///     .engine(RuleBasedEngine::default())
///     .applier(applier.clone())
///     .mode(ApplyMode::Apply) // the default, Plan, changes nothing
///     .build();
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
    review: Option<Box<dyn Review>>,
    mode: ApplyMode,
    /// Short locks, never held over an await.
    log: Mutex<ChangeLog>,
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
    /// Cause.
    #[source]
    pub source: RecordError,
}

/// What holds for one workload of those that an autoscaler ticks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms {
    pub(crate) adoption: Adoption,
    /// Limits in the place of those of all.
    pub(crate) limits: Option<HardLimits>,
    /// Mapping in the place of that of all.
    pub(crate) policy: Option<BoundsPolicy>,
}

/// What a wish is judged by.
#[derive(Clone, Copy)]
struct Ask<'a> {
    terms: Terms,
    guards: &'a Guards,
}

/// Wish that the guards judge.
enum Wish<'a> {
    /// The engine's decision, or how the tick ends without one: then floors that are due are held.
    Decided(Box<Result<ScalingDecision, Outcome>>),
    /// An earlier change is undone.
    Undo(&'a Undo),
    /// Everything goes back to the owner.
    GiveBack,
}

/// A part that an [`AutoscalerBuilder`] does not have yet.
#[derive(Clone, Copy, Debug)]
pub struct Missing;

/// Builds an [`Autoscaler`]. Without a source, an engine and an applier there is nothing to build, which the compiler says:
///
/// ```compile_fail
/// use scaling_core::{Autoscaler, MemorySource, RuleBasedEngine};
/// let autoscaler = Autoscaler::builder().source(MemorySource::new()).engine(RuleBasedEngine::default()).build();
/// ```
#[must_use = "nothing is built before `build`"]
pub struct AutoscalerBuilder<Source = Missing, Engine = Missing, Applier = Missing> {
    source: Source,
    engine: Engine,
    applier: Applier,
    recorder: Box<dyn Recorder>,
    review: Option<Box<dyn Review>>,
    guards: Guards,
    policy: BoundsPolicy,
    limits: HardLimits,
    price: Option<Price>,
    mode: ApplyMode,
    log: ChangeLog,
}

impl<Source, Engine, Applier> std::fmt::Debug for AutoscalerBuilder<Source, Engine, Applier> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AutoscalerBuilder").field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl<Source, Engine, Applier> AutoscalerBuilder<Source, Engine, Applier> {
    /// Sets the source of metrics. Required.
    pub fn source(
        self,
        source: impl MetricsSource + 'static,
    ) -> AutoscalerBuilder<Box<dyn MetricsSource>, Engine, Applier> {
        let Self { source: _, engine, applier, recorder, review, guards, policy, limits, price, mode, log } = self;
        let source: Box<dyn MetricsSource> = Box::new(source);
        AutoscalerBuilder { source, engine, applier, recorder, review, guards, policy, limits, price, mode, log }
    }

    /// Sets the engine. Required.
    pub fn engine(
        self,
        engine: impl DecisionEngine + 'static,
    ) -> AutoscalerBuilder<Source, Box<dyn DecisionEngine>, Applier> {
        let Self { source, engine: _, applier, recorder, review, guards, policy, limits, price, mode, log } = self;
        let engine: Box<dyn DecisionEngine> = Box::new(engine);
        AutoscalerBuilder { source, engine, applier, recorder, review, guards, policy, limits, price, mode, log }
    }

    /// Sets the applier, which reads and changes HPAs. Required.
    pub fn applier(self, applier: impl HpaApplier + 'static) -> AutoscalerBuilder<Source, Engine, Box<dyn HpaApplier>> {
        let Self { source, engine, applier: _, recorder, review, guards, policy, limits, price, mode, log } = self;
        let applier: Box<dyn HpaApplier> = Box::new(applier);
        AutoscalerBuilder { source, engine, applier, recorder, review, guards, policy, limits, price, mode, log }
    }

    /// Sets the recorder. Default: none; [`Autoscaler::tick`] returns each record.
    pub fn recorder(mut self, recorder: impl Recorder + 'static) -> Self {
        self.recorder = Box::new(recorder);
        self
    }

    /// Sets what looks at each workload before it is decided on, and may undo an earlier change instead. Default: nothing does.
    pub fn review(mut self, review: impl Review + 'static) -> Self {
        self.review = Some(Box::new(review));
        self
    }

    /// Sets the guards. Default: [`Guards::default`].
    pub fn guards(mut self, guards: Guards) -> Self {
        self.guards = guards;
        self
    }

    /// Sets the mapping from a request to bounds. Default: [`BoundsPolicy::default`].
    pub fn policy(mut self, policy: BoundsPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// The sizes allowed at all.
    pub fn limits(mut self, limits: HardLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the price of pods; decisions that do not say what they cost then do.
    pub fn price(mut self, price: Price) -> Self {
        self.price = Some(price);
        self
    }

    /// Sets the mode. Default: [`ApplyMode::Plan`], which changes nothing.
    pub fn mode(mut self, mode: ApplyMode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets the log of earlier changes: cooldowns, budgets and floors of an earlier run, read back from its records. Default: nothing.
    pub fn change_log(mut self, log: ChangeLog) -> Self {
        self.log = log;
        self
    }
}

impl AutoscalerBuilder<Box<dyn MetricsSource>, Box<dyn DecisionEngine>, Box<dyn HpaApplier>> {
    /// The autoscaler.
    pub fn build(self) -> Autoscaler {
        let Self { source, engine, applier, recorder, review, guards, policy, limits, price, mode, log } = self;
        Autoscaler {
            source,
            engine,
            applier,
            recorder,
            review,
            guards,
            policy,
            limits,
            price,
            mode,
            log: Mutex::new(log),
        }
    }
}

impl Autoscaler {
    /// Starts building one.
    pub fn builder() -> AutoscalerBuilder {
        AutoscalerBuilder {
            source: Missing,
            engine: Missing,
            applier: Missing,
            recorder: Box::new(NoRecorder),
            review: None,
            guards: Guards::default(),
            policy: BoundsPolicy::default(),
            limits: HardLimits::default(),
            price: None,
            mode: ApplyMode::default(),
            log: ChangeLog::default(),
        }
    }

    /// Forgets a workload that is gone.
    pub fn forget(&self, target: &Target) {
        self.log().forget(target);
    }

    /// Hands a workload over to another autoscaler: all but the signals that it has had is forgotten.
    #[cfg(feature = "live")]
    pub(crate) fn hand_over(&self, target: &Target) {
        self.log().hand_over(target);
    }

    /// Counts a workload as changed at `now`, because another autoscaler may have changed it a moment ago: nothing of it is lowered until
    /// the [cooldown](crate::Cooldown) is over (law 12).
    pub fn count_as_changed(&self, target: &Target, now: DateTime<Utc>) {
        self.log().count_as_changed(&Arc::new(target.clone()), now);
    }

    /// A copy of what was done lately, to be carried over into another autoscaler.
    pub fn change_log(&self) -> ChangeLog {
        self.log().clone()
    }

    /// Observes, decides, approves, plans, applies and records, once, for one workload at one moment. Whatever fails or is
    /// refused is in the record, and the workload is left alone but for floors that are due.
    ///
    /// # Cancelling
    /// A tick may be dropped at any moment. The recorder then gets its record as far as it went, which says at what step it ended and
    /// whether a write may have happened (law 12).
    ///
    /// # Panics
    /// None: a part that panics has failed, and the record says at what step. What is due of itself is held all the same if it was the
    /// source or the engine; a panic while the change was written counts as a write that may have happened.
    ///
    /// # Errors
    /// [`TickError`] if the record could not be kept.
    pub async fn tick(&self, target: &Target, now: DateTime<Utc>) -> Result<DecisionRecord, TickError> {
        // Its span begins when it is asked for, inside of the tick's.
        let seen = async { self.source.observe(target, now).instrument(spans::observe(1)).await };
        self.tick_on(target, Terms::default(), now, seen).await
    }

    /// Ticks many workloads at one moment, observed at once ([`MetricsSource::observe_all`]). A record for each, in their order.
    pub async fn tick_all(&self, targets: &[Target], now: DateTime<Utc>) -> Vec<Result<DecisionRecord, TickError>> {
        let mut seen = self.observe_all(targets, now).await.into_iter();
        let mut records = Vec::with_capacity(targets.len());
        for target in targets {
            // A source that answers for fewer than it was asked for has no data for the rest.
            let none = || Err(SourceError::NoData { target: Box::new(target.clone()), at: now });
            let seen = seen.next().unwrap_or_else(none);
            records.push(self.tick_on(target, Terms::default(), now, ready(seen)).await);
        }
        records
    }

    /// What the source sees of many workloads: the first half of [`tick_all`](Self::tick_all).
    pub(crate) async fn observe_all(
        &self,
        targets: &[Target],
        now: DateTime<Utc>,
    ) -> Vec<Result<Observation, SourceError>> {
        self.source.observe_all(targets, now).instrument(spans::observe(targets.len())).await
    }

    /// A tick that its host gives up before it has begun. Its record is kept all the same.
    #[cfg(feature = "live")]
    pub(crate) fn cancel(&self, target: &Target, terms: Terms, now: DateTime<Utc>) {
        let mut record = DecisionRecord::new(target.clone(), now, self.mode_of(terms));
        drop(Underway::new(&mut record, &*self.recorder));
    }

    /// Gives a workload that is ticked no more back to the bounds that its owner set, as far as `guards` let pods go, once, and records it with
    /// the reason `why`. Floors are held no longer, and no metrics are asked for: whoever hands a workload back has nothing to decide on. What is
    /// let go counts for the removal budget of all.
    ///
    /// The limits are those of `limits`, which may be wider than the autoscaler's own: what the owner had set before may lie outside of these.
    ///
    /// # Errors
    /// [`TickError`] if the record could not be kept.
    pub async fn give_back(
        &self,
        target: &Target,
        why: &str,
        (guards, limits): (&Guards, HardLimits),
        now: DateTime<Utc>,
    ) -> Result<DecisionRecord, TickError> {
        let terms = Terms { limits: Some(limits), ..Terms::default() };
        let mut record = DecisionRecord::new(target.clone(), now, self.mode);
        record.undo = Some(Undoing { why: why.to_owned(), held: None });
        {
            let tick = Underway::new(&mut record, &*self.recorder);
            let back = async {
                begin(tick.record, Step::Read);
                let state = match self.applier.current(target).await {
                    Ok(state) => state,
                    Err(error) => return failed(Step::Read, &error, error.is_transient()),
                };
                begin(tick.record, Step::Decide);
                let ask = Ask { terms, guards };
                let (approved, target) = self.approve(tick.record, ask, state, None, Wish::GiveBack);
                self.finish(tick.record, approved, &target).await
            };
            let outcome = caught(back).await.unwrap_or_else(|panic| ended_by(&panic, &tick.record.outcome));
            tick.end(outcome);
        }
        self.keep(record)
    }

    /// Has the recorder keep what it was given so far ([`Recorder::flush`]).
    ///
    /// # Errors
    /// [`RecordError`] if some of it may be lost.
    pub fn flush(&self) -> Result<(), RecordError> {
        kept(|| self.recorder.flush())
    }

    /// A workload that is observed alone is planned for, whatever the mode.
    fn mode_of(&self, terms: Terms) -> ApplyMode {
        if terms.adoption == Adoption::Observe { ApplyMode::Plan } else { self.mode }
    }

    /// The tick over what the source answers.
    pub(crate) async fn tick_on(
        &self,
        target: &Target,
        terms: Terms,
        now: DateTime<Utc>,
        seen: impl Future<Output = Result<Observation, SourceError>> + Send,
    ) -> Result<DecisionRecord, TickError> {
        let mode = self.mode_of(terms);
        let span = spans::tick(target, mode);
        let mut record = DecisionRecord::new(target.clone(), now, mode);
        async {
            let tick = Underway::new(&mut record, &*self.recorder);
            let run = async {
                let seen = caught(seen).await.unwrap_or_else(|panic| Err(unseen(target, panic)));
                self.run(tick.record, terms, seen).await
            };
            let outcome = caught(run).await.unwrap_or_else(|panic| ended_by(&panic, &tick.record.outcome));
            tick.end(outcome);
        }
        .instrument(span.clone())
        .await;
        spans::ticked(&span, &record);
        tracing::debug!(target_workload = %record.target, outcome = ?record.outcome, "tick");
        self.keep(record)
    }

    fn keep(&self, record: DecisionRecord) -> Result<DecisionRecord, TickError> {
        match kept(|| self.recorder.record(&record)) {
            Ok(()) => Ok(record),
            Err(source) => Err(TickError { record: Box::new(record), source }),
        }
    }

    async fn run(&self, record: &mut DecisionRecord, terms: Terms, seen: Result<Observation, SourceError>) -> Outcome {
        let observation = self.observed(record, seen);
        begin(record, Step::Read);
        let state = match self.applier.current(&record.target).await {
            Ok(state) => state,
            Err(error) => return failed(Step::Read, &error, error.is_transient()),
        };
        begin(record, Step::Decide);
        let ask = Ask { terms, guards: &self.guards };
        if let Some((approved, target)) = self.undone(record, ask, state, &observation) {
            return self.finish(record, approved, &target).await;
        }
        let decision = match &observation {
            Ok(observation) => self.decide(observation).await,
            Err(outcome) => Err(outcome.clone()),
        };
        let wish = Wish::Decided(Box::new(decision));
        let (approved, target) = self.approve(record, ask, state, observation.as_ref().ok(), wish);
        self.finish(record, approved, &target).await
    }

    /// Carries out what was approved, and says how it ended.
    async fn finish(&self, record: &mut DecisionRecord, approved: Approved, target: &Target) -> Outcome {
        let plan = HpaPlan::of(&approved);
        record.change = (!plan.is_empty()).then(|| plan.change());
        record.requests = plan.requests();
        let refused = refusal(&approved);
        let unchanged = plan.is_empty().then(|| Outcome::Unchanged { why: unchanged(&approved) });
        let (decision, floor, clamps, _) = approved.into_parts();
        (record.decision, record.floor, record.clamps) = (decision, floor, clamps);
        if let Some(unchanged) = unchanged {
            return record.withheld.take().or(refused).unwrap_or(unchanged);
        }
        record.withheld = record.withheld.take().or(refused);
        begin(record, Step::Apply);
        self.intend(record);
        let span = spans::update(&plan, record.mode);
        let outcome = self.carry_out(record, &plan, target).instrument(span.clone()).await;
        spans::updated(&span, &outcome);
        outcome
    }

    /// The undo that the review asks for, as far as the guards leave something of it; none if nothing is to be undone now.
    fn undone(
        &self,
        record: &mut DecisionRecord,
        ask: Ask<'_>,
        state: HpaState,
        observation: &Result<Observation, Outcome>,
    ) -> Option<(Approved, Arc<Target>)> {
        let (seen, review) = (observation.as_ref().ok(), self.review.as_ref()?);
        let undo = match called(|| review.review(&record.target, state, seen, record.at)) {
            Ok(undo) => undo?,
            Err(panic) => {
                tracing::error!(target_workload = %record.target, %panic, "the review panicked");
                let (why, held) = ("whether a change is to be undone is not known".to_owned(), Some(panic.to_string()));
                record.undo = Some(Undoing { why, held });
                return None;
            }
        };
        let (approved, target) = self.approve(record, ask, state, seen, Wish::Undo(&undo));
        if HpaPlan::of(&approved).is_empty() {
            let held = approved.clamps().last().map_or_else(
                || "no bound can be moved for it".to_owned(),
                |clamp| format!("{} holds it back: {}", clamp.guard, clamp.why),
            );
            record.undo = Some(Undoing { why: undo.why, held: Some(held) });
            return None;
        }
        record.withheld = observation.as_ref().err().cloned();
        record.undo = Some(Undoing { why: undo.why, held: None });
        Some((approved, target))
    }

    /// The observation, or how the tick ends without one.
    fn observed(
        &self,
        record: &mut DecisionRecord,
        seen: Result<Observation, SourceError>,
    ) -> Result<Observation, Outcome> {
        let now = record.at;
        let mut observation = seen.map_err(|error| failed(Step::Observe, &error, error.is_transient()))?;
        // State is kept by target and windows open by the time of the tick, whatever the source believes of either.
        if *observation.target != record.target {
            observation.target = Arc::new(record.target.clone());
        }
        observation.now = now;
        let declared = self.log().declared(&observation);
        observation.declared = Some(declared);
        let before = observation.history.before(observation.current.timestamp.timestamp_millis());
        record.history_len = before.times().len();
        record.metrics = Some(observation.current.clone());
        record.declared = Some(declared);
        record.provenance = observation.provenance.as_deref().cloned();
        Ok(observation)
    }

    /// The engine's decision, or how the tick ends without one.
    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, Outcome> {
        let span = spans::analyze(&observation.target, self.engine.name());
        let decided = caught(self.engine.decide(observation).instrument(span.clone())).await;
        let decided = decided.map_err(|panic| failed(Step::Decide, &panic, false))?;
        spans::analyzed(&span, &decided);
        let mut decision = decided.map_err(|error| failed(Step::Decide, &error, error.is_transient()))?;
        if decision.cost.is_none() {
            let resources = decision.resources.as_ref();
            decision.cost =
                self.price.map(|price| price.impact(decision.current_replicas, decision.desired_replicas, resources));
        }
        Ok(decision.finite())
    }

    /// Asks the guards. A write is entered into the log under the same lock under which it was allowed: ticks side by side
    /// share one budget, and a tick that is cancelled has counted.
    fn approve(
        &self,
        record: &mut DecisionRecord,
        Ask { terms, guards }: Ask<'_>,
        state: HpaState,
        observation: Option<&Observation>,
        wish: Wish<'_>,
    ) -> (Approved, Arc<Target>) {
        let now = record.at;
        let target = observation.map_or_else(|| Arc::new(record.target.clone()), |seen| Arc::clone(&seen.target));
        let due = self.engine.floor(&target, now);
        let is_decided = matches!(wish, Wish::Decided(_));
        let mut log = self.log();
        let mut state = log.settle(&target, state, now);
        // A plan that stays one may be written as manifests, which hold resources whatever the applier can write.
        state.resizes_pods |= record.mode == ApplyMode::Plan;
        record.bounds = Some(state.bounds);
        record.resting = (state.resting != state.bounds).then_some(state.resting);
        let proposal = match wish {
            Wish::GiveBack => Proposal::restore(),
            Wish::Undo(undo) => {
                state = state.with_resting(undo.resting);
                Proposal::restore_to(undo.to).with_floor(Floor::highest([due, log.floor(&target, now)]))
            }
            Wish::Decided(decision) => match *decision {
                Ok(decision) => {
                    let proposal = Proposal::decided(decision).with_floor(due);
                    log.hold(&target, proposal.floor_in_force().cloned());
                    proposal
                }
                Err(outcome) => {
                    record.withheld = Some(outcome);
                    Proposal::floor(Floor::highest([due, log.floor(&target, now)]))
                }
            },
        };
        let mut policy = terms.policy.unwrap_or(self.policy);
        policy.floors_only |= terms.adoption == Adoption::Floors;
        let context = GuardContext {
            target: &target,
            now,
            observation,
            state,
            limits: terms.limits.unwrap_or(self.limits),
            policy: &policy,
            min_without_floor: log.min_without_floor(&target),
            last: log.last_changes(&target),
            released: log.released(),
        };
        let approved = guards.approve(proposal, &context);
        let change = approved.change();
        let empty = change.old == change.new && change.resources.is_none();
        record.min_without_floor = change.min_without_floor;
        match (record.mode, empty) {
            (ApplyMode::Apply, false) => log.begin(&target, change, state.resting, now),
            (_, true) if is_decided => log.note(&target, change),
            _ => {}
        }
        drop(log);
        (approved, target)
    }

    /// Has the recorder keep that a write is about to be sent: a process that is killed before its answer is known leaves no record.
    fn intend(&self, record: &DecisionRecord) {
        if record.mode != ApplyMode::Apply {
            return;
        }
        if let Err(error) = kept(|| self.recorder.intend(record)) {
            tracing::error!(target_workload = %record.target, %error, "the intent of a write was not kept");
        }
    }

    async fn carry_out(&self, record: &mut DecisionRecord, plan: &HpaPlan, target: &Target) -> Outcome {
        let mode = record.mode;
        if mode == ApplyMode::Plan {
            return Outcome::Planned;
        }
        let answer = self.applier.apply(plan, mode).await;
        if mode == ApplyMode::Apply {
            match &answer {
                // What is there already was written by somebody, most likely by an earlier write whose answer got lost: it counts.
                Ok(_) => self.log().confirm(target),
                // Law 12: an answer that got lost leaves the write counted, until the HPA is read again.
                Err(error) if error.may_have_happened() => {}
                Err(_) => self.log().undo(target),
            }
        }
        match answer {
            Err(error) => {
                record.owners = error.size_owners();
                Outcome::Failed {
                    step: Step::Apply,
                    error: error.to_string(),
                    transient: error.is_transient(),
                    may_have_happened: mode == ApplyMode::Apply && error.may_have_happened(),
                }
            }
            Ok(_) if mode == ApplyMode::ServerDryRun => Outcome::Validated,
            Ok(applied) if applied.changed => Outcome::Applied,
            Ok(_) => Outcome::Unchanged { why: Unchanged::AlreadyThere { bounds: plan.new_bounds() } },
        }
    }

    fn log(&self) -> MutexGuard<'_, ChangeLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The guard that let nothing be done of what the engine wanted, if one did.
fn refusal(approved: &Approved) -> Option<Outcome> {
    if let Some(refusal) = approved.refusal() {
        return Some(Outcome::Refused { guard: refusal.guard.to_owned(), why: refusal.why.clone().into_owned() });
    }
    let change = approved.change();
    let empty = change.old == change.new && change.resources.is_none();
    let held = approved.clamps().iter().find(|clamp| match clamp.to {
        Limit::Released(pods) => pods == 0,
        Limit::Resources(change) => change.filled().is_none(),
        Limit::Replicas(_) => false,
    });
    held.filter(|_| empty).map(|clamp| Outcome::Refused { guard: clamp.guard.to_string(), why: clamp.why.to_string() })
}

/// Why a change that is none is none, where no guard refused it.
fn unchanged(approved: &Approved) -> Unchanged {
    let floor = approved.floor().map(|floor| floor.replicas);
    Unchanged::of(approved.change().old, approved.replicas(), approved.resting(), floor)
}

fn failed(step: Step, error: &dyn std::error::Error, transient: bool) -> Outcome {
    Outcome::Failed { step, error: error.to_string(), transient, may_have_happened: false }
}

/// A source has panicked, which is no different from one that fails.
fn unseen(target: &Target, panic: Panicked) -> SourceError {
    tracing::error!(target_workload = %target, %panic, "the source panicked");
    SourceError::Backend { target: Box::new(target.clone()), transient: false, source: Box::new(panic) }
}

/// The end of a tick by a panic of one of its parts, at the step that its record says.
fn ended_by(panic: &Panicked, at: &Outcome) -> Outcome {
    tracing::error!(%panic, "a part of a tick panicked");
    match *at {
        Outcome::Failed { step, may_have_happened, .. } => {
            Outcome::Failed { step, error: panic.to_string(), transient: false, may_have_happened }
        }
        _ => failed(Step::Decide, panic, false),
    }
}
