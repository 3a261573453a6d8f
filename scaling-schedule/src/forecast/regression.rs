//! Linear quantile regression (Koenker and Bassett, *Regression Quantiles*, 1978), several quantiles at once.

use scaling_core::stats;

use super::features::{FEATURES, Features};

/// Sweeps over the training samples. The steps shrink over all of them together, and the second half is averaged.
const SWEEPS: usize = 4;
/// First step of the constant, in units of the spread of growth: large enough to cross it in the first sweep.
const STEP: f64 = 0.15;
/// Share of that step by which the other coefficients move: there are many, and they move together.
const SLOPE_SHARE: f64 = 0.2;
/// Added to the mean square of each scaled feature, which is 1, so that a direction in which features hardly differ is not blown
/// up by more than ten.
const RIDGE: f64 = 0.01;

/// A moment of the past: its features, the growth that followed, and its weight in the fit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TrainingSample {
    pub(crate) features: Features,
    pub(crate) growth: f64,
    pub(crate) weight: f64,
}

/// Improves the coefficients of each quantile by subgradient steps on the pinball loss, in a fixed scattered order, averaged
/// over the second half. They keep the shape they start from where the past is too short to change it. `None` without samples,
/// or if no finite answer comes of them.
pub(crate) fn fit<const N: usize>(
    samples: &[TrainingSample],
    levels: &[f64; N],
    start: &[Features; N],
) -> Option<[Features; N]> {
    let number = samples.len();
    if number == 0 {
        return None;
    }
    let rms = |of: &dyn Fn(&TrainingSample) -> Option<f64>| {
        let squares: f64 = samples.iter().filter_map(of).map(|value| value * value).sum();
        (squares / number as f64).sqrt()
    };
    // A feature that is nearly always 0 must not learn at a huge step when it is not.
    let scale: Features = std::array::from_fn(|j| rms(&|sample| sample.features.get(j).copied()).max(1e-2));
    let spread = rms(&|sample| Some(sample.growth)).max(1e-3);
    let mut scaled: Vec<Features> = samples.iter().map(|sample| zip(&sample.features, &scale, |r, s| r / s)).collect();
    let white = Whitening::of(&scaled, RIDGE)?;
    for features in &mut scaled {
        *features = white.features(features);
    }

    let mut fits = start.map(|start| white.shape(&zip(&start, &scale, |coefficient, scale| coefficient * scale)));
    for (fit, level) in fits.iter_mut().zip(levels) {
        fit[0] += quantile_of_rest(samples, &scaled, fit, *level)?;
    }
    let stride = scattered_stride(number);
    let total = number * SWEEPS;
    let averaged = (total - total.div_ceil(2)).max(1) as f64;
    let mut at = 0;
    let mut means = [[0.0; FEATURES]; N];
    for done in 0..total {
        at = (at + stride) % number;
        let (sample, features) = (samples.get(at)?, scaled.get(at)?);
        let decay = (1.0 + 100.0 * done as f64 / total as f64).sqrt();
        let step = STEP * spread * sample.weight / decay;
        for ((fit, mean), level) in fits.iter_mut().zip(&mut means).zip(levels) {
            let side = if sample.growth > dot(fit, features) { *level } else { *level - 1.0 };
            *fit = zip(fit, features, |coefficient, feature| coefficient + SLOPE_SHARE * step * side * feature);
            // The constant learns faster; its feature is 1.
            fit[0] += step * side;
            if 2 * done >= total {
                *mean = zip(mean, fit, |mean, coefficient| mean + coefficient / averaged);
            }
        }
    }
    for (mean, level) in means.iter_mut().zip(levels) {
        mean[0] += quantile_of_rest(samples, &scaled, mean, *level)?;
    }
    let coefficients = means.map(|mean| zip(&white.coefficients(&mean), &scale, |mean, scale| mean / scale));
    coefficients.iter().flatten().all(|coefficient| coefficient.is_finite()).then_some(coefficients)
}

/// A change of coordinates in which no two features go together, so that one step size suits all.
struct Whitening {
    /// The lower triangular Cholesky factor of the mean product of every two features.
    factor: [Features; FEATURES],
}

impl Whitening {
    /// `None` if the features are not finite.
    fn of(scaled: &[Features], ridge: f64) -> Option<Self> {
        let mut products = [[0.0; FEATURES]; FEATURES];
        for features in scaled {
            for (i, (row, a)) in products.iter_mut().zip(features).enumerate() {
                for (place, b) in row.iter_mut().zip(features).take(i + 1) {
                    *place += a * b;
                }
            }
        }
        let number = scaled.len() as f64;
        let mut factor = [[0.0; FEATURES]; FEATURES];
        for (i, row) in products.iter().enumerate() {
            let (done, rest) = factor.split_at_mut(i);
            let own = rest.first_mut()?;
            for (j, product) in row.iter().enumerate().take(i + 1) {
                let mean = product / number + if i == j { ridge } else { 0.0 };
                let other = if j < i { *done.get(j)? } else { *own };
                let left = mean - own.iter().zip(&other).take(j).map(|(a, b)| a * b).sum::<f64>();
                *own.get_mut(j)? = if i == j { left.max(ridge).sqrt() } else { left / other.get(j)? };
            }
        }
        Some(Self { factor })
    }

    /// Features in the new coordinates.
    fn features(&self, features: &Features) -> Features {
        let mut result = [0.0; FEATURES];
        for (i, (row, feature)) in self.factor.iter().zip(features).enumerate() {
            let known: f64 = row.iter().zip(&result).take(i).map(|(a, b)| a * b).sum();
            let diagonal = row.get(i).copied().unwrap_or(1.0);
            if let Some(place) = result.get_mut(i) {
                *place = (feature - known) / diagonal;
            }
        }
        result
    }

    /// Coefficients in the new coordinates.
    fn shape(&self, coefficients: &Features) -> Features {
        let mut result = [0.0; FEATURES];
        for (row, coefficient) in self.factor.iter().zip(coefficients) {
            result = zip(&result, row, |sum, a| sum + a * coefficient);
        }
        result
    }

    /// Coefficients back in the old coordinates.
    fn coefficients(&self, shape: &Features) -> Features {
        let mut rest = *shape;
        let mut result = [0.0; FEATURES];
        for (i, row) in self.factor.iter().enumerate().rev() {
            let value = rest.get(i).copied().unwrap_or_default() / row.get(i).copied().unwrap_or(1.0);
            rest = zip(&rest, row, |rest, a| rest - a * value);
            if let Some(place) = result.get_mut(i) {
                *place = value;
            }
        }
        result
    }
}

/// Weighted quantile of the growth beyond the fit: the amount that the constant lacks.
fn quantile_of_rest(samples: &[TrainingSample], scaled: &[Features], fit: &Features, level: f64) -> Option<f64> {
    let rest = |(sample, features): (&TrainingSample, &Features)| (sample.growth - dot(fit, features), sample.weight);
    let mut rests: Vec<(f64, f64)> = samples.iter().zip(scaled).map(rest).collect();
    stats::weighted_quantile(&mut rests, level)
}

fn zip(a: &Features, b: &Features, f: impl Fn(f64, f64) -> f64) -> Features {
    let mut result = *a;
    for (place, other) in result.iter_mut().zip(b) {
        *place = f(*place, *other);
    }
    result
}

/// Sum of the products of coefficients and features.
pub(crate) fn dot(a: &Features, b: &Features) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// A stride of about 0.618 n without a divisor in common with n: stepping by it visits every sample once.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // smaller than the length
fn scattered_stride(number: usize) -> usize {
    let gcd = |mut a: usize, mut b: usize| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let mut stride = ((number as f64 * 0.618_034) as usize).max(1);
    while gcd(stride, number) != 1 {
        stride += 1;
    }
    stride
}
