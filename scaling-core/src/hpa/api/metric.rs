//! Metrics as the controller works with them: integers in thousandths, and one source each.

use super::quantity::Quantity;
use super::spec::{MetricSource, MetricSpec, MetricTarget};

/// Metric of an HPA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Source of the metric.
    pub source: MetricKind,
    /// Target as it is written.
    pub target: TargetFields,
}

/// Source of a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Resource, averaged over the pods.
    Resource {
        /// `cpu`, `memory`, …
        resource: String,
    },
    /// Resource of one container, averaged over the pods.
    ContainerResource {
        /// `cpu`, `memory`, …
        resource: String,
        /// Name of the container.
        container: String,
    },
    /// Custom metric of each pod, averaged.
    Pods {
        /// Name of the metric.
        name: String,
    },
    /// Custom metric of one object.
    Object {
        /// Name of the metric.
        name: String,
    },
    /// Metric from outside the cluster.
    External {
        /// Name of the metric.
        name: String,
    },
    /// Source of a type that the controller does not know.
    Unknown,
}

/// Target of a metric as it is written: a type and up to three values. [`Metric::target_value`] finds the one that counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TargetFields {
    /// Type that is written.
    pub kind: TargetKind,
    /// Utilization in percent of the request.
    pub average_utilization: Option<i32>,
    /// Value for each replica, in thousandths.
    pub average_value_milli: Option<i64>,
    /// Value in all, in thousandths.
    pub value_milli: Option<i64>,
}

/// Type of a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetKind {
    /// Utilization in percent of the request.
    #[default]
    Utilization,
    /// Value in all.
    Value,
    /// Value for each replica.
    AverageValue,
}

/// Target that counts, with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetValue {
    /// Utilization in percent of the request.
    Utilization(i32),
    /// Value for each replica, in thousandths.
    AverageValue(i64),
    /// Value in all, in thousandths.
    Value(i64),
}

impl Metric {
    /// Returns the target that counts; none if the metric has no target that fits its source.
    ///
    /// The `type` that is written does not always decide: a value for each replica goes before a utilization and, for External
    /// metrics, before a total. Only for Object metrics must `type` and field agree.
    pub fn target_value(&self) -> Option<TargetValue> {
        let target = &self.target;
        let utilization = target.average_utilization.map(TargetValue::Utilization);
        let average = target.average_value_milli.map(TargetValue::AverageValue);
        let value = target.value_milli.map(TargetValue::Value);
        match &self.source {
            MetricKind::Resource { .. } | MetricKind::ContainerResource { .. } => average.or(utilization),
            MetricKind::Pods { .. } => average,
            MetricKind::External { .. } => average.or(value),
            MetricKind::Object { .. } => match target.kind {
                TargetKind::Value => value,
                TargetKind::AverageValue => average,
                TargetKind::Utilization => None,
            },
            MetricKind::Unknown => None,
        }
    }

    /// Returns true if the metric can be measured without pods, and so wake a workload that was scaled to zero.
    pub fn can_wake(&self) -> bool {
        matches!(self.source, MetricKind::Object { .. } | MetricKind::External { .. })
    }
}

impl From<&MetricSpec> for Metric {
    fn from(spec: &MetricSpec) -> Self {
        let (kind, _, source) =
            spec.sources().into_iter().find(|(kind, ..)| *kind == spec.kind).unwrap_or(("", "", None));
        let nothing = MetricSource::default();
        let source = source.unwrap_or(&nothing);
        let resource = || source.name.clone().unwrap_or_default();
        let name = || source.metric.as_ref().map(|metric| metric.name.clone()).unwrap_or_default();
        Self {
            source: match kind {
                "Resource" => MetricKind::Resource { resource: resource() },
                "ContainerResource" => MetricKind::ContainerResource {
                    resource: resource(),
                    container: source.container.clone().unwrap_or_default(),
                },
                "Pods" => MetricKind::Pods { name: name() },
                "Object" => MetricKind::Object { name: name() },
                "External" => MetricKind::External { name: name() },
                _ => MetricKind::Unknown,
            },
            target: TargetFields::from(&source.target),
        }
    }
}

impl From<&MetricTarget> for TargetFields {
    fn from(target: &MetricTarget) -> Self {
        Self {
            kind: match target.kind.as_str() {
                "Value" => TargetKind::Value,
                "AverageValue" => TargetKind::AverageValue,
                _ => TargetKind::Utilization,
            },
            average_utilization: target.average_utilization,
            average_value_milli: target.average_value.as_ref().map(Quantity::milli),
            value_milli: target.value.as_ref().map(Quantity::milli),
        }
    }
}
