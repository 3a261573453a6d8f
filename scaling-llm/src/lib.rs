#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod advice;
mod engine;
mod growth;
mod model;
pub mod prompt;
mod range;
pub mod reply;
mod stats;
mod text;
mod transcript;

pub use advice::{Action, Advice, Resize, SuggestedWindow};
pub use engine::{LlmConfig, LlmEngine};
pub use model::{ChatModel, Completion, ModelError, ModelId, Usage};
pub use prompt::{Prompt, Question};
pub use range::{AdviceRange, OutOfRange, PercentRange, ReplicaRange};
pub use reply::ReplyError;
pub use stats::{LlmCounts, LlmStats};
pub use transcript::{RecordingModel, ReplayModel, Transcript, TranscriptError};
