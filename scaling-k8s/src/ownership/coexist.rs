//! The text that makes a GitOps tool and us live together.

use std::fmt;
use std::fmt::Write;

use scaling_core::Target;
use scaling_core::hpa::names::is_dns_subdomain;
use serde::{Deserialize, Serialize};

use super::object::shown;
use super::{Owner, Ownership};
use crate::manifest::KIND;

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
    /// The text for one owner of the HPA of `target`, if there is one: for Argo CD, Flux and Helm. `manager` is the field manager that
    /// we write under. None where the owner leaves our fields alone already, or owns something else.
    pub fn of(owned: &Ownership, target: &Target, manager: &str) -> Option<Self> {
        if owned.settled.is_some() || owned.object.kind != KIND {
            return None;
        }
        let (name, namespace) = (scalar(&target.hpa), scalar(&target.namespace));
        match &owned.owner {
            Owner::ArgoCd { application } => Some(Self::argo(application.as_deref(), &name, &namespace, manager)),
            Owner::FluxKustomization { name: of, namespace: within } => {
                let place = placed("Flux Kustomization", of.as_deref(), within.as_deref());
                let text = format!("spec:\n  ignore:\n{}", ignored(4, &name, &namespace));
                let remark = "Flux has it since August 2026, and gives up fields that somebody else owns: force our first write; \
                              before: annotate the HPA in Git with kustomize.toolkit.fluxcd.io/ssa: IfNotPresent, \
                              and Flux creates it and changes nothing of it any more";
                Some(Self { place, text, remark: remark.to_owned() })
            }
            Owner::FluxHelmRelease { name: of, namespace: within } => {
                let place = placed("Flux HelmRelease", of.as_deref(), within.as_deref());
                let text = format!(
                    "spec:\n  driftDetection:\n    mode: enabled\n    ignore:\n{}",
                    ignored(6, &name, &namespace)
                );
                let remark = "an upgrade of the release writes the chart's bounds all the same; we raise them again at the next tick";
                Some(Self { place, text, remark: remark.to_owned() })
            }
            Owner::Helm { release } => Some(Self::helm(release.as_deref(), target)),
            _ => None,
        }
    }

    fn argo(application: Option<&str>, name: &str, namespace: &str, manager: &str) -> Self {
        let text = format!(
            "spec:\n  ignoreDifferences:\n    - group: autoscaling\n      kind: {KIND}\n      name: {name}\n      \
             namespace: {namespace}\n      managedFieldsManagers:\n        - {}\n  syncPolicy:\n    syncOptions:\n      \
             - RespectIgnoreDifferences=true\n",
            scalar(manager)
        );
        let remark = "without RespectIgnoreDifferences a sync still writes the bounds of the repository";
        Self { place: placed("Argo CD Application", application, None), text, remark: remark.to_owned() }
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

/// The rules of Flux, for both bounds of the HPA.
fn ignored(indent: usize, name: &str, namespace: &str) -> String {
    let mut text = String::new();
    let [min, max] = super::marks::BOUNDS;
    for line in [
        "- paths:",
        &format!("    - {min}"),
        &format!("    - {max}"),
        "  target:",
        "    group: autoscaling",
        &format!("    kind: {KIND}"),
        &format!("    name: {name}"),
        &format!("    namespace: {namespace}"),
    ] {
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
