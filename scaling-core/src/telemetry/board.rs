//! [`Board`]: what an operator wants to see of every workload, kept in bounded memory from the records alone.

mod kept;
#[cfg(feature = "backtest")]
mod savings;
mod series;
mod told;
mod view;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use self::kept::{Kept, Others};
#[cfg(feature = "backtest")]
pub use self::savings::{Cost, HpaAlone, NoSavings, Savings};
pub use self::view::{Overview, Row, Status, TargetView};
use crate::record::{DecisionRecord, RecordError, Recorder};
use crate::size_owner::SizeOwner;
use crate::target::Target;

/// Workloads that are kept where no limit is set.
const TARGETS: usize = 4096;
/// A workload without a tick for so long makes room for another one: by then all that is shown of it is past.
const GONE: TimeDelta = TimeDelta::days(1);
/// Bytes of the name of a guard or an engine.
const NAME: usize = 64;

/// Keeps of every workload what a status page shows: load and forecast, pods in their bounds, floors, the last decisions in words,
/// refusals by guard, absent signals since when, failures. It is a [`Recorder`]: all that it knows comes from records, so that what
/// a record does not hold is not shown. Join it with a host's own by a [`Tee`](crate::Tee).
///
/// A day is kept of each workload, at most 35 KiB beside the workload's name: tick by tick while that fits, then in slots that
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
    /// Others who set the size of workloads that had no tick yet.
    found: BTreeMap<Target, Others>,
    version: u64,
    as_of: Option<DateTime<Utc>>,
    /// Ticks of workloads for which there was no room.
    unlisted: u64,
    /// True once that was said, until there is room again.
    is_full: bool,
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

    /// Creates a board for so many workloads, at least one. One more is not kept, which [`Overview::unlisted`] and a warning say: to drop
    /// another for it would lose the history of all, since they tick in turn. Room is made by [`forget`](Self::forget), and by a workload
    /// that had no tick for a day.
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
        state.found.remove(target);
        if state.targets.remove(target).is_some() {
            state.version += 1;
            state.is_full = false;
        }
    }

    /// Shows who else sets the size of a workload, as a host that looked for them found; none takes away what was shown. Without it
    /// they are shown once they stand in the way of a write, until one gets through. It may be said before the first tick.
    pub fn owned(&self, target: &Target, owners: &[SizeOwner], at: DateTime<Utc>) {
        let mut state = self.state();
        let found = Others::new(at, owners);
        if let Some(kept) = state.targets.get_mut(target) {
            kept.others = found;
            state.version += 1;
        } else if let Some(found) = found
            && state.found.len() < self.limit
        {
            state.found.insert(target.clone(), found);
        } else {
            state.found.remove(target);
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
            unlisted: state.unlisted,
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
    /// The workload that had its last tick longest ago, if that is a day before `now` or more.
    fn gone(&self, now: DateTime<Utc>) -> Option<Target> {
        let oldest = self.targets.iter().min_by_key(|(_, kept)| kept.last)?;
        (now.signed_duration_since(oldest.1.last) >= GONE).then(|| oldest.0.clone())
    }
}

impl Recorder for Board {
    fn record(&self, record: &DecisionRecord) -> Result<(), RecordError> {
        let mut state = self.state();
        state.version += 1;
        state.as_of = Some(record.at);
        let is_new = !state.targets.contains_key(&record.target);
        let gone = if is_new && state.targets.len() >= self.limit { state.gone(record.at) } else { None };
        if let Some(gone) = &gone {
            state.targets.remove(gone);
        }
        if is_new && state.targets.len() >= self.limit {
            state.unlisted += 1;
            if !std::mem::replace(&mut state.is_full, true) {
                tracing::warn!(limit = self.limit, target_workload = %record.target, "the board has no room for more workloads");
            }
            return Ok(());
        }
        let found = if is_new { state.found.remove(&record.target) } else { None };
        let kept = state.targets.entry(record.target.clone()).or_insert_with(|| Kept::new(record.at));
        kept.others = found.or_else(|| kept.others.take());
        kept.take(record);
        drop(state);
        #[cfg(feature = "backtest")]
        if let Some(gone) = gone {
            self.comparisons.forget(&gone);
        }
        Ok(())
    }
}
