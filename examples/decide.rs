//! One decision: metrics in, what to do out.
//!
//!     cargo run --example decide -- --dataset test_data/metrics_dataset.json --scenario high_load_spike
//!     echo '{"cpu_utilization_percent":95,"current_pod_count":1}' | cargo run --example decide -- --format json
//!
//! The first prints, for people, that 3 pods should become 12 and why. Input is one JSON object, a JSON array or JSON lines with
//! the last as the present, or CSV; from a file, or from standard input. Exit code 2 and one line on bad input.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use examples::Failure;
use examples::reading::{self, ReadingArguments};
use scaling_core::chrono::{DateTime, TimeDelta};
use scaling_core::conformance::dataset;
use scaling_core::source::parse::Undated;
use scaling_core::{
    EngineError, Observation, PlannedEvent, RuleBasedEngine, RuleConfig, ScalingDecision, ScalingMetrics, SignalKind,
    Target,
};

const HELP: &str = "\
Examples:
  decide --dataset test_data/metrics_dataset.json --scenario high_load_spike
  echo '{\"cpu_utilization_percent\":95,\"current_pod_count\":1}' | decide --format json
  decide metrics.jsonl --price 0.05 --event sale,2026-01-05T12:00:00Z,2026-01-05T14:00:00Z,3
  decide export.csv --column pods=Replicas --column cpu='Load*100' --time-zone Europe/Berlin

Formats, one sample a line or element, in any order of time:
  {\"timestamp\":\"2026-01-05T10:00:00Z\",\"current_pod_count\":4,\"cpu_utilization_percent\":40,\"request_rate_per_second\":200}
  [{\"pods\":4,\"cpu\":40},{\"pods\":4,\"cpu\":70}]           without timestamps: --interval seconds apart
  timestamp,pods,cpu_utilization_percent,queue_depth       a table separated by comma, semicolon, tab or pipe

Fields: timestamp, current_pod_count, desired_pod_count, cpu_utilization_percent, memory_utilization_percent,
request_rate_per_second, response_time_ms, error_rate_percent, active_connections, queue_depth. null, NaN, N/A and empty cells are
absent. A workload with desired_pod_count 0 was scaled to zero by its owner and is left so, unless --config says
{\"wake_from_zero\":true}.";

#[derive(Parser)]
#[command(name = "decide", version, about = "One decision: metrics in, what to do out", after_help = HELP)]
struct Arguments {
    /// Metrics, the newest of which is the present; `-` or nothing for standard input.
    file: Option<PathBuf>,
    #[command(flatten)]
    reading: ReadingArguments,
    /// A dataset of labelled scenarios to take the metrics from.
    #[arg(long, requires = "scenario", conflicts_with = "file")]
    dataset: Option<PathBuf>,
    /// The scenario of the dataset.
    #[arg(long, requires = "dataset")]
    scenario: Option<String>,
    /// Declares an event; may be given several times.
    #[arg(long, value_name = "NAME,START,END,FACTOR", value_parser = examples::event)]
    event: Vec<PlannedEvent>,
    /// Thresholds as JSON, those of `RuleConfig`; the others keep their defaults.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Seconds between samples that have no timestamp.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    interval: u32,
    /// Price of a pod-hour in USD: the decision then says what it costs.
    #[arg(long, allow_negative_numbers = true)]
    price: Option<f64>,
    /// For people or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

fn main() -> ExitCode {
    examples::exit(run(&Arguments::parse(), &mut std::io::stdout().lock()))
}

fn run(arguments: &Arguments, out: &mut impl Write) -> Result<(), Failure> {
    let config = match &arguments.config {
        None => RuleConfig::default(),
        Some(path) => serde_json::from_slice(&examples::read(path)?)
            .map_err(|error| Failure::input(format!("{}: {error}", path.display())))?,
    };
    let engine = RuleBasedEngine::new(config).map_err(Failure::input)?;
    let observation = observation(arguments)?;
    let mut decision = engine.evaluate(&observation).map_err(|error| undecided(arguments, &error))?;
    if let Some(amount) = arguments.price {
        let price = examples::price(amount, "USD")?;
        let resources = decision.resources.as_ref();
        decision.cost = Some(price.impact(decision.current_replicas, decision.desired_replicas, resources));
    }
    match arguments.format {
        Format::Json => writeln!(out, "{}", json(&decision).map_err(Failure::failed)?)?,
        Format::Text => {
            // Without a price there is no money to tell of.
            decision.cost = decision.cost.filter(|_| arguments.price != Some(0.0));
            text(&decision, out)?;
        }
    }
    Ok(())
}

/// Says what is missing in which file, and what helps.
fn undecided(arguments: &Arguments, error: &EngineError) -> Failure {
    let place = arguments.file.as_ref().or(arguments.dataset.as_ref()).map_or_else(|| "-".into(), Clone::clone);
    let advice = match error {
        EngineError::NoPodCount => {
            "; add a column current_pod_count, or name the one that has it: --column pods=HEADER"
        }
        _ => "",
    };
    Failure::input(format!("{}: {error}{advice}", examples::place(&place)))
}

/// Says so where the newest sample has no signal: what is decided then rests on the past, or on nothing but the number of pods.
fn without_signal(observation: &Observation) -> Option<&'static str> {
    let is_blind = |sample: &ScalingMetrics| SignalKind::ALL.iter().all(|kind| sample.value(*kind).is_none());
    (is_blind(&observation.current) && observation.history.iter().all(|sample| is_blind(&sample)))
        .then_some("note: no signal was read (as cpu_utilization_percent or request_rate_per_second): only the number of pods is known")
}

fn observation(arguments: &Arguments) -> Result<Observation, Failure> {
    let mut events = arguments.event.clone();
    let samples = if let (Some(path), Some(name)) = (&arguments.dataset, &arguments.scenario) {
        let bytes = examples::read(path)?;
        let text = String::from_utf8_lossy(&bytes);
        let scenarios =
            dataset::scenarios(&text).map_err(|error| Failure::input(format!("{}: {error}", path.display())))?;
        let names: Vec<_> = scenarios.iter().map(|scenario| scenario.name.clone()).collect();
        let found = scenarios.into_iter().find(|scenario| scenario.name == *name);
        let scenario = found
            .ok_or_else(|| Failure::input(format!("there is no scenario {name:?}; there are {}", names.join(", "))))?;
        events.extend(scenario.events);
        scenario.samples
    } else {
        let file = arguments.file.clone().unwrap_or_else(|| "-".into());
        let bytes = examples::read(&file)?;
        // Undated samples end on a Monday at noon: neither a weekend nor the edge of a day.
        let end = DateTime::from_timestamp(1_767_614_400, 0).unwrap_or_default();
        let undated = Undated { end, interval: TimeDelta::seconds(i64::from(arguments.interval)) };
        let bad = |what: &dyn std::fmt::Display| Failure::input(format!("{}: {what}", examples::place(&file)));
        let read = arguments.reading.reader().undated(undated).read(&bytes).map_err(|error| bad(&error))?;
        // Not on standard output, which may be JSON for a program.
        for note in reading::notes(&read) {
            eprintln!("{note}");
        }
        read.into_metrics()
    };
    let (observation, repairs) =
        Observation::from_samples(workload(), samples).ok_or_else(|| Failure::input("there is no sample"))?;
    if let Some(note) = examples::mended(repairs) {
        // Not on standard output, which may be JSON for a program.
        eprintln!("{note}");
    }
    if let Some(note) = without_signal(&observation) {
        eprintln!("{note}");
    }
    Ok(observation.with_events(events))
}

fn json(decision: &ScalingDecision) -> serde_json::Result<String> {
    let mut value = serde_json::to_value(decision)?;
    // It follows from the numbers; programs that read the answer need not work it out.
    if let Some(object) = value.as_object_mut() {
        object.insert("action".into(), serde_json::to_value(decision.action())?);
    }
    // Prose beside each typed reason, for those who read rather than match.
    if let Some(reasons) = value.get_mut("reasons").and_then(serde_json::Value::as_array_mut) {
        for (typed, reason) in reasons.iter_mut().zip(&decision.reasons) {
            if let Some(object) = typed.as_object_mut() {
                object.insert("text".into(), reason.to_string().into());
            }
        }
    }
    serde_json::to_string_pretty(&value)
}

fn text(decision: &ScalingDecision, out: &mut impl Write) -> Result<(), Failure> {
    let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let words = |value: Result<serde_json::Value, serde_json::Error>| value.map(word).map_err(Failure::failed);
    writeln!(
        out,
        "{}: {} -> {} pods",
        words(serde_json::to_value(decision.action()))?.replace('_', " "),
        decision.current_replicas,
        decision.desired_replicas
    )?;
    if let Some(change) = decision.resources {
        writeln!(out, "requests: CPU {:+} %, memory {:+} %", change.cpu_percent, change.memory_percent)?;
    }
    writeln!(
        out,
        "timing {}, urgency {}, confidence {:.2}",
        words(serde_json::to_value(decision.timing))?,
        words(serde_json::to_value(decision.urgency))?,
        decision.confidence.value()
    )?;
    if let Some(cost) = decision.cost {
        writeln!(out, "cost: {cost}")?;
    }
    for reason in &decision.reasons {
        writeln!(out, "- {reason}")?;
    }
    Ok(())
}

/// Whom the metrics are of: nobody says.
fn workload() -> Target {
    Target::deployment("unknown", "workload")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(arguments: &[&str]) -> Result<String, String> {
        let arguments = Arguments::try_parse_from(std::iter::once(&"decide").chain(arguments))
            .map_err(|error| error.to_string())?;
        examples::outcome(|out| run(&arguments, out))
    }

    fn scenario(name: &str, more: &[&str]) -> Result<String, String> {
        let dataset = examples::test_data("metrics_dataset.json");
        output(&[&["--dataset", dataset.to_str().unwrap(), "--scenario", name], more].concat())
    }

    #[test]
    fn the_spike_is_answered_with_12_pods_and_why() {
        let text = scenario("high_load_spike", &["--price", "0.05"]).unwrap();
        assert!(text.starts_with("scale up horizontal: 3 -> 12 pods\n"), "{text}");
        assert!(text.contains("urgency critical") && text.contains("cost: +0.45 USD an hour"), "{text}");
    }

    #[test]
    fn json_has_what_programs_need() {
        let value: serde_json::Value =
            serde_json::from_str(&scenario("memory_constrained", &["--format", "json"]).unwrap()).unwrap();
        assert_eq!(value["action"], "scale_up_vertical");
        assert_eq!(value["resources"], serde_json::json!({"cpu_percent": 0, "memory_percent": 50}));
        for field in ["desired_replicas", "timing", "confidence", "urgency", "reasons"] {
            assert!(!value[field].is_null(), "{field}");
        }
        assert!(value["reasons"][0]["text"].is_string());
    }

    #[test]
    fn a_workload_is_left_alone_where_nothing_is_to_do() {
        for (name, pods) in [("stale-peak.csv", 21), ("jvm.jsonl", 4), ("paused.json", 0)] {
            let file = examples::test_data("decide").join(name);
            let text = output(&[file.to_str().unwrap()]).unwrap();
            assert!(text.starts_with(&format!("maintain: {pods} -> {pods} pods\n")), "{name}: {text}");
        }
    }

    #[test]
    fn a_workload_that_its_owner_paused_is_woken_only_if_the_host_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("rules.json");
        std::fs::write(&config, "{\"wake_from_zero\":true}").unwrap();
        let paused = examples::test_data("decide").join("paused.json");
        let text = output(&[paused.to_str().unwrap()]).unwrap();
        assert!(text.contains("- scaled to zero by its owner"), "{text}");
        let text = output(&[paused.to_str().unwrap(), "--config", config.to_str().unwrap()]).unwrap();
        assert!(text.starts_with("scale up horizontal: 0 -> "), "{text}");
    }

    #[test]
    fn tables_of_other_tools_are_read_with_a_zone_and_mappings() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("export.csv");
        let rows = (0..30).map(|minute| format!("2026-01-05 10:{minute:02}:00;4;0,9{};N/A", minute % 4));
        std::fs::write(&path, format!("Zeit;Replicas;Load;Host\n{}\n", rows.collect::<Vec<_>>().join("\n"))).unwrap();
        let path = path.to_str().unwrap();
        let mapped = ["--column", "cpu=Load*100", "--column", "timestamp=Zeit", "--time-zone", "Europe/Berlin"];
        let text = output(&[&[path], mapped.as_slice()].concat()).unwrap();
        assert!(text.starts_with("scale up horizontal: 4 -> "), "{text}");
        let error = output(&[&[path], &mapped[..4]].concat()).unwrap_err();
        assert!(error.starts_with("2: ") && error.contains("no time zone: give --time-zone"), "{error}");
        let error = output(&[path, "--column", "cpu=Load average"]).unwrap_err();
        assert!(error.contains("there is no column \"Load average\"; found \"Zeit\""), "{error}");
        for (argument, what) in [("speed=Load", "there is no signal"), ("cpu", "SIGNAL=HEADER")] {
            assert!(output(&[path, "--column", argument]).unwrap_err().contains(what), "{argument}");
        }
        assert!(output(&[path, "--colum", "a=b"]).unwrap_err().contains("unexpected argument"));
        assert!(output(&["--version"]).unwrap_err().starts_with("decide "));
        assert!(output(&["--help"]).unwrap_err().contains("without timestamps"));
    }

    #[test]
    fn an_event_that_is_declared_is_prepared_for() {
        let text = scenario("normal_load", &["--event", "sale,2025-11-21T16:24:00Z,2025-11-21T18:00:00Z,4"]).unwrap();
        assert!(text.contains("timing event") && text.contains("\"sale\""), "{text}");
        assert!(text.starts_with("scale up horizontal"), "{text}");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_decided_or_refused_in_one_line(
            at in 0..400_usize, cut in 0..60_usize, put in proptest::collection::vec(proptest::num::u8::ANY, 0..40),
            word in proptest::sample::select(vec!["", "NaN", "1e308", "-1", "null", "9999-12-31T23:59:59Z", "}", ",\n"]),
        ) {
            let mut text = br#"[{"timestamp":"2026-01-05T10:00:00Z","current_pod_count":3,"cpu_utilization_percent":40,
                "request_rate_per_second":120,"error_rate_percent":0.5,"queue_depth":5,"memory_utilization_percent":60},
                {"timestamp":"2026-01-05T10:01:00Z","current_pod_count":3,"cpu_utilization_percent":90,
                "request_rate_per_second":520,"error_rate_percent":9.5,"queue_depth":500}]"#.to_vec();
            let at = at.min(text.len());
            let end = (at + cut).min(text.len());
            text.splice(at..end, put.into_iter().chain(word.bytes()));
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            if let Err(what) = output(&[file.path().to_str().unwrap(), "--format", "json"]) {
                proptest::prop_assert!(!what.contains('\n'), "{}", what);
            }
        }
    }

    #[test]
    fn what_is_missing_is_named_with_its_file_and_what_helps() {
        let file = |text: &str| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            file
        };
        let load = file("timestamp_s;rps\n1767571200;50.38\n1767571260;50.47\n");
        let path = load.path().to_str().unwrap();
        let error = output(&[path]).unwrap_err();
        assert!(error.starts_with(&format!("2: {path}: the pod count is not known")), "{error}");
        assert!(error.contains("--column pods=HEADER"), "{error}");
        for (text, blind) in
            [(r#"{"cpuu":95,"pods":4}"#, true), (r#"{"pods":4}"#, true), (r#"{"cpu":95,"pods":4}"#, false)]
        {
            let file = file(text);
            let arguments = Arguments::try_parse_from(["decide", file.path().to_str().unwrap()]).unwrap();
            assert_eq!(without_signal(&observation(&arguments).unwrap()).is_some(), blind, "{text}");
            assert!(!output(&[file.path().to_str().unwrap()]).unwrap().contains("fail"), "{text}");
        }
    }

    #[test]
    fn a_price_of_0_tells_of_no_money() {
        assert!(!scenario("high_load_spike", &["--price", "0"]).unwrap().contains("cost"));
    }

    #[test]
    fn bad_input_is_one_clear_line() {
        assert!(scenario("no_such", &[]).unwrap_err().contains("there are normal_load"));
        assert!(output(&["no_such_file"]).unwrap_err().contains("no_such_file"));
        assert!(scenario("normal_load", &["--price", "-1"]).unwrap_err().contains("price"));
        assert!(scenario("normal_load", &["--event", "x"]).unwrap_err().contains("NAME,START,END,FACTOR"));
    }
}
