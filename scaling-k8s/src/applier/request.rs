//! One request, its retries included: a read, or a write of either kind.

use std::error::Error;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{Patch, PatchParams};
use scaling_core::hpa::names::{is_dns_label, is_dns_subdomain};
use scaling_core::{ApplyError, Bounds, Target};
use serde_json::Value;

use super::answer::{self, backend, refused, unapplied};
use super::retry::{self, Patience};
use super::{KubeHpaApplier, ownership};
use crate::resting::{ANNOTATION, Memory, Seen};
use crate::{hpa, resting};

/// An HPA as it was read.
pub(super) struct Read {
    pub(super) hpa: HorizontalPodAutoscaler,
    /// The same as JSON.
    pub(super) json: Value,
    pub(super) seen: Seen,
}

/// Body of a write.
#[derive(Clone, Copy)]
pub(super) enum Body<'a> {
    /// A server-side apply under our field manager.
    Apply(&'a Value),
    /// A JSON patch.
    Patch(&'a Value),
}

/// Outcome of a write to an HPA.
pub(super) type Written = retry::Written<HorizontalPodAutoscaler>;

impl KubeHpaApplier {
    /// The HPA as it stands. No error of it says that something may have changed.
    ///
    /// `patience` is that of the whole call, whose deadline holds for this too.
    pub(super) async fn read(&self, target: &Target, patience: &Patience) -> Result<Read, ApplyError> {
        // These become part of a URL.
        if !is_dns_label(&target.namespace) || !is_dns_subdomain(&target.hpa) {
            let why = format!("{:?} in namespace {:?} cannot be the name of an HPA", target.hpa, target.namespace);
            return Err(refused(target, why));
        }
        let hpa = self.get(target, patience.for_a_read()).await?;
        let scaled = &hpa.spec.scale_target_ref;
        if scaled.kind != target.kind || scaled.name != target.name {
            let why = format!(
                "HPA {:?} scales {}/{}, not {}/{}",
                target.hpa, scaled.kind, scaled.name, target.kind, target.name
            );
            return Err(refused(target, why));
        }
        let json = serde_json::to_value(&hpa).map_err(|error| unapplied(backend(target, false, error)))?;
        let seen = Seen::of(&json, &self.writer.manager).map_err(|error| unapplied(backend(target, false, error)))?;
        match &seen.memory {
            Memory::Nothing | Memory::Kept => {}
            Memory::OwnerChanged { bounds } => {
                tracing::debug!(target_workload = %target, ?bounds, resting = %seen.state.resting, "the owner has changed the HPA");
            }
            Memory::Lost => {
                tracing::warn!(target_workload = %target, "annotation {ANNOTATION} is gone; the bounds that are there count as the owner's, unless the change log knows better");
            }
            Memory::Damaged(why) => {
                tracing::warn!(target_workload = %target, %why, "annotation {ANNOTATION} tells nothing; the bounds that are there count as the owner's");
            }
        }
        Ok(Read { hpa, json, seen })
    }

    async fn get(&self, target: &Target, patience: Patience) -> Result<HorizontalPodAutoscaler, ApplyError> {
        let api = self.api(target);
        retry::read(target, patience, || api.get(&target.hpa)).await
    }

    /// Sends a write, after its dry run if the server has not validated one to this HPA yet.
    pub(super) async fn rehearse_and_write(
        &self,
        target: &Target,
        body: Body<'_>,
        new: Bounds,
        read: &Read,
        patience: &mut Patience,
    ) -> Result<Written, ApplyError> {
        if !self.rehearsed.contains(&read.json) {
            let rehearsal = self.checked(target, body, new, true, read, patience).await.map_err(unapplied)?;
            if matches!(rehearsal, Written::Look { .. }) {
                return Ok(rehearsal);
            }
            tracing::debug!(target_workload = %target, "the API server has validated a write to this HPA");
        }
        self.checked(target, body, new, false, read, patience).await
    }

    /// Sends a write, or its dry run, and looks whether the server took it as it was sent.
    pub(super) async fn checked(
        &self,
        target: &Target,
        body: Body<'_>,
        new: Bounds,
        dry_run: bool,
        read: &Read,
        patience: &mut Patience,
    ) -> Result<Written, ApplyError> {
        let written = self.write(target, body, dry_run, read, patience).await?;
        if let Written::Yes(hpa) = &written {
            if let Some(why) = otherwise(new, body, dry_run, hpa) {
                return Err(backend(target, false, why));
            }
            self.rehearsed.insert(&read.json);
        }
        Ok(written)
    }

    /// Sends a write, or its dry run. `patience` is that of the whole call.
    async fn write(
        &self,
        target: &Target,
        body: Body<'_>,
        dry_run: bool,
        read: &Read,
        patience: &mut Patience,
    ) -> Result<Written, ApplyError> {
        let is_outdated = match body {
            Body::Apply(_) => answer::is_outdated,
            Body::Patch(_) => |error: &kube::Error| answer::is_outdated(error) || answer::may_have_failed_a_test(error),
        };
        let send = || self.patch(target, body, dry_run, read);
        let written = retry::write(target, patience, dry_run, is_outdated, send).await;
        let dated = written.map_err(|error| ownership::dated(error, &read.hpa.metadata));
        dated.map_err(|error| ownership::with_setting(error, &read.json, &self.writer.manager))
    }

    async fn patch(
        &self,
        target: &Target,
        body: Body<'_>,
        dry_run: bool,
        read: &Read,
    ) -> kube::Result<HorizontalPodAutoscaler> {
        let api = self.api(target);
        match body {
            Body::Apply(body) => {
                // What we have created is ours to move.
                let force = self.writer.force || resting::is_as_created(&read.json, &self.writer.manager);
                let params = PatchParams { force, ..self.writer.params(dry_run) };
                api.patch(&target.hpa, &params, &Patch::Apply(body)).await
            }
            Body::Patch(body) => self.writer.json_patch(api.resource_url(), &target.hpa, body, dry_run).await,
        }
    }
}

/// The reason why an HPA is not what was sent, if it is not, although the server said yes.
fn otherwise(
    new: Bounds,
    body: Body<'_>,
    dry_run: bool,
    written: &HorizontalPodAutoscaler,
) -> Option<Box<dyn Error + Send + Sync>> {
    let got = match hpa::state(written) {
        Ok(state) => state.bounds,
        Err(error) => return Some(error.into()),
    };
    let kept = if dry_run { "would be stored" } else { "is stored now" };
    if got != new {
        return Some(format!("it took {new} and made it {got}, as an admission webhook may; that {kept}").into());
    }
    let Body::Apply(body) = body else { return None };
    let sent = resting::kept_at(body)?;
    let annotation = written.metadata.annotations.as_ref().and_then(|annotations| annotations.get(ANNOTATION));
    let lost = || format!("it did not keep annotation {ANNOTATION}, as an admission webhook may; that {kept}").into();
    (annotation.map(String::as_str) != Some(sent)).then(lost)
}
