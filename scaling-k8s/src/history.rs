//! History: which bounds were changed, by whom, why, and how to go back.
//!
//! A [`History`] is made of the records of an autoscaler ([`HistoryRecorder`] is one that keeps it) and of bounded size. A
//! [`Rollback`] goes back to before a change, through the guards as any other change, and only while what stands there is what we
//! wrote. A [`Watch`] looks at a workload for a while after a change, and goes back when a check of the host says that it
//! does harm. A history can be seen from outside as an annotation ([`History::annotation`]) and as Kubernetes Events ([`EventSeries`]).
//!
//! ```
//! use scaling_core::{ApplyMode, Bounds, BoundsChange, DecisionRecord, HpaState, Outcome, Target};
//! use scaling_core::chrono::DateTime;
//! use scaling_k8s::history::History;
//!
//! let target = Target::deployment("shop", "checkout");
//! let mut record = DecisionRecord::new(target.clone(), DateTime::UNIX_EPOCH, ApplyMode::Apply);
//! let (old, new) = (Bounds::new(2, 10)?, Bounds::new(6, 12)?);
//! record.change = Some(BoundsChange { old, new, released: 0, min_without_floor: None, resources: None });
//! record.outcome = Outcome::Applied;
//!
//! let mut history = History::new();
//! history.take(&record, "kube-scaling");
//! let change = history.of(&target).next().expect("it was applied");
//! let rollback = history.rollback(&target, change.number, HpaState::new(new))?;
//! assert_eq!(rollback.to(), old);
//! assert!(history.rollback(&target, change.number, HpaState::new(Bounds::new(7, 12)?)).is_err(), "somebody else wrote");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod event;
mod observed;
mod recorder;
mod rollback;
mod text;
mod watch;

use std::collections::{HashMap, VecDeque};
use std::fmt;

use scaling_core::chrono::{DateTime, Utc};
use scaling_core::{Applied, ApplyError, ApplyMode, Bounds, DecisionRecord, HpaPlan, Outcome, Target};
use serde::{Deserialize, Serialize};

pub use event::EventSeries;
#[cfg(feature = "controller")]
pub(crate) use event::{About, MAX_COMPONENT, MAX_MESSAGE, News, Series, is_early};
pub use observed::ObservedHealth;
pub use recorder::HistoryRecorder;
pub use rollback::{Rollback, RollbackRefused};
#[cfg(feature = "client")]
pub(crate) use text::with_change;
pub use text::{ANNOTATION, InvalidHistory, of_hpa};
pub use watch::{Health, HealthCheck, Look, Watch, WatchConfig, Watched};

/// Changes of one workload that are kept, if the host does not say otherwise.
const CHANGES: usize = 50;
/// Workloads that are kept, if the host does not say otherwise.
const TARGETS: usize = 20_000;
/// Longest reason that is kept, in bytes.
const MAX_WHY: usize = 600;

/// One change of the bounds of a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Number of the change in its history, from 1.
    #[serde(rename = "n")]
    pub number: u64,
    /// Instant of the tick.
    pub at: DateTime<Utc>,
    /// Whoever made it: the field manager, or the person that a host names.
    pub who: String,
    /// Reason, for people.
    pub why: String,
    /// Bounds before.
    pub before: Bounds,
    /// Bounds after.
    pub after: Bounds,
    /// The bounds of the HPA's owner at that time, where they were others than those before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resting: Option<Bounds>,
    /// True if the answer to the write was lost, and no read has told since whether it was made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncertain: bool,
    /// True if it undoes an earlier change.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undo: bool,
}

impl Change {
    /// Returns true if it lowers a bound.
    pub fn lowers(&self) -> bool {
        self.after.min() < self.before.min() || self.after.max() < self.before.max()
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, at, who, why, before, after, uncertain, .. } = self;
        let perhaps = if *uncertain { " (perhaps)" } else { "" };
        write!(f, "#{number} {at} {before} -> {after}{perhaps} by {who}: {why}")
    }
}

/// The latest changes of each workload, in memory of bounded size.
#[derive(Clone, Debug)]
pub struct History {
    targets: HashMap<Target, Entry>,
    changes: usize,
    limit: usize,
    /// Changes taken in so far: which workload was changed longest ago.
    clock: u64,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    changes: VecDeque<Change>,
    next: u64,
    touched: u64,
}

impl Default for History {
    fn default() -> Self {
        Self::with_limits(CHANGES, TARGETS)
    }
}

impl History {
    /// Empty; keeps 50 changes of each of 20,000 workloads.
    pub fn new() -> Self {
        Self::default()
    }

    /// Empty; keeps so many changes of each of so many workloads, at least one. Beyond that the oldest are forgotten.
    pub fn with_limits(changes: usize, targets: usize) -> Self {
        Self { targets: HashMap::new(), changes: changes.max(1), limit: targets.max(1), clock: 0 }
    }

    /// Takes in the record of a tick: a change that was applied, or may have been, by `who`. Every record with the HPA's bounds also tells
    /// what became of a change whose answer was lost.
    pub fn take(&mut self, record: &DecisionRecord, who: &str) {
        if let Some(found) = record.bounds {
            self.settle(&record.target, found);
        }
        let uncertain = match record.outcome {
            Outcome::Applied => false,
            Outcome::Failed { may_have_happened: true, .. } => true,
            _ => return,
        };
        let Some(change) = made(record, who) else { return };
        self.push(&record.target, |number| Change { number, uncertain, ..change });
    }

    /// Takes in what a host applied by itself, a [`Rollback`] for one: the plan, and the applier's answer to it.
    pub fn take_apply(
        &mut self,
        plan: &HpaPlan,
        answer: Result<&Applied, &ApplyError>,
        at: DateTime<Utc>,
        (who, why): (&str, &str),
    ) {
        let uncertain = match answer {
            Ok(Applied { mode: ApplyMode::Apply, changed: true }) => false,
            Err(error) if error.may_have_happened() => true,
            _ => return,
        };
        let (before, after) = (plan.old_bounds(), plan.new_bounds());
        if before == after {
            return;
        }
        let (who, why) = (cut(who, MAX_WHY), cut(why, MAX_WHY));
        let resting = Some(plan.resting()).filter(|resting| *resting != before);
        self.push(plan.target(), |number| Change {
            number,
            at,
            who,
            why,
            before,
            after,
            resting,
            uncertain,
            undo: false,
        });
    }

    /// The changes of a workload that are kept, oldest first.
    pub fn of<'a>(&'a self, target: &Target) -> impl DoubleEndedIterator<Item = &'a Change> + use<'a> {
        self.targets.get(target).into_iter().flat_map(|entry| &entry.changes)
    }

    /// Takes in the changes of a workload that were read back from its HPA ([`of_hpa`]), oldest first. What is kept of it already stays, and
    /// only what is later than that is taken in then, by its instant or by its number, for clocks may be wrong: changes that another process
    /// has made since. Of these one whose number is taken gets the next one.
    pub fn resume(&mut self, target: &Target, changes: Vec<Change>) {
        let kept = self.of(target).next_back().map(|newest| (newest.at, newest.number));
        let is_new = |change: &Change| kept.is_none_or(|(at, number)| change.at > at || change.number > number);
        for change in changes.into_iter().filter(is_new) {
            let mut number = change.number;
            self.push(target, |next| {
                number = if kept.is_some() { number.max(next) } else { number };
                Change { number, ..change }
            });
            if let Some(entry) = self.targets.get_mut(target) {
                entry.next = entry.next.max(number);
            }
        }
    }

    /// Returns the number that the next change of a workload will have.
    pub fn next_number(&self, target: &Target) -> u64 {
        self.targets.get(target).map_or(0, |entry| entry.next).saturating_add(1)
    }

    /// Forgets a workload.
    pub fn forget(&mut self, target: &Target) {
        self.targets.remove(target);
    }

    /// Returns the number of workloads with changes.
    pub fn len(&self) -> usize {
        self.targets.values().filter(|entry| !entry.changes.is_empty()).count()
    }

    /// Returns true if no change is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A read of the HPA settles a change whose answer was lost: it is there, or it was never made.
    pub(crate) fn settle(&mut self, target: &Target, found: Bounds) {
        let Some(entry) = self.targets.get_mut(target) else { return };
        let Some(last) = entry.changes.back_mut().filter(|last| last.uncertain) else { return };
        if found == last.before {
            // The entry stays: its next change has another number.
            entry.changes.pop_back();
        } else {
            // Of other bounds the writer is somebody else, and whether it was after ours or instead of it, nobody can tell.
            last.uncertain = found != last.after;
        }
    }

    fn push(&mut self, target: &Target, change: impl FnOnce(u64) -> Change) {
        if self.targets.len() >= self.limit && !self.targets.contains_key(target) {
            let oldest = self.targets.iter().min_by_key(|(_, entry)| entry.touched).map(|(target, _)| target.clone());
            if let Some(oldest) = oldest {
                self.targets.remove(&oldest);
            }
        }
        self.clock += 1;
        let entry = self.targets.entry(target.clone()).or_default();
        (entry.touched, entry.next) = (self.clock, entry.next.saturating_add(1));
        entry.changes.push_back(change(entry.next));
        if entry.changes.len() > self.changes {
            entry.changes.pop_front();
        }
    }
}

/// The change that a record is about, without its number; none if it is about none.
fn made(record: &DecisionRecord, who: &str) -> Option<Change> {
    let (Some(change), ApplyMode::Apply) = (record.change, record.mode) else { return None };
    let resting = record.resting.filter(|resting| *resting != change.old);
    (change.old != change.new).then(|| Change {
        number: 0,
        at: record.at,
        who: cut(who, MAX_WHY),
        why: why(record),
        before: change.old,
        after: change.new,
        resting,
        uncertain: false,
        undo: record.is_undo(),
    })
}

/// The reason of a change: what is undone; the floor, where the min is what it asks for; otherwise the engine's, first to last.
fn why(record: &DecisionRecord) -> String {
    if let Some(undo) = record.undo.as_ref().filter(|undo| undo.held.is_none()) {
        return cut(&undo.why, MAX_WHY);
    }
    let new = record.change.map(|change| change.new);
    let floor = record.floor.as_ref().filter(|floor| new.is_some_and(|new| new.min() == floor.replicas));
    let reasons: Vec<String> = match (floor, &record.decision) {
        (Some(floor), _) => vec![floor.reason.to_string()],
        (None, Some(decision)) => decision.reasons.iter().map(ToString::to_string).collect(),
        (None, None) => Vec::new(),
    };
    let clamps = record.clamps.iter().map(|clamp| format!("limited by {}", clamp.guard));
    let all: Vec<String> = reasons.into_iter().chain(clamps).collect();
    if all.is_empty() { "no reason was recorded".to_owned() } else { cut(&all.join("; "), MAX_WHY) }
}

/// The first part of a text, of so many bytes at most, on one line.
pub(crate) fn cut(text: &str, bytes: usize) -> String {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let kept = text.get(..end).unwrap_or_default();
    kept.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
