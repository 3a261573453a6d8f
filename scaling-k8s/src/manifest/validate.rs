//! What the API server checks of an `autoscaling/v2` object beyond [`HpaSpec::validate`], rule by rule as Kubernetes 1.37 has
//! them. Older servers allow a little more (a `scaleTargetRef` without a group) and a little less (`minReplicas: 0`).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use scaling_core::HpaSpec;
use scaling_core::hpa::{CrossVersionObjectReference, InvalidHpa, MetricSource, MetricSpec, ScalingRules};

use crate::names::{is_dns_label, is_label_value, is_path_segment, is_qualified_name};
use crate::quantity;

/// What all annotations of an object may hold together.
const MAX_ANNOTATIONS: usize = 256 << 10;
const MAX_INT: u32 = i32::MAX.unsigned_abs();

type Checked = Result<(), InvalidHpa>;

fn require(holds: bool, field: &str, what: &'static str) -> Checked {
    if holds { Ok(()) } else { Err(InvalidHpa::Field { field: field.to_owned(), what }) }
}

pub(super) fn metadata(metadata: &ObjectMeta) -> Checked {
    for (key, value) in metadata.labels.iter().flatten() {
        let field = format!("metadata.labels[{key:?}]");
        require(is_qualified_name(key), &field, "the key must be a qualified name")?;
        require(is_label_value(value), &field, "the value must be a label value")?;
    }
    let mut size = 0;
    for (key, value) in metadata.annotations.iter().flatten() {
        let field = format!("metadata.annotations[{key:?}]");
        require(is_qualified_name(&key.to_lowercase()), &field, "the key must be a qualified name")?;
        size += key.len() + value.len();
    }
    require(size <= MAX_ANNOTATIONS, "metadata.annotations", "must have 256 KiB at most")
}

pub(super) fn spec(spec: &HpaSpec) -> Checked {
    spec.validate()?;
    // Without a group the HPA controller cannot tell which of several kinds of this name is meant.
    let group = spec.scale_target_ref.api_version.as_deref().and_then(group);
    let names_group = group.is_some_and(|group| !group.is_empty());
    require(names_group, "spec.scaleTargetRef.apiVersion", "must name an API group, as apps/v1 does")?;
    for (index, metric) in spec.metrics.iter().flatten().enumerate() {
        self::metric(metric, &format!("spec.metrics[{index}]"))?;
    }
    if let Some(behavior) = &spec.behavior {
        for (name, rules) in [("scaleUp", &behavior.scale_up), ("scaleDown", &behavior.scale_down)] {
            if let Some(rules) = rules {
                self::rules(rules, &format!("spec.behavior.{name}"))?;
            }
        }
    }
    Ok(())
}

fn rules(rules: &ScalingRules, path: &str) -> Checked {
    let tolerance =
        rules.tolerance.as_deref().is_none_or(|tolerance| quantity::sign(tolerance).is_some_and(|sign| sign >= 0));
    require(tolerance, &format!("{path}.tolerance"), "must be a quantity that is not negative")?;
    let fits = rules.policies.iter().flatten().all(|policy| policy.value <= MAX_INT);
    require(fits, &format!("{path}.policies"), "a value is larger than Kubernetes can store")
}

/// One metric; [`HpaSpec::validate`] has made sure that it fills the one source that its type names.
fn metric(metric: &MetricSpec, path: &str) -> Checked {
    let sources = [
        ("resource", &metric.resource),
        ("containerResource", &metric.container_resource),
        ("pods", &metric.pods),
        ("object", &metric.object),
        ("external", &metric.external),
    ];
    for (name, source) in sources {
        if let Some(source) = source {
            self::source(source, name, &format!("{path}.{name}"))?;
        }
    }
    Ok(())
}

fn source(source: &MetricSource, kind: &str, path: &str) -> Checked {
    let of_resource = matches!(kind, "resource" | "containerResource");
    for (name, present, belongs) in [
        ("name", source.name.is_some(), of_resource),
        ("container", source.container.is_some(), kind == "containerResource"),
        ("metric", source.metric.is_some(), !of_resource),
        ("describedObject", source.described_object.is_some(), kind == "object"),
    ] {
        let what = if belongs { "is required" } else { "does not belong here" };
        require(present == belongs, &format!("{path}.{name}"), what)?;
    }
    if let Some(name) = &source.name {
        let known = if kind == "resource" { !name.is_empty() } else { is_container_resource(name) };
        require(known, &format!("{path}.name"), "must name a resource")?;
    }
    if let Some(container) = &source.container {
        require(is_dns_label(container), &format!("{path}.container"), "must be a DNS label")?;
    }
    if let Some(metric) = &source.metric {
        require(is_path_segment(&metric.name), &format!("{path}.metric.name"), "must be a name")?;
    }
    if let Some(object) = &source.described_object {
        described(object, &format!("{path}.describedObject"))?;
    }
    target(source, kind, &format!("{path}.target"))
}

fn target(source: &MetricSource, kind: &str, path: &str) -> Checked {
    let target = &source.target;
    for (name, value) in [("value", &target.value), ("averageValue", &target.average_value)] {
        let positive = value.as_deref().is_none_or(|value| quantity::sign(value) == Some(1));
        require(positive, &format!("{path}.{name}"), "must be a quantity above 0")?;
    }
    let fits = target.average_utilization.is_none_or(|percent| percent <= MAX_INT);
    require(fits, &format!("{path}.averageUtilization"), "is larger than Kubernetes can store")?;
    let (value, average) = (target.value.is_some(), target.average_value.is_some());
    let (holds, what) = match kind {
        "object" => (value || average, "must have a value or an averageValue"),
        "external" => (value != average, "must have either a value or an averageValue"),
        "pods" => (average, "must have an averageValue"),
        _ => (
            average != target.average_utilization.is_some(),
            "must have either an averageUtilization or an averageValue",
        ),
    };
    require(holds, path, what)
}

fn described(object: &CrossVersionObjectReference, path: &str) -> Checked {
    require(is_path_segment(&object.kind), &format!("{path}.kind"), "must be a name")?;
    require(is_path_segment(&object.name), &format!("{path}.name"), "must be a name")?;
    let version = object.api_version.as_deref().is_none_or(|version| group(version).is_some());
    require(version, &format!("{path}.apiVersion"), "must be a version, or a group and a version")
}

/// The group in `apps/v1`; empty for `v1`; none if it is neither.
fn group(api_version: &str) -> Option<&str> {
    match api_version.split_once('/') {
        None => Some(""),
        Some((group, version)) => (!version.contains('/')).then_some(group),
    }
}

fn is_container_resource(name: &str) -> bool {
    let standard = matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-");
    is_qualified_name(name) && (standard || name.contains('/'))
}
