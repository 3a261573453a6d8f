//! A fleet over a real API server, whose load a test sets.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Event;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client};
use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::live::{Cadence, LoopReport, Stop};
use scaling_core::{
    Cooldown, DecisionEngine, DecisionRecord, EngineError, MetricsSource, Observation, RecordError, Recorder,
    RemovalBudget, ScalingDecision, ScalingMetrics, SignalKind, SourceError, StepLimit, Target,
};
use scaling_k8s::controller::cache::{HpaCache, HpaCacheBuilder};
use scaling_k8s::controller::fleet::{FleetController, FleetControllerBuilder, FleetHealth, Leaving};
use scaling_k8s::controller::lease::{LeaseSettings, LeaseTiming};
use scaling_k8s::history::{Change, InvalidHistory, ObservedHealth, WatchConfig, of_hpa};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

const LIMIT: Duration = Duration::from_secs(90);

/// Pods that run, pods that are asked for, and requests that fail, of every workload.
#[derive(Clone, Default)]
pub(crate) struct Load(Arc<Mutex<(u32, u32, f64)>>);

impl Load {
    pub(crate) fn set(&self, run: u32, wanted: u32, errors: f64) {
        *self.0.lock().unwrap() = (run, wanted, errors);
    }

    fn now(&self) -> (u32, u32, f64) {
        *self.0.lock().unwrap()
    }
}

#[async_trait]
impl MetricsSource for Load {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        let (run, _, errors) = self.now();
        let sample = |at, errors| {
            let metrics = ScalingMetrics::new(at, run).with(SignalKind::CpuUtilization, 50.0);
            metrics.with(SignalKind::RequestRate, 100.0).with(SignalKind::ErrorRate, errors)
        };
        // Until a minute ago nothing failed.
        let mut samples: Vec<_> = (60..120).map(|ago| sample(now - TimeDelta::seconds(ago), 0.1)).collect();
        samples.push(sample(now, errors));
        Ok(Observation::from_samples(target.clone(), samples).unwrap().0.at(now))
    }
}

#[async_trait]
impl DecisionEngine for Load {
    fn name(&self) -> &'static str {
        "load"
    }

    async fn decide(&self, seen: &Observation) -> Result<ScalingDecision, EngineError> {
        let (run, wanted, _) = self.now();
        let decision = ScalingDecision::replicas("load", seen.current.timestamp, run, wanted);
        Ok(decision.with_confidence(1.0).with_foresight())
    }
}

/// Records of all replicas: who, and what.
pub(crate) type Book = Arc<Mutex<Vec<(usize, DecisionRecord)>>>;

struct Keeps(usize, Book);

impl Recorder for Keeps {
    fn record(&self, record: &DecisionRecord) -> Result<(), RecordError> {
        self.1.lock().unwrap().push((self.0, record.clone()));
        Ok(())
    }
}

pub(crate) struct Replica {
    run: JoinHandle<LoopReport>,
    stop: Stop,
    pub(crate) health: Box<dyn Fn() -> FleetHealth + Send + Sync>,
}

impl Replica {
    pub(crate) async fn end(self) {
        self.stop.request();
        self.run.await.unwrap();
    }
}

pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) load: Load,
    pub(crate) book: Book,
}

impl World {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, load: Load::default(), book: Book::default() }
    }

    pub(crate) fn target(name: &str) -> Target {
        Target::deployment("default", name)
    }

    pub(crate) fn api(&self) -> Api<HorizontalPodAutoscaler> {
        Api::namespaced(self.client.clone(), "default")
    }

    pub(crate) fn replica(&self, number: usize, leaving: Leaving) -> Replica {
        self.replica_over(number, leaving, HpaCache::builder(self.client.clone()))
    }

    pub(crate) fn replica_over(&self, number: usize, leaving: Leaving, cache: HpaCacheBuilder) -> Replica {
        self.replica_with(number, &self.client, |builder| builder.watching(cache).leaving(leaving))
    }

    /// One that talks through a client, with settings of its own.
    pub(crate) fn replica_with(
        &self,
        number: usize,
        client: &Client,
        set: impl FnOnce(FleetControllerBuilder) -> FleetControllerBuilder,
    ) -> Replica {
        let timing =
            LeaseTiming::new(Duration::from_secs(4), Duration::from_secs(3), Duration::from_millis(250)).unwrap();
        let leases = LeaseSettings::new("fleet", "default", &format!("replica-{number}")).unwrap();
        let zero = Duration::ZERO;
        let builder = FleetController::builder(client.clone(), self.load.clone(), self.load.clone())
            .leases(leases.shards(2).unwrap().timing(timing))
            .recorder(Keeps(number, Arc::clone(&self.book)))
            .cadence(Cadence::new(Duration::from_secs(1)).unwrap())
            .cooldown(Cooldown { down: zero, down_foreseen: zero, down_idle: zero, ..Cooldown::default() })
            // A share of it counts from when a shard was held for a whole window.
            .removal_budget(RemovalBudget::new(100, Duration::from_millis(500)).unwrap())
            .steps(StepLimit { up: 10.0, down: 0.1 })
            .watch(ObservedHealth::default(), WatchConfig::default())
            .history(true);
        let controller = set(builder).build();
        let (stop, health) = (Stop::new(), Box::new(controller.health()));
        let theirs = stop.clone();
        Replica { run: tokio::spawn(async move { controller.run(&theirs).await }), stop, health }
    }

    /// An HPA that the owner has applied, without a min: so nobody owns the one that we set.
    pub(crate) async fn hpa(&self, name: &str, annotations: &Value, labels: &Value) {
        let cpu = json!({ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 70 } } });
        let body = json!({
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": { "name": name, "annotations": annotations, "labels": labels },
            "spec": {
                "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name },
                "maxReplicas": 20,
                "metrics": [cpu],
            },
        });
        self.api().patch(name, &PatchParams::apply("host"), &Patch::Apply(body)).await.unwrap();
    }

    pub(crate) async fn patch(&self, name: &str, body: &Value) {
        let params = PatchParams { field_manager: Some("kubectl-annotate".into()), ..PatchParams::default() };
        self.api().patch(name, &params, &Patch::Merge(body)).await.unwrap();
    }

    pub(crate) async fn annotate(&self, name: &str, key: &str, value: Option<&str>) {
        self.patch(name, &json!({ "metadata": { "annotations": { key: value } } })).await;
    }

    pub(crate) async fn label(&self, name: &str, key: &str, value: Option<&str>) {
        self.patch(name, &json!({ "metadata": { "labels": { key: value } } })).await;
    }

    /// Sets the min as a person would.
    pub(crate) async fn edit(&self, name: &str, min: u32) {
        self.patch(name, &json!({ "spec": { "minReplicas": min } })).await;
    }

    pub(crate) async fn json(&self, name: &str) -> Value {
        serde_json::to_value(self.api().get(name).await.unwrap()).unwrap()
    }

    pub(crate) async fn history(&self, name: &str) -> Result<Vec<Change>, InvalidHistory> {
        of_hpa(&self.json(name).await, "kube-scaling")
    }

    /// Number of changes of the spec.
    pub(crate) async fn generation(&self, name: &str) -> i64 {
        let written = self.json(name).await;
        let ours = written["metadata"]["managedFields"].as_array().unwrap();
        // HPAs have no generation; the field managers tell whether we have written.
        i64::from(ours.iter().any(|entry| entry["manager"] == "kube-scaling"))
    }

    pub(crate) async fn version(&self, name: &str) -> String {
        self.json(name).await["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn min(&self, name: &str) -> i64 {
        self.json(name).await["spec"]["minReplicas"].as_i64().unwrap_or(1)
    }

    /// The mins of all HPAs, by name.
    pub(crate) async fn mins(&self) -> Vec<i32> {
        let list = self.api().list(&ListParams::default()).await.unwrap();
        list.into_iter().map(|hpa| hpa.spec.min_replicas.unwrap_or(1)).collect()
    }

    /// HPAs with an Event of this reason.
    pub(crate) async fn told(&self, reason: &str) -> Vec<String> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), "default");
        let list = events.list(&ListParams::default()).await.unwrap();
        let of_it = list.into_iter().filter(|event| event.reason.as_deref() == Some(reason));
        let mut names: Vec<String> = of_it.filter_map(|event| event.involved_object.name).collect();
        names.sort();
        names
    }
}

pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
