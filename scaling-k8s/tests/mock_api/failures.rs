//! Each failure, and whether the change may have happened all the same.

use std::time::Duration;

use futures::future::join;
use http::Response;
use kube::Client;
use kube::client::Body;
use scaling_core::{Applied, ApplyError, ApplyMode, HpaApplier};
use scaling_k8s::KubeHpaApplier;
use serde_json::{Value, json};

use crate::{answer, answer_all, apply, is_rehearsal, mocked, mocked_with, plan, status, target, with, written};

#[tokio::test(start_paused = true)]
async fn an_answer_with_other_bounds_than_sent_is_reported() {
    let error = apply(ApplyMode::Apply, &[(200, with(2, 6)), (200, with(3, 9))]).await.unwrap_err();
    assert!(matches!(error, ApplyError::Backend { transient: false, .. }));
    assert!(
        error.to_string().contains("took 3..11 and made it 3..9, as an admission webhook may; that is stored now"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn failures_are_told_apart() {
    let none = json!([]);
    let not_found = apply(ApplyMode::Apply, &[status(404, "NotFound", "not found", &none)]).await.unwrap_err();
    assert!(matches!(not_found, ApplyError::NotFound { .. }));
    for (code, reason) in [(400, "BadRequest"), (401, "Unauthorized"), (403, "Forbidden"), (422, "Invalid")] {
        let error = apply(ApplyMode::Apply, &[(200, with(2, 6)), status(code, reason, "no, because", &none)])
            .await
            .unwrap_err();
        assert!(matches!(error, ApplyError::Refused { .. }), "{code}: {error:?}");
        let (said, is_denied) = match code {
            401 => ("refused: the API server does not know who asks (401): ", true),
            403 => ("refused: not allowed (403): no, because", true),
            _ => ("refused: no, because", false),
        };
        assert!(error.to_string().contains(said), "{error}");
        assert!(matches!(error, ApplyError::Refused { denied, .. } if denied == is_denied), "{error:?}");
    }
    for code in [408, 500, 502, 503, 504] {
        let error =
            apply(ApplyMode::Apply, &[(200, with(2, 6)), status(code, "Oops", "down", &none)]).await.unwrap_err();
        assert!(matches!(error, ApplyError::Backend { transient: true, .. }), "{code}: {error:?}");
        assert!(error.to_string().starts_with("shop/Deployment/checkout: "), "{error}");
    }
}

/// Gives these answers in turn, and then hangs up: no answer to the next request, and no connection for later ones.
async fn apply_and_hang_up(mode: ApplyMode, answers: &[(u16, Value)]) -> Result<Applied, ApplyError> {
    let (applier, mut server) = mocked();
    let plan = plan();
    let serve = async move {
        answer_all(&mut server, mode, answers).await;
        let (mut next, mut respond) = server.next_request().await.unwrap();
        if mode == ApplyMode::Apply && answers.len() == 1 {
            assert!(is_rehearsal(&next));
            respond.send_response(Response::new(Body::from(written(3, 11).to_string().into_bytes())));
            (next, respond) = server.next_request().await.unwrap();
        }
        drop((next, respond));
    };
    join(applier.apply(&plan, mode), serve).await.0
}

#[tokio::test(start_paused = true)]
async fn law_12_each_error_says_whether_the_change_may_have_happened() {
    let none = json!([]);
    let read = (200, with(2, 6));
    let failed = |code, reason| status(code, reason, "no", &none);
    let owned = json!([{ "reason": "FieldManagerConflict", "message": "conflict with \"argocd\"", "field": ".spec.maxReplicas" }]);
    let outdated = status(409, "Conflict", "the object has been modified", &none);
    let proxy = |code| (code, json!({ "error": "bad gateway" }));
    let later = |code| {
        let (code, mut body) = failed(code, "TooManyRequests");
        body["details"]["retryAfterSeconds"] = 60.into();
        (code, body)
    };
    let cases = [
        // Before anything was sent.
        ("read: not found", vec![failed(404, "NotFound")], false),
        ("read: refused", vec![failed(403, "Forbidden")], false),
        ("read: down", vec![failed(503, "ServiceUnavailable")], false),
        ("read: no HPA", vec![(200, json!({}))], false),
        ("read: other bounds", vec![(200, with(2, 7))], false),
        // Answered with a no.
        ("write: not found", vec![read.clone(), failed(404, "NotFound")], false),
        ("write: no such path", vec![read.clone(), failed(404, "")], false),
        ("write: bad request", vec![read.clone(), failed(400, "BadRequest")], false),
        ("write: forbidden", vec![read.clone(), failed(403, "Forbidden")], false),
        ("write: invalid", vec![read.clone(), failed(422, "Invalid")], false),
        ("write: too many requests", vec![read.clone(), later(429)], false),
        ("write: a conflict", vec![read.clone(), status(409, "Conflict", "conflict", &owned)], false),
        ("write: outdated, then changed", vec![read.clone(), outdated.clone(), (200, with(5, 6))], false),
        // Sent, and without a yes or a no.
        ("write: slow", vec![read.clone(), failed(408, "Timeout")], true),
        ("write: down for longer", vec![read.clone(), later(503)], true),
        (
            "write: down, and then none knows",
            vec![read.clone(), failed(503, "ServiceUnavailable"), failed(401, "Unauthorized")],
            true,
        ),
        ("write: internal error", vec![read.clone(), failed(500, "InternalError")], true),
        ("write: gateway timeout", vec![read.clone(), failed(504, "Timeout")], true),
        ("write: a proxy", vec![read.clone(), proxy(502)], true),
        ("write: no HPA", vec![read.clone(), (200, json!({}))], true),
        ("write: other bounds", vec![read.clone(), (200, with(3, 9))], true),
        ("write: outdated, then down", vec![read.clone(), outdated.clone(), failed(503, "ServiceUnavailable")], true),
        ("write: outdated, then refused", vec![read.clone(), outdated.clone(), failed(401, "Unauthorized")], true),
    ];
    for (case, answers, may_have_happened) in cases {
        let error = apply(ApplyMode::Apply, &answers).await.unwrap_err();
        assert_eq!(error.may_have_happened(), may_have_happened, "{case}: {error:?}");
        let error = apply(ApplyMode::ServerDryRun, &answers).await.unwrap_err();
        assert!(!error.may_have_happened(), "law 3, {case}: {error:?}");
    }
    // A read says that the first write was not stored.
    let busy = failed(503, "ServiceUnavailable");
    let answers = [read.clone(), busy, read.clone(), failed(403, "Forbidden")];
    let error = apply(ApplyMode::Apply, &answers).await.unwrap_err();
    assert!(matches!(error, ApplyError::Refused { .. }), "{error:?}");
    for (case, answers, may_have_happened) in
        [("read", vec![], false), ("write", vec![read.clone()], true), ("reread", vec![read, outdated], true)]
    {
        let error = apply_and_hang_up(ApplyMode::Apply, &answers).await.unwrap_err();
        assert_eq!(error.may_have_happened(), may_have_happened, "hung up on a {case}: {error:?}");
        assert!(error.is_transient(), "{case}: {error:?}");
        let error = apply_and_hang_up(ApplyMode::ServerDryRun, &answers).await.unwrap_err();
        assert!(!error.may_have_happened() && error.is_transient(), "law 3, hung up on a {case}: {error:?}");
    }
}

/// Answers one read and one rehearsal on a real port. The next connection is refused or, with `accept`, takes the request and breaks.
fn serve_twice(accept: bool) -> u16 {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut listener = Some(listener);
        for (body, is_last) in [(with(2, 6), false), (written(3, 11), true)] {
            let (mut stream, _) = listener.as_ref().unwrap().accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            if is_last && !accept {
                listener = None;
            }
            let body = body.to_string();
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
            write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
        }
        if let Some(listener) = listener {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
        }
    });
    port
}

#[tokio::test]
async fn a_connection_that_is_refused_has_carried_nothing_and_one_that_breaks_may_have() {
    for breaks in [false, true] {
        let config = kube::Config::new(format!("http://127.0.0.1:{}", serve_twice(breaks)).parse().unwrap());
        let applier = KubeHpaApplier::new(Client::try_from(config).unwrap()).ownership(super::OwnershipPolicy::Take);
        let error = applier.apply(&plan(), ApplyMode::Apply).await.unwrap_err();
        assert!(error.is_transient(), "{error:?}");
        assert_eq!(error.may_have_happened(), breaks, "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_none_are_failures() {
    let cases: [(u16, &[u8], bool); 9] = [
        (200, b"garbage", false),
        (200, b"", false),
        (200, b"\xff\xfe\x00", true),
        (200, b"{}", false),
        (200, br#"{"apiVersion":"autoscaling/v2","kind":"HorizontalPodAutoscaler","metadata":{},"spec":{"maxReplicas":-1}}"#, false),
        (404, b"404 page not found", false),
        (418, b"teapot", false),
        (500, b"\xff", true),
        (502, br#"{"error":"bad gateway"}"#, true),
    ];
    for (code, body, expected) in cases {
        let (applier, mut server) = mocked();
        let (read, _) = join(async { applier.current(&target()).await }, answer(&mut server, code, body)).await;
        let error = read.unwrap_err();
        match error {
            ApplyError::Unapplied { transient, .. } => assert_eq!(transient, expected, "{code} {error}"),
            // Whatever it scales, it is not the workload of the target.
            ApplyError::Refused { .. } if code == 200 => {}
            other => panic!("{code}: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_transient() {
    let (applier, server) = mocked();
    drop(server);
    let error = applier.current(&target()).await.unwrap_err();
    assert!(matches!(error, ApplyError::Unapplied { transient: true, .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_answers_costs_the_timeout() {
    let (applier, mut server) = mocked();
    let start = tokio::time::Instant::now();
    let error = applier.current(&target()).await.unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 10);
    assert!(matches!(error, ApplyError::Unapplied { transient: true, .. }));
    assert!(error.to_string().contains("no answer within 10 s"), "{error}");
    drop(server.next_request().await);

    drop(server.next_request().await);

    // The write has a time of its own.
    let (applier, mut server) = mocked_with(|writer| writer.timeout(Duration::from_secs(3)));
    let plan = plan();
    let read = [(200, with(2, 6))];
    for (mode, rehearsals) in [(ApplyMode::Apply, 1), (ApplyMode::ServerDryRun, 0)] {
        let serve = async {
            answer_all(&mut server, ApplyMode::ServerDryRun, &read).await;
            for _ in 0..rehearsals {
                answer(&mut server, 200, written(3, 11).to_string()).await;
            }
            server.next_request().await
        };
        let (done, _silent) = join(applier.apply(&plan, mode), serve).await;
        let error = done.unwrap_err();
        assert_eq!((error.may_have_happened(), error.is_transient()), (mode == ApplyMode::Apply, true), "{error:?}");
    }
}
