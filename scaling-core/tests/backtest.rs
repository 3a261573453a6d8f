//! A backtest as a whole: it tells the truth, looks at nothing ahead, and tells it the same way twice.
#![allow(clippy::unwrap_used, clippy::float_cmp, clippy::indexing_slicing, missing_docs)]

use std::cmp::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::executor::block_on;
use proptest::prelude::*;
use scaling_core::backtest::{
    Arrivals, BacktestError, Budget, Candidate, CandidateSetup, Cluster, ClusterModel, ClusterSetup, Control,
    DiffError, Driver, PolicyDiff, Report, SampleTime, Scenario, StepSeen, Trace, run,
};
use scaling_core::hpa::{ControllerConfig, CrossVersionObjectReference, HpaBehavior, HpaSpec, MetricSpec, Quantity};
use scaling_core::{
    ApplyMode, Autoscaler, Bounds, Currency, DecisionEngine, DecisionRecord, EngineError, Guards, HardLimits,
    MemoryRecorder, MetricsSource, Observation, Price, RuleBasedEngine, ScalingDecision, ScalingMetrics, SignalKind,
    Target, WorkloadFacts,
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
        Candidate::rules(),
        Candidate::over_hpa("rules over hpa", 70, |_| Ok(Driver::bounds(RuleBasedEngine::default()))),
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
    assert!(scores().all(|score| score.oracle_ratio >= Some(1.0)), "no policy beats the oracle");
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
    assert!(diff.to_string().contains("pod-hours"));
    let other = PolicyDiff::of(&report.traces[0], "current", "other").unwrap_err();
    assert!(matches!(&other, DiffError::NotReplayed { candidate, .. } if candidate == "other"), "{other}");
}

#[test]
fn an_hpa_on_what_is_not_simulated_is_refused_by_name() {
    let mut spec = HpaSpec::new(CrossVersionObjectReference::deployment("web"), Bounds::new(2, 100).unwrap());
    spec.metrics = Some(vec![MetricSpec::utilization("nvidia.com/gpu", 80)]);
    let candidate = Candidate::hpa("gpu", spec, ControllerConfig::default());
    let error = block_on(run(&[scenario(&waves())], &[candidate], &())).unwrap_err();
    assert!(error.to_string().contains("\"nvidia.com/gpu\" is not simulated"), "{error}");
}

fn spec_between(min: u32, max: u32, metric: MetricSpec) -> HpaSpec {
    let reference = CrossVersionObjectReference::deployment("web");
    let mut spec = HpaSpec::new(reference, Bounds::new(min, max).unwrap());
    spec.metrics = Some(vec![metric]);
    spec
}

// ---- one set of limits for all candidates and the oracle of a run

#[test]
fn bounds_that_leave_the_limits_are_refused_with_candidate_bounds_limits_and_what_to_do() {
    let cpu = || MetricSpec::utilization("cpu", 70);
    let hpa = |min, max| Candidate::hpa("large", spec_between(min, max, cpu()), ControllerConfig::default());
    let direct = |min, max| {
        Candidate::new("large", move |_| {
            Ok(CandidateSetup::direct(Bounds::new(min, max)?).driven_by(Driver::direct(Greedy)))
        })
    };
    for refused in [hpa(35, 700), hpa(0, 100), direct(35, 700), direct(0, 100)] {
        let error = block_on(run(&[scenario(&waves())], &[Candidate::hpa_on_cpu(70), refused], &())).unwrap_err();
        let BacktestError::OutOfLimits { candidate, bounds, limits, .. } = &error else { panic!("{error}") };
        assert_eq!((candidate.as_str(), limits.bounds()), ("large", Bounds::new(1, 200).unwrap()));
        let union = Bounds::new(bounds.min().min(1), bounds.max().max(200)).unwrap();
        let text = error.to_string();
        let said = format!("its bounds {bounds} leave the limits 1..200");
        assert!(text.contains(&said) && text.contains(&format!("widen the limits to {union}")), "{text}");
        assert!(!text.contains("  "), "{text}");
    }
    assert!(block_on(run(&[scenario(&waves())], &[hpa(1, 200), hpa(35, 150), direct(3, 200)], &())).is_ok());
}

#[test]
fn a_lower_bound_beyond_the_limits_brings_no_pods_beyond_them() {
    let model = ClusterModel { limits: HardLimits::new(2, 9).unwrap(), ..model() };
    for (bounds, pods) in [((50, 60), 9), ((1, 60), 2), ((5, 60), 5)] {
        let control = Control::Direct { bounds: Bounds::new(bounds.0, bounds.1).unwrap() };
        let cluster = cluster_like(&waves()[..60], control, model.clone());
        assert!(finish(cluster).iter().all(|step| step.pods == pods), "{bounds:?}");
    }
}

// ---- the gate does not pass on nothing

#[test]
fn a_change_over_traffic_without_a_request_is_refused_and_within_no_budget() {
    let busy_then_idle: Vec<f64> = (0..720).map(|minute| if minute < 300 { 500.0 } else { 0.0 }).collect();
    let idle_and_gaps: Vec<f64> = (0..720)
        .map(|minute| match minute {
            0..300 => 500.0,
            _ if minute % 60 < 20 => f64::NAN,
            _ => 0.0,
        })
        .collect();
    for rates in [busy_then_idle, idle_and_gaps] {
        for seed in [None, Some(3)] {
            let mut scenario = scenario(&rates);
            scenario.model.noise_seed = seed;
            let report = report(&[scenario], &[Candidate::hpa_on_cpu(70), Candidate::hpa_on_cpu(50)]);
            let refused = PolicyDiff::of(&report.traces[0], "hpa:70", "hpa:50").unwrap_err();
            assert!(matches!(refused, DiffError::NothingAsked { .. }), "{refused}");
            let text = refused.to_string();
            assert!(text.starts_with("waves: no request arrived at \"hpa:70\"") && !text.contains("  "), "{text}");
        }
    }
    // One of the two was asked for nothing: a report put together by hand.
    let mut report = report(&[scenario(&waves())], &[Candidate::hpa_on_cpu(70), Candidate::hpa_on_cpu(50)]);
    assert!(PolicyDiff::of(&report.traces[0], "hpa:70", "hpa:50").is_ok());
    for nothing in [0.0, f64::NAN] {
        report.traces[0].candidates[1].score.requests = nothing;
        let refused = PolicyDiff::of(&report.traces[0], "hpa:70", "hpa:50").unwrap_err();
        assert!(matches!(&refused, DiffError::NothingAsked { candidate, .. } if candidate == "hpa:50"), "{refused}");
    }
}

// ---- signals that are not measured

/// Metrics after half an hour under three times the load that one pod carries.
fn saturated(model: ClusterModel) -> ScalingMetrics {
    let cluster = cluster_like(&[150.0; 40], Control::Direct { bounds: Bounds::new(1, 200).unwrap() }, model);
    let at = DateTime::from_timestamp(1800, 0).unwrap();
    cluster.advance(at);
    block_on(cluster.observe(&workload(), at)).unwrap().current
}

#[test]
fn a_signal_that_is_not_measured_is_seen_by_no_engine_and_no_hpa() {
    let quiet = ClusterModel { noise_seed: None, ..model() };
    let all = saturated(quiet.clone());
    for kind in SignalKind::ALL {
        let seen = saturated(quiet.clone().without(kind));
        for other in SignalKind::ALL {
            let expected = if other == kind { None } else { all.value(other) };
            assert_eq!(seen.value(other), expected, "{other:?} without {kind:?}");
        }
    }
    assert!(all.value(SignalKind::QueueDepth) > Some(0.0) && all.value(SignalKind::RequestRate) == Some(150.0));
    for (metric, kind) in [
        (MetricSpec::external("queue_depth", Quantity::from_milli(10_000)), SignalKind::QueueDepth),
        (MetricSpec::external("rps", Quantity::from_milli(10_000)), SignalKind::RequestRate),
        (MetricSpec::utilization("cpu", 70), SignalKind::CpuUtilization),
    ] {
        let candidate = [Candidate::hpa("blind", spec_between(1, 50, metric), ControllerConfig::default())];
        assert!(block_on(run(&[scenario(&waves())], &candidate, &())).is_ok());
        let mut unmeasured = scenario(&waves());
        unmeasured.model = unmeasured.model.without(kind);
        let error = block_on(run(&[unmeasured], &candidate, &())).unwrap_err();
        assert!(error.to_string().contains("is not simulated"), "{error}");
    }
}

#[test]
fn a_rate_as_served_says_no_more_than_pods_carry() {
    let served = ClusterModel { rate_as_served: true, noise_seed: None, ..model() };
    let full = saturated(served.clone());
    assert_eq!(full.value(SignalKind::RequestRate), Some(50.0), "one pod, of 150 a second");
    assert_eq!(full.value(SignalKind::CpuUtilization), Some(100.0));
    // With pods enough, what arrives is served.
    let roomy = |model: ClusterModel| {
        let cluster = cluster_like(&waves()[..60], Control::Direct { bounds: Bounds::new(90, 200).unwrap() }, model);
        let at = DateTime::from_timestamp(1800, 0).unwrap();
        cluster.advance(at);
        block_on(cluster.observe(&workload(), at)).unwrap().current.value(SignalKind::RequestRate).unwrap()
    };
    let (arrived, served) = (roomy(ClusterModel { rate_as_served: false, ..served.clone() }), roomy(served));
    assert!((arrived - served).abs() < 1e-9 * arrived, "{arrived} {served}");
}

#[test]
fn a_model_is_written_with_what_it_measures_and_read_again() {
    let model = ClusterModel { rate_as_served: true, ..model() }.without(SignalKind::QueueDepth);
    let text = serde_json::to_string(&model).unwrap();
    assert_eq!(serde_json::from_str::<ClusterModel>(&text).unwrap(), model);
    assert_eq!(serde_json::from_str::<ClusterModel>("{}").unwrap(), ClusterModel::default());
}

// ---- records

#[test]
fn a_driver_can_record_every_tick() {
    let records = Arc::new(MemoryRecorder::new());
    let kept = Arc::clone(&records);
    let recorded = Candidate::over_hpa("recorded", 70, move |_| {
        Ok(Driver::bounds(RuleBasedEngine::default()).recorded_by(Arc::clone(&kept)))
    });
    let report = report(&[scenario(&waves())], &[recorded]);
    let decisions = report.traces[0].candidates[0].score.decisions.clone().unwrap();
    let records = records.records();
    // The settling time is recorded and not scored.
    assert_eq!(records.len() as u64, decisions.ticks + 600 / 15);
    assert!(records.windows(2).all(|pair| pair[0].at < pair[1].at));
    assert_eq!(records.iter().skip(40).filter(|record| record.is_applied()).count() as u64, decisions.applied);
}

// ---- nothing from the future

/// Instants, and all that was shown and decided then.
type Seen = Vec<(DateTime<Utc>, String)>;

/// Keeps word of all that an engine is shown, and decides by every bit of it.
struct Witness {
    seen: Arc<Mutex<Seen>>,
    drives: bool,
}

fn mixed(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[async_trait::async_trait]
impl DecisionEngine for Witness {
    fn name(&self) -> &'static str {
        "witness"
    }
    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let Observation { current, history, .. } = observation;
        let mut seen = self.seen.lock().unwrap();
        // All of the history the first time; later, what was added to it.
        let kept = if seen.is_empty() { history.len() } else { 2 };
        let newest: Vec<_> = history.iter().skip(history.len().saturating_sub(kept)).collect();
        let shown = format!("{current:?} {} {newest:?}", history.len());
        let pods = current.replicas().ok_or(EngineError::NoPodCount)?;
        let desired = if self.drives { 1 + u32::try_from(mixed(&shown) % 12).unwrap() } else { pods };
        seen.push((current.timestamp, format!("{desired} {shown}")));
        Ok(ScalingDecision::replicas("witness", current.timestamp, pods, desired).with_confidence(1.0))
    }
}

/// What is recorded besides the load.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Recording {
    RateAlone,
    Everything,
    CpuAlone,
}

/// A recording, as its maker knows it: when each sample's interval begins and ends.
#[derive(Clone, Debug)]
struct Kind {
    time: SampleTime,
    recording: Recording,
    /// Interval of each sample in seconds, and whether it is there.
    intervals: Vec<(i64, i64, bool)>,
}

impl Kind {
    /// The trace with values drawn from one seed for samples that ended by `until`, and from others for the rest.
    fn trace(&self, until: i64, demand_seed: u64, other_seed: u64) -> Trace {
        let draw = |seed: u64, nth: usize, what: &str| (mixed(&format!("{seed} {nth} {what}")) % 1000) as f64 / 1000.0;
        let there = self.intervals.iter().enumerate().filter(|(_, (.., there))| *there);
        let samples = there.map(|(nth, (begin, end, _))| {
            let (demand_seed, other_seed) = if *end <= until { (0, 0) } else { (demand_seed, other_seed) };
            let at = if self.time == SampleTime::Starts { *begin } else { *end };
            let mut sample = ScalingMetrics::new(DateTime::from_timestamp(at, 0).unwrap(), 4);
            let mut set = |kind, seed, low: f64, high: f64| {
                sample.set(kind, kind.check(low + (high - low) * draw(seed, nth, &format!("{kind:?}"))));
            };
            if self.recording != Recording::CpuAlone {
                set(SignalKind::RequestRate, demand_seed, 20.0, 400.0);
            }
            match self.recording {
                Recording::RateAlone => {}
                Recording::CpuAlone => set(SignalKind::CpuUtilization, demand_seed, 20.0, 90.0),
                Recording::Everything => {
                    set(SignalKind::CpuUtilization, other_seed, 20.0, 90.0);
                    set(SignalKind::ResponseTime, other_seed, 20.0, 400.0);
                    set(SignalKind::ErrorRate, other_seed, 0.0, 3.0);
                    set(SignalKind::QueueDepth, other_seed, 0.0, 50.0);
                }
            }
            if self.recording == Recording::RateAlone {
                sample.current_pod_count = None;
            } else {
                set(SignalKind::MemoryUtilization, other_seed, 20.0, 90.0);
                set(SignalKind::ActiveConnections, other_seed, 0.0, 900.0);
            }
            sample
        });
        Trace::from_samples("future", samples.collect(), self.time).unwrap()
    }

    /// All that engines were shown and decided over this trace, driving pods and moving an HPA's bounds.
    fn seen(&self, trace: Trace) -> [Seen; 3] {
        let basis = trace.basis();
        let period = Duration::from_secs(60);
        let model = ClusterModel {
            pod_capacity: if self.recording == Recording::CpuAlone { 1.0 } else { 50.0 },
            sync_period: period,
            scrape_period: period,
            metrics_lag: period,
            // Few pods, so that the oracle, which every replay comes with, is quick.
            limits: HardLimits::new(1, 12).unwrap(),
            noise_seed: Some(5),
            ..ClusterModel::default()
        };
        let seen: [Arc<Mutex<Seen>>; 3] = Default::default();
        let [taught, driving, moving] = seen.clone();
        let hpa_metric = if self.recording == Recording::RateAlone { "cpu" } else { "memory" };
        let candidates = [
            Candidate::direct("driven", move |training| {
                assert_eq!(training.basis, basis);
                let first = training.history.iter().last().map(|sample| sample.timestamp).unwrap_or_default();
                taught.lock().unwrap().push((first, format!("{:?}", training.history.iter().collect::<Vec<_>>())));
                Ok(Driver::direct(Witness { seen: Arc::clone(&driving), drives: true }))
            }),
            Candidate::new("moved", move |_| {
                let spec = spec_between(1, 12, MetricSpec::utilization(hpa_metric, 60));
                let witness = Witness { seen: Arc::clone(&moving), drives: false };
                Ok(CandidateSetup::hpa(spec, ControllerConfig::default()).driven_by(Driver::bounds(witness)))
            }),
        ];
        let scenario = Scenario { history_share: 0.4, settle: Duration::ZERO, ..Scenario::new(trace, model) };
        report(&[scenario], &candidates);
        seen.map(|seen| std::mem::take(&mut *seen.lock().unwrap()))
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a share of a length
fn share_of(length: usize, share: f64) -> usize {
    (length as f64 * share) as usize
}

fn kind() -> impl Strategy<Value = Kind> {
    let lengths = prop_oneof![
        Just(vec![(1600, 15)]),
        Just(vec![(420, 60)]),
        Just(vec![(90, 300)]),
        Just(vec![(14, 3600)]),
        Just(vec![(40, 300), (250, 60)]),
        Just(vec![(250, 60), (40, 300)]),
        Just(vec![(12, 3600), (300, 60), (20, 900)]),
        Just(vec![(300, 60), (12, 3600)]),
    ];
    let recording = prop_oneof![Just(Recording::RateAlone), Just(Recording::Everything), Just(Recording::CpuAlone)];
    (lengths, recording, any::<bool>(), prop::collection::vec(0.05..0.95_f64, 0..3)).prop_map(
        |(lengths, recording, starts, gaps)| {
            let mut intervals = Vec::new();
            let mut begin = 0;
            for (number, length) in lengths {
                for _ in 0..number {
                    intervals.push((begin, begin + length, true));
                    begin += length;
                }
            }
            // A gap of several samples, away from the edges and from a change of resolution.
            for gap in gaps {
                let from = share_of(intervals.len(), gap);
                let lengths: Vec<i64> = intervals.iter().map(|(begin, end, _)| end - begin).collect();
                let around = lengths.get(from.saturating_sub(12)..from + 16).unwrap_or_default();
                if !around.is_empty() && around.iter().all(|length| *length == around[0]) {
                    intervals[from..from + 3].iter_mut().for_each(|interval| interval.2 = false);
                }
            }
            Kind { time: if starts { SampleTime::Starts } else { SampleTime::Ends }, recording, intervals }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Nothing is seen of the future, over every kind of trace.
    ///
    /// A sample is *known* at an instant if its interval has ended by then. At any instant `t` of the replay, samples not known by
    /// then are replaced by others:
    ///
    /// 1. in everything but the load: all observations and decisions up to `t`, and all that a candidate learns from, stay as they
    ///    are, bit for bit. Recorded memory, connections and response times are handed out once their interval is over;
    /// 2. in the load as well: what a candidate learns from stays as it is, and so do all observations and decisions up to the
    ///    *centre* of the last known sample. From there on the load that arrives is on the line to the next centre, by
    ///    the model of the measurement: it arrives, is measured, and so may move.
    #[test]
    fn replacing_the_future_changes_no_earlier_decision(kind in kind(), cut in 0.0..1.0_f64) {
        let base = kind.seen(kind.trace(i64::MAX, 0, 0));
        let (first, last) = (base[1].first().unwrap().0.timestamp() + 120, base[1].last().unwrap().0.timestamp());
        let until = first + i64::try_from(share_of(usize::try_from(last - first).unwrap(), cut)).unwrap();
        let upto = |seen: &[(DateTime<Utc>, String)], limit: i64| {
            // A tick sees metrics that are a minute old.
            let limit = DateTime::from_timestamp(limit - 60, 0).unwrap();
            seen.iter().take_while(|(at, _)| *at <= limit).cloned().collect::<Vec<_>>()
        };
        prop_assert!(base[0].len() == 1 && !upto(&base[1], until).is_empty() && !upto(&base[2], until).is_empty());

        let others = kind.seen(kind.trace(until, 0, 1));
        prop_assert_eq!(&base[0], &others[0]);
        for way in [1, 2] {
            prop_assert_eq!(upto(&base[way], until), upto(&others[way], until));
        }

        let all = kind.seen(kind.trace(until, 1, 1));
        prop_assert_eq!(&base[0], &all[0]);
        let known = kind.intervals.iter().filter(|(_, end, there)| *there && *end <= until);
        let centre = known.map(|(begin, end, _)| i64::midpoint(*begin, *end)).max().unwrap();
        for way in [1, 2] {
            prop_assert_eq!(upto(&base[way], centre), upto(&all[way], centre));
        }
    }

    /// Resolution may change along a trace, in either order, without a gap; and a gap is one at any resolution.
    #[test]
    fn a_change_of_resolution_is_no_gap(
        coarse in prop_oneof![Just(300_i64), Just(900), Just(3600)], coarse_first: bool, starts: bool,
        missing in prop::option::of(0.1..0.9_f64),
    ) {
        let [a, b] = [(40, coarse), (60, 60)];
        let order = if coarse_first { [a, b] } else { [b, a] };
        let mut intervals = Vec::new();
        for (number, length) in order {
            for nth in 0..number {
                let begin = intervals.last().map_or(0, |(_, end, _)| *end);
                // Away from the change and from the edges.
                intervals.push((begin, begin + length, nth > 12 && nth + 12 < number));
            }
        }
        let removable: Vec<usize> = (0..intervals.len()).filter(|nth| intervals[*nth].2).collect();
        let removed = missing.map(|share| removable[share_of(removable.len(), share)]);
        let removed_s = removed.map_or(0, |nth| intervals[nth].1 - intervals[nth].0);
        for (nth, interval) in intervals.iter_mut().enumerate() {
            interval.2 = removed != Some(nth);
        }
        let end = intervals.last().unwrap().1;
        let time = if starts { SampleTime::Starts } else { SampleTime::Ends };
        let trace = Kind { time, recording: Recording::RateAlone, intervals }.trace(i64::MAX, 0, 0);
        prop_assert_eq!(trace.facts().gap_seconds, removed_s as f64);
        prop_assert_eq!((trace.span().0.timestamp(), trace.span().1.timestamp()), (0, end));
        let stepped = trace.resample(Duration::from_secs(60));
        let gap = stepped.demand().iter().filter(|demand| demand.is_nan()).count();
        prop_assert_eq!(gap as f64 * 60.0, removed_s as f64);
        prop_assert_eq!(stepped.step(), TimeDelta::seconds(60));
    }
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

// ---- the laws, inside the backtest

/// A cluster over a trace, nothing of which is history.
fn cluster(rates: &[f64], control: Control) -> Arc<Cluster> {
    cluster_like(rates, control, model())
}

fn cluster_like(rates: &[f64], control: Control, model: ClusterModel) -> Arc<Cluster> {
    let trace = Arc::new(trace("law", rates));
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
    Target::deployment("law", "web")
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
