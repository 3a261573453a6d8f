//! A run as a whole: the same twice, scored in the order asked for, refused where nothing can be scored.

use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use futures::executor::block_on;
use scaling_core::backtest::{
    BacktestError, Candidate, ClusterModel, Driver, Report, SampleTime, Scenario, Trace, run,
};
use scaling_core::hpa::{ControllerConfig, CrossVersionObjectReference, HpaSpec, MetricSpec};
use scaling_core::{Bounds, MemoryRecorder, RuleBasedEngine, ScalingMetrics, SignalKind};

use crate::world::{candidates, model, report, scenario, waves};

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
fn an_hpa_on_what_is_not_simulated_is_refused_by_name() {
    let mut spec = HpaSpec::new(CrossVersionObjectReference::deployment("web"), Bounds::new(2, 100).unwrap());
    spec.metrics = Some(vec![MetricSpec::utilization("nvidia.com/gpu", 80)]);
    let candidate = Candidate::hpa("gpu", spec, ControllerConfig::default());
    let error = block_on(run(&[scenario(&waves())], &[candidate], &())).unwrap_err();
    assert!(error.to_string().contains("\"nvidia.com/gpu\" is not simulated"), "{error}");
}

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

#[test]
fn changes_of_bounds_are_counted_beside_those_of_pods() {
    let report = report(&[scenario(&waves()), scenario(&waves()[..600])], &candidates());
    let [alone, moved] = ["hpa:70", "rules over hpa"].map(|name| &report.traces[0].candidate(name).unwrap().score);
    assert_eq!((alone.bound_changes, moved.bound_changes), (0, moved.decisions.as_ref().unwrap().applied));
    assert!(moved.bound_changes > 0 && moved.bound_changes_a_day() * moved.hours / 24.0 > 0.5);
    let row = report.summary.iter().find(|row| row.name == "rules over hpa").unwrap();
    assert!(row.bound_changes_a_day > 0.0 && report.to_table().contains("bounds/day"));
}
