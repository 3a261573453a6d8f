//! Sources that the host feeds or that replay, over time: wrong clocks, repeated and late samples, and months without a restart.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::sync::Arc;

use futures::executor::block_on;
use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::conformance::{self, engine::steady};
use scaling_core::source::{Recording, Replay, SampleError, WithEvents};
use scaling_core::{
    MemorySource, MetricsHistory, MetricsSource, Observation, PlannedEvent, ScalingMetrics, SignalKind, SourceError,
    Target, WorkloadFacts,
};

fn target() -> Target {
    Target::deployment("shop", "web")
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

fn sample(seconds: i64) -> ScalingMetrics {
    ScalingMetrics::new(at(seconds), 3)
}

fn seen(source: &impl MetricsSource, seconds: i64) -> Result<(ScalingMetrics, Vec<DateTime<Utc>>), SourceError> {
    let seen = block_on(source.observe(&target(), at(seconds)))?;
    Ok((seen.current, seen.history.iter().map(|sample| sample.timestamp).collect()))
}

/// Fed as a host feeds it: each sample comes at its own instant.
fn fed(seconds: impl IntoIterator<Item = i64>) -> MemorySource {
    let source = MemorySource::new();
    for second in seconds {
        source.advance(&target(), sample(second), at(second)).unwrap();
    }
    source
}

#[test]
fn one_sample_from_the_future_is_refused_and_later_ones_are_taken() {
    let source = fed([0]);
    let refused = source.advance(&target(), sample(86_400), at(10));
    assert!(matches!(refused, Err(SampleError::Ahead { .. })), "{refused:?}");
    source.advance(&target(), sample(15), at(15)).unwrap();
    assert_eq!(seen(&source, 15).unwrap(), (sample(15), vec![at(0)]));
    assert_eq!(source.counts(&target()).map(|counts| (counts.taken, counts.ahead)), Some((2, 1)));

    // The very first one is stored nowhere either.
    let source = MemorySource::new();
    assert!(source.advance(&target(), sample(86_400), at(0)).is_err());
    assert!(matches!(seen(&source, 90_000), Err(SourceError::UnknownTarget { .. })));
    assert_eq!(source.counts(&target()), None);
}

#[test]
fn an_observation_put_in_from_the_future_does_not_stop_the_source() {
    let source = MemorySource::new();
    source.put(target(), Observation::new(scaling_core::Target::deployment("shop", "web"), sample(86_400)));
    assert!(matches!(seen(&source, 0), Err(SourceError::NoData { .. })));
    source.advance(&target(), sample(0), at(0)).unwrap();
    assert_eq!(seen(&source, 0).unwrap().0, sample(0));
}

#[test]
fn a_clock_that_was_an_hour_ahead_is_forgotten_once_it_is_right() {
    let source = fed([0, 15, 3600, 3615]);
    source.advance(&target(), sample(30), at(30)).unwrap();
    assert_eq!(seen(&source, 30).unwrap(), (sample(30), vec![at(0), at(15)]));
    assert_eq!(source.counts(&target()).map(|counts| counts.withdrawn), Some(2));
}

#[test]
fn a_recording_goes_on_from_what_was_known_before_it_also_after_going_back() {
    let mut before = MetricsHistory::new();
    before.push(&sample(-60)).unwrap();
    let answers = [(at(0), Some(sample(0))), (at(15), Some(sample(15)))];
    let source = Replay::new().with(target(), Recording::of_answers(answers).with_history(before));
    assert_eq!(seen(&source, 0).unwrap(), (sample(0), vec![at(-60)]));
    assert_eq!(seen(&source, 15).unwrap(), (sample(15), vec![at(-60), at(0)]));
    assert_eq!(seen(&source, 0).unwrap(), (sample(0), vec![at(-60)]));
}

#[test]
fn a_source_that_runs_for_months_keeps_a_bounded_past() {
    let source = fed((0..300_000).map(|tick| tick * 15));
    let (_, history) = seen(&source, 300_000 * 15).unwrap();
    assert!((80_640..2 * 80_640).contains(&history.len()), "{}", history.len());
    assert_eq!(history.last(), Some(&at(299_998 * 15)));
}

#[test]
fn a_longer_past_that_is_put_in_is_cut_and_goes_on() {
    let source = MemorySource::new().with_limit(100);
    let (past, _) = MetricsHistory::from_unordered((0..1000).map(sample).collect());
    source.put(
        target(),
        Observation::new(scaling_core::Target::deployment("shop", "web"), sample(1000)).with_history(past),
    );
    for second in 1001..3000 {
        source.advance(&target(), sample(second), at(second)).unwrap();
        let kept = seen(&source, second).unwrap().1.len();
        assert!((100..200).contains(&kept), "{kept}");
    }
}

#[test]
fn a_forgotten_workload_is_not_known_and_others_are() {
    let source = fed([0]);
    let other = Target::deployment("shop", "search");
    source.advance(&other, sample(0), at(0)).unwrap();
    assert!(source.forget(&target()) && !source.forget(&target()));
    assert!(matches!(seen(&source, 0), Err(SourceError::UnknownTarget { .. })));
    assert!(block_on(source.observe(&other, at(0))).is_ok());
}

#[test]
fn facts_and_events_stay_while_samples_come() {
    let source = MemorySource::new();
    let mut facts = WorkloadFacts::default();
    facts.pod_capacity = Some(40.0);
    let sale = PlannedEvent::new("sale", at(100), at(200), 3.0).unwrap();
    let observation = Observation::new(scaling_core::Target::deployment("shop", "web"), sample(0))
        .with_facts(facts.clone())
        .with_events([sale]);
    source.put(target(), observation.clone());
    source.advance(&target(), sample(15), at(15)).unwrap();
    let seen = block_on(source.observe(&target(), at(15))).unwrap();
    assert_eq!((seen.facts, seen.events), (facts, observation.events));
}

fn replay(recording: Recording) -> Replay {
    Replay::new().with(target(), recording)
}

#[test]
fn replay_keeps_the_promises() {
    let observation = steady(3, 60);
    let now = observation.current.timestamp;
    let samples: Vec<_> = observation.history.iter().chain([observation.current.clone()]).collect();
    let recording = Recording::of_samples(samples.clone()).with_facts(observation.facts.clone());
    block_on(conformance::source(|| replay(recording.clone()), &target(), now));
    let answers = Recording::of_answers(samples.into_iter().map(|sample| (sample.timestamp, Some(sample))));
    block_on(conformance::source(|| Arc::new(replay(answers.clone())) as Arc<dyn MetricsSource>, &target(), now));
    // An absence with its cause is replayed as it was; a history would have lost it.
    let mut stale = sample(0);
    stale.set(SignalKind::CpuUtilization, scaling_core::Signal::Absent(scaling_core::Absence::Stale { age_s: 90 }));
    let source = replay(Recording::of_samples(vec![stale.clone(), sample(15)]));
    assert_eq!(seen(&source, 20).unwrap().1, [at(0)]);
    assert_eq!(seen(&source, 14).unwrap(), (stale, vec![]));
}

#[test]
fn replay_shows_the_newest_that_is_known_with_those_before_it() {
    let source = replay(Recording::of_samples([30, 0, 15, 15, 3600].map(sample).into()));
    assert!(matches!(seen(&source, -1), Err(SourceError::NoData { .. })));
    for (now, current, past) in [(0, 0, 0), (29, 15, 1), (3599, 30, 2), (9999, 3600, 3), (16, 15, 1), (31, 30, 2)] {
        let (present, history) = seen(&source, now).unwrap();
        assert_eq!((present, history.len()), (sample(current), past), "at {now}");
    }
    let unknown = Target::deployment("shop", "search");
    assert!(matches!(block_on(source.observe(&unknown, at(0))), Err(SourceError::UnknownTarget { .. })));
}

#[test]
fn replay_of_lagging_metrics_shows_them_late() {
    let source = replay(Recording::of_samples([0, 15].map(sample).into()).known_after(TimeDelta::seconds(30)));
    assert!(seen(&source, 29).is_err());
    assert_eq!(seen(&source, 44).unwrap(), (sample(0), vec![]));
    assert_eq!(seen(&source, 45).unwrap(), (sample(15), vec![at(0)]));
}

#[test]
fn replay_of_answers_gives_each_answer_again_gaps_included() {
    let more_pods = ScalingMetrics::new(at(15), 9);
    let answers = [(0, Some(sample(0))), (20, Some(sample(15))), (30, Some(more_pods.clone())), (40, None)];
    let answers = answers.into_iter().chain([(50, Some(sample(45))), (60, Some(sample(30)))]);
    let source = replay(Recording::of_answers(answers.map(|(second, sample)| (at(second), sample))));
    assert_eq!(seen(&source, 20).unwrap(), (sample(15), vec![at(0)]));
    assert_eq!(seen(&source, 30).unwrap(), (more_pods, vec![at(0)]), "the same measurement, with the pods of then");
    assert!(matches!(seen(&source, 40), Err(SourceError::NoData { .. })));
    assert_eq!(seen(&source, 50).unwrap(), (sample(45), vec![at(0), at(15)]));
    assert_eq!(seen(&source, 60).unwrap(), (sample(30), vec![at(0), at(15)]), "an older one, as it was answered");
}

#[test]
fn of_samples_of_one_millisecond_the_last_counts_and_what_was_mended_is_said() {
    let twice = |pods| ScalingMetrics::new(at(15), pods);
    let recording = Recording::of_samples(vec![twice(1), sample(0), twice(2), twice(4)]);
    assert_eq!((recording.repairs().reordered, recording.repairs().duplicates), (1, 2));
    assert_eq!(recording.instants().collect::<Vec<_>>(), [at(0), at(15)]);
    assert_eq!(seen(&replay(recording), 15).unwrap().0, twice(4));
}

#[test]
fn declared_events_join_those_of_the_source_one_by_one_and_all_at_once() {
    let event = |name: &str, from: i64| PlannedEvent::new(name, at(from), at(from + 60), 2.0).unwrap();
    let (own, sale) = (event("own", 0), event("sale", 600));
    let recording = Recording::of_samples(vec![sample(0), sample(60)]);
    let make = |told: Vec<PlannedEvent>| {
        let source = Replay::new().with(target(), recording.clone().with_events(told));
        WithEvents::new(source, [own.clone(), sale.clone()])
    };
    let both = [own.clone(), sale.clone()];
    for told in [vec![], vec![own.clone()]] {
        let seen = block_on(make(told.clone()).observe(&target(), at(60))).unwrap();
        assert_eq!(*seen.events, both, "{told:?}");
        let other = Target::deployment("shop", "other");
        let all = block_on(make(told).observe_all(&[other, target()], at(60)));
        assert!(matches!(&all[0], Err(SourceError::UnknownTarget { .. })), "{all:?}");
        assert_eq!(*all[1].as_ref().unwrap().events, both);
    }
    block_on(conformance::source(|| make(vec![own.clone()]), &target(), at(60)));
}
