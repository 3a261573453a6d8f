//! A server that speaks the part of Prometheus's API that the source asks, for workloads that are all under the same load, but for one with
//! the same two peaks each day.

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use axum::response::Response;
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::telemetry::serve::axum;
use serde_json::{Value, json};
use tokio::net::TcpListener;

const SIGNALS: [&str; 4] =
    ["request_rate_per_second", "cpu_utilization_percent", "current_pod_count", "desired_pod_count"];

/// The workload with two peaks a day, of which nine days are known. Of the others one is, which is too few for a trial.
pub(crate) const DAILY: &str = "daily";

/// Pods that are asked for, those that are ready, and the load of each that is asked for: 1 is usual.
#[derive(Clone, Copy)]
struct Load {
    pods: u32,
    ready: u32,
    each: f64,
}

/// Loads, and since when each is there.
type Loads = Arc<Mutex<Vec<(f64, Load)>>>;

pub(crate) struct Prometheus {
    address: String,
    loads: Loads,
}

fn now() -> f64 {
    let now: DateTime<Utc> = SystemTime::now().into();
    now.timestamp_millis() as f64 / 1000.0
}

impl Prometheus {
    pub(crate) async fn start() -> Self {
        let loads: Loads = Arc::new(Mutex::new(vec![(0.0, Load { pods: 4, ready: 4, each: 1.0 })]));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let of_handler = Arc::clone(&loads);
        let answer = async move |request: axum::extract::Request| {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
            let text = format!("{query}&{}", String::from_utf8_lossy(&body));
            let answer = answered(&text, &of_handler.lock().unwrap());
            Response::builder().header("content-type", "application/json").body(answer.to_string()).unwrap()
        };
        let router = axum::Router::new().fallback(answer);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, loads }
    }

    /// So many pods bear this load from now on.
    pub(crate) fn set(&self, pods: u32, load: f64) {
        self.loads.lock().unwrap().push((now(), Load { pods, ready: pods, each: load }));
    }

    /// It has never been otherwise.
    pub(crate) fn has_always_been(&self, pods: u32, load: f64) {
        *self.loads.lock().unwrap() = vec![(0.0, Load { pods, ready: pods, each: load })];
    }

    /// So many pods are ready from now on.
    pub(crate) fn set_ready(&self, ready: u32) {
        let mut loads = self.loads.lock().unwrap();
        let (_, load) = *loads.last().unwrap();
        loads.push((now(), Load { ready, ..load }));
    }

    /// What makes the operator ask it.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let own =
            |name: &str| format!("--query={name}={name}{{namespace=~\"{{namespace}}\",workload=~\"{{workload}}\"}}");
        let server = [format!("--prometheus={}", self.address), "--queries=none".to_owned()];
        server.into_iter().chain(SIGNALS.map(own)).collect()
    }
}

/// Twenty pods, eight times as busy at six and at six as at noon and at midnight.
fn daily(at: f64) -> Load {
    let phase = at.rem_euclid(43_200.0) / 43_200.0 * std::f64::consts::TAU;
    Load { pods: 20, ready: 20, each: 0.15 + 1.1 * (1.0 - phase.cos()) / 2.0 }
}

fn answered(form: &str, loads: &[(f64, Load)]) -> Value {
    let number = |name: &str| {
        let (_, rest) = form.split_once(&format!("{name}="))?;
        rest.split(['&', 's']).next()?.parse::<f64>().ok()
    };
    let Some(series) = SIGNALS.iter().position(|name| form.contains(name)) else {
        return json!({ "status": "success", "data": { "resultType": "vector", "result": [] } });
    };
    let value = |name: &str, at: f64| {
        let (_, load) = *loads.iter().rfind(|(since, ..)| *since <= at).unwrap();
        let Load { pods, ready, each } = if name == DAILY { daily(at) } else { load };
        let pods = f64::from(pods);
        [50.0 * pods * each, 42.0 * each, f64::from(ready), pods][series].to_string()
    };
    // The names are between the bars of a regular expression, or alone.
    let text = form.replace("%7C", "|").replace("%22", "\"").replace("%7E", "~").replace("%3D", "=").replace("%5C", "");
    let (_, asked) = text.split_once("workload=~\"").unwrap_or_default();
    let asked = asked.split('"').next().unwrap_or_default().replace(['(', ')', '\\'], "");
    let labels = |name: &str| json!({ "namespace": "shop", "workload": name });
    let (kind, result): (_, Vec<Value>) =
        if let (Some(start), Some(end), Some(step)) = (number("start"), number("end"), number("step")) {
            let instants = || std::iter::successors(Some(start), |at| Some(at + step)).take_while(|at| *at <= end);
            let values = |name: &str| {
                let days = if name == DAILY { 9.0 } else { 1.0 };
                let known = now() - days * 86_400.0;
                instants().filter(|at| *at >= known).map(|at| json!([at, value(name, at)])).collect::<Vec<_>>()
            };
            ("matrix", asked.split('|').map(|name| json!({ "metric": labels(name), "values": values(name) })).collect())
        } else {
            let at = number("time").unwrap_or_else(now);
            let one = |name: &str| json!({ "metric": labels(name), "value": [at, value(name, at)] });
            ("vector", asked.split('|').map(one).collect())
        };
    json!({ "status": "success", "data": { "resultType": kind, "result": result } })
}
