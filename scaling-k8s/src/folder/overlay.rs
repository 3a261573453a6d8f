//! The patches of an overlay that are in force: those that its kustomization lists, and those of what it builds upon.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::manifest::{Listing, listing};

use super::FolderError;
use super::files::{self, Found};

/// Names under which kustomize looks for its own file.
const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// Kustomizations that one overlay may build upon, one on top of the other or side by side.
const MAX_KUSTOMIZATIONS: usize = 256;

/// Files with patches, in the order in which kustomize applies them. Whether a file says anything of an HPA is not known here.
#[derive(Debug, Default)]
pub(super) struct Patches {
    /// Those of bases and components.
    pub(super) below: Vec<Found>,
    /// Those that the overlay itself lists.
    pub(super) own: Vec<Found>,
    /// The namespace that the overlay gives everything that it builds.
    pub(super) namespace: Option<String>,
    /// Folders of the overlay and of what it builds upon.
    folders: BTreeSet<PathBuf>,
}

impl Patches {
    /// The patches in force with this overlay.
    ///
    /// # Errors
    /// [`FolderError::OtherPatch`] if one could change bounds, of whichever HPA, and is no strategic-merge patch in a file that names
    /// it; [`FolderError`] if one cannot be read.
    pub(super) fn of(root: &Path, overlay: &Path) -> Result<Self, FolderError> {
        let (mut below, mut seen) = (Vec::new(), BTreeSet::new());
        let own = listed(root, overlay, &mut seen, &mut below)?;
        let namespace = listing(&files::read(&kustomization(overlay)?)?).namespace;
        Ok(Self { below, own, namespace, folders: seen })
    }

    /// Returns true if the overlay puts everything of a file into this namespace.
    pub(super) fn puts(&self, path: &Path, namespace: &str) -> bool {
        self.namespace.as_deref() == Some(namespace) && self.folders.iter().any(|folder| path.starts_with(folder))
    }

    pub(super) fn contain(&self, path: &Path) -> bool {
        self.below.iter().chain(&self.own).any(|file| file.path == path)
    }
}

/// The kustomization of a folder.
pub(super) fn kustomization(folder: &Path) -> Result<PathBuf, FolderError> {
    let mut candidates = KUSTOMIZATIONS.iter().map(|name| folder.join(name));
    let found = candidates.find(|path| path.symlink_metadata().is_ok_and(|data| data.is_file()));
    found.ok_or_else(|| FolderError::NoKustomization { path: folder.to_owned() })
}

/// The patches that one kustomization lists; those of what it builds upon go to `below`.
fn listed(
    root: &Path,
    folder: &Path,
    seen: &mut BTreeSet<PathBuf>,
    below: &mut Vec<Found>,
) -> Result<Vec<Found>, FolderError> {
    // Each once: a circle is a fault of the repository that kustomize tells.
    if !seen.insert(folder.to_owned()) {
        return Ok(Vec::new());
    }
    if seen.len() > MAX_KUSTOMIZATIONS {
        return Err(FolderError::TooMany { path: root.to_owned(), limit: MAX_KUSTOMIZATIONS });
    }
    let path = kustomization(folder)?;
    let text = files::read(&path)?;
    if sets_bounds(&text) {
        return Err(FolderError::OtherPatch { path });
    }
    let Listing { resources, components, patches, .. } = listing(&text);
    // What is elsewhere has nothing to do with the HPAs of this folder, unless it is a component: that changes them.
    for (entry, changes) in
        resources.iter().map(|entry| (entry, false)).chain(components.iter().map(|entry| (entry, true)))
    {
        let Ok(other) = files::folder(&folder.join(entry)) else { continue };
        match files::inside(root, &other) {
            Ok(()) if kustomization(&other).is_ok() => {
                let more = listed(root, &other, seen, below)?;
                below.extend(more);
            }
            Err(outside) if changes => return Err(outside),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for patch in patches {
        let Some(file) = files::within(root, &folder.join(&patch.path))? else { continue };
        if file.text.contains("/spec/minReplicas")
            || file.text.contains("/spec/maxReplicas")
            || (patch.selects && sets_bounds(&file.text))
        {
            return Err(FolderError::OtherPatch { path: file.path });
        }
        found.push(file);
    }
    Ok(found)
}

fn sets_bounds(text: &str) -> bool {
    text.contains("minReplicas") || text.contains("maxReplicas")
}
