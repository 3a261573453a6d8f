//! The Prometheus source against the real Prometheus and VictoriaMetrics.
#![allow(clippy::unwrap_used, clippy::float_cmp, clippy::indexing_slicing, missing_docs, unreachable_pub)]

mod coverage;
#[cfg(feature = "telemetry")]
mod proxy;
mod servers;
#[cfg(feature = "telemetry")]
mod wire;

use std::time::Duration;

use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::conformance::{self, dataset};
use scaling_core::source::prometheus::{Backfill, Measure, QuerySet, QueryTemplate, Unit, Verdict};
use scaling_core::{Absence, MetricsSource, RuleBasedEngine, Signal, SignalKind, SourceError, Target, WorkloadFacts};
use servers::{Data, Running};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_750_000_020 + seconds, 0).unwrap()
}

/// Both servers with the same data; those that are installed.
async fn both(data: &Data) -> Vec<Running> {
    [Running::prometheus(data).await, Running::victoria_metrics(data).await].into_iter().flatten().collect()
}

fn gauge(measure: Measure, metric: &str) -> QueryTemplate {
    let promql = format!(r#"{metric}{{namespace=~"{{namespace}}",workload=~"{{workload}}"}}"#);
    QueryTemplate::new(measure, Unit::Own, promql).unwrap()
}

fn labels(target: &Target) -> String {
    format!(r#"{{namespace="{}",workload="{}"}}"#, target.namespace, target.name)
}

/// Values of a series from some second on, `step` apart.
fn every(step: usize, seconds: std::ops::Range<i64>, value: impl Fn(i64) -> f64) -> Vec<(DateTime<Utc>, f64)> {
    (seconds.start..seconds.end).step_by(step).map(|second| (at(second), value(second))).collect()
}

#[tokio::test]
async fn the_labelled_scenarios_give_the_same_decisions_as_from_the_file() {
    let scenarios = dataset::scenarios(include_str!("../../../test_data/metrics_dataset.json")).unwrap();
    assert_eq!(scenarios.len(), 8);
    let target = |name: &str| Target::deployment("dataset", name);
    let mut data = Data::default();
    for scenario in &scenarios {
        let labels = labels(&target(&scenario.name));
        for kind in SignalKind::ALL {
            let values = scenario.samples.iter().filter_map(|sample| Some((sample.timestamp, sample.value(kind)?)));
            let mut values: Vec<_> = values.collect();
            // VictoriaMetrics does not find a series at the very midnight at which it begins.
            values.splice(..0, values.first().map(|(first, _)| (*first - TimeDelta::seconds(1), 1.0)));
            data.add(format!("scenario_{}{labels}", kind.field()), values);
        }
        let pods =
            scenario.samples.iter().filter_map(|sample| Some((sample.timestamp, sample.current_pod_count?.into())));
        let mut pods: Vec<_> = pods.collect();
        pods.splice(..0, pods.first().map(|(first, _)| (*first - TimeDelta::seconds(1), 1.0)));
        data.add(format!("scenario_pods{labels}"), pods);
    }
    for server in both(&data).await {
        for scenario in &scenarios {
            let expected = scenario.observation().unwrap();
            let declared = expected.declared();
            let set = declared.iter().fold(QuerySet::empty(), |set, kind| {
                set.with(gauge(Measure::Signal(kind), &format!("scenario_{}", kind.field())))
            });
            let target = target(&scenario.name);
            let source = server.source(set.with(gauge(Measure::ReadyPods, "scenario_pods")));
            let source = source.with_facts(target.clone(), WorkloadFacts::default());
            let mut seen = None;
            for sample in &scenario.samples {
                seen = Some(source.observe(&target, sample.timestamp).await.unwrap());
            }
            let seen = seen.unwrap().with_events(scenario.events.clone());
            assert_eq!((&seen.current, &seen.history), (&expected.current, &expected.history), "{}", scenario.name);
            let engine = RuleBasedEngine::default;
            let decided = engine().evaluate(&seen).unwrap();
            assert_eq!(decided, engine().evaluate(&expected).unwrap(), "{}: {}", server.name, scenario.name);
        }
    }
}

/// A fleet as kube-state-metrics, cAdvisor and Istio report it: a Deployment `web` of two pods (a third has not started), and a
/// StatefulSet of the same name.
fn cluster() -> Data {
    let mut data = Data::default();
    let mut add = |selector: &str, value: &dyn Fn(i64) -> f64| data.add(selector, every(30, -1800..1, value));
    let one = |_| 1.0;
    add(
        r#"kube_replicaset_owner{namespace="shop",replicaset="web-7d",owner_kind="Deployment",owner_name="web"}"#,
        &one,
    );
    for (pod, kind, owner, ready) in [
        ("web-7d-a", "ReplicaSet", "web-7d", 1.0),
        ("web-7d-b", "ReplicaSet", "web-7d", 1.0),
        ("web-7d-c", "ReplicaSet", "web-7d", 0.0),
        ("web-0", "StatefulSet", "web", 1.0),
    ] {
        add(
            &format!(r#"kube_pod_owner{{namespace="shop",pod="{pod}",owner_kind="{kind}",owner_name="{owner}"}}"#),
            &one,
        );
        add(&format!(r#"kube_pod_status_ready{{namespace="shop",pod="{pod}",condition="true"}}"#), &|_| ready);
        for (resource, request) in [("cpu", 0.5), ("memory", 1000.0)] {
            let labels = format!(r#"namespace="shop",pod="{pod}",container="app",resource="{resource}""#);
            add(&format!("kube_pod_container_resource_requests{{{labels}}}"), &|_| request);
        }
        let labels = format!(r#"namespace="shop",pod="{pod}",container="app""#);
        let cores = if pod == "web-0" { 0.1 } else { 0.3 };
        add(&format!("container_cpu_usage_seconds_total{{{labels}}}"), &|second| (second + 1800) as f64 * cores);
        add(&format!("container_memory_working_set_bytes{{{labels}}}"), &|_| 250.0);
    }
    add(r#"kube_deployment_status_replicas_ready{namespace="shop",deployment="web"}"#, &|_| 2.0);
    add(r#"kube_deployment_spec_replicas{namespace="shop",deployment="web"}"#, &|_| 3.0);
    add(r#"kube_statefulset_status_replicas_ready{namespace="shop",statefulset="web"}"#, &one);
    add(r#"kube_statefulset_replicas{namespace="shop",statefulset="web"}"#, &one);
    let to = r#"reporter="destination",destination_workload_namespace="shop",destination_workload="web""#;
    for (code, rate) in [("200", 9.0), ("503", 1.0)] {
        add(&format!(r#"istio_requests_total{{{to},response_code="{code}"}}"#), &|second| {
            (second + 1800) as f64 * rate
        });
    }
    for (le, rate) in [("100", 5.0), ("200", 10.0), ("+Inf", 10.0)] {
        let selector = format!(r#"istio_request_duration_milliseconds_bucket{{{to},le="{le}"}}"#);
        add(&selector, &|second| (second + 1800) as f64 * rate);
    }
    let calm = to.replace(r#"="web""#, r#"="calm""#);
    add(&format!(r#"istio_requests_total{{{calm},response_code="200"}}"#), &|second| (second + 1800) as f64 * 4.0);
    add(r#"kube_deployment_spec_replicas{namespace="shop",deployment="calm"}"#, &|_| 4.0);
    data
}

#[tokio::test]
async fn ready_made_sets_measure_what_they_say() {
    for server in both(&cluster()).await {
        let source = server.source(QuerySet::kubernetes().and(QuerySet::istio()));
        let web = Target::deployment("shop", "web");
        let targets = [web.clone(), web.clone().of_kind("StatefulSet"), Target::deployment("shop", "calm")];
        let [web_seen, stateful, calm] = &source.observe_all(&targets, at(0)).await[..] else { panic!("three") };
        let near = |seen: &Result<scaling_core::Observation, SourceError>, kind, expected: f64| {
            let value = seen.as_ref().unwrap().current.value(kind);
            assert!(value.is_some_and(|value| (value - expected).abs() < 0.5), "{}: {kind} {value:?}", server.name);
        };
        near(web_seen, SignalKind::CpuUtilization, 60.0);
        near(web_seen, SignalKind::MemoryUtilization, 25.0);
        near(web_seen, SignalKind::RequestRate, 10.0);
        near(web_seen, SignalKind::ErrorRate, 10.0);
        near(web_seen, SignalKind::ResponseTime, 190.0);
        let current = &web_seen.as_ref().unwrap().current;
        assert_eq!((current.current_pod_count, current.desired_pod_count), (Some(2), Some(3)));
        assert_eq!(current.response_time_quantile, Some(0.95));
        near(stateful, SignalKind::CpuUtilization, 20.0);
        assert_eq!(stateful.as_ref().unwrap().current.current_pod_count, Some(1));
        // No failure was ever counted: that is 0 %, measured.
        near(calm, SignalKind::ErrorRate, 0.0);
        assert_eq!(calm.as_ref().unwrap().current.signal(SignalKind::CpuUtilization), Signal::NOT_MEASURED);
        assert_eq!((source.report().failed, source.report().ambiguous), (vec![], vec![]), "{}", server.name);
        conformance::source(|| server.source(QuerySet::kubernetes().and(QuerySet::istio())), &web, at(0)).await;
        for check in source.check(&web, at(0)).await {
            assert!(check.verdict.is_good(), "{}: {check}", server.name);
        }
        let renamed = source.check(&Target::deployment("shop", "web-v2"), at(0)).await;
        for check in renamed {
            assert!(matches!(&check.verdict, Verdict::LabelsDoNotMatch { found } if !found.is_empty()), "{check}");
        }
    }
}

#[tokio::test]
async fn a_second_instance_that_reports_the_same_changes_nothing() {
    // Two replicas; and one that was replaced a minute ago, whose last samples still count as fresh.
    for until in [0, -60] {
        for server in both(&cluster().reported_twice(at(until))).await {
            let source = server.source(QuerySet::kubernetes());
            let seen = source.observe(&Target::deployment("shop", "web"), at(0)).await.unwrap().current;
            for (kind, expected) in [(SignalKind::CpuUtilization, 60.0), (SignalKind::MemoryUtilization, 25.0)] {
                let value = seen.value(kind);
                let near = value.is_some_and(|value| (value - expected).abs() < 0.5);
                assert!(near, "{}, second instance until {until}: {kind} {value:?}", server.name);
            }
            assert_eq!((seen.current_pod_count, seen.desired_pod_count), (Some(2), Some(3)), "{}", server.name);
        }
    }
}

#[tokio::test]
async fn a_status_that_no_series_tells_is_no_zero_and_waypoints_report_too() {
    let mut data = Data::default();
    let mut add = |workload: &str, more: &str| {
        let to = format!(r#"destination_workload_namespace="shop",destination_workload="{workload}",{more}"#);
        data.add(format!("istio_requests_total{{{to}}}"), every(30, -1800..1, |second| (second + 1800) as f64));
    };
    add("unlabelled", r#"reporter="destination""#);
    add("calm", r#"reporter="destination",response_code="200""#);
    add("ambient", r#"reporter="waypoint",response_code="200""#);
    add("ambient", r#"reporter="source",response_code="200""#);
    // Half of it tells no status: the share is of the half that does.
    add("half", r#"reporter="destination""#);
    add("half", r#"reporter="destination",response_code="503""#);
    let targets = ["unlabelled", "calm", "ambient", "half"].map(|name| Target::deployment("shop", name));
    for server in both(&data).await {
        let seen = server.source(QuerySet::istio()).observe_all(&targets, at(0)).await;
        let seen = seen.into_iter().map(|seen| seen.unwrap().current).collect::<Vec<_>>();
        let rates = seen.iter().map(|seen| seen.value(SignalKind::RequestRate).map(f64::round)).collect::<Vec<_>>();
        assert_eq!(rates, [1.0, 1.0, 1.0, 2.0].map(Some), "{}", server.name);
        let errors = seen.iter().map(|seen| seen.signal(SignalKind::ErrorRate)).collect::<Vec<_>>();
        let [zero, all] = [0.0, 100.0].map(Signal::Present);
        assert_eq!(errors, [Signal::NOT_MEASURED, zero, zero, all], "{}", server.name);
    }
}

#[tokio::test]
async fn every_ready_made_query_is_understood_and_an_empty_store_is_no_zero() {
    let sets = [
        QuerySet::kubernetes(),
        QuerySet::ingress_nginx(),
        QuerySet::istio(),
        QuerySet::linkerd(),
        QuerySet::opentelemetry(),
    ];
    for server in both(&Data::default()).await {
        for set in &sets {
            let source = server.source(set.clone().matching("cluster", "eu \"1\""));
            let target = Target::deployment("shop", "a.b|c\"d\\e");
            for check in source.check(&target, at(0)).await {
                assert_eq!(check.verdict, Verdict::Empty, "{}: {check}", server.name);
            }
            let error = source.observe(&target, at(0)).await.unwrap_err();
            assert!(matches!(error, SourceError::NoData { .. }), "{}: {error}", server.name);
        }
    }
}

#[tokio::test]
async fn stale_series_a_recorded_nan_and_a_label_rename_are_told_apart() {
    let (web, mut data) = (Target::deployment("shop", "web"), Data::default());
    data.add(format!("load{}", labels(&web)), every(30, -3600..1, |_| 50.0));
    data.add(format!("cpu{}", labels(&web)), every(30, -3600..-600, |_| 60.0));
    data.add(format!("errors{}", labels(&web)), every(30, -3600..1, |_| f64::NAN));
    data.add(r#"queue{namespace="shop",app="web"}"#, every(30, -3600..1, |_| 3.0));
    let measures = [
        (SignalKind::RequestRate, "load"),
        (SignalKind::CpuUtilization, "cpu"),
        (SignalKind::ErrorRate, "errors"),
        (SignalKind::QueueDepth, "queue"),
    ];
    let set =
        measures.iter().fold(QuerySet::empty(), |set, (kind, metric)| set.with(gauge(Measure::Signal(*kind), metric)));
    for server in both(&data).await {
        let source = server.source(set.clone());
        source.observe(&web, at(-900)).await.unwrap();
        let seen = source.observe(&web, at(0)).await.unwrap();
        let said = |kind| seen.current.signal(kind);
        assert_eq!(said(SignalKind::RequestRate), Signal::Present(50.0));
        assert_eq!(said(SignalKind::CpuUtilization), Signal::Absent(Absence::Stale { age_s: 900 }), "{}", server.name);
        assert_eq!(said(SignalKind::QueueDepth), Signal::NOT_MEASURED);
        // VictoriaMetrics keeps no NaN.
        assert!(said(SignalKind::ErrorRate).value().is_none());
        if server.name == "Prometheus" {
            assert_eq!(said(SignalKind::ErrorRate), Signal::Absent(Absence::NotFinite));
        }
        assert_eq!(seen.absences().count(), 3, "{}", server.name);
        let checks = source.check(&web, at(0)).await;
        let verdict =
            |kind| checks.iter().find(|check| check.measure == Measure::Signal(kind)).unwrap().verdict.clone();
        assert!(matches!(verdict(SignalKind::CpuUtilization), Verdict::Stale { .. }), "{}: {checks:?}", server.name);
        let Verdict::LabelsDoNotMatch { found } = verdict(SignalKind::QueueDepth) else { panic!("{checks:?}") };
        assert!(found[0].contains(r#"app="web""#), "{found:?}");
    }
}

#[tokio::test]
async fn two_weeks_are_backfilled_and_a_killed_server_is_transient_until_it_is_back() {
    let (web, mut data) = (Target::deployment("shop", "web"), Data::default());
    let load = |second: i64| 100.0 + (second.rem_euclid(86_400) / 864) as f64;
    data.add(format!("load{}", labels(&web)), every(60, -14 * 86_400..1, load));
    let set = QuerySet::empty().with(gauge(Measure::Signal(SignalKind::RequestRate), "load"));
    for mut server in both(&data).await {
        let source = server.source(set.clone());
        let report = source
            .backfill(std::slice::from_ref(&web), at(0), Backfill { pause: Duration::ZERO, ..Backfill::default() })
            .await;
        assert_eq!((report.samples, report.failed.len()), (14 * 1440, 0), "{}", server.name);
        let seen = source.observe(&web, at(0)).await.unwrap();
        assert_eq!(seen.history.len(), 14 * 1440);
        for sample in seen.history.iter() {
            let second = (sample.timestamp - at(0)).num_seconds();
            assert_eq!(sample.value(SignalKind::RequestRate), Some(load(second)), "{}: {second}", server.name);
        }
        server.kill();
        let error = source.observe(&web, at(15)).await.unwrap_err();
        assert!(matches!(error, SourceError::Backend { transient: true, .. }), "{error}");
        server.restart(&data).await;
        let again = source.observe(&web, at(30)).await.unwrap();
        assert_eq!(again.history.newest(), Some(at(0)), "what was seen before is kept");
        assert_eq!(at(0) + TimeDelta::seconds(30), again.now);
    }
}
