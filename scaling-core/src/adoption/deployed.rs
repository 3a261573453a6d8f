//! A stage of adoption as a candidate of a replay: [`deployed`].

use crate::backtest::{Candidate, CandidateError, Driver, TrainingPeriod};
use crate::hpa::{ControllerConfig, HpaSpec};
use crate::state::Adoption;

/// An HPA that is handed over so far, as it runs in a cluster: as it is while it is [observed](Adoption::Observe); with a driver of its bounds that
/// holds [floors](Adoption::Floors) alone; with that driver [in full](Adoption::Full). The driver has the guards and the policy of the host.
///
/// ```
/// use scaling_core::adoption::deployed;
/// use scaling_core::backtest::Driver;
/// use scaling_core::hpa::{CrossVersionObjectReference, HpaSpec};
/// use scaling_core::{Adoption, Bounds, RuleBasedEngine};
///
/// let spec = HpaSpec::new(CrossVersionObjectReference::deployment("web"), Bounds::new(3, 30)?);
/// let floors = deployed(Adoption::Floors, spec, |_| Ok(Driver::bounds(RuleBasedEngine::default())));
/// assert_eq!(floors.name(), "floors");
/// # Ok::<(), scaling_core::InvalidBounds>(())
/// ```
pub fn deployed(
    adoption: Adoption,
    spec: HpaSpec,
    driver: impl Fn(&TrainingPeriod<'_>) -> Result<Driver, CandidateError> + Send + Sync + 'static,
) -> Candidate {
    let hpa = Candidate::hpa(adoption.to_string(), spec, ControllerConfig::default());
    match adoption {
        Adoption::Observe => hpa,
        Adoption::Floors => hpa.driven_by(move |training| {
            let mut driver = driver(training)?;
            driver.policy.floors_only = true;
            Ok(driver)
        }),
        Adoption::Full => hpa.driven_by(driver),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use chrono::{DateTime, TimeDelta};
    use futures::executor::block_on;

    use super::*;
    use crate::adoption::replayed_days;
    use crate::backtest::{ClusterModel, SampleTime, Scenario, Trace};
    use crate::bounds::{Bounds, HardLimits};
    use crate::decision::ScalingDecision;
    use crate::engine::{DecisionEngine, EngineError};
    use crate::hpa::CrossVersionObjectReference;
    use crate::metrics::{Observation, ScalingMetrics, SignalKind, WorkloadFacts};

    type Asked = Arc<Mutex<Vec<(DateTime<chrono::Utc>, WorkloadFacts)>>>;

    /// Asks for so many pods, and notes when it was asked and how often it thinks that it is.
    #[derive(Clone)]
    struct Asks(u32, Asked);

    #[async_trait::async_trait]
    impl DecisionEngine for Asks {
        fn name(&self) -> &'static str {
            "asks"
        }

        async fn decide(&self, seen: &Observation) -> Result<ScalingDecision, EngineError> {
            self.1.lock().unwrap().push((seen.now, seen.facts.clone()));
            let current = seen.current.replicas().ok_or(EngineError::NoPodCount)?;
            Ok(ScalingDecision::replicas("asks", seen.current.timestamp, current, self.0)
                .with_confidence(1.0)
                .with_foresight())
        }
    }

    #[test]
    fn each_stage_is_the_hpa_as_it_is_floors_alone_or_all_and_the_driver_ticks_as_often_as_its_host() {
        let sample = |nth: i64| {
            let at = DateTime::UNIX_EPOCH + TimeDelta::minutes(5 * nth);
            ScalingMetrics::new(at, 3).with(SignalKind::RequestRate, 100.0)
        };
        let samples: Vec<_> = (0..=2 * 288).map(sample).collect();
        let trace = Trace::from_samples("seen", samples.clone(), SampleTime::Starts).unwrap();
        let limits = HardLimits::new(1, 20).unwrap();
        let scenario = Scenario::new(trace, ClusterModel { pod_capacity: 50.0, limits, ..ClusterModel::default() });
        let mut spec = HpaSpec::new(CrossVersionObjectReference::deployment("web"), Bounds::new(3, 20).unwrap());
        spec.metrics = Some(vec![crate::hpa::MetricSpec::utilization("cpu", 80)]);
        let asks = Asks(9, Arc::default());
        let stage = |adoption| {
            let asks = asks.clone();
            deployed(adoption, spec.clone(), move |_| Ok(Driver::bounds(asks.clone()).ticking(Duration::from_secs(60))))
        };
        let replay = |challenger| {
            block_on(replayed_days(&samples, &scenario, &stage(Adoption::Observe), &stage(challenger))).unwrap()[0]
        };
        let floors = replay(Adoption::Floors);
        assert_eq!(floors.champion, floors.challenger, "nothing that is asked for is a floor");
        let full = replay(Adoption::Full);
        assert_eq!(full.champion, floors.champion);
        assert!((full.challenger.pod_hours - 9.0 * 23.0).abs() < 1.0 && full.challenger.changes <= 2, "{full:?}");
        let asked = asks.1.lock().unwrap();
        let whole = |pair: &[(DateTime<chrono::Utc>, WorkloadFacts)]| pair[1].0 - pair[0].0 == TimeDelta::minutes(1);
        // A day in each of the two, but for what is cut to whole periods.
        let (one, other) = asked.split_at(asked.len() / 2);
        assert!((1435..=1440).contains(&one.len()), "{}", asked.len());
        assert!(one.windows(2).all(whole) && other.windows(2).all(whole));
        assert!(asked.iter().all(|(_, facts)| facts.sync_period == Duration::from_secs(60)));
    }
}
