//! The quantiles that are forecast.

use serde::{Deserialize, Serialize};

/// Quantiles that are forecast: 0.97 is exceeded three times in a hundred.
pub const QUANTILES: [f64; 8] = [0.8, 0.87, 0.92, 0.95, 0.97, 0.983, 0.992, 0.997];

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
