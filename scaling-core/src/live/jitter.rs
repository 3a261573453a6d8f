//! [`Jitter`]: ticks that begin a random while late. Pure.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// Share of a batch's part of the interval by which a tick may begin late: what its deadline leaves.
pub(super) const MOST_SHARE: f64 = 1.0 - super::DEADLINE_SHARE;

/// Delays that follow from a seed and the instant of a tick: uniform, and independent of each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Jitter {
    pub(super) seed: u64,
    pub(super) most: Duration,
}

impl Jitter {
    /// Delay of the tick of an instant: below the most.
    pub(super) fn of(&self, at: DateTime<Utc>) -> Duration {
        let drawn = mixed(self.seed ^ mixed(at.timestamp_millis().cast_unsigned()));
        let share = (drawn >> 11) as f64 / (1_u64 << 53) as f64;
        self.most.mul_f64(share)
    }

    /// The same, but never later than what a part of an interval has room for.
    pub(super) fn within(self, part: Duration) -> Self {
        Self { most: self.most.min(part.mul_f64(MOST_SHARE)), ..self }
    }
}

/// SplitMix64: Steele, Lea, Flood, *Fast splittable pseudorandom number generators*, 2014.
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(ms).unwrap()
    }

    #[test]
    fn delays_are_spread_evenly_and_two_seeds_do_not_go_in_step() {
        let of = |seed: u64| {
            let jitter = Jitter { seed, most: Duration::from_secs(1) };
            (0..10_000).map(|tick| jitter.of(at(1_700_000_000_000 + tick * 10_000)).as_secs_f64()).collect::<Vec<_>>()
        };
        let (one, other) = (of(1), of(2));
        let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
        assert!((mean(&one) - 0.5).abs() < 0.02 && (mean(&other) - 0.5).abs() < 0.02);
        let together: f64 = one.iter().zip(&other).map(|(a, b)| (a - 0.5) * (b - 0.5)).sum::<f64>() / 10_000.0;
        assert!(together.abs() < 0.005, "{together}: a twelfth if they went in step");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn law_5_a_delay_is_the_same_whoever_asks_and_leaves_room_for_the_deadline(
            seed in any::<u64>(), ms in -3_000_000_000_000..3_000_000_000_000_i64, most in 0..u64::MAX / 1000, part in 1..86_400_000_u64,
        ) {
            let (most, part) = (Duration::from_millis(most), Duration::from_millis(part));
            let jitter = Jitter { seed, most }.within(part);
            let late = jitter.of(at(ms));
            prop_assert_eq!(late, jitter.of(at(ms)));
            prop_assert!(late <= most && late <= part.mul_f64(MOST_SHARE));
        }
    }
}
