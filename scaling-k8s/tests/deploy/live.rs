//! The manifests on a real API server.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::Client;
use scaling_core::{Bounds, HpaApplier, Target};
use scaling_k8s::controller::lease::{LeaseSettings, LeaseTiming, ShardLeases};
use scaling_k8s::{KubeHpaApplier, Writer};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::rights::{LEASES, METRICS_API, NEVER, Right, TARGETS};
use crate::support::{ADMIN, ControlPlane, assets};
use crate::{FOLDERS, documents, value};

const OWN: &str = "kube-scaling";
const ACCOUNT: &str = "kube-scaling-operator";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_real_api_server() {
    let Some(assets) = assets() else { return };
    let plane = ControlPlane::start(&assets).await;
    let admin = plane.client(ADMIN);
    for name in [OWN, "shop", "other"] {
        post(&admin, "/api/v1/namespaces", &json!({ "metadata": { "name": name } }).to_string()).await.unwrap();
    }
    every_manifest_is_accepted(&admin).await;
    the_pod_is_allowed_where_the_strictest_rules_are_enforced(&admin).await;

    for document in ["service-account.yaml", "leases.yaml"] {
        apply(&admin, "base", document).await;
    }
    apply(&admin, "namespaced", "role.yaml").await;
    let operator = as_account(&plane, &admin, ACCOUNT).await;
    the_account_may(&operator, "shop", TARGETS).await;
    the_account_may_not(&operator, "other", TARGETS).await;
    the_account_may(&operator, OWN, LEASES).await;
    the_account_may_not(&operator, "shop", METRICS_API).await;
    let bare = bare(&plane, &admin).await;
    for (namespace, rights) in [("shop", TARGETS), (OWN, LEASES), ("other", &[])] {
        nothing_more_is_granted(&bare, &operator, namespace, &[rights]).await;
    }
    it_works_with_these_rights(&operator, &admin).await;
    apply(&admin, "metrics-api/namespaced", "role.yaml").await;
    the_account_may(&operator, "shop", METRICS_API).await;
    the_account_may_not(&operator, "other", METRICS_API).await;
    nothing_more_is_granted(&bare, &operator, "shop", &[TARGETS, METRICS_API]).await;

    apply(&admin, "cluster", "cluster-role.yaml").await;
    the_account_may(&operator, "other", TARGETS).await;
    the_account_may_not(&operator, "other", METRICS_API).await;
    nothing_more_is_granted(&bare, &operator, "other", &[TARGETS]).await;
    apply(&admin, "metrics-api/cluster", "cluster-role.yaml").await;
    the_account_may(&operator, "other", METRICS_API).await;
    nothing_more_is_granted(&bare, &operator, "other", &[TARGETS, METRICS_API]).await;
    the_account_may_not(&operator, "other", LEASES).await;
    for namespace in [OWN, "shop", "other"] {
        for (group, resource, verb) in NEVER {
            assert!(!may(&operator, namespace, group, resource, verb).await, "{verb} {resource} in {namespace}");
        }
    }
}

/// Path of the collection of a document's kind, in its namespace.
fn path(document: &str) -> String {
    let (version, kind) = (value(document, "apiVersion").unwrap(), value(document, "kind").unwrap());
    let base = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
    let plural = match kind {
        "NetworkPolicy" => "networkpolicies".to_owned(),
        other => format!("{}s", other.to_lowercase()),
    };
    // Of the metadata: subjects have namespaces as well.
    let (_, metadata) = document.split_once("\nmetadata:\n").unwrap();
    let metadata: Vec<&str> = metadata.lines().take_while(|line| line.starts_with(' ')).collect();
    let metadata = metadata.join("\n");
    match value(&metadata, "  namespace") {
        Some(namespace) => format!("{base}/namespaces/{namespace}/{plural}"),
        None => format!("{base}/{plural}"),
    }
}

async fn post(client: &Client, path: &str, body: &str) -> kube::Result<Value> {
    let content = if body.starts_with('{') { "application/json" } else { "application/yaml" };
    let request = http::Request::post(path).header("content-type", content).body(body.as_bytes().to_vec()).unwrap();
    client.request(request).await
}

/// Takes documents by a strict dry run, in namespaces that are there.
pub(crate) async fn accepted(admin: &Client, documents: &[String]) {
    for name in [OWN, "shop"] {
        post(admin, "/api/v1/namespaces", &json!({ "metadata": { "name": name } }).to_string()).await.unwrap();
    }
    install_service_monitors(admin).await;
    for document in documents.iter().filter(|document| value(document, "kind") != Some("Namespace")) {
        let answer = post(admin, &format!("{}?dryRun=All&fieldValidation=Strict", path(document)), document).await;
        assert!(answer.is_ok(), "{answer:?}:\n{document}");
    }
}

async fn every_manifest_is_accepted(admin: &Client) {
    install_service_monitors(admin).await;
    let mut kinds = BTreeSet::new();
    for of in FOLDERS {
        for (file, document) in documents(of) {
            kinds.insert(value(&document, "kind").unwrap().to_owned());
            // The namespace is there already.
            let document = document.replace(
                "kind: Namespace\nmetadata:\n  name: kube-scaling",
                "kind: Namespace\nmetadata:\n  name: fresh",
            );
            let path = format!("{}?dryRun=All&fieldValidation=Strict", path(&document));
            let answer = post(admin, &path, &document).await;
            assert!(answer.is_ok(), "{of}/{file}: {answer:?}");
            // The check is strict: an unknown field is refused.
            let odd = format!("{document}unknownField: 1\n");
            let refused = post(admin, &path, &odd).await.unwrap_err().to_string();
            assert!(refused.contains("unknownField"), "{of}/{file}: {refused}");
        }
    }
    let wanted = [
        "ClusterRole",
        "ClusterRoleBinding",
        "Deployment",
        "Namespace",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Role",
        "RoleBinding",
        "Service",
        "ServiceAccount",
        "ServiceMonitor",
    ];
    assert_eq!(kinds, wanted.iter().map(ToString::to_string).collect());
}

/// The fields of the resource that matter here; that of the Prometheus operator has many more.
async fn install_service_monitors(admin: &Client) {
    let text = json!({ "type": "string" });
    let endpoint = json!({ "type": "object", "properties": { "port": text, "path": text, "interval": text } });
    let labels = json!({ "type": "object", "additionalProperties": text });
    let schema = json!({ "type": "object", "properties": { "spec": { "type": "object", "required": ["endpoints", "selector"], "properties": {
        "endpoints": { "type": "array", "items": endpoint },
        "selector": { "type": "object", "properties": { "matchLabels": labels } },
    } } } });
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "servicemonitors.monitoring.coreos.com" },
        "spec": {
            "group": "monitoring.coreos.com", "scope": "Namespaced",
            "names": { "plural": "servicemonitors", "kind": "ServiceMonitor", "singular": "servicemonitor", "listKind": "ServiceMonitorList" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema } }],
        },
    });
    post(admin, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &crd.to_string()).await.unwrap();
    let served = async {
        let path = "/apis/monitoring.coreos.com/v1/servicemonitors";
        while admin.request_text(http::Request::get(path).body(Vec::new()).unwrap()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), served).await.unwrap();
}

/// The Pod Security admission of the API server judges the pod itself.
async fn the_pod_is_allowed_where_the_strictest_rules_are_enforced(admin: &Client) {
    let document = documents("base").into_iter().find(|(file, _)| file == "deployment.yaml").unwrap().1;
    let path = format!("{}?dryRun=All", path(&document));
    let deployment = post(admin, &path, &document).await.unwrap();
    let labels = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
    let namespace = json!({ "metadata": { "name": "restricted", "labels": labels } });
    post(admin, "/api/v1/namespaces", &namespace.to_string()).await.unwrap();
    let account = json!({ "metadata": { "name": ACCOUNT } });
    post(admin, "/api/v1/namespaces/restricted/serviceaccounts", &account.to_string()).await.unwrap();
    let mut pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "operator" } });
    pod["spec"] = deployment["spec"]["template"]["spec"].clone();
    let pods = "/api/v1/namespaces/restricted/pods?dryRun=All";
    let allowed = post(admin, pods, &pod.to_string()).await;
    assert!(allowed.is_ok(), "{allowed:?}");
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert!(
        container["resources"]["limits"]["memory"].is_string() && container["resources"]["requests"]["cpu"].is_string()
    );
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert_eq!(container[probe]["httpGet"]["port"], "http", "{probe}");
    }
    // The judge is awake.
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = true.into();
    assert!(post(admin, pods, &pod.to_string()).await.is_err());
}

async fn apply(admin: &Client, of: &str, file: &str) {
    for (_, document) in documents(of).into_iter().filter(|(found, _)| found == file) {
        post(admin, &path(&document), &document).await.unwrap();
    }
}

/// A client with a token of the account, as a pod of it has.
async fn as_account(plane: &ControlPlane, admin: &Client, account: &str) -> Client {
    let path = format!("/api/v1/namespaces/{OWN}/serviceaccounts/{account}/token");
    let request = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
    let answer = post(admin, &path, &request.to_string()).await.unwrap();
    plane.client(answer["status"]["token"].as_str().unwrap())
}

async fn may(client: &Client, namespace: &str, group: &str, resource: &str, verb: &str) -> bool {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let attributes = json!({
        "namespace": namespace, "group": group, "resource": resource, "subresource": subresource, "verb": verb,
    });
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": { "resourceAttributes": attributes },
    });
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    post(client, path, &review.to_string()).await.unwrap()["status"]["allowed"] == true
}

/// Waits: the API server hears of a new role a moment later.
async fn the_account_may(client: &Client, namespace: &str, rights: &[Right]) {
    for (feature, group, resource, verbs) in rights {
        for verb in *verbs {
            let granted = async {
                while !may(client, namespace, group, resource, verb).await {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            let granted = tokio::time::timeout(Duration::from_secs(20), granted).await;
            assert!(granted.is_ok(), "{feature} needs {verb} on {group}/{resource} in {namespace}");
        }
    }
}

async fn the_account_may_not(client: &Client, namespace: &str, rights: &[Right]) {
    for (feature, group, resource, verbs) in rights {
        for verb in *verbs {
            assert!(
                !may(client, namespace, group, resource, verb).await,
                "{feature}: {verb} {resource} in {namespace}"
            );
        }
    }
}

/// Group, resource and verb of each rule that holds for the client in a namespace.
async fn rules(client: &Client, namespace: &str) -> BTreeSet<(String, String, String)> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": { "namespace": namespace },
    });
    let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let answer = post(client, path, &review.to_string()).await.unwrap();
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut all = BTreeSet::new();
    for rule in answer["status"]["resourceRules"].as_array().unwrap() {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                all.extend(texts(&rule["verbs"]).into_iter().map(|verb| (group.clone(), resource.clone(), verb)));
            }
        }
    }
    all
}

/// An account without any role.
async fn bare(plane: &ControlPlane, admin: &Client) -> Client {
    let bare = json!({ "metadata": { "name": "bare" } });
    post(admin, &format!("/api/v1/namespaces/{OWN}/serviceaccounts"), &bare.to_string()).await.unwrap();
    as_account(plane, admin, "bare").await
}

/// What the account has beyond one without any role is what the features need.
async fn nothing_more_is_granted(bare: &Client, operator: &Client, namespace: &str, rights: &[&[Right]]) {
    let usual = rules(bare, namespace).await;
    let granted: BTreeSet<_> = rules(operator, namespace).await.difference(&usual).cloned().collect();
    let of = |(_, group, resource, verbs): &Right| {
        let (group, resource) = ((*group).to_owned(), (*resource).to_owned());
        verbs.iter().map(move |verb| (group.clone(), resource.clone(), (*verb).to_owned())).collect::<Vec<_>>()
    };
    let needed: BTreeSet<_> = rights.iter().flat_map(|rights| rights.iter().flat_map(of)).collect();
    assert_eq!(granted, needed, "{namespace}");
}

/// Not only by the word of the reviews.
async fn it_works_with_these_rights(operator: &Client, admin: &Client) {
    let hpa = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": "checkout" },
        "spec": { "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout" }, "minReplicas": 2, "maxReplicas": 6 },
    });
    post(admin, "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers", &hpa.to_string()).await.unwrap();
    let target = Target::deployment("shop", "checkout");
    let settings = LeaseSettings::new("operator", OWN, "operator-0").unwrap();
    let timing = LeaseTiming::new(Duration::from_secs(6), Duration::from_secs(4), Duration::from_millis(500)).unwrap();
    let leases = ShardLeases::new(operator.clone(), settings.timing(timing));
    let fenced = leases.fence(KubeHpaApplier::new(Writer::new(operator.clone()).force()));
    let mut held = leases.held();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(leases.run(async move { drop(stopped.await) }));
    let first = held.wait_for(|held| !held.shards.is_empty());
    tokio::time::timeout(Duration::from_secs(60), first).await.unwrap().unwrap();

    let found = fenced.current(&target).await.unwrap().bounds;
    let plan = scaling_core::conformance::applier::plan(&target, Bounds::new(2, 6).unwrap(), 3, 6);
    assert_eq!(found, plan.old_bounds());
    assert!(fenced.apply(&plan, scaling_core::ApplyMode::Apply).await.unwrap().changed);
    assert_eq!(fenced.current(&target).await.unwrap().bounds, plan.new_bounds());
    stop.send(()).unwrap();
    running.await.unwrap();
}
