//! A change of policy as a gate for a repository: the cost and the violations of a proposed HPA (or engine), beside the current one.
//!
//!     cargo run --release --example policy_diff
//!     cargo run --release --example policy_diff -- --current old.yaml --proposed new.yaml --trace load.csv \
//!         --max-cost-increase 10 --max-violating 0.5
//!
//! Both are replayed over the same traffic. Prints the difference in pod-hours, cost and violations; exits with 1 if a stated budget
//! is exceeded, and says which and by how much. A trace without a single request after its history is refused (exit 2): over it, any
//! change would be within any budget. Without arguments it compares two HPAs of `test_data` over its history.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use examples::scenario::ScenarioArguments;
use examples::{Failure, MayClose, candidates};
use scaling_core::backtest::{Budget, Candidate, DiffError, Exceeded, PolicyDiff, run_one};
use scaling_schedule::Tz;
use serde::Serialize;

const CURRENT: &str = "current";
const PROPOSED: &str = "proposed";

#[derive(Parser)]
#[command(about = "What a change of policy would cost and do, as a gate")]
struct Arguments {
    /// The policy as it is: an HPA manifest, or an engine as `backtest` takes it.
    #[arg(long, value_name = "FILE|ENGINE")]
    current: Option<String>,
    /// The policy as it is proposed.
    #[arg(long, value_name = "FILE|ENGINE")]
    proposed: Option<String>,
    /// A trace to replay; may be given several times. By default `test_data/shop_history.csv`.
    #[arg(long, value_name = "FILE")]
    trace: Vec<PathBuf>,
    /// Rise of pod-hours allowed, in percent; below 0 asks for savings.
    #[arg(long, value_name = "PERCENT", allow_negative_numbers = true)]
    max_cost_increase: Option<f64>,
    /// Violating requests allowed under the proposed policy, in percent of all.
    #[arg(long, value_name = "PERCENT")]
    max_violating: Option<f64>,
    /// Rise of violating requests allowed, in percentage points.
    #[arg(long, value_name = "POINTS", allow_negative_numbers = true)]
    max_violating_increase: Option<f64>,
    /// Minutes of violation a day allowed under the proposed policy.
    #[arg(long, value_name = "MINUTES")]
    max_violation_minutes: Option<f64>,
    /// Changes of the size a day allowed under the proposed policy.
    #[arg(long, value_name = "CHANGES")]
    max_changes: Option<f64>,
    /// Writes the differences as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    cluster: ScenarioArguments,
}

fn main() -> ExitCode {
    examples::exit(run(&Arguments::parse(), &mut MayClose(std::io::stdout().lock())))
}

#[derive(Serialize)]
struct Written<'a> {
    budget: Budget,
    differences: &'a [PolicyDiff],
    exceeded: &'a [Exceeded],
}

fn run(arguments: &Arguments, out: &mut impl Write) -> Result<(), Failure> {
    let policy = |name: &str, given: &Option<String>, file: &str| match given {
        Some(text) => policy(name, text, arguments.cluster.reading.zone()),
        None => candidates::manifest(name, &examples::test_data(file)),
    };
    let compared = [
        policy(CURRENT, &arguments.current, "shop_hpa.yaml")?,
        policy(PROPOSED, &arguments.proposed, "shop_hpa_proposed.yaml")?,
    ];
    let budget = budget(arguments)?;
    let (mut differences, mut exceeded) = (Vec::new(), Vec::new());
    for scenario in arguments.cluster.scenarios(&arguments.trace, &compared, out)? {
        let report = futures::executor::block_on(run_one(&scenario, &compared, &()));
        let report = report.map_err(examples::scenario::failure)?;
        let difference = PolicyDiff::of(&report, CURRENT, PROPOSED).map_err(|error| match error {
            DiffError::NothingAsked { .. } => Failure::input(error),
            _ => Failure::failed(error),
        })?;
        writeln!(out, "{difference}")?;
        exceeded.extend(difference.exceeded(&budget));
        differences.push(difference);
    }
    if let Some(path) = &arguments.json {
        let written = Written { budget, differences: &differences, exceeded: &exceeded };
        let text = serde_json::to_string_pretty(&written).map_err(Failure::failed)?;
        std::fs::write(path, text + "\n").map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    }
    if exceeded.is_empty() {
        if budget != Budget::default() {
            writeln!(out, "within budget")?;
        }
        return Ok(());
    }
    let lines: Vec<_> = exceeded.iter().map(ToString::to_string).collect();
    Err(Failure::failed(format!("over budget: {}", lines.join("; "))))
}

fn policy(name: &str, text: &str, zone: Tz) -> Result<Candidate, Failure> {
    let path = Path::new(text);
    if path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known)) {
        candidates::manifest(name, path)
    } else {
        candidates::candidate(text).map(|candidate| candidates::in_zone(candidate, zone).named(name))
    }
}

fn budget(arguments: &Arguments) -> Result<Budget, Failure> {
    let finite = |name: &str, value: Option<f64>, unit: f64| match value {
        Some(value) if !value.is_finite() => Err(Failure::input(format!("--{name} is {value}; it must be a number"))),
        value => Ok(value.map(|value| value / unit)),
    };
    Ok(Budget {
        cost_increase: finite("max-cost-increase", arguments.max_cost_increase, 100.0)?,
        violating_share: finite("max-violating", arguments.max_violating, 100.0)?,
        violating_increase: finite("max-violating-increase", arguments.max_violating_increase, 100.0)?,
        violation_minutes_a_day: finite("max-violation-minutes", arguments.max_violation_minutes, 1.0)?,
        scale_events_a_day: finite("max-changes", arguments.max_changes, 1.0)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(arguments: &[&str]) -> Result<String, String> {
        let arguments = Arguments::try_parse_from(std::iter::once(&"policy_diff").chain(arguments))
            .map_err(|error| error.to_string())?;
        examples::outcome(|out| run(&arguments, out))
    }

    #[test]
    fn the_difference_is_told_line_by_line() {
        let text = output(&[]).unwrap();
        for line in
            ["shop_history: current -> proposed", "pod-hours  ", "cost  ", "violating requests", "changes a day"]
        {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!text.contains("budget"));
    }

    #[test]
    fn a_budget_holds_or_is_an_error_that_names_it() {
        assert!(
            output(&["--max-cost-increase", "500", "--max-violating", "100"]).unwrap().ends_with("within budget\n")
        );
        let error = output(&["--max-cost-increase", "-99"]).unwrap_err();
        assert!(error.starts_with("1: over budget: shop_history: cost_increase is"), "{error}");
        let same = output(&["--current", "hpa:70", "--proposed", "hpa:70", "--max-cost-increase", "0"]).unwrap();
        assert!(same.contains("(+0.00 %)"), "{same}");
    }

    #[test]
    fn a_gate_over_traffic_without_a_request_does_not_pass() {
        let folder = tempfile::tempdir().unwrap();
        for (name, late) in [("idle", "0"), ("mostly_gaps", "")] {
            let rows = (0..720).map(|minute| match minute {
                0..360 => format!("{},500", minute * 60),
                _ if minute % 60 >= 10 => format!("{},0", minute * 60),
                _ => format!("{},{late}", minute * 60),
            });
            let path = folder.path().join(format!("{name}.csv"));
            std::fs::write(&path, format!("timestamp_s,rps\n{}\n", rows.collect::<Vec<_>>().join("\n"))).unwrap();
            let budget = ["--max-cost-increase", "500", "--max-violating", "100"];
            let error = output(&[["--trace", path.to_str().unwrap()].as_slice(), &budget].concat()).unwrap_err();
            assert!(error.starts_with("2: ") && error.contains("no request arrived"), "{error}");
        }
    }

    /// A pipe whose reader has seen enough.
    struct Left;

    impl Write for Left {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_budget_is_exceeded_whether_anybody_reads_or_not() {
        let arguments = Arguments::try_parse_from(["policy_diff", "--max-cost-increase", "-99"]).unwrap();
        assert!(matches!(run(&arguments, &mut MayClose(Left)), Err(Failure::Failed(_))));
    }

    #[test]
    fn the_same_change_twice_is_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["a.json", "b.json"].map(|name| folder.path().join(name));
        for file in &files {
            output(&["--json", file.to_str().unwrap()]).unwrap();
        }
        let [a, b] = files.map(|file| std::fs::read(file).unwrap());
        assert!(!a.is_empty() && a == b);
    }

    #[test]
    fn bad_input_is_one_clear_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let pod = file("pod.yaml", "kind: Pod\napiVersion: v1\n");
        let bad = file("bad.csv", "timestamp_s,rps\n0,1\n60,-1\n");
        for (arguments, what) in [
            (["--current", pod.as_str()], "pod.yaml: kind is \"Pod\""),
            (["--trace", bad.as_str()], "bad.csv: line 3"),
            (["--proposed", "magic"], "there is no engine"),
            (["--max-violating", "NaN"], "must be a number"),
        ] {
            let error = output(&arguments).unwrap_err();
            assert!(error.starts_with("2: ") && error.contains(what) && !error.contains('\n'), "{error}");
        }
    }
}
