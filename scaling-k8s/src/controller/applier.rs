//! Reading from the watch cache, writing to the API server: [`CachedApplier`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use scaling_core::{Applied, ApplyError, ApplyMode, HpaApplier, HpaPlan, HpaState, Target};
use tokio::time::Instant;

use super::cache::{HpaCache, Version};
use crate::KubeHpaApplier;

/// Time in which the watch tells of a write: milliseconds as a rule.
const SETTLE: Duration = Duration::from_secs(10);

/// An applier that answers [`current`](HpaApplier::current) from an [`HpaCache`], without a request, and writes as [`KubeHpaApplier`] does:
/// that one reads, compares and writes. So a fleet in which nothing changes asks the API server for nothing.
///
/// A host reads what it has written: until the watch has told of a write, `current` answers what was written, and where the answer to a
/// write was lost or the tick was cancelled (law 12), or the watch is late, it asks the API server. A cache that has not heard from
/// the API server for too long tells nothing: that is [`ApplyError::Unapplied`], and the workload is left alone.
///
/// ```no_run
/// use scaling_k8s::KubeHpaApplier;
/// use scaling_k8s::controller::applier::CachedApplier;
/// use scaling_k8s::controller::cache::HpaCache;
///
/// # fn start(client: scaling_k8s::kube::Client) {
/// let cache = HpaCache::builder(client.clone()).start();
/// let applier = CachedApplier::new(cache, KubeHpaApplier::new(client));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct CachedApplier {
    cache: HpaCache,
    applier: KubeHpaApplier,
    settle: Duration,
    /// What is known better than the cache knows it. Shared by the clones; short locks, never held over an await.
    ahead: Arc<Mutex<HashMap<Target, Ahead>>>,
}

/// Knowledge of an HPA that the cache may not have yet.
#[derive(Clone, Debug)]
enum Ahead {
    /// A write may have happened: the API server has to tell.
    Unknown,
    /// The API server said so.
    Known { state: HpaState, version: Version, since: Instant },
}

impl CachedApplier {
    /// Creates an applier that reads from `cache` and writes through `applier`, under the field manager of the cache: both must tell the
    /// same resting bounds.
    pub fn new(cache: HpaCache, applier: KubeHpaApplier) -> Self {
        let mut applier = applier.under(cache.field_manager());
        if cache.is_whole() {
            let known = cache.clone();
            applier = applier.knowing_hpas(move |target| known.others_of(target));
        }
        Self { cache, applier, settle: SETTLE, ahead: Arc::default() }
    }

    /// Sets the time in which the watch must tell of a write; then the API server is asked. Default: 10 s.
    #[must_use]
    pub fn settle(mut self, time: Duration) -> Self {
        self.settle = time;
        self
    }

    /// The cache that it reads from.
    pub fn cache(&self) -> &HpaCache {
        &self.cache
    }

    /// The applier that it writes through, to [release](KubeHpaApplier::release) an HPA for example.
    pub fn writer(&self) -> &KubeHpaApplier {
        &self.applier
    }

    /// Has the next read of a workload ask the API server, and not the cache.
    pub fn doubt(&self, target: &Target) {
        self.ahead().insert(target.clone(), Ahead::Unknown);
    }

    /// Forgets a workload that is gone.
    pub fn forget(&self, target: &Target) {
        self.ahead().remove(target);
    }

    /// What the cache says.
    fn cached(&self, target: &Target) -> Result<HpaState, Box<ApplyError>> {
        let unapplied =
            |transient, source| Box::new(ApplyError::Unapplied { target: target.clone(), transient, source });
        let hpa = self.cache.get(&target.namespace, &target.hpa).map_err(|why| unapplied(true, why.into()))?;
        let Some(hpa) = hpa else { return Err(ApplyError::NotFound { target: target.clone() }.into()) };
        let scaled = hpa.target();
        if scaled.kind != target.kind || scaled.name != target.name {
            let Target { hpa, kind, name, .. } = target;
            let detail = format!("HPA {hpa:?} scales {}/{}, not {kind}/{name}", scaled.kind, scaled.name);
            return Err(ApplyError::Refused { target: target.clone(), detail, denied: false }.into());
        }
        hpa.state().map_err(|why| unapplied(false, why.into()))
    }

    /// Asks the API server, and remembers the answer until the cache has it too.
    async fn ask(&self, target: &Target) -> Result<HpaState, ApplyError> {
        let (state, version) = self.applier.read_now(target).await?;
        self.know(target, state, version);
        Ok(state)
    }

    fn know(&self, target: &Target, state: HpaState, version: Option<String>) {
        let (version, since) = (Version::of(version), Instant::now());
        self.ahead().insert(target.clone(), Ahead::Known { state, version, since });
    }

    fn ahead(&self) -> MutexGuard<'_, HashMap<Target, Ahead>> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl HpaApplier for CachedApplier {
    async fn current(&self, target: &Target) -> Result<HpaState, ApplyError> {
        let ahead = self.ahead().get(target).cloned();
        let cached = self.cached(target).map_err(|error| *error);
        match (ahead, &cached) {
            (None, _) | (Some(_), Err(ApplyError::Unapplied { .. })) => cached,
            (Some(Ahead::Known { version, .. }), _) if self.cache.has_seen(&version) => {
                self.ahead().remove(target);
                // It may have caught up since it was asked.
                self.cached(target).map_err(|error| *error)
            }
            (Some(Ahead::Known { state, since, .. }), _) if since.elapsed() < self.settle => Ok(state),
            (Some(_), _) => {
                let answer = self.ask(target).await;
                if matches!((&answer, &cached), (Err(ApplyError::NotFound { .. }), Err(ApplyError::NotFound { .. }))) {
                    self.ahead().remove(target);
                }
                answer
            }
        }
    }

    async fn apply(&self, plan: &HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError> {
        let target = plan.target();
        if mode != ApplyMode::Apply || plan.resources().is_some() {
            let answer = self.applier.apply(plan, mode).await;
            if matches!(answer, Err(ApplyError::Changed { .. })) {
                self.ahead().insert(target.clone(), Ahead::Unknown);
            }
            return answer;
        }
        // Before it is sent: the tick may be cancelled at any moment.
        let before = self.ahead().insert(target.clone(), Ahead::Unknown);
        let answer = self.applier.send(plan, mode).await;
        match &answer {
            Ok((_, hpa)) => {
                if let Some((state, version)) = self.applier.told(hpa) {
                    self.know(target, state, version);
                }
            }
            // Nothing was written, and nothing was learnt.
            Err(
                ApplyError::Conflict { .. }
                | ApplyError::Owned { .. }
                | ApplyError::Refused { .. }
                | ApplyError::Unapplied { .. },
            ) => {
                match before {
                    Some(before) => self.ahead().insert(target.clone(), before),
                    None => self.ahead().remove(target),
                };
            }
            // Either a write may have happened, or the API server knows something that the cache does not.
            Err(_) => {}
        }
        answer.map(|(applied, _)| applied)
    }
}
