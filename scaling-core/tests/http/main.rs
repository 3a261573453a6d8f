//! The HTTP client against a server that does what servers should not.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod server;
mod tls;

use std::fs;
use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use scaling_core::http::{
    Auth, Endpoint, HttpClient, HttpConfig, HttpConfigError, HttpError, HttpRequest, HttpResponse, Retry, TraceContext,
};
use server::{Reply, Server};
use tokio::time::Instant;

const SECRET: &str = "s3cr3t-t0ken/with+signs=";

/// Tries again at once: what is tested here is whether, not when.
fn config() -> HttpConfig {
    let retry = Retry { attempts: 4, initial: Duration::ZERO, max: Duration::ZERO };
    HttpConfig::default().retry(retry).seed(1)
}

/// Waits of no real time: the clock stands still while anybody works, and jumps when all wait.
fn patient() -> HttpConfig {
    config().attempt_timeout(Duration::from_secs(100_000)).timeout(Duration::from_secs(100_000))
}

fn client(config: HttpConfig) -> HttpClient {
    HttpClient::new(config).unwrap()
}

fn get(server: &Server) -> HttpRequest {
    HttpRequest::get(Endpoint::parse(&server.url()).unwrap().join("metrics"))
}

async fn fails(config: HttpConfig, reply: Reply) -> (HttpError, usize) {
    let server = Server::always(reply).await;
    let error = client(config).send(&get(&server)).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("{}/metrics: ", server.url())), "it names the endpoint: {error}");
    (error, server.seen().len())
}

#[tokio::test]
async fn an_answer_comes_back_with_status_headers_and_body() {
    let server = Server::always(Reply::answer(200, &[("x-request-id", "7")], "{}")).await;
    let request = get(&server).query("query", "a{b=\"c\"}").header("x-one", "1");
    let response = client(config().header("x-scope-orgid", "team-a")).send(&request).await.unwrap();
    assert_eq!((response.status(), response.header("x-request-id"), response.body()), (200, Some("7"), &b"{}"[..]));
    let seen = server.seen().remove(0);
    assert_eq!(seen.line, "GET /metrics?query=a%7Bb%3D%22c%22%7D HTTP/1.1");
    assert_eq!((seen.header("x-scope-orgid"), seen.header("x-one")), (Some("team-a"), Some("1")));
    assert_eq!(seen.header("authorization"), None);
}

#[tokio::test]
async fn what_passes_is_tried_again_and_what_does_not_is_not() {
    for status in [429, 500, 502, 503, 504] {
        let server = Server::start(
            move |_, number| if number < 2 { Reply::answer(status, &[], "busy") } else { Reply::ok("x") },
        );
        let server = server.await;
        assert_eq!(client(config()).send(&get(&server)).await.unwrap().body(), b"x", "{status}");
        assert_eq!(server.seen().len(), 3);
    }
    for status in [400, 401, 403, 404, 405, 422, 501] {
        let (error, asked) = fails(config(), Reply::answer(status, &[], "no")).await;
        assert_eq!((error.status(), asked, error.is_transient()), (Some(status), 1, status == 401));
    }
    let (error, asked) = fails(config(), Reply::answer(503, &[], "still\nbusy")).await;
    assert_eq!((asked, error.is_transient()), (4, true));
    assert!(error.to_string().ends_with("status 503: still busy"), "{error}");
}

#[tokio::test]
async fn what_may_have_been_done_is_done_again_only_if_that_is_said() {
    for (reply, repeatable, asked) in [
        (Reply::answer(429, &[], ""), false, 4),
        (Reply::answer(503, &[], ""), false, 4),
        (Reply::answer(500, &[], ""), false, 1),
        (Reply::answer(500, &[], ""), true, 4),
        (Reply::Reset(b"HTTP/1.1 200 x\r\ncontent-length: 9\r\n\r\n{".to_vec()), false, 1),
        (Reply::Reset(b"HTTP/1.1 200 x\r\ncontent-length: 9\r\n\r\n{".to_vec()), true, 4),
    ] {
        let server = Server::always(reply.clone()).await;
        let endpoint = Endpoint::parse(&server.url()).unwrap();
        let request = HttpRequest::post_form(endpoint, [("a", "1"), ("b", "&")]).repeatable(repeatable);
        client(config()).send(&request).await.unwrap_err();
        assert_eq!(server.seen().len(), asked, "{reply:?}, repeatable: {repeatable}");
        assert!(server.seen().iter().all(|seen| seen.body == b"a=1&b=%26"));
    }
}

#[tokio::test]
async fn nobody_listening_is_no_connection_and_transient() {
    let address = Server::always(Reply::Hang).await.url(); // gone again
    let request = HttpRequest::get(Endpoint::parse(&address).unwrap());
    let error = client(config()).send(&request).await.unwrap_err();
    assert!(matches!(error, HttpError::Connect { .. }) && error.is_transient(), "{error:?}");
}

#[tokio::test]
async fn a_connection_that_breaks_is_not_an_empty_answer() {
    let gzip = packed(&vec![b'a'; 100_000]);
    let half = gzip.get(..gzip.len() / 2).unwrap();
    let begun = |encoding: &str, length: usize| {
        format!("HTTP/1.1 200 x\r\ncontent-length: {length}\r\n{encoding}connection: close\r\n\r\n").into_bytes()
    };
    for (what, reply) in [
        ("before the head", Reply::Reset(vec![])),
        ("closed before the head", Reply::Raw(vec![])),
        ("within the head", Reply::Raw(b"HTTP/1.1 200 x\r\ncontent-le".to_vec())),
        ("within the body", Reply::Raw([begun("", 100), b"half".to_vec()].concat())),
        ("reset within the body", Reply::Reset([begun("", 100), b"half".to_vec()].concat())),
        ("within a chunk", Reply::Raw(b"HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\nff\r\nhalf".to_vec())),
        ("within a packed body", Reply::Raw([begun("content-encoding: gzip\r\n", gzip.len()), half.to_vec()].concat())),
    ] {
        let (error, asked) = fails(config(), reply).await;
        assert!(matches!(error, HttpError::Interrupted { .. }) && error.is_transient(), "{what}: {error:?}");
        assert_eq!(asked, 4, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_or_trickles_costs_the_deadline_and_no_more() {
    let head = b"HTTP/1.1 200 x\r\ncontent-length: 1000000\r\n\r\n".to_vec();
    for reply in [Reply::Hang, Reply::Trickle(head), Reply::Trickle(b"HTTP/1.1 200 x\r\nx-a: ".to_vec())] {
        let began = Instant::now();
        let config = config().timeout(Duration::from_secs(30)).attempt_timeout(Duration::from_secs(8));
        let (error, asked) = fails(config, reply.clone()).await;
        let HttpError::Timeout { attempts, last, .. } = &error else { panic!("{reply:?}: {error:?}") };
        assert_eq!((*attempts, asked), (4, 4), "{reply:?}");
        assert_eq!(last.as_deref(), None, "one that was not answered tells nothing of another: {error}");
        assert_eq!(began.elapsed().as_secs(), 30, "{reply:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_heeded_and_never_waited_for_beyond_the_deadline() {
    let date = [("date", "Tue, 14 Nov 2023 22:13:20 GMT"), ("retry-after", "Tue, 14 Nov 2023 22:15:20 GMT")];
    for (headers, waited) in [
        (&date[..], 120),
        (&[("retry-after", "77")], 77),
        (&[("retry-after", "soon")], 0),
        (&[("retry-after", "-5")], 0),
        (&[("retry-after-ms", "3000"), ("retry-after", "77")], 3),
        (&[("retry-after-ms", "no"), ("retry-after", "77")], 77),
    ] {
        let headers: Vec<_> = headers.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
        let server = Server::start(move |_, number| {
            let headers: Vec<_> = headers.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            if number == 0 { Reply::answer(429, &headers, "") } else { Reply::ok("x") }
        });
        let (server, began) = (server.await, Instant::now());
        client(patient()).send(&get(&server)).await.unwrap();
        assert_eq!((began.elapsed().as_secs(), server.seen().len()), (waited, 2));
    }
    let began = Instant::now();
    let late = Reply::answer(503, &[("retry-after", "99999999")], "");
    let (error, asked) = fails(patient(), late).await;
    let asks = Some(Duration::from_secs(99_999_999));
    assert!(matches!(error, HttpError::Status { status: 503, retry_after, .. } if retry_after == asks), "{error:?}");
    assert_eq!((asked, began.elapsed().as_secs()), (1, 0));
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_body_is_counted_while_it_is_read_and_after_it_is_unpacked() {
    let limited = || config().body_limit(1 << 20);
    let gzip = [("content-encoding", "gzip")];
    let fits = Server::always(Reply::answer(200, &gzip, packed(&vec![b'a'; 1 << 20]))).await;
    assert_eq!(client(limited()).send(&get(&fits)).await.unwrap().body().len(), 1 << 20);

    let bomb = packed(&vec![0; 100 << 20]);
    assert!(bomb.len() < 1 << 20);
    let endless = b"HTTP/1.1 200 x\r\ncontent-length: 99999999999\r\n\r\n".to_vec();
    for reply in [
        Reply::answer(200, &gzip, bomb),
        Reply::answer(200, &[], vec![b'a'; (1 << 20) + 1]),
        Reply::Endless(endless, vec![b'a'; 1 << 16]),
        Reply::Endless(b"HTTP/1.1 200 x\r\n\r\n".to_vec(), vec![b'a'; 1 << 16]),
    ] {
        let (error, asked) = fails(limited(), reply).await;
        assert!(matches!(error, HttpError::TooLarge { limit, .. } if limit == 1 << 20), "{error:?}");
        assert_eq!((asked, error.is_transient()), (1, false));
    }
    // The text of a failure is cut instead: its status says enough.
    let (error, _) = fails(limited(), Reply::Endless(b"HTTP/1.1 404 x\r\n\r\n".to_vec(), vec![b'a'; 1 << 16])).await;
    assert_eq!(error.status(), Some(404));
    assert!(error.to_string().len() < 300, "{error}");
}

#[tokio::test]
async fn a_body_that_is_not_packed_as_it_says_cannot_be_decoded() {
    let (error, asked) =
        fails(config(), Reply::answer(200, &[("content-encoding", "gzip")], "plain text, really")).await;
    assert!(matches!(error, HttpError::Decode { .. }) && !error.is_transient(), "{error:?}");
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn credentials_do_not_travel_with_a_redirect() {
    let other = Server::always(Reply::ok("stolen")).await;
    for status in [301, 302, 303, 307, 308] {
        let to = format!("{}/elsewhere?token={SECRET}", other.url());
        let reply = Reply::answer(status, &[("location", &to)], "moved");
        let (error, asked) = fails(config().auth(Auth::bearer(SECRET)), reply).await;
        assert!(matches!(&error, HttpError::Redirected { to, .. } if *to == other.url()), "{error:?}");
        assert_eq!((error.status(), asked, error.is_transient()), (Some(status), 1, false));
    }
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn credentials_are_not_sent_in_the_clear_beyond_loopback() {
    // Addresses kept for documentation: nothing is there, and nothing may be sent there.
    for address in ["http://192.0.2.1", "http://localhost.example.com"] {
        let request = HttpRequest::get(Endpoint::parse(address).unwrap());
        for config in [
            config().auth(Auth::bearer(SECRET)),
            config().auth(Auth::basic("user", SECRET)),
            config().secret_header("dd-api-key", SECRET),
        ] {
            let error = client(config).send(&request).await.unwrap_err();
            assert!(matches!(error, HttpError::Unencrypted { .. }), "{error:?}");
        }
        let error = client(config()).send(&request.clone().secret_header("x-api-key", SECRET)).await.unwrap_err();
        assert!(matches!(error, HttpError::Unencrypted { .. }), "{error:?}");
    }
    let server = Server::always(Reply::ok("")).await;
    client(config().auth(Auth::basic("user", "pass"))).send(&get(&server)).await.unwrap();
    assert_eq!(server.seen()[0].header("authorization"), Some("Basic dXNlcjpwYXNz"));
}

#[tokio::test]
async fn a_refused_token_is_read_again_from_its_file_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "old\n").unwrap();
    let server = Server::start(|seen, _| match seen.header("authorization") {
        Some("Bearer new") => Reply::ok("x"),
        _ => Reply::answer(401, &[], "expired"),
    });
    let server = server.await;
    let client = client(config().auth(Auth::bearer_file(&path)));
    assert_eq!(client.send(&get(&server)).await.unwrap_err().status(), Some(401));
    assert_eq!(server.seen().len(), 2, "read again, and refused again");
    fs::write(&path, "  new \n").unwrap();
    client.send(&get(&server)).await.unwrap();
    client.send(&get(&server)).await.unwrap();
    let tokens: Vec<_> = server.seen().iter().map(|seen| seen.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(tokens[2..], ["Bearer old", "Bearer new", "Bearer new"]);

    for (content, what) in [("", "empty"), (" \n", "empty"), (&"a".repeat(20_000), "longer than")] {
        fs::write(&path, content).unwrap();
        let client = HttpClient::new(config().auth(Auth::bearer_file(&path))).unwrap();
        let error = client.send(&get(&server)).await.unwrap_err().to_string();
        assert!(error.contains(what) && error.contains("token file"), "{error}");
    }
    fs::write(&path, "two\nlines").unwrap();
    let two_lines = HttpClient::new(config().auth(Auth::bearer_file(&path))).unwrap();
    let error = two_lines.send(&get(&server)).await.unwrap_err();
    assert!(matches!(&error, HttpError::Credentials { what } if !what.contains("two")), "{error}");
    let nowhere = HttpClient::new(config().auth(Auth::bearer_file(folder.path().join("none")))).unwrap();
    let error = nowhere.send(&get(&server)).await.unwrap_err();
    assert!(matches!(error, HttpError::Credentials { .. }) && error.is_transient(), "{error}");
}

#[tokio::test]
async fn a_token_file_for_a_header_of_its_own_is_read_again_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    fs::write(&path, "old\n").unwrap();
    let server = Server::start(|seen, _| match seen.header("api-key") {
        Some("new") => Reply::ok("x"),
        _ => Reply::answer(401, &[], "expired"),
    });
    let server = server.await;
    let client = client(config().auth(Auth::header_file("api-key", &path)));
    assert_eq!(client.send(&get(&server)).await.unwrap_err().status(), Some(401));
    fs::write(&path, "new").unwrap();
    client.send(&get(&server)).await.unwrap();
    client.send(&get(&server)).await.unwrap();
    let sent: Vec<_> = server.seen().iter().map(|seen| seen.header("api-key").unwrap().to_owned()).collect();
    assert_eq!(sent, ["old", "old", "old", "new", "new"]);
    assert!(server.seen().iter().all(|seen| seen.header("authorization").is_none()));
}

#[tokio::test]
async fn a_host_that_knows_more_than_the_status_decides_what_is_tried_again() {
    let hook = |response: &HttpResponse| match response.body() {
        b"spent" => Some(false),
        b"conflict" => Some(true),
        _ => None,
    };
    for (status, body, asked) in
        [(429, "spent", 1), (429, "busy", 4), (409, "conflict", 4), (409, "other", 1), (200, "conflict", 1)]
    {
        let server = Server::always(Reply::answer(status, &[], body)).await;
        let response = client(config().retry_if(hook)).exchange(&get(&server)).await.unwrap();
        assert_eq!((response.status(), server.seen().len()), (status, asked), "{status} {body}");
    }
}

#[tokio::test]
async fn a_secret_that_the_server_repeats_is_cut_out_and_no_debug_shows_one() {
    let echo = Server::start(|seen, _| {
        let headers: Vec<_> = seen.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        Reply::answer(403, &[], format!("{{\"you\": \"sent\", {}", headers.join("; ")))
    });
    let echo = echo.await;
    for config in [
        config().auth(Auth::bearer(SECRET)),
        config().auth(Auth::basic("user", SECRET)),
        config().secret_header("x-api-key", SECRET),
    ] {
        let basic = "dXNlcjpzM2NyM3QtdDBrZW4vd2l0aCtzaWducz0=";
        let client = client(config.clone());
        let request = get(&echo).query("api_key", SECRET).secret_header("x-other-key", SECRET);
        let response = client.exchange(&request).await.unwrap();
        let body = String::from_utf8(response.body().to_vec()).unwrap();
        let error = response.clone().into_success().unwrap_err();
        for text in [body, format!("{client:?} {config:?} {request:?} {response:?} {error:?} {error}")] {
            assert!(!text.contains(SECRET) && !text.contains(basic), "{text}");
        }
        assert!(error.to_string().contains("[redacted]"), "{error}");
    }
    // The stack's own errors do not repeat the query either.
    let address = Server::always(Reply::Hang).await.url();
    let request = HttpRequest::get(Endpoint::parse(&address).unwrap()).query("api_key", SECRET);
    let error = client(config()).send(&request).await.unwrap_err();
    assert!(!format!("{error:?}").contains("api_key"), "{error:?}");
}

#[tokio::test]
async fn a_trace_goes_along_and_a_broken_one_does_not_stop_the_request() {
    let server = Server::always(Reply::ok("")).await;
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let context = |traceparent: &str| TraceContext { traceparent: traceparent.into(), tracestate: String::new() };
    for (hook, sent) in [(Some(context(parent)), Some(parent)), (Some(context("a\nb")), None), (None, None)] {
        let client = client(config().trace_context(move || hook.clone()));
        client.send(&get(&server)).await.unwrap();
        let seen = server.seen().pop().unwrap();
        assert_eq!((seen.header("traceparent"), seen.header("tracestate")), (sent, None));
    }
}

#[test]
fn headers_that_cannot_be_sent_are_refused_by_name_and_without_their_value() {
    for (name, value) in
        [("a b", "x"), ("", "x"), ("x-key", "s3cr3t\nx-evil: 1"), ("Host", "s3cr3t"), ("authorization", "s3cr3t")]
    {
        let error = HttpClient::new(config().secret_header(name, value)).unwrap_err();
        assert!(matches!(&error, HttpConfigError::Header { name: said, .. } if said == name), "{error:?}");
        assert!(!format!("{error:?} {error}").contains("s3cr3t"));
    }
}

#[test]
fn a_client_can_be_shared() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<HttpClient>();
    shared::<HttpError>();
}
