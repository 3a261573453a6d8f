//! The board shows what records say, and nothing else, in bounded memory.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::guard::{Clamp, Limit};
use scaling_core::policy::BoundsChange;
use scaling_core::record::Step;
use scaling_core::telemetry::Board;
use scaling_core::{
    Absence, ApplyMode, Bounds, DecisionRecord, Floor, NoForecast, Outcome, OwnerSetting, Reason, Recorder,
    ScalingDecision, ScalingMetrics, SignalKind, SignalSet, SizeOwner, Target,
};
use serde_json::{Value, json};

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_571_200 + second, 0).unwrap()
}

fn shop() -> Target {
    Target::deployment("shop", "checkout")
}

fn bounds(min: u32, max: u32) -> Bounds {
    Bounds::new(min, max).unwrap()
}

const DECLARED: [SignalKind; 2] = [SignalKind::RequestRate, SignalKind::CpuUtilization];

/// A tick in which 300 requests a second meet 6 pods.
fn tick(second: i64) -> DecisionRecord {
    let mut record = DecisionRecord::new(shop(), at(second), ApplyMode::Apply);
    let metrics = ScalingMetrics::new(at(second), 6);
    record.metrics = Some(metrics.with(SignalKind::RequestRate, 300.0).with(SignalKind::CpuUtilization, 50.0));
    record.declared = Some(SignalSet::of(DECLARED));
    record.bounds = Some(bounds(4, 10));
    record.decision = Some(ScalingDecision::replicas("mine", at(second), 6, 7).with_confidence(0.9));
    record
}

fn without(second: i64, kind: SignalKind, absence: Absence) -> DecisionRecord {
    let mut record = tick(second);
    record.metrics = record.metrics.map(|metrics| metrics.without(kind, absence));
    record
}

fn failed(second: i64, error: &str) -> DecisionRecord {
    let mut record = DecisionRecord::new(shop(), at(second), ApplyMode::Apply);
    record.bounds = Some(bounds(4, 10));
    record.outcome =
        Outcome::Failed { step: Step::Observe, error: error.into(), transient: true, may_have_happened: false };
    record
}

fn shown(records: impl IntoIterator<Item = DecisionRecord>) -> (Value, Value) {
    let board = Board::new();
    for record in records {
        board.record(&record).unwrap();
    }
    // As it is sent: short numbers stay short.
    let sent = |text: String| serde_json::from_str::<Value>(&text).unwrap();
    let overview = sent(serde_json::to_string(&board.overview()).unwrap());
    (overview["targets"][0].clone(), sent(serde_json::to_string(&board.target(&shop()).unwrap()).unwrap()))
}

#[test]
fn a_tick_is_shown_as_it_was() {
    let mut record = tick(0);
    let window = Reason::Schedule { window: "morning".into(), replicas: 5 };
    record.floor = Some(Floor::new(5, window).until(at(3600)));
    (record.resting, record.min_without_floor) = (Some(bounds(3, 10)), Some(3));
    let (row, view) = shown([record]);
    assert_eq!(row["status"], "steady");
    assert_eq!((&row["load"], &row["unit"]), (&json!(300.0), &json!("requests_per_second")));
    assert_eq!((&row["pods"], &row["wanted"], &row["floor"]), (&json!(6), &json!(7), &json!(5)));
    assert_eq!(view["resting"], json!({"min": 3, "max": 10}));
    assert_eq!(view["floor_in_force"]["why"], "window \"morning\" holds 5 pods");
    assert_eq!(view["floor_in_force"]["until"], "2026-01-05T01:00:00Z");
    assert_eq!(view["decided"]["action"], "scale_up_horizontal");
    let series = &view["series"];
    assert_eq!((&series["load"], &series["min"], &series["floor"]), (&json!([300.0]), &json!([4]), &json!([5])));
    assert_eq!((&series["resting_min"], &series["expected"]), (&json!([3]), &json!([null])));
}

#[test]
fn what_is_not_measured_is_absent_with_its_cause_since_its_first_tick_and_never_zero() {
    let stale = |second, age_s| without(second, SignalKind::RequestRate, Absence::Stale { age_s });
    let (row, view) = shown([tick(0), stale(15, 90), stale(30, 105)]);
    assert_eq!((&row["status"], &row["absent"]), (&json!("absent"), &json!(["request_rate"])));
    assert_eq!(row.get("load"), None);
    let absent = &view["absent_signals"][0];
    assert_eq!((&absent["since"], &absent["words"]), (&json!("2026-01-05T00:00:15Z"), &json!("stale for 105 s")));
    assert_eq!(view["series"]["load"], json!([300.0, null, null]));
    assert_eq!(row["unit"], "requests_per_second", "another signal does not stand in for it");
    let (row, view) = shown([tick(0), stale(15, 90), tick(30), stale(45, 60)]);
    assert_eq!(
        (&row["status"], &view["absent_signals"][0]["since"]),
        (&json!("absent"), &json!("2026-01-05T00:00:45Z"))
    );
}

#[test]
fn a_source_that_fails_leaves_nothing_known_of_now_and_is_told_with_its_first_tick() {
    let (row, view) = shown([tick(0), failed(15, "connection refused"), failed(30, "deadline has elapsed")]);
    assert_eq!((&row["status"], &row["failing"]), (&json!("failing"), &json!("observe")));
    for known in ["load", "pods", "wanted", "expected"] {
        assert_eq!(row.get(known), None, "{known}");
    }
    assert_eq!(row["bounds"], json!({"min": 4, "max": 10}));
    let failure = &view["failure"];
    assert_eq!(
        (&failure["since"], &failure["error"]),
        (&json!("2026-01-05T00:00:15Z"), &json!("deadline has elapsed"))
    );
    assert_eq!(view["failures"], json!([{"step": "observe", "ticks": 2}]));
    assert_eq!(view["series"]["failed"], json!([false, true, true]));
    let (row, view) = shown([failed(0, "gone"), tick(15)]);
    assert_eq!((&row["status"], view.get("failure")), (&json!("steady"), None));
    assert_eq!(view["failures"], json!([{"step": "observe", "ticks": 1}]));
}

#[test]
fn refusals_and_limits_are_counted_by_guard_also_where_a_floor_was_held_all_the_same() {
    let refusal = || Outcome::Refused { guard: "freshness".into(), why: "too old".into() };
    let mut refused = tick(0);
    refused.outcome = refusal();
    let mut withheld = tick(15);
    (withheld.outcome, withheld.withheld) = (Outcome::Applied, Some(refusal()));
    let mut limited = tick(30);
    let clamp = |from, to| Clamp {
        guard: "step_limit".into(),
        from: Limit::Replicas(from),
        to: Limit::Replicas(to),
        why: "at most double".into(),
    };
    limited.clamps = vec![clamp(40, 20), clamp(20, 12)];
    // A limit that leaves nothing is a refusal by the same guard, and counts as that alone.
    let mut held = tick(45);
    let why = "shrunk 30 s ago";
    held.outcome = Outcome::Refused { guard: "cooldown".into(), why: why.into() };
    let (from, to) = (Limit::Released(3), Limit::Released(0));
    held.clamps = vec![Clamp { guard: "cooldown".into(), from, to, why: why.into() }];
    let (row, view) = shown([refused, withheld, held, limited]);
    assert_eq!(
        view["guards"],
        json!([
            {"guard": "freshness", "refused": 2, "limited": 0},
            {"guard": "cooldown", "refused": 1, "limited": 0},
            {"guard": "step_limit", "refused": 0, "limited": 1}
        ])
    );
    assert_eq!(row["refused"], 3);
    let why = view["decisions"][0]["why"].as_str().unwrap();
    assert!(why.starts_with("limited by step_limit: 20 pods instead of 40 pods (at most double)\n"), "{why}");
}

#[test]
fn a_forecast_is_held_against_the_load_of_the_moment_that_it_was_for() {
    let forecast = |second: i64, expected| {
        let mut record = tick(second);
        let signal = Some(SignalKind::RequestRate);
        let reason = Reason::Forecast { signal, observed: 300.0, expected, quantile: 0.97, ahead_s: 30.0 };
        record.decision = record.decision.map(|decision| decision.because(reason));
        record
    };
    let (row, view) = shown([forecast(0, 320.0), forecast(15, 290.0), forecast(30, 310.0), forecast(45, 310.0)]);
    assert_eq!(row["expected"], 310.0);
    assert_eq!(view["coverage"], json!({"judged": 2, "held": 1}));
    let f = &view["forecast"];
    assert_eq!((&f["expected"], &f["quantile"], &f["ahead_s"]), (&json!(310.0), &json!(0.97), &json!(30.0)));
    // A gap: nobody knows whether it held.
    let (_, view) = shown([forecast(0, 320.0), forecast(600, 320.0)]);
    assert_eq!(view["coverage"]["judged"], 0);
    let mut none = tick(0);
    none.decision = none.decision.map(|one| one.because(Reason::NoForecast { cause: NoForecast::TooShort }));
    let (_, view) = shown([none]);
    assert_eq!((view.get("forecast"), &view["no_forecast"]), (None, &json!("too little of the past is known")));
}

#[test]
fn a_load_in_another_unit_begins_anew() {
    let by_cpu = |second| {
        let mut record = tick(second);
        record.declared = Some(SignalSet::of([SignalKind::CpuUtilization]));
        record
    };
    let (row, view) = shown([tick(0), by_cpu(15)]);
    assert_eq!((&row["unit"], &row["load"]), (&json!("pods_filled"), &json!(3.0)));
    assert_eq!(view["series"]["load"], json!([null, 3.0]), "requests a second are no pods");
}

/// The longest records that can be: names, errors, reasons and guards without end.
fn hostile(second: i64) -> DecisionRecord {
    let long = |kind: &str| format!("{kind} {second} {}", "ü<script>".repeat(400));
    let mut record = if second % 30 == 0 { tick(second) } else { failed(second, &long("error")) };
    record.floor = Some(Floor::new(5, Reason::Custom { rule: long("rule").into(), text: "".into() }));
    let mut decision = ScalingDecision::replicas(long("engine"), at(second), 6, 7);
    decision.reasons = (0..50).map(|_| Reason::Custom { rule: long("rule").into(), text: "".into() }).collect();
    let signal = Some(SignalKind::RequestRate);
    let (observed, expected, quantile) = (1.0, 2.0, 0.9);
    decision.reasons.push(Reason::Forecast { signal, observed, expected, quantile, ahead_s: 86_400.0 });
    record.decision = Some(decision);
    let (from, to) = (Limit::Replicas(9), Limit::Replicas(8));
    record.clamps =
        (0..5).map(|nth| Clamp { guard: long(&format!("{nth}")).into(), from, to, why: long("why").into() }).collect();
    let change =
        BoundsChange { old: bounds(4, 10), new: bounds(5, 10), released: 0, min_without_floor: None, resources: None };
    let setting = OwnerSetting { place: long("place"), text: "ü".repeat(300) };
    let owner = |_| SizeOwner {
        owner: long("owner"),
        field: long("field"),
        since: None,
        advice: long("advice"),
        setting: Some(setting.clone()),
    };
    record.owners = (0..9).map(owner).collect();
    if second % 60 == 0 {
        (record.outcome, record.change) = (Outcome::Applied, Some(change));
        record.withheld = Some(Outcome::Refused { guard: long("guard"), why: long("why") });
    }
    record
}

#[test]
fn a_day_of_the_longest_records_takes_at_most_35_kib_a_workload() {
    let board = Board::new();
    for nth in 0..5760 {
        // The texts of a few hundred are long: what they leave is there at the end.
        let record = if nth % 100 == 0 || nth > 5740 { hostile(nth * 15) } else { tick(nth * 15) };
        board.record(&record).unwrap();
    }
    let bytes = board.bytes(&shop()).unwrap();
    assert!((20_000..=35 * 1024).contains(&bytes), "{bytes}");
    let view = serde_json::to_string(&board.target(&shop()).unwrap()).unwrap();
    assert!(view.len() < 64 * 1024, "{}", view.len());
    let usual = Board::new();
    for nth in 0..5760 {
        usual.record(&tick(nth * 15)).unwrap();
    }
    let bytes = usual.bytes(&shop()).unwrap();
    assert!(bytes < 26 * 1024, "{bytes}");
}

fn argo() -> SizeOwner {
    SizeOwner {
        owner: "Argo CD (application shop)".to_owned(),
        field: "spec.maxReplicas of HorizontalPodAutoscaler shop/checkout".to_owned(),
        since: Some(at(-3600)),
        advice: "have it leave both bounds to us".to_owned(),
        setting: Some(OwnerSetting { place: "Application shop".to_owned(), text: "spec:\n  a: b\n".to_owned() }),
    }
}

#[test]
fn others_who_set_the_size_are_shown_until_a_write_gets_through() {
    let mut met = tick(0);
    met.owners = vec![argo()];
    met.outcome =
        Outcome::Failed { step: Step::Apply, error: "refused".into(), transient: false, may_have_happened: false };
    let (row, view) = shown([met.clone(), tick(15)]);
    assert_eq!(row["owned_by"], json!(["Argo CD (application shop)"]));
    let others = &view["others"];
    assert_eq!((&others["more"], others["owners"].as_array().unwrap().len()), (&json!(0), 1));
    assert_eq!(serde_json::from_value::<SizeOwner>(others["owners"][0].clone()).unwrap(), argo());
    let mut applied = tick(30);
    applied.outcome = Outcome::Applied;
    let (row, view) = shown([met, applied]);
    assert_eq!((row.get("owned_by"), view.get("others")), (None, None));
}

#[test]
fn a_host_that_has_looked_for_owners_says_so_before_the_first_tick_and_after() {
    let board = Board::new();
    board.owned(&shop(), &[argo(), argo(), argo(), argo()], at(0));
    assert_eq!(board.len(), 0, "a workload without a tick is not shown");
    board.record(&tick(0)).unwrap();
    let view = |board: &Board| serde_json::to_value(board.target(&shop()).unwrap()).unwrap();
    assert_eq!(view(&board)["others"]["owners"].as_array().unwrap().len(), 2);
    assert_eq!(view(&board)["others"]["more"], 2);
    let before = board.version();
    board.owned(&shop(), &[], at(15));
    assert_eq!(view(&board).get("others"), None);
    assert!(before < board.version());
}

/// A service day in ten hours of load that swings from one to five pods, with a gap, under so many pods.
#[cfg(feature = "backtest")]
fn day(board: &Board, pods: impl Fn(f64) -> u32, change: impl Fn(&mut DecisionRecord)) {
    for nth in (0..2400).filter(|nth| !(1000..1100).contains(nth)) {
        let rate = 150.0 - 100.0 * (f64::from(nth) / 1200.0 * std::f64::consts::TAU).cos();
        let mut record = tick(i64::from(nth) * 15);
        let metrics = ScalingMetrics::new(record.at, pods(rate)).with(SignalKind::RequestRate, rate);
        record.metrics = Some(metrics.with(SignalKind::CpuUtilization, 60.0));
        change(&mut record);
        board.record(&record).unwrap();
    }
}

#[cfg(feature = "backtest")]
#[test]
fn the_pods_as_they_ran_are_compared_with_the_hpa_alone_over_the_same_load() {
    use scaling_core::WorkloadFacts;
    use scaling_core::hpa::{CrossVersionObjectReference, HpaSpec, MetricSpec};
    use scaling_core::telemetry::board::HpaAlone;

    let compared = |percent: i32, pods: fn(f64) -> u32, change: fn(&mut DecisionRecord), capacity| {
        let mut spec = HpaSpec::new(CrossVersionObjectReference::deployment("checkout"), bounds(2, 20));
        spec.metrics = Some(vec![MetricSpec::utilization("cpu", percent)]);
        let mut facts = WorkloadFacts::default();
        facts.pod_capacity = capacity;
        let board = Board::new();
        day(&board, pods, change);
        board.compare(shop(), HpaAlone { spec, facts });
        board.savings(&shop())
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // small
    let lean = |rate: f64| (rate / 40.0).ceil() as u32;
    let lavish = |_: f64| 12;
    let saved = compared(50, lean, |_| (), Some(50.0)).unwrap();
    assert!((8.0..8.5).contains(&saved.hours), "{saved:?}");
    assert!(saved.ours.pod_hours < 0.8 * saved.alone.pod_hours, "{saved:?}");
    assert!(saved.ours.pod_hours > 3.0 * saved.hours && saved.ours.violating_share < 0.01, "{saved:?}");
    let wasted = compared(50, lavish, |_| (), Some(50.0)).unwrap();
    assert!((wasted.ours.pod_hours - 12.0 * wasted.hours).abs() < 0.2, "{wasted:?}");
    assert!(wasted.ours.pod_hours > wasted.alone.pod_hours && wasted.alone == saved.alone, "{wasted:?}");

    let why = |change: fn(&mut DecisionRecord), capacity| {
        compared(50, lean, change, capacity).map_err(|none| none.to_string()).unwrap_err()
    };
    assert_eq!(why(|_| (), None), "what a pod carries is neither declared nor learnt");
    let dry = why(|record| record.mode = ApplyMode::Plan, Some(50.0));
    assert_eq!(dry, "in mode plan nothing is changed, so that nothing is saved");
    let late = why(
        |record| {
            if record.at < at(34_000) {
                record.mode = ApplyMode::Plan;
            }
        },
        Some(50.0),
    );
    assert_eq!(late, "30 min of load were seen since changes are applied, and an hour is needed");
    let blind = why(|record| record.metrics.as_mut().unwrap().current_pod_count = None, Some(50.0));
    assert_eq!(blind, "the number of pods is not known");
    let learnt = |record: &mut DecisionRecord| {
        let reason = Reason::Capacity {
            model: scaling_core::CapacityModel::Learnt,
            load: Some(SignalKind::RequestRate),
            per_pod: Some(50.0),
            samples: 100,
            spread: 0.1,
        };
        record.decision = record.decision.take().map(|decision| decision.because(reason));
    };
    let saved = compared(50, lean, learnt, None).unwrap();
    assert!(saved.learnt && (saved.pod_capacity - 50.0).abs() < f64::EPSILON, "{saved:?}");

    let board = Board::new();
    day(&board, lean, |_| ());
    assert_eq!(
        board.savings(&shop()).unwrap_err().to_string(),
        "the program was given no HPA of this workload to compare with"
    );
}

fn tick_of(board: &Board, name: &str, second: i64) {
    let mut record = tick(second);
    record.target = Target::deployment("shop", name);
    board.record(&record).unwrap();
}

#[test]
fn workloads_are_in_order_and_come_in_pages() {
    let board = Board::with_limit(3);
    for (second, name) in [(0, "d"), (15, "a"), (30, "c"), (45, "d")] {
        tick_of(&board, name, second);
    }
    let overview = serde_json::to_value(board.overview()).unwrap();
    let names: Vec<_> = overview["targets"].as_array().unwrap().iter().map(|row| &row["target"]["name"]).collect();
    assert_eq!(names, ["a", "c", "d"]);
    assert_eq!((&overview["unlisted"], &overview["total"]), (&json!(0), &json!(3)));
    let page = serde_json::to_value(board.overview_after(Some(&Target::deployment("shop", "a")), 1)).unwrap();
    assert_eq!((&page["targets"][0]["target"]["name"], &page["more"]), (&json!("c"), &json!(true)));
    let version = board.version();
    board.forget(&Target::deployment("shop", "c"));
    assert!(board.version() > version && board.len() == 2);
}

#[test]
fn one_workload_more_than_there_is_room_for_costs_nobody_else_the_history() {
    let board = Board::with_limit(3);
    let names = ["a", "b", "c", "d"];
    for round in 0..20 {
        for name in names {
            tick_of(&board, name, round * 15);
        }
    }
    let kept = |name: &str| {
        let view = board.target(&Target::deployment("shop", name))?;
        serde_json::to_value(view).unwrap()["ticks"].as_u64()
    };
    assert_eq!(names.map(kept), [Some(20), Some(20), Some(20), None]);
    assert_eq!(board.overview().unlisted, 20);
    board.forget(&Target::deployment("shop", "a"));
    tick_of(&board, "d", 300);
    assert_eq!((names.map(kept), board.overview().unlisted), ([None, Some(20), Some(20), Some(1)], 20));
}

#[test]
fn a_workload_without_a_tick_for_a_day_makes_room_and_leaves_nothing_behind() {
    let board = Board::with_limit(2);
    tick_of(&board, "gone", 0);
    tick_of(&board, "stays", 86_000);
    tick_of(&board, "new", 86_399);
    assert_eq!((board.len(), board.overview().unlisted), (2, 1));
    #[cfg(feature = "backtest")]
    let gone = {
        use scaling_core::WorkloadFacts;
        use scaling_core::hpa::{CrossVersionObjectReference, HpaSpec};
        use scaling_core::telemetry::board::HpaAlone;
        let gone = Target::deployment("shop", "gone");
        let spec = HpaSpec::new(CrossVersionObjectReference::deployment("gone"), bounds(2, 20));
        board.compare(gone.clone(), HpaAlone { spec, facts: WorkloadFacts::default() });
        assert_ne!(board.savings(&gone).unwrap_err().to_string(), NO_HPA);
        gone
    };
    tick_of(&board, "new", 86_400);
    let named = |name| board.target(&Target::deployment("shop", name)).is_some();
    assert_eq!(["gone", "stays", "new"].map(named), [false, true, true]);
    #[cfg(feature = "backtest")]
    {
        // Back again, it has no HPA to compare with until the host gives one.
        board.forget(&Target::deployment("shop", "new"));
        tick_of(&board, "gone", 86_415);
        assert_eq!(board.savings(&gone).unwrap_err().to_string(), NO_HPA);
    }
}

#[cfg(feature = "backtest")]
const NO_HPA: &str = "the program was given no HPA of this workload to compare with";

#[test]
fn a_clock_that_jumps_loses_nothing_and_panics_nowhere() {
    let board = Board::new();
    for second in [0, 15, -1_000_000, 8_000_000_000, 30] {
        let mut record = tick(0);
        record.at = at(0).checked_add_signed(TimeDelta::seconds(second)).unwrap();
        board.record(&record).unwrap();
    }
    for at in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
        let mut record = tick(0);
        record.at = at;
        record.metrics.as_mut().unwrap().timestamp = at;
        let signal = Some(SignalKind::RequestRate);
        let far = Reason::Forecast { signal, observed: 1.0, expected: 2.0, quantile: 0.9, ahead_s: f64::MAX };
        record.decision = record.decision.map(|one| ScalingDecision { at, ..one }.because(far));
        board.record(&record).unwrap();
    }
    let view = serde_json::to_value(board.target(&shop()).unwrap()).unwrap();
    assert_eq!(view["series"]["at"].as_array().unwrap().len(), 7);
    assert_eq!(view["ticks"], 7);
}
