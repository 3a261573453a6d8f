//! One set of limits holds for all candidates and the oracle of a run.

use futures::executor::block_on;
use scaling_core::backtest::{BacktestError, Candidate, CandidateSetup, ClusterModel, Control, Driver, run};
use scaling_core::hpa::{ControllerConfig, MetricSpec};
use scaling_core::{Bounds, HardLimits};

use crate::world::{Greedy, cluster_like, finish, model, report, scenario, spec_between, waves};

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
