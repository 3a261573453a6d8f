//! The metrics APIs, served by the test: `metrics.k8s.io`, `custom.metrics.k8s.io` and `external.metrics.k8s.io` behind the API server's
//! aggregation layer, with values that the test sets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};
use scaling_core::chrono::SecondsFormat;
use serde_json::{Value, json};

use super::local::{Answer, Server, self_signed, status};
use super::{ADMIN, ControlPlane, local};

const RESOURCE: (&str, &str) = ("metrics.k8s.io", "v1beta1");
const CUSTOM: (&str, &str) = ("custom.metrics.k8s.io", "v1beta2");
const EXTERNAL: (&str, &str) = ("external.metrics.k8s.io", "v1beta1");

/// Time over which a value was measured: so long a new pod's CPU does not count.
const WINDOW_S: u32 = 3;

/// How long a start may take.
const START_LIMIT: Duration = Duration::from_secs(60);

/// What a metric says in a namespace.
#[derive(Clone)]
pub(crate) enum Reading {
    /// Nothing: the query is answered with this code.
    Fails(u16),
    /// Series of an external metric; the first one is the value of an object. In thousandths.
    Series(Vec<i64>),
    /// Value of each running pod in thousandths, by its place among so many; none leaves it out. Of a resource, each further container
    /// uses a tenth of it.
    PerPod(fn(usize, usize) -> Option<i64>),
    /// The pods share this much, in thousandths.
    Shared(i64),
}

impl Reading {
    fn of_pod(&self, place: usize, pods: usize) -> Option<i64> {
        match self {
            Self::PerPod(value) => value(place, pods),
            Self::Shared(total) => i64::try_from(pods).ok().and_then(|pods| total.checked_div(pods)),
            Self::Fails(_) | Self::Series(_) => None,
        }
    }
}

type Readings = Arc<Mutex<HashMap<(String, String), Reading>>>;

pub(crate) struct MetricsApis {
    readings: Readings,
    _server: Server,
}

impl MetricsApis {
    /// Serves and registers all three, and waits until the API server passes queries on.
    pub(crate) async fn start(plane: &ControlPlane) -> Self {
        let (readings, client) = (Readings::default(), plane.client(ADMIN));
        let of_handler = (readings.clone(), client.clone());
        let handler = move |request: Request<Incoming>| {
            let (readings, client) = of_handler.clone();
            async move { answer(&readings, &client, request.uri().path(), request.uri().query().unwrap_or_default()).await }
        };
        let server = Server::start(Some(self_signed(plane.folder())), handler).await;
        register(&client, server.port).await;
        Self { readings, _server: server }
    }

    /// Sets what a metric says in a namespace: a resource by its name, others by the name of the metric.
    pub(crate) fn set(&self, namespace: &str, metric: &str, reading: Reading) {
        self.readings.lock().unwrap().insert((namespace.to_owned(), metric.to_owned()), reading);
    }
}

async fn register(client: &Client, port: u16) {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "metrics", "namespace": "default" },
        "spec": { "type": "ExternalName", "externalName": "localhost", "ports": [{ "port": port }] },
    });
    create(client, "/api/v1/namespaces/default/services", &service).await;
    for (group, version) in [RESOURCE, CUSTOM, EXTERNAL] {
        let registration = json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": { "name": format!("{version}.{group}") },
            "spec": {
                "group": group, "version": version, "groupPriorityMinimum": 100, "versionPriority": 100,
                "insecureSkipTLSVerify": true, "service": { "name": "metrics", "namespace": "default", "port": port },
            },
        });
        create(client, "/apis/apiregistration.k8s.io/v1/apiservices", &registration).await;
    }
    let discovered = async {
        for (group, version) in [RESOURCE, CUSTOM, EXTERNAL] {
            while get(client, &format!("/apis/{group}/{version}")).await.is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    };
    let in_time = tokio::time::timeout(START_LIMIT, discovered).await.is_ok();
    assert!(in_time, "the API server does not pass queries of metrics on");
}

async fn create(client: &Client, path: &str, object: &Value) {
    let request = http::Request::post(path).header("content-type", "application/json");
    let request = request.body(serde_json::to_vec(object).unwrap()).unwrap();
    let _: Value = client.request(request).await.unwrap();
}

async fn get(client: &Client, path: &str) -> kube::Result<Value> {
    client.request(http::Request::get(path).body(Vec::new()).unwrap()).await
}

/// Answers discovery and queries; what it does not know is not found.
async fn answer(readings: &Readings, client: &Client, path: &str, query: &str) -> Answer {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let reading = |namespace: &str, metric: &str| {
        readings.lock().unwrap().get(&(namespace.to_owned(), metric.to_owned())).cloned()
    };
    let not_found = || status(404, "NotFound", &format!("{path} is not known"));
    Ok(match parts[..] {
        ["apis", group, version] => discovery(group, version),
        ["apis", group, _, "namespaces", namespace, metric] if group == EXTERNAL.0 => {
            match reading(namespace, metric) {
                Some(Reading::Fails(code)) => status(code, "InternalError", "the test says so"),
                Some(Reading::Series(series)) => local::json(200, &external(metric, &series)),
                _ => not_found(),
            }
        }
        ["apis", group, _, "namespaces", namespace, "pods"] if group == RESOURCE.0 => {
            let (cpu, memory) = (reading(namespace, "cpu"), reading(namespace, "memory"));
            if let Some(Reading::Fails(code)) = cpu {
                return Ok(status(code, "InternalError", "the test says so"));
            }
            let pods = running(client, namespace, query).await;
            local::json(200, &pod_metrics(&pods, cpu.as_ref(), memory.as_ref()))
        }
        ["apis", group, _, "namespaces", namespace, "pods", "*", metric] if group == CUSTOM.0 => {
            match reading(namespace, metric) {
                Some(Reading::Fails(code)) => status(code, "InternalError", "the test says so"),
                Some(reading) => {
                    let pods = running(client, namespace, query).await;
                    let values = pods.iter().enumerate().filter_map(|(place, pod)| {
                        let described = json!({ "kind": "Pod", "namespace": namespace, "name": pod.metadata.name, "apiVersion": "/v1" });
                        Some(custom(&described, metric, reading.of_pod(place, pods.len())?))
                    });
                    local::json(200, &custom_list(&values.collect::<Vec<_>>()))
                }
                None => not_found(),
            }
        }
        ["apis", group, _, "namespaces", namespace, kind, name, metric] if group == CUSTOM.0 => {
            match reading(namespace, metric) {
                Some(Reading::Fails(code)) => status(code, "InternalError", "the test says so"),
                Some(Reading::Series(series)) if !series.is_empty() => {
                    let described =
                        json!({ "kind": kind, "namespace": namespace, "name": name, "apiVersion": "apps/v1" });
                    local::json(200, &custom_list(&[custom(&described, metric, series[0])]))
                }
                _ => not_found(),
            }
        }
        _ => not_found(),
    })
}

fn discovery(group: &str, version: &str) -> http::Response<local::Body> {
    let resource = |name: &str, kind: &str| json!({ "name": name, "singularName": "", "namespaced": true, "kind": kind, "verbs": ["get", "list"] });
    let resources = match group {
        _ if group == RESOURCE.0 => vec![resource("pods", "PodMetrics")],
        _ if group == CUSTOM.0 => vec![resource("pods/any", "MetricValueList")],
        _ => vec![resource("any", "ExternalMetricValueList")],
    };
    let list = json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": format!("{group}/{version}"), "resources": resources });
    local::json(200, &list)
}

/// Pods that the query selects and that run, by name.
async fn running(client: &Client, namespace: &str, query: &str) -> Vec<Pod> {
    let selector = query.split('&').find_map(|pair| pair.strip_prefix("labelSelector=")).unwrap_or_default();
    let selector = selector.replace("%3D", "=").replace("%2C", ",");
    let pods = Api::<Pod>::namespaced(client.clone(), namespace).list(&ListParams::default().labels(&selector)).await;
    let is_running = |pod: &Pod| {
        pod.metadata.deletion_timestamp.is_none()
            && pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
    };
    let mut pods: Vec<Pod> = pods.map(|list| list.items).unwrap_or_default().into_iter().filter(is_running).collect();
    pods.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    pods
}

fn pod_metrics(pods: &[Pod], cpu: Option<&Reading>, memory: Option<&Reading>) -> Value {
    let measured = pods.iter().enumerate().filter_map(|(place, pod)| {
        let usage = |name: &str, reading: Option<&Reading>| {
            Some((name.to_owned(), reading.and_then(|reading| reading.of_pod(place, pods.len()))?))
        };
        let usage: Vec<(String, i64)> = [usage("cpu", cpu), usage("memory", memory)].into_iter().flatten().collect();
        if usage.is_empty() {
            return None;
        }
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers).enumerate().map(|(number, container)| {
            let own = usage.iter().map(|(name, milli)| {
                let milli = if number == 0 { *milli } else { milli / 10 };
                (name.clone(), Value::from(format!("{milli}m")))
            });
            json!({ "name": container.name, "usage": own.collect::<serde_json::Map<_, _>>() })
        });
        Some(json!({
            "metadata": { "name": pod.metadata.name, "namespace": pod.metadata.namespace, "labels": pod.metadata.labels },
            "timestamp": now(), "window": format!("{WINDOW_S}s"), "containers": containers.collect::<Vec<_>>(),
        }))
    });
    let (group, version) = RESOURCE;
    json!({ "kind": "PodMetricsList", "apiVersion": format!("{group}/{version}"), "metadata": {}, "items": measured.collect::<Vec<_>>() })
}

fn custom(described: &Value, metric: &str, milli: i64) -> Value {
    json!({
        "describedObject": described, "metric": { "name": metric, "selector": null },
        "timestamp": now(), "windowSeconds": WINDOW_S, "value": format!("{milli}m"),
    })
}

fn custom_list(items: &[Value]) -> Value {
    let (group, version) = CUSTOM;
    json!({ "kind": "MetricValueList", "apiVersion": format!("{group}/{version}"), "metadata": {}, "items": items })
}

fn external(metric: &str, series: &[i64]) -> Value {
    let value = |(place, milli): (usize, &i64)| json!({ "metricName": metric, "metricLabels": { "series": place.to_string() }, "timestamp": now(), "value": format!("{milli}m") });
    let (group, version) = EXTERNAL;
    let items: Vec<Value> = series.iter().enumerate().map(value).collect();
    json!({ "kind": "ExternalMetricValueList", "apiVersion": format!("{group}/{version}"), "metadata": {}, "items": items })
}

fn now() -> String {
    super::proxy::now().to_rfc3339_opts(SecondsFormat::Secs, true)
}
