//! [`Tee`]: several recorders at once.

use super::{DecisionRecord, RecordError, Recorder};

/// Gives every record to several recorders, in order. One that fails does not keep the record from the others.
///
/// ```
/// use std::sync::Arc;
/// use scaling_core::record::{MemoryRecorder, Tee};
///
/// let (log, page) = (Arc::new(MemoryRecorder::new()), Arc::new(MemoryRecorder::new()));
/// let both = Tee::new().with(log.clone()).with(page.clone());
/// # let _ = both;
/// ```
#[derive(Default)]
pub struct Tee {
    recorders: Vec<Box<dyn Recorder>>,
}

impl std::fmt::Debug for Tee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tee").field("recorders", &self.recorders.len()).finish()
    }
}

impl Tee {
    /// No recorder yet: keeps nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with one more recorder.
    #[must_use]
    pub fn with(mut self, recorder: impl Recorder + 'static) -> Self {
        self.recorders.push(Box::new(recorder));
        self
    }
}

impl Tee {
    fn each(&self, ask: impl Fn(&dyn Recorder) -> Result<(), RecordError>) -> Result<(), RecordError> {
        let mut failed = self.recorders.iter().filter_map(|recorder| ask(&**recorder).err());
        match failed.next() {
            None => Ok(()),
            Some(first) => {
                let failed = 1 + failed.count();
                Err(RecordError::Some { failed, asked: self.recorders.len(), first: Box::new(first) })
            }
        }
    }
}

#[deny(clippy::missing_trait_methods)]
impl Recorder for Tee {
    fn record(&self, record: &DecisionRecord) -> Result<(), RecordError> {
        self.each(|recorder| recorder.record(record))
    }

    fn intend(&self, record: &DecisionRecord) -> Result<(), RecordError> {
        self.each(|recorder| recorder.intend(record))
    }

    fn flush(&self) -> Result<(), RecordError> {
        self.each(|recorder| recorder.flush())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::record::MemoryRecorder;
    use crate::state::ApplyMode;
    use crate::target::Target;

    struct Full;

    impl Recorder for Full {
        fn record(&self, _: &DecisionRecord) -> Result<(), RecordError> {
            Err(RecordError::backend("the disk is full"))
        }
    }

    #[test]
    fn one_that_fails_does_not_keep_the_record_from_the_others() {
        let kept = Arc::new(MemoryRecorder::new());
        let tee = Tee::new().with(Full).with(Arc::clone(&kept)).with(Full);
        let target = Target::deployment("shop", "checkout");
        let record = DecisionRecord::new(target, chrono::DateTime::UNIX_EPOCH, ApplyMode::Plan);
        let error = tee.record(&record).unwrap_err();
        assert_eq!(kept.records(), [record]);
        assert_eq!(
            error.to_string(),
            "2 of 3 recorders failed, the first because: a record was not kept: the disk is full"
        );
    }
}
