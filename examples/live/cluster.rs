//! The HPAs: of a cluster, or of manifests.

use std::time::Duration;

use scaling_core::{ApplyMode, HpaApplier, MemoryApplier, Requests, Target};
use scaling_k8s::k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use scaling_k8s::kube::{Api, Client};
use scaling_k8s::ownership::OwnershipPolicy;
use scaling_k8s::{HpaManifest, KubeHpaApplier, Manifests};

use super::Setup;
use crate::Failure;
use crate::manifest::{self, HpaFile};

/// Time for the API server to answer a question for one HPA.
const ANSWER: Duration = Duration::from_secs(20);

/// Connects to the cluster of the context, if one is named.
pub(super) async fn client(setup: &Setup<'_>) -> Result<Option<Client>, Failure> {
    let Some(context) = &setup.live.context else { return Ok(None) };
    scaling_k8s::connect(context).await.map(Some).map_err(Failure::input)
}

/// What reads and changes the HPAs, and how far it goes.
pub(super) fn applier(
    setup: &Setup<'_>,
    client: Option<&Client>,
    hpas: &Hpas,
) -> Result<(Box<dyn HpaApplier>, ApplyMode), Failure> {
    if let Some(client) = client {
        let mode = if setup.live.apply { ApplyMode::Apply } else { ApplyMode::Plan };
        let applier = KubeHpaApplier::new(client.clone());
        let applier = if setup.live.take { applier.ownership(OwnershipPolicy::Take).force() } else { applier };
        return Ok((Box::new(applier), mode));
    }
    let mut in_memory = MemoryApplier::new();
    for target in &setup.live.from.targets {
        let bounds = hpas.in_file(target)?.bounds().map_err(Failure::input)?;
        in_memory = in_memory.with(target.clone(), bounds);
    }
    Ok((Box::new(in_memory), ApplyMode::Plan))
}

/// Where the HPAs are read from: the file that is named, or else the cluster.
pub(super) enum Hpas {
    File { place: String, manifests: Manifests },
    Cluster(Client),
}

impl Hpas {
    pub(super) fn new(setup: &Setup<'_>, client: Option<&Client>) -> Result<Self, Failure> {
        let Some(path) = setup.hpa else {
            let what = "say where the HPA is: --context NAME for a cluster, or --hpa FILE for a manifest";
            return client.cloned().map(Self::Cluster).ok_or_else(|| Failure::input(what));
        };
        let place = crate::place(path);
        let bad = |what: &dyn std::fmt::Display| Failure::input(format!("{place}: {what}"));
        let text = String::from_utf8(crate::read(path)?).map_err(|_| bad(&"not UTF-8"))?;
        let manifests = Manifests::from_yaml(&text).map_err(|error| bad(&error))?;
        Ok(Self::File { place, manifests })
    }

    /// The HPA of a workload as it stands.
    pub(super) async fn manifest(&self, target: &Target) -> Result<HpaManifest, Failure> {
        match self {
            Self::File { .. } => self.in_file(target),
            Self::Cluster(client) => in_cluster(client, target).await,
        }
    }

    /// The HPA of a workload, and what is replayed of it.
    pub(super) async fn file(&self, setup: &Setup<'_>, target: &Target) -> Result<HpaFile, Failure> {
        let manifest = self.manifest(target).await?;
        let (mut spec, left_out) =
            manifest.spec.clone().without_metrics(&setup.hpas.leave_out).map_err(Failure::input)?;
        let workload = match self {
            Self::File { manifests, .. } => manifests.workload(target),
            Self::Cluster(_) => None,
        };
        let requests = workload.map_or_else(Requests::default, |workload| manifest::requests(&mut spec, workload));
        Ok(HpaFile { manifest, spec, left_out, requests })
    }

    fn in_file(&self, target: &Target) -> Result<HpaManifest, Failure> {
        let Self::File { place, manifests } = self else {
            return Err(Failure::input("the HPA is in a cluster, not in a file"));
        };
        let bad = |what: &dyn std::fmt::Display| Failure::input(format!("{place}: {what}"));
        let manifest = manifests.one(Some(&target.hpa)).map_err(|error| bad(&error))?;
        if manifest.target() != *target {
            let found = manifest.target();
            return Err(bad(&format!("HPA {:?} scales {found}, not {target} (--target {target}=HPA)", target.hpa)));
        }
        Ok(manifest)
    }
}

async fn in_cluster(client: &Client, target: &Target) -> Result<HpaManifest, Failure> {
    let api: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), &target.namespace);
    let bad = |what: &dyn std::fmt::Display| Failure::failed(format!("{target}: HPA {:?}: {what}", target.hpa));
    let found = tokio::time::timeout(ANSWER, api.get(&target.hpa)).await;
    let found = found.map_err(|_| bad(&"no answer within 20 s"))?.map_err(|error| bad(&error))?;
    let mut written = serde_json::to_value(&found).map_err(|error| bad(&error))?;
    if let Some(object) = written.as_object_mut() {
        object.insert("apiVersion".to_owned(), "autoscaling/v2".into());
        object.insert("kind".to_owned(), "HorizontalPodAutoscaler".into());
    }
    HpaManifest::from_yaml(&written.to_string()).map_err(|error| bad(&error))
}
