//! [`Cluster`]: a simulated workload, in which recorded load meets pods that a candidate's decisions brought about.

mod autoscaler;
mod reading;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use self::autoscaler::SimulatedObject;
pub(super) use self::reading::wait;
use self::reading::{Memory, Reading};
use super::noise::Noise;
use super::notes::Syncs;
use super::pods::Pods;
use super::queue::{Queue, Service};
use super::{Arrivals, ClusterModel, DemandBasis, Trace};
use crate::hpa::{ControllerConfig, Hpa, HpaController, HpaMemory, HpaSpec, InvalidHpa};
use crate::source::{Accumulator, SampleError};
use crate::stats::whole_pods;
use crate::{
    Applied, ApplyError, ApplyMode, Bounds, HpaApplier, HpaPlan, HpaState, InvalidSetting, MemoryApplier,
    MetricsHistory, MetricsSource, Observation, PlannedEvent, SignalKind, SourceError, Target, WorkloadFacts,
};

/// Samples of history kept for engines: 17 days of 15 s.
const KEPT: usize = 100_000;

/// Reasons why a cluster cannot be simulated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The model has a setting that cannot work.
    #[error("the cluster model cannot be simulated: {0}")]
    Model(#[from] InvalidSetting),
    /// The API server would refuse the HPA.
    #[error("the HPA is invalid: {0}")]
    Hpa(#[from] InvalidHpa),
    /// The HPA reacts to metrics that are neither simulated nor recorded, or that this model does not measure.
    #[error(
        "the HPA's {} not simulated; map each to a signal (there are {}) or leave it out",
        listed(.names),
        listed_signals(.signals)
    )]
    UnknownMetrics {
        /// Names of the metrics, in the order of the HPA.
        names: Vec<String>,
        /// Signals that there are.
        signals: Vec<SignalKind>,
    },
    /// The HPA aims for an absolute amount, and what a pod requests is not known: utilization says nothing of amounts.
    #[error("the HPA aims for an amount of {resource} in each pod, and what a pod requests of {resource} is not known")]
    UnknownRequest {
        /// Name of the resource, `cpu` or `memory`.
        resource: String,
    },
}

fn listed(names: &[String]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("{name:?}")).collect();
    format!(
        "{} {} {}",
        if names.len() == 1 { "metric" } else { "metrics" },
        quoted.join(", "),
        if names.len() == 1 { "is" } else { "are" }
    )
}

fn listed_signals(signals: &[SignalKind]) -> String {
    signals.iter().map(|signal| signal.field()).collect::<Vec<_>>().join(", ")
}

/// Part of the cluster that sets the number of pods.
#[derive(Clone, Debug, PartialEq)]
pub enum Control {
    /// A simulated HPA, between bounds that an engine may move, as in production. It begins with
    /// [enough pods](Arrivals::enough_pods), within its bounds.
    Hpa {
        /// Specification of the HPA.
        spec: Box<HpaSpec>,
        /// Settings of the controller.
        controller: ControllerConfig,
    },
    /// Scale subresource without an HPA: there are as many pods as the lower bound says, within the limits of the model.
    Direct {
        /// Bounds at the beginning.
        bounds: Bounds,
    },
}

/// Parts of a [`Cluster`].
#[derive(Clone, Debug)]
pub struct ClusterSetup {
    /// Simulated workload.
    pub target: Target,
    /// Properties of the cluster.
    pub model: ClusterModel,
    /// Requests that arrive.
    pub arrivals: Arc<Arrivals>,
    /// Trace, for signals that were recorded and are not simulated: memory, connections, response time without waiting.
    pub trace: Arc<Trace>,
    /// Step of the arrivals at which the simulation begins.
    pub first_step: usize,
    /// Of each step of the arrivals: whether the [`Run`] counts it ([`Arrivals::counted`]).
    pub counted: Arc<[bool]>,
    /// Part that sets the number of pods.
    pub control: Control,
    /// Facts that engines are told of the workload.
    pub facts: WorkloadFacts,
    /// Declared events that engines are told of.
    pub events: Arc<[PlannedEvent]>,
    /// Samples from the time before the first step.
    pub history: Arc<MetricsHistory>,
}

/// Events of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepSeen {
    /// Requests that arrived; NaN in a gap.
    pub arrived: f64,
    /// Pods that existed, and are paid for.
    pub pods: u32,
    /// Pods that served.
    pub ready: u32,
    /// Share of the ready pods' capacity that was used.
    pub utilization: f64,
    /// Mean number of waiting requests.
    pub backlog: f64,
    /// Requests that arrived to a wait longer than the objective, or were dropped.
    pub violating: f64,
    /// Seconds in which requests that arrived violated.
    pub violating_s: f64,
    /// Requests dropped.
    pub dropped: f64,
    /// True if the step counts for the score.
    pub counts: bool,
}

/// Outcome of a simulation.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Steps, from the first on.
    pub steps: Vec<StepSeen>,
    /// Changes of the size that was asked for, in the steps that count.
    pub scale_events: u64,
    /// Outcome of the syncs, in the steps that count.
    pub syncs: Syncs,
}

impl Run {
    /// Returns the steps that count.
    pub fn scored(&self) -> impl Iterator<Item = &StepSeen> {
        self.steps.iter().filter(|step| step.counts)
    }
}

/// Simulated pods of one workload under its recorded load. It *is* a source and an applier, so that the live path runs here unchanged.
///
/// - **Load.** Requests come evenly within a step; the queue is solved exactly. In a gap of the trace nothing arrives, nothing is
///   measured, and pods stay as they are.
/// - **Pods.** A pod is paid for from its creation and serves after its start-up time; of several the youngest goes first.
/// - **Measurements** are means over a window, and come late. Numbers of pods are those of now, for they come from the API server.
///   Until data fill the first window, it is as short as they are. Signals that the [model](ClusterModel::measured) leaves out are
///   never measured, neither for engines nor for the HPA.
/// - **Order.** Decisions come before the arrivals of the step at whose beginning they are made. Bounds that are applied act at the
///   next sync, which takes place at that same instant when time goes on.
/// - **HPA.** To the simulated HPA a pod that starts is unready, never missing, and a young one counts once its whole window lies
///   after it became ready: start-up, window and lag after its creation.
///
/// Every step is kept for the [`Run`], 64 bytes each; everything else is as large as the window.
#[derive(Debug)]
pub struct Cluster {
    target: Arc<Target>,
    model: ClusterModel,
    arrivals: Arc<Arrivals>,
    trace: Arc<Trace>,
    memory: Memory,
    first_step: usize,
    counted: Arc<[bool]>,
    controller: Option<HpaController>,
    facts: WorkloadFacts,
    events: Arc<[PlannedEvent]>,
    hpa: MemoryApplier,
    periods: Periods,
    world: Mutex<World>,
}

/// Durations of the model, in steps.
#[derive(Clone, Copy, Debug)]
struct Periods {
    step_s: f64,
    start_up: usize,
    sync: usize,
    scrape: usize,
    lag: usize,
    window: usize,
}

#[derive(Debug)]
struct World {
    /// Steps so far, from the first on.
    seen: Vec<StepSeen>,
    pods: Pods,
    /// Size asked for; more than the pods where the nodes are full.
    desired: u32,
    queue: Queue,
    hpa: Option<(Hpa, HpaMemory)>,
    scale_events: u64,
    syncs: Syncs,
    samples: Accumulator,
}

impl Cluster {
    /// Creates a cluster at its first step.
    ///
    /// # Errors
    /// [`ClusterError`] if it cannot be simulated.
    pub fn new(setup: ClusterSetup) -> Result<Self, ClusterError> {
        let ClusterSetup { target, model, arrivals, trace, first_step, counted, .. } = setup;
        model.validate()?;
        let (bounds, controller, mut hpa) = match &setup.control {
            Control::Hpa { spec, controller } => {
                let hpa = Hpa::try_from(&**spec)?;
                autoscaler::check(&hpa, &trace, &model, &setup.facts)?;
                (spec.bounds()?, Some(HpaController::new(controller.clone())), Some((hpa, HpaMemory::default())))
            }
            Control::Direct { bounds } => (*bounds, None, None),
        };
        let periods = Periods {
            step_s: model.step().as_secs_f64(),
            start_up: model.steps(model.start_up),
            sync: model.steps(model.sync_period).max(1),
            scrape: model.steps(model.scrape_period).max(1),
            lag: model.steps(model.metrics_lag),
            window: model.steps(model.metrics_window).max(1),
        };
        let initial = match setup.control {
            Control::Hpa { .. } => bounds.clamp(arrivals.enough_pods(first_step, &model)),
            Control::Direct { .. } => model.limits.bounds().clamp(bounds.min()),
        };
        if let Some((_, memory)) = hpa.as_mut().filter(|_| initial == 0) {
            // Nobody paused the workload: its HPA took it to zero when load ended, before the replay, and so may wake it.
            memory.conditions.take_to_zero(arrivals.instant(first_step));
        }
        let existing = initial.min(model.node_limit.unwrap_or(u32::MAX));
        let memory = Memory::of(&trace, arrivals.instant(first_step));
        let mut history = setup.history;
        if history.is_empty() {
            history = Arc::new(MetricsHistory::with_limit(KEPT));
        }
        Ok(Self {
            hpa: MemoryApplier::new().with(target.clone(), bounds),
            facts: model.facts(setup.facts),
            world: Mutex::new(World {
                seen: Vec::with_capacity(arrivals.len().saturating_sub(first_step)),
                pods: Pods::ready_from_the_start(existing),
                desired: initial,
                queue: Queue::default(),
                syncs: hpa.as_ref().map(|(hpa, _)| Syncs::of(hpa)).unwrap_or_default(),
                hpa,
                scale_events: 0,
                samples: Accumulator::continuing(history),
            }),
            target: Arc::new(target),
            model,
            arrivals,
            trace,
            memory,
            first_step,
            counted,
            controller,
            events: setup.events,
            periods,
        })
    }

    /// Tells engines that they are asked at this interval: one looks ahead to its own next decision. None for every sync.
    pub(super) fn decided_on_every(mut self, interval: Option<Duration>) -> Self {
        if let Some(interval) = interval {
            self.facts.sync_period = interval;
        }
        self
    }

    /// Returns the bounds now.
    pub fn bounds(&self) -> Option<Bounds> {
        self.hpa.bounds(&self.target)
    }

    /// Returns the number of pods now, starting ones included.
    pub fn pods(&self) -> u32 {
        self.world().pods.total()
    }

    /// Returns the instant up to which time has passed.
    pub fn now(&self) -> DateTime<Utc> {
        self.arrivals.instant(self.first_step + self.world().seen.len())
    }

    /// Lets time pass: requests come, pods start, the HPA syncs. Time goes in whole steps; a rest waits for the next call.
    pub fn advance(&self, until: DateTime<Utc>) {
        let mut world = self.world();
        let world = &mut *world;
        let end = self.arrivals.step_at(until).unwrap_or(0).min(self.arrivals.len());
        while self.first_step + world.seen.len() < end {
            let now = world.seen.len();
            if now.is_multiple_of(self.periods.sync) {
                self.sync(world, now);
            }
            self.fail(world, now);
            self.step(world, now);
        }
        self.measure(world);
    }

    /// Ends the simulation.
    pub fn into_run(self) -> Run {
        let world = self.world.into_inner().unwrap_or_else(PoisonError::into_inner);
        Run { steps: world.seen, scale_events: world.scale_events, syncs: world.syncs }
    }

    /// Simulates one step of the queue.
    fn step(&self, world: &mut World, now: usize) {
        let arrived = self.arrivals.requests().get(self.first_step + now).copied().unwrap_or(f64::NAN);
        let ready = world.pods.ready(now);
        let mut seen = StepSeen {
            arrived,
            pods: world.pods.total(),
            ready,
            utilization: 0.0,
            backlog: 0.0,
            violating: 0.0,
            violating_s: 0.0,
            dropped: 0.0,
            counts: self.counts(now),
        };
        if arrived.is_nan() {
            // The recording does not say what waited at its end.
            world.queue = Queue::default();
        } else {
            let capacity = f64::from(ready) * self.model.pod_capacity;
            let service = Service {
                capacity,
                objective_s: self.model.objective.as_secs_f64(),
                patience_s: self.model.patience.as_secs_f64(),
            };
            let outcome = world.queue.pass(arrived, self.periods.step_s, service);
            seen.utilization = if capacity > 0.0 {
                (outcome.served / (capacity * self.periods.step_s)).min(1.0)
            } else {
                f64::from(u8::from(arrived > 0.0))
            };
            seen.backlog = outcome.mean_backlog;
            seen.violating = outcome.violating;
            seen.violating_s = outcome.violating_s;
            seen.dropped = outcome.dropped;
        }
        world.seen.push(seen);
    }

    /// Draws the pods that fail; new ones start in their place.
    fn fail(&self, world: &mut World, now: usize) {
        if self.model.pod_failures_per_day > 0.0 {
            let rate = self.model.pod_failures_per_day * self.periods.step_s / 86_400.0;
            // Another seed than that of the requests, which are drawn by the same index.
            let seed = self.model.noise_seed.unwrap_or(0) ^ 0x5851_f42d_4c95_7f2d;
            let expected = rate * f64::from(world.pods.ready(now));
            let failed = whole_pods(Noise::at(seed, self.first_step + now).poisson(expected));
            world.pods.replace(failed, now + self.periods.start_up);
        }
    }

    /// Sets the number of pods, as the HPA or, without one, the lower bound says.
    fn sync(&self, world: &mut World, now: usize) {
        let Some(bounds) = self.bounds() else { return };
        let before = world.desired;
        if let Some(controller) = &self.controller {
            let at = self.arrivals.instant(self.first_step + now);
            let mut object = SimulatedObject::new(self, world, now);
            let Some((hpa, memory)) = &mut world.hpa else { return };
            hpa.min_replicas = i32::try_from(bounds.min()).unwrap_or(i32::MAX);
            hpa.max_replicas = i32::try_from(bounds.max()).unwrap_or(i32::MAX);
            let sync = controller.sync(hpa, memory, &mut object, at);
            world.desired = u32::try_from(sync.desired).unwrap_or(0);
            if self.counts(now) {
                world.syncs.count_metrics(&memory.metrics);
            }
        } else {
            world.desired = self.model.limits.bounds().clamp(bounds.min());
        }
        let size = world.desired.min(self.model.node_limit.unwrap_or(u32::MAX));
        if size != world.pods.total() {
            // Ready pods are counted first: removal must tell them from those that start.
            world.pods.ready(now);
            world.pods.resize(size, now + self.periods.start_up);
        }
        if self.counts(now) {
            world.scale_events += u64::from(world.desired != before);
            world.syncs.total += 1;
            // Without an HPA the limits hold the size where bounds leave them.
            let is_outside = world.hpa.is_some() && !(bounds.min()..=bounds.max()).contains(&world.desired);
            world.syncs.outside += u64::from(is_outside);
        }
    }

    /// Measures, and moves the last measurement into history.
    fn measure(&self, world: &mut World) {
        let now = world.seen.len();
        let metrics = Reading::at(self, world, now).map(|reading| reading.metrics(self, world, now));
        let Some(metrics) = metrics else {
            world.samples.lapse();
            return;
        };
        let at = self.arrivals.instant(self.first_step + now);
        if let Err(SampleError::Duplicate { .. }) = world.samples.push(metrics.clone(), at) {
            // The same measurement is seen again, with the pods of now.
            world.samples.revise(metrics).ok();
        }
    }

    /// Returns whether a step counts; one in a gap never does.
    fn counts(&self, now: usize) -> bool {
        self.counted.get(self.first_step + now).copied().unwrap_or(false)
    }

    fn rate_is_known(&self) -> bool {
        self.trace.basis() == DemandBasis::RequestRate
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl MetricsSource for Cluster {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        if *target != *self.target {
            return Err(SourceError::UnknownTarget { target: Box::new(target.clone()) });
        }
        let mut world = self.world();
        let current = world.samples.at(now).cloned();
        let current = current.ok_or_else(|| SourceError::NoData { target: Box::new(target.clone()), at: now })?;
        Ok(Observation {
            target: Arc::clone(&self.target),
            now,
            current,
            declared: None,
            history: world.samples.history().clone(),
            facts: self.facts.clone(),
            events: self.events.clone(),
            forecast: None,
            provenance: None,
        })
    }
}

#[async_trait]
impl HpaApplier for Cluster {
    async fn current(&self, target: &Target) -> Result<HpaState, ApplyError> {
        // What a pod requests is not simulated.
        self.hpa.current(target).await.map(HpaState::bounds_only)
    }

    async fn apply(&self, plan: &HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError> {
        self.hpa.apply(plan, mode).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ScalingMetrics;
    use crate::backtest::{MappedMetric, SampleTime};
    use crate::hpa::{CrossVersionObjectReference, MetricSpec, Quantity};
    use chrono::TimeDelta;

    fn target() -> Target {
        Target::deployment("shop", "web")
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn trace(rates: impl IntoIterator<Item = (i64, f64)>) -> Trace {
        let samples = rates.into_iter().map(|(second, rate)| {
            let mut sample = ScalingMetrics::new(at(second), 0).with(SignalKind::RequestRate, rate);
            sample.current_pod_count = None;
            sample
        });
        Trace::from_samples("test", samples.collect(), SampleTime::Starts).unwrap()
    }

    fn minutes(rates: &[f64]) -> Trace {
        trace((0..).map(|minute| minute * 60).zip(rates.iter().copied()))
    }

    fn setup(trace: Trace, model: ClusterModel, control: Control) -> ClusterSetup {
        let arrivals = Arrivals::new(&trace, &model).unwrap();
        ClusterSetup {
            target: target(),
            counted: arrivals.counted(0, 0, 0),
            arrivals: Arc::new(arrivals),
            model,
            trace: Arc::new(trace),
            first_step: 0,
            control,
            facts: WorkloadFacts::default(),
            events: Arc::new([]),
            history: Arc::default(),
        }
    }

    fn model() -> ClusterModel {
        ClusterModel { pod_capacity: 100.0, ..ClusterModel::default() }
    }

    fn hpa(min: u32, max: u32) -> Control {
        let reference = CrossVersionObjectReference::deployment("web");
        Control::Hpa {
            spec: Box::new(HpaSpec::new(reference, Bounds::new(min, max).unwrap())),
            controller: ControllerConfig::default(),
        }
    }

    fn direct(pods: u32) -> Control {
        Control::Direct { bounds: Bounds::new(pods, 100).unwrap() }
    }

    fn cluster(trace: Trace, control: Control) -> Cluster {
        Cluster::new(setup(trace, model(), control)).unwrap()
    }

    fn seen(cluster: &Cluster, seconds: i64) -> ScalingMetrics {
        futures::executor::block_on(cluster.observe(&target(), at(seconds))).unwrap().current
    }

    #[test]
    fn overload_queues_and_the_hpa_adds_pods_that_take_a_minute() {
        let cluster = cluster(minutes(&[[50.0; 2].as_slice(), &[400.0; 9]].concat()), hpa(1, 10));
        cluster.advance(at(120));
        assert_eq!(seen(&cluster, 120).current_pod_count, Some(1));
        cluster.advance(at(210));
        let full = seen(&cluster, 210);
        assert_eq!(full.current_pod_count, Some(1));
        assert!(full.desired_pod_count > Some(1) && full.value(SignalKind::QueueDepth) > Some(0.0), "{full:?}");
        cluster.advance(at(600));
        assert!(seen(&cluster, 600).current_pod_count >= Some(4));
        let run = cluster.into_run();
        assert_eq!(run.steps.len(), 40);
        assert!(run.scale_events >= 1 && run.scored().any(|step| step.violating > 0.0));
    }

    #[test]
    fn metrics_are_means_over_a_window_that_ended_a_while_ago() {
        let cluster = cluster(minutes(&[100.0, 100.0, 200.0, 200.0, 200.0]), direct(4));
        cluster.advance(at(15));
        let nothing = futures::executor::block_on(cluster.observe(&target(), at(15))).unwrap_err();
        assert!(matches!(nothing, SourceError::NoData { .. }), "{nothing}");
        cluster.advance(at(150));
        let metrics = seen(&cluster, 150);
        assert_eq!(metrics.timestamp, at(120));
        // The line from 100 at 90 s to 200 at 150 s, in quarters up to 120 s.
        let rates = [100.0, 100.0, 112.5, 137.5];
        assert_eq!(metrics.value(SignalKind::RequestRate), Some(rates.iter().sum::<f64>() / 4.0));
        assert_eq!(metrics.value(SignalKind::CpuUtilization), Some(rates.iter().sum::<f64>() / 16.0));
        assert_eq!((metrics.current_pod_count, metrics.desired_pod_count), (Some(4), Some(4)));
    }

    #[test]
    fn a_gap_is_no_data_and_leaves_the_pods() {
        let cluster = cluster(trace([0, 60, 120, 3600, 3660].map(|second| (second, 150.0))), hpa(2, 9));
        cluster.advance(at(1800));
        let pods = cluster.pods();
        let error = futures::executor::block_on(cluster.observe(&target(), at(1800))).unwrap_err();
        assert!(matches!(error, SourceError::NoData { .. }), "{error}");
        cluster.advance(at(3600));
        assert_eq!(cluster.pods(), pods);
        cluster.advance(at(3720));
        assert!(futures::executor::block_on(cluster.observe(&target(), at(3720))).is_ok());
        assert_eq!(cluster.into_run().scored().count(), 5 * 4);
    }

    #[test]
    fn min_replicas_act_at_once_and_max_does_too() {
        let cluster = cluster(minutes(&[50.0; 10]), hpa(1, 10));
        cluster.hpa.put(&target(), Bounds::new(6, 10).unwrap());
        cluster.advance(at(60));
        assert_eq!(cluster.pods(), 6);
        cluster.hpa.put(&target(), Bounds::new(1, 3).unwrap());
        cluster.advance(at(75));
        assert_eq!(cluster.pods(), 3);
    }

    #[test]
    fn driven_directly_there_are_as_many_pods_as_the_lower_bound() {
        let cluster = cluster(minutes(&[50.0; 10]), direct(3));
        cluster.advance(at(60));
        assert_eq!(cluster.pods(), 3);
        cluster.hpa.put(&target(), Bounds::new(7, 7).unwrap());
        cluster.advance(at(75));
        assert_eq!(cluster.pods(), 7);
        assert_eq!(cluster.into_run().scale_events, 1);
    }

    #[test]
    fn full_nodes_hold_no_more_pods_and_the_rest_is_not_paid_for() {
        let model = ClusterModel { node_limit: Some(4), ..model() };
        let cluster = Cluster::new(setup(minutes(&[50.0; 10]), model, direct(9))).unwrap();
        cluster.advance(at(120));
        let metrics = seen(&cluster, 120);
        assert_eq!((cluster.pods(), metrics.current_pod_count, metrics.desired_pod_count), (4, Some(4), Some(9)));
    }

    #[test]
    fn failing_pods_are_replaced_and_missed_meanwhile() {
        let model = ClusterModel { pod_failures_per_day: 2000.0, ..model() };
        let run = |model: &ClusterModel| {
            let cluster = Cluster::new(setup(minutes(&[50.0; 60]), model.clone(), direct(10))).unwrap();
            cluster.advance(at(3600));
            cluster.into_run()
        };
        let seen = run(&model);
        assert!(seen.steps.iter().all(|step| step.pods == 10) && seen.steps.iter().any(|step| step.ready < 10));
        assert_eq!(seen, run(&model), "the same seed, the same failures");
    }

    #[test]
    fn an_hpa_reacts_to_the_metrics_that_it_names() {
        let on = |metric: MetricSpec| {
            let mut spec = HpaSpec::new(CrossVersionObjectReference::deployment("web"), Bounds::new(1, 50).unwrap());
            spec.metrics = Some(vec![metric]);
            let control = Control::Hpa { spec: Box::new(spec), controller: ControllerConfig::default() };
            let cluster = Cluster::new(setup(minutes(&[400.0; 30]), model(), control))?;
            cluster.advance(at(1800));
            Ok::<_, ClusterError>(cluster.pods())
        };
        assert_eq!(on(MetricSpec::external("rps", Quantity::from_milli(40_000))), Ok(10));
        assert_eq!(on(MetricSpec::utilization("cpu", 50)), Ok(8));
        let unknown = on(MetricSpec::external("kafka_lag", Quantity::from_milli(1000))).unwrap_err();
        let said = unknown.to_string();
        assert!(said.starts_with("the HPA's metric \"kafka_lag\" is not simulated; map each to a signal"), "{said}");
        assert!(said.contains("queue_depth") && !said.contains("memory"), "memory was not recorded: {said}");
        assert!(on(MetricSpec::utilization("memory", 50)).is_err(), "memory was not recorded");
    }

    fn scaled_on(metric: MetricSpec, min: u32, rates: &[f64], model: ClusterModel) -> Result<Cluster, ClusterError> {
        let mut spec = HpaSpec::new(CrossVersionObjectReference::deployment("web"), Bounds::new(min, 50).unwrap());
        spec.metrics = Some(vec![metric]);
        let control = Control::Hpa { spec: Box::new(spec), controller: ControllerConfig::default() };
        Cluster::new(setup(minutes(rates), model, control))
    }

    #[test]
    fn a_metric_of_any_name_is_what_it_is_mapped_to() {
        let mapped = |signal, factor| ClusterModel {
            metrics: [("kafka_lag".to_owned(), MappedMetric { signal, factor })].into(),
            ..model()
        };
        let lag = |milli| MetricSpec::external("kafka_lag", Quantity::from_milli(milli));
        let pods = |model: ClusterModel, milli| {
            let cluster = scaled_on(lag(milli), 1, &[400.0; 30], model).unwrap();
            cluster.advance(at(1800));
            cluster.pods()
        };
        assert_eq!(pods(mapped(SignalKind::RequestRate, 1.0), 40_000), 10);
        assert_eq!(pods(mapped(SignalKind::RequestRate, 0.5), 40_000), 5);
        let nonsense = mapped(SignalKind::RequestRate, 0.0).validate().unwrap_err();
        assert_eq!(nonsense.field, "metrics");
    }

    #[test]
    fn an_absolute_target_needs_what_a_pod_requests() {
        let mut metric = MetricSpec::utilization("cpu", 50);
        if let Some(source) = &mut metric.resource {
            source.target = crate::hpa::MetricTarget {
                kind: "AverageValue".into(),
                average_value: Some("125m".parse().unwrap()),
                ..crate::hpa::MetricTarget::default()
            };
        }
        let mut spec = HpaSpec::new(CrossVersionObjectReference::deployment("web"), Bounds::new(1, 50).unwrap());
        spec.metrics = Some(vec![metric]);
        let control = Control::Hpa { spec: Box::new(spec), controller: ControllerConfig::default() };
        let unknown = setup(minutes(&[390.0; 30]), model(), control);
        let mut known = unknown.clone();
        known.facts.cpu_request_millicores = Some(250);
        let error = Cluster::new(unknown).unwrap_err();
        assert_eq!(error, ClusterError::UnknownRequest { resource: "cpu".into() });
        let cluster = Cluster::new(known).unwrap();
        cluster.advance(at(1800));
        assert_eq!(cluster.pods(), 8, "125 of 250 millicores are 50 %");
    }

    #[test]
    fn a_workload_that_was_at_zero_before_the_replay_is_woken_by_rate_or_queue() {
        let load = [[0.0; 10].as_slice(), &[400.0; 30]].concat();
        for (name, milli) in [("rps", 40_000), ("queue_depth", 500_000)] {
            let metric = MetricSpec::external(name, Quantity::from_milli(milli));
            let cluster = scaled_on(metric, 0, &load, model()).unwrap();
            cluster.advance(at(600));
            assert_eq!(cluster.pods(), 0, "{name}");
            cluster.advance(at(900));
            assert!(cluster.pods() > 0, "{name}");
            let run = cluster.into_run();
            let waiting = run.steps.iter().find(|step| step.ready == 0 && step.backlog > 0.0);
            assert!(waiting.is_some() && run.steps.last().unwrap().ready > 0, "{name}");
        }
    }

    #[test]
    fn an_hpa_that_may_not_shrink_keeps_its_pods_whatever_an_engine_asks_for() {
        use crate::{Autoscaler, BoundsPolicy, Ceiling, RuleBasedEngine};
        let load = [[3000.0; 20].as_slice(), &[100.0; 100]].concat();
        let mut spec = HpaSpec::new(CrossVersionObjectReference::deployment("web"), Bounds::new(2, 60).unwrap());
        let behavior = r#"{"scaleDown": {"selectPolicy": "Disabled"}}"#;
        spec.behavior = Some(serde_json::from_str(behavior).unwrap());
        let control = Control::Hpa { spec: Box::new(spec), controller: ControllerConfig::default() };
        let cluster = Arc::new(Cluster::new(setup(minutes(&load), model(), control)).unwrap());
        let autoscaler = Autoscaler::builder()
            .source(Arc::clone(&cluster))
            .engine(RuleBasedEngine::default())
            .applier(Arc::clone(&cluster))
            .policy(BoundsPolicy { ceiling: Ceiling::Follow, ..BoundsPolicy::default() })
            .mode(ApplyMode::Apply)
            .build();
        let (mut most, mut lowered) = (0, false);
        for minute in 1..120 {
            cluster.advance(at(minute * 60));
            let before = cluster.bounds().unwrap();
            futures::executor::block_on(autoscaler.tick(&target(), at(minute * 60))).ok();
            let bounds = cluster.bounds().unwrap();
            lowered |= bounds.max() < before.max();
            assert!(cluster.pods() >= most && bounds.max() >= cluster.pods(), "{minute}: {bounds}");
            most = cluster.pods();
        }
        assert!(most >= 30 && lowered, "{most}");
    }

    #[test]
    fn the_future_changes_nothing_that_has_been_seen() {
        let calm: Vec<f64> = (0..40).map(|minute| 200.0 + 30.0 * f64::from(minute % 5)).collect();
        let mut wild = calm.clone();
        wild[25..].fill(5000.0);
        let past = |rates: &[f64]| {
            let model = ClusterModel { noise_seed: Some(3), ..model() };
            let cluster = Cluster::new(setup(minutes(rates), model, hpa(1, 90))).unwrap();
            cluster.advance(at(24 * 60));
            (seen(&cluster, 24 * 60), cluster.into_run())
        };
        assert_eq!(past(&calm), past(&wild));
    }

    #[test]
    fn time_goes_in_whole_steps_and_never_back() {
        let cluster = cluster(minutes(&[50.0; 10]), direct(3));
        cluster.advance(at(74) + TimeDelta::microseconds(300));
        assert_eq!(cluster.now(), at(60));
        cluster.advance(at(30));
        assert_eq!(cluster.now(), at(60));
        cluster.advance(at(1_000_000));
        assert_eq!(cluster.now(), at(600));
    }

    #[test]
    fn a_start_up_between_two_syncs_is_not_rounded() {
        let model = ClusterModel { start_up: Duration::from_secs(40), ..model() };
        let cluster = Cluster::new(setup(minutes(&[50.0; 10]), model, direct(1))).unwrap();
        cluster.advance(at(60));
        cluster.hpa.put(&target(), Bounds::new(2, 2).unwrap());
        cluster.advance(at(200));
        let run = cluster.into_run();
        let ready_at = run.steps.iter().position(|step| step.ready == 2).unwrap();
        assert_eq!(ready_at * 5, 60 + 40);
    }
}
