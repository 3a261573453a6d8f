//! Bodies of any kind: none panics, and none is taken for an answer that it is not.

use std::sync::LazyLock;

use proptest::prelude::*;
use scaling_llm::{AnthropicModel, ApiKey, Completion, ModelError, OpenAiConfig, OpenAiModel};

use crate::spoken::ADVICE;
use crate::strict::{Api, KEY};

/// A client loads certificates when it is made, which takes longer than all that is read here.
static OPENAI: LazyLock<OpenAiModel> =
    LazyLock::new(|| OpenAiModel::new(OpenAiConfig::openai(ApiKey::new(KEY))).unwrap());

fn read(api: Api, status: u16, body: &[u8]) -> Result<Completion, ModelError> {
    match api {
        Api::Anthropic => AnthropicModel::answer(status, body),
        _ => OPENAI.answer(status, body),
    }
}

#[test]
fn an_answer_cut_off_anywhere_is_none() {
    for api in Api::BOTH {
        let body = api.says(ADVICE).to_string();
        assert_eq!(read(api, 200, body.as_bytes()).unwrap().text, ADVICE);
        for end in 0..body.len() {
            assert!(read(api, 200, &body.as_bytes()[..end]).is_err(), "{api:?}: {}", &body[..end]);
        }
    }
}

#[test]
fn tokens_that_are_none_count_as_0_and_cost_no_answer() {
    for (usage, input) in [
        ("null", 0),
        ("[1,2]", 0),
        ("\"many\"", 0),
        (r#"{"input_tokens":-5,"prompt_tokens":-5}"#, 0),
        (r#"{"input_tokens":1.5,"prompt_tokens":1.5}"#, 0),
        (r#"{"input_tokens":"7","prompt_tokens":"7"}"#, 0),
        (r#"{"input_tokens":{"a":1},"prompt_tokens":[7]}"#, 0),
        (r#"{"input_tokens":null,"prompt_tokens":null}"#, 0),
        (r#"{"input_tokens":1e300,"prompt_tokens":1e300}"#, 0),
        (r#"{"input_tokens":7,"prompt_tokens":7,"cache_read_input_tokens":null,"prompt_tokens_details":null}"#, 7),
        (
            r#"{"input_tokens":18446744073709551615,"cache_read_input_tokens":9,"prompt_tokens":18446744073709551615}"#,
            u64::MAX,
        ),
    ] {
        for api in Api::BOTH {
            let mut body = api.says(ADVICE);
            body["usage"] = "USAGE".into();
            let body = body.to_string().replace("\"USAGE\"", usage);
            assert_eq!(read(api, 200, body.as_bytes()).unwrap().usage.input_tokens, input, "{api:?} {usage}");
        }
    }
}

#[test]
fn a_field_that_comes_twice_makes_no_answer() {
    for (api, field) in [(Api::Anthropic, "stop_reason"), (Api::OpenAi, "finish_reason")] {
        let body = api.says(ADVICE).to_string();
        let doubled = body.replacen(&format!("\"{field}\":"), &format!("\"{field}\":\"refusal\",\"{field}\":"), 1);
        assert!(read(api, 200, doubled.as_bytes()).is_err() && doubled != body, "{doubled}");
    }
}

proptest! {
    #[test]
    fn bytes_of_any_kind_never_panic(body in proptest::collection::vec(any::<u8>(), 0..300), status: u16) {
        for api in Api::BOTH {
            prop_assert!(read(api, status, &body).is_err());
        }
    }

    #[test]
    fn a_body_with_some_bytes_changed_says_what_it_says_or_nothing(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for api in Api::BOTH {
            let mut body = api.says(ADVICE).to_string().into_bytes();
            for (at, byte) in &changes {
                let at = at.index(body.len());
                body[at] = *byte;
            }
            if let Ok(answer) = read(api, 200, &body) {
                // An answer that is taken is written in the body, in those words.
                let text = serde_json::to_string(&answer.text).unwrap();
                let written = String::from_utf8(body).unwrap();
                let unescaped = serde_json::from_str::<serde_json::Value>(&written).unwrap();
                let there = match api {
                    Api::Anthropic => unescaped["content"][0]["text"].clone(),
                    _ => unescaped["choices"][0]["message"]["content"].clone(),
                };
                prop_assert_eq!(there.as_str(), Some(answer.text.as_str()), "{}", text);
            }
        }
    }

    #[test]
    fn a_status_that_is_no_success_is_no_answer_whatever_comes_with_it(status in 300..1000_u16) {
        for api in Api::BOTH {
            prop_assert!(read(api, status, api.says(ADVICE).to_string().as_bytes()).is_err());
        }
    }
}
