//! Everybody who sets the size of a workload, found in a real API server.

use std::time::Duration;

use kube::Client;
use kube::api::{Api, PostParams};
use kube::core::{ApiResource, DynamicObject};
use scaling_core::conformance::applier::plan;
use scaling_core::{ApplyError, ApplyMode, HpaApplier, Target};
use scaling_k8s::KubeHpaApplier;
use scaling_k8s::ownership::{OwnershipPolicy, OwnershipReport, Survey, Writes};
use serde_json::{Value, json};

use crate::world::{World, bounds};

/// Time that a CRD may take until it is served.
const SERVED: Duration = Duration::from_secs(60);

async fn create(client: &Client, api_version: &str, kind: &str, plural: &str, object: Value) {
    let (group, version) = api_version.split_once('/').unwrap();
    let resource = ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    };
    let api: Api<DynamicObject> = if object["metadata"].get("namespace").is_some() {
        Api::namespaced_with(client.clone(), "default", &resource)
    } else {
        Api::all_with(client.clone(), &resource)
    };
    let mut object = object;
    object["apiVersion"] = api_version.into();
    object["kind"] = kind.into();
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let begun = tokio::time::Instant::now();
    loop {
        match api.create(&PostParams::default(), &object).await {
            Ok(_) => return,
            // A CRD that was just created is not served yet.
            Err(kube::Error::Api(status)) if status.code == 404 && begun.elapsed() < SERVED => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(error) => panic!("{kind}: {error}"),
        }
    }
}

/// A CRD whose objects may hold anything.
async fn define(client: &Client, group: &str, version: &str, kind: &str, plural: &str) {
    let schema = json!({ "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } });
    let crd = json!({
        "metadata": { "name": format!("{plural}.{group}"),
            "annotations": { "api-approved.kubernetes.io": "unapproved, for a test" } },
        "spec": { "group": group, "scope": "Namespaced", "names": { "kind": kind, "plural": plural, "singular": kind.to_lowercase() },
            "versions": [{ "name": version, "served": true, "storage": true, "schema": schema }] },
    });
    create(client, "apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", crd).await;
}

fn owners(report: &OwnershipReport) -> Vec<String> {
    report.owners.iter().map(|owned| owned.owner.to_string()).collect()
}

fn named(name: &str) -> Value {
    json!({ "namespace": "default", "name": name })
}

fn deployment(name: &str) -> Value {
    let labels = json!({ "app": name });
    let container = json!({ "name": "app", "image": "app" });
    json!({ "metadata": named(name), "spec": { "replicas": 2, "selector": { "matchLabels": labels },
        "template": { "metadata": { "labels": labels }, "spec": { "containers": [container] } } } })
}

pub(crate) async fn everybody_is_found_and_nothing_is_written(world: &World) {
    let client = &world.admin;
    let target: Target = world.create_handed_over("owned", bounds(2, 6)).await;
    let scaled = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "owned" });
    create(client, "apps/v1", "Deployment", "deployments", deployment("owned")).await;

    let alone = Survey::new(client.clone()).report(&target).await;
    assert!(alone.in_the_way_of(Writes::Bounds).next().is_none(), "{alone}");
    assert_eq!(alone.notes, [""; 0], "KEDA and the VPA are not installed, and not asked for");

    define(client, "keda.sh", "v1alpha1", "ScaledObject", "scaledobjects").await;
    define(client, "autoscaling.k8s.io", "v1", "VerticalPodAutoscaler", "verticalpodautoscalers").await;
    let spec = json!({ "scaleTargetRef": { "name": "owned" }, "triggers": [] });
    let scaled_object = json!({ "metadata": named("owned"), "spec": spec });
    create(client, "keda.sh/v1alpha1", "ScaledObject", "scaledobjects", scaled_object).await;
    let vpa = json!({ "metadata": named("owned"), "spec": { "targetRef": scaled } });
    create(client, "autoscaling.k8s.io/v1", "VerticalPodAutoscaler", "verticalpodautoscalers", vpa).await;
    let pod = json!({ "restartPolicy": "Never", "containers": [{ "name": "kubectl", "image": "kubectl",
        "command": ["kubectl", "scale", "deployment/owned", "--replicas=0"] }] });
    let job = json!({ "metadata": named("nightly"), "spec": { "schedule": "0 20 * * *",
        "jobTemplate": { "spec": { "template": { "spec": pod } } } } });
    create(client, "batch/v1", "CronJob", "cronjobs", job).await;
    let second = json!({ "spec": { "scaleTargetRef": scaled, "maxReplicas": 4 } });
    world.apply("host", "owned-too", second, false).await.unwrap();

    let report = Survey::new(client.clone()).report(&target).await;
    for owner in [
        "another HPA, owned-too,",
        "the CronJob nightly",
        "KEDA (ScaledObject owned)",
        "the VerticalPodAutoscaler owned (mode Recreate)",
    ] {
        assert!(owners(&report).iter().any(|found| found == owner), "{owner}: {report}");
    }
    assert_eq!(report.notes, [""; 0]);

    let before = world.read("owned").await;
    let plan = plan(&target, bounds(2, 6), 3, 6);
    let applier = world.applier();
    for mode in [ApplyMode::ServerDryRun, ApplyMode::Apply] {
        let error = applier.apply(&plan, mode).await.unwrap_err();
        let ApplyError::Owned { owners, source, .. } = &error else { panic!("{error:?}") };
        assert!(owners.iter().any(|owner| owner.owner == "KEDA (ScaledObject owned)"), "{owners:?}");
        let detail = source.to_string();
        assert!(detail.contains("KEDA (ScaledObject owned)") && detail.contains("CronJob nightly"), "{detail}");
        assert_eq!(world.read("owned").await, before);
    }
    let record = crate::ticks::tick(world, &target, ApplyMode::Apply).await;
    assert_eq!(world.read("owned").await, before);
    for said in [record.outcome.to_string(), record.explain()] {
        assert!(said.contains("is owned: another HPA, owned-too"), "law 10: the record names the owner: {said}");
    }
    assert!(record.owners.iter().any(|owner| owner.owner == "another HPA, owned-too"), "{:?}", record.owners);
    let taken = applier.ownership(OwnershipPolicy::Take).apply(&plan, ApplyMode::Apply).await;
    assert!(taken.unwrap().changed, "the host has decided");
}

/// Somebody with the rights to one HPA and to nothing else is told what they cannot see, and may write.
pub(crate) async fn with_few_rights_the_rest_is_said_to_be_unseen(world: &World) {
    let target = world.create_handed_over("narrow", bounds(2, 6)).await;
    let rules = json!([{ "apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"],
        "resourceNames": ["narrow"], "verbs": ["get", "patch"] }]);
    let role = json!({ "metadata": named("narrow"), "rules": rules });
    create(&world.admin, "rbac.authorization.k8s.io/v1", "Role", "roles", role).await;
    let binding = json!({ "metadata": named("narrow"),
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "narrow" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "plain" }] });
    create(&world.admin, "rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings", binding).await;

    // Rights are read from a cache that follows what is stored.
    let survey = || Survey::new(world.plain.clone());
    let begun = tokio::time::Instant::now();
    let mut report = survey().report(&target).await;
    while report.notes.iter().any(|note| note.starts_with("HorizontalPodAutoscaler")) && begun.elapsed() < SERVED {
        tokio::time::sleep(Duration::from_millis(100)).await;
        report = survey().report(&target).await;
    }
    for unseen in ["Deployment narrow", "horizontalpodautoscalers of namespace", "cronjobs", "scaledobjects"] {
        let noted = |note: &String| note.starts_with(unseen) && note.contains("(403): grant the verb ");
        assert!(report.notes.iter().any(noted), "{unseen}: {report}");
    }
    let applier = KubeHpaApplier::new(world.plain.clone());
    assert!(applier.apply(&plan(&target, bounds(2, 6), 3, 6), ApplyMode::Apply).await.unwrap().changed);
}
