//! Levels of the days, and the load without them.

use scaling_core::stats;

use super::grid::Grid;

/// Days to either side over which a level is taken: a week, so that each weekday counts once.
const AROUND: usize = 3;
/// Largest load against the level: more counts as that much, so that one spike does not outweigh a day.
const HIGHEST: f64 = 20.0;

/// Largest level of a day against the usual one: a load that decays without end leaves a usual one that is next to nothing, and the
/// quotient of both would be no number.
const LARGEST: f64 = 1e12;

/// The load against its level, and the levels.
#[derive(Debug)]
pub(super) struct Levels {
    /// Usual load of each slot over all days; NaN where none was seen.
    pub(super) usual: Vec<f64>,
    /// Load of each day against the usual over the slots that were seen; NaN for days that are not judged by.
    pub(super) of_day: Vec<f64>,
    /// Mean of that over the week around; NaN as well where it is 0.
    pub(super) around: Vec<f64>,
    /// Cells against the level around, 1 on average; NaN where not seen, or on days that are not judged by.
    pub(super) relative: Vec<f64>,
}

impl Levels {
    pub(super) fn of(grid: &Grid) -> Self {
        let mut usual = medians(grid, |_| true);
        if usual.iter().filter(|value| !value.is_nan()).sum::<f64>() <= 0.0 {
            // Mostly idle: the median knows nothing of it.
            usual = means(grid);
        }
        let of_day: Vec<f64> = (0..grid.days.len()).map(|day| day_against(grid, day, &usual)).collect();
        let around: Vec<f64> = over_weeks(&of_day, |week| {
            let mean = week.iter().sum::<f64>() / week.len() as f64;
            if mean > 0.0 { mean } else { f64::NAN }
        });
        let mean = mean_of(&usual);
        let mut relative = Vec::with_capacity(grid.cells.len());
        for (day, level) in around.iter().enumerate() {
            let level = if grid.days.get(day).is_some_and(|day| day.full) { 1.0 / (level * mean) } else { f64::NAN };
            relative.extend(grid.row(day).iter().map(|value| {
                let against = value * level;
                if against > HIGHEST { HIGHEST } else { against }
            }));
        }
        Self { usual, of_day, around, relative }
    }
}

/// A figure of the week around each day; at both ends of the week that is nearest.
pub(super) fn over_weeks(of_day: &[f64], figure: impl Fn(&mut [f64]) -> f64) -> Vec<f64> {
    let mut week = Vec::with_capacity(2 * AROUND + 1);
    (0..of_day.len())
        .map(|day| {
            let from = day.saturating_sub(AROUND).min(of_day.len().saturating_sub(2 * AROUND + 1));
            week.clear();
            week.extend(of_day.iter().skip(from).take(2 * AROUND + 1).filter(|level| !level.is_nan()));
            figure(&mut week)
        })
        .collect()
}

/// Load of a day against what is usual in the slots that were seen; NaN for a day that is not judged by.
pub(super) fn day_against(grid: &Grid, day: usize, usual: &[f64]) -> f64 {
    if !grid.days.get(day).is_some_and(|day| day.full) {
        return f64::NAN;
    }
    let (mut sum, mut usually) = (0.0, 0.0);
    for (value, usual) in grid.row(day).iter().zip(usual) {
        if !value.is_nan() && !usual.is_nan() {
            sum += value;
            usually += usual;
        }
    }
    if usually > 0.0 { (sum / usually).min(LARGEST) } else { f64::NAN }
}

/// Median of each slot over some of the days that are judged by; NaN where none was seen.
pub(super) fn medians(grid: &Grid, of: impl Fn(usize) -> bool) -> Vec<f64> {
    medians_of(&grid.cells, grid, of)
}

/// The same of other values with the shape of the grid.
pub(super) fn medians_of(cells: &[f64], grid: &Grid, of: impl Fn(usize) -> bool) -> Vec<f64> {
    let rows: Vec<&[f64]> = grid
        .full_days()
        .filter(|day| of(*day))
        .filter_map(|day| cells.get(day * grid.per_day..(day + 1) * grid.per_day))
        .collect();
    let mut column = Vec::with_capacity(rows.len());
    (0..grid.per_day)
        .map(|slot| {
            column.clear();
            column.extend(rows.iter().filter_map(|row| row.get(slot)).filter(|value| !value.is_nan()));
            middle(&mut column)
        })
        .collect()
}

/// The lower median; NaN of nothing. A few values are sorted, which is faster than to select.
pub(super) fn middle(values: &mut [f64]) -> f64 {
    if values.len() > 32 {
        return stats::quantile(values, 0.5).unwrap_or(f64::NAN);
    }
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

fn means(grid: &Grid) -> Vec<f64> {
    let (mut sums, mut numbers) = (vec![0.0; grid.per_day], vec![0.0; grid.per_day]);
    for day in grid.full_days() {
        for ((value, sum), number) in grid.row(day).iter().zip(&mut sums).zip(&mut numbers) {
            if !value.is_nan() {
                *sum += value;
                *number += 1.0;
            }
        }
    }
    sums.iter().zip(numbers).map(|(sum, number)| sum / number).collect()
}

/// Mean of what is known; NaN of nothing.
pub(super) fn mean_of(values: &[f64]) -> f64 {
    let known = values.iter().filter(|value| !value.is_nan());
    known.clone().sum::<f64>() / known.count() as f64
}
