//! A whole [`FleetController`] over many HPAs: watch cache, Leases, batches, source, engine, guards, the look for owners, writes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use kube::Client;
use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::live::{Cadence, LoopReport, Stop};
use scaling_core::{
    DecisionEngine, DecisionRecord, MemorySource, MetricsSource, Observation, Outcome, RecordError, Recorder,
    ScalingMetrics, SignalKind, SourceError, Target,
};
use scaling_k8s::Writer;
use scaling_k8s::controller::cache::HpaCache;
use scaling_k8s::controller::fleet::FleetController;
use scaling_k8s::controller::lease::LeaseSettings;

use super::fleet;
use super::measure::{Server, Usage};
use super::support::{ADMIN, ControlPlane};

/// Time for anything that is waited for: less than the box that the tests run in.
const LIMIT: Duration = Duration::from_secs(300);

/// Four pods of each workload under its usual load, and more than double for some.
#[derive(Clone, Default)]
struct Shop {
    memory: Arc<MemorySource>,
    surging: Arc<Mutex<BTreeSet<String>>>,
}

impl Shop {
    fn sample(&self, target: &Target, at: DateTime<Utc>, usual: f64) {
        let load = if self.surging.lock().unwrap().contains(&target.name) { 2.3 } else { usual };
        let metrics = ScalingMetrics::new(at, 4)
            .with(SignalKind::CpuUtilization, 42.0 * load)
            .with(SignalKind::MemoryUtilization, 50.0)
            .with(SignalKind::RequestRate, 200.0 * load);
        self.memory.advance(target, metrics, at).unwrap();
    }
}

#[async_trait]
impl MetricsSource for Shop {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        if self.memory.observe(target, now).await.is_err() {
            for (minute, usual) in (1..).zip([0.97, 1.0, 1.03, 0.98, 1.01]) {
                self.sample(target, now - TimeDelta::minutes(6 - minute), usual);
            }
        }
        self.sample(target, now, 1.0);
        self.memory.observe(target, now).await
    }
}

/// Counts the records, and keeps those that are not of nothing.
#[derive(Clone, Default)]
struct Book(Arc<Mutex<Counted>>);

#[derive(Default)]
struct Counted {
    seen: BTreeMap<String, u64>,
    applied: BTreeSet<String>,
    failed: Vec<String>,
}

impl Recorder for Book {
    fn record(&self, record: &DecisionRecord) -> Result<(), RecordError> {
        let mut counted = self.0.lock().unwrap();
        *counted.seen.entry(record.target.name.clone()).or_default() += 1;
        match &record.outcome {
            Outcome::Applied => drop(counted.applied.insert(record.target.name.clone())),
            Outcome::Failed { .. } => counted.failed.push(record.explain()),
            _ => {}
        }
        Ok(())
    }
}

impl Book {
    /// Waits until each of so many targets has that many further records.
    async fn rounds(&self, targets: usize, more: u64) {
        let least = || {
            let counted = self.0.lock().unwrap();
            if counted.seen.len() < targets { 0 } else { counted.seen.values().copied().min().unwrap_or(0) }
        };
        // The greatest count now: a round that has begun is not counted as whole.
        let begun = self.0.lock().unwrap().seen.values().copied().max().unwrap_or(0);
        let ticked = async {
            while least() < begun + more {
                // Seldom: to look costs as much as some records.
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        let in_time = tokio::time::timeout(LIMIT, ticked).await;
        assert!(in_time.is_ok(), "{:?}", self.0.lock().unwrap().failed.iter().take(3).collect::<Vec<_>>());
    }

    fn taken(&self) -> Counted {
        let mut counted = self.0.lock().unwrap();
        let (applied, failed) = (std::mem::take(&mut counted.applied), std::mem::take(&mut counted.failed));
        Counted { seen: BTreeMap::new(), applied, failed }
    }
}

/// What was measured of a round in which nothing changes.
pub(crate) struct Steady {
    /// CPU of this process for a tick of each target, in seconds.
    pub(crate) cpu: f64,
    /// Memory of this process, in MiB.
    pub(crate) mib: u64,
}

/// Runs a fleet of so many HPAs, whose targets are ticked once in an interval, and checks what it asks the API server for.
pub(crate) async fn run(
    plane: &ControlPlane,
    hpas: usize,
    interval: Duration,
    engine: impl DecisionEngine + 'static,
) -> Steady {
    let client = plane.client(ADMIN);
    fleet::create(&client, hpas).await;
    let (shop, book, end) = (Shop::default(), Book::default(), Stop::new());
    let running = start(&client, interval, engine, (&shop, &book), &end);
    book.rounds(hpas, 2).await;
    println!("{hpas} HPAs, each ticked twice: {} MiB resident", Usage::now().mib());

    let mut steady = nothing_changes(plane, hpas, &book).await;
    let changing: BTreeSet<String> = (0..hpas).step_by(100).map(|number| format!("web-{number:05}")).collect();
    let (versions, server, before) = (fleet::versions(&client).await, Server::now(plane).await, Usage::now());
    shop.surging.lock().unwrap().clone_from(&changing);
    book.rounds(hpas, 1).await;
    shop.surging.lock().unwrap().clear();
    book.rounds(hpas, 1).await;
    let (used, after) = (Usage::now().since(&before), Server::now(plane).await);
    let asked = after.requests - server.requests;
    println!("{hpas} HPAs, {} change: {used}, {asked} requests for HPAs and owners", changing.len());
    // The first write looks for owners in the whole namespace. A batch may end meanwhile, and the next round goes on.
    let taken = book.taken();
    let cut_off = |said: &String| said.contains("the tick was cancelled before its end");
    assert!(taken.failed.iter().all(cut_off), "{:?}", taken.failed.iter().find(|said| !cut_off(said)));
    println!("{} ticks of a target were cut off meanwhile", taken.failed.len());
    assert!(taken.applied.is_subset(&changing), "{:?}", taken.applied);
    let now = fleet::versions(&client).await;
    let written: BTreeSet<String> =
        now.into_iter().filter(|(name, version)| versions[name] != *version).map(|(name, _)| name).collect();
    assert_eq!(written, changing, "one percent changes, and only these are written");

    let again = nothing_changes(plane, hpas, &book).await;
    (steady.cpu, steady.mib) = (steady.cpu.min(again.cpu), steady.mib.max(again.mib));
    end.request();
    let report = running.await.unwrap();
    assert_eq!(report.unrecorded, 0, "{report}");
    println!("{report}");
    steady
}

fn start(
    client: &Client,
    interval: Duration,
    engine: impl DecisionEngine + 'static,
    (shop, book): (&Shop, &Book),
    end: &Stop,
) -> tokio::task::JoinHandle<LoopReport> {
    let leases = LeaseSettings::new("fleet", "default", "replica").unwrap().shards(8).unwrap();
    // The bounds of these HPAs are their host's: it decides.
    let writer = Writer::new(client.clone()).force();
    let controller = FleetController::builder(writer, shop.clone(), engine)
        .watching(HpaCache::builder(client.clone()).namespace("default"))
        .leases(leases)
        .recorder(book.clone())
        .cadence(Cadence::new(interval).unwrap())
        .change_events(Duration::from_secs(60))
        .build();
    let until = end.clone();
    tokio::spawn(async move { controller.run(&until).await })
}

/// Nothing is read and nothing is written but the Leases.
async fn nothing_changes(plane: &ControlPlane, hpas: usize, book: &Book) -> Steady {
    const ROUNDS: u64 = 3;
    book.taken();
    let (server, before) = (Server::now(plane).await, Usage::now());
    book.rounds(hpas, ROUNDS).await;
    let (used, after, mib) = (Usage::now().since(&before), Server::now(plane).await, Usage::now().mib());
    // One more round, for the part of one that is waited for at the start.
    let cpu = used.cpu.as_secs_f64() / (ROUNDS + 1) as f64;
    println!("{hpas} HPAs, nothing changes: {cpu:.3} s CPU a tick of all, {mib} MiB resident; {used} for all of them");
    println!(
        "API server meanwhile: {:.2} s CPU, {} requests for Leases",
        after.cpu - server.cpu,
        after.leases - server.leases
    );
    assert_eq!(after.requests, server.requests, "requests besides the watch and the Leases");
    let taken = book.taken();
    assert_eq!((taken.applied, taken.failed), (BTreeSet::new(), Vec::new()));
    Steady { cpu, mib }
}
