#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod engine;
#[cfg(feature = "eval")]
pub mod eval;
pub mod explain;
mod growth;
mod model;
pub mod prompt;
mod range;
pub mod reply;
mod stats;
mod text;
mod transcript;

pub use engine::{LlmConfig, LlmEngine};
pub use model::{ChatModel, Completion, ModelError, ModelId, Usage};
pub use prompt::Prompt;
pub use range::ReplicaRange;
pub use reply::{Action, Advice, ReplyError};
pub use stats::{LlmCounts, LlmStats};
pub use transcript::{RecordingModel, ReplayModel, Transcript, TranscriptError};
