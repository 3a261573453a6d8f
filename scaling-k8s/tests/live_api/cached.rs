//! The watch cache, the applier over it, and what it says of settings.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kube::api::{Patch, PatchParams};
use scaling_core::chrono::{DateTime, TimeDelta};
use scaling_core::conformance::{self, applier::plan};
use scaling_core::{ApplyMode, HpaApplier, Target};
use scaling_k8s::Released;
use scaling_k8s::controller::applier::CachedApplier;
use scaling_k8s::controller::cache::HpaCache;
use scaling_k8s::controller::settings::{Mode, SettingEvents};
use scaling_k8s::resting::Memory;
use serde_json::{Value, json};

use crate::world::{World, bounds};

pub(crate) async fn an_applier_over_a_cache_keeps_its_promises(world: &World) {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let cache = HpaCache::builder(world.admin.clone()).namespace("default").start();
    cache.ready().await;
    let name = || format!("cached-{}", MADE.fetch_add(1, Ordering::Relaxed));
    conformance::applier(async |bounds| {
        let target = world.create_handed_over(&name(), bounds).await;
        caught_up(world, &cache, &target.hpa).await;
        (CachedApplier::new(cache.clone(), world.applier()), target)
    })
    .await;
    conformance::applier(async |bounds| {
        let target = world.create(&name(), bounds.min(), bounds.max()).await;
        caught_up(world, &cache, &target.hpa).await;
        (CachedApplier::new(cache.clone(), world.forced()), target)
    })
    .await;
}

pub(crate) async fn namespaces_labels_and_modes_are_selected(world: &World) {
    for (name, label) in
        [("sel-a", json!({ "team": "x" })), ("sel-b", json!({ "team": "x", "kube-scaling/mode": "floors" }))]
    {
        world.create(name, 2, 6).await;
        patch(world, name, &json!({ "metadata": { "labels": label } })).await;
    }
    let selected = HpaCache::builder(world.admin.clone()).label_selector("team=x").cluster("eu").start();
    let elsewhere = HpaCache::builder(world.admin.clone()).namespace("kube-public").start();
    selected.ready().await;
    elsewhere.ready().await;
    assert_eq!((selected.health().hpas, elsewhere.health().hpas), (2, 0));
    let targets = selected.targets();
    assert_eq!((targets.len(), targets[0].mode()), (1, Mode::Floors));
    assert_eq!(targets[0].target, Target::deployment("default", "sel-b").in_cluster("eu"));

    // One that the selector no longer selects is gone, and one that becomes a target comes.
    patch(world, "sel-b", &json!({ "metadata": { "labels": { "team": "y" } } })).await;
    let version =
        patch(world, "sel-a", &json!({ "metadata": { "annotations": { "kube-scaling/mode": "full" } } })).await;
    selected.caught_up(&version).await;
    let targets = selected.targets();
    assert_eq!((targets.len(), targets[0].mode(), targets[0].target.hpa.as_str()), (1, Mode::Full, "sel-a"));
    assert_eq!(selected.health().hpas, 1);
}

pub(crate) async fn faults_of_settings_are_one_event(world: &World) {
    world.create("faulty", 2, 6).await;
    let cache = HpaCache::builder(world.admin.clone()).namespace("default").start();
    let mut events = SettingEvents::new("kube-scaling", Duration::ZERO);
    for (minute, (mode, reason)) in (1..).zip([("fulll", "SettingsRefused"), ("full", "SettingsAccepted")]) {
        let version =
            patch(world, "faulty", &json!({ "metadata": { "annotations": { "kube-scaling/mode": mode } } })).await;
        cache.caught_up(&version).await;
        let targets = cache.targets();
        let faulty = targets.iter().find(|target| target.target.hpa == "faulty").unwrap();
        assert_eq!(faulty.mode(), if mode == "full" { Mode::Full } else { Mode::Observe });
        let now = DateTime::UNIX_EPOCH + TimeDelta::minutes(minute);
        let event = events.take(&faulty.target, faulty.uid.as_deref(), faulty.settings.as_ref(), now).unwrap();
        let name = event["metadata"]["name"].as_str().unwrap();
        let path = format!(
            "/api/v1/namespaces/default/events/{name}?fieldManager=kube-scaling&force=true&fieldValidation=Strict"
        );
        let request = http::Request::patch(path).header("content-type", "application/apply-patch+yaml");
        let stored: Value = world.admin.request(request.body(event.to_string().into_bytes()).unwrap()).await.unwrap();
        assert_eq!((&stored["reason"], &stored["count"]), (&reason.into(), &minute.into()));
    }
}

pub(crate) async fn a_target_no_more_is_abandoned_and_released(world: &World) {
    let target = world.create("left", 2, 6).await;
    let version =
        patch(world, "left", &json!({ "metadata": { "annotations": { "kube-scaling/mode": "full" } } })).await;
    let cache = HpaCache::builder(world.admin.clone()).namespace("default").start();
    cache.caught_up(&version).await;
    let applier = CachedApplier::new(cache.clone(), world.forced());
    let is_left = || cache.abandoned().contains(&target);
    applier.apply(&plan(&target, bounds(2, 6), 3, 6), ApplyMode::Apply).await.unwrap();
    caught_up(world, &cache, "left").await;
    assert!(!is_left());
    let hpa = cache.get("default", "left").unwrap().unwrap();
    assert_eq!((hpa.memory(), hpa.state().unwrap().bounds), (&Memory::Kept, bounds(3, 11)));

    let none = json!({ "metadata": { "annotations": { "kube-scaling/mode": null } } });
    cache.caught_up(&patch(world, "left", &none).await).await;
    assert!(is_left());
    assert!(matches!(applier.writer().release(&target).await.unwrap(), Released::Done { changed: true, .. }));
    caught_up(world, &cache, "left").await;
    assert!(!is_left());
    assert!(applier.current(&target).await.unwrap().resting_is_known);
}

/// A second HPA of the workload is found, in the cache of all and, where a selector leaves it out, in the cluster.
pub(crate) async fn another_hpa_of_the_workload_is_found(world: &World) {
    let all = HpaCache::builder(world.admin.clone()).namespace("default").start();
    let some = HpaCache::builder(world.admin.clone()).namespace("default").label_selector("part=one").start();
    for (number, cache) in [all, some].into_iter().enumerate() {
        let (name, second) = (format!("twice-{number}"), format!("twice-{number}-too"));
        let target = world.create_handed_over(&name, bounds(2, 6)).await;
        patch(world, &name, &json!({ "metadata": { "labels": { "part": "one" } } })).await;
        let scaled = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": name });
        let spec = json!({ "spec": { "scaleTargetRef": scaled, "maxReplicas": 4 } });
        let made = world.apply("host", &second, spec, false).await.unwrap();
        cache.ready().await;
        let here = caught_up(world, &cache, &name).await;
        if number == 0 {
            cache.caught_up(&made.metadata.resource_version.unwrap()).await;
        }
        let applier = CachedApplier::new(cache, world.applier());
        let error = applier.apply(&plan(&target, bounds(2, 6), 3, 6), ApplyMode::Apply).await.unwrap_err();
        assert!(error.to_string().contains(&format!("another HPA, {second}")), "{number}: {error}");
        assert_eq!(world.api().get(&name).await.unwrap().metadata.resource_version, Some(here), "nothing is written");
    }
}

/// Waits until the cache has an HPA as the API server has it.
async fn caught_up(world: &World, cache: &HpaCache, name: &str) -> String {
    let version = world.api().get(name).await.unwrap().metadata.resource_version.unwrap();
    cache.caught_up(&version).await;
    version
}

async fn patch(world: &World, name: &str, change: &Value) -> String {
    let patched = world.api().patch(name, &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    patched.metadata.resource_version.unwrap()
}
