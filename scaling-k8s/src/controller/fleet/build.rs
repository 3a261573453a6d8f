//! Settings of a [`FleetController`], and what is made of them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use kube::Client;
use scaling_core::guard::{BudgetShare, FleetFreeze};
use scaling_core::live::{Cadence, Clock, LoopReport, SystemClock, Ticked};
use scaling_core::source::Watched;
use scaling_core::{
    ApplyMode, Autoscaler, BoundsPolicy, ChangeLog, ConfidenceGate, Cooldown, DecisionEngine, Guards, HardLimits,
    HpaApplier, MetricsSource, NoRecorder, Price, Recorder, RemovalBudget, StepLimit, Tee,
};

use super::adopting::{Adopting, AdoptionTrials, Terms};
use super::engines::Engines;
use super::guards::{OwnCooldown, OwnSteps, chain};
use super::health::{FleetHealth, FleetReadiness, Patience, Ticks};
use super::leaving::{Leavers, Leaving};
use super::notices::Notices;
use super::roster::{Host, Roster};
use super::source::WithFacts;
use super::watching::{AfterUndo, Watching};
use crate::controller::applier::CachedApplier;
use crate::controller::cache::{HpaCache, HpaCacheBuilder};
use crate::controller::lease::{LeaseSettings, ShardLeases};
use crate::history::{HealthCheck, History, HistoryRecorder, WatchConfig};
use crate::ownership::OwnershipPolicy;
use crate::{KubeHpaApplier, Writer};

/// Changes of each workload that are kept, and workloads of which some are.
const CHANGES: usize = 10;
const WORKLOADS: usize = 20_000;
/// The grace of the loop, for what is done beside it.
const GRACE: Duration = Duration::from_secs(20);

pub(super) type Hook = Box<dyn FnMut(&Ticked, &LoopReport) + Send>;

/// A controller over all HPAs that are targets. See the [module](self::super).
///
/// ```no_run
/// use scaling_core::live::Stop;
/// use scaling_core::{MetricsSource, RuleBasedEngine};
/// use scaling_k8s::controller::fleet::FleetController;
/// use scaling_k8s::controller::lease::LeaseSettings;
///
/// # async fn start(client: scaling_k8s::kube::Client, prometheus: impl MetricsSource + 'static) -> Result<(), Box<dyn std::error::Error>> {
/// let stop = Stop::new();
/// let leases = LeaseSettings::new("kube-scaling", "autoscaling", "operator-7d9f")?.shards(8)?;
/// let report = FleetController::builder(client, prometheus, RuleBasedEngine::default())
///     .leases(leases)
///     .build()
///     .run(&stop)
///     .await;
/// println!("{report}");
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is ticked before `run`"]
pub struct FleetController {
    pub(super) client: Client,
    pub(super) cache: HpaCache,
    pub(super) applier: CachedApplier,
    pub(super) leases: Option<ShardLeases>,
    pub(super) autoscaler: Arc<Autoscaler>,
    pub(super) roster: Roster,
    pub(super) host: Host,
    pub(super) engines: Vec<String>,
    pub(super) budget: Option<BudgetShare>,
    pub(super) freeze: FleetFreeze,
    pub(super) ticks: Ticks,
    pub(super) patience: Patience,
    pub(super) adopting: Option<Adopting>,
    pub(super) watching: Option<Watching>,
    pub(super) leavers: Leavers,
    pub(super) setup: Setup,
}

/// What the loop takes from the builder as it is.
pub(super) struct Setup {
    pub(super) cadence: Cadence,
    pub(super) batches: u32,
    pub(super) side_by_side: usize,
    pub(super) each_within: Duration,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) grace: Option<Duration>,
    pub(super) joining_as_changed: bool,
    pub(super) jitter: Option<(Duration, u64)>,
    pub(super) answers: bool,
    pub(super) change_events: Option<Duration>,
    /// False where nothing is written, no Event either.
    pub(super) writes: bool,
    pub(super) hook: Hook,
}

impl Setup {
    /// No Event is written where no change is.
    fn limit_to(&mut self, mode: ApplyMode) {
        self.writes = mode == ApplyMode::Apply;
        self.answers &= self.writes;
        self.change_events = self.change_events.filter(|_| self.writes);
    }
}

impl fmt::Debug for FleetController {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetController")
            .field("autoscaler", &self.autoscaler)
            .field("host", &self.host)
            .field("leases", &self.leases.as_ref().map(ShardLeases::settings))
            .finish_non_exhaustive()
    }
}

impl FleetController {
    /// Starts building one that writes through `writer`, or with its defaults through a client. What is decided on comes from `source`, and
    /// `engine` decides for all targets that name no other.
    pub fn builder(
        writer: impl Into<Writer>,
        source: impl MetricsSource + 'static,
        engine: impl DecisionEngine + 'static,
    ) -> FleetControllerBuilder {
        let writer = writer.into();
        FleetControllerBuilder {
            cache: HpaCache::builder(writer.client.clone()),
            writer,
            ownership: OwnershipPolicy::default(),
            source: Box::new(source),
            engine: Box::new(engine),
            named: BTreeMap::new(),
            leases: None,
            recorder: Box::new(NoRecorder),
            change_log: None,
            host: Host { limits: HardLimits::default(), policy: BoundsPolicy::default(), trials: false },
            price: None,
            mode: ApplyMode::Apply,
            cooldown: Cooldown::default(),
            steps: StepLimit::default(),
            confidence: ConfidenceGate::default(),
            budget: RemovalBudget::default(),
            freeze: FleetFreeze::default(),
            trials: None,
            history: false,
            past: History::with_limits(CHANGES, WORKLOADS),
            check: None,
            leaving: Leaving::default(),
            setup: Setup {
                cadence: Cadence::default(),
                batches: 6,
                side_by_side: 16,
                each_within: Duration::from_secs(10),
                clock: Arc::new(SystemClock),
                grace: None,
                joining_as_changed: true,
                jitter: None,
                answers: true,
                change_events: None,
                writes: true,
                hook: Box::new(|_, _| {}),
            },
        }
    }

    /// The watch cache, for what else the host wants to know of the HPAs.
    pub fn cache(&self) -> &HpaCache {
        &self.cache
    }

    /// Returns what tells the state of the controller while it runs, for `/readyz` and `/healthz`.
    pub fn health(&self) -> impl Fn() -> FleetHealth + Send + Sync + 'static {
        let (cache, ticks, patience) = (self.cache.clone(), self.ticks.clone(), self.patience);
        let freeze = self.freeze.clone();
        let (held, watching) = (self.leases.as_ref().map(ShardLeases::held), self.watching.clone());
        let adoption = self.adopting.as_ref().map(|adopting| Arc::clone(&adopting.health));
        move || {
            let abandoned = cache.abandoned().len() + cache.departed().len();
            let (told, cache) = (ticks.now(), cache.health());
            let readiness = patience.readiness(told, &cache);
            let held = held.as_ref().map(|held| held.borrow().clone());
            FleetHealth {
                is_alive: !matches!(readiness, FleetReadiness::Stalled { .. }),
                readiness,
                cache,
                shards: held.as_ref().map(|held| held.shards.keys().copied().collect()),
                lease_trouble: held.and_then(|held| held.trouble),
                frozen: freeze.frozen(),
                abandoned,
                adoption: adoption.as_ref().map(|told| told.lock().unwrap_or_else(PoisonError::into_inner).clone()),
                watch: watching.as_ref().map(Watching::health),
                last_tick: told.newest.map(|(at, _)| at),
            }
        }
    }
}

/// Settings of a [`FleetController`].
#[must_use = "nothing is built before `build`"]
pub struct FleetControllerBuilder {
    cache: HpaCacheBuilder,
    writer: Writer,
    ownership: OwnershipPolicy,
    source: Box<dyn MetricsSource>,
    engine: Box<dyn DecisionEngine>,
    named: BTreeMap<String, Box<dyn DecisionEngine>>,
    leases: Option<LeaseSettings>,
    recorder: Box<dyn Recorder>,
    change_log: Option<ChangeLog>,
    host: Host,
    price: Option<Price>,
    mode: ApplyMode,
    cooldown: Cooldown,
    steps: StepLimit,
    confidence: ConfidenceGate,
    budget: RemovalBudget,
    freeze: FleetFreeze,
    trials: Option<AdoptionTrials>,
    /// True if the history is written to the HPAs.
    history: bool,
    past: History,
    check: Option<(Box<dyn HealthCheck + Send>, WatchConfig)>,
    leaving: Leaving,
    setup: Setup,
}

impl fmt::Debug for FleetControllerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetControllerBuilder")
            .field("host", &self.host)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

impl FleetControllerBuilder {
    /// Sets which HPAs are watched. Default: all of the cluster. Its field manager is that of the writer.
    pub fn watching(mut self, cache: HpaCacheBuilder) -> Self {
        self.cache = cache;
        self
    }

    /// Sets what is done where somebody else sets the size of a workload ([`KubeHpaApplier::ownership`]). Default: nothing is written then.
    pub fn ownership(mut self, policy: OwnershipPolicy) -> Self {
        self.ownership = policy;
        self
    }

    /// Adds an engine for targets that name it in their settings.
    pub fn engine(mut self, name: impl Into<String>, engine: impl DecisionEngine + 'static) -> Self {
        self.named.insert(name.into(), Box::new(engine));
        self
    }

    /// Shares the fleet with other replicas, or lets one lead, by Leases. Default: this process alone.
    pub fn leases(mut self, settings: LeaseSettings) -> Self {
        self.leases = Some(settings);
        self
    }

    /// Sets what keeps the records. Default: nothing.
    pub fn recorder(mut self, recorder: impl Recorder + 'static) -> Self {
        self.recorder = Box::new(recorder);
        self
    }

    /// Sets the log of an earlier run, read back from its records. Default: none, and each workload counts as changed when it is first
    /// seen. With Leases it does so in any case: another replica may have had it since.
    pub fn change_log(mut self, log: ChangeLog) -> Self {
        self.change_log = Some(log);
        self
    }

    /// Sets the sizes allowed at all. A target can narrow them.
    pub fn limits(mut self, limits: HardLimits) -> Self {
        self.host.limits = limits;
        self
    }

    /// Sets the mapping from a request to bounds, for targets that do not say otherwise.
    pub fn policy(mut self, policy: BoundsPolicy) -> Self {
        self.host.policy = policy;
        self
    }

    /// Sets the price of a pod.
    pub fn price(mut self, price: Price) -> Self {
        self.price = Some(price);
        self
    }

    /// Sets how far changes go at most. Default: applied, where the settings of a target say so. Below that no Event is written either.
    pub fn mode(mut self, mode: ApplyMode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets the pauses, for targets that do not say otherwise.
    pub fn cooldown(mut self, cooldown: Cooldown) -> Self {
        self.cooldown = cooldown;
        self
    }

    /// Sets the steps, for targets that do not say otherwise.
    pub fn steps(mut self, steps: StepLimit) -> Self {
        self.steps = steps;
        self
    }

    /// Sets the confidence that a decision needs.
    pub fn confidence(mut self, gate: ConfidenceGate) -> Self {
        self.confidence = gate;
        self
    }

    /// Sets the pods that the whole fleet may let go in a window, all replicas together.
    pub fn removal_budget(mut self, budget: RemovalBudget) -> Self {
        self.budget = budget;
        self
    }

    /// Sets when the fleet freezes because many signals vanish together.
    pub fn freeze(mut self, freeze: FleetFreeze) -> Self {
        self.freeze = freeze;
        self
    }

    /// Tries the next stage of [adoption](AdoptionTrials) of each target on the days that were seen of it, beside the ticks. Default: nothing is
    /// tried, and the setting `kube-scaling/promotion: evidence` is a fault.
    pub fn adopting(mut self, trials: AdoptionTrials) -> Self {
        self.host.trials = true;
        self.trials = Some(trials);
        self
    }

    /// Begins each tick late, by a random while below `most` that follows from the seed, as by
    /// [`Loop::jitter`](scaling_core::live::Loop::jitter): controllers do not ask in step. Default with Leases: as late as the loop lets it,
    /// from a seed that follows from the [identity](LeaseSettings::identity), which is random. Default without: not at all.
    pub fn jitter(mut self, most: Duration, seed: u64) -> Self {
        self.setup.jitter = Some((most, seed));
        self
    }

    /// Sets the interval of the ticks. Default: a minute.
    pub fn cadence(mut self, cadence: Cadence) -> Self {
        self.setup.cadence = cadence;
        self
    }

    /// Sets over how many batches of an interval the targets are spread. Default: 6.
    pub fn batches(mut self, batches: u32) -> Self {
        self.setup.batches = batches;
        self
    }

    /// Sets how many targets are decided on and written side by side. Default: 16.
    pub fn side_by_side(mut self, targets: usize) -> Self {
        self.setup.side_by_side = targets;
        self
    }

    /// Sets the time that one target may take. Default: 10 s.
    pub fn each_within(mut self, time: Duration) -> Self {
        self.setup.each_within = time;
        self
    }

    /// Sets the clock. Default: the machine's.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.setup.clock = Arc::new(clock);
        self
    }

    /// Sets the time that a tick under way, and an HPA that is being given back, may go on for once the end is asked for. Default: that of the
    /// loop, 20 s.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.setup.grace = Some(grace);
        self
    }

    /// Says whether faults of settings are answered by Events. Default: yes.
    pub fn answers(mut self, answers: bool) -> Self {
        self.setup.answers = answers;
        self
    }

    /// Tells each change of bounds as an Event `BoundsChanged` of its HPA, one series for each, written once in such a while at most: what
    /// happens in between is counted. Default: none, since the records tell all of it. Needs `create` and `patch` on `events`.
    pub fn change_events(mut self, every: Duration) -> Self {
        self.setup.change_events = Some(every);
        self
    }

    /// Watches each change for a while, and undoes those that do harm as `check` sees it: in the tick that makes it certain, through the guards, and
    /// not if somebody else has changed the bounds since. After an undo nothing of the workload is lowered for
    /// [`hold`](WatchConfig::hold). Each undo has its record, an Event of its HPA (`ChangeUndone`; `UndoRefused`, `UndoFailed` where there is no way back) and
    /// a place in [`FleetHealth::watch`]. Default: no change is watched. [`ObservedHealth`](crate::history::ObservedHealth) is a check of what
    /// the source sees.
    ///
    /// A replica that takes over a workload, or a process that was started anew, watches its last change on if the HPA tells of it
    /// ([`history`](Self::history)) or the host does ([`past`](Self::past)); how often it burnt until then is not known, and counts from
    /// 0. Else that change is not watched, and counted as [`unknown`](super::WatchHealth::unknown).
    pub fn watch(mut self, check: impl HealthCheck + Send + 'static, config: WatchConfig) -> Self {
        self.check = Some((Box::new(check), config));
        self
    }

    /// Says whether the latest changes of each HPA are written to it as an annotation, in the request that changes its bounds
    /// ([`KubeHpaApplier::history`]): the next process, or the replica that takes over, reads them back. Default: no.
    pub fn history(mut self, write: bool) -> Self {
        self.history = write;
        self
    }

    /// Sets the changes of an earlier run, read back from its records. Default: those that the HPAs tell.
    pub fn past(mut self, past: History) -> Self {
        self.past = past;
        self
    }

    /// Sets what is done with HPAs that are targets no more and have bounds of ours. Default: [`Leaving::Tell`].
    pub fn leaving(mut self, leaving: Leaving) -> Self {
        self.leaving = leaving;
        self
    }

    /// Sets what is called after each tick, as by [`Loop::after_tick`](scaling_core::live::Loop::after_tick).
    pub fn after_tick(mut self, hook: impl FnMut(&Ticked, &LoopReport) + Send + 'static) -> Self {
        self.setup.hook = Box::new(hook);
        self
    }

    /// What trials of adoption take over from the controller.
    fn terms(&self) -> Terms {
        Terms {
            limits: self.host.limits,
            policy: self.host.policy,
            cooldown: self.cooldown,
            steps: self.steps,
            confidence: self.confidence,
            budget: self.budget,
            price: self.price,
            interval: self.setup.cadence.interval().to_std().unwrap_or_default(),
            mode: self.mode,
        }
    }

    /// Begins to watch, and builds the controller.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn build(mut self) -> FleetController {
        let terms = self.terms();
        self.setup.limit_to(self.mode);
        let cache = self.cache.field_manager(&self.writer.manager).start();
        let changes = Arc::new(HistoryRecorder::new(self.past, cache.field_manager()));
        let (client, told) = (self.writer.client.clone(), self.history.then(|| Arc::clone(&changes)));
        let applier = applier(&cache, self.writer, self.ownership, told);
        let source: Arc<dyn MetricsSource> = Arc::from(self.source);
        if let Some(leases) = &self.leases {
            self.setup.jitter.get_or_insert_with(|| (Duration::MAX, seed(leases.identity())));
        }
        let leases = self.leases.map(|settings| ShardLeases::new(client.clone(), settings));
        let (roster, freeze) = (Roster::default(), self.freeze);
        let budget = leases.as_ref().map(|leases| BudgetShare::new(self.budget, leases.settings().shard_count()));
        let cooldown = OwnCooldown { host: self.cooldown, roster: roster.clone() };
        let steps = OwnSteps { host: self.steps, roster: roster.clone() };
        let held = Some(freeze.clone());
        let guards = match &budget {
            Some(share) => chain(held, self.confidence, cooldown, steps, share.clone()),
            None => chain(held, self.confidence, cooldown, steps, self.budget),
        };
        let watching =
            self.check.map(|(check, config)| Watching::new(check, config, Arc::clone(&changes), cache.clone()));
        let guards = match &watching {
            Some(watching) => guards.with(AfterUndo(watching.clone())),
            None => guards,
        };
        let fence = leases.as_ref().map(|leases| leases.fence(applier.clone()));
        let fenced: Box<dyn HpaApplier> = match &fence {
            Some(fence) => Box::new(fence.clone()),
            None => Box::new(applier.clone()),
        };
        let recorder: Box<dyn Recorder> = if self.history || watching.is_some() {
            Box::new(Tee::new().with(changes).with(self.recorder))
        } else {
            self.recorder
        };
        let engines = self.named.keys().cloned().collect();
        self.setup.joining_as_changed = leases.is_some() || self.change_log.is_none();
        let mut autoscaler = Autoscaler::builder()
            .source(Watched::new(WithFacts { source: Arc::clone(&source), roster: roster.clone() }, freeze.clone()))
            .engine(Engines { first: self.engine, named: self.named, roster: roster.clone() })
            .guards(guards)
            .policy(self.host.policy)
            .limits(self.host.limits)
            .applier(fenced)
            .recorder(recorder)
            .mode(self.mode)
            .change_log(self.change_log.unwrap_or_default());
        if let Some(price) = self.price {
            autoscaler = autoscaler.price(price);
        }
        let adopting = self.trials.map(|trials| Adopting {
            trials,
            terms,
            source: Arc::new(WithFacts { source, roster: roster.clone() }),
            cache: cache.clone(),
            applier: applier.writer().clone(),
            health: Arc::default(),
        });
        if let Some(watching) = &watching {
            autoscaler = autoscaler.review(watching.clone());
        }
        let autoscaler = Arc::new(autoscaler.build());
        let given_back = Guards::only_hard_limits().with(StepLimit::default());
        let leavers = Leavers {
            leaving: if self.mode == ApplyMode::Apply { self.leaving } else { Leaving::Tell },
            autoscaler: Arc::clone(&autoscaler),
            applier: applier.clone(),
            fence: leases
                .as_ref()
                .zip(fence)
                .map(|(leases, fence)| (fence, leases.held(), leases.settings().shard_count())),
            guards: match &budget {
                Some(share) => given_back.with(share.clone()),
                None => given_back.with(self.budget),
            },
            clock: Arc::clone(&self.setup.clock),
            every: self.setup.cadence.interval().to_std().unwrap_or_default(),
            grace: self.setup.grace.unwrap_or(GRACE),
            notices: Notices::new(cache.clone(), None),
        };
        FleetController {
            client,
            cache,
            applier,
            leases,
            autoscaler,
            roster,
            host: self.host,
            engines,
            budget,
            freeze,
            ticks: Ticks::default(),
            adopting,
            patience: Patience::of(self.setup.cadence.interval().to_std().unwrap_or_default()),
            watching,
            leavers,
            setup: self.setup,
        }
    }
}

/// The applier of a fleet, which writes the changes to the HPAs where they are to be told there.
fn applier(
    cache: &HpaCache,
    writer: Writer,
    ownership: OwnershipPolicy,
    told: Option<Arc<HistoryRecorder>>,
) -> CachedApplier {
    let mut hpas = KubeHpaApplier::new(writer).ownership(ownership);
    if let Some(told) = told {
        hpas = hpas.history(told);
    }
    CachedApplier::new(cache.clone(), hpas)
}

/// FNV-1a: the identity is random, and its hash is a seed as good as it.
fn seed(identity: &str) -> u64 {
    let step = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    identity.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}
