//! The past that engines learn from, in windows of bounded size: [`FleetSource::backfill`].

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

use super::assemble;
use super::config::before;
use super::series::{Backend, QueryError, Window};
use super::source::{FleetSource, wanted};
use crate::target::Target;

/// Most buckets of all series together that one backfill query asks for: some tens of megabytes of text.
const BUDGET: usize = 500_000;

/// What a backfill brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backfilled {
    /// Windows that were asked for.
    pub windows: usize,
    /// Samples that were taken.
    pub samples: usize,
    /// Workloads that were left out, because they had samples already and nothing of them was missing.
    pub left_out: usize,
    /// Windows of which a workload has nothing, or not all of its measures, since queries failed.
    pub gaps: Vec<Gap>,
}

/// A piece of the past of one workload that could not be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The workload.
    pub target: Target,
    /// Start of the window.
    pub from: DateTime<Utc>,
    /// End of the window.
    pub to: DateTime<Utc>,
    /// The first query of the workload that failed there.
    pub error: QueryError,
    /// True if all of its queries failed, so that it has no samples there. A later backfill asks for these again; samples that lack
    /// a measure stay as they are.
    pub is_whole: bool,
}

impl<B: Backend> FleetSource<B> {
    /// Brings the history of a time span before `now` of every workload of which nothing is known yet, oldest first, in windows of bounded
    /// size. Call it before the first tick: what was sampled is not rewritten.
    ///
    /// What failed is in [`Backfilled::gaps`], and is asked for again by a later backfill whose span reaches it, also after ticks.
    ///
    /// # Errors
    /// [`QueryError`] of the first window of which nothing could be learnt. What came before it is kept; the rest counts as missing, so
    /// that calling again goes on from there.
    pub async fn backfill(&self, now: DateTime<Utc>, span: TimeDelta) -> Result<Backfilled, QueryError> {
        let (backend, times) = self.parts();
        let newest = times.newest(now);
        // No more than history holds.
        let kept = times.step * i32::try_from(times.limit).unwrap_or(i32::MAX);
        let from = before(newest, span.clamp(TimeDelta::zero(), kept));
        let mut from = from.duration_trunc(times.step).unwrap_or(from);
        let states = self.states();
        let (new, old): (Vec<_>, Vec<_>) = self.workloads().partition(|one| states.newest(&one.target).is_none());
        for workload in new {
            states.miss(&workload.target, from, newest);
        }
        let lacking = |from, to| self.workloads().filter(move |one| states.misses(&one.target, from, to));
        let left_out = old.iter().filter(|one| !states.misses(&one.target, from, newest)).count();
        let mut brought = Backfilled { left_out, ..Backfilled::default() };
        let room = BUDGET / wanted(lacking(from, newest)).len().max(1);
        let length = times.step * i32::try_from(room).unwrap_or(i32::MAX).clamp(1, backend.longest());
        while from < newest {
            let to = from.checked_add_signed(length).map_or(newest, |to| to.min(newest));
            let window = Window { from, to, step: times.step };
            let asked: Vec<_> = lacking(from, to).collect();
            from = to;
            if asked.is_empty() {
                continue;
            }
            let lines = backend.fetch(&wanted(asked.iter().copied()), window, now).await?;
            brought.windows += 1;
            for workload in asked {
                let gap =
                    |error, is_whole| Gap { target: workload.target.clone(), from: window.from, to, error, is_whole };
                match assemble::samples(workload, &lines, window) {
                    Ok(samples) => {
                        brought.samples += states.fill(&workload.target, samples, window);
                        brought.gaps.extend(assemble::fault(workload, &lines).map(|error| gap(error, false)));
                    }
                    Err(error) => brought.gaps.push(gap(error, true)),
                }
            }
        }
        Ok(brought)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::metrics::SignalKind;
    use crate::source::MetricsSource;
    use crate::source::fleet::{Fault, FleetConfig, Line, Lines, Point, Term, Workload};
    use crate::source::mapping::{Mapping, SignalQuery, Statistic, Unit};

    const MINUTE: TimeDelta = TimeDelta::minutes(1);

    fn at(minute: i32) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_040, 0).unwrap() + MINUTE * minute
    }

    /// A service of which some series fail where a window begins.
    #[derive(Debug, Default)]
    struct Flaky(Mutex<Vec<(&'static str, DateTime<Utc>)>>);

    #[async_trait]
    impl Backend for Flaky {
        type Series = &'static str;

        async fn fetch(
            &self,
            wanted: &[(&'static str, Unit)],
            window: Window,
            _: DateTime<Utc>,
        ) -> Result<Lines<&'static str>, QueryError> {
            let failing = self.0.lock().unwrap();
            let line = |name: &'static str| {
                if failing.contains(&(name, window.from)) {
                    let error = QueryError { query: name.into(), cause: "status 503".into(), transient: true };
                    return Err(Fault::Failed(error));
                }
                let starts = (0..).map(|step| window.from + window.step * step).take_while(|start| *start < window.to);
                Ok(Line { step: window.step, points: starts.map(|start| Point { start, value: Ok(60.0) }).collect() })
            };
            Ok(wanted.iter().map(|(name, _)| (*name, line(name))).collect())
        }

        fn settle(&self) -> TimeDelta {
            TimeDelta::zero()
        }

        fn longest(&self) -> i32 {
            30
        }
    }

    fn source() -> FleetSource<Flaky> {
        let workload = |name: &'static str, series: [&'static str; 2]| {
            let [rate, queue] = series;
            let queries = [
                SignalQuery::new(SignalKind::RequestRate, Term::One(rate), Unit::PerPeriod, Statistic::Sum),
                SignalQuery::new(SignalKind::QueueDepth, Term::One(queue), Unit::Count, Statistic::Average),
            ];
            Workload::new(Target::deployment("shop", name), Mapping::new(queries).unwrap())
        };
        let workloads = [workload("a", ["a-rate", "a-queue"]), workload("b", ["b-rate", "b-queue"])];
        FleetSource::new(Flaky::default(), workloads, FleetConfig::default()).unwrap()
    }

    #[tokio::test]
    async fn a_window_that_failed_for_a_workload_is_in_the_report_and_is_filled_later() {
        let source = source();
        let (a, b) = (Target::deployment("shop", "a"), Target::deployment("shop", "b"));
        *source.parts().0.0.lock().unwrap() = vec![("a-rate", at(30)), ("a-queue", at(30)), ("b-queue", at(60))];
        let brought = source.backfill(at(90), MINUTE * 90).await.unwrap();
        let mut gaps: Vec<_> = brought.gaps.iter().map(|gap| (&gap.target, gap.from, gap.to, gap.is_whole)).collect();
        gaps.sort_unstable();
        assert_eq!(gaps, [(&a, at(30), at(60), true), (&b, at(60), at(90), false)]);
        assert!(brought.gaps.iter().all(|gap| gap.error.cause == "status 503"));
        assert_eq!((brought.windows, brought.samples, brought.left_out), (3, 150, 0));
        // Ticks go on, and the gap is still known.
        let seen = source.observe(&a, at(91)).await.unwrap();
        assert_eq!((seen.current.timestamp, seen.history.len()), (at(91), 60));
        source.parts().0.0.lock().unwrap().clear();
        let brought = source.backfill(at(91), MINUTE * 91).await.unwrap();
        assert_eq!((brought.windows, brought.samples, brought.left_out, brought.gaps.len()), (1, 30, 1, 0));
        let seen = source.observe(&a, at(91)).await.unwrap();
        let times: Vec<_> = seen.history.iter().map(|sample| sample.timestamp).collect();
        assert_eq!(times, (1..=90).map(at).collect::<Vec<_>>());
        assert_eq!(source.backfill(at(91), MINUTE * 91).await.unwrap().left_out, 2);
    }

    #[tokio::test]
    async fn a_gap_is_filled_in_pieces_that_lie_otherwise() {
        let source = source();
        *source.parts().0.0.lock().unwrap() = vec![("a-rate", at(30)), ("a-queue", at(30))];
        source.backfill(at(90), MINUTE * 90).await.unwrap();
        // Windows begin 10 minutes later now, and the second piece of the gap fails again.
        *source.parts().0.0.lock().unwrap() = vec![("a-rate", at(40)), ("a-queue", at(40))];
        let brought = source.backfill(at(90), MINUTE * 80).await.unwrap();
        assert_eq!((brought.windows, brought.samples, brought.gaps.len()), (2, 10, 1));
        let brought = source.backfill(at(90), MINUTE * 80).await.unwrap();
        assert_eq!((brought.windows, brought.gaps.len()), (1, 1));
        source.parts().0.0.lock().unwrap().clear();
        assert_eq!(source.backfill(at(90), MINUTE * 80).await.unwrap().samples, 20);
    }
}
