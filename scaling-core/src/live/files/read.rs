//! Reading records back: [`entries`].

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::record::DecisionRecord;

/// Longest line that is read: the settings of ten thousand workloads are shorter.
const LONGEST: u64 = 16 << 20;

const BEGIN: &str = "records.";
const END: &str = ".jsonl";

/// One line of a file of records.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Entry {
    /// The record of a tick.
    Record(Box<DecisionRecord>),
    /// The intent of a write, whose record follows unless the process was killed in between: for
    /// [`ChangeLog::replay_intent`](crate::ChangeLog::replay_intent).
    Intent(Box<DecisionRecord>),
    /// What the records that follow depend on ([`RecordFiles::with_header`](super::RecordFiles::with_header)).
    Header(serde_json::Value),
    /// A line that is neither, and was skipped: torn by a crash, or damaged since.
    Bad(BadLine),
}

/// A line that was skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadLine {
    /// The file.
    pub file: PathBuf,
    /// Number of the line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: line {}, which was skipped: {}", self.file.display(), self.line, self.why)
    }
}

/// Reads the lines of a file of records, or of all of a folder, oldest first. No more than one line is in memory.
///
/// # Errors
/// The error of the file system, if there is no such file or folder. What fails later is an [`Entry::Bad`].
pub fn entries(path: impl AsRef<Path>) -> io::Result<Entries> {
    let path = path.as_ref();
    let files = if fs::metadata(path)?.is_dir() {
        numbered(path)?.into_iter().map(|(_, path)| path).collect()
    } else {
        vec![path.to_owned()]
    };
    Ok(Entries { files: files.into_iter(), present: None })
}

/// Lines of files of records, in order. See [`entries`].
#[derive(Debug)]
pub struct Entries {
    files: std::vec::IntoIter<PathBuf>,
    present: Option<Lines>,
}

#[derive(Debug)]
struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    line: usize,
}

impl Iterator for Entries {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            let Some(lines) = &mut self.present else {
                let path = self.files.next()?;
                match File::open(&path) {
                    Ok(file) => self.present = Some(Lines { path, reader: BufReader::new(file), line: 0 }),
                    Err(error) => return Some(Entry::Bad(BadLine { file: path, line: 0, why: error.to_string() })),
                }
                continue;
            };
            match lines.next() {
                Ok(Some(entry)) => return Some(entry),
                Ok(None) => self.present = None,
                Err(error) => {
                    let bad = lines.bad(&error);
                    self.present = None;
                    return Some(bad);
                }
            }
        }
    }
}

impl Lines {
    fn next(&mut self) -> io::Result<Option<Entry>> {
        let mut line = Vec::new();
        loop {
            line.clear();
            self.line += 1;
            if (&mut self.reader).take(LONGEST).read_until(b'\n', &mut line)? == 0 {
                return Ok(None);
            }
            if line.len() as u64 == LONGEST && !line.ends_with(b"\n") {
                self.reader.skip_until(b'\n')?;
                return Ok(Some(self.bad(&format_args!("it has more than {} MiB", LONGEST >> 20))));
            }
            if !line.trim_ascii().is_empty() {
                return Ok(Some(self.entry(&line)));
            }
        }
    }

    fn entry(&self, line: &[u8]) -> Entry {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Headed {
            header: serde_json::Value,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Intended {
            intent: Box<DecisionRecord>,
        }
        let read = if line.starts_with(b"{\"header\":") {
            serde_json::from_slice(line).map(|Headed { header }| Entry::Header(header))
        } else if line.starts_with(b"{\"intent\":") {
            serde_json::from_slice(line).map(|Intended { intent }| Entry::Intent(intent))
        } else {
            serde_json::from_slice(line).map(|record| Entry::Record(Box::new(record)))
        };
        match read {
            Ok(entry) => entry,
            Err(error) if !line.ends_with(b"\n") => self.bad(&format_args!("torn by a crash ({error})")),
            Err(error) => self.bad(&error),
        }
    }

    fn bad(&self, why: &dyn fmt::Display) -> Entry {
        Entry::Bad(BadLine { file: self.path.clone(), line: self.line, why: why.to_string() })
    }
}

pub(super) fn name(number: u64) -> String {
    format!("{BEGIN}{number:08}{END}")
}

/// The files of a folder, oldest first. Their number tells, since clocks jump.
pub(super) fn numbered(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(BEGIN)?.strip_suffix(END)?.parse().ok());
        files.extend(number.map(|number| (number, entry.path())));
    }
    files.sort_unstable();
    Ok(files)
}

/// Returns whether a file ends within a line.
pub(super) fn is_torn(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}
