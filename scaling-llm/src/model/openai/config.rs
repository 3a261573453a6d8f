//! The settings of an [`OpenAiModel`](super::OpenAiModel), and those of known servers.

use std::time::Duration;

use scaling_core::http::HttpConfig;

use super::super::backend::{ApiKey, Server};
use super::super::format::AnswerFormat;
use super::super::setup::SetupError;

/// Field in which a server reads the most tokens of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenLimit {
    /// `max_completion_tokens`: OpenAI, whose newer models refuse the other one, Azure, Groq, vLLM.
    MaxCompletionTokens,
    /// `max_tokens`: Ollama, which reads no other, and llama.cpp.
    MaxTokens,
}

/// Settings of an [`OpenAiModel`](super::OpenAiModel). `Debug` shows no key.
#[derive(Clone, Debug)]
pub struct OpenAiConfig {
    pub(super) server: Server,
    pub(super) provider: &'static str,
    pub(super) model: String,
    pub(super) max_tokens: u32,
    pub(super) token_limit: TokenLimit,
    pub(super) reasoning_effort: Option<String>,
    pub(super) temperature: Option<f64>,
    pub(super) api_version: Option<String>,
    pub(super) constrained: bool,
    pub(super) format: AnswerFormat,
}

impl OpenAiConfig {
    /// Model that is asked at OpenAI if none is named.
    pub const DEFAULT_MODEL: &str = "gpt-5.4-mini";

    fn at(provider: &'static str, base: impl Into<String>, key: ApiKey, model: impl Into<String>) -> Self {
        Self {
            server: Server::new(base, key),
            provider,
            model: model.into(),
            max_tokens: 4096,
            token_limit: TokenLimit::MaxCompletionTokens,
            reasoning_effort: None,
            temperature: None,
            api_version: None,
            constrained: true,
            format: AnswerFormat::default(),
        }
    }

    /// Creates the settings of a key at OpenAI itself, with [`DEFAULT_MODEL`](Self::DEFAULT_MODEL).
    pub fn openai(key: ApiKey) -> Self {
        Self::at("openai", "https://api.openai.com/v1", key, Self::DEFAULT_MODEL)
    }

    /// Creates the settings of a deployment in Azure: `resource` is the address of the resource
    /// (`https://name.openai.azure.com`). The key goes in the header `api-key`, the deployment's name as the model, and the address is
    /// that of the API's v1.
    pub fn azure(resource: impl AsRef<str>, deployment: impl Into<String>, key: ApiKey) -> Self {
        let base = format!("{}/openai/v1", resource.as_ref().trim().trim_end_matches('/'));
        let mut config = Self::at("azure.ai.openai", base, key, deployment);
        config.server.key_header = Some("api-key".into());
        config
    }

    /// Creates the settings of a deployment in Azure by the older, dated API: the deployment is in the path, and `api_version`
    /// (`2024-10-21`) in the query.
    pub fn azure_dated(
        resource: impl AsRef<str>,
        deployment: impl Into<String>,
        api_version: impl Into<String>,
        key: ApiKey,
    ) -> Self {
        let deployment = deployment.into();
        let base = format!("{}/openai/deployments/{deployment}", resource.as_ref().trim().trim_end_matches('/'));
        let mut config = Self::azure("", deployment, key).base_url(base);
        config.api_version = Some(api_version.into());
        config
    }

    /// Creates the settings of a key at Groq. Not all of its models take a schema: see [`without_schema`](Self::without_schema).
    pub fn groq(model: impl Into<String>, key: ApiKey) -> Self {
        Self::at("groq", "https://api.groq.com/openai/v1", key, model)
    }

    /// Creates the settings of a vLLM server at an address such as `https://vllm.example.com/v1`. Without a reasoning parser
    /// (`--reasoning-parser`), models that think answer with `<think>` first.
    pub fn vllm(base: impl Into<String>, model: impl Into<String>) -> Self {
        Self::at("vllm", base, ApiKey::None, model)
    }

    /// Creates the settings of an Ollama server on this machine. Give it a context of 8,192 tokens or more
    /// (`OLLAMA_CONTEXT_LENGTH`): a longer question is cut without a word.
    pub fn ollama(model: impl Into<String>) -> Self {
        Self::at("ollama", "http://localhost:11434/v1", ApiKey::None, model).token_limit(TokenLimit::MaxTokens)
    }

    /// Creates the settings of the server of llama.cpp on this machine, which serves one model whatever its name. While it loads,
    /// it is unavailable.
    pub fn llama_cpp() -> Self {
        Self::at("llama.cpp", "http://localhost:8080/v1", ApiKey::None, "default").token_limit(TokenLimit::MaxTokens)
    }

    /// Sets the model.
    #[must_use]
    pub fn model(mut self, name: impl Into<String>) -> Self {
        self.model = name.into();
        self
    }

    /// Sets the address of the server, by convention with `/v1` at its end. `/chat/completions` is appended, as far as it is not
    /// there.
    #[must_use]
    pub fn base_url(mut self, address: impl Into<String>) -> Self {
        self.server.base = address.into();
        self
    }

    /// Sets the key.
    #[must_use]
    pub fn key(mut self, key: ApiKey) -> Self {
        self.server.key = key;
        self
    }

    /// Lets questions travel without encryption: to a server in the cluster that wants no key. With a key nothing is sent without
    /// encryption but to loopback, whatever is set here.
    #[must_use]
    pub fn allow_plain_http(mut self) -> Self {
        self.server.plain_http = true;
        self
    }

    /// Sets the most tokens of an answer, reasoning included. Default 4096.
    #[must_use]
    pub fn max_tokens(mut self, tokens: u32) -> Self {
        self.max_tokens = tokens;
        self
    }

    /// Sets the field in which [`max_tokens`](Self::max_tokens) is sent.
    #[must_use]
    pub fn token_limit(mut self, field: TokenLimit) -> Self {
        self.token_limit = field;
        self
    }

    /// Sets `reasoning_effort`: `low` saves time and tokens with models that reason. By default it is not sent: models and servers
    /// that do not know it, or its value, refuse it.
    #[must_use]
    pub fn reasoning_effort(mut self, effort: impl Into<String>) -> Self {
        self.reasoning_effort = Some(effort.into());
        self
    }

    /// Sets the temperature, 0 to 2. By default none is sent: models that reason refuse it.
    #[must_use]
    pub fn temperature(mut self, temperature: f64) -> Self {
        self.temperature = Some(temperature);
        self
    }

    /// Sends no schema, for servers and models that refuse one. The answer is read as strictly as ever.
    #[must_use]
    pub fn without_schema(mut self) -> Self {
        self.constrained = false;
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

    /// Adjusts the HTTP client: another certificate authority, a proxy, other retries, headers of a gateway.
    #[must_use]
    pub fn http(mut self, adjust: impl FnOnce(HttpConfig) -> HttpConfig) -> Self {
        self.server.http = adjust(self.server.http);
        self
    }

    pub(super) fn check(&self) -> Result<(), SetupError> {
        if self.model.trim().is_empty() {
            return Err(SetupError::setting("model", "it is empty"));
        }
        if self.max_tokens == 0 {
            return Err(SetupError::setting("max_tokens", "it is 0"));
        }
        match self.temperature {
            Some(value) if !(0.0..=2.0).contains(&value) => {
                Err(SetupError::setting("temperature", format!("{value} is not from 0 to 2")))
            }
            _ => Ok(()),
        }
    }
}
