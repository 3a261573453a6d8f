//! Others who set the requests, and an HPA that would not bear a change of them.

use scaling_core::hpa::Resources;
use scaling_core::{ApplyError, ApplyMode};
use scaling_k8s::ownership::OwnershipPolicy;
use scaling_k8s::vertical::{HpaUsage, Usage};
use scaling_k8s::{EffectPolicy, InUse, ResizeApplier, ResizeWay};
use serde_json::{Value, json};

use crate::world::World;
use crate::{NEW, OLD, apply, apply_plan, plan, vertical};

fn rollout(applier: ResizeApplier) -> ResizeApplier {
    applier.way(ResizeWay::Rollout)
}

#[tokio::test(start_paused = true)]
async fn beside_a_vertical_pod_autoscaler_nothing_is_written() {
    let world = |mode| World { vpa: Some(mode), ..World::new() };
    for mode in [ApplyMode::Plan, ApplyMode::ServerDryRun, ApplyMode::Apply] {
        for way in [ResizeWay::InPlace, ResizeWay::Rollout] {
            let (answer, left) = apply(world("Recreate"), mode, |applier| applier.way(way)).await;
            let error = answer.unwrap_err();
            assert!(matches!(error, ApplyError::Refused { .. }) && !error.may_have_happened());
            assert!(error.to_string().contains("the VerticalPodAutoscaler web-vpa (mode Recreate)"), "{error}");
            assert_eq!(left.cpu(), [OLD; 4]);
            assert!(!left.log.iter().any(|asked| asked.starts_with("PATCH")), "no dry run either");
        }
    }
    let (answer, left) = apply(world("Off"), ApplyMode::Apply, |applier| applier).await;
    assert!(answer.unwrap().changed, "one that only recommends is in nobody's way");
    assert_eq!(left.cpu(), [OLD, NEW, NEW, NEW]);
    let take = |applier: ResizeApplier| applier.ownership(OwnershipPolicy::Take);
    let (answer, left) = apply(world("Auto"), ApplyMode::Apply, take).await;
    assert!(answer.unwrap().changed, "the host has decided");
    assert_eq!(left.cpu(), [OLD, NEW, NEW, NEW]);
}

#[tokio::test(start_paused = true)]
async fn a_template_of_a_gitops_tool_is_refused_with_the_text_that_lets_both_live() {
    let argo = json!({ "annotations": { "argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/web" } });
    let flux = json!({ "labels": { "kustomize.toolkit.fluxcd.io/name": "shop", "kustomize.toolkit.fluxcd.io/namespace": "flux" } });
    for (marks, texts) in [
        (argo, ["kind: Deployment\n      name: web", "managedFieldsManagers:\n        - kube-scaling"]),
        (flux, ["# Flux Kustomization flux/shop", "- /spec/template/spec/containers/0/resources"]),
    ] {
        let world = World { marks, ..World::new() };
        let (answer, left) = apply(world.clone(), ApplyMode::Apply, rollout).await;
        let error = answer.unwrap_err();
        assert!(matches!(error, ApplyError::Refused { .. }));
        assert!(texts.iter().all(|text| error.to_string().contains(text)), "{error}");
        assert_eq!(left.cpu(), [OLD; 4]);
        let (answer, left) = apply(world.clone(), ApplyMode::Apply, |applier| applier).await;
        assert!(answer.unwrap().changed, "pods are no part of a repository");
        assert_eq!(left.cpu(), [OLD, NEW, NEW, NEW]);
        let take = |applier| rollout(applier).ownership(OwnershipPolicy::Take);
        let (answer, left) = apply(world, ApplyMode::Apply, take).await;
        assert!(answer.unwrap().changed && left.cpu()[0] == NEW);
    }
}

/// An HPA at 70 % of the CPU, from 2 to 4 pods, and three pods that use 175m each: smaller requests would need more of them.
fn counted() -> (World, InUse) {
    let target = json!({ "type": "Utilization", "averageUtilization": 70 });
    let metric = json!({ "type": "Resource", "resource": { "name": "cpu", "target": target } });
    let hpa: Value = json!({ "minReplicas": 2, "maxReplicas": 4, "metrics": [metric] });
    let mean = HpaUsage { replicas: 3, ready: 3, of_a_pod: Resources::from([("cpu", 60)]), ..HpaUsage::default() };
    let container = Usage { cpu_millicores: Some(60), memory_bytes: None };
    (World { hpa: Some(hpa), ..World::new() }, InUse { container, hpa: mean, ..InUse::default() })
}

#[tokio::test(start_paused = true)]
async fn what_an_hpa_would_not_bear_is_refused_unless_the_host_has_decided() {
    let (world, mut used) = counted();
    used.hpa.of_a_pod = Resources::from([("cpu", 90)]);
    let target = scaling_core::Target::deployment("shop", "web");
    let smaller = vertical::plan(&target, scaling_core::Bounds::new(2, 6).unwrap(), &vertical::facts(), -70, 0);
    let (answer, left) = apply_plan(world.clone(), ApplyMode::Apply, &smaller, &used, rollout).await;
    let error = answer.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, ApplyError::Refused { .. }) && left.cpu() == [OLD; 4]);
    assert!(text.contains("danger: the HPA would want more than its max of 4"), "{text}");
    assert!(text.contains("a target of 233 % of cpu in place of 70 %: "), "the alternative: {text}");
    let tell = |applier| rollout(applier).effect(EffectPolicy::Tell);
    let (answer, left) = apply_plan(world, ApplyMode::Apply, &smaller, &used, tell).await;
    let done = answer.unwrap();
    assert_eq!(left.cpu()[0], "75m");
    let json = done.preview.to_json();
    assert_eq!(json["simulation"]["hazards"][0], json!({ "kind": "beyond_max", "max": 4 }));
    assert_eq!(json["change"]["old"]["requests"]["cpu"], "250m");
    assert_eq!((&json["change"]["new"]["requests"]["cpu"], &json["way"]), (&json!("75m"), &json!("by a rollout")));
}

#[tokio::test(start_paused = true)]
async fn a_change_that_the_hpa_bears_is_told_with_its_course() {
    let (world, used) = counted();
    let (answer, _) = apply_plan(world.clone(), ApplyMode::Plan, &plan(), &used, rollout).await;
    let text = answer.unwrap().preview.to_string();
    for part in ["requests.cpu: 250m -> 375m", "use: cpu 60m, memory not known", "simulated with the change: "] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let mut busy = used;
    busy.hpa.of_a_pod = Resources::from([("cpu", 175)]);
    let keep = |applier| rollout(applier).effect(EffectPolicy::KeepSize);
    let (answer, left) = apply_plan(world, ApplyMode::Apply, &plan(), &busy, keep).await;
    assert!(
        answer.unwrap_err().to_string().contains("the HPA would change its size: cpu: 70 % of the request become 46 %")
    );
    assert_eq!(left.cpu(), [OLD; 4]);
}
