//! What the routes answer.

use scaling_core::chrono::DateTime;
use scaling_core::telemetry::serve::axum::Router;
use scaling_core::telemetry::{Board, page};
use scaling_core::{Recorder, Target};
use serde_json::{Value, json};

use crate::fixture::{HOSTILE, SCRIPT, ask, board, encoded, get, serve, start, thousand, tick};

fn parsed(body: &str) -> Value {
    serde_json::from_str(body).unwrap()
}

#[tokio::test]
async fn page_style_and_script_ask_nobody_but_their_own_server_and_say_so() {
    let address = serve(board(), Router::new()).await;
    for (path, form) in [("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")] {
        let (head, body) = get(address, path).await;
        assert!(
            head.starts_with("http/1.1 200") && head.contains(&format!("content-type: {form}; charset=utf-8")),
            "{head}"
        );
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';",
            "x-content-type-options: nosniff",
            "x-frame-options: deny",
            "referrer-policy: no-referrer",
            "cross-origin-resource-policy: same-origin",
            "cache-control: no-cache",
        ] {
            assert!(head.contains(header), "{path}: {header}\n{head}");
        }
        let elsewhere = body.replace("http://www.w3.org/2000/svg", "");
        assert!(
            !elsewhere.contains("http:") && !elsewhere.contains("https:") && !elsewhere.contains("@import"),
            "{path}"
        );
        // The policy forbids these, so that they would only do nothing.
        assert!(!body.contains(" style=") && !body.contains("<style") && !body.contains("innerHTML"), "{path}");
        let (head, body) = ask(address, &format!("GET {path}"), &if_none_match(&head)).await;
        assert!(head.starts_with("http/1.1 304") && body.is_empty(), "{head}");
    }
    assert!(ask(address, "POST /api/targets", "").await.0.starts_with("http/1.1 405"));
}

fn if_none_match(head: &str) -> String {
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    format!("If-None-Match: \"other\", W/{tag}\r\n")
}

#[tokio::test]
async fn an_answer_that_has_not_changed_is_not_sent_again() {
    let board = board();
    let address = serve(board.clone(), Router::new()).await;
    for (second, path) in [(90_000, "/api/targets"), (90_015, "/api/targets/shop/checkout")] {
        let (first, body) = get(address, path).await;
        assert!(
            first.contains("cache-control: no-store") && first.contains("content-type: application/json"),
            "{first}"
        );
        let (same, nothing) = ask(address, &format!("GET {path}"), &if_none_match(&first)).await;
        assert!(same.starts_with("http/1.1 304") && nothing.is_empty(), "{same}");
        board.record(&tick(&Target::deployment("shop", "checkout"), second, 300.0)).unwrap();
        let (other, fresh) = ask(address, &format!("GET {path}"), &if_none_match(&first)).await;
        assert!(other.starts_with("http/1.1 200") && fresh != body, "{other}");
    }
}

#[tokio::test]
async fn a_thousand_workloads_are_one_small_answer_or_pages_of_it_in_a_stable_order() {
    let address = serve(thousand(), Router::new()).await;
    let (_, body) = get(address, "/api/targets").await;
    println!("{} bytes for 1,000 workloads", body.len());
    assert!(body.len() < 500_000, "{}", body.len());
    let whole = parsed(&body);
    let rows = whole["targets"].as_array().unwrap();
    assert_eq!((rows.len(), &whole["total"]), (1000, &json!(1000)));
    let mut paged = Vec::new();
    let mut path = "/api/targets?limit=300".to_owned();
    loop {
        let page = parsed(&get(address, &path).await.1);
        paged.extend(page["targets"].as_array().unwrap().clone());
        if page["more"] == json!(false) {
            break;
        }
        let after = encoded(&paged.last().unwrap()["target"].to_string());
        path = format!("/api/targets?limit=300&after={after}");
    }
    assert_eq!(paged, *rows);
    for (path, what) in
        [("/api/targets?limit=x", ""), ("/api/targets?after=x", "after is no target"), ("/api/targets?sort=x", "")]
    {
        let (head, body) = get(address, path).await;
        assert!(head.starts_with("http/1.1 400") && body.contains(what), "{path}: {head}\n{body}");
    }
}

#[tokio::test]
async fn workloads_of_one_name_are_told_apart_and_any_name_can_be_asked_for() {
    let board = Board::new();
    let web = Target::deployment("shop", "web");
    let targets = [
        web.clone().of_kind("StatefulSet"),
        web.clone().with_hpa("other"),
        Target::deployment("shop", "only").in_cluster("eu-1"),
        Target::deployment(HOSTILE, "a/b?c=d#e"),
    ];
    for target in &targets {
        board.record(&tick(target, 0, 100.0)).unwrap();
    }
    let address = serve(board.into(), Router::new()).await;
    let found = async |path: &str| {
        let (head, body) = get(address, path).await;
        let body = parsed(&body);
        (head.get(9..12).unwrap().to_owned(), body["target"].clone(), body["error"].clone())
    };
    assert_eq!(found("/api/targets/shop/only").await.1, json!(targets[2]));
    assert_eq!(found("/api/targets/shop/web?kind=StatefulSet").await.1, json!(targets[0]));
    assert_eq!(found("/api/targets/shop/web?hpa=other").await.1, json!(targets[1]));
    let (status, _, error) = found("/api/targets/shop/web").await;
    assert_eq!(
        (status.as_str(), &error),
        ("409", &json!("2 workloads have this name: say which by kind, hpa and cluster"))
    );
    assert_eq!(found("/api/targets/shop/no").await.0, "404");
    let path = format!("/api/targets/{}/{}", encoded(HOSTILE), encoded("a/b?c=d#e"));
    assert_eq!(found(&path).await.1, json!(targets[3]));
    let none = parsed(&get(address, &format!("{path}/savings")).await.1);
    assert_eq!(none, json!({"none": "the program was given no HPA of this workload to compare with", "busy": false}));
}

#[tokio::test]
async fn a_snapshot_is_whole_in_itself_and_no_name_ends_its_script() {
    let board = board();
    let hostile = Target::deployment(HOSTILE, "a/b?c=d#e").in_cluster("eu-1");
    let html = page::snapshot(&board, std::slice::from_ref(&hostile), DateTime::UNIX_EPOCH);
    assert!(
        !html.contains(HOSTILE) && !html.contains(SCRIPT) && !html.contains(" src=") && !html.contains("href=\"page")
    );
    let data = html.split_once("id=\"snapshot\">").unwrap().1.split_once("</script>").unwrap().0;
    let data = parsed(data);
    let path = "api/targets/%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E/a%2Fb%3Fc%3Dd%23e?cluster=eu-1";
    assert_eq!(data["answers"][path]["failure"]["error"], SCRIPT);
    assert_eq!(data["answers"]["api/targets"]["total"], 5);
    assert_eq!(data["answers"]["api/targets"]["as_of"], json!(start() + scaling_core::chrono::TimeDelta::days(1)));
}
