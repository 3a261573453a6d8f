//! [`within`]: the cheapest schedule that rejects no more than an allowance.

use super::labels::{Label, Labels, Pace, StepChoice, Then, Tree, choices, shift};
use super::priced::{PricedSearch, rounding};
use super::problem::Problem;

/// Pod-steps by which a schedule's predicted cost may be off target and still rank like one that uses the whole margin between
/// bound and target.
const OFF_TARGET: f64 = 50.0;
/// Labels that every step may have, and most that any may.
const LEAST: u32 = 4;
const MOST: u32 = 2048;

/// Knowledge from a search at a price.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guide<'a> {
    /// Search at that price, looked back.
    pub(super) search: &'a PricedSearch,
    pub(super) price: f64,
    /// Least pod-steps of any schedule within the allowance.
    pub(super) bound: f64,
    /// Pod-steps that the schedule looked for may cost.
    pub(super) target: f64,
}

/// Outcome of a search within an allowance.
#[derive(Clone, Debug)]
pub(super) struct Within {
    /// Cheapest schedule found: its pod-steps and the ready pods of each step. It may cost more than the target.
    pub(super) found: Option<(f64, Vec<u32>)>,
    /// True if no label had to go: a target that was not met then cannot be met.
    pub(super) complete: bool,
    spent: f64,
}

impl Within {
    /// Returns the work it took, if it had to drop labels.
    pub(super) fn spent_in_vain(&self) -> f64 {
        if self.complete { 0.0 } else { self.spent }
    }
}

/// Searches for the cheapest schedule that rejects at most `allowed` pod-steps of work; with a guide, only where its target can
/// still be met.
///
/// A label stands for another only if it is as good in both cost and loss, so there are many more of them than at a price.
pub(super) fn within(problem: &Problem, allowed: f64, guide: Option<Guide<'_>>, work: f64) -> Within {
    let mut search = WithinSearch {
        problem,
        allowed,
        doubt: guide.map_or(0.0, |guide| rounding(problem, guide.target)),
        guide,
        // Errors of this size in every step stay below what an allowance is exact to, or are rounding.
        equal: 1e-12 * allowed / (1.0 + problem.steps() as f64) + 1e-14,
        tree: Tree::default(),
        next: Labels::default(),
        off: Vec::new(),
        asked: 0,
        complete: true,
    };
    search.run(work)
}

struct WithinSearch<'a> {
    problem: &'a Problem,
    allowed: f64,
    guide: Option<Guide<'a>>,
    /// Error of bounds by rounding, at most.
    doubt: f64,
    /// Losses this close are equal.
    equal: f64,
    tree: Tree,
    next: Labels,
    /// Of each way through a step: how far its predicted cost is off target, in terms of the margin.
    off: Vec<f64>,
    /// Labels of the guide that the last step was compared with.
    asked: usize,
    complete: bool,
}

impl WithinSearch<'_> {
    fn run(&mut self, work: f64) -> Within {
        let mut pace = Pace::new(self.problem, LEAST, MOST, work);
        self.tree.restart(self.problem.start_up);
        let (mut order, mut kept, mut caps, mut after) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for step in 0..self.problem.steps() {
            self.problem.caps(step + 1, &mut caps);
            self.branch(step, &caps, &mut after);
            self.keep(&mut pace, &mut order, &mut kept);
        }
        let last = self.tree.step(self.problem.steps());
        let cost = |label: &usize| self.tree.labels.get(*label).0.cost;
        let best = last.min_by(|a, b| cost(a).total_cmp(&cost(b)));
        Within {
            found: best.map(|label| (cost(&label), self.tree.path(label))),
            complete: self.complete,
            spent: pace.spent(),
        }
    }

    /// Collects all ways through a step that can still end within the allowance and on target.
    fn branch(&mut self, step: usize, caps: &[u32], after: &mut Vec<u32>) {
        let Self { problem, allowed, doubt, guide, tree, next, off, asked, .. } = self;
        *asked = 0;
        next.clear(problem.start_up);
        off.clear();
        let mut best = 0;
        for parent in tree.step(step) {
            let (label, paid) = tree.labels.get(parent);
            let mut above: Option<Above> = None;
            choices(problem, step, &label, paid, |choice| {
                let (cost, lost) = (label.cost + choice.cost, label.lost + choice.lost);
                // Fewer pods never reject less.
                if lost + problem.least(step + 1, choice.queue) > *allowed {
                    return Then::Stop;
                }
                let mut child = Label { cost, lost, queue: choice.queue, rank: cost };
                if let Some(guide) = guide {
                    after.clear();
                    shift(paid, choice.ready, caps, after);
                    let now = cost + guide.price * (lost - *allowed);
                    let enough = guide.target + *doubt - now;
                    let (ahead, others) = guide.search.ahead(step + 1, choice.queue, after, enough, &mut best);
                    *asked += others;
                    let (least, saturated) = Above::step(&mut above, guide.price, now + ahead.value, &choice);
                    if least > guide.target + *doubt {
                        return if saturated { Then::Shut } else { Then::Fewer };
                    }
                    let margin = guide.target - guide.bound;
                    child.rank = (least - guide.bound) / margin.max(1e-3);
                    off.push((cost + ahead.cost - guide.target).abs() / OFF_TARGET);
                }
                next.push(child, parent, choice.ready, paid, caps);
                Then::Fewer
            });
        }
    }

    /// Keeps those ways through a step that no other can stand for; if there are too many, a quarter of them nearest to the bound, and
    /// the rest such that their predicted costs are near the target as well.
    fn keep(&mut self, pace: &mut Pace, order: &mut Vec<(i64, f64, usize)>, kept: &mut Vec<usize>) {
        let Self { tree, next, off, equal, .. } = self;
        order.clear();
        order.extend((0..next.len()).map(|index| {
            let label = next.get(index).0;
            (pod_steps(label.cost), label.lost, index)
        }));
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
        kept.clear();
        let mut comparisons = self.asked;
        for &(_, _, index) in &*order {
            let (label, paid) = next.get(index);
            let covers = |other: &Label| {
                let lost = other.lost + (other.queue - label.queue).max(0.0);
                if lost <= label.lost + *equal { label.cost - other.cost } else { -1.0 }
            };
            comparisons += kept.len();
            if !next.any_covers(kept.iter().copied(), paid, covers) {
                kept.push(index);
            }
        }
        let width = pace.width();
        if kept.len() > width {
            self.complete = false;
            let rank = |index: usize| next.get(index).0.rank;
            kept.sort_by(|a, b| rank(*a).total_cmp(&rank(*b)).then(a.cmp(b)));
            let near = |index: usize| rank(index) + off.get(index).copied().unwrap_or(0.0);
            if let Some(rest) = kept.get_mut(width / 4..) {
                rest.sort_by(|a, b| near(*a).total_cmp(&near(*b)).then(a.cmp(b)));
            }
            kept.truncate(width);
        }
        tree.begin();
        for &index in &*kept {
            tree.labels.push_from(next, index);
        }
        pace.step(next.len(), comparisons, kept.len());
    }
}

/// Choice before, with more pods.
#[derive(Clone, Copy)]
struct Above {
    /// Least cost of a schedule within the allowance from there.
    least: f64,
    /// Cost and priced loss of the step.
    value: f64,
    queue: f64,
}

impl Above {
    /// Derives a better bound for a choice from that of the one before, and whether all below it can only be worse.
    fn step(above: &mut Option<Self>, price: f64, bound: f64, choice: &StepChoice) -> (f64, bool) {
        let value = choice.cost + price * choice.lost;
        let worse = above.map(|above| {
            let more = value - above.value - price * (above.queue - choice.queue).max(0.0);
            (above.least + more, more >= 0.0)
        });
        let (chained, wasteful) = worse.unwrap_or((f64::NEG_INFINITY, false));
        let least = bound.max(chained);
        *above = Some(Self { least, value, queue: choice.queue });
        (least, wasteful && choice.full)
    }
}

#[allow(clippy::cast_possible_truncation)] // whole numbers far below 2^53
fn pod_steps(cost: f64) -> i64 {
    cost as i64
}
