//! What is asked again, when, and when not: by the clock that stands still while anybody works.

use std::fs;
use std::time::Duration;

use scaling_llm::{ApiKey, ModelError};
use tokio::time::Instant;

use crate::server::Reply;
use crate::spoken::{ADVICE, ok};
use crate::strict::{Api, KEY};
use crate::{SYSTEM, USER, World, outcome};
use Wait::{Backoff, Never, Of};

/// Asks once; tells what came of it, the seconds between the requests, and those that it took.
async fn told(world: &World) -> (String, Vec<f64>, f64) {
    let began = Instant::now();
    let outcome = outcome(&world.ask().await);
    (outcome, world.gaps(), began.elapsed().as_secs_f64())
}

/// The waits of the backoff: half a second and a second, of each at least half.
fn is_backoff(gaps: &[f64]) -> bool {
    gaps.len() == 2 && (0.25..0.6).contains(&gaps[0]) && (0.5..1.1).contains(&gaps[1])
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_asked_three_times_and_what_does_not_once() {
    for api in Api::BOTH {
        for (status, expected, again) in [
            (408, "unavailable", true),
            (409, "unavailable", true),
            (429, "unavailable", true),
            (500, "unavailable", true),
            (502, "unavailable", true),
            (503, "unavailable", true),
            (504, "unavailable", true),
            (529, "unavailable", true),
            (400, "rejected", false),
            (401, "denied", false),
            (402, "spent", false),
            (403, "denied", false),
            (404, "denied", false),
            (413, "rejected", false),
            (422, "rejected", false),
            (501, "unavailable", true),
            (524, "unavailable", true),
            (304, "unavailable", false),
        ] {
            for body in [api.fails("some_error", None).to_string(), "<html>busy</html>".into(), String::new()] {
                let world = World::always(api, Reply::answer(status, &[], body)).await;
                let (told, gaps, _) = told(&world).await;
                assert_eq!(told, expected, "{api:?} {status}");
                assert_eq!(is_backoff(&gaps), again, "{api:?} {status}: {gaps:?}");
                assert!(again || gaps.is_empty(), "{api:?} {status}: {gaps:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_comes_back_is_heard() {
    for api in Api::BOTH {
        for reply in [
            Reply::answer(529, &[], "overloaded"),
            Reply::answer(500, &[], ""),
            Reply::Reset(vec![]),
            Reply::Raw(vec![]),
        ] {
            let world =
                World::new(api, move |_, number| if number < 2 { reply.clone() } else { ok(&api.says(ADVICE)) }).await;
            let (told, gaps, _) = told(&world).await;
            assert!(told == "Scale 5" && is_backoff(&gaps), "{told} {gaps:?}");
        }
    }
}

/// The wait after an answer, in seconds.
enum Wait {
    Of(f64),
    /// The header says nothing.
    Backoff,
    /// The answer is final at once.
    Never,
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_heeded_as_far_as_it_can_be_read_and_never_beyond_the_time() {
    let date = ("date", "Sat, 28 Nov 2026 09:00:00 GMT");
    for (headers, wait) in [
        (vec![("retry-after", "7")], Of(7.0)),
        (vec![("retry-after", " 7 ")], Of(7.0)),
        (vec![("retry-after", "2.5")], Of(2.5)),
        (vec![("retry-after-ms", "1500")], Of(1.5)),
        (vec![("retry-after-ms", "1500"), ("retry-after", "29")], Of(1.5)),
        (vec![("retry-after-ms", "-1"), ("retry-after", "7")], Of(7.0)),
        (vec![date, ("retry-after", "Sat, 28 Nov 2026 09:00:05 GMT")], Of(5.0)),
        (vec![date, ("retry-after", "Sat, 28 Nov 2026 08:00:00 GMT")], Backoff),
        (vec![("retry-after", "0")], Backoff),
        (vec![("retry-after", "0.0")], Backoff),
        (vec![("retry-after", "-5")], Backoff),
        (vec![("retry-after", "soon")], Backoff),
        (vec![("retry-after", "")], Backoff),
        (vec![("retry-after", "NaN")], Backoff),
        (vec![("retry-after", "inf")], Backoff),
        (vec![("retry-after", "1e3")], Backoff),
        (vec![("retry-after", "6m0s")], Backoff),
        (vec![("retry-after", "30")], Never),
        (vec![("retry-after", "3600")], Never),
        (vec![("retry-after", "99999999999999999999999999")], Never),
        (vec![("retry-after-ms", "30000.5")], Never),
        (vec![date, ("retry-after", "Sat, 28 Nov 2026 10:00:00 GMT")], Never),
    ] {
        for api in Api::BOTH {
            let limited = Reply::answer(429, &headers, api.fails("rate_limit_error", None).to_string());
            let world =
                World::new(api, move |_, number| if number == 0 { limited.clone() } else { ok(&api.says(ADVICE)) })
                    .await;
            let (told, gaps, took) = told(&world).await;
            match wait {
                Of(seconds) => assert!(
                    told == "Scale 5" && gaps.len() == 1 && (seconds..seconds + 0.1).contains(&gaps[0]),
                    "{headers:?}: {told} {gaps:?}"
                ),
                Backoff => assert!(
                    told == "Scale 5" && gaps.len() == 1 && (0.25..0.6).contains(&gaps[0]),
                    "{headers:?}: {told} {gaps:?}"
                ),
                Never => assert!(
                    told == "unavailable" && gaps.is_empty() && took < 0.1,
                    "{headers:?}: {told} {gaps:?} {took}"
                ),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asked_for_more_time_than_there_is_is_left_alone_until_then() {
    for api in Api::BOTH {
        for (asked, paused) in [("100", 100), ("99999999", 900)] {
            let limited = Reply::answer(429, &[("retry-after", asked)], "");
            let world =
                World::new(api, move |_, number| if number == 0 { limited.clone() } else { ok(&api.says(ADVICE)) })
                    .await;
            let model = world.model();
            model.complete(SYSTEM, USER).await.unwrap_err();
            tokio::time::advance(Duration::from_secs(paused - 10)).await;
            let error = model.complete(SYSTEM, USER).await.unwrap_err();
            assert!(error.is_transient() && error.to_string().contains("another"), "{error}");
            assert_eq!(world.requests(), 1);
            tokio::time::advance(Duration::from_secs(11)).await;
            assert_eq!(outcome(&model.complete(SYSTEM, USER).await), "Scale 5");
            assert_eq!(world.requests(), 2);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_spent_is_not_asked_again_whatever_the_server_says() {
    let a = Api::Anthropic;
    let o = Api::OpenAi;
    for (api, kind, code, spent) in [
        (a, "rate_limit_error", Some("enforced_spend_limit_reached"), true),
        (a, "rate_limit_error", Some("contract_spend_limit_reached"), true),
        (a, "rate_limit_error", Some("ramp_limit_exceeded"), false),
        (a, "rate_limit_error", None, false),
        (o, "insufficient_quota", Some("insufficient_quota"), true),
        (o, "insufficient_quota", None, true),
        (o, "billing", Some("credit_balance_exhausted"), true),
        (o, "billing", Some("organization_spend_limit_exceeded"), true),
        (o, "billing", Some("project_spend_limit_exceeded"), true),
        (o, "billing", Some("organization_usage_limit_exceeded"), true),
        (o, "tokens", Some("rate_limit_exceeded"), false),
        (o, "requests", Some("slow_down"), false),
    ] {
        for headers in [vec![], vec![("x-should-retry", "true")], vec![("retry-after", "1")]] {
            let world = World::always(api, Reply::answer(429, &headers, api.fails(kind, code).to_string())).await;
            let answer = world.ask().await;
            let expected = if spent { ("spent", 1) } else { ("unavailable", 3) };
            assert_eq!((outcome(&answer).as_str(), world.requests()), expected, "{kind} {code:?} {headers:?}");
            assert_eq!(answer.unwrap_err().is_lasting(), spent);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_servers_own_word_on_retrying_is_heeded() {
    for api in Api::BOTH {
        for (status, said, requests) in
            [(400, "true", 3), (503, "false", 1), (429, "false", 1), (400, "maybe", 1), (503, "", 3)]
        {
            let world = World::always(api, Reply::answer(status, &[("x-should-retry", said)], "")).await;
            world.ask().await.unwrap_err();
            assert_eq!(world.requests(), requests, "{status} {said}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_refused_is_read_again_from_its_file_once() {
    for api in Api::BOTH.into_iter().chain([Api::Azure]) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "sk-old\n").unwrap();
        let world = World::always(api, ok(&api.says(ADVICE))).await;
        let model = world.with(ApiKey::file(&path), |http| http);
        assert_eq!((outcome(&model.complete(SYSTEM, USER).await).as_str(), world.requests()), ("denied", 2), "{api:?}");
        fs::write(&path, format!("{KEY}\n")).unwrap();
        assert_eq!(
            (outcome(&model.complete(SYSTEM, USER).await).as_str(), world.requests()),
            ("Scale 5", 4),
            "{api:?}"
        );
        assert_eq!(
            (outcome(&model.complete(SYSTEM, USER).await).as_str(), world.requests()),
            ("Scale 5", 5),
            "{api:?}"
        );
        assert!(world.gaps().iter().all(|gap| *gap < 0.1), "a new key is tried at once: {:?}", world.gaps());
        fs::remove_file(&path).unwrap();
        let fresh = world.with(ApiKey::file(&path), |http| http);
        let error = fresh.complete(SYSTEM, USER).await.unwrap_err();
        assert!(matches!(&error, ModelError::Denied(what) if what.contains("token file")), "{error}");
        assert_eq!(world.requests(), 5, "nothing is sent without the key");
    }
}
