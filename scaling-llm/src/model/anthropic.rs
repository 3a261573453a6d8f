//! The Messages API of Anthropic: [`AnthropicModel`].

mod answer;

use std::time::Duration;

use async_trait::async_trait;
use scaling_core::http::HttpConfig;
use serde::Serialize;
use serde_json::value::RawValue;

use super::backend::{ApiKey, Backend, Server};
use super::format::{AnswerFormat, NamedSchema};
use super::{ChatModel, Completion, ModelError, ModelId, SetupError};

/// Version of the API that is asked for, in the header `anthropic-version`.
const VERSION: &str = "2026-10-21";

/// Models that take no `effort`, by the beginning of their names.
const WITHOUT_EFFORT: [&str; 2] = ["claude-sonnet-4-5", "claude-haiku-4-5"];

/// Amount of thinking before an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Effort {
    /// Little: for many small decisions.
    Low,
    /// More.
    Medium,
    /// The default of most models.
    High,
    /// More than that.
    Xhigh,
    /// All it can.
    Max,
}

#[derive(Clone, Copy, Debug)]
enum EffortSetting {
    ByModel,
    Fixed(Option<Effort>),
}

/// Settings of an [`AnthropicModel`]. `Debug` shows no key.
#[derive(Clone, Debug)]
pub struct AnthropicConfig {
    server: Server,
    model: String,
    version: String,
    max_tokens: u32,
    effort: EffortSetting,
    format: AnswerFormat,
}

impl AnthropicConfig {
    /// Model that is asked if none is named: the one for high volume and low latency.
    pub const DEFAULT_MODEL: &str = "claude-haiku-5-5";

    /// Creates the settings of a key at Anthropic itself.
    pub fn new(key: ApiKey) -> Self {
        Self {
            server: Server::new("https://api.anthropic.com", key),
            model: Self::DEFAULT_MODEL.into(),
            version: VERSION.into(),
            max_tokens: 4096,
            effort: EffortSetting::ByModel,
            format: AnswerFormat::default(),
        }
    }

    /// Sets the model. Default [`DEFAULT_MODEL`](Self::DEFAULT_MODEL).
    #[must_use]
    pub fn model(mut self, name: impl Into<String>) -> Self {
        self.model = name.into();
        self
    }

    /// Sets the address of the server: a gateway, say. `/v1/messages` is appended, as far as it is not there. Default
    /// `https://api.anthropic.com`.
    #[must_use]
    pub fn base_url(mut self, address: impl Into<String>) -> Self {
        self.server.base = address.into();
        self
    }

    /// Sends the key in the header `x-api-key`, for gateways that want it there. By default it is sent as `Authorization: Bearer`, as
    /// the official SDKs do; never in both.
    #[must_use]
    pub fn x_api_key(mut self) -> Self {
        self.server.key_header = Some("x-api-key".into());
        self
    }

    /// Sets the version of the API. Default `2026-10-21`; gateways may know `2023-06-01` alone.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// Sets the most tokens of an answer, thinking included. Default 4096.
    #[must_use]
    pub fn max_tokens(mut self, tokens: u32) -> Self {
        self.max_tokens = tokens;
        self
    }

    /// Sets how much the model thinks; `None` leaves it to the model. By default [`Effort::Low`] where the model takes it.
    #[must_use]
    pub fn effort(mut self, effort: Option<Effort>) -> Self {
        self.effort = EffortSetting::Fixed(effort);
        self
    }

    /// Sets the form of the answer. Default [`AnswerFormat::Advice`].
    #[must_use]
    pub fn format(mut self, format: AnswerFormat) -> Self {
        self.format = format;
        self
    }

    /// Sets the time for an answer, over all attempts. Default 30 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.server.timeout(timeout);
        self
    }

    /// Adjusts the HTTP client: another certificate authority, a proxy, other retries.
    #[must_use]
    pub fn http(mut self, adjust: impl FnOnce(HttpConfig) -> HttpConfig) -> Self {
        self.server.http = adjust(self.server.http);
        self
    }
}

/// A model behind Anthropic's Messages API. It can be shared by many tasks.
///
/// | the server | the outcome |
/// | --- | --- |
/// | ends the turn | the text blocks of the answer; thinking and blocks of unknown types are left out |
/// | cuts the answer off (`max_tokens`, `model_context_window_exceeded`) | [`ModelError::Truncated`], even if it could be read |
/// | refuses | [`ModelError::Refused`] |
/// | pauses, calls a tool, ends for an unknown cause, sends something else | [`ModelError::Unavailable`] |
/// | 400, 413, 422 | [`ModelError::Rejected`] |
/// | 401 (after the key's file was read again), 403, 404 | [`ModelError::Denied`] |
/// | 402, or a code that says that money or quota is spent | [`ModelError::Spent`], after one request |
/// | 408, 409, 429, 5xx, 529, no connection, a broken one | [`ModelError::Unavailable`], after up to three requests within the time |
/// | redirects | [`ModelError::Denied`]; nothing is sent there |
/// | is silent, or slow | [`ModelError::Late`] |
///
/// After a `Retry-After` that lies beyond the time, nothing is sent until it is over, for 15 minutes at most.
///
/// ```no_run
/// use scaling_core::RuleBasedEngine;
/// use scaling_llm::{AnthropicConfig, AnthropicModel, ApiKey, LlmEngine};
///
/// let config = AnthropicConfig::new(ApiKey::file("/var/run/secrets/anthropic/key")).model("claude-haiku-5-5");
/// let engine = LlmEngine::new(AnthropicModel::new(config)?, RuleBasedEngine::default());
/// # let _ = engine;
/// # Ok::<(), scaling_llm::SetupError>(())
/// ```
#[derive(Debug)]
pub struct AnthropicModel {
    backend: Backend,
    model: String,
    max_tokens: u32,
    effort: Option<Effort>,
    schema: Option<NamedSchema>,
}

impl AnthropicModel {
    /// Creates a back end.
    ///
    /// # Errors
    /// [`SetupError`] if a setting cannot be used.
    pub fn new(config: AnthropicConfig) -> Result<Self, SetupError> {
        let AnthropicConfig { mut server, model, version, max_tokens, effort, format } = config;
        if model.trim().is_empty() {
            return Err(SetupError::setting("model", "it is empty"));
        }
        if max_tokens == 0 {
            return Err(SetupError::setting("max_tokens", "it is 0"));
        }
        let takes_effort = !WITHOUT_EFFORT.iter().any(|name| model.starts_with(name));
        let effort = match effort {
            EffortSetting::ByModel => takes_effort.then_some(Effort::Low),
            EffortSetting::Fixed(effort) => effort,
        };
        let endpoint = server.endpoint(&["v1", "messages"])?;
        server.http = server.http.header("anthropic-version", version);
        let backend = server.backend(endpoint, Vec::new())?;
        Ok(Self { backend, model, max_tokens, effort, schema: format.schema()? })
    }

    /// Body of the request of a question: JSON. Equal questions give equal bytes.
    pub fn request(&self, system: &str, user: &str) -> Vec<u8> {
        let format = self.schema.as_ref().map(|named| Format { kind: "json_schema", schema: &named.schema });
        let body = Body {
            model: &self.model,
            max_tokens: self.max_tokens,
            system: Some(system).filter(|system| !system.trim().is_empty()),
            messages: [Turn { role: "user", content: user }],
            output_config: Some(OutputConfig { effort: self.effort, format })
                .filter(|config| config.effort.is_some() || config.format.is_some()),
        };
        // Text and numbers alone cannot fail to be written.
        serde_json::to_vec(&body).unwrap_or_default()
    }

    /// Reads an answer of the API: the status, and the body as it came.
    ///
    /// # Errors
    /// [`ModelError`] if it is no complete answer.
    pub fn answer(status: u16, body: &[u8]) -> Result<Completion, ModelError> {
        answer::read(status, body)
    }
}

#[async_trait]
impl ChatModel for AnthropicModel {
    fn id(&self) -> ModelId {
        ModelId::new("anthropic", &self.model)
    }

    async fn complete(&self, system: &str, user: &str) -> Result<Completion, ModelError> {
        if user.trim().is_empty() {
            return Err(ModelError::Rejected("the question is blank".into()));
        }
        self.backend.ask(self.request(system, user), answer::read).await
    }
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<&'a str>,
    messages: [Turn<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'a>>,
}

#[derive(Serialize)]
struct Turn<'a> {
    role: &'a str,
    content: &'a str,
}

#[derive(Serialize)]
struct OutputConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<Effort>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Format<'a>>,
}

#[derive(Serialize)]
struct Format<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    schema: &'a RawValue,
}
