//! [`ReplayCluster`]: recorded load meets pods that our decisions, not those of the recording, brought about.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use crate::hpa::HpaSpec;
use crate::{
    Applied, ApplyError, ApplyMode, Bounds, HpaApplier, HpaPlan, HpaState, MemoryApplier, MetricsHistory,
    MetricsSource, Observation, PlannedEvent, ScalingMetrics, SignalKind, SourceError, Target, WorkloadFacts,
};

/// The simulation's own step, and the HPA's sync period.
const STEP_S: f64 = 15.0;
/// The HPA's tolerance.
const TOLERANCE: f64 = 0.1;
/// The HPA's downscale stabilization.
const STABILIZATION_S: f64 = 300.0;
/// Backlog beyond this many seconds of capacity is dropped, and failed.
const PATIENCE_S: f64 = 30.0;

/// What a recording cannot be replayed for.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// Nothing to replay.
    #[error("there is no sample to replay")]
    Empty,
    /// Nothing says how much work there was.
    #[error("the recording has neither CPU utilization with pod counts nor a request rate")]
    NoDemand,
    /// The HPA's bounds cannot be.
    #[error("the HPA cannot be: {0}")]
    Hpa(#[from] crate::hpa::InvalidHpa),
}

/// How to replay.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayConfig {
    /// Requests per second of one pod at full utilization. Without it, learnt from the recording's CPU utilization; without
    /// that, such that the busiest moment needs 20 pods.
    pub pod_capacity: Option<f64>,
    /// Facts handed to the engine; `start_up` is also that of the simulated pods.
    pub facts: WorkloadFacts,
    /// Declared events handed to the engine.
    pub events: Vec<PlannedEvent>,
}

/// Where the simulated work comes from: what the host should tell its user.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Demand {
    /// From the recorded CPU utilization and pod counts.
    Cpu {
        /// Requests per second of one pod at full utilization, if a request rate was recorded.
        pod_capacity: Option<f64>,
    },
    /// From the recorded request rate and a given capacity.
    Rate {
        /// Requests per second of one pod at full utilization.
        pod_capacity: f64,
    },
    /// From the recorded request rate and a capacity that was made up to have something to show.
    RateOnly {
        /// Requests per second of one pod at full utilization.
        pod_capacity: f64,
    },
}

/// One workload's recorded load, replayed against an in-memory HPA and pods that take their time to start.
///
/// The recording says how much work arrived; how many pods met it follows from the HPA's bounds, which decisions move. Between
/// them an HPA reacts to CPU as the real one does without `behavior`: every 15 s, ten percent tolerance, at most double (or 4),
/// five minutes of downscale stabilization. Work that finds no capacity waits in one queue; what would wait longer than 30 s
/// fails. Where the recording has a gap, the source has no data, and pods stay as they are.
#[derive(Debug)]
pub struct ReplayCluster {
    target: Target,
    demand: Demand,
    target_cpu: f64,
    recording: Vec<ScalingMetrics>,
    longest_gap_ms: i64,
    config: ReplayConfig,
    events: Arc<[PlannedEvent]>,
    hpa: MemoryApplier,
    world: Mutex<World>,
}

#[derive(Debug)]
struct World {
    now: DateTime<Utc>,
    /// Index of the newest sample at or before `now`.
    index: usize,
    /// When each pod is ready, oldest pod first.
    pods: VecDeque<DateTime<Utc>>,
    backlog: f64,
    /// Share of arriving work that failed since the last step.
    failed: f64,
    recommendations: VecDeque<(DateTime<Utc>, u32)>,
    history: Arc<MetricsHistory>,
    current: Option<ScalingMetrics>,
}

impl ReplayCluster {
    /// A cluster at the first instant of the recording, which may be in any order.
    ///
    /// # Errors
    /// [`ClusterError`] if there is nothing to replay.
    pub fn new(
        target: Target,
        recording: Vec<ScalingMetrics>,
        hpa: &HpaSpec,
        config: ReplayConfig,
    ) -> Result<Self, ClusterError> {
        let (ordered, _) = MetricsHistory::from_unordered(recording);
        let recording: Vec<_> = ordered.iter().collect();
        let first = recording.first().ok_or(ClusterError::Empty)?;
        let demand = demand(&recording, config.pod_capacity).ok_or(ClusterError::NoDemand)?;
        let bounds = hpa.bounds()?;
        let start = first.timestamp;
        let cluster = Self {
            demand,
            target_cpu: f64::from(hpa.cpu_target_percent().unwrap_or(80).max(1)) / 100.0,
            longest_gap_ms: 3 * usual_interval_ms(&recording),
            events: config.events.clone().into(),
            hpa: MemoryApplier::new().with(target.clone(), bounds),
            target,
            config,
            world: Mutex::new(World {
                now: start,
                index: 0,
                pods: VecDeque::new(),
                backlog: 0.0,
                failed: 0.0,
                recommendations: VecDeque::new(),
                history: Arc::new(MetricsHistory::with_limit(100_000)),
                current: None,
            }),
            recording,
        };
        {
            let mut world = cluster.world();
            let wanted = cluster.recording.first().and_then(ScalingMetrics::replicas);
            let wanted = wanted.unwrap_or_else(|| whole(cluster.work(0) / cluster.target_cpu));
            world.pods = (0..bounds.clamp(wanted)).map(|_| start).collect();
        }
        Ok(cluster)
    }

    /// Where the simulated work comes from.
    pub fn demand(&self) -> Demand {
        self.demand
    }

    /// First and last instant of the recording.
    pub fn span(&self) -> (DateTime<Utc>, DateTime<Utc>) {
        let instant = |sample: Option<&ScalingMetrics>| sample.map_or(DateTime::UNIX_EPOCH, |sample| sample.timestamp);
        (instant(self.recording.first()), instant(self.recording.last()))
    }

    /// Usual time between two samples.
    pub fn interval(&self) -> TimeDelta {
        TimeDelta::milliseconds(self.longest_gap_ms / 3)
    }

    /// The HPA's bounds now.
    pub fn bounds(&self) -> Option<Bounds> {
        self.hpa.bounds(&self.target)
    }

    /// Pods now, starting ones included.
    pub fn pods(&self) -> usize {
        self.world().pods.len()
    }

    /// Lets time pass until `now`: work arrives, pods start, the HPA reacts.
    pub fn advance(&self, now: DateTime<Utc>) {
        let mut world = self.world();
        let world = &mut *world;
        let (mut arrived, mut failed) = (0.0, 0.0);
        // Time passes in whole milliseconds; less than one is left for the next call.
        while let left_ms @ 1.. = (now - world.now).num_milliseconds() {
            let step = (left_ms as f64 / 1000.0).min(STEP_S);
            while self.recording.get(world.index + 1).is_some_and(|next| next.timestamp <= world.now) {
                world.index += 1;
            }
            let (came, lost) = self.serve(world, step);
            arrived += came;
            failed += lost;
            world.now += TimeDelta::milliseconds(milliseconds(step));
            if !self.is_gap(world) {
                self.react(world);
            }
        }
        while self.recording.get(world.index + 1).is_some_and(|next| next.timestamp <= now) {
            world.index += 1;
        }
        world.failed = if arrived > 0.0 { failed / arrived } else { 0.0 };
        let measured = self.measure(world);
        if let Some(past) = std::mem::replace(&mut world.current, measured) {
            // A step back in time was ignored above; so is its sample here.
            Arc::make_mut(&mut world.history).push(&past).ok();
        }
    }

    /// Work in pods at full utilization, as recorded by a sample.
    fn work(&self, index: usize) -> f64 {
        let Some(sample) = self.recording.get(index) else { return 0.0 };
        let rate = sample.value(SignalKind::RequestRate);
        let cpu = sample.value(SignalKind::CpuUtilization).zip(sample.current_pod_count);
        match (self.demand, rate, cpu) {
            (Demand::Rate { pod_capacity } | Demand::RateOnly { pod_capacity }, Some(rate), _) => rate / pod_capacity,
            (Demand::Cpu { .. }, _, Some((cpu, pods))) => cpu / 100.0 * f64::from(pods),
            (Demand::Cpu { pod_capacity: Some(capacity) }, Some(rate), None) => rate / capacity,
            _ => 0.0,
        }
    }

    fn is_gap(&self, world: &World) -> bool {
        self.recording
            .get(world.index)
            .is_none_or(|sample| (world.now - sample.timestamp).num_milliseconds() > self.longest_gap_ms)
    }

    /// Serves `seconds` of work: what arrived and what failed of it, in pod-seconds.
    fn serve(&self, world: &mut World, seconds: f64) -> (f64, f64) {
        let came = self.work(world.index) * seconds;
        let capacity = ready(world) as f64;
        let waiting = (world.backlog + came - capacity * seconds).max(0.0);
        world.backlog = waiting.min(PATIENCE_S * capacity);
        (came, waiting - world.backlog)
    }

    /// One sync of the HPA.
    fn react(&self, world: &mut World) {
        let Some(bounds) = self.bounds() else { return };
        let current = u32::try_from(world.pods.len()).unwrap_or(u32::MAX);
        let ready = ready(world);
        let utilization = (self.work(world.index) / ready.max(1) as f64).min(1.0);
        let ratio = utilization / self.target_cpu;
        let wanted = if (ratio - 1.0).abs() <= TOLERANCE { current } else { whole(ratio * ready as f64) };
        let horizon = world.now - TimeDelta::milliseconds(milliseconds(STABILIZATION_S));
        while world.recommendations.front().is_some_and(|(at, _)| *at < horizon) {
            world.recommendations.pop_front();
        }
        world.recommendations.push_back((world.now, wanted));
        let stable = world.recommendations.iter().map(|(_, wanted)| *wanted).max().unwrap_or(wanted);
        let limited = stable.min(current.saturating_mul(2).max(4));
        let size = bounds.clamp(limited) as usize;
        let start_up = TimeDelta::from_std(self.config.facts.start_up).unwrap_or(TimeDelta::MAX);
        let ready_at = world.now.checked_add_signed(start_up).unwrap_or(DateTime::<Utc>::MAX_UTC);
        // Removal takes the youngest first; growth appends.
        world.pods.resize(size, ready_at);
    }

    fn measure(&self, world: &World) -> Option<ScalingMetrics> {
        let recorded = self.recording.get(world.index).filter(|_| !self.is_gap(world))?;
        let ready = u32::try_from(ready(world)).unwrap_or(u32::MAX);
        let per_pod = self.work(world.index) / f64::from(ready.max(1));
        let mut metrics = ScalingMetrics::new(world.now, ready)
            .with(SignalKind::CpuUtilization, 100.0 * per_pod.min(1.0))
            .with(SignalKind::ErrorRate, 100.0 * world.failed.clamp(0.0, 1.0));
        metrics.desired_pod_count = u32::try_from(world.pods.len()).ok();
        for kind in [SignalKind::RequestRate, SignalKind::ActiveConnections] {
            metrics.set(kind, recorded.signal(kind));
        }
        let wait_s = world.backlog / f64::from(ready.max(1));
        if let Some(rate) = recorded.value(SignalKind::RequestRate) {
            // The backlog in requests: seconds of work times requests per unit of work.
            let work = self.work(world.index).max(f64::MIN_POSITIVE);
            metrics = metrics.with(SignalKind::QueueDepth, world.backlog * rate / work);
        }
        if let Some(ms) = recorded.value(SignalKind::ResponseTime) {
            metrics = metrics.with(SignalKind::ResponseTime, ms + 1000.0 * wait_s);
        }
        if let (Some(memory), Some(pods)) = (recorded.value(SignalKind::MemoryUtilization), recorded.current_pod_count)
        {
            // Memory in use is taken to follow load, the worse case for a shrink.
            let spread = memory * f64::from(pods) / f64::from(ready.max(1));
            metrics = metrics.with(SignalKind::MemoryUtilization, spread.min(100.0));
        }
        Some(metrics)
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ready(world: &World) -> usize {
    world.pods.iter().filter(|ready_at| **ready_at <= world.now).count()
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped
fn whole(pods: f64) -> u32 {
    (pods - 1e-9).ceil().clamp(0.0, 1e9) as u32
}

#[allow(clippy::cast_possible_truncation)] // a few minutes
fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

/// Median time between samples, at least a second.
fn usual_interval_ms(recording: &[ScalingMetrics]) -> i64 {
    let mut intervals: Vec<i64> = recording
        .windows(2)
        .filter_map(|pair| match pair {
            [a, b] => Some((b.timestamp - a.timestamp).num_milliseconds()),
            _ => None,
        })
        .collect();
    intervals.sort_unstable();
    intervals.get(intervals.len() / 2).copied().unwrap_or(60_000).max(1000)
}

fn demand(recording: &[ScalingMetrics], given: Option<f64>) -> Option<Demand> {
    let given = given.filter(|capacity| capacity.is_finite() && *capacity > 0.0);
    let rates = || recording.iter().filter_map(|sample| sample.value(SignalKind::RequestRate));
    if let Some(pod_capacity) = given
        && rates().next().is_some()
    {
        return Some(Demand::Rate { pod_capacity });
    }
    let mut seen = false;
    let mut capacities: Vec<f64> = recording
        .iter()
        .filter_map(|sample| {
            let work = sample.value(SignalKind::CpuUtilization)? / 100.0 * f64::from(sample.current_pod_count?);
            seen = true;
            let capacity = sample.value(SignalKind::RequestRate)? / work;
            (capacity.is_finite() && capacity > 0.0).then_some(capacity)
        })
        .collect();
    if seen {
        capacities.sort_by(f64::total_cmp);
        return Some(Demand::Cpu { pod_capacity: capacities.get(capacities.len() / 2).copied() });
    }
    let busiest = rates().fold(0.0, f64::max);
    (busiest > 0.0).then_some(Demand::RateOnly { pod_capacity: busiest / 20.0 })
}

#[async_trait]
impl MetricsSource for ReplayCluster {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        if *target != self.target {
            return Err(SourceError::UnknownTarget { target: target.clone() });
        }
        let world = self.world();
        let current = world.current.clone().filter(|current| current.timestamp <= now);
        let current = current.ok_or_else(|| SourceError::NoData { target: target.clone(), at: now })?;
        Ok(Observation {
            current,
            history: world.history.clone(),
            facts: self.config.facts.clone(),
            events: self.events.clone(),
        })
    }
}

#[async_trait]
impl HpaApplier for ReplayCluster {
    async fn current(&self, target: &Target) -> Result<HpaState, ApplyError> {
        self.hpa.current(target).await
    }

    async fn apply(&self, plan: &HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError> {
        self.hpa.apply(plan, mode).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hpa::CrossVersionObjectReference;

    fn target() -> Target {
        Target::deployment("shop", "web", "web")
    }

    fn cluster(rates: &[f64], bounds: (u32, u32)) -> ReplayCluster {
        let start = DateTime::from_timestamp(0, 0).unwrap();
        let recording = (0..)
            .zip(rates)
            .map(|(minute, rate)| {
                ScalingMetrics::new(start + TimeDelta::minutes(minute), 1).with(SignalKind::RequestRate, *rate)
            })
            .collect();
        let hpa =
            HpaSpec::new(CrossVersionObjectReference::deployment("web"), Bounds::new(bounds.0, bounds.1).unwrap());
        let config = ReplayConfig { pod_capacity: Some(100.0), facts: WorkloadFacts::default(), events: Vec::new() };
        ReplayCluster::new(target(), recording, &hpa, config).unwrap()
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn seen(cluster: &ReplayCluster, seconds: i64) -> ScalingMetrics {
        futures::executor::block_on(cluster.observe(&target(), at(seconds))).unwrap().current
    }

    #[test]
    fn overload_queues_and_the_hpa_adds_pods_that_take_a_minute() {
        let cluster = cluster(&[[50.0; 1].as_slice(), &[400.0; 9]].concat(), (1, 10));
        cluster.advance(at(60));
        assert_eq!(seen(&cluster, 60).current_pod_count, Some(1));
        cluster.advance(at(90));
        let full = seen(&cluster, 90);
        assert_eq!((full.current_pod_count, full.value(SignalKind::CpuUtilization)), (Some(1), Some(100.0)));
        assert!(full.desired_pod_count > Some(1) && full.value(SignalKind::QueueDepth) > Some(0.0), "{full:?}");
        cluster.advance(at(540));
        assert!(seen(&cluster, 540).current_pod_count >= Some(4));
    }

    #[test]
    fn an_instant_within_a_millisecond_ends() {
        let cluster = cluster(&[50.0; 10], (1, 10));
        cluster.advance(at(60) + TimeDelta::microseconds(300));
        assert_eq!(seen(&cluster, 61).current_pod_count, Some(1));
    }

    #[test]
    fn min_replicas_act_at_once() {
        let cluster = cluster(&[50.0; 10], (1, 10));
        cluster.hpa.put(&target(), Bounds::new(6, 10).unwrap());
        cluster.advance(at(60));
        assert_eq!(cluster.pods(), 6);
    }

    #[test]
    fn a_gap_is_no_data_and_leaves_the_pods() {
        let start = at(0);
        let recording = [0, 60, 120, 3600, 3660].map(|second| {
            ScalingMetrics::new(start + TimeDelta::seconds(second), 1).with(SignalKind::RequestRate, 150.0)
        });
        let hpa = HpaSpec::new(CrossVersionObjectReference::deployment("web"), Bounds::new(2, 9).unwrap());
        let config = ReplayConfig { pod_capacity: Some(100.0), facts: WorkloadFacts::default(), events: Vec::new() };
        let cluster = ReplayCluster::new(target(), recording.to_vec(), &hpa, config).unwrap();
        cluster.advance(at(1800));
        let pods = cluster.pods();
        let error = futures::executor::block_on(cluster.observe(&target(), at(1800))).unwrap_err();
        assert!(matches!(error, SourceError::NoData { .. }), "{error}");
        cluster.advance(at(3500));
        assert_eq!(cluster.pods(), pods);
        cluster.advance(at(3660));
        assert!(futures::executor::block_on(cluster.observe(&target(), at(3660))).is_ok());
    }

    #[test]
    fn what_cannot_be_replayed_is_refused() {
        let hpa = HpaSpec::new(CrossVersionObjectReference::deployment("web"), Bounds::new(1, 9).unwrap());
        let config = ReplayConfig { pod_capacity: None, facts: WorkloadFacts::default(), events: Vec::new() };
        let empty = ReplayCluster::new(target(), Vec::new(), &hpa, config.clone());
        assert!(matches!(empty, Err(ClusterError::Empty)));
        let blind = ReplayCluster::new(target(), vec![ScalingMetrics::new(at(0), 3)], &hpa, config);
        assert!(matches!(blind, Err(ClusterError::NoDemand)));
    }
}
