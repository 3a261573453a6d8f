//! Many HPAs, and an autoscaler over them at simulated times.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::{
    ApplyMode, Autoscaler, DecisionRecord, MemorySource, RuleBasedEngine, ScalingMetrics, SignalKind, Target,
};
use scaling_k8s::controller::applier::CachedApplier;
use scaling_k8s::controller::cache::FleetTarget;
use scaling_k8s::k8s_openapi;
use serde_json::json;

fn api(client: &Client) -> Api<HorizontalPodAutoscaler> {
    Api::namespaced(client.clone(), "default")
}

/// HPAs as they are met: metrics, behavior, labels, and managed fields of their host.
pub(crate) async fn create(client: &Client, hpas: usize) {
    let began = std::time::Instant::now();
    let params = PostParams { field_manager: Some("host".to_owned()), ..PostParams::default() };
    let made = stream::iter(0..hpas).map(|number| {
        let (api, params) = (api(client), &params);
        async move {
            let name = format!("web-{number:05}");
            let hpa: HorizontalPodAutoscaler = serde_json::from_value(json!({
                "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
                "metadata": {
                    "name": name,
                    "labels": { "app.kubernetes.io/name": name, "app.kubernetes.io/managed-by": "host", "team": "shop" },
                    "annotations": { "kube-scaling/mode": "full", "kube-scaling/hard-max": "200", "kube-scaling/cooldown": "5m" },
                },
                "spec": {
                    "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name },
                    "minReplicas": 2, "maxReplicas": 10,
                    "metrics": [
                        { "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 70 } } },
                        { "type": "External", "external": {
                            "metric": { "name": "requests", "selector": { "matchLabels": { "service": name } } },
                            "target": { "type": "AverageValue", "averageValue": "100" } } },
                    ],
                    "behavior": { "scaleDown": { "stabilizationWindowSeconds": 120,
                        "policies": [{ "type": "Percent", "value": 10, "periodSeconds": 60 }] } },
                },
            }))
            .unwrap();
            api.create(params, &hpa).await.unwrap();
        }
    });
    made.buffer_unordered(32).collect::<Vec<()>>().await;
    println!("{hpas} HPAs made in {:?}", began.elapsed());
}

/// The version of each HPA, by name.
pub(crate) async fn versions(client: &Client) -> BTreeMap<String, String> {
    let list = api(client).list_metadata(&ListParams::default()).await.unwrap();
    let version = |metadata: kube::api::ObjectMeta| (metadata.name.unwrap(), metadata.resource_version.unwrap());
    list.items.into_iter().map(|hpa| version(hpa.metadata)).collect()
}

/// Sets the max as a person would, and gives the new version.
pub(crate) async fn edit(client: &Client, name: &str, max: u32) -> String {
    let params = PatchParams { field_manager: Some("kubectl-edit".to_owned()), ..PatchParams::default() };
    let patch = Patch::Merge(json!({ "spec": { "maxReplicas": max } }));
    api(client).patch(name, &params, &patch).await.unwrap().metadata.resource_version.unwrap()
}

pub(crate) async fn delete(client: &Client, name: &str) {
    api(client).delete(name, &DeleteParams::default()).await.unwrap();
}

pub(crate) struct Fleet {
    pub(crate) targets: Vec<Target>,
    pub(crate) applier: CachedApplier,
    source: Arc<MemorySource>,
    autoscaler: Autoscaler,
    now: DateTime<Utc>,
}

impl Fleet {
    pub(crate) fn new(targets: &[Arc<FleetTarget>], applier: CachedApplier) -> Self {
        let targets = targets.iter().map(|target| target.target.clone()).collect();
        Self::over(targets, applier)
    }

    /// A fleet of some of these workloads, seen through another applier.
    pub(crate) fn part(&self, workloads: std::ops::Range<usize>, applier: CachedApplier) -> Self {
        Self::over(self.targets[workloads].to_vec(), applier)
    }

    fn over(targets: Vec<Target>, applier: CachedApplier) -> Self {
        let source = Arc::new(MemorySource::new());
        let autoscaler = Autoscaler::builder()
            .source(source.clone())
            .engine(RuleBasedEngine::default())
            .applier(applier.clone())
            .mode(ApplyMode::Apply)
            .build();
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let mut fleet = Self { targets, applier, source, autoscaler, now };
        for load in [0.97, 1.0, 1.03, 0.98, 1.01] {
            fleet.advance(|_| load);
        }
        fleet
    }

    /// One tick, at a load that is as usual, or more than double for some.
    pub(crate) async fn tick(&mut self, surges: impl Fn(usize) -> bool) -> Vec<DecisionRecord> {
        let load = |place| if surges(place) { 2.3 } else { 1.0 };
        self.advance(load);
        let records = self.autoscaler.tick_all(&self.targets, self.now).await;
        records.into_iter().map(Result::unwrap).collect()
    }

    fn advance(&mut self, load: impl Fn(usize) -> f64) {
        self.now += TimeDelta::minutes(1);
        for (place, target) in self.targets.iter().enumerate() {
            let load = load(place);
            let metrics = ScalingMetrics::new(self.now, 4)
                .with(SignalKind::CpuUtilization, 42.0 * load)
                .with(SignalKind::MemoryUtilization, 50.0)
                .with(SignalKind::RequestRate, 200.0 * load);
            self.source.advance(target, metrics, self.now).unwrap();
        }
    }
}
