//! Keys are in nothing that is shown, written or kept, however hard a server tries.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use scaling_llm::{AnthropicModel, ApiKey, ChatModel, Environment, OpenAiModel, RecordingModel};
use tracing_subscriber::fmt::MakeWriter;

use crate::server::{Reply, Seen};
use crate::strict::{Api, KEY};
use crate::{SYSTEM, USER, World};

/// A log that is kept.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// The key as it came, which is what a server could repeat.
fn key(seen: &Seen) -> String {
    let bearer = seen.header("authorization").unwrap();
    bearer.strip_prefix("Bearer ").unwrap().to_owned()
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("\\u{byte:04x}")).collect::<Vec<_>>().concat()
}

type Repeat = fn(Api, &str) -> Reply;

#[tokio::test(start_paused = true)]
async fn a_key_that_a_server_repeats_is_nowhere_to_be_found() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_max_level(tracing::Level::TRACE).finish();
    // For all threads: with one of its own for each, a callsite that another test came across first would stay silent.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let repeats: [Repeat; 9] = [
        |api, key| Reply::answer(400, &[], api.fails(&format!("bad {key}"), Some(key)).to_string()),
        |api, key| {
            Reply::answer(500, &[], api.fails("x", None).to_string().replace("\"m\"", &format!("\"you sent {key}\"")))
        },
        |_, key| Reply::answer(403, &[], format!("<html>{key}</html>")),
        |_, key| Reply::ok(format!("{{\"error\":{{\"message\":\"you sent {key}\"}},\"type\":\"error\"}}")),
        |_, key| Reply::ok(format!("{{\"error\":{{\"message\":\"you sent {}\"}},\"type\":\"error\"}}", escaped(key))),
        |_, key| Reply::ok(format!("{{\"type\":\"{key}\",\"choices\":\"{key}\"}}")),
        |api, key| {
            Reply::answer(
                200,
                &[("request-id", key)],
                api.says(&format!("the key is {key}")).to_string().replace("claude-haiku", key),
            )
        },
        |api, key| Reply::ok(api.says("MARK").to_string().replace("MARK", &escaped(key))),
        |_, key| Reply::answer(302, &[("location", &format!("http://{}/", key.replace(['/', '+', '='], "x")))], ""),
    ];
    for api in Api::BOTH {
        for (nth, repeat) in repeats.into_iter().enumerate() {
            let world = World::new(api, move |seen, _| repeat(api, &key(seen))).await;
            let model = RecordingModel::new(world.model());
            let answer = model.complete(SYSTEM, USER).await;
            let shown = format!(
                "{answer:?} {} {}",
                model.transcript().to_json_lines(),
                match &answer {
                    Ok(answer) => format!("{answer:?}"),
                    Err(error) => format!("{error} {error:?}"),
                }
            );
            assert!(!shown.contains(KEY), "{api:?} {nth}: {shown}");
        }
    }
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("trying again"), "the log is kept: {logged}");
    assert!(!logged.contains(KEY) && !logged.contains("pr0mpt-m4rk"), "{logged}");
}

#[tokio::test]
async fn no_debug_shows_a_key() {
    let world = World::always(Api::Anthropic, Reply::Hang).await;
    for key in [ApiKey::new(KEY), ApiKey::None, ApiKey::file("/run/key")] {
        let (anthropic, openai) = (world.anthropic(key.clone()), world.openai(key.clone()));
        let shown = format!(
            "{key:?} {anthropic:?} {openai:?} {:?} {:?} {:?}",
            AnthropicModel::new(anthropic.clone()).unwrap(),
            AnthropicModel::new(anthropic.clone().x_api_key()).unwrap(),
            OpenAiModel::new(openai.clone()).unwrap(),
        );
        assert!(!shown.contains(KEY), "{shown}");
    }
    let base =
        |name| (name == "ANTHROPIC_BASE_URL").then(|| "https://user:hunter2@gw.example.com/v1?token=t0ken".to_owned());
    let environment = Environment::of(base);
    let config = world.anthropic(ApiKey::None).base_url("https://user:hunter2@gw.example.com/v1?token=t0ken");
    for shown in [format!("{environment:?}"), format!("{config:?}")] {
        assert!(shown.contains("gw.example.com") && !shown.contains("hunter2") && !shown.contains("t0ken"), "{shown}");
    }
}
