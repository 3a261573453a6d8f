//! The applier of a weekly schedule's CronJobs: [`CronJobApplier`].

use std::collections::BTreeMap;
use std::fmt;

use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, TypeMeta};
use scaling_core::{ApplyMode, Target};
use serde_json::Value;

use super::answer;
use super::writer::Writer;
use crate::api::cronjob::{CronJobs, LABEL};
use crate::ownership::ObjectName;

/// Kinds of a schedule's objects, in the order in which they are applied.
const KINDS: [&str; 4] = ["ServiceAccount", "Role", "RoleBinding", "CronJob"];

/// Objects of a list that are asked for at a time.
const PAGE: u32 = 200;

/// Applies the objects of a [`CronJobs`], and deletes those of an earlier week that are no longer part of it.
///
/// Objects are found by their label, so whatever else is in the namespace is left alone; an object that has one of the names and not the
/// label is [somebody else's](CronJobErrorKind::Foreign), and a field that somebody has edited since is a conflict, unless the host
/// [forces](Writer::force) it. All of them are validated by the server before the first is written (but for a RoleBinding whose Role is not there
/// yet), and nothing is deleted before all are written. Applying twice equals once, also after a failure in between.
///
/// Needs `get`, `list`, `create`, `patch` and `delete` on `serviceaccounts`, `roles` and `rolebindings` of
/// `rbac.authorization.k8s.io`, and `cronjobs` of `batch`; and, since nobody may give away what they do not have, `get` and `patch` on the HPA.
#[derive(Clone)]
pub struct CronJobApplier {
    writer: Writer,
}

impl fmt::Debug for CronJobApplier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CronJobApplier").field("writer", &self.writer).finish()
    }
}

/// Outcome of an apply, with a dry run of what would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CronJobsApplied {
    /// Objects that were created or changed.
    pub written: Vec<ObjectName>,
    /// Objects that were as they are wanted.
    pub unchanged: Vec<ObjectName>,
    /// Objects that were deleted.
    pub pruned: Vec<ObjectName>,
}

impl CronJobsApplied {
    /// Returns true if nothing was, or would be, different.
    pub fn is_empty(&self) -> bool {
        self.written.is_empty() && self.pruned.is_empty()
    }
}

/// An apply that ended early.
#[derive(Debug, thiserror::Error)]
#[error("{object}: {kind}")]
pub struct CronJobError {
    /// The object that it ended at.
    pub object: ObjectName,
    /// Reason.
    #[source]
    pub kind: CronJobErrorKind,
    /// Work that was done before. It need not be undone: the next apply goes on from there.
    pub done: CronJobsApplied,
}

/// Reasons why an apply ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CronJobErrorKind {
    /// An object of this name is there and was not made for this schedule.
    #[error("it is there, and its label {LABEL} is not that of this schedule; rename or delete it")]
    Foreign,
    /// Another field manager owns what would be written, and the host did not force it.
    #[error("a field is owned by somebody else; force it or let them give it up: {0}")]
    Conflict(String),
    /// The server refused it.
    #[error("refused: {0}")]
    Refused(String),
    /// The server does not answer, or failed. The write may have happened.
    #[error("the API server failed: {0}")]
    Failed(String),
}

impl CronJobApplier {
    /// Creates an applier that writes through `writer`, or with its defaults through a client.
    pub fn new(writer: impl Into<Writer>) -> Self {
        Self { writer: writer.into() }
    }

    /// Applies a schedule, as far as `mode` goes. [`ApplyMode::Plan`] asks nobody, and tells what would be sent.
    ///
    /// # Errors
    /// [`CronJobError`] with the object that it ended at, and what was done before.
    pub async fn apply(&self, jobs: &CronJobs, mode: ApplyMode) -> Result<CronJobsApplied, CronJobError> {
        let wanted = jobs.objects();
        let mut done = CronJobsApplied::default();
        if mode == ApplyMode::Plan {
            done.written = wanted.iter().map(name).collect();
            return Ok(done);
        }
        let namespace = jobs.namespace();
        let there = self.listed(namespace, &jobs.selector()).await?;
        let mut before = BTreeMap::new();
        for object in &wanted {
            let known = there.get(&name(object)).cloned();
            before.insert(name(object), self.ours(namespace, object, known).await?);
        }
        let dry_run = mode == ApplyMode::ServerDryRun;
        // The server asks for the Role of a RoleBinding, and in a dry run there is none yet.
        let has_role = before.iter().any(|(name, there)| name.kind == "Role" && there.is_some());
        let is_rehearsed = |object: &Value| has_role || name(object).kind != "RoleBinding";
        for object in wanted.iter().filter(|object| is_rehearsed(object)) {
            self.write(namespace, object, true, &done).await?;
        }
        for object in &wanted {
            if dry_run && !is_rehearsed(object) {
                done.written.push(name(object));
                continue;
            }
            let written = self.write(namespace, object, dry_run, &done).await?;
            let is_same =
                before.get(&name(object)).and_then(Option::as_ref).is_some_and(|old| settled(old) == settled(&written));
            if is_same { &mut done.unchanged } else { &mut done.written }.push(name(object));
        }
        let obsolete: Vec<&DynamicObject> =
            there.iter().filter(|(name, _)| !before.contains_key(*name)).map(|(_, object)| object).collect();
        self.prune(namespace, &obsolete, dry_run, done).await
    }

    /// Deletes all objects of the schedule of a target's HPA.
    ///
    /// # Errors
    /// [`CronJobError`] with the object that it ended at, and what was done before.
    pub async fn remove(&self, target: &Target) -> Result<CronJobsApplied, CronJobError> {
        let there = self.listed(&target.namespace, &CronJobs::selector_of(&target.hpa)).await?;
        // CronJobs before what their pods run as.
        let all: Vec<&DynamicObject> = KINDS.iter().rev().flat_map(|kind| of_kind(&there, kind)).collect();
        self.prune(&target.namespace, &all, false, CronJobsApplied::default()).await
    }

    fn api(&self, namespace: &str, kind: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.writer.client.clone(), namespace, &resource(kind))
    }

    /// The objects of a schedule that are there.
    async fn listed(
        &self,
        namespace: &str,
        selector: &str,
    ) -> Result<BTreeMap<ObjectName, DynamicObject>, CronJobError> {
        let mut found = BTreeMap::new();
        for kind in KINDS {
            let api = self.api(namespace, kind);
            let mut page = ListParams::default().labels(selector).limit(PAGE);
            loop {
                let object =
                    ObjectName { kind: kind.to_owned(), namespace: Some(namespace.to_owned()), name: "*".to_owned() };
                let list = self.asked(&object, api.list(&page), &CronJobsApplied::default()).await?;
                for mut item in list.items {
                    // Items of a list do not say what they are.
                    item.types = Some(TypeMeta { api_version: resource(kind).api_version, kind: kind.to_owned() });
                    found.insert(stored_name(&item), item);
                }
                match list.metadata.continue_.filter(|more| !more.is_empty()) {
                    Some(more) => page = page.continue_token(&more),
                    None => break,
                }
            }
        }
        Ok(found)
    }

    /// The object as it is there, unless it is somebody else's.
    async fn ours(
        &self,
        namespace: &str,
        object: &Value,
        known: Option<DynamicObject>,
    ) -> Result<Option<DynamicObject>, CronJobError> {
        if known.is_some() {
            return Ok(known);
        }
        let (name, none) = (name(object), CronJobsApplied::default());
        let api = self.api(namespace, &name.kind);
        let there = self.asked(&name, api.get_opt(&name.name), &none).await?;
        match there {
            Some(_) => Err(CronJobError { object: name, kind: CronJobErrorKind::Foreign, done: none }),
            None => Ok(None),
        }
    }

    async fn write(
        &self,
        namespace: &str,
        object: &Value,
        dry_run: bool,
        done: &CronJobsApplied,
    ) -> Result<DynamicObject, CronJobError> {
        let (name, params) = (name(object), PatchParams { force: self.writer.force, ..self.writer.params(dry_run) });
        let api = self.api(namespace, &name.kind);
        self.asked(&name, api.patch(&name.name, &params, &Patch::Apply(object)), done).await
    }

    /// Deletes the versions of these that were read.
    async fn prune(
        &self,
        namespace: &str,
        objects: &[&DynamicObject],
        dry_run: bool,
        mut done: CronJobsApplied,
    ) -> Result<CronJobsApplied, CronJobError> {
        for object in objects {
            let name = stored_name(object);
            let preconditions = Preconditions {
                uid: object.metadata.uid.clone(),
                resource_version: object.metadata.resource_version.clone(),
            };
            let params = DeleteParams { dry_run, preconditions: Some(preconditions), ..DeleteParams::background() };
            let api = self.api(namespace, &name.kind);
            match self.asked(&name, api.delete(&name.name, &params), &done).await {
                Ok(_) => done.pruned.push(name),
                // Somebody was faster.
                Err(CronJobError { kind: CronJobErrorKind::Refused(why), .. }) if why.starts_with("404") => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    async fn asked<T>(
        &self,
        object: &ObjectName,
        request: impl Future<Output = kube::Result<T>>,
        done: &CronJobsApplied,
    ) -> Result<T, CronJobError> {
        let kind = match tokio::time::timeout(self.writer.timeout, request).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => of_error(&error),
            Err(_) => CronJobErrorKind::Failed(format!("no answer within {} s", self.writer.timeout.as_secs_f64())),
        };
        Err(CronJobError { object: object.clone(), kind, done: done.clone() })
    }
}

fn resource(kind: &str) -> ApiResource {
    let group = match kind {
        "ServiceAccount" => "",
        "CronJob" => "batch",
        _ => "rbac.authorization.k8s.io",
    };
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind))
}

fn of_error(error: &kube::Error) -> CronJobErrorKind {
    let said = answer::said(error);
    match error {
        kube::Error::Api(status) if status.code == 409 => CronJobErrorKind::Conflict(said),
        kube::Error::Api(status) if (400..500).contains(&status.code) && !matches!(status.code, 408 | 429) => {
            CronJobErrorKind::Refused(said)
        }
        _ => CronJobErrorKind::Failed(said),
    }
}

fn of_kind<'a>(
    objects: &'a BTreeMap<ObjectName, DynamicObject>,
    kind: &str,
) -> impl Iterator<Item = &'a DynamicObject> + use<'a> {
    let kind = kind.to_owned();
    objects.iter().filter(move |(name, _)| name.kind == kind).map(|(_, object)| object)
}

/// Name of an object of ours.
fn name(object: &Value) -> ObjectName {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    ObjectName { kind: text("/kind"), namespace: Some(text("/metadata/namespace")), name: text("/metadata/name") }
}

fn stored_name(object: &DynamicObject) -> ObjectName {
    let kind = object.types.as_ref().map(|types| types.kind.clone()).unwrap_or_default();
    let metadata = &object.metadata;
    ObjectName { kind, namespace: metadata.namespace.clone(), name: metadata.name.clone().unwrap_or_default() }
}

/// The object without what changes although nothing does.
fn settled(object: &DynamicObject) -> DynamicObject {
    let mut object = object.clone();
    object.types = None;
    object.metadata.managed_fields = None;
    object.metadata.resource_version = None;
    object.metadata.generation = None;
    if let Some(fields) = object.data.as_object_mut() {
        fields.remove("status");
    }
    object
}
