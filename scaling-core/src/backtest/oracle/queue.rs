//! One step of the queue, solved exactly. All amounts are in pod-steps: what one pod serves in one step is 1.

use std::cmp::Reverse;

pub(super) use crate::stats::ROUNDING;
use crate::stats::{FluidStep, SlidingMax};

/// Change of the queue in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Flow {
    /// The queue at the end of the step.
    pub(super) queue: f64,
    /// Requests that were turned away.
    pub(super) lost: f64,
    /// True if the step ends with a queue at its limit because more arrived than could be served or queued.
    pub(super) full: bool,
}

/// Admits whatever would wait at most `objective` steps, which turns away least: a unit admitted now pushes out at most one unit
/// later. `queue` is what waits at the start of the step, `demand` what arrives during it at a constant rate, `ready` the pods.
#[inline]
pub(super) fn flow(queue: f64, demand: f64, ready: f64, objective: f64) -> Flow {
    if demand <= 0.0 {
        return Flow { queue: (queue - ready).max(0.0), lost: 0.0, full: false };
    }
    let limit = objective * ready;
    let (mut waiting, mut rest, mut lost) = (queue, 1.0, 0.0);
    if queue > limit * (1.0 + ROUNDING) {
        // Fewer pods than before: nobody is admitted until the queue has drained to what they work off in time.
        let drained = (queue - limit) / ready;
        if drained.is_nan() || drained >= 1.0 {
            return Flow { queue: queue - ready, lost: demand, full: false };
        }
        (waiting, rest, lost) = (limit, 1.0 - drained, demand * drained);
    }
    let step = FluidStep { start: waiting, arrival_rate: demand, service_rate: ready, limit, duration: rest };
    let (end, overflow, rounding) = (step.end(), step.overflow(), ROUNDING * (queue + demand));
    if overflow > rounding {
        Flow { queue: limit, lost: lost + overflow, full: true }
    } else {
        Flow { queue: if end <= rounding { 0.0 } else { end }, lost, full: false }
    }
}

/// Returns the requests that are turned away in all, with `pods` paid for in each step (missing ones are 0): a pod is ready `start_up` steps after its
/// creation, and the youngest are removed first. Before the start and after a gap (NaN) nothing waits, and pods are ready at once.
pub(super) fn turned_away(demand: &[f64], pods: &[u32], objective: f64, start_up: usize) -> f64 {
    let (mut queue, mut lost) = (0.0, 0.0);
    let mut ready = SlidingMax::new(start_up);
    let mut pods = pods.iter().copied();
    for &demand in demand {
        let paid = pods.next().unwrap_or(0);
        if demand.is_nan() {
            queue = 0.0;
            ready.clear();
            continue;
        }
        // The youngest go first: the least of the window have been there all the time.
        let Reverse(ready) = ready.push(Reverse(paid));
        let step = flow(queue, demand, f64::from(ready), objective);
        queue = step.queue;
        lost += step.lost;
    }
    lost
}

/// The pods to pay for so that `ready` of them are ready in each step: the most that is needed within the next `start_up` steps, up
/// to the next gap. Gap steps get 0.
pub(super) fn pods_for(demand: &[f64], ready: &[u32], start_up: usize) -> Vec<u32> {
    let mut pods = vec![0; ready.len()];
    let mut needed = SlidingMax::new(start_up);
    for ((paid, &ready), demand) in pods.iter_mut().zip(ready).zip(demand).rev() {
        if demand.is_nan() {
            needed.clear();
        } else {
            *paid = needed.push(ready);
        }
    }
    pods
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn what_fits_is_served_and_what_waits_in_time_is_kept() {
        assert_eq!(flow(0.0, 3.0, 3.0, 0.5), Flow { queue: 0.0, lost: 0.0, full: false });
        assert_eq!(flow(0.0, 4.0, 3.0, 0.5), Flow { queue: 1.0, lost: 0.0, full: false });
        assert_eq!(flow(0.0, 6.0, 3.0, 0.5), Flow { queue: 1.5, lost: 1.5, full: true });
        assert_eq!(flow(1.0, 0.0, 3.0, 0.5), Flow { queue: 0.0, lost: 0.0, full: false });
        assert_eq!(flow(5.0, 0.0, 3.0, 0.0), Flow { queue: 2.0, lost: 0.0, full: false });
        assert_eq!(flow(0.0, 2.0, 0.0, 9.0), Flow { queue: 0.0, lost: 2.0, full: true });
    }

    #[test]
    fn with_fewer_pods_nobody_enters_until_the_queue_has_drained_to_the_limit() {
        // 3 wait, 2 pods clear 2 a step and may have 1 waiting: the first whole step admits nobody.
        assert_eq!(flow(3.0, 4.0, 2.0, 0.5), Flow { queue: 1.0, lost: 4.0, full: false });
        // 2 wait: half a step to drain, then 2 more arrive while 1 is served and 1 may wait: one is turned away.
        let half = flow(2.0, 4.0, 2.0, 0.5);
        assert!(close(half.queue, 1.0) && close(half.lost, 2.0 + 1.0), "{half:?}");
        assert_eq!(flow(3.0, 4.0, 0.0, 0.5), Flow { queue: 3.0, lost: 4.0, full: false });
    }

    #[test]
    fn a_pod_is_ready_after_its_start_up_and_gone_at_once() {
        // The second pod is paid from step 1 on and ready from step 2 on; the first two steps have one.
        assert!(close(turned_away(&[2.0, 2.0, 2.0, 2.0], &[1, 2, 2, 1], 0.0, 1), 1.0 + 1.0 + 0.0 + 1.0));
        // After a gap, what is paid for is ready.
        assert!(close(turned_away(&[2.0, f64::NAN, 2.0, 2.0], &[1, 0, 2, 2], 0.0, 3), 1.0));
        assert!(close(turned_away(&[2.0, 2.0], &[3], 0.0, 0), 2.0));
    }

    #[test]
    fn pods_are_paid_for_from_their_creation() {
        assert_eq!(pods_for(&[1.0; 6], &[1, 1, 3, 1, 1, 1], 2), [3, 3, 3, 1, 1, 1]);
        assert_eq!(pods_for(&[1.0, 1.0, f64::NAN, 1.0], &[1, 2, 9, 3], 2), [2, 2, 0, 3]);
        assert_eq!(pods_for(&[1.0; 3], &[1, 2, 1], 0), [1, 2, 1]);
    }

    /// The same step as many short ones, with admission decided at the start of each.
    fn sliced(mut queue: f64, demand: f64, ready: f64, objective: f64) -> (f64, f64) {
        let slices = 20_000;
        let (arrives, served) = (demand / f64::from(slices), ready / f64::from(slices));
        let mut lost = 0.0;
        for _ in 0..slices {
            let room = (objective * ready - queue).max(0.0) + if queue <= objective * ready { served } else { 0.0 };
            let admitted = arrives.min(room);
            lost += arrives - admitted;
            queue = (queue + admitted - served).max(0.0);
        }
        (queue, lost)
    }

    fn amount() -> impl Strategy<Value = f64> {
        prop_oneof![Just(0.0), 0.0..6.0, (0_u8..7).prop_map(f64::from)]
    }

    proptest! {
        #[test]
        fn a_step_is_the_limit_of_many_short_ones(
            queue in amount(), demand in amount(), ready in 0_u32..6, objective in prop_oneof![Just(0.0), 0.0..2.0],
        ) {
            let ready = f64::from(ready);
            let exact = flow(queue, demand, ready, objective);
            let (end, lost) = sliced(queue, demand, ready, objective);
            prop_assert!((exact.queue - end).abs() < 0.01 && (exact.lost - lost).abs() < 0.01, "{exact:?} {end} {lost}");
        }

        /// The search rests on it: a shorter queue is never worse, and by no more than the difference.
        #[test]
        fn a_shorter_queue_saves_at_most_its_own_length(
            queue in amount(), more in amount(), objective in prop_oneof![Just(0.0), 0.0..2.0],
            steps in prop::collection::vec((amount(), 0_u32..6), 1..8),
        ) {
            let (mut short, mut long, mut lost) = (queue, queue + more, [0.0, 0.0]);
            for (demand, ready) in steps {
                let [a, b] = [short, long].map(|queue| flow(queue, demand, f64::from(ready), objective));
                (short, long, lost) = (a.queue, b.queue, [lost[0] + a.lost, lost[1] + b.lost]);
                prop_assert!(short <= long + 1e-9);
                prop_assert!(lost[0] <= lost[1] + 1e-9 && lost[1] + (long - short) <= lost[0] + more + 1e-9);
            }
        }

        #[test]
        fn more_pods_never_turn_away_more(
            objective in prop_oneof![Just(0.0), 0.0..2.0], start_up in 0_usize..4,
            steps in prop::collection::vec((prop_oneof![9 => amount(), 1 => Just(f64::NAN)], 0_u32..6, 0_u32..3), 0..12),
        ) {
            let demand: Vec<f64> = steps.iter().map(|step| step.0).collect();
            let few: Vec<u32> = steps.iter().map(|step| step.1).collect();
            let many: Vec<u32> = steps.iter().map(|step| step.1 + step.2).collect();
            let [few, many] = [few, many].map(|pods| turned_away(&demand, &pods, objective, start_up));
            prop_assert!(many <= few + 1e-9, "{many} {few}");
        }
    }
}
