//! Windows over an HPA, held against the backtest.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc, Weekday};
use futures::executor::block_on;
use proptest::prelude::*;
use scaling_core::backtest::{Candidate, ClusterModel, SampleTime, Scenario, Score, Trace, score_one};
use scaling_core::{
    Bounds, Currency, DecisionEngine, HardLimits, MetricsHistory, Observation, Price, ScalingMetrics, SignalKind,
    Target, WorkloadFacts,
};
use scaling_schedule::{
    AnnouncedEvent, CompileConfig, CompileError, Compiled, HpaBeneath, ProofConfig, RenewedSchedule, Unproven,
    compile_over_hpa, driver_over_hpa, need_by_load, prove,
};

const CAPACITY: f64 = 50.0;

fn monday() -> DateTime<Utc> {
    "2026-11-16T00:00:00Z".parse().unwrap()
}

fn samples(days: i64, rate: impl Fn(DateTime<Utc>) -> f64) -> Vec<ScalingMetrics> {
    let of = |minute| {
        let at = monday() + TimeDelta::minutes(minute);
        ScalingMetrics::new(at, 3).with(SignalKind::RequestRate, rate(at))
    };
    (0..days * 1440).map(of).collect()
}

fn history(days: i64, rate: impl Fn(DateTime<Utc>) -> f64) -> MetricsHistory {
    MetricsHistory::from_unordered(samples(days, rate)).0
}

/// A batch that comes every day at nine, within a minute, twenty times the usual load.
fn batch(at: DateTime<Utc>) -> f64 {
    if at.hour() == 9 && at.minute() < 40 { 1600.0 } else { 80.0 }
}

fn hpa() -> HpaBeneath {
    HpaBeneath::new(70.0, Bounds::new(1, 200).unwrap(), &WorkloadFacts::default())
}

fn compiled(history: &MetricsHistory, config: &CompileConfig) -> Compiled {
    compile_over_hpa(history, &need_by_load(SignalKind::RequestRate, CAPACITY), &hpa(), config).unwrap()
}

fn scenario(samples: Vec<ScalingMetrics>) -> Scenario {
    let trace = Trace::from_samples("test", samples, SampleTime::Ends).unwrap();
    let model =
        ClusterModel { limits: HardLimits::new(1, 200).unwrap(), pod_capacity: CAPACITY, ..ClusterModel::default() };
    Scenario::new(trace, model)
}

fn scored(scenario: &Scenario, candidate: &Candidate) -> Score {
    block_on(score_one(scenario, candidate, &())).unwrap()
}

#[test]
fn a_batch_at_nine_is_met_by_pods_and_the_cut_holds_in_the_backtest() {
    let answer = compiled(&history(8, batch), &CompileConfig::default());
    let found = answer.schedule().unwrap_or_else(|| panic!("{:?}", answer.why_not()));
    println!("{}", found.schedule);
    for reason in &found.reasons {
        println!("{reason}");
    }
    let floor = |time: &str| {
        let at = format!("2026-12-01T{time}:00Z").parse().unwrap();
        found.schedule.open_at(at).map_or(1, |open| open.min)
    };
    assert!(floor("09:06") >= 16 && floor("15:00") == 1, "{}", found.schedule);
    let held_out = found.held_out.unwrap();
    assert!(held_out.violating_share <= 0.5 * held_out.compared_violating_share, "{held_out:?}");

    let scenario = scenario(samples(16, batch));
    let alone = scored(&scenario, &Candidate::hpa_on_cpu(70));
    let with = scored(
        &scenario,
        &Candidate::over_hpa("schedule", 70, |training| {
            Ok(driver_over_hpa(70, &CompileConfig::default(), training, |hpa| hpa)?.0)
        }),
    );
    assert!(
        with.violating_share <= 0.5 * alone.violating_share,
        "{} of {}",
        with.violating_share,
        alone.violating_share
    );
    assert!(with.pod_hours <= 1.05 * alone.pod_hours, "{} to {}", with.pod_hours, alone.pod_hours);
    // What comes is no worse than what is stated of held-out days.
    assert!(with.violating_share < held_out.violating_share + 0.02, "{held_out:?} {}", with.violating_share);
}

#[test]
fn where_windows_prevent_nothing_there_is_no_schedule_and_it_says_why() {
    let why = |history: &MetricsHistory| *compiled(history, &CompileConfig::default()).why_not().unwrap();
    let calm = |at: DateTime<Utc>| if (9..17).contains(&at.hour()) { 500.0 } else { 300.0 };
    assert_eq!(why(&history(3, calm)), Unproven::TooFewDays { days: 3, least: 4 });
    // The HPA alone has 40 % in hand.
    assert!(
        matches!(why(&history(8, |_| 500.0)), Unproven::NothingToPrevent { violating_share } if violating_share < 0.0005)
    );
    // A batch at another hour each day.
    let wandering = |at: DateTime<Utc>| {
        let day = u32::try_from((at - monday()).num_days()).unwrap();
        if at.hour() == day * 7 % 24 && at.minute() < 40 { 1600.0 } else { 80.0 }
    };
    let why = why(&history(8, wandering));
    assert!(
        matches!(why, Unproven::TooLittlePrevented { left, .. } if left <= 0.5)
            || matches!(why, Unproven::NothingPrevents { .. }),
        "{why}"
    );
    let one = CompileConfig { max_windows: Some(1), ..CompileConfig::default() };
    let twice = |at: DateTime<Utc>| if at.hour() % 12 == 9 && at.minute() < 40 { 1600.0 } else { 80.0 };
    let answer = compiled(&history(8, twice), &one);
    let needed = answer.why_not().unwrap();
    assert!(matches!(needed, Unproven::MoreWindowsNeeded { needed, most: 1 } if *needed >= 2), "{needed}");
}

/// A batch of ten minutes, with less after it: by default windows that are shorter than an hour.
#[test]
fn windows_over_an_hpa_are_as_long_as_is_asked_for() {
    let short = |at: DateTime<Utc>| if at.hour() == 9 && at.minute() < 10 { 1600.0 } else { 80.0 };
    let history = history(8, short);
    let minutes = |min_window: Option<u64>| {
        let min_window = min_window.map(|minutes| std::time::Duration::from_secs(minutes * 60));
        // What longer windows cost does not count here.
        let hpa = HpaBeneath { cost_limit: 10.0, ..hpa() };
        let config = CompileConfig { min_window, ..CompileConfig::default() };
        let need = need_by_load(SignalKind::RequestRate, CAPACITY);
        let answer = compile_over_hpa(&history, &need, &hpa, &config).unwrap();
        let found = answer.draft().schedule.clone();
        let length =
            |window: &scaling_schedule::Window| window.hours_per_week() / f64::from(window.days().len()) * 60.0;
        let shortest = found.windows().iter().map(length).fold(f64::INFINITY, f64::min);
        (shortest, found)
    };
    let (usual, found) = minutes(None);
    assert!((10.0..60.0).contains(&usual), "{found}");
    let (long, found) = minutes(Some(180));
    assert!(long >= 180.0 && long.is_finite(), "{found}");
    let config = CompileConfig { min_window: Some(std::time::Duration::from_secs(43_201)), ..CompileConfig::default() };
    let error =
        compile_over_hpa(&history, &need_by_load(SignalKind::RequestRate, CAPACITY), &hpa(), &config).unwrap_err();
    assert!(error.to_string().starts_with("min_window (minutes) is 720"), "{error}");
}

#[test]
fn a_batch_of_weekdays_gets_windows_of_weekdays_once_weeks_were_seen() {
    let batch = |at: DateTime<Utc>| {
        let is_weekend = chrono::Datelike::weekday(&at).num_days_from_monday() >= 5;
        if is_weekend { 80.0 } else { batch(at) }
    };
    let answer = compiled(&history(21, batch), &CompileConfig::default());
    let found = answer.schedule().unwrap_or_else(|| panic!("{:?}", answer.why_not()));
    let saturday = "2026-12-05T09:10:00Z".parse().unwrap();
    let friday = "2026-12-04T09:10:00Z".parse().unwrap();
    assert!(found.schedule.open_at(saturday).is_none(), "{}", found.schedule);
    assert!(found.schedule.open_at(friday).is_some(), "{}", found.schedule);
}

#[test]
fn a_renewed_schedule_follows_a_load_that_moves_and_holds_floors_without_metrics() {
    let later = |hour: u32| move |at: DateTime<Utc>| if at.hour() == hour && at.minute() < 40 { 1600.0 } else { 80.0 };
    let need = need_by_load(SignalKind::RequestRate, CAPACITY);
    let config = CompileConfig::default();
    let answer = compiled(&history(8, batch), &config);
    // The day on which the old windows were in force for nothing is to be afforded.
    let hpa = HpaBeneath { cost_limit: 10.0, ..hpa() };
    let engine = RenewedSchedule::new(answer.schedule(), &need, &hpa, &config).unwrap();
    let target = Target::deployment("shop", "web");
    let seen = |history: MetricsHistory, day: i64| {
        let at = monday() + TimeDelta::days(day) + TimeDelta::minutes(1);
        let sample = ScalingMetrics::new(at, 3).with(SignalKind::RequestRate, 80.0);
        engine.evaluate(&Observation::new(target.clone(), sample).with_history(history)).unwrap();
        engine.schedule()
    };
    let first = seen(history(8, batch), 8);
    assert_eq!(first, answer.schedule().unwrap().schedule, "as it was compiled on the day of its making");
    let second = seen(history(28, later(14)), 28);
    let at = |text: &str| second.open_at(text.parse().unwrap()).is_some();
    assert!(at("2026-12-15T14:10:00Z") && !at("2026-12-15T09:10:00Z"), "{second}");
    // The source is down: floors go by the clock.
    let now = "2026-12-15T14:10:00Z".parse().unwrap();
    assert!(DecisionEngine::floor(&engine, &target, now).is_some_and(|floor| floor.replicas >= 16));
}

/// After a restart the source may know of a few days only, and of Mondays nothing.
#[test]
fn days_that_a_short_history_has_not_seen_keep_their_windows() {
    let need = need_by_load(SignalKind::RequestRate, CAPACITY);
    let config = CompileConfig::default();
    let batches = |at: DateTime<Utc>| {
        let due = match at.date_naive().weekday() {
            Weekday::Mon => at.hour() == 9,
            Weekday::Fri => at.hour() == 14,
            _ => false,
        };
        if due && at.minute() < 40 { 1600.0 } else { 80.0 }
    };
    let answer = compiled(&history(28, batches), &config);
    let first = answer.schedule().unwrap().schedule.clone();
    let monday_at_nine = "2026-12-21T09:10:00Z".parse().unwrap();
    assert!(first.open_at(monday_at_nine).is_some(), "{first}");
    let engine = RenewedSchedule::new(answer.schedule(), &need, &hpa(), &config).unwrap();
    let target = Target::deployment("shop", "web");
    // Wednesday to Saturday, and the batch of Friday is no more.
    let few = samples(34, |_| 80.0).into_iter().filter(|sample| sample.timestamp >= monday() + TimeDelta::days(30));
    let few: Vec<_> = few.collect();
    for day in [33, 34] {
        let at = monday() + TimeDelta::days(day) + TimeDelta::minutes(1);
        let sample = ScalingMetrics::new(at, 3).with(SignalKind::RequestRate, 80.0);
        let seen = MetricsHistory::from_unordered(few.clone()).0;
        engine.evaluate(&Observation::new(target.clone(), sample).with_history(seen)).unwrap();
    }
    assert_eq!(engine.schedule(), first);
}

#[test]
fn windows_that_a_changed_load_makes_dear_are_given_up_within_the_limit_of_cost() {
    let gone = monday() + TimeDelta::days(8);
    let scenario = scenario(samples(16, |at| if at < gone { batch(at) } else { 80.0 }));
    let alone = scored(&scenario, &Candidate::hpa_on_cpu(70));
    let with = scored(
        &scenario,
        &Candidate::over_hpa("schedule", 70, |training| {
            let (driver, compiled) = driver_over_hpa(70, &CompileConfig::default(), training, |hpa| hpa)?;
            assert!(compiled.schedule().is_some(), "{:?}", compiled.why_not());
            Ok(driver)
        }),
    );
    assert!(with.bound_changes > 0, "the windows of the first day are in force");
    assert!(with.pod_hours <= 1.05 * alone.pod_hours, "{} to {}", with.pod_hours, alone.pod_hours);
}

#[test]
fn an_announced_event_is_sized_for_the_target_and_outlives_the_night() {
    let need = need_by_load(SignalKind::RequestRate, CAPACITY);
    let (config, target) = (CompileConfig::default(), Target::deployment("shop", "web"));
    let date = |text: &str| chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").unwrap();
    let (from, to) = (date("2026-11-26T18:00"), date("2026-11-26T20:00"));
    let sale = AnnouncedEvent { name: "sale".into(), from, to, factor: 10.0 };
    let Compiled::Schedule(found) = compiled(&history(8, batch), &config) else { panic!("it is proven") };
    // Pods that start in 60 s are wanted five minutes ahead, as by other windows: the CronJob must run, and the HPA must see it.
    let found = found.with_events(&[sale]).unwrap();
    let event = &found.schedule.events()[0];
    assert_eq!((event.from(), found.lead), (date("2026-11-26T17:55"), TimeDelta::minutes(5)));
    // 80 requests a second, tenfold, at 70 % of the pods that serve them.
    assert_eq!(event.min(), scaling_core::stats::whole_pods(800.0 / CAPACITY / 0.7));
    let engine = RenewedSchedule::new(Some(&found), &need, &hpa(), &config).unwrap();
    for day in [8, 9, 10] {
        let at = monday() + TimeDelta::days(day) + TimeDelta::minutes(1);
        let sample = ScalingMetrics::new(at, 3).with(SignalKind::RequestRate, 80.0);
        engine.evaluate(&Observation::new(target.clone(), sample).with_history(history(day, batch))).unwrap();
    }
    assert_eq!(engine.schedule().events(), found.schedule.events());
}

/// Office hours with a ramp of half an hour before them and of an hour after, every five minutes, with some noise.
fn office(seed: u64) -> MetricsHistory {
    let mut state = seed;
    let samples = (0..28 * 288).map(|step| {
        let at = monday() + TimeDelta::minutes(5 * step);
        let hour = f64::from(at.hour()) + f64::from(at.minute()) / 60.0;
        let is_weekend = chrono::Datelike::weekday(&at).num_days_from_monday() >= 5;
        let busy = if is_weekend { 0.0 } else { ((hour - 8.5) * 2.0).min(18.0 - hour).clamp(0.0, 1.0) };
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let noise = f64::from(u32::try_from(state >> 40).unwrap()) / f64::from(1 << 24) - 0.5;
        ScalingMetrics::new(at, 3).with(SignalKind::RequestRate, (40.0 + 360.0 * busy) * (1.0 + 0.1 * noise))
    });
    MetricsHistory::from_unordered(samples.collect()).0
}

#[test]
fn what_goes_out_has_windows_and_they_prevent_what_is_stated() {
    let start_up = std::time::Duration::from_secs(300);
    let hpa = HpaBeneath::new(70.0, Bounds::new(2, 100).unwrap(), &WorkloadFacts::default());
    let hpa = HpaBeneath { start_up, ..hpa };
    for seed in 0..3 {
        let need = need_by_load(SignalKind::RequestRate, 60.0);
        let answer = compile_over_hpa(&office(seed), &need, &hpa, &CompileConfig::default()).unwrap();
        let draft = answer.draft();
        let numbers: Vec<usize> = draft.curve.iter().map(|point| point.windows).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]) && !numbers.contains(&0), "seed {seed}: {numbers:?}");
        if let Some(found) = answer.schedule() {
            assert!(!found.schedule.windows().is_empty(), "seed {seed}: {:?}", found.held_out);
        }
    }
}

#[test]
fn a_bad_setting_is_refused_with_its_field() {
    let refused = |change: fn(&mut HpaBeneath)| {
        let mut hpa = hpa();
        change(&mut hpa);
        let need = need_by_load(SignalKind::RequestRate, CAPACITY);
        match compile_over_hpa(&history(4, batch), &need, &hpa, &CompileConfig::default()) {
            Err(CompileError::Config(invalid)) => invalid.field,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(|hpa| hpa.target_percent = 0.0), "target_percent");
    assert_eq!(refused(|hpa| hpa.target_percent = f64::NAN), "target_percent");
    assert_eq!(refused(|hpa| hpa.tolerance = -0.1), "tolerance");
    assert_eq!(refused(|hpa| hpa.start_up = std::time::Duration::MAX), "start_up");
    assert_eq!(refused(|hpa| hpa.cost_limit = f64::INFINITY), "cost_limit");
    assert_eq!(refused(|hpa| hpa.left_limit = 1.5), "left_limit");
}

#[test]
fn savings_come_from_days_that_were_not_learnt_from() {
    let model =
        ClusterModel { limits: HardLimits::new(1, 200).unwrap(), pod_capacity: CAPACITY, ..ClusterModel::default() };
    let config = ProofConfig::new(40, model, CompileConfig::default());
    let proof = block_on(prove(&history(12, batch), &config)).unwrap();
    let text = proof.to_string();
    assert!(proof.why_not().is_none());
    let window = &proof.compiled.schedule().unwrap().schedule.windows()[0];
    assert!(
        text.contains(&format!("what the first 6.0 days make, {}: {} pods", window.name(), window.min())),
        "{text}"
    );
    assert!(text.contains("On the 6.0 days after them, which were not learnt from"), "{text}");
    assert!((proof.constant.pod_hours_a_week() - 40.0 * 168.0).abs() < 1e-6 && proof.constant.violating_share < 1e-9);
    assert!(proof.schedule.violating_share < 0.5 * proof.hpa.violating_share);
    let savings = proof.savings(&Price::per_pod_hour(0.05, Currency::EUR).unwrap());
    let a_week = proof.schedule.pod_hours_a_week() - proof.constant.pod_hours_a_week();
    assert!((savings.against_constant.impact.per_year - a_week / 168.0 * 8760.0 * 0.05).abs() < 1e-6);
    assert!(savings.against_constant.impact.per_month < 0.0);
    assert!(savings.against_hpa.to_string().contains("replay of"), "{}", savings.against_hpa);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_history_compiles_or_is_an_error(
        values in prop::collection::vec(
            (0_i64..10 * 86_400, prop_oneof![5 => 0.0..5000.0_f64, 1 => Just(f64::NAN), 1 => Just(1e300), 1 => Just(-1.0)]), 1..300,
        ),
    ) {
        let samples = values.into_iter().map(|(second, value)| {
            ScalingMetrics::new(monday() + TimeDelta::seconds(second), 3).with(SignalKind::RequestRate, value)
        });
        let history = MetricsHistory::from_unordered(samples.collect()).0;
        let need = need_by_load(SignalKind::RequestRate, CAPACITY);
        if let Ok(answer) = compile_over_hpa(&history, &need, &hpa(), &CompileConfig::default()) {
            let draft = answer.draft();
            prop_assert!(draft.schedule.windows().iter().all(|window| window.min() > 1 && window.min() <= 200));
        }
    }
}
