//! Quantiles by nearest rank, selected in place.

use super::ROUNDING;

/// Returns the smallest value that at least `share` of the values do not exceed.
///
/// This is the nearest rank: definition 1 in Hyndman and Fan, *Sample Quantiles in Statistical Packages*, The American Statistician
/// 50 (1996). The answer is always one of the values, never a mean of two, so a quantile of needs is a need that occurred. A share of
/// 0 gives the smallest value, 0.5 the (lower) median and 1 the largest; shares outside 0 to 1 count as the nearer of the two.
///
/// Values are moved about, and nothing is allocated. Takes linear time on average.
///
/// **NaN** is no value: NaNs are moved to the end and left out. Infinities are values like others. `None` if no value is left, or if
/// `share` is NaN.
///
/// ```
/// use scaling_core::stats::quantile;
///
/// let mut latencies = [12.0, 250.0, f64::NAN, 11.0, 14.0, 13.0];
/// assert_eq!(quantile(&mut latencies, 0.5), Some(13.0));
/// assert_eq!(quantile(&mut latencies, 0.95), Some(250.0));
/// assert_eq!(quantile(&mut [f64::NAN], 0.5), None);
/// ```
pub fn quantile(values: &mut [f64], share: f64) -> Option<f64> {
    // Without branches, so that the usual case of no NaN costs next to nothing.
    let numbers = if values.iter().fold(false, |seen, value| seen | value.is_nan()) {
        to_front(values, |value| !value.is_nan())
    } else {
        values.len()
    };
    let values = values.get_mut(..numbers)?;
    Some(*values.select_nth_unstable_by(rank(numbers, share)?, f64::total_cmp).1)
}

/// Returns the [`quantile`] of values that are ordered, such as times in milliseconds.
///
/// `None` without a value, or if `share` is NaN.
///
/// ```
/// use scaling_core::stats::quantile_of;
///
/// // Intervals between samples in ms: 15 s, with a gap.
/// assert_eq!(quantile_of(&mut [15_000, 900_000, 15_000, 15_001], 0.5), Some(15_000));
/// ```
pub fn quantile_of<T: Ord + Copy>(values: &mut [T], share: f64) -> Option<T> {
    let rank = rank(values.len(), share)?;
    Some(*values.select_nth_unstable(rank).1)
}

/// Returns the smallest of the `(value, weight)` pairs' values so that at least `share` of the weight lies at values that do not
/// exceed it.
///
/// With equal weights this is [`quantile`]. Pairs whose value is NaN, or whose weight is not a finite number above 0, are moved to the
/// end and left out. Takes linear time on average and allocates nothing. `None` if no pair is left, or if `share` is NaN.
///
/// ```
/// use scaling_core::stats::weighted_quantile;
///
/// // Seconds waited, with how many requests did: one step out of three was slow, but it had most of the requests.
/// let mut waits = [(0.0, 100.0), (4.0, 900.0), (0.1, 200.0)];
/// assert_eq!(weighted_quantile(&mut waits, 0.5), Some(4.0));
/// ```
pub fn weighted_quantile(pairs: &mut [(f64, f64)], share: f64) -> Option<f64> {
    if share.is_nan() {
        return None;
    }
    let known = to_front(pairs, |(value, weight)| !value.is_nan() && *weight > 0.0 && weight.is_finite());
    let mut rest = pairs.get_mut(..known)?;
    let total: f64 = rest.iter().map(|(_, weight)| weight).sum();
    // What a sum is off by must not push the answer to the next value.
    let mut wanted = total * (share.clamp(0.0, 1.0) - ROUNDING);
    while rest.len() > 1 {
        let middle = rest.len() / 2;
        let (below, (value, weight), above) = rest.select_nth_unstable_by(middle, |a, b| a.0.total_cmp(&b.0));
        let before: f64 = below.iter().map(|(_, weight)| weight).sum();
        if wanted <= before {
            rest = below;
        } else if wanted <= before + *weight || above.is_empty() {
            return Some(*value);
        } else {
            wanted -= before + *weight;
            rest = above;
        }
    }
    rest.first().map(|(value, _)| *value)
}

/// The place of a quantile among `len` sorted values, counted from 0.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a share of a length
fn rank(len: usize, share: f64) -> Option<usize> {
    if len == 0 || share.is_nan() {
        return None;
    }
    // 0.07 of 100 is 7.000000000000001, and means the seventh.
    let rank = (share.clamp(0.0, 1.0) * len as f64 * (1.0 - ROUNDING)).ceil() as usize;
    Some(rank.clamp(1, len) - 1)
}

/// Moves the values that are kept to the front, in any order, and returns how many they are.
fn to_front<T>(values: &mut [T], keeps: impl Fn(&T) -> bool) -> usize {
    let mut kept = 0;
    for place in 0..values.len() {
        if values.get(place).is_some_and(&keeps) {
            values.swap(place, kept);
            kept += 1;
        }
    }
    kept
}

#[cfg(test)]
#[allow(clippy::float_cmp)] // selected, not computed
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, word by word.
    fn defined(values: &[f64], share: f64) -> Option<f64> {
        let mut known: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
        known.sort_by(f64::total_cmp);
        let enough = |value: &&f64| {
            let below = known.iter().filter(|other| other.total_cmp(value).is_le()).count();
            below as f64 >= share * known.len() as f64
        };
        known.iter().find(enough).copied()
    }

    #[test]
    fn shares_that_are_no_binary_fractions_meet_the_rank_they_name() {
        let mut values: Vec<f64> = (1..=100).map(f64::from).collect();
        for percent in 1..=100_u32 {
            assert_eq!(quantile(&mut values, f64::from(percent) / 100.0), Some(f64::from(percent)));
        }
    }

    #[test]
    fn shares_outside_count_as_the_nearer_end_and_nan_as_no_question() {
        let mut values = [3.0, 1.0, 2.0];
        let at = [-1.0, 0.0, 1.0, 7.0, f64::INFINITY].map(|share| quantile(&mut values, share));
        assert_eq!(at, [1.0, 1.0, 3.0, 3.0, 3.0].map(Some));
        assert_eq!(quantile(&mut values, f64::NAN), None);
        assert_eq!(weighted_quantile(&mut [(1.0, 1.0)], f64::NAN), None);
        assert_eq!((quantile_of::<u8>(&mut [], 0.5), quantile_of(&mut [2, 1], 0.5)), (None, Some(1)));
    }

    #[test]
    fn nan_of_either_sign_is_no_value() {
        let mut values = [f64::NAN, 5.0, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        let at = [0.0, 0.5, 1.0].map(|share| quantile(&mut values, share));
        assert_eq!(at, [f64::NEG_INFINITY, 5.0, f64::INFINITY].map(Some));
        assert_eq!(quantile(&mut [f64::NAN, -f64::NAN], 0.5), None);
        let mut pairs = [(f64::NAN, 1.0), (1.0, f64::NAN), (2.0, 0.0), (3.0, -4.0), (4.0, f64::INFINITY), (5.0, 0.1)];
        assert_eq!(weighted_quantile(&mut pairs, 0.0), Some(5.0));
        assert_eq!(weighted_quantile(&mut pairs[..0], 0.5), None);
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![4 => -50.0..50.0_f64, 3 => (-3_i8..4).prop_map(f64::from), 1 => Just(f64::NAN)]
    }

    proptest! {
        #[test]
        fn the_selected_is_the_defined(values in prop::collection::vec(value(), 0..60), of in 0_u32..=64) {
            // Sixty-fourths are exact, and so is their product with a length.
            let share = f64::from(of) / 64.0;
            let mut moved = values.clone();
            prop_assert_eq!(quantile(&mut moved, share), defined(&values, share));
            moved.sort_by(f64::total_cmp);
            let mut values = values;
            values.sort_by(f64::total_cmp);
            prop_assert!(moved.iter().map(|v| v.to_bits()).eq(values.iter().map(|v| v.to_bits())), "only moved about");
        }

        #[test]
        fn a_higher_share_never_has_a_lower_quantile(
            mut values in prop::collection::vec(-9.0..9.0_f64, 1..40), a in 0.0..1.0_f64, b in 0.0..1.0_f64,
        ) {
            prop_assert!(quantile(&mut values, a.min(b)) <= quantile(&mut values, a.max(b)));
        }

        /// A pair of weight n is n values.
        #[test]
        fn a_weight_is_a_number_of_values(
            pairs in prop::collection::vec((value(), 0_u8..6), 0..30), of in 0_u32..=64,
        ) {
            let share = f64::from(of) / 64.0;
            let repeated = pairs.iter().flat_map(|(value, times)| std::iter::repeat_n(*value, usize::from(*times)));
            let mut repeated: Vec<f64> = repeated.collect();
            let mut pairs: Vec<(f64, f64)> = pairs.iter().map(|(value, times)| (*value, f64::from(*times))).collect();
            prop_assert_eq!(weighted_quantile(&mut pairs, share), quantile(&mut repeated, share));
        }
    }
}
