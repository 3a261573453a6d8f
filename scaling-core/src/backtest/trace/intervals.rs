//! [`intervals`]: the time that each sample of a recording speaks of.
//!
//! A recording says when its samples were taken, and not how long each lasts. That follows from the distances between them: of two
//! neighbours one lasts until the other begins, unless they are much further apart than the samples around them. Then there is a
//! gap. Resolution may change along a recording (long-term stores keep old samples coarser), so that the samples *around* are asked,
//! and not all of them.

use super::SampleTime;

/// Samples further apart than this many times the usual around them are not joined: what lies between is a gap. One sample that
/// comes late by up to half an interval is no gap; one that is missing is.
pub(super) const GAP: f64 = 1.5;
/// Distances on either side that say what is usual. With nine, four missing samples do not pass for a coarser resolution.
const AROUND: usize = 9;
/// Length of the only sample of a recording, in milliseconds: the usual period of exports.
const ALONE_MS: i64 = 60_000;
/// Least usual distance in milliseconds: what is closer comes from clocks that jitter.
const LEAST_MS: i64 = 1000;

/// Interval of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) begin_ms: i64,
    pub(super) end_ms: i64,
    /// True if the interval of the next sample begins where this one ends; false before a gap and at the end.
    pub(super) joined: bool,
}

/// Finds the interval of each sample, given their instants in order. Intervals never overlap.
pub(super) fn intervals(at_ms: &[i64], time: SampleTime) -> Vec<Interval> {
    let distances: Vec<i64> = at_ms.iter().zip(at_ms.iter().skip(1)).map(|(a, b)| b.saturating_sub(*a)).collect();
    let mut sorted = Vec::with_capacity(AROUND);
    let joined: Vec<bool> = (0..distances.len())
        .map(|nth| {
            let distance = distances.get(nth).copied().unwrap_or_default();
            let before = usual_before(&distances, nth, &mut sorted);
            let after = usual_after(&distances, nth + 1, &mut sorted);
            // At a change of resolution, the coarser side counts.
            before.max(after).is_none_or(|usual| distance as f64 <= GAP * usual as f64)
        })
        .collect();
    let is_joined = |nth: usize| joined.get(nth).copied().unwrap_or(false);
    let interval = |(nth, &at): (usize, &i64)| match time {
        SampleTime::Starts => {
            let next = at_ms.get(nth + 1).filter(|_| is_joined(nth)).copied();
            let end_ms = next.unwrap_or_else(|| {
                let usual = usual_before(&distances, nth, &mut sorted);
                at.saturating_add(usual.or_else(|| usual_after(&distances, nth + 1, &mut sorted)).unwrap_or(ALONE_MS))
            });
            Interval { begin_ms: at, end_ms, joined: is_joined(nth) }
        }
        SampleTime::Ends => {
            let last = nth.checked_sub(1).filter(|last| is_joined(*last));
            let begin_ms = last.and_then(|last| at_ms.get(last).copied()).unwrap_or_else(|| {
                let usual = usual_after(&distances, nth, &mut sorted);
                at.saturating_sub(
                    usual.or_else(|| usual_before(&distances, nth.saturating_sub(1), &mut sorted)).unwrap_or(ALONE_MS),
                )
            });
            Interval { begin_ms, end_ms: at, joined: is_joined(nth) }
        }
    };
    at_ms.iter().enumerate().map(interval).collect()
}

/// Returns the usual distance among the last before one.
fn usual_before(distances: &[i64], nth: usize, sorted: &mut Vec<i64>) -> Option<i64> {
    usual(distances.get(nth.saturating_sub(AROUND)..nth)?, sorted)
}

/// Returns the usual distance among the next from one on.
fn usual_after(distances: &[i64], nth: usize, sorted: &mut Vec<i64>) -> Option<i64> {
    usual(distances.get(nth..(nth + AROUND).min(distances.len()))?, sorted)
}

/// Returns the lower median: where as many distances are short as long, the long ones are gaps.
fn usual(distances: &[i64], sorted: &mut Vec<i64>) -> Option<i64> {
    sorted.clear();
    sorted.extend_from_slice(distances);
    sorted.sort_unstable();
    sorted.get(sorted.len().checked_sub(1)? / 2).map(|usual| (*usual).max(LEAST_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Instants at these distances, in minutes.
    fn instants(distances: &[(usize, i64)]) -> Vec<i64> {
        let mut at = vec![0];
        for (times, minutes) in distances {
            for _ in 0..*times {
                at.push(at.last().unwrap() + minutes * 60_000);
            }
        }
        at
    }

    fn gaps(distances: &[(usize, i64)], time: SampleTime) -> Vec<(i64, i64)> {
        let found = intervals(&instants(distances), time);
        let pairs = found.iter().zip(found.iter().skip(1));
        let gaps = pairs.filter(|(a, b)| {
            assert_eq!(a.joined, a.end_ms == b.begin_ms);
            assert!(a.begin_ms < a.end_ms && a.end_ms <= b.begin_ms);
            !a.joined
        });
        gaps.map(|(a, b)| (a.end_ms / 60_000, b.begin_ms / 60_000)).collect()
    }

    #[test]
    fn resolution_may_change_either_way_without_a_gap() {
        for time in [SampleTime::Starts, SampleTime::Ends] {
            assert_eq!(gaps(&[(20, 5), (30, 1)], time), []);
            assert_eq!(gaps(&[(30, 1), (20, 5)], time), []);
            assert_eq!(gaps(&[(20, 60), (100, 1), (12, 15), (40, 5)], time), []);
        }
    }

    #[test]
    fn a_gap_is_one_at_every_resolution() {
        assert_eq!(
            gaps(&[(20, 5), (1, 10), (20, 5), (30, 1), (1, 2), (30, 1)], SampleTime::Starts),
            [(105, 110), (241, 242)]
        );
        assert_eq!(
            gaps(&[(20, 5), (1, 10), (20, 5), (30, 1), (1, 2), (30, 1)], SampleTime::Ends),
            [(100, 105), (240, 241)]
        );
        // Four samples in five are missing now and then, which is no coarser resolution.
        assert_eq!(gaps(&[(20, 1), (4, 5), (20, 1)], SampleTime::Starts).len(), 4);
    }

    #[test]
    fn samples_at_the_edges_last_as_long_as_those_beside_them() {
        let last = |distances: &[(usize, i64)], time| {
            let found = intervals(&instants(distances), time);
            let minutes = |interval: Interval| (interval.end_ms - interval.begin_ms) / 60_000;
            (minutes(found[0]), minutes(*found.last().unwrap()))
        };
        assert_eq!(last(&[(20, 5), (30, 1)], SampleTime::Starts), (5, 1));
        assert_eq!(last(&[(20, 5), (30, 1)], SampleTime::Ends), (5, 1));
        assert_eq!(last(&[], SampleTime::Ends), (1, 1));
        assert_eq!(intervals(&[], SampleTime::Starts), []);
    }

    proptest::proptest! {
        #[test]
        fn intervals_follow_each_other_and_hold_their_instants(
            distances in proptest::collection::vec(1..400_000_i64, 0..60), ends: bool,
        ) {
            let mut at = vec![0];
            for distance in distances {
                at.push(at.last().unwrap() + distance);
            }
            let time = if ends { SampleTime::Ends } else { SampleTime::Starts };
            let found = intervals(&at, time);
            proptest::prop_assert_eq!(found.len(), at.len());
            for (interval, at) in found.iter().zip(&at) {
                proptest::prop_assert!(interval.begin_ms < interval.end_ms);
                proptest::prop_assert_eq!(if ends { interval.end_ms } else { interval.begin_ms }, *at);
            }
            for (a, b) in found.iter().zip(found.iter().skip(1)) {
                proptest::prop_assert!(a.end_ms <= b.begin_ms && a.joined == (a.end_ms == b.begin_ms), "{a:?} {b:?}");
            }
        }
    }
}
