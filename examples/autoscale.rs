//! The whole loop, tick by tick: metrics in, decision, guards, plan, HPA bounds out, everything recorded.
//!
//!     cargo run --release --example autoscale
//!     cargo run --release --example autoscale -- --source load.csv --hpa hpa.yaml --out manifests --records records.jsonl
//!
//! By default it replays `test_data/shop_history.csv` against an HPA in memory, prints a line for each change of the bounds, and
//! a summary. The recording says how much load there was; the pods that met it are simulated, because they follow from the
//! bounds. A records file is a source, too: run again from its own records it writes the same bytes.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use examples::reading::ReadingArguments;
use examples::{Failure, MayClose};
use scaling_core::backtest::{Arrivals, Cluster, ClusterModel, ClusterSetup, Control, Trace};
use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::hpa::ControllerConfig;
use scaling_core::source::{Recording, Replay};
use scaling_core::{
    ApplyMode, Autoscaler, DecisionRecord, HardLimits, HpaApplier, JsonLinesRecorder, MemoryApplier, MetricsSource,
    NoRecorder, Outcome, PlannedEvent, Price, Recorder, RuleBasedEngine, ScalingMetrics, WorkloadFacts,
};
use scaling_k8s::{HpaManifest, repository};
use serde::{Deserialize, Serialize};

/// More ticks than this are a mistake: ten years of minutes.
const MOST_TICKS: i64 = 5_300_000;

#[derive(Parser)]
#[command(
    name = "autoscale",
    version,
    about = "The whole loop over a recorded history, tick by tick",
    after_help = examples::reading::FORMS
)]
struct Arguments {
    /// Metrics to replay: CSV or JSON lines (also gzipped), or a file of decision records.
    #[arg(long, value_name = "FILE")]
    source: Option<PathBuf>,
    #[command(flatten)]
    reading: ReadingArguments,
    /// The HPA to start from: an `autoscaling/v2` manifest.
    #[arg(long, value_name = "FILE")]
    hpa: Option<PathBuf>,
    /// Writes the manifests that a GitOps repository would get into this folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Writes the decision records as JSON lines.
    #[arg(long, value_name = "FILE")]
    records: Option<PathBuf>,
    /// Seconds between two ticks; by default the interval of the metrics.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    tick: Option<u32>,
    /// Requests per second that one pod serves at full utilization; otherwise learnt from the metrics.
    #[arg(long)]
    pod_capacity: Option<f64>,
    /// Smallest and largest size allowed at all.
    #[arg(long, value_name = "MIN..MAX", default_value = "1..1000", value_parser = examples::limits)]
    limits: HardLimits,
    /// Price of a pod-hour.
    #[arg(long, default_value_t = 0.05, allow_negative_numbers = true)]
    price: f64,
    /// Currency of the price.
    #[arg(long, default_value = "USD")]
    currency: String,
    /// Declares an event; may be given several times.
    #[arg(long, value_name = "NAME,START,END,FACTOR", value_parser = examples::event)]
    event: Vec<PlannedEvent>,
}

fn main() -> ExitCode {
    examples::exit(run(&Arguments::parse(), &mut MayClose(std::io::stdout().lock())))
}

/// What a run depends on besides its metrics: the first line of a records file, so that the file is all it takes to run again.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Setting {
    hpa: String,
    tick_s: f64,
    limits: HardLimits,
    price: Price,
    facts: WorkloadFacts,
    events: Vec<PlannedEvent>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    run: Setting,
}

/// What the loop sees and changes, and when. A live cluster would differ here, and nowhere else.
struct World {
    setting: Setting,
    source: Box<dyn MetricsSource>,
    applier: Arc<dyn HpaApplier>,
    ticks: Vec<DateTime<Utc>>,
    /// Lets simulated time pass; a live world does so by itself.
    advance: Box<dyn Fn(DateTime<Utc>)>,
    note: Option<String>,
}

fn run(arguments: &Arguments, out: &mut impl Write) -> Result<(), Failure> {
    let path = arguments.source.clone().unwrap_or_else(|| examples::test_data("shop_history.csv"));
    let bytes = examples::read(&path)?;
    let place = |what: &dyn std::fmt::Display| Failure::input(format!("{}: {what}", path.display()));
    let world = if bytes.starts_with(b"{\"run\":") {
        recorded(&bytes).map_err(|what| place(&what))?
    } else {
        let trace = arguments.reading.trace(&examples::place(&path), &path, &bytes)?;
        for note in arguments.reading.notes(&trace) {
            writeln!(out, "{note}")?;
        }
        replayed(arguments, trace)?
    };
    let manifest = HpaManifest::from_yaml(&world.setting.hpa).map_err(Failure::input)?;
    let target = manifest.target();
    if let Some(note) = &world.note {
        writeln!(out, "{note}")?;
    }

    let records = arguments.records.as_ref().map(|path| open(path, &world.setting).map(Arc::new)).transpose()?;
    let recorder: Box<dyn Recorder> = match &records {
        Some(records) => Box::new(records.clone()),
        None => Box::new(NoRecorder),
    };
    let autoscaler = Autoscaler::builder()
        .source(world.source)
        .engine(RuleBasedEngine::default())
        .applier(world.applier.clone())
        .recorder(recorder)
        .limits(world.setting.limits)
        .price(world.setting.price)
        .mode(ApplyMode::Apply)
        .build();

    let runtime = examples::runtime()?;
    let mut summary = Summary::default();
    for now in world.ticks {
        (world.advance)(now);
        let record = runtime.block_on(autoscaler.tick(&target, now)).map_err(Failure::failed)?;
        if let Some(line) = summary.take(&record, world.setting.tick_s) {
            writeln!(out, "{line}")?;
        }
    }
    drop(autoscaler);
    if let Some(records) = records.and_then(Arc::into_inner) {
        records.finish()?;
    }
    summary.print(world.setting.price, out)?;

    if let Some(folder) = &arguments.out {
        let bounds = runtime.block_on(world.applier.current(&target)).map_err(Failure::failed)?.bounds;
        for (name, content) in repository::files(&manifest.with_bounds(bounds), None).map_err(Failure::failed)? {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap_or(folder))
                .and_then(|()| fs::write(&path, content))
                .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
            writeln!(out, "wrote {}", path.display())?;
        }
    }
    Ok(())
}

/// The records file with its header.
fn open(path: &Path, setting: &Setting) -> Result<JsonLinesRecorder<BufWriter<fs::File>>, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::failed(format!("{}: {error}", path.display()));
    let mut writer = BufWriter::new(fs::File::create(path).map_err(|error| failed(&error))?);
    let header = serde_json::to_string(&Header { run: setting.clone() }).map_err(|error| failed(&error))?;
    writeln!(writer, "{header}").map_err(|error| failed(&error))?;
    Ok(JsonLinesRecorder::new(writer))
}

/// A world in which recorded load meets simulated pods.
fn replayed(arguments: &Arguments, trace: Trace) -> Result<World, Failure> {
    let hpa = match &arguments.hpa {
        Some(path) => String::from_utf8(examples::read(path)?)
            .map_err(|_| Failure::input(format!("{}: not UTF-8", path.display())))?,
        None => include_str!("../test_data/shop_hpa.yaml").to_owned(),
    };
    let place = arguments.hpa.as_ref().map_or_else(|| "the built-in HPA".into(), |path| path.display().to_string());
    let manifest = HpaManifest::from_yaml(&hpa).map_err(|error| Failure::input(format!("{place}: {error}")))?;
    let (start, end) = trace.span();
    let tick = arguments.tick.map_or(trace.interval(), |seconds| TimeDelta::seconds(i64::from(seconds)));
    let count = (end - start).num_milliseconds() / tick.num_milliseconds().max(1);
    if count > MOST_TICKS {
        return Err(Failure::input(format!("{count} ticks are too many; set a longer --tick than {tick}")));
    }
    let ticks = (0..=count).filter_map(|step| i32::try_from(step).ok()).map(|step| start + tick * step).collect();

    let known = arguments.pod_capacity.or(trace.pod_capacity());
    let pod_capacity = known.unwrap_or(trace.demand_quantile(0.0) / 20.0);
    let note = known.is_none().then(|| {
        format!("note: nothing says what a pod can carry; taken to be {pod_capacity:.2} requests per second (--pod-capacity)")
    });
    let model = ClusterModel { pod_capacity, ..ClusterModel::default() };
    let facts = model.facts(WorkloadFacts::default());
    let arrivals = Arrivals::new(&trace, &model).map_err(Failure::input)?;
    let cluster = Cluster::new(ClusterSetup {
        target: manifest.target(),
        counted: arrivals.counted(0, 0, 0),
        arrivals: Arc::new(arrivals),
        model,
        trace: Arc::new(trace),
        first_step: 0,
        control: Control::Hpa { spec: Box::new(manifest.spec.clone()), controller: ControllerConfig::default() },
        facts: facts.clone(),
        events: arguments.event.clone().into(),
        history: Arc::default(),
    });
    let cluster = Arc::new(cluster.map_err(|error| Failure::input(format!("{place}: {error}")))?);
    Ok(World {
        setting: Setting {
            hpa,
            tick_s: tick.num_milliseconds() as f64 / 1000.0,
            limits: arguments.limits,
            price: examples::price(arguments.price, &arguments.currency)?,
            facts,
            events: arguments.event.clone(),
        },
        source: Box::new(cluster.clone()),
        applier: cluster.clone(),
        ticks,
        advance: Box::new(move |now| cluster.advance(now)),
        note,
    })
}

/// A world made of the records of a run: each tick sees what it saw then.
fn recorded(bytes: &[u8]) -> Result<World, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
    let mut lines = text.lines().enumerate();
    let header = lines.next().map(|(_, line)| line).unwrap_or_default();
    let Header { run: setting } = serde_json::from_str(header).map_err(|error| format!("line 1: {error}"))?;
    let manifest = HpaManifest::from_yaml(&setting.hpa).map_err(|error| format!("line 1: {error}"))?;
    let bounds = manifest.spec.bounds().map_err(|error| format!("line 1: {error}"))?;
    let mut seen: Vec<(DateTime<Utc>, Option<ScalingMetrics>)> = Vec::new();
    for (index, line) in lines {
        let record: DecisionRecord =
            serde_json::from_str(line).map_err(|error| format!("line {}: {error}", index + 1))?;
        if seen.last().is_some_and(|(last, _)| *last >= record.at) {
            return Err(format!("line {}: {} is not after the record before", index + 1, record.at));
        }
        seen.push((record.at, record.metrics));
    }
    let ticks = seen.iter().map(|(at, _)| *at).collect();
    let recording = Recording::of_answers(seen).with_facts(setting.facts.clone()).with_events(setting.events.clone());
    Ok(World {
        applier: Arc::new(MemoryApplier::new().with(manifest.target(), bounds)),
        source: Box::new(Replay::new().with(manifest.target(), recording)),
        setting,
        ticks,
        advance: Box::new(|_| ()),
        note: None,
    })
}

/// What a run came to.
#[derive(Default)]
struct Summary {
    ticks: u64,
    changes: u64,
    refusals: BTreeMap<String, u64>,
    failures: BTreeMap<String, u64>,
    pods: u32,
    largest: u32,
    pod_hours: f64,
    hours: f64,
}

impl Summary {
    /// Counts a record; a line for people if it changed something.
    fn take(&mut self, record: &DecisionRecord, tick_s: f64) -> Option<String> {
        self.ticks += 1;
        // Where metrics are missing, pods are taken to be as they were.
        self.pods = record.metrics.as_ref().and_then(ScalingMetrics::replicas).unwrap_or(self.pods);
        self.largest = self.largest.max(self.pods);
        self.pod_hours += f64::from(self.pods) * tick_s / 3600.0;
        self.hours += tick_s / 3600.0;
        match &record.outcome {
            Outcome::Refused { guard, .. } => *self.refusals.entry(guard.clone()).or_default() += 1,
            Outcome::Failed { error, .. } => {
                // The instant in the message would make each a kind of its own.
                let kind = error.split(" at ").next().unwrap_or(error).to_owned();
                *self.failures.entry(kind).or_default() += 1;
            }
            _ => {}
        }
        let change = record.change.filter(|_| record.is_applied())?;
        self.changes += 1;
        let decision = record.decision.as_ref()?;
        let why = decision.reasons.first().map(ToString::to_string).unwrap_or_default();
        let wanted = decision.wanted();
        let allowed = record.clamps.last().map_or(String::new(), |clamp| format!(", {} by {}", clamp.to, clamp.guard));
        let cost = decision.cost.filter(|_| wanted != decision.current_replicas);
        let cost = cost.map(|cost| format!("; {cost}")).unwrap_or_default();
        let bounds = if change.old == change.new {
            change.to_string().replace('\n', ", ")
        } else {
            format!("{} -> {}", change.old, change.new)
        };
        Some(format!(
            "{}  {bounds}  {} -> {wanted} pods{allowed}: {why}{cost}",
            record.at.format("%Y-%m-%d %H:%M:%S"),
            decision.current_replicas,
        ))
    }

    fn print(&self, price: Price, out: &mut impl Write) -> Result<(), Failure> {
        let count = |counts: &BTreeMap<String, u64>| {
            if counts.is_empty() {
                return "none".to_owned();
            }
            counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
        };
        let constant = f64::from(self.largest) * self.hours;
        let saved = (constant - self.pod_hours) * price.pod_hour();
        let share = if constant > 0.0 { 100.0 * (1.0 - self.pod_hours / constant) } else { 0.0 };
        writeln!(out)?;
        writeln!(out, "ticks       {}", self.ticks)?;
        writeln!(out, "changes     {}", self.changes)?;
        writeln!(out, "refusals    {}", count(&self.refusals))?;
        writeln!(out, "failures    {}", count(&self.failures))?;
        writeln!(out, "pod-hours   {:.1} in {:.1} hours", self.pod_hours, self.hours)?;
        writeln!(
            out,
            "savings     {saved:.2} {} against a constant {} pods ({constant:.1} pod-hours), {share:.0} %",
            price.currency(),
            self.largest
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(arguments: &[&str]) -> Result<String, String> {
        let arguments = Arguments::try_parse_from(std::iter::once(&"autoscale").chain(arguments))
            .map_err(|error| error.to_string())?;
        examples::outcome(|out| run(&arguments, out))
    }

    fn file(folder: &Path, name: &str, text: &str) -> String {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn the_main_job_moves_the_bounds_and_sums_up() {
        let text = output(&[]).unwrap();
        let changes = text.lines().filter(|line| line.contains(" -> ")).count();
        assert!(changes >= 5, "{text}");
        assert!(text.contains("2026-01-07 13:1"), "the spike on day three is answered\n{text}");
        for line in ["ticks       36", "refusals    ", "failures    ", "pod-hours   ", "savings     "] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(text.contains("no metrics"), "the gap is told\n{text}");
    }

    #[test]
    fn law_5_a_run_from_its_own_records_writes_the_same_bytes() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path();
        let (first, again) = (folder.join("first.jsonl"), folder.join("again.jsonl"));
        let (first, again) = (first.to_str().unwrap(), again.to_str().unwrap());
        let printed = output(&["--records", first]).unwrap();
        // What is said of the recording belongs to the first run alone.
        let printed: String = printed.split_inclusive('\n').filter(|line| !line.starts_with("note: ")).collect();
        assert_eq!(output(&["--source", first, "--records", again]).unwrap(), printed);
        let (first, again) = (fs::read(first).unwrap(), fs::read(again).unwrap());
        assert!(!first.is_empty() && first == again);
    }

    #[test]
    fn a_rate_alone_is_enough_and_what_was_assumed_is_said() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path();
        let rows: Vec<_> = (0..200).map(|i| format!("{},{}", i * 60, 100 + (i % 60) * 5)).collect();
        let rows = rows.join("\n");
        let text = output(&["--source", &file(folder, "load.csv", &format!("timestamp_s,rps\n{rows}"))]).unwrap();
        assert!(text.starts_with("note: ") && text.contains("pod-hours"), "{text}");
    }

    #[test]
    fn manifests_keep_what_the_host_set() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path();
        output(&["--out", folder.to_str().unwrap()]).unwrap();
        let written = fs::read_to_string(folder.join("shop/shop.hpa.yaml")).unwrap();
        for kept in ["averageUtilization: 65", "stabilizationWindowSeconds: 300", "app.kubernetes.io/name: shop"] {
            assert!(written.contains(kept), "{kept}\n{written}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(64))]
        #[test]
        fn any_bytes_are_replayed_or_refused_in_one_line(
            at in 0..900_usize, cut in 0..60_usize, put in proptest::collection::vec(proptest::num::u8::ANY, 0..20),
            word in proptest::sample::select(vec!["", "NaN", "1e308", "-1", "99999999999", "9999-12-31T23:59:59Z", ",", "\n"]),
        ) {
            let history = fs::read(examples::test_data("shop_history.csv")).unwrap();
            let mut text = history.get(..3000).unwrap().to_vec();
            text.splice(at..at + cut, put.into_iter().chain(word.bytes()));
            let source = tempfile::NamedTempFile::new().unwrap();
            fs::write(source.path(), text).unwrap();
            if let Err(what) = output(&["--source", source.path().to_str().unwrap()]) {
                proptest::prop_assert!(!what.contains('\n'), "{}", what);
            }
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
            ("long.csv", "timestamp_s,rps\n0,1\n99999999999,1\n", "ten years"),
        ] {
            let error = output(&["--source", &file(folder, name, text)]).unwrap_err();
            assert!(error.contains(what) && !error.contains('\n'), "{name}: {error}");
        }
        assert!(output(&["--hpa", &file(folder, "hpa.yaml", "kind: Pod")]).is_err());
        assert!(output(&["--price", "-1"]).unwrap_err().contains("price"));
        assert!(output(&["--limits", "9..2"]).unwrap_err().contains("above max"));
    }
}
