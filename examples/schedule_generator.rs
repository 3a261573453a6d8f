//! From a load's past to the fewest windows that hold, or the reason why there are none; proven by replay, and written out for a cluster.
//!
//!     cargo run --release --example schedule_generator
//!     cargo run --release --example schedule_generator -- --trace load.csv --pod-capacity 50 --time-zone Europe/Berlin --html week.html
//!     cargo run --release --example schedule_generator -- --dataset
//!     cargo run --release --features live --example schedule_generator -- --prometheus http://localhost:9090 --target shop/web
//!
//! Reads the history that comes with the examples, a trace, the daily pattern of the dataset, or a metrics server. Prints the patterns of the
//! load, the windows with their reasons, the week, and what five policies would have cost and kept waiting on days that were not learnt
//! from. `--output` writes the schedule alone (CronJobs, kubectl commands, KEDA, Karmada, or JSON), or the reason of each window.

use std::io::Write;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Parser, ValueEnum};
use examples::live::{self, arguments};
use examples::reading::ReadingArguments;
use examples::{Failure, MayClose, by_hand};
use futures::executor::block_on;
use scaling_core::backtest::{ClusterModel, DemandBasis, SampleTime, Trace};
use scaling_core::chrono::{DateTime, NaiveDateTime, Utc};
use scaling_core::conformance::dataset;
use scaling_core::{HardLimits, MetricsHistory, Price, ScalingMetrics, SignalKind, Target, WorkloadFacts};
use scaling_k8s::api::{self, WeekPlan, cronjob::CronJobs, karmada, keda};
use scaling_k8s::kubectl;
use scaling_schedule::{
    AnalyzeConfig, AnnouncedEvent, CompileConfig, Compiled, CompiledSchedule, ExcludedDates, HpaBeneath, Load, Need,
    Proof, ProofConfig, Schedule, WeekBand, WeekStrip, analyze, compile, compile_over_hpa, need_by_cpu, need_by_load,
    prove,
};

/// Pods that the busiest thousandth of a load needs, where nothing says what a pod can carry.
const PODS_AT_PEAK: f64 = 40.0;

const EXAMPLES: &str = "Examples:
  cargo run --release --example schedule_generator
  cargo run --release --example schedule_generator -- --trace load.csv --pod-capacity 50 --time-zone Europe/Berlin --html week.html
  cargo run --release --example schedule_generator -- --alone --output cronjobs --name shop/web >schedule.yaml
  cargo run --release --example schedule_generator -- --dataset
  cargo run --release --features live --example schedule_generator -- --prometheus http://localhost:9090 --target shop/web";

/// Form of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people: patterns, windows, reasons, the week, the proof.
    Text,
    /// The schedule as the library reads it.
    Json,
    /// The reason of each window: its evidence, confidence, savings and risk.
    Reasons,
    /// CronJobs that patch the HPA, with their account and rights.
    Cronjobs,
    /// Commands for a person to run.
    Kubectl,
    /// A ScaledObject of KEDA with cron triggers.
    Keda,
    /// A CronFederatedHPA of Karmada.
    Karmada,
}

/// From a load's past to the fewest windows that hold, or the reason why there are none.
#[derive(Debug, Parser)]
#[command(name = "schedule_generator", version, after_help = EXAMPLES)]
#[allow(clippy::struct_excessive_bools)] // flags
struct Arguments {
    /// Load of the workload as a file; by default the history that comes with the examples
    #[arg(long, value_name = "FILE", conflicts_with = "dataset")]
    trace: Option<PathBuf>,
    /// The daily pattern of the labelled dataset
    #[arg(long)]
    dataset: bool,
    #[command(flatten)]
    reading: ReadingArguments,
    #[command(flatten)]
    from: arguments::SourceArguments,
    /// Requests per second that one pod serves at full utilization
    #[arg(long, value_name = "RPS", conflicts_with = "dataset")]
    pod_capacity: Option<f64>,
    /// CPU target of the HPA beneath, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 70)]
    target_cpu: i32,
    /// Bounds of the HPA beneath, which hold outside of all windows
    #[arg(long, value_name = "MIN..MAX", value_parser = examples::limits, default_value = "2..100")]
    bounds: HardLimits,
    /// Seconds from a pod's creation to its first request
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    start_up: u64,
    /// Windows that hold the load by themselves, without an HPA beneath
    #[arg(long)]
    alone: bool,
    /// Requests that may come while more is needed than the windows hold, in percent (with --alone)
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0, allow_negative_numbers = true)]
    violating: f64,
    /// Most windows; by default as few as keep most of the gain
    #[arg(long, value_name = "NUMBER")]
    windows: Option<usize>,
    /// A load that is announced, by the wall clock, as sale,2026-11-27T18:00,2026-11-27T20:00,10; may be given several times
    #[arg(long = "event", value_name = "NAME,FROM,TO,FACTOR", value_parser = announced)]
    events: Vec<AnnouncedEvent>,
    /// Dates that say nothing about others, such as holidays: neither learnt from nor held out nor replayed. A date on each line, or an iCalendar file (.ics)
    #[arg(long, value_name = "FILE")]
    exclude: Option<PathBuf>,
    /// Pods that run now, at any time; by default as many as the busiest moment of the load needs
    #[arg(long, value_name = "PODS")]
    constant: Option<u32>,
    /// Leaves out the replay on days that were not learnt from
    #[arg(long)]
    no_proof: bool,
    /// Price of a pod-hour
    #[arg(long, default_value_t = 0.05, allow_negative_numbers = true)]
    price: f64,
    /// Currency of the price
    #[arg(long, default_value = "USD")]
    currency: String,
    /// Form of the schedule
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// Workload that the output is for; its HPA has its name unless one is given
    #[arg(long, value_name = "NAMESPACE/[KIND/]NAME[=HPA]", value_parser = arguments::target, default_value = "shop/web")]
    name: Target,
    /// Image of the CronJobs: it has kubectl, a shell, date and the time zones in /usr/share/zoneinfo; by default a placeholder
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Writes windows that are not proven, too
    #[arg(long)]
    draft: bool,
    /// Firings of each cron expression that are listed
    #[arg(long, value_name = "NUMBER", default_value_t = 2)]
    firings: usize,
    /// Instant after which they are; by default the end of the load
    #[arg(long, value_name = "INSTANT")]
    after: Option<String>,
    /// Writes the week as a page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Writes the load by hour and weekday as a page
    #[arg(long, value_name = "FILE")]
    patterns_html: Option<PathBuf>,
}

/// `NAME,FROM,TO,FACTOR`, by the wall clock.
fn announced(text: &str) -> Result<AnnouncedEvent, String> {
    let parts: Vec<&str> = text.rsplitn(4, ',').collect();
    let [factor, to, from, name] = parts.as_slice() else {
        return Err("expected NAME,FROM,TO,FACTOR".to_owned());
    };
    let clock = |text: &str| {
        NaiveDateTime::parse_from_str(text.trim(), "%Y-%m-%dT%H:%M")
            .map_err(|_| format!("{text:?} is not written YYYY-MM-DDTHH:MM"))
    };
    let factor: f64 = factor.trim().parse().map_err(|_| format!("factor {factor:?} is not a number"))?;
    if !(factor.is_finite() && factor > 0.0) {
        return Err(format!("factor {factor} is not above 0"));
    }
    Ok(AnnouncedEvent { name: (*name).to_owned(), from: clock(from)?, to: clock(to)?, factor })
}

/// The past of a load, and what it says of pods.
struct Past {
    name: String,
    history: MetricsHistory,
    /// Need of a sample at full use.
    full: Need,
    load: Load,
    pod_capacity: f64,
    /// Pods that the busiest thousandth of the load needs at the target.
    peak: f64,
    notes: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    examples::exit(run(&arguments, &mut MayClose(std::io::stdout())))
}

fn run(arguments: &Arguments, out: &mut impl Write) -> Result<(), Failure> {
    let price = examples::price(arguments.price, &arguments.currency)?;
    if !(1..=1000).contains(&arguments.target_cpu) {
        return Err(Failure::input(format!("--target-cpu {}: 1 to 1000 percent", arguments.target_cpu)));
    }
    if arguments.firings > 100 {
        return Err(Failure::input(format!("--firings {}: at most 100", arguments.firings)));
    }
    if arguments.windows == Some(0) {
        return Err(Failure::input("--windows 0: at least 1"));
    }
    if !(0.0..=20.0).contains(&arguments.violating) {
        return Err(Failure::input(format!("--violating {}: 0 to 20 percent", arguments.violating)));
    }
    let after = arguments.after.as_ref().map(|text| arguments.reading.instant("--after", text, None)).transpose()?;
    let pages = arguments.html.iter().chain(&arguments.patterns_html);
    examples::spare(pages, arguments.trace.iter().chain(&arguments.exclude))?;
    let past = past(arguments)?;
    let config = CompileConfig { excluded: excluded(arguments, &past)?, ..config(arguments) };
    let compiled = compiled(arguments, &past, &config)?;
    if arguments.output != Output::Text {
        return written(arguments, &compiled, out);
    }
    past.notes.iter().try_for_each(|note| writeln!(out, "{note}"))?;
    let zone = arguments.reading.zone();
    patterns(arguments, &past, &config, out)?;
    let chosen = compiled.draft();
    match compiled.why_not() {
        Some(why) if chosen.schedule.windows().is_empty() => writeln!(out, "\nFrom all days: {why}.\n")?,
        Some(why) => {
            writeln!(out, "\nFrom all days: {why}. What the past suggests all the same:\n{}", chosen.schedule)?;
        }
        None => writeln!(out, "\n{}", chosen.schedule)?,
    }
    if is_alone(arguments) {
        writeln!(
            out,
            "windows that hold the load by themselves are not replayed; without --alone they are, over an HPA"
        )?;
    } else if !arguments.no_proof {
        proof(arguments, &past, config, &price, out)?;
    }
    reasons(chosen, is_alone(arguments), out)?;
    let band = WeekBand::of(&past.history, zone, |sample| {
        past.full.of(sample).map(|need| need * 100.0 / f64::from(arguments.target_cpu))
    });
    let strip = WeekStrip::new(&chosen.schedule, arguments.bounds.bounds().min())
        .over(&band)
        .titled(&past.name)
        .explained(&chosen.reasons);
    writeln!(out, "\n{strip}")?;
    let after = after.or(past.history.newest()).unwrap_or_default();
    firings(&chosen.schedule, after, arguments.firings, out)?;
    match &arguments.html {
        Some(path) => examples::write(path, &strip.to_html(), out),
        None => Ok(()),
    }
}

fn config(arguments: &Arguments) -> CompileConfig {
    let facts = facts(arguments);
    CompileConfig {
        violating_share: arguments.violating / 100.0,
        max_windows: arguments.windows,
        outside: arguments.bounds.bounds().min(),
        ..CompileConfig::for_workload(arguments.reading.zone(), &facts)
    }
}

fn facts(arguments: &Arguments) -> WorkloadFacts {
    let mut facts = WorkloadFacts::default();
    facts.start_up = std::time::Duration::from_secs(arguments.start_up);
    facts
}

fn past(arguments: &Arguments) -> Result<Past, Failure> {
    let target = f64::from(arguments.target_cpu);
    let (name, samples, mut notes) = samples(arguments)?;
    let bad = |what: &dyn std::fmt::Display| Failure::input(format!("{name}: {what}"));
    if samples.is_empty() {
        return Err(bad(&"it has no samples"));
    }
    let (history, repairs) = MetricsHistory::from_unordered(samples.clone());
    notes.extend(examples::mended(repairs));
    let trace = Trace::from_samples(&name, samples, SampleTime::Ends).map_err(|error| {
        // The cause of what is missing is often among the notes: values that cannot be, a column without any.
        let causes: Vec<_> = notes.iter().map(|note| note.strip_prefix("note: ").unwrap_or(note)).collect();
        if causes.is_empty() { bad(&error) } else { bad(&format!("{error} ({})", causes.join("; "))) }
    })?;
    let is_rate = trace.basis() == DemandBasis::RequestRate;
    if arguments.pod_capacity.is_some_and(|capacity| !(capacity.is_finite() && capacity > 0.0)) {
        return Err(Failure::input("--pod-capacity: a number above 0"));
    }
    let busiest = trace.demand_quantile(0.001);
    let (pod_capacity, full, load) = if is_rate {
        let capacity = arguments.pod_capacity.or(trace.pod_capacity());
        let capacity = capacity.unwrap_or_else(|| {
            notes.push(format!(
                "note: nothing says what a pod can carry; its busiest thousandth is taken to need {PODS_AT_PEAK:.0} full pods (--pod-capacity)"
            ));
            busiest / PODS_AT_PEAK
        });
        (capacity, need_by_load(SignalKind::RequestRate, capacity), Load::RequestRate)
    } else {
        (1.0, need_by_cpu(100.0), Load::CpuUsed)
    };
    let peak = busiest / pod_capacity * 100.0 / target;
    if !(peak.is_finite() && peak > 0.0) {
        return Err(bad(&"it has no load"));
    }
    Ok(Past { name, history, full, load, pod_capacity, peak, notes })
}

/// The samples, a name for them, and what is to be said of them.
fn samples(arguments: &Arguments) -> Result<(String, Vec<ScalingMetrics>, Vec<String>), Failure> {
    if arguments.dataset {
        let bytes = examples::read(&examples::test_data("metrics_dataset.json"))?;
        let all = dataset::scenarios(&String::from_utf8_lossy(&bytes)).map_err(Failure::input)?;
        let daily = all.into_iter().find(|scenario| scenario.name == "daily_peak_pattern");
        let daily = daily.ok_or_else(|| Failure::input("the dataset has no \"daily_peak_pattern\""))?;
        return Ok((daily.name, daily.samples, vec!["note: one labelled day, hour by hour".to_owned()]));
    }
    if arguments.from.is_wanted() {
        let [target] = arguments.from.targets.as_slice() else {
            return Err(Failure::input("name one workload with --target NAMESPACE/NAME"));
        };
        let now: DateTime<Utc> = SystemTime::now().into();
        let mut pasts = live::pasts(&arguments.from, &arguments.from.targets, Some(now))?;
        let samples = pasts.pop().unwrap_or_else(|| Err(Failure::failed(format!("{target}: no past"))))?;
        return Ok((target.to_string(), samples, Vec::new()));
    }
    let shipped = examples::shop_history();
    let path = arguments.trace.as_ref().unwrap_or(&shipped);
    let name = examples::place(path);
    let reading = arguments.reading.reader().read(&examples::read(path)?);
    let reading = reading.map_err(|error| Failure::input(format!("{name}: {error}")))?;
    let notes = examples::reading::notes(&reading);
    Ok((name, reading.into_metrics(), notes))
}

/// Windows without an HPA beneath: a labelled day has none.
fn is_alone(arguments: &Arguments) -> bool {
    arguments.alone || arguments.dataset
}

/// The answer of the compiler, with the events that are announced.
fn compiled(arguments: &Arguments, past: &Past, config: &CompileConfig) -> Result<Compiled, Failure> {
    let facts = facts(arguments);
    let answer = if is_alone(arguments) {
        let need = match past.load {
            Load::RequestRate => {
                need_by_load(SignalKind::RequestRate, past.pod_capacity * f64::from(arguments.target_cpu) / 100.0)
            }
            _ => need_by_cpu(f64::from(arguments.target_cpu)),
        };
        compile(&past.history, &need, config)
    } else {
        let hpa = HpaBeneath::new(f64::from(arguments.target_cpu), arguments.bounds.bounds(), &facts);
        compile_over_hpa(&past.history, &past.full, &hpa, config)
    };
    let answer = answer.map_err(|error| Failure::input(format!("{}: {error}", past.name)))?;
    let with = |compiled: CompiledSchedule| compiled.with_events(&arguments.events).map_err(Failure::input);
    Ok(match answer {
        Compiled::Schedule(compiled) => Compiled::Schedule(Box::new(with(*compiled)?)),
        Compiled::NoSchedule(mut none) => {
            none.draft = with(none.draft)?;
            Compiled::NoSchedule(none)
        }
    })
}

/// The schedule alone, in a form that other programs read. One that is not proven is refused, unless it was asked for.
fn written(arguments: &Arguments, compiled: &Compiled, out: &mut impl Write) -> Result<(), Failure> {
    if let Some(why) = compiled.why_not().filter(|_| !arguments.draft) {
        return Err(Failure::failed(format!("{why} (--draft writes what the past suggests all the same)")));
    }
    let schedule = &compiled.draft().schedule;
    if arguments.output == Output::Json {
        let text = serde_json::to_string_pretty(schedule).map_err(Failure::failed)?;
        return Ok(writeln!(out, "{text}")?);
    }
    if arguments.output == Output::Reasons {
        let text = serde_json::to_string_pretty(&compiled.draft().reasons).map_err(Failure::failed)?;
        return Ok(writeln!(out, "{text}")?);
    }
    let week = WeekPlan::of(schedule, arguments.bounds.bounds()).map_err(Failure::input)?;
    let target = &arguments.name;
    // Windows that hold the load by themselves need nothing beside them; those over an HPA do.
    let beside = Some(arguments.target_cpu).filter(|_| !is_alone(arguments));
    let target_cpu = beside.and_then(|percent| u16::try_from(percent).ok()).and_then(NonZeroU16::new);
    let yaml = |object: serde_json::Value| api::to_yaml(&[object]);
    let text = match arguments.output {
        Output::Cronjobs => {
            let image = arguments.image.as_deref().unwrap_or(by_hand::PLACEHOLDER_IMAGE);
            if arguments.image.is_none() {
                eprintln!("note: {}", by_hand::IS_PLACEHOLDER);
                writeln!(out, "# {}", by_hand::IS_PLACEHOLDER)?;
            }
            CronJobs::new(target, week, image).and_then(|jobs| jobs.to_yaml())
        }
        Output::Kubectl => kubectl::schedule(target, &week),
        Output::Keda => keda::scaled_object(target, &week, target_cpu).and_then(yaml),
        _ => karmada::cron_federated_hpa(target, &week).and_then(yaml),
    };
    Ok(write!(out, "{}", text.map_err(Failure::failed)?)?)
}

fn patterns(arguments: &Arguments, past: &Past, compiler: &CompileConfig, out: &mut impl Write) -> Result<(), Failure> {
    let zone = compiler.time_zone;
    if let (Some(path), Some(from), Some(to)) = (&arguments.exclude, past.history.oldest(), past.history.newest()) {
        let day = |at: DateTime<Utc>| at.with_timezone(&zone).date_naive();
        let (from, to) = (day(from), day(to));
        if !compiler.excluded.iter().any(|date| (from..=to).contains(&date)) {
            let place = examples::place(path);
            writeln!(
                out,
                "note: no date of {place} lies within the load ({from} to {to} {zone}): nothing is left out"
            )?;
        }
    }
    let config = AnalyzeConfig { excluded: compiler.excluded.clone(), ..AnalyzeConfig::in_zone(zone) };
    let patterns = analyze(&past.history, past.load, &config)
        .map_err(|error| Failure::input(format!("{}: {error}", past.name)))?;
    writeln!(out, "{patterns}")?;
    match &arguments.patterns_html {
        Some(path) => examples::write(path, &patterns.to_html(&past.name), out),
        None => Ok(()),
    }
}

fn excluded(arguments: &Arguments, past: &Past) -> Result<ExcludedDates, Failure> {
    use scaling_core::chrono::Datelike;
    let Some(path) = &arguments.exclude else { return Ok(ExcludedDates::default()) };
    let text = String::from_utf8(examples::read(path)?);
    let place = |error: &dyn std::fmt::Display| Failure::input(format!("{}: {error}", examples::place(path)));
    let text = text.map_err(|error| place(&error))?;
    let is_calendar = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("ics"));
    let dates = if is_calendar {
        ExcludedDates::parse_icalendar(&text, past.history.newest().map_or(2100, |newest| newest.year()))
    } else {
        ExcludedDates::parse_list(&text)
    };
    dates.map_err(|error| place(&error))
}

/// The reason for each window, and the choice of their number.
fn reasons(chosen: &CompiledSchedule, alone: bool, out: &mut impl Write) -> Result<(), Failure> {
    for reason in &chosen.reasons {
        writeln!(out, "{reason}{}", if alone { "" } else { "; the HPA adds what is needed above it" })?;
    }
    if chosen.excluded_days > 0 {
        writeln!(out, "{} excluded dates were neither learnt from nor held out", chosen.excluded_days)?;
    }
    if let Some(held) = &chosen.held_out {
        let (of, beside) = if alone {
            ("windows made from the days before", "a constant size")
        } else {
            (
                "in the model that chose the windows, which is not the replay, with windows made from the days before each",
                "the HPA alone",
            )
        };
        writeln!(
            out,
            "on {} held-out days, {of}: {:.1} % of the time covered, {:.3} % of the requests violating ({beside}: {:.3} %), \
             {:.0} pod-hours a week ({beside}: {:.0}); confidence {:.2}",
            held.days,
            held.coverage * 100.0,
            held.violating_share * 100.0,
            held.compared_violating_share * 100.0,
            held.pod_hours_a_week,
            held.compared_pod_hours_a_week,
            chosen.confidence.value()
        )?;
    }
    if chosen.curve.len() > 1 {
        writeln!(out, "WINDOWS  POD-HOURS/WEEK  VIOLATING")?;
        for point in &chosen.curve {
            let mark = if point.chosen { "  chosen" } else { "" };
            let (windows, hours, late) = (point.windows, point.pod_hours_a_week, point.violating_share * 100.0);
            writeln!(out, "{windows:>7}  {hours:>14.0} {late:>8.3} %{mark}")?;
        }
    }
    Ok(())
}

fn firings(schedule: &Schedule, after: DateTime<Utc>, number: usize, out: &mut impl Write) -> Result<(), Failure> {
    for cron in schedule.cron().map_err(Failure::failed)? {
        write!(out, "{}", cron.upcoming(schedule.time_zone(), after, number))?;
    }
    if !schedule.events().is_empty() {
        writeln!(
            out,
            "note: cron knows no year, so what an event starts fires again next year; the CronJobs look at the year, and raise nothing then"
        )?;
    }
    Ok(())
}

/// Five policies on the days that were not learnt from, and what the schedule saves against three of them.
fn proof(
    arguments: &Arguments,
    past: &Past,
    compiler: CompileConfig,
    price: &Price,
    out: &mut impl Write,
) -> Result<(), Failure> {
    // At most as many as the bounds allow: what is larger is not asked for.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let busiest = past.peak.ceil().min(f64::from(arguments.bounds.bounds().max())) as u32;
    let constant = arguments.constant.unwrap_or(busiest);
    let model = ClusterModel {
        pod_capacity: past.pod_capacity,
        start_up: std::time::Duration::from_secs(arguments.start_up),
        limits: arguments.bounds,
        ..ClusterModel::default()
    };
    let config = ProofConfig { target_percent: arguments.target_cpu, ..ProofConfig::new(constant, model, compiler) };
    match block_on(prove(&past.history, &config)) {
        Ok(proof) => savings(&proof, constant, price, out),
        Err(error) => Ok(writeln!(out, "\nnothing is proven by replay: {error}")?),
    }
}

fn savings(proof: &Proof, constant: u32, price: &Price, out: &mut impl Write) -> Result<(), Failure> {
    writeln!(out, "{proof}")?;
    let savings = proof.savings(price);
    writeln!(out, "the schedule against {constant} pods throughout: {}", savings.against_constant)?;
    writeln!(out, "against the HPA alone: {}", savings.against_hpa)?;
    writeln!(out, "beside the predictive engine: {}\n", savings.beside_predictive)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use scaling_schedule::WindowReason;

    fn said(arguments: &[&str]) -> Result<String, String> {
        let all = [&["schedule_generator"], arguments].concat();
        let arguments = Arguments::try_parse_from(all).map_err(|error| format!("2: {error}"))?;
        examples::outcome(|out| run(&arguments, out))
    }

    #[test]
    fn the_daily_pattern_of_the_dataset_is_drafted_and_not_called_proven() {
        let text = said(&["--dataset", "--no-proof"]).unwrap();
        assert!(text.contains("no schedule: 1 days were seen"), "{text}");
        assert!(text.contains("What the past suggests all the same"), "{text}");
        assert!(said(&["--dataset", "--output", "json"]).unwrap_err().starts_with("1: no schedule"));
        let json = said(&["--dataset", "--output", "json", "--draft"]).unwrap();
        let schedule: Schedule = serde_json::from_str(&json).unwrap();
        assert!(!schedule.windows().is_empty());
    }

    #[test]
    fn every_output_of_one_schedule_reads_back_to_the_same_week() {
        let output =
            |form: &str| said(&["--alone", "--draft", "--time-zone", "Europe/Berlin", "--output", form]).unwrap();
        let schedule: Schedule = serde_json::from_str(&output("json")).unwrap();
        let week = WeekPlan::of(&schedule, HardLimits::new(2, 100).unwrap().bounds()).unwrap();
        assert_eq!(kubectl::read_schedule(&output("kubectl")).unwrap(), week);
        let jobs = output("cronjobs");
        assert!(
            jobs.starts_with("# the image of the jobs is a placeholder") && jobs.contains("kind: CronJob"),
            "{jobs}"
        );
        assert!(output("keda").contains("kind: ScaledObject"));
        assert!(output("karmada").contains("kind: CronFederatedHPA"));
    }

    #[test]
    fn the_reason_of_each_window_reads_back_and_its_confidence_is_told() {
        let alone = ["--alone", "--draft", "--no-proof", "--time-zone", "Europe/Berlin"];
        let json = said(&[&alone[..], &["--output", "reasons"]].concat()).unwrap();
        let reasons: Vec<WindowReason> = serde_json::from_str(&json).unwrap();
        assert!(!reasons.is_empty());
        let text = said(&alone).unwrap();
        for reason in &reasons {
            assert!(text.contains(&reason.to_string()) && text.contains(&reason.confidence.to_string()), "{text}");
            assert!(reason.confidence.days() > 0 && reason.saves_pod_hours_a_week.is_some(), "{json}");
        }
        assert!(text.contains("HELD ON  AT LEAST"), "{text}");
    }

    #[test]
    fn excluded_dates_are_told_and_change_the_evidence() {
        let dates = std::env::temp_dir().join(format!("excluded-dates-{}.txt", std::process::id()));
        std::fs::write(&dates, "2026-01-15..2026-01-16\n").unwrap();
        let path = dates.display().to_string();
        let text = said(&["--alone", "--draft", "--no-proof", "--time-zone", "Europe/Berlin", "--exclude", &path]);
        std::fs::remove_file(&dates).unwrap();
        let text = text.unwrap();
        assert!(text.contains("2 excluded dates were neither learnt from nor held out"), "{text}");
    }

    #[test]
    fn dates_beside_the_load_and_values_that_cannot_be_are_told() {
        let file = |suffix: &str, text: &str| {
            let file = tempfile::NamedTempFile::with_suffix(suffix).unwrap();
            std::fs::write(file.path(), text).unwrap();
            file
        };
        let dates = file(".txt", "2020-01-01\n");
        let after = ["--after", "2026-01-19T08:00", "--time-zone", "Europe/Berlin", "--no-proof"];
        let text = said(&[&["--exclude", dates.path().to_str().unwrap()], after.as_slice()].concat()).unwrap();
        assert!(
            text.contains("lies within the load (2026-01-05 to 2026-01-19 Europe/Berlin): nothing is left out"),
            "{text}"
        );
        let load = file(".csv", "timestamp,rps\n1767571200,1e300\n1767571260,1e300\n");
        let error = said(&["--trace", load.path().to_str().unwrap()]).unwrap_err();
        assert!(error.starts_with("2: ") && error.contains("taken as absent, and 1 more"), "{error}");
    }

    #[test]
    fn an_event_is_a_window_of_its_date() {
        let sale = "flash sale,2026-01-23T18:00,2026-01-23T20:00,10";
        let text =
            said(&["--alone", "--draft", "--no-proof", "--time-zone", "Europe/Berlin", "--event", sale]).unwrap();
        assert!(text.contains("event flash sale: 2026-01-23 17:40 to 2026-01-23 20:00"), "{text}");
        assert!(text.contains("fires again next year; the CronJobs look at the year"), "{text}");
    }

    #[test]
    fn a_scaled_object_of_windows_over_an_hpa_has_its_cpu_target() {
        let keda = |more: &[&str]| {
            let form = ["--draft", "--time-zone", "Europe/Berlin", "--output", "keda", "--target-cpu", "60"];
            said(&[&form, more].concat()).unwrap()
        };
        let text = keda(&[]);
        assert!(text.contains("type: cpu") && text.contains("value: \"60\""), "{text}");
        assert!(!keda(&["--alone"]).contains("type: cpu"));
    }

    #[test]
    fn input_that_cannot_be_is_named() {
        for (arguments, what) in [
            (&["--trace", "nowhere.csv"][..], "nowhere.csv"),
            (&["--target-cpu", "0"], "--target-cpu"),
            (&["--event", "sale,noon,2026-01-23T20:00,10"], "noon"),
            (&["--event", "sale,2026-01-23T18:00,2026-01-23T20:00,-1"], "factor"),
            (&["--pod-capacity", "NaN"], "--pod-capacity"),
            (&["--violating", "-1"], "--violating -1: 0 to 20 percent"),
            (&["--alone", "--violating", "150"], "--violating 150: "),
            (&["--windows", "0"], "--windows 0: at least 1"),
            (&["--after", "2026-01-19T08:00"], "--after: \"2026-01-19T08:00\" has no time zone"),
            (&["--price", "-1", "--no-proof"], "-1"),
            (&["--after", "noon", "--no-proof"], "--after"),
        ] {
            let error = said(arguments).unwrap_err();
            assert!(error.starts_with("2: ") && error.contains(what), "{arguments:?}: {error}");
        }
    }
}
