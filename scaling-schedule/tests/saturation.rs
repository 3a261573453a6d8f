//! The predictive engine in a closed loop whose pods become slow, measured by request rate and CPU alone.
#![allow(clippy::unwrap_used, missing_docs)]

use scaling_core::chrono::{DateTime, TimeDelta};
use scaling_core::{MetricsHistory, Observation, ScalingMetrics, SignalKind};
use scaling_schedule::{PredictiveConfig, PredictiveEngine};

const HOUR: u32 = 3600;
/// Ten hours of peace come first.
const BEGIN: u32 = 10 * HOUR;

#[derive(Clone, Copy, PartialEq)]
enum Queue {
    NotMeasured,
    /// Requests that are not served wait for at most 10 s.
    Measured,
    /// Measured where nothing waits.
    Blind,
}

/// A workload as a function of the seconds since the pods begin to change.
struct Loop<D, C> {
    demand: D,
    /// Of one pod, in requests per second.
    capacity: C,
    declared: Option<f64>,
    hours: u32,
    queue: Queue,
    /// Relative error of CPU measurements.
    scatter: f64,
}

#[derive(Debug, Default)]
struct Ran {
    served: f64,
    asked: f64,
    pods_at_end: u32,
    most_pods: u32,
}

impl Ran {
    fn share(&self) -> f64 {
        self.served / self.asked
    }
}

impl<D: Fn(i64) -> f64, C: Fn(i64) -> f64> Loop<D, C> {
    /// Ready pods follow the decision after a minute, at once when it is smaller. Each sample is of one quarter of a minute, so
    /// that capacity is seen without delay and pods are too few for as long as the engine takes.
    fn run(&self) -> Ran {
        let engine = PredictiveEngine::new(PredictiveConfig::default()).unwrap();
        let mut history = MetricsHistory::new();
        let (mut ready, mut desired) = (10_u32, 10_u32);
        let mut starting: Vec<(u32, u32)> = Vec::new();
        let (mut ran, mut queue) = (Ran::default(), 0.0_f64);
        for second in (0..BEGIN + self.hours * HOUR).step_by(15) {
            if let Some((_, pods)) = starting.iter().rfind(|(at, _)| *at <= second) {
                ready = *pods;
            }
            starting.retain(|(at, _)| *at > second);
            let since = i64::from(second) - i64::from(BEGIN);
            let total = (self.capacity)(since) * f64::from(ready);
            let waiting = if self.queue == Queue::Measured { queue / 15.0 } else { 0.0 };
            let rate = ((self.demand)(since) + waiting).min(total);
            queue = (queue + ((self.demand)(since) - rate) * 15.0).clamp(0.0, 10.0 * total);
            let noise = (f64::from(second) * 12.9898).sin() * (f64::from(second) * 78.233).cos();
            let cpu = 100.0 * rate / total * (1.0 + self.scatter * noise);
            let at = DateTime::from_timestamp(1_700_006_400, 0).unwrap() + TimeDelta::seconds(i64::from(second));
            let mut sample = ScalingMetrics::new(at, ready)
                .with(SignalKind::RequestRate, rate)
                .with(SignalKind::CpuUtilization, cpu);
            match self.queue {
                Queue::NotMeasured => {}
                Queue::Measured => sample.set(SignalKind::QueueDepth, scaling_core::Signal::Present(queue)),
                Queue::Blind => sample.set(SignalKind::QueueDepth, scaling_core::Signal::Present(0.0)),
            }
            sample.desired_pod_count = Some(desired);
            if since >= -60 {
                let mut observation = Observation::new(scaling_core::Target::deployment("shop", "web"), sample.clone())
                    .with_history(history.clone());
                observation.facts.pod_capacity = self.declared;
                let decision = engine.evaluate(&observation).unwrap();
                if decision.desired_replicas < ready {
                    ready = decision.desired_replicas;
                    starting.clear();
                } else if decision.desired_replicas != desired {
                    starting.push((second + 60, decision.desired_replicas));
                }
                desired = decision.desired_replicas;
            }
            if since >= 0 {
                ran.served += rate;
                ran.asked += (self.demand)(since);
                ran.most_pods = ran.most_pods.max(ready);
            }
            history.push(&sample).unwrap();
        }
        Ran { pods_at_end: ready, ..ran }
    }
}

#[test]
fn pods_that_become_twice_as_slow_are_doubled() {
    for declared in [Some(50.0), None] {
        for scatter in [0.0, 0.02] {
            let capacity = |since| if since < 0 { 50.0 } else { 25.0 };
            let ran =
                Loop { demand: |_| 300.0, capacity, declared, hours: 2, queue: Queue::NotMeasured, scatter }.run();
            assert!(ran.share() >= 0.97, "{declared:?} {scatter}: {ran:?}");
            // Full to nine tenths, and a size is lowered only by 15 % or more.
            assert!((12..=16).contains(&ran.pods_at_end), "{declared:?} {scatter}: 12 pods carry it, {ran:?}");
            assert!(ran.most_pods <= 18, "{declared:?} {scatter}: {ran:?}");
        }
    }
}

#[test]
fn pods_that_become_slower_by_and_by_and_recover_later_are_followed_both_ways() {
    for declared in [Some(50.0), None] {
        // Slower by 30 % within an hour, for two hours, then back within an hour.
        let capacity = |since: i64| {
            let hours = since as f64 / 3600.0;
            50.0 - 15.0 * hours.clamp(0.0, 1.0) + 15.0 * (hours - 3.0).clamp(0.0, 1.0)
        };
        let ran =
            Loop { demand: |_| 300.0, capacity, declared, hours: 6, queue: Queue::NotMeasured, scatter: 0.01 }.run();
        assert!(ran.share() >= 0.98, "{declared:?}: {ran:?}");
        // A capacity that has to be learnt is a low quantile of that of the last week.
        let most = if declared.is_some() { 8 } else { 10 };
        assert!((6..=most).contains(&ran.pods_at_end), "{declared:?}: 6 pods carry it again, {ran:?}");
    }
}

#[test]
fn demand_that_outgrows_pods_of_the_usual_speed_is_caught_up_with() {
    for declared in [Some(50.0), None] {
        let demand = |since: i64| if since < 0 { 300.0 } else { 1500.0 };
        let ran =
            Loop { demand, capacity: |_| 50.0, declared, hours: 2, queue: Queue::NotMeasured, scatter: 0.0 }.run();
        assert!(ran.share() >= 0.92, "{declared:?}: {ran:?}");
        assert!((30..=40).contains(&ran.pods_at_end), "{declared:?}: 30 pods carry it, {ran:?}");
    }
}

#[test]
fn where_a_queue_is_measured_slow_pods_are_believed_too() {
    let capacity = |since| if since < 0 { 50.0 } else { 25.0 };
    let ran =
        Loop { demand: |_| 300.0, capacity, declared: Some(50.0), hours: 2, queue: Queue::Measured, scatter: 0.0 }
            .run();
    assert!(ran.share() >= 0.97, "{ran:?}");
    assert!((12..=14).contains(&ran.pods_at_end), "{ran:?}");
}

#[test]
fn a_queue_that_sees_nothing_does_not_hold_full_pods_back() {
    for declared in [Some(50.0), None] {
        let capacity = |since| if since < 0 { 50.0 } else { 25.0 };
        let ran = Loop { demand: |_| 300.0, capacity, declared, hours: 2, queue: Queue::Blind, scatter: 0.01 }.run();
        assert!(ran.share() >= 0.97, "{declared:?}: {ran:?}");
        assert!((12..=16).contains(&ran.pods_at_end), "{declared:?}: {ran:?}");
    }
}

#[test]
fn full_pods_without_a_request_rate_are_too_few() {
    let sample = |second: i64, rate: f64| {
        let at = DateTime::from_timestamp(1_700_006_400 + second, 0).unwrap();
        ScalingMetrics::new(at, 10).with(SignalKind::RequestRate, rate).with(SignalKind::CpuUtilization, 100.0)
    };
    let history = MetricsHistory::from_unordered((0..8).map(|step| sample(step * 15, f64::NAN)).collect()).0;
    let observation =
        Observation::new(scaling_core::Target::deployment("shop", "web"), sample(120, f64::NAN)).with_history(history);
    let engine = PredictiveEngine::new(PredictiveConfig::default()).unwrap();
    assert_eq!(engine.evaluate(&observation).unwrap().desired_replicas, 15);
}
