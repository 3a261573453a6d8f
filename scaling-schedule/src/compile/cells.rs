//! Floors over a week, in cells of five minutes.
//!
//! A week is a circle: Sunday's last cell is followed by Monday's first. So a lead that reaches back over midnight lands on the
//! right day, and a dip or a peak over midnight is one.

use chrono::Weekday;
use scaling_core::stats::whole_pods;

use super::{CompileConfig, Profile};
use crate::Days;

/// Length of a cell. Fine enough for a lead, and a divisor of both slot lengths.
pub(super) const CELL_MINUTES: u32 = 5;
/// Cells of a day.
pub(super) const DAY: usize = (24 * 60 / CELL_MINUTES) as usize;
/// Cells of a week.
const WEEK: usize = 7 * DAY;

/// Needs of each cell of a week, not rounded, and the profile that each day has them from.
#[derive(Clone, Debug)]
pub(super) struct Needs {
    pods: Vec<f64>,
    /// Place of the profile of each day, Monday first.
    profiles: Vec<usize>,
}

/// A floor for each cell of a week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cells(Vec<u32>);

/// Cells of the week from `start` on, beyond its end if need be, with one floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) start: usize,
    pub(super) length: usize,
    pub(super) floor: u32,
}

/// The largest need that a stretch is for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Peak {
    pub(super) need: f64,
    /// Places of the profiles that have a need like it, without repetition.
    pub(super) profiles: Vec<usize>,
}

impl Needs {
    /// The needs of a week in which each day follows the profile that stands for it.
    pub(super) fn of(profiles: &[Profile], slot_minutes: u32) -> Self {
        let per_slot = (slot_minutes / CELL_MINUTES) as usize;
        let filled: Vec<Vec<f64>> = profiles.iter().map(Profile::filled).collect();
        let of_day = |day| profiles.iter().position(|profile| profile.days.contains(day)).unwrap_or(0);
        let places: Vec<usize> = Days::DAILY.iter().map(of_day).collect();
        let slots = places.iter().filter_map(|place| filled.get(*place)).flatten();
        Self { pods: slots.flat_map(|need| std::iter::repeat_n(*need, per_slot)).collect(), profiles: places }
    }

    /// Needs as whole pods, each floor wanted `lead` cells before its need.
    pub(super) fn led(&self, lead: usize) -> Cells {
        let whole: Vec<u32> = self.pods.iter().map(|need| whole_pods(*need)).collect();
        let circle: Vec<u32> = whole.iter().cycle().take(whole.len() + lead).copied().collect();
        Cells(circle.windows(lead + 1).map(|window| window.iter().copied().max().unwrap_or(0)).collect())
    }

    /// The largest need that a stretch meets at its time or a lead ahead. Higher needs inside it have stretches of their own.
    pub(super) fn peak(&self, stretch: Stretch, config: &CompileConfig) -> Peak {
        let met = || {
            (stretch.start..stretch.start + stretch.length + config.lead_cells())
                .filter_map(|cell| Some((cell % WEEK / DAY, *self.pods.get(cell % WEEK)?)))
                .filter(|(_, need)| whole_pods(*need) <= stretch.floor)
        };
        let need = met().map(|(_, need)| need).fold(0.0, f64::max);
        let alike = whole_pods(need).saturating_sub(config.tolerance(whole_pods(need)));
        let mut profiles: Vec<usize> = met()
            .filter(|(_, need)| whole_pods(*need) >= alike)
            .filter_map(|(day, _)| self.profiles.get(day).copied())
            .collect();
        profiles.sort_unstable();
        profiles.dedup();
        Peak { need, profiles }
    }
}

impl Stretch {
    /// Parts that one window each can hold: all of it if it is at most a day long, otherwise its days from midnight to
    /// midnight and what is left at both ends, which is made `shortest` long by overlapping the days.
    pub(super) fn parts(self, shortest: usize) -> Vec<Self> {
        if self.length <= DAY {
            return vec![self];
        }
        let end = self.start + self.length;
        let (first, last) = (self.start.next_multiple_of(DAY), end / DAY * DAY);
        let part = |start, length| Self { start: start % WEEK, length, ..self };
        let mut parts = Vec::new();
        if first > self.start {
            parts.push(part(self.start, (first - self.start).max(shortest)));
        }
        parts.extend((first..last).step_by(DAY).map(|start| part(start, DAY)));
        if end > last {
            let length = (end - last).max(shortest);
            parts.push(part(end - length, length));
        }
        parts
    }

    /// The weekday on which it starts, and the cell of that day.
    pub(super) fn start_of_day(self) -> (Weekday, usize) {
        let day = Days::DAILY.iter().nth(self.start % WEEK / DAY).unwrap_or(Weekday::Mon);
        (day, self.start % DAY)
    }
}

impl Cells {
    /// Fewer and longer stretches, none lower.
    pub(super) fn simplified(self, config: &CompileConfig) -> Self {
        let mut cells = self.on_ladder(config);
        let mut levels = cells.levels();
        levels.reverse();
        // From the top down, because what a high level widens to lies inside every lower one.
        for level in levels {
            cells.fill_dips(level, config.min_cells());
            cells.widen_peaks(level, config.min_cells());
            // Widening may have come close to the peak before.
            cells.fill_dips(level, config.min_cells());
        }
        cells
    }

    /// Raises floors that differ little to the higher one. The ladder starts at the top, and each rung is the highest floor that
    /// is more than the tolerance below the last: nothing is raised by more than the tolerance, however many steps a ramp has.
    fn on_ladder(&self, config: &CompileConfig) -> Self {
        let mut ladder: Vec<u32> = Vec::new();
        for level in self.levels().into_iter().rev() {
            if ladder.last().is_none_or(|last| last - level > config.tolerance(*last)) {
                ladder.push(level);
            }
        }
        let rung = |floor: u32| ladder.iter().rev().find(|rung| **rung >= floor).copied().unwrap_or(floor);
        Self(self.0.iter().map(|floor| rung(*floor)).collect())
    }

    /// The different floors, lowest first.
    fn levels(&self) -> Vec<u32> {
        let mut levels = self.0.clone();
        levels.sort_unstable();
        levels.dedup();
        levels
    }

    fn fill_dips(&mut self, level: u32, shortest: usize) {
        for (start, length) in self.runs(|floor| floor < level) {
            if length < shortest {
                self.raise(start, length, level);
            }
        }
    }

    fn widen_peaks(&mut self, level: u32, shortest: usize) {
        for (start, length) in self.runs(|floor| floor >= level) {
            if length < shortest {
                // Early rather than late: pods that wait harm no request.
                self.raise(start + self.0.len() - (shortest - length), shortest, level);
            }
        }
    }

    fn raise(&mut self, start: usize, length: usize, level: u32) {
        let cells = self.0.len();
        for cell in start..start + length {
            if let Some(floor) = self.0.get_mut(cell % cells) {
                *floor = level.max(*floor);
            }
        }
    }

    /// For each level above `outside` the runs at or above it that are somewhere exactly as high; higher ones lie inside.
    pub(super) fn stretches(&self, outside: u32) -> Vec<Stretch> {
        let mut found = Vec::new();
        for floor in self.levels().into_iter().filter(|level| *level > outside) {
            for (start, length) in self.runs(|other| other >= floor) {
                let stretch = Stretch { start, length, floor };
                if self.needs(stretch) {
                    found.push(stretch);
                }
            }
        }
        found
    }

    /// Returns true if a stretch is somewhere exactly as high as its floor; otherwise higher ones cover it.
    pub(super) fn needs(&self, stretch: Stretch) -> bool {
        let mut cells = stretch.start..stretch.start + stretch.length;
        cells.any(|cell| self.0.get(cell % self.0.len().max(1)) == Some(&stretch.floor))
    }

    /// Runs in which `holds`, as starts and lengths. A run may go on beyond the end of the week.
    fn runs(&self, holds: impl Fn(u32) -> bool) -> Vec<(usize, usize)> {
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for (cell, floor) in self.0.iter().enumerate() {
            match runs.last_mut() {
                _ if !holds(*floor) => {}
                Some((start, length)) if *start + *length == cell => *length += 1,
                _ => runs.push((cell, 1)),
            }
        }
        if let [first, .., last] = runs.as_mut_slice()
            && first.0 == 0
            && last.0 + last.1 == self.0.len()
        {
            last.1 += first.1;
            runs.remove(0);
        }
        runs
    }
}

/// Returns true if two kinds of day differ so little that one schedule serves both.
pub(super) fn alike(a: &Profile, b: &Profile, config: &CompileConfig) -> bool {
    a.filled().into_iter().zip(b.filled()).all(|(a, b)| {
        let (a, b) = (whole_pods(a), whole_pods(b));
        a.abs_diff(b) <= config.tolerance(a.max(b))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_longer_than_a_day_is_cut_at_midnight_and_its_ends_overlap() {
        // Sunday 23:40 to Saturday 00:15.
        let stretch = Stretch { start: 7 * DAY - 4, length: 4 + 5 * DAY + 3, floor: 9 };
        let parts = stretch.parts(12);
        assert_eq!((parts[0].start_of_day(), parts[0].length), ((Weekday::Sun, DAY - 4), 12));
        let days: Vec<_> = parts[1..6].iter().map(|part| (part.start_of_day(), part.length)).collect();
        assert_eq!(days, Days::WEEKDAYS.iter().map(|day| ((day, 0), DAY)).collect::<Vec<_>>());
        assert_eq!((parts[6].start_of_day(), parts[6].length), ((Weekday::Fri, DAY - 9), 12));
        assert_eq!(parts.len(), 7);
        assert_eq!(Stretch { length: DAY, ..stretch }.parts(12).len(), 1);
    }
}
