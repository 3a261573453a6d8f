//! A fleet against a real API server: what a tick costs where nothing changes, where a part changes, and after an outage.
//!
//! The numbers are printed (`--nocapture`). The fleet of ten thousand is held to a second of CPU for a tick in which nothing changes, and to
//! 300 MiB: `cargo test -p scaling-k8s --test live_fleet -- --ignored --nocapture`. The whole controller over as many is the example
//! `fleet_scale`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "live_fleet/assembled.rs"]
mod assembled;
#[path = "live_fleet/fleet.rs"]
mod fleet;
#[path = "live_fleet/measure.rs"]
mod measure;
mod support;

use std::time::Duration;

use scaling_core::{ApplyError, HpaApplier, Outcome, RuleBasedEngine, Step};
use scaling_k8s::controller::applier::CachedApplier;
use scaling_k8s::controller::cache::HpaCache;
use scaling_k8s::controller::settings::Mode;
use scaling_k8s::ownership::OwnershipPolicy;
use scaling_k8s::{KubeHpaApplier, Writer};

use fleet::Fleet;
use measure::Usage;
use support::{ADMIN, ControlPlane};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand() {
    a_fleet_of(1000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute"]
async fn ten_thousand() {
    a_fleet_of(10_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_under_the_whole_controller() {
    let Some(assets) = support::assets() else { return };
    let plane = ControlPlane::start(&assets).await;
    assembled::run(&plane, 1000, Duration::from_secs(4), RuleBasedEngine::default()).await;
}

async fn a_fleet_of(hpas: usize) {
    let Some(assets) = support::assets() else { return };
    let mut plane = ControlPlane::start(&assets).await;
    let client = plane.client(ADMIN);
    fleet::create(&client, hpas).await;

    let before = Usage::now();
    let cache = HpaCache::builder(client.clone()).namespace("default").start();
    cache.ready().await;
    let filled = Usage::now();
    println!("{hpas} HPAs listed: {}, cache {} MiB", filled.since(&before), filled.mib() - before.mib());
    let targets = cache.targets();
    assert_eq!(targets.len(), hpas);
    assert!(targets.iter().all(|target| target.mode() == Mode::Full));

    // Looking for other owners before a first write is counted elsewhere.
    let writer = KubeHpaApplier::new(Writer::new(client.clone()).force()).ownership(OwnershipPolicy::Take);
    let applier = CachedApplier::new(cache.clone(), writer);
    let mut fleet = Fleet::new(&targets, applier);
    println!(
        "{hpas} HPAs with metrics in memory: {} MiB resident, {} before the cache",
        Usage::now().mib(),
        before.mib()
    );
    steady(&mut fleet, &plane, hpas).await;
    a_part_changes(&mut fleet, &plane, hpas).await;
    steady(&mut fleet, &plane, hpas).await;
    println!("{hpas} HPAs after seven ticks: {} MiB resident", Usage::now().mib());
    an_outage(&fleet, &mut plane).await;
    println!("{hpas} HPAs in the end: {} MiB resident", Usage::now().mib());
    if hpas >= 10_000 {
        assert!(Usage::now().mib() <= 300, "memory of a fleet of ten thousand");
    }
}

/// Nothing changes: nothing is written, and nothing is read.
async fn steady(fleet: &mut Fleet, plane: &ControlPlane, hpas: usize) {
    let server = measure::Server::now(plane).await;
    let mut cheapest = Duration::MAX;
    for _ in 0..3 {
        let before = Usage::now();
        let records = fleet.tick(|_| false).await;
        let used = Usage::now().since(&before);
        cheapest = cheapest.min(used.cpu);
        println!("{hpas} HPAs, nothing changes: {used}");
        // What was changed a moment ago may be held by a cooldown.
        let other =
            records.iter().find(|record| record.change.is_some() || matches!(record.outcome, Outcome::Failed { .. }));
        assert!(other.is_none(), "{other:?}");
    }
    let after = measure::Server::now(plane).await;
    println!("API server meanwhile: {:.2} s CPU", after.cpu - server.cpu);
    assert_eq!(after.requests, server.requests, "requests for HPAs besides the watch");
    if hpas >= 10_000 {
        assert!(cheapest <= Duration::from_secs(1), "a steady tick of ten thousand takes {cheapest:?} of CPU");
    }
}

/// One percent changes: these are written and no others.
async fn a_part_changes(fleet: &mut Fleet, plane: &ControlPlane, hpas: usize) {
    let changing: Vec<usize> = (0..hpas).step_by(100).collect();
    let versions = fleet::versions(&plane.client(ADMIN)).await;
    let server = measure::Server::now(plane).await;
    let before = Usage::now();
    let records = fleet.tick(|place| changing.contains(&place)).await;
    println!("{hpas} HPAs, {} change: {}", changing.len(), Usage::now().since(&before));
    let after = measure::Server::now(plane).await;
    let applied: Vec<usize> = (0..records.len()).filter(|place| records[*place].outcome == Outcome::Applied).collect();
    assert_eq!(applied, changing);
    // A read, a dry run before the first write, and the write.
    assert_eq!(after.requests - server.requests, 3 * changing.len() as u64);
    let now = fleet::versions(&plane.client(ADMIN)).await;
    let written: Vec<&String> =
        now.iter().filter(|(name, version)| versions[*name] != **version).map(|(n, _)| n).collect();
    let expected: Vec<&String> = changing.iter().map(|place| &fleet.targets[*place].hpa).collect();
    assert_eq!(written, expected);
    // What was written is what is read, whether or not the watch has told of it yet.
    for place in &changing {
        let state = fleet.applier.current(&fleet.targets[*place]).await.unwrap();
        assert_eq!(state.bounds, records[*place].change.unwrap().new);
        assert_eq!(state.resting, records[*place].change.unwrap().old);
    }
}

/// The API server is killed, and comes back with another world.
async fn an_outage(fleet: &Fleet, plane: &mut ControlPlane) {
    let client = plane.client(ADMIN);
    let cache = HpaCache::builder(client.clone()).namespace("default").stale_after(Duration::from_secs(3)).start();
    cache.ready().await;
    let applier = CachedApplier::new(cache.clone(), KubeHpaApplier::new(Writer::new(client.clone()).force()));
    // None of those that were changed.
    let mut small = fleet.part(1..51, applier.clone());

    plane.stop_api_server();
    // A short outage is none: the last world is new enough.
    let records = small.tick(|_| false).await;
    let other = records.iter().find(|record| !matches!(record.outcome, Outcome::Unchanged { .. }));
    assert!(other.is_none(), "{other:?}");
    while cache.is_ready() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // A long one: nothing is decided on an old world, whatever the load does.
    for record in small.tick(|_| true).await {
        let Outcome::Failed { step: Step::Read, error, transient: true, .. } = &record.outcome else {
            panic!("{record:?}")
        };
        assert!(error.contains("has not been heard for"), "{error}");
    }
    assert!(matches!(applier.current(&small.targets[0]).await, Err(ApplyError::Unapplied { transient: true, .. })));
    assert_eq!(cache.targets().len(), fleet.targets.len(), "the fleet does not vanish");

    plane.start_api_server_again().await;
    let began = std::time::Instant::now();
    let version = fleet::edit(&client, &small.targets[1].hpa, 7).await;
    fleet::delete(&client, &small.targets[2].hpa).await;
    cache.caught_up(&version).await;
    while cache.targets().len() == fleet.targets.len() || !cache.is_ready() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("the cache has the world {:?} after the API server is ready: {:?}", began.elapsed(), cache.health());
    assert_eq!(applier.current(&small.targets[1]).await.unwrap().bounds.max(), 7);
    assert!(matches!(applier.current(&small.targets[2]).await, Err(ApplyError::NotFound { .. })));
    // The cache that was not stale goes on as well.
    fleet.applier.cache().caught_up(&version).await;
    for target in fleet.targets.iter().filter(|target| **target != small.targets[2]).take(200) {
        let (one, other) = (fleet.applier.current(target), applier.current(target));
        assert_eq!(one.await.unwrap(), other.await.unwrap());
    }
}
