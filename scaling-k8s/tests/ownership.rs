//! Ownership: who else sets the size of a workload, from objects as clusters have them, and from objects that are nonsense.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "ownership/hostile.rs"]
mod hostile;
#[path = "ownership/objects.rs"]
mod objects;

use objects::*;
use scaling_core::Target;
use scaling_k8s::HpaManifest;
use scaling_k8s::ownership::{Owner, OwnershipPolicy, OwnershipReport, Writes};
use serde_json::{Value, json};

pub(crate) fn target() -> Target {
    Target::deployment("shop", "checkout")
}

fn report(objects: &[Value]) -> OwnershipReport {
    OwnershipReport::of(&target(), "kube-scaling", objects)
}

fn allows(report: &OwnershipReport, writes: Writes) -> bool {
    OwnershipPolicy::default().check(report, writes).is_ok()
}

/// The owners, in words.
fn owners(objects: &[Value]) -> Vec<String> {
    report(objects).owners.iter().map(ToString::to_string).collect()
}

#[test]
fn nobody_owns_what_nobody_wrote() {
    let report = report(&[hpa(&[]), deployment(&[])]);
    assert_eq!(report.owners, []);
    for writes in [Writes::Bounds, Writes::Replicas, Writes::Requests] {
        assert!(allows(&report, writes));
    }
    assert_eq!(
        report.to_string(),
        "shop/Deployment/checkout: nobody but kube-scaling sets its size, as far as can be seen"
    );
    assert_eq!(report.unseen("cronjobs", "forbidden").notes, ["cronjobs were not looked at: forbidden"]);
}

#[test]
fn what_we_wrote_is_ours_under_whatever_name() {
    let objects = [hpa(&[bounds_of("kube-scaling", "Apply")])];
    assert!(allows(&report(&objects), Writes::Bounds));
    let other = OwnershipReport::of(&target(), "shop-autoscaler", &objects);
    assert!(!allows(&other, Writes::Bounds));
}

#[test]
fn an_update_under_our_name_is_another_owner_and_scaling_is_no_update() {
    let report = report(&[hpa(&[bounds_of("kube-scaling", "Apply"), bounds_of("kube-scaling", "Update")])]);
    assert_eq!(report.owners.len(), 1, "an apply of ours meets a conflict with it");
    assert!(report.owners[0].to_string().contains("(update, "), "{report}");
    assert!(!allows(&report, Writes::Bounds));

    let mut scaled = entry("kube-scaling", "Update", &json!({ "f:spec": { "f:replicas": {} } }));
    assert!(!owners(&[deployment(std::slice::from_ref(&scaled))]).is_empty());
    scaled["subresource"] = "scale".into();
    assert_eq!(owners(&[deployment(&[scaled])]), [""; 0]);
}

#[test]
fn a_person_owns_what_they_wrote_by_hand() {
    let by_hand = entry("kubectl-edit", "Update", &json!({ "f:spec": { "f:maxReplicas": {} } }));
    let created =
        entry("kubectl-client-side-apply", "Update", &json!({ "f:spec": { "f:minReplicas": {}, "f:metrics": {} } }));
    assert_eq!(
        owners(&[hpa(&[by_hand, created])]),
        [
            "a person with kubectl-edit owns spec.maxReplicas of HorizontalPodAutoscaler shop/checkout (update, 2026-11-02 08:00:00 UTC)",
            "a person with kubectl-client-side-apply owns spec.minReplicas of HorizontalPodAutoscaler shop/checkout (update, 2026-11-02 08:00:00 UTC)",
        ]
    );
}

#[test]
fn an_exported_manifest_tells_its_owners() {
    let exported = HpaManifest::from_yaml(include_str!("../../test_data/hpa/exported.yaml")).unwrap();
    let report = OwnershipReport::of(&exported.target(), "kube-scaling", [&exported.to_object()]);
    assert_eq!(
        report.owners.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "a person with kubectl-client-side-apply owns spec.minReplicas and spec.maxReplicas of HorizontalPodAutoscaler shop/cart \
          (update, 2026-03-02 09:14:05 UTC)"
        ]
    );
}

#[test]
fn a_tool_is_told_with_its_manager() {
    let mut applied = hpa(&[bounds_of("helm-controller", "Apply")]);
    applied["metadata"]["labels"] =
        json!({ "helm.toolkit.fluxcd.io/name": "shop", "helm.toolkit.fluxcd.io/namespace": "apps" });
    assert_eq!(
        owners(&[applied])[0],
        "Flux (HelmRelease apps/shop) owns spec.minReplicas and spec.maxReplicas of HorizontalPodAutoscaler shop/checkout \
         (as helm-controller, apply, 2026-11-02 08:00:00 UTC)"
    );
}

#[test]
fn a_manager_of_other_fields_is_no_owner_of_the_size() {
    let status = entry("kube-controller-manager", "Update", &json!({ "f:status": { "f:currentReplicas": {} } }));
    let metrics = entry("kubectl", "Apply", &json!({ "f:spec": { "f:metrics": {}, ".": {} } }));
    assert_eq!(report(&[hpa(&[status, metrics])]).owners, []);
}

#[test]
fn the_hpa_controller_scales_as_it_should_and_a_repository_that_sets_replicas_does_not() {
    let mut scaled = entry("kube-controller-manager", "Update", &json!({ "f:spec": { "f:replicas": {} } }));
    scaled["subresource"] = "scale".into();
    let report_of_hpa = report(&[hpa(&[]), deployment(std::slice::from_ref(&scaled))]);
    assert_eq!(report_of_hpa.owners[0].owner, Owner::HpaController);
    assert!(allows(&report_of_hpa, Writes::Replicas) && allows(&report_of_hpa, Writes::Bounds));

    let in_git = entry("kustomize-controller", "Apply", &json!({ "f:spec": { "f:replicas": {} } }));
    let report = report(&[hpa(&[]), deployment(&[scaled, in_git])]);
    assert!(!allows(&report, Writes::Replicas), "{report}");
    assert!(allows(&report, Writes::Bounds), "{report}");
}

#[test]
fn requests_are_owned_container_by_container() {
    let requests = json!({ "f:spec": { "f:template": { "f:spec": { "f:containers": { "k:{\"name\":\"app\"}": {
        ".": {}, "f:name": {}, "f:resources": { "f:requests": { "f:cpu": {}, "f:memory": {} } } } } } } } });
    let report = report(&[deployment(&[entry("helm", "Apply", &requests)])]);
    assert_eq!(
        report.owners[0].fields,
        [
            "spec.template.spec.containers[app].resources.requests.cpu",
            "spec.template.spec.containers[app].resources.requests.memory"
        ]
    );
    assert!(allows(&report, Writes::Bounds) && allows(&report, Writes::Replicas));
    assert!(!allows(&report, Writes::Requests));
}

#[test]
fn another_hpa_of_the_same_workload_stands_in_the_way() {
    let mut second = hpa(&[]);
    second["metadata"]["name"] = "checkout-2".into();
    assert_eq!(owners(&[hpa(&[]), second.clone()]), ["another HPA, checkout-2, sets the size of the same workload"]);
    // The same elsewhere, and one of another workload, are none of our business.
    second["metadata"]["namespace"] = "bank".into();
    let mut third = hpa(&[]);
    third["metadata"]["name"] = "third".into();
    third["spec"]["scaleTargetRef"]["kind"] = "StatefulSet".into();
    assert_eq!(owners(&[hpa(&[]), second, third]), Vec::<String>::new());
}

#[test]
fn keda_is_found_by_reference_by_label_and_by_its_object_and_told_once() {
    let mut made = hpa(&[]);
    made["metadata"]["name"] = "keda-hpa-checkout".into();
    made["metadata"]["labels"] = json!({ "scaledobject.keda.sh/name": "checkout" });
    made["metadata"]["ownerReferences"] = json!([{ "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "checkout", "uid": "1", "controller": true }]);
    let scaled_object = scaled_object();
    let target = target().with_hpa("keda-hpa-checkout");
    for objects in [vec![made.clone()], vec![scaled_object.clone()], vec![made, scaled_object]] {
        let report = OwnershipReport::of(&target, "kube-scaling", &objects);
        assert_eq!(report.owners.len(), 1, "{report}");
        assert_eq!(report.owners[0].owner, Owner::Keda { scaled_object: "checkout".to_owned() });
        assert!(!allows(&report, Writes::Bounds) && !allows(&report, Writes::Replicas));
    }
}

#[test]
fn a_vertical_autoscaler_owns_requests_unless_it_recommends_only() {
    for (mode, allowed) in
        [(Some("Off"), true), (Some("InPlaceOrRecreate"), false), (Some("Initial"), false), (None, false)]
    {
        let report = report(&[hpa(&[]), vpa(mode)]);
        assert_eq!(allows(&report, Writes::Requests), allowed, "{mode:?}");
        assert!(allows(&report, Writes::Bounds), "{mode:?}");
        assert_eq!(report.owners.len(), 1);
    }
}

#[test]
fn a_cron_job_that_patches_the_hpa_is_found_in_its_commands() {
    let found = |namespace: &str, command: &Value| {
        let report = report(&[hpa(&[]), cron_job(namespace, command)]);
        !report.owners.is_empty() && !allows(&report, Writes::Bounds)
    };
    for command in [
        json!(["kubectl", "patch", "hpa", "checkout", "-p", "{\"spec\":{\"minReplicas\":8}}"]),
        json!(["/bin/sh", "-c", "set -e\n/usr/bin/kubectl scale deployment/checkout --replicas=2"]),
        json!(["sh", "-c", "kubectl -n shop patch horizontalpodautoscaler.autoscaling/checkout --type=merge -p '{}'"]),
        json!([
            "curl",
            "-XPATCH",
            "https://kubernetes.default/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/checkout"
        ]),
    ] {
        assert!(found("shop", &command), "{command}");
    }
    assert!(found("ops", &json!(["kubectl", "--namespace", "shop", "scale", "deploy", "checkout", "--replicas", "1"])));
    for command in [
        json!(["kubectl", "get", "hpa", "checkout"]),
        json!(["kubectl", "patch", "hpa", "checkout-2", "-p", "{}"]),
        json!(["kubectl", "-n", "bank", "patch", "hpa", "checkout", "-p", "{}"]),
        json!(["echo", "checkout"]),
        json!(["kubectl", "set", "image", "deployment/checkout", "app=x"]),
        json!(["kubectl", "patch", "deployment", "checkout", "-p", "{\"spec\":{\"paused\":true}}"]),
        json!([
            "curl",
            "https://kubernetes.default/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/checkout"
        ]),
    ] {
        assert!(!found("shop", &command), "{command}");
    }
    assert!(!found("ops", &json!(["kubectl", "scale", "deploy", "checkout", "--replicas", "1"])));
    let mut suspended = cron_job("shop", &json!(["kubectl", "patch", "hpa", "checkout"]));
    suspended["spec"]["suspend"] = true.into();
    let report = report(&[suspended]);
    assert_eq!(report.owners.len(), 1);
    assert!(allows(&report, Writes::Bounds));
}

#[test]
fn argo_cd_is_told_with_its_application_and_what_to_write_there() {
    let report = report(&[tracked_by_argo()]);
    assert!(!allows(&report, Writes::Bounds));
    assert_eq!(
        report.to_string(),
        "shop/Deployment/checkout: its size is set by others than kube-scaling too
- Argo CD (application shop-prod) manages HorizontalPodAutoscaler shop/checkout (by argocd.argoproj.io/tracking-id)

# Argo CD Application shop-prod
# without RespectIgnoreDifferences a sync still writes the bounds of the repository
spec:
  ignoreDifferences:
    - group: autoscaling
      kind: HorizontalPodAutoscaler
      name: checkout
      namespace: shop
      managedFieldsManagers:
        - kube-scaling
  syncPolicy:
    syncOptions:
      - RespectIgnoreDifferences=true
"
    );
}

#[test]
fn the_text_for_argo_cd_settles_it() {
    let hpa = tracked_by_argo();
    let text = report(std::slice::from_ref(&hpa)).coexistence().remove(0).text;
    let mut application = json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": { "namespace": "argocd", "name": "shop-prod" } });
    application["spec"] = yaml(&text)["spec"].clone();
    let settled = report(&[hpa.clone(), application.clone()]);
    assert!(allows(&settled, Writes::Bounds), "{settled}");
    assert!(settled.coexistence().is_empty() && settled.to_string().contains("leaves our fields alone"));

    application["spec"]["syncPolicy"] = json!({});
    let half = report(&[hpa.clone(), application.clone()]);
    assert!(!allows(&half, Writes::Bounds));
    assert!(half.notes[0].contains("it lacks RespectIgnoreDifferences=true"), "{half}");

    // Pointers do as well; those of one bound, or for another HPA, do not.
    application["spec"]["syncPolicy"]["syncOptions"] = json!(["RespectIgnoreDifferences=true"]);
    let mut with = |rules: Value| {
        application["spec"]["ignoreDifferences"] = rules;
        allows(&report(&[hpa.clone(), application.clone()]), Writes::Bounds)
    };
    let kind = "HorizontalPodAutoscaler";
    assert!(with(json!([{ "group": "*", "kind": kind, "jsonPointers": ["/spec/minReplicas", "/spec/maxReplicas"] }])));
    assert!(with(json!([{ "group": "autoscaling", "kind": kind, "jsonPointers": ["/spec"] }])));
    assert!(!with(json!([{ "group": "autoscaling", "kind": kind, "jsonPointers": ["/spec/minReplicas"] }])));
    assert!(!with(json!([{ "group": "autoscaling", "kind": kind, "name": "other", "jsonPointers": ["/spec"] }])));
    assert!(!with(json!([{ "group": "autoscaling", "kind": kind, "managedFieldsManagers": ["other"] }])));
}

#[test]
fn a_tracking_annotation_that_was_copied_along_makes_no_owner() {
    let mut copied = tracked_by_argo();
    copied["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] =
        "shop-prod:autoscaling/HorizontalPodAutoscaler:shop/another".into();
    let report = report(&[copied]);
    assert!(report.owners.is_empty() && report.notes[0].contains("of another object"), "{report}");
}

#[test]
fn the_texts_for_flux_settle_it() {
    for (labels, kind, api_version) in [
        ("kustomize.toolkit.fluxcd.io", "Kustomization", "kustomize.toolkit.fluxcd.io/v1"),
        ("helm.toolkit.fluxcd.io", "HelmRelease", "helm.toolkit.fluxcd.io/v2"),
    ] {
        let mut hpa = hpa(&[]);
        hpa["metadata"]["labels"] =
            json!({ format!("{labels}/name"): "apps", format!("{labels}/namespace"): "flux-system" });
        let told = report(std::slice::from_ref(&hpa));
        assert!(!allows(&told, Writes::Bounds), "{told}");
        let text = told.coexistence().remove(0);
        assert_eq!(text.place, format!("Flux {kind} flux-system/apps"));
        let mut owner = json!({ "apiVersion": api_version, "kind": kind, "metadata": { "namespace": "flux-system", "name": "apps" } });
        owner["spec"] = yaml(&text.text)["spec"].clone();
        let settled = report(&[hpa.clone(), owner.clone()]);
        assert!(allows(&settled, Writes::Bounds), "{settled}");
        let mut rules = owner["spec"].clone();
        let list = if kind == "Kustomization" { &mut rules["ignore"] } else { &mut rules["driftDetection"]["ignore"] };
        list[0]["target"]["name"] = "another".into();
        owner["spec"] = rules;
        assert!(!allows(&report(&[hpa, owner]), Writes::Bounds));
    }
}

#[test]
fn a_mark_on_the_workload_is_about_its_requests() {
    let mut tracked = deployment(&[]);
    tracked["metadata"]["annotations"] =
        json!({ "argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/checkout" });
    let report = report(&[hpa(&[]), tracked]);
    assert!(allows(&report, Writes::Bounds) && !allows(&report, Writes::Requests), "{report}");
}

#[test]
fn flux_leaves_alone_what_is_annotated_so() {
    for (key, value, allowed) in [
        ("ssa", "IfNotPresent", true),
        ("ssa", "Ignore", true),
        ("ssa", "Merge", false),
        ("reconcile", "disabled", true),
    ] {
        let mut hpa = hpa(&[]);
        hpa["metadata"]["labels"] = json!({ "kustomize.toolkit.fluxcd.io/name": "apps" });
        hpa["metadata"]["annotations"] = json!({ format!("kustomize.toolkit.fluxcd.io/{key}"): value });
        assert_eq!(allows(&report(&[hpa]), Writes::Bounds), allowed, "{key}: {value}");
    }
}

#[test]
fn helm_by_itself_is_told_and_stands_in_the_way_of_nothing_but_its_own_fields() {
    let mut installed = hpa(&[]);
    installed["metadata"]["annotations"] =
        json!({ "meta.helm.sh/release-name": "shop", "meta.helm.sh/release-namespace": "shop" });
    installed["metadata"]["labels"] = json!({ "app.kubernetes.io/managed-by": "Helm" });
    let told = report(std::slice::from_ref(&installed));
    assert_eq!(told.owners[0].owner, Owner::Helm { release: Some("shop".to_owned()) });
    assert!(allows(&told, Writes::Bounds));
    assert!(
        told.coexistence()[0]
            .text
            .contains("minReplicas: {{ dig \"spec\" \"minReplicas\" .Values.autoscaling.minReplicas $live }}")
    );
    installed["metadata"]["managedFields"] = json!([bounds_of("helm", "Update")]);
    assert!(!allows(&report(&[installed]), Writes::Bounds));
}

#[test]
fn what_owns_the_owner_is_found_too() {
    let mut made = hpa(&[]);
    made["metadata"]["ownerReferences"] =
        json!([{ "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "checkout", "uid": "7" }]);
    let mut above = scaled_object();
    above["metadata"]["uid"] = "7".into();
    above["metadata"]["annotations"] =
        json!({ "argocd.argoproj.io/tracking-id": "shop:keda.sh/ScaledObject:shop/checkout" });
    let report = report(&[made, above]);
    assert!(report.owners.iter().any(|owned| matches!(owned.owner, Owner::ArgoCd { .. })), "{report}");
    assert!(!allows(&report, Writes::Bounds) && allows(&report, Writes::Requests), "{report}");
    // The text for Argo CD is about HPAs; the one that KEDA makes is in no repository.
    assert!(report.coexistence().is_empty());
}

#[test]
fn a_report_survives_json_and_the_host_may_take_what_is_owned() {
    let report =
        report(&[tracked_by_argo(), hpa(&[bounds_of("argocd-controller", "Apply")]), vpa(None), scaled_object()]);
    let copy: OwnershipReport = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(copy, report);
    assert_eq!(OwnershipPolicy::Take.check(&report, Writes::Bounds), Ok(()));
}
