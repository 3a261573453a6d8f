//! Floors over a day, in cells of five minutes.

use scaling_core::MAX_REPLICAS;

use super::CompileConfig;
use crate::pattern::Profile;

/// Fine enough for a lead, and a divisor of both slot lengths.
pub(super) const CELL_MINUTES: u32 = 5;
const CELLS: usize = (24 * 60 / CELL_MINUTES) as usize;

/// A floor for each cell of a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cells(Vec<u32>);

impl Default for Cells {
    fn default() -> Self {
        Self(vec![0; CELLS])
    }
}

/// One window to be: so many cells from `start` on (beyond midnight, if need be) at this floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) start: usize,
    pub(super) length: usize,
    pub(super) floor: u32,
}

impl Stretch {
    /// The needs of the slots it stands for, a lead after it opens, as far as it meets them: higher ones have their own.
    pub(super) fn needs(self, profile: &Profile, config: &CompileConfig) -> Vec<f64> {
        let per_slot = (config.slot_minutes / CELL_MINUTES) as usize;
        let filled = profile.filled();
        let lead = config.lead_cells().min(self.length.saturating_sub(1));
        (self.start + lead..self.start + self.length)
            .filter_map(|cell| filled.get(cell % CELLS / per_slot).copied())
            .filter(|need| whole_pods(*need) <= self.floor)
            .collect()
    }
}

impl Cells {
    /// The needs of a profile as whole pods.
    pub(super) fn of(profile: &Profile, slot_minutes: u32) -> Self {
        let per_slot = (slot_minutes / CELL_MINUTES) as usize;
        Self(profile.filled().into_iter().flat_map(|need| std::iter::repeat_n(whole_pods(need), per_slot)).collect())
    }

    pub(super) fn max(self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| *a.max(b)).collect())
    }

    /// Whether two days differ so little that one schedule serves both.
    pub(super) fn alike(&self, other: &Self, config: &CompileConfig) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| a.abs_diff(*b) <= config.tolerance(*a.max(b)))
    }

    /// Each floor wanted `lead` cells earlier; `next` is the day that follows.
    pub(super) fn led(&self, next: &Self, lead: usize) -> Self {
        let ahead: Vec<u32> = self.0.iter().chain(&next.0).copied().collect();
        let peaks = ahead.windows(lead + 1).take(CELLS).map(|window| window.iter().copied().max().unwrap_or(0));
        Self(peaks.collect())
    }

    /// Fewer and longer stretches, none lower.
    pub(super) fn simplified(self, config: &CompileConfig, circular: bool) -> Self {
        let mut cells = self.on_ladder(config);
        let mut levels = cells.levels();
        levels.reverse();
        // From the top down, because what a high level widens to lies inside every lower one.
        for level in levels {
            cells.fill_dips(level, config.min_cells(), circular);
            cells.widen_peaks(level, config.min_cells(), circular);
            // Widening may have come close to the peak before.
            cells.fill_dips(level, config.min_cells(), circular);
        }
        cells
    }

    /// Floors that differ little become the higher one. The ladder starts at the top, and each rung is the highest floor that
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

    fn fill_dips(&mut self, level: u32, shortest: usize, circular: bool) {
        for (start, length) in self.runs(circular, |floor| floor < level) {
            let at_edge = !circular && (start == 0 || start + length == CELLS);
            if length < shortest && !at_edge {
                self.raise(start, length, level);
            }
        }
    }

    fn widen_peaks(&mut self, level: u32, shortest: usize, circular: bool) {
        for (start, length) in self.runs(circular, |floor| floor >= level) {
            if length < shortest {
                // Early rather than late: pods that wait harm nobody.
                let missing = shortest - length;
                let start = if circular { start + CELLS - missing } else { start.saturating_sub(missing) };
                self.raise(start, shortest, level);
            }
        }
    }

    fn raise(&mut self, start: usize, length: usize, level: u32) {
        for cell in start..start + length {
            if let Some(floor) = self.0.get_mut(cell % CELLS) {
                *floor = level.max(*floor);
            }
        }
    }

    /// The windows: for each level those runs at or above it that are somewhere exactly as high; higher ones lie inside.
    pub(super) fn stretches(&self, outside: u32, circular: bool) -> Vec<Stretch> {
        let mut found = Vec::new();
        for level in self.levels().into_iter().filter(|level| *level > outside) {
            for (start, length) in self.runs(circular, |floor| floor >= level) {
                if (start..start + length).any(|cell| self.0.get(cell % CELLS) == Some(&level)) {
                    found.push(Stretch { start, length, floor: level });
                }
            }
        }
        found
    }

    /// Where `holds`, as starts and lengths. In a circular day a run may go on beyond midnight.
    fn runs(&self, circular: bool, holds: impl Fn(u32) -> bool) -> Vec<(usize, usize)> {
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for (cell, floor) in self.0.iter().enumerate() {
            match runs.last_mut() {
                _ if !holds(*floor) => {}
                Some((start, length)) if *start + *length == cell => *length += 1,
                _ => runs.push((cell, 1)),
            }
        }
        if let (true, [first, .., last]) = (circular, runs.as_mut_slice())
            && first.0 == 0
            && last.0 + last.1 == CELLS
        {
            last.1 += first.1;
            runs.remove(0);
        }
        runs
    }
}

/// Rounded up; a hair above a whole number is rounding, not need.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole_pods(need: f64) -> u32 {
    (need - need * 1e-9).ceil().clamp(0.0, f64::from(MAX_REPLICAS)) as u32
}
