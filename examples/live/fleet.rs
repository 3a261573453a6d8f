//! Metrics for a fleet whose workloads a cluster tells: [`FleetMetrics`].

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::live::Ticked;
use scaling_core::source::PastSource;
use scaling_core::{MetricsSource, Observation, ScalingMetrics, SourceError, Target};
use scaling_k8s::kube::Client;

use super::arguments::{OriginArguments, Resource, SourceArguments};
use super::source::{self, LiveSource, metrics_api};
use super::telling::Telling;
use crate::Failure;

/// Metrics of whichever workload is asked for. Clones are one and the same.
///
/// Of a cloud, the file says what is asked for each workload; one that is not there is unknown, and left alone. A workload is found
/// by its namespace, kind and name: which HPA scales it, the cluster says.
#[derive(Clone)]
pub struct FleetMetrics {
    source: Arc<dyn LiveSource>,
    /// The workloads of a file; none where the source knows any.
    known: Option<Arc<HashMap<Key, Target>>>,
}

/// Namespace, kind and name.
type Key = (String, String, String);

impl std::fmt::Debug for FleetMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = self.known.as_ref().map(|known| known.len());
        f.debug_struct("FleetMetrics").field("known", &known).finish_non_exhaustive()
    }
}

impl FleetMetrics {
    /// Makes the source of a server that is named, whose targets are ticked in so many batches of an interval. Nothing is asked yet.
    ///
    /// # Errors
    /// [`Failure::Input`] with what is missing or cannot be.
    pub async fn of_server(origin: &OriginArguments, batches: u32) -> Result<Self, Failure> {
        origin.validate(false)?;
        let from = SourceArguments { origin: origin.clone(), batches, ..SourceArguments::default() };
        Ok(Self::over(source::made(&from).await?))
    }

    /// Makes the source of the metrics API of the cluster that `client` talks to. Nothing is asked yet.
    ///
    /// # Errors
    /// [`Failure::Input`] with what cannot be.
    pub fn of_cluster(
        client: Client,
        resources: &[Resource],
        origin: &OriginArguments,
        batches: u32,
    ) -> Result<Self, Failure> {
        origin.validate(true)?;
        let from = SourceArguments { origin: origin.clone(), batches, ..SourceArguments::default() };
        Ok(Self::over(Arc::new(metrics_api::made(client, resources, &from)?)))
    }

    fn over(source: Arc<dyn LiveSource>) -> Self {
        let by_key = |known: Vec<Target>| known.into_iter().map(|target| (key(&target), target)).collect();
        let known = source.known().map(|known| Arc::new(by_key(known)));
        Self { source, known }
    }

    /// The past of its workloads; none if the source has none that it could be asked for.
    pub fn past(&self) -> Option<FleetPast> {
        self.source.past().is_some().then(|| FleetPast(self.clone()))
    }

    /// Tells what is wrong with the answers, when it begins and when it ends.
    pub fn tell(&self, tick: &Ticked, telling: &mut Telling) {
        // Otherwise it is of an earlier tick.
        if tick.answered {
            telling.asked(tick.at, self.source.findings());
        }
    }

    /// The name under which the source knows a workload.
    fn known_as<'a>(&'a self, target: &'a Target) -> &'a Target {
        self.known.as_ref().and_then(|known| known.get(&key(target))).unwrap_or(target)
    }
}

/// The past of whichever workload is asked for.
#[derive(Clone, Debug)]
pub struct FleetPast(FleetMetrics);

#[async_trait]
impl PastSource for FleetPast {
    async fn past(
        &self,
        target: &Target,
        since: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Vec<ScalingMetrics>, SourceError> {
        match self.0.source.past() {
            Some(source) => source.past(self.0.known_as(target), since, until).await,
            None => Ok(Vec::new()),
        }
    }
}

fn key(target: &Target) -> Key {
    (target.namespace.clone(), target.kind.clone(), target.name.clone())
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl MetricsSource for FleetMetrics {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        let mut seen = self.source.observe(self.known_as(target), now).await?;
        seen.target = Arc::new(target.clone());
        Ok(seen)
    }

    async fn observe_all(&self, targets: &[Target], now: DateTime<Utc>) -> Vec<Result<Observation, SourceError>> {
        if self.known.is_none() {
            return self.source.observe_all(targets, now).await;
        }
        let known: Vec<Target> = targets.iter().map(|target| self.known_as(target).clone()).collect();
        let seen = self.source.observe_all(&known, now).await;
        let named = |(target, seen): (&Target, Result<Observation, SourceError>)| {
            seen.map(|seen| Observation { target: Arc::new(target.clone()), ..seen })
        };
        targets.iter().zip(seen).map(named).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::looping::Tell;
    use super::super::source::{Finding, Past, Tried};
    use super::*;

    /// A source with a file of one workload.
    #[derive(Debug)]
    struct One(Target);

    #[async_trait]
    impl MetricsSource for One {
        async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
            if *target != self.0 {
                return Err(SourceError::UnknownTarget { target: Box::new(target.clone()) });
            }
            Ok(Observation::new(target.clone(), ScalingMetrics::new(now, 3)))
        }
    }

    #[async_trait]
    impl LiveSource for One {
        async fn tried(&self, _: &[Target], _: DateTime<Utc>) -> Vec<Tried> {
            Vec::new()
        }

        async fn fetch_past(&self, _: &[Target], _: u64, _: DateTime<Utc>, _: &Tell) -> Past {
            Past::default()
        }

        fn findings(&self) -> Vec<Finding> {
            Vec::new()
        }

        fn known(&self) -> Option<Vec<Target>> {
            Some(vec![self.0.clone()])
        }
    }

    #[test]
    fn a_workload_is_found_whichever_hpa_scales_it_and_another_is_unknown() {
        let metrics = FleetMetrics::over(Arc::new(One(Target::deployment("shop", "web"))));
        let (now, scaled) = (DateTime::UNIX_EPOCH, Target::deployment("shop", "web").with_hpa("web-autoscaler"));
        let other = Target::deployment("shop", "web").of_kind("StatefulSet");
        let (one, all) = futures::executor::block_on(async {
            (metrics.observe(&scaled, now).await, metrics.observe_all(&[scaled.clone(), other.clone()], now).await)
        });
        assert_eq!(*one.unwrap().target, scaled, "under the name that it was asked for by");
        assert_eq!(*all[0].as_ref().unwrap().target, scaled);
        assert!(matches!(&all[1], Err(SourceError::UnknownTarget { target }) if **target == other));
    }
}
