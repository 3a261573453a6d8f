//! One tick over all workloads, within its deadline.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use futures::stream::{self, StreamExt};
use tokio::time::Instant;

use super::backoff::Backoff;
use super::{SOURCE_SHARE, Stop, Ticked};
use crate::autoscaler::{Autoscaler, TickError};
use crate::metrics::Observation;
use crate::record::DecisionRecord;
use crate::source::SourceError;
use crate::target::Target;

/// The end of what a tick may take. Clones end together.
type Limit = Shared<BoxFuture<'static, ()>>;

type Seen = Vec<Result<Observation, SourceError>>;

/// What became of one workload in a tick; none if it was cut off.
type Ended = Option<Result<DecisionRecord, TickError>>;

/// The source did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {:.1} s", .0.as_secs_f64())]
struct Late(Duration);

/// The workloads, and how a tick goes over them.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) autoscaler: Arc<Autoscaler>,
    pub(super) targets: Vec<Target>,
    pub(super) deadline: Duration,
    pub(super) grace: Duration,
    pub(super) side_by_side: usize,
}

impl Fleet {
    pub(super) async fn tick(&mut self, at: DateTime<Utc>, stop: &Stop, backoff: &mut Backoff) -> Ticked {
        let began = Instant::now();
        let mut tick = Ticked {
            at,
            records: Vec::with_capacity(self.targets.len()),
            unrecorded: Vec::new(),
            cut_off: Vec::new(),
            overrun: false,
            asked: true,
            answered: true,
        };
        let seen = self.observe(&mut tick, began, stop, backoff).await;
        let ended = self.tick_each(at, seen, self.limit(began, 1.0, stop)).await;
        for (target, ended) in self.targets.iter().zip(ended) {
            match ended {
                Some(Ok(record)) => tick.records.push(record),
                Some(Err(error)) => {
                    tracing::error!(target_workload = %target, %error, "a record was not kept");
                    tick.unrecorded.push(error);
                }
                None => tick.cut_off.push(target.clone()),
            }
        }
        tick.overrun |= !tick.cut_off.is_empty();
        if tick.overrun {
            tracing::warn!(%at, workloads = tick.cut_off.len(), "the tick was cut off at its deadline");
        }
        if let Err(error) = self.autoscaler.flush() {
            tracing::error!(%at, %error, "records were not flushed");
        }
        // Who was cut off goes first next time: a few that hang do not keep the others from ever being reached.
        let cut_off = std::mem::take(&mut tick.cut_off);
        if !cut_off.is_empty() {
            self.targets.sort_by_cached_key(|target| !cut_off.contains(target));
        }
        Ticked { cut_off, ..tick }
    }

    /// What the source sees of each workload, or why it does not, in time to hold floors without it.
    async fn observe(&self, tick: &mut Ticked, began: Instant, stop: &Stop, backoff: &mut Backoff) -> Seen {
        if let Some(why) = backoff.waits(tick.at) {
            (tick.asked, tick.answered) = (false, false);
            return self.nothing(|| why.clone());
        }
        let seen = tokio::select! {
            biased;
            seen = self.autoscaler.observe_all(&self.targets, tick.at) => seen,
            () = self.limit(began, SOURCE_SHARE, stop) => {
                tick.overrun = true;
                let waited = began.elapsed();
                self.nothing(|| Late(waited))
            }
        };
        let down = |seen: &Result<_, _>| matches!(seen, Err(SourceError::Backend { .. }));
        match seen.first() {
            Some(Err(error)) if seen.iter().all(down) => {
                tick.answered = false;
                tracing::warn!(at = %tick.at, %error, "the source is down");
                backoff.failed(tick.at, cause(error));
            }
            _ => backoff.answered(),
        }
        seen
    }

    fn nothing<E: std::error::Error + Send + Sync + 'static>(&self, why: impl Fn() -> E) -> Seen {
        let failed =
            |target: &Target| SourceError::Backend { target: target.clone(), transient: true, source: Box::new(why()) };
        self.targets.iter().map(failed).map(Err).collect()
    }

    /// Ticks each workload on what was seen of it, some side by side, until the limit. The answers are in the order of the workloads.
    async fn tick_each(&self, at: DateTime<Utc>, seen: Seen, limit: Limit) -> Vec<Ended> {
        let none = |target: &Target| SourceError::NoData { target: target.clone(), at };
        let mut seen = seen.into_iter();
        let ticks = self.targets.iter().enumerate().map(|(place, target)| {
            let seen = match seen.next() {
                Some(seen) => seen,
                None => Err(none(target)),
            };
            let limit = limit.clone();
            async move { (place, self.tick_one(target, at, seen, limit).await) }.boxed()
        });
        // Collected, since they borrow from what the stream would otherwise hold.
        let ticks: Vec<BoxFuture<'_, (usize, Ended)>> = ticks.collect();
        let mut ended: Vec<_> = stream::iter(ticks).buffer_unordered(self.side_by_side).collect().await;
        ended.sort_unstable_by_key(|(place, _)| *place);
        ended.into_iter().map(|(_, ended)| ended).collect()
    }

    async fn tick_one(
        &self,
        target: &Target,
        at: DateTime<Utc>,
        seen: Result<Observation, SourceError>,
        limit: Limit,
    ) -> Ended {
        if limit.peek().is_some() {
            self.autoscaler.cancel(target, at);
            return None;
        }
        tokio::select! {
            biased;
            record = self.autoscaler.tick_on(target, at, ready(seen)) => Some(record),
            // Dropped, the tick leaves its record itself.
            () = limit => None,
        }
    }

    /// Ends at this share of the deadline or, once the end was asked for, of the grace.
    fn limit(&self, began: Instant, share: f64, stop: &Stop) -> Limit {
        let (deadline, grace, stop) = (began + self.deadline.mul_f64(share), self.grace.mul_f64(share), stop.clone());
        let stopped = async move {
            let asked = stop.requested_at().await;
            tokio::time::sleep_until(asked + grace).await;
        };
        async move {
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => {}
                () = stopped => {}
            }
        }
        .boxed()
        .shared()
    }
}

/// The cause alone: the workload that was asked for first says nothing about the source.
fn cause(error: &SourceError) -> String {
    match error {
        SourceError::Backend { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}
