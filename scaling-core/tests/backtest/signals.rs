//! Signals that are not measured, and rates as served.

use chrono::DateTime;
use futures::executor::block_on;
use scaling_core::backtest::{Candidate, ClusterModel, Control, run};
use scaling_core::hpa::{ControllerConfig, MetricSpec, Quantity};
use scaling_core::{Bounds, MetricsSource, ScalingMetrics, SignalKind};

use crate::world::{cluster_like, model, scenario, spec_between, waves, workload};

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
