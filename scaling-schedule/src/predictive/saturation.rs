//! Full pods: pods that serve less than they are believed to, and a queue that does not see what waits.
//!
//! Pods that are full serve as much as they can, whatever is asked of them, so the request rate is censored: demand is at least
//! that, and unknown upward. The rules ask for more of them where no queue is measured, and go by the queue where one is. Two
//! things are left. A measured queue can stay empty while requests wait elsewhere: [`BlindQueue`] asks for more pods once they have
//! been full for minutes. And full pods show what a pod serves: [`Pace`] follows that, so that a capacity which was declared or
//! learnt before does not hold back a service whose pods have become slower.
//!
//! Pods count as full by time, not by number of samples: CPU has to be full, with the same ready pods, over a whole window of the
//! metrics. Shorter, the means still hold the time before, and new pods have not had time to serve.

use scaling_core::rules::{Assessment, Need, Rule};
use serde::{Deserialize, Serialize};

use scaling_core::{NeedDriver, Observation, Reason, SignalKind, Urgency, WorkloadFacts};

use super::workload::declared_capacity;

/// CPU utilization, in percent of its limit, from which pods are full: a mean over a window is hardly ever exactly 100.
const FULL_PERCENT: f64 = 98.0;
/// Pods that were full are so until utilization is below this: measurements scatter by a few percent.
const NOT_FULL_PERCENT: f64 = 95.0;
/// Windows of the metrics over which pods must have been full while a measured queue stays empty: five minutes by default. Pods
/// that are just enough are full with an empty queue, too, but not for long.
const WINDOWS_WITH_QUEUE: i64 = 5;
/// Samples looked back at for how long pods have been full: a quarter of an hour at 15 s.
const LOOK_BACK: usize = 64;
/// Demand before pods became full is believed up to this multiple of what they serve now, so that pods that stopped serving for
/// another reason do not call for a hundredfold.
const REMEMBERED_AT_MOST: f64 = 2.0;

/// A pod is slow if it serves less than this share of what it is believed to. Measured capacity scatters by some percent.
const SLOW_SHARE: f64 = 0.9;
/// CPU utilization from which load over utilization is a good measure of capacity. Below it, the part of CPU that load does not
/// cause makes capacity look smaller than it is: with a tenth of CPU at rest, by 5 % here and by 11 % at half utilization.
const HEAVY_PERCENT: f64 = 70.0;
/// CPU utilization below which load over utilization says nothing.
const LIGHT_PERCENT: f64 = 20.0;
/// Time constant, in ms, with which the pace of slow pods follows measurements: two minutes, two usual windows.
const SLOW_MS: f64 = 120_000.0;
/// Time constant, in ms, with which the usual pace does: a day, as a fault of some hours must not become the usual.
const USUAL_MS: f64 = 86_400_000.0;

/// CPU utilization, in percent of the request, at which a pod is full: 98 % of its limit, or of the request where no higher
/// limit is known.
fn full_percent(facts: &WorkloadFacts) -> f64 {
    let limit = facts.cpu_limit_millicores.zip(facts.cpu_request_millicores).filter(|(_, request)| *request > 0);
    FULL_PERCENT * limit.map_or(1.0, |(limit, request)| (limit as f64 / request as f64).max(1.0))
}

fn window_ms(facts: &WorkloadFacts) -> i64 {
    i64::try_from(facts.metrics_window.as_millis()).unwrap_or(i64::MAX)
}

/// The rule that full pods are too few though the measured queue is empty, once they have been full for
/// [`WINDOWS_WITH_QUEUE`]: [`overload_growth`] times as many are needed, or as many as the load needs that came just before, if that
/// is more.
///
/// [`overload_growth`]: scaling_core::RuleConfig::overload_growth
#[derive(Clone, Copy, Debug)]
pub(super) struct BlindQueue;

impl Rule for BlindQueue {
    fn name(&self) -> &'static str {
        "blind_queue"
    }

    fn evaluate(&self, assessment: &Assessment<'_>) -> Option<Need> {
        if assessment.memory_bound {
            return None;
        }
        let before = full_with_empty_queue(assessment.observation)?;
        let growth = assessment.config.overload_growth;
        let growth = growth.max(before.min(REMEMBERED_AT_MOST));
        let replicas = assessment.pods * growth;
        let reason = Reason::Need { driver: NeedDriver::Overload, replicas };
        Some(Need { urgency: Urgency::High, ..Need::pods(replicas, reason) })
    }
}

/// If the pods that are ready now have been full for [`WINDOWS_WITH_QUEUE`] with a measured queue that stayed empty: the load just
/// before they became full over the load now; 0 where that is not known.
fn full_with_empty_queue(observation: &Observation) -> Option<f64> {
    let now = &observation.current;
    let empty = now.value(SignalKind::QueueDepth)? <= 0.0;
    let pods = f64::from(now.current_pod_count.filter(|pods| empty && *pods > 0)?);
    let enter = full_percent(&observation.facts);
    let leave = enter * NOT_FULL_PERCENT / FULL_PERCENT;
    let mut highest = now.value(SignalKind::CpuUtilization).filter(|cpu| *cpu >= leave)?;
    let rate = now.value(SignalKind::RequestRate).unwrap_or(f64::NAN);

    let now_ms = now.timestamp.timestamp_millis();
    let before = observation.history.before(now_ms);
    let [cpu, rates, queue] = [SignalKind::CpuUtilization, SignalKind::RequestRate, SignalKind::QueueDepth]
        .map(|kind| before.column(kind).iter().rev());
    let (mut same, mut since_ms) = (true, now_ms);
    let mut remembered = 0.0;
    let samples = before.times().iter().zip(before.pods()).rev().zip(cpu).zip(rates).zip(queue);
    for ((((at_ms, ready), cpu), earlier), queue) in samples.take(LOOK_BACK) {
        if *queue > 0.0 {
            return None;
        }
        // Also where it was not measured: NaN.
        if cpu.total_cmp(&leave).is_lt() || cpu.is_nan() {
            // NaN where either is not known: 0 then.
            remembered = f64::max(earlier / rate, 0.0);
            break;
        }
        same &= (ready - pods).abs() < 0.5;
        if same {
            since_ms = *at_ms;
            highest = highest.max(*cpu);
        }
    }
    let least_ms = window_ms(&observation.facts).saturating_mul(WINDOWS_WITH_QUEUE);
    (now_ms.saturating_sub(since_ms) >= least_ms && highest >= enter).then_some(remembered)
}

/// Load that a pod serves at full utilization, in requests per second, followed over time.
///
/// Found slow only by full pods, which are beyond doubt. From then on load over utilization tells when they have recovered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Pace {
    /// Of pods that were not slow. Followed only where no capacity is declared.
    usual: Option<f64>,
    slow: Option<f64>,
    pods: f64,
    /// Since when there are so many, in ms.
    same_since_ms: i64,
    full_since_ms: Option<i64>,
    newest_ms: Option<i64>,
}

impl Pace {
    /// Load that a pod serves, if that is less than it is believed to.
    pub(super) fn slow(&self) -> Option<f64> {
        self.slow
    }

    /// Follows a sample; NaN for what was not measured.
    pub(super) fn see(&mut self, at_ms: i64, pods: f64, rate: f64, cpu: f64, facts: &WorkloadFacts) {
        // False also where one is not measured.
        if !(pods >= 1.0 && rate > 0.0 && cpu > 0.0) {
            return;
        }
        let judge = Judge::of(facts);
        if (pods - self.pods).abs() >= 0.5 || self.newest_ms.is_none() {
            (self.pods, self.same_since_ms) = (pods, at_ms);
        }
        let passed_ms = self.newest_ms.map_or(0, |newest| at_ms.saturating_sub(newest)) as f64;
        self.newest_ms = Some(at_ms);
        let still = if self.full_since_ms.is_some() { judge.leave } else { judge.enter };
        self.full_since_ms = (cpu >= still).then(|| self.full_since_ms.unwrap_or(at_ms));
        if at_ms.saturating_sub(self.same_since_ms) < judge.window_ms {
            return;
        }

        let pace = rate / pods / cpu * judge.full;
        let full = self.full_since_ms.is_some_and(|since| at_ms.saturating_sub(since) >= judge.window_ms);
        let heavy = cpu >= HEAVY_PERCENT / 100.0 * judge.full;
        match self.slow {
            // At once: everything waits for it.
            _ if full => self.slow = Some(pace),
            Some(slow) if heavy || (pace > slow && cpu >= LIGHT_PERCENT / 100.0 * judge.full) => {
                self.slow = Some(slow + (pace - slow) * (passed_ms / SLOW_MS).min(1.0));
            }
            _ => {}
        }
        let believed = judge.declared.or(self.usual);
        if believed.is_none_or(|believed| self.slow.is_some_and(|slow| slow >= SLOW_SHARE * believed)) {
            self.slow = None;
        }
        if heavy {
            self.usual =
                Some(self.usual.map_or(pace, |usual| usual + (pace - usual) * (passed_ms / USUAL_MS).min(1.0)));
        }
    }
}

/// By what the pace of pods is judged.
#[derive(Clone, Copy, Debug)]
struct Judge {
    declared: Option<f64>,
    window_ms: i64,
    enter: f64,
    leave: f64,
    /// CPU utilization, in percent of the request, of a pod at its limit.
    full: f64,
}

impl Judge {
    fn of(facts: &WorkloadFacts) -> Self {
        let enter = full_percent(facts);
        Self {
            declared: declared_capacity(facts),
            window_ms: window_ms(facts),
            enter,
            leave: enter * NOT_FULL_PERCENT / FULL_PERCENT,
            full: enter * 100.0 / FULL_PERCENT,
        }
    }
}
