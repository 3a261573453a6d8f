//! What is kept of an HPA tells the same as the whole.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::entry::Entry;
use super::object;
use crate::resting::{ANNOTATION, Memory, Seen};

const MANAGER: &str = "kube-scaling";

fn entry(json: &Value) -> Entry {
    Entry::new(object(json.clone()), MANAGER, None, None)
}

/// HPAs as an API server may give them, with our annotation or without, and managers of every kind.
fn any_hpa() -> impl Strategy<Value = Value> {
    let fields = prop::sample::subsequence(
        vec!["f:minReplicas", "f:maxReplicas", "f:metrics", "f:behavior", "f:scaleTargetRef"],
        0..=5,
    );
    let manager = (
        prop::sample::select(vec![MANAGER, "kubectl-edit", "argocd", ""]),
        prop::sample::select(vec!["Apply", "Update"]),
        prop::option::of(Just("status")),
        fields,
        any::<bool>(),
    );
    let managers = prop::collection::vec(manager, 0..4);
    let bounds = (prop::option::of(-1_i64..40), -1_i64..60);
    let kept = prop::option::of((0_u32..30, 1_u32..60, 0_u32..30, 1_u32..60, any::<bool>()));
    let status = prop::option::of((-1_i64..50, -1_i64..50));
    (bounds, kept, managers, status).prop_map(|((min, max), kept, managers, status)| {
        let mut hpa = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {
                "namespace": "shop", "name": "web", "uid": "u-1", "resourceVersion": "7",
                "labels": { "app": "web", "kube-scaling/mode": "full" }, "annotations": { "note": "a note" },
            },
            "spec": {
                "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" }, "maxReplicas": max,
                "metrics": [{ "type": "Resource" }],
            },
        });
        if let Some(min) = min {
            hpa["spec"]["minReplicas"] = min.into();
        }
        if let Some((resting, top, low, high, same)) = kept {
            let uid = if same { "u-1" } else { "u-0" };
            let text = json!({ "v": 1, "resting": [resting, top], "written": [low, high], "uid": uid });
            hpa["metadata"]["annotations"][ANNOTATION] = text.to_string().into();
        }
        let managers = managers.into_iter().map(|(manager, operation, subresource, fields, annotation)| {
            let spec: serde_json::Map<String, Value> = fields.into_iter().map(|f| (f.to_owned(), json!({}))).collect();
            let mut entry = json!({
                "manager": manager, "operation": operation, "time": "2026-11-02T08:00:00Z", "fieldsType": "FieldsV1",
                "fieldsV1": { "f:spec": spec },
            });
            if annotation {
                entry["fieldsV1"]["f:metadata"] =
                    json!({ "f:annotations": { format!("f:{ANNOTATION}"): {}, ".": {} } });
            }
            if let Some(subresource) = subresource {
                entry["subresource"] = subresource.into();
            }
            entry
        });
        let managers: Vec<Value> = managers.collect();
        if !managers.is_empty() {
            hpa["metadata"]["managedFields"] = managers.into();
        }
        if let Some((current, desired)) = status {
            hpa["status"] = json!({ "currentReplicas": current, "desiredReplicas": desired, "conditions": [] });
        }
        hpa
    })
}

/// Values of every shape, nested.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    let keys = prop::sample::select(vec![
        "metadata",
        "spec",
        "status",
        "name",
        "namespace",
        "resourceVersion",
        "annotations",
        "labels",
        "managedFields",
        "fieldsV1",
        "f:spec",
        "f:metadata",
        "f:annotations",
        "kube-scaling/mode",
        "minReplicas",
        "maxReplicas",
        "scaleTargetRef",
        "currentReplicas",
        "ownerReferences",
    ]);
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(keys.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_kept_tells_the_same_as_the_whole(hpa in any_hpa()) {
        let (whole, kept) = (Seen::of(&hpa, MANAGER), entry(&hpa));
        match whole {
            Ok(whole) => {
                prop_assert_eq!(kept.state(), Ok(whole.state.bounds_only()));
                prop_assert_eq!(&kept.known.memory, &whole.memory);
                // And so does its JSON, to whoever reads that: the former owners among it.
                let again = Seen::of(&kept.json(), MANAGER).unwrap();
                let (bounds, resting) = (whole.state.bounds, whole.state.resting);
                prop_assert_eq!(again.apply_body(bounds, resting), whole.apply_body(bounds, resting));
            }
            Err(error) => prop_assert_eq!(kept.state(), Err(error)),
        }
    }

    #[test]
    fn anything_is_an_hpa_or_an_error(json in any_json()) {
        if let Ok(object) = serde_json::from_value(json) {
            let entry = Entry::new(object, MANAGER, Some("eu"), None);
            let _ = (entry.state(), entry.json());
        }
    }

    #[test]
    fn a_known_part_is_shared_and_says_the_same(one in any_hpa(), other in any_hpa()) {
        let before = entry(&one);
        let after = Entry::new(object(other.clone()), MANAGER, None, Some(&before));
        prop_assert_eq!(after.state(), entry(&other).state());
        let again = Entry::new(object(other), MANAGER, None, Some(&after));
        prop_assert!(std::sync::Arc::ptr_eq(&again.known, &after.known));
    }
}

#[test]
fn what_is_of_no_use_is_not_kept() {
    let hpa = json!({
        "metadata": {
            "namespace": "shop", "name": "web", "uid": "u-1", "resourceVersion": "7", "generation": 3,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": { "app": "web", "argocd.argoproj.io/instance": "shop" },
            "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "{}", "kube-scaling/mode": "full",
                "kube-scaling/note": "x".repeat(9000) },
            "ownerReferences": [{ "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "web", "uid": "u-2", "controller": true }],
            "managedFields": [
                { "manager": "kubectl", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": { "f:spec": { "f:metrics": {}, "f:maxReplicas": {} } } },
                { "manager": "kube-controller-manager", "operation": "Update", "subresource": "status", "fieldsV1": { "f:status": {} } },
            ],
        },
        "spec": { "scaleTargetRef": { "kind": "Deployment", "name": "web" }, "maxReplicas": 9, "metrics": [{}], "behavior": {} },
        "status": { "currentReplicas": 1, "desiredReplicas": 1, "currentMetrics": [{}] },
    });
    let mut kept = entry(&hpa).json();
    let note = kept["metadata"]["annotations"]["kube-scaling/note"].take();
    assert_eq!(note.as_str().unwrap().len(), 5000);
    let expected = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {
            "namespace": "shop", "name": "web", "uid": "u-1", "resourceVersion": "7", "generation": 3,
            "labels": { "argocd.argoproj.io/instance": "shop" },
            "annotations": { "kube-scaling/mode": "full", "kube-scaling/note": null },
            "ownerReferences": [{ "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "web", "uid": "u-2", "controller": true }],
            "managedFields": [{ "manager": "kubectl", "operation": "Apply", "fieldsV1": { "f:spec": { "f:maxReplicas": {} } } }],
        },
        "spec": { "scaleTargetRef": { "kind": "Deployment", "name": "web" }, "maxReplicas": 9 },
    });
    assert_eq!(kept, expected);
}

#[test]
fn an_hpa_that_is_no_target_any_more_and_still_holds_our_bounds_is_abandoned() {
    use super::super::shared::Shared;
    use super::super::version::Version;

    let kept = json!({ "v": 1, "resting": [2, 9], "written": [4, 12], "uid": "u-1" }).to_string();
    let hpa = |mode: Option<&str>| {
        let mut annotations = json!({ ANNOTATION: kept });
        if let Some(mode) = mode {
            annotations["kube-scaling/mode"] = mode.into();
        }
        json!({
            "metadata": { "namespace": "shop", "name": "web", "uid": "u-1", "resourceVersion": "7", "annotations": annotations },
            "spec": { "scaleTargetRef": { "kind": "Deployment", "name": "web" }, "minReplicas": 4, "maxReplicas": 12 },
        })
    };
    let shared = Shared::new(MANAGER.to_owned(), Some("eu".to_owned()), super::seconds(120));
    shared.put(object(hpa(Some("full"))), Version::of(Some("7".to_owned())));
    assert_eq!((shared.targets().len(), shared.abandoned(false).len()), (1, 0));
    shared.put(object(hpa(None)), Version::of(Some("8".to_owned())));
    assert_eq!(shared.targets().len(), 0);
    let abandoned = shared.abandoned(true);
    assert_eq!(abandoned[0].to_string(), "eu/shop/Deployment/web");
    assert_eq!(entry(&hpa(None)).known.memory, Memory::Kept);
    let mut another = hpa(None);
    another["metadata"]["uid"] = "u-2".into();
    shared.put(object(another), Version::of(Some("9".to_owned())));
    shared.put(object(hpa(None)), Version::of(Some("10".to_owned())));
    assert_eq!(shared.abandoned(true), [], "another object of the name was no target");
}

/// One that this process never saw as a target says itself that we hold it; an annotation of which nobody knows who wrote it does not.
#[test]
fn one_that_was_never_seen_as_a_target_counts_as_one_if_what_stands_there_is_ours() {
    use super::super::shared::Shared;
    use super::super::version::Version;

    let kept = json!({ "v": 1, "resting": [2, 9], "written": [4, 12], "uid": "u-1" }).to_string();
    let change = r#"[{"n":1,"at":"2026-01-01T00:00:00Z","who":"us","why":"load","before":{"min":2,"max":9},"after":{"min":4,"max":12}}]"#;
    let hpa = |history: Option<&str>, manager: Option<&str>| {
        let mut annotations = json!({ ANNOTATION: kept });
        let fields = json!({ "f:metadata": { "f:annotations": { (format!("f:{ANNOTATION}")): {} } },
            "f:spec": { "f:minReplicas": {}, "f:maxReplicas": {} } });
        let fields = manager.map(|manager| json!([{ "manager": manager, "operation": "Apply", "fieldsV1": fields }]));
        if let Some(history) = history {
            annotations["kube-scaling/history"] = history.into();
        }
        json!({
            "metadata": { "namespace": "shop", "name": "web", "uid": "u-1", "resourceVersion": "7", "annotations": annotations, "managedFields": fields },
            "spec": { "scaleTargetRef": { "kind": "Deployment", "name": "web" }, "minReplicas": 4, "maxReplicas": 12 },
        })
    };
    for (history, manager, all, once) in [
        (None, None, 1, 0),
        (Some("[]"), None, 1, 0),
        (Some("nonsense"), None, 1, 0),
        (Some(change), None, 1, 1),
        (None, Some(MANAGER), 1, 1),
        (None, Some("kubectl"), 0, 0),
    ] {
        let shared = Shared::new(MANAGER.to_owned(), None, super::seconds(120)).selected(true);
        let hpa = || object(hpa(history, manager));
        shared.put(hpa(), Version::of(Some("7".to_owned())));
        let found = (shared.abandoned(false).len(), shared.abandoned(true).len());
        assert_eq!(found, (all, once), "{history:?} {manager:?}");
        shared.remove(&hpa(), Version::of(Some("8".to_owned())));
        assert_eq!(shared.departed().len(), once, "{history:?} {manager:?}");
    }
}
