//! The rule engine: [`RuleBasedEngine`].
//!
//! It sizes for demand rather than for thresholds: it learns from history the load that one pod carries (`capacity`), estimates
//! demand with what waits, fails and is hidden by full pods (`assessment`), and asks each [`Rule`] for the pods that are needed at
//! least. The largest need counts. Growing takes one rule; shrinking takes all of them, a healthy service, every declared signal,
//! and a recent past that would have fitted. A pod that is asked for and not ready counts as full for a shrink.
//!
//! Everything is a pure function of the observation; nothing is remembered between decisions.

mod assessment;
mod builtin;
mod capacity;
mod confidence;
mod config;
mod health;
pub(crate) mod memory;
mod pattern;
mod samples;

use std::fmt;

use async_trait::async_trait;

pub use assessment::Assessment;
pub use capacity::Capacity;
pub use config::RuleConfig;
pub use health::Health;
pub use pattern::{DailyPattern, Pattern, Trend};

use crate::decision::{Confidence, Reason, ScalingAction, ScalingDecision, Timing, Urgency};
use crate::engine::{DecisionEngine, EngineError};
use crate::forecast::LoadForecast;
use crate::metrics::{Observation, SignalKind, SignalSet};
use crate::resources::ResourceChange;
use crate::setting::InvalidSetting;
use crate::stats::whole_pods;

/// Answer of a rule: at least so many pods, or bigger ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Need {
    /// Pods needed at least, not rounded; NaN for no opinion.
    pub replicas: f64,
    /// Change of what a pod requests.
    pub resources: Option<ResourceChange>,
    /// Urgency, at least, while the need is not met.
    pub urgency: Urgency,
    /// Timing that explains the moment, if this rule knows it.
    pub timing: Option<Timing>,
    /// Cause, with its numbers.
    pub reason: Reason,
}

impl Need {
    /// So many pods, at normal urgency.
    pub fn pods(replicas: f64, reason: Reason) -> Self {
        Self { replicas, resources: None, urgency: Urgency::Normal, timing: None, reason }
    }
}

/// One way to say how many pods are needed.
///
/// **Given:** the evidence, with NaN for what is absent. **Promised:** a pure answer. The largest need of all rules counts, so
/// a rule can only ask for more; one that has nothing to say returns `None`.
///
/// A rule of one's own: above 20 % errors, triple the pods, critical.
///
/// ```
/// use scaling_core::rules::{Assessment, Need, Rule, RuleBasedEngine};
/// use scaling_core::chrono::DateTime;
/// use scaling_core::{Observation, Reason, ScalingMetrics, SignalKind, Target, Urgency};
///
/// struct TripleOnErrors;
///
/// impl Rule for TripleOnErrors {
///     fn name(&self) -> &str {
///         "triple_on_errors"
///     }
///     fn evaluate(&self, assessment: &Assessment<'_>) -> Option<Need> {
///         (assessment.error_percent() > 20.0).then(|| Need {
///             urgency: Urgency::Critical,
///             ..Need::pods(
///                 assessment.pods * 3.0,
///                 Reason::Custom { rule: "triple_on_errors".into(), text: "more than 20 % of requests fail".into() },
///             )
///         })
///     }
/// }
///
/// let engine = RuleBasedEngine::default().with_rule(TripleOnErrors);
/// let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
/// let failing = ScalingMetrics::new(at, 4)
///     .with(SignalKind::CpuUtilization, 50.0)
///     .with(SignalKind::ErrorRate, 25.0);
/// let decision = engine.evaluate(&Observation::new(Target::deployment("shop", "web"), failing))?;
/// assert_eq!(decision.desired_replicas, 12);
/// assert_eq!(decision.urgency, Urgency::Critical);
/// # Ok::<(), scaling_core::EngineError>(())
/// ```
pub trait Rule: Send + Sync {
    /// A short, constant name. A rule added under the name of another replaces it.
    fn name(&self) -> &str;

    /// Answers with the pods or resources that are needed; `None` for no opinion.
    fn evaluate(&self, assessment: &Assessment<'_>) -> Option<Need>;
}

/// Decides by rules about demand, capacity and health.
pub struct RuleBasedEngine {
    config: RuleConfig,
    rules: Vec<Box<dyn Rule>>,
}

impl fmt::Debug for RuleBasedEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuleBasedEngine")
            .field("config", &self.config)
            .field("rules", &self.rules.iter().map(|rule| rule.name().to_owned()).collect::<Vec<_>>())
            .finish()
    }
}

impl Default for RuleBasedEngine {
    fn default() -> Self {
        Self::with_checked(RuleConfig::default())
    }
}

impl RuleBasedEngine {
    /// The engine with these thresholds and the built-in rules `demand`, `cpu`, `memory`, `overload`, `trend`, `event`.
    ///
    /// # Errors
    /// [`InvalidSetting`] if a threshold cannot work.
    pub fn new(config: RuleConfig) -> Result<Self, InvalidSetting> {
        config.validate()?;
        Ok(Self::with_checked(config))
    }

    fn with_checked(config: RuleConfig) -> Self {
        Self {
            config,
            rules: vec![
                Box::new(builtin::Demand),
                Box::new(builtin::Cpu),
                Box::new(builtin::Memory),
                Box::new(builtin::Overload),
                Box::new(builtin::SteadyTrend),
                Box::new(builtin::Event),
            ],
        }
    }

    /// Adds a rule; one of the same name is replaced.
    #[must_use]
    pub fn with_rule(mut self, rule: impl Rule + 'static) -> Self {
        match self.rules.iter_mut().find(|present| present.name() == rule.name()) {
            Some(present) => *present = Box::new(rule),
            None => self.rules.push(Box::new(rule)),
        }
        self
    }

    /// Removes the rule of that name.
    #[must_use]
    pub fn without_rule(mut self, name: &str) -> Self {
        self.rules.retain(|rule| rule.name() != name);
        self
    }

    /// The thresholds.
    pub fn config(&self) -> &RuleConfig {
        &self.config
    }

    /// Decides, without a future.
    ///
    /// # Errors
    /// [`EngineError::NoPodCount`] if nobody knows how many pods there are.
    pub fn evaluate(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let current = observation.current.replicas().ok_or(EngineError::NoPodCount)?;
        if let Some(asleep) = self.asleep(observation) {
            return Ok(asleep);
        }
        let assessment = Assessment::new(observation, current, &self.config);
        Ok(self.conclude(&assessment, current))
    }

    /// A workload that its owner has set to zero pods is left alone. Only an explicit size of 0 is on purpose: where nobody knows
    /// the size that is asked for, no ready pod may as well be an outage.
    fn asleep(&self, observation: &Observation) -> Option<ScalingDecision> {
        let on_purpose = observation.current.desired_pod_count == Some(0) && !self.config.wake_from_zero;
        on_purpose.then(|| {
            ScalingDecision::replicas("rules", observation.current.timestamp, 0, 0)
                .with_confidence(1.0)
                .because(Reason::ScaledToZero)
        })
    }

    fn conclude(&self, assessment: &Assessment<'_>, current: u32) -> ScalingDecision {
        let mut reasons = Vec::with_capacity(6);
        let mut urgency = assessment.health.urgency;
        let mut timing = None;
        let mut resources = None;
        // The largest need so far, and its reason.
        let mut need = f64::NAN;
        let mut because = None;
        for rule in &self.rules {
            let Some(request) = rule.evaluate(assessment) else { continue };
            urgency = urgency.max(request.urgency);
            let largest = request.replicas > need || (need.is_nan() && !request.replicas.is_nan());
            if largest || request.timing == Some(Timing::Event) {
                timing = strongest(timing, request.timing);
            }
            if let Some(change) = request.resources {
                resources = Some(merge(resources, change));
            }
            if largest {
                need = request.replicas;
                because = Some(request.reason);
            } else if request.resources.is_some() || request.timing == Some(Timing::Event) {
                reasons.push(request.reason);
            }
        }

        let lost = lost_signals(assessment.observation, &mut reasons);
        // Only a shrink has to reckon with pods that carry nothing now: a growth starts from the pods that are asked for.
        let kept = need + assessment.not_ready();
        let desired = if need > assessment.replicas * (1.0 + self.config.grow_tolerance) || (current == 0 && need > 0.0)
        {
            whole_pods(need).max(current)
        } else if kept <= assessment.replicas * self.config.shrink_below && lost.is_empty() && resources.is_none() {
            self.shrunk(assessment, current, kept, &mut reasons)
        } else {
            current
        };
        if let Some(because) = because {
            reasons.insert(0, because);
        }

        let action = ScalingAction::of(current, desired, resources);
        explain(assessment, action, &mut reasons);
        ScalingDecision {
            current_replicas: current,
            desired_replicas: desired,
            foreseen: assessment.is_foreseen(),
            floor: assessment.event_floor(),
            resources,
            timing: Self::timing(assessment, action, urgency, timing, &mut reasons),
            confidence: Confidence::new(confidence::confidence(assessment, action, need, lost)),
            urgency: if action == ScalingAction::ScaleDownHorizontal { Urgency::Low } else { urgency },
            reasons,
            cost: None,
            at: assessment.observation.current.timestamp,
            engine: "rules".into(),
            shadow: None,
        }
        .finite()
    }

    /// Size to which a workload that needs only `need` may shrink.
    fn shrunk(&self, assessment: &Assessment<'_>, current: u32, need: f64, reasons: &mut Vec<Reason>) -> u32 {
        if !assessment.health.is_good(&self.config) {
            return current;
        }
        let headroom = if assessment.pattern.quiet_weekend { self.config.schedule_headroom } else { 1.0 };
        let mut floor = whole_pods(need).max(1);
        // A forecast has its own memory of what was needed.
        let recent = if assessment.is_foreseen() { floor } else { whole_pods(assessment.recent_need(headroom)) };
        if recent > floor {
            reasons.push(Reason::RecentDemand { replicas: recent });
            floor = recent;
        }
        // CPU or memory that nobody ever measured might have needed more: at most half of the pods go at once.
        let never_seen = |kind| assessment.observation.current.value(kind).is_none();
        let blind = assessment.samples.history_len() + 1 < self.config.shrink_min_samples
            || never_seen(SignalKind::CpuUtilization)
            || never_seen(SignalKind::MemoryUtilization);
        let half = current.div_ceil(2);
        if blind && half > floor {
            reasons.push(Reason::HeldForAbsence { replicas: half });
            floor = half;
        }
        if floor < current {
            reasons.push(Reason::OverProvisioned { needed: need });
        }
        floor.min(current)
    }

    fn timing(
        assessment: &Assessment<'_>,
        action: ScalingAction,
        urgency: Urgency,
        requested: Option<Timing>,
        reasons: &mut Vec<Reason>,
    ) -> Timing {
        if requested == Some(Timing::Event) {
            return Timing::Event;
        }
        if urgency == Urgency::Critical || action == ScalingAction::ScaleUpVertical {
            return Timing::Now;
        }
        if let Some(daily) = assessment.pattern.daily.filter(|daily| daily.explains_now) {
            reasons.push(Reason::DailyPattern { swing: daily.swing, days: daily.days });
            return Timing::Scheduled;
        }
        if action == ScalingAction::ScaleDownHorizontal && assessment.pattern.quiet_weekend {
            reasons.push(Reason::Weekend);
            return Timing::Scheduled;
        }
        match requested {
            Some(timing) if action == ScalingAction::ScaleUpHorizontal => timing,
            _ => Timing::Now,
        }
    }
}

/// Names the declared signals that have no usable value now. Nothing shrinks then, for as long as it lasts.
fn lost_signals(observation: &Observation, reasons: &mut Vec<Reason>) -> SignalSet {
    let mut lost = SignalSet::NONE;
    for (signal, absence) in observation.absences() {
        lost = lost.with(signal);
        reasons.push(Reason::SignalAbsent { signal, absence });
    }
    lost
}

fn explain(assessment: &Assessment<'_>, action: ScalingAction, reasons: &mut Vec<Reason>) {
    let health = &assessment.health;
    match assessment.observation.forecast {
        // After what asks for most.
        Some(Ok(LoadForecast { signal, observed, expected, quantile, ahead_s })) => {
            let signal = Some(signal);
            reasons.insert(reasons.len().min(1), Reason::Forecast { signal, observed, expected, quantile, ahead_s });
        }
        Some(Err(cause)) => reasons.push(Reason::NoForecast { cause }),
        None => {}
    }
    if action == ScalingAction::ScaleUpHorizontal {
        if health.saturated {
            reasons.push(Reason::Saturated { cpu_percent: health.cpu_peak });
        }
        if assessment.backlog >= 1.0 {
            reasons.push(Reason::Backlog { requests: assessment.backlog });
        }
    }
    if health.error_percent > assessment.config.healthy_error_percent {
        reasons.push(Reason::Errors { percent: health.error_percent });
    }
    if health.slowdown > assessment.config.healthy_slowdown {
        let ms = assessment.observation.current.value(SignalKind::ResponseTime).unwrap_or_default();
        reasons.push(Reason::SlowResponses { ms, usual_ms: health.usual_ms });
    }
    if let Some(load) = assessment.load {
        reasons.push(Reason::Load { load, observed: assessment.observed_load, demand: assessment.demand });
    }
    reasons.push(Reason::Capacity {
        model: assessment.capacity.model,
        load: assessment.load,
        per_pod: assessment.capacity.per_pod.is_finite().then_some(assessment.capacity.per_pod),
        samples: u32::try_from(assessment.capacity.samples).unwrap_or(u32::MAX),
        spread: if assessment.capacity.spread.is_finite() { assessment.capacity.spread } else { 0.0 },
    });
}

/// The larger of two requests, each resource for itself.
fn merge(present: Option<ResourceChange>, request: ResourceChange) -> ResourceChange {
    match present {
        None => request,
        Some(present) => ResourceChange {
            cpu_percent: present.cpu_percent.max(request.cpu_percent),
            memory_percent: present.memory_percent.max(request.memory_percent),
        },
    }
}

/// A declared event explains more than a trend.
fn strongest(present: Option<Timing>, request: Option<Timing>) -> Option<Timing> {
    match (present, request) {
        (Some(Timing::Event), _) | (_, None) => present,
        _ => request,
    }
}

#[async_trait]
impl DecisionEngine for RuleBasedEngine {
    fn name(&self) -> &'static str {
        "rules"
    }

    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        self.evaluate(observation)
    }
}
