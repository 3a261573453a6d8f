//! The demand of a history in steps, each with its place on the wall clock.

use std::collections::BTreeSet;

use chrono::{Datelike, NaiveDate, Weekday};
use chrono_tz::Tz;
use scaling_core::{MetricsHistory, stats};

use crate::ExcludedDates;
use crate::compile::{DAY_CELLS, Need, is_need};
use crate::local_time::{LocalClock, Place, date};

/// Longest past that is looked at: four weeks. What was before says little of what comes.
const LONGEST_MS: i64 = 28 * 24 * 3_600_000;
/// Samples this many usual intervals apart have a gap between them, unless they are closer than ten minutes: a source may have sampled
/// less often before.
const GAP: i64 = 3;
const NO_GAP_MS: i64 = 600_000;

/// Demand in equal steps, in pods' worth of work; NaN where nothing was seen.
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub(super) step_s: f64,
    pub(super) demand: Vec<f64>,
    /// Of each step: its cell of the day.
    pub(super) cells: Vec<usize>,
    /// Local dates in order.
    pub(super) days: Vec<Day>,
    /// Dates that were seen, too, and are excluded: what they demanded is not known.
    pub(super) excluded_days: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Day {
    /// Days since the epoch.
    pub(super) number: i64,
    pub(super) first_step: usize,
    pub(super) end_step: usize,
}

impl Day {
    pub(super) fn date(self) -> NaiveDate {
        date(self.number).unwrap_or_default()
    }

    pub(super) fn weekday(self) -> Weekday {
        self.date().weekday()
    }
}

impl Load {
    pub(super) fn new(
        history: &MetricsHistory,
        need: Need,
        time_zone: Tz,
        excluded: &ExcludedDates,
        seconds: u32,
    ) -> Self {
        let columns = history.before(i64::MAX);
        let newest = columns.times().last().copied().unwrap_or(0);
        let mut points: Vec<(i64, f64)> = columns
            .times()
            .iter()
            .copied()
            .zip(need.column(columns))
            .filter(|(at, need)| is_need(*need) && newest.saturating_sub(*at) <= LONGEST_MS)
            .collect();
        let mut intervals: Vec<i64> = points.iter().zip(points.iter().skip(1)).map(|(a, b)| b.0 - a.0).collect();
        let usual = stats::quantile_of(&mut intervals, 0.5).unwrap_or(60_000).clamp(1, 3_600_000);
        let step_ms = i64::from(seconds.max(1)) * 1000;
        let mut load = Self {
            step_s: f64::from(seconds.max(1)),
            demand: Vec::new(),
            cells: Vec::new(),
            days: Vec::new(),
            excluded_days: if excluded.is_empty() { 0 } else { leave_out(&mut points, time_zone, excluded) },
        };
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return load };
        let mut clock = LocalClock::new(time_zone, 5);
        let (mut place, mut today, mut counts) = (Place::NOWHERE, None, true);
        let mut rest = points.as_slice();
        let mut at = first.0;
        while at < last.0 {
            if !place.holds(at) {
                let Some(found) = clock.place(at) else { break };
                place = found;
                if today != Some(place.day) {
                    today = Some(place.day);
                    counts = !date(place.day).is_some_and(|date| excluded.contains(date));
                    if counts {
                        let first_step = load.demand.len();
                        load.days.push(Day { number: place.day, first_step, end_step: first_step });
                    }
                }
            }
            // A sample is the mean over the interval that it ends: its centre lies half of one earlier.
            let middle = at + step_ms / 2 + usual / 2;
            while rest.get(1).is_some_and(|next| next.0 <= middle) {
                rest = rest.get(1..).unwrap_or_default();
            }
            load.demand.push(if counts { between(rest, middle, usual) } else { f64::NAN });
            load.cells.push(place.slot.min(DAY_CELLS - 1));
            if let Some(day) = load.days.last_mut().filter(|_| counts) {
                day.end_step = load.demand.len();
            }
            at += step_ms;
        }
        load
    }

    /// Demand of some days.
    pub(super) fn of(&self, from: usize, to: usize) -> &[f64] {
        self.demand.get(from..to).unwrap_or_default()
    }
}

/// Takes out the points of excluded dates, and returns the number of these dates.
fn leave_out(points: &mut Vec<(i64, f64)>, time_zone: Tz, excluded: &ExcludedDates) -> usize {
    let (mut clock, mut place) = (LocalClock::new(time_zone, 60), Place::NOWHERE);
    let mut left_out = BTreeSet::new();
    points.retain(|(at, _)| {
        if !place.holds(*at) {
            place = clock.place(*at).unwrap_or(Place::NOWHERE);
        }
        let is_excluded = place.holds(*at) && date(place.day).is_some_and(|date| excluded.contains(date));
        if is_excluded {
            left_out.insert(place.day);
        }
        !is_excluded
    });
    left_out.len()
}

/// The value on the line between the first two points; NaN in a gap.
fn between(points: &[(i64, f64)], at: i64, usual: i64) -> f64 {
    match points {
        [only, ..] if at <= only.0 => only.1,
        [a, b, ..] if b.0 - a.0 <= (usual * GAP).max(NO_GAP_MS) => {
            a.1 + (b.1 - a.1) * (at - a.0) as f64 / (b.0 - a.0).max(1) as f64
        }
        [last, ..] if at - last.0 <= usual => last.1,
        _ => f64::NAN,
    }
}
