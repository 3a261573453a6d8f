//! A run as a file: a line with what it depends on besides its metrics, then its decision records. It is all that it takes to run
//! again, and then it writes the same bytes.

use std::fmt::Display;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::executor::block_on;
use scaling_core::backtest::{Driver, TrainingPeriod};
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::record::Tee;
use scaling_core::source::{Recording, Replay};
use scaling_core::{
    ApplyMode, Autoscaler, DecisionRecord, HardLimits, JsonLinesRecorder, MemoryApplier, MetricsHistory, PlannedEvent,
    RecordError, Recorder, ScalingMetrics, WorkloadFacts,
};
use scaling_k8s::HpaManifest;
use serde::{Deserialize, Serialize};

use crate::{Failure, candidates};

/// Beginning of every such file.
const MARK: &[u8] = b"{\"run\":";
/// Samples of history that the backtest keeps for engines.
const KEPT: usize = 100_000;

/// Everything that a run depends on besides its metrics.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// Name of the engine, as `--engine` takes it.
    pub engine: String,
    /// Manifest of the HPA, as YAML.
    pub hpa: String,
    /// Smallest and largest size allowed at all.
    pub limits: HardLimits,
    /// Declared events.
    pub events: Vec<PlannedEvent>,
    /// Facts that the engine was told of the workload.
    #[serde(default)]
    pub facts: WorkloadFacts,
    /// Samples from before the first record, which the engine could learn from.
    #[serde(default)]
    pub history: Vec<ScalingMetrics>,
}

impl Setting {
    /// Completes it by what is known when a replay begins.
    #[must_use]
    pub fn with(&self, training: &TrainingPeriod<'_>) -> Self {
        let (facts, history) = (training.facts.clone(), training.history.iter().collect());
        Self { facts, history, ..self.clone() }
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    run: Setting,
}

/// Writes a run into a file.
#[derive(Clone, Debug)]
pub struct Journal {
    path: PathBuf,
    /// None before its first line and after its end.
    lines: Arc<Mutex<Option<JsonLinesRecorder<BufWriter<File>>>>>,
}

impl Journal {
    /// Creates a journal that has not begun; there is no file yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), lines: Arc::default() }
    }

    /// Creates the file and writes its first line.
    ///
    /// # Errors
    /// [`Failure::Failed`] with the file.
    pub fn begin(&self, run: Setting) -> Result<(), Failure> {
        let header = serde_json::to_string(&Header { run }).map_err(|error| self.failed(&error))?;
        let mut writer = BufWriter::new(File::create(&self.path).map_err(|error| self.failed(&error))?);
        writeln!(writer, "{header}").map_err(|error| self.failed(&error))?;
        *self.lines() = Some(JsonLinesRecorder::new(writer));
        Ok(())
    }

    /// Writes out what is left.
    ///
    /// # Errors
    /// [`Failure::Failed`] with the file.
    pub fn finish(&self) -> Result<(), Failure> {
        let lines = self.lines().take();
        lines.map_or(Ok(()), |lines| lines.finish().map(|_| ())).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &dyn Display) -> Failure {
        Failure::failed(format!("{}: {error}", self.path.display()))
    }

    fn lines(&self) -> MutexGuard<'_, Option<JsonLinesRecorder<BufWriter<File>>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorder for Journal {
    fn record(&self, record: &DecisionRecord) -> Result<(), RecordError> {
        match &*self.lines() {
            Some(lines) => lines.record(record),
            None => Err(RecordError::backend("the journal has not begun")),
        }
    }
}

/// Returns whether a file is a run that was written by a [`Journal`]. Standard input never is.
pub fn is_journal(path: &Path) -> bool {
    let mut begins = [0; MARK.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut begins));
    path != Path::new("-") && read.is_ok() && begins == MARK
}

/// A run read from a file.
#[derive(Debug)]
pub struct Recorded {
    /// First line of the file.
    pub setting: Setting,
    /// HPA in it.
    pub manifest: HpaManifest,
    /// Metrics that were seen at each tick; none where there were none.
    seen: Vec<(DateTime<Utc>, Option<ScalingMetrics>)>,
}

impl Recorded {
    /// Reads a run.
    ///
    /// # Errors
    /// [`Failure::Input`] with file and line.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = crate::read(path)?;
        let bad =
            |line: usize, what: &dyn Display| Failure::input(format!("{}: line {}: {what}", path.display(), line + 1));
        let text = std::str::from_utf8(&bytes).map_err(|error| bad(0, &error))?;
        let mut lines = text.lines().enumerate();
        let first = lines.next().map(|(_, line)| line).unwrap_or_default();
        let Header { run: setting } = serde_json::from_str(first).map_err(|error| bad(0, &error))?;
        let manifest = HpaManifest::from_yaml(&setting.hpa).map_err(|error| bad(0, &error))?;
        let mut seen: Vec<(DateTime<Utc>, Option<ScalingMetrics>)> = Vec::new();
        for (index, line) in lines {
            let record: DecisionRecord = serde_json::from_str(line).map_err(|error| bad(index, &error))?;
            if seen.last().is_some_and(|(last, _)| *last >= record.at) {
                return Err(bad(index, &format!("{} is not after the record before", record.at)));
            }
            seen.push((record.at, record.metrics));
        }
        Ok(Self { setting, manifest, seen })
    }

    /// First and last tick.
    pub fn span(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        Some((self.seen.first()?.0, self.seen.last()?.0))
    }

    /// Runs it again: at each tick the engine sees what it saw then.
    ///
    /// # Errors
    /// [`Failure`] if the file does not describe a run, or a record is not kept.
    pub fn replay(self, records: Option<&Path>, recorder: impl Recorder + 'static) -> Result<(), Failure> {
        let Self { setting, manifest, seen } = self;
        let target = manifest.target();
        let bounds = manifest.spec.bounds().map_err(Failure::input)?;
        let (history, _) = MetricsHistory::from_unordered(setting.history.clone());
        let history = Arc::new(history.limited(KEPT));
        let journal = records.map(Journal::new);
        if let Some(journal) = &journal {
            journal.begin(setting.clone())?;
        }
        let instants: Vec<_> = seen.iter().map(|(at, _)| *at).collect();
        let recording = Recording::of_answers(seen)
            .with_history(history)
            .with_facts(setting.facts.clone())
            .with_events(setting.events.clone());
        let driver = Driver::bounds(candidates::engine(&setting.engine)?().map_err(Failure::input)?);
        let recorder: Box<dyn Recorder> = match &journal {
            Some(journal) => Box::new(Tee::new().with(recorder).with(journal.clone())),
            None => Box::new(recorder),
        };
        let autoscaler = Autoscaler::builder()
            .source(Replay::new().with(target.clone(), recording))
            .engine(driver.engine)
            .applier(MemoryApplier::new().with(target.clone(), bounds))
            .guards(driver.guards)
            .policy(driver.policy)
            .limits(setting.limits)
            .mode(ApplyMode::Apply)
            .recorder(recorder)
            .build();
        for now in instants {
            block_on(autoscaler.tick(&target, now)).map_err(Failure::failed)?;
        }
        journal.map_or(Ok(()), |journal| journal.finish())
    }
}
