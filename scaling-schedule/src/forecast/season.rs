//! Seasons: the load at the same time of other days and of last week.

use serde::{Deserialize, Serialize};

/// Steps of the grid in a minute.
pub(super) const MINUTE: i64 = 4;
/// Minutes in a day and in a week.
const DAY: i64 = 1440;
const WEEK: i64 = 7 * DAY;
/// Minutes that are kept of levels: a week, and what is looked at around a moment of it.
const LEVELS: usize = 10_112;
/// Minutes that are kept of growths: five days and what is looked at around.
const GROWTHS: usize = 7_232;
/// Days looked back at: a working week.
const DAYS: i64 = 5;
/// Weight of a day relative to the one after it. With five days three quarters lie on the newest two and a half.
const FADE: f64 = 0.7;
/// Minutes before and after that a level is averaged over, five in all: shorter follows the noise of one day, longer blurs a rise.
const SMOOTH: i64 = 2;
/// Reach of the two envelopes in minutes, for spikes that come a little early or late.
const NEAR: i64 = 5;
const WIDE: i64 = 20;
/// Reach of the largest growths in minutes: as far as jobs started by a clock scatter.
const SUDDEN: i64 = 3;
/// Correlation with a day or a week ago from which load counts as periodic. Low, because the regression weighs a season itself;
/// this only keeps noise out of the fit. Over a day of independent 5-minute means the standard deviation is 1/√288 = 0.06.
const PROVEN: f64 = 0.2;
/// Minutes from one value to the next in a correlation, and the number of pairs from which it is believed: a day of them.
const SPARSE: i64 = 5;
const PAIRS: f64 = 200.0;
/// Share of a correlation that remains after one pair: half after a week.
const KEPT: f64 = 1.0 - 1.0 / 2909.0;

/// Number of features that seasons give.
pub(crate) const SEASONS: usize = 8;

/// The seasons at one moment, as logarithms of load. NaN for what is not known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Season {
    /// Growth of the usual level until the moment that is forecast.
    growth: f64,
    /// Growth a week ago until that moment.
    week_growth: f64,
    /// Levels then: usual, yesterday's, that of a week ago, the highest within each reach.
    levels: [f64; 5],
    /// The usual largest growth around this time.
    sudden: f64,
}

impl Season {
    const UNKNOWN: Self = Self { growth: f64::NAN, week_growth: f64::NAN, levels: [f64::NAN; 5], sudden: f64::NAN };

    /// Features at a level: 0 for what is not known.
    pub(super) fn features(&self, now: f64) -> [f64; SEASONS] {
        let [usual, yesterday, week, near, wide] = self.levels.map(|level| level - now);
        [self.growth, self.week_growth, usual, yesterday, week, near, wide, self.sudden]
            .map(|feature| if feature.is_nan() { 0.0 } else { feature })
    }
}

/// A ring of numbers by minute, in thousandths: a tenth of a percent of the load, far below its noise, in two bytes each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Minutes {
    /// As bytes, lowest first: what is written is as small. [`Minutes::UNKNOWN`] for what is not known.
    values: Vec<[u8; 2]>,
}

impl Minutes {
    const UNKNOWN: i16 = i16::MIN;

    fn new(length: usize) -> Self {
        Self { values: vec![Self::UNKNOWN.to_le_bytes(); length] }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)] // shorter than the ring
    fn place(&self, minute: i64) -> usize {
        minute.rem_euclid(self.values.len().max(1) as i64) as usize
    }

    #[allow(clippy::cast_possible_truncation)] // clamped; NaN becomes 0, which does not come up: levels are finite
    fn set(&mut self, minute: i64, value: Option<f64>) {
        let place = self.place(minute);
        if let Some(kept) = self.values.get_mut(place) {
            let thousandths = |value: f64| (value * 1000.0).round().clamp(-32_767.0, 32_767.0) as i16;
            *kept = value.map_or(Self::UNKNOWN, thousandths).to_le_bytes();
        }
    }

    fn get(&self, minute: i64) -> Option<f64> {
        let value = i16::from_le_bytes(*self.values.get(self.place(minute))?);
        (value != Self::UNKNOWN).then(|| f64::from(value) / 1000.0)
    }

    /// NaN if none is known.
    fn mean(&self, around: i64, reach: i64) -> f64 {
        let (mut sum, mut number) = (0.0, 0.0);
        for value in (around - reach..=around + reach).filter_map(|minute| self.get(minute)) {
            sum += value;
            number += 1.0;
        }
        sum / number
    }

    /// NaN if none is known.
    fn max(&self, around: i64, reach: i64) -> f64 {
        (around - reach..=around + reach).filter_map(|minute| self.get(minute)).fold(f64::NAN, f64::max)
    }
}

/// Correlation of the load with itself some time ago, old pairs counting less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Correlation {
    number: f64,
    x: f64,
    y: f64,
    xx: f64,
    yy: f64,
    xy: f64,
}

impl Correlation {
    fn push(&mut self, x: f64, y: f64) {
        let added = [1.0, x, y, x * x, y * y, x * y];
        let sums = [&mut self.number, &mut self.x, &mut self.y, &mut self.xx, &mut self.yy, &mut self.xy];
        for (sum, added) in sums.into_iter().zip(added) {
            *sum = KEPT * *sum + added;
        }
    }

    /// False for a constant, which goes together with nothing.
    fn is_proven(&self) -> bool {
        let (x, y) = (self.x / self.number, self.y / self.number);
        let (xx, yy) = (self.xx / self.number - x * x, self.yy / self.number - y * y);
        self.number >= PAIRS && (self.xy / self.number - x * y) / (xx * yy).sqrt() >= PROVEN
    }
}

/// The past by time of day, minute by minute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Seasons {
    levels: Minutes,
    growths: Minutes,
    /// Sum, number and minute of the levels of the minute that is not over.
    open: (f64, f64, i64),
    /// Newest minute in which a growth began.
    began: i64,
    daily: Correlation,
    weekly: Correlation,
}

impl Seasons {
    pub(super) fn new() -> Self {
        Self {
            levels: Minutes::new(LEVELS),
            growths: Minutes::new(GROWTHS),
            open: (0.0, 0.0, 0),
            began: i64::MIN,
            daily: Correlation::default(),
            weekly: Correlation::default(),
        }
    }

    /// True if rings that were read back have the length that they are read with.
    pub(super) fn is_sound(&self) -> bool {
        self.levels.values.len() == LEVELS && self.growths.values.len() == GROWTHS
    }

    /// Adds the level of a step, and the growth that ended with it, which began `ahead` steps before.
    pub(super) fn push(&mut self, step: i64, level: f64, growth: Option<f64>, ahead: i64) {
        let minute = step.div_euclid(MINUTE);
        if minute != self.open.2 {
            self.close();
            self.open = (0.0, 0.0, minute);
        }
        self.open.0 += level;
        self.open.1 += 1.0;
        let began = (step - ahead).div_euclid(MINUTE);
        let known = if began == self.began { self.growths.get(began) } else { None };
        self.began = began;
        self.growths.set(
            began,
            match (known, growth) {
                (Some(known), Some(growth)) => Some(known.max(growth)),
                _ => growth.or(known),
            },
        );
    }

    /// Marks the steps from one to another as unknown.
    #[allow(clippy::cast_possible_wrap)] // a week of minutes
    pub(super) fn skip(&mut self, from: i64, to: i64) {
        self.close();
        let (from, to) = (from.div_euclid(MINUTE), to.div_euclid(MINUTE));
        for minute in from.max(to.saturating_sub(LEVELS as i64))..=to {
            self.levels.set(minute, None);
            self.growths.set(minute, None);
        }
        self.open = (0.0, 0.0, to);
    }

    fn close(&mut self) {
        let (sum, number, minute) = self.open;
        if number == 0.0 {
            return;
        }
        self.levels.set(minute, Some(sum / number));
        if minute.rem_euclid(SPARSE) == 0 {
            let now = self.levels.get(minute - SMOOTH);
            for (correlation, ago) in [(&mut self.daily, DAY), (&mut self.weekly, WEEK)] {
                if let (Some(now), Some(then)) = (now, self.levels.get(minute - SMOOTH - ago)) {
                    correlation.push(now, then);
                }
            }
        }
    }

    /// The season at a step, with the moment that is forecast from there `ahead` steps later.
    pub(super) fn at(&self, step: i64, ahead: i64) -> Season {
        let now = step.div_euclid(MINUTE);
        let then = (step + ahead).div_euclid(MINUTE);
        let mut season = Season::UNKNOWN;
        if self.daily.is_proven() {
            let usual = |of: &dyn Fn(i64) -> f64| {
                let (mut sum, mut weights, mut weight) = (0.0, 0.0, 1.0);
                for day in 1..=DAYS {
                    let value = of(day * DAY);
                    if !value.is_nan() {
                        sum += weight * value;
                        weights += weight;
                    }
                    weight *= FADE;
                }
                sum / weights
            };
            let usual_then = usual(&|ago| self.levels.mean(then - ago, SMOOTH));
            season.growth = usual_then - usual(&|ago| self.levels.mean(now - ago, SMOOTH));
            season.levels = [
                usual_then,
                self.levels.mean(then - DAY, SMOOTH),
                f64::NAN,
                usual(&|ago| self.levels.max(then - ago, NEAR)),
                usual(&|ago| self.levels.max(then - ago, WIDE)),
            ];
            season.sudden = usual(&|ago| self.growths.max(now - ago, SUDDEN));
        }
        if self.weekly.is_proven() {
            let ago = self.levels.mean(then - WEEK, SMOOTH);
            season.week_growth = ago - self.levels.mean(now - WEEK, SMOOTH);
            season.levels[2] = ago;
        }
        season
    }
}
