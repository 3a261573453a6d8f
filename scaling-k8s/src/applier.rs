//! The appliers over a live cluster: [`KubeHpaApplier`], [`ScaleApplier`], [`ResizeApplier`] and [`VerticalApplier`].

mod answer;
mod connect;
mod create;
mod cron_jobs;
mod discovery;
mod owners;
mod ownership;
mod rehearsed;
mod release;
mod request;
mod resources;
mod retry;
mod retry_after;
mod scale;
mod stage;
mod vertical;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::Api;
use scaling_core::{Applied, ApplyError, ApplyMode, Bounds, HpaApplier, HpaPlan, HpaState, Target};
use serde_json::Value;

pub use connect::{ConnectError, connect, connect_from_environment};
pub(crate) use connect::{client, install_provider, unquoted};
pub use create::CreateError;
pub use cron_jobs::{CronJobApplier, CronJobError, CronJobErrorKind, CronJobsApplied};
pub use release::Released;
pub use resources::{EffectPolicy, InUse, PodUsage, Preview, ResizeApplier, ResizeWay, Resized, UsedWithin};
pub use scale::ScaleApplier;
pub use vertical::VerticalApplier;
pub use writer::Writer;

use crate::annotation::DamagedText;
use crate::history::{self, HistoryRecorder};
use crate::ownership::OwnershipPolicy;
use answer::{backend, refused, unapplied, unknown};
use owners::Owners;
use rehearsed::Rehearsed;
use request::{Body, Read, Written};
use retry::Fate;

use crate::resting;

/// Longest history that is written to an HPA, in bytes.
const HISTORY_BYTES: usize = 2 << 10;

/// Reads HPAs and moves their bounds by server-side apply, under a field manager of its own.
///
/// A field that another manager owns is not taken: that is an [`ApplyError::Conflict`], unless the host [forces](Writer::force) it.
/// Nothing but `minReplicas`, `maxReplicas` and one annotation is written (two with [`history`](Self::history)); a plan that changes what pods request is refused as a whole
/// ([`crate::repository`] writes it as manifests). The annotation keeps the **resting bounds**, those that the owner of the HPA set:
/// every read tells them, whichever process wrote before, and a bound that somebody changed since is the owner's from then on
/// ([`crate::resting`]). [`release`](Self::release) gives everything back and leaves no trace.
///
/// Before the first write to an HPA the server validates it in a dry run. What the server was too busy for (429, 503), a read that took
/// too long, and a write that met a newer version are tried again, for as long as the [time](Writer::timeout) of the writer allows.
///
/// An error tells whether the change may have happened (law 12): a write that was sent and has neither a yes nor a no as its
/// answer is [`ApplyError::Backend`]. A failed read, a failed dry run, and a write that never left or was answered with a no are
/// not.
///
/// Where others set the size of the workload, nothing is written ([`ownership`](Self::ownership)). A whole HPA is
/// [created](Self::create) only when asked for.
///
/// Needs the verbs `get` and `patch` on `horizontalpodautoscalers` of `autoscaling`; to see every other owner, those of
/// [`Survey`](crate::ownership::Survey) as well.
///
/// ```no_run
/// use scaling_k8s::{KubeHpaApplier, connect_from_environment};
///
/// # async fn connect() -> Result<KubeHpaApplier, scaling_k8s::ConnectError> {
/// let applier = KubeHpaApplier::new(connect_from_environment().await?);
/// # Ok(applier)
/// # }
/// ```
#[derive(Clone)]
pub struct KubeHpaApplier {
    writer: Writer,
    rehearsed: Rehearsed,
    owners: Owners,
    history: Option<Arc<HistoryRecorder>>,
}

impl std::fmt::Debug for KubeHpaApplier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubeHpaApplier").field("writer", &self.writer).finish_non_exhaustive()
    }
}

impl KubeHpaApplier {
    /// Creates an applier that writes through `writer`, or with its defaults through a client.
    pub fn new(writer: impl Into<Writer>) -> Self {
        let writer = writer.into();
        Self { owners: Owners::new(writer.client.clone()), writer, rehearsed: Rehearsed::default(), history: None }
    }

    /// Sets what is done where somebody else sets the size of the workload, as [`crate::ownership`] finds them: another HPA, KEDA, a CronJob,
    /// a GitOps tool that does not leave our fields alone, a controller that owns the HPA. Default: nothing is written then, and the
    /// error names them. With [`OwnershipPolicy::Take`] nobody is looked for. They are looked for before the first write to an HPA and
    /// again once an hour; what may not be read is logged once, and not held against a write.
    #[must_use]
    pub fn ownership(mut self, policy: OwnershipPolicy) -> Self {
        self.owners = self.owners.with_policy(policy);
        self
    }

    /// Writes the latest changes of each HPA to it as an annotation ([`history::ANNOTATION`](crate::history::ANNOTATION)), in the request that makes
    /// the change, under our field manager: the next process reads them back ([`history::of_hpa`](crate::history::of_hpa)) and knows what it may go back from. 2 KiB at
    /// most, the newest that fit. Default: none is written, and one that is there goes with the next change.
    ///
    /// The recorder must be one of those of the autoscaler (a [`Tee`](scaling_core::record::Tee) has several): when and why a change is made is known from
    /// its records. Of a change without a record nothing is added.
    #[must_use]
    pub fn history(mut self, recorder: Arc<HistoryRecorder>) -> Self {
        self.history = Some(recorder);
        self
    }

    /// Writes under this field manager.
    #[cfg(feature = "controller")]
    pub(crate) fn under(mut self, manager: &str) -> Self {
        self.writer = self.writer.field_manager(manager);
        self
    }

    /// Asks for no list of HPAs to find others of a workload: `hpas` knows them.
    #[cfg(feature = "controller")]
    pub(crate) fn knowing_hpas(
        mut self,
        hpas: impl Fn(&Target) -> Option<Vec<serde_json::Value>> + Send + Sync + 'static,
    ) -> Self {
        self.owners = self.owners.knowing_hpas(hpas);
        self
    }

    fn api(&self, target: &Target) -> Api<HorizontalPodAutoscaler> {
        Api::namespaced(self.writer.client.clone(), &target.namespace)
    }

    /// The reason to refuse, if an apply of ours would take something away from this HPA.
    fn would_remove(&self, hpa: &HorizontalPodAutoscaler) -> Option<String> {
        let lost = ownership::would_be_lost(&hpa.metadata, &self.writer.manager);
        let (manager, fields) = (&self.writer.manager, lost.join(", "));
        let why = || {
            format!(
                "field manager {manager:?} has applied {fields} too and would remove it; use one for the bounds alone"
            )
        };
        (!lost.is_empty()).then(why)
    }
}

#[async_trait]
impl HpaApplier for KubeHpaApplier {
    async fn current(&self, target: &Target) -> Result<HpaState, ApplyError> {
        self.read(target, &self.writer.patience()).await.map(|read| read.seen.state.bounds_only())
    }

    async fn apply(&self, plan: &HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError> {
        if plan.resources().is_some() {
            let why = "the plan changes what pods request, and this applier writes bounds alone; write it as manifests";
            return Err(refused(plan.target(), why.to_owned()));
        }
        match mode {
            ApplyMode::Plan => Ok(Applied { mode, changed: !plan.is_empty() }),
            ApplyMode::ServerDryRun => self.send(plan, mode).await.map(|(applied, _)| applied).map_err(unapplied),
            ApplyMode::Apply => self.send(plan, mode).await.map(|(applied, _)| applied),
        }
    }
}

impl KubeHpaApplier {
    /// The HPA as the API server has it now, with its version.
    #[cfg(feature = "controller")]
    pub(crate) async fn read_now(&self, target: &Target) -> Result<(HpaState, Option<String>), ApplyError> {
        let read = self.read(target, &self.writer.patience()).await?;
        Ok((read.seen.state.bounds_only(), read.hpa.metadata.resource_version))
    }

    /// The whole HPA as the API server has it now, with its resting bounds.
    #[cfg(feature = "controller")]
    pub(crate) async fn read_whole(&self, target: &Target) -> Result<(HorizontalPodAutoscaler, Bounds), ApplyError> {
        let read = self.read(target, &self.writer.patience()).await?;
        Ok((read.hpa, read.seen.state.resting))
    }

    /// The HPA as the API server has it now, in the JSON of the API.
    #[cfg(feature = "controller")]
    pub(crate) async fn json_now(&self, target: &Target) -> Result<Value, ApplyError> {
        Ok(self.read(target, &self.writer.patience()).await?.json)
    }

    /// The same of an HPA that was read or written already.
    #[cfg(feature = "controller")]
    pub(crate) fn told(&self, hpa: &HorizontalPodAutoscaler) -> Option<(HpaState, Option<String>)> {
        let json = serde_json::to_value(hpa).ok()?;
        let seen = resting::Seen::of(&json, &self.writer.manager).ok()?;
        Some((seen.state.bounds_only(), hpa.metadata.resource_version.clone()))
    }

    /// Reads and writes until the write meets the version that was read. Gives the HPA as it stands then, or would.
    pub(crate) async fn send(
        &self,
        plan: &HpaPlan,
        mode: ApplyMode,
    ) -> Result<(Applied, Box<HorizontalPodAutoscaler>), ApplyError> {
        let (target, old, new) = (plan.target(), plan.old_bounds(), plan.new_bounds());
        let mut patience = self.writer.patience();
        let mut earlier = Earlier::default();
        // The attempts are used up, with the last answer.
        let mut last: Option<String> = None;
        loop {
            let read = self.read(target, &patience).await;
            let read = if earlier.was_sent() { read.map_err(unknown)? } else { read? };
            let found = read.seen.state.bounds;
            if found == new {
                let changed = earlier.may_have_written(&read);
                return Ok((Applied { mode, changed }, Box::new(read.hpa)));
            }
            if earlier.has_written(&read) || found != old && earlier.may_have_written(&read) {
                let why = format!("a write may have been stored, and somebody has made the bounds {found} since");
                return Err(backend(target, true, why));
            }
            if found != old {
                return Err(ApplyError::Changed { target: target.clone(), expected: old, found });
            }
            if let Some(pods) = would_evict(&read, old, new) {
                let why =
                    format!("{pods} pods run by now, more than the max of {new} that the plan is for; plan again");
                return Err(unapplied(backend(target, true, why)));
            }
            if let Some(why) = self.would_remove(&read.hpa) {
                return Err(refused(target, why));
            }
            if !earlier.was_sent() {
                self.refuse_if_owned(target, &read, &patience).await?;
            }
            if let Some(why) = last {
                // The last read has found the old bounds.
                let why = format!("not written: others wrote to the HPA in between, or the server was busy: {why}");
                return Err(unapplied(backend(target, true, why)));
            }
            let mut body = read.seen.apply_body(new, plan.resting());
            self.add_history(plan, &read, &mut body);
            let written = match mode {
                ApplyMode::Apply => {
                    self.rehearse_and_write(target, Body::Apply(&body), new, &read, &mut patience).await?
                }
                _ => self.checked(target, Body::Apply(&body), new, true, &read, &mut patience).await?,
            };
            match written {
                Written::Yes(hpa) => return Ok((Applied { mode, changed: true }, hpa)),
                Written::Look { fate, why } => {
                    tracing::debug!(target_workload = %target, %why, "reading the HPA again");
                    earlier = Earlier::new(fate, &read, &body);
                    last = (!patience.again()).then_some(why);
                }
            }
        }
    }
}

impl KubeHpaApplier {
    /// Adds the annotation with the history to the body of a write, where it is wanted.
    fn add_history(&self, plan: &HpaPlan, read: &Read, body: &mut Value) {
        let Some(recorder) = &self.history else { return };
        let target = plan.target();
        let earlier = match history::of_hpa(&read.json, &self.writer.manager) {
            Ok(earlier) => earlier,
            // With it in the body its owner would have to allow the whole write.
            Err(why @ history::InvalidHistory::Text(DamagedText::Foreign)) => {
                if recorder.is_news_of_foreign(target) {
                    tracing::warn!(target_workload = %target, %why, "annotation {} is left as it is, and changes are not told there", history::ANNOTATION);
                }
                return;
            }
            Err(why) => {
                tracing::warn!(target_workload = %target, %why, "annotation {} is not used and begun anew", history::ANNOTATION);
                Vec::new()
            }
        };
        let text = history::with_change(earlier, recorder.intended(plan), HISTORY_BYTES);
        if let Some(annotations) = body.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
            annotations.insert(history::ANNOTATION.to_owned(), text.into());
        }
    }
}

/// Pods that a lower max would remove, if there are such (law 11): the plan may be older than they are.
fn would_evict(read: &Read, old: Bounds, new: Bounds) -> Option<u32> {
    let pods = read.seen.state.pods?.min(old.max());
    (new.max() < old.max() && pods > new.max()).then_some(pods)
}

/// The last attempt, of which a read has to tell whether it is stored.
#[derive(Default)]
struct Earlier {
    fate: Option<Fate>,
    /// The text of the annotation that it would have left, which was not there before.
    mark: Option<String>,
}

impl Earlier {
    fn new(fate: Fate, before: &Read, body: &Value) -> Self {
        let mark = resting::kept_at(body).filter(|mark| resting::kept_at(&before.json) != Some(*mark));
        Self { fate: Some(fate), mark: mark.map(str::to_owned) }
    }

    fn was_sent(&self) -> bool {
        self.fate.is_some_and(|fate| fate != Fate::Unsent)
    }

    /// Returns true if what it would have left is there.
    fn has_written(&self, now: &Read) -> bool {
        self.was_sent() && self.mark.is_some() && resting::kept_at(&now.json) == self.mark.as_deref()
    }

    /// Returns true if it may be stored, whatever is there.
    fn may_have_written(&self, now: &Read) -> bool {
        self.fate == Some(Fate::Unknown) || self.has_written(now)
    }
}
