//! A workload, its HPA, and an autoscaler that wants of it what the test says.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::PostParams;
use kube::{Api, Client};
use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::{
    ApplyMode, Autoscaler, Bounds, DecisionEngine, EngineError, Guards, MemorySource, Observation, Outcome,
    ScalingDecision, ScalingMetrics, SignalKind, Target,
};
use scaling_k8s::history::{History, HistoryRecorder};
use scaling_k8s::{KubeHpaApplier, Writer};
use serde_json::{Value, json};

use crate::support::faults::PATIENCE;

/// Wants so many pods.
struct Wish(Arc<AtomicU32>);

#[async_trait]
impl DecisionEngine for Wish {
    fn name(&self) -> &'static str {
        "wish"
    }

    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let wish = self.0.load(Ordering::Relaxed);
        Ok(ScalingDecision::replicas("wish", observation.now, observation.current.current_pod_count.unwrap_or(0), wish)
            .with_confidence(1.0))
    }
}

pub(crate) struct Shop {
    name: String,
    /// Pods that run. Default: 3.
    pub(crate) pods: u32,
    /// To the API server, past every fault.
    direct: Api<HorizontalPodAutoscaler>,
    autoscaler: Autoscaler,
    source: Arc<MemorySource>,
    history: Arc<HistoryRecorder>,
    wish: Arc<AtomicU32>,
    now: DateTime<Utc>,
}

impl Shop {
    /// Makes an HPA with the resting bounds 1..6 whose bounds nobody owns, and an autoscaler that talks through `client`.
    pub(crate) async fn open(admin: Client, client: Client, name: &str, guards: Guards) -> Self {
        let direct: Api<HorizontalPodAutoscaler> = Api::namespaced(admin, "default");
        let hpa = json!({
            "metadata": { "name": name },
            "spec": { "minReplicas": 1, "maxReplicas": 6, "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name } },
        });
        let params = PostParams { field_manager: Some("owner".to_owned()), ..PostParams::default() };
        direct.create(&params, &serde_json::from_value(hpa).unwrap()).await.unwrap();
        let (source, wish) = (Arc::new(MemorySource::new()), Arc::new(AtomicU32::new(0)));
        let history = Arc::new(HistoryRecorder::new(History::new(), "kube-scaling"));
        let applier = KubeHpaApplier::new(Writer::new(client).force().timeout(PATIENCE));
        let parts = Autoscaler::builder().source(source.clone()).engine(Wish(wish.clone())).applier(applier);
        let autoscaler = parts.recorder(history.clone()).guards(guards).mode(ApplyMode::Apply).build();
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        Self { name: name.to_owned(), pods: 3, direct, autoscaler, source, history, wish, now }
    }

    /// Ticks once, a minute after the last time, with this wish.
    pub(crate) async fn tick(&mut self, wish: u32) -> Outcome {
        self.wait(60);
        self.wish.store(wish, Ordering::Relaxed);
        let target = Target::deployment("default", &*self.name);
        let metrics = ScalingMetrics::new(self.now, self.pods).with(SignalKind::CpuUtilization, 50.0);
        self.source.advance(&target, metrics, self.now).unwrap();
        self.autoscaler.tick(&target, self.now).await.unwrap().outcome
    }

    /// Lets time pass.
    pub(crate) fn wait(&mut self, seconds: i64) {
        self.now += TimeDelta::seconds(seconds);
    }

    /// The bounds that the API server has, and how often the spec was changed since it was made, plus one.
    pub(crate) async fn stored(&self) -> (Bounds, i64) {
        let hpa = self.direct.get(&self.name).await.unwrap();
        let bounds = scaling_k8s::hpa::state(&hpa).unwrap().bounds;
        (bounds, hpa.metadata.generation.unwrap())
    }

    /// The changes of the history, all of them certain.
    pub(crate) fn history(&self) -> Vec<(Bounds, Bounds)> {
        let target = Target::deployment("default", &*self.name);
        self.history.with(|history| {
            let changes = history.of(&target);
            changes
                .map(|change| {
                    assert!(!change.uncertain, "{}: {change}", self.name);
                    (change.before, change.after)
                })
                .collect()
        })
    }

    /// Nothing but the bounds and the annotation is ours, in one entry.
    pub(crate) async fn owns_bounds_alone(&self, what: &str) {
        let hpa = serde_json::to_value(self.direct.get(&self.name).await.unwrap()).unwrap();
        let entries = hpa["metadata"]["managedFields"].as_array().unwrap();
        let ours: Vec<&Value> = entries.iter().filter(|entry| entry["manager"] == "kube-scaling").collect();
        let expected = json!({
            "f:metadata": { "f:annotations": { "f:kube-scaling/resting-bounds": {} } },
            "f:spec": { "f:maxReplicas": {}, "f:minReplicas": {} },
        });
        assert_eq!(ours.iter().map(|entry| &entry["fieldsV1"]).collect::<Vec<_>>(), [&expected], "{what}: law 9");
    }
}
