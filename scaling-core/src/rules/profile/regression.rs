//! Linear quantile regression.

use super::grid::{Lesson, READINGS, Readings};

/// Sweeps over the lessons.
const SWEEPS: usize = 4;
/// First step, in units of the spread of growth.
const STEP: f64 = 0.3;

/// Coefficients of the `tau` quantile of growth that is linear in the readings.
///
/// Subgradient steps on the pinball loss, in a fixed scattered order, averaged over the second half. It starts from the shape
/// of `generic`, so that a short past changes that little. `None` without lessons, or if no finite answer comes of them.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a share of a length
pub(super) fn quantile(lessons: &[Lesson], generic: &Readings, tau: f64) -> Option<Readings> {
    let number = lessons.len();
    if number == 0 {
        return None;
    }
    let rms = |of: &dyn Fn(&Lesson) -> Option<f64>| {
        let squares: f64 = lessons.iter().filter_map(of).map(|value| value * value).sum();
        (squares / number as f64).sqrt().max(1e-3)
    };
    let scale: Readings =
        std::array::from_fn(|j| if j == 0 { 1.0 } else { rms(&|lesson| lesson.readings.get(j).copied()) });
    let spread = rms(&|lesson| Some(lesson.growth));
    let scaled = |lesson: &Lesson| -> Readings { zip(&lesson.readings, &scale, |reading, scale| reading / scale) };

    // The generic shape, with the intercept that fits this past.
    let mut fit = zip(generic, &scale, |coefficient, scale| coefficient * scale);
    fit[0] = 0.0;
    let mut rest: Vec<f64> = lessons.iter().map(|lesson| lesson.growth - dot(&fit, &scaled(lesson))).collect();
    rest.sort_by(f64::total_cmp);
    fit[0] = *rest.get(((number - 1) as f64 * tau) as usize)?;

    let stride = scattered_stride(number);
    let total = number * SWEEPS;
    let averaged = (total - total.div_ceil(2)).max(1) as f64;
    let mut at = 0;
    let mut mean = [0.0; READINGS];
    for done in 0..total {
        at = (at + stride) % number;
        let lesson = lessons.get(at)?;
        let readings = scaled(lesson);
        let side = if lesson.growth > dot(&fit, &readings) { tau } else { tau - 1.0 };
        let decay = (1.0 + 100.0 * done as f64 / total as f64).sqrt();
        let step = STEP * spread * lesson.weight * side / decay;
        fit = zip(&fit, &readings, |coefficient, reading| coefficient + 0.5 * step * reading);
        // The intercept learns at the full step; its reading is 1.
        fit[0] += 0.5 * step;
        if 2 * done >= total {
            mean = zip(&mean, &fit, |mean, coefficient| mean + coefficient / averaged);
        }
    }
    let coefficients = zip(&mean, &scale, |mean, scale| mean / scale);
    coefficients.iter().all(|coefficient| coefficient.is_finite()).then_some(coefficients)
}

fn zip(a: &Readings, b: &Readings, f: impl Fn(f64, f64) -> f64) -> Readings {
    let mut result = *a;
    for (place, other) in result.iter_mut().zip(b) {
        *place = f(*place, *other);
    }
    result
}

fn dot(a: &Readings, b: &Readings) -> f64 {
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
