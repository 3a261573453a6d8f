#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "conformance")]
#[cfg_attr(docsrs, doc(cfg(feature = "conformance")))]
pub mod conformance;
mod engine;
mod growth;
mod model;
pub mod prompt;
mod range;
pub mod reply;
mod stats;
mod text;
mod transcript;

pub use engine::{LlmConfig, LlmEngine};
#[cfg(feature = "client")]
#[cfg_attr(docsrs, doc(cfg(feature = "client")))]
pub use model::{
    AnswerFormat, AnthropicConfig, AnthropicModel, ApiKey, Effort, Environment, OpenAiConfig, OpenAiModel, SetupError,
    TokenLimit, model_from_env,
};
pub use model::{ChatModel, Completion, ModelError, ModelId, Usage};
pub use prompt::Prompt;
pub use range::ReplicaRange;
pub use reply::{Action, Advice, ReplyError};
pub use stats::{LlmCounts, LlmStats};
pub use transcript::{RecordingModel, ReplayModel, Transcript, TranscriptError};
