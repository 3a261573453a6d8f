//! Running again from the records of a loop: at each tick the engine sees what it saw then, under the HPA as it was then.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use futures::executor::block_on;
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::live::{Entry, entries};
use scaling_core::source::{Recording, Replay};
use scaling_core::{
    Applied, ApplyError, ApplyMode, Autoscaler, ChangeLog, DecisionRecord, HardLimits, HpaApplier, HpaPlan, HpaState,
    PlannedEvent, ScalingMetrics, Target,
};
use serde::{Deserialize, Serialize};

use super::Setup;
use super::looping::Tell;
use crate::{Failure, candidates};

/// What the records of a loop depend on besides what is in them.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub(super) engine: String,
    pub(super) mode: ApplyMode,
    pub(super) limits: HardLimits,
    pub(super) events: Vec<PlannedEvent>,
}

/// The HPA as each record has it.
#[derive(Debug)]
struct AsRecorded(Mutex<Option<HpaState>>);

impl AsRecorded {
    fn is(&self, record: &DecisionRecord) {
        // A record without resting bounds says that they are those that are there.
        let state = record.bounds.map(|bounds| HpaState::new(bounds).with_resting(record.resting.unwrap_or(bounds)));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

#[async_trait]
impl HpaApplier for AsRecorded {
    async fn current(&self, target: &Target) -> Result<HpaState, ApplyError> {
        let state = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.ok_or_else(|| ApplyError::NotFound { target: target.clone() })
    }

    async fn apply(&self, _: &HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError> {
        Ok(Applied { mode, changed: true })
    }
}

/// Runs again what was recorded, and tells how much of it comes out the same.
///
/// # Errors
/// [`Failure::Input`] if the records do not tell how, or there are none.
pub fn replayed(setup: &Setup<'_>, path: &Path, tell: &Tell) -> Result<(), Failure> {
    let place = crate::place(path);
    let bad = |what: &dyn std::fmt::Display| Failure::input(format!("{place}: {what}"));
    // Those of one header after the other: a restart may have changed the engine, the mode or the events.
    let (mut runs, mut orphans): (Vec<Run>, u64) = (Vec::new(), 0);
    let wanted = |target: &Target| setup.live.from.targets.is_empty() || setup.live.from.targets.contains(target);
    for entry in entries(path).map_err(|error| bad(&error))? {
        match entry {
            // Each file begins with one, which mostly is the one that was in force.
            Entry::Header(written) if runs.last().is_none_or(|run| run.written != written) => {
                let header = serde_json::from_value(written.clone()).map_err(|error| bad(&error))?;
                runs.push(Run { written, header, records: BTreeMap::new() });
            }
            Entry::Record(record) if wanted(&record.target) => match runs.last_mut() {
                Some(run) => run.records.entry(record.target.clone()).or_default().push(*record),
                None => orphans += 1,
            },
            Entry::Bad(line) => tell(&line.to_string()),
            _ => {}
        }
    }
    if runs.is_empty() {
        return Err(bad(&"no records of a live run: nothing in it says which engine decided (metrics are in a file)"));
    }
    let targets: BTreeSet<&Target> = runs.iter().flat_map(|run| run.records.keys()).collect();
    if targets.is_empty() {
        return Err(bad(&"there are no records of the workload"));
    }
    if orphans > 0 {
        tell(&format!("{orphans} records were left out: nothing before them says which engine decided"));
    }
    for target in targets {
        let (mut log, mut past) = (ChangeLog::new(), Vec::new());
        for run in &runs {
            let Some(records) = run.records.get(target) else { continue };
            past.extend(records.iter().map(|record| (record.at, record.metrics.clone())));
            let (same, decided);
            (same, decided, log) = again(&run.header, target, records, &past, log)?;
            let (ticks, engine) = (records.len(), &run.header.engine);
            tell(&format!(
                "{target}: {ticks} ticks by engine {engine:?}; of {decided} decisions {same} come out the same"
            ));
        }
    }
    tell("decisions differ where they came from what was learnt before the first record: files hold no history");
    Ok(())
}

/// Records under one header.
struct Run {
    written: serde_json::Value,
    header: Header,
    records: BTreeMap<Target, Vec<DecisionRecord>>,
}

/// What was measured at an instant.
type Seen = (DateTime<Utc>, Option<ScalingMetrics>);

/// Returns how many decisions come out the same, of how many, and what is to be known of them afterwards.
fn again(
    header: &Header,
    target: &Target,
    records: &[DecisionRecord],
    past: &[Seen],
    log: ChangeLog,
) -> Result<(usize, usize, ChangeLog), Failure> {
    let recording = Recording::of_answers(past.iter().cloned());
    let hpa = std::sync::Arc::new(AsRecorded(Mutex::new(None)));
    let autoscaler = Autoscaler::builder()
        .source(Replay::new().with(target.clone(), recording.with_events(header.events.clone())))
        .engine(candidates::engine(&header.engine)?().map_err(Failure::input)?)
        .applier(std::sync::Arc::clone(&hpa))
        .limits(header.limits)
        .change_log(log)
        .mode(header.mode)
        .build();
    let (mut same, mut decided) = (0, 0);
    for record in records {
        hpa.is(record);
        let now = block_on(autoscaler.tick(target, record.at)).map_err(Failure::failed)?;
        let size = |record: &DecisionRecord| record.decision.as_ref().map(|decision| decision.desired_replicas);
        if let Some(size_then) = size(record) {
            decided += 1;
            same += usize::from(size(&now) == Some(size_then));
        }
    }
    Ok((same, decided, autoscaler.change_log()))
}
