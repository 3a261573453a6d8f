//! The forecaster on made-up loads: coverage, seasons, and what it may not know.
#![allow(clippy::unwrap_used, missing_docs)]

use proptest::prelude::*;
use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::{MetricsHistory, Observation, ScalingMetrics, SignalKind};
use scaling_schedule::Forecaster;
use scaling_schedule::forecast::QUANTILES;

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_006_400, 0).unwrap()
}

fn minute(number: u32) -> DateTime<Utc> {
    start() + TimeDelta::minutes(i64::from(number))
}

/// Minutes of a load, of which the last is the present.
fn observation(load: impl Fn(u32) -> f64, minutes: u32) -> Observation {
    let sample = |number: u32| ScalingMetrics::new(minute(number), 10).with(SignalKind::RequestRate, load(number));
    let (history, _) = MetricsHistory::from_unordered((0..minutes).map(sample).collect());
    let mut observation =
        Observation::new(scaling_core::Target::deployment("shop", "web"), sample(minutes)).with_history(history);
    observation.facts.pod_capacity = Some(50.0);
    observation
}

/// The same observation a while earlier.
fn at(observation: &Observation, number: u32) -> Observation {
    let mut earlier = observation.clone();
    if let Some(sample) = observation.history.sample(number as usize) {
        earlier.current = sample;
    }
    earlier
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
    let all = observation(load, 3 * 1440);
    let quantiles = [0.8, 0.95, 0.983];
    let (mut missed, mut asked) = ([0.0; 3], 0.0);
    for learnt in (2 * 1440..3 * 1440).step_by(180) {
        let forecaster = Forecaster::learn_until(&all, minute(learnt)).unwrap();
        for number in learnt..learnt + 180 {
            // The larger of 90 and 105 s later; the centre of a minute is half a minute before its end.
            let came = load(number + 2).max(0.75 * load(number + 2) + 0.25 * load(number + 3));
            asked += 1.0;
            for (missed, quantile) in missed.iter_mut().zip(quantiles) {
                let upper = forecaster.upper_load(&at(&all, number), quantile).unwrap();
                *missed += f64::from(u8::from(came > upper));
            }
        }
    }
    for (missed, quantile) in missed.into_iter().zip(quantiles) {
        let covered = 1.0 - missed / asked;
        assert!((covered - quantile).abs() < 0.03, "{covered} for {quantile}");
    }
}

#[test]
fn higher_quantiles_are_higher() {
    let all = observation(|number| 800.0 * (1.0 + 0.3 * noise(number)), 2 * 1440);
    let forecaster = Forecaster::learn_until(&all, all.current.timestamp).unwrap();
    let upper = |quantile: f64| forecaster.upper_load(&all, quantile).unwrap();
    assert!(upper(0.8) < upper(0.95) && upper(0.95) < upper(0.997));
    // In between the next higher one counts, beyond the highest the highest.
    let [.., below, highest] = QUANTILES;
    assert_eq!(upper(f64::midpoint(below, highest)).to_bits(), upper(highest).to_bits());
    assert_eq!(upper(0.9999).to_bits(), upper(highest).to_bits());
}

#[test]
fn a_calm_load_gets_little_headroom_and_a_jumpy_one_much() {
    let headroom = |swing: f64| {
        let all = observation(|number| 800.0 * (1.0 + swing * noise(number)), 1440);
        let forecaster = Forecaster::learn_until(&all, all.current.timestamp).unwrap();
        forecaster.upper_load(&all, 0.97).unwrap() / 800.0
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
    let all = observation(load, 8 * 1440);
    let noon = 7 * 1440 + 720;
    let forecaster = Forecaster::learn_until(&all, minute(noon - 60)).unwrap();
    let upper = |number: u32| forecaster.upper_load(&at(&all, number), 0.97).unwrap();
    let (quiet, before) = (upper(noon - 50), upper(noon - 1));
    assert!(quiet < 300.0, "{quiet} in a quiet hour");
    assert!(before > 1.5 * quiet, "{before} before the rise, {quiet} in a quiet hour");
}

#[test]
fn a_load_without_a_season_is_not_given_one() {
    // One burst, yesterday at this time. Before anything repeats, it announces nothing.
    let load = |number: u32| if (2160..2175).contains(&number) { 900.0 } else { 200.0 * (1.0 + 0.05 * noise(number)) };
    let all = observation(load, 4000);
    let forecaster = Forecaster::learn_until(&all, minute(3540)).unwrap();
    let (quiet, same_time) = (3550, 2160 + 1440 - 2);
    let upper = |number: u32| forecaster.upper_load(&at(&all, number), 0.95).unwrap();
    assert!((upper(same_time) / upper(quiet) - 1.0).abs() < 0.15, "{} {}", upper(same_time), upper(quiet));
}

#[test]
fn too_short_a_past_teaches_nothing() {
    let short = observation(|_| 500.0, 120);
    assert_eq!(Forecaster::learn_until(&short, short.current.timestamp), None);
    let nothing = Observation::new(scaling_core::Target::deployment("shop", "web"), ScalingMetrics::new(start(), 1));
    assert_eq!(Forecaster::learn_until(&nothing, start()), None);
    let generic = Forecaster::generic(&short.facts, 50.0);
    assert_eq!((generic.training_samples(), generic.upper_load(&nothing, 0.9)), (0, None));
    let upper = generic.upper_load(&short, 0.97).unwrap();
    assert!(upper > 500.0 && upper < 600.0, "{upper}");
}

#[test]
fn nothing_looks_ahead() {
    let calm = |number: u32| 500.0 * (1.0 + 0.2 * noise(number));
    let known = 1000;
    let (tame, wild) = (
        observation(calm, 1500),
        observation(|number| if number <= known { calm(number) } else { 90_000.0 * (1.0 + noise(number)) }, 1500),
    );
    let learnt = [&tame, &wild].map(|all| Forecaster::learn_until(all, minute(known)).unwrap());
    assert_eq!(learnt[0], learnt[1]);
    for number in [known - 20, known - 1, known] {
        let [a, b] = [&tame, &wild].map(|all| learnt[0].upper_load(&at(all, number), 0.95).unwrap().to_bits());
        assert_eq!(a, b, "{number}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_load_gives_a_finite_forecast(
        values in prop::collection::vec(prop_oneof![
            3 => 0.0..1000.0_f64, 1 => Just(0.0), 1 => Just(1e12), 1 => Just(1e-300), 1 => Just(f64::NAN), 1 => Just(-1.0),
        ], 1..40),
        gaps in prop::collection::vec(prop_oneof![4 => Just(60_i64), 2 => Just(15), 1 => Just(1), 1 => 1..100_000_i64], 1..20),
        capacity in prop_oneof![Just(None), Just(Some(50.0)), Just(Some(f64::MIN_POSITIVE)), Just(Some(f64::MAX))],
    ) {
        let mut time = start();
        let mut samples = Vec::new();
        for (value, gap) in values.iter().cycle().zip(gaps.iter().cycle()).take(500) {
            time += TimeDelta::seconds(*gap);
            samples.push(ScalingMetrics::new(time, 3).with(SignalKind::RequestRate, *value));
        }
        let (mut observation, _) = Observation::from_samples(scaling_core::Target::deployment("shop", "web"), samples).unwrap();
        observation.facts.pod_capacity = capacity;
        let learnt = Forecaster::learn_until(&observation, observation.current.timestamp);
        for forecaster in learnt.into_iter().chain([Forecaster::generic(&observation.facts, 50.0)]) {
            if let Some(upper) = forecaster.upper_load(&observation, 0.97) {
                prop_assert!(upper.is_finite() && upper >= 0.0, "{upper}");
            }
        }
    }
}
