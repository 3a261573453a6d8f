//! What is compared: [`Candidate`].

use std::error::Error;
use std::fmt;

use super::{ClusterModel, Control, DemandBasis, Trace};
use crate::baseline::{KpaConfig, KpaEngine};
use crate::hpa::{ControllerConfig, CrossVersionObjectReference, HpaSpec, MetricSpec};
use crate::rules::InvalidConfig;
use crate::{Bounds, BoundsPolicy, DecisionEngine, Guards, MetricsHistory, RuleBasedEngine, RuleConfig, WorkloadFacts};

/// What is known before the part of the trace that counts: what a candidate may learn from.
#[derive(Clone, Copy, Debug)]
pub struct Past<'a> {
    /// The samples of that time.
    pub history: &'a MetricsHistory,
    /// The trace; only what lies before the history's end may be looked at.
    pub trace: &'a Trace,
    /// What the cluster is like.
    pub model: &'a ClusterModel,
    /// What engines are told of the workload.
    pub facts: &'a WorkloadFacts,
    /// The bounds to begin with: enough pods for the first step, and as many as are allowed.
    pub bounds: Bounds,
}

impl Past<'_> {
    /// For candidates that decide by the request rate, and would stand still without one.
    ///
    /// # Errors
    /// If demand in the trace is not a request rate.
    pub fn needs_rate(&self) -> Result<(), CandidateError> {
        match self.trace.basis() {
            DemandBasis::RequestRate => Ok(()),
            DemandBasis::CpuUsage => Err("there is no request rate in the trace".into()),
        }
    }
}

/// Why a candidate does not run: boxed, because candidates come from anywhere.
pub type CandidateError = Box<dyn Error + Send + Sync>;

/// Who decides in one replay, made anew for each trace.
#[derive(Debug)]
pub struct Contender {
    /// Who sets the number of pods.
    pub control: Control,
    /// Who moves the bounds; none leaves them to the HPA.
    pub driver: Option<Driver>,
}

/// An engine with what surrounds it.
pub struct Driver {
    /// Who decides.
    pub engine: Box<dyn DecisionEngine>,
    /// What is allowed.
    pub guards: Guards,
    /// How wanted replicas become bounds.
    pub policy: BoundsPolicy,
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("engine", &self.engine.name())
            .field("guards", &self.guards)
            .finish_non_exhaustive()
    }
}

impl Driver {
    /// An engine that drives the number of pods itself: within the hard limits it gets what it wants, at once.
    pub fn direct(engine: impl DecisionEngine + 'static) -> Self {
        Self { engine: Box::new(engine), guards: Guards::only_hard_limits(), policy: BoundsPolicy::exact() }
    }

    /// An engine that moves an HPA's bounds with the default guards and policy: the way it is done in production.
    pub fn bounds(engine: impl DecisionEngine + 'static) -> Self {
        Self { engine: Box::new(engine), guards: Guards::default(), policy: BoundsPolicy::default() }
    }
}

type Make = dyn Fn(&Past<'_>) -> Result<Contender, CandidateError> + Send + Sync;

/// A policy that a backtest replays.
///
/// ```
/// use scaling_core::backtest::{Candidate, Contender, Control, Driver};
/// use scaling_core::baseline::KpaEngine;
///
/// // A host's own engine, driving the number of pods itself:
/// let mine = Candidate::new("mine", |past| {
///     let control = Control::Direct { bounds: past.bounds };
///     Ok(Contender { control, driver: Some(Driver::direct(KpaEngine::default())) })
/// });
/// assert_eq!(mine.name(), "mine");
/// ```
pub struct Candidate {
    name: String,
    knob: Option<(String, f64)>,
    make: Box<Make>,
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate").field("name", &self.name).field("knob", &self.knob).finish_non_exhaustive()
    }
}

impl Candidate {
    /// A candidate that is made for each trace from its past.
    pub fn new(
        name: impl Into<String>,
        make: impl Fn(&Past<'_>) -> Result<Contender, CandidateError> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), knob: None, make: Box::new(make) }
    }

    /// An HPA alone.
    pub fn hpa(name: impl Into<String>, spec: HpaSpec, controller: ControllerConfig) -> Self {
        let spec = Box::new(spec);
        Self::new(name, move |_| {
            let control = Control::Hpa { spec: spec.clone(), controller: controller.clone() };
            Ok(Contender { control, driver: None })
        })
    }

    /// An HPA alone, on CPU utilization of so many percent, within the model's limits: `hpa:70`. It has no `behavior`: it doubles at
    /// most, and shrinks to the most that was wanted in the last five minutes. A pod requests one core, unless the scenario's facts
    /// say otherwise, and uses all of it at its capacity.
    pub fn hpa_on_cpu(percent: i32) -> Self {
        let candidate = Self::new(format!("hpa:{percent}"), move |past| {
            let spec = Box::new(hpa_on_cpu(percent, past));
            let control = Control::Hpa { spec, controller: ControllerConfig::default() };
            Ok(Contender { control, driver: None })
        });
        candidate.of_family("hpa", percent.into())
    }

    /// Knative's autoscaler, aiming for this share of a pod's capacity. It sees the measurements that all see: means over a minute,
    /// half a minute old, where Knative scrapes its own every second. So its panic comes later here than in its own house.
    ///
    /// It runs on traces that have a request rate.
    pub fn kpa(target_utilization: f64) -> Self {
        Self::direct("kpa", move |past| {
            past.needs_rate()?;
            let config =
                KpaConfig { target: Some(target_utilization * past.model.pod_capacity), ..KpaConfig::default() };
            Ok(Driver::direct(KpaEngine::new(config)))
        })
    }

    /// The rule engine, driving the number of pods itself, aiming for this share of a pod's capacity.
    ///
    /// # Errors
    /// [`InvalidConfig`] if the share cannot be.
    pub fn rules(target_utilization: f64) -> Result<Self, InvalidConfig> {
        let config = RuleConfig {
            learnt_target_percent: target_utilization * 100.0,
            target_cpu_percent: target_utilization * 100.0,
            ..RuleConfig::tracking()
        };
        config.validate()?;
        Ok(Self::direct("rules", move |_| {
            // A trend means a schedule would serve better, which is advice for people and not a size.
            let engine = RuleBasedEngine::new(config.clone())?.without_rule("trend");
            Ok(Driver::direct(engine))
        }))
    }

    /// Somebody who drives the number of pods itself.
    pub fn direct(
        name: impl Into<String>,
        make: impl Fn(&Past<'_>) -> Result<Driver, CandidateError> + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, move |past| {
            Ok(Contender { control: Control::Direct { bounds: past.bounds }, driver: Some(make(past)?) })
        })
    }

    /// Somebody who moves the bounds of an HPA on CPU utilization of so many percent.
    pub fn over_hpa(
        name: impl Into<String>,
        percent: i32,
        make: impl Fn(&Past<'_>) -> Result<Driver, CandidateError> + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, move |past| {
            let spec = Box::new(hpa_on_cpu(percent, past));
            let control = Control::Hpa { spec, controller: ControllerConfig::default() };
            Ok(Contender { control, driver: Some(make(past)?) })
        })
    }

    /// The same under another name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The same, as one setting of a knob: all of one family lie on one line of the frontier.
    #[must_use]
    pub fn of_family(mut self, family: impl Into<String>, knob: f64) -> Self {
        self.knob = Some((family.into(), knob));
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The family it belongs to, and where its knob stands.
    pub fn family(&self) -> Option<(&str, f64)> {
        self.knob.as_ref().map(|(family, knob)| (family.as_str(), *knob))
    }

    pub(super) fn make(&self, past: &Past<'_>) -> Result<Contender, CandidateError> {
        (self.make)(past)
    }
}

fn hpa_on_cpu(percent: i32, past: &Past<'_>) -> HpaSpec {
    let reference = CrossVersionObjectReference::deployment("workload");
    let mut spec = HpaSpec::new(reference, past.model.limits.bounds());
    spec.metrics = Some(vec![MetricSpec::utilization("cpu", percent)]);
    spec
}
