//! The shape of a day: pods that each slot of the day needed, over the days that were seen.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Timelike, Utc};
use scaling_core::{MetricsHistory, ScalingMetrics, stats};

use crate::{Days, Schedule};

const SECONDS_PER_DAY: i64 = 24 * 3600;

/// Need of each slot of each date that was seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    slot_minutes: u32,
    days: BTreeMap<NaiveDate, Vec<Option<f64>>>,
}

impl Seen {
    /// Sorts the need of each sample into the dates and slots of the wall clock.
    ///
    /// A sample stands for the time until the next one, at most for twice the usual interval: hourly samples fill half-hour
    /// slots, and an outage fills nothing. Within a slot of one day the `quantile` of its samples counts. A time that the
    /// calendar or the wall clock cannot express is left out.
    pub(super) fn new(
        history: &MetricsHistory,
        need: impl Fn(&ScalingMetrics) -> Option<f64>,
        clock: &Schedule,
        slot_minutes: u32,
        quantile: f64,
    ) -> Self {
        let longest = usual_interval(history) * 2;
        let slot = TimeDelta::minutes(i64::from(slot_minutes));
        let mut collected: BTreeMap<(NaiveDate, usize), Vec<f64>> = BTreeMap::new();
        let mut samples = history.iter().peekable();
        while let Some(sample) = samples.next() {
            let Some(need) = need(&sample).filter(|need| need.is_finite() && *need >= 0.0) else { continue };
            let until_next = samples.peek().map_or(longest / 2, |next| next.timestamp - sample.timestamp);
            let lasts = until_next.min(longest);
            let mut into = TimeDelta::zero();
            loop {
                let at = sample.timestamp.checked_add_signed(into);
                if let Some(place) = at.and_then(|at| place(clock, at, slot_minutes)) {
                    collected.entry(place).or_default().push(need);
                }
                into += slot;
                if into >= lasts {
                    break;
                }
            }
        }
        let slots = (24 * 60 / slot_minutes) as usize;
        let mut days: BTreeMap<NaiveDate, Vec<Option<f64>>> = BTreeMap::new();
        for ((date, index), mut needs) in collected {
            if let Some(place) = days.entry(date).or_insert_with(|| vec![None; slots]).get_mut(index) {
                *place = stats::quantile(&mut needs, quantile);
            }
        }
        Self { slot_minutes, days }
    }

    /// Days' worth of slots seen on these weekdays.
    fn days_seen(&self, days: Days) -> f64 {
        let slots: usize = self.on(days).map(|day| day.iter().flatten().count()).sum();
        slots as f64 * f64::from(self.slot_minutes) / f64::from(24 * 60)
    }

    fn on(&self, days: Days) -> impl Iterator<Item = &Vec<Option<f64>>> {
        self.days.iter().filter(move |(date, _)| days.contains(date.weekday())).map(|(_, slots)| slots)
    }

    /// The profile of these weekdays: the `quantile` over the days, per slot.
    pub(super) fn profile(&self, days: Days, quantile: f64) -> Profile {
        let slots = (24 * 60 / self.slot_minutes) as usize;
        let mut spread = (0.0, 0.0);
        let needs = (0..slots)
            .map(|index| {
                let mut seen: Vec<f64> = self.on(days).filter_map(|day| day.get(index).copied().flatten()).collect();
                let middle = stats::quantile(&mut seen, 0.5)?;
                spread.0 += seen.iter().map(|need| (need - middle).abs()).sum::<f64>();
                spread.1 += seen.iter().sum::<f64>();
                stats::quantile(&mut seen, quantile)
            })
            .collect();
        let spread = if spread.1 > 0.0 { (spread.0 / spread.1).min(1.0) } else { 0.0 };
        Profile { days, needs, days_seen: self.days_seen(days), spread }
    }
}

/// Pods that each slot of the day needed on some weekdays.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Weekdays it stands for.
    pub days: Days,
    /// Need of each slot in pods, not rounded; `None` where nothing was seen.
    pub needs: Vec<Option<f64>>,
    /// Days' worth of samples behind it.
    pub days_seen: f64,
    /// Mean distance of a day's need from that of the usual day, relative: 0 for days that are all alike.
    pub spread: f64,
}

impl Profile {
    /// Share of the slots that were seen, from 0 to 1.
    pub fn coverage(&self) -> f64 {
        self.needs.iter().flatten().count() as f64 / self.needs.len().max(1) as f64
    }

    /// Needs of all slots: one that was never seen needs as much as the larger of its neighbours.
    pub(super) fn filled(&self) -> Vec<f64> {
        let slots = self.needs.len();
        let seen = |index: usize| self.needs.get(index % slots).copied().flatten();
        (0..slots)
            .map(|index| {
                let before = (0..slots).find_map(|step| seen(index + slots - step));
                let after = (0..slots).find_map(|step| seen(index + step));
                before.unwrap_or(0.0).max(after.unwrap_or(0.0))
            })
            .collect()
    }
}

fn place(clock: &Schedule, at: DateTime<Utc>, slot_minutes: u32) -> Option<(NaiveDate, usize)> {
    let local = clock.wall_clock(at)?;
    let slot = local.num_seconds_from_midnight() / (slot_minutes * 60);
    Some((local.date(), slot as usize))
}

/// The median time between two samples; a day at most.
fn usual_interval(history: &MetricsHistory) -> TimeDelta {
    let times: Vec<i64> = history.iter().map(|sample| sample.timestamp.timestamp_millis()).collect();
    let mut steps: Vec<i64> = times.iter().zip(times.iter().skip(1)).map(|(a, b)| b - a).collect();
    let middle = stats::quantile_of(&mut steps, 0.5).unwrap_or(0);
    TimeDelta::milliseconds(middle.min(SECONDS_PER_DAY * 1000))
}

/// Time from the first sample to the end of the time that the last one stands for.
pub(super) fn span(history: &MetricsHistory) -> TimeDelta {
    match (history.oldest(), history.newest()) {
        (Some(oldest), Some(newest)) => newest - oldest + usual_interval(history),
        _ => TimeDelta::zero(),
    }
}
