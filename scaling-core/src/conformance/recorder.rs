//! Promises of every [`Recorder`].

use chrono::{DateTime, TimeDelta, Utc};

use super::engine::steady;
use crate::{
    Absence, ApplyMode, Bounds, BoundsChange, Clamp, DecisionRecord, Floor, Limit, Outcome, OwnerSetting, Provenance,
    Reason, Recorder, Requests, ResourceChange, ScalingDecision, ShadowDecision, ShadowOutcome, SignalKind, SignalSet,
    SizeOwner, Step, Target, Unchanged, Undoing,
};

/// Runs every promise of a recorder. `make` gives an empty one; `read` takes one and gives back what it kept, oldest first.
///
/// ```
/// use scaling_core::{JsonLinesRecorder, MemoryRecorder, conformance};
/// conformance::recorder(MemoryRecorder::new, |recorder| recorder.records());
/// conformance::recorder(
///     || JsonLinesRecorder::new(Vec::new()),
///     |recorder| {
///         let text = String::from_utf8(recorder.finish().unwrap()).unwrap();
///         text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
///     },
/// );
/// ```
pub fn all<R: Recorder>(make: impl Fn() -> R, read: impl Fn(R) -> Vec<DecisionRecord>) {
    starts_empty(&make, &read);
    keeps_each_whole(&make, &read);
    keeps_all_in_order(&make, &read);
    takes_no_intent_for_a_record(&make, &read);
}

/// Nothing recorded, nothing read.
pub fn starts_empty<R: Recorder>(make: &impl Fn() -> R, read: &impl Fn(R) -> Vec<DecisionRecord>) {
    assert!(read(make()).is_empty(), "a recorder starts empty");
}

/// Each record is kept whole: refused and failed ones, absences, clamps, odd text.
pub fn keeps_each_whole<R: Recorder>(make: &impl Fn() -> R, read: &impl Fn(R) -> Vec<DecisionRecord>) {
    for record in records() {
        let recorder = make();
        keep(&recorder, &record);
        assert_eq!(written(&read(recorder)), written(&[record]), "a record is kept whole");
    }
}

/// Records are kept in the order they came, also those of one instant and those that come twice.
pub fn keeps_all_in_order<R: Recorder>(make: &impl Fn() -> R, read: &impl Fn(R) -> Vec<DecisionRecord>) {
    let recorder = make();
    let mut records = records();
    records.extend(records.clone().into_iter().rev());
    for record in &records {
        keep(&recorder, record);
    }
    assert_eq!(written(&read(recorder)), written(&records), "records are kept in order");
}

/// What is about to be written has not happened yet: an intent is no record, and keeps none from being kept.
pub fn takes_no_intent_for_a_record<R: Recorder>(make: &impl Fn() -> R, read: &impl Fn(R) -> Vec<DecisionRecord>) {
    let (recorder, records) = (make(), records());
    for record in &records {
        if let Err(error) = recorder.intend(record) {
            panic!("an intent is kept: {error}");
        }
        keep(&recorder, record);
    }
    assert_eq!(written(&read(recorder)), written(&records), "an intent is no record");
}

fn keep<R: Recorder>(recorder: &R, record: &DecisionRecord) {
    if let Err(error) = recorder.record(record) {
        panic!("a record is kept: {error}");
    }
}

fn written(records: &[DecisionRecord]) -> Vec<String> {
    records.iter().map(|record| serde_json::to_string(record).unwrap_or_else(|error| panic!("{error}"))).collect()
}

/// One record of every outcome, with every part filled somewhere.
pub fn records() -> Vec<DecisionRecord> {
    let bounds = |min, max| Bounds::new(min, max).unwrap_or_else(|error| panic!("{error}"));
    let observation = steady(3, 5);
    let at = observation.current.timestamp;
    let decision = ScalingDecision {
        resources: Some(ResourceChange { cpu_percent: -10, memory_percent: 25 }),
        shadow: Some(Box::new(ShadowDecision {
            engine: "candidate".into(),
            outcome: ShadowOutcome::Failed("said \"no\"\nand left \u{1f6aa}".into()),
            next: None,
        })),
        ..ScalingDecision::replicas("conformance", at, 3, 9)
    }
    .with_confidence(0.1 + 0.2)
    .because(Reason::Backlog { requests: 1e12 })
    .because(Reason::Custom { rule: "odd\ttext".into(), text: "line\r\nline\u{2028}line \\".into() });
    let clamp = Clamp {
        guard: "step".into(),
        from: Limit::Replicas(9),
        to: Limit::Replicas(6),
        why: "at most 2 times 3 at once".into(),
    };
    let change = BoundsChange {
        old: bounds(2, 6),
        new: bounds(3, 11),
        released: 1,
        min_without_floor: Some(2),
        resources: decision.resources,
    };
    let reason = Reason::Schedule { window: "odd \"window\"".into(), replicas: 3 };
    let floor = Floor::new(3, reason).until(at + TimeDelta::hours(1));
    let metrics = observation
        .current
        .without(SignalKind::CpuUtilization, Absence::Stale { age_s: 90 })
        .without(SignalKind::QueueDepth, Absence::NotFinite);
    let target = Target::deployment("shop", "checkout").in_cluster("eu \"1\"");
    let provenance = Provenance {
        signals: [(SignalKind::RequestRate, "load balancer".to_owned())].into(),
        pods: Some("cluster".into()),
        failed: [("cluster \"2\"".to_owned(), "timed out".to_owned())].into(),
        unconfirmed: SignalSet::of([SignalKind::RequestRate]),
    };
    let blank = DecisionRecord::new(target, at, ApplyMode::Apply);
    let whole = DecisionRecord {
        metrics: Some(metrics),
        declared: Some(SignalSet::ALL),
        provenance: Some(provenance),
        history_len: 5,
        bounds: Some(bounds(2, 6)),
        resting: Some(bounds(1, 6)),
        decision: Some(decision.with_floor(floor.clone())),
        floor: Some(floor),
        min_without_floor: Some(2),
        clamps: vec![clamp],
        undo: Some(Undoing { why: "change #1 is undone:\n5 % fail".into(), held: Some("cooldown".into()) }),
        change: Some(change),
        requests: Some((requests(250, 512 << 20), requests(375, 512 << 20))),
        outcome: Outcome::Applied,
        owners: vec![SizeOwner {
            owner: "Argo CD \"1\"".to_owned(),
            field: "spec.maxReplicas".to_owned(),
            since: Some(at),
            advice: "let it leave the field to us".to_owned(),
            setting: Some(OwnerSetting { place: "Application".to_owned(), text: "spec:\n  a: 1\n".to_owned() }),
        }],
        withheld: Some(Outcome::Refused { guard: "confidence".into(), why: "0.30 is below 0.75".into() }),
        ..blank.clone()
    };
    let failed = |step, transient| {
        let may_have_happened = step == Step::Apply && transient;
        Outcome::Failed { step, error: "timed out\nafter 5 s".into(), transient, may_have_happened }
    };
    vec![
        whole.clone(),
        DecisionRecord { mode: ApplyMode::Plan, outcome: Outcome::Planned, ..whole.clone() },
        DecisionRecord { mode: ApplyMode::ServerDryRun, outcome: Outcome::Validated, ..whole.clone() },
        DecisionRecord {
            change: None,
            outcome: Outcome::Unchanged { why: Unchanged::Allowed { bounds: bounds(2, 6), replicas: 3 } },
            at: at + TimeDelta::nanoseconds(1),
            ..whole.clone()
        },
        DecisionRecord {
            outcome: Outcome::Unchanged { why: Unchanged::AlreadyThere { bounds: bounds(3, 11) } },
            ..whole.clone()
        },
        DecisionRecord {
            change: None,
            outcome: Outcome::Refused { guard: "confidence".into(), why: "confidence 0.30 is below 0.75".into() },
            ..whole.clone()
        },
        DecisionRecord { outcome: failed(Step::Apply, true), ..whole.clone() },
        DecisionRecord { outcome: failed(Step::Observe, true), ..blank.clone() },
        DecisionRecord { outcome: failed(Step::Read, false), metrics: whole.metrics.clone(), ..blank.clone() },
        DecisionRecord { outcome: failed(Step::Decide, false), at: DateTime::<Utc>::UNIX_EPOCH, ..blank },
    ]
}

fn requests(cpu_millicores: u64, memory_bytes: u64) -> Requests {
    Requests { cpu_millicores: Some(cpu_millicores), memory_bytes: Some(memory_bytes) }
}
