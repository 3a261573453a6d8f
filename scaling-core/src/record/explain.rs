//! The explanation of a record: a paragraph for people, from a template.

use std::fmt::Write;

use chrono::{DateTime, Utc};

use super::{DecisionRecord, Outcome};
use crate::decision::{Floor, Reason, ScalingDecision, Urgency};
use crate::metrics::{ScalingMetrics, SignalKind};
use crate::resources::ResourceChange;
use crate::stats::{MAX_REPLICAS, grouped};

/// Bytes of the whole paragraph.
const PARAGRAPH: usize = 1500;
/// Bytes of a text that is not ours: an error, the reason of a guard.
const QUOTED: usize = 200;
/// Bytes of a name.
const NAME: usize = 80;
/// Reasons, limits and absences of each kind that are told; the rest shows as "and more".
const TOLD: usize = 3;

impl DecisionRecord {
    /// Explains the record in a short paragraph of English: what was seen, what was decided and why, what guards left of it, what
    /// came of it. At most 1,500 bytes, on one line.
    ///
    /// Every number in it is one of the record, rounded to the digits that are shown: a share may be told in percent, an instant in
    /// UTC. Control and invisible characters of names and errors become spaces, and a text that is too long is cut between words,
    /// so that no number is cut.
    ///
    /// ```
    /// use scaling_core::{ApplyMode, Bounds, DecisionRecord, NeedDriver, Outcome, Reason, ScalingDecision};
    /// use scaling_core::{ScalingMetrics, SignalKind, Target, Unchanged};
    ///
    /// let at = "2026-11-24T09:00:00Z".parse()?;
    /// let mut record = DecisionRecord::new(Target::deployment("shop", "checkout"), at, ApplyMode::Apply);
    /// record.metrics = Some(ScalingMetrics::new(at, 4).with(SignalKind::CpuUtilization, 85.0));
    /// let need = Reason::Need { driver: NeedDriver::Cpu, replicas: 5.31 };
    /// record.decision = Some(ScalingDecision::replicas("rules", at, 4, 6).with_confidence(0.9).because(need));
    /// record.outcome = Outcome::Unchanged { why: Unchanged::Allowed { bounds: Bounds::new(3, 11)?, replicas: 6 } };
    /// assert_eq!(
    ///     record.explain(),
    ///     "At 2026-11-24 09:00:00 UTC shop/Deployment/checkout had 4 ready pods, CPU at 85 %. rules asked for 6 pods instead of \
    ///      4, 90 % sure: CPU needs 5.31 pods. Nothing was changed: bounds 3..11 already allow 6."
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn explain(&self) -> String {
        let sentences = [
            Some(seen(self)),
            self.decision.as_ref().map(decided),
            self.floor.as_ref().map(held),
            self.undo.as_ref().map(|undo| told(&undo.to_string(), QUOTED)),
            limited(self),
            Some(ended(self)),
            self.withheld.as_ref().map(|withheld| format!("Besides, {}", told(&withheld.to_string(), QUOTED))),
        ];
        let mut paragraph = String::new();
        for sentence in sentences.into_iter().flatten() {
            if !paragraph.is_empty() {
                paragraph.push(' ');
            }
            paragraph.push_str(sentence.trim_end_matches(['.', ' ']));
            paragraph.push('.');
        }
        told(&paragraph, PARAGRAPH)
    }
}

/// Text on one line, at most so many bytes, cut between words; control and invisible characters become spaces. A number before the
/// cut goes as well: its unit may be what is cut off.
pub(crate) fn told(text: &str, most: usize) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control() || is_invisible(c)) {
        if word.is_empty() {
            continue;
        }
        if line.len() + 1 + word.len() + " …".len() > most {
            let has_digit = |word: &str| word.contains(|c: char| c.is_numeric());
            while line.rsplit(' ').next().is_some_and(has_digit) {
                line.truncate(line.rfind(' ').unwrap_or(0));
            }
            line.push_str(if line.is_empty() { "…" } else { " …" });
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

/// Zero-width, bidirectional, variation and tag characters: invisible, yet they change what is read.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
            | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}'
    )
}

fn instant(at: DateTime<Utc>) -> String {
    at.format("%F %T UTC").to_string()
}

/// The first few, and whether there are more.
fn few(all: impl Iterator<Item = String>, between: &str) -> String {
    let mut all = all;
    let mut listed = all.by_ref().take(TOLD).collect::<Vec<_>>().join(between);
    if all.next().is_some() {
        let _ = write!(listed, "{between}and more");
    }
    listed
}

fn seen(record: &DecisionRecord) -> String {
    let (at, target) = (instant(record.at), told(&record.target.to_string(), 3 * NAME));
    let Some(metrics) = &record.metrics else { return format!("At {at} nothing was measured of {target}") };
    let mut parts = Vec::new();
    // A record is written with no more pods than Kubernetes can store.
    let count = |pods: Option<u32>| pods.map(|pods| pods.min(MAX_REPLICAS));
    match (count(metrics.current_pod_count), count(metrics.desired_pod_count)) {
        (Some(ready), Some(asked)) if ready != asked => {
            parts.push(format!("{} and {asked} asked for", pods(ready, "ready ")));
        }
        (Some(ready), _) => parts.push(pods(ready, "ready ")),
        (None, Some(asked)) => parts.push(format!("{} asked for", pods(asked, ""))),
        (None, None) => parts.push("a number of pods that is not known".to_owned()),
    }
    parts.extend(SignalKind::ALL.into_iter().filter_map(|kind| signal(metrics, kind)));
    let mut sentence = format!("At {at} {target} had {}", parts.join(", "));
    let absent = metrics.absent_of(record.declared.unwrap_or_else(|| metrics.delivered()));
    let absent = few(absent.map(|(kind, cause)| format!("{kind} ({cause})")), ", ");
    if !absent.is_empty() {
        let _ = write!(sentence, "; there was no {absent}");
    }
    sentence
}

fn pods(number: u32, which: &str) -> String {
    format!("{number} {which}{}", if number == 1 { "pod" } else { "pods" })
}

fn signal(metrics: &ScalingMetrics, kind: SignalKind) -> Option<String> {
    let value = metrics.value(kind)?;
    Some(match kind {
        SignalKind::CpuUtilization => format!("CPU at {value:.0} %"),
        SignalKind::MemoryUtilization => format!("memory at {value:.0} %"),
        SignalKind::RequestRate => format!("{} requests/s", grouped(value, 1)),
        SignalKind::ResponseTime => format!("responses in {} ms", grouped(value, 0)),
        SignalKind::ErrorRate => format!("{value:.1} % errors"),
        SignalKind::ActiveConnections => format!("{} connections", grouped(value, 0)),
        SignalKind::QueueDepth => format!("{} waiting", grouped(value, 0)),
    })
}

fn decided(decision: &ScalingDecision) -> String {
    let (engine, current, desired) =
        (told(&decision.engine, NAME), decision.current_replicas, decision.desired_replicas);
    let mut sentence = if desired == current {
        format!("{engine} kept {}", pods(current, ""))
    } else {
        format!("{engine} asked for {} instead of {current}", pods(desired, ""))
    };
    if let Some(change) = decision.resources.and_then(ResourceChange::filled) {
        let ResourceChange { cpu_percent, memory_percent } = change;
        for (name, percent) in [("CPU", cpu_percent), ("memory", memory_percent)] {
            if percent != 0 {
                let _ = write!(sentence, ", and for {percent:+} % of {name} in each pod");
            }
        }
    }
    let _ = write!(sentence, ", {:.0} % sure", decision.confidence.value() * 100.0);
    match decision.urgency {
        Urgency::Low | Urgency::Normal => {}
        Urgency::High => sentence.push_str(" and urgent"),
        Urgency::Critical => sentence.push_str(" and very urgent"),
    }
    if let Some(cost) = decision.cost.filter(|cost| cost.per_month.is_finite() && cost.per_month != 0.0) {
        let verb = if cost.per_month > 0.0 { "costs" } else { "saves" };
        let amount = grouped(cost.per_month.abs(), 2);
        let _ = write!(sentence, ", which {verb} {amount} {} a month while it lasts", cost.currency);
    }
    let reasons = few(decision.reasons.iter().map(cause), "; ");
    if !reasons.is_empty() {
        let _ = write!(sentence, ": {reasons}");
    }
    sentence
}

/// A reason in words. Names in it are quoted as they are: an escape of a character would be a number that nobody measured.
fn cause(reason: &Reason) -> String {
    let text = match reason {
        Reason::Event { name, factor } => {
            format!("event \"{}\" brings {factor:.1} times the load", told(name, NAME))
        }
        Reason::Schedule { window, replicas } => {
            format!("window \"{}\" holds {}", told(window, NAME), pods(*replicas, ""))
        }
        // The 100 % that a capacity is meant at is no number of the record.
        capacity @ Reason::Capacity { .. } => capacity.to_string().replace("at 100 %", "when it is full"),
        other => other.to_string(),
    };
    told(&text, QUOTED)
}

fn held(floor: &Floor) -> String {
    let until =
        floor.until.map_or_else(|| "until nobody knows when".to_owned(), |end| format!("until {}", instant(end)));
    format!("A floor of {} is held {until}: {}", pods(floor.replicas, ""), cause(&floor.reason))
}

fn limited(record: &DecisionRecord) -> Option<String> {
    let limits = record.clamps.iter().map(|clamp| {
        let (guard, why) = (told(&clamp.guard, NAME), told(&clamp.why, QUOTED));
        format!("{guard} allowed {} instead of {} ({why})", clamp.to, clamp.from)
    });
    let limits = few(limits, "; ");
    (!limits.is_empty()).then(|| format!("Guards limited it: {limits}"))
}

fn ended(record: &DecisionRecord) -> String {
    let change = record.change.map(|change| change.to_string().replace('\n', ", ").replace(" -> ", " → "));
    let change = change.filter(|change| !change.is_empty()).map(|change| change + &amounts(record));
    match (&record.outcome, change) {
        (Outcome::Unchanged { why }, _) => format!("Nothing was changed: {why}"),
        (Outcome::Planned, Some(change)) => format!("Planned only, nothing left the process: {change}"),
        (Outcome::Planned, None) => "Planned only, nothing left the process".to_owned(),
        (Outcome::Validated, Some(change)) => format!("The API server would take this, nothing was stored: {change}"),
        (Outcome::Validated, None) => "The API server would take it, nothing was stored".to_owned(),
        (Outcome::Applied, Some(change)) => format!("Applied: {change}"),
        (Outcome::Applied, None) => "It was applied".to_owned(),
        (Outcome::Refused { guard, why }, _) => {
            format!("Nothing was changed: guard {} refused it, because {}", told(guard, NAME), told(why, QUOTED))
        }
        (Outcome::Failed { step, error, may_have_happened, .. }, _) => {
            let after = if *may_have_happened { "; the change may have been made all the same" } else { "" };
            format!("It failed to {step}: {}{after}", told(error, QUOTED))
        }
    }
}

/// What a pod requests before and after, where that is known.
fn amounts(record: &DecisionRecord) -> String {
    let Some((old, new)) = record.requests else { return String::new() };
    let each = [
        (old.cpu_millicores.zip(new.cpu_millicores), "millicores"),
        (old.memory_bytes.zip(new.memory_bytes), "bytes of memory"),
    ];
    let changed = each.into_iter().filter_map(|(amounts, unit)| {
        amounts.filter(|(old, new)| old != new).map(|(old, new)| format!("{old} → {new} {unit}"))
    });
    let changed: Vec<_> = changed.collect();
    if changed.is_empty() { String::new() } else { format!(" (a pod: {})", changed.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::Bounds;
    use crate::guard::{Clamp, Limit};
    use crate::policy::BoundsChange;
    use crate::state::ApplyMode;
    use crate::target::Target;

    fn record() -> DecisionRecord {
        let at = DateTime::from_timestamp(1_767_571_200, 0).unwrap();
        DecisionRecord::new(Target::deployment("shop", "web"), at, ApplyMode::Apply)
    }

    #[test]
    fn all_parts_are_told_in_their_order() {
        let mut record = record();
        let at = record.at;
        let metrics =
            ScalingMetrics::new(at, 3).with(SignalKind::RequestRate, 1234.56).with(SignalKind::ErrorRate, 0.25);
        record.metrics = Some(metrics.without(SignalKind::QueueDepth, crate::metrics::Absence::Stale { age_s: 90 }));
        let reasons = [Reason::Weekend, Reason::Errors { percent: 7.25 }, Reason::ScaledToZero, Reason::Weekend];
        let decision = ScalingDecision::replicas("rules", at, 3, 12).with_urgency(Urgency::Critical);
        record.decision = Some(reasons.into_iter().fold(decision, ScalingDecision::because));
        record.floor = Some(Floor::new(8, Reason::Schedule { window: "lunch".into(), replicas: 8 }).until(at));
        let (from, to) = (Limit::Replicas(12), Limit::Replicas(6));
        record.clamps = vec![Clamp { guard: "step".into(), from, to, why: "doubled at most".into() }];
        let (old, new) = (Bounds::new(1, 10).unwrap(), Bounds::new(8, 11).unwrap());
        record.change = Some(BoundsChange { old, new, released: 0, min_without_floor: None, resources: None });
        record.outcome = Outcome::Applied;
        assert_eq!(
            record.explain(),
            "At 2026-01-05 00:00:00 UTC shop/Deployment/web had 3 ready pods, 1,234.6 requests/s, 0.2 % errors; there was no \
             queue depth (stale for 90 s). rules asked for 12 pods instead of 3, 0 % sure and very urgent: a quiet weekend; \
             7.2 % of requests fail; scaled to zero by its owner; and more. A floor of 8 pods is held until 2026-01-05 \
             00:00:00 UTC: window \"lunch\" holds 8 pods. Guards limited it: step allowed 6 pods instead of 12 pods (doubled \
             at most). Applied: minReplicas: 1 → 8, maxReplicas: 10 → 11."
        );
    }

    #[test]
    fn a_tick_without_metrics_says_what_failed() {
        let mut record = record();
        let error = "x\u{202e}\n".repeat(10_000);
        record.outcome =
            Outcome::Failed { step: super::super::Step::Apply, error, transient: true, may_have_happened: true };
        let text = record.explain();
        assert!(text.starts_with("At 2026-01-05 00:00:00 UTC nothing was measured of shop/Deployment/web. It failed"));
        assert!(text.ends_with(" x …; the change may have been made all the same."), "{text}");
        assert!(text.len() < 400 && !text.contains(['\n', '\u{202e}']), "{text}");
    }

    #[test]
    fn text_is_cut_between_words() {
        assert_eq!(told("a  b\u{0}c", 20), "a b c");
        assert_eq!(told("some 12 345 678", 14), "some …");
        assert_eq!(told(&"7".repeat(1_000_000), 50), "…");
        assert_eq!(told("", 0), "");
    }
}
