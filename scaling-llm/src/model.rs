//! The trait [`ChatModel`]: text in, text out. Its HTTP back ends are behind the feature `client`.

#[cfg(feature = "client")]
mod anthropic;
#[cfg(feature = "client")]
mod backend;
#[cfg(feature = "client")]
mod environment;
#[cfg(feature = "client")]
mod failure;
#[cfg(feature = "client")]
mod format;
#[cfg(feature = "client")]
mod openai;
#[cfg(feature = "client")]
mod setup;

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

#[cfg(feature = "client")]
pub use {
    anthropic::{AnthropicConfig, AnthropicModel, Effort},
    backend::ApiKey,
    environment::{Environment, model_from_env},
    format::AnswerFormat,
    openai::{OpenAiConfig, OpenAiModel, TokenLimit},
    setup::SetupError,
};

/// A language model that answers one question at a time.
///
/// **Given:** a constant system text and the question. **Promised:** a complete answer as the model gave it, nothing repaired; an
/// answer that was cut off or withheld is an error. Deadlines are the caller's: the future may be dropped at any await.
///
/// ```
/// use async_trait::async_trait;
/// use scaling_llm::{ChatModel, Completion, ModelError};
///
/// /// Holds at every question.
/// struct Hold;
///
/// #[async_trait]
/// impl ChatModel for Hold {
///     async fn complete(&self, _system: &str, _user: &str) -> Result<Completion, ModelError> {
///         Ok(Completion::text(
///             r#"{"assessment":"fine","action":"hold","target_replicas":1,"confidence_percent":100}"#,
///         ))
///     }
/// }
/// ```
#[async_trait]
pub trait ChatModel: Send + Sync {
    /// Identity of the model that answers. Default: unknown, empty in both fields.
    fn id(&self) -> ModelId {
        ModelId::default()
    }

    /// Asks the model once.
    ///
    /// # Errors
    /// [`ModelError`] if there is no complete answer.
    async fn complete(&self, system: &str, user: &str) -> Result<Completion, ModelError>;
}

#[async_trait]
impl<T: ChatModel + ?Sized> ChatModel for Box<T> {
    fn id(&self) -> ModelId {
        (**self).id()
    }

    async fn complete(&self, system: &str, user: &str) -> Result<Completion, ModelError> {
        (**self).complete(system, user).await
    }
}

#[async_trait]
impl<T: ChatModel + ?Sized> ChatModel for Arc<T> {
    fn id(&self) -> ModelId {
        (**self).id()
    }

    async fn complete(&self, system: &str, user: &str) -> Result<Completion, ModelError> {
        (**self).complete(system, user).await
    }
}

/// Identity of a model: part of what an answer is kept under, the key of its price, and what traces and metrics name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelId {
    /// Provider as OpenTelemetry names it (`gen_ai.provider.name`): `anthropic`, `openai`, `azure.ai.openai`, …
    pub provider: String,
    /// Name of the model as it is asked for (`gen_ai.request.model`).
    pub model: String,
}

impl ModelId {
    /// Creates an identity.
    pub fn new(provider: impl Into<String>, model: impl Into<String>) -> Self {
        Self { provider: provider.into(), model: model.into() }
    }
}

/// A complete answer of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Completion {
    /// Text of the answer, as the model gave it.
    pub text: String,
    /// Tokens that the question and its answer took.
    #[serde(default)]
    pub usage: Usage,
    /// The request's id at the provider, to ask its support with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Name of the model that answered, as the server gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

impl Completion {
    /// Creates an answer without counts of tokens.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

/// Tokens of one question and its answer; 0 where the server does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Tokens of the question, those read from and written to a cache of the provider included.
    pub input_tokens: u64,
    /// Tokens of the answer, thinking included.
    pub output_tokens: u64,
    /// Of [`input_tokens`](Self::input_tokens), those that were read from the provider's cache.
    #[serde(default)]
    pub cache_read_tokens: u64,
    /// Of [`input_tokens`](Self::input_tokens), those that were written to it.
    #[serde(default)]
    pub cache_write_tokens: u64,
}

impl std::ops::AddAssign for Usage {
    /// Adds, as far as the numbers go: a server may say anything.
    fn add_assign(&mut self, other: Self) {
        let Self { input_tokens, output_tokens, cache_read_tokens, cache_write_tokens } = other;
        let sums = [
            (&mut self.input_tokens, input_tokens),
            (&mut self.output_tokens, output_tokens),
            (&mut self.cache_read_tokens, cache_read_tokens),
            (&mut self.cache_write_tokens, cache_write_tokens),
        ];
        for (sum, tokens) in sums {
            *sum = sum.saturating_add(tokens);
        }
    }
}

/// Failure to answer a question. A transcript records and replays it like an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum ModelError {
    /// The server could not be reached, is overloaded or failed: asking again later can help.
    #[error("the model is unavailable: {0}")]
    Unavailable(String),
    /// The server will not answer this question: the request is wrong or too large.
    #[error("the request was rejected: {0}")]
    Rejected(String),
    /// The server will not answer this caller: key, account, permission or name of the model are wrong.
    #[error("the caller was denied: {0}")]
    Denied(String),
    /// The account's money or quota is spent. It lasts until somebody changes it or a month ends.
    #[error("the account is spent: {0}")]
    Spent(String),
    /// The model or a filter before it declined.
    #[error("the model declined to answer")]
    Refused,
    /// The answer was cut off.
    #[error("the answer was cut off")]
    Truncated,
    /// There was no answer within the deadline.
    #[error("no answer in time")]
    Late,
    /// The prompt is not in the transcript that is replayed.
    #[error("the prompt is not in the transcript")]
    NotRecorded,
}

impl ModelError {
    /// Returns true if asking again later can help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Late)
    }

    /// Returns true if every later question will fail alike until a person has done something.
    pub fn is_lasting(&self) -> bool {
        matches!(self, Self::Denied(_) | Self::Spent(_))
    }
}
