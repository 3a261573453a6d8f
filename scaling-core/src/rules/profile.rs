//! How a workload's load moves: [`LoadProfile`].
//!
//! A decision now meets the load that comes when its pods are ready. How much more that may be than what was last seen differs
//! between workloads more than anything else about them, and it can be learnt from their own past: take every minute of it,
//! look at what could be read off the load then and at what came, and fit the quantile. What is provisioned for is that upper
//! quantile; a smooth workload pays for little headroom and a jumpy one for much.
//!
//! The fit is a linear quantile regression (Koenker and Bassett, *Regression Quantiles*, 1978) of the growth of the logarithm of
//! load on seven readings of the last hour. Nothing in it knows the hour of the day: it reacts, it does not foresee.

mod grid;
mod regression;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use self::grid::{FAR_BACK, Grid, Readings};
use crate::{Observation, SignalKind, WorkloadFacts};

/// The quantile of the coming load that is provisioned for.
const QUANTILE: f64 = 0.97;
/// How much of the past teaches, in seconds.
const LEARN_S: f64 = 7.0 * 86_400.0;
/// Shortest past that teaches, in seconds, beyond what a reading needs.
const LEARN_MIN_S: f64 = 2.0 * 3600.0;
/// For how many steps of the grid an upper load is held: 75 s.
const HELD: usize = 5;
/// Coefficients before anything is learnt: about the median of those learnt on fifteen public load traces.
const GENERIC: Readings = [0.03, 0.2, 4.5, 0.1, 0.1, 1.0, 0.4];

/// How a workload's load moves, learnt from its past. A few numbers: cheap to store, to copy and to record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadProfile {
    /// Coefficients of: constant; change of the last 15 s; the same if positive; how far the maxima of 15 and of 60 minutes lie
    /// above now; volatility; Poisson noise. All but the last of logarithms of load.
    coefficients: Readings,
    /// Added to load before logarithms are taken, in requests per second: a quarter of what a pod carries, so that loads far
    /// below one pod do not count as swings.
    floor: f64,
    /// Minutes of past behind it; 0 for the generic profile.
    samples: u32,
}

impl LoadProfile {
    /// The profile of a workload with this capacity per pod about which nothing else is known.
    pub fn generic(pod_capacity: f64) -> Self {
        Self { coefficients: GENERIC, floor: (0.25 * pod_capacity).max(f64::MIN_POSITIVE), samples: 0 }
    }

    /// Minutes of past that it was learnt from; 0 for the generic profile.
    pub fn samples(&self) -> u32 {
        self.samples
    }

    /// Learns from the request rate of up to seven days. Takes milliseconds, so do it now and then
    /// ([`Profiled`](crate::source::Profiled)), not at every decision.
    ///
    /// `None` without a request rate now, without a known or visible size of a pod, or with less than three hours of past.
    pub fn learn(observation: &Observation) -> Option<Self> {
        Self::learn_until(observation, observation.current.timestamp)
    }

    /// The same from what was known at an instant: later samples are not looked at.
    pub fn learn_until(observation: &Observation, until: DateTime<Utc>) -> Option<Self> {
        let until_ms = until.timestamp_millis();
        let grid = Grid::past(observation, until_ms, LEARN_S)?;
        let floor = 0.25 * pod_size(observation, until_ms)?;
        let ahead = ahead(&observation.facts);
        let enough = LEARN_MIN_S / grid::STEP_S;
        if (grid.len() as f64) < enough + (FAR_BACK + ahead.1) as f64 {
            return None;
        }
        let samples = grid.lessons(ahead, floor);
        let coefficients = regression::quantile(&samples, &GENERIC, QUANTILE)?;
        Some(Self { coefficients, floor, samples: u32::try_from(samples.len()).unwrap_or(u32::MAX) })
    }

    /// The load to provide for: the upper quantile of what may have come when new pods are ready, the largest of the last 75 s.
    /// May lie below `observed` when load is falling, as it usually goes on to. `observed` itself where there is no request rate
    /// to judge by.
    pub(super) fn upper_load(&self, observation: &Observation, observed: f64) -> f64 {
        let Some(recent) = grid::Recent::of(observation, HELD) else { return observed };
        let upper = (0..=HELD)
            .filter_map(|back| {
                let (level, readings) = recent.readings(back, self.floor)?;
                let growth: f64 = self.coefficients.iter().zip(&readings).map(|(c, x)| c * x).sum();
                Some((level + self.floor) * growth.clamp(-1.5, 3.0).exp() - self.floor)
            })
            .fold(f64::NAN, f64::max);
        if upper.is_finite() { upper.max(0.0) } else { observed }
    }
}

/// What one pod carries, roughly: declared, or what pods have carried on average.
fn pod_size(observation: &Observation, until_ms: i64) -> Option<f64> {
    let declared = observation.facts.pod_capacity.filter(|capacity| capacity.is_finite() && *capacity > 0.0);
    declared.or_else(|| {
        let before = observation.history.before(until_ms.min(observation.current.timestamp.timestamp_millis()));
        let (mut load, mut pods) = (0.0, 0.0);
        for (rate, ready) in before.column(SignalKind::RequestRate).iter().zip(before.pods()) {
            if rate.is_finite() && *ready >= 1.0 {
                load += rate;
                pods += ready;
            }
        }
        (load > 0.0).then(|| load / pods)
    })
}

/// Steps of the grid from the newest window of metrics to the two whose centres enclose the middle of the first sync period
/// that a new pod serves.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // limited to a day
fn ahead(facts: &WorkloadFacts) -> (usize, usize) {
    let seconds = facts.metrics_lag.as_secs_f64()
        + facts.start_up.as_secs_f64()
        + facts.sync_period.as_secs_f64() / 2.0
        + facts.metrics_window.as_secs_f64() / 2.0;
    let steps = seconds.min(86_400.0) / grid::STEP_S;
    (steps.floor() as usize, steps.ceil() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MetricsHistory, ScalingMetrics};
    use chrono::TimeDelta;

    fn observation(rate: impl Fn(f64) -> f64, minutes: u32) -> Observation {
        let start = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let sample = |minute: u32| {
            ScalingMetrics::new(start + TimeDelta::minutes(i64::from(minute)), 10)
                .with(SignalKind::RequestRate, rate(f64::from(minute)))
        };
        let mut history = MetricsHistory::new();
        for minute in 0..minutes {
            history.push(&sample(minute)).unwrap();
        }
        let mut observation = Observation::new(sample(minutes)).with_history(history);
        observation.facts.pod_capacity = Some(50.0);
        observation
    }

    /// Deterministic noise within ±1.
    fn noise(minute: f64) -> f64 {
        (minute * 12.9898).sin() * (minute * 78.233).cos()
    }

    #[test]
    fn a_calm_workload_gets_little_headroom_and_a_jumpy_one_much() {
        let headroom = |swing: f64| {
            let observation = observation(|minute| 500.0 * (1.0 + swing * noise(minute)), 600);
            let profile = LoadProfile::learn(&observation).unwrap();
            profile.upper_load(&observation, 500.0) / 500.0
        };
        let (calm, jumpy) = (headroom(0.01), headroom(0.4));
        assert!(calm < 1.1 && jumpy > 1.25, "{calm} {jumpy}");
    }

    #[test]
    fn rising_load_is_carried_on() {
        let steep = observation(|minute| if minute < 595.0 { 500.0 } else { 500.0 + 60.0 * (minute - 594.0) }, 600);
        let generic = LoadProfile::generic(50.0);
        assert!(generic.upper_load(&steep, 860.0) > 950.0);
    }

    #[test]
    fn too_little_past_teaches_nothing() {
        assert_eq!(LoadProfile::learn(&observation(|_| 500.0, 60)), None);
        assert_eq!(LoadProfile::learn(&Observation::new(ScalingMetrics::new(DateTime::UNIX_EPOCH, 1))), None);
    }

    #[test]
    fn nothing_looks_ahead() {
        let seen = observation(|minute| 500.0 + 100.0 * noise(minute), 600);
        let mut later = seen.clone();
        let history = std::sync::Arc::make_mut(&mut later.history);
        let at = seen.current.timestamp + TimeDelta::minutes(1);
        history.push(&ScalingMetrics::new(at, 10).with(SignalKind::RequestRate, 90_000.0)).unwrap();
        let (a, b) = (LoadProfile::learn(&seen), LoadProfile::learn(&later));
        assert_eq!(a, b);
        let upper = |profile: Option<LoadProfile>, seen| profile.unwrap().upper_load(seen, 1.0).to_bits();
        assert_eq!(upper(a, &seen), upper(b, &later));
    }

    #[test]
    fn hostile_loads_give_finite_answers() {
        for rate in [0.0, 1e-300, 1e12] {
            let observation = observation(|minute| if minute % 2.0 == 0.0 { rate } else { 0.0 }, 400);
            if let Some(profile) = LoadProfile::learn(&observation) {
                assert!(profile.upper_load(&observation, rate).is_finite());
            }
        }
    }
}
