//! The world that a script of ticks is run in: workloads with an HPA each, a source, an applier, and a clock, all of which can fail.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt;
use futures::future::pending;
use scaling_core::hpa::{
    Calculator, CrossVersionObjectReference, Hpa, HpaController, HpaMemory, HpaSpec, Metric, MetricError, MetricSpec,
    PodTally, Proposal, Scale, ScaledObject,
};
use scaling_core::{
    Absence, Applied, ApplyError, ApplyMode, Autoscaler, Bounds, BoundsPolicy, Ceiling, ChangeLog, DecisionEngine,
    DecisionRecord, EngineError, EngineExt, Ensemble, Floor, FloorSource, Guards, HardLimits, HpaApplier, HpaPlan,
    HpaState, MemoryApplier, MetricsHistory, MetricsSource, Observation, Reason, RemovalBudget, ResourceChange,
    RuleBasedEngine, ScalingDecision, ScalingMetrics, SignalKind, SignalSet, SourceError, Target, Urgency,
};

/// Workloads in the world.
pub(crate) const WORKLOADS: usize = 3;

pub(crate) fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

pub(crate) fn target(nth: usize) -> Target {
    Target::deployment("shop", format!("workload-{nth}")).with_hpa(format!("hpa-{nth}"))
}

// ---- the script

/// Who decides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Engine {
    /// The wishes of the script.
    Wishes,
    /// The rules.
    Rules,
    /// Whichever of both wants more.
    Both,
}

/// A floor that the clock sets: from a second of the script on, for so many seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) begin: i64,
    pub(crate) length: i64,
    pub(crate) replicas: u32,
    pub(crate) end_is_known: bool,
}

/// What does not change in the course of a script.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) engine: Engine,
    pub(crate) limits: (u32, u32),
    /// The bounds that the owner of each HPA has set.
    pub(crate) owner: (u32, u32),
    /// Pods that may be let go in ten minutes.
    pub(crate) budget: u32,
    pub(crate) windows: Vec<Window>,
    /// Whether the source says which signals it delivers.
    pub(crate) declares: bool,
    /// Whether the applier knows what the owner set.
    pub(crate) knows_owner: bool,
    /// Whether the max follows what is wanted, below the owner's too.
    pub(crate) tight: bool,
}

/// What the engine of the script says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wish {
    Maintain,
    Pods { pods: u32, doubtful: bool, critical: bool, foreseen: bool },
    Floored { replicas: u32, seconds: u32 },
    Requests { percent: i32 },
    NoAnswer,
}

/// What the source shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Sight {
    Whole,
    Without(SignalKind, Absence),
    Down,
    /// Ten minutes old.
    Old,
    /// Far less load than there is.
    TooLow,
    /// No pod is ready, and the means over pods read 0.
    NoneReady,
    /// Nobody knows how many pods there are.
    NoCount,
}

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Write {
    Lands,
    /// The answer is lost; it has not happened.
    Fails,
    /// The answer is lost; it has happened.
    AnswerIsLost,
    /// The tick is cancelled before it.
    CancelledBefore,
    /// The tick is cancelled after it.
    CancelledAfter,
    /// Not even the HPA can be read.
    Unreadable,
}

impl Write {
    pub(crate) fn is_cancelled(self) -> bool {
        matches!(self, Self::CancelledBefore | Self::CancelledAfter)
    }
}

/// What becomes of the change log in a restart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Restart {
    Carried,
    FromRecords,
    Forgotten,
}

/// What happens just before a tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Event {
    Nothing,
    /// So many pods are not ready for the time being.
    PodsDie(u32),
    /// The owner of the HPA sets other bounds.
    OwnerSets(u32, u32),
    Restart(Restart),
    /// The clock is wrong by so many seconds for this tick, that of the source too or not.
    ClockIsWrong {
        seconds: i64,
        source_too: bool,
    },
}

/// One tick of one workload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) workload: usize,
    /// Seconds since the step before.
    pub(crate) seconds: i64,
    /// Load from here on, in pods that are full.
    pub(crate) load: u32,
    pub(crate) wish: Wish,
    pub(crate) sight: Sight,
    pub(crate) write: Write,
    pub(crate) event: Event,
}

impl Step {
    /// All is well, and nothing is wanted.
    pub(crate) fn calm(workload: usize, seconds: i64) -> Self {
        let (wish, sight) = (Wish::Maintain, Sight::Whole);
        Self { workload, seconds, load: 2, wish, sight, write: Write::Lands, event: Event::Nothing }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) setup: Setup,
    pub(crate) steps: Vec<Step>,
}

impl Script {
    /// The same, and then so many calm rounds, five minutes apart, in which everything comes to rest.
    pub(crate) fn and_calm(mut self, rounds: usize) -> Self {
        let round = (0..WORKLOADS).map(|nth| Step::calm(nth, if nth == 0 { 301 } else { 0 }));
        self.steps.extend(std::iter::repeat_n(round, rounds).flatten());
        self
    }
}

/// What one tick found, and what it left.
#[derive(Debug)]
pub(crate) struct Ticked {
    pub(crate) step: Step,
    /// The true time, and that of the tick's clock.
    pub(crate) at: DateTime<Utc>,
    pub(crate) now: DateTime<Utc>,
    pub(crate) before: Bounds,
    pub(crate) after: Bounds,
    /// What the owner wants, as far as anybody can know.
    pub(crate) owner: Bounds,
    /// Pods that are asked for.
    pub(crate) running: u32,
    /// None if it was cancelled.
    pub(crate) record: Option<DecisionRecord>,
    pub(crate) seen: Option<Observation>,
    /// Whether a signal is missing that was delivered before, or everything is.
    pub(crate) blind: bool,
    /// Changes of requests so far.
    pub(crate) resizes: usize,
}

impl Ticked {
    pub(crate) fn lowers(&self) -> bool {
        self.after.min() < self.before.min() || self.after.max() < self.before.max()
    }

    pub(crate) fn raises(&self) -> bool {
        self.after.min() > self.before.min() || self.after.max() > self.before.max()
    }

    /// Pods that the old min held and the new one does not.
    pub(crate) fn released(&self) -> u32 {
        self.before.min().min(self.running).saturating_sub(self.after.min())
    }
}

// ---- its parts

/// Shows what it is told to, with a history of its own that outlives the autoscaler.
struct Source {
    declares: bool,
    workloads: Mutex<HashMap<Target, Shown>>,
}

#[derive(Clone, Default)]
struct Shown {
    history: Arc<MetricsHistory>,
    last: Option<ScalingMetrics>,
    now: Option<Observation>,
    ever: SignalSet,
}

impl Source {
    fn show(&self, target: &Target, metrics: Option<ScalingMetrics>, keep: bool) -> (Option<Observation>, bool) {
        let mut workloads = self.workloads.lock().unwrap();
        let shown = workloads.entry(target.clone()).or_default();
        let Some(metrics) = metrics else {
            shown.now = None;
            return (None, true);
        };
        shown.ever = shown.ever.union(metrics.delivered());
        let before = |at: DateTime<Utc>| at - TimeDelta::milliseconds(1);
        if !keep {
            let mut history = MetricsHistory::clone(&shown.history);
            history.truncate_after(before(metrics.timestamp));
            let mut observation = Observation::new(target.clone(), metrics).with_history(history);
            observation.declared = self.declares.then_some(SignalSet::ALL);
            shown.now = Some(observation.clone());
            return (Some(observation.clone()), blind(&observation, shown.ever));
        }
        let history = Arc::make_mut(&mut shown.history);
        if let Some(last) = shown.last.take() {
            history.truncate_after(before(last.timestamp));
            history.push(&last).unwrap();
        }
        history.truncate_after(before(metrics.timestamp));
        let mut observation =
            Observation::new(target.clone(), metrics.clone()).with_history(Arc::clone(&shown.history));
        observation.declared = self.declares.then_some(SignalSet::ALL);
        (shown.last, shown.now) = (Some(metrics), Some(observation.clone()));
        let blind = blind(&observation, shown.ever);
        (Some(observation), blind)
    }
}

/// Whether a signal is missing that was ever there, or is declared.
fn blind(observation: &Observation, ever: SignalSet) -> bool {
    let expected = observation.declared.unwrap_or(ever);
    observation.clone().declaring(expected).absences().next().is_some()
}

#[async_trait]
impl MetricsSource for Source {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        let shown = self.workloads.lock().unwrap().get(target).and_then(|shown| shown.now.clone());
        shown.ok_or_else(|| SourceError::NoData { target: Box::new(target.clone()), at: now })
    }
}

struct Applier {
    hpas: MemoryApplier,
    write: Mutex<Write>,
    knows_owner: bool,
}

impl Applier {
    fn lost(target: &Target) -> ApplyError {
        ApplyError::Backend { target: target.clone(), transient: true, source: "no answer within 10 s".into() }
    }
}

#[async_trait]
impl HpaApplier for Applier {
    async fn current(&self, target: &Target) -> Result<HpaState, ApplyError> {
        if *self.write.lock().unwrap() == Write::Unreadable {
            return Err(Self::lost(target));
        }
        let state = self.hpas.current(target).await?;
        Ok(if self.knows_owner { state } else { HpaState::new(state.bounds) })
    }

    async fn apply(&self, plan: &HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError> {
        let write = *self.write.lock().unwrap();
        match write {
            Write::Lands | Write::Unreadable => self.hpas.apply(plan, mode).await,
            Write::Fails => Err(Self::lost(plan.target())),
            Write::CancelledBefore => pending().await,
            Write::AnswerIsLost => {
                self.hpas.apply(plan, mode).await?;
                Err(Self::lost(plan.target()))
            }
            Write::CancelledAfter => {
                self.hpas.apply(plan, mode).await?;
                pending().await
            }
        }
    }
}

/// Says what the script says.
#[derive(Clone)]
struct Wishes(Arc<Mutex<Wish>>);

#[async_trait]
impl DecisionEngine for Wishes {
    fn name(&self) -> &'static str {
        "wishes"
    }

    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let current = observation.current.replicas().ok_or(EngineError::NoPodCount)?;
        let at = observation.current.timestamp;
        let wants = |pods| ScalingDecision::replicas("wishes", at, current, pods).with_confidence(1.0);
        let wish = *self.0.lock().unwrap();
        Ok(match wish {
            Wish::Maintain => wants(current),
            Wish::Pods { pods, doubtful, critical, foreseen } => ScalingDecision {
                foreseen,
                urgency: if critical { Urgency::Critical } else { Urgency::Normal },
                ..wants(pods).with_confidence(if doubtful { 0.3 } else { 0.9 })
            },
            Wish::Floored { replicas, seconds } => {
                let reason = Reason::Custom { rule: "event".into(), text: "a sale".into() };
                let until = observation.now + TimeDelta::seconds(seconds.into());
                wants(current).with_floor(Floor::new(replicas, reason).until(until))
            }
            Wish::Requests { percent } => {
                let change = ResourceChange { cpu_percent: percent, memory_percent: 0 };
                wants(current).with_resources(change.filled())
            }
            Wish::NoAnswer => {
                return Err(EngineError::InvalidAnswer { engine: "wishes".into(), detail: "lost the thread".into() });
            }
        })
    }
}

#[derive(Clone, Debug)]
struct Windows(Vec<Window>);

impl Window {
    pub(crate) fn is_open(&self, now: DateTime<Utc>) -> bool {
        let second = now.signed_duration_since(start()).num_seconds();
        (self.begin..self.begin + self.length).contains(&second)
    }
}

impl FloorSource for Windows {
    fn name(&self) -> &'static str {
        "windows"
    }

    fn floor(&self, _: &Target, now: DateTime<Utc>) -> Option<Floor> {
        Floor::highest(self.0.iter().filter(|window| window.is_open(now)).map(|window| {
            let reason = Reason::Schedule { window: "window".into(), replicas: window.replicas };
            let floor = Floor::new(window.replicas, reason);
            let end = start() + TimeDelta::seconds(window.begin + window.length);
            Some(if window.end_is_known { floor.until(end) } else { floor })
        }))
    }
}

/// Pods under the control of an HPA.
struct Workload {
    memory: HpaMemory,
    /// Pods asked for.
    desired: u32,
    ready: u32,
    /// In pods that are full.
    load: u32,
}

impl Workload {
    fn utilization(&self) -> f64 {
        (f64::from(self.load) / f64::from(self.ready.max(1))).min(1.5)
    }

    fn sync(&mut self, bounds: Bounds, at: DateTime<Utc>) {
        let mut spec = HpaSpec::new(CrossVersionObjectReference::deployment("workload"), Bounds::new(1, 1000).unwrap());
        spec.metrics = Some(vec![MetricSpec::utilization("cpu", 70)]);
        let mut hpa = Hpa::try_from(&spec).unwrap();
        hpa.min_replicas = i32::try_from(bounds.min()).unwrap();
        hpa.max_replicas = i32::try_from(bounds.max()).unwrap();
        let mut memory = std::mem::take(&mut self.memory);
        let done = HpaController::default().sync(&hpa, &mut memory, self, at);
        self.memory = memory;
        self.desired = u32::try_from(done.desired).unwrap();
        self.ready = self.ready.min(self.desired);
    }
}

impl ScaledObject for Workload {
    fn scale(&self) -> Option<Scale> {
        let replicas = i32::try_from(self.desired).unwrap();
        Some(Scale { spec_replicas: replicas, status_replicas: replicas })
    }

    #[allow(clippy::cast_possible_truncation)]
    fn propose(&self, _: usize, metric: &Metric, calculator: &Calculator<'_>) -> Result<Proposal, MetricError> {
        if self.ready == 0 {
            return Err(MetricError::NoMetricsForReadyPods);
        }
        let usage = (self.utilization() * 1000.0) as i64;
        let tally = PodTally::alike(self.ready, self.desired - self.ready, usage, 1000);
        calculator.tallied(&tally, metric.target_value().ok_or(MetricError::NoTarget)?)
    }

    fn write_scale(&mut self, _: i32) -> bool {
        true
    }
}

fn metrics(workload: &Workload, step: &Step, at: DateTime<Utc>) -> Option<ScalingMetrics> {
    let too_low = step.sight == Sight::TooLow;
    let share = if too_low { 0.05 } else { 1.0 };
    let mut metrics = ScalingMetrics::new(at, workload.ready)
        .with(SignalKind::CpuUtilization, share * 100.0 * workload.utilization())
        .with(SignalKind::MemoryUtilization, 30.0)
        .with(SignalKind::RequestRate, share * 100.0 * f64::from(workload.load))
        .with(SignalKind::ResponseTime, 40.0)
        .with(SignalKind::ErrorRate, 0.1)
        .with(SignalKind::ActiveConnections, 10.0 * f64::from(workload.load))
        .with(SignalKind::QueueDepth, 0.0);
    metrics.desired_pod_count = Some(workload.desired);
    match step.sight {
        Sight::Whole | Sight::TooLow => {}
        Sight::Without(kind, absence) => metrics = metrics.without(kind, absence),
        Sight::Down => return None,
        Sight::Old => metrics.timestamp -= TimeDelta::minutes(10),
        Sight::NoneReady => {
            metrics.current_pod_count = Some(0);
            metrics = metrics.with(SignalKind::CpuUtilization, 0.0).with(SignalKind::MemoryUtilization, 0.0);
        }
        Sight::NoCount => (metrics.current_pod_count, metrics.desired_pod_count) = (None, None),
    }
    Some(metrics)
}

// ---- running it

/// Runs a script; of one workload alone, if so asked: the steps of the others then take their time and no more.
pub(crate) fn run(script: &Script, only: Option<usize>) -> Vec<Ticked> {
    let Setup { engine, limits, owner, budget, windows, declares, knows_owner, tight } = script.setup.clone();
    let owner = Bounds::new(owner.0, owner.1).unwrap();
    let source = Arc::new(Source { declares, workloads: Mutex::default() });
    let applier = Arc::new(Applier { hpas: MemoryApplier::new(), write: Mutex::new(Write::Lands), knows_owner });
    let mut owners = [owner; WORKLOADS];
    let mut workloads: Vec<_> = (0..WORKLOADS)
        .map(|nth| {
            applier.hpas.put(&target(nth), owner);
            let desired = owner.min().max(1);
            Workload { memory: HpaMemory::default(), desired, ready: desired, load: 2 }
        })
        .collect();
    let wish = Arc::new(Mutex::new(Wish::Maintain));
    let build = |log: ChangeLog| {
        let (wishes, rules) = (Wishes(Arc::clone(&wish)), RuleBasedEngine::default());
        let engine: Box<dyn DecisionEngine> = match engine {
            Engine::Wishes => Box::new(wishes),
            Engine::Rules => Box::new(rules),
            Engine::Both => Box::new(Ensemble::of(rules).with(wishes)),
        };
        let budget = RemovalBudget::new(budget, Duration::from_secs(600)).unwrap();
        Autoscaler::builder()
            .source(Arc::clone(&source))
            .engine(engine.floored(Windows(windows.clone())))
            .applier(Arc::clone(&applier))
            .guards(Guards::default().with(budget))
            .policy(BoundsPolicy { ceiling: if tight { Ceiling::Follow } else { Ceiling::Rest }, ..Default::default() })
            .limits(HardLimits::new(limits.0, limits.1).unwrap())
            .mode(ApplyMode::Apply)
            .change_log(log)
            .build()
    };
    let mut autoscaler = build(ChangeLog::new());
    let mut records = Vec::new();
    let mut ticks = Vec::new();
    let mut at = start();
    for step in &script.steps {
        at += TimeDelta::seconds(step.seconds);
        let ticked = only.is_none_or(|only| only == step.workload);
        let target = target(step.workload);
        for (nth, workload) in workloads.iter_mut().enumerate() {
            workload.ready = workload.desired;
            workload.sync(applier.hpas.bounds(&self::target(nth)).unwrap(), at);
        }
        let workload = &mut workloads[step.workload];
        workload.load = step.load;
        let mut now = at;
        let mut source_now = at;
        match step.event {
            Event::Nothing => {}
            Event::PodsDie(pods) => workload.ready = workload.ready.saturating_sub(pods),
            Event::OwnerSets(min, max) => {
                owners[step.workload] = Bounds::new(min, max).unwrap();
                applier.hpas.put(&target, owners[step.workload]);
            }
            Event::Restart(restart) => {
                autoscaler = build(match restart {
                    Restart::Carried => autoscaler.change_log(),
                    Restart::FromRecords => ChangeLog::from_records(&records),
                    Restart::Forgotten => ChangeLog::new(),
                });
            }
            Event::ClockIsWrong { seconds, source_too } => {
                now += TimeDelta::seconds(seconds);
                source_now = if source_too { now } else { at };
            }
        }
        if !ticked {
            continue;
        }
        *wish.lock().unwrap() = step.wish;
        *applier.write.lock().unwrap() = step.write;
        let (seen, blind) =
            source.show(&target, metrics(workload, step, source_now), source_now == at && step.sight != Sight::Old);
        let before = applier.hpas.bounds(&target).unwrap();
        let record = autoscaler.tick(&target, now).now_or_never().map(Result::unwrap);
        records.extend(record.clone());
        ticks.push(Ticked {
            step: *step,
            at,
            now,
            before,
            after: applier.hpas.bounds(&target).unwrap(),
            owner: owners[step.workload],
            running: workload.desired,
            record,
            seen,
            blind,
            resizes: applier.hpas.resources(&target).len(),
        });
    }
    ticks
}
