//! A backtest with a language model as adviser, recorded once and replayed without it: the same bytes.
//!
//!     cargo run --release --features llm --example llm_replay
//!     cargo run --release --features llm --example llm_replay -- --model env --transcript answers.jsonl --hours 2
//!
//! Over the evening of the sale in the shipped history the rules decide alone, with advice that is recorded, and with the recording.
//! Notice that the last two are equal to the byte: decisions of a model can be tested and audited without a network. Exit code 1 if
//! they are not.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use examples::llm::{self, ModelChoice};
use examples::{Failure, MayClose};
use scaling_core::backtest::{Candidate, ClusterModel, Driver, Scenario, Score, Trace, score_one};
use scaling_core::{JsonLinesRecorder, MemoryRecorder, Recorder};
use scaling_llm::{AnswerFormat, ChatModel, RecordingModel, ReplayModel, Transcript};

const EXAMPLES: &str = "Examples:
  cargo run --release --features llm --example llm_replay
  cargo run --release --features llm --example llm_replay -- --model scripted:adversarial --hours 12
  cargo run --release --features llm --example llm_replay -- --model env --transcript answers.jsonl --hours 2
  cargo run --release --features llm --example llm_replay -- --model replay:answers.jsonl --hours 2";

#[derive(Parser)]
#[command(name = "llm_replay", version, about = "A backtest with a language model, recorded once and replayed without it", after_help = EXAMPLES)]
struct Arguments {
    /// Model: scripted:NAME, replay:FILE, or env for the API whose key is set. Each decision is a question: a real model costs.
    #[arg(long, default_value = "scripted:random")]
    model: ModelChoice,
    /// Hours that are replayed, from before the sale on.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=48))]
    hours: u32,
    /// Writes the exchanges into a transcript.
    #[arg(long, value_name = "FILE")]
    transcript: Option<PathBuf>,
}

fn main() -> ExitCode {
    examples::exit(run(&Arguments::parse(), &mut MayClose(std::io::stdout().lock())))
}

fn run(arguments: &Arguments, out: &mut impl Write) -> Result<(), Failure> {
    let scenario = scenario(arguments.hours)?;
    let runtime = llm::runtime()?;
    let model = arguments.model.model(AnswerFormat::Advice)?;
    let model = model.ok_or_else(|| Failure::input(format!("--model env: {}", llm::NO_MODEL)))?;
    writeln!(out, "answers of {}", llm::named(&model))?;
    let alone = runtime.block_on(backtest(&scenario, None))?;
    told("rules alone", &alone, out)?;
    let listening = Arc::new(RecordingModel::new(model));
    let recorded = runtime.block_on(backtest(&scenario, Some(Arc::clone(&listening) as Arc<dyn ChatModel>)))?;
    told("with advice", &recorded, out)?;
    let transcript = listening.transcript();
    let written = transcript.to_json_lines();
    if let Some(path) = &arguments.transcript {
        examples::write(path, &written, out)?;
    }
    // Through its written form, as from a file.
    let read = Transcript::from_json_lines(&written).map_err(Failure::failed)?;
    let replayed = runtime.block_on(backtest(&scenario, Some(Arc::new(ReplayModel::new(read)))))?;
    told("replayed", &replayed, out)?;
    if replayed.records != recorded.records {
        return Err(Failure::failed("the replay differs from what was recorded"));
    }
    let (exchanges, bytes) = (transcript.len(), replayed.records.len());
    Ok(writeln!(out, "{exchanges} exchanges; the {bytes} bytes of records are equal")?)
}

/// Score and records of one run.
struct Outcome {
    score: Score,
    records: Vec<u8>,
}

async fn backtest(scenario: &Scenario, model: Option<Arc<dyn ChatModel>>) -> Result<Outcome, Failure> {
    let records = Arc::new(MemoryRecorder::new());
    let kept = Arc::clone(&records);
    let candidate = Candidate::direct("advised", move |_| {
        let engine: Box<dyn scaling_core::DecisionEngine> = match &model {
            Some(model) => llm::engine(Arc::clone(model)).map_err(|failure| failure.to_string())?,
            None => Box::new(scaling_core::RuleBasedEngine::default()),
        };
        Ok(Driver::direct(engine).recorded_by(Arc::clone(&kept)))
    });
    let score = score_one(scenario, &candidate, &()).await.map_err(Failure::failed)?;
    let lines = JsonLinesRecorder::new(Vec::new());
    records.records().iter().try_for_each(|record| lines.record(record)).map_err(Failure::failed)?;
    Ok(Outcome { score, records: lines.finish()? })
}

/// The evening of the sale: the eleventh day of fourteen, from two hours before it begins.
fn scenario(hours: u32) -> Result<Scenario, Failure> {
    let path = examples::shop_history();
    let trace = Trace::parse("shop_history", &examples::read(&path)?).map_err(Failure::input)?;
    let from = 10.0 + 18.0 / 24.0;
    let model = ClusterModel { pod_capacity: trace.pod_capacity().unwrap_or(50.0), ..ClusterModel::default() };
    let longest = Duration::from_secs(u64::from(hours) * 3600);
    Ok(Scenario {
        history_share: from / 14.0,
        longest,
        settle: Duration::from_secs(900),
        ..Scenario::new(trace, model)
    })
}

fn told(name: &str, outcome: &Outcome, out: &mut impl Write) -> Result<(), Failure> {
    let Score { pod_hours, violating_share, peak_pods, .. } = outcome.score;
    let late = 100.0 * violating_share;
    Ok(writeln!(out, "{name:12} {pod_hours:8.1} pod-hours, {late:.2} % of requests late, at most {peak_pods} pods")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_recorded_is_replayed_to_the_byte() {
        for model in ["scripted:random", "scripted:adversarial"] {
            let arguments = Arguments::try_parse_from(["llm_replay", "--hours", "1", "--model", model]).unwrap();
            let text = examples::outcome(|out| run(&arguments, out)).unwrap();
            assert!(text.contains("bytes of records are equal") && text.contains("rules alone"), "{text}");
            assert!(!text.contains("\n0 exchanges"), "{text}");
        }
    }
}
