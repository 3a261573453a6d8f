//! Validation of an HPA as in the API server of Kubernetes 1.37, rule by rule and with the paths that it reports.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use super::names::{is_dns_label, is_path_segment, is_qualified_name};
use super::quantity::Quantity;
use super::spec::{
    CrossVersionObjectReference, HpaSpec, MetricIdentifier, MetricSource, MetricSpec, MetricTarget, ScalingRules,
};
use crate::bounds::InvalidBounds;

/// Longest stabilization window, in seconds; the API server's limit.
const MAX_WINDOW_S: i32 = 3600;
/// Longest period of a policy, in seconds; the API server's limit.
const MAX_PERIOD_S: i32 = 1800;

/// Fault in one field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Path of the field, such as `spec.metrics[0].resource.target.type`.
    pub field: String,
    /// Rule that the value breaks, such as `must be at least 1`.
    pub what: Cow<'static, str>,
}

impl Fault {
    /// Creates a fault.
    pub fn new(field: impl Into<String>, what: impl Into<Cow<'static, str>>) -> Self {
        Self { field: field.into(), what: what.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.what)
    }
}

/// Error of an HPA that the API server would refuse, with every fault in the order of the paths.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct InvalidHpa {
    faults: Vec<Fault>,
}

impl InvalidHpa {
    /// Makes an error of faults, in the order of their paths and each once; none if there are none.
    pub fn of(mut faults: Vec<Fault>) -> Option<Self> {
        faults.sort();
        faults.dedup();
        (!faults.is_empty()).then_some(Self { faults })
    }

    /// Returns the faults; there is at least one.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }
}

impl From<InvalidBounds> for InvalidHpa {
    fn from(error: InvalidBounds) -> Self {
        Fault::new("spec.maxReplicas", error.to_string()).into()
    }
}

impl From<Fault> for InvalidHpa {
    fn from(fault: Fault) -> Self {
        Self { faults: vec![fault] }
    }
}

/// Circumstances that validation depends on besides the object itself.
#[derive(Clone, Copy, Debug)]
pub struct ValidationOptions<'a> {
    /// Allows `minReplicas: 0` (feature HPAScaleToZero, on since 1.37). Default true.
    pub scale_to_zero: bool,
    /// Object that is stored, for an update: some faults that it has already may stay. Default none, for a creation.
    pub stored: Option<&'a HpaSpec>,
}

impl Default for ValidationOptions<'_> {
    fn default() -> Self {
        Self { scale_to_zero: true, stored: None }
    }
}

impl HpaSpec {
    /// Checks what the API server of Kubernetes 1.37 checks when an HPA is created, after defaults are filled in.
    ///
    /// # Errors
    /// [`InvalidHpa`] with every fault.
    pub fn validate(&self) -> Result<(), InvalidHpa> {
        self.validate_with(&ValidationOptions::default())
    }

    /// Checks what the API server checks under other circumstances, such as an update.
    ///
    /// # Errors
    /// [`InvalidHpa`] with every fault.
    pub fn validate_with(&self, options: &ValidationOptions<'_>) -> Result<(), InvalidHpa> {
        let mut checks = Checks::default();
        checks.spec(&self.clone().with_defaults(), options);
        InvalidHpa::of(checks.faults).map_or(Ok(()), Err)
    }
}

#[derive(Default)]
struct Checks {
    faults: Vec<Fault>,
}

impl Checks {
    fn require(&mut self, holds: bool, field: impl Into<String>, what: &'static str) {
        if !holds {
            self.faults.push(Fault::new(field, what));
        }
    }

    fn spec(&mut self, spec: &HpaSpec, options: &ValidationOptions<'_>) {
        let stored_at_zero = options.stored.is_some_and(|stored| stored.min_replicas == Some(0));
        let least = i32::from(!(options.scale_to_zero || stored_at_zero));
        let min = spec.min_replicas.unwrap_or(1);
        self.require(
            min >= least,
            "spec.minReplicas",
            if least == 0 { "must not be negative" } else { "must be at least 1" },
        );
        self.require(spec.max_replicas >= 1, "spec.maxReplicas", "must be at least 1");
        self.require(spec.max_replicas >= min, "spec.maxReplicas", "must not be below minReplicas");
        self.scale_target(&spec.scale_target_ref, options.stored);

        let lenient = options.stored.is_some_and(has_odd_object);
        for (index, metric) in spec.metrics.iter().flatten().enumerate() {
            self.metric(metric, &format!("spec.metrics[{index}]"), lenient);
        }
        let wakes = |metric: &MetricSpec| matches!(metric.kind.as_str(), "Object" | "External");
        let can_wake = spec.metrics.iter().flatten().any(wakes);
        self.require(min != 0 || can_wake, "spec.metrics", "minReplicas 0 needs an Object or External metric");

        if let Some(behavior) = &spec.behavior {
            for (name, rules) in [("scaleUp", &behavior.scale_up), ("scaleDown", &behavior.scale_down)] {
                if let Some(rules) = rules {
                    self.rules(rules, &format!("spec.behavior.{name}"));
                }
            }
        }
    }

    fn scale_target(&mut self, reference: &CrossVersionObjectReference, stored: Option<&HpaSpec>) {
        const PATH: &str = "spec.scaleTargetRef";
        self.reference(reference, PATH);
        let kept = stored.map(|stored| &stored.scale_target_ref).is_some_and(|stored| {
            let version = |reference: &CrossVersionObjectReference| reference.api_version.clone().unwrap_or_default();
            version(stored) == version(reference) && stored.kind == reference.kind
        });
        if kept {
            return;
        }
        // Without a group the controller cannot tell which of several kinds of this name is meant.
        let group = group(reference);
        let groupless = reference.kind == "ReplicationController" && group == Some("");
        let grouped = group.is_some_and(|group| !group.is_empty());
        self.require(groupless || grouped, format!("{PATH}.apiVersion"), "must name an API group, as apps/v1 does");
    }

    fn reference(&mut self, reference: &CrossVersionObjectReference, path: &str) {
        for (field, value) in [("kind", &reference.kind), ("name", &reference.name)] {
            self.require(is_path_segment(value), format!("{path}.{field}"), "must be a name");
        }
    }

    fn metric(&mut self, metric: &MetricSpec, path: &str, lenient: bool) {
        let sources = metric.sources();
        let mut filled = sources.iter().filter_map(|(kind, field, source)| Some((*kind, *field, (*source)?)));
        let known = sources.iter().any(|(kind, ..)| *kind == metric.kind);
        self.require(known, format!("{path}.type"), "must be Object, Pods, Resource, ContainerResource or External");
        // The server looks into the first source alone, and then complains of the others.
        if let Some((kind, field, source)) = filled.clone().next() {
            self.source(source, kind, &format!("{path}.{field}"), lenient);
        }
        let expected = sources.iter().find(|(kind, ..)| *kind == metric.kind);
        if let Some((_, field, source)) = expected {
            self.require(source.is_some(), format!("{path}.{field}"), "must be filled, as type says");
        }
        if filled.clone().count() > 1 {
            let surplus = filled.by_ref().filter(|(kind, ..)| *kind != metric.kind);
            self.faults.extend(surplus.map(|(_, field, _)| {
                Fault::new(format!("{path}.{field}"), "only the source that type names may be filled")
            }));
        }
    }

    fn source(&mut self, source: &MetricSource, kind: &str, path: &str, lenient: bool) {
        let of_resource = matches!(kind, "Resource" | "ContainerResource");
        for (name, present, belongs) in [
            ("name", source.name.is_some(), of_resource),
            ("container", source.container.is_some(), kind == "ContainerResource"),
            ("metric", source.metric.is_some(), !of_resource),
            ("describedObject", source.described_object.is_some(), kind == "Object"),
        ] {
            self.require(!present || belongs, format!("{path}.{name}"), "does not belong here");
        }
        if of_resource {
            let name = source.name.as_deref().unwrap_or_default();
            let holds = if kind == "Resource" { !name.is_empty() } else { is_container_resource(name) };
            self.require(holds, format!("{path}.name"), "must name a resource");
        } else {
            let name = source.metric.as_ref().map_or("", |MetricIdentifier { name, .. }| name);
            self.require(is_path_segment(name), format!("{path}.metric.name"), "must be a name");
        }
        if kind == "ContainerResource" {
            let container = source.container.as_deref().unwrap_or_default();
            self.require(is_dns_label(container), format!("{path}.container"), "must be a DNS label");
        }
        if kind == "Object" {
            let nothing = CrossVersionObjectReference::default();
            let object = source.described_object.as_ref().unwrap_or(&nothing);
            let path = format!("{path}.describedObject");
            self.reference(object, &path);
            let version = lenient || group(object).is_some();
            self.require(version, format!("{path}.apiVersion"), "must be a version, or a group and a version");
        }
        self.target(&source.target, kind, &format!("{path}.target"));
    }

    fn target(&mut self, target: &MetricTarget, kind: &str, path: &str) {
        let known = matches!(target.kind.as_str(), "Utilization" | "Value" | "AverageValue");
        self.require(known, format!("{path}.type"), "must be Utilization, Value or AverageValue");
        let positive =
            |quantity: &Option<Quantity>| quantity.as_ref().is_none_or(|quantity| quantity.sign() == Ordering::Greater);
        self.require(positive(&target.value), format!("{path}.value"), "must be a quantity above 0");
        self.require(positive(&target.average_value), format!("{path}.averageValue"), "must be a quantity above 0");
        let percent = target.average_utilization.is_none_or(|percent| percent >= 1);
        self.require(percent, format!("{path}.averageUtilization"), "must be at least 1");

        let (value, average) = (target.value.is_some(), target.average_value.is_some());
        let utilization = target.average_utilization.is_some();
        match kind {
            "Object" => {
                self.require(value || average, format!("{path}.averageValue"), "must have a value or an averageValue");
            }
            "External" => {
                self.require(value || average, format!("{path}.averageValue"), "must have a value or an averageValue");
                self.require(!(value && average), format!("{path}.value"), "must not have both value and averageValue");
            }
            "Pods" => self.require(average, format!("{path}.averageValue"), "must have an averageValue"),
            _ => {
                self.require(
                    utilization || average,
                    format!("{path}.averageUtilization"),
                    "must have an averageUtilization or an averageValue",
                );
                self.require(
                    !(utilization && average),
                    format!("{path}.averageValue"),
                    "must not have both averageUtilization and averageValue",
                );
            }
        }
    }

    fn rules(&mut self, rules: &ScalingRules, path: &str) {
        let window = rules.stabilization_window_seconds.is_none_or(|seconds| (0..=MAX_WINDOW_S).contains(&seconds));
        self.require(window, format!("{path}.stabilizationWindowSeconds"), "must be within 0..=3600");
        let select = rules.select_policy.as_deref().is_none_or(|policy| matches!(policy, "Max" | "Min" | "Disabled"));
        self.require(select, format!("{path}.selectPolicy"), "must be Max, Min or Disabled");
        let policies = rules.policies.as_deref().unwrap_or_default();
        self.require(!policies.is_empty(), format!("{path}.policies"), "must have at least one policy");
        for (index, policy) in policies.iter().enumerate() {
            let path = format!("{path}.policies[{index}]");
            let known = matches!(policy.kind.as_str(), "Pods" | "Percent");
            self.require(known, format!("{path}.type"), "must be Pods or Percent");
            self.require(policy.value >= 1, format!("{path}.value"), "must be at least 1");
            let period = (1..=MAX_PERIOD_S).contains(&policy.period_seconds);
            self.require(period, format!("{path}.periodSeconds"), "must be within 1..=1800");
        }
        let tolerance = rules.tolerance.as_ref().is_none_or(|tolerance| tolerance.sign() != Ordering::Less);
        self.require(tolerance, format!("{path}.tolerance"), "must not be negative");
    }
}

impl MetricSpec {
    /// Returns each source with the type that names it and its field, in the order in which the server looks at them.
    pub(super) fn sources(&self) -> [(&'static str, &'static str, Option<&MetricSource>); 5] {
        [
            ("Object", "object", self.object.as_ref()),
            ("External", "external", self.external.as_ref()),
            ("Pods", "pods", self.pods.as_ref()),
            ("Resource", "resource", self.resource.as_ref()),
            ("ContainerResource", "containerResource", self.container_resource.as_ref()),
        ]
    }
}

/// Returns the group of `apps/v1`, empty for `v1` and for nothing, and none if the text is neither.
fn group(reference: &CrossVersionObjectReference) -> Option<&str> {
    let api_version = reference.api_version.as_deref().unwrap_or_default();
    match api_version.split_once('/') {
        None => Some(""),
        Some((group, version)) => (!version.contains('/')).then_some(group),
    }
}

/// Returns true if an Object metric names its object by a malformed version.
fn has_odd_object(spec: &HpaSpec) -> bool {
    let sources = spec.metrics.iter().flatten().filter(|metric| metric.kind == "Object");
    sources.filter_map(|metric| metric.object.as_ref()?.described_object.as_ref()).any(|object| group(object).is_none())
}

/// Returns true for cpu, memory, ephemeral-storage, huge pages, and extended resources such as `example.com/gpu`.
fn is_container_resource(name: &str) -> bool {
    if !is_qualified_name(name) {
        return false;
    }
    if !name.contains('/') {
        return matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-");
    }
    // Names of Kubernetes' own are not looked at further; of others a quota must be expressible: `requests.` before the name.
    name.contains("kubernetes.io/")
        || (!name.starts_with("requests.") && is_qualified_name(&format!("requests.{name}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn faults(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut spec = json!({
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 2, "maxReplicas": 9,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}],
        });
        change(&mut spec);
        let spec: HpaSpec = serde_json::from_value(spec).unwrap();
        match spec.validate() {
            Ok(()) => Vec::new(),
            Err(invalid) => {
                let mut fields: Vec<_> = invalid.faults().iter().map(|fault| fault.field.clone()).collect();
                fields.dedup();
                fields
            }
        }
    }

    #[test]
    fn a_usual_spec_is_valid_and_an_empty_one_names_every_fault() {
        assert!(faults(|_| ()).is_empty());
        assert_eq!(
            faults(|spec| *spec = json!({})),
            [
                "spec.maxReplicas",
                "spec.scaleTargetRef.apiVersion",
                "spec.scaleTargetRef.kind",
                "spec.scaleTargetRef.name"
            ]
        );
    }

    #[test]
    fn the_message_names_every_field() {
        let spec: HpaSpec = serde_json::from_value(json!({"maxReplicas": 0})).unwrap();
        let message = spec.validate().unwrap_err().to_string();
        assert!(
            message.starts_with("spec.maxReplicas: must be at least 1; spec.maxReplicas: must not be below"),
            "{message}"
        );
    }

    #[test]
    fn scale_to_zero_needs_the_feature_or_a_past_and_a_metric_that_can_wake_it() {
        let external = json!([{"type": "External", "external": {"metric": {"name": "queue"}, "target": {"type": "Value", "value": "1"}}}]);
        assert_eq!(faults(|spec| spec["minReplicas"] = 0.into()), ["spec.metrics"]);
        let mut spec: HpaSpec = serde_json::from_value(json!({
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "minReplicas": 0, "maxReplicas": 9,
            "metrics": external,
        }))
        .unwrap();
        assert!(spec.validate().is_ok());
        let off = ValidationOptions { scale_to_zero: false, stored: None };
        assert!(spec.validate_with(&off).is_err());
        let stored = spec.clone();
        assert!(spec.validate_with(&ValidationOptions { stored: Some(&stored), ..off }).is_ok());
        spec.min_replicas = Some(-1);
        assert!(spec.validate_with(&ValidationOptions { stored: Some(&stored), ..off }).is_err());
    }

    #[test]
    fn an_update_may_leave_what_was_odd_before() {
        let spec: HpaSpec = serde_json::from_value(json!({
            "scaleTargetRef": {"apiVersion": "v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 9,
            "metrics": [{"type": "Object", "object": {"metric": {"name": "rps"}, "target": {"type": "Value", "value": "1"},
                "describedObject": {"apiVersion": "a/b/c", "kind": "Service", "name": "web"}}}],
        }))
        .unwrap();
        assert_eq!(spec.validate().unwrap_err().faults().len(), 2);
        let update = ValidationOptions { stored: Some(&spec), ..ValidationOptions::default() };
        assert!(spec.validate_with(&update).is_ok());
        let mut moved = spec.clone();
        moved.scale_target_ref.kind = "StatefulSet".into();
        assert_eq!(moved.validate_with(&update).unwrap_err().faults().len(), 1);
    }

    #[test]
    fn only_a_replication_controller_may_leave_the_group_out() {
        for (kind, version, holds) in [
            ("ReplicationController", json!("v1"), true),
            ("ReplicationController", json!(null), true),
            ("ReplicationController", json!("a/b/c"), false),
            ("Deployment", json!("v1"), false),
            ("Deployment", json!("/v1"), false),
            ("Deployment", json!("apps/"), true),
        ] {
            let found = faults(|spec| {
                spec["scaleTargetRef"]["kind"] = kind.into();
                spec["scaleTargetRef"]["apiVersion"] = version.clone();
            });
            assert_eq!(found.is_empty(), holds, "{kind} {version}: {found:?}");
        }
    }

    #[test]
    fn container_resources_are_those_that_a_container_can_request() {
        for (name, holds) in [
            ("cpu", true),
            ("hugepages-2Mi", true),
            ("example.com/gpu", true),
            ("kubernetes.io/gpu", true),
            ("requests.example.com/gpu", false),
            ("storage", false),
            ("pods", false),
            ("", false),
        ] {
            let found = faults(|spec| {
                spec["metrics"] = json!([{"type": "ContainerResource", "containerResource": {"name": name, "container": "app",
                    "target": {"type": "AverageValue", "averageValue": 1}}}]);
            });
            assert_eq!(found.is_empty(), holds, "{name}: {found:?}");
        }
    }

    #[test]
    fn one_source_is_looked_into_and_the_others_are_surplus() {
        let found = faults(|spec| {
            spec["metrics"][0]["pods"] = json!({"target": {}});
            spec["metrics"][0]["external"] = json!({"target": {}});
        });
        assert_eq!(
            found,
            [
                "spec.metrics[0].external",
                "spec.metrics[0].external.metric.name",
                "spec.metrics[0].external.target.averageValue",
                "spec.metrics[0].external.target.type",
                "spec.metrics[0].pods",
            ]
        );
    }
}
