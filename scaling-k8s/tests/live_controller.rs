//! Two replicas of a fleet controller against a real API server: one is killed, and the other serves its part.
//!
//! What was measured is printed (`--nocapture`).

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "live_controller/adopting.rs"]
mod adopting;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Event;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client};
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::live::{Cadence, LoopReport, Stop};
use scaling_core::{
    DecisionEngine, DecisionRecord, EngineError, Floor, MetricsSource, Observation, Outcome, Reason, RecordError,
    Recorder, ScalingDecision, ScalingMetrics, SignalKind, SourceError, Target,
};
use scaling_k8s::controller::fleet::{FleetController, FleetHealth};
use scaling_k8s::controller::lease::{LeaseSettings, LeaseTiming};
use serde_json::json;
use support::{ADMIN, ControlPlane};
use tokio::task::JoinHandle;

const FLEET: usize = 40;
const LEASE: Duration = Duration::from_secs(6);
const INTERVAL: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(90);

/// Pods that run, and pods that are asked for, of every workload.
#[derive(Clone, Default)]
struct Load {
    run: Arc<AtomicU32>,
    wanted: Arc<AtomicU32>,
}

impl Load {
    fn set(&self, run: u32, wanted: u32) {
        self.run.store(run, Ordering::SeqCst);
        self.wanted.store(wanted, Ordering::SeqCst);
    }
}

#[async_trait]
impl MetricsSource for Load {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        let metrics = ScalingMetrics::new(now, self.run.load(Ordering::SeqCst));
        Ok(Observation::new(target.clone(), metrics.with(SignalKind::CpuUtilization, 50.0)).at(now))
    }
}

#[async_trait]
impl DecisionEngine for Load {
    fn name(&self) -> &'static str {
        "load"
    }

    async fn decide(&self, seen: &Observation) -> Result<ScalingDecision, EngineError> {
        let (run, wanted) =
            (seen.current.replicas().ok_or(EngineError::NoPodCount)?, self.wanted.load(Ordering::SeqCst));
        let decision = ScalingDecision::replicas("load", seen.current.timestamp, run, wanted.max(run));
        Ok(decision.with_confidence(1.0).with_foresight())
    }
}

/// Records of all replicas: who, when by a clock that nobody sets, what.
type Book = Arc<Mutex<Vec<(usize, Instant, DecisionRecord)>>>;

struct Keeps(usize, Book);

impl Recorder for Keeps {
    fn record(&self, record: &DecisionRecord) -> Result<(), RecordError> {
        self.1.lock().unwrap().push((self.0, Instant::now(), record.clone()));
        Ok(())
    }
}

struct Replica {
    run: JoinHandle<LoopReport>,
    stop: Stop,
    health: Box<dyn Fn() -> FleetHealth + Send + Sync>,
}

fn replica(client: &Client, number: usize, load: &Load, book: &Book) -> Replica {
    let timing = LeaseTiming::new(LEASE, Duration::from_secs(4), Duration::from_millis(250)).unwrap();
    let leases = LeaseSettings::new("fleet", "default", &format!("replica-{number}")).unwrap();
    let controller = FleetController::builder(client.clone(), load.clone(), load.clone())
        .leases(leases.shards(8).unwrap().timing(timing))
        .recorder(Keeps(number, Arc::clone(book)))
        .cadence(Cadence::new(INTERVAL).unwrap())
        .change_events(Duration::ZERO)
        .build();
    let (stop, health) = (Stop::new(), Box::new(controller.health()));
    let theirs = stop.clone();
    Replica { run: tokio::spawn(async move { controller.run(&theirs).await }), stop, health }
}

async fn hpa(client: &Client, name: &str, mode: &str) {
    let api: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), "default");
    let cpu = json!({ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 70 } } });
    let body = json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": { "name": name, "annotations": { "kube-scaling/mode": mode } },
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name },
            "maxReplicas": 20,
            "metrics": [cpu],
        },
    });
    api.patch(name, &PatchParams::apply("host"), &Patch::Apply(body)).await.unwrap();
}

async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// HPAs with an Event of this reason.
async fn told(client: &Client, reason: &str) -> BTreeSet<String> {
    let events: Api<Event> = Api::namespaced(client.clone(), "default");
    let list = events.list(&ListParams::default()).await.unwrap();
    let of_it = list.into_iter().filter(|event| event.reason.as_deref() == Some(reason));
    of_it.filter_map(|event| event.involved_object.name).collect()
}

async fn mins(client: &Client) -> BTreeMap<String, i32> {
    let api: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), "default");
    let list = api.list(&ListParams::default()).await.unwrap();
    let min = |hpa: HorizontalPodAutoscaler| (hpa.metadata.name.unwrap(), hpa.spec.min_replicas.unwrap_or(1));
    list.into_iter().map(min).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_one_killed_and_the_fleet_is_served_within_a_lease_and_nothing_is_decided_twice() {
    let Some(assets) = support::assets() else { return };
    let plane = ControlPlane::start(&assets).await;
    let client = plane.client(ADMIN);
    for nth in 0..FLEET {
        hpa(&client, &format!("web-{nth}"), "full").await;
    }
    for mode in ["observe", "floors", "ful"] {
        hpa(&client, mode, mode).await;
    }
    let full = |minimum: i32| {
        let client = client.clone();
        async move {
            mins(&client).await.iter().filter(|(name, min)| name.starts_with("web-") && **min == minimum).count()
                == FLEET
        }
    };
    let (load, book) = (Load::default(), Book::default());
    load.set(3, 6);
    let (killed, other) = (replica(&client, 0, &load, &book), replica(&client, 1, &load, &book));
    until("all are raised to 6", || full(6)).await;
    let split =
        || async { [&killed, &other].into_iter().all(|one| (one.health)().shards.is_some_and(|held| held.len() == 4)) };
    until("each holds half of the shards", split).await;
    until("both are ready", || async { [&killed, &other].into_iter().all(|one| (one.health)().readiness.is_ready()) })
        .await;

    killed.run.abort();
    let end = Instant::now();
    load.set(6, 9);
    until("all are raised to 9", || full(9)).await;
    println!(
        "all of the fleet was served again {:.1} s after the kill, leases last {} s",
        end.elapsed().as_secs_f64(),
        LEASE.as_secs()
    );

    until("the fault of a setting is answered", || async { told(&client, "SettingsRefused").await.contains("ful") })
        .await;
    let changed = || async { told(&client, "BoundsChanged").await.len() == FLEET };
    until("each HPA has an Event of its changes", changed).await;
    other.stop.request();
    let report = other.run.await.unwrap();
    nothing_is_decided_twice(&book.lock().unwrap(), &report);

    let left = mins(&client).await;
    assert_eq!(["observe", "floors", "ful"].map(|name| left[name]), [1, 1, 1], "nothing is asked for by a floor");
    let leases: Api<Lease> = Api::namespaced(client.clone(), "default");
    let held = leases.list(&ListParams::default()).await.unwrap();
    let mine = held.iter().filter(|lease| {
        lease
            .spec
            .as_ref()
            .is_some_and(|spec| spec.holder_identity.as_deref().is_some_and(|who| who.starts_with("replica-1")))
    });
    assert_eq!(mine.count(), 0, "a replica that ends hands over");
}

fn nothing_is_decided_twice(book: &[(usize, Instant, DecisionRecord)], report: &LoopReport) {
    let mut seen = BTreeSet::new();
    let mut applied: BTreeMap<&Target, u32> = BTreeMap::new();
    for (_, _, record) in book {
        assert!(seen.insert((&record.target, record.at)), "{} was decided on twice at {}", record.target, record.at);
        *applied.entry(&record.target).or_default() += u32::from(record.outcome == Outcome::Applied);
    }
    let twice = applied.values().filter(|writes| **writes == 2).count();
    assert_eq!((twice, applied.len()), (FLEET, FLEET + 3), "each of the two changes is written once: {applied:?}");
    let own = book.iter().filter(|(who, ..)| *who == 1).count();
    assert_eq!((report.records, report.unrecorded), (own as u64, 0), "no record is lost at the end");
    println!("{} records, {} by the replica that stayed; {report}", book.len(), own);
}

/// An engine that gives what the load asks for, and has a floor for some seconds from its first tick on.
struct Opening {
    load: Load,
    until: Arc<OnceLock<DateTime<Utc>>>,
}

#[async_trait]
impl DecisionEngine for Opening {
    fn name(&self) -> &'static str {
        "opening"
    }

    fn floor(&self, _: &Target, now: DateTime<Utc>) -> Option<Floor> {
        let window = Reason::Schedule { window: "opening".into(), replicas: 5 };
        // Long enough for what a busy machine needs between its first tick and its first write.
        let until = *self.until.get_or_init(|| now + scaling_core::chrono::TimeDelta::seconds(20));
        (now < until).then(|| Floor::new(5, window).until(until))
    }

    async fn decide(&self, seen: &Observation) -> Result<ScalingDecision, EngineError> {
        let decision = self.load.decide(seen).await?;
        let floor = self.floor(&seen.target, seen.now);
        Ok(floor.into_iter().fold(decision, ScalingDecision::with_floor))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_floors_alone_a_floor_that_is_due_is_held_and_given_back_and_nothing_else_is_written() {
    let Some(assets) = support::assets() else { return };
    let plane = ControlPlane::start(&assets).await;
    let client = plane.client(ADMIN);
    for mode in ["observe", "floors", "full"] {
        hpa(&client, mode, mode).await;
    }
    // Otherwise what is given back a pod at a time waits for minutes.
    let soon = json!({ "metadata": { "annotations": { "kube-scaling/cooldown": "1s" } } });
    let hpas: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), "default");
    hpas.patch("floors", &PatchParams::default(), &Patch::Merge(soon)).await.unwrap();
    let (load, book) = (Load::default(), Book::default());
    // More than the floor, which the engine alone asks for: only the one that is under it in full gets them.
    load.set(3, 6);
    let until_then = Arc::new(OnceLock::new());
    let engine = Opening { load: load.clone(), until: Arc::clone(&until_then) };
    let controller = FleetController::builder(client.clone(), load, engine)
        .recorder(Keeps(0, Arc::clone(&book)))
        .cadence(Cadence::new(INTERVAL).unwrap())
        .change_events(Duration::ZERO)
        .build();
    let stop = Stop::new();
    let theirs = stop.clone();
    let run = tokio::spawn(async move { controller.run(&theirs).await });
    let min_is = |name: &'static str, minimum: i32| {
        let client = client.clone();
        async move { mins(&client).await[name] == minimum }
    };
    until("the floor that is due is held", || min_is("floors", 5)).await;
    until("in full, what the engine asks for is there", || min_is("full", 6)).await;
    until("the floor is given back when it ends", || min_is("floors", 1)).await;
    assert!(*until_then.get().unwrap() <= DateTime::<Utc>::from(std::time::SystemTime::now()), "not before");
    stop.request();
    run.await.unwrap();
    assert_eq!(mins(&client).await["observe"], 1, "nothing is written to one that is observed");
    let book = book.lock().unwrap().clone();
    let of = |name: &str| {
        book.iter()
            .map(|(_, _, record)| record)
            .filter(move |record| record.target.name == name)
            .cloned()
            .collect::<Vec<_>>()
    };
    let changes: Vec<_> = of("floors")
        .iter()
        .filter(|record| record.outcome == Outcome::Applied)
        .map(|record| {
            record.change.map(|change| (change.old.min(), change.new.min(), change.old.max() == change.new.max()))
        })
        .collect();
    let changes: Vec<(u32, u32, bool)> = changes.into_iter().flatten().collect();
    assert!(changes.iter().all(|(.., max_stays)| *max_stays), "law 6: a floor moves the min alone: {changes:?}");
    assert_eq!(changes.first().map(|(from, to, _)| (*from, *to)), Some((1, 5)), "up at once");
    assert!(changes.iter().skip(1).all(|(from, to, _)| to < from), "and back, as the guards let pods go: {changes:?}");
    assert_eq!(changes.last().map(|(_, to, _)| *to), Some(1), "to what the owner had set: {changes:?}");
    let events: Api<Event> = Api::namespaced(client.clone(), "default");
    let told = events.list(&ListParams::default()).await.unwrap().into_iter().find(|event| {
        event.reason.as_deref() == Some("BoundsChanged") && event.involved_object.name.as_deref() == Some("floors")
    });
    let told = told.unwrap();
    let made = i32::try_from(changes.len()).unwrap();
    let series = told.series.unwrap();
    assert_eq!((told.count, series.count), (Some(made), Some(made)), "one series, and the API server takes it");
    assert_eq!(
        series.last_observed_time.map(|time| time.0.as_second()),
        told.last_timestamp.map(|time| time.0.as_second())
    );
    assert!(of("observe").iter().all(|record| record.outcome != Outcome::Applied));
    let api: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), "default");
    assert_eq!(api.get("floors").await.unwrap().spec.max_replicas, 20);
}
