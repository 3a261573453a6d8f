//! [`Labels`]: partial schedules, and the ways through their next step.

use std::ops::Range;

use super::problem::Problem;
use super::queue::flow;

/// State of a partial schedule at the start of a step.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Label {
    /// Pod-steps paid.
    pub(super) cost: f64,
    /// Pod-steps of work rejected.
    pub(super) lost: f64,
    /// Pod-steps of work that wait.
    pub(super) queue: f64,
    /// Number that the search ranks by.
    pub(super) rank: f64,
}

/// Origin of a label.
#[derive(Clone, Copy, Debug, Default)]
struct Origin {
    parent: u32,
    ready: u32,
}

/// Labels, each with the pods paid for in the last start-up's worth of steps, the last one first.
///
/// A pod needed in this step has to be paid for in those steps, so that a label pays afterwards what is missing there.
#[derive(Clone, Debug, Default)]
pub(super) struct Labels {
    start_up: usize,
    rows: Vec<Label>,
    origins: Vec<Origin>,
    paid: Vec<u32>,
}

impl Labels {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn clear(&mut self, start_up: usize) {
        self.start_up = start_up;
        self.rows.clear();
        self.origins.clear();
        self.paid.clear();
    }

    /// Adds the label of the start: nothing waits, and all that was paid for before is free.
    pub(super) fn push_start(&mut self) {
        self.rows.push(Label::default());
        self.origins.push(Origin::default());
        self.paid.extend(std::iter::repeat_n(u32::MAX, self.start_up));
    }

    pub(super) fn get(&self, index: usize) -> (Label, &[u32]) {
        let paid = self.paid.get(index * self.start_up..(index + 1) * self.start_up).unwrap_or_default();
        (self.rows.get(index).copied().unwrap_or_default(), paid)
    }

    /// Adds the label that follows `parent` by `ready` pods in a step. `caps`: the part of what was paid for that can still matter.
    #[inline]
    pub(super) fn push(&mut self, label: Label, parent: usize, ready: u32, paid: &[u32], caps: &[u32]) {
        self.rows.push(label);
        self.origins.push(Origin { parent: u32::try_from(parent).unwrap_or(u32::MAX), ready });
        shift(paid, ready, caps, &mut self.paid);
    }

    /// Adds a copy of another's label.
    #[inline]
    pub(super) fn push_from(&mut self, other: &Self, index: usize) {
        let (label, paid) = other.get(index);
        self.rows.push(label);
        self.origins.push(other.origins.get(index).copied().unwrap_or_default());
        self.paid.extend_from_slice(paid);
    }

    /// Returns whether one of the labels `among` can stand for one that has paid for `paid`. `spare`: the most that another may spend
    /// on having paid for as much; below 0 if it is worse otherwise.
    #[inline]
    pub(super) fn any_covers(
        &self,
        among: impl IntoIterator<Item = usize>,
        paid: &[u32],
        spare: impl Fn(&Label) -> f64,
    ) -> bool {
        among.into_iter().any(|index| {
            let (other, other_paid) = self.get(index);
            let spare = spare(&other);
            spare >= 0.0 && raise(other_paid, paid) <= spare
        })
    }
}

/// Returns the work of comparing two labels: more for those of a long start-up.
pub(super) fn comparing(problem: &Problem) -> f64 {
    1.0 + problem.start_up as f64 / 32.0
}

/// Number of labels that a search may keep in a step: more if it has kept fewer than it could afford until then.
///
/// Work is counted, not measured, so that a problem is always solved alike.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    least: f64,
    most: f64,
    /// Work that can be kept up in each step, of comparing and of keeping a label, and saved until now.
    per_step: f64,
    per_comparison: f64,
    per_label: f64,
    saved: f64,
    /// Work of the last step by labels kept and allowed.
    effort: f64,
    /// Work of all steps until now.
    spent: f64,
}

impl Pace {
    /// Numbers that the labels of a search may hold in all: a quarter of a gigabyte.
    const CELLS: f64 = 6e7;
    /// Comparisons that take as long as making a label.
    const MAKING: usize = 16;

    /// Sets a pace of `least` to `most` labels a step, of which every step can have the least, for so much work in all.
    pub(super) fn new(problem: &Problem, least: u32, most: u32, work: f64) -> Self {
        Self {
            least: f64::from(least),
            most: f64::from(most),
            per_comparison: comparing(problem),
            per_step: work / (problem.steps() as f64).max(1.0),
            per_label: work / Self::CELLS * (problem.start_up as f64 + 14.0),
            saved: work / 8.0,
            effort: 1.0,
            spent: 0.0,
        }
    }

    /// Returns the work of all steps until now.
    pub(super) fn spent(&self) -> f64 {
        self.spent
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped
    pub(super) fn width(&self) -> usize {
        // Spend a little of what was saved at once: hard steps come in rows.
        let affordable = self.per_step + self.saved / 32.0;
        (affordable.max(0.0) / self.effort).sqrt().clamp(self.least, self.most) as usize
    }

    /// Accounts for a step in which so many labels were made, compared, and kept.
    pub(super) fn step(&mut self, made: usize, compared: usize, kept: usize) {
        let work = (compared + made * Self::MAKING) as f64 * self.per_comparison + kept as f64 * self.per_label;
        self.spent += work;
        self.saved += self.per_step - work;
        self.effort = (work / (kept * kept).max(1) as f64).max(1.0);
    }
}

/// Labels by step: a tree whose branches are schedules.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    pub(super) labels: Labels,
    /// Of each step begun: its first label.
    first: Vec<usize>,
}

impl Tree {
    pub(super) fn restart(&mut self, start_up: usize) {
        self.first.clear();
        self.labels.clear(start_up);
        self.begin();
        self.labels.push_start();
    }

    /// Begins the next step: labels added from here on belong to it.
    pub(super) fn begin(&mut self) {
        self.first.push(self.labels.len());
    }

    /// Returns the labels at the start of a step.
    pub(super) fn step(&self, step: usize) -> Range<usize> {
        let start = self.first.get(step).copied().unwrap_or(self.labels.len());
        start..self.first.get(step + 1).copied().unwrap_or(self.labels.len())
    }

    /// Returns the ready pods of each step on the way to a label.
    pub(super) fn path(&self, label: usize) -> Vec<u32> {
        let mut ready = Vec::with_capacity(self.first.len());
        let mut index = label;
        // The first step's only label is the start.
        for _ in 1..self.first.len() {
            let origin = self.labels.origins.get(index).copied().unwrap_or_default();
            ready.push(origin.ready);
            index = origin.parent as usize;
        }
        ready.reverse();
        ready
    }
}

/// Returns the cost of having paid for as much as another.
#[inline]
pub(super) fn raise(paid: &[u32], other: &[u32]) -> f64 {
    let missing: u64 = paid.iter().zip(other).map(|(&paid, &other)| u64::from(other.saturating_sub(paid))).sum();
    missing as f64
}

/// Adds a step in which `ready` pods were ready to what was paid for.
#[inline]
pub(super) fn shift(paid: &[u32], ready: u32, caps: &[u32], out: &mut Vec<u32>) {
    let before = std::iter::once(0).chain(paid.iter().copied());
    out.extend(before.zip(caps).map(|(paid, &cap)| paid.max(ready).min(cap)));
}

/// One way through a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepChoice {
    pub(super) ready: u32,
    /// Pod-steps to pay: for this step, and afterwards for the ones before.
    pub(super) cost: f64,
    pub(super) lost: f64,
    pub(super) queue: f64,
    /// True if the queue ends at its limit because more arrived.
    pub(super) full: bool,
}

/// Choice to look at next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Choice with one ready pod less.
    Fewer,
    /// Choice with the most pods at which nothing is admitted at all. In between, each pod less rejects a pod-step more.
    Shut,
    /// No other choice.
    Stop,
}

/// Tries the numbers of ready pods that can be of use, from the most down.
#[inline]
pub(super) fn choices(
    problem: &Problem,
    step: usize,
    label: &Label,
    paid: &[u32],
    mut visit: impl FnMut(StepChoice) -> Then,
) {
    let demand = problem.demand(step);
    if demand.is_nan() {
        // Whatever was paid for before the next step is free: no number is missing there.
        visit(StepChoice { ready: u32::MAX, cost: 0.0, lost: 0.0, queue: 0.0, full: false });
        return;
    }
    // What waits at the end, or before a gap, costs nothing any more.
    let last = problem.demand(step + 1).is_nan();
    let mut ready = problem.enough(label.queue, demand);
    loop {
        let flow = flow(label.queue, demand, f64::from(ready), problem.objective);
        let missing: u64 = paid.iter().map(|&paid| u64::from(ready.saturating_sub(paid))).sum();
        let cost = f64::from(ready) + missing as f64;
        let queue = if last { 0.0 } else { flow.queue };
        let next = match visit(StepChoice { ready, cost, lost: flow.lost, queue, full: flow.full }) {
            Then::Fewer => ready.checked_sub(1),
            Then::Shut => ready.checked_sub(1).map(|fewer| fewer.min(problem.shut(label.queue))),
            Then::Stop => None,
        };
        match next {
            Some(next) if next >= problem.min => ready = next,
            _ => break,
        }
    }
}
