//! Laws of manifests, for any content: what is written is read back, moving bounds moves nothing else, no text panics.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;
use scaling_core::hpa::CrossVersionObjectReference;
use scaling_core::{Bounds, HpaSpec};
use scaling_k8s::{HpaManifest, diff};

const CHECKOUT: &str = include_str!("../../test_data/hpa/checkout.yaml");

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_written_is_read_back(manifest in manifest()) {
        let text = manifest.to_yaml().unwrap();
        let back = HpaManifest::from_yaml(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        prop_assert_eq!(&back, &manifest, "{}", text);
        prop_assert!(diff(&back, &manifest).is_empty());
        prop_assert_eq!(back.to_yaml().unwrap(), text);
    }

    #[test]
    fn metrics_behavior_labels_and_annotations_are_never_reset(manifest in manifest(), min in 0..1000_u32, more in 1..1000_u32) {
        let moved = manifest.clone().with_bounds(Bounds::new(min, min + more).unwrap());
        let moved = HpaManifest::from_yaml(&moved.to_yaml().unwrap()).unwrap();
        prop_assert_eq!(&moved.metadata, &manifest.metadata);
        prop_assert_eq!(&moved.spec.scale_target_ref, &manifest.spec.scale_target_ref);
        prop_assert_eq!(&moved.spec.metrics, &manifest.spec.metrics);
        prop_assert_eq!(&moved.spec.behavior, &manifest.spec.behavior);
        prop_assert_eq!(moved.bounds().unwrap(), Bounds::new(min, min + more).unwrap());
        for line in diff(&manifest, &moved) {
            prop_assert!(line.starts_with("spec.minReplicas: ") || line.starts_with("spec.maxReplicas: "), "{}", line);
        }
    }

    #[test]
    fn no_text_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = HpaManifest::from_yaml(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_damage_makes_it_panic(at in any::<prop::sample::Index>(), len in 0..20_usize, with in awkward()) {
        let mut text: Vec<char> = CHECKOUT.chars().collect();
        let start = at.index(text.len());
        let end = (start + len).min(text.len());
        text.splice(start..end, with.chars());
        let text: String = text.into_iter().collect();
        if let Ok(manifest) = HpaManifest::from_yaml(&text) {
            let _ = (manifest.validate(), manifest.target(), manifest.to_yaml(), diff(&manifest, &HpaManifest::from_yaml(CHECKOUT).unwrap()));
        }
    }
}

/// What YAML 1.1 readers mangle, and what breaks careless writers.
fn awkward() -> impl Strategy<Value = String> {
    let known = [
        "on",
        "off",
        "yes",
        "no",
        "y",
        "n",
        "true",
        "null",
        "~",
        "",
        "012",
        "0o14",
        "0x1F",
        "1_000",
        "22:30",
        "1e3",
        ".inf",
        ".nan",
        "-",
        "--- a",
        "...",
        "=",
        "<<",
        "2001-01-01",
        "a: b",
        "a #b",
        " a",
        "a ",
        "*a",
        "&a",
        "!a",
        "%a",
        "@a",
        "`a`",
        "'",
        "\"",
        "\\",
        "{",
        "[",
        "a\nb",
        "a\n",
        "\n",
        "\n\na",
        "a\n  b\n",
        "\t",
        "a\tb",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "\r\n",
        "\u{7f}",
        "\u{1}",
        "+1",
        "-1",
        "1.0",
        "1,2",
        "?",
        "? a",
        ": a",
        "|",
        ">",
        "0b1",
        "é",
        "🦀",
        "NULL",
        "No",
        "0.05",
        "1.5Gi",
    ];
    prop_oneof![prop::sample::select(known.to_vec()).prop_map(str::to_owned), "[ -~]{0,12}", any::<String>()]
}

/// Quantities that YAML might read as something else.
fn quantity() -> impl Strategy<Value = String> {
    let known = ["0.05", "1.5Gi", "1e3", "012", "+1", "-1", ".5", "5.", "1E", "0", "-0", "100m", "1.0", "0e0"];
    let any = "[+-]?[0-9]{1,20}(\\.[0-9]{0,4})?(m|k|Mi|E|e3|E-2)?";
    prop_oneof![prop::sample::select(known.to_vec()).prop_map(str::to_owned), any]
}

fn labels() -> impl Strategy<Value = Option<std::collections::BTreeMap<String, String>>> {
    prop::option::of(prop::collection::btree_map(awkward(), awkward(), 0..4))
}

/// Specs as wild as the types allow; most are not valid, all must survive.
fn spec() -> impl Strategy<Value = HpaSpec> {
    let target =
        (awkward(), prop::option::of(0..=i32::MAX), prop::option::of(quantity()), prop::option::of(quantity()))
            .prop_map(|(kind, utilization, average, value)| {
                json(&[
                    ("type", Some(kind.into())),
                    ("averageUtilization", utilization.map(Into::into)),
                    ("averageValue", average.map(Into::into)),
                    ("value", value.map(Into::into)),
                ])
            });
    let selector = (labels(), prop::option::of(prop::collection::vec(awkward(), 0..3))).prop_map(|(labels, values)| {
        let requirement =
            json(&[("key", Some("k".into())), ("operator", Some("In".into())), ("values", values.map(Into::into))]);
        json(&[
            ("matchLabels", labels.map(|labels| serde_json::to_value(labels).unwrap())),
            ("matchExpressions", Some(vec![requirement].into())),
        ])
    });
    let metric = (target, prop::option::of(selector), awkward()).prop_map(|(target, selector, name)| {
        let metric = json(&[("name", Some(name.into())), ("selector", selector)]);
        json(&[
            ("type", Some("Pods".into())),
            ("pods", Some(json(&[("metric", Some(metric)), ("target", Some(target))]))),
        ])
    });
    let behavior = (prop::option::of(rules()), prop::option::of(rules()))
        .prop_map(|(up, down)| json(&[("scaleUp", up), ("scaleDown", down)]));
    let metrics = prop::option::of(prop::collection::vec(metric, 0..3));
    let replicas = (prop::option::of(0..=i32::MAX), 0..=i32::MAX);
    ((awkward(), awkward(), prop::option::of(awkward())), replicas, metrics, prop::option::of(behavior)).prop_map(
        |((kind, name, api_version), (min, max), metrics, behavior)| {
            let reference = CrossVersionObjectReference { api_version, kind, name };
            let reference = serde_json::to_value(reference).unwrap();
            serde_json::from_value(json(&[
                ("scaleTargetRef", Some(reference)),
                ("minReplicas", min.map(Into::into)),
                ("maxReplicas", Some(max.into())),
                ("metrics", metrics.map(Into::into)),
                ("behavior", behavior),
            ]))
            .unwrap()
        },
    )
}

fn rules() -> impl Strategy<Value = serde_json::Value> {
    (prop::option::of(0..4000_u32), prop::option::of(quantity()), prop::option::of(0..9_u32)).prop_map(
        |(window, tolerance, policy)| {
            let policy =
                policy.map(|value| serde_json::json!([{ "type": "Pods", "value": value, "periodSeconds": 15 }]));
            json(&[
                ("stabilizationWindowSeconds", window.map(Into::into)),
                ("tolerance", tolerance.map(Into::into)),
                ("policies", policy),
            ])
        },
    )
}

fn json(fields: &[(&str, Option<serde_json::Value>)]) -> serde_json::Value {
    let set = fields.iter().filter_map(|(key, value)| Some(((*key).to_owned(), value.clone()?)));
    serde_json::Value::Object(set.collect())
}

fn manifest() -> impl Strategy<Value = HpaManifest> {
    (awkward(), prop::option::of(awkward()), labels(), labels(), spec()).prop_map(
        |(name, namespace, labels, annotations, spec)| {
            let mut manifest = HpaManifest::new("", name, spec);
            manifest.metadata.namespace = namespace;
            manifest.metadata.labels = labels;
            manifest.metadata.annotations = annotations;
            manifest
        },
    )
}
