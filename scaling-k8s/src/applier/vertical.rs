//! [`VerticalApplier`]: bounds and requests on one path.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use scaling_core::{Applied, ApplyError, ApplyMode, HpaApplier, HpaPlan, HpaState, Target};

use super::resources::{PodUsage, Rehearsals, ResizeApplier};

/// Carries out whole plans: the bounds by one applier, what pods request by a [`ResizeApplier`]. With it an
/// [`Autoscaler`](scaling_core::Autoscaler) changes both, through the same guards and into the same records.
///
/// 1. The change of requests is checked against the cluster and rehearsed: use, rules of the namespace, owners, the effect on the HPA.
/// 2. The bounds are written.
/// 3. The requests are written.
///
/// A change of requests that is refused does not hold the bounds back, since a floor may be due: they are written, and the error is
/// [`ApplyError::BoundsAlone`], with the reason. If the bounds fail, no request is changed. [`ApplyMode::Plan`] asks nobody.
///
/// Present use is what `usage` tells, the highest over pods and time; what it does not know is not lowered. With
/// [`MetricsApi`](crate::metrics_api::MetricsApi) as the source of the autoscaler, the same one tells the use of the same tick.
///
/// ```no_run
/// use std::sync::Arc;
/// use scaling_core::{ApplyMode, Autoscaler, RuleBasedEngine};
/// use scaling_k8s::metrics_api::MetricsApi;
/// use scaling_k8s::{KubeHpaApplier, ResizeApplier, VerticalApplier};
///
/// # async fn build() -> Result<Autoscaler, scaling_k8s::ConnectError> {
/// let client = scaling_k8s::connect("staging").await?;
/// let metrics = Arc::new(MetricsApi::new(client.clone()));
/// let (bounds, requests) = (KubeHpaApplier::new(client.clone()), ResizeApplier::new(client));
/// let autoscaler = Autoscaler::builder()
///     .source(metrics.clone())
///     .engine(RuleBasedEngine::default())
///     .applier(VerticalApplier::new(bounds, requests, metrics, "app"))
///     .mode(ApplyMode::ServerDryRun)
///     .build();
/// # Ok(autoscaler)
/// # }
/// ```
pub struct VerticalApplier<A> {
    bounds: A,
    requests: ResizeApplier,
    usage: Arc<dyn PodUsage>,
    container: String,
    containers: HashMap<Target, String>,
}

impl<A: std::fmt::Debug> std::fmt::Debug for VerticalApplier<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerticalApplier")
            .field("bounds", &self.bounds)
            .field("requests", &self.requests)
            .field("container", &self.container)
            .finish_non_exhaustive()
    }
}

impl<A> VerticalApplier<A> {
    /// Creates an applier that resizes the container of this name. It is never guessed: the first is as often a sidecar as not.
    pub fn new(
        bounds: A,
        requests: ResizeApplier,
        usage: impl PodUsage + 'static,
        container: impl Into<String>,
    ) -> Self {
        let (usage, container) = (Arc::new(usage), container.into());
        Self { bounds, requests, usage, container, containers: HashMap::new() }
    }

    /// Sets the container that is resized of one workload.
    #[must_use]
    pub fn with_container(mut self, target: Target, container: impl Into<String>) -> Self {
        self.containers.insert(target, container.into());
        self
    }

    fn container(&self, target: &Target) -> &str {
        self.containers.get(target).unwrap_or(&self.container)
    }
}

#[async_trait]
impl<A: HpaApplier> HpaApplier for VerticalApplier<A> {
    async fn current(&self, target: &Target) -> Result<HpaState, ApplyError> {
        let mut state = self.bounds.current(target).await?;
        state.resizes_pods = true;
        Ok(state)
    }

    async fn apply(&self, plan: &HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError> {
        if plan.resources().is_none() {
            return self.bounds.apply(plan, mode).await;
        }
        if mode == ApplyMode::Plan {
            return Ok(Applied { mode, changed: !plan.is_empty() });
        }
        let (target, bounds_alone) = (plan.target(), plan.bounds_alone());
        let container = self.container(target);
        let used = self.usage.in_use(target, container);
        let mut rehearsals = Rehearsals::default();
        let dry = ApplyMode::ServerDryRun;
        let rehearsed = self.requests.carry_out(plan, container, &used, dry, &mut rehearsals).await;
        let bounds = self.bounds.apply(&bounds_alone, mode).await?;
        let requests = match rehearsed {
            Ok(rehearsed) if mode == ApplyMode::Apply && rehearsed.changed => {
                self.requests.carry_out(plan, container, &used, mode, &mut rehearsals).await
            }
            rehearsed => rehearsed,
        };
        match requests {
            Ok(requests) => Ok(Applied { mode, changed: bounds.changed || requests.changed }),
            // Law 12: a part of the plan has happened.
            Err(source) if mode == ApplyMode::Apply && !bounds_alone.is_empty() => {
                let (target, bounds, source) = (target.clone(), plan.new_bounds(), Box::new(source));
                Err(ApplyError::BoundsAlone { target, bounds, source })
            }
            Err(error) => Err(error),
        }
    }
}
