//! Whether a challenger is better than a champion, told day by day: [`Trial`].

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::PairedDay;
use crate::setting::InvalidSetting;
use crate::state::Adoption;

/// Share of the pod-hours that is too little to say something.
const COST_MARGIN: f64 = 0.005;

/// Rule by which a challenger takes the place of a champion.
///
/// # The rule
/// A day is **won** if the challenger costs less or violates less than the champion, by more than a margin, and does neither more by more than its
/// margin; **lost** if it does either more; and says nothing otherwise. A host to whom its users are worth something
/// [allows](Self::dearer_by) a challenger that violates less to cost a share more. After w won and l lost days the evidence for it is
/// `E(w, l) = ∫₀¹ (1 + λ)ʷ (1 − λ)ˡ dλ`, the mean wealth of all those who bet a share λ on each day to be won. It is promoted once the
/// evidence is at least 1/α, there were days enough, and over all days it would have won as well.
///
/// # Its error
/// If given the days before either is as likely as the other to be the better one, the evidence is a supermartingale of mean 1 at most, and
/// by Ville's inequality it *ever* reaches 1/α with a probability of α at most: however often one looks, and whenever one stops. A test of a
/// fixed length, looked at each day, would not keep its α. Seven days that are all won are enough for α = 0.05. A rejection is made as easily,
/// and not as surely: a day on which the one costs less and the other violates less counts against the challenger, whichever it is.
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
    cost_margin: f64,
    dearer: f64,
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
    /// An error rate of 5 %, margins of 0.05 % of the requests and 0.5 % of the pod-hours, a week at least.
    fn default() -> Self {
        Self { alpha: 0.05, margin: 0.0005, cost_margin: COST_MARGIN, dearer: 0.0, least_days: 7 }
    }
}

impl Trial {
    /// Creates a rule of an error rate, a margin for the share of violating requests, and a least number of days. The margin of the cost is
    /// that of the default.
    ///
    /// # Errors
    /// [`InvalidSetting`] if the error rate is not between 0 and 0.5, or the margin not within 0 to 1.
    pub fn new(alpha: f64, margin: f64, least_days: usize) -> Result<Self, InvalidSetting> {
        InvalidSetting::check(&[("alpha", alpha)], "above 0 and at most 0.5", |alpha| alpha > 0.0 && alpha <= 0.5)?;
        InvalidSetting::check(&[("margin", margin)], "within 0 to 1", |margin| (0.0..=1.0).contains(&margin))?;
        Ok(Self { alpha, margin, cost_margin: COST_MARGIN, dearer: 0.0, least_days })
    }

    /// Sets the margin of the cost, as a share of the champion's pod-hours. Default: 0.005. A replay repeats a difference of a thousandth each
    /// day, and it says nothing about a workload.
    ///
    /// # Errors
    /// [`InvalidSetting`] if the share is not within 0 to 1.
    pub fn cost_margin(mut self, share: f64) -> Result<Self, InvalidSetting> {
        InvalidSetting::check(&[("cost_margin", share)], "within 0 to 1", |share| (0.0..=1.0).contains(&share))?;
        self.cost_margin = share;
        Ok(self)
    }

    /// Sets the share of the champion's pod-hours that a challenger may cost more which violates less. Default: the margin. An engine that only ever raises floors over the same HPA saves nothing: what it is worth, it is worth to the users.
    ///
    /// ```
    /// use scaling_core::adoption::{DayCost, PairedDay, Trial, TrialVerdict};
    /// use scaling_core::chrono::{DateTime, TimeDelta};
    ///
    /// let day = |number| PairedDay {
    ///     begins: DateTime::UNIX_EPOCH + TimeDelta::days(number),
    ///     champion: DayCost { pod_hours: 240.0, violating_share: 0.09, changes: 0 },
    ///     challenger: DayCost { pod_hours: 252.0, violating_share: 0.004, changes: 40 },
    /// };
    /// let week: Vec<_> = (0..7).map(day).collect();
    /// assert!(matches!(Trial::default().verdict(&week), TrialVerdict::Reject(_)), "it costs more");
    /// assert!(matches!(Trial::default().dearer_by(0.1)?.verdict(&week), TrialVerdict::Promote(_)));
    /// # Ok::<(), scaling_core::InvalidSetting>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidSetting`] if the share is not within 0 to 10.
    pub fn dearer_by(mut self, share: f64) -> Result<Self, InvalidSetting> {
        InvalidSetting::check(&[("dearer", share)], "within 0 to 10", |share| (0.0..=10.0).contains(&share))?;
        self.dearer = share;
        Ok(self)
    }

    /// Judges the days so far. It may be asked each day, and be acted on whenever it promotes. A day with a number that is not finite
    /// counts as lost: nobody knows how bad it was.
    pub fn verdict(&self, days: &[PairedDay]) -> TrialVerdict {
        let evidence = self.evidence(days);
        let enough = evidence.days >= self.least_days;
        let champion: f64 = days.iter().map(|day| day.champion.pod_hours).sum();
        let is_sound = self.compared(champion, evidence.saved_pod_hours, evidence.more_violating) == Ordering::Greater;
        if enough && is_sound && evidence.for_it >= 1.0 / self.alpha {
            TrialVerdict::Promote(evidence)
        } else if enough && evidence.against_it >= 1.0 / self.alpha {
            TrialVerdict::Reject(evidence)
        } else {
            TrialVerdict::Wait(evidence)
        }
    }

    /// The challenger beside the champion, who had so many pod-hours.
    fn compared(&self, champion: f64, saved: f64, worse: f64) -> Ordering {
        let (serves_better, costs_less) = (worse < -self.margin, saved > self.cost_margin * champion);
        let most = if serves_better { self.dearer.max(self.cost_margin) } else { self.cost_margin };
        if !(saved.is_finite() && worse.is_finite()) || worse > self.margin || saved < -most * champion {
            Ordering::Less
        } else if serves_better || costs_less {
            Ordering::Greater
        } else {
            Ordering::Equal
        }
    }

    fn evidence(&self, days: &[PairedDay]) -> Evidence {
        let mut evidence = Evidence { days: days.len(), ..Evidence::default() };
        let mut more_violating = 0.0;
        for PairedDay { champion, challenger, .. } in days {
            let saved = champion.pod_hours - challenger.pod_hours;
            let worse = challenger.violating_share - champion.violating_share;
            match self.compared(champion.pod_hours, saved, worse) {
                Ordering::Less => evidence.lost += 1,
                Ordering::Equal => {}
                Ordering::Greater => evidence.won += 1,
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

/// `∫₀¹ (1 + λ)ʷ (1 − λ)ˡ dλ = Σₖ w!/(w−k)! · l!/(l+1+k)!` over k from 0 to w, by parts. A sum of positive terms of which each grows with
/// w and falls with l is true to the last digits, and its rounding keeps the order. At most the largest number, so that JSON can hold it.
fn wealth(won: u32, lost: u32) -> f64 {
    let (w, l) = (f64::from(won), f64::from(lost));
    let first = 1.0 / (l + 1.0);
    let terms =
        std::iter::successors(Some((0.0, first)), |&(k, term)| Some((k + 1.0, term * ((w - k) / (l + 2.0 + k)))));
    terms.map(|(_, term)| term).take_while(|term| *term > 0.0).sum::<f64>().min(f64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
