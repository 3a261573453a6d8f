//! A change of policy as a gate, which does not pass on nothing.

use scaling_core::Bounds;
use scaling_core::backtest::{Budget, BudgetLimit, Candidate, DiffError, PolicyDiff};
use scaling_core::hpa::{ControllerConfig, CrossVersionObjectReference, HpaBehavior, HpaSpec, MetricSpec};

use crate::world::{report, scenario, waves};

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
    let cost = Budget { cost_increase: Some(0.1), violating_increase: Some(0.0), ..nothing };
    assert_eq!(names(cost), [BudgetLimit::CostIncrease]);
    let all = Budget {
        cost_increase: Some(-0.5),
        violating_share: Some(-1.0),
        violating_increase: Some(f64::NAN),
        violation_minutes_a_day: Some(-1.0),
        scale_events_a_day: Some(0.0),
        bound_changes_a_day: Some(-1.0),
    };
    assert_eq!(names(all).len(), 6, "a limit that is no number is exceeded");
    assert!(diff.to_string().contains("pod-hours"));
    let other = PolicyDiff::of(&report.traces[0], "current", "other").unwrap_err();
    assert!(matches!(&other, DiffError::NotReplayed { candidate, .. } if candidate == "other"), "{other}");
}

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
