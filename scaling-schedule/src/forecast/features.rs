//! Features of the load at one moment: the inputs of the forecast.
//!
//! All but the constant and the Poisson noise are differences of logarithms of load, so they mean the same for a load of a
//! hundred pods as for one of two.

use scaling_core::stats::{RunningSums, sliding_max};

use super::season::{SEASONS, Season};
use super::series::STEP_S;

// All in steps of the grid.
const MINUTE: usize = 4;
/// For how long a rise must have lasted to be carried on as it is: three minutes. A jump looks like a rise for as long as the
/// window is that a rate is the mean over, usually one minute.
const LASTING: usize = 3 * MINUTE;
const FIVE_MINUTES: usize = 20;
const TEN_MINUTES: usize = 40;
const QUARTER_HOUR: usize = 60;
const HALF_HOUR: usize = 120;
pub(crate) const HOUR: usize = 240;
pub(crate) const DAY: usize = 5760;

/// Number of features of the last hour.
pub(crate) const RECENT: usize = 18;
/// Number of all features: those of the last hour, then the season's.
pub(crate) const FEATURES: usize = RECENT + SEASONS;
/// Place of the relative scatter of independent requests among the features: 1/√(requests in one step).
pub(super) const SCATTER: usize = 15;
/// Features of the load at one moment; the first is 1.
pub(crate) type Features = [f64; FEATURES];

/// Features and growths are cut here, a factor of twenty: beyond it a load was off, and the linear fit should not bend for it.
const LIMIT: f64 = 3.0;

/// Distance from the newest value to those whose times enclose the moment that is forecast, in steps of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ahead {
    pub(crate) near: usize,
    pub(crate) far: usize,
}

/// A load on the grid, with the running sums and maxima that features are made of.
#[derive(Debug)]
pub(crate) struct Track {
    /// Logarithms of load plus the offset.
    pub(crate) levels: Vec<f64>,
    /// Running sums of them.
    sums: RunningSums,
    /// Means of one minute.
    pub(crate) minutes: Vec<f64>,
    max_five: Vec<f64>,
    max_quarter: Vec<f64>,
    max_hour: Vec<f64>,
    /// Running sums of the changes over a minute, without their sign.
    moved: RunningSums,
    /// Running sums of the growth that came, where load grew.
    grown: RunningSums,
    /// Largest growth of an hour.
    max_grown: Vec<f64>,
    pub(crate) ahead: Ahead,
}

impl Track {
    /// Steps that must come before the first moment that has features.
    pub(crate) fn look_back(ahead: Ahead) -> usize {
        HOUR + ahead.far + MINUTE
    }

    pub(crate) fn new(rates: &[f64], log_offset: f64, ahead: Ahead) -> Self {
        let levels: Vec<f64> = rates.iter().map(|rate| (rate + log_offset).ln()).collect();
        let sums = RunningSums::of(levels.iter().copied());
        let minutes: Vec<f64> = (0..levels.len())
            .map(|k| match k.checked_sub(MINUTE - 1) {
                Some(from) => sums.mean(from..k + 1),
                None => levels.get(k).copied().unwrap_or_default(),
            })
            .collect();
        let back = |k: usize, steps: usize| Some(levels.get(k)? - levels.get(k.checked_sub(steps)?)?);
        let moved = RunningSums::of((0..levels.len()).map(|k| back(k, MINUTE).unwrap_or(0.0).abs()));
        let growths: Vec<f64> = (0..levels.len())
            .map(|k| match (back(k, ahead.far), levels.get(k), k.checked_sub(1).and_then(|k| levels.get(k))) {
                (Some(far), Some(last), Some(before)) => {
                    let near = if ahead.near < ahead.far { before - last } else { 0.0 };
                    (far + near.max(0.0)).clamp(-LIMIT, LIMIT)
                }
                _ => 0.0,
            })
            .collect();
        Self {
            max_five: sliding_max(&minutes, FIVE_MINUTES),
            max_quarter: sliding_max(&minutes, QUARTER_HOUR),
            max_hour: sliding_max(&minutes, HOUR),
            max_grown: sliding_max(&growths, HOUR),
            grown: RunningSums::of(growths.iter().map(|growth| growth.max(0.0))),
            levels,
            sums,
            minutes,
            moved,
            ahead,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.levels.len()
    }

    /// Growth of the load from `k` until the moment that is forecast from there, as a logarithm.
    pub(crate) fn growth(&self, k: usize) -> Option<f64> {
        let came = self.levels.get(k + self.ahead.near)?.max(*self.levels.get(k + self.ahead.far)?);
        Some((came - self.levels.get(k)?).clamp(-LIMIT, LIMIT))
    }

    /// Largest growth that came over the time of the forecast, anywhere but in a rise within the newest `back` steps, which must
    /// not be evidence for itself; 0 if load only fell.
    pub(super) fn largest_growth(&self, back: usize) -> f64 {
        let settled = self.len().saturating_sub(back + self.ahead.far + LASTING);
        self.max_grown.iter().take(settled).copied().fold(0.0, f64::max)
    }

    /// Largest growth that came within the hour that ended [`LASTING`] before `k`: without a rise that begins now.
    pub(super) fn grown_before(&self, k: usize) -> f64 {
        k.checked_sub(LASTING).and_then(|k| self.max_grown.get(k)).copied().unwrap_or(0.0).max(0.0)
    }

    /// Growth until the moment that is forecast if load goes on rising in a straight line: as over the last ten minutes, or as
    /// in the slowest of the last three, if that is steeper. Never negative.
    ///
    /// One jump, however large, is carried on by what ten minutes make of it, 1.175-fold for 105 s; a rise that has lasted for
    /// three minutes is carried on as it is.
    pub(super) fn carried_on(&self, k: usize) -> f64 {
        let level = |back: usize| k.checked_sub(back).and_then(|k| self.levels.get(k)).copied();
        let risen = |from: usize, to: usize| match (level(from), level(to)) {
            (Some(before), Some(after)) => after - before,
            _ => 0.0,
        };
        let slowest = (0..LASTING).step_by(MINUTE).map(|back| risen(back + MINUTE, back)).fold(f64::INFINITY, f64::min);
        // As a share of the present load and a step.
        let share = |risen: f64, steps: usize| (1.0 - (-risen).exp()) / steps as f64;
        let per_step = share(slowest, MINUTE).max(share(risen(TEN_MINUTES, 0), TEN_MINUTES)).max(0.0);
        (per_step * self.ahead.far as f64).ln_1p()
    }

    /// Features at `k`; `None` within the first hour.
    pub(crate) fn features(&self, k: usize, season: &Season) -> Option<Features> {
        let from = k.checked_sub(HOUR + MINUTE)?;
        let recent = self.levels.get(from..=k)?;
        let now = *recent.last()?;
        let back = |steps: usize| recent.get(recent.len() - 1 - steps).map_or(0.0, |before| now - before);
        let since = |sums: &RunningSums, steps: usize| sums.mean(k + 1 - steps..k + 1);
        let minute = back(MINUTE);
        let moved = since(&self.moved, HALF_HOUR);
        let own: [f64; RECENT] = [
            1.0,
            back(1),
            back(2),
            back(3),
            minute,
            minute.max(0.0),
            back(2 * MINUTE),
            now - since(&self.sums, FIVE_MINUTES),
            now - since(&self.sums, QUARTER_HOUR),
            now - since(&self.sums, HOUR),
            self.max_five.get(k)? - now,
            self.max_quarter.get(k)? - now,
            self.max_hour.get(k)? - now,
            moved,
            since(&self.moved, FIVE_MINUTES) - moved,
            (-now / 2.0).exp() / STEP_S.sqrt(),
            since(&self.grown, HOUR),
            *self.max_grown.get(k)?,
        ];
        let mut features = [0.0; FEATURES];
        for (place, value) in features.iter_mut().zip(own.into_iter().chain(season.features(now))) {
            *place = value.clamp(-LIMIT, LIMIT);
        }
        Some(features)
    }
}
