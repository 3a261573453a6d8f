//! The forecaster on made-up loads: coverage, seasons, and what it may not know.
#![allow(clippy::unwrap_used, clippy::float_cmp, missing_docs)]

use proptest::prelude::*;
use scaling_core::WorkloadFacts;
use scaling_schedule::Forecaster;
use scaling_schedule::forecast::QUANTILES;

/// A forecaster of a workload whose pods carry 50, after the minutes from 0 to `until`.
fn learnt(load: impl Fn(u32) -> f64, until: u32) -> Forecaster {
    let mut forecaster = Forecaster::new(&WorkloadFacts::default(), 50.0);
    for minute in 0..=until {
        push(&mut forecaster, minute, &load);
    }
    forecaster
}

fn push(forecaster: &mut Forecaster, minute: u32, load: impl Fn(u32) -> f64) {
    forecaster.push(1_700_006_400_000 + 60_000 * i64::from(minute), load(minute));
}

/// Noise within ±1, the same for the same minute.
fn noise(number: u32) -> f64 {
    let mut bits = u64::from(number).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    f64::from(u32::try_from((bits ^ (bits >> 31)) >> 32).unwrap()) / f64::from(u32::MAX) * 2.0 - 1.0
}

#[test]
fn a_quantile_is_exceeded_as_often_as_it_says() {
    let load = |number: u32| 800.0 * (1.0 + 0.15 * noise(number) + 0.1 * (f64::from(number) / 700.0).sin());
    let quantiles = [0.8, 0.95, 0.983];
    let (mut missed, mut asked) = ([0.0; 3], 0.0);
    let mut forecaster = learnt(load, 2 * 1440 - 1);
    for number in 2 * 1440..4 * 1440 {
        push(&mut forecaster, number, load);
        // Seven steps of a quarter of a minute after the centre of this one.
        let came = 0.25 * load(number + 1) + 0.75 * load(number + 2);
        asked += 1.0;
        for (missed, quantile) in missed.iter_mut().zip(quantiles) {
            *missed += f64::from(u8::from(came > forecaster.upper_load(quantile).unwrap()));
        }
    }
    for (missed, quantile) in missed.into_iter().zip(quantiles) {
        let covered = 1.0 - missed / asked;
        assert!((covered - quantile).abs() < 0.03, "{covered} for {quantile}");
    }
}

#[test]
fn higher_quantiles_are_higher() {
    let forecaster = learnt(|number| 800.0 * (1.0 + 0.3 * noise(number)), 2 * 1440);
    let upper = |quantile: f64| forecaster.upper_load(quantile).unwrap();
    assert!(upper(0.8) < upper(0.95) && upper(0.95) < upper(0.997));
    // In between the next higher one counts, beyond the highest the highest.
    let [.., below, highest] = QUANTILES;
    assert_eq!(upper(f64::midpoint(below, highest)).to_bits(), upper(highest).to_bits());
    assert_eq!(upper(0.9999).to_bits(), upper(highest).to_bits());
}

#[test]
fn a_calm_load_gets_little_headroom_and_a_jumpy_one_much() {
    let headroom = |swing: f64| {
        let forecaster = learnt(|number| 800.0 * (1.0 + swing * noise(number)), 1440);
        forecaster.upper_load(0.97).unwrap() / 800.0
    };
    let (calm, jumpy) = (headroom(0.005), headroom(0.5));
    assert!(calm < 1.05 && jumpy > 1.25, "{calm} {jumpy}");
}

#[test]
fn a_rise_at_the_same_time_of_each_day_is_foreseen() {
    // Every noon the load goes from 200 to 800 within four minutes, and back twenty minutes later.
    let load = |number: u32| {
        let since_noon = f64::from(number % 1440) - 720.0;
        let rise = (since_noon / 4.0).min((24.0 - since_noon) / 4.0).clamp(0.0, 1.0);
        (200.0 + 600.0 * rise) * (1.0 + 0.03 * noise(number))
    };
    let noon = 7 * 1440 + 720;
    let mut forecaster = learnt(load, noon - 50);
    let quiet = forecaster.upper_load(0.97).unwrap();
    for number in noon - 49..noon {
        push(&mut forecaster, number, load);
    }
    let before = forecaster.upper_load(0.97).unwrap();
    assert!(quiet < 300.0, "{quiet} in a quiet hour");
    assert!(before > 1.5 * quiet, "{before} before the rise, {quiet} in a quiet hour");
}

#[test]
fn a_load_without_a_season_is_not_given_one() {
    // One burst, yesterday at this time. Before anything repeats, it announces nothing.
    let load = |number: u32| if (2160..2175).contains(&number) { 900.0 } else { 200.0 * (1.0 + 0.05 * noise(number)) };
    let upper = |number: u32| learnt(load, number).upper_load(0.95).unwrap();
    let (quiet, same_time) = (upper(3550), upper(2160 + 1440 - 2));
    assert!((same_time / quiet - 1.0).abs() < 0.15, "{same_time} {quiet}");
}

#[test]
fn before_anything_is_learnt_the_forecast_is_general() {
    let nothing = Forecaster::new(&WorkloadFacts::default(), 50.0);
    assert_eq!((nothing.moments(), nothing.upper_load(0.9)), (0.0, None));
    let upper = learnt(|_| 500.0, 3).upper_load(0.97).unwrap();
    assert!(upper > 500.0 && upper < 600.0, "{upper}");
}

#[test]
fn an_outage_is_not_learnt_from() {
    let calm = |number: u32| 500.0 * (1.0 + 0.02 * noise(number));
    let mut forecaster = learnt(calm, 2000);
    let before = (forecaster.upper_load(0.97).unwrap(), forecaster.moments());
    push(&mut forecaster, 2600, calm);
    let after = (forecaster.upper_load(0.97).unwrap(), forecaster.moments());
    assert!((after.0 / before.0 - 1.0).abs() < 0.05, "{before:?} {after:?}");
    assert_eq!(after.1, before.1);
}

#[test]
fn samples_that_are_late_or_no_load_change_nothing() {
    let calm = |number: u32| 500.0 * (1.0 + 0.02 * noise(number));
    let mut forecaster = learnt(calm, 500);
    let before = format!("{forecaster:?}");
    for load in [f64::NAN, f64::INFINITY, -1.0] {
        push(&mut forecaster, 501, |_| load);
    }
    push(&mut forecaster, 500, |_| 900.0);
    push(&mut forecaster, 3, |_| 900.0);
    assert_eq!(format!("{forecaster:?}"), before);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_load_gives_a_finite_forecast(
        values in prop::collection::vec(prop_oneof![
            3 => 0.0..1000.0_f64, 1 => Just(0.0), 1 => Just(1e12), 1 => Just(1e-300), 1 => Just(f64::NAN), 1 => Just(-1.0),
            1 => Just(f64::MAX),
        ], 1..40),
        gaps in prop::collection::vec(prop_oneof![4 => Just(60_i64), 2 => Just(15), 1 => Just(1), 1 => 1..100_000_i64], 1..20),
        capacity in prop_oneof![Just(50.0), Just(f64::MIN_POSITIVE), Just(f64::MAX)],
    ) {
        let mut forecaster = Forecaster::new(&WorkloadFacts::default(), capacity);
        let mut at_ms = 1_700_006_400_000;
        for (value, gap) in values.iter().cycle().zip(gaps.iter().cycle()).take(700) {
            at_ms += 1000 * gap;
            forecaster.push(at_ms, *value);
            if let Some(upper) = forecaster.upper_load(0.97) {
                prop_assert!(!upper.is_nan() && upper >= 0.0, "{upper}");
            }
        }
    }
}
