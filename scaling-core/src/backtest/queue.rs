//! The queue of the simulated cluster: a fluid queue with an objective and with patience.

use crate::stats::FluidStep;

/// What serves the queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Service {
    /// Requests per second of all ready pods.
    pub(super) capacity: f64,
    /// How long a request may wait, in seconds.
    pub(super) objective_s: f64,
    /// How long a request waits at most, in seconds.
    pub(super) patience_s: f64,
}

/// What became of the requests of one step.
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
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Queue {
    /// How many.
    pub(super) backlog: f64,
    /// How many of them have violated already; they are the last in line.
    violated: f64,
}

impl Queue {
    /// Lets `arriving` requests come evenly over `step_s` seconds.
    ///
    /// The backlog is a [`FluidStep`] whose limit is what patience allows. A request violates if it arrives while the backlog is above
    /// the objective.
    pub(super) fn pass(&mut self, arriving: f64, step_s: f64, service: Service) -> Passage {
        let Service { capacity, objective_s, patience_s } = service;
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
        let mut queue = Queue { backlog: 100.0, violated: 0.0 };
        let seen = queue.pass(1500.0, 15.0, service(100.0));
        assert_eq!((seen.violating, queue.backlog), (0.0, 100.0));
    }

    #[test]
    fn what_would_wait_longer_than_patience_is_dropped_and_has_violated() {
        let mut queue = Queue { backlog: 2990.0, violated: 2890.0 };
        let seen = queue.pass(3000.0, 15.0, service(100.0));
        assert!(close(seen.dropped, 1490.0) && close(seen.violating, 3000.0) && close(queue.backlog, 3000.0));
    }

    #[test]
    fn without_pods_all_violate_and_none_wait() {
        let mut queue = Queue::default();
        let seen = queue.pass(30.0, 15.0, service(0.0));
        assert_eq!((seen.violating, seen.dropped, queue.backlog), (30.0, 30.0, 0.0));
        // Nobody had violated before their pods went.
        let mut queue = Queue { backlog: 50.0, violated: 0.0 };
        let seen = queue.pass(0.0, 15.0, service(0.0));
        assert_eq!((seen.violating, seen.dropped, seen.violating_s), (50.0, 50.0, 0.0));
    }

    proptest::proptest! {
        #[test]
        fn every_request_is_served_dropped_or_waiting(
            steps in proptest::collection::vec((0.0..5000.0_f64, 0.0..300.0_f64), 1..40),
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
                proptest::prop_assert!(queue.backlog >= 0.0 && queue.backlog <= patience_s * capacity + 1e-9);
                proptest::prop_assert!(seen.mean_backlog >= 0.0 && seen.mean_backlog <= before.max(queue.backlog) + 1e-9);
            }
        }

        /// Adding capacity never adds violations: a factor for every pod, and, where nobody gives up, any pods at any time. (Where people
        /// do, pods that come and go may add some: whoever has given up is in nobody's way.)
        #[test]
        fn adding_capacity_never_adds_violations(
            steps in proptest::collection::vec((0.0..5000.0_f64, 0.0..300.0_f64, 0.0..200.0_f64), 1..40),
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
            let queue = Queue { backlog: start.min(30.0 * capacity), violated: 0.0 };
            let (mut whole, mut halves) = (queue, queue);
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
