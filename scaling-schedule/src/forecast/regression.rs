//! Linear quantile regression (Koenker and Bassett, *Regression Quantiles*, 1978), several quantiles at once.

use super::readings::{READINGS, Readings};

/// Sweeps over the lessons.
const SWEEPS: usize = 4;
/// First step of the constant, in units of the spread of growth.
const STEP: f64 = 0.15;
/// What part of it the other coefficients move by.
const CALM: f64 = 0.2;
/// Share of the unit that is added to the square of each reading, so that what hardly differs is not blown up.
const RIDGE: f64 = 0.01;

/// A moment of the past: what could be read then, what came of it, and how much that matters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lesson {
    pub(crate) readings: Readings,
    pub(crate) growth: f64,
    pub(crate) weight: f64,
}

/// Improves the coefficients of each quantile by subgradient steps on the pinball loss, in a fixed scattered order, averaged
/// over the second half. They keep the shape they start from where the past is too short to change it. `None` without lessons,
/// or if no finite answer comes of them.
pub(crate) fn fit<const N: usize>(
    lessons: &[Lesson],
    levels: &[f64; N],
    start: &[Readings; N],
) -> Option<[Readings; N]> {
    let number = lessons.len();
    if number == 0 {
        return None;
    }
    let rms = |of: &dyn Fn(&Lesson) -> Option<f64>| {
        let squares: f64 = lessons.iter().filter_map(of).map(|value| value * value).sum();
        (squares / number as f64).sqrt()
    };
    // A reading that hardly ever says anything must not learn at a huge step when it does.
    let scale: Readings = std::array::from_fn(|j| rms(&|lesson| lesson.readings.get(j).copied()).max(1e-2));
    let spread = rms(&|lesson| Some(lesson.growth)).max(1e-3);
    let mut scaled: Vec<Readings> = lessons.iter().map(|lesson| zip(&lesson.readings, &scale, |r, s| r / s)).collect();
    let white = Whitening::of(&scaled, RIDGE)?;
    for readings in &mut scaled {
        *readings = white.readings(readings);
    }

    let mut fits = start.map(|start| white.shape(&zip(&start, &scale, |coefficient, scale| coefficient * scale)));
    for (fit, level) in fits.iter_mut().zip(levels) {
        fit[0] += quantile_of_rest(lessons, &scaled, fit, *level)?;
    }
    let stride = scattered_stride(number);
    let total = number * SWEEPS;
    let averaged = (total - total.div_ceil(2)).max(1) as f64;
    let mut at = 0;
    let mut means = [[0.0; READINGS]; N];
    for done in 0..total {
        at = (at + stride) % number;
        let (lesson, readings) = (lessons.get(at)?, scaled.get(at)?);
        let decay = (1.0 + 100.0 * done as f64 / total as f64).sqrt();
        let step = STEP * spread * lesson.weight / decay;
        for ((fit, mean), level) in fits.iter_mut().zip(&mut means).zip(levels) {
            let side = if lesson.growth > dot(fit, readings) { *level } else { *level - 1.0 };
            *fit = zip(fit, readings, |coefficient, reading| coefficient + CALM * step * side * reading);
            // The constant learns faster; its reading is 1.
            fit[0] += step * side;
            if 2 * done >= total {
                *mean = zip(mean, fit, |mean, coefficient| mean + coefficient / averaged);
            }
        }
    }
    for (mean, level) in means.iter_mut().zip(levels) {
        mean[0] += quantile_of_rest(lessons, &scaled, mean, *level)?;
    }
    let coefficients = means.map(|mean| zip(&white.coefficients(&mean), &scale, |mean, scale| mean / scale));
    coefficients.iter().flatten().all(|coefficient| coefficient.is_finite()).then_some(coefficients)
}

/// A change of coordinates in which no two readings go together, so that one step size suits all.
struct Whitening {
    /// The lower triangular Cholesky factor of the mean product of every two readings.
    factor: [Readings; READINGS],
}

impl Whitening {
    /// `None` if the readings are not finite.
    fn of(scaled: &[Readings], ridge: f64) -> Option<Self> {
        let mut products = [[0.0; READINGS]; READINGS];
        for readings in scaled {
            for (i, (row, a)) in products.iter_mut().zip(readings).enumerate() {
                for (place, b) in row.iter_mut().zip(readings).take(i + 1) {
                    *place += a * b;
                }
            }
        }
        let number = scaled.len() as f64;
        let mut factor = [[0.0; READINGS]; READINGS];
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

    /// Readings in the new coordinates.
    fn readings(&self, readings: &Readings) -> Readings {
        let mut result = [0.0; READINGS];
        for (i, (row, reading)) in self.factor.iter().zip(readings).enumerate() {
            let known: f64 = row.iter().zip(&result).take(i).map(|(a, b)| a * b).sum();
            let diagonal = row.get(i).copied().unwrap_or(1.0);
            if let Some(place) = result.get_mut(i) {
                *place = (reading - known) / diagonal;
            }
        }
        result
    }

    /// Coefficients in the new coordinates.
    fn shape(&self, coefficients: &Readings) -> Readings {
        let mut result = [0.0; READINGS];
        for (row, coefficient) in self.factor.iter().zip(coefficients) {
            result = zip(&result, row, |sum, a| sum + a * coefficient);
        }
        result
    }

    /// Coefficients back in the old coordinates.
    fn coefficients(&self, shape: &Readings) -> Readings {
        let mut rest = *shape;
        let mut result = [0.0; READINGS];
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

/// The weighted quantile of what growth exceeds the fit by: what the constant lacks.
fn quantile_of_rest(lessons: &[Lesson], scaled: &[Readings], fit: &Readings, level: f64) -> Option<f64> {
    let rest = |(lesson, readings): (&Lesson, &Readings)| (lesson.growth - dot(fit, readings), lesson.weight);
    let mut rests: Vec<(f64, f64)> = lessons.iter().zip(scaled).map(rest).collect();
    rests.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut left = level * rests.iter().map(|(_, weight)| weight).sum::<f64>();
    let reached = rests.iter().find(|(_, weight)| {
        left -= weight;
        left <= 0.0
    });
    reached.or(rests.last()).map(|(rest, _)| *rest)
}

fn zip(a: &Readings, b: &Readings, f: impl Fn(f64, f64) -> f64) -> Readings {
    let mut result = *a;
    for (place, other) in result.iter_mut().zip(b) {
        *place = f(*place, *other);
    }
    result
}

/// What the coefficients make of the readings.
pub(crate) fn dot(a: &Readings, b: &Readings) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// A stride of about 0.618 n without a divisor in common with n: stepping by it visits every lesson once.
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
