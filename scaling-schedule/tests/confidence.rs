//! Confidence of each window: the held-out days on which it held, and what these say of days to come.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use proptest::prelude::*;
use scaling_core::{Bounds, MetricsHistory, ScalingMetrics, SignalKind, WorkloadFacts};
use scaling_schedule::{
    CompileConfig, CompiledSchedule, HpaBeneath, WindowConfidence, WindowReason, compile, compile_over_hpa,
    need_by_load,
};

/// A Monday.
fn monday() -> DateTime<Utc> {
    "2026-11-16T00:00:00Z".parse().unwrap()
}

fn history(days: i64, rate: impl Fn(DateTime<Utc>) -> f64) -> MetricsHistory {
    let samples = (0..days * 144).map(|step| {
        let at = monday() + TimeDelta::minutes(step * 10);
        ScalingMetrics::new(at, 3).with(SignalKind::RequestRate, rate(at))
    });
    MetricsHistory::from_unordered(samples.collect()).0
}

fn compiled(history: &MetricsHistory, config: &CompileConfig) -> CompiledSchedule {
    compile(history, &need_by_load(SignalKind::RequestRate, 10.0), config).unwrap().draft().clone()
}

fn day_of(at: DateTime<Utc>) -> u64 {
    u64::try_from((at - monday()).num_days()).unwrap()
}

/// Evenly between 0 and 1, another for each day and seed.
fn even(day: u64, seed: u64) -> f64 {
    let mut bits = (day << 32 | seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((bits ^ (bits >> 27)) >> 11) as f64 / (1_u64 << 53) as f64
}

fn counts(reason: &WindowReason) -> (u32, u32, u32) {
    let confidence = reason.confidence;
    (confidence.held_days(), confidence.days(), confidence.span_days())
}

#[test]
fn a_window_over_days_that_are_alike_is_held_on_all_of_them() {
    let office = |at: DateTime<Utc>| if (9..17).contains(&at.hour()) { 75.0 } else { 15.0 };
    let found = compiled(&history(28, office), &CompileConfig::default());
    assert!(!found.reasons.is_empty());
    for reason in &found.reasons {
        assert_eq!(counts(reason), (14, 14, 28), "{reason}");
        assert!(reason.to_string().contains("held on 14 of 14 held-out days (83 % at least"), "{reason}");
    }
}

/// The noise is in the morning alone: each window has a confidence of its own.
#[test]
fn a_window_over_days_that_scatter_is_not_held_on_all_of_them() {
    let rate = |at: DateTime<Utc>| match at.hour() {
        8..11 => 300.0 + 300.0 * even(day_of(at), 7),
        14..20 => 150.0,
        _ => 20.0,
    };
    let found = compiled(&history(42, rate), &CompileConfig { violating_share: 0.05, ..CompileConfig::default() });
    let (noisy, calm): (Vec<_>, Vec<_>) = found.reasons.iter().partition(|reason| reason.usual > 200.0 / 10.0);
    assert!(!noisy.is_empty() && !calm.is_empty(), "{:?}", found.reasons);
    for reason in noisy {
        let (held, days, _) = counts(reason);
        assert!(held < days && days == 21 && held > 0, "{reason}");
    }
    for reason in calm {
        assert_eq!(counts(reason), (21, 21, 42), "{reason}");
    }
}

/// The day of one opening lasts until its end: a night is one, not the ends of two.
#[test]
fn a_night_is_one_opening() {
    let night = |at: DateTime<Utc>| if at.hour() >= 22 || at.hour() < 3 { 75.0 } else { 15.0 };
    // One night has four times the load, after midnight alone.
    let odd = monday() + TimeDelta::days(24);
    let rate = |at: DateTime<Utc>| if at >= odd && at < odd + TimeDelta::hours(1) { 300.0 } else { night(at) };
    let found = compiled(&history(28, rate), &CompileConfig { violating_share: 0.05, ..CompileConfig::default() });
    let reason = found.reasons.iter().find(|reason| reason.pods >= 8).unwrap_or_else(|| panic!("{}", found.schedule));
    let (held, days, _) = counts(reason);
    assert_eq!((held, days), (13, 14), "{reason}");
}

/// Half a day's time proves nothing for a window, and all against it.
#[test]
fn a_day_that_was_hardly_seen_counts_only_against() {
    let office = |at: DateTime<Utc>| if (9..17).contains(&at.hour()) { 75.0 } else { 15.0 };
    let seen = |rate: f64| {
        let odd = monday() + TimeDelta::days(20);
        let usual = history(28, office);
        let samples = usual.iter().filter_map(move |mut sample| {
            let hour = (sample.timestamp - odd).num_hours();
            if hour == 10 {
                sample = ScalingMetrics::new(sample.timestamp, 3).with(SignalKind::RequestRate, rate);
            }
            (!(8..18).contains(&hour) || hour == 10).then_some(sample)
        });
        let history = MetricsHistory::from_unordered(samples.collect()).0;
        compiled(&history, &CompileConfig { violating_share: 0.05, ..CompileConfig::default() })
    };
    let of = |found: &CompiledSchedule| {
        let reason = found.reasons.iter().find(|reason| reason.pods == 8).map(counts);
        reason.unwrap_or_else(|| panic!("{}", found.schedule))
    };
    assert_eq!(of(&seen(75.0)), (13, 13, 28));
    assert_eq!(of(&seen(400.0)), (13, 14, 28));
}

#[test]
fn without_held_out_days_nothing_is_claimed() {
    let found = compiled(&history(3, |at| if at.hour() == 9 { 75.0 } else { 15.0 }), &CompileConfig::default());
    let reason = &found.reasons[0];
    assert_eq!(
        (counts(reason), reason.confidence.share(), reason.confidence.lower_bound().to_bits()),
        ((0, 0, 3), None, 0)
    );
    assert!(reason.to_string().contains("no day was held out to judge it by, from 3 days of history"), "{reason}");
}

/// A batch comes each day at nine, within a minute; on some held-out days at another hour.
#[test]
fn over_an_hpa_a_day_counts_where_something_waits_and_a_batch_that_came_elsewhere_is_not_held() {
    let hpa = HpaBeneath::new(70.0, Bounds::new(1, 200).unwrap(), &WorkloadFacts::default());
    let history = |days: i64, rate: &dyn Fn(DateTime<Utc>) -> f64| {
        let samples = (0..days * 288).map(|step| {
            let at = monday() + TimeDelta::minutes(step * 5);
            ScalingMetrics::new(at, 3).with(SignalKind::RequestRate, rate(at))
        });
        MetricsHistory::from_unordered(samples.collect()).0
    };
    let config = CompileConfig::default();
    let need = need_by_load(SignalKind::RequestRate, 50.0);
    let batch = |at: DateTime<Utc>| if at.hour() == 9 && at.minute() < 40 { 1600.0 } else { 80.0 };
    let quiet = |at: DateTime<Utc>| if day_of(at) == 8 { 80.0 } else { batch(at) };
    let answer = compile_over_hpa(&history(12, &quiet), &need, &hpa, &config).unwrap();
    let found = answer.draft();
    let first = &found.reasons[found.reasons.len() - 1];
    let (held, days, span) = counts(first);
    // Of six held-out days, one has nothing to prevent.
    assert!(held == days && (4..=5).contains(&days) && span == 12, "{first}");
    assert!(first.over_hpa && first.risk.unwrap() < 0.5 * first.compared_risk.unwrap(), "{first}");
    assert!(first.saves_pod_hours_a_week.unwrap() < 0.0, "{first}");
    assert!(first.to_string().contains("pod-hours a week more than the HPA alone"), "{first}");
    // What the windows cost together is what they cost.
    let cost: f64 = found.reasons.iter().filter_map(|reason| reason.saves_pod_hours_a_week).sum();
    let held_out = found.held_out.unwrap();
    assert!(
        (held_out.compared_pod_hours_a_week - held_out.pod_hours_a_week - cost).abs() < 1e-6,
        "{held_out:?} {cost}"
    );
}

#[test]
fn a_written_reason_reads_back_and_a_count_above_its_days_is_refused() {
    let office = |at: DateTime<Utc>| if (9..17).contains(&at.hour()) { 75.0 } else { 15.0 };
    let found = compiled(&history(28, office), &CompileConfig::default());
    let text = serde_json::to_string(&found.reasons).unwrap();
    let read: Vec<WindowReason> = serde_json::from_str(&text).unwrap();
    assert_eq!(read, found.reasons);
    assert!(text.contains(r#""confidence":{"held_days":14,"days":14,"span_days":28,"lower_bound":0.83"#), "{text}");
    assert!(text.contains(r#""lead_minutes":20"#), "{text}");
    let refused = |from: &str, to: &str| {
        assert!(text.contains(from), "{text}");
        serde_json::from_str::<Vec<WindowReason>>(&text.replace(from, to)).unwrap_err().to_string()
    };
    let error = refused(r#""held_days":14"#, r#""held_days":15"#);
    assert!(error.starts_with("held_days is 15; it must be at most the number of days"), "{error}");
    assert!(refused(r#""span_days""#, r#""span""#).contains("unknown field `span`"));
    assert!(
        refused(r#""lead_minutes":20"#, r#""lead_minutes":9223372036854775807"#).contains("more minutes than can be")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_bound_is_below_the_proportion_and_grows_with_evidence(days in 1_u32..500, part in 0.0..=1.0_f64, more in 2_u32..20) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let held = (f64::from(days) * part) as u32;
        let of = |held, days| WindowConfidence::new(held, days, 1000).unwrap();
        let one = of(held, days);
        let share = one.share().unwrap();
        prop_assert!((0.0..=share).contains(&one.lower_bound()));
        prop_assert!(held == 0 || one.lower_bound() < share && one.lower_bound() > 0.0);
        // As much of more days, a held day more, a day more that was not held.
        let many = of(held * more, days * more).lower_bound();
        let grows = if held == 0 { many.to_bits() == 0 } else { many > one.lower_bound() };
        prop_assert!(grows, "{many}");
        prop_assert!(of(held + 1, days + 1).lower_bound() > one.lower_bound());
        prop_assert!(of(held, days + 1).lower_bound() <= one.lower_bound());
        prop_assert!(WindowConfidence::new(days + 1, days, 1).is_err());
    }

    /// The binomial itself: were the share at the bound, so many held days or more would come in about one of twenty trials.
    #[test]
    fn the_bound_is_about_that_of_the_binomial(days in 20_u32..200, missed in 0_u32..5) {
        let bound = WindowConfidence::new(days - missed, days, days).unwrap().lower_bound();
        let mut term = bound.powi(days.cast_signed());
        let mut chance = term;
        for miss in 1..=missed {
            term *= f64::from(days - miss + 1) / f64::from(miss) * (1.0 - bound) / bound;
            chance += term;
        }
        prop_assert!((0.01..0.12).contains(&chance), "{chance}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_count_exceeds_the_days(
        days in 4_i64..30,
        hours in prop::collection::vec(0.0..200.0_f64, 24),
        noise in 0.0..1.0_f64,
        gaps in any::<u64>(),
    ) {
        let rate = |at: DateTime<Utc>| {
            let gap = even(day_of(at) * 24 + u64::from(at.hour()), gaps) < 0.05;
            let level = 1.0 + noise * even(day_of(at), gaps);
            if gap { f64::NAN } else { hours[at.hour() as usize] * level }
        };
        let found = compiled(&history(days, rate), &CompileConfig::default());
        let held_out = found.held_out.map_or(0, |held_out| held_out.days);
        for reason in &found.reasons {
            let (held, judged, span) = counts(reason);
            // A night that began on the day before the first of them is judged as well.
            prop_assert!(held <= judged && judged as usize <= held_out + 1, "{reason}");
            prop_assert!(i64::from(span) <= days && judged <= span, "{reason}");
            prop_assert!(reason.confidence.lower_bound() <= reason.confidence.share().unwrap_or(0.0));
            let read: WindowReason = serde_json::from_str(&serde_json::to_string(reason).unwrap()).unwrap();
            prop_assert_eq!(&read, reason);
        }
    }
}
