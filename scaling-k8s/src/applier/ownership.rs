//! Ownership of an HPA's fields, by field manager. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use scaling_core::ApplyError;
use scaling_core::chrono::DateTime;
use serde_json::Value;

use super::answer::AND;
use crate::history;
use crate::ownership::{Ownership, OwnershipReport, Writes};
use crate::resting::ANNOTATION;

/// The fields besides the two bounds and our annotations that `manager` has applied before. An apply of these alone would give them up, and the
/// API server removes an applied field that has no owner left: metrics and behavior would be gone.
pub(super) fn would_be_lost(metadata: &ObjectMeta, manager: &str) -> Vec<String> {
    let applied = |entry: &&ManagedFieldsEntry| {
        entry.manager.as_deref() == Some(manager)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.as_deref().unwrap_or_default().is_empty()
    };
    let mut paths = Vec::new();
    for entry in metadata.managed_fields.iter().flatten().filter(applied) {
        if let Some(fields) = &entry.fields_v1 {
            leaves(&fields.0, "", &mut paths);
        }
    }
    let annotations = [ANNOTATION, history::ANNOTATION].map(|key| format!("metadata.annotations.{key}"));
    let is_ours =
        |path: &String| ["spec.minReplicas", "spec.maxReplicas"].contains(&path.as_str()) || annotations.contains(path);
    paths.retain(|path| !is_ours(path));
    paths
}

/// A conflict, with the instant of the owner's last write if the metadata tell.
pub(super) fn dated(mut error: ApplyError, metadata: &ObjectMeta) -> ApplyError {
    if let ApplyError::Conflict { owner, since, .. } = &mut error {
        // Several owners are told in one text; the newest write is that of one of them.
        let is_owner = |manager: &String| owner == manager || owner.split(AND).any(|one| one == manager);
        let writes =
            metadata.managed_fields.iter().flatten().filter(|entry| entry.manager.as_ref().is_some_and(is_owner));
        let newest = writes.filter_map(|entry| entry.time.as_ref()).map(|time| time.0).max();
        // The client's clock type is another crate's; both know milliseconds since the epoch.
        *since = newest.and_then(|time| DateTime::from_timestamp_millis(time.as_millisecond()));
    }
    error
}

/// A conflict, with the setting by which a GitOps tool leaves the field alone, if it is one that owns it.
pub(super) fn with_setting(mut error: ApplyError, hpa: &Value, manager: &str) -> ApplyError {
    if let ApplyError::Conflict { target, owner, setting, .. } = &mut error {
        let report = OwnershipReport::of(target, manager, [hpa]);
        let is_owner = |owned: &&Ownership| {
            owned.manager.as_ref().is_some_and(|manager| owner.split(AND).any(|one| one == manager))
        };
        let found =
            report.in_the_way_of(Writes::Bounds).filter(is_owner).find_map(|owned| report.size_owner(owned).setting);
        *setting = found.map(Box::new);
    }
    error
}

/// Fields are nested objects with keys like `f:spec`; an empty object is a leaf, and `.` stands for the parent itself.
fn leaves(fields: &Value, path: &str, found: &mut Vec<String>) {
    let children = fields.as_object().filter(|fields| !fields.is_empty());
    for (key, inner) in children.into_iter().flatten() {
        let name = key.strip_prefix("f:").unwrap_or(key);
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let leaf = inner.as_object().is_none_or(serde_json::Map::is_empty);
        if !leaf {
            leaves(inner, &path, found);
        } else if key != "." {
            found.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use scaling_core::Target;

    use super::*;

    fn seen(manager: &str, operation: &str, subresource: &str) -> ObjectMeta {
        serde_json::from_value(serde_json::json!({ "managedFields": [{
            "manager": manager, "operation": operation, "subresource": subresource, "fieldsType": "FieldsV1",
            "fieldsV1": { "f:metadata": { "f:annotations": { ".": {}, "f:kube-scaling/resting-bounds": {} } }, "f:spec": { "f:minReplicas": {}, "f:maxReplicas": {}, "f:metrics": {}, "f:behavior": { ".": {}, "f:scaleUp": {} } } },
        }]}))
        .unwrap()
    }

    #[test]
    fn what_else_the_manager_applied_would_be_lost() {
        assert_eq!(would_be_lost(&seen("us", "Apply", ""), "us"), ["spec.behavior.scaleUp", "spec.metrics"]);
        for other in
            [seen("them", "Apply", ""), seen("us", "Update", ""), seen("us", "Apply", "status"), ObjectMeta::default()]
        {
            assert!(would_be_lost(&other, "us").is_empty());
        }
    }

    #[test]
    fn a_conflict_with_several_owners_has_the_time_of_the_newest() {
        let entry =
            |manager: &str, time: &str| serde_json::json!({ "manager": manager, "operation": "Update", "time": time });
        let metadata: ObjectMeta = serde_json::from_value(serde_json::json!({ "managedFields": [
            entry("a", "2026-01-01T00:00:00Z"), entry("b", "2026-01-02T00:00:00Z"), entry("c", "2026-01-03T00:00:00Z"),
        ] }))
        .unwrap();
        for (owners, day) in [("a", Some(1)), ("b and a", Some(2)), ("d", None)] {
            let target = Target::deployment("shop", "web");
            let error =
                ApplyError::Conflict { target, field: "f".into(), owner: owners.into(), since: None, setting: None };
            let ApplyError::Conflict { since, .. } = dated(error, &metadata) else { panic!() };
            let expected = day.map(|day| format!("2026-01-0{day} 00:00:00 UTC"));
            assert_eq!(since.map(|since| since.to_string()), expected, "{owners}");
        }
    }
}
