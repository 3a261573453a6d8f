//! Windows from history.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use chrono::{DateTime, NaiveDateTime, TimeDelta, Timelike, Utc, Weekday};
use proptest::prelude::*;
use scaling_core::conformance::dataset::scenarios;
use scaling_core::{MetricsHistory, ScalingMetrics, SignalKind};
use scaling_schedule::{
    AnnouncedEvent, CompileConfig, CompileError, Compiled, CompiledSchedule, Days, Tz, Unproven, compile, need_by_cpu,
    need_by_load,
};

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

fn answer(history: &MetricsHistory, config: &CompileConfig) -> Compiled {
    compile(history, &need_by_load(SignalKind::RequestRate, 10.0), config).unwrap()
}

/// The windows that are proven, or that the history suggests.
fn compiled(history: &MetricsHistory) -> CompiledSchedule {
    answer(history, &CompileConfig::default()).draft().clone()
}

fn times(window: &scaling_schedule::Window) -> (String, String) {
    (window.from().format("%H:%M").to_string(), window.to().format("%H:%M").to_string())
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
    let answer = compile(&history, &need, &CompileConfig::default()).unwrap();
    // One day proves no pattern; what it suggests can be looked at.
    assert_eq!(answer.why_not(), Some(&Unproven::TooFewDays { days: 1, least: 4 }));
    let compiled = answer.draft();
    let midnight = daily.samples[0].timestamp;
    let at = |hour: i64| floor(compiled, midnight + TimeDelta::hours(hour));
    println!("{}", compiled.schedule);
    for reason in &compiled.reasons {
        println!("{reason}");
    }
    for sample in &daily.samples {
        assert!(f64::from(floor(compiled, sample.timestamp)) >= need.of(sample).unwrap(), "{sample:?}");
    }
    assert!(at(9) > at(14) && at(19) > at(14), "morning and evening above midday");
    assert!(at(14) > at(3), "midday above the night");
    assert_eq!((at(9), at(19), at(3)), (10, 10, 1), "the night needs no window");
    assert!(compiled.schedule.windows().len() <= 6, "{}", compiled.schedule);
    // Pods are there before the load: the nine-o'clock load needs 10, wanted 16 minutes ahead, rounded up to 20.
    assert_eq!(floor(compiled, midnight + TimeDelta::minutes(8 * 60 + 40)), 10);
    assert!(floor(compiled, midnight + TimeDelta::minutes(8 * 60 + 39)) < 10);
    assert!(compiled.confidence.value() <= 0.5);
    assert_eq!(compiled.reasons.len(), compiled.schedule.windows().len());
}

#[test]
fn weekdays_and_weekends_get_their_own_windows_where_they_differ() {
    let office = |at: DateTime<Utc>| if !is_weekend(at) && (9..17).contains(&at.hour()) { 75.0 } else { 15.0 };
    let answer = answer(&history(28, office), &CompileConfig::default());
    let compiled = answer.schedule().unwrap();
    println!("{}", compiled.schedule);
    let windows = compiled.schedule.windows();
    assert_eq!(windows.len(), 2);
    assert_eq!((windows[0].days(), windows[0].min()), (Days::DAILY, 2), "the same for both: one window");
    assert_eq!((windows[1].days(), windows[1].min()), (Days::WEEKDAYS, 8));
    assert_eq!(times(&windows[1]), ("08:40".to_owned(), "17:00".to_owned()));
    assert!(compiled.confidence.value() > 0.75, "eight weekend days, all alike: {:?}", compiled.confidence);
    let held_out = compiled.held_out.unwrap();
    assert_eq!((held_out.days, held_out.violating_share), (14, 0.0));
    assert!(held_out.pod_hours_a_week < held_out.compared_pod_hours_a_week * 0.7, "{held_out:?}");
    assert!(compiled.curve.iter().any(|point| point.chosen && point.windows == 2), "{:?}", compiled.curve);
}

#[test]
fn a_weekly_job_gets_a_window_of_its_own_weekday() {
    let job = |at: DateTime<Utc>| {
        let is_wednesday = chrono::Datelike::weekday(&at) == Weekday::Wed;
        if is_wednesday && (2..5).contains(&at.hour()) { 95.0 } else { 15.0 }
    };
    let answer = answer(&history(35, job), &CompileConfig { violating_share: 0.0, ..CompileConfig::default() });
    let compiled = answer.schedule().unwrap_or_else(|| panic!("{:?}", answer.why_not()));
    let windows = compiled.schedule.windows();
    assert_eq!((windows[1].days(), windows[1].min()), (Days::of([Weekday::Wed]), 10), "{}", compiled.schedule);
    assert_eq!((windows.len(), compiled.reasons[1].days), (2, 5));
}

#[test]
fn one_schedule_for_all_days_where_they_do_not_differ_or_no_weekend_was_seen() {
    let daily = |at: DateTime<Utc>| if (9..17).contains(&at.hour()) { 75.0 } else { 5.0 };
    for days in [14, 5] {
        let answer = answer(&history(days, daily), &CompileConfig::default());
        let windows = answer.schedule().unwrap().schedule.windows();
        assert_eq!((windows.len(), windows[0].days()), (1, Days::DAILY), "{windows:?}");
    }
}

#[test]
fn the_lead_reaches_back_into_the_day_before_whatever_day_that_is() {
    // Weekends are busy from their first minute on.
    let party = |at: DateTime<Utc>| if is_weekend(at) { 95.0 } else { 15.0 };
    let compiled = compiled(&history(28, party));
    let saturday = monday() + TimeDelta::days(5);
    assert_eq!(floor(&compiled, saturday), 10);
    assert_eq!(floor(&compiled, saturday - TimeDelta::minutes(20)), 10, "{}", compiled.schedule);
}

#[test]
fn windows_follow_the_wall_clock_of_the_load() {
    let zone = Tz::Asia__Tokyo;
    let office = |at: DateTime<Utc>| if (9..17).contains(&at.with_timezone(&zone).hour()) { 75.0 } else { 5.0 };
    let config = CompileConfig { time_zone: zone, ..CompileConfig::default() };
    let answer = answer(&history(6, office), &config);
    assert_eq!(times(&answer.schedule().unwrap().schedule.windows()[0]).1, "17:00");
}

#[test]
fn windows_follow_the_wall_clock_over_a_change_of_the_clock() {
    let zone = Tz::Europe__Berlin;
    let start: DateTime<Utc> = "2026-10-12T00:00:00Z".parse().unwrap();
    let samples = (0..28 * 144).map(|step| {
        let at = start + TimeDelta::minutes(step * 10);
        let rate = if (9..17).contains(&at.with_timezone(&zone).hour()) { 75.0 } else { 5.0 };
        ScalingMetrics::new(at, 3).with(SignalKind::RequestRate, rate)
    });
    let history = MetricsHistory::from_unordered(samples.collect()).0;
    let answer = answer(&history, &CompileConfig { time_zone: zone, ..CompileConfig::default() });
    let windows = answer.schedule().unwrap().schedule.windows();
    assert_eq!(windows.len(), 1);
    assert_eq!(times(&windows[0]), ("08:40".to_owned(), "17:00".to_owned()));
}

#[test]
fn one_odd_day_in_many_is_not_a_pattern() {
    let odd = monday() + TimeDelta::days(3);
    let spike = |at: DateTime<Utc>| if at >= odd && at < odd + TimeDelta::hours(4) { 500.0 } else { 5.0 };
    let answer = answer(&history(21, spike), &CompileConfig::default());
    assert!(answer.schedule().is_none(), "{}", answer.draft().schedule);
}

#[test]
fn what_is_not_proven_is_no_schedule_and_says_why() {
    let why = |history: &MetricsHistory| *answer(history, &CompileConfig::default()).why_not().unwrap();
    // Flat.
    assert!(matches!(why(&history(14, |_| 75.0)), Unproven::NothingGained { .. }));
    // Three days.
    assert_eq!(why(&history(3, |_| 75.0)), Unproven::TooFewDays { days: 3, least: 4 });
    // Peaks at another hour each day.
    let wandering = |at: DateTime<Utc>| {
        let day = u32::try_from((at - monday()).num_days()).unwrap();
        if at.hour() == day * 7 % 24 { 150.0 } else { 5.0 }
    };
    assert!(!why(&history(14, wandering)).to_string().is_empty());
    // Ever more load, more than half as much again each day.
    let growing = |at: DateTime<Utc>| {
        let day = f64::from(i32::try_from((at - monday()).num_days()).unwrap());
        (if (9..17).contains(&at.hour()) { 75.0 } else { 25.0 }) * 1.6_f64.powf(day)
    };
    let why = why(&history(14, growing));
    assert!(
        matches!(why, Unproven::NotHeld { .. } | Unproven::Drifts { .. } | Unproven::NothingGained { .. }),
        "{why}"
    );
    assert!(why.to_string().starts_with("no schedule: "), "{why}");
}

#[test]
fn two_peaks_with_a_short_break_are_one_window_and_a_short_peak_is_widened_to_the_early_side() {
    let minute = |at: DateTime<Utc>| at.hour() * 60 + at.minute();
    let broken = |at| {
        if [(540, 570), (600, 630)].iter().any(|(from, to)| (*from..*to).contains(&minute(at))) { 75.0 } else { 5.0 }
    };
    let short = |at| if (540..570).contains(&minute(at)) { 75.0 } else { 5.0 };
    for (history, from, to) in [(history(6, broken), "08:40", "10:30"), (history(6, short), "08:30", "09:30")] {
        let compiled = compiled(&history);
        let windows = compiled.schedule.windows();
        assert_eq!(windows.len(), 1, "{}", compiled.schedule);
        assert_eq!(times(&windows[0]), (from.to_owned(), to.to_owned()));
    }
}

#[test]
fn too_little_history_is_an_error_that_says_how_much() {
    let need = need_by_load(SignalKind::RequestRate, 10.0);
    let config = CompileConfig::default();
    let of = |samples: Vec<ScalingMetrics>| compile(&MetricsHistory::from_unordered(samples).0, &need, &config);
    assert_eq!(of(vec![]), Err(CompileError::TooShort { hours: 0.0 }));
    let half: Vec<_> = history(1, |_| 5.0).iter().take(72).collect();
    assert_eq!(of(half), Err(CompileError::TooShort { hours: 12.0 }));
    // Two days, but only the mornings.
    let mornings: Vec<_> = history(2, |_| 5.0).iter().filter(|sample| sample.timestamp.hour() < 12).collect();
    assert!(matches!(of(mornings), Err(CompileError::TooSparse { percent, .. }) if percent < 60.0));
    // Plenty of samples, none with the signal.
    let blind: Vec<_> = history(2, |_| f64::NAN).iter().collect();
    assert!(matches!(of(blind), Err(CompileError::TooSparse { .. })));
}

#[test]
fn a_bad_setting_is_refused_with_its_field() {
    let day = std::time::Duration::from_secs(86_401);
    let of = |config: CompileConfig| {
        compile(&history(4, |_| 5.0), &need_by_load(SignalKind::RequestRate, 10.0), &config).unwrap_err().to_string()
    };
    let usual = CompileConfig::default;
    for (config, said) in [
        (CompileConfig { slot_minutes: 7, ..usual() }, "slot_minutes is 7; it must be 30 or 60"),
        (CompileConfig { violating_share: 0.5, ..usual() }, "violating_share is 0.5; it must be within 0..=0.2"),
        (CompileConfig { violating_share: f64::NAN, ..usual() }, "violating_share is NaN; it must be within 0..=0.2"),
        (CompileConfig { max_windows: Some(0), ..usual() }, "max_windows is 0; it must be at least 1"),
        (CompileConfig { lead: day, ..usual() }, "lead (minutes)"),
        (CompileConfig { min_window: Some(day), ..usual() }, "min_window (minutes)"),
    ] {
        let error = of(config);
        assert!(error.starts_with(said), "{error}");
    }
    let of = |need| compile(&history(4, |_| 5.0), &need, &usual()).unwrap_err().to_string();
    assert!(of(need_by_cpu(0.0)).starts_with("target_percent is 0"), "{}", of(need_by_cpu(0.0)));
    assert!(of(need_by_load(SignalKind::RequestRate, f64::NAN)).starts_with("load_per_pod is NaN"));
}

#[test]
fn a_lead_over_midnight_opens_on_the_evening_before_each_day_of_the_peak() {
    let peak = |at: DateTime<Utc>| if !is_weekend(at) && at.hour() == 0 { 200.0 } else { 20.0 };
    let compiled = compiled(&history(28, peak));
    let windows = compiled.schedule.windows();
    assert_eq!(windows.len(), 2, "{}", compiled.schedule);
    let evenings = Days::of([Weekday::Sun, Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu]);
    assert_eq!((windows[1].days(), windows[1].min()), (evenings, 20));
    assert_eq!(times(&windows[1]), ("23:40".to_owned(), "01:00".to_owned()));
    let saturday = monday() + TimeDelta::days(5);
    assert_eq!(floor(&compiled, saturday), 2, "the night to Saturday has no peak");
    assert_eq!(floor(&compiled, saturday + TimeDelta::days(2)), 20);
}

#[test]
fn fewer_windows_can_be_asked_for_and_hold_as_much() {
    let steps = |at: DateTime<Utc>| f64::from(10 + 15 * (at.hour() / 3).min(8 - at.hour() / 3));
    let history = history(14, steps);
    let free = answer(&history, &CompileConfig::default());
    let one = answer(&history, &CompileConfig { max_windows: Some(1), ..CompileConfig::default() });
    let (free, one) = (free.draft(), one.draft());
    assert!(one.schedule.windows().len() == 1 && free.schedule.windows().len() > 1, "{}", free.schedule);
    for sample in history.iter() {
        assert!(floor(one, sample.timestamp) >= floor(free, sample.timestamp), "{}", one.schedule);
    }
    let points = free.curve.iter().zip(free.curve.iter().skip(1));
    for (fewer, more) in points {
        assert!(fewer.windows < more.windows, "{:?}", free.curve);
    }
    assert_eq!(free.curve.iter().filter(|point| point.chosen).count(), 1);
}

#[test]
fn what_it_is_compared_with_is_measured_on_the_held_out_days() {
    // The last days have an hour above what the constant size holds, of which one request in a hundred may come.
    let office = |at: DateTime<Utc>| if (9..17).contains(&at.hour()) { 75.0 } else { 15.0 };
    let answer = answer(&history(14, office), &CompileConfig { violating_share: 0.05, ..CompileConfig::default() });
    let held_out = answer.draft().held_out.unwrap();
    // The constant size holds the peak, for two thirds of the requests come in it.
    assert_eq!((held_out.compared_violating_share, held_out.compared_pod_hours_a_week), (0.0, 8.0 * 168.0));
}

#[test]
fn a_load_that_needs_no_window_has_no_schedule() {
    let config = CompileConfig { outside: 8, ..CompileConfig::default() };
    let office = |at: DateTime<Utc>| if (9..17).contains(&at.hour()) { 75.0 } else { 15.0 };
    let enough = answer(&history(14, office), &config);
    assert_eq!(enough.why_not(), Some(&scaling_schedule::Unproven::NothingNeeded { outside: 8 }));
    assert!(enough.draft().schedule.windows().is_empty() && enough.draft().confidence.value() <= 0.5);
    let idle = answer(&history(14, |_| 0.0), &CompileConfig { outside: 0, ..CompileConfig::default() });
    assert_eq!(idle.why_not(), Some(&scaling_schedule::Unproven::NothingNeeded { outside: 0 }));
}

#[test]
fn an_announced_sale_becomes_a_window_of_its_date() {
    let office = |at: DateTime<Utc>| if (9..21).contains(&at.hour()) { 40.0 } else { 10.0 };
    let compiled = compiled(&history(14, office));
    let date = |text: &str| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").unwrap();
    let sale = |factor| AnnouncedEvent {
        name: "flash sale".into(),
        from: date("2026-12-04T18:00"),
        to: date("2026-12-04T20:00"),
        factor,
    };
    let with = compiled.clone().with_events(&[sale(10.0)]).unwrap();
    let at = |text: &str| with.schedule.open_at(text.parse().unwrap()).map(|open| (open.window, open.min));
    assert_eq!(at("2026-12-04T17:45:00Z"), Some(("flash sale", 40)));
    assert_eq!(at("2026-12-04T19:59:00Z"), Some(("flash sale", 40)));
    assert_ne!(at("2026-12-11T18:30:00Z").map(|open| open.1), Some(40), "once");
    for factor in [0.0, -1.0, f64::NAN] {
        let error = compiled.clone().with_events(&[sale(factor)]).unwrap_err();
        assert!(error.to_string().starts_with("window \"flash sale\": "), "{error}");
    }
}

#[test]
fn a_history_a_week_later_compiles_to_the_same_windows() {
    let office = |at: DateTime<Utc>| if !is_weekend(at) && (9..17).contains(&at.hour()) { 75.0 } else { 15.0 };
    let shifted = |weeks: i64| {
        let history = history(28, office);
        let samples = history.iter().map(|mut sample| {
            sample.timestamp += TimeDelta::weeks(weeks);
            sample
        });
        compiled(&MetricsHistory::from_unordered(samples.collect()).0)
    };
    assert_eq!(shifted(0), shifted(1));
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
                let compiled = compile(&history, &need_by_load(SignalKind::RequestRate, 10.0), &config);
                if let Ok(compiled) = compiled {
                    assert_eq!(floor(compiled.draft(), monday()), 5, "{start} {time_zone} every {minutes} min");
                }
            }
        }
    }
}

/// Samples of any kind: late, doubled, huge, negative, absent.
fn hostile() -> impl Strategy<Value = Vec<(i64, f64)>> {
    let value = prop_oneof![
        6 => 0.0..500.0_f64,
        1 => Just(f64::NAN),
        1 => Just(-5.0),
        1 => Just(1e300),
        1 => Just(f64::INFINITY),
    ];
    prop::collection::vec((0_i64..20 * 86_400, value), 1..400)
}

/// With a lead of five hours the windows of the weekdays are open at each peak of the weekend, but not five hours before it: pods that
/// are asked for at a peak are not ready then.
#[test]
fn a_peak_under_a_window_that_opened_too_late_for_it_is_not_held() {
    let peaks = |peaks: &'static [(u32, f64)], hour: u32| {
        peaks.iter().find(|(at, _)| *at == hour).map_or(0.0, |(_, rate)| *rate)
    };
    let rate = |at: DateTime<Utc>| {
        let weekend = &[(5, 104.0), (10, 137.0), (17, 122.0), (20, 111.0), (22, 53.0)];
        let weekday = &[(7, 113.0), (15, 147.0), (20, 122.0), (23, 115.0)];
        peaks(if is_weekend(at) { weekend } else { weekday }, at.hour())
    };
    let config = CompileConfig {
        slot_minutes: 30,
        violating_share: 0.0,
        lead: std::time::Duration::from_mins(296),
        min_window: Some(std::time::Duration::ZERO),
        ..CompileConfig::default()
    };
    let compiled = answer(&history(28, rate), &config).draft().clone();
    let five_hours_before = "2026-12-12T00:04:00Z".parse().unwrap();
    assert!(floor(&compiled, five_hours_before) >= 11, "{}", compiled.schedule);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn windows_cover_what_they_claim_and_are_long_enough(
        weekday in prop::collection::vec(0.0..150.0, 24),
        weekend in prop::collection::vec(0.0..150.0, 24),
        slot_minutes in prop::sample::select(vec![30, 60]),
        lead in prop_oneof![3 => 0_u64..90, 1 => 90_u64..=1440],
        min_window in 0_u64..180,
        same in any::<bool>(),
    ) {
        let rate = |at: DateTime<Utc>| {
            let hours = if is_weekend(at) && !same { &weekend } else { &weekday };
            hours[at.hour() as usize]
        };
        let history = history(28, rate);
        let config = CompileConfig {
            slot_minutes,
            violating_share: 0.0,
            lead: std::time::Duration::from_secs(lead * 60),
            min_window: Some(std::time::Duration::from_secs(min_window * 60)),
            ..CompileConfig::default()
        };
        let compiled = answer(&history, &config).draft().clone();
        for sample in history.iter() {
            let need = rate(sample.timestamp) / 10.0;
            // A week later, too, and a lead before.
            for at in [sample.timestamp, sample.timestamp + TimeDelta::days(7) - TimeDelta::minutes(i64::try_from(lead).unwrap())] {
                let floor = floor(&compiled, at);
                prop_assert!(f64::from(floor) >= need - 1e-6, "{at}: {floor} for {need}\n{}", compiled.schedule);
            }
        }
        for window in compiled.schedule.windows() {
            let hours = window.hours_per_week() / f64::from(window.days().len());
            prop_assert!(hours * 60.0 >= min_window as f64, "{}", compiled.schedule);
        }
        // Law 10: the reason says the numbers of the days of its own window.
        for (reason, window) in compiled.reasons.iter().zip(compiled.schedule.windows()) {
            prop_assert_eq!((&reason.window[..], reason.pods), (window.name(), window.min()));
            prop_assert!(reason.highest <= f64::from(reason.pods) + 1e-6 && (reason.quantile - 1.0).abs() < 1e-9, "{reason}");
            prop_assert!(reason.coverage.is_none_or(|coverage| (coverage - 1.0).abs() < 1e-9), "{reason}");
        }
        // Adjacent windows of one size would be one.
        let week = compiled.schedule.week();
        for (a, b) in week.segments().iter().zip(week.segments().iter().skip(1)) {
            prop_assert!(a.floor != b.floor, "{}", compiled.schedule);
        }
    }

    /// What is stated of held-out days holds on days that follow, for loads whose days are drawn alike.
    #[test]
    fn the_stated_coverage_is_realised(seed in 0_u64..1000, share in prop::sample::select(vec![0.01, 0.05])) {
        let jitter = |at: DateTime<Utc>| {
            let mut bits = at.timestamp().cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed.wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ (bits >> 30)).wrapping_mul(0x94d0_49bb_1331_11eb);
            0.8 + 0.4 * ((bits >> 11) as f64 / (1_u64 << 53) as f64)
        };
        let rate = |at: DateTime<Utc>| jitter(at) * if (8..20).contains(&at.hour()) { 200.0 } else { 60.0 };
        let config = CompileConfig { violating_share: share, ..CompileConfig::default() };
        let answer = answer(&history(28, rate), &config);
        let compiled = answer.schedule().unwrap();
        let stated = compiled.held_out.unwrap().coverage;
        let later = (28 * 144..42 * 144).map(|step| monday() + TimeDelta::minutes(step * 10));
        let (held, all) = later.fold((0.0, 0.0), |(held, all), at| {
            let holds = f64::from(floor(compiled, at)) >= rate(at) / 10.0;
            (held + f64::from(u8::from(holds)), all + 1.0)
        });
        prop_assert!((held / all - stated).abs() < 0.02, "stated {stated}, realised {}", held / all);
        prop_assert!(compiled.held_out.unwrap().violating_share <= share + 1e-9);
    }

    #[test]
    fn any_history_compiles_or_is_an_error(samples in hostile(), zone in prop::sample::select(vec![Tz::UTC, Tz::America__New_York])) {
        let samples = samples.into_iter().map(|(second, value)| {
            ScalingMetrics::new(monday() + TimeDelta::seconds(second), 3).with(SignalKind::RequestRate, value)
        });
        let history = MetricsHistory::from_unordered(samples.collect()).0;
        let config = CompileConfig { time_zone: zone, ..CompileConfig::default() };
        if let Ok(answer) = compile(&history, &need_by_load(SignalKind::RequestRate, 10.0), &config) {
            let draft = answer.draft();
            prop_assert!(draft.confidence.value() <= 1.0 && draft.reasons.len() == draft.schedule.windows().len());
            prop_assert!(draft.reasons.iter().all(|reason| reason.quantile.is_finite() && reason.highest.is_finite()));
        }
    }
}
