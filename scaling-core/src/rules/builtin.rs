//! The rules that are there from the start, one struct each.

use super::assessment::{Assessment, millis};
use super::samples::Buffer;
use super::{Need, Rule};
use crate::decision::{NeedDriver, Reason, Timing, Urgency};
use crate::metrics::SignalKind;
use crate::resources::ResourceChange;

/// Load against what a pod carries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand;

impl Rule for Demand {
    fn name(&self) -> &'static str {
        "demand"
    }

    fn evaluate(&self, assessment: &Assessment<'_>) -> Option<Need> {
        let replicas = assessment.pods_for(assessment.demand);
        (!replicas.is_nan()).then(|| Need::pods(replicas, Reason::Need { driver: NeedDriver::Demand, replicas }))
    }
}

/// CPU utilization against its target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cpu;

impl Rule for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn evaluate(&self, assessment: &Assessment<'_>) -> Option<Need> {
        let replicas = assessment.cpu_need().max(assessment.expected_cpu_need());
        (!replicas.is_nan()).then(|| Need::pods(replicas, Reason::Need { driver: NeedDriver::Cpu, replicas }))
    }
}

/// Memory utilization: bigger pods where more would not help, more pods otherwise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory;

impl Rule for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    // The step is a small whole number of percent.
    #[allow(clippy::cast_possible_truncation)]
    fn evaluate(&self, assessment: &Assessment<'_>) -> Option<Need> {
        let config = assessment.config;
        if assessment.memory_bound {
            let mut recent = Buffer::new();
            for sample in assessment.samples.recent(millis(config.shrink_window), config.shrink_min_samples) {
                recent.push(sample.memory);
            }
            // Rather than the maximum, which is as much noise as need.
            let percent = recent.quantile(0.9);
            let wanted = (percent / config.memory_target_percent - 1.0) * 100.0;
            let steps = (wanted / config.memory_step_percent - 1e-9).ceil().max(1.0);
            let grown = steps * config.memory_step_percent;
            return Some(Need {
                replicas: f64::NAN,
                resources: Some(ResourceChange { cpu_percent: 0, memory_percent: grown.min(10_000.0) as i32 }),
                urgency: Urgency::High,
                timing: None,
                reason: Reason::MemoryPressure { percent, target_percent: percent / (1.0 + grown / 100.0) },
            });
        }
        let replicas = assessment.memory_need();
        (!replicas.is_nan()).then(|| Need::pods(replicas, Reason::Need { driver: NeedDriver::Memory, replicas }))
    }
}

/// Full pods or a failing service ask for more pods, whatever the capacity model says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Overload;

impl Rule for Overload {
    fn name(&self) -> &'static str {
        "overload"
    }

    fn evaluate(&self, assessment: &Assessment<'_>) -> Option<Need> {
        // Somebody asks, and nobody is there to be measured.
        let now = &assessment.observation.current;
        let asked = |kind| now.value(kind).is_some_and(|value| value > 0.0);
        let deserted = assessment.pods == 0.0
            && [SignalKind::RequestRate, SignalKind::ActiveConnections, SignalKind::QueueDepth].into_iter().any(asked);
        let failing = deserted || assessment.health.saturated || assessment.health.urgency == Urgency::Critical;
        (failing && !assessment.memory_bound).then(|| {
            // Only pods that have served for long enough to be seen in the metrics count: the others are the answer that was
            // given already. Where CPU says that pods have room, something else fails (a database, a bad release) and more pods
            // help once if at all: without this, an hour of errors makes 1.5 times the pods of it 20 times over.
            let has_room = assessment.health.cpu_peak < assessment.config.target_cpu_percent;
            let (served, _) =
                assessment.samples.pods_over(if has_room { millis(assessment.config.shrink_window) } else { 0 });
            // At least one pod, so that failing requests to no pod at all are heard.
            let replicas = (served * assessment.config.overload_growth).max(1.0);
            Need::pods(replicas, Reason::Need { driver: NeedDriver::Overload, replicas })
        })
    }
}

/// A steady rise is sized for its peak, with the headroom of a schedule.
#[derive(Clone, Copy, Debug)]
pub(super) struct SteadyTrend;

impl Rule for SteadyTrend {
    fn name(&self) -> &'static str {
        "trend"
    }

    fn evaluate(&self, assessment: &Assessment<'_>) -> Option<Need> {
        let trend = assessment
            .pattern
            .trend
            .filter(|_| assessment.health.urgency < Urgency::Critical && !assessment.memory_bound)?;
        let failed = (assessment.error_percent() / 100.0).max(0.0);
        let peak = trend.peak * (1.0 + failed) * assessment.config.schedule_headroom;
        let replicas = if assessment.load.is_some() {
            assessment.pods_for(peak)
        } else {
            assessment.pods_for_cpu(peak / assessment.pods, assessment.pods)
        };
        // A trend explains a growth that is needed; it does not cause one.
        let needed = f64::max(assessment.pods_for(assessment.demand), assessment.cpu_need());
        (needed > assessment.replicas).then(|| Need {
            timing: Some(Timing::Scheduled),
            ..Need::pods(replicas, Reason::Trend { growth: trend.growth, seconds: trend.seconds })
        })
    }
}

/// A declared event: its load is provided for from its lead until its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event;

impl Rule for Event {
    fn name(&self) -> &'static str {
        "event"
    }

    fn evaluate(&self, assessment: &Assessment<'_>) -> Option<Need> {
        let event = assessment.pattern.event?;
        let load = assessment.event_load();
        let replicas =
            if assessment.load.is_some() { assessment.pods_for(load) } else { load / (100.0 * assessment.target) };
        Some(Need {
            timing: Some(Timing::Event),
            ..Need::pods(replicas, Reason::Event { name: event.name().to_owned(), factor: event.factor() })
        })
    }
}
