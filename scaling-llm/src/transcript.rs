//! Recording a model and replaying it: tests and backtests without a network, and decisions that repeat byte for byte.

mod file;
mod recording;
mod replay;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Completion, ModelError, ModelId};
pub use recording::RecordingModel;
pub use replay::ReplayModel;

/// One question and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    /// Who was asked; left out where the model does not say.
    #[serde(default, skip_serializing_if = "is_unknown")]
    model: ModelId,
    system: String,
    user: String,
    answer: Answer,
}

fn is_unknown(model: &ModelId) -> bool {
    *model == ModelId::default()
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    /// With the request's id, the model that answered, and the tokens, as far as the server tells them.
    Completion(Completion),
    Error(ModelError),
}

impl Exchange {
    /// The exchange as a line with its end.
    fn line(&self) -> String {
        // Text alone cannot fail to be written.
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }
}

/// Questions and answers in the order in which the answers came. Written as JSON lines.
///
/// It holds what passes a [`ChatModel`](crate::ChatModel) and nothing else: no header, no address, no setting. Keys are in none of it as
/// long as no server repeats them in an answer; the back ends of this crate cut that out, and
/// [`RecordingModel::hiding`] does it for a model of the host.
///
/// ```
/// use scaling_llm::Transcript;
///
/// let line = r#"{"model":{"provider":"p","model":"m"},"system":"s","user":"u","answer":{"error":"refused"}}"#;
/// let transcript = Transcript::from_json_lines(line)?;
/// assert_eq!(transcript.len(), 1);
/// assert_eq!(transcript.to_json_lines().trim_end(), line);
/// # Ok::<(), scaling_llm::TranscriptError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript {
    exchanges: Vec<Exchange>,
    torn: Option<TornLine>,
}

/// Half a line at the end of a transcript, from a process that was killed while it wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TornLine {
    /// Number of the line, from 1.
    pub line: usize,
    /// Length of what is there, in bytes.
    pub bytes: usize,
}

/// A transcript that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TranscriptError {
    /// A line is not an exchange.
    #[error("line {line} of the transcript: {source}")]
    Line {
        /// Number of the line, from 1.
        line: usize,
        /// Fault of the line.
        source: serde_json::Error,
    },
    /// The file cannot be opened, read or written.
    #[error("transcript {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
}

impl Transcript {
    /// Number of questions.
    pub fn len(&self) -> usize {
        self.exchanges.len()
    }

    /// Returns true if there is no question.
    pub fn is_empty(&self) -> bool {
        self.exchanges.is_empty()
    }

    /// The model that every question was put to; unknown, empty in both fields, if there is none or there are several.
    pub fn model(&self) -> ModelId {
        let mut models = self.exchanges.iter().map(|exchange| &exchange.model);
        match models.next() {
            Some(first) if models.all(|model| model == first) => first.clone(),
            _ => ModelId::default(),
        }
    }

    /// The half line at the end of what was read, which is left out.
    pub fn torn(&self) -> Option<TornLine> {
        self.torn
    }

    /// Writes one line of JSON for each question.
    pub fn to_json_lines(&self) -> String {
        self.exchanges.iter().map(Exchange::line).collect()
    }

    /// Reads what [`Transcript::to_json_lines`] or a [`RecordingModel`] wrote; empty lines are skipped. A last line that has no end and
    /// is no exchange was being written: it is left out, the log says so, and [`torn`](Self::torn) tells where.
    ///
    /// # Errors
    /// [`TranscriptError::Line`] with the first other line that cannot be read.
    pub fn from_json_lines(text: &str) -> Result<Self, TranscriptError> {
        Self::from_bytes(text.as_bytes())
    }

    /// Reads a file, as [`from_json_lines`](Self::from_json_lines).
    ///
    /// # Errors
    /// [`TranscriptError`] if it cannot be read, or with its first faulty line.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, TranscriptError> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| TranscriptError::File { path: path.to_owned(), source })?;
        Self::from_bytes(&bytes)
    }

    /// By bytes: what is torn may end within a character.
    fn from_bytes(bytes: &[u8]) -> Result<Self, TranscriptError> {
        let mut transcript = Self::default();
        for (nth, piece) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let line = piece.trim_ascii();
            if line.is_empty() {
                continue;
            }
            match serde_json::from_slice(line) {
                Ok(exchange) => transcript.exchanges.push(exchange),
                Err(_) if !piece.ends_with(b"\n") => {
                    let torn = TornLine { line: nth + 1, bytes: piece.len() };
                    tracing::warn!(
                        line = torn.line,
                        bytes = torn.bytes,
                        "half a line at the end of a transcript is left out"
                    );
                    transcript.torn = Some(torn);
                }
                Err(source) => return Err(TranscriptError::Line { line: nth + 1, source }),
            }
        }
        Ok(transcript)
    }
}
