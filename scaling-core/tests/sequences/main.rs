//! The laws over sequences of ticks: signals vanish and return, pods come and go, writes fail, are lost or are cancelled, clocks
//! jump, floors begin and end, and the autoscaler restarts in between. Each law is told by a model of what may happen, which knows
//! the world and nothing of the code.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod world;

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use scaling_core::{Absence, Bounds, Outcome, ScalingDecision, SignalKind, Step as TickStep};
use world::{Engine, Event, Restart, Script, Setup, Sight, Step, Ticked, WORKLOADS, Window, Wish, Write, run, start};

/// The same cases every time, unless the environment asks for others.
fn config() -> ProptestConfig {
    let mut config = ProptestConfig { failure_persistence: None, max_shrink_iters: 4000, ..ProptestConfig::default() };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(0x5ca1_ab1e);
    }
    config
}

// ---- arbitrary scripts

fn window() -> impl Strategy<Value = Window> {
    (0_i64..4000, 1_i64..2500, 0_u32..50, any::<bool>()).prop_map(|(begin, length, replicas, end_is_known)| Window {
        begin,
        length,
        replicas,
        end_is_known,
    })
}

fn setup() -> impl Strategy<Value = Setup> {
    let engine = prop_oneof![3 => Just(Engine::Wishes), 1 => Just(Engine::Rules), 1 => Just(Engine::Both)];
    let limits = prop_oneof![Just((1, 60)), Just((0, 1000)), (0_u32..4, 20_u32..40)];
    let owner = (4_u32..9, 0_u32..12).prop_map(|(min, more)| (min, min + more));
    let windows = prop::collection::vec(window(), 0..3);
    let flags = (any::<bool>(), any::<bool>(), prop::bool::weighted(0.25));
    (engine, limits, owner, 5_u32..40, windows, flags).prop_map(
        |(engine, limits, owner, budget, windows, (declares, knows_owner, tight))| Setup {
            engine,
            limits,
            owner,
            budget,
            windows,
            declares,
            knows_owner,
            tight,
        },
    )
}

fn wish() -> impl Strategy<Value = Wish> {
    let rarely = || prop::bool::weighted(0.15);
    let pods = (0_u32..45, rarely(), rarely(), rarely()).prop_map(|(pods, doubtful, critical, foreseen)| Wish::Pods {
        pods,
        doubtful,
        critical,
        foreseen,
    });
    prop_oneof![
        4 => Just(Wish::Maintain),
        6 => pods,
        1 => (0_u32..50, 1_u32..1500).prop_map(|(replicas, seconds)| Wish::Floored { replicas, seconds }),
        1 => (-90_i32..120).prop_map(|percent| Wish::Requests { percent }),
        1 => Just(Wish::NoAnswer),
    ]
}

fn sight() -> impl Strategy<Value = Sight> {
    let absence = prop_oneof![
        Just(Absence::NotMeasured),
        Just(Absence::Stale { age_s: 90 }),
        Just(Absence::Partial { covered_percent: 95 }),
        Just(Absence::NotFinite),
    ];
    let without = (prop::sample::select(&SignalKind::ALL[..]), absence);
    prop_oneof![
        12 => Just(Sight::Whole),
        4 => without.prop_map(|(kind, absence)| Sight::Without(kind, absence)),
        2 => Just(Sight::Down),
        1 => Just(Sight::Old),
        2 => Just(Sight::TooLow),
        1 => Just(Sight::NoneReady),
        1 => Just(Sight::NoCount),
    ]
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        12 => Just(Write::Lands),
        1 => Just(Write::Fails),
        2 => Just(Write::AnswerIsLost),
        1 => Just(Write::CancelledBefore),
        2 => Just(Write::CancelledAfter),
        1 => Just(Write::Unreadable),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let seconds = prop::sample::select(&[90_i64, 3600, 86_400, -90, -3600, -86_400][..]);
    let clock = (seconds, any::<bool>());
    let restart = prop::sample::select(&[Restart::Carried, Restart::FromRecords, Restart::Forgotten][..]);
    prop_oneof![
        14 => Just(Event::Nothing),
        1 => (1_u32..10).prop_map(Event::PodsDie),
        1 => (1_u32..12, 0_u32..30).prop_map(|(min, more)| Event::OwnerSets(min, min + more)),
        2 => restart.prop_map(Event::Restart),
        2 => clock.prop_map(|(seconds, source_too)| Event::ClockIsWrong { seconds, source_too }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let seconds = prop::sample::select(&[15_i64, 0, 15, 30, 60, 61, 120, 299, 300, 301, 700][..]);
    let load = prop_oneof![2 => Just(2_u32), 1 => 0_u32..30];
    // One of them has more to do, so that more happens to it within a pause.
    let workload = prop_oneof![2 => Just(0), 1 => 0..WORKLOADS];
    (workload, seconds, load, wish(), sight(), write(), event()).prop_map(
        |(workload, seconds, load, wish, sight, write, event)| Step {
            workload,
            seconds,
            load,
            wish,
            sight,
            write,
            event,
        },
    )
}

/// An applier that cannot tell what the owner set leaves that to the log, which must not be lost then.
fn possible(mut script: Script) -> Script {
    if !script.setup.knows_owner {
        for step in &mut script.steps {
            match step.event {
                Event::OwnerSets(..) => step.event = Event::Nothing,
                Event::Restart(_) => step.event = Event::Restart(Restart::Carried),
                _ => {}
            }
        }
    }
    script
}

fn script() -> impl Strategy<Value = Script> {
    (setup(), prop::collection::vec(step(), 1..40)).prop_map(|(setup, steps)| possible(Script { setup, steps }))
}

// ---- the model

fn limits(script: &Script) -> Bounds {
    Bounds::new(script.setup.limits.0, script.setup.limits.1).unwrap()
}

fn clock_error(step: &Step) -> i64 {
    match step.event {
        Event::ClockIsWrong { seconds, .. } => seconds,
        _ => 0,
    }
}

fn is_critical(step: &Step) -> bool {
    matches!(step.wish, Wish::Pods { critical: true, .. })
}

/// Whether an engine says anything.
fn is_decided(script: &Script, tick: &Ticked) -> bool {
    let counted = tick.seen.as_ref().is_some_and(|seen| seen.current.replicas().is_some());
    counted && !(script.setup.engine == Engine::Wishes && tick.step.wish == Wish::NoAnswer)
}

/// A change that was made, as the world saw it.
#[derive(Clone, Copy, Debug)]
struct Made {
    workload: usize,
    at: DateTime<Utc>,
    released: u32,
    resized: bool,
    /// By a clock that was ahead.
    ahead: bool,
    /// By a tick that was cancelled, so that no record tells of it.
    unrecorded: bool,
}

/// What an autoscaler can know to have been done.
#[derive(Debug, Default)]
struct Memory {
    made: Vec<Made>,
    resizes: HashMap<usize, usize>,
}

impl Memory {
    /// What a restart or a clock that jumps back a second time takes away.
    fn before(&mut self, tick: &Ticked) {
        match tick.step.event {
            Event::Restart(Restart::Forgotten) => self.made.clear(),
            Event::Restart(Restart::FromRecords) => self.made.retain(|made| !made.unrecorded),
            Event::ClockIsWrong { seconds, .. } if seconds < 0 => {
                self.made.retain(|made| !made.ahead || tick.at - made.at > TimeDelta::hours(1));
            }
            _ => {}
        }
    }

    fn after(&mut self, tick: &Ticked) {
        let resized = self.resizes.insert(tick.step.workload, tick.resizes).unwrap_or(0) < tick.resizes;
        let error = clock_error(&tick.step);
        let moved = tick.before != tick.after;
        // What a clock that is behind does lies long ago for the next one.
        if (moved || resized) && error >= 0 {
            self.made.push(Made {
                workload: tick.step.workload,
                at: tick.at,
                released: tick.released(),
                resized,
                ahead: error > 0,
                unrecorded: tick.record.is_none(),
            });
        }
    }

    /// Pods of all workloads that were let go in the ten minutes before.
    fn released(&self, at: DateTime<Utc>) -> u32 {
        let lately = self.made.iter().filter(|made| at - made.at < TimeDelta::minutes(10));
        lately.map(|made| made.released).sum()
    }

    fn last(&self, workload: usize, of_kind: impl Fn(&Made) -> bool) -> Option<DateTime<Utc>> {
        self.made.iter().filter(|made| made.workload == workload && of_kind(made)).map(|made| made.at).max()
    }
}

/// A floor: how many pods, and until when for certain.
type Held = (u32, Option<DateTime<Utc>>);

/// The floors that must be held.
#[derive(Debug, Default)]
struct Floors {
    held: HashMap<usize, Held>,
    recorded: HashMap<usize, Held>,
}

impl Floors {
    /// The floor that is in force in a tick.
    fn at(&mut self, script: &Script, tick: &Ticked) -> u32 {
        match tick.step.event {
            Event::Restart(Restart::Forgotten) => (self.held, self.recorded) = Default::default(),
            Event::Restart(Restart::FromRecords) => self.held = self.recorded.clone(),
            _ => {}
        }
        let workload = tick.step.workload;
        let windows = script.setup.windows.iter().filter(|window| window.is_open(tick.now)).map(|window| {
            let end = start() + TimeDelta::seconds(window.begin + window.length);
            (window.replicas, window.end_is_known.then_some(end))
        });
        let asked = match (tick.step.wish, script.setup.engine) {
            (Wish::Floored { replicas, seconds }, Engine::Wishes | Engine::Both) if is_decided(script, tick) => {
                Some((replicas, Some(tick.now + TimeDelta::seconds(seconds.into()))))
            }
            _ => None,
        };
        // Of equal ones the first.
        let due = asked.into_iter().chain(windows).reduce(|best, other| if other.0 > best.0 { other } else { best });
        if is_decided(script, tick) {
            if tick.step.write != Write::Unreadable {
                let keep = |floors: &mut HashMap<usize, Held>| match due {
                    Some(due) => floors.insert(workload, due),
                    None => floors.remove(&workload),
                };
                keep(&mut self.held);
                if tick.record.is_some() {
                    keep(&mut self.recorded);
                }
            }
            due.map_or(0, |due| due.0)
        } else {
            let held = self.held.get(&workload).filter(|held| held.1.is_some_and(|end| tick.now < end));
            due.map_or(0, |due| due.0).max(held.map_or(0, |held| held.0))
        }
    }
}

/// A change that was made while the clock was an hour behind took the place of the one before, and its pause with it.
#[test]
fn law_12_a_change_under_a_clock_that_is_behind_leaves_the_pause_of_the_one_before() {
    let step = |wish, write, event| Step { workload: 0, seconds: 15, load: 2, wish, sight: Sight::Whole, write, event };
    let setup = Setup {
        engine: Engine::Wishes,
        limits: (1, 60),
        owner: (4, 4),
        budget: 5,
        windows: vec![],
        declares: false,
        knows_owner: false,
        tight: false,
    };
    let grows = Wish::Pods { pods: 5, doubtful: false, critical: false, foreseen: false };
    let behind = Event::ClockIsWrong { seconds: -3600, source_too: false };
    let steps = vec![
        step(grows, Write::AnswerIsLost, Event::Nothing),
        step(Wish::Floored { replicas: 5, seconds: 1 }, Write::Lands, behind),
        step(Wish::Maintain, Write::Lands, Event::Nothing),
    ];
    let ticks: Vec<Ticked> = run(&Script { setup, steps }, None).into_iter().collect();
    assert_eq!(ticks[1].after.min(), 5, "{ticks:?}");
    assert!(!ticks[2].lowers(), "{ticks:?}");
}

// ---- the laws

proptest! {
    #![proptest_config(config())]

    #[test]
    fn law_1_bounds_stay_within_the_limits_and_an_hpa_outside_them_is_left_alone(script in script()) {
        let hard = limits(&script);
        for tick in run(&script, None) {
            prop_assert!(tick.after == tick.before || hard.contains(tick.before), "{tick:?}");
            prop_assert!(tick.after == tick.before || hard.contains(tick.after), "{tick:?}");
        }
    }

    #[test]
    fn law_2_nothing_is_lowered_while_something_is_not_seen(script in script()) {
        for tick in run(&script, None) {
            let old = tick.step.sight == Sight::Old && tick.step.event == Event::Nothing;
            prop_assert!(!((tick.blind || old) && tick.lowers()), "{tick:?}");
        }
    }

    #[test]
    fn law_2_growth_passes_whatever_else_is_not_seen(mut script in script()) {
        script.setup.engine = Engine::Wishes;
        let hard = limits(&script);
        for tick in run(&script, None) {
            let Wish::Pods { pods, doubtful, critical, foreseen } = tick.step.wish else { continue };
            let is_seen = matches!(tick.step.sight, Sight::Whole | Sight::TooLow | Sight::NoneReady | Sight::Without(..));
            let certain = critical || !doubtful;
            let undisturbed = tick.step.write == Write::Lands && clock_error(&tick.step) == 0;
            if !(is_seen && certain && undisturbed && hard.contains(tick.before) && pods > tick.running) {
                continue;
            }
            let allowed = pods.min((2 * tick.running).max(1)).min(hard.max().max(tick.running));
            if allowed > tick.running {
                let floor = if foreseen { allowed } else { allowed.div_ceil(2) };
                prop_assert!(tick.after.min() >= floor.min(hard.max()), "{allowed} pods: {tick:?}");
                prop_assert!(tick.after.max() >= (allowed + 5).min(hard.max()), "{allowed} pods: {tick:?}");
            }
        }
    }

    #[test]
    fn law_5_the_same_script_gives_the_same_records(script in script()) {
        let written = || {
            let records: Vec<_> = run(&script, None).into_iter().filter_map(|tick| tick.record).collect();
            serde_json::to_string(&records).unwrap()
        };
        prop_assert_eq!(written(), written());
    }

    #[test]
    fn law_5_what_happens_to_others_changes_no_record(mut script in script()) {
        // But for the budget, which is shared.
        script.setup.budget = u32::MAX;
        let written = |ticks: Vec<Ticked>| -> Vec<String> {
            let own = ticks.into_iter().filter(|tick| tick.step.workload == 0).filter_map(|tick| tick.record);
            own.map(|record| serde_json::to_string(&record).unwrap()).collect()
        };
        prop_assert_eq!(written(run(&script, Some(0))), written(run(&script, None)));
    }

    #[test]
    fn law_5_a_restart_from_records_is_as_good_as_none(mut script in script()) {
        script.setup.knows_owner = true;
        for step in &mut script.steps {
            // Of a tick that was cancelled no record tells.
            if step.write.is_cancelled() {
                step.write = Write::AnswerIsLost;
            }
            if step.event == Event::Restart(Restart::Forgotten) {
                step.event = Event::Nothing;
            }
        }
        let mut whole = script.clone();
        for step in &mut whole.steps {
            if matches!(step.event, Event::Restart(_)) {
                step.event = Event::Nothing;
            }
        }
        let written = |script: &Script| -> Vec<String> {
            run(script, None).into_iter().map(|tick| serde_json::to_string(&tick.record).unwrap()).collect()
        };
        prop_assert_eq!(written(&script), written(&whole));
    }

    #[test]
    fn law_6_each_tick_moves_the_bounds_in_the_direction_of_what_was_decided(script in script()) {
        for tick in run(&script, None) {
            let Some(record) = &tick.record else { continue };
            let counted = tick.seen.as_ref().and_then(|seen| seen.current.replicas());
            let (Some(decision), Some(current)) = (&record.decision, counted) else {
                // Nothing but a floor, which moves the min alone.
                prop_assert_eq!(tick.after.max(), tick.before.max().max(tick.after.min()), "{:?}", tick);
                continue;
            };
            let is_refused = |outcome: &Outcome| matches!(outcome, Outcome::Refused { .. });
            let refused = is_refused(&record.outcome) || record.withheld.as_ref().is_some_and(is_refused);
            if decision.desired_replicas > current && !refused {
                prop_assert!(!tick.lowers(), "{tick:?}");
            }
            if decision.desired_replicas <= current && !decision.foreseen && record.floor.is_none() {
                prop_assert!(!tick.raises(), "{tick:?}");
            }
        }
    }

    #[test]
    fn law_6_the_same_tick_once_more_changes_nothing_more(script in script()) {
        let mut twice = script.clone();
        twice.steps = script.steps.iter().flat_map(|step| {
            let again = Step { seconds: 0, event: Event::Nothing, ..*step };
            [*step, again]
        }).collect();
        for pair in run(&twice, None).chunks(2) {
            let [first, second] = pair else { continue };
            // The clock of the second is right again; a critical shrink waits for no pause.
            let same = clock_error(&first.step) == 0 && first.step.write == Write::Lands && !is_critical(&first.step);
            // What a restart has forgotten is no pause either, nor is what was not moved.
            if same && first.after != first.before && first.running == second.running {
                prop_assert!(second.after == first.after, "{first:?}\n{second:?}");
            }
        }
    }

    #[test]
    fn law_7_a_floor_that_is_due_is_held_whatever_else_happens(script in script()) {
        let hard = limits(&script);
        let mut floors = Floors::default();
        for tick in run(&script, None) {
            let floor = floors.at(&script, &tick);
            let lands = matches!(tick.step.write, Write::Lands | Write::AnswerIsLost | Write::CancelledAfter);
            if lands && hard.contains(tick.before) {
                prop_assert!(tick.after.min() >= hard.clamp(floor), "a floor of {floor}: {tick:?}");
            }
        }
    }

    #[test]
    fn law_7_what_was_raised_is_given_back_to_the_owner(script in script()) {
        let hard = limits(&script);
        let script = script.and_calm(60);
        let ticks = run(&script, None);
        for tick in &ticks[ticks.len() - WORKLOADS..] {
            if !hard.contains(tick.before) {
                continue;
            }
            let (running, owner) = (tick.running, tick.owner);
            // Half of what runs may be held, for as long as it is less than was asked for. While more is asked for than the
            // owner allows, the max keeps up to twice its headroom; below that it is the owner's again.
            let max = if running + 5 > owner.max() { running + 10 } else { owner.max() };
            let most = Bounds::new(owner.min().max(running.div_ceil(2)), max).unwrap();
            prop_assert!(tick.after.min() >= owner.min() && tick.after.min() <= hard.clamp(most.min()), "{tick:?}");
            let least = if script.setup.tight { running } else { owner.max() };
            prop_assert!(tick.after.max() >= least && tick.after.max() <= hard.clamp(most.max()), "{tick:?}");
        }
    }

    #[test]
    fn law_7_where_only_floors_raise_the_min_it_comes_back_to_what_it_was(mut script in script()) {
        script.setup.engine = Engine::Wishes;
        let hard = limits(&script);
        for step in &mut script.steps {
            if matches!(step.wish, Wish::Pods { .. }) {
                step.wish = Wish::Maintain;
            }
            if step.event == Event::Restart(Restart::Forgotten) {
                step.event = Event::Restart(Restart::Carried);
            }
            // A floor that was raised by a tick of which nothing is known is taken for a request.
            if step.write.is_cancelled() {
                step.write = Write::AnswerIsLost;
            }
        }
        let ticks = run(&script.and_calm(60), None);
        for tick in &ticks[ticks.len() - WORKLOADS..] {
            if hard.contains(tick.before) {
                prop_assert_eq!(tick.after.min(), tick.owner.min(), "{:?}", tick);
            }
        }
    }

    #[test]
    fn law_10_every_record_tells_what_became_of_the_bounds(script in script()) {
        for tick in run(&script, None) {
            let Some(record) = &tick.record else { continue };
            match (&record.outcome, record.change) {
                (Outcome::Applied, Some(change)) => prop_assert_eq!((change.old, change.new), (tick.before, tick.after)),
                // The answer to a write was lost: what was tried is said, and that it failed.
                (Outcome::Failed { step: TickStep::Apply, error, transient, .. }, Some(change)) => {
                    prop_assert!([change.old, change.new].contains(&tick.after), "{tick:?}");
                    prop_assert!(!error.is_empty() && *transient);
                }
                (outcome, change) => {
                    prop_assert_eq!(tick.before, tick.after, "{:?}", outcome);
                    let unsaid = matches!(outcome, Outcome::Unchanged { .. }) && change.is_some_and(|change| change.resources.is_none());
                    prop_assert!(!unsaid, "{tick:?}");
                }
            }
            if tick.step.write != Write::Unreadable {
                prop_assert_eq!(record.bounds, Some(tick.before));
            }
            // A shrink that is not let through says why.
            if tick.blind && record.decision.as_ref().is_some_and(ScalingDecision::shrinks) {
                let named = format!("{:?} {:?}", record.outcome, record.withheld);
                prop_assert!(named.contains("Refused"), "{tick:?}");
            }
        }
    }

    #[test]
    fn law_11_no_bound_makes_a_pod_leave(script in script()) {
        for tick in run(&script, None) {
            prop_assert!(tick.after.max() >= tick.running.min(tick.before.max()), "{tick:?}");
            if let Some(record) = tick.record.as_ref().filter(|record| record.outcome == Outcome::Applied) {
                prop_assert!(record.change.unwrap().released >= tick.released(), "not all is counted: {tick:?}");
            }
        }
    }

    #[test]
    fn law_12_the_budget_counts_whatever_was_let_go(script in script()) {
        let mut memory = Memory::default();
        for tick in run(&script, None) {
            memory.before(&tick);
            let (before, released) = (memory.released(tick.at), tick.released());
            if released > 0 && clock_error(&tick.step) <= 0 {
                prop_assert!(before + released <= script.setup.budget,
                    "{released} after {before} of {}: {tick:?}\n{memory:?}", script.setup.budget);
            }
            memory.after(&tick);
        }
    }

    #[test]
    fn law_12_a_pause_counts_from_whatever_was_changed(script in script()) {
        let mut memory = Memory::default();
        for tick in run(&script, None) {
            memory.before(&tick);
            let foreseen = matches!(tick.step.wish, Wish::Pods { foreseen: true, .. })
                && script.setup.engine != Engine::Rules;
            let pause = TimeDelta::seconds(if foreseen { 15 } else { 300 });
            let since = memory.last(tick.step.workload, |_| true).map(|at| tick.at - at);
            let waited = since.is_none_or(|since| since >= pause);
            let right = clock_error(&tick.step) <= 0 && !is_critical(&tick.step);
            // The rules may be critical on their own account.
            let says = tick.record.as_ref().and_then(|record| record.decision.as_ref());
            let urgent = script.setup.engine != Engine::Wishes
                && says.is_none_or(|decision| decision.urgency == scaling_core::Urgency::Critical);
            if right && !urgent && tick.lowers() {
                prop_assert!(waited, "{since:?} after the last change: {tick:?}\n{memory:?}");
            }
            let known = memory.resizes.get(&tick.step.workload).copied().unwrap_or(0);
            if right && !urgent && tick.resizes > known {
                let since = memory.last(tick.step.workload, |made| made.resized).map(|at| tick.at - at);
                let waited = since.is_none_or(|since| since >= TimeDelta::minutes(5));
                prop_assert!(waited, "{since:?} after the last change of requests: {tick:?}");
            }
            memory.after(&tick);
        }
    }
}
