//! Questions at once: a few at a time, all of them within one deadline.

use std::time::Duration;

use futures::future::BoxFuture;
use futures::{StreamExt, stream};
use tokio::time::{Instant, timeout_at};

/// Longest deadline that is kept: instants cannot be counted for ever.
const LONGEST: Duration = Duration::from_secs(86_400);

/// The instant at which a time that begins now is over.
pub(crate) fn until(deadline: Duration) -> Instant {
    Instant::now() + deadline.min(LONGEST)
}

/// The results of all in their order; none for one that had none by `until`. Once that has passed none is begun.
pub(crate) async fn within<T>(until: Instant, at_once: usize, asked: Vec<BoxFuture<'_, T>>) -> Vec<Option<T>> {
    let mut results: Vec<Option<T>> = asked.iter().map(|_| None).collect();
    let mut timed = Vec::with_capacity(asked.len());
    for (place, future) in asked.into_iter().enumerate() {
        timed.push(by(until, place, future));
    }
    let mut answers = stream::iter(timed).buffer_unordered(at_once.max(1));
    while let Some((place, answer)) = answers.next().await {
        if let Some(result) = results.get_mut(place) {
            *result = answer;
        }
    }
    results
}

async fn by<T>(until: Instant, place: usize, future: BoxFuture<'_, T>) -> (usize, Option<T>) {
    let answer = if Instant::now() < until { timeout_at(until, future).await.ok() } else { None };
    (place, answer)
}
