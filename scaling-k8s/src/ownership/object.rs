//! One object of the API, as JSON that may be anything.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Owner references of one object that are looked at.
const MAX_REFERENCES: usize = 64;
/// Longest name that a report shows, in characters: the longest that Kubernetes has.
const MAX_NAME: usize = 253;

/// Kind, namespace and name of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectName {
    /// Kind, such as `HorizontalPodAutoscaler`.
    pub kind: String,
    /// Namespace; none of an object that has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// An object, and what is looked up in it most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object<'a> {
    pub(super) value: &'a Value,
    pub(super) kind: &'a str,
    name: &'a str,
    namespace: Option<&'a str>,
}

/// A reference from an object to the one that owns it.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnerReference<'a> {
    #[cfg(feature = "client")]
    pub(super) api_version: &'a str,
    pub(super) group: &'a str,
    pub(super) kind: &'a str,
    pub(super) name: &'a str,
    pub(super) uid: Option<&'a str>,
    pub(super) controls: bool,
}

impl<'a> Object<'a> {
    /// The object, unless the value is none: without a kind or a name.
    pub(super) fn new(value: &'a Value) -> Option<Self> {
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
        let (kind, name) = (text("/kind")?, text("/metadata/name")?);
        Some(Self { value, kind, name, namespace: text("/metadata/namespace") })
    }

    pub(super) fn name(&self) -> ObjectName {
        ObjectName { kind: shown(self.kind), namespace: self.namespace.map(shown), name: shown(self.name) }
    }

    pub(super) fn namespace(&self) -> &'a str {
        self.namespace.unwrap_or("default")
    }

    /// Group of its API: `apps` of `apps/v1`, empty of `v1`.
    pub(super) fn group(&self) -> &'a str {
        group(self.text("/apiVersion").unwrap_or_default())
    }

    pub(super) fn is(&self, kind: &str, namespace: &str, name: &str) -> bool {
        self.kind == kind && self.namespace() == namespace && self.name == name
    }

    pub(super) fn text(&self, pointer: &str) -> Option<&'a str> {
        self.value.pointer(pointer).and_then(Value::as_str)
    }

    pub(super) fn label(&self, key: &str) -> Option<&'a str> {
        self.value.pointer("/metadata/labels")?.get(key)?.as_str()
    }

    pub(super) fn annotation(&self, key: &str) -> Option<&'a str> {
        self.value.pointer("/metadata/annotations")?.get(key)?.as_str()
    }

    pub(super) fn list(&self, pointer: &str) -> &'a [Value] {
        self.value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    /// References that name what they refer to.
    pub(super) fn owner_references(&self) -> Vec<OwnerReference<'a>> {
        let references = self.list("/metadata/ownerReferences").iter().take(MAX_REFERENCES);
        let read = |value: &'a Value| {
            let text = |field: &str| value.get(field).and_then(Value::as_str);
            let api_version = text("apiVersion").unwrap_or_default();
            Some(OwnerReference {
                #[cfg(feature = "client")]
                api_version,
                group: group(api_version),
                kind: text("kind")?,
                name: text("name")?,
                uid: text("uid"),
                controls: value.get("controller") == Some(&Value::Bool(true)),
            })
        };
        references.filter_map(read).collect()
    }

    /// Returns true if `child` refers to this object. Both are in one namespace, or this one is in none.
    pub(super) fn is_referenced(&self, child: Object<'_>, reference: &OwnerReference<'_>) -> bool {
        let same_place = self.namespace.is_none() || self.namespace() == child.namespace();
        let uid = self.text("/metadata/uid");
        // A name alone would find a successor of the same name, but of one of the two there may be no uid.
        let same = uid.zip(reference.uid).is_none_or(|(one, other)| one == other);
        same_place && same && self.kind == reference.kind && self.name == reference.name
    }

    /// Kind and name of what the object at `pointer` refers to. Without a kind it is a Deployment, as KEDA takes it.
    pub(super) fn scales(&self, pointer: &str, kind: &str, name: &str) -> bool {
        let Some(reference) = self.value.pointer(pointer) else { return false };
        let text = |field: &str| reference.get(field).and_then(Value::as_str);
        text("name") == Some(name) && text("kind").unwrap_or("Deployment") == kind
    }
}

fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// Text of a report, from a value that may be of any length and have any characters.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(MAX_NAME).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
