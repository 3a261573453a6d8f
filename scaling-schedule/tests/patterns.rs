//! Known signals are found, and nothing is found in noise.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

#[path = "support/signals.rs"]
mod signals;

use scaling_core::chrono::{Datelike, TimeDelta, Timelike, Weekday};
use scaling_schedule::patterns::{CourseKind, DateRule, Lack, Patterns, Question, Verdict, WeekdayNumber};
use scaling_schedule::{AnalyzeConfig, Days, Tz, analyze_values};
use signals::{Noise, day, found, is_weekend, samples};

fn lack(patterns: &Patterns, question: Question) -> Option<Lack> {
    patterns.untold.iter().find(|untold| untold.question == question).map(|untold| untold.lack)
}

/// Three months in Berlin, with one of everything.
fn everything() -> Patterns {
    let mut noise = Noise(4);
    let load = samples(Tz::Europe__Berlin, 92, 5, |since, local| {
        let mut load = 100.0 * day(local) * if is_weekend(local) { 0.5 } else { 1.0 } * (1.0 + 0.1 * noise.normal());
        load *= 1.0 + f64::from(i32::try_from(since).unwrap()) / 100.0;
        if local.weekday() == Weekday::Tue && local.hour() == 3 {
            load += 200.0; // a weekly job
        }
        if local.day() == u32::from(local.date().num_days_in_month()) {
            load *= 1.6; // month end
        }
        if local.day() == 15 && local.hour() == 22 {
            load += 300.0; // a monthly job
        }
        if since == 40 && local.hour() == 14 {
            load *= 5.0; // a spike
        }
        load.max(0.0)
    });
    analyze_values(&load, &AnalyzeConfig::in_zone(Tz::Europe__Berlin)).unwrap()
}

#[test]
fn each_of_many_signals_is_found() {
    let patterns = everything();
    let [day, week] = &patterns.periods[..] else { panic!("{patterns}") };
    assert!(day.verdict.is_proven() && day.strength.unwrap() > 0.8, "{patterns}");
    assert!(week.verdict.is_proven() && week.strength.unwrap() > 0.5, "{patterns}");
    assert!(patterns.weekend.verdict.is_proven() && (patterns.weekend.ratio.unwrap() - 0.5).abs() < 0.03);
    let [weekdays, weekend] = &patterns.usual_days[..] else { panic!("{patterns}") };
    assert_eq!((weekdays.days, weekend.days), (Days::WEEKDAYS, Days::WEEKEND));
    let hours: Vec<u32> = weekdays.peaks.iter().map(|peak| peak.extreme_at.hour()).collect();
    assert_eq!(hours, [10, 18], "{patterns}");
    assert!(weekdays.lows.iter().any(|low| low.from.hour() >= 21 && low.to.hour() < 9), "{patterns}");
    let differ: Vec<_> = patterns.weekdays.iter().filter(|day| day.verdict.is_proven()).map(|day| day.day).collect();
    assert_eq!(differ, [Weekday::Tue, Weekday::Sat, Weekday::Sun]);
    let CourseKind::Trend { change, .. } = patterns.course.kind else { panic!("{patterns}") };
    assert!(patterns.course.verdict.is_proven() && (0.75..1.1).contains(&change), "{change}");

    let rules: Vec<_> =
        patterns.events.iter().map(|event| (event.rule, event.time.map(|time| time.from.hour()))).collect();
    let job = (DateRule::Weekly(WeekdayNumber(Weekday::Tue)), Some(3));
    assert_eq!(rules, [job, (DateRule::MonthEnd, None), (DateRule::MonthDay(15), Some(22))], "{patterns}");
    // One of the thirteen Tuesdays is a month end, an event as a whole.
    assert_eq!((patterns.events[0].evidence.successes, patterns.events[0].evidence.trials), (12, 12));
    let [spike] = &patterns.spikes[..] else { panic!("{patterns}") };
    assert_eq!(spike.start.to_string(), "2026-02-14 14:00:00");
    assert_eq!(spike.minutes, 60);
    let untold: Vec<_> = patterns.untold.iter().map(|untold| untold.question).collect();
    assert_eq!(untold, [Question::YearlyPattern]);
}

#[test]
fn other_periods_are_found_at_their_length() {
    let mut noise = Noise(8);
    for (period, expected) in [(300, 300), (360, 360), (90, 90), (3 * 1440, 3 * 1440)] {
        let load = samples(Tz::UTC, 30, 5, |since, local| {
            let minute = since * 1440 + i64::from(local.hour() * 60 + local.minute());
            let busy = minute % period < period / 5;
            100.0 + if busy { 100.0 } else { 0.0 } + 10.0 * noise.normal()
        });
        let patterns = found(&load);
        let others: Vec<_> = patterns.periods[2..].iter().map(|period| period.minutes).collect();
        assert_eq!(others, [expected], "{patterns}");
        assert_eq!(patterns.spikes_in_all, 0, "what recurs is no spike: {patterns}");
    }
}

#[test]
fn a_lasting_shift_is_neither_a_trend_nor_a_spike() {
    let mut noise = Noise(5);
    let load = samples(Tz::UTC, 30, 5, |since, local| {
        100.0 * day(local) * if since >= 17 { 1.5 } else { 1.0 } + 10.0 * noise.normal()
    });
    let patterns = found(&load);
    let CourseKind::Shifts(shifts) = &patterns.course.kind else { panic!("{patterns}") };
    assert_eq!(shifts.len(), 1);
    assert_eq!(shifts[0].date.to_string(), "2026-01-22");
    assert!((shifts[0].factor.unwrap() - 1.5).abs() < 0.05);
    assert_eq!(patterns.spikes_in_all, 0);
}

/// Rates that the documentation states: at most one in a hundred for each statement, of two hundred series of noise.
#[test]
fn nothing_is_found_in_white_noise() {
    const SERIES: u64 = 200;
    for days in [10, 30] {
        let mut wrong = [0_u32; 8];
        for seed in 0..SERIES {
            let mut noise = Noise(seed * 7919 + 13);
            let patterns = found(&samples(Tz::UTC, days, 15, |_, _| 100.0 + 20.0 * noise.normal()));
            let said = [
                patterns.periods[0].verdict.is_proven(),
                patterns.periods[1].verdict.is_proven(),
                patterns.weekend.verdict.is_proven(),
                patterns.periods.len() > 2,
                patterns.weekdays.iter().any(|day| day.verdict.is_proven()),
                patterns.course.kind != CourseKind::Steady,
                !patterns.events.is_empty(),
                patterns.spikes_in_all > 0,
            ];
            wrong.iter_mut().zip(said).for_each(|(wrong, said)| *wrong += u32::from(said));
        }
        assert!(wrong.iter().all(|wrong| *wrong <= 4), "of {SERIES} series of {days} days: {wrong:?}");
    }
}

#[test]
fn memory_from_sample_to_sample_is_no_period() {
    let mut wrong = 0;
    for seed in 0..100 {
        let (mut noise, mut level) = (Noise(seed * 104_729 + 7), 0.0);
        let patterns = found(&samples(Tz::UTC, 30, 15, |_, _| {
            level = 0.97 * level + noise.normal();
            (100.0 + 4.0 * level).max(0.0)
        }));
        wrong += u32::from(patterns.has_day()) + u32::from(patterns.has_week()) + u32::from(patterns.periods.len() > 2);
    }
    assert!(wrong <= 3, "{wrong} of 300");
}

#[test]
fn what_the_data_cannot_tell_is_said() {
    let load = |days| found(&samples(Tz::UTC, days, 15, |_, local| 100.0 * day(local)));
    let week = load(7);
    assert_eq!(lack(&week, Question::DailyPattern), Some(Lack::Days { have: 6, need: 7 }));
    assert_eq!(lack(&week, Question::WeeklyPattern), Some(Lack::Days { have: 0, need: 7 }));
    assert!(week.usual_days[0].peaks.is_empty(), "not before it is proven");
    let more = load(20);
    assert!(more.has_day() && lack(&more, Question::DailyPattern).is_none());
    assert_eq!(lack(&more, Question::MonthlyEvents), Some(Lack::Occurrences { have: 0, need: 3 }));
    assert_eq!(lack(&more, Question::WeeklyEvents), Some(Lack::Occurrences { have: 2, need: 3 }));
    assert!(matches!(lack(&more, Question::Weekdays), Some(Lack::Occurrences { need: 4, .. })));
    assert_eq!(lack(&load(5), Question::Course), Some(Lack::Days { have: 5, need: 7 }));
    let once_a_day = found(&samples(Tz::UTC, 60, 1440, |since, _| if since % 7 < 5 { 10.0 } else { 2.0 }));
    assert_eq!(lack(&once_a_day, Question::DailyPattern), Some(Lack::Resolution { slot_minutes: 1440 }));
    assert!(once_a_day.has_week(), "{once_a_day}");
}

/// The wall clock counts: a load at nine in the morning is at nine before and after the clock changes.
#[test]
fn a_peak_stays_at_its_hour_over_clock_changes() {
    for zone in [Tz::Europe__Berlin, Tz::America__New_York, Tz::Australia__Lord_Howe, Tz::America__Santiago] {
        let start = signals::at("2026-02-20T00:00:00Z");
        let load: Vec<_> = (0..70 * 96)
            .map(|quarter| {
                let at = start + TimeDelta::minutes(15 * quarter);
                let local = at.with_timezone(&zone);
                (at, if local.hour() == 9 { 500.0 } else { 100.0 })
            })
            .collect();
        let patterns = analyze_values(&load, &AnalyzeConfig::in_zone(zone)).unwrap();
        let peak = &patterns.usual_days[0].peaks[0];
        assert_eq!((peak.from.to_string(), peak.to.to_string()), ("09:00:00".into(), "10:00:00".into()), "{zone}");
        assert_eq!(peak.evidence.successes, peak.evidence.trials, "{zone}");
        assert_eq!(patterns.spikes_in_all, 0, "{zone}");
    }
}

/// On 4 November 2018 the clock of São Paulo went from 24:00 to 01:00.
#[test]
fn a_day_without_its_first_hour_is_a_day() {
    let zone = Tz::America__Sao_Paulo;
    let start = signals::at("2018-10-20T03:00:00Z");
    let load: Vec<_> = (0..30 * 96).map(|quarter| (start + TimeDelta::minutes(15 * quarter), 7.0)).collect();
    let patterns = analyze_values(&load, &AnalyzeConfig::in_zone(zone)).unwrap();
    assert_eq!((patterns.data.days, patterns.data.full_days), (31, 30), "an hour reaches into the last day");
    assert!((patterns.data.coverage - (30.0 * 96.0) / (31.0 * 96.0)).abs() < 1e-9);
    assert_eq!(patterns.usual_days[0].slots.iter().flatten().count(), 96);
}

#[test]
fn a_page_and_json_hold_what_was_found() {
    let patterns = everything();
    let json = serde_json::to_string(&patterns).unwrap();
    assert!(json.contains("\"from\":\"03:00\"") && json.contains("\"days\":\"weekdays\""), "{json}");
    assert_eq!(serde_json::from_str::<Patterns>(&json).unwrap(), patterns);
    let html = patterns.to_html("shop/<web> & \"co\"");
    assert!(html.contains("shop/&lt;web&gt; &amp; &quot;co&quot;") && !html.contains("<web>"));
    assert!(!html.contains("http") && !html.contains("<script"), "whole in itself");
    assert_eq!(html.matches("scope=\"row\"").count(), 24);
    assert_eq!(html.matches("--of:").count(), 24 * 7);
    for text in [patterns.heat.to_text(), patterns.heat.to_plain_text()] {
        assert_eq!(text.lines().count(), 9);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
    assert!(patterns.heat.to_plain_text().is_ascii());
    // Written for people: no line without an end, and every verdict has its numbers.
    let text = patterns.to_string();
    assert!(text.contains("1 day: proven: the error of a held-out day falls by"), "{text}");
    assert!(matches!(patterns.weekdays[0].verdict, Verdict::NotShown));
}
