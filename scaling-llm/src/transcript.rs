//! Record a model, and replay it: tests and backtests without a network, and decisions that repeat byte for byte.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{ChatModel, Completion, ModelError};

/// One question and what came of it.
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript(Vec<Exchange>);

/// A line that is no part of a transcript.
#[derive(Debug, thiserror::Error)]
#[error("line {line} of the transcript: {source}")]
pub struct TranscriptError {
    /// Which, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub source: serde_json::Error,
}

impl Transcript {
    /// How many questions.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One line of JSON for each question.
    pub fn to_json_lines(&self) -> String {
        // Text alone cannot fail to be written.
        let lines = self.0.iter().filter_map(|exchange| serde_json::to_string(exchange).ok());
        lines.flat_map(|line| [line, "\n".into()]).collect()
    }

    /// Reads what [`Transcript::to_json_lines`] wrote; empty lines are skipped.
    ///
    /// # Errors
    /// [`TranscriptError`] with the first line that is none.
    pub fn from_json_lines(text: &str) -> Result<Self, TranscriptError> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let read = |(nth, line)| serde_json::from_str(line).map_err(|source| TranscriptError { line: nth + 1, source });
        lines.map(read).collect::<Result<_, _>>().map(Self)
    }
}

/// Passes every question on to a model and remembers what it said. Put it in an `Arc` to hand it to an engine and still read
/// what it remembers.
///
/// A question whose asker gave up is remembered as late, and replayed so.
#[derive(Debug)]
pub struct RecordingModel<M> {
    inner: M,
    seen: Mutex<Transcript>,
}

impl<M: ChatModel> RecordingModel<M> {
    /// `inner`, recorded.
    pub fn new(inner: M) -> Self {
        Self { inner, seen: Mutex::default() }
    }

    /// What was said so far.
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

/// Answers from a transcript, by the exact prompt. A prompt that was asked several times gets its answers in their order, and
/// then the last one again; one that is not in the transcript is an error.
#[derive(Debug)]
pub struct ReplayModel {
    answers: Mutex<BTreeMap<(String, String), VecDeque<Answer>>>,
}

impl ReplayModel {
    /// A model that says what was said.
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
