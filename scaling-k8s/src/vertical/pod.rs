//! Requests and limits of a pod, as the API has them.

use std::fmt;

use scaling_core::hpa::{Quantity, Resources};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[cfg(feature = "client")]
use super::violation::shown;

/// Containers of one pod that are read, of each kind.
const MOST_CONTAINERS: usize = 1000;

/// Amounts of a container or of a pod, in thousandths: millicores of `cpu`, thousandths of a byte of `memory`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Requests. One that is left out is completed by the limit, as the API server does.
    pub requests: Resources,
    /// Limits.
    pub limits: Resources,
}

/// Part that a container plays in a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Runs for as long as the pod.
    App,
    /// Init container that goes on running.
    Sidecar,
    /// Runs before the others and ends.
    Init,
}

/// One container with its sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSizes {
    /// Name of the container.
    pub name: String,
    /// Part that it plays.
    pub role: Role,
    /// Its requests and limits.
    pub sizes: Sizes,
}

/// Requests and limits of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSizes {
    containers: Vec<ContainerSizes>,
    /// Those of the pod as a whole, where they are set.
    whole: Option<Sizes>,
    pub(super) priority_class: Option<String>,
    pub(super) has_deadline: bool,
}

/// Quality of service of a pod: who is evicted first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum QosClass {
    /// Each container has limits of CPU and memory, and requests as much.
    Guaranteed,
    /// Something is requested or limited.
    Burstable,
    /// Nothing is.
    BestEffort,
}

impl fmt::Display for QosClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        })
    }
}

/// An amount that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {found} is not an amount of {resource}")]
pub struct InvalidSize {
    /// Place in the pod: `containers[app].resources.requests`.
    pub place: String,
    /// The resource.
    pub resource: String,
    /// What stands there.
    pub found: String,
}

impl PodSizes {
    /// Reads the spec of a pod, or that of a pod template.
    ///
    /// # Errors
    /// [`InvalidSize`] if an amount is no quantity, or negative.
    pub fn of(pod: &Value) -> Result<Self, InvalidSize> {
        let list = |field: &str| pod.get(field).and_then(Value::as_array).into_iter().flatten().take(MOST_CONTAINERS);
        let mut containers = Vec::new();
        for (field, is_init) in [("containers", false), ("initContainers", true)] {
            for container in list(field) {
                let name = container.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
                let goes_on = container.get("restartPolicy").and_then(Value::as_str) == Some("Always");
                let role = match (is_init, goes_on) {
                    (false, _) => Role::App,
                    (true, true) => Role::Sidecar,
                    (true, false) => Role::Init,
                };
                let sizes = Sizes::of(container.get("resources"), &format!("{field}[{name}].resources"))?;
                containers.push(ContainerSizes { name, role, sizes });
            }
        }
        let whole = pod.get("resources").filter(|whole| whole.is_object());
        Ok(Self {
            containers,
            whole: whole.map(|whole| Sizes::of(Some(whole), "resources")).transpose()?,
            priority_class: pod.get("priorityClassName").and_then(Value::as_str).map(str::to_owned),
            has_deadline: pod.get("activeDeadlineSeconds").is_some_and(|seconds| !seconds.is_null()),
        })
    }

    /// The containers, sidecars and init containers.
    pub fn containers(&self) -> &[ContainerSizes] {
        &self.containers
    }

    /// The container of this name that goes on running.
    pub fn container(&self, name: &str) -> Option<&ContainerSizes> {
        self.containers.iter().find(|container| container.name == name && container.role != Role::Init)
    }

    pub(super) fn container_mut(&mut self, name: &str) -> Option<&mut Sizes> {
        let found = self.containers.iter_mut().find(|container| container.name == name && container.role != Role::Init);
        found.map(|container| &mut container.sizes)
    }

    /// Class of the pod, by the rule of the API server: CPU and memory of all containers count, or those of the pod where they are set.
    pub fn qos(&self) -> QosClass {
        const COUNTED: [&str; 2] = ["cpu", "memory"];
        let each: Vec<&Sizes> = match &self.whole {
            Some(whole) if !whole.is_empty() => vec![whole],
            _ => self.containers.iter().map(|container| &container.sizes).collect(),
        };
        let set = |amounts: &Resources, resource: &str| amounts.get(resource).filter(|amount| *amount > 0);
        let any = |part: fn(&Sizes) -> &Resources| {
            each.iter().any(|sizes| COUNTED.iter().any(|resource| set(part(sizes), resource).is_some()))
        };
        if !any(|sizes| &sizes.requests) && !any(|sizes| &sizes.limits) {
            return QosClass::BestEffort;
        }
        let full = |sizes: &&Sizes| {
            COUNTED.iter().all(|resource| {
                let limit = set(&sizes.limits, resource);
                limit.is_some() && sizes.requests.get(resource) == limit
            })
        };
        if each.iter().all(full) { QosClass::Guaranteed } else { QosClass::Burstable }
    }

    /// Amount of a resource that the pod requests, as the scheduler and a quota count it: its containers and sidecars together, or an init
    /// container beside the sidecars before it, whichever is more. None if nobody requests it.
    pub fn requested(&self, resource: &str) -> Option<i64> {
        self.total(resource, |sizes| &sizes.requests)
    }

    /// Amount that the containers and sidecars request together, which is what metrics are a percentage of; none if one requests none.
    pub(super) fn running(&self, resource: &str) -> Option<i64> {
        let running = self.containers.iter().filter(|container| container.role != Role::Init);
        let mut requests = running.map(|container| container.sizes.requests.get(resource));
        requests.try_fold(0_i64, |sum, request| Some(sum.saturating_add(request?)))
    }

    /// Amount that the containers and sidecars besides this one request together.
    pub(super) fn beside(&self, container: &str, resource: &str) -> i128 {
        let others = self.containers.iter().filter(|other| other.role != Role::Init && other.name != container);
        others.filter_map(|other| other.sizes.requests.get(resource)).map(i128::from).sum()
    }

    /// Request that the pod itself has, beside those of its containers.
    pub(super) fn of_the_whole(&self, resource: &str) -> Option<i64> {
        self.whole.as_ref().and_then(|whole| whole.requests.get(resource))
    }

    /// Request that an HPA measures against: of one container, or the sum over those that go on running, unless the pod has its own.
    pub(super) fn measured_against(&self, resource: &str, container: Option<&str>, pod_level: bool) -> Option<i64> {
        if let Some(name) = container {
            return self.container(name)?.sizes.requests.get(resource);
        }
        self.of_the_whole(resource).filter(|_| pod_level).or_else(|| self.running(resource))
    }

    /// Limit of a resource over the pod, summed as requests are. None if no container has one.
    pub fn limit(&self, resource: &str) -> Option<i64> {
        self.total(resource, |sizes| &sizes.limits)
    }

    fn total(&self, resource: &str, part: fn(&Sizes) -> &Resources) -> Option<i64> {
        if let Some(whole) = self.whole.as_ref().and_then(|whole| part(whole).get(resource)) {
            return Some(whole);
        }
        let amount = |container: &ContainerSizes| part(&container.sizes).get(resource);
        if !self.containers.iter().any(|container| amount(container).is_some()) {
            return None;
        }
        let (mut running, mut sidecars, mut starting) = (0_i64, 0_i64, 0_i64);
        for container in &self.containers {
            let amount = amount(container).unwrap_or(0);
            match container.role {
                Role::App => running = running.saturating_add(amount),
                Role::Sidecar => sidecars = sidecars.saturating_add(amount),
                Role::Init => starting = starting.max(sidecars.saturating_add(amount)),
            }
        }
        Some(running.saturating_add(sidecars).max(starting))
    }
}

impl Sizes {
    fn of(resources: Option<&Value>, place: &str) -> Result<Self, InvalidSize> {
        let amounts = |part: &str| {
            let given = resources.and_then(|resources| resources.get(part)).and_then(Value::as_object);
            amounts(given.into_iter().flatten(), &format!("{place}.{part}"))
        };
        let (mut requests, limits) = (amounts("requests")?, amounts("limits")?);
        for name in limits.names() {
            if let (None, Some(limit)) = (requests.get(name), limits.get(name)) {
                requests.insert(name.to_owned(), limit);
            }
        }
        Ok(Self { requests, limits })
    }

    /// The requests and limits of CPU and memory as a container has them.
    #[cfg(feature = "client")]
    pub(crate) fn to_json(&self) -> Value {
        let amounts = |amounts: &Resources| {
            let set = |name: &'static str| Some((name.to_owned(), shown(name, amounts.get(name)?).into()));
            Value::Object(["cpu", "memory"].into_iter().filter_map(set).collect())
        };
        serde_json::json!({ "requests": amounts(&self.requests), "limits": amounts(&self.limits) })
    }

    fn is_empty(&self) -> bool {
        self.requests.names().next().is_none() && self.limits.names().next().is_none()
    }
}

/// Amounts by name; each is a quantity and none is negative.
pub(super) fn amounts<'a>(
    given: impl Iterator<Item = (&'a String, &'a Value)>,
    place: &str,
) -> Result<Resources, InvalidSize> {
    given
        .map(|(resource, amount)| {
            let quantity = serde_json::from_value::<Quantity>(amount.clone()).ok();
            let milli = quantity.map(|quantity| quantity.milli()).filter(|milli| *milli >= 0);
            let invalid = || {
                let found = amount.to_string().chars().take(64).collect();
                InvalidSize { place: place.to_owned(), resource: resource.clone(), found }
            };
            Ok((resource.clone(), milli.ok_or_else(invalid)?))
        })
        .collect()
}
