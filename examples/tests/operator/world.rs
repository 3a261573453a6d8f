//! A cluster with the shipped account and roles, and workloads.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use kube::Client;
use serde_json::{Value, json};

use crate::process::Operator;
use crate::support::{ADMIN, ControlPlane};
use crate::{named, until, until_quiet};

pub(crate) const OWN: &str = "kube-scaling";
pub(crate) const SHOP: &str = "shop";
const HPAS: &str = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers";
const ACCOUNT: &str = "kube-scaling-operator";

/// Text of a manifest of the operator.
pub(crate) fn shipped(file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/operator");
    fs::read_to_string(folder.join(file)).unwrap()
}

pub(crate) struct World {
    pub(crate) plane: ControlPlane,
    admin: Client,
}

impl World {
    /// Makes the namespaces, the account and the role of its Leases.
    pub(crate) async fn new(plane: ControlPlane) -> Self {
        let admin = plane.client(ADMIN);
        let this = Self { plane, admin };
        for name in [OWN, SHOP, "other"] {
            this.post("/api/v1/namespaces", &json!({ "metadata": named(name) })).await;
        }
        this.roles(&["base/service-account.yaml", "base/leases.yaml"]).await;
        this
    }

    pub(crate) fn folder(&self) -> &Path {
        self.plane.folder()
    }

    /// Creates the objects of shipped files.
    pub(crate) async fn roles(&self, files: &[&str]) {
        for file in files {
            for object in serde_saphyr::from_multiple::<Value>(&shipped(file)).unwrap() {
                let namespace = object["metadata"]["namespace"].as_str().unwrap();
                let (version, kind) = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
                let root = if version.contains('/') { "/apis" } else { "/api" };
                let kind = kind.to_lowercase();
                self.post(&format!("{root}/{version}/namespaces/{namespace}/{kind}s"), &object).await;
            }
        }
    }

    /// A kubeconfig with a token of the account.
    pub(crate) async fn kubeconfig(&self) -> PathBuf {
        let path = format!("/api/v1/namespaces/{OWN}/serviceaccounts/{ACCOUNT}/token");
        let request = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
        let token = self.post(&path, &request).await["status"]["token"].as_str().unwrap().to_owned();
        // The API server hears of a role a moment after it is made.
        let client = self.plane.client(&token);
        let hpas = format!("/apis/autoscaling/v2/namespaces/{SHOP}/horizontalpodautoscalers");
        let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{OWN}/leases");
        for path in [hpas, leases] {
            until("the roles hold", || async { get(&client, &path).await.is_ok() }).await;
        }
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{ "name": "test", "cluster": { "server": self.plane.server(), "insecure-skip-tls-verify": true } }],
            "users": [{ "name": "test", "user": { "token": token } }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
        });
        let path = self.folder().join("kubeconfig.json");
        fs::write(&path, config.to_string()).unwrap();
        path
    }

    /// Workloads of each kind and mode, under each tool. Returns the HPAs that are to be raised.
    pub(crate) async fn fleet(&self) -> BTreeSet<String> {
        for (group, kind, plural) in [
            ("keda.sh", "ScaledObject", "scaledobjects"),
            ("autoscaling.k8s.io", "VerticalPodAutoscaler", "verticalpodautoscalers"),
            ("kustomize.toolkit.fluxcd.io", "Kustomization", "kustomizations"),
            ("helm.toolkit.fluxcd.io", "HelmRelease", "helmreleases"),
            ("argoproj.io", "Application", "applications"),
        ] {
            self.define(group, kind, plural, &json!({})).await;
        }
        let mut raised = BTreeSet::new();
        for number in 0..8 {
            let name = format!("web-{number}");
            self.workload("Deployment", &name, &json!({}), false).await;
            self.hpa(SHOP, "Deployment", &name, "full").await;
            raised.insert(name);
        }
        for (kind, name) in [("StatefulSet", "set"), ("ReplicaSet", "bare")] {
            self.workload(kind, name, &json!({}), false).await;
            self.hpa(SHOP, kind, name, "full").await;
            raised.insert(name.to_owned());
        }
        // Whether these may be changed is for the tools to say.
        let labels = json!({
            "kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": SHOP,
            "helm.toolkit.fluxcd.io/name": "apps", "helm.toolkit.fluxcd.io/namespace": SHOP,
            "argocd.argoproj.io/instance": format!("{SHOP}_apps"),
        });
        self.workload("Deployment", "tools", &labels, false).await;
        self.hpa(SHOP, "Deployment", "tools", "full").await;
        for mode in ["observe", "floors", "ful"] {
            self.workload("Deployment", mode, &json!({}), false).await;
            self.hpa(SHOP, "Deployment", mode, mode).await;
        }
        self.hpa("other", "Deployment", "elsewhere", "full").await;
        raised
    }

    /// Several workloads of each kind that the metrics API is asked about, with two pods each that request half a core.
    pub(crate) async fn workloads_with_pods(&self) -> Vec<String> {
        let scale = json!({ "subresources": { "scale": {
            "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector" } } });
        self.define("argoproj.io", "Rollout", "rollouts", &scale).await;
        self.post(&format!("/api/v1/namespaces/{SHOP}/serviceaccounts"), &json!({ "metadata": named("default") }))
            .await;
        let mut names = Vec::new();
        for kind in ["Deployment", "StatefulSet", "ReplicaSet", "Rollout"] {
            for number in 0..2 {
                let name = format!("{}-{number}", kind.to_lowercase());
                self.workload(kind, &name, &json!({}), true).await;
                self.hpa(SHOP, kind, &name, "observe").await;
                names.push(name);
            }
        }
        names
    }

    async fn workload(&self, kind: &str, name: &str, labels: &Value, with_pods: bool) {
        let app = json!({ "app": name });
        let resources = json!({ "requests": { "cpu": "500m" } });
        let pod = json!({ "metadata": { "labels": app },
            "spec": { "automountServiceAccountToken": false, "nodeName": "node", "containers": [{ "name": "main", "image": "app", "resources": resources }] } });
        let (group, plural) = match kind {
            "Rollout" => ("argoproj.io", "rollouts".to_owned()),
            _ => ("apps", format!("{}s", kind.to_lowercase())),
        };
        let object = json!({
            "apiVersion": format!("{group}/v1"), "kind": kind, "metadata": { "name": name, "labels": labels },
            "spec": { "replicas": 2, "selector": { "matchLabels": app }, "template": pod, "serviceName": name },
        });
        let mut object = object;
        if kind != "StatefulSet" {
            object["spec"].as_object_mut().unwrap().remove("serviceName");
        }
        if kind == "Rollout" {
            object["apiVersion"] = "argoproj.io/v1alpha1".into();
            object["status"] = json!({ "replicas": 2, "selector": format!("app={name}") });
        }
        let version = object["apiVersion"].as_str().unwrap().to_owned();
        self.post(&format!("/apis/{version}/namespaces/{SHOP}/{plural}"), &object).await;
        for number in 0..(if with_pods { 2 } else { 0 }) {
            let mut pod = pod.clone();
            (pod["apiVersion"], pod["kind"]) = ("v1".into(), "Pod".into());
            pod["metadata"]["name"] = format!("{name}-{number}").into();
            let pods = format!("/api/v1/namespaces/{SHOP}/pods");
            let made = self.post(&pods, &pod).await;
            let at = &made["metadata"]["creationTimestamp"];
            let condition = |kind: &str| json!({ "type": kind, "status": "True", "lastTransitionTime": at });
            let status = json!({ "phase": "Running", "startTime": at, "conditions": [condition("PodScheduled"), condition("Ready")] });
            self.patch(&format!("{pods}/{name}-{number}/status"), &json!({ "status": status })).await;
        }
    }

    /// An HPA whose min nobody has set.
    async fn hpa(&self, namespace: &str, kind: &str, name: &str, mode: &str) {
        self.hpa_on(70, namespace, kind, name, mode).await;
    }

    async fn hpa_on(&self, cpu_percent: u32, namespace: &str, kind: &str, name: &str, mode: &str) {
        let version = if kind == "Rollout" { "argoproj.io/v1alpha1" } else { "apps/v1" };
        let cpu = json!({ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": cpu_percent } } });
        let hpa = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": { "name": name, "annotations": { "kube-scaling/mode": mode } },
            "spec": { "scaleTargetRef": { "apiVersion": version, "kind": kind, "name": name }, "maxReplicas": 60, "metrics": [cpu] },
        });
        let path =
            format!("/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/{name}?fieldManager=host");
        send(&self.admin, "PATCH", "application/apply-patch+yaml", &path, &hpa).await.unwrap();
    }

    /// A CRD whose objects may hold anything.
    async fn define(&self, group: &str, kind: &str, plural: &str, more: &Value) {
        let schema = json!({ "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } });
        let mut version = json!({ "name": "v1alpha1", "served": true, "storage": true, "schema": schema });
        version.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let crd = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("{plural}.{group}"), "annotations": { "api-approved.kubernetes.io": "unapproved, for a test" } },
            "spec": { "group": group, "scope": "Namespaced", "names": { "kind": kind, "plural": plural, "singular": kind.to_lowercase() }, "versions": [version] },
        });
        self.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &crd).await;
        let path = format!("/apis/{group}/v1alpha1/{plural}");
        until("a CRD is served", || async { get(&self.admin, &path).await.is_ok() }).await;
    }

    pub(crate) async fn min(&self, name: &str) -> i64 {
        let namespace = if name == "elsewhere" { "other" } else { SHOP };
        let path = format!("/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/{name}");
        get(&self.admin, &path).await.unwrap()["spec"]["minReplicas"].as_i64().unwrap()
    }

    /// An HPA of the shop as it is stored.
    pub(crate) async fn json(&self, name: &str) -> Value {
        get(&self.admin, &format!("{HPAS}/{name}")).await.unwrap()
    }

    /// Sets annotations as their owner does; null takes one away.
    pub(crate) async fn annotate(&self, name: &str, annotations: &Value) {
        let path = format!("{HPAS}/{name}?fieldManager=host");
        self.patch(&path, &json!({ "metadata": { "annotations": annotations } })).await;
    }

    /// A Deployment of the shop and its HPA, on CPU.
    pub(crate) async fn deployed(&self, name: &str, mode: &str, cpu_percent: u32) {
        self.workload("Deployment", name, &json!({}), false).await;
        self.hpa_on(cpu_percent, SHOP, "Deployment", name, mode).await;
    }

    /// Waits until each of these is above where it was and no change is under way any more, as the records of these operators say. Returns
    /// where they are.
    pub(crate) async fn until_raised(
        &self,
        names: &BTreeSet<String>,
        before: &BTreeMap<String, i64>,
        operators: &[&Operator],
    ) -> BTreeMap<String, i64> {
        for name in names {
            let was = before.get(name).copied().unwrap_or(1);
            until(&format!("{name} is raised from {was}"), || async { self.min(name).await > was }).await;
        }
        until_quiet(names, operators).await;
        let mut now = BTreeMap::new();
        for name in names {
            now.insert(name.clone(), self.min(name).await);
        }
        now
    }

    /// Replica that holds each shard; empty if none does.
    pub(crate) async fn shards(&self) -> BTreeMap<String, String> {
        let leases = get(&self.admin, &format!("/apis/coordination.k8s.io/v1/namespaces/{OWN}/leases")).await.unwrap();
        let holder = |lease: &Value| {
            let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
            holder.rsplit_once('_').map_or(holder, |(name, _)| name).to_owned()
        };
        let name = |lease: &Value| lease["metadata"]["name"].as_str().unwrap().to_owned();
        let leases = leases["items"].as_array().unwrap().iter();
        leases.map(|lease| (name(lease), holder(lease))).filter(|(name, _)| name.contains("-shard-")).collect()
    }

    pub(crate) async fn unlabel_a_lease(&self, name: &str) {
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/{OWN}/leases/{name}");
        self.patch(&path, &json!({ "metadata": { "labels": null } })).await;
    }

    /// HPAs with an Event of this reason.
    pub(crate) async fn told(&self, reason: &str) -> BTreeSet<String> {
        let events = get(&self.admin, &format!("/api/v1/namespaces/{SHOP}/events")).await.unwrap();
        let of_it = events["items"].as_array().unwrap().iter().filter(|event| event["reason"] == reason);
        of_it.map(|event| event["involvedObject"]["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Requests of the operator.
    pub(crate) fn audited(&self) -> Vec<Value> {
        let user = format!("system:serviceaccount:{OWN}:{ACCOUNT}");
        self.plane.audited().into_iter().filter(|request| request["user"]["username"] == user).collect()
    }

    async fn post(&self, path: &str, object: &Value) -> Value {
        send(&self.admin, "POST", "application/json", path, object)
            .await
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn patch(&self, path: &str, object: &Value) {
        let kind = "application/merge-patch+json";
        send(&self.admin, "PATCH", kind, path, object).await.unwrap_or_else(|error| panic!("{path}: {error}"));
    }
}

async fn get(client: &Client, path: &str) -> kube::Result<Value> {
    client.request(http::Request::get(path).body(Vec::new()).unwrap()).await
}

async fn send(client: &Client, method: &str, kind: &str, path: &str, body: &Value) -> kube::Result<Value> {
    let request = http::Request::builder().method(method).uri(path).header("content-type", kind);
    client.request(request.body(body.to_string().into_bytes()).unwrap()).await
}
