//! Finding, reading and replacing files beneath one folder.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{FileChange, FolderError};
use crate::manifest::KIND;

/// Files and folders that are looked at, at most.
const MAX_FILES: usize = 100_000;
/// Deepest folder that is looked into.
const MAX_DEPTH: usize = 32;
/// Largest file that is read, in bytes.
const MAX_BYTES: u64 = 32 << 20;

/// A file of manifests.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

fn io(path: &Path, error: io::Error) -> FolderError {
    FolderError::Io { path: path.to_owned(), source: Arc::new(error) }
}

/// The true path of a folder.
pub(super) fn folder(path: &Path) -> Result<PathBuf, FolderError> {
    let real = fs::canonicalize(path).map_err(|error| io(path, error))?;
    if real.is_dir() { Ok(real) } else { Err(FolderError::NoFolder { path: real }) }
}

pub(super) fn inside(root: &Path, path: &Path) -> Result<(), FolderError> {
    if path.starts_with(root) {
        return Ok(());
    }
    Err(FolderError::Outside { path: path.to_owned(), root: root.to_owned() })
}

/// A file as text, unless it is larger than any manifest.
pub(super) fn read(path: &Path) -> Result<String, FolderError> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| io(path, error))?;
    // What is read is bounded, whatever the size was a moment ago.
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| io(path, error))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(FolderError::TooLarge { path: path.to_owned(), limit: MAX_BYTES });
    }
    Ok(text)
}

/// A file that another one refers to; none if there is none. One that is elsewhere is not read, links included.
pub(super) fn within(root: &Path, path: &Path) -> Result<Option<Found>, FolderError> {
    let outside = || FolderError::Outside { path: path.to_owned(), root: root.to_owned() };
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(outside()) };
    let parent = match fs::canonicalize(parent) {
        Ok(parent) => parent,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(path, error)),
    };
    inside(root, &parent)?;
    let path = parent.join(name);
    match path.symlink_metadata() {
        Ok(data) if data.is_file() => read(&path).map(|text| Some(Found { path, text })),
        Ok(data) if data.is_symlink() => Err(outside()),
        _ => Ok(None),
    }
}

/// The files beneath a folder that may hold an HPA of this name, in the order of their paths. Links and hidden folders are passed over,
/// and so are files that are no text.
pub(super) fn with(root: &Path, name: &str) -> Result<Vec<Found>, FolderError> {
    let (mut found, mut seen) = (Vec::new(), 0);
    let mut open = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = open.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| io(&folder, error))? {
            let entry = entry.map_err(|error| io(&folder, error))?;
            seen += 1;
            if seen > MAX_FILES {
                return Err(FolderError::TooMany { path: root.to_owned(), limit: MAX_FILES });
            }
            let path = entry.path();
            // That of the entry itself, not of what a link leads to.
            let data = entry.metadata().map_err(|error| io(&path, error))?;
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            let manifest = path.extension().is_some_and(|kind| kind == "yaml" || kind == "yml" || kind == "json");
            if data.is_dir() && !hidden && depth < MAX_DEPTH {
                open.push((path, depth + 1));
            } else if data.is_file() && manifest && data.len() <= MAX_BYTES {
                match read(&path) {
                    Ok(text) if text.contains(KIND) && text.contains(name) => found.push(Found { path, text }),
                    Ok(_) => {}
                    Err(FolderError::Io { source, .. }) if source.kind() == io::ErrorKind::InvalidData => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

/// Replaces a file as a whole, if it is still what was read and within the folder.
pub(super) fn replace(root: &Path, change: &FileChange) -> Result<(), FolderError> {
    let FileChange { path, before, after } = change;
    let failed = |error| io(path, error);
    let parent = path.parent().unwrap_or(root);
    inside(root, &folder(parent)?)?;
    let mut new = tempfile::Builder::new().prefix(".").suffix(".tmp").tempfile_in(parent).map_err(failed)?;
    new.write_all(after.as_bytes()).map_err(failed)?;
    if let Some(before) = before {
        let data = fs::symlink_metadata(path).map_err(failed)?;
        if !data.is_file() {
            return Err(FolderError::Outside { path: path.clone(), root: root.to_owned() });
        }
        fs::set_permissions(new.path(), data.permissions()).map_err(failed)?;
        new.as_file().sync_all().map_err(failed)?;
        if read(path)? != *before {
            return Err(FolderError::Changed { path: path.clone() });
        }
        new.persist(path).map_err(|error| failed(error.error))?;
    } else {
        readable(new.path()).map_err(failed)?;
        new.as_file().sync_all().map_err(failed)?;
        new.persist_noclobber(path).map_err(|error| failed(error.error))?;
    }
    Ok(())
}

/// A temporary file is for its owner alone; a manifest is for whoever reads the repository.
#[cfg(unix)]
fn readable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps)] // as on unix
fn readable(_: &Path) -> io::Result<()> {
    Ok(())
}
