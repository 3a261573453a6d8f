//! The rule engine over the eight labelled scenarios: what it decides, when, how sure it is, and why.
//!
//!     cargo run --release --example decision_engine
//!
//! Prints a block for each scenario; the first line ends with the label that a person gave it.

use std::io::Write;
use std::process::ExitCode;

use examples::Failure;
use scaling_core::RuleBasedEngine;
use scaling_core::conformance::dataset;

fn main() -> ExitCode {
    examples::no_arguments(
        "decision_engine",
        "The rule engine over eight labelled scenarios: what it decides, when, how sure it is, and why",
    );
    examples::exit(run(&mut std::io::stdout().lock()))
}

fn run(out: &mut impl Write) -> Result<(), Failure> {
    let bytes = examples::read(&examples::test_data("metrics_dataset.json"))?;
    let scenarios = dataset::scenarios(&String::from_utf8_lossy(&bytes)).map_err(Failure::input)?;
    let engine = RuleBasedEngine::default();
    for scenario in scenarios {
        let observation = scenario.observation().ok_or_else(|| Failure::input("a scenario has no sample"))?;
        let decision = engine.evaluate(&observation).map_err(Failure::failed)?;
        writeln!(
            out,
            "{}: {:?}, {} -> {} pods, {:?}, {:?}, confidence {:.2}   (label: {})",
            scenario.name,
            decision.action(),
            decision.current_replicas,
            decision.desired_replicas,
            decision.timing,
            decision.urgency,
            decision.confidence.value(),
            scenario.label.text
        )?;
        for reason in &decision.reasons {
            writeln!(out, "    {reason}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn all_eight_are_decided() {
        let mut out = Vec::new();
        super::run(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().filter(|line| line.contains("(label: ")).count(), 8, "{text}");
        assert!(text.contains("high_load_spike: ScaleUpHorizontal, 3 -> 12 pods, Now, Critical"), "{text}");
    }
}
