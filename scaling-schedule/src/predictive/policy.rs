//! Which forecast to size for, and for how long to keep it: [`Policy`].
//!
//! Every policy is played through on the workload's own past with a model of pods and their queue. One price for requests that
//! wait, the same for all workloads, spends pods where they help most (compare Rzadca et al., *Autopilot: workload autoscaling at
//! Google*, EuroSys 2020).

use super::queue::{Play, QueueModel};
use crate::forecast::{BACK_AT_MOST, Forecaster, Past, Quantile};

/// Numbers of steps of 15 s for which a wanted size is kept: 2, 4, 8 and 16 minutes.
const HOLDS: [usize; 4] = [8, 16, 32, BACK_AT_MOST];
/// Steps for which a wanted size is kept before anything is learnt: 4 minutes, twice what a start-up and old metrics take.
const UNLEARNT_HOLD: usize = 16;

/// The quantile of the forecast to size for, and the number of steps to keep that size for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) quantile: Quantile,
    pub(super) hold: usize,
}

impl Policy {
    /// The policy where there is no past to play through: a share of misses in inverse proportion to their price. At the
    /// default price of 10 that is the 0.983 quantile.
    pub(super) fn unlearnt(price: f64) -> Self {
        Self { quantile: Quantile::at_least(1.0 - 0.25 / price.max(1.0)), hold: UNLEARNT_HOLD }
    }

    /// The policy that would have cost least, with `price` for the share of requests that wait, against the logarithm of pods.
    pub(super) fn best(past: &Past, forecaster: &Forecaster, model: &QueueModel, price: f64) -> Self {
        let play = Play::of(past, forecaster);
        let mut best = (f64::INFINITY, Self::unlearnt(price));
        for quantile in Quantile::all() {
            for hold in HOLDS {
                let policy = Self { quantile, hold };
                let tally = play.through(policy, model);
                let cost = tally.pods.ln() + price * tally.late / tally.arrived.max(f64::MIN_POSITIVE);
                if cost < best.0 {
                    best = (cost, policy);
                }
            }
        }
        best.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_past_a_higher_price_takes_a_higher_quantile() {
        let quantile = |price| Policy::unlearnt(price).quantile.value();
        assert!(quantile(1.0) < quantile(10.0) && quantile(10.0) < quantile(40.0));
        assert!(quantile(f64::MAX) < 1.0);
    }
}
