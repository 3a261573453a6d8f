//! Bodies that no good server sends.

use proptest::prelude::*;
use scaling_core::{Absence, MetricsSource, Signal, SignalKind};
use scaling_k8s::metrics_api::{MetricsApi, MetricsApiConfig};
use serde_json::{Value, json};

use super::fake_cluster::{FakeCluster, Fault, at, pod, sample, text, workload};
use super::{CPU, MEMORY, USAGE, see, web};

const PODS: &str = "/api/v1/namespaces/shop/pods";

#[tokio::test(start_paused = true)]
async fn samples_that_cannot_be_true_are_none() {
    let partial = Absence::Partial { covered_percent: 66 };
    let usage = |cpu: Value| {
        json!({ "metadata": { "name": "web-c", "namespace": "shop" }, "timestamp": text(at(-5)), "window": "30s",
        "containers": [{ "name": "main", "usage": { "cpu": cpu, "memory": "1Mi" } }] })
    };
    let mut no_time = usage(json!("1"));
    no_time["timestamp"] = json!("yesterday");
    let mut other = usage(json!("1"));
    other["metadata"]["namespace"] = json!("bank");
    let mut empty = usage(json!("1"));
    empty["containers"] = json!([]);
    let mut future = usage(json!("1"));
    future["timestamp"] = json!(text(at(3600)));
    for third in [
        usage(json!("-1")),
        usage(json!("1e30")),
        usage(json!("much")),
        usage(json!([1])),
        usage(Value::Null),
        no_time,
        other,
        empty,
        future,
        json!("web-c"),
        json!({}),
    ] {
        let fake = FakeCluster::web(at(0));
        fake.state().usage[2] = third.clone();
        assert_eq!(see(&fake).await.unwrap().current.signal(CPU), Signal::Absent(partial), "{third}");
    }
}

#[tokio::test(start_paused = true)]
async fn pods_and_samples_of_others_and_doubles_do_not_count() {
    let fake = FakeCluster::web(at(0));
    {
        let mut state = fake.state();
        let doubled = state.pods[0].clone();
        let mut elsewhere = pod("web-z", "web", at(-3600), Some(5));
        elsewhere["metadata"]["namespace"] = json!("bank");
        state.pods.extend([doubled, elsewhere, pod("cart-a", "cart", at(-3600), Some(5))]);
        state.usage.extend([sample("cart-a", at(-5), 900_000_000, 1), sample("web-a", at(-500), 900_000_000, 1)]);
    }
    // A server that does not heed the selector.
    let all = json!({ "items": fake.state().pods });
    fake.fault(PODS, Fault::Body(all.to_string()));
    let seen = see(&fake).await.unwrap();
    assert_eq!((seen.current.current_pod_count, seen.current.value(CPU)), (Some(3), Some(50.0)));
}

#[tokio::test(start_paused = true)]
async fn a_sample_of_a_former_pod_of_the_name_is_none() {
    let fake = FakeCluster::web(at(0));
    // As a StatefulSet names them: made anew 5 s ago, measured 10 s ago.
    fake.state().pods[2] = pod("web-c", "web", at(-5), Some(1));
    let seen = see(&fake).await.unwrap();
    assert_eq!((seen.current.value(CPU), seen.current.value(MEMORY)), (Some(50.0), Some(50.0)));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_wrong_is_told() {
    let fake = FakeCluster::web(at(4000));
    for pod in &mut fake.state().pods {
        pod["metadata"]["creationTimestamp"] = json!(text(at(-4000)));
    }
    let error = see(&fake).await.unwrap_err();
    assert!(error.to_string().contains("one of the two clocks is wrong"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn lists_that_are_odd_are_errors_that_say_where() {
    let pods = |body: Value| (PODS, body.to_string());
    let mut odd = pod("web-a", "web", at(-10), None);
    odd["status"]["phase"] = json!(7);
    let cases = [
        (pods(json!({ "items": [odd] })), "items[0] (web-a): "),
        (pods(json!({ "items": { "a": 1 } })), "invalid type: map"),
        (pods(json!({ "metadata": { "continue": "x" }, "items": [] })), "names itself as the next one"),
        (pods(json!([1, 2])), "cannot be read"),
        ((PODS, "{\"items\": [".to_owned()), "EOF"),
        ((PODS, "<html>".to_owned()), "expected value"),
        ((USAGE, "null".to_owned()), "invalid type: null"),
        (("/apis/apps/", json!({ "metadata": { "name": "web" }, "spec": { "replicas": -3 } }).to_string()), "-3"),
        (("/apis/apps/", json!({ "metadata": { "name": "web" }, "spec": { "selector": {} } }).to_string()), "no selector"),
        (
            ("/apis/apps/", json!({ "metadata": { "name": "web" }, "spec": { "selector": { "matchExpressions": [{ "key": "a", "operator": "Near" }] } } }).to_string()),
            "operator",
        ),
    ];
    for ((path, body), expected) in cases {
        let fake = FakeCluster::web(at(0));
        fake.fault(path, Fault::Body(body.clone()));
        let error = see(&fake).await.unwrap_err().to_string();
        assert!(error.contains(path) && error.contains(expected), "{body}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_and_lists_without_end_are_cut_off() {
    let config = || MetricsApiConfig::default().with_pages(1, 3, 2000);
    for (body, expected) in [
        (format!("{{\"items\": [], \"x\": \"{}\"}}", "y".repeat(3000)), "larger than 2000 bytes"),
        (String::new(), "more than 3 pages"),
    ] {
        let fake = FakeCluster::web(at(0));
        if body.is_empty() {
            let more = pod("web-d", "web", at(-100), None);
            fake.state().pods.push(more);
        } else {
            fake.fault(PODS, Fault::Body(body));
        }
        let source = MetricsApi::new(fake.client()).with_config(config()).unwrap();
        let error = source.observe(&web(), at(0)).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        "[-0-9a-zA-Z:.]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("items|metadata|name|spec|status|usage|cpu", inner, 0..4)
                .prop_map(|map| json!(map)),
        ]
    })
}

/// One place of an object, replaced by anything.
fn spoilt(mut object: Value, place: usize, by: Value) -> Value {
    fn pointers(value: &Value, at: &str, all: &mut Vec<String>) {
        all.push(at.to_owned());
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| pointers(value, &format!("{at}/{key}"), all)),
            Value::Array(list) => {
                list.iter().enumerate().for_each(|(n, value)| pointers(value, &format!("{at}/{n}"), all));
            }
            _ => {}
        }
    }
    let mut all = Vec::new();
    pointers(&object, "", &mut all);
    let pointer = &all[place % all.len()];
    *object.pointer_mut(pointer).unwrap() = by;
    object
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Law 2: whatever is wrong with an answer, no number comes of it that nobody measured, and nothing panics.
    #[test]
    fn no_body_makes_a_number(which in 0_usize..3, place in 0_usize..200, by in any_json()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let fake = FakeCluster::web(at(0));
            let path = [PODS, USAGE, "/apis/apps/"][which];
            let whole = [json!({ "items": fake.state().pods }), json!({ "items": fake.state().usage }), workload("web", 3)];
            fake.fault(path, Fault::Body(spoilt(whole[which].clone(), place, by).to_string()));
            if let Ok(seen) = see(&fake).await {
                for kind in SignalKind::ALL {
                    if let Some(value) = seen.current.value(kind) {
                        assert!((0.0..=kind.limit()).contains(&value));
                        // All pods use half of what they request, or one of the three says something else.
                        assert!(value > 0.0 || kind == CPU || kind == MEMORY, "{kind} {value}");
                    }
                }
                assert!(seen.current.current_pod_count.unwrap() <= 3);
            }
        });
    }
}
