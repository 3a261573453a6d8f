//! Settings: known servers get what they take, and what cannot work is refused before anything is sent.

use std::process::Command;

use scaling_llm::{
    AnswerFormat, AnthropicConfig, AnthropicModel, ApiKey, ChatModel, Environment, OpenAiConfig, OpenAiModel,
    SetupError,
};

use crate::server::Reply;
use crate::spoken::{ADVICE, ok};
use crate::strict::{Api, KEY};
use crate::{SYSTEM, USER, World, outcome};

#[tokio::test]
async fn each_known_server_gets_what_it_takes_where_it_wants_it() {
    for (api, provider, key) in [
        (Api::OpenAi, "openai", ApiKey::new(KEY)),
        (Api::Azure, "azure.ai.openai", ApiKey::new(KEY)),
        (Api::AzureDated, "azure.ai.openai", ApiKey::new(KEY)),
        (Api::Groq, "groq", ApiKey::new(KEY)),
        (Api::Vllm, "vllm", ApiKey::None),
        (Api::Ollama, "ollama", ApiKey::None),
        (Api::LlamaCpp, "llama.cpp", ApiKey::None),
    ] {
        let world = World::always(api, ok(&api.says(ADVICE))).await;
        let model = OpenAiModel::new(world.openai(key)).unwrap();
        let answer = model.complete(SYSTEM, USER).await;
        assert_eq!(
            (outcome(&answer).as_str(), model.id().provider.as_str()),
            ("Scale 5", provider),
            "{api:?}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn a_gateway_may_want_the_key_elsewhere_and_an_older_version() {
    let world = World::always(Api::Anthropic, ok(&Api::Anthropic.says(ADVICE))).await;
    let config = world.anthropic(ApiKey::new(format!(" {KEY}\n"))).x_api_key().version("2023-06-01");
    assert_eq!(outcome(&AnthropicModel::new(config).unwrap().complete(SYSTEM, USER).await), "Scale 5");
    let seen = world.server.seen().remove(0);
    assert_eq!((seen.header("x-api-key"), seen.header("authorization")), (Some(KEY), None));
}

#[tokio::test]
async fn the_judges_refuse_what_the_apis_refuse() {
    let world = World::always(Api::Anthropic, ok(&Api::Anthropic.says(ADVICE))).await;
    let effort = world.anthropic(ApiKey::new(KEY)).model("claude-haiku-4-5").effort(Some(scaling_llm::Effort::Low));
    let bounds = AnswerFormat::Schema {
        name: "n".into(),
        schema: r#"{"type":"object","additionalProperties":false,"properties":{"n":{"type":"integer","minimum":0}}}"#
            .into(),
    };
    for (config, expected) in [
        (world.anthropic(ApiKey::new("sk-other")), "denied"),
        (world.anthropic(ApiKey::None), "denied"),
        (world.anthropic(ApiKey::new(KEY)).model("claude-2"), "denied"),
        (world.anthropic(ApiKey::new(KEY)).version("2024-01-01"), "rejected"),
        (world.anthropic(ApiKey::new(KEY)).http(|http| http.secret_header("x-api-key", KEY)), "rejected"),
        (world.anthropic(ApiKey::new(KEY)).format(bounds.clone()), "rejected"),
        (effort, "rejected"),
    ] {
        assert_eq!(
            outcome(&AnthropicModel::new(config.clone()).unwrap().complete(SYSTEM, USER).await),
            expected,
            "{config:?}"
        );
    }
    let world = World::always(Api::OpenAi, ok(&Api::OpenAi.says(ADVICE))).await;
    for (config, expected) in [
        (world.openai(ApiKey::new("sk-other")), "denied"),
        (world.openai(ApiKey::new(KEY)).temperature(0.0), "rejected"),
        (world.openai(ApiKey::new(KEY)).token_limit(scaling_llm::TokenLimit::MaxTokens), "rejected"),
        (world.openai(ApiKey::new(KEY)).format(bounds), "rejected"), // not all is required
    ] {
        assert_eq!(
            outcome(&OpenAiModel::new(config.clone()).unwrap().complete(SYSTEM, USER).await),
            expected,
            "{config:?}"
        );
    }
    // A blank question is refused here already.
    assert_eq!(outcome(&world.model().complete(SYSTEM, " \n").await), "rejected");
    assert_eq!(world.requests(), 4);
}

#[tokio::test]
async fn a_server_that_drops_the_schema_is_found_out() {
    for (text, holds) in [
        (r#"{"word":"quartz"}"#, true),
        (" {\n\"word\": \"quartz\"}\n", true),
        (r#"{"word":"yes"}"#, false),
        ("```json\n{\"word\":\"quartz\"}\n```", false),
        (r#"{"word":"quartz","more":"x"}"#, false),
        (r#"["quartz"]"#, false),
        ("yes", false),
    ] {
        let world = World::always(Api::Vllm, ok(&Api::Vllm.says(text))).await;
        let model = OpenAiModel::new(world.openai(ApiKey::None).without_schema()).unwrap();
        assert_eq!(model.holds_to_schema().await, Ok(holds), "{text}");
        assert!(String::from_utf8(world.server.seen()[0].body.clone()).unwrap().contains("json_schema"));
    }
    let refuses = World::always(Api::Groq, Reply::answer(400, &[], "This model does not support json_schema")).await;
    let model = OpenAiModel::new(refuses.openai(ApiKey::new(KEY))).unwrap();
    assert!(matches!(model.holds_to_schema().await, Err(scaling_llm::ModelError::Rejected(_))));
}

#[test]
fn settings_that_cannot_work_are_refused_by_name_and_without_the_key() {
    let openai = || OpenAiConfig::openai(ApiKey::new(KEY));
    let schema = |name: &str, schema: &str| AnswerFormat::Schema { name: name.into(), schema: schema.into() };
    for (config, part) in [
        (openai().key(ApiKey::new(" \n")), "the API key is empty"),
        (openai().key(ApiKey::new("sk-a\nsk-b")), "the API key holds characters"),
        (openai().key(ApiKey::new("sk-schlüssel")), "the API key holds characters"),
        (openai().base_url("api.openai.com"), "address"),
        (openai().base_url("https://user:sk-secret@h/v1"), "credentials do not belong"),
        (openai().base_url("http://api.example.com/v1"), "https only"),
        (openai().model(" "), "model: it is empty"),
        (openai().max_tokens(0), "max_tokens: it is 0"),
        (openai().temperature(f64::NAN), "temperature: NaN"),
        (openai().temperature(-1.0), "temperature: -1"),
        (openai().format(schema("a b", "{}")), "no name of a schema"),
        (openai().format(schema("n", "[]")), "no JSON object"),
        (openai().format(schema("n", "{\"a\":}")), "schema: "),
        (openai().http(|http| http.header("a b", "c")), "header"),
    ] {
        let error = OpenAiModel::new(config.clone()).unwrap_err();
        let text = format!("{error} {error:?} {config:?}");
        assert!(
            text.contains(part) && !text.contains(KEY) && !text.contains("sk-secret") && !text.contains("sk-a"),
            "{text}"
        );
    }
    let anthropic = AnthropicConfig::new(ApiKey::new(KEY)).base_url("http://10.0.0.1");
    assert!(matches!(AnthropicModel::new(anthropic), Err(SetupError::Unencrypted { .. })));
    let local = OpenAiConfig::vllm("http://vllm.models.svc:8000/v1", "qwen3");
    assert!(matches!(OpenAiModel::new(local.clone()), Err(SetupError::Unencrypted { .. })));
    assert!(OpenAiModel::new(local.allow_plain_http()).is_ok());
}

#[tokio::test]
async fn a_key_goes_over_https_alone_whatever_is_allowed() {
    // An address kept for documentation: nothing is there, and nothing may be sent there.
    let config = OpenAiConfig::vllm("http://192.0.2.1/v1", "qwen3").allow_plain_http().key(ApiKey::new(KEY));
    assert_eq!(outcome(&OpenAiModel::new(config).unwrap().complete(SYSTEM, USER).await), "denied");
}

#[test]
fn the_environment_names_a_model_or_says_that_there_is_no_key() {
    let named = |pairs: &[(&str, &str)], model: Option<&str>| {
        let environment = Environment::of(|name| {
            pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        });
        assert!(!format!("{environment:?}").contains("sk-"), "{environment:?}");
        environment.model(model, AnswerFormat::Advice).map(|model| model.id().model)
    };
    let (a, o) = (("ANTHROPIC_API_KEY", "sk-a"), ("OPENAI_API_KEY", "sk-o"));
    for (pairs, model, expected) in [
        (&[a, o][..], None, "claude-haiku-5-5"),
        (&[a], None, "claude-haiku-5-5"),
        (&[o], None, "gpt-5.4-mini"),
        (&[a, o], Some("claude-opus-5-5"), "claude-opus-5-5"),
        (&[a, o], Some("gpt-6-luna"), "gpt-6-luna"),
        (&[a, ("OPENAI_API_KEY", " \n")], None, "claude-haiku-5-5"),
    ] {
        assert_eq!(named(pairs, model).unwrap(), expected);
    }
    for (pairs, model, variables) in [
        (&[][..], None, "ANTHROPIC_API_KEY or OPENAI_API_KEY"),
        (
            &[("ANTHROPIC_API_KEY", ""), ("OPENAI_BASE_URL", "http://localhost:1/v1")],
            None,
            "ANTHROPIC_API_KEY or OPENAI_API_KEY",
        ),
        (&[o], Some("claude-haiku-5-5"), "ANTHROPIC_API_KEY"),
        (&[a], Some("gpt-6-luna"), "OPENAI_API_KEY"),
    ] {
        let error = named(pairs, model).unwrap_err();
        assert_eq!(error, SetupError::NoKey { variables });
        assert_eq!(error.to_string(), format!("there is no API key: set {variables}"));
    }
    let elsewhere = named(&[a, ("ANTHROPIC_BASE_URL", "http://example.com")], None).unwrap_err();
    assert!(matches!(elsewhere, SetupError::Unencrypted { .. }), "{elsewhere}");
}

#[tokio::test]
async fn addresses_of_the_environment_are_asked() {
    for api in Api::BOTH {
        let world = World::always(api, ok(&api.says(ADVICE))).await;
        let url = world.server.url();
        let environment = Environment::of(|name| match (api, name) {
            (Api::Anthropic, "ANTHROPIC_API_KEY") | (Api::OpenAi, "OPENAI_API_KEY") => Some(KEY.into()),
            (_, "ANTHROPIC_BASE_URL") => Some(format!("{url}/")),
            (_, "OPENAI_BASE_URL") => Some(format!("{url}/v1/")),
            _ => None,
        });
        let model = environment.model(None, AnswerFormat::Advice).unwrap();
        assert_eq!(outcome(&model.complete(SYSTEM, USER).await), "Scale 5", "{api:?}");
    }
}

#[test]
fn the_process_environment_is_read_by_the_one_function() {
    let child = |key: Option<&str>| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "presets::in_a_process_of_its_own", "--nocapture"]);
        command.env_remove("ANTHROPIC_API_KEY").env_remove("OPENAI_API_KEY").env_remove("OPENAI_BASE_URL");
        let output = command.envs(key.map(|key| ("OPENAI_API_KEY", key))).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(child(None).contains("told: there is no API key: set ANTHROPIC_API_KEY or OPENAI_API_KEY"));
    assert!(child(Some("sk-o")).contains("told: gpt-5.4-mini"));
}

#[test]
#[ignore = "run by another test, with an environment of its own"]
#[allow(clippy::print_stdout)]
fn in_a_process_of_its_own() {
    match scaling_llm::model_from_env(None, AnswerFormat::default()) {
        Ok(model) => println!("told: {}", model.id().model),
        Err(error) => println!("told: {error}"),
    }
}

#[test]
fn back_ends_and_settings_are_shared_between_threads() {
    fn shared<T: std::fmt::Debug + Send + Sync + 'static>() {}
    shared::<AnthropicModel>();
    shared::<OpenAiModel>();
    shared::<AnthropicConfig>();
    shared::<OpenAiConfig>();
    shared::<Environment>();
    shared::<ApiKey>();
    shared::<SetupError>();
}
