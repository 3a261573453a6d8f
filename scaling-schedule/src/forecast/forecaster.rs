//! A forecast of load, learnt or generic: [`Forecaster`].

use chrono::{DateTime, Utc};
use scaling_core::{Observation, SignalKind, WorkloadFacts};

use super::features::{Ahead, Features, HOUR, SCATTER, Track};
use super::past::{Past, Span};
use super::quantile::{GENERIC_MARGIN, GENERIC_SCATTER, QUANTILES, Quantile, generic};
use super::regression::{self, dot};
use super::season::SeasonTable;
use super::series::{Points, STEP_MS};

/// Farthest ahead that is forecast: four hours. Pods that take longer to start are sized by schedules, not by forecasts.
const FARTHEST: usize = 4 * HOUR;
/// Steps back to which a forecast can be asked for what it would have been: 16 minutes, the longest time for which a wanted size
/// is kept.
pub(crate) const BACK_AT_MOST: usize = 64;
/// For how long the seasons are known after they were learnt: three hours. Learning happens every two, and may come late.
const SEASONS_KNOWN: usize = 3 * HOUR;
/// A growth by more than this, as a logarithm, is not forecast: a factor of twenty, the range of the features.
const GROWTH_AT_MOST: f64 = 3.0;
/// Factor on the largest growth ever seen, as logarithms, up to which a forecast is believed: bursts come that are larger than all
/// before. Without it a trace of rare bursts had 3 % more waiting requests for the same pods; 1.5 gave no fewer.
const BEYOND_SEEN: f64 = 1.25;

/// Upper quantiles of the load by the time a pod that is created now serves.
///
/// ```
/// use scaling_core::chrono::{DateTime, TimeDelta};
/// use scaling_core::{MetricsHistory, Observation, ScalingMetrics, SignalKind, Target};
/// use scaling_schedule::Forecaster;
///
/// // Twelve hours in which every full hour brings a rise from 100 to 160 requests per second within ten minutes.
/// let start = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
/// let sample = |minute: i64| {
///     let rise = f64::from(u32::try_from(minute % 60).unwrap_or(0)).min(10.0) * 6.0;
///     ScalingMetrics::new(start + TimeDelta::minutes(minute), 4).with(SignalKind::RequestRate, 100.0 + rise)
/// };
/// let (history, _) = MetricsHistory::from_unordered((0..725).map(sample).collect());
/// let mut observation = Observation::new(Target::deployment("shop", "web"), sample(725)).with_history(history);
/// observation.facts.pod_capacity = Some(50.0);
///
/// let forecaster = Forecaster::learn_until(&observation, observation.current.timestamp).unwrap();
/// // In the middle of a rise it goes on rising.
/// assert!(forecaster.upper_load(&observation, 0.95).unwrap() > 135.0);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Forecaster {
    /// By quantile.
    coefficients: [Features; QUANTILES.len()],
    /// Added to load before logarithms are taken, in requests per second: a quarter of what a pod carries, so that loads far
    /// below one pod do not count as swings.
    log_offset: f64,
    /// Time from the instant of an observation to the moment that is forecast, in ms.
    offset_ms: f64,
    /// Time from the newest load that is known then to that moment, in ms.
    ahead_ms: f64,
    /// Largest growth over that time in the past it was learnt from, as a logarithm. A generic one goes by the last hour.
    largest_growth: Option<f64>,
    seasons: SeasonTable,
    training_samples: u32,
}

impl Forecaster {
    /// Creates the forecaster of a workload about which nothing is known but its capacity per pod, in requests per second.
    pub fn generic(facts: &WorkloadFacts, pod_capacity: f64) -> Self {
        let offset_ms = offset_ms(facts);
        let ahead_ms = offset_ms + facts.metrics_window.as_secs_f64() * 500.0;
        Self {
            coefficients: generic(),
            log_offset: log_offset(pod_capacity),
            offset_ms,
            ahead_ms: limited_ahead_ms(ahead_ms),
            largest_growth: None,
            seasons: SeasonTable::default(),
            training_samples: 0,
        }
    }

    /// Learns from the request rates of up to fourteen days before an instant; later samples are not looked at. Takes tens of
    /// milliseconds. The result is good for three hours: after that its seasons are not known any more.
    ///
    /// `None` without a request rate, without a known or visible size of a pod, or with less than about three hours of past.
    pub fn learn_until(observation: &Observation, until: DateTime<Utc>) -> Option<Self> {
        Self::learn(&Past::of(observation, Span::of(observation, until)?)?)
    }

    pub(crate) fn learn(past: &Past) -> Option<Self> {
        let samples = past.training_samples();
        let mut coefficients = regression::fit(&samples, &QUANTILES, &generic())?;
        past.correct_coverage(&mut coefficients, &samples);
        let end = past.track.len();
        let first = end.saturating_sub(BACK_AT_MOST + 1);
        let seasons_from_ms = past.newest_ms - (end - 1 - first) as f64 * STEP_MS;
        Some(Self {
            coefficients,
            log_offset: past.log_offset,
            offset_ms: past.offset_ms,
            ahead_ms: past.ahead_ms,
            largest_growth: Some(past.track.largest_growth(BACK_AT_MOST)),
            seasons: past.seasons.table(first..end + SEASONS_KNOWN, seasons_from_ms),
            training_samples: u32::try_from(samples.len()).unwrap_or(u32::MAX),
        })
    }

    /// Number of moments of the past that it was learnt from; 0 for a generic one.
    pub fn training_samples(&self) -> u32 {
        self.training_samples
    }

    /// Time from the instant of an observation to the moment that is forecast, in seconds: the metrics' lag, the start-up and
    /// half a sync period.
    pub fn ahead_seconds(&self) -> f64 {
        self.offset_ms / 1000.0
    }

    /// The load in requests per second that the moment which is forecast will exceed with the probability 1 − `quantile`, for
    /// the nearest of [`QUANTILES`] from `quantile` on. `None` without a request rate now.
    pub fn upper_load(&self, observation: &Observation, quantile: f64) -> Option<f64> {
        self.upper(observation, Quantile::at_least(quantile), 0)
    }

    /// The largest of the forecasts of the last `back` steps and now.
    pub(crate) fn upper(&self, observation: &Observation, quantile: Quantile, back: usize) -> Option<f64> {
        observation.current.value(SignalKind::RequestRate)?;
        let now_ms = observation.current.timestamp.timestamp_millis();
        let ahead = ahead(self.ahead_ms);
        let back = back.min(BACK_AT_MOST);
        let steps = Track::look_back(ahead) + back + 1;
        let from_ms = now_ms as f64 - steps as f64 * STEP_MS - self.ahead_ms;
        let points = Points::of(observation, from_ms, now_ms, self.log_offset);
        // The moment that is forecast is fixed, and so is how far ahead it was learnt to look: that is where to stand.
        let anchor_ms = now_ms as f64 + self.offset_ms - self.ahead_ms;
        let known = points.grid(anchor_ms, steps);
        // A past that is shorter is continued with its first value.
        let first = *known.first()?;
        let mut rates = Vec::with_capacity(steps);
        rates.resize(steps - known.len(), first);
        rates.extend(known);
        let track = Track::new(&rates, self.log_offset, ahead);
        let coefficients = quantile.of(&self.coefficients);
        let upper = (0..=back)
            .filter_map(|back| {
                let place = track.len().checked_sub(1 + back)?;
                let features = track.features(place, &self.seasons.at(anchor_ms - back as f64 * STEP_MS))?;
                let growth = self.believed(dot(&coefficients, &features), &features, &track, place);
                Some((track.levels.get(place)? + growth).exp() - self.log_offset)
            })
            .fold(f64::NAN, f64::max);
        upper.is_finite().then_some(upper.max(0.0))
    }

    /// A growth as far as the past supports it: the largest that was seen, or a rise that lasts, carried on; and above that the
    /// margin that any load has.
    fn believed(&self, growth: f64, features: &Features, track: &Track, place: usize) -> f64 {
        let growth = growth.clamp(-GROWTH_AT_MOST, GROWTH_AT_MOST);
        let margin = margin(features);
        let seen = BEYOND_SEEN * self.largest_growth.unwrap_or_else(|| track.grown_before(place));
        if growth <= seen + margin { growth } else { growth.min(seen.max(track.carried_on(place)) + margin) }
    }

    /// The load that may follow on a place of the past, by quantile, in requests per second.
    pub(crate) fn uppers(&self, past: &Past, place: usize) -> Option<[f64; QUANTILES.len()]> {
        let (level, features) = (*past.track.levels.get(place)?, past.features(place)?);
        let most = GROWTH_AT_MOST.min(BEYOND_SEEN * self.largest_growth.unwrap_or(GROWTH_AT_MOST) + margin(&features));
        Some(self.coefficients.map(|coefficients| {
            let growth = dot(&coefficients, &features).max(-GROWTH_AT_MOST).min(most);
            (level + growth).exp() - self.log_offset
        }))
    }
}

/// Growth that any load may show at its level, as a logarithm.
fn margin(features: &Features) -> f64 {
    let scatter = features.get(SCATTER).copied().unwrap_or_default();
    GENERIC_MARGIN + GENERIC_SCATTER * scatter
}

/// A quarter of what a pod carries.
pub(super) fn log_offset(pod_capacity: f64) -> f64 {
    (0.25 * pod_capacity).max(f64::MIN_POSITIVE)
}

/// Time from the instant of an observation to the middle of the first sync period that a pod created then serves, in ms.
pub(super) fn offset_ms(facts: &WorkloadFacts) -> f64 {
    let seconds =
        facts.metrics_lag.as_secs_f64() + facts.start_up.as_secs_f64() + facts.sync_period.as_secs_f64() / 2.0;
    seconds * 1000.0
}

pub(super) fn limited_ahead_ms(ahead_ms: f64) -> f64 {
    ahead_ms.min(FARTHEST as f64 * STEP_MS)
}

/// The steps of the grid that enclose a time; equal if it is a whole number of them.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // limited
pub(super) fn ahead(ms: f64) -> Ahead {
    let steps = (ms / STEP_MS).clamp(0.0, FARTHEST as f64);
    Ahead { near: (steps + 1e-6).floor() as usize, far: (steps - 1e-6).ceil().max(0.0) as usize }
}

/// The capacity that the host declared, if it is a usable number.
pub(crate) fn declared_capacity(facts: &WorkloadFacts) -> Option<f64> {
    facts.pod_capacity.filter(|capacity| capacity.is_finite() && *capacity > 0.0)
}
