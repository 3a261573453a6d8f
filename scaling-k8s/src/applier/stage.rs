//! The stage of adoption at an HPA: written under a field manager of its own.

use kube::api::{Patch, PatchParams};
use scaling_core::hpa::names::{is_dns_label, is_dns_subdomain};
use scaling_core::{ApplyError, Target};

use super::KubeHpaApplier;
use super::answer::{self, backend, refused, unapplied};
use super::retry::{self, Written};
use crate::stage::{self, ReachedStage};

impl KubeHpaApplier {
    /// Keeps the stage that was reached at the HPA of this identity, or takes the annotation away. The API server validates it first. An
    /// annotation that somebody else owns is a conflict: it is not forced.
    pub(crate) async fn keep_stage(
        &self,
        target: &Target,
        uid: &str,
        reached: Option<&ReachedStage>,
    ) -> Result<(), ApplyError> {
        // These become part of a URL.
        if !is_dns_label(&target.namespace) || !is_dns_subdomain(&target.hpa) {
            let why = format!("{:?} in namespace {:?} cannot be the name of an HPA", target.hpa, target.namespace);
            return Err(refused(target, why));
        }
        let body = stage::apply_body(&target.namespace, &target.hpa, uid, reached);
        let (api, manager) = (self.api(target), stage::manager(&self.writer.manager));
        let mut patience = self.writer.patience();
        for dry_run in [true, false] {
            let how = PatchParams { field_manager: Some(manager.clone()), ..self.writer.params(dry_run) };
            let patch = Patch::Apply(&body);
            let send = || api.patch(&target.hpa, &how, &patch);
            match retry::write(target, &mut patience, dry_run, answer::is_outdated, send).await {
                Ok(Written::Yes(_)) => {}
                // The apply names no version, so only another object of the name, or a busy server, has it looked at.
                Ok(Written::Look { why, .. }) => return Err(backend(target, true, why)),
                Err(error) if dry_run => return Err(unapplied(error)),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
