//! The suite of the trait, over both back ends and the wrappers around them, with servers that answer, fail and break off.

use std::sync::Arc;
use std::time::Duration;

use scaling_llm::{AnthropicModel, ApiKey, OpenAiModel, RecordingModel, ReplayModel, conformance};

use crate::World;
use crate::server::Reply;
use crate::spoken::{ADVICE, ok};
use crate::strict::{Api, KEY};

#[tokio::test(start_paused = true)]
async fn back_ends_and_wrappers_keep_the_promises_of_the_trait() {
    for api in Api::BOTH {
        for reply in [ok(&api.says(ADVICE)), Reply::answer(529, &[], "busy"), Reply::Reset(vec![]), ok(&api.refuses())]
        {
            let world = World::always(api, reply).await;
            conformance::model(|| world.model()).await;
            let recorder = RecordingModel::new(world.model());
            conformance::answers_with_text(&recorder).await;
            conformance::model(|| ReplayModel::new(recorder.transcript())).await;
        }
        let world = World::always(api, ok(&api.says(ADVICE))).await;
        conformance::model(|| RecordingModel::new(Arc::new(world.model()))).await;
    }
}

#[test]
fn without_a_runtime_a_question_fails_and_nothing_panics() {
    let (anthropic, openai) = (
        AnthropicModel::new(scaling_llm::AnthropicConfig::new(ApiKey::new(KEY))).unwrap(),
        OpenAiModel::new(scaling_llm::OpenAiConfig::openai(ApiKey::new(KEY))).unwrap(),
    );
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    for model in [&anthropic as &dyn scaling_llm::ChatModel, &openai] {
        let mut question = model.complete("system", "question");
        let polled = question.as_mut().poll(&mut context);
        assert!(format!("{polled:?}").contains("runtime"), "{polled:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_given_up_is_not_asked_again() {
    let world = World::always(Api::Anthropic, Reply::answer(503, &[], "")).await;
    let model = world.model();
    let asked = tokio::time::timeout(Duration::from_millis(100), model.complete("system", "question")).await;
    assert!(asked.is_err());
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(world.requests(), 1);
}
