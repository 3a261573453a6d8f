//! Going back to before a change: the history of a workload, from the records of a live run or from its HPA, and the way back through the
//! guards.
//!
//!     cargo run --release --features live --example rollback -- --records records
//!     cargo run … --example rollback -- --records records --target shop/checkout --to 3 --context staging
//!
//! The records are those of `autoscale --records DIR`. Without `--records` the changes are those that the HPA of `--target` itself tells, as an
//! operator that was told `--undo` leaves them there. Without `--context` the HPA is taken as the last record left it. With it, the HPA
//! is read and the API server validates the change; `--apply` makes it. It is refused if somebody else has changed the bounds since.
//! An autoscaler that goes on ticking decides anew: stop it before.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use examples::live::arguments::target;
use examples::{Failure, MayClose};
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::live::{Entry, entries};
use scaling_core::{
    ApplyMode, Bounds, BoundsPolicy, ChangeLog, GuardContext, Guards, HardLimits, HpaApplier, HpaPlan, HpaState,
    RemovalBudget, StepLimit, Target,
};
use scaling_k8s::history::{History, RollbackRefused, of_hpa};
use scaling_k8s::k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use scaling_k8s::kube::{Api, Client};
use scaling_k8s::resting::Seen;
use scaling_k8s::{KubeHpaApplier, Writer};

const EXAMPLES: &str = "Examples:
  cargo run --release --features live --example rollback -- --records records
  rollback --records records --target shop/checkout --to 3
  rollback --records records --target shop/checkout --to 3 --context staging
  rollback --records records --target shop/checkout --to 3 --context staging --apply
  rollback --target shop/checkout --context staging";

#[derive(Debug, Parser)]
#[command(name = "rollback", version, about = "The changes of a workload, and the way back to before one", after_help = EXAMPLES)]
struct Arguments {
    /// Records of a live run: the folder, or one of its files.
    #[arg(long, value_name = "DIR", required_unless_present_all = ["context", "target"])]
    records: Option<PathBuf>,
    /// The workload. Needed without --records, and with --to if the records are of several.
    #[arg(long, value_name = "NAMESPACE/[KIND/]NAME[=HPA]", value_parser = target)]
    target: Option<Target>,
    /// Goes back to before this change, and undoes the later ones with it.
    #[arg(long, value_name = "NUMBER")]
    to: Option<u64>,
    /// Field manager that the changes were made under.
    #[arg(long, value_name = "NAME", default_value = "kube-scaling")]
    manager: String,
    /// Smallest and largest size allowed at all.
    #[arg(long, value_name = "MIN,MAX", value_parser = examples::limits)]
    limits: Option<HardLimits>,
    /// The cluster of the HPA: a context of the kubeconfig.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Changes the HPA in that cluster. Without it nothing is changed.
    #[arg(long, requires = "context", requires = "to")]
    apply: bool,
}

/// Everything that the records tell.
#[derive(Default)]
struct Past {
    history: History,
    log: ChangeLog,
    /// The bounds of each workload as the last record left them.
    left: BTreeMap<Target, Bounds>,
    remarks: Vec<String>,
    /// Records that could be read.
    records: usize,
}

fn main() -> ExitCode {
    examples::exit(run(&Arguments::parse(), std::time::SystemTime::now().into(), &mut MayClose(std::io::stdout())))
}

fn run(arguments: &Arguments, now: DateTime<Utc>, out: &mut impl Write) -> Result<(), Failure> {
    let past = match &arguments.records {
        Some(records) => past(arguments, records)?,
        None => Past::default(),
    };
    let Some(context) = &arguments.context else { return in_records(arguments, &past, now, out) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = scaling_k8s::connect(context).await.map_err(Failure::input)?;
        in_cluster(arguments, past, client, now, out).await
    })
}

/// The changes, and the way back as the records leave the workload.
fn in_records(arguments: &Arguments, past: &Past, now: DateTime<Utc>, out: &mut impl Write) -> Result<(), Failure> {
    let targets = told(arguments, past, out)?;
    let Some(number) = arguments.to else { return Ok(()) };
    let target = one(&targets)?;
    let left = past.left.get(target).ok_or_else(|| Failure::input(format!("{target} is not in the records")))?;
    way_back(arguments, past, target, number, HpaState::new(*left), now, out)?;
    Ok(writeln!(out, "as the records leave it; --context NAME asks the cluster")?)
}

async fn in_cluster(
    arguments: &Arguments,
    mut past: Past,
    client: Client,
    now: DateTime<Utc>,
    out: &mut impl Write,
) -> Result<(), Failure> {
    if let (None, Some(target)) = (&arguments.records, &arguments.target) {
        let api: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), &target.namespace);
        let failed =
            |error: &dyn std::fmt::Display| Failure::failed(format!("{target}: HPA {:?}: {error}", target.hpa));
        let hpa = api.get(&target.hpa).await.map_err(|error| failed(&error))?;
        let hpa = serde_json::to_value(hpa).map_err(|error| failed(&error))?;
        let changes = of_hpa(&hpa, &arguments.manager).map_err(|error| failed(&error))?;
        if changes.is_empty() {
            return Err(failed(&"it tells no change; those of a run without them are in its records (--records DIR)"));
        }
        past.history.resume(target, changes);
        past.left.insert(target.clone(), bounds_of(&hpa).ok_or_else(|| failed(&"it has no bounds"))?);
    }
    let targets: Vec<Target> = told(arguments, &past, out)?.into_iter().cloned().collect();
    let Some(number) = arguments.to else { return Ok(()) };
    let targets: Vec<&Target> = targets.iter().collect();
    let target = one(&targets)?;
    let applier = KubeHpaApplier::new(Writer::new(client).field_manager(&arguments.manager));
    let state = applier.current(target).await.map_err(Failure::failed)?;
    let Some(plan) = way_back(arguments, &past, target, number, state, now, out)? else { return Ok(()) };
    applier.apply(&plan, ApplyMode::ServerDryRun).await.map_err(Failure::failed)?;
    writeln!(out, "the API server takes it")?;
    if arguments.apply {
        applier.apply(&plan, ApplyMode::Apply).await.map_err(Failure::failed)?;
        writeln!(out, "applied")?;
    } else {
        writeln!(out, "dry run, nothing is changed; --apply changes it")?;
    }
    Ok(())
}

/// Tells the changes, and gives the workloads that they are of.
fn told<'a>(arguments: &'a Arguments, past: &'a Past, out: &mut impl Write) -> Result<Vec<&'a Target>, Failure> {
    for remark in &past.remarks {
        writeln!(out, "note: {remark}")?;
    }
    if let Some(records) = arguments.records.as_ref().filter(|_| past.records == 0) {
        return Err(Failure::input(format!("no record could be read in {}", examples::place(records))));
    }
    if let Some(target) = &arguments.target
        && !past.left.contains_key(target)
    {
        return Err(Failure::input(format!("{target} is not in the records")));
    }
    let changed = past.left.keys().filter(|target| past.history.of(target).next().is_some());
    let targets: Vec<&Target> = match &arguments.target {
        Some(target) => vec![target],
        None => changed.collect(),
    };
    for target in &targets {
        writeln!(out, "{target}")?;
        for change in past.history.of(target) {
            writeln!(out, "  {change}")?;
        }
    }
    if targets.iter().all(|target| past.history.of(target).next().is_none()) {
        writeln!(out, "no change was applied in {} records", past.records)?;
    }
    Ok(targets)
}

fn one<'a>(targets: &[&'a Target]) -> Result<&'a Target, Failure> {
    match targets {
        [target] => Ok(target),
        _ => {
            Err(Failure::input("the records are of several workloads, or of none; say which: --target NAMESPACE/NAME"))
        }
    }
}

fn bounds_of(hpa: &serde_json::Value) -> Option<Bounds> {
    Seen::of(hpa, "").ok().map(|seen| seen.state.bounds)
}

/// The plan of a rollback; none if the guards leave nothing of it for now.
fn way_back(
    arguments: &Arguments,
    past: &Past,
    target: &Target,
    number: u64,
    state: HpaState,
    now: DateTime<Utc>,
    out: &mut impl Write,
) -> Result<Option<HpaPlan>, Failure> {
    let rollback = match past.history.rollback(target, number, state) {
        Ok(rollback) => rollback,
        Err(there @ RollbackRefused::AlreadyThere { .. }) => {
            writeln!(out, "{there}: there is nothing to do")?;
            return Ok(None);
        }
        Err(refused) => return Err(Failure::failed(refused)),
    };
    let context = GuardContext {
        target,
        now,
        observation: None,
        state,
        limits: arguments.limits.unwrap_or_default(),
        policy: &BoundsPolicy::default(),
        min_without_floor: None,
        last: past.log.last_changes(target),
        released: past.log.released(),
    };
    // A person has decided, and no metrics are at hand: the guards about these have nothing to say.
    let guards = Guards::only_hard_limits().with(StepLimit::default()).with(RemovalBudget::default());
    let approved = rollback.approve(&guards, &context);
    for clamp in approved.clamps() {
        writeln!(out, "limited by {}", clamp.guard)?;
    }
    if let Some(refusal) = approved.refusal() {
        return Err(Failure::failed(refusal));
    }
    let plan = HpaPlan::of(&approved);
    writeln!(out, "before change #{number}: {} -> {}", plan.old_bounds(), plan.new_bounds())?;
    if plan.new_bounds() != rollback.to() {
        writeln!(out, "the rest of the way, to {}, is for later", rollback.to())?;
    }
    Ok((!plan.is_empty()).then_some(plan))
}

fn past(arguments: &Arguments, records: &Path) -> Result<Past, Failure> {
    let place = examples::place(records);
    let mut past = Past::default();
    for entry in entries(records).map_err(|error| Failure::input(format!("{place}: {error}")))? {
        match entry {
            Entry::Record(record) => {
                past.records += 1;
                past.log.replay(&record);
                past.history.take(&record, &arguments.manager);
                let after = past.history.of(&record.target).next_back().filter(|change| change.at == record.at);
                if let Some(bounds) = after.map(|change| change.after).or(record.bounds) {
                    past.left.insert(record.target.clone(), bounds);
                }
            }
            Entry::Bad(line) => past.remarks.push(line.to_string()),
            _ => {}
        }
    }
    Ok(past)
}

#[cfg(test)]
mod tests {
    use scaling_core::live::{RecordFiles, Rotation};
    use scaling_core::{BoundsChange, DecisionRecord, Outcome, Recorder};

    use super::*;

    fn bounds(min: u32, max: u32) -> Bounds {
        Bounds::new(min, max).unwrap()
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    /// Records of two changes of one workload, and of one of another.
    fn records() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let files = RecordFiles::open(folder.path(), Rotation::default()).unwrap();
        let (checkout, web) = (Target::deployment("shop", "checkout"), Target::deployment("shop", "web"));
        let changes = [
            (0, &checkout, bounds(2, 10), bounds(4, 10)),
            (60, &web, bounds(1, 3), bounds(2, 3)),
            (600, &checkout, bounds(4, 10), bounds(6, 12)),
        ];
        for (seconds, target, old, new) in changes {
            let mut record = DecisionRecord::new(target.clone(), at(seconds), ApplyMode::Apply);
            record.bounds = Some(old);
            record.change = Some(BoundsChange { old, new, released: 0, min_without_floor: None, resources: None });
            record.outcome = Outcome::Applied;
            files.record(&record).unwrap();
        }
        folder
    }

    fn tried(words: &[&str]) -> Result<String, String> {
        let folder = records();
        let given = ["rollback", "--records", folder.path().to_str().unwrap()];
        let arguments = Arguments::parse_from(given.iter().chain(words));
        examples::outcome(|out| run(&arguments, at(7200), out))
    }

    #[test]
    fn the_changes_are_listed() {
        let said = tried(&[]).unwrap();
        assert!(
            said.contains("shop/Deployment/web\n  #1 ") && said.contains("4..10 -> 6..12 by kube-scaling"),
            "{said}"
        );
        assert!(!tried(&["--target", "shop/checkout"]).unwrap().contains("web"));
    }

    #[test]
    fn the_way_back_goes_through_the_guards() {
        let said = tried(&["--target", "shop/checkout", "--to", "2"]).unwrap();
        assert!(said.contains("before change #2: 6..12 -> 4..10\n"), "{said}");
        assert!(said.contains("--context NAME asks the cluster"), "{said}");
        assert!(tried(&["--target", "shop/checkout", "--to", "9"]).unwrap_err().contains("1: no change #9"));
        assert!(tried(&["--to", "1"]).unwrap_err().starts_with("2: "), "of which workload?");
    }

    #[test]
    fn what_is_missing_is_said() {
        assert!(Arguments::try_parse_from(["rollback"]).is_err());
        assert!(Arguments::try_parse_from(["rollback", "--records", "x", "--to", "1", "--apply"]).is_err());
        let arguments = Arguments::parse_from(["rollback", "--records", "/no/such/folder"]);
        assert!(examples::outcome(|out| run(&arguments, at(0), out)).unwrap_err().starts_with("2: "));
        let empty = tempfile::tempdir().unwrap();
        let arguments = Arguments::parse_from(["rollback", "--records", empty.path().to_str().unwrap()]);
        let said = examples::outcome(|out| run(&arguments, at(0), out)).unwrap_err();
        assert!(said.starts_with("2: no record could be read in "), "{said}");
        let said = tried(&["--target", "shop/nobody"]).unwrap_err();
        assert!(said.starts_with("2: shop/Deployment/nobody is not in the records"), "{said}");
        assert!(
            Arguments::try_parse_from(["rollback", "--target", "shop/web"]).is_err(),
            "neither records nor a cluster"
        );
        assert!(Arguments::try_parse_from(["rollback", "--target", "shop/web", "--context", "staging"]).is_ok());
    }
}
