//! The HTTP back ends against strict servers that speak both APIs, and do what no server should.
#![cfg(feature = "client")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_debug_implementations,
    missing_docs,
    unreachable_pub
)]

mod answers;
mod hostile;
mod parsing;
mod presets;
mod promises;
mod retries;
mod secrets;
#[path = "../../../scaling-core/tests/http/server.rs"]
mod server;
#[path = "../support/answers.rs"]
mod spoken;
#[path = "../support/strict.rs"]
mod strict;

use std::sync::{Arc, Mutex};

use scaling_core::http::HttpConfig;
use scaling_llm::{
    AnthropicConfig, AnthropicModel, ApiKey, ChatModel, Completion, ModelError, OpenAiConfig, OpenAiModel, ReplyError,
    reply,
};
use server::{Reply, Seen, Server};
use strict::{Api, KEY};
use tokio::time::Instant;

pub(crate) const SYSTEM: &str = "You advise an autoscaler.";
pub(crate) const USER: &str = r#"{"allowed":{"lowest":4,"highest":6},"mark":"pr0mpt-m4rk"}"#;

/// A server that refuses what the API refuses, and otherwise answers by a script. It notes when each request came.
pub(crate) struct World {
    pub(crate) api: Api,
    pub(crate) server: Server,
    at: Arc<Mutex<Vec<Instant>>>,
}

impl World {
    pub(crate) async fn new(api: Api, script: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> Self {
        let at = Arc::new(Mutex::new(Vec::new()));
        let noted = at.clone();
        let server = Server::start(move |seen, number| {
            noted.lock().unwrap().push(Instant::now());
            api.refusal(seen).unwrap_or_else(|| script(seen, number))
        });
        Self { api, server: server.await, at }
    }

    pub(crate) async fn always(api: Api, reply: Reply) -> Self {
        Self::new(api, move |_, _| reply.clone()).await
    }

    /// Seconds between the requests.
    pub(crate) fn gaps(&self) -> Vec<f64> {
        self.at.lock().unwrap().windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect()
    }

    pub(crate) fn requests(&self) -> usize {
        self.server.seen().len()
    }

    pub(crate) fn model(&self) -> Box<dyn ChatModel> {
        self.with(ApiKey::new(KEY), |http| http)
    }

    pub(crate) fn with(&self, key: ApiKey, adjust: impl FnOnce(HttpConfig) -> HttpConfig) -> Box<dyn ChatModel> {
        let adjust = |http: HttpConfig| adjust(http.seed(1));
        match self.api {
            Api::Anthropic => Box::new(AnthropicModel::new(self.anthropic(key).http(adjust)).unwrap()),
            _ => Box::new(OpenAiModel::new(self.openai(key).http(adjust)).unwrap()),
        }
    }

    pub(crate) fn anthropic(&self, key: ApiKey) -> AnthropicConfig {
        AnthropicConfig::new(key).base_url(self.server.url())
    }

    pub(crate) fn openai(&self, key: ApiKey) -> OpenAiConfig {
        let (url, base) = (self.server.url(), format!("{}/v1", self.server.url()));
        match self.api {
            Api::Azure => OpenAiConfig::azure(url, "scaler", key),
            Api::AzureDated => OpenAiConfig::azure_dated(url, "scaler", "2024-10-21", key),
            Api::Groq => OpenAiConfig::groq("openai/gpt-oss-20b", key).base_url(format!("{url}/openai/v1")),
            Api::Vllm => OpenAiConfig::vllm(base, "qwen3"),
            Api::Ollama => OpenAiConfig::ollama("qwen3:8b").base_url(base),
            Api::LlamaCpp => OpenAiConfig::llama_cpp().base_url(base),
            _ => OpenAiConfig::openai(key).base_url(base),
        }
    }

    pub(crate) async fn ask(&self) -> Result<Completion, ModelError> {
        self.model().complete(SYSTEM, USER).await
    }
}

/// What became of a question, the strict reading of the answer included, in a word.
pub(crate) fn outcome(answer: &Result<Completion, ModelError>) -> String {
    let word = match answer {
        Ok(completion) => match reply::parse(&completion.text) {
            Ok(advice) => return format!("{:?} {}", advice.action, advice.target_replicas),
            Err(ReplyError::TooLong { .. }) => "too long",
            Err(ReplyError::Fenced) => "fenced",
            Err(ReplyError::NotAnObject) => "no object",
            Err(ReplyError::Invalid(_)) => "invalid",
            Err(ReplyError::Action(_)) => "unknown action",
            Err(ReplyError::Confidence(_)) => "too sure",
            Err(other) => return other.to_string(),
        },
        Err(ModelError::Unavailable(_)) => "unavailable",
        Err(ModelError::Rejected(_)) => "rejected",
        Err(ModelError::Denied(_)) => "denied",
        Err(ModelError::Spent(_)) => "spent",
        Err(ModelError::Refused) => "refused",
        Err(ModelError::Truncated) => "truncated",
        Err(ModelError::Late) => "late",
        Err(other) => return other.to_string(),
    };
    word.to_owned()
}
