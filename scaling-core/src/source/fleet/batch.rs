//! Requests of one tick: a few at once, all of them within one deadline.

use std::time::Duration;

use futures::future::BoxFuture;
use futures::{StreamExt, stream};
use tokio::time::{Instant, timeout_at};

/// Time that all requests of a tick may take together unless told otherwise: a tick each 15 s is never late for it.
pub(in crate::source) const DEADLINE: Duration = Duration::from_secs(12);

/// Requests at once: few enough that no service takes a fleet for an attack.
const CONCURRENT: usize = 4;

/// Longest deadline that is kept: instants cannot be counted for ever.
const LONGEST: Duration = Duration::from_secs(86_400);

/// The results of all requests in their order; `None` for one that had none by the deadline. Once it has passed none is begun. One that
/// hangs takes one place of a few, and the others go on past it.
pub(in crate::source) async fn within<T>(deadline: Duration, requests: Vec<BoxFuture<'_, T>>) -> Vec<Option<T>> {
    let until = Instant::now() + deadline.min(LONGEST);
    let mut results: Vec<Option<T>> = requests.iter().map(|_| None).collect();
    let mut timed = Vec::with_capacity(requests.len());
    for (place, request) in requests.into_iter().enumerate() {
        timed.push(by(until, place, request));
    }
    let mut answers = stream::iter(timed).buffer_unordered(CONCURRENT);
    while let Some((place, answer)) = answers.next().await {
        if let Some(result) = results.get_mut(place) {
            *result = answer;
        }
    }
    results
}

async fn by<T>(until: Instant, place: usize, request: BoxFuture<'_, T>) -> (usize, Option<T>) {
    let answer = if Instant::now() < until { timeout_at(until, request).await.ok() } else { None };
    (place, answer)
}

/// What is said of a request that had no answer by the deadline.
pub(in crate::source) fn too_late(deadline: Duration) -> String {
    format!("no answer within {} s, the time for all requests of a tick", deadline.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::FutureExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_request_that_hangs_costs_itself_alone_and_no_more_time_than_all_have() {
        let started = Instant::now();
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let request = |number: u64| {
            let (running, most) = (&running, &most);
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                if number == 0 {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
                running.fetch_sub(1, Ordering::Relaxed);
                number
            }
            .boxed()
        };
        let answers = within(DEADLINE, (0..20).map(request).collect()).await;
        assert_eq!(answers[0], None);
        assert!(answers.iter().zip(0..).skip(1).all(|(answer, number)| *answer == Some(number)), "{answers:?}");
        assert_eq!((started.elapsed(), most.load(Ordering::Relaxed)), (DEADLINE, CONCURRENT));
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_before_the_deadline_is_kept_and_nothing_is_begun_after_it() {
        let begun = AtomicUsize::new(0);
        let request = |number: u64| {
            let begun = &begun;
            async move {
                begun.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_secs(5)).await;
                number
            }
            .boxed()
        };
        let answers = within(DEADLINE, (0..40).map(request).collect()).await;
        assert_eq!(answers.iter().flatten().count(), 8, "two rounds of four");
        assert_eq!(begun.load(Ordering::Relaxed), 12);
        assert!(within(Duration::MAX, vec![async { 1 }.boxed()]).await == [Some(1)]);
    }
}
