//! The applier over the watch cache: what it answers, and what it asks the API server for.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "cached_applier/api.rs"]
mod api;

use std::time::Duration;

use api::{Api, Lost};
use kube::Client;
use scaling_core::conformance::{self, applier::plan as plan_of};
use scaling_core::{ApplyError, ApplyMode, Bounds, HpaApplier, HpaPlan, MemorySource, RuleBasedEngine, Target};
use scaling_k8s::controller::applier::CachedApplier;
use scaling_k8s::controller::cache::HpaCache;
use scaling_k8s::controller::fleet::FleetController;
use scaling_k8s::ownership::OwnershipPolicy;
use scaling_k8s::{KubeHpaApplier, Writer};

fn bounds(min: u32, max: u32) -> Bounds {
    Bounds::new(min, max).unwrap()
}

fn web() -> Target {
    Target::deployment("shop", "web")
}

/// From 2..6 to 3..11.
fn plan() -> HpaPlan {
    plan_of(&web(), bounds(2, 6), 3, 6)
}

/// An applier that asks for nothing but the HPA.
fn writer(client: Client) -> KubeHpaApplier {
    KubeHpaApplier::new(client).ownership(OwnershipPolicy::Take)
}

/// An API server with one HPA of bounds 2..6, and an applier that has listed it.
async fn started() -> (Api, CachedApplier) {
    started_with(bounds(2, 6)).await
}

async fn started_with(bounds: Bounds) -> (Api, CachedApplier) {
    let api = Api::with("web", bounds);
    let client = api.serve();
    let cache = HpaCache::builder(client.clone()).start();
    cache.ready().await;
    (api, CachedApplier::new(cache, writer(client)))
}

async fn read(applier: &CachedApplier) -> Bounds {
    applier.current(&web()).await.unwrap().bounds
}

#[tokio::test(start_paused = true)]
async fn it_keeps_the_promises_of_an_applier() {
    conformance::applier(async |bounds| (started_with(bounds).await.1, web())).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_for_when_nothing_changes() {
    let (api, applier) = started().await;
    let asked = api.asked();
    for _ in 0..1000 {
        let state = applier.current(&web()).await.unwrap();
        assert_eq!((state.bounds, state.resting, state.resizes_pods), (bounds(2, 6), bounds(2, 6), false));
        let empty = plan_of(&web(), bounds(1, 9), 4, 4);
        applier.apply(&empty, ApplyMode::Plan).await.unwrap();
        applier.apply(&plan(), ApplyMode::Plan).await.unwrap();
    }
    assert_eq!(api.asked(), asked);
}

#[tokio::test(start_paused = true)]
async fn what_was_written_is_read_until_the_watch_tells_of_it_or_of_more() {
    let (api, applier) = started().await;
    assert!(applier.apply(&plan(), ApplyMode::Apply).await.unwrap().changed);
    assert_eq!(api.asked()[2..], ["GET web", "PATCH web dry", "PATCH web"]);
    let state = applier.current(&web()).await.unwrap();
    assert_eq!((state.bounds, state.resting), (bounds(3, 11), plan().resting()));
    // An older version, as it was before the write.
    api.tell_of("web", 10, bounds(2, 6)).await;
    assert_eq!(read(&applier).await, bounds(3, 11));
    // The write itself, and somebody's change after it.
    api.edit("web", bounds(3, 8));
    api.tell(applier.cache()).await;
    assert_eq!(read(&applier).await, bounds(3, 8));
    let reads = api.asked().iter().filter(|asked| asked.starts_with("GET web")).count();
    assert_eq!(reads, 1, "that of the write itself");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_does_not_tell_of_a_write_is_not_waited_for() {
    let (api, applier) = started().await;
    applier.apply(&plan(), ApplyMode::Apply).await.unwrap();
    tokio::time::sleep(Duration::from_secs(9)).await;
    let asked = api.asked().len();
    assert_eq!(read(&applier).await, bounds(3, 11));
    assert_eq!(api.asked().len(), asked);
    api.edit("web", bounds(4, 11));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(read(&applier).await, bounds(4, 11), "from the API server");
    assert_eq!(read(&applier).await, bounds(4, 11));
    assert_eq!(api.asked()[asked..], ["GET web"], "once");
}

#[tokio::test(start_paused = true)]
async fn law_12_a_write_whose_answer_is_lost_is_looked_for() {
    for (lost, found) in [(Lost::AfterTheWrite, bounds(3, 11)), (Lost::BeforeTheWrite, bounds(2, 6))] {
        let (api, applier) = started().await;
        api.lose(lost);
        let error = applier.apply(&plan(), ApplyMode::Apply).await.unwrap_err();
        assert!(error.may_have_happened(), "{error}");
        let asked = api.asked().len();
        assert_eq!(read(&applier).await, found);
        assert_eq!(read(&applier).await, found);
        assert_eq!(api.asked()[asked..], ["GET web"], "{lost:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn law_12_a_cancelled_write_is_looked_for() {
    let (api, applier) = started().await;
    api.lose(Lost::ForEver);
    let (plan, mode) = (plan(), ApplyMode::Apply);
    let cancelled = tokio::time::timeout(Duration::from_secs(1), applier.apply(&plan, mode)).await;
    assert!(cancelled.is_err());
    let asked = api.asked().len();
    assert_eq!(read(&applier.clone()).await, bounds(3, 11), "clones know it too");
    assert_eq!(api.asked()[asked..], ["GET web"]);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_the_watch_has_not_told_of_is_read_after_it_was_met() {
    let (api, applier) = started().await;
    api.edit("web", bounds(4, 6));
    assert_eq!(read(&applier).await, bounds(2, 6), "the cache cannot know");
    for mode in [ApplyMode::ServerDryRun, ApplyMode::Apply] {
        let error = applier.apply(&plan(), mode).await.unwrap_err();
        assert!(matches!(error, ApplyError::Changed { .. }), "{error}");
        assert_eq!(read(&applier).await, bounds(4, 6), "{mode}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_server_refuses_costs_no_read_beyond() {
    let (api, applier) = started().await;
    api.refuse();
    let error = applier.apply(&plan(), ApplyMode::Apply).await.unwrap_err();
    assert!(matches!(error, ApplyError::Refused { .. }), "{error}");
    let asked = api.asked();
    assert_eq!(read(&applier).await, bounds(2, 6));
    assert_eq!(api.asked(), asked);
}

#[tokio::test(start_paused = true)]
async fn an_hpa_that_was_deleted_is_not_found() {
    let (api, applier) = started().await;
    applier.apply(&plan(), ApplyMode::Apply).await.unwrap();
    api.delete("web");
    let error = applier.apply(&plan_of(&web(), bounds(3, 11), 3, 9), ApplyMode::Apply).await.unwrap_err();
    assert!(matches!(error, ApplyError::NotFound { .. }), "{error}");
    assert!(matches!(applier.current(&web()).await, Err(ApplyError::NotFound { .. })), "before the watch tells of it");
    api.tell(applier.cache()).await;
    assert!(
        matches!(applier.current(&web()).await, Err(ApplyError::NotFound { .. })),
        "the server is asked a last time"
    );
    let asked = api.asked();
    assert!(matches!(applier.current(&web()).await, Err(ApplyError::NotFound { .. })));
    assert_eq!(api.asked(), asked);
}

#[tokio::test(start_paused = true)]
async fn an_old_world_is_not_told() {
    let (api, applier) = started().await;
    applier.apply(&plan(), ApplyMode::Apply).await.unwrap();
    api.stop();
    tokio::time::sleep(Duration::from_secs(121)).await;
    let asked = api.asked().iter().filter(|asked| asked.contains("web")).count();
    let error = applier.current(&web()).await.unwrap_err();
    let ApplyError::Unapplied { transient: true, source, .. } = &error else { panic!("{error}") };
    assert!(source.to_string().starts_with("the API server has not been heard for 121 s"), "{source}");
    assert_eq!(api.asked().iter().filter(|asked| asked.contains("web")).count(), asked);
}

#[tokio::test(start_paused = true)]
async fn before_the_first_list_nothing_is_told() {
    let api = Api::with("web", bounds(2, 6));
    let client = api.serve();
    let applier = CachedApplier::new(HpaCache::builder(client.clone()).start(), writer(client));
    assert!(matches!(applier.current(&web()).await, Err(ApplyError::Unapplied { transient: true, .. })));
}

#[tokio::test(start_paused = true)]
async fn an_hpa_of_another_workload_is_refused() {
    let (_api, applier) = started().await;
    let other = Target::deployment("shop", "cart").with_hpa("web");
    let error = applier.current(&other).await.unwrap_err();
    assert!(error.to_string().contains("HPA \"web\" scales Deployment/web, not Deployment/cart"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn both_write_and_read_under_the_managers_name_of_the_cache() {
    let api = Api::with("web", bounds(2, 6));
    let client = api.serve();
    let cache = HpaCache::builder(client.clone()).field_manager("shop-autoscaler").start();
    cache.ready().await;
    let applier = CachedApplier::new(cache, writer(client));
    applier.apply(&plan(), ApplyMode::Apply).await.unwrap();
    assert_eq!(api.managers(), ["shop-autoscaler", "shop-autoscaler"]);
}

#[tokio::test(start_paused = true)]
async fn a_fleet_reads_under_the_managers_name_of_its_writer() {
    let client = Api::with("web", bounds(2, 6)).serve();
    let writer = Writer::new(client.clone()).field_manager("shop-autoscaler");
    let fleet = FleetController::builder(writer, MemorySource::new(), RuleBasedEngine::default());
    let fleet = fleet.watching(HpaCache::builder(client).namespace("shop")).build();
    assert_eq!(fleet.cache().field_manager(), "shop-autoscaler");
}
