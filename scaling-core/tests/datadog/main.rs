//! The Datadog source against a strict local server.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, unreachable_pub)]

mod api;
#[path = "../http/server.rs"]
#[allow(dead_code)]
mod server;

use api::{API_KEY, APP_KEY, Shared, Stored};
use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::http::{Endpoint, HttpClient, HttpConfig, HttpRequest, Retry};
use scaling_core::source::SourceError;
use scaling_core::source::datadog::{DatadogApi, DatadogSource, Keys, presets};
use scaling_core::source::fleet::{Finding, FleetConfig, InvalidFleet, Workload};
use scaling_core::source::mapping::{Mapping, Measure, Unit};
use scaling_core::{Absence, MetricsSource, Signal, SignalKind, SignalSet, Target, WorkloadFacts, conformance};
use serde_json::{Value, json};
use server::Server;

/// A whole minute.
const START: i64 = 28_333_334;

/// So many minutes after the start, and 135 s more: the minute that ends then has settled.
fn after(minutes: i64) -> DateTime<Utc> {
    DateTime::from_timestamp((START + minutes) * 60 + 135, 0).unwrap()
}

fn end_of(minute: i64) -> DateTime<Utc> {
    DateTime::from_timestamp((START + minute) * 60, 0).unwrap()
}

fn target() -> Target {
    Target::deployment("shop", "web")
}

fn minutes(range: std::ops::Range<i64>, value: impl Into<Value>) -> impl Iterator<Item = (i64, Value)> {
    let value = value.into();
    range.map(move |minute| (START + minute, value.clone()))
}

/// Everything that the presets ask for of a workload, for so many minutes: two containers at 0.6 of 1.5 cores each, three pods.
fn stored(name: &str, minutes_there: std::ops::Range<i64>) -> Vec<Stored> {
    let tags = [("kube_namespace", "shop"), ("kube_deployment", name), ("kube_cluster_name", "eu-1")];
    let held = |metric, unit, value: f64| Stored::new(metric, &tags, unit).at(minutes(minutes_there.clone(), value));
    let traced = |metric, unit, value: f64| {
        Stored::new(metric, &[("service", name), ("env", "prod")], unit).at(minutes(minutes_there.clone(), value))
    };
    vec![
        held("kubernetes.cpu.usage.total", "nanocore", 0.6e9),
        held("kubernetes.cpu.usage.total", "nanocore", 0.6e9),
        held("kubernetes.cpu.requests", "core", 1.5),
        held("kubernetes.cpu.requests", "core", 1.5),
        held("kubernetes.memory.usage", "byte", 300e6),
        held("kubernetes.memory.requests", "byte", 1e9),
        held("kubernetes_state.deployment.replicas_ready", "", 3.0),
        held("kubernetes_state.deployment.replicas_desired", "", 4.0),
        traced("trace.http.request.hits", "hit", 1200.0),
        traced("trace.http.request.errors", "error", 12.0),
        traced("trace.http.request", "second", 0.25),
    ]
}

fn workload(target: &Target) -> Workload<scaling_core::source::datadog::TagSeries> {
    let mut queries = presets::kubernetes(target, &[]).unwrap();
    queries.extend(presets::traces("http.request", &target.name, &[]).unwrap());
    Workload::new(target.clone(), Mapping::new(queries).unwrap())
}

fn api(server: &Server, application: &str) -> DatadogApi {
    let endpoint = Endpoint::parse(&server.url()).unwrap();
    let config = HttpConfig::default().retry(Retry::NEVER);
    DatadogApi::at(&endpoint, Keys::new(API_KEY, application), config).unwrap()
}

fn source(server: &Server) -> DatadogSource {
    source_of(server, &[target()])
}

fn source_of(server: &Server, targets: &[Target]) -> DatadogSource {
    DatadogSource::new(api(server, APP_KEY), targets.iter().map(workload), FleetConfig::default()).unwrap()
}

async fn one() -> (Server, Shared) {
    api::start(stored("web", -60..60)).await
}

fn change(world: &Shared, metric: &str, minute: i64, value: impl Into<Value>) {
    let value = value.into();
    for stored in world.lock().unwrap().stored.iter_mut().filter(|stored| stored.metric == metric) {
        stored.values.insert((START + minute) * 60, value.clone());
    }
}

#[tokio::test]
async fn the_source_keeps_the_promises() {
    let (server, _) = one().await;
    conformance::source(|| source(&server), &target(), after(20)).await;
    let missing = [SignalKind::ActiveConnections, SignalKind::QueueDepth];
    conformance::source::what_is_missing_is_absent(&|| source(&server), &target(), after(20), &missing).await;
}

#[tokio::test]
async fn every_measure_comes_in_its_own_unit() {
    let (server, _) = one().await;
    let seen = source(&server).observe(&target(), after(20)).await.unwrap();
    let current = &seen.current;
    assert_eq!(current.timestamp, end_of(20));
    assert_eq!((current.current_pod_count, current.desired_pod_count), (Some(3), Some(4)));
    for (kind, expected) in [
        (SignalKind::CpuUtilization, 40.0),
        (SignalKind::MemoryUtilization, 30.0),
        (SignalKind::RequestRate, 20.0),
        (SignalKind::ErrorRate, 1.0),
        (SignalKind::ResponseTime, 250.0),
    ] {
        let value = current.value(kind).unwrap();
        assert!((value - expected).abs() < 1e-9, "{kind}: {value}");
    }
    assert_eq!(current.response_time_quantile, Some(0.95));
    assert_eq!(seen.declared.map(SignalSet::iter).map(Iterator::count), Some(5));
    assert_eq!(seen.history.len(), 9, "the ten minutes that are looked back on");
    assert!(seen.absences().next().is_none());
}

#[tokio::test]
async fn a_service_without_an_error_has_an_error_rate_of_0_and_an_idle_one_has_none() {
    let (server, world) = one().await;
    let rate = async |source: DatadogSource| {
        source.observe(&target(), after(20)).await.unwrap().current.signal(SignalKind::ErrorRate)
    };
    change(&world, "trace.http.request.errors", 19, Value::Null);
    assert_eq!(rate(source(&server)).await, Signal::Present(0.0), "no value in this minute");
    world.lock().unwrap().stored.retain(|stored| stored.metric != "trace.http.request.errors");
    assert_eq!(rate(source(&server)).await, Signal::Present(0.0), "no such series at all");
    assert!(source(&server).observe(&target(), after(20)).await.unwrap().absences().next().is_none());
    change(&world, "trace.http.request.hits", 19, Value::Null);
    assert_eq!(rate(source(&server)).await, Signal::Absent(Absence::Stale { age_s: 60 }), "nor a request");
}

#[tokio::test]
async fn a_share_in_another_unit_than_a_ratio_is_refused() {
    let (server, _) = one().await;
    for stated in [Unit::Percent, Unit::Cores, Unit::Count] {
        let mut queries = presets::kubernetes(&target(), &[]).unwrap();
        queries[0].unit = stated;
        let Ok(mapping) = Mapping::new(queries) else { continue };
        let mut facts = WorkloadFacts::default();
        facts.cpu_request_millicores = Some(1500);
        let workload = Workload::new(target(), mapping).with_facts(facts);
        let refused = DatadogSource::new(api(&server, APP_KEY), [workload], FleetConfig::default()).unwrap_err();
        assert!(matches!(&refused, InvalidFleet::Share { stated: said, .. } if *said == stated), "{refused}");
        let expected =
            format!("shop/Deployment/web: cpu_utilization_percent: a share is a ratio, and is stated as {stated}");
        assert_eq!(refused.to_string(), expected);
    }
}

#[tokio::test]
async fn a_fleet_costs_one_request_a_step() {
    let names: Vec<String> = (0..120).map(|n| format!("web-{n}")).collect();
    let (server, _) = api::start(names.iter().flat_map(|name| stored(name, -20..60)).collect()).await;
    let targets: Vec<Target> = names.iter().map(|name| Target::deployment("shop", name)).collect();
    let source = source_of(&server, &targets);
    for second in [0, 15, 30] {
        let seen = source.observe_all(&targets, after(20) + TimeDelta::seconds(second)).await;
        assert!(seen.iter().zip(&targets).all(|(seen, target)| *seen.as_ref().unwrap().target == *target));
    }
    assert_eq!(server.seen().len(), 1);
    source.observe_all(&targets, after(21)).await;
    assert_eq!(server.seen().len(), 2);
    let body: Value = serde_json::from_slice(&server.seen()[1].body).unwrap();
    assert_eq!(body["data"]["attributes"]["queries"].as_array().map(Vec::len), Some(9));
}

#[tokio::test]
async fn null_nan_negative_stale_and_zero_are_told_apart() {
    let (server, world) = one().await;
    let last = 19;
    change(&world, "kubernetes.cpu.usage.total", last, Value::Null);
    change(&world, "kubernetes.memory.usage", last, "NaN");
    change(&world, "trace.http.request", last, -1.0);
    change(&world, "trace.http.request.errors", last, 0.0);
    change(&world, "kubernetes_state.deployment.replicas_ready", last, Value::Null);
    let seen = source(&server).observe(&target(), after(20)).await.unwrap().current;
    let absent = |kind| seen.signal(kind).absence();
    assert_eq!(absent(SignalKind::CpuUtilization), Some(Absence::Stale { age_s: 60 }));
    assert_eq!(absent(SignalKind::MemoryUtilization), Some(Absence::NotFinite));
    assert_eq!(absent(SignalKind::ResponseTime), Some(Absence::OutOfRange));
    assert_eq!(seen.signal(SignalKind::ErrorRate), Signal::Present(0.0), "a measured 0 is a 0");
    assert_eq!((seen.current_pod_count, seen.desired_pod_count), (None, Some(4)));
}

#[tokio::test]
async fn an_empty_answer_a_refusal_and_a_broken_one_are_three_things() {
    let (server, world) = one().await;
    // Nothing of this workload.
    let other = Target::deployment("shop", "gone");
    let source = source_of(&server, &[target(), other.clone()]);
    assert!(matches!(source.observe(&other, after(20)).await, Err(SourceError::NoData { .. })));
    let unknown = Target::deployment("shop", "nobody");
    assert!(matches!(source.observe(&unknown, after(20)).await, Err(SourceError::UnknownTarget { .. })));
    for (status, transient) in [(500, true), (503, true), (400, false), (403, false)] {
        world.lock().unwrap().faults = vec![(status, format!("no {API_KEY}"))];
        let error = source.observe(&target(), after(20)).await.unwrap_err();
        assert!(matches!(&error, SourceError::Backend { transient: said, .. } if *said == transient), "{error}");
        let said = error.to_string();
        assert!(said.contains(&format!("status {status}")) && said.contains("kubernetes.cpu.usage.total"), "{said}");
        assert!(!said.contains(API_KEY), "nothing of the answer: {said}");
    }
    // And after all that it recovers.
    assert!(source.observe(&target(), after(20)).await.is_ok());
}

#[tokio::test]
async fn after_a_429_nothing_is_sent_until_the_limit_is_reset() {
    let (server, world) = one().await;
    let source = source(&server);
    world.lock().unwrap().faults = vec![(429, "Rate limit of 1600 requests in 3600 seconds reached".into())];
    let limited = source.observe(&target(), after(20)).await.unwrap_err();
    assert!(limited.is_transient() && limited.to_string().contains("status 429"), "{limited}");
    for second in [1, 15, 29] {
        let error = source.observe(&target(), after(20) + TimeDelta::seconds(second)).await.unwrap_err().to_string();
        assert!(error.contains(&format!("it is reset in {} s", 30 - second)), "{error}");
    }
    assert_eq!(server.seen().len(), 1);
    assert!(source.observe(&target(), after(20) + TimeDelta::seconds(30)).await.is_ok());
}

#[tokio::test]
async fn two_clusters_are_not_added_up() {
    let (server, world) = one().await;
    let mut elsewhere = stored("web", -60..60);
    for stored in &mut elsewhere {
        for (key, value) in &mut stored.tags {
            if key == "kube_cluster_name" {
                *value = "us-1".to_owned();
            }
        }
    }
    elsewhere.retain(|stored| stored.metric.starts_with("kubernetes"));
    world.lock().unwrap().stored.extend(elsewhere);
    let here = target().in_cluster("eu-1");
    let source = source_of(&server, &[target(), here.clone()]);
    let seen = source.observe(&target(), after(20)).await.unwrap().current;
    assert_eq!(seen.signal(SignalKind::CpuUtilization), Signal::NOT_MEASURED);
    assert_eq!(seen.value(SignalKind::RequestRate), Some(20.0));
    let seen = source.observe(&here, after(20)).await.unwrap().current;
    assert!((seen.value(SignalKind::CpuUtilization).unwrap() - 40.0).abs() < 1e-9);
    let checked = source.check(after(20)).await;
    let cpu = checked.iter().find(|checked| checked.target == target()).unwrap();
    assert_eq!(cpu.finding, Finding::Ambiguous { matches: 2 }, "{cpu}");
}

#[tokio::test]
async fn a_check_says_of_each_query_what_is_the_matter() {
    let (server, world) = one().await;
    {
        let mut world = world.lock().unwrap();
        world.stored.retain(|stored| stored.metric != "kubernetes_state.deployment.replicas_desired");
        for stored in &mut world.stored {
            if stored.metric == "kubernetes.memory.usage" {
                stored.unit = json!([{ "name": "mebibyte" }, null]);
            }
            if stored.metric == "trace.http.request" {
                stored.values.retain(|second, _| *second < (START + 17) * 60);
            }
            if stored.metric == "trace.http.request.hits" {
                stored.values.values_mut().for_each(|value| *value = json!(0));
            }
        }
    }
    let found: Vec<_> = source(&server).check(after(20)).await;
    let finding = |measure: Measure| &found.iter().find(|found| found.measure == measure).unwrap().finding;
    assert!(
        matches!(finding(SignalKind::CpuUtilization.into()), Finding::Works { value, .. } if (value - 40.0).abs() < 1e-9)
    );
    assert!(finding(SignalKind::MemoryUtilization.into()).to_string().contains("mebibyte"));
    assert_eq!(*finding(Measure::DesiredPods), Finding::Empty);
    assert_eq!(*finding(SignalKind::ResponseTime.into()), Finding::Stale { age: TimeDelta::minutes(3) });
    assert_eq!(*finding(SignalKind::ErrorRate.into()), Finding::Idle);
    assert!(matches!(finding(SignalKind::RequestRate.into()), Finding::Works { value, .. } if *value == 0.0));
    let pasted = &found[0].query;
    assert!(
        pasted.starts_with("sum:kubernetes.cpu.usage.total{kube_namespace:shop,kube_deployment:web} by"),
        "{pasted}"
    );
    // One request for all of it.
    assert_eq!(server.seen().len(), 1);
    let refused = DatadogSource::new(api(&server, "another"), [workload(&target())], FleetConfig::default()).unwrap();
    let refused = refused.check(after(20)).await;
    assert!(refused.iter().all(|found| found.finding.to_string().contains("the keys were refused")), "{refused:?}");
}

#[tokio::test]
async fn history_is_brought_in_bounded_windows_and_once() {
    let (server, _) = api::start(stored("web", -1000..60)).await;
    let source = source(&server);
    let brought = source.backfill(after(20), TimeDelta::minutes(900)).await.unwrap();
    assert_eq!((brought.windows, brought.samples, brought.left_out), (3, 900, 0));
    let seen = source.observe(&target(), after(20)).await.unwrap();
    assert_eq!((seen.current.timestamp, seen.history.len()), (end_of(20), 899));
    let again = source.backfill(after(20), TimeDelta::minutes(900)).await.unwrap();
    assert_eq!((again.windows, again.left_out), (0, 1));
}

#[tokio::test]
async fn a_window_that_failed_is_called_a_gap_and_filled_by_a_later_backfill() {
    let (server, world) = api::start(stored("web", -1000..60)).await;
    let source = source(&server);
    // The first window comes, the second does not, and nothing is asked after it.
    world.lock().unwrap().faults = vec![(200, String::new()), (400, "no".into())];
    let refused = source.backfill(after(20), TimeDelta::minutes(900)).await.unwrap_err();
    assert!(refused.to_string().contains("status 400"), "{refused}");
    let seen = source.observe(&target(), after(20)).await.unwrap();
    let (known, current) = (seen.history.len(), seen.current);
    assert!(known < 899, "{known}");
    let brought = source.backfill(after(20), TimeDelta::minutes(900)).await.unwrap();
    assert_eq!((brought.samples, brought.left_out, brought.gaps.len()), (899 - known, 0, 0));
    let seen = source.observe(&target(), after(20)).await.unwrap();
    assert_eq!((seen.history.len(), seen.current), (899, current), "the past is whole, and the present is what it was");
    let times: Vec<_> = seen.history.iter().map(|sample| sample.timestamp).collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == TimeDelta::minutes(1)));
    assert_eq!(source.backfill(after(20), TimeDelta::minutes(900)).await.unwrap().left_out, 1);
}

#[tokio::test]
async fn larger_buckets_than_asked_for_stand_once_and_make_nothing_up() {
    let (server, world) = api::start(stored("web", -60..60)).await;
    world.lock().unwrap().coarse = Some(300);
    let seen = source(&server).observe(&target(), after(20)).await.unwrap();
    let times: Vec<_> = seen.history.iter().chain([seen.current]).map(|sample| sample.timestamp.timestamp()).collect();
    assert!(times.iter().all(|second| second % 300 == 0) && !times.is_empty(), "{times:?}");
}

#[tokio::test]
async fn keys_are_in_no_debug_and_in_no_error() {
    let (server, _) = one().await;
    let source = source(&server);
    let shown = format!("{:?} {:?} {source:?}", Keys::new(API_KEY, APP_KEY), api(&server, APP_KEY));
    assert!(!shown.contains(API_KEY) && !shown.contains(APP_KEY), "{shown}");
    for site in ["", "localhost", "datadoghq.com/evil", "user@datadoghq.com", "data doghq.com"] {
        let refused =
            DatadogApi::new(site, Keys::new(API_KEY, APP_KEY), HttpConfig::default()).unwrap_err().to_string();
        assert!(refused.contains("is no Datadog site") && !refused.contains(API_KEY), "{refused}");
    }
    assert!(DatadogApi::new("us5.datadoghq.com", Keys::new("a", "b"), HttpConfig::default()).is_ok());
}

#[tokio::test]
async fn the_stand_in_refuses_what_datadog_refuses() {
    let (server, _) = one().await;
    let client = HttpClient::new(HttpConfig::default().retry(Retry::NEVER)).unwrap();
    let endpoint = Endpoint::parse(&server.url()).unwrap().join("api/v2/query/timeseries");
    let valid = json!({
        "from": 1_700_000_040_000_i64, "to": 1_700_000_640_000_i64, "interval": 60_000,
        "queries": [{ "data_source": "metrics", "name": "q0", "query": "sum:kubernetes.cpu.requests{*}" }],
        "formulas": [{ "formula": "q0" }],
    });
    let with = |field: &str, value: Value| {
        let mut attributes = valid.clone();
        attributes[field] = value;
        json!({ "data": { "type": "timeseries_request", "attributes": attributes } }).to_string()
    };
    let query = |text: &str| json!([{ "data_source": "metrics", "name": "q0", "query": text }]);
    let keyed = |request: HttpRequest| {
        request.secret_header("dd-api-key", API_KEY).secret_header("dd-application-key", APP_KEY)
    };
    let json_request = |body: String| HttpRequest::post_json(endpoint.clone(), body);
    let fine = with("interval", json!(60_000));
    for (request, status) in [
        (keyed(json_request(fine.clone())), 200),
        (json_request(fine.clone()), 401),
        (json_request(fine.clone()).secret_header("dd-api-key", API_KEY), 403),
        (keyed(HttpRequest::post(endpoint.clone(), "text/plain", fine)), 415),
        (keyed(HttpRequest::get(endpoint.clone())), 405),
        (keyed(json_request("{".into())), 400),
        (keyed(json_request(r#"{"data":{"type":"scalar_request"}}"#.into())), 400),
        (keyed(json_request(with("from", json!(1_700_000_040)))), 400),
        (keyed(json_request(with("to", json!(0)))), 400),
        (keyed(json_request(with("interval", json!(-1)))), 400),
        (keyed(json_request(with("queries", json!([])))), 400),
        (keyed(json_request(with("queries", query("median:a{*}")))), 400),
        (keyed(json_request(with("queries", query("sum:a")))), 400),
        (
            keyed(json_request(with(
                "queries",
                json!([{ "data_source": "prometheus", "name": "q0", "query": "sum:a{*}" }]),
            ))),
            400,
        ),
        (keyed(json_request(with("formulas", json!([{ "formula": "q1" }])))), 400),
        (keyed(json_request(with("unheard_of", json!(1)))), 400),
    ] {
        let answer = client.exchange(&request).await.unwrap();
        assert_eq!(answer.status(), status, "{}: {}", String::from_utf8_lossy(request.body()), answer.excerpt());
    }
}
