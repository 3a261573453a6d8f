//! Ownership of an HPA's fields, by field manager. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use scaling_core::ApplyError;
use scaling_core::chrono::DateTime;
use serde_json::Value;

use crate::resting::ANNOTATION;

/// The fields besides the two bounds and our annotation that `manager` has applied before. An apply of these alone would give them up, and the
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
    let ours =
        ["spec.minReplicas".to_owned(), "spec.maxReplicas".to_owned(), format!("metadata.annotations.{ANNOTATION}")];
    paths.retain(|path| !ours.contains(path));
    paths
}

/// A conflict, with the instant of the owner's last write if the metadata tell.
pub(super) fn dated(mut error: ApplyError, metadata: &ObjectMeta) -> ApplyError {
    if let ApplyError::Conflict { owner, since, .. } = &mut error {
        let writes = metadata.managed_fields.iter().flatten().filter(|entry| entry.manager.as_ref() == Some(owner));
        let newest = writes.filter_map(|entry| entry.time.as_ref()).map(|time| time.0).max();
        // The client's clock type is another crate's; both know milliseconds since the epoch.
        *since = newest.and_then(|time| DateTime::from_timestamp_millis(time.as_millisecond()));
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
}
