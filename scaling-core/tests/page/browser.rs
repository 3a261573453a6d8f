//! The page in headless Chromium: what it shows, how it is used by keyboard, how wide it is. `CHROMIUM` names the browser where it is
//! not on the path; `SCREENSHOTS` a folder that screenshots are left in.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use scaling_core::telemetry::Board;
use scaling_core::telemetry::serve::axum::Router;
use scaling_core::telemetry::serve::axum::extract::Path as UrlPath;
use scaling_core::telemetry::serve::axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use scaling_core::telemetry::serve::axum::routing::get as route;
use serde_json::{Value, json};

use crate::fixture::{HOSTILE, board, get, serve, thousand};

/// Returns the browser; none where there is none, which is said, and fails in CI.
fn chromium() -> Option<PathBuf> {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .flat_map(|folder| ["chromium", "chromium-browser", "google-chrome"].map(|name| folder.join(name)))
        .find(|file| file.is_file());
    let browser = named.or(found);
    if browser.is_none() {
        let is_ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty());
        assert!(!is_ci, "there is no Chromium, and in CI the page must be looked at");
        println!("skipped: there is no Chromium on the path, and CHROMIUM names none");
    }
    browser
}

/// How a page is opened.
#[derive(Clone, Copy)]
struct View {
    width: u32,
    dark: bool,
}

impl View {
    /// A browser's window is not made narrower than 500, a frame in it is.
    fn of(self, address: SocketAddr, page: &str, hash: &str) -> String {
        let frame = if self.width < 500 { format!("frame/{page}/{}", self.width) } else { page.to_owned() };
        format!("http://{address}/{frame}{hash}")
    }
}

const WIDE: View = View { width: 1280, dark: false };

/// Opens an address and returns what the browser prints; what the page's console says is a failure.
async fn open(browser: &Path, url: String, view: View, what: &[String]) -> String {
    let profile = tempfile::tempdir().unwrap();
    let mut command = Command::new(browser);
    command
        .env("TZ", "Europe/Berlin")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"])
        .args(["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--enable-logging=stderr", "--virtual-time-budget=8000"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--window-size={},1000", view.width))
        // 0 is dark and 1 is light.
        .arg(format!("--blink-settings=preferredColorScheme={}", u8::from(!view.dark)))
        .args(what)
        .arg(url);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    // The browser itself says so of a workload that is not there; everything else is a failure.
    let expected = |line: &str| line.contains("the server responded with a status of 404");
    let console: Vec<_> = log.lines().filter(|line| line.contains(":CONSOLE") && !expected(line)).collect();
    assert!(console.is_empty(), "{console:#?}");
    assert!(output.status.success(), "{log}");
    String::from_utf8(output.stdout).unwrap()
}

/// Serves a board, and beside the page: the page with a script that uses it as a person would and leaves its finding in it, and either in
/// a frame of some width.
async fn served(board: Arc<Board>, probe: &'static str) -> SocketAddr {
    let plain = serve(board.clone(), Router::new()).await;
    let (head, html) = get(plain, "/").await;
    let policy = head.lines().find_map(|line| line.strip_prefix("content-security-policy: ")).unwrap();
    // Of everything else the policy is the page's own.
    let policy = policy.replace("frame-ancestors 'none'", "frame-ancestors 'self'");
    let page = |html: String| {
        let headers =
            [(CONTENT_SECURITY_POLICY, policy.clone()), (CONTENT_TYPE, "text/html; charset=utf-8".to_owned())];
        route(async move || (headers, html))
    };
    let probing = html.replace("</head>", "<script src=\"probe.js\" defer></script></head>");
    let script = format!("{}\n{probe}\n}}", include_str!("probe.js"));
    let script = ([(CONTENT_TYPE, "text/javascript")], script);
    let framed = async |UrlPath((page, width)): UrlPath<(String, u32)>| {
        let script = "frame.src = frame.dataset.page + location.hash;";
        let policy =
            "default-src 'none'; frame-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'".to_owned();
        let html = format!(
            "<!doctype html><html><head><meta name=color-scheme content=\"light dark\"></head><body style=\"margin:0\">\
             <iframe id=frame data-page=\"/{page}\" style=\"border:0;height:100vh;width:{width}px\"></iframe><script>{script}</script></body></html>"
        );
        ([(CONTENT_SECURITY_POLICY, policy), (CONTENT_TYPE, "text/html; charset=utf-8".to_owned())], html)
    };
    let more = Router::new()
        .route("/plain", page(html.clone()))
        .route("/probe", page(probing))
        .route("/probe.js", route(async move || script))
        .route("/frame/{page}/{width}", route(framed));
    serve(board, more).await
}

/// What the probe found on the page behind a hash.
async fn probed(browser: &Path, board: Arc<Board>, hash: &str, view: View, probe: &'static str) -> Value {
    probed_at(browser, served(board, probe).await, hash, view).await
}

async fn probed_at(browser: &Path, address: SocketAddr, hash: &str, view: View) -> Value {
    let dom = open(browser, view.of(address, "probe", hash), view, &["--dump-dom".to_owned()]).await;
    let found = dom.split_once("<pre id=\"probe\">").map(|(_, rest)| rest.split_once("</pre>").unwrap().0);
    let found = found.unwrap_or_else(|| panic!("the probe did not end:\n{dom}"));
    serde_json::from_str(&found.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_shows_every_workload_the_worst_first_and_no_name_becomes_markup() {
    let Some(browser) = chromium() else { return };
    let found = probed(&browser, board(), "", WIDE, "return { rows: rows(), heads: sorts(), state: read('#state'), title: document.title, \
        images: document.images.length, skip: document.querySelector('a').className, lang: document.documentElement.lang, \
        footer: read('#footer'), hidden: byId('trouble').hidden };").await;
    let rows = found["rows"].as_array().unwrap();
    let hostile = format!("eu-1/{HOSTILE}/a/b?c=d#e");
    let column = |place: usize| rows.iter().map(|row| row[place].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(column(0), [hostile.as_str(), "shop/mail", "shop/search", "shop/cart", "shop/checkout"]);
    assert_eq!(column(1), ["✕ failing", "✕ failing", "◌ signal absent", "⊘ refused", "↕ changed"]);
    assert_eq!(rows[2][2], "not knownup to 52.8 expected");
    assert!(
        rows[4][2].as_str().unwrap().starts_with("120 requests/s") && rows[4][2].as_str().unwrap().contains("expected")
    );
    assert_eq!(rows[4][3].as_str().unwrap().split(' ').next(), Some("3"));
    assert!(column(7)[2].starts_with("no request rate. "));
    assert_eq!(
        found["heads"],
        json!({"Workload": "none", "State": "ascending", "Load": "none", "Pods": "none", "Wanted": "none", "Floor": "none", "Refusals": "none", "Last decision": "none"})
    );
    assert_eq!(
        (&found["images"], &found["title"], &found["skip"], &found["lang"]),
        (&json!(0), &json!("Autoscaling"), &json!("skip"), &json!("en"))
    );
    assert!(found["state"].as_str().unwrap().contains("Tue 6 Jan, 01:00:00 (00:00:00 UTC)"), "{}", found["state"]);
    assert!(found["footer"].as_str().unwrap().contains("Europe/Berlin") && found["hidden"] == true);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_workload_is_told_with_charts_floors_decisions_guards_and_what_is_absent() {
    let Some(browser) = chromium() else { return };
    let tell = "return { title: read('article h2'), facts: read('.facts'), notices: read('article'), charts: [...document.querySelectorAll('.chart > svg')].map((one) => one.getAttribute('aria-label')), \
        drawn: kinds(), decisions: document.querySelectorAll('.decisions > li').length, legend: read('.charts'), savings: read('article'), readout: key('.charts', 'ArrowLeft', '.readout') };";
    let found = probed(&browser, board(), "#/shop/checkout", WIDE, tell).await;
    assert!(found["title"].as_str().unwrap().starts_with("shop / checkout"), "{found}");
    for drawn in ["load", "forecast", "band", "range", "bound", "resting", "floor", "want", "run", "failed"] {
        assert!(found["drawn"].as_array().unwrap().contains(&json!(drawn)), "{drawn}: {}", found["drawn"]);
    }
    let label = found["charts"][0].as_str().unwrap();
    assert!(label.starts_with("Load in requests/s over time, now 120, up to "), "{label}");
    assert!(found["decisions"].as_u64().unwrap() >= 3);
    let all = found["notices"].as_str().unwrap();
    for said in [
        "forecast (97 % quantile)",
        "in 105 s",
        "held 100 % of",
        "the owner set 2–",
        "There is no figure: the program was given no HPA",
        "No guard has refused",
        "observe: the source of metrics: 100 ticks",
        "applied: minReplicas: 1 → 4",
        "At 2026-01-06 00:00:00 UTC shop/Deployment/checkout had 3 ready pods, CPU at 62 %, ",
        "Applied: minReplicas: 1 → 4.",
    ] {
        assert!(all.contains(said), "{said}\n{all}");
    }
    let readout = found["readout"].as_str().unwrap();
    assert!(readout.starts_with("Tue 6 Jan") || readout.starts_with("01:00:00 (00:00:00 UTC)"), "{readout}");
    assert!(readout.contains("load 120 requests/s") && readout.contains("wanted"), "{readout}");

    let tell = "return { all: read('article'), images: document.images.length, title: document.title };";
    let found = probed(
        &browser,
        board(),
        "#/%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E/a%2Fb%3Fc%3Dd%23e?cluster=eu-1",
        WIDE,
        tell,
    )
    .await;
    let all = found["all"].as_str().unwrap();
    for said in [
        "Fails to observe",
        "</script><script>document.title = 'owned'</script>",
        HOSTILE,
        "floors that are due are still held",
    ] {
        assert!(all.contains(said), "{said}\n{all}");
    }
    assert!(found["images"] == 0 && found["title"].as_str().unwrap().ends_with("· Autoscaling"), "{found}");
    let found = probed(&browser, board(), "#/shop/search", WIDE, "return { all: read('article') };").await;
    let all = found["all"].as_str().unwrap();
    assert!(all.contains("No request rate since the board began") || all.contains("No request rate since"), "{all}");
    assert!(all.contains("stale for 300 s") && all.contains("not known"), "{all}");
    let found = probed(&browser, board(), "#/shop/nothing", WIDE, "return { all: read('article') };").await;
    assert!(
        found["all"].as_str().unwrap().contains("There is nothing to show: no tick of such a workload was recorded")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn others_who_set_the_size_are_told_with_the_text_that_makes_them_leave_it_and_none_becomes_markup() {
    let Some(browser) = chromium() else { return };
    let tell = "return { all: read('.owned'), label: document.querySelector('.owned').getAttribute('aria-label'), \
        settings: [...document.querySelectorAll('.owned pre')].map((one) => one.textContent), images: document.images.length, \
        scripts: document.querySelectorAll('article script').length, title: document.title };";
    let found = probed(&browser, board(), "#/shop/cart", WIDE, tell).await;
    let all = found["all"].as_str().unwrap();
    for said in [
        "Argo CD (application shop) sets spec.minReplicas and spec.maxReplicas of HorizontalPodAutoscaler shop/cart",
        "since Mon 5 Jan, 01:00:00 (00:00:00 UTC)",
        "To live together: have it leave both bounds to us",
        HOSTILE,
    ] {
        assert!(all.contains(said), "{said}\n{all}");
    }
    assert_eq!(found["settings"].as_array().unwrap().len(), 1, "there is room for one");
    assert!(found["settings"][0].as_str().unwrap().starts_with("spec:\n  ignoreDifferences:\n"));
    assert_eq!(
        (&found["images"], &found["scripts"], &found["label"]),
        (&json!(0), &json!(0), &json!("Others who set its size"))
    );
    assert!(found["title"].as_str().unwrap().starts_with("shop / cart"));
    let found = probed(&browser, board(), "", WIDE, "return { rows: rows() };").await;
    let row = found["rows"].as_array().unwrap().iter().find(|row| row[0] == "shop/cart").unwrap();
    assert!(row[7].as_str().unwrap().starts_with("size also set by Argo CD (application shop), "), "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_workloads_are_searched_and_sorted_by_keyboard() {
    let Some(browser) = chromium() else { return };
    let use_it = "\
        const all = read('#count'); const made = rows().length; const left = read('#more');\
        byId('more').click(); const more = rows().length;\
        document.body.dispatchEvent(new KeyboardEvent('keydown', { key: '/', bubbles: true }));\
        const focused = document.activeElement.id;\
        type('#search', 'team-07 failing');\
        const sought = rows().map((row) => row[0]); const count = read('#count'); const hidden = byId('more').hidden;\
        type('#search', 'nothing of the kind');\
        const none = [rows().length, read('#none')];\
        type('#search', '');\
        press('Load'); const largest = rows()[0][0]; const first = sorts().Load;\
        press('Load'); const smallest = rows()[0][0]; const second = sorts().Load;\
        type('#search', 'team-07');\
        const unknown = rows().slice(-5).map((row) => row[2]);\
        return { all, made, left, more, focused, sought, count, hidden, none, largest, smallest, first, second, unknown, nodes: document.querySelectorAll('*').length };";
    let found = probed(&browser, thousand(), "", WIDE, use_it).await;
    assert_eq!((&found["all"], &found["focused"]), (&json!("1,000 workloads"), &json!("search")));
    assert_eq!((&found["made"], &found["left"]), (&json!(150), &json!("Show more, 850 are left")));
    assert_eq!((&found["more"], &found["count"], &found["hidden"]), (&json!(300), &json!("5 of 1,000"), &json!(true)));
    assert_eq!(
        found["sought"],
        json!([
            "team-07/service-007",
            "team-07/service-207",
            "team-07/service-407",
            "team-07/service-607",
            "team-07/service-807"
        ])
    );
    assert_eq!(found["none"], json!([0, "None fits the search."]));
    assert_eq!((&found["largest"], &found["first"]), (&json!("team-39/service-999"), &json!("descending")));
    assert_eq!((&found["smallest"], &found["second"]), (&json!("team-00/service-000"), &json!("ascending")));
    assert_eq!(found["unknown"], json!(vec!["not known"; 5]), "what is not known comes last, whichever way");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_wider_than_the_screen_in_light_and_dark() {
    let Some(browser) = chromium() else { return };
    let screenshots = std::env::var_os("SCREENSHOTS").map(PathBuf::from);
    let tell = "return { width: innerWidth, wide: document.documentElement.scrollWidth, \
        paper: getComputedStyle(document.body).backgroundColor, \
        over: [...document.querySelectorAll('main *')].filter((one) => !one.closest('thead') && one.getBoundingClientRect().right > innerWidth + 1)\
            .map((one) => `${one.tagName}.${one.getAttribute('class')}`) };";
    let [narrow, wide] = [400, 1280];
    for (view, paper) in [(narrow, false), (narrow, true), (wide, false), (wide, true)]
        .map(|(width, dark)| (View { width, dark }, if dark { "rgb(13, 17, 23)" } else { "rgb(255, 255, 255)" }))
    {
        for (hash, name) in
            [("", "list"), ("#/shop/checkout", "one"), ("#/shop/search", "absent"), ("#/shop/cart", "owned")]
        {
            let address = served(board(), tell).await;
            let found = probed_at(&browser, address, hash, view).await;
            assert_eq!((&found["width"], &found["paper"]), (&json!(view.width), &json!(paper)), "{name}: {found}");
            assert!(
                found["wide"].as_u64().unwrap() <= u64::from(view.width) && found["over"] == json!([]),
                "{name}: {found}"
            );
            if let Some(folder) = &screenshots {
                let file = format!("{name}-{}-{}.png", view.width, if view.dark { "dark" } else { "light" });
                let file = format!("--screenshot={}", folder.join(file).display());
                open(&browser, view.of(address, "plain", hash), view, &[file]).await;
            }
        }
    }
}
