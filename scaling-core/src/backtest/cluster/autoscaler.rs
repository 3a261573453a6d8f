//! [`SimulatedObject`]: the simulated workload as the HPA's controller sees it.

use super::reading::{Memory, Reading};
use super::{Cluster, World};
use crate::backtest::{ClusterModel, Trace};
use crate::baseline::{milli, signal};
use crate::hpa::{Calculator, Hpa, Metric, MetricError, MetricKind, PodTally, Proposal, Scale, ScaledObject};
use crate::{ScalingMetrics, SignalKind};

/// Request of a pod where the facts state none, in millicores or millibytes: utilization is a share of it.
const REQUEST: u64 = 1000;

/// Returns the first metric that this cluster has no value for.
pub(super) fn unknown_metric(hpa: &Hpa, trace: &Trace, model: &ClusterModel) -> Option<String> {
    let recorded = |kind| model.measures(kind) && trace.has_recorded(kind);
    hpa.metrics.iter().find_map(|metric| {
        let (name, known) = match &metric.source {
            MetricKind::Resource { resource } | MetricKind::ContainerResource { resource, .. } => {
                let known = match resource.as_str() {
                    "cpu" => model.measures(SignalKind::CpuUtilization),
                    "memory" => recorded(SignalKind::MemoryUtilization),
                    _ => false,
                };
                (resource, known)
            }
            MetricKind::Pods { name } | MetricKind::Object { name } | MetricKind::External { name } => {
                let known = |kind| match kind {
                    SignalKind::ActiveConnections => recorded(kind),
                    kind => model.measures(kind),
                };
                (name, signal(name).is_some_and(known))
            }
            MetricKind::Unknown => return Some(String::new()),
        };
        (!known).then(|| name.clone())
    })
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
    cpu_request: u64,
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
            cpu_request: cluster.facts.cpu_request_millicores.unwrap_or(REQUEST).max(1),
        }
    }

    /// Returns a metric of the workload as a whole, in thousandths.
    fn total(&self, name: &str) -> Result<i64, MetricError> {
        let reading = self.reading.ok_or(MetricError::FetchFailed)?;
        let value = match signal(name) {
            Some(SignalKind::RequestRate) => reading.rate,
            Some(SignalKind::QueueDepth) => reading.backlog,
            Some(kind) => self.recorded.and_then(|sample| sample.value(kind)),
            None => None,
        };
        value.map(milli).ok_or(MetricError::FetchFailed)
    }

    /// Sums up pods of which so many count, each using so much.
    fn tally(&self, counting: u32, usage: i64, request: u64) -> PodTally {
        let counting = counting.min(self.ready);
        let others = (self.ready - counting).saturating_add(self.starting);
        PodTally::alike(counting, others, usage, i64::try_from(request).unwrap_or(i64::MAX))
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
                let usage = milli(percent / 100_000.0 * REQUEST as f64);
                per_pod(metric, self.tally(self.ready, usage, REQUEST), calculator)
            }
            MetricKind::Pods { name } => {
                let each = self.total(name)? / i64::from(self.ready.max(1));
                per_pod(metric, self.tally(self.ready, each, 0), calculator)
            }
            MetricKind::Object { name } | MetricKind::External { name } => {
                let target = metric.target_value().ok_or(MetricError::NoTarget)?;
                let ready = (self.ready + self.starting > 0).then_some(self.ready as usize);
                calculator.total(self.total(name)?, target, ready)
            }
            MetricKind::Unknown => Err(MetricError::UnknownMetricType),
        }
    }

    fn write_scale(&mut self, _: i32) -> bool {
        true
    }
}
