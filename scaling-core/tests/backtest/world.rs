//! Loads, candidates and engines that the tests of the backtest share.

use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use futures::executor::block_on;
use scaling_core::backtest::{
    Arrivals, Candidate, Cluster, ClusterModel, ClusterSetup, Control, Driver, Report, SampleTime, Scenario, StepSeen,
    Trace, run,
};
use scaling_core::hpa::{CrossVersionObjectReference, HpaSpec, MetricSpec};
use scaling_core::{
    Bounds, Currency, DecisionEngine, EngineError, HardLimits, Observation, Price, RuleBasedEngine, ScalingDecision,
    ScalingMetrics, SignalKind, Target, WorkloadFacts,
};

/// Minutes of load, from the epoch on; NaN is missing.
pub fn trace(name: &str, rates: &[f64]) -> Trace {
    let samples = (0..).zip(rates).map(|(minute, rate)| {
        let mut sample = ScalingMetrics::new(DateTime::from_timestamp(minute * 60, 0).unwrap(), 0);
        sample.current_pod_count = None;
        sample.with(SignalKind::RequestRate, *rate)
    });
    Trace::from_samples(name, samples.collect(), SampleTime::Starts).unwrap()
}

/// Half a day of waves with a spike.
pub fn waves() -> Vec<f64> {
    let wave = |minute: u32| {
        let hour = f64::from(minute) / 60.0;
        let spike = if (520..530).contains(&minute) { 900.0 } else { 0.0 };
        600.0 - 400.0 * (hour / 4.0 * std::f64::consts::TAU).cos() + spike
    };
    (0..720).map(wave).collect()
}

pub fn model() -> ClusterModel {
    ClusterModel { limits: HardLimits::new(1, 200).unwrap(), noise_seed: Some(7), ..ClusterModel::default() }
}

pub fn scenario(rates: &[f64]) -> Scenario {
    Scenario {
        price: Some(Price::per_pod_hour(0.1, Currency::EUR).unwrap()),
        settle: Duration::from_secs(600),
        ..Scenario::new(trace("waves", rates), model())
    }
}

pub fn candidates() -> Vec<Candidate> {
    vec![
        Candidate::hpa_on_cpu(50),
        Candidate::hpa_on_cpu(70),
        Candidate::kpa(0.7),
        Candidate::rules(),
        Candidate::over_hpa("rules over hpa", 70, |_| Ok(Driver::bounds(RuleBasedEngine::default()))),
    ]
}

pub fn report(scenarios: &[Scenario], candidates: &[Candidate]) -> Report {
    block_on(run(scenarios, candidates, &())).unwrap()
}

/// Wants one pod more than there is, each time.
pub struct Greedy;

#[async_trait::async_trait]
impl DecisionEngine for Greedy {
    fn name(&self) -> &'static str {
        "greedy"
    }
    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let pods = observation.current.replicas().ok_or(EngineError::NoPodCount)?;
        Ok(ScalingDecision::replicas("greedy", observation.current.timestamp, pods, pods + 1).with_confidence(1.0))
    }
}

/// Jumps up and down, whatever is seen.
pub struct Erratic(pub u64);

#[async_trait::async_trait]
impl DecisionEngine for Erratic {
    fn name(&self) -> &'static str {
        "erratic"
    }
    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let pods = observation.current.replicas().ok_or(EngineError::NoPodCount)?;
        let at = observation.current.timestamp;
        // Any mixing of bits will do.
        let mixed =
            (at.timestamp().unsigned_abs() / 90).wrapping_mul(self.0 | 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let desired = 1 + u32::try_from(mixed % 40).unwrap();
        Ok(ScalingDecision::replicas("erratic", at, pods, desired).with_confidence(1.0))
    }
}

pub fn spec_between(min: u32, max: u32, metric: MetricSpec) -> HpaSpec {
    let reference = CrossVersionObjectReference::deployment("web");
    let mut spec = HpaSpec::new(reference, Bounds::new(min, max).unwrap());
    spec.metrics = Some(vec![metric]);
    spec
}

/// A cluster over a trace, nothing of which is history.
pub fn cluster(rates: &[f64], control: Control) -> Arc<Cluster> {
    cluster_like(rates, control, model())
}

pub fn cluster_like(rates: &[f64], control: Control, model: ClusterModel) -> Arc<Cluster> {
    let trace = Arc::new(trace("law", rates));
    let arrivals = Arc::new(Arrivals::new(&trace, &model).unwrap());
    let setup = ClusterSetup {
        target: workload(),
        counted: arrivals.counted(0, 0, 0),
        arrivals,
        model,
        trace,
        first_step: 0,
        control,
        facts: WorkloadFacts::default(),
        events: Arc::new([]),
        history: Arc::default(),
    };
    Arc::new(Cluster::new(setup).unwrap())
}

pub fn workload() -> Target {
    Target::deployment("law", "web")
}

pub fn finish(cluster: Arc<Cluster>) -> Vec<StepSeen> {
    let cluster = Arc::into_inner(cluster).unwrap();
    cluster.advance(DateTime::from_timestamp(86_400, 0).unwrap());
    cluster.into_run().steps
}
