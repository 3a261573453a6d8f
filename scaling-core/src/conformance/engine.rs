//! Promises of every [`DecisionEngine`].

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{some_target, some_time};
use crate::{
    Absence, DecisionEngine, EngineError, LoadForecast, MetricsHistory, NoForecast, Observation, PlannedEvent,
    ScalingAction, ScalingDecision, ScalingMetrics, Signal, SignalKind, SignalSet, WorkloadFacts,
};

/// Runs every promise of an engine.
///
/// `make` gives a fresh engine each time it is called, always the same. An engine that asks somebody else (a model, a server)
/// is made with recorded answers. An error is an answer too: "no answer", and nothing is changed.
///
/// ```
/// use scaling_core::{RuleBasedEngine, conformance};
/// futures::executor::block_on(conformance::engine(RuleBasedEngine::default));
/// ```
pub async fn all<E: DecisionEngine>(make: impl Fn() -> E) {
    names_itself(&make).await;
    same_observation_same_answer(&make).await;
    survives_any_numbers(&make).await;
    says_no_answer_without_pod_count(&make).await;
    speaks_of_what_it_was_asked(&make).await;
    confidence_is_a_share(&make).await;
    states_only_changes(&make).await;
    absence_never_shrinks(&make).await;
    decisions_read_back_as_written(&make).await;
    survives_any_facts_and_events(&make).await;
    keeps_targets_apart(&make).await;
}

/// The name is not empty, never changes, and signs the decision with something.
pub async fn names_itself<E: DecisionEngine>(make: &impl Fn() -> E) {
    const PROMISE: &str = "an engine has one constant, non-empty name";
    let engine = make();
    let name = engine.name().to_owned();
    assert!(!name.trim().is_empty(), "{PROMISE}: it is empty");
    for (case, observation) in [("a steady hour", steady(3, 60)), ("no past", steady(3, 0))] {
        if let Ok(decision) = engine.decide(&observation).await {
            assert!(!decision.engine.trim().is_empty(), "{PROMISE}: the decision on {case} is not signed");
        }
        assert_eq!(engine.name(), name, "{PROMISE}: it changed after {case}");
    }
    assert_eq!(make().name(), name, "{PROMISE}: a second engine made alike has another");
}

/// The same observation gives the same answer, from the same engine and from one made alike.
pub async fn same_observation_same_answer<E: DecisionEngine>(make: &impl Fn() -> E) {
    const PROMISE: &str = "the same observation gives the same answer";
    for (case, observation) in observations() {
        let engine = make();
        let first = written(&engine.decide(&observation).await);
        if first.is_ok() {
            let again = written(&engine.decide(&observation).await);
            assert_eq!(first, again, "{PROMISE}: {case}, asked twice");
        }
        let other = written(&make().decide(&observation).await);
        assert_eq!(first, other, "{PROMISE}: {case}, asked of an engine made alike");
        let copy = Observation::clone(&observation).with_history(MetricsHistory::clone(&observation.history));
        assert_eq!(first, written(&make().decide(&copy).await), "{PROMISE}: {case}, asked with a copy");
    }
}

/// No panic whatever the numbers: an empty history, NaN, infinite, negative and huge values, no pod, one pod, a million, gaps,
/// absences of every cause, history that is later than the present.
pub async fn survives_any_numbers<E: DecisionEngine>(make: &impl Fn() -> E) {
    for (case, observation) in observations() {
        let _ = ask("an engine does not panic whatever the numbers", make, &case, &observation).await;
    }
}

/// Without a pod count there is no size to want: an error, not a guess.
pub async fn says_no_answer_without_pod_count<E: DecisionEngine>(make: &impl Fn() -> E) {
    const PROMISE: &str = "without a pod count there is no answer";
    for (case, minutes) in [("without history", 0), ("with an hour of history", 60)] {
        let mut observation = steady(3, minutes);
        (observation.current.current_pod_count, observation.current.desired_pod_count) = (None, None);
        if let Ok(decision) = ask(PROMISE, make, case, &observation).await {
            panic!("{PROMISE}: {case}, it answered {decision:?}");
        }
    }
}

/// `current_replicas` is what [`ScalingMetrics::replicas`] says and `at` the instant of the metrics.
pub async fn speaks_of_what_it_was_asked<E: DecisionEngine>(make: &impl Fn() -> E) {
    const PROMISE: &str = "a decision speaks of the observation it was asked about";
    for (case, observation) in observations() {
        let Ok(decision) = ask(PROMISE, make, &case, &observation).await else { continue };
        let (pods, at) = (observation.current.replicas(), observation.current.timestamp);
        assert_eq!(Some(decision.current_replicas), pods, "{PROMISE}: {case}, present pods");
        assert_eq!(decision.at, at, "{PROMISE}: {case}, instant");
    }
}

/// Confidence lies within 0..=1.
pub async fn confidence_is_a_share<E: DecisionEngine>(make: &impl Fn() -> E) {
    const PROMISE: &str = "confidence lies within 0..=1";
    for (case, observation) in observations() {
        let Ok(decision) = ask(PROMISE, make, &case, &observation).await else { continue };
        let confidence = decision.confidence.value();
        assert!((0.0..=1.0).contains(&confidence), "{PROMISE}: {case}, {confidence}");
    }
}

/// A change of requests that changes nothing is not stated, and a floor has a reason that names it.
pub async fn states_only_changes<E: DecisionEngine>(make: &impl Fn() -> E) {
    const PROMISE: &str = "a decision states only what it changes";
    for (case, observation) in observations() {
        let Ok(decision) = ask(PROMISE, make, &case, &observation).await else { continue };
        let level = decision.wanted() == decision.current_replicas && decision.resources.is_none();
        let maintains = decision.action() == ScalingAction::Maintain;
        assert_eq!(level, maintains, "{PROMISE}: {case}, {decision:?}");
    }
}

/// Law 2: losing a declared signal never lowers the request below what it was or what there is, whichever is less: neither now,
/// nor after a long time in which the history has forgotten that it was ever there, nor after a restart without history.
pub async fn absence_never_shrinks<E: DecisionEngine>(make: &impl Fn() -> E) {
    const PROMISE: &str = "law 2, absence never shrinks";
    for (case, observation) in observations() {
        let Ok(before) = ask(PROMISE, make, &case, &observation).await else { continue };
        let least = before.desired_replicas.min(before.current_replicas);
        for (kind, absence) in losses(&observation) {
            let mut blind = observation.clone().declaring(observation.declared().with(kind));
            blind.current.set(kind, Signal::Absent(absence));
            let Ok(after) = ask(PROMISE, make, &case, &blind).await else { continue };
            assert!(
                after.desired_replicas >= least,
                "{PROMISE}: {case}, {kind} {absence}: {} requested of {}, before {}",
                after.desired_replicas,
                after.current_replicas,
                before.desired_replicas
            );
        }
    }
    for kind in SignalKind::ALL {
        for minutes in [0, 3, 90, 300] {
            let mut blind = steady(20, minutes).declaring(SignalSet::ALL);
            let past = blind.history.iter().map(|mut sample| {
                sample.set(kind, Signal::NOT_MEASURED);
                sample
            });
            blind = blind.clone().with_history(MetricsHistory::from_unordered(past.collect()).0);
            blind.current = idle(blind.current).without(kind, Absence::NotMeasured);
            let case = format!("{kind} gone for {minutes} minutes, everything else idle");
            let Ok(after) = ask(PROMISE, make, &case, &blind).await else { continue };
            assert!(after.desired_replicas >= 20, "{PROMISE}: {case}: {} requested of 20", after.desired_replicas);
        }
    }
}

/// Metrics that ask for fewer pods.
fn idle(metrics: ScalingMetrics) -> ScalingMetrics {
    let quiet = [
        (SignalKind::CpuUtilization, 3.0),
        (SignalKind::MemoryUtilization, 10.0),
        (SignalKind::RequestRate, 60.0),
        (SignalKind::ActiveConnections, 12.0),
        (SignalKind::QueueDepth, 0.0),
    ];
    quiet.into_iter().fold(metrics, |metrics, (kind, value)| metrics.with(kind, value))
}

/// Every way in which one signal of the present can be lost: broken, stale or partial, and not measured where it is present or was
/// ever seen.
pub fn losses(observation: &Observation) -> Vec<(SignalKind, Absence)> {
    let mut losses = Vec::new();
    for kind in SignalKind::ALL {
        losses.extend(lost().map(|absence| (kind, absence)));
        if observation.declared().contains(kind) {
            losses.push((kind, Absence::NotMeasured));
        }
    }
    losses
}

fn lost() -> [Absence; 4] {
    [Absence::Stale { age_s: 900 }, Absence::Partial { covered_percent: 40 }, Absence::NotFinite, Absence::OutOfRange]
}

/// Law 5: a decision survives JSON byte for byte, so that a record can be replayed.
pub async fn decisions_read_back_as_written<E: DecisionEngine>(make: &impl Fn() -> E) {
    const PROMISE: &str = "law 5, a decision reads back as it was written";
    for (case, observation) in observations() {
        let Ok(decision) = ask(PROMISE, make, &case, &observation).await else { continue };
        let text = serde_json::to_string(&decision).unwrap_or_else(|error| panic!("{PROMISE}: {case}, {error}"));
        let read: ScalingDecision =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{PROMISE}: {case}, {error} in {text}"));
        assert_eq!(serde_json::to_string(&read).ok(), Some(text), "{PROMISE}: {case}");
    }
}

/// No panic whatever the facts and the declared events.
pub async fn survives_any_facts_and_events<E: DecisionEngine>(make: &impl Fn() -> E) {
    for (case, observation) in extreme_facts() {
        let _ = ask("an engine does not panic whatever the facts and events", make, &case, &observation).await;
    }
}

/// Law 5: state is kept per target. What was asked about one workload changes no answer about another, even if both look alike.
pub async fn keeps_targets_apart<E: DecisionEngine>(make: &impl Fn() -> E) {
    const PROMISE: &str = "law 5, one workload's past is not taken for another's";
    let mut other = some_target();
    other.name = format!("{}-other", other.name);
    let other = Arc::new(other);
    for (case, observation) in observations() {
        let twin = Observation { target: Arc::clone(&other), ..everywhere(&observation, SignalKind::RequestRate, 9e5) };
        let mut before = twin.clone();
        let earlier = before.current.timestamp.checked_sub_signed(TimeDelta::minutes(1));
        before.current.timestamp = earlier.unwrap_or(before.current.timestamp);
        let alone = written(&make().decide(&observation).await);
        let shared = make();
        for twin in [before, twin] {
            let _ = shared.decide(&twin).await;
        }
        assert_eq!(alone, written(&shared.decide(&observation).await), "{PROMISE}: {case}");
    }
}

async fn ask<E: DecisionEngine>(
    promise: &str,
    make: &impl Fn() -> E,
    case: &str,
    observation: &Observation,
) -> Result<ScalingDecision, EngineError> {
    let engine = make();
    let mut answer = pin!(engine.decide(observation));
    poll_fn(|context| {
        catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context)))
            .unwrap_or_else(|_| panic!("{promise}: it panicked, given {case}"))
    })
    .await
}

fn written(answer: &Result<ScalingDecision, EngineError>) -> Result<String, String> {
    match answer {
        Ok(decision) => Ok(serde_json::to_string(decision).unwrap_or_else(|error| error.to_string())),
        Err(error) => Err(error.to_string()),
    }
}

/// A healthy workload of so many pods, the last `minutes` of it in its history, a sample each minute, nothing absent.
pub fn steady(pods: u32, minutes: u32) -> Observation {
    let start = some_time();
    let sample = |minute: u32| {
        let wave = f64::from(minute % 7) - 3.0;
        let size = f64::from(pods);
        ScalingMetrics::new(start + TimeDelta::minutes(i64::from(minute)), pods)
            .with(SignalKind::CpuUtilization, 50.0 + wave)
            .with(SignalKind::MemoryUtilization, 55.0 + wave / 2.0)
            .with(SignalKind::RequestRate, size * (100.0 + 2.0 * wave))
            .with(SignalKind::ResponseTime, 40.0 + wave)
            .with(SignalKind::ErrorRate, 0.1)
            .with(SignalKind::ActiveConnections, size * (20.0 + wave))
            .with(SignalKind::QueueDepth, 1.0)
    };
    let (history, _) = MetricsHistory::from_unordered((0..minutes).map(sample).collect());
    Observation::new(some_target(), sample(minutes)).with_history(history)
}

/// Observations that trip the careless, each with what is awkward about it.
pub fn observations() -> Vec<(String, Observation)> {
    let mut cases = vec![
        ("a steady hour".into(), steady(3, 60)),
        ("an idle hour".into(), everywhere(&steady(8, 60), SignalKind::CpuUtilization, 4.0)),
        ("a full pod".into(), everywhere(&steady(1, 60), SignalKind::CpuUtilization, 99.0)),
        ("full memory".into(), everywhere(&steady(5, 60), SignalKind::MemoryUtilization, 95.0)),
        ("nothing but the pod count".into(), Observation::new(some_target(), ScalingMetrics::new(some_time(), 3))),
        ("the present after a blank past".into(), blank_past()),
        ("a past with gaps".into(), gaps()),
        ("a past that is later than the present".into(), later_past()),
        ("a past at the ends of time".into(), ends_of_time()),
    ];
    for (ready, asked) in [(Some(2), 10), (Some(10), 2), (Some(0), 5), (Some(5), 0), (None, 5), (Some(3), 1_000_000)] {
        let mut observation = steady(ready.unwrap_or(5), 30);
        observation.current.current_pod_count = ready;
        observation.current.desired_pod_count = Some(asked);
        cases.push((format!("{ready:?} pods ready of {asked} asked for"), observation));
    }
    for pods in [0, 1, 1_000_000] {
        cases.push((format!("{pods} pods"), steady(pods, 60)));
        cases.push((format!("{pods} pods without a past"), steady(pods, 0)));
        let failing = everywhere(&steady(pods, 5), SignalKind::ErrorRate, 50.0);
        cases.push((format!("{pods} failing pods"), everywhere(&failing, SignalKind::QueueDepth, 1e6)));
    }
    for value in
        [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, -0.0, 0.0, f64::MIN_POSITIVE, 1e-300, 1e12, f64::MAX]
    {
        let all = |metrics: &ScalingMetrics| {
            SignalKind::ALL.into_iter().fold(metrics.clone(), |metrics, kind| metrics.with(kind, value))
        };
        for minutes in [0, 60] {
            let mut observation = steady(3, minutes);
            observation.current = all(&observation.current);
            cases.push((format!("every signal {value:e} after {minutes} minutes"), observation.clone()));
            let past = observation.history.iter().map(|sample| all(&sample)).collect();
            let observation = observation.with_history(MetricsHistory::from_unordered(past).0);
            cases.push((format!("every signal {value:e} for {minutes} minutes"), observation));
        }
        for kind in SignalKind::ALL {
            let mut observation = steady(3, 10);
            observation.current = observation.current.with(kind, value);
            cases.push((format!("{kind} {value:e}"), observation));
            cases.push((format!("{kind} {value:e} all along"), everywhere(&steady(3, 10), kind, value)));
        }
    }
    for (case, past, present) in [("a hair until now", 1e-300, 1e12), ("a flood until now", 1e12, 1e-300)] {
        for kind in SignalKind::ALL {
            let mut observation = everywhere(&steady(3, 10), kind, past);
            observation.current = observation.current.with(kind, present);
            cases.push((format!("{kind}: {case}"), observation));
        }
    }
    for kind in SignalKind::ALL {
        for absence in lost().into_iter().chain([Absence::NotMeasured]) {
            let mut observation = steady(3, 30);
            observation.current = observation.current.without(kind, absence);
            cases.push((format!("{kind} {absence}"), observation));
        }
    }
    cases
}

fn everywhere(observation: &Observation, kind: SignalKind, value: f64) -> Observation {
    let past = observation.history.iter().map(|sample| sample.with(kind, value)).collect();
    let mut changed = observation.clone().with_history(MetricsHistory::from_unordered(past).0);
    changed.current = changed.current.with(kind, value);
    changed
}

fn blank_past() -> Observation {
    let observation = steady(3, 30);
    let past = observation.history.iter().map(|sample| {
        let mut blank = ScalingMetrics::new(sample.timestamp, 0);
        blank.current_pod_count = None;
        blank
    });
    let (history, _) = MetricsHistory::from_unordered(past.collect());
    observation.with_history(history)
}

fn gaps() -> Observation {
    let observation = steady(4, 90);
    let past =
        observation.history.iter().enumerate().filter(|(nth, _)| !(20..50).contains(nth)).map(|(nth, mut sample)| {
            let kind = SignalKind::ALL.into_iter().cycle().nth(nth);
            sample.set(kind.unwrap_or(SignalKind::QueueDepth), Signal::NOT_MEASURED);
            if nth % 5 == 0 {
                sample.current_pod_count = None;
            }
            sample
        });
    let (history, _) = MetricsHistory::from_unordered(past.collect());
    observation.with_history(history)
}

fn later_past() -> Observation {
    let mut observation = steady(3, 60);
    observation.current.timestamp -= TimeDelta::minutes(40);
    observation
}

fn ends_of_time() -> Observation {
    let observation = steady(3, 2);
    let (first, last) = (DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC);
    let mut past: Vec<_> = observation.history.iter().collect();
    for at in [first, last] {
        let mut sample = observation.current.clone();
        sample.timestamp = at;
        past.push(sample);
    }
    let (history, _) = MetricsHistory::from_unordered(past);
    observation.with_history(history)
}

/// Observations with facts and events at the edge of what can be written down.
pub fn extreme_facts() -> Vec<(String, Observation)> {
    let facts = |case: &str, change: fn(&mut WorkloadFacts)| {
        let mut facts = WorkloadFacts::default();
        change(&mut facts);
        (case.to_owned(), steady(3, 60).with_facts(facts))
    };
    let mut cases = vec![
        facts("an endless start-up", |facts| facts.start_up = Duration::MAX),
        facts("an endless lag", |facts| facts.metrics_lag = Duration::MAX),
        facts("an endless sync period", |facts| facts.sync_period = Duration::MAX),
        facts("an endless window of rates", |facts| facts.metrics_window = Duration::MAX),
        facts("no time at all", |facts| {
            (facts.start_up, facts.metrics_lag, facts.sync_period) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
        }),
        facts("a capacity that is no number", |facts| facts.pod_capacity = Some(f64::NAN)),
        facts("a capacity of 0", |facts| facts.pod_capacity = Some(0.0)),
        facts("a negative capacity", |facts| facts.pod_capacity = Some(-5.0)),
        facts("a hair of capacity", |facts| facts.pod_capacity = Some(f64::MIN_POSITIVE)),
        facts("endless capacity", |facts| facts.pod_capacity = Some(f64::MAX)),
        facts("a day of 2³¹ seconds east", |facts| facts.utc_offset_seconds = i32::MAX),
        facts("a day of 2³¹ seconds west", |facts| facts.utc_offset_seconds = i32::MIN),
        facts("requests of 0", |facts| {
            (facts.cpu_request_millicores, facts.memory_request_bytes) = (Some(0), Some(0));
        }),
        facts("huge requests", |facts| {
            (facts.cpu_request_millicores, facts.memory_request_bytes) = (Some(u64::MAX), Some(u64::MAX));
        }),
    ];
    let (first, last) = (DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC);
    for (case, start, end, factor) in [
        ("an event that never began and never ends", first, last, 1000.0),
        ("an event that is over since the beginning", first, first + TimeDelta::seconds(1), 2.0),
        ("an event at the end of time", last - TimeDelta::seconds(1), last, 2.0),
        ("an event that brings next to nothing", first, last, f64::MIN_POSITIVE),
    ] {
        let event = PlannedEvent::new("", start, end, factor).into_iter().collect::<Arc<[_]>>();
        cases.push((case.to_owned(), steady(3, 60).with_events(event)));
    }
    for at in [first, last] {
        let mut observation = steady(3, 60);
        observation.current.timestamp = at;
        cases.push((format!("the present at {at}"), observation.clone().at(at)));
        cases.push((format!("the metrics at {at}"), observation));
        cases.push((format!("asked at {at}"), steady(3, 60).at(at)));
    }
    for expected in [0.0, 1e-300, 1e12, f64::MAX, f64::NAN, f64::INFINITY, -1.0] {
        let (signal, observed) = (SignalKind::RequestRate, 300.0);
        let forecast = LoadForecast { signal, observed, expected, quantile: expected, ahead_s: expected };
        cases.push((format!("a forecast of {expected:e}"), steady(3, 60).with_forecast(Ok(forecast))));
    }
    cases.push(("no forecast".into(), steady(3, 60).with_forecast(Err(NoForecast::TooShort))));
    cases
}
