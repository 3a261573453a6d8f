//! [`Reading`]: the newest measurement of a simulated cluster.

use chrono::{DateTime, Utc};

use super::{Cluster, StepSeen, World};
use crate::backtest::{ClusterModel, Trace};
use crate::rules::memory::fit;
use crate::{MetricsHistory, ScalingMetrics, SignalKind};

/// Newest measurement: means over a window that ended some time ago.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// Steps at which the window ended and began.
    pub(super) end: usize,
    pub(super) begin: usize,
    /// Share of the pods' capacity that was used.
    pub(super) utilization: f64,
    /// Requests per second, where demand is in requests: arrived or, if the model says so, served.
    pub(super) rate: Option<f64>,
    /// Waiting requests, where demand is in requests.
    pub(super) backlog: Option<f64>,
    /// Share of requests that were dropped.
    dropped: f64,
    /// Seconds waited.
    wait_s: f64,
}

impl Reading {
    /// Measures at a step; none before the first measurement, and in a gap.
    pub(super) fn at(cluster: &Cluster, world: &World, now: usize) -> Option<Self> {
        let periods = cluster.periods;
        let end = now.checked_sub(periods.lag)? / periods.scrape * periods.scrape;
        let begin = end.saturating_sub(periods.window);
        let window = world.seen.get(begin..end)?;
        if window.last()?.arrived.is_nan() {
            return None;
        }
        let steps = || window.iter().filter(|step| !step.arrived.is_nan());
        let mut number = 0.0;
        let (mut arrived, mut utilization, mut backlog, mut dropped, mut wait_s) = (0.0, 0.0, 0.0, 0.0, 0.0);
        let mut served = 0.0;
        for step in steps() {
            number += 1.0;
            arrived += step.arrived;
            utilization += step.utilization;
            // Without pods a step counts as fully used, and serves nothing.
            served += step.utilization * f64::from(step.ready) * cluster.model.pod_capacity;
            backlog += step.backlog;
            dropped += step.dropped;
            wait_s += wait(step, &cluster.model);
        }
        let known = |value: f64| cluster.rate_is_known().then_some(value);
        Some(Self {
            end,
            begin,
            utilization: utilization / number,
            rate: known(if cluster.model.rate_as_served {
                served / number
            } else {
                arrived / (number * periods.step_s)
            }),
            backlog: known(backlog / number),
            dropped: if arrived > 0.0 { (dropped / arrived).min(1.0) } else { 0.0 },
            wait_s: wait_s / number,
        })
    }

    /// Converts into the form in which a source reports, with the signals that the model measures. The pod counts are those of now.
    pub(super) fn metrics(&self, cluster: &Cluster, world: &mut World, now: usize) -> ScalingMetrics {
        let at = cluster.arrivals.instant(cluster.first_step + self.end);
        let ready = world.pods.ready(now);
        let mut metrics = ScalingMetrics::new(at, ready);
        metrics.desired_pod_count = Some(world.desired);
        let recorded = cluster.trace.recorded_at(at);
        for kind in SignalKind::ALL.into_iter().filter(|kind| cluster.model.measures(*kind)) {
            if kind == SignalKind::ActiveConnections {
                if let Some(sample) = recorded {
                    metrics.set(kind, sample.signal(kind));
                }
            } else if let Some(value) = self.signal(kind, recorded, cluster.memory, ready, &cluster.model) {
                metrics.set(kind, kind.check(value));
            }
        }
        metrics
    }

    /// Returns the value of a signal, where there is one.
    pub(super) fn signal(
        &self,
        kind: SignalKind,
        recorded: Option<&ScalingMetrics>,
        memory: Memory,
        ready: u32,
        model: &ClusterModel,
    ) -> Option<f64> {
        match kind {
            SignalKind::CpuUtilization => Some(100.0 * self.utilization),
            SignalKind::MemoryUtilization => memory.percent(recorded?, ready),
            SignalKind::RequestRate => self.rate,
            SignalKind::ResponseTime => {
                let recorded_ms = recorded.and_then(|sample| sample.value(kind));
                let service_ms = recorded_ms.unwrap_or(model.service_time.as_secs_f64() * 1000.0);
                Some(service_ms + 1000.0 * self.wait_s)
            }
            SignalKind::ErrorRate => Some(100.0 * self.dropped),
            SignalKind::QueueDepth => self.backlog,
            SignalKind::ActiveConnections => recorded?.value(kind),
        }
    }
}

/// Memory of the simulated pods: the part that load brings, learnt from the past, moves with the load of a pod, the rest
/// stays. Where that cannot be told, all of it follows load, the worse case for a shrink.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    slope: Option<f64>,
}

impl Memory {
    /// From the time before the replay: what comes later must not show in it. A replay from the start has no such time, and the
    /// whole recording tells how its pods behave.
    pub(super) fn of(trace: &Trace, start: DateTime<Utc>) -> Self {
        let before = trace.history_until(start);
        let known = if before.is_empty() { trace.history_until(trace.span().1) } else { before };
        let (history, _) = MetricsHistory::from_unordered(known);
        let past = history.before(i64::MAX);
        let of = |kind| past.column(kind).iter().copied();
        let loads = past.pods().iter().zip(of(SignalKind::RequestRate)).zip(of(SignalKind::CpuUtilization));
        let loads = loads.map(|((pods, rate), cpu)| if rate.is_nan() { cpu } else { rate / pods });
        Self { slope: fit(loads.zip(of(SignalKind::MemoryUtilization))).map(|line| line.slope.max(0.0)) }
    }

    pub(super) fn percent(self, sample: &ScalingMetrics, ready: u32) -> Option<f64> {
        let recorded = sample.value(SignalKind::MemoryUtilization)?;
        let spread = f64::from(sample.current_pod_count?) / f64::from(ready.max(1));
        let part = match self.slope.zip(load_per_pod(sample)) {
            Some((slope, load)) => (slope * load).min(recorded),
            None => recorded,
        };
        Some((recorded - part + part * spread).min(100.0))
    }
}

/// Load of a recorded pod: requests or, without, CPU.
fn load_per_pod(sample: &ScalingMetrics) -> Option<f64> {
    let pods = f64::from(sample.current_pod_count.filter(|pods| *pods > 0)?);
    match sample.value(SignalKind::RequestRate) {
        Some(rate) => Some(rate / pods),
        None => sample.value(SignalKind::CpuUtilization),
    }
}

/// Returns the mean wait of the requests of a step, in seconds; where no pod serves, the time until they give up.
pub(in crate::backtest) fn wait(step: &StepSeen, model: &ClusterModel) -> f64 {
    let capacity = f64::from(step.ready) * model.pod_capacity;
    if capacity > 0.0 {
        step.backlog / capacity
    } else if step.arrived > 0.0 {
        model.patience.as_secs_f64()
    } else {
        0.0
    }
}
