//! The alert rules and the dashboard of `examples/deploy`: every metric that they name exists, and Prometheus reads all of it.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use scaling_core::chrono::DateTime;
use scaling_core::telemetry::serve::{Server, axum};
use scaling_core::telemetry::{Health, Metrics};
use scaling_core::{
    ApplyMode, Bounds, Currency, DecisionRecord, Outcome, Price, Reason, Recorder, ScalingDecision, ScalingMetrics,
    SignalKind, SignalSet, Target,
};
use serde_json::Value;

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../examples/deploy").join(file)
}

fn read(file: &str) -> String {
    std::fs::read_to_string(deploy(file)).unwrap()
}

/// A program of Prometheus; none, with a word, where it is not installed and need not be.
fn program(name: &str) -> Option<Command> {
    if Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok() {
        return Some(Command::new(name));
    }
    let must = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty());
    assert!(!must, "{name} is not installed (Debian's package `prometheus` has it)");
    eprintln!("skipped: {name} is not installed (Debian's package `prometheus` has it)");
    None
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}:\n{text}");
}

/// Metrics with a record of one workload that knows everything.
fn metrics() -> Metrics {
    let metrics = Metrics::new();
    let at = DateTime::from_timestamp(1_767_600_000, 0).unwrap();
    let target = Target::deployment("shop", "web").in_cluster("a \"quoted\" \\ cluster\n");
    let mut decision = ScalingDecision::replicas("rules", at, 4, 6)
        .with_confidence(0.9)
        .because(Reason::Forecast { signal: None, observed: 90.0, expected: 120.0, quantile: 0.97, ahead_s: 105.0 })
        .because(Reason::Load { load: SignalKind::RequestRate, observed: 90.0, demand: 90.0 });
    decision.cost = Some(Price::per_pod_hour(0.05, Currency::EUR).unwrap().pods(4, 6));
    let record = DecisionRecord {
        metrics: Some(ScalingMetrics::new(at, 4).with(SignalKind::RequestRate, 90.0)),
        declared: Some(SignalSet::of([SignalKind::RequestRate, SignalKind::CpuUtilization])),
        bounds: Some(Bounds::new(2, 10).unwrap()),
        decision: Some(decision),
        outcome: Outcome::Planned,
        ..DecisionRecord::new(target, at, ApplyMode::Plan)
    };
    metrics.record(&record).unwrap();
    metrics
}

/// Names of series that a page can hold.
fn series(metrics: &Metrics) -> BTreeSet<String> {
    let page = metrics.render().unwrap();
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")).filter_map(|line| line.split_once(' '));
    types
        .flat_map(|(name, kind)| match kind {
            "counter" => vec![format!("{name}_total")],
            "histogram" => ["bucket", "sum", "count"].map(|suffix| format!("{name}_{suffix}")).to_vec(),
            _ => vec![name.to_owned()],
        })
        .collect()
}

/// Names of our metrics in a text.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("ai_scaling_")).map(str::to_owned).collect()
}

/// Every query of the dashboard, its variables replaced as Grafana would.
fn queries() -> Vec<String> {
    fn collect(value: &Value, queries: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                if let Some(Value::String(query)) = object.get("expr") {
                    queries.push(
                        query.replace("$__rate_interval", "5m").replace("$namespace", ".*").replace("$name", ".*"),
                    );
                }
                object.values().for_each(|value| collect(value, queries));
            }
            Value::Array(values) => values.iter().for_each(|value| collect(value, queries)),
            _ => {}
        }
    }
    let mut queries = Vec::new();
    collect(&serde_json::from_str(&read("dashboard.json")).unwrap(), &mut queries);
    assert!(queries.len() > 20, "{queries:?}");
    queries
}

#[test]
fn every_metric_that_alerts_and_dashboard_name_exists() {
    let exist = series(&metrics());
    for file in ["alerts.yaml", "alerts_test.yaml", "dashboard.json"] {
        let named = named(&read(file));
        assert!(named.len() > 4, "{file} names {named:?}");
        let missing: Vec<_> = named.difference(&exist).collect();
        assert!(missing.is_empty(), "{file} names {missing:?}, which no page has");
    }
}

#[test]
fn the_dashboard_shows_every_metric() {
    let shown = named(&read("dashboard.json"));
    let of_histogram = ["ai_scaling_analysis_latency_seconds_sum", "ai_scaling_analysis_latency_seconds_count"];
    let hidden: Vec<_> = series(&metrics())
        .into_iter()
        .filter(|name| !shown.contains(name) && !of_histogram.contains(&&**name))
        .collect();
    assert!(hidden.is_empty(), "{hidden:?}");
}

#[test]
fn the_alert_rules_are_sound_and_fire_when_they_should() {
    let Some(mut promtool) = program("promtool") else { return };
    run(promtool.args(["check", "rules"]).arg(deploy("alerts.yaml")));
    run(Command::new("promtool").args(["test", "rules"]).arg(deploy("alerts_test.yaml")));
}

#[test]
fn the_queries_of_the_dashboard_parse() {
    let Some(mut promtool) = program("promtool") else { return };
    // As rules of a file, since promtool parses a query alone only against a server. JSON is YAML.
    let rules: Vec<Value> = queries()
        .into_iter()
        .enumerate()
        .map(|(number, expr)| serde_json::json!({"record": format!("query:{number}"), "expr": expr}))
        .collect();
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    let text = serde_json::json!({"groups": [{"name": "dashboard", "rules": rules}]}).to_string();
    std::fs::write(file.path(), text).unwrap();
    run(promtool.args(["check", "rules"]).arg(file.path()));
}

/// Ends the process with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Serves the page, and says each time that it is asked for.
fn served(metrics: Metrics) -> (SocketAddr, std::sync::mpsc::Receiver<()>) {
    let (asked, scrapes) = std::sync::mpsc::channel();
    let (bound, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let router = Server::new(Arc::new(metrics), Arc::new(Health::new())).into_router();
            let router = router.layer(axum::middleware::map_request(move |request: axum::extract::Request| {
                asked.send(()).ok();
                std::future::ready(request)
            }));
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            bound.send(listener.local_addr().unwrap()).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
    });
    (address.recv().unwrap(), scrapes)
}

fn query(server: SocketAddr, query: &str) -> Value {
    let encoded = query.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
    let mut stream = TcpStream::connect(server).unwrap();
    let request = format!("GET /api/v1/query?query={encoded} HTTP/1.0\r\nHost: {server}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

#[test]
fn a_real_prometheus_scrapes_the_page_and_answers_every_query() {
    let Some(mut prometheus) = program("prometheus") else { return };
    let (page, scrapes) = served(metrics());
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("prometheus.yml");
    let text = serde_json::json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "rule_files": [deploy("alerts.yaml")],
        "scrape_configs": [{"job_name": "scaler", "static_configs": [{"targets": [page]}]}],
    });
    std::fs::write(&config, text.to_string()).unwrap();
    // A port that was free a moment ago.
    let server = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let child = prometheus
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
        .arg(format!("--web.listen-address={server}"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut running = Running(child);
    let mut log = BufReader::new(running.0.stderr.take().unwrap()).lines();
    let is_ready = log.by_ref().any(|line| line.unwrap().contains("Server is ready to receive web requests"));
    assert!(is_ready, "prometheus ended before it was ready");
    // The next lines must be read, or it would wait for that.
    std::thread::spawn(move || log.for_each(drop));
    // What was scraped first is stored by the time of the third scrape.
    for _ in 0..3 {
        scrapes.recv().unwrap();
    }
    for expr in queries() {
        let answer = query(server, &expr);
        assert_eq!(answer["status"], "success", "{expr}: {answer}");
    }
    let answer = query(server, "ai_scaling_wanted_replicas");
    let series = &answer["data"]["result"][0];
    assert_eq!(series["value"][1], "6", "{answer}");
    assert_eq!(series["metric"]["target_cluster"], "a \"quoted\" \\ cluster\n");
    assert_eq!(series["metric"]["target_namespace"], "shop");
    let answer = query(
        server,
        "sum(ai_scaling_decisions_total{decision_type=\"scale_up_horizontal\",confidence_level=\"high\"})",
    );
    assert_eq!(answer["data"]["result"][0]["value"][1], "1", "{answer}");
    let answer = query(server, "up{job=\"scaler\"}");
    assert_eq!(answer["data"]["result"][0]["value"][1], "1", "{answer}");
}
