//! Reads and writes of a scale subresource.

use kube::api::{GetParams, Patch, PatchParams};
use kube::core::Request;
use kube::core::metadata::ObjectMeta;
use scaling_core::hpa::names::{is_dns_label, is_dns_subdomain};
use scaling_core::{ApplyError, Bounds, Target};
use serde_json::{Value, json};

use super::ScaleApplier;
use crate::applier::answer::{self, backend, refused, unapplied};
use crate::applier::discovery::Kind;
use crate::applier::ownership;
use crate::applier::retry::{self, Patience, Written};
use crate::ownership::entries;

/// A scale subresource as it was read.
pub(super) struct Read {
    pub(super) kind: Kind,
    pub(super) scale: Value,
    pub(super) bounds: Bounds,
    /// Pods that there are.
    pub(super) pods: u32,
}

impl ScaleApplier {
    /// The replicas as they stand. No error of it says that something may have changed.
    pub(super) async fn read(&self, target: &Target) -> Result<Read, ApplyError> {
        // These become part of a URL.
        if !is_dns_label(&target.namespace) || !is_dns_subdomain(&target.name) {
            let why = format!("{:?} in namespace {:?} cannot be the name of a workload", target.name, target.namespace);
            return Err(refused(target, why));
        }
        let group = self.groups.get(&target.kind).map(String::as_str);
        let kind = self.kinds.scalable(&self.writer, target, group).await?;
        let scale = self.get(target, &kind, Some("scale")).await?;
        let number = |pointer: &str| match scale.pointer(pointer) {
            // The server leaves a 0 out.
            None | Some(Value::Null) => Some(0),
            Some(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
        };
        let replicas = number("/spec/replicas").and_then(|replicas| Bounds::exactly(replicas).ok());
        let unusable = || unapplied(backend(target, false, "its scale subresource tells no number of replicas"));
        let bounds = replicas.filter(|_| scale.is_object()).ok_or_else(unusable)?;
        Ok(Read { pods: number("/status/replicas").unwrap_or(0), kind, scale, bounds })
    }

    /// The workload, or a subresource of it.
    pub(super) async fn get(&self, target: &Target, kind: &Kind, part: Option<&str>) -> Result<Value, ApplyError> {
        let request = || {
            let request = Request::new(kind.path(&target.namespace));
            match part {
                Some(part) => request.get_subresource(part, &target.name),
                None => request.get(&target.name, &GetParams::default()),
            }
        };
        let ask = || async {
            let answer = self.writer.ask(request()).await;
            if let Err(kube::Error::Api(status)) = &answer
                && status.code == 404
                && status.reason != "NotFound"
            {
                // The path itself is not served any more.
                self.kinds.forget().await;
            }
            answer
        };
        retry::read(target, self.writer.patience(), ask).await
    }

    /// Refuses a workload that somebody has scaled to nothing.
    pub(super) async fn paused(&self, target: &Target, read: &Read) -> Result<(), ApplyError> {
        if read.bounds.number() != Some(0) {
            return Ok(());
        }
        let workload = self.get(target, &read.kind, None).await?;
        let owner = entries(&workload)
            .filter(|entry| entry.owns(&["f:spec", "f:replicas"]))
            .max_by_key(|entry| (entry.manager == self.writer.manager, entry.time));
        match owner {
            Some(owner) if owner.manager == self.writer.manager => Ok(()),
            owner => {
                let owner = owner.map(|owner| format!(" by {}", owner.manager)).unwrap_or_default();
                let why =
                    format!("its replicas were set to 0{owner}: it is paused, and left alone until they are not 0");
                Err(refused(target, why))
            }
        }
    }

    /// Sends a write, or its dry run, and looks whether the server took it as it was sent. `patience` is that of the whole call.
    pub(super) async fn write(
        &self,
        target: &Target,
        read: &Read,
        replicas: u32,
        dry_run: bool,
        patience: &mut Patience,
    ) -> Result<Written<Value>, ApplyError> {
        let metadata = |field: &str| read.scale.pointer("/metadata").and_then(|metadata| metadata.get(field));
        let metadata = json!({
            "name": target.name, "namespace": target.namespace,
            "resourceVersion": metadata("resourceVersion"), "uid": metadata("uid"),
        });
        let spec = json!({ "replicas": replicas });
        let params = self.writer.params(dry_run);
        let (params, patch) = if read.kind.is_custom() {
            // The API server cannot apply to the scale of a custom resource: it answers 500, "request to convert CR to an invalid
            // group/version". So who owns the number is for us to see; the version in the body sees to it that this stays true.
            self.theirs(target, read).await?;
            (params, Patch::Merge(json!({ "metadata": metadata, "spec": spec })))
        } else {
            let body = json!({ "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata, "spec": spec });
            (PatchParams { force: self.writer.force, ..params }, Patch::Apply(body))
        };
        let send = || async {
            let request = Request::new(read.kind.path(&target.namespace));
            self.writer.ask::<Value>(request.patch_subresource("scale", &target.name, &params, &patch)).await
        };
        let written = retry::write(target, patience, dry_run, answer::is_outdated, send).await;
        let written = match written {
            Ok(written) => written,
            Err(error @ ApplyError::Conflict { .. }) => return Err(self.dated(target, read, error).await),
            Err(error) => return Err(error),
        };
        if let Written::Yes(stored) = &written {
            let got = stored.pointer("/spec/replicas").map_or(Some(0), Value::as_u64);
            if got != Some(replicas.into()) {
                let kept = if dry_run { "would be stored" } else { "is stored now" };
                let got = got.map_or_else(|| "something else".to_owned(), |got| got.to_string());
                let why =
                    format!("it took {replicas} replicas and made it {got}, as an admission webhook may; that {kept}");
                return Err(backend(target, false, why));
            }
            self.rehearsed.insert(&read.scale);
        }
        Ok(written)
    }

    /// Refuses a workload whose number somebody else owns, as a server-side apply would.
    async fn theirs(&self, target: &Target, read: &Read) -> Result<(), ApplyError> {
        if self.writer.force {
            return Ok(());
        }
        let workload = self.get(target, &read.kind, None).await?;
        let mut owners: Vec<_> = entries(&workload)
            .filter(|entry| entry.manager != self.writer.manager && entry.owns(&["f:spec", "f:replicas"]))
            .map(|entry| (entry.manager, entry.time))
            .collect();
        owners.sort_unstable();
        if owners.is_empty() {
            return Ok(());
        }
        let since = owners.iter().filter_map(|(_, time)| *time).max();
        let mut names: Vec<&str> = owners.into_iter().map(|(manager, _)| manager).collect();
        names.dedup();
        let (target, field, owner) = (target.clone(), "spec.replicas".to_owned(), names.join(" and "));
        Err(ApplyError::Conflict { target, field, owner, since, setting: None })
    }

    /// A conflict, with the instant of the owner's last write. A scale subresource does not tell it, the workload does.
    async fn dated(&self, target: &Target, read: &Read, error: ApplyError) -> ApplyError {
        let Ok(workload) = self.get(target, &read.kind, None).await else { return error };
        match serde_json::from_value::<ObjectMeta>(workload.get("metadata").cloned().unwrap_or_default()) {
            Ok(metadata) => ownership::dated(error, &metadata),
            Err(_) => error,
        }
    }
}
