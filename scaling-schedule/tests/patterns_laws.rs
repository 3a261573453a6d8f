//! Laws of patterns, over any data.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

#[path = "support/signals.rs"]
mod signals;

use proptest::prelude::*;
use scaling_core::chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use scaling_core::{MetricsHistory, ScalingMetrics, SignalKind};
use scaling_schedule::patterns::{AnalyzeError, CourseKind, LeftOut};
use scaling_schedule::{AnalyzeConfig, ExcludedDates, Load, Patterns, Tz, analyze, analyze_values};
use signals::{Noise, day, found, is_weekend, samples};

type Samples = Vec<(DateTime<Utc>, f64)>;

/// A load with some of everything, by seed.
fn some_load(seed: u64, days: i64) -> Samples {
    let mut noise = Noise(seed);
    let [weekend, trend, scatter, job] = [0.5, 0.02, 0.3, 3.0].map(|most| most * noise.uniform());
    samples(Tz::UTC, days, 30, |since, local| {
        let growth = 1.0 + trend * since as f64;
        let weekly = if is_weekend(local) { 1.0 - weekend } else { 1.0 };
        let extra = if since % 7 == 2 && local.to_string().contains("03:") { job } else { 0.0 };
        (100.0 * growth * (day(local) * weekly * (1.0 + scatter * noise.normal()) + extra)).max(0.0)
    })
}

/// Every verdict, in words.
fn verdicts(patterns: &Patterns) -> String {
    let periods: Vec<_> = patterns.periods.iter().map(|period| (period.minutes, period.verdict)).collect();
    let weekdays: Vec<_> = patterns.weekdays.iter().map(|day| day.verdict).collect();
    let course = match &patterns.course.kind {
        CourseKind::Shifts(shifts) => format!("{} shifts", shifts.len()),
        CourseKind::Trend { change, .. } => format!("trend {}", *change > 0.0),
        other => format!("{other:?}"),
    };
    let stretches: Vec<_> = patterns
        .usual_days
        .iter()
        .map(|usual| {
            let times = |stretches: &[scaling_schedule::patterns::Stretch]| {
                stretches.iter().map(|stretch| (stretch.from, stretch.to)).collect::<Vec<_>>()
            };
            (usual.days, times(&usual.peaks), times(&usual.lows))
        })
        .collect();
    let events: Vec<_> = patterns.events.iter().map(|event| (event.rule, event.time)).collect();
    let rest = (patterns.weekend.verdict, patterns.spikes_in_all, patterns.course.verdict, &patterns.untold);
    format!("{periods:?}\n{weekdays:?}\n{course}\n{stretches:?}\n{events:?}\n{rest:?}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn weeks_later_nothing_changes_but_the_dates(seed: u64, days in 1..40_i64, weeks in -300..300_i64) {
        let load = some_load(seed, days);
        let later: Samples = load.iter().map(|(at, value)| (*at + TimeDelta::weeks(weeks), *value)).collect();
        let (before, after) = (found(&load), found(&later));
        prop_assert_eq!(&before.heat, &after.heat);
        prop_assert_eq!(&before.weekend.strength, &after.weekend.strength);
        // Rules of the month hang on the dates.
        let weekly = |patterns: &Patterns| {
            let mut patterns = patterns.clone();
            patterns.events.clear();
            patterns.spikes_in_all = 0;
            patterns.untold.clear();
            verdicts(&patterns)
        };
        prop_assert_eq!(weekly(&before), weekly(&after));
    }

    #[test]
    fn a_day_later_the_day_is_the_same(seed: u64, days in 1..40_i64, by in 1..7_i64) {
        let load = some_load(seed, days);
        let later: Samples = load.iter().map(|(at, value)| (*at + TimeDelta::days(by), *value)).collect();
        let (before, after) = (found(&load), found(&later));
        let day = |patterns: &Patterns| (patterns.periods[0].verdict, patterns.periods[0].strength, patterns.periods[0].autocorrelation);
        prop_assert_eq!(day(&before), day(&after));
    }

    #[test]
    fn a_factor_changes_no_verdict(seed: u64, days in 1..40_i64, power in -300..300_i32, part in 1.0..2.0_f64) {
        let load = some_load(seed, days);
        let factor = part * 10_f64.powi(power);
        let more: Samples = load.iter().map(|(at, value)| (*at, value * factor)).collect();
        let (before, after) = (found(&load), found(&more));
        prop_assert_eq!(verdicts(&before), verdicts(&after));
        let mean = before.data.mean * factor;
        prop_assert!((after.data.mean - mean).abs() <= 1e-9 * mean);
    }

    #[test]
    fn excluded_dates_change_nothing_whatever_they_hold(
        seed: u64,
        days in 3..30_i64,
        excluded in prop::collection::btree_set(0..40_i64, 1..6),
        values in prop::collection::vec(prop_oneof![any::<f64>(), Just(f64::NAN), Just(1e300)], 1..40),
    ) {
        let load = some_load(seed, days);
        let first = load[0].0;
        let dates: ExcludedDates = excluded.iter().map(|day| (first + TimeDelta::days(*day)).date_naive()).collect();
        let config = AnalyzeConfig { excluded: dates.clone(), ..AnalyzeConfig::default() };
        let without: Samples = load.iter().copied().filter(|(at, _)| !dates.contains(at.date_naive())).collect();
        let mut with = without.clone();
        for (place, value) in values.iter().enumerate() {
            let nth = i64::try_from(place).unwrap();
            let day = *excluded.iter().nth(place % excluded.len()).unwrap();
            with.push((first + TimeDelta::days(day) + TimeDelta::minutes(31 * nth), *value));
        }
        let (before, after) = (analyze_values(&without, &config), analyze_values(&with, &config));
        let plain = |result: Result<Patterns, AnalyzeError>| result.map(|mut patterns| {
            patterns.data.left_out = LeftOut::default();
            format!("{patterns:?}")
        }).map_err(|error| matches!(error, AnalyzeError::NoSamples { .. }));
        prop_assert_eq!(plain(before), plain(after));
    }

    #[test]
    fn order_and_repetition_change_nothing(seed: u64, days in 1..20_i64) {
        let load = some_load(seed, days);
        let mut mixed = load.clone();
        mixed.reverse();
        // The later of two counts.
        let mut twice: Samples = load.iter().map(|(at, _)| (*at, 1e9)).collect();
        twice.extend(mixed);
        let again = found(&twice);
        prop_assert_eq!(again.data.left_out.duplicates, load.len() as u64);
        prop_assert_eq!(verdicts(&again), verdicts(&found(&load)));
        prop_assert_eq!(again.heat, found(&load).heat);
    }

    /// No panic, and nothing that is no number, whatever comes.
    #[test]
    fn whatever_comes_is_told(
        raw in prop::collection::vec(
            (-8_000_000_000_000_i64..8_000_000_000_000, prop_oneof![any::<f64>(), 0.0..1e3, Just(f64::MAX), Just(f64::MIN_POSITIVE), Just(0.0)]),
            0..200,
        ),
        dense: bool,
        slot in prop::sample::select(vec![5_u32, 10, 15, 20, 30, 60]),
        zone in prop::sample::select(vec![Tz::UTC, Tz::Australia__Lord_Howe, Tz::America__Sao_Paulo, Tz::Africa__Casablanca, Tz::Pacific__Apia]),
    ) {
        let load: Samples = raw.iter().filter_map(|(at, value)| {
            let ms = if dense { at.rem_euclid(40 * 86_400_000) } else { *at };
            Some((DateTime::from_timestamp_millis(ms)?, *value))
        }).collect();
        let config = AnalyzeConfig { slot_minutes: slot, ..AnalyzeConfig::in_zone(zone) };
        match analyze_values(&load, &config) {
            Ok(patterns) => {
                let json = serde_json::to_string(&patterns).unwrap();
                prop_assert!(serde_json::from_str::<Patterns>(&json).is_ok(), "{}", json);
                let text = format!("{patterns}\n{}", patterns.to_html("x"));
                prop_assert!(!text.contains("NaN") && !text.contains("inf "), "{}", text);
                prop_assert!(patterns.data.coverage >= 0.0 && patterns.data.coverage <= 1.0);
            }
            Err(error) => prop_assert!(load.iter().all(|(_, value)| !(*value >= 0.0 && value.is_finite())), "{}", error),
        }
    }
}

/// Mean rates of an idle service that decay by halves: the usual load is next to nothing.
#[test]
fn a_load_after_days_of_next_to_nothing_is_told() {
    for nothing in [1e-310, 1e-200, f64::MIN_POSITIVE, 5e-324] {
        let load = samples(Tz::UTC, 8, 60, |since, _| if since < 5 { nothing } else { 1.0 });
        let patterns = found(&load);
        let json = serde_json::to_string(&patterns).unwrap();
        assert_eq!(serde_json::from_str::<Patterns>(&json).unwrap(), patterns, "{patterns}");
        let weekly =
            samples(
                Tz::UTC,
                28,
                60,
                |since, local| {
                    if since % 7 == 3 && local.to_string().contains("12:") { 1.0 } else { nothing }
                },
            );
        let json = serde_json::to_string(&found(&weekly)).unwrap();
        assert!(serde_json::from_str::<Patterns>(&json).is_ok(), "{json}");
    }
}

#[test]
fn odd_series_are_told_and_prove_nothing() {
    let constant = found(&samples(Tz::UTC, 30, 15, |_, _| 0.1));
    let idle = found(&samples(Tz::UTC, 30, 15, |_, _| 0.0));
    let one = found(&[(signals::at("2026-01-05T12:00:00Z"), 3.0)]);
    let spike = found(&samples(Tz::UTC, 30, 15, |since, local| {
        if since == 9 && local.to_string().ends_with("12:00:00") { 1e12 } else { 1.0 }
    }));
    for patterns in [&constant, &idle, &one, &spike] {
        assert!(!patterns.has_day() && !patterns.has_week() && patterns.periods.len() == 2, "{patterns}");
        assert!(patterns.events.is_empty() && patterns.usual_days.iter().all(|usual| usual.peaks.is_empty()));
        assert_eq!(patterns.course.kind, CourseKind::Steady, "{patterns}");
    }
    assert_eq!((constant.spikes_in_all, idle.spikes_in_all, one.spikes_in_all, spike.spikes_in_all), (0, 0, 0, 1));
}

#[test]
fn what_does_not_count_is_counted() {
    let mut load = samples(Tz::UTC, 10, 60, |_, _| 5.0);
    let first = load[0].0;
    load.extend(
        [f64::NAN, f64::INFINITY, -1.0]
            .map(|value| (first + TimeDelta::minutes(7), value))
            .into_iter()
            .enumerate()
            .map(|(nth, (at, value))| (at + TimeDelta::seconds(i64::try_from(nth).unwrap()), value)),
    );
    load.push((signals::at("2099-01-01T00:00:00Z"), 5.0));
    let until = Some(first + TimeDelta::days(20));
    let patterns = analyze_values(&load, &AnalyzeConfig { until, ..AnalyzeConfig::default() }).unwrap();
    let left_out = LeftOut { not_finite: 2, negative: 1, out_of_range: 1, ..LeftOut::default() };
    assert_eq!((patterns.data.left_out, patterns.data.samples, patterns.data.days), (left_out, 240, 10));

    let error = analyze_values(&[(first, f64::NAN)], &AnalyzeConfig::default()).unwrap_err();
    assert_eq!(error.to_string(), "no sample counts: 1 not measured");
    let config = AnalyzeConfig { slot_minutes: 7, ..AnalyzeConfig::default() };
    assert!(
        matches!(analyze_values(&load, &config), Err(AnalyzeError::Config(error)) if error.field == "slot_minutes")
    );
}

#[test]
fn a_history_gives_what_its_column_gives() {
    let load = some_load(3, 20);
    let sample = |(at, value): &(DateTime<Utc>, f64)| {
        ScalingMetrics::new(*at, 4).with(SignalKind::RequestRate, *value).with(SignalKind::CpuUtilization, value / 10.0)
    };
    let (history, _) = MetricsHistory::from_unordered(load.iter().map(sample).collect());
    let config = AnalyzeConfig::default();
    assert_eq!(analyze(&history, Load::RequestRate, &config).unwrap(), found(&load));
    let used: Samples = load.iter().map(|(at, value)| (*at, value / 10.0 * 4.0 / 100.0)).collect();
    assert_eq!(analyze(&history, Load::CpuUsed, &config).unwrap(), found(&used));
    assert!(matches!(
        analyze(&history, Load::Signal(SignalKind::QueueDepth), &config),
        Err(AnalyzeError::NoSamples { .. })
    ));
}

/// A holiday looks like an outage unless it is excluded.
#[test]
fn a_holiday_that_is_excluded_is_no_shift_and_no_gap() {
    let holiday: NaiveDate = "2026-01-14".parse().unwrap();
    let load = samples(Tz::UTC, 30, 15, |_, local| if local.date() == holiday { 1.0 } else { 100.0 * day(local) });
    let config = AnalyzeConfig { excluded: [holiday].into_iter().collect(), ..AnalyzeConfig::default() };
    let patterns = analyze_values(&load, &config).unwrap();
    assert_eq!((patterns.data.days, patterns.data.full_days, patterns.data.left_out.excluded), (29, 29, 96));
    assert!((patterns.data.coverage - 1.0).abs() < 1e-12);
    let peak = &patterns.usual_days[0].peaks[0];
    assert_eq!((peak.evidence.trials, peak.evidence.successes), (29, 29));
}
