//! [`Clusters`] as a source.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::{MetricsSource, Observation, SourceError, Target};

use super::{Cluster, Clusters, Isolated, locked};
use crate::fan_out::{until, within};
use crate::metrics_api::{ApiCause, ApiFault};

type Seen = Result<Observation, SourceError>;

/// The time of all clusters together has no end: each has its own.
const NO_END: Duration = Duration::MAX;

fn backend(
    target: &Target,
    transient: bool,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> SourceError {
    SourceError::Backend { target: Box::new(target.clone()), transient, source: source.into() }
}

impl<P: MetricsSource> Clusters<P> {
    /// The answers of one cluster, as many as it was asked for.
    async fn see(&self, name: &str, cluster: &Cluster<P>, targets: &[Target], now: DateTime<Utc>) -> Vec<Seen> {
        let now_ms = now.timestamp_millis();
        let begun = locked(&cluster.seeing).begin(now_ms, &self.config);
        let pass = match begun {
            Ok(pass) => pass,
            Err((failures, why, retry_in)) => {
                let isolated = Isolated { cluster: name.to_owned(), failures, why, retry_in };
                return targets.iter().map(|target| Err(backend(target, true, isolated.clone()))).collect();
            }
        };
        let asked = tokio::time::timeout(self.config.see_within, cluster.part.observe_all(targets, now)).await;
        let (failure, seen) = if let Ok(seen) = asked {
            (failure(&seen), seen)
        } else {
            let why = format!("no answer within {} s", self.config.see_within.as_secs_f64());
            let late = |target| Err(backend(target, true, format!("cluster {name:?}: {why}")));
            (Some(why.clone()), targets.iter().map(late).collect())
        };
        if let Some(why) = &failure {
            tracing::debug!(cluster = name, %why, "a cluster failed");
        }
        let mut seeing = locked(&cluster.seeing);
        seeing.end(pass, failure, now_ms, &self.config);
        if let Some(why) = denial(&seen) {
            seeing.deny(&why);
        }
        drop(seeing);
        seen
    }
}

/// The cause, if nothing at all was answered. What is wrong with one workload or one metric is an answer of the cluster.
fn failure(seen: &[Seen]) -> Option<String> {
    let mut why = None;
    for one in seen {
        match one {
            Err(error @ SourceError::Backend { transient: true, source, .. })
                if source.downcast_ref::<ApiFault>().is_none_or(ApiFault::is_of_cluster) =>
            {
                why = why.or_else(|| Some(error.to_string()));
            }
            _ => return None,
        }
    }
    why
}

/// The words of the server, if it answered nothing but that whoever asks may not.
fn denial(seen: &[Seen]) -> Option<String> {
    let mut why = None;
    for one in seen {
        let Err(SourceError::Backend { source, .. }) = one else { return None };
        let fault = source.downcast_ref::<ApiFault>().filter(|fault| matches!(fault.cause, ApiCause::Forbidden { .. }));
        why = why.or(Some(fault?.to_string()));
    }
    why
}

#[async_trait]
impl<P: MetricsSource> MetricsSource for Clusters<P> {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        let seen = self.observe_all(std::slice::from_ref(target), now).await.pop();
        seen.unwrap_or_else(|| Err(SourceError::NoData { target: Box::new(target.clone()), at: now }))
    }

    async fn observe_all(&self, targets: &[Target], now: DateTime<Utc>) -> Vec<Result<Observation, SourceError>> {
        let mut results: Vec<Option<Seen>> = Vec::with_capacity(targets.len());
        let mut groups: BTreeMap<&str, (&Cluster<P>, Vec<usize>, Vec<Target>)> = BTreeMap::new();
        for (place, target) in targets.iter().enumerate() {
            match self.cluster(target) {
                Ok((name, cluster)) => {
                    let (_, places, group) = groups.entry(name).or_insert_with(|| (cluster, Vec::new(), Vec::new()));
                    places.push(place);
                    group.push(target.clone());
                    results.push(None);
                }
                Err(unknown) => results.push(Some(Err(backend(target, false, unknown)))),
            }
        }
        let asked = groups.iter().map(|(name, (cluster, _, group))| self.see(name, cluster, group, now).boxed());
        let answers = within(until(NO_END), self.config.at_once, asked.collect()).await;
        for ((_, places, _), seen) in groups.values().zip(answers) {
            for (place, seen) in places.iter().zip(seen.into_iter().flatten()) {
                if let Some(result) = results.get_mut(*place) {
                    *result = Some(seen);
                }
            }
        }
        // A part that answers for fewer than it was asked for has no data of the rest.
        let none = |target: &Target| SourceError::NoData { target: Box::new(target.clone()), at: now };
        results.into_iter().zip(targets).map(|(seen, target)| seen.unwrap_or_else(|| Err(none(target)))).collect()
    }
}
