//! What is told of a tick while it runs for days: changes, and failures when they begin and end.

use std::collections::HashMap;

use scaling_core::live::Ticked;
use scaling_core::{DecisionRecord, Outcome, Target};

use super::looping::Tell;

/// Tells what is new, workload by workload.
pub(super) struct Telling {
    tell: Tell,
    last: HashMap<Target, String>,
}

impl Telling {
    pub(super) fn new(tell: Tell) -> Self {
        Self { tell, last: HashMap::new() }
    }

    pub(super) fn ticked(&mut self, tick: &Ticked) {
        for record in &tick.records {
            let line = line(record);
            let before = self.last.get(&record.target);
            let is_news = match (&line, before) {
                (None, None) => false,
                (Some(line), Some(before)) => line != before,
                _ => true,
            };
            if !is_news {
                continue;
            }
            let said = line.as_deref().unwrap_or("all is well again");
            (self.tell)(&format!("{} {}: {said}", tick.at.format("%F %T"), record.target));
            match line {
                Some(line) => self.last.insert(record.target.clone(), line),
                None => self.last.remove(&record.target),
            };
        }
        for error in &tick.unrecorded {
            (self.tell)(&format!("{} a record was not kept: {error}", tick.at.format("%F %T")));
        }
        for target in &tick.cut_off {
            (self.tell)(&format!("{} {target}: cut off at the deadline of the tick", tick.at.format("%F %T")));
        }
    }
}

/// What is worth a line: a change, or a failure. A refusal is in the records.
fn line(record: &DecisionRecord) -> Option<String> {
    let failure = [Some(&record.outcome), record.withheld.as_ref()].into_iter().flatten().find_map(|outcome| {
        let Outcome::Failed { step, error, .. } = outcome else { return None };
        // Told once, though its numbers change at every tick.
        let error = error.split("not asked").next().unwrap_or_default();
        Some(format!("failed to {step}: {error}"))
    });
    let change = record.change.filter(|change| change.old != change.new).map(|change| {
        let why = record.decision.as_ref().and_then(|decision| decision.reasons.first());
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        let (from, to) = (change.old, change.new);
        let unchanged = matches!(record.outcome, Outcome::Failed { .. });
        if unchanged { String::new() } else { format!("{}, bounds {from} → {to}{why}", record.outcome) }
    });
    match (change.filter(|change| !change.is_empty()), failure) {
        (None, failure) => failure,
        (change, None) => change,
        (Some(change), Some(failure)) => Some(format!("{change}; {failure}")),
    }
}
