//! Policies that could not act say so.

use std::time::Duration;

use chrono::DateTime;
use scaling_core::backtest::{Candidate, Note, PolicyDiff, SampleTime, Scenario, Trace};
use scaling_core::hpa::{ControllerConfig, MetricSpec, Quantity};
use scaling_core::{HardLimits, ScalingMetrics, SignalKind};

use crate::world::{candidates, model, report, scenario, spec_between, waves};

#[test]
fn a_policy_that_could_not_act_says_so_in_table_page_json_and_gate() {
    // Memory is recorded, but not while the replay runs: the HPA's only metric has no value at any sync.
    let sample = |minute: i64| {
        let at = DateTime::from_timestamp(minute * 60, 0).unwrap();
        let sample = ScalingMetrics::new(at, 4).with(SignalKind::RequestRate, 300.0);
        if minute < 300 { sample.with(SignalKind::MemoryUtilization, 60.0) } else { sample }
    };
    let trace = Trace::from_samples("blind", (0..720).map(sample).collect(), SampleTime::Starts).unwrap();
    let scenario = Scenario { settle: Duration::from_secs(600), ..Scenario::new(trace, model()) };
    let blind = Candidate::hpa(
        "on memory",
        spec_between(2, 50, MetricSpec::utilization("memory", 70)),
        ControllerConfig::default(),
    );
    let report = report(&[scenario], &[blind, Candidate::hpa_on_cpu(70)]);
    let [blind, seeing] = [0, 1].map(|nth| &report.traces[0].candidates[nth].score.notes);
    let [Note::MetricFailed { metric, failed, syncs, .. }] = blind.as_slice() else { panic!("{blind:?}") };
    assert!(metric == "memory" && failed == syncs && *syncs > 1000, "{blind:?}");
    assert!(seeing.is_empty(), "{seeing:?}");
    let said = format!("its metric memory had no value at every sync ({syncs})");
    let diff = PolicyDiff::of(&report.traces[0], "hpa:70", "on memory").unwrap().to_string();
    for (where_, text) in [("table", report.to_table()), ("page", report.to_html()), ("gate", diff.clone())] {
        assert!(text.contains(&said), "{where_}\n{text}");
    }
    assert!(diff.contains("note: proposed: its metric"), "{diff}");
    assert!(report.to_json().unwrap().contains("\"kind\": \"metric_failed\""));
}

#[test]
fn a_container_that_is_replayed_as_its_pod_is_noted() {
    let metric = serde_json::from_str(
        r#"{"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "app", "target": {"type": "Utilization",
            "averageUtilization": 70}}}"#,
    );
    let own = Candidate::hpa("on app", spec_between(1, 50, metric.unwrap()), ControllerConfig::default());
    let report = report(&[scenario(&waves())], &[own, Candidate::hpa_on_cpu(70)]);
    let said = "the cpu of its container app was replayed as that of the whole pod";
    let gate = PolicyDiff::of(&report.traces[0], "hpa:70", "on app").unwrap().to_string();
    for (where_, text) in [("table", report.to_table()), ("page", report.to_html()), ("gate", gate)] {
        assert!(text.contains(said), "{where_}\n{text}");
    }
    let [one, other] = [0, 1].map(|nth| &report.traces[0].candidates[nth].score);
    assert_eq!((one.pod_hours, other.notes.len()), (other.pod_hours, 0));
}

#[test]
fn requests_that_find_no_pod_are_noted() {
    let asleep = spec_between(0, 50, MetricSpec::external("queue_depth", Quantity::from_milli(1_000_000)));
    let mut idle_first = scenario(&(0..720).map(|minute| if minute < 500 { 0.0 } else { 90.0 }).collect::<Vec<_>>());
    idle_first.model.limits = HardLimits::new(0, 200).unwrap();
    let report = report(&[idle_first], &[Candidate::hpa("asleep", asleep, ControllerConfig::default())]);
    let notes = &report.traces[0].candidates[0].score.notes;
    let found = |kind: fn(&Note) -> bool| notes.iter().any(kind);
    assert!(found(|note| matches!(note, Note::NoPod { requests, .. } if *requests > 0.0)), "{notes:?}");
}

#[test]
fn an_engine_that_sees_nothing_in_a_gap_has_not_failed() {
    let mut rates = waves();
    rates[500..560].fill(f64::NAN);
    let report = report(&[scenario(&rates)], &candidates());
    let decisions = report.traces[0].candidate("rules").unwrap().score.decisions.clone().unwrap();
    assert_eq!(decisions.failed, 0, "{decisions:?}");
}
