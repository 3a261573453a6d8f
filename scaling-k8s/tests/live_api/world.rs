//! What the steps have in common: objects, made and read as a third party would.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client};
use scaling_core::{Bounds, Target};
use scaling_k8s::{HpaManifest, KubeHpaApplier, Writer};
use serde_json::{Value, json};

use crate::support::{ADMIN, ControlPlane, PLAIN};

pub(crate) struct World {
    pub(crate) admin: Client,
    pub(crate) plain: Client,
}

impl World {
    pub(crate) fn new(plane: &ControlPlane) -> Self {
        Self { admin: plane.client(ADMIN), plain: plane.client(PLAIN) }
    }

    pub(crate) fn applier(&self) -> KubeHpaApplier {
        KubeHpaApplier::new(self.admin.clone())
    }

    /// One that takes the bounds over from others.
    pub(crate) fn forced(&self) -> KubeHpaApplier {
        KubeHpaApplier::new(Writer::new(self.admin.clone()).force())
    }

    pub(crate) fn api(&self) -> Api<HorizontalPodAutoscaler> {
        Api::namespaced(self.admin.clone(), "default")
    }

    /// Server-side apply by anybody.
    pub(crate) async fn apply(
        &self,
        manager: &str,
        name: &str,
        body: Value,
        force: bool,
    ) -> kube::Result<HorizontalPodAutoscaler> {
        let params = PatchParams { force, ..PatchParams::apply(manager) };
        let mut whole =
            json!({ "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": name } });
        for (key, value) in body.as_object().unwrap() {
            whole[key] = value.clone();
        }
        self.api().patch(name, &params, &Patch::Apply(whole)).await
    }

    /// An HPA with metrics, behavior and labels that `host` owns.
    pub(crate) async fn create(&self, name: &str, min: u32, max: u32) -> Target {
        let (metadata, mut spec) = rich(name);
        spec["minReplicas"] = min.into();
        spec["maxReplicas"] = max.into();
        self.apply("host", name, json!({ "metadata": metadata, "spec": spec }), false).await.unwrap();
        Target::deployment("default", name)
    }

    /// The same, its bounds owned by the applier's default manager: the host made it without a min, which nobody owns then, and
    /// with another max, which it loses.
    pub(crate) async fn create_handed_over(&self, name: &str, bounds: Bounds) -> Target {
        let (metadata, mut spec) = rich(name);
        spec["maxReplicas"] = (bounds.max() + 1).into();
        self.apply("host", name, json!({ "metadata": metadata, "spec": spec }), false).await.unwrap();
        let bounds = json!({ "spec": { "minReplicas": bounds.min(), "maxReplicas": bounds.max() } });
        self.apply("kube-scaling", name, bounds, true).await.unwrap();
        Target::deployment("default", name)
    }

    /// The whole object.
    pub(crate) async fn read(&self, name: &str) -> Value {
        serde_json::to_value(self.api().get(name).await.unwrap()).unwrap()
    }

    /// Creates an HPA of text as it is, in this version, and returns it as v2 has it; it is deleted again.
    pub(crate) async fn created(&self, version: &str, text: String) -> Result<HorizontalPodAutoscaler, String> {
        let path = format!("/apis/autoscaling/{version}/namespaces/default/horizontalpodautoscalers");
        let json = if text.starts_with('{') { "application/json" } else { "application/yaml" };
        let request = http::Request::post(format!("{path}?fieldValidation=Strict")).header("content-type", json);
        let made: serde_json::Value =
            self.admin.request(request.body(text.into_bytes()).unwrap()).await.map_err(|error| error.to_string())?;
        let name = made["metadata"]["name"].as_str().unwrap();
        let stored = self.api().get(name).await.unwrap();
        self.api()
            .delete(name, &DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::background() })
            .await
            .unwrap();
        self.await_gone(name).await;
        Ok(stored)
    }

    /// An object with a finalizer goes when the finalizer does.
    async fn await_gone(&self, name: &str) {
        let free = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
        if self.api().get_opt(name).await.unwrap().is_some() {
            self.api().patch(name, &PatchParams::default(), &free).await.ok();
        }
        assert!(self.api().get_opt(name).await.unwrap().is_none(), "{name} is still there");
    }

    /// Sends text as it is, as `kubectl create --dry-run=server` would: the server's own YAML reader takes it.
    pub(crate) async fn dry_create(&self, namespace: &str, text: String) -> kube::Result<HorizontalPodAutoscaler> {
        let path = format!("/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers");
        let request = http::Request::post(format!("{path}?dryRun=All&fieldValidation=Strict"))
            .header("content-type", "application/yaml")
            .body(text.into_bytes());
        self.admin.request(request.unwrap()).await
    }
}

pub(crate) fn checkout() -> HpaManifest {
    let mut manifest = HpaManifest::from_yaml(include_str!("../../../test_data/hpa/checkout.yaml")).unwrap();
    manifest.metadata.namespace = Some("default".into());
    manifest
}

/// Metadata and spec of the richest HPA there is, under another name, scaling a Deployment of that name.
fn rich(name: &str) -> (Value, Value) {
    let manifest = checkout();
    let mut spec = serde_json::to_value(&manifest.spec).unwrap();
    spec["scaleTargetRef"]["name"] = name.into();
    spec.as_object_mut().unwrap().remove("minReplicas");
    (json!({ "name": name, "labels": manifest.metadata.labels, "annotations": manifest.metadata.annotations }), spec)
}

pub(crate) fn bounds(min: u32, max: u32) -> Bounds {
    Bounds::new(min, max).unwrap()
}
