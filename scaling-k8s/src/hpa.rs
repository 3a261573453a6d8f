//! Conversions between the API's own types and ours. Pure.

use std::sync::Arc;

use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec};
use scaling_core::hpa::InvalidHpa;
use scaling_core::{HpaSpec, HpaState};

use crate::ManifestError;

/// Converts a spec into the API's own type.
///
/// # Errors
/// [`ManifestError::Inexpressible`] if the API's type lacks a field.
pub fn to_api_spec(spec: &HpaSpec) -> Result<HorizontalPodAutoscalerSpec, ManifestError> {
    translated(spec)
}

/// Converts a spec from the API's own type.
///
/// # Errors
/// [`ManifestError::Inexpressible`] if ours lacks a field.
pub fn from_api_spec(spec: &HorizontalPodAutoscalerSpec) -> Result<HpaSpec, ManifestError> {
    translated(spec)
}

// Both sides spell `autoscaling/v2` as JSON does, so JSON is the one mapping that cannot forget a field.
fn translated<A: serde::Serialize, B: serde::de::DeserializeOwned>(value: &A) -> Result<B, ManifestError> {
    serde_json::to_value(value)
        .and_then(serde_json::from_value)
        .map_err(|error| ManifestError::Inexpressible(Arc::new(error)))
}

/// The state of an HPA: its bounds, which count as its resting bounds too, and the pods that its status counts: those that run, or
/// those that it asked for last, whichever are more. Without `minReplicas` the min is 1.
///
/// Which bounds its owner had set before we moved them stands in an annotation: [`resting::Seen`](crate::resting::Seen) reads that too.
///
/// ```
/// use scaling_core::Bounds;
/// use scaling_k8s::k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec};
///
/// let spec = HorizontalPodAutoscalerSpec { min_replicas: Some(2), max_replicas: 10, ..Default::default() };
/// let state = scaling_k8s::hpa::state(&HorizontalPodAutoscaler { spec, ..Default::default() })?;
/// assert_eq!((state.bounds, state.resting), (Bounds::new(2, 10)?, Bounds::new(2, 10)?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`InvalidHpa`] if its bounds cannot be.
pub fn state(hpa: &HorizontalPodAutoscaler) -> Result<HpaState, InvalidHpa> {
    let bounds =
        HpaSpec { min_replicas: hpa.spec.min_replicas, max_replicas: hpa.spec.max_replicas, ..HpaSpec::default() };
    let state = HpaState::new(bounds.bounds()?);
    let pods = hpa.status.as_ref().map(|status| status.desired_replicas.max(status.current_replicas.unwrap_or(0)));
    Ok(match pods.and_then(|pods| u32::try_from(pods).ok()) {
        Some(pods) => state.with_pods(pods),
        None => state,
    })
}

#[cfg(test)]
mod tests {
    use scaling_core::Bounds;
    use serde_json::{Value, json};

    use super::*;
    use crate::manifest::{API_VERSION, KIND};

    fn hpa(spec: &Value) -> HorizontalPodAutoscaler {
        serde_json::from_value(json!({ "apiVersion": API_VERSION, "kind": KIND, "metadata": {}, "spec": spec }))
            .unwrap()
    }

    #[test]
    fn without_min_replicas_the_min_is_1() {
        assert_eq!(state(&hpa(&json!({ "maxReplicas": 4 }))).unwrap().bounds, Bounds::new(1, 4).unwrap());
        assert_eq!(
            state(&hpa(&json!({ "minReplicas": 0, "maxReplicas": 4 }))).unwrap().bounds,
            Bounds::new(0, 4).unwrap()
        );
    }

    #[test]
    fn bounds_that_cannot_be_are_an_error() {
        let said = |spec: Value| state(&hpa(&spec)).unwrap_err().to_string();
        assert_eq!(said(json!({ "minReplicas": -1, "maxReplicas": 4 })), "spec.minReplicas: must not be negative");
        assert_eq!(said(json!({ "maxReplicas": -4 })), "spec.maxReplicas: must not be negative");
        assert!(said(json!({})).contains("max replicas is 0"));
        assert!(said(json!({ "minReplicas": 5, "maxReplicas": 4 })).contains("above max"));
    }

    #[test]
    fn a_spec_survives_the_way_through_the_api_types() {
        let spec: HpaSpec = serde_json::from_value(json!({
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout" },
            "maxReplicas": 9,
            "metrics": [
                { "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 70 } } },
                { "type": "ContainerResource", "containerResource": {
                    "name": "memory", "container": "app", "target": { "type": "AverageValue", "averageValue": "1.5Gi" } } },
                { "type": "Object", "object": {
                    "describedObject": { "apiVersion": "v1", "kind": "Service", "name": "web" },
                    "metric": { "name": "rps", "selector": { "matchExpressions": [
                        { "key": "a", "operator": "In", "values": ["b"] }], "matchLabels": { "c": "d" } } },
                    "target": { "type": "Value", "value": "10k" } } },
            ],
            "behavior": { "scaleUp": { "stabilizationWindowSeconds": 0, "selectPolicy": "Max", "tolerance": "0.05",
                "policies": [{ "type": "Pods", "value": 4, "periodSeconds": 15 }] }, "scaleDown": {} },
        }))
        .unwrap();
        assert_eq!(from_api_spec(&to_api_spec(&spec).unwrap()).unwrap(), spec);
    }

    #[test]
    fn a_number_beyond_the_api_is_an_error_and_a_negative_one_is_for_validation() {
        let spec = |max: i64| {
            serde_json::from_value::<HpaSpec>(json!({
                "scaleTargetRef": { "kind": "Deployment", "name": "checkout" }, "maxReplicas": max }))
        };
        assert!(spec(2_147_483_648).is_err());
        let negative = spec(-1).unwrap();
        assert_eq!(from_api_spec(&to_api_spec(&negative).unwrap()).unwrap(), negative);
        assert!(negative.validate().is_err());
    }
}
