//! A change of policy as a gate for a repository: the cost and the violations of a proposed HPA (or engine), beside the current one.
//!
//!     cargo run --release --example policy_diff
//!     cargo run --release --example policy_diff -- --current old.yaml --proposed new.yaml --trace load.csv \
//!         --pod-capacity 60 --max-cost-increase 10 --max-violating 0.5
//!
//! Both are replayed over the same traffic. Prints the difference in pod-hours, cost and violations; exits with 1 if a stated budget
//! is exceeded, and says which and by how much. A trace without a single request after its history is refused (exit 2): over it, any
//! change would be within any budget. Where neither policy nor trace is given it compares two HPAs of `test_data` over its history; of
//! what is given of them, all must be.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use examples::changes::when;
use examples::scenario::ScenarioArguments;
use examples::{Failure, MayClose, candidates};
use scaling_core::backtest::{Budget, BudgetLimit, Candidate, DiffError, Exceeded, Note, PolicyDiff, run_one};
use serde::Serialize;

const CURRENT: &str = "current";
const PROPOSED: &str = "proposed";

const EXAMPLES: &str = "Examples:
  cargo run --release --example policy_diff
  cargo run --release --example policy_diff -- --current old.yaml --proposed new.yaml --trace load.csv \\
      --pod-capacity 60 --max-cost-increase 10 --max-violating 0.5
  cargo run --release --example policy_diff -- --current hpas.yaml#web --proposed hpa:60 --trace load.csv --pod-capacity 60
  cargo run --release --example policy_diff -- --current old.yaml --proposed keda.yaml --trace load.csv \\
      --metric s0-prometheus=request_rate --leave-out memory

A policy is a manifest (YAML or JSON with an HPA of autoscaling/v2 or v1, alone or among others), or an engine as backtest takes it.";

#[derive(Parser)]
#[command(
    name = "policy_diff",
    version,
    about = "What a change of policy would cost and do, as a gate",
    after_help = format!("{EXAMPLES}\n\n{}", examples::reading::FORMS)
)]
struct Arguments {
    /// The policy as it is: an HPA manifest, or an engine as `backtest` takes it. Without --current, --proposed and --trace, the two HPAs
    /// and the history of `test_data` are compared.
    #[arg(long, value_name = "FILE|ENGINE")]
    current: Option<String>,
    /// The policy as it is proposed.
    #[arg(long, value_name = "FILE|ENGINE")]
    proposed: Option<String>,
    /// A trace to replay; may be given several times.
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
    /// Changes of bounds a day allowed under the proposed policy, each a write to the API server.
    #[arg(long, value_name = "CHANGES")]
    max_bound_changes: Option<f64>,
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
    /// Policies of which metrics are left out, and which.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    left_out: &'a [&'a str],
    differences: &'a [PolicyDiff],
    exceeded: &'a [Exceeded],
}

fn run(arguments: &Arguments, out: &mut impl Write) -> Result<(), Failure> {
    let policies = policies(arguments)?;
    let [old, new] = policies.each_ref().map(String::as_str);
    let compared = [policy(CURRENT, old, &arguments.cluster)?, policy(PROPOSED, new, &arguments.cluster)?];
    let budget = budget(arguments)?;
    let files = [old, new].into_iter().filter_map(candidates::hpa_file).map(PathBuf::from);
    examples::spare(&arguments.json, &files.chain(arguments.trace.iter().cloned()).collect::<Vec<_>>())?;
    writeln!(out, "current: {}; proposed: {}", told(old), told(new))?;
    let [current, proposed] = compared.each_ref().map(Candidate::name);
    // The name of a policy tells what is left out of its replay.
    let left_out = compared.iter().filter(|policy| !policy.left_out().is_empty());
    let left_out: Vec<&str> = left_out.map(Candidate::name).collect();
    let (mut differences, mut exceeded) = (Vec::new(), Vec::new());
    // What the gate's last line tells besides: a gate is read by its last line.
    let mut caveats: BTreeSet<String> = left_out.iter().map(ToString::to_string).collect();
    let judged: Vec<&str> = [&arguments.current, &arguments.proposed]
        .into_iter()
        .flatten()
        .filter_map(|policy| candidates::hpa_file(policy))
        .collect();
    let zone = arguments.cluster.reading.zone();
    for scenario in arguments.cluster.scenarios(&arguments.trace, &compared, &judged, out)? {
        let report = futures::executor::block_on(run_one(&scenario, &compared, &()));
        let report = report.map_err(examples::scenario::failure)?;
        let difference = PolicyDiff::of(&report, current, proposed).map_err(|error| match error {
            DiffError::NothingAsked { .. } => Failure::input(error),
            _ => Failure::failed(error),
        })?;
        let clock = if report.is_dated() { zone.name() } else { "a clock without dates" };
        let (scored, currency) = (&report.scored, report.currency.as_deref().unwrap_or("no currency"));
        writeln!(
            out,
            "{}: from {} to {} ({clock}), {:.1} days that count, after {:.1} days of history to learn from; cost in {currency}",
            report.name,
            when(scored.start, zone),
            when(scored.end, zone),
            difference.current().hours / 24.0,
            scored.history_days
        )?;
        writeln!(out, "{difference}")?;
        for policy in &left_out {
            writeln!(out, "  left out           {policy}")?;
        }
        for (name, score) in [(current, difference.current()), (proposed, difference.proposed())] {
            for note in score.notes.iter().filter(|note| matches!(note, Note::ContainerAsPod { .. })) {
                caveats.insert(format!("{name}: {note}"));
            }
        }
        exceeded.extend(difference.exceeded(&budget));
        differences.push(difference);
    }
    if let Some(path) = &arguments.json {
        let written = Written { budget, left_out: &left_out, differences: &differences, exceeded: &exceeded };
        let text = serde_json::to_string_pretty(&written).map_err(Failure::failed)?;
        std::fs::write(path, text + "\n").map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    }
    let caveats: Vec<String> = caveats.into_iter().collect();
    let omission = if caveats.is_empty() { String::new() } else { format!(" ({})", caveats.join("; ")) };
    if exceeded.is_empty() {
        if budget != Budget::default() {
            writeln!(out, "within budget{omission}")?;
        }
        return Ok(());
    }
    let lines: Vec<_> = exceeded.iter().map(flagged).collect();
    Err(Failure::failed(format!("over budget{omission}: {}", lines.join("; "))))
}

/// The two policies: those that are given, or those of `test_data`. What ships is compared as a whole: an HPA of somebody's own beside it would
/// be judged by the load of another workload.
fn policies(arguments: &Arguments) -> Result<[String; 2], Failure> {
    let shipped = |file: &str| examples::test_data(file).display().to_string();
    let lacking = [
        ("--current FILE|ENGINE", arguments.current.is_none()),
        ("--proposed FILE|ENGINE", arguments.proposed.is_none()),
        ("--trace FILE", arguments.trace.is_empty()),
    ];
    match (&arguments.current, &arguments.proposed, arguments.trace.as_slice()) {
        (None, None, []) => Ok([shipped("shop_hpa.yaml"), shipped("shop_hpa_proposed.yaml")]),
        (Some(current), Some(proposed), [_, ..]) => Ok([current.clone(), proposed.clone()]),
        _ => {
            let lacking: Vec<_> = lacking.into_iter().filter(|(_, lacks)| *lacks).map(|(flag, _)| flag).collect();
            Err(Failure::input(format!(
                "a policy of your own is compared with another of your own, over a load of its workload: {} is missing",
                lacking.join(" and ")
            )))
        }
    }
}

/// A policy in messages: a file as seen from the present folder.
fn told(text: &str) -> String {
    if candidates::hpa_file(text) == Some(text) { examples::place(Path::new(text)) } else { text.to_owned() }
}

/// A limit that was exceeded, by the flag that set it.
fn flagged(exceeded: &Exceeded) -> String {
    let words = match exceeded.budget {
        BudgetLimit::CostIncrease => "rise of pod-hours (--max-cost-increase)",
        BudgetLimit::ViolatingShare => "share of violating requests (--max-violating)",
        BudgetLimit::ViolatingIncrease => "rise of violating requests (--max-violating-increase)",
        BudgetLimit::ViolationMinutesADay => "time of violation a day (--max-violation-minutes)",
        BudgetLimit::ScaleEventsADay => "number of changes a day (--max-changes)",
        BudgetLimit::BoundChangesADay => "number of changes of bounds a day (--max-bound-changes)",
        other => other.as_str(),
    };
    exceeded.to_string().replacen(&format!(": {} is ", exceeded.budget), &format!(": {words} is "), 1)
}

fn policy(name: &str, text: &str, cluster: &ScenarioArguments) -> Result<Candidate, Failure> {
    let file = candidates::hpa_file(text).filter(|_| candidates::engine_over(text).is_none());
    if let Some(file) = file {
        candidates::manifest(name, Path::new(file), &cluster.hpas)
    } else {
        let made = candidates::candidate(text, &cluster.hpas)?;
        // Behind its text the name tells which metrics are left out.
        let omission = made.name().strip_prefix(text).unwrap_or_default().to_owned();
        Ok(candidates::in_zone(made, cluster.reading.zone()).named(name.to_owned() + &omission))
    }
}

fn budget(arguments: &Arguments) -> Result<Budget, Failure> {
    let within = |name: &str, value: Option<f64>, (least, most): (f64, f64), unit: f64| match value {
        Some(value) if !value.is_finite() => Err(Failure::input(format!("--{name} is {value}; it must be a number"))),
        Some(value) if !(least..=most).contains(&value) => {
            let must = if most >= f64::MAX { format!("at least {least}") } else { format!("{least} to {most}") };
            Err(Failure::input(format!("--{name} is {value}; it must be {must}")))
        }
        value => Ok(value.map(|value| value / unit)),
    };
    let (percent, many) = ((0.0, 100.0), (0.0, f64::MAX));
    Ok(Budget {
        cost_increase: within("max-cost-increase", arguments.max_cost_increase, (-100.0, f64::MAX), 100.0)?,
        violating_share: within("max-violating", arguments.max_violating, percent, 100.0)?,
        violating_increase: within("max-violating-increase", arguments.max_violating_increase, (-100.0, 100.0), 100.0)?,
        violation_minutes_a_day: within("max-violation-minutes", arguments.max_violation_minutes, (0.0, 1440.0), 1.0)?,
        scale_events_a_day: within("max-changes", arguments.max_changes, many, 1.0)?,
        bound_changes_a_day: within("max-bound-changes", arguments.max_bound_changes, many, 1.0)?,
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

    /// Over the load that comes with the examples, which an HPA of one's own is given by name.
    fn over_shop(arguments: &[&str]) -> Result<String, String> {
        let shop = examples::shop_history();
        output(&[arguments, &["--trace", shop.to_str().unwrap()]].concat())
    }

    #[test]
    fn what_ships_is_not_mixed_with_what_is_given() {
        for (given, lacks) in [
            (&["--current", "hpa:60"][..], "--proposed FILE|ENGINE and --trace FILE is missing"),
            (
                &["--proposed", "hpa:60", "--trace", "load.csv"],
                "own, over a load of its workload: --current FILE|ENGINE is",
            ),
            (&["--current", "a.yaml", "--proposed", "b.yaml"], ": --trace FILE is missing"),
        ] {
            let error = output(given).unwrap_err();
            assert!(error.starts_with("2: ") && error.contains(lacks), "{error}");
        }
        for (budget, what) in [
            (["--max-violating", "500"], "--max-violating is 500; it must be 0 to 100"),
            (["--max-violation-minutes", "1500"], "--max-violation-minutes is 1500; it must be 0 to 1440"),
            (["--max-cost-increase", "-101"], "--max-cost-increase is -101; it must be at least -100"),
        ] {
            let error = output(&budget).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
    }

    #[test]
    fn the_difference_is_told_line_by_line() {
        let text = output(&[]).unwrap();
        assert!(text.starts_with("current: ") && text.contains("shop_hpa_proposed.yaml\n"), "{text}");
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
        assert!(
            error.starts_with("1: over budget: shop_history: rise of pod-hours (--max-cost-increase) is"),
            "{error}"
        );
        assert!(error.ends_with(" %, allowed is -99.00 %"), "percent in, percent out: {error}");
        let same = over_shop(&["--current", "hpa:70", "--proposed", "hpa:70", "--max-cost-increase", "0"]).unwrap();
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
            let policies = ["--current", "hpa:60", "--proposed", "hpa:70"];
            let budget = [policies.as_slice(), &["--max-cost-increase", "500", "--max-violating", "100"]].concat();
            let error = output(&[["--trace", path.to_str().unwrap()].as_slice(), &budget].concat()).unwrap_err();
            assert!(error.starts_with("2: ") && error.contains("no request arrived"), "{error}");
        }
    }

    fn hpa(folder: &Path, name: &str, max: u32, metrics: &str) -> String {
        let text = format!(
            "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: web}}\nspec:\n  scaleTargetRef: \
             {{apiVersion: apps/v1, kind: Deployment, name: web}}\n  maxReplicas: {max}\n  metrics: [{metrics}]\n"
        );
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    const CPU: &str = "{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}";
    const LAG: &str =
        "{type: External, external: {metric: {name: lag}, target: {type: AverageValue, averageValue: 35}}}";

    #[test]
    fn a_metric_that_the_trace_lacks_is_mapped_or_left_out_with_a_word() {
        let folder = tempfile::tempdir().unwrap();
        let both = hpa(folder.path(), "both.yaml", 30, &format!("{CPU}, {LAG}"));
        let gate = ["--current", &both, "--proposed", "hpa:60", "--max-violating", "100"];
        let with = |more: &[&str]| over_shop(&[gate.as_slice(), more].concat());
        let error = with(&[]).unwrap_err();
        let advice = "metric \"lag\" is not simulated; map each to a signal";
        assert!(error.starts_with("2: ") && error.contains(advice), "{error}");
        assert!(error.ends_with("(--metric lag=request_rate_per_second[*FACTOR], or --leave-out lag)"), "{error}");
        let mapped = with(&["--metric", "lag=request_rate"]).unwrap();
        assert!(!mapped.contains("left out") && mapped.ends_with("within budget\n"), "{mapped}");
        let json = folder.path().join("out.json");
        let without = with(&["--leave-out", "lag", "--json", json.to_str().unwrap()]).unwrap();
        assert!(without.contains("  left out           current without lag\n"), "{without}");
        assert!(without.ends_with("within budget (current without lag)\n"), "{without}");
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
        assert_eq!(json["left_out"][0], "current without lag");
        assert!(
            with(&["--leave-out", "lagg"])
                .unwrap_err()
                .contains("--leave-out lagg: no HPA that is read has such a metric")
        );
        let lag = hpa(folder.path(), "lag.yaml", 30, LAG);
        let error = over_shop(&["--current", &lag, "--proposed", "hpa:60", "--leave-out", "lag"]).unwrap_err();
        assert!(error.starts_with("2: ") && error.contains("--leave-out: without lag no metric is left"), "{error}");
        for (name, there) in [("typo", "there are: lag"), ("cpu", "there are: lag")] {
            let error = with(&["--metric", &format!("{name}=request_rate")]).unwrap_err();
            assert!(error.starts_with("2: ") && error.contains(&format!("--metric {name}: no HPA")), "{error}");
            assert!(error.ends_with(there), "{error}");
        }
        let error =
            over_shop(&["--current", "hpa:60", "--proposed", "hpa:70", "--metric", "lag=queue_depth"]).unwrap_err();
        assert!(error.starts_with("2: --metric lag: ") && error.ends_with("there are none"), "{error}");
        for bad in ["lag", "lag=latency", "lag=request_rate*0", "=request_rate"] {
            assert!(with(&["--metric", bad]).unwrap_err().contains("--metric"), "{bad}");
        }
    }

    #[test]
    fn a_container_that_is_replayed_as_its_pod_stands_in_the_gate() {
        let folder = tempfile::tempdir().unwrap();
        let container = "{type: ContainerResource, containerResource: {name: cpu, container: app, target: {type: Utilization, \
                         averageUtilization: 60}}}";
        let own = hpa(folder.path(), "own.yaml", 30, container);
        let text = over_shop(&["--current", "hpa:60", "--proposed", &own, "--max-violating", "100"]).unwrap();
        let said = "proposed: the cpu of its container app was replayed as that of the whole pod";
        assert!(text.contains(&format!("note: {said}")), "{text}");
        assert!(text.ends_with(&format!("within budget ({said})\n")), "{text}");
    }

    #[test]
    fn an_engine_moves_the_bounds_of_an_hpa_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let own = hpa(folder.path(), "own.yaml", 10, &format!("{CPU}, {LAG}"));
        let moved = format!("rules@hpa:{own}");
        let gate = ["--current", &own, "--proposed", &moved, "--leave-out", "lag", "--max-violating", "100"];
        let text = over_shop(&gate).unwrap();
        assert!(text.contains("bounds a day"), "{text}");
        assert!(text.ends_with("within budget (current without lag; proposed without lag)\n"), "{text}");
    }

    #[test]
    fn a_trace_without_dates_tells_elapsed_time() {
        let folder = tempfile::tempdir().unwrap();
        let load = folder.path().join("load.csv");
        let rows: Vec<_> = (0..400).map(|minute| format!("{},{}", minute * 60, 20 + minute % 60)).collect();
        std::fs::write(&load, format!("timestamp_s,rps\n{}\n", rows.join("\n"))).unwrap();
        let text = output(&["--trace", load.to_str().unwrap(), "--current", "hpa:50", "--proposed", "hpa:60"]).unwrap();
        assert!(text.contains("load: from day 1 03:") && text.contains("(a clock without dates)"), "{text}");
        assert!(!text.contains("1970"), "{text}");
    }

    #[test]
    fn a_manifest_of_ones_own_is_not_judged_by_a_load_of_a_size_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        let own = hpa(folder.path(), "own.yaml", 10, CPU);
        let load = folder.path().join("load.csv");
        let rows: Vec<_> = (0..400).map(|minute| format!("{},{}", minute * 60, 20 + minute % 60)).collect();
        std::fs::write(&load, format!("timestamp_s,rps\n{}\n", rows.join("\n"))).unwrap();
        let load = load.to_str().unwrap();
        let engine = format!("hpa:{own}");
        for policy in [own.as_str(), &engine] {
            let gate = ["--trace", load, "--current", policy, "--proposed", "hpa:60"];
            let error = output(&gate).unwrap_err();
            assert!(
                error.starts_with("2: ") && error.contains("load.csv: nothing in it tells what a pod of "),
                "{error}"
            );
            assert!(error.contains("--pod-capacity REQUESTS_PER_SECOND, or --pods-at-peak N"), "{error}");
            for said in [["--pod-capacity", "20"], ["--pods-at-peak", "5"]] {
                assert!(output(&[gate.as_slice(), &said].concat()).unwrap().contains("peak pods"), "{said:?}");
            }
        }
        assert!(
            output(&["--trace", load, "--current", "hpa:50", "--proposed", "hpa:60"]).unwrap().contains("scaled by")
        );
    }

    #[test]
    fn a_policy_is_written_as_in_a_backtest_and_the_time_that_counts_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let own = hpa(folder.path(), "own.yaml", 10, CPU);
        let rules = folder.path().join("rules.json");
        std::fs::write(&rules, r#"{"target_cpu_percent": 60.0}"#).unwrap();
        let (engine, rules) = (format!("hpa:{own}"), format!("rules:{}", rules.display()));
        let same = over_shop(&["--current", &engine, "--proposed", &own, "--currency", "EUR"]).unwrap();
        assert!(same.contains("(+0.00 %)"), "{same}");
        let dates = "shop_history: from Mon 2026-01-12 00:00 to Sun 2026-01-18 23:00 (UTC), 6.9 days that count, after 7.0 days";
        assert!(same.contains(dates) && same.contains("cost in EUR\n"), "{same}");
        assert!(over_shop(&["--current", &engine, "--proposed", &rules]).unwrap().contains("pod-hours"));
    }

    #[test]
    fn an_amount_per_pod_needs_the_request_of_a_pod() {
        let folder = tempfile::tempdir().unwrap();
        let amount = "{type: Resource, resource: {name: cpu, target: {type: AverageValue, averageValue: 300m}}}";
        let amount = hpa(folder.path(), "amount.yaml", 30, amount);
        let share = hpa(folder.path(), "share.yaml", 30, CPU);
        let gate = ["--current", &amount, "--proposed", &share];
        let error = over_shop(&gate).unwrap_err();
        assert!(
            error.starts_with("2: ") && error.contains("what a pod requests of cpu is not known (--cpu-request"),
            "{error}"
        );
        // 300 of 500 millicores are 60 %, which the controller rounds down to a whole percentage and amounts not.
        let percent = |text: &str| {
            let (_, change) = text.split_once(" (").unwrap();
            change.split_once(" %").unwrap().0.parse::<f64>().unwrap().abs()
        };
        let said = over_shop(&[gate.as_slice(), &["--cpu-request", "500m"]].concat()).unwrap();
        let line = |text: &str| text.lines().find(|line| line.starts_with("  pod-hours")).unwrap().to_owned();
        assert!(percent(&line(&said)) < 2.0, "{said}");
        let beside = std::fs::read_to_string(&amount).unwrap()
            + "---\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {containers: [\
               {name: a, resources: {requests: {cpu: 0.4}}}, {name: b, resources: {limits: {cpu: 100m}}}]}}}\n";
        std::fs::write(&amount, beside).unwrap();
        assert_eq!(line(&over_shop(&gate).unwrap()), line(&said));
    }

    #[test]
    fn two_hpas_of_one_file_are_compared_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let one = hpa(folder.path(), "two.yaml", 30, CPU);
        let text = std::fs::read_to_string(&one).unwrap();
        std::fs::write(&one, format!("{text}---\n{}", text.replace("{name: web}\nspec", "{name: api}\nspec"))).unwrap();
        let [web, api] = ["web", "api"].map(|name| format!("{one}#{name}"));
        assert!(over_shop(&["--current", &web, "--proposed", &api]).unwrap().contains("(+0.00 %)"));
        assert!(
            over_shop(&["--current", &web, "--proposed", &one])
                .unwrap_err()
                .contains("web, api; say which (--hpa-name")
        );
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
            (
                &["--current", pod.as_str(), "--proposed", "hpa", "--trace", &bad][..],
                "pod.yaml: there is no HorizontalPodAutoscaler in it; there is: Pod",
            ),
            (&["--current", "hpa", "--proposed", "hpa", "--trace", &bad], "bad.csv: line 3"),
            (&["--current", "hpa", "--proposed", "magic", "--trace", &bad], "there is no engine"),
            (&["--max-violating", "NaN"], "must be a number"),
        ] {
            let error = output(arguments).unwrap_err();
            assert!(error.starts_with("2: ") && error.contains(what) && !error.contains('\n'), "{error}");
        }
    }
}
