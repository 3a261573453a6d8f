//! Metrics that a cluster serves, from a cluster in memory.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/fake_cluster.rs"]
mod fake_cluster;
#[path = "metrics_api/hostile.rs"]
mod hostile;
#[path = "metrics_api/in_clusters.rs"]
mod in_clusters;
#[path = "metrics_api/metrics.rs"]
mod metrics;
#[path = "metrics_api/start_up.rs"]
mod start_up;
#[path = "metrics_api/usage.rs"]
mod usage;

use fake_cluster::{FakeCluster, Fault, at, pod, sample, status, text, workload};

use scaling_core::{
    Absence, MetricsSource, Observation, Signal, SignalKind, SignalSet, SourceError, Target, conformance,
};
use scaling_k8s::metrics_api::{MetricsApi, MetricsApiConfig, ScaledKind, WorkloadMetrics};
use serde_json::{Value, json};
use std::time::Duration;

const CPU: SignalKind = SignalKind::CpuUtilization;
const MEMORY: SignalKind = SignalKind::MemoryUtilization;
const USAGE: &str = "/apis/metrics.k8s.io/";

fn web() -> Target {
    Target::deployment("shop", "web")
}

async fn see(fake: &FakeCluster) -> Result<Observation, SourceError> {
    MetricsApi::new(fake.client()).observe(&web(), at(0)).await
}

#[tokio::test(start_paused = true)]
async fn it_keeps_the_promises_of_a_source() {
    let make = || MetricsApi::new(FakeCluster::web(at(0)).client());
    conformance::source(make, &web(), at(0)).await;
    let make = || {
        let fake = FakeCluster::web(at(0));
        fake.state().usage.clear();
        MetricsApi::new(fake.client())
    };
    conformance::source::what_is_missing_is_absent(&make, &web(), at(0), &SignalKind::ALL).await;
}

#[tokio::test(start_paused = true)]
async fn a_workload_is_seen_as_its_hpa_sees_it_and_more() {
    let fake = FakeCluster::web(at(0));
    let seen = see(&fake).await.unwrap();
    assert_eq!((seen.current.current_pod_count, seen.current.desired_pod_count), (Some(3), Some(3)));
    assert_eq!((seen.current.value(CPU), seen.current.value(MEMORY)), (Some(50.0), Some(50.0)));
    assert_eq!(seen.declared, Some(SignalSet::of([CPU, MEMORY])));
    let facts = &seen.facts;
    assert_eq!((facts.cpu_request_millicores, facts.memory_request_bytes), (Some(500), Some(320 << 20)));
    assert_eq!((facts.cpu_limit_millicores, facts.memory_limit_bytes), (None, Some(576 << 20)));
    assert_eq!((facts.metrics_window, facts.start_up), (Duration::from_secs(30), Duration::from_secs(20)));
    assert_eq!(
        fake.asked(),
        [
            "/apis/apps/v1/namespaces/shop/deployments/web",
            "/api/v1/namespaces/shop/pods?labelSelector=app%3Dweb&limit=250",
            "/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods?labelSelector=app%3Dweb&limit=250",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_fleet_costs_three_questions_a_namespace_and_pages_are_followed() {
    let fake = FakeCluster::default();
    let mut targets = Vec::new();
    for number in 0..40 {
        let name = format!("w{number}");
        let mut state = fake.state();
        state.workloads.push(("deployments", workload(&name, 2)));
        for replica in ["a", "b"] {
            let named = format!("{name}-{replica}");
            state.pods.push(pod(&named, &name, at(-1000), Some(5)));
            state.usage.push(sample(&named, at(-5), 5_000_000 * number, 0));
        }
        targets.push(Target::deployment("shop", name));
    }
    let config = MetricsApiConfig::default().with_pages(25, 10, 1 << 20);
    let source = MetricsApi::new(fake.client()).with_config(config).unwrap();
    let seen = source.observe_all(&targets, at(0)).await;
    for (number, seen) in (0_i32..).zip(seen) {
        let seen = seen.unwrap();
        assert_eq!((seen.current.current_pod_count, seen.current.value(CPU)), (Some(2), Some(f64::from(number))));
    }
    let asked = fake.asked();
    assert_eq!(asked.len(), 1 + 4 + 1, "{asked:?}");
    assert!(asked.contains(&"/api/v1/namespaces/shop/pods?limit=25&continue=75".to_owned()), "{asked:?}");
    // Asked again at that instant, also by name and twice, it asks nobody.
    let twice = [targets[3].clone(), targets[3].clone(), targets[4].clone()];
    assert!(source.observe_all(&twice, at(0)).await.iter().all(Result::is_ok));
    assert_eq!(fake.asked(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn history_grows_by_a_sample_a_tick() {
    let fake = FakeCluster::web(at(0));
    let source = MetricsApi::new(fake.client());
    for tick in 0..4 {
        let seen = source.observe(&web(), at(15 * tick)).await.unwrap();
        assert_eq!((seen.now, seen.history.len()), (at(15 * tick), usize::try_from(tick).unwrap()));
    }
    assert_eq!(source.counts(&web()).unwrap().taken, 4);
    assert!(source.forget(&web()) && !source.forget(&web()));
}

#[tokio::test(start_paused = true)]
async fn after_a_clock_that_was_ahead_it_goes_on_within_a_few_ticks() {
    let fake = FakeCluster::web(at(0));
    let source = MetricsApi::new(fake.client());
    source.observe(&web(), at(0)).await.unwrap();
    // An hour ahead the samples are old, and the answer is of then.
    let ahead = source.observe(&web(), at(3600)).await.unwrap();
    assert!(matches!(ahead.current.signal(CPU), Signal::Absent(Absence::Stale { age_s: 3610 })));
    let mut back = Vec::new();
    for tick in 1..=5 {
        back.push(source.observe(&web(), at(15 * tick)).await.is_ok());
    }
    assert_eq!(back, [false, false, false, true, true]);
    assert_eq!(source.counts(&web()).unwrap().withdrawn, 1);
}

#[tokio::test(start_paused = true)]
async fn other_kinds_are_found_by_their_scale() {
    let fake = FakeCluster::web(at(0));
    let scale = "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/web/scale";
    let body = json!({ "metadata": { "name": "web" }, "spec": { "replicas": 7 }, "status": { "replicas": 5, "selector": "app=web" } });
    fake.fault(scale, Fault::Body(body.to_string()));
    let target = web().of_kind("Rollout");
    let source = MetricsApi::new(fake.client());
    let error = source.observe(&target, at(0)).await.unwrap_err();
    assert!(error.to_string().contains("where objects of kind \"Rollout\" are is not known"), "{error}");
    assert!(!error.is_transient());
    let kind = ScaledKind::new("argoproj.io", "v1alpha1", "rollouts").unwrap();
    let seen = source.with_kind("Rollout", kind).observe(&target, at(0)).await.unwrap();
    assert_eq!((seen.current.desired_pod_count, seen.current.value(CPU)), (Some(7), Some(50.0)));
}

#[tokio::test(start_paused = true)]
async fn workloads_that_are_not_there_and_names_that_lead_elsewhere_are_told_apart() {
    let fake = FakeCluster::web(at(0));
    let source = MetricsApi::new(fake.client());
    let targets =
        [Target::deployment("shop", "none"), Target::deployment("shop", "../x"), Target::deployment("a/b", "x"), web()];
    let seen = source.observe_all(&targets, at(0)).await;
    assert!(matches!(&seen[0], Err(SourceError::UnknownTarget { target }) if **target == targets[0]));
    for (seen, name) in seen[1..3].iter().zip(["\"../x\"", "\"a/b\""]) {
        let error = seen.as_ref().unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
    assert!(seen[3].is_ok());
    assert!(fake.asked().iter().all(|path| !path.contains("..") && !path.contains("a/b")));
}

/// The classes of pods, each with the utilization of `web-a` and `web-b` at 50 % beside it.
#[tokio::test(start_paused = true)]
async fn pods_count_as_the_hpas_controller_counts_them() {
    let half = Signal::Present(50.0);
    let partial = Signal::Absent(Absence::Partial { covered_percent: 66 });
    let young = || pod("web-c", "web", at(-100), Some(40));
    let cases: [(&str, Value, Value, Signal, Signal, u32); 9] = [
        ("being deleted", changed(old(), "/metadata/deletionTimestamp", json!(text(at(-5)))), busy(-5), half, half, 2),
        ("failed", changed(old(), "/status/phase", json!("Failed")), busy(-5), half, half, 2),
        ("pending", changed(old(), "/status/phase", json!("Pending")), busy(-5), half, half, 2),
        (
            "young and unready",
            pod("web-c", "web", at(-100), None),
            busy(-5),
            half,
            Signal::Present(66.666_666_666_666_67),
            2,
        ),
        // Its sample covers the start.
        ("young, measured while it started", young(), busy(-50), half, Signal::Present(66.666_666_666_666_67), 3),
        (
            "young, measured since",
            young(),
            busy(-5),
            Signal::Present(66.666_666_666_666_67),
            Signal::Present(66.666_666_666_666_67),
            3,
        ),
        ("ready for a moment, without a sample", young(), Value::Null, half, half, 3),
        ("ready since long, without a sample", old(), Value::Null, partial, partial, 3),
        ("ready since long, with a stale sample", old(), busy(-500), partial, partial, 3),
    ];
    for (name, third, its_sample, cpu, memory, ready) in cases {
        let fake = FakeCluster::web(at(0));
        {
            let mut state = fake.state();
            state.pods[2] = third;
            state.usage.remove(2);
            state.usage.extend(Some(its_sample).filter(|sample| !sample.is_null()));
        }
        let seen = see(&fake).await.unwrap();
        assert_eq!(seen.current.signal(CPU), cpu, "{name}");
        assert_eq!(seen.current.signal(MEMORY), memory, "{name}");
        assert_eq!(seen.current.current_pod_count, Some(ready), "{name}");
    }
}

fn old() -> Value {
    pod("web-c", "web", at(-3600), Some(20))
}

fn changed(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[key] = value;
    object
}

/// All of the request.
fn busy(seconds: i64) -> Value {
    sample("web-c", at(seconds), 500_000_000, 320 * 1024)
}

#[tokio::test(start_paused = true)]
async fn a_coverage_that_the_host_accepts_counts() {
    let fake = FakeCluster::web(at(0));
    fake.state().usage.pop();
    let config = MetricsApiConfig::default().with_least_coverage(60);
    let source = MetricsApi::new(fake.client()).with_config(config).unwrap();
    assert_eq!(source.observe(&web(), at(0)).await.unwrap().current.value(CPU), Some(50.0));
}

#[tokio::test(start_paused = true)]
async fn without_a_request_there_is_no_share_of_it() {
    let fake = FakeCluster::web(at(0));
    fake.state().pods[1]["spec"]["containers"][1]["resources"] = Value::Null;
    let seen = see(&fake).await.unwrap();
    for kind in [CPU, MEMORY] {
        assert_eq!(seen.current.signal(kind), Signal::Absent(Absence::NoRequest));
    }
    assert_eq!(seen.absences().count(), 2, "law 2: declared and absent");
    // A host that knows says that memory is none of its signals.
    let metrics = WorkloadMetrics::default().without_memory().without_cpu();
    let source = MetricsApi::new(fake.client()).with_default(metrics).unwrap();
    let seen = source.observe(&web(), at(0)).await.unwrap();
    assert_eq!((seen.absences().count(), seen.current.current_pod_count), (0, Some(3)));
}

#[tokio::test(start_paused = true)]
async fn a_mean_over_no_pods_is_absent() {
    let fake = FakeCluster::web(at(0));
    fake.state().pods.clear();
    let seen = see(&fake).await.unwrap();
    assert_eq!(seen.current.signal(CPU), Signal::Absent(Absence::NoPods));
    assert_eq!((seen.current.current_pod_count, seen.current.desired_pod_count), (Some(0), Some(3)));
}

#[tokio::test(start_paused = true)]
async fn a_metrics_server_that_is_not_there_is_an_error_with_advice() {
    let advice = "kubectl get apiservice v1beta1.metrics.k8s.io";
    for (code, body) in [
        (404, "404 page not found\n".to_owned()),
        (503, "service unavailable\n".to_owned()),
        (503, status(503, "ServiceUnavailable", "error trying to reach service: dial tcp: connection refused")),
    ] {
        let fake = FakeCluster::web(at(0));
        fake.fault(USAGE, Fault::Status(code, body));
        let source = MetricsApi::new(fake.client());
        let error = source.observe(&web(), at(0)).await.unwrap_err();
        let said = error.to_string();
        assert!(said.starts_with("shop/Deployment/web: ") && said.contains("/apis/metrics.k8s.io/v1beta1"), "{said}");
        assert!(said.contains(advice) && error.is_transient(), "{said}");
        assert_eq!(source.faults().len(), 1);
        // It came back.
        fake.state().faults.clear();
        assert!(source.observe(&web(), at(15)).await.is_ok() && source.faults().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_allowed_names_the_verbs_that_are_missing() {
    let fake = FakeCluster::web(at(0));
    fake.fault("/api/v1/", Fault::Status(403, status(403, "Forbidden", "pods is forbidden: User \"x\" cannot list")));
    let error = see(&fake).await.unwrap_err();
    assert!(error.to_string().contains("get and list on this resource must be granted"), "{error}");
    assert!(!error.is_transient());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_costs_the_deadline_and_no_more() {
    let fake = FakeCluster::web(at(0));
    fake.fault(USAGE, Fault::Hang);
    let source = MetricsApi::new(fake.client());
    let begun = tokio::time::Instant::now();
    let error = source.observe(&web(), at(0)).await.unwrap_err();
    assert_eq!(begun.elapsed(), Duration::from_secs(12));
    assert!(error.to_string().contains("no answer within 12 s") && error.is_transient(), "{error}");
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let default = MetricsApiConfig::default;
    for config in [
        default().with_deadline(Duration::ZERO),
        default().with_stale_after(Duration::ZERO),
        default().with_least_coverage(0),
        default().with_least_coverage(101),
        default().with_history(0),
        default().with_pages(0, 1, 1024),
    ] {
        assert!(config.check().is_err(), "{config:?}");
    }
    assert!(default().check().is_ok());
    assert!(
        ScaledKind::new("a/b", "v1", "x").is_none() && ScaledKind::new("", "v1", "replicationcontrollers").is_some()
    );
}

#[tokio::test(start_paused = true)]
async fn no_more_workloads_are_remembered_than_the_limit() {
    let fake = FakeCluster::web(at(0));
    fake.state().workloads.extend(["api", "cart"].map(|name| ("deployments", workload(name, 3))));
    let mut config = MetricsApiConfig::default();
    config.workloads = 1;
    let source = MetricsApi::new(fake.client()).with_config(config).unwrap();
    let targets = ["web", "api", "cart"].map(|name| Target::deployment("shop", name));
    let remembered = || targets.iter().filter(|target| source.counts(target).is_some()).count();
    assert!(source.observe_all(&targets, at(0)).await.iter().all(Result::is_ok));
    assert_eq!(remembered(), 1);
    // Also where only the pods are seen.
    fake.fault(USAGE, Fault::Status(404, "404 page not found".into()));
    assert!(source.observe_all(&targets, at(15)).await.iter().all(Result::is_err));
    assert_eq!(remembered(), 1);
}
