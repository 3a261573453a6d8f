//! A tick that has begun: [`Underway`].

use crate::record::{DecisionRecord, Outcome, Recorder, Step};
use crate::state::ApplyMode;

/// A tick that has begun, and its record as far as it goes. Dropped before its end, because whoever ran it has cancelled it, it keeps the
/// record all the same: nothing ends without a word (law 10), and what had been sent counts as done after a restart too (law 12).
pub(super) struct Underway<'a> {
    pub(super) record: &'a mut DecisionRecord,
    recorder: &'a dyn Recorder,
    ended: bool,
}

impl<'a> Underway<'a> {
    pub(super) fn new(record: &'a mut DecisionRecord, recorder: &'a dyn Recorder) -> Self {
        begin(record, Step::Observe);
        Self { record, recorder, ended: false }
    }

    pub(super) fn end(mut self, outcome: Outcome) {
        self.record.outcome = outcome;
        self.ended = true;
    }
}

/// A step begins: until the tick's end, its record says how it ends if that never comes.
pub(super) fn begin(record: &mut DecisionRecord, step: Step) {
    record.outcome = Outcome::Failed {
        step,
        error: "the tick was cancelled before its end".to_owned(),
        transient: true,
        may_have_happened: step == Step::Apply && record.mode == ApplyMode::Apply,
    };
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if let Err(error) = self.recorder.record(self.record) {
            tracing::error!(target_workload = %self.record.target, %error, "the record of a cancelled tick was not kept");
        }
    }
}
