//! A forecast of load, learnt as samples come: [`Forecaster`].

#[cfg(test)]
mod training;

use std::collections::VecDeque;

use scaling_core::WorkloadFacts;
use serde::{Deserialize, Serialize};

use super::features::{Ahead, DAY, Features, HOUR, Track, change, features, scatter};
use super::general::{Growths, LastDay, growths, inputs};
use super::grid::{Advance, Grid, STEP_MS};
use super::points::{Points, overlap};
use super::quantile::{QUANTILES, Quantile};
use super::regression::Regression;
use super::season::Seasons;

/// Farthest ahead that is forecast: four hours. Pods that take longer to start are sized by schedules, not by forecasts.
pub(super) const FARTHEST: usize = 4 * HOUR;
/// Steps back to which forecasts are kept: 16 minutes, the longest time for which a wanted size is kept, and the longest lag.
pub(crate) const BACK_AT_MOST: usize = 64;
/// A growth by more than this, as a logarithm, is not forecast: a factor of twenty, the range of the features.
const GROWTH_AT_MOST: f64 = 3.0;
/// Factor on the largest growth ever seen, as logarithms, up to which a forecast is believed: bursts come that are larger than all
/// before. Without it a trace of rare bursts had 3 % more waiting requests for the same pods; 1.5 gave no fewer.
const BEYOND_SEEN: f64 = 1.25;
/// Growth that any load may show, whatever was seen of it: as a logarithm, and in standard deviations of the number of independent
/// requests in one step. About what the 0.97 quantile had of both on fifteen public load traces.
const MARGIN: f64 = 0.02;
const SCATTERS: f64 = 2.5;
/// Steps after which the largest growth ever seen counts half: sixty days.
const SEEN_HALF_LIFE: f64 = 60.0 * DAY as f64;
/// Steps after which the highest load counts half, when it is judged how much a moment matters.
const BUSY_HALF_LIFE: f64 = 2.0 * DAY as f64;
/// The quantile of the general model that is a feature for all quantiles of the regression: how much this moment may bring.
const GENERAL: f64 = 0.97;

/// The forecasts of one step, by quantile, in the unit of the load; in single precision, as they are kept of ten thousand workloads.
pub(crate) type Uppers = [f32; QUANTILES.len()];

/// Upper quantiles of the load by the time a pod that is created now serves, learnt sample by sample.
///
/// Before anything is learnt it forecasts what holds for any workload. It needs some microseconds and no memory for a sample, and
/// depends on the samples alone: asked for forecasts or not, in one go or one by one, the same samples give the same forecast.
///
/// ```
/// use scaling_core::WorkloadFacts;
/// use scaling_schedule::Forecaster;
///
/// // Twelve hours in which every full hour brings a rise from 100 to 160 requests per second within ten minutes.
/// let load = |minute: i64| 100.0 + 6.0 * f64::from(u32::try_from(minute % 60).unwrap_or(0)).min(10.0);
/// let mut forecaster = Forecaster::new(&WorkloadFacts::default(), 50.0);
/// for minute in 0..726 {
///     forecaster.push(60_000 * minute, load(minute));
/// }
/// // In the middle of a rise it goes on rising.
/// assert!(forecaster.upper_load(0.95).unwrap() > 135.0);
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Forecaster {
    /// Added to load before logarithms are taken: a quarter of what a pod carries, so that loads far below one pod do not count as
    /// swings.
    log_offset: f64,
    window_ms: f64,
    /// Time from the instant of a sample to the moment that is forecast, in ms.
    offset_ms: f64,
    points: Points,
    grid: Grid,
    seasons: Seasons,
    track: Track,
    regression: Regression,
    last_day: LastDay,
    /// The steps whose outcome is not known yet, oldest first.
    pending: VecDeque<Moment>,
    /// Forecasts of the last steps, oldest first.
    uppers: VecDeque<Uppers>,
    largest_growth: f64,
    busy: f64,
    load: f64,
}

/// A step as it was seen at the time.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Moment {
    features: Features,
    general: Growths,
    load: f64,
}

/// A step of the grid that was added.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// A load that was measured.
    Load(f64),
    /// So many steps of which nothing is known.
    Gap,
}

impl Forecaster {
    /// Creates the forecaster of a workload about which nothing is known but the load that one pod carries, roughly.
    pub fn new(facts: &WorkloadFacts, pod_size: f64) -> Self {
        let seconds =
            facts.metrics_lag.as_secs_f64() + facts.start_up.as_secs_f64() + facts.sync_period.as_secs_f64() / 2.0;
        let window_ms = facts.metrics_window.as_secs_f64() * 1000.0;
        let offset_ms = seconds * 1000.0;
        Self {
            log_offset: (0.25 * pod_size).max(f64::MIN_POSITIVE),
            window_ms,
            offset_ms,
            points: Points::default(),
            grid: Grid::default(),
            seasons: Seasons::new(),
            track: Track::new(ahead(offset_ms + half_interval_ms(facts))),
            regression: Regression::new(),
            last_day: LastDay::default(),
            pending: VecDeque::new(),
            uppers: VecDeque::new(),
            largest_growth: 0.0,
            busy: 0.0,
            load: f64::NAN,
        }
    }

    /// Adds a sample: the mean load over the [window](WorkloadFacts::metrics_window) that ended at an instant, in ms since the
    /// epoch. One that is not later than the newest, negative, not finite or beyond
    /// single precision is passed over.
    pub fn push(&mut self, at_ms: i64, load: f64) {
        self.push_with(at_ms, load, &mut |_, _| ());
    }

    /// Adds a sample and tells each step that it makes, with the forecaster as it is after that step.
    pub(crate) fn push_with(&mut self, at_ms: i64, load: f64, told: &mut impl FnMut(&Self, Step)) {
        if !(0.0..=f64::from(f32::MAX)).contains(&load) {
            return;
        }
        let Some((centre_ms, load)) = self.points.push(at_ms as f64, load, self.window_ms, self.log_offset) else {
            return;
        };
        match self.grid.push(centre_ms, load) {
            Advance::None => {}
            Advance::Steps { number, from, to } => {
                for step in 1..=number {
                    let load = from + (to - from) * (step as f64 / number as f64);
                    self.step(self.grid.number() - (number - step), load);
                    told(self, Step::Load(load));
                }
            }
            Advance::Gap { number, to } => {
                self.skip(number);
                told(self, Step::Gap);
                self.step(self.grid.number(), to);
                told(self, Step::Load(to));
            }
        }
    }

    fn step(&mut self, number: i64, load: f64) {
        let level = (load + self.log_offset).ln();
        let far = self.track.ahead().far;
        let ahead = i64::try_from(far).unwrap_or(i64::MAX);
        let season = self.seasons.at(number, ahead);
        let observed = self.track.push(level, season);
        let growth = self.track.growth();
        self.last_day.push(level, change(&observed), growth.unwrap_or(0.0));
        let general = growths(&inputs(&observed, &self.last_day, far));
        let features = features(&observed, Quantile::at_least(GENERAL).of(&general));
        self.seasons.push(number, level, growth, ahead);
        self.busy = load.max(self.busy * (-1.0 / BUSY_HALF_LIFE).exp2());
        if self.pending.len() >= far
            && let (Some(past), Some(growth)) = (self.pending.pop_front(), growth)
        {
            self.regression.learn(&past.features, &past.general, growth, self.weight(past.load));
        }
        let moment = Moment { features, general, load };
        self.largest_growth = (self.largest_growth * (-1.0 / SEEN_HALF_LIFE).exp2()).max(self.track.settled_growth());
        self.load = load;
        let uppers = self.forecast(level, &moment);
        self.pending.push_back(moment);
        if self.uppers.len() > 2 * BACK_AT_MOST {
            self.uppers.pop_front();
        }
        self.uppers.push_back(uppers);
    }

    /// How much a moment with such a load matters. A miss hurts in proportion to the load it hits; 0.3 keeps the quiet hours in the
    /// fit.
    fn weight(&self, load: f64) -> f64 {
        0.3 + 3.0 * (load / self.busy.max(self.log_offset)).min(0.75)
    }

    fn forecast(&self, level: f64, moment: &Moment) -> Uppers {
        let margin = MARGIN + SCATTERS * scatter(&moment.features);
        let seen = self.largest_growth.max(self.track.carried_on());
        let most = GROWTH_AT_MOST.min(BEYOND_SEEN * seen + margin);
        let mut highest = 0.0;
        self.regression.growths(&moment.features, &moment.general).map(|growth| {
            let upper = (level + growth.max(-GROWTH_AT_MOST).min(most)).exp() - self.log_offset;
            // Fits of different quantiles may cross.
            highest = upper.max(highest);
            #[allow(clippy::cast_possible_truncation)] // on purpose
            (highest.min(f64::from(f32::MAX)) as f32)
        })
    }

    fn skip(&mut self, steps: i64) {
        let number = self.grid.number();
        self.seasons.skip(number.saturating_sub(steps), number.saturating_sub(1));
        self.track = Track::new(self.track.ahead());
        self.last_day.skip(steps as f64);
        self.pending.clear();
        self.uppers.clear();
    }

    /// Number of moments of the past that it has learnt from.
    pub fn moments(&self) -> f64 {
        self.regression.moments()
    }

    /// Time from the instant of a sample to the middle of the first sync period that a pod created then serves, in seconds: the
    /// metrics' lag, the start-up and half a sync period.
    pub fn ahead_seconds(&self) -> f64 {
        self.offset_ms / 1000.0
    }

    /// The newest load that is known; NaN before the first.
    pub(crate) fn load(&self) -> f64 {
        self.load
    }

    /// Time from the newest load that is known to the moment that is forecast, in ms.
    pub(crate) fn ahead_ms(&self) -> f64 {
        self.track.ahead().far as f64 * STEP_MS
    }

    /// The load, in the unit of the samples, that the moment which is forecast will exceed with the probability 1 − `quantile`, for
    /// the nearest of [`QUANTILES`] from `quantile` on. `None` without a sample.
    pub fn upper_load(&self, quantile: f64) -> Option<f64> {
        self.upper(Quantile::at_least(quantile), 0)
    }

    /// The largest of the forecasts of the last `back` steps and now.
    pub(crate) fn upper(&self, quantile: Quantile, back: usize) -> Option<f64> {
        self.uppers.iter().rev().take(back + 1).map(|uppers| f64::from(quantile.of(uppers))).reduce(f64::max)
    }

    /// The forecasts from `lag` steps before the newest on, newest first.
    pub(crate) fn uppers(&self, lag: usize) -> impl Iterator<Item = &Uppers> {
        self.uppers.iter().rev().skip(lag)
    }

    /// True if a forecaster that was read back can be used.
    pub(crate) fn is_sound(&self) -> bool {
        let positive = |number: f64| number.is_finite() && number > 0.0;
        self.regression.is_sound()
            && self.points.is_sound()
            && self.seasons.is_sound()
            && self.track.is_sound()
            && positive(self.log_offset)
            && self.window_ms >= 0.0
            && self.offset_ms >= 0.0
            && self.uppers.iter().flatten().all(|upper| upper.is_finite())
            && self.last_day.is_sound()
            && self.pending.iter().all(Moment::is_sound)
            && self.largest_growth.is_finite()
            && self.busy.is_finite()
    }
}

impl Moment {
    fn is_sound(&self) -> bool {
        self.load.is_finite() && self.features.iter().chain(&self.general).all(|number| number.is_finite())
    }
}

/// Age of the newest known load when its sample ends: half of what it is the mean over. Samples come with every sync.
fn half_interval_ms(facts: &WorkloadFacts) -> f64 {
    let (window_ms, sync_ms) = (facts.metrics_window.as_secs_f64() * 1000.0, facts.sync_period.as_secs_f64() * 1000.0);
    match overlap(sync_ms, window_ms) {
        0 => window_ms / 2.0,
        _ => sync_ms / 2.0,
    }
}

/// The steps of the grid that enclose a time; equal if it is a whole number of them.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // limited
fn ahead(ms: f64) -> Ahead {
    let steps = (ms / STEP_MS).clamp(0.0, FARTHEST as f64);
    // A twentieth of a step, 0.75 s, is the jitter of a scrape.
    Ahead { near: (steps + 0.05).floor() as usize, far: (steps - 0.05).ceil().max(1.0) as usize }
}
