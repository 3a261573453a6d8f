//! Samples of series, on a grid of time. Pure.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::series::{Fault, Line, Lines, Point, QueryError, Window};
use super::term::{Amount, Term, Workload, factor};
use crate::metrics::{Absence, ScalingMetrics, Signal};
use crate::source::mapping::SignalQuery;

/// A number at an instant, or why there is none.
pub(super) type Reading = Result<f64, Absence>;

/// The samples of a workload, one at the end of each step of the window; none for a step in which nothing was measured.
///
/// # Errors
/// The first fault, if every query of the workload failed.
pub(super) fn samples<S: Clone + Eq + Hash>(
    workload: &Workload<S>,
    lines: &Lines<S>,
    window: Window,
) -> Result<Vec<ScalingMetrics>, QueryError> {
    if let Some(error) = failed(workload, lines) {
        return Err(error);
    }
    let mut samples = Vec::new();
    let mut next = window.from.checked_add_signed(window.step);
    while let Some(at) = next.filter(|at| *at <= window.to) {
        samples.extend(sample(workload, lines, at, window.step));
        next = at.checked_add_signed(window.step);
    }
    Ok(samples)
}

/// The first failure, if there is nothing but failures.
fn failed<S: Eq + Hash>(workload: &Workload<S>, lines: &Lines<S>) -> Option<QueryError> {
    let mut first = None;
    for query in workload.mapping.queries() {
        for (series, _) in query.query.series(query.unit) {
            match lines.get(series) {
                Some(Err(Fault::Failed(error))) => first = first.or_else(|| Some(error.clone())),
                _ => return None,
            }
        }
    }
    first
}

/// The first query of the workload that failed, whatever became of the others.
pub(super) fn fault<S: Eq + Hash>(workload: &Workload<S>, lines: &Lines<S>) -> Option<QueryError> {
    let queries = workload.mapping.queries().iter();
    let mut series = queries.flat_map(|query| query.query.series(query.unit));
    series.find_map(|(series, _)| match lines.get(series) {
        Some(Err(Fault::Failed(error))) => Some(error.clone()),
        _ => None,
    })
}

fn sample<S: Eq + Hash>(
    workload: &Workload<S>,
    lines: &Lines<S>,
    at: DateTime<Utc>,
    step: TimeDelta,
) -> Option<ScalingMetrics> {
    let mut sample = ScalingMetrics::new(at, 0);
    sample.current_pod_count = None;
    let mut measured = false;
    for query in workload.mapping.queries() {
        let (reading, period) = reading(&query.query, lines, at, step);
        match (reading, query.conversion(&workload.facts, period)) {
            (Ok(value), Ok(conversion)) => {
                conversion.put(value, &mut sample);
                measured = true;
            }
            (Err(absence), _) => absent(query, absence, &mut sample),
            // Refused when the source was built.
            (Ok(_), Err(_)) => absent(query, Absence::NotMeasured, &mut sample),
        }
    }
    sample.response_time_quantile = workload.mapping.response_time_quantile();
    measured.then_some(sample)
}

fn absent<Q>(query: &SignalQuery<Q>, absence: Absence, sample: &mut ScalingMetrics) {
    if let Some(kind) = query.measure.signal() {
        sample.set(kind, Signal::Absent(absence));
    }
}

/// The number of a term at an instant, and the period that it stands for.
pub(super) fn reading<S: Eq + Hash>(
    term: &Term<S>,
    lines: &HashMap<S, Result<Line, Fault>>,
    at: DateTime<Utc>,
    step: TimeDelta,
) -> (Reading, Duration) {
    let of = |series: &S| match lines.get(series) {
        Some(Ok(line)) => (at_end_of(line, at, step), line.step),
        Some(Err(Fault::WrongUnit { .. })) => (Err(Absence::OutOfRange), step),
        Some(Err(_)) | None => (Err(Absence::NotMeasured), step),
    };
    match term {
        Term::One(series) => {
            let (reading, step) = of(series);
            (reading, step.to_std().unwrap_or_default())
        }
        Term::Share { part, whole } => {
            (share(part, whole, [of(&part.series), of(&whole.series)]), step.to_std().unwrap_or_default())
        }
        Term::Sparse { part, whole } => {
            let (all, counted) = (of(&whole.series), of(&part.series));
            let counted = match (lines.get(&part.series), counted) {
                // A complete answer: what came in part says so at each of its steps.
                (Some(Ok(line)), (Err(Absence::NotMeasured | Absence::Stale { .. }), step)) => {
                    // Of a series without a bucket nobody knows how long they are.
                    (Ok(0.0), if line.points.is_empty() { all.1 } else { step })
                }
                (_, counted) => counted,
            };
            (share(part, whole, [counted, all]), step.to_std().unwrap_or_default())
        }
    }
}

fn share<S>(part: &Amount<S>, whole: &Amount<S>, [(a, a_step), (b, b_step)]: [(Reading, TimeDelta); 2]) -> Reading {
    let (a, b) = (a?, b?);
    if a_step != b_step {
        return Err(Absence::NotMeasured);
    }
    // A share of nothing is no measurement, and of less than nothing even less.
    if b <= 0.0 { Err(Absence::NotMeasured) } else { Ok(a * factor(part.unit, whole.unit) / b) }
}

/// The value of the bucket that ends within the step before `at`. Without one: stale, if an earlier bucket has a value.
fn at_end_of(line: &Line, at: DateTime<Utc>, step: TimeDelta) -> Reading {
    // An answer can name any time, also one after which there is none.
    let end = |point: &Point| point.start.checked_add_signed(line.step).unwrap_or(DateTime::<Utc>::MAX_UTC);
    let until = line.points.partition_point(|point| end(point) <= at);
    let past = line.points.get(..until).unwrap_or_default();
    let present = past.last().filter(|point| at - end(point) < step);
    match present.map(|point| point.value) {
        Some(Ok(value)) => return Ok(value),
        Some(Err(absence)) if absence != Absence::NotMeasured => return Err(absence),
        Some(Err(_)) | None => {}
    }
    let last = past.iter().rev().find(|point| point.value.is_ok());
    Err(last.map_or(Absence::NotMeasured, |point| {
        let age = (at - end(point)).num_seconds();
        Absence::Stale { age_s: u32::try_from(age).unwrap_or(u32::MAX) }
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::SignalKind;
    use crate::source::mapping::{Mapping, Measure, Statistic, Unit};
    use crate::target::Target;

    const MINUTE: TimeDelta = TimeDelta::minutes(1);

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_040, 0).unwrap() + MINUTE * i32::try_from(minute).unwrap()
    }

    fn window(minutes: i64) -> Window {
        Window { from: at(0), to: at(minutes), step: MINUTE }
    }

    fn line(values: &[Reading]) -> Line {
        let points = values.iter().zip(0..).map(|(value, minute)| Point { start: at(minute), value: *value });
        Line { step: MINUTE, points: points.collect() }
    }

    /// CPU as a share, a count as a rate, ready pods.
    fn workload() -> Workload<&'static str> {
        let amount = |series, unit| Amount { series, unit };
        let cpu = Term::share(amount("usage", Unit::Nanocores), amount("requests", Unit::Cores)).unwrap();
        let queries = [
            SignalQuery::new(SignalKind::CpuUtilization, cpu, Unit::Ratio, Statistic::Average),
            SignalQuery::new(SignalKind::RequestRate, Term::One("hits"), Unit::PerPeriod, Statistic::Sum),
            SignalQuery::new(Measure::ReadyPods, Term::One("ready"), Unit::Count, Statistic::Average),
        ];
        Workload::new(Target::deployment("shop", "web"), Mapping::new(queries).unwrap())
    }

    fn lines(parts: [(&'static str, &[Reading]); 4]) -> Lines<&'static str> {
        parts.into_iter().map(|(name, values)| (name, Ok(line(values)))).collect()
    }

    #[test]
    fn values_meet_at_the_end_of_their_step_in_the_units_of_the_measures() {
        let lines =
            lines([("usage", &[Ok(1.5e9)]), ("requests", &[Ok(3.0)]), ("hits", &[Ok(120.0)]), ("ready", &[Ok(3.0)])]);
        let samples = samples(&workload(), &lines, window(1)).unwrap();
        let [sample] = samples.as_slice() else { panic!("{samples:?}") };
        assert_eq!((sample.timestamp, sample.current_pod_count), (at(1), Some(3)));
        assert!((sample.value(SignalKind::CpuUtilization).unwrap() - 50.0).abs() < 1e-9);
        assert_eq!(sample.value(SignalKind::RequestRate), Some(2.0));
    }

    #[test]
    fn what_is_missing_is_told_apart_and_never_carried_on() {
        let null = Err(Absence::NotMeasured);
        let lines = lines([
            ("usage", &[Ok(1e9), null, null]),
            ("requests", &[Ok(1.0), Ok(1.0), Ok(0.0)]),
            ("hits", &[Ok(60.0), Err(Absence::NotFinite), Ok(-1.0)]),
            ("ready", &[null, null, Ok(0.0)]),
        ]);
        let samples = samples(&workload(), &lines, window(4)).unwrap();
        let signals: Vec<_> = samples
            .iter()
            .map(|sample| (sample.signal(SignalKind::CpuUtilization), sample.signal(SignalKind::RequestRate)))
            .collect();
        let stale = |age_s| Signal::Absent(Absence::Stale { age_s });
        // Of the second and fourth step nothing was measured: no sample.
        assert_eq!(signals.len(), 2);
        assert_eq!(signals[0], (Signal::Present(100.0), Signal::Present(1.0)));
        assert_eq!(signals[1], (stale(120), Signal::Absent(Absence::OutOfRange)));
        assert_eq!((samples[0].current_pod_count, samples[1].current_pod_count), (None, Some(0)));
    }

    #[test]
    fn a_share_of_nothing_is_nothing_and_one_failed_query_leaves_the_others() {
        let mut lines = lines([("usage", &[Ok(1e9)]), ("requests", &[Ok(0.0)]), ("hits", &[Ok(0.0)]), ("ready", &[])]);
        let error = QueryError { query: "ready".into(), cause: "status 500".into(), transient: true };
        lines.insert("ready", Err(Fault::Failed(error.clone())));
        let seen = samples(&workload(), &lines, window(1)).unwrap();
        assert_eq!(seen[0].signal(SignalKind::CpuUtilization), Signal::NOT_MEASURED);
        assert_eq!(seen[0].value(SignalKind::RequestRate), Some(0.0), "a measured 0 is a 0");
        for name in ["usage", "requests", "hits"] {
            lines.insert(name, Err(Fault::Failed(error.clone())));
        }
        assert_eq!(samples(&workload(), &lines, window(1)), Err(error));
        lines.insert("hits", Err(Fault::WrongUnit { stated: Unit::PerPeriod, reported: "byte".into() }));
        assert_eq!(samples(&workload(), &lines, window(1)), Ok(vec![]));
    }

    #[test]
    fn a_count_in_larger_buckets_is_divided_by_their_length_and_stands_once() {
        let hits = Line { step: MINUTE * 5, points: vec![Point { start: at(0), value: Ok(600.0) }] };
        let mut lines = lines([("usage", &[]), ("requests", &[]), ("hits", &[]), ("ready", &[])]);
        lines.insert("hits", Ok(hits));
        let samples = samples(&workload(), &lines, window(9)).unwrap();
        let rates: Vec<_> =
            samples.iter().map(|sample| (sample.timestamp, sample.value(SignalKind::RequestRate))).collect();
        assert_eq!(rates, [(at(5), Some(2.0))]);
    }

    fn failures() -> Term<&'static str> {
        let amount = |series| Amount { series, unit: Unit::PerPeriod };
        Term::sparse_share(amount("errors"), amount("hits")).unwrap()
    }

    #[test]
    fn a_count_that_is_left_out_is_0_where_the_whole_was_measured_in_a_complete_answer() {
        let null = Err(Absence::NotMeasured);
        let partial = Err(Absence::Partial { covered_percent: 50 });
        let hits = [Ok(100.0), Ok(100.0), null, Ok(100.0), Ok(0.0), Ok(100.0)];
        let read = |errors: Option<Result<Line, Fault>>, minute| {
            let mut lines = Lines::from([("hits", Ok(line(&hits)))]);
            lines.extend(errors.map(|errors| ("errors", errors)));
            reading(&failures(), &lines, at(minute), MINUTE).0
        };
        let errors = || Some(Ok(line(&[Ok(5.0), null, null, partial, null, Err(Absence::NotFinite)])));
        let stale = Err(Absence::Stale { age_s: 60 });
        let read_all: Vec<_> = (1..=6).map(|minute| read(errors(), minute)).collect();
        assert_eq!(read_all, [Ok(0.05), Ok(0.0), stale, partial, null, Err(Absence::NotFinite)]);
        // No series at all, which is what a service has of a workload that never failed.
        assert_eq!(read(Some(Ok(line(&[]))), 1), Ok(0.0));
        let coarse = Line { step: MINUTE * 5, points: Vec::new() };
        assert_eq!(read(Some(Ok(coarse)), 1), Ok(0.0));
        let error = QueryError { query: "errors".into(), cause: "status 500".into(), transient: true };
        for fault in [Fault::Failed(error), Fault::Ambiguous { matches: 2 }] {
            assert_eq!(read(Some(Err(fault)), 1), null, "an answer that failed says nothing of 0");
        }
        assert_eq!(read(None, 1), null);
    }

    fn any_reading() -> impl Strategy<Value = Reading> {
        prop_oneof![
            any::<f64>().prop_map(|value| if value.is_finite() { Ok(value) } else { Err(Absence::NotFinite) }),
            (0.0..1e6_f64).prop_map(Ok),
            Just(Err(Absence::NotMeasured)),
        ]
    }

    proptest! {
        /// Law 2: a share of 0 was counted as 0, or left out where the whole was measured.
        #[test]
        fn no_share_of_0_is_invented(errors in prop::collection::vec(any_reading(), 0..6), hits in prop::collection::vec(any_reading(), 0..6), minute in 1_i64..8) {
            let lines = Lines::from([("hits", Ok(line(&hits))), ("errors", Ok(line(&errors)))]);
            let index = usize::try_from(minute - 1).unwrap();
            if reading(&failures(), &lines, at(minute), MINUTE).0 == Ok(0.0) {
                let hits = hits[index].unwrap();
                prop_assert!(hits > 0.0);
                prop_assert!(!matches!(errors.get(index), Some(Ok(count)) if count / hits != 0.0));
                prop_assert!(!matches!(errors.get(index), Some(Err(Absence::NotFinite))));
            }
        }

        /// Law 2 begins here: a 0 in a sample is a 0 in the answer, at the same step.
        #[test]
        fn no_0_is_invented(hits in prop::collection::vec(any_reading(), 0..6), ready in prop::collection::vec(any_reading(), 0..6), minutes in 0_i64..8) {
            let lines = lines([("usage", &[]), ("requests", &[]), ("hits", &hits), ("ready", &ready)]);
            for sample in samples(&workload(), &lines, window(minutes)).unwrap() {
                let index = usize::try_from((sample.timestamp - at(1)).num_minutes()).unwrap();
                if sample.value(SignalKind::RequestRate) == Some(0.0) {
                    prop_assert!(matches!(hits.get(index), Some(Ok(value)) if value.abs() < 1e-300));
                }
                if sample.current_pod_count == Some(0) {
                    prop_assert!(matches!(ready.get(index), Some(Ok(value)) if (0.0..=1e-6).contains(value)));
                }
                for kind in SignalKind::ALL {
                    prop_assert!(sample.value(kind).is_none_or(|value| value >= 0.0 && value <= kind.limit()));
                }
            }
        }
    }
}
