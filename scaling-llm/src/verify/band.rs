//! The band of the forecast, as three paths: lower, middle and upper.

use scaling_core::{Observation, Reason, ScalingDecision};

/// Paths of load, as multiples of the load now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Band {
    /// Load when the forecast is for, on each path.
    ends: [f64; 3],
    /// Time from the newest sample until then, in seconds.
    ahead_s: f64,
    /// An event that begins on the way: when, in seconds from the newest sample, and its factor. On the middle and the upper path.
    event: Option<(f64, f64)>,
}

impl Band {
    /// Reads the band of what is forecast: by the observation or, if it says nothing, by the baseline in its reasons.
    ///
    /// The upper path goes to the load that is expected, and never below the present; the middle one stays as it is; the lower one
    /// falls as far as the upper one rises. Without a forecast only `usual` is known, the largest growth in all but one of a hundred
    /// moments of the past, and stands for it.
    pub(super) fn of(observation: &Observation, baseline: &ScalingDecision, usual: f64, length_s: f64) -> Self {
        let told = match &observation.forecast {
            Some(Ok(forecast)) => Some((forecast.observed, forecast.expected, forecast.ahead_s)),
            _ => baseline.reasons.iter().find_map(|reason| match reason {
                Reason::Forecast { observed, expected, ahead_s, .. } => Some((*observed, *expected, *ahead_s)),
                _ => None,
            }),
        };
        let told = told.map(|(observed, expected, ahead_s)| (expected / observed, ahead_s));
        let (factor, ahead_s) =
            told.filter(|(factor, ahead_s)| factor.is_finite() && ahead_s.is_finite()).unwrap_or((usual, length_s));
        let upper = factor.max(1.0);
        let event = observation.events.iter().filter_map(|event| {
            let starts_s = (event.start() - observation.current.timestamp).as_seconds_f64();
            (starts_s > 0.0 && starts_s < length_s && event.factor() > 1.0).then_some((starts_s, event.factor()))
        });
        let event = event.reduce(|most, other| if other.1 > most.1 { other } else { most });
        Self { ends: [1.0 / upper, 1.0, upper], ahead_s: ahead_s.max(0.0), event }
    }

    /// The paths, lower, middle and upper: the load in each step.
    pub(super) fn paths(&self, step_s: f64, length: usize) -> [impl Iterator<Item = f64> + Clone; 3] {
        let Self { ends, ahead_s, event } = *self;
        [0, 1, 2].map(move |nth: usize| {
            let end = ends.get(nth).copied().unwrap_or(1.0);
            (0..length).map(move |step| {
                let at_s = step as f64 * step_s;
                let share = if ahead_s > 0.0 { (at_s / ahead_s).min(1.0) } else { 1.0 };
                let begun = event.filter(|(starts_s, _)| nth > 0 && at_s >= *starts_s);
                (1.0 + (end - 1.0) * share) * begun.map_or(1.0, |(_, factor)| factor)
            })
        })
    }
}
