//! Whether a challenger is better than a champion, told day by day: [`Trial`].

use std::fmt;

use serde::{Deserialize, Serialize};
use statrs::function::beta::{beta_reg, ln_beta};

use super::PairedDay;
use crate::setting::InvalidSetting;
use crate::state::Adoption;

/// Rule by which a challenger takes the place of a champion.
///
/// # The rule
/// A day is **won** if the challenger costs less and violates no more than the champion by more than a margin, **lost** if it costs more or
/// violates more, and says nothing if it does neither. After w won and l lost days the evidence for the challenger is
/// `E(w, l) = ∫₀¹ (1 + λ)ʷ (1 − λ)ˡ dλ`, the mean wealth of all those who bet a share λ on each day to be won. It is promoted once the
/// evidence is at least 1/α, there were days enough, and over all days it cost less and violated no more than the margin allows.
///
/// # Its error
/// If given the days before either is as likely as the other to be the better one, the evidence is a supermartingale of mean 1 at most, and
/// by Ville's inequality it *ever* reaches 1/α with a probability of α at most: however often one looks, and whenever one stops. A test of a
/// fixed length, looked at each day, would not keep its α. The same holds for a rejection with the two exchanged. Seven days that are
/// all won are enough for α = 0.05.
///
/// Sources: J. Ville, *Étude critique de la notion de collectif* (1939); V. Vovk and R. Wang, "E-values: calibration, combination and
/// applications", *Annals of Statistics* 49 (2021).
///
/// ```
/// use scaling_core::adoption::{DayCost, PairedDay, Trial, TrialVerdict};
/// use scaling_core::Adoption;
/// use scaling_core::chrono::{DateTime, TimeDelta};
///
/// let day = |number| PairedDay {
///     begins: DateTime::UNIX_EPOCH + TimeDelta::days(number),
///     champion: DayCost { pod_hours: 240.0, violating_share: 0.002, changes: 0 },
///     challenger: DayCost { pod_hours: 190.0, violating_share: 0.001, changes: 40 },
/// };
/// let week: Vec<_> = (0..7).map(day).collect();
/// let verdict = Trial::default().verdict(&week);
/// assert!(matches!(verdict, TrialVerdict::Promote(_)), "{verdict}");
/// assert_eq!(verdict.adoption(Adoption::Observe), Adoption::Floors);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    alpha: f64,
    margin: f64,
    least_days: usize,
}

/// The evidence of some days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Days that were compared.
    pub days: usize,
    /// Days that the challenger won.
    pub won: u32,
    /// Days that it lost.
    pub lost: u32,
    /// Evidence for the challenger: 1 is none, 20 is as good as an error rate of 5 %.
    pub for_it: f64,
    /// Evidence against it.
    pub against_it: f64,
    /// Pod-hours that it saved over all days; negative if it cost more.
    pub saved_pod_hours: f64,
    /// Mean share of violating requests of the challenger less that of the champion.
    pub more_violating: f64,
}

/// Verdict of a trial.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum TrialVerdict {
    /// The challenger is better, at the error rate of the trial.
    Promote(Evidence),
    /// Nobody can tell yet.
    Wait(Evidence),
    /// The challenger is worse, at the error rate of the trial.
    Reject(Evidence),
}

impl Default for Trial {
    /// An error rate of 5 %, a margin of 0.05 % of the requests, a week at least.
    fn default() -> Self {
        Self { alpha: 0.05, margin: 0.0005, least_days: 7 }
    }
}

impl Trial {
    /// Creates a rule of an error rate, a margin for the share of violating requests, and a least number of days.
    ///
    /// # Errors
    /// [`InvalidSetting`] if the error rate is not between 0 and 0.5, or the margin not within 0 to 1.
    pub fn new(alpha: f64, margin: f64, least_days: usize) -> Result<Self, InvalidSetting> {
        InvalidSetting::check(&[("alpha", alpha)], "above 0 and at most 0.5", |alpha| alpha > 0.0 && alpha <= 0.5)?;
        InvalidSetting::check(&[("margin", margin)], "within 0 to 1", |margin| (0.0..=1.0).contains(&margin))?;
        Ok(Self { alpha, margin, least_days })
    }

    /// Judges the days so far. It may be asked each day, and be acted on whenever it promotes. A day with a number that is not finite
    /// counts as lost: nobody knows how bad it was.
    pub fn verdict(&self, days: &[PairedDay]) -> TrialVerdict {
        let evidence = self.evidence(days);
        let enough = evidence.days >= self.least_days;
        let is_sound = evidence.saved_pod_hours > 0.0 && evidence.more_violating <= self.margin;
        if enough && is_sound && evidence.for_it >= 1.0 / self.alpha {
            TrialVerdict::Promote(evidence)
        } else if enough && evidence.against_it >= 1.0 / self.alpha {
            TrialVerdict::Reject(evidence)
        } else {
            TrialVerdict::Wait(evidence)
        }
    }

    fn evidence(&self, days: &[PairedDay]) -> Evidence {
        let mut evidence = Evidence { days: days.len(), ..Evidence::default() };
        let mut more_violating = 0.0;
        for PairedDay { champion, challenger, .. } in days {
            let saved = champion.pod_hours - challenger.pod_hours;
            let worse = challenger.violating_share - champion.violating_share;
            if saved < 0.0 || worse > self.margin || !(saved.is_finite() && worse.is_finite()) {
                evidence.lost += 1;
            } else if saved > 0.0 {
                evidence.won += 1;
            }
            evidence.saved_pod_hours += saved;
            more_violating += worse;
        }
        evidence.more_violating = more_violating / (days.len().max(1) as f64);
        evidence.for_it = wealth(evidence.won, evidence.lost);
        evidence.against_it = wealth(evidence.lost, evidence.won);
        evidence
    }
}

impl TrialVerdict {
    /// The evidence that it rests on.
    pub fn evidence(&self) -> &Evidence {
        let (Self::Promote(evidence) | Self::Wait(evidence) | Self::Reject(evidence)) = self;
        evidence
    }

    /// The stage after this verdict: one up, the same, or back to observing. The host carries it out.
    pub fn adoption(&self, now: Adoption) -> Adoption {
        match (self, now) {
            (Self::Promote(_), Adoption::Observe) => Adoption::Floors,
            (Self::Promote(_), _) => Adoption::Full,
            (Self::Wait(_), now) => now,
            (Self::Reject(_), _) => Adoption::Observe,
        }
    }
}

impl fmt::Display for TrialVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Evidence { days, won, lost, for_it, against_it, saved_pod_hours, more_violating } = self.evidence();
        let (word, evidence) = match self {
            Self::Promote(_) => ("promote", format!("evidence {for_it:.1} for it")),
            Self::Wait(_) => ("wait", format!("evidence {for_it:.1} for it, {against_it:.1} against")),
            Self::Reject(_) => ("reject", format!("evidence {against_it:.1} against it")),
        };
        let (sign, more) = if *more_violating < 0.0 { ("less", -more_violating) } else { ("more", *more_violating) };
        write!(
            f,
            "{word}: {won} of {days} days won, {lost} lost, {saved_pod_hours:.1} pod-hours saved, {:.3} % of requests {sign} violating; \
             {evidence}",
            more * 100.0
        )
    }
}

/// `∫₀¹ (1 + λ)ʷ (1 − λ)ˡ dλ = 2ⁿ⁺¹ B(w+1, l+1) I½(l+1, w+1)` with n = w + l, by the substitution x = (1 + λ)/2.
fn wealth(won: u32, lost: u32) -> f64 {
    let (w, l) = (f64::from(won) + 1.0, f64::from(lost) + 1.0);
    let logarithm = (w + l - 1.0) * std::f64::consts::LN_2 + ln_beta(w, l) + beta_reg(l, w, 0.5).ln();
    logarithm.exp()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
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
        fn what_is_promoted_has_saved_pods_and_violated_no_more_than_the_margin(
            days in prop::collection::vec((0.0..500.0_f64, 0.0..0.01_f64, 0.0..500.0_f64, 0.0..0.01_f64), 0..60),
            margin in 0.0..0.01_f64,
        ) {
            let days: Vec<_> = days.iter().map(|(a, b, c, d)| day((*a, *b), (*c, *d))).collect();
            if let TrialVerdict::Promote(evidence) = Trial::new(0.2, margin, 3).unwrap().verdict(&days) {
                prop_assert!(evidence.saved_pod_hours > 0.0 && evidence.more_violating <= margin);
                prop_assert!(evidence.won > evidence.lost);
            }
        }

        #[test]
        fn a_won_day_never_lowers_the_evidence_and_a_lost_one_never_raises_it(won in 0_u32..2000, lost in 0_u32..2000) {
            prop_assert!(wealth(won + 1, lost) >= wealth(won, lost));
            prop_assert!(wealth(won, lost + 1) <= wealth(won, lost));
            prop_assert!(wealth(won, lost).is_finite() || lost == 0 || won > lost);
        }
    }
}
