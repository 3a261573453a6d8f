//! A fleet controller that talks through a proxy, and what the API server has stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::live::{Cadence, Clock, LoopReport, Stop, SystemClock};
use scaling_core::{
    Cooldown, DecisionEngine, DecisionRecord, EngineError, MetricsSource, Observation, RecordError, Recorder,
    RemovalBudget, ScalingDecision, ScalingMetrics, SignalKind, SourceError,
};
use scaling_k8s::Writer;
use scaling_k8s::controller::cache::HpaCache;
use scaling_k8s::controller::fleet::{FleetController, FleetControllerBuilder, FleetHealth};
use scaling_k8s::controller::lease::{LeaseSettings, LeaseTiming};
use scaling_k8s::k8s_openapi;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::faults::PATIENCE;
use crate::until;

/// Leases of the controller's replicas and shards.
pub(crate) const FLEET_LEASES: [&str; 5] =
    ["fleet-shard-0", "fleet-shard-1", "fleet-shard-2", "fleet-shard-3", "fleet-member-0"];

/// Pods that are asked for of every workload; as many run as were asked for before.
#[derive(Clone)]
struct Load(Arc<(AtomicU32, AtomicU32)>);

#[async_trait]
impl MetricsSource for Load {
    async fn observe(&self, target: &scaling_core::Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        let metrics = ScalingMetrics::new(now, self.0.0.load(Ordering::SeqCst));
        Ok(Observation::new(target.clone(), metrics.with(SignalKind::CpuUtilization, 50.0)).at(now))
    }
}

#[async_trait]
impl DecisionEngine for Load {
    fn name(&self) -> &'static str {
        "load"
    }

    async fn decide(&self, seen: &Observation) -> Result<ScalingDecision, EngineError> {
        let run = seen.current.replicas().ok_or(EngineError::NoPodCount)?;
        let wanted = self.0.1.load(Ordering::SeqCst).max(run);
        let decision = ScalingDecision::replicas("load", seen.current.timestamp, run, wanted);
        Ok(decision.with_confidence(1.0).with_foresight())
    }
}

/// The machine's clock, set wrong by so many seconds.
#[derive(Clone, Default)]
pub(crate) struct Jumping(Arc<AtomicI64>);

impl Jumping {
    pub(crate) fn is_wrong_by(&self, seconds: i64) {
        self.0.store(seconds, Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for Jumping {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + TimeDelta::seconds(self.0.load(Ordering::SeqCst))
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

/// An HPA, and the instant of a tick.
type Ticked = (String, DateTime<Utc>);

/// Ticks, and what was changed in them, for people.
#[derive(Clone, Default)]
struct Book(Arc<Mutex<BTreeSet<Ticked>>>, Arc<Mutex<Vec<(String, String)>>>);

impl Recorder for Book {
    fn record(&self, record: &DecisionRecord) -> Result<(), RecordError> {
        let new = self.0.lock().unwrap().insert((record.target.name.clone(), record.at));
        assert!(new, "{} was decided on twice at {}", record.target, record.at);
        if let Some(change) = record.change.filter(|change| change.old != change.new) {
            let (old, new) = (change.old, change.new);
            let told = format!("{}: {old} -> {new}, {}, {:?}", record.at, record.outcome, record.clamps);
            self.1.lock().unwrap().push((record.target.name.clone(), told));
        }
        Ok(())
    }
}

pub(crate) struct Controller {
    pub(crate) cache: HpaCache,
    pub(crate) clock: Jumping,
    /// To the API server, past every fault.
    direct: Api<HorizontalPodAutoscaler>,
    load: Load,
    book: Book,
    ticks: watch::Receiver<u64>,
    health: Box<dyn Fn() -> FleetHealth + Send + Sync>,
    stop: Stop,
    run: JoinHandle<LoopReport>,
}

impl Controller {
    pub(crate) async fn start(admin: Client, client: Client, names: &[String]) -> Self {
        Self::start_with(admin, client, names, |builder| builder).await
    }

    /// One that lowers what it may a second later.
    pub(crate) async fn start_without_pauses(admin: Client, client: Client, names: &[String]) -> Self {
        let second = Duration::from_secs(1);
        let pauses = Cooldown { down: second, down_foreseen: second, down_idle: second, ..Cooldown::default() };
        let budget = RemovalBudget::new(1000, second).unwrap();
        Self::start_with(admin, client, names, |builder| builder.cooldown(pauses).removal_budget(budget)).await
    }

    async fn start_with(
        admin: Client,
        client: Client,
        names: &[String],
        set: impl FnOnce(FleetControllerBuilder) -> FleetControllerBuilder,
    ) -> Self {
        let load = Load(Arc::new((AtomicU32::new(3), AtomicU32::new(3))));
        let (book, stop, (ticked, ticks)) = (Book::default(), Stop::new(), watch::channel(0_u64));
        let direct: Api<HorizontalPodAutoscaler> = Api::namespaced(admin, "default");
        let timing =
            LeaseTiming::new(Duration::from_secs(6), Duration::from_secs(4), Duration::from_millis(250)).unwrap();
        let leases = LeaseSettings::new("fleet", "default", "replica").unwrap().shards(4).unwrap().timing(timing);
        let clock = Jumping::default();
        let writer = Writer::new(client).timeout(PATIENCE);
        let builder = FleetController::builder(writer, load.clone(), load.clone())
            .clock(clock.clone())
            .leases(leases)
            .recorder(book.clone())
            .cadence(Cadence::new(Duration::from_secs(1)).unwrap())
            .batches(1)
            .side_by_side(128)
            .after_tick(move |_, _| ticked.send_modify(|count| *count += 1));
        let controller = set(builder).build();
        let (cache, health, theirs) = (controller.cache().clone(), Box::new(controller.health()), stop.clone());
        let run = tokio::spawn(async move { controller.run(&theirs).await });
        let this = Self { cache, clock, direct, load, book, ticks, health, stop, run };
        for name in names {
            this.create(name).await;
        }
        until("all shards are held", || async { this.shards() == 4 }).await;
        until("what is asked for at first is there", || async {
            this.stored().await.values().all(|(min, _)| *min == 3)
        })
        .await;
        this
    }

    pub(crate) fn health(&self) -> FleetHealth {
        (self.health)()
    }

    pub(crate) fn shards(&self) -> usize {
        (self.health)().shards.map_or(0, |shards| shards.len())
    }

    /// So many pods are asked for from now on, and those run that were asked for before.
    pub(crate) fn want(&self, pods: u32) {
        let before = self.load.0.1.load(Ordering::SeqCst);
        self.load.0.0.store(before.min(pods), Ordering::SeqCst);
        self.load.0.1.store(pods, Ordering::SeqCst);
    }

    /// Waits for ticks that have begun since.
    pub(crate) async fn ticks(&mut self, number: u64) {
        // One may be under way.
        let end = *self.ticks.borrow() + number + 1;
        let ticked = tokio::time::timeout(crate::LIMIT, self.ticks.wait_for(|count| *count >= end)).await;
        assert!(ticked.is_ok(), "ticks go on, whatever fails");
    }

    /// Min of each HPA, and how often its spec was changed since it was made, plus one.
    pub(crate) async fn stored(&self) -> BTreeMap<String, (u32, i64)> {
        let list = self.direct.list(&ListParams::default()).await.unwrap();
        let one = |hpa: HorizontalPodAutoscaler| {
            let min = u32::try_from(hpa.spec.min_replicas.unwrap_or(1)).unwrap();
            (hpa.metadata.name.unwrap(), (min, hpa.metadata.generation.unwrap()))
        };
        list.into_iter().map(one).collect()
    }

    /// Changes of an HPA, the newest ones.
    pub(crate) fn changes(&self, name: &str) -> Vec<String> {
        let told = self.book.1.lock().unwrap();
        told.iter().rev().filter(|(of, _)| of == name).take(6).map(|(_, told)| told.clone()).collect()
    }

    async fn create(&self, name: &str) -> String {
        let cpu = json!({ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 70 } } });
        let hpa = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": { "name": name, "annotations": { "kube-scaling/mode": "full" } },
            "spec": { "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name }, "maxReplicas": 60, "metrics": [cpu] },
        });
        let made = self.direct.patch(name, &PatchParams::apply("host"), &Patch::Apply(hpa)).await.unwrap();
        made.metadata.resource_version.unwrap()
    }

    /// Sets an annotation, as a person would.
    pub(crate) async fn edit(&self, name: &str, key: &str, value: &str) -> String {
        let params = PatchParams { field_manager: Some("kubectl-edit".to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(json!({ "metadata": { "annotations": { key: value } } }));
        self.direct.patch(name, &params, &patch).await.unwrap().metadata.resource_version.unwrap()
    }

    /// An HPA comes, one comes and goes, one is taken out, one put back; then waits until the cache knows of it.
    pub(crate) async fn a_world_that_goes_on(&self, name: &str) {
        let short = format!("{name}-short");
        self.create(&short).await;
        self.create(name).await;
        self.edit("case-1", "kube-scaling/mode", "observe").await;
        self.direct.delete(&short, &DeleteParams::default()).await.unwrap();
        let version = self.edit("case-1", "kube-scaling/mode", "full").await;
        let caught_up = tokio::time::timeout(crate::LIMIT, self.cache.caught_up(&version)).await;
        assert!(caught_up.is_ok(), "{name}: the cache has the world again: {:?}", self.cache.health());
    }

    /// Two ticks later all HPAs have what is asked for, and no others are ticked.
    pub(crate) async fn is_as_it_should_be(&mut self, what: &str) {
        until("the shards are held", || async { self.shards() == 4 }).await;
        self.ticks(2).await;
        let wanted = self.load.0.1.load(Ordering::SeqCst);
        let stored = self.stored().await;
        for (name, (min, _)) in &stored {
            assert_eq!(*min, wanted, "{what}: {name}");
        }
        let listed: BTreeSet<String> = self.cache.targets().iter().map(|listed| listed.target.hpa.clone()).collect();
        assert_eq!(listed, stored.into_keys().collect(), "{what}");
    }

    /// Ends it. Nothing has panicked, and no record is lost.
    pub(crate) async fn end(self) {
        self.stop.request();
        let report = self.run.await.unwrap();
        let kept = self.book.0.lock().unwrap().len() as u64;
        assert_eq!((report.unrecorded, report.records), (0, kept), "{report}");
        println!("{report}");
    }
}
