//! [`Candidate`]: a policy that a backtest replays, by name and recipe.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::{ClusterModel, Control, DemandBasis};
use crate::baseline::{KpaConfig, KpaEngine};
use crate::hpa::{ControllerConfig, CrossVersionObjectReference, HpaSpec, MetricSpec};
use crate::setting::InvalidSetting;
use crate::{
    Bounds, BoundsPolicy, DecisionEngine, Guards, MetricsHistory, Recorder, Requests, RuleBasedEngine, RuleConfig,
    SignalKind, WorkloadFacts,
};

/// Everything that is known before the replay begins: the material from which a candidate may learn.
///
/// It ends at the instant of the first decision. The rest of the trace is not in it.
#[derive(Clone, Copy, Debug)]
pub struct TrainingPeriod<'a> {
    /// Samples whose interval ended by the first decision, each at the end of its interval.
    pub history: &'a MetricsHistory,
    /// Origin of the demand in the trace.
    pub basis: DemandBasis,
    /// Cluster of the replay.
    pub model: &'a ClusterModel,
    /// Facts that engines are told of the workload.
    pub facts: &'a WorkloadFacts,
    /// Bounds to begin with: from the pods that the last load before the replay needs to the most that the limits allow.
    pub bounds: Bounds,
}

impl TrainingPeriod<'_> {
    /// Refuses replays without a request rate, for candidates that decide by it and would stand still without one.
    ///
    /// # Errors
    /// If demand in the trace is not a request rate, or the model does not measure it.
    pub fn needs_rate(&self) -> Result<(), CandidateError> {
        match self.basis {
            DemandBasis::CpuUsage => Err("there is no request rate in the trace".into()),
            DemandBasis::RequestRate if !self.model.measures(SignalKind::RequestRate) => {
                Err("the request rate is not measured".into())
            }
            DemandBasis::RequestRate => Ok(()),
        }
    }
}

/// Reason why a candidate does not run. Boxed, because candidates come from anywhere.
pub type CandidateError = Box<dyn Error + Send + Sync>;

/// Parts of a candidate in one replay, made anew for each trace.
#[derive(Debug)]
pub struct CandidateSetup {
    /// Control over the number of pods: an HPA, or the driver itself.
    pub control: Control,
    /// Engine that moves the bounds. Without one they stay as they are.
    pub driver: Option<Driver>,
}

impl CandidateSetup {
    /// An HPA, whose bounds stay as they are until a [driver](Self::driven_by) is added.
    pub fn hpa(spec: HpaSpec, controller: ControllerConfig) -> Self {
        Self { control: Control::Hpa { spec: Box::new(spec), controller }, driver: None }
    }

    /// As many pods as the lower bound says.
    pub fn direct(bounds: Bounds) -> Self {
        Self { control: Control::Direct { bounds }, driver: None }
    }

    /// Lets a driver move the bounds.
    #[must_use]
    pub fn driven_by(mut self, driver: Driver) -> Self {
        self.driver = Some(driver);
        self
    }
}

/// Engine, guards, policy and recorder of one replay: the parts of an [`Autoscaler`](crate::Autoscaler) that a candidate chooses.
pub struct Driver {
    /// Engine that decides.
    pub engine: Box<dyn DecisionEngine>,
    /// Guards that its decisions pass, after the limits of the model, which always hold.
    pub guards: Guards,
    /// Mapping of approved replicas to bounds.
    pub policy: BoundsPolicy,
    /// Receives the record of every tick, settling time included. Default: none.
    pub recorder: Option<Box<dyn Recorder>>,
    /// Time between two of its ticks, rounded to whole sync periods of the cluster; the HPA beneath goes on at each of them. Default: none,
    /// so that it decides at every sync.
    pub interval: Option<Duration>,
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("engine", &self.engine.name())
            .field("guards", &self.guards)
            .field("recorded", &self.recorder.is_some())
            .finish_non_exhaustive()
    }
}

impl Driver {
    /// Creates a driver of the number of pods itself: within the limits an engine gets what it asks for, at once.
    pub fn direct(engine: impl DecisionEngine + 'static) -> Self {
        Self {
            engine: Box::new(engine),
            guards: Guards::only_hard_limits(),
            policy: BoundsPolicy::exact(),
            recorder: None,
            interval: None,
        }
    }

    /// Creates a driver of an HPA's bounds with the default guards and policy, as in production.
    pub fn bounds(engine: impl DecisionEngine + 'static) -> Self {
        Self {
            engine: Box::new(engine),
            guards: Guards::default(),
            policy: BoundsPolicy::default(),
            recorder: None,
            interval: None,
        }
    }

    /// Sets the time between two of its ticks, as a host has it whose loop is slower than the HPA.
    #[must_use]
    pub fn ticking(mut self, interval: Duration) -> Self {
        self.interval = Some(interval);
        self
    }

    /// Records every tick.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use scaling_core::backtest::{Candidate, Driver};
    /// use scaling_core::baseline::KpaEngine;
    /// use scaling_core::MemoryRecorder;
    ///
    /// let records = Arc::new(MemoryRecorder::new());
    /// let kept = Arc::clone(&records);
    /// let candidate = Candidate::direct("kpa", move |_| {
    ///     Ok(Driver::direct(KpaEngine::default()).recorded_by(Arc::clone(&kept)))
    /// });
    /// # let _ = candidate;
    /// assert!(records.records().is_empty(), "until the candidate is replayed");
    /// ```
    #[must_use]
    pub fn recorded_by(mut self, recorder: impl Recorder + 'static) -> Self {
        self.recorder = Some(Box::new(recorder));
        self
    }
}

type Make = dyn Fn(&TrainingPeriod<'_>) -> Result<CandidateSetup, CandidateError> + Send + Sync;

/// A policy that a backtest compares with others: a name, and the recipe by which it is made for each trace.
///
/// ```
/// use scaling_core::backtest::{Candidate, CandidateSetup, Driver};
/// use scaling_core::baseline::KpaEngine;
///
/// // A host's own engine, driving the number of pods itself:
/// let mine = Candidate::new("mine", |training| {
///     Ok(CandidateSetup::direct(training.bounds).driven_by(Driver::direct(KpaEngine::default())))
/// });
/// assert_eq!(mine.name(), "mine");
/// ```
pub struct Candidate {
    name: String,
    parameter: Option<(String, f64)>,
    own_hpa: Option<HpaSpec>,
    requests: Requests,
    left_out: Vec<String>,
    make: Box<Make>,
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate")
            .field("name", &self.name)
            .field("parameter", &self.parameter)
            .finish_non_exhaustive()
    }
}

impl Candidate {
    /// Creates a candidate that is made for each trace from what is known before its replay.
    pub fn new(
        name: impl Into<String>,
        make: impl Fn(&TrainingPeriod<'_>) -> Result<CandidateSetup, CandidateError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            parameter: None,
            own_hpa: None,
            requests: Requests::default(),
            left_out: Vec::new(),
            make: Box::new(make),
        }
    }

    /// Creates an HPA alone, with its own bounds. They must lie within the limits of the scenario
    /// ([`Candidate::own_bounds`]).
    pub fn hpa(name: impl Into<String>, spec: HpaSpec, controller: ControllerConfig) -> Self {
        let own_hpa = Some(spec.clone());
        let made = Self::new(name, move |_| Ok(CandidateSetup::hpa(spec.clone(), controller.clone())));
        Self { own_hpa, ..made }
    }

    /// Lets an engine move the bounds of the candidate's HPA.
    ///
    /// ```
    /// use scaling_core::backtest::{Candidate, Driver};
    /// use scaling_core::hpa::{ControllerConfig, CrossVersionObjectReference, HpaSpec};
    /// use scaling_core::{Bounds, RuleBasedEngine};
    ///
    /// let spec = HpaSpec::new(CrossVersionObjectReference::deployment("web"), Bounds::new(3, 30)?);
    /// let moved = Candidate::hpa("rules over web", spec, ControllerConfig::default())
    ///     .driven_by(|_| Ok(Driver::bounds(RuleBasedEngine::default())));
    /// assert_eq!(moved.own_bounds(), Some(Bounds::new(3, 30)?));
    /// # Ok::<(), scaling_core::InvalidBounds>(())
    /// ```
    #[must_use]
    pub fn driven_by(
        self,
        make: impl Fn(&TrainingPeriod<'_>) -> Result<Driver, CandidateError> + Send + Sync + 'static,
    ) -> Self {
        let undriven = self.make;
        Self { make: Box::new(move |training| Ok(undriven(training)?.driven_by(make(training)?))), ..self }
    }

    /// Creates an HPA alone, on CPU utilization of so many percent, within the limits of the scenario: `hpa:70`.
    ///
    /// It has no `behavior`: it doubles at most, and shrinks to the most that was recommended in the last five minutes. A pod
    /// requests one core, unless the scenario's facts say otherwise, and uses all of it at its capacity.
    pub fn hpa_on_cpu(percent: i32) -> Self {
        let candidate = Self::new(format!("hpa:{percent}"), move |training| {
            Ok(CandidateSetup::hpa(hpa_on_cpu(percent, training), ControllerConfig::default()))
        });
        candidate.of_family("hpa", percent.into())
    }

    /// Creates an HPA alone, as [`Candidate::hpa_on_cpu`], that differs from it as `change` says.
    ///
    /// ```
    /// use std::time::Duration;
    /// use scaling_core::backtest::Candidate;
    ///
    /// let quick = Candidate::hpa_on_cpu_with(70, |spec| spec.with_scale_down_window(Duration::from_secs(60)));
    /// # let _ = quick;
    /// ```
    pub fn hpa_on_cpu_with(percent: i32, change: impl Fn(HpaSpec) -> HpaSpec + Send + Sync + 'static) -> Self {
        Self::new(format!("hpa:{percent}"), move |training| {
            Ok(CandidateSetup::hpa(change(hpa_on_cpu(percent, training)), ControllerConfig::default()))
        })
    }

    /// Creates Knative's autoscaler, aiming for this share of a pod's capacity. It runs on traces that have a request rate.
    ///
    /// It sees the measurements that all candidates see, means over a minute that are half a minute old, where Knative scrapes its
    /// own every second. So its panic mode comes later here than in a cluster.
    pub fn kpa(target_utilization: f64) -> Self {
        Self::direct("kpa", move |training| {
            training.needs_rate()?;
            let config =
                KpaConfig { target: Some(target_utilization * training.model.pod_capacity), ..KpaConfig::default() };
            Ok(Driver::direct(KpaEngine::new(config)))
        })
    }

    /// Creates the rule engine as [`RuleBasedEngine::default`] makes it, driving the number of pods itself.
    pub fn rules() -> Self {
        Self::direct("rules", |_| Ok(Driver::direct(RuleBasedEngine::default())))
    }

    /// Creates the rule engine with thresholds of one's own, driving the number of pods itself.
    ///
    /// ```
    /// use scaling_core::RuleConfig;
    /// use scaling_core::backtest::Candidate;
    ///
    /// let close = Candidate::rules_with(RuleConfig::tracking())?.named("tracking");
    /// assert_eq!(close.name(), "tracking");
    /// # Ok::<(), scaling_core::InvalidSetting>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidSetting`] with the first threshold that cannot work.
    pub fn rules_with(config: RuleConfig) -> Result<Self, InvalidSetting> {
        config.validate()?;
        Ok(Self::direct("rules", move |_| Ok(Driver::direct(RuleBasedEngine::new(config.clone())?))))
    }

    /// Creates a candidate that drives the number of pods itself.
    pub fn direct(
        name: impl Into<String>,
        make: impl Fn(&TrainingPeriod<'_>) -> Result<Driver, CandidateError> + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, move |training| Ok(CandidateSetup::direct(training.bounds).driven_by(make(training)?)))
    }

    /// Creates a candidate that moves the bounds of an HPA on CPU utilization of so many percent.
    ///
    /// Its `behavior` is the default one; [`Candidate::over`] takes any HPA.
    pub fn over_hpa(
        name: impl Into<String>,
        percent: i32,
        make: impl Fn(&TrainingPeriod<'_>) -> Result<Driver, CandidateError> + Send + Sync + 'static,
    ) -> Self {
        Self::over(name, move |training| hpa_on_cpu(percent, training), make)
    }

    /// Creates a candidate that moves the bounds of the HPA of [`Candidate::hpa_on_cpu_with`].
    pub fn over_hpa_with(
        name: impl Into<String>,
        percent: i32,
        change: impl Fn(HpaSpec) -> HpaSpec + Send + Sync + 'static,
        make: impl Fn(&TrainingPeriod<'_>) -> Result<Driver, CandidateError> + Send + Sync + 'static,
    ) -> Self {
        Self::over(name, move |training| change(hpa_on_cpu(percent, training)), make)
    }

    /// Creates a candidate that moves the bounds of an HPA of one's own, made for each trace.
    pub fn over(
        name: impl Into<String>,
        hpa: impl Fn(&TrainingPeriod<'_>) -> HpaSpec + Send + Sync + 'static,
        make: impl Fn(&TrainingPeriod<'_>) -> Result<Driver, CandidateError> + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, move |training| {
            let hpa = CandidateSetup::hpa(hpa(training), ControllerConfig::default());
            Ok(hpa.driven_by(make(training)?))
        })
    }

    /// Renames the candidate.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Makes the candidate one setting of a parameter: all of one family lie on one line of the frontier.
    #[must_use]
    pub fn of_family(mut self, family: impl Into<String>, parameter: f64) -> Self {
        self.parameter = Some((family.into(), parameter));
        self
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the family it belongs to, and the value of the parameter.
    pub fn family(&self) -> Option<(&str, f64)> {
        self.parameter.as_ref().map(|(family, parameter)| (family.as_str(), *parameter))
    }

    /// Returns the bounds that it brings along, whatever the scenario is: those of the HPA in [`Candidate::hpa`]. None if they follow
    /// from the limits of the scenario. A host widens the limits to these, or refuses the candidate, before it replays anything.
    ///
    /// ```
    /// use scaling_core::Bounds;
    /// use scaling_core::backtest::Candidate;
    /// use scaling_core::hpa::{ControllerConfig, CrossVersionObjectReference, HpaSpec};
    ///
    /// let spec = HpaSpec::new(CrossVersionObjectReference::deployment("web"), Bounds::new(35, 700)?);
    /// let large = Candidate::hpa("large", spec, ControllerConfig::default());
    /// assert_eq!(large.own_bounds(), Some(Bounds::new(35, 700)?));
    /// assert_eq!(Candidate::hpa_on_cpu(70).own_bounds(), None);
    /// # Ok::<(), scaling_core::InvalidBounds>(())
    /// ```
    pub fn own_bounds(&self) -> Option<Bounds> {
        self.own_hpa.as_ref()?.bounds().ok()
    }

    /// Returns the HPA that it brings along, whatever the scenario is: that of [`Candidate::hpa`]. None if it is made for each trace.
    pub fn own_hpa(&self) -> Option<&HpaSpec> {
        self.own_hpa.as_ref()
    }

    /// Says which metrics of its HPA are [left out](HpaSpec::without_metrics) of the replay. Its name tells from now on, in every report.
    ///
    /// ```
    /// use scaling_core::backtest::Candidate;
    ///
    /// let candidate = Candidate::hpa_on_cpu(70).named("web").leaving_out(vec!["memory".to_owned()]);
    /// assert_eq!(candidate.name(), "web without memory");
    /// assert_eq!(candidate.left_out(), ["memory"]);
    /// ```
    #[must_use]
    pub fn leaving_out(mut self, metrics: Vec<String>) -> Self {
        if !metrics.is_empty() {
            self.name = format!("{} without {}", self.name, metrics.join(", "));
        }
        self.left_out = metrics;
        self
    }

    /// Returns the metrics of its HPA that are left out of the replay.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Says what a pod of its workload requests, as the manifest of the workload does. The scenario's facts are what counts; a host takes
    /// them from here where it knows nothing better.
    #[must_use]
    pub fn requesting(mut self, requests: Requests) -> Self {
        self.requests = requests;
        self
    }

    /// Returns what a pod of its workload requests, as far as it was [said](Self::requesting).
    pub fn requests(&self) -> Requests {
        self.requests
    }

    pub(super) fn make(&self, training: &TrainingPeriod<'_>) -> Result<CandidateSetup, CandidateError> {
        (self.make)(training)
    }
}

fn hpa_on_cpu(percent: i32, training: &TrainingPeriod<'_>) -> HpaSpec {
    let reference = CrossVersionObjectReference::deployment("workload");
    let limits = training.model.limits.bounds();
    // The API server refuses minReplicas 0 on a resource metric: no pod, no CPU, no way up.
    let bounds = Bounds::new(limits.min().max(1), limits.max()).unwrap_or(limits);
    let mut spec = HpaSpec::new(reference, bounds);
    spec.metrics = Some(vec![MetricSpec::utilization("cpu", percent)]);
    spec
}
