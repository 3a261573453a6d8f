//! The status page on the shipped history: four workloads that share its load, decided about for a day, and on as time goes on.
//!
//!     cargo run --release --features page --example status_page
//!     cargo run --release --features page --example status_page -- --once page.html
//!
//! Everything on the page comes from decision records, here those of a replay whose clock is set so that it is now what it was then.
//! What lies ahead of now is recorded when its time comes, so that the page moves. Notice the hour in which the recording has a
//! gap: the source fails, nothing is shrunk, and the page says since when. Notice `media/thumbnails`, whose bounds Argo CD has applied: the
//! page says so, with the text that makes the two live together.

use std::collections::VecDeque;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::Parser;
use examples::candidates::{self, EngineRecipe};
use examples::comparison;
use examples::manifest::HpaFile;
use examples::scenario::ScenarioArguments;
use examples::{Failure, MayClose};
use futures::executor::block_on;
use scaling_core::backtest::{Scenario, score_one};
use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::telemetry::board::HpaAlone;
use scaling_core::telemetry::serve::Server;
use scaling_core::telemetry::{Board, Health, Metrics, page};
use scaling_core::{DecisionRecord, MemoryRecorder, RecordError, Recorder, SizeOwner, Target, Tee};
use scaling_k8s::ownership::{OwnershipReport, Writes};
use serde_json::json;

const EXAMPLES: &str = "Examples:
  cargo run --release --features page --example status_page
  cargo run --release --features page --example status_page -- --listen 127.0.0.1:9000 --copies 250
  cargo run --release --features page --example status_page -- --once page.html";

#[derive(Parser)]
#[command(name = "status_page", version, about = "The status page on the shipped history", after_help = EXAMPLES)]
struct Arguments {
    /// Address to serve on; beyond loopback everybody sees the page.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
    /// Writes the page into a file, with all workloads in it, instead of serving it.
    #[arg(long, value_name = "FILE")]
    once: Option<PathBuf>,
    /// Shows each workload so many times, under other names.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    copies: u16,
    #[command(flatten)]
    cluster: ScenarioArguments,
}

/// One workload of the page.
struct Workload {
    target: Target,
    engine: &'static str,
    /// Load in shares of the recorded one, and hours that it comes later: another part of the two weeks.
    size: f64,
    later: i64,
}

fn workloads() -> [Workload; 4] {
    let of = |namespace: &str, name: &str, engine, size, later| {
        let target = Target::deployment(namespace, name);
        Workload { target, engine, size, later }
    };
    [
        of("shop", "checkout", "predictive", 1.0, 0),
        of("shop", "search", "rules", 2.5, 3),
        of("media", "thumbnails", "predictive", 0.4, 8),
        // Five hours ago its recording has a gap of an hour.
        of("media", "upload", "rules", 1.5, 103),
    ]
}

/// Time ahead of now that is decided about at once, and recorded when it comes.
const AHEAD: TimeDelta = TimeDelta::hours(1);

fn main() -> ExitCode {
    examples::exit(run(&Arguments::parse(), &mut MayClose(std::io::stdout().lock())))
}

fn run(arguments: &Arguments, out: &mut impl Write) -> Result<(), Failure> {
    let now = DateTime::<Utc>::from(SystemTime::now());
    let (board, metrics) = (Arc::new(Board::new()), Arc::new(Metrics::new()));
    let recorder = Tee::new().with(Arc::clone(&board)).with(Arc::clone(&metrics));
    let recorder = Copies { of: recorder, copies: arguments.copies };
    writeln!(out, "status_page: a day of {} workloads is decided about (some seconds)", workloads().len())?;
    out.flush()?;
    let mut records = replayed(arguments, &board, now, out)?;
    let coming = records.split_off(records.partition_point(|record| record.at <= now));
    record_all(&recorder, &records)?;
    let (thumbnails, owners) = owned();
    board.owned(&thumbnails, &owners, now);
    if let Some(file) = &arguments.once {
        let targets: Vec<_> = workloads().map(|workload| workload.target).into();
        return examples::write(file, &page::snapshot(&board, &targets, now), out);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let server =
            Server::new(metrics, Arc::new(Health::new())).on(arguments.listen).with_routes(page::routes(board));
        let listening = server.bind().await.map_err(Failure::failed)?;
        writeln!(out, "http://{}/ shows them; Ctrl-C ends it", listening.address())?;
        out.flush()?;
        let ended = tokio::spawn(listening.serve(std::future::pending()));
        go_on(&recorder, coming.into()).await?;
        ended.await.map_err(Failure::failed)?.map_err(Failure::failed)
    })
}

/// Who else sets the size of one of the workloads: Argo CD has applied its HPA, as `managedFields` tell. A host that works on a cluster has
/// it from `scaling_k8s::ownership::Survey`.
fn owned() -> (Target, Vec<SizeOwner>) {
    let target = Target::deployment("media", "thumbnails");
    let fields = json!({ "f:spec": { "f:minReplicas": {}, "f:maxReplicas": {} } });
    let hpa = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {
            "namespace": target.namespace, "name": target.hpa,
            "labels": { "argocd.argoproj.io/instance": "media" },
            "managedFields": [{ "manager": "argocd-controller", "operation": "Apply", "time": "2026-01-05T08:00:00Z",
                "fieldsType": "FieldsV1", "fieldsV1": fields }],
        },
        "spec": { "scaleTargetRef": { "kind": target.kind, "name": target.name }, "maxReplicas": 10 },
    });
    let report = OwnershipReport::of(&target, "kube-scaling", [&hpa]);
    let owners = report.size_owners(Writes::Bounds);
    (target, owners)
}

/// The records of every workload, in the order of time.
fn replayed(
    arguments: &Arguments,
    board: &Board,
    now: DateTime<Utc>,
    out: &mut impl Write,
) -> Result<Vec<DecisionRecord>, Failure> {
    let hpa = arguments.cluster.hpas.read(&examples::test_data("shop_hpa.yaml"))?;
    let alone = hpa.clone().candidate(hpa.manifest.name());
    let whole = arguments.cluster.scenarios(&[], &[alone], &[], out)?;
    let whole = whole.into_iter().next().ok_or_else(|| Failure::failed("there is no load"))?;
    let mut records = Vec::new();
    for workload in workloads() {
        let of_one = replay(&workload, &whole, &hpa, now)?;
        let facts = whole.model.facts(whole.facts.clone());
        board.compare(workload.target.clone(), HpaAlone { spec: hpa.spec.clone(), facts });
        records.extend(of_one);
    }
    records.sort_by(|a, b| (a.at, &a.target).cmp(&(b.at, &b.target)));
    Ok(records)
}

/// Decides about one workload for a day and an hour, of which the day ends now.
fn replay(
    workload: &Workload,
    whole: &Scenario,
    hpa: &HpaFile,
    now: DateTime<Utc>,
) -> Result<Vec<DecisionRecord>, Failure> {
    // The last day with an hour to spare; what comes before is history to learn from.
    let (start, end) = whole.trace.span();
    let kept = TimeDelta::days(1) + AHEAD + TimeDelta::hours(workload.later);
    let history_share = 1.0 - kept.num_seconds() as f64 / (end - start).num_seconds() as f64;
    let later = now + AHEAD - end + TimeDelta::hours(workload.later);
    // Whole minutes, so that ticks fall on those of the clock.
    let later = TimeDelta::minutes(later.num_minutes());
    let trace = whole.trace.as_ref().clone().scaled(workload.size).later_by(later);
    let longest = Duration::from_secs(25 * 3600);
    let scenario = Scenario {
        trace: Arc::new(trace),
        target: Some(workload.target.clone()),
        history_share,
        longest,
        ..whole.clone()
    };
    let records = Arc::new(MemoryRecorder::new());
    let kept = Arc::clone(&records);
    let engine: EngineRecipe = candidates::engine(workload.engine)?;
    let recorder: comparison::RecorderRecipe = Arc::new(move |_| Ok(Box::new(Arc::clone(&kept))));
    let candidate = comparison::driven(workload.engine, hpa.spec.clone(), engine, Some(recorder));
    block_on(score_one(&scenario, &candidate, &())).map_err(examples::scenario::failure)?;
    Ok(records.records())
}

/// Records every workload several times, under names of its own each time.
struct Copies {
    of: Tee,
    copies: u16,
}

impl Recorder for Copies {
    fn record(&self, record: &DecisionRecord) -> Result<(), RecordError> {
        self.of.record(record)?;
        (1..self.copies).try_for_each(|copy| {
            let mut record = record.clone();
            record.target = Target::deployment(&record.target.namespace, format!("{}-{copy:03}", record.target.name));
            self.of.record(&record)
        })
    }
}

fn record_all<'a>(recorder: &Copies, records: impl IntoIterator<Item = &'a DecisionRecord>) -> Result<(), Failure> {
    records.into_iter().try_for_each(|record| recorder.record(record).map_err(Failure::failed))
}

/// Records what lies ahead when its time comes.
async fn go_on(recorder: &Copies, mut coming: VecDeque<DecisionRecord>) -> Result<(), Failure> {
    while let Some(record) = coming.pop_front() {
        let wait = record.at - DateTime::<Utc>::from(SystemTime::now());
        tokio::time::sleep(wait.to_std().unwrap_or_default()).await;
        recorder.record(&record).map_err(Failure::failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(arguments: &[&str]) -> Result<String, String> {
        let arguments = Arguments::try_parse_from(std::iter::once(&"status_page").chain(arguments))
            .map_err(|error| error.to_string())?;
        examples::outcome(|out| run(&arguments, out))
    }

    #[test]
    fn the_page_is_written_with_every_workload_a_gap_and_a_comparison() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("page.html");
        // A minute between two decisions: as few as show it.
        output(&["--once", file.to_str().unwrap(), "--sync", "60", "--scrape", "60", "--lag", "60"]).unwrap();
        let html = std::fs::read_to_string(file).unwrap();
        for shown in [
            "checkout",
            "thumbnails",
            "pod_hours",
            "\"quantile\":",
            "api/targets/shop/search",
            "Argo CD (application media)",
            "ignoreDifferences",
        ] {
            assert!(html.contains(shown), "{shown}");
        }
    }

    #[test]
    fn an_address_in_use_is_one_clear_line() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let error =
            output(&["--listen", &address, "--sync", "300", "--scrape", "300", "--lag", "300", "--window", "300"]);
        assert!(error.as_ref().unwrap_err().starts_with(&format!("1: cannot listen on {address}")), "{error:?}");
    }
}
