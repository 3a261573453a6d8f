//! Giving back the HPAs that are targets no more.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::live::{Clock, Stop};
use scaling_core::{ApplyError, Autoscaler, Bounds, Guards, HardLimits, MAX_REPLICAS, Outcome, Target};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use super::notices::{Notice, Notices};
use crate::Released;
use crate::controller::applier::CachedApplier;
use crate::controller::lease::{Fenced, Held, shard_of};
use crate::controller::settings::Settings;
use crate::resting::{Memory, Seen};

/// Longest pause after a failure.
const LONGEST: Duration = Duration::from_secs(3600);
/// Workloads that are given back in one round, at most: their requests come one after the other.
const AT_ONCE: usize = 100;

/// What is done with an HPA that has bounds of ours and is no target any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Leaving {
    /// It is told, in the log and in [`FleetHealth::abandoned`](super::FleetHealth::abandoned), and left as it is. The default: an HPA without
    /// a mode has asked for nothing, what stands there goes on serving, and a mode that was lost by mistake, with all others of a bad deploy for
    /// example, takes nothing away from a fleet that rests on floors of ours.
    #[default]
    Tell,
    /// One whose mode was removed is given back to its owner: the bounds that the owner set, step by step as the removal budget of the fleet
    /// and half of the min at a time allow, and then no trace of ours ([`KubeHpaApplier::release`](crate::KubeHpaApplier::release)).
    ///
    /// That it was a target is known of those that this process has seen with a mode, and of those that say so themselves: their
    /// [resting bounds](crate::resting), or a [history](super::FleetControllerBuilder::history), stand there under this field manager, as the
    /// managed fields tell. So another loop that moves bounds belongs under another field manager, or its HPAs are given back as well.
    ///
    /// At the end of the process the step under way is finished within the [grace](super::FleetControllerBuilder::grace), and no other is begun:
    /// the next process goes on from there, by what stands at the HPA.
    GiveBack,
    /// The same, and those that the label selector of the watch selects no more although they name a mode. Only where no other controller
    /// under this field manager watches them: it would begin anew.
    GiveBackUnselected,
}

/// State of the giving back, of one HPA.
#[derive(Debug, Default)]
struct Leaver {
    /// The instant of the newest step, and how long it waits then. None before the first one.
    paused: Option<(DateTime<Utc>, TimeDelta)>,
    failures: u32,
    /// The newest that was told: the same is told once.
    told: Option<String>,
}

/// How far a step went.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Nothing of ours is left, and these are the bounds; none if there is no such HPA any more.
    Done(Option<Bounds>),
    /// A part of the way; the rest is for later.
    Part,
    /// Something stands in the way that time removes.
    Waits(String),
    /// It is not ours to give back.
    Theirs(String),
}

/// Gives HPAs back, beside the ticks.
pub(super) struct Leavers {
    pub(super) leaving: Leaving,
    pub(super) autoscaler: Arc<Autoscaler>,
    pub(super) applier: CachedApplier,
    /// None without Leases: then all are this process's.
    pub(super) fence: Option<(Fenced<CachedApplier>, watch::Receiver<Held>, u32)>,
    pub(super) guards: Guards,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) every: Duration,
    /// Time that a step may go on for once the end is asked for.
    pub(super) grace: Duration,
    pub(super) notices: Notices,
}

impl Leavers {
    /// Looks for those that leave until the end is asked for. The step under way then is finished within the grace.
    pub(super) async fn run(self, end: &Stop) {
        if self.leaving == Leaving::Tell {
            return;
        }
        let mut leavers = HashMap::new();
        while !end.is_requested() {
            self.round(&mut leavers, end).await;
            tokio::select! {
                biased;
                () = end.requested() => {}
                () = tokio::time::sleep(self.every) => {}
            }
        }
        if let Err(error) = self.autoscaler.flush() {
            tracing::error!(%error, "records of what was given back were not flushed");
        }
    }

    async fn round(&self, leavers: &mut HashMap<Target, Leaver>, end: &Stop) {
        let cache = self.applier.cache();
        if !cache.is_ready() {
            return;
        }
        let abandoned = cache.once_targets().into_iter().map(|target| (target, false));
        let all: BTreeMap<Target, bool> =
            abandoned.chain(cache.departed().into_iter().map(|target| (target, true))).collect();
        leavers.retain(|target, _| all.contains_key(target));
        let now = self.clock.now();
        let mine = all.into_iter().filter(|(target, _)| self.is_mine(target));
        for (target, departed) in due(mine, leavers, now) {
            if end.is_requested() {
                return;
            }
            let now = self.clock.now();
            let cut_off = async {
                let asked = end.requested_at().await;
                tokio::time::sleep(self.grace.saturating_sub(asked.elapsed())).await;
            };
            let step = tokio::select! {
                biased;
                step = self.step(&target, departed, now) => step,
                () = cut_off => {
                    tracing::warn!(target_workload = %target, "the end came before it was given back, which the next process goes on with");
                    return;
                }
            };
            let leaver = leavers.entry(target.clone()).or_default();
            if let Some(notice) = leaver.took(&target, &step, self.every, now) {
                self.notices.tell(notice);
            }
        }
    }

    fn is_mine(&self, target: &Target) -> bool {
        let holds = |(_, held, count): &(_, watch::Receiver<Held>, u32)| {
            held.borrow().is_sure(shard_of(target, *count), Instant::now())
        };
        self.fence.as_ref().is_none_or(holds)
    }

    async fn step(&self, target: &Target, departed: bool, now: DateTime<Utc>) -> Result<Step, ApplyError> {
        let read = match self.applier.writer().json_now(target).await {
            Ok(read) => read,
            Err(ApplyError::NotFound { .. }) => {
                self.over(target);
                return Ok(Step::Done(None));
            }
            Err(error) => return Err(error),
        };
        if let Some(why) = self.is_theirs(&read, departed) {
            return Ok(Step::Theirs(why));
        }
        let manager = self.applier.cache().field_manager();
        let state = match Seen::of(&read, manager) {
            // Nothing of ours is there: released already, or another object of this name.
            Ok(Seen { memory: Memory::Nothing, state, .. }) => {
                self.over(target);
                return Ok(Step::Done(Some(state.bounds)));
            }
            Ok(seen) => seen.state,
            Err(why) => return Ok(Step::Waits(why.to_string())),
        };
        if state.bounds != state.resting
            && let Some(step) = self.restore(target, state.resting, now).await
        {
            return Ok(step);
        }
        let release = self.applier.writer().release(target);
        let released = match &self.fence {
            Some((fence, ..)) => fence.while_held(target, release).await,
            None => release.await,
        };
        match released? {
            Released::Done { bounds, .. } => {
                self.over(target);
                Ok(Step::Done(Some(bounds)))
            }
            Released::Held { pods, max } => {
                Ok(Step::Waits(format!("{pods} pods run, and the owner's max is {max}: none leaves for it")))
            }
        }
    }

    /// Whether somebody wants it to be managed, by this controller or by another.
    fn is_theirs(&self, read: &Value, departed: bool) -> Option<String> {
        let texts = |field: &str| {
            let texts = read.pointer("/metadata").and_then(|metadata| metadata.get(field)).and_then(Value::as_object);
            let texts = texts.into_iter().flatten();
            texts.filter_map(|(key, text)| Some((key.clone(), text.as_str()?.to_owned()))).collect()
        };
        let wanted = !matches!(Settings::of(&texts("labels"), &texts("annotations")), Ok(None));
        match (wanted, departed) {
            (false, _) => None,
            (true, true) if self.leaving == Leaving::GiveBackUnselected => None,
            (true, true) => Some("it is not selected any more and names a mode: another controller may have it".into()),
            (true, false) => Some("it names a mode again".into()),
        }
    }

    /// Brings the bounds back as far as the guards let pods go; none once they are the owner's.
    async fn restore(&self, target: &Target, resting: Bounds, now: DateTime<Utc>) -> Option<Step> {
        self.applier.doubt(target);
        let limits = HardLimits::new(0, MAX_REPLICAS).unwrap_or_default();
        let why = "it is no target any more and goes back to its owner";
        let given = self.autoscaler.give_back(target, why, (&self.guards, limits), now).await;
        let record = given.unwrap_or_else(|error| {
            tracing::error!(target_workload = %target, %error, "a record was not kept");
            *error.record
        });
        match (&record.outcome, record.change) {
            (Outcome::Applied, Some(change)) if change.new == resting => None,
            (Outcome::Applied, _) => Some(Step::Part),
            (Outcome::Unchanged { .. }, _) if record.bounds == Some(resting) => None,
            (outcome, _) => {
                let clamp = record.clamps.last().map(|clamp| format!("{} holds it: {}", clamp.guard, clamp.why));
                Some(Step::Waits(clamp.unwrap_or_else(|| outcome.to_string())))
            }
        }
    }

    /// Nothing is left to do about it.
    fn over(&self, target: &Target) {
        self.applier.cache().forget_departed(target);
        self.applier.forget(target);
        self.autoscaler.forget(target);
    }
}

/// Those whose turn it is, who has waited longest since its turn first: a round takes so many, and the rest must not wait for ever.
fn due(
    all: impl Iterator<Item = (Target, bool)>,
    leavers: &mut HashMap<Target, Leaver>,
    now: DateTime<Utc>,
) -> Vec<(Target, bool)> {
    let mut next = |target: &Target| leavers.get_mut(target).and_then(|leaver| leaver.next(now));
    let mut due: Vec<_> = all.map(|(target, departed)| (next(&target), target, departed)).collect();
    due.retain(|(next, ..)| next.is_none_or(|next| next <= now));
    due.sort();
    due.into_iter().take(AT_ONCE).map(|(_, target, departed)| (target, departed)).collect()
}

impl Leaver {
    /// Not before this instant. A step that is later than now was made while the clock was ahead, and counts as one of now.
    fn next(&mut self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let (since, pause) = self.paused.as_mut()?;
        *since = now.min(*since);
        Some(since.checked_add_signed(*pause).unwrap_or(DateTime::<Utc>::MAX_UTC))
    }

    /// What a step has come to, and the notice of it, if it says something new.
    fn took(
        &mut self,
        target: &Target,
        step: &Result<Step, ApplyError>,
        every: Duration,
        now: DateTime<Utc>,
    ) -> Option<Notice> {
        let (pause, text) = match step {
            Ok(Step::Done(bounds)) => {
                // The watch tells of it in a moment; until then it is not taken up again.
                (
                    every.max(Duration::from_secs(60)),
                    bounds.map(|bounds| format!("given back to its owner with {bounds}")),
                )
            }
            Ok(Step::Part) => (every, None),
            Ok(Step::Waits(why)) => (every, Some(format!("not given back yet: {why}"))),
            Ok(Step::Theirs(why)) => (LONGEST, Some(format!("not given back: {why}"))),
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                let pause = every.saturating_mul(2_u32.saturating_pow(self.failures - 1)).min(LONGEST);
                (pause, Some(format!("not given back, tried again later: {error}")))
            }
        };
        if step.is_ok() {
            self.failures = 0;
        }
        self.paused = Some((now, TimeDelta::from_std(pause).unwrap_or(TimeDelta::MAX)));
        let text = text.filter(|text| self.told.as_ref() != Some(text))?;
        self.told = Some(text.clone());
        Some(match step {
            Ok(Step::Done(_)) => Notice::normal(target, "Released", text, now),
            Ok(Step::Theirs(_)) => Notice::normal(target, "NotReleased", text, now),
            _ => Notice::warning(target, "NotReleased", text, now),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    #[test]
    fn failures_are_told_once_and_tried_ever_later() {
        let (target, every) = (Target::deployment("shop", "web"), Duration::from_secs(60));
        let mut leaver = Leaver::default();
        let failed = || ApplyError::NotFound { target: Target::deployment("shop", "web") };
        let (mut now, mut pauses, mut told) = (at(0), Vec::new(), 0);
        for _ in 0..9 {
            told += u32::from(leaver.took(&target, &Err(failed()), every, now).is_some());
            let next = leaver.next(now).unwrap();
            pauses.push((next - now).num_seconds());
            now = next;
        }
        assert_eq!((pauses, told), (vec![60, 120, 240, 480, 960, 1920, 3600, 3600, 3600], 1));
        assert!(leaver.took(&target, &Ok(Step::Part), every, now).is_none());
        assert_eq!((leaver.failures, leaver.next(now)), (0, Some(now + TimeDelta::seconds(60))));
        let bounds = Bounds::new(2, 6).unwrap();
        let notice = leaver.took(&target, &Ok(Step::Done(Some(bounds))), every, now).unwrap();
        assert_eq!(notice.text, "given back to its owner with 2..6");
        assert!(leaver.took(&target, &Ok(Step::Done(None)), every, now).is_none(), "one that was deleted is no news");
    }

    #[test]
    fn those_that_wait_keep_nobody_from_a_turn() {
        let every = Duration::from_secs(60);
        let all: BTreeMap<Target, bool> =
            (0..250).map(|nth| (Target::deployment("shop", format!("web-{nth:03}")), false)).collect();
        let (mut leavers, mut seen) = (HashMap::new(), std::collections::HashSet::new());
        for round in 0..3 {
            let now = at(round * 60);
            let turn = due(all.clone().into_iter(), &mut leavers, now);
            assert!(turn.len() <= AT_ONCE);
            for (target, _) in turn {
                let leaver: &mut Leaver = leavers.entry(target.clone()).or_default();
                leaver.took(&target, &Ok(Step::Waits("pods run".to_owned())), every, now);
                seen.insert(target);
            }
        }
        assert_eq!(seen.len(), 250);
    }

    #[test]
    fn a_clock_that_was_ahead_holds_nobody_up() {
        let (target, every) = (Target::deployment("shop", "web"), Duration::from_secs(60));
        let mut leaver = Leaver::default();
        leaver.took(&target, &Ok(Step::Part), every, at(100_000));
        assert_eq!(leaver.next(at(10)), Some(at(70)));
        assert_eq!(leaver.next(at(40)), Some(at(70)), "once it has been put right it stands");
    }
}
