//! What became of a loop's ticks: [`LoopReport`], and [`Ticked`] for one of them.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::autoscaler::TickError;
use crate::record::{DecisionRecord, Outcome};
use crate::target::Target;

/// Account of a loop: what became of each instant of its cadence, and of each record.
///
/// While the clock is not set back, `ticks + missed` is the number of instants from the first tick to the last, and `records` is the
/// sum over the ticks of the workloads that each goes over. With [batches](super::Loop::batches), each is ticked at instants of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LoopReport {
    /// Ticks that were run, each over all workloads of its batch.
    pub ticks: u64,
    /// Instants of the cadence that passed without a tick, because the one before took too long, or the machine slept.
    pub missed: u64,
    /// Ticks of which something was cut off at the deadline.
    pub overrun: u64,
    /// Ticks in which a step failed for at least one workload: no metrics, no HPA, no decision, no write, or cut off.
    pub failed: u64,
    /// Ticks without a question to the source, which was down: the longer it is, the less often it is asked.
    pub unasked: u64,
    /// Records, one for each workload in each tick, those of workloads that were cut off included.
    pub records: u64,
    /// Records, of those, that the recorder did not keep.
    pub unrecorded: u64,
}

impl LoopReport {
    pub(super) fn add(&mut self, tick: &Ticked) {
        let count = |of: bool| u64::from(of);
        self.ticks += 1;
        self.overrun += count(tick.overrun);
        self.failed += count(tick.has_failed());
        self.unasked += count(!tick.asked);
        self.records += (tick.records.len() + tick.unrecorded.len() + tick.cut_off.len()) as u64;
        self.unrecorded += tick.unrecorded.len() as u64;
    }
}

impl fmt::Display for LoopReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ticks, missed, overrun, failed, unasked, records, unrecorded } = self;
        write!(
            f,
            "{ticks} ticks and {missed} missed; {overrun} cut off at the deadline, {failed} with a failure, {unasked} without asking a \
             source that was down; {records} records, {unrecorded} of them not kept"
        )
    }
}

/// One tick over all workloads of a batch, for the [hook](super::Loop::after_tick) of a loop.
#[derive(Debug)]
#[non_exhaustive]
pub struct Ticked {
    /// Its instant.
    pub at: DateTime<Utc>,
    /// Number of its batch, from 0; always 0 unless workloads are [spread](super::Loop::batches).
    pub batch: u32,
    /// Workloads that were not there at the last tick of the batch, or [held anew](super::Member::tenure) since; at the first, all.
    pub joined: Vec<Target>,
    /// Workloads that are not there any more, and are forgotten.
    pub left: Vec<Target>,
    /// Workloads that are not in the list any more, but [elsewhere](super::Loop::elsewhere).
    pub handed_over: Vec<Target>,
    /// Records of the workloads, in their order.
    pub records: Vec<DecisionRecord>,
    /// Records that the recorder did not keep, in the order of the workloads.
    pub unrecorded: Vec<TickError>,
    /// Workloads whose tick was cut off at the deadline, or not reached before it. The recorder has their records.
    pub cut_off: Vec<Target>,
    /// True if the deadline cut something off: a workload, or the question to the source.
    pub overrun: bool,
    /// True if the source was asked; false while it is left alone for being down.
    pub asked: bool,
    /// True if the source answered for at least one workload, be it that it has nothing; and without workloads, of which nothing is asked.
    pub answered: bool,
}

impl Ticked {
    pub(super) fn new(at: DateTime<Utc>, batch: u32) -> Self {
        let (joined, left, handed_over, records, unrecorded, cut_off) = Default::default();
        Self {
            at,
            batch,
            joined,
            left,
            handed_over,
            records,
            unrecorded,
            cut_off,
            overrun: false,
            asked: true,
            answered: true,
        }
    }

    /// Returns whether a step failed for at least one workload.
    pub fn has_failed(&self) -> bool {
        let failed = |record: &DecisionRecord| {
            matches!(record.outcome, Outcome::Failed { .. }) || matches!(record.withheld, Some(Outcome::Failed { .. }))
        };
        !self.cut_off.is_empty()
            || self.records.iter().any(failed)
            || self.unrecorded.iter().any(|error| failed(&error.record))
    }
}
