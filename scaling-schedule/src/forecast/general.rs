//! What holds for any workload: growth by quantile, before anything is learnt of one.
//!
//! A workload that was never seen is not without precedent. Boosted quantile trees (Friedman, *Greedy function approximation*, 2001),
//! trained on moments of public traces, say how far the load of a workload at a moment like this one rose until the moment that is
//! forecast. The regression adds what it learns of the one workload.
//!
//! How the trees are trained, on what, and what they are worth for a source that they have not seen: `training/README.md` of this
//! crate.

mod inputs;
mod last_day;
mod trees;

use std::sync::OnceLock;

pub(super) use self::inputs::{Inputs, inputs};
pub(super) use self::last_day::LastDay;
use self::trees::Trees;
use super::quantile::QUANTILES;

/// Growths by quantile, as logarithms.
pub(super) type Growths = [f64; QUANTILES.len()];

/// Growths that any workload may show at a moment with these inputs.
pub(super) fn growths(inputs: &Inputs) -> Growths {
    static TREES: OnceLock<Option<Trees>> = OnceLock::new();
    let trees = TREES.get_or_init(|| Trees::read(include_bytes!("general.model")));
    // The file is part of this crate and a test reads it. Without it a forecast would begin from "it stays as it is".
    trees.as_ref().map_or([0.0; QUANTILES.len()], |trees| trees.growths(inputs))
}

#[cfg(test)]
mod tests {
    use super::inputs::INPUTS;
    use super::*;

    #[test]
    fn it_forecasts_what_the_library_that_trained_it_forecasts() {
        let mut checked = 0;
        for line in include_str!("general.check.csv").lines() {
            let numbers: Vec<f32> = line.split(',').map(|number| number.parse().unwrap()).collect();
            let (given, expected) = numbers.split_first_chunk::<INPUTS>().unwrap();
            assert_eq!(expected.len(), QUANTILES.len());
            for (growth, expected) in growths(given).into_iter().zip(expected) {
                assert!((growth - f64::from(*expected)).abs() <= 1e-5, "{growth} instead of {expected} for {line}");
            }
            checked += 1;
        }
        assert_eq!(checked, 12);
    }

    #[test]
    fn it_is_smaller_than_64_kib() {
        assert!(include_bytes!("general.model").len() <= 64 * 1024);
    }
}
