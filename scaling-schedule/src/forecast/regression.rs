//! Linear quantile regression (Koenker and Bassett, *Regression Quantiles*, 1978), several quantiles at once, learnt as moments come:
//! [`Regression`], of what growth is beyond that of the general model.

use serde::{Deserialize, Serialize};

use super::features::{DAY, FEATURES, Features, HOUR, LIMIT};
use super::general::Growths;
use super::quantile::QUANTILES;

/// First step of the constant, in units of the spread of growth. Of 0.02 to 0.3 the best on fifteen public load traces, and flat
/// around it.
const STEP: f64 = 0.03;
/// Share of that step by which the other coefficients move: there are many, and they move together.
const SLOPE_SHARE: f64 = 0.2;
/// Moments after which a step has become smaller by √2: as for a subgradient descent, with the square root of their number.
const SHRINKING: f64 = 2000.0;
/// Smallest step, as a share of the first: what is forgotten makes room for what has changed.
const SMALLEST: f64 = 0.1;
/// Moments over which coefficients are averaged, at most: two days.
const AVERAGED: f64 = 2.0 * DAY as f64;
/// Moments after which products and spread count half: four days, so that a change of the pattern wins within the week.
const HALF_LIFE: f64 = 4.0 * DAY as f64;
/// Moments that the general model counts for when spread and products are estimated: an hour.
const GENERAL: f64 = HOUR as f64;
/// Share of the spread by which one miss moves the constant of a quantile (Gibbs and Candès, *Adaptive Conformal Inference Under
/// Distribution Shift*, 2021).
const COVERAGE_STEP: f64 = 0.005;
/// Added to the mean square of each scaled feature, which is 1, so that a direction in which features hardly differ is not blown
/// up by more than ten.
const RIDGE: f64 = 0.01;
/// Mean square of a feature before anything is known of it, and the least root of it that is divided by: a feature that is nearly
/// always 0 must not learn at a huge step when it is not.
const SQUARE_UNKNOWN: f64 = 0.02;
const ROOT_AT_LEAST: f64 = 1e-2;
/// Moments between two looks at how features go together, first and later on.
const FACTOR_SOON: f64 = 40.0;
const FACTOR_LATER: f64 = HOUR as f64;

type Matrix = [Features; FEATURES];

/// Coefficients of each quantile, with what is needed to improve them by one moment after the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Regression {
    /// By quantile.
    coefficients: [Features; QUANTILES.len()],
    /// Averages of them over the last days: what is forecast with.
    averages: [Features; QUANTILES.len()],
    /// Addition of coverage to the constants.
    corrections: [f64; QUANTILES.len()],
    /// Mean products of every two features, lower triangle.
    products: Vec<f64>,
    /// Cholesky factor of them, lower triangle.
    factor: Vec<f64>,
    factored_at: f64,
    /// Mean square of growth.
    spread: f64,
    moments: f64,
}

impl Regression {
    pub(super) fn new() -> Self {
        let mut products = Vec::with_capacity(FEATURES * (FEATURES + 1) / 2);
        for i in 0..FEATURES {
            products.extend((0..=i).map(|j| {
                if i != j {
                    0.0
                } else if i == 0 {
                    1.0
                } else {
                    SQUARE_UNKNOWN
                }
            }));
        }
        Self {
            coefficients: [[0.0; FEATURES]; QUANTILES.len()],
            averages: [[0.0; FEATURES]; QUANTILES.len()],
            corrections: [0.0; QUANTILES.len()],
            factor: factor(&products).unwrap_or_default(),
            products,
            factored_at: 0.0,
            spread: SQUARE_UNKNOWN / 2.0,
            moments: 0.0,
        }
    }

    /// Moments that it has learnt from.
    pub(super) fn moments(&self) -> f64 {
        self.moments
    }

    /// True if what was read back can be used.
    pub(super) fn is_sound(&self) -> bool {
        let triangle = FEATURES * (FEATURES + 1) / 2;
        let all = self.coefficients.iter().chain(&self.averages).flatten();
        self.products.len() == triangle
            && self.factor.len() == triangle
            && all.chain(&self.corrections).chain(&self.products).all(|number| number.is_finite())
            && self.factor.iter().all(|number| number.is_finite())
            && (0..FEATURES).all(|i| self.factor.get(i * (i + 1) / 2 + i).is_some_and(|pivot| *pivot > 0.0))
            && self.spread.is_finite()
            && self.moments >= 0.0
    }

    /// Growth that the moment with these features may bring, by quantile, where any workload may show the growths `general`. Before
    /// anything is learnt it is the same.
    pub(super) fn growths(&self, features: &Features, general: &Growths) -> Growths {
        let mut growths = self.corrections;
        for ((growth, average), general) in growths.iter_mut().zip(&self.averages).zip(general) {
            *growth += general + dot(average, features);
        }
        growths
    }

    /// Improves each quantile by one subgradient step on the pinball loss, in coordinates in which no two features go together.
    /// The weight says how much a miss at that moment matters.
    pub(super) fn learn(&mut self, features: &Features, general: &Growths, growth: f64, weight: f64) {
        let growth = growth.clamp(-LIMIT, LIMIT);
        self.moments += 1.0;
        let kept = (-1.0 / HALF_LIFE).exp2().min(1.0 - 1.0 / (self.moments + GENERAL));
        let mut products = self.products.iter_mut();
        for (i, a) in features.iter().enumerate() {
            // In this order: the longer of two that are zipped loses one.
            for (b, product) in features.iter().take(i + 1).zip(products.by_ref()) {
                *product = kept * *product + (1.0 - kept) * a * b;
            }
        }
        self.spread = kept * self.spread + (1.0 - kept) * growth * growth;
        let every = if self.moments < SHRINKING { FACTOR_SOON } else { FACTOR_LATER };
        if self.moments - self.factored_at >= every {
            self.factored_at = self.moments;
            if let Some(new) = factor(&self.products) {
                self.factor = new;
            }
        }
        let direction = solve(&self.factor, features);
        let spread = self.spread.sqrt().max(1e-3);
        let smaller = (1.0 + self.moments / SHRINKING).sqrt().recip().max(SMALLEST);
        let step = STEP * spread * weight * smaller;
        let share = (1.0 / AVERAGED).max(1.0 / (1.0 + self.moments));
        let correction = COVERAGE_STEP * spread * smaller.max(0.3);
        let forecast = self.growths(features, general);
        let own = self.coefficients.iter_mut().zip(&mut self.averages).zip(&mut self.corrections);
        let forecast = forecast.into_iter().zip(general);
        for ((((coefficients, averages), corrected), level), (forecast, general)) in own.zip(QUANTILES).zip(forecast) {
            let side = |missed: bool| if missed { level } else { level - 1.0 };
            let moved = side(growth > general + dot(coefficients, features)) * step;
            *corrected += correction * side(growth > forecast);
            // The constant learns faster; its feature is 1.
            coefficients[0] += moved;
            for ((coefficient, average), direction) in coefficients.iter_mut().zip(averages).zip(&direction) {
                *coefficient += SLOPE_SHARE * moved * direction;
                *average += share * (*coefficient - *average);
            }
        }
    }
}

/// Lower triangular Cholesky factor of mean products, each feature scaled to a mean square of 1 and a ridge added. `None` if they are
/// not finite.
fn factor(products: &[f64]) -> Option<Vec<f64>> {
    let place = |i: usize, j: usize| i * (i + 1) / 2 + j;
    let mut roots = [0.0; FEATURES];
    for (i, root) in roots.iter_mut().enumerate() {
        *root = products.get(place(i, i))?.sqrt().max(ROOT_AT_LEAST);
    }
    let mut rows: Matrix = [[0.0; FEATURES]; FEATURES];
    for i in 0..FEATURES {
        for j in 0..=i {
            let mean = products.get(place(i, j))? / roots.get(i)? / roots.get(j)?;
            let known: f64 = rows.get(i)?.iter().zip(rows.get(j)?).take(j).map(|(a, b)| a * b).sum();
            let left = mean - known + if i == j { RIDGE } else { 0.0 };
            let value = if i == j { left.max(RIDGE).sqrt() } else { left / rows.get(j)?.get(j)? };
            *rows.get_mut(i)?.get_mut(j)? = value;
        }
    }
    let mut factor = Vec::with_capacity(products.len());
    for (i, (row, root)) in rows.iter().zip(roots).enumerate() {
        factor.extend(row.iter().take(i + 1).map(|value| value * root));
    }
    factor.iter().all(|value| value.is_finite()).then_some(factor)
}

/// The product of the inverse of the products and the features, by two triangular systems.
fn solve(factor: &[f64], features: &Features) -> Features {
    let mut result = [0.0; FEATURES];
    let mut rows = factor;
    for i in 0..FEATURES {
        let Some((row, rest)) = rows.split_at_checked(i + 1) else { return *features };
        rows = rest;
        let known: f64 = row.iter().zip(&result).take(i).map(|(a, b)| a * b).sum();
        if let (Some(place), Some(feature), Some(pivot)) = (result.get_mut(i), features.get(i), row.get(i)) {
            *place = (feature - known) / pivot;
        }
    }
    let mut end = factor.len();
    for i in (0..FEATURES).rev() {
        let start = end - (i + 1);
        let Some(row) = factor.get(start..end) else { return *features };
        end = start;
        let (before, own) = result.split_at_mut(i);
        if let (Some(value), Some(pivot)) = (own.first_mut(), row.get(i)) {
            *value /= pivot;
            for (place, a) in before.iter_mut().zip(row) {
                *place -= a * *value;
            }
        }
    }
    result
}

/// Sum of the products of coefficients and features.
fn dot(a: &Features, b: &Features) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Growths = [0.0; QUANTILES.len()];

    #[test]
    fn the_direction_undoes_the_products() {
        let mut regression = Regression::new();
        for k in 0..5000_u32 {
            let mut features = [0.0; FEATURES];
            let (a, b) = (f64::from(k % 7) - 3.0, f64::from(k % 5) - 2.0);
            (features[0], features[1], features[2]) = (1.0, 0.1 * a, 0.1 * a + 0.02 * b);
            regression.learn(&features, &NOTHING, 0.01 * a, 1.0);
        }
        assert!(regression.is_sound());
        // Two features that go together are told apart: their mean product in the new coordinates is small.
        let mut features = [0.0; FEATURES];
        (features[1], features[2]) = (0.3, 0.3);
        let direction = solve(&regression.factor, &features);
        assert!(direction.iter().all(|value| value.is_finite()));
        assert!(direction[1] > 0.0, "{direction:?}");
    }

    #[test]
    #[allow(clippy::float_cmp)] // nothing is added
    fn before_anything_is_learnt_it_is_the_general_growth_and_later_its_error_is_made_up_for() {
        let mut regression = Regression::new();
        let general = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08];
        let mut features = [0.0; FEATURES];
        features[0] = 1.0;
        assert_eq!(regression.growths(&features, &general), general);
        for k in 0..20_000_u32 {
            regression.learn(&features, &general, 0.3 + 0.001 * f64::from(k % 11), 1.0);
        }
        let growths = regression.growths(&features, &general);
        assert!(growths.iter().all(|growth| (0.29..0.35).contains(growth)), "{growths:?}");
    }

    #[test]
    fn it_learns_what_growth_follows_on_a_feature() {
        let mut regression = Regression::new();
        let moment = |k: u32| {
            let mut features = [0.0; FEATURES];
            (features[0], features[20]) = (1.0, if k.is_multiple_of(3) { 0.5 } else { 0.0 });
            (features, 0.8 * features[20] + 0.001 * f64::from(k % 11))
        };
        for k in 0..60_000 {
            let (features, growth) = moment(k);
            regression.learn(&features, &NOTHING, growth, 1.0);
        }
        let [.., highest] = regression.growths(&moment(3).0, &NOTHING);
        assert!((0.35..0.5).contains(&highest), "{highest}");
        let [.., highest] = regression.growths(&moment(4).0, &NOTHING);
        assert!((-0.05..0.1).contains(&highest), "{highest}");
    }
}
