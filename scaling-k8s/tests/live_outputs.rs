//! Documents that are written for KEDA and for Karmada, before a real API server with the schemas of their kinds: KEDA's own, which comes
//! with its module, and one of the same fields and limits for Karmada, whose module cannot be had.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::path::Path;
use std::time::Duration;

use kube::Client;
use scaling_core::chrono::Weekday::{Fri, Mon};
use scaling_core::{Bounds, Target};
use scaling_k8s::api::{Moment, WeekPlan, karmada, keda};
use serde_json::{Value, json};
use support::{ADMIN, ControlPlane};

const SCALED_OBJECTS: &str = "/apis/keda.sh/v1alpha1/namespaces/default/scaledobjects";
const FEDERATED: &str = "/apis/autoscaling.karmada.io/v1alpha1/namespaces/default/cronfederatedhpas";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_for_others_are_what_their_schemas_take() {
    let Some(assets) = support::assets() else { return };
    let plane = ControlPlane::start(&assets).await;
    let client = plane.client(ADMIN);
    let target = Target::deployment("default", "checkout");
    let mut week = WeekPlan::new("Europe/Berlin", Bounds::new(2, 20).unwrap()).unwrap();
    let at = |day, hour, minute| Moment::new(day, hour, minute).unwrap();
    week.set(at(Mon, 8, 0), at(Fri, 18, 30), Bounds::new(5, 20).unwrap());

    define(&client, "application/json", karmada_definition().to_string().into_bytes()).await;
    let object = karmada::cron_federated_hpa(&target, &week).unwrap();
    let made = served(&client, FEDERATED, &object).await;
    // The server has filled in defaults.
    assert_eq!(karmada::read(&made).unwrap().changes().collect::<Vec<_>>(), week.changes().collect::<Vec<_>>());
    for (pointer, value) in [
        ("/spec/rules/0/name", json!("n".repeat(33))),
        ("/spec/rules/0/targetMinReplicas", json!("5")),
        ("/spec/rules/0/successfulHistoryLimit", json!(0)),
        ("/spec/rules/0", json!({ "name": "a", "schedule": "0 8 * * *", "unknown": 1 })),
    ] {
        refuses(&client, FEDERATED, &object, pointer, value).await;
    }

    let Some(definition) = keda_definition(&assets) else { return };
    define(&client, "application/yaml", definition).await;
    let object = keda::scaled_object(&target, &week, None).unwrap();
    let made = served(&client, SCALED_OBJECTS, &object).await;
    assert_eq!(keda::read(&made).unwrap(), week);
    // The fields by which it takes over the HPA are those of its schema.
    assert_eq!(made["metadata"]["annotations"]["scaledobject.keda.sh/transfer-hpa-ownership"], "true");
    assert_eq!(made["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["name"], "checkout");
    for (pointer, value) in [
        ("/spec/triggers/0/metadata/desiredReplicas", json!(5)),
        ("/spec/minReplicaCount", json!("2")),
        ("/spec/advanced/horizontalPodAutoscalerConfig", json!({ "hpa": "checkout" })),
        ("/spec/triggers/0", json!({ "type": "cron", "metadata": {}, "unknown": 1 })),
    ] {
        refuses(&client, SCALED_OBJECTS, &object, pointer, value).await;
    }
}

async fn define(client: &Client, content_type: &str, body: Vec<u8>) {
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?fieldValidation=Strict";
    let request = http::Request::post(path).header("content-type", content_type).body(body).unwrap();
    client.request::<Value>(request).await.unwrap_or_else(|error| panic!("{error}"));
}

async fn post(client: &Client, path: &str, object: &Value) -> kube::Result<Value> {
    let request = http::Request::post(format!("{path}?dryRun=All&fieldValidation=Strict"));
    client
        .request(request.header("content-type", "application/json").body(object.to_string().into_bytes()).unwrap())
        .await
}

/// What the server makes of an object, once it serves the kind.
async fn served(client: &Client, path: &str, object: &Value) -> Value {
    let asked = async {
        loop {
            match post(client, path, object).await {
                Ok(made) => return made,
                Err(kube::Error::Api(status)) if status.code == 404 => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => panic!("{error}: {object:#}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asked).await.unwrap_or_else(|_| panic!("{path} is not served"))
}

/// So the schema is one that tells something.
async fn refuses(client: &Client, path: &str, object: &Value, pointer: &str, value: Value) {
    let mut bad = object.clone();
    *bad.pointer_mut(pointer).unwrap() = value;
    let error = post(client, path, &bad).await.unwrap_err();
    assert!(matches!(&error, kube::Error::Api(status) if [400, 422].contains(&status.code)), "{pointer}: {error}");
}

/// KEDA's own definition of a ScaledObject.
fn keda_definition(assets: &Path) -> Option<Vec<u8>> {
    let read = std::fs::read(assets.join("keda.sh_scaledobjects.yaml")).ok();
    if read.is_none() {
        let how = "the folder in KUBEBUILDER_ASSETS has no keda.sh_scaledobjects.yaml; .ci/control-plane/build puts one there";
        assert!(std::env::var_os("CI").is_none(), "{how}");
        eprintln!("skipped in part: {how}");
    }
    read
}

/// Fields, types and limits of a CronFederatedHPA.
fn karmada_definition() -> Value {
    let (text, number) = (json!({ "type": "string" }), json!({ "type": "integer", "format": "int32" }));
    let history =
        |least: u32| json!({ "type": "integer", "format": "int32", "default": 3, "minimum": least, "maximum": 32 });
    let rule = json!({
        "type": "object",
        "required": ["name", "schedule"],
        "properties": {
            "name": { "type": "string", "minLength": 1, "maxLength": 32 },
            "schedule": text,
            "timeZone": text,
            "suspend": { "type": "boolean", "default": false },
            "targetReplicas": number,
            "targetMinReplicas": number,
            "targetMaxReplicas": number,
            "successfulHistoryLimit": history(1),
            "failedHistoryLimit": history(0),
        },
    });
    let reference = json!({
        "type": "object", "required": ["kind", "name"], "properties": { "apiVersion": text, "kind": text, "name": text } });
    let spec = json!({
        "type": "object", "required": ["rules", "scaleTargetRef"],
        "properties": { "rules": { "type": "array", "items": rule }, "scaleTargetRef": reference } });
    let schema = json!({ "type": "object", "required": ["spec"], "properties": {
        "apiVersion": text, "kind": text, "metadata": { "type": "object" }, "spec": spec } });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "cronfederatedhpas.autoscaling.karmada.io" },
        "spec": {
            "group": "autoscaling.karmada.io", "scope": "Namespaced",
            "names": { "plural": "cronfederatedhpas", "singular": "cronfederatedhpa", "kind": "CronFederatedHPA" },
            "versions": [{ "name": "v1alpha1", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema } }],
        },
    })
}
