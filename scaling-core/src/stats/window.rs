//! Sums and maxima over windows that slide.

use serde::{Deserialize, Serialize};

/// Largest of the newest values, one value at a time.
///
/// A window covers a value and the `back` values before it. By blocks of a window's length (van Herk, *A fast algorithm for local
/// minimum and maximum filters on rectangular and octagonal kernels*, Pattern Recognition Letters 13, 1992): every window is the end
/// of one block and the start of the next, so a value costs three comparisons, however long the window. Holds as many values as two
/// windows.
///
/// The smallest comes from [`Reverse`](std::cmp::Reverse) or from a changed sign. Values that equal nothing (NaN) are passed over; the
/// answer is one of them only where the window holds nothing else.
///
/// ```
/// use scaling_core::stats::SlidingMax;
///
/// let mut largest = SlidingMax::new(2);
/// assert_eq!([3, 1, 2, 0, 5].map(|value| largest.push(value)), [3, 3, 3, 2, 5]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SlidingMax<T> {
    back: usize,
    /// Values of the block that is being filled.
    block: Vec<T>,
    /// Largest value of that block so far.
    largest: Option<T>,
    /// Of each place of the block before, the largest from there to its end; empty without one.
    ends: Vec<T>,
}

impl<T: Copy + PartialOrd> SlidingMax<T> {
    /// Creates a window of a value and `back` values before it.
    pub fn new(back: usize) -> Self {
        Self { back, block: Vec::new(), largest: None, ends: Vec::new() }
    }

    /// Adds the newest value and returns the largest in the window that ends with it.
    #[inline]
    pub fn push(&mut self, value: T) -> T {
        let largest = self.largest.map_or(value, |largest| larger(largest, value));
        self.block.push(value);
        let answer = match self.ends.get(self.block.len()) {
            Some(end) => larger(*end, largest),
            None => largest,
        };
        if self.block.len() > self.back {
            self.turn();
        } else {
            self.largest = Some(largest);
        }
        answer
    }

    /// Forgets all values: the next window begins with the next one, as after a gap.
    pub fn clear(&mut self) {
        self.block.clear();
        self.ends.clear();
        self.largest = None;
    }

    /// A full block becomes the block before.
    fn turn(&mut self) {
        std::mem::swap(&mut self.block, &mut self.ends);
        self.block.clear();
        self.largest = None;
        let mut places = self.ends.iter_mut().rev();
        let Some(mut most) = places.next().map(|last| *last) else { return };
        for place in places {
            most = larger(most, *place);
            *place = most;
        }
    }
}

/// The larger of two, and the other where one is not a number.
#[inline]
fn larger<T: Copy + PartialOrd>(a: T, b: T) -> T {
    // A comparison with NaN is false; only NaN is not equal to itself.
    #[allow(clippy::eq_op)]
    if b > a || a != a { b } else { a }
}

/// Returns, for each place, the largest of its value and the `back` values before it.
///
/// Shorter windows at the beginning hold what there is. NaNs are passed over, as by [`SlidingMax`].
///
/// ```
/// use scaling_core::stats::sliding_max;
///
/// assert_eq!(sliding_max(&[3.0, 1.0, 2.0, 0.0, 5.0], 1), [3.0, 3.0, 2.0, 2.0, 5.0]);
/// ```
pub fn sliding_max<T: Copy + PartialOrd>(values: &[T], back: usize) -> Vec<T> {
    let mut largest = SlidingMax::new(back);
    // Room for a block of each kind, so that it need not grow into it.
    let block = back.saturating_add(1).min(values.len());
    largest.block.reserve_exact(block);
    largest.ends.reserve_exact(block);
    values.iter().map(|value| largest.push(*value)).collect()
}

/// Sums from the beginning, from which the sum over any range is one subtraction.
///
/// The error of a range's sum is that of the sums it is the difference of, so numbers of very different size lose digits. A NaN makes
/// every sum after it NaN; callers replace it first.
///
/// ```
/// use scaling_core::stats::RunningSums;
///
/// let sums = RunningSums::of([1.0, 2.0, 3.0, 4.0]);
/// assert_eq!(sums.sum(1..3), 5.0);
/// assert_eq!(sums.mean(0..4), 2.5);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RunningSums(Vec<f64>);

impl RunningSums {
    /// Adds up the values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let values = values.into_iter();
        let mut sums = Vec::with_capacity(values.size_hint().0.saturating_add(1));
        let mut sum = 0.0;
        sums.push(sum);
        sums.extend(values.map(|value| {
            sum += value;
            sum
        }));
        Self(sums)
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.0.len() - 1
    }

    /// Returns true if there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the sum over a range of places; 0 if the range is empty or leaves the values.
    #[inline]
    pub fn sum(&self, places: std::ops::Range<usize>) -> f64 {
        match (self.0.get(places.start), self.0.get(places.end)) {
            (Some(start), Some(end)) if places.start < places.end => end - start,
            _ => 0.0,
        }
    }

    /// Returns the mean over a range of places; 0 if the range is empty or leaves the values.
    #[inline]
    pub fn mean(&self, places: std::ops::Range<usize>) -> f64 {
        let number = places.len().max(1) as f64;
        self.sum(places) / number
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp)] // selected, or sums of whole numbers
mod tests {
    use std::cmp::Reverse;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_gap_begins_anew() {
        let mut largest = SlidingMax::new(3);
        largest.push(9);
        largest.clear();
        assert_eq!([1, 2, 1, 1, 1, 1].map(|value| largest.push(value)), [1, 2, 2, 2, 2, 1]);
    }

    #[test]
    fn nan_is_passed_over_where_there_is_anything_else() {
        let of = |values: &[f64]| sliding_max(values, 1).iter().map(|v| if v.is_nan() { -1.0 } else { *v }).collect();
        let seen: Vec<f64> = of(&[f64::NAN, f64::NAN, 3.0, f64::NAN, f64::NAN, 2.0]);
        assert_eq!(seen, [-1.0, -1.0, 3.0, 3.0, -1.0, 2.0]);
    }

    #[test]
    fn ranges_that_are_none_sum_to_nothing() {
        let sums = RunningSums::of([1.0, 2.0]);
        #[allow(clippy::reversed_empty_ranges)]
        let none = [sums.sum(1..1), sums.sum(2..1), sums.sum(1..3), sums.mean(1..1), sums.mean(5..9)];
        assert_eq!((none, sums.len(), sums.is_empty()), ([0.0; 5], 2, false));
        assert!(RunningSums::of([]).is_empty());
    }

    proptest! {
        #[test]
        fn the_largest_is_that_of_the_window(values in prop::collection::vec(0_u32..30, 0..80), back in 0_usize..90) {
            let window = |k: usize| values.iter().take(k + 1).skip(k.saturating_sub(back));
            let largest: Vec<_> = (0..values.len()).filter_map(|k| window(k).max().copied()).collect();
            let smallest: Vec<_> = (0..values.len()).filter_map(|k| window(k).min().copied().map(Reverse)).collect();
            prop_assert_eq!(sliding_max(&values, back), largest);
            let reversed: Vec<_> = values.iter().copied().map(Reverse).collect();
            prop_assert_eq!(sliding_max(&reversed, back), smallest);
        }

        #[test]
        fn a_range_sums_to_what_is_in_it(values in prop::collection::vec(-9_i8..9, 0..40), a in 0_usize..40, b in 0_usize..40) {
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let (from, to) = (a.min(b).min(values.len()), a.max(b).min(values.len()));
            prop_assert_eq!(RunningSums::of(values.iter().copied()).sum(from..to), values[from..to].iter().sum::<f64>());
        }
    }
}
