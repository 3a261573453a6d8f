//! Without an API server: the bounds of an HPA changed in a folder of manifests, for a GitOps tool to apply.
//!
//!     cargo run --release --example gitops
//!     cargo run --release --example gitops -- clusters/eu --target shop/web --min 6 --write
//!
//! The difference is shown line by line, with the line at which it begins. Files are edited in place: two numbers change, and comments, order and style stay. Notice that nothing is written without `--write`, and
//! that the plan comes from the guards, as it does in a cluster. With `--overlay DIR` a kustomize patch holds the bounds instead.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use examples::live::arguments::target;
use examples::{Failure, MayClose, by_hand, lines};
use futures::executor::block_on;
use scaling_core::{ApplyMode, Bounds, BoundsPolicy, HpaApplier, HpaState, Proposal, Target};
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
    let folder = arguments.folder.clone().unwrap_or_else(|| examples::test_data("gitops"));
    let mut applier = ManifestApplier::open(&folder).map_err(|error| failure(&folder, &error))?;
    if let Some(overlay) = &arguments.overlay {
        applier = applier.patching(overlay).map_err(|error| failure(&folder, &error))?;
    }
    let target = &arguments.target;
    let there = applier.bounds(target).map_err(|error| failure(&folder, &error))?;
    let state = HpaState::new(there).bounds_only();
    let min = arguments.min.unwrap_or(if arguments.folder.is_some() { there.min() } else { 6 });
    let wanted = Bounds::new(min, arguments.max.unwrap_or(there.max())).map_err(Failure::input)?;
    let (plan, limits) = by_hand::approved(target, state, Proposal::restore_to(wanted), &BoundsPolicy::default())?;
    limits.iter().try_for_each(|limit| writeln!(out, "{limit}"))?;
    for change in applier.preview(&plan).map_err(|error| failure(&folder, &error))? {
        writeln!(out, "{}", examples::place(&change.path))?;
        write!(out, "{}", lines::difference(change.before.as_deref().unwrap_or_default(), &change.after))?;
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

/// Input that cannot be used, or a refusal with the way on where there is one.
fn failure(folder: &Path, error: &FolderError) -> Failure {
    match error {
        FolderError::Patches { paths } => {
            let root = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
            let overlays: BTreeSet<&Path> = paths.iter().filter_map(|path| path.parent()).collect();
            let name =
                |overlay: &Path| format!("--overlay {}", overlay.strip_prefix(&root).unwrap_or(overlay).display());
            let overlays: Vec<_> = overlays.into_iter().map(name).collect();
            Failure::failed(format!("{error} (say which: {})", overlays.join(" or ")))
        }
        FolderError::NotFound { .. }
        | FolderError::NoFolder { .. }
        | FolderError::Outside { .. }
        | FolderError::Io { .. }
        | FolderError::Manifest { .. }
        | FolderError::NoKustomization { .. } => Failure::input(error),
        _ => Failure::failed(error),
    }
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

    const TWO: &str = "\
kind: HorizontalPodAutoscaler
apiVersion: autoscaling/v2
metadata: {name: web, namespace: shop}
spec:
  scaleTargetRef: {kind: Deployment, name: web}
  minReplicas: 6
  maxReplicas: 12
---
kind: HorizontalPodAutoscaler
apiVersion: autoscaling/v2
metadata: {name: api, namespace: shop}
spec:
  scaleTargetRef: {kind: Deployment, name: api}
  minReplicas: 3
  maxReplicas: 20
";

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn a_line_that_stands_elsewhere_too_is_in_the_difference() {
        let folder = folder(&[("all.yaml", TWO)]);
        let text = output(&[folder.path().to_str().unwrap(), "--target", "shop/api", "--min", "6", "--max", "12"]);
        let text = text.unwrap();
        let difference =
            "@@ line 14 @@\n-  minReplicas: 3\n-  maxReplicas: 20\n+  minReplicas: 6\n+  maxReplicas: 12\n";
        assert!(text.contains(difference), "{text}");
    }

    #[test]
    fn a_refusal_says_how_to_go_on_with_code_1() {
        let patch = "kind: HorizontalPodAutoscaler\nmetadata: {name: web, namespace: shop}\nspec: {minReplicas: 7}\n";
        let folder = folder(&[
            ("base/hpa.yaml", TWO),
            ("base/kustomization.yaml", "resources: [hpa.yaml]\n"),
            (
                "overlays/us/kustomization.yaml",
                "resources: [../../base]\nnamespace: shop-us\npatches: [{path: p.yaml}]\n",
            ),
            ("overlays/us/p.yaml", patch),
            ("chart/hpa.yaml", "kind: HorizontalPodAutoscaler\nmetadata: {name: {{ .Values.name }}}\n"),
        ]);
        let place = folder.path().to_str().unwrap();
        let error = output(&[place, "--target", "shop/web", "--min", "8"]).unwrap_err();
        assert!(error.starts_with("1: ") && error.ends_with("(say which: --overlay overlays/us)"), "{error}");
        let text = output(&[place, "--target", "shop-us/web", "--min", "8", "--overlay", "overlays/us"]).unwrap();
        assert!(text.contains("minReplicas: 7") && text.contains("minReplicas: 8"), "{text}");
        let error = output(&[place, "--target", "shop/nobody"]).unwrap_err();
        assert!(error.starts_with("2: ") && error.contains("chart/hpa.yaml: line 2: "), "{error}");
        let error = output(&[place, "--target", "shop/StatefulSet/api"]).unwrap_err();
        assert!(error.starts_with("1: ") && error.ends_with("the HPA scales Deployment api"), "{error}");
    }

    #[test]
    fn what_cannot_be_is_said_with_code_2() {
        assert!(output(&["/no/such/folder"]).unwrap_err().starts_with("2: "));
        assert!(output(&["--target", "shop/nobody"]).unwrap_err().starts_with("2: "));
        assert!(output(&["--min", "9", "--max", "3"]).unwrap_err().starts_with("2: "));
        assert!(output(&["--write"]).unwrap_err().starts_with("2: "));
    }
}
