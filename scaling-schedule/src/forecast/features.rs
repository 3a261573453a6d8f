//! Features of the load at one moment: the inputs of the forecast.
//!
//! All but the constant and the Poisson noise are differences of logarithms of load, so they mean the same for a load of a
//! hundred pods as for one of two.

use std::collections::VecDeque;

use scaling_core::stats::SlidingMax;
use serde::{Deserialize, Serialize};

use super::grid::STEP_S;
use super::season::{SEASONS, Season};

// All in steps of the grid.
const MINUTE: usize = 4;
/// For how long a rise must have lasted to be carried on as it is: three minutes. A jump looks like a rise for as long as the
/// window is that a rate is the mean over, usually one minute.
const LASTING: usize = 3 * MINUTE;
const FIVE_MINUTES: usize = 20;
const TEN_MINUTES: usize = 40;
const QUARTER_HOUR: usize = 60;
const HALF_HOUR: usize = 120;
pub(super) const HOUR: usize = 240;
pub(crate) const DAY: usize = 5760;

/// Number of features of the last hour.
const RECENT: usize = 18;
/// Number of seasonal features that count once more where they are positive: a rise to come is trusted otherwise than a fall.
const RISES: usize = 3;
/// Number of features that are observed: those of the last hour, the season's, and its rises.
pub(super) const OBSERVED: usize = RECENT + SEASONS + RISES;
/// Number of all features: what is observed, and what the general model makes of it.
pub(super) const FEATURES: usize = OBSERVED + 1;
/// Places among the features: the change from the step before, and the relative scatter of independent requests,
/// 1/√(requests in one step).
const CHANGE: usize = 1;
const SCATTER: usize = 15;
/// What is observed of the load at one moment; the first is 1.
pub(super) type Observed = [f64; OBSERVED];
/// Features of the load at one moment: what is observed, then the growth that the general model forecasts.
pub(super) type Features = [f64; FEATURES];

/// Features and growths are cut here, a factor of twenty: beyond it a load was off, and the linear fit should not bend for it.
pub(super) const LIMIT: f64 = 3.0;

/// Distance from the newest value to those whose times enclose the moment that is forecast, in steps of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ahead {
    pub(crate) near: usize,
    pub(crate) far: usize,
}

/// The newest numbers with the sum of the last `length` of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Mean {
    length: usize,
    sum: f64,
}

impl Mean {
    fn of(length: usize) -> Self {
        Self { length, sum: 0.0 }
    }

    /// The mean with the newest of `values`, which has just been added.
    fn push(&mut self, values: &VecDeque<f32>) -> f64 {
        self.sum += f64::from(values.back().copied().unwrap_or_default());
        if let Some(gone) = values.len().checked_sub(self.length + 1).and_then(|place| values.get(place)) {
            self.sum -= f64::from(*gone);
        }
        self.sum / self.length.min(values.len()).max(1) as f64
    }
}

/// Numbers of the last hour, in single precision: they are kept of ten thousand workloads.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct LastHour(VecDeque<f32>);

impl LastHour {
    #[allow(clippy::cast_possible_truncation)] // on purpose
    fn push(&mut self, value: f64, kept: usize) {
        self.0.push_back(value as f32);
        while self.0.len() > kept {
            self.0.pop_front();
        }
    }
}

/// The load of the last hour, step by step, with the sums and maxima that features are made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Track {
    ahead: Ahead,
    /// Logarithms of load plus the offset.
    levels: LastHour,
    /// Changes over a minute, without their sign.
    moved: LastHour,
    /// Growths that came, where load grew.
    grown: LastHour,
    means: [Mean; 3],
    moved_means: [Mean; 2],
    grown_mean: Mean,
    maxima: [SlidingMax<f32>; 3],
    max_grown: SlidingMax<f32>,
}

impl Track {
    pub(super) fn new(ahead: Ahead) -> Self {
        Self {
            ahead,
            levels: LastHour::default(),
            moved: LastHour::default(),
            grown: LastHour::default(),
            means: [FIVE_MINUTES, QUARTER_HOUR, HOUR].map(Mean::of),
            moved_means: [FIVE_MINUTES, HALF_HOUR].map(Mean::of),
            grown_mean: Mean::of(HOUR),
            maxima: [FIVE_MINUTES, QUARTER_HOUR, HOUR].map(SlidingMax::new),
            max_grown: SlidingMax::new(HOUR),
        }
    }

    pub(super) fn ahead(&self) -> Ahead {
        self.ahead
    }

    /// True if a track that was read back can be used.
    pub(super) fn is_sound(&self) -> bool {
        let numbers = self.levels.0.iter().chain(&self.moved.0).chain(&self.grown.0);
        (1..=super::forecaster::FARTHEST).contains(&self.ahead.far)
            && self.ahead.near <= self.ahead.far
            && numbers.into_iter().all(|number| number.is_finite())
    }

    /// Level `steps` before the newest.
    pub(super) fn back(&self, steps: usize) -> Option<f64> {
        let levels = &self.levels.0;
        levels.get(levels.len().checked_sub(steps + 1)?).copied().map(f64::from)
    }

    fn risen(&self, from: usize, to: usize) -> f64 {
        match (self.back(from), self.back(to)) {
            (Some(before), Some(after)) => after - before,
            _ => 0.0,
        }
    }

    /// Growth until now of the moment `ahead.far` steps ago, as a logarithm.
    pub(super) fn growth(&self) -> Option<f64> {
        let came = self.back(0)?.max(self.back(self.ahead.far - self.ahead.near)?);
        Some((came - self.back(self.ahead.far)?).clamp(-LIMIT, LIMIT))
    }

    /// Adds a level and returns what is observed of its moment.
    pub(super) fn push(&mut self, level: f64, season: Season) -> Observed {
        let kept = (HOUR + MINUTE).max(LASTING + self.ahead.far) + self.ahead.far + 1;
        self.levels.push(level, kept);
        let minute_mean = {
            let levels = self.levels.0.iter().rev().take(MINUTE);
            levels.clone().sum::<f32>() / levels.count().max(1) as f32
        };
        let [five, quarter, hour] = self.means.each_mut().map(|mean| level - mean.push(&self.levels.0));
        let [max_five, max_quarter, max_hour] =
            self.maxima.each_mut().map(|max| f64::from(max.push(minute_mean)) - level);
        let back = |steps| self.risen(steps, 0);
        let (one, two, three, minute, two_minutes) = (back(1), back(2), back(3), back(MINUTE), back(2 * MINUTE));
        self.moved.push(minute.abs(), HOUR);
        let [moved_five, moved] = self.moved_means.each_mut().map(|mean| mean.push(&self.moved.0));
        let grown = self.growth().unwrap_or(0.0);
        self.grown.push(grown.max(0.0), HOUR + 1);
        let grown_mean = self.grown_mean.push(&self.grown.0);
        #[allow(clippy::cast_possible_truncation)] // at most LIMIT
        let largest_grown = f64::from(self.max_grown.push(grown as f32));
        let recent: [f64; RECENT] = [
            1.0,
            one,
            two,
            three,
            minute,
            minute.max(0.0),
            two_minutes,
            five,
            quarter,
            hour,
            max_five,
            max_quarter,
            max_hour,
            moved,
            moved_five - moved,
            (-level / 2.0).exp() / STEP_S.sqrt(),
            grown_mean,
            largest_grown,
        ];
        let seasonal = season.features(level);
        let [growth, _, _, _, _, near, wide, _] = seasonal;
        let rises = [wide, growth, near].map(|rise| rise.max(0.0));
        let mut observed = [0.0; OBSERVED];
        for (place, value) in observed.iter_mut().zip(recent.into_iter().chain(seasonal).chain(rises)) {
            *place = value.clamp(-LIMIT, LIMIT);
        }
        observed
    }

    /// The growth that came [`LASTING`] and as long as a forecast looks ahead before now: not within a rise that begins now, which
    /// must not be evidence for itself.
    pub(super) fn settled_growth(&self) -> f64 {
        let to = LASTING + self.ahead.far;
        self.risen(to + self.ahead.far, to).clamp(0.0, LIMIT)
    }

    /// Growth until the moment that is forecast if load goes on rising in a straight line: as over the last ten minutes, or as
    /// in the slowest of the last three, if that is steeper. Never negative.
    ///
    /// One jump, however large, is carried on by what ten minutes make of it, 1.175-fold for 105 s; a rise that has lasted for
    /// three minutes is carried on as it is.
    pub(super) fn carried_on(&self) -> f64 {
        let slowest =
            (0..LASTING).step_by(MINUTE).map(|back| self.risen(back + MINUTE, back)).fold(f64::INFINITY, f64::min);
        // As a share of the present load and a step.
        let share = |risen: f64, steps: usize| (1.0 - (-risen).exp()) / steps as f64;
        let per_step = share(slowest, MINUTE).max(share(self.risen(TEN_MINUTES, 0), TEN_MINUTES)).max(0.0);
        (per_step * self.ahead.far as f64).ln_1p()
    }
}

/// What is observed, with the growth that the general model forecasts as one feature more.
pub(super) fn features(observed: &Observed, general: f64) -> Features {
    let mut features = [general.clamp(-LIMIT, LIMIT); FEATURES];
    for (feature, value) in features.iter_mut().zip(observed) {
        *feature = *value;
    }
    features
}

/// Change from the step before.
pub(super) fn change(observed: &Observed) -> f64 {
    observed.get(CHANGE).copied().unwrap_or_default()
}

/// Relative scatter of independent requests.
pub(super) fn scatter(features: &Features) -> f64 {
    features.get(SCATTER).copied().unwrap_or_default()
}
