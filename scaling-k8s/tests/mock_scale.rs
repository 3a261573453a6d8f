//! Replicas through the scale subresource, over a mocked API server: promises, faults, and the requests that it takes.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "mock_scale/server.rs"]
mod server;
#[path = "support/vertical.rs"]
mod vertical;

use std::sync::atomic::{AtomicU32, Ordering};

use futures::FutureExt;
use futures::future::{Either, select};
use scaling_core::conformance::{self, applier, direct::plan};
use scaling_core::{Applied, ApplyError, ApplyMode, Bounds, HpaApplier};
use scaling_k8s::ScaleApplier;
use serde_json::{Value, json};
use server::{Fault, Shared, World, served, status, target};

/// Runs against the server, which goes on for as long as it takes.
async fn run<T>(world: &Shared, what: impl AsyncFnOnce(ScaleApplier) -> T) -> T {
    let (applier, server) = served(world);
    match select(Box::pin(what(applier)), Box::pin(server)).await {
        Either::Left((done, _)) => done,
        Either::Right(_) => panic!("the server does not end"),
    }
}

/// From 3 to 6, against a server with one fault.
async fn faulty(
    on: (&'static str, &'static str),
    code: u16,
    body: Value,
    carried_out: bool,
) -> (Result<Applied, ApplyError>, u32) {
    let world = World::with("web", 3);
    world.lock().unwrap().faults.push(Fault { on, code, body, carried_out });
    let answer = run(&world, async |applier| applier.apply(&plan(&target("web"), 3, 6), ApplyMode::Apply).await).await;
    let left = world.lock().unwrap().deployments["web"].0;
    (answer, left)
}

fn requests(world: &Shared) -> Vec<String> {
    std::mem::take(&mut world.lock().unwrap().log)
}

#[tokio::test(start_paused = true)]
async fn it_keeps_the_promises_of_an_applier() {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let world = World::with("nobody", 1);
    run(&world, async |applier| {
        conformance::direct_applier(async |replicas| {
            let name = format!("w{}", MADE.fetch_add(1, Ordering::Relaxed));
            world.lock().unwrap().deployments.insert(name.clone(), (replicas, 1));
            (applier.clone(), target(&name))
        })
        .await;
    })
    .await;
    let discoveries = requests(&world).iter().filter(|asked| *asked == "GET /apis").count();
    assert_eq!(discoveries, 1, "a fleet asks once");
}

#[tokio::test(start_paused = true)]
async fn the_requests_that_it_takes() {
    let world = World::with("web", 3);
    let scale = "/apis/apps/v1/namespaces/shop/deployments/web/scale";
    let hpas = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers";
    run(&world, async |applier| {
        applier.current(&target("web")).await.unwrap();
        assert_eq!(requests(&world), ["GET /apis", "GET /api", &format!("GET {scale}")]);
        applier.current(&target("web")).await.unwrap();
        assert_eq!(requests(&world), [format!("GET {scale}")], "a tick is one read");
        applier.apply(&plan(&target("web"), 3, 6), ApplyMode::Apply).await.unwrap();
        let first = [
            format!("GET {scale}?"),
            format!("GET {hpas}?&limit=500"),
            "GET /apis/apps/v1/namespaces/shop/deployments/web".to_owned(),
            format!("PATCH {scale}?&dryRun=All&fieldManager=kube-scaling"),
            format!("PATCH {scale}?&fieldManager=kube-scaling"),
        ];
        let plain =
            |asked: Vec<String>| asked.iter().map(|asked| asked.trim_end_matches('?').to_owned()).collect::<Vec<_>>();
        assert_eq!(plain(requests(&world)), plain(first.to_vec()));
        applier.apply(&plan(&target("web"), 6, 5), ApplyMode::Apply).await.unwrap();
        let later = [
            format!("GET {scale}"),
            format!("GET {hpas}?&resourceVersion=0&resourceVersionMatch=NotOlderThan"),
            format!("PATCH {scale}?&fieldManager=kube-scaling"),
        ];
        assert_eq!(plain(requests(&world)), plain(later.to_vec()));
        // Nothing to do takes no more than a look.
        applier.apply(&plan(&target("web"), 6, 5), ApplyMode::Apply).await.unwrap();
        assert_eq!(requests(&world).len(), 1);
        applier.apply(&plan(&target("web"), 5, 4), ApplyMode::Plan).await.unwrap();
        assert!(requests(&world).is_empty());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn law_12_a_write_without_an_answer_may_have_happened_and_nothing_else_may() {
    let (write, rehearsal) = (("PATCH", "?&fieldManager"), ("PATCH", "dryRun"));
    for carried_out in [false, true] {
        let (answer, left) = faulty(write, 500, status(500, "InternalError"), carried_out).await;
        let error = answer.unwrap_err();
        assert!(error.may_have_happened() && error.is_transient(), "{error:?}");
        assert_eq!(left, if carried_out { 6 } else { 3 });
    }
    for on in [("GET", "/scale"), ("GET", "horizontalpodautoscalers"), ("GET", "deployments/web$"), rehearsal] {
        let (answer, left) = faulty(on, 500, status(500, "InternalError"), false).await;
        assert!(matches!(answer, Err(ApplyError::Unapplied { transient: true, .. })), "{on:?}: {answer:?}");
        assert_eq!(left, 3);
    }
    for (code, reason) in [(403, "Forbidden"), (422, "Invalid")] {
        let (answer, left) = faulty(write, code, status(code, reason), false).await;
        assert!(matches!(answer, Err(ApplyError::Refused { .. })), "{answer:?}");
        assert_eq!(left, 3);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_transient_is_tried_again_and_a_read_tells_what_was_stored() {
    let (write, rehearsal) = (("PATCH", "?&fieldManager"), ("PATCH", "dryRun"));
    for (on, code) in [
        (write, 409),
        (write, 429),
        (write, 503),
        (rehearsal, 409),
        (rehearsal, 503),
        (("GET", "/scale"), 504),
        (("GET", "/apis"), 503),
    ] {
        let (answer, left) = faulty(on, code, status(code, "Busy"), false).await;
        assert!(answer.unwrap_or_else(|error| panic!("{on:?} {code}: {error}")).changed);
        assert_eq!(left, 6, "{on:?} {code}");
    }
    for (code, ours) in [(409, false), (503, true)] {
        let (answer, left) = faulty(write, code, status(code, "Busy"), true).await;
        assert_eq!(answer.unwrap().changed, ours, "whose write it was, as far as the answer tells");
        assert_eq!(left, 6);
    }
}

#[tokio::test(start_paused = true)]
async fn an_hpa_stands_in_the_way_and_so_does_not_knowing() {
    let (answer, left) = faulty(("GET", "horizontalpodautoscalers"), 403, status(403, "Forbidden"), false).await;
    assert!(matches!(answer, Err(ApplyError::Refused { .. })), "{answer:?}");
    assert_eq!(left, 3);

    let world = World::with("web", 3);
    run(&world, async |applier| {
        applier.apply(&plan(&target("web"), 3, 6), ApplyMode::Apply).await.unwrap();
        let reference = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" });
        world.lock().unwrap().hpas =
            vec![json!(3), json!({ "metadata": { "name": "late" }, "spec": { "scaleTargetRef": reference } })];
        for mode in [ApplyMode::ServerDryRun, ApplyMode::Apply] {
            let error = applier.apply(&plan(&target("web"), 6, 5), mode).await.unwrap_err();
            assert!(error.to_string().contains("HorizontalPodAutoscaler \"late\" scales it"), "{error}");
        }
        assert_eq!(world.lock().unwrap().deployments["web"].0, 6);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_scale_that_tells_no_number_is_left_alone() {
    for body in [
        json!([]),
        json!("text"),
        json!({ "spec": { "replicas": -1 } }),
        json!({ "spec": { "replicas": 1.5 } }),
        json!({ "spec": { "replicas": 4_294_967_295_u32 } }),
        json!({ "spec": { "replicas": "3" } }),
    ] {
        let (answer, left) = faulty(("GET", "/scale"), 200, body.clone(), false).await;
        assert!(matches!(answer, Err(ApplyError::Unapplied { transient: false, .. })), "{body}: {answer:?}");
        assert_eq!(left, 3);
    }
    // None at all is how a 0 looks.
    for body in [json!({}), json!({ "spec": null })] {
        let world = World::with("web", 3);
        world.lock().unwrap().faults.push(Fault { on: ("GET", "/scale"), code: 200, body, carried_out: false });
        let error = run(&world, async |applier| applier.current(&target("web")).await).await.unwrap_err();
        assert!(error.to_string().contains("it is paused"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_makes_another_number_of_it_is_told() {
    let world = World::with("web", 3);
    world.lock().unwrap().webhook = Some(4);
    let answer = run(&world, async |applier| applier.apply(&plan(&target("web"), 3, 6), ApplyMode::Apply).await).await;
    let error = answer.unwrap_err();
    assert!(error.to_string().contains("took 6 replicas and made it 4") && !error.may_have_happened(), "{error}");
    assert_eq!(world.lock().unwrap().deployments["web"].0, 3, "the rehearsal has found it out");
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_not_served_is_looked_for_again_but_not_at_each_tick() {
    let world = World::with("web", 3);
    let rollout = target("web").of_kind("Rollout");
    run(&world, async |applier| {
        for _ in 0..20 {
            let error = applier.current(&rollout).await.unwrap_err();
            assert!(error.to_string().contains("serves no kind Rollout that can be scaled"), "{error}");
        }
        assert_eq!(requests(&world), ["GET /apis", "GET /api"]);
        tokio::time::advance(std::time::Duration::from_secs(31)).await;
        applier.current(&rollout).await.unwrap_err();
        assert_eq!(requests(&world), ["GET /apis", "GET /api"]);
    })
    .await;
    // A path that is gone is forgotten, and found anew.
    world.lock().unwrap().faults.push(Fault {
        on: ("GET", "/scale"),
        code: 404,
        body: status(404, ""),
        carried_out: false,
    });
    run(&world, async |applier| {
        assert!(applier.current(&target("web")).await.is_err());
        requests(&world);
        assert!(applier.current(&target("web")).await.is_ok());
        assert_eq!(requests(&world).len(), 3);
    })
    .await;
    // A server of before, or something that is none.
    for (code, body) in [
        (200, json!({ "kind": "APIGroupList", "groups": [] })),
        (200, json!({})),
        (403, status(403, "Forbidden")),
        (200, json!("<html>")),
    ] {
        let (answer, left) = faulty(("GET", "/apis"), code, body.clone(), false).await;
        let error = answer.unwrap_err();
        assert!(!error.may_have_happened() && !error.is_transient(), "{body}: {error:?}");
        assert_eq!(left, 3);
    }
}

#[tokio::test]
async fn what_is_no_number_or_no_name_is_refused_before_anything_is_sent() {
    let world = World::with("web", 3);
    let applier = served(&world).0;
    let bounds = |min, max| Bounds::new(min, max).unwrap();
    let wide = applier::plan(&target("web"), bounds(2, 6), 3, 6);
    let vertical = vertical::plan(&target("web"), bounds(3, 3), &vertical::facts(), 25, 0);
    for (plan, said) in [(wide, "the policy must be exact"), (vertical, "sets their number alone")] {
        for mode in [ApplyMode::Plan, ApplyMode::ServerDryRun, ApplyMode::Apply] {
            let error = applier.apply(&plan, mode).now_or_never().unwrap().unwrap_err();
            assert!(matches!(error, ApplyError::Refused { .. }) && error.to_string().contains(said), "{error}");
        }
    }
    for name in ["../x", "", "x/scale", "x?force=true", "X"] {
        let answer = applier.current(&target(name)).now_or_never().unwrap();
        assert!(matches!(answer, Err(ApplyError::Refused { .. })), "{name}");
    }
}
