//! Without an API server: the bounds of an HPA changed in a folder of manifests, for a GitOps tool to apply.
//!
//!     cargo run --release --example gitops
//!     cargo run --release --example gitops -- clusters/eu --target shop/web --min 6 --write
//!
//! Files are edited in place: two numbers change, and comments, order and style stay. Notice that nothing is written without `--write`, and
//! that the plan comes from the guards, as it does in a cluster. With `--overlay DIR` a kustomize patch holds the bounds instead.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use examples::live::arguments::target;
use examples::{Failure, MayClose, by_hand};
use futures::executor::block_on;
use scaling_core::{ApplyMode, Bounds, BoundsPolicy, HpaApplier, Proposal, Target};
use scaling_k8s::{FolderError, ManifestApplier};

const EXAMPLES: &str = "Examples:
  cargo run --release --example gitops
  cargo run --release --example gitops -- clusters/eu --target shop/web --min 6
  cargo run --release --example gitops -- clusters/eu --target shop/web --max 20 --overlay overlays/eu --write";

/// Changes the bounds of an HPA in a folder of manifests.
#[derive(Debug, Parser)]
#[command(name = "gitops", version, after_help = EXAMPLES)]
struct Arguments {
    /// The folder. By default that of the examples, with --min 6.
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// The workload, with `Deployment` as its kind and an HPA of its own name unless they are given.
    #[arg(long, value_name = "NAMESPACE/[KIND/]NAME[=HPA]", value_parser = target, default_value = "shop/shop")]
    target: Target,
    /// The min to set. By default that of the manifest.
    #[arg(long, value_name = "PODS")]
    min: Option<u32>,
    /// The max to set. By default that of the manifest.
    #[arg(long, value_name = "PODS")]
    max: Option<u32>,
    /// A folder within DIR with a kustomization: a patch there holds the bounds, and the HPA itself stays as it is.
    #[arg(long, value_name = "DIR")]
    overlay: Option<PathBuf>,
    /// Writes the files. Without it they are only shown.
    #[arg(long, requires = "folder")]
    write: bool,
}

fn main() -> ExitCode {
    examples::exit(run(&Arguments::parse(), &mut MayClose(std::io::stdout().lock())))
}

fn run(arguments: &Arguments, out: &mut impl Write) -> Result<(), Failure> {
    let bad = |error: FolderError| Failure::input(error);
    let folder = arguments.folder.clone().unwrap_or_else(|| examples::test_data("gitops"));
    let mut applier = ManifestApplier::open(&folder).map_err(bad)?;
    if let Some(overlay) = &arguments.overlay {
        applier = applier.patching(overlay).map_err(bad)?;
    }
    let target = &arguments.target;
    let state = block_on(applier.current(target)).map_err(Failure::input)?;
    let there = state.bounds;
    let min = arguments.min.unwrap_or(if arguments.folder.is_some() { there.min() } else { 6 });
    let wanted = Bounds::new(min, arguments.max.unwrap_or(there.max())).map_err(Failure::input)?;
    let (plan, limits) = by_hand::approved(target, state, Proposal::restore_to(wanted), &BoundsPolicy::default())?;
    limits.iter().try_for_each(|limit| writeln!(out, "{limit}"))?;
    for change in applier.preview(&plan).map_err(bad)? {
        writeln!(out, "{}", examples::place(&change.path))?;
        let before: Vec<&str> = change.before.as_deref().unwrap_or_default().lines().collect();
        let after: Vec<&str> = change.after.lines().collect();
        let lacks = |lines: &[&str], line: &str| !lines.contains(&line);
        before.iter().filter(|line| lacks(&after, line)).try_for_each(|line| writeln!(out, "-{line}"))?;
        after.iter().filter(|line| lacks(&before, line)).try_for_each(|line| writeln!(out, "+{line}"))?;
    }
    if plan.is_empty() {
        return Ok(writeln!(out, "nothing to change: {target} is within {there}")?);
    }
    if !arguments.write {
        return Ok(writeln!(out, "nothing is written (--write)")?);
    }
    block_on(applier.apply(&plan, ApplyMode::Apply)).map_err(Failure::failed)?;
    Ok(writeln!(out, "written: {target} is within {} in the folder; commit it", plan.new_bounds())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(given: &[&str]) -> Result<String, String> {
        let arguments = Arguments::try_parse_from(std::iter::once(&"gitops").chain(given));
        let arguments = arguments.map_err(|error| format!("2: {error}"))?;
        examples::outcome(|out| run(&arguments, out))
    }

    #[test]
    fn two_numbers_change_and_every_other_byte_stays() {
        let text = output(&[]).unwrap();
        assert!(
            text.contains("-  minReplicas: 4") && text.contains("+  minReplicas: 6") && text.ends_with("(--write)\n"),
            "{text}"
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("web.yaml");
        let manifest = std::fs::read_to_string(examples::test_data("gitops/shop.yaml")).unwrap();
        std::fs::write(&file, &manifest).unwrap();
        let place = folder.path().to_str().unwrap();
        assert!(output(&[place, "--min", "6"]).unwrap().contains("nothing is written"));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), manifest);
        assert!(
            output(&[place, "--min", "6", "--write"])
                .unwrap()
                .contains("written: shop/Deployment/shop is within 6..10")
        );
        assert_eq!(std::fs::read_to_string(&file).unwrap(), manifest.replace("minReplicas: 4", "minReplicas: 6"));
        assert!(output(&[place, "--min", "6"]).unwrap().starts_with("nothing to change"));
    }

    #[test]
    fn what_cannot_be_is_said_with_code_2() {
        assert!(output(&["/no/such/folder"]).unwrap_err().starts_with("2: "));
        assert!(output(&["--target", "shop/nobody"]).unwrap_err().starts_with("2: "));
        assert!(output(&["--min", "9", "--max", "3"]).unwrap_err().starts_with("2: "));
        assert!(output(&["--write"]).unwrap_err().starts_with("2: "));
    }
}
