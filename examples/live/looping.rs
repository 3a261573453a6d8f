//! The loop, put together: [`looped`].

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use scaling_core::live::{Cadence, Clock, Entry, Loop, LoopReport, RecordFiles, Rotation, Stop, Ticked, entries};
use scaling_core::record::Tee;
use scaling_core::source::WithEvents;
use scaling_core::{ApplyMode, Autoscaler, ChangeLog, DecisionRecord, Recorder};

use super::cluster::{self, Hpas};
use super::learnt::{Keeping, Learnt};
use super::records::Header;
use super::source::LiveSource;
use super::telling::Telling;
use super::watch::Watch;
use super::{Setup, source};
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
    let cadence = Cadence::new(Duration::from_secs(live.from.origin.interval)).map_err(Failure::input)?;
    let clock: Arc<dyn Clock> = Arc::new(clock);
    let source = source::live_source(live).await?;
    let (engine, learnt) = Learnt::engine(setup.engine, live.state.as_deref())?;
    let client = cluster::client(setup).await?;
    let hpas = Hpas::new(setup, client.as_ref())?;
    let (applier, mode) = cluster::applier(setup, client.as_ref(), &hpas)?;
    let files = setup.records.map(|folder| record_files(setup, mode, folder)).transpose()?;

    // Before anything that takes long: Kubernetes restarts what does not answer.
    let watch = Watch::begin(setup, cadence, Arc::clone(&clock), stop, &tell).await?;
    let log = match setup.records {
        Some(folder) => resume(setup, folder, &watch, &tell)?,
        None => ChangeLog::new(),
    };
    learnt.restore(&live.from.targets, setup.engine)?.iter().for_each(|line| tell(line));
    let begun = async {
        watch.compare(setup, &hpas, &tell).await;
        watch.survey(setup, client.as_ref(), clock.now()).await;
        if live.from.backfill > 0 && live.metrics_api.is_empty() {
            source::tell_asked(&live.from, &format!("the past {} days", live.from.backfill), &tell);
        }
        source::backfill(&*source, &live.from.targets, live.from.backfill, clock.now(), &tell).await;
    };
    tokio::select! {
        biased;
        () = stop.requested() => tell("told to end before the past was fetched"),
        () = begun => {}
    }

    let start = Instant::now();
    let mut recorder = Tee::new().with(Arc::clone(&watch.metrics)).with(Arc::clone(&watch.board));
    if let Some(files) = files {
        recorder = recorder.with(files);
    }
    let autoscaler = Autoscaler::builder()
        .source(WithEvents::new(Arc::clone(&source), setup.events))
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
        live.from.targets.len(),
        live.from.origin.interval,
        if mode == ApplyMode::Apply { "changes are applied" } else { "dry run, nothing is changed" }
    ));
    let keeping = Keeping::new(learnt, live.from.targets.clone(), setup.engine.to_owned());
    let after = after_tick(&watch, source, keeping.clone(), Arc::clone(&tell));
    let report =
        Loop::new(autoscaler, live.from.targets.clone(), cadence).clock(clock).after_tick(after).run(stop).await;
    tell(&format!("ended: {report}"));
    keeping.keep().await.map_err(|error| Failure::failed(format!("what was learnt: {error}")))?;
    watch.end().await?;
    Ok(report)
}

/// Reads cooldowns, budgets and floors back from the records of earlier runs, and what the page showed.
fn resume(setup: &Setup<'_>, folder: &Path, watch: &Watch, tell: &Tell) -> Result<ChangeLog, Failure> {
    let mut log = ChangeLog::new();
    let bad = |error| Failure::failed(format!("{}: {error}", folder.display()));
    let targets: std::collections::HashSet<_> = setup.live.from.targets.iter().collect();
    let mut read = 0_u64;
    let mut unanswered = BTreeMap::new();
    for entry in entries(folder).map_err(bad)? {
        match entry {
            Entry::Intent(record) => {
                log.replay_intent(&record);
                unanswered.insert(record.target, record.at);
            }
            Entry::Record(record) => {
                log.replay(&record);
                unanswered.remove(&record.target);
                if targets.contains(&record.target) {
                    shown(watch, &record);
                }
                read += 1;
            }
            Entry::Bad(line) => tell(&line.to_string()),
            _ => {}
        }
    }
    for (target, at) in unanswered {
        tell(&format!(
            "note: {target}: the last run ended while it changed the bounds at {}; they are read again",
            at.format("%F %T")
        ));
    }
    if read > 0 {
        tell(&format!("goes on from {read} records"));
    }
    Ok(log)
}

/// The counts of an earlier run are over, its page goes on.
fn shown(watch: &Watch, record: &DecisionRecord) {
    if let Err(error) = watch.board.record(record) {
        tracing::warn!(%error, "a record of an earlier run is not shown");
    }
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

/// Readiness, metrics, news, and each hour what was learnt.
fn after_tick(
    watch: &Watch,
    source: Arc<dyn LiveSource>,
    keeping: Keeping,
    tell: Tell,
) -> impl FnMut(&Ticked, &LoopReport) + Send + use<> {
    let (metrics, health, alone) = (Arc::clone(&watch.metrics), Arc::clone(&watch.health), watch.alone());
    let mut telling = Telling::new(Arc::clone(&tell));
    let (mut hour, mut missed) = (None, 0);
    move |tick, report| {
        health.ticked(tick.at, tick.answered);
        metrics.missed_ticks(report.missed - missed);
        missed = report.missed;
        tick.records.iter().for_each(|record| alone.follow(record));
        telling.ticked(tick);
        // Otherwise it is of an earlier tick.
        if tick.answered {
            telling.asked(tick.at, source.findings());
        }
        let present = tick.at.timestamp().div_euclid(3600);
        if hour.replace(present).is_some_and(|hour| hour != present) {
            let (keeping, tell) = (keeping.clone(), Arc::clone(&tell));
            // A thousand files take longer to reach a disk than a tick may wait.
            tokio::spawn(async move {
                if let Err(error) = keeping.keep().await {
                    tell(&format!("what was learnt was not kept: {error}"));
                }
            });
        }
    }
}
