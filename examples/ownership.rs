//! Who else sets the size of your workloads, and the text that makes a GitOps tool and us live together.
//!
//!     cargo run --release --features live --example ownership
//!     kubectl get hpa,deployments,cronjobs -A -o json --show-managed-fields | cargo run … --example ownership -- -
//!     cargo run … --example ownership -- --context staging --target shop/checkout
//!
//! Without `--context` it reads objects from files, as `kubectl get … -o json` or `-o yaml` writes them, and reports on each HPA among
//! them; what is not in the files is not seen. With it, it reads what it needs of the cluster and says what it may not read. Nothing is
//! written. Exit code 1 if somebody else is in the way of our writes.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use examples::live::arguments::target;
use examples::{Failure, MayClose};
use scaling_core::Target;
use scaling_k8s::ownership::{OwnershipReport, Survey, Writes};
use serde_json::Value;

const EXAMPLES: &str = "Examples:
  cargo run --release --features live --example ownership
  kubectl get hpa,deployments,cronjobs -n shop -o json --show-managed-fields | ownership -
  ownership hpa.yaml deployment.yaml --target shop/checkout
  ownership --context staging --target shop/checkout --target shop/StatefulSet/queue=queue-hpa";

/// Lists within lists that are looked into.
const DEEPEST: usize = 4;

#[derive(Debug, Parser)]
#[command(name = "ownership", version, about = "Who else sets the size of your workloads", after_help = EXAMPLES)]
struct Arguments {
    /// Objects of a cluster, in YAML or JSON, alone or in lists; `-` is standard input. By default `test_data/hpa/exported.yaml`.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A workload; may be given several times. By default that of each HPA in the files.
    #[arg(long = "target", value_name = "NAMESPACE/[KIND/]NAME[=HPA]", value_parser = target)]
    targets: Vec<Target>,
    /// Field manager that we write under.
    #[arg(long, value_name = "NAME", default_value = "kube-scaling")]
    manager: String,
    /// Reads from this cluster instead of files: a context of the kubeconfig.
    #[arg(long, value_name = "NAME", conflicts_with = "files", requires = "targets")]
    context: Option<String>,
    /// Writes the reports as JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    examples::exit(run(&Arguments::parse(), &mut MayClose(std::io::stdout())))
}

fn run(arguments: &Arguments, out: &mut impl Write) -> Result<(), Failure> {
    let reports = match &arguments.context {
        Some(context) => from_cluster(arguments, context)?,
        None => from_files(arguments)?,
    };
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&reports).map_err(Failure::failed)?)?;
    } else {
        for (index, report) in reports.iter().enumerate() {
            writeln!(out, "{}{report}", if index > 0 { "\n" } else { "" })?;
        }
    }
    let owned = reports.iter().filter(|report| report.in_the_way_of(Writes::Bounds).next().is_some()).count();
    let all = reports.len();
    let unseen = reports.iter().find_map(|report| report.notes.first().map(|note| (&report.target, note)));
    match (owned, unseen) {
        (0, Some((target, note))) => {
            Err(Failure::failed(format!("{target}: whether others set its size is not known: {note}")))
        }
        (0, None) => Ok(()),
        (owned, _) => {
            Err(Failure::failed(format!("others set the size of {owned} of {all} workloads; we would not write there")))
        }
    }
}

fn from_cluster(arguments: &Arguments, context: &str) -> Result<Vec<OwnershipReport>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = scaling_k8s::connect(context).await.map_err(Failure::input)?;
        let survey = Survey::new(client).field_manager(&arguments.manager);
        let mut reports = Vec::new();
        for target in &arguments.targets {
            reports.push(survey.report(target).await);
        }
        Ok(reports)
    })
}

fn from_files(arguments: &Arguments) -> Result<Vec<OwnershipReport>, Failure> {
    let by_default = [examples::test_data("hpa/exported.yaml")];
    let files = if arguments.files.is_empty() { &by_default[..] } else { &arguments.files };
    let mut found = Vec::new();
    for path in files {
        found.extend(objects(path)?);
    }
    let targets: Vec<Target> = match arguments.targets.as_slice() {
        [] => found.iter().filter_map(scaled).collect(),
        given => given.to_vec(),
    };
    if targets.is_empty() {
        return Err(Failure::input("there is no HPA in the files; say which workload: --target NAMESPACE/NAME"));
    }
    Ok(targets.iter().map(|target| OwnershipReport::of(target, &arguments.manager, &found)).collect())
}

/// The objects of a file, those within lists one by one.
fn objects(path: &Path) -> Result<Vec<Value>, Failure> {
    let place = examples::place(path);
    let bad = |what: &dyn std::fmt::Display| Failure::input(format!("{place}: {what}"));
    let text = String::from_utf8(examples::read(path)?).map_err(|_| bad(&"not UTF-8"))?;
    let documents: Vec<Value> = if text.trim_start().starts_with('{') {
        vec![serde_json::from_str(&text).map_err(|error| bad(&error))?]
    } else {
        let options = serde_saphyr::options! { with_snippet: false };
        serde_saphyr::from_multiple_with_options(&text, options).map_err(|error| bad(&error))?
    };
    let (mut found, mut open) = (Vec::new(), documents.into_iter().map(|document| (document, 0)).collect::<Vec<_>>());
    open.reverse();
    while let Some((mut value, depth)) = open.pop() {
        let is_list = value.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
        match value.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) if is_list && depth < DEEPEST => {
                open.extend(items.into_iter().rev().map(|item| (item, depth + 1)));
            }
            _ => found.push(value),
        }
    }
    if found.iter().any(|object| object.get("kind").is_some()) {
        Ok(found)
    } else {
        Err(bad(&"there is no object in it"))
    }
}

/// The workload that an HPA scales; none of another object.
fn scaled(object: &Value) -> Option<Target> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let hpa = text("/metadata/name").filter(|_| text("/kind") == Some("HorizontalPodAutoscaler"))?;
    let (kind, name) = (text("/spec/scaleTargetRef/kind")?, text("/spec/scaleTargetRef/name")?);
    let namespace = text("/metadata/namespace").unwrap_or("default");
    Some(Target::deployment(namespace, name).of_kind(kind).with_hpa(hpa))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(words: &[&str], input: &str) -> (String, Result<(), Failure>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), input).unwrap();
        let words = words.iter().map(|word| if *word == "-" { file.path().to_str().unwrap() } else { *word });
        let mut out = Vec::new();
        let ended = run(&Arguments::parse_from(std::iter::once("ownership").chain(words)), &mut out);
        (String::from_utf8(out).unwrap(), ended)
    }

    const LIST: &str = r#"{"kind": "List", "apiVersion": "v1", "items": [
        {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"namespace": "shop", "name": "web",
         "annotations": {"argocd.argoproj.io/tracking-id": "apps:autoscaling/HorizontalPodAutoscaler:shop/web"}},
         "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 3}},
        {"kind": "List", "items": [{"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
         "metadata": {"namespace": "shop", "name": "web"}, "spec": {"scaleTargetRef": {"name": "web"}}}]}]}"#;

    #[test]
    fn the_exported_hpa_has_an_owner() {
        let (said, ended) = tried(&[], "");
        assert!(said.contains("a person with kubectl-client-side-apply owns spec.minReplicas"), "{said}");
        assert!(matches!(ended, Err(Failure::Failed(what)) if what.contains("1 of 1 workloads")));
        assert!(tried(&["--manager", "kubectl-client-side-apply"], "").1.is_err(), "by an update, not by an apply");
    }

    #[test]
    fn a_list_from_kubectl_is_read_with_the_text_to_live_together() {
        let (said, ended) = tried(&["-"], LIST);
        for part in ["Argo CD (application apps)", "KEDA (ScaledObject web)", "ignoreDifferences:"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(ended.is_err());
        let reports: Vec<OwnershipReport> = serde_json::from_str(&tried(&["-", "--json"], LIST).0).unwrap();
        assert_eq!(reports[0].owners.len(), 2);
        let (said, ended) = tried(&["-", "--target", "shop/api"], LIST);
        assert!(ended.is_ok() && said.contains("nobody but kube-scaling"), "{said}");
    }

    #[test]
    fn what_cannot_be_read_is_bad_input() {
        for input in ["", "{", "a: [", "kind: Service", "[]", "&a [*a]"] {
            assert!(matches!(tried(&["-"], input).1, Err(Failure::Input(_))), "{input:?}");
        }
        assert!(matches!(tried(&["/no/such/file"], "").1, Err(Failure::Input(_))));
        assert!(Arguments::try_parse_from(["ownership", "--context", "x"]).is_err(), "a cluster has many workloads");
    }
}
