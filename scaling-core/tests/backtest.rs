//! A backtest as a whole: it tells the truth, looks at nothing ahead, and tells it the same way twice.
#![allow(clippy::unwrap_used, clippy::float_cmp, clippy::indexing_slicing, missing_docs)]

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use futures::executor::block_on;
use proptest::prelude::*;
use scaling_core::backtest::{
    Arrivals, BacktestError, Budget, Candidate, Cluster, ClusterModel, ClusterSetup, Control, Driver, PolicyDiff,
    Report, SampleTime, Scenario, StepSeen, Trace, run,
};
use scaling_core::hpa::{ControllerConfig, CrossVersionObjectReference, HpaBehavior, HpaSpec, MetricSpec};
use scaling_core::{
    ApplyMode, Autoscaler, Bounds, Currency, DecisionEngine, DecisionRecord, EngineError, Guards, HardLimits,
    Observation, Price, RuleBasedEngine, ScalingDecision, ScalingMetrics, SignalKind, Target, WorkloadFacts,
};

/// Minutes of load, from the epoch on; NaN is missing.
fn trace(name: &str, rates: &[f64]) -> Trace {
    let samples = (0..).zip(rates).map(|(minute, rate)| {
        let mut sample = ScalingMetrics::new(DateTime::from_timestamp(minute * 60, 0).unwrap(), 0);
        sample.current_pod_count = None;
        sample.with(SignalKind::RequestRate, *rate)
    });
    Trace::from_samples(name, samples.collect(), SampleTime::Starts).unwrap()
}

/// Half a day of waves with a spike.
fn waves() -> Vec<f64> {
    let wave = |minute: u32| {
        let hour = f64::from(minute) / 60.0;
        let spike = if (520..530).contains(&minute) { 900.0 } else { 0.0 };
        600.0 - 400.0 * (hour / 4.0 * std::f64::consts::TAU).cos() + spike
    };
    (0..720).map(wave).collect()
}

fn model() -> ClusterModel {
    ClusterModel { limits: HardLimits::new(1, 200).unwrap(), noise_seed: Some(7), ..ClusterModel::default() }
}

fn scenario(rates: &[f64]) -> Scenario {
    Scenario {
        price: Some(Price::per_pod_hour(0.1, Currency::EUR).unwrap()),
        settle: Duration::from_secs(600),
        ..Scenario::new(trace("waves", rates), model())
    }
}

fn candidates() -> Vec<Candidate> {
    vec![
        Candidate::hpa_on_cpu(50),
        Candidate::hpa_on_cpu(70),
        Candidate::kpa(0.7),
        Candidate::rules(0.95).unwrap(),
        Candidate::over_hpa("rules over hpa", 70, |_| Ok(Driver::bounds(RuleBasedEngine::default()).profiled())),
    ]
}

fn report(scenarios: &[Scenario], candidates: &[Candidate]) -> Report {
    block_on(run(scenarios, candidates, &())).unwrap()
}

#[test]
fn two_runs_give_the_same_bytes() {
    let scenarios = [scenario(&waves())];
    let [first, again] = [(); 2].map(|()| report(&scenarios, &candidates()));
    assert_eq!(first.to_json().unwrap(), again.to_json().unwrap());
    assert_eq!(first.to_html(), again.to_html());
    assert_eq!(first, again);
    let read: Report = serde_json::from_str(&first.to_json().unwrap()).unwrap();
    assert_eq!(read.to_json().unwrap(), first.to_json().unwrap(), "a report survives being written and read");
}

#[test]
fn another_seed_is_other_traffic() {
    let mut other = scenario(&waves());
    other.model.noise_seed = Some(8);
    let [a, b] = [scenario(&waves()), other].map(|scenario| report(&[scenario], &candidates()[..1]));
    assert_ne!(a.traces[0].scored.requests.to_bits(), b.traces[0].scored.requests.to_bits());
}

#[test]
fn every_candidate_is_scored_in_the_order_asked_for() {
    let report = report(&[scenario(&waves()), scenario(&waves()[..400])], &candidates());
    let names: Vec<_> = report.traces[0].candidates.iter().map(|candidate| candidate.name.as_str()).collect();
    assert_eq!(names, ["hpa:50", "hpa:70", "kpa", "rules", "rules over hpa"]);
    assert_eq!(report.summary.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), names);
    let scores = || report.traces.iter().flat_map(|trace| &trace.candidates).map(|candidate| &candidate.score);
    assert!(scores().all(|score| score.pod_hours > 0.0 && score.cost.is_some() && score.requests > 0.0));
    assert!(scores().all(|score| score.oracle_ratio >= Some(1.0)), "nobody beats the clairvoyant");
    let waves = &report.traces[0];
    let [roomy, tight] = ["hpa:50", "hpa:70"].map(|name| &waves.candidate(name).unwrap().score);
    assert!(roomy.pod_hours > tight.pod_hours && roomy.utilization.p50 < tight.utilization.p50);
    assert!(waves.candidate("hpa:70").unwrap().score.decisions.is_none(), "the HPA alone has no guards");
    let guarded = waves.candidate("rules over hpa").unwrap().score.decisions.clone().unwrap();
    assert!(guarded.ticks > 500 && !guarded.refused.is_empty(), "{guarded:?}");
    assert!(report.summary[0].pod_hours > roomy.pod_hours && report.summary[0].traces == 2);
}

#[test]
fn the_oracle_pays_less_for_more_violations_and_says_how_sure_it_is() {
    let report = report(&[scenario(&waves())], &candidates()[..1]);
    let oracle = &report.traces[0].oracle;
    let (strict, lenient) = (oracle.zero_violations.unwrap(), oracle.one_percent.unwrap());
    assert_eq!(strict.violating_share.to_bits(), 0);
    assert!(lenient.pod_hours < strict.pod_hours);
    assert!(lenient.violating_share <= 0.01 && lenient.violating_share > 0.005);
    for point in oracle.frontier.iter().chain([&strict, &lenient]) {
        assert!(point.at_least <= point.pod_hours * (1.0 + 1e-9), "{point:?}");
    }
    assert!(
        oracle.frontier.windows(2).all(|pair| {
            pair[0].violating_share <= pair[1].violating_share && pair[0].pod_hours >= pair[1].pod_hours
        })
    );
}

/// What happened so far does not depend on what comes: neither what was seen, nor what was decided, nor what it cost.
#[test]
fn the_future_changes_no_earlier_decision() {
    let calm = waves();
    let mut wild = calm.clone();
    for rate in &mut wild[600..] {
        *rate = 4000.0 - *rate;
    }
    // Both are scored up to the moment at which they part, less the half minute by which the trace joins its samples.
    let until =
        |rates: &[f64]| Scenario { longest: Duration::from_secs((600 - 360) * 60 - 600 - 60), ..scenario(rates) };
    let [a, b] = [calm, wild].map(|rates| report(&[until(&rates)], &candidates()));
    assert_eq!(a.traces[0].candidates, b.traces[0].candidates);
    assert_eq!(a.traces[0].oracle.zero_violations, b.traces[0].oracle.zero_violations);
}

/// Wants one pod more than there is, each time.
struct Greedy;

#[async_trait::async_trait]
impl DecisionEngine for Greedy {
    fn name(&self) -> &'static str {
        "greedy"
    }
    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let pods = observation.current.replicas().ok_or(EngineError::NoPodCount)?;
        Ok(ScalingDecision::replicas("greedy", observation.current.timestamp, pods, pods + 1).with_confidence(1.0))
    }
}

#[test]
fn a_hosts_own_engine_is_a_candidate_and_the_hard_limits_hold() {
    let mut limited = scenario(&waves());
    limited.model.limits = HardLimits::new(1, 30).unwrap();
    let greedy = Candidate::direct("greedy", |_| Ok(Driver::direct(Greedy)));
    let report = report(&[limited], &[greedy]);
    let score = &report.traces[0].candidates[0].score;
    assert_eq!(score.peak_pods, 30);
    assert!(score.decisions.as_ref().unwrap().limited["hard_limits"] > 100);
}

#[test]
fn a_candidate_that_cannot_be_made_is_named_with_its_trace() {
    let broken = Candidate::direct("broken", |_| Err("no luck".into()));
    let error = block_on(run(&[scenario(&waves())], &[broken], &())).unwrap_err();
    assert_eq!(error.to_string(), "waves: candidate broken: no luck");
    let short = block_on(run(&[scenario(&waves()[..3])], &candidates(), &())).unwrap_err();
    assert!(matches!(short, BacktestError::TooShort { .. }), "{short}");
}

#[test]
fn without_data_to_score_nothing_is_scored() {
    let mut rates = waves();
    // After the gap 12 minutes are left, of which pods are given 10 to settle.
    rates[360..708].fill(f64::NAN);
    let error = block_on(run(&[scenario(&rates)], &candidates(), &())).unwrap_err();
    assert!(error.to_string().starts_with("waves: 8 steps of 15 s that count"), "{error}");
}

#[test]
fn a_trace_of_too_many_steps_is_refused_and_not_cut_off() {
    let sample =
        |at| ScalingMetrics::new(DateTime::from_timestamp(at, 0).unwrap(), 1).with(SignalKind::RequestRate, 1.0);
    let samples = [0, 60, 120, 17_000_000].map(sample).into();
    let years = Trace::from_samples("years", samples, SampleTime::Starts).unwrap();
    let model = ClusterModel { start_up: Duration::from_secs(61), ..model() };
    let error = block_on(run(&[Scenario::new(years, model)], &candidates(), &())).unwrap_err();
    assert!(error.to_string().contains("step is 1; it must be long enough"), "{error}");
}

#[test]
fn gaps_and_full_pods_are_counted_in_the_report() {
    let mut rates = waves();
    rates[500..560].fill(f64::NAN);
    let report = report(&[scenario(&rates)], &candidates()[..1]);
    let scored = &report.traces[0].scored;
    assert_eq!((scored.gap_seconds, report.traces[0].facts.absent), (3600.0, 60));
    assert!(report.traces[0].plot.load.contains(&None));
    assert_eq!(scored.settling_seconds, 600.0, "as long as settling takes at the beginning");
    assert!(report.to_html().contains("60 minutes without data count for nothing, nor do 10 minutes after them"));

    let full = |minute: i64, cpu: f64| {
        ScalingMetrics::new(DateTime::from_timestamp(minute * 60, 0).unwrap(), 5)
            .with(SignalKind::RequestRate, cpu * 2.5)
            .with(SignalKind::CpuUtilization, cpu)
    };
    let samples = (0..200).map(|minute| full(minute, if minute % 10 == 9 { 99.0 } else { 60.0 })).collect();
    let trace = Trace::from_samples("full", samples, SampleTime::Ends).unwrap();
    let report = report_of(trace);
    assert_eq!(report.traces[0].scored.censored_seconds, 9.0 * 60.0);
    assert!(report.to_table().contains("0.1 h with full pods recorded"));
}

fn report_of(trace: Trace) -> Report {
    let model = ClusterModel { pod_capacity: trace.pod_capacity().unwrap(), ..ClusterModel::default() };
    report(&[Scenario::new(trace, model)], &candidates()[..1])
}

#[test]
fn the_page_is_whole_in_itself_and_text_stays_text() {
    let evil = "</script><script>alert(1)</script>&\"";
    let named = Candidate::hpa_on_cpu(70).named(evil);
    let scenario = Scenario { trace: trace(evil, &waves()).into(), ..scenario(&waves()) };
    let html = report(&[scenario], &[named, Candidate::hpa_on_cpu(50)]).to_html();
    assert!(!html.contains("alert(1)</script>") && html.contains("&lt;/script&gt;"));
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!html.contains(outside), "{outside}");
    }
    for part in [
        "<h3>Load</h3>",
        "<h3>Pods</h3>",
        "<h3>Queue</h3>",
        "<h3>Cost against violations</h3>",
        "requests/s",
        "hours of the trace",
        "prefers-color-scheme: dark",
    ] {
        assert!(html.contains(part), "{part}");
    }
    assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
    assert_eq!(html.matches("<svg").count(), 4);
    assert!(!html.contains("NaN") && !html.contains("inf\""));
}

#[test]
fn the_table_has_a_row_for_each_candidate_and_the_oracle() {
    let report = report(&[scenario(&waves()), scenario(&waves())], &candidates());
    let table = report.to_table();
    for name in ["hpa:50", "kpa", "rules over hpa"] {
        assert_eq!(table.lines().filter(|line| line.trim_start().starts_with(name)).count(), 3, "{name}\n{table}");
    }
    assert!(table.contains("waves: 5.8 hours count, after 6.0 hours of history"), "{table}");
    assert!(table.contains("oracle, none") && table.contains("over all traces") && table.contains("EUR"));
}

#[test]
fn a_change_of_policy_is_held_against_a_budget() {
    let spec = |percent, behavior: Option<HpaBehavior>| {
        let mut spec = HpaSpec::new(CrossVersionObjectReference::deployment("web"), Bounds::new(2, 100).unwrap());
        spec.metrics = Some(vec![MetricSpec::utilization("cpu", percent)]);
        spec.behavior = behavior;
        spec
    };
    let hpa = |name: &str, spec| Candidate::hpa(name, spec, ControllerConfig::default());
    let compared = [hpa("current", spec(80, None)), hpa("proposed", spec(50, Some(HpaBehavior::default())))];
    let report = report(&[scenario(&waves())], &compared);
    let diff = PolicyDiff::of(&report.traces[0], "current", "proposed").unwrap();
    assert!(diff.cost_increase() > 0.1 && diff.violating_increase() < 0.0, "{diff}");
    let names = |budget| diff.exceeded(&budget).into_iter().map(|one| one.budget).collect::<Vec<_>>();
    let nothing = Budget::default();
    assert!(names(nothing).is_empty());
    assert_eq!(names(Budget { cost_increase: Some(0.1), violating_increase: Some(0.0), ..nothing }), ["cost_increase"]);
    let all = Budget {
        cost_increase: Some(-0.5),
        violating_share: Some(-1.0),
        violating_increase: Some(f64::NAN),
        violation_minutes_a_day: Some(-1.0),
        scale_events_a_day: Some(0.0),
    };
    assert_eq!(names(all).len(), 5, "a limit that is no number is exceeded");
    assert!(diff.to_string().contains("pod-hours") && PolicyDiff::of(&report.traces[0], "current", "other").is_none());
}

#[test]
fn an_hpa_on_what_is_not_simulated_is_refused_by_name() {
    let mut spec = HpaSpec::new(CrossVersionObjectReference::deployment("web"), Bounds::new(2, 100).unwrap());
    spec.metrics = Some(vec![MetricSpec::utilization("nvidia.com/gpu", 80)]);
    let candidate = Candidate::hpa("gpu", spec, ControllerConfig::default());
    let error = block_on(run(&[scenario(&waves())], &[candidate], &())).unwrap_err();
    assert!(error.to_string().contains("\"nvidia.com/gpu\" is not simulated"), "{error}");
}

/// Jumps up and down, whatever is seen.
struct Erratic(u64);

#[async_trait::async_trait]
impl DecisionEngine for Erratic {
    fn name(&self) -> &'static str {
        "erratic"
    }
    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let pods = observation.current.replicas().ok_or(EngineError::NoPodCount)?;
        let at = observation.current.timestamp;
        // Any mixing of bits will do.
        let mixed =
            (at.timestamp().unsigned_abs() / 90).wrapping_mul(self.0 | 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let desired = 1 + u32::try_from(mixed % 40).unwrap();
        Ok(ScalingDecision::replicas("erratic", at, pods, desired).with_confidence(1.0))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// No policy beats the clairvoyant: not the sensible ones and not those that jump about, on any load, with any start-up time
    /// and patience, at its own share of violating requests.
    #[test]
    fn no_policy_beats_the_oracle(
        rates in proptest::collection::vec(prop_oneof![Just(0.0), 0.0..300.0_f64, 300.0..2500.0_f64], 40..160),
        start_up in 0..6_u64, patience in 1..60_u64, objective_ms in 0..2000_u64, seed in any::<u64>(), most in 5..60_u32,
    ) {
        let model = ClusterModel {
            start_up: Duration::from_secs(15 * start_up),
            objective: Duration::from_millis(objective_ms),
            patience: Duration::from_secs(patience + 2),
            limits: HardLimits::new(1, most).unwrap(),
            noise_seed: (seed % 2 == 0).then_some(seed),
            pod_failures_per_day: if seed % 3 == 0 { 200.0 } else { 0.0 },
            ..ClusterModel::default()
        };
        let scenario = Scenario { settle: Duration::from_secs(120), ..Scenario::new(trace("random", &rates), model) };
        let mut candidates = candidates();
        for nth in 0..4 {
            let seed = seed.wrapping_add(nth);
            candidates.push(Candidate::direct(format!("erratic {nth}"), move |_| Ok(Driver::direct(Erratic(seed)))));
        }
        let report = report(&[scenario], &candidates);
        for candidate in &report.traces[0].candidates {
            let ratio = candidate.score.oracle_ratio;
            prop_assert!(ratio.is_none_or(|ratio| ratio >= 1.0 - 1e-9), "{}: {:?}", candidate.name, candidate.score);
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

// ---- the laws, inside the backtest

/// A cluster over a trace, nothing of which is history.
fn cluster(rates: &[f64], control: Control) -> Arc<Cluster> {
    let (trace, model) = (Arc::new(trace("law", rates)), model());
    let arrivals = Arc::new(Arrivals::new(&trace, &model).unwrap());
    let setup = ClusterSetup {
        target: workload(),
        counted: arrivals.counted(0, 0, 0),
        arrivals,
        model,
        trace,
        first_step: 0,
        control,
        facts: WorkloadFacts::default(),
        events: Arc::new([]),
        history: Arc::default(),
    };
    Arc::new(Cluster::new(setup).unwrap())
}

fn workload() -> Target {
    Target::deployment("law", "web", "web")
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
    builder.guards(Guards::only_hard_limits()).limits(limits).mode(mode).build().unwrap()
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

fn finish(cluster: Arc<Cluster>) -> Vec<StepSeen> {
    let cluster = Arc::into_inner(cluster).unwrap();
    cluster.advance(DateTime::from_timestamp(86_400, 0).unwrap());
    cluster.into_run().steps
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
                    Ordering::Equal => prop_assert!(false, "law 6: {record:?}"),
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
        prop_assert!(decided.iter().any(|(record, ..)| record.change.is_some()));
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
