//! What may be expected of days to come: how far held-out days speak for others.

use scaling_core::stats;

use super::cells::DAY_CELLS;
use super::held_out::{Floors, Judge, Judged, Origin, Ratios, ready};
use super::seen::{Day, Seen};
use super::{Choice, CompileConfig};

/// Standard errors between days by which the coverage that is stated lies below that of held-out days, and growth above none.
const ERRORS: f64 = 2.0;
const WEEK: i64 = 7;
/// Pairs of days a week apart that tell growth: each weekday once.
const LEAST_PAIRS: usize = 7;

/// Of each day the floors that judge it; none of days that were not held out. The factor on the profile was fitted to held-out days, so each
/// is judged by the factor that the others would have had: of itself it would say too much.
pub(super) fn judges<'a>(
    seen: &Seen,
    config: &CompileConfig,
    choice: &Choice,
    judged_by: &'a [Floors<'a>],
) -> Vec<Option<Judge<'a>>> {
    let lead = config.lead_cells();
    let weeks: Vec<Vec<f64>> = choice.weeks.iter().map(|week| ready(week, lead)).collect();
    let origins = || choice.origins.iter().zip(&weeks).zip(judged_by);
    let day = |nth| Origin { learn: nth, until: nth + 1 };
    let mut all = Ratios::new();
    for ((origin, week), _) in origins() {
        all.add(seen, *origin, week);
    }
    let mut judges = vec![None; seen.days.len()];
    for ((origin, week), floors) in origins() {
        for nth in origin.learn..origin.until {
            let mut own = Ratios::new();
            own.add(seen, day(nth), week);
            // Without others, or where no factor holds them, the factor stays as it is.
            let factor = all.without(&own).factor(config.violating_share).unwrap_or(choice.factor);
            let share = (factor / choice.factor).min(1.0);
            if let Some(judge) = judges.get_mut(nth) {
                *judge = Some(Judge { floors, share });
            }
        }
    }
    judges
}

/// The coverage of held-out days, each judged by what the others chose, less two standard errors between them.
pub(super) fn coverage(seen: &Seen, outside: u32, judges: &[Option<Judge<'_>>]) -> f64 {
    let mut sums: Vec<Judged> = Vec::new();
    for (day, judge) in seen.days.iter().zip(judges) {
        let Some(judge) = judge else { continue };
        let from = day.weekday.num_days_from_monday() as usize * DAY_CELLS;
        let mut sum = Judged::default();
        for (place, cell) in day.cells.iter().enumerate().filter(|(_, cell)| cell.is_seen()) {
            if let Some((ready, asked)) = judge.pods_by_others(from + place, outside) {
                sum.take(cell, ready, asked);
            }
        }
        sums.push(sum);
    }
    sums.retain(|day| day.ms > 0.0);
    let coverages: Vec<f64> = sums.iter().map(Judged::coverage).collect();
    let (mean, error) = mean_and_error(&coverages);
    (mean.unwrap_or(1.0) - ERRORS * error).clamp(0.0, 1.0)
}

/// Relative distance of the day that is furthest from the median day, by its mean need or by the need that all but a share of its work
/// stays below. Days of which a quarter was not seen do not count.
pub(super) fn days_apart(seen: &Seen, share: f64) -> f64 {
    let levels = seen.days.iter().filter_map(|day| {
        let mean = day.mean()?;
        let cells = day.cells.iter().filter(|cell| cell.is_seen());
        let mut needs: Vec<(f64, f64)> = cells.map(|cell| (cell.top, cell.work)).collect();
        Some((mean, stats::weighted_quantile(&mut needs, 1.0 - share).unwrap_or(0.0)))
    });
    let (means, highs): (Vec<f64>, Vec<f64>) = levels.unzip();
    furthest(means).max(furthest(highs))
}

/// Distance from the median of the value that is furthest from it, relative to it; 0 where all are 0.
fn furthest(mut values: Vec<f64>) -> f64 {
    let middle = stats::quantile(&mut values, 0.5).unwrap_or(0.0);
    let apart = values.iter().map(|value| (value - middle).abs()).fold(0.0, f64::max);
    if apart > 0.0 { apart / middle } else { 0.0 }
}

/// Growth of the need in a week, relative to it, that is more than chance: of days against the same weekday a week before, or over days
/// that are too few for that the slope of their needs.
pub(super) fn growth(seen: &Seen) -> Option<f64> {
    let log = |day: &Day| Some((day.date, day.mean().filter(|mean| *mean > 0.0)?.ln()));
    let logs: Vec<(i64, f64)> = seen.days.iter().filter_map(log).collect();
    // Dates may be missing: a week lies between dates, not between places in the list.
    let later = |(date, before): &(i64, f64)| {
        let place = logs.binary_search_by_key(&(date + WEEK), |(date, _)| *date).ok()?;
        Some(logs.get(place)?.1 - before)
    };
    let weekly: Vec<f64> = logs.iter().filter_map(later).collect();
    let (growth, error) = if weekly.len() >= LEAST_PAIRS { mean_and_error(&weekly) } else { slope(&logs) };
    growth.filter(|growth| *growth > ERRORS * error).map(f64::exp_m1)
}

/// The slope in a week by least squares, and its standard error.
fn slope(logs: &[(i64, f64)]) -> (Option<f64>, f64) {
    let first = logs.first().map_or(0, |(date, _)| *date);
    let points: Vec<(f64, f64)> = logs.iter().map(|(date, log)| ((date - first) as f64 / WEEK as f64, *log)).collect();
    let number = points.len() as f64;
    if number < 4.0 {
        return (None, 0.0);
    }
    let (x, y) = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0 / number, sum.1 + point.1 / number));
    let squares: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let slope = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>() / squares;
    let errors: f64 = points.iter().map(|point| (point.1 - y - slope * (point.0 - x)).powi(2)).sum();
    (Some(slope), (errors / (number - 2.0) / squares).sqrt())
}

/// The mean of some values, and its standard error.
fn mean_and_error(values: &[f64]) -> (Option<f64>, f64) {
    let number = values.len() as f64;
    if number < 1.0 {
        return (None, 0.0);
    }
    let mean = values.iter().sum::<f64>() / number;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (Some(mean), if number > 1.0 { (squares / (number - 1.0) / number).sqrt() } else { 0.0 })
}
