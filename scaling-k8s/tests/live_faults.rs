//! An autoscaler whose API server refuses, loses, delays, stops and comes back: no change is lost or made twice, and one more tick after
//! the fault is enough (law 12).

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "live_faults/shop.rs"]
mod shop;
mod support;

use futures::future::join_all;
use scaling_core::guard::Cooldown;
use scaling_core::{Bounds, Guards, Outcome, Step};
use shop::Shop;
use support::faults::{Fault, heal};
use support::proxy::{Proxy, Treatment};
use support::{ADMIN, ControlPlane};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_of_the_api_server_loses_or_doubles_a_change() {
    let Some(assets) = support::assets() else { return };
    let mut plane = ControlPlane::start(&assets).await;
    let proxy = Proxy::start(plane.config(ADMIN), |path| path.contains("/horizontalpodautoscalers/")).await;
    let cases = Fault::all().into_iter().enumerate().map(|(number, fault)| {
        let (plane, proxy) = (&plane, &proxy);
        async move { a_fault(plane, proxy, &format!("case-{number}"), fault).await }
    });
    join_all(cases).await;
    lost_answers_count_for_the_cooldown(&plane, &proxy).await;
    the_api_server_stops_and_comes_back(&mut plane, &proxy).await;
}

/// Three wishes, each met by the fault at first; the next tick is undisturbed.
async fn a_fault(plane: &ControlPlane, proxy: &Proxy, name: &str, fault: Fault) {
    let what = &*format!("{fault:?}");
    let mut shop = Shop::open(plane.client(ADMIN), proxy.client(), name, Guards::only_hard_limits()).await;
    let mut changes = Vec::new();
    for (wish, expected) in [(12, (6, 17)), (20, (10, 25)), (2, (1, 7))] {
        let (before, generation) = shop.stored().await;
        fault.strike(proxy, name);
        let faulty = shop.tick(wish).await;
        heal(proxy, name);
        let (found, found_generation) = shop.stored().await;
        match faulty {
            Outcome::Applied => assert_eq!(found_generation, generation + 1, "{what}: applied"),
            Outcome::Failed { may_have_happened: true, .. } => {}
            Outcome::Failed { .. } => assert_eq!(found, before, "{what}: nothing may have happened"),
            other => panic!("{what}: {other:?}"),
        }
        let next = shop.tick(wish).await;
        assert!(matches!(next, Outcome::Applied | Outcome::Unchanged { .. }), "{what}: {faulty:?}, then {next:?}");
        // What was late has come by now, and was too late.
        proxy.idle().await;
        let (after, last_generation) = shop.stored().await;
        assert_eq!((after.min(), after.max()), expected, "{what}: {faulty:?}, then {next:?}");
        assert_eq!(last_generation, generation + 1, "{what}: one change, not two; {faulty:?}, then {next:?}");
        changes.push((before, after));
        // A read settles what was uncertain.
        assert!(matches!(shop.tick(wish).await, Outcome::Unchanged { .. }), "{what}");
        assert_eq!(shop.history(), changes, "{what}");
        shop.owns_bounds_alone(what).await;
    }
}

/// A shrink whose answer was lost holds the next one back; one that never arrived does not.
async fn lost_answers_count_for_the_cooldown(plane: &ControlPlane, proxy: &Proxy) {
    for (name, treatment, arrived) in
        [("lost-answer", Treatment::LoseAnswer, true), ("lost-request", Treatment::LoseRequest, false)]
    {
        let guards = Guards::only_hard_limits().with(Cooldown::default());
        let mut shop = Shop::open(plane.client(ADMIN), proxy.client(), name, guards).await;
        assert_eq!(shop.tick(40).await, Outcome::Applied);
        shop.pods = 40;
        shop.wait(3600);
        Fault::of_writes(treatment).strike(proxy, name);
        let lost = shop.tick(30).await;
        assert!(matches!(lost, Outcome::Failed { may_have_happened: true, .. }), "{name}: {lost:?}");
        heal(proxy, name);
        let next = shop.tick(20).await;
        if arrived {
            assert!(matches!(&next, Outcome::Refused { guard, .. } if guard == "cooldown"), "{name}: {next:?}");
        } else {
            assert_eq!(next, Outcome::Applied, "{name}");
        }
        let expected = if arrived { [(1, 20), (20, 15)].to_vec() } else { [(1, 20), (20, 10)].to_vec() };
        let history: Vec<(u32, u32)> = shop.history().iter().map(|(from, to)| (from.min(), to.min())).collect();
        assert_eq!(history, expected, "{name}");
    }
}

/// Between two ticks, and between a write and its answer.
async fn the_api_server_stops_and_comes_back(plane: &mut ControlPlane, proxy: &Proxy) {
    let name = "stopped";
    let mut shop = Shop::open(plane.client(ADMIN), proxy.client(), name, Guards::only_hard_limits()).await;
    assert_eq!(shop.tick(12).await, Outcome::Applied);
    let (before, generation) = shop.stored().await;
    for (number, wish, lost) in [(1, 20, false), (2, 30, true)] {
        if lost {
            Fault::of_writes(Treatment::LoseAnswer).strike(proxy, name);
            let outcome = shop.tick(wish).await;
            assert!(matches!(outcome, Outcome::Failed { may_have_happened: true, .. }), "{outcome:?}");
            heal(proxy, name);
        }
        plane.stop_api_server();
        for _ in 0..3 {
            let outcome = shop.tick(wish).await;
            let expected =
                matches!(outcome, Outcome::Failed { step: Step::Read, transient: true, may_have_happened: false, .. });
            assert!(expected, "{outcome:?}");
        }
        plane.start_api_server_again().await;
        let outcome = shop.tick(wish).await;
        assert_eq!(outcome == Outcome::Applied, !lost, "{outcome:?}: done already, if the answer alone was lost");
        let (after, last) = shop.stored().await;
        assert_eq!((after.min(), last), (wish / 2, generation + number), "{outcome:?}");
    }
    let mins: Vec<u32> = shop.history().iter().map(|(_, to)| to.min()).collect();
    assert_eq!((mins, before), (vec![6, 10, 15], Bounds::new(6, 17).unwrap()));
}
