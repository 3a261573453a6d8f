//! Objects that no API server would give.

use proptest::prelude::*;
use scaling_k8s::ownership::{OwnershipReport, Writes};
use serde_json::{Value, json};

use super::objects::*;
use super::target;

fn report(objects: &[Value]) -> OwnershipReport {
    OwnershipReport::of(&target(), "kube-scaling", objects)
}

#[test]
fn references_in_a_circle_end() {
    let mut first = hpa(&[]);
    first["metadata"]["ownerReferences"] =
        json!([{ "apiVersion": "a/v1", "kind": "A", "name": "a", "controller": true }]);
    let owner = |name: &str, of: &str| {
        json!({ "apiVersion": "a/v1", "kind": "A", "metadata": { "namespace": "shop", "name": name,
        "ownerReferences": [{ "apiVersion": "a/v1", "kind": "A", "name": of }, { "apiVersion": "a/v1", "kind": "A", "name": name }] } })
    };
    let report = report(&[first, owner("a", "b"), owner("b", "a")]);
    assert_eq!(report.owners.len(), 1);
    assert_eq!(report.in_the_way_of(Writes::Bounds).count(), 1);
}

#[test]
fn a_tower_of_owners_is_cut_and_the_report_says_so() {
    let mut objects = vec![hpa(&[])];
    objects[0]["metadata"]["ownerReferences"] = json!([{ "kind": "A", "name": "0" }]);
    objects.extend((0..100).map(|n| {
        json!({ "kind": "A", "metadata": { "namespace": "shop", "name": n.to_string(),
        "ownerReferences": [{ "kind": "A", "name": (n + 1).to_string() }] } })
    }));
    assert!(report(&objects).notes[0].contains("followed"));
}

#[test]
fn much_is_cut_and_the_report_says_so() {
    let entries: Vec<Value> = (0..5000).map(|n| bounds_of(&format!("manager-{n}"), "Update")).collect();
    let report_of_many = report(&[hpa(&entries)]);
    assert_eq!(report_of_many.owners.len(), 200);
    assert!(report_of_many.notes[0].contains("left out"));
    assert_eq!(report_of_many.in_the_way_of(Writes::Bounds).count(), 200);

    let long = "x".repeat(1 << 20);
    let report = report(&[hpa(&[bounds_of(&long, "Update")])]);
    assert!(report.to_string().len() < 1000);
    let line_break = super::report(&[hpa(&[bounds_of("a\nb\u{1b}[31m", "Update")])]).to_string();
    assert!(!line_break.contains('\u{1b}') && line_break.lines().count() == 2, "{line_break}");
}

#[test]
fn names_of_the_host_are_quoted_in_the_texts() {
    let odd = scaling_core::Target::deployment("shop", "checkout").with_hpa("a: {b}\n#");
    let mut hpa = tracked_by_argo();
    hpa["metadata"]["name"] = "a: {b}\n#".into();
    hpa["metadata"]["annotations"] =
        json!({ "argocd.argoproj.io/tracking-id": "x:autoscaling/HorizontalPodAutoscaler:shop/a: {b}\u{fffd}#" });
    hpa["metadata"]["labels"] = json!({ "argocd.argoproj.io/instance": "x" });
    let report = OwnershipReport::of(&odd, "on", [&hpa]);
    for text in report.coexistence() {
        let read = yaml(&text.text);
        assert_eq!(read["spec"]["ignoreDifferences"][0]["name"], "a: {b}\n#");
        assert_eq!(read["spec"]["ignoreDifferences"][0]["managedFieldsManagers"][0], "on");
    }
    assert_eq!(report.coexistence().len(), 1);
}

/// Any JSON at all.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z./:{}\"-]{0,12}".prop_map(Value::from),
        Just(Value::from("checkout")),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let key = prop_oneof![
            Just("name".to_owned()),
            Just("kind".to_owned()),
            Just("f:spec".to_owned()),
            Just("manager".to_owned()),
            Just("fieldsV1".to_owned()),
            Just("f:minReplicas".to_owned()),
            "[a-z:]{0,6}"
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map(key, inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever stands in one place of an object, the report comes, and what is owned stays owned.
    #[test]
    fn a_wrong_value_anywhere_hides_no_other_owner(
        place in prop::sample::select(vec![
            "/metadata/labels", "/metadata/annotations", "/metadata/ownerReferences", "/metadata/managedFields/0/time",
            "/metadata/managedFields/0/operation", "/metadata/managedFields/0/subresource", "/metadata/managedFields/1", "/spec",
        ]),
        value in anything(),
    ) {
        let mut damaged = hpa(&[bounds_of("kubectl-edit", "Update"), bounds_of("other", "Apply")]);
        damaged["metadata"]["labels"] = json!({});
        damaged["metadata"]["annotations"] = json!({});
        damaged["metadata"]["ownerReferences"] = json!([]);
        damaged["metadata"]["managedFields"][0]["subresource"] = json!("");
        *damaged.pointer_mut(place).unwrap() = value;
        let report = report(&[damaged, scaled_object()]);
        prop_assert!(report.owners.iter().any(|owned| owned.manager.as_deref() == Some("kubectl-edit")));
        prop_assert!(report.in_the_way_of(Writes::Bounds).count() >= 2);
        let _ = report.to_string();
    }

    #[test]
    fn nonsense_makes_no_owner_and_no_panic(values in proptest::collection::vec(anything(), 0..6)) {
        let _ = report(&values).to_string();
    }
}
