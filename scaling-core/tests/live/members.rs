//! Workloads that come and go, are spread over the interval, and are handed over to different degrees.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use scaling_core::live::{Cadence, Loop, LoopReport, Member, SimulatedClock, Stop, Ticked};
use scaling_core::{
    Adoption, ApplyMode, Autoscaler, DecisionRecord, HardLimits, HpaApplier, MemoryApplier, MemoryRecorder, Outcome,
    Target,
};

use super::world::{Answer, Calendar, Hanging, Scripted, bounds, hpas, minute, start, target};

/// Instant, batch, who joined and who left, of a tick.
type Seen = (DateTime<Utc>, u32, Vec<Target>, Vec<Target>);

struct Run {
    report: LoopReport,
    records: Vec<DecisionRecord>,
    ticks: Vec<Seen>,
    autoscaler: Arc<Autoscaler>,
    asked: Vec<DateTime<Utc>>,
}

/// A floor of six pods is due from the second minute on, over HPAs of 2 to 10.
async fn run(
    ticks: usize,
    applier: impl HpaApplier + 'static,
    script: Vec<Answer>,
    members: impl FnMut(DateTime<Utc>) -> Vec<Member> + Send + 'static,
    set: impl FnOnce(Loop) -> Loop,
) -> Run {
    let (clock, recorder) = (Arc::new(SimulatedClock::at(start())), Arc::new(MemoryRecorder::new()));
    let source = Scripted::new(&clock, script);
    let asked = Arc::clone(&source.asked);
    let autoscaler = Autoscaler::builder()
        .source(source)
        .engine(Calendar { from: minute(1), replicas: 6 })
        .applier(applier)
        .recorder(Arc::clone(&recorder))
        .mode(ApplyMode::Apply)
        .build();
    let (autoscaler, stop, seen) = (Arc::new(autoscaler), Stop::new(), Arc::new(Mutex::new(Vec::new())));
    let (enough, kept) = (stop.clone(), Arc::clone(&seen));
    let hook = move |tick: &Ticked, _: &LoopReport| {
        let mut kept = kept.lock().unwrap();
        kept.push((tick.at, tick.batch, tick.joined.clone(), tick.left.clone()));
        if kept.len() == ticks {
            enough.request();
        }
    };
    let looped = Loop::over(Arc::clone(&autoscaler), Cadence::default(), members).clock(clock).after_tick(hook);
    let report = set(looped).run(&stop).await;
    let (ticks, asked) = (seen.lock().unwrap().clone(), asked.lock().unwrap().clone());
    Run { report, records: recorder.records(), ticks, autoscaler, asked }
}

fn members(numbers: impl IntoIterator<Item = usize>) -> Vec<Member> {
    numbers.into_iter().map(|nth| target(nth).into()).collect()
}

#[tokio::test(start_paused = true)]
async fn workloads_that_appear_are_ticked_and_those_that_vanish_are_forgotten() {
    let list = |now| if now < minute(2) { members([0, 1]) } else { members([1, 2]) };
    let run = run(4, hpas(3), vec![], list, |looped| looped).await;
    let joined: Vec<_> = run.ticks.iter().map(|tick| tick.2.clone()).collect();
    assert_eq!(joined, [vec![target(0), target(1)], vec![], vec![target(2)], vec![]]);
    let left: Vec<_> = run.ticks.iter().map(|tick| tick.3.clone()).collect();
    assert_eq!(left, [vec![], vec![], vec![target(0)], vec![]]);
    assert_eq!((run.report.records, run.records.len()), (8, 8));
    let log = run.autoscaler.change_log();
    let known = [0, 1, 2].map(|nth| log.last_changes(&target(nth)).grown);
    assert_eq!(known, [None, Some(minute(1)), Some(minute(2))], "what is gone is not remembered");
}

#[tokio::test(start_paused = true)]
async fn law_12_a_workload_that_joins_from_another_replica_counts_as_changed() {
    let run = run(1, hpas(1), vec![], |_| members([0]), Loop::joining_as_changed).await;
    assert_eq!(run.autoscaler.change_log().last_changes(&target(0)).any(), Some(start()));
}

#[tokio::test(start_paused = true)]
async fn law_12_a_workload_that_was_lost_and_taken_over_between_two_ticks_joins() {
    let first = tokio::time::Instant::now();
    let list = move |now| {
        let tenure = first + Duration::from_secs(u64::from(now >= minute(2)));
        vec![Member::new(target(0)).held_since(tenure)]
    };
    let run = run(4, hpas(1), vec![], list, Loop::joining_as_changed).await;
    let joined: Vec<_> = run.ticks.iter().map(|tick| tick.2.len()).collect();
    assert_eq!(joined, [1, 0, 1, 0]);
    assert_eq!(run.ticks.iter().map(|tick| tick.3.len()).sum::<usize>(), 0);
    assert_eq!(run.autoscaler.change_log().last_changes(&target(0)).any(), Some(minute(2)));
}

#[tokio::test(start_paused = true)]
async fn a_workload_that_is_elsewhere_is_handed_over_and_forgotten_when_it_is_gone_from_there() {
    let list = |now| if now == minute(1) || now > minute(2) { members([]) } else { members([0]) };
    let (asked, told) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(Vec::new())));
    let tell = Arc::clone(&told);
    let elsewhere = move |_: &Target| {
        *asked.lock().unwrap() += 1;
        // At minutes 1 and 3; and no more at 4.
        *asked.lock().unwrap() <= 2
    };
    let autoscaler = Autoscaler::builder()
        .source(Scripted::new(&Arc::new(SimulatedClock::at(start())), vec![]))
        .engine(Calendar { from: minute(1), replicas: 6 })
        .applier(hpas(1))
        .build();
    let stop = Stop::new();
    let enough = stop.clone();
    Loop::over(autoscaler, Cadence::default(), list)
        .clock(SimulatedClock::at(start()))
        .elsewhere(elsewhere)
        .after_tick(move |tick, report| {
            tell.lock().unwrap().push((tick.joined.len(), tick.handed_over.len(), tick.left.len()));
            if report.ticks == 6 {
                enough.request();
            }
        })
        .run(&stop)
        .await;
    assert_eq!(*told.lock().unwrap(), [(1, 0, 0), (0, 1, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)]);
}

/// Time passes over each decision, and nothing is waited for.
struct Busy;

#[async_trait::async_trait]
impl scaling_core::DecisionEngine for Busy {
    fn name(&self) -> &'static str {
        "busy"
    }

    async fn decide(
        &self,
        seen: &scaling_core::Observation,
    ) -> Result<scaling_core::ScalingDecision, scaling_core::EngineError> {
        let _ = futures::FutureExt::now_or_never(tokio::time::advance(Duration::from_secs(10)));
        Ok(scaling_core::ScalingDecision::replicas("busy", seen.current.timestamp, 3, 3))
    }
}

#[tokio::test(start_paused = true)]
async fn ticks_that_wait_for_nothing_end_at_the_deadline_all_the_same() {
    let clock = Arc::new(SimulatedClock::at(start()));
    let autoscaler = Autoscaler::builder().source(Scripted::new(&clock, vec![])).engine(Busy).applier(hpas(10)).build();
    let (stop, cut) = (Stop::new(), Arc::new(Mutex::new(0)));
    let (enough, tell) = (stop.clone(), Arc::clone(&cut));
    Loop::over(autoscaler, Cadence::default(), |_| members(0..10))
        .clock(clock)
        .after_tick(move |tick, _| {
            *tell.lock().unwrap() = tick.cut_off.len();
            enough.request();
        })
        .run(&stop)
        .await;
    assert_eq!(*cut.lock().unwrap(), 4, "six of ten seconds each fit into 54 s");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_for_ever_is_one() {
    let run =
        run(2, hpas(1), vec![], |_| members(0..1), |looped| looped.deadline(Duration::MAX).grace(Duration::MAX)).await;
    assert_eq!((run.report.ticks, run.report.records), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn without_workloads_nothing_is_asked_for() {
    let run = run(3, MemoryApplier::new(), vec![], |_| vec![], |looped| looped).await;
    assert_eq!((run.report.ticks, run.report.records, run.report.failed, run.asked.len()), (3, 0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn workloads_are_spread_over_the_interval_and_each_keeps_its_instant() {
    let run = run(8, hpas(40), vec![], |_| members(0..40), |looped| looped.batches(4)).await;
    let instants: Vec<_> = run.ticks.iter().map(|tick| (tick.0 - start()).num_seconds()).collect();
    assert_eq!(instants, [0, 15, 30, 45, 60, 75, 90, 105]);
    assert_eq!(run.asked.len(), 8, "a batch is asked for at once");
    let mut by_target: BTreeMap<&Target, Vec<DateTime<Utc>>> = BTreeMap::new();
    for record in &run.records {
        by_target.entry(&record.target).or_default().push(record.at);
    }
    assert_eq!((by_target.len(), run.report.records), (40, 80));
    for (target, at) in &by_target {
        assert!(
            matches!(at.as_slice(), [first, second] if *second - *first == TimeDelta::minutes(1)),
            "{target}: {at:?}"
        );
    }
    let used: BTreeSet<_> = by_target.values().map(|at| at[0]).collect();
    assert_eq!(used.len(), 4, "spread");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_for_one_batch_is_still_asked_for_the_others() {
    let script = vec![Answer::Down, Answer::Metrics, Answer::Down];
    let run = run(6, hpas(40), script, |_| members(0..40), |looped| looped.batches(2)).await;
    // Down for the first batch at 0 and 60 s, so it is not asked at 120.
    let asked: Vec<_> = run.asked.iter().map(|at| (*at - start()).num_seconds()).collect();
    assert_eq!(asked, [0, 30, 60, 90, 150]);
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_does_not_hold_its_place_until_the_deadline() {
    let applier = Hanging { hpas: Arc::new(hpas(3)), target: target(0), reads: true };
    let set = |looped: Loop| looped.side_by_side(1).each_within(Duration::from_secs(5));
    let run = run(1, applier, vec![], |_| members(0..3), set).await;
    let failed: Vec<_> = run.records.iter().filter(|record| matches!(record.outcome, Outcome::Failed { .. })).collect();
    assert_eq!((run.records.len(), failed.len()), (3, 1));
    assert_eq!(failed[0].target, target(0));
}

#[tokio::test(start_paused = true)]
async fn how_far_a_workload_is_handed_over_is_its_own_affair() {
    let hpas = Arc::new((0..4).fold(MemoryApplier::new(), |hpas, nth| {
        let max = if nth == 2 { 4 } else { 10 };
        hpas.with(target(nth), bounds(2, max))
    }));
    let list = |_| {
        let limits = HardLimits::new(1, 8).unwrap();
        vec![
            Member::new(target(0)).adopted(Adoption::Observe),
            Member::new(target(1)).adopted(Adoption::Floors),
            Member::new(target(2)).adopted(Adoption::Floors),
            Member::new(target(3)).within(limits),
        ]
    };
    let run = run(2, Arc::clone(&hpas), vec![], list, |looped| looped).await;
    let after = [0, 1, 2, 3].map(|nth| hpas.bounds(&target(nth)).unwrap());
    let expected = [bounds(2, 10), bounds(6, 10), bounds(4, 4), bounds(2, 10)];
    assert_eq!(after, expected, "planned alone; held; held as far as the owner's max; outside of its limits");
    let newest = |nth: usize| run.records.iter().rfind(|record| record.target == target(nth)).unwrap();
    assert_eq!((newest(0).mode, &newest(0).outcome), (ApplyMode::Plan, &Outcome::Planned));
    assert!(format!("{:?}", newest(2).clamps).contains("floors_only"), "{:?}", newest(2).clamps);
    assert!(newest(3).outcome.to_string().contains("hard limits 1..8"), "{}", newest(3).outcome);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_workload_that_is_there_is_ticked_once_an_interval_whoever_comes_and_goes(
        lists in prop::collection::vec(prop::collection::vec(0_usize..12, 0..20), 1..6), batches in 1_u32..7,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let (minutes, all) = (lists.len(), lists.clone());
        let list = move |now: DateTime<Utc>| {
            let nth = usize::try_from((now - start()).num_minutes()).unwrap_or(0);
            members(all.get(nth).cloned().unwrap_or_default())
        };
        let parts = [1, 1, 2, 3, 4, 5, 6][batches as usize];
        let run = runtime.block_on(run(minutes * parts, hpas(12), vec![], list, |looped| looped.batches(batches)));
        let mut ticked: BTreeMap<(i64, Target), usize> = BTreeMap::new();
        for record in &run.records {
            *ticked.entry(((record.at - start()).num_minutes(), record.target.clone())).or_default() += 1;
        }
        let expected: BTreeMap<_, _> = lists.iter().zip(0..).flat_map(|(list, nth)| {
            list.iter().map(move |number| ((nth, target(*number)), 1))
        }).collect();
        prop_assert_eq!(ticked, expected);
        let last: BTreeSet<Target> = lists.last().unwrap().iter().map(|nth| target(*nth)).collect();
        prop_assert!(run.autoscaler.change_log().len() <= last.len(), "nothing is kept of who left");
    }
}
