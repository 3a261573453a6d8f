//! The rule engine: [`RuleBasedEngine`].
//!
//! Better than thresholds, because it sizes for demand. It learns from history what one pod carries (`capacity`), estimates
//! demand with what waits, fails and is hidden by full pods (`assessment`), and asks each [`Rule`] how many pods are needed at
//! least. The largest need counts. Growing needs one rule; shrinking needs all of them to be content, a healthy service, all
//! signals present, and a recent past that would have fitted.
//!
//! Everything is a pure function of the observation; nothing is remembered between decisions.

mod assessment;
mod builtin;
mod capacity;
mod confidence;
mod config;
mod health;
mod pattern;
mod samples;

use std::fmt;

use async_trait::async_trait;

pub use assessment::Assessment;
pub use capacity::Capacity;
pub use config::{InvalidConfig, RuleConfig};
pub use health::Health;
pub use pattern::{DailyPattern, Pattern, Trend};

use crate::decision::{Confidence, Reason, ResourceChange, ScalingAction, ScalingDecision, Timing, Urgency};
use crate::engine::{DecisionEngine, EngineError};
use crate::forecast::LoadForecast;
use crate::metrics::{Observation, SignalKind};
use crate::stats::whole_pods;

/// What a rule asks for: at least so many pods, or bigger ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Need {
    /// Pods needed at least, not rounded; NaN for no opinion.
    pub replicas: f64,
    /// Change of what a pod requests.
    pub resources: Option<ResourceChange>,
    /// How urgent, at least, if the need is not met.
    pub urgency: Urgency,
    /// What explains the moment, if this rule knows.
    pub timing: Option<Timing>,
    /// Why.
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
/// use scaling_core::{Observation, Reason, ScalingMetrics, SignalKind, Urgency};
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
/// let decision = engine.evaluate(&Observation::new(failing))?;
/// assert_eq!(decision.desired_replicas, 12);
/// assert_eq!(decision.urgency, Urgency::Critical);
/// # Ok::<(), scaling_core::EngineError>(())
/// ```
pub trait Rule: Send + Sync {
    /// A short, constant name. A rule added under the name of another replaces it.
    fn name(&self) -> &str;

    /// What is needed, if this rule has an opinion.
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
    /// [`InvalidConfig`] if a threshold cannot work.
    pub fn new(config: RuleConfig) -> Result<Self, InvalidConfig> {
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

    /// The same with one more rule, or another one in the place of the one of that name.
    #[must_use]
    pub fn with_rule(mut self, rule: impl Rule + 'static) -> Self {
        match self.rules.iter_mut().find(|present| present.name() == rule.name()) {
            Some(present) => *present = Box::new(rule),
            None => self.rules.push(Box::new(rule)),
        }
        self
    }

    /// The same without the rule of that name.
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
        let assessment = Assessment::new(observation, current, &self.config);
        Ok(self.conclude(&assessment, current))
    }

    fn conclude(&self, a: &Assessment<'_>, current: u32) -> ScalingDecision {
        let mut reasons = Vec::with_capacity(6);
        let mut urgency = a.health.urgency;
        let mut timing = None;
        let mut resources = None;
        // What is needed at most, and why.
        let mut need = f64::NAN;
        let mut because = None;
        for rule in &self.rules {
            let Some(wish) = rule.evaluate(a) else { continue };
            urgency = urgency.max(wish.urgency);
            let largest = wish.replicas > need || (need.is_nan() && !wish.replicas.is_nan());
            if largest || wish.timing == Some(Timing::Event) {
                timing = strongest(timing, wish.timing);
            }
            if let Some(change) = wish.resources {
                resources = Some(merge(resources, change));
            }
            if largest {
                need = wish.replicas;
                because = Some(wish.reason);
            } else if wish.resources.is_some() || wish.timing == Some(Timing::Event) {
                reasons.push(wish.reason);
            }
        }

        let lost = lost_signals(a, &mut reasons);
        let desired = if need > a.replicas * (1.0 + self.config.grow_tolerance) || (current == 0 && need > 0.0) {
            whole_pods(need).max(current)
        } else if need <= a.replicas * self.config.shrink_below && !lost && resources.is_none() {
            self.shrunk(a, current, need, &mut reasons)
        } else {
            current
        };
        if let Some(because) = because {
            reasons.insert(0, because);
        }

        let action = ScalingAction::of(current, desired, resources);
        explain(a, action, &mut reasons);
        ScalingDecision {
            current_replicas: current,
            desired_replicas: desired,
            foreseen: a.expected_load.is_some(),
            floor: a.event_floor(),
            resources,
            timing: Self::timing(a, action, urgency, timing, &mut reasons),
            confidence: Confidence::new(confidence::confidence(a, action, need, lost)),
            urgency: if action == ScalingAction::ScaleDownHorizontal { Urgency::Low } else { urgency },
            reasons,
            cost: None,
            at: a.observation.current.timestamp,
            engine: "rules".into(),
            shadow: None,
        }
        .finite()
    }

    /// How far a workload that needs only `need` may shrink.
    fn shrunk(&self, a: &Assessment<'_>, current: u32, need: f64, reasons: &mut Vec<Reason>) -> u32 {
        if !a.health.is_good(&self.config) {
            return current;
        }
        let headroom = if a.pattern.quiet_weekend { self.config.schedule_headroom } else { 1.0 };
        let recent = whole_pods(a.recent_need(headroom));
        let mut floor = whole_pods(need).max(1);
        if recent > floor {
            reasons.push(Reason::RecentDemand { replicas: recent });
            floor = recent;
        }
        // Half blind, half a step: what was never measured might have wanted more.
        let never_seen = |kind| a.observation.current.value(kind).is_none();
        let blind = a.samples.history_len() + 1 < self.config.shrink_min_samples
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
        a: &Assessment<'_>,
        action: ScalingAction,
        urgency: Urgency,
        wished: Option<Timing>,
        reasons: &mut Vec<Reason>,
    ) -> Timing {
        if wished == Some(Timing::Event) {
            return Timing::Event;
        }
        if urgency == Urgency::Critical || action == ScalingAction::ScaleUpVertical {
            return Timing::Now;
        }
        if let Some(daily) = a.pattern.daily.filter(|daily| daily.explains_now) {
            reasons.push(Reason::DailyPattern { swing: daily.swing, days: daily.days });
            return Timing::Scheduled;
        }
        if action == ScalingAction::ScaleDownHorizontal && a.pattern.quiet_weekend {
            reasons.push(Reason::Weekend);
            return Timing::Scheduled;
        }
        match wished {
            Some(timing) if action == ScalingAction::ScaleUpHorizontal => timing,
            _ => Timing::Now,
        }
    }
}

/// Names what was there and is gone, or came and cannot be true. Nothing shrinks then.
fn lost_signals(a: &Assessment<'_>, reasons: &mut Vec<Reason>) -> bool {
    let mut lost = false;
    for signal in SignalKind::ALL {
        if let Some(absence) = a.observation.current.signal(signal).absence()
            && (absence.is_loss() || a.samples.was_there(signal, assessment::millis(a.config.shrink_window)))
        {
            lost = true;
            reasons.push(Reason::SignalAbsent { signal, absence });
        }
    }
    lost
}

fn explain(a: &Assessment<'_>, action: ScalingAction, reasons: &mut Vec<Reason>) {
    let health = &a.health;
    match a.observation.forecast {
        // After what asks for most.
        Some(Ok(LoadForecast { observed, expected, quantile, ahead_s, .. })) => {
            reasons.insert(reasons.len().min(1), Reason::Forecast { observed, expected, quantile, ahead_s });
        }
        Some(Err(cause)) => reasons.push(Reason::NoForecast { cause }),
        None => {}
    }
    if action == ScalingAction::ScaleUpHorizontal {
        if health.saturated {
            reasons.push(Reason::Saturated { cpu_percent: health.cpu_peak });
        }
        if a.backlog >= 1.0 {
            reasons.push(Reason::Backlog { requests: a.backlog });
        }
    }
    if health.error_percent > a.config.healthy_error_percent {
        reasons.push(Reason::Errors { percent: health.error_percent });
    }
    if health.slowdown > a.config.healthy_slowdown {
        let ms = a.observation.current.value(SignalKind::ResponseTime).unwrap_or_default();
        reasons.push(Reason::SlowResponses { ms, usual_ms: health.usual_ms });
    }
    if let Some(load) = a.load {
        reasons.push(Reason::Load { load, observed: a.observed_load, demand: a.demand });
    }
    reasons.push(Reason::Capacity {
        model: a.capacity.model,
        load: a.load,
        per_pod: a.capacity.per_pod.is_finite().then_some(a.capacity.per_pod),
        samples: u32::try_from(a.capacity.samples).unwrap_or(u32::MAX),
        spread: if a.capacity.spread.is_finite() { a.capacity.spread } else { 0.0 },
    });
}

/// The larger of two wishes, each resource for itself.
fn merge(present: Option<ResourceChange>, wish: ResourceChange) -> ResourceChange {
    match present {
        None => wish,
        Some(present) => ResourceChange {
            cpu_percent: present.cpu_percent.max(wish.cpu_percent),
            memory_percent: present.memory_percent.max(wish.memory_percent),
        },
    }
}

/// A declared event explains more than a trend.
fn strongest(present: Option<Timing>, wish: Option<Timing>) -> Option<Timing> {
    match (present, wish) {
        (Some(Timing::Event), _) | (_, None) => present,
        _ => wish,
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
