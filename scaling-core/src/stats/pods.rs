//! A need becomes a number of pods.

/// The largest replica count Kubernetes can express (a signed 32-bit field).
pub const MAX_REPLICAS: u32 = i32::MAX.unsigned_abs();

/// Relative part of a need that is forgiven. A need is a quotient of measurements; 6.000000001 pods are six.
const TOLERANCE: f64 = 1e-9;

/// Rounds a need up to whole pods, between 0 and [`MAX_REPLICAS`].
///
/// A need that lies less than a billionth of itself above a whole number is that number: what is left comes from rounding in the
/// division that gave the need. Negative needs and NaN become 0; a caller to whom an unknown need is not the same as none asks first.
///
/// ```
/// use scaling_core::stats::whole_pods;
///
/// assert_eq!(whole_pods(2.1), 3);
/// assert_eq!(whole_pods(0.7 / 0.1), 7); // 6.999999999999999
/// assert_eq!(whole_pods(4.2 / 0.7), 6); // 6.000000000000001
/// assert_eq!(whole_pods(-1.0), 0);
/// assert_eq!(whole_pods(f64::INFINITY), scaling_core::MAX_REPLICAS);
/// ```
pub fn whole_pods(need: f64) -> u32 {
    whole_pods_within(need, TOLERANCE)
}

/// Rounds a need up to whole pods, forgiving another relative part of it than [`whole_pods`] does.
#[inline]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // limited; NaN and negative numbers saturate to 0
pub(crate) fn whole_pods_within(need: f64, tolerance: f64) -> u32 {
    ((need * (1.0 - tolerance)).ceil() as u32).min(MAX_REPLICAS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hair_above_a_whole_number_is_that_number() {
        for (need, pods) in [(3.0, 3), (3.0 + 1e-9, 3), (3.0 + 1e-8, 4), (1e-12, 1), (0.0, 0), (-0.5, 0)] {
            assert_eq!(whole_pods(need), pods, "{need}");
        }
    }

    #[test]
    fn what_is_no_number_of_pods_is_none_or_the_most() {
        assert_eq!([f64::NAN, f64::NEG_INFINITY].map(whole_pods), [0, 0]);
        assert_eq!([f64::INFINITY, 1e300, 2.2e9].map(whole_pods), [MAX_REPLICAS; 3]);
    }

    proptest::proptest! {
        #[test]
        fn pods_carry_the_need_and_one_fewer_would_not(need in 0.0..1e6_f64) {
            let pods = f64::from(whole_pods(need));
            proptest::prop_assert!(pods >= need * (1.0 - 2e-9));
            proptest::prop_assert!(pods < need * (1.0 - TOLERANCE) + 1.0);
        }

        #[test]
        fn a_larger_need_never_has_fewer_pods(a in proptest::num::f64::ANY, b in proptest::num::f64::ANY) {
            proptest::prop_assume!(a <= b);
            proptest::prop_assert!(whole_pods(a) <= whole_pods(b));
        }
    }
}
