//! Ownership: who else sets the size of a workload.
//!
//! Two writers of one number undo each other's work for ever, and both look right by themselves. So before anything is written,
//! [`OwnershipReport::of`] looks at what the cluster already tells: the field managers of the HPA and of its workload, owner
//! references, the marks that GitOps tools leave, and other objects about the same workload: HPAs, KEDA ScaledObjects,
//! VerticalPodAutoscalers, CronJobs. All of it is read from JSON as the API server gives it; `Survey` (feature `client`) fetches it.
//!
//! [`OwnershipPolicy`] decides: by default, what somebody else owns is not written. A GitOps tool and we can live together, and
//! [`Coexistence`] is the exact text that makes them.
//!
//! ```
//! use scaling_core::Target;
//! use scaling_k8s::ownership::{OwnershipPolicy, OwnershipReport, Writes};
//! use serde_json::json;
//!
//! let hpa = json!({
//!     "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
//!     "metadata": { "namespace": "shop", "name": "checkout", "managedFields": [{
//!         "manager": "kubectl-edit", "operation": "Update", "time": "2026-11-02T08:00:00Z",
//!         "fieldsType": "FieldsV1", "fieldsV1": { "f:spec": { "f:maxReplicas": {} } },
//!     }] },
//!     "spec": { "scaleTargetRef": { "kind": "Deployment", "name": "checkout" }, "maxReplicas": 10 },
//! });
//! let report = OwnershipReport::of(&Target::deployment("shop", "checkout"), "kube-scaling", [&hpa]);
//! let refusal = OwnershipPolicy::default().check(&report, Writes::Bounds).unwrap_err();
//! assert_eq!(
//!     refusal.to_string(),
//!     "shop/Deployment/checkout is owned: a person with kubectl-edit owns spec.maxReplicas of HorizontalPodAutoscaler \
//!      shop/checkout (update, 2026-11-02 08:00:00 UTC)"
//! );
//! ```

mod coexist;
mod fields;
mod marks;
mod object;
mod others;
mod owner;
mod policy;
mod size;
#[cfg(feature = "client")]
mod survey;

use std::collections::BTreeSet;
use std::fmt;

use scaling_core::Target;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use coexist::Coexistence;
pub(crate) use fields::entries;
pub use object::ObjectName;
pub use owner::{Evidence, Operation, Owner, Ownership};
pub use policy::{Owned, OwnershipPolicy, Writes};
#[cfg(feature = "client")]
pub use survey::Survey;

use crate::manifest::KIND;
use object::Object;

/// Objects that are looked at, at most; of a namespace with more, the report says so.
const MAX_OBJECTS: usize = 20_000;
/// Owners that a report lists, at most.
const MAX_OWNERS: usize = 200;
/// Owner references that are followed from one object, one above the other.
const MAX_GENERATIONS: usize = 16;

/// Everybody who sets the size of one workload, besides us.
///
/// As text it is one line for each owner, and what would make us live together beneath it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnershipReport {
    /// The workload.
    pub target: Target,
    /// Field manager that we write under.
    pub manager: String,
    /// The owners found, in the order of how directly they own.
    pub owners: Vec<Ownership>,
    /// Remarks: what looked like an owner and is none, and what could not be looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl OwnershipReport {
    /// Reads the owners from these objects, in the JSON of the API: the HPA and the workload of the target, and whatever else may be
    /// about it, from anywhere in the cluster. Objects that are about something else, and values that are no objects, are passed over.
    ///
    /// `manager` is the field manager that we write under; what it owns is ours.
    pub fn of<'a>(target: &Target, manager: &str, objects: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut notes = Vec::new();
        let mut found: Vec<Object<'a>> = objects.into_iter().take(MAX_OBJECTS + 1).filter_map(Object::new).collect();
        if found.len() > MAX_OBJECTS {
            found.truncate(MAX_OBJECTS);
            notes.push(format!("only the first {MAX_OBJECTS} objects were looked at"));
        }
        let mut finder = Finder { target, manager, objects: &found, part: Writes::Bounds, owners: Vec::new(), notes };
        finder.run();
        let Finder { mut owners, mut notes, .. } = finder;
        if owners.len() > MAX_OWNERS {
            notes.push(format!("{} more owners are left out", owners.len() - MAX_OWNERS));
            owners.truncate(MAX_OWNERS);
        }
        Self { target: target.clone(), manager: manager.to_owned(), owners, notes }
    }

    /// Says that a kind of object could not be looked at, and why: `cronjobs`, `forbidden`. An owner among them would not be seen.
    #[must_use]
    pub fn unseen(mut self, kind: &str, why: &str) -> Self {
        self.notes.push(format!("{kind} were not looked at: {why}"));
        self
    }

    /// The owners that stand in the way of such a write.
    pub fn in_the_way_of(&self, writes: Writes) -> impl Iterator<Item = &Ownership> {
        self.owners.iter().filter(move |owned| owned.stands_in_the_way_of(writes))
    }

    /// The texts that make the GitOps tools and us live together, each once; none for a tool that leaves our fields alone already.
    pub fn coexistence(&self) -> Vec<Coexistence> {
        let settled = |owner: &Owner| {
            let same = |other: &&Ownership| std::mem::discriminant(&other.owner) == std::mem::discriminant(owner);
            self.owners.iter().filter(same).any(|other| other.settled.is_some())
        };
        let mut found: Vec<Coexistence> = Vec::new();
        for owned in self.owners.iter().filter(|owned| !settled(&owned.owner)) {
            let text = Coexistence::of(owned, &self.target, &self.manager);
            found.extend(text.filter(|text| !found.contains(text)));
        }
        found
    }
}

impl fmt::Display for OwnershipReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, manager, owners, notes } = self;
        if owners.is_empty() {
            write!(f, "{target}: nobody but {manager} sets its size, as far as can be seen")?;
        } else {
            write!(f, "{target}: its size is set by others than {manager} too")?;
        }
        for owned in owners {
            write!(f, "\n- {owned}")?;
        }
        for note in notes {
            write!(f, "\n  note: {note}")?;
        }
        for text in self.coexistence() {
            write!(f, "\n\n{text}")?;
        }
        Ok(())
    }
}

/// A search for owners, over the objects at hand.
struct Finder<'a, 'b> {
    target: &'b Target,
    manager: &'b str,
    objects: &'b [Object<'a>],
    /// What the marks and references are about that are looked at.
    part: Writes,
    owners: Vec<Ownership>,
    notes: Vec<String>,
}

impl<'a> Finder<'a, '_> {
    fn run(&mut self) {
        let objects = self.objects;
        let own = |kind: &str, name: &str| {
            objects.iter().find(|object| object.is(kind, &self.target.namespace, name)).copied()
        };
        let hpa = own(KIND, &self.target.hpa);
        let workload = own(&self.target.kind, &self.target.name);
        if let Some(hpa) = hpa {
            self.fields(hpa, &[&["f:spec", "f:minReplicas"], &["f:spec", "f:maxReplicas"]]);
            self.family(hpa);
        }
        if let Some(workload) = workload {
            self.fields(workload, &[&["f:spec", "f:replicas"]]);
            self.requests(workload);
            self.part = Writes::Requests;
            self.family(workload);
            self.part = Writes::Bounds;
        }
        for object in objects {
            self.other(*object);
        }
        // KEDA's HPA is owned by the ScaledObject and marked as its; one line is enough. The first is the most direct.
        let mut seen = BTreeSet::new();
        self.owners.retain(|owned| seen.insert(owned.key()));
    }

    /// The marks on an object and on those that own it, one above the other, each once: references may run in a circle.
    fn family(&mut self, object: Object<'a>) {
        let mut passed: BTreeSet<ObjectName> = BTreeSet::new();
        let mut generation = vec![object];
        for _ in 0..MAX_GENERATIONS {
            let mut parents = Vec::new();
            for object in generation {
                if !passed.insert(object.name()) {
                    continue;
                }
                self.marks(object);
                for reference in object.owner_references() {
                    self.owned_by(object, &reference);
                    let is_it = |candidate: &&Object<'a>| candidate.is_referenced(object, &reference);
                    parents.extend(self.objects.iter().find(is_it).copied());
                }
            }
            if parents.is_empty() {
                return;
            }
            generation = parents;
        }
        self.notes.push(format!("owner references are followed {MAX_GENERATIONS} steps and no further"));
    }
}
