//! Manifests, as the server's own YAML reader and validation see them.

use scaling_core::chrono::{DateTime, TimeDelta};
use scaling_core::hpa::CrossVersionObjectReference;
use scaling_core::recommend::recommend;
use scaling_core::{
    BoundsPolicy, HardLimits, HpaSpec, MetricsHistory, RuleConfig, ScalingMetrics, SignalKind, Target, WorkloadFacts,
};
use scaling_k8s::{HpaManifest, hpa};

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

const ODD_NUMBERS: [&str; 19] = [
    "012", "0o14", "0x10", "1_0", "0b11", "+5", "5.0", "1e1", "\"5\"", "'5'", "5.5", "true", "~", "!!int 5", "!!str 5",
    "12:30", "019", "1__0", "0x1_0",
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

/// Numbers that readers of YAML disagree on: where both take it, it is the same number.
pub(crate) async fn what_is_read_is_what_the_server_reads(world: &World) {
    let plain = checkout().to_yaml().unwrap();
    let mut wrong = Vec::new();
    for number in ODD_NUMBERS {
        let text = plain.replace("maxReplicas: 30", &format!("maxReplicas: {number}"));
        let ours = HpaManifest::from_yaml(&text).map(|manifest| manifest.spec.max_replicas);
        let theirs = world.dry_create("default", text).await.map(|stored| stored.spec.max_replicas);
        // Which of them refuse what is not the point: a number in quotes is one to us alone, an octal one to the server alone.
        if let (Ok(ours), Ok(theirs)) = (ours, theirs)
            && i64::from(ours) != i64::from(theirs)
        {
            wrong.push(format!("{number}: ours {ours}, the server's {theirs}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
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
