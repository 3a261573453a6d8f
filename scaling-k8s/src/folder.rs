//! HPAs in a folder of manifests, as GitOps tools apply them: [`ManifestApplier`].

mod error;
mod files;
mod overlay;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use scaling_core::hpa::names::{is_dns_label, is_dns_subdomain};
use scaling_core::{Applied, ApplyError, ApplyMode, Bounds, HpaApplier, HpaPlan, HpaState, Target};

use crate::manifest::{API_VERSION, KIND, Place, edited, is_text, places, unreadable, with_item};
pub use error::FolderError;
use error::failed;
use files::Found;
use overlay::{Patches, kustomization};
use serde_json::Value;

/// A file before and after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChange {
    /// The file.
    pub path: PathBuf,
    /// Its text before; none of a file that is new.
    pub before: Option<String>,
    /// Its text after.
    pub after: String,
}

/// Moves the bounds of HPAs in the manifests of a folder, for a GitOps tool to apply.
///
/// Files are edited in place ([`with_bounds`](crate::with_bounds)): two numbers change, and every other byte stays. With
/// [`patching`](Self::patching), nothing that is there is edited: a kustomize patch in an overlay holds the bounds, and the overlay's
/// kustomization lists it. A file is replaced as a whole, by renaming a temporary one, so that no reader ever sees half of it. Symbolic
/// links are not followed.
///
/// The HPA of a target is the one of that name in that namespace, or of that name without a namespace; with an overlay that sets a namespace
/// also that which the overlay puts there. It must stand in one place, and
/// scale the target's workload. What runs is not known here, and neither are the owner's bounds: the
/// [`ChangeLog`](scaling_core::ChangeLog) of the autoscaler remembers those that it has moved.
///
/// Files are read and written within the call, which blocks: a host with thousands of files runs it where blocking is allowed. Two
/// processes must not write the same folder.
///
/// ```
/// use scaling_core::{Bounds, HpaApplier, Target};
/// use scaling_k8s::ManifestApplier;
///
/// # let folder = tempfile::tempdir()?;
/// # let text = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: checkout}\nspec:\n  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: checkout}\n  maxReplicas: 10\n";
/// # std::fs::write(folder.path().join("hpa.yaml"), text)?;
/// let applier = ManifestApplier::open(folder.path())?;
/// let state = futures::executor::block_on(applier.current(&Target::deployment("shop", "checkout")))?;
/// assert_eq!(state.bounds, Bounds::new(1, 10)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ManifestApplier {
    root: PathBuf,
    overlay: Option<PathBuf>,
    /// One change at a time: reading and writing belong together.
    writing: Mutex<()>,
}

/// An HPA in the folder.
struct Hpa {
    file: Found,
    place: Place,
    /// The patch that the overlay lists, if there is one.
    patch: Option<(Found, Place)>,
    bounds: Bounds,
}

impl ManifestApplier {
    /// Opens a folder of manifests.
    ///
    /// # Errors
    /// [`FolderError`] if it is none.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, FolderError> {
        let root = files::folder(root.as_ref())?;
        Ok(Self { root, overlay: None, writing: Mutex::new(()) })
    }

    /// Writes the bounds as a kustomize patch in an overlay, a folder within this one, and leaves the HPA itself as it is.
    ///
    /// # Errors
    /// [`FolderError`] if it is no folder within this one, or has no kustomization.
    pub fn patching(mut self, overlay: impl AsRef<Path>) -> Result<Self, FolderError> {
        let overlay = files::folder(&self.root.join(overlay))?;
        files::inside(&self.root, &overlay)?;
        kustomization(&overlay)?;
        self.overlay = Some(overlay);
        Ok(self)
    }

    /// The files as they would be after a plan; none if nothing would change.
    ///
    /// # Errors
    /// [`FolderError`] if the plan cannot be carried out.
    pub fn preview(&self, plan: &HpaPlan) -> Result<Vec<FileChange>, FolderError> {
        let hpa = self.find(plan.target())?;
        let (expected, new, found) = (plan.old_bounds(), plan.new_bounds(), hpa.bounds);
        if found == new {
            return Ok(Vec::new());
        }
        if found != expected {
            return Err(FolderError::OtherBounds { expected, found });
        }
        self.changes(&hpa, new)
    }

    /// The bounds of a target's HPA, as [`current`](HpaApplier::current) reads them, or in detail why they are not known.
    ///
    /// # Errors
    /// [`FolderError`] if there is no such HPA, or it cannot be told which one counts.
    pub fn bounds(&self, target: &Target) -> Result<Bounds, FolderError> {
        self.find(target).map(|hpa| hpa.bounds)
    }

    fn find(&self, target: &Target) -> Result<Hpa, FolderError> {
        let Some(hpa) = self.found(target)? else {
            let (hpa, namespace) = (target.hpa.clone(), target.namespace.clone());
            return Err(FolderError::NotFound { hpa, namespace, path: self.root.clone(), unread: self.unread()? });
        };
        let scaled =
            |field: &str| hpa.place.object.pointer(&format!("/spec/scaleTargetRef/{field}")).and_then(Value::as_str);
        let (kind, name) = (scaled("kind").unwrap_or_default(), scaled("name").unwrap_or_default());
        if (kind, name) == (target.kind.as_str(), target.name.as_str()) {
            return Ok(hpa);
        }
        Err(FolderError::OtherWorkload { scales: format!("{kind} {name}"), path: hpa.file.path })
    }

    /// The files with an HPA in them, of whatever name, that are no YAML.
    fn unread(&self) -> Result<Vec<(PathBuf, String)>, FolderError> {
        let files = files::with(&self.root, "")?.into_iter();
        Ok(files.filter_map(|file| Some((file.path, unreadable(&file.text)?))).collect())
    }

    fn found(&self, target: &Target) -> Result<Option<Hpa>, FolderError> {
        let in_force = match &self.overlay {
            Some(overlay) => Patches::of(&self.root, overlay)?,
            None => Patches::default(),
        };
        let fits = |place: &Place, path: &Path| {
            let there = place.namespace.as_ref().is_none_or(|namespace| *namespace == target.namespace);
            place.name == target.hpa && (there || in_force.puts(path, &target.namespace))
        };
        let (mut whole, mut unlisted) = (Vec::new(), Vec::new());
        for file in files::with(&self.root, &target.hpa)?.into_iter().filter(|file| !in_force.contain(&file.path)) {
            for place in places(&file.text).into_iter().filter(|place| fits(place, &file.path)) {
                let list = if place.is_patch { &mut unlisted } else { &mut whole };
                list.push((file.clone(), place));
            }
        }
        let paths = |list: &[(Found, Place)]| list.iter().map(|(file, _)| file.path.clone()).collect();
        // An HPA with the namespace written is meant rather than one without.
        if whole.len() > 1 && whole.iter().any(|(_, place)| place.namespace.is_some()) {
            whole.retain(|(_, place)| place.namespace.is_some());
        }
        if self.overlay.is_none() && !unlisted.is_empty() && !whole.is_empty() {
            return Err(FolderError::Patches { paths: paths(&unlisted) });
        }
        let of = |files: &[Found]| -> Vec<(Found, Place)> {
            let found = |file: &Found| {
                let places = places(&file.text).into_iter().filter(|place| fits(place, &file.path));
                places.map(|place| (file.clone(), place)).collect::<Vec<_>>()
            };
            files.iter().flat_map(found).collect()
        };
        let (below, mut own) = (of(&in_force.below), of(&in_force.own));
        if whole.len() > 1 || own.len() > 1 {
            return Err(FolderError::Several { paths: paths(if whole.len() > 1 { &whole } else { &own }) });
        }
        let Some((file, place)) = whole.pop() else { return Ok(None) };
        let patch = own.pop();
        let bounds = effective(&file, &place, below.iter().chain(&patch))?;
        Ok(Some(Hpa { file, place, patch, bounds }))
    }

    /// The files that change, in the order in which they may be written.
    fn changes(&self, hpa: &Hpa, new: Bounds) -> Result<Vec<FileChange>, FolderError> {
        let Some(overlay) = &self.overlay else {
            return Ok(vec![change(&hpa.file, &hpa.place, new)?]);
        };
        if let Some((file, place)) = &hpa.patch {
            // What stands elsewhere may be in force for other overlays too.
            files::inside(overlay, &file.path)?;
            return Ok(vec![change(file, place, new)?]);
        }
        let name = format!("{}.bounds.yaml", hpa.place.name);
        let path = overlay.join(&name);
        // A name with a slash in it would lead elsewhere.
        if !is_dns_subdomain(&hpa.place.name) {
            return Err(FolderError::Taken { path });
        }
        let bounds = self.unlisted(path, &hpa.place, new)?;
        let listing = kustomization(overlay)?;
        let before = files::read(&listing)?;
        let listed = with_item(&before, "patches", &name);
        let after = listed.map_err(|source| FolderError::Manifest { path: listing.clone(), source })?;
        // The patch first: a kustomization that lists a file which is not there would break the build.
        let listing = FileChange { path: listing, before: Some(before), after };
        Ok([bounds, listing].into_iter().filter(|change| change.before.as_ref() != Some(&change.after)).collect())
    }

    /// A patch that no kustomization lists yet: a new file, or one that was written when its listing could not be.
    fn unlisted(&self, path: PathBuf, hpa: &Place, new: Bounds) -> Result<FileChange, FolderError> {
        if path.symlink_metadata().is_err() {
            return Ok(FileChange { path, before: None, after: patch_text(hpa, new) });
        }
        let Some(file) = files::within(&self.root, &path)? else { return Err(FolderError::Taken { path }) };
        let same =
            |place: &Place| place.name == hpa.name && place.namespace == hpa.namespace && place.is_bounds_alone();
        match places(&file.text).as_slice() {
            [place] if same(place) => change(&file, place, new),
            _ => Err(FolderError::Taken { path }),
        }
    }

    /// Replaces the files. An error comes with whether one was replaced before.
    fn write(&self, changes: &[FileChange]) -> Result<(), (FolderError, bool)> {
        for (written, change) in changes.iter().enumerate() {
            files::replace(&self.root, change).map_err(|error| (error, written > 0))?;
        }
        Ok(())
    }
}

/// The bounds that count: those of the last patch that says them, else those of the HPA.
fn effective<'a>(
    file: &Found,
    place: &Place,
    patches: impl IntoIterator<Item = &'a (Found, Place)>,
) -> Result<Bounds, FolderError> {
    let at = |file: &Found, source| FolderError::Manifest { path: file.path.clone(), source };
    let (mut min, mut max) = place.bounds().map_err(|error| at(file, error))?;
    for (file, place) in patches {
        let (over_min, over_max) = place.bounds().map_err(|error| at(file, error))?;
        (min, max) = (over_min.or(min), over_max.or(max));
    }
    Bounds::new(min.unwrap_or(1), max.unwrap_or(0)).map_err(|error| at(file, error.into()))
}

fn change(file: &Found, place: &Place, new: Bounds) -> Result<FileChange, FolderError> {
    let after =
        edited(&file.text, place, new).map_err(|source| FolderError::Manifest { path: file.path.clone(), source })?;
    Ok(FileChange { path: file.path.clone(), before: Some(file.text.clone()), after })
}

/// A strategic-merge patch with the bounds alone. Names come from a manifest, and may be anything.
fn patch_text(place: &Place, bounds: Bounds) -> String {
    let scalar = |name: &str| {
        let plain = (is_dns_label(name) || is_dns_subdomain(name)) && is_text(name);
        if plain { name.to_owned() } else { Value::from(name).to_string() }
    };
    let namespace = place.namespace.as_deref().map(|namespace| format!("  namespace: {}\n", scalar(namespace)));
    format!(
        "apiVersion: {API_VERSION}\nkind: {KIND}\nmetadata:\n  name: {}\n{}spec:\n  minReplicas: {}\n  maxReplicas: {}\n",
        scalar(&place.name),
        namespace.unwrap_or_default(),
        bounds.min(),
        bounds.max()
    )
}

#[async_trait]
impl HpaApplier for ManifestApplier {
    async fn current(&self, target: &Target) -> Result<HpaState, ApplyError> {
        let found = self.find(target).map_err(|error| failed(target, error, false))?;
        Ok(HpaState::new(found.bounds).bounds_only())
    }

    async fn apply(&self, plan: &HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError> {
        let target = plan.target();
        if plan.resources().is_some() {
            let detail = "the plan changes what pods request, and this applier writes bounds alone".to_owned();
            return Err(ApplyError::Refused { target: target.clone(), detail, denied: false });
        }
        if mode == ApplyMode::Plan {
            return Ok(Applied { mode, changed: !plan.is_empty() });
        }
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = self.preview(plan).map_err(|error| failed(target, error, false))?;
        if mode == ApplyMode::Apply {
            self.write(&changes).map_err(|(error, written)| failed(target, error, written))?;
        }
        Ok(Applied { mode, changed: !changes.is_empty() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_after_the_first_file_may_have_changed_something() {
        let folder = tempfile::tempdir().unwrap();
        let applier = ManifestApplier::open(folder.path()).unwrap();
        let target = Target::deployment("shop", "checkout");
        let new = |name: &str| FileChange { path: applier.root.join(name), before: None, after: "a: 1".to_owned() };
        let stale = |name: &str| FileChange { before: Some("b: 1".to_owned()), ..new(name) };
        std::fs::write(folder.path().join("old.yaml"), "c: 1").unwrap();

        let answer = |changes: &[FileChange]| {
            let (error, written) = applier.write(changes).unwrap_err();
            failed(&target, error, written)
        };
        let first = answer(&[stale("old.yaml"), new("one.yaml")]);
        assert!(matches!(first, ApplyError::Unapplied { transient: true, .. }), "{first:?}");
        let second = answer(&[new("one.yaml"), stale("old.yaml")]);
        assert!(matches!(second, ApplyError::Backend { transient: true, .. }), "{second:?}");
        assert!(folder.path().join("one.yaml").exists());
    }
}
