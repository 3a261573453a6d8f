//! `autoscaling/v2`, as it is written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Bounds, InvalidBounds};

/// An HPA that Kubernetes would not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidHpa {
    /// Its bounds cannot be.
    #[error(transparent)]
    Bounds(#[from] InvalidBounds),
    /// A field cannot be so.
    #[error("{field}: {what}")]
    Field {
        /// Its path.
        field: String,
        /// What is wrong.
        what: &'static str,
    },
}

/// `spec` of a `HorizontalPodAutoscaler`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HpaSpec {
    /// What is scaled.
    pub scale_target_ref: CrossVersionObjectReference,
    /// Min replicas; absent means 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_replicas: Option<u32>,
    /// Max replicas.
    pub max_replicas: u32,
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
            min_replicas: Some(bounds.min()),
            max_replicas: bounds.max(),
            metrics: None,
            behavior: None,
        }
    }

    /// Its bounds; without `minReplicas` the min is 1.
    ///
    /// # Errors
    /// [`InvalidBounds`] if Kubernetes would not take them.
    pub fn bounds(&self) -> Result<Bounds, InvalidBounds> {
        Bounds::new(self.min_replicas.unwrap_or(1), self.max_replicas)
    }

    /// The same with other bounds. Metrics and behavior stay as the host set them.
    #[must_use]
    pub fn with_bounds(mut self, bounds: Bounds) -> Self {
        // A min that was left out and is still 1 stays left out: nothing is written that was not meant.
        if self.min_replicas.is_some() || bounds.min() != 1 {
            self.min_replicas = Some(bounds.min());
        }
        self.max_replicas = bounds.max();
        self
    }

    /// CPU utilization the HPA aims for, percent of request: its CPU metric, or Kubernetes' default of 80 without any metric.
    pub fn cpu_target_percent(&self) -> Option<u32> {
        let metrics = self.metrics.as_deref().unwrap_or_default();
        if metrics.is_empty() {
            return Some(80);
        }
        metrics.iter().find_map(|metric| match &metric.resource {
            Some(source) if source.name.as_deref() == Some("cpu") => source.target.average_utilization,
            _ => None,
        })
    }

    /// Checks what the API server checks of bounds, target and the shape of metrics and behavior.
    ///
    /// # Errors
    /// [`InvalidHpa`] with the first fault.
    pub fn validate(&self) -> Result<(), InvalidHpa> {
        self.bounds()?;
        for (field, value) in [("kind", &self.scale_target_ref.kind), ("name", &self.scale_target_ref.name)] {
            if value.is_empty() || value == "." || value == ".." || value.contains(['/', '%']) {
                return Err(fault(format!("spec.scaleTargetRef.{field}"), "must be a name"));
            }
        }
        if self.min_replicas == Some(0) {
            let object_or_external = |metric: &MetricSpec| metric.object.is_some() || metric.external.is_some();
            if !self.metrics.iter().flatten().any(object_or_external) {
                return Err(fault("spec.metrics".into(), "minReplicas 0 needs an Object or External metric"));
            }
        }
        for (index, metric) in self.metrics.iter().flatten().enumerate() {
            metric.validate().map_err(|what| fault(format!("spec.metrics[{index}]"), what))?;
        }
        if let Some(behavior) = &self.behavior {
            for (name, rules) in [("scaleUp", &behavior.scale_up), ("scaleDown", &behavior.scale_down)] {
                if let Some(rules) = rules {
                    rules.validate().map_err(|what| fault(format!("spec.behavior.{name}"), what))?;
                }
            }
        }
        Ok(())
    }
}

fn fault(field: String, what: &'static str) -> InvalidHpa {
    InvalidHpa::Field { field, what }
}

/// Names an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CrossVersionObjectReference {
    /// `apps/v1` and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// `Deployment` and the like.
    pub kind: String,
    /// Its name.
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
    #[serde(rename = "type")]
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
    /// Utilization of a resource, percent of request.
    pub fn utilization(resource: &str, percent: u32) -> Self {
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

    fn validate(&self) -> Result<(), &'static str> {
        let sources = [
            ("Resource", &self.resource),
            ("ContainerResource", &self.container_resource),
            ("Pods", &self.pods),
            ("Object", &self.object),
            ("External", &self.external),
        ];
        let mut filled = sources.iter().filter_map(|(kind, source)| source.as_ref().map(|source| (*kind, source)));
        match (filled.next(), filled.next()) {
            (Some((kind, source)), None) if kind == self.kind => source.target.validate(),
            _ => Err("must fill exactly the source that its type names"),
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
    pub target: MetricTarget,
}

/// Names a metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricIdentifier {
    /// Its name.
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

/// What to aim for. Quantities are kept as they are written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricTarget {
    /// `Utilization`, `Value` or `AverageValue`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Percent of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_utilization: Option<u32>,
    /// A quantity for each pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_value: Option<String>,
    /// A quantity in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

impl MetricTarget {
    fn validate(&self) -> Result<(), &'static str> {
        if !matches!(self.kind.as_str(), "Utilization" | "Value" | "AverageValue") {
            return Err("target.type must be Utilization, Value or AverageValue");
        }
        if self.average_utilization == Some(0) {
            return Err("target.averageUtilization must be at least 1");
        }
        if self.average_utilization.is_none() && self.average_value.is_none() && self.value.is_none() {
            return Err("target must say what to aim for");
        }
        Ok(())
    }
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
    pub stabilization_window_seconds: Option<u32>,
    /// `Max`, `Min` or `Disabled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select_policy: Option<String>,
    /// How much per period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies: Option<Vec<ScalingPolicy>>,
    /// How far from the target is still on target; a quantity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<String>,
}

impl ScalingRules {
    fn validate(&self) -> Result<(), &'static str> {
        if self.stabilization_window_seconds.is_some_and(|seconds| seconds > 3600) {
            return Err("stabilizationWindowSeconds must be within 0..=3600");
        }
        if self.select_policy.as_deref().is_some_and(|policy| !matches!(policy, "Max" | "Min" | "Disabled")) {
            return Err("selectPolicy must be Max, Min or Disabled");
        }
        match self.policies.as_deref() {
            Some([]) => Err("policies must not be empty"),
            Some(policies) if policies.iter().any(|policy| !policy.is_valid()) => {
                Err("a policy must be Pods or Percent, value at least 1, periodSeconds within 1..=1800")
            }
            _ => Ok(()),
        }
    }
}

/// So much per period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScalingPolicy {
    /// `Pods` or `Percent`.
    #[serde(rename = "type")]
    pub kind: String,
    /// How much.
    pub value: u32,
    /// The period in seconds.
    pub period_seconds: u32,
}

impl ScalingPolicy {
    fn is_valid(&self) -> bool {
        matches!(self.kind.as_str(), "Pods" | "Percent") && self.value >= 1 && (1..=1800).contains(&self.period_seconds)
    }
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
        assert_eq!(spec.bounds(), Bounds::new(1, 9));
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

    #[test]
    fn what_the_api_server_refuses_is_refused() {
        let spec: HpaSpec = serde_json::from_str(WRITTEN).unwrap();
        assert_eq!(spec.validate(), Ok(()));
        let with = |change: fn(&mut HpaSpec)| {
            let mut changed = spec.clone();
            change(&mut changed);
            changed.validate().map_err(|error| error.to_string())
        };
        assert!(with(|spec| spec.min_replicas = Some(10)).unwrap_err().contains("above max"));
        assert!(with(|spec| spec.max_replicas = 0).is_err());
        assert!(with(|spec| spec.min_replicas = Some(0)).unwrap_err().contains("spec.metrics"));
        assert!(with(|spec| spec.scale_target_ref.name = "a/b".into()).unwrap_err().contains("scaleTargetRef.name"));
        assert!(with(|spec| spec.metrics.as_mut().unwrap()[0].kind = "Object".into()).is_err());
        let cpu = MetricSpec::utilization("cpu", 0);
        assert!(
            HpaSpec { metrics: Some(vec![cpu]), ..spec }.validate().unwrap_err().to_string().contains("metrics[0]")
        );
    }
}
