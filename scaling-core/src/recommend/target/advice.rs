//! [`TargetAdvice`]: a setting of an HPA that was tried on the past, judged, in one sentence.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::TargetSetting;
use crate::backtest::Score;
use crate::stats::grouped;

/// Least saving that is worth a change of the manifest, as a share of the pod-hours. Less is within what one week differs from
/// the next.
const WORTHWHILE: f64 = 0.01;

/// Judgement on a recommended setting, from the part of the past that it was not chosen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TargetVerdict {
    /// Deploy the engine with the setting: it keeps the wanted share, which the HPA as it stands does not, or not as cheaply.
    Change,
    /// Deploy the engine with the setting, although both miss the wanted share: what is violated beyond that share falls by a larger
    /// part than the pod-hours rise, if they rise at all.
    ChangeBelowHope,
    /// Keep the HPA as it stands: it keeps the wanted share at least as cheaply, to within a hundredth.
    Keep,
    /// Keep the HPA as it stands: the setting missed the wanted share where it was judged, and does not come closer to it than its price
    /// is worth.
    KeepForLackOfBetter,
}

impl TargetVerdict {
    /// Judges a setting by the scores of the HPA alone, as it stands, and of the engine with the setting, over the same time; `wanted` is
    /// the share of requests that may violate.
    pub fn of(before: &Score, after: &Score, wanted: f64) -> Self {
        let [kept_before, kept_after] = [before, after].map(|score| score.violating_share <= wanted);
        let cheaper = after.pod_hours < before.pod_hours * (1.0 - WORTHWHILE);
        match (kept_before, kept_after) {
            (false, true) => Self::Change,
            (true, true) if cheaper => Self::Change,
            (true, true) => Self::Keep,
            (false, false) if comes_closer(before, after, wanted) => Self::ChangeBelowHope,
            (_, false) => Self::KeepForLackOfBetter,
        }
    }

    /// Returns true if the HPA should be changed.
    pub fn changes(self) -> bool {
        matches!(self, Self::Change | Self::ChangeBelowHope)
    }
}

/// True if the violations beyond the wanted share fall by a larger part than the pod-hours rise. An HPA under which four requests in ten
/// are late is not to be kept because one in fifty would cost a tenth more.
fn comes_closer(before: &Score, after: &Score, wanted: f64) -> bool {
    let [excess_before, excess_after] = [before, after].map(|score| score.violating_share - wanted);
    let fewer = 1.0 - excess_after / excess_before;
    let dearer = if before.pod_hours > 0.0 { after.pod_hours / before.pod_hours - 1.0 } else { f64::INFINITY };
    fewer > 0.0 && fewer > dearer
}

/// Advice on the target of an HPA, with its figures. It prints itself as one sentence, the same wherever it is given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TargetAdvice<'a> {
    /// Setting that was tried.
    pub setting: &'a TargetSetting,
    /// Score of the HPA alone, as it stands.
    pub before: &'a Score,
    /// Score of the engine with the setting, over the same time.
    pub after: &'a Score,
    /// Share of violating requests that was aimed for.
    pub wanted_share: f64,
    /// Judgement of both.
    pub verdict: TargetVerdict,
}

impl<'a> TargetAdvice<'a> {
    /// Judges a setting as [`TargetVerdict::of`].
    pub fn of(setting: &'a TargetSetting, before: &'a Score, after: &'a Score, wanted_share: f64) -> Self {
        Self { setting, before, after, wanted_share, verdict: TargetVerdict::of(before, after, wanted_share) }
    }
}

impl fmt::Display for TargetAdvice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, before, after, .. } = self;
        let wanted = 100.0 * self.wanted_share;
        match self.verdict {
            TargetVerdict::Change => write!(f, "recommended with our floors: {setting}")?,
            TargetVerdict::ChangeBelowHope => {
                write!(f, "recommended with our floors, though above the wanted {wanted} %: {setting}")?;
            }
            TargetVerdict::Keep => write!(f, "keep the HPA as it is: {setting} with our floors would not be cheaper")?,
            TargetVerdict::KeepForLackOfBetter => {
                write!(
                    f,
                    "keep the HPA as it is: {setting} with our floors missed the wanted {wanted} % and is not worth its price"
                )?;
            }
        }
        let told = |score: &Score| {
            format!("{} pod-hours at {:.2} %", grouped(score.pod_hours, 1), 100.0 * score.violating_share)
        };
        write!(f, " ({} too late or lost, instead of {})", told(after), told(before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtest::Quantiles;

    fn score(pod_hours: f64, violating_share: f64) -> Score {
        Score {
            hours: 168.0,
            requests: 1e6,
            violating_requests: 1e6 * violating_share,
            violating_share,
            violation_minutes: 0.0,
            dropped_requests: 0.0,
            pod_hours,
            oracle_ratio: None,
            cost: None,
            peak_pods: 9,
            scale_events: 0,
            bound_changes: 0,
            utilization: Quantiles::default(),
            wait_seconds: Quantiles::default(),
            decisions: None,
            notes: Vec::new(),
        }
    }

    #[test]
    fn violations_and_cost_are_weighed_where_both_miss_the_share() {
        let verdict = |before: (f64, f64), after: (f64, f64)| {
            TargetVerdict::of(&score(before.0, before.1), &score(after.0, after.1), 0.01)
        };
        assert_eq!(verdict((1000.0, 0.005), (900.0, 0.009)), TargetVerdict::Change);
        assert_eq!(verdict((1000.0, 0.005), (995.0, 0.0)), TargetVerdict::Keep, "half a hundredth cheaper");
        assert_eq!(verdict((1000.0, 0.2), (1500.0, 0.01)), TargetVerdict::Change);
        // Nearly all that is late too much, for two fifths more.
        assert_eq!(verdict((718.0, 0.38), (1001.0, 0.021)), TargetVerdict::ChangeBelowHope);
        assert_eq!(verdict((1000.0, 0.03), (900.0, 0.029)), TargetVerdict::ChangeBelowHope);
        // A tenth of it for a fifth more; and nothing of it.
        assert_eq!(verdict((1000.0, 0.03), (1200.0, 0.028)), TargetVerdict::KeepForLackOfBetter);
        assert_eq!(verdict((1000.0, 0.03), (500.0, 0.031)), TargetVerdict::KeepForLackOfBetter);
        assert_eq!(verdict((1000.0, 0.005), (500.0, 0.02)), TargetVerdict::KeepForLackOfBetter);
    }

    #[test]
    fn advice_is_one_sentence_with_its_figures() {
        let setting = TargetSetting { cpu_target_percent: 95, window_seconds: Some(60), scale_down_tolerance: None };
        let (before, after) = (score(12_345.0, 0.05), score(11_000.5, 0.0021));
        assert_eq!(
            TargetAdvice::of(&setting, &before, &after, 0.01).to_string(),
            "recommended with our floors: CPU at 95 %, scale-down stabilization 60 s (11,000.5 pod-hours at 0.21 % too late or lost, instead \
             of 12,345.0 pod-hours at 5.00 %)"
        );
    }
}
