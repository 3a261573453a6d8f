//! Decisions in words: the records of a run, a paragraph each, by a model or by the template that is always there.
//!
//!     cargo run --release --example autoscale -- --records records.jsonl
//!     cargo run --release --features llm --example llm_explain -- records.jsonl --changes --limit 3
//!
//! A model is given the numbers of a record and no text of the cluster. A text of it that holds a number which does not occur in the
//! record is not shown: the template's is, and the line below says why. Exit code 2 for records that cannot be read.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use examples::llm::{self, ModelChoice};
use examples::{Failure, MayClose};
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::source::parse;
use scaling_core::{DecisionRecord, Outcome};
use scaling_llm::explain::{Explainer, Explanation};
use scaling_llm::{AnswerFormat, ChatModel};
use serde::Serialize;

const EXAMPLES: &str = "Examples:
  cargo run --release --features llm --example llm_explain -- records.jsonl
  cargo run --release --features llm --example llm_explain -- records.jsonl --changes --from 2026-01-15T19:00:00Z --to 2026-01-15T22:00:00Z
  cargo run --release --features llm --example llm_explain -- records.jsonl --target shop/checkout --json";

#[derive(Parser)]
#[command(name = "llm_explain", version, about = "Decisions in words: the records of a run, a paragraph each", after_help = EXAMPLES)]
struct Arguments {
    /// Records, one JSON object a line, as `autoscale --records` writes them; `-` for standard input.
    records: PathBuf,
    /// Only this workload.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    target: Option<String>,
    /// Only from this instant on.
    #[arg(long, value_parser = instant)]
    from: Option<DateTime<Utc>>,
    /// Only before this instant.
    #[arg(long, value_parser = instant)]
    to: Option<DateTime<Utc>>,
    /// Only where something was changed, planned or validated.
    #[arg(long)]
    changes: bool,
    /// So many at most, the newest.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Model that writes: scripted:NAME, replay:FILE, or env for the API whose key is set.
    #[arg(long, default_value = "env")]
    model: ModelChoice,
    /// One JSON object a line, with who wrote it.
    #[arg(long)]
    json: bool,
}

fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    parse::instant(text).map_err(|error| error.to_string())
}

fn main() -> ExitCode {
    examples::exit(run(&Arguments::parse(), &mut MayClose(std::io::stdout().lock())))
}

fn run(arguments: &Arguments, out: &mut impl Write) -> Result<(), Failure> {
    let mut chosen = llm::records(&arguments.records)?;
    chosen.retain(|record| is_meant(arguments, record));
    let surplus = chosen.len().saturating_sub(usize::try_from(arguments.limit).unwrap_or(usize::MAX));
    chosen.drain(..surplus);
    if chosen.is_empty() {
        return Err(Failure::input(format!(
            "{}: no record is meant by these arguments",
            examples::place(&arguments.records)
        )));
    }
    let explainer = arguments.model.model(AnswerFormat::Text)?.map(Explainer::new);
    if explainer.is_none() {
        // Not on standard output, which may be JSON for a program.
        eprintln!("note: {}; the template explains", llm::NO_MODEL);
    }
    let runtime = llm::runtime()?;
    for record in &chosen {
        let explanation = runtime.block_on(explained(explainer.as_ref(), record));
        told(arguments, record, &explanation, out)?;
        out.flush()?;
    }
    Ok(())
}

async fn explained(explainer: Option<&Explainer<Arc<dyn ChatModel>>>, record: &DecisionRecord) -> Explanation {
    match explainer {
        Some(explainer) => explainer.explain(record).await,
        None => Explanation::plain(record),
    }
}

fn is_meant(arguments: &Arguments, record: &DecisionRecord) -> bool {
    let name = format!("{}/{}", record.target.namespace, record.target.name);
    let is_change = matches!(record.outcome, Outcome::Planned | Outcome::Validated | Outcome::Applied);
    arguments.target.as_ref().is_none_or(|target| *target == name)
        && arguments.from.is_none_or(|from| record.at >= from)
        && arguments.to.is_none_or(|to| record.at < to)
        && (is_change || !arguments.changes)
}

#[derive(Serialize)]
struct Line<'a> {
    at: DateTime<Utc>,
    target: String,
    #[serde(flatten)]
    explanation: &'a Explanation,
}

fn told(
    arguments: &Arguments,
    record: &DecisionRecord,
    explanation: &Explanation,
    out: &mut impl Write,
) -> Result<(), Failure> {
    if arguments.json {
        let line = Line { at: record.at, target: record.target.to_string(), explanation };
        let line = serde_json::to_string(&line).map_err(Failure::failed)?;
        return Ok(writeln!(out, "{line}")?);
    }
    writeln!(out, "{}", explanation.text)?;
    if let Some(why) = &explanation.instead {
        writeln!(out, "    (by the template: {why})")?;
    }
    Ok(writeln!(out)?)
}

#[cfg(test)]
mod tests {
    use scaling_core::{ApplyMode, ScalingDecision, Target};

    use super::*;

    fn output(file: &std::path::Path, arguments: &[&str]) -> Result<String, String> {
        let first = ["llm_explain", file.to_str().unwrap()];
        let arguments = Arguments::try_parse_from(first.iter().chain(arguments)).map_err(|error| error.to_string())?;
        examples::outcome(|out| run(&arguments, out))
    }

    fn written(lines: &[String]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), lines.join("\n")).unwrap();
        file
    }

    fn record(name: &str, second: i64, outcome: Outcome) -> String {
        let at = DateTime::from_timestamp(1_767_571_200 + second, 0).unwrap();
        let mut record = DecisionRecord::new(Target::deployment("shop", name), at, ApplyMode::Plan);
        record.decision = Some(ScalingDecision::replicas("rules", at, 4, 6).with_confidence(0.9));
        record.outcome = outcome;
        serde_json::to_string(&record).unwrap()
    }

    #[test]
    fn records_are_chosen_by_workload_time_and_change() {
        let undecided =
            || DecisionRecord::new(Target::deployment("a", "b"), DateTime::UNIX_EPOCH, ApplyMode::Plan).outcome;
        let lines = [
            r#"{"run":{"engine":"rules"}}"#.to_owned(),
            record("web", 0, undecided()),
            record("web", 60, Outcome::Planned),
            record("search", 120, Outcome::Planned),
        ];
        let file = written(&lines);
        let count = |arguments: &[&str]| {
            output(file.path(), arguments).map(|text| text.matches("rules asked for 6 pods").count())
        };
        assert_eq!(count(&[]), Ok(3));
        assert_eq!(count(&["--changes"]), Ok(2));
        assert_eq!(count(&["--target", "shop/web", "--changes"]), Ok(1));
        assert_eq!(count(&["--from", "2026-01-05T00:01:00Z", "--to", "2026-01-05T00:02:00Z"]), Ok(1));
        assert_eq!(count(&["--limit", "1"]), Ok(1));
        assert!(count(&["--target", "shop/none"]).unwrap_err().starts_with("2: "));
        let json = output(file.path(), &["--json", "--limit", "1"]).unwrap();
        let line: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((line["by"].as_str(), line["target"].as_str()), (Some("template"), Some("shop/Deployment/search")));
    }

    #[test]
    fn a_script_that_does_not_explain_leaves_it_to_the_template_and_it_is_said() {
        let file = written(&[record("web", 0, Outcome::Planned)]);
        let text = output(file.path(), &["--model", "scripted:greedy"]).unwrap();
        assert!(text.contains("rules asked for 6 pods") && text.contains("(by the template: "), "{text}");
    }

    #[test]
    fn a_line_that_is_no_record_is_named() {
        let file = written(&[record("web", 0, Outcome::Planned), r#"{"at":"noon"}"#.to_owned()]);
        let error = output(file.path(), &[]).unwrap_err();
        assert!(error.starts_with("2: ") && error.contains("line 2: "), "{error}");
    }
}
