//! What the server refuses, [`HpaManifest::validate`] refuses, and nothing else: one field changed at a time.

use scaling_k8s::HpaManifest;
use serde_json::{Value, json};

use crate::world::{World, checkout};

pub(crate) async fn validate_refuses_what_the_server_refuses(world: &World) {
    let mut wrong = Vec::new();
    let cases = cases();
    for (what, manifest) in &cases {
        let ours = manifest.validate().map_err(|error| error.to_string());
        let theirs = world.dry_create(manifest.namespace(), manifest.to_yaml().unwrap()).await;
        let theirs = theirs.map(|_| ()).map_err(|error| match error {
            kube::Error::Api(status) if matches!(status.code, 400 | 422) => status.message,
            other => panic!("{what}: {other:?}"),
        });
        if ours.is_ok() != theirs.is_ok() {
            wrong.push(format!("{what}: ours {ours:?}, the server's {theirs:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    let refused = cases.iter().filter(|(_, manifest)| manifest.validate().is_err()).count();
    assert!(refused > 60 && cases.len() - refused > 30, "{refused} of {} refused", cases.len());
}

/// The richest manifest, with one thing changed in each.
fn cases() -> Vec<(String, HpaManifest)> {
    let whole = json!({ "metadata": checkout().metadata, "spec": checkout().spec });
    let mut cases = Vec::new();
    for (path, values) in general().into_iter().chain(metrics()) {
        for value in values {
            let mut changed = whole.clone();
            set(&mut changed, path, value.clone());
            let metadata = serde_json::from_value(changed["metadata"].take());
            // What our types cannot even hold needs no case here.
            if let (Ok(metadata), Ok(spec)) = (metadata, serde_json::from_value(changed["spec"].take())) {
                cases.push((format!("{path} = {value}"), HpaManifest { metadata, spec }));
            }
        }
    }
    cases
}

/// Puts a value in place; null takes the field away.
fn set(whole: &mut Value, path: &str, value: Value) {
    let (parent, field) = path.rsplit_once('/').unwrap();
    let parent = whole.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if value.is_null() {
        parent.remove(field)
    } else {
        parent.insert(field.to_owned(), value)
    };
}

fn names() -> Vec<Value> {
    vec![json!("a"), json!("a/b"), json!("."), json!(".."), json!(""), json!("a%b"), json!("A b"), json!("ä")]
}

fn quantities() -> Vec<Value> {
    let texts = [
        "1", "0", "-1", "0.5", ".5", "5.", "1.5Gi", "1E", "1e3", "1e-3", "1k", "1K", "x", "", "+1", "1e", "1n", "0m",
        "1 ",
    ];
    texts.map(|text| json!(text)).to_vec()
}

fn targets() -> Vec<Value> {
    let utilization = |percent: u32| json!({ "type": "Utilization", "averageUtilization": percent });
    let average = json!({ "type": "AverageValue", "averageValue": "1" });
    let value = json!({ "type": "Value", "value": "1" });
    let both = json!({ "type": "Value", "value": "1", "averageValue": "1" });
    let mixed = json!({ "type": "Utilization", "averageUtilization": 5, "averageValue": "1" });
    let odd = json!({ "type": "Utilization", "averageValue": "1" });
    let other = json!({ "type": "Other", "averageValue": "1", "value": "1", "averageUtilization": 1 });
    vec![
        utilization(1),
        utilization(0),
        utilization(500),
        utilization(2_147_483_647),
        utilization(2_147_483_648),
        average,
        value,
        both,
        mixed,
        odd,
        other,
        json!({ "type": "Value" }),
    ]
}

fn general() -> Vec<(&'static str, Vec<Value>)> {
    vec![
        (
            "/metadata/name",
            vec![json!("a.b"), json!("A"), json!("a_b"), json!("-a"), json!("a".repeat(253)), json!("a".repeat(254))],
        ),
        (
            "/metadata/labels/a",
            vec![json!("x"), json!(""), json!("-x"), json!("x y"), json!("x".repeat(63)), json!("x".repeat(64))],
        ),
        ("/metadata/labels/a b", vec![json!("x")]),
        ("/metadata/labels/A_.b", vec![json!("x")]),
        ("/metadata/annotations/a b", vec![json!("x")]),
        ("/metadata/annotations/-a", vec![json!("x")]),
        ("/metadata/annotations/EX", vec![json!("x".repeat(262_000)), json!("x".repeat(262_144))]),
        ("/spec/minReplicas", vec![json!(null), json!(0), json!(1), json!(30), json!(31)]),
        ("/spec/maxReplicas", vec![json!(0), json!(2), json!(3), json!(2_147_483_647), json!(2_147_483_648_u32)]),
        ("/spec/scaleTargetRef/kind", names()),
        ("/spec/scaleTargetRef/name", names()),
        (
            "/spec/scaleTargetRef/apiVersion",
            vec![json!(null), json!("v1"), json!("a/b"), json!("a/b/c"), json!("/v1"), json!("a/"), json!("/")],
        ),
        ("/spec/metrics", vec![json!(null), json!([])]),
        ("/spec/behavior", vec![json!(null), json!({}), json!({ "scaleUp": {} })]),
        ("/spec/behavior/scaleUp/stabilizationWindowSeconds", vec![json!(0), json!(3600), json!(3601)]),
        (
            "/spec/behavior/scaleUp/selectPolicy",
            vec![json!("Max"), json!("Disabled"), json!("max"), json!(""), json!(null)],
        ),
        ("/spec/behavior/scaleUp/tolerance", quantities()),
        (
            "/spec/behavior/scaleUp/policies",
            vec![
                json!([]),
                json!(null),
                json!([{ "type": "Pods", "value": 0, "periodSeconds": 1 }]),
                json!([{ "type": "Pods", "value": 1, "periodSeconds": 0 }]),
                json!([{ "type": "Pods", "value": 1, "periodSeconds": 1800 }]),
                json!([{ "type": "Pods", "value": 1, "periodSeconds": 1801 }]),
                json!([{ "type": "pods", "value": 1, "periodSeconds": 1 }]),
                json!([{ "type": "Pods", "value": 2_147_483_648_u32, "periodSeconds": 1 }]),
            ],
        ),
    ]
}

fn metrics() -> Vec<(&'static str, Vec<Value>)> {
    vec![
        ("/spec/metrics/0/type", vec![json!("Pods"), json!(""), json!("resource")]),
        (
            "/spec/metrics/0/pods",
            vec![json!({ "metric": { "name": "a" }, "target": { "type": "AverageValue", "averageValue": "1" } })],
        ),
        ("/spec/metrics/0/resource", vec![json!(null)]),
        ("/spec/metrics/0/resource/name", vec![json!(null), json!(""), json!("anything goes"), json!("memory")]),
        ("/spec/metrics/0/resource/container", vec![json!("app")]),
        ("/spec/metrics/0/resource/metric", vec![json!({ "name": "a" })]),
        ("/spec/metrics/0/resource/target", targets()),
        (
            "/spec/metrics/1/containerResource/name",
            vec![json!(null), json!("cpu"), json!("gpu"), json!("example.com/gpu"), json!("hugepages-2Mi"), json!("")],
        ),
        (
            "/spec/metrics/1/containerResource/container",
            vec![json!(null), json!("a-b"), json!("a.b"), json!("A"), json!("")],
        ),
        ("/spec/metrics/1/containerResource/target", targets()),
        ("/spec/metrics/1/containerResource/target/averageValue", quantities()),
        ("/spec/metrics/2/pods/metric", vec![json!(null)]),
        ("/spec/metrics/2/pods/metric/name", names()),
        ("/spec/metrics/2/pods/name", vec![json!("a")]),
        ("/spec/metrics/2/pods/target", targets()),
        ("/spec/metrics/3/object/describedObject", vec![json!(null)]),
        ("/spec/metrics/3/object/describedObject/kind", names()),
        ("/spec/metrics/3/object/describedObject/name", names()),
        ("/spec/metrics/3/object/describedObject/apiVersion", vec![json!(null), json!("v1"), json!("a/b/c")]),
        ("/spec/metrics/3/object/metric/name", names()),
        ("/spec/metrics/3/object/target", targets()),
        ("/spec/metrics/4/external/metric/name", names()),
        ("/spec/metrics/4/external/describedObject", vec![json!({ "kind": "a", "name": "b" })]),
        ("/spec/metrics/4/external/target", targets()),
    ]
}
