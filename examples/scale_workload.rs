//! A workload without an HPA: its replicas set through the scale subresource, through the guards, dry-run first.
//!
//!     cargo run --release --features live --example scale_workload -- --target shop/worker --replicas 6 --context staging
//!     cargo run --release --features live --example scale_workload -- --target shop/Rollout/worker --replicas 6 --context staging --apply
//!
//! There is nothing between us and the pods then: what is written is what runs. So it is refused where an HPA or KEDA scales the workload,
//! where it is paused, and where somebody else owns the number. Nothing is written but with `--apply`. Exit code 1 if it is refused or failed.

use std::io::Write;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Parser;
use examples::by_hand::{self, Extent};
use examples::live::arguments::target;
use examples::{Failure, MayClose};
use scaling_core::{BoundsPolicy, HpaApplier, Proposal, ScalingDecision, Target};
use scaling_k8s::{ScaleApplier, Writer};

const EXAMPLES: &str = "Examples:
  cargo run --release --features live --example scale_workload -- --target shop/worker --replicas 6 --context staging
  cargo run --release --features live --example scale_workload -- --target shop/worker --replicas 6 --context staging --apply";

/// Sets the replicas of a workload that no HPA scales.
#[derive(Debug, Parser)]
#[command(name = "scale_workload", version, after_help = EXAMPLES)]
struct Arguments {
    /// The workload, with `Deployment` as its kind unless it is given.
    #[arg(long, value_name = "NAMESPACE/[KIND/]NAME", value_parser = target)]
    target: Option<Target>,
    /// Pods to run.
    #[arg(long, value_name = "PODS")]
    replicas: Option<u32>,
    /// The cluster, by its context in the kubeconfig.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    #[command(flatten)]
    extent: Extent,
    /// Takes the number over from the field managers that own it.
    #[arg(long)]
    force: bool,
}

fn main() -> ExitCode {
    examples::exit(run(&Arguments::parse(), &mut MayClose(std::io::stdout().lock())))
}

fn run(arguments: &Arguments, out: &mut impl Write) -> Result<(), Failure> {
    let target =
        arguments.target.as_ref().ok_or_else(|| Failure::input("say which workload: --target NAMESPACE/NAME"))?;
    let replicas = arguments.replicas.ok_or_else(|| Failure::input("say how many pods: --replicas PODS"))?;
    let context = arguments.context.as_ref().ok_or_else(|| Failure::input("say which cluster: --context NAME"))?;
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::failed)?;
    runtime.block_on(async {
        let client = scaling_k8s::connect(context).await.map_err(Failure::input)?;
        let writer = Writer::new(client);
        let writer = if arguments.force { writer.force() } else { writer };
        scaled(&ScaleApplier::new(writer), arguments, target, replicas, out).await
    })
}

async fn scaled(
    applier: &ScaleApplier,
    arguments: &Arguments,
    target: &Target,
    replicas: u32,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let state = applier.current(target).await.map_err(Failure::failed)?;
    let runs = state.bounds.min();
    writeln!(out, "{target}: {runs} pods are asked for")?;
    let by_hand = ScalingDecision::replicas("by hand", SystemTime::now().into(), runs, replicas).with_confidence(1.0);
    // With this policy the bounds are one number, and every pod less counts for the guards.
    let policy = BoundsPolicy::exact();
    let (plan, limits) = by_hand::approved(target, state, Proposal::decided(by_hand), &policy)?;
    limits.iter().try_for_each(|limit| writeln!(out, "{limit}"))?;
    if plan.is_empty() {
        return Ok(writeln!(out, "nothing to change")?);
    }
    writeln!(out, "{runs} -> {} pods", plan.new_bounds().min())?;
    let mode = arguments.extent.mode();
    applier.apply(&plan, mode).await.map_err(Failure::failed)?;
    Ok(writeln!(out, "{}", by_hand::carried_out(mode))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(given: &[&str]) -> Result<String, String> {
        let arguments = Arguments::try_parse_from(std::iter::once(&"scale_workload").chain(given));
        let arguments = arguments.map_err(|error| format!("2: {error}"))?;
        examples::outcome(|out| run(&arguments, out))
    }

    #[test]
    fn what_is_missing_is_said_with_code_2() {
        for (given, said) in [
            (&[][..], "2: say which workload"),
            (&["--target", "shop/worker"], "2: say how many pods"),
            (&["--target", "shop/worker", "--replicas", "6"], "2: say which cluster"),
            (&["--target", "shop/worker", "--replicas", "6", "--context", "no-such-context"], "2: no connection"),
        ] {
            let error = output(given).unwrap_err();
            assert!(error.starts_with(said), "{error}");
        }
        assert!(output(&["--apply"]).unwrap_err().contains("--context"));
    }
}
