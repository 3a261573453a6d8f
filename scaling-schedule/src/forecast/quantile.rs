//! The quantiles that are forecast, and the coefficients before anything is learnt.

use serde::{Deserialize, Serialize};

use super::features::{FEATURES, Features, RECENT};

/// Quantiles that are forecast: 0.97 is exceeded three times in a hundred.
pub const QUANTILES: [f64; 8] = [0.8, 0.87, 0.92, 0.95, 0.97, 0.983, 0.992, 0.997];
/// Quantiles of the normal distribution at [`QUANTILES`], relative to that at 0.97.
const NORMAL: [f64; QUANTILES.len()] = [0.448, 0.599, 0.747, 0.875, 1.0, 1.127, 1.281, 1.461];

/// Coefficients of the 0.97 quantile before anything is learnt, by what scales with the quantile (noise) and what does not
/// (direction): about the median of those learnt on fifteen public load traces. Seasons have to be learnt.
const GENERIC_NOISE: [f64; RECENT] =
    [GENERIC_MARGIN, 0.0, 0.0, 0.0, 0.0, 0.6, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, GENERIC_SCATTER, 0.0, 0.03];
const GENERIC_DIRECTION: [f64; RECENT] =
    [0.0, 0.45, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
/// Growth that any load may show, as a logarithm.
pub(super) const GENERIC_MARGIN: f64 = 0.02;
/// Growth that independent requests may show, in standard deviations of their number in one step.
pub(super) const GENERIC_SCATTER: f64 = 2.5;

/// Coefficients of a workload about which nothing is known, by quantile.
pub(super) fn generic() -> [Features; QUANTILES.len()] {
    NORMAL.map(|scale| {
        let mut coefficients = [0.0; FEATURES];
        for (place, (noise, direction)) in coefficients.iter_mut().zip(GENERIC_NOISE.iter().zip(GENERIC_DIRECTION)) {
            *place = noise * scale + direction;
        }
        coefficients
    })
}

/// One of the [`QUANTILES`], by its place among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Quantile(usize);

impl Quantile {
    /// All quantiles, lowest first.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..QUANTILES.len()).map(Self)
    }

    /// The lowest that is at least `share`, or the highest.
    pub(crate) fn at_least(share: f64) -> Self {
        Self(QUANTILES.iter().position(|quantile| *quantile >= share).unwrap_or(QUANTILES.len() - 1))
    }

    /// The one of `values` that belongs to this quantile.
    pub(crate) fn of<T: Copy>(self, values: &[T; QUANTILES.len()]) -> T {
        let [first, ..] = values;
        *values.get(self.0).unwrap_or(first)
    }

    pub(crate) fn value(self) -> f64 {
        self.of(&QUANTILES)
    }
}
