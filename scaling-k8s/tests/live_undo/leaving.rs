//! HPAs that are targets no more.

use std::time::Duration;

use kube::api::DeleteParams;
use scaling_core::Outcome;
use scaling_k8s::controller::cache::HpaCache;
use scaling_k8s::controller::fleet::Leaving;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::proxy::{Proxy, Treatment};
use crate::support::{self, ADMIN, ControlPlane};
use crate::world::{World, until};

/// Returns true if nothing of ours is left at an HPA.
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

/// Its mode was removed while no process ran, and it tells no history: the resting bounds that stand there under our name say that we hold it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_whose_mode_was_removed_while_nobody_ran_is_given_back_by_what_stands_there() {
    let Some(assets) = support::assets() else { return };
    let plane = ControlPlane::start(&assets).await;
    let world = World::new(plane.client(ADMIN));
    for name in ["left", "stays"] {
        world.hpa(name, &json!({ "kube-scaling/mode": "full" }), &json!({})).await;
    }
    let start =
        |number, leaving| world.replica_with(number, &world.client, |builder| builder.history(false).leaving(leaving));
    let first = start(1, Leaving::Tell);
    world.load.set(6, 6, 0.1);
    until("both are raised", || async { world.mins().await == [6, 6] }).await;
    first.end().await;
    world.annotate("left", "kube-scaling/mode", None).await;
    // A manifest that was copied with everything in it is no evidence.
    let resting = world.json("left").await["metadata"]["annotations"]["kube-scaling/resting-bounds"].clone();
    world.hpa("copied", &json!({ "kube-scaling/resting-bounds": resting }), &json!({})).await;
    let copied = world.version("copied").await;

    let second = start(2, Leaving::GiveBack);
    until("it is given back", || async { is_free(&world.json("left").await) }).await;
    until("it is told", || async { world.told("Released").await == ["left"] }).await;
    assert_eq!((world.mins().await, world.version("copied").await), (vec![1, 1, 6], copied));
    second.end().await;
}

/// What the end comes upon is finished within the grace, or gone on with by the next process: each step is made once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_is_under_way_at_the_end_is_finished_or_gone_on_with_by_the_next_process() {
    let Some(assets) = support::assets() else { return };
    let plane = ControlPlane::start(&assets).await;
    let proxy = Proxy::start(plane.config(ADMIN), |_| false).await;
    for (name, grace, is_finished) in
        [("finished", Duration::from_secs(20), true), ("cut-off", Duration::from_millis(100), false)]
    {
        let world = World::new(plane.client(ADMIN));
        world.hpa(name, &json!({ "kube-scaling/mode": "full" }), &json!({})).await;
        let first = world.replica_with(1, &proxy.client(), |builder| builder.leaving(Leaving::GiveBack).grace(grace));
        world.load.set(10, 10, 0.1);
        until("it is raised", || async { world.min(name).await == 10 }).await;
        let (sent, mut is_sent) = watch::channel(false);
        proxy.treat(name, move |method, query| {
            if method != "PATCH" || query.contains("dryRun") || sent.send_replace(true) {
                return Treatment::Pass;
            }
            Treatment::DelayAnswer(Duration::from_millis(1500))
        });
        world.annotate(name, "kube-scaling/mode", None).await;
        tokio::time::timeout(Duration::from_secs(90), is_sent.wait_for(|sent| *sent)).await.unwrap().unwrap();
        first.end().await;
        proxy.treat(name, |_, _| Treatment::Pass);
        let back = || {
            let book = world.book.lock().unwrap().clone();
            let undone = book.into_iter().filter(|(_, record)| record.is_undo()).map(|(_, record)| record);
            undone.filter(|record| record.change.is_some_and(|change| change.old != change.new)).collect::<Vec<_>>()
        };
        let made = back();
        assert_eq!(made.len(), 1, "the end leaves the record of the step, and begins no other: {made:?}");
        let ended = match &made[0].outcome {
            Outcome::Applied => true,
            Outcome::Failed { may_have_happened: true, .. } => false,
            other => panic!("{other}"),
        };
        assert_eq!(ended, is_finished, "{name}");
        proxy.idle().await;
        assert_eq!(world.min(name).await, 5, "{name}: as far as the first step goes");

        let second = world.replica(2, Leaving::GiveBack);
        until("the next process goes on", || async { is_free(&world.json(name).await) }).await;
        let steps: Vec<_> = back().iter().map(|record| record.change.unwrap().new.min()).collect();
        assert_eq!(steps, [5, 3, 2, 1], "{name}: each step once");
        assert_eq!(world.min(name).await, 1);
        second.end().await;
    }
}
