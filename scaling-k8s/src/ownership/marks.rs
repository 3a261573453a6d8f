//! Marks that tools leave on what they apply, and references to what owns an object.

use serde_json::Value;

use super::Finder;
use super::object::{Object, OwnerReference, shown};
use super::owner::{Evidence, Owner, Ownership};
use super::policy::Writes;
use crate::manifest::KIND;

pub(super) const ARGO_TRACKING: &str = "argocd.argoproj.io/tracking-id";
const ARGO_INSTANCE: &str = "argocd.argoproj.io/instance";
pub(super) const HELM_RELEASE: &str = "meta.helm.sh/release-name";
pub(super) const KEDA_NAME: &str = "scaledobject.keda.sh/name";
const FLUX_SSA: &str = "kustomize.toolkit.fluxcd.io/ssa";
const FLUX_RECONCILE: &str = "kustomize.toolkit.fluxcd.io/reconcile";
/// Fields of an HPA that we write, as JSON pointers.
pub(super) const BOUNDS: [&str; 2] = ["/spec/minReplicas", "/spec/maxReplicas"];

impl<'a> Finder<'a, '_> {
    pub(super) fn marks(&mut self, object: Object<'a>) {
        self.argo(object);
        let flux = [("kustomize.toolkit.fluxcd.io", true), ("helm.toolkit.fluxcd.io", false)];
        for (prefix, kustomization) in flux {
            let label = |part: &str| object.label(&format!("{prefix}/{part}"));
            let Some(name) = label("name") else { continue };
            let (label_name, namespace) = (Some(shown(name)), label("namespace").map(shown));
            let (owner, settled) = if kustomization {
                (
                    Owner::FluxKustomization { name: label_name, namespace },
                    self.left_alone_by_kustomization(object, name, label("namespace")),
                )
            } else {
                (
                    Owner::FluxHelmRelease { name: label_name, namespace },
                    self.left_alone_by_release(object, name, label("namespace")),
                )
            };
            self.marked(owner, object, format!("{prefix}/name"), settled);
        }
        // Flux marks what its Helm controller installs as Helm does; once is enough.
        let by_flux = object.label("helm.toolkit.fluxcd.io/name").is_some();
        if let Some(release) = object.annotation(HELM_RELEASE).filter(|_| !by_flux) {
            self.marked(Owner::Helm { release: Some(shown(release)) }, object, HELM_RELEASE.to_owned(), None);
        }
        if let Some(name) = object.label(KEDA_NAME).filter(|_| object.kind == KIND) {
            self.marked(Owner::Keda { scaled_object: shown(name) }, object, KEDA_NAME.to_owned(), None);
        }
    }

    fn argo(&mut self, object: Object<'a>) {
        let (application, key) = match (object.annotation(ARGO_TRACKING), object.label(ARGO_INSTANCE)) {
            (Some(id), _) => {
                let mut parts = id.splitn(3, ':');
                let (application, kind, name) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
                let of = |group: &str, kind: &str| {
                    if group.is_empty() { format!("/{kind}") } else { format!("{group}/{kind}") }
                };
                let own_name = object.name().name;
                let is_this = kind == Some(&of(object.group(), object.kind))
                    && name.is_some_and(|name| {
                        name == format!("{}/{own_name}", object.namespace()) || name == format!("/{own_name}")
                    });
                if !is_this {
                    // Argo CD too takes such an object for another's: the annotation was copied along.
                    self.notes.push(format!(
                        "{} has the {ARGO_TRACKING} of another object, {:?}",
                        object.name(),
                        shown(id)
                    ));
                    return;
                }
                (application, ARGO_TRACKING)
            }
            (None, Some(application)) => (application, ARGO_INSTANCE),
            (None, None) => return,
        };
        // An application in another namespace than Argo CD's is called `namespace_name`.
        let name = application.rsplit('_').next().unwrap_or(application);
        let settled = self.left_alone_by_argo(object, name);
        self.marked(Owner::ArgoCd { application: Some(shown(application)) }, object, key.to_owned(), settled);
    }

    fn marked(&mut self, owner: Owner, object: Object<'a>, key: String, settled: Option<String>) {
        self.owners.push(Ownership {
            owner,
            object: object.name(),
            fields: Vec::new(),
            manager: None,
            operation: None,
            since: None,
            evidence: Evidence::Mark { key },
            part: self.part,
            settled,
        });
    }

    /// An owner by reference. References to the workload itself, for garbage collection, make no owner.
    pub(super) fn owned_by(&mut self, object: Object<'a>, reference: &OwnerReference<'a>) {
        let keda = reference.kind == "ScaledObject" && (reference.group == "keda.sh" || reference.group.is_empty());
        let owner = if keda {
            Owner::Keda { scaled_object: shown(reference.name) }
        } else if reference.controls && (object.kind == KIND || self.is_workload(object)) {
            Owner::Controller { object: format!("{} {}", shown(reference.kind), shown(reference.name)) }
        } else {
            return;
        };
        self.owners.push(Ownership {
            owner,
            object: object.name(),
            fields: Vec::new(),
            manager: None,
            operation: None,
            since: None,
            evidence: Evidence::OwnerReference,
            part: self.part,
            settled: None,
        });
    }

    fn is_workload(&self, object: Object<'a>) -> bool {
        object.is(&self.target.kind, &self.target.namespace, &self.target.name)
    }

    /// The rule by which the Argo CD application, if it is at hand, ignores our fields, in its comparison and in its syncs.
    fn left_alone_by_argo(&mut self, object: Object<'a>, application: &str) -> Option<String> {
        let found = self.objects.iter().find(|candidate| {
            candidate.kind == "Application"
                && candidate.group() == "argoproj.io"
                && candidate.name().name == application
        })?;
        let fits = |rule: &&Value| {
            let text = |field: &str| rule.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
            let any = |field: &str, value: &str| text(field).is_none_or(|wanted| wanted == value || wanted == "*");
            text("kind").is_some()
                && any("group", object.group())
                && any("kind", object.kind)
                && any("name", &object.name().name)
                && any("namespace", object.namespace())
        };
        let rules: Vec<&Value> = found.list("/spec/ignoreDifferences").iter().filter(fits).collect();
        let manager = |rule: &&Value| holds(rule, "managedFieldsManagers", self.manager);
        let pointers = |pointer: &str| rules.iter().any(|rule| covers(rule, "jsonPointers", pointer));
        let listed = match self.part {
            Writes::Requests => rules.iter().any(|rule| covers_requests(rule, "jsonPointers")),
            _ => BOUNDS.iter().all(|pointer| pointers(pointer)),
        };
        let ignored = rules.iter().any(manager) || listed;
        if !ignored {
            return None;
        }
        let option = Value::from("RespectIgnoreDifferences=true");
        if found.list("/spec/syncPolicy/syncOptions").contains(&option) {
            return Some(format!("ignoreDifferences of application {application}"));
        }
        self.notes.push(format!(
            "application {} ignores our fields when it compares and not when it syncs; it lacks RespectIgnoreDifferences=true",
            shown(application)
        ));
        None
    }

    fn left_alone_by_kustomization(&self, object: Object<'a>, name: &str, namespace: Option<&str>) -> Option<String> {
        let either = |key: &str| object.annotation(key).or_else(|| object.label(key));
        if let Some(mode) = either(FLUX_SSA).filter(|mode| matches!(*mode, "IfNotPresent" | "Ignore")) {
            return Some(format!("{FLUX_SSA}: {mode}"));
        }
        if either(FLUX_RECONCILE) == Some("disabled") {
            return Some(format!("{FLUX_RECONCILE}: disabled"));
        }
        let found = self.flux("Kustomization", "kustomize.toolkit.fluxcd.io", name, namespace)?;
        ignores(found.list("/spec/ignore"), object, self.part).then(|| format!("spec.ignore of Kustomization {name}"))
    }

    fn left_alone_by_release(&self, object: Object<'a>, name: &str, namespace: Option<&str>) -> Option<String> {
        let found = self.flux("HelmRelease", "helm.toolkit.fluxcd.io", name, namespace)?;
        let mode = found.text("/spec/driftDetection/mode");
        // It writes at upgrades alone then, as Helm does.
        if mode != Some("enabled") {
            return Some(format!("driftDetection of HelmRelease {name} is {}", mode.map_or("off".to_owned(), shown)));
        }
        ignores(found.list("/spec/driftDetection/ignore"), object, self.part)
            .then(|| format!("driftDetection.ignore of HelmRelease {name}"))
    }

    fn flux(&self, kind: &str, group: &str, name: &str, namespace: Option<&str>) -> Option<Object<'a>> {
        let fits = |object: &&Object<'a>| {
            object.kind == kind
                && object.group() == group
                && object.name().name == name
                && namespace.is_none_or(|namespace| object.namespace() == namespace)
        };
        self.objects.iter().find(fits).copied()
    }
}

/// Returns true if rules of Flux leave both bounds of an object alone, or the requests of a container. Their targets are patterns; only plain names are read here, so
/// that a rule which may fit is rather not counted.
fn ignores(rules: &[Value], object: Object<'_>, part: Writes) -> bool {
    let fits = |rule: &&Value| {
        let target = rule.get("target");
        let any = |field: &str, value: &str| {
            target.and_then(|target| target.get(field)).is_none_or(|wanted| wanted.as_str() == Some(value))
        };
        any("kind", object.kind)
            && any("group", object.group())
            && any("name", &object.name().name)
            && any("namespace", object.namespace())
            && ["labelSelector", "annotationSelector"]
                .iter()
                .all(|field| target.is_none_or(|target| target.get(field).is_none()))
    };
    let rules: Vec<&Value> = rules.iter().filter(fits).collect();
    if part == Writes::Requests {
        return rules.iter().any(|rule| covers_requests(rule, "paths"));
    }
    BOUNDS.iter().all(|pointer| rules.iter().any(|rule| covers(rule, "paths", pointer)))
}

/// Returns true if a list of JSON pointers has one for the resources of a container of a template, or one above it. Which container it is,
/// its number tells, and numbers are the owner's to get right.
fn covers_requests(rule: &Value, field: &str) -> bool {
    let list = rule.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    list.into_iter().any(|listed| match listed.strip_prefix("/spec/template/spec/containers/") {
        Some(rest) => rest.split_once('/').is_none_or(|(_, field)| field == "resources"),
        None => covers(rule, field, "/spec/template/spec/containers/0/resources"),
    })
}

fn holds(rule: &Value, field: &str, wanted: &str) -> bool {
    rule.get(field).and_then(Value::as_array).into_iter().flatten().any(|item| item.as_str() == Some(wanted))
}

/// Returns true if a list of JSON pointers has this one, or one above it.
fn covers(rule: &Value, field: &str, pointer: &str) -> bool {
    let list = rule.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    list.into_iter()
        .any(|listed| listed == pointer || pointer.strip_prefix(listed).is_some_and(|rest| rest.starts_with('/')))
}

/// Name and namespace of the Flux object that applies this one, by its labels.
#[cfg(feature = "client")]
pub(super) fn flux_names<'a>(object: Object<'a>, prefix: &str) -> Option<(&'a str, Option<&'a str>)> {
    Some((object.label(&format!("{prefix}/name"))?, object.label(&format!("{prefix}/namespace"))))
}

/// The Argo CD application that applies this object, by its marks: its namespace, where that is another than Argo CD's, and its name.
#[cfg(feature = "client")]
pub(super) fn application(object: Object<'_>) -> Option<(Option<&str>, &str)> {
    let tracked = object.annotation(ARGO_TRACKING).and_then(|id| id.split(':').next());
    let application = tracked.or_else(|| object.label(ARGO_INSTANCE))?;
    Some(application.rsplit_once('_').map_or((None, application), |(namespace, name)| (Some(namespace), name)))
}
