//! A history that is kept from records: [`HistoryRecorder`].

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use scaling_core::{DecisionRecord, HpaPlan, RecordError, Recorder, Target};

use super::{Change, History, made};

/// A [`Recorder`] that keeps a [`History`]. A [`Tee`](scaling_core::record::Tee) has it beside another.
///
/// It also knows the change that is about to be written, from the intent of the write ([`Recorder::intend`]): `KubeHpaApplier::history`
/// writes it at the HPA, in the request that makes the change.
#[derive(Debug, Default)]
pub struct HistoryRecorder {
    kept: Mutex<Kept>,
    who: String,
}

#[derive(Debug, Default)]
struct Kept {
    history: History,
    /// Changes that are about to be written: of each workload one at a time.
    intended: HashMap<Target, Change>,
    /// Workloads of which it was told that the annotation at their HPA is somebody else's.
    #[cfg(feature = "client")]
    foreign: std::collections::HashSet<Target>,
}

impl HistoryRecorder {
    /// Keeps the changes of `who`, the field manager as a rule, in a history.
    pub fn new(history: History, who: impl Into<String>) -> Self {
        Self { kept: Mutex::new(Kept { history, ..Kept::default() }), who: who.into() }
    }

    /// Looks at the history, or changes it.
    pub fn with<T>(&self, look: impl FnOnce(&mut History) -> T) -> T {
        look(&mut self.kept().history)
    }

    /// The change that a plan is about to make, with its number; none if no record has said so.
    pub fn intended(&self, plan: &HpaPlan) -> Option<Change> {
        let kept = self.kept();
        let change = kept.intended.get(plan.target())?;
        (change.before == plan.old_bounds() && change.after == plan.new_bounds()).then(|| change.clone())
    }

    /// Whether nobody was told yet that the annotation of a workload is somebody else's.
    #[cfg(feature = "client")]
    pub(crate) fn is_news_of_foreign(&self, target: &Target) -> bool {
        let foreign = &mut self.kept().foreign;
        if foreign.len() >= super::TARGETS {
            foreign.clear();
        }
        foreign.insert(target.clone())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorder for HistoryRecorder {
    fn record(&self, record: &DecisionRecord) -> Result<(), RecordError> {
        let mut kept = self.kept();
        kept.intended.remove(&record.target);
        kept.history.take(record, &self.who);
        Ok(())
    }

    fn intend(&self, record: &DecisionRecord) -> Result<(), RecordError> {
        let mut kept = self.kept();
        if let Some(found) = record.bounds {
            // The number of a change that was never made is not given to another, and this read says whether it was.
            kept.history.settle(&record.target, found);
        }
        if let Some(change) = made(record, &self.who) {
            let number = kept.history.next_number(&record.target);
            kept.intended.insert(record.target.clone(), Change { number, ..change });
        }
        Ok(())
    }
}
