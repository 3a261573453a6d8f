//! The rule engine over courses of metrics: lost signals, pods that are full, slow, missing or on their way, memory that load
//! does not bring.
#![allow(clippy::unwrap_used, clippy::float_cmp, missing_docs)]

use SignalKind::{
    ActiveConnections, CpuUtilization, ErrorRate, MemoryUtilization, QueueDepth, RequestRate, ResponseTime,
};
use chrono::{DateTime, TimeDelta, Utc};
use scaling_core::conformance::dataset::scenarios;
use scaling_core::conformance::engine::steady;
use scaling_core::source::parse::{self, Undated};
use scaling_core::{
    Absence, CapacityModel, MetricsHistory, Observation, PlannedEvent, Reason, RuleBasedEngine, RuleConfig,
    ScalingAction, ScalingDecision, ScalingMetrics, SignalKind, SignalSet, Urgency,
};

/// The confidence that the guards ask for by default.
const GATE: f64 = 0.75;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_006_400 + seconds, 0).unwrap()
}

fn metrics(seconds: i64, pods: u32) -> ScalingMetrics {
    ScalingMetrics::new(at(seconds), pods)
}

fn asked(mut metrics: ScalingMetrics, pods: u32) -> ScalingMetrics {
    metrics.desired_pod_count = Some(pods);
    metrics
}

fn rules() -> RuleBasedEngine {
    RuleBasedEngine::default()
}

fn tracking() -> RuleBasedEngine {
    RuleBasedEngine::new(RuleConfig::tracking()).unwrap()
}

/// The observation at `now`, after samples every `step` seconds from 0 on.
fn course(now: i64, step: i64, sample: impl Fn(i64) -> ScalingMetrics) -> Observation {
    let mut history = MetricsHistory::new();
    let mut seconds = 0;
    while seconds < now {
        history.push(&sample(seconds)).unwrap();
        seconds += step;
    }
    Observation::new(scaling_core::Target::deployment("shop", "web"), sample(now)).with_history(history)
}

fn decide(observation: &Observation) -> ScalingDecision {
    rules().evaluate(observation).unwrap()
}

fn texts(decision: &ScalingDecision) -> Vec<String> {
    decision.reasons.iter().map(ToString::to_string).collect()
}

// ---- absence and growth

/// Two calm hours; then the load doubles, pods are full and requests fail.
fn trouble(lost: Option<(SignalKind, Absence)>) -> Observation {
    course(7500, 15, |seconds| {
        let hot = seconds >= 7200;
        let pick = |calm: f64, hot_value: f64| if hot { hot_value } else { calm };
        let all = metrics(seconds, 4)
            .with(CpuUtilization, pick(50.0, 99.0))
            .with(MemoryUtilization, 40.0)
            .with(RequestRate, pick(200.0, 400.0))
            .with(ResponseTime, pick(50.0, 900.0))
            .with(ErrorRate, pick(0.0, 15.0))
            .with(QueueDepth, pick(0.0, 500.0))
            .with(ActiveConnections, 50.0);
        match lost {
            Some((kind, absence)) if hot => all.without(kind, absence),
            _ => all,
        }
    })
}

#[test]
fn law_2_absence_of_any_one_signal_never_blocks_a_growth_that_the_others_give_cause_for() {
    for declared in [None, Some(100.0)] {
        for kind in SignalKind::ALL {
            for absence in
                [Absence::NotMeasured, Absence::Partial { covered_percent: 95 }, Absence::Stale { age_s: 90 }]
            {
                let mut observation = trouble(Some((kind, absence)));
                observation.facts.pod_capacity = declared;
                let decision = decide(&observation);
                let confidence = decision.confidence.value();
                assert!(
                    decision.grows() && confidence >= GATE,
                    "{kind} {absence}: {confidence} {:?}",
                    texts(&decision)
                );
                assert_eq!(decision.urgency, Urgency::Critical);
                assert!(decision.reasons.contains(&Reason::SignalAbsent { signal: kind, absence }), "it is said");
            }
        }
    }
}

#[test]
fn law_2_a_lost_side_signal_does_not_lower_the_confidence_of_a_growth() {
    let before = decide(&trouble(None)).confidence.value();
    for kind in [MemoryUtilization, ResponseTime, ErrorRate, QueueDepth, ActiveConnections] {
        let after = decide(&trouble(Some((kind, Absence::NotFinite)))).confidence.value();
        assert!(after >= before, "{kind}: {after} after {before}");
    }
}

#[test]
fn the_right_answers_to_the_labelled_scenarios_pass_the_gate_and_cpu_alone_without_a_past_does_not() {
    let scenarios = scenarios(include_str!("../../test_data/metrics_dataset.json")).unwrap();
    let mut below = Vec::new();
    for scenario in scenarios {
        for variant in [scenario.clone(), scenario.clone().scaled(2), scenario.scaled(10)] {
            let decision = decide(&variant.observation().unwrap());
            if decision.confidence.value() < GATE {
                below.push((variant.name, decision.confidence, texts(&decision)));
            }
        }
    }
    assert!(below.is_empty(), "{below:#?}");
    let alone = decide(&Observation::new(
        scaling_core::Target::deployment("shop", "web"),
        metrics(0, 4).with(CpuUtilization, 80.0),
    ));
    assert!(alone.confidence.value() < GATE, "{alone:?}");
}

// ---- absence and shrinking

#[test]
fn law_2_a_signal_that_was_there_once_holds_the_pods_for_as_long_as_it_is_lost() {
    let idle = |seconds: i64| metrics(seconds, 20).with(MemoryUtilization, 20.0);
    for (engine, name) in [(rules(), "rules"), (tracking(), "tracking")] {
        // 7 days: the history that was seen with CPU lies outside of every window by then.
        for lost in [15, 90, 3700, 86_400, 7 * 86_400] {
            let seen = course(3600, 15, |seconds| idle(seconds).with(CpuUtilization, 65.0));
            let mut history = MetricsHistory::clone(&seen.history);
            for back in (1..10).rev() {
                history.push(&idle(3600 + lost - back)).unwrap();
            }
            let observation = Observation::new(scaling_core::Target::deployment("shop", "web"), idle(3600 + lost))
                .with_history(history);
            let decision = engine.evaluate(&observation).unwrap();
            assert_eq!(decision.desired_replicas, 20, "{name}, lost for {lost} s: {:?}", texts(&decision));
            let declared = observation.declaring(SignalSet::of([MemoryUtilization]));
            assert!(engine.evaluate(&declared).unwrap().shrinks(), "{name}: the source no longer delivers CPU");
        }
    }
}

#[test]
fn law_2_a_restart_while_a_declared_signal_is_lost_does_not_shrink() {
    let declared = SignalSet::of([CpuUtilization, MemoryUtilization]);
    let observation =
        course(1800, 15, |seconds| metrics(seconds, 20).with(MemoryUtilization, 20.0)).declaring(declared);
    assert_eq!(decide(&observation).desired_replicas, 20);
    assert_eq!(
        decide(&Observation::new(scaling_core::Target::deployment("shop", "web"), metrics(0, 20)).declaring(declared))
            .desired_replicas,
        20
    );
}

#[test]
fn an_idle_service_without_latency_and_error_rate_shrinks() {
    for absent in [true, false] {
        let observation = course(4 * 3600, 60, |seconds| {
            let night = seconds >= 7200;
            let now = metrics(seconds, 20)
                .with(CpuUtilization, if night { 1.0 } else { 60.0 })
                .with(MemoryUtilization, 10.0)
                .with(RequestRate, if night { 0.0 } else { 1200.0 })
                .with(QueueDepth, 0.0);
            let nothing = if absent { f64::NAN } else { 0.0 };
            now.with(ResponseTime, if night { nothing } else { 50.0 })
                .with(ErrorRate, if night { nothing } else { 0.0 })
        });
        let decision = decide(&observation);
        assert!(decision.shrinks() && decision.confidence.value() >= GATE, "{decision:?}");
    }
}

// ---- pods that do not serve

#[test]
fn law_2_a_mean_over_no_pods_does_not_shrink() {
    for engine in [rules(), tracking()] {
        let observation = course(10_000, 60, |seconds| {
            let (ready, cpu) = if seconds < 7200 { (20, 65.0) } else { (0, 0.0) };
            asked(metrics(seconds, ready), 20).with(CpuUtilization, cpu).with(MemoryUtilization, cpu)
        });
        assert_eq!(engine.evaluate(&observation).unwrap().desired_replicas, 20);
    }
}

#[test]
fn pods_that_are_asked_for_and_not_ready_count_as_full_for_a_shrink() {
    for engine in [rules(), tracking()] {
        for known_s in [7200, 0] {
            let observation = course(known_s + 3 * 3600, 60, |seconds| {
                let ready = if seconds < known_s { 20 } else { 4 };
                asked(metrics(seconds, ready), 20).with(CpuUtilization, 65.0).with(MemoryUtilization, 40.0)
            });
            let decision = engine.evaluate(&observation).unwrap();
            assert_eq!(decision.desired_replicas, 20, "4 of 20 are ready: {:?}", texts(&decision));
        }
    }
}

#[test]
fn one_pod_that_crashes_again_and_again_does_not_hold_the_others() {
    for (engine, most) in [(rules(), 8), (tracking(), 8)] {
        let observation = course(3 * 3600, 60, |seconds| {
            asked(metrics(seconds, 19), 20).with(CpuUtilization, 10.0).with(MemoryUtilization, 10.0)
        });
        let decision = engine.evaluate(&observation).unwrap();
        assert!(decision.shrinks() && decision.desired_replicas <= most, "{:?}", texts(&decision));
    }
}

#[test]
fn a_workload_that_its_owner_has_set_to_zero_is_not_woken_unless_the_host_says_so() {
    let paused = include_str!("../../test_data/decide/paused.json");
    let observation =
        Observation::new(scaling_core::Target::deployment("shop", "web"), serde_json::from_str(paused).unwrap());
    let decision = decide(&observation);
    assert_eq!((decision.action(), decision.desired_replicas), (ScalingAction::Maintain, 0));
    assert_eq!(texts(&decision), ["scaled to zero by its owner"]);

    let may_wake = RuleBasedEngine::new(RuleConfig { wake_from_zero: true, ..RuleConfig::default() }).unwrap();
    assert!(may_wake.evaluate(&observation).unwrap().desired_replicas >= 1);
    let mut unknown = observation;
    unknown.current.desired_pod_count = None;
    assert!(decide(&unknown).desired_replicas >= 1, "no ready pod may be an outage");
}

// ---- pods that are full

#[test]
fn full_pods_are_judged_by_time_and_pods_on_their_way_count() {
    let csv = include_bytes!("../../test_data/decide/stale-peak.csv");
    let undated = Undated { end: at(0), interval: TimeDelta::seconds(60) };
    let samples = parse::metrics(csv, Some(undated)).unwrap();
    let (observation, _) = Observation::from_samples(scaling_core::Target::deployment("shop", "web"), samples).unwrap();
    let decision = decide(&observation);
    assert_eq!(decision.action(), ScalingAction::Maintain, "{:?}", texts(&decision));
}

#[test]
fn overload_does_not_compound_while_pods_start_and_metrics_lag() {
    // 9 pods full, failing; the engine is asked every 15 s, its pods serve after a minute, metrics show it 90 s later.
    let mut history = MetricsHistory::new();
    let mut requests: Vec<(i64, u32)> = vec![(0, 9)];
    let pods_at = |requests: &[(i64, u32)], seconds: i64| {
        requests.iter().rev().find(|(from, _)| *from + 60 <= seconds).map_or(9, |(_, pods)| *pods)
    };
    for seconds in (0..240).step_by(15) {
        let now = asked(metrics(seconds, pods_at(&requests, seconds)), requests.last().unwrap().1)
            .with(CpuUtilization, 100.0)
            .with(ErrorRate, 20.0);
        let decision = decide(
            &Observation::new(scaling_core::Target::deployment("shop", "web"), now.clone())
                .with_history(history.clone()),
        );
        if decision.desired_replicas != decision.current_replicas {
            requests.push((seconds, decision.desired_replicas));
        }
        history.push(&now).unwrap();
        // 9 full pods: 9 / 0.7 by CPU, 1.5 times 9 by overload. The next answer is due at 60 + 90 s.
        let most = if seconds < 150 { 14 } else { 21 };
        assert!(decision.desired_replicas <= most, "{seconds} s: {requests:?}, {:?}", texts(&decision));
    }
    assert_eq!(requests.last().unwrap().1, 21, "what is still full after it has settled grows on: {requests:?}");
}

#[test]
fn errors_that_pods_do_not_relieve_do_not_compound() {
    // A database is down: half of the requests fail, pods are idle.
    let mut history = MetricsHistory::new();
    let mut pods = 10;
    for seconds in (0..3600).step_by(60) {
        let now = metrics(seconds, pods).with(CpuUtilization, 20.0).with(ErrorRate, 50.0).with(RequestRate, 100.0);
        let decision = decide(
            &Observation::new(scaling_core::Target::deployment("shop", "web"), now.clone())
                .with_history(history.clone()),
        );
        pods = decision.desired_replicas;
        history.push(&now).unwrap();
    }
    assert!((11..=15).contains(&pods), "{pods}");
}

/// Pods follow the request after a minute; CPU and the request rate as served are all that is measured. Share of the demand that
/// is served, and the pods at the end.
fn closed_loop(engine: &RuleBasedEngine, declared: Option<f64>, slow: f64) -> (f64, Vec<u32>) {
    let from = 10 * 3600;
    let (mut history, mut pods, mut pending) = (MetricsHistory::new(), 10_u32, None::<(i64, u32)>);
    let (mut served, mut demand, mut sizes) = (0.0, 0.0, Vec::new());
    for seconds in (0..from + 7200).step_by(15) {
        if let Some((when, size)) = pending
            && when <= seconds
        {
            (pods, pending) = (size, None);
        }
        let capacity = f64::from(pods) * if seconds < from { 50.0 } else { 50.0 / slow };
        let rate = f64::min(300.0, capacity);
        let asks = pending.map_or(pods, |(_, size)| size);
        let now =
            asked(metrics(seconds, pods), asks).with(RequestRate, rate).with(CpuUtilization, 100.0 * rate / capacity);
        if seconds >= from {
            (served, demand) = (served + rate, demand + 300.0);
            let mut observation = Observation::new(scaling_core::Target::deployment("shop", "web"), now.clone())
                .with_history(history.clone());
            observation.facts.pod_capacity = declared;
            let wanted = engine.evaluate(&observation).unwrap().desired_replicas;
            if wanted < pods {
                (pods, pending) = (wanted, None);
            } else if wanted != asks {
                pending = Some((seconds + 60, wanted));
            }
            sizes.push(pods);
        }
        history.push(&now).unwrap();
    }
    (served / demand, sizes)
}

#[test]
fn pods_that_become_slower_do_not_stay_full() {
    for (engine, name) in [(rules(), "rules"), (tracking(), "tracking")] {
        for declared in [Some(50.0), None] {
            for slow in [2.0, 3.0] {
                let (served, sizes) = closed_loop(&engine, declared, slow);
                assert!(served >= 0.97, "{name}, {declared:?}, {slow} times slower: {served:.3}, {sizes:?}");
                let most = 300.0 / (50.0 / slow) * 2.5;
                assert!(f64::from(*sizes.last().unwrap()) <= most, "{name} {declared:?} {slow}: {sizes:?}");
                let changes = sizes.windows(2).filter(|pair| pair[0] != pair[1]).count();
                assert!(changes <= 6, "{name} {declared:?} {slow}: the load is constant, {sizes:?}");
            }
        }
    }
}

#[test]
fn a_capacity_that_busy_pods_no_longer_reach_is_overruled_and_comes_back() {
    for declared in [None, Some(125.0)] {
        let capacity = |minutes: i64| {
            let mut observation = course(60 * (120 + minutes), 60, |seconds| {
                let cpu = if seconds > 7200 { 95.0 } else { 40.0 };
                metrics(seconds, 4).with(RequestRate, 200.0).with(CpuUtilization, cpu)
            });
            observation.facts.pod_capacity = declared;
            let reasons = decide(&observation).reasons;
            reasons.into_iter().find_map(|reason| match reason {
                Reason::Capacity { model, per_pod, .. } => Some((model, per_pod.unwrap().round())),
                _ => None,
            })
        };
        let usual = if declared.is_some() { CapacityModel::Declared } else { CapacityModel::Learnt };
        assert_eq!(capacity(0), Some((usual, 125.0)));
        assert_eq!(capacity(2), Some((usual, 125.0)), "two samples of a minute are less than two windows");
        assert_eq!(capacity(4), Some((CapacityModel::Recent, 53.0)));
    }
}

#[test]
fn one_sample_never_overrules_a_well_learnt_capacity() {
    let text = include_bytes!("../../test_data/decide/jvm.jsonl");
    let samples = parse::metrics(text, None).unwrap();
    for declared in [None, Some(120.0)] {
        let (mut observation, _) =
            Observation::from_samples(scaling_core::Target::deployment("shop", "web"), samples.clone()).unwrap();
        observation.facts.pod_capacity = declared;
        let decision = decide(&observation);
        assert_eq!(decision.desired_replicas, 4, "{:?}", texts(&decision));
    }
    // The same for two windows is no longer one sample.
    let mut lasting = samples;
    for minute in 1..=2 {
        let mut next = lasting.last().unwrap().clone();
        next.timestamp += TimeDelta::minutes(minute);
        lasting.push(next);
    }
    let (observation, _) = Observation::from_samples(scaling_core::Target::deployment("shop", "web"), lasting).unwrap();
    assert!(decide(&observation).desired_replicas >= 20);
}

#[test]
fn one_full_sample_counts_at_once_where_nothing_contradicts_it() {
    for rate in [None, Some(400.0)] {
        let observation = course(3600, 60, |seconds| {
            let hot = seconds == 3600;
            let now = metrics(seconds, 4).with(CpuUtilization, if hot { 95.0 } else { 48.0 });
            match rate {
                Some(rate) => now.with(RequestRate, if hot { rate } else { rate / 2.0 }),
                None => now,
            }
        });
        let decision = decide(&observation);
        assert!(decision.desired_replicas >= 6, "{rate:?}: {:?}", texts(&decision));
    }
}

// ---- memory

/// Memory of 48 % and 14 % × utilization; a day of load that falls by three quarters at its end.
fn base_and_load(base: f64, part: f64, pods: u32) -> Observation {
    course(86_400, 120, |seconds| {
        let wave = 1.0 + 0.5 * (seconds as f64 / 7000.0).sin();
        let share = if seconds > 78_000 { 0.25 } else { wave * 0.45 };
        let noise = f64::from(u32::try_from(seconds / 120 * 7919 % 100).unwrap()) / 100.0 - 0.5;
        metrics(seconds, pods)
            .with(RequestRate, f64::from(pods) * 75.0 * share)
            .with(CpuUtilization, 100.0 * share)
            .with(MemoryUtilization, base + part * share + noise)
            .with(ErrorRate, 0.0)
    })
}

#[test]
fn memory_that_every_pod_has_holds_no_pods() {
    let decision = decide(&base_and_load(48.0, 14.0, 12));
    assert!(decision.desired_replicas <= 5, "{:?}", texts(&decision));
    // Memory that comes with the load does.
    let decision = decide(&base_and_load(0.0, 160.0, 12));
    assert!((6..=7).contains(&decision.desired_replicas), "{:?}", texts(&decision));
}

#[test]
fn memory_is_taken_to_follow_the_load_until_the_two_parts_are_known() {
    let flat = course(7200, 60, |seconds| {
        metrics(seconds, 8).with(MemoryUtilization, 50.0).with(CpuUtilization, 10.0).with(RequestRate, 100.0)
    });
    assert_eq!(decide(&flat).desired_replicas, 8, "50 % of 8 pods are 5 pods at 80 %, not worth a shrink");
}

#[test]
fn more_pods_are_not_asked_for_to_relieve_what_every_pod_has() {
    let decision = decide(&base_and_load(88.0, 4.0, 6));
    assert!(!decision.grows() && decision.resources.is_some(), "{:?}", texts(&decision));
}

#[test]
fn an_event_begins_and_ends_by_the_clock_and_not_by_the_age_of_the_metrics() {
    let seen = steady(8, 90);
    let measured = seen.current.timestamp;
    let (start, end) = (measured + TimeDelta::hours(1), measured + TimeDelta::hours(2));
    let mut seen = seen.with_events(vec![PlannedEvent::new("sale", start, end, 3.0).unwrap()]);
    for (minutes, due) in [(30, false), (70, true), (119, true), (120, false)] {
        seen.now = measured + TimeDelta::minutes(minutes);
        let decision = RuleBasedEngine::default().evaluate(&seen).unwrap();
        assert_eq!(decision.floor.is_some(), due, "{minutes} minutes after the newest metrics: {decision:?}");
    }
}

#[test]
fn what_a_pod_carries_is_known_still_when_cpu_is_lost() {
    let mut seen = steady(8, 90);
    let rate = seen.current.value(RequestRate).unwrap();
    seen.current.set(RequestRate, scaling_core::Signal::Present(2.0 * rate));
    let known = RuleBasedEngine::default().evaluate(&seen).unwrap();
    assert!(known.grows(), "{known:?}");
    seen.current.set(CpuUtilization, scaling_core::Signal::NOT_MEASURED);
    let blind = RuleBasedEngine::default().evaluate(&seen).unwrap();
    assert!(blind.grows() && blind.confidence.value() >= GATE, "{blind:?}");
}
