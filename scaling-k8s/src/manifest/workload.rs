//! [`Workload`]: what the pods of a Deployment, a StatefulSet or another object with a pod template request.

use scaling_core::Target;
use scaling_core::hpa::Quantity;
use serde_json::Value;

/// A workload that stands beside an HPA, with the requests of its pods.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Kind, such as `Deployment`.
    pub kind: String,
    /// Name of the object.
    pub name: String,
    /// Namespace, if one is written.
    pub namespace: Option<String>,
    containers: Vec<Container>,
}

#[derive(Clone, Debug, PartialEq)]
struct Container {
    name: String,
    requests: Vec<(String, Quantity)>,
}

/// A container without a request: to an HPA on that resource its pods have no utilization.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{workload}: container {container:?} has no request for {resource}")]
pub struct MissingRequest {
    /// Kind and name of the workload.
    pub workload: String,
    /// The container.
    pub container: String,
    /// The resource, such as `cpu`.
    pub resource: String,
}

impl Workload {
    /// Reads an object that has a pod template; none if it has none.
    pub(super) fn of(object: &Value) -> Option<Self> {
        let text = |pointer: &str| Some(object.pointer(pointer)?.as_str()?.to_owned());
        let pod = object.pointer("/spec/template/spec")?;
        let list = |field: &str| pod.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        // A sidecar is an init container that goes on running. The others are done by the time that a pod is measured.
        let sidecars = list("initContainers")
            .iter()
            .filter(|container| container.get("restartPolicy").and_then(Value::as_str) == Some("Always"));
        Some(Self {
            kind: text("/kind")?,
            name: text("/metadata/name")?,
            namespace: text("/metadata/namespace"),
            containers: list("containers").iter().chain(sidecars).map(Container::of).collect(),
        })
    }

    /// Returns what a pod requests of a resource, in thousandths (millicores of `cpu`, thousandths of a byte of `memory`): the sum over
    /// its containers and sidecars, as the HPA's controller adds them up.
    ///
    /// # Errors
    /// [`MissingRequest`] with the first container that requests none: then the controller has no sum, either.
    pub fn request_milli(&self, resource: &str) -> Result<i64, MissingRequest> {
        self.containers.iter().try_fold(0_i64, |sum, container| {
            Ok(sum.saturating_add(container.request(resource).ok_or_else(|| self.missing(&container.name, resource))?))
        })
    }

    /// Returns what one container requests of a resource, in thousandths.
    ///
    /// # Errors
    /// [`MissingRequest`] if there is no such container, or it requests none.
    pub fn container_request_milli(&self, container: &str, resource: &str) -> Result<i64, MissingRequest> {
        let found = self.containers.iter().find(|known| known.name == container);
        found.and_then(|found| found.request(resource)).ok_or_else(|| self.missing(container, resource))
    }

    /// Returns whether this is the workload that a target names.
    pub fn is(&self, target: &Target) -> bool {
        let namespace = self.namespace.as_ref().is_none_or(|namespace| *namespace == target.namespace);
        self.kind == target.kind && self.name == target.name && namespace
    }

    fn missing(&self, container: &str, resource: &str) -> MissingRequest {
        MissingRequest {
            workload: format!("{} {}", self.kind, self.name),
            container: container.to_owned(),
            resource: resource.to_owned(),
        }
    }
}

impl Container {
    fn of(container: &Value) -> Self {
        let amounts = |pointer: &str| {
            let given = container.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
            given.filter_map(|(name, amount)| Some((name.clone(), serde_json::from_value(amount.clone()).ok()?)))
        };
        let mut requests: Vec<(String, Quantity)> = amounts("/resources/requests").collect();
        // The API server completes a request that is left out by the limit.
        for (name, limit) in amounts("/resources/limits") {
            if !requests.iter().any(|(known, _)| *known == name) {
                requests.push((name, limit));
            }
        }
        let name = container.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { name, requests }
    }

    fn request(&self, resource: &str) -> Option<i64> {
        self.requests.iter().find(|(name, _)| name == resource).map(|(_, amount)| amount.milli())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn workload(pod: &Value) -> Workload {
        let object =
            json!({ "kind": "Deployment", "metadata": { "name": "web" }, "spec": { "template": { "spec": pod } } });
        Workload::of(&object).unwrap()
    }

    #[test]
    fn requests_are_summed_as_the_controller_sums_them() {
        let with = |name: &str, cpu: &str| json!({ "name": name, "resources": { "requests": { "cpu": cpu } } });
        let mut sidecar = with("proxy", "50m");
        sidecar["restartPolicy"] = "Always".into();
        let pods = workload(&json!({
            "containers": [with("app", "0.25"), { "name": "log", "resources": { "limits": { "cpu": 1 } } }],
            "initContainers": [with("migrate", "4"), sidecar],
        }));
        assert_eq!(pods.request_milli("cpu"), Ok(250 + 1000 + 50));
        assert_eq!(pods.container_request_milli("app", "cpu"), Ok(250));
        let missing = pods.request_milli("memory").unwrap_err();
        assert_eq!(missing.to_string(), "Deployment web: container \"app\" has no request for memory");
        assert!(pods.container_request_milli("migrate", "cpu").is_err());
        assert!(Workload::of(&json!({ "kind": "Service" })).is_none());
    }

    #[test]
    fn a_workload_is_found_by_kind_name_and_namespace() {
        let mut pods = workload(&json!({}));
        assert!(pods.is(&Target::deployment("shop", "web")));
        assert!(
            !pods.is(&Target::deployment("shop", "api"))
                && !pods.is(&Target::deployment("shop", "web").of_kind("StatefulSet"))
        );
        pods.namespace = Some("other".into());
        assert!(!pods.is(&Target::deployment("shop", "web")));
    }
}
