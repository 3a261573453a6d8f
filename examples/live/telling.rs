//! What is told of a tick while it runs for days: changes, and what is wrong when it begins and ends.

use std::collections::{BTreeMap, HashMap};

use scaling_core::chrono::{DateTime, Utc};
use scaling_core::live::Ticked;
use scaling_core::{Bounds, DecisionRecord, Outcome, Step, Target};

use super::looping::Tell;
use super::source::Finding;

/// Tells what is new, workload by workload.
pub struct Telling {
    tell: Tell,
    last: HashMap<Target, News>,
    down: bool,
    cut_off: bool,
    /// What is wrong with the source's answers: how the line about its end begins, by what it is about.
    findings: BTreeMap<String, &'static str>,
}

/// What makes a line about a workload news. Neither the words of an error nor those of a reason: their numbers differ at every tick.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct News {
    failing: Option<Step>,
    /// Bounds that were set or, in a dry run, would be.
    bounds: Option<Bounds>,
}

impl std::fmt::Debug for Telling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telling").field("down", &self.down).finish_non_exhaustive()
    }
}

impl Telling {
    /// Tells nothing twice in a row.
    pub fn new(tell: Tell) -> Self {
        Self { tell, last: HashMap::new(), down: false, cut_off: false, findings: BTreeMap::new() }
    }

    /// Tells what is new of a tick.
    pub fn ticked(&mut self, tick: &Ticked) {
        self.source(tick);
        for record in &tick.records {
            let news = News::of(record);
            // Said once for all of them.
            if !tick.answered && news.failing == Some(Step::Observe) && news.bounds.is_none() {
                continue;
            }
            let before = self.last.get(&record.target).copied().unwrap_or_default();
            if news == before {
                continue;
            }
            if let Some(said) = line(record).or_else(|| before.failing.map(|_| "all is well again".to_owned())) {
                self.say(tick.at, &format!("{}: {said}", record.target));
            }
            if news == News::default() {
                self.last.remove(&record.target);
            } else {
                self.last.insert(record.target.clone(), news);
            }
        }
        for error in &tick.unrecorded {
            self.say(tick.at, &format!("a record was not kept: {error}"));
        }
        match (tick.cut_off.as_slice(), self.cut_off) {
            ([first, ..], false) => {
                let number = tick.cut_off.len();
                self.say(tick.at, &format!("{number} workloads were cut off at the deadline of the tick: {first}, …"));
            }
            ([], true) => self.say(tick.at, "no workload is cut off any more"),
            _ => {}
        }
        self.cut_off = !tick.cut_off.is_empty();
    }

    /// A source that is down fails for every workload, which is one piece of news.
    fn source(&mut self, tick: &Ticked) {
        if tick.answered != self.down {
            return;
        }
        self.down = !tick.answered;
        if tick.answered {
            return self.say(tick.at, "the source answers again");
        }
        let why = tick.records.iter().find_map(|record| failure(record).filter(|(step, _)| *step == Step::Observe));
        let why = why.map_or_else(|| "no answer".to_owned(), |(_, error)| error.to_owned());
        self.say(tick.at, &format!("the source is down, {} workloads failed to observe: {why}", tick.records.len()));
    }

    /// What was found in the answers of a source that did answer.
    pub(super) fn asked(&mut self, at: DateTime<Utc>, findings: Vec<Finding>) {
        let mut present = BTreeMap::new();
        for Finding { about, ended, said } in findings {
            present.entry(about).or_insert((ended, said));
        }
        for (about, (_, line)) in present.iter().filter(|(about, _)| !self.findings.contains_key(*about)) {
            self.say(at, &format!("{about}: {line}"));
        }
        for (about, ended) in self.findings.iter().filter(|(about, _)| !present.contains_key(*about)) {
            self.say(at, &format!("{about}: {ended}"));
        }
        self.findings = present.into_iter().map(|(about, (ended, _))| (about, ended)).collect();
    }

    fn say(&self, at: DateTime<Utc>, line: &str) {
        (self.tell)(&format!("{} {line}", at.format("%F %T")));
    }
}

impl News {
    fn of(record: &DecisionRecord) -> Self {
        let failing = failure(record).map(|(step, _)| step);
        Self { failing, bounds: changed(record).map(|(_, to)| to) }
    }
}

/// The step that failed, and why.
fn failure(record: &DecisionRecord) -> Option<(Step, &str)> {
    [Some(&record.outcome), record.withheld.as_ref()].into_iter().flatten().find_map(|outcome| match outcome {
        Outcome::Failed { step, error, .. } => Some((*step, error.as_str())),
        _ => None,
    })
}

/// The bounds before and after, if they were changed or would be.
fn changed(record: &DecisionRecord) -> Option<(Bounds, Bounds)> {
    let change = record.change.filter(|change| change.old != change.new)?;
    (!matches!(record.outcome, Outcome::Failed { .. })).then_some((change.old, change.new))
}

/// What is worth a line: a change, or a failure. A refusal is in the records.
fn line(record: &DecisionRecord) -> Option<String> {
    let failure = failure(record).map(|(step, error)| format!("failed to {step}: {error}"));
    let change = changed(record).map(|(from, to)| {
        let why = record.decision.as_ref().and_then(|decision| decision.reasons.first());
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        format!("{}, bounds {from} → {to}{why}", record.outcome)
    });
    match (change, failure) {
        (None, failure) => failure,
        (change, None) => change,
        (Some(change), Some(failure)) => Some(format!("{change}; {failure}")),
    }
}
