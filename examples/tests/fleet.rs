//! A fleet from a metrics server, by an Indexed Job of the real controller, and by one process.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::process::Command;

use axum::response::Response;
use clap::Parser;
use kube::Client;
use scaling_core::telemetry::serve::axum;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Arguments, run};
use support::{ADMIN, ControlPlane};

#[path = "../../scaling-k8s/tests/support/mod.rs"]
mod support;

/// The end of the past, and its length in seconds.
const UNTIL: &str = "2026-01-03T00:00:00Z";
const END: i64 = 1_767_398_400;
const DAY: i64 = 86_400;
/// Arguments of a worker, as JSON.
const WORK: &str = "BACKTEST_ARGUMENTS";
/// Workloads that have a past; the fleet has one more.
const NAMES: [&str; 3] = ["cart", "web", "search"];
const QUERIES: [&str; 4] =
    ["request_rate_per_second", "cpu_utilization_percent", "current_pod_count", "desired_pod_count"];

/// A server that knows a day of the workloads, whichever series of them it is asked for.
async fn prometheus() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = async |request: axum::extract::Request| {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
        let text = format!("{query}&{}", String::from_utf8_lossy(&body));
        Response::builder().header("content-type", "application/json").body(answered(&text).to_string()).unwrap()
    };
    let router = axum::Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}

fn answered(form: &str) -> Value {
    let number = |name: &str| {
        let (_, rest) = form.split_once(&format!("{name}="))?;
        rest.split(['&', '.', 's']).next()?.parse::<i64>().ok()
    };
    let Some(series) = QUERIES.iter().position(|name| form.contains(name)) else {
        return json!({ "status": "success", "data": { "resultType": "vector", "result": [] } });
    };
    let value = |name: usize, at: i64| {
        let busy = 1.0 + name as f64 + (at.rem_euclid(DAY) as f64 / DAY as f64 * std::f64::consts::TAU).sin();
        let pods = 4.0 + 2.0 * name as f64;
        [busy * 100.0, busy * 100.0 / pods, pods, pods][series].to_string()
    };
    let asked = NAMES.iter().enumerate().filter(|(_, name)| form.contains(*name));
    let labels = |name: &str| json!({ "namespace": "shop", "workload": name });
    let known = |at: &i64| (END - DAY..=END).contains(at);
    let (kind, result): (_, Vec<Value>) = if let (Some(start), Some(end), Some(step)) =
        (number("start"), number("end"), number("step"))
    {
        let instants: Vec<i64> = (start..=end).step_by(usize::try_from(step).unwrap()).filter(known).collect();
        let one = |(nth, name): (usize, &&str)| {
            let values: Vec<Value> = instants.iter().map(|at| json!([at, value(nth, *at)])).collect();
            json!({ "metric": labels(name), "values": values })
        };
        ("matrix", asked.map(one).collect())
    } else {
        let at = number("time").filter(known);
        let one =
            |(nth, name): (usize, &&str)| at.map(|at| json!({ "metric": labels(name), "value": [at, value(nth, at)] }));
        ("vector", asked.filter_map(one).collect())
    };
    json!({ "status": "success", "data": { "resultType": kind, "result": result } })
}

/// Runs the program in a process of its own.
fn process(arguments: &[String]) -> std::process::Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", "fleet_tests::a_worker"])
        .env(WORK, serde_json::to_string(arguments).unwrap())
        .output()
        .unwrap()
}

#[test]
#[ignore = "a process of the other test"]
fn a_worker() {
    let arguments: Vec<String> = serde_json::from_str(&std::env::var(WORK).unwrap()).unwrap();
    let command = super::command(arguments.iter().cloned());
    let arguments = Arguments::parse_from(std::iter::once("backtest".to_owned()).chain(arguments));
    run(&arguments, &command, &mut std::io::stdout()).unwrap();
}

/// Objects of the shipped file.
fn shipped() -> Vec<Value> {
    serde_saphyr::from_multiple(include_str!("../deploy/fleet-backtest.yaml")).unwrap()
}

/// Container of the Job's pods.
fn container(job: &mut Value) -> &mut Value {
    &mut job["spec"]["template"]["spec"]["containers"][0]
}

/// The Job of the shipped file in two parts, for this server, with what is on disk in a folder of the test.
fn job(server: &str, folder: &std::path::Path) -> Value {
    let mut job = shipped().into_iter().find(|object| object["kind"] == "Job").unwrap();
    job["spec"]["completions"] = 2.into();
    job["spec"]["parallelism"] = 2.into();
    let folder = folder.to_str().unwrap();
    let mut arguments: Vec<String> = serde_json::from_value(container(&mut job)["args"].clone()).unwrap();
    for argument in &mut arguments {
        *argument = argument
            .replace("http://prometheus.monitoring:9090", server)
            .replace("/fleet/", &format!("{folder}/"))
            .replace("/reports/", &format!("{folder}/"))
            .replace("2026-11-01T00:00:00Z", UNTIL)
            .replace("predictive@", "rules@")
            .replace(")/4", ")/2");
    }
    arguments.extend(["--backfill=1", "--queries=none"].map(str::to_owned));
    for name in QUERIES {
        arguments.push(format!("--query={name}={name}{{namespace=~\"{{namespace}}\",workload=~\"{{workload}}\"}}"));
    }
    container(&mut job)["args"] = json!(arguments);
    job
}

async fn request(client: &Client, method: &str, path: &str, body: &Value) -> Value {
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let request = http::Request::builder().method(method).uri(path).header("content-type", kind);
    client.request(request.body(serde_json::to_vec(body).unwrap()).unwrap()).await.unwrap()
}

/// Asks again until there is an answer.
async fn awaited<T>(client: &Client, path: &str, wanted: impl Fn(&Value) -> Option<T>) -> T {
    let asked = async {
        loop {
            if let Some(found) = wanted(&request(client, "GET", path, &Value::Null).await) {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(120), asked).await.unwrap()
}

/// Command line of a pod, as a kubelet expands it, and its index.
fn expanded(pod: &Value) -> (Vec<String>, String) {
    let index = &pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"];
    let index = index.as_str().unwrap().to_owned();
    let container = &pod["spec"]["containers"][0];
    let told = container["env"].as_array().unwrap().iter().any(|variable| variable["name"] == "JOB_COMPLETION_INDEX");
    assert!(told, "the controller tells the index: {container}");
    let arguments: Vec<String> = serde_json::from_value(container["args"].clone()).unwrap();
    (arguments.into_iter().map(|text| text.replace("$(JOB_COMPLETION_INDEX)", &index)).collect(), index)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_indexed_job_makes_the_report_of_one_process() {
    let Some(assets) = support::assets_with(&["kube-controller-manager"]) else { return };
    let server = prometheus().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("fleet.txt"), "shop/cart\nshop/gone # has no past\nshop/web\nshop/search\n")
        .unwrap();
    let mut plane = ControlPlane::start(&assets).await;
    let controllers = ["job-controller", "serviceaccount-controller"];
    plane.start_controllers(&plane.server(), &controllers, std::time::Duration::from_secs(5));
    let client = plane.client(ADMIN);
    awaited(&client, "/api/v1/namespaces/default/serviceaccounts", |seen| {
        seen["items"].as_array().filter(|items| !items.is_empty()).map(|_| ())
    })
    .await;
    for object in shipped() {
        let path = match object["kind"].as_str().unwrap() {
            "ConfigMap" => "/api/v1/namespaces/default/configmaps",
            "PersistentVolumeClaim" => "/api/v1/namespaces/default/persistentvolumeclaims",
            _ => "/apis/batch/v1/namespaces/default/jobs",
        };
        request(&client, "POST", &format!("{path}?dryRun=All&fieldValidation=Strict"), &object).await;
    }
    let job = job(&server, folder.path());
    request(&client, "POST", "/apis/batch/v1/namespaces/default/jobs", &job).await;

    // What kubelets would do.
    let pods = awaited(&client, "/api/v1/namespaces/default/pods", |seen| {
        seen["items"].as_array().filter(|pods| pods.len() == 2).cloned()
    })
    .await;
    let (mut works, mut reports) = (Vec::new(), Vec::new());
    for pod in &pods {
        let (arguments, index) = expanded(pod);
        reports.push(folder.path().join(format!("{index}.json")).to_str().unwrap().to_owned());
        works.push(tokio::task::spawn_blocking(move || process(&arguments)));
    }
    for (pod, work) in pods.iter().zip(works) {
        let output = work.await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
        let path = format!("/api/v1/namespaces/default/pods/{}/status", pod["metadata"]["name"].as_str().unwrap());
        let ended = json!({ "state": { "terminated": { "exitCode": 0 } }, "name": "backtest", "image": "", "imageID": "", "ready": false, "restartCount": 0 });
        let status = json!({ "status": { "phase": "Succeeded", "containerStatuses": [ended] } });
        request(&client, "PATCH", &path, &status).await;
    }
    awaited(&client, "/apis/batch/v1/namespaces/default/jobs/fleet-backtest", |job| {
        (job["status"]["completedIndexes"] == "0,1").then_some(())
    })
    .await;

    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let whole: Vec<String> =
        serde_json::from_value(job["spec"]["template"]["spec"]["containers"][0]["args"].clone()).unwrap();
    let mut whole: Vec<String> =
        whole.into_iter().filter(|text| !text.starts_with("--part") && !text.starts_with("--json")).collect();
    whole.extend(["--json".to_owned(), path("whole.json")]);
    let output = tokio::task::spawn_blocking(move || process(&whole)).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut merge = vec!["--json".to_owned(), path("merged.json"), "--merge".to_owned()];
    merge.extend(reports);
    let output = tokio::task::spawn_blocking(move || process(&merge)).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("left out: shop/Deployment/gone: "), "{said}");
    let [merged, whole] = ["merged.json", "whole.json"].map(|name| std::fs::read(path(name)).unwrap());
    assert_eq!(merged, whole);
    let report: Value = serde_json::from_slice(&merged).unwrap();
    assert_eq!(report["traces"].as_array().unwrap().len(), 3);
}
