//! One decision with a language model as adviser: the baseline's size, the advice, and what is left of it.
//!
//!     cargo run --release --features llm --example llm_decision -- --situation flash_sale_in_five_minutes
//!     cargo run --release --features llm --example llm_decision -- metrics.jsonl --record answers.jsonl
//!     cargo run --release --features llm --example llm_decision -- metrics.jsonl --replay answers.jsonl
//!
//! With a key (ANTHROPIC_API_KEY or OPENAI_API_KEY) a real model is asked; without one the baseline decides, which is said once. Notice
//! the reasons that begin with `llm:`: they say what was picked instead of what, or why no advice was followed.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use examples::llm::{self, ModelChoice};
use examples::reading::{self, ReadingArguments};
use examples::{Failure, MayClose};
use scaling_core::chrono::{DateTime, TimeDelta};
use scaling_core::source::parse::Undated;
use scaling_core::{DecisionEngine, Observation, PlannedEvent, RuleBasedEngine, ScalingDecision, Target};
use scaling_llm::{AnswerFormat, ChatModel, RecordingModel};

const EXAMPLES: &str = "Examples:
  cargo run --release --features llm --example llm_decision
  cargo run --release --features llm --example llm_decision -- --situation flash_sale_in_five_minutes --model scripted:greedy
  cargo run --release --features llm --example llm_decision -- metrics.jsonl --record answers.jsonl
  cargo run --release --features llm --example llm_decision -- metrics.jsonl --replay answers.jsonl --json";

#[derive(Parser)]
#[command(name = "llm_decision", version, about = "One decision with a language model as adviser", after_help = EXAMPLES)]
struct Arguments {
    /// Metrics, the newest of which is the present, as `decide` takes them; `-` for standard input.
    #[arg(conflicts_with = "situation")]
    file: Option<PathBuf>,
    #[command(flatten)]
    reading: ReadingArguments,
    /// A situation of `test_data/llm_situations.json` or of the dataset instead of a file.
    #[arg(long, value_name = "NAME", default_value = "high_load_spike")]
    situation: String,
    /// Declares an event; may be given several times.
    #[arg(long, value_name = "NAME,START,END,FACTOR", value_parser = examples::event)]
    event: Vec<PlannedEvent>,
    /// Model: scripted:NAME, or env for the API whose key is set.
    #[arg(long, default_value = "env", conflicts_with = "replay")]
    model: ModelChoice,
    /// Writes what was asked and answered into a transcript.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Answers from a transcript instead of asking.
    #[arg(long, value_name = "FILE", conflicts_with = "record")]
    replay: Option<PathBuf>,
    /// The decision as JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    examples::exit(run(&Arguments::parse(), &mut MayClose(std::io::stdout().lock())))
}

fn run(arguments: &Arguments, out: &mut impl Write) -> Result<(), Failure> {
    let observation = observation(arguments)?;
    let choice = arguments.replay.clone().map_or_else(|| arguments.model.clone(), ModelChoice::Replay);
    let model = choice.model(AnswerFormat::Advice)?;
    if model.is_none() {
        // Not on standard output, which may be JSON for a program.
        eprintln!("note: {}; the baseline decides", llm::NO_MODEL);
    }
    let runtime = llm::runtime()?;
    let baseline = runtime.block_on(RuleBasedEngine::default().decide(&observation)).map_err(Failure::input)?;
    let recorder = model.map(|model| Arc::new(RecordingModel::new(model)));
    let decision = match &recorder {
        None => baseline.clone(),
        Some(recorder) => {
            let engine = llm::engine(Arc::clone(recorder) as Arc<dyn ChatModel>)?;
            runtime.block_on(engine.decide(&observation)).map_err(Failure::input)?
        }
    };
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&decision).map_err(Failure::failed)?)?;
    } else {
        told("baseline", &baseline, false, out)?;
        told("decision", &decision, true, out)?;
    }
    if let (Some(path), Some(recorder)) = (&arguments.record, &recorder) {
        let transcript = recorder.transcript();
        std::fs::write(path, transcript.to_json_lines())
            .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
        eprintln!("note: {} exchanges are in {}", transcript.len(), path.display());
    }
    Ok(())
}

fn told(name: &str, decision: &ScalingDecision, with_reasons: bool, out: &mut impl Write) -> Result<(), Failure> {
    let (from, to, sure) = (decision.current_replicas, decision.wanted(), 100.0 * decision.confidence.value());
    writeln!(out, "{name} ({}): {from} -> {to} pods, {sure:.0} % sure", decision.engine)?;
    let mut reasons = decision.reasons.iter().filter(|_| with_reasons);
    Ok(reasons.try_for_each(|reason| writeln!(out, "    {reason}"))?)
}

fn observation(arguments: &Arguments) -> Result<Observation, Failure> {
    let Some(file) = &arguments.file else {
        let situation = llm::situation(&arguments.situation)?;
        let events = situation.observation.events.iter().chain(&arguments.event).cloned().collect::<Vec<_>>();
        return Ok(situation.observation.with_events(events));
    };
    let bytes = examples::read(file)?;
    let name = examples::place(file);
    // Undated samples end on a Monday at noon and are a minute apart.
    let end = DateTime::from_timestamp(1_767_614_400, 0).unwrap_or_default();
    let undated = Undated { end, interval: TimeDelta::minutes(1) };
    let read = arguments.reading.reader().undated(undated).read(&bytes);
    let read = read.map_err(|error| Failure::input(format!("{name}: {error}")))?;
    for note in reading::notes(&read) {
        eprintln!("{note}");
    }
    let found = Observation::from_samples(Target::deployment("example", "workload"), read.into_metrics());
    let (observation, _) = found.ok_or_else(|| Failure::input(format!("{name}: there is no sample")))?;
    Ok(observation.with_events(arguments.event.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(arguments: &[&str]) -> Result<String, String> {
        let arguments = Arguments::try_parse_from(std::iter::once(&"llm_decision").chain(arguments))
            .map_err(|error| error.to_string())?;
        examples::outcome(|out| run(&arguments, out))
    }

    #[test]
    fn without_a_key_the_baseline_decides_and_with_a_script_it_is_advised() {
        let alone = output(&[]).unwrap();
        assert!(alone.contains("decision (rules): 3 -> 12 pods"), "{alone}");
        let advised = output(&["--model", "scripted:greedy"]).unwrap();
        assert!(advised.contains("baseline (rules): 3 -> 12 pods") && advised.contains("llm: picked"), "{advised}");
    }

    #[test]
    fn a_recorded_decision_is_replayed_to_the_byte() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("answers.jsonl");
        let file = file.to_str().unwrap();
        let recorded = output(&["--model", "scripted:random:3", "--record", file, "--json"]).unwrap();
        assert_eq!(output(&["--replay", file, "--json"]), Ok(recorded));
        let other = output(&["--replay", file, "--situation", "real_spike"]).unwrap();
        assert!(other.contains("not in the transcript"), "{other}");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let error = output(&["--situation", "none"]).unwrap_err();
        assert!(error.starts_with("2: there is no situation \"none\"; there are normal_load, "), "{error}");
        assert!(output(&["--replay", "/no/such/file"]).unwrap_err().starts_with("2: /no/such/file"));
    }
}
