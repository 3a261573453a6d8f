//! From a target to the days of a replay: its past, its HPA, and the controller's own terms for it.

use std::sync::Arc;
use std::time::Duration;

use scaling_core::adoption::deployed;
use scaling_core::backtest::{
    Candidate, CandidateError, ClusterModel, DemandBasis, Driver, SampleTime, Scenario, Trace,
};
use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::source::PastSource;
use scaling_core::{Adoption, HpaSpec, MetricsSource, Observation, ScalingMetrics, SignalKind, Target};

use super::report::Untried;
use super::{Recipe, Terms};
use crate::KubeHpaApplier;
use crate::controller::fleet::guards::chain;
use crate::controller::settings::Settings;

/// Time that the source may take for a present and a past.
const ASKING: Duration = Duration::from_secs(600);
/// Step of the replay, in seconds: the HPA's sync period.
const STEP_S: u64 = 15;

/// Everything that is asked for one target.
pub(super) struct Asking {
    pub(super) target: Target,
    pub(super) settings: Settings,
    pub(super) recipe: Recipe,
    pub(super) terms: Terms,
    pub(super) source: Arc<dyn MetricsSource>,
    pub(super) past: Option<Arc<dyn PastSource>>,
    pub(super) span: Duration,
    pub(super) applier: KubeHpaApplier,
}

/// A target that can be replayed.
pub(super) struct Case {
    pub(super) samples: Vec<ScalingMetrics>,
    pub(super) scenario: Scenario,
    spec: HpaSpec,
    recipe: Recipe,
    settings: Settings,
    terms: Terms,
}

impl Case {
    /// The HPA at a stage, as the controller runs it.
    pub(super) fn candidate(&self, stage: Adoption) -> Candidate {
        let (recipe, settings, terms) = (Arc::clone(&self.recipe), self.settings.clone(), self.terms);
        deployed(stage, self.spec.clone(), move |_| driver(&recipe, &settings, &terms))
    }
}

fn driver(recipe: &Recipe, settings: &Settings, terms: &Terms) -> Result<Driver, CandidateError> {
    let (cooldown, steps) = (settings.cooldown(terms.cooldown), settings.step(terms.steps));
    let mut driver = Driver::bounds(recipe()?).ticking(terms.interval);
    driver.guards = chain(None, terms.confidence, cooldown, steps, terms.budget);
    driver.policy = settings.policy(terms.policy);
    Ok(driver)
}

impl Asking {
    /// Asks the source and the API server.
    pub(super) async fn case(self, at: DateTime<Utc>) -> Result<Case, Untried> {
        let no_past = |why: String| Untried::NoPast { why };
        let hpa = self.applier.read_whole(&self.target).await;
        let (hpa, resting) = hpa.map_err(|error| Untried::NoHpa { why: error.to_string() })?;
        let asked = tokio::time::timeout(ASKING, self.seen(at)).await;
        let (seen, samples) =
            asked.map_err(|_| no_past(format!("no answer within {} s", ASKING.as_secs())))?.map_err(no_past)?;
        let mut spec =
            crate::hpa::from_api_spec(&hpa.spec).map_err(|error| Untried::NoHpa { why: error.to_string() })?;
        // As its owner has it: what we hold now is what is tried.
        let pods = |bound: u32| i32::try_from(bound).unwrap_or(i32::MAX);
        (spec.min_replicas, spec.max_replicas) = (Some(pods(resting.min())), pods(resting.max()));
        let scenario = self.scenario(&seen, &samples)?;
        let Self { recipe, settings, terms, .. } = self;
        Ok(Case { samples, scenario, spec, recipe, settings, terms })
    }

    /// The present and the past.
    async fn seen(&self, at: DateTime<Utc>) -> Result<(Observation, Vec<ScalingMetrics>), String> {
        let span = TimeDelta::from_std(self.span).unwrap_or(TimeDelta::MAX);
        let since = at.checked_sub_signed(span).unwrap_or(DateTime::<Utc>::MIN_UTC);
        let seen = self.source.observe(&self.target, at).await.map_err(|error| error.to_string())?;
        let samples = if let Some(past) = &self.past {
            past.past(&self.target, since, at).await.map_err(|error| error.to_string())?
        } else {
            let newest = std::iter::once(seen.current.clone());
            seen.history.iter().chain(newest).filter(|sample| (since..=at).contains(&sample.timestamp)).collect()
        };
        Ok((seen, samples))
    }

    fn scenario(&self, seen: &Observation, samples: &[ScalingMetrics]) -> Result<Scenario, Untried> {
        if length(samples) < TimeDelta::days(2) {
            return Err(too_few(samples));
        }
        let no_load = |why: String| Untried::NoLoad { why };
        let trace = Trace::from_samples(self.target.to_string(), samples.to_vec(), SampleTime::Ends);
        let trace = trace.map_err(|error| no_load(error.to_string()))?;
        let facts = seen.facts.clone();
        let pod_capacity = match trace.basis() {
            DemandBasis::RequestRate => facts.pod_capacity.or(trace.pod_capacity()),
            DemandBasis::CpuUsage => trace.pod_capacity(),
        };
        let limits = self.settings.limits(self.terms.limits).map_err(|error| no_load(error.to_string()))?;
        let model = ClusterModel {
            pod_capacity: pod_capacity.ok_or(Untried::NoPodCapacity)?,
            start_up: whole(facts.start_up),
            metrics_lag: whole(facts.metrics_lag),
            metrics_window: whole(facts.metrics_window).max(Duration::from_secs(STEP_S)),
            objective: facts.objective.wait,
            patience: facts.objective.patience.max(facts.objective.wait),
            limits,
            ..ClusterModel::default()
        };
        // What was never seen is not seen in the replay. CPU is what most HPAs go by, and their metrics are not ours.
        let unseen = |kind: &SignalKind| {
            *kind != SignalKind::CpuUtilization && samples.iter().all(|sample| sample.value(*kind).is_none())
        };
        let model = SignalKind::ALL.into_iter().filter(unseen).fold(model, ClusterModel::without);
        Ok(Scenario {
            target: Some(self.target.clone()),
            facts,
            events: seen.events.to_vec(),
            ..Scenario::new(trace, model)
        })
    }
}

/// Time from the first sample to the last.
fn length(samples: &[ScalingMetrics]) -> TimeDelta {
    let instants = || samples.iter().map(|sample| sample.timestamp);
    instants().max().zip(instants().min()).map_or(TimeDelta::zero(), |(last, first)| last - first)
}

pub(super) fn too_few(samples: &[ScalingMetrics]) -> Untried {
    Untried::TooFewDays { samples: samples.len(), hours: length(samples).num_hours() }
}

/// A time in whole steps of the replay, rounded up.
fn whole(time: Duration) -> Duration {
    let seconds = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
    Duration::from_secs(seconds.div_ceil(STEP_S).saturating_mul(STEP_S))
}
