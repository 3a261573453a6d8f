//! Two real API servers at once, found through `KUBEBUILDER_ASSETS`: metrics through the aggregation layer of one, HPAs in both, and one of
//! them killed.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/fixed_metrics.rs"]
mod fixed_metrics;
#[path = "live_clusters/metrics.rs"]
mod metrics;
mod support;

use std::time::Duration;

use kube::Client;
use scaling_core::conformance::applier::plan;
use scaling_core::{ApplyError, ApplyMode, Bounds, HpaApplier, MetricsSource, Target};
use scaling_k8s::clusters::{Clusters, ClustersConfig, PartHealth, ServiceAccount};
use scaling_k8s::metrics_api::MetricsApi;
use scaling_k8s::{KubeHpaApplier, Writer};
use serde_json::{Value, json};
use support::{ADMIN, ControlPlane, PLAIN};

pub(crate) async fn send(client: &Client, method: &str, path: &str, body: &Value) -> kube::Result<Value> {
    let content = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let request = http::Request::builder().method(method).uri(path).header("content-type", content);
    client.request(request.body(body.to_string().into_bytes()).unwrap()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn against_two_real_api_servers() {
    let Some(assets) = support::assets() else { return };
    let (eu, us) = (ControlPlane::start(&assets).await, ControlPlane::start(&assets).await);
    metrics::without_a_metrics_server_it_says_so(&eu.client(ADMIN)).await;
    metrics::through_the_aggregation_layer(&eu.client(ADMIN), &eu.client(PLAIN)).await;
    the_cluster_that_a_pod_runs_in(&eu).await;
    one_of_two_is_killed(eu, us).await;
}

/// With the certificates that the API server has made for itself, which nobody else would trust.
async fn the_cluster_that_a_pod_runs_in(plane: &ControlPlane) {
    let folder = plane.folder().join("serviceaccount");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, text) in [("token", ADMIN), ("namespace", "default")] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    std::fs::copy(plane.folder().join("certs/apiserver.crt"), folder.join("ca.crt")).unwrap();
    let account = ServiceAccount::default().folder(folder).server(plane.server());
    let here = Clusters::in_cluster("here", &account).await.unwrap();
    let here = here.each(|_, client| KubeHpaApplier::new(client.clone()));
    let error = here.current(&Target::deployment("default", "nobody")).await.unwrap_err();
    assert!(matches!(error, ApplyError::NotFound { .. }), "{error}");
}

async fn one_of_two_is_killed(eu: ControlPlane, us: ControlPlane) {
    let bounds = |min, max| Bounds::new(min, max).unwrap();
    let clients = [("eu", eu.client(ADMIN)), ("us", us.client(ADMIN))];
    for (name, client) in &clients {
        let max = if *name == "eu" { 6 } else { 8 };
        let hpa = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": "web" },
            "spec": { "minReplicas": 2, "maxReplicas": max, "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" } },
        });
        send(client, "POST", "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers", &hpa).await.unwrap();
    }
    let config = ClustersConfig::default().with_deadlines(Duration::from_secs(5), Duration::from_secs(5));
    let both = Clusters::new(clients).unwrap().with_default("eu").unwrap().with_config(config).unwrap();
    let sources = both.each(|_, client| MetricsApi::new(client.clone()));
    let writer = |client: &Client| Writer::new(client.clone()).force().timeout(Duration::from_secs(4));
    let both = both.each(|_, client| KubeHpaApplier::new(writer(client)));
    let web = |cluster: &str| Target::deployment("default", "web").in_cluster(cluster);
    assert_eq!(both.current(&web("eu")).await.unwrap().bounds, bounds(2, 6));
    assert_eq!(both.current(&web("us")).await.unwrap().bounds, bounds(2, 8));
    assert_eq!(both.current(&Target::deployment("default", "web")).await.unwrap().bounds, bounds(2, 6));
    let grow = plan(&web("us"), bounds(2, 8), 4, 8);
    assert!(both.apply(&grow, ApplyMode::Apply).await.unwrap().changed);
    assert_eq!(both.current(&web("us")).await.unwrap().bounds, grow.new_bounds());
    assert_eq!(both.current(&web("eu")).await.unwrap().bounds, bounds(2, 6), "the other is as it was");

    drop(us);
    for _ in 0..3 {
        let error = both.current(&web("us")).await.unwrap_err();
        assert!(matches!(error, ApplyError::Unapplied { transient: true, .. }), "{error:?}");
        assert_eq!(both.current(&web("eu")).await.unwrap().bounds, bounds(2, 6));
    }
    let now = std::time::SystemTime::now().into();
    let seen = sources.observe_all(&[web("us"), web("eu")], now).await;
    assert!(matches!(&seen[0], Err(error) if error.is_transient()), "{seen:?}");
    assert_eq!(seen[1].as_ref().unwrap().current.current_pod_count, Some(3));

    let health = both.health(scaling_core::chrono::DateTime::UNIX_EPOCH);
    assert_eq!((health[0].cluster.as_str(), &health[0].acting), ("eu", &PartHealth::Up));
    assert!(matches!(&health[1].acting, PartHealth::Isolated { .. }), "{health:?}");
    let grow = plan(&web("eu"), bounds(2, 6), 3, 6);
    assert!(both.apply(&grow, ApplyMode::Apply).await.unwrap().changed, "the other goes on");
}
