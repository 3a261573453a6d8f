//! Load on an even grid, step by step: [`Grid`].

use serde::{Deserialize, Serialize};

/// Spacing of the grid, in seconds: the HPA's sync period, and the shortest sensible interval of metrics.
pub(crate) const STEP_S: f64 = 15.0;
pub(crate) const STEP_MS: f64 = STEP_S * 1000.0;
/// Longest time between two points that is bridged by a straight line, in steps: six minutes, one missing sample of five minutes.
/// Longer ones are gaps.
pub(crate) const BRIDGED: i64 = 24;
/// Difference in ms up to which two points lie alike beside the grid: then the grid is moved onto them.
const ALIKE_MS: f64 = 1000.0;

/// Steps that a point adds to the grid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Advance {
    /// Nothing: the next step is not reached.
    None,
    /// So many steps, in a straight line from the load before to this one.
    Steps { number: i64, from: f64, to: f64 },
    /// So many steps of which nothing is known, then one with this load.
    Gap { number: i64, to: f64 },
}

/// An even grid through points that are nearly so.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Grid {
    /// Instant of the newest step, in ms since the epoch, and its load.
    newest: Option<(f64, f64)>,
    /// By how much the newest point lay beside the grid, in ms.
    beside_ms: f64,
}

impl Grid {
    /// Instant of the newest step, in ms since the epoch.
    #[cfg(test)]
    fn newest_ms(&self) -> Option<f64> {
        self.newest.map(|(at, _)| at)
    }

    /// Number of the newest step since the epoch: steps at the same time of day differ by whole days.
    #[allow(clippy::cast_possible_truncation)] // saturates, beyond any date
    pub(crate) fn number(&self) -> i64 {
        self.newest.map_or(0, |(at, _)| (at / STEP_MS).round() as i64)
    }

    #[allow(clippy::cast_possible_truncation)] // saturates
    pub(crate) fn push(&mut self, at_ms: f64, load: f64) -> Advance {
        let Some((newest, before)) = self.newest else {
            self.newest = Some((at_ms, load));
            return Advance::Gap { number: 0, to: load };
        };
        let steps = ((at_ms - newest) / STEP_MS).round();
        if steps.is_nan() || steps < 1.0 {
            return Advance::None;
        }
        let number = steps as i64;
        let place = newest + steps * STEP_MS;
        let beside_ms = at_ms - place;
        let alike = (beside_ms - self.beside_ms).abs() <= ALIKE_MS;
        self.newest = Some((if alike { at_ms } else { place }, load));
        self.beside_ms = if alike { 0.0 } else { beside_ms };
        if number > BRIDGED {
            Advance::Gap { number: number - 1, to: load }
        } else {
            Advance::Steps { number, from: before, to: load }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_that_are_not_even_make_an_even_grid() {
        let mut grid = Grid::default();
        let mut steps = 0;
        for k in 0..600 {
            if let Advance::Steps { number, .. } = grid.push(10_000.0 * f64::from(k), 1.0) {
                steps += number;
            }
        }
        assert!((steps - 400).abs() <= 1, "{steps}");
    }

    #[test]
    fn another_beginning_of_the_minute_moves_the_grid_once() {
        let mut grid = Grid::default();
        for k in 0..10 {
            grid.push(60_000.0 * f64::from(k), 1.0);
        }
        assert_eq!(grid.newest_ms(), Some(540_000.0));
        for k in 0..4 {
            grid.push(562_500.0 + 15_000.0 * f64::from(k), 1.0);
        }
        assert_eq!(grid.newest_ms(), Some(562_500.0 + 45_000.0));
    }

    #[test]
    fn a_long_silence_is_a_gap() {
        let mut grid = Grid::default();
        grid.push(0.0, 1.0);
        assert_eq!(grid.push(300_000.0, 2.0), Advance::Steps { number: 20, from: 1.0, to: 2.0 });
        assert_eq!(grid.push(3_900_000.0, 3.0), Advance::Gap { number: 239, to: 3.0 });
        assert_eq!(grid.push(3_900_000.0, 3.0), Advance::None);
        assert_eq!(grid.push(f64::NAN, 3.0), Advance::None);
    }
}
