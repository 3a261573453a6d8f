use chrono::{DateTime, TimeDelta};
use proptest::prelude::*;

use super::*;
use crate::adoption::DayCost;

fn day(champion: (f64, f64), challenger: (f64, f64)) -> PairedDay {
    let cost = |(pod_hours, violating_share)| DayCost { pod_hours, violating_share, ..DayCost::default() };
    PairedDay {
        begins: DateTime::UNIX_EPOCH + TimeDelta::days(1),
        champion: cost(champion),
        challenger: cost(challenger),
    }
}

#[test]
fn the_wealth_is_the_integral() {
    for (won, lost) in [(0, 0), (1, 0), (7, 0), (3, 5), (20, 11), (40, 41)] {
        let steps = 200_000;
        let at = |nth: u32| {
            let lambda = (f64::from(nth) + 0.5) / f64::from(steps);
            (1.0 + lambda).powf(f64::from(won)) * (1.0 - lambda).powf(f64::from(lost))
        };
        let sum: f64 = (0..steps).map(at).sum::<f64>() / f64::from(steps);
        let error = (wealth(won, lost) - sum).abs() / sum;
        assert!(error < 1e-6, "{won} won, {lost} lost: {} instead of {sum}", wealth(won, lost));
    }
    assert!((wealth(7, 0) - 255.0 / 8.0).abs() < 1e-9);
}

/// By way of the beta function this lies below the least normal number, where a lost day added evidence.
#[test]
fn a_long_row_of_lost_days_leaves_some_evidence_and_less_each_day() {
    let evidence = [1304, 1305, 1306, 100_000].map(|lost| wealth(46, lost));
    assert!(evidence.windows(2).all(|pair| pair[1] < pair[0] && pair[1] > 0.0), "{evidence:?}");
    assert!((wealth(0, 1305) * 1306.0 - 1.0).abs() < 1e-12);
}

/// The probability that the evidence reaches the bound within so many days of which each is won with probability p: exact, over
/// all paths, each of which ends when it reaches the bound.
fn reaches(p: f64, alpha: f64, days: u32) -> f64 {
    let (mut alive, mut reached) = (vec![1.0], 0.0);
    for n in 1..=days {
        let mut next = vec![0.0; n as usize + 1];
        for (won, mass) in alive.iter().enumerate() {
            next[won] += mass * (1.0 - p);
            next[won + 1] += mass * p;
        }
        for (won, mass) in next.iter_mut().enumerate() {
            let won = u32::try_from(won).unwrap();
            if wealth(won, n - won) >= 1.0 / alpha {
                reached += *mass;
                *mass = 0.0;
            }
        }
        alive = next;
    }
    reached
}

#[test]
fn under_no_difference_it_promotes_at_most_alpha_of_the_time_however_often_one_looks() {
    for alpha in [0.01, 0.05, 0.2] {
        for p in [0.5, 0.4] {
            let error = reaches(p, alpha, 730);
            assert!(error <= alpha, "{error} of {alpha} in two years, looked at each day");
        }
    }
    assert!(reaches(0.5, 0.05, 730) > 0.01, "and the test of it would see if it did not");
}

#[test]
fn a_challenger_that_wins_four_days_of_five_is_found_within_two_months() {
    let found = reaches(0.8, 0.05, 60);
    assert!(found > 0.9, "{found}");
}

#[test]
fn what_costs_less_and_violates_more_is_not_promoted() {
    let days = vec![day((240.0, 0.001), (200.0, 0.004)); 60];
    assert!(matches!(Trial::default().verdict(&days), TrialVerdict::Reject(_)));
    let mut days = vec![day((240.0, 0.001), (200.0, 0.001)); 60];
    days.push(day((240.0, 0.0), (200.0, 0.5)));
    assert!(matches!(Trial::default().verdict(&days), TrialVerdict::Wait(_)), "one terrible day weighs");
    let broken = vec![day((240.0, 0.001), (f64::NAN, 0.0)); 60];
    let verdict = Trial::default().verdict(&broken);
    assert!(matches!(verdict, TrialVerdict::Reject(_)), "{verdict}");
    assert!(matches!(Trial::default().verdict(&[]), TrialVerdict::Wait(_)));
}

#[test]
fn a_day_is_won_by_what_is_better_and_worse_in_nothing() {
    let won = |days: &[PairedDay]| {
        let evidence = *Trial::default().verdict(days).evidence();
        (evidence.won, evidence.lost)
    };
    let day = |cost, violating| day((100.0, 0.02), (cost, violating));
    for (cost, violating, expected) in [
        (99.0, 0.02, (1, 0)),
        (99.6, 0.02, (0, 0)),
        (100.4, 0.02, (0, 0)),
        (101.0, 0.02, (0, 1)),
        (100.4, 0.01, (1, 0)),
        (101.0, 0.01, (0, 1)),
        (90.0, 0.03, (0, 1)),
        (99.6, 0.0204, (0, 0)),
    ] {
        assert_eq!(won(&[day(cost, violating)]), expected, "{cost} {violating}");
    }
    let dearer = Trial::default().dearer_by(0.02).unwrap();
    assert_eq!(dearer.verdict(&[day(101.0, 0.01)]).evidence().won, 1);
    assert_eq!(dearer.verdict(&[day(103.0, 0.01)]).evidence().lost, 1);
    assert!(Trial::default().cost_margin(f64::NAN).is_err() && Trial::default().dearer_by(-1.0).is_err());
    let each = Trial::default().cost_margin(0.0).unwrap();
    assert_eq!(each.verdict(&[day(99.99, 0.02), day(100.01, 0.02)]).evidence().won, 1);
}

#[test]
fn stages_come_one_after_the_other() {
    let days = vec![day((240.0, 0.001), (200.0, 0.001)); 10];
    let promoted = Trial::default().verdict(&days);
    let stages = [Adoption::Observe, Adoption::Floors, Adoption::Full].map(|stage| promoted.adoption(stage));
    assert_eq!(stages, [Adoption::Floors, Adoption::Full, Adoption::Full]);
    let text = promoted.to_string();
    assert!(text.starts_with("promote: 10 of 10 days won, 0 lost, 400.0 pod-hours saved, 0.000 %"), "{text}");
    assert!(Trial::new(0.0, 0.0, 1).is_err() && Trial::new(0.05, 2.0, 1).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_promoted_is_better_in_one_and_worse_in_neither_by_more_than_the_margins(
        days in prop::collection::vec((0.0..500.0_f64, 0.0..0.01_f64, 0.0..500.0_f64, 0.0..0.01_f64), 0..60),
        (margin, cost_margin, dearer) in (0.0..0.01_f64, 0.0..0.1_f64, 0.0..2.0_f64),
    ) {
        let days: Vec<_> = days.iter().map(|(a, b, c, d)| day((*a, *b), (*c, *d))).collect();
        let trial = Trial::new(0.2, margin, 3).unwrap().cost_margin(cost_margin).unwrap().dearer_by(dearer).unwrap();
        if let TrialVerdict::Promote(evidence) = trial.verdict(&days) {
            let champion: f64 = days.iter().map(|day| day.champion.pod_hours).sum();
            let (saves, serves) =
                (evidence.saved_pod_hours > cost_margin * champion, evidence.more_violating < -margin);
            let most = if serves { dearer.max(cost_margin) } else { cost_margin };
            prop_assert!(saves || serves);
            prop_assert!(evidence.more_violating <= margin && evidence.saved_pod_hours >= -most * champion);
            prop_assert!(evidence.won > evidence.lost);
        }
    }

    #[test]
    fn a_won_day_never_lowers_the_evidence_and_a_lost_one_never_raises_it(won in 0_u32..2000, lost in 0_u32..2000) {
        prop_assert!(wealth(won + 1, lost) >= wealth(won, lost));
        prop_assert!(wealth(won, lost + 1) <= wealth(won, lost));
        prop_assert!(wealth(won, lost).is_finite() && wealth(won, lost) > 0.0);
    }
}
