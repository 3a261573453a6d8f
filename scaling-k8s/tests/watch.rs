//! Watching a change: undone when it does harm, and neither undone nor taken for harmless where nobody can tell.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;
use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::moment::Moment;
use scaling_core::{
    ApplyMode, Bounds, BoundsChange, DecisionRecord, HpaState, Observation, Outcome, ScalingMetrics, SignalKind, Step,
    Target,
};
use scaling_k8s::history::{
    Change, Health, HealthCheck, History, Look, ObservedHealth, RollbackRefused, Watch, WatchConfig, Watched,
};

fn bounds(min: u32, max: u32) -> Bounds {
    Bounds::new(min, max).unwrap()
}

fn target() -> Target {
    Target::deployment("shop", "checkout")
}

fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap() + TimeDelta::minutes(minutes)
}

fn record(minutes: i64, old: Bounds, new: Bounds) -> DecisionRecord {
    let mut record = DecisionRecord::new(target(), at(minutes), ApplyMode::Apply);
    record.bounds = Some(old);
    record.change = Some(BoundsChange { old, new, released: 0, min_without_floor: None, resources: None });
    record.outcome = Outcome::Applied;
    record
}

fn history(records: &[DecisionRecord]) -> History {
    let mut history = History::new();
    for record in records {
        history.take(record, "kube-scaling");
    }
    history
}

/// A history with a change from 6..12 to 2..12 at minute 0, and a watch of it.
fn lowered() -> (History, Watch) {
    let history = history(&[record(0, bounds(6, 12), bounds(2, 12))]);
    let mut watch = Watch::new(WatchConfig::default());
    assert_eq!(watch.begin(&target(), &history), None);
    (history, watch)
}

fn burning() -> Health {
    Health::Burning("5 % fail".into())
}

fn unknown() -> Health {
    Health::Unknown("the source is down".into())
}

fn ask(watch: &mut Watch, history: &History, minute: i64, health: &Health) -> Option<Watched> {
    let newest = history.of(&target()).next_back().map_or(bounds(6, 12), |change| change.after);
    let mut check = |_: &Target, _: &Change, look: &Look<'_>| {
        assert_eq!(look.now, at(minute), "it is asked for the time of the tick");
        health.clone()
    };
    watch.ask(&target(), history, &Look::new(HpaState::new(newest), at(minute)), &mut check)
}

#[test]
fn a_change_that_burns_twice_in_a_row_is_undone_once() {
    let (history, mut watch) = lowered();
    for (minute, health) in [(1, burning()), (2, Health::Healthy), (3, burning()), (4, unknown())] {
        let said = ask(&mut watch, &history, minute, &health);
        assert_eq!(said, Some(Watched::Watching { until: at(10), health }));
    }
    let Some(Watched::Burns { rollback, why }) = ask(&mut watch, &history, 5, &burning()) else { panic!() };
    assert_eq!((rollback.from(), rollback.to(), why.as_str()), (bounds(2, 12), bounds(6, 12), "5 % fail"));
    assert_eq!(ask(&mut watch, &history, 6, &burning()), None, "it has ended");
}

#[test]
fn a_check_that_cannot_tell_is_said_and_taken_for_neither() {
    for (answers, said) in [
        (vec![], "the check was not asked within the window"),
        (vec![unknown(); 9], "the check could not tell: the source is down"),
        (vec![Health::Healthy, unknown()], "the check could not tell: the source is down"),
        (vec![Health::Healthy, burning()], "it burnt at last, too late to be sure: 5 % fail"),
    ] {
        let (history, mut watch) = lowered();
        for (minute, health) in (1..).zip(answers) {
            assert!(matches!(ask(&mut watch, &history, minute, &health), Some(Watched::Watching { .. })));
        }
        let end = ask(&mut watch, &history, 11, &burning()).unwrap();
        assert_eq!(end, Watched::Unjudged { number: 1, why: said.to_owned() });
        assert_eq!(end.to_string(), format!("whether change #1 did harm is not known: {said}"));
    }
    let (history, mut watch) = lowered();
    assert!(ask(&mut watch, &history, 10, &Health::Healthy).is_some());
    assert_eq!(ask(&mut watch, &history, 11, &burning()), Some(Watched::Passed { number: 1 }));
}

#[test]
fn what_somebody_else_changed_is_not_undone_and_that_is_said() {
    let (history, mut watch) = lowered();
    let mut check = |_: &Target, _: &Change, _: &Look<'_>| burning();
    let found = HpaState::new(bounds(4, 12));
    assert!(watch.ask(&target(), &history, &Look::new(found, at(1)), &mut check).is_some());
    let stuck = watch.ask(&target(), &history, &Look::new(found, at(2)), &mut check).unwrap();
    let Watched::Stuck { number: 1, refused: RollbackRefused::ChangedSince { .. }, .. } = stuck else {
        panic!("{stuck:?}")
    };
}

#[test]
fn law_12_a_change_of_which_nobody_knows_is_undone_once_a_read_tells() {
    let mut lost = record(0, bounds(6, 12), bounds(2, 12));
    lost.outcome =
        Outcome::Failed { step: Step::Apply, error: "reset".into(), transient: true, may_have_happened: true };
    let mut kept = history(&[lost]);
    let mut watch = Watch::new(WatchConfig::default());
    watch.begin(&target(), &kept);
    let never = watch.clone();
    assert!(matches!(ask(&mut watch, &kept, 1, &burning()), Some(Watched::Watching { .. })));
    // Beyond the window too: that it burns is certain.
    for (minute, health) in [(2, burning()), (30, Health::Healthy)] {
        let waiting = ask(&mut watch, &kept, minute, &health).unwrap();
        assert!(matches!(waiting, Watched::Waiting { refused: RollbackRefused::Uncertain { number: 1 }, .. }));
    }
    let mut read = DecisionRecord::new(target(), at(31), ApplyMode::Apply);
    read.bounds = Some(bounds(2, 12));
    kept.take(&read, "kube-scaling");
    assert!(matches!(ask(&mut watch, &kept, 32, &burning()), Some(Watched::Burns { .. })));
    // It was never made.
    let mut watch = never;
    read.bounds = Some(bounds(6, 12));
    let said = ask(&mut watch, &history(&[read]), 1, &burning());
    assert!(matches!(said, Some(Watched::Unjudged { number: 1, .. })), "{said:?}");
}

#[test]
fn changes_since_the_workload_was_well_are_undone_together() {
    for (health, to) in [(burning(), bounds(6, 12)), (unknown(), bounds(6, 12)), (Health::Healthy, bounds(4, 12))] {
        let first = record(0, bounds(6, 12), bounds(4, 12));
        let both = history(&[first.clone(), record(5, bounds(4, 12), bounds(2, 12))]);
        let mut watch = Watch::new(WatchConfig::default());
        watch.begin(&target(), &history(&[first]));
        assert!(ask(&mut watch, &both, 1, &health).is_some());
        watch.begin(&target(), &both);
        watch.begin(&target(), &both);
        let said: Vec<_> = (6..8).filter_map(|minute| ask(&mut watch, &both, minute, &burning())).collect();
        let Some(Watched::Burns { rollback, .. }) = said.last() else { panic!("{health}: {said:?}") };
        assert_eq!(rollback.to(), to, "{health}");
    }
}

#[test]
fn an_undo_is_not_watched() {
    let (mut history, mut watch) = lowered();
    let mut undone = record(1, bounds(2, 12), bounds(6, 12));
    undone.undo = Some(scaling_core::Undoing { why: "it burnt".into(), held: None });
    history.take(&undone, "us");
    assert_eq!(watch.begin(&target(), &history), None);
    assert_eq!(watch.targets().count(), 0);
    assert_eq!(ask(&mut watch, &history, 2, &burning()), None);
}

/// Minute, errors, response time, and pods that are ready and asked for.
type Sample = (i64, Option<f64>, Option<f64>, (u32, u32));

/// The change of [`lowered`] as [`ObservedHealth`] judges it by these samples.
fn observed(samples: &[Sample], rate: f64) -> Health {
    let (history, _) = lowered();
    let change = history.of(&target()).next().unwrap();
    let samples = samples.iter().map(|(minute, errors, wait, (ready, asked))| {
        let mut metrics = ScalingMetrics::new(at(*minute), *ready).with(SignalKind::RequestRate, rate);
        metrics.desired_pod_count = Some(*asked);
        for (kind, value) in [(SignalKind::ErrorRate, errors), (SignalKind::ResponseTime, wait)] {
            metrics = value.map_or(metrics.clone(), |value| metrics.with(kind, value));
        }
        metrics
    });
    let (seen, _) = Observation::from_samples(target(), samples.collect()).unwrap();
    let look = Look::new(HpaState::new(bounds(2, 12)), seen.now).seen(Some(&seen));
    ObservedHealth::default().check(&target(), change, &look)
}

#[test]
fn what_the_source_sees_is_judged_against_what_it_was_before() {
    let well = (6, 6);
    let said = |samples: &[_], rate| observed(samples, rate).to_string();
    // Errors.
    assert_eq!(said(&[(-1, Some(0.2), None, well), (3, Some(0.9), None, (2, 2))], 50.0), "healthy");
    assert_eq!(
        said(&[(-1, Some(0.2), None, well), (3, Some(4.0), None, (2, 2))], 50.0),
        "burning: 4 % of the requests fail, the budget is 1 %, and it was 0.2 % before the change"
    );
    assert_eq!(
        said(&[(-1, Some(3.0), None, well), (3, Some(4.0), None, (2, 2))], 50.0),
        "healthy",
        "it was ill already"
    );
    assert!(said(&[(3, Some(4.0), None, (2, 2))], 50.0).starts_with("unknown: 4 % of the requests fail"));
    assert!(
        said(&[(-1, Some(0.2), None, well), (3, None, None, (2, 2))], 50.0).starts_with("unknown: "),
        "errors vanished"
    );
    assert_eq!(said(&[(-1, Some(0.2), None, well), (3, Some(4.0), None, (2, 2))], 0.0), "healthy", "nothing arrives");
    // Response times, against an objective of one second.
    assert!(
        said(&[(-1, None, Some(300.0), well), (3, None, Some(2500.0), (2, 2))], 50.0)
            .contains("2500 ms is the response time, the objective is 1000 ms")
    );
    // Pods.
    assert!(
        said(&[(-1, Some(0.0), None, well), (3, Some(0.0), None, (1, 4))], 50.0)
            .contains("burning: 1 pods are ready, of 4")
    );
    assert_eq!(
        said(&[(-1, Some(0.0), None, well), (1, Some(0.0), None, (1, 4))], 50.0),
        "healthy",
        "they may be starting"
    );
    assert_eq!(said(&[(-1, Some(0.0), None, well), (3, Some(0.0), None, (6, 40))], 50.0), "healthy", "most are new");
    // Metrics of before the change say nothing of it.
    assert!(said(&[(-1, Some(9.0), None, well)], 50.0).contains("not newer than the change"));
}

#[test]
fn a_check_without_anything_to_see_says_so_and_raised_bounds_are_not_watched() {
    let (history, _) = lowered();
    let lowered = history.of(&target()).next().unwrap();
    let mut check = ObservedHealth::default();
    let blind = check.check(&target(), lowered, &Look::new(HpaState::new(bounds(2, 12)), at(3)));
    assert_eq!(blind.to_string(), "unknown: nothing is seen of the workload");
    let mut raised = lowered.clone();
    (raised.before, raised.after) = (bounds(2, 12), bounds(6, 12));
    assert!(check.watches(lowered) && !check.watches(&raised));
    let function = |_: &Target, _: &Change, _: &Look<'_>| Health::Healthy;
    assert!(HealthCheck::watches(&function, &raised));
}

#[test]
fn a_change_by_a_clock_that_was_ahead_is_watched_for_its_window_from_the_first_look_on() {
    let history = history(&[record(60, bounds(6, 12), bounds(2, 12))]);
    let mut watch = Watch::new(WatchConfig::default());
    watch.begin(&target(), &history);
    let mut seen = Vec::new();
    let mut ask = |minute| {
        let mut check = |_: &Target, change: &Change, _: &Look<'_>| {
            seen.push(change.at);
            Health::Healthy
        };
        watch.ask(&target(), &history, &Look::new(HpaState::new(bounds(2, 12)), at(minute)), &mut check).unwrap()
    };
    for minute in [1, 5, 11] {
        assert_eq!(ask(minute), Watched::Watching { until: at(11), health: Health::Healthy });
    }
    assert_eq!(ask(12), Watched::Passed { number: 1 });
    assert_eq!(seen, [at(1); 3], "metrics after that are newer than the change");
}

#[test]
fn nothing_is_watched_without_a_change() {
    let mut watch = Watch::new(WatchConfig::default());
    assert_eq!(watch.begin(&target(), &History::new()), None);
    assert_eq!(ask(&mut watch, &History::new(), 1, &burning()), None);
    let (history, mut watch) = lowered();
    assert_eq!(watch.targets().count(), 1);
    watch.forget(&target());
    assert_eq!(ask(&mut watch, &history, 1, &burning()), None);
}

fn health() -> impl Strategy<Value = Health> {
    prop_oneof![Just(Health::Healthy), Just(burning()), Just(unknown())]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// It is undone exactly when the window has so many burning answers in a row, and passed only if the last answer was a healthy one.
    #[test]
    fn a_watch_ends_as_its_answers_say(
        answers in proptest::collection::vec((-5..15i64, health()), 0..30),
        needed in 0..4u32,
        window in 0..12u64,
    ) {
        let mut config = WatchConfig::default();
        config.burning_in_a_row = needed;
        config.window = std::time::Duration::from_secs(window * 60);
        let history = history(&[record(0, bounds(6, 12), bounds(2, 12))]);
        let mut watch = Watch::new(config);
        watch.begin(&target(), &history);
        let (mut row, mut last, mut ended, mut since) = (0, None, false, Moment::new(at(0)));
        for (minute, health) in answers {
            let said = ask(&mut watch, &history, minute, &health);
            if ended {
                prop_assert_eq!(said, None);
                continue;
            }
            // A look before the change is one by a clock that was set back: the window counts from it.
            let late = at(minute) > since.look(at(minute)) + TimeDelta::minutes(i64::try_from(window).unwrap());
            if !late {
                row = match health { Health::Healthy => 0, Health::Burning(_) => row + 1, _ => row };
                last = Some(health.clone());
            }
            let burns = !late && row >= needed.max(1) && matches!(health, Health::Burning(_));
            ended = late || burns;
            match said.unwrap() {
                Watched::Watching { health: told, .. } => prop_assert!(!ended && told == health),
                Watched::Burns { rollback, .. } => prop_assert!(burns && rollback.to() == bounds(6, 12)),
                Watched::Passed { .. } => prop_assert!(late && last == Some(Health::Healthy)),
                Watched::Unjudged { .. } => prop_assert!(late && last != Some(Health::Healthy)),
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }

    /// No instant and no window is beyond it.
    #[test]
    fn neither_end_of_time_is_beyond_it(seconds in any::<u64>(), late in any::<bool>()) {
        let now = if late { DateTime::<Utc>::MAX_UTC } else { DateTime::<Utc>::MIN_UTC };
        let mut config = WatchConfig::default();
        config.window = std::time::Duration::from_secs(seconds);
        let history = history(&[record(0, bounds(6, 12), bounds(2, 12))]);
        let mut watch = Watch::new(config);
        watch.begin(&target(), &history);
        let mut check = |_: &Target, _: &Change, _: &Look<'_>| Health::Healthy;
        prop_assert!(watch.ask(&target(), &history, &Look::new(HpaState::new(bounds(2, 12)), now), &mut check).is_some());
    }
}
