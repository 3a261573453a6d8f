//! HPAs that are targets no more.

use kube::api::DeleteParams;
use scaling_k8s::controller::cache::HpaCache;
use scaling_k8s::controller::fleet::Leaving;
use serde_json::{Value, json};

use crate::support::{self, ADMIN, ControlPlane};
use crate::world::{World, until};

/// Whether nothing of ours is left at an HPA.
fn is_free(hpa: &Value) -> bool {
    !hpa.to_string().contains("kube-scaling/resting-bounds")
        && !hpa.to_string().contains("kube-scaling/history")
        && hpa["metadata"]["managedFields"].as_array().unwrap().iter().all(|entry| entry["manager"] != "kube-scaling")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_whose_mode_is_removed_is_given_back_once_by_the_replica_that_holds_it() {
    let Some(assets) = support::assets() else { return };
    let plane = ControlPlane::start(&assets).await;
    let world = World::new(plane.client(ADMIN));
    let names = ["gone", "kept", "left-1", "left-2"];
    for name in names {
        world.hpa(name, &json!({ "kube-scaling/mode": "full" }), &json!({})).await;
    }
    let replicas = [world.replica(1, Leaving::GiveBack), world.replica(2, Leaving::GiveBack)];
    world.load.set(10, 10, 0.1);
    until("all are raised", || async { world.mins().await == [10; 4] }).await;
    world.annotate("left-1", "kube-scaling/mode", None).await;
    world.annotate("left-2", "kube-scaling/mode", None).await;
    world.api().delete("gone", &DeleteParams::default()).await.unwrap();
    until("both are given back", || async {
        is_free(&world.json("left-1").await) && is_free(&world.json("left-2").await)
    })
    .await;
    assert_eq!(world.mins().await, [10, 1, 1], "the owner's min, and the other one stays");
    until("it is told", || async { world.told("Released").await == ["left-1", "left-2"] }).await;
    let versions = [world.version("left-1").await, world.version("left-2").await];
    let seen = world.book.lock().unwrap().len();
    until("ticks go on", || async { world.book.lock().unwrap().len() > seen + 3 }).await;
    assert_eq!([world.version("left-1").await, world.version("left-2").await], versions, "given back once");
    assert_eq!((replicas[0].health)().abandoned + (replicas[1].health)().abandoned, 0);
    // By halves: 10, 5, 3, 2, 1 of each, and each write by one replica.
    let book = world.book.lock().unwrap().clone();
    for name in ["left-1", "left-2"] {
        let back: Vec<_> = book
            .iter()
            .filter(|(_, record)| record.target.hpa == name && record.is_undo() && record.is_applied())
            .map(|(who, record)| (*who, record.change.unwrap().new.min()))
            .collect();
        assert_eq!(back.iter().map(|(_, min)| *min).collect::<Vec<_>>(), [5, 3, 2, 1], "{name}");
        assert!(back.iter().all(|(who, _)| *who == back[0].0), "{name}: {back:?}");
    }
    for replica in replicas {
        replica.end().await;
    }
    assert!(!is_free(&world.json("kept").await), "the end of a process gives nothing back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_a_selector_selects_no_more_is_given_back_if_it_names_no_mode() {
    let Some(assets) = support::assets() else { return };
    let plane = ControlPlane::start(&assets).await;
    let world = World::new(plane.client(ADMIN));
    for name in ["moved", "removed"] {
        // An apply of no annotations at all would own all of them.
        world.hpa(name, &json!({ "team": "shop" }), &json!({ "kube-scaling/mode": "full", "team": "shop" })).await;
    }
    let selected = || HpaCache::builder(world.client.clone()).label_selector("team=shop,kube-scaling/mode");
    let replica = world.replica_over(1, Leaving::GiveBack, selected());
    world.load.set(6, 6, 0.1);
    until("both are raised", || async { world.mins().await == [6, 6] }).await;
    world.label("moved", "team", Some("depot")).await;
    world.label("removed", "kube-scaling/mode", None).await;
    until("one is given back", || async { is_free(&world.json("removed").await) }).await;
    until("why the other is not is told", || async { world.told("NotReleased").await.contains(&"moved".to_owned()) })
        .await;
    assert_eq!(world.mins().await, [6, 1]);
    assert!(!is_free(&world.json("moved").await), "another controller may have it");
    assert_eq!((replica.health)().abandoned, 1);
    replica.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_default_those_that_leave_are_told_and_left_as_they_are() {
    let Some(assets) = support::assets() else { return };
    let plane = ControlPlane::start(&assets).await;
    let world = World::new(plane.client(ADMIN));
    for name in ["left", "stays"] {
        world.hpa(name, &json!({ "kube-scaling/mode": "full" }), &json!({})).await;
    }
    let replica = world.replica(1, Leaving::default());
    world.load.set(6, 6, 0.1);
    until("both are raised", || async { world.mins().await == [6, 6] }).await;
    world.annotate("left", "kube-scaling/mode", None).await;
    until("it is counted", || async { (replica.health)().abandoned == 1 }).await;
    let seen = world.book.lock().unwrap().len();
    until("ticks go on", || async { world.book.lock().unwrap().len() > seen + 3 }).await;
    assert_eq!(world.mins().await, [6, 6]);
    replica.end().await;
}
