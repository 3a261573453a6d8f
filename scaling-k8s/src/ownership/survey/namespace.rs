//! Objects of a namespace that may be about any of its workloads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::inquiry::{Inquiry, resource};
use crate::manifest::{API_VERSION, KIND};

/// Age up to which lists are used.
const LIFE: Duration = Duration::from_secs(60);
/// Namespaces whose lists are kept.
const MOST: usize = 16;
/// Kinds that not every cluster has: group, kind, plural.
const OPTIONAL: [(&str, &str, &str); 2] = [
    ("keda.sh", "ScaledObject", "scaledobjects"),
    ("autoscaling.k8s.io", "VerticalPodAutoscaler", "verticalpodautoscalers"),
];

/// Lists of one namespace.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) objects: Vec<Value>,
    /// True if the HPAs are among them.
    has_hpas: bool,
    pub(super) unseen: Vec<(String, String)>,
    /// True if some of what is missed may be seen soon.
    pub(super) is_passing: bool,
    /// Version that each API group prefers.
    versions: HashMap<String, String>,
}

impl Listed {
    /// API version of a group; none if the cluster does not have it.
    pub(super) fn api_version(&self, group: &str) -> Option<String> {
        self.versions.get(group).map(|version| format!("{group}/{version}"))
    }

    async fn of(inquiry: &mut Inquiry<'_>, namespace: &str, with_hpas: bool) -> Self {
        // What is missed here belongs to the lists, which others may use.
        let before = (std::mem::take(&mut inquiry.unseen), std::mem::take(&mut inquiry.is_passing));
        let mut listed = Self { has_hpas: with_hpas, ..Self::default() };
        let hpas = with_hpas.then_some((API_VERSION, KIND, "horizontalpodautoscalers"));
        for (api_version, kind, plural) in hpas.into_iter().chain([("batch/v1", "CronJob", "cronjobs")]) {
            listed.objects.extend(inquiry.list(&resource(api_version, kind, plural), namespace).await);
        }
        let client = inquiry.client;
        match inquiry.ask("the API groups of the cluster", client.list_api_groups()).await {
            Some(groups) => {
                for group in groups.groups {
                    let version = group.preferred_version.or_else(|| group.versions.into_iter().next());
                    listed.versions.extend(version.map(|version| (group.name, version.version)));
                }
            }
            None => {
                for (_, _, plural) in OPTIONAL {
                    inquiry.missed(&format!("{plural} of namespace {namespace}"), "whether there are any is not known");
                }
            }
        }
        for (group, kind, plural) in OPTIONAL {
            if let Some(api_version) = listed.api_version(group) {
                listed.objects.extend(inquiry.list(&resource(&api_version, kind, plural), namespace).await);
            }
        }
        listed.unseen = std::mem::replace(&mut inquiry.unseen, before.0);
        listed.is_passing = std::mem::replace(&mut inquiry.is_passing, before.1);
        listed
    }
}

/// Lists of the namespaces that were asked for lately.
#[derive(Clone, Default)]
pub(super) struct Namespaces(Arc<Lock<HashMap<String, Place>>>);

/// Place of the lists of one namespace, locked while they are read.
type Place = Arc<Mutex<Option<Kept>>>;

/// Lists, and when they were read.
type Kept = (Instant, Arc<Listed>);

fn is_fresh(kept: Option<&Kept>) -> bool {
    kept.is_some_and(|(at, _)| at.elapsed() < LIFE)
}

impl Namespaces {
    /// The lists of a namespace. Its place is locked while they are read, so that a fleet reads them once and not for each of its
    /// workloads. What could not be read for now is not kept.
    pub(super) async fn listed(&self, inquiry: &mut Inquiry<'_>, namespace: &str, with_hpas: bool) -> Arc<Listed> {
        let place = self.place(namespace);
        let Some(mut kept) = inquiry.wait(&format!("the lists of namespace {namespace}"), place.lock()).await else {
            return Arc::default();
        };
        if let Some((_, listed)) = kept.as_ref().filter(|kept| is_fresh(Some(kept)))
            && (listed.has_hpas || !with_hpas)
        {
            return Arc::clone(listed);
        }
        let listed = Arc::new(Listed::of(inquiry, namespace, with_hpas).await);
        *kept = (!listed.is_passing).then(|| (Instant::now(), Arc::clone(&listed)));
        listed
    }

    fn place(&self, namespace: &str) -> Place {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One that somebody holds is in use, whatever is in it.
        let is_used = |place: &Place| Arc::strong_count(place) > 1;
        places.retain(|_, place| is_used(place) || place.try_lock().is_ok_and(|kept| is_fresh(kept.as_ref())));
        if places.len() >= MOST && !places.contains_key(namespace) {
            places.retain(|_, place| is_used(place));
        }
        Arc::clone(places.entry(namespace.to_owned()).or_default())
    }
}
