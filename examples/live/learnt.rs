//! What the engine has learnt, in files over a restart: [`Learnt`].

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use scaling_core::{DecisionEngine, Target};
use scaling_schedule::{PredictiveEngine, Snapshot};
use serde::{Deserialize, Serialize};

use crate::{Failure, candidates};

/// Largest file that is read.
const LARGEST: u64 = 2 << 20;

/// The engine, and where what it learns is kept.
#[derive(Clone)]
pub(super) struct Learnt {
    /// None of an engine that learns nothing that could be kept.
    predictive: Option<Arc<PredictiveEngine>>,
    folder: Option<PathBuf>,
}

/// First line of each file: whose it is.
#[derive(Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
struct Whose {
    learnt_of: Target,
    engine: String,
}

impl Learnt {
    /// Makes the engine of this name.
    pub(super) fn engine(name: &str, folder: Option<&Path>) -> Result<(Box<dyn DecisionEngine>, Self), Failure> {
        let predictive = candidates::live_predictive(name)?.map(Arc::new);
        let engine: Box<dyn DecisionEngine> = match &predictive {
            Some(engine) => Box::new(Arc::clone(engine)),
            None => candidates::engine(name)?().map_err(Failure::input)?,
        };
        Ok((engine, Self { predictive, folder: folder.map(Path::to_owned) }))
    }

    /// Goes on from what was kept of each workload. Returns a line of each of which nothing can be used.
    pub(super) fn restore(&self, targets: &[Target], name: &str) -> Result<Vec<String>, Failure> {
        let (Some(engine), Some(folder)) = (&self.predictive, &self.folder) else { return Ok(Vec::new()) };
        fs::create_dir_all(folder).map_err(|error| Failure::failed(format!("{}: {error}", folder.display())))?;
        let mut told = Vec::new();
        for target in targets {
            let path = folder.join(file_name(target));
            let bytes = match read(&path) {
                Ok(Some(bytes)) => bytes,
                Ok(None) => continue,
                Err(error) => {
                    told.push(unusable(&path, &error));
                    continue;
                }
            };
            let whose = Whose { learnt_of: target.clone(), engine: name.to_owned() };
            let restored = match snapshot(&bytes, &whose) {
                Ok(snapshot) => engine.restore(target, &snapshot).map_err(|error| error.to_string()),
                Err(why) => Err(why.to_owned()),
            };
            told.extend(restored.err().map(|why| unusable(&path, &why)));
        }
        Ok(told)
    }

    /// Keeps what was learnt of each workload. A file is there whole or not at all.
    fn save(&self, targets: &[Target], name: &str) -> io::Result<()> {
        let (Some(engine), Some(folder)) = (&self.predictive, &self.folder) else { return Ok(()) };
        for target in targets {
            let Some(snapshot) = engine.snapshot(target) else { continue };
            let whose = Whose { learnt_of: target.clone(), engine: name.to_owned() };
            let mut bytes = serde_json::to_vec(&whose)?;
            bytes.push(b'\n');
            bytes.extend(snapshot.as_bytes());
            replace(&folder.join(file_name(target)), &bytes)?;
        }
        // The new names are on the disk once the folder is.
        File::open(folder)?.sync_all()
    }
}

/// Keeps what was learnt of the workloads of a loop, away from its ticks.
#[derive(Clone)]
pub(super) struct Keeping(Arc<Kept>);

struct Kept {
    learnt: Learnt,
    targets: Vec<Target>,
    engine: String,
    /// One at a time: two would write the same files.
    writing: Mutex<()>,
}

impl Keeping {
    pub(super) fn new(learnt: Learnt, targets: Vec<Target>, engine: String) -> Self {
        Self(Arc::new(Kept { learnt, targets, engine, writing: Mutex::default() }))
    }

    /// Writes the files, in a thread that may wait for a disk.
    pub(super) async fn keep(&self) -> io::Result<()> {
        let kept = Arc::clone(&self.0);
        let written = tokio::task::spawn_blocking(move || {
            let _one = kept.writing.lock().unwrap_or_else(PoisonError::into_inner);
            kept.learnt.save(&kept.targets, &kept.engine)
        });
        written.await?
    }
}

fn unusable(path: &Path, why: &dyn std::fmt::Display) -> String {
    format!("{}: {why}; it is learnt anew from the source's history", path.display())
}

/// Names of Kubernetes have neither `/` nor `_`.
fn file_name(target: &Target) -> String {
    let cluster = target.cluster.as_deref().unwrap_or_default();
    let name = format!("{cluster}_{}_{}_{}.learnt", target.namespace, target.kind, target.name);
    name.trim_start_matches('_').replace('/', "_")
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(file) if file.len() > LARGEST => Err(io::Error::other(format!("{} bytes are too many", file.len()))),
        Ok(_) => fs::read(path).map(Some),
    }
}

fn snapshot(bytes: &[u8], whose: &Whose) -> Result<Snapshot, &'static str> {
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or("it has no first line that says whose it is")?;
    let (first, rest) = bytes.split_at(end);
    let found: Whose = serde_json::from_slice(first).map_err(|_| "its first line does not say whose it is")?;
    if found != *whose {
        return Err("it is of another workload or engine");
    }
    Ok(Snapshot::from_bytes(rest.get(1..).unwrap_or_default()))
}

/// Puts a file in the place of another: written beside it, on the disk, then renamed.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(beside, path)
}
