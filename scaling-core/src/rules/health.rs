//! How the service is doing: saturation, errors, slowness, queue; and how urgent that is.

use super::RuleConfig;
use super::samples::{Buffer, Sample, Samples};
use crate::Urgency;

/// How the service is doing now, compared with its own good times. Absent numbers are NaN.
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
    /// Highest CPU utilization of the last three samples, percent.
    pub cpu_peak: f64,
    /// Highest memory utilization of the last three samples, percent.
    pub memory_peak: f64,
    /// Whether pods are full: demand is unknown upward.
    pub saturated: bool,
    /// Urgency from all of it.
    pub urgency: Urgency,
}

impl Health {
    pub(super) fn new(samples: &Samples<'_>, config: &RuleConfig, early_queue: f64) -> Self {
        let now = samples.current();
        let usual_ms = usual_response(samples);
        let (mut cpu_peak, mut memory_peak) = (f64::NAN, f64::NAN);
        for sample in samples.recent(0, 3) {
            cpu_peak = f64::max(cpu_peak, sample.cpu);
            memory_peak = f64::max(memory_peak, sample.memory);
        }
        let mut health = Self {
            usual_ms,
            slowdown: now.response_ms / usual_ms,
            error_percent: now.errors,
            // NaN where either is absent; a queue that nothing drains lasts for ever.
            queue_seconds: now.queue / now.rate,
            // NaN without an early queue: one sample has not grown.
            queue_growth: if early_queue.is_nan() { f64::NAN } else { now.queue / early_queue.max(1.0) },
            cpu_peak,
            memory_peak,
            saturated: cpu_peak >= config.saturation_cpu_percent,
            urgency: Urgency::Normal,
        };
        health.urgency = health.urgency(config);
        health
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

    /// Whether users get what they should: the only state from which a workload may shrink.
    pub(super) fn is_good(&self, config: &RuleConfig) -> bool {
        !(self.saturated
            || self.error_percent > config.healthy_error_percent
            || self.slowdown > config.healthy_slowdown
            || self.queue_seconds >= config.severe_queue_seconds)
    }
}

/// Whether a past sample was healthy. What was not measured is not held against it.
pub(super) fn was_healthy(sample: &Sample, usual_ms: f64, config: &RuleConfig) -> bool {
    !(sample.cpu >= config.saturation_cpu_percent
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
