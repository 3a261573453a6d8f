//! [`ReplayModel`]: a model that answers from a transcript.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::{Answer, Transcript};
use crate::{ChatModel, Completion, ModelError, ModelId};

/// A model that answers from a transcript, by the exact prompt.
///
/// A prompt that was asked several times gets its answers in their order, and then the last one again; one that is not in the
/// transcript is [`ModelError::NotRecorded`]. It says to be the model that was recorded, so that prices and traces are as they were.
#[derive(Debug)]
pub struct ReplayModel {
    id: ModelId,
    answers: Mutex<BTreeMap<(String, String), VecDeque<Answer>>>,
}

impl ReplayModel {
    /// Creates a model that repeats the answers of a transcript.
    pub fn new(transcript: Transcript) -> Self {
        let id = transcript.model();
        let mut answers: BTreeMap<_, VecDeque<Answer>> = BTreeMap::new();
        for exchange in transcript.exchanges {
            answers.entry((exchange.system, exchange.user)).or_default().push_back(exchange.answer);
        }
        Self { id, answers: Mutex::new(answers) }
    }
}

#[async_trait]
impl ChatModel for ReplayModel {
    fn id(&self) -> ModelId {
        self.id.clone()
    }

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
