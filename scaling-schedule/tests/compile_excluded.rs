//! Dates that are excluded, such as holidays: neither learnt from nor held out.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use chrono::{DateTime, NaiveDate, TimeDelta, Timelike, Utc};
use futures::executor::block_on;
use proptest::prelude::*;
use scaling_core::backtest::ClusterModel;
use scaling_core::{Bounds, HardLimits, MetricsHistory, ScalingMetrics, SignalKind, WorkloadFacts};
use scaling_schedule::{
    CompileConfig, CompileError, Compiled, Days, ExcludedDates, HpaBeneath, ProofConfig, Tz, compile, compile_over_hpa,
    need_by_load, prove,
};

const ZONE: Tz = Tz::Europe__Berlin;

/// A Monday, at midnight in Berlin.
fn monday() -> DateTime<Utc> {
    "2026-11-01T23:00:00Z".parse().unwrap()
}

fn date(at: DateTime<Utc>) -> NaiveDate {
    at.with_timezone(&ZONE).date_naive()
}

/// A day in the part that is learnt from, one at its end, and two of the days that are held out.
fn holidays() -> ExcludedDates {
    ["2026-11-05", "2026-11-08", "2026-11-11", "2026-11-20"].map(|date| date.parse().unwrap()).into_iter().collect()
}

fn history(days: i64, every: i64, rate: impl Fn(DateTime<Utc>) -> f64) -> MetricsHistory {
    let samples = (0..days * 1440 / every).map(|step| {
        let at = monday() + TimeDelta::minutes(step * every);
        ScalingMetrics::new(at, 3).with(SignalKind::RequestRate, rate(at))
    });
    MetricsHistory::from_unordered(samples.collect()).0
}

/// An office's load; on holidays another.
fn office(holiday: f64) -> impl Fn(DateTime<Utc>) -> f64 {
    move |at| {
        let local = at.with_timezone(&ZONE);
        let weekend = Days::WEEKEND.contains(chrono::Datelike::weekday(&local));
        let busy = !weekend && (9..17).contains(&local.hour());
        if holidays().contains(date(at)) {
            holiday
        } else if busy {
            75.0
        } else {
            15.0
        }
    }
}

/// A batch that comes every day at nine, more than an HPA meets in time; on holidays another load.
fn batch(holiday: f64) -> impl Fn(DateTime<Utc>) -> f64 {
    move |at| {
        let local = at.with_timezone(&ZONE);
        let batch = local.hour() == 9 && local.minute() < 40;
        if holidays().contains(date(at)) {
            holiday
        } else if batch {
            1600.0
        } else {
            80.0
        }
    }
}

fn config(excluded: ExcludedDates) -> CompileConfig {
    CompileConfig { time_zone: ZONE, excluded, ..CompileConfig::default() }
}

fn compiled(history: &MetricsHistory, excluded: ExcludedDates) -> Compiled {
    compile(history, &need_by_load(SignalKind::RequestRate, 10.0), &config(excluded)).unwrap()
}

fn over_hpa(history: &MetricsHistory, excluded: ExcludedDates) -> Compiled {
    let hpa = HpaBeneath::new(70.0, Bounds::new(1, 200).unwrap(), &WorkloadFacts::default());
    compile_over_hpa(history, &need_by_load(SignalKind::RequestRate, 50.0), &hpa, &config(excluded)).unwrap()
}

#[test]
fn holidays_of_next_to_no_load_or_a_huge_one_change_nothing() {
    let usual = compiled(&history(28, 10, office(15.0)), holidays());
    let schedule = &usual.schedule().unwrap_or_else(|| panic!("{:?}", usual.why_not())).schedule;
    assert_eq!(schedule.windows().len(), 2, "{schedule}");
    for holiday in [0.0, 0.1, 5000.0, f64::NAN] {
        let answer = compiled(&history(28, 10, office(holiday)), holidays());
        let found = answer.schedule().unwrap_or_else(|| panic!("{:?}", answer.why_not()));
        assert_eq!(&found.schedule, schedule);
        if holiday.is_finite() {
            assert_eq!(answer, usual, "{holiday}");
            assert_eq!((found.excluded_days, found.held_out.unwrap().days), (4, 12));
        }
    }
    // Without a word they are days like others.
    let believed = compiled(&history(28, 10, office(5000.0)), ExcludedDates::default());
    assert!(believed.schedule().is_none_or(|found| &found.schedule != schedule));
    assert_eq!(believed.draft().excluded_days, 0);
}

#[test]
fn over_an_hpa_holidays_change_nothing_either() {
    let usual = over_hpa(&history(12, 5, batch(80.0)), holidays());
    let found = usual.schedule().unwrap_or_else(|| panic!("{:?}", usual.why_not()));
    assert_eq!((found.excluded_days, found.held_out.unwrap().days), (3, 4));
    assert_eq!(over_hpa(&history(12, 5, batch(9000.0)), holidays()), usual);
    assert_ne!(over_hpa(&history(12, 5, batch(9000.0)), ExcludedDates::default()), usual);
}

#[test]
fn a_proof_replays_no_holidays() {
    let model =
        ClusterModel { limits: HardLimits::new(1, 200).unwrap(), pod_capacity: 50.0, ..ClusterModel::default() };
    let proof = |holiday: f64| {
        let config = ProofConfig::new(40, model.clone(), config(holidays()));
        block_on(prove(&history(12, 5, batch(holiday)), &config)).unwrap()
    };
    let usual = proof(80.0);
    // Of six days from the eighth of November on, the eighth and the eleventh are left out.
    assert_eq!(usual.excluded_days, 3);
    assert!((3.9..4.1).contains(&(usual.schedule.hours / 24.0)), "{usual}");
    assert!(usual.to_string().contains("3 excluded dates were neither learnt from nor replayed"), "{usual}");
    assert_eq!(proof(9000.0), usual);
}

#[test]
fn a_history_of_holidays_alone_says_that_they_are_excluded() {
    let all: ExcludedDates = (0..8).map(|day| date(monday() + TimeDelta::days(day))).collect();
    let need = need_by_load(SignalKind::RequestRate, 10.0);
    let error = compile(&history(7, 10, office(15.0)), &need, &config(all.clone())).unwrap_err();
    assert_eq!(error, CompileError::TooSparse { percent: 0.0, excluded_days: 7 });
    assert!(error.to_string().contains("without the excluded dates (7)"), "{error}");
    let answer = over_hpa(&history(7, 10, batch(80.0)), all);
    assert!(answer.schedule().is_none() && answer.draft().excluded_days == 7);
}

#[test]
fn growth_is_told_from_the_same_weekday_a_week_before_where_dates_are_missing() {
    let with_week = |at: DateTime<Utc>| {
        let weekend = Days::WEEKEND.contains(chrono::Datelike::weekday(&at.with_timezone(&ZONE)));
        office(15.0)(at) * if weekend { 0.2 } else { 1.0 }
    };
    let excluded: ExcludedDates = [4, 9, 18].into_iter().map(|day| date(monday() + TimeDelta::days(day))).collect();
    let answer = compiled(&history(35, 10, with_week), excluded);
    assert!(answer.schedule().is_some(), "{:?}", answer.why_not());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever came on excluded dates, and whatever these are: nothing of it is in the answer.
    #[test]
    fn what_came_on_excluded_dates_is_in_no_answer(
        days in prop::collection::btree_set(0_i64..21, 0..6),
        loads in prop::collection::vec(prop_oneof![Just(0.0), Just(1e5), 0.0..500.0_f64], 24),
        every in prop::sample::select(vec![7_i64, 10, 45]),
    ) {
        let excluded: ExcludedDates = days.iter().map(|day| date(monday() + TimeDelta::days(*day))).collect();
        let usual = office(15.0);
        let other = |at: DateTime<Utc>| {
            if excluded.contains(date(at)) { loads[at.hour() as usize] } else { usual(at) }
        };
        prop_assert_eq!(
            compiled(&history(21, every, &usual), excluded.clone()),
            compiled(&history(21, every, other), excluded.clone())
        );
    }
}
