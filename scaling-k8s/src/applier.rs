//! The applier over a live cluster: [`KubeHpaApplier`].

mod answer;
mod connect;
mod ownership;

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use scaling_core::{Applied, ApplyError, ApplyMode, Bounds, HpaApplier, HpaPlan, HpaState, Target};

pub use connect::{ConnectError, connect};

use crate::hpa;
use answer::{backend, refused, unapplied, unknown};
use scaling_core::hpa::names::{is_dns_label, is_dns_subdomain};

/// Attempts at a write while others write to the HPA in between, as its own controller does with each new status.
const ATTEMPTS: usize = 5;

/// Reads HPAs and moves their bounds by server-side apply, under a field manager of its own.
///
/// A field that another manager owns is not taken: that is an [`ApplyError::Conflict`], unless the host [forces](Self::force) it.
/// Nothing but `minReplicas` and `maxReplicas` is written; a plan that changes what pods request is refused as a whole
/// ([`crate::repository`] writes it as manifests).
///
/// Every read says that the resting bounds are those that are there ([`hpa::state`](crate::hpa::state)).
///
/// An error tells whether the change may have happened (law 12): a write that was sent and has neither a yes nor a no as its
/// answer is [`ApplyError::Backend`]. A failed read, a failed dry run, and a write that never left or was answered with a no are
/// not.
///
/// Needs the verbs `get` and `patch` on `horizontalpodautoscalers` of `autoscaling`.
///
/// ```no_run
/// use std::time::Duration;
/// use scaling_k8s::KubeHpaApplier;
///
/// # async fn connect() -> Result<KubeHpaApplier, scaling_k8s::ConnectError> {
/// let applier = KubeHpaApplier::connect().await?.field_manager("shop-autoscaler").timeout(Duration::from_secs(5));
/// # Ok(applier)
/// # }
/// ```
#[derive(Clone)]
pub struct KubeHpaApplier {
    client: Client,
    manager: String,
    force: bool,
    timeout: Duration,
}

impl std::fmt::Debug for KubeHpaApplier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubeHpaApplier")
            .field("manager", &self.manager)
            .field("force", &self.force)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl KubeHpaApplier {
    /// Creates an applier over the cluster that `client` talks to. It does not look at the cluster that a target names: a host with
    /// several has an applier for each.
    pub fn new(client: Client) -> Self {
        Self { client, manager: "kube-scaling".to_owned(), force: false, timeout: Duration::from_secs(10) }
    }

    /// Creates an applier over the cluster that the environment names: a kubeconfig, or the pod's service account.
    ///
    /// Where the process has no TLS provider yet, this installs ring as its default, because the client cannot be made without.
    ///
    /// # Errors
    /// [`ConnectError`] if there is no usable configuration.
    pub async fn connect() -> Result<Self, ConnectError> {
        Ok(Self::new(connect::client().await?))
    }

    /// Sets the field manager to write under. Default: `kube-scaling`. Two managers that write the same HPA conflict; one that is
    /// renamed conflicts with its former self.
    #[must_use]
    pub fn field_manager(mut self, name: impl Into<String>) -> Self {
        self.manager = name.into();
        self
    }

    /// Takes the bounds over from the managers that own them. Default: it does not, and reports a conflict. A former owner that
    /// goes on writing takes them back: force only where no other tool writes them.
    #[must_use]
    pub fn force(mut self) -> Self {
        self.force = true;
        self
    }

    /// Sets the time that one call to the API server may take, its retries included. Default: 10 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    fn api(&self, target: &Target) -> Api<HorizontalPodAutoscaler> {
        Api::namespaced(self.client.clone(), &target.namespace)
    }

    async fn in_time<T>(
        &self,
        target: &Target,
        call: impl Future<Output = kube::Result<T>> + Send,
    ) -> Result<kube::Result<T>, ApplyError> {
        let timeout = self.timeout;
        let late = |_| backend(target, true, format!("no answer within {} s", timeout.as_secs_f64()));
        tokio::time::timeout(timeout, call).await.map_err(late)
    }

    /// The HPA as it stands. No error of it says that something may have changed.
    async fn read(&self, target: &Target) -> Result<(HorizontalPodAutoscaler, HpaState), ApplyError> {
        // These become part of a URL.
        if !is_dns_label(&target.namespace) || !is_dns_subdomain(&target.hpa) {
            let why = format!("{:?} in namespace {:?} cannot be the name of an HPA", target.hpa, target.namespace);
            return Err(refused(target, why));
        }
        let api = self.api(target);
        let answer = self.in_time(target, api.get(&target.hpa)).await.map_err(unapplied)?;
        let hpa = answer.map_err(|error| unapplied(answer::failure(target, error)))?;
        let scaled = &hpa.spec.scale_target_ref;
        if scaled.kind != target.kind || scaled.name != target.name {
            let why = format!(
                "HPA {:?} scales {}/{}, not {}/{}",
                target.hpa, scaled.kind, scaled.name, target.kind, target.name
            );
            return Err(refused(target, why));
        }
        let state = hpa::state(&hpa).map_err(|error| unapplied(backend(target, false, error)))?;
        Ok((hpa, state))
    }

    /// The reason to refuse, if an apply of the bounds alone would take something away from this HPA.
    fn would_remove(&self, hpa: &HorizontalPodAutoscaler) -> Option<String> {
        let lost = ownership::would_be_lost(&hpa.metadata, &self.manager);
        let (manager, fields) = (&self.manager, lost.join(", "));
        let why = || {
            format!(
                "field manager {manager:?} has applied {fields} too and would remove it; use one for the bounds alone"
            )
        };
        (!lost.is_empty()).then(why)
    }

    /// Sends the two bounds. `None` if the HPA was written by somebody else since it was `seen`.
    async fn write(
        &self,
        plan: &HpaPlan,
        mode: ApplyMode,
        seen: &HorizontalPodAutoscaler,
    ) -> Result<Option<HorizontalPodAutoscaler>, ApplyError> {
        let target = plan.target();
        let params = PatchParams {
            dry_run: mode != ApplyMode::Apply,
            force: self.force,
            field_manager: Some(self.manager.clone()),
            ..PatchParams::default()
        };
        let api = self.api(target);
        let patch = Patch::Apply(hpa::bounds_patch(plan, &seen.metadata));
        match self.in_time(target, api.patch(&target.hpa, &params, &patch)).await? {
            Ok(hpa) => Ok(Some(hpa)),
            Err(error) if answer::is_outdated(&error) => Ok(None),
            Err(error) => Err(ownership::dated(answer::failure(target, error), &seen.metadata)),
        }
    }
}

#[async_trait]
impl HpaApplier for KubeHpaApplier {
    async fn current(&self, target: &Target) -> Result<HpaState, ApplyError> {
        self.read(target).await.map(|(_, state)| state.bounds_only())
    }

    async fn apply(&self, plan: &HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError> {
        if plan.resources().is_some() {
            let why = "the plan changes what pods request, and this applier writes bounds alone; write it as manifests";
            return Err(refused(plan.target(), why.to_owned()));
        }
        match mode {
            ApplyMode::Plan => Ok(Applied { mode, changed: !plan.is_empty() }),
            ApplyMode::ServerDryRun => self.send(plan, mode).await.map_err(unapplied),
            ApplyMode::Apply => self.send(plan, mode).await,
        }
    }
}

impl KubeHpaApplier {
    /// Reads and writes until the write meets the version that was read.
    async fn send(&self, plan: &HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError> {
        let (target, old, new) = (plan.target(), plan.old_bounds(), plan.new_bounds());
        for attempt in 0..=ATTEMPTS {
            // "Outdated" may be the answer to a client's second try at a write whose first one was stored, so a read has to tell.
            let read = self.read(target).await;
            let (hpa, HpaState { bounds: found, .. }) = if attempt == 0 { read? } else { read.map_err(unknown)? };
            if found == new {
                return Ok(Applied { mode, changed: false });
            }
            if found != old {
                return Err(ApplyError::Changed { target: target.clone(), expected: old, found });
            }
            if let Some(why) = self.would_remove(&hpa) {
                return Err(refused(target, why));
            }
            if attempt == ATTEMPTS {
                break;
            }
            if let Some(written) = self.write(plan, mode, &hpa).await? {
                return match otherwise(new, mode, &written) {
                    None => Ok(Applied { mode, changed: true }),
                    Some(why) => Err(backend(target, false, why)),
                };
            }
            tracing::debug!(target_workload = %target, "the HPA was written by others in between; reading it again");
        }
        // The last read has found the old bounds.
        let why = format!("the HPA was written by others during each of {ATTEMPTS} attempts");
        Err(unapplied(backend(target, true, why)))
    }
}

/// The reason why an HPA is not what was sent, if it is not, although the server said yes.
fn otherwise(new: Bounds, mode: ApplyMode, written: &HorizontalPodAutoscaler) -> Option<Box<dyn Error + Send + Sync>> {
    let got = match hpa::state(written) {
        Ok(state) => state.bounds,
        Err(error) => return Some(error.into()),
    };
    let kept = if mode == ApplyMode::Apply { "is stored now" } else { "would be stored" };
    (got != new).then(|| format!("it took {new} and made it {got}, as an admission webhook may; that {kept}").into())
}
