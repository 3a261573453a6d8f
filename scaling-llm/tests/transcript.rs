//! A record of every exchange that replays to the same bytes, and holds no secret.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;

use async_trait::async_trait;
use proptest::prelude::*;
use scaling_llm::{
    ChatModel, Completion, ModelError, ModelId, RecordingModel, ReplayModel, TornLine, Transcript, TranscriptError,
    Usage,
};

/// Answers with the question itself, and with the error that a question names.
struct Echo;

#[async_trait]
impl ChatModel for Echo {
    fn id(&self) -> ModelId {
        ModelId::new("anthropic", "claude-haiku-5-5")
    }
    async fn complete(&self, _: &str, user: &str) -> Result<Completion, ModelError> {
        match user.split_once(' ') {
            Some(("refuse", _)) => Err(ModelError::Refused),
            Some(("down", why)) => Err(ModelError::Unavailable(why.to_owned())),
            _ => Ok(Completion {
                text: user.to_owned(),
                usage: Usage { input_tokens: 9, output_tokens: 2, cache_read_tokens: 3, cache_write_tokens: 1 },
                request_id: Some("req_1".into()),
                model: Some("claude-haiku-5-5-20261001".into()),
            }),
        }
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

fn ask(model: &impl ChatModel, user: &str) -> Result<Completion, ModelError> {
    block_on(model.complete("system", user))
}

#[test]
fn a_file_is_written_as_the_answers_come_and_is_appended_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exchanges.jsonl");
    let model = RecordingModel::to_file(Echo, &path).unwrap();
    ask(&model, "one").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1, "before the next, and before the end");
    ask(&model, "refuse two").unwrap_err();
    drop(model);
    let again = RecordingModel::to_file(Echo, &path).unwrap();
    ask(&again, "three").unwrap();
    let transcript = Transcript::from_file(&path).unwrap();
    assert_eq!((transcript.len(), transcript.torn(), transcript.model()), (3, None, Echo.id()));
    assert_eq!(transcript.to_json_lines(), fs::read_to_string(&path).unwrap());

    let replay = ReplayModel::new(transcript);
    assert_eq!(replay.id(), Echo.id());
    for question in ["one", "refuse two", "three"] {
        assert_eq!(ask(&replay, question), ask(&Echo, question), "tokens, ids and all");
    }
}

#[test]
fn memory_and_file_hold_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exchanges.jsonl");
    let model = RecordingModel::new(RecordingModel::to_file(Echo, &path).unwrap());
    for question in ["a", "down because \u{1F600} \"of\" \\ it", "refuse b", "a"] {
        let _ = ask(&model, question);
    }
    assert_eq!(model.transcript().to_json_lines(), fs::read_to_string(&path).unwrap());
}

#[test]
fn a_torn_last_line_is_left_out_and_said() {
    let recorder = RecordingModel::new(Echo);
    ask(&recorder, "one").unwrap();
    ask(&recorder, "två").unwrap();
    let whole = recorder.transcript().to_json_lines();
    let first = whole.find('\n').unwrap() + 1;
    let folder = tempfile::tempdir().unwrap();
    for end in first..whole.len() {
        let path = folder.path().join(end.to_string());
        // Cut anywhere, within a character too.
        fs::write(&path, &whole.as_bytes()[..end]).unwrap();
        let read = Transcript::from_file(&path).unwrap();
        let expected = match end - first {
            0 => (1, None),
            // Only its line end is missing.
            bytes if bytes == whole.len() - first - 1 => (2, None),
            bytes => (1, Some(TornLine { line: 2, bytes })),
        };
        assert_eq!((read.len(), read.torn()), expected, "cut at {end}");

        let model = RecordingModel::to_file(Echo, &path).unwrap();
        ask(&model, "three").unwrap();
        let read = Transcript::from_file(&path).unwrap();
        assert_eq!((read.len(), read.torn()), (expected.0 + 1, None), "mended, cut at {end}");
    }
}

#[test]
fn a_faulty_line_elsewhere_is_an_error_with_its_number() {
    let error = Transcript::from_json_lines("{\"system\n\n").unwrap_err();
    assert!(matches!(error, TranscriptError::Line { line: 1, .. }), "{error}");
    let error = Transcript::from_file("/nowhere/at all").unwrap_err();
    assert!(error.to_string().starts_with("transcript /nowhere/at all: "), "{error}");
    assert!(matches!(RecordingModel::to_file(Echo, "/nowhere/at all"), Err(TranscriptError::File { .. })));
}

#[test]
fn its_size_is_bounded_and_what_is_left_out_is_counted() {
    let line = {
        let model = RecordingModel::new(Echo);
        ask(&model, "0").unwrap();
        model.transcript().to_json_lines().len() as u64
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exchanges.jsonl");
    let memory = RecordingModel::new(Echo).at_most(3 * line);
    let file = RecordingModel::to_file(Echo, &path).unwrap().at_most(3 * line);
    for question in 0..10 {
        for answer in [ask(&memory, &question.to_string()), ask(&file, &question.to_string())] {
            assert_eq!(answer.unwrap().text, question.to_string(), "the answer is there all the same");
        }
    }
    assert_eq!((memory.transcript().len(), memory.omitted(), file.omitted()), (3, 7, 7));
    assert_eq!(fs::metadata(&path).unwrap().len(), 3 * line);
    // What is there already counts.
    let again = RecordingModel::to_file(Echo, &path).unwrap().at_most(3 * line);
    ask(&again, "0").unwrap();
    assert_eq!(again.omitted(), 1);
}

const KEY: &str = "sk-ant-api03-0123456789abcdef";

/// A model with a key, whose server repeats the header in whatever it answers.
struct Leaks;

#[async_trait]
impl ChatModel for Leaks {
    async fn complete(&self, _: &str, user: &str) -> Result<Completion, ModelError> {
        let header = format!("authorization: Bearer {KEY}");
        Err(match user {
            "unavailable" => ModelError::Unavailable(header),
            "rejected" => ModelError::Rejected(header),
            "denied" => ModelError::Denied(header),
            "spent" => ModelError::Spent(header),
            _ => {
                let (request_id, model) = (Some(header.clone()), Some(header.clone()));
                return Ok(Completion { text: header, request_id, model, ..Completion::default() });
            }
        })
    }
}

#[test]
fn no_byte_of_a_key_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exchanges.jsonl");
    let model = RecordingModel::to_file(Leaks, &path).unwrap().hiding(KEY).hiding("short");
    for question in ["unavailable", "rejected", "denied", "spent", "answered", KEY] {
        let _ = ask(&model, question);
    }
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 6);
    assert!(!text.contains(KEY) && !text.contains("0123456789"), "{text}");
    assert_eq!(text.matches("[hidden]").count(), 11, "{text}");
    let (in_file, in_memory) = (format!("{model:?}"), RecordingModel::new(Echo).hiding(KEY));
    assert!(!in_file.contains(KEY) && !format!("{in_memory:?}").contains(KEY));
}

impl std::fmt::Debug for Leaks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Leaks")
    }
}

impl std::fmt::Debug for Echo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Echo")
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn law_5_whatever_is_said_replays_to_the_same_bytes(questions in prop::collection::vec("\\PC{0,40}|[\\x00-\\x7f]{0,20}", 0..12)) {
        let recorder = RecordingModel::new(Echo);
        let first: Vec<_> = questions.iter().map(|question| ask(&recorder, question)).collect();
        let text = recorder.transcript().to_json_lines();
        let transcript = Transcript::from_json_lines(&text).unwrap();
        prop_assert_eq!(transcript.to_json_lines(), text);
        let replay = ReplayModel::new(transcript);
        let again: Vec<_> = questions.iter().map(|question| ask(&replay, question)).collect();
        prop_assert_eq!(again, first);
    }
}
