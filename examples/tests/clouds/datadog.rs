//! Datadog.

use examples::Failure;
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::{Outcome, SignalKind};
use serde_json::json;

use crate::Program;
use crate::datadog_api::{API_KEY, APP_KEY, Shared, Stored, start};
use crate::server::Server;

/// A whole minute.
const START: i64 = 28_333_334;

/// So many minutes after the start, and 135 s more: the minute that ends then has settled.
fn after(minutes: i64) -> DateTime<Utc> {
    DateTime::from_timestamp((START + minutes) * 60 + 135, 0).unwrap()
}

/// An hour before the start and an hour after it: CPU at 40 %, memory at 30 %, 20 requests a second of which 1 % fail.
async fn server() -> (Server, Shared) {
    let pods = [("kube_namespace", "shop"), ("kube_deployment", "shop"), ("kube_cluster_name", "eu-1")];
    let held = |metric, tags: &[(&str, &str)], unit, value: f64| {
        Stored::new(metric, tags, unit).at((-60..60).map(|minute| (START + minute, json!(value))))
    };
    let traced = [("service", "shop"), ("env", "prod")];
    start(vec![
        held("kubernetes.cpu.usage.total", &pods, "nanocore", 1.2e9),
        held("kubernetes.cpu.requests", &pods, "core", 3.0),
        held("kubernetes.memory.usage", &pods, "byte", 300e6),
        held("kubernetes.memory.requests", &pods, "byte", 1e9),
        held("kubernetes_state.deployment.replicas_ready", &pods, "", 4.0),
        held("kubernetes_state.deployment.replicas_desired", &pods, "", 4.0),
        held("trace.http.request.hits", &traced, "hit", 1200.0),
        held("trace.http.request.errors", &traced, "error", 12.0),
        held("trace.http.request", &traced, "second", 0.25),
        held("rabbitmq.queue.messages", &[("rabbitmq_queue", "shop")], "message", 7.0),
    ])
    .await
}

/// The sample, for the strict server and the workload of the shipped HPA.
fn sample(server: &Server) -> String {
    let sample = include_str!("../../deploy/datadog.yaml");
    let site = format!("endpoint: {}\napi_key_file: API\napplication_key_file: APPLICATION", server.url());
    sample
        .replace("site: datadoghq.eu", &site)
        .replace("shop/checkout:", "shop/shop:")
        .replace("service: checkout", "service: shop")
        .replace("rabbitmq_queue: checkout", "rabbitmq_queue: shop")
        .replace("filters: { env: prod } # the same", "filters: {} # the same")
}

fn program(file: &str) -> Program {
    let program = Program::new("--datadog", file, &[]);
    let (api, application) = (program.folder.path().join("api"), program.folder.path().join("application"));
    std::fs::write(&api, format!("{API_KEY}\n")).unwrap();
    std::fs::write(&application, APP_KEY).unwrap();
    let keys =
        |file: &str| file.replace("API", api.to_str().unwrap()).replace("APPLICATION", application.to_str().unwrap());
    std::fs::write(program.live.from.origin.datadog.as_ref().unwrap(), keys(file)).unwrap();
    program
}

#[tokio::test]
async fn the_sample_is_checked_query_by_query_and_its_past_is_fetched() {
    let (server, _) = server().await;
    let program = program(&sample(&server));
    let (result, said) = program.check(after(20)).await;
    result.unwrap();
    for line in
        ["ok  cpu_utilization_percent: ", "ok  error_rate_percent: ", "ok  queue_depth: ", "ok  HPA \"shop\": 4..10"]
    {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(!said.contains("BAD") && !said.contains("memory_utilization"), "left out: {said}");
    let past = program.past(after(20)).await;
    assert_eq!(past.len(), 80, "an hour before and twenty minutes after");
    assert_eq!(past[0].value(SignalKind::QueueDepth), Some(7.0));
}

#[tokio::test]
async fn the_loop_ticks_and_tells_an_outage_when_it_begins_and_when_it_ends() {
    let (server, world) = server().await;
    let program = program(&sample(&server));
    let (report, said) = program
        .run(after(20), 15, move |minute| {
            if minute == 5 {
                world.lock().unwrap().faults = vec![(500, "overloaded".to_owned()); 4];
            }
        })
        .await;
    assert_eq!((report.missed, report.unrecorded), (0, 0), "{said}");
    let records = program.records();
    assert!(records.len() >= 14, "{said}");
    let seen = records[0].metrics.as_ref().unwrap();
    assert_eq!((seen.value(SignalKind::CpuUtilization).map(f64::round), seen.current_pod_count), (Some(40.0), Some(4)));
    assert_eq!(records[0].declared.unwrap().iter().count(), 5, "without memory, with the queue");
    assert!(records[0].history_len > 70, "{said}");
    for once in ["the source is down", "the source answers again"] {
        assert_eq!(said.matches(once).count(), 1, "{once}: {said}");
    }
    let lowers = |change: scaling_core::BoundsChange| change.new.min() < change.old.min();
    for record in &records {
        let failed = matches!(record.withheld.as_ref().unwrap_or(&record.outcome), Outcome::Failed { .. });
        assert!(!(failed && record.change.is_some_and(lowers)), "law 2: {record:?}");
    }
}

#[tokio::test]
async fn a_unit_that_the_service_contradicts_is_said_by_check_and_absent_in_the_loop() {
    let (server, _) = server().await;
    let file = format!(
        "endpoint: {}\napi_key_file: API\napplication_key_file: APPLICATION\nworkloads:\n  shop/shop:\n    \
         kubernetes: {{ cluster: eu-1 }}\n    queries:\n      - measure: response_time_ms\n        series: {{ metric: \
         trace.http.request, kind: distribution, space: p95, tags: {{ service: shop }} }}\n        unit: milliseconds\n",
        server.url()
    );
    let program = program(&file);
    let (result, said) = program.check(after(20)).await;
    assert!(matches!(&result, Err(Failure::Failed(what)) if what == "1 checks have failed"), "{said}");
    assert!(said.contains("BAD response_time_ms: ") && said.contains("\"second\""), "{said}");
    let (_, said) = program.run(after(20), 5, |_| {}).await;
    assert_eq!(said.matches("units: 1 cannot be used").count(), 1, "{said}");
    let last = program.records().pop().unwrap().metrics.unwrap();
    assert_eq!(last.value(SignalKind::ResponseTime), None);
    assert_eq!(last.value(SignalKind::MemoryUtilization).map(f64::round), Some(30.0));
}
