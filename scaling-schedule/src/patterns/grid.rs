//! [`Grid`]: a load sorted into dates and slots of the wall clock, in one pass.

use chrono::NaiveDate;

use super::{AnalyzeConfig, LeftOut, MAX_DAYS};
use crate::local_time::{LocalClock, Place, date};

/// Lengths of slots in minutes, each of which divides a day.
const WIDTHS: [u32; 12] = [5, 10, 15, 20, 30, 60, 120, 180, 240, 360, 720, 1440];
/// By how much an interval may be longer than a slot and still fill slots one by one: timers are late at times.
const JITTER: f64 = 1.05;
/// Values are brought near 1 where their sums or squares could leave the range of numbers.
const PLAIN: std::ops::RangeInclusive<f64> = 1e-100..=1e100;

/// Smallest power of two that is divided by: of the very smallest numbers the inverse is infinite.
const SMALLEST: f64 = -1000.0;
/// Largest: a logarithm of the largest number is rounded up, beyond it.
const LARGEST: f64 = 1023.0;

/// A date of the grid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Day {
    pub(super) date: NaiveDate,
    pub(super) excluded: bool,
    /// Half of its slots were seen at least: a day to judge by.
    pub(super) full: bool,
}

/// Mean load of every slot of every date; what was not seen is NaN. Repeated hours count together, skipped ones are not seen.
#[derive(Clone, Debug)]
pub(super) struct Grid {
    pub(super) slot_minutes: u32,
    /// Slots of a day.
    pub(super) per_day: usize,
    pub(super) days: Vec<Day>,
    /// Day after day.
    pub(super) cells: Vec<f64>,
    pub(super) samples: u64,
    pub(super) left_out: LeftOut,
    /// What values have to be multiplied with to be those that came: a power of two.
    pub(super) unit: f64,
}

impl Grid {
    pub(super) fn row(&self, day: usize) -> &[f64] {
        self.cells.get(day * self.per_day..(day + 1) * self.per_day).unwrap_or_default()
    }

    /// The days to judge by, by their place.
    pub(super) fn full_days(&self) -> impl Iterator<Item = usize> + '_ {
        self.days.iter().enumerate().filter(|(_, day)| day.full).map(|(place, _)| place)
    }

    pub(super) fn span(&self) -> (NaiveDate, NaiveDate) {
        let date = |day: Option<&Day>| day.map(|day| day.date).unwrap_or_default();
        (date(self.days.first()), date(self.days.last()))
    }

    /// Sorts samples into slots. They are in the order of time, no two at one instant. `None` if none counts.
    pub(super) fn new(
        samples: impl DoubleEndedIterator<Item = (i64, f64)> + Clone,
        config: &AnalyzeConfig,
        left_out: &mut LeftOut,
    ) -> Option<Self> {
        let mut filler = Filler::new(&samples, config, left_out)?;
        for (at_ms, value) in samples {
            filler.push(at_ms, value);
        }
        filler.finish()
    }
}

/// Where a sample belongs.
#[derive(Clone, Copy, PartialEq)]
enum Goes {
    To(usize),
    Excluded,
    Beyond,
}

struct Filler<'a> {
    config: &'a AnalyzeConfig,
    clock: LocalClock,
    left_out: &'a mut LeftOut,
    slot_minutes: u32,
    per_day: usize,
    first_day: i64,
    until_ms: i64,
    unit: f64,
    scale: f64,
    /// Slot of the sample before, and its sum.
    place: Place,
    goes: Goes,
    sum: f64,
    number: f64,
    sums: Vec<f64>,
    numbers: Vec<f64>,
    /// Instant of the last sample that counts, and how many intervals are no longer than each width.
    last_ms: Option<i64>,
    limits: [i64; WIDTHS.len()],
    intervals: [u64; WIDTHS.len() + 1],
    samples: u64,
}

impl<'a> Filler<'a> {
    fn new(
        samples: &(impl DoubleEndedIterator<Item = (i64, f64)> + Clone),
        config: &'a AnalyzeConfig,
        left_out: &'a mut LeftOut,
    ) -> Option<Self> {
        let mut clock = LocalClock::new(config.time_zone, config.slot_minutes);
        let until_ms = config.until.map_or(i64::MAX, |until| until.timestamp_millis());
        // The newest sample that counts is the end, and tells how far back days are looked at.
        let mut place = Place::NOWHERE;
        let mut excluded = false;
        let mut counts = |at_ms: i64, value: f64| {
            if at_ms > until_ms || !usable(value) {
                return None;
            }
            if !place.holds(at_ms) {
                place = clock.place(at_ms)?;
                excluded = config.excluded.contains(date(place.day)?);
            }
            (!excluded).then_some(place.day)
        };
        let newest = samples.clone().rev().find_map(|(at_ms, value)| counts(at_ms, value));
        let oldest = samples.clone().find_map(|(at_ms, value)| counts(at_ms, value));
        let Some((oldest, newest)) = oldest.zip(newest) else {
            Self::count_left_out(samples.clone(), &mut clock, config, left_out);
            return None;
        };
        let first_day = oldest.max(newest - i64::from(MAX_DAYS) + 1);
        let days = usize::try_from(newest - first_day + 1).ok()?;
        let per_day = usize::try_from(24 * 60 / config.slot_minutes).ok()?;
        let largest = samples.clone().map(|(_, value)| value).filter(|value| value.is_finite()).fold(0.0, f64::max);
        let unit = if largest == 0.0 || PLAIN.contains(&largest) {
            1.0
        } else {
            largest.log2().floor().clamp(SMALLEST, LARGEST).exp2()
        };
        Some(Self {
            config,
            clock,
            left_out,
            slot_minutes: config.slot_minutes,
            per_day,
            first_day,
            until_ms,
            unit,
            scale: 1.0 / unit,
            place: Place::NOWHERE,
            goes: Goes::Beyond,
            sum: 0.0,
            number: 0.0,
            sums: vec![0.0; days * per_day],
            numbers: vec![0.0; days * per_day],
            last_ms: None,
            #[allow(clippy::cast_possible_truncation)] // a day in ms
            limits: WIDTHS.map(|minutes| (f64::from(minutes) * 60_000.0 * JITTER) as i64),
            intervals: [0; WIDTHS.len() + 1],
            samples: 0,
        })
    }

    /// Without a sample that counts: why.
    fn count_left_out(
        samples: impl Iterator<Item = (i64, f64)>,
        clock: &mut LocalClock,
        config: &AnalyzeConfig,
        left_out: &mut LeftOut,
    ) {
        let until_ms = config.until.map_or(i64::MAX, |until| until.timestamp_millis());
        for (at_ms, value) in samples {
            let day = clock.place(at_ms).filter(|_| at_ms <= until_ms).and_then(|place| date(place.day));
            match day {
                None => left_out.out_of_range += 1,
                Some(day) if config.excluded.contains(day) => left_out.excluded += 1,
                Some(_) => refuse(value, left_out),
            }
        }
    }

    #[inline]
    fn push(&mut self, at_ms: i64, value: f64) {
        if !self.place.holds(at_ms) {
            self.flush();
            self.locate(at_ms);
        }
        match self.goes {
            Goes::To(_) if usable(value) => {}
            Goes::To(_) => return refuse(value, self.left_out),
            Goes::Excluded => return self.left_out.excluded += 1,
            Goes::Beyond => return self.left_out.out_of_range += 1,
        }
        self.sum += value * self.scale;
        self.number += 1.0;
        if let Some(last_ms) = self.last_ms {
            let interval = at_ms - last_ms;
            let width = self.limits.iter().position(|limit| interval <= *limit).unwrap_or(WIDTHS.len());
            if let Some(count) = self.intervals.get_mut(width) {
                *count += 1;
            }
        }
        self.last_ms = Some(at_ms);
    }

    fn locate(&mut self, at_ms: i64) {
        self.goes = Goes::Beyond;
        let Some(mut place) = self.clock.place(at_ms) else { return };
        if at_ms > self.until_ms {
            self.place = Place::NOWHERE;
            return;
        }
        place.until_ms = place.until_ms.min(self.until_ms.saturating_add(1));
        self.place = place;
        let cell = usize::try_from(place.day - self.first_day)
            .ok()
            .map(|day| day * self.per_day + place.slot)
            .filter(|cell| *cell < self.sums.len());
        self.goes = match (cell, date(place.day)) {
            (_, Some(date)) if self.config.excluded.contains(date) => Goes::Excluded,
            (Some(cell), Some(_)) => Goes::To(cell),
            _ => Goes::Beyond,
        };
    }

    /// Adds what the slot of the sample before holds.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a count
    fn flush(&mut self) {
        if let Goes::To(cell) = self.goes
            && let (Some(sum), Some(number)) = (self.sums.get_mut(cell), self.numbers.get_mut(cell))
        {
            *sum += self.sum;
            *number += self.number;
            self.samples += self.number as u64;
        }
        self.sum = 0.0;
        self.number = 0.0;
    }

    /// The shortest slots that usual intervals fill: half of the intervals at least are no longer.
    fn width(&self) -> u32 {
        let all: u64 = self.intervals.iter().sum();
        let mut seen = 0;
        let mut usual = None;
        for (width, count) in WIDTHS.iter().zip(self.intervals) {
            seen += count;
            if usual.is_none() && seen * 2 >= all {
                usual = Some(*width);
            }
        }
        let usual = usual.unwrap_or(1440).max(self.slot_minutes);
        WIDTHS.into_iter().find(|width| *width >= usual && width % self.slot_minutes == 0).unwrap_or(1440)
    }

    fn finish(mut self) -> Option<Grid> {
        self.flush();
        let width = self.width();
        let merged = usize::try_from(width / self.slot_minutes).ok()?.max(1);
        let per_day = self.per_day / merged;
        let mut cells: Vec<f64> = if merged == 1 {
            self.sums.iter().zip(&self.numbers).map(|(sum, number)| sum / number).collect()
        } else {
            let sum = |values: &[f64]| values.iter().sum::<f64>();
            self.sums.chunks(merged).zip(self.numbers.chunks(merged)).map(|(s, n)| sum(s) / sum(n)).collect()
        };
        // 0 / 0 is NaN, and not seen. Dates at both ends may have had none but samples that do not count.
        let seen = |row: &[f64]| row.iter().filter(|value| !value.is_nan()).count();
        let rows: Vec<usize> = cells.chunks(per_day).map(seen).collect();
        let first = rows.iter().position(|seen| *seen > 0)?;
        let last = rows.iter().rposition(|seen| *seen > 0)?;
        cells.truncate((last + 1) * per_day);
        cells.drain(..first * per_day);
        let mut days = Vec::with_capacity(last + 1 - first);
        for (place, seen) in rows.iter().enumerate().take(last + 1).skip(first) {
            let date = date(self.first_day + i64::try_from(place).ok()?)?;
            let excluded = self.config.excluded.contains(date);
            days.push(Day { date, excluded, full: seen * 2 >= per_day && !excluded });
        }
        Some(Grid {
            slot_minutes: width,
            per_day,
            days,
            cells,
            samples: self.samples,
            left_out: *self.left_out,
            unit: self.unit,
        })
    }
}

#[inline]
fn usable(value: f64) -> bool {
    (0.0..f64::INFINITY).contains(&value)
}

#[cold]
fn refuse(value: f64, left_out: &mut LeftOut) {
    if value < 0.0 && value.is_finite() { left_out.negative += 1 } else { left_out.not_finite += 1 }
}
