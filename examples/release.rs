//! Giving an HPA back to its owner: the bounds that the owner had set, no annotation of ours, no field of ours.
//!
//!     kubectl get hpa checkout -o json --show-managed-fields | cargo run --release --features live --example release -- -
//!     cargo run --release --features live --example release -- --target shop/checkout --context staging --server-dry-run
//!     cargo run --release --features live --example release -- --target shop/checkout --context staging --apply
//!
//! A file tells what would be given back. With `--context` the HPA of the cluster is read, and nothing is written but with `--apply`. Stop what
//! ticks the workload before, or remove its annotation `kube-scaling/mode`: the next tick would begin anew. Exit code 1 if it is not given back, for
//! more pods run than the owner's max allows or because something failed; 2 for bad input.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use examples::live::arguments::target;
use examples::{Failure, MayClose};
use scaling_core::{ApplyMode, Target};
use scaling_k8s::resting::{Release, release};
use scaling_k8s::stage::{DamagedStage, ReachedStage};
use scaling_k8s::{DamagedText, KubeHpaApplier, Released, Writer};
use serde_json::Value;

const EXAMPLES: &str = "Examples:
  kubectl get hpa checkout -o json --show-managed-fields | release -
  release --target shop/checkout --context staging
  release --target shop/checkout --context staging --server-dry-run
  release --target shop/checkout --context staging --apply";

/// Gives an HPA back to its owner: shown, validated by the API server, or done.
#[derive(Debug, Parser)]
#[command(name = "release", version, after_help = EXAMPLES)]
struct Arguments {
    /// An HPA as kubectl prints it as JSON with `--show-managed-fields`; `-` is standard input.
    #[arg(value_name = "FILE", required_unless_present_any = ["context", "target"], conflicts_with_all = ["context", "target"])]
    file: Option<PathBuf>,
    /// The workload whose HPA is given back.
    #[arg(long, value_name = "NAMESPACE/[KIND/]NAME[=HPA]", value_parser = target)]
    target: Option<Target>,
    /// The cluster, by its context in the kubeconfig.
    #[arg(long, value_name = "NAME", requires = "target")]
    context: Option<String>,
    /// Lets the API server validate the next step. Nothing is stored.
    #[arg(long, requires = "context", conflicts_with = "apply")]
    server_dry_run: bool,
    /// Gives it back.
    #[arg(long, requires = "context")]
    apply: bool,
    /// The field manager that the bounds were written under.
    #[arg(long, value_name = "NAME", default_value = "kube-scaling")]
    field_manager: String,
}

fn main() -> ExitCode {
    examples::exit(run(&Arguments::parse(), &mut MayClose(std::io::stdout().lock())))
}

fn run(arguments: &Arguments, out: &mut impl Write) -> Result<(), Failure> {
    let (Some(context), Some(target)) = (&arguments.context, &arguments.target) else {
        return in_file(arguments, out);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = scaling_k8s::connect(context).await.map_err(Failure::input)?;
        let applier = KubeHpaApplier::new(Writer::new(client).field_manager(&arguments.field_manager));
        let mode = match (arguments.apply, arguments.server_dry_run) {
            (true, _) => ApplyMode::Apply,
            (_, true) => ApplyMode::ServerDryRun,
            _ => ApplyMode::Plan,
        };
        let released = applier.release_as(target, mode).await.map_err(Failure::failed)?;
        told(target, &released, mode, out)
    })
}

fn told(target: &Target, released: &Released, mode: ApplyMode, out: &mut impl Write) -> Result<(), Failure> {
    match released {
        Released::Done { changed: false, bounds } => {
            writeln!(out, "{target}: nothing of ours is at HPA {:?}, whose bounds are {bounds}", target.hpa)?;
        }
        Released::Done { bounds, .. } => {
            let said = match mode {
                ApplyMode::Apply => "is given back to its owner with",
                ApplyMode::ServerDryRun => {
                    "would be given back, the API server takes the next step, and nothing is stored (--apply):"
                }
                ApplyMode::Plan => "would be given back, nothing was sent (--server-dry-run, --apply):",
            };
            writeln!(out, "{target}: HPA {:?} {said} {bounds}", target.hpa)?;
        }
        held => return Err(Failure::failed(format!("{target}: {held}"))),
    }
    Ok(())
}

/// The next step for an HPA in a file.
fn in_file(arguments: &Arguments, out: &mut impl Write) -> Result<(), Failure> {
    let Some(file) = &arguments.file else {
        return Err(Failure::input(
            "--target is an HPA in a cluster: say which cluster, --context NAME; one in a file needs no --target",
        ));
    };
    if arguments.apply || arguments.server_dry_run {
        return Err(Failure::input(
            "--apply and --server-dry-run are for an HPA in a cluster: --context NAME --target NAMESPACE/NAME",
        ));
    }
    let place = examples::place(file);
    let bad = |why: &dyn std::fmt::Display| Failure::input(format!("{place}: {why}"));
    let hpa: Value = serde_json::from_slice(examples::unmarked(&examples::read(file)?)).map_err(|error| bad(&error))?;
    if hpa.get("kind").and_then(Value::as_str) != Some("HorizontalPodAutoscaler") {
        return Err(bad(
            &"it is no HorizontalPodAutoscaler as JSON (kubectl get hpa NAME -o json --show-managed-fields)",
        ));
    }
    match release(&hpa, &arguments.field_manager).map_err(|error| bad(&error))? {
        Release::Done => match ReachedStage::of(&hpa, &arguments.field_manager) {
            Ok(None) | Err(DamagedStage::Text(DamagedText::Foreign)) => {
                writeln!(out, "nothing of ours is at this HPA")?;
            }
            _ => writeln!(out, "its bounds are the owner's; the stage of its adoption is removed")?,
        },
        Release::Restore { bounds, .. } => {
            writeln!(out, "it goes back to {bounds}, and then annotations and fields of ours are removed")?;
        }
        Release::Disown { .. } => {
            writeln!(out, "its bounds are the owner's; annotations and fields of ours are removed")?;
        }
        Release::Held { pods, max } => return Err(Failure::failed(Released::Held { pods, max })),
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use scaling_core::Bounds;
    use scaling_k8s::resting::Seen;
    use serde_json::json;

    use super::*;

    /// An HPA of 2..6 that we have raised to these bounds, while so many pods run.
    fn raised(min: u32, max: u32, pods: u32) -> Value {
        let mut hpa = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": { "namespace": "shop", "name": "web", "managedFields": [] },
            "spec": { "minReplicas": 2, "maxReplicas": 6 },
            "status": { "currentReplicas": pods, "desiredReplicas": pods },
        });
        let seen = Seen::of(&hpa, "kube-scaling").unwrap();
        let body = seen.apply_body(Bounds::new(min, max).unwrap(), Bounds::new(2, 6).unwrap());
        hpa["metadata"]["annotations"] = body["metadata"]["annotations"].clone();
        hpa["spec"] = body["spec"].clone();
        hpa["metadata"]["managedFields"] = json!([{ "manager": "kube-scaling", "operation": "Apply", "fieldsV1": {
            "f:metadata": { "f:annotations": { "f:kube-scaling/resting-bounds": {} } },
            "f:spec": { "f:minReplicas": {}, "f:maxReplicas": {} } } }]);
        hpa
    }

    fn tried(hpa: &Value) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hpa.json");
        std::fs::write(&file, format!("\u{feff}{hpa}")).unwrap();
        let arguments = Arguments::parse_from(["release", file.to_str().unwrap()]);
        examples::outcome(|out| run(&arguments, out))
    }

    #[test]
    fn the_next_step_is_told() {
        assert!(tried(&raised(4, 9, 3)).unwrap().starts_with("it goes back to 2..6"));
        assert!(tried(&raised(2, 6, 3)).unwrap().starts_with("its bounds are the owner's"));
        assert!(tried(&raised(4, 9, 8)).unwrap_err().starts_with("1: not given back: 8 pods run"));
        let mut free = raised(2, 6, 3);
        free["metadata"]["annotations"] = json!({});
        free["metadata"]["managedFields"] = json!([{ "manager": "host", "operation": "Apply", "fieldsV1": {} }]);
        assert_eq!(tried(&free).unwrap(), "nothing of ours is at this HPA\n");
        free["metadata"]["annotations"] = json!({ "kube-scaling/adoption": "damaged" });
        assert_eq!(tried(&free).unwrap(), "nothing of ours is at this HPA\n", "it is the host's");
        free["metadata"]["managedFields"] = json!([{ "manager": "kube-scaling-adoption", "operation": "Apply",
            "fieldsV1": { "f:metadata": { "f:annotations": { "f:kube-scaling/adoption": {} } } } }]);
        assert!(tried(&free).unwrap().ends_with("the stage of its adoption is removed\n"));
    }

    #[test]
    fn what_cannot_be_used_is_bad_input() {
        assert!(tried(&json!([])).unwrap_err().starts_with("2: "));
        let mut hidden = raised(4, 9, 3);
        hidden["metadata"]["managedFields"] = Value::Null;
        assert!(tried(&hidden).unwrap_err().contains("managed fields"), "kubectl hides them");
        for words in [&["release"][..], &["release", "x", "--target", "shop/web"]] {
            assert!(Arguments::try_parse_from(words).is_err(), "{words:?}");
        }
        let arguments = Arguments::parse_from(["release", "x", "--apply"]);
        let error = examples::outcome(|out| run(&arguments, out)).unwrap_err();
        assert!(error.starts_with("2: --apply and --server-dry-run are for an HPA in a cluster"), "{error}");
        let arguments = Arguments::parse_from(["release", "--target", "shop/web"]);
        let error = examples::outcome(|out| run(&arguments, out)).unwrap_err();
        assert!(error.starts_with("2: --target is an HPA in a cluster: say which cluster, --context NAME"), "{error}");
    }

    #[test]
    fn what_was_done_is_told_as_far_as_it_went() {
        let (target, bounds) = (Target::deployment("shop", "web"), Bounds::new(2, 6).unwrap());
        let said = |released: &Released, mode| examples::outcome(|out| told(&target, released, mode, out));
        let done = |changed| Released::Done { changed, bounds };
        assert!(said(&done(true), ApplyMode::Apply).unwrap().ends_with("is given back to its owner with 2..6\n"));
        assert!(said(&done(true), ApplyMode::ServerDryRun).unwrap().contains("nothing is stored (--apply): 2..6"));
        assert!(said(&done(false), ApplyMode::Apply).unwrap().contains("nothing of ours"));
        assert!(said(&Released::Held { pods: 9, max: 6 }, ApplyMode::Apply).unwrap_err().starts_with("1: "));
    }
}
