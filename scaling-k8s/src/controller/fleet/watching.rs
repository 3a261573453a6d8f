//! Watching what changes do, and undoing those that do harm, in the ticks.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::live::Ticked;
use scaling_core::moment::Moment;
use scaling_core::{
    Change as Asked, DecisionRecord, Guard, GuardContext, HpaState, Observation, Outcome, Review, Target, Undo, Verdict,
};

use super::notices::{Notice, Notices};
use crate::controller::cache::HpaCache;
use crate::history::{HealthCheck, HistoryRecorder, Look, Rollback, RollbackRefused, Watch, WatchConfig, Watched, cut};

/// Longest text that is kept for the state of the watch, in bytes.
const MAX_TOLD: usize = 400;

/// State of the watch over changes, at a moment. Numbers count from the start of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchHealth {
    /// Workloads with a change that is watched.
    pub watched: usize,
    /// Workloads whose change is to be undone, and guards or failures hold it up.
    pub pending: usize,
    /// Undos that were written, each part of one that went in parts.
    pub undone: u64,
    /// Changes that did harm and were not undone: somebody else has changed the bounds since, or it could not be done in time.
    pub stuck: u64,
    /// Changes of which it is not known whether they did harm.
    pub unjudged: u64,
    /// Workloads that were taken over with bounds of ours, and their HPA does not tell which change made them: that change is not watched.
    pub unknown: u64,
    /// The newest that was told.
    pub last: Option<Arc<str>>,
}

/// Watch over the changes of a fleet. Clones are one and the same; short locks.
#[derive(Clone)]
pub(super) struct Watching {
    state: Arc<Mutex<State>>,
    recorder: Arc<HistoryRecorder>,
    cache: HpaCache,
}

struct State {
    config: WatchConfig,
    watch: Watch,
    check: Box<dyn HealthCheck + Send>,
    /// Workloads whose HPA was asked for its history, and when.
    known: HashMap<Target, DateTime<Utc>>,
    undos: HashMap<Target, Pending>,
    /// Since when nothing is lowered, and what was undone.
    held: HashMap<Target, (Moment, String)>,
    notices: Vec<Notice>,
    health: WatchHealth,
}

/// An undo that is certain and not complete.
struct Pending {
    number: u64,
    why: String,
    since: Moment,
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watching").field("health", &self.health()).finish_non_exhaustive()
    }
}

impl Watching {
    pub(super) fn new(
        check: Box<dyn HealthCheck + Send>,
        config: WatchConfig,
        recorder: Arc<HistoryRecorder>,
        cache: HpaCache,
    ) -> Self {
        let state = State {
            config,
            watch: Watch::new(config),
            check,
            known: HashMap::new(),
            undos: HashMap::new(),
            held: HashMap::new(),
            notices: Vec::new(),
            health: WatchHealth::default(),
        };
        Self { state: Arc::new(Mutex::new(state)), recorder, cache }
    }

    pub(super) fn health(&self) -> WatchHealth {
        let state = self.state();
        WatchHealth { watched: state.watch.targets().count(), pending: state.undos.len(), ..state.health.clone() }
    }

    /// Takes in a tick: the changes that are watched from now on, what became of undos, and who has left.
    pub(super) fn ticked(&self, tick: &Ticked, notices: &Notices) {
        let mut state = self.state();
        for gone in tick.left.iter().chain(&tick.handed_over) {
            state.forget(gone);
            self.recorder.with(|history| history.forget(gone));
        }
        // Another replica may have changed it while it was not ours.
        for target in &tick.joined {
            // One that was taken over in this very tick is known.
            if state.known.get(target).is_some_and(|at| *at != tick.at) {
                state.known.remove(target);
            }
        }
        let unrecorded = tick.unrecorded.iter().map(|error| &*error.record);
        for record in tick.records.iter().chain(unrecorded) {
            self.recorded(&mut state, record);
        }
        for target in &tick.cut_off {
            self.recorder.with(|history| state.cut_off(target, history, tick.at));
        }
        state.wear_off(tick.at);
        let told = std::mem::take(&mut state.notices);
        drop(state);
        for notice in told {
            notices.tell(notice);
        }
    }

    fn recorded(&self, state: &mut State, record: &DecisionRecord) {
        let Some(change) = record.change.filter(|change| change.old != change.new) else { return };
        let is_made = match record.outcome {
            Outcome::Applied => true,
            Outcome::Failed { may_have_happened, .. } => may_have_happened,
            _ => false,
        };
        let target = &record.target;
        if let (true, Some(undo)) = (record.is_undo(), &record.undo) {
            if is_made {
                state.health.undone += 1;
                state.held.insert(target.clone(), (Moment::new(record.at), undo.why.clone()));
                state.watch.forget(target);
                let text = format!("bounds changed back from {} to {}: {}", change.old, change.new, undo.why);
                state.tell(Notice::normal(target, "ChangeUndone", text, record.at));
            } else {
                let text = format!("not undone yet, {}: {}", record.outcome, undo.why);
                state.tell(Notice::warning(target, "UndoFailed", text, record.at));
            }
        } else if is_made {
            self.recorder.with(|history| state.begin(target, history, record.at));
        }
    }

    /// Takes over a workload: what its HPA tells of its changes.
    fn take_over(&self, state: &mut State, target: &Target, found: HpaState, now: DateTime<Utc>) {
        if state.known.contains_key(target) {
            return;
        }
        state.known.insert(target.clone(), now);
        let changes = self.cache.history(target).unwrap_or_else(|why| {
            let text = format!("the history that the HPA tells is not used: {why}");
            state.tell(Notice::warning(target, "HistoryIgnored", text, now));
            Vec::new()
        });
        self.recorder.with(|history| {
            history.resume(target, changes);
            history.settle(target, found.bounds);
            let newest = history.of(target).next_back();
            match newest {
                Some(newest) if newest.undo => {
                    let mut since = Moment::new(newest.at);
                    if now < later(since.look(now), state.config.hold) {
                        state.held.insert(target.clone(), (since, newest.why.clone()));
                    }
                }
                Some(newest) if now <= later(newest.at, state.config.window) => state.begin(target, history, now),
                None if found.resting_is_known && found.bounds != found.resting => {
                    state.health.unknown += 1;
                    tracing::info!(target_workload = %target, bounds = %found.bounds, "taken over with bounds of ours; which change made them is not known, and it is not watched");
                }
                _ => {}
            }
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Watches the newest change of a workload. One that the check does not watch ends the watch: what is there is not what the watched
    /// change has made any more, and the engine has answered by itself.
    fn begin(&mut self, target: &Target, history: &crate::history::History, now: DateTime<Utc>) {
        let Some(newest) = history.of(target).next_back() else { return };
        if !self.check.watches(newest) {
            self.watch.forget(target);
            if let Some(Pending { number, why, .. }) = self.undos.remove(target) {
                let to = history.of(target).find(|change| change.number == number).map(|change| change.before);
                let (made, after) = (newest.number, newest.after);
                if to.is_none_or(|to| after.min() < to.min() || after.max() < to.max()) {
                    self.health.stuck += 1;
                    let text = format!(
                        "change #{number} burns and is not undone, since #{made} has made the bounds {after}: {why}"
                    );
                    self.tell(Notice::warning(target, "UndoRefused", text, now));
                }
            }
            return;
        }
        if let Some((other, end)) = self.watch.begin(target, history) {
            self.ended(&other, &end, now);
        }
    }

    /// Watches the change of a tick that was cut off: it may have been written all the same, and the recorder has it then.
    fn cut_off(&mut self, target: &Target, history: &crate::history::History, at: DateTime<Utc>) {
        if history.of(target).next_back().is_some_and(|newest| newest.at == at) {
            self.begin(target, history, at);
        }
    }

    fn ended(&mut self, target: &Target, end: &Watched, now: DateTime<Utc>) {
        match end {
            Watched::Stuck { .. } => {
                self.health.stuck += 1;
                self.tell(Notice::warning(target, "UndoRefused", end.to_string(), now));
            }
            Watched::Unjudged { .. } => {
                self.health.unjudged += 1;
                self.health.last = Some(cut(&format!("{target}: {end}"), MAX_TOLD).into());
                tracing::warn!(target_workload = %target, "{end}");
            }
            Watched::Waiting { .. } => tracing::warn!(target_workload = %target, "{end}"),
            other => tracing::debug!(target_workload = %target, "{other}"),
        }
    }

    /// The way back that is due for a workload, if one is.
    fn due(
        &mut self,
        target: &Target,
        history: &crate::history::History,
        look: &Look<'_>,
    ) -> Option<(Rollback, String)> {
        if let Some(Pending { number, why, since }) = self.undos.get_mut(target) {
            let is_late = look.now > later(since.look(look.now), self.config.window);
            let (number, why) = (*number, why.clone());
            return match history.rollback(target, number, look.state) {
                Ok(rollback) if !is_late => Some((rollback, why)),
                Err(RollbackRefused::Uncertain { .. }) if !is_late => None,
                Ok(_) => {
                    self.undos.remove(target);
                    self.health.stuck += 1;
                    let text = format!("change #{number} burns and could not be undone in time: {why}");
                    self.tell(Notice::warning(target, "UndoRefused", text, look.now));
                    None
                }
                Err(RollbackRefused::AlreadyThere { .. }) => {
                    self.undos.remove(target);
                    // Made in a tick that was cut off, perhaps.
                    self.held.entry(target.clone()).or_insert((Moment::new(look.now), why));
                    None
                }
                Err(refused) => {
                    self.undos.remove(target);
                    self.ended(target, &Watched::Stuck { number, why, refused }, look.now);
                    None
                }
            };
        }
        match self.watch.ask(target, history, look, &mut *self.check)? {
            Watched::Burns { rollback, why } => {
                let number = rollback.change().number;
                self.undos.insert(target.clone(), Pending { number, why: why.clone(), since: Moment::new(look.now) });
                Some((rollback, why))
            }
            Watched::Watching { .. } => None,
            end => {
                self.ended(target, &end, look.now);
                None
            }
        }
    }

    /// Ends what has held for its time.
    fn wear_off(&mut self, now: DateTime<Utc>) {
        let hold = self.config.hold;
        self.held.retain(|_, (since, _)| now < later(since.look(now), hold));
    }

    /// Until when nothing of a workload is lowered, and why.
    fn holds(&self, target: &Target, now: DateTime<Utc>) -> Option<(DateTime<Utc>, &str)> {
        let (since, why) = self.held.get(target)?;
        let until = later(now.min(since.instant()), self.config.hold);
        (now < until).then_some((until, why))
    }

    fn forget(&mut self, target: &Target) {
        self.known.remove(target);
        self.watch.forget(target);
        self.undos.remove(target);
        self.held.remove(target);
    }

    fn tell(&mut self, notice: Notice) {
        self.health.last = Some(cut(&format!("{}: {}", notice.target, notice.text), MAX_TOLD).into());
        self.notices.push(notice);
    }
}

impl Review for Watching {
    fn review(
        &self,
        target: &Target,
        state: HpaState,
        observation: Option<&Observation>,
        now: DateTime<Utc>,
    ) -> Option<Undo> {
        let mut watching = self.state();
        self.take_over(&mut watching, target, state, now);
        self.recorder.with(|history| {
            history.settle(target, state.bounds);
            let (rollback, why) = watching.due(target, history, &Look::new(state, now).seen(observation))?;
            let why = format!("change #{} is undone: {why}", rollback.change().number);
            Some(rollback.undo(why))
        })
    }
}

/// Lowers no bound for a while after a change was undone: the engine would make it again.
pub(super) struct AfterUndo(pub(super) Watching);

impl Guard for AfterUndo {
    fn name(&self) -> &'static str {
        "undone"
    }

    fn check(&self, change: &Asked<'_>, context: &GuardContext<'_>) -> Verdict {
        if !(change.lowers() || change.shrinks()) {
            return Verdict::Pass;
        }
        let state = self.0.state();
        let (target, now) = (context.target, context.now);
        if let Some(undo) = state.undos.get(target) {
            // What is not the engine's is the undo itself.
            return match change.decision {
                Some(_) => Verdict::lower_nothing(format!("change #{} is to be undone: {}", undo.number, undo.why)),
                None => Verdict::Pass,
            };
        }
        match state.holds(target, now) {
            Some((until, why)) => Verdict::lower_nothing(format!(
                "nothing is lowered for {} s more: {why}",
                until.signed_duration_since(now).num_seconds()
            )),
            None => Verdict::Pass,
        }
    }
}

fn later(at: DateTime<Utc>, time: std::time::Duration) -> DateTime<Utc> {
    let time = TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX);
    at.checked_add_signed(time).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use scaling_core::{ApplyMode, Bounds, BoundsChange};

    use super::*;
    use crate::history::{Change, Health, History};

    /// Watches what lowers a bound, and finds harm each time.
    struct Harm;

    impl HealthCheck for Harm {
        fn check(&mut self, _: &Target, _: &Change, _: &Look<'_>) -> Health {
            Health::Burning("5 % fail".to_owned())
        }

        fn watches(&self, change: &Change) -> bool {
            change.lowers()
        }
    }

    fn target() -> Target {
        Target::deployment("shop", "web")
    }

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    fn bounds(min: u32, max: u32) -> Bounds {
        Bounds::new(min, max).unwrap()
    }

    fn state() -> State {
        let config = WatchConfig { burning_in_a_row: 1, ..WatchConfig::default() };
        State {
            config,
            watch: Watch::new(config),
            check: Box::new(Harm),
            known: HashMap::new(),
            undos: HashMap::new(),
            held: HashMap::new(),
            notices: Vec::new(),
            health: WatchHealth::default(),
        }
    }

    fn change(history: &mut History, minutes: i64, old: Bounds, new: Bounds, outcome: Outcome) {
        let mut record = DecisionRecord::new(target(), at(minutes), ApplyMode::Apply);
        record.change = Some(BoundsChange { old, new, released: 0, min_without_floor: None, resources: None });
        record.outcome = outcome;
        history.take(&record, "us");
    }

    fn look(minutes: i64, bounds: Bounds) -> Look<'static> {
        Look::new(HpaState::new(bounds), at(minutes))
    }

    #[test]
    fn a_change_whose_tick_was_cut_off_is_watched() {
        let (mut state, mut history, target) = (state(), History::new(), target());
        let lost = Outcome::Failed {
            step: scaling_core::Step::Apply,
            error: "the tick was cancelled before its end".to_owned(),
            transient: false,
            may_have_happened: true,
        };
        change(&mut history, 1, bounds(6, 12), bounds(2, 12), lost);
        state.cut_off(&target, &history, at(2));
        assert_eq!(state.watch.targets().count(), 0, "a tick that changed nothing");
        state.cut_off(&target, &history, at(1));
        assert_eq!(state.watch.targets().count(), 1);
        history.settle(&target, bounds(2, 12));
        assert!(state.due(&target, &history, &look(2, bounds(2, 12))).is_some());
    }

    /// A change with harm that is to be undone, and another one before that is done.
    fn overtaken(new: Bounds) -> State {
        let (mut state, mut history, target) = (state(), History::new(), target());
        change(&mut history, 1, bounds(6, 12), bounds(2, 12), Outcome::Applied);
        state.begin(&target, &history, at(1));
        assert!(state.due(&target, &history, &look(2, bounds(2, 12))).is_some());
        change(&mut history, 3, bounds(2, 12), new, Outcome::Applied);
        state.begin(&target, &history, at(3));
        assert!(state.undos.is_empty());
        state
    }

    #[test]
    fn an_undo_that_a_raise_overtakes_is_done_or_told() {
        let covered = overtaken(bounds(7, 12));
        assert_eq!((covered.health.stuck, covered.notices.len()), (0, 0));
        let part = overtaken(bounds(3, 12));
        assert_eq!((part.health.stuck, part.notices.len()), (1, 1));
        let told = &part.notices[0].text;
        assert_eq!(told, "change #1 burns and is not undone, since #2 has made the bounds 3..12: 5 % fail");
    }

    #[test]
    fn a_clock_that_was_ahead_holds_nothing_up() {
        let (mut state, target) = (state(), target());
        let hold = 30;
        state.held.insert(target.clone(), (Moment::new(at(100_000)), "5 % fail".to_owned()));
        assert_eq!(state.holds(&target, at(10)), Some((at(10 + hold), "5 % fail")));
        state.wear_off(at(10));
        assert!(state.holds(&target, at(10 + hold - 1)).is_some());
        assert!(state.holds(&target, at(10 + hold)).is_none());
        state.wear_off(at(10 + hold));
        assert!(state.held.is_empty());
        // One that is behind for a look ends it no sooner.
        state.held.insert(target.clone(), (Moment::new(at(10)), "5 % fail".to_owned()));
        state.wear_off(at(-40));
        state.wear_off(at(10 + hold - 1));
        assert_eq!(state.holds(&target, at(10 + hold - 1)), Some((at(10 + hold), "5 % fail")));

        let mut history = History::new();
        change(&mut history, 1, bounds(6, 12), bounds(2, 12), Outcome::Applied);
        let pending = Pending { number: 1, why: "5 % fail".to_owned(), since: Moment::new(at(100_000)) };
        state.undos.insert(target.clone(), pending);
        assert!(state.due(&target, &history, &look(2, bounds(2, 12))).is_some());
        assert!(state.due(&target, &history, &look(12, bounds(2, 12))).is_some());
        assert!(state.due(&target, &history, &look(13, bounds(2, 12))).is_none(), "its time is over");
        assert_eq!(state.health.stuck, 1);
    }
}
