//! A transcript in a file: a line of JSON for each exchange, written when its answer is there.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::{Exchange, TranscriptError};

/// Bytes that are read at once to find where the last line begins.
const CHUNK: u64 = 64 * 1024;

/// A file that exchanges are appended to.
#[derive(Debug)]
pub(super) struct TranscriptFile {
    file: File,
    path: PathBuf,
    /// Length of all whole lines.
    length: u64,
    /// True once a line could not be written and the file not be mended.
    is_broken: bool,
}

impl TranscriptFile {
    /// Opens or creates a file. Half a line at its end, from a process that was killed while it wrote, is cut off, and the log says so:
    /// the next line would become part of it.
    pub(super) fn append(path: &Path) -> Result<Self, TranscriptError> {
        Self::open(path).map_err(|source| TranscriptError::File { path: path.to_owned(), source })
    }

    fn open(path: &Path) -> std::io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let length = file.metadata()?.len();
        let start = start_of_last_line(&mut file, length)?;
        let mut length = length;
        if start < length {
            let mut last = Vec::new();
            file.seek(SeekFrom::Start(start))?;
            file.read_to_end(&mut last)?;
            if serde_json::from_slice::<Exchange>(&last).is_ok() {
                file.write_all(b"\n")?;
                length += 1;
            } else {
                tracing::warn!(path = %path.display(), bytes = last.len(), "half a line at the end of a transcript is cut off");
                file.set_len(start)?;
                length = start;
            }
        }
        Ok(Self { file, path: path.to_owned(), length, is_broken: false })
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Appends a line with its end; false if it could not be written.
    pub(super) fn write(&mut self, line: &str) -> bool {
        if self.is_broken {
            return false;
        }
        match self.file.write_all(line.as_bytes()).and_then(|()| self.file.flush()) {
            Ok(()) => {
                self.length += line.len() as u64;
                true
            }
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "an exchange is missing from the transcript");
                // What was written of the line would spoil the next one.
                self.is_broken = self.file.set_len(self.length).is_err();
                false
            }
        }
    }
}

/// Place behind the last line end.
fn start_of_last_line(file: &mut File, length: u64) -> std::io::Result<u64> {
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(CHUNK);
        file.seek(SeekFrom::Start(start))?;
        let mut chunk = Vec::new();
        file.take(end - start).read_to_end(&mut chunk)?;
        if let Some(place) = chunk.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + place as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}
