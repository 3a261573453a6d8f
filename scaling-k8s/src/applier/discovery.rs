//! Kinds that a cluster serves, by its discovery, and where their objects are.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kube::core::discovery::v2::{APIGroupDiscoveryList, APIResourceDiscovery};
use scaling_core::hpa::names::{is_dns_label, is_dns_subdomain};
use scaling_core::{ApplyError, Target};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::answer::{backend, refused, unapplied};
use super::retry;
use super::writer::Writer;

/// Kinds that are remembered; a cluster with all of the well-known operators has about a thousand.
const MOST: usize = 10_000;
/// Age at which what is known is asked for again: a CRD may have come or gone.
const LIFE: Duration = Duration::from_secs(600);
/// Age at which a kind that is not known is looked for again. A fleet that names it would ask at every tick.
const LIFE_OF_A_MISS: Duration = Duration::from_secs(30);

/// One kind of objects in namespaces, in the version that its group prefers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) plural: String,
    name: String,
    subresources: Vec<&'static str>,
}

impl Kind {
    /// Path of the objects of one namespace.
    pub(super) fn path(&self, namespace: &str) -> String {
        let Self { group, version, plural, .. } = self;
        let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        format!("{root}/namespaces/{namespace}/{plural}")
    }
}

/// Everything that is served, as far as it matters here.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    kinds: Vec<Kind>,
    /// Groups of which the server itself had no news.
    stale: BTreeSet<String>,
}

/// Subresources that matter here.
const SUBRESOURCES: [&str; 2] = ["scale", "resize"];

impl Index {
    fn take_in(&mut self, list: &APIGroupDiscoveryList) {
        for group in &list.items {
            let name = group.metadata.as_ref().and_then(|metadata| metadata.name.as_deref()).unwrap_or_default();
            for version in &group.versions {
                let served = version.version.as_deref().unwrap_or_default();
                if version.freshness.as_deref() == Some("Stale") {
                    self.stale.insert(name.to_owned());
                }
                let kinds = version.resources.iter().filter_map(|resource| Kind::of(name, served, resource));
                for kind in kinds {
                    // The versions come in the order in which the group prefers them.
                    let known = self.kinds.iter().any(|known| {
                        known.group == kind.group && known.name == kind.name && known.subresources == kind.subresources
                    });
                    if !known && self.kinds.len() < MOST {
                        self.kinds.push(kind);
                    }
                }
            }
        }
    }

    /// The kinds of this name that can be scaled, one for each group.
    fn scalable(&self, kind: &str, group: Option<&str>) -> Vec<&Kind> {
        let mut found: Vec<&Kind> = Vec::new();
        let named = self.kinds.iter().filter(|known| known.name == kind && known.subresources.contains(&"scale"));
        for known in named.filter(|known| group.is_none_or(|group| group == known.group)) {
            if !found.iter().any(|other| other.group == known.group) {
                found.push(known);
            }
        }
        found
    }

    fn in_group(&self, group: &str, kind: &str) -> Option<&Kind> {
        self.kinds.iter().find(|known| known.group == group && known.name == kind)
    }
}

impl Kind {
    /// Returns true if a CRD defines it: the groups of those have a dot, and of Kubernetes' own kinds none of such a group can be scaled.
    pub(super) fn is_custom(&self) -> bool {
        self.group.contains('.')
    }

    /// The kind, if its objects are in namespaces and its names can be parts of a path.
    fn of(group: &str, version: &str, resource: &APIResourceDiscovery) -> Option<Self> {
        let plural = resource.resource.as_deref()?;
        let kind = resource.response_kind.as_ref()?.kind.as_deref()?;
        let usable = (group.is_empty() || is_dns_subdomain(group)) && is_dns_label(version) && is_dns_label(plural);
        if !usable || resource.scope.as_deref() != Some("Namespaced") {
            return None;
        }
        let has = |name: &&str| resource.subresources.iter().any(|sub| sub.subresource.as_deref() == Some(*name));
        Some(Self {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
            name: kind.to_owned(),
            subresources: SUBRESOURCES.into_iter().filter(has).collect(),
        })
    }
}

/// The index of a cluster, asked for when it is needed. Shared by the clones of an applier.
#[derive(Clone, Default)]
pub(super) struct Kinds(Arc<Mutex<Option<Known>>>);

/// An index, and when it was asked for.
type Known = (Instant, Arc<Index>);

impl Kinds {
    /// The kind of a target that can be scaled; `group` says which where several groups have one of this name.
    pub(super) async fn scalable(
        &self,
        writer: &Writer,
        target: &Target,
        group: Option<&str>,
    ) -> Result<Kind, ApplyError> {
        let mut index = self.index(writer, target, LIFE).await?;
        if index.scalable(&target.kind, group).is_empty() {
            index = self.index(writer, target, LIFE_OF_A_MISS).await?;
        }
        match index.scalable(&target.kind, group).as_slice() {
            [kind] => Ok((*kind).clone()),
            [] if !index.stale.is_empty() => {
                let stale: Vec<&str> = index.stale.iter().map(String::as_str).collect();
                let why =
                    format!("no kind {} is known, and the server has no news of {}", target.kind, stale.join(", "));
                Err(unapplied(backend(target, true, why)))
            }
            [] => {
                let group = group.map(|group| format!(" in group {group:?}")).unwrap_or_default();
                Err(refused(target, format!("the cluster serves no kind {}{group} that can be scaled", target.kind)))
            }
            several => {
                let groups: Vec<&str> = several.iter().map(|kind| kind.group.as_str()).collect();
                let why =
                    format!("the groups {} each have a kind {}; say which is meant", groups.join(", "), target.kind);
                Err(refused(target, why))
            }
        }
    }

    /// A kind of a group, if the cluster serves it.
    pub(super) async fn in_group(
        &self,
        writer: &Writer,
        target: &Target,
        (group, kind): (&str, &str),
    ) -> Result<Option<Kind>, ApplyError> {
        let index = self.index(writer, target, LIFE).await?;
        Ok(index.in_group(group, kind).cloned())
    }

    /// Returns true if the cluster can resize pods in place.
    pub(super) async fn can_resize_pods(&self, writer: &Writer, target: &Target) -> Result<bool, ApplyError> {
        let index = self.index(writer, target, LIFE).await?;
        Ok(index.in_group("", "Pod").is_some_and(|pod| pod.subresources.contains(&"resize")))
    }

    /// Forgets everything: a path that it told is not served.
    pub(super) async fn forget(&self) {
        *self.0.lock().await = None;
    }

    /// The index, no older than `life`. The lock is held meanwhile, so that a fleet asks once and not at each of its workloads.
    async fn index(&self, writer: &Writer, target: &Target, life: Duration) -> Result<Arc<Index>, ApplyError> {
        let mut known = self.0.lock().await;
        if let Some((at, index)) = &*known
            && at.elapsed() < life
        {
            return Ok(Arc::clone(index));
        }
        let groups = retry::read(target, writer.patience(), || writer.client.list_api_groups_aggregated()).await?;
        let core = retry::read(target, writer.patience(), || writer.client.list_core_api_versions_aggregated()).await?;
        if groups.items.is_empty() {
            let why = "the server tells its kinds one by one; Kubernetes 1.27 and newer tell them at once";
            return Err(unapplied(backend(target, false, why)));
        }
        let mut index = Index::default();
        index.take_in(&core);
        index.take_in(&groups);
        let index = Arc::new(index);
        *known = Some((Instant::now(), Arc::clone(&index)));
        Ok(index)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn resource(plural: &str, kind: &str, scope: &str, subresources: &[&str]) -> Value {
        let subresources: Vec<Value> = subresources.iter().map(|name| json!({ "subresource": name })).collect();
        json!({ "resource": plural, "responseKind": { "kind": kind }, "scope": scope, "subresources": subresources })
    }

    fn index(groups: &Value) -> Index {
        let mut index = Index::default();
        index.take_in(&serde_json::from_value(json!({ "items": groups })).unwrap());
        index
    }

    #[test]
    fn the_preferred_version_that_can_be_scaled_is_taken() {
        let rollouts = |subresources: &[&str]| [resource("rollouts", "Rollout", "Namespaced", subresources)];
        let index = index(&json!([{ "metadata": { "name": "argoproj.io" }, "versions": [
            { "version": "v2", "resources": rollouts(&["status"]) },
            { "version": "v1", "resources": rollouts(&["status", "scale"]) },
            { "version": "v1alpha1", "resources": rollouts(&["status", "scale"]) },
        ]}]));
        let [kind] = index.scalable("Rollout", None)[..] else { panic!("{index:?}") };
        assert_eq!(kind.path("shop"), "/apis/argoproj.io/v1/namespaces/shop/rollouts");
        assert!(index.scalable("Rollout", Some("example.com")).is_empty());
        assert!(index.scalable("rollouts", None).is_empty());
    }

    #[test]
    fn names_that_would_lead_elsewhere_and_kinds_without_namespaces_are_passed_over() {
        let index = index(&json!([
            { "metadata": { "name": "a/../b" }, "versions": [{ "version": "v1", "resources": [resource("xs", "X", "Namespaced", &["scale"])] }] },
            { "metadata": { "name": "example.com" }, "versions": [{ "version": "v1", "resources": [
                resource("x/y", "X", "Namespaced", &["scale"]), resource("xs", "X", "Cluster", &["scale"]),
                { "resource": "xs" }, {}, { "resource": "xs", "scope": "Namespaced", "responseKind": {} } ] }, {}] },
            {},
        ]));
        assert!(index.scalable("X", None).is_empty(), "{index:?}");
    }
}
