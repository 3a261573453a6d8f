//! Giving an HPA back to its owner, without a trace.

use scaling_core::Bounds;
use scaling_core::hpa::InvalidHpa;
use serde_json::{Map, Value, json};

use super::{ANNOTATION, Bound, FormerOwner, HISTORY, Ours, Seen};
use crate::annotation;
use crate::manifest::API_VERSION;
use crate::ownership::Operation;

/// Next step of a release. A host reads the HPA, takes the step, and asks again until it is [`Done`](Self::Done).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Release {
    /// More pods run than the owner's max allows, and to restore it would make them leave (law 11). Either the host waits until fewer
    /// run, or it restores the max by hand.
    Held {
        /// Pods that run or start.
        pods: u32,
        /// The owner's max.
        max: u32,
    },
    /// The owner's bounds are to be written.
    Restore {
        /// The bounds.
        bounds: Bounds,
        /// Body of the server-side apply under our field manager.
        body: Value,
    },
    /// The bounds are the owner's; our annotations and our ownership are to go.
    Disown {
        /// Body of the JSON patch.
        patch: Value,
    },
    /// Nothing of ours is left.
    Done,
}

/// Reasons why an HPA cannot be given back.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// Its bounds cannot be.
    #[error(transparent)]
    Invalid(#[from] InvalidHpa),
    /// The object does not say who owns what: it was read from where managed fields are left out.
    #[error("the HPA was read without its managed fields; read it from the API server")]
    NoManagedFields,
}

/// The next step on the way to an HPA on which nothing of ours is left: the owner's bounds, no annotation, and the two fields under the
/// managers that owned them before us.
///
/// The bounds go back at once, whatever guards say; a host that wants a removal budget to be kept lets
/// [`Proposal::restore`](scaling_core::Proposal::restore) bring them there first. Ownership cannot be given up by an apply without the
/// fields: the server would remove `maxReplicas`, which an HPA must have. So the managed fields are written, as the API allows.
///
/// Where what was kept is [damaged](super::Memory::Damaged) or [gone](super::Memory::Lost), the bounds that are there stay. A host whose
/// [`ChangeLog`](scaling_core::ChangeLog) knows better restores first: that keeps them anew.
///
/// One trace may stay. Where a metric has a target in some binary units, such as `512Mi` or `1536Mi` (not `100Mi` or `1Gi`), the API server
/// (1.37) takes every update of the HPA for one of `metrics`, a `kubectl label` too, and notes who made it as their owner. Of the steps of a
/// release the last one is an update: ownership cannot be given back by an apply. The next forced apply of the owner takes them back.
///
/// # Errors
/// [`ReleaseError`] if the HPA cannot be read as one.
pub fn release(hpa: &Value, manager: &str) -> Result<Release, ReleaseError> {
    let seen = Seen::of(hpa, manager)?;
    let ours = Ours::of(hpa, manager);
    if !ours.known {
        // One on which we never wrote may well have none.
        return if annotation::value(hpa, ANNOTATION).is_none() {
            Ok(Release::Done)
        } else {
            Err(ReleaseError::NoManagedFields)
        };
    }
    if !ours.annotation && !ours.history && ours.bounds.is_empty() {
        return Ok(Release::Done);
    }
    let (now, resting) = (seen.state.bounds, seen.state.resting);
    if now != resting {
        return Ok(match seen.state.pods.filter(|pods| *pods > resting.max() && resting.max() < now.max()) {
            Some(pods) => Release::Held { pods, max: resting.max() },
            None => Release::Restore { bounds: resting, body: seen.apply_body(resting, resting) },
        });
    }
    let mut patch = Vec::new();
    if let Some(version) = &seen.identity.version {
        patch.push(json!({ "op": "test", "path": "/metadata/resourceVersion", "value": version }));
    }
    for (_, key) in [(ours.annotation, ANNOTATION), (ours.history, HISTORY)].into_iter().filter(|(is_ours, _)| *is_ours)
    {
        let key = key.replace('~', "~0").replace('/', "~1");
        patch.push(json!({ "op": "remove", "path": format!("/metadata/annotations/{key}") }));
    }
    patch.push(
        json!({ "op": "replace", "path": "/metadata/managedFields", "value": disowned(hpa, manager, &seen.former) }),
    );
    Ok(Release::Disown { patch: Value::from(patch) })
}

/// The managed fields without ours, the bounds under those that owned them before.
fn disowned(hpa: &Value, manager: &str, former: &[FormerOwner]) -> Value {
    let list = hpa.pointer("/metadata/managedFields").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut entries: Vec<Value> = list.into_iter().filter_map(|entry| without_ours(entry, manager)).collect();
    for owner in former {
        for bound in &owner.bounds {
            give_back(&mut entries, owner, *bound);
        }
    }
    if entries.is_empty() {
        // An empty list means "leave it as it is" to the API server; a list of one empty entry clears it.
        entries.push(json!({}));
    }
    Value::from(entries)
}

/// An entry without what we write; none if nothing else is in it.
fn without_ours(mut entry: Value, manager: &str) -> Option<Value> {
    let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default();
    let ours = text("manager") == manager && text("operation") == "Apply" && text("subresource").is_empty();
    if !ours {
        return Some(entry);
    }
    let fields = entry.get_mut("fieldsV1").and_then(Value::as_object_mut)?;
    for annotation in [ANNOTATION, HISTORY] {
        remove(fields, &["f:metadata", "f:annotations"], &format!("f:{annotation}"));
    }
    for bound in Bound::BOTH {
        remove(fields, &["f:spec"], bound.key());
    }
    let left = !fields.is_empty();
    left.then_some(entry)
}

/// Removes a key beneath a path, and what is empty then on the way up.
pub(crate) fn remove(fields: &mut Map<String, Value>, path: &[&str], key: &str) {
    let Some((first, rest)) = path.split_first() else {
        fields.remove(key);
        return;
    };
    let Some(inner) = fields.get_mut(*first).and_then(Value::as_object_mut) else { return };
    remove(inner, rest, key);
    // The dot stands for the parent itself, which goes with the last of its children.
    if inner.keys().all(|key| key == ".") {
        fields.remove(*first);
    }
}

fn give_back(entries: &mut Vec<Value>, owner: &FormerOwner, bound: Bound) {
    let operation = match owner.operation {
        Operation::Apply => "Apply",
        Operation::Update => "Update",
    };
    let is_theirs = |entry: &&mut Value| {
        let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default();
        text("manager") == owner.manager && text("operation") == operation && text("subresource").is_empty()
    };
    let found =
        entries.iter_mut().find(is_theirs).and_then(|entry| entry.get_mut("fieldsV1")).and_then(Value::as_object_mut);
    let Some(fields) = found else {
        entries.push(json!({
            "manager": owner.manager, "operation": operation, "apiVersion": API_VERSION, "fieldsType": "FieldsV1",
            "fieldsV1": { "f:spec": { bound.key(): {} } },
        }));
        return;
    };
    let spec = fields.entry("f:spec").or_insert_with(|| json!({}));
    if let Some(spec) = spec.as_object_mut() {
        spec.entry(bound.key()).or_insert_with(|| json!({}));
    }
}
