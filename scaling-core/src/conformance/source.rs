//! Promises of every [`MetricsSource`].

use chrono::{DateTime, TimeDelta, Utc};

use crate::{MetricsSource, Observation, ScalingMetrics, SignalKind, SourceError, Target};

/// Runs every promise of a source.
///
/// `make` gives a source over the same data each time; `target` is a workload it knows, `now` an instant at which it has an
/// observation of it.
///
/// ```
/// use scaling_core::chrono::DateTime;
/// use scaling_core::{MemorySource, Observation, ScalingMetrics, SignalKind, Target, conformance};
///
/// let target = Target::deployment("shop", "checkout");
/// let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
/// let make = || {
///     let source = MemorySource::new();
///     let metrics = ScalingMetrics::new(now, 3).with(SignalKind::CpuUtilization, 62.0);
///     source.put(target.clone(), Observation::new(target.clone(), metrics));
///     source
/// };
/// futures::executor::block_on(conformance::source(make, &target, now));
/// ```
pub async fn all<S: MetricsSource>(make: impl Fn() -> S, target: &Target, now: DateTime<Utc>) {
    observes(&make, target, now).await;
    nothing_is_later_than_now(&make, target, now).await;
    unknown_targets_are_errors(&make, target, now).await;
    same_instant_same_answer(&make, target, now).await;
    values_can_be_true(&make, target, now).await;
    before_the_beginning_nothing_is_measured(&make, target, now).await;
}

/// The known workload is seen at the given instant; without that the other promises say little.
pub async fn observes<S: MetricsSource>(make: &impl Fn() -> S, target: &Target, now: DateTime<Utc>) {
    if let Err(error) = make().observe(target, now).await {
        panic!("a source sees a workload it knows: {error}");
    }
}

/// Nothing in the answer is later than the instant asked for, neither the present nor the past; the past ends before the present.
pub async fn nothing_is_later_than_now<S: MetricsSource>(make: &impl Fn() -> S, target: &Target, now: DateTime<Utc>) {
    const PROMISE: &str = "nothing later than now is in the answer";
    let source = make();
    for back in [0, 1, 30, 60, 600, 3600, 86_400] {
        let asked = now - TimeDelta::seconds(back);
        let Ok(seen) = source.observe(target, asked).await else { continue };
        let present = seen.current.timestamp;
        assert!(present <= asked, "{PROMISE}: asked at {asked}, the metrics are of {present}");
        if let Some(newest) = seen.history.newest() {
            assert!(newest <= asked, "{PROMISE}: asked at {asked}, the history ends at {newest}");
            assert!(newest < present, "history ends before the present: {newest} and {present}");
        }
    }
}

/// A workload that nobody knows is an error that names it, not an empty observation.
pub async fn unknown_targets_are_errors<S: MetricsSource>(make: &impl Fn() -> S, target: &Target, now: DateTime<Utc>) {
    const PROMISE: &str = "an unknown workload is an error";
    let unknown = Target { name: format!("{}-nobody-knows", target.name), ..target.clone() };
    match make().observe(&unknown, now).await {
        Ok(seen) => panic!("{PROMISE}: {:?} was observed of {unknown}", seen.current),
        Err(error) => assert!(error.to_string().contains(&unknown.name), "{PROMISE} that names it: {error}"),
    }
}

/// The same instant asked twice gives the same answer, from the same source and from one made alike.
pub async fn same_instant_same_answer<S: MetricsSource>(make: &impl Fn() -> S, target: &Target, now: DateTime<Utc>) {
    const PROMISE: &str = "the same instant gives the same answer";
    let source = make();
    let first = written(source.observe(target, now).await);
    assert_eq!(first, written(source.observe(target, now).await), "{PROMISE}: asked twice");
    // An earlier instant in between changes nothing.
    let _ = source.observe(target, now - TimeDelta::minutes(5)).await;
    assert_eq!(first, written(source.observe(target, now).await), "{PROMISE}: asked after an earlier one");
    assert_eq!(first, written(make().observe(target, now).await), "{PROMISE}: asked of a source made alike");
}

/// Every value that is present can be true: finite, not negative, within [`SignalKind::limit`].
pub async fn values_can_be_true<S: MetricsSource>(make: &impl Fn() -> S, target: &Target, now: DateTime<Utc>) {
    let Ok(seen) = make().observe(target, now).await else { return };
    for sample in seen.history.iter().chain([seen.current]) {
        for kind in SignalKind::ALL {
            if let Some(value) = sample.value(kind) {
                assert!(
                    (0.0..=kind.limit()).contains(&value),
                    "what cannot be true is absent: {kind} {value} at {}",
                    sample.timestamp
                );
            }
        }
    }
}

/// Absent is never 0: at an instant before all data there is either an error, or an observation in which nothing has a value.
pub async fn before_the_beginning_nothing_is_measured<S: MetricsSource>(
    make: &impl Fn() -> S,
    target: &Target,
    now: DateTime<Utc>,
) {
    let long_ago = now - TimeDelta::days(36_500);
    let Ok(seen) = make().observe(target, long_ago).await else { return };
    never_measured(&seen.current, &SignalKind::ALL);
}

/// Absent is never 0: signals that the backend does not have for this workload have no value. Call it with what is missing in
/// the data under test; [`all`] cannot know.
pub async fn what_is_missing_is_absent<S: MetricsSource>(
    make: &impl Fn() -> S,
    target: &Target,
    now: DateTime<Utc>,
    missing: &[SignalKind],
) {
    match make().observe(target, now).await {
        Ok(seen) => never_measured(&seen.current, missing),
        Err(error) => panic!("a source sees a workload it knows, whatever signals are missing: {error}"),
    }
}

fn never_measured(metrics: &ScalingMetrics, missing: &[SignalKind]) {
    for kind in missing {
        if let Some(value) = metrics.value(*kind) {
            panic!("absent is never a number: {kind} is {value}, and nobody measured it");
        }
    }
}

/// Word for word, absences included.
fn written(seen: Result<Observation, SourceError>) -> Result<String, String> {
    let seen = seen.map_err(|error| error.to_string())?;
    let past: Vec<_> = seen.history.iter().collect();
    Ok(format!("{:?} {past:?} {:?} {:?}", seen.current, seen.facts, seen.events))
}
