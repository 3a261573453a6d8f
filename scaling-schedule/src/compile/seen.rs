//! What a history needed, by local date and cell of the day: one pass over its columns.

use std::collections::BTreeSet;

use chrono::{Datelike, Weekday};
use chrono_tz::Tz;
use scaling_core::{MetricsHistory, stats};

use super::cells::{CELL_MINUTES, DAY_CELLS};
use super::need::{Need, is_need};
use crate::local_time::{DAY_MS, LocalClock, Place, date};
use crate::{Days, ExcludedDates};

/// Cells of half an hour.
pub(super) const HALF_HOUR: usize = 6;
const CELL_MS: i64 = CELL_MINUTES as i64 * 60_000;
/// Intervals that are looked at to find the usual one.
const INTERVALS: usize = 1000;
/// Longest past that is looked at: two years. What was before says nothing of what comes.
const LONGEST_MS: i64 = 2 * 366 * DAY_MS;

/// Needs within one cell of one date, in pods.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cell {
    /// Smallest and largest need.
    pub(super) low: f64,
    pub(super) top: f64,
    /// Need, times the milliseconds for which it was seen.
    pub(super) work: f64,
    pub(super) ms: f64,
}

impl Cell {
    const UNSEEN: Self = Self { low: f64::INFINITY, top: f64::NEG_INFINITY, work: 0.0, ms: 0.0 };

    #[inline]
    fn add(&mut self, need: f64, ms: f64) {
        self.low = self.low.min(need);
        self.top = self.top.max(need);
        self.work += need * ms;
        self.ms += ms;
    }

    pub(super) fn is_seen(&self) -> bool {
        self.ms > 0.0
    }

    /// Share of the cell in which the need was above so many pods, as if it lay evenly between its extremes.
    pub(super) fn above(&self, pods: f64) -> f64 {
        // What a sum or a quotient is off by is no need.
        let pods = pods * (1.0 + 1e-9);
        if self.top <= pods {
            0.0
        } else if self.low > pods {
            1.0
        } else {
            ((self.top - pods) / (self.top - self.low)).clamp(0.0, 1.0)
        }
    }
}

/// One local date that was seen.
#[derive(Clone, Debug)]
pub(super) struct Day {
    /// Days since the epoch.
    pub(super) date: i64,
    pub(super) weekday: Weekday,
    pub(super) cells: Vec<Cell>,
    /// Largest need of each half hour: the shortest slot of a profile.
    pub(super) tops: Vec<f64>,
}

impl Day {
    /// The mean need of a day of which three quarters were seen.
    pub(super) fn mean(&self) -> Option<f64> {
        let seen = || self.cells.iter().filter(|cell| cell.is_seen());
        let is_whole = seen().count() * 4 >= DAY_CELLS * 3;
        is_whole.then(|| seen().map(|cell| cell.work).sum::<f64>() / seen().map(|cell| cell.ms).sum::<f64>())
    }
}

/// Needs by date.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// In order of time, without those that are excluded.
    pub(super) days: Vec<Day>,
    /// Dates that were seen, too, and are excluded.
    pub(super) excluded_days: usize,
}

impl Seen {
    /// Sorts the need of each sample into the dates and cells of the wall clock.
    ///
    /// A sample stands for the time until the next one, at most for twice the usual interval: hourly samples fill an hour, and an outage
    /// fills nothing. A time that the calendar or the wall clock cannot express is left out, and so are samples of excluded dates: what one
    /// of these stands for does not reach into the next date, nor that of the date before into them.
    pub(super) fn new(history: &MetricsHistory, need: Need, time_zone: Tz, excluded: &ExcludedDates) -> Self {
        let columns = history.before(i64::MAX);
        let times = columns.times();
        let usual = usual_interval_ms(times);
        let oldest = times.last().map_or(0, |newest| newest.saturating_sub(LONGEST_MS));
        let mut clock = LocalClock::new(time_zone, CELL_MINUTES);
        let (mut seen, mut place, mut here) = (Self::default(), Place::NOWHERE, Cell::UNSEEN);
        let (mut today, mut counts) = (None, true);
        let mut left_out = BTreeSet::new();
        let nexts = times.iter().skip(1).copied().chain(times.last().map(|last| last.saturating_add(usual)));
        for ((at, next), need) in times.iter().copied().zip(nexts).zip(need.column(columns)) {
            if !is_need(need) || at < oldest {
                continue;
            }
            let until = at.saturating_add((next - at).min(2 * usual));
            let mut from = at;
            while from < until {
                if !place.holds(from) {
                    seen.keep(place, &mut here);
                    let Some(found) = clock.place(from) else { break };
                    place = found;
                    if today != Some(place.day) {
                        today = Some(place.day);
                        let Some(date) = date(place.day) else { break };
                        counts = !excluded.contains(date);
                        if counts {
                            let cells = vec![Cell::UNSEEN; DAY_CELLS];
                            seen.days.push(Day { date: place.day, weekday: date.weekday(), cells, tops: Vec::new() });
                        }
                    }
                }
                if !counts {
                    if from == at {
                        left_out.insert(place.day);
                    }
                    break;
                }
                let to = until.min(place.until_ms);
                here.add(need, (to - from) as f64);
                from = to;
            }
        }
        seen.keep(place, &mut here);
        seen.excluded_days = left_out.len();
        for day in &mut seen.days {
            let top = |cells: &[Cell]| cells.iter().map(|cell| cell.top).fold(f64::NEG_INFINITY, f64::max);
            day.tops = day.cells.chunks(HALF_HOUR).map(top).collect();
        }
        seen
    }

    /// Puts what was seen in one place there: a cell is passed once, or twice where the clock is put back.
    fn keep(&mut self, place: Place, here: &mut Cell) {
        if here.is_seen()
            && let Some(cell) = self.days.last_mut().and_then(|day| day.cells.get_mut(place.slot))
        {
            cell.low = cell.low.min(here.low);
            cell.top = cell.top.max(here.top);
            cell.work += here.work;
            cell.ms += here.ms;
        }
        *here = Cell::UNSEEN;
    }

    /// Dates from the first to the last.
    pub(super) fn span_days(&self) -> u32 {
        let span = self.days.last().zip(self.days.first()).map_or(0, |(last, first)| last.date - first.date + 1);
        u32::try_from(span).unwrap_or(0)
    }

    /// Days' worth of what was seen on these weekdays.
    pub(super) fn days_seen(&self, days: Days) -> f64 {
        let seen = self.days.iter().filter(|day| days.contains(day.weekday)).flat_map(|day| &day.cells);
        seen.map(|cell| cell.ms.min(CELL_MS as f64)).sum::<f64>() / DAY_MS as f64
    }

    /// Share of the cells of the day that were seen on any of these days, from 0 to 1.
    pub(super) fn coverage(&self, days: Days) -> f64 {
        let mut seen = [false; DAY_CELLS];
        for day in self.days.iter().filter(|day| days.contains(day.weekday)) {
            for (seen, cell) in seen.iter_mut().zip(&day.cells) {
                *seen |= cell.is_seen();
            }
        }
        seen.iter().filter(|seen| **seen).count() as f64 / DAY_CELLS as f64
    }
}

/// The median time between two samples, of some of them; a day at most.
pub(super) fn usual_interval_ms(times: &[i64]) -> i64 {
    let every = (times.len() / INTERVALS).max(1);
    let pairs = times.iter().zip(times.iter().skip(1)).step_by(every);
    let mut steps: Vec<i64> = pairs.map(|(a, b)| b.saturating_sub(*a)).collect();
    stats::quantile_of(&mut steps, 0.5).unwrap_or(0).clamp(0, DAY_MS)
}

/// Time from the first sample to the end of the time that the last one stands for, in milliseconds.
pub(crate) fn span_ms(history: &MetricsHistory) -> i64 {
    let times = history.before(i64::MAX);
    let times = times.times();
    match (times.first(), times.last()) {
        (Some(oldest), Some(newest)) => newest.saturating_sub(*oldest).saturating_add(usual_interval_ms(times)),
        _ => 0,
    }
}
