//! [`Told`]: the last decisions about one workload, in words.

use std::collections::VecDeque;
use std::fmt::{Display, Write};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::decision::{ScalingDecision, Urgency};
use crate::policy::BoundsChange;
use crate::record::{DecisionRecord, Outcome, Step, told};

/// Entries that are kept.
const ENTRIES: usize = 12;
/// Bytes of the sentence of an entry.
const SENTENCE: usize = 200;
/// Bytes of all reasons of an entry.
const REASONS: usize = 260;
/// Bytes of the explanation of an entry.
const EXPLANATION: usize = 600;
/// Entries that keep their explanation, the newest: for all there is no room.
const EXPLAINED: usize = 4;

/// Text of at most so many bytes; what is cut off shows as `…`.
pub(super) fn capped(text: &impl Display, most: usize) -> String {
    let mut capped = Capped { text: String::new(), most };
    // Fails where the text is cut, so that the rest of a very long one is never written.
    if write!(capped, "{text}").is_err() {
        capped.text.push('…');
    }
    capped.text.shrink_to_fit();
    capped.text
}

struct Capped {
    text: String,
    most: usize,
}

impl Write for Capped {
    fn write_str(&mut self, more: &str) -> std::fmt::Result {
        let room = self.most.saturating_sub('…'.len_utf8()).saturating_sub(self.text.len());
        if more.len() <= room {
            self.text.push_str(more);
            return Ok(());
        }
        let end = (0..=room).rev().find(|end| more.is_char_boundary(*end)).unwrap_or(0);
        self.text.push_str(more.get(..end).unwrap_or_default());
        Err(std::fmt::Error)
    }
}

/// How ticks ended, as far as they are told together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Unchanged,
    Planned,
    Validated,
    Applied,
    Refused,
    Failed,
}

impl Kind {
    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Unchanged { .. } => Self::Unchanged,
            Outcome::Planned => Self::Planned,
            Outcome::Validated => Self::Validated,
            Outcome::Applied => Self::Applied,
            Outcome::Refused { .. } => Self::Refused,
            Outcome::Failed { .. } => Self::Failed,
        }
    }
}

/// Ticks one after the other that ended alike, in the words of the last.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Entry {
    /// First tick.
    from: DateTime<Utc>,
    /// Last tick.
    until: DateTime<Utc>,
    /// Number of ticks.
    ticks: u32,
    kind: Kind,
    /// What happened.
    words: String,
    /// Reasons, one a line, most important first.
    #[serde(skip_serializing_if = "String::is_empty")]
    why: String,
    /// All of it as a paragraph ([`DecisionRecord::explain`]); none of older entries.
    #[serde(skip_serializing_if = "String::is_empty")]
    explanation: String,
    /// What was decided; none without a decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    decided: Option<Decided>,
    /// The cause by which ticks are told together.
    #[serde(skip)]
    cause: Cause,
}

/// Pods asked for, before the guards.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Decided {
    /// Pods that were asked for before.
    current: u32,
    /// Pods wanted, with the floor.
    wanted: u32,
    urgency: Urgency,
    confidence: f64,
}

impl Decided {
    pub(super) fn of(decision: &ScalingDecision) -> Self {
        Self {
            current: decision.current_replicas,
            wanted: decision.wanted(),
            urgency: decision.urgency,
            confidence: decision.confidence.value(),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Cause {
    Label(&'static str),
    Guard(String),
    Step(Step),
    Change(Option<BoundsChange>),
}

impl Cause {
    fn of(record: &DecisionRecord) -> Self {
        match &record.outcome {
            Outcome::Unchanged { why } => Self::Label(why.label()),
            Outcome::Refused { guard, .. } => Self::Guard(capped(guard, super::NAME)),
            Outcome::Failed { step, .. } => Self::Step(*step),
            Outcome::Planned | Outcome::Validated | Outcome::Applied => Self::Change(record.change),
        }
    }

    fn bytes(&self) -> usize {
        if let Self::Guard(name) = self { name.capacity() } else { 0 }
    }
}

/// The last entries, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    entries: VecDeque<Entry>,
}

impl Told {
    pub(super) fn take(&mut self, record: &DecisionRecord) {
        let (kind, cause) = (Kind::of(&record.outcome), Cause::of(record));
        let (words, why) = (capped(&sentence(record), SENTENCE), reasons(record));
        let explanation = explained(record);
        let decided = record.decision.as_ref().map(Decided::of);
        // Two writes are two decisions, whatever they wrote.
        let alike = |last: &&mut Entry| last.kind == kind && last.cause == cause && kind != Kind::Applied;
        if let Some(last) = self.entries.back_mut().filter(alike) {
            last.ticks = last.ticks.saturating_add(1);
            (last.until, last.words, last.why, last.decided) = (record.at, words, why, decided);
            last.explanation = explanation;
            return;
        }
        if self.entries.capacity() == 0 {
            self.entries.reserve_exact(ENTRIES);
        }
        if self.entries.len() >= ENTRIES {
            self.entries.pop_front();
        }
        if let Some(older) = self.entries.len().checked_sub(EXPLAINED).and_then(|place| self.entries.get_mut(place)) {
            older.explanation = String::new();
        }
        let (from, until) = (record.at, record.at);
        self.entries.push_back(Entry { from, until, ticks: 1, kind, words, why, explanation, decided, cause });
    }

    /// The entries, newest first.
    pub(super) fn newest_first(&self) -> Vec<Entry> {
        self.entries.iter().rev().cloned().collect()
    }

    /// The sentence of the last tick.
    pub(super) fn last(&self) -> Option<(&Kind, &str)> {
        self.entries.back().map(|entry| (&entry.kind, entry.words.as_str()))
    }

    /// Memory beside the struct itself, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let texts = |entry: &Entry| {
            entry.words.capacity() + entry.why.capacity() + entry.explanation.capacity() + entry.cause.bytes()
        };
        self.entries.capacity() * size_of::<Entry>() + self.entries.iter().map(texts).sum::<usize>()
    }
}

/// The paragraph, as far as there is room, cut between words.
fn explained(record: &DecisionRecord) -> String {
    let mut explanation = told(&record.explain(), EXPLANATION);
    explanation.shrink_to_fit();
    explanation
}

/// What happened, in a sentence.
fn sentence(record: &DecisionRecord) -> String {
    let mut words = match (&record.outcome, record.change) {
        (Outcome::Planned | Outcome::Validated | Outcome::Applied, Some(change)) if !change.to_string().is_empty() => {
            format!("{}: {}", record.outcome, change.to_string().replace('\n', ", ").replace(" -> ", " → "))
        }
        _ => record.outcome.to_string(),
    };
    if let Some(withheld) = &record.withheld {
        let _ = write!(words, "; {withheld}");
    }
    words
}

/// The limits that guards set, the floor in force and the reasons of the decision, as many lines as there is room for.
fn reasons(record: &DecisionRecord) -> String {
    let limits = record.clamps.iter().map(|clamp| format!("limited by {clamp}"));
    let floor = record.floor.iter().map(|floor| match floor.until {
        Some(until) => format!("floor of {} until {}: {}", floor.replicas, until.format("%F %R UTC"), floor.reason),
        None => format!("floor of {}: {}", floor.replicas, floor.reason),
    });
    let decided = record.decision.iter().flat_map(|decision| &decision.reasons).map(ToString::to_string);
    let mut lines = String::new();
    for line in limits.chain(floor).chain(decided) {
        let line = capped(&line.replace('\n', " "), SENTENCE);
        if lines.len() + line.len() + '\n'.len_utf8() + '…'.len_utf8() > REASONS {
            lines.push('…');
            break;
        }
        let _ = writeln!(lines, "{line}");
    }
    lines.truncate(lines.trim_end().len());
    lines.shrink_to_fit();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::Bounds;
    use crate::record::Unchanged;
    use crate::state::ApplyMode;
    use crate::target::Target;

    fn record(second: i64, outcome: Outcome) -> DecisionRecord {
        let at = DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap();
        let mut record = DecisionRecord::new(Target::deployment("shop", "web"), at, ApplyMode::Apply);
        record.outcome = outcome;
        record
    }

    fn allowed(replicas: u32) -> Outcome {
        Outcome::Unchanged { why: Unchanged::Allowed { bounds: Bounds::new(3, 11).unwrap(), replicas } }
    }

    #[test]
    fn text_is_cut_between_characters_and_says_so() {
        assert_eq!(capped(&"short", 20), "short");
        let cut = capped(&"ä".repeat(1_000_000), 20);
        assert!(cut.len() <= 20 && cut.ends_with("ä…"), "{cut}");
        assert_eq!(capped(&"abc", 0), "…");
    }

    #[test]
    fn ticks_that_end_alike_are_told_once_in_the_words_of_the_last() {
        let mut told = Told::default();
        for (second, pods) in [(0, 5), (15, 6), (30, 7)] {
            told.take(&record(second, allowed(pods)));
        }
        let refused = |why: &str| Outcome::Refused { guard: "freshness".into(), why: why.into() };
        told.take(&record(45, refused("too old")));
        let entries = told.newest_first();
        let said: Vec<_> = entries.iter().map(|entry| (entry.ticks, entry.words.as_str())).collect();
        assert_eq!(said, [(1, "refused by freshness: too old"), (3, "unchanged: bounds 3..11 already allow 7")]);
        assert_eq!((entries[1].until - entries[1].from).num_seconds(), 30);
    }

    #[test]
    fn each_write_is_told_with_what_it_changed() {
        let mut told = Told::default();
        let mut applied = record(0, Outcome::Applied);
        let (old, new) = (Bounds::new(3, 11).unwrap(), Bounds::new(6, 12).unwrap());
        applied.change = Some(BoundsChange { old, new, released: 0, min_without_floor: None, resources: None });
        told.take(&applied);
        told.take(&applied);
        let entries = told.newest_first();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].words, "applied: minReplicas: 3 → 6, maxReplicas: 11 → 12");
    }
}
