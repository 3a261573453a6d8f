//! The operator as a process against a real API server, with a token of the shipped ServiceAccount and no other rights than its Role gives.
//!
//! The API server's audit log says what it asked for: nothing that it may not, and everything that the Role grants.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "operator/audit.rs"]
mod audit;
#[path = "operator/flags.rs"]
mod flags;
#[path = "operator/process.rs"]
mod process;
#[path = "operator/prometheus.rs"]
mod prometheus;
#[path = "../../scaling-k8s/tests/support/mod.rs"]
mod support;
#[path = "operator/world.rs"]
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use scaling_core::chrono::{DateTime, Utc};
use scaling_core::live::{Entry, entries};
use scaling_core::{Bounds, DecisionRecord, Outcome, SignalKind};
use serde_json::{Value, json};

use audit::{Granted, Used};
use process::Operator;
use prometheus::Prometheus;
use support::ControlPlane;
use support::aggregated::{MetricsApis, Reading};
use world::{OWN, SHOP, World};

/// The trials of a target take a minute, and what is beside them on the machine may be much.
const LIMIT: Duration = Duration::from_secs(240);

/// Asks again until it holds.
async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Records that a run has kept, in their order. The last line of one that goes on, or was killed, may be torn.
fn records(folder: &Path) -> Vec<DecisionRecord> {
    let record = |entry| match entry {
        Entry::Record(record) => Some(*record),
        _ => None,
    };
    entries(folder).unwrap().filter_map(record).collect()
}

/// Waits until each of these HPAs has two ticks that began after now and changed nothing, as the records of these operators say.
async fn until_quiet(names: &BTreeSet<String>, operators: &[&Operator]) {
    let begun = DateTime::<Utc>::from(SystemTime::now());
    let is_quiet = || {
        let mut quiet: BTreeMap<String, u32> = BTreeMap::new();
        let mut since: Vec<DecisionRecord> =
            operators.iter().flat_map(|operator| records(operator.records())).filter(|one| one.at > begun).collect();
        since.sort_by_key(|record| record.at);
        for record in since {
            let ticks = quiet.entry(record.target.hpa.clone()).or_default();
            *ticks = if matches!(record.outcome, Outcome::Applied | Outcome::Failed { .. }) { 0 } else { *ticks + 1 };
        }
        names.iter().all(|name| quiet.get(name).is_some_and(|ticks| *ticks >= 2))
    };
    until("two ticks in a row change nothing", || async { is_quiet() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_under_the_shipped_role_and_one_is_killed() {
    let Some(assets) = support::assets() else { return };
    let world = World::new(ControlPlane::start(&assets).await).await;
    world.roles(&["namespaced/role.yaml"]).await;
    let raised = world.fleet().await;
    let still = ["observe", "floors", "ful", "elsewhere"];
    let prometheus = Prometheus::start().await;
    let kubeconfig = world.kubeconfig().await;
    // What the account was made use of until here was not the operator.
    let before = world.audited().len();
    let arguments = [prometheus.arguments(), vec!["--shards=8".to_owned()]].concat();
    let start = |name: &str| Operator::start(&world, &kubeconfig, name, &arguments);
    let (mut killed, mut other) = (start("operator-0"), start("operator-1"));

    for operator in [&mut killed, &mut other] {
        operator.serves().await;
        assert_eq!(operator.get("/healthz").await.0, 200, "alive before it is ready");
    }
    until("both are ready", || async { killed.get("/readyz").await.0 == 200 && other.get("/readyz").await.0 == 200 })
        .await;
    until("each holds half of the shards", || async {
        let held = world.shards().await;
        ["operator-0", "operator-1"].iter().all(|name| held.values().filter(|holder| *holder == name).count() == 4)
    })
    .await;
    // Enough to know what is usual.
    until("some ticks are recorded", || async { records(killed.records()).len() > 8 * raised.len() }).await;
    prometheus.set(4, 2.3);
    let first = world.until_raised(&raised, &BTreeMap::new(), &[&killed, &other]).await;

    // Lists do not show a Lease without its label, which is then read by its name.
    world.unlabel_a_lease("kube-scaling-shard-3").await;
    killed.kill();
    let end = Instant::now();
    prometheus.set(12, 2.3);
    let second = world.until_raised(&raised, &first, &[&other]).await;
    println!("raised from {first:?} to {second:?}, the last {:.1} s after the kill", end.elapsed().as_secs_f64());
    until("the fault of a setting is answered", || async { world.told("SettingsRefused").await.contains("ful") }).await;
    until("changes are told", || async { world.told("BoundsChanged").await.is_superset(&raised) }).await;
    let (page, metrics) = (other.get("/readyz").await, other.get("/metrics").await);
    assert!(page.0 == 200 && metrics.1.contains("ai_scaling_ticks_total"), "{page:?} {metrics:?}");

    let report = other.terminate().await;
    let kept = records(other.records());
    let bad = entries(other.records()).unwrap().find(|entry| matches!(entry, Entry::Bad(_)));
    assert!(bad.is_none(), "{bad:?}");
    assert!(report.contains(&format!("{} records", kept.len())), "records are complete: {} of {report}", kept.len());
    let holders = world.shards().await;
    assert!(holders.values().all(String::is_empty), "everything is handed over: {holders:?}");

    let killed = records(killed.records());
    nothing_is_decided_twice(&killed, &kept);
    let audited = world.audited().split_off(before);
    let applied = |records: &[DecisionRecord]| records.iter().filter(|one| one.outcome == Outcome::Applied).count();
    let written = audited.iter().filter(|request| audit::writes_an_hpa(request)).count();
    assert_eq!(written, applied(&killed) + applied(&kept), "each write has its record, and each record its write");
    for name in still {
        assert_eq!(world.min(name).await, 1, "{name}");
    }

    let used = Used::of(&audited);
    assert_eq!(used.refused, [""; 0], "the role is enough");
    assert_eq!(used.of_resources(SHOP), Granted::by("namespaced/role.yaml").0, "and no more");
    assert_eq!(used.of_resources(OWN), Granted::by("base/leases.yaml").0, "and no more");
    assert_eq!(used.namespaces(), BTreeSet::from([OWN, SHOP]));
}

/// No target has two records of one instant, and each change begins where the one before it ended, whoever made it.
fn nothing_is_decided_twice(killed: &[DecisionRecord], other: &[DecisionRecord]) {
    let mut seen = BTreeSet::new();
    let mut all: Vec<&DecisionRecord> = killed.iter().chain(other).collect();
    all.sort_by_key(|record| record.at);
    let mut bounds = BTreeMap::new();
    for record in &all {
        assert!(seen.insert((&record.target, record.at)), "{} was decided on twice at {}", record.target, record.at);
        if record.outcome == Outcome::Applied {
            let change = record.change.unwrap();
            let before = bounds.insert(&record.target, change.new).unwrap_or(Bounds::new(1, 60).unwrap());
            assert_eq!(change.old, before, "{} at {}: a change is lost or made twice", record.target, record.at);
        }
    }
    let by = |records: &[DecisionRecord]| records.iter().map(|record| record.target.clone()).collect::<BTreeSet<_>>();
    let all: BTreeSet<_> = by(killed).union(&by(other)).cloned().collect();
    assert_eq!(by(other), all, "the other serves all of them in the end");
    println!("{} records of the killed one, {} of the other, {} targets", killed.len(), other.len(), all.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metrics_api_needs_its_own_role_and_no_more() {
    let Some(assets) = support::assets() else { return };
    let world = World::new(ControlPlane::start(&assets).await).await;
    world.roles(&["namespaced/role.yaml"]).await;
    let names = world.workloads_with_pods().await;
    let metrics = MetricsApis::start(&world.plane).await;
    metrics.set(SHOP, "cpu", Reading::PerPod(|_, _| Some(250)));
    let kubeconfig = world.kubeconfig().await;
    let arguments = ["--metrics-api=cpu", "--trials", "--undo", "--give-back"].map(str::to_owned);
    let start = || Operator::start(&world, &kubeconfig, "operator-0", &arguments);

    // Without the role it says what it is not allowed.
    let mut operator = start();
    operator.serves().await;
    until("the missing right is told", || async { operator.said().contains("forbidden") }).await;
    operator.terminate().await;
    std::fs::remove_dir_all(operator.records()).unwrap();
    let before = world.audited().len();

    world.roles(&["metrics-api/namespaced/role.yaml"]).await;
    let mut operator = start();
    operator.serves().await;
    until("all are seen", || async {
        let records = records(operator.records());
        let seen = |record: &&DecisionRecord| {
            let cpu = record.metrics.as_ref().and_then(|metrics| metrics.signal(SignalKind::CpuUtilization).value());
            cpu.is_some_and(|cpu| (cpu - 50.0).abs() < 0.1)
        };
        let seen: BTreeSet<&str> = records.iter().filter(seen).map(|record| record.target.name.as_str()).collect();
        names.iter().all(|name| seen.contains(name.as_str()))
    })
    .await;
    operator.terminate().await;

    let used = Used::of(&world.audited()[before..]);
    assert_eq!(used.refused, [""; 0], "the two roles are enough");
    let (base, own) = (Granted::by("namespaced/role.yaml").0, Granted::by("metrics-api/namespaced/role.yaml").0);
    let used = used.of_resources(SHOP);
    assert_eq!(used.difference(&base).cloned().collect::<BTreeSet<_>>(), own, "and the second no more");
}

/// A JSON object of the API, in short.
fn named(name: &str) -> Value {
    json!({ "name": name })
}
