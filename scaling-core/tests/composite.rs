//! Several sources as one: which value counts, what a lost source costs, and the past that engines learn from.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::executor::block_on;
use proptest::prelude::*;
use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::conformance::{self, engine::steady};
use scaling_core::source::{Composite, Part, Recording, Replay};
use scaling_core::{
    Absence, ApplyMode, Autoscaler, Bounds, MemoryApplier, MetricsHistory, MetricsSource, Observation, Outcome,
    RuleBasedEngine, ScalingMetrics, Signal, SignalKind, SignalSet, SourceError, Target,
};

fn target() -> Target {
    Target::deployment("shop", "web")
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

/// A source that answers what it is told to, and counts how often it is asked.
#[derive(Clone, Default)]
struct Told {
    answer: Arc<Mutex<Option<Observation>>>,
    asked: Arc<AtomicUsize>,
}

impl Told {
    fn of(observation: Observation) -> Self {
        let told = Self::default();
        told.says(Some(observation));
        told
    }

    fn sample(seconds: i64, values: &[(SignalKind, f64)]) -> Self {
        Self::of(seen(seconds, values))
    }

    fn says(&self, observation: Option<Observation>) {
        *self.answer.lock().unwrap() = observation;
    }
}

#[async_trait]
impl MetricsSource for Told {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        let mut all = self.observe_all(std::slice::from_ref(target), now).await;
        all.remove(0)
    }

    async fn observe_all(&self, targets: &[Target], _: DateTime<Utc>) -> Vec<Result<Observation, SourceError>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let answer = |target: &Target| {
            let down =
                || SourceError::Backend { target: Box::new(target.clone()), transient: true, source: "down".into() };
            self.answer.lock().unwrap().clone().ok_or_else(down)
        };
        targets.iter().map(answer).collect()
    }
}

fn seen(seconds: i64, values: &[(SignalKind, f64)]) -> Observation {
    let sample =
        values.iter().fold(ScalingMetrics::new(at(seconds), 3), |sample, (kind, value)| sample.with(*kind, *value));
    Observation::new(target(), sample).declaring(SignalSet::of(values.iter().map(|(kind, _)| *kind)))
}

fn observed(source: &Composite, seconds: i64) -> Observation {
    block_on(source.observe(&target(), at(seconds))).unwrap()
}

const CPU: SignalKind = SignalKind::CpuUtilization;
const RATE: SignalKind = SignalKind::RequestRate;

#[test]
fn composite_keeps_the_promises() {
    let observation = steady(3, 60);
    let now = observation.current.timestamp;
    let samples: Vec<_> = observation.history.iter().chain([observation.current.clone()]).collect();
    let part = |every: usize, kinds: &[SignalKind]| {
        let only = |sample: &ScalingMetrics| {
            let mut part = ScalingMetrics::new(sample.timestamp, 3);
            for kind in kinds {
                part.set(*kind, sample.signal(*kind));
            }
            part
        };
        let samples = samples.iter().rev().step_by(every).map(only).collect();
        Replay::new().with(observation.target.as_ref().clone(), Recording::of_samples(samples))
    };
    let make =
        || Composite::new().with("cluster", part(1, &[CPU])).with("balancer", part(4, &[RATE, SignalKind::ErrorRate]));
    block_on(conformance::source(make, &observation.target, now));
}

#[test]
fn of_each_signal_the_freshest_value_counts_and_its_source_is_said() {
    let cluster = Told::sample(0, &[(CPU, 40.0), (RATE, 100.0)]);
    let balancer = Told::sample(30, &[(RATE, 300.0)]);
    let both = Composite::new().with("cluster", cluster).with("balancer", balancer);
    let seen = observed(&both, 45);
    assert_eq!((seen.current.timestamp, seen.now), (at(30), at(45)));
    assert_eq!((seen.current.value(CPU), seen.current.value(RATE)), (Some(40.0), Some(300.0)));
    assert_eq!(seen.declared, Some(SignalSet::of([CPU, RATE])));
    let provenance = seen.provenance.clone().unwrap();
    assert_eq!((provenance.signals[&CPU].as_str(), provenance.signals[&RATE].as_str()), ("cluster", "balancer"));
    assert_eq!(provenance.pods.as_deref(), Some("balancer"));
    assert!(provenance.failed.is_empty() && seen.absences().next().is_none());
}

#[test]
fn a_value_that_is_too_old_is_stale_and_not_passed_off_as_new() {
    let (cluster, balancer) = (Told::sample(0, &[(CPU, 40.0)]), Told::sample(400, &[(RATE, 300.0)]));
    let seen = observed(&Composite::new().with("cluster", cluster).with("balancer", balancer), 400);
    assert_eq!(seen.current.signal(CPU), Signal::Absent(Absence::Stale { age_s: 400 }));
    assert_eq!(seen.current.value(RATE), Some(300.0));
}

#[test]
fn a_source_that_fails_makes_its_signals_absent_and_the_others_stay() {
    let (cluster, balancer) = (Told::sample(0, &[(CPU, 40.0)]), Told::sample(0, &[(RATE, 300.0)]));
    let both = Composite::new().with("cluster", cluster.clone()).with("balancer", balancer.clone());
    observed(&both, 0);
    balancer.says(None);
    let seen = observed(&both, 15);
    assert_eq!(seen.current.value(CPU), Some(40.0));
    let absences: Vec<_> = seen.absences().collect();
    assert_eq!(absences, [(RATE, Absence::NotMeasured)]);
    assert!(seen.provenance.unwrap().failed["balancer"].contains("down"));

    cluster.says(None);
    let error = block_on(both.observe(&target(), at(30))).unwrap_err();
    let text = error.to_string();
    assert!(error.is_transient() && text.contains("cluster: ") && text.contains("balancer: "), "{text}");
}

#[test]
fn of_a_source_that_never_answered_anything_may_be_missing() {
    let down = Told::default();
    let both = Composite::new().with("cluster", Told::sample(0, &[(CPU, 4.0)])).with("balancer", down.clone());
    let seen = observed(&both, 0);
    assert_eq!(seen.declared, Some(SignalSet::ALL));
    assert!(RuleBasedEngine::default().evaluate(&seen).unwrap().desired_replicas >= 3);
    // Stated, it is known without an answer.
    let stated = Composite::new()
        .with("cluster", Told::sample(0, &[(CPU, 4.0)]))
        .with_part(Part::new("balancer", down).taking(SignalSet::of([RATE])));
    assert_eq!(observed(&stated, 0).declared, Some(SignalSet::of([CPU, RATE])));
}

#[test]
fn another_source_of_the_same_signal_gives_cause_to_grow_and_confirms_no_shrink() {
    let lost = |value: f64, interchangeable: bool| {
        let (a, b) = (steady(3, 60), steady(3, 60));
        let now = (a.current.timestamp - at(0)).num_seconds();
        let (a, b) = (Told::of(a.declaring(SignalSet::of([CPU]))), b.declaring(SignalSet::of([CPU, RATE])));
        let current = b.current.clone().with(CPU, value).with(RATE, value * 10.0);
        let both = Composite::new().with("a", a.clone()).with("b", Told::of(Observation { current, ..b }));
        let both = if interchangeable { both.interchangeable() } else { both };
        observed(&both, now);
        a.says(None);
        let seen = observed(&both, now);
        (RuleBasedEngine::default().evaluate(&seen).unwrap().desired_replicas, seen)
    };
    let (grown, seen) = lost(98.0, false);
    assert!(grown > 3 && seen.current.value(CPU) == Some(98.0));
    let (held, seen) = lost(4.0, false);
    assert_eq!(held, 3);
    assert_eq!(seen.absences().collect::<Vec<_>>(), [(CPU, Absence::Partial { covered_percent: 50 })]);
    let (_, seen) = lost(4.0, true);
    assert!(seen.absences().next().is_none());
}

#[test]
fn a_source_that_is_not_asked_for_a_workload_is_not_missed() {
    let (cluster, balancer) = (Told::sample(0, &[(CPU, 40.0)]), Told::sample(0, &[(RATE, 300.0)]));
    let web = |target: &Target| target.name == "web";
    let both =
        Composite::new().with("cluster", cluster).with_part(Part::new("balancer", balancer.clone()).only_for(web));
    let targets = [Target::deployment("shop", "worker"), target(), Target::deployment("shop", "batch")];
    let seen = block_on(both.observe_all(&targets, at(0)));
    let declared: Vec<_> = seen.iter().map(|seen| seen.as_ref().unwrap().declared.unwrap()).collect();
    let (cpu, both_signals) = (SignalSet::of([CPU]), SignalSet::of([CPU, RATE]));
    assert_eq!(declared, [cpu, both_signals, cpu]);
    assert_eq!(balancer.asked.load(Ordering::Relaxed), 1);
    let none = Composite::new().with_part(Part::new("balancer", balancer).only_for(web));
    assert!(matches!(block_on(none.observe(&targets[0], at(0))), Err(SourceError::UnknownTarget { .. })));
}

#[test]
fn many_workloads_are_asked_for_in_one_batch_of_each_source() {
    let parts = [(); 3].map(|()| Told::sample(0, &[(CPU, 40.0)]));
    let all = parts.iter().enumerate().fold(Composite::new(), |all, (n, part)| all.with(n.to_string(), part.clone()));
    let targets: Vec<_> = (0..50).map(|n| Target::deployment("shop", format!("w{n}"))).collect();
    let seen = block_on(all.observe_all(&targets, at(0)));
    assert!(seen.iter().zip(&targets).all(|(seen, target)| *seen.as_ref().unwrap().target == *target));
    assert!(parts.iter().all(|part| part.asked.load(Ordering::Relaxed) == 1));
}

#[test]
fn the_past_pairs_what_each_source_measured_and_goes_on_with_what_was_observed() {
    let past = |kind, seconds: &[(i64, f64)]| {
        let sample = |(second, value): &(i64, f64)| ScalingMetrics::new(at(*second), 3).with(kind, *value);
        MetricsHistory::from_unordered(seconds.iter().map(sample).collect()).0
    };
    let cluster =
        Told::of(seen(60, &[(CPU, 50.0)]).with_history(past(CPU, &[(0, 10.0), (15, 20.0), (30, 30.0), (45, 40.0)])));
    let balancer = Told::default();
    let both = Composite::new().with("cluster", cluster.clone()).with("balancer", balancer.clone());
    assert_eq!(observed(&both, 60).history.len(), 4, "what is known without the other");
    balancer.says(Some(seen(70, &[(RATE, 9.0)]).with_history(past(RATE, &[(-900, 7.0), (20, 8.0)]))));
    let seen_now = observed(&both, 75);
    let rows: Vec<_> = seen_now
        .history
        .iter()
        .map(|row| ((row.timestamp - at(0)).num_seconds(), row.value(CPU), row.value(RATE)))
        .collect();
    let expected = [
        (-900, None, Some(7.0)),
        (0, Some(10.0), None),
        (15, Some(20.0), None),
        (20, Some(20.0), Some(8.0)),
        (30, Some(30.0), Some(8.0)),
        (45, Some(40.0), Some(8.0)),
        (60, Some(50.0), Some(8.0)),
    ];
    assert_eq!(rows, expected, "15 minutes old is too old to be paired");
    cluster.says(Some(seen(90, &[(CPU, 55.0)])));
    let next = observed(&both, 90);
    assert_eq!((next.history.len(), next.history.newest()), (8, Some(at(70))));
    // The freshest is lost, and the other lags behind what was decided on: no row is rewritten, none lies after the present.
    cluster.says(None);
    let lagging = observed(&both, 100);
    assert_eq!((lagging.current.timestamp, lagging.history.newest()), (at(70), Some(at(60))));
    cluster.says(Some(seen(105, &[(CPU, 60.0)])));
    assert_eq!(observed(&both, 105).history.newest(), Some(at(90)));
}

#[test]
fn a_source_whose_clock_is_ahead_is_not_believed() {
    let both =
        Composite::new().with("right", Told::sample(0, &[(CPU, 40.0)])).with("ahead", Told::sample(90, &[(RATE, 1.0)]));
    let seen = observed(&both, 10);
    assert_eq!((seen.current.timestamp, seen.current.value(RATE)), (at(0), None));
    assert!(seen.provenance.unwrap().failed["ahead"].contains("later than"));
}

#[test]
fn the_record_says_where_each_number_is_from_and_one_source_leaves_it_out() {
    let tick = |source: Box<dyn MetricsSource>| {
        let applier = MemoryApplier::new().with(target(), Bounds::new(2, 6).unwrap());
        let autoscaler = Autoscaler::builder()
            .source(source)
            .engine(RuleBasedEngine::default())
            .applier(applier)
            .mode(ApplyMode::Plan);
        block_on(autoscaler.build().tick(&target(), at(0))).unwrap()
    };
    let both = Composite::new().with("cluster", Told::sample(0, &[(CPU, 40.0)])).with("balancer", Told::default());
    let record = tick(Box::new(both));
    assert!(!matches!(record.outcome, Outcome::Failed { .. }), "{:?}", record.outcome);
    let text = serde_json::to_string(&record).unwrap();
    assert!(
        text.contains(
            r#""provenance":{"signals":{"cpu_utilization":"cluster"},"pods":"cluster","failed":{"balancer":"#
        ),
        "{text}"
    );
    assert_eq!(serde_json::from_str::<scaling_core::DecisionRecord>(&text).unwrap(), record);
    let alone = tick(Box::new(Told::sample(0, &[(CPU, 40.0)])));
    assert!(!serde_json::to_string(&alone).unwrap().contains("provenance"));
}

// ---- law 2

/// What one of the sources says at the second of two moments: some signals, perhaps lost, perhaps older than others.
fn part() -> impl Strategy<Value = Observation> {
    let level = prop_oneof![2 => Just(None), 3 => (0.0..1.6_f64).prop_map(Some)];
    (prop::array::uniform7(level), 0_i64..400, any::<bool>(), any::<bool>()).prop_map(|(levels, age, says, long)| {
        let calm = steady(8, 90);
        let mut current = ScalingMetrics::new(calm.current.timestamp - TimeDelta::seconds(age), 8);
        let mut declared = SignalSet::NONE;
        for (kind, level) in SignalKind::ALL.into_iter().zip(levels) {
            if let Some(level) = level {
                declared = declared.with(kind);
                // Now and then a declared signal is not there.
                let value = calm.current.value(kind).unwrap_or(10.0) * level;
                current =
                    if level < 0.1 { current.without(kind, Absence::NotFinite) } else { current.with(kind, value) };
            }
        }
        let rows: Vec<_> = calm.history.iter().skip(if long { 0 } else { 87 }).collect();
        let (mut history, _) = MetricsHistory::from_unordered(rows);
        history.truncate_after(current.timestamp - TimeDelta::seconds(1));
        let observation = Observation::new(target(), current).with_history(history);
        if says { observation.declaring(declared) } else { observation }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the sources deliver, and whether they agree or not: losing any one of them, before or after its first answer, never lowers
    /// the wanted replicas below what they were or what there is.
    #[test]
    fn law_2_dropping_any_one_source_never_lowers_the_wanted_replicas(parts in prop::collection::vec(part(), 2..4), known in any::<bool>()) {
        let now = steady(8, 90).current.timestamp;
        let engine = RuleBasedEngine::default();
        for lost in 0..parts.len() {
            let sources: Vec<_> = parts.iter().cloned().map(Told::of).collect();
            let named = |told: &[Told]| told.iter().enumerate().fold(Composite::new(), |all, (n, told)| all.with(n.to_string(), told.clone()));
            let whole = named(&sources);
            let before = engine.evaluate(&block_on(whole.observe(&target(), now)).unwrap());
            sources[lost].says(None);
            let rest = if known { whole } else { named(&sources) };
            let after = engine.evaluate(&block_on(rest.observe(&target(), now)).unwrap());
            let (Ok(before), Ok(after)) = (before, after) else { continue };
            let least = before.desired_replicas.min(before.current_replicas);
            prop_assert!(after.desired_replicas >= least, "{} of {}, before {}", after.desired_replicas, after.current_replicas, before.desired_replicas);
        }
    }
}

#[test]
fn each_fact_comes_from_the_first_source_that_states_it() {
    use std::time::Duration;

    use scaling_core::WorkloadFacts;

    let mut window = WorkloadFacts::default();
    window.metrics_window = Duration::from_secs(300);
    let mut pods = WorkloadFacts::default();
    (pods.start_up, pods.cpu_request_millicores, pods.pod_capacity) = (Duration::from_secs(20), Some(500), Some(40.0));
    (pods.metrics_window, pods.objective.wait) = (Duration::from_secs(120), Duration::from_millis(300));
    let first = Told::of(seen(0, &[(RATE, 100.0)]).with_facts(window));
    let second = Told::of(seen(0, &[(CPU, 50.0)]).with_facts(pods.clone()));
    let both = Composite::new().with("metrics", first).with("cluster", second.clone());
    let mut expected = pods;
    expected.metrics_window = Duration::from_secs(300);
    assert_eq!(observed(&both, 0).facts, expected);
    second.says(None);
    assert_eq!(observed(&both, 15).facts, expected, "also while a source fails");
}
