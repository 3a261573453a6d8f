//! The predictive engine: the laws, what it provides for, and that it remembers nothing that changes an answer.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::float_cmp,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    missing_docs
)]

use std::time::Duration;

use futures::executor::block_on;
use proptest::prelude::*;
use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::conformance::engine::losses;
use scaling_core::{
    LoadForecast, MetricsHistory, Objective, Observation, Reason, RuleBasedEngine, RuleConfig, ScalingAction,
    ScalingDecision, ScalingMetrics, Signal, SignalKind, conformance,
};
use scaling_schedule::{PredictiveConfig, PredictiveEngine, Snapshot, SnapshotError};

fn engine() -> PredictiveEngine {
    PredictiveEngine::new(PredictiveConfig::default()).unwrap()
}

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_006_400, 0).unwrap()
}

/// Minutes of a load that ten pods serve, of which the last is the present.
fn observation(load: impl Fn(u32) -> f64, minutes: u32) -> Observation {
    let sample = |number: u32| {
        let rate = load(number);
        ScalingMetrics::new(start() + TimeDelta::minutes(i64::from(number)), 10)
            .with(SignalKind::RequestRate, rate)
            .with(SignalKind::CpuUtilization, (rate / 5.0).min(100.0))
            .with(SignalKind::MemoryUtilization, 40.0)
            .with(SignalKind::QueueDepth, 0.0)
    };
    let (history, _) = MetricsHistory::from_unordered((0..minutes).map(sample).collect());
    let mut observation =
        Observation::new(scaling_core::Target::deployment("shop", "web"), sample(minutes)).with_history(history);
    observation.facts.pod_capacity = Some(50.0);
    observation
}

/// The same a while earlier: the history goes on into what is the future then.
fn at(observation: &Observation, number: u32) -> Observation {
    let mut earlier = observation.clone();
    if let Some(sample) = observation.history.sample(number as usize) {
        earlier.current = sample;
    }
    earlier
}

fn written(decision: &ScalingDecision) -> String {
    serde_json::to_string(decision).unwrap()
}

fn wavy(number: u32) -> f64 {
    let number = f64::from(number);
    300.0 + 100.0 * (number / 200.0).sin() + 15.0 * (number * 12.9898).sin() * (number * 78.233).cos()
}

#[test]
fn it_keeps_the_promises_of_an_engine() {
    block_on(conformance::engine(engine));
}

#[test]
fn law_5_what_was_asked_before_changes_no_answer() {
    let all = observation(wavy, 900);
    let used = engine();
    let asked: Vec<u32> = vec![100, 880, 300, 881, 500, 640, 300, 880];
    for number in asked {
        let seen = at(&all, number);
        let answer = used.evaluate(&seen).unwrap();
        assert_eq!(written(&answer), written(&engine().evaluate(&seen).unwrap()), "{number}");
        assert_eq!(written(&answer), written(&used.evaluate(&seen).unwrap()), "{number}");
    }
}

#[test]
fn workloads_that_share_an_engine_do_not_share_what_is_learnt() {
    let (calm, jumpy) = (observation(|_| 300.0, 600), observation(|n| if n % 7 < 4 { 150.0 } else { 300.0 }, 600));
    let shared = engine();
    for seen in [&calm, &jumpy, &calm] {
        assert_eq!(written(&shared.evaluate(seen).unwrap()), written(&engine().evaluate(seen).unwrap()));
    }
}

#[test]
fn law_5_one_past_is_not_taken_for_another_even_of_the_same_target() {
    // Another load; the same load of a mirrored service that has other pods; the same newest sample after another past.
    let mirrored = |pods| {
        let mut seen = observation(wavy, 900);
        let samples = seen.history.iter().map(|mut sample| {
            sample.current_pod_count = Some(pods);
            sample
        });
        seen.history = std::sync::Arc::new(MetricsHistory::from_unordered(samples.collect()).0);
        seen
    };
    let before = |factor: f64| observation(move |number| if number < 890 { factor * wavy(number) } else { 300.0 }, 900);
    for [a, b] in [
        [observation(|_| 5000.0, 900), observation(|_| 60.0, 900)],
        [mirrored(40), mirrored(10)],
        [before(3.0), before(1.0)],
    ] {
        let alone = engine().evaluate(&b).unwrap();
        let shared = engine();
        shared.evaluate(&a).unwrap();
        assert_eq!(written(&shared.evaluate(&b).unwrap()), written(&alone));
    }
}

#[test]
fn a_history_that_slides_is_decided_nearly_alike_by_an_engine_that_was_not_there() {
    let all = observation(wavy, 3000);
    let used = engine();
    // The newest 24 hours, of which the engine that was there remembers what came before.
    for now in (2400..2640).step_by(16) {
        let window = (now - 1440..now).filter_map(|minute| all.history.sample(minute));
        let mut seen = at(&all, u32::try_from(now).unwrap());
        seen.history = std::sync::Arc::new(MetricsHistory::from_unordered(window.collect()).0);
        let [there, fresh] = [used.evaluate(&seen), engine().evaluate(&seen)].map(|d| d.unwrap().desired_replicas);
        assert!(there.abs_diff(fresh) <= 1, "{now}: {there} {fresh}");
    }
}

#[test]
fn a_restart_with_a_snapshot_loses_nothing() {
    let all = observation(wavy, 3000);
    let running = engine();
    let target = all.target.clone();
    assert_eq!(running.snapshot(&target), None);
    running.evaluate(&at(&all, 2900)).unwrap();
    let snapshot = running.snapshot(&target).unwrap();
    assert!(snapshot.as_bytes().len() <= 64 * 1024, "{} bytes", snapshot.as_bytes().len());

    let restarted = engine();
    let kept = Snapshot::from_bytes(snapshot.as_bytes());
    restarted.restore(&target, &kept).unwrap();
    // The history after a restart holds only what is new.
    let mut seen = at(&all, 2930);
    let newest = (2901..2930).filter_map(|minute| all.history.sample(minute));
    seen.history = std::sync::Arc::new(MetricsHistory::from_unordered(newest.collect()).0);
    let forecast = |decision: ScalingDecision| {
        decision.reasons.into_iter().find(|reason| matches!(reason, Reason::Forecast { .. })).unwrap()
    };
    let known = forecast(running.evaluate(&at(&all, 2930)).unwrap());
    assert_eq!(forecast(restarted.evaluate(&seen).unwrap()), known);
    assert_ne!(forecast(engine().evaluate(&seen).unwrap()), known, "without it the short history is all there is");
}

#[test]
fn bytes_that_are_no_snapshot_are_refused() {
    let all = observation(wavy, 700);
    let engine = engine();
    engine.evaluate(&all).unwrap();
    let whole = engine.snapshot(&all.target).unwrap().as_bytes().to_vec();
    let restore = |bytes: Vec<u8>| engine.restore(&all.target, &Snapshot::from_bytes(bytes));
    assert!(restore(whole.clone()).is_ok());
    assert!(matches!(restore(Vec::new()), Err(SnapshotError::Version { bytes: 0 })));
    assert!(matches!(restore(vec![0; 2 << 20]), Err(SnapshotError::TooLarge { .. })));
    assert_eq!(restore(whole[..whole.len() / 2].to_vec()), Err(SnapshotError::Damaged));
    assert_eq!(restore([whole.clone(), vec![0]].concat()), Err(SnapshotError::Damaged));
    let mut next = whole.clone();
    next[3] += 1;
    assert!(matches!(restore(next), Err(SnapshotError::Version { .. })));
}

#[test]
fn nothing_looks_ahead() {
    let known = 700;
    let tame = observation(wavy, 900);
    let wild = observation(|number| if number <= known { wavy(number) } else { 1e6 }, 900);
    let engine = engine();
    for number in (400..=known).step_by(25) {
        let [a, b] = [&tame, &wild].map(|all| written(&engine.evaluate(&at(all, number)).unwrap()));
        assert_eq!(a, b, "{number}");
    }
}

#[test]
fn a_daily_rise_is_provided_for_in_advance() {
    // Every noon the load goes from 200 to 800 within four minutes, and back twenty minutes later.
    let load = |number: u32| {
        let since_noon = f64::from(number % 1440) - 720.0;
        let rise = (since_noon / 4.0).min((24.0 - since_noon) / 4.0).clamp(0.0, 1.0);
        200.0 + 600.0 * rise + 5.0 * (f64::from(number) * 12.9898).sin()
    };
    let all = observation(load, 8 * 1440);
    let noon = 7 * 1440 + 720;
    let wanted = |number: u32| {
        let mut seen = at(&all, number);
        seen.current.desired_pod_count = Some(4);
        engine().evaluate(&seen).unwrap().desired_replicas
    };
    let (quiet, before) = (wanted(noon - 100), wanted(noon - 1));
    assert!((4..=5).contains(&quiet), "{quiet} pods in a quiet hour");
    assert!(before >= 7, "{before} pods before the rise, {quiet} in a quiet hour");
}

#[test]
fn a_workload_never_seen_before_gets_general_headroom() {
    let decision = engine().evaluate(&observation(|_| 480.0, 10)).unwrap();
    assert!((10..=12).contains(&decision.desired_replicas), "{decision:?}");
    let Some(Reason::Forecast { observed, expected, quantile, ahead_s, .. }) =
        decision.reasons.iter().find(|reason| matches!(reason, Reason::Forecast { .. }))
    else {
        panic!("no forecast among {:?}", decision.reasons)
    };
    assert!(*observed == 480.0 && *expected > 480.0 && *quantile > 0.95 && *ahead_s == 97.5);
}

/// A day with jumps at irregular times, so that headroom is all that helps, and calm for the last quarter of an hour.
fn jumps() -> Observation {
    let jumpy = |number: u32| {
        let bits = (number + 1).wrapping_mul(0x9E37_79B9);
        let bits = (bits ^ (bits >> 15)).wrapping_mul(0x85EB_CA6B);
        if (bits >> 13) % 16 < 1 { 450.0 } else { 200.0 }
    };
    observation(|number| if number < 1485 { jumpy(number) } else { 200.0 }, 1500)
}

#[test]
fn fewer_waiting_requests_need_more_pods() {
    let all = jumps();
    let expected = |violating_share: f64| {
        let config = PredictiveConfig { violating_share, ..PredictiveConfig::default() };
        PredictiveEngine::new(config).unwrap().evaluate(&all).unwrap().desired_replicas
    };
    let [cheap, usual, dear] = [0.2, 0.01, 0.0002].map(expected);
    assert!(cheap <= usual && usual <= dear && cheap < dear, "{cheap} {usual} {dear}");
}

#[test]
fn requests_that_may_wait_longer_need_no_more_pods() {
    let engine = engine();
    let mut pods = Vec::new();
    // Each asked of the same engine: another objective is learnt anew, not answered by what was learnt for the one before.
    for wait_s in [0, 1, 15, 60, 600] {
        let mut seen = jumps();
        seen.facts.objective = Objective { wait: Duration::from_secs(wait_s), patience: Duration::from_secs(900) };
        let decision = engine.evaluate(&seen).unwrap();
        assert_eq!(written(&decision), written(&self::engine().evaluate(&seen).unwrap()), "{wait_s} s");
        pods.push(decision.desired_replicas);
    }
    assert!(pods.is_sorted_by(|a, b| a >= b) && pods.first() > pods.last(), "{pods:?}");
}

#[test]
fn no_objective_is_too_strange_to_learn_for() {
    for wait in [Duration::ZERO, Duration::from_secs(1), Duration::MAX] {
        for patience in [Duration::ZERO, Duration::from_secs(1), Duration::MAX] {
            let mut seen = jumps();
            seen.facts.objective = Objective { wait, patience };
            let pods = engine().evaluate(&seen).unwrap().desired_replicas;
            assert!((4..=20).contains(&pods), "{pods} pods for {wait:?} and {patience:?}");
        }
    }
}

/// A flat day that ends with some seconds of another load, as means over `window` seconds; pods have kept up.
fn surge(window: u64, load: impl Fn(i64) -> f64) -> (f64, ScalingDecision) {
    let day = 86_400;
    let sample = |second: i64| {
        let rate = load(second - day);
        let pods = u32::try_from((rate / 40.0).ceil() as i64).unwrap();
        ScalingMetrics::new(start() + TimeDelta::seconds(second), pods)
            .with(SignalKind::RequestRate, rate)
            .with(SignalKind::CpuUtilization, 80.0)
            .with(SignalKind::QueueDepth, 0.0)
    };
    let (history, _) = MetricsHistory::from_unordered((0..day / 15).map(|step| sample(step * 15)).collect());
    let mut seen = Observation::new(scaling_core::Target::deployment("shop", "web"), sample(day)).with_history(history);
    seen.facts.pod_capacity = Some(50.0);
    seen.facts.metrics_window = Duration::from_secs(window);
    let decision = engine().evaluate(&seen).unwrap();
    let expected = decision.reasons.iter().find_map(|reason| match reason {
        Reason::Forecast { expected, .. } => Some(*expected),
        _ => None,
    });
    (expected.unwrap(), decision)
}

#[test]
fn growth_beyond_what_was_ever_seen_is_not_extrapolated() {
    for seconds in [15, 30, 45, 60, 90, 120, 300, 600, 900] {
        for factor in [2.0, 10.0, 100.0, 1000.0] {
            // Until two windows have passed, a jump of the mean is a larger jump of the load.
            let window = if seconds < 120 { 15 } else { 60 };
            let (expected, decision) = surge(window, |since| if since > -seconds { 100.0 * factor } else { 100.0 });
            assert!(expected <= 1.35 * 100.0 * factor, "{factor} for {seconds} s: {expected}, {decision:?}");
            assert!(f64::from(decision.desired_replicas) >= 2.0 * factor, "{factor} for {seconds} s: {decision:?}");
        }
    }
}

#[test]
fn a_rise_that_lasts_is_carried_on_though_the_past_was_flat() {
    for per_minute in [0.05_f64, 0.1, 0.2] {
        let load = |since: i64| 100.0 * (1.0 + per_minute).powf((since as f64 + 1200.0).max(0.0) / 60.0);
        let (expected, _) = surge(60, load);
        // The moment that is forecast is 97.5 s away.
        let coming = load(97);
        assert!(expected >= 0.96 * coming && expected < 1.5 * coming, "{per_minute}: {expected} for {coming}");
    }
}

#[test]
fn a_share_that_cannot_be_is_refused() {
    for violating_share in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1.0] {
        let config = PredictiveConfig { violating_share, ..PredictiveConfig::default() };
        assert_eq!(PredictiveEngine::new(config).unwrap_err().field, "violating_share");
    }
    let written = serde_json::to_string(&PredictiveConfig::default()).unwrap();
    assert_eq!(serde_json::from_str::<PredictiveConfig>(&written).unwrap(), PredictiveConfig::default());
    assert!(serde_json::from_str::<PredictiveConfig>(r#"{"price": 3}"#).unwrap_err().to_string().contains("price"));
}

#[test]
fn pods_that_stop_serving_do_not_call_for_thousands() {
    // Full, and almost nothing is served: a deadlock that spins.
    let mut all = observation(|number| if number < 895 { 300.0 } else { 1.0 }, 900);
    let spins = all.history.iter().enumerate().map(|(number, mut sample)| {
        if number >= 895 {
            sample.set(SignalKind::CpuUtilization, Signal::Present(99.5));
        }
        sample
    });
    all.history = std::sync::Arc::new(MetricsHistory::from_unordered(spins.collect()).0);
    all.current.set(SignalKind::CpuUtilization, Signal::Present(99.5));
    let wanted = engine().evaluate(&all).unwrap().desired_replicas;
    assert!((10..=50).contains(&wanted), "{wanted}");
}

#[test]
fn law_2_a_restart_while_the_rate_is_missing_keeps_what_was_learnt() {
    let all = observation(|_| 300.0, 900);
    let running = engine();
    running.evaluate(&at(&all, 880)).unwrap();
    let restarted = engine();
    restarted.restore(&all.target, &running.snapshot(&all.target).unwrap()).unwrap();
    let mut blind = at(&all, 890);
    blind.history = std::sync::Arc::default();
    blind.current.set(SignalKind::RequestRate, Signal::Absent(scaling_core::Absence::NotMeasured));
    blind.current.set(SignalKind::CpuUtilization, Signal::Present(15.0));
    assert!(restarted.evaluate(&blind).unwrap().desired_replicas >= 10);
    assert!(restarted.snapshot(&all.target).unwrap().as_bytes().len() > 10_000, "what was learnt is still there");
}

#[test]
fn asking_for_a_snapshot_of_an_unknown_target_forgets_nobody() {
    let config = PredictiveConfig { max_targets: 1, ..PredictiveConfig::default() };
    let engine = PredictiveEngine::new(config).unwrap();
    let all = observation(wavy, 100);
    engine.evaluate(&all).unwrap();
    assert_eq!(engine.snapshot(&scaling_core::Target::deployment("shop", "other")), None);
    assert!(engine.snapshot(&all.target).is_some());
}

#[test]
fn without_a_rate_the_cpu_that_pods_use_is_forecast_and_settles() {
    // A constant load that fills six pods and a third; CPU is a mean over a minute, pods take a minute to start.
    let engine = engine();
    let mut history = MetricsHistory::new();
    let (mut ready, mut starting) = (10_u32, Vec::<(i64, u32)>::new());
    let mut cpu = vec![63.0; 8];
    let mut sizes = Vec::new();
    for step in 0..960_i64 {
        starting.retain(|(at, pods)| {
            let due = *at <= step;
            ready += if due { *pods } else { 0 };
            !due
        });
        cpu.push((633.0 / f64::from(ready)).min(100.0));
        let mean = cpu[cpu.len() - 6..cpu.len() - 2].iter().sum::<f64>() / 4.0;
        let mut sample = ScalingMetrics::new(start() + TimeDelta::seconds(15 * step), ready)
            .with(SignalKind::CpuUtilization, mean)
            .with(SignalKind::MemoryUtilization, 40.0);
        let total = ready + starting.iter().map(|(_, pods)| pods).sum::<u32>();
        sample.desired_pod_count = Some(total);
        let seen = Observation::new(scaling_core::Target::deployment("shop", "web"), sample.clone())
            .with_history(history.clone());
        history.push(&sample).unwrap();
        let decision = engine.evaluate(&seen).unwrap();
        let forecast = decision.reasons.iter().any(|reason| matches!(reason, Reason::Forecast { .. }));
        assert!(forecast, "{step}: {:?}", decision.reasons);
        match decision.desired_replicas {
            more if more > total => starting.push((step + 4, more - total)),
            fewer => ready -= (total - fewer).min(ready - 1),
        }
        sizes.push(decision.desired_replicas);
    }
    let settled = &sizes[480..];
    assert!(settled.iter().all(|size| (7..=10).contains(size)), "{settled:?}");
}

prop_compose! {
    fn seen()(
        values in prop::collection::vec(prop_oneof![
            4 => 0.0..2000.0_f64, 1 => Just(0.0), 1 => Just(1e12), 1 => Just(1e-300), 1 => Just(f64::NAN),
        ], 1..30),
        minutes in prop_oneof![0..20_u32, 200..400_u32],
        pods in prop_oneof![0..50_u32, Just(1_000_000)],
        capacity in prop_oneof![Just(None), Just(Some(50.0)), Just(Some(f64::NAN)), Just(Some(f64::MIN_POSITIVE))],
    ) -> Observation {
        let mut observation = observation(|number| values[number as usize % values.len()], minutes);
        observation.current.desired_pod_count = Some(pods);
        observation.facts.pod_capacity = capacity;
        observation
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_damaged_snapshot_is_refused_or_works(place in 0..60_000_usize, byte in any::<u8>()) {
        let all = observation(wavy, 300);
        let engine = engine();
        engine.evaluate(&at(&all, 290)).unwrap();
        let mut bytes = engine.snapshot(&all.target).unwrap().as_bytes().to_vec();
        let place = place % bytes.len();
        bytes[place] = byte;
        if engine.restore(&all.target, &Snapshot::from_bytes(bytes)).is_ok() {
            engine.evaluate(&all).unwrap();
        }
    }

    #[test]
    fn law_2_a_lost_signal_never_shrinks(seen in seen()) {
        let engine = engine();
        let before = engine.evaluate(&seen).unwrap();
        for (kind, absence) in losses(&seen) {
            // Where neither a declaration nor a history says that it was there, nobody can know that it is lost.
            let mut blind = Observation { declared: Some(seen.declared()), ..seen.clone() };
            blind.current.set(kind, Signal::Absent(absence));
            let after = engine.evaluate(&blind).unwrap();
            let least = before.desired_replicas.min(before.current_replicas);
            prop_assert!(after.desired_replicas >= least, "{kind} {absence}: {after:?}, before {before:?}");
        }
    }

    #[test]
    fn law_7_a_forecast_only_raises(seen in seen()) {
        let rules = || RuleBasedEngine::new(PredictiveConfig::default().rules).unwrap().without_rule("trend");
        let predicted = PredictiveEngine::over(rules(), 0.01).unwrap().evaluate(&seen).unwrap();
        // The same rules for the present load, which foresee nothing.
        let (signal, observed) = (SignalKind::RequestRate, seen.current.value(SignalKind::RequestRate).unwrap_or(0.0));
        let nothing = LoadForecast { signal, observed, expected: 0.0, quantile: 0.97, ahead_s: 105.0 };
        let present = rules().evaluate(&seen.clone().with_forecast(Ok(nothing))).unwrap();
        prop_assert!(predicted.desired_replicas >= present.desired_replicas, "{predicted:?} {present:?}");
    }
}

#[test]
fn a_workload_that_its_owner_has_set_to_zero_is_not_woken_unless_the_host_says_so() {
    let mut paused = observation(|_| 400.0, 3 * 60);
    paused.current.current_pod_count = Some(0);
    paused.current.desired_pod_count = Some(0);
    let decision = PredictiveEngine::new(PredictiveConfig::default()).unwrap().evaluate(&paused).unwrap();
    assert_eq!((decision.action(), decision.wanted()), (ScalingAction::Maintain, 0));
    let texts: Vec<_> = decision.reasons.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["scaled to zero by its owner"]);

    let rules = RuleConfig { wake_from_zero: true, ..PredictiveConfig::default().rules };
    let may_wake = PredictiveEngine::new(PredictiveConfig { rules, ..PredictiveConfig::default() }).unwrap();
    assert!(may_wake.evaluate(&paused).unwrap().wanted() >= 1);
}
