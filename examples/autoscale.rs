//! The whole loop on your own past: what an engine would have done to an HPA, what that would have cost, and whether it is worth it.
//!
//!     cargo run --release --example autoscale
//!     cargo run --release --example autoscale -- --source load.csv --hpa hpa.yaml --pod-capacity 60 --html report.html
//!
//! By default it replays the second of the two weeks in `test_data/shop_history.csv.gz`, after learning from the first, against
//! the HPA of `test_data/shop_hpa.yaml`. The recording says how much load there was; the pods that meet it are simulated, because
//! they follow from the bounds. A records file is a source, too: run again from its own records it writes the same bytes.
//!
//! The same program against live metrics, built with `--features live`: what works (`check`), what the last two weeks would have been
//! (`backtest`), and ticking by the clock, which changes nothing without `--apply`.
//!
//!     autoscale check    --prometheus http://localhost:9090 --target shop/web --context staging
//!     autoscale backtest --prometheus http://localhost:9090 --target shop/web --context staging
//!     autoscale          --prometheus http://localhost:9090 --target shop/web --context staging --listen 127.0.0.1:8000
//!
//! `--cloudwatch FILE`, `--azure FILE` or `--datadog FILE` (each with a feature of its own) in the place of `--prometheus` asks those, by a
//! file that says which series are a workload's; samples are in `deploy/`.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use examples::adopting::{self, Stage};
use examples::changes::{Changes, when};
use examples::comparison::{Comparison, RecorderRecipe};
use examples::journal::{self, Journal, Recorded, Setting};
use examples::live::arguments::{LiveArguments, Task};
use examples::manifest::HpaFile;
use examples::scenario::ScenarioArguments;
use examples::{Failure, MayClose, candidates, live, verdict};
use scaling_core::backtest::Scenario;
use scaling_core::record::Tee;
use scaling_core::stats::significant;
use scaling_core::{HardLimits, PlannedEvent, Target, WorkloadFacts};
use scaling_k8s::{HpaManifest, diff, repository};

/// Beginning of the records of a live run.
const LIVE_MARK: &[u8] = b"{\"header\":";

const EXAMPLES: &str = "Examples:
  cargo run --release --example autoscale
  cargo run --release --example autoscale -- --verbose --time-zone Europe/Berlin
  cargo run --release --example autoscale -- --source load.csv --hpa hpa.yaml --pod-capacity 60 --html report.html
  cargo run --release --example autoscale -- --engine rules --records records.jsonl
  cargo run --release --example autoscale -- --source load.csv --hpa hpa.yaml --pods-at-peak 40
  cargo run --release --example autoscale -- --source records.jsonl --records again.jsonl

Against live metrics (cargo run --release --features live --example autoscale -- ...):
  autoscale check --prometheus http://localhost:9090 --target shop/web --context staging
  autoscale backtest --prometheus http://localhost:9090 --target shop/web --context staging
  autoscale adopt --prometheus http://localhost:9090 --target shop/web --context staging --stage observe
  autoscale --prometheus http://localhost:9090 --target shop/web --hpa hpa.yaml --records records --state state
  autoscale --prometheus http://localhost:9090 --target shop/web --context staging --listen 127.0.0.1:8000 --apply
  autoscale check --cloudwatch examples/deploy/cloudwatch.yaml --target shop/checkout --context staging
  autoscale --source records --target shop/web";

#[derive(Clone, Parser)]
#[command(
    name = "autoscale",
    version,
    about = "What an engine would have done to your HPA, and whether that is worth it",
    after_help = format!("{EXAMPLES}\n\n{}", examples::reading::FORMS)
)]
struct Arguments {
    /// The task on live metrics. Default: tick by the clock until SIGTERM or SIGINT.
    #[arg(value_enum)]
    task: Option<Task>,
    /// Metrics to replay, or decision records: a file, or the folder of a live run. Metrics need --hpa. Without either,
    /// `test_data/shop_history.csv.gz` is replayed under `test_data/shop_hpa.yaml`.
    #[arg(long, value_name = "FILE")]
    source: Option<PathBuf>,
    /// The HPA as it stands: a manifest. Needed with metrics in --source.
    #[arg(long, value_name = "FILE")]
    hpa: Option<PathBuf>,
    #[arg(long, default_value = "predictive", help = format!("The engine that moves its bounds: {}, or one of these @hpa:FILE.yaml instead of --hpa FILE.yaml", candidates::BOUND_MOVERS))]
    engine: String,
    /// Requests that may be too late or lost under the recommended target, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0)]
    violating: f64,
    /// Tells every change.
    #[arg(long, short)]
    verbose: bool,
    /// Writes the comparison as one page with charts.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Writes the decision records of "with us" as JSON lines; of a live run into the rotating files of a folder, from which the next
    /// run takes its cooldowns and floors.
    #[arg(long, value_name = "FILE or DIR")]
    records: Option<PathBuf>,
    /// Writes the recommended manifest, as a GitOps repository would get it, into this folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Declares an event; may be given several times.
    #[arg(long, value_name = "NAME,START,END,FACTOR", value_parser = examples::event)]
    event: Vec<PlannedEvent>,
    /// The stage of adoption that is in force, for `adopt`.
    #[arg(long, value_enum, default_value_t)]
    stage: Stage,
    #[command(flatten)]
    live: LiveArguments,
    #[command(flatten)]
    cluster: ScenarioArguments,
}

impl Arguments {
    /// The arguments that the live parts need.
    fn setup(&self) -> Result<live::Setup<'_>, Failure> {
        Ok(live::Setup {
            live: &self.live,
            hpa: self.hpa.as_deref(),
            hpas: &self.cluster.hpas,
            engine: &self.engine,
            records: self.records.as_deref(),
            events: &self.event,
            limits: self.cluster.limits,
            price: examples::price(self.cluster.price, &self.cluster.currency)?,
        })
    }
}

fn main() -> ExitCode {
    examples::exit(run(&Arguments::parse(), &mut MayClose(std::io::stdout())))
}

fn run(arguments: &Arguments, out: &mut impl Write) -> Result<(), Failure> {
    let arguments = &taken_apart(arguments)?;
    match arguments.task {
        Some(Task::Check) => return live::check(&arguments.setup()?),
        Some(Task::Backtest) => {
            let (target, hpa, samples) = live::past(&arguments.setup()?)?;
            let alone = hpa.clone().candidate(hpa.manifest.name());
            let scenario = arguments.cluster.fetched(&target.to_string(), samples, &[alone], out)?;
            return compare(arguments, &hpa, &target, &with_events(arguments, &target, scenario), out);
        }
        Some(Task::Adopt) => {
            let (target, hpa, samples) = live::past(&arguments.setup()?)?;
            let alone = hpa.clone().candidate(hpa.manifest.name());
            let scenario = arguments.cluster.fetched(&target.to_string(), samples.clone(), &[alone], out)?;
            let (scenario, engine) =
                (with_events(arguments, &target, scenario), candidates::engine(&setting(arguments, &hpa)?.engine)?);
            let days = adopting::days(&samples, &scenario, &hpa.spec, &engine, arguments.stage)?;
            return adopting::told(&target, &days, arguments.stage, out);
        }
        None => {}
    }
    if let Some(source) = arguments.source.as_deref().filter(|source| source.is_dir() || is_live_file(source)) {
        return live::records_replay(&arguments.setup()?, source);
    }
    if arguments.live.is_wanted() {
        return live::run(&arguments.setup()?);
    }
    let source = arguments.source.clone().unwrap_or_else(examples::shop_history);
    examples::spare(arguments.html.iter().chain(&arguments.records), arguments.source.iter().chain(&arguments.hpa))?;
    let place = examples::place(&source);
    if journal::is_journal(&source) {
        writeln!(out, "autoscale: running again from the records in {place}")?;
        return replay_records(arguments, &source, out);
    }
    // What ships is replayed as a whole: an HPA is judged by the load of its own workload.
    match (&arguments.source, &arguments.hpa) {
        (Some(_), None) => {
            return Err(Failure::input(format!(
                "{place}: a load is replayed under the HPA of its own workload; say which: --hpa FILE (and, where the load does not tell \
                 what a pod serves, --pod-capacity RPS or --pods-at-peak N)"
            )));
        }
        (None, Some(hpa)) => {
            return Err(Failure::input(format!(
                "{}: an HPA is judged by what was measured of its own workload; say where that is: --source FILE",
                examples::place(hpa)
            )));
        }
        _ => {}
    }
    writeln!(out, "autoscale: {place} under the HPA alone, with us, and with a recommended target (some seconds)")?;
    out.flush()?;
    let hpa = hpa(arguments)?;
    let target = hpa.manifest.target();
    let scenario = scenario(arguments, &source, &hpa, out)?;
    compare(arguments, &hpa, &target, &with_events(arguments, &target, scenario), out)
}

/// Compares the HPA alone, with us, and with the recommended target, and says what to make of it.
fn compare(
    arguments: &Arguments,
    hpa: &HpaFile,
    target: &Target,
    scenario: &Scenario,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let setting = setting(arguments, hpa)?;
    let manifest = &hpa.manifest;
    let engine = candidates::engine(&setting.engine)?;
    let changes = Changes::default();
    let journal = arguments.records.as_deref().map(Journal::new);
    let setting = Setting { limits: scenario.model.limits, ..setting };
    let recorder = recorder(changes.clone(), journal.clone(), setting);
    let share = arguments.violating / 100.0;
    let comparison = Comparison::new(scenario, &hpa.spec, &engine, recorder, share)?;
    let comparison = Comparison { scaled_to: arguments.cluster.scaled_to(scenario), ..comparison };
    if let Some(journal) = journal {
        journal.finish()?;
    }

    introduce(arguments, hpa, target, &comparison, out)?;
    let mut list = Vec::new();
    changes.write(arguments.cluster.reading.zone(), arguments.verbose, &mut list)?;
    out.write_all(&list)?;
    writeln!(out, "\n{}", verdict::table(&comparison, manifest.spec.bounds().map_err(Failure::input)?.min()))?;
    recommend(arguments, manifest, &comparison, out)?;
    writeln!(out, "{}", verdict::sentence(&comparison))?;
    if let Some(path) = &arguments.html {
        let mut list = Vec::new();
        changes.write(arguments.cluster.reading.zone(), true, &mut list)?;
        examples::write(path, &verdict::page(&comparison, &String::from_utf8_lossy(&list)), out)?;
    }
    Ok(())
}

/// Takes `--engine ENGINE@hpa:FILE` as `--engine ENGINE --hpa FILE`.
fn taken_apart(arguments: &Arguments) -> Result<Arguments, Failure> {
    let mut arguments = arguments.clone();
    let Some((engine, hpa)) = candidates::engine_over(&arguments.engine) else { return Ok(arguments) };
    let file = hpa.strip_prefix("hpa:").filter(|file| candidates::is_file(file));
    let file = file.ok_or_else(|| {
        Failure::input(format!(
            "--engine {}: behind the @ an HPA in a file is needed, as hpa:FILE.yaml",
            arguments.engine
        ))
    })?;
    if arguments.hpa.as_ref().is_some_and(|other| other != Path::new(file)) {
        return Err(Failure::input(format!("--engine {} and --hpa name two HPAs", arguments.engine)));
    }
    (arguments.hpa, arguments.engine) = (Some(file.into()), engine.to_owned());
    Ok(arguments)
}

/// Keeps the changes and, if records are wanted, writes them.
fn recorder(changes: Changes, journal: Option<Journal>, setting: Setting) -> RecorderRecipe {
    Arc::new(move |training| {
        let Some(journal) = &journal else { return Ok(Box::new(changes.clone())) };
        journal.begin(setting.with(training))?;
        Ok(Box::new(Tee::new().with(changes.clone()).with(journal.clone())))
    })
}

/// Reads the HPA as it stands, and what is replayed of it.
fn hpa(arguments: &Arguments) -> Result<HpaFile, Failure> {
    let path = arguments.hpa.clone().unwrap_or_else(|| examples::test_data("shop_hpa.yaml"));
    arguments.cluster.hpas.read(&path)
}

/// Tells what a run depends on besides its metrics.
fn setting(arguments: &Arguments, hpa: &HpaFile) -> Result<Setting, Failure> {
    if !(0.0..=100.0).contains(&arguments.violating) {
        return Err(Failure::input(format!("--violating is {}; it must be a percentage", arguments.violating)));
    }
    Ok(Setting {
        engine: arguments.engine.clone(),
        hpa: hpa.manifest.to_yaml().map_err(Failure::failed)?,
        limits: HardLimits::default(),
        events: arguments.event.clone(),
        facts: WorkloadFacts::default(),
        history: Vec::new(),
    })
}

/// Puts the load into a cluster, as `backtest` does.
fn scenario(arguments: &Arguments, source: &Path, hpa: &HpaFile, out: &mut impl Write) -> Result<Scenario, Failure> {
    let alone = hpa.clone().candidate(hpa.manifest.name());
    let judged = arguments.hpa.as_deref().map(examples::place);
    let judged: Vec<&str> = judged.iter().map(String::as_str).collect();
    let scenarios = arguments.cluster.scenarios(&[source.to_owned()], &[alone], &judged, out)?;
    scenarios.into_iter().next().ok_or_else(|| Failure::failed("there is no load"))
}

fn with_events(arguments: &Arguments, target: &Target, scenario: Scenario) -> Scenario {
    Scenario { target: Some(target.clone()), events: arguments.event.clone(), ..scenario }
}

/// Returns whether a file is one of the records of a live run.
fn is_live_file(path: &Path) -> bool {
    let mut begins = [0; LIVE_MARK.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut begins));
    path != Path::new("-") && read.is_ok() && begins == LIVE_MARK
}

/// Says who, from when to when, under which HPA.
fn introduce(
    arguments: &Arguments,
    hpa: &HpaFile,
    target: &Target,
    comparison: &Comparison,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let (report, zone, manifest) = (&comparison.report, arguments.cluster.reading.zone(), &hpa.manifest);
    let cpu = manifest.spec.cpu_target_percent();
    let cpu = cpu.map_or_else(|| "other metrics than CPU".to_owned(), |percent| format!("CPU at {percent} %"));
    writeln!(
        out,
        "\n{target} under HPA {:?} ({} pods, {cpu})\nfrom {} to {} ({zone}), after {:.1} days of history to learn from",
        target.hpa,
        manifest.spec.bounds().map_err(Failure::input)?,
        when(report.scored.start, zone),
        when(report.scored.end, zone),
        report.scored.history_days
    )?;
    if !hpa.left_out.is_empty() {
        writeln!(out, "left out of the replay, by every HPA in it: {}", hpa.left_out.join(", "))?;
    }
    writeln!(
        out,
        "the engine {:?} moves its bounds within {} pods; a pod serves {} requests/s and costs {} {} an hour\n",
        arguments.engine,
        report.model.limits,
        significant(report.model.pod_capacity, 1),
        arguments.cluster.price,
        arguments.cluster.currency
    )?;
    Ok(())
}

/// Says which target is recommended, as a diff of the manifest.
fn recommend(
    arguments: &Arguments,
    manifest: &HpaManifest,
    comparison: &Comparison,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let found = match &comparison.recommended {
        Ok(found) => found,
        Err(why) => return Ok(writeln!(out, "{why}\n")?),
    };
    let proposed = HpaManifest { spec: found.setting.applied_to(&manifest.spec), ..manifest.clone() };
    writeln!(
        out,
        "{}\nfound on the history before ({} tried), for at most {} % too late or lost:",
        found.advice, found.tried, arguments.violating
    )?;
    for line in diff(manifest, &proposed) {
        writeln!(out, "  {line}")?;
    }
    writeln!(out)?;
    let Some(folder) = &arguments.out else { return Ok(()) };
    for (name, content) in repository::files(&proposed, None).map_err(Failure::failed)? {
        examples::write(&folder.join(name), &content, out)?;
    }
    if let Some(warning) = verdict::warning(comparison) {
        writeln!(out, "{warning}\n")?;
    }
    Ok(())
}

/// Runs again what was recorded: the same decisions, without the load that a comparison needs.
fn replay_records(arguments: &Arguments, source: &Path, out: &mut impl Write) -> Result<(), Failure> {
    let recorded = Recorded::read(source)?;
    let (target, zone) = (recorded.manifest.target(), arguments.cluster.reading.zone());
    if let Some((first, last)) = recorded.span() {
        writeln!(
            out,
            "\n{target}, from {} to {} ({zone}), engine {:?}, from its records\n",
            when(first, zone),
            when(last, zone),
            recorded.setting.engine
        )?;
    }
    let changes = Changes::default();
    recorded.replay(arguments.records.as_deref(), changes.clone())?;
    changes.write(zone, arguments.verbose, out)?;
    writeln!(
        out,
        "\nrecords hold no load: the comparison with the HPA alone comes from the source that they were made of"
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use scaling_core::backtest::Trace;

    use super::*;

    fn output(arguments: &[&str]) -> Result<String, String> {
        let arguments = Arguments::try_parse_from(std::iter::once(&"autoscale").chain(arguments))
            .map_err(|error| error.to_string())?;
        examples::outcome(|out| run(&arguments, out))
    }

    fn shop_hpa() -> String {
        examples::test_data("shop_hpa.yaml").to_str().unwrap().to_owned()
    }

    fn file(folder: &Path, name: &str, text: &str) -> String {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Two days by the minute, with a wave every six hours and a gap of half an hour on the second; as few ticks as show it.
    fn load(folder: &Path) -> String {
        let rows = (0..2880).filter(|minute| !(2000..2030).contains(minute)).map(|minute| {
            let phase = f64::from(minute) / 360.0 * std::f64::consts::TAU;
            format!("{},{:.0}", 1_767_571_200 + minute * 60, 300.0 - 200.0 * phase.cos())
        });
        file(folder, "load.csv", &format!("timestamp_s,rps\n{}\n", rows.collect::<Vec<_>>().join("\n")))
    }

    const QUICK: [&str; 8] = ["--pod-capacity", "60", "--sync", "60", "--scrape", "60", "--lag", "60"];

    #[test]
    fn a_reader_who_has_never_seen_it_is_told_who_when_what_it_costs_and_whether_it_is_worth_it() {
        let temporary = tempfile::tempdir().unwrap();
        let load = load(temporary.path());
        let page = temporary.path().join("page.html");
        let shop = shop_hpa();
        let wanted = ["--source", &load, "--hpa", &shop, "--engine", "rules", "--html", page.to_str().unwrap()];
        let text = output(&[wanted.as_slice(), &QUICK, &["--time-zone", "Europe/Berlin"]].concat()).unwrap();
        for line in [
            "autoscale: ",
            "shop/Deployment/shop under HPA \"shop\" (4..10 pods, CPU at 65 %)",
            "from Tue 2026-01-06 02:00 to Wed 2026-01-07 01:00 (Europe/Berlin), after 1.0 days of history",
            "changes of the bounds",
            "when (Europe/Berlin)",
            "no decision for ",
            "the HPA alone, as it stands",
            "with us ",
            "the clairvoyant, as many too late",
            "no target is recommended: load: 48.0 h of history are too few",
            "Verdict: Moving the bounds of this HPA as it stands costs ",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!text.contains("a year") && !text.contains("savings"), "{text}");
        let changes = text.lines().filter(|line| line.contains(" → ")).count();
        assert!(changes > 0 && text.lines().all(|line| line.matches(" → ").count() <= 1), "{text}");
        let verdict =
            text.lines().last().filter(|line| line.starts_with("wrote ")).and_then(|_| text.lines().rev().nth(1));
        let page = fs::read_to_string(page).unwrap();
        assert!(page.contains(verdict.unwrap()) && page.contains(" → ") && page.contains("<svg"), "{verdict:?}");
    }

    #[test]
    fn a_manifest_of_ones_own_is_not_judged_by_a_load_of_a_size_of_ours() {
        let temporary = tempfile::tempdir().unwrap();
        let load = load(temporary.path());
        let own = fs::read_to_string(examples::test_data("shop_hpa.yaml")).unwrap();
        let own = file(temporary.path(), "own.yaml", &own);
        let asked = [["--source", &load, "--engine", "rules", "--limits", "1..80"].as_slice(), &QUICK[2..]].concat();
        let error = output(&[asked.as_slice(), &["--hpa", &own]].concat()).unwrap_err();
        assert!(error.starts_with("2: ") && error.contains("load.csv: nothing in it tells what a pod of "), "{error}");
        assert!(error.contains("own.yaml serves ") && error.contains("--pod-capacity REQUESTS_PER_SECOND"), "{error}");
        let verdict = |more: &[&str]| {
            let text = output(&[asked.as_slice(), more].concat()).unwrap();
            text.lines().find(|line| line.starts_with("Verdict: ")).unwrap().to_owned()
        };
        assert!(verdict(&["--hpa", &own, "--pods-at-peak", "9"]).contains("scaled so that its peak needs 9 pods"));
        let error = output(&asked).unwrap_err();
        assert!(
            error.starts_with("2: ")
                && error.contains("load.csv: a load is replayed under")
                && error.contains("--hpa FILE")
        );
        let error = output(&["--hpa", &own]).unwrap_err();
        assert!(error.starts_with("2: ") && error.ends_with("say where that is: --source FILE"), "{error}");
        let error = output(&["--source", &load, "--hpa", &own, "--html", &load]).unwrap_err();
        assert!(error.starts_with("2: ") && error.ends_with("would be written over"), "{error}");
        assert!(!verdict(&["--hpa", &own, "--pod-capacity", "60"]).contains("scaled"));
        let engine = format!("rules@hpa:{own}");
        let over = [&asked[..2], &asked[4..], &["--engine", &engine, "--pod-capacity", "60"]].concat();
        let text = output(&over).unwrap();
        assert!(text.contains(&verdict(&["--hpa", &own, "--pod-capacity", "60"])), "{text}");
        let error = output(&[over.as_slice(), &["--hpa", "other.yaml"]].concat()).unwrap_err();
        assert!(error.starts_with("2: ") && error.contains("name two HPAs"), "{error}");
        let error = output(&["--engine", "predictive@hpa:95"]).unwrap_err();
        assert!(error.starts_with("2: ") && error.contains("as hpa:FILE.yaml"), "{error}");
    }

    /// Four days, as many as a search for a target needs.
    fn four_days(folder: &Path) -> String {
        let rows = (0..2400).map(|step| {
            let phase = f64::from(step) / 600.0 * std::f64::consts::TAU;
            format!("{},{:.0}", 1_767_571_200 + step * 144, 300.0 - 200.0 * phase.cos())
        });
        file(folder, "load.csv", &format!("timestamp_s,rps\n{}\n", rows.collect::<Vec<_>>().join("\n")))
    }

    #[test]
    fn where_no_target_is_worth_it_none_is_recommended() {
        let temporary = tempfile::tempdir().unwrap();
        let load = four_days(temporary.path());
        let shop = fs::read_to_string(examples::test_data("shop_hpa.yaml")).unwrap();
        // With so large a min the target decides nothing.
        let held = shop.replace("minReplicas: 4", "minReplicas: 35").replace("maxReplicas: 10", "maxReplicas: 70");
        let held = file(temporary.path(), "held.yaml", &held);
        let folder = temporary.path().join("out");
        let asked = ["--source", &load, "--engine", "rules", "--out", folder.to_str().unwrap(), "--hpa", &held];
        let text = output(&[asked.as_slice(), &QUICK].concat()).unwrap();
        assert!(text.contains("(35..70 pods"), "{text}");
        assert!(text.contains("\nkeep the HPA as it is: CPU at "), "{text}");
        assert!(!text.contains("with us, recommended target") && !text.contains("target without us"), "{text}");
        assert!(!text.contains(" -> ") && !text.contains("warning") && !folder.exists(), "{text}");
    }

    #[test]
    fn a_target_is_recommended_from_the_history_alone_and_written_as_a_manifest() {
        let temporary = tempfile::tempdir().unwrap();
        let load = four_days(temporary.path());
        let folder = temporary.path().to_str().unwrap();
        let shop = shop_hpa();
        let asked = ["--source", &load, "--hpa", &shop, "--engine", "rules", "--out", folder];
        let text = output(&[asked.as_slice(), &QUICK].concat());
        let text = text.unwrap();
        for line in [
            "with us, recommended target",
            "the recommended target without us",
            "recommended with our floors: CPU at 90 %, scale-down stabilization 60 s (",
            "\nfound on the history before (",
            "averageUtilization: 65 -> ",
            "shop.hpa.yaml\nwarning: this target is for an HPA whose floors we hold; if we stop, ",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        let written = fs::read_to_string(temporary.path().join("shop/shop.hpa.yaml")).unwrap();
        assert!(
            !written.contains("averageUtilization: 65") && written.contains("app.kubernetes.io/name: shop"),
            "{written}"
        );
    }

    #[test]
    fn law_5_a_run_from_its_own_records_writes_the_same_bytes() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path();
        let load = load(folder);
        let [first, again] = ["first.jsonl", "again.jsonl"].map(|name| folder.join(name).to_str().unwrap().to_owned());
        let made = output(
            &[["--source", &load, "--hpa", &shop_hpa(), "--records", &first, "--verbose"].as_slice(), &QUICK].concat(),
        )
        .unwrap();
        let replayed = output(&["--source", &first, "--records", &again, "--verbose"]).unwrap();
        let [records, twice] = [&first, &again].map(|path| fs::read(path).unwrap());
        assert!(records.len() > 100_000 && records == twice);
        let changes =
            |text: &str| text.lines().filter(|line| line.contains(" → ")).map(str::to_owned).collect::<Vec<_>>();
        assert!(!changes(&made).is_empty() && changes(&made) == changes(&replayed), "{replayed}");
    }

    #[test]
    fn an_hpa_outside_the_limits_is_refused_and_said() {
        let error = output(&["--limits", "5..8"]).unwrap_err();
        assert!(error.starts_with("2: ") && error.contains("its bounds 4..10 leave the limits 5..8"), "{error}");
    }

    #[test]
    fn the_shipped_history_is_two_weeks_with_an_hour_that_is_lost() {
        let bytes = examples::read(&examples::shop_history()).unwrap();
        let trace = Trace::parse("shop", &bytes).unwrap();
        assert_eq!((trace.span().1 - trace.span().0).num_days(), 14);
        assert!((3600.0..5400.0).contains(&trace.facts().gap_seconds), "{:?}", trace.facts());
    }

    #[test]
    #[cfg(not(feature = "live"))]
    fn without_its_live_part_it_says_how_to_build_it() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().to_str().unwrap();
        for arguments in [
            ["--prometheus", "http://localhost:9090", "--target", "shop/web"].as_slice(),
            &["check", "--prometheus", "http://localhost:9090", "--target", "shop/web"],
            &["backtest", "--target", "shop/web"],
            &["--source", folder],
            &["--apply"],
        ] {
            let error = output(arguments).unwrap_err();
            assert!(error.starts_with("2: ") && error.contains("--features live --example "), "{error}");
        }
    }

    #[test]
    #[cfg(feature = "live")]
    fn what_the_live_part_lacks_is_said_with_its_flag() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().to_str().unwrap();
        let from = ["--prometheus", "http://127.0.0.1:1"];
        for (arguments, what) in [
            (["--target", "shop/web"].as_slice(), "--prometheus URL"),
            (&from, "--target NAMESPACE/NAME"),
            (&["--target", "shop/web", from[0], from[1]], "--context NAME for a cluster, or --hpa FILE"),
            (&["backtest", "--target", "a/b", "--target", "a/c", from[0], from[1]], "one workload at a time"),
            (&["--source", folder], "nothing in it says which engine decided"),
        ] {
            let error = output(arguments).unwrap_err();
            assert!(error.starts_with("2: ") && error.contains(what), "{what}: {error}");
        }
    }

    #[test]
    fn bad_input_is_one_clear_line() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path();
        for (name, text, what) in [
            ("empty.csv", "", "empty"),
            ("words.csv", "a,b\n1,2\n", "no known field"),
            ("torn.jsonl", "{\"timestamp\":1,", "line 1"),
            ("blind.csv", "timestamp_s,queue_depth\n0,1\n", "neither a request rate"),
            ("header.jsonl", "{\"run\":{}}", "line 1"),
        ] {
            let error = output(&["--source", &file(folder, name, text), "--hpa", &shop_hpa()]).unwrap_err();
            assert!(error.starts_with("2: ") && error.contains(what) && !error.contains('\n'), "{name}: {error}");
        }
        for (arguments, what) in [
            (&["--source", "load.csv", "--hpa", &file(folder, "hpa.yaml", "kind: Pod")][..], "hpa.yaml"),
            (&["--price", "-1"], "price"),
            (&["--violating", "101"], "--violating is 101"),
            (&["--engine", "magic"], "there is no engine \"magic\""),
            (&["--limits", "9..2"], "above max"),
            (&["--time-zone", "Mars/Phobos"], "--time-zone"),
            (&["--sorce", "x"], "--sorce"),
        ] {
            let error = output(arguments).unwrap_err();
            assert!(error.contains(what), "{arguments:?}: {error}");
        }
    }
}
