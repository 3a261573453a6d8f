//! Everything about a tick as data: [`DecisionRecord`], and the trait [`Recorder`] that keeps it.

mod explain;
mod outcome;
mod tee;

use std::error::Error;
use std::fmt;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

#[cfg(feature = "telemetry")]
pub(crate) use explain::told;
pub use outcome::{MinHolder, Outcome, Step, Unchanged};
pub use tee::Tee;

use crate::bounds::Bounds;
use crate::decision::{Floor, ScalingDecision};
use crate::guard::Clamp;
use crate::metrics::{Provenance, ScalingMetrics, SignalSet};
use crate::policy::BoundsChange;
use crate::resources::Requests;
use crate::size_owner::SizeOwner;
use crate::state::ApplyMode;
use crate::target::Target;

/// Everything about one tick: what was seen, wanted, allowed and done. Free of wall time: the same tick gives the same bytes
/// (law 5). It names each input, each clamp and the guard that limited it (law 10).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecisionRecord {
    /// The instant of the tick.
    pub at: DateTime<Utc>,
    /// The workload.
    pub target: Target,
    /// Mode of the tick.
    pub mode: ApplyMode,
    /// The newest metrics; none if the source failed.
    pub metrics: Option<ScalingMetrics>,
    /// The signals that the source delivers; none if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<SignalSet>,
    /// Which source measured what, where several contribute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
    /// Number of samples of history before the metrics.
    pub history_len: usize,
    /// The HPA's bounds before.
    pub bounds: Option<Bounds>,
    /// The bounds that the HPA's owner set, if they are others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resting: Option<Bounds>,
    /// The engine's decision.
    pub decision: Option<ScalingDecision>,
    /// The floor that was in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Floor>,
    /// The min as it would be without that floor, where it is lower: what is left of it when the floor ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_without_floor: Option<u32>,
    /// Changes by the guards, in order.
    pub clamps: Vec<Clamp>,
    /// An earlier change that was undone in place of a decision, or was to be; none as a rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Undoing>,
    /// The planned change; none if nothing was planned.
    pub change: Option<BoundsChange>,
    /// What a pod requests before and after, as far as it is known, where the planned change is one of resources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<(Requests, Requests)>,
    /// End of the tick.
    pub outcome: Outcome,
    /// Others who set the size of the workload, where they stood in the way of the write.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<SizeOwner>,
    /// Reason for no decision, or the refusal of one, where something was changed all the same: a floor is held then too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withheld: Option<Outcome>,
}

/// Undo of an earlier change, in the record of a tick.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undoing {
    /// Reason, for people.
    pub why: String,
    /// Reason why nothing of it could be done now, so that the engine decided as ever; none where it took the place of a decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
}

impl fmt::Display for Undoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { why, held } = self;
        match held {
            Some(held) => write!(f, "{why}; not now, {held}"),
            None => f.write_str(why),
        }
    }
}

impl DecisionRecord {
    /// The record of a tick in which nothing has happened yet.
    pub fn new(target: Target, at: DateTime<Utc>, mode: ApplyMode) -> Self {
        Self {
            at,
            target,
            mode,
            metrics: None,
            declared: None,
            provenance: None,
            history_len: 0,
            bounds: None,
            resting: None,
            decision: None,
            floor: None,
            min_without_floor: None,
            clamps: Vec::new(),
            undo: None,
            change: None,
            requests: None,
            outcome: Outcome::Unchanged { why: Unchanged::Undecided },
            owners: Vec::new(),
            withheld: None,
        }
    }

    /// Returns true if its change undoes an earlier one.
    pub fn is_undo(&self) -> bool {
        self.undo.as_ref().is_some_and(|undo| undo.held.is_none())
    }

    /// Returns true if a bound or a resource was changed for good.
    pub fn is_applied(&self) -> bool {
        self.outcome == Outcome::Applied
    }
}

/// Reasons why a record was not kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The writer failed.
    #[error("a record could not be written: {0}")]
    Write(#[from] std::io::Error),
    /// JSON could not be made of it.
    #[error("a record could not be serialized: {0}")]
    Serialize(#[from] serde_json::Error),
    /// The backend of a host's own recorder failed.
    #[error("a record was not kept: {0}")]
    Backend(#[source] Box<dyn Error + Send + Sync>),
    /// Some of several recorders failed; the others kept it.
    #[error("{failed} of {asked} recorders failed, the first because: {first}")]
    Some {
        /// Recorders that failed.
        failed: usize,
        /// Recorders that were asked.
        asked: usize,
        /// The failure of the first.
        #[source]
        first: Box<Self>,
    },
}

impl RecordError {
    /// The error of a host's own backend.
    pub fn backend(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Backend(error.into())
    }
}

/// Keeps records.
///
/// **Given:** the record of each tick, refused and failed ones too, in order. **Promised:** kept whole, or an error. A plain
/// function: it must not block for long.
pub trait Recorder: Send + Sync {
    /// Keeps one record.
    ///
    /// # Errors
    /// [`RecordError`] if it was not kept.
    fn record(&self, record: &DecisionRecord) -> Result<(), RecordError>;

    /// Keeps the intent of a write, before it is sent: the record as far as it goes, whose outcome says that the write may have happened
    /// (law 12). The record of the tick follows, unless the process is killed in between. A recorder that a restart reads back
    /// ([`ChangeLog::replay_intent`](crate::ChangeLog::replay_intent)) makes it outlive the process, and the machine where that can be
    /// had; others, the default, have nothing to do. A wrapper passes it on.
    ///
    /// # Errors
    /// [`RecordError`] if it was not kept. The write is sent all the same, since a full disk must not hold back growth (law 2).
    fn intend(&self, record: &DecisionRecord) -> Result<(), RecordError> {
        let _ = record;
        Ok(())
    }

    /// Makes what was recorded so far outlive the process, and the machine where that can be had. A host asks for it after each round
    /// of ticks and at the end; a recorder that holds nothing back, the default, has nothing to do. A wrapper passes it on.
    ///
    /// # Errors
    /// [`RecordError`] if some of it may be lost.
    fn flush(&self) -> Result<(), RecordError> {
        Ok(())
    }
}

#[deny(clippy::missing_trait_methods)]
impl<R: Recorder + ?Sized> Recorder for Arc<R> {
    fn record(&self, record: &DecisionRecord) -> Result<(), RecordError> {
        (**self).record(record)
    }

    fn intend(&self, record: &DecisionRecord) -> Result<(), RecordError> {
        (**self).intend(record)
    }

    fn flush(&self) -> Result<(), RecordError> {
        (**self).flush()
    }
}

#[deny(clippy::missing_trait_methods)]
impl<R: Recorder + ?Sized> Recorder for Box<R> {
    fn record(&self, record: &DecisionRecord) -> Result<(), RecordError> {
        (**self).record(record)
    }

    fn intend(&self, record: &DecisionRecord) -> Result<(), RecordError> {
        (**self).intend(record)
    }

    fn flush(&self) -> Result<(), RecordError> {
        (**self).flush()
    }
}

/// Keeps nothing: for hosts that use what [`crate::Autoscaler::tick`] returns.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRecorder;

impl Recorder for NoRecorder {
    fn record(&self, _: &DecisionRecord) -> Result<(), RecordError> {
        Ok(())
    }
}

/// Keeps all records in memory.
#[derive(Debug, Default)]
pub struct MemoryRecorder {
    records: Mutex<Vec<DecisionRecord>>,
}

impl MemoryRecorder {
    /// Empty.
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy of what was kept, oldest first.
    pub fn records(&self) -> Vec<DecisionRecord> {
        self.locked().clone()
    }

    fn locked(&self) -> MutexGuard<'_, Vec<DecisionRecord>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorder for MemoryRecorder {
    fn record(&self, record: &DecisionRecord) -> Result<(), RecordError> {
        self.locked().push(record.clone());
        Ok(())
    }
}

/// Writes each record as a line of JSON.
#[derive(Debug)]
pub struct JsonLinesRecorder<W> {
    lines: Mutex<Lines<W>>,
}

#[derive(Debug)]
struct Lines<W> {
    writer: W,
    /// True if the last line may have been written in part.
    torn: bool,
}

impl<W: Write + Send> JsonLinesRecorder<W> {
    /// Writes to `writer`; wrap a file in a [`std::io::BufWriter`].
    pub fn new(writer: W) -> Self {
        Self { lines: Mutex::new(Lines { writer, torn: false }) }
    }

    /// Writes out what is buffered and gives the writer back.
    ///
    /// # Errors
    /// The error of the writer.
    pub fn finish(self) -> std::io::Result<W> {
        let mut lines = self.lines.into_inner().unwrap_or_else(PoisonError::into_inner);
        lines.writer.flush()?;
        Ok(lines.writer)
    }
}

impl<W: Write + Send> Recorder for JsonLinesRecorder<W> {
    fn record(&self, record: &DecisionRecord) -> Result<(), RecordError> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.torn {
            // Ends the line that failed half-way, so that it spoils only itself.
            lines.writer.write_all(b"\n")?;
        }
        lines.torn = true;
        lines.writer.write_all(&line)?;
        lines.torn = false;
        Ok(())
    }

    fn flush(&self) -> Result<(), RecordError> {
        Ok(self.lines.lock().unwrap_or_else(PoisonError::into_inner).writer.flush()?)
    }
}
