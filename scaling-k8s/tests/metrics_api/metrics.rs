//! Custom and external metrics.

use scaling_core::source::mapping::{Mapping, SignalQuery, Statistic, Unit};
use scaling_core::{Absence, MetricsSource, Observation, Signal, SignalKind, SourceError};
use scaling_k8s::metrics_api::{ApiMetric, Combine, InvalidMetrics, MetricsApi, WorkloadMetrics};
use serde_json::json;

use super::fake_cluster::{FakeCluster, Fault, at, pod, status, value};
use super::{CPU, USAGE, web};

const PODS: &str = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/pods/*/rps";
const LATENCY: &str = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/pods/*/latency";
const INGRESS: &str = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/ingresses.networking.k8s.io/main/errors";
const QUEUE: &str = "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/queue";

fn query(kind: SignalKind, metric: ApiMetric, unit: Unit) -> SignalQuery<ApiMetric> {
    SignalQuery::new(kind, metric, unit, Statistic::Average)
}

fn all() -> WorkloadMetrics {
    let p95: Statistic = "p95".parse().unwrap();
    let queries = [
        query(SignalKind::RequestRate, ApiMetric::pods("rps"), Unit::PerSecond),
        SignalQuery::new(SignalKind::ResponseTime, ApiMetric::pods("latency"), Unit::Seconds, p95),
        query(SignalKind::ErrorRate, ApiMetric::object("ingresses.networking.k8s.io", "main", "errors"), Unit::Ratio),
        query(SignalKind::QueueDepth, ApiMetric::external("queue"), Unit::Count),
    ];
    WorkloadMetrics::default().with_metrics(Mapping::new(queries).unwrap())
}

fn cluster() -> FakeCluster {
    let fake = FakeCluster::web(at(0));
    {
        let mut state = fake.state();
        let of_pods = |values: [&str; 3]| {
            ["web-a", "web-b", "web-c"].iter().zip(values).map(|(pod, text)| value(pod, at(-5), text)).collect()
        };
        state.metrics.insert(PODS.into(), of_pods(["1500m", "2", "2500m"]));
        state.metrics.insert(LATENCY.into(), of_pods(["100m", "0.2", "300000u"]));
        state.metrics.insert(INGRESS.into(), vec![value("main", at(-5), "25m")]);
        let series = |text: &str| json!({ "metricName": "queue", "timestamp": super::text(at(-5)), "value": text });
        state.metrics.insert(QUEUE.into(), vec![series("1k"), series("200")]);
    }
    fake
}

async fn seen(fake: &FakeCluster, metrics: WorkloadMetrics) -> Result<Observation, SourceError> {
    MetricsApi::new(fake.client()).with_workload(web(), metrics).unwrap().observe(&web(), at(0)).await
}

#[tokio::test(start_paused = true)]
async fn each_signal_comes_in_its_own_unit() {
    let seen = seen(&cluster(), all()).await.unwrap();
    let close = |kind, expected: f64| {
        let found = seen.current.value(kind).unwrap();
        assert!((found - expected).abs() < 1e-9, "{kind}: {found}");
    };
    close(SignalKind::RequestRate, 6.0);
    close(SignalKind::ResponseTime, 200.0);
    close(SignalKind::ErrorRate, 2.5);
    close(SignalKind::QueueDepth, 1200.0);
    close(CPU, 50.0);
    assert_eq!(seen.current.response_time_quantile, Some(0.95));
    assert_eq!(seen.absences().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_older_version_is_spoken_where_it_is_the_only_one() {
    let fake = cluster();
    {
        let mut state = fake.state();
        state.custom_versions = vec!["v1beta1"];
        let items = state.metrics.remove(PODS).unwrap();
        state.metrics.insert(PODS.replace("v1beta2", "v1beta1"), items);
    }
    let rate = || [query(SignalKind::RequestRate, ApiMetric::pods("rps"), Unit::PerSecond)];
    let metrics = || WorkloadMetrics::default().with_metrics(Mapping::new(rate()).unwrap());
    assert_eq!(seen(&fake, metrics()).await.unwrap().current.value(SignalKind::RequestRate), Some(6.0));
    fake.state().custom_versions = vec!["v2"];
    let source = MetricsApi::new(fake.client()).with_workload(web(), metrics()).unwrap();
    let seen = source.observe(&web(), at(0)).await.unwrap();
    assert_eq!(seen.current.signal(SignalKind::RequestRate), Signal::NOT_MEASURED);
    assert!(source.faults()[0].to_string().contains("it serves v2"), "{:?}", source.faults());
}

#[tokio::test(start_paused = true)]
async fn one_api_that_is_lost_costs_its_signals_alone_and_all_of_them_are_an_error() {
    let fake = cluster();
    fake.fault("/apis/custom.metrics.k8s.io", Fault::Status(503, "service unavailable".into()));
    let lost = seen(&fake, all()).await.unwrap();
    let absent: Vec<_> = lost.absences().map(|(kind, _)| kind).collect();
    assert_eq!(absent, [SignalKind::RequestRate, SignalKind::ResponseTime, SignalKind::ErrorRate]);
    fake.fault(USAGE, Fault::Status(404, "404 page not found".into()));
    fake.fault(QUEUE, Fault::Status(404, status(404, "NotFound", "the server could not find the metric queue")));
    let error = seen(&fake, all()).await.unwrap_err();
    assert!(error.to_string().contains("is metrics-server installed"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_sum_of_which_a_part_is_missing_stale_or_odd_is_none() {
    let rate = SignalKind::RequestRate;
    for (change, expected) in [
        (None, Absence::Partial { covered_percent: 66 }),
        (Some(value("web-c", at(-500), "2")), Absence::Partial { covered_percent: 66 }),
        (Some(value("web-c", at(-5), "-2")), Absence::Partial { covered_percent: 66 }),
        (Some(value("web-c", at(-4000), "2")), Absence::Partial { covered_percent: 66 }),
        (Some(value("web-c", at(500), "2")), Absence::Partial { covered_percent: 66 }),
    ] {
        let fake = cluster();
        {
            let mut state = fake.state();
            let values = state.metrics.get_mut(PODS).unwrap();
            values.pop();
            values.extend(change);
        }
        assert_eq!(seen(&fake, all()).await.unwrap().current.signal(rate), Signal::Absent(expected));
    }
    let queue = |text: &str, seconds| vec![value("", at(-5), "7"), value("", at(seconds), text)];
    for (values, expected) in [
        (queue("-1", -5), Absence::OutOfRange),
        (queue("1", -500), Absence::Stale { age_s: 500 }),
        (queue("1", 500), Absence::NotMeasured),
        (vec![], Absence::NotMeasured),
        (queue("1e40", -5), Absence::OutOfRange),
        (vec![value("", at(-5), "seven")], Absence::NotMeasured),
    ] {
        let fake = cluster();
        fake.state().metrics.insert(QUEUE.into(), values.clone());
        let found = seen(&fake, all()).await.unwrap().current.signal(SignalKind::QueueDepth);
        assert_eq!(found, Signal::Absent(expected), "{values:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sum_misses_the_youngest_pods_too_and_a_mean_waits_for_them() {
    let combined = |combine| {
        let rate = ApiMetric::Pods { metric: "rps".into(), selector: None, combine: Some(combine) };
        let rate = query(SignalKind::RequestRate, rate, Unit::PerSecond);
        WorkloadMetrics::default().with_metrics(Mapping::new([rate]).unwrap())
    };
    let fake = cluster();
    {
        let mut state = fake.state();
        // Three more for the three, ready since 5 s: half of the load is theirs.
        for name in ["web-d", "web-e", "web-f"] {
            state.pods.push(pod(name, "web", at(-25), Some(20)));
        }
        // Not ready: nothing is sent there.
        state.pods.push(pod("web-g", "web", at(-25), None));
    }
    let rate = |seen: Observation| seen.current.signal(SignalKind::RequestRate);
    let sum = seen(&fake, combined(Combine::Sum)).await.unwrap();
    assert_eq!(rate(sum), Signal::Absent(Absence::Partial { covered_percent: 50 }), "law 2: no value is no 0");
    for (combine, expected) in [(Combine::Mean, 2.0), (Combine::Max, 2.5)] {
        assert_eq!(rate(seen(&fake, combined(combine)).await.unwrap()), Signal::Present(expected));
    }
    for name in ["web-d", "web-e", "web-f"] {
        fake.state().metrics.get_mut(PODS).unwrap().push(value(name, at(-1), "2"));
    }
    assert_eq!(rate(seen(&fake, combined(Combine::Sum)).await.unwrap()), Signal::Present(12.0));
}

#[test]
fn what_cannot_be_asked_for_is_refused_when_it_is_declared() {
    let one = |query| WorkloadMetrics::default().with_metrics(Mapping::new([query]).unwrap()).check();
    let rate = SignalKind::RequestRate;
    assert!(matches!(one(query(CPU, ApiMetric::pods("cpu"), Unit::Percent)), Err(InvalidMetrics::Taken(_))));
    let counted = SignalQuery::new(rate, ApiMetric::pods("total"), Unit::PerPeriod, Statistic::Sum);
    assert!(matches!(one(counted), Err(InvalidMetrics::Mapping(_))));
    for odd in [
        ApiMetric::pods("a/b"),
        ApiMetric::pods(".."),
        ApiMetric::external(""),
        ApiMetric::external("q").with_selector("a\n"),
        ApiMetric::object("pods/x", "a", "m"),
        ApiMetric::object("services", "a/b", "m"),
    ] {
        assert!(matches!(one(query(rate, odd.clone(), Unit::PerSecond)), Err(InvalidMetrics::Name { .. })), "{odd:?}");
    }
    assert!(one(query(rate, ApiMetric::pods("rps").with_selector("verb=GET"), Unit::PerSecond)).is_ok());
}

#[test]
fn a_metric_is_written_as_it_reads() {
    let text = r#"{"api":"external","metric":"queue","selector":"name=a","combine":"max"}"#;
    let read: ApiMetric = serde_json::from_str(text).unwrap();
    assert_eq!((serde_json::to_string(&read).unwrap().as_str(), read.metric()), (text, "queue"));
    assert!(serde_json::from_str::<ApiMetric>(r#"{"api":"pods","metric":"a","selektor":"x"}"#).is_err());
}
