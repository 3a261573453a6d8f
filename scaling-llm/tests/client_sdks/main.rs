//! The judges of the other tests, judged: the official SDKs of both providers send to them what our back ends send, and read what
//! they answer.
//!
//! `.ci/llm-sdks` installs the SDKs. The Python that has them is looked for in `LLM_SDKS_PYTHON`, where that script puts it, and as
//! `python3`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_debug_implementations,
    missing_docs,
    unreachable_pub
)]

#[allow(dead_code)] // some ways to answer are not needed here
#[path = "../../../scaling-core/tests/http/server.rs"]
mod server;
#[path = "../support/answers.rs"]
mod spoken;
#[allow(dead_code)] // the APIs that have no SDK of their own
#[path = "../support/strict.rs"]
mod strict;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use scaling_llm::{AnthropicConfig, AnthropicModel, ApiKey, ChatModel, OpenAiConfig, OpenAiModel, Usage};
use serde_json::{Value, json};
use server::{Reply, Seen, Server};
use spoken::{ADVICE, ok};
use strict::{ANTHROPIC_FIELDS, Api, KEY, OPENAI_FIELDS};

/// The Python that has the SDKs. `None`, with a sentence, if there is none; a panic instead where CI is set.
fn python() -> Option<PathBuf> {
    let installed = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/tools/llm-sdks/bin/python"));
    let named = std::env::var_os("LLM_SDKS_PYTHON").filter(|name| !name.is_empty()).map(PathBuf::from);
    let program = named.unwrap_or(if installed.exists() { installed } else { "python3".into() });
    let mut command = Command::new(&program);
    let tried = command.args(["-c", "import anthropic, openai"]).stderr(Stdio::null()).status();
    if tried.is_ok_and(|status| status.success()) {
        return Some(program);
    }
    let missing = "the SDKs of Anthropic and OpenAI are not installed (run .ci/llm-sdks, or set LLM_SDKS_PYTHON): the servers of \
                   these tests are not held against them";
    assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "{missing}");
    println!("skipped: {missing}");
    None
}

/// Answers both APIs on one port, after the judge of each.
fn script(seen: &Seen, _: usize) -> Reply {
    let api = match &seen.line {
        line if line.contains("/v1/messages") => Api::Anthropic,
        line if line.contains("/deployments/") => Api::AzureDated,
        _ => Api::OpenAi,
    };
    api.refusal(seen).unwrap_or_else(|| {
        let body = String::from_utf8(seen.body.clone()).unwrap();
        match body.split("answer:").nth(1).and_then(|rest| rest.split('"').next()) {
            Some("thinking") => ok(&api.ends(
                "end_turn",
                &json!([{"type": "thinking", "thinking": "", "signature": "s"}, {"type": "text", "text": ADVICE}]),
            )),
            Some("truncated") => ok(&api.truncated()),
            Some("refused") => ok(&api.refuses()),
            Some("spent") => {
                let code = if api == Api::Anthropic { "enforced_spend_limit_reached" } else { "insufficient_quota" };
                Reply::answer(
                    429,
                    &[("request-id", "req_7"), ("x-request-id", "req_7")],
                    api.fails("rate_limit_error", Some(code)).to_string(),
                )
            }
            Some("overloaded") => Reply::answer(
                529,
                &[("request-id", "req_7"), ("x-request-id", "req_7")],
                api.fails("overloaded_error", None).to_string(),
            ),
            _ => ok(&api.says(ADVICE)),
        }
    })
}

fn told_by_sdks(program: PathBuf, url: &str, given: &Value) -> Value {
    let mut command = Command::new(program);
    command.arg("-B").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/client_sdks/sdks.py")).arg(url);
    for name in [
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "ANTHROPIC_BASE_URL",
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "OPENAI_ORG_ID",
    ] {
        command.env_remove(name);
    }
    command.env("NO_PROXY", "127.0.0.1").env("HOME", "/nonexistent");
    let mut running = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    running.stdin.take().unwrap().write_all(given.to_string().as_bytes()).unwrap();
    let output = running.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn the_official_sdks_send_what_we_send_and_read_what_the_judges_answer() {
    let Some(program) = python() else { return };
    let server = Server::start(script).await;
    let url = server.url();
    let anthropic = AnthropicModel::new(AnthropicConfig::new(ApiKey::new(KEY)).base_url(&url)).unwrap();
    let openai = OpenAiModel::new(OpenAiConfig::openai(ApiKey::new(KEY)).base_url(format!("{url}/v1"))).unwrap();
    let (system, user) = ("You advise an autoscaler.", "answer:advice");
    let parsed = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
    let given = json!({
        "key": KEY,
        "anthropic": parsed(&anthropic.request(system, user)),
        "openai": parsed(&openai.request(system, user)),
    });
    let ours = [anthropic.complete(system, user).await.unwrap(), openai.complete(system, user).await.unwrap()];
    let before = server.seen();
    let told = {
        let given = given.clone();
        tokio::task::spawn_blocking(move || told_by_sdks(program, &url, &given)).await.unwrap()
    };

    // The first request of each SDK has the body and the headers that ours has.
    let theirs = server.seen().split_off(before.len());
    for (mine, path) in before.iter().zip(["/v1/messages", "/v1/chat/completions"]) {
        let their = theirs.iter().find(|seen| seen.line.contains(path)).unwrap();
        assert_eq!((&their.line, parsed(&their.body)), (&mine.line, parsed(&mine.body)));
        for name in ["authorization", "x-api-key", "anthropic-version", "anthropic-beta", "content-type"] {
            assert_eq!(their.header(name), mine.header(name), "{path}: {name}");
        }
    }

    // What the judges answer means to the SDKs what it means to us.
    for (api, ours) in ["anthropic", "openai"].into_iter().zip(&ours) {
        let told = &told[api];
        assert_eq!(
            (&told["advice"]["text"], &told["advice"]["id"]),
            (&json!(ours.text), &json!(ours.request_id)),
            "{api}"
        );
        assert_eq!(told["advice"]["model"], json!(ours.model), "{api}");
        let Usage { input_tokens, output_tokens, cache_read_tokens, cache_write_tokens } = ours.usage;
        // Anthropic counts what was cached beside the rest of the question, OpenAI within it.
        let uncached =
            if api == "anthropic" { input_tokens - cache_read_tokens - cache_write_tokens } else { input_tokens };
        assert_eq!(told["advice"]["tokens"], json!([uncached, cache_read_tokens, cache_write_tokens, output_tokens]));
    }
    let (claude, gpt) = (&told["anthropic"], &told["openai"]);
    assert_eq!((&claude["thinking"]["text"], &claude["truncated"]["stop"]), (&json!(ADVICE), &json!("max_tokens")));
    assert_eq!((&claude["refused"]["stop"], &gpt["truncated"]["stop"]), (&json!("refusal"), &json!("length")));
    assert_eq!((&gpt["refused"]["text"], &gpt["refused"]["stop"]), (&Value::Null, &json!("stop")));
    assert_eq!(gpt["azure"], json!(ADVICE));

    // The judges know the fields that the SDKs know, and no others.
    assert_eq!(claude["fields"], json!(ANTHROPIC_FIELDS[..]));
    assert_eq!(gpt["fields"], json!(OPENAI_FIELDS[..]));

    // What they refuse, the SDKs raise.
    for (told, case, raised, status, kind) in [
        (claude, "spent", "EnforcedSpendLimitReachedError", 429, "rate_limit_error"),
        (claude, "overloaded", "OverloadedError", 529, "overloaded_error"),
        (claude, "wrong key", "AuthenticationError", 401, "authentication_error"),
        (claude, "both keys", "BadRequestError", 400, "invalid_request_error"),
        (claude, "temperature", "BadRequestError", 400, "invalid_request_error"),
        (claude, "unknown field", "BadRequestError", 400, "invalid_request_error"),
        (claude, "bounds in the schema", "BadRequestError", 400, "invalid_request_error"),
        (claude, "unknown model", "NotFoundError", 404, "not_found_error"),
        (gpt, "spent", "RateLimitError", 429, "rate_limit_error"),
        (gpt, "overloaded", "InternalServerError", 529, "overloaded_error"),
        (gpt, "wrong key", "AuthenticationError", 401, "invalid_request_error"),
        (gpt, "temperature", "BadRequestError", 400, "invalid_request_error"),
        (gpt, "unknown field", "BadRequestError", 400, "invalid_request_error"),
        (gpt, "old limit", "BadRequestError", 400, "invalid_request_error"),
    ] {
        let said = &told[case];
        assert_eq!(
            (&said["raised"], &said["status"], &said["type"]),
            (&json!(raised), &json!(status), &json!(kind)),
            "{case}"
        );
    }
}
