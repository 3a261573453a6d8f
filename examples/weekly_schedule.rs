//! A weekly schedule by hand: weekdays, weekend and an event of one date, what holds when, and the week as a picture over the load.
//!
//!     cargo run --release --example weekly_schedule
//!     cargo run --release --example weekly_schedule -- --schedule mine.json --at 2026-01-22T19:00:00Z --html week.html
//!
//! The shipped schedule is `test_data/shop_schedule.json`, over the load that comes with the examples; a schedule of one's own is drawn over
//! `--load`, or alone. Prints the windows, what they hold now
//! and next, and the week; then the same schedule as an engine and as a floor beneath the rules, with a source that is down.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Parser;
use examples::Failure;
use examples::reading::{self, ReadingArguments};
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::source::parse;
use scaling_core::{DecisionEngine, EngineExt, MetricsHistory, RuleBasedEngine, SignalKind, Target};
use scaling_schedule::{Schedule, WeekBand, WeekStrip, need_by_cpu, need_by_load};

/// An hour before the shipped event.
const BEFORE_THE_SALE: &str = "2026-01-22T19:00:00Z";

/// A weekly schedule by hand: what holds when, and the week as a picture over the load.
#[derive(Debug, Parser)]
#[command(
    name = "weekly_schedule",
    version,
    after_help = "Examples:\n  cargo run --release --example weekly_schedule\n  \
                  cargo run --release --example weekly_schedule -- --schedule mine.json --load load.csv --target-cpu 60 --html week.html"
)]
struct Arguments {
    /// Schedule as JSON, `-` for standard input
    #[arg(long, value_name = "FILE")]
    schedule: Option<PathBuf>,
    /// Load of the schedule's workload: CPU utilization and pods, or request rates with --pod-capacity
    #[arg(long, value_name = "FILE", requires = "schedule")]
    load: Option<PathBuf>,
    /// Requests per second that one pod serves at full utilization: the load is then taken from its request rate
    #[arg(long, value_name = "RPS", requires = "load")]
    pod_capacity: Option<f64>,
    /// CPU utilization at which a pod is used well, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 70.0)]
    target_cpu: f64,
    /// Pods that run where no window is open: the min of the HPA
    #[arg(long, value_name = "PODS", default_value_t = 2)]
    outside: u32,
    /// Instant that is asked about, as 2026-01-22T19:00:00Z, or by the clock of --time-zone or the schedule; by default the end of the load,
    /// or now where there is none
    #[arg(long, value_name = "INSTANT")]
    at: Option<String>,
    /// Changes of the floor that are listed from then on
    #[arg(long, value_name = "NUMBER", default_value_t = 6)]
    next: usize,
    /// Writes the week as a page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    reading: ReadingArguments,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    examples::exit(run(&arguments, &mut examples::MayClose(std::io::stdout())))
}

fn run(arguments: &Arguments, out: &mut impl Write) -> Result<(), Failure> {
    if !(arguments.target_cpu > 0.0 && arguments.target_cpu <= 1000.0) {
        return Err(Failure::input(format!("--target-cpu {}: above 0 and at most 1000", arguments.target_cpu)));
    }
    if arguments.next > 1000 {
        return Err(Failure::input(format!("--next {}: at most 1000", arguments.next)));
    }
    if let Some(capacity) = arguments.pod_capacity.filter(|capacity| !(capacity.is_finite() && *capacity > 0.0)) {
        return Err(Failure::input(format!("--pod-capacity is {capacity}; it must be a rate above 0")));
    }
    examples::spare(&arguments.html, arguments.schedule.iter().chain(&arguments.load))?;
    let (schedule, title, history) = if let Some(path) = &arguments.schedule {
        (reading::schedule(path)?, examples::place(path), arguments.load.clone())
    } else {
        // What ships is shown as a whole.
        let shipped = examples::test_data("shop_schedule.json");
        (reading::schedule(&shipped)?, "shop/web".to_owned(), Some(examples::shop_history()))
    };
    let load = history.map(|path| load(arguments, &path, &schedule)).transpose()?;
    let at = match (&arguments.at, &load, &arguments.schedule) {
        (Some(text), ..) => arguments.reading.instant("--at", text, Some(schedule.time_zone()))?,
        (None, _, None) => parse::instant(BEFORE_THE_SALE).map_err(Failure::failed)?,
        (None, Some((_, end)), _) => *end,
        (None, None, _) => SystemTime::now().into(),
    };

    writeln!(out, "{schedule}")?;
    times(&schedule, at, arguments.next, out)?;
    let strip = WeekStrip::new(&schedule, arguments.outside).titled(&title);
    let strip = match &load {
        Some((band, _)) => strip.over(band),
        None => strip,
    };
    writeln!(out, "\n{strip}")?;
    in_process(&schedule, at, out)?;
    match &arguments.html {
        Some(path) => examples::write(path, &strip.to_html(), out),
        None => Ok(()),
    }
}

/// What holds at an instant, and the next changes of it.
fn times(schedule: &Schedule, at: DateTime<Utc>, number: usize, out: &mut impl Write) -> Result<(), Failure> {
    let zone = schedule.time_zone();
    let mut next = Some(at);
    for _ in 0..=number {
        let Some(at) = next else { break };
        let clock = at.with_timezone(&zone).format("%a %F %H:%M %Z");
        match schedule.open_at(at) {
            Some(open) => {
                let max = open.max.map_or_else(String::new, |max| format!(", max {max}"));
                writeln!(out, "{clock}  at least {} pods{max}: {}", open.min, open.window)?;
            }
            None => writeln!(out, "{clock}  no window")?,
        }
        next = schedule.next_change(at);
    }
    Ok(())
}

/// The pods that a load needed over the week, and its end.
fn load(arguments: &Arguments, path: &Path, schedule: &Schedule) -> Result<(WeekBand, DateTime<Utc>), Failure> {
    let place = |error: &dyn std::fmt::Display| Failure::input(format!("{}: {error}", examples::place(path)));
    let reading = arguments.reading.reader().read(&examples::read(path)?).map_err(|error| place(&error))?;
    let (history, _) = MetricsHistory::from_unordered(reading.into_metrics());
    let need = match arguments.pod_capacity {
        Some(capacity) => need_by_load(SignalKind::RequestRate, capacity * arguments.target_cpu / 100.0),
        None => need_by_cpu(arguments.target_cpu),
    };
    let band = WeekBand::of(&history, schedule.time_zone(), |sample| need.of(sample));
    if band.highest() == 0.0 {
        let what = if arguments.pod_capacity.is_some() {
            "no sample has a request rate: there is no load to draw"
        } else {
            "no sample has CPU utilization and pods: there is no load to draw; for request rates say what a pod serves (--pod-capacity RPS)"
        };
        return Err(place(&what));
    }
    Ok((band, history.newest().unwrap_or_default()))
}

/// The floor that the loop holds, also while the source is down: it asks the engine for it by the time alone.
fn in_process(schedule: &Schedule, at: DateTime<Utc>, out: &mut impl Write) -> Result<(), Failure> {
    let engine = RuleBasedEngine::default().floored(schedule.clone());
    let target = Target::deployment("shop", "web");
    match engine.floor(&target, at) {
        Some(floor) => {
            let until = floor.until.map_or_else(|| "for good".to_owned(), |until| format!("until {until}"));
            writeln!(out, "beneath the rules: {}, {until}; held while the source is down, too", floor.reason)?;
        }
        None => writeln!(out, "beneath the rules: no floor at {at}")?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(arguments: &[&str]) -> Result<String, String> {
        let all = [&["weekly_schedule"], arguments].concat();
        let arguments = Arguments::try_parse_from(all).map_err(|error| error.to_string())?;
        examples::outcome(|out| run(&arguments, out))
    }

    #[test]
    fn the_shipped_schedule_is_told_and_drawn() {
        let text = said(&[]).unwrap();
        for part in [
            "lunch            weekdays  11:30  14:00",
            "Thu 2026-01-22 20:00 CET  at least 25 pods, max 60: flash sale",
            "Thu 2026-01-22 22:00 CET  at least 4 pods: day",
            "Sat load",
            "event flash sale: 2026-01-22 19:30",
            "beneath the rules: window \"flash sale\" holds 25 pods, until 2026-01-22 21:00:00 UTC",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    }

    #[test]
    fn a_schedule_of_ones_own_is_shown_over_its_own_load_or_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let window = r#"{"name":"day","days":"daily","from":"08:00","to":"18:00","min":5}"#;
        let own = file("own.json", &format!("\u{feff}{{\"time_zone\":\"Europe/Berlin\",\"windows\":[{window}]}}"));
        let load = file("load.csv", "timestamp,rps\n1777626000,90\n1777626060,120\n");
        let alone = said(&["--schedule", &own, "--at", "2026-05-01T09:00"]).unwrap();
        assert!(alone.contains("Fri 2026-05-01 09:00 CEST  at least 5 pods: day"), "{alone}");
        assert!(!alone.contains("Sat load") && !alone.contains("shop/web"), "{alone}");
        let with = ["--schedule", &own, "--load", &load];
        let error = said(&with).unwrap_err();
        assert!(error.starts_with("2: ") && error.ends_with("say what a pod serves (--pod-capacity RPS)"), "{error}");
        let text = said(&[with.as_slice(), &["--pod-capacity", "20"]].concat()).unwrap();
        assert!(
            text.contains("Fri 2026-05-01 11:01 CEST  at least 5 pods: day") && text.contains("Fri load"),
            "{text}"
        );
        let error = said(&["--schedule", &own, "--html", &own]).unwrap_err();
        assert!(error.starts_with("2: ") && error.ends_with("would be written over"), "{error}");
        assert!(said(&["--load", &load]).unwrap_err().contains("--schedule <FILE>"));
    }

    #[test]
    fn a_page_is_written_and_input_that_cannot_be_is_named() {
        let page = std::env::temp_dir().join(format!("weekly_schedule_{}.html", std::process::id()));
        let text = said(&["--html", page.to_str().unwrap()]).unwrap();
        assert!(text.contains("wrote "), "{text}");
        assert!(std::fs::read_to_string(&page).unwrap().contains("flash sale"));
        std::fs::remove_file(page).unwrap();
        for (arguments, what) in [
            (["--at", "noon"], "--at"),
            (["--schedule", "nowhere.json"], "nowhere.json"),
            (["--target-cpu", "NaN"], "--target-cpu"),
            (["--next", "100000"], "--next"),
        ] {
            let error = said(&arguments).unwrap_err();
            assert!(error.starts_with("2: ") && error.contains(what), "{error}");
        }
    }
}
