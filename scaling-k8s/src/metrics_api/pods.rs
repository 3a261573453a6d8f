//! [`PodView`]: a pod as far as it is looked at.

use std::collections::BTreeMap;

use scaling_core::WorkloadFacts;
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::hpa::{ConditionStatus, Container, Pod, PodPhase, Ready, Resources};
use serde::Deserialize;
use serde_json::Value;

use super::answer::{amounts, or_default};

/// A pod of a workload.
#[derive(Clone, Debug)]
pub(super) struct PodView {
    /// The part that the HPA's controller looks at.
    pub(super) pod: Pod,
    pub(super) namespace: String,
    /// Unique among all pods ever; the name where a server gives none.
    pub(super) uid: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) created: Option<DateTime<Utc>>,
    pub(super) scheduled: Option<DateTime<Utc>>,
    /// Restarts of all containers.
    pub(super) restarts: u64,
    limits: Vec<Resources>,
}

impl PodView {
    /// True while it takes part in what the workload does.
    pub(super) fn is_current(&self) -> bool {
        !self.pod.deleting && !matches!(self.pod.phase, PodPhase::Failed | PodPhase::Succeeded)
    }

    /// Instant since which it serves, if it does.
    pub(super) fn ready_since(&self) -> Option<DateTime<Utc>> {
        let ready = self.pod.ready.filter(|_| self.serves())?;
        Some(ready.since.or(self.created).unwrap_or(DateTime::<Utc>::MIN_UTC))
    }

    pub(super) fn serves(&self) -> bool {
        self.is_current() && self.pod.is_running_and_ready()
    }

    /// The sum of the limits; none if a container has none, and so no bound.
    fn limit(&self, resource: &str) -> Option<i64> {
        let sum = |sum: i64, limits: &Resources| Some(sum.saturating_add(limits.get(resource)?));
        self.limits.iter().try_fold(0, sum).filter(|_| !self.limits.is_empty())
    }
}

/// What the newest pod requests and may use, in place of what is stated: those to come will be like it.
pub(super) fn facts(pods: &[&PodView], mut facts: WorkloadFacts) -> WorkloadFacts {
    let newest =
        pods.iter().filter(|pod| pod.is_current()).max_by(|a, b| (a.created, &a.uid).cmp(&(b.created, &b.uid)));
    let Some(newest) = newest else { return facts };
    let whole = |milli: i64, divisor: i64| u64::try_from(milli / divisor).ok().filter(|amount| *amount > 0);
    let request =
        |resource, divisor| newest.pod.request(resource, None, true).ok().and_then(|milli| whole(milli, divisor));
    let limit = |resource, divisor| newest.limit(resource).and_then(|milli| whole(milli, divisor));
    facts.cpu_request_millicores = request("cpu", 1).or(facts.cpu_request_millicores);
    facts.memory_request_bytes = request("memory", 1000).or(facts.memory_request_bytes);
    facts.cpu_limit_millicores = limit("cpu", 1).or(facts.cpu_limit_millicores);
    facts.memory_limit_bytes = limit("memory", 1000).or(facts.memory_limit_bytes);
    facts
}

/// Each pod once; of several of one name the one that was created last. In the order of names.
pub(super) fn distinct(pods: Vec<PodView>, namespace: &str) -> Vec<PodView> {
    let mut by_name: BTreeMap<String, PodView> = BTreeMap::new();
    for pod in pods.into_iter().filter(|pod| pod.namespace == namespace) {
        let newer = by_name.get(&pod.pod.name).is_none_or(|known| known.created <= pod.created);
        if newer {
            by_name.insert(pod.pod.name.clone(), pod);
        }
    }
    by_name.into_values().collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawPod {
    metadata: RawMeta,
    #[serde(default, deserialize_with = "or_default")]
    spec: RawSpec,
    #[serde(default, deserialize_with = "or_default")]
    status: RawStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMeta {
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    namespace: String,
    #[serde(default, deserialize_with = "or_default")]
    uid: String,
    #[serde(default, deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
    creation_timestamp: Option<DateTime<Utc>>,
    deletion_timestamp: Option<DateTime<Utc>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSpec {
    #[serde(default, deserialize_with = "or_default")]
    containers: Vec<RawContainer>,
    #[serde(default, deserialize_with = "or_default")]
    init_containers: Vec<RawContainer>,
    resources: Option<RawResources>,
    #[serde(default, deserialize_with = "or_default")]
    overhead: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawContainer {
    #[serde(default, deserialize_with = "or_default")]
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    resources: RawResources,
    restart_policy: Option<String>,
}

#[derive(Default, Deserialize)]
struct RawResources {
    #[serde(default, deserialize_with = "or_default")]
    requests: BTreeMap<String, Value>,
    #[serde(default, deserialize_with = "or_default")]
    limits: BTreeMap<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawStatus {
    #[serde(default, deserialize_with = "or_default")]
    phase: String,
    start_time: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "or_default")]
    conditions: Vec<RawCondition>,
    #[serde(default, deserialize_with = "or_default")]
    container_statuses: Vec<RawContainerStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    last_transition_time: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawContainerStatus {
    #[serde(default, deserialize_with = "or_default")]
    restart_count: u64,
}

impl From<RawPod> for PodView {
    fn from(raw: RawPod) -> Self {
        let RawPod { metadata, spec, status } = raw;
        let condition = |kind: &str| status.conditions.iter().find(|condition| condition.kind == kind);
        let ready = condition("Ready").map(|ready| Ready {
            status: match ready.status.as_str() {
                "True" => ConditionStatus::True,
                "False" => ConditionStatus::False,
                _ => ConditionStatus::Unknown,
            },
            since: ready.last_transition_time,
        });
        let scheduled = condition("PodScheduled").filter(|scheduled| scheduled.status == "True");
        let scheduled = scheduled.and_then(|scheduled| scheduled.last_transition_time);
        let phase = match status.phase.as_str() {
            "Running" => PodPhase::Running,
            "Succeeded" => PodPhase::Succeeded,
            "Failed" => PodPhase::Failed,
            // Unknown: the node has not reported. It has no containers that are known to run.
            _ => PodPhase::Pending,
        };
        let lasting = |container: &&RawContainer| container.restart_policy.as_deref() == Some("Always");
        let running = spec.containers.iter().chain(spec.init_containers.iter().filter(lasting));
        let mut limits: Vec<Resources> = running.map(|container| amounts(container.resources.limits.clone())).collect();
        if let Some(whole) = spec.resources.as_ref().filter(|whole| !whole.limits.is_empty()) {
            limits = vec![amounts(whole.limits.clone())];
        }
        let container = |raw: RawContainer| Container {
            name: raw.name,
            requests: amounts(raw.resources.requests),
            restart_always: raw.restart_policy.as_deref() == Some("Always"),
        };
        let uid = if metadata.uid.is_empty() { metadata.name.clone() } else { metadata.uid };
        Self {
            pod: Pod {
                name: metadata.name,
                phase,
                deleting: metadata.deletion_timestamp.is_some(),
                ready,
                started: status.start_time,
                containers: spec.containers.into_iter().map(container).collect(),
                init_containers: spec.init_containers.into_iter().map(container).collect(),
                requests: spec
                    .resources
                    .map(|whole| amounts(whole.requests))
                    .filter(|own| own.names().next().is_some()),
                overhead: amounts(spec.overhead),
            },
            namespace: metadata.namespace,
            uid,
            labels: metadata.labels,
            created: metadata.creation_timestamp,
            scheduled,
            restarts: status.container_statuses.iter().fold(0, |sum, one| sum.saturating_add(one.restart_count)),
            limits,
        }
    }
}
