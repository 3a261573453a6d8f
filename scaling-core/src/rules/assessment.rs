//! The evidence that the rules judge by, computed once for all of them.

use super::RuleConfig;
use super::capacity::Capacity;
use super::health::Health;
use super::memory::MemoryModel;
use super::pattern::{Pattern, is_open};
use super::samples::Samples;
use crate::decision::{Floor, Reason};
use crate::forecast::LoadForecast;
use crate::metrics::{Observation, SignalKind};

/// CPU over what the load explains, from which one sample is doubted: a mean over a window wanders by a tenth, a capacity believed at
/// its 10 % quantile makes up for it, and twice that is left.
const UNEXPLAINED: f64 = 1.25;

/// The evidence of one observation, computed once, that every [`Rule`](super::Rule) judges by. Absent numbers are NaN, and every
/// comparison with NaN is false.
#[derive(Debug)]
pub struct Assessment<'a> {
    /// The observation that is judged.
    pub observation: &'a Observation,
    /// The thresholds.
    pub config: &'a RuleConfig,
    /// Utilization to aim for, as a share.
    pub target: f64,
    /// Ready pods.
    pub pods: f64,
    /// Pods asked for, ready or not: what growing and shrinking starts from.
    pub replicas: f64,
    /// State of the service: full pods, errors, slowness, queue.
    pub health: Health,
    /// Load that one pod carries.
    pub capacity: Capacity,
    /// Patterns in the load: trend, hour of the day, weekend, declared event.
    pub pattern: Pattern<'a>,
    /// The signal that measures load, if any is present.
    pub load: Option<SignalKind>,
    /// Load as observed, in the unit of its signal.
    pub observed_load: f64,
    /// Load to size for: with growth, failures, saturation and backlog.
    pub demand: f64,
    /// Requests waiting, measured or inferred from slowness.
    pub backlog: f64,
    /// True if the service suffers from a lack of memory, not of pods.
    pub memory_bound: bool,
    /// CPU utilization now, as far as it counts ([`explained_cpu`]).
    explained_cpu: f64,
    /// Load that a forecast says to provide for, in the unit of the load; takes the place of the slope.
    pub(super) expected_load: Option<f64>,
    /// Pods that CPU may fill, by a forecast.
    expected_busy: Option<f64>,
    pub(super) samples: Samples<'a>,
}

impl<'a> Assessment<'a> {
    pub(crate) fn new(observation: &'a Observation, replicas: u32, config: &'a RuleConfig) -> Self {
        let pods = f64::from(observation.current.current_pod_count.unwrap_or(replicas));
        let samples = Samples::new(observation, pods, millis(config.learn_window));
        let pattern = Pattern::new(&samples, observation, config);
        let health = Health::new(&samples, pattern.early_queue);
        let expected = expected_load(observation);
        let by = |signal| expected.filter(|forecast| Some(forecast.signal) == signal).map(|forecast| forecast.expected);
        let (expected_load, expected_busy) = (by(samples.load), by(Some(SignalKind::CpuUtilization)));
        let queue_measured = !samples.current().queue.is_nan();
        let target = config.target(expected_load.or(expected_busy).is_some(), queue_measured);
        let declared = declared_capacity(observation, &samples);
        let capacity = Capacity::learn(&samples, health.usual_ms, declared, target, config)
            .no_more_than_seen(&samples, target, config);
        let explained_cpu = explained_cpu(&samples, &health, &capacity, config);
        let saturated = config.is_full(explained_cpu, queue_measured);
        let health = health.full(saturated, config);
        let mut assessment = Self {
            observation,
            config,
            target,
            pods,
            replicas: f64::from(replicas),
            health,
            capacity,
            load: samples.load,
            observed_load: if samples.load.is_some() { samples.current().load } else { f64::NAN },
            demand: f64::NAN,
            backlog: f64::NAN,
            memory_bound: memory_bound(&health, &pattern, &samples, config),
            pattern,
            explained_cpu,
            expected_load,
            expected_busy,
            samples,
        };
        assessment.backlog = assessment.measure_backlog();
        assessment.demand = assessment.estimate_demand();
        assessment
    }

    /// CPU utilization now, percent.
    pub fn cpu_percent(&self) -> f64 {
        self.samples.current().cpu
    }

    /// Error rate now, percent.
    pub fn error_percent(&self) -> f64 {
        self.health.error_percent
    }

    /// Memory utilization now, percent.
    pub fn memory_percent(&self) -> f64 {
        self.samples.current().memory
    }

    /// Requests that wait: the queue, or by Little's law what the slowness says (rate × extra response time), if that is more.
    /// Requests only; connections do not queue.
    fn measure_backlog(&self) -> f64 {
        let now = self.samples.current();
        let slow = (self.health.slowdown > self.config.healthy_slowdown)
            .then(|| now.rate * (now.response_ms - self.health.usual_ms) / 1000.0);
        f64::max(now.queue, slow.unwrap_or(f64::NAN))
    }

    /// Observed load, raised by what it is about to become, by what failed, by what full pods hide, and by what waits.
    fn estimate_demand(&self) -> f64 {
        let config = self.config;
        let expected = match self.expected_load {
            // Foresight only raises: what is there now has to be carried.
            Some(expected) => expected.max(self.observed_load),
            None => self.observed_load + self.slope(),
        };
        if self.memory_bound {
            return expected;
        }
        let failed = (self.health.error_percent / 100.0).max(0.0);
        let hidden = if self.health.saturated || self.health.urgency == crate::Urgency::Critical {
            config.saturation_uplift
        } else {
            0.0
        };
        let waiting = match self.load {
            Some(SignalKind::RequestRate) => (self.backlog / config.drain.as_secs_f64()).max(0.0),
            _ => 0.0,
        };
        expected * (1.0 + failed.max(hidden)) + waiting
    }

    /// By how much load will have risen when new pods are ready, if it goes on as over the last two minutes. Never negative.
    fn slope(&self) -> f64 {
        let now = self.samples.current();
        let past =
            self.samples.recent(millis(self.config.slope_window), 3).filter(|sample| !sample.load.is_nan()).last();
        let Some(past) = past.filter(|past| past.at_ms < now.at_ms) else { return 0.0 };
        let per_second = (now.load - past.load) * 1000.0 / (now.at_ms - past.at_ms) as f64;
        let facts = &self.observation.facts;
        let ahead = facts.look_ahead().as_secs_f64();
        // `clamp` would panic on a NaN limit.
        (per_second * ahead).max(0.0).min(self.observed_load * self.config.slope_limit)
    }

    /// Pods that carry `load` at the safe load of a pod; NaN if that is not known.
    pub fn pods_for(&self, load: f64) -> f64 {
        load / self.capacity.safe_per_pod
    }

    /// Pods that the CPU utilization of a moment with so many pods asks for.
    pub(crate) fn pods_for_cpu(&self, cpu_percent: f64, pods: f64) -> f64 {
        cpu_percent * pods / (100.0 * self.target)
    }

    /// Pods that the CPU utilization of now asks for: of what it can mean, the nearest to the present size.
    ///
    /// Utilization is a mean over a window that ended a lag ago; pods that became ready since are not in it. Taken times all the
    /// pods of now, each growth would ask for the next one.
    pub(super) fn cpu_need(&self) -> f64 {
        let (least, most) = self.samples.pods_over(0);
        let (least, most) = (self.pods_for_cpu(self.explained_cpu, least), self.pods_for_cpu(self.explained_cpu, most));
        // Growing needs the smaller of the two, shrinking the larger. NaN stays NaN.
        if least < self.replicas && most > self.replicas {
            self.replicas
        } else if least > self.replicas {
            least
        } else {
            most
        }
    }

    /// Pods for the CPU that a forecast says to provide for; NaN without one.
    pub(super) fn expected_cpu_need(&self) -> f64 {
        self.expected_busy.map_or(f64::NAN, |busy| busy / self.target)
    }

    /// True if a forecast takes part in the decision.
    pub(super) fn is_foreseen(&self) -> bool {
        self.expected_load.or(self.expected_busy).is_some()
    }

    /// Pods to keep for those that are asked for and not ready: each may carry a full load once it is, as in the HPA.
    pub(super) fn not_ready(&self) -> f64 {
        (self.replicas - self.pods).max(0.0) / self.target
    }

    /// Pods that memory asks for.
    ///
    /// The two parts of memory are told apart only where memory would ask for most if all of it followed the load: then never
    /// fewer pods would be asked for than with the parts known, and a pass over the history is saved.
    pub(super) fn memory_need(&self) -> f64 {
        let now = self.samples.current();
        let all_follows = now.memory * now.pods / self.config.memory_ceiling_percent;
        let others = f64::max(self.pods_for(self.demand), self.cpu_need());
        if all_follows <= f64::min(others, self.pods) {
            return all_follows;
        }
        MemoryModel::learn(&self.samples).pods(now, self.config)
    }

    /// Load that an open event is expected to bring; NaN if none is open or the load before it is not known.
    pub(super) fn event_load(&self) -> f64 {
        let now = self.observation.now;
        let Some(event) = self.pattern.event.filter(|event| is_open(event, now)) else { return f64::NAN };
        let start_ms = event.start().timestamp_millis();
        if self.samples.current().at_ms < start_ms {
            return self.samples.current().load * event.factor();
        }
        let (mut sum, mut number) = (0.0, 0.0);
        let before = self.samples.recent(i64::MAX, 0).skip_while(|sample| sample.at_ms >= start_ms);
        for sample in before.filter(|sample| !sample.load.is_nan()).take(3) {
            sum += sample.load;
            number += 1.0;
        }
        sum / number * event.factor()
    }

    /// Pods for the load of a declared event, from its lead until its end.
    pub(super) fn event_floor(&self) -> Option<Floor> {
        let event = self.pattern.event.filter(|event| is_open(event, self.observation.now))?;
        let load = self.event_load();
        let need = if self.load.is_some() { self.pods_for(load) } else { load / (100.0 * self.target) };
        let reason = Reason::Event { name: event.name().to_owned(), factor: event.factor() };
        (need > 0.0).then(|| Floor::new(crate::stats::whole_pods(need), reason).until(event.end()))
    }

    /// Pods that the recent past needed at most, moment by moment: the floor of a shrink. With `headroom` on the load, for schedules.
    pub(super) fn recent_need(&self, headroom: f64) -> f64 {
        let model = MemoryModel::learn(&self.samples);
        self.samples
            .recent(millis(self.config.shrink_window), self.config.shrink_min_samples)
            .map(|sample| {
                let load = if self.load.is_some() { self.pods_for(sample.load * headroom) } else { f64::NAN };
                let cpu = self.pods_for_cpu(sample.cpu, sample.pods) * headroom;
                let memory = model.pods(&sample, self.config);
                f64::max(f64::max(load, cpu), memory)
            })
            .fold(f64::NAN, f64::max)
    }
}

/// The forecast of the load, if there is one that can be.
fn expected_load(observation: &Observation) -> Option<LoadForecast> {
    observation.forecast?.ok().filter(|forecast| forecast.expected.is_finite())
}

/// The declared capacity counts only for the load it was declared for.
fn declared_capacity(observation: &Observation, samples: &Samples<'_>) -> Option<f64> {
    observation
        .facts
        .pod_capacity
        .filter(|capacity| capacity.is_finite() && *capacity > 0.0)
        .filter(|_| samples.load == Some(SignalKind::RequestRate))
}

/// Memory is short while CPU is moderate and load flat: more pods would share the same load, not the same memory.
/// So is memory that every pod has whatever its load.
fn memory_bound(health: &Health, pattern: &Pattern<'_>, samples: &Samples<'_>, config: &RuleConfig) -> bool {
    let pressed = health.memory_peak >= config.memory_pressure_percent;
    let cpu_moderate = health.cpu_peak < config.target_cpu_percent;
    let cpu_unknown = health.cpu_peak.is_nan();
    match pattern.flat {
        Some(flat) => {
            let base = || MemoryModel::learn(samples).base(samples.current());
            pressed && (cpu_moderate || cpu_unknown) && (flat || base() >= config.memory_ceiling_percent)
        }
        // Without history, a moderate CPU is what tells that load is not the cause.
        None => pressed && cpu_moderate,
    }
}

/// CPU utilization as far as it counts now: all of it, unless a well-known capacity contradicts it.
///
/// One sample of 400 % at an unchanged rate, as a JVM shows while it starts, would ask for six times the pods. While the
/// service does well, no more counts than the load explains, with a quarter to spare, and what has lasted for two metrics windows.
/// In busy pods that also makes the capacity smaller ([`Capacity::no_more_than_seen`]).
fn explained_cpu(samples: &Samples<'_>, health: &Health, capacity: &Capacity, config: &RuleConfig) -> f64 {
    let now = samples.current();
    if !capacity.is_well_known() || !health.serves_well(config) {
        return now.cpu;
    }
    let explained = 100.0 * now.load / (now.pods * capacity.per_pod);
    let contradicted = now.cpu > explained * UNEXPLAINED;
    if !contradicted {
        return now.cpu;
    }
    let lasted = samples.steady().map_or(0.0, |steady| steady.map(|sample| sample.cpu).fold(now.cpu, f64::min));
    lasted.max(explained * UNEXPLAINED)
}

pub(super) fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
