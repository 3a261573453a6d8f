//! Changing bounds in place: two numbers, and every other byte stays.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;
use scaling_core::Bounds;
use scaling_k8s::{HpaManifest, ManifestError, with_bounds};

fn bounds(min: u32, max: u32) -> Bounds {
    Bounds::new(min, max).unwrap()
}

const HEAD: &str = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata:\n  name: a\nspec:\n";
const TARGET: &str = "  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: a}\n";

/// Edits a spec, and checks that the text means the new bounds and otherwise what it meant.
fn spec(spec: &str) -> String {
    let text = format!("{HEAD}{TARGET}{spec}");
    let new = with_bounds(&text, None, bounds(4, 15)).unwrap();
    let meant = HpaManifest::from_yaml(&text).unwrap().with_bounds(bounds(4, 15));
    assert_eq!(HpaManifest::from_yaml(&new).unwrap(), meant);
    assert_eq!(with_bounds(&new, None, bounds(4, 15)).unwrap(), new, "twice is once");
    new.strip_prefix(&format!("{HEAD}{TARGET}")).unwrap_or(&new).to_owned()
}

#[test]
fn numbers_are_replaced_where_they_stand() {
    assert_eq!(spec("  minReplicas: 2\n  maxReplicas: 10\n"), "  minReplicas: 4\n  maxReplicas: 15\n");
    assert_eq!(
        spec("  # most\n  maxReplicas:    10      # ask first\n\n  minReplicas: 0x2 # least"),
        "  # most\n  maxReplicas:    15      # ask first\n\n  minReplicas: 4 # least"
    );
    assert_eq!(
        spec("  \"minReplicas\" : 2\n  'maxReplicas': 10\r\n"),
        "  \"minReplicas\" : 4\n  'maxReplicas': 15\r\n"
    );
    assert_eq!(spec("  minReplicas:\n    2\n  maxReplicas: 10\n"), "  minReplicas:\n    4\n  maxReplicas: 15\n");
    assert_eq!(spec("  minReplicas: 4\n  maxReplicas: 10"), "  minReplicas: 4\n  maxReplicas: 15");
}

#[test]
fn a_min_that_is_not_written_gets_a_line_of_its_own() {
    assert_eq!(spec("  maxReplicas: 10\n"), "  minReplicas: 4\n  maxReplicas: 15\n");
    assert_eq!(spec("  maxReplicas: 10\r\n"), "  minReplicas: 4\r\n  maxReplicas: 15\r\n");
    assert_eq!(
        spec("  # most\n  maxReplicas: 10 # ask\n  behavior: {}\n"),
        "  # most\n  maxReplicas: 15 # ask\n  minReplicas: 4\n  behavior: {}\n"
    );
    assert_eq!(spec("  # most\n  maxReplicas: 10"), "  # most\n  maxReplicas: 15\n  minReplicas: 4");
    assert_eq!(spec("  minReplicas: null\n  maxReplicas: 10\n"), "  minReplicas: 4\n  maxReplicas: 15\n");
    assert_eq!(spec("  minReplicas:\n  maxReplicas: 10\n"), "  minReplicas: 4\n  maxReplicas: 15\n");
    assert_eq!(spec("  minReplicas: # none\n  maxReplicas: 10\n").lines().count(), 2);
}

#[test]
fn a_comment_stays_with_what_is_beneath_it() {
    let text = "kind: HorizontalPodAutoscaler\nmetadata: {name: a}\nspec:\n  # all\n\n  # calm\n  # and slow\n  behavior: {}\n";
    for (text, end) in [(text.to_owned(), "\n"), (text.replace('\n', "\r\n"), "\r\n")] {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("hpa.yaml", format!("{HEAD}{TARGET}  maxReplicas: 10\n")),
            ("kustomization.yaml", "patches: [{path: p.yaml}]\n".to_owned()),
            ("p.yaml", text.clone()),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let applier = scaling_k8s::ManifestApplier::open(folder.path()).unwrap().patching(".").unwrap();
        let target = scaling_core::Target::deployment("default", "a");
        let plan = scaling_core::conformance::applier::plan(&target, bounds(1, 10), 4, 12);
        let changes = applier.preview(&plan).unwrap();
        let (min, max) = (plan.new_bounds().min(), plan.new_bounds().max());
        let new = format!("  minReplicas: {min}{end}  maxReplicas: {max}{end}");
        assert_eq!(changes[0].after, text.replace("  # calm", &format!("{new}  # calm")));
    }
}

#[test]
fn a_min_of_1_is_what_an_hpa_has_that_says_nothing() {
    let text = format!("{HEAD}{TARGET}  maxReplicas: 10\n");
    assert_eq!(with_bounds(&text, None, bounds(1, 10)).unwrap(), text);
    assert_eq!(with_bounds(&text, None, bounds(1, 12)).unwrap(), text.replace("10", "12"));
}

#[test]
fn flow_style_and_json_stay() {
    let flow = "{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: a}, spec: {maxReplicas: 10, \
                scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: a}}}";
    assert_eq!(
        with_bounds(flow, None, bounds(4, 15)).unwrap(),
        flow.replace("maxReplicas: 10", "minReplicas: 4, maxReplicas: 15")
    );
    let json = "{\n  \"apiVersion\": \"autoscaling/v2\", \"kind\": \"HorizontalPodAutoscaler\", \"metadata\": {\"name\": \"a\"},\n  \
                \"spec\": {\n    \"maxReplicas\": 10,\n    \"scaleTargetRef\": {\"apiVersion\": \"apps/v1\", \"kind\": \"Deployment\", \"name\": \"a\"}\n  }\n}\n";
    assert_eq!(
        with_bounds(json, None, bounds(4, 15)).unwrap(),
        json.replace("\"maxReplicas\": 10", "\"minReplicas\": 4,\n    \"maxReplicas\": 15")
    );
}

#[test]
fn other_documents_lists_and_a_byte_order_mark_stay() {
    let hpa = |name: &str| format!("{}{TARGET}  maxReplicas: 10\n", HEAD.replace("name: a", &format!("name: {name}")));
    let text = format!(
        "\u{feff}# ä\n---\nkind: Service\nmetadata: {{name: ü}}\n--- # the first\n{}---\n: : no yaml [\n---\n{}",
        hpa("one"),
        hpa("two")
    );
    let new = with_bounds(&text, Some("two"), bounds(1, 15)).unwrap();
    assert_eq!(new, format!("{}{}", text.strip_suffix(&hpa("two")).unwrap(), hpa("two").replace("10", "15")));

    let item = hpa("a").lines().map(|line| format!("  {line}\n")).collect::<Vec<_>>().concat();
    let list = format!("kind: List\napiVersion: v1\nitems:\n- kind: Service\n  metadata: {{name: s}}\n-{}", &item[1..]);
    let new = with_bounds(&list, None, bounds(1, 15)).unwrap();
    assert_eq!(new, list.replace("10", "15"));
}

#[test]
fn an_anchor_that_others_refer_to_is_not_changed_behind_their_backs() {
    let shared = format!("{HEAD}{TARGET}  minReplicas: &n 3\n  maxReplicas: *n\n");
    let new = with_bounds(&shared, None, bounds(3, 15)).unwrap();
    assert_eq!(new, shared.replace("*n", "15"));
    assert!(matches!(with_bounds(&shared, None, bounds(2, 3)), Err(ManifestError::Uneditable { .. })));
    // Both change, and so nothing is left of the anchor's meaning.
    assert_eq!(with_bounds(&shared, None, bounds(4, 15)).unwrap(), shared.replace("&n 3", "&n 4").replace("*n", "15"));
    let merged = format!("{HEAD}{TARGET}  <<: {{maxReplicas: 10}}\n  minReplicas: 2\n");
    assert_eq!(
        with_bounds(&merged, None, bounds(2, 15)).unwrap(),
        merged.replace("  minReplicas", "  maxReplicas: 15\n  minReplicas")
    );
}

#[test]
fn what_is_no_single_hpa_is_refused() {
    let refused = |text: &str| with_bounds(text, None, bounds(2, 3)).unwrap_err();
    assert!(matches!(refused("a: 1"), ManifestError::NoHpa { .. }));
    assert!(matches!(refused(&format!("{HEAD}  maxReplicas: 3\n")), ManifestError::Patch));
    let one = format!("{HEAD}{TARGET}  maxReplicas: 10\n");
    assert!(matches!(refused(&format!("{one}---\n{one}")), ManifestError::Several { .. }));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the layout, the text means the new bounds, and all its other lines are there.
    #[test]
    fn only_the_bounds_change(
        old_min in proptest::option::of(1..50u32), more in 1..50u32, min in 1..50u32, room in 0..50u32,
        comments in proptest::collection::vec(" *# [a-z:{}\\[\\]'\"&*-]{0,12}", 4), swapped: bool,
    ) {
        let min_line = old_min.map(|min| format!("  minReplicas: {min}\n")).unwrap_or_default();
        let max_line = format!("  maxReplicas: {}\n", old_min.unwrap_or(1) + more);
        let (first, second) = if swapped { (&max_line, &min_line) } else { (&min_line, &max_line) };
        let text = format!("{}\n{HEAD}{}\n{TARGET}{first}{}\n{second}{}\n", comments[0], comments[1], comments[2], comments[3]);
        let new = with_bounds(&text, None, bounds(min, min + room)).unwrap();
        let read = HpaManifest::from_yaml(&new).unwrap();
        prop_assert_eq!(read.bounds().unwrap(), bounds(min, min + room));
        let rest = |text: &str| text.lines().filter(|line| !line.contains("Replicas:")).map(str::to_owned).collect::<Vec<_>>();
        prop_assert_eq!(rest(&new), rest(&text));
    }
}
