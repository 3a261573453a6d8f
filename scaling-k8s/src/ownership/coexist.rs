//! The text that makes a GitOps tool and us live together.

use std::fmt;
use std::fmt::Write;

use scaling_core::Target;
use scaling_core::hpa::names::is_dns_subdomain;
use serde::{Deserialize, Serialize};

use super::object::shown;
use super::{Owner, Ownership, Writes};
use crate::manifest::KIND;

/// Requests and limits of the first container of a template, as a JSON pointer.
const REQUESTS: &str = "/spec/template/spec/containers/0/resources";

/// Setting of another tool by which it leaves our fields alone, to be put where `place` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coexistence {
    /// Place of the text: a file or an object.
    pub place: String,
    /// The text, as YAML; for Helm as the template of a chart.
    pub text: String,
    /// Remark on it: the release from which it works, and what it does not do.
    pub remark: String,
}

impl fmt::Display for Coexistence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# {}", self.place)?;
        writeln!(f, "# {}", self.remark)?;
        f.write_str(&self.text)
    }
}

impl Coexistence {
    /// The text for one owner of the HPA of `target`, or of its workload where requests are written, if there is one: for Argo CD, Flux
    /// and Helm. `manager` is the field manager that we write under. None where the owner leaves our fields alone already, or owns
    /// something else.
    pub fn of(owned: &Ownership, target: &Target, manager: &str) -> Option<Self> {
        if owned.settled.is_some() {
            return None;
        }
        if owned.part == Writes::Requests && owned.object.kind == target.kind {
            return Self::of_requests(owned, target, manager);
        }
        if owned.object.kind != KIND {
            return None;
        }
        let (name, namespace) = (scalar(&target.hpa), scalar(&target.namespace));
        match &owned.owner {
            Owner::ArgoCd { application } => {
                let hpa = ("autoscaling", KIND, name.as_str(), namespace.as_str());
                Some(Self::argo(application.as_deref(), hpa, manager, "the bounds"))
            }
            Owner::FluxKustomization { name: of, namespace: within } => {
                let place = placed("Flux Kustomization", of.as_deref(), within.as_deref());
                let text = format!(
                    "spec:\n  ignore:\n{}",
                    ignored(4, &super::marks::BOUNDS, ("autoscaling", KIND, &name, &namespace))
                );
                let remark = "Flux has it since August 2026, and gives up fields that somebody else owns: force our first write; \
                              before: annotate the HPA in Git with kustomize.toolkit.fluxcd.io/ssa: IfNotPresent, \
                              and Flux creates it and changes nothing of it any more";
                Some(Self { place, text, remark: remark.to_owned() })
            }
            Owner::FluxHelmRelease { name: of, namespace: within } => {
                let place = placed("Flux HelmRelease", of.as_deref(), within.as_deref());
                let text = format!(
                    "spec:\n  driftDetection:\n    mode: enabled\n    ignore:\n{}",
                    ignored(6, &super::marks::BOUNDS, ("autoscaling", KIND, &name, &namespace))
                );
                let remark = "an upgrade of the release writes the chart's bounds all the same; we raise them again at the next tick";
                Some(Self { place, text, remark: remark.to_owned() })
            }
            Owner::Helm { release } => Some(Self::helm(release.as_deref(), target)),
            _ => None,
        }
    }

    /// The text for an owner of the workload's template.
    fn of_requests(owned: &Ownership, target: &Target, manager: &str) -> Option<Self> {
        let (name, namespace) = (scalar(&target.name), scalar(&target.namespace));
        let workload = ("apps", target.kind.as_str(), name.as_str(), namespace.as_str());
        let rules = |indent| ignored(indent, &[REQUESTS], workload);
        let counted = "the number in the path is the place of the container in the template, from 0";
        match &owned.owner {
            Owner::ArgoCd { application } => {
                Some(Self::argo(application.as_deref(), workload, manager, "the requests"))
            }
            Owner::FluxKustomization { name: of, namespace: within } => Some(Self {
                place: placed("Flux Kustomization", of.as_deref(), within.as_deref()),
                text: format!("spec:\n  ignore:\n{}", rules(4)),
                remark: format!("Flux has it since August 2026; {counted}"),
            }),
            Owner::FluxHelmRelease { name: of, namespace: within } => Some(Self {
                place: placed("Flux HelmRelease", of.as_deref(), within.as_deref()),
                text: format!("spec:\n  driftDetection:\n    mode: enabled\n    ignore:\n{}", rules(6)),
                remark: format!("an upgrade of the release writes the chart's requests all the same; {counted}"),
            }),
            _ => None,
        }
    }

    /// The rule of Argo CD for an object, by its group, kind, name and namespace.
    fn argo(
        application: Option<&str>,
        (group, kind, name, namespace): (&str, &str, &str, &str),
        manager: &str,
        what: &str,
    ) -> Self {
        let text = format!(
            "spec:\n  ignoreDifferences:\n    - group: {group}\n      kind: {kind}\n      name: {name}\n      \
             namespace: {namespace}\n      managedFieldsManagers:\n        - {}\n  syncPolicy:\n    syncOptions:\n      \
             - RespectIgnoreDifferences=true\n",
            scalar(manager)
        );
        let remark = format!("without RespectIgnoreDifferences a sync still writes {what} of the repository");
        Self { place: placed("Argo CD Application", application, None), text, remark }
    }

    /// Keeps the bounds that are there when a release is upgraded. Helm has no setting for it, so the chart has to look.
    fn helm(release: Option<&str>, target: &Target) -> Self {
        let name = serde_json::Value::from(target.hpa.as_str());
        let mut text =
            format!("{{{{- $live := lookup \"autoscaling/v2\" \"{KIND}\" .Release.Namespace {name} }}}}\nspec:\n");
        for (field, value) in [("minReplicas", "min"), ("maxReplicas", "max")] {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "  {field}: {{{{ dig \"spec\" \"{field}\" .Values.autoscaling.{value}Replicas $live }}}}"
            );
        }
        let place = format!("the HPA's template in the chart of {}", placed("Helm release", release, None));
        let remark = "lookup finds nothing in helm template and in a client-side dry run; the values of the chart stand there then";
        Self { place, text, remark: remark.to_owned() }
    }
}

/// The rules of Flux for some paths of an object, which is its group, kind, name and namespace.
fn ignored(indent: usize, paths: &[&str], (group, kind, name, namespace): (&str, &str, &str, &str)) -> String {
    let mut lines = vec!["- paths:".to_owned()];
    lines.extend(paths.iter().map(|path| format!("    - {path}")));
    lines.push("  target:".to_owned());
    for (field, value) in [("group", group), ("kind", kind), ("name", name), ("namespace", namespace)] {
        lines.push(format!("    {field}: {value}"));
    }
    let mut text = String::new();
    for line in lines {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:indent$}{line}", "");
    }
    text
}

fn placed(what: &str, name: Option<&str>, namespace: Option<&str>) -> String {
    match (name.map(shown), namespace.map(shown)) {
        (Some(name), Some(namespace)) => format!("{what} {namespace}/{name}"),
        (Some(name), None) => format!("{what} {name}"),
        (None, _) => format!("the {what} that applies it"),
    }
}

/// A name as a YAML scalar: quoted, unless every reader takes it for text.
fn scalar(name: &str) -> String {
    let plain = is_dns_subdomain(name) && crate::manifest::is_text(name);
    if plain { name.to_owned() } else { serde_json::Value::from(name).to_string() }
}
