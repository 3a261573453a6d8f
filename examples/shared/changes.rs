//! The changes of a run, for people: [`Changes`].

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use scaling_core::backtest::is_dated;
use scaling_core::chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use scaling_core::{Bounds, DecisionRecord, Outcome, Reason, RecordError, Recorder, ScalingDecision};
use scaling_schedule::Tz;

/// More changes than this are told by the day.
const MOST_LINES: usize = 40;
/// Outages that are shorter are counted, not listed: a sample that was lost.
const SHORT: TimeDelta = TimeDelta::minutes(5);

/// One change of the bounds.
#[derive(Clone, Debug)]
struct Change {
    at: DateTime<Utc>,
    old: Bounds,
    new: Bounds,
    /// Pods that ran.
    pods: u32,
    why: String,
}

impl Change {
    /// Pods by which the bounds were raised.
    fn raised(&self) -> u32 {
        self.new.min().saturating_sub(self.old.min()) + self.new.max().saturating_sub(self.old.max())
    }
}

/// Time without a decision.
#[derive(Clone, Debug)]
struct Outage {
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    what: String,
}

impl Outage {
    fn lasts(&self) -> TimeDelta {
        self.until - self.from
    }
}

#[derive(Debug, Default)]
struct Seen {
    ticks: u64,
    changes: Vec<Change>,
    outages: Vec<Outage>,
    /// True if the last tick failed.
    failing: bool,
    refused: BTreeMap<String, u64>,
}

/// Keeps what a list of changes needs of each record, which is little.
#[derive(Clone, Debug, Default)]
pub struct Changes(Arc<Mutex<Seen>>);

impl Recorder for Changes {
    fn record(&self, record: &DecisionRecord) -> Result<(), RecordError> {
        let mut seen = self.seen();
        seen.ticks += 1;
        let failing = std::mem::replace(&mut seen.failing, matches!(record.outcome, Outcome::Failed { .. }));
        match &record.outcome {
            Outcome::Failed { error, .. } => {
                if let Some(outage) = seen.outages.last_mut().filter(|_| failing) {
                    outage.until = record.at;
                } else {
                    // Workload and instant in the message are those of the list and the line.
                    let workload = format!("{}: ", record.target);
                    let what = error.strip_prefix(&workload).unwrap_or(error);
                    let what = what.split(" at ").next().unwrap_or(what).to_owned();
                    seen.outages.push(Outage { from: record.at, until: record.at, what });
                }
            }
            Outcome::Refused { guard, .. } => *seen.refused.entry(guard.clone()).or_default() += 1,
            _ => {}
        }
        if let Some(change) = record.change.filter(|change| record.is_applied() && change.old != change.new) {
            let pods = record.metrics.as_ref().and_then(|metrics| metrics.current_pod_count).unwrap_or_default();
            let why = why(record, change.new.min() > change.old.min() || change.new.max() > change.old.max());
            seen.changes.push(Change { at: record.at, old: change.old, new: change.new, pods, why });
        }
        Ok(())
    }
}

impl Changes {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line for each change and each outage or, if there are many and `all` is not wanted, a line for each day with the
    /// largest change of it.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, zone: Tz, all: bool, out: &mut impl Write) -> io::Result<()> {
        let seen = self.seen();
        let by_day = !all && seen.changes.len() > MOST_LINES;
        writeln!(out, "{} decisions, {} changes of the bounds", seen.ticks, seen.changes.len())?;
        for (guard, times) in &seen.refused {
            writeln!(out, "refused by the guard {guard}: {times} times")?;
        }
        if by_day {
            writeln!(out, "of each day the change that raised them most (--verbose for all):")?;
        }
        writeln!(out, "\n{:<20} {:>8}   {:<8} {:>9}  why", format!("when ({zone})"), "min..max", "", "pods run")?;
        let mut lines: Vec<(DateTime<Utc>, String)> = Vec::new();
        if by_day {
            for (_, changes) in days(&seen.changes, zone) {
                let Some(largest) = changes.iter().max_by_key(|change| change.raised()) else { continue };
                lines.push((largest.at, format!("{}; {} changes that day", Line(*largest, zone), changes.len())));
            }
        } else {
            lines.extend(seen.changes.iter().map(|change| (change.at, Line(change, zone).to_string())));
        }
        let (long, short): (Vec<_>, Vec<_>) = seen.outages.iter().partition(|outage| outage.lasts() >= SHORT);
        lines.extend(long.into_iter().map(|outage| (outage.from, Line(outage, zone).to_string())));
        lines.sort_by_key(|(at, _)| *at);
        lines.iter().try_for_each(|(_, line)| writeln!(out, "{line}"))?;
        if !short.is_empty() {
            let (times, minutes) = (short.len(), SHORT.num_minutes());
            writeln!(
                out,
                "{times} times there was no decision for less than {minutes} minutes, and the bounds were left alone"
            )?;
        }
        Ok(())
    }
}

/// One change, or one outage, as a line.
struct Line<'a, T>(&'a T, Tz);

impl fmt::Display for Line<'_, Outage> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(outage, zone) = self;
        let minutes = outage.lasts().num_minutes();
        write!(f, "{:<20} no decision for {minutes} min, bounds left alone: {}", when(outage.from, *zone), outage.what)
    }
}

impl fmt::Display for Line<'_, Change> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(change, zone) = self;
        let (old, new) = (change.old.to_string(), change.new.to_string());
        write!(f, "{:<20} {old:>8} → {new:<8} {:>9}  {}", when(change.at, *zone), change.pods, change.why)
    }
}

/// An instant with its day of the week; of a clock without dates, the day and the time since it began.
pub fn when(at: DateTime<Utc>, zone: Tz) -> String {
    if !is_dated(at) {
        return format!("day {} {}", at.timestamp().div_euclid(86_400) + 1, at.format("%H:%M"));
    }
    at.with_timezone(&zone).format("%a %Y-%m-%d %H:%M").to_string()
}

fn days(changes: &[Change], zone: Tz) -> BTreeMap<NaiveDate, Vec<&Change>> {
    let mut days: BTreeMap<NaiveDate, Vec<&Change>> = BTreeMap::new();
    for change in changes {
        days.entry(change.at.with_timezone(&zone).date_naive()).or_default().push(change);
    }
    days
}

/// The cause of a change in words, with its numbers, and the guard that allowed less than was wanted.
fn why(record: &DecisionRecord, grows: bool) -> String {
    let Some(decision) = &record.decision else { return "a floor begins or ends; there is no decision".to_owned() };
    let cause = cause(decision, grows).map(|cause| format!(": {cause}")).unwrap_or_default();
    let clamp = record.clamps.last().map(|clamp| format!(", {} (guard {})", clamp.to, clamp.guard)).unwrap_or_default();
    format!("{}{clamp}{cause}", size(decision))
}

/// The pods that are wanted and, where they are fewer, those that would carry the load.
fn size(decision: &ScalingDecision) -> String {
    let wanted = decision.wanted();
    let carried = decision.reasons.iter().find_map(|reason| match reason {
        Reason::Need { replicas, .. } => Some(replicas.ceil()),
        _ => None,
    });
    let how = if wanted > decision.desired_replicas {
        "held as a floor"
    } else if wanted <= decision.current_replicas {
        "kept"
    } else {
        "wanted with headroom"
    };
    match carried.filter(|carried| *carried < f64::from(wanted)) {
        Some(carried) => format!("{carried:.0} pods carry it, {wanted} {how}"),
        None => format!("{wanted} pods wanted"),
    }
}

/// The reason that a reader looks for first: what is wrong now, then what is expected, then what is there.
fn cause(decision: &ScalingDecision, grows: bool) -> Option<&Reason> {
    let rank = |reason: &Reason| match reason {
        Reason::Event { .. } | Reason::Schedule { .. } => 0,
        Reason::Backlog { .. } | Reason::Errors { .. } | Reason::Saturated { .. } if grows => 1,
        Reason::Forecast { .. } => 2,
        Reason::Load { .. } | Reason::MemoryPressure { .. } => 3,
        Reason::RecentDemand { .. } | Reason::OverProvisioned { .. } => 4,
        Reason::Need { .. } => 5,
        _ => 6,
    };
    decision.reasons.iter().min_by_key(|reason| rank(reason))
}

#[cfg(test)]
mod tests {
    use scaling_core::NeedDriver;

    use super::*;

    #[test]
    fn the_need_is_told_beside_what_is_wanted_of_it() {
        let need = |replicas| Reason::Need { driver: NeedDriver::Demand, replicas };
        let decision = |current, desired| ScalingDecision::replicas("test", DateTime::UNIX_EPOCH, current, desired);
        assert_eq!(size(&decision(4, 8).because(need(6.2))), "7 pods carry it, 8 wanted with headroom");
        assert_eq!(size(&decision(8, 8).because(need(4.9))), "5 pods carry it, 8 kept");
        assert_eq!(size(&decision(4, 8).because(need(7.5))), "8 pods wanted");
        assert_eq!(size(&decision(4, 8)), "8 pods wanted");
    }

    #[test]
    fn a_clock_without_dates_tells_elapsed_time() {
        let at = |second| DateTime::from_timestamp(second, 0).unwrap();
        assert_eq!(when(at(86_400 + 3_660), Tz::Europe__Berlin), "day 2 01:01");
        assert_eq!(when(at(1_767_607_200), Tz::Europe__Berlin), "Mon 2026-01-05 11:00");
    }
}
