//! Questions that were put lately, and their answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use scaling_core::Target;
use scaling_core::chrono::{DateTime, Utc};
use tokio::task::AbortHandle;

use super::key::QuestionKey;
use super::{Mishap, Reading};
use crate::stats::AdviceOutcome;

/// Workloads that are remembered at most; beyond it the one that was asked about first is forgotten.
const TARGETS_AT_MOST: usize = 10_000;

/// Questions of one workload that are remembered at most.
const QUESTIONS_AT_MOST: usize = 4;

#[derive(Debug, Default)]
pub(super) struct Memory {
    targets: HashMap<Arc<Target>, Asked>,
    /// Number of questions so far: the order of them, whatever the clocks say.
    questions: u64,
    /// Questions that nobody waits for any more.
    ended: Vec<AbortHandle>,
}

#[derive(Debug, Default)]
struct Asked {
    /// Fingerprint of what the workload is.
    spec: u64,
    questions: Vec<Entry>,
    newest: u64,
    task: Option<AbortHandle>,
}

#[derive(Debug)]
struct Entry {
    nth: u64,
    key: QuestionKey,
    at: DateTime<Utc>,
    state: State,
}

#[derive(Debug)]
enum State {
    UnderWay,
    Read {
        reading: Reading,
        /// True once its outcome is counted: it was used, dropped, or cannot be used at all.
        counted: bool,
    },
}

/// State of a question.
#[derive(Debug)]
pub(super) enum Known {
    /// Nothing.
    New,
    /// It is under way.
    UnderWay,
    /// Another one about this workload is under way.
    Busy,
    /// Its answer is fresh; `first` is true for the first time that it is used.
    Fresh { reading: Reading, first: bool },
    /// It was put, and its answer is no longer fresh.
    Stale,
}

impl Memory {
    /// Looks a question up, and drops what is out of date. `stale` is called for each answer that was never used.
    pub(super) fn look(
        &mut self,
        target: &Target,
        spec: u64,
        key: &QuestionKey,
        now: DateTime<Utc>,
        (fresh_for, kept_for): (Duration, Duration),
        mut stale: impl FnMut(),
    ) -> Known {
        let Some(asked) = self.targets.get_mut(target) else { return Known::New };
        if asked.spec != spec {
            self.forget(target, stale);
            return Known::New;
        }
        for entry in &mut asked.questions {
            // An instant that lies ahead was set by a clock that has jumped back since: the answer lives once more at most.
            entry.at = entry.at.min(now);
            if age(entry.at, now) > fresh_for {
                entry.drop_unused(&mut stale);
            }
        }
        asked.questions.retain(|entry| entry.is_under_way() || age(entry.at, now) <= kept_for.max(fresh_for));
        // The newest first: a question may be near to two that were put.
        let same = asked.questions.iter_mut().rev().find(|entry| entry.key.is_same(key));
        match same {
            Some(Entry { state: State::UnderWay, .. }) => return Known::UnderWay,
            Some(Entry { at, state: State::Read { reading, counted }, .. }) if age(*at, now) <= fresh_for => {
                return Known::Fresh { reading: reading.clone(), first: !std::mem::replace(counted, true) };
            }
            Some(_) | None => {}
        }
        let was_put = same.is_some();
        if asked.questions.iter().any(Entry::is_under_way) {
            Known::Busy
        } else if was_put {
            Known::Stale
        } else {
            Known::New
        }
    }

    /// Remembers a question that is put now, and returns its number.
    pub(super) fn put(
        &mut self,
        target: &Arc<Target>,
        spec: u64,
        key: QuestionKey,
        now: DateTime<Utc>,
        mut stale: impl FnMut(),
    ) -> u64 {
        if self.targets.len() >= TARGETS_AT_MOST && !self.targets.contains_key(target) {
            let first = self.targets.iter().min_by_key(|(_, asked)| asked.newest).map(|(target, _)| Arc::clone(target));
            if let Some(first) = first {
                self.forget(&first, &mut stale);
            }
        }
        self.questions += 1;
        let asked = self.targets.entry(Arc::clone(target)).or_default();
        (asked.spec, asked.newest) = (spec, self.questions);
        let is_replaced = |entry: &Entry| entry.key.is_same(&key);
        if let Some(place) = asked.questions.iter().position(is_replaced) {
            asked.questions.remove(place).drop_unused(&mut stale);
        } else if asked.questions.len() >= QUESTIONS_AT_MOST {
            asked.questions.remove(0).drop_unused(&mut stale);
        }
        asked.questions.push(Entry { nth: self.questions, key, at: now, state: State::UnderWay });
        self.questions
    }

    /// Remembers the task of a question, unless its answer is there already.
    pub(super) fn runs(&mut self, target: &Target, nth: u64, task: AbortHandle) {
        if let Some(asked) = self.targets.get_mut(target)
            && asked.questions.iter().any(|entry| entry.nth == nth && entry.is_under_way())
        {
            asked.task = Some(task);
        }
    }

    /// Enters the reading of an answer; `counted` says that its outcome is counted already. Returns false if nobody remembers the question.
    pub(super) fn answered(&mut self, target: &Target, nth: u64, reading: Reading, counted: bool) -> bool {
        let Some(asked) = self.targets.get_mut(target) else { return false };
        let Some(entry) = asked.questions.iter_mut().find(|entry| entry.nth == nth) else { return false };
        entry.state = State::Read { reading, counted };
        asked.task = None;
        true
    }

    /// Forgets a workload, and the question about it that is under way.
    pub(super) fn forget(&mut self, target: &Target, mut stale: impl FnMut()) {
        let Some(asked) = self.targets.remove(target) else { return };
        for mut entry in asked.questions {
            entry.drop_unused(&mut stale);
        }
        self.ended.extend(asked.task);
    }

    /// Gives every question up.
    pub(super) fn end(&mut self) {
        self.ended.extend(self.targets.values_mut().filter_map(|asked| asked.task.take()));
    }

    /// Questions that nobody waits for any more, to be ended without the lock: what is ended looks for itself here.
    pub(super) fn take_ended(&mut self) -> Vec<AbortHandle> {
        std::mem::take(&mut self.ended)
    }
}

impl Entry {
    fn is_under_way(&self) -> bool {
        matches!(self.state, State::UnderWay)
    }

    fn drop_unused(&mut self, stale: &mut impl FnMut()) {
        if let State::Read { counted, reading } = &mut self.state
            && !std::mem::replace(counted, true)
        {
            *reading = Err(Mishap { outcome: AdviceOutcome::Stale, why: "it came too late".into() });
            stale();
        }
    }
}

/// Time since an instant; none for one that lies ahead.
fn age(at: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (now - at).to_std().unwrap_or_default()
}
