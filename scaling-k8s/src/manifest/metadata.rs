//! [`Metadata`] of a manifest, and the API server's checks of it.

use std::collections::BTreeMap;

use scaling_core::hpa::names::{is_label_value, is_qualified_name};
use scaling_core::hpa::{Fault, InvalidHpa};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Largest size of all annotations of an object together, in bytes.
const MAX_ANNOTATIONS: usize = 256 << 10;
/// `kubectl`'s copy of what was applied last.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Fields that belong to the server.
const OF_THE_SERVER: [&str; 8] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Metadata of an object: what a host sets, and the rest as it was written, so that nothing is lost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Name of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Namespace of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// All other fields, in the spelling of the API: owner references, finalizers, and what the server set.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

impl Metadata {
    /// Returns what belongs into a repository: without the fields that the server sets, and without `kubectl`'s copy.
    #[must_use]
    pub fn without_server_fields(&self) -> Self {
        let mut kept = self.clone();
        kept.others.retain(|field, _| !OF_THE_SERVER.contains(&field.as_str()));
        if let Some(annotations) = &mut kept.annotations
            && annotations.remove(LAST_APPLIED).is_some()
            && annotations.is_empty()
        {
            kept.annotations = None;
        }
        kept
    }

    pub(super) fn validate(&self) -> Result<(), InvalidHpa> {
        let mut checks = Checks(Vec::new());
        for (key, value) in self.labels.iter().flatten() {
            let field = format!("metadata.labels[{key:?}]");
            checks.require(is_qualified_name(key), &field, "the key must be a qualified name");
            checks.require(is_label_value(value), &field, "the value must be a label value");
        }
        let mut size = 0;
        for (key, value) in self.annotations.iter().flatten() {
            let field = format!("metadata.annotations[{key:?}]");
            checks.require(is_qualified_name(&key.to_lowercase()), &field, "the key must be a qualified name");
            size += key.len() + value.len();
        }
        checks.require(size <= MAX_ANNOTATIONS, "metadata.annotations", "must have 256 KiB at most");
        checks.owners(self.list("ownerReferences"));
        for (index, name) in self.list("finalizers").iter().enumerate() {
            let holds = name.as_str().is_some_and(is_qualified_name);
            checks.require(holds, &format!("metadata.finalizers[{index}]"), "must be a qualified name");
        }
        let not_negative = self.others.get("generation").and_then(Value::as_i64).is_none_or(|number| number >= 0);
        checks.require(not_negative, "metadata.generation", "must not be negative");
        InvalidHpa::of(checks.0).map_or(Ok(()), Err)
    }

    fn list(&self, field: &str) -> &[Value] {
        self.others.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }
}

struct Checks(Vec<Fault>);

impl Checks {
    fn require(&mut self, holds: bool, field: &str, what: &'static str) {
        if !holds {
            self.0.push(Fault::new(field, what));
        }
    }

    fn owners(&mut self, owners: &[Value]) {
        let mut controllers = 0;
        for (index, owner) in owners.iter().enumerate() {
            let text = |field: &str| owner.get(field).and_then(Value::as_str).unwrap_or_default();
            let path = |field: &str| format!("metadata.ownerReferences[{index}].{field}");
            for field in ["apiVersion", "kind", "name", "uid"] {
                self.require(!text(field).is_empty(), &path(field), "must not be empty");
            }
            let version = text("apiVersion");
            let odd = version.matches('/').count() > 1 || version.ends_with('/');
            self.require(!odd, &path("apiVersion"), "must be a version, or a group and a version");
            let event = text("kind") == "Event" && matches!(version, "v1" | "events.k8s.io/v1");
            self.require(!event, &path("kind"), "an Event cannot be an owner");
            controllers += u32::from(owner.get("controller") == Some(&Value::Bool(true)));
        }
        self.require(controllers <= 1, "metadata.ownerReferences", "only one of them may be the controller");
    }
}
