//! Resting bounds: what the owner of an HPA set, kept at the HPA itself.
//!
//! Whatever we raise is given back one day (law 7), and what it is given back to must outlive this process and its records. So it
//! stands in an annotation of the HPA, [`ANNOTATION`], under our own field manager, beside the bounds that we wrote: a bound that is
//! not what we wrote was changed by its owner since, and their change becomes the resting bound. Who owned the two fields before us
//! stands there too, so that [`release()`] leaves no trace.
//!
//! Everything here is pure: an HPA as JSON goes in, the body of the next request comes out. `KubeHpaApplier` (feature `client`) sends them.
//!
//! ```
//! use scaling_core::Bounds;
//! use scaling_k8s::resting::Seen;
//! use serde_json::json;
//!
//! let mut hpa = json!({
//!     "metadata": { "namespace": "shop", "name": "checkout", "managedFields": [] },
//!     "spec": { "minReplicas": 2, "maxReplicas": 10 },
//! });
//! let seen = Seen::of(&hpa, "kube-scaling")?;
//! let body = seen.apply_body(Bounds::new(6, 12)?, seen.state.resting);
//! hpa["metadata"]["annotations"] = body["metadata"]["annotations"].clone();
//! hpa["spec"] = body["spec"].clone();
//! assert_eq!(Seen::of(&hpa, "kube-scaling")?.state.resting, Bounds::new(2, 10)?);
//!
//! // The owner wants no less than 4, and the change is theirs.
//! hpa["spec"]["minReplicas"] = 4.into();
//! assert_eq!(Seen::of(&hpa, "kube-scaling")?.state.resting, Bounds::new(4, 10)?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod memory;
mod release;

use scaling_core::{Bounds, HpaSpec, HpaState};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use memory::{DamagedMemory, FormerOwner, RestingBounds};
#[cfg(feature = "client")]
pub(crate) use release::remove;
pub use release::{Release, ReleaseError, release};

use crate::annotation;
use crate::history::ANNOTATION as HISTORY;
use crate::manifest::{API_VERSION, KIND};
use crate::ownership::entries;
use scaling_core::hpa::InvalidHpa;

/// Key of the annotation that keeps the resting bounds.
pub const ANNOTATION: &str = "kube-scaling/resting-bounds";

/// One of the two bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// `minReplicas`.
    Min,
    /// `maxReplicas`.
    Max,
}

impl Bound {
    pub(crate) const BOTH: [Self; 2] = [Self::Min, Self::Max];

    /// Its key in `fieldsV1`, beneath `f:spec`.
    fn key(self) -> &'static str {
        match self {
            Self::Min => "f:minReplicas",
            Self::Max => "f:maxReplicas",
        }
    }

    fn of(self, bounds: Bounds) -> u32 {
        match self {
            Self::Min => bounds.min(),
            Self::Max => bounds.max(),
        }
    }
}

/// Resting bounds as an HPA tells them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Memory {
    /// We have written nothing: the bounds that are there are the owner's.
    Nothing,
    /// The bounds that are there are what we wrote.
    Kept,
    /// The owner has changed a bound since we wrote, and it is the resting bound now.
    OwnerChanged {
        /// The bounds that were changed.
        bounds: Vec<Bound>,
    },
    /// A bound that is there is ours, and what we kept is gone: somebody has removed the annotation. The bounds that are there count as the
    /// owner's: nothing is lowered on account of it.
    Lost,
    /// What is kept cannot be used. The bounds that are there count as the owner's: nothing is lowered on account of it.
    Damaged(DamagedMemory),
}

/// An HPA as it was read, with its resting bounds.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The HPA: its bounds, its resting bounds and whether they are known, and the pods that its status counts.
    pub state: HpaState,
    /// Origin of the resting bounds.
    pub memory: Memory,
    identity: Identity,
    former: Vec<FormerOwner>,
}

/// Version of the object that was read, which binds a write to it.
#[derive(Clone, Debug, PartialEq)]
struct Identity {
    name: String,
    namespace: String,
    uid: Option<String>,
    version: Option<String>,
}

impl Seen {
    /// Reads an HPA in the JSON of the API. `manager` is the field manager that we write under.
    ///
    /// What the annotation says counts only if that manager owns it and it was made for this very object: an owner may copy a manifest
    /// with everything in it. Where the metadata carry no managed fields, as in a cache that leaves them out, it counts too.
    ///
    /// # Errors
    /// [`InvalidHpa`] if the bounds of the HPA cannot be.
    pub fn of(hpa: &Value, manager: &str) -> Result<Self, InvalidHpa> {
        let bounds = bounds(hpa)?;
        let identity = Identity::of(hpa);
        let ours = Ours::of(hpa, manager);
        let remembered = remembered(hpa, manager);
        let present = Owners::of(hpa, manager);
        let (state, memory, former) = match remembered {
            Ok(Some(kept)) => {
                let changed: Vec<Bound> =
                    Bound::BOTH.into_iter().filter(|bound| ours.changed(*bound, &kept, bounds)).collect();
                let state = HpaState::new(bounds).with_resting(rested(&kept, bounds, &changed));
                let memory =
                    if changed.is_empty() { Memory::Kept } else { Memory::OwnerChanged { bounds: changed.clone() } };
                let stays = |owner: &FormerOwner| owner.without(&changed);
                let former = kept.former.iter().filter_map(stays).chain(present.of_bounds(&changed)).collect();
                (state, memory, former)
            }
            Err(damaged) => {
                (HpaState::new(bounds), Memory::Damaged(damaged), present.of_bounds(&Bound::BOTH).collect())
            }
            Ok(None) => {
                let (state, former) = (HpaState::new(bounds), present.of_bounds(&Bound::BOTH).collect());
                if !ours.bounds.is_empty() {
                    (state, Memory::Lost, former)
                } else if ours.known {
                    (state.with_resting(bounds), Memory::Nothing, former)
                } else {
                    // Whose the bounds are is not said.
                    (state, Memory::Nothing, former)
                }
            }
        };
        let state = pods(hpa).map_or(state, |pods| state.with_pods(pods));
        Ok(Self { state, memory, identity, former })
    }

    /// The body of the server-side apply that writes these bounds, and what is to be given back, on the object that was read.
    ///
    /// `resting` are the resting bounds that the caller knows. They are what is to be given back where the HPA does not tell: what is kept there
    /// may have been damaged or removed while our bounds stood, which are not the owner's then.
    ///
    /// Both bounds are always there: one that we own and leave out is removed. The version and uid that were seen make the server refuse
    /// if the object was changed in between, or replaced by another of the same name.
    pub fn apply_body(&self, new: Bounds, resting: Bounds) -> Value {
        let Identity { name, namespace, uid, version } = &self.identity;
        let resting = if self.state.resting_is_known { self.state.resting } else { resting };
        let kept = RestingBounds { resting, written: new, uid: uid.clone(), former: self.former.clone() };
        let mut metadata =
            json!({ "name": name, "namespace": namespace, "annotations": { ANNOTATION: kept.encode() } });
        for (key, value) in [("uid", uid), ("resourceVersion", version)] {
            if let (Some(fields), Some(value)) = (metadata.as_object_mut(), value) {
                fields.insert(key.to_owned(), Value::from(value.as_str()));
            }
        }
        json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": metadata,
            "spec": { "minReplicas": new.min(), "maxReplicas": new.max() },
        })
    }
}

impl Identity {
    fn of(hpa: &Value) -> Self {
        let text = |pointer: &str| hpa.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        Self {
            name: text("/metadata/name").unwrap_or_default(),
            namespace: text("/metadata/namespace").unwrap_or_else(|| "default".to_owned()),
            uid: text("/metadata/uid"),
            version: text("/metadata/resourceVersion"),
        }
    }
}

/// Fields of an HPA that our manager owns.
struct Ours {
    /// True if the object says who owns what.
    known: bool,
    annotation: bool,
    /// True if the annotation with the history is ours.
    history: bool,
    bounds: Vec<Bound>,
}

impl Ours {
    fn of(hpa: &Value, manager: &str) -> Self {
        let [annotation, history] = [ANNOTATION, HISTORY].map(|key| annotation::is_applied(hpa, key, manager));
        let mut ours = Self { known: false, annotation, history, bounds: Vec::new() };
        for entry in entries(hpa) {
            ours.known = true;
            if entry.is_applied_by(manager) {
                ours.bounds.extend(Bound::BOTH.into_iter().filter(|bound| entry.owns(&["f:spec", bound.key()])));
            }
        }
        ours
    }

    fn owns(&self, bound: Bound) -> bool {
        self.bounds.contains(&bound)
    }

    /// A bound that is not what we wrote was changed, and so was one that is no longer ours: somebody may have set the same number.
    fn changed(&self, bound: Bound, kept: &RestingBounds, now: Bounds) -> bool {
        bound.of(now) != bound.of(kept.written) || (self.known && !self.owns(bound))
    }
}

/// The managers besides ours that own a bound.
struct Owners(Vec<FormerOwner>);

impl Owners {
    fn of(hpa: &Value, manager: &str) -> Self {
        let others = entries(hpa).filter(|entry| !entry.is_applied_by(manager) && entry.subresource.is_none());
        let owners = others.filter_map(|entry| {
            let fields = Bound::BOTH.into_iter().filter(|bound| entry.owns(&["f:spec", bound.key()]));
            FormerOwner::new(entry.manager, entry.operation?, fields.collect())
        });
        Self(owners.take(FormerOwner::MOST).collect())
    }

    fn of_bounds<'a>(&'a self, bounds: &'a [Bound]) -> impl Iterator<Item = FormerOwner> + 'a {
        let others: Vec<Bound> = Bound::BOTH.into_iter().filter(|bound| !bounds.contains(bound)).collect();
        self.0.iter().filter_map(move |owner| owner.without(&others))
    }
}

/// The resting bounds after the owner's changes. A changed bound is theirs as it stands; the other one gives way to it.
fn rested(kept: &RestingBounds, now: Bounds, changed: &[Bound]) -> Bounds {
    let (min_changed, max_changed) = (changed.contains(&Bound::Min), changed.contains(&Bound::Max));
    let min = if min_changed { now.min() } else { kept.resting.min() };
    let max = if max_changed { now.max() } else { kept.resting.max() };
    let (min, max) = if max_changed && !min_changed { (min.min(max), max) } else { (min, max.max(min)) };
    // min ≤ max, and max is that of bounds that were: it cannot fail.
    Bounds::new(min, max).unwrap_or(now)
}

/// What is kept at an HPA, and may be used; none if nothing is.
fn remembered(hpa: &Value, manager: &str) -> Result<Option<RestingBounds>, DamagedMemory> {
    let Some(text) = annotation::text(hpa, ANNOTATION, manager)? else { return Ok(None) };
    let kept = RestingBounds::decode(text)?;
    annotation::check_object(hpa, kept.uid.as_deref())?;
    Ok(Some(kept))
}

/// The field manager under which a whole HPA is created.
#[cfg(feature = "client")]
pub(crate) fn creator(manager: &str) -> String {
    annotation::derived(manager, "-create")
}

/// Returns true if nobody owns the bounds and the annotation but ourselves and who has created the HPA for us.
#[cfg(feature = "client")]
pub(crate) fn is_as_created(hpa: &Value, manager: &str) -> bool {
    let creator = creator(manager);
    let key = format!("f:{ANNOTATION}");
    let others = entries(hpa).filter(|entry| !entry.is_applied_by(manager));
    let mut owners = others
        .filter(|entry| {
            Bound::BOTH.into_iter().any(|bound| entry.owns(&["f:spec", bound.key()]))
                || entry.owns(&["f:metadata", "f:annotations", &key])
        })
        .peekable();
    owners.peek().is_some() && owners.all(|entry| entry.manager == creator)
}

/// The text of the annotation, if there is one.
#[cfg(feature = "client")]
pub(crate) fn kept_at(hpa: &Value) -> Option<&str> {
    annotation::value(hpa, ANNOTATION)?.as_str()
}

pub(crate) fn bounds(hpa: &Value) -> Result<Bounds, InvalidHpa> {
    let number = |field: &str| {
        let value = hpa.pointer("/spec").and_then(|spec| spec.get(field)).filter(|value| !value.is_null())?;
        // What is no 32-bit number is as wrong as a negative one, and said so.
        Some(value.as_i64().and_then(|number| i32::try_from(number).ok()).unwrap_or(-1))
    };
    let (min_replicas, max_replicas) = (number("minReplicas"), number("maxReplicas").unwrap_or(0));
    HpaSpec { min_replicas, max_replicas, ..HpaSpec::default() }.bounds()
}

/// The pods that run, or that the HPA asked for last, whichever are more.
fn pods(hpa: &Value) -> Option<u32> {
    let status = hpa.get("status")?;
    let count = |field: &str| status.get(field).and_then(Value::as_u64).and_then(|pods| u32::try_from(pods).ok());
    count("desiredReplicas").max(count("currentReplicas"))
}
