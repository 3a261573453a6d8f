//! The metrics API of the cluster, as the command line says it.

use async_trait::async_trait;
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::{Absence, MetricsSource, Target};
use scaling_k8s::kube::Client;
use scaling_k8s::metrics_api::{MetricsApi, MetricsApiConfig, ScaledKind, WorkloadMetrics};

use super::{Finding, LiveSource, Past, Tried, deadline};
use crate::Failure;
use crate::live::arguments::{LiveArguments, Resource, SourceArguments};
use crate::live::looping::Tell;

/// Makes the source. Nothing is asked yet.
pub(super) async fn source(live: &LiveArguments) -> Result<MetricsApi, Failure> {
    let context = live
        .context
        .as_ref()
        .ok_or_else(|| Failure::input("--metrics-api asks a cluster; say which: --context NAME"))?;
    let client = scaling_k8s::connect(context).await.map_err(Failure::input)?;
    made(client, &live.metrics_api, &live.from)
}

/// Makes the source over a cluster.
pub(in crate::live) fn made(
    client: Client,
    resources: &[Resource],
    from: &SourceArguments,
) -> Result<MetricsApi, Failure> {
    let config = MetricsApiConfig::default().with_deadline(deadline(from)?);
    let mut metrics = WorkloadMetrics::default();
    if !resources.contains(&Resource::Memory) {
        metrics = metrics.without_memory();
    }
    if !resources.contains(&Resource::Cpu) {
        metrics = metrics.without_cpu();
    }
    let source = MetricsApi::new(client).with_config(config).map_err(Failure::input)?;
    let mut source = source.with_default(metrics).map_err(Failure::input)?;
    if let Some(rollouts) = ScaledKind::new("argoproj.io", "v1alpha1", "rollouts") {
        source = source.with_kind("Rollout", rollouts);
    }
    Ok(source)
}

#[async_trait]
impl LiveSource for MetricsApi {
    async fn tried(&self, targets: &[Target], now: DateTime<Utc>) -> Vec<Tried> {
        let mut tried = Vec::new();
        for (target, seen) in targets.iter().zip(self.observe_all(targets, now).await) {
            let mut tell = |works, said| tried.push(Tried { target: target.clone(), works, said });
            let seen = match seen {
                Ok(seen) => seen,
                Err(error) => {
                    tell(false, error.to_string());
                    continue;
                }
            };
            for kind in seen.declared().iter() {
                let signal = seen.current.signal(kind);
                match (signal.value(), signal.absence()) {
                    (Some(value), _) => tell(true, format!("{kind}: works: {value:.1}")),
                    (None, Some(Absence::NoRequest)) => {
                        tell(false, format!("{kind}: a pod states no request; leave it out: --metrics-api=cpu"));
                    }
                    (None, Some(absence)) => tell(false, format!("{kind}: absent: {absence}")),
                    (None, None) => {}
                }
            }
            if let Some(ready) = seen.current.current_pod_count {
                tell(true, format!("ready pods: {ready}"));
            }
            if let Some(times) = self.start_up(target) {
                let took = times.from_creation.as_secs_f64();
                tell(true, format!("pods take {took:.0} s to start, measured over {} of them", times.starts));
            }
        }
        tried
    }

    async fn fetch_past(&self, _: &[Target], _: u64, _: DateTime<Utc>, tell: &Tell) -> Past {
        tell("note: the metrics API tells the present alone; what is learnt begins now, and --state keeps it");
        Past::default()
    }

    fn findings(&self) -> Vec<Finding> {
        let finding = |fault: scaling_k8s::metrics_api::ApiFault| Finding {
            about: format!("question {}", fault.asked),
            ended: "is answered again",
            said: fault.to_string(),
        };
        self.faults().into_iter().map(finding).collect()
    }
}
