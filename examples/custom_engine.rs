//! Making the engine one's own: a rule of the host, and an engine of the host beside it.
//!
//!     cargo run --release --example custom_engine
//!
//! Notice that a rule only ever asks for more, that an ensemble shrinks only if all members agree, and that a candidate in the
//! shadow changes nothing but the record.

use std::io::Write;
use std::process::ExitCode;

use async_trait::async_trait;
use examples::Failure;
use futures::executor::block_on;
use scaling_core::chrono::{DateTime, TimeDelta};
use scaling_core::rules::{Assessment, Need};
use scaling_core::{
    DecisionEngine, EngineError, EngineExt, Ensemble, MetricsHistory, Observation, Reason, Rule, RuleBasedEngine,
    ScalingDecision, ScalingMetrics, ShadowOutcome, SignalKind, Target, Urgency,
};

/// Above 20 % errors, triple the pods.
struct TripleOnErrors;

impl Rule for TripleOnErrors {
    fn name(&self) -> &'static str {
        "triple_on_errors"
    }

    fn evaluate(&self, assessment: &Assessment<'_>) -> Option<Need> {
        let reason = Reason::Custom { rule: "triple_on_errors".into(), text: "more than 20 % of requests fail".into() };
        (assessment.error_percent() > 20.0)
            .then(|| Need { urgency: Urgency::Critical, ..Need::pods(assessment.pods * 3.0, reason) })
    }
}

/// Never fewer than one pod for each shard.
struct PerShard {
    shards: u32,
}

#[async_trait]
impl DecisionEngine for PerShard {
    fn name(&self) -> &'static str {
        "per_shard"
    }

    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let current = observation.current.replicas().ok_or(EngineError::NoPodCount)?;
        let at = observation.current.timestamp;
        Ok(ScalingDecision::replicas("per_shard", at, current, self.shards).with_confidence(1.0))
    }
}

fn main() -> ExitCode {
    examples::no_arguments("custom_engine", "A rule and an engine of one's own, in an ensemble and in the shadow");
    examples::exit(run(&mut std::io::stdout().lock()))
}

fn run(out: &mut impl Write) -> Result<(), Failure> {
    let decide = |engine: &dyn DecisionEngine, observation: &Observation| {
        block_on(engine.decide(observation)).map_err(Failure::failed)
    };

    let failing = observation(4, 50.0, 25.0)?;
    let rules = RuleBasedEngine::default().with_rule(TripleOnErrors);
    let decision = decide(&rules, &failing)?;
    writeln!(out, "rule: {} -> {} pods, {:?}", 4, decision.desired_replicas, decision.urgency)?;

    let quiet = observation(8, 10.0, 0.1)?;
    let alone = decide(&RuleBasedEngine::default(), &quiet)?;
    let both = decide(&Ensemble::of(RuleBasedEngine::default()).with(PerShard { shards: 6 }), &quiet)?;
    writeln!(
        out,
        "ensemble: {} pods by rules alone, {} with six shards",
        alone.desired_replicas, both.desired_replicas
    )?;

    let watched = RuleBasedEngine::default().shadow(PerShard { shards: 6 });
    let decision = decide(&watched, &quiet)?;
    if let Some(shadow) = &decision.shadow
        && let ShadowOutcome::Decided(candidate) = &shadow.outcome
    {
        let (did, would) = (decision.desired_replicas, candidate.desired_replicas);
        writeln!(out, "shadow: {did} pods decided, {} would have said {would}", shadow.engine)?;
    }
    Ok(())
}

/// Twenty calm minutes at a utilization, the last sample with an error rate.
fn observation(pods: u32, cpu: f64, errors: f64) -> Result<Observation, Failure> {
    let start = DateTime::from_timestamp(1_767_600_000, 0).unwrap_or_default();
    let sample = |minute: i64| {
        ScalingMetrics::new(start + TimeDelta::minutes(minute), pods)
            .with(SignalKind::CpuUtilization, cpu)
            .with(SignalKind::MemoryUtilization, 30.0)
            .with(SignalKind::RequestRate, cpu * f64::from(pods))
    };
    let mut history = MetricsHistory::new();
    for minute in 0..20 {
        history.push(&sample(minute)).map_err(Failure::failed)?;
    }
    let target = Target::deployment("shop", "checkout");
    Ok(Observation::new(target, sample(20).with(SignalKind::ErrorRate, errors)).with_history(history))
}

#[cfg(test)]
mod tests {
    #[test]
    fn rule_ensemble_and_shadow_do_what_the_header_says() {
        let mut out = Vec::new();
        super::run(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("rule: 4 -> 12 pods, Critical"), "{text}");
        assert!(text.contains("with six shards") && text.contains(" 6 with"), "{text}");
        assert!(text.contains("per_shard would have said 6"), "{text}");
    }
}
