//! Days of one load under two policies: [`replayed_days`], and [`replayed_day`] for one of them.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::backtest::{BacktestError, Candidate, SampleTime, Scenario, Score, Trace, TraceError, score_one};
use crate::metrics::ScalingMetrics;

/// Cost of one day, and what its users suffered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DayCost {
    /// Hours of pods paid for.
    pub pod_hours: f64,
    /// Share of requests that waited longer than the objective, or were dropped: 0 to 1.
    pub violating_share: f64,
    /// Times that the bounds of the HPA were moved; none under the HPA as it is.
    #[serde(default)]
    pub changes: u64,
}

/// One day under both: the same load, the same cluster.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedDay {
    /// Beginning of the 24 hours.
    pub begins: DateTime<Utc>,
    /// What is in force.
    pub champion: DayCost,
    /// What wants its place.
    pub challenger: DayCost,
}

/// Reason why days cannot be replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DaysError {
    /// What was seen is no load.
    #[error("what was seen is no load: {0}")]
    Trace(#[from] TraceError),
    /// A day cannot be replayed.
    #[error("the day from {begins}: {source}")]
    Replay {
        /// Its beginning.
        begins: DateTime<Utc>,
        /// Cause.
        #[source]
        source: BacktestError,
    },
}

/// Result of the replay of one day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ReplayedDay {
    /// The day under both.
    Paired(PairedDay),
    /// Less than half of its demand was seen: no day to judge by.
    NotSeen {
        /// Beginning of the 24 hours.
        begins: DateTime<Utc>,
    },
    /// It is not over in what was seen, and no later one is.
    NotOver,
}

/// Replays each whole day of what was seen, from the second on, under both: all days before it are the history that is learnt from, and
/// nothing after it is known. Of the scenario everything counts but its trace, its history and its length. The first hour of a day settles
/// and does not count, unless the scenario says otherwise. A day of which less than half was seen is left out, and logged.
///
/// # Errors
/// [`DaysError`] if what was seen is no load, or a day cannot be replayed. Less than two days is none.
pub async fn replayed_days(
    seen: &[ScalingMetrics],
    scenario: &Scenario,
    champion: &Candidate,
    challenger: &Candidate,
) -> Result<Vec<PairedDay>, DaysError> {
    let mut days = Vec::new();
    for number in 1.. {
        match replayed_day(seen, scenario, champion, challenger, number).await? {
            ReplayedDay::Paired(day) => days.push(day),
            ReplayedDay::NotSeen { begins } => tracing::info!(%begins, "a day was not seen, and says nothing"),
            ReplayedDay::NotOver => break,
        }
    }
    Ok(days)
}

/// Replays one of the days of [`replayed_days`], for a host that does something else in between: the first is number 1.
///
/// # Errors
/// Those of [`replayed_days`].
pub async fn replayed_day(
    seen: &[ScalingMetrics],
    scenario: &Scenario,
    champion: &Candidate,
    challenger: &Candidate,
    number: u32,
) -> Result<ReplayedDay, DaysError> {
    let instants = || seen.iter().map(|sample| sample.timestamp);
    let (Some(first), Some(last)) = (instants().min(), instants().max()) else { return Ok(ReplayedDay::NotOver) };
    let day = |number: u32| first.checked_add_signed(TimeDelta::days(number.into()));
    let (Some(begins), Some(ends)) = (day(number), day(number.saturating_add(1)).filter(|ends| *ends <= last)) else {
        return Ok(ReplayedDay::NotOver);
    };
    // A sample tells of the time before it.
    let until: Vec<ScalingMetrics> = seen.iter().filter(|sample| sample.timestamp <= ends).cloned().collect();
    let trace = Trace::from_samples(scenario.trace.name(), until, SampleTime::Ends)?;
    if trace.recorded_within(begins, ends) < TimeDelta::hours(12) {
        return Ok(ReplayedDay::NotSeen { begins });
    }
    // The trace ends with the last demand, which may be before the end of the day.
    let (start, end) = trace.span();
    let share = (begins - start).as_seconds_f64() / (end - start).as_seconds_f64();
    let day = Scenario { trace: trace.into(), history_share: share, ..scenario.clone() };
    let cost = async |candidate| {
        let score = score_one(&day, candidate, &()).await;
        let Score { pod_hours, violating_share, bound_changes: changes, .. } =
            score.map_err(|source| DaysError::Replay { begins, source })?;
        Ok::<_, DaysError>(DayCost { pod_hours, violating_share, changes })
    };
    Ok(ReplayedDay::Paired(PairedDay { begins, champion: cost(champion).await?, challenger: cost(challenger).await? }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::HardLimits;
    use crate::adoption::{Trial, TrialVerdict};
    use crate::backtest::{ClusterModel, Driver};
    use crate::decision::ScalingDecision;
    use crate::engine::{DecisionEngine, EngineError};
    use crate::metrics::{Observation, SignalKind};

    /// So many pods, always.
    struct Pods(u32);

    #[async_trait::async_trait]
    impl DecisionEngine for Pods {
        fn name(&self) -> &'static str {
            "pods"
        }

        async fn decide(&self, seen: &Observation) -> Result<ScalingDecision, EngineError> {
            let current = seen.current.replicas().ok_or(EngineError::NoPodCount)?;
            Ok(ScalingDecision::replicas("pods", seen.current.timestamp, current, self.0).with_confidence(1.0))
        }
    }

    fn pods(number: u32) -> Candidate {
        Candidate::direct(format!("{number} pods"), move |_| Ok(Driver::direct(Pods(number))))
    }

    /// A load of 100 requests a second each five minutes; a pod serves 50.
    fn seen(days: i64) -> (Vec<ScalingMetrics>, Scenario) {
        let sample = |nth: i64| {
            let at = DateTime::UNIX_EPOCH + TimeDelta::minutes(5 * nth);
            ScalingMetrics::new(at, 3).with(SignalKind::RequestRate, 100.0)
        };
        let samples: Vec<_> = (0..=days * 288).map(sample).collect();
        let trace = Trace::from_samples("seen", samples.clone(), SampleTime::Starts).unwrap();
        let limits = HardLimits::new(1, 20).unwrap();
        let model = ClusterModel { pod_capacity: 50.0, limits, ..ClusterModel::default() };
        (samples, Scenario::new(trace, model))
    }

    #[test]
    fn each_whole_day_but_the_first_is_replayed_under_both() {
        let (samples, scenario) = seen(10);
        let days = block_on(replayed_days(&samples, &scenario, &pods(8), &pods(4))).unwrap();
        let begins: Vec<_> = days.iter().map(|day| (day.begins - DateTime::UNIX_EPOCH).num_days()).collect();
        assert_eq!(begins, (1..10).collect::<Vec<_>>());
        for day in &days {
            // The first hour settles.
            assert!((day.champion.pod_hours - 8.0 * 23.0).abs() < 1.0, "{day:?}");
            assert!((day.challenger.pod_hours - 4.0 * 23.0).abs() < 1.0, "{day:?}");
            assert!(day.challenger.violating_share == 0.0, "{day:?}");
        }
        let one = |number| block_on(replayed_day(&samples, &scenario, &pods(8), &pods(4), number)).unwrap();
        let paired = |day| ReplayedDay::Paired(days[day]);
        let none = ReplayedDay::NotOver;
        assert_eq!((one(1), one(9), one(10), one(u32::MAX)), (paired(0), paired(8), none, none));
        assert!(matches!(Trial::default().verdict(&days), TrialVerdict::Promote(_)));
        let alike = block_on(replayed_days(&samples, &scenario, &pods(4), &pods(4))).unwrap();
        assert!(
            matches!(Trial::default().verdict(&alike), TrialVerdict::Wait(evidence) if evidence.won + evidence.lost == 0)
        );
        let too_few = block_on(replayed_days(&samples, &scenario, &pods(8), &pods(1))).unwrap();
        assert!(matches!(Trial::default().verdict(&too_few), TrialVerdict::Reject(_)), "cheaper, and nobody is served");
    }

    /// The day before them counted again under each of their dates, and five won days were eight.
    #[test]
    fn days_that_were_not_seen_are_no_days() {
        let (mut samples, scenario) = seen(10);
        let from = DateTime::UNIX_EPOCH + TimeDelta::days(4);
        for sample in &mut samples {
            if (from..from + TimeDelta::days(3)).contains(&sample.timestamp) {
                *sample = ScalingMetrics::new(sample.timestamp, 3);
            }
        }
        // Of the ninth day the last quarter is missing, too.
        let late = DateTime::UNIX_EPOCH + TimeDelta::hours(9 * 24 + 18);
        samples.retain(|sample| {
            sample.timestamp < late || sample.timestamp > late + TimeDelta::hours(6) - TimeDelta::seconds(1)
        });
        let days = block_on(replayed_days(&samples, &scenario, &pods(8), &pods(4))).unwrap();
        let begins: Vec<_> = days.iter().map(|day| (day.begins - DateTime::UNIX_EPOCH).num_days()).collect();
        assert_eq!(begins, [1, 2, 3, 7, 8, 9]);
        assert!((days[5].champion.pod_hours - 8.0 * 17.0).abs() < 1.0, "{:?}", days[5]);
        let fourth = block_on(replayed_day(&samples, &scenario, &pods(8), &pods(4), 4)).unwrap();
        assert_eq!(fourth, ReplayedDay::NotSeen { begins: from });
    }

    #[test]
    fn less_than_two_days_are_none() {
        let (samples, scenario) = seen(2);
        let none = block_on(replayed_days(&samples[..500], &scenario, &pods(8), &pods(4))).unwrap();
        assert!(none.is_empty() && block_on(replayed_days(&[], &scenario, &pods(8), &pods(4))).unwrap().is_empty());
    }
}
