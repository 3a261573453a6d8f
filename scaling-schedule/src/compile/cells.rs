//! Floors over a week, in cells of five minutes.
//!
//! A week is a circle: Sunday's last cell is followed by Monday's first. So a lead that reaches back over midnight lands on the
//! right day, and a dip or a peak over midnight is one.

use chrono::Weekday;

use super::runs::Runs;
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
    pub(crate) fn spread(self, shortest: usize) -> Self {
        if shortest <= 1 {
            return self;
        }
        let mut runs = Runs::of(&self.0);
        // From the top down, because what a high level widens to lies inside every lower one.
        for level in self.levels().into_iter().rev() {
            runs.fill_dips(level, shortest);
            runs.widen_peaks(level, shortest);
            // Widening may have come close to the peak before.
            runs.fill_dips(level, shortest);
        }
        Self(runs.floors())
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
        let mut floors = Vec::with_capacity(self.0.len());
        for cells in self.0.chunk_by(|a, b| a == b) {
            floors.extend(cells.first().into_iter().flat_map(|floor| std::iter::repeat_n(rung(*floor), cells.len())));
        }
        Self(floors)
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

    /// For each level above `outside` the runs at or above it that are somewhere exactly as high; higher ones lie inside.
    pub(super) fn stretches(&self, outside: u32) -> Vec<Stretch> {
        let mut found = Vec::new();
        let pieces: Vec<(usize, u32)> =
            self.0.chunk_by(|a, b| a == b).filter_map(|cells| Some((cells.len(), *cells.first()?))).collect();
        for floor in self.levels().into_iter().filter(|level| *level > outside) {
            for (start, length) in self.runs(&pieces, |other| other >= floor) {
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
        let (week, start) = (self.0.len().max(1), stretch.start % self.0.len().max(1));
        let end = start + stretch.length.min(week);
        let parts = [self.0.get(start..end.min(week)), self.0.get(..end.saturating_sub(week))];
        parts.into_iter().flatten().any(|cells| cells.contains(&stretch.floor))
    }

    /// Runs of pieces of the week that hold, as starts and lengths. A run may go on beyond the end of the week.
    fn runs(&self, pieces: &[(usize, u32)], holds: impl Fn(u32) -> bool) -> Vec<(usize, usize)> {
        let mut runs: Vec<(usize, usize)> = Vec::new();
        let mut cell = 0;
        for (cells, floor) in pieces {
            match runs.last_mut() {
                _ if !holds(*floor) => {}
                Some((start, length)) if *start + *length == cell => *length += cells,
                _ => runs.push((cell, *cells)),
            }
            cell += cells;
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

    /// The plain way: cell by cell.
    fn plainly(floors: &[u32], shortest: usize) -> Vec<u32> {
        let mut floors = floors.to_vec();
        let cells = floors.len();
        let mut levels = floors.clone();
        levels.sort_unstable_by(|a, b| b.cmp(a));
        levels.dedup();
        let runs = |floors: &[u32], holds: &dyn Fn(u32) -> bool| {
            let begins = |cell: &usize| holds(floors[*cell]) && !holds(floors[(cell + cells - 1) % cells]);
            let length = |start: usize| (1..cells).find(|step| !holds(floors[(start + step) % cells])).unwrap_or(cells);
            (0..cells).filter(begins).map(|start| (start, length(start))).collect::<Vec<_>>()
        };
        for level in levels {
            for widens in [false, true, false] {
                for (start, length) in runs(&floors, &|floor| (floor >= level) == widens) {
                    if length < shortest {
                        let (from, number) =
                            if widens { (start + length + cells - shortest, shortest) } else { (start, length) };
                        raise(&mut floors, from, number, level);
                    }
                }
            }
        }
        floors
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(64))]

        #[test]
        fn runs_spread_as_cells_do(
            pieces in proptest::collection::vec((1_usize..60, 0_u32..8), 1..120),
            turned in 0..WEEK_CELLS,
            shortest in 0_usize..=144,
        ) {
            let mut floors: Vec<u32> =
                pieces.iter().cycle().flat_map(|(length, floor)| std::iter::repeat_n(*floor, *length)).take(WEEK_CELLS).collect();
            floors.rotate_left(turned);
            let spread = Cells::new(floors.clone()).spread(shortest);
            proptest::prop_assert_eq!(spread.floors(), plainly(&floors, shortest));
        }
    }
}
