//! Chat completions, as OpenAI defined them and many servers imitate: [`OpenAiModel`].

mod answer;
mod config;

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Serialize;
use serde_json::value::RawValue;

use super::backend::Backend;
use super::format::{AnswerFormat, NamedSchema};
use super::{ChatModel, Completion, ModelError, ModelId, SetupError};
pub use config::{OpenAiConfig, TokenLimit};

/// Schema of one valid answer, and the word in it.
const PROBE: &str = concat!(
    r#"{"type":"object","additionalProperties":false,"required":["word"],"#,
    r#""properties":{"word":{"type":"string","enum":["quartz"]}}}"#,
);
const PROBED: &str = "quartz";

/// A model behind an API of chat completions. It can be shared by many tasks.
///
/// | the server | the outcome |
/// | --- | --- |
/// | stops (`stop`) | the text of the one choice |
/// | cuts the answer off (`length`) | [`ModelError::Truncated`], even if it could be read |
/// | refuses, filters the answer or the question | [`ModelError::Refused`] |
/// | calls a tool, stops for an unknown cause, sends no choice or several, or something else | [`ModelError::Unavailable`] |
///
/// Statuses, redirects and time: as with [`AnthropicModel`](crate::AnthropicModel).
///
/// Where JSON was asked for, two things that servers do which do not constrain a model's output are taken off: a `<think>…</think>` before the answer
/// and one markdown fence around the whole of it. Everything else comes as it is, and is refused by who reads it.
///
/// ```no_run
/// use scaling_core::RuleBasedEngine;
/// use scaling_llm::{LlmEngine, OpenAiConfig, OpenAiModel};
///
/// let config = OpenAiConfig::ollama("qwen3:8b");
/// let engine = LlmEngine::new(OpenAiModel::new(config)?, RuleBasedEngine::default());
/// # let _ = engine;
/// # Ok::<(), scaling_llm::SetupError>(())
/// ```
#[derive(Debug)]
pub struct OpenAiModel {
    backend: Backend,
    provider: &'static str,
    model: String,
    max_tokens: u32,
    token_limit: TokenLimit,
    reasoning_effort: Option<String>,
    temperature: Option<f64>,
    /// The schema to send.
    schema: Option<NamedSchema>,
    is_json: bool,
}

impl OpenAiModel {
    /// Creates a back end.
    ///
    /// # Errors
    /// [`SetupError`] if a setting cannot be used.
    pub fn new(config: OpenAiConfig) -> Result<Self, SetupError> {
        config.check()?;
        let endpoint = config.server.endpoint(&["chat", "completions"])?;
        let query = config.api_version.map(|version| ("api-version", version));
        let schema = config.format.schema()?;
        Ok(Self {
            backend: config.server.backend(endpoint, query.into_iter().collect())?,
            provider: config.provider,
            model: config.model,
            max_tokens: config.max_tokens,
            token_limit: config.token_limit,
            reasoning_effort: config.reasoning_effort,
            temperature: config.temperature,
            schema: schema.filter(|_| config.constrained),
            is_json: config.format != AnswerFormat::Text,
        })
    }

    /// Body of the request of a question: JSON. Equal questions give equal bytes.
    pub fn request(&self, system: &str, user: &str) -> Vec<u8> {
        self.body(self.schema.as_ref(), system, user)
    }

    /// Asks once whether the server holds the model to a schema, with one whose only valid answer is not the one that the question
    /// asks for. Many servers take a schema and drop it without a word. For the start of a host: it costs a question.
    ///
    /// # Errors
    /// [`ModelError`] if there is no answer; [`ModelError::Rejected`] where the server refuses schemas: see
    /// [`OpenAiConfig::without_schema`].
    pub async fn holds_to_schema(&self) -> Result<bool, ModelError> {
        let probe = AnswerFormat::Schema { name: "probe".into(), schema: PROBE.into() };
        let probe = probe.schema().map_err(|error| ModelError::Rejected(error.to_string()))?;
        let body = self.body(probe.as_ref(), "You answer in JSON.", r#"Answer {"word":"yes"} and nothing else."#);
        let answer = self.backend.ask(body, answer::read).await?;
        let object = serde_json::from_str::<BTreeMap<String, String>>(answer.text.trim());
        Ok(object.is_ok_and(|object| object.into_iter().eq([("word".to_owned(), PROBED.to_owned())])))
    }

    fn body(&self, schema: Option<&NamedSchema>, system: &str, user: &str) -> Vec<u8> {
        let limit = |field| (self.token_limit == field).then_some(self.max_tokens);
        let system = Some(Turn { role: "system", content: system }).filter(|turn| !turn.content.trim().is_empty());
        let body = Body {
            model: &self.model,
            messages: system.into_iter().chain([Turn { role: "user", content: user }]).collect(),
            max_completion_tokens: limit(TokenLimit::MaxCompletionTokens),
            max_tokens: limit(TokenLimit::MaxTokens),
            reasoning_effort: self.reasoning_effort.as_deref(),
            temperature: self.temperature,
            response_format: schema.map(|named| ResponseFormat {
                kind: "json_schema",
                json_schema: JsonSchema { name: &named.name, strict: true, schema: &named.schema },
            }),
        };
        // Text and finite numbers alone cannot fail to be written.
        serde_json::to_vec(&body).unwrap_or_default()
    }

    /// Reads an answer of the API: the status, and the body as it came.
    ///
    /// # Errors
    /// [`ModelError`] if it is no complete answer.
    pub fn answer(&self, status: u16, body: &[u8]) -> Result<Completion, ModelError> {
        let answer = answer::read(status, body)?;
        let bare = if self.is_json { answer::bare(&answer.text) } else { &answer.text };
        if bare.len() == answer.text.len() {
            return Ok(answer);
        }
        tracing::debug!(model = self.model, "the answer was wrapped: the server does not hold the model to the schema");
        Ok(Completion { text: bare.to_owned(), ..answer })
    }
}

#[async_trait]
impl ChatModel for OpenAiModel {
    fn id(&self) -> ModelId {
        ModelId::new(self.provider, &self.model)
    }

    async fn complete(&self, system: &str, user: &str) -> Result<Completion, ModelError> {
        if user.trim().is_empty() {
            return Err(ModelError::Rejected("the question is blank".into()));
        }
        self.backend.ask(self.request(system, user), |status, body| self.answer(status, body)).await
    }
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<ResponseFormat<'a>>,
}

#[derive(Serialize)]
struct Turn<'a> {
    role: &'a str,
    content: &'a str,
}

#[derive(Serialize)]
struct ResponseFormat<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    json_schema: JsonSchema<'a>,
}

#[derive(Serialize)]
struct JsonSchema<'a> {
    name: &'a str,
    strict: bool,
    schema: &'a RawValue,
}
