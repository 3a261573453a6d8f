//! Manifests: what is read, refused, kept and written.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt::Write;

use scaling_core::hpa::MetricSpec;
use scaling_core::{Bounds, Target};
use scaling_k8s::{HpaManifest, ManifestError, diff};

const CHECKOUT: &str = include_str!("../../test_data/hpa/checkout.yaml");
const EXPORTED: &str = include_str!("../../test_data/hpa/exported.yaml");

fn read(text: &str) -> HpaManifest {
    HpaManifest::from_yaml(text).unwrap()
}

fn said(text: &str) -> String {
    HpaManifest::from_yaml(text).unwrap_err().to_string()
}

/// The smallest manifest, with more lines in `metadata` and in `spec`.
fn small(metadata: &str, spec: &str) -> String {
    format!(
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata:\n  name: a\n{metadata}\nspec:\n  \
         scaleTargetRef: {{kind: Deployment, name: a}}\n  maxReplicas: 3\n{spec}\n"
    )
}

#[test]
fn a_manifest_says_what_it_is_about() {
    let manifest = read(CHECKOUT);
    assert_eq!(manifest.validate().map_err(|error| error.to_string()), Ok(()));
    assert_eq!(manifest.target(), Target::deployment("shop", "checkout").with_hpa("checkout-hpa"));
    assert_eq!(manifest.bounds().unwrap(), Bounds::new(3, 30).unwrap());
    assert_eq!(manifest.spec.metrics.as_ref().unwrap().len(), 5);
}

#[test]
fn without_min_replicas_and_namespace_the_defaults_of_kubernetes_hold() {
    let manifest = read(&small("", ""));
    assert_eq!(manifest.bounds().unwrap(), Bounds::new(1, 3).unwrap());
    assert_eq!(manifest.target(), Target::deployment("default", "a"));
}

#[test]
fn json_is_read_too() {
    let json = serde_json::json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": "a", "labels": { "on": "012" } },
        "spec": { "scaleTargetRef": { "kind": "Deployment", "name": "a" }, "maxReplicas": 3 },
    });
    let manifest = read(&json.to_string());
    assert_eq!(manifest, read(&serde_json::to_string_pretty(&json).unwrap().replace("  ", "\t")));
    assert_eq!(manifest.metadata.labels.unwrap()["on"], "012");
}

#[test]
fn moving_bounds_moves_bounds_alone() {
    let old = read(CHECKOUT);
    let new = old.clone().with_bounds(Bounds::new(4, 45).unwrap());
    assert_eq!(diff(&old, &new), ["spec.maxReplicas: 30 -> 45", "spec.minReplicas: 3 -> 4"]);
    let (old, new) = (old.to_yaml().unwrap(), new.to_yaml().unwrap());
    assert_eq!(
        new,
        old.replace("minReplicas: 3\n", "minReplicas: 4\n").replace("maxReplicas: 30\n", "maxReplicas: 45\n")
    );
}

#[test]
fn a_diff_names_what_came_and_what_went() {
    let old = read(CHECKOUT);
    let mut new = old.clone();
    new.metadata.labels.as_mut().unwrap().remove("app.kubernetes.io/name");
    new.spec.metrics.as_mut().unwrap().truncate(4);
    let lines = diff(&old, &new);
    assert_eq!(lines[0], "metadata.labels[\"app.kubernetes.io/name\"]: \"checkout\" -> none");
    assert!(lines.contains(&"spec.metrics[4].type: \"External\" -> none".to_owned()), "{lines:#?}");
    assert!(diff(&old, &old).is_empty());
}

#[test]
fn what_the_server_set_is_not_written() {
    let manifest = read(EXPORTED);
    let text = manifest.to_yaml().unwrap();
    for gone in [
        "status",
        "managedFields",
        "resourceVersion",
        "uid",
        "creationTimestamp",
        "generation",
        "last-applied",
        "currentReplicas",
    ] {
        assert!(!text.contains(gone), "{gone} in\n{text}");
    }
    let written = read(&text);
    assert_eq!(written.spec, manifest.spec);
    assert_eq!(written.metadata.labels, manifest.metadata.labels);
    assert_eq!(written.metadata.annotations.unwrap()["example.com/owner"], "team-shop");
}

#[test]
fn an_unknown_field_is_refused_with_its_path() {
    assert_eq!(said(&small("  lables: {a: b}", "")), "metadata.lables: unknown field");
    assert_eq!(said(&small("", "  minReplica: 2")), "spec.minReplica: unknown field");
    assert_eq!(said(&format!("{}extra: 1\n", small("", ""))), "extra: unknown field");
    let deep =
        "  metrics:\n  - type: Resource\n    resource: {name: cpu, target: {type: Utilization, averageUtilisation: 3}}";
    assert_eq!(said(&small("", deep)), "spec.metrics[0].resource.target.averageUtilisation: unknown field");
    let behavior = "  behavior: {scaleDown: {policies: [{type: Pods, value: 1, periodSeconds: 2, x: 1}]}}";
    assert_eq!(said(&small("", behavior)), "spec.behavior.scaleDown.policies[0].x: unknown field");
}

#[test]
fn more_than_one_of_them_is_refused() {
    let one = small("", "");
    let many = HpaManifest::from_yaml(&format!("{one}---\n{one}")).unwrap_err();
    assert!(matches!(many, ManifestError::Several { .. }), "{many}");
    assert_eq!(read(&format!("# why\n---\n{one}...\n")), read(&one));
}

#[test]
fn hostile_text_is_refused_quickly() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let alias = format!("*a{}", level - 1);
        writeln!(bomb, "a{level}: &a{level} [{}]", [alias.as_str(); 10].join(",")).unwrap();
    }
    let deep = "[".repeat(200_000);
    let deep_block: Vec<String> = (0..5000).map(|depth| format!("{}a:", " ".repeat(depth % 300))).collect();
    let deep_block = deep_block.join("\n");
    let long = format!("kind: {}", "x".repeat(3 << 20));
    for text in
        [bomb.as_str(), &deep, &deep_block, &long, "", "\0", "---", "\u{feff}", "&a [*a]", "? ", "!!binary x", "<<: *x"]
    {
        assert!(HpaManifest::from_yaml(text).is_err(), "{text:.40}");
    }
    let nested = small(&format!("  annotations: {{a: {deep}"), "");
    assert!(HpaManifest::from_yaml(&nested).is_err());
    let aliased = small("", &format!("  metrics: *a11\n{bomb}"));
    assert!(HpaManifest::from_yaml(&aliased).is_err());
}

#[test]
fn names_that_could_leave_their_place_are_refused() {
    let spec = read(CHECKOUT).spec;
    for (namespace, name) in
        [("shop", ""), ("shop", "../x"), ("..", "x"), ("", "x"), ("a/b", "x"), ("a.b", "x"), ("shop", "A")]
    {
        let error = HpaManifest::new(namespace, name, spec.clone()).validate().unwrap_err();
        assert!(matches!(error, ManifestError::Name { .. }), "{namespace}/{name}: {error}");
    }
}

#[test]
fn strings_that_other_readers_mangle_are_quoted() {
    let mut manifest = read(CHECKOUT);
    for value in ["on", "012", "22:30", "1_000", "yes", "null", "0x1F", "1e3", "~", ""] {
        manifest.metadata.labels = Some([(value.to_owned(), value.to_owned())].into());
        let text = manifest.to_yaml().unwrap();
        assert!(
            text.contains(&format!("\"{value}\": \"{value}\"")) || text.contains(&format!("'{value}': '{value}'")),
            "{text}"
        );
    }
    manifest.spec.metrics = Some(vec![MetricSpec::utilization("on", 50)]);
    assert_eq!(read(&manifest.to_yaml().unwrap()), manifest);
}
