//! Inputs of the general model: [`Inputs`], from the features of the moment and from its last day.

use super::last_day::{DAILY, LastDay};
use crate::forecast::features::{OBSERVED, Observed};

/// The observed features without the constant, the last day, and how far ahead is forecast.
pub(in crate::forecast) const INPUTS: usize = OBSERVED - 1 + DAILY + 1;
/// What the general model knows of a moment; in single precision, as its trees compare.
pub(in crate::forecast) type Inputs = [f32; INPUTS];

/// The inputs of a moment whose forecast looks `far` steps ahead. Their order is that of the trees.
///
/// Trees compare, so an input beyond all that was trained on counts as the outermost there: a horizon of an hour as the longest, of
/// 345 s.
#[allow(clippy::cast_possible_truncation)] // on purpose
pub(in crate::forecast) fn inputs(observed: &Observed, last_day: &LastDay, far: usize) -> Inputs {
    let (daily, ahead) = (last_day.features(), [(far as f64).ln()]);
    let mut inputs = [0.0; INPUTS];
    for (input, value) in inputs.iter_mut().zip(observed.iter().skip(1).chain(&daily).chain(&ahead)) {
        *input = *value as f32;
    }
    inputs
}
