//! The Azure Monitor source against a strict local server.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, unreachable_pub)]

mod api;
#[path = "../http/server.rs"]
#[allow(dead_code)]
mod server;

use std::time::Duration;

use api::{Shared, Stored, TOKEN};
use async_trait::async_trait;
use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::http::{
    Auth, Endpoint, HttpClient, HttpConfig, HttpError, HttpRequest, Retry, SecretString, TokenSource,
};
use scaling_core::source::SourceError;
use scaling_core::source::azure_monitor::query::MetricSeries;
use scaling_core::source::azure_monitor::{
    self, AzureMonitorApi, AzureMonitorSource, Cloud, Identity, ResourceId, presets,
};
use scaling_core::source::fleet::{Finding, FleetConfig, Workload};
use scaling_core::source::mapping::{Mapping, Measure};
use scaling_core::{Absence, MetricsSource, Signal, SignalKind, Target, conformance};
use serde_json::{Value, json};
use server::Server;

const START: i64 = 28_333_334;

/// So many minutes after the start, and 200 s more: the minute that ends then has settled.
fn after(minutes: i64) -> DateTime<Utc> {
    DateTime::from_timestamp((START + minutes) * 60 + 200, 0).unwrap()
}

fn end_of(minute: i64) -> DateTime<Utc> {
    DateTime::from_timestamp((START + minute) * 60, 0).unwrap()
}

fn resource(kind: &str, name: &str) -> ResourceId {
    format!("/subscriptions/s-1/resourceGroups/shop/providers/{kind}/{name}").parse().unwrap()
}

fn gateway(name: &str) -> ResourceId {
    resource("Microsoft.Network/applicationGateways", name)
}

fn cluster() -> ResourceId {
    resource("Microsoft.ContainerService/managedClusters", "aks")
}

fn bus() -> ResourceId {
    resource("Microsoft.ServiceBus/namespaces", "bus")
}

fn target() -> Target {
    Target::deployment("shop", "web")
}

fn held(
    resource: &ResourceId,
    metric: &'static str,
    dimensions: &[(&'static str, &str)],
    fields: &Value,
    minutes: i64,
) -> Stored {
    let dimensions = dimensions.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let values = (-minutes..60).map(|minute| (START + minute, fields.clone())).collect();
    Stored { resource: resource.to_string(), metric, dimensions, values }
}

/// 1,188 answers of 2xx and 12 of 5xx a minute in 80 ms, two ready pods of three, 40 messages.
fn stored(gateway: &ResourceId, pool: &str, minutes: i64) -> Vec<Stored> {
    let responses = |group: &str, count: u32| {
        held(
            gateway,
            "BackendResponseStatus",
            &[("BackendPool", pool), ("HttpStatusGroup", group)],
            &json!({ "total": count }),
            minutes,
        )
    };
    let pod = |name: &str, ready: u32| {
        let dimensions = [("namespace", "shop"), ("pod", name), ("condition", "true")];
        held(
            &cluster(),
            "kube_pod_status_ready",
            &dimensions,
            &json!({ "average": ready, "total": ready * 2 }),
            minutes,
        )
    };
    vec![
        responses("2xx", 1188),
        responses("5xx", 12),
        held(gateway, "BackendLastByteResponseTime", &[("BackendPool", pool)], &json!({ "average": 80.0 }), minutes),
        pod("web-7d9f8c6b5-x2k4z", 1),
        pod("web-7d9f8c6b5-b2c4d", 1),
        pod("web-7d9f8c6b5-q5w6z", 0),
        pod("web-api-7d9f8c6b5-x2k4z", 1),
        held(&bus(), "ActiveMessages", &[("EntityName", "orders")], &json!({ "average": 40.0 }), minutes),
    ]
}

fn workload(target: &Target, gateway: &ResourceId, pool: &str) -> Workload<MetricSeries> {
    let mut queries = presets::application_gateway(gateway, pool).unwrap();
    queries.extend(presets::aks_ready_pods(&cluster(), target).unwrap());
    queries.extend(presets::service_bus(&bus(), "orders").unwrap());
    Workload::new(target.clone(), Mapping::new(queries).unwrap())
}

fn api(server: &Server, auth: Auth, is_batched: bool) -> AzureMonitorApi {
    let endpoint = Endpoint::parse(&server.url()).unwrap();
    AzureMonitorApi::at(endpoint, auth, HttpConfig::default().retry(Retry::NEVER), is_batched).unwrap()
}

fn source_of(server: &Server, is_batched: bool, workloads: Vec<Workload<MetricSeries>>) -> AzureMonitorSource {
    AzureMonitorSource::new(api(server, Auth::bearer(TOKEN), is_batched), workloads, azure_monitor::config()).unwrap()
}

fn source(server: &Server, is_batched: bool) -> AzureMonitorSource {
    source_of(server, is_batched, vec![workload(&target(), &gateway("edge"), "web")])
}

async fn one() -> (Server, Shared) {
    api::start(stored(&gateway("edge"), "web", 60)).await
}

fn change(world: &Shared, metric: &str, minute: i64, fields: &Value) {
    for stored in world.lock().unwrap().stored.iter_mut().filter(|stored| stored.metric == metric) {
        stored.values.insert(START + minute, fields.clone());
    }
}

#[tokio::test]
async fn the_source_keeps_the_promises_through_both_apis() {
    let (server, _) = one().await;
    let missing = [SignalKind::CpuUtilization, SignalKind::MemoryUtilization, SignalKind::ActiveConnections];
    for is_batched in [false, true] {
        conformance::source(|| source(&server, is_batched), &target(), after(20)).await;
        let make = || source(&server, is_batched);
        conformance::source::what_is_missing_is_absent(&make, &target(), after(20), &missing).await;
    }
}

#[tokio::test]
async fn every_measure_comes_in_its_own_unit_through_both_apis() {
    let (server, _) = one().await;
    for is_batched in [false, true] {
        let seen = source(&server, is_batched).observe(&target(), after(20)).await.unwrap();
        let current = &seen.current;
        assert_eq!((current.timestamp, current.current_pod_count), (end_of(20), Some(2)));
        for (kind, expected) in [
            (SignalKind::RequestRate, 20.0),
            (SignalKind::ErrorRate, 1.0),
            (SignalKind::ResponseTime, 80.0),
            (SignalKind::QueueDepth, 40.0),
        ] {
            let value = current.value(kind).unwrap();
            assert!((value - expected).abs() < 1e-9, "{kind}: {value}");
        }
        assert_eq!(current.response_time_quantile, None, "a mean");
        assert_eq!(seen.history.len(), 14);
    }
}

#[tokio::test]
async fn workloads_behind_one_gateway_cost_the_calls_of_one_and_gateways_go_in_batches() {
    let edge = gateway("edge");
    let pools: Vec<String> = (0..40).map(|n| format!("pool-{n}")).collect();
    let held: Vec<_> = pools
        .iter()
        .flat_map(|pool| stored(&edge, pool, 30))
        .filter(|stored| stored.metric.starts_with("Backend"))
        .collect();
    let (server, _) = api::start(held).await;
    let named = |pool: &String| Target::deployment("shop", pool);
    let of_pool = |pool: &String| {
        Workload::new(named(pool), Mapping::new(presets::application_gateway(&edge, pool).unwrap()).unwrap())
    };
    let source = source_of(&server, false, pools.iter().map(of_pool).collect());
    let targets: Vec<_> = pools.iter().map(named).collect();
    let seen = source.observe_all(&targets, after(20)).await;
    // More than the ten series that the service answers with unless told otherwise.
    assert!(seen.iter().all(|seen| seen.as_ref().unwrap().current.value(SignalKind::RequestRate) == Some(20.0)));
    assert_eq!(server.seen().len(), 3);
    source.observe_all(&targets, after(20) + TimeDelta::seconds(30)).await;
    assert_eq!(server.seen().len(), 3, "nothing is new within a minute");

    let many: Vec<String> = (0..120).map(|n| format!("edge-{n}")).collect();
    let held = many
        .iter()
        .flat_map(|name| stored(&gateway(name), "web", 30))
        .filter(|stored| stored.metric.starts_with("Backend"));
    let (server, _) = api::start(held.collect()).await;
    let of_gateway = |name: &String| {
        let queries = presets::application_gateway(&gateway(name), "web").unwrap();
        Workload::new(named(name), Mapping::new(queries).unwrap())
    };
    let source = source_of(&server, true, many.iter().map(of_gateway).collect());
    let targets: Vec<_> = many.iter().map(named).collect();
    assert!(source.observe_all(&targets, after(20)).await.iter().all(Result::is_ok));
    assert_eq!(server.seen().len(), 9, "three calls for each fifty of 120 gateways");
}

#[tokio::test]
async fn missing_filled_nan_negative_and_zero_are_told_apart() {
    let (server, world) = one().await;
    change(&world, "BackendLastByteResponseTime", 19, &json!({ "average": "NaN" }));
    change(&world, "ActiveMessages", 19, &json!({ "average": -1.0 }));
    change(&world, "kube_pod_status_ready", 19, &json!({}));
    let source = |(): ()| source(&server, false);
    let seen = source(()).observe(&target(), after(20)).await.unwrap().current;
    assert_eq!(seen.signal(SignalKind::ResponseTime), Signal::Absent(Absence::NotFinite));
    assert_eq!(seen.signal(SignalKind::QueueDepth), Signal::Absent(Absence::OutOfRange));
    assert_eq!(seen.current_pod_count, None);

    change(&world, "BackendResponseStatus", 19, &json!({ "total": 0, "count": 0 }));
    change(&world, "ActiveMessages", 19, &json!({ "average": 0.0 }));
    let seen = source(()).observe(&target(), after(20)).await.unwrap().current;
    assert_eq!(seen.signal(SignalKind::RequestRate), Signal::Absent(Absence::Stale { age_s: 60 }), "filled with 0");
    assert_eq!(seen.signal(SignalKind::QueueDepth), Signal::Present(0.0), "a measured 0 is a 0");

    change(&world, "BackendResponseStatus", 19, &json!({ "total": 0, "count": 3 }));
    let seen = source(()).observe(&target(), after(20)).await.unwrap().current;
    assert_eq!(seen.signal(SignalKind::RequestRate), Signal::Present(0.0));
    assert_eq!(seen.signal(SignalKind::ErrorRate), Signal::NOT_MEASURED, "no share of nothing");
}

#[tokio::test]
async fn a_pool_without_a_5xx_has_an_error_rate_of_0_and_an_idle_one_has_none() {
    let (server, world) = one().await;
    let rate = async |is_batched| {
        let source = source(&server, is_batched);
        source.observe(&target(), after(20)).await.unwrap().current.signal(SignalKind::ErrorRate)
    };
    world.lock().unwrap().stored.retain(|stored| stored.dimensions.get(1).is_none_or(|(_, group)| group != "5xx"));
    for is_batched in [false, true] {
        assert_eq!(rate(is_batched).await, Signal::Present(0.0));
    }
    change(&world, "BackendResponseStatus", 19, &json!({}));
    assert_eq!(rate(false).await, Signal::Absent(Absence::Stale { age_s: 60 }), "nor a response");
}

#[tokio::test]
async fn an_overloaded_service_is_asked_again() {
    let (server, world) = one().await;
    let endpoint = Endpoint::parse(&server.url()).unwrap();
    let retry = Retry { attempts: 2, initial: Duration::ZERO, max: Duration::ZERO };
    let config = HttpConfig::default().retry(retry);
    let api = AzureMonitorApi::at(endpoint, Auth::bearer(TOKEN), config, true).unwrap();
    let workloads = [workload(&target(), &gateway("edge"), "web")];
    let source = AzureMonitorSource::new(api, workloads, azure_monitor::config()).unwrap();
    world.lock().unwrap().faults = vec![529];
    assert!(source.observe(&target(), after(20)).await.unwrap().absences().next().is_none());
}

#[tokio::test]
async fn a_call_without_an_answer_by_the_deadline_costs_its_own_signal_and_no_other() {
    let (server, world) = one().await;
    world.lock().unwrap().silent = Some("ActiveMessages");
    let api = api(&server, Auth::bearer(TOKEN), false).with_deadline(Duration::from_secs(1));
    let workloads = [workload(&target(), &gateway("edge"), "web")];
    let source = AzureMonitorSource::new(api, workloads, azure_monitor::config()).unwrap();
    let seen = source.observe(&target(), after(20)).await.unwrap().current;
    assert_eq!((seen.value(SignalKind::RequestRate), seen.current_pod_count), (Some(20.0), Some(2)));
    assert_eq!(seen.signal(SignalKind::QueueDepth), Signal::NOT_MEASURED);
    let checked = source.check(after(20)).await;
    let queue = checked.iter().find(|checked| checked.measure == SignalKind::QueueDepth.into()).unwrap();
    assert!(queue.to_string().contains("no answer within 1 s"), "{queue}");
}

#[tokio::test]
async fn an_empty_answer_a_refusal_and_a_failed_part_are_three_things() {
    let (server, world) = one().await;
    let other = Target::deployment("shop", "gone");
    let queries = presets::application_gateway(&gateway("edge"), "no-such-pool").unwrap();
    let empty = Workload::new(other.clone(), Mapping::new(queries).unwrap());
    let source = source_of(&server, false, vec![empty]);
    assert!(matches!(source.observe(&other, after(20)).await, Err(SourceError::NoData { .. })));
    assert!(matches!(source.observe(&target(), after(20)).await, Err(SourceError::UnknownTarget { .. })));

    let source = self::source(&server, true);
    for (status, transient) in [(529, true), (500, true), (400, false), (403, false)] {
        // Every call of the tick.
        world.lock().unwrap().faults = vec![status; 5];
        let error = source.observe(&target(), after(20)).await.unwrap_err();
        assert!(matches!(&error, SourceError::Backend { transient: said, .. } if *said == transient), "{error}");
        let said = error.to_string();
        assert!(said.contains(&format!("status {status}")) && said.contains("BackendResponseStatus"), "{said}");
        assert!(!said.contains(TOKEN), "nothing of the answer: {said}");
    }
    world.lock().unwrap().faults = Vec::new();
    world.lock().unwrap().failing = vec!["BackendLastByteResponseTime"];
    let seen = source.observe(&target(), after(20)).await.unwrap().current;
    assert_eq!(seen.signal(SignalKind::ResponseTime), Signal::NOT_MEASURED);
    assert_eq!(seen.value(SignalKind::RequestRate), Some(20.0));
}

#[tokio::test]
async fn a_check_says_of_each_query_what_is_the_matter() {
    let (server, world) = one().await;
    {
        let mut world = world.lock().unwrap();
        world.units.insert("BackendLastByteResponseTime", "Seconds");
        world
            .stored
            .retain(|stored| stored.metric != "kube_pod_status_ready" || !stored.dimensions[1].1.starts_with("web-7"));
        for stored in world.stored.iter_mut().filter(|stored| stored.metric == "ActiveMessages") {
            stored.values.retain(|minute, _| *minute < START + 15);
        }
    }
    let found = source(&server, false).check(after(20)).await;
    let finding = |measure: Measure| &found.iter().find(|found| found.measure == measure).unwrap().finding;
    assert!(
        matches!(finding(SignalKind::RequestRate.into()), Finding::Works { value, .. } if (value - 20.0).abs() < 1e-9)
    );
    assert!(finding(SignalKind::ErrorRate.into()).works());
    assert!(finding(SignalKind::ResponseTime.into()).to_string().contains("\"Seconds\""));
    assert_eq!(*finding(Measure::ReadyPods), Finding::Empty);
    assert_eq!(*finding(SignalKind::QueueDepth.into()), Finding::Stale { age: TimeDelta::minutes(5) });
    assert!(
        found[0]
            .query
            .starts_with("BackendResponseStatus total where BackendPool eq '*' (series \"web\") of /subscriptions/")
    );
    let refused = AzureMonitorSource::new(
        api(&server, Auth::bearer("another"), true),
        [workload(&target(), &gateway("edge"), "web")],
        azure_monitor::config(),
    );
    let refused = refused.unwrap().check(after(20)).await;
    assert!(refused[0].finding.to_string().contains("needs Monitoring Reader on the subscription"), "{}", refused[0]);
}

/// Tokens that change when one is refused.
#[derive(Debug)]
struct Renewing;

#[async_trait]
impl TokenSource for Renewing {
    async fn token(&self, refused: bool) -> Result<SecretString, HttpError> {
        Ok(if refused { TOKEN } else { "expired" }.to_owned().into())
    }
}

#[tokio::test]
async fn a_token_that_is_refused_is_renewed() {
    let (server, _) = one().await;
    let workloads = [workload(&target(), &gateway("edge"), "web")];
    let api = api(&server, Auth::Token(std::sync::Arc::new(Renewing)), false);
    let source = AzureMonitorSource::new(api, workloads, azure_monitor::config()).unwrap();
    assert!(source.observe(&target(), after(20)).await.is_ok());
    assert!(!format!("{source:?}").contains(TOKEN));
}

#[tokio::test]
async fn history_is_brought_in_bounded_windows() {
    let (server, _) = api::start(stored(&gateway("edge"), "web", 3100)).await;
    let source = source(&server, false);
    let brought = source.backfill(after(20), TimeDelta::minutes(3000)).await.unwrap();
    assert_eq!((brought.windows, brought.samples), (3, 3000));
    assert_eq!(source.observe(&target(), after(20)).await.unwrap().history.len(), 2999);
}

#[test]
fn what_cannot_be_is_refused_when_the_source_is_built() {
    let identity = Identity::client_secret("tenant", "client", "hunter2");
    for region in ["", "west europe", "evil.example.com/", "a".repeat(41).as_str()] {
        let refused = AzureMonitorApi::batched(Cloud::Public, region, &identity, HttpConfig::default()).unwrap_err();
        assert!(refused.to_string().contains("is no region"), "{refused}");
    }
    for cloud in [Cloud::Public, Cloud::China, Cloud::Government] {
        let api = AzureMonitorApi::batched(cloud, "westeurope", &identity, HttpConfig::default()).unwrap();
        assert!(!format!("{api:?}").contains("hunter2"));
    }
    let twice = [workload(&target(), &gateway("edge"), "web"), workload(&target(), &gateway("edge"), "api")];
    let api = || AzureMonitorApi::new(Cloud::Public, &identity, HttpConfig::default()).unwrap();
    let refused = AzureMonitorSource::new(api(), twice, FleetConfig::default()).unwrap_err();
    assert_eq!(refused.to_string(), "shop/Deployment/web: the workload is given twice");
    let config = FleetConfig::default().with_lookback(TimeDelta::days(2));
    let refused = AzureMonitorSource::new(api(), [], config).unwrap_err();
    assert!(refused.to_string().starts_with("lookback is 172800"), "{refused}");
}

#[tokio::test]
async fn the_stand_in_refuses_what_azure_refuses() {
    let (server, _) = one().await;
    let client = HttpClient::new(HttpConfig::default().retry(Retry::NEVER).auth(Auth::bearer(TOKEN))).unwrap();
    let root = Endpoint::parse(&server.url()).unwrap();
    let single = |changed: &[(&str, Option<&str>)]| {
        let endpoint = root.join(&format!("{}/providers/Microsoft.Insights/metrics", gateway("edge")));
        with(HttpRequest::get(endpoint), "timespan", "2023-11-14T22:14:00Z/2023-11-14T22:24:00Z", changed)
    };
    let batch = |body: &Value, changed: &[(&str, Option<&str>)]| {
        let endpoint = root.join("subscriptions/s-1/metrics:getBatch");
        let request = HttpRequest::post_json(endpoint, body.to_string()).query("endtime", "2023-11-14T22:24:00.000Z");
        with(request, "starttime", "2023-11-14T22:14:00.000Z", changed)
    };
    let ids = |ids: &[String]| json!({ "resourceids": ids });
    let edge = gateway("edge").to_string();
    let many: Vec<String> = (0..51).map(|n| gateway(&format!("edge-{n}")).to_string()).collect();
    let names = vec!["BackendResponseStatus"; 21].join(",");
    for (request, status) in [
        (single(&[]), 200),
        (single(&[("api-version", None)]), 400),
        (single(&[("api-version", Some("2099-01-01"))]), 400),
        (single(&[("timespan", Some("yesterday"))]), 400),
        (single(&[("timespan", Some("2023-11-14T22:24:00Z/2023-11-14T22:14:00Z"))]), 400),
        (single(&[("aggregation", Some("median"))]), 400),
        (single(&[("aggregation", Some("average"))]), 400),
        (single(&[("interval", Some("PT2M"))]), 400),
        (single(&[("interval", Some("PT5M"))]), 400),
        (single(&[("metricnames", Some("NoSuchMetric"))]), 400),
        (single(&[("metricnames", Some(&names))]), 400),
        (single(&[("$filter", Some("Nothing eq '*'"))]), 400),
        (single(&[("$filter", Some("BackendPool eq '*' and HttpStatusGroup eq '*'"))]), 400),
        (single(&[("top", Some("5"))]), 400),
        (single(&[("filter", Some("BackendPool eq '*'"))]), 400),
        (batch(&ids(std::slice::from_ref(&edge)), &[]), 200),
        (batch(&ids(&[]), &[]), 400),
        (batch(&ids(&many), &[]), 400),
        (batch(&ids(&[edge.clone(), cluster().to_string()]), &[]), 400),
        (batch(&ids(&[edge.replace("s-1", "s-2")]), &[]), 400),
        (batch(&json!({ "resourceIds": [edge.clone()] }), &[]), 400),
        (batch(&ids(std::slice::from_ref(&edge)), &[("metricnamespace", None)]), 400),
        (batch(&ids(std::slice::from_ref(&edge)), &[("$filter", Some("BackendPool eq '*'"))]), 400),
        (batch(&ids(&[edge]), &[("timespan", Some("a/b"))]), 400),
    ] {
        let answer = client.exchange(&request).await.unwrap();
        assert_eq!(answer.status(), status, "{request:?}: {}", answer.excerpt());
    }
    let anonymous = HttpClient::new(HttpConfig::default().retry(Retry::NEVER)).unwrap();
    assert_eq!(anonymous.exchange(&single(&[])).await.unwrap().status(), 401);
}

/// A valid call with some parameters changed, left out or added.
fn with(request: HttpRequest, time: &str, at: &str, changed: &[(&str, Option<&str>)]) -> HttpRequest {
    let valid = [
        (time, at),
        ("api-version", "2024-02-01"),
        ("interval", "PT1M"),
        ("metricnames", "BackendResponseStatus"),
        ("metricnamespace", "microsoft.network/applicationgateways"),
        ("aggregation", "total"),
    ];
    let change = |name: &str| changed.iter().find(|(changed, _)| *changed == name).map(|(_, value)| *value);
    let kept =
        valid.into_iter().filter_map(|(name, value)| change(name).unwrap_or(Some(value)).map(|value| (name, value)));
    let added = changed.iter().filter(|(name, _)| !valid.iter().any(|(valid, _)| valid == name));
    let added = added.filter_map(|(name, value)| value.map(|value| (*name, value)));
    kept.chain(added).fold(request, |request, (name, value)| request.query(name, value))
}
