//! What windows have cost against the HPA alone, and so what they may cost next.
//!
//! Held-out days tell what windows will cost as long as the load stays as it is. It does not: a peak that no longer comes, or comes
//! from a higher base, makes the same windows dearer, and half of the history later the prices show it. So each day is booked, and
//! windows are made only as dear as keeps all booked days and the next one within the limit.

use std::collections::VecDeque;

/// Days that are counted together.
const DAYS: usize = 28;
/// Most of the limit that is kept in hand, where days have cost more than was foreseen: the newest is known when it has been spent.
const IN_HAND: f64 = 0.1;

/// Pods of the last days, with windows and of the HPA alone.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    limit: f64,
    days: VecDeque<Booked>,
    /// Cost of the windows in force that was foreseen, relative to the HPA alone.
    foreseen: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Booked {
    with: f64,
    foreseen: f64,
    alone: f64,
}

impl Budget {
    /// Creates a budget of so much extra cost, relative to the HPA alone, of which nothing is spent.
    pub(super) fn new(limit: f64) -> Self {
        Self { limit, days: VecDeque::with_capacity(DAYS), foreseen: None }
    }

    /// Sets what the next days are foreseen to cost, relative to the HPA alone.
    pub(super) fn foresee(&mut self, cost: f64) {
        self.foreseen = Some(cost);
    }

    /// Books a day.
    pub(super) fn book(&mut self, with: f64, alone: f64) {
        if self.days.len() == DAYS {
            self.days.pop_front();
        }
        let foreseen = self.foreseen.map_or(with, |cost| cost * alone);
        self.days.push_back(Booked { with, foreseen, alone });
    }

    /// Returns whether windows may be taken that cost so much on the mean of days, relative to the HPA alone, and `scatter` more on some.
    ///
    /// What was saved lets no new windows cost more than the limit.
    pub(super) fn affords(&self, cost: f64, scatter: f64) -> bool {
        cost <= 1.0 + self.limit && self.bears(cost, scatter)
    }

    /// Returns whether the booked days and one more that costs so much stay within the limit together: windows that are in force may stay,
    /// although single days are dearer.
    ///
    /// Where booked days have cost more than was foreseen, as much of the limit is kept in hand, up to a tenth.
    pub(super) fn bears(&self, cost: f64, scatter: f64) -> bool {
        let sum = self.days.iter().fold(Booked::default(), |sum, day| Booked {
            with: sum.with + day.with,
            foreseen: sum.foreseen + day.foreseen,
            alone: sum.alone + day.alone,
        });
        let limit = 1.0 + self.limit;
        let days = self.days.len() as f64;
        if sum.alone <= 0.0 {
            return cost <= limit;
        }
        let surprise = (sum.with - sum.foreseen) / sum.alone;
        let in_hand = surprise.clamp(0.0, IN_HAND * self.limit);
        sum.with / sum.alone * days + cost + scatter <= (days + 1.0) * (limit - in_hand)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn booked(foreseen: f64, days: &[f64]) -> Budget {
        let mut budget = Budget::new(0.05);
        budget.foresee(foreseen);
        for with in days {
            budget.book(*with, 100.0);
        }
        budget
    }

    #[test]
    fn what_was_spent_above_the_limit_is_paid_back_and_no_more() {
        // 420 of four days are within 5 %, of which 314 are spent.
        let dear = booked(1.06, &[103.0, 103.0, 108.0]);
        assert!(dear.affords(1.05, 0.0) && dear.affords(1.04, 0.019) && !dear.affords(1.05, 0.011));
        let dearer = booked(1.08, &[108.0, 108.0]);
        assert!(dearer.affords(0.98, 0.0) && !dearer.affords(1.0, 0.0));
    }

    #[test]
    fn days_that_cost_more_than_foreseen_make_the_next_one_careful() {
        let days = [104.5, 104.5];
        let (foreseen, surprising) = (booked(1.045, &days), booked(1.02, &days));
        // A tenth of 5 % is in hand.
        assert!(foreseen.affords(1.05, 0.009) && surprising.affords(1.044, 0.0) && !surprising.affords(1.046, 0.0));
    }

    #[test]
    fn savings_are_not_spent_at_once() {
        let cheap = booked(0.9, &[90.0; 28]);
        assert!(cheap.affords(1.049, 1.0) && !cheap.affords(1.051, 0.0));
    }

    #[test]
    fn nothing_booked_is_nothing_owed_and_old_days_are_forgotten() {
        assert!(Budget::new(0.05).affords(1.049, 0.5) && !Budget::new(0.05).affords(1.051, 0.0));
        let mut paid = booked(2.0, &[200.0]);
        assert!(!paid.affords(1.0, 0.0));
        paid.foresee(1.0);
        for _ in 0..DAYS {
            paid.book(100.0, 100.0);
        }
        assert!(paid.affords(1.049, 0.0));
        let mut idle = Budget::new(0.05);
        idle.book(0.0, 0.0);
        assert!(idle.affords(1.049, 0.0));
    }
}
