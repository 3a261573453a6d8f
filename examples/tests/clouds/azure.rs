//! Azure Monitor.

use scaling_core::SignalKind;
use scaling_core::chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::Program;
use crate::azure_api::{Shared, Stored, TOKEN, start};
use crate::server::Server;
use examples::Failure;

const START: i64 = 28_333_334;
const GROUP: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/shop/providers";

/// So many minutes after the start, and 200 s more: the minute that ends then has settled.
fn after(minutes: i64) -> DateTime<Utc> {
    DateTime::from_timestamp((START + minutes) * 60 + 200, 0).unwrap()
}

/// 1,188 answers of 2xx and 12 of 5xx a minute in 80 ms, 120 at most, two ready pods, 40 messages.
async fn server() -> (Server, Shared) {
    let held = |resource: &str, metric, dimensions: &[(&'static str, &str)], fields: &Value| Stored {
        resource: format!("{GROUP}/{resource}"),
        metric,
        dimensions: dimensions.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
        values: (-60..60).map(|minute| (START + minute, fields.clone())).collect(),
    };
    let (gateway, pool) = ("Microsoft.Network/applicationGateways/edge", "pool-shop-checkout-80-bp-8080");
    let responses = |group, count: u32| {
        let dimensions = [("BackendPool", pool), ("HttpStatusGroup", group)];
        held(gateway, "BackendResponseStatus", &dimensions, &json!({ "total": count }))
    };
    let pod = |name| {
        let dimensions = [("namespace", "shop"), ("pod", name), ("condition", "true")];
        held(
            "Microsoft.ContainerService/managedClusters/prod",
            "kube_pod_status_ready",
            &dimensions,
            &json!({ "average": 1 }),
        )
    };
    let time = json!({ "average": 80.0, "maximum": 120.0 });
    start(vec![
        responses("2xx", 1188),
        responses("5xx", 12),
        held(gateway, "BackendLastByteResponseTime", &[("BackendPool", pool)], &time),
        pod("shop-7d9f8c6b5-x2k4z"),
        pod("shop-7d9f8c6b5-b2c4d"),
        held(
            "Microsoft.ServiceBus/namespaces/shop",
            "ActiveMessages",
            &[("EntityName", "orders")],
            &json!({ "average": 40.0 }),
        ),
    ])
    .await
}

fn program(server: &Server, file: &str) -> Program {
    let file = file.replace("cloud: public", &format!("endpoint: {}\ncloud: public", server.url()));
    let mut program = Program::new("--azure", &file, &[]);
    let token = program.folder.path().join("token");
    std::fs::write(&token, TOKEN).unwrap();
    program.live.from.origin.token_file = Some(token);
    program
}

fn sample() -> String {
    include_str!("../../deploy/azure.yaml").replace("shop/checkout:", "shop/shop:")
}

#[tokio::test]
async fn the_sample_is_checked_and_ticked_through_both_apis() {
    for region in ["", "region: westeurope\n"] {
        let (server, _) = server().await;
        let program = program(&server, &format!("{region}{}", sample()));
        let (result, said) = program.check(after(20)).await;
        result.unwrap_or_else(|error| panic!("{error}: {said}"));
        for line in
            ["ok  request_rate_per_second: ", "ok  response_time_ms: ", "ok  queue_depth: ", "ok  current_pod_count: "]
        {
            assert!(said.contains(line), "{line}: {said}");
        }
        assert!(!said.contains("error_rate_percent"), "left out: {said}");
        let (report, said) = program.run(after(20), 5, |_| {}).await;
        assert_eq!((report.failed, report.unrecorded), (0, 0), "{said}");
        let seen = program.records().pop().unwrap().metrics.unwrap();
        for (kind, value) in [
            (SignalKind::RequestRate, Some(20.0)),
            // One's own query, in the place of the preset's mean.
            (SignalKind::ResponseTime, Some(120.0)),
            (SignalKind::QueueDepth, Some(40.0)),
            (SignalKind::ErrorRate, None),
        ] {
            assert_eq!(seen.value(kind), value, "{kind}");
        }
        assert_eq!(seen.current_pod_count, Some(2));
    }
}

#[tokio::test]
async fn a_refused_token_and_a_wrong_unit_are_said_without_the_token() {
    let (server, world) = server().await;
    let program = program(&server, &sample());
    world.lock().unwrap().units.insert("ActiveMessages", "Bytes");
    let (result, said) = program.check(after(20)).await;
    assert!(matches!(&result, Err(Failure::Failed(what)) if what == "1 checks have failed"), "{said}");
    assert!(said.contains("BAD queue_depth: ") && said.contains("Bytes"), "{said}");
    world.lock().unwrap().faults = vec![403; 20];
    let (result, said) = program.check(after(20)).await;
    assert!(result.is_err() && said.contains("status 403") && !said.contains(TOKEN), "{said}");
}

#[tokio::test]
async fn a_proxy_and_its_token_go_together_and_an_identity_is_asked_for() {
    let refused = |file: &str, more: &[&str]| {
        let program = Program::new("--azure", file, more);
        async move { program.check(after(0)).await.0.unwrap_err().to_string() }
    };
    let with_proxy = sample().replace("cloud: public", "endpoint: http://127.0.0.1:1");
    assert!(refused(&with_proxy, &[]).await.contains("endpoint and --token-file go together"));
    assert!(refused(&sample(), &["--token-file", "token"]).await.contains("endpoint and --token-file go together"));
    let has_identity = |name| std::env::var_os(name).is_some();
    if !has_identity("AZURE_TENANT_ID") && !has_identity("AZURE_FEDERATED_TOKEN_FILE") {
        assert!(refused(&sample(), &[]).await.contains("set AZURE_TENANT_ID, AZURE_CLIENT_ID"));
    }
}
