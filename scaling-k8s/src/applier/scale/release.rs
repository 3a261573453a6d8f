//! Giving a workload without an HPA back.

use scaling_core::{ApplyError, Target};
use serde_json::{Value, json};

use super::ScaleApplier;
use crate::applier::answer::{self, backend, unapplied, unknown};
use crate::applier::retry::{self, Fate, Written};
use crate::resting::remove;

impl ScaleApplier {
    /// Gives the replicas of a workload back: our field manager owns them no more, and their number stays as it is, since that is where the workload
    /// rests. Whoever applies a number next is its owner. Returns whether something of ours was there. Released twice equals once.
    ///
    /// A manager that was forced out is not put back: unlike at an HPA nothing is kept at the workload, so nobody knows it any more.
    ///
    /// Needs `patch` on the workload itself, besides the verbs of the applier.
    ///
    /// # Errors
    /// [`ApplyError`] if it was not carried out.
    pub async fn release(&self, target: &Target) -> Result<bool, ApplyError> {
        let mut patience = self.writer.patience();
        // A write was stored, or may be.
        let mut sent = false;
        loop {
            let read = self.read(target).await;
            let read = if sent { read.map_err(unknown)? } else { read? };
            let workload = self.get(target, &read.kind, None).await;
            let workload = if sent { workload.map_err(unknown)? } else { workload? };
            let Some(patch) = disowning(&workload, &self.writer.manager) else { return Ok(sent) };
            let workloads = read.kind.path(&target.namespace);
            let request = || self.writer.json_patch::<Value>(&workloads, &target.name, &patch, false);
            let is_outdated = |error: &kube::Error| answer::is_outdated(error) || answer::may_have_failed_a_test(error);
            let why = match retry::write(target, &mut patience, false, is_outdated, request).await {
                Ok(Written::Yes(_)) => {
                    sent = true;
                    "it was taken".to_owned()
                }
                Ok(Written::Look { fate, why }) => {
                    sent |= fate != Fate::Unsent;
                    why
                }
                Err(error) if sent => return Err(unknown(error)),
                Err(error) => return Err(error),
            };
            if !patience.again() {
                let error = backend(target, true, format!("not given back after the last attempt: {why}"));
                return Err(if sent { error } else { unapplied(error) });
            }
        }
    }
}

/// The JSON patch that takes the replicas from our manager; none if it does not own them.
fn disowning(workload: &Value, manager: &str) -> Option<Value> {
    let list = workload.pointer("/metadata/managedFields")?.as_array()?;
    let mut entries: Vec<Value> = list.iter().filter_map(|entry| without_replicas(entry, manager)).collect();
    if entries == *list {
        return None;
    }
    if entries.is_empty() {
        // An empty list means "leave it as it is" to the API server; a list of one empty entry clears it.
        entries.push(json!({}));
    }
    let mut patch = Vec::new();
    if let Some(version) = workload.pointer("/metadata/resourceVersion") {
        patch.push(json!({ "op": "test", "path": "/metadata/resourceVersion", "value": version }));
    }
    patch.push(json!({ "op": "replace", "path": "/metadata/managedFields", "value": entries }));
    Some(Value::from(patch))
}

/// An entry without the replicas, if it is ours; none if nothing else is in it.
fn without_replicas(entry: &Value, manager: &str) -> Option<Value> {
    let mut entry = entry.clone();
    if entry.get("manager").and_then(Value::as_str) != Some(manager) {
        return Some(entry);
    }
    let Some(fields) = entry.get_mut("fieldsV1").and_then(Value::as_object_mut) else { return Some(entry) };
    remove(fields, &["f:spec"], "f:replicas");
    let left = !fields.is_empty();
    left.then_some(entry)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn workload(fields: &Value, manager: &str) -> Value {
        let host = json!({ "manager": "host", "operation": "Update", "fieldsV1": { "f:spec": { "f:replicas": {}, "f:template": {} } } });
        let ours = json!({ "manager": manager, "operation": "Apply", "subresource": "scale", "fieldsV1": fields });
        json!({ "metadata": { "resourceVersion": "7", "managedFields": [host, ours] } })
    }

    #[test]
    fn our_replicas_go_and_all_else_stays() {
        let replicas = json!({ "f:spec": { "f:replicas": {} } });
        let patch = disowning(&workload(&replicas, "us"), "us").unwrap();
        assert_eq!(patch[0], json!({ "op": "test", "path": "/metadata/resourceVersion", "value": "7" }));
        assert_eq!(patch[1]["value"].as_array().unwrap().len(), 1);
        assert_eq!(patch[1]["value"][0]["manager"], "host");
        let both = json!({ "f:spec": { "f:replicas": {}, "f:paused": {} } });
        let patch = disowning(&workload(&both, "us"), "us").unwrap();
        assert_eq!(patch[1]["value"][1]["fieldsV1"], json!({ "f:spec": { "f:paused": {} } }));
        assert_eq!(disowning(&workload(&replicas, "them"), "us"), None);
        assert_eq!(disowning(&json!({}), "us"), None);
        let mut alone = workload(&replicas, "us");
        alone["metadata"]["managedFields"].as_array_mut().unwrap().remove(0);
        assert_eq!(disowning(&alone, "us").unwrap()[1]["value"], json!([{}]));
    }
}
