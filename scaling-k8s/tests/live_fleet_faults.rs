//! A whole fleet controller whose API server refuses, loses, delays, drops its watches, forgets old versions, stops and comes back: no
//! change is lost or made twice, nothing panics, and two ticks after a fault everything is as it should be (law 12).

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "live_fleet_faults/controller.rs"]
mod controller;
mod support;

use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant};

use controller::{Controller, FLEET_LEASES};
use support::faults::{Fault, heal};
use support::proxy::{Proxy, Treatment};
use support::{ADMIN, ControlPlane};

const LIMIT: Duration = Duration::from_secs(90);
/// The collection, which is listed and watched.
const HPAS: &str = "horizontalpodautoscalers";

fn is_watch(query: &str) -> bool {
    query.contains("watch=")
}

async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_loses_or_doubles_a_change_of_the_whole_controller() {
    let Some(assets) = support::assets() else { return };
    let mut plane = ControlPlane::start(&assets).await;
    let proxy = Proxy::start(plane.config(ADMIN), |_| false).await;
    // Each fault has an HPA of its own, so that all happen at once.
    let names: Vec<String> = (0..Fault::all().len()).map(|number| format!("case-{number}")).collect();
    let mut controller = Controller::start(plane.client(ADMIN), proxy.client(), &names).await;

    for pods in [6, 9, 12] {
        requests_for_hpas_fail(&proxy, &mut controller, &names, pods).await;
    }
    the_leases_cannot_be_written(&proxy, &mut controller, 15).await;
    watches_fail(&proxy, &mut controller).await;
    old_versions_are_gone(&mut plane, &proxy, &mut controller).await;
    the_api_server_stops_and_comes_back(&mut plane, &mut controller, 18).await;
    controller.end().await;
}

async fn requests_for_hpas_fail(proxy: &Proxy, controller: &mut Controller, names: &[String], pods: u32) {
    let before = controller.stored().await;
    let faults = Fault::all();
    for (name, fault) in names.iter().zip(&faults) {
        fault.strike(proxy, name);
    }
    controller.want(pods);
    controller.ticks(3).await;
    for name in names {
        heal(proxy, name);
    }
    // What was late has come by now, and was too late.
    proxy.idle().await;
    controller.ticks(2).await;
    let what = |name: &String| {
        let place = names.iter().position(|one| one == name);
        place.map_or_else(|| name.clone(), |place| format!("{:?}", faults[place]))
    };
    for (name, (min, generation)) in controller.stored().await {
        assert_eq!(min, pods, "{}: two ticks after the fault", what(&name));
        assert_eq!(generation, before[&name].1 + 1, "{}: one change, not two", what(&name));
    }
}

/// Whoever cannot renew writes nothing any more, and goes on once it can.
async fn the_leases_cannot_be_written(proxy: &Proxy, controller: &mut Controller, pods: u32) {
    let before = controller.stored().await;
    for treatment in [Treatment::Refuse(500), Treatment::LoseRequest] {
        for lease in FLEET_LEASES {
            proxy.treat(lease, move |method, _| if method == "GET" { Treatment::Pass } else { treatment });
        }
        until("nothing is held any more", || async { controller.shards() == 0 }).await;
        controller.want(pods);
        controller.ticks(2).await;
        assert_eq!(controller.stored().await, before, "{treatment:?}: nothing is written without a hold");
        controller.want(12);
        for lease in FLEET_LEASES {
            heal(proxy, lease);
        }
        until("all is held again", || async { controller.shards() == 4 }).await;
    }
    assert_eq!(controller.stored().await, before);
    controller.want(pods);
    controller.ticks(2).await;
    for (name, (min, generation)) in controller.stored().await {
        assert_eq!((min, generation), (pods, before[&name].1 + 1), "{name}");
    }
}

/// While the watch fails, an HPA comes, one goes, and one is changed by its owner: all of it is known afterwards.
async fn watches_fail(proxy: &Proxy, controller: &mut Controller) {
    for (number, (treatment, times)) in [
        (Treatment::Pass, 0),
        (Treatment::Refuse(410), 1),
        (Treatment::Refuse(500), 2),
        (Treatment::Refuse(503), 2),
        (Treatment::LoseRequest, 2),
    ]
    .into_iter()
    .enumerate()
    {
        let what = format!("{treatment:?} of the watch, {times} times");
        let mut left = times;
        // The list after a 410 fails once as well.
        let mut lists = usize::from(treatment == Treatment::Refuse(410));
        proxy.treat(HPAS, move |method, query| match (method, is_watch(query)) {
            ("GET", true) if left > 0 => {
                left -= 1;
                treatment
            }
            ("GET", false) if lists > 0 => {
                lists -= 1;
                Treatment::Refuse(503)
            }
            _ => Treatment::Pass,
        });
        let lists = controller.cache.health().lists;
        proxy.cut_watches();
        controller.a_world_that_goes_on(&format!("while-{number}")).await;
        if treatment == Treatment::Refuse(410) {
            assert!(controller.cache.health().lists > lists, "{what}: everything is listed anew");
        }
        controller.is_as_it_should_be(&what).await;
    }
    heal(proxy, HPAS);
}

/// The API server itself says 410: it was started anew, and has no events from before.
async fn old_versions_are_gone(plane: &mut ControlPlane, proxy: &Proxy, controller: &mut Controller) {
    let (gone, lists) = (proxy.gone(), controller.cache.health().lists);
    proxy.treat(HPAS, |method, _| if method == "GET" { Treatment::Refuse(503) } else { Treatment::Pass });
    proxy.cut_watches();
    controller.edit("case-0", "unseen", "1").await;
    plane.stop_api_server();
    plane.start_api_server_again().await;
    heal(proxy, HPAS);
    controller.a_world_that_goes_on("after-410").await;
    assert!(proxy.gone() > gone, "the API server has said 410");
    assert!(controller.cache.health().lists > lists, "and everything was listed anew");
    controller.is_as_it_should_be("410 of the API server").await;
}

async fn the_api_server_stops_and_comes_back(plane: &mut ControlPlane, controller: &mut Controller, pods: u32) {
    let before: BTreeMap<_, _> = controller.stored().await;
    plane.stop_api_server();
    controller.want(pods);
    controller.ticks(2).await;
    plane.start_api_server_again().await;
    until("all is held again", || async { controller.shards() == 4 && controller.cache.is_ready() }).await;
    controller.ticks(3).await;
    for (name, (min, generation)) in controller.stored().await {
        assert_eq!((min, generation), (pods, before[&name].1 + 1), "{name}");
    }
}

/// Seconds by which the clock is wrong, and the pods that are asked for then: each time it goes to where it is wrong by, back, and down again.
const JUMPS: [(i64, u32); 9] =
    [(0, 6), (3600, 9), (3600, 7), (0, 5), (0, 8), (-3600, 11), (-3600, 9), (0, 7), (86_400, 10)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn law_12_a_clock_that_jumps_to_and_fro_loses_no_change_makes_none_twice_and_holds_none_back() {
    let Some(assets) = support::assets() else { return };
    let plane = ControlPlane::start(&assets).await;
    let names: Vec<String> = (0..20).map(|number| format!("case-{number}")).collect();
    let mut controller = Controller::start_without_pauses(plane.client(ADMIN), plane.client(ADMIN), &names).await;
    // Two windows of the removal budget: what was taken over a moment ago lets nothing go.
    controller.ticks(3).await;
    for (wrong_by, pods) in JUMPS.into_iter().chain([(0, 7), (0, 12)]) {
        let before = controller.stored().await;
        controller.clock.is_wrong_by(wrong_by);
        controller.want(pods);
        controller.ticks(3).await;
        for (name, (min, generation)) in controller.stored().await {
            assert_eq!(min, pods, "{name}: the clock is wrong by {wrong_by} s");
            let changes = controller.changes(&name);
            assert_eq!(generation, before[&name].1 + 1, "{name}: one change, not two, with {wrong_by} s: {changes:#?}");
        }
        let health = controller.health();
        assert!(health.is_alive && health.readiness.is_ready(), "{wrong_by}: {}", health.readiness);
    }
    controller.end().await;
}
