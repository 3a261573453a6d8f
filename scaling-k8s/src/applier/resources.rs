//! The applier of requests and limits: [`ResizeApplier`].

mod effect;
mod preview;
mod seen;
mod sending;
mod usage;
mod workload;

use std::time::Duration;

use scaling_core::hpa::ControllerConfig;
use scaling_core::{ApplyError, ApplyMode, HpaPlan};

use super::answer::{backend, unapplied, unknown};
use super::discovery::Kinds;
use super::owners::Owners;
use super::retry::ATTEMPTS;
use super::writer::Writer;
use crate::ownership::OwnershipPolicy;
use crate::vertical::LimitRule;
pub use preview::{Preview, Resized};
use seen::Seen;
pub(super) use sending::Rehearsals;
use sending::Step;
pub use usage::{InUse, PodUsage, UsedWithin};

/// Way in which pods get another size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ResizeWay {
    /// In place where the cluster can (Kubernetes 1.33 and newer, `pods/resize`) and there are pods, else by a rollout.
    #[default]
    InPlaceElseRollout,
    /// The pods that run are resized where they are. The template stays, so that pods that come later have its size: whoever owns the
    /// template changes it there, at the next release for example.
    InPlace,
    /// The template of the workload is changed, and its controller replaces the pods. For Deployments and StatefulSets.
    Rollout,
}

/// Treatment of what an HPA would do after a change of the requests that its targets are a share of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EffectPolicy {
    /// A change is refused after which the HPA would flap, would not come to rest, or would want more pods than its max
    /// ([`Hazard`](crate::vertical::Hazard)).
    #[default]
    RefuseHazards,
    /// A change is refused as well after which the HPA would come to rest at another number of pods.
    KeepSize,
    /// The effect is told, and nothing is refused for it: the host has decided.
    Tell,
}

/// Changes what a container of a workload requests, as a plan says, in place or by a rollout.
///
/// A plan that the guards approved is still looked at in the cluster ([`check`](crate::vertical::check)): use, QoS class, LimitRanges,
/// ResourceQuotas; whatever stands against it is an [`ApplyError::Refused`] that names object, resource and numbers. Then the server
/// validates every write in a dry run before the first one is made. Pods are written one after the other, each request within the
/// [time](Writer::timeout) of the writer; a host that has less than all of them need ends the call, and the next one goes on. Where one has changed meanwhile,
/// and a change of its status is enough, they are read again: up to five times without progress.
///
/// The effect on an HPA, whose target is a share of what changes, is computed for now, simulated for the time to come and told
/// ([`preview`](Self::preview), [`Resized`]); what would make it flap or run into its max is refused, unless the host says otherwise
/// ([`effect`](Self::effect)). Beside a VerticalPodAutoscaler that sets requests nothing is written, and no template that a GitOps tool
/// applies ([`ownership`](Self::ownership)).
///
/// The plan's bounds are not looked at: [`VerticalApplier`](super::VerticalApplier) carries out both, in the loop of an autoscaler. A plan that is applied twice changes once,
/// and one that was made for other requests is refused.
///
/// Pods are those that the workload controls, by itself or by its ReplicaSets; others with the same labels are left alone.
///
/// A resize in place tells what a pod shall have. Whether its node has the room is told by the pod's condition `PodResizePending`. Of a
/// template, fields that another manager owns are not taken, unless the host [forces](Writer::force) it; pods have no owner but their
/// controller.
///
/// Needs `get` and `patch` on `deployments` and `statefulsets` of `apps` (`patch` for a rollout), `list` on `replicasets` and `pods`, `get`
/// and `patch` on `pods/resize`, `list` on `limitranges` and `resourcequotas`, and `get` on `horizontalpodautoscalers`; to see other
/// owners, the verbs of [`Survey`](crate::ownership::Survey).
///
/// ```no_run
/// use scaling_core::{ApplyMode, HpaPlan};
/// use scaling_k8s::{InUse, ResizeApplier, connect_from_environment};
///
/// # async fn run(plan: HpaPlan, used: InUse) -> Result<(), Box<dyn std::error::Error>> {
/// let applier = ResizeApplier::new(connect_from_environment().await?);
/// let preview = applier.preview(&plan, "app", &used).await?;
/// println!("{preview}");
/// applier.apply(&plan, "app", &used, ApplyMode::Apply).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ResizeApplier {
    writer: Writer,
    way: ResizeWay,
    limits: LimitRule,
    margin_percent: u32,
    effect: EffectPolicy,
    start_up: Duration,
    controller: ControllerConfig,
    kinds: Kinds,
    owners: Owners,
}

impl std::fmt::Debug for ResizeApplier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResizeApplier")
            .field("writer", &self.writer)
            .field("way", &self.way)
            .field("limits", &self.limits)
            .field("margin_percent", &self.margin_percent)
            .finish_non_exhaustive()
    }
}

impl ResizeApplier {
    /// Creates an applier that writes through `writer`, or with its defaults through a client.
    pub fn new(writer: impl Into<Writer>) -> Self {
        let writer = writer.into();
        Self {
            owners: Owners::new(writer.client.clone()),
            writer,
            way: ResizeWay::default(),
            limits: LimitRule::default(),
            margin_percent: 20,
            effect: EffectPolicy::default(),
            start_up: Duration::from_secs(60),
            controller: ControllerConfig::default(),
            kinds: Kinds::default(),
        }
    }

    /// Sets the way. Default: in place where the cluster can, else by a rollout.
    #[must_use]
    pub fn way(mut self, way: ResizeWay) -> Self {
        self.way = way;
        self
    }

    /// Sets the treatment of limits. Default: they follow the requests.
    #[must_use]
    pub fn limits(mut self, rule: LimitRule) -> Self {
        self.limits = rule;
        self
    }

    /// Sets the margin above the present use that a smaller size must leave, in percent. Default: 20.
    #[must_use]
    pub fn margin_percent(mut self, percent: u32) -> Self {
        self.margin_percent = percent;
        self
    }

    /// Sets the treatment of what the HPA would do. Default: hazards are refused.
    #[must_use]
    pub fn effect(mut self, policy: EffectPolicy) -> Self {
        self.effect = policy;
        self
    }

    /// Sets what is done beside others who set the requests: a VerticalPodAutoscaler whose mode is not `Off`, and with a rollout whoever
    /// applies the template, as [`crate::ownership`] finds them. Default: nothing is written then, and the error names them and, for a
    /// GitOps tool, the setting that makes the two live together. They are looked for again once an hour. Fields of a template that another
    /// manager owns are for [`Writer::force`].
    #[must_use]
    pub fn ownership(mut self, policy: OwnershipPolicy) -> Self {
        self.owners = self.owners.with_policy(policy);
        self
    }

    /// Sets the time from the creation of a pod until it serves, by which the HPA is simulated where the use does not tell it
    /// ([`InUse::start_up`]). Default: 60 s.
    #[must_use]
    pub fn start_up(mut self, start_up: Duration) -> Self {
        self.start_up = start_up;
        self
    }

    /// Sets the HPA controller of the cluster, by which the effect is computed. Default: that of a recent release, with its defaults.
    #[must_use]
    pub fn controller(mut self, config: ControllerConfig) -> Self {
        self.controller = config;
        self
    }

    /// What a plan would do, with all checks, and nothing done.
    ///
    /// # Errors
    /// [`ApplyError`] if something stands against it, or it cannot be looked at.
    pub async fn preview(&self, plan: &HpaPlan, container: &str, used: &InUse) -> Result<Preview, ApplyError> {
        Ok(self.seen(plan, container, used).await?.preview)
    }

    /// Carries out the change of requests that a plan holds, as far as `mode` goes. [`ApplyMode::Plan`] reads the cluster and checks.
    ///
    /// # Errors
    /// [`ApplyError`] if it was not carried out to its end. [`ApplyError::Backend`] if some pods may have changed; to apply the plan again
    /// changes the others.
    pub async fn apply(
        &self,
        plan: &HpaPlan,
        container: &str,
        used: &InUse,
        mode: ApplyMode,
    ) -> Result<Resized, ApplyError> {
        self.carry_out(plan, container, used, mode, &mut Rehearsals::default()).await
    }

    /// The same, without another rehearsal of what was rehearsed.
    pub(super) async fn carry_out(
        &self,
        plan: &HpaPlan,
        container: &str,
        used: &InUse,
        mode: ApplyMode,
        rehearsals: &mut Rehearsals,
    ) -> Result<Resized, ApplyError> {
        let target = plan.target();
        // Attempts since less was left to do than ever before.
        let (mut attempts, mut fewest) = (0, usize::MAX);
        // A write was sent, and whether it is stored is not known, or it is.
        let mut sent = false;
        // Answer because of which the cluster is read again.
        let mut last: Option<String> = None;
        let mut changed = false;
        let mut told: Option<Preview> = None;
        loop {
            let looked = self.seen(plan, container, used).await;
            let Seen { preview, writes, .. } = if sent { looked.map_err(unknown)? } else { looked? };
            let is_done = preview.checked.is_none() || mode == ApplyMode::Plan;
            let (way, would_change) = (preview.way, preview.checked.is_some());
            let earlier = told.take();
            let preview = &*told.insert(preview.after(earlier));
            if is_done {
                let preview = rehearsals.without_gone(preview.clone());
                return Ok(Resized { mode, changed: changed || would_change, preview });
            }
            let left = rehearsals.left(&writes);
            if left < fewest {
                (attempts, fewest) = (0, left);
            }
            if let Some(why) = last.take_if(|_| attempts >= ATTEMPTS) {
                let error =
                    backend(target, true, format!("there is still something to change after the last attempt: {why}"));
                return Err(if sent { error } else { unapplied(error) });
            }
            if let Some(effect) = &preview.effect {
                tracing::info!(target_workload = %target, %effect, "the HPA counts a share of what changes");
            }
            let step = self.send(target, way, &writes, mode, rehearsals).await;
            attempts += 1;
            match step {
                Ok(Step::Done) => {
                    let preview = rehearsals.without_gone(preview.clone());
                    return Ok(Resized { mode, changed: true, preview });
                }
                Ok(Step::Look { sent: now, why }) => {
                    tracing::debug!(target_workload = %target, %why, "reading the pods again");
                    (sent, changed) = (sent || now, changed || now);
                    last = Some(why);
                }
                Err(error) if sent => return Err(unknown(error)),
                Err(error) => return Err(error),
            }
        }
    }
}
