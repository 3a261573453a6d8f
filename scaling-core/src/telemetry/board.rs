//! [`Board`]: what an operator wants to see of every workload, kept in bounded memory from the records alone.

mod kept;
#[cfg(feature = "backtest")]
mod savings;
mod series;
mod told;
mod view;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use self::kept::Kept;
#[cfg(feature = "backtest")]
pub use self::savings::{Cost, HpaAlone, NoSavings, Savings};
pub use self::view::{Overview, Row, Status, TargetView};
use crate::record::{DecisionRecord, RecordError, Recorder};
use crate::target::Target;

/// Workloads that are kept where no limit is set.
const TARGETS: usize = 4096;
/// Bytes of the name of a guard or an engine.
const NAME: usize = 64;

/// Keeps of every workload what a status page shows: load and forecast, pods in their bounds, floors, the last decisions in words,
/// refusals by guard, absent signals since when, failures. It is a [`Recorder`]: all that it knows comes from records, so that what
/// a record does not hold is not shown. Join it with a host's own by a [`Tee`](crate::Tee).
///
/// A day is kept of each workload, at most 32 KiB beside the workload's name: tick by tick while that fits, then in slots that
/// double up to four minutes. Text is cut, and says so.
///
/// ```
/// use std::sync::Arc;
/// use scaling_core::chrono::DateTime;
/// use scaling_core::telemetry::Board;
/// use scaling_core::{ApplyMode, DecisionRecord, MemoryRecorder, Recorder, Target, Tee};
///
/// let board = Arc::new(Board::new());
/// let recorder = Tee::new().with(MemoryRecorder::new()).with(Arc::clone(&board));
/// let target = Target::deployment("shop", "checkout");
/// recorder.record(&DecisionRecord::new(target.clone(), DateTime::UNIX_EPOCH, ApplyMode::Plan))?;
/// assert_eq!((board.len(), board.overview().total), (1, 1));
/// assert!(board.target(&target).is_some());
/// # Ok::<(), scaling_core::RecordError>(())
/// ```
#[derive(Debug)]
pub struct Board {
    state: Mutex<State>,
    limit: usize,
    #[cfg(feature = "backtest")]
    comparisons: savings::Comparisons,
}

#[derive(Debug, Default)]
struct State {
    targets: BTreeMap<Target, Kept>,
    version: u64,
    as_of: Option<DateTime<Utc>>,
    dropped: u64,
}

impl Default for Board {
    fn default() -> Self {
        Self::new()
    }
}

impl Board {
    /// Creates a board for 4,096 workloads.
    pub fn new() -> Self {
        Self::with_limit(TARGETS)
    }

    /// Creates a board for so many workloads, at least one. For one more the one that ticked longest ago is dropped, which
    /// [`Overview::dropped`] counts.
    pub fn with_limit(targets: usize) -> Self {
        Self {
            state: Mutex::default(),
            limit: targets.max(1),
            #[cfg(feature = "backtest")]
            comparisons: savings::Comparisons::default(),
        }
    }

    /// Drops a workload that is gone.
    pub fn forget(&self, target: &Target) {
        #[cfg(feature = "backtest")]
        self.comparisons.forget(target);
        let mut state = self.state();
        if state.targets.remove(target).is_some() {
            state.version += 1;
        }
    }

    /// Returns the number of workloads.
    pub fn len(&self) -> usize {
        self.state().targets.len()
    }

    /// Returns true if no tick was taken in yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Counts the changes of what it shows.
    pub fn version(&self) -> u64 {
        self.state().version
    }

    /// Returns the list of all workloads.
    pub fn overview(&self) -> Overview {
        self.overview_after(None, usize::MAX)
    }

    /// Returns a page of the list: those behind a workload, at most so many.
    pub fn overview_after(&self, after: Option<&Target>, most: usize) -> Overview {
        use std::ops::Bound::{Excluded, Unbounded};
        let state = self.state();
        let mut rest = state.targets.range((after.map_or(Unbounded, Excluded), Unbounded));
        let targets: Vec<_> = rest.by_ref().take(most).map(|(target, kept)| Row::of(target, kept)).collect();
        Overview {
            version: state.version,
            as_of: state.as_of,
            total: state.targets.len(),
            dropped: state.dropped,
            more: rest.next().is_some(),
            targets,
        }
    }

    /// Returns everything that is known of one workload.
    pub fn target(&self, target: &Target) -> Option<TargetView> {
        self.state().targets.get_key_value(target).map(|(target, kept)| TargetView::of(target, kept))
    }

    /// Returns the workloads of this name, whatever their kind, HPA and cluster.
    pub fn named(&self, namespace: &str, name: &str) -> Vec<Target> {
        let is_meant = |target: &&Target| target.namespace == namespace && target.name == name;
        self.state().targets.keys().filter(is_meant).cloned().collect()
    }

    /// Returns the memory that is taken for one workload, in bytes, beside its name.
    pub fn bytes(&self, target: &Target) -> Option<usize> {
        self.state().targets.get(target).map(Kept::bytes)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Drops the workload that ticked longest ago.
    fn make_room(&mut self) {
        let oldest = self.targets.iter().min_by_key(|(_, kept)| kept.seen).map(|(target, _)| target.clone());
        if oldest.and_then(|target| self.targets.remove(&target)).is_some() {
            self.dropped += 1;
        }
    }
}

impl Recorder for Board {
    fn record(&self, record: &DecisionRecord) -> Result<(), RecordError> {
        let mut state = self.state();
        state.version += 1;
        state.as_of = Some(record.at);
        if !state.targets.contains_key(&record.target) {
            if state.targets.len() >= self.limit {
                state.make_room();
            }
            state.targets.insert(record.target.clone(), Kept::new(record.at));
        }
        let version = state.version;
        if let Some(kept) = state.targets.get_mut(&record.target) {
            kept.seen = version;
            kept.take(record);
        }
        Ok(())
    }
}
