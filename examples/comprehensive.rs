//! Everything once, on recorded figures: a decision as it happens, the HPA it leads to, a schedule from history, what it all
//! costs, and a workload that needs bigger pods rather than more.
//!
//!     cargo run --release --example comprehensive
//!
//! Prints five numbered parts.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use examples::Failure;
use futures::executor::block_on;
use scaling_core::conformance::dataset::{Scenario, scenarios};
use scaling_core::source::parse;
use scaling_core::{
    ApplyMode, Autoscaler, Bounds, Currency, MemoryApplier, MemorySource, MetricsHistory, Price, RuleBasedEngine,
    Target, WorkloadFacts,
};
use scaling_schedule::{CompileConfig, CostReport, Size, compile, need_by_cpu};

fn main() -> ExitCode {
    examples::no_arguments(
        "comprehensive",
        "A decision, the HPA it leads to, a schedule from history, its cost, and vertical scaling",
    );
    examples::exit(run(&mut std::io::stdout().lock()))
}

fn run(out: &mut impl Write) -> Result<(), Failure> {
    let dataset = examples::read(&examples::test_data("metrics_dataset.json"))?;
    let scenarios = scenarios(&String::from_utf8_lossy(&dataset)).map_err(Failure::input)?;
    let named = |name: &str| {
        let found = scenarios.iter().find(|scenario| scenario.name == name);
        found.ok_or_else(|| Failure::input(format!("the dataset has no {name:?}")))
    };

    writeln!(out, "1. a decision as it happens, and 2. the HPA it leads to")?;
    spike(named("high_load_spike")?, out)?;
    writeln!(out, "\n3. a schedule from two weeks of history, and 4. what it costs")?;
    schedule(out)?;
    writeln!(out, "\n5. bigger pods rather than more")?;
    vertical(named("memory_constrained")?, out)
}

/// The spike, sample by sample, through the whole path.
fn spike(scenario: &Scenario, out: &mut impl Write) -> Result<(), Failure> {
    let target = Target::deployment("shop", "inference");
    let source = Arc::new(MemorySource::new());
    let bounds = Bounds::new(2, 6).map_err(Failure::input)?;
    let applier = Arc::new(MemoryApplier::new().with(target.clone(), bounds));
    let autoscaler = Autoscaler::builder()
        .source(source.clone())
        .engine(RuleBasedEngine::default())
        .applier(applier)
        .price(Price::per_pod_hour(0.05, Currency::USD).map_err(Failure::input)?)
        .mode(ApplyMode::Apply)
        .build();
    for sample in &scenario.samples {
        source.advance(&target, sample.clone(), sample.timestamp).map_err(Failure::input)?;
        let record = block_on(autoscaler.tick(&target, sample.timestamp)).map_err(Failure::failed)?;
        let Some(decision) = &record.decision else { continue };
        write!(
            out,
            "   {}  {} -> {} pods, {:?}, confidence {:.2}",
            record.at.format("%H:%M"),
            decision.current_replicas,
            decision.desired_replicas,
            decision.urgency,
            decision.confidence.value()
        )?;
        for clamp in &record.clamps {
            write!(out, "; {clamp}")?;
        }
        if let Some(change) = record.change {
            write!(out, "; HPA {} -> {}", change.old, change.new)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Windows that hold what the past needed, and what they save against the largest of them all day.
fn schedule(out: &mut impl Write) -> Result<(), Failure> {
    let text = examples::read(&examples::shop_history())?;
    let samples = parse::metrics(&text, None).map_err(Failure::input)?;
    let (history, _) = MetricsHistory::from_unordered(samples);
    let compiled = compile(&history, &need_by_cpu(70.0), &CompileConfig::default()).map_err(Failure::failed)?;
    if let Some(why) = compiled.why_not() {
        writeln!(out, "   {why}; a draft:")?;
    }
    let compiled = compiled.draft();
    for line in compiled.schedule.to_string().lines() {
        writeln!(out, "   {line}")?;
    }
    for reason in &compiled.reasons {
        writeln!(out, "   {reason}")?;
    }
    let peak = compiled.schedule.windows().iter().map(scaling_schedule::Window::min).max().unwrap_or(1);
    let price = Price::per_pod_hour(0.05, Currency::USD).map_err(Failure::input)?;
    let scheduled = Size::Scheduled { schedule: &compiled.schedule, outside: 1 };
    let report = CostReport::new(Size::Constant(peak), scheduled, &price);
    writeln!(out, "   against {peak} pods throughout: {report}")?;
    Ok(())
}

/// Memory runs short while load is flat.
fn vertical(scenario: &Scenario, out: &mut impl Write) -> Result<(), Failure> {
    let mut facts = WorkloadFacts::default();
    facts.cpu_request_millicores = Some(500);
    facts.memory_request_bytes = Some(2 << 30);
    let observation = scenario.observation().ok_or_else(|| Failure::input("a scenario has no sample"))?;
    let observation = observation.with_facts(facts.clone());
    let mut decision = RuleBasedEngine::default().evaluate(&observation).map_err(Failure::failed)?;
    let price = Price::per_resource_hour(0.04, 0.005, Currency::USD, &facts).map_err(Failure::input)?;
    let resources = decision.resources.as_ref();
    decision.cost = Some(price.impact(decision.current_replicas, decision.desired_replicas, resources));
    if let Some(change) = decision.resources {
        writeln!(
            out,
            "   {:?}: {} pods stay, memory requests {:+} %, CPU requests {:+} %",
            decision.action(),
            decision.desired_replicas,
            change.memory_percent,
            change.cpu_percent
        )?;
    }
    if let Some(cost) = decision.cost {
        writeln!(out, "   cost: {cost}")?;
    }
    for reason in &decision.reasons {
        writeln!(out, "   - {reason}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn all_five_parts_are_told() {
        let mut out = Vec::new();
        super::run(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        for part in ["3 -> 12 pods, Critical", "HPA 2..6 -> ", "WINDOW", "pod-hours a week", "memory requests +50 %"] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }
}
