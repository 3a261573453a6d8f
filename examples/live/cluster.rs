//! The HPAs: of a cluster, or of manifests.

use std::time::Duration;

use scaling_core::{ApplyMode, HpaApplier, MemoryApplier, Requests, Target};
use scaling_k8s::clusters::Clusters;
use scaling_k8s::k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use scaling_k8s::kube::{self, Api, Client};
use scaling_k8s::ownership::OwnershipPolicy;
use scaling_k8s::{ClientFault, HpaManifest, KubeHpaApplier, Manifests, Writer};

use super::Setup;
use super::source::question;
use crate::Failure;
use crate::manifest::{self, HpaFile};

/// Connects to the cluster of the context, if one is named.
pub(super) async fn client(setup: &Setup<'_>) -> Result<Option<Client>, Failure> {
    let Some(context) = &setup.live.context else { return Ok(None) };
    let Some(path) = &setup.live.kubeconfig else {
        return scaling_k8s::connect(context).await.map(Some).map_err(Failure::input);
    };
    let clusters = Clusters::read(path, [context]).await.map_err(Failure::input)?;
    let any = Target::deployment("default", "any").in_cluster(context);
    clusters.part(&any).map(|client| Some(client.clone())).map_err(Failure::input)
}

/// Asks an API server for its version. A no is an answer; none at all is the error.
pub(super) async fn reached(client: &Client, within: Duration) -> Result<(), String> {
    match tokio::time::timeout(within, client.apiserver_version()).await {
        Ok(Ok(_) | Err(kube::Error::Api(_))) => Ok(()),
        Ok(Err(error)) => Err(ClientFault::explain(&error)),
        Err(_) => Err(format!("no answer within {} s", within.as_secs())),
    }
}

/// What reads and changes the HPAs, and how far it goes.
pub(super) fn applier(
    setup: &Setup<'_>,
    client: Option<&Client>,
    hpas: &Hpas,
) -> Result<(Box<dyn HpaApplier>, ApplyMode), Failure> {
    if let Some(client) = client {
        let mode = if setup.live.apply { ApplyMode::Apply } else { ApplyMode::Plan };
        let applier = if setup.live.take {
            KubeHpaApplier::new(Writer::new(client.clone()).force()).ownership(OwnershipPolicy::Take)
        } else {
            KubeHpaApplier::new(client.clone())
        };
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
    File {
        place: String,
        manifests: Manifests,
    },
    /// With the time that it has to answer.
    Cluster(Client, Duration),
}

impl Hpas {
    pub(super) fn new(setup: &Setup<'_>, client: Option<&Client>) -> Result<Self, Failure> {
        let Some(path) = setup.hpa else {
            let what = "say where the HPA is: --context NAME for a cluster, or --hpa FILE for a manifest";
            let within = question(&setup.live.from);
            return client.cloned().map(|client| Self::Cluster(client, within)).ok_or_else(|| Failure::input(what));
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
            Self::Cluster(client, within) => in_cluster(client, target, *within).await,
        }
    }

    /// The HPA of a workload, and what is replayed of it.
    pub(super) async fn file(&self, setup: &Setup<'_>, target: &Target) -> Result<HpaFile, Failure> {
        let manifest = self.manifest(target).await?;
        let (mut spec, left_out) =
            manifest.spec.clone().without_metrics(&setup.hpas.leave_out).map_err(Failure::input)?;
        let workload = match self {
            Self::File { manifests, .. } => manifests.workload(target),
            Self::Cluster(..) => None,
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

async fn in_cluster(client: &Client, target: &Target, within: Duration) -> Result<HpaManifest, Failure> {
    let api: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), &target.namespace);
    let bad = |what: &dyn std::fmt::Display| Failure::failed(format!("{target}: HPA {:?}: {what}", target.hpa));
    let found = tokio::time::timeout(within, api.get(&target.hpa)).await;
    let late = || bad(&format!("no answer from the API server within {} s", within.as_secs()));
    let found = found.map_err(|_| late())?.map_err(|error| match &error {
        kube::Error::Api(status) if status.code == 404 => {
            bad(&"there is none of that name; --target NAMESPACE/NAME=HPA says another")
        }
        other => bad(&ClientFault::explain(other)),
    })?;
    let mut written = serde_json::to_value(&found).map_err(|error| bad(&error))?;
    if let Some(object) = written.as_object_mut() {
        object.insert("apiVersion".to_owned(), "autoscaling/v2".into());
        object.insert("kind".to_owned(), "HorizontalPodAutoscaler".into());
    }
    HpaManifest::from_yaml(&written.to_string()).map_err(|error| bad(&error))
}
