//! Answers with status 200: which are taken, and what becomes of the others.

use scaling_core::{DecisionEngine, Observation, RuleBasedEngine, ScalingMetrics, SignalKind, Target};
use scaling_llm::{AnswerFormat, AnthropicModel, ApiKey, ChatModel, LlmConfig, LlmEngine, OpenAiModel, Usage};
use serde_json::{Value, json};

use crate::server::Reply;
use crate::spoken::{ADVICE, ok};
use crate::strict::{Api, KEY};
use crate::{SYSTEM, USER, World, outcome};

#[tokio::test]
async fn a_complete_answer_comes_back_with_its_tokens_and_names() {
    for api in Api::BOTH {
        let world = World::always(api, ok(&api.says(ADVICE))).await;
        let answer = world.ask().await.unwrap();
        assert_eq!(answer.text, ADVICE, "{api:?}");
        let tokens = Usage { input_tokens: 1020, output_tokens: 40, cache_read_tokens: 100, cache_write_tokens: 20 };
        assert_eq!((answer.usage, answer.request_id.as_deref()), (tokens, Some("req_7")), "{api:?}");
        let (id, answered) = match api {
            Api::Anthropic => (("anthropic", "claude-haiku-5-5"), "claude-haiku-5-5"),
            _ => (("openai", "gpt-5.4-mini"), "gpt-5.4-mini-2026-03-05"),
        };
        assert_eq!(answer.model.as_deref(), Some(answered));
        let own = world.model().id();
        assert_eq!((own.provider.as_str(), own.model.as_str()), id);
        assert_eq!(world.requests(), 1, "{api:?}");
    }
}

#[tokio::test]
async fn a_request_is_what_the_api_takes_and_the_same_bytes_each_time() {
    let world = World::always(Api::Anthropic, ok(&Api::Anthropic.says(ADVICE))).await;
    for _ in 0..2 {
        world.ask().await.unwrap();
    }
    let [first, second] = [0, 1].map(|nth| world.server.seen()[nth].clone());
    assert_eq!(first.body, second.body);
    assert_eq!(first.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!((first.header("x-api-key"), first.header("anthropic-version")), (None, Some("2026-10-21")));
    let body: Value = serde_json::from_slice(&first.body).unwrap();
    assert_eq!((&body["system"], &body["messages"]), (&json!(SYSTEM), &json!([{"role": "user", "content": USER}])));
    assert_eq!((&body["max_tokens"], &body["output_config"]["effort"]), (&json!(4096), &json!("low")));

    let world = World::always(Api::OpenAi, ok(&Api::OpenAi.says(ADVICE))).await;
    world.ask().await.unwrap();
    let seen = world.server.seen().remove(0);
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    let turns = json!([{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}]);
    assert_eq!((&body["messages"], &body["max_completion_tokens"]), (&turns, &json!(4096)));
    // The schema goes in its own order: a model that does not think is to judge before it counts.
    for seen in [first, seen] {
        let text = String::from_utf8(seen.body).unwrap();
        assert!(text.contains(scaling_llm::reply::SCHEMA), "{text}");
    }
}

#[tokio::test]
async fn models_that_take_no_effort_are_sent_none() {
    let world = World::always(Api::Anthropic, ok(&Api::Anthropic.says(ADVICE))).await;
    for name in ["claude-haiku-4-5", "claude-sonnet-4-5", "claude-opus-4-6", "claude-sonnet-5-5"] {
        let model = AnthropicModel::new(world.anthropic(ApiKey::new(KEY)).model(name)).unwrap();
        assert_eq!(outcome(&model.complete(SYSTEM, USER).await), "Scale 5", "{name}");
    }
}

#[tokio::test]
async fn text_is_asked_for_without_a_schema_and_comes_as_it_is() {
    let fenced = "```json\n{}\n```";
    let world = World::always(Api::OpenAi, ok(&Api::OpenAi.says(fenced))).await;
    let model = OpenAiModel::new(world.openai(ApiKey::new(KEY)).format(AnswerFormat::Text)).unwrap();
    assert_eq!(model.complete("", "Explain.").await.unwrap().text, fenced);
    assert!(!String::from_utf8(world.server.seen()[0].body.clone()).unwrap().contains("response_format"));

    let world = World::always(Api::Anthropic, ok(&Api::Anthropic.says("Because."))).await;
    let config = world.anthropic(ApiKey::new(KEY)).format(AnswerFormat::Text).effort(None);
    assert_eq!(AnthropicModel::new(config).unwrap().complete("", "Why?").await.unwrap().text, "Because.");
    assert!(!String::from_utf8(world.server.seen()[0].body.clone()).unwrap().contains("output_config"));
}

/// The answer with some of its fields replaced; `null` takes one out.
fn advice(changed: &Value) -> String {
    let mut advice: Value = serde_json::from_str(ADVICE).unwrap();
    for (name, value) in changed.as_object().unwrap() {
        advice[name.as_str()] = value.clone();
    }
    advice.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    advice.to_string()
}

#[tokio::test]
async fn what_the_model_says_is_read_strictly_and_nothing_is_asked_twice() {
    let fenced = format!("```json\n{ADVICE}\n```");
    let thought = format!("<think>5 or 6? {{\"action\":\"scale\"}}</think>\n{ADVICE}");
    // The outcome at Anthropic, and at servers that may not hold a model to the schema.
    for (text, strictly, tolerantly) in [
        (ADVICE.to_owned(), "Scale 5", "Scale 5"),
        (format!(" \n{ADVICE}\n"), "Scale 5", "Scale 5"),
        (fenced.clone(), "fenced", "Scale 5"),
        (thought.clone(), "no object", "Scale 5"),
        (format!("<think>x</think>{fenced}"), "no object", "Scale 5"),
        (format!("{fenced}\n{fenced}"), "fenced", "fenced"),
        (format!("Here it is: {ADVICE}"), "no object", "no object"),
        (format!("{ADVICE} I hope this helps."), "invalid", "invalid"),
        (format!("{ADVICE}{ADVICE}"), "invalid", "invalid"),
        (ADVICE[..ADVICE.len() - 1].to_owned(), "invalid", "invalid"),
        (format!("[{ADVICE}]"), "no object", "no object"),
        ("null".into(), "no object", "no object"),
        ("NaN".into(), "no object", "no object"),
        (advice(&json!({"target_replicas": 1_000_000_000})), "Scale 1000000000", "Scale 1000000000"),
        (advice(&json!({"target_replicas": -5})), "invalid", "invalid"),
        (advice(&json!({"target_replicas": 7.5})), "invalid", "invalid"),
        (advice(&json!({"target_replicas": "7"})), "invalid", "invalid"),
        (advice(&json!({"target_replicas": u64::MAX})), "invalid", "invalid"),
        (advice(&json!({"target_replicas": [7]})), "invalid", "invalid"),
        (advice(&json!({"target_replicas": null})), "invalid", "invalid"),
        (advice(&json!({"confidence_percent": 0.9})), "invalid", "invalid"),
        (advice(&json!({"confidence_percent": 101})), "too sure", "too sure"),
        (advice(&json!({"max_replicas": 500})), "invalid", "invalid"),
        (advice(&json!({"action": "delete"})), "unknown action", "unknown action"),
        (advice(&json!({"action": "SCALE"})), "unknown action", "unknown action"),
        (advice(&json!({"assessment": "x".repeat(1_000_000)})), "too long", "too long"),
        (advice(&json!({"assessment": "\u{1b}[31mred\u{202e}\n\0level=error"})), "Scale 5", "Scale 5"),
    ] {
        for (api, expected) in [(Api::Anthropic, strictly), (Api::OpenAi, tolerantly)] {
            let world = World::always(api, ok(&api.says(&text))).await;
            let shown: String = text.chars().take(100).collect();
            assert_eq!((outcome(&world.ask().await).as_str(), world.requests()), (expected, 1), "{api:?}: {shown}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_not_complete_is_none_even_if_it_could_be_read() {
    let text = json!([{"type": "text", "text": ADVICE}]);
    let message = json!({"role": "assistant", "content": ADVICE, "refusal": null});
    let thinking = json!({"type": "thinking", "thinking": "", "signature": "s"});
    let a = Api::Anthropic;
    let o = Api::OpenAi;
    let without = |mut body: Value, name: &str| {
        body.as_object_mut().unwrap().remove(name);
        body
    };
    for (api, body, expected) in [
        (a, a.truncated(), "truncated"),
        (a, a.ends("model_context_window_exceeded", &text), "truncated"),
        (a, a.refuses(), "refused"),
        (a, a.ends("refusal", &json!([])), "refused"),
        (a, a.ends("pause_turn", &text), "unavailable"),
        (a, a.ends("stop_sequence", &text), "unavailable"),
        (a, a.ends("tool_use", &json!([{"type": "tool_use", "id": "1", "name": "scale", "input": {}}])), "unavailable"),
        (a, a.ends("something_new", &text), "unavailable"),
        (a, without(a.says(ADVICE), "stop_reason"), "unavailable"),
        (a, a.ends("end_turn", &json!([])), "unavailable"),
        (a, a.ends("end_turn", &json!([thinking])), "unavailable"),
        (a, a.ends("end_turn", &json!([{"type": "text"}])), "unavailable"),
        (a, a.ends("end_turn", &json!({"type": "text", "text": ADVICE})), "unavailable"),
        (a, without(a.says(ADVICE), "type"), "unavailable"),
        (a, a.ends("end_turn", &json!([thinking, {"type": "redacted_thinking", "data": "d"}, text[0]])), "Scale 5"),
        (a, a.ends("end_turn", &json!([{"type": "new", "text": {"deep": [1]}}, text[0]])), "Scale 5"),
        (a, a.ends("end_turn", &json!([{"type": "text", "text": "{"}, {"type": "text", "text": &ADVICE[1..]}])), "Scale 5"),
        (a, a.ends("end_turn", &json!([text[0], text[0]])), "invalid"),
        (a, a.fails("overloaded_error", None), "unavailable"),
        (a, a.fails("rate_limit_error", Some("contract_spend_limit_reached")), "spent"),
        (o, o.truncated(), "truncated"),
        (o, o.refuses(), "refused"),
        (o, o.ends("content_filter", &message), "refused"),
        (o, o.ends("tool_calls", &json!({"role": "assistant", "content": null, "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": ADVICE}}]})), "unavailable"),
        (o, o.ends("function_call", &message), "unavailable"),
        (o, o.ends("something_new", &message), "unavailable"),
        (o, o.ends("stop", &json!({"role": "assistant", "content": null})), "unavailable"),
        (o, o.ends("stop", &json!({"role": "assistant", "content": "", "reasoning_content": ADVICE})), "unavailable"),
        (o, o.ends("stop", &json!({"role": "assistant", "content": [{"type": "text", "text": ADVICE}]})), "unavailable"),
        (o, o.ends("stop", &json!(null)), "unavailable"),
        (o, json!({"choices": []}), "unavailable"),
        (o, json!({"choices": null}), "unavailable"),
        (o, json!({"choices": [{"message": message}]}), "unavailable"),
        (o, json!({"choices": [{"message": message, "finish_reason": null}]}), "unavailable"),
        (o, json!({"choices": [{"message": message, "finish_reason": "stop"}, {"message": message, "finish_reason": "stop"}]}), "unavailable"),
        (o, json!({"choices": [{"message": message, "finish_reason": "stop"}], "usage": null}), "Scale 5"),
        (o, json!({"choices": [{"message": {"content": ADVICE, "reasoning": "5"}, "finish_reason": "stop"}], "error": null}), "Scale 5"),
        (o, o.fails("server_error", None), "unavailable"),
        (o, o.fails("insufficient_quota", Some("insufficient_quota")), "spent"),
        (o, json!({"error": {"message": "upstream", "code": 502}, "choices": [{"message": message, "finish_reason": "stop"}]}), "unavailable"),
    ] {
        let world = World::always(api, ok(&body)).await;
        assert_eq!((outcome(&world.ask().await).as_str(), world.requests()), (expected, 1), "{body}");
    }
}

#[tokio::test]
async fn a_success_without_an_answer_in_it_is_none() {
    let deep = format!("{{\"type\":\"message\",\"content\":{}", "[".repeat(500_000));
    let zeros = format!(
        "{{\"type\":\"message\",\"stop_reason\":\"end_turn\",\"usage\":[{}0],\"choices\":[]}}",
        "0,".repeat(400_000)
    );
    let surrogate = |api: Api| api.says("MARK").to_string().replace("MARK", "\\ud800").into_bytes();
    let not_utf8 = |api: Api| {
        let mut body = api.says("MARK").to_string().into_bytes();
        let at = body.windows(4).position(|window| window == b"MARK").unwrap();
        body[at] = 0xff;
        body
    };
    for api in Api::BOTH {
        for body in [
            b"".to_vec(),
            b"[]".to_vec(),
            b"null".to_vec(),
            b"{}".to_vec(),
            b"<html><body>Sign in</body></html>".to_vec(),
            br#"["message",[{"type":"text","text":"{}"}],"end_turn",null,null]"#.to_vec(),
            deep.clone().into_bytes(),
            zeros.clone().into_bytes(),
            vec![0xff; 1000],
            surrogate(api),
            not_utf8(api),
            [b"\xef\xbb\xbf", api.says(ADVICE).to_string().as_bytes()].concat(),
            [api.says(ADVICE).to_string().as_bytes(), b"{}"].concat(),
        ] {
            let world = World::always(api, Reply::ok(&body)).await;
            let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
            assert_eq!((outcome(&world.ask().await).as_str(), world.requests()), ("unavailable", 1), "{api:?} {shown}");
        }
    }
}

#[tokio::test]
async fn an_engine_keeps_its_baseline_when_the_answer_is_out_of_range() {
    for api in Api::BOTH {
        let text = advice(&json!({"target_replicas": 500}));
        let world = World::always(api, ok(&api.says(&text))).await;
        let engine = LlmEngine::with_config(world.model(), RuleBasedEngine::default(), LlmConfig::inline()).unwrap();
        let stats = engine.stats();
        let metrics =
            ScalingMetrics::new("2026-11-24T09:00:00Z".parse().unwrap(), 4).with(SignalKind::CpuUtilization, 65.0);
        let observation = Observation::new(Target::deployment("shop", "checkout"), metrics);
        let decision = engine.decide(&observation).await.unwrap();
        assert_eq!((decision.desired_replicas, stats.counts().out_of_range), (4, 1), "{api:?}: {decision:?}");
        let body = String::from_utf8(world.server.seen()[0].body.clone()).unwrap();
        assert!(!body.contains("checkout") && !body.contains("shop"), "names stay here: {body}");
    }
}
