//! Forecasting the load of a workload as far ahead as a pod takes to start: [`Forecaster`].
//!
//! A decision now meets the load that comes when its pods are ready, a minute or two later. What is worth knowing is an upper
//! quantile of that load, and how far it lies above the present differs between workloads more than anything else about them. So
//! it is learnt from the workload's own past: at moments of up to seven days, what could be read off the load then, against what
//! came. The fit is a linear quantile regression (Koenker and Bassett, *Regression Quantiles*, 1978) of the growth of the
//! logarithm of load on slopes, recent highs and volatility, and on what the same time of other days and of last week says. A
//! season speaks only where load correlates with itself a day or a week ago; elsewhere its readings are 0. At last each quantile
//! is moved until its coverage over the newest day is the nominal one (Gibbs and Candès, *Adaptive Conformal Inference Under
//! Distribution Shift*, 2021).
//!
//! Nothing here looks ahead, and nothing is remembered but what was learnt: the same past gives the same forecast.

mod readings;
mod regression;
mod season;
mod series;

use chrono::{DateTime, Utc};
use scaling_core::{Observation, SignalKind, WorkloadFacts};

use self::readings::{Ahead, READINGS, RECENT, Readings};
pub(crate) use self::readings::{DAY, HOUR, Track};
use self::regression::{Lesson, dot};
use self::season::{Season, Seasons};
use self::series::Points;
pub(crate) use self::series::STEP_MS;

/// The quantiles that are forecast: 0.97 is exceeded three times in a hundred.
pub const QUANTILES: [f64; 8] = [0.8, 0.87, 0.92, 0.95, 0.97, 0.983, 0.992, 0.997];
/// Quantiles of the normal distribution at [`QUANTILES`], relative to that at 0.97.
const NORMAL: [f64; QUANTILES.len()] = [0.448, 0.599, 0.747, 0.875, 1.0, 1.127, 1.281, 1.461];

/// How much of the past is looked at: what teaches, and the days before it that its seasons refer to.
const PAST: usize = 14 * DAY;
/// How much of the past teaches.
const TEACHING: usize = 7 * DAY;
/// Every how many steps there is a lesson. Odd, so that lessons meet samples of every minute at all their phases.
const LESSON_EVERY: usize = 3;
/// After how many steps a lesson counts half.
const HALF_LIFE: f64 = 4.0 * DAY as f64;
/// Shortest past that teaches, beyond what a reading needs: two hours.
const LEARN_MIN: usize = 2 * HOUR;
/// Farthest ahead that is forecast: four hours.
const FARTHEST: usize = 4 * HOUR;
/// How far back a forecast can be asked what it would have been: 16 minutes.
pub(crate) const BACK_AT_MOST: usize = 64;
/// For how long the seasons are known after they were learnt: three hours.
const SEASONS_KNOWN: usize = 3 * HOUR;
/// How much of the past corrects the coverage, and by what share of the spread of growth one miss moves it.
const COVERAGE: usize = DAY;
const COVERAGE_STEP: f64 = 0.02;
/// A growth by more than this factor, as a logarithm, is not forecast.
const GROWTH_AT_MOST: f64 = 3.0;

/// Coefficients of the 0.97 quantile before anything is learnt, by what scales with the quantile (noise) and what does not
/// (direction): about the median of those learnt on fifteen public load traces. Seasons have to be learnt.
const GENERIC_NOISE: [f64; RECENT] =
    [0.02, 0.0, 0.0, 0.0, 0.0, 0.6, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 2.5, 0.0, 0.03];
const GENERIC_DIRECTION: [f64; RECENT] =
    [0.0, 0.45, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];

fn generic() -> [Readings; QUANTILES.len()] {
    NORMAL.map(|scale| {
        let mut coefficients = [0.0; READINGS];
        for (place, (noise, direction)) in coefficients.iter_mut().zip(GENERIC_NOISE.iter().zip(GENERIC_DIRECTION)) {
            *place = noise * scale + direction;
        }
        coefficients
    })
}

/// One of the [`QUANTILES`], by its place among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quantile(usize);

impl Quantile {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..QUANTILES.len()).map(Self)
    }

    /// The lowest that is at least `share`, or the highest.
    pub(crate) fn at_least(share: f64) -> Self {
        Self(QUANTILES.iter().position(|quantile| *quantile >= share).unwrap_or(QUANTILES.len() - 1))
    }

    pub(crate) fn of<T: Copy>(self, values: &[T; QUANTILES.len()]) -> T {
        let [first, ..] = values;
        *values.get(self.0).unwrap_or(first)
    }

    pub(crate) fn value(self) -> f64 {
        self.of(&QUANTILES)
    }
}

/// What the load may become by the time a pod that is created now serves, by quantile.
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
/// let mut observation = Observation::new(Target::deployment("shop", "web", "web"), sample(725)).with_history(history);
/// observation.facts.pod_capacity = Some(50.0);
///
/// let forecaster = Forecaster::learn_until(&observation, observation.current.timestamp).unwrap();
/// // In the middle of a rise it goes on rising.
/// assert!(forecaster.upper_load(&observation, 0.95).unwrap() > 135.0);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Forecaster {
    /// By quantile.
    coefficients: [Readings; QUANTILES.len()],
    /// Added to load before logarithms are taken, in requests per second: a quarter of what a pod carries, so that loads far
    /// below one pod do not count as swings.
    floor: f64,
    /// From the instant of an observation to the moment that is forecast, in ms.
    offset_ms: f64,
    /// From the newest load that is known then to that moment, in ms.
    ahead_ms: f64,
    /// What the seasons say from this instant on, step by step.
    seasons_from_ms: f64,
    seasons: Vec<Season>,
    lessons: u32,
}

impl Forecaster {
    /// The forecaster of a workload with this capacity per pod, in requests per second, about which nothing else is known.
    pub fn generic(facts: &WorkloadFacts, pod_capacity: f64) -> Self {
        let offset_ms = offset_ms(facts);
        let ahead_ms = offset_ms + facts.metrics_window.as_secs_f64() * 500.0;
        Self {
            coefficients: generic(),
            floor: (0.25 * pod_capacity).max(f64::MIN_POSITIVE),
            offset_ms,
            ahead_ms: ahead_ms.min(FARTHEST as f64 * STEP_MS),
            seasons_from_ms: 0.0,
            seasons: Vec::new(),
            lessons: 0,
        }
    }

    /// Learns from what was known at an instant: up to fourteen days of request rates; later samples are not looked at. Takes
    /// tens of milliseconds. What is learnt is good for three hours: after that the seasons are not known any more.
    ///
    /// `None` without a request rate, without a known or visible size of a pod, or with less than about three hours of past.
    pub fn learn_until(observation: &Observation, until: DateTime<Utc>) -> Option<Self> {
        Self::learn(&Past::of(observation, until)?)
    }

    pub(crate) fn learn(past: &Past) -> Option<Self> {
        let lessons = past.lessons();
        let mut coefficients = regression::fit(&lessons, &QUANTILES, &generic())?;
        past.correct_coverage(&mut coefficients, spread(&lessons));
        let end = past.track.len();
        let first = end.saturating_sub(BACK_AT_MOST + 1);
        Some(Self {
            coefficients,
            floor: past.floor,
            offset_ms: past.offset_ms,
            ahead_ms: past.ahead_ms,
            seasons_from_ms: past.newest_ms - (end - 1 - first) as f64 * STEP_MS,
            seasons: (first..end + SEASONS_KNOWN).map(|place| past.seasons.at(place)).collect(),
            lessons: u32::try_from(lessons.len()).unwrap_or(u32::MAX),
        })
    }

    /// Moments of the past that it was learnt from; 0 for a generic one.
    pub fn lessons(&self) -> u32 {
        self.lessons
    }

    /// How far after the instant of an observation the moment lies that is forecast, in seconds: the metrics' lag, the start-up
    /// and half a sync period.
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
        let points = Points::of(observation, now_ms, steps as f64 * STEP_MS + self.ahead_ms, self.floor);
        // The moment that is forecast is fixed, and so is how far ahead it was learnt to look: that is where to stand.
        let anchor_ms = now_ms as f64 + self.offset_ms - self.ahead_ms;
        let known = points.grid(anchor_ms, steps);
        // A past that is shorter is continued with its first value.
        let first = *known.first()?;
        let mut rates = vec![first; steps - known.len()];
        rates.extend(known);
        let track = Track::new(&rates, self.floor, ahead);
        let coefficients = quantile.of(&self.coefficients);
        let upper = (0..=back)
            .filter_map(|back| {
                let place = track.len().checked_sub(1 + back)?;
                let readings = track.readings(place, &self.season(anchor_ms - back as f64 * STEP_MS))?;
                let growth = dot(&coefficients, &readings).clamp(-GROWTH_AT_MOST, GROWTH_AT_MOST);
                Some((track.levels.get(place)? + growth).exp() - self.floor)
            })
            .fold(f64::NAN, f64::max);
        upper.is_finite().then_some(upper.max(0.0))
    }

    /// What the load may become after a place of the past, by quantile.
    pub(crate) fn uppers(&self, past: &Past, place: usize) -> Option<[f64; QUANTILES.len()]> {
        let (level, readings) = (*past.track.levels.get(place)?, past.readings(place)?);
        Some(self.coefficients.map(|coefficients| {
            let growth = dot(&coefficients, &readings).clamp(-GROWTH_AT_MOST, GROWTH_AT_MOST);
            (level + growth).exp() - self.floor
        }))
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked to lie within the seasons
    fn season(&self, at_ms: f64) -> Season {
        let place = ((at_ms - self.seasons_from_ms) / STEP_MS).round();
        let known = place >= 0.0 && place < self.seasons.len() as f64;
        let season = known.then(|| self.seasons.get(place as usize)).flatten();
        season.copied().unwrap_or(Season::UNKNOWN)
    }
}

/// The past of a workload, ready to be learnt from.
#[derive(Debug)]
pub(crate) struct Past {
    /// Oldest first.
    pub(crate) rates: Vec<f64>,
    pub(crate) track: Track,
    seasons: Seasons,
    floor: f64,
    newest_ms: f64,
    offset_ms: f64,
    pub(crate) ahead_ms: f64,
}

impl Past {
    pub(crate) fn of(observation: &Observation, until: DateTime<Utc>) -> Option<Self> {
        let until_ms = until.timestamp_millis();
        let floor = (0.25 * pod_size(observation, until_ms)?).max(f64::MIN_POSITIVE);
        let points = Points::of(observation, until_ms, PAST as f64 * STEP_MS, floor);
        let newest_ms = points.newest()?;
        let offset_ms = offset_ms(&observation.facts);
        let ahead_ms = (points.newest_sample()? + offset_ms - newest_ms).min(FARTHEST as f64 * STEP_MS);
        let ahead = ahead(ahead_ms);
        let rates = points.grid(newest_ms, PAST);
        if rates.len() < Track::look_back(ahead) + ahead.far + LEARN_MIN {
            return None;
        }
        let track = Track::new(&rates, floor, ahead);
        let seasons = Seasons::new(&track);
        Some(Self { rates, track, seasons, floor, newest_ms, offset_ms, ahead_ms })
    }

    /// What a pod carries, roughly, in requests per second.
    pub(crate) fn pod_size(&self) -> f64 {
        4.0 * self.floor
    }

    fn readings(&self, place: usize) -> Option<Readings> {
        self.track.readings(place, &self.seasons.at(place))
    }

    /// The places that can be read, of the newest `steps` of those whose outcome is known.
    fn settled(&self, steps: usize) -> std::ops::Range<usize> {
        let end = self.track.len().saturating_sub(self.track.ahead.far);
        Track::look_back(self.track.ahead).max(end.saturating_sub(steps))..end
    }

    fn lessons(&self) -> Vec<Lesson> {
        let busy = self.busy().max(self.floor);
        let places = self.settled(TEACHING);
        let end = places.end;
        let lesson = |place: usize| {
            let now = *self.rates.get(place)?;
            // A miss hurts in proportion to the load it hits.
            let matters = 0.3 + 3.0 * (now / busy).min(0.75);
            Some(Lesson {
                readings: self.readings(place)?,
                growth: self.track.growth(place)?,
                weight: matters * (-((end - place) as f64) / HALF_LIFE).exp2(),
            })
        };
        places.rev().step_by(LESSON_EVERY).filter_map(lesson).collect()
    }

    /// The rate that was exceeded for a hundredth of the time.
    fn busy(&self) -> f64 {
        let mut rates: Vec<f64> = self.rates.iter().step_by(LESSON_EVERY).copied().collect();
        let rank = rates.len().saturating_sub(1) * 99 / 100;
        if rank < rates.len() { *rates.select_nth_unstable_by(rank, f64::total_cmp).1 } else { 0.0 }
    }

    /// Moves each constant as the newest day would have: up after a miss, down otherwise, so that it rests where misses are as
    /// frequent as they should be.
    fn correct_coverage(&self, coefficients: &mut [Readings; QUANTILES.len()], spread: f64) {
        for place in self.settled(COVERAGE) {
            let (Some(readings), Some(growth)) = (self.readings(place), self.track.growth(place)) else { continue };
            for (coefficients, quantile) in coefficients.iter_mut().zip(QUANTILES) {
                let missed = growth > dot(coefficients, &readings);
                coefficients[0] += COVERAGE_STEP * spread * if missed { quantile } else { quantile - 1.0 };
            }
        }
    }
}

/// The root of the mean square of growth.
fn spread(lessons: &[Lesson]) -> f64 {
    let squares: f64 = lessons.iter().map(|lesson| lesson.growth * lesson.growth).sum();
    (squares / lessons.len().max(1) as f64).sqrt()
}

/// From the instant of an observation to the middle of the first sync period that a pod created then serves, in ms.
fn offset_ms(facts: &WorkloadFacts) -> f64 {
    let seconds =
        facts.metrics_lag.as_secs_f64() + facts.start_up.as_secs_f64() + facts.sync_period.as_secs_f64() / 2.0;
    seconds * 1000.0
}

/// The steps of the grid that enclose a time; equal if it is a whole number of them.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // limited
fn ahead(ms: f64) -> Ahead {
    let steps = (ms / STEP_MS).clamp(0.0, FARTHEST as f64);
    Ahead { near: (steps + 1e-6).floor() as usize, far: (steps - 1e-6).ceil().max(0.0) as usize }
}

/// What one pod carries, roughly, in requests per second: declared, or what pods have carried on average.
fn pod_size(observation: &Observation, until_ms: i64) -> Option<f64> {
    declared_capacity(&observation.facts).or_else(|| {
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

/// The capacity that the host declared, if it is one.
pub(crate) fn declared_capacity(facts: &WorkloadFacts) -> Option<f64> {
    facts.pod_capacity.filter(|capacity| capacity.is_finite() && *capacity > 0.0)
}
