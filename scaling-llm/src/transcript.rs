//! Recording a model and replaying it: tests and backtests without a network, and decisions that repeat byte for byte.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{ChatModel, Completion, ModelError, ModelId};

/// One question and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    system: String,
    user: String,
    answer: Answer,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Completion(Completion),
    Error(ModelError),
}

/// Questions and answers in the order in which the answers came. Written as JSON lines.
///
/// ```
/// use scaling_llm::Transcript;
///
/// let line = r#"{"system":"s","user":"u","answer":{"error":"refused"}}"#;
/// let transcript = Transcript::from_json_lines(line)?;
/// assert_eq!(transcript.len(), 1);
/// assert_eq!(transcript.to_json_lines().trim_end(), line);
/// # Ok::<(), scaling_llm::TranscriptError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript(Vec<Exchange>);

/// A line that cannot be read as part of a transcript.
#[derive(Debug, thiserror::Error)]
#[error("line {line} of the transcript: {source}")]
pub struct TranscriptError {
    /// Number of the line, from 1.
    pub line: usize,
    /// Fault of the line.
    pub source: serde_json::Error,
}

impl Transcript {
    /// Number of questions.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if there is no question.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes one line of JSON for each question.
    pub fn to_json_lines(&self) -> String {
        // Text alone cannot fail to be written.
        let lines = self.0.iter().filter_map(|exchange| serde_json::to_string(exchange).ok());
        lines.flat_map(|line| [line, "\n".into()]).collect()
    }

    /// Reads what [`Transcript::to_json_lines`] wrote; empty lines are skipped.
    ///
    /// # Errors
    /// [`TranscriptError`] with the first line that cannot be read.
    pub fn from_json_lines(text: &str) -> Result<Self, TranscriptError> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let read = |(nth, line)| serde_json::from_str(line).map_err(|source| TranscriptError { line: nth + 1, source });
        lines.map(read).collect::<Result<_, _>>().map(Self)
    }
}

/// A model that passes every question on to another one and records the answers.
///
/// An `Arc` of it can be handed to an engine and read afterwards. A question whose asker gave up is recorded as
/// [late](ModelError::Late), and replayed so.
#[derive(Debug)]
pub struct RecordingModel<M> {
    inner: M,
    seen: Mutex<Transcript>,
}

impl<M: ChatModel> RecordingModel<M> {
    /// Creates a recorder of `inner`.
    pub fn new(inner: M) -> Self {
        Self { inner, seen: Mutex::default() }
    }

    /// The questions and answers so far.
    pub fn transcript(&self) -> Transcript {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Writes its exchange down when it goes, answered or given up.
struct Pending<'a> {
    seen: &'a Mutex<Transcript>,
    exchange: Option<Exchange>,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).0.push(exchange);
        }
    }
}

#[async_trait]
impl<M: ChatModel> ChatModel for RecordingModel<M> {
    fn id(&self) -> ModelId {
        self.inner.id()
    }

    async fn complete(&self, system: &str, user: &str) -> Result<Completion, ModelError> {
        let late = Exchange { system: system.into(), user: user.into(), answer: Answer::Error(ModelError::Late) };
        let mut pending = Pending { seen: &self.seen, exchange: Some(late) };
        let answer = self.inner.complete(system, user).await;
        if let Some(exchange) = &mut pending.exchange {
            exchange.answer = match &answer {
                Ok(completion) => Answer::Completion(completion.clone()),
                Err(error) => Answer::Error(error.clone()),
            };
        }
        answer
    }
}

/// A model that answers from a transcript, by the exact prompt.
///
/// A prompt that was asked several times gets its answers in their order, and then the last one again; one that is not in the
/// transcript is [`ModelError::NotRecorded`].
#[derive(Debug)]
pub struct ReplayModel {
    answers: Mutex<BTreeMap<(String, String), VecDeque<Answer>>>,
}

impl ReplayModel {
    /// Creates a model that repeats the answers of a transcript.
    pub fn new(transcript: Transcript) -> Self {
        let mut answers: BTreeMap<_, VecDeque<Answer>> = BTreeMap::new();
        for exchange in transcript.0 {
            answers.entry((exchange.system, exchange.user)).or_default().push_back(exchange.answer);
        }
        Self { answers: Mutex::new(answers) }
    }
}

#[async_trait]
impl ChatModel for ReplayModel {
    async fn complete(&self, system: &str, user: &str) -> Result<Completion, ModelError> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = answers.get_mut(&(system.to_owned(), user.to_owned())).ok_or(ModelError::NotRecorded)?;
        let next = if queue.len() > 1 { queue.pop_front() } else { queue.front().cloned() };
        match next {
            Some(Answer::Completion(completion)) => Ok(completion),
            Some(Answer::Error(error)) => Err(error),
            None => Err(ModelError::NotRecorded),
        }
    }
}
