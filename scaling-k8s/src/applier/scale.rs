//! The applier for workloads without an HPA: [`ScaleApplier`].

mod others;
mod release;
mod request;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use scaling_core::{Applied, ApplyError, ApplyMode, Bounds, HpaApplier, HpaPlan, HpaState, Target};

use super::answer::{backend, refused, unapplied, unknown};
use super::discovery::Kinds;
use super::rehearsed::Rehearsed;
use super::retry::{Fate, Written};
use super::writer::Writer;

/// Sets the replicas of workloads that no HPA scales, through their scale subresource: Deployments, StatefulSets, ReplicaSets, and
/// every other kind that has one, such as Argo Rollouts. The kind of a target is looked up in the discovery of the cluster.
///
/// There is nothing between us and the pods then: what is written is what runs, and what is written lower makes pods leave at once. So
/// it wants the policy [`BoundsPolicy::exact`](scaling_core::BoundsPolicy::exact), by which the bounds of a workload are one number,
/// its replicas, and every pod less counts for the guards. A plan with a min and another max is refused. Resting bounds, which an HPA
/// has, there are none: the number that is there is where it rests, and [`release`](Self::release) leaves it there under no manager of ours.
///
/// A workload is left alone, with the reason, while
/// - an HPA or a KEDA ScaledObject scales it, which is looked for before each write;
/// - its replicas are 0 and we have not set them so: that is how people pause a workload;
/// - another object owns it and sets its replicas, or another field manager owns `spec.replicas`, unless the host
///   [forces](Writer::force) it. Whoever created the workload with a number owns it; [`crate::ownership`] has the texts that make a GitOps tool leave it to us.
///
/// Writes are server-side applies of that one field, bound to the version that was read; a server dry-run precedes the first one to each
/// workload. (The API server cannot apply to the scale of a custom resource. There it is a merge patch, and who owns the field is read
/// before.) What is tried again, and what an error says of the write, is as with [`KubeHpaApplier`](super::KubeHpaApplier).
///
/// Needs `get` and `patch` on the scale subresources, `get` on the workloads, and `list` on `horizontalpodautoscalers` of `autoscaling`
/// and, where KEDA is installed, on `scaledobjects` of `keda.sh`.
///
/// ```no_run
/// use scaling_core::{ApplyMode, Autoscaler, BoundsPolicy, MemorySource, RuleBasedEngine, Target};
/// use scaling_k8s::{ScaleApplier, connect_from_environment};
///
/// # async fn run(now: scaling_core::chrono::DateTime<scaling_core::chrono::Utc>) -> Result<(), Box<dyn std::error::Error>> {
/// let autoscaler = Autoscaler::builder()
///     .source(MemorySource::new())
///     .engine(RuleBasedEngine::default())
///     .policy(BoundsPolicy::exact())
///     .applier(ScaleApplier::new(connect_from_environment().await?))
///     .mode(ApplyMode::Apply)
///     .build();
/// autoscaler.tick(&Target::deployment("shop", "worker").of_kind("Rollout"), now).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ScaleApplier {
    writer: Writer,
    groups: Arc<BTreeMap<String, String>>,
    kinds: Kinds,
    rehearsed: Rehearsed,
}

impl std::fmt::Debug for ScaleApplier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScaleApplier")
            .field("writer", &self.writer)
            .field("groups", &self.groups)
            .finish_non_exhaustive()
    }
}

impl ScaleApplier {
    /// Creates an applier that writes through `writer`, or with its defaults through a client.
    pub fn new(writer: impl Into<Writer>) -> Self {
        Self { writer: writer.into(), groups: Arc::default(), kinds: Kinds::default(), rehearsed: Rehearsed::default() }
    }

    /// Says which API group a kind is of, where several groups of the cluster have one of this name.
    #[must_use]
    pub fn kind_of_group(mut self, kind: impl Into<String>, group: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.groups).insert(kind.into(), group.into());
        self
    }
}

#[async_trait]
impl HpaApplier for ScaleApplier {
    async fn current(&self, target: &Target) -> Result<HpaState, ApplyError> {
        let read = self.read(target).await?;
        self.paused(target, &read).await?;
        let state = HpaState::new(read.bounds).with_resting(read.bounds).with_pods(read.pods);
        Ok(state.bounds_only())
    }

    async fn apply(&self, plan: &HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError> {
        let target = plan.target();
        if plan.resources().is_some() {
            let why = "the plan changes what pods request, and this applier sets their number alone";
            return Err(refused(target, why.to_owned()));
        }
        let Some(replicas) = plan.new_bounds().number() else {
            let why = format!(
                "the plan is for bounds of {}, and not for a number: the policy must be exact",
                plan.new_bounds()
            );
            return Err(refused(target, why));
        };
        match mode {
            ApplyMode::Plan => Ok(Applied { mode, changed: !plan.is_empty() }),
            ApplyMode::ServerDryRun => self.send(plan, replicas, mode).await.map_err(unapplied),
            ApplyMode::Apply => self.send(plan, replicas, mode).await,
        }
    }
}

impl ScaleApplier {
    /// Reads and writes until the write meets the version that was read.
    async fn send(&self, plan: &HpaPlan, replicas: u32, mode: ApplyMode) -> Result<Applied, ApplyError> {
        let (target, old, new): (_, Bounds, Bounds) = (plan.target(), plan.old_bounds(), plan.new_bounds());
        let mut patience = self.writer.patience();
        // The last write, of which this read has to tell whether it is stored.
        let mut earlier = Fate::Unsent;
        // The attempts are used up, with the last answer.
        let mut last: Option<String> = None;
        loop {
            let read = self.read(target).await;
            let read = if earlier == Fate::Unsent { read? } else { read.map_err(unknown)? };
            let found = read.bounds;
            if found == new {
                return Ok(Applied { mode, changed: earlier == Fate::Unknown });
            }
            if found != old && earlier == Fate::Unknown {
                let why = format!("a write may have been stored, and somebody has made the replicas {found} since");
                return Err(backend(target, true, why));
            }
            if found != old {
                return Err(ApplyError::Changed { target: target.clone(), expected: old, found });
            }
            if let Some(why) = last {
                // The last read has found the old number.
                let why =
                    format!("not written: others wrote to the workload in between, or the server was busy: {why}");
                return Err(unapplied(backend(target, true, why)));
            }
            self.paused(target, &read).await?;
            let is_known = self.rehearsed.contains(&read.scale);
            self.alone(target, &read, is_known).await?;
            if mode == ApplyMode::ServerDryRun || !is_known {
                let rehearsal = self.write(target, &read, replicas, true, &mut patience).await.map_err(unapplied)?;
                if let (Written::Yes(_), ApplyMode::ServerDryRun) = (&rehearsal, mode) {
                    return Ok(Applied { mode, changed: true });
                }
                if let Written::Look { why, .. } = rehearsal {
                    last = (!patience.again()).then_some(why);
                    continue;
                }
            }
            match self.write(target, &read, replicas, false, &mut patience).await? {
                Written::Yes(_) => return Ok(Applied { mode, changed: true }),
                Written::Look { fate, why } => {
                    tracing::debug!(target_workload = %target, %why, "reading the workload again");
                    earlier = fate;
                    last = (!patience.again()).then_some(why);
                }
            }
        }
    }
}
