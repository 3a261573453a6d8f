//! Policies side by side on past traffic: the cost of each, the requests that it keeps waiting, and the least that was possible.
//!
//!     cargo run --release --example backtest
//!     cargo run --release --example backtest -- --trace load.csv.gz --engine hpa:70 --engine rules --json out.json --html out.html
//!
//! A trace is a table of any delimiter, JSON lines of metrics, or the answer of a Prometheus range query, also gzipped; `--column` and
//! `--time-zone` read what names and clocks do not say. Its first half is history to learn from, the rest is replayed in a simulated cluster. Where nothing says what a pod can
//! carry, the trace is scaled so that its busiest thousandth needs `--pods-at-peak` pods of 50 requests a second; an HPA from a
//! file is judged by such a load only where that option is given. Bad rows give
//! file, line and cause (exit 2); gaps stay gaps and are told.
//!
//! One set of limits holds for every policy and the oracle: `--limits`, or 1..200 widened to the bounds of the manifests. A policy that
//! leaves limits that were given is refused (exit 2). `--without queue_depth --rate-as-served` measures as a service that knows only
//! what it serves: at saturation nothing says how much more there is to do.
//!
//! A fleet is replayed from a metrics server (`--prometheus URL --targets FILE`, built with `--features live`), by one process or, as an
//! Indexed Job, by many: each takes its `--part`, and `--merge` joins their reports into the bytes that one would have written.
//!
//! Prints what is compared and from when to when, a table for each trace (best first, with load and pods as lines of blocks), and one
//! over all; `--html` writes a page with charts. Equal arguments write equal bytes, whatever the files are called.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use clap::Parser;
use examples::fleet::{self, FleetArguments};
use examples::live::arguments::SourceArguments;
use examples::scenario::ScenarioArguments;
use examples::{Failure, MayClose, candidates};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use scaling_core::backtest::{BacktestError, Candidate, Progress, Report, Scenario, TraceReport, run_one};

/// Shown below the options.
const EXAMPLES: &str = "\
Examples:
  backtest                                            the history that comes with the examples, all engines
  backtest --trace load.csv.gz --html report.html     your own load, as a page with charts
  backtest --trace load.csv --engine hpa:hpa.yaml --engine predictive@hpa:70 --pod-capacity 120
  backtest --trace load.csv --sweep hpa:50..90:10 --engine hpa:70 --pod-capacity 120
  backtest --prometheus http://localhost:9090 --targets fleet.txt --engine rules@hpa:70 --engine hpa:70   a fleet (built with --features live)
  backtest --prometheus http://localhost:9090 --targets fleet.txt --engine hpa:70 --until 2026-11-01T00:00:00Z --part 0/4 --json 0.json
  backtest --merge 0.json 1.json 2.json 3.json --html report.html   what four processes made, as one would have";

#[derive(Parser)]
#[command(
    name = "backtest",
    version,
    about = "Policies side by side on past traffic",
    after_help = format!("{EXAMPLES}\n\n{}", examples::reading::FORMS)
)]
struct Arguments {
    /// A trace to replay; may be given several times. By default `test_data/shop_history.csv.gz`.
    #[arg(long, value_name = "FILE")]
    trace: Vec<PathBuf>,
    /// A policy; may be given several times.
    #[arg(long, value_name = "ENGINE", help = format!("A policy; may be given several times: {}", candidates::ENGINES))]
    engine: Vec<String>,
    /// Settings of one policy's parameter, for the frontier: hpa:50..90:10.
    #[arg(long, value_name = "NAME:FROM..TO:STEP")]
    sweep: Vec<String>,
    /// Writes the report as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the report as one page with charts.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    cluster: ScenarioArguments,
    #[command(flatten)]
    from: SourceArguments,
    #[command(flatten)]
    fleet: FleetArguments,
    /// Traces replayed at the same time; by default one for each core.
    #[arg(long)]
    jobs: Option<usize>,
}

fn main() -> ExitCode {
    let command = command(std::env::args().skip(1));
    examples::exit(run(&Arguments::parse(), &command, &mut MayClose(std::io::stdout().lock())))
}

/// Options that change nothing of the report, and so do not stand in it.
const UNTOLD: [&str; 4] = ["--json", "--html", "--jobs", "--part"];

/// Writes the command for the report, as a shell takes it.
fn command(arguments: impl IntoIterator<Item = String>) -> String {
    let mut words = vec!["backtest".to_owned()];
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let (name, value) =
            argument.split_once('=').map_or((argument.as_str(), None), |(name, value)| (name, Some(value)));
        if UNTOLD.contains(&name) {
            if value.is_none() {
                arguments.next();
            }
            continue;
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=+.,:/@%".contains(c);
        let quoted = !argument.is_empty() && argument.chars().all(is_plain);
        words.push(if quoted { argument } else { format!("'{}'", argument.replace('\'', "'\\''")) });
    }
    words.join(" ")
}

fn run(arguments: &Arguments, command: &str, out: &mut impl Write) -> Result<(), Failure> {
    if !arguments.fleet.merge.is_empty() {
        return told(arguments, arguments.fleet.merged()?, out);
    }
    let is_live = arguments.from.is_wanted();
    arguments.fleet.validate(is_live, !arguments.engine.is_empty() || !arguments.sweep.is_empty())?;
    let report = if is_live { fleet(arguments, out)? } else { traces(arguments, out)? };
    let report = match arguments.fleet.part {
        Some(part) => report.as_part(part),
        None => report,
    };
    let nothing = report.traces.is_empty() && arguments.fleet.part.is_none();
    let first = report.left_out.first().filter(|_| nothing).map(ToString::to_string);
    told(arguments, report.made_by(command), out)?;
    first.map_or(Ok(()), |left| Err(Failure::failed(format!("no workload could be replayed; {left}"))))
}

/// Replays workloads whose past is fetched.
fn fleet(arguments: &Arguments, out: &mut impl Write) -> Result<Report, Failure> {
    if !arguments.trace.is_empty() {
        return Err(Failure::input("--trace and a metrics server are two sources; one at a time"));
    }
    let targets = arguments.fleet.targets(&arguments.from)?;
    if targets.is_empty() {
        return Err(Failure::input("say which workloads: --target NAMESPACE/NAME or --targets FILE"));
    }
    let candidates = policies(arguments)?;
    if candidates.is_empty() {
        return Err(Failure::input(
            "name the policies with --engine: which ones suit is not the same for every workload",
        ));
    }
    compared(&candidates, out)?;
    let replay = |scenarios: &[Scenario]| replay(scenarios, &candidates, arguments.jobs);
    let past = (&arguments.from, arguments.fleet.until);
    let share = arguments.fleet.share(&targets);
    let (traces, left_out) = fleet::replayed(past, share, &arguments.cluster, &candidates, &replay, out)?;
    Ok(Report::new(traces).leaving_out(left_out))
}

/// Replays traces of files.
fn traces(arguments: &Arguments, out: &mut impl Write) -> Result<Report, Failure> {
    let files = arguments.engine.iter().filter_map(|engine| candidates::hpa_file(engine)).map(PathBuf::from);
    let read: Vec<PathBuf> = files.chain(arguments.trace.iter().cloned()).collect();
    examples::spare(arguments.json.iter().chain(&arguments.html), &read)?;
    let mut candidates = policies(arguments)?;
    let judged: Vec<&str> = arguments.engine.iter().filter_map(|engine| candidates::hpa_file(engine)).collect();
    let scenarios = arguments.cluster.scenarios(&arguments.trace, &candidates, &judged, out)?;
    let scenarios = arguments.fleet.share(&scenarios);
    if candidates.is_empty() {
        let (names, notes) = candidates::suitable(scenarios);
        notes.iter().try_for_each(|note| writeln!(out, "{note}"))?;
        let made = names.into_iter().map(|name| candidates::candidate(name, &arguments.cluster.hpas));
        candidates = in_zone(made.collect::<Result<_, _>>()?, arguments);
    }
    compared(&candidates, out)?;
    let replayed = replay(scenarios, &candidates, arguments.jobs).into_iter();
    Ok(Report::new(replayed.map(|report| report.map_err(examples::scenario::failure)).collect::<Result<_, _>>()?))
}

fn compared(candidates: &[Candidate], out: &mut impl Write) -> Result<(), Failure> {
    let names: Vec<_> = candidates.iter().map(Candidate::name).collect();
    Ok(writeln!(out, "compared: {}", names.join(", "))?)
}

/// Prints a report, and writes the files that are asked for.
fn told(arguments: &Arguments, report: Report, out: &mut impl Write) -> Result<(), Failure> {
    let zone = arguments.cluster.reading.zone();
    let report = report.in_zone(zone.name(), &zone);
    write!(out, "{}", report.to_table())?;
    if let Some(path) = &arguments.json {
        write_file(path, &report.to_json().map_err(Failure::failed)?)?;
        writeln!(out, "wrote {}", path.display())?;
    }
    if let Some(path) = &arguments.html {
        write_file(path, &report.to_html())?;
        writeln!(out, "wrote {}", path.display())?;
    }
    Ok(())
}

/// Makes the policies that are asked for, each once: an engine may be a setting of a sweep as well.
fn policies(arguments: &Arguments) -> Result<Vec<Candidate>, Failure> {
    let mut texts: Vec<&String> = Vec::new();
    for engine in &arguments.engine {
        if !texts.contains(&engine) {
            texts.push(engine);
        }
    }
    let mut found = Vec::new();
    for (text, name) in texts.iter().zip(candidates::short_names(&texts)) {
        let made = candidates::candidate(text, &arguments.cluster.hpas)?;
        // Behind its text the name tells which metrics are left out.
        let omission = made.name().strip_prefix(text.as_str()).unwrap_or_default().to_owned();
        found.push(made.named(name + &omission));
    }
    for sweep in &arguments.sweep {
        for candidate in candidates::sweep(sweep)? {
            if found.iter().all(|other| other.name() != candidate.name()) {
                found.push(candidate);
            }
        }
    }
    Ok(in_zone(found, arguments))
}

/// Lets schedules go by the clock of the zone in use.
fn in_zone(found: Vec<Candidate>, arguments: &Arguments) -> Vec<Candidate> {
    let zone = arguments.cluster.reading.zone();
    found.into_iter().map(|candidate| candidates::in_zone(candidate, zone)).collect()
}

/// Replays every trace, several at a time; the order of the report is that of the arguments.
fn replay(
    scenarios: &[Scenario],
    candidates: &[Candidate],
    jobs: Option<usize>,
) -> Vec<Result<TraceReport, BacktestError>> {
    let bars = MultiProgress::new();
    let next = AtomicUsize::new(0);
    let done: Vec<Mutex<Option<Result<TraceReport, BacktestError>>>> =
        scenarios.iter().map(|_| Mutex::default()).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..jobs.unwrap_or(cores).clamp(1, scenarios.len().max(1)) {
            scope.spawn(|| {
                let bar = Bar::new(&bars);
                while let Some((scenario, place)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|nth| scenarios.get(nth).zip(done.get(nth)))
                {
                    let report = futures::executor::block_on(run_one(scenario, candidates, &bar));
                    *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(report);
                }
            });
        }
    });
    done.into_iter().filter_map(|place| place.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}

/// Bar on the terminal; nothing where there is none.
struct Bar(ProgressBar);

impl Bar {
    fn new(bars: &MultiProgress) -> Self {
        let bar = bars.add(ProgressBar::new(0));
        if let Ok(style) = ProgressStyle::with_template("{msg:40} {bar:30} {percent:>3} % {eta:>4}") {
            bar.set_style(style);
        }
        Self(bar)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl Progress for Bar {
    fn begin(&self, what: &str, steps: u64) {
        self.0.reset();
        self.0.set_length(steps);
        self.0.set_message(what.to_owned());
    }

    fn advance(&self, steps: u64) {
        self.0.inc(steps);
    }

    fn end(&self) {}
}

fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}

#[cfg(all(test, feature = "live"))]
#[path = "tests/fleet.rs"]
mod fleet_tests;

#[cfg(test)]
mod tests {
    use super::*;

    fn output(arguments: &[&str]) -> Result<String, String> {
        let command = command(arguments.iter().map(ToString::to_string));
        let arguments = Arguments::try_parse_from(std::iter::once(&"backtest").chain(arguments))
            .map_err(|error| error.to_string())?;
        examples::outcome(|out| run(&arguments, &command, out))
    }

    fn file(folder: &Path, name: &str, text: &str) -> String {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn traces_of_one_name_are_told_apart_and_none_is_taken_twice() {
        let temporary = tempfile::tempdir().unwrap();
        let rows: Vec<_> = (0..400).map(|i| format!("{},{}", i * 60, 100 + (i % 60) * 5)).collect();
        let text = format!("timestamp_s,rps\n{}", rows.join("\n"));
        let [a, b] = ["a", "b"].map(|folder| {
            let folder = temporary.path().join(folder);
            std::fs::create_dir(&folder).unwrap();
            file(&folder, "load.csv", &text)
        });
        let text = output(&["--trace", &a, "--trace", &b, "--engine", "hpa"]).unwrap();
        assert!(text.contains(&format!("{a}: ")) && text.contains(&format!("{b}: ")), "{text}");
        let error = output(&["--trace", &a, "--trace", &a, "--engine", "hpa"]).unwrap_err();
        assert!(error.starts_with("2: ") && error.contains("given twice"), "{error}");
    }

    #[test]
    fn cpu_as_a_share_is_told_as_the_cause_and_no_input_is_written_over() {
        let temporary = tempfile::tempdir().unwrap();
        let rows: Vec<_> = (0..400).map(|i| format!("{},{},0.{},4", i * 60, 100 + i % 60, 30 + i % 60)).collect();
        let load = file(temporary.path(), "load.csv", &format!("timestamp,rps,cpu,pods\n{}\n", rows.join("\n")));
        let own = large(temporary.path(), 2, 20);
        let error = output(&["--trace", &load, "--engine", &own]).unwrap_err();
        assert!(error.starts_with("2: ") && error.contains("looks like a share, not a percentage"), "{error}");
        assert!(
            error.contains("Or say what a pod serves: --pod-capacity") && !error.contains("together would"),
            "{error}"
        );
        let error = output(&["--trace", &load, "--engine", "hpa:70", "--json", &load]).unwrap_err();
        assert!(error.starts_with("2: ") && error.ends_with("would be written over"), "{error}");
    }

    #[test]
    fn parts_are_merged_into_the_bytes_of_one_process() {
        let temporary = tempfile::tempdir().unwrap();
        let path = |name: &str| temporary.path().join(name).to_str().unwrap().to_owned();
        let load = |nth: usize| {
            let rows: Vec<_> = (0..400).map(|i| format!("{},{}", i * 60, 100 + (i * 7 % 60) * (nth + 2))).collect();
            file(temporary.path(), &format!("load{nth}.csv"), &format!("timestamp_s,rps\n{}\n", rows.join("\n")))
        };
        let loads: Vec<String> = (0..3).flat_map(|nth| ["--trace".to_owned(), load(nth)]).collect();
        let same: Vec<&str> =
            loads.iter().map(String::as_str).chain(["--engine", "hpa:60", "--engine", "hpa:80"]).collect();
        let wrote = |name: &str, more: &[&str]| {
            let path = path(name);
            output(&[&same, more, &["--json", &path]].concat()).unwrap();
            path
        };
        let whole = wrote("whole.json", &[]);
        let parts = [wrote("b.json", &["--part", "1/2"]), wrote("a.json", &["--part=0/2"])];
        let merge = |parts: &[String], more: &[&str]| {
            let files: Vec<&str> = parts.iter().map(String::as_str).collect();
            output(&[&["--merge"], files.as_slice(), more].concat())
        };
        let merged = path("merged.json");
        let text = merge(&parts, &["--json", &merged]).unwrap();
        assert!(text.contains("over all traces"), "{text}");
        assert_eq!(std::fs::read(&merged).unwrap(), std::fs::read(&whole).unwrap());

        let error = merge(&parts[..1], &[]).unwrap_err();
        assert!(error.starts_with("2: 1 part is missing of 2: 0"), "{error}");
        let error = merge(&[whole.clone(), parts[0].clone()], &[]).unwrap_err();
        assert!(error.contains("report 1 is whole"), "{error}");
        let other = file(temporary.path(), "other.json", "{\"traces\":");
        assert!(merge(&[other], &[]).unwrap_err().contains("other.json: not a report: "));
        for (arguments, what) in [
            (&["--part", "2/2", "--json", "x"][..], "there is no part 2 of 2; parts are 0 to 1"),
            (&["--part", "one", "--json", "x"], "expected INDEX/PARTS"),
            (&["--part", "0/2", "--engine", "hpa"], "--json"),
            (&["--part", "0/2", "--json", "x"], "name the policies with --engine"),
            (&["--merge", "a.json", "--engine", "hpa"], "cannot be used with"),
            (&["--targets", "fleet.txt", "--engine", "hpa"], "--targets needs a metrics server"),
            (&["--prometheus", "http://localhost:1", "--engine", "hpa"], "say which workloads"),
            (&["--prometheus", "http://localhost:1", "--target", "a/b"], "name the policies with --engine"),
            (
                &[
                    "--prometheus",
                    "http://localhost:1",
                    "--target",
                    "a/b",
                    "--part",
                    "0/2",
                    "--json",
                    "x",
                    "--engine",
                    "hpa",
                ],
                "--until",
            ),
        ] {
            let error = output(arguments).unwrap_err();
            assert!(error.contains(what), "{arguments:?}: {error}");
        }
        let fleet = file(temporary.path(), "fleet.txt", "\u{feff}# ours\nshop/web # the front\nshop\n");
        let asked = ["--prometheus", "http://localhost:1", "--targets", &fleet, "--engine", "hpa"];
        let error = output(&asked).unwrap_err();
        assert!(error.contains("fleet.txt: line 3: \"shop\": expected NAMESPACE/NAME"), "{error}");
    }

    /// An HPA between bounds that the usual limits of a run do not hold.
    fn large(folder: &Path, min: u32, max: u32) -> String {
        let text = format!(
            "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: large}}\nspec:\n  \
             scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: large}}\n  \
             minReplicas: {min}\n  maxReplicas: {max}\n  metrics:\n  - type: Resource\n    \
             resource: {{name: cpu, target: {{type: Utilization, averageUtilization: 70}}}}\n"
        );
        format!("hpa:{}", file(folder, "large.yaml", &text))
    }

    #[test]
    fn one_set_of_limits_holds_for_all_policies_and_the_oracle() {
        let temporary = tempfile::tempdir().unwrap();
        let load: Vec<_> = (0..240).map(|i| format!("{},{}", i * 60, 9000 + (i % 60) * 50)).collect();
        let load = file(temporary.path(), "load.csv", &format!("timestamp_s,rps\n{}\n", load.join("\n")));
        let large = large(temporary.path(), 35, 700);
        let json = temporary.path().join("report.json");
        let slow = ["--pod-capacity", "50", "--sync", "60", "--scrape", "60", "--lag", "60"];
        let always = [["--trace", &load, "--engine", &large, "--engine", "hpa:50"].as_slice(), &slow].concat();
        let text = output(&[always.as_slice(), &["--json", json.to_str().unwrap()]].concat()).unwrap();
        let note = "note: limits are widened from 1..200 to 1..700, for every policy and the oracle, by hpa:large.yaml (35..700)";
        assert!(text.contains(note), "a file is named without its folder\n{text}");
        let report: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
        for candidate in report["traces"][0]["candidates"].as_array().unwrap() {
            let score = &candidate["score"];
            assert!(
                score["oracle_ratio"].as_f64() >= Some(1.0) && score["peak_pods"].as_f64() > Some(200.0),
                "{score}"
            );
        }
        let error = output(&[always.as_slice(), &["--limits", "1..200"]].concat()).unwrap_err();
        assert!(error.starts_with("2: ") && error.contains("its bounds 35..700 leave the limits 1..200"), "{error}");
        assert!(error.contains("widen the limits to 1..700"), "{error}");
        let text = output(&[always.as_slice(), &["--limits", "1..700"]].concat()).unwrap();
        assert!(!text.contains("widened"), "{text}");
    }

    #[test]
    fn an_hpa_from_a_file_is_not_judged_by_a_load_of_a_size_of_ours() {
        let temporary = tempfile::tempdir().unwrap();
        let load: Vec<_> = (0..240).map(|i| format!("{},{}", i * 60, 20 + i % 60)).collect();
        let load = file(temporary.path(), "load.csv", &format!("timestamp_s,rps\n{}\n", load.join("\n")));
        let own = large(temporary.path(), 2, 10);
        let asked = ["--trace", &load, "--engine", &own];
        let error = output(&asked).unwrap_err();
        assert!(error.starts_with("2: ") && error.contains("nothing in it tells what a pod of "), "{error}");
        assert!(output(&[asked.as_slice(), &["--pods-at-peak", "5"]].concat()).is_ok());
        assert!(output(&["--trace", &load, "--engine", "hpa:60"]).unwrap().contains("scaled by"));
    }

    #[test]
    fn help_has_examples_and_the_output_says_what_was_compared_and_when() {
        let help = output(&["--help"]).unwrap_err();
        assert!(help.contains("Examples:") && help.contains("timestamp_s,rps") && help.contains("--sweep"), "{help}");
        assert!(output(&["--version"]).unwrap_err().starts_with("backtest "));
        let text = output(&["--engine", "hpa:60", "--engine", "hpa:80"]).unwrap();
        assert!(text.contains("compared: hpa:60, hpa:80\n"), "{text}");
        let dated = |line: &str| line.starts_with("shop_history: 2") && line.contains(" UTC, of which the time from 2");
        assert!(text.lines().any(dated), "{text}");
        let folder = tempfile::tempdir().unwrap();
        let rows: Vec<_> = (0..400).map(|i| format!("{},{}", 1_767_571_200 + i * 60, 100 + (i % 60) * 5)).collect();
        let load = file(folder.path(), "load.csv", &format!("timestamp_s,rps\n{}\n", rows.join("\n")));
        let page = folder.path().join("page.html");
        let zoned = ["--trace", &load, "--engine", "hpa", "--time-zone", "Europe/Berlin"];
        let text = output(&[zoned.as_slice(), &["--html", page.to_str().unwrap()]].concat()).unwrap();
        let period = "2026-01-05 01:00 to 2026-01-05 07:40 Europe/Berlin, of which";
        assert!(text.contains(period) && std::fs::read_to_string(page).unwrap().contains(period), "{text}");
    }

    #[test]
    fn the_command_is_told_as_a_shell_takes_it_without_the_files_it_writes() {
        let told = |words: &[&str]| command(words.iter().map(ToString::to_string));
        assert_eq!(told(&["--trace", "a b.csv", "--html", "x.html", "--json=y"]), "backtest --trace 'a b.csv'");
        assert_eq!(
            told(&["--engine", "it's", "--jobs", "3", "--noise", "1"]),
            "backtest --engine 'it'\\''s' --noise 1"
        );
    }

    #[test]
    fn signals_can_be_left_out_by_name() {
        let text = output(&["--without", "request_rate_per_second"]).unwrap();
        assert!(text.contains("the request rate is not measured: kpa is left out"), "{text}");
        let blind = ["--engine", "rules", "--without", "queue_depth", "--rate-as-served"];
        assert_ne!(output(&blind).unwrap(), output(&blind[..2]).unwrap());
        let error = output(&["--without", "queue"]).unwrap_err();
        assert!(error.contains("queue_depth") && error.contains("cpu_utilization_percent"), "{error}");
        let error = output(&["--engine", "hpa", "--without", "cpu_utilization_percent"]).unwrap_err();
        assert!(error.contains("\"cpu\" is not simulated"), "{error}");
    }

    #[test]
    fn a_signal_left_out_is_left_out_of_the_past_too_and_stops_no_shrink() {
        let pods = |arguments: &[&str]| -> f64 {
            let text = output(arguments).unwrap();
            let row = text.lines().find(|line| line.trim_start().starts_with("rules ")).unwrap().to_owned();
            row.split_whitespace().nth(1).unwrap().replace(',', "").parse().unwrap()
        };
        let (all, blind) =
            (pods(&["--engine", "rules"]), pods(&["--engine", "rules", "--without", "memory_utilization_percent"]));
        assert!(blind < 1.2 * all, "{blind} pod-hours instead of {all}");
    }

    #[test]
    fn every_policy_has_its_row_beside_the_oracle() {
        let text = output(&["--days", "1"]).unwrap();
        for name in candidates::DEFAULT.into_iter().chain(["oracle, none", "oracle, 1 %"]) {
            assert!(text.lines().any(|line| line.trim_start().starts_with(name)), "{name}\n{text}");
        }
        assert!(text.contains("without data"), "the gap of the recording is told\n{text}");
    }

    #[test]
    fn a_policy_that_a_trace_has_nothing_for_is_left_out_and_told_or_refused_if_asked_for() {
        let temporary = tempfile::tempdir().unwrap();
        let hour: Vec<_> = (0..120).map(|minute| format!("{},{}", minute * 60, 100 + minute)).collect();
        let hour = file(temporary.path(), "hour.csv", &format!("timestamp_s,rps\n{}\n", hour.join("\n")));
        let text = output(&["--trace", &hour]).unwrap();
        assert!(text.contains("hour: note: its history is shorter than a day: schedule is left out"), "{text}");
        let used = |minute: u32| {
            let cpu = 30 + minute % 40;
            format!("{{\"timestamp\":{},\"cpu_utilization_percent\":{cpu},\"pods\":4}}", minute * 60)
        };
        let cpu = file(temporary.path(), "cpu.jsonl", &(0..120).map(used).collect::<Vec<_>>().join("\n"));
        let text = output(&["--trace", &cpu]).unwrap();
        for name in ["kpa", "schedule"] {
            assert!(text.contains(&format!("there is no request rate: {name} is left out")), "{text}");
        }
        assert!(text.contains(" rules ") && text.contains(" predictive "), "{text}");
        for (arguments, what) in [
            (["--engine", "kpa"], "1: cpu: candidate kpa: there is no request rate in the trace"),
            (["--engine", "kpa@hpa"], "1: cpu: candidate kpa@hpa: there is no request rate in the trace"),
            (["--pod-capacity", "50"], "2: "),
        ] {
            let error = output(&[["--trace", &cpu].as_slice(), &arguments].concat()).unwrap_err();
            assert!(error.starts_with(what), "{error}");
        }
        for peak in ["--pods-at-peak=0", "--pods-at-peak=inf", "--pods-at-peak=-1", "--pods-at-peak=NaN"] {
            let error = output(&["--trace", &hour, peak]).unwrap_err();
            assert!(error.contains("hour.csv: --pods-at-peak is "), "{error}");
        }
    }

    #[test]
    fn two_runs_write_the_same_bytes_however_many_at_a_time() {
        let temporary = tempfile::tempdir().unwrap();
        let load: Vec<_> = (0..600).map(|minute| format!("{},{}", minute * 60, 100 + minute % 50)).collect();
        let load = file(temporary.path(), "load.csv", &format!("timestamp_s,rps\n{}\n", load.join("\n")));
        let other = file(temporary.path(), "other.csv", &std::fs::read_to_string(&load).unwrap().replace(",1", ",3"));
        let written = |jobs: &str| {
            let paths = ["json", "html"].map(|kind| temporary.path().join(format!("{jobs}.{kind}")));
            let [json, html] = paths.each_ref().map(|path| path.to_str().unwrap());
            let policies = ["--sweep", "hpa:60..80:10", "--engine", "rules", "--engine", "hpa:70", "--engine", "rules"];
            let traces = [["--trace", &load, "--trace", &other].as_slice(), &policies].concat();
            output(&[traces.as_slice(), &["--noise", "4", "--json", json, "--html", html, "--jobs", jobs]].concat())
                .unwrap();
            paths.map(|path| std::fs::read(path).unwrap())
        };
        let [one, two] = ["1", "2"].map(written);
        assert!(one == two && one.iter().all(|bytes| bytes.len() > 1000));
        let report: serde_json::Value = serde_json::from_slice(&one[0]).unwrap();
        let names: Vec<_> = report["summary"].as_array().unwrap().iter().map(|row| &row["name"]).collect();
        assert_eq!(names, ["rules", "hpa:70", "hpa:60", "hpa:80"], "an engine that is swept as well is replayed once");
        let command = report["command"].as_str().unwrap();
        assert!(command.starts_with("backtest --trace ") && command.ends_with("--noise 4"), "{command}");
    }

    #[test]
    fn a_schedule_goes_by_the_clock_of_its_zone_and_the_zone_is_said() {
        use scaling_core::chrono::{DateTime, TimeDelta};
        let temporary = tempfile::tempdir().unwrap();
        // Two weeks in Berlin, busy from 8 to 12 by the clock on the wall, which is put forward in the night of 29 March.
        let start = DateTime::from_timestamp(1_774_047_600, 0).unwrap();
        let change = DateTime::from_timestamp(1_774_746_000, 0).unwrap();
        let rows = (0..14 * 24 * 6).map(|nth| start + TimeDelta::minutes(10 * nth)).map(|at| {
            let wall = at + TimeDelta::hours(if at < change { 1 } else { 2 });
            let hour: u32 = wall.format("%H").to_string().parse().unwrap();
            format!("{},{}", at.timestamp(), if (8..12).contains(&hour) { 1500 } else { 100 })
        });
        let rows = rows.collect::<Vec<_>>().join("\n");
        let trace = file(temporary.path(), "wall.csv", &format!("timestamp_s,rps\n{rows}\n"));
        let ask = |more: &[&str]| {
            // A day of replay, from the evening after the change.
            let coarse = ["--sync", "60", "--scrape", "60", "--lag", "60", "--history", "0.64", "--days", "1"];
            output(&[["--engine", "schedule", "--trace", &trace].as_slice(), &coarse, more].concat()).unwrap()
        };
        let (berlin, utc) = (ask(&["--time-zone", "Europe/Berlin"]), ask(&[]));
        let span = "wall: note: data from Sat 2026-03-21 00:00 to Sat 2026-04-04 01:00 Europe/Berlin";
        assert!(berlin.contains(span), "{berlin}");
        assert!(utc.contains("UTC (--time-zone)"), "{utc}");
        let row = |text: &str| text.lines().find(|line| line.trim_start().starts_with("schedule ")).unwrap().to_owned();
        assert_ne!(row(&berlin), row(&utc), "windows in UTC come an hour late");
    }

    #[test]
    fn bad_input_is_one_clear_line() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path();
        for (name, text, what) in [
            ("empty.csv", "", "empty.csv: line 1: there is no sample"),
            ("bad.csv", "timestamp_s,rps\n0,1\n60,inf\n", "bad.csv: line 3: rps: inf: not a finite number"),
            ("minutes.csv", "timestamp_s,requests_per_minute\n0,1\n60,1\n", "requests_per_minute/60"),
            ("local.csv", "timestamp,rps\n2026-01-05T10:00:00,1\n", "no time zone: give --time-zone"),
            ("torn.csv", "timestamp_s,rps\n0,1\n60", "torn.csv: line 3"),
            ("idle.csv", "timestamp_s,rps\n0,0\n60,0\n", "idle.csv: nothing arrives"),
            ("short.csv", "timestamp_s,rps\n0,5\n60,5\n", "too few"),
            ("torn.json", "{\"status\":\"success\",\"data\":", "torn.json: line 1"),
            ("not.csv.gz", "timestamp_s,rps\n", "not.csv.gz"),
        ] {
            let error = output(&["--trace", &file(folder, name, text)]).unwrap_err();
            assert!(error.starts_with("2: ") && error.contains(what) && !error.contains('\n'), "{name}: {error}");
        }
        for (arguments, what) in [
            (["--trace", "nowhere.csv"], "nowhere.csv"),
            (["--engine", "magic"], "there is no engine \"magic\""),
            (["--sweep", "hpa"], "expected NAME:FROM..TO:STEP"),
            (["--history", "1"], "--history is 1"),
            (["--sync", "0"], "--sync is 0"),
            (["--objective", "NaN"], "--objective is NaN"),
            (["--days", "-1"], "--days"),
            (["--pod-capacity", "0"], "--pod-capacity is 0"),
            (["--price", "-1"], "price"),
        ] {
            let error = output(&arguments).unwrap_err();
            assert!(error.contains(what), "{arguments:?}: {error}");
        }
        let unknown = output(&["--magic"]).unwrap_err();
        assert!(unknown.contains("unexpected argument '--magic'"), "{unknown}");
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(48))]
        #[test]
        fn any_bytes_are_replayed_or_refused_in_one_line(
            at in 0..900_usize, cut in 0..60_usize, put in proptest::collection::vec(proptest::num::u8::ANY, 0..20),
            word in proptest::sample::select(vec!["", "NaN", "1e308", "-1", "99999999999", "9999-12-31T23:59:59Z", ",", "\n"]),
        ) {
            let history = examples::read(&examples::shop_history()).unwrap();
            let mut text = history.get(..3000).unwrap().to_vec();
            text.splice(at..at + cut, put.into_iter().chain(word.bytes()));
            let source = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(source.path(), text).unwrap();
            if let Err(what) = output(&["--engine", "hpa:70", "--trace", source.path().to_str().unwrap()]) {
                proptest::prop_assert!(!what.contains('\n'), "{}", what);
            }
        }
    }
}
