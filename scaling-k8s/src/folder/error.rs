//! Faults of a folder of manifests.

use std::path::PathBuf;
use std::sync::Arc;

use scaling_core::{ApplyError, Bounds, Target};

use crate::ManifestError;

/// Reasons why a folder of manifests cannot be read or written.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// There is no such HPA in it.
    #[error("there is no HPA {hpa:?} of namespace {namespace:?} in {}{}", .path.display(), unread_too(.unread))]
    NotFound {
        /// Name of the HPA.
        hpa: String,
        /// Its namespace.
        namespace: String,
        /// The folder of manifests.
        path: PathBuf,
        /// Files with an HPA in them that are no YAML, such as templates: each with line and cause.
        unread: Vec<(PathBuf, String)>,
    },
    /// The HPA scales another workload.
    #[error("{}: the HPA scales {scales}", .path.display())]
    OtherWorkload {
        /// The file.
        path: PathBuf,
        /// Kind and name of the workload that it scales.
        scales: String,
    },
    /// The bounds are others than those that a plan was made for.
    #[error("the bounds are {found}, the plan was made for {expected}; plan again")]
    OtherBounds {
        /// The bounds that the plan starts from.
        expected: Bounds,
        /// The bounds in the folder.
        found: Bounds,
    },
    /// It is no folder.
    #[error("{} is no folder", .path.display())]
    NoFolder {
        /// The path.
        path: PathBuf,
    },
    /// It lies outside of the folder of manifests, or a symbolic link leads there.
    #[error("{} is outside of {}", .path.display(), .root.display())]
    Outside {
        /// The path.
        path: PathBuf,
        /// The folder of manifests.
        root: PathBuf,
    },
    /// A file or folder cannot be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// Cause.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// A manifest cannot be read or changed.
    #[error("{}: {source}", .path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: ManifestError,
    },
    /// The HPA stands in several places.
    #[error("the HPA stands in several places: {}", listed(.paths))]
    Several {
        /// The files.
        paths: Vec<PathBuf>,
    },
    /// Kustomize patches of the HPA are in the folder, and it was not said which of them counts.
    #[error("kustomize patches change the HPA, and it was not said which overlay counts: {}", listed(.paths))]
    Patches {
        /// The files.
        paths: Vec<PathBuf>,
    },
    /// The overlay changes bounds by a patch within its kustomization, or by a JSON patch: those would win over ours.
    #[error("{} changes minReplicas or maxReplicas by a patch of its own; make it a file with a strategic-merge patch", .path.display())]
    OtherPatch {
        /// The file.
        path: PathBuf,
    },
    /// An overlay has no kustomization.
    #[error("{} has no kustomization.yaml", .path.display())]
    NoKustomization {
        /// The overlay.
        path: PathBuf,
    },
    /// There is more in the folder than is looked at.
    #[error("there are more than {limit} files, or overlays on top of each other, beneath {}", .path.display())]
    TooMany {
        /// The folder of manifests.
        path: PathBuf,
        /// Files or overlays that are looked at, at most.
        limit: usize,
    },
    /// A file is larger than any manifest.
    #[error("{} is larger than {limit} bytes", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Largest file that is read, in bytes.
        limit: u64,
    },
    /// A file that no kustomization lists has the name of ours, and would bring more into force than bounds.
    #[error("{} is of another content than bounds of the HPA, and no kustomization lists it; move it away", .path.display())]
    Taken {
        /// The file.
        path: PathBuf,
    },
    /// A file was changed by somebody else while it was edited.
    #[error("{} was changed by somebody else in between", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
}

fn unread_too(unread: &[(PathBuf, String)]) -> String {
    if unread.is_empty() {
        return String::new();
    }
    let each: Vec<_> = unread.iter().map(|(path, why)| format!("{}: {why}", path.display())).collect();
    format!("; with an HPA that could not be read: {}", each.join("; "))
}

fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// The error of an applier. `written` says that a file was replaced before: then the change may be in force, or half of it.
pub(super) fn failed(target: &Target, error: FolderError, written: bool) -> ApplyError {
    let target = target.clone();
    match error {
        error if written => {
            let transient = matches!(error, FolderError::Io { .. } | FolderError::Changed { .. });
            ApplyError::Backend { target, transient, source: Box::new(error) }
        }
        FolderError::NotFound { .. } => ApplyError::NotFound { target },
        FolderError::OtherBounds { expected, found } => ApplyError::Changed { target, expected, found },
        FolderError::Io { .. } | FolderError::Changed { .. } => {
            let transient = matches!(error, FolderError::Changed { .. });
            ApplyError::Unapplied { target, transient, source: Box::new(error) }
        }
        other => ApplyError::Refused { target, detail: other.to_string(), denied: false },
    }
}
