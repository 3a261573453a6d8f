//! What every host may count on of the public types: they can be shared between threads, printed and, where they are errors, boxed.
#![allow(missing_docs)]

use std::error::Error;
use std::fmt::Debug;

use scaling_core::RuleBasedEngine;
use scaling_llm::*;

fn shared<T: Debug + Send + Sync + 'static>() {}
fn error<T: Error + Send + Sync + 'static>() {}

#[test]
fn types_are_shared_between_threads() {
    shared::<LlmEngine<ReplayModel, RuleBasedEngine>>();
    shared::<RecordingModel<ReplayModel>>();
    shared::<ReplayModel>();
    shared::<Transcript>();
    shared::<Completion>();
    shared::<Usage>();
    shared::<LlmEngine<NoModel, RuleBasedEngine>>();
    shared::<LlmConfig>();
    shared::<Asking>();
    shared::<Budget>();
    shared::<BudgetConfig>();
    shared::<SpendLimits>();
    shared::<PriceTable>();
    shared::<ModelPrice>();
    shared::<ModelBreaker>();
    shared::<ModelBreakerConfig>();
    shared::<ModelId>();
    shared::<TornLine>();
    shared::<NotAskedCounts>();
    shared::<LlmCounts>();
    shared::<LlmStats>();
    shared::<ReplicaRange>();
    shared::<PercentRange>();
    shared::<AdviceRange>();
    shared::<Prompt>();
    shared::<Question<'static>>();
    shared::<prompt::KnownLimits>();
    shared::<prompt::BacktestSays>();
    shared::<Advice>();
    shared::<Action>();
    shared::<Resize>();
    shared::<SuggestedWindow>();
}

#[test]
fn errors_can_be_boxed_and_sent() {
    error::<ModelError>();
    error::<ReplyError>();
    error::<OutOfRange>();
    error::<TranscriptError>();
}
