//! Objects as clusters have them.

use scaling_k8s::Manifests;
use serde_json::{Value, json};

/// An entry of `managedFields`.
pub(crate) fn entry(manager: &str, operation: &str, fields: &Value) -> Value {
    json!({ "manager": manager, "operation": operation, "apiVersion": "autoscaling/v2", "time": "2026-11-02T08:00:00Z",
        "fieldsType": "FieldsV1", "fieldsV1": fields })
}

pub(crate) fn bounds_of(manager: &str, operation: &str) -> Value {
    entry(manager, operation, &json!({ "f:spec": { "f:minReplicas": {}, "f:maxReplicas": {} } }))
}

pub(crate) fn hpa(managed: &[Value]) -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": { "namespace": "shop", "name": "checkout", "uid": "0b6f", "managedFields": managed },
        "spec": { "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout" },
            "minReplicas": 2, "maxReplicas": 10 },
    })
}

pub(crate) fn tracked_by_argo() -> Value {
    let mut hpa = hpa(&[]);
    hpa["metadata"]["annotations"] =
        json!({ "argocd.argoproj.io/tracking-id": "shop-prod:autoscaling/HorizontalPodAutoscaler:shop/checkout" });
    hpa
}

pub(crate) fn deployment(managed: &[Value]) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "namespace": "shop", "name": "checkout", "managedFields": managed }, "spec": { "replicas": 3 } })
}

pub(crate) fn scaled_object() -> Value {
    json!({ "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": { "namespace": "shop", "name": "checkout" },
        "spec": { "scaleTargetRef": { "name": "checkout" }, "triggers": [{ "type": "cron" }] } })
}

pub(crate) fn vpa(mode: Option<&str>) -> Value {
    let mut vpa = json!({ "apiVersion": "autoscaling.k8s.io/v1", "kind": "VerticalPodAutoscaler",
        "metadata": { "namespace": "shop", "name": "checkout" },
        "spec": { "targetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout" } } });
    if let Some(mode) = mode {
        vpa["spec"]["updatePolicy"] = json!({ "updateMode": mode });
    }
    vpa
}

pub(crate) fn cron_job(namespace: &str, command: &Value) -> Value {
    json!({ "apiVersion": "batch/v1", "kind": "CronJob", "metadata": { "namespace": namespace, "name": "nightly" },
        "spec": { "schedule": "0 20 * * *", "jobTemplate": { "spec": { "template": { "spec": { "containers": [
            { "name": "kubectl", "image": "kubectl", "command": command }] } } } } } })
}

/// A mapping that is written in YAML, as JSON. What is no HPA is read from within an annotation's place: any mapping will do.
pub(crate) fn yaml(text: &str) -> Value {
    // The crate reads HPAs only, so the text is put where metadata may hold anything.
    let indented = text.lines().map(|line| format!("    {line}\n")).collect::<Vec<_>>().concat();
    let hpa = format!(
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata:\n  name: a\n  managedFields:\n  - fieldsV1:\n\
         {indented}spec:\n  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: a}}\n  maxReplicas: 3\n"
    );
    let indented = hpa.replace("\n    ", "\n      ");
    let manifests = Manifests::from_yaml(&indented).unwrap();
    let (_, manifest) = manifests.all().next().unwrap();
    manifest.unwrap().metadata.others["managedFields"][0]["fieldsV1"].clone()
}
