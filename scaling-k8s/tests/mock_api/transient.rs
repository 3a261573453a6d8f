//! What is tried again, and what precedes a write.

use futures::future::join;
use http::Response;
use kube::client::Body;
use scaling_core::{ApplyError, ApplyMode, HpaApplier};
use scaling_k8s::resting::ANNOTATION;
use serde_json::{Value, json};

use crate::{answer, apply, bounds, is_rehearsal, mocked, plan, plan_of, status, target, with, written};

#[tokio::test(start_paused = true)]
async fn a_newer_version_with_the_same_bounds_is_tried_again() {
    let outdated = status(409, "Conflict", "the object has been modified", &json!([]));
    let answers = [(200, with(2, 6)), outdated.clone(), (200, with(2, 6)), (200, written(3, 11))];
    assert!(apply(ApplyMode::Apply, &answers).await.unwrap().changed);

    let answers = [(200, with(2, 6)), outdated.clone(), (200, with(5, 6))];
    assert!(matches!(apply(ApplyMode::Apply, &answers).await.unwrap_err(), ApplyError::Changed { .. }));

    let restless: Vec<_> = (0..5).flat_map(|_| [(200, with(2, 6)), outdated.clone()]).collect();
    let last = |there| [restless.clone(), vec![there]].concat();
    let error = apply(ApplyMode::Apply, &last((200, with(2, 6)))).await.unwrap_err();
    assert!(matches!(error, ApplyError::Unapplied { transient: true, .. }), "{error:?}");
    assert!(error.to_string().contains("others wrote to the HPA in between"), "{error}");
    assert!(error.to_string().ends_with("409: the object has been modified"), "{error}");
    // Not outdated but stored, and asked again by the client.
    assert!(!apply(ApplyMode::Apply, &last((200, with(3, 11)))).await.unwrap().changed);
}

#[tokio::test(start_paused = true)]
async fn what_is_transient_is_tried_again_after_the_pause_that_the_server_asks_for() {
    let busy = |code: u16, seconds: u32| {
        let (code, mut body) = status(code, "Busy", "later", &json!([]));
        body["details"]["retryAfterSeconds"] = seconds.into();
        (code, body)
    };
    let (read, yes) = ((200, with(2, 6)), (200, written(3, 11)));
    let cases = [
        ("a read", vec![busy(429, 2), busy(503, 3), read.clone(), yes.clone()], 5),
        ("a read that took too long", vec![busy(504, 0), busy(408, 0), read.clone(), yes.clone()], 0),
        ("a write", vec![read.clone(), busy(429, 4), yes.clone()], 4),
        ("a write of which a read tells", vec![read.clone(), busy(503, 4), read.clone(), yes.clone()], 4),
    ];
    for (case, answers, seconds) in cases {
        let start = tokio::time::Instant::now();
        assert!(apply(ApplyMode::Apply, &answers).await.unwrap().changed, "{case}");
        assert_eq!(start.elapsed().as_secs(), seconds, "{case}");
    }
    // In a dry run, too.
    let answers = [read, busy(429, 1), busy(503, 1), yes];
    assert!(apply(ApplyMode::ServerDryRun, &answers).await.unwrap().changed);

    // As often as five times, and for no longer than the deadline.
    let error = apply(ApplyMode::Apply, &vec![busy(503, 0); 5]).await.unwrap_err();
    assert!(matches!(error, ApplyError::Unapplied { transient: true, .. }), "{error:?}");
    let start = tokio::time::Instant::now();
    let error = apply(ApplyMode::Apply, &[busy(429, 6), busy(429, 6)]).await.unwrap_err();
    assert_eq!((start.elapsed().as_secs(), error.is_transient()), (6, true), "{error}");
}

/// A history has our own change, and a lost answer hides none.
#[tokio::test(start_paused = true)]
async fn what_an_earlier_attempt_may_have_written_is_ours() {
    let (read, ours, theirs) = ((200, with(2, 6)), (200, written(3, 11)), (200, with(3, 11)));
    let busy = status(503, "Busy", "later", &json!([]));
    let outdated = status(409, "Conflict", "the object has been modified", &json!([]));
    // Others have made it 5..6: before or after it was 3..11, and then our annotation is still there.
    let (other, mut since) = ((200, with(5, 6)), (200, written(5, 6)));
    let owned = json!([{ "reason": "FieldManagerConflict", "message": "conflict with \"argocd\"", "field": ".spec.maxReplicas" }]);
    let conflict = status(409, "Conflict", "owned", &owned);
    let attempt = |answers: &[(u16, Value)]| {
        let answers = answers.to_vec();
        async move { apply(ApplyMode::Apply, &answers).await }
    };
    for (first, there, changed) in [
        (&busy, &ours, true),
        // Whether it is ours is not said.
        (&busy, &theirs, true),
        // The client's own second try at a write that was stored.
        (&outdated, &ours, true),
        (&outdated, &theirs, false),
    ] {
        let done = attempt(&[read.clone(), first.clone(), there.clone()]).await.unwrap();
        assert_eq!(done.changed, changed, "{first:?}, {there:?}");
    }
    for (first, there, may_have_happened) in
        [(&busy, &other, true), (&outdated, &other, false), (&outdated, &since, true)]
    {
        let error = attempt(&[read.clone(), first.clone(), there.clone()]).await.unwrap_err();
        assert_eq!(error.may_have_happened(), may_have_happened, "{first:?}, {there:?}: {error}");
        assert_eq!(matches!(error, ApplyError::Changed { .. }), !may_have_happened, "{error:?}");
        assert!(error.is_transient() && error.to_string().contains("5..6"), "{error}");
    }
    // Ours was stored, and somebody has put the old bounds back.
    since.1["spec"] = read.1["spec"].clone();
    let error = attempt(&[read.clone(), outdated.clone(), since]).await.unwrap_err();
    assert!(error.may_have_happened(), "{error}");
    // A conflict is a no, also after an answer that was none and a read that says that nothing was stored.
    let error = attempt(&[read.clone(), busy, read, conflict]).await.unwrap_err();
    assert!(matches!(error, ApplyError::Conflict { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn one_deadline_holds_for_all_that_a_call_asks() {
    // Each answer comes after more than two seconds: a read, a rehearsal, and writes that meet a newer version.
    let (applier, mut server) = mocked();
    let plan = plan();
    let (code, outdated) = status(409, "Conflict", "the object has been modified", &json!([]));
    let mut sent = Vec::new();
    let serve = async {
        loop {
            let (request, respond) = server.next_request().await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(2300)).await;
            let (code, body) = match request.method().as_str() {
                "GET" => (200, with(2, 6)),
                _ if is_rehearsal(&request) => (200, written(3, 11)),
                _ => (code, outdated.clone()),
            };
            sent.push(request.method().to_string());
            let body = Body::from(body.to_string().into_bytes());
            respond.send_response(Response::builder().status(code).body(body).unwrap());
        }
    };
    let start = tokio::time::Instant::now();
    let error = tokio::select! {
        done = applier.apply(&plan, ApplyMode::Apply) => done.unwrap_err(),
        () = serve => return,
    };
    assert!(start.elapsed().as_secs() <= 10, "{:?}", start.elapsed());
    assert!(error.is_transient(), "{error:?}");
    assert_eq!(sent, ["GET", "PATCH", "PATCH", "GET"], "and no write is begun that cannot be answered in time");
    assert!(!error.may_have_happened(), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rehearsal_precedes_the_first_write_to_each_hpa_and_stops_it() {
    let (applier, mut server) = mocked();
    let plan = plan();
    // Refused, taken otherwise, or without the annotation: nothing is stored.
    let (code, no) = status(422, "Invalid", "denied by policy", &json!([]));
    let without = with(3, 11);
    for (code, answered, said) in [
        (code, no, "denied by policy"),
        (200, written(3, 9), "would be stored"),
        (200, without, "did not keep annotation"),
    ] {
        let serve = async {
            answer(&mut server, 200, with(2, 6).to_string()).await;
            answer(&mut server, code, answered.to_string()).await.1
        };
        let (done, path) = join(applier.apply(&plan, ApplyMode::Apply), serve).await;
        let error = done.unwrap_err();
        assert!(path.contains("dryRun=All"), "{path}");
        assert!(!error.may_have_happened() && error.to_string().contains(said), "{error}");
    }
    // Once it was taken, the next write needs none; neither does that of a clone. Another object of the same name does.
    for (uid, queries) in
        [("u-1", vec!["dryRun", "Manager"]), ("u-1", vec!["Manager"]), ("u-2", vec!["dryRun", "Manager"])]
    {
        let of = |mut hpa: Value| {
            hpa["metadata"]["uid"] = uid.into();
            if let Some(kept) = hpa["metadata"]["annotations"].get_mut(ANNOTATION) {
                *kept = kept.as_str().unwrap().replace("u-1", uid).into();
            }
            hpa.to_string()
        };
        let mut there = with(2, 6);
        there["metadata"]["annotations"] = json!({});
        let serve = async {
            answer(&mut server, 200, of(there)).await;
            for query in queries {
                let path = answer(&mut server, 200, of(written(3, 11))).await.1;
                assert!(path.contains(query), "{path}");
            }
        };
        let applier = applier.clone();
        assert!(join(applier.apply(&plan, ApplyMode::Apply), serve).await.0.unwrap().changed);
    }
}

#[tokio::test]
async fn law_11_a_max_is_not_lowered_below_pods_that_came_since_the_plan() {
    let (applier, mut server) = mocked();
    let plan = plan_of(&target(), bounds(2, 50), 18, 18);
    assert!(plan.new_bounds().max() < 40, "{plan}");
    let mut there = with(2, 50);
    there["status"] = json!({ "currentReplicas": 36, "desiredReplicas": 40 });
    // Nothing is sent but the read.
    let (answered, _) = join(applier.apply(&plan, ApplyMode::Apply), answer(&mut server, 200, there.to_string())).await;
    let error = answered.unwrap_err();
    assert!(!error.may_have_happened() && error.is_transient(), "{error:?}");
    assert!(error.to_string().contains("40 pods run by now"), "{error}");
}
