//! An HPA whose target is a share of what changes.

use scaling_core::hpa::{ControllerConfig, HpaSpec, Resources};
use scaling_k8s::vertical::{Effect, HpaUsage, PodSizes, check};
use serde_json::{Value, json};

use crate::{pod, resize, situation};

fn hpa(metrics: &Value) -> HpaSpec {
    serde_json::from_value(json!({
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
        "minReplicas": 2, "maxReplicas": 40, "metrics": metrics,
    }))
    .unwrap()
}

fn cpu_at(percent: i32) -> Value {
    json!({ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": percent } } })
}

/// Ten pods that use 175 millicores each.
fn usage() -> HpaUsage {
    let used = Resources::from([("cpu", 175)]);
    HpaUsage {
        replicas: 10,
        ready: 10,
        of_a_pod: used.clone(),
        of_containers: vec![("app".into(), used)],
        ..HpaUsage::default()
    }
}

fn effect(spec: &HpaSpec, before: &PodSizes, cpu_percent: i32) -> Effect {
    let after = check(before, &resize(cpu_percent, 0), &situation()).unwrap().sizes;
    Effect::of(spec, before, &after, &usage(), &ControllerConfig::default()).unwrap()
}

#[test]
fn twice_the_request_is_half_the_utilization() {
    let before = pod(&json!({ "requests": { "cpu": "250m" } }));
    let doubled = effect(&hpa(&json!([cpu_at(70)])), &before, 100);
    assert_eq!((doubled.before, doubled.after, doubled.moves_the_size()), (Some(10), Some(5), true));
    assert_eq!(
        doubled.to_string(),
        "cpu: 70 % of the request become 35 %, which at a target of 70 % is 5 instead of 10 replicas; \
         a target of 35 % would mean what it means now\nthe HPA wants 5 replicas instead of 10"
    );
    let kept = hpa(&json!([cpu_at(doubled.metrics[0].same_use_percent)]));
    let after = check(&before, &resize(100, 0), &situation()).unwrap().sizes;
    let same = Effect::of(&kept, &after, &after, &usage(), &ControllerConfig::default()).unwrap();
    assert_eq!(same.after, Some(10), "with the target that it names, the size stays");
    // Less is more, and the bounds hold.
    let before = pod(&json!({ "requests": { "cpu": "1000m" } }));
    let lower = effect(&hpa(&json!([cpu_at(10)])), &before, -80);
    assert_eq!((lower.metrics[0].replicas, lower.after), ((17, 87), Some(40)));
}

#[test]
fn what_is_no_share_of_the_request_stays() {
    let before = pod(&json!({ "requests": { "cpu": "250m" } }));
    let value = json!({ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "AverageValue", "averageValue": "175m" } } });
    let steady = effect(&hpa(&json!([value])), &before, 100);
    assert_eq!((steady.before, steady.after, steady.metrics.len()), (Some(10), Some(10), 0));
    assert_eq!(steady.to_string(), "the HPA wants 10 replicas before and after");
    let external = json!({ "type": "External", "external": { "metric": { "name": "queue" }, "target": { "type": "Value", "value": 5 } } });
    let blind = effect(&hpa(&json!([external])), &before, 100);
    assert_eq!((blind.unknown, blind.after), (1, None));
    assert!(blind.to_string().contains("1 metrics are left out"), "{blind}");
    let container = json!({ "type": "ContainerResource", "containerResource": { "name": "cpu", "container": "app",
        "target": { "type": "Utilization", "averageUtilization": 70 } } });
    let mixed = effect(&hpa(&json!([cpu_at(60), container, external])), &before, 100);
    assert_eq!((mixed.metrics.len(), mixed.unknown, mixed.before, mixed.after), (2, 1, Some(12), Some(6)));
}
