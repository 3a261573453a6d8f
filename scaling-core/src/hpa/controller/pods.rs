//! Pods as the controller sees them: what each requests, and which of them count.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};

use super::calculator::MetricError;
use super::config::ControllerConfig;
use crate::hpa::api::Resources;

/// Where a pod is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PodPhase {
    /// Not all of its containers run yet.
    Pending,
    /// Bound to a node, with at least one container running.
    #[default]
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
}

/// The status of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody can tell.
    Unknown,
}

/// A pod's Ready condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Whether it is ready.
    pub status: ConditionStatus,
    /// Since when; none counts as long ago.
    pub since: Option<DateTime<Utc>>,
}

/// A container, as far as the controller looks at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// What it requests.
    pub requests: Resources,
    /// For an init container: whether it restarts always, as a sidecar does.
    pub restart_always: bool,
}

/// A pod that the scale subresource's selector matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Where it is in its life.
    pub phase: PodPhase,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Its Ready condition, if it has one.
    pub ready: Option<Ready>,
    /// When it was started, if it was.
    pub started: Option<DateTime<Utc>>,
    /// Its containers.
    pub containers: Vec<Container>,
    /// Its init containers, in their order.
    pub init_containers: Vec<Container>,
    /// What the pod as a whole requests, if it says so.
    pub requests: Option<Resources>,
    /// What running it costs beyond its containers.
    pub overhead: Resources,
}

impl Pod {
    /// Whether it counts as ready where readiness alone is asked for.
    pub fn is_running_and_ready(&self) -> bool {
        self.phase == PodPhase::Running && self.ready.is_some_and(|ready| ready.status == ConditionStatus::True)
    }

    /// What it requests of `resource`, in thousandths: what one container requests, if `container` names it, and otherwise what
    /// the whole pod does.
    ///
    /// # Errors
    /// [`MetricError::MissingRequest`] or [`MetricError::ContainerNotFound`].
    #[inline]
    pub fn request(&self, resource: &str, container: Option<&str>, pod_level: bool) -> Result<i64, MetricError> {
        match container {
            Some(container) => self.container_request(resource, container),
            None if pod_level && self.requests.is_some() && self.has_pod_level_requests() => {
                self.pod_level_request(resource)
            }
            None => {
                let mut sum = 0_i64;
                let sidecars = self.init_containers.iter().filter(|container| container.restart_always);
                // Two loops, not one over a chain: this is most of what a sync does.
                for container in &self.containers {
                    sum = sum.saturating_add(self.stated(container.requests.get(resource))?);
                }
                for container in sidecars {
                    sum = sum.saturating_add(self.stated(container.requests.get(resource))?);
                }
                Ok(sum)
            }
        }
    }

    fn container_request(&self, resource: &str, name: &str) -> Result<i64, MetricError> {
        let container = self
            .long_running()
            .find(|container| container.name == name)
            .ok_or_else(|| MetricError::ContainerNotFound { pod: self.name.clone() })?;
        self.stated(container.requests.get(resource))
    }

    #[inline]
    fn stated(&self, request: Option<i64>) -> Result<i64, MetricError> {
        request.ok_or_else(|| MetricError::MissingRequest { pod: self.name.clone() })
    }

    /// Containers that run as long as the pod does.
    fn long_running(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().chain(self.init_containers.iter().filter(|container| container.restart_always))
    }

    fn has_pod_level_requests(&self) -> bool {
        let supported = |name: &str| matches!(name, "cpu" | "memory") || name.starts_with("hugepages-");
        self.requests.iter().flat_map(Resources::names).any(supported)
    }

    /// What the scheduler would reserve: the pod's own request or, for a resource that it does not state, the larger of what runs
    /// in the end and of what runs at any moment of initialisation.
    fn pod_level_request(&self, resource: &str) -> Result<i64, MetricError> {
        let supported = matches!(resource, "cpu" | "memory") || resource.starts_with("hugepages-");
        let overhead = self.overhead.get(resource);
        let own = self.requests.as_ref().and_then(|requests| requests.get(resource)).filter(|_| supported);
        let reserved = own.or_else(|| self.reserved(resource));
        match (reserved, overhead) {
            (None, None) => self.stated(None),
            (reserved, overhead) => Ok(reserved.unwrap_or(0).saturating_add(overhead.unwrap_or(0))),
        }
    }

    fn reserved(&self, resource: &str) -> Option<i64> {
        let request = |container: &Container| container.requests.get(resource);
        let stated = self.containers.iter().chain(&self.init_containers).any(|container| request(container).is_some());
        let lasting = self.long_running().filter_map(request).fold(0_i64, i64::saturating_add);
        let (mut sidecars, mut peak) = (0_i64, 0_i64);
        for container in &self.init_containers {
            let own = request(container).unwrap_or(0);
            peak = peak.max(own.saturating_add(sidecars));
            if container.restart_always {
                sidecars = sidecars.saturating_add(own);
            }
        }
        stated.then_some(lasting.max(peak))
    }
}

/// When a sample was taken, and over how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleTime {
    /// Its end.
    pub at: DateTime<Utc>,
    /// Its length in seconds.
    pub window_s: i64,
}

/// What becomes of a pod when a metric is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodClass {
    /// It counts.
    Ready,
    /// It cannot serve yet, or its sample says nothing yet.
    Unready,
    /// It has no sample.
    Missing,
    /// It is on its way out.
    Ignored,
}

/// The class of one pod: the first rule that applies. `of_cpu` says whether the metric is of CPU, whose samples are useless
/// while a pod starts.
pub fn classify(
    pod: &Pod,
    sample: Option<SampleTime>,
    of_cpu: bool,
    config: &ControllerConfig,
    now: DateTime<Utc>,
) -> PodClass {
    Classifier::new(of_cpu, config, now).class(pod, sample)
}

/// Classifies the pods of one sync.
#[derive(Clone, Copy)]
pub(super) struct Classifier<'a> {
    of_cpu: bool,
    config: &'a ControllerConfig,
    /// Pods started later are young; none if all are.
    young_after: Option<DateTime<Utc>>,
}

impl<'a> Classifier<'a> {
    pub(super) fn new(of_cpu: bool, config: &'a ControllerConfig, now: DateTime<Utc>) -> Self {
        let period = TimeDelta::from_std(config.cpu_initialization_period).ok();
        Self { of_cpu, config, young_after: period.and_then(|period| now.checked_sub_signed(period)) }
    }

    #[inline]
    pub(super) fn class(&self, pod: &Pod, sample: Option<SampleTime>) -> PodClass {
        let succeeded = pod.phase == PodPhase::Succeeded && self.config.release.ignore_succeeded_pods;
        if pod.deleting || pod.phase == PodPhase::Failed || succeeded {
            return PodClass::Ignored;
        }
        if pod.phase == PodPhase::Pending {
            return PodClass::Unready;
        }
        match sample {
            None => PodClass::Missing,
            Some(sample) if self.of_cpu && !self.is_usable(pod, sample) => PodClass::Unready,
            Some(_) => PodClass::Ready,
        }
    }

    /// Whether a CPU sample speaks of a pod at work.
    fn is_usable(&self, pod: &Pod, sample: SampleTime) -> bool {
        let (Some(ready), Some(started)) = (pod.ready, pod.started) else { return false };
        let since = || ready.since.unwrap_or(DateTime::<Utc>::MIN_UTC);
        let is_false = ready.status == ConditionStatus::False;
        if self.young_after.is_none_or(|young_after| started > young_after) {
            // Start-up burns CPU that says nothing of load.
            !is_false && sample.at >= later(since(), TimeDelta::try_seconds(sample.window_s))
        } else {
            // Older: unready only if it has never been ready.
            let settled = || later(started, TimeDelta::from_std(self.config.initial_readiness_delay).ok());
            !(is_false && settled() > since())
        }
    }
}

fn later(at: DateTime<Utc>, by: Option<TimeDelta>) -> DateTime<Utc> {
    by.and_then(|by| at.checked_add_signed(by)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// The classes of some pods, by name; sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodGroups {
    /// How many count.
    pub ready: usize,
    /// Those that cannot serve yet.
    pub unready: Vec<String>,
    /// Those without a sample.
    pub missing: Vec<String>,
    /// Those on their way out.
    pub ignored: Vec<String>,
}

impl PodGroups {
    /// Classifies pods by the samples of one metric of `resource` (empty for a metric that is no resource).
    pub fn of(
        pods: &[Pod],
        samples: &HashMap<String, SampleTime>,
        resource: &str,
        config: &ControllerConfig,
        now: DateTime<Utc>,
    ) -> Self {
        let mut groups = Self::default();
        for pod in pods {
            let sample = samples.get(&pod.name).copied();
            match classify(pod, sample, resource == "cpu", config, now) {
                PodClass::Ready => groups.ready += 1,
                PodClass::Unready => groups.unready.push(pod.name.clone()),
                PodClass::Missing => groups.missing.push(pod.name.clone()),
                PodClass::Ignored => groups.ignored.push(pod.name.clone()),
            }
        }
        for names in [&mut groups.unready, &mut groups.missing, &mut groups.ignored] {
            names.sort();
        }
        groups
    }
}

/// What each pod requests of `resource`, in thousandths, by name.
///
/// # Errors
/// [`MetricError`] if a single one does not say: utilization then means nothing.
pub fn requests(
    pods: &[Pod],
    resource: &str,
    container: Option<&str>,
    pod_level: bool,
) -> Result<BTreeMap<String, i64>, MetricError> {
    pods.iter().map(|pod| Ok((pod.name.clone(), pod.request(resource, container, pod_level)?))).collect()
}
