//! What a source of a cluster says of the cluster itself.

use scaling_core::MetricsSource;
use scaling_core::source::mapping::{Mapping, SignalQuery, Statistic, Unit};
use scaling_core::{SignalKind, Target};
use scaling_k8s::clusters::{Clusters, PartHealth};
use scaling_k8s::metrics_api::{ApiMetric, MetricsApi, WorkloadMetrics};

use super::fake_cluster::{FakeCluster, Fault, at, status};
use super::{USAGE, web};

const QUEUE: &str = "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/queue";

fn alone(metric: ApiMetric) -> WorkloadMetrics {
    let query = SignalQuery::new(SignalKind::QueueDepth, metric, Unit::Count, Statistic::Average);
    WorkloadMetrics::default().without_cpu().without_memory().with_metrics(Mapping::new([query]).unwrap())
}

/// Fails three times in a row, and returns what is thought of the cluster then.
async fn after(fake: &FakeCluster, metrics: WorkloadMetrics, target: &Target) -> PartHealth {
    let source = MetricsApi::new(fake.client()).with_default(metrics).unwrap();
    let whole = Clusters::new([("c0", source)]).unwrap();
    for tick in 0..3 {
        assert!(whole.observe(target, at(tick)).await.is_err());
    }
    whole.health(at(3)).pop().unwrap().seeing
}

#[tokio::test(start_paused = true)]
async fn what_one_workload_or_one_metric_lacks_is_no_failure_of_its_cluster() {
    let busy = |code| Fault::Status(code, "busy".into());
    let not_found = Fault::Status(404, status(404, "NotFound", "the server could not find the metric queue"));
    for fault in [not_found, busy(404), busy(429), busy(500), busy(503)] {
        let fake = FakeCluster::web(at(0));
        fake.fault(QUEUE, fault.clone());
        fake.fault(USAGE, fault.clone());
        fake.fault("/apis/custom.metrics.k8s.io", fault);
        let metrics = [ApiMetric::external("queue"), ApiMetric::pods("queue")].map(alone);
        for metrics in metrics.into_iter().chain([WorkloadMetrics::default()]) {
            assert_eq!(after(&fake, metrics, &web()).await, PartHealth::Up);
        }
    }
    // Samples of a clock that is ahead.
    let fake = FakeCluster::web(at(3600));
    assert_eq!(after(&fake, WorkloadMetrics::default(), &web()).await, PartHealth::Up);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_busy_or_silent_is_a_failure_of_the_cluster() {
    for (path, fault) in [
        ("/api/v1/", Fault::Status(503, "busy".into())),
        ("/apis/apps/", Fault::Status(429, "busy".into())),
        ("/api/v1/", Fault::Hang),
        (USAGE, Fault::Hang),
    ] {
        let fake = FakeCluster::web(at(0));
        fake.fault(path, fault);
        let health = after(&fake, WorkloadMetrics::default(), &web()).await;
        assert!(matches!(health, PartHealth::Isolated { failures: 2, .. }), "{path}: {health:?}");
    }
}
