//! A fleet that undoes its changes, tells its history and gives HPAs back, against a real API server.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "live_undo/leaving.rs"]
mod leaving;
mod support;
#[path = "live_undo/world.rs"]
mod world;

use scaling_core::{Bounds, Outcome};
use scaling_k8s::controller::fleet::Leaving;
use scaling_k8s::history::{History, RollbackRefused};
use serde_json::json;
use support::{ADMIN, ControlPlane};
use world::{World, until};

/// A change that burns is undone in the tick that makes it certain, by the replica that made it and by one that has only the HPA to go by; what
/// somebody else changed since is theirs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_burns_is_undone_and_the_next_replica_knows_of_it_from_the_hpa() {
    let Some(assets) = support::assets() else { return };
    let plane = ControlPlane::start(&assets).await;
    let world = World::new(plane.client(ADMIN));
    for name in ["web", "other"] {
        world.hpa(name, &json!({ "kube-scaling/mode": "full" }), &json!({})).await;
    }
    let first = world.replica(1, Leaving::Tell);
    world.load.set(10, 10, 0.1);
    until("both are raised to 10", || async { world.mins().await == [10, 10] }).await;
    world.load.set(10, 4, 0.1);
    until("both are lowered to 4", || async { world.mins().await == [4, 4] }).await;
    let before = world.history("web").await.unwrap();
    assert_eq!(before.iter().map(|change| change.number).collect::<Vec<_>>(), [1, 2], "{before:?}");
    assert!(before[1].why.contains("asked for") || !before[1].why.is_empty());

    // The replica ends; the next one has only what the HPAs tell, and finds harm.
    first.end().await;
    world.edit("other", 5).await;
    world.load.set(10, 4, 20.0);
    let second = world.replica(2, Leaving::Tell);
    until("the change is undone", || async { world.mins().await == [5, 10] }).await;
    until("it is told", || async { world.told("ChangeUndone").await == ["web"] }).await;
    until("what somebody else changed is told", || async { world.told("UndoRefused").await == ["other"] }).await;
    let health = (second.health)().watch.unwrap();
    assert_eq!((health.undone, health.stuck, health.watched), (1, 1, 0), "{health:?}");

    let book = world.book.lock().unwrap().clone();
    let undone: Vec<_> = book.iter().filter(|(_, record)| record.is_undo()).collect();
    assert_eq!(undone.len(), 1, "{undone:?}");
    let (who, record) = undone[0];
    assert_eq!((*who, &record.outcome, record.decision.is_none()), (2, &Outcome::Applied, true));
    assert!(record.undo.as_ref().unwrap().why.starts_with("change #2 is undone: 20 % of the requests fail"));

    // The engine goes on asking for 4, and nothing is lowered for a while.
    world.load.set(10, 4, 0.1);
    until("the engine is held back", || async {
        let book = world.book.lock().unwrap();
        book.iter().any(|(_, record)| record.clamps.iter().any(|clamp| clamp.guard == "undone"))
    })
    .await;
    let after = world.history("web").await.unwrap();
    assert_eq!(
        after.iter().map(|change| (change.number, change.undo)).collect::<Vec<_>>(),
        [(1, false), (2, false), (3, true)]
    );
    assert_eq!(world.mins().await, [5, 10]);

    // A third one holds it as well, from the HPA alone.
    second.end().await;
    let seen = world.book.lock().unwrap().len();
    let third = world.replica(3, Leaving::Tell);
    until("the third one ticks", || async { world.book.lock().unwrap().len() > seen + 6 }).await;
    third.end().await;
    assert_eq!(world.mins().await, [5, 10]);

    // The way back that a person takes rests on the same annotation.
    let mut history = History::new();
    history.resume(&World::target("web"), after);
    let found = scaling_core::HpaState::new(Bounds::new(10, 20).unwrap());
    assert!(matches!(history.rollback(&World::target("web"), 2, found), Err(RollbackRefused::AlreadyThere { .. })));
    assert_eq!(history.rollback(&World::target("web"), 3, found).unwrap().to().min(), 4);
}

/// The annotation goes with the change: no write more than without it, and none where nothing changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_history_costs_no_write_and_a_forged_one_is_not_believed() {
    let Some(assets) = support::assets() else { return };
    let plane = ControlPlane::start(&assets).await;
    let world = World::new(plane.client(ADMIN));
    world.hpa("web", &json!({ "kube-scaling/mode": "full" }), &json!({})).await;
    world.annotate("web", "kube-scaling/history", Some("[{\"n\":1}]")).await;
    let created = world.generation("web").await;
    let one = world.replica(1, Leaving::Tell);
    world.load.set(8, 8, 0.1);
    until("the forged history is told", || async { world.told("HistoryIgnored").await == ["web"] }).await;
    until("it is raised", || async { world.mins().await == [8] }).await;
    assert_eq!(world.generation("web").await, created + 1, "written");
    let theirs = world.json("web").await["metadata"]["annotations"]["kube-scaling/history"].clone();
    assert_eq!(theirs, "[{\"n\":1}]", "it is another manager's");
    world.annotate("web", "kube-scaling/history", None).await;
    world.load.set(9, 9, 0.1);
    until("it is raised again", || async { world.mins().await == [9] }).await;
    let (generation, version) = (world.generation("web").await, world.version("web").await);
    assert_eq!(generation, created + 1, "ours");
    assert_eq!(world.history("web").await.unwrap().len(), 1);
    let seen = world.book.lock().unwrap().len();
    until("ticks without a change", || async { world.book.lock().unwrap().len() > seen + 3 }).await;
    assert_eq!(world.version("web").await, version, "no write where nothing changes");
    one.end().await;
}
