//! [`PricedSearch`]: the cheapest schedule when rejecting work has a price.
//!
//! A label stands for another if, after paying for what the other has paid for and rejecting what it has waiting in excess, it
//! is still no dearer: both can be done in hindsight, for pods in the past never hurt. That leaves a handful of labels a step.

use super::labels::{Label, Labels, Pace, StepChoice, Then, Tree, choices, comparing, raise, shift};
use super::problem::Problem;

/// Values this close are equal. Costs are whole numbers of pod-steps.
const EQUAL: f64 = 1e-9;
/// Values this close within one step, where numbers are small, are equal.
const EQUAL_IN_STEP: f64 = 1e-11;

/// Most work of looking back, in terms of that of the search.
const LOOKING_BACK: f64 = 4.0;
/// Labels that every step may have, and most that any may.
const LEAST: u32 = 4;
const MOST: u32 = 2048;

/// Best schedule that a priced search found, and the bound that it proved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Priced {
    /// Pod-steps per pod-step of work rejected.
    pub(super) price: f64,
    /// Pod-steps of the schedule found.
    pub(super) cost: f64,
    /// Pod-steps of work it rejects.
    pub(super) lost: f64,
    /// Least `cost + price * lost` of any schedule.
    pub(super) bound: f64,
}

/// Least that is still to come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ahead {
    /// Cost and priced loss.
    pub(super) value: f64,
    /// Part of the cost in it.
    pub(super) cost: f64,
}

/// Search at a price, with its buffers.
#[derive(Clone, Debug, Default)]
pub(super) struct PricedSearch {
    price: f64,
    tree: Tree,
    /// Of each label, once looked back: the least that is still to come from there.
    ahead: Vec<Ahead>,
    next: Labels,
    order: Vec<(i64, f64, usize)>,
    caps: Vec<u32>,
    truncated: bool,
    spent: f64,
}

impl PricedSearch {
    /// Solves at a price. Unless there are too many labels to keep with so much work, the bound is attained.
    pub(super) fn solve(&mut self, problem: &Problem, price: f64, work: f64) -> Priced {
        let mut pace = Pace::new(problem, LEAST, MOST, work);
        self.price = price;
        self.truncated = false;
        self.ahead.clear();
        self.tree.restart(problem.start_up);
        for step in 0..problem.steps() {
            self.branch(problem, step);
            self.keep(&mut pace);
        }
        self.spent = pace.spent();
        let (best, _) = self.tree.labels.get(self.tree.step(problem.steps()).start);
        // Where labels had to go, only what can be shown without them counts.
        let bound = if self.truncated { self.look_back(problem).unwrap_or(f64::NEG_INFINITY) } else { best.rank };
        Priced { price, cost: best.cost, lost: best.lost, bound: bound - rounding(problem, best.rank) }
    }

    /// Returns whether the last search was at this price.
    pub(super) fn is_at(&self, price: f64) -> bool {
        self.price.total_cmp(&price).is_eq()
    }

    /// Returns the work of the last search, if it had to drop labels.
    pub(super) fn spent_in_vain(&self) -> f64 {
        if self.truncated { self.spent } else { 0.0 }
    }

    /// Returns the ready pods of each step in the schedule found.
    pub(super) fn path(&self, problem: &Problem) -> Vec<u32> {
        self.tree.path(self.tree.step(problem.steps()).start)
    }

    /// Collects all ways through a step.
    fn branch(&mut self, problem: &Problem, step: usize) {
        let Self { price, tree, next, caps, .. } = self;
        problem.caps(step + 1, caps);
        next.clear(problem.start_up);
        for parent in tree.step(step) {
            let (label, paid) = tree.labels.get(parent);
            priced_choices(problem, *price, step, &label, paid, |choice| {
                let (cost, lost) = (label.cost + choice.cost, label.lost + choice.lost);
                let child = Label { cost, lost, queue: choice.queue, rank: cost + *price * lost };
                next.push(child, parent, choice.ready, paid, caps);
            });
        }
    }

    /// Keeps those ways through a step that no other can stand for.
    fn keep(&mut self, pace: &mut Pace) {
        let Self { price, tree, next, order, truncated, .. } = self;
        order.clear();
        // Equals by rank are told apart by their queue: otherwise many would be kept that a later one can stand for.
        order.extend((0..next.len()).map(|index| {
            let label = next.get(index).0;
            (grid(label.rank), label.queue, index)
        }));
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
        tree.begin();
        let first = tree.labels.len();
        let (width, mut comparisons) = (pace.width(), 0);
        for &(_, _, index) in &*order {
            let (label, paid) = next.get(index);
            let kept = first..tree.labels.len();
            comparisons += kept.len();
            let spare = |other: &Label| label.rank - other.rank - *price * (other.queue - label.queue).max(0.0) + EQUAL;
            if tree.labels.any_covers(kept.clone(), paid, spare) {
                continue;
            }
            if kept.len() >= width {
                *truncated = true;
                break;
            }
            tree.labels.push_from(next, index);
        }
        pace.step(next.len(), comparisons, tree.labels.len() - first);
    }

    /// Finds for each label the least that is still to come from there, and returns that of the start; none if that takes too long.
    pub(super) fn look_back(&mut self, problem: &Problem) -> Option<f64> {
        let mut work = LOOKING_BACK * self.spent / comparing(problem);
        self.ahead.clear();
        self.ahead.resize(self.tree.labels.len(), Ahead { value: 0.0, cost: 0.0 });
        let (mut caps, mut after) = (Vec::new(), Vec::new());
        for step in (0..problem.steps()).rev() {
            problem.caps(step + 1, &mut caps);
            if work < 0.0 {
                self.ahead.clear();
                return None;
            }
            let mut best = 0;
            for index in self.tree.step(step) {
                let (label, paid) = self.tree.labels.get(index);
                let mut least = Ahead { value: f64::INFINITY, cost: 0.0 };
                priced_choices(problem, self.price, step, &label, paid, |choice| {
                    after.clear();
                    shift(paid, choice.ready, &caps, &mut after);
                    let now = choice.cost + self.price * choice.lost;
                    let (then, asked) = self.ahead(step + 1, choice.queue, &after, least.value - now, &mut best);
                    work -= asked as f64;
                    let value = now + then.value;
                    if value < least.value {
                        least = Ahead { value, cost: choice.cost + then.cost };
                    }
                });
                if let Some(slot) = self.ahead.get_mut(index) {
                    *slot = least;
                }
            }
        }
        Some(self.ahead.first().map_or(0.0, |start| start.value))
    }

    /// Returns the least that is still to come at the start of a step, with so much waiting and so much paid for, and the number of
    /// labels asked for it.
    ///
    /// A known label says what it has ahead, less what it would have to make up for to be as well off. The label that says most is
    /// tried first the next time, and once one says `enough`, the others are not asked.
    #[inline]
    pub(super) fn ahead(&self, step: usize, queue: f64, paid: &[u32], enough: f64, best: &mut usize) -> (Ahead, usize) {
        let mut most = Ahead { value: f64::NEG_INFINITY, cost: 0.0 };
        let mut known = self.tree.step(step);
        let first = if known.contains(best) { *best } else { known.start };
        let mut asked = 0;
        let mut ask = |index: usize| {
            asked += 1;
            let (label, other) = self.tree.labels.get(index);
            let ahead = self.ahead.get(index).copied().unwrap_or_default();
            let value = ahead.value - self.price * (label.queue - queue).max(0.0);
            if value > most.value {
                let raise = raise(other, paid);
                if value - raise > most.value {
                    (most, *best) = (Ahead { value: value - raise, cost: ahead.cost - raise }, index);
                }
            }
            most.value >= enough
        };
        if !ask(first) {
            known.any(ask);
        }
        (most, asked)
    }
}

/// Visits the choices that are worth their price against one pod more.
#[inline]
fn priced_choices(
    problem: &Problem,
    price: f64,
    step: usize,
    label: &Label,
    paid: &[u32],
    mut visit: impl FnMut(&StepChoice),
) {
    let mut above: Option<(f64, f64)> = None;
    choices(problem, step, label, paid, |choice| {
        let value = choice.cost + price * choice.lost;
        let wasteful = above
            .is_some_and(|(other, queue)| other + price * (queue - choice.queue).max(0.0) <= value + EQUAL_IN_STEP);
        above = Some((value, choice.queue));
        if !wasteful {
            visit(&choice);
            return Then::Fewer;
        }
        // Below, each pod less rejects as much more, and saves no more.
        if choice.full { Then::Shut } else { Then::Fewer }
    });
}

/// Returns the error of a value over all steps, at most: each step takes labels for equal that differ by rounding.
pub(super) fn rounding(problem: &Problem, value: f64) -> f64 {
    4.0 * EQUAL * problem.steps() as f64 + 1e-12 * value.abs()
}

/// Puts ranks that differ by rounding together.
#[allow(clippy::cast_possible_truncation)] // saturates
fn grid(rank: f64) -> i64 {
    (rank * 1e7).round() as i64
}
