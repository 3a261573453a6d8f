//! The loop, put together: [`looped`].

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use scaling_core::live::{Cadence, Clock, Entry, Loop, LoopReport, RecordFiles, Rotation, Stop, Ticked, entries};
use scaling_core::record::Tee;
use scaling_core::telemetry::serve::{Listening, Server};
use scaling_core::telemetry::{Board, Health, Metrics, page};
use scaling_core::{ApplyMode, Autoscaler, ChangeLog, Target};

use super::learnt::Learnt;
use super::records::Header;
use super::telling::Telling;
use super::{Setup, cluster, source};
use crate::Failure;

/// Says one line.
pub type Tell = Arc<dyn Fn(&str) + Send + Sync>;

/// Ticks by a clock until told to stop, then keeps what was learnt.
///
/// # Errors
/// [`Failure`] if it cannot begin, or what was learnt is not kept at the end.
pub async fn looped(
    setup: &Setup<'_>,
    clock: impl Clock + 'static,
    stop: &Stop,
    tell: Tell,
) -> Result<LoopReport, Failure> {
    let live = setup.live;
    live.validate()?;
    let cadence = Cadence::new(Duration::from_secs(live.interval)).map_err(Failure::input)?;
    let source = source::source(live)?;
    let (engine, learnt) = Learnt::engine(setup.engine, live.state.as_deref())?;
    let (applier, mode) = cluster::applier(setup).await?;
    let (log, files) = match setup.records {
        Some(folder) => {
            let log = resume(folder, &tell)?;
            (log, Some(record_files(setup, mode, folder)?))
        }
        None => (ChangeLog::new(), None),
    };
    learnt.restore(&live.targets, setup.engine)?.iter().for_each(|line| tell(line));
    let watch = Watch::new(setup).await?;
    if let Some(listening) = &watch.listening {
        tell(&format!("status page: http://{}/", listening.address()));
    }
    source::backfill(&source, &live.targets, live.backfill, clock.now(), &tell).await;

    let start = Instant::now();
    let mut recorder = Tee::new().with(Arc::clone(&watch.metrics)).with(Arc::clone(&watch.board));
    if let Some(files) = files {
        recorder = recorder.with(files);
    }
    let autoscaler = Autoscaler::builder()
        .source(source)
        .engine(watch.metrics.timed(engine, move || start.elapsed()))
        .applier(applier)
        .recorder(recorder)
        .limits(setup.limits.unwrap_or_default())
        .price(setup.price)
        .change_log(log)
        .mode(mode)
        .build();
    tell(&format!(
        "{} workloads every {} s; {}",
        live.targets.len(),
        live.interval,
        if mode == ApplyMode::Apply { "changes are applied" } else { "dry run, nothing is changed" }
    ));
    let after = watch.after_tick(learnt.clone(), &live.targets, setup.engine, Arc::clone(&tell));
    let served = watch.serve(stop);
    let report = Loop::new(autoscaler, live.targets.clone(), cadence).clock(clock).after_tick(after).run(stop).await;
    tell(&format!("ended: {report}"));
    learnt.save(&live.targets, setup.engine).map_err(|error| Failure::failed(format!("what was learnt: {error}")))?;
    if let Some(served) = served {
        served.await.map_err(Failure::failed)?.map_err(Failure::failed)?;
    }
    Ok(report)
}

/// Reads cooldowns, budgets and floors back from the records of earlier runs.
fn resume(folder: &Path, tell: &Tell) -> Result<ChangeLog, Failure> {
    let mut log = ChangeLog::new();
    if !folder.exists() {
        return Ok(log);
    }
    let bad = |error| Failure::failed(format!("{}: {error}", folder.display()));
    let mut read = 0_u64;
    for entry in entries(folder).map_err(bad)? {
        match entry {
            Entry::Record(record) => {
                log.replay(&record);
                read += 1;
            }
            Entry::Bad(line) => tell(&line.to_string()),
            _ => {}
        }
    }
    tell(&format!("goes on from {read} records"));
    Ok(log)
}

fn record_files(setup: &Setup<'_>, mode: ApplyMode, folder: &Path) -> Result<RecordFiles, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::failed(format!("{}: {error}", folder.display()));
    let files = RecordFiles::open(folder, Rotation::default()).map_err(|error| failed(&error))?;
    let header = Header {
        engine: setup.engine.to_owned(),
        mode,
        limits: setup.limits.unwrap_or_default(),
        events: setup.events.to_vec(),
    };
    files.with_header(&header).map_err(|error| failed(&error))
}

/// What is shown of the loop.
struct Watch {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    board: Arc<Board>,
    listening: Option<Listening>,
}

impl Watch {
    async fn new(setup: &Setup<'_>) -> Result<Self, Failure> {
        let (metrics, health, board) = (Arc::new(Metrics::new()), Arc::new(Health::new()), Arc::new(Board::new()));
        let mut listening = None;
        if let Some(address) = setup.live.listen {
            let server = Server::new(Arc::clone(&metrics), Arc::clone(&health)).on(address);
            let bound = server.with_routes(page::routes(Arc::clone(&board))).bind().await;
            listening = Some(bound.map_err(|error| Failure::input(format!("--listen: {error}")))?);
        }
        Ok(Self { metrics, health, board, listening })
    }

    /// Serves until the end is asked for.
    fn serve(
        self,
        stop: &Stop,
    ) -> Option<tokio::task::JoinHandle<Result<(), scaling_core::telemetry::serve::ServeError>>> {
        let stop = stop.clone();
        let listening = self.listening?;
        Some(tokio::spawn(listening.serve(async move { stop.requested().await })))
    }

    /// Readiness, metrics, news, and each hour what was learnt.
    fn after_tick(
        &self,
        learnt: Learnt,
        targets: &[Target],
        engine: &str,
        tell: Tell,
    ) -> impl FnMut(&Ticked, &LoopReport) + Send + use<> {
        let (metrics, health) = (Arc::clone(&self.metrics), Arc::clone(&self.health));
        let (targets, engine) = (targets.to_vec(), engine.to_owned());
        let mut telling = Telling::new(Arc::clone(&tell));
        let (mut hour, mut missed) = (None, 0);
        move |tick, report| {
            health.ticked(tick.at, tick.answered);
            metrics.missed_ticks(report.missed - missed);
            missed = report.missed;
            telling.ticked(tick);
            let present = tick.at.timestamp().div_euclid(3600);
            if hour.replace(present).is_some_and(|hour| hour != present)
                && let Err(error) = learnt.save(&targets, &engine)
            {
                tell(&format!("what was learnt was not kept: {error}"));
            }
        }
    }
}
