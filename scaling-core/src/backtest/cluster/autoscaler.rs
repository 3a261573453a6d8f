//! [`SimulatedObject`]: the simulated workload as the HPA's controller sees it.

use super::reading::{Memory, Reading};
use super::{Cluster, World};
use crate::backtest::{ClusterError, ClusterModel, DemandBasis, MappedMetric, Trace};
use crate::baseline::milli;
use crate::hpa::{
    Calculator, Hpa, Metric, MetricError, MetricKind, PodTally, Proposal, Scale, ScaledObject, TargetValue,
};
use crate::{ScalingMetrics, SignalKind, WorkloadFacts};

/// Request of a pod where the facts state none, in thousandths: of a share of it nothing else shows.
const REQUEST: i64 = 1_000_000;

/// Checks that everything the HPA reacts to has a value in this cluster.
pub(super) fn check(hpa: &Hpa, trace: &Trace, model: &ClusterModel, facts: &WorkloadFacts) -> Result<(), ClusterError> {
    let exists = |kind: SignalKind| {
        model.measures(kind)
            && match kind {
                SignalKind::MemoryUtilization | SignalKind::ActiveConnections => trace.has_recorded(kind),
                SignalKind::RequestRate | SignalKind::QueueDepth => trace.basis() == DemandBasis::RequestRate,
                _ => true,
            }
    };
    let mut names = Vec::new();
    for metric in &hpa.metrics {
        let (name, kind) = match &metric.source {
            MetricKind::Resource { resource } | MetricKind::ContainerResource { resource, .. } => {
                (resource.as_str(), of_resource(resource))
            }
            MetricKind::Pods { name } | MetricKind::Object { name } | MetricKind::External { name } => {
                (name.as_str(), model.metric(name).map(|mapped| mapped.signal))
            }
            MetricKind::Unknown => ("", None),
        };
        if !kind.is_some_and(exists) && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    if !names.is_empty() {
        let signals = SignalKind::ALL.into_iter().filter(|kind| exists(*kind)).collect();
        return Err(ClusterError::UnknownMetrics { names, signals });
    }
    let without_request = hpa.metrics.iter().find_map(|metric| match &metric.source {
        MetricKind::Resource { resource } | MetricKind::ContainerResource { resource, .. } => {
            let absolute = !matches!(metric.target_value(), Some(TargetValue::Utilization(_)));
            (absolute && request_milli(facts, resource).is_none()).then(|| resource.clone())
        }
        _ => None,
    });
    without_request.map_or(Ok(()), |resource| Err(ClusterError::UnknownRequest { resource }))
}

fn of_resource(resource: &str) -> Option<SignalKind> {
    match resource {
        "cpu" => Some(SignalKind::CpuUtilization),
        "memory" => Some(SignalKind::MemoryUtilization),
        _ => None,
    }
}

/// Returns what a pod requests, in thousandths, if it is known.
fn request_milli(facts: &WorkloadFacts, resource: &str) -> Option<i64> {
    let milli = match resource {
        "cpu" => facts.cpu_request_millicores,
        _ => facts.memory_request_bytes.and_then(|bytes| bytes.checked_mul(1000)),
    };
    milli.and_then(|milli| i64::try_from(milli).ok()).filter(|milli| *milli > 0)
}

/// Workload as one sync sees it. Pods are all alike, so that sums do where the controller has lists.
pub(super) struct SimulatedObject<'a> {
    scale: Scale,
    reading: Option<Reading>,
    recorded: Option<&'a ScalingMetrics>,
    memory: Memory,
    /// Pods whose CPU samples are usable, pods that serve, and those that do not yet.
    settled: u32,
    ready: u32,
    starting: u32,
    /// Requests of a pod, in thousandths.
    cpu_request: i64,
    memory_request: i64,
    model: &'a ClusterModel,
}

impl<'a> SimulatedObject<'a> {
    pub(super) fn new(cluster: &'a Cluster, world: &mut World, now: usize) -> Self {
        let reading = Reading::at(cluster, world, now);
        let ready = world.pods.ready(now);
        let initialization = cluster
            .controller
            .as_ref()
            .map_or(0, |controller| cluster.model.steps(controller.config.cpu_initialization_period));
        // The sample of a young pod counts once it lies wholly after the pod became ready; that of an old one always does.
        let settled = reading.map_or(0, |reading| {
            let old = (now + cluster.periods.start_up).saturating_sub(initialization);
            world.pods.ready_since(reading.begin.max(old).min(now)).min(ready)
        });
        let desired = i32::try_from(world.desired).unwrap_or(i32::MAX);
        Self {
            scale: Scale { spec_replicas: desired, status_replicas: desired },
            recorded: reading.and_then(|reading| {
                cluster.trace.recorded_at(cluster.arrivals.instant(cluster.first_step + reading.end))
            }),
            memory: cluster.memory,
            reading,
            settled,
            ready,
            starting: world.desired.saturating_sub(ready),
            cpu_request: request_milli(&cluster.facts, "cpu").unwrap_or(REQUEST),
            memory_request: request_milli(&cluster.facts, "memory").unwrap_or(REQUEST),
            model: &cluster.model,
        }
    }

    /// Returns a custom metric, in thousandths, and whether it is a sum over the pods or the same for each of them.
    fn value(&self, name: &str) -> Result<(i64, bool), MetricError> {
        let reading = self.reading.ok_or(MetricError::FetchFailed)?;
        let MappedMetric { signal, factor } = self.model.metric(name).ok_or(MetricError::FetchFailed)?;
        let value = reading.signal(signal, self.recorded, self.memory, self.ready, self.model);
        let is_sum = matches!(signal, SignalKind::RequestRate | SignalKind::QueueDepth | SignalKind::ActiveConnections);
        value.map(|value| (milli(value * factor), is_sum)).ok_or(MetricError::FetchFailed)
    }

    /// Sums up pods of which so many count, each using so much.
    fn tally(&self, counting: u32, usage: i64, request: i64) -> PodTally {
        let counting = counting.min(self.ready);
        let others = (self.ready - counting).saturating_add(self.starting);
        PodTally::alike(counting, others, usage, request)
    }
}

fn per_pod(metric: &Metric, tally: PodTally, calculator: &Calculator<'_>) -> Result<Proposal, MetricError> {
    if tally.ready == 0 {
        return Err(MetricError::NoMetricsForReadyPods);
    }
    calculator.tallied(&tally, metric.target_value().ok_or(MetricError::NoTarget)?)
}

impl ScaledObject for SimulatedObject<'_> {
    fn scale(&self) -> Option<Scale> {
        Some(self.scale)
    }

    fn propose(&self, _: usize, metric: &Metric, calculator: &Calculator<'_>) -> Result<Proposal, MetricError> {
        match &metric.source {
            MetricKind::Resource { resource } | MetricKind::ContainerResource { resource, .. } if resource == "cpu" => {
                let reading = self.reading.ok_or(MetricError::FetchFailed)?;
                let usage = milli(reading.utilization * self.cpu_request as f64 / 1000.0);
                per_pod(metric, self.tally(self.settled, usage, self.cpu_request), calculator)
            }
            MetricKind::Resource { .. } | MetricKind::ContainerResource { .. } => {
                let sample = self.recorded.ok_or(MetricError::FetchFailed)?;
                let percent = self.memory.percent(sample, self.ready).ok_or(MetricError::FetchFailed)?;
                let usage = milli(percent / 100_000.0 * self.memory_request as f64);
                per_pod(metric, self.tally(self.ready, usage, self.memory_request), calculator)
            }
            MetricKind::Pods { name } => {
                let (value, is_sum) = self.value(name)?;
                let each = if is_sum { value / i64::from(self.ready.max(1)) } else { value };
                per_pod(metric, self.tally(self.ready, each, 0), calculator)
            }
            MetricKind::Object { name } | MetricKind::External { name } => {
                let target = metric.target_value().ok_or(MetricError::NoTarget)?;
                let ready = (self.ready + self.starting > 0).then_some(self.ready as usize);
                calculator.total(self.value(name)?.0, target, ready)
            }
            MetricKind::Unknown => Err(MetricError::UnknownMetricType),
        }
    }

    fn write_scale(&mut self, _: i32) -> bool {
        true
    }
}
