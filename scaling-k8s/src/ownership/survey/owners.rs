//! The workload of an HPA, and what owns the two.

use std::collections::BTreeSet;

use kube::core::{ApiResource, GroupVersionKind};
use kube::discovery::{Scope, oneshot};
use scaling_core::Target;
use scaling_core::hpa::names::{is_dns_label, is_dns_subdomain};
use serde_json::Value;

use super::inquiry::{Inquiry, resource};
use super::namespace::Listed;
use crate::ownership::marks::{application, flux_names};
use crate::ownership::object::{Object, shown};

/// Objects above the HPA and its workload that are read, at most.
const MOST: usize = 16;
/// Workloads that every cluster serves: there is no need to ask for their plural.
const WELL_KNOWN: [(&str, &str); 3] =
    [("Deployment", "deployments"), ("StatefulSet", "statefulsets"), ("ReplicaSet", "replicasets")];
/// Namespace of Argo CD, as it is installed.
const ARGO_NAMESPACE: &str = "argocd";

/// The HPA, its workload, the objects that own either, one above the other, and the GitOps objects that apply them.
pub(super) async fn of(inquiry: &mut Inquiry<'_>, target: &Target, hpa: Option<Value>, listed: &Listed) -> Vec<Value> {
    let scaled = hpa.as_ref().and_then(|hpa| hpa.pointer("/spec/scaleTargetRef/apiVersion")).and_then(Value::as_str);
    let well_known = WELL_KNOWN.iter().any(|(kind, _)| *kind == target.kind);
    let api_version = scaled.or(well_known.then_some("apps/v1")).map(str::to_owned);
    let mut found: Vec<Value> = hpa.into_iter().collect();
    let what = format!("{} {}", shown(&target.kind), target.name);
    match api_version {
        Some(api_version) => {
            let namespace = &target.namespace;
            if let Some((kind, _)) = kind(inquiry, &what, &api_version, &target.kind).await {
                let before = inquiry.unseen.len();
                match inquiry.get(&kind, Some(namespace), &target.name).await {
                    Some(workload) => found.push(workload),
                    None if inquiry.unseen.len() == before => inquiry.missed(&what, "there is none"),
                    None => {}
                }
            }
        }
        None => inquiry.missed(&what, "the HPA that says its API group was not read"),
    }
    above(inquiry, target, &mut found).await;
    tools(inquiry, &mut found, listed).await;
    found
}

/// The owners of what was found, one above the other, each once.
async fn above(inquiry: &mut Inquiry<'_>, target: &Target, found: &mut Vec<Value>) {
    let mut passed = BTreeSet::new();
    let mut next = 0;
    while let Some(object) = found.get(next).and_then(Object::new) {
        let references: Vec<(String, String, String)> = object
            .owner_references()
            .iter()
            .map(|owner| (owner.api_version.to_owned(), owner.kind.to_owned(), owner.name.to_owned()))
            .collect();
        next += 1;
        for (api_version, owner_kind, name) in references {
            // ScaledObjects are among the lists.
            if owner_kind == "ScaledObject" || !passed.insert((api_version.clone(), owner_kind.clone(), name.clone())) {
                continue;
            }
            let what = format!("{} {}", shown(&owner_kind), shown(&name));
            if passed.len() > MOST {
                return inquiry.missed("further owners", format!("only the first {MOST} are"));
            }
            if api_version == "v1" && owner_kind == "Secret" {
                inquiry.missed(&what, "secrets never are");
                continue;
            }
            if let Some((kind, scope)) = kind(inquiry, &what, &api_version, &owner_kind).await {
                let namespace = (scope == Scope::Namespaced).then_some(target.namespace.as_str());
                found.extend(inquiry.get(&kind, namespace, &name).await);
            }
        }
    }
}

/// A kind by its API version. What the cluster does not serve cannot be looked at.
async fn kind(inquiry: &mut Inquiry<'_>, what: &str, api_version: &str, kind: &str) -> Option<(ApiResource, Scope)> {
    let known = WELL_KNOWN.iter().find(|(name, _)| *name == kind && api_version == "apps/v1");
    if let Some((_, plural)) = known {
        return Some((resource(api_version, kind, plural), Scope::Namespaced));
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    if !(group.is_empty() || is_dns_subdomain(group)) || !is_dns_label(version) {
        inquiry.missed(what, "its API version is none of Kubernetes");
        return None;
    }
    let asked = GroupVersionKind::gvk(group, version, kind);
    let client = inquiry.client;
    let before = inquiry.unseen.len();
    let answer = inquiry.ask(what, oneshot::pinned_kind(client, &asked)).await;
    if answer.is_none() && inquiry.unseen.len() == before {
        inquiry.missed(what, "the cluster does not serve its kind");
    }
    answer.map(|(kind, capabilities)| (kind, capabilities.scope))
}

/// The objects of the GitOps tools that apply what was found, as their marks name them: these may say that our fields are left alone.
async fn tools(inquiry: &mut Inquiry<'_>, found: &mut Vec<Value>, listed: &Listed) {
    let mut wanted: BTreeSet<(&str, &str, &str, String, String)> = BTreeSet::new();
    for object in found.iter().filter_map(Object::new) {
        for (prefix, kind, plural) in [
            ("kustomize.toolkit.fluxcd.io", "Kustomization", "kustomizations"),
            ("helm.toolkit.fluxcd.io", "HelmRelease", "helmreleases"),
        ] {
            if let Some((name, Some(namespace))) = flux_names(object, prefix) {
                wanted.insert((prefix, kind, plural, namespace.to_owned(), name.to_owned()));
            }
        }
        if let Some((namespace, name)) = application(object) {
            let namespace = namespace.unwrap_or(ARGO_NAMESPACE).to_owned();
            wanted.insert(("argoproj.io", "Application", "applications", namespace, name.to_owned()));
        }
    }
    for (group, kind, plural, namespace, name) in wanted.into_iter().take(MOST) {
        let Some(api_version) = listed.api_version(group) else { continue };
        if is_dns_label(&namespace) {
            found.extend(inquiry.get(&resource(&api_version, kind, plural), Some(&namespace), &name).await);
        }
    }
}
