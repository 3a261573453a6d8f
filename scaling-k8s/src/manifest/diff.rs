//! The differences between two manifests, for people.

use std::collections::BTreeMap;

use serde_json::Value;

use super::HpaManifest;
use super::write::Written;

/// One line for each field that differs between the written forms: `spec.maxReplicas: 10 -> 15`. Empty if nothing does.
///
/// ```
/// # use scaling_k8s::{HpaManifest, diff};
/// # use scaling_core::{Bounds, HpaSpec, hpa::CrossVersionObjectReference};
/// let spec = HpaSpec::new(CrossVersionObjectReference::deployment("checkout"), Bounds::new(2, 10)?);
/// let old = HpaManifest::new("shop", "checkout", spec);
/// let new = old.clone().with_bounds(Bounds::new(2, 15)?);
/// assert_eq!(diff(&old, &new), ["spec.maxReplicas: 10 -> 15"]);
/// # Ok::<(), scaling_core::InvalidBounds>(())
/// ```
pub fn diff(old: &HpaManifest, new: &HpaManifest) -> Vec<String> {
    let (old, new) = (leaves(old), leaves(new));
    let mut paths: Vec<&String> = old.keys().chain(new.keys()).collect();
    paths.sort();
    paths.dedup();
    paths
        .into_iter()
        .filter_map(|path| match (old.get(path), new.get(path)) {
            (Some(old), Some(new)) if old != new => Some(format!("{path}: {old} -> {new}")),
            (Some(old), None) => Some(format!("{path}: {old} -> none")),
            (None, Some(new)) => Some(format!("{path}: none -> {new}")),
            _ => None,
        })
        .collect()
}

fn leaves(manifest: &HpaManifest) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    // Plain data with string keys: it always has a JSON form.
    let value = serde_json::to_value(Written::new(manifest)).unwrap_or_default();
    collect(String::new(), value, &mut found);
    found
}

fn collect(path: String, value: Value, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                collect(joined(&path, &key), value, found);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, value) in items.into_iter().enumerate() {
                collect(format!("{path}[{index}]"), value, found);
            }
        }
        leaf => {
            found.insert(path, leaf);
        }
    }
}

/// A key with a dot in it, as labels have, is quoted: otherwise it would read as two.
pub(super) fn joined(path: &str, key: &str) -> String {
    match (path.is_empty(), key.contains(['.', '[', '"'])) {
        (true, _) => key.to_owned(),
        (false, false) => format!("{path}.{key}"),
        (false, true) => format!("{path}[{key:?}]"),
    }
}
