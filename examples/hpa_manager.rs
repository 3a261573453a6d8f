//! Managing an HPA: read a manifest, recommend a configuration from history and, by replaying it, the target that is cheapest
//! beneath our floors; move the bounds through the guards, dry-run first.
//!
//!     cargo run --example hpa_manager
//!
//! Notice that the plan changes `minReplicas` and `maxReplicas` and nothing else, and that a dry run changes nothing at all.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use examples::Failure;
use scaling_core::backtest::{ClusterModel, Driver, SampleTime, Scenario, Trace};
use scaling_core::recommend::{TargetSearch, recommend};
use scaling_core::source::parse;
use scaling_core::{
    ApplyMode, Autoscaler, BoundsPolicy, HardLimits, MemoryApplier, MemorySource, MetricsHistory, RuleBasedEngine,
    RuleConfig, ScalingMetrics, WorkloadFacts,
};
use scaling_k8s::{HpaManifest, diff};
use scaling_schedule::{PredictiveConfig, PredictiveEngine};

fn main() -> ExitCode {
    examples::exit(run(&mut std::io::stdout().lock()))
}

fn run(out: &mut impl Write) -> Result<(), Failure> {
    let text = examples::read(&examples::test_data("shop_hpa.yaml"))?;
    let manifest = HpaManifest::from_yaml(&String::from_utf8_lossy(&text)).map_err(Failure::input)?;
    let target = manifest.target();
    let bounds = manifest.spec.bounds().map_err(Failure::input)?;
    writeln!(out, "{target} is scaled by HPA {:?} within {bounds}", target.hpa)?;

    // What would an HPA made from this workload's past look like?
    let history = examples::read(&examples::test_data("shop_history.csv"))?;
    let samples = parse::metrics(&history, None).map_err(Failure::input)?;
    let (past, _) = MetricsHistory::from_unordered(samples.clone());
    let advice = recommend(
        &target,
        &past,
        &WorkloadFacts::default(),
        &RuleConfig::default(),
        &BoundsPolicy::default(),
        HardLimits::default(),
    )
    .map_err(Failure::failed)?;
    writeln!(
        out,
        "\nrecommended: {}..{}, CPU at {} %",
        advice.min_replicas, advice.max_replicas, advice.cpu_target_percent
    )?;
    for reason in &advice.reasons {
        writeln!(out, "- {reason}")?;
    }

    recommend_target(out, &manifest, samples.clone())?;

    // Up to the spike on the third day.
    let source = Arc::new(MemorySource::new());
    let mut now = past.oldest().unwrap_or_default();
    for sample in samples.into_iter().take(1838) {
        now = sample.timestamp;
        source.advance(&target, sample, now).map_err(Failure::input)?;
    }
    let applier = Arc::new(MemoryApplier::new().with(target.clone(), bounds));
    let runtime = examples::runtime()?;
    for mode in [ApplyMode::Plan, ApplyMode::Apply] {
        let autoscaler = Autoscaler::builder()
            .source(source.clone())
            .engine(RuleBasedEngine::default())
            .applier(applier.clone())
            .mode(mode)
            .build();
        let record = runtime.block_on(autoscaler.tick(&target, now)).map_err(Failure::failed)?;
        writeln!(out, "\n{mode} at {}: {:?}", now.format("%H:%M"), record.outcome)?;
        if let Some(change) = record.change {
            writeln!(out, "{change}")?;
        }
        for reason in record.decision.iter().flat_map(|decision| &decision.reasons) {
            writeln!(out, "- {reason}")?;
        }
        let now = applier.bounds(&target).unwrap_or(bounds);
        writeln!(out, "the HPA is now at {now}")?;
    }
    let moved = manifest.with_bounds(applier.bounds(&target).unwrap_or(bounds));
    writeln!(out, "\n{}", moved.to_yaml().map_err(Failure::failed)?)?;
    Ok(())
}

/// What target would be cheapest for this HPA, if an engine that foresees held its floor? Its own past tells.
fn recommend_target(out: &mut impl Write, manifest: &HpaManifest, samples: Vec<ScalingMetrics>) -> Result<(), Failure> {
    let trace = Trace::from_samples(manifest.name(), samples, SampleTime::Ends).map_err(Failure::input)?;
    let usual = ClusterModel::default();
    let pod_capacity = trace.pod_capacity().unwrap_or(usual.pod_capacity);
    let scenario = Scenario::new(trace, ClusterModel { pod_capacity, ..usual });
    let search = TargetSearch::default();
    let searched = search.run(
        &scenario,
        &manifest.spec,
        |training| {
            training.needs_rate()?;
            Ok(Driver::bounds(PredictiveEngine::new(PredictiveConfig::default())?))
        },
        &(),
    );
    match futures::executor::block_on(searched) {
        Err(refused) => writeln!(out, "\nno target is recommended: {refused}")?,
        Ok(found) => {
            writeln!(out, "\n{found}")?;
            let changed = HpaManifest { spec: found.applied_to(&manifest.spec), ..manifest.clone() };
            diff(manifest, &changed).iter().try_for_each(|line| writeln!(out, "  {line}"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_plan_changes_nothing_and_an_apply_only_the_bounds() {
        let mut out = Vec::new();
        super::run(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let (dry, wet) = text.split_once("apply at").unwrap();
        assert!(dry.contains("Planned") && dry.contains("the HPA is now at 4..10"), "{text}");
        assert!(wet.contains("Applied") && !wet.contains("the HPA is now at 4..10"), "{text}");
        assert!(dry.contains("averageUtilization: 65 -> "), "{text}");
        assert!(wet.contains("averageUtilization: 65") && wet.contains("stabilizationWindowSeconds: 300"), "{text}");
    }
}
