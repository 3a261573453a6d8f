//! History: what was changed, and the way back.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use proptest::prelude::*;
use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::guard::LastChanges;
use scaling_core::{
    Applied, ApplyError, ApplyMode, Bounds, BoundsChange, BoundsPolicy, DecisionRecord, Floor, GuardContext, Guards,
    HardLimits, HpaPlan, HpaState, Outcome, Reason, Recorder, ScalingDecision, Step, Target,
};
use scaling_k8s::DamagedText;
use scaling_k8s::history::{
    ANNOTATION, Change, EventSeries, History, HistoryRecorder, InvalidHistory, RollbackRefused, of_hpa,
};
use serde_json::{Value, json};

fn bounds(min: u32, max: u32) -> Bounds {
    Bounds::new(min, max).unwrap()
}

fn target() -> Target {
    Target::deployment("shop", "checkout")
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn record(seconds: i64, old: Bounds, new: Bounds) -> DecisionRecord {
    let mut record = DecisionRecord::new(target(), at(seconds), ApplyMode::Apply);
    record.bounds = Some(old);
    record.change = Some(BoundsChange { old, new, released: 0, min_without_floor: None, resources: None });
    record.outcome = Outcome::Applied;
    record
}

fn lost(seconds: i64, old: Bounds, new: Bounds) -> DecisionRecord {
    let mut record = record(seconds, old, new);
    record.outcome =
        Outcome::Failed { step: Step::Apply, error: "reset".into(), transient: true, may_have_happened: true };
    record
}

/// A history of these changes.
fn history(records: &[DecisionRecord]) -> History {
    let mut history = History::new();
    for record in records {
        history.take(record, "kube-scaling");
    }
    history
}

fn changes(history: &History) -> Vec<(u64, Bounds, Bounds, bool)> {
    history.of(&target()).map(|change| (change.number, change.before, change.after, change.uncertain)).collect()
}

#[test]
fn what_was_applied_is_kept_and_nothing_else() {
    let mut planned = record(0, bounds(2, 10), bounds(3, 10));
    planned.mode = ApplyMode::Plan;
    planned.outcome = Outcome::Planned;
    let mut refused = record(0, bounds(2, 10), bounds(3, 10));
    refused.outcome = Outcome::Refused { guard: "step".into(), why: "no".into() };
    let mut failed = record(0, bounds(2, 10), bounds(3, 10));
    failed.outcome =
        Outcome::Failed { step: Step::Apply, error: "conflict".into(), transient: false, may_have_happened: false };
    let nothing = record(0, bounds(2, 10), bounds(2, 10));
    assert!(history(&[planned, refused, failed, nothing]).is_empty());
    let kept = history(&[record(0, bounds(2, 10), bounds(5, 10)), record(60, bounds(5, 10), bounds(4, 10))]);
    assert_eq!(changes(&kept), [(1, bounds(2, 10), bounds(5, 10), false), (2, bounds(5, 10), bounds(4, 10), false)]);
}

#[test]
fn a_change_says_why() {
    let mut decided = record(0, bounds(2, 10), bounds(5, 10));
    let mut decision = ScalingDecision::replicas("rules", at(0), 4, 9);
    decision.reasons = vec![Reason::Custom { rule: "own".into(), text: "demand\nrises".into() }];
    decided.decision = Some(decision);
    let mut held = decided.clone();
    held.floor = Some(Floor::new(5, Reason::Custom { rule: "shop".into(), text: "sale".into() }));
    let said =
        |record: &DecisionRecord| history(std::slice::from_ref(record)).of(&target()).next().unwrap().to_string();
    assert_eq!(said(&decided), "#1 2027-01-15 08:00:00 UTC 2..10 -> 5..10 by kube-scaling: own: demand rises");
    assert!(said(&held).ends_with("kube-scaling: shop: sale"));
    decided.decision = None;
    assert!(said(&decided).ends_with("no reason was recorded"));
}

#[test]
fn a_number_is_not_given_twice() {
    let never = lost(0, bounds(2, 10), bounds(5, 10));
    let mut made = lost(60, bounds(2, 10), bounds(6, 10));
    (made.outcome, made.bounds) = (Outcome::Applied, Some(bounds(2, 10)));
    let history = history(&[never, made]);
    assert_eq!(changes(&history), [(2, bounds(2, 10), bounds(6, 10), false)]);
    assert_eq!(history.len(), 1);
}

#[test]
fn law_12_a_lost_answer_counts_until_a_read_tells() {
    let lost = lost(0, bounds(2, 10), bounds(5, 10));
    let after = |found: Bounds| {
        let mut next = DecisionRecord::new(target(), at(60), ApplyMode::Apply);
        next.bounds = Some(found);
        history(&[lost.clone(), next])
    };
    assert_eq!(changes(&history(std::slice::from_ref(&lost))), [(1, bounds(2, 10), bounds(5, 10), true)]);
    assert_eq!(changes(&after(bounds(5, 10))), [(1, bounds(2, 10), bounds(5, 10), false)]);
    assert!(after(bounds(2, 10)).is_empty());
    assert_eq!(changes(&after(bounds(7, 10))), [(1, bounds(2, 10), bounds(5, 10), true)]);
    let refused = history(&[lost]).rollback(&target(), 1, HpaState::new(bounds(5, 10)));
    assert_eq!(refused, Err(RollbackRefused::Uncertain { number: 1 }));
}

#[test]
fn a_rollback_goes_to_before_a_change_and_those_after_it() {
    let kept = history(&[record(0, bounds(2, 10), bounds(5, 10)), record(60, bounds(5, 10), bounds(8, 12))]);
    let now = HpaState::new(bounds(8, 12));
    assert_eq!(kept.rollback(&target(), 1, now).unwrap().to(), bounds(2, 10));
    assert_eq!(kept.rollback(&target(), 2, now).unwrap().to(), bounds(5, 10));
    assert_eq!(kept.rollback(&target(), 3, now), Err(RollbackRefused::Unknown { number: 3 }));
    assert_eq!(kept.rollback(&target().with_hpa("other"), 1, now), Err(RollbackRefused::Unknown { number: 1 }));
    let back = history(&[record(0, bounds(2, 10), bounds(5, 10)), record(60, bounds(5, 10), bounds(2, 10))]);
    let refused = back.rollback(&target(), 1, HpaState::new(bounds(2, 10)));
    assert_eq!(refused, Err(RollbackRefused::AlreadyThere { number: 1, bounds: bounds(2, 10) }));
    // By a hand that keeps no record, such as the rollback itself.
    let refused = kept.rollback(&target(), 1, HpaState::new(bounds(2, 10)));
    assert_eq!(refused, Err(RollbackRefused::AlreadyThere { number: 1, bounds: bounds(2, 10) }));
}

#[test]
fn what_somebody_else_changed_is_not_rolled_back() {
    let kept = history(&[record(0, bounds(2, 10), bounds(5, 10))]);
    let (expected, found) = (bounds(5, 10), bounds(5, 20));
    assert_eq!(
        kept.rollback(&target(), 1, HpaState::new(found)),
        Err(RollbackRefused::ChangedSince { expected, found })
    );

    let between = history(&[record(0, bounds(2, 10), bounds(5, 10)), record(60, bounds(4, 20), bounds(6, 20))]);
    let now = HpaState::new(bounds(6, 20));
    assert_eq!(
        between.rollback(&target(), 1, now),
        Err(RollbackRefused::ChangedBetween { number: 2, expected: bounds(5, 10), found: bounds(4, 20) })
    );
    assert_eq!(between.rollback(&target(), 2, now).unwrap().to(), bounds(4, 20));

    let known = HpaState::new(bounds(5, 10)).with_resting(bounds(2, 10));
    assert!(kept.rollback(&target(), 1, known).is_ok());
    let mut raised = record(0, bounds(3, 10), bounds(5, 10));
    raised.resting = Some(bounds(2, 10));
    let owner = HpaState::new(bounds(5, 10)).with_resting(bounds(5, 10));
    assert_eq!(
        history(&[raised]).rollback(&target(), 1, owner),
        Err(RollbackRefused::OwnerChanged { number: 1, then: bounds(2, 10), now: bounds(5, 10) })
    );
}

#[test]
fn what_a_host_applies_by_itself_is_kept_too() {
    let plan = scaling_core::conformance::applier::plan(&target(), bounds(2, 6), 3, 6);
    let source = || Box::from("reset");
    let unknown = ApplyError::Backend { target: target(), transient: true, source: source() };
    let certain = ApplyError::Unapplied { target: target(), transient: true, source: source() };
    let applied = |mode, changed| Applied { mode, changed };
    for (answer, kept) in [
        (Ok(&applied(ApplyMode::Apply, true)), Some(false)),
        (Ok(&applied(ApplyMode::Apply, false)), None),
        (Ok(&applied(ApplyMode::ServerDryRun, true)), None),
        (Err(&unknown), Some(true)),
        (Err(&certain), None),
    ] {
        let mut history = History::new();
        history.take_apply(&plan, answer, at(0), ("ann", "rolled back #7"));
        let change = history.of(&target()).next();
        assert_eq!(change.map(|change| change.uncertain), kept);
        assert!(change.is_none_or(
            |change| change.to_string().ends_with("by ann: rolled back #7") && change.before == bounds(2, 6)
        ));
    }
}

/// The bounds that a rollback of one change is approved for, with so many pods.
fn rolled_back(before: Bounds, after: Bounds, pods: u32) -> Bounds {
    let state = HpaState::new(after).with_pods(pods);
    let plan = rollback_plan(&history(&[record(0, before, after)]), 1, state);
    assert_eq!(plan.old_bounds(), after);
    plan.new_bounds()
}

/// The plan of a rollback, made by the hard limits alone.
fn rollback_plan(history: &History, number: u64, state: HpaState) -> HpaPlan {
    let (target, policy) = (target(), BoundsPolicy::default());
    let rollback = history.rollback(&target, number, state).unwrap();
    let context = GuardContext {
        target: &target,
        now: at(600),
        observation: None,
        state,
        limits: HardLimits::new(1, 100).unwrap(),
        policy: &policy,
        min_without_floor: None,
        last: LastChanges::default(),
        released: &[],
    };
    HpaPlan::of(&rollback.approve(&Guards::only_hard_limits(), &context))
}

#[test]
fn a_rollback_is_rolled_back_and_the_owners_bounds_stay_what_they_are() {
    let (owner, first, second) = (bounds(2, 10), bounds(5, 10), bounds(8, 12));
    let mut raised = record(60, first, second);
    raised.resting = Some(owner);
    let mut kept = history(&[record(0, owner, first), raised]);
    for known in [true, false] {
        let state = |bounds| if known { HpaState::new(bounds).with_resting(owner) } else { HpaState::new(bounds) };
        let newest = kept.of(&target()).last().unwrap().number;
        let back = rollback_plan(&kept, newest, state(second));
        assert_eq!((back.new_bounds(), back.resting()), (first, owner), "known: {known}");
        let done = Applied { mode: ApplyMode::Apply, changed: true };
        kept.take_apply(&back, Ok(&done), at(120), ("ann", "back"));
        let again = rollback_plan(&kept, newest + 1, state(first));
        assert_eq!((again.new_bounds(), again.resting()), (second, owner), "known: {known}");
        kept.take_apply(&again, Ok(&done), at(180), ("ann", "and forth"));
    }
}

#[test]
fn a_rollback_passes_the_guards() {
    assert_eq!(rolled_back(bounds(2, 10), bounds(6, 14), 6), bounds(2, 10));
    assert_eq!(rolled_back(bounds(6, 14), bounds(2, 14), 3), bounds(6, 14), "up as well");
    assert_eq!(rolled_back(bounds(2, 10), bounds(6, 14), 12), bounds(2, 12), "law 11: no pod leaves for the max");
}

#[test]
fn much_is_forgotten_oldest_first() {
    let mut kept = History::with_limits(3, 2);
    for n in 0..10 {
        kept.take(&record(i64::from(n), bounds(n + 1, 50), bounds(n + 2, 50)), "us");
    }
    assert_eq!(kept.of(&target()).map(|change| change.number).collect::<Vec<_>>(), [8, 9, 10]);
    for name in ["a", "b", "c"] {
        let mut record = record(0, bounds(1, 5), bounds(2, 5));
        record.target = Target::deployment("shop", name);
        kept.take(&record, "us");
    }
    assert_eq!(kept.len(), 2);
    assert_eq!(kept.of(&target()).count(), 0);
    kept.forget(&Target::deployment("shop", "c"));
    assert_eq!(kept.len(), 1);
}

#[test]
fn a_recorder_keeps_it() {
    let recorder = HistoryRecorder::new(History::new(), "kube-scaling");
    recorder.record(&record(0, bounds(2, 10), bounds(5, 10))).unwrap();
    assert_eq!(recorder.with(|history| history.len()), 1);
}

#[test]
fn a_recorder_knows_the_change_that_is_about_to_be_written() {
    let recorder = HistoryRecorder::new(History::new(), "kube-scaling");
    let plan = scaling_core::conformance::applier::plan(&target(), bounds(2, 6), 3, 6);
    assert_eq!(recorder.intended(&plan), None);
    let mut record = record(0, bounds(2, 6), plan.new_bounds());
    recorder.intend(&record).unwrap();
    let intended = recorder.intended(&plan).unwrap();
    assert_eq!((intended.number, intended.after, intended.uncertain), (1, plan.new_bounds(), false));
    let other = scaling_core::conformance::applier::plan(&target(), bounds(2, 6), 3, 5);
    assert_eq!(recorder.intended(&other), None, "another change than it was told of");
    record.outcome = Outcome::Applied;
    recorder.record(&record).unwrap();
    assert_eq!(recorder.intended(&plan), None);
    assert_eq!(recorder.with(|history| history.of(&target()).next().cloned()), Some(intended), "the same number");
}

/// An HPA with this annotation, which `manager` owns.
fn telling(text: &Value, manager: &str) -> Value {
    let key = format!("f:{ANNOTATION}");
    json!({ "metadata": { "annotations": { ANNOTATION: text }, "managedFields": [
        { "manager": manager, "operation": "Apply", "fieldsV1": { "f:metadata": { "f:annotations": { key: {} } } } } ] } })
}

#[test]
fn an_hpa_tells_its_changes_if_they_are_ours() {
    let kept = history(&[record(0, bounds(2, 10), bounds(5, 10)), record(60, bounds(5, 10), bounds(4, 10))]);
    let text = Value::from(kept.annotation(&target(), 2000));
    let told = of_hpa(&telling(&text, "us"), "us").unwrap();
    assert_eq!(told, kept.of(&target()).cloned().collect::<Vec<_>>());
    assert_eq!(of_hpa(&json!({}), "us"), Ok(Vec::new()), "none is no fault");
    assert_eq!(of_hpa(&telling(&text, "them"), "us"), Err(DamagedText::Foreign.into()));
    let mut hidden = telling(&text, "us");
    hidden["metadata"]["managedFields"] = Value::Null;
    assert!(of_hpa(&hidden, "us").is_ok_and(|told| told.len() == 2));
    assert_eq!(of_hpa(&telling(&json!(3), "us"), "us"), Err(DamagedText::NoText.into()));
    for damaged in [json!("[{]"), json!("[{\"n\":1}]"), json!("{}")] {
        assert!(
            matches!(of_hpa(&telling(&damaged, "us"), "us"), Err(InvalidHistory::Text(DamagedText::Unreadable { .. }))),
            "{damaged}"
        );
    }
    let mut turned = told.clone();
    turned.reverse();
    let turned = Value::from(serde_json::to_string(&turned).unwrap());
    assert_eq!(of_hpa(&telling(&turned, "us"), "us"), Err(InvalidHistory::Disordered { number: 1, before: 2 }));

    // Taken over, numbers go on, and what is known already stays.
    let mut next = History::new();
    next.resume(&target(), told.clone());
    assert_eq!(next.next_number(&target()), 3);
    let newest = HpaState::new(bounds(4, 10));
    assert_eq!(next.rollback(&target(), 1, newest).unwrap().to(), bounds(2, 10));
    next.take(&record(120, bounds(4, 10), bounds(3, 10)), "us");
    next.resume(&target(), told.clone());
    assert_eq!(next.of(&target()).map(|change| change.number).collect::<Vec<_>>(), [1, 2, 3]);

    // What another process has made since is taken in, and nothing twice.
    let mut older = History::new();
    older.take(&record(0, bounds(2, 10), bounds(5, 10)), "kube-scaling");
    for _ in 0..2 {
        older.resume(&target(), told.clone());
        assert_eq!(older.of(&target()).cloned().collect::<Vec<_>>(), told);
    }
    assert_eq!(older.rollback(&target(), 1, newest).unwrap().to(), bounds(2, 10));
    // Numbers that were begun anew there go on here.
    let mut ahead = History::new();
    for minute in 0..3 {
        let max = u32::try_from(minute).unwrap();
        ahead.take(&record(minute - 9, bounds(2, 10 + max), bounds(2, 11 + max)), "us");
    }
    ahead.resume(&target(), told);
    assert_eq!(ahead.of(&target()).map(|change| change.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(ahead.next_number(&target()), 6);
}

#[test]
fn an_undo_is_told_from_a_decision() {
    let mut undone = record(0, bounds(2, 10), bounds(6, 10));
    undone.undo = Some(scaling_core::Undoing { why: "change #1 is undone: 5 % fail".into(), held: None });
    let mut held = undone.clone();
    held.undo.as_mut().unwrap().held = Some("cooldown".into());
    let told = |record: &DecisionRecord| {
        let change = history(std::slice::from_ref(record)).of(&target()).next().cloned().unwrap();
        (change.undo, change.why)
    };
    assert_eq!(told(&undone), (true, "change #1 is undone: 5 % fail".to_owned()));
    assert_eq!(told(&held), (false, "no reason was recorded".to_owned()));
}

#[test]
fn an_annotation_holds_the_latest_that_fit() {
    let records: Vec<DecisionRecord> =
        (1..40).map(|n| record(i64::from(n), bounds(n, 50), bounds(n + 1, 50))).collect();
    let kept = history(&records);
    let all = History::read_annotation(&kept.annotation(&target(), 1 << 20)).unwrap();
    assert_eq!(all, kept.of(&target()).cloned().collect::<Vec<Change>>());
    let text = kept.annotation(&target(), 1000);
    let some = History::read_annotation(&text).unwrap();
    assert!(text.len() <= 1000 && (2..39).contains(&some.len()), "{}", some.len());
    assert_eq!(some.last(), all.last());
    assert_eq!(kept.annotation(&target(), 10), "[]");
    for damaged in ["", "{}", "[1]", &text[..text.len() - 1], &text.replace("\"n\":", "\"m\":")] {
        assert!(
            matches!(History::read_annotation(damaged), Err(InvalidHistory::Text(DamagedText::Unreadable { .. }))),
            "{damaged}"
        );
    }
    assert!(matches!(
        History::read_annotation(&" ".repeat(1 << 20)),
        Err(InvalidHistory::Text(DamagedText::TooLong { .. }))
    ));
}

#[test]
fn events_of_an_hpa_are_one_object_that_counts() {
    let records: Vec<DecisionRecord> =
        (1..5).map(|n| record(20 * i64::from(n), bounds(n, 50), bounds(n + 1, 50))).collect();
    let kept = history(&records);
    let mut series = EventSeries::new("kube-scaling", Duration::from_secs(60));
    let events: Vec<_> = kept.of(&target()).map(|change| series.take(&target(), Some("0b6f"), change)).collect();
    assert_eq!(events.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, false, true]);
    let (first, fourth) = (events[0].as_ref().unwrap(), events[3].as_ref().unwrap());
    assert_eq!(first["metadata"], fourth["metadata"]);
    assert_eq!((&first["count"], &fourth["count"]), (&1.into(), &4.into()));
    assert_eq!(fourth["message"], "bounds changed from 4..50 to 5..50 by kube-scaling: no reason was recorded");
    assert_eq!(
        (&fourth["firstTimestamp"], &fourth["lastTimestamp"]),
        (&"2027-01-15T08:00:20Z".into(), &"2027-01-15T08:01:20Z".into())
    );
    assert_eq!(fourth["involvedObject"]["uid"], "0b6f");
    assert!(series.due(at(1000)).is_empty());
}

#[test]
fn an_event_that_was_held_back_comes_when_it_is_due() {
    let kept = history(&[record(0, bounds(1, 50), bounds(2, 50)), record(10, bounds(2, 50), bounds(3, 50))]);
    let mut series = EventSeries::new("kube-scaling", Duration::from_secs(60));
    let mut changes = kept.of(&target());
    assert!(series.take(&target(), None, changes.next().unwrap()).is_some());
    assert!(series.take(&target(), None, changes.next().unwrap()).is_none());
    assert!(series.due(at(59)).is_empty());
    let due = series.due(at(60));
    assert_eq!((due.len(), &due[0]["count"]), (1, &2.into()));
    assert!(series.due(at(120)).is_empty());
    // A clock that was set back holds nothing up.
    let mut late = kept.of(&target()).next().unwrap().clone();
    late.at = at(0) - TimeDelta::days(1);
    assert!(series.take(&target(), None, &late).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_event_stays_within_what_kubernetes_takes(why in "\\PC{0,2000}", who in "\\PC{0,300}", hpa in "[a-z0-9.-]{0,253}") {
        let change = Change { number: 1, at: at(0), who: who.clone(), why, before: bounds(1, 2), after: bounds(2, 3), resting: None, uncertain: false, undo: false };
        let target = target().with_hpa(hpa);
        let event = EventSeries::new(who, Duration::ZERO).take(&target, None, &change).unwrap();
        prop_assert!(event["message"].as_str().unwrap().len() <= 1024);
        prop_assert!(event["reportingComponent"].as_str().unwrap().len() <= 128);
        prop_assert!(event["metadata"]["name"].as_str().unwrap().len() <= 253);
    }

    /// Whatever stands there, it is read or refused.
    #[test]
    fn any_annotation_is_read_or_refused(text in "\\PC{0,300}", n in any::<u64>()) {
        let _ = of_hpa(&telling(&Value::from(text), "us"), "us");
        let change = json!([{ "n": n, "at": "2027-01-15T08:00:00Z", "who": "us", "why": "", "before": { "min": 1, "max": 2 }, "after": { "min": 2, "max": 3 } }]);
        if let Ok(told) = of_hpa(&telling(&Value::from(change.to_string()), "us"), "us") {
            let mut history = History::new();
            history.resume(&target(), told);
            history.take(&record(0, bounds(2, 3), bounds(1, 3)), "us");
            prop_assert!(history.len() <= 1);
        }
    }

    /// A rollback that is allowed goes to where some change of ours began, with nobody else's change in between.
    #[test]
    fn a_rollback_undoes_our_changes_alone(steps in proptest::collection::vec((1..20u32, any::<bool>()), 1..12), number in 1..14u64) {
        let (mut now, mut records) = (2, Vec::new());
        let mut others: Vec<usize> = Vec::new();
        for (min, by_us) in steps {
            if min == now {
                continue;
            }
            if by_us {
                records.push(record(0, bounds(now, 50), bounds(min, 50)));
            } else {
                others.push(records.len());
            }
            now = min;
        }
        let kept = history(&records);
        let at = usize::try_from(number).unwrap();
        match kept.rollback(&target(), number, HpaState::new(bounds(now, 50))) {
            Ok(rollback) => prop_assert_eq!(rollback.to(), records[at - 1].change.unwrap().old),
            Err(RollbackRefused::Unknown { .. }) => prop_assert!(at > records.len()),
            Err(RollbackRefused::AlreadyThere { .. }) => prop_assert_eq!(records[at - 1].change.unwrap().old.min(), now),
            Err(_) => prop_assert!(others.iter().any(|place| *place >= at)),
        }
    }
}
