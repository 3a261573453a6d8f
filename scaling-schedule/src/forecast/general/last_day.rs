//! Where a moment stands in its last day: [`LastDay`].

use serde::{Deserialize, Serialize};

use crate::forecast::features::{DAY, HOUR};

/// Number of features of the last day.
pub(super) const DAILY: usize = 11;

// Half-lives in steps.
const TWO_HOURS: usize = 2 * HOUR;
const QUARTER_DAY: usize = 6 * HOUR;
const TWO_DAYS: usize = 2 * DAY;
/// Length of a gap that leaves nothing, in steps: a week.
const FORGOTTEN: f64 = 7.0 * DAY as f64;

/// Share that is left after some steps of what halves within `half_life` of them.
fn left(steps: f64, half_life: usize) -> f64 {
    (-steps / half_life as f64).exp2()
}

/// A mean in which older values count less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Fading {
    sum: f64,
    weight: f64,
}

impl Fading {
    fn push(&mut self, value: f64, half_life: usize) {
        self.fade(1.0, half_life);
        self.sum += value;
        self.weight += 1.0;
    }

    fn fade(&mut self, steps: f64, half_life: usize) {
        let left = left(steps, half_life);
        self.sum *= left;
        self.weight *= left;
    }

    fn is_empty(&self) -> bool {
        self.weight <= 0.0
    }

    /// 0 of nothing.
    fn mean(&self) -> f64 {
        if self.is_empty() { 0.0 } else { self.sum / self.weight }
    }
}

/// What the last day or two were like: the level of the load, its highs and lows, and the growths that came.
///
/// Everything fades by time, measured or not: over an hour without samples most stays, after a week without it is as new.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::forecast) struct LastDay {
    /// The newest level.
    level: f64,
    /// Means of levels that halve in a quarter of a day, in a day.
    quarter_day: Fading,
    day: Fading,
    /// The highest level as it comes back to the day's mean, by half in a quarter of a day and in two days.
    highest: [f64; 2],
    /// The lowest level as it comes back to the day's mean, by half in a day.
    lowest: f64,
    /// Mean growth where load grew, halving in a quarter of a day and in two days.
    grown: [Fading; 2],
    /// Largest growth, halving in a quarter of a day and in two days.
    largest_grown: [f64; 2],
    /// Mean square of growth, halving in a day.
    growth_square: Fading,
    /// Mean change from one step to the next without its sign, halving in two hours.
    moved: Fading,
}

impl LastDay {
    /// Adds a step: its level, the change from the step before, and the growth that ended with it.
    pub(in crate::forecast) fn push(&mut self, level: f64, change: f64, growth: f64) {
        if self.day.is_empty() {
            (self.highest, self.lowest) = ([level; 2], level);
        }
        self.level = level;
        self.quarter_day.push(level, QUARTER_DAY);
        self.day.push(level, DAY);
        for (mean, half_life) in self.grown.iter_mut().zip([QUARTER_DAY, TWO_DAYS]) {
            mean.push(growth.max(0.0), half_life);
        }
        self.growth_square.push(growth * growth, DAY);
        self.moved.push(change.abs(), TWO_HOURS);
        self.fade_extremes(1.0);
        self.highest = self.highest.map(|highest| highest.max(level));
        self.lowest = self.lowest.min(level);
        self.largest_grown = self.largest_grown.map(|largest| largest.max(growth));
    }

    /// Passes over steps of which nothing is known.
    pub(in crate::forecast) fn skip(&mut self, steps: f64) {
        if steps >= FORGOTTEN {
            *self = Self::default();
            return;
        }
        self.quarter_day.fade(steps, QUARTER_DAY);
        self.day.fade(steps, DAY);
        for (mean, half_life) in self.grown.iter_mut().zip([QUARTER_DAY, TWO_DAYS]) {
            mean.fade(steps, half_life);
        }
        self.growth_square.fade(steps, DAY);
        self.moved.fade(steps, TWO_HOURS);
        self.fade_extremes(steps);
    }

    fn fade_extremes(&mut self, steps: f64) {
        let mean = self.day.mean();
        let extremes = self.highest.iter_mut().zip(&mut self.largest_grown);
        for ((highest, largest), half_life) in extremes.zip([QUARTER_DAY, TWO_DAYS]) {
            let left = left(steps, half_life);
            *highest = mean + (*highest - mean) * left;
            *largest *= left;
        }
        self.lowest = mean + (self.lowest - mean) * left(steps, DAY);
    }

    /// Features of the newest step, in the order in which the general model was trained on them.
    pub(super) fn features(&self) -> [f64; DAILY] {
        let [grown_short, grown_long] = self.grown.map(|mean| mean.mean());
        let [largest_short, largest_long] = self.largest_grown;
        let [highest_short, highest_long] = self.highest.map(|highest| highest - self.level);
        [
            self.level - self.quarter_day.mean(),
            self.level - self.day.mean(),
            grown_short,
            grown_long,
            self.growth_square.mean().sqrt(),
            self.moved.mean(),
            largest_short,
            largest_long,
            highest_short,
            highest_long,
            self.level - self.lowest,
        ]
    }

    /// True if one that was read back can be used.
    pub(in crate::forecast) fn is_sound(&self) -> bool {
        let [grown_short, grown_long] = self.grown;
        let means = [self.quarter_day, self.day, grown_short, grown_long, self.growth_square, self.moved];
        means.iter().all(|mean| mean.sum.is_finite() && mean.weight.is_finite() && mean.weight >= 0.0)
            && self.growth_square.sum >= 0.0
            && self.features().iter().all(|feature| feature.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two days of a daily wave with a burst.
    fn two_days() -> LastDay {
        let mut day = LastDay::default();
        let (mut before, mut level) = (5.0, 5.0);
        for step in 0..TWO_DAYS {
            let next = 5.0 + (step as f64 / 900.0).sin() + if (8000..8040).contains(&step) { 1.5 } else { 0.0 };
            day.push(next, next - level, next - before);
            (before, level) = (level, next);
        }
        day
    }

    /// The largest difference between features of two.
    fn difference(a: &LastDay, b: &LastDay) -> f64 {
        a.features().iter().zip(b.features()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn of_a_flat_load_all_is_zero() {
        let mut day = LastDay::default();
        assert!(day.is_sound());
        for _ in 0..100 {
            day.push(5.0, 0.0, 0.0);
        }
        assert!(day.features().iter().all(|feature| feature.abs() < 1e-9), "{day:?}");
    }

    #[test]
    fn a_high_is_remembered_and_comes_back_to_the_mean() {
        let mut day = LastDay::default();
        day.push(5.0, 0.0, 0.0);
        day.push(7.0, 2.0, 2.0);
        let highest = |day: &LastDay| day.features()[8..10].to_vec();
        for _ in 0..QUARTER_DAY {
            day.push(5.0, 0.0, 0.0);
        }
        // After a quarter of a day half of it is left in one, most in the other.
        let seen = highest(&day);
        assert!((seen[0] - 1.0).abs() < 0.05 && seen[1] > 1.7, "{seen:?}");
    }

    #[test]
    fn a_gap_of_minutes_changes_little_one_of_a_day_half_and_one_of_a_week_leaves_nothing() {
        let known = two_days();
        let mut minutes = known.clone();
        minutes.skip(40.0);
        assert!(minutes != known && difference(&minutes, &known) < 0.05, "{minutes:?} {known:?}");

        let mut day = known.clone();
        day.skip(DAY as f64);
        assert!((day.day.weight / known.day.weight - 0.5).abs() < 1e-9, "{day:?}");

        let mut week = known;
        week.skip(7.0 * DAY as f64);
        assert_eq!(week, LastDay::default());
    }

    #[test]
    fn a_gap_of_any_length_leaves_it_usable() {
        for steps in [0.0, 1e6, 1e18, f64::from(u32::MAX)] {
            let mut day = two_days();
            day.skip(steps);
            assert!(day.is_sound(), "{steps}: {day:?}");
            day.push(3.0, 0.0, 0.0);
            assert!(day.is_sound(), "{steps}: {day:?}");
        }
    }
}
