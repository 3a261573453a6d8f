//! Field managers: who owns which field, from `metadata.managedFields`.
//!
//! Each entry is a manager with an operation (`Apply` or `Update`), a time, and its fields as nested objects: `f:spec` is a field,
//! `k:{"name":"app"}` an item of a list by its key, `.` the parent itself.

use scaling_core::chrono::{DateTime, Utc};
use serde_json::Value;

use super::Finder;
use super::object::{Object, shown};
use super::owner::{Evidence, Operation, Owner, Ownership};

/// Entries of an object that are looked at. A manager has a few, and there are few managers.
const MAX_ENTRIES: usize = 1000;
/// Containers and resources of one entry that are looked at.
const MAX_REQUESTS: usize = 256;

/// One entry of `managedFields`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) manager: &'a str,
    pub(crate) operation: Option<Operation>,
    pub(crate) subresource: Option<&'a str>,
    pub(crate) time: Option<DateTime<Utc>>,
    pub(crate) fields: &'a Value,
}

/// The entries of an object that say who owns what; others are passed over.
pub(crate) fn entries(object: &Value) -> impl Iterator<Item = Entry<'_>> {
    let list = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    list.into_iter().flatten().take(MAX_ENTRIES).filter_map(|entry| {
        let text = |field: &str| entry.get(field).and_then(Value::as_str);
        let time = text("time").and_then(|time| DateTime::parse_from_rfc3339(time).ok());
        Some(Entry {
            manager: text("manager").unwrap_or("unknown"),
            operation: text("operation").and_then(Operation::parse),
            subresource: text("subresource").filter(|name| !name.is_empty()),
            time: time.map(|time| time.with_timezone(&Utc)),
            fields: entry.get("fieldsV1").filter(|fields| fields.is_object())?,
        })
    })
}

impl Entry<'_> {
    /// Returns true if we wrote it, under this name. The same name with an update is another owner to the API server: it stands in the way of
    /// what we apply. Replicas alone are updated, through the scale subresource.
    fn is_ours(&self, manager: &str) -> bool {
        self.manager == manager && (self.operation == Some(Operation::Apply) || self.subresource == Some("scale"))
    }

    /// Returns true if this manager applied it to the object itself, as we do.
    pub(crate) fn is_applied_by(&self, manager: &str) -> bool {
        self.manager == manager && self.operation == Some(Operation::Apply) && self.subresource.is_none()
    }

    pub(crate) fn owns(&self, path: &[&str]) -> bool {
        path.iter().try_fold(self.fields, |fields, key| fields.get(key)).is_some()
    }

    /// The requests and limits that it owns: `spec.template.spec.containers[app].resources.requests.cpu`.
    pub(crate) fn resources(&self) -> Vec<String> {
        const TEMPLATE: [&str; 4] = ["f:spec", "f:template", "f:spec", "f:containers"];
        let containers = TEMPLATE.iter().try_fold(self.fields, |fields, key| fields.get(key));
        let mut found = Vec::new();
        for (key, container) in containers.and_then(Value::as_object).into_iter().flatten() {
            let name = key.strip_prefix("k:").and_then(|key| serde_json::from_str::<Value>(key).ok());
            let name = name.as_ref().and_then(|key| key.get("name")).and_then(Value::as_str).unwrap_or("?");
            for part in ["requests", "limits"] {
                let owned = container.get("f:resources").and_then(|fields| fields.get(format!("f:{part}")));
                for resource in owned.and_then(Value::as_object).into_iter().flat_map(serde_json::Map::keys) {
                    let Some(resource) = resource.strip_prefix("f:") else { continue };
                    if found.len() < MAX_REQUESTS {
                        let (name, resource) = (shown(name), shown(resource));
                        found.push(format!("spec.template.spec.containers[{name}].resources.{part}.{resource}"));
                    }
                }
            }
        }
        found
    }
}

impl<'a> Finder<'a, '_> {
    /// The managers, other than ours, of some fields of an object.
    pub(super) fn fields(&mut self, object: Object<'a>, paths: &[&[&str]]) {
        let ours = self.manager;
        for entry in entries(object.value).filter(|entry| !entry.is_ours(ours)) {
            let owned = paths.iter().filter(|path| entry.owns(path));
            let fields =
                owned.map(|path| path.iter().map(|key| key.trim_start_matches("f:")).collect::<Vec<_>>().join("."));
            self.managed(object, &entry, fields.collect());
        }
    }

    /// The managers, other than ours, of what the pods of a workload request.
    pub(super) fn requests(&mut self, workload: Object<'a>) {
        let ours = self.manager;
        for entry in entries(workload.value).filter(|entry| !entry.is_ours(ours)) {
            let fields = entry.resources();
            self.managed(workload, &entry, fields);
        }
    }

    fn managed(&mut self, object: Object<'a>, entry: &Entry<'a>, fields: Vec<String>) {
        if fields.is_empty() {
            return;
        }
        let owner = Owner::of_manager(entry.manager, entry.subresource, object);
        self.owners.push(Ownership {
            owner,
            object: object.name(),
            fields,
            manager: Some(shown(entry.manager)),
            operation: entry.operation,
            since: entry.time,
            evidence: Evidence::ManagedFields,
            part: self.part,
            settled: None,
        });
    }
}
