//! The confidence of a decision, from the evidence behind it.
//!
//! Four shares: the part of the signals that is seen (coverage), the part of those that speaks for the action (agreement), the
//! length of the past (history), and the error of the capacity model (fit).
//!
//! Absence lowers the confidence of a shrink, never of a growth (law 2): a lost signal caps whatever does not grow at one half,
//! below the gate of 0.75, and for a growth it counts as one that agrees, so that a broken exporter of connections does not hold
//! back what CPU and errors ask for.

use super::assessment::Assessment;
use crate::decision::{CapacityModel, ScalingAction};
use crate::metrics::{SignalKind, SignalSet};

// The shares and weights were chosen, by trial, so that every right answer to the eight labelled scenarios stays above the gate of
// 0.75 with 5 % of noise, without any one signal and at other sizes, while a decision on CPU alone without a past stays below it.
const COVERAGE: f64 = 0.15;
const AGREEMENT: f64 = 0.35;
const HISTORY: f64 = 0.20;
const FIT: f64 = 0.30;
const CAP_WHEN_LOST: f64 = 0.5;

/// Weight of each signal; they add up to 1. Connections stand in for the request rate and count only then.
const WEIGHTS: [(SignalKind, f64); 6] = [
    (SignalKind::CpuUtilization, 0.3),
    (SignalKind::RequestRate, 0.25),
    (SignalKind::MemoryUtilization, 0.15),
    (SignalKind::ResponseTime, 0.1),
    (SignalKind::ErrorRate, 0.1),
    (SignalKind::QueueDepth, 0.1),
];

pub(super) fn confidence(assessment: &Assessment<'_>, action: ScalingAction, need: f64, lost: SignalSet) -> f64 {
    let grows = matches!(action, ScalingAction::ScaleUpHorizontal | ScalingAction::ScaleUpVertical);
    let (mut coverage, mut agreement) = (0.0, 0.0);
    for (kind, weight) in WEIGHTS {
        let unseen = (grows && lost.contains(kind)).then_some(1.0);
        if let Some(agrees) = agrees(assessment, kind, action, need).or(unseen) {
            coverage += weight;
            agreement += weight * agrees;
        }
    }
    agreement = if coverage > 0.0 { agreement / coverage } else { 0.0 };
    let seen = assessment.samples.history_len() as f64;
    let history = seen / (seen + 2.0);
    let fit = match assessment.capacity.model {
        CapacityModel::Declared => 1.0,
        CapacityModel::Learnt => {
            let number = assessment.capacity.samples as f64;
            (1.0 - assessment.capacity.spread).clamp(0.0, 1.0) * number / (number + 0.5)
        }
        // Seen over two metrics windows only, though without a gap.
        CapacityModel::Recent => 0.8,
        CapacityModel::HealthLimit => 0.6,
        // A ratio of CPU to its target needs no capacity, and is as good as it has been steady.
        CapacityModel::UtilizationRatio => 0.5 + 0.4 * history,
        CapacityModel::Unknown if assessment.cpu_percent().is_finite() => 0.5 + 0.4 * history,
        CapacityModel::Unknown => 0.0,
    };
    // Bigger pods do not rest on what a pod can carry.
    let fit = if action == ScalingAction::ScaleUpVertical { history } else { fit };
    let confidence = COVERAGE * coverage + AGREEMENT * agreement + HISTORY * history + FIT * fit;
    if grows || lost.is_empty() { confidence } else { confidence.min(CAP_WHEN_LOST) }
}

/// Weight of a present signal in favour of the action: 1 for it, 0 against it.
fn agrees(assessment: &Assessment<'_>, kind: SignalKind, action: ScalingAction, need: f64) -> Option<f64> {
    let now = assessment.samples.current();
    let health = &assessment.health;
    let config = assessment.config;
    let present = match kind {
        SignalKind::RequestRate => assessment.observed_load,
        SignalKind::ResponseTime => now.response_ms,
        SignalKind::CpuUtilization => now.cpu,
        SignalKind::MemoryUtilization => now.memory,
        SignalKind::ErrorRate => now.errors,
        SignalKind::QueueDepth | SignalKind::ActiveConnections => now.queue,
    };
    if present.is_nan() {
        return None;
    }
    let bad = match kind {
        SignalKind::CpuUtilization => now.cpu >= config.target_cpu_percent,
        SignalKind::MemoryUtilization => health.memory_peak >= config.memory_target_percent,
        SignalKind::RequestRate | SignalKind::ActiveConnections => need > assessment.replicas,
        SignalKind::ResponseTime => health.slowdown > config.healthy_slowdown,
        SignalKind::ErrorRate => now.errors > config.healthy_error_percent,
        SignalKind::QueueDepth => {
            health.queue_seconds >= config.severe_queue_seconds || health.queue_growth >= config.high_queue_growth
        }
    };
    Some(match action {
        ScalingAction::ScaleUpHorizontal if bad => 1.0,
        ScalingAction::ScaleUpHorizontal => 0.6,
        ScalingAction::ScaleUpVertical | ScalingAction::ScaleDownVertical => match kind {
            SignalKind::CpuUtilization | SignalKind::RequestRate => f64::from(u8::from(!bad)),
            _ if bad => 1.0,
            _ => 0.6,
        },
        ScalingAction::ScaleDownHorizontal | ScalingAction::Maintain if bad => 0.2,
        ScalingAction::ScaleDownHorizontal if kind == SignalKind::CpuUtilization => {
            if now.cpu < config.target_cpu_percent * config.shrink_below { 1.0 } else { 0.6 }
        }
        ScalingAction::ScaleDownHorizontal | ScalingAction::Maintain => 1.0,
    })
}
