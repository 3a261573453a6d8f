//! Randomness as an argument: the same seed and index give the same number, whoever asks and in whatever order.

use statrs::function::gamma::ln_gamma;

/// Means below this are drawn by counting arrivals, those above by rejection.
const SMALL: f64 = 12.0;

/// Numbers that follow from a seed and an index: SplitMix64 (Steele, Lea, Flood, *Fast splittable pseudorandom number
/// generators*, 2014).
#[derive(Clone, Copy, Debug)]
pub(super) struct Noise(u64);

impl Noise {
    /// The numbers of one index.
    pub(super) fn at(seed: u64, index: usize) -> Self {
        Self(mixed(seed ^ mixed(index as u64)))
    }

    /// Uniform within 0..1, both excluded.
    pub(super) fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        ((mixed(self.0) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Draws the number that arrives where so many are expected. A mean that is no number above 0 gives none.
    pub(super) fn poisson(&mut self, mean: f64) -> f64 {
        if !(mean > 0.0 && mean.is_finite()) {
            0.0
        } else if mean < SMALL {
            self.counted(mean)
        } else {
            self.transformed(mean)
        }
    }

    /// Arrivals until the time is over.
    fn counted(&mut self, mean: f64) -> f64 {
        let limit = (-mean).exp();
        let (mut product, mut count) = (self.uniform(), 0.0);
        while product > limit {
            product *= self.uniform();
            count += 1.0;
        }
        count
    }

    /// Transformed rejection with squeeze: Hörmann, *The transformed rejection method for generating Poisson random variables*,
    /// 1993, algorithm PTRS.
    fn transformed(&mut self, mean: f64) -> f64 {
        let b = 0.931 + 2.53 * mean.sqrt();
        let a = -0.059 + 0.02483 * b;
        let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
        let squeeze = 0.9277 - 3.6224 / (b - 2.0);
        loop {
            let u = self.uniform() - 0.5;
            let v = self.uniform();
            let distance = 0.5 - u.abs();
            let count = ((2.0 * a / distance + b) * u + mean + 0.43).floor();
            if distance >= 0.07 && v <= squeeze {
                return count;
            }
            if count < 0.0 || (distance < 0.013 && v > distance) {
                continue;
            }
            let drawn = (v * inverse_alpha / (a / (distance * distance) + b)).ln();
            if drawn <= count * mean.ln() - mean - ln_gamma(count + 1.0) {
                return count;
            }
        }
    }
}

fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_scatter_as_poisson_does() {
        for mean in [0.3, 5.0, 11.9, 12.1, 40.0, 750.0, 30_000.0] {
            let draws: Vec<f64> = (0..20_000).map(|index| Noise::at(7, index).poisson(mean)).collect();
            let number = draws.len() as f64;
            let average = draws.iter().sum::<f64>() / number;
            let variance = draws.iter().map(|draw| (draw - average).powi(2)).sum::<f64>() / number;
            // Five standard errors of each.
            assert!((average - mean).abs() < 5.0 * (mean / number).sqrt(), "{mean}: mean {average}");
            let error = (2.0 * mean * mean / number + mean / number).sqrt();
            assert!((variance - mean).abs() < 5.0 * error, "{mean}: variance {variance}");
            assert!(draws.iter().all(|draw| *draw >= 0.0 && draw.fract() == 0.0));
        }
    }

    #[test]
    fn the_same_seed_and_index_give_the_same_and_others_do_not() {
        let draw = |seed, index| Noise::at(seed, index).poisson(1e6).to_bits();
        assert_eq!(draw(1, 2), draw(1, 2));
        assert!(draw(1, 2) != draw(1, 3) && draw(1, 2) != draw(2, 2));
    }

    #[test]
    fn what_is_no_mean_gives_nobody() {
        for mean in [f64::NAN, f64::INFINITY, -1.0, 0.0] {
            assert_eq!(Noise::at(1, 1).poisson(mean).to_bits(), 0);
        }
    }
}
