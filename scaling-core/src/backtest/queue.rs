//! The queue of the simulated cluster: a fluid queue with an objective and with patience.

use std::collections::VecDeque;

use crate::stats::FluidStep;

/// Servers of the queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Service {
    /// Requests per second of all ready pods.
    pub(super) capacity: f64,
    /// Longest wait that is no violation, in seconds.
    pub(super) objective_s: f64,
    /// Wait after which a request gives up, in seconds.
    pub(super) patience_s: f64,
}

/// Outcome of the requests of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Passage {
    /// Served.
    pub(super) served: f64,
    /// Arrived to a wait longer than the objective, or were dropped.
    pub(super) violating: f64,
    /// Dropped.
    pub(super) dropped: f64,
    /// Seconds in which those who arrived violated.
    pub(super) violating_s: f64,
    /// Mean number of waiting requests.
    pub(super) mean_backlog: f64,
}

/// The requests that wait.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Queue {
    /// Number of requests.
    pub(super) backlog: f64,
    /// Number of them that have violated already; they are the last in line.
    violated: f64,
    /// Those that wait while nothing serves, the oldest first: nobody can tell how long that will take, so each waits as long as its
    /// patience. Together they are the backlog; empty while pods serve.
    stranded: VecDeque<Cohort>,
}

/// Requests that have waited for so long, evenly from the youngest to the oldest.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cohort {
    requests: f64,
    youngest_s: f64,
    oldest_s: f64,
    /// True if they have violated already.
    violated: bool,
}

impl Cohort {
    /// Lets time pass; returns those who have lost patience.
    fn wait(&mut self, step_s: f64, patience_s: f64) -> f64 {
        let (youngest, oldest) = (self.youngest_s + step_s, self.oldest_s + step_s);
        let spread = oldest - youngest;
        let share = if oldest <= patience_s {
            0.0
        } else if spread > 0.0 {
            ((oldest - patience_s) / spread).min(1.0)
        } else {
            1.0
        };
        let leaving = self.requests * share;
        *self =
            Self { requests: self.requests - leaving, youngest_s: youngest, oldest_s: oldest.min(patience_s), ..*self };
        leaving
    }
}

impl Queue {
    /// Creates a queue in which some requests wait that have not violated yet.
    pub(super) fn waiting(backlog: f64) -> Self {
        Self { backlog, ..Self::default() }
    }

    /// Lets `arriving` requests come evenly over `step_s` seconds.
    ///
    /// The backlog is a [`FluidStep`] whose limit is what patience allows. A request violates if it arrives while the backlog is above
    /// the objective.
    pub(super) fn pass(&mut self, arriving: f64, step_s: f64, service: Service) -> Passage {
        let Service { capacity, objective_s, patience_s } = service;
        if capacity <= 0.0 {
            return self.pass_nobody(arriving, step_s, patience_s);
        }
        self.stranded.clear();
        let (bearable, limit) = (objective_s * capacity, patience_s * capacity);
        let mut outcome = Passage::default();
        if self.backlog > limit {
            // Pods have gone: the last in line give up, whether they had violated before or not.
            let leaving = self.backlog - limit;
            outcome.dropped = leaving;
            outcome.violating = (leaving - self.violated).max(0.0);
            self.violated = (self.violated - leaving).max(0.0);
            self.backlog = limit;
        }
        let step = FluidStep {
            start: self.backlog,
            arrival_rate: arriving / step_s,
            service_rate: capacity,
            limit,
            duration: step_s,
        };
        let (above_s, end, refused) = (step.time_above(bearable), step.end(), step.overflow());
        let violating = step.arrival_rate * above_s;
        if arriving > 0.0 {
            outcome.violating_s = above_s;
        }
        outcome.violating += violating;
        outcome.dropped += refused;
        outcome.mean_backlog = step.mean();
        outcome.served = step.served();
        self.backlog = end;
        self.violated = (self.violated + violating - refused).clamp(0.0, end);
        outcome
    }

    /// A step in which no pod serves: whoever comes violates, and waits as long as patience allows for a pod to come.
    fn pass_nobody(&mut self, arriving: f64, step_s: f64, patience_s: f64) -> Passage {
        if self.stranded.is_empty() {
            // What waited for pods that are gone has waited for some time, nobody knows how long: it gives up evenly.
            for (requests, violated) in [(self.backlog - self.violated, false), (self.violated, true)] {
                if requests > 0.0 {
                    self.stranded.push_back(Cohort { requests, youngest_s: 0.0, oldest_s: patience_s, violated });
                }
            }
        }
        let mut outcome = Passage { violating: arriving, ..Passage::default() };
        if arriving > 0.0 {
            outcome.violating_s = step_s;
        }
        let before = self.backlog;
        for cohort in &mut self.stranded {
            let leaving = cohort.wait(step_s, patience_s);
            outcome.dropped += leaving;
            if !cohort.violated {
                outcome.violating += leaving;
            }
        }
        let mut new = Cohort { requests: arriving, youngest_s: -step_s, oldest_s: 0.0, violated: true };
        outcome.dropped += new.wait(step_s, patience_s);
        self.stranded.push_back(new);
        self.stranded.retain(|cohort| cohort.requests > 0.0);
        self.backlog = self.stranded.iter().map(|cohort| cohort.requests).sum();
        self.violated = self.stranded.iter().filter(|cohort| cohort.violated).map(|cohort| cohort.requests).sum();
        outcome.mean_backlog = f64::midpoint(before, self.backlog);
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(capacity: f64) -> Service {
        Service { capacity, objective_s: 1.0, patience_s: 30.0 }
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
    }

    #[test]
    fn enough_capacity_leaves_nobody_waiting() {
        let mut queue = Queue::default();
        let seen = queue.pass(1500.0, 15.0, service(100.0));
        assert_eq!((seen.served, seen.violating, queue.backlog), (1500.0, 0.0, 0.0));
    }

    #[test]
    fn a_request_violates_once_the_line_is_longer_than_a_second() {
        let mut queue = Queue::default();
        // 20 a second too many: a second's worth, 100, is waiting after 5 of 15 seconds.
        let seen = queue.pass(1800.0, 15.0, service(100.0));
        assert!(close(seen.violating_s, 10.0) && close(seen.violating, 1200.0), "{seen:?}");
        assert!(close(queue.backlog, 300.0) && close(seen.mean_backlog, 150.0));
        // Then 50 a second too few: a second's worth is reached after 4 seconds.
        let seen = queue.pass(750.0, 15.0, service(100.0));
        assert!(close(seen.violating_s, 4.0) && close(seen.violating, 200.0), "{seen:?}");
        assert!(close(queue.backlog, 0.0) && close(seen.mean_backlog, 300.0 / 2.0 * 6.0 / 15.0));
        assert!(close(seen.served, 1050.0));
    }

    #[test]
    fn a_wait_of_exactly_the_objective_is_borne() {
        let mut queue = Queue { backlog: 100.0, ..Queue::default() };
        let seen = queue.pass(1500.0, 15.0, service(100.0));
        assert_eq!((seen.violating, queue.backlog), (0.0, 100.0));
    }

    #[test]
    fn what_would_wait_longer_than_patience_is_dropped_and_has_violated() {
        let mut queue = Queue { backlog: 2990.0, violated: 2890.0, ..Queue::default() };
        let seen = queue.pass(3000.0, 15.0, service(100.0));
        assert!(close(seen.dropped, 1490.0) && close(seen.violating, 3000.0) && close(queue.backlog, 3000.0));
    }

    #[test]
    fn without_pods_all_violate_and_each_waits_as_long_as_its_patience() {
        let mut queue = Queue::default();
        let mut pass = |arriving: f64, capacity: f64| {
            let seen = queue.pass(arriving, 15.0, service(capacity));
            (seen.violating, seen.dropped, queue.backlog)
        };
        assert_eq!(pass(30.0, 0.0), (30.0, 0.0, 30.0));
        assert_eq!(pass(60.0, 0.0), (60.0, 0.0, 90.0));
        assert_eq!(pass(0.0, 0.0), (0.0, 30.0, 60.0), "the first have waited for 30 to 45 seconds");
        // Pods have come: those who waited are served first, and count as violating no second time.
        assert_eq!(pass(0.0, 4.0), (0.0, 0.0, 0.0));
    }

    #[test]
    fn those_whose_pods_went_give_up_one_after_the_other_and_violate_then() {
        let mut queue = Queue { backlog: 60.0, violated: 20.0, ..Queue::default() };
        for _ in 0..2 {
            let seen = queue.pass(0.0, 15.0, service(0.0));
            assert!(close(seen.violating, 20.0) && close(seen.dropped, 30.0) && seen.violating_s == 0.0, "{seen:?}");
        }
        assert!(close(queue.backlog, 0.0));
    }

    /// Any capacity, and none at all as often.
    fn capacity() -> impl proptest::strategy::Strategy<Value = f64> {
        proptest::prop_oneof![2 => 0.0..300.0_f64, 1 => proptest::strategy::Just(0.0)]
    }

    proptest::proptest! {
        #[test]
        fn every_request_is_served_dropped_or_waiting(
            steps in proptest::collection::vec((0.0..5000.0_f64, capacity()), 1..40),
            objective_s in 0.0..3.0_f64, patience_s in 3.0..60.0_f64,
        ) {
            let mut queue = Queue::default();
            for (arriving, capacity) in steps {
                let before = queue.backlog;
                let seen = queue.pass(arriving, 15.0, Service { capacity, objective_s, patience_s });
                proptest::prop_assert!(close(before + arriving, seen.served + seen.dropped + queue.backlog));
                proptest::prop_assert!(seen.served <= capacity * 15.0 * (1.0 + 1e-9) + 1e-9);
                proptest::prop_assert!((0.0..=15.0).contains(&seen.violating_s));
                proptest::prop_assert!(seen.violating <= arriving + before + 1e-9);
                let bearable = if capacity > 0.0 { patience_s * capacity } else { f64::INFINITY };
                proptest::prop_assert!(queue.backlog >= 0.0 && queue.backlog <= bearable + 1e-9);
                proptest::prop_assert!(seen.mean_backlog >= 0.0 && seen.mean_backlog <= before.max(queue.backlog) + 1e-9);
            }
        }

        /// Adding capacity never adds violations: a factor for every pod, and, where nobody gives up, any pods at any time. (Where people
        /// do, pods that come and go may add some: whoever has given up is in nobody's way.)
        #[test]
        fn adding_capacity_never_adds_violations(
            steps in proptest::collection::vec((0.0..5000.0_f64, capacity(), 0.0..200.0_f64), 1..40),
            objective_s in 0.0..3.0_f64, patience_s in 3.0..60.0_f64, factor in 1.0..3.0_f64,
        ) {
            let violating = |patience_s: f64, capacity: &dyn Fn(f64, f64) -> f64| -> Vec<f64> {
                let mut queue = Queue::default();
                let mut sum = 0.0;
                let pass = |(arriving, own, more): &(f64, f64, f64)| {
                    let service = Service { capacity: capacity(*own, *more), objective_s, patience_s };
                    sum += queue.pass(*arriving, 15.0, service).violating;
                    sum
                };
                steps.iter().map(pass).collect()
            };
            let pairs = [
                (violating(patience_s, &|own, _| own), violating(patience_s, &|own, _| own * factor)),
                (violating(1e9, &|own, _| own), violating(1e9, &|own, more| own + more)),
            ];
            for (fewer, more) in &pairs {
                for (fewer, more) in fewer.iter().zip(more) {
                    proptest::prop_assert!(*more <= fewer + 1e-9 * fewer.max(1.0), "{more} {fewer}");
                }
            }
        }

        /// Cutting a step in two changes nothing: the solution is exact, not of the step's length.
        #[test]
        fn a_step_equals_its_halves(
            arriving in 0.0..5000.0_f64, capacity in 0.0..300.0_f64, start in 0.0..3000.0_f64,
        ) {
            let mut whole = Queue { backlog: start.min(30.0 * capacity), ..Queue::default() };
            let mut halves = whole.clone();
            let seen = whole.pass(arriving, 15.0, service(capacity));
            let first = halves.pass(arriving / 2.0, 7.5, service(capacity));
            let second = halves.pass(arriving / 2.0, 7.5, service(capacity));
            proptest::prop_assert!(close(whole.backlog, halves.backlog));
            proptest::prop_assert!(close(seen.violating, first.violating + second.violating));
            proptest::prop_assert!(close(seen.dropped, first.dropped + second.dropped));
            proptest::prop_assert!(close(seen.mean_backlog, f64::midpoint(first.mean_backlog, second.mean_backlog)));
        }
    }
}
