//! Panics of the parts of an autoscaler, caught: one workload's tick fails, the process and the other workloads go on.
//!
//! Nothing behind it is left half changed that is ours: locks are taken again where a panic poisoned them, and what is entered under one
//! is entered whole. A host's own part that panics while it changes itself must see to that itself.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use crate::record::RecordError;

/// A part has panicked.
#[derive(Debug, thiserror::Error)]
#[error("it panicked: {0}")]
pub(crate) struct Panicked(String);

impl Panicked {
    fn of(payload: &(dyn Any + Send)) -> Self {
        let text =
            payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Self(text.unwrap_or("without a message").to_owned())
    }
}

/// The answer of a future, or the panic that ended it. After a panic it is not polled again.
pub(crate) async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut work = pin!(work);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(answer)) => Poll::Ready(Ok(answer)),
        Err(payload) => Poll::Ready(Err(Panicked::of(&*payload))),
    })
    .await
}

/// The answer of a function, or the panic that ended it.
pub(super) fn called<T>(ask: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(ask)).map_err(|payload| Panicked::of(&*payload))
}

/// What a recorder answers; a panic of it is an error.
pub(super) fn kept(ask: impl FnOnce() -> Result<(), RecordError>) -> Result<(), RecordError> {
    called(ask).unwrap_or_else(|panic| Err(RecordError::backend(panic)))
}
