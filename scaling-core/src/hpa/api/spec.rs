//! `autoscaling/v2` as it is written.
//!
//! A field that is left out is empty here, as it is to the API server. [Validation](HpaSpec::validate) refuses what must not be
//! empty and names every fault, not only the first.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::defaults::DEFAULT_CPU_PERCENT;
use super::quantity::Quantity;
use super::validate::{Fault, InvalidHpa};
use crate::bounds::Bounds;

/// `spec` of a `HorizontalPodAutoscaler`, field by field and in the spelling of the API.
///
/// An unknown field is an error that names it, as with the API server's strict validation: a misspelt `minReplica` must not
/// silently mean 1.
///
/// ```
/// use scaling_core::hpa::HpaSpec;
///
/// let spec: HpaSpec = serde_json::from_str(
///     r#"{"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 9}"#,
/// )?;
/// assert!(spec.validate().is_ok());
/// assert_eq!((spec.bounds()?.min(), spec.bounds()?.max()), (1, 9));
/// assert_eq!(spec.cpu_target_percent(), Some(80), "the default without metrics");
///
/// let misspelt = serde_json::from_str::<HpaSpec>(r#"{"minReplica": 2}"#).unwrap_err();
/// assert!(misspelt.to_string().contains("minReplica"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HpaSpec {
    /// Object that is scaled.
    #[serde(default)]
    pub scale_target_ref: CrossVersionObjectReference,
    /// Fewest replicas. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_replicas: Option<i32>,
    /// Most replicas.
    #[serde(default)]
    pub max_replicas: i32,
    /// Metrics that the size follows; the largest proposal counts. Default: CPU at [`DEFAULT_CPU_PERCENT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Vec<MetricSpec>>,
    /// Speed of growth and of shrinkage. Without it another algorithm runs than with an empty one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<HpaBehavior>,
}

impl HpaSpec {
    /// Creates an HPA over `scale_target_ref` with these bounds and the metrics that Kubernetes fills in.
    pub fn new(scale_target_ref: CrossVersionObjectReference, bounds: Bounds) -> Self {
        Self {
            scale_target_ref,
            min_replicas: Some(stored(bounds.min())),
            max_replicas: stored(bounds.max()),
            metrics: None,
            behavior: None,
        }
    }

    /// Returns the bounds; without `minReplicas` the min is 1.
    ///
    /// # Errors
    /// [`InvalidHpa`] if a bound is negative, or min is greater than max.
    pub fn bounds(&self) -> Result<Bounds, InvalidHpa> {
        let count = |field: &str, value: i32| {
            u32::try_from(value).map_err(|_| Fault::new(format!("spec.{field}"), "must not be negative"))
        };
        let min = count("minReplicas", self.min_replicas.unwrap_or(1))?;
        let max = count("maxReplicas", self.max_replicas)?;
        Ok(Bounds::new(min, max)?)
    }

    /// Replaces the bounds. Metrics and behavior stay as they are.
    #[must_use]
    pub fn with_bounds(mut self, bounds: Bounds) -> Self {
        // A min that was left out and is still 1 stays left out: nothing is written that was not meant.
        if self.min_replicas.is_some() || bounds.min() != 1 {
            self.min_replicas = Some(stored(bounds.min()));
        }
        self.max_replicas = stored(bounds.max());
        self
    }

    /// Replaces the CPU utilization that the HPA aims for, in the metric that [`cpu_target_percent`](Self::cpu_target_percent) reads.
    /// An HPA without any metric gets that one; one with other metrics alone stays as it is.
    #[must_use]
    pub fn with_cpu_target_percent(mut self, percent: i32) -> Self {
        let metrics = self.metrics.get_or_insert_default();
        if metrics.is_empty() {
            metrics.push(MetricSpec::utilization("cpu", percent));
        }
        let resources = metrics.iter_mut().filter_map(|metric| metric.resource.as_mut());
        let mut cpu = resources.filter(|source| source.name.as_deref() == Some("cpu"));
        if let Some(target @ Some(_)) = cpu.next().map(|source| &mut source.target.average_utilization) {
            *target = Some(percent);
        }
        self
    }

    /// Replaces the `stabilizationWindowSeconds` of `scaleDown`, and nothing else of `behavior`.
    #[must_use]
    pub fn with_scale_down_window(mut self, window: Duration) -> Self {
        let rules = self.behavior.get_or_insert_default().scale_down.get_or_insert_default();
        rules.stabilization_window_seconds = Some(i32::try_from(window.as_secs()).unwrap_or(i32::MAX));
        self
    }

    /// Replaces the `tolerance` of `scaleDown`, a share of the target, and nothing else of `behavior`. Servers before Kubernetes 1.35
    /// leave it out unless asked not to (feature gate `HPAConfigurableTolerance`), and 0.1 holds.
    #[must_use]
    pub fn with_scale_down_tolerance(mut self, tolerance: Quantity) -> Self {
        self.behavior.get_or_insert_default().scale_down.get_or_insert_default().tolerance = Some(tolerance);
        self
    }

    /// Returns the CPU utilization that the HPA aims for, in percent of the request.
    ///
    /// That of the first CPU metric, [`DEFAULT_CPU_PERCENT`] without any metric, and none where no metric is a utilization of CPU.
    pub fn cpu_target_percent(&self) -> Option<i32> {
        let metrics = self.metrics.as_deref().unwrap_or_default();
        if metrics.is_empty() {
            return Some(DEFAULT_CPU_PERCENT);
        }
        metrics.iter().find_map(|metric| match &metric.resource {
            Some(source) if source.name.as_deref() == Some("cpu") => source.target.average_utilization,
            _ => None,
        })
    }
}

/// Replicas as the API stores them, in 32 bits with a sign. [`Bounds`] hold no more than that.
pub(crate) fn stored(replicas: u32) -> i32 {
    i32::try_from(replicas).unwrap_or(i32::MAX)
}

/// Reference to an object in the namespace of the HPA.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CrossVersionObjectReference {
    /// Group and version, such as `apps/v1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Kind, such as `Deployment`.
    #[serde(default)]
    pub kind: String,
    /// Name of the object.
    #[serde(default)]
    pub name: String,
}

impl CrossVersionObjectReference {
    /// Refers to a Deployment of `apps/v1`.
    pub fn deployment(name: impl Into<String>) -> Self {
        Self { api_version: Some("apps/v1".into()), kind: "Deployment".into(), name: name.into() }
    }
}

/// Metric of an HPA: exactly one source is filled, the one that `type` names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricSpec {
    /// Name of the source: `Resource`, `ContainerResource`, `Pods`, `Object` or `External`.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// CPU or memory, averaged over the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<MetricSource>,
    /// CPU or memory of one container, averaged over the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_resource: Option<MetricSource>,
    /// Custom metric of each pod, averaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<MetricSource>,
    /// Custom metric of one object, such as an Ingress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<MetricSource>,
    /// Metric from outside the cluster, such as the length of a queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<MetricSource>,
}

impl MetricSpec {
    /// Creates an External metric with a target of `average_value` for each replica.
    pub fn external(name: &str, average_value: Quantity) -> Self {
        Self {
            kind: "External".into(),
            external: Some(MetricSource {
                metric: Some(MetricIdentifier { name: name.into(), selector: None }),
                target: MetricTarget {
                    kind: "AverageValue".into(),
                    average_value: Some(average_value),
                    ..MetricTarget::default()
                },
                ..MetricSource::default()
            }),
            ..Self::default()
        }
    }

    /// Creates a Resource metric with a target of `percent` of the request.
    pub fn utilization(resource: &str, percent: i32) -> Self {
        Self {
            kind: "Resource".into(),
            resource: Some(MetricSource {
                name: Some(resource.into()),
                target: MetricTarget {
                    kind: "Utilization".into(),
                    average_utilization: Some(percent),
                    ..MetricTarget::default()
                },
                ..MetricSource::default()
            }),
            ..Self::default()
        }
    }
}

/// Source of a metric. The five kinds of source differ only in which of these fields they use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricSource {
    /// Resource; of `Resource` and `ContainerResource`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Container; of `ContainerResource`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Metric; of `Pods`, `Object` and `External`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<MetricIdentifier>,
    /// Object that the metric describes; of `Object`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub described_object: Option<CrossVersionObjectReference>,
    /// Target of the metric.
    #[serde(default)]
    pub target: MetricTarget,
}

/// Name of a metric, and the selection of its series.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricIdentifier {
    /// Name of the metric.
    #[serde(default)]
    pub name: String,
    /// Labels that a series must have. Default: all series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// Selector by labels; all requirements must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSelector {
    /// Labels that must have these values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_labels: Option<BTreeMap<String, String>>,
    /// Requirements on single labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_expressions: Option<Vec<LabelSelectorRequirement>>,
}

/// Requirement on one label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSelectorRequirement {
    /// Key of the label.
    #[serde(default)]
    pub key: String,
    /// Operator: `In`, `NotIn`, `Exists` or `DoesNotExist`.
    #[serde(default)]
    pub operator: String,
    /// Values to compare with; of `In` and `NotIn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<String>>,
}

/// Target of a metric as it is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricTarget {
    /// Type of the target: `Utilization`, `Value` or `AverageValue`.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// Utilization to aim for, in percent of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_utilization: Option<i32>,
    /// Quantity to aim for, for each replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_value: Option<Quantity>,
    /// Quantity to aim for, in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Quantity>,
}

/// Speed of the HPA in both directions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HpaBehavior {
    /// Rules for growth. Default: at once, by four pods or to double the size in 15 s, whichever is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_up: Option<ScalingRules>,
    /// Rules for shrinkage. Default: without limit, after the controller's own stabilization window of 300 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down: Option<ScalingRules>,
}

/// Speed of the HPA in one direction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScalingRules {
    /// Stabilization window in seconds: the most cautious recommendation within it counts. Default: 0 up, the controller's down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stabilization_window_seconds: Option<i32>,
    /// Choice among the policies: `Max` (default), `Min` or `Disabled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select_policy: Option<String>,
    /// Limits per period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies: Option<Vec<ScalingPolicy>>,
    /// Tolerance around the target, as a share. Default: the controller's, 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<Quantity>,
}

/// Limit on the change within a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScalingPolicy {
    /// Unit of `value`: `Pods` or `Percent`.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// Change that is allowed within the period.
    #[serde(default)]
    pub value: i32,
    /// Length of the period in seconds, at most 1800.
    #[serde(default)]
    pub period_seconds: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: &str = r#"{"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"checkout"},"maxReplicas":9,
        "metrics":[{"type":"Pods","pods":{"metric":{"name":"rps"},"target":{"type":"AverageValue","averageValue":"40"}}}],
        "behavior":{"scaleDown":{"policies":[{"type":"Percent","value":10,"periodSeconds":60}],"tolerance":"0.05"}}}"#;

    #[test]
    fn without_min_replicas_the_min_is_1_and_stays_unwritten() {
        let spec: HpaSpec = serde_json::from_str(WRITTEN).unwrap();
        assert_eq!(spec.bounds(), Ok(Bounds::new(1, 9).unwrap()));
        assert_eq!(spec.clone().with_bounds(Bounds::new(1, 12).unwrap()).min_replicas, None);
        assert_eq!(spec.with_bounds(Bounds::new(2, 12).unwrap()).min_replicas, Some(2));
    }

    #[test]
    fn metrics_and_behavior_stay_as_the_host_set_them() {
        let spec: HpaSpec = serde_json::from_str(WRITTEN).unwrap();
        let moved = spec.clone().with_bounds(Bounds::new(3, 30).unwrap());
        assert_eq!((&moved.metrics, &moved.behavior), (&spec.metrics, &spec.behavior));
        let mut expected: serde_json::Value = serde_json::from_str(WRITTEN).unwrap();
        expected["minReplicas"] = 3.into();
        expected["maxReplicas"] = 30.into();
        assert_eq!(serde_json::to_value(&moved).unwrap(), expected);
    }

    #[test]
    fn a_target_and_a_window_are_replaced_and_nothing_else() {
        let spec: HpaSpec = serde_json::from_str(WRITTEN).unwrap();
        assert_eq!(spec.clone().with_cpu_target_percent(90), spec, "it has no target on CPU");
        let calm = spec.clone().with_scale_down_window(Duration::from_secs(60));
        let mut expected: serde_json::Value = serde_json::from_str(WRITTEN).unwrap();
        expected["behavior"]["scaleDown"]["stabilizationWindowSeconds"] = 60.into();
        assert_eq!(serde_json::to_value(&calm).unwrap(), expected);

        let bare = HpaSpec { metrics: None, behavior: None, ..spec };
        let moved = bare.with_cpu_target_percent(90).with_cpu_target_percent(85);
        assert_eq!(moved.metrics, Some(vec![MetricSpec::utilization("cpu", 85)]));
        assert_eq!(moved.cpu_target_percent(), Some(85));
    }

    #[test]
    fn a_misspelt_field_is_an_error_that_names_it() {
        let text = WRITTEN.replace("\"maxReplicas\"", "\"minReplica\":2,\"maxReplicas\"");
        let error = serde_json::from_str::<HpaSpec>(&text).unwrap_err().to_string();
        assert!(error.contains("minReplica"), "{error}");
    }
}
