//! Which objects a survey reads from a cluster, and what it says of those that it cannot. No server needed.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use scaling_core::Target;
use scaling_k8s::ownership::{OwnershipReport, Survey, Writes};
use serde_json::{Value, json};
use tower_test::mock::pair;

const HPAS: &str = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers";
const CRON_JOBS: &str = "/apis/batch/v1/namespaces/shop/cronjobs";
const SCALED_OBJECTS: &str = "/apis/keda.sh/v1alpha1/namespaces/shop/scaledobjects";
const VPAS: &str = "/apis/autoscaling.k8s.io/v1/namespaces/shop/verticalpodautoscalers";
const WORKLOAD: &str = "/apis/apps/v1/namespaces/shop/deployments/checkout";

/// A cluster that answers with what is at each path, and with 404 elsewhere. A number is a status without an object, 0 no answer.
#[derive(Clone, Default)]
struct Cluster {
    objects: BTreeMap<String, Value>,
    asked: Arc<Mutex<Vec<String>>>,
}

fn status(code: u64, message: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": "Any", "message": message })
}

impl Cluster {
    /// An HPA and its Deployment, and lists of nothing.
    fn plain() -> Self {
        let list =
            |kind: &str| json!({ "kind": format!("{kind}List"), "apiVersion": "v1", "metadata": {}, "items": [] });
        let groups = json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": [] });
        Self::default()
            .with(&format!("{HPAS}/checkout"), hpa("checkout"))
            .with(WORKLOAD, json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": named("checkout") }))
            .with(HPAS, list("HorizontalPodAutoscaler"))
            .with(CRON_JOBS, list("CronJob"))
            .with("/apis", groups)
    }

    fn with(mut self, path: &str, object: Value) -> Self {
        self.objects.insert(path.to_owned(), object);
        self
    }

    fn serving(self, groups: &[(&str, &str)]) -> Self {
        let groups = groups.iter().map(|(name, version)| {
            let version = json!({ "groupVersion": format!("{name}/{version}"), "version": version });
            json!({ "name": name, "versions": [version], "preferredVersion": version })
        });
        let groups: Vec<Value> = groups.collect();
        self.with("/apis", json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups }))
    }

    fn survey(&self) -> Survey {
        let (service, mut server) = pair::<Request<Body>, Response<Body>>();
        let this = self.clone();
        tokio::spawn(async move {
            let mut unanswered = Vec::new();
            while let Some((request, respond)) = server.next_request().await {
                assert_eq!(request.method(), "GET", "nothing is written");
                let asked = request.uri().path_and_query().unwrap().to_string();
                let path = request.uri().path().to_owned();
                this.asked.lock().unwrap().push(asked.clone());
                let found = this.objects.get(&asked).or_else(|| this.objects.get(&path));
                let (code, body) = match found {
                    Some(Value::Number(code)) if code.as_u64() == Some(0) => {
                        unanswered.push(respond);
                        continue;
                    }
                    Some(Value::Number(code)) => (code.as_u64().unwrap(), status(code.as_u64().unwrap(), "no right")),
                    Some(object) => (200, object.clone()),
                    None => (404, status(404, "not found")),
                };
                let body = Body::from(body.to_string().into_bytes());
                respond.send_response(Response::builder().status(u16::try_from(code).unwrap()).body(body).unwrap());
            }
        });
        Survey::new(Client::new(service, "other"))
    }

    async fn report(&self) -> OwnershipReport {
        self.survey().report(&Target::deployment("shop", "checkout")).await
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn named(name: &str) -> Value {
    json!({ "namespace": "shop", "name": name })
}

fn scaled() -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout" })
}

fn hpa(name: &str) -> Value {
    json!({ "metadata": named(name), "spec": { "scaleTargetRef": scaled(), "minReplicas": 2, "maxReplicas": 10 } })
}

fn list(items: &[Value]) -> Value {
    json!({ "kind": "List", "apiVersion": "v1", "metadata": {}, "items": items })
}

fn owners(report: &OwnershipReport) -> Vec<String> {
    report.owners.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_cluster_without_owners_is_asked_five_times() {
    let cluster = Cluster::plain();
    let report = cluster.report().await;
    assert_eq!((report.owners.len(), report.notes.as_slice()), (0, &[] as &[String]));
    let asked = cluster.asked();
    let page = "?&limit=500";
    assert_eq!(
        asked,
        [&format!("{HPAS}/checkout"), &format!("{HPAS}{page}"), &format!("{CRON_JOBS}{page}"), "/apis", WORKLOAD]
    );
}

#[tokio::test]
async fn everybody_who_sets_the_size_is_found() {
    let scaled_object = json!({ "metadata": named("checkout"), "spec": { "scaleTargetRef": { "name": "checkout" } } });
    let vpa = json!({ "metadata": named("checkout"), "spec": { "targetRef": scaled() } });
    let cron_job = json!({ "metadata": named("nightly"), "spec": { "jobTemplate": { "spec": { "template": { "spec": {
        "containers": [{ "command": ["kubectl", "scale", "deployment/checkout", "--replicas=0"] }] } } } } } });
    let cluster = Cluster::plain()
        .serving(&[("keda.sh", "v1alpha1"), ("autoscaling.k8s.io", "v1")])
        .with(HPAS, list(&[hpa("checkout"), hpa("second")]))
        .with(CRON_JOBS, list(&[cron_job]))
        .with(SCALED_OBJECTS, list(&[scaled_object]))
        .with(VPAS, list(&[vpa]));
    let report = cluster.report().await;
    assert_eq!(
        owners(&report),
        [
            "another HPA, second, sets the size of the same workload",
            "the CronJob nightly sets the size of the same workload",
            "KEDA (ScaledObject checkout) sets the size of the same workload",
            "the VerticalPodAutoscaler checkout (mode Recreate) sets the size of the same workload",
        ]
    );
    assert_eq!(report.in_the_way_of(Writes::Bounds).count(), 3);
    assert_eq!(report.notes, [""; 0]);
}

#[tokio::test]
async fn owners_are_followed_upwards_and_secrets_are_not_read() {
    let owned = |mut object: Value, owners: Value| {
        object["metadata"]["ownerReferences"] = owners;
        object
    };
    let shop = json!({ "apiVersion": "example.com/v1", "kind": "Shop", "name": "main", "controller": true });
    let odd = json!([shop, { "apiVersion": "v1", "kind": "Secret", "name": "s" },
        { "apiVersion": "../../x/v1", "kind": "X", "name": "x" }, { "apiVersion": "gone.io/v1", "kind": "Gone", "name": "x" },
        { "apiVersion": "example.com/v1", "kind": "Shop", "name": "a/../../b" }]);
    let resources = json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "example.com/v1", "resources": [
        { "name": "shops", "singularName": "", "namespaced": false, "kind": "Shop", "verbs": ["get"] }] });
    let tracked = json!({ "metadata": { "name": "main", "labels": { "argocd.argoproj.io/instance": "shops" },
        "ownerReferences": [{ "apiVersion": "example.com/v1", "kind": "Shop", "name": "main" }] } });
    let cluster = Cluster::plain()
        .with(&format!("{HPAS}/checkout"), owned(hpa("checkout"), odd))
        .with("/apis/example.com/v1", resources)
        .with("/apis/example.com/v1/shops/main", tracked);
    let report = cluster.report().await;
    let said = report.to_string();
    assert!(said.contains("the controller of Shop main manages HorizontalPodAutoscaler shop/checkout"), "{said}");
    assert!(said.contains("Argo CD (application shops) manages Shop main"), "{said}");
    assert_eq!(
        report.notes,
        [
            "Secret s were not looked at: secrets never are",
            "X x were not looked at: its API version is none of Kubernetes",
            "Gone x were not looked at: the cluster does not serve its kind",
            "Shop a/../../b were not looked at: it has no name of Kubernetes",
        ]
    );
    assert!(!cluster.asked().iter().any(|path| path.contains("secrets") || path.contains("..")));
}

#[tokio::test]
async fn what_a_gitops_tool_says_of_our_fields_is_read() {
    let mut applied = hpa("checkout");
    applied["metadata"]["labels"] =
        json!({ "kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system" });
    let path = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/flux-system/kustomizations/apps";
    let cluster = Cluster::plain()
        .serving(&[("kustomize.toolkit.fluxcd.io", "v1")])
        .with(&format!("{HPAS}/checkout"), applied)
        .with(path, json!({ "metadata": { "namespace": "flux-system", "name": "apps" }, "spec": {} }));
    assert_eq!(cluster.report().await.in_the_way_of(Writes::Bounds).count(), 1);
    let rules = json!({ "ignore": [{ "paths": ["/spec/minReplicas", "/spec/maxReplicas"] }] });
    let settled = json!({ "metadata": { "namespace": "flux-system", "name": "apps" }, "spec": rules });
    let report = cluster.clone().with(path, settled).report().await;
    assert_eq!((report.owners.len(), report.in_the_way_of(Writes::Bounds).count()), (1, 0), "{report}");
    let unknown = cluster.with(path, json!(403)).report().await;
    assert!(unknown.notes[0].starts_with("Kustomization apps were not looked at: not allowed (403)"), "{unknown}");
    assert_eq!(unknown.in_the_way_of(Writes::Bounds).count(), 1);
}

#[tokio::test]
async fn what_may_not_be_read_is_said() {
    let cluster = Cluster::plain()
        .serving(&[("keda.sh", "v1alpha1"), ("autoscaling.k8s.io", "v1")])
        .with(HPAS, json!(403))
        .with(CRON_JOBS, json!(403))
        .with(VPAS, json!(500))
        .with(WORKLOAD, json!(403));
    let report = cluster.report().await;
    assert_eq!(
        report.notes,
        [
            "Deployment checkout were not looked at: not allowed (403): no right",
            "horizontalpodautoscalers of namespace shop were not looked at: not allowed (403): no right",
            "cronjobs of namespace shop were not looked at: not allowed (403): no right",
            "verticalpodautoscalers of namespace shop were not looked at: the API server failed (500): no right; try again later",
        ],
        "ScaledObjects are served by nobody, although their group is"
    );
    let blind = cluster.with("/apis", json!(403)).report().await;
    assert!(blind.notes.iter().any(|note| note.starts_with("scaledobjects")), "{blind}");
    let gone = Cluster::default().report().await;
    assert!(
        gone.notes.iter().any(|note| note == "HorizontalPodAutoscaler shop/checkout were not looked at: there is none")
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_that_hangs_leaves_time_for_the_others() {
    let cluster = Cluster::plain().with(HPAS, json!(0)).with(CRON_JOBS, json!(0)).with(WORKLOAD, json!(0));
    let begun = tokio::time::Instant::now();
    let report = cluster.survey().timeout(Duration::from_secs(9)).report(&Target::deployment("shop", "checkout")).await;
    assert!(begun.elapsed() <= Duration::from_secs(9), "{:?}", begun.elapsed());
    assert_eq!(report.notes.len(), 3, "{report}");
    assert!(report.notes.iter().all(|note| note.ends_with("no answer in time")), "{report}");
}

#[tokio::test]
async fn long_lists_are_read_in_pages_and_end() {
    let page = |items: &[Value], next: &str| json!({ "kind": "List", "apiVersion": "v1", "metadata": { "continue": next }, "items": items });
    let cluster = Cluster::plain()
        .with(HPAS, page(&[hpa("checkout")], "more"))
        .with(&format!("{HPAS}?&limit=500&continue=more"), page(&[hpa("second")], ""));
    assert_eq!(owners(&cluster.report().await).len(), 1);
    let many: Vec<Value> = (0..500).map(|n| json!({ "metadata": named(&format!("job-{n}")) })).collect();
    let endless = Cluster::plain().with(CRON_JOBS, page(&many, "more"));
    let report = endless.report().await;
    assert_eq!(
        report.notes,
        ["cronjobs of namespace shop were not looked at: there are more than 10000; those beyond"]
    );
    let pages = endless.asked().iter().filter(|path| path.starts_with(CRON_JOBS)).count();
    assert_eq!(pages, 20);
}

#[tokio::test(start_paused = true)]
async fn a_fleet_in_one_namespace_reads_its_lists_once_a_minute() {
    let cluster = Cluster::plain();
    let survey = cluster.survey();
    let lists = || cluster.asked().iter().filter(|path| path.contains("limit=")).count();
    for name in ["checkout", "web", "cart"] {
        survey.clone().report(&Target::deployment("shop", name)).await;
    }
    assert_eq!(lists(), 2);
    tokio::time::advance(Duration::from_secs(60)).await;
    survey.report(&Target::deployment("shop", "web")).await;
    assert_eq!(lists(), 2);
}

#[tokio::test(start_paused = true)]
async fn lists_that_failed_are_read_again_and_those_that_are_forbidden_are_not() {
    for (code, again) in [(0, 2), (500, 2), (429, 2), (403, 0)] {
        let cluster = Cluster::plain().with(CRON_JOBS, json!(code));
        let survey = cluster.survey();
        let lists = || cluster.asked().iter().filter(|path| path.contains("limit=")).count();
        survey.report(&Target::deployment("shop", "checkout")).await;
        assert_eq!(lists(), 2, "{code}");
        let report = survey.report(&Target::deployment("shop", "checkout")).await;
        assert_eq!(lists(), again, "{code}");
        assert!(report.notes.iter().any(|note| note.starts_with("cronjobs")), "{code}: {report}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_hangs_holds_no_other_and_nobody_waits_for_it_longer_than_his_time() {
    let cluster = Cluster::plain().with(HPAS, json!(0)).with(CRON_JOBS, json!(0)).with("/apis", json!(0));
    let survey = cluster.survey();
    let timed = async |namespace: &str, seconds: u64, after: u64| {
        tokio::time::sleep(Duration::from_secs(after)).await;
        let begun = tokio::time::Instant::now();
        let survey = survey.clone().timeout(Duration::from_secs(seconds));
        let report = survey.report(&Target::deployment(namespace, "checkout")).await;
        (begun.elapsed(), report)
    };
    let (first, second, other) = tokio::join!(timed("shop", 90, 0), timed("shop", 9, 1), timed("bank", 120, 1));
    assert_eq!(first.0, Duration::from_secs(90));
    assert!(second.0 <= Duration::from_secs(9), "{:?}", second.0);
    let late = "the lists of namespace shop were not looked at: no answer in time";
    assert!(second.1.notes.iter().any(|note| note == late), "{}", second.1);
    assert!(!second.1.notes.iter().any(|note| note.starts_with("Deployment")), "it is looked at: {}", second.1);
    // Its own question for the groups hangs, a third of its time.
    assert_eq!(other.0, Duration::from_secs(40));
}

#[tokio::test]
async fn names_that_are_none_are_not_asked_for() {
    let cluster = Cluster::plain();
    for target in [Target::deployment("../x", "a"), Target::deployment("shop", "a/../../b?x")] {
        let report = cluster.survey().report(&target).await;
        assert_eq!(report.notes.len(), 1, "{report}");
    }
    assert_eq!(cluster.asked(), [""; 0]);
}
