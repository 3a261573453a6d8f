//! What the examples share: reading files, and ending like a well-behaved program.

#[path = "shared/adopting.rs"]
pub mod adopting;
#[path = "shared/by_hand.rs"]
pub mod by_hand;
#[path = "shared/candidates.rs"]
pub mod candidates;
#[path = "shared/changes.rs"]
pub mod changes;
#[cfg(any(feature = "azure-monitor", feature = "datadog"))]
#[path = "shared/clouds.rs"]
pub mod clouds;
#[path = "shared/comparison.rs"]
pub mod comparison;
#[path = "shared/fleet.rs"]
pub mod fleet;
#[path = "shared/journal.rs"]
pub mod journal;
#[path = "shared/lines.rs"]
pub mod lines;
#[path = "live/mod.rs"]
pub mod live;
#[cfg(feature = "llm")]
#[path = "shared/llm.rs"]
pub mod llm;
#[path = "shared/manifest.rs"]
pub mod manifest;
#[path = "shared/reading.rs"]
pub mod reading;
#[path = "shared/recommended.rs"]
pub mod recommended;
#[path = "shared/scenario.rs"]
pub mod scenario;
#[path = "shared/verdict.rs"]
pub mod verdict;

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use scaling_core::backtest::{DemandBasis, Trace};
use scaling_core::source::parse;
use scaling_core::{Currency, HardLimits, PlannedEvent, Price, Repairs};

/// The README's code compiles and runs.
#[doc = include_str!("../README.md")]
#[cfg(doctest)]
#[derive(Debug)]
pub struct Readme;

/// The log on standard error where `RUST_LOG` asks for no other: what the programs have to say is in their own lines.
pub const QUIET: &str = "error,kube_client=off";

/// Why an example ends early: exit code 2 for input that cannot be used, 1 for all else.
#[derive(Debug)]
pub enum Failure {
    /// The input is wrong; says what and where.
    Input(String),
    /// Something failed or was refused.
    Failed(String),
    /// Nobody reads the output any more; not worth a word.
    Closed,
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Input(what) | Self::Failed(what) => f.write_str(what),
            Self::Closed => f.write_str("nobody reads the output"),
        }
    }
}

impl std::error::Error for Failure {}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::Closed } else { Self::Failed(error.to_string()) }
    }
}

impl Failure {
    /// Input that cannot be used.
    pub fn input(what: impl Display) -> Self {
        Self::Input(what.to_string())
    }

    /// Something that failed.
    pub fn failed(what: impl Display) -> Self {
        Self::Failed(what.to_string())
    }
}

/// The exit code of an example, and one clear line on stderr if it did not end well.
pub fn exit(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) | Err(Failure::Closed) => ExitCode::SUCCESS,
        Err(Failure::Input(what)) => {
            eprintln!("error: {what}");
            ExitCode::from(2)
        }
        Err(Failure::Failed(what)) => {
            eprintln!("error: {what}");
            ExitCode::FAILURE
        }
    }
}

/// What a run printed, or its exit code and what it said: for the examples' own tests.
///
/// # Errors
/// `"2: …"` for input that cannot be used, `"1: …"` for what failed.
pub fn outcome(run: impl FnOnce(&mut Vec<u8>) -> Result<(), Failure>) -> Result<String, String> {
    let mut printed = Vec::new();
    match run(&mut printed) {
        Ok(()) => Ok(String::from_utf8_lossy(&printed).into_owned()),
        Err(Failure::Input(what)) => Err(format!("2: {what}")),
        Err(Failure::Failed(what)) => Err(format!("1: {what}")),
        Err(Failure::Closed) => Err("nobody reads".to_owned()),
    }
}

/// An output whose reader may leave: what is written then is lost, and the work goes on. For programs whose exit code or files matter
/// more than what they say.
#[derive(Debug)]
pub struct MayClose<W>(pub W);

impl<W: Write> Write for MayClose<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        unless_closed(self.0.write(bytes), bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        unless_closed(self.0.flush(), ())
    }
}

fn unless_closed<T>(result: io::Result<T>, closed: T) -> io::Result<T> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(closed),
        result => result,
    }
}

/// Answers `--help` and `--version` and refuses all else, for an example that takes no arguments.
pub fn no_arguments(name: &'static str, about: &'static str) {
    command(name, about).get_matches();
}

fn command(name: &'static str, about: &'static str) -> clap::Command {
    clap::Command::new(name)
        .about(about)
        .version(env!("CARGO_PKG_VERSION"))
        .after_help(format!("Example:\n  cargo run --release --example {name}"))
}

/// A variable of the environment, unless it is empty.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// What a file is called in messages: as seen from the present folder; `-` is standard input.
pub fn place(path: &Path) -> String {
    if path == Path::new("-") {
        return "standard input".to_owned();
    }
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

/// A file below `test_data`.
pub fn test_data(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    folder.parent().unwrap_or(folder).join("test_data").join(name)
}

/// The history that comes with the examples: two weeks of a workload.
pub fn shop_history() -> PathBuf {
    test_data("shop_history.csv.gz")
}

/// The largest input read, unpacked: enough for years of minutes, too little to fill a machine.
const LARGEST: u64 = 512 << 20;

/// A whole file, unpacked if its name ends in `.gz`; `-` is standard input.
///
/// # Errors
/// [`Failure::Input`] with the file's name.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let name = place(path);
    if path == Path::new("-") {
        return read_limited(io::stdin().lock(), &name);
    }
    let file = File::open(path).map_err(|error| Failure::input(format!("{name}: {error}")))?;
    if path.extension().is_some_and(|extension| extension == "gz") {
        read_limited(flate2::read::MultiGzDecoder::new(file), &name)
    } else {
        read_limited(file, &name)
    }
}

/// The bytes of JSON without the byte order mark that some editors put before them.
pub fn unmarked(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Refuses to write over a file that is read.
///
/// # Errors
/// [`Failure::Input`] with the first that is both.
pub fn spare<'a>(
    outputs: impl IntoIterator<Item = &'a PathBuf>,
    inputs: impl IntoIterator<Item = &'a PathBuf>,
) -> Result<(), Failure> {
    let real = |path: &PathBuf| std::fs::canonicalize(path).ok();
    let inputs: Vec<PathBuf> = inputs.into_iter().filter_map(real).collect();
    match outputs.into_iter().find(|output| real(output).is_some_and(|output| inputs.contains(&output))) {
        Some(both) => Err(Failure::input(format!("{}: it is read, and would be written over", place(both)))),
        None => Ok(()),
    }
}

fn read_limited(reader: impl Read, name: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = reader.take(LARGEST + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::input(format!("{name}: {error}")))?;
    if bytes.len() as u64 > LARGEST {
        return Err(Failure::input(format!("{name}: larger than {} MiB", LARGEST >> 20)));
    }
    Ok(bytes)
}

/// Writes a file, with the folders that it lies in, and says so.
///
/// # Errors
/// [`Failure::Failed`] with the file's name.
pub fn write(path: &Path, content: &str, out: &mut impl Write) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, content));
    written.map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    Ok(writeln!(out, "wrote {}", path.display())?)
}

/// What had to be mended in samples, if anything.
pub fn mended(Repairs { reordered, duplicates, .. }: Repairs) -> Option<String> {
    (reordered + duplicates > 0).then(|| {
        format!(
            "note: {reordered} samples were out of order; {duplicates} were replaced by a later one of the same instant"
        )
    })
}

/// What is to be said of a trace before it is used: nothing in it is dropped or made up without a word.
pub fn trace_notes(trace: &Trace) -> Vec<String> {
    let facts = trace.facts();
    let mut notes: Vec<String> = trace.notes().iter().map(reading::note).collect();
    notes.extend(mended(Repairs { reordered: facts.reordered, duplicates: facts.duplicates }));
    if facts.gap_seconds > 0.0 {
        notes.push(format!(
            "note: {:.1} hours without data ({} samples without a value) stay gaps and count for nothing",
            facts.gap_seconds / 3600.0,
            facts.absent
        ));
    }
    if facts.censored_seconds > 0.0 {
        notes.push(format!(
            "note: in {:.1} hours the recorded pods were full: there may have been more to do than was recorded",
            facts.censored_seconds / 3600.0
        ));
    }
    if facts.basis == DemandBasis::CpuUsage {
        notes.push("note: no request rate was recorded; demand is CPU utilization times pods".to_owned());
    }
    notes
}

/// `NAME,START,END,FACTOR`: times as RFC 3339 or seconds since the epoch.
///
/// # Errors
/// What is wrong with it.
pub fn event(text: &str) -> Result<PlannedEvent, String> {
    let parts: Vec<&str> = text.rsplitn(4, ',').collect();
    let [factor, end, start, name] = parts.as_slice() else {
        return Err(format!("event {text:?}: expected NAME,START,END,FACTOR"));
    };
    let factor = factor.trim().parse().map_err(|_| format!("event {name:?}: factor {factor:?} is not a number"))?;
    let instant = |text: &str| parse::instant(text).map_err(|error| error.to_string());
    let (start, end) = (instant(start)?, instant(end)?);
    PlannedEvent::new(*name, start, end, factor).map_err(|error| error.to_string())
}

/// `MIN..MAX`, in pods.
///
/// # Errors
/// What is wrong with it.
pub fn limits(text: &str) -> Result<HardLimits, String> {
    let (min, max) = text.split_once("..").ok_or("expected MIN..MAX")?;
    let number = |text: &str| text.parse().map_err(|_| format!("{text:?} is not a number of pods"));
    HardLimits::new(number(min)?, number(max)?).map_err(|error| error.to_string())
}

/// A price per pod-hour.
///
/// # Errors
/// [`Failure::Input`] if it cannot be one.
pub fn price(per_pod_hour: f64, currency: &str) -> Result<Price, Failure> {
    let currency = Currency::try_from(currency.to_owned()).map_err(Failure::input)?;
    Price::per_pod_hour(per_pod_hour, currency).map_err(Failure::input)
}

#[cfg(test)]
mod tests {
    use scaling_core::chrono::DateTime;
    use scaling_core::{MetricsHistory, ScalingMetrics};

    use super::*;

    #[test]
    fn every_example_is_listed_in_the_readme_and_in_cargo_toml() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
        let cargo = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let tests = std::fs::read_to_string(folder.join("tests/Cargo.toml")).unwrap();
        for entry in std::fs::read_dir(folder).unwrap() {
            let file = entry.unwrap().file_name().into_string().unwrap();
            if let Some(name) = file.strip_suffix(".rs").filter(|name| *name != "lib") {
                assert!(readme.contains(&format!("`{name}`")), "README.md lacks {name}");
                assert!(cargo.contains(&format!("path = \"{file}\"")), "Cargo.toml lacks {name}");
                assert!(tests.contains(&format!("path = \"../{file}\"")), "the tests of {name} are not run");
            }
        }
    }

    #[test]
    fn the_readme_shows_the_quickstart_as_it_is() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let readme = std::fs::read_to_string(folder.join("../README.md")).unwrap();
        let quickstart = std::fs::read_to_string(folder.join("quickstart.rs")).unwrap();
        assert!(quickstart.lines().count() <= 60);
        let (_, body) = quickstart.split_once("fn run(").unwrap();
        let body = body.lines().skip(1).take_while(|line| *line != "}").filter(|line| line.trim() != "Ok(())");
        for line in body {
            let shown = line.strip_prefix("    ").unwrap_or(line);
            assert!(readme.lines().any(|line| line == shown), "README.md lacks: {shown}");
        }
    }

    #[test]
    fn an_example_without_arguments_answers_help_and_version_and_refuses_the_rest() {
        let said = |argument| command("quickstart", "The loop").try_get_matches_from(["quickstart", argument]);
        assert!(said("--help").unwrap_err().to_string().contains("cargo run --release --example quickstart"));
        assert!(said("--version").unwrap_err().to_string().contains(env!("CARGO_PKG_VERSION")));
        assert_eq!(said("--colour").unwrap_err().exit_code(), 2);
        assert_eq!(said("file").unwrap_err().exit_code(), 2);
    }

    #[test]
    fn what_is_read_is_not_written_over() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let [load, page] = ["README.md", "no_such_page.html"].map(|name| folder.join(name));
        assert!(spare([&page], [&load]).is_ok());
        let again = folder.join(".").join("README.md");
        assert!(spare([&page, &again], [&load]).unwrap_err().to_string().ends_with("would be written over"));
    }

    #[test]
    fn what_was_mended_is_said() {
        let sample = |second| ScalingMetrics::new(DateTime::from_timestamp(second, 0).unwrap(), 1);
        let note = |samples: &[ScalingMetrics]| mended(MetricsHistory::from_unordered(samples.to_vec()).1);
        assert_eq!(note(&[sample(1), sample(2)]), None);
        assert!(note(&[sample(2), sample(1), sample(2)]).unwrap().starts_with("note: 1 samples were out of order; 1"));
    }

    #[test]
    fn events_are_read_or_refused_with_what_is_wrong() {
        let sale = event("spring, sale,2026-01-05T10:00:00Z,2026-01-05T12:00:00Z,10").unwrap();
        assert_eq!((sale.name(), sale.factor()), ("spring, sale", 10.0));
        assert!(event("sale,100,200,3").is_ok());
        for (text, what) in [
            ("sale,100,200", "NAME,START,END,FACTOR"),
            ("sale,100,200,many", "factor"),
            ("sale,200,100,3", "not after its start"),
            ("sale,100,200,-3", "above 0"),
            ("sale,noon,200,3", "noon"),
        ] {
            assert!(event(text).unwrap_err().contains(what), "{text}");
        }
    }
}
