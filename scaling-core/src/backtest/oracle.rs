//! [`Oracle`]: the cheapest schedule of pods that was possible, had all demand been known in advance. It is the yardstick of a backtest.
//!
//! A policy that pays for more pods than another also lets fewer requests wait, so that neither number says much alone. The oracle has
//! the start-up delay, the bounds and the queue of the policy, knows all demand in advance, and pays for as few pods as keep the
//! share of violating requests within a given one. The cost of a policy over that, *at the policy's own share*, says how far it is
//! from the best that was possible.
//!
//! # The model
//!
//! Time goes in equal steps; in each, requests arrive at a constant rate and are a fluid. A pod is paid for from its creation, serves
//! at its capacity from the start-up on, and is gone at once when removed, the youngest first: `ready[k] = min(pods[k - d ..= k])`.
//! Requests wait in one queue, first come, first served; the queue is solved exactly within the step and carried over between steps. A request
//! violates if what waits before it is more than the ready pods serve within the objective.
//!
//! The oracle may reject such a request when it comes. This makes its cost a bound for every policy, however long requests
//! would be willing to wait: take a policy's schedule, reject what violates or is dropped later, and no other request waits longer.
//! In a world in which such requests *are* rejected, it is not only a bound but the optimum. Every request that can be admitted is: it
//! pushes out at most as much later.
//!
//! A gap in the demand (NaN) costs nothing, and after it, as at the start, nothing waits and any number of pods is ready. So
//! a policy that had time to settle before the first step is bounded too.
//!
//! # The search
//!
//! 1. Paying for `pods` is the same as needing `ready` and paying for each pod from a start-up earlier on. Walking forward, a
//!    partial schedule is then known by its cost, what it rejected, its queue, and what it paid for in the last steps; what is
//!    missing there is paid for in hindsight.
//! 2. If rejecting work has a price, one partial schedule can stand for another if it is no dearer after catching up with
//!    it in all of that. A handful remains at each step, and the cheapest of the last ones is the optimum at this price.
//! 3. Prices are searched for the one that says most about the given share. This proves a lower bound, and finds schedules
//!    next to it, usually within a few pod-steps in a million.
//! 4. The rest is closed by a search for both cost and what is rejected, guided and pruned by what step 2 proved for
//!    the rest of the way.
//!
//! Every search limits how many partial schedules it keeps, by work that is counted, never measured. Where it has to drop some, its
//! result is a schedule and a bound that do not meet, and [`OracleSchedule::is_proved_optimal`] says so. Real loads are solved to the end;
//! one that does not change, in steps as short as the objective, may not be: of the countless schedules that cost nearly the same,
//! the best is then known to a few in ten thousand.
//!
//! ```
//! use std::time::Duration;
//! use scaling_core::Bounds;
//! use scaling_core::backtest::oracle::{Oracle, OracleConfig, OracleProblem};
//!
//! // A pod serves 100 requests/s and takes 30 s to start; two steps of 15 s are busy.
//! let config = OracleConfig {
//!     step: Duration::from_secs(15),
//!     pod_capacity: 100.0,
//!     objective: Duration::from_secs(1),
//!     start_up_steps: 2,
//!     bounds: Bounds::new(1, 10)?,
//! };
//! let demand = [100.0, 100.0, 100.0, 300.0, 300.0, 100.0, 100.0].map(|per_second| per_second * 15.0);
//! let mut oracle = Oracle::new(OracleProblem::new(&demand, &config)?);
//! let never_late = oracle.zero_violations();
//! assert_eq!(never_late.pods, [1, 3, 3, 3, 3, 1, 1]);
//! assert_eq!(never_late.pod_steps, 15);
//! assert!(never_late.is_proved_optimal());
//! // One pod less rejects some of what would wait longer than a second.
//! assert_eq!(oracle.cheapest(0.2)?.pod_steps, 11);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod labels;
mod priced;
mod problem;
mod queue;
mod within;

use std::time::Duration;

use serde::Serialize;

use crate::Bounds;
use priced::{Priced, PricedSearch};
use problem::Problem;
use within::{Guide, within};

/// Steps at most: 91 days of 15 s.
const MAX_STEPS: usize = 1 << 19;
/// Steps × (start-up in steps + 16) at most: this bounds memory, to about half a gigabyte.
const MAX_CELLS: usize = 1 << 24;
/// Steps × pods that are useful at the same time at most: this bounds time.
const MAX_AREA: u64 = 1 << 28;
/// Demand of a step at most, in what one pod serves in it.
const MAX_DEMAND: f64 = 1e9;
/// Prices above are not tried: rounding would outweigh what they prove.
const DEAREST: f64 = 1e7;
/// Searches for one price at most; they come to an end long before.
const MAX_PRICES: usize = 64;
/// Work of all searches that have to drop labels together, in comparisons of labels, and more for each step: some seconds.
const WORK: (f64, f64) = (8e8, 3e4);
/// Parts of the work left that a search at a price may take, and one within an allowance.
const PARTS: (f64, f64) = (1.0 / 8.0, 1.0 / 24.0);
/// Pod-steps that are not worth another search for a price.
const CLOSE: f64 = 0.2;
/// A bound below this part of a schedule's cost is worth trying other prices.
const LOOSE: f64 = 0.999;
/// A bound above this part of what lies between two corners is tight, and so many prices at most are tried for it.
const TIGHT: f64 = 0.9999;
const MAX_TIGHTENING: usize = 4;
/// Pod-steps between bound and schedule that a search within an allowance has no hope to close.
const FAR: f64 = 256.0;
/// Searches within an allowance at most, after the first that had to drop labels.
const MAX_ATTEMPTS: usize = 2;
/// An allowance is exact to this part of itself.
const EXACT: f64 = 1e-11;

/// Reasons why a problem cannot be solved.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OracleError {
    /// The step has no length.
    #[error("the step is 0 s long")]
    Step,
    /// The capacity is not a positive number.
    #[error("a pod's capacity of {0} requests/s is not a positive number, or too small or too large to reckon with")]
    PodCapacity(f64),
    /// The demand of a step is not a number of requests.
    #[error("{requests} requests in step {step} are negative, infinite, or more than {MAX_DEMAND} pods serve")]
    Demand {
        /// Number of the step, counted from 0.
        step: usize,
        /// Refused demand, in requests.
        requests: f64,
    },
    /// The share is not a number from 0 to 1.
    #[error("{0} is not a share of violating requests: a number from 0 to 1")]
    Share(f64),
    /// There are too many steps, or the start-up is too long for as many.
    #[error(
        "{steps} steps with a start-up of {start_up_steps} steps are too many; at most {MAX_STEPS} steps, and steps × (start-up + \
         16) at most {MAX_CELLS}, are solved: use longer steps or less of the demand"
    )]
    TooLong {
        /// Steps of demand.
        steps: usize,
        /// Steps from creation to ready.
        start_up_steps: usize,
    },
    /// There are too many pods for as many steps.
    #[error("{steps} steps with up to {pods} pods are too many; at most {MAX_AREA} steps × pods are solved")]
    TooLarge {
        /// Steps of demand.
        steps: usize,
        /// Most pods that are useful at the same time.
        pods: u32,
    },
}

/// Circumstances that the oracle shares with the policies it is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OracleConfig {
    /// Length of a step.
    pub step: Duration,
    /// Requests per second that a ready pod serves.
    pub pod_capacity: f64,
    /// Longest wait that is no violation; 0 allows no queue.
    pub objective: Duration,
    /// Steps from a pod's creation until it serves; 0 means at once.
    pub start_up_steps: usize,
    /// Pods that must and may exist at any time.
    pub bounds: Bounds,
}

/// Demand over time under given circumstances: checked, and small enough to be solved.
///
/// Without violations, solving takes about 0.1 s for two weeks of 15 s steps with 40 pods; for a given share of them, about 2 s. It
/// grows with the square of the pods, and ends after some seconds at worst. Memory stays below half a gigabyte.
#[derive(Clone, Debug)]
pub struct OracleProblem {
    in_pod_steps: Problem,
    /// Requests that one pod serves in a step.
    unit: f64,
    step: Duration,
}

impl OracleProblem {
    /// Poses the problem of serving so many requests in each step; NaN is a gap.
    ///
    /// # Errors
    /// [`OracleError`] if a number is out of its range, or the problem is too large to be solved in reasonable time.
    pub fn new(demand: &[f64], config: &OracleConfig) -> Result<Self, OracleError> {
        let OracleConfig { step, pod_capacity, objective, start_up_steps, bounds } = *config;
        if step.is_zero() {
            return Err(OracleError::Step);
        }
        let unit = pod_capacity * step.as_secs_f64();
        if !(unit.is_normal() && unit > 0.0) {
            return Err(OracleError::PodCapacity(pod_capacity));
        }
        let steps = demand.len();
        let start_up = start_up_steps.min(steps);
        if steps > MAX_STEPS || steps.saturating_mul(start_up + 16) > MAX_CELLS {
            return Err(OracleError::TooLong { steps, start_up_steps });
        }
        if let Some((step, &requests)) =
            demand.iter().enumerate().find(|(_, requests)| **requests < 0.0 || **requests / unit > MAX_DEMAND)
        {
            return Err(OracleError::Demand { step, requests });
        }
        let objective = objective.as_secs_f64() / step.as_secs_f64();
        let demand = demand.iter().map(|requests| requests / unit).collect();
        let in_pod_steps = Problem::new(demand, objective, start_up, bounds.min(), bounds.max());
        if steps as u64 * u64::from(in_pod_steps.peak()) > MAX_AREA {
            return Err(OracleError::TooLarge { steps, pods: in_pod_steps.peak() });
        }
        Ok(Self { in_pod_steps, unit, step })
    }

    /// Returns the requests that arrive in all; gaps count for nothing.
    pub fn requests(&self) -> f64 {
        self.in_pod_steps.total * self.unit
    }

    /// Returns the requests that violate, at the least, if `pods` are paid for in each step. The ready pods are the fewest paid for in
    /// this step and the start-up before it, and requests that would wait longer than the objective are rejected. Steps that `pods`
    /// lacks have none.
    pub fn rejected(&self, pods: &[u32]) -> f64 {
        queue::turned_away(&self.in_pod_steps.demand, pods, self.in_pod_steps.objective, self.in_pod_steps.start_up)
            * self.unit
    }

    /// Returns the cost of `pods`: their number, summed over all steps that are not a gap.
    pub fn pod_steps(&self, pods: &[u32]) -> u64 {
        let paid = pods.iter().zip(&self.in_pod_steps.demand).filter(|(_, demand)| !demand.is_nan());
        paid.map(|(&pods, _)| u64::from(pods)).sum()
    }

    /// Converts pod-steps into pod-hours.
    pub fn pod_hours(&self, pod_steps: f64) -> f64 {
        pod_steps * self.step.as_secs_f64() / 3600.0
    }
}

/// Schedule of pods that the oracle found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OracleSchedule {
    /// Pods paid for in each step; 0 in gaps.
    pub pods: Vec<u32>,
    /// Cost: the sum of the pods.
    pub pod_steps: u64,
    /// Proved least cost of any schedule that rejects no more requests than this one was allowed to.
    pub lower_bound: u64,
    /// Requests rejected.
    pub rejected: f64,
    /// Requests that it was allowed to reject. More than the share asked for if not even max pods could keep to that; then these
    /// are as few as max pods reject ([`OracleSchedule::is_feasible`]).
    pub allowed: f64,
    /// True if the share asked for could be kept to. If not, this is the cheapest schedule among those that reject the fewest.
    pub is_feasible: bool,
}

impl OracleSchedule {
    /// Returns whether no schedule is cheaper. If not, the optimum is somewhere from `lower_bound` to `pod_steps`.
    pub fn is_proved_optimal(&self) -> bool {
        self.lower_bound == self.pod_steps
    }
}

/// Share of violating requests, and the cost of having no more.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FrontierPoint {
    /// Requests rejected, of all.
    pub share: f64,
    /// Pod-steps of a schedule that rejects this share.
    pub pod_steps: u64,
}

/// Search for the cheapest schedules of a problem. It remembers all that it has proved on the way.
#[derive(Clone, Debug)]
pub struct Oracle {
    problem: OracleProblem,
    search: PricedSearch,
    /// Outcome of min pods at all times.
    min_pods: Priced,
    /// Corners of the frontier met so far.
    solved: Vec<Priced>,
    /// Allowances, with their proved least costs.
    proved: Vec<(f64, f64)>,
    /// Work left for searches that have to drop labels.
    work: f64,
    strict: Option<Found>,
}

/// A schedule found.
#[derive(Clone, Debug, Default)]
struct Found {
    /// Ready pods in each step.
    ready: Vec<u32>,
    /// Pod-steps.
    cost: f64,
    /// Pod-steps that no schedule with the same allowance can beat.
    bound: f64,
}

impl Found {
    fn improve(&mut self, other: Option<(f64, Vec<u32>)>) {
        if let Some((cost, ready)) = other.filter(|(cost, _)| *cost < self.cost) {
            (self.cost, self.ready) = (cost, ready);
        }
    }
}

/// Two corners of the frontier on both sides of an allowance.
#[derive(Clone, Debug)]
struct Bracket {
    /// Corner that keeps to the allowance.
    feasible: Corner,
    /// Cheaper corner that does not.
    infeasible: Corner,
    /// Least pod-steps of any schedule within the allowance.
    bound: f64,
    /// Price that proved the bound.
    price: f64,
    /// True if a search found the feasible corner. If not, max pods are it.
    met: bool,
}

#[derive(Clone, Debug)]
struct Corner {
    ready: Vec<u32>,
    cost: f64,
    lost: f64,
}

impl Corner {
    /// Returns the price at which two corners are equally good, if there is one.
    fn price(&self, cheaper: &Self) -> Option<f64> {
        let price = (self.cost - cheaper.cost) / (cheaper.lost - self.lost);
        (price.is_finite() && price > 0.0).then_some(price)
    }
}

impl Oracle {
    /// Creates an oracle for a problem. Nothing is solved yet.
    pub fn new(problem: OracleProblem) -> Self {
        let posed = &problem.in_pod_steps;
        let pods = vec![posed.min; posed.steps()];
        let lost = queue::turned_away(&posed.demand, &pods, posed.objective, posed.start_up);
        let cost = problem.pod_steps(&pods) as f64;
        let min_pods = Priced { price: 0.0, cost, lost, bound: cost };
        let work = work(posed);
        Self {
            problem,
            search: PricedSearch::default(),
            min_pods,
            solved: Vec::new(),
            proved: Vec::new(),
            work,
            strict: None,
        }
    }

    /// Returns the problem.
    pub fn problem(&self) -> &OracleProblem {
        &self.problem
    }

    /// Finds the cheapest schedule in which no request violates; if that cannot be, the cheapest in which as few as possible do.
    pub fn zero_violations(&mut self) -> OracleSchedule {
        let found = self.strict();
        self.schedule(&found, 0.0)
    }

    /// Finds the cheapest schedule in which at most this share of all requests violates.
    ///
    /// # Errors
    /// [`OracleError::Share`] if `share` is not a number from 0 to 1.
    pub fn cheapest(&mut self, share: f64) -> Result<OracleSchedule, OracleError> {
        if !(0.0..=1.0).contains(&share) {
            return Err(OracleError::Share(share));
        }
        let allowed = share * self.problem.in_pod_steps.total;
        let found = if allowed <= tolerated(self.problem.in_pod_steps.least(0, 0.0)) {
            self.strict()
        } else if self.min_pods.lost <= tolerated(allowed) {
            let ready = vec![self.problem.in_pod_steps.min; self.problem.in_pod_steps.steps()];
            Found { ready, cost: self.min_pods.cost, bound: self.min_pods.bound }
        } else {
            self.find(allowed)
        };
        Ok(self.schedule(&found, allowed))
    }

    /// Makes [`Oracle::lower_bound_at`] tight at this share, which after [`Oracle::frontier`] takes a little or nothing. A number that is
    /// no share changes nothing.
    pub fn tighten(&mut self, share: f64) {
        let allowed = share.clamp(0.0, 1.0) * self.problem.in_pod_steps.total;
        for _ in 0..MAX_TIGHTENING {
            let [Some(feasible), infeasible] = self.next_to(allowed) else { break };
            let infeasible = infeasible.unwrap_or(self.min_pods);
            let price = ((feasible.cost - infeasible.cost) / (infeasible.lost - feasible.lost)).max(1.0);
            let between = feasible.cost - price * (allowed - feasible.lost);
            let is_loose = self.lower_bound_at(share) < TIGHT * between;
            if !is_loose || self.over_budget() {
                break;
            }
            self.solve(price);
        }
    }

    /// Returns the least pod-steps of any schedule in which at most this share of all requests violates (or, if that cannot be, as few
    /// as possible), from all that has been solved so far.
    ///
    /// It solves nothing; [`Oracle::frontier`] solves enough for any share. A number that is no share gets the bound of 1.
    pub fn lower_bound_at(&self, share: f64) -> f64 {
        let share = if share <= 1.0 { share.max(0.0) } else { 1.0 };
        let posed = &self.problem.in_pod_steps;
        let allowed = tolerated((share * posed.total).max(posed.least(0, 0.0)));
        let priced = self.solved.iter().map(|solved| solved.bound - solved.price * allowed);
        let proved = self.proved.iter().filter(|(proved, _)| allowed <= tolerated(*proved)).map(|(_, bound)| *bound);
        priced.chain(proved).fold(self.min_pods.bound.max(posed.area(allowed)), f64::max)
    }

    /// Finds the frontier of cost and violations: its corners at so many prices and those met before, by increasing share.
    ///
    /// It begins with [`Oracle::zero_violations`], or with a cheaper schedule found since. More prices find more corners, and make
    /// [`Oracle::lower_bound_at`] tighter between them. A problem that is too hard is not solved for all of them.
    pub fn frontier(&mut self, prices: usize) -> Vec<FrontierPoint> {
        let strict = self.strict();
        let posed = &self.problem.in_pod_steps;
        let (total, start_up) = (posed.total, posed.start_up as f64);
        let mut corners = vec![(posed.least(0, 0.0), strict.cost)];
        // Up to a price of 1 no pod is worth having, not even one that is never idle. From start-up + 1 on, one is that is busy for a
        // single step; further on, ever less busy ones are.
        let (cheapest, dearest) = (0.05_f64, 32.0 * (start_up + 1.0));
        for index in 0..prices {
            if self.over_budget() {
                break;
            }
            let part = index as f64 / (prices.max(2) - 1) as f64;
            self.solve(1.0 + dearest * (cheapest / dearest).powf(part));
        }
        corners.extend(self.solved.iter().map(|solved| (solved.lost, solved.cost)));
        corners.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let mut least = f64::INFINITY;
        corners.retain(|&(_, cost)| {
            let cheaper = cost < least;
            least = least.min(cost);
            cheaper
        });
        let share = |lost: f64| if total > 0.0 { lost / total } else { 0.0 };
        corners.into_iter().map(|(lost, cost)| FrontierPoint { share: share(lost), pod_steps: whole(cost) }).collect()
    }

    fn schedule(&self, found: &Found, allowed: f64) -> OracleSchedule {
        let posed = &self.problem.in_pod_steps;
        let pods = queue::pods_for(&posed.demand, &found.ready, posed.start_up);
        let (least, unit) = (posed.least(0, 0.0), self.problem.unit);
        OracleSchedule {
            pod_steps: self.problem.pod_steps(&pods),
            lower_bound: whole(found.bound),
            rejected: self.problem.rejected(&pods),
            allowed: allowed.max(least) * unit,
            is_feasible: least <= tolerated(allowed),
            pods,
        }
    }

    fn solve(&mut self, price: f64) -> Priced {
        let mut solved = self.search.solve(&self.problem.in_pod_steps, price, self.work * PARTS.0);
        self.work -= self.search.spent_in_vain();
        let value = solved.cost + price * solved.lost;
        if solved.bound < LOOSE * value {
            // So many labels had to go that a simpler problem may prove more: a pod that takes in what it serves and queues in every
            // step, and has nothing to carry over.
            let roomy = self.problem.in_pod_steps.without_queue();
            let mut search = PricedSearch::default();
            let bound =
                search.solve(&roomy, price * (1.0 + self.problem.in_pod_steps.objective), self.work * PARTS.0).bound;
            self.work -= search.spent_in_vain();
            solved.bound = solved.bound.max(bound);
        }
        self.solved.push(solved);
        solved
    }

    /// Returns whether most of the work is used up.
    fn over_budget(&self) -> bool {
        self.work < 0.25 * work(&self.problem.in_pod_steps)
    }

    fn corner(&mut self, price: f64) -> (Priced, Corner) {
        let solved = self.solve(price);
        let ready = self.search.path(&self.problem.in_pod_steps);
        (solved, Corner { ready, cost: solved.cost, lost: solved.lost })
    }

    /// Finds the cheapest schedule among those that reject the fewest.
    fn strict(&mut self) -> Found {
        if self.strict.is_none() {
            self.strict = Some(self.find(self.problem.in_pod_steps.least(0, 0.0)));
        }
        self.strict.clone().unwrap_or_default()
    }

    /// The cheapest schedule within an allowance, if max pods are within it.
    fn find(&mut self, allowed: f64) -> Found {
        let tolerated = tolerated(allowed);
        let bracket = self.bracket(tolerated);
        let found = self.close(bracket, tolerated);
        self.proved.push((allowed, found.bound));
        found
    }

    /// Finds the corners of the frontier next to an allowance, and the price that proves most about it.
    fn bracket(&mut self, allowed: f64) -> Bracket {
        let posed = &self.problem.in_pod_steps;
        let [min, max] = [posed.min, posed.max].map(|pods| vec![pods; posed.steps()]);
        let (most, fewest) = (self.problem.pod_steps(&max) as f64, posed.least(0, 0.0));
        let mut bracket = Bracket {
            feasible: Corner { ready: max, cost: most, lost: fewest },
            infeasible: Corner { ready: min, cost: self.min_pods.cost, lost: self.min_pods.lost },
            bound: self.min_pods.bound.max(posed.area(allowed)),
            price: 1.0,
            met: false,
        };
        let mut known = self.known_prices(allowed);
        let (mut broke, mut dropped, mut last) = (false, false, 1.0);
        // To reject the fewest, even pods that are hardly busy are worth having.
        let (first, next) = if allowed <= tolerated(fewest) { (1024.0, 16.0) } else { (4.0, 4.0) };
        for _ in 0..MAX_PRICES {
            if bracket.met && self.over_budget() {
                break;
            }
            // Once there is a corner on either side, the price at which they are equally good finds the next between them. Before,
            // between max pods and min pods, it would be of no use.
            let guess = match known.pop() {
                None if !bracket.met && !broke => Some(first),
                None if !bracket.met && last < DEAREST => Some(next * last),
                None if !bracket.met => break,
                None if !broke && last > 1.1 => Some(1.0 + (last - 1.0) / 3.0),
                guess => guess,
            };
            let between = || bracket.feasible.price(&bracket.infeasible).map(|price| price.max(1.0));
            let Some(price) = guess.or_else(between) else { break };
            let chord =
                if guess.is_some() { f64::INFINITY } else { bracket.feasible.cost + price * bracket.feasible.lost };
            if bracket.bound.ceil() >= bracket.feasible.cost || chord - price * allowed - bracket.bound < CLOSE {
                break;
            }
            let (solved, corner) = self.corner(price);
            dropped |= self.search.spent_in_vain() > 0.0;
            if solved.bound - price * allowed > bracket.bound {
                (bracket.bound, bracket.price) = (solved.bound - price * allowed, price);
            }
            if solved.cost + price * solved.lost > chord - CLOSE {
                break;
            }
            last = price;
            if corner.lost <= allowed {
                (bracket.feasible, bracket.met) = (corner, true);
            } else {
                (bracket.infeasible, broke) = (corner, true);
            }
        }
        // Where labels had to be dropped, a price nearer to that of a pod proves more than the right one.
        for price in [64.0, 16.0, 4.0, 2.0] {
            if dropped && bracket.bound < LOOSE * bracket.feasible.cost && !self.over_budget() {
                let solved = self.solve(price);
                if solved.bound - price * allowed > bracket.bound {
                    (bracket.bound, bracket.price) = (solved.bound - price * allowed, price);
                }
            }
        }
        bracket
    }

    /// Returns the prices solved before whose corners are next to an allowance.
    fn known_prices(&self, allowed: f64) -> Vec<f64> {
        self.next_to(allowed).into_iter().flatten().map(|solved| solved.price).collect()
    }

    /// Returns the corners met on both sides of an allowance: the last that keeps to it, and the first that does not.
    fn next_to(&self, allowed: f64) -> [Option<Priced>; 2] {
        let by_loss = |a: &Priced, b: &Priced| a.lost.total_cmp(&b.lost);
        let (feasible, infeasible): (Vec<_>, Vec<_>) = self.solved.iter().partition(|solved| solved.lost <= allowed);
        [feasible.into_iter().max_by(by_loss), infeasible.into_iter().min_by(by_loss)]
    }

    /// Closes in on the cheapest schedule within an allowance.
    fn close(&mut self, bracket: Bracket, allowed: f64) -> Found {
        let Bracket { feasible, infeasible, bound, price, met } = bracket;
        let mut found = Found { bound: bound.ceil(), cost: feasible.cost, ready: feasible.ready.clone() };
        if found.bound < found.cost {
            found.improve(self.splice([&infeasible, &feasible], allowed));
            found.improve(self.splice([&feasible, &infeasible], allowed));
        }
        let hopeful = found.bound < found.cost && found.cost - found.bound <= FAR && !self.over_budget();
        let guided = hopeful && {
            if !self.search.is_at(price) {
                self.search.solve(&self.problem.in_pod_steps, price, self.work * PARTS.0);
                self.work -= self.search.spent_in_vain();
            }
            self.search.look_back(&self.problem.in_pod_steps).is_some()
        };
        let (mut beyond, mut attempts) = (0.0, 0);
        while guided && found.bound < found.cost && attempts < MAX_ATTEMPTS && !self.over_budget() {
            let target = (found.bound + beyond).min(found.cost - 1.0);
            let guide = Guide { search: &self.search, price, bound, target };
            let result = within(&self.problem.in_pod_steps, allowed, Some(guide), self.work * PARTS.1);
            self.work -= result.spent_in_vain();
            found.improve(result.found);
            if result.complete {
                found.bound = (target + 1.0).min(found.cost);
            } else if found.cost <= target + 1.0 {
                break;
            } else {
                attempts += 1;
            }
            beyond = 2.0 * beyond + 1.0;
        }
        if found.bound < found.cost && !met && !self.over_budget() {
            // The guided search may lose its way where only few schedules are within the allowance; the unguided one cannot.
            let result = within(&self.problem.in_pod_steps, allowed, None, self.work * PARTS.1);
            self.work -= result.spent_in_vain();
            found.improve(result.found);
            if result.complete {
                found.bound = found.cost;
            }
        }
        found.bound = found.bound.min(found.cost);
        found
    }

    /// Follows one schedule for as long as another can then keep to the allowance.
    fn splice(&self, [first, then]: [&Corner; 2], allowed: f64) -> Option<(f64, Vec<u32>)> {
        let posed = &self.problem.in_pod_steps;
        let spliced = |at: usize| -> Vec<u32> {
            first.ready.iter().take(at).chain(then.ready.iter().skip(at)).copied().collect()
        };
        let pods = |ready: &[u32]| queue::pods_for(&posed.demand, ready, posed.start_up);
        let feasible =
            |ready: &[u32]| queue::turned_away(&posed.demand, &pods(ready), posed.objective, posed.start_up) <= allowed;
        // The later the cheaper one gives way, the more is rejected; and the other way round.
        let (mut low, mut high) = (0, posed.steps());
        let cheaper_first = first.cost < then.cost;
        while low < high {
            let middle = usize::midpoint(low, high + usize::from(cheaper_first));
            match (feasible(&spliced(middle)), cheaper_first) {
                (true, true) => low = middle,
                (false, true) => high = middle - 1,
                (true, false) => high = middle,
                (false, false) => low = middle + 1,
            }
        }
        let ready = spliced(low);
        feasible(&ready).then(|| (self.problem.pod_steps(&pods(&ready)) as f64, ready))
    }
}

fn work(problem: &Problem) -> f64 {
    WORK.0 + WORK.1 * problem.steps() as f64
}

/// Adds to an allowance what it is exact to.
fn tolerated(allowed: f64) -> f64 {
    allowed * (1.0 + EXACT)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates; sums of pods, far below 2^53
fn whole(cost: f64) -> u64 {
    cost.round() as u64
}
