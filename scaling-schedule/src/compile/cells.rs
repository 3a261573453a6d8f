//! Floors over a week, in cells of five minutes.
//!
//! A week is a circle: Sunday's last cell is followed by Monday's first. So a lead that reaches back over midnight lands on the
//! right day, and a dip or a peak over midnight is one.

use chrono::Weekday;

use crate::Days;

/// Length of a cell. Fine enough for a lead, and a divisor of both slot lengths.
pub(crate) const CELL_MINUTES: u32 = 5;
/// Cells of a day.
pub(crate) const DAY_CELLS: usize = (24 * 60 / CELL_MINUTES) as usize;
/// Cells of a week.
pub(crate) const WEEK_CELLS: usize = 7 * DAY_CELLS;

/// A floor for each cell of a week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cells(Vec<u32>);

/// Cells of the week from `start` on, beyond its end if need be, with one floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) start: usize,
    pub(super) length: usize,
    pub(super) floor: u32,
}

impl Stretch {
    /// Parts that one window each can hold: all of it if it is at most a day long, otherwise its days from midnight to
    /// midnight and what is left at both ends, which is made `shortest` long by overlapping the days.
    pub(super) fn parts(self, shortest: usize) -> Vec<Self> {
        if self.length <= DAY_CELLS {
            return vec![self];
        }
        let end = self.start + self.length;
        let (first, last) = (self.start.next_multiple_of(DAY_CELLS), end / DAY_CELLS * DAY_CELLS);
        let part = |start, length| Self { start: start % WEEK_CELLS, length, ..self };
        let mut parts = Vec::new();
        if first > self.start {
            parts.push(part(self.start, (first - self.start).max(shortest)));
        }
        parts.extend((first..last).step_by(DAY_CELLS).map(|start| part(start, DAY_CELLS)));
        if end > last {
            let length = (end - last).max(shortest);
            parts.push(part(end - length, length));
        }
        parts
    }

    /// The weekday on which it starts, and the cell of that day.
    pub(super) fn start_of_day(self) -> (Weekday, usize) {
        let day = Days::DAILY.iter().nth(self.start % WEEK_CELLS / DAY_CELLS).unwrap_or(Weekday::Mon);
        (day, self.start % DAY_CELLS)
    }
}

impl Cells {
    /// Floors of the cells of a week, Monday first; what is missing is 0.
    pub(crate) fn new(mut floors: Vec<u32>) -> Self {
        floors.resize(WEEK_CELLS, 0);
        Self(floors)
    }

    /// The floor of each cell.
    pub(crate) fn floors(&self) -> &[u32] {
        &self.0
    }

    /// Each floor wanted `lead` cells earlier.
    pub(crate) fn led(&self, lead: usize) -> Self {
        if lead == 0 {
            return self.clone();
        }
        let mut earlier = self.0.clone();
        for (start, length) in self.rises() {
            let floor = self.0.get(start % WEEK_CELLS).copied().unwrap_or(0);
            raise(&mut earlier, start + WEEK_CELLS - lead.min(WEEK_CELLS), lead.min(WEEK_CELLS) + length, floor);
        }
        Self(earlier)
    }

    /// Starts and lengths of runs of one floor that is higher than the one before.
    fn rises(&self) -> Vec<(usize, usize)> {
        let mut rises: Vec<(usize, usize)> = Vec::new();
        let before = self.0.iter().cycle().skip(self.0.len().saturating_sub(1));
        for (cell, (floor, before)) in self.0.iter().zip(before).enumerate() {
            if floor > before {
                rises.push((cell, 1));
            }
        }
        rises
    }

    /// Fewer and longer stretches, none lower: floors up to a tolerance apart become one.
    pub(crate) fn simplified(&self, shortest: usize, tolerance: impl Fn(u32) -> u32) -> Self {
        self.on_ladder(tolerance).spread(shortest)
    }

    /// Short dips filled and short peaks widened, to stretches of `shortest` cells at least.
    pub(crate) fn spread(mut self, shortest: usize) -> Self {
        if shortest <= 1 {
            return self;
        }
        let mut levels = self.levels();
        levels.reverse();
        // From the top down, because what a high level widens to lies inside every lower one.
        for level in levels {
            self.fill_dips(level, shortest);
            self.widen_peaks(level, shortest);
            // Widening may have come close to the peak before.
            self.fill_dips(level, shortest);
        }
        self
    }

    /// Raises floors that differ little to the higher one. The ladder starts at the top, and each rung is the highest floor that
    /// is more than the tolerance below the last: nothing is raised by more than the tolerance, however many steps a ramp has.
    fn on_ladder(&self, tolerance: impl Fn(u32) -> u32) -> Self {
        let mut ladder: Vec<u32> = Vec::new();
        for level in self.levels().into_iter().rev() {
            if ladder.last().is_none_or(|last| last - level > tolerance(*last)) {
                ladder.push(level);
            }
        }
        let rung = |floor: u32| ladder.iter().rev().find(|rung| **rung >= floor).copied().unwrap_or(floor);
        Self(self.0.iter().map(|floor| rung(*floor)).collect())
    }

    /// The different floors, lowest first.
    fn levels(&self) -> Vec<u32> {
        let mut levels = self.0.clone();
        // Long runs of one floor first, so that there is little to sort.
        levels.dedup();
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
        raise(&mut self.0, start, length, level);
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

fn raise(floors: &mut [u32], start: usize, length: usize, level: u32) {
    let cells = floors.len().max(1);
    for cell in start..start + length.min(cells) {
        if let Some(floor) = floors.get_mut(cell % cells) {
            *floor = level.max(*floor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_longer_than_a_day_is_cut_at_midnight_and_its_ends_overlap() {
        // Sunday 23:40 to Saturday 00:15.
        let stretch = Stretch { start: 7 * DAY_CELLS - 4, length: 4 + 5 * DAY_CELLS + 3, floor: 9 };
        let parts = stretch.parts(12);
        assert_eq!((parts[0].start_of_day(), parts[0].length), ((Weekday::Sun, DAY_CELLS - 4), 12));
        let days: Vec<_> = parts[1..6].iter().map(|part| (part.start_of_day(), part.length)).collect();
        assert_eq!(days, Days::WEEKDAYS.iter().map(|day| ((day, 0), DAY_CELLS)).collect::<Vec<_>>());
        assert_eq!((parts[6].start_of_day(), parts[6].length), ((Weekday::Fri, DAY_CELLS - 9), 12));
        assert_eq!(parts.len(), 7);
        assert_eq!(Stretch { length: DAY_CELLS, ..stretch }.parts(12).len(), 1);
    }
}
