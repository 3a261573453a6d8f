//! No policy beats the oracle, and the laws hold inside the backtest.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use futures::executor::block_on;
use proptest::prelude::*;
use scaling_core::backtest::{Candidate, Cluster, ClusterModel, Control, Driver, Report, Scenario, StepSeen, run};
use scaling_core::hpa::{ControllerConfig, CrossVersionObjectReference, HpaSpec, MetricSpec, Quantity};
use scaling_core::{ApplyMode, Autoscaler, Bounds, DecisionRecord, Guards, HardLimits};

use crate::world::{Erratic, candidates, cluster, finish, report, spec_between, trace, waves, workload};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// No policy leaves the limits, and none beats the oracle: not the sensible ones and not those that jump about, driving pods or
    /// moving bounds, on any load, with any start-up time, patience and limits, at its own share of violating requests.
    #[test]
    fn no_policy_beats_the_oracle(
        rates in proptest::collection::vec(prop_oneof![Just(0.0), 0.0..300.0_f64, 300.0..2500.0_f64], 40..160),
        start_up in 0..6_u64, patience in 1..60_u64, objective_ms in 0..2000_u64, seed in any::<u64>(), least in 0..5_u32,
        most in 5..60_u32, nodes in proptest::option::of(1..60_u32),
    ) {
        let model = ClusterModel {
            start_up: Duration::from_secs(15 * start_up),
            objective: Duration::from_millis(objective_ms),
            patience: Duration::from_secs(patience + 2),
            limits: HardLimits::new(least, most).unwrap(),
            node_limit: nodes,
            noise_seed: (seed % 2 == 0).then_some(seed),
            pod_failures_per_day: if seed % 3 == 0 { 200.0 } else { 0.0 },
            ..ClusterModel::default()
        };
        let scenario = Scenario { settle: Duration::from_secs(120), ..Scenario::new(trace("random", &rates), model) };
        let mut candidates = candidates();
        for nth in 0..4 {
            let seed = seed.wrapping_add(nth);
            candidates.push(Candidate::direct(format!("erratic {nth}"), move |_| Ok(Driver::direct(Erratic(seed)))));
            candidates.push(Candidate::over_hpa(format!("erratic {nth} over hpa"), 60, move |_| {
                Ok(Driver { guards: Guards::only_hard_limits(), ..Driver::bounds(Erratic(seed)) })
            }));
        }
        let own = spec_between(least.max(1), most, MetricSpec::external("queue_depth", Quantity::from_milli(3000)));
        candidates.push(Candidate::hpa("own bounds", own, ControllerConfig::default()));
        let held = nodes.unwrap_or(u32::MAX);
        let report = report(&[scenario], &candidates);
        for candidate in &report.traces[0].candidates {
            let ratio = candidate.score.oracle_ratio;
            prop_assert!(ratio.is_none_or(|ratio| ratio >= 1.0 - 1e-9), "{}: {:?}", candidate.name, candidate.score);
            // Short enough that every point of the chart is one step.
            let pods = || candidate.plot.pods.iter().flatten();
            prop_assert!(pods().all(|pods| *pods <= f64::from(most.min(held))), "{}", candidate.name);
            prop_assert!(pods().all(|pods| *pods >= f64::from(least.min(held))), "{}", candidate.name);
        }
    }

    /// Whatever is replayed, every number of the report can be written and read.
    #[test]
    fn any_trace_gives_a_report_of_numbers(
        rates in proptest::collection::vec(
            prop_oneof![Just(f64::NAN), Just(0.0), Just(1e-300), 0.0..1e4_f64, Just(1e9)], 30..90),
        limit in proptest::option::of(1..20_u32),
    ) {
        let known = rates.iter().any(|rate| !rate.is_nan());
        prop_assume!(known);
        let model = ClusterModel { node_limit: limit, limits: HardLimits::new(1, 40).unwrap(), ..ClusterModel::default() };
        let scenario = Scenario::new(trace("odd", &rates), model);
        match block_on(run(&[scenario], &candidates(), &())) {
            Err(error) => prop_assert!(!error.to_string().contains('\n')),
            Ok(report) => {
                let text = report.to_json().unwrap();
                prop_assert!(!text.contains("null,\n      \"pod_hours\""));
                prop_assert_eq!(&serde_json::from_str::<Report>(&text).unwrap().to_json().unwrap(), &text);
                let table = report.to_table();
                prop_assert!(!table.contains("NaN") && !table.contains("inf"), "{}", table);
            }
        }
    }
}

fn hpa() -> Control {
    let reference = CrossVersionObjectReference::deployment("web");
    Control::Hpa {
        spec: Box::new(HpaSpec::new(reference, Bounds::new(2, 30).unwrap())),
        controller: ControllerConfig::default(),
    }
}

fn autoscaler(cluster: &Arc<Cluster>, seed: u64, limits: HardLimits, mode: ApplyMode) -> Autoscaler {
    let builder = Autoscaler::builder().engine(Erratic(seed)).source(Arc::clone(cluster)).applier(Arc::clone(cluster));
    builder.guards(Guards::only_hard_limits()).limits(limits).mode(mode).build()
}

/// Lets an engine decide each minute, and tells of each decision: the record, the bounds before and the bounds after.
fn decide(cluster: &Arc<Cluster>, autoscaler: &Autoscaler, minutes: usize) -> Vec<(DecisionRecord, Bounds, Bounds)> {
    let at = |minute: usize| DateTime::from_timestamp(60 * i64::try_from(minute).unwrap(), 0).unwrap();
    let seen = (5..minutes).map(|minute| {
        cluster.advance(at(minute));
        let before = cluster.bounds().unwrap();
        let record = block_on(autoscaler.tick(&workload(), at(minute))).unwrap();
        (record, before, cluster.bounds().unwrap())
    });
    seen.collect()
}

/// What the laws below are checked on does happen.
#[test]
fn an_erratic_engine_moves_bounds_both_ways() {
    let cluster = cluster(&waves(), hpa());
    let decided = decide(&cluster, &autoscaler(&cluster, 5, HardLimits::new(1, 40).unwrap(), ApplyMode::Apply), 720);
    let moves =
        |way: Ordering| decided.iter().filter(|(_, before, after)| after.min().cmp(&before.min()) == way).count();
    assert!(moves(Ordering::Greater) > 20 && moves(Ordering::Less) > 20);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn laws_1_and_6_bounds_and_direction_hold_inside_the_backtest(
        rates in proptest::collection::vec(0.0..1500.0_f64, 20..60), seed in any::<u64>(),
        low in 1..4_u32, more in 0..40_u32,
    ) {
        let limits = HardLimits::new(low, low + more).unwrap();
        let hard = limits.bounds();
        let cluster = cluster(&rates, hpa());
        let autoscaler = autoscaler(&cluster, seed, limits, ApplyMode::Apply);
        for (record, before, after) in decide(&cluster, &autoscaler, rates.len()) {
            if before == after {
                continue;
            }
            prop_assert!(hard.min() <= after.min() && after.max() <= hard.max(), "law 1: {after:?}");
            // Bounds outside the limits are first of all brought back.
            if hard.min() <= before.min() && before.max() <= hard.max() {
                let decision = record.decision.as_ref().unwrap();
                match decision.desired_replicas.cmp(&decision.current_replicas) {
                    Ordering::Greater => prop_assert!(after.min() >= before.min() && after.max() >= before.max(), "law 6: {record:?}"),
                    Ordering::Less => prop_assert!(after.min() <= before.min() && after.max() <= before.max(), "law 6: {record:?}"),
                    // What is not needed any more may be given back.
                    Ordering::Equal => prop_assert!(after.min() <= before.min() && after.max() <= before.max(), "law 6: {record:?}"),
                }
            }
        }
    }

    #[test]
    fn law_3_a_dry_run_is_dry_inside_the_backtest(
        rates in proptest::collection::vec(0.0..1500.0_f64, 20..60), seed in any::<u64>(), server: bool,
    ) {
        let alone = cluster(&rates, hpa());
        let watched = cluster(&rates, hpa());
        let mode = if server { ApplyMode::ServerDryRun } else { ApplyMode::Plan };
        let autoscaler = autoscaler(&watched, seed, HardLimits::new(1, 200).unwrap(), mode);
        let decided = decide(&watched, &autoscaler, rates.len());
        drop(autoscaler);
        for (record, before, after) in decided {
            prop_assert_eq!(before, after);
            prop_assert!(!record.is_applied());
        }
        // Noise is drawn, gaps are NaN: bits are compared.
        let bits = |steps: Vec<StepSeen>| steps.iter().map(|step| format!("{step:?}")).collect::<Vec<_>>();
        prop_assert_eq!(bits(finish(watched)), bits(finish(alone)));
    }

    #[test]
    fn law_5_same_input_same_bytes_inside_the_backtest(
        rates in proptest::collection::vec(0.0..1500.0_f64, 20..60), seed in any::<u64>(),
    ) {
        let bytes = || {
            let cluster = cluster(&rates, hpa());
            let autoscaler = autoscaler(&cluster, seed, HardLimits::new(1, 200).unwrap(), ApplyMode::Apply);
            let records = decide(&cluster, &autoscaler, rates.len()).into_iter();
            records.map(|(record, ..)| serde_json::to_string(&record).unwrap()).collect::<Vec<_>>()
        };
        prop_assert_eq!(bytes(), bytes());
    }

    #[test]
    fn adding_pods_never_adds_violations(
        rates in proptest::collection::vec(prop_oneof![3 => 0.0..1500.0_f64, 1 => Just(f64::NAN)], 10..60),
        pods in 1..30_u32, more in 1..10_u32,
    ) {
        prop_assume!(rates.iter().any(|rate| !rate.is_nan()));
        let violating = |pods: u32| -> f64 {
            let steps = finish(cluster(&rates, Control::Direct { bounds: Bounds::new(pods, 200).unwrap() }));
            steps.iter().map(|step| step.violating).sum()
        };
        let (fewer, more) = (violating(pods), violating(pods + more));
        prop_assert!(more <= fewer * (1.0 + 1e-9) + 1e-6, "{more} {fewer}");
    }
}
