//! A fleet for the backtest: workloads whose past is fetched from a metrics server, and each process's share of them.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use scaling_core::Target;
use scaling_core::backtest::{BacktestError, Candidate, LeftOut, Part, Report, Scenario, TraceReport};
use scaling_core::chrono::{DateTime, Utc};

use crate::live::arguments::{self, SourceArguments};
use crate::scenario::{self, ScenarioArguments};
use crate::{Failure, live};

/// Workloads whose past is in memory at once.
const AT_ONCE: usize = 16;

/// Arguments for many workloads, and for many processes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Fleet")]
pub struct FleetArguments {
    /// A file with a workload on each line, as --target has it; `#` begins a comment.
    #[arg(long = "targets", value_name = "FILE")]
    pub target_file: Option<PathBuf>,
    /// Instant at which the past of live metrics ends, as 2026-11-01T00:00:00Z. Default: now.
    #[arg(long, value_name = "INSTANT")]
    pub until: Option<DateTime<Utc>>,
    /// Replays one share of the workloads, as 0/4, and writes its report with --json for --merge. In an Indexed Job:
    /// --part $(JOB_COMPLETION_INDEX)/4.
    #[arg(long, value_name = "INDEX/PARTS", requires = "json")]
    pub part: Option<Part>,
    /// Joins the reports of all parts, in any order; nothing is replayed.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["part", "trace", "targets", "target_file", "engine", "sweep"])]
    pub merge: Vec<PathBuf>,
}

impl FleetArguments {
    /// Checks what processes must agree on to make one report.
    ///
    /// # Errors
    /// [`Failure::Input`] with what is missing.
    pub fn validate(&self, is_live: bool, names_policies: bool) -> Result<(), Failure> {
        if self.target_file.is_some() && !is_live {
            return Err(Failure::input("--targets needs a metrics server: --prometheus URL"));
        }
        let Some(part) = self.part else { return Ok(()) };
        if !names_policies {
            let what = format!(
                "--part {part}: name the policies with --engine; which ones suit is not the same for every part"
            );
            return Err(Failure::input(what));
        }
        if is_live && self.until.is_none() {
            let what =
                format!("--part {part}: say when the past ends with --until INSTANT; every part has another now");
            return Err(Failure::input(what));
        }
        Ok(())
    }

    /// The workloads that are named, on the command line and in the file.
    ///
    /// # Errors
    /// [`Failure::Input`] with the line that is none, or is there twice.
    pub fn targets(&self, from: &SourceArguments) -> Result<Vec<Target>, Failure> {
        let mut targets = from.targets.clone();
        if let Some(path) = &self.target_file {
            targets.extend(listed(path)?);
        }
        let mut seen = std::collections::BTreeSet::new();
        match targets.iter().find(|target| !seen.insert(*target)) {
            Some(twice) => Err(Failure::input(format!("the workload {twice} is given twice"))),
            None => Ok(targets),
        }
    }

    /// The share of these, or all of them.
    pub fn share<'a, T>(&self, items: &'a [T]) -> &'a [T] {
        self.part.map_or(items, |part| part.of(items))
    }

    /// Joins the reports of the parts.
    ///
    /// # Errors
    /// [`Failure::Input`] if one cannot be read, or they are not the parts of one report.
    pub fn merged(&self) -> Result<Report, Failure> {
        let reports = self.merge.iter().map(|path| {
            let bytes = crate::read(path)?;
            serde_json::from_slice::<Report>(&bytes)
                .map_err(|error| Failure::input(format!("{}: not a report: {error}", crate::place(path))))
        });
        Report::merged(reports.collect::<Result<Vec<_>, _>>()?).map_err(Failure::input)
    }
}

/// Workloads of a file.
fn listed(path: &Path) -> Result<Vec<Target>, Failure> {
    let bytes = crate::read(path)?;
    let place = crate::place(path);
    let text = std::str::from_utf8(&bytes).map_err(|error| Failure::input(format!("{place}: {error}")))?;
    let lines = (1..)
        .zip(text.trim_start_matches('\u{feff}').lines().map(|line| line.split('#').next().unwrap_or_default().trim()));
    let targets = lines.filter(|(_, line)| !line.is_empty()).map(|(number, line)| {
        arguments::target(line).map_err(|what| Failure::input(format!("{place}: line {number}: {line:?}: {what}")))
    });
    targets.collect()
}

/// Replay of scenarios: a report of each, in their order.
pub type Replay<'a> = dyn Fn(&[Scenario]) -> Vec<Result<TraceReport, BacktestError>> + 'a;

/// Replays workloads whose past is fetched, some at a time: what is in memory does not grow with the fleet. A workload without a past
/// that can be replayed is left out, with the reason.
///
/// # Errors
/// [`Failure`] if an argument cannot work for any workload, or nothing can be asked.
pub fn replayed(
    (from, until): (&SourceArguments, Option<DateTime<Utc>>),
    targets: &[Target],
    cluster: &ScenarioArguments,
    candidates: &[Candidate],
    replay: &Replay<'_>,
    out: &mut impl Write,
) -> Result<(Vec<TraceReport>, Vec<LeftOut>), Failure> {
    cluster.validate()?;
    let (mut reports, mut left_out) = (Vec::new(), Vec::new());
    for some in targets.chunks(AT_ONCE) {
        let mut scenarios = Vec::new();
        for (target, past) in some.iter().zip(live::pasts(from, some, until)?) {
            let name = target.to_string();
            let made = past.and_then(|samples| cluster.fetched(&name, samples, candidates, out));
            match made {
                Ok(scenario) => scenarios.push(Scenario { target: Some(target.clone()), ..scenario }),
                Err(Failure::Closed) => return Err(Failure::Closed),
                Err(why) => left_out.push(LeftOut { name, why: why.to_string() }),
            }
        }
        for (scenario, report) in scenarios.iter().zip(replay(&scenarios)) {
            match report {
                Ok(report) => reports.push(report),
                // Limits and the model are the same for all workloads.
                Err(error @ (BacktestError::Model { .. } | BacktestError::OutOfLimits { .. })) => {
                    return Err(scenario::failure(error));
                }
                Err(why) => left_out.push(LeftOut { name: scenario.trace.name().to_owned(), why: why.to_string() }),
            }
        }
    }
    Ok((reports, left_out))
}
