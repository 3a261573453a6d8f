//! [`ChangeLog`]: the latest changes of each workload.
//!
//! Cooldowns, the removal budget, resting bounds and floors are told from it. It can be read back from records, so that they
//! outlive a restart. A write whose answer is lost, or whose tick was cancelled, counts as done until a read of the HPA says
//! otherwise (law 12).

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::bounds::Bounds;
use crate::decision::Floor;
use crate::guard::{LastChanges, RemovalBudget};
use crate::metrics::{Observation, SignalSet};
use crate::moment::Moment;
use crate::policy::BoundsChange;
use crate::record::{DecisionRecord, Outcome, Step};
use crate::state::{ApplyMode, HpaState};
use crate::target::Target;

/// Time for which pods that were let go are remembered for the fleet-wide budget.
const KEPT: TimeDelta = TimeDelta::seconds(RemovalBudget::LONGEST_WINDOW.as_secs().cast_signed());
/// Entries about pods that were let go that are kept in any case.
const RELEASES: usize = 1000;
/// Workloads that are remembered, if the host does not say otherwise.
const TARGETS: usize = 20_000;

/// Memory of the latest changes of each workload, of bounded size.
///
/// ```
/// use scaling_core::{ChangeLog, DecisionRecord};
///
/// fn resume(records: &[DecisionRecord]) -> ChangeLog {
///     let mut log = ChangeLog::new();
///     for record in records {
///         log.replay(record);
///     }
///     log
/// }
/// ```
#[derive(Clone, Debug)]
pub struct ChangeLog {
    targets: HashMap<Arc<Target>, Entry>,
    /// Pods let go of all workloads, in the order of the ticks.
    released: Vec<(Moment, u32)>,
    /// Copy of `released`, each at the instant that it counts as.
    counted: Vec<(DateTime<Utc>, u32)>,
    /// Questions so far: what tells which workload was asked about longest ago, whatever the clock does.
    asked: u64,
    limit: usize,
}

impl Default for ChangeLog {
    fn default() -> Self {
        Self::with_limit(TARGETS)
    }
}

#[derive(Clone, Debug, Default)]
struct Entry {
    /// Number of the last question about it: the one asked about longest ago is forgotten first.
    touched: u64,
    last: Last,
    /// The owner's bounds and what we wrote in their place.
    written: Option<Written>,
    floor: Option<Floor>,
    seen: SignalSet,
    /// A write of which nobody knows yet whether it happened.
    pending: Option<Pending>,
}

impl Entry {
    /// Returns true if the owner's bounds are known from here alone, or a floor, or a write of which nobody knows whether it happened.
    fn owes(&self) -> bool {
        self.written.is_some_and(|written| written.bounds != written.resting)
            || self.floor.is_some()
            || self.pending.is_some()
    }
}

#[derive(Clone, Copy, Debug)]
struct Written {
    resting: Bounds,
    bounds: Bounds,
    min_without_floor: Option<u32>,
}

/// A write, and what it is to be undone to if it did not happen.
#[derive(Clone, Copy, Debug)]
struct Pending {
    at: DateTime<Utc>,
    /// True of an intent that was read back, whose record may follow.
    is_intent: bool,
    change: BoundsChange,
    last: Last,
    written: Option<Written>,
}

/// Moments of the last changes of a workload, by kind.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    grown: Option<Moment>,
    shrunk: Option<Moment>,
    resized: Option<Moment>,
}

impl Last {
    fn look(&mut self, now: DateTime<Utc>) {
        for moment in [&mut self.grown, &mut self.shrunk, &mut self.resized].into_iter().flatten() {
            moment.look(now);
        }
    }

    fn instants(self) -> LastChanges {
        let instant = |moment: Option<Moment>| moment.map(|moment| moment.instant());
        LastChanges { grown: instant(self.grown), shrunk: instant(self.shrunk), resized: instant(self.resized) }
    }
}

impl ChangeLog {
    /// Empty; remembers 20,000 workloads.
    pub fn new() -> Self {
        Self::default()
    }

    /// Empty; remembers so many workloads, at least one. Beyond that, those asked about longest ago are forgotten, those
    /// whose bounds are to be given back last.
    pub fn with_limit(targets: usize) -> Self {
        Self { targets: HashMap::new(), released: Vec::new(), counted: Vec::new(), asked: 0, limit: targets.max(1) }
    }

    /// The log of these records, oldest first.
    pub fn from_records<'a>(records: impl IntoIterator<Item = &'a DecisionRecord>) -> Self {
        let mut log = Self::new();
        for record in records {
            log.replay(record);
        }
        log
    }

    /// Takes in one record of an earlier run: what was applied, or may have been, and the floor and the signals of that time.
    pub fn replay(&mut self, record: &DecisionRecord) {
        let now = record.at;
        let target = Arc::new(record.target.clone());
        let intent = self.targets.get(&target).and_then(|entry| entry.pending);
        if intent.is_some_and(|intent| intent.is_intent && intent.at == now) {
            // What became of it is what this record says.
            self.undo(&target);
        }
        if let Some(bounds) = record.bounds {
            let resting = record.resting.unwrap_or(bounds);
            let state = self.settle(&target, HpaState::new(bounds).with_resting(resting), now);
            let known = match &record.outcome {
                // Unchanged with a change: it was there already.
                Outcome::Applied | Outcome::Unchanged { .. } => Some(true),
                Outcome::Failed { step: Step::Apply, may_have_happened: true, .. } => Some(false),
                _ => None,
            };
            if let (Some(change), Some(known), ApplyMode::Apply) = (record.change, known, record.mode) {
                self.begin(&target, change, state.resting, now);
                if known {
                    self.confirm(&target);
                }
            } else if let (None, Outcome::Unchanged { .. } | Outcome::Refused { .. } | Outcome::Failed { .. }) =
                (record.change, &record.outcome)
            {
                let min_without_floor = record.min_without_floor;
                let (old, new) = (bounds, bounds);
                self.note(&target, BoundsChange { old, new, released: 0, min_without_floor, resources: None });
            }
        }
        // Without a decision the floor of the last one is still held; one that was due of itself is asked for again.
        if record.decision.is_some() {
            self.hold(&target, record.floor.clone());
        }
        if let Some(declared) = record.declared {
            self.entry(&target).seen = declared;
        }
    }

    /// Takes in the intent of a write ([`Recorder::intend`](crate::Recorder::intend)). Until the record of its tick follows, or the HPA is
    /// read, the write counts as done (law 12): the process may have been killed after it, and the bounds that are found then are ours,
    /// not the owner's.
    pub fn replay_intent(&mut self, record: &DecisionRecord) {
        self.replay(record);
        if let Some(pending) = self.targets.get_mut(&record.target).and_then(|entry| entry.pending.as_mut()) {
            pending.is_intent = true;
        }
    }

    /// Forgets a workload that is gone. Pods of it that were let go still count for the fleet.
    pub fn forget(&mut self, target: &Target) {
        self.targets.remove(target);
    }

    /// Hands a workload over to another autoscaler. What it does is not known here; which signals the workload has had is.
    #[cfg(feature = "live")]
    pub(crate) fn hand_over(&mut self, target: &Target) {
        if let Some(entry) = self.targets.get_mut(target) {
            *entry = Entry { touched: entry.touched, seen: entry.seen, ..Entry::default() };
        }
    }

    /// Counts a workload as changed now, by somebody who leaves no record here.
    pub(crate) fn count_as_changed(&mut self, target: &Arc<Target>, now: DateTime<Utc>) {
        let last = &mut self.entry(target).last;
        (last.grown, last.resized) = (Some(Moment::new(now)), Some(Moment::new(now)));
    }

    /// Returns the number of workloads remembered.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Returns true if none is remembered.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Returns the instants of the last changes of a workload.
    pub fn last_changes(&self, target: &Target) -> LastChanges {
        self.targets.get(target).map(|entry| entry.last.instants()).unwrap_or_default()
    }

    /// Pods let go lately, at least within the last hour, all workloads together, in the order of the ticks: when, and how many.
    pub fn released(&self) -> &[(DateTime<Utc>, u32)] {
        &self.counted
    }

    /// The min of a workload as it would be without the floor that raised it.
    pub(crate) fn min_without_floor(&self, target: &Target) -> Option<u32> {
        self.targets.get(target)?.written?.min_without_floor
    }

    /// The floor that was last in force, if it is certain to hold still.
    pub(crate) fn floor(&self, target: &Target, now: DateTime<Utc>) -> Option<Floor> {
        self.targets.get(target)?.floor.clone().filter(|floor| floor.holds_at(now))
    }

    /// Remembers the floor in force.
    pub(crate) fn hold(&mut self, target: &Arc<Target>, floor: Option<Floor>) {
        if floor.is_some() || self.targets.contains_key(target) {
            self.entry(target).floor = floor;
        }
    }

    /// The signals that should be there: declared or, if the source does not say, ever seen, before a restart too.
    pub(crate) fn declared(&mut self, observation: &Observation) -> SignalSet {
        let entry = self.entry(&observation.target);
        entry.seen = observation.declared.unwrap_or_else(|| observation.declared().union(entry.seen));
        entry.seen
    }

    /// Takes in a reading of the HPA: settles a write of which nobody knew, and tells the owner's bounds from ours.
    pub(crate) fn settle(&mut self, target: &Arc<Target>, state: HpaState, now: DateTime<Utc>) -> HpaState {
        for ((moment, _), (counted, _)) in self.released.iter_mut().zip(&mut self.counted) {
            *counted = moment.look(now);
        }
        self.asked += 1;
        if state.resting_is_known && state.resting != state.bounds {
            // There is something to remember.
            self.entry(target);
        }
        let Some(entry) = self.targets.get_mut(target) else { return state };
        entry.touched = self.asked;
        let pending = entry.pending.take();
        // A change of resources alone leaves no trace in the bounds: it counts as done.
        if let Some(pending) =
            pending.filter(|pending| pending.change.new != pending.change.old && state.bounds == pending.change.old)
        {
            (entry.last, entry.written) = (pending.last, pending.written);
            self.refund(pending.at, pending.change.released);
        }
        let Some(entry) = self.targets.get_mut(target) else { return state };
        entry.last.look(now);
        if state.resting_is_known && (entry.written.is_some() || state.resting != state.bounds) {
            // The HPA may lose what is kept at it, and then this is all that is known.
            let same = entry.written.filter(|written| written.bounds.min() == state.bounds.min());
            let min_without_floor = same.and_then(|written| written.min_without_floor);
            entry.written = Some(Written { resting: state.resting, bounds: state.bounds, min_without_floor });
        }
        let Some(written) = entry.written else { return state };
        if state.bounds.min() != written.bounds.min() {
            // What a floor raised is not there any more.
            entry.written = Some(Written { min_without_floor: None, ..written });
        }
        if state.resting_is_known {
            return state;
        }
        // A bound that is not what we wrote was set by somebody else since, who is the owner.
        let (now_min, now_max) = (state.bounds.min(), state.bounds.max());
        let min = if now_min == written.bounds.min() { written.resting.min() } else { now_min };
        let max = if now_max == written.bounds.max() { written.resting.max() } else { now_max };
        let resting = Bounds::new(min, max).unwrap_or(state.bounds);
        // Known from now on: once a bound is the owner's, it stays so when a later write of ours meets the same number.
        if let Some(written) = &mut entry.written {
            (written.bounds, written.resting) = (state.bounds, resting);
        }
        HpaState { resting, ..state }
    }

    /// A write begins: from here on it may have happened.
    pub(crate) fn begin(&mut self, target: &Arc<Target>, change: BoundsChange, resting: Bounds, now: DateTime<Utc>) {
        let entry = self.entry(target);
        let (last, written) = (entry.last, entry.written);
        entry.pending = Some(Pending { at: now, is_intent: false, change, last, written });
        let moved = change.new != change.old;
        if moved {
            let min_without_floor = change.min_without_floor;
            entry.written = Some(Written { resting, bounds: change.new, min_without_floor });
        }
        let (old, new) = (change.old, change.new);
        let again = |moment: Option<Moment>| Some(moment.map_or(Moment::new(now), |moment| moment.again(now)));
        if new.min() > old.min() || new.max() > old.max() {
            entry.last.grown = again(entry.last.grown);
        }
        if new.min() < old.min() || new.max() < old.max() {
            entry.last.shrunk = again(entry.last.shrunk);
        }
        if change.resources.is_some() {
            entry.last.resized = again(entry.last.resized);
        }
        if change.released > 0 {
            self.prune(now);
            self.released.push((Moment::new(now), change.released));
            self.counted.push((now, change.released));
        }
    }

    /// Nothing is written, but what a floor holds up may be more or less by now than when it was raised.
    pub(crate) fn note(&mut self, target: &Target, change: BoundsChange) {
        let written = self.targets.get_mut(target).and_then(|entry| entry.written.as_mut());
        if let Some(written) = written.filter(|written| written.bounds.min() == change.new.min()) {
            written.min_without_floor = change.min_without_floor;
        }
    }

    /// The write has happened.
    pub(crate) fn confirm(&mut self, target: &Target) {
        if let Some(entry) = self.targets.get_mut(target) {
            entry.pending = None;
        }
    }

    /// The write has certainly not happened.
    pub(crate) fn undo(&mut self, target: &Target) {
        let Some(pending) = self.targets.get_mut(target).and_then(|entry| entry.pending.take()) else { return };
        if let Some(entry) = self.targets.get_mut(target) {
            (entry.last, entry.written) = (pending.last, pending.written);
        }
        self.refund(pending.at, pending.change.released);
    }

    /// Pods that were not let go after all.
    fn refund(&mut self, at: DateTime<Utc>, pods: u32) {
        let known = self.released.iter().rposition(|(moment, released)| (moment.noted(), *released) == (at, pods));
        if let Some(place) = known {
            self.released.remove(place);
            self.counted.remove(place);
        }
    }

    /// Drops what is older than an hour. Only where there is much of it, so that a clock that is a day ahead for one tick makes
    /// nothing forgotten.
    fn prune(&mut self, now: DateTime<Utc>) {
        if self.released.len() < RELEASES {
            return;
        }
        let kept = |at: DateTime<Utc>| now.signed_duration_since(at) < KEPT;
        self.released.retain(|(moment, _)| kept(moment.instant()));
        self.counted.retain(|(at, _)| kept(*at));
    }

    /// Forgets the tenth of the workloads that were asked about longest ago, at least one, those to which something is to be given
    /// back last of all: a tenth, so that looking for them is
    /// paid for once in many new workloads.
    fn make_room(&mut self) {
        let age = |entry: &Entry| (entry.owes(), entry.touched);
        let mut touched: Vec<_> = self.targets.values().map(age).collect();
        let most = touched.len() / 10;
        if touched.is_empty() {
            return;
        }
        let (_, newest, _) = touched.select_nth_unstable(most);
        let newest = *newest;
        let mut left = most + 1;
        self.targets.retain(|_, entry| {
            let goes = left > 0 && age(entry) <= newest;
            left -= usize::from(goes);
            !goes
        });
    }

    fn entry(&mut self, target: &Arc<Target>) -> &mut Entry {
        self.asked += 1;
        if self.targets.len() >= self.limit && !self.targets.contains_key(target) {
            self.make_room();
        }
        let entry = self.targets.entry(Arc::clone(target)).or_default();
        entry.touched = self.asked;
        entry
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn bounds(min: u32, max: u32) -> Bounds {
        Bounds::new(min, max).unwrap()
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    fn raised(old: Bounds, new: Bounds) -> BoundsChange {
        BoundsChange { old, new, released: 0, min_without_floor: None, resources: None }
    }

    #[test]
    fn a_bound_that_the_owner_set_stays_the_owners_when_it_meets_the_number_that_we_wrote() {
        let target = Arc::new(Target::deployment("shop", "web"));
        let mut log = ChangeLog::new();
        let owner = bounds(2, 10);
        log.begin(&target, raised(owner, bounds(5, 10)), owner, at(0));
        log.confirm(&target);
        let mut resting = |min, second| log.settle(&target, HpaState::new(bounds(min, 10)), at(second)).resting;
        assert_eq!(resting(5, 60), owner, "what we wrote");
        assert_eq!(resting(4, 120), bounds(4, 10), "what the owner set");
        assert_eq!(resting(5, 180), bounds(5, 10), "set by the owner again, not by us");
    }

    #[test]
    fn a_write_that_has_certainly_failed_is_replayed_as_none_and_one_that_may_have_happened_as_done() {
        let target = Target::deployment("shop", "web");
        let failed = |may_have_happened| {
            let mut record = DecisionRecord::new(target.clone(), at(0), ApplyMode::Apply);
            record.bounds = Some(bounds(8, 10));
            record.change = Some(BoundsChange { released: 3, ..raised(bounds(8, 10), bounds(5, 10)) });
            let (step, error, transient) = (Step::Apply, "conflict".into(), true);
            record.outcome = Outcome::Failed { step, error, transient, may_have_happened };
            let written = serde_json::to_string(&record).unwrap();
            ChangeLog::from_records([&serde_json::from_str(&written).unwrap()])
        };
        let (certain, lost) = (failed(false), failed(true));
        assert_eq!((certain.last_changes(&target).any(), certain.released()), (None, &[][..]));
        assert_eq!((lost.last_changes(&target).shrunk, lost.released()), (Some(at(0)), &[(at(0), 3)][..]));
    }

    #[test]
    fn an_intent_counts_until_its_record_says_what_became_of_it() {
        let target = Target::deployment("shop", "web");
        let mut intent = DecisionRecord::new(target.clone(), at(0), ApplyMode::Apply);
        intent.bounds = Some(bounds(8, 10));
        intent.change = Some(BoundsChange { released: 3, ..raised(bounds(8, 10), bounds(5, 10)) });
        let ended = |may_have_happened| Outcome::Failed {
            step: Step::Apply,
            error: "conflict".into(),
            transient: true,
            may_have_happened,
        };
        intent.outcome = ended(true);
        let after = |outcome: Option<Outcome>| {
            let mut log = ChangeLog::new();
            log.replay_intent(&intent);
            if let Some(outcome) = outcome {
                log.replay(&DecisionRecord { outcome, ..intent.clone() });
            }
            log
        };
        let done = (Some(at(0)), &[(at(0), 3)][..]);
        for counts in [None, Some(ended(true)), Some(Outcome::Applied)] {
            let log = after(counts.clone());
            assert_eq!((log.last_changes(&target).shrunk, log.released()), done, "{counts:?}");
        }
        let log = after(Some(ended(false)));
        assert_eq!((log.last_changes(&target).any(), log.released()), (None, &[][..]));
        // Without its record, a reading of the HPA tells.
        for (found, resting) in [(bounds(5, 10), bounds(8, 10)), (bounds(8, 10), bounds(8, 10))] {
            let mut log = after(None);
            let state = log.settle(&Arc::new(target.clone()), HpaState::new(found).bounds_only(), at(60));
            assert_eq!(state.resting, resting, "{found}");
            assert_eq!(log.released().len(), usize::from(found == bounds(5, 10)));
        }
    }

    #[test]
    fn the_owners_bounds_are_read_back_from_a_tick_that_changed_nothing() {
        // The record of the change itself was in a file that has been deleted since.
        let target = Target::deployment("shop", "web");
        let mut record = DecisionRecord::new(target.clone(), at(0), ApplyMode::Apply);
        (record.bounds, record.resting) = (Some(bounds(5, 10)), Some(bounds(2, 10)));
        record.min_without_floor = Some(3);
        for outcome in [
            Outcome::Unchanged { why: crate::record::Unchanged::Undecided },
            Outcome::Refused { guard: "cooldown".into(), why: "early".into() },
        ] {
            let mut log = ChangeLog::from_records([&DecisionRecord { outcome, ..record.clone() }]);
            assert_eq!(log.min_without_floor(&target), Some(3));
            let state = log.settle(&Arc::new(target.clone()), HpaState::new(bounds(5, 10)), at(60));
            assert_eq!(state.resting, bounds(2, 10));
        }
    }

    #[test]
    fn what_the_applier_knew_is_remembered_for_when_it_does_not() {
        let target = Arc::new(Target::deployment("shop", "web"));
        let mut log = ChangeLog::new();
        let known = |there, owner| HpaState::new(there).with_resting(owner);
        log.settle(&target, known(bounds(5, 10), bounds(2, 10)), at(0));
        assert_eq!(log.settle(&target, HpaState::new(bounds(5, 10)), at(60)).resting, bounds(2, 10));
        // The owner has taken our number for theirs, which the number does not tell.
        log.settle(&target, known(bounds(5, 10), bounds(5, 10)), at(120));
        assert_eq!(log.settle(&target, HpaState::new(bounds(5, 10)), at(180)).resting, bounds(5, 10));
    }

    #[test]
    fn workloads_to_which_something_is_owed_are_forgotten_last() {
        let target = |nth: u32| Arc::new(Target::deployment("shop", format!("w{nth}")).with_hpa("hpa"));
        let mut log = ChangeLog::with_limit(10);
        let owner = bounds(2, 10);
        log.begin(&target(0), raised(owner, bounds(5, 10)), owner, at(0));
        log.confirm(&target(0));
        for nth in 1..100 {
            log.begin(&target(nth), raised(owner, owner), owner, at(i64::from(nth)));
            log.confirm(&target(nth));
        }
        assert!(log.len() <= 10);
        assert_eq!(log.settle(&target(0), HpaState::new(bounds(5, 10)), at(200)).resting, owner);
    }
}
