//! Windows from history.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use chrono::{DateTime, TimeDelta, Timelike, Utc, Weekday};
use proptest::prelude::*;
use scaling_core::conformance::dataset::scenarios;
use scaling_core::{MetricsHistory, ScalingMetrics, SignalKind};
use scaling_schedule::{CompileConfig, CompileError, CompiledSchedule, Days, Tz, compile, need_by_cpu, need_by_load};

/// A Monday.
fn monday() -> DateTime<Utc> {
    "2026-11-16T00:00:00Z".parse().unwrap()
}

/// Request rates every ten minutes for some days; one pod carries 10.
fn history(days: i64, rate: impl Fn(DateTime<Utc>) -> f64) -> MetricsHistory {
    let samples = (0..days * 144).map(|step| {
        let at = monday() + TimeDelta::minutes(step * 10);
        ScalingMetrics::new(at, 3).with(SignalKind::RequestRate, rate(at))
    });
    MetricsHistory::from_unordered(samples.collect()).0
}

fn compiled(history: &MetricsHistory) -> CompiledSchedule {
    compile(history, need_by_load(SignalKind::RequestRate, 10.0), &CompileConfig::default()).unwrap()
}

fn floor(compiled: &CompiledSchedule, at: DateTime<Utc>) -> u32 {
    compiled.schedule.open_at(at).map_or(1, |open| open.min)
}

fn is_weekend(at: DateTime<Utc>) -> bool {
    Days::WEEKEND.contains(chrono::Datelike::weekday(&at))
}

#[test]
fn the_daily_pattern_of_the_dataset_becomes_two_peaks_on_a_low_night() {
    let all = scenarios(include_str!("../../test_data/metrics_dataset.json")).unwrap();
    let daily = all.into_iter().find(|scenario| scenario.name == "daily_peak_pattern").unwrap();
    let need = need_by_cpu(70.0);
    let history = MetricsHistory::from_unordered(daily.samples.clone()).0;
    let compiled = compile(&history, &need, &CompileConfig::default()).unwrap();
    let midnight = daily.samples[0].timestamp;
    let at = |hour: i64| floor(&compiled, midnight + TimeDelta::hours(hour));
    println!("{}", compiled.schedule);
    for reason in &compiled.reasons {
        println!("{reason}");
    }
    for sample in &daily.samples {
        assert!(f64::from(floor(&compiled, sample.timestamp)) >= need(sample).unwrap(), "{sample:?}");
    }
    assert!(at(9) > at(14) && at(19) > at(14), "morning and evening above midday");
    assert!(at(14) > at(3), "midday above the night");
    assert_eq!((at(9), at(19), at(3)), (10, 10, 2));
    assert!(compiled.schedule.windows().len() <= 6, "{}", compiled.schedule);
    // Pods are there before the load: the nine-o'clock load needs 10, wanted 16 minutes ahead, rounded up to 20.
    assert_eq!(floor(&compiled, midnight + TimeDelta::minutes(8 * 60 + 40)), 10);
    assert!(floor(&compiled, midnight + TimeDelta::minutes(8 * 60 + 39)) < 10);
    // One day proves no pattern.
    assert!(compiled.confidence.value() <= 0.5);
    assert_eq!(compiled.reasons.len(), compiled.schedule.windows().len());
}

#[test]
fn weekdays_and_weekends_get_their_own_windows_where_they_differ() {
    let office = |at: DateTime<Utc>| if !is_weekend(at) && (9..17).contains(&at.hour()) { 75.0 } else { 15.0 };
    let compiled = compiled(&history(14, office));
    println!("{}", compiled.schedule);
    let windows = compiled.schedule.windows();
    assert_eq!(windows.len(), 2);
    assert_eq!((windows[0].days(), windows[0].min()), (Days::DAILY, 2), "the same for both: one window");
    assert_eq!((windows[1].days(), windows[1].min()), (Days::WEEKDAYS, 8));
    assert_eq!(windows[1].from().to_string(), "08:40:00");
    assert_eq!(windows[1].to().to_string(), "17:00:00");
    assert!(compiled.confidence.value() > 0.75, "four weekend days, all alike: {:?}", compiled.confidence);
}

#[test]
fn one_schedule_for_all_days_where_they_do_not_differ_or_no_weekend_was_seen() {
    let daily = |at: DateTime<Utc>| if (9..17).contains(&at.hour()) { 75.0 } else { 5.0 };
    for days in [14, 5] {
        let compiled = compiled(&history(days, daily));
        assert_eq!(compiled.schedule.windows().len(), 1, "{}", compiled.schedule);
        assert_eq!(compiled.schedule.windows()[0].days(), Days::DAILY);
    }
}

#[test]
fn the_lead_reaches_back_into_the_day_before_whatever_day_that_is() {
    // Weekends are busy from their first minute on.
    let party = |at: DateTime<Utc>| if is_weekend(at) { 95.0 } else { 15.0 };
    let compiled = compiled(&history(14, party));
    let saturday = monday() + TimeDelta::days(5);
    assert_eq!(floor(&compiled, saturday), 10);
    assert_eq!(floor(&compiled, saturday - TimeDelta::minutes(20)), 10, "{}", compiled.schedule);
}

#[test]
fn windows_follow_the_wall_clock_of_the_load() {
    let zone = Tz::Asia__Tokyo;
    let office = |at: DateTime<Utc>| if (9..17).contains(&at.with_timezone(&zone).hour()) { 75.0 } else { 5.0 };
    let config = CompileConfig { time_zone: zone, ..CompileConfig::default() };
    let compiled = compile(&history(3, office), need_by_load(SignalKind::RequestRate, 10.0), &config).unwrap();
    assert_eq!(compiled.schedule.windows()[0].to().to_string(), "17:00:00");
}

#[test]
fn one_odd_day_in_many_is_not_a_pattern() {
    let odd = monday() + TimeDelta::days(3);
    let spike = |at: DateTime<Utc>| if at >= odd && at < odd + TimeDelta::hours(4) { 500.0 } else { 5.0 };
    assert!(compiled(&history(21, spike)).schedule.windows().is_empty());
}

#[test]
fn what_comes_on_more_than_a_tenth_of_the_days_is_held_for() {
    // Three days of twenty-one.
    let rate = |at: DateTime<Utc>| if (at - monday()).num_days() % 7 == 2 && at.hour() == 9 { 75.0 } else { 5.0 };
    let compiled = compiled(&history(21, rate));
    assert_eq!(compiled.schedule.windows().len(), 1, "{}", compiled.schedule);
    assert_eq!(compiled.schedule.windows()[0].min(), 8);
    assert!(compiled.confidence.value() < 0.95, "and the days that differ cost confidence: {:?}", compiled.confidence);
}

#[test]
fn two_peaks_with_a_short_break_are_one_window_and_a_short_peak_is_widened_to_the_early_side() {
    let minute = |at: DateTime<Utc>| at.hour() * 60 + at.minute();
    let broken = |at| {
        if [(540, 570), (600, 630)].iter().any(|(from, to)| (*from..*to).contains(&minute(at))) { 75.0 } else { 5.0 }
    };
    let short = |at| if (540..570).contains(&minute(at)) { 75.0 } else { 5.0 };
    for (history, from, to) in
        [(history(3, broken), "08:40:00", "10:30:00"), (history(3, short), "08:30:00", "09:30:00")]
    {
        let compiled = compiled(&history);
        let windows = compiled.schedule.windows();
        assert_eq!(windows.len(), 1, "{}", compiled.schedule);
        assert_eq!((windows[0].from().to_string().as_str(), windows[0].to().to_string().as_str()), (from, to));
    }
}

#[test]
fn too_little_history_is_an_error_that_says_how_much() {
    let need = || need_by_load(SignalKind::RequestRate, 10.0);
    let config = CompileConfig::default();
    let of = |samples: Vec<ScalingMetrics>| compile(&MetricsHistory::from_unordered(samples).0, need(), &config);
    assert_eq!(of(vec![]), Err(CompileError::TooShort { hours: 0.0 }));
    let half: Vec<_> = history(1, |_| 5.0).iter().take(72).collect();
    assert_eq!(of(half), Err(CompileError::TooShort { hours: 12.0 }));
    // Two days, but only the mornings.
    let mornings: Vec<_> = history(2, |_| 5.0).iter().filter(|sample| sample.timestamp.hour() < 12).collect();
    assert!(matches!(of(mornings), Err(CompileError::TooSparse { percent }) if percent < 60.0));
    // Plenty of samples, none with the signal.
    let blind: Vec<_> = history(2, |_| f64::NAN).iter().collect();
    assert!(matches!(of(blind), Err(CompileError::TooSparse { .. })));
    let wrong = CompileConfig { slot_minutes: 7, ..CompileConfig::default() };
    let error = compile(&history(2, |_| 5.0), need(), &wrong).unwrap_err();
    assert_eq!(error.to_string(), "slot_minutes is 7; it must be 30 or 60");
}

#[test]
fn a_lead_over_midnight_opens_on_the_evening_before_each_day_of_the_peak_and_says_its_need() {
    let peak = |at: DateTime<Utc>| if !is_weekend(at) && at.hour() == 0 { 200.0 } else { 20.0 };
    let compiled = compiled(&history(14, peak));
    let windows = compiled.schedule.windows();
    assert_eq!(windows.len(), 2, "{}", compiled.schedule);
    let evenings = Days::of([Weekday::Sun, Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu]);
    assert_eq!((windows[1].days(), windows[1].min()), (evenings, 20));
    assert_eq!(
        (windows[1].from().to_string().as_str(), windows[1].to().to_string().as_str()),
        ("23:40:00", "01:00:00")
    );
    assert!((compiled.reasons[1].peak_need - 20.0).abs() < 1e-9, "{}", compiled.reasons[1]);
    // Ten weekdays are behind it, no weekend.
    assert!((compiled.reasons[1].days_seen - 10.0).abs() < 1e-9, "{}", compiled.reasons[1]);
    let saturday = monday() + TimeDelta::days(5);
    assert_eq!(floor(&compiled, saturday), 2, "the night to Saturday has no peak");
    assert_eq!(floor(&compiled, saturday + TimeDelta::days(2)), 20);
}

#[test]
fn a_window_whose_whole_length_is_lead_says_the_need_that_follows_it() {
    let peak = |at: DateTime<Utc>| if at.hour() == 0 { 200.0 } else { 20.0 };
    for hours in [1, 6, 24] {
        let lead = std::time::Duration::from_secs(hours * 3600);
        let config = CompileConfig { lead, ..CompileConfig::default() };
        let compiled = compile(&history(7, peak), need_by_load(SignalKind::RequestRate, 10.0), &config).unwrap();
        let reason = compiled.reasons.last().unwrap();
        assert!((reason.peak_need - 20.0).abs() < 1e-9, "{hours} h: {reason}");
    }
}

#[test]
fn any_instant_that_the_calendar_can_express_compiles_or_is_an_error() {
    let (first, last) = (DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC);
    for start in [first, first + TimeDelta::days(1), last - TimeDelta::days(3), last - TimeDelta::hours(47)] {
        for time_zone in [Tz::UTC, Tz::Pacific__Kiritimati, Tz::America__Los_Angeles] {
            for minutes in [1, 60, 240] {
                let times = (0..).map(|step| start.checked_add_signed(TimeDelta::minutes(step * minutes)));
                let samples = times.take_while(Option::is_some).flatten().take(3 * 1440);
                let samples = samples.map(|at| ScalingMetrics::new(at, 3).with(SignalKind::RequestRate, 50.0));
                let (history, _) = MetricsHistory::from_unordered(samples.collect());
                let config = CompileConfig { time_zone, ..CompileConfig::default() };
                let compiled = compile(&history, need_by_load(SignalKind::RequestRate, 10.0), &config);
                if let Ok(compiled) = compiled {
                    assert_eq!(floor(&compiled, monday()), 5, "{start} {time_zone} every {minutes} min");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn no_slot_gets_less_than_it_needs_and_windows_are_long_enough(
        weekday in prop::collection::vec(0.0..150.0, 24),
        weekend in prop::collection::vec(0.0..150.0, 24),
        slot_minutes in prop::sample::select(vec![30, 60]),
        lead in prop_oneof![3 => 0_u64..90, 1 => 90_u64..=1440],
        min_window in 0_u64..180,
        merge_pods in 0_u32..4,
        same in any::<bool>(),
    ) {
        let rate = |at: DateTime<Utc>| {
            let hours = if is_weekend(at) && !same { &weekend } else { &weekday };
            hours[at.hour() as usize]
        };
        let history = history(7, rate);
        let config = CompileConfig {
            slot_minutes,
            quantile: 1.0,
            lead: std::time::Duration::from_secs(lead * 60),
            min_window: std::time::Duration::from_secs(min_window * 60),
            merge_pods,
            ..CompileConfig::default()
        };
        let compiled = compile(&history, need_by_load(SignalKind::RequestRate, 10.0), &config).unwrap();
        for sample in history.iter() {
            let need = rate(sample.timestamp) / 10.0;
            // A week later, too, and a lead before.
            for at in [sample.timestamp, sample.timestamp + TimeDelta::days(7) - TimeDelta::minutes(i64::try_from(lead).unwrap())] {
                let floor = floor(&compiled, at);
                // Kinds of day that differ by less than the tolerance share one schedule, which is the higher of both.
                prop_assert!(f64::from(floor) >= need - 1e-6, "{at}: {floor} for {need}\n{}", compiled.schedule);
            }
        }
        for window in compiled.schedule.windows() {
            let hours = window.hours_per_week() / f64::from(window.days().len());
            prop_assert!(hours * 60.0 >= min_window as f64, "{}", compiled.schedule);
        }
        // Law 10: the reason says the need that the window holds pods for.
        for (reason, window) in compiled.reasons.iter().zip(compiled.schedule.windows()) {
            prop_assert_eq!(&reason.window, window.name());
            let (need, pods) = (reason.peak_need, window.min());
            let tolerance = merge_pods.max(pods / 5);
            prop_assert!(need <= f64::from(pods) + 1e-6, "{reason}: {pods} pods");
            prop_assert!(need + f64::from(tolerance) + 1.0 > f64::from(pods), "{reason}: {pods} pods, tolerance {tolerance}");
        }
    }
}
