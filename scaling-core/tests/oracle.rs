//! The clairvoyant against all schedules of small problems, and against policies that must not beat it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs
)]

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use scaling_core::Bounds;
use scaling_core::backtest::oracle::{Oracle, OracleConfig, OracleError, OracleProblem, OracleSchedule};

/// The same cases every time, unless the environment asks for others.
fn cases(cases: u32) -> ProptestConfig {
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(0x0ac1_e000);
        config.cases = cases;
    }
    config
}

#[derive(Clone, Debug)]
struct Case {
    demand: Vec<f64>,
    config: OracleConfig,
}

impl Case {
    fn problem(&self) -> OracleProblem {
        OracleProblem::new(&self.demand, &self.config).unwrap()
    }

    fn oracle(&self) -> Oracle {
        Oracle::new(self.problem())
    }

    fn with(&self, change: impl FnOnce(&mut OracleConfig)) -> Self {
        let mut other = self.clone();
        change(&mut other.config);
        other
    }

    /// Requests that a pod serves in a step.
    fn unit(&self) -> f64 {
        self.config.pod_capacity * self.config.step.as_secs_f64()
    }
}

/// Problems of so many steps at most, in which so many pods at most are of use.
fn case(steps: usize, pods: u32, start_up: usize) -> impl Strategy<Value = Case> {
    let top = f64::from(pods) * 1.2;
    let load = prop_oneof![
        4 => 0.0..top,
        2 => (0..=pods).prop_map(f64::from),
        1 => (0..=4 * pods).prop_map(|quarters| f64::from(quarters) / 4.0),
        2 => Just(0.0),
        1 => Just(f64::NAN),
    ];
    // Seconds; a step has 10.
    let objective = prop_oneof![2 => Just(0.0), 4 => 0.1..3.0, 1 => Just(5.0), 1 => Just(1.0), 2 => 3.0..25.0];
    let bounds = (0..=pods, 0..=pods).prop_map(|(a, b)| (a.min(b) / 2, a.max(b).max(1)));
    (prop::collection::vec(load, 0..=steps), objective, 0..=start_up, bounds).prop_map(
        |(load, objective, start_up_steps, (min, max))| {
            let config = OracleConfig {
                step: Duration::from_secs(10),
                pod_capacity: 3.0,
                objective: Duration::from_secs_f64(objective),
                start_up_steps,
                bounds: Bounds::new(min, max).unwrap(),
            };
            Case { demand: load.iter().map(|load| load * 30.0).collect(), config }
        },
    )
}

const SHARES: [f64; 6] = [0.0, 0.01, 0.1, 0.25, 0.5, 1.0];

// ---- all schedules

/// Cost and rejected requests of every schedule within the bounds that no other beats in both.
fn all(case: &Case) -> Vec<(u64, f64)> {
    let problem = case.problem();
    let mut pods: Vec<u32> = vec![case.config.bounds.min(); case.demand.len()];
    let mut seen: Vec<(u64, f64)> = Vec::new();
    loop {
        let (cost, lost) = (problem.pod_steps(&pods), problem.rejected(&pods));
        if !seen.iter().any(|other| other.0 <= cost && other.1 <= lost) {
            seen.retain(|other| !(cost <= other.0 && lost <= other.1));
            seen.push((cost, lost));
        }
        // The next one, like an odometer; gaps stand still.
        let Some(digit) = (0..pods.len()).find(|&k| !case.demand[k].is_nan() && pods[k] < case.config.bounds.max())
        else {
            return seen;
        };
        pods[digit] += 1;
        pods[..digit].fill(case.config.bounds.min());
    }
}

fn check(case: &Case, schedule: &OracleSchedule, share: f64) {
    let problem = case.problem();
    let bounds = case.config.bounds;
    assert_eq!(schedule.pods.len(), case.demand.len());
    for (&pods, demand) in schedule.pods.iter().zip(&case.demand) {
        assert!(if demand.is_nan() { pods == 0 } else { bounds.clamp(pods) == pods }, "{schedule:?}");
    }
    assert_eq!(schedule.pod_steps, problem.pod_steps(&schedule.pods));
    assert!(schedule.lower_bound <= schedule.pod_steps, "{schedule:?}");
    let lost = problem.rejected(&schedule.pods);
    assert!((lost - schedule.rejected).abs() < 1e-9, "{schedule:?}");
    assert!(lost <= schedule.allowed * (1.0 + 1e-9) + 1e-9, "{schedule:?}");
    if schedule.is_feasible {
        assert!(schedule.allowed <= share * problem.requests() * (1.0 + 1e-9) + 1e-9, "{schedule:?}");
    } else {
        let most = vec![bounds.max(); case.demand.len()];
        assert!((problem.rejected(&most) - schedule.allowed).abs() < 1e-6, "{schedule:?}");
    }
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn no_schedule_at_all_is_cheaper(case in case(7, 3, 3)) {
        let all = all(&case);
        let least = all.iter().map(|seen| seen.1).fold(f64::INFINITY, f64::min);
        let total = case.problem().requests();
        let mut oracle = case.oracle();
        for share in SHARES {
            let asked = share * total;
            let allowed = asked.max(least) * (1.0 + 1e-11) + 1e-12;
            let expected = all.iter().filter(|seen| seen.1 <= allowed).map(|seen| seen.0).min().unwrap();
            let schedule = if share == 0.0 { oracle.zero_violations() } else { oracle.cheapest(share).unwrap() };
            check(&case, &schedule, share);
            prop_assert_eq!(schedule.pod_steps, expected, "share {}: {:?}", share, schedule);
            prop_assert!(schedule.is_proved_optimal(), "share {}: {:?}", share, schedule);
            prop_assert_eq!(schedule.is_feasible, least <= asked * (1.0 + 1e-11) + 1e-12);
        }
        // A fresh one knows no answers, only prices.
        let mut oracle = case.oracle();
        for point in oracle.frontier(6) {
            let lost = point.share * total * (1.0 + 1e-9) + 1e-9;
            let expected = all.iter().filter(|seen| seen.1 <= lost).map(|seen| seen.0).min().unwrap();
            prop_assert_eq!(point.pod_steps, expected, "{:?}", point);
        }
        for (cost, lost) in &all {
            let share = if total > 0.0 { lost / total } else { 0.0 };
            prop_assert!(oracle.lower_bound_at(share) <= *cost as f64 + 1e-6, "{} {}", share, cost);
        }
    }
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn no_schedule_at_all_is_cheaper_with_more_pods(case in case(6, 5, 2)) {
        let all = all(&case);
        let least = all.iter().map(|seen| seen.1).fold(f64::INFINITY, f64::min);
        let mut oracle = case.oracle();
        for share in SHARES {
            let allowed = (share * case.problem().requests()).max(least) * (1.0 + 1e-11) + 1e-12;
            let expected = all.iter().filter(|seen| seen.1 <= allowed).map(|seen| seen.0).min().unwrap();
            let schedule = oracle.cheapest(share).unwrap();
            prop_assert_eq!((schedule.pod_steps, schedule.lower_bound), (expected, expected), "share {}", share);
        }
    }
}

// ---- policies

/// What becomes of a request that would wait longer than the objective.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Late {
    /// It is turned away at once.
    Leaves,
    /// It waits, as long as the backlog is no more than so many seconds of capacity.
    Waits(f64),
}

/// A small simulator that shares no code with the library: requests that violate, of a schedule.
fn violating(case: &Case, pods: &[u32], late: Late) -> f64 {
    let step = case.config.step.as_secs_f64();
    let objective = case.config.objective.as_secs_f64();
    // What waits, first come first: amount, and whether it has violated.
    let mut queue: VecDeque<(f64, bool)> = VecDeque::new();
    let mut since = 0;
    let mut violating = 0.0;
    for (k, &requests) in case.demand.iter().enumerate() {
        if requests.is_nan() {
            queue.clear();
            since = k + 1;
            continue;
        }
        let from = k.saturating_sub(case.config.start_up_steps).max(since);
        let ready = pods[from..=k].iter().min().unwrap();
        let capacity = f64::from(*ready) * case.config.pod_capacity;
        let (rate, limit) = (requests / step, objective * capacity);
        let patience = match late {
            Late::Leaves => f64::INFINITY,
            Late::Waits(seconds) => seconds.max(objective) * capacity,
        };
        // Fewer pods: the last to come give up.
        let mut waiting: f64 = queue.iter().map(|part| part.0).sum();
        while waiting > patience + 1e-12 {
            let (amount, violated) = queue.back_mut().unwrap();
            let dropped = amount.min(waiting - patience);
            violating += if *violated { 0.0 } else { dropped };
            *amount -= dropped;
            waiting -= dropped;
            if *amount <= 0.0 {
                queue.pop_back();
            }
        }
        let mut rest = step;
        while rest > 1e-12 {
            let waiting: f64 = queue.iter().map(|part| part.0).sum();
            let slope = rate - capacity;
            let is_late = waiting > limit + 1e-9 || (waiting > limit - 1e-9 && slope > 0.0);
            // How much of what comes is let in, and until when that holds.
            let (enters, until) = if !is_late {
                let until = if slope > 0.0 { (limit - waiting) / slope } else { f64::INFINITY };
                (rate, until)
            } else if late == Late::Leaves && waiting > limit + 1e-9 {
                (0.0, (waiting - limit) / capacity)
            } else if late == Late::Leaves || (waiting > patience - 1e-9 && slope > 0.0) {
                (capacity, f64::INFINITY)
            } else if slope > 0.0 {
                (rate, (patience - waiting) / slope)
            } else {
                (rate, (waiting - limit) / slope.abs())
            };
            let span = rest.min(until.max(1e-9));
            violating += match late {
                Late::Leaves => (rate - enters) * span,
                Late::Waits(_) if is_late => rate * span,
                Late::Waits(_) => 0.0,
            };
            queue.push_back((enters * span, is_late && late != Late::Leaves));
            let mut served = capacity * span;
            while served > 0.0 {
                let Some((amount, _)) = queue.front_mut() else { break };
                let part = amount.min(served);
                *amount -= part;
                served -= part;
                if *amount <= 0.0 {
                    queue.pop_front();
                }
            }
            rest -= span;
        }
    }
    violating
}

/// A policy: pods in each step.
fn policy(case: &Case, whims: &[u32], headroom: f64, lag: usize, hold: usize) -> Vec<u32> {
    let bounds = case.config.bounds;
    let wanted = |k: usize| {
        let seen = case.demand[..k.saturating_sub(lag)].iter().rev().find(|demand| !demand.is_nan());
        (seen.copied().unwrap_or(0.0) * headroom / case.unit()).ceil() as u32
    };
    (0..case.demand.len())
        .map(|k| {
            let kept = (k.saturating_sub(hold)..=k).map(wanted).max().unwrap();
            let whim = if whims.is_empty() { 0 } else { whims[k % whims.len()] };
            bounds.clamp(if whim > 3 { kept } else { kept + whim })
        })
        .collect()
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn no_policy_beats_the_bound_at_its_own_share(
        case in case(60, 8, 5),
        policies in prop::collection::vec(
            (prop::collection::vec(0_u32..9, 0..7), 0.5..2.5_f64, 0_usize..4, 0_usize..6), 1..8),
        noise in prop::collection::vec(0_u32..9, 60),
        patience in 0.0..40.0_f64,
    ) {
        let problem = case.problem();
        let total = problem.requests();
        let mut oracle = case.oracle();
        oracle.frontier(8);
        let bounds = case.config.bounds;
        let mut schedules: Vec<Vec<u32>> = policies
            .iter()
            .map(|(seed, headroom, lag, hold)| policy(&case, seed, *headroom, *lag, *hold))
            .collect();
        schedules.push((0..case.demand.len()).map(|k| bounds.clamp(noise[k])).collect());
        schedules.push(oracle.zero_violations().pods);
        schedules.push(oracle.cheapest(0.05).unwrap().pods);
        for pods in schedules {
            let cost = problem.pod_steps(&pods);
            let rejected = problem.rejected(&pods);
            let leaves = violating(&case, &pods, Late::Leaves);
            prop_assert!((leaves - rejected).abs() < 1e-4 * (1.0 + total), "{} {}", leaves, rejected);
            let waits = violating(&case, &pods, Late::Waits(patience));
            prop_assert!(waits >= rejected - 1e-4 * (1.0 + total), "{} {}", waits, rejected);
            for lost in [rejected, waits.max(rejected)] {
                let share = if total > 0.0 { (lost / total).min(1.0) } else { 0.0 };
                let before = oracle.lower_bound_at(share);
                oracle.tighten(share);
                let tight = oracle.lower_bound_at(share);
                prop_assert!(before <= tight && tight <= cost as f64 + 1e-6, "{before} {tight} {cost}");
            }
            let share = if total > 0.0 { (rejected / total * (1.0 + 1e-12)).min(1.0) } else { 0.0 };
            let best = oracle.cheapest(share).unwrap();
            check(&case, &best, share);
            prop_assert!(best.lower_bound <= cost, "{} {}", best.lower_bound, cost);
            if best.is_proved_optimal() {
                prop_assert!(best.pod_steps <= cost);
            }
        }
    }

    #[test]
    fn more_freedom_never_costs_more(case in case(40, 6, 4)) {
        let mut oracle = case.oracle();
        let by_share: Vec<OracleSchedule> = SHARES.iter().map(|share| oracle.cheapest(*share).unwrap()).collect();
        for (schedule, share) in by_share.iter().zip(SHARES) {
            check(&case, schedule, share);
            prop_assert!(oracle.lower_bound_at(share) <= schedule.pod_steps as f64);
        }
        for pair in by_share.windows(2) {
            prop_assert!(pair[1].lower_bound <= pair[0].pod_steps, "{:?}", pair);
        }
        let bounds = case.config.bounds;
        let longer = case.with(|config| config.start_up_steps += 1);
        let wider = case.with(|config| {
            config.bounds = Bounds::new(bounds.min().saturating_sub(1), bounds.max() + 1).unwrap();
        });
        let patient = case.with(|config| config.objective += Duration::from_secs(1));
        for (schedule, share) in by_share.iter().zip(SHARES) {
            // Where the share cannot be kept to, allowances differ.
            if schedule.is_feasible {
                let wider = wider.oracle().cheapest(share).unwrap();
                prop_assert!(wider.is_feasible && wider.lower_bound <= schedule.pod_steps, "{:?}", wider);
                let patient = patient.oracle().cheapest(share).unwrap();
                prop_assert!(patient.is_feasible && patient.lower_bound <= schedule.pod_steps, "{:?}", patient);
            }
            let longer = longer.oracle().cheapest(share).unwrap();
            prop_assert_eq!(longer.is_feasible, schedule.is_feasible);
            prop_assert!(longer.pod_steps >= schedule.lower_bound, "{:?}", longer);
        }
    }

    #[test]
    fn same_problem_same_answer(case in case(30, 5, 3)) {
        let answers = || {
            let mut oracle = case.oracle();
            let schedules = (oracle.zero_violations(), oracle.cheapest(0.1).unwrap());
            (schedules, oracle.frontier(5), oracle.lower_bound_at(0.03).to_bits())
        };
        prop_assert_eq!(answers(), answers());
    }

    #[test]
    fn any_numbers_are_solved_or_refused(
        demand in prop::collection::vec(prop_oneof![
            4 => 0.0..1e4_f64,
            1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, -1.0, -0.0, 1e300, 1e-300, f64::MIN_POSITIVE, 1e12]),
        ], 0..12),
        step in prop::sample::select(vec![0, 1, 1_000, 15_000_000_000, u64::MAX]),
        pod_capacity in prop::sample::select(vec![f64::NAN, f64::INFINITY, 0.0, -1.0, 1e-300, 1e-3, 1.0, 50.0, 1e300]),
        objective in prop::sample::select(vec![0, 1, 1_000_000_000, 60_000_000_000, u64::MAX]),
        start_up_steps in prop::sample::select(vec![0, 1, 7, 1_000_000, usize::MAX]),
        min in prop::sample::select(vec![0, 1, 5]),
        max in prop::sample::select(vec![5, 40, 300]),
        share in prop::sample::select(vec![f64::NAN, -0.1, 0.0, 1e-9, 0.3, 1.0, 1.1, f64::INFINITY]),
    ) {
        let config = OracleConfig {
            step: Duration::from_nanos(step),
            pod_capacity,
            objective: Duration::from_nanos(objective),
            start_up_steps,
            bounds: Bounds::new(min, max).unwrap(),
        };
        if let Ok(problem) = OracleProblem::new(&demand, &config) {
            let mut oracle = Oracle::new(problem);
            let case = Case { demand, config };
            check(&case, &oracle.zero_violations(), 0.0);
            prop_assert!(oracle.lower_bound_at(share).is_finite());
            match oracle.cheapest(share) {
                Ok(schedule) => check(&case, &schedule, share),
                Err(error) => prop_assert!(matches!(error, OracleError::Share(_))),
            }
            prop_assert!(oracle.frontier(2).iter().all(|point| (0.0..=1.0).contains(&point.share)));
        }
    }
}

// ---- the edges

fn simple(demand: &[f64], start_up_steps: usize, bounds: (u32, u32)) -> Case {
    let config = OracleConfig {
        step: Duration::from_secs(10),
        pod_capacity: 3.0,
        objective: Duration::ZERO,
        start_up_steps,
        bounds: Bounds::new(bounds.0, bounds.1).unwrap(),
    };
    Case { demand: demand.iter().map(|load| load * 30.0).collect(), config }
}

fn zero(demand: &[f64], start_up_steps: usize, bounds: (u32, u32)) -> OracleSchedule {
    let case = simple(demand, start_up_steps, bounds);
    let schedule = case.oracle().zero_violations();
    check(&case, &schedule, 0.0);
    assert!(schedule.is_proved_optimal());
    schedule
}

#[test]
fn nothing_to_serve_takes_min_pods() {
    assert!(zero(&[], 3, (1, 4)).pods.is_empty());
    assert_eq!(zero(&[f64::NAN; 3], 3, (1, 4)).pods, [0, 0, 0]);
    assert_eq!(zero(&[0.0; 3], 3, (1, 4)).pods, [1, 1, 1]);
    assert_eq!(zero(&[0.0; 3], 3, (0, 4)).pod_steps, 0);
    let mut oracle = simple(&[], 3, (1, 4)).oracle();
    assert_eq!(oracle.cheapest(1.0).unwrap().pod_steps, 0);
    assert_eq!(oracle.frontier(3).len(), 1);
}

#[test]
fn a_start_up_longer_than_all_demand_is_paid_from_the_first_step() {
    assert_eq!(zero(&[1.0, 1.0, 3.0, 1.0], 100, (1, 4)).pods, [3, 3, 3, 1]);
    assert_eq!(zero(&[1.0, f64::NAN, 3.0, 1.0], 100, (1, 4)).pods, [1, 0, 3, 1]);
}

/// A load without any change, in steps as short as the objective, is the hardest: at every step a pod could as well be missing for a
/// while. It is not solved, but cornered, with work that is counted.
#[test]
fn what_is_too_hard_is_cornered() {
    let config = OracleConfig {
        step: Duration::from_secs(1),
        pod_capacity: 10.0,
        objective: Duration::from_secs(1),
        start_up_steps: 61,
        bounds: Bounds::new(1, 200).unwrap(),
    };
    let case = Case { demand: vec![400.0; 600], config };
    let mut oracle = case.oracle();
    for share in [0.0, 0.01] {
        let schedule = oracle.cheapest(share).unwrap();
        check(&case, &schedule, share);
        let gap = schedule.pod_steps - schedule.lower_bound;
        assert!(gap <= schedule.pod_steps / 200, "{} {}", schedule.pod_steps, schedule.lower_bound);
    }
    assert!(oracle.frontier(24)[0].pod_steps <= oracle.zero_violations().pod_steps);
}

#[test]
fn min_equal_to_max_leaves_no_choice() {
    assert_eq!(zero(&[1.0, 2.0, 0.5], 1, (2, 2)).pods, [2, 2, 2]);
    let mut oracle = simple(&[1.0, 3.0, 0.5], 1, (2, 2)).oracle();
    assert_eq!(oracle.cheapest(0.5).unwrap().pods, [2, 2, 2]);
}

#[test]
fn more_than_max_pods_serve_turns_away_the_fewest_and_says_so() {
    let schedule = zero(&[1.0, 9.0, 2.0, 2.0], 1, (1, 4));
    assert!(!schedule.is_feasible);
    assert_eq!(schedule.pods, [4, 4, 2, 2]);
    assert!((schedule.rejected - 5.0 * 30.0).abs() < 1e-9 && (schedule.allowed - 150.0).abs() < 1e-9);
    let mut oracle = simple(&[1.0, 9.0, 2.0, 2.0], 1, (1, 4)).oracle();
    let few = oracle.cheapest(5.0 / 14.0).unwrap();
    assert!(few.is_feasible && few.pods == schedule.pods);
    assert!(!oracle.cheapest(0.2).unwrap().is_feasible);
    assert!(oracle.cheapest(6.0 / 14.0).unwrap().pod_steps < few.pod_steps);
}

#[test]
fn what_cannot_be_solved_is_refused_with_what_was_wrong() {
    let good = simple(&[1.0, 2.0], 1, (1, 4));
    let refused = |case: &Case| OracleProblem::new(&case.demand, &case.config).map(drop);
    assert_eq!(refused(&good), Ok(()));
    assert_eq!(refused(&good.with(|config| config.step = Duration::ZERO)), Err(OracleError::Step));
    for capacity in [0.0, -3.0, f64::INFINITY] {
        let error = refused(&good.with(|config| config.pod_capacity = capacity));
        assert_eq!(error, Err(OracleError::PodCapacity(capacity)));
    }
    for requests in [-1.0, f64::INFINITY, 1e12] {
        let case = Case { demand: vec![0.0, requests], config: good.config };
        assert_eq!(refused(&case), Err(OracleError::Demand { step: 1, requests }));
    }
    let long = Case { demand: vec![1.0; 2_000_000], config: good.config };
    assert!(matches!(refused(&long), Err(OracleError::TooLong { steps: 2_000_000, .. })));
    let slow = Case { demand: vec![1.0; 100_000], config: OracleConfig { start_up_steps: 50_000, ..good.config } };
    assert!(matches!(refused(&slow), Err(OracleError::TooLong { .. })));
    let bounds = Bounds::new(1, 1_000_000).unwrap();
    let large = Case { demand: vec![1e6 * 30.0; 10_000], config: OracleConfig { bounds, ..good.config } };
    assert!(matches!(refused(&large), Err(OracleError::TooLarge { .. })));
    for share in [-0.1, 1.1, f64::NAN] {
        assert!(matches!(good.oracle().cheapest(share), Err(OracleError::Share(_))));
    }
}
