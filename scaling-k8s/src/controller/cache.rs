//! One watch over all HPAs, instead of a read of each at every tick: [`HpaCache`].
//!
//! The API server sends what changes, and a bookmark each minute where nothing does; so the cache also knows when it has heard from
//! the server last. One that has heard nothing for longer than its [limit](HpaCacheBuilder::stale_after) tells nothing any more: a
//! decision on an old world could undo what was done since (law 12).

mod entry;
mod health;
mod object;
mod server;
mod shared;
#[cfg(test)]
mod tests;
mod version;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use scaling_core::hpa::InvalidHpa;
use scaling_core::{HpaState, Target};
use serde_json::Value;
use tokio::task::JoinHandle;

pub use entry::FleetTarget;
pub use health::{CacheHealth, Unread};
pub(crate) use version::Version;

use crate::history::{self, Change, InvalidHistory};
use crate::resting::Memory;
use entry::Entry;
use server::KubeServer;
use shared::Shared;

/// Two bookmarks, which the API server sends about once a minute.
const STALE_AFTER: Duration = Duration::from_secs(120);

/// All HPAs of a cluster, or of a namespace, kept up to date by one watch.
///
/// Of each HPA the cache keeps what a controller needs: its bounds, the pods that its status counts, what it scales, labels and
/// annotations of ours and of tools that own HPAs, and who owns the bounds. That is about 2 KB each.
///
/// A watch that ends is taken up where it ended. One that the server cannot continue (410) is begun with a new list, and so is one that
/// was away for longer than the limit; reads are answered from the old world until then, or not at all once it is too old. Clones share
/// one watch, which ends with the last of them.
///
/// Needs the verbs `list` and `watch` on `horizontalpodautoscalers` of `autoscaling`.
///
/// ```no_run
/// use scaling_k8s::controller::cache::HpaCache;
///
/// # async fn start(client: scaling_k8s::kube::Client) {
/// let cache = HpaCache::builder(client).namespace("shop").start();
/// cache.ready().await;
/// for target in cache.targets().iter() {
///     println!("{}: {}", target.target, target.mode());
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct HpaCache {
    shared: Arc<Shared>,
    /// No HPA of a namespace is left out by a selector.
    is_whole: bool,
    /// Held for its end: the watch ends with it.
    _task: Arc<Task>,
}

#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Settings of an [`HpaCache`].
#[must_use = "nothing is watched before `start`"]
#[derive(Clone)]
pub struct HpaCacheBuilder {
    client: Client,
    namespace: Option<String>,
    labels: Option<String>,
    cluster: Option<String>,
    manager: String,
    stale_after: Duration,
}

impl std::fmt::Debug for HpaCacheBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HpaCacheBuilder")
            .field("namespace", &self.namespace)
            .field("labels", &self.labels)
            .field("stale_after", &self.stale_after)
            .finish_non_exhaustive()
    }
}

impl HpaCacheBuilder {
    /// Watches this namespace alone. Default: all.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Watches the HPAs that a label selector selects, such as `team=shop,tier!=test`. Default: all.
    pub fn label_selector(mut self, selector: impl Into<String>) -> Self {
        self.labels = Some(selector.into());
        self
    }

    /// Sets the cluster that targets name. Default: none.
    pub fn cluster(mut self, name: impl Into<String>) -> Self {
        self.cluster = Some(name.into());
        self
    }

    /// Sets the field manager that we write under, which tells the resting bounds. Default: `kube-scaling`.
    pub fn field_manager(mut self, name: impl Into<String>) -> Self {
        self.manager = name.into();
        self
    }

    /// Sets the time without a word from the API server after which nothing is told any more. Default: two minutes. At two thirds of it
    /// without a word everything is listed anew, so less than 90 s means lists of a server whose HPAs do not change. Less than 3 s counts as 3 s.
    pub fn stale_after(mut self, limit: Duration) -> Self {
        self.stale_after = limit.max(Duration::from_secs(3));
        self
    }

    /// Starts watching, in a task of the tokio runtime in which it is called.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(self) -> HpaCache {
        let Self { client, namespace, labels, cluster, manager, stale_after } = self;
        let shared = Shared::new(manager, cluster, stale_after).selected(labels.is_some());
        let is_whole = labels.is_none();
        let cache = HpaCache::over(KubeServer::new(client, namespace.as_deref(), labels), shared);
        HpaCache { is_whole, ..cache }
    }
}

impl HpaCache {
    /// Begins a cache over the cluster that `client` talks to.
    pub fn builder(client: Client) -> HpaCacheBuilder {
        HpaCacheBuilder {
            client,
            namespace: None,
            labels: None,
            cluster: None,
            manager: "kube-scaling".to_owned(),
            stale_after: STALE_AFTER,
        }
    }

    fn over(server: impl watch::Server, shared: Shared) -> Self {
        let shared = Arc::new(shared);
        let task = tokio::spawn(watch::run(server, Arc::clone(&shared)));
        Self { shared, is_whole: false, _task: Arc::new(Task(task)) }
    }

    /// Waits until all HPAs were listed once.
    pub async fn ready(&self) {
        self.shared.wait(Shared::is_filled).await;
    }

    /// Waits until it has seen everything up to a `resourceVersion` of an HPA, such as that of one's own write. A version that is no number
    /// is waited for until an HPA has exactly that.
    pub async fn caught_up(&self, version: &str) {
        let version = Version::of(Some(version.to_owned()));
        self.shared.wait(|shared| shared.has_seen(&version)).await;
    }

    /// Returns true once all HPAs were listed, and for as long as the API server is heard.
    pub fn is_ready(&self) -> bool {
        self.shared.fresh().is_ok()
    }

    /// State of the cache and of its watch.
    pub fn health(&self) -> CacheHealth {
        self.shared.health()
    }

    /// The HPAs that are targets ([`settings`](super::settings)), in the order of their targets. As long as no target and no setting
    /// changes, it is the same list.
    ///
    /// A cache that is stale keeps its last list: a fleet does not vanish with the API server.
    pub fn targets(&self) -> Arc<[Arc<FleetTarget>]> {
        self.shared.targets()
    }

    /// The HPAs whose bounds we have moved and that are targets no more: they wait to be [released](crate::KubeHpaApplier::release).
    pub fn abandoned(&self) -> Vec<Target> {
        self.shared.abandoned(false)
    }

    /// Those of them that were targets: seen by this process, or with resting bounds or a history that are ours by the managed fields.
    pub(crate) fn once_targets(&self) -> Vec<Target> {
        self.shared.abandoned(true)
    }

    /// The HPAs with a [stage](crate::stage) of ours that tells nothing any more, since they are no targets, are not promoted by evidence, or began
    /// anew; with their identities.
    pub(crate) fn outdated_stages(&self) -> Vec<(Target, String)> {
        self.shared.outdated_stages()
    }

    /// The HPAs whose bounds we have moved and of which a watch with a [selector](HpaCacheBuilder::label_selector) tells no more: it selects
    /// them no longer, or they were deleted. Known since the start of the process alone, and until the HPA is selected again.
    pub fn departed(&self) -> Vec<Target> {
        self.shared.departed()
    }

    /// Forgets an HPA that has departed.
    pub(crate) fn forget_departed(&self, target: &Target) {
        self.shared.forget_departed(target);
    }

    /// The HPA of this namespace and name; none if there is none.
    ///
    /// # Errors
    /// [`Unread`] if the cache does not know.
    pub fn get(&self, namespace: &str, name: &str) -> Result<Option<CachedHpa>, Unread> {
        Ok(self.shared.get(namespace, name)?.map(CachedHpa))
    }

    /// The latest changes that the HPA of a target itself tells, oldest first ([`history::of_hpa`]). None where it tells of none, or is
    /// not known.
    ///
    /// # Errors
    /// [`InvalidHistory`] if what stands there is no history of ours.
    pub fn history(&self, target: &Target) -> Result<Vec<Change>, InvalidHistory> {
        let hpa = self.shared.get(&target.namespace, &target.hpa).ok().flatten();
        hpa.map_or(Ok(Vec::new()), |hpa| history::of_hpa(&hpa.json(), self.field_manager()))
    }

    /// Whether all HPAs of a namespace are known whose HPAs are.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Other HPAs that scale the workload of a target; none if the API server has not been heard for too long.
    pub(super) fn others_of(&self, target: &Target) -> Option<Vec<Value>> {
        self.shared.others_of(target)
    }

    /// Field manager that we write under.
    pub fn field_manager(&self) -> &str {
        self.shared.manager()
    }

    /// Returns true if everything up to this version has been seen.
    pub(crate) fn has_seen(&self, version: &Version) -> bool {
        self.shared.has_seen(version)
    }
}

/// An HPA as the cache has seen it last.
#[derive(Clone, Debug)]
pub struct CachedHpa(Entry);

impl CachedHpa {
    /// The workload that it scales.
    pub fn target(&self) -> &Target {
        &self.0.known.target
    }

    /// Its settings; none if it is no target.
    pub fn listed(&self) -> Option<&FleetTarget> {
        self.0.known.listed.as_deref()
    }

    /// Its bounds, resting bounds and pods.
    ///
    /// # Errors
    /// [`InvalidHpa`] if its bounds cannot be.
    pub fn state(&self) -> Result<HpaState, InvalidHpa> {
        self.0.state()
    }

    /// Origin of its resting bounds.
    pub fn memory(&self) -> &Memory {
        &self.0.known.memory
    }

    /// Its uid.
    pub fn uid(&self) -> Option<&str> {
        self.0.known.uid()
    }

    /// Its `resourceVersion`.
    pub fn version(&self) -> Option<&str> {
        self.0.version.text()
    }

    /// The object as far as it is kept, in the JSON of the API: enough for [`Seen`](crate::resting::Seen) and for the part of an
    /// [`OwnershipReport`](crate::ownership::OwnershipReport) that the HPA itself tells.
    pub fn json(&self) -> Value {
        self.0.json()
    }
}
