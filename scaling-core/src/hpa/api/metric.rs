//! From an [`HpaSpec`] to what the controller works with: integers, and every default in its place.

use super::quantity::Quantity;
use super::spec::{MetricSource, MetricSpec, MetricTarget};

/// One metric of an HPA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Where it comes from.
    pub source: MetricKind,
    /// What to aim for.
    pub target: TargetFields,
}

/// Where a metric comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// A resource of the pods.
    Resource {
        /// `cpu`, `memory`, …
        resource: String,
    },
    /// A resource of one container of the pods.
    ContainerResource {
        /// `cpu`, `memory`, …
        resource: String,
        /// The container.
        container: String,
    },
    /// A number of each pod.
    Pods {
        /// Its name.
        name: String,
    },
    /// A number of another object.
    Object {
        /// Its name.
        name: String,
    },
    /// A number from outside the cluster.
    External {
        /// Its name.
        name: String,
    },
    /// Of a type that the controller does not know.
    Unknown,
}

/// What to aim for, and which kind of target is said to be meant; [`Metric::target_value`] tells which one counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TargetFields {
    /// What `type` says.
    pub kind: TargetKind,
    /// Percent of the request.
    pub average_utilization: Option<i32>,
    /// For each pod, in thousandths.
    pub average_value_milli: Option<i64>,
    /// In all, in thousandths.
    pub value_milli: Option<i64>,
}

/// The `type` of a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetKind {
    /// Percent of the request.
    #[default]
    Utilization,
    /// In all.
    Value,
    /// For each pod.
    AverageValue,
}

/// The target that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetValue {
    /// Percent of the request.
    Utilization(i32),
    /// For each pod, in thousandths.
    AverageValue(i64),
    /// In all, in thousandths.
    Value(i64),
}

impl Metric {
    /// The target that counts. The `type` that is written does not always decide: a value for each pod goes before a utilization
    /// and, for External metrics, before a total; only Object metrics insist that `type` and field agree.
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

    /// Whether it can be measured without pods, and so wake a workload that has none.
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
