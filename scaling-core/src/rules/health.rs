//! The state of the service (full pods, errors, slowness, queue) and its urgency.

use super::RuleConfig;
use super::samples::{Buffer, Sample, Samples};
use crate::decision::Urgency;

/// State of the service now, compared with its own good times. Absent numbers are NaN.
#[derive(Clone, Copy, Debug)]
pub struct Health {
    /// Usual response time in ms: the 2 % quantile of the history, current sample included.
    pub usual_ms: f64,
    /// Present response time over the usual one.
    pub slowdown: f64,
    /// Failed requests, percent.
    pub error_percent: f64,
    /// Time that the queue takes at the present request rate, in seconds.
    pub queue_seconds: f64,
    /// Queue now over queue in the first third of the history.
    pub queue_growth: f64,
    /// Highest CPU utilization of the last two metrics windows, percent. An older sample says nothing about now.
    pub cpu_peak: f64,
    /// Highest memory utilization of the last two metrics windows, percent.
    pub memory_peak: f64,
    /// True while pods are full: demand is unknown upward.
    pub saturated: bool,
    /// Urgency from all of it.
    pub urgency: Urgency,
    queue_measured: bool,
}

impl Health {
    /// The signs but for full pods, which take the capacity of a pod to judge: [`full`](Self::full).
    pub(super) fn new(samples: &Samples<'_>, early_queue: f64) -> Self {
        let now = samples.current();
        let usual_ms = usual_response(samples);
        let (mut cpu_peak, mut memory_peak) = (f64::NAN, f64::NAN);
        for sample in samples.recent(samples.steady_ms, 0) {
            cpu_peak = f64::max(cpu_peak, sample.cpu);
            memory_peak = f64::max(memory_peak, sample.memory);
        }
        Self {
            usual_ms,
            slowdown: now.response_ms / usual_ms,
            error_percent: now.errors,
            // NaN where either is absent; a queue that nothing drains lasts for ever.
            queue_seconds: now.queue / now.rate,
            // NaN without an early queue: one sample has not grown.
            queue_growth: if early_queue.is_nan() { f64::NAN } else { now.queue / early_queue.max(1.0) },
            cpu_peak,
            memory_peak,
            saturated: false,
            urgency: Urgency::Normal,
            queue_measured: !now.queue.is_nan(),
        }
    }

    /// Adds the judgement on full pods, and the urgency from all signs.
    pub(super) fn full(mut self, saturated: bool, config: &RuleConfig) -> Self {
        self.saturated = saturated;
        self.urgency = self.urgency(config);
        self
    }

    fn urgency(&self, config: &RuleConfig) -> Urgency {
        let severe = [
            self.saturated,
            self.slowdown >= config.severe_slowdown,
            self.error_percent >= config.severe_error_percent,
            self.queue_seconds >= config.severe_queue_seconds,
        ];
        let severe = severe.into_iter().filter(|sign| *sign).count();
        if self.error_percent >= config.critical_error_percent || severe >= 2 {
            Urgency::Critical
        } else if severe == 1
            || self.error_percent >= config.high_error_percent
            || self.queue_growth >= config.high_queue_growth
        {
            Urgency::High
        } else {
            Urgency::Normal
        }
    }

    /// True if requests are answered in time and without errors, as far as that is measured.
    pub(super) fn serves_well(&self, config: &RuleConfig) -> bool {
        !(self.error_percent > config.healthy_error_percent
            || self.slowdown > config.healthy_slowdown
            || self.queue_seconds >= config.severe_queue_seconds)
    }

    /// True if users get what they should: the only state from which a workload may shrink. CPU that nothing explains does not
    /// make it grow, but it does keep it from shrinking.
    pub(super) fn is_good(&self, config: &RuleConfig) -> bool {
        !config.is_full(self.cpu_peak, self.queue_measured) && self.serves_well(config)
    }
}

/// True for a past sample that was healthy. A signal that was not measured is not held against it.
pub(super) fn was_healthy(sample: &Sample, usual_ms: f64, config: &RuleConfig) -> bool {
    !(config.is_full(sample.cpu, !sample.queue.is_nan())
        || sample.errors > config.healthy_error_percent
        || sample.response_ms > config.healthy_slowdown * usual_ms
        || sample.queue > config.severe_queue_seconds * sample.rate)
}

fn usual_response(samples: &Samples<'_>) -> f64 {
    let now = samples.current().response_ms;
    if now.is_nan() || samples.history_len() == 0 {
        return now;
    }
    let mut times = Buffer::new();
    for ms in samples.response_times().filter(|ms| *ms > 0.0) {
        times.push(ms);
    }
    times.quantile(0.02)
}
