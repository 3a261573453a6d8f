//! `autoscaling/v2`, as it is written.
//!
//! What is left out is empty here, as it is to the API server: whether that will do is for [validation](HpaSpec::validate) to say,
//! which names every fault and not the first alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::defaults::DEFAULT_CPU_PERCENT;
use super::quantity::Quantity;
use super::validate::{Fault, InvalidHpa};
use crate::bounds::Bounds;

/// `spec` of a `HorizontalPodAutoscaler`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HpaSpec {
    /// What is scaled.
    #[serde(default)]
    pub scale_target_ref: CrossVersionObjectReference,
    /// Min replicas; absent means 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_replicas: Option<i32>,
    /// Max replicas.
    #[serde(default)]
    pub max_replicas: i32,
    /// What it reacts to; empty means CPU at 80 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Vec<MetricSpec>>,
    /// How fast it reacts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<HpaBehavior>,
}

impl HpaSpec {
    /// An HPA over `scale_target_ref` with these bounds and the metrics that Kubernetes fills in.
    pub fn new(scale_target_ref: CrossVersionObjectReference, bounds: Bounds) -> Self {
        Self {
            scale_target_ref,
            min_replicas: Some(stored(bounds.min())),
            max_replicas: stored(bounds.max()),
            metrics: None,
            behavior: None,
        }
    }

    /// Its bounds; without `minReplicas` the min is 1.
    ///
    /// # Errors
    /// [`InvalidHpa`] if Kubernetes would not take them.
    pub fn bounds(&self) -> Result<Bounds, InvalidHpa> {
        let count = |field: &str, value: i32| {
            u32::try_from(value).map_err(|_| Fault::new(format!("spec.{field}"), "must not be negative"))
        };
        let min = count("minReplicas", self.min_replicas.unwrap_or(1))?;
        let max = count("maxReplicas", self.max_replicas)?;
        Ok(Bounds::new(min, max)?)
    }

    /// The same with other bounds. Metrics and behavior stay as the host set them.
    #[must_use]
    pub fn with_bounds(mut self, bounds: Bounds) -> Self {
        // A min that was left out and is still 1 stays left out: nothing is written that was not meant.
        if self.min_replicas.is_some() || bounds.min() != 1 {
            self.min_replicas = Some(stored(bounds.min()));
        }
        self.max_replicas = stored(bounds.max());
        self
    }

    /// CPU utilization the HPA aims for, percent of request: its CPU metric, or Kubernetes' default of 80 without any metric.
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

/// A count as the API stores it. [`Bounds`] end where its 32 bits do.
pub(crate) fn stored(replicas: u32) -> i32 {
    i32::try_from(replicas).unwrap_or(i32::MAX)
}

/// Names an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CrossVersionObjectReference {
    /// `apps/v1` and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// `Deployment` and the like.
    #[serde(default)]
    pub kind: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
}

impl CrossVersionObjectReference {
    /// A Deployment.
    pub fn deployment(name: impl Into<String>) -> Self {
        Self { api_version: Some("apps/v1".into()), kind: "Deployment".into(), name: name.into() }
    }
}

/// One metric: exactly one source, the one that `type` names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricSpec {
    /// `Resource`, `ContainerResource`, `Pods`, `Object` or `External`.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// CPU or memory of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<MetricSource>,
    /// CPU or memory of one container of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_resource: Option<MetricSource>,
    /// A number of each pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<MetricSource>,
    /// A number of another object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<MetricSource>,
    /// A number from outside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<MetricSource>,
}

impl MetricSpec {
    /// A number from outside the cluster, so much of it for each replica.
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

    /// Utilization of a resource, percent of request.
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

/// Where a metric comes from. The five sources differ only in which of these fields they use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricSource {
    /// The resource: `Resource` and `ContainerResource`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The container: `ContainerResource`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The metric: `Pods`, `Object` and `External`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<MetricIdentifier>,
    /// The object: `Object`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub described_object: Option<CrossVersionObjectReference>,
    /// What to aim for.
    #[serde(default)]
    pub target: MetricTarget,
}

/// Names a metric.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricIdentifier {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Which of its series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// Selects by labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSelector {
    /// Labels that must be so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_labels: Option<BTreeMap<String, String>>,
    /// Conditions that must hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_expressions: Option<Vec<LabelSelectorRequirement>>,
}

/// A condition on one label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSelectorRequirement {
    /// The label.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// The values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<String>>,
}

/// What to aim for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricTarget {
    /// `Utilization`, `Value` or `AverageValue`.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// Percent of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_utilization: Option<i32>,
    /// A quantity for each pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_value: Option<Quantity>,
    /// A quantity in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Quantity>,
}

/// How fast the HPA reacts, each way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HpaBehavior {
    /// Upward.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_up: Option<ScalingRules>,
    /// Downward.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down: Option<ScalingRules>,
}

/// How fast the HPA reacts, one way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScalingRules {
    /// How long a wish must last, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stabilization_window_seconds: Option<i32>,
    /// `Max`, `Min` or `Disabled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select_policy: Option<String>,
    /// How much per period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies: Option<Vec<ScalingPolicy>>,
    /// How far from the target is still on target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<Quantity>,
}

/// So much per period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScalingPolicy {
    /// `Pods` or `Percent`.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// How much.
    #[serde(default)]
    pub value: i32,
    /// The period in seconds.
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
    fn a_misspelt_field_is_an_error_that_names_it() {
        let text = WRITTEN.replace("\"maxReplicas\"", "\"minReplica\":2,\"maxReplicas\"");
        let error = serde_json::from_str::<HpaSpec>(&text).unwrap_err().to_string();
        assert!(error.contains("minReplica"), "{error}");
    }
}
