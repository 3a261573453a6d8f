//! [`RecordingModel`]: a model whose answers are written down.

use std::fmt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::file::TranscriptFile;
use super::{Answer, Exchange, Transcript, TranscriptError};
use crate::{ChatModel, Completion, ModelError, ModelId};

/// Text that stands where a secret stood.
const HIDDEN: &str = "[hidden]";

/// A model that passes every question on to another one and records the answers, in memory or in a file.
///
/// An `Arc` of it can be handed to an engine and read afterwards. A question whose asker gave up is recorded as
/// [late](ModelError::Late), and replayed so. In a file each exchange is a line, written as soon as its answer is there; a file that cannot
/// be written costs the record and never an answer.
///
/// ```no_run
/// use scaling_llm::{RecordingModel, ReplayModel, Transcript};
/// # let model = ReplayModel::new(Transcript::default());
/// let model = RecordingModel::to_file(model, "exchanges.jsonl")?.at_most(64 << 20);
/// # let _ = model;
/// # Ok::<(), scaling_llm::TranscriptError>(())
/// ```
#[derive(Debug)]
pub struct RecordingModel<M> {
    inner: M,
    hidden: Secrets,
    at_most: u64,
    /// Short locks, never held over an await.
    book: Mutex<Book>,
}

#[derive(Debug)]
struct Book {
    pages: Pages,
    omitted: u64,
}

#[derive(Debug)]
enum Pages {
    Memory { transcript: Transcript, bytes: u64 },
    File(TranscriptFile),
}

/// Text that must not be written down.
#[derive(Default)]
struct Secrets(Vec<String>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

impl<M: ChatModel> RecordingModel<M> {
    /// Creates a recorder of `inner` in memory.
    pub fn new(inner: M) -> Self {
        Self::with_pages(inner, Pages::Memory { transcript: Transcript::default(), bytes: 0 })
    }

    /// Creates a recorder of `inner` that appends to a file, which is created if it is not there. Half a line at its end, from a process
    /// that was killed while it wrote, is cut off, and the log says so.
    ///
    /// # Errors
    /// [`TranscriptError::File`] if it cannot be opened or mended.
    pub fn to_file(inner: M, path: impl AsRef<Path>) -> Result<Self, TranscriptError> {
        Ok(Self::with_pages(inner, Pages::File(TranscriptFile::append(path.as_ref())?)))
    }

    fn with_pages(inner: M, pages: Pages) -> Self {
        Self { inner, hidden: Secrets::default(), at_most: u64::MAX, book: Mutex::new(Book { pages, omitted: 0 }) }
    }

    /// Sets the largest size, in bytes of JSON lines, what a file holds already included. Exchanges that would pass it are left out, and
    /// [counted](Self::omitted). Default: no limit.
    #[must_use]
    pub fn at_most(mut self, bytes: u64) -> Self {
        self.at_most = bytes;
        self
    }

    /// Keeps a secret out of what is recorded, wherever a server repeats it. One of fewer than eight bytes is none, and is not looked for.
    /// The asker gets the same answer as without.
    #[must_use]
    pub fn hiding(mut self, secret: impl Into<String>) -> Self {
        self.hidden.0.extend(Some(secret.into()).filter(|secret| secret.len() >= 8));
        // A longer one first: it may contain a shorter one.
        self.hidden.0.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        self
    }

    /// The questions and answers so far, of a recorder in memory; that of one with a file is in the file.
    pub fn transcript(&self) -> Transcript {
        match &self.book().pages {
            Pages::Memory { transcript, .. } => transcript.clone(),
            Pages::File(_) => Transcript::default(),
        }
    }

    /// Exchanges that were left out: beyond the largest size, or not to be written.
    pub fn omitted(&self) -> u64 {
        self.book().omitted
    }
}

impl<M> RecordingModel<M> {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, exchange: Exchange) {
        let exchange = self.hidden.out_of(exchange);
        let line = exchange.line();
        let length = line.len() as u64;
        let mut book = self.book();
        let is_written = match &mut book.pages {
            Pages::Memory { bytes, .. } if bytes.saturating_add(length) > self.at_most => false,
            Pages::Memory { transcript, bytes } => {
                *bytes += length;
                transcript.exchanges.push(exchange);
                true
            }
            Pages::File(file) => file.length().saturating_add(length) <= self.at_most && file.write(&line),
        };
        if !is_written {
            book.omitted += 1;
            if book.omitted == 1 {
                tracing::warn!(at_most = self.at_most, "exchanges are left out of the transcript from now on");
            }
        }
    }
}

impl Secrets {
    fn out_of(&self, mut exchange: Exchange) -> Exchange {
        if self.0.is_empty() {
            return exchange;
        }
        let hide = |text: &mut String| {
            for secret in self.0.iter().filter(|secret| !secret.is_empty()) {
                if text.contains(&**secret) {
                    *text = text.replace(&**secret, HIDDEN);
                }
            }
        };
        let texts = [&mut exchange.model.provider, &mut exchange.model.model, &mut exchange.system, &mut exchange.user];
        texts.into_iter().for_each(hide);
        match &mut exchange.answer {
            Answer::Completion(completion) => {
                hide(&mut completion.text);
                completion.request_id.iter_mut().chain(&mut completion.model).for_each(hide);
            }
            Answer::Error(
                ModelError::Unavailable(text)
                | ModelError::Rejected(text)
                | ModelError::Denied(text)
                | ModelError::Spent(text),
            ) => hide(text),
            Answer::Error(ModelError::Refused | ModelError::Truncated | ModelError::Late | ModelError::NotRecorded) => {
            }
        }
        exchange
    }
}

/// Writes its exchange down when it goes, answered or given up.
struct Pending<'a, M> {
    recorder: &'a RecordingModel<M>,
    exchange: Option<Exchange>,
}

impl<M> Drop for Pending<'_, M> {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            self.recorder.record(exchange);
        }
    }
}

#[async_trait]
impl<M: ChatModel> ChatModel for RecordingModel<M> {
    fn id(&self) -> ModelId {
        self.inner.id()
    }

    async fn complete(&self, system: &str, user: &str) -> Result<Completion, ModelError> {
        let late = Exchange {
            model: self.id(),
            system: system.into(),
            user: user.into(),
            answer: Answer::Error(ModelError::Late),
        };
        let mut pending = Pending { recorder: self, exchange: Some(late) };
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
