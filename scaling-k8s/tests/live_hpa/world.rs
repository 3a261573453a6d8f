//! One scenario: a workload and an HPA in a namespace of their own, and what happens to them, counted in syncs.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use scaling_core::conformance::applier::plan;
use scaling_core::{ApplyMode, HpaApplier, Target};
use scaling_k8s::{KubeHpaApplier, Writer};
use serde_json::{Value, json};

use crate::support::NODE;
use crate::support::aggregated::{MetricsApis, Reading};
use crate::support::proxy::Proxy;
use crate::transcript::begins_a_sync;

/// Name of the Deployment and of its HPA, in every namespace.
pub(crate) const NAME: &str = "web";

pub(crate) struct Scenario {
    /// Its namespace.
    pub(crate) name: &'static str,
    pub(crate) replicas: u32,
    /// Spec of the HPA, without the object that it scales.
    pub(crate) hpa: Value,
    /// What the metrics say at first.
    pub(crate) readings: Vec<(&'static str, Reading)>,
    /// What happens after so many syncs have begun, in order.
    pub(crate) steps: Vec<(usize, Action)>,
    /// Syncs that are compared.
    pub(crate) syncs: usize,
}

pub(crate) enum Action {
    /// A metric says something else.
    Set(&'static str, Reading),
    /// The applier writes the bounds of a plan for so many wanted replicas with so many that run: at least half of the wanted ones, and
    /// the resting bounds when they are few.
    Apply { pods: u32, wanted: u32 },
    /// The owner edits the spec of the HPA.
    Edit(Value),
    /// Somebody scales the Deployment.
    Scale(u32),
    /// A new version of the workload is rolled out.
    Rollout,
}

/// What the scenarios share.
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) proxy: Proxy,
    pub(crate) metrics: MetricsApis,
}

impl Scenario {
    /// Makes the objects. Returns the spec of the HPA as it is stored first.
    pub(crate) async fn prepare(&self, world: &World) -> Value {
        let client = &world.client;
        let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": self.name } })).unwrap();
        Api::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
        for (metric, reading) in &self.readings {
            world.metrics.set(self.name, metric, reading.clone());
        }
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), self.name);
        deployments.create(&PostParams::default(), &deployment(self.replicas)).await.unwrap();
        let mut hpa = json!({ "metadata": { "name": NAME }, "spec": self.hpa });
        hpa["spec"]["scaleTargetRef"] = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": NAME });
        let hpa: HorizontalPodAutoscaler = serde_json::from_value(hpa).unwrap();
        let hpas: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), self.name);
        let made = hpas.create(&PostParams::default(), &hpa).await.unwrap();
        serde_json::to_value(made.spec).unwrap()
    }

    /// Lets everything happen, each at its sync, and waits for the last sync.
    pub(crate) async fn run(&self, world: &World) {
        for (sync, action) in &self.steps {
            world.proxy.until(self.name, |seen| seen.iter().filter(|one| begins_a_sync(one)).count() >= *sync).await;
            self.act(world, action).await;
        }
        // One more, because the last one may not be over.
        world.proxy.until(self.name, |seen| seen.iter().filter(|one| begins_a_sync(one)).count() > self.syncs).await;
    }

    async fn act(&self, world: &World, action: &Action) {
        let hpas: Api<HorizontalPodAutoscaler> = Api::namespaced(world.client.clone(), self.name);
        let deployments: Api<Deployment> = Api::namespaced(world.client.clone(), self.name);
        let params = PatchParams { field_manager: Some("owner".into()), ..PatchParams::default() };
        match action {
            Action::Set(metric, reading) => world.metrics.set(self.name, metric, reading.clone()),
            Action::Apply { pods, wanted } => {
                let applier = KubeHpaApplier::new(Writer::new(world.client.clone()).force());
                let target = Target::deployment(self.name, NAME);
                let there = applier.current(&target).await.unwrap().bounds;
                let plan = plan(&target, there, *pods, *wanted);
                applier.apply(&plan, ApplyMode::Apply).await.unwrap_or_else(|error| panic!("{}: {error}", self.name));
            }
            Action::Edit(spec) => {
                hpas.patch(NAME, &params, &Patch::Merge(json!({ "spec": spec }))).await.unwrap();
            }
            Action::Scale(replicas) => {
                let spec = json!({ "spec": { "replicas": replicas } });
                deployments.patch_scale(NAME, &params, &Patch::Merge(spec)).await.unwrap();
            }
            Action::Rollout => {
                let template = json!({ "metadata": { "annotations": { "version": "2" } } });
                let spec = json!({ "spec": { "template": template } });
                deployments.patch(NAME, &params, &Patch::Merge(spec)).await.unwrap();
            }
        }
    }
}

/// Pods of two containers that request 100 millicores and 100 mebibytes each.
fn deployment(replicas: u32) -> Deployment {
    let labels = json!({ "app": NAME });
    let container = |name: &str| json!({ "name": name, "image": "example/web:1", "resources": { "requests": { "cpu": "100m", "memory": "100Mi" } } });
    let deployment = json!({
        "metadata": { "name": NAME },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "nodeName": NODE, "containers": [container("web"), container("sidecar")] },
            },
        },
    });
    serde_json::from_value(deployment).unwrap()
}
