//! The present of several sources. Pure.

use chrono::{DateTime, TimeDelta, Utc};

use crate::metrics::{Absence, Observation, Provenance, ScalingMetrics, Signal, SignalKind, SignalSet};
use crate::source::SourceError;

/// What one source answered.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    pub(super) name: &'a str,
    /// The signals that may be taken from it.
    pub(super) most: SignalSet,
    /// The signals that it delivers, also while it fails.
    pub(super) signals: SignalSet,
    /// It has delivered a pod count.
    pub(super) counts_pods: bool,
    pub(super) seen: Result<&'a Observation, &'a SourceError>,
}

/// A source that answered, with the age of its answer.
#[derive(Clone, Copy)]
struct Fresh<'a> {
    name: &'a str,
    metrics: &'a ScalingMetrics,
    most: SignalSet,
    age: TimeDelta,
}

/// The freshest value of each signal and of the pod counts, and where it is from. At least one source answered.
pub(super) fn merged(answers: &[Answer<'_>], now: DateTime<Utc>, fresh_for: TimeDelta) -> (ScalingMetrics, Provenance) {
    let mut sources: Vec<Fresh<'_>> = answers
        .iter()
        .filter_map(|answer| {
            let metrics = &answer.seen.ok()?.current;
            Some(Fresh { name: answer.name, metrics, most: answer.most, age: now - metrics.timestamp })
        })
        .collect();
    // Stable: of equally fresh ones the first counts.
    sources.sort_by_key(|source| source.age);
    let newest = sources.first().map_or(now, |source| source.metrics.timestamp);
    let mut current = ScalingMetrics::new(newest, 0);
    let mut provenance = Provenance { failed: failed(answers), ..Provenance::default() };
    pods(&sources, fresh_for, &mut current, &mut provenance);
    for kind in SignalKind::ALL {
        let measured = sources.iter().find(|source| value(source, kind, fresh_for).is_some());
        let Some(source) = measured else {
            current.set(kind, Signal::Absent(cause(&sources, kind)));
            continue;
        };
        current.set(kind, source.metrics.signal(kind));
        if kind == SignalKind::ResponseTime {
            current.response_time_quantile = source.metrics.response_time_quantile;
        }
        provenance.signals.insert(kind, source.name.to_owned());
        if answers.iter().any(|answer| lacks(answer, kind, now, fresh_for)) {
            provenance.unconfirmed = provenance.unconfirmed.with(kind);
        }
    }
    (current, provenance)
}

fn failed(answers: &[Answer<'_>]) -> std::collections::BTreeMap<String, String> {
    answers.iter().filter_map(|answer| Some((answer.name.to_owned(), answer.seen.err()?.to_string()))).collect()
}

fn pods(sources: &[Fresh<'_>], fresh_for: TimeDelta, current: &mut ScalingMetrics, provenance: &mut Provenance) {
    let fresh = || sources.iter().filter(|source| source.age <= fresh_for);
    let ready = fresh().find(|source| source.metrics.current_pod_count.is_some());
    let desired = fresh().find(|source| source.metrics.desired_pod_count.is_some());
    current.current_pod_count = ready.and_then(|source| source.metrics.current_pod_count);
    current.desired_pod_count = desired.and_then(|source| source.metrics.desired_pod_count);
    provenance.pods = ready.or(desired).map(|source| source.name.to_owned());
}

fn value(source: &Fresh<'_>, kind: SignalKind, fresh_for: TimeDelta) -> Option<f64> {
    source.metrics.value(kind).filter(|_| source.most.contains(kind) && source.age <= fresh_for)
}

/// Why nobody has a usable value: the cause of the freshest source that has one, or the age of a value that is too old.
fn cause(sources: &[Fresh<'_>], kind: SignalKind) -> Absence {
    let causes = sources.iter().filter(|source| source.most.contains(kind)).map(|source| {
        let stale = Absence::Stale { age_s: u32::try_from(source.age.num_seconds().max(0)).unwrap_or(u32::MAX) };
        source.metrics.signal(kind).absence().unwrap_or(stale)
    });
    causes.reduce(|freshest, next| if freshest.is_loss() { freshest } else { next }).unwrap_or(Absence::NotMeasured)
}

/// True if a source that delivers this signal has not measured it now, while another has.
fn lacks(answer: &Answer<'_>, kind: SignalKind, now: DateTime<Utc>, fresh_for: TimeDelta) -> bool {
    let Ok(seen) = answer.seen else {
        // Without its pod count, pods that another counts may be fewer.
        return answer.signals.contains(kind) || answer.counts_pods;
    };
    let metrics = &seen.current;
    // Without requests there is nothing to measure.
    let idle = metrics.value(SignalKind::RequestRate) == Some(0.0);
    let moot = idle && matches!(kind, SignalKind::ResponseTime | SignalKind::ErrorRate);
    let measured = metrics.value(kind).is_some() && now - metrics.timestamp <= fresh_for;
    answer.signals.contains(kind) && !measured && !moot
}
