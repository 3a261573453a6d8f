//! Files for a Git repository, as pairs of a relative path and the content. Pure; the host writes and commits them.

use scaling_core::{HpaPlan, Requests, Target};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::manifest::name_fault;
use crate::{HpaManifest, ManifestError};
use scaling_core::hpa::names::{is_dns_label, is_dns_subdomain};

/// CPU and memory that the container of a workload shall request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerRequests {
    container: String,
    cpu_millicores: Option<u64>,
    memory_bytes: Option<u64>,
}

impl ContainerRequests {
    /// The requests that a plan wants to change, for the container called `container`; none if it changes none. The container
    /// is never guessed: a pod may have several, and the first is as often a sidecar as not.
    ///
    /// # Errors
    /// [`ManifestError::Requests`] if the plan changes a request whose present size is not known, or makes one 0;
    /// [`ManifestError::Name`] if the container cannot be called so.
    pub fn of(plan: &HpaPlan, container: &str) -> Result<Option<Self>, ManifestError> {
        let Some((change, (_, new))) = plan.resources().zip(plan.requests()) else { return Ok(None) };
        if !is_dns_label(container) {
            return Err(name_fault("container", container, "a DNS label"));
        }
        let Requests { cpu_millicores, memory_bytes } = new;
        let cpu_millicores = changed(change.cpu_percent, cpu_millicores)?;
        let memory_bytes = changed(change.memory_percent, memory_bytes)?;
        let nothing = cpu_millicores.is_none() && memory_bytes.is_none();
        Ok((!nothing).then(|| Self { container: container.to_owned(), cpu_millicores, memory_bytes }))
    }
}

fn changed(percent: i32, new: Option<u64>) -> Result<Option<u64>, ManifestError> {
    match (percent, new) {
        (0, _) => Ok(None),
        (_, None) => Err(ManifestError::Requests("the present request is not known")),
        (_, Some(0)) => Err(ManifestError::Requests("the new request would be 0")),
        (_, new) => Ok(new),
    }
}

/// The files of one HPA: `<namespace>/<name>.hpa.yaml` and, with `requests`, a strategic-merge patch for its workload,
/// `<namespace>/<workload>.<kind>.requests.yaml`. Paths use `/` and never leave the folder they are put in.
///
/// # Errors
/// [`ManifestError`] if the manifest is not valid, or has no workload to which such a patch applies.
pub fn files(
    manifest: &HpaManifest,
    requests: Option<&ContainerRequests>,
) -> Result<Vec<(String, String)>, ManifestError> {
    manifest.validate()?;
    let folder = manifest.namespace();
    let mut files = vec![(format!("{folder}/{}.hpa.yaml", manifest.name()), manifest.to_yaml()?)];
    if let Some(requests) = requests {
        let target = manifest.target();
        let kind = target.kind.to_lowercase();
        let path = format!("{folder}/{}.{kind}.requests.yaml", target.name);
        files.push((path, patch(manifest, &target, requests)?));
    }
    Ok(files)
}

/// The files of one HPA after a plan. `container` is the one whose requests a vertical change is about.
///
/// # Errors
/// As [`files`] and [`ContainerRequests::of`]; and if the plan is for another workload, was made for other bounds than the
/// manifest has, or changes requests and no container is given.
pub fn files_after(
    plan: &HpaPlan,
    manifest: &HpaManifest,
    container: Option<&str>,
) -> Result<Vec<(String, String)>, ManifestError> {
    check_target(plan.target(), &manifest.target())?;
    let found = manifest.bounds()?;
    if found != plan.old_bounds() {
        return Err(ManifestError::OtherBounds { expected: plan.old_bounds(), found });
    }
    let requests = match (plan.resources(), container) {
        (None, _) => None,
        (Some(_), None) => return Err(ManifestError::Requests("the name of the container is not given")),
        (Some(_), Some(container)) => ContainerRequests::of(plan, container)?,
    };
    files(&manifest.clone().with_bounds(plan.new_bounds()), requests.as_ref())
}

/// A manifest names no cluster, so the plan's cluster is not compared.
fn check_target(plan: &Target, manifest: &Target) -> Result<(), ManifestError> {
    let plan = Target { cluster: None, ..plan.clone() };
    if plan == *manifest {
        return Ok(());
    }
    let named = |target: &Target| format!("{target} (HPA {})", target.hpa);
    Err(ManifestError::OtherTarget { plan: named(&plan), manifest: named(manifest) })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Patch<'a> {
    api_version: &'a str,
    kind: &'a str,
    metadata: Metadata<'a>,
    spec: PatchSpec<'a>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    name: &'a str,
    namespace: &'a str,
}

#[derive(Serialize)]
struct PatchSpec<'a> {
    template: Template<'a>,
}

#[derive(Serialize)]
struct Template<'a> {
    spec: PodSpec<'a>,
}

#[derive(Serialize)]
struct PodSpec<'a> {
    containers: [Container<'a>; 1],
}

#[derive(Serialize)]
struct Container<'a> {
    name: &'a str,
    resources: Resources,
}

#[derive(Serialize)]
struct Resources {
    requests: BTreeMap<&'static str, String>,
}

fn patch(manifest: &HpaManifest, target: &Target, wanted: &ContainerRequests) -> Result<String, ManifestError> {
    let api_version = manifest.spec.scale_target_ref.api_version.as_deref();
    // Only these merge a list of containers by name; in other kinds such a patch would replace the list.
    if api_version != Some("apps/v1") || !matches!(target.kind.as_str(), "Deployment" | "StatefulSet" | "ReplicaSet") {
        return Err(ManifestError::Requests("the workload is no Deployment, StatefulSet or ReplicaSet of apps/v1"));
    }
    if !is_dns_subdomain(&target.name) {
        return Err(name_fault("spec.scaleTargetRef.name", &target.name, "a DNS subdomain"));
    }
    let cpu = wanted.cpu_millicores.map(|cpu| ("cpu", format!("{cpu}m")));
    let memory = wanted.memory_bytes.map(|bytes| ("memory", memory(bytes)));
    let requests = cpu.into_iter().chain(memory).collect();
    let container = Container { name: &wanted.container, resources: Resources { requests } };
    let patch = Patch {
        api_version: "apps/v1",
        kind: &target.kind,
        metadata: Metadata { name: &target.name, namespace: &target.namespace },
        spec: PatchSpec { template: Template { spec: PodSpec { containers: [container] } } },
    };
    serde_saphyr::to_string(&patch).map_err(|error| ManifestError::Write(Arc::new(error)))
}

/// Bytes in the largest binary unit that loses nothing.
fn memory(bytes: u64) -> String {
    let units = [("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
    let whole = units.into_iter().find(|(_, size)| bytes.is_multiple_of(*size));
    whole.map_or_else(|| bytes.to_string(), |(unit, size)| format!("{}{unit}", bytes / size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_written_without_loss() {
        for (bytes, written) in [(1 << 30, "1Gi"), (3 << 29, "1536Mi"), (1000, "1000"), (2048, "2Ki")] {
            assert_eq!(memory(bytes), written);
        }
    }
}
