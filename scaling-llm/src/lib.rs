#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod advice;
mod asking;
mod breaker;
mod budget;
#[cfg(feature = "conformance")]
#[cfg_attr(docsrs, doc(cfg(feature = "conformance")))]
pub mod conformance;
mod engine;
#[cfg(feature = "eval")]
#[cfg_attr(docsrs, doc(cfg(feature = "eval")))]
pub mod eval;
pub mod explain;
mod growth;
mod isolated;
#[cfg(feature = "telemetry")]
mod metrics;
mod model;
mod no_model;
pub mod prompt;
mod range;
pub mod reply;
mod stats;
mod text;
mod transcript;
mod verify;

pub use advice::{Action, Advice, Resize, SuggestedWindow};
pub use breaker::{ModelBreaker, ModelBreakerConfig};
pub use budget::{Budget, BudgetConfig, ModelPrice, PriceTable, SpendLimits};
pub use engine::{Asking, LlmConfig, LlmEngine};
#[cfg(feature = "telemetry")]
#[cfg_attr(docsrs, doc(cfg(feature = "telemetry")))]
pub use metrics::LlmMetrics;
#[cfg(feature = "client")]
#[cfg_attr(docsrs, doc(cfg(feature = "client")))]
pub use model::{
    AnswerFormat, AnthropicConfig, AnthropicModel, ApiKey, Effort, Environment, OpenAiConfig, OpenAiModel, SetupError,
    TokenLimit, model_from_env,
};
pub use model::{ChatModel, Completion, ModelError, ModelId, Usage};
pub use no_model::NoModel;
pub use prompt::{Prompt, Question};
pub use range::{AdviceRange, OutOfRange, PercentRange, ReplicaRange};
pub use reply::ReplyError;
pub use stats::{LlmCounts, LlmStats, NotAskedCounts};
pub use transcript::{RecordingModel, ReplayModel, TornLine, Transcript, TranscriptError};
pub use verify::{Proof, ProofConfig, Verdict};
