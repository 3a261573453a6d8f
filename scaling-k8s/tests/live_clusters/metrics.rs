//! The metrics APIs of a real API server.

use std::time::SystemTime;

use kube::Client;
use scaling_core::chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use scaling_core::source::mapping::{Mapping, SignalQuery, Statistic, Unit};
use scaling_core::{MetricsSource, SignalKind, Target};
use scaling_k8s::metrics_api::{ApiMetric, MetricsApi, WorkloadMetrics};
use serde_json::{Value, json};

use crate::fixed_metrics::Aggregated;
use crate::send;

fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn web() -> Target {
    Target::deployment("default", "web")
}

/// A Deployment and its pods, as a controller and a kubelet would leave them.
async fn create(client: &Client) {
    let template = json!({
        "metadata": { "labels": { "app": "web" } },
        "spec": { "nodeName": "node", "containers": [{ "name": "main", "image": "web",
            "resources": { "requests": { "cpu": "500m", "memory": "256Mi" }, "limits": { "memory": "512Mi" } } }] },
    });
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
        "spec": { "replicas": 4, "selector": { "matchLabels": { "app": "web" } }, "template": template },
    });
    send(client, "POST", "/apis/apps/v1/namespaces/default/deployments", &deployment).await.unwrap();
    for name in ["web-a", "web-b", "web-c", "web-d"] {
        let mut pod = template.clone();
        pod["apiVersion"] = json!("v1");
        pod["kind"] = json!("Pod");
        pod["metadata"]["name"] = json!(name);
        // No controller makes service accounts here.
        pod["spec"]["automountServiceAccountToken"] = json!(false);
        let pods = "/api/v1/namespaces/default/pods";
        let made = send(client, "POST", pods, &pod).await.unwrap();
        let created: DateTime<Utc> = made["metadata"]["creationTimestamp"].as_str().unwrap().parse().unwrap();
        let ready = name != "web-d";
        let status = json!({ "status": {
            "phase": "Running", "startTime": text(created),
            "conditions": [
                { "type": "PodScheduled", "status": "True", "lastTransitionTime": text(created) },
                { "type": "Ready", "status": if ready { "True" } else { "False" }, "lastTransitionTime": text(created + TimeDelta::seconds(7)) },
            ],
        } });
        send(client, "PATCH", &format!("{pods}/{name}/status"), &status).await.unwrap();
    }
}

pub(crate) async fn without_a_metrics_server_it_says_so(admin: &Client) {
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    send(admin, "POST", accounts, &json!({ "metadata": { "name": "default" } })).await.unwrap();
    create(admin).await;
    let source = MetricsApi::new(admin.clone());
    let error = source.observe(&web(), now() + TimeDelta::seconds(10)).await.unwrap_err().to_string();
    assert!(
        error.contains("metrics.k8s.io is not available (status 404") && error.contains("metrics-server"),
        "{error}"
    );
    let other = Target::deployment("default", "nobody");
    let error = source.observe(&other, now()).await.unwrap_err();
    assert!(matches!(error, scaling_core::SourceError::UnknownTarget { .. }), "{error:?}");
}

fn list(items: &Value) -> Value {
    json!({ "kind": "List", "apiVersion": "v1", "metadata": {}, "items": items })
}

pub(crate) async fn through_the_aggregation_layer(admin: &Client, plain: &Client) {
    let folder = tempfile::tempdir().unwrap();
    let server = Aggregated::start(folder.path()).await;
    server.register(admin).await;
    // Later than the readiness that the pods tell.
    let now = now() + TimeDelta::seconds(30);
    let usage = |pod: &str, cpu: &str| {
        json!({ "metadata": { "name": pod, "namespace": "default" }, "timestamp": text(now), "window": "15s",
            "containers": [{ "name": "main", "usage": { "cpu": cpu, "memory": "64Mi" } }] })
    };
    let samples =
        json!([usage("web-a", "100m"), usage("web-b", "200000000n"), usage("web-c", "0.3"), usage("web-d", "500m")]);
    server.answer("/apis/metrics.k8s.io/v1beta1/namespaces/default/pods", list(&samples));
    let of_pod = |pod: &str| {
        json!({ "describedObject": { "kind": "Pod", "namespace": "default", "name": pod }, "metric": { "name": "rps" },
            "timestamp": text(now), "value": "2500m" })
    };
    let values = ["web-a", "web-b", "web-c", "web-d"].map(of_pod);
    server.answer("/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/*/rps", list(&json!(values)));
    let queue = json!([{ "metricName": "queue", "metricLabels": {}, "timestamp": text(now), "value": "42" }]);
    server.answer("/apis/external.metrics.k8s.io/v1beta1/namespaces/default/queue", list(&queue));
    let query = |kind, metric, unit| SignalQuery::new(kind, metric, unit, Statistic::Average);
    let mapping = Mapping::new([
        query(SignalKind::RequestRate, ApiMetric::pods("rps"), Unit::PerSecond),
        query(SignalKind::QueueDepth, ApiMetric::external("queue").with_selector("name=orders"), Unit::Count),
    ]);
    let metrics = WorkloadMetrics::default().with_metrics(mapping.unwrap());
    let source = MetricsApi::new(admin.clone()).with_workload(web(), metrics).unwrap();
    let seen = source.observe(&web(), now).await.unwrap();
    // The pods that are ready, and of memory all that run.
    assert_eq!((seen.current.current_pod_count, seen.current.desired_pod_count), (Some(3), Some(4)));
    assert_eq!(seen.current.value(SignalKind::CpuUtilization), Some(40.0), "{:?}", source.faults());
    assert_eq!(seen.current.value(SignalKind::MemoryUtilization), Some(25.0));
    let said = (seen.current.signal(SignalKind::RequestRate), source.faults(), server.asked());
    assert_eq!(seen.current.value(SignalKind::RequestRate), Some(10.0), "{said:?}");
    assert_eq!(seen.current.value(SignalKind::QueueDepth), Some(42.0));
    assert_eq!((seen.facts.cpu_request_millicores, seen.facts.memory_limit_bytes), (Some(500), Some(512 << 20)));
    assert_eq!((seen.facts.start_up.as_secs(), seen.facts.metrics_window.as_secs()), (7, 15));
    assert!(
        server.asked().iter().any(|path| path.ends_with("queue?labelSelector=name%3Dorders")),
        "{:?}",
        server.asked()
    );

    let error = MetricsApi::new(plain.clone()).observe(&web(), now).await.unwrap_err().to_string();
    assert!(error.contains("must be granted"), "{error}");
}
