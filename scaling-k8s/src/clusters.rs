//! Several clusters as one: [`Clusters`] sends each target to its own.
//!
//! [`Target::cluster`](scaling_core::Target::cluster) names the cluster; none means the [default](Clusters::with_default). What it is
//! made of is up to the host: a [`KubeHpaApplier`](crate::KubeHpaApplier) for each cluster makes an applier, a
//! [`MetricsApi`](crate::metrics_api::MetricsApi) for each a source, any other applier or source does as well.
//!
//! One cluster that is dead or slow keeps no other from being asked, as long as fewer are so than are asked [at
//! once](ClustersConfig::at_once). It has [a deadline](ClustersConfig) of its own. After some failures in a row it is left alone for a
//! while, which doubles up to a limit; then one round of questions tries. Meanwhile its workloads have errors and nothing is written
//! there: their bounds stay as they are. [`Clusters::health`] tells it.
//!
//! The observations of a tick are handed over together: a tick that asks or tries a dead cluster takes its whole deadline
//! ([`see_within`](ClustersConfig::see_within)), for the others as well. With the usual settings those are two ticks when it dies, and then
//! one each 15 s to 5 min. A host for which that is too long sets a shorter deadline.
//!
//! ```no_run
//! use scaling_core::{Autoscaler, RuleBasedEngine, Target};
//! use scaling_k8s::KubeHpaApplier;
//! use scaling_k8s::clusters::Clusters;
//! use scaling_k8s::metrics_api::MetricsApi;
//!
//! # async fn run(now: scaling_core::chrono::DateTime<scaling_core::chrono::Utc>) -> Result<(), Box<dyn std::error::Error>> {
//! let clients = Clusters::read("/etc/kube/config", ["eu-1", "us-1"]).await?.with_default("eu-1")?;
//! let autoscaler = Autoscaler::builder()
//!     .source(clients.each(|_, client| MetricsApi::new(client.clone())))
//!     .engine(RuleBasedEngine::default())
//!     .applier(clients.each(|_, client| KubeHpaApplier::new(client.clone())))
//!     .build();
//! let target = Target::deployment("shop", "web").in_cluster("us-1");
//! println!("{}", autoscaler.tick(&target, now).await?.outcome);
//! # Ok(())
//! # }
//! ```

mod acting;
mod breaker;
mod connect;
mod health;
mod seeing;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use scaling_core::{InvalidSetting, Target};
use tokio::time::Instant;

use breaker::Breaker;
pub use connect::{InvalidClusters, ServiceAccount, contexts};
pub use health::{ClusterHealth, Isolated, PartHealth};

/// Limits and times of [`Clusters`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ClustersConfig {
    /// Clusters that are asked for observations at once. Default 16.
    pub at_once: usize,
    /// Time that a cluster has for the observations of one tick, from when it is asked. Default 13 s: a source with its usual 12 s is
    /// done before.
    pub see_within: Duration,
    /// Time that a cluster has to read or change one HPA. Default 30 s.
    pub act_within: Duration,
    /// Failures in a row after which a cluster is left alone. Default 2.
    pub failures: u32,
    /// Time for which it is left alone first; each time that it fails again, twice as long. Default 15 s.
    pub first_pause: Duration,
    /// Longest time for which it is left alone. Default 5 min.
    pub longest_pause: Duration,
}

impl Default for ClustersConfig {
    fn default() -> Self {
        Self {
            at_once: 16,
            see_within: Duration::from_secs(13),
            act_within: Duration::from_secs(30),
            failures: 2,
            first_pause: Duration::from_secs(15),
            longest_pause: Duration::from_secs(300),
        }
    }
}

impl ClustersConfig {
    /// Sets how many clusters are asked at once.
    #[must_use]
    pub fn with_at_once(mut self, clusters: usize) -> Self {
        self.at_once = clusters;
        self
    }

    /// Sets the deadlines: for the observations of a tick, and for one HPA.
    #[must_use]
    pub fn with_deadlines(mut self, see: Duration, act: Duration) -> Self {
        (self.see_within, self.act_within) = (see, act);
        self
    }

    /// Sets when and for how long a cluster is left alone.
    #[must_use]
    pub fn with_pauses(mut self, failures: u32, first: Duration, longest: Duration) -> Self {
        (self.failures, self.first_pause, self.longest_pause) = (failures, first, longest);
        self
    }

    fn check(&self) -> Result<(), InvalidSetting> {
        let time = |field, value: Duration| {
            let (value, must) = (value.as_secs_f64(), "0.001 to 86400 s");
            if (0.001..=86_400.0).contains(&value) { Ok(()) } else { Err(InvalidSetting { field, value, must }) }
        };
        let count = |field, value: f64| {
            if value >= 1.0 { Ok(()) } else { Err(InvalidSetting { field, value, must: "at least 1" }) }
        };
        count("at_once", self.at_once as f64)?;
        count("failures", self.failures.into())?;
        time("see_within", self.see_within)?;
        time("act_within", self.act_within)?;
        time("first_pause", self.first_pause)?;
        time("longest_pause", self.longest_pause)
    }
}

/// A target names a cluster that there is not, or none where there is no default.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}; there are: {}", self.named(), known.join(", "))]
#[non_exhaustive]
pub struct UnknownCluster {
    /// The cluster that is named.
    pub cluster: Option<String>,
    /// The clusters that there are.
    pub known: Vec<String>,
}

impl UnknownCluster {
    fn named(&self) -> String {
        match &self.cluster {
            Some(cluster) => format!("there is no cluster {cluster:?}"),
            None => "no cluster is named, and none is the default".to_owned(),
        }
    }
}

/// A part for each cluster, by name.
///
/// With parts that are sources it is a [`MetricsSource`](scaling_core::MetricsSource), with parts that are appliers an
/// [`HpaApplier`](scaling_core::HpaApplier). See [the module](self).
pub struct Clusters<P> {
    parts: BTreeMap<String, Cluster<P>>,
    default: Option<String>,
    config: ClustersConfig,
    /// What the time of appliers is counted from: they are not told what time it is.
    begun: Instant,
}

struct Cluster<P> {
    part: P,
    seeing: Mutex<Breaker>,
    acting: Mutex<Breaker>,
}

impl<P> Cluster<P> {
    fn new(part: P) -> Self {
        Self { part, seeing: Mutex::default(), acting: Mutex::default() }
    }
}

impl<P> fmt::Debug for Clusters<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A part may hold credentials.
        f.debug_struct("Clusters")
            .field("names", &self.names().collect::<Vec<_>>())
            .field("default", &self.default)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl<P> Clusters<P> {
    /// Parts by the names of their clusters. A single one is the default.
    ///
    /// # Errors
    /// [`InvalidClusters`] without any, or if two have one name.
    pub fn new<N: Into<String>>(parts: impl IntoIterator<Item = (N, P)>) -> Result<Self, InvalidClusters> {
        let mut known = BTreeMap::new();
        for (name, part) in parts {
            let name = name.into();
            if known.insert(name.clone(), Cluster::new(part)).is_some() {
                return Err(InvalidClusters::Twice(name));
            }
        }
        let default = match known.len() {
            0 => return Err(InvalidClusters::Empty),
            1 => known.keys().next().cloned(),
            _ => None,
        };
        Ok(Self { parts: known, default, config: ClustersConfig::default(), begun: Instant::now() })
    }

    /// Sets the cluster of targets that name none.
    ///
    /// # Errors
    /// [`UnknownCluster`] if there is no such cluster.
    pub fn with_default(mut self, cluster: impl Into<String>) -> Result<Self, UnknownCluster> {
        let cluster = cluster.into();
        if !self.parts.contains_key(&cluster) {
            return Err(self.unknown(Some(cluster)));
        }
        self.default = Some(cluster);
        Ok(self)
    }

    /// Sets limits and times.
    ///
    /// # Errors
    /// [`InvalidSetting`] if one cannot be.
    pub fn with_config(mut self, config: ClustersConfig) -> Result<Self, InvalidSetting> {
        config.check()?;
        self.config = config;
        Ok(self)
    }

    /// Makes another part of each, with the same names, default and limits; with a health of its own.
    pub fn each<T>(&self, mut make: impl FnMut(&str, &P) -> T) -> Clusters<T> {
        let parts = self.parts.iter().map(|(name, cluster)| (name.clone(), Cluster::new(make(name, &cluster.part))));
        self.of(parts.collect())
    }

    /// The same, where a part may not come about.
    ///
    /// # Errors
    /// The first error of `make`.
    pub fn try_each<T, E>(&self, mut make: impl FnMut(&str, &P) -> Result<T, E>) -> Result<Clusters<T>, E> {
        let parts =
            self.parts.iter().map(|(name, cluster)| Ok((name.clone(), Cluster::new(make(name, &cluster.part)?))));
        Ok(self.of(parts.collect::<Result<_, E>>()?))
    }

    fn of<T>(&self, parts: BTreeMap<String, Cluster<T>>) -> Clusters<T> {
        Clusters { parts, default: self.default.clone(), config: self.config, begun: Instant::now() }
    }

    /// The names of the clusters, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.keys().map(String::as_str)
    }

    /// The cluster of targets that name none.
    pub fn default_cluster(&self) -> Option<&str> {
        self.default.as_deref()
    }

    /// The part of the cluster that a target names: for what only that part can do, such as a release.
    ///
    /// # Errors
    /// [`UnknownCluster`] if there is no such cluster.
    pub fn part(&self, target: &Target) -> Result<&P, UnknownCluster> {
        self.cluster(target).map(|(_, cluster)| &cluster.part)
    }

    fn cluster(&self, target: &Target) -> Result<(&str, &Cluster<P>), UnknownCluster> {
        let name = target.cluster.as_ref().or(self.default.as_ref());
        let known = name.and_then(|name| self.parts.get_key_value(name));
        let (name, cluster) = known.ok_or_else(|| self.unknown(target.cluster.clone()))?;
        Ok((name, cluster))
    }

    fn unknown(&self, cluster: Option<String>) -> UnknownCluster {
        UnknownCluster { cluster, known: self.names().map(str::to_owned).collect() }
    }
}

fn locked(breaker: &Mutex<Breaker>) -> std::sync::MutexGuard<'_, Breaker> {
    breaker.lock().unwrap_or_else(PoisonError::into_inner)
}
