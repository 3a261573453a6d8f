//! Records in files that rotate: [`RecordFiles`], and [`entries`] to read them back.

mod read;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

pub use read::{BadLine, Entries, Entry, entries};

use crate::record::{DecisionRecord, RecordError, Recorder};

const LOCK: &str = "records.lock";

/// When a file of records is full, and how many are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rotation {
    /// Size from which on the next record begins a new file, in bytes. A single record that is larger is kept all the same. Default:
    /// 64 MiB.
    pub max_bytes: u64,
    /// Time that one file covers at most, by the instants of its records. Default: a day.
    pub max_age: Duration,
    /// Files that are kept, the present one included, at least one; the oldest are deleted. Default: 16. All together bound the
    /// time that a restart reads: about five seconds for a GiB.
    pub files: usize,
    /// Whether a flush waits for the disk (`fdatasync`, some milliseconds), so that records outlive the machine and not the process
    /// alone. Default: true.
    pub sync: bool,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { max_bytes: 64 << 20, max_age: Duration::from_secs(86_400), files: 16, sync: true }
    }
}

/// Keeps records as lines of JSON, in files of a folder that rotate by size and age: `records.00000001.jsonl` and so on.
///
/// Each record is given to the operating system as one whole line before [`record`](Recorder::record) returns, so that it outlives
/// the process, and is on the disk after the next [`flush`](Recorder::flush), so that it outlives the machine, unless that is
/// [not wanted](Rotation::sync): a [`Loop`](super::Loop) flushes once a tick. After a crash the last line may be torn. It is ended and left, and told when it is
/// [read](entries).
///
/// The intent of a write is a line of its own, which is on the disk before the write is sent: a process that is killed between the write and
/// its record leaves that line, and the next run knows that what it finds may be its own.
///
/// One process at a time writes into a folder; a second one is refused.
///
/// ```
/// use scaling_core::live::{Entry, RecordFiles, Rotation, entries};
/// use scaling_core::{ApplyMode, ChangeLog, DecisionRecord, Recorder, Target};
///
/// # let temporary = tempfile::tempdir()?;
/// # let folder = temporary.path();
/// let files = RecordFiles::open(folder, Rotation::default())?;
/// let record = DecisionRecord::new(Target::deployment("shop", "checkout"), Default::default(), ApplyMode::Plan);
/// files.record(&record)?;
/// files.flush()?;
///
/// // After a restart.
/// let mut log = ChangeLog::new();
/// for entry in entries(folder)? {
///     match entry {
///         Entry::Record(record) => log.replay(&record),
///         Entry::Intent(record) => log.replay_intent(&record),
///         Entry::Bad(line) => eprintln!("{line}"),
///         _ => {}
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RecordFiles {
    folder: PathBuf,
    rotation: Rotation,
    /// First line of each file, with its end; empty if there is none.
    header: Vec<u8>,
    present: Mutex<Present>,
    /// Held as long as this lives.
    _lock: File,
}

/// Steps before the first record of a file, each done once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Begun {
    Not,
    /// Its header is in it.
    Headed,
    /// It is certain that a crash does not lose its name, and the oldest files are deleted.
    Wholly,
}

/// The file that is written to.
#[derive(Debug)]
struct Present {
    number: u64,
    /// None before the first record of a new file.
    file: Option<File>,
    begun: Begun,
    bytes: u64,
    /// Instant of its first record.
    began: Option<DateTime<Utc>>,
    /// True if the last line may have been written in part.
    torn: bool,
    /// True if something is not certainly on the disk.
    unsynced: bool,
}

impl RecordFiles {
    /// Opens a folder, which is made where there is none, and goes on after the newest record in it.
    ///
    /// # Errors
    /// The error of the file system; [`io::ErrorKind::WouldBlock`] if another process writes there.
    pub fn open(folder: impl Into<PathBuf>, rotation: Rotation) -> io::Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join(LOCK))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                let why = format!("{}: another process writes records there", folder.display());
                io::Error::new(io::ErrorKind::WouldBlock, why)
            }
            TryLockError::Error(error) => error,
        })?;
        let present = match read::numbered(&folder)?.pop() {
            Some((number, path)) => Present::at_the_end_of(number, &path)?,
            None => Present::new(1),
        };
        let present = Mutex::new(present);
        Ok(Self { folder, rotation, header: Vec::new(), present, _lock: lock })
    }

    /// Begins each file, and this run, with a line that says what the records depend on besides what is in them, for
    /// [`Entry::Header`].
    ///
    /// # Errors
    /// [`RecordError`] if it cannot be serialized or written.
    pub fn with_header(mut self, header: &impl Serialize) -> Result<Self, RecordError> {
        #[derive(Serialize)]
        struct Headed<'a, H> {
            header: &'a H,
        }
        self.header = line(&Headed { header })?;
        let mut present = self.present();
        if present.file.is_some() {
            present.write(&self.header)?;
        }
        drop(present);
        Ok(self)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(read::name(number))
    }

    fn present(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_full(&self, present: &Present, line: &[u8], at: DateTime<Utc>) -> bool {
        let Some(began) = present.began else { return false };
        let longest = TimeDelta::from_std(self.rotation.max_age).unwrap_or(TimeDelta::MAX);
        // In both directions: a clock that was set back must not make a file last for ever.
        at.signed_duration_since(began).abs() >= longest || present.bytes + line.len() as u64 > self.rotation.max_bytes
    }

    /// Makes the file of this number, and deletes the oldest. What has failed of it is done the next time, before any record.
    fn begin(&self, present: &mut Present, sync: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
        if present.file.is_none() {
            let file = OpenOptions::new().create_new(true).append(true).open(self.path(present.number))?;
            (present.file, present.bytes, present.torn) = (Some(file), 0, false);
        }
        if present.begun < Begun::Headed {
            present.write(&self.header)?;
            present.begun = Begun::Headed;
        }
        // The name of a new file is on the disk once its folder is.
        if self.rotation.sync {
            sync(&self.folder)?;
        }
        present.begun = Begun::Wholly;
        let files = read::numbered(&self.folder)?;
        let beyond = files.len().saturating_sub(self.rotation.files.max(1));
        for (_, path) in files.iter().take(beyond) {
            if let Err(error) = fs::remove_file(path) {
                tracing::warn!(path = %path.display(), %error, "an old file of records was not deleted");
            }
        }
        Ok(())
    }

    /// Writes a line of some instant into the present file, or into a new one.
    fn put(&self, line: &[u8], at: DateTime<Utc>) -> io::Result<MutexGuard<'_, Present>> {
        let mut present = self.present();
        if self.is_full(&present, line, at) {
            if self.rotation.sync {
                present.sync()?;
            }
            *present = Present::new(present.number + 1);
        }
        if present.begun < Begun::Wholly {
            self.begin(&mut present, sync_folder)?;
        }
        present.began.get_or_insert(at);
        present.write(line)?;
        Ok(present)
    }
}

impl Recorder for RecordFiles {
    fn record(&self, record: &DecisionRecord) -> Result<(), RecordError> {
        drop(self.put(&line(record)?, record.at)?);
        Ok(())
    }

    fn intend(&self, record: &DecisionRecord) -> Result<(), RecordError> {
        #[derive(Serialize)]
        struct Intended<'a> {
            intent: &'a DecisionRecord,
        }
        let mut present = self.put(&line(&Intended { intent: record })?, record.at)?;
        // Before the write is sent: the HPA outlives this machine, and so must what we know of it.
        if self.rotation.sync { Ok(present.sync()?) } else { Ok(()) }
    }

    fn flush(&self) -> Result<(), RecordError> {
        if self.rotation.sync { Ok(self.present().sync()?) } else { Ok(()) }
    }
}

impl Present {
    fn new(number: u64) -> Self {
        Self { number, file: None, begun: Begun::Not, bytes: 0, began: None, torn: false, unsynced: false }
    }

    fn at_the_end_of(number: u64, path: &Path) -> io::Result<Self> {
        let torn = read::is_torn(path)?;
        let began = entries(path)?.find_map(|entry| match entry {
            Entry::Record(record) | Entry::Intent(record) => Some(record.at),
            _ => None,
        });
        let file = OpenOptions::new().append(true).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { file: Some(file), begun: Begun::Wholly, bytes, began, torn, ..Self::new(number) })
    }

    /// Writes a whole line, after the end of one that failed half-way, so that it spoils only itself.
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        if line.is_empty() {
            return Ok(());
        }
        if self.torn {
            file.write_all(b"\n")?;
            self.bytes += 1;
        }
        (self.torn, self.unsynced) = (true, true);
        file.write_all(line)?;
        self.torn = false;
        self.bytes += line.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if let Some(file) = self.file.as_ref().filter(|_| self.unsynced) {
            file.sync_data()?;
            self.unsynced = false;
        }
        Ok(())
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn line(value: &impl Serialize) -> Result<Vec<u8>, RecordError> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::state::ApplyMode;
    use crate::target::Target;

    #[test]
    fn a_file_has_its_header_although_the_disk_failed_when_it_was_made() {
        let temporary = tempfile::tempdir().unwrap();
        let files = RecordFiles::open(temporary.path(), Rotation::default()).unwrap().with_header(&"rules").unwrap();
        let failed = files.begin(&mut files.present(), |_| Err(io::Error::other("the disk is gone")));
        assert_eq!(failed.unwrap_err().to_string(), "the disk is gone");
        let record = DecisionRecord::new(Target::deployment("shop", "web"), DateTime::UNIX_EPOCH, ApplyMode::Apply);
        files.record(&record).unwrap();
        let read: Vec<Entry> = entries(temporary.path()).unwrap().collect();
        let [Entry::Header(header), Entry::Record(kept)] = read.as_slice() else { panic!("{read:?}") };
        assert_eq!((header, &**kept), (&serde_json::json!("rules"), &record));
    }
}
