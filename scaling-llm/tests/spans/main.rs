//! The span of a question, as OpenTelemetry names its attributes. In a binary of its own: who listens is told to every span of a process,
//! and a test without a listener beside it could turn them off.
#![allow(clippy::unwrap_used, missing_docs)]

// What is not needed here is needed by the other tests that use it.
#[allow(dead_code)]
#[path = "../asking/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use scaling_core::DecisionEngine;
use scaling_llm::{LlmEngine, ModelError};
use tracing::field::{Field, Visit};
use tracing::instrument::WithSubscriber;
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use world::{Asks, Behaviour, GROWS, Model, engine, inline, pass, seen, tick};

/// The fields of each question's span, by its number.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<BTreeMap<u64, Fields>>>);

#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl<S: Subscriber> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        if attributes.metadata().name() == "ai_analysis" {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            self.0.lock().unwrap().insert(id.into_u64(), fields);
        }
    }
    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        if let Some(fields) = self.0.lock().unwrap().get_mut(&id.into_u64()) {
            values.record(fields);
        }
    }
}

/// The fields of the span of one question that is put in the first of two ticks.
async fn asked(engine: LlmEngine<Model, Asks>) -> BTreeMap<&'static str, String> {
    let spans = Spans::default();
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(spans.clone()));
    async {
        tick(&engine, &seen(0, 70.0)).await;
        pass(11).await;
        tick(&engine, &seen(15, 70.0)).await;
    }
    .with_subscriber(dispatch)
    .await;
    let mut spans = spans.0.lock().unwrap();
    assert_eq!(spans.len(), 1);
    spans.pop_first().unwrap().1.0
}

fn check(fields: &BTreeMap<&'static str, String>, expected: &[(&str, Option<&str>)]) {
    for (name, value) in expected {
        assert_eq!(fields.get(name).map(String::as_str), *value, "{name} in {fields:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_in_the_background_has_a_span_of_its_own() {
    let fields = asked(engine(&Model::slow(Behaviour::Greedy, 9), GROWS)).await;
    check(
        &fields,
        &[
            ("otel.kind", Some("client")),
            ("namespace", Some("shop")),
            ("name", Some("web")),
            ("engine", Some("llm over asks")),
            ("gen_ai.operation.name", Some("chat")),
            ("gen_ai.provider.name", Some("anthropic")),
            ("gen_ai.request.model", Some("claude-haiku-5-5")),
            ("gen_ai.usage.input_tokens", Some("900")),
            ("gen_ai.usage.output_tokens", Some("40")),
            ("outcome", Some("answered")),
            ("error.type", None),
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_is_the_type_of_an_error() {
    let cases = [
        (Behaviour::Hangs, "late", Some("no answer in time")),
        (Behaviour::Fails(ModelError::Refused), "refused", Some("the model declined to answer")),
        (Behaviour::Says("Sure!"), "malformed", Some("the answer does not start with a JSON object")),
    ];
    for (behaviour, outcome, why) in cases {
        for fields in [
            asked(engine(&Model::new(behaviour.clone()), GROWS)).await,
            asked(inline(&Model::new(behaviour.clone()), GROWS)).await,
        ] {
            let expected =
                [("outcome", Some(outcome)), ("error.type", Some(outcome)), ("otel.status_description", why)];
            check(&fields, &expected);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_a_decision_waits_the_span_tells_what_became_of_the_answer() {
    let fields = asked(inline(&Model::new(Behaviour::Greedy), GROWS)).await;
    check(&fields, &[("outcome", Some("changed")), ("replicas_wanted", Some("9")), ("error.type", None)]);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_given_up_says_so() {
    let spans = Spans::default();
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(spans.clone()));
    let engine = inline(&Model::new(Behaviour::Hangs), GROWS);
    let observation = seen(0, 70.0);
    let cancelled = tokio::time::timeout(Duration::from_secs(1), engine.decide(&observation));
    cancelled.with_subscriber(dispatch).await.unwrap_err();
    let spans = spans.0.lock().unwrap();
    check(&spans.values().next().unwrap().0, &[("outcome", Some("abandoned")), ("error.type", Some("abandoned"))]);
}
