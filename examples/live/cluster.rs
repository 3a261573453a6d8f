//! The HPAs: of a cluster, or of manifests.

use std::path::Path;

use scaling_core::{ApplyMode, HpaApplier, MemoryApplier, Target};
use scaling_k8s::k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use scaling_k8s::kube::{Api, Client};
use scaling_k8s::{HpaManifest, KubeHpaApplier, Manifests};

use super::Setup;
use crate::Failure;

/// Connects to the cluster of a context.
pub(super) async fn client(context: &str) -> Result<Client, Failure> {
    scaling_k8s::connect(context).await.map_err(Failure::input)
}

/// What reads and changes the HPAs, and how far it goes.
pub(super) async fn applier(setup: &Setup<'_>) -> Result<(Box<dyn HpaApplier>, ApplyMode), Failure> {
    if let Some(context) = &setup.live.context {
        let mode = if setup.live.apply { ApplyMode::Apply } else { ApplyMode::Plan };
        return Ok((Box::new(KubeHpaApplier::new(client(context).await?)), mode));
    }
    let mut hpas = MemoryApplier::new();
    for target in &setup.live.targets {
        let bounds = of_file(setup, target)?.bounds().map_err(Failure::input)?;
        hpas = hpas.with(target.clone(), bounds);
    }
    Ok((Box::new(hpas), ApplyMode::Plan))
}

/// The HPA of a workload as it stands.
pub(super) async fn manifest(setup: &Setup<'_>, target: &Target) -> Result<HpaManifest, Failure> {
    let Some(context) = setup.live.context.as_deref().filter(|_| setup.hpa.is_none()) else {
        return of_file(setup, target);
    };
    let api: Api<HorizontalPodAutoscaler> = Api::namespaced(client(context).await?, &target.namespace);
    let bad = |what: &dyn std::fmt::Display| Failure::failed(format!("{target}: HPA {:?}: {what}", target.hpa));
    let found = tokio::time::timeout(std::time::Duration::from_secs(20), api.get(&target.hpa)).await;
    let found = found.map_err(|_| bad(&"no answer within 20 s"))?.map_err(|error| bad(&error))?;
    let mut written = serde_json::to_value(&found).map_err(|error| bad(&error))?;
    if let Some(object) = written.as_object_mut() {
        object.insert("apiVersion".to_owned(), "autoscaling/v2".into());
        object.insert("kind".to_owned(), "HorizontalPodAutoscaler".into());
    }
    HpaManifest::from_yaml(&written.to_string()).map_err(|error| bad(&error))
}

fn of_file(setup: &Setup<'_>, target: &Target) -> Result<HpaManifest, Failure> {
    let path: &Path = setup.hpa.ok_or_else(|| {
        Failure::input("say where the HPA is: --context NAME for a cluster, or --hpa FILE for a manifest")
    })?;
    let bad = |what: &dyn std::fmt::Display| Failure::input(format!("{}: {what}", crate::place(path)));
    let text = String::from_utf8(crate::read(path)?).map_err(|_| bad(&"not UTF-8"))?;
    let manifests = Manifests::from_yaml(&text).map_err(|error| bad(&error))?;
    let manifest = manifests.one(Some(&target.hpa)).map_err(|error| bad(&error))?;
    if manifest.target() != *target {
        let found = manifest.target();
        return Err(bad(&format!("HPA {:?} scales {found}, not {target} (--target {target}=HPA)", target.hpa)));
    }
    Ok(manifest)
}
