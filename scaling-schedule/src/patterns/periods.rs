//! Periods: the day, the week, and others that the correlation of the load with itself suggests.

use chrono::Datelike;

use super::Verdict;
use super::found::Period;
use super::grid::Grid;
use super::level::Levels;
use super::proof::{self, Trials};

/// Parts of a day that may be the true period of what repeats by the day.
const PARTS: [usize; 9] = [48, 24, 16, 12, 8, 6, 4, 3, 2];
/// Number of them.
const PARTS_TRIED: u32 = 9;
/// Correlation from which a lag is tried: no error falls by more than its square.
const TRIED: f64 = 0.2;
/// By how much a peak of the correlation must rise above the valley before it: memory that fades has none.
const RISE: f64 = 0.1;
/// Peaks that are tried.
const PEAKS: usize = 3;
/// Longest period that is looked for beyond the week, in hours: 16 days.
const LONGEST_H: usize = 384;
/// Shortest, in hours: jobs that come more often are level.
const SHORTEST_H: usize = 2;
/// Cycles that there must be to look for a period.
const CYCLES: usize = 4;

/// The day and the week, with how they were tried.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) day: Trials,
    pub(super) week: Trials,
    pub(super) has_day: bool,
    pub(super) has_week: bool,
}

impl Known {
    pub(super) fn of(grid: &Grid, levels: &Levels, significance: f64) -> Self {
        let weekday =
            |day: usize| grid.days.get(day).map_or(0, |day| day.date.weekday().num_days_from_monday() as usize);
        let day = proof::of_day(grid, &levels.relative, grid.per_day);
        let week = proof::of_kinds(grid, &levels.relative, 7, weekday);
        let (has_day, has_week) = (day.verdict(1, significance).is_proven(), week.verdict(1, significance).is_proven());
        Self { day, week, has_day, has_week }
    }
}

/// All periods: the day and the week first, then others that are proven.
pub(super) fn periods(grid: &Grid, levels: &Levels, known: &Known, significance: f64) -> Vec<Period> {
    let hours = Hours::of(grid, &levels.relative);
    let found = |minutes: usize, trials: &Trials, of: u32, correlation: Option<f64>| Period {
        minutes: u32::try_from(minutes).unwrap_or(u32::MAX),
        autocorrelation: correlation,
        verdict: trials.verdict(of, significance),
        strength: trials.strength(),
        evidence: trials.evidence(of, grid),
    };
    let correlation = |slots: usize| correlation(&hours.centred, slots * 60 / hours.minutes.max(1));
    let mut periods = Vec::new();
    let mut day = found(1440, &known.day, 1, correlation(24));
    if grid.per_day < 2 {
        day.verdict = Verdict::CannotTell(super::Lack::Resolution { slot_minutes: grid.slot_minutes });
    }
    periods.push(day);
    periods.push(found(7 * 1440, &known.week, 1, correlation(7 * 24)));

    let mut others = Vec::new();
    if known.has_day
        && let Some((slots, trials)) = part_of_day(grid, levels, known, significance)
    {
        let minutes = slots * grid.slot_minutes as usize;
        others.push(found(
            minutes,
            &trials,
            PARTS_TRIED,
            self::correlation(&hours.centred, minutes / hours.minutes.max(1)),
        ));
    }
    others.extend(beyond(grid, levels, known, significance).into_iter().map(|found_lag| {
        let minutes = found_lag.slots * grid.slot_minutes as usize;
        found(minutes, &found_lag.trials, found_lag.tried, Some(found_lag.correlation))
    }));
    others.sort_by(|a, b| b.strength.unwrap_or(0.0).total_cmp(&a.strength.unwrap_or(0.0)));
    periods.extend(others);
    periods
}

/// The shortest part of a day that explains all that the day does.
fn part_of_day(grid: &Grid, levels: &Levels, known: &Known, significance: f64) -> Option<(usize, Trials)> {
    let parts = PARTS.into_iter().filter(|parts| grid.per_day.is_multiple_of(*parts) && grid.per_day / parts > 1);
    parts.map(|parts| grid.per_day / parts).find_map(|period| {
        let trials = proof::of_day(grid, &levels.relative, period);
        let proven = trials.verdict(PARTS_TRIED, significance).is_proven();
        (proven && trials.strength() >= known.day.strength()).then_some((period, trials))
    })
}

struct Lag {
    slots: usize,
    trials: Trials,
    /// Lags that were looked at.
    tried: u32,
    correlation: f64,
}

/// Periods in what the day and the week leave.
fn beyond(grid: &Grid, levels: &Levels, known: &Known, significance: f64) -> Vec<Lag> {
    let rest = rest(grid, levels, known);
    let hours = Hours::of(grid, &rest);
    let per_hour = 60 / hours.minutes.max(1);
    let longest = (LONGEST_H * per_hour).min(hours.centred.len() / CYCLES);
    if hours.minutes > 60 || longest <= SHORTEST_H {
        return Vec::new();
    }
    let lags: Vec<f64> = (0..=longest + 1).map(|lag| correlation(&hours.centred, lag).unwrap_or(0.0)).collect();
    let tried = u32::try_from(longest - SHORTEST_H + 1).unwrap_or(u32::MAX);
    let mut valley = f64::INFINITY;
    let mut peaks = Vec::new();
    for (lag, around) in (1..).zip(lags.windows(3)) {
        let [before, here, after] = around else { continue };
        if lag >= SHORTEST_H && here > before && here >= after && *here >= TRIED && here - valley >= RISE {
            peaks.push((lag, *here));
        }
        valley = valley.min(*here);
    }
    // Multiples of a period are about as high as itself, and say nothing more.
    let mut first: Vec<(usize, f64)> = Vec::new();
    for (lag, height) in peaks {
        let says_it = |(kept, of): &(usize, f64)| {
            let times = (lag + kept / 2) / kept;
            lag.abs_diff(kept * times) <= times / 2 + 1 && height <= 1.25 * of
        };
        if !first.iter().any(says_it) {
            first.push((lag, height));
        }
    }
    first.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    first.truncate(PEAKS);
    let slots_an_hour = hours.slots;
    let mut proven: Vec<Lag> = first
        .into_iter()
        .filter_map(|(lag, correlation)| {
            let centre = lag * slots_an_hour;
            let near = centre.saturating_sub(slots_an_hour)..=centre + slots_an_hour;
            let exact = near.filter(|slots| *slots > 1).map(|slots| (slots, self::correlation(&filled(&rest), slots)));
            let (slots, _) = exact.max_by(|a, b| a.1.unwrap_or(-1.0).total_cmp(&b.1.unwrap_or(-1.0)))?;
            let trials = proof::of_rest(grid, &rest, slots);
            let lag = Lag { slots, trials, tried, correlation };
            lag.trials.verdict(tried, significance).is_proven().then_some(lag)
        })
        .collect();
    proven.sort_by_key(|lag| lag.slots);
    let mut kept: Vec<Lag> = Vec::new();
    for lag in proven {
        if !kept
            .iter()
            .any(|shorter| lag.slots % shorter.slots == 0 && lag.trials.strength() <= shorter.trials.strength())
        {
            kept.push(lag);
        }
    }
    kept
}

/// What is left of the relative load without the usual day, or the usual day of each weekday where that is proven, and without the
/// level of the day.
fn rest(grid: &Grid, levels: &Levels, known: &Known) -> Vec<f64> {
    let weekday = |day: usize| grid.days.get(day).map_or(0, |day| day.date.weekday().num_days_from_monday() as usize);
    let kinds = if known.has_week { 7 } else { 1 };
    let usual: Vec<Vec<f64>> = (0..kinds)
        .map(|kind| match (known.has_day, known.has_week) {
            (_, true) => super::level::medians_of(&levels.relative, grid, |day| weekday(day) == kind),
            (true, false) => super::level::medians_of(&levels.relative, grid, |_| true),
            (false, false) => vec![0.0; grid.per_day],
        })
        .collect();
    let mut rest = Vec::with_capacity(levels.relative.len());
    for (day, row) in levels.relative.chunks(grid.per_day).enumerate() {
        let kind = if kinds == 1 { 0 } else { weekday(day) };
        match usual.get(kind) {
            Some(usual) => rest.extend(row.iter().zip(usual).map(|(value, usual)| value - usual)),
            None => rest.extend_from_slice(row),
        }
    }
    let mean = super::level::mean_of(&rest);
    for value in &mut rest {
        *value -= mean;
    }
    rest
}

/// Means over hours, or over slots where these are longer, around their mean; what was not seen is 0.
struct Hours {
    minutes: usize,
    /// Slots of such a mean.
    slots: usize,
    centred: Vec<f64>,
}

impl Hours {
    fn of(grid: &Grid, values: &[f64]) -> Self {
        let slot = grid.slot_minutes as usize;
        let slots = (60 / slot.max(1)).max(1);
        let mut centred: Vec<f64> = values.chunks(slots).map(super::level::mean_of).collect();
        let mean = super::level::mean_of(&centred);
        for value in &mut centred {
            *value = if value.is_nan() { 0.0 } else { *value - mean };
        }
        Self { minutes: slot * slots, slots, centred }
    }
}

fn filled(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| if value.is_nan() { 0.0 } else { *value }).collect()
}

/// Correlation of a series around 0 with itself a lag before; `None` if it is constant or too short for it.
fn correlation(values: &[f64], lag: usize) -> Option<f64> {
    let later = values.get(lag..).filter(|later| !later.is_empty() && lag > 0)?;
    let earlier = values.get(..later.len())?;
    // Several sums at once, so that one does not wait for the other.
    let mut sums = [[0.0; 4]; 3];
    for (x, y) in earlier.chunks(4).zip(later.chunks(4)) {
        for ((place, x), y) in x.iter().enumerate().zip(y) {
            for (sum, add) in sums.iter_mut().zip([x * y, x * x, y * y]) {
                if let Some(sum) = sum.get_mut(place) {
                    *sum += add;
                }
            }
        }
    }
    let [xy, xx, yy] = sums.map(|sum| sum.iter().sum::<f64>());
    let scale = (xx * yy).sqrt();
    (scale > 1e-12).then(|| (xy / scale).clamp(-1.0, 1.0))
}
