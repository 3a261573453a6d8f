//! Memory while servers flood: a process of its own, so that nothing else counts.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    missing_debug_implementations,
    missing_docs,
    unreachable_pub
)]

#[allow(dead_code)] // what came is not looked at here
#[path = "../../scaling-core/tests/http/server.rs"]
mod server;
#[allow(dead_code)] // the answers that are not asked for here
#[path = "support/answers.rs"]
mod spoken;
#[allow(dead_code)] // the APIs that are not asked here
#[path = "support/strict.rs"]
mod strict;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use scaling_core::http::{HttpConfig, Retry};
use scaling_llm::{AnthropicConfig, AnthropicModel, ApiKey, ChatModel, OpenAiConfig, OpenAiModel};
use server::{Reply, Server};
use spoken::{ADVICE, ok};
use strict::{Api, KEY};

/// Most that a question may take above the idle process, in KiB.
const ALLOWED: u64 = 8 << 10;

/// A line of the kernel's account of this process, in KiB.
fn kib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A hundred megabytes, packed without ever lying unpacked in memory.
fn bomb() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..1600 {
        encoder.write_all(&vec![b' '; 1 << 16]).unwrap();
    }
    encoder.finish().unwrap()
}

/// What a server does that floods, by its number.
fn flood(api: Api, number: usize) -> Reply {
    let endless = |head: &str, bytes: &[u8]| Reply::Endless(head.as_bytes().to_vec(), bytes.to_vec());
    let gzip = [("content-encoding", "gzip")];
    let blocks = format!("[{}{{\"type\":\"text\",\"text\":\"\"}}]", "{\"type\":\"x\"},".repeat(75_000));
    let list = |element: &str, count: usize| format!("[{}{element}]", format!("{element},").repeat(count));
    let answer = |name: &str, list: &str| {
        Reply::ok(format!("{{\"type\":\"message\",\"stop_reason\":\"end_turn\",\"{name}\":{list}}}"))
    };
    match number {
        0 => ok(&api.says(ADVICE)),
        1 => endless("HTTP/1.1 200 x\r\ncontent-length: 100000000\r\n\r\n", &vec![b' '; 1 << 16]),
        2 => endless("HTTP/1.1 200 x\r\n\r\n", &vec![b'['; 1 << 16]),
        3 => endless("HTTP/1.1 400 x\r\n\r\n", &vec![b'{'; 1 << 16]),
        4 => Reply::answer(200, &gzip, bomb()),
        5 => Reply::answer(404, &gzip, bomb()),
        6 => ok(&api.says(&ADVICE.replace("the queue grows", &"x".repeat(1_000_000)))),
        7 => answer("usage", &list("0", 450_000)),
        8 => answer("usage", &list("{}", 300_000)),
        9 => answer("content", &list("0", 450_000)),
        10 => answer("content", &blocks),
        11 => answer("choices", &list("{\"message\":{}}", 60_000)),
        12 => Reply::ok("[".repeat(1_000_000)),
        13 => Reply::ok(format!("{{\"error\":{}}}", list("0", 450_000))),
        14 => Reply::answer(500, &[], list("0", 450_000)),
        _ => Reply::answer(429, &[("retry-after", "x")], vec![0xff; 10 << 20]),
    }
}

async fn ask(api: Api, url: &str, number: usize) -> String {
    let once = |http: HttpConfig| http.retry(Retry::NEVER);
    let model: Box<dyn ChatModel> = if api == Api::Anthropic {
        let config = AnthropicConfig::new(ApiKey::new(KEY)).base_url(url).http(once);
        Box::new(AnthropicModel::new(config).unwrap())
    } else {
        let config = OpenAiConfig::openai(ApiKey::new(KEY)).base_url(format!("{url}/v1")).http(once);
        Box::new(OpenAiModel::new(config).unwrap())
    };
    format!("{:?}", model.complete("system", &format!("flood:{number}:")).await)
}

#[tokio::test]
async fn a_flood_takes_no_more_than_8_mib() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "the_server", "--nocapture"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut server = Stopped(command.spawn().unwrap());
    let mut lines = BufReader::new(server.0.stdout.take().unwrap()).lines();
    let url = lines.find_map(|line| Some(line.unwrap().split_once("listens at ")?.1.to_owned())).unwrap();
    for api in Api::BOTH {
        // What a client takes once, for certificates and buffers, is not the question's.
        for _ in 0..3 {
            let told = ask(api, &url, 0).await;
            assert!(told.starts_with("Ok"), "{told}");
        }
        let idle = kib("VmRSS:");
        // Forgets the peak of the start, where that is allowed; otherwise it counts as well.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        for number in 1..=15 {
            let told = ask(api, &url, number).await;
            let taken = kib("VmHWM:").saturating_sub(idle);
            println!("{api:?} flood {number}: at most {taken} KiB until here");
            assert!(
                taken <= ALLOWED,
                "{api:?}: flood {number} took {taken} KiB: {}",
                told.chars().take(200).collect::<String>()
            );
            assert!(
                told.starts_with("Err") || number == 6,
                "{api:?} {number}: {}",
                told.chars().take(200).collect::<String>()
            );
        }
    }
}

/// A process that ends with the test.
struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test]
#[ignore = "run by the other test, in a process of its own"]
async fn the_server() {
    let server = Server::start(|seen, _| {
        let api = if seen.line.contains("/v1/messages") { Api::Anthropic } else { Api::OpenAi };
        let body = String::from_utf8_lossy(&seen.body).into_owned();
        let number = body.split("flood:").nth(1).and_then(|rest| rest.split(':').next()).unwrap_or("0").parse();
        api.refusal(seen).unwrap_or_else(|| flood(api, number.unwrap_or_default()))
    });
    let server = server.await;
    println!("listens at {}", server.url());
    // It ends with the one who started it.
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await.unwrap().unwrap();
}
