//! Seasons: the load at the same time of other days and of last week.

use scaling_core::stats::{RunningSums, sliding_max};

use super::features::{Ahead, DAY, Track};
use super::series::STEP_MS;

/// Days looked back at: a working week.
const DAYS: usize = 5;
/// Weight of a day relative to the one after it. With five days three quarters lie on the newest two and a half.
const FADE: f64 = 0.7;
/// Half of the time that a level is averaged over, 2½ minutes: shorter follows the noise of one day, longer blurs a rise.
const SMOOTH: usize = 10;
/// Reach of the two envelopes, for spikes that come a little early or late: 5 and 20 minutes.
const NEAR: usize = 20;
const WIDE: usize = 80;
/// Reach of the largest growths, 3 minutes: as far as jobs started by a clock scatter.
const SUDDEN: usize = 12;
/// Correlation with a day or a week ago from which load counts as periodic. Low, because the regression weighs a season itself;
/// this only keeps noise out of the fit. Over a day of independent 5-minute means the standard deviation is 1/√288 = 0.06.
const PROVEN: f64 = 0.2;
/// Steps from one value to the next in a correlation: 5 minutes, the time that levels are averaged over.
const SPARSE: usize = 20;

/// Number of features that seasons give.
pub(crate) const SEASONS: usize = 8;

/// The seasons at one moment, as logarithms of load. NaN for what is not known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Season {
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
    pub(crate) const UNKNOWN: Self =
        Self { growth: f64::NAN, week_growth: f64::NAN, levels: [f64::NAN; 5], sudden: f64::NAN };

    fn of([growth, week_growth, usual, yesterday, week, near, wide, sudden]: [f64; SEASONS]) -> Self {
        Self { growth, week_growth, levels: [usual, yesterday, week, near, wide], sudden }
    }

    #[allow(clippy::cast_possible_truncation)] // on purpose
    fn single(self) -> [f32; SEASONS] {
        let [usual, yesterday, week, near, wide] = self.levels;
        [self.growth, self.week_growth, usual, yesterday, week, near, wide, self.sudden].map(|number| number as f32)
    }

    /// Features at a level: 0 for what is not known.
    pub(super) fn features(&self, now: f64) -> [f64; SEASONS] {
        let [usual, yesterday, week, near, wide] = self.levels.map(|level| level - now);
        [self.growth, self.week_growth, usual, yesterday, week, near, wide, self.sudden]
            .map(|feature| if feature.is_nan() { 0.0 } else { feature })
    }
}

/// The seasons of coming moments, step by step, in single precision: they are most of what is remembered of a workload.
#[derive(Clone, Debug, Default)]
pub(crate) struct SeasonTable {
    from_ms: f64,
    seasons: Vec<[f32; SEASONS]>,
}

/// Compares bits, so that unknown numbers, which are NaN, are equal.
impl PartialEq for SeasonTable {
    fn eq(&self, other: &Self) -> bool {
        let bits = |table: &Self| -> Vec<u32> { table.seasons.iter().flatten().map(|value| value.to_bits()).collect() };
        self.from_ms.to_bits() == other.from_ms.to_bits() && bits(self) == bits(other)
    }
}

impl SeasonTable {
    /// The season at an instant, in ms since the epoch.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked to lie within the table
    pub(super) fn at(&self, at_ms: f64) -> Season {
        let place = ((at_ms - self.from_ms) / STEP_MS).round();
        let known = place >= 0.0 && place < self.seasons.len() as f64;
        let season = known.then(|| self.seasons.get(place as usize)).flatten();
        season.map_or(Season::UNKNOWN, |numbers| Season::of(numbers.map(f64::from)))
    }
}

/// The past by time of day.
#[derive(Debug)]
pub(crate) struct Seasons {
    smooth: Vec<f64>,
    near: Vec<f64>,
    wide: Vec<f64>,
    sudden: Vec<f64>,
    ahead: Ahead,
    daily: bool,
    weekly: bool,
}

impl Seasons {
    pub(crate) fn new(track: &Track) -> Self {
        let levels = &track.levels;
        let sums = RunningSums::of(levels.iter().copied());
        let smooth: Vec<f64> = (0..levels.len())
            .map(|k| sums.mean(k.saturating_sub(SMOOTH)..(k + SMOOTH + 1).min(levels.len())))
            .collect();
        let growths: Vec<f64> = (0..levels.len()).map(|k| track.growth(k).unwrap_or(0.0)).collect();
        let (daily, weekly) = (periodic(&smooth, DAY), periodic(&smooth, 7 * DAY));
        Self {
            near: centred_max(&track.minutes, NEAR),
            wide: centred_max(&track.minutes, WIDE),
            sudden: centred_max(&growths, SUDDEN),
            smooth,
            ahead: track.ahead,
            daily,
            weekly,
        }
    }

    /// The seasons of some places as a table that begins at `from_ms`. Empty if there are none.
    pub(super) fn table(&self, places: std::ops::Range<usize>, from_ms: f64) -> SeasonTable {
        let known = self.daily || self.weekly;
        let seasons = if known { places.map(|place| self.at(place).single()).collect() } else { Vec::new() };
        SeasonTable { from_ms, seasons }
    }

    /// The season at a place of the grid, which may lie up to a day less half an hour beyond its end.
    pub(crate) fn at(&self, place: usize) -> Season {
        let then = place + self.ahead.far;
        let mut season = Season::UNKNOWN;
        if self.daily {
            let usual = |values: &[f64], place: usize| {
                let (mut sum, mut weights, mut weight) = (0.0, 0.0, 1.0);
                for day in 1..=DAYS {
                    if let Some(value) = place.checked_sub(day * DAY).and_then(|k| values.get(k)) {
                        sum += weight * value;
                        weights += weight;
                    }
                    weight *= FADE;
                }
                sum / weights
            };
            let yesterday = then.checked_sub(DAY).and_then(|k| self.smooth.get(k)).copied().unwrap_or(f64::NAN);
            season.growth = usual(&self.smooth, then) - usual(&self.smooth, place);
            season.levels =
                [usual(&self.smooth, then), yesterday, f64::NAN, usual(&self.near, then), usual(&self.wide, then)];
            season.sudden = usual(&self.sudden, place);
        }
        if self.weekly {
            let ago = |place: usize| {
                let value = place.checked_sub(7 * DAY).and_then(|k| self.smooth.get(k));
                value.copied().unwrap_or(f64::NAN)
            };
            season.week_growth = ago(then) - ago(place);
            season.levels[2] = ago(then);
        }
        season
    }
}

/// Returns whether load correlates with itself a period ago, over at least a period and a day.
fn periodic(levels: &[f64], period: usize) -> bool {
    let Some(later) = levels.get(period..).filter(|later| later.len() >= DAY) else { return false };
    let pairs = || later.iter().zip(levels).step_by(SPARSE);
    let number = pairs().count() as f64;
    let (mut x, mut y) = (0.0, 0.0);
    for (a, b) in pairs() {
        x += a / number;
        y += b / number;
    }
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (a, b) in pairs() {
        xx += (a - x) * (a - x);
        yy += (b - y) * (b - y);
        xy += (a - x) * (b - y);
    }
    // A constant correlates with nothing: NaN.
    xy / (xx * yy).sqrt() >= PROVEN
}

/// For each place the largest within `reach` before and after it.
fn centred_max(values: &[f64], reach: usize) -> Vec<f64> {
    let trailing = sliding_max(values, 2 * reach);
    let last = trailing.len().saturating_sub(1);
    (0..values.len()).map(|k| trailing.get((k + reach).min(last)).copied().unwrap_or_default()).collect()
}
