//! Bumps: stretches of time, or whole days, whose load is far from what is usual then.

use chrono::Datelike;

use super::grid::Grid;
use super::level::{day_against, medians_of, middle, over_weeks};
use super::usual::Kinds;

/// Distance from the usual load that stands out, in standard deviations of what scatters at that time of day.
const FAR: f64 = 6.0;
/// By how much further it must be where few days tell what scatters, over their number: twice as far with as many days.
const FEW: f64 = 8.0;
/// The same for whole days.
const FAR_FOR_A_DAY: f64 = 5.0;
/// Distance that is worth a word, as a share of the day's mean.
const WORTH: f64 = 0.3;
/// The same for whole days, as a share of the usual day.
const WORTH_FOR_A_DAY: f64 = 0.15;
/// A median distance of what scatters evenly, as a standard deviation.
const NORMAL: f64 = 1.4826;
/// Scatter at one time of day is at least this share of that of all times: few days know little of it.
const AT_LEAST: f64 = 0.7;
/// Longest bump with a time of day, in minutes; a longer one is a day that is different.
pub(super) const LONGEST_MINUTES: usize = 720;

/// A stretch of slots with one sign.
#[derive(Clone, Debug)]
pub(super) struct Bump {
    /// Day and slot at which it starts.
    pub(super) day: usize,
    pub(super) slot: usize,
    pub(super) slots: usize,
    /// 1 above the usual load, −1 below.
    pub(super) sign: f64,
    /// Sum of the load within, and of the usual load.
    pub(super) load: f64,
    pub(super) usual: f64,
    /// The slot furthest from the usual load: its load and what is usual.
    pub(super) extreme: (f64, f64),
    /// Slots from midnight of its day to that one.
    pub(super) extreme_slot: usize,
    /// How far that is, in standard deviations.
    pub(super) apart: f64,
}

/// Load of each day against the usual of its kind, and the median of that over the week around: neither knows of a single day's event.
pub(super) struct KindLevels {
    pub(super) of_day: Vec<f64>,
    pub(super) middle: Vec<f64>,
}

impl KindLevels {
    pub(super) fn of(grid: &Grid, kinds: &Kinds) -> Self {
        let days = grid.days.iter().enumerate();
        let of_day: Vec<f64> =
            days.map(|(day, facts)| day_against(grid, day, kinds.usual(facts.date.weekday()))).collect();
        let middle = over_weeks(&of_day, middle);
        Self { of_day, middle }
    }
}

/// The usual load of every slot of every date, at the level of the days around it.
pub(super) fn expected(grid: &Grid, levels: &KindLevels, kinds: &Kinds) -> Vec<f64> {
    let mut expected = Vec::with_capacity(grid.cells.len());
    for (day, level) in grid.days.iter().zip(&levels.middle) {
        let usual = kinds.usual(day.date.weekday());
        expected.extend(usual.iter().map(|usual| usual * level));
        expected.resize(expected.len() + grid.per_day - usual.len().min(grid.per_day), f64::NAN);
    }
    expected
}

/// Bumps of some slots, in the order of time.
pub(super) fn of_slots(grid: &Grid, kinds: &Kinds, expected: &[f64]) -> Vec<Bump> {
    let distance: Vec<f64> = grid.cells.iter().zip(expected).map(|(value, usual)| (value - usual).abs()).collect();
    let limits: Vec<(Vec<f64>, f64)> = kinds
        .days
        .iter()
        .zip(&kinds.usual)
        .map(|(days, usual)| {
            let such = |day: usize| grid.days.get(day).is_some_and(|day| days.contains(day.date.weekday()));
            let number = grid.full_days().filter(|day| such(*day)).count().max(1) as f64;
            let mut scatter = medians_of(&distance, grid, such);
            let known: Vec<f64> = scatter.iter().copied().filter(|value| !value.is_nan()).collect();
            let least = AT_LEAST * known.iter().sum::<f64>() / known.len() as f64;
            for value in &mut scatter {
                *value = NORMAL * (1.0 + FEW / number) * value.max(least);
            }
            (scatter, super::level::mean_of(usual))
        })
        .collect();
    let mut bumps: Vec<Bump> = Vec::new();
    let mut last_cell = usize::MAX;
    for (day, facts) in grid.days.iter().enumerate() {
        let Some((scatter, mean)) = limits.get(kinds.kind(facts.date.weekday())) else { continue };
        let start = day * grid.per_day;
        let row = grid.row(day).iter().zip(expected.get(start..).unwrap_or_default()).zip(scatter);
        for (slot, ((value, usual), scatter)) in row.enumerate() {
            let difference = value - usual;
            let worth = WORTH * if usual > mean { *usual } else { *mean };
            if !(difference.abs() > worth && difference.abs() > FAR * scatter) {
                continue;
            }
            let (cell, sign) = (start + slot, difference.signum());
            let apart = difference.abs() / scatter.max(1e-9 * worth);
            // One slot between two that stand out belongs to both.
            let goes_on = cell.wrapping_sub(last_cell) <= 2;
            match bumps.last_mut().filter(|bump| goes_on && (bump.sign - sign).abs() < 1.0) {
                Some(bump) => {
                    bump.slots += cell - last_cell;
                    bump.load += value;
                    bump.usual += usual;
                    if apart > bump.apart {
                        (bump.apart, bump.extreme) = (apart, (*value, *usual));
                        bump.extreme_slot = cell - bump.day * grid.per_day;
                    }
                }
                None => bumps.push(Bump {
                    day,
                    slot,
                    slots: 1,
                    sign,
                    load: *value,
                    usual: *usual,
                    extreme: (*value, *usual),
                    extreme_slot: slot,
                    apart,
                }),
            }
            last_cell = cell;
        }
    }
    bumps
}

/// Days whose load as a whole is far from usual.
pub(super) fn of_days(grid: &Grid, levels: &KindLevels) -> Vec<Bump> {
    let against: Vec<f64> = levels.of_day.iter().zip(&levels.middle).map(|(level, around)| level / around).collect();
    let mut distances: Vec<f64> =
        against.iter().filter(|value| value.is_finite()).map(|value| (value - 1.0).abs()).collect();
    let scatter = NORMAL * middle(&mut distances);
    let mut bumps = Vec::new();
    for (day, level) in against.iter().enumerate() {
        let difference = level - 1.0;
        if difference.is_finite() && difference.abs() > WORTH_FOR_A_DAY && difference.abs() > FAR_FOR_A_DAY * scatter {
            let sum = |values: &[f64]| values.iter().filter(|value| !value.is_nan()).sum::<f64>();
            let load = sum(grid.row(day));
            let usual = load / level;
            bumps.push(Bump {
                day,
                slot: 0,
                slots: grid.per_day,
                sign: difference.signum(),
                load,
                usual,
                extreme: (load, usual),
                extreme_slot: 0,
                apart: difference.abs() / scatter.max(1e-9),
            });
        }
    }
    bumps
}
