//! One tick over all workloads of a batch, within its deadline.

use std::collections::{HashMap, HashSet};
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use futures::stream::{self, StreamExt};
use tokio::time::Instant;

use super::backoff::Backoff;
use super::members::{Member, of_batch};
use super::{SOURCE_SHARE, Stop, Ticked};
use crate::autoscaler::{Autoscaler, TickError, caught_panic};
use crate::metrics::Observation;
use crate::record::DecisionRecord;
use crate::source::SourceError;
use crate::target::Target;

/// The end of what a tick may take. Clones end together.
type Limit = Shared<BoxFuture<'static, ()>>;

type Seen = Vec<Result<Observation, SourceError>>;

/// Workloads that end before others of the process get their turn.
const AT_ONCE: usize = 16;

/// What became of one workload in a tick; none if it was cut off.
type Ended = Option<Result<DecisionRecord, TickError>>;

/// The source did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {:.1} s", .0.as_secs_f64())]
struct Late(Duration);

/// How a tick goes over the workloads.
pub(super) struct Fleet {
    pub(super) autoscaler: Arc<Autoscaler>,
    pub(super) joining_as_changed: bool,
    pub(super) deadline: Duration,
    pub(super) grace: Duration,
    pub(super) side_by_side: usize,
    pub(super) each_within: Option<Duration>,
    /// Whether somebody else ticks a workload that is not called.
    pub(super) elsewhere: Box<dyn Fn(&Target) -> bool + Send + Sync>,
}

/// What is remembered of a batch from tick to tick.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) number: u32,
    pub(super) of: u32,
    pub(super) backoff: Backoff,
    /// With their tenures.
    pub(super) present: HashMap<Target, Option<Instant>>,
    /// Workloads that were handed over.
    pub(super) away: HashSet<Target>,
    /// Workloads whose last tick was cut off.
    pub(super) cut_off: Vec<Target>,
    /// Instant of its last tick.
    pub(super) last: Option<DateTime<Utc>>,
}

impl Batch {
    pub(super) fn new(number: u32, of: u32, backoff: Backoff) -> Self {
        Self { number, of, backoff, present: HashMap::new(), away: HashSet::new(), cut_off: Vec::new(), last: None }
    }
}

/// The batch that is ticked at an instant: the one whose instant it is, unless another was not ticked for two intervals. Ticks that each take
/// two instants would otherwise miss the same batches for ever.
pub(super) fn batch_due(
    batches: &mut [Batch],
    number: usize,
    at: DateTime<Utc>,
    interval: TimeDelta,
) -> Option<&mut Batch> {
    let waits = |batch: &Batch| batch.last.map_or(TimeDelta::zero(), |last| at.signed_duration_since(last));
    let longest = batches.iter().enumerate().max_by_key(|(place, batch)| (waits(batch), std::cmp::Reverse(*place)));
    let overdue = longest.filter(|(_, batch)| waits(batch) > interval * 2).map(|(place, _)| place);
    let batch = batches.get_mut(overdue.unwrap_or(number))?;
    batch.last = Some(at);
    Some(batch)
}

impl Fleet {
    pub(super) async fn tick(&self, at: DateTime<Utc>, members: Vec<Member>, stop: &Stop, batch: &mut Batch) -> Ticked {
        let began = Instant::now();
        let mut tick = Ticked::new(at, batch.number);
        let members = self.called(members, batch, &mut tick);
        let targets: Vec<Target> = members.iter().map(|member| member.target.clone()).collect();
        let seen = self.observe(&targets, &mut tick, began, stop, &mut batch.backoff).await;
        let ended = self.tick_each(&members, at, seen, began + self.deadline, self.limit(began, 1.0, stop)).await;
        tick.records.reserve(members.len());
        for (target, ended) in targets.into_iter().zip(ended) {
            match ended {
                Some(Ok(record)) => tick.records.push(record),
                Some(Err(error)) => {
                    tracing::error!(target_workload = %target, %error, "a record was not kept");
                    tick.unrecorded.push(error);
                }
                None => tick.cut_off.push(target),
            }
        }
        tick.overrun |= !tick.cut_off.is_empty();
        if tick.overrun {
            tracing::warn!(%at, workloads = tick.cut_off.len(), "the tick was cut off at its deadline");
        }
        if let Err(error) = self.autoscaler.flush() {
            tracing::error!(%at, %error, "records were not flushed");
        }
        batch.cut_off.clone_from(&tick.cut_off);
        tick
    }

    /// Members of the batch now, those that were cut off first: a few that hang do not keep the others from ever being reached. Who is gone
    /// is forgotten.
    fn called(&self, members: Vec<Member>, batch: &mut Batch, tick: &mut Ticked) -> Vec<Member> {
        let mut members = of_batch(members, batch.number, batch.of);
        if !batch.cut_off.is_empty() {
            members.sort_by_cached_key(|member| !batch.cut_off.contains(&member.target));
        }
        let joins = |member: &&Member| batch.present.get(&member.target) != Some(&member.tenure);
        let joined = members.iter().filter(joins);
        tick.joined = joined.map(|member| member.target.clone()).collect();
        if self.joining_as_changed {
            tick.joined.iter().for_each(|target| self.autoscaler.count_as_changed(target, tick.at));
        }
        if batch.present.len() + tick.joined.len() > members.len() || !batch.away.is_empty() {
            self.part_from(&members, batch, tick);
        }
        batch.present.extend(members.iter().map(|member| (member.target.clone(), member.tenure)));
        members
    }

    /// Those that were called before and are not now: handed over, if they are elsewhere, or else forgotten.
    fn part_from(&self, members: &[Member], batch: &mut Batch, tick: &mut Ticked) {
        let here: HashSet<&Target> = members.iter().map(|member| &member.target).collect();
        batch.away.retain(|target| !here.contains(target));
        let left = batch.present.extract_if(|target, _| !here.contains(target));
        let (handed_over, mut left): (Vec<Target>, Vec<Target>) =
            left.map(|(target, _)| target).partition(|target| (self.elsewhere)(target));
        left.extend(batch.away.extract_if(|target| !(self.elsewhere)(target)));
        batch.away.extend(handed_over.iter().cloned());
        (tick.left, tick.handed_over) = (left, handed_over);
        tick.left.sort_unstable();
        tick.handed_over.sort_unstable();
        tick.left.iter().for_each(|target| self.autoscaler.forget(target));
        tick.handed_over.iter().for_each(|target| self.autoscaler.hand_over(target));
    }

    /// What the source sees of each workload, or why it does not, in time to hold floors without it.
    async fn observe(
        &self,
        targets: &[Target],
        tick: &mut Ticked,
        began: Instant,
        stop: &Stop,
        backoff: &mut Backoff,
    ) -> Seen {
        if let Some(why) = backoff.waits(tick.at) {
            (tick.asked, tick.answered) = (false, false);
            return nothing(targets, || why.clone());
        }
        if targets.is_empty() {
            return Vec::new();
        }
        let seen = tokio::select! {
            biased;
            seen = self.ask(targets, tick.at) => seen,
            () = self.limit(began, SOURCE_SHARE, stop) => {
                tick.overrun = true;
                let waited = began.elapsed();
                nothing(targets, || Late(waited))
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

    /// Asks for all at once. A source that panics over it is asked for each alone, so that one workload does not cost the others theirs.
    async fn ask(&self, targets: &[Target], at: DateTime<Utc>) -> Seen {
        let panic = match caught_panic(self.autoscaler.observe_all(targets, at)).await {
            Ok(seen) => return seen,
            Err(panic) => panic,
        };
        tracing::error!(%at, %panic, "the source panicked, and is asked for each workload alone");
        let alone = targets.iter().map(|target| {
            let asked = async move {
                let mut seen = self.autoscaler.observe_all(std::slice::from_ref(target), at).await;
                seen.pop().unwrap_or_else(|| Err(SourceError::NoData { target: Box::new(target.clone()), at }))
            };
            async move { caught_panic(asked).await.unwrap_or_else(|panic| Err(backend(target, panic))) }.boxed()
        });
        let alone: Vec<BoxFuture<'_, _>> = alone.collect();
        stream::iter(alone).buffered(self.side_by_side).collect().await
    }

    /// Ticks each workload on what was seen of it, some side by side, until the limit. The answers are in the order of the workloads.
    async fn tick_each(
        &self,
        members: &[Member],
        at: DateTime<Utc>,
        seen: Seen,
        deadline: Instant,
        limit: Limit,
    ) -> Vec<Ended> {
        let none = |target: &Target| Err(SourceError::NoData { target: Box::new(target.clone()), at });
        let mut seen = seen.into_iter();
        let ticks = members.iter().enumerate().map(|(place, member)| {
            let seen = seen.next().unwrap_or_else(|| none(&member.target));
            let limit = limit.clone();
            async move { (place, self.tick_one(member, at, seen, deadline, limit).await) }.boxed()
        });
        // Collected, since they borrow from what the stream would otherwise hold.
        let ticks: Vec<BoxFuture<'_, (usize, Ended)>> = ticks.collect();
        let mut ticks = stream::iter(ticks).buffer_unordered(self.side_by_side);
        let mut ended = Vec::with_capacity(members.len());
        while let Some(one) = ticks.next().await {
            ended.push(one);
            // Ticks that wait for nothing would keep the rest of the process, and the deadline, from their turn.
            if ended.len().is_multiple_of(AT_ONCE) {
                tokio::task::yield_now().await;
            }
        }
        ended.sort_unstable_by_key(|(place, _)| *place);
        ended.into_iter().map(|(_, ended)| ended).collect()
    }

    async fn tick_one(
        &self,
        member: &Member,
        at: DateTime<Utc>,
        seen: Result<Observation, SourceError>,
        deadline: Instant,
        limit: Limit,
    ) -> Ended {
        let (target, terms) = (&member.target, member.terms());
        if Instant::now() >= deadline || limit.peek().is_some() {
            self.autoscaler.cancel(target, terms, at);
            return None;
        }
        let own = async {
            match self.each_within {
                Some(within) => tokio::time::sleep(within).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            record = self.autoscaler.tick_on(target, terms, at, ready(seen)) => Some(record),
            // Dropped, the tick leaves its record itself.
            () = limit => None,
            () = own => None,
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

fn nothing<E: std::error::Error + Send + Sync + 'static>(targets: &[Target], why: impl Fn() -> E) -> Seen {
    targets.iter().map(|target| Err(backend(target, why()))).collect()
}

fn backend(target: &Target, why: impl std::error::Error + Send + Sync + 'static) -> SourceError {
    SourceError::Backend { target: Box::new(target.clone()), transient: true, source: Box::new(why) }
}

/// The cause alone: the workload that was asked for first says nothing about the source.
fn cause(error: &SourceError) -> String {
    match error {
        SourceError::Backend { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_whose_instants_are_missed_each_time_are_ticked_all_the_same() {
        let minute = TimeDelta::minutes(1);
        let backoff = || Backoff::new(minute, minute);
        for stride in 1..=12_i32 {
            let mut batches: Vec<Batch> = (0..6).map(|number| Batch::new(number, 6, backoff())).collect();
            // As after a first interval without misses.
            for (number, batch) in batches.iter_mut().enumerate() {
                batch.last = Some(DateTime::UNIX_EPOCH + TimeDelta::seconds(10 * i64::try_from(number).unwrap_or(0)));
            }
            let mut ticked = [0_u32; 6];
            for instant in 1..=60 {
                let part = 5 + instant * stride;
                let at = DateTime::UNIX_EPOCH + TimeDelta::seconds(10 * i64::from(part));
                let number = usize::try_from(part % 6).unwrap_or(0);
                let batch = batch_due(&mut batches, number, at, minute);
                let due = batch.map_or(0, |batch| batch.number);
                assert!(
                    stride > 1 || usize::try_from(due) == Ok(number),
                    "nothing is missed, so each has its own instants"
                );
                if let Some(count) = ticked.get_mut(usize::try_from(due).unwrap_or(0)) {
                    *count += 1;
                }
            }
            assert!(ticked.iter().all(|count| *count >= 60 / 6 / 2), "every {stride}: {ticked:?}");
        }
    }
}
