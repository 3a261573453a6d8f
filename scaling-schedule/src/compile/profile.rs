//! The shape of a day: pods that each slot of the day needed, over the days that were seen.

use scaling_core::stats;

use super::cells::{CELL_MINUTES, DAY_CELLS};
use super::seen::{Day, HALF_HOUR};
use crate::Days;

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
}

/// The largest needs of each slot over some days, sorted, so that any quantile is at hand.
#[derive(Clone, Debug)]
pub(super) struct Sorted {
    days: Days,
    /// Slot after slot.
    values: Vec<f64>,
    /// End of each slot in them.
    ends: Vec<usize>,
}

impl Sorted {
    pub(super) fn new<'a>(seen: impl Iterator<Item = &'a Day>, days: Days, slot_minutes: u32) -> Self {
        let per_slot = (slot_minutes / CELL_MINUTES).max(1) as usize;
        let half_hours = (per_slot / HALF_HOUR).max(1);
        let such: Vec<&Day> = seen.filter(|day| days.contains(day.weekday)).collect();
        let slots = DAY_CELLS.div_ceil(per_slot);
        let (mut values, mut ends) = (Vec::with_capacity(such.len() * slots), Vec::with_capacity(slots));
        for slot in 0..slots {
            let start = values.len();
            for day in &such {
                let tops = day.tops.iter().skip(slot * half_hours).take(half_hours);
                let top = tops.copied().fold(f64::NEG_INFINITY, f64::max);
                if top >= 0.0 {
                    values.push(top);
                }
            }
            if let Some(here) = values.get_mut(start..) {
                here.sort_unstable_by(f64::total_cmp);
            }
            ends.push(values.len());
        }
        Self { days, values, ends }
    }

    /// The needs of each slot.
    fn slots(&self) -> impl Iterator<Item = &[f64]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| self.values.get(start..*end).unwrap_or_default())
    }

    pub(super) fn days(&self) -> Days {
        self.days
    }

    /// The same, for other days.
    pub(super) fn standing_for(self, days: Days) -> Self {
        Self { days, ..self }
    }

    /// The quantile over the days of each slot; one that was never seen needs as much as the larger of its neighbours.
    pub(super) fn filled(&self, quantile: f64) -> Vec<f64> {
        let needs: Vec<Option<f64>> = self.slots().map(|slot| of_sorted(slot, quantile)).collect();
        let slots = needs.len();
        let seen = |index: usize| needs.get(index % slots.max(1)).copied().flatten();
        (0..slots)
            .map(|index| {
                let before = || (0..slots).find_map(|step| seen(index + slots - step)).unwrap_or(0.0);
                let after = || (0..slots).find_map(|step| seen(index + step)).unwrap_or(0.0);
                seen(index).unwrap_or_else(|| before().max(after()))
            })
            .collect()
    }

    pub(super) fn profile(&self, quantile: f64, days_seen: f64) -> Profile {
        let mut spread = (0.0, 0.0);
        for slot in self.slots() {
            let middle = of_sorted(slot, 0.5).unwrap_or(0.0);
            spread.0 += slot.iter().map(|need| (need - middle).abs()).sum::<f64>();
            spread.1 += slot.iter().sum::<f64>();
        }
        let spread = if spread.1 > 0.0 { (spread.0 / spread.1).min(1.0) } else { 0.0 };
        let needs = self.slots().map(|slot| of_sorted(slot, quantile)).collect();
        Profile { days: self.days, needs, days_seen, spread }
    }
}

/// A quantile by nearest rank, as [`stats::quantile`], of values that are in order.
fn of_sorted(values: &[f64], quantile: f64) -> Option<f64> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a share of a length
    let rank = (quantile * values.len() as f64 * (1.0 - 1e-9)).ceil() as usize;
    values.get(rank.clamp(1, values.len().max(1)) - 1).copied()
}

/// The median of some values; 0 of none.
pub(super) fn median(values: &mut [f64]) -> f64 {
    stats::quantile(values, 0.5).unwrap_or(0.0)
}
