//! Does a language model help? Labelled situations, each replayed under the baseline's size, the advised one and the best.
//!
//!     cargo run --release --features llm --example llm_eval -- --model scripted:greedy
//!     cargo run --release --features llm --example llm_eval -- --model env --record answers.jsonl
//!     cargo run --release --features llm --example llm_eval -- --model replay:answers.jsonl
//!
//! Situations are the eight of the dataset and those of `test_data/llm_situations.json`: a sale, a version that fails, a dependency that
//! is down. Each model is asked once about each; what it says is replayed in the backtest over the load that came next. The last line
//! says whose answers were measured. Scripts (agreeing, greedy, timid, random, adversarial) show what the path around a model lets
//! through; a real one has to be better than agreeing.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use examples::llm::{self, ModelChoice};
use examples::{Failure, MayClose};
use scaling_core::stats::grouped;
use scaling_llm::eval::{EvalConfig, EvalReport, Held, Proposal, ScriptedModel, Summary, Totals, evaluate};
use scaling_llm::{AnswerFormat, ChatModel};

const EXAMPLES: &str = "Examples:
  cargo run --release --features llm --example llm_eval
  cargo run --release --features llm --example llm_eval -- --model scripted:greedy --each
  cargo run --release --features llm --example llm_eval -- --model env --record answers.jsonl --price 0.1,0.5
  cargo run --release --features llm --example llm_eval -- --model replay:answers.jsonl --json report.json";

#[derive(Parser)]
#[command(name = "llm_eval", version, about = "Does a language model help? Labelled situations, replayed", after_help = EXAMPLES)]
struct Arguments {
    /// Model: scripted:NAME, replay:FILE, or env for the API whose key is set; may be given several times. By default all scripts.
    #[arg(long)]
    model: Vec<ModelChoice>,
    /// Situations; by default those that come with the examples, and the eight of the dataset.
    #[arg(long, value_name = "FILE")]
    situations: Option<PathBuf>,
    /// Prices of a million tokens of questions and of answers.
    #[arg(long, value_name = "IN,OUT", value_parser = price)]
    price: Option<(f64, f64)>,
    /// Writes the exchanges of the only model into a transcript, to be replayed.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Shows each situation.
    #[arg(long)]
    each: bool,
    /// Writes everything as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn price(text: &str) -> Result<(f64, f64), String> {
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|price| price.is_finite() && *price >= 0.0);
    let pair = text.split_once(',').and_then(|(input, output)| Some((number(input)?, number(output)?)));
    pair.ok_or_else(|| "expected two prices: IN,OUT".to_owned())
}

fn main() -> ExitCode {
    examples::exit(run(&Arguments::parse(), &mut MayClose(std::io::stdout().lock())))
}

fn run(arguments: &Arguments, out: &mut impl Write) -> Result<(), Failure> {
    let situations = llm::situations(arguments.situations.as_deref())?;
    let chosen = if arguments.model.is_empty() {
        ScriptedModel::ALL.map(ModelChoice::Scripted).to_vec()
    } else {
        arguments.model.clone()
    };
    if arguments.record.is_some() && chosen.len() != 1 {
        return Err(Failure::input("--record is for one --model"));
    }
    let config = EvalConfig { price: arguments.price, ..EvalConfig::default() };
    let runtime = llm::runtime()?;
    let mut reports = Vec::new();
    for choice in &chosen {
        let model = choice.model(AnswerFormat::Advice)?;
        let model = model.ok_or_else(|| Failure::input(format!("--model env: {}", llm::NO_MODEL)))?;
        let recorder = Arc::new(scaling_llm::RecordingModel::new(model));
        let asked = Arc::clone(&recorder) as Arc<dyn ChatModel>;
        let report = runtime.block_on(evaluate(asked, &situations, &config)).map_err(Failure::failed)?;
        if let Some(path) = &arguments.record {
            examples::write(path, &recorder.transcript().to_json_lines(), out)?;
        }
        reports.push(report);
    }
    if arguments.each {
        reports.iter().try_for_each(|report| each(report, out))?;
    }
    summary(&reports, out)?;
    if let Some(path) = &arguments.json {
        let json = serde_json::to_string_pretty(&reports).map_err(Failure::failed)?;
        examples::write(path, &json, out)?;
    }
    for report in &reports {
        writeln!(out, "{}", report.measured())?;
    }
    Ok(())
}

fn table(header: &[&str]) -> Table {
    let rule = LineStyle::none().fill('─').junction('─');
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(rule)).set_header(header.to_vec());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

fn each(report: &EvalReport, out: &mut impl Write) -> Result<(), Failure> {
    let size = |held: Held| format!("{} ({})", held.replicas, percent(held.violating_share));
    let mut table =
        table(&["situation", "now", "right", "baseline (late)", "advised (late)", "taken", "best (late)", "answer"]);
    for one in &report.situations {
        let proof = match &one.proposal {
            Proposal::None | Proposal::Unproved => "",
            Proposal::Accepted(_) => ", proved",
            Proposal::Rejected(_) => ", not proved",
        };
        table.add_row([
            one.name.clone(),
            one.current.to_string(),
            one.label.map_or_else(|| "-".to_owned(), |label| format!("{}-{}", label.lowest, label.highest)),
            size(one.baseline),
            size(one.advised),
            one.taken.replicas.to_string(),
            size(one.best),
            format!("{}{proof}", one.outcome.label()),
        ]);
    }
    Ok(writeln!(out, "{} ({}):\n{table}\n", report.model.model, report.model.provider)?)
}

/// One column for the baseline, one for each model, one for the oracle: the same situations for all.
fn summary(reports: &[EvalReport], out: &mut impl Write) -> Result<(), Failure> {
    let Some(first) = reports.first() else { return Ok(()) };
    let names = reports.iter().map(|report| match report.model.model.as_str() {
        "" => "unknown model",
        name => name,
    });
    let header: Vec<&str> = ["", "baseline"].into_iter().chain(names).chain(["best, all known"]).collect();
    let mut table = table(&header);
    let all: Vec<&Totals> = std::iter::once(&first.summary.baseline)
        .chain(reports.iter().map(|report| &report.summary.taken))
        .chain([&first.summary.best])
        .collect();
    let mut of_all = |name: &str, told: &dyn Fn(&Totals) -> String| {
        table
            .add_row(std::iter::once(name.to_owned()).chain(all.iter().map(|totals| told(totals))).collect::<Vec<_>>());
    };
    of_all(&format!("size right, of {}", first.summary.labelled), &|totals| totals.right.to_string());
    of_all("late requests, mean share", &|totals| percent(totals.mean_violating_share));
    of_all("late requests", &|totals| grouped(totals.violating_requests, 0));
    of_all("pod-hours", &|totals| format!("{:.1}", totals.pod_hours));
    let mut of_models = |name: &str, told: &dyn Fn(&Summary) -> String| {
        let cells = reports.iter().map(|report| told(&report.summary));
        table.add_row([name.to_owned(), String::new()].into_iter().chain(cells).collect::<Vec<_>>());
    };
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let share = |share: f64| format!("{:.0} %", share * 100.0);
    let count = |summary: &Summary, label: &str| summary.outcomes.get(label).copied().unwrap_or(0);
    of_models("harm prevented, of what the best prevents", &|one| or_dash(one.harm_prevented.map(share)));
    of_models("fewer late than the baseline", &|one| one.better.to_string());
    of_models("more late than the baseline", &|one| one.worse.to_string());
    of_models("asked", &|one| (one.situations - count(one, "not_asked")).to_string());
    of_models("no usable answer", &|one| {
        (one.situations - count(one, "not_asked") - count(one, "agreed") - count(one, "changed")).to_string()
    });
    of_models("agrees with the baseline", &|one| or_dash(one.agreement.map(share)));
    of_models("proposals", &|one| one.proposals.to_string());
    of_models("of them proved", &|one| or_dash(one.accepted.map(|accepted| accepted.to_string())));
    of_models("tokens", &|one| grouped((one.usage.input_tokens + one.usage.output_tokens) as f64, 0));
    of_models("cost", &|one| or_dash(one.cost.map(|cost| format!("{cost:.4}"))));
    of_models("seconds for an answer, mean and longest", &|one| format!("{:.1}, {:.1}", one.seconds.0, one.seconds.1));
    let number = first.summary.situations;
    Ok(writeln!(out, "{number} situations, one question each; sizes are held over the load that came next.\n{table}")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(arguments: &[&str]) -> Result<String, String> {
        let arguments = Arguments::try_parse_from(std::iter::once(&"llm_eval").chain(arguments))
            .map_err(|error| error.to_string())?;
        examples::outcome(|out| run(&arguments, out))
    }

    const ONE: &str = r#"{"situations":[{"name":"sale","kind":"event","knowledge":"","pods":[[0,4]],"pod_capacity":50,
        "load":[[0,120],[5,120],[8,300],[30,300]],"events":[{"name":"sale","from_min":5,"to_min":65,"factor":2.5}],
        "label":{"lowest":6,"highest":9}}]}"#;

    #[test]
    fn scripts_stand_between_the_baseline_and_the_best_and_pass_for_no_model() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("one.json"), ONE).unwrap();
        let text = output(&["--situations", &path("one.json"), "--each", "--json", &path("out.json")]).unwrap();
        for said in ["baseline", "greedy", "adversarial", "best, all known", "No real model was measured"] {
            assert!(text.contains(said), "{said}\n{text}");
        }
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(path("out.json")).unwrap()).unwrap();
        assert_eq!(json[0]["summary"]["real_model"], false);
    }

    #[test]
    fn answers_are_recorded_and_replayed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("one.json"), ONE).unwrap();
        let with = |model: &str, more: &[&str]| {
            let one = path("one.json");
            output(&[&["--situations", &one, "--model", model, "--each"], more].concat())
        };
        let recorded = with("scripted:greedy", &["--record", &path("answers.jsonl")]).unwrap();
        let replayed = with(&format!("replay:{}", path("answers.jsonl")), &[]).unwrap();
        let row = |text: &str| text.lines().find(|line| line.contains("sale")).unwrap().to_owned();
        assert_eq!(row(&recorded), row(&replayed));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (arguments, what) in [
            (&["--model", "scripted:clever"][..], "there is no scripted model"),
            (&["--model", "gpt"], "expected scripted:NAME"),
            (&["--price", "1"], "two prices"),
            (&["--record", "x"], "2: --record is for one"),
            (&["--situations", "/no/such/file"], "2: /no/such/file"),
        ] {
            let error = output(arguments).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
    }
}
