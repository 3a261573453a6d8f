//! Manifests, as the server's own YAML reader and validation see them.

use scaling_core::chrono::{DateTime, TimeDelta};
use scaling_core::hpa::CrossVersionObjectReference;
use scaling_core::recommend::recommend;
use scaling_core::{
    BoundsPolicy, HardLimits, HpaSpec, MetricsHistory, RuleConfig, ScalingMetrics, SignalKind, Target, WorkloadFacts,
};
use scaling_k8s::{HpaManifest, Manifests, hpa};

use crate::odd;
use crate::world::{World, checkout};

/// Strings that a YAML 1.1 reader, which the server has, takes for something else unless they are quoted.
const MANGLED: [&str; 36] = [
    "on",
    "off",
    "yes",
    "No",
    "y",
    "n",
    "true",
    "null",
    "~",
    "",
    "012",
    "0o14",
    "0x1F",
    "0b1",
    "1_000",
    "22:30",
    "1e3",
    ".inf",
    ".nan",
    "-",
    "---",
    "=",
    "<<",
    "2001-01-01",
    "a: b",
    "a #b",
    " a ",
    "*a",
    "&a",
    "!a",
    "%a",
    "@a",
    "a\nb\n",
    "\t",
    "\u{85}é🦀",
    "{\"a\": [1]}",
];

pub(crate) async fn what_is_written_is_accepted_and_read_as_meant(world: &World) {
    let mut manifest = checkout();
    for (index, value) in MANGLED.into_iter().enumerate() {
        manifest.metadata.annotations.as_mut().unwrap().insert(format!("example.com/a{index}"), value.to_owned());
    }
    for (index, value) in
        ["on", "012", "1e3", "0x1F", "null", "true", "1.0", "2001-01-01", "1_000", ""].into_iter().enumerate()
    {
        manifest.metadata.labels.as_mut().unwrap().insert(format!("l{index}"), value.to_owned());
    }
    manifest
        .metadata
        .labels
        .as_mut()
        .unwrap()
        .extend(["on", "012", "null", "1e3"].map(|key| (key.to_owned(), "yes".to_owned())));
    manifest.validate().unwrap();
    let stored = world.dry_create("default", manifest.to_yaml().unwrap()).await.unwrap();
    assert_eq!(stored.metadata.labels, manifest.metadata.labels);
    assert_eq!(stored.metadata.annotations, manifest.metadata.annotations);
    // The server writes quantities its own way.
    let meant =
        serde_json::to_string(&manifest.spec).unwrap().replace("1.5Gi", "1536Mi").replace("\"0.05\"", "\"50m\"");
    let spec: HpaSpec = hpa::from_api_spec(&stored.spec).unwrap();
    assert_eq!(spec, serde_json::from_str(&meant).unwrap());
}

/// Every odd manifest is asked of the server as it is: what it takes we take and mean the same by, what it refuses we refuse.
pub(crate) async fn odd_manifests_mean_what_they_mean_to_the_server(world: &World) {
    let mut wrong = Vec::new();
    let cases: Vec<_> = odd::all().into_iter().filter(|odd| odd.alone).collect();
    for odd::Odd { what, text, .. } in &cases {
        let ours = Manifests::from_yaml(text).and_then(|manifests| manifests.one(None));
        let version = if text.contains("autoscaling/v1") { "v1" } else { "v2" };
        let theirs = world.created(version, text.clone()).await;
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => {
                let (ours, theirs) = (ours.spec.with_defaults(), hpa::from_api_spec(&theirs.spec).unwrap());
                if ours != theirs {
                    wrong.push(format!("{what}: ours {ours:?}\nthe server's {theirs:?}"));
                }
            }
            (Err(_), Err(_)) => {}
            (ours, theirs) => wrong.push(format!("{what}: ours {ours:?}, the server's {:?}", theirs.map(|_| ()))),
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(cases.len() > 80, "{}", cases.len());
}

pub(crate) async fn recommended_specs_are_accepted(world: &World) {
    let start = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    for memory_follows in [false, true] {
        let mut history = MetricsHistory::new();
        for step in 0..576 {
            let rate = 500.0 - 400.0 * (f64::from(step) / 288.0 * std::f64::consts::TAU).cos();
            let memory = if memory_follows { rate / 12.0 } else { 60.0 };
            let sample = ScalingMetrics::new(start + TimeDelta::minutes(5 * i64::from(step)), 10)
                .with(SignalKind::RequestRate, rate)
                .with(SignalKind::CpuUtilization, rate / 10.0)
                .with(SignalKind::MemoryUtilization, memory);
            history.push(&sample).unwrap();
        }
        let target = Target::deployment("default", "web");
        let facts = WorkloadFacts::default();
        let limits = HardLimits::default();
        let found =
            recommend(&target, &history, &facts, &RuleConfig::default(), &BoundsPolicy::default(), limits).unwrap();
        let spec = found.to_spec(CrossVersionObjectReference::deployment("web"));
        let manifest = HpaManifest::new("default", "web", spec);
        manifest.validate().unwrap();
        let stored = world.dry_create("default", manifest.to_yaml().unwrap()).await.unwrap();
        assert_eq!(hpa::from_api_spec(&stored.spec).unwrap(), manifest.spec);
    }
}
