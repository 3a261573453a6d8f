//! Learning from some days and judging by later ones: the only numbers that a schedule states of itself.

use scaling_core::stats::whole_pods;

use super::cells::{Cells, DAY_CELLS};
use super::profile::Sorted;
use super::seen::Seen;
use crate::Days;

/// Bins of the ratio of need to floor, and bins per 1: up to twice the profile, beyond which it is no profile of what comes.
const BINS: usize = 128;
const BINS_PER_ONE: f64 = 64.0;
/// Places for them: a power of two, so that none lies outside.
const PLACES: usize = 256;

/// A stretch of days that is judged by what came before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// Days before this one are learnt from.
    pub(super) learn: usize,
    /// Days up to this one are judged.
    pub(super) until: usize,
}

/// The second half of the days in two parts, each judged by all days before it; none for fewer than `least` days.
pub(super) fn origins(days: usize, least: usize) -> Vec<Origin> {
    if days < least {
        return Vec::new();
    }
    let (half, quarter) = (days.div_ceil(2), (days * 3).div_ceil(4));
    [(half, quarter), (quarter, days)]
        .into_iter()
        .filter(|(learn, until)| until > learn)
        .map(|(learn, until)| Origin { learn, until })
        .collect()
}

/// Pods that each cell of a week needs by the profiles of some kinds of days, wanted a lead earlier; not rounded.
pub(super) fn led_week(profiles: &[(Days, Vec<f64>)], lead: usize) -> Vec<f64> {
    let mut earlier: Vec<f64> = Vec::with_capacity(2 * 7 * DAY_CELLS);
    for (nth, day) in Days::DAILY.iter().enumerate() {
        let profile = profiles.iter().find(|(days, _)| days.contains(day)).map_or(&[][..], |(_, needs)| needs);
        let per_slot = DAY_CELLS / profile.len().max(1);
        for need in profile {
            earlier.extend(std::iter::repeat_n(*need, per_slot));
        }
        earlier.resize((nth + 1) * DAY_CELLS, 0.0);
    }
    // Of each cell the largest need up to a lead later.
    reach(earlier, lead, |need, later| if later > need { later } else { need })
}

/// Pods that are ready in each cell of a week of floors, or of needs: those that were asked for all of a lead before, for one that was
/// asked for later still starts.
pub(super) fn ready<T: Copy + PartialOrd>(week: &[T], lead: usize) -> Vec<T> {
    let lead = lead.min(week.len());
    let mut least = reach(week.to_vec(), lead, |size, later| if later < size { later } else { size });
    least.rotate_right(lead);
    least
}

/// Of each cell of a circle what is picked of it and the `lead` cells after it.
fn reach<T: Copy>(mut cells: Vec<T>, lead: usize, pick: impl Fn(T, T) -> T) -> Vec<T> {
    let (lead, mut reach) = (lead.min(cells.len()), 0);
    let mut ahead: Vec<T> = Vec::with_capacity(2 * cells.len());
    while reach < lead {
        // Doubling what has been reached, so that a lead of a day takes nine passes.
        let shift = (reach + 1).min(lead - reach);
        // The end of the week looks at its beginning.
        cells.extend_from_within(..shift);
        ahead.clear();
        ahead.extend(cells.iter().zip(cells.iter().skip(shift)).map(|(cell, later)| pick(*cell, *later)));
        std::mem::swap(&mut cells, &mut ahead);
        reach += shift;
    }
    cells
}

/// Work of judged days by the ratio of need to what the profile says: how much of it a factor on the profile would leave above.
#[derive(Debug)]
pub(super) struct Ratios {
    /// Of each third of a cell's need its own, so that one sum does not wait for the other.
    bins: [[f64; PLACES]; 3],
    total: f64,
}

impl Ratios {
    pub(super) fn new() -> Self {
        Self { bins: [[0.0; PLACES]; 3], total: 0.0 }
    }

    /// Adds the days of an origin under the needs of a week for which pods are ready.
    pub(super) fn add(&mut self, seen: &Seen, origin: Origin, week: &[f64]) {
        // A need where the profile has none is above every factor; no need there is not.
        let scales: Vec<f64> = week.iter().map(|need| (BINS_PER_ONE / need * (1.0 - 1e-9)).min(f64::MAX)).collect();
        for day in seen.days.iter().take(origin.until).skip(origin.learn) {
            let from = day.weekday.num_days_from_monday() as usize * DAY_CELLS;
            let scales = scales.get(from..).unwrap_or_default();
            for (cell, scale) in day.cells.iter().zip(scales).filter(|(cell, _)| cell.is_seen()) {
                let work = cell.work / 3.0;
                // As if needs lay evenly between the extremes of the cell.
                let shares = [1.0 / 6.0, 0.5, 5.0 / 6.0];
                for (bins, share) in self.bins.iter_mut().zip(shares) {
                    let bin = bin((cell.low + (cell.top - cell.low) * share) * scale);
                    if let Some(bin) = bins.get_mut(bin) {
                        *bin += work;
                    }
                }
                self.total += cell.work;
            }
        }
    }

    /// What is left without some of it.
    pub(super) fn without(&self, part: &Self) -> Self {
        let mut rest = Self { bins: self.bins, total: (self.total - part.total).max(0.0) };
        for (bin, part) in rest.bins.iter_mut().flatten().zip(part.bins.iter().flatten()) {
            *bin -= part;
        }
        rest
    }

    /// The smallest factor that leaves at most this share of the work above it, or the share that the largest leaves.
    pub(super) fn factor(&self, share: f64) -> Result<f64, f64> {
        let mut above = self.total;
        for bin in 0..BINS {
            above -= self.bins.iter().filter_map(|bins| bins.get(bin)).sum::<f64>();
            if above <= self.total * share + self.total * 1e-9 {
                return Ok((bin as f64 / BINS_PER_ONE).max(1.0 / BINS_PER_ONE));
            }
        }
        Err(if self.total > 0.0 { (above / self.total).clamp(0.0, 1.0) } else { 0.0 })
    }
}

/// The bin of a ratio, rounded up: without a call and without a branch, by the last bits of a number so large that it has no fraction.
#[inline]
#[allow(clippy::cast_possible_truncation)] // the last bits
fn bin(ratio: f64) -> usize {
    const WHOLE: f64 = (1_u64 << (f64::MANTISSA_DIGITS - 1)) as f64;
    const ALMOST_HALF: f64 = 0.5 - 1e-9;
    let ratio = if ratio < BINS as f64 { ratio } else { BINS as f64 };
    (ratio + ALMOST_HALF + WHOLE).to_bits() as usize % PLACES
}

/// Sums over judged days.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Judged {
    pub(super) ms: f64,
    pub(super) ms_above: f64,
    pub(super) work: f64,
    pub(super) work_above: f64,
    /// Pods held, times milliseconds.
    pub(super) pod_ms: f64,
}

impl Judged {
    pub(super) fn coverage(&self) -> f64 {
        if self.ms > 0.0 { 1.0 - self.ms_above / self.ms } else { 1.0 }
    }

    pub(super) fn violating_share(&self) -> f64 {
        if self.work > 0.0 { self.work_above / self.work } else { 0.0 }
    }

    pub(super) fn mean_pods(&self) -> f64 {
        if self.ms > 0.0 { self.pod_ms / self.ms } else { 0.0 }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            ms: self.ms + other.ms,
            ms_above: self.ms_above + other.ms_above,
            work: self.work + other.work,
            work_above: self.work_above + other.work_above,
            pod_ms: self.pod_ms + other.pod_ms,
        }
    }

    /// Adds a cell with so many pods ready, and so many asked for, which are paid. Returns the share of it in which more were needed.
    pub(super) fn take(&mut self, cell: &super::seen::Cell, ready: u32, asked: u32) -> f64 {
        let above = cell.above(f64::from(ready));
        self.ms += cell.ms;
        self.ms_above += cell.ms * above;
        self.work += cell.work;
        self.work_above += cell.work * above;
        self.pod_ms += cell.ms * f64::from(asked);
        above
    }
}

/// Floors of a week that judge held-out days: the pods that are asked for, and those that are ready.
#[derive(Clone, Debug)]
pub(super) struct Floors<'a> {
    asked: &'a Cells,
    ready: Vec<u32>,
}

impl<'a> Floors<'a> {
    pub(super) fn new(asked: &'a Cells, lead: usize) -> Self {
        Self { asked, ready: ready(asked.floors(), lead) }
    }
}

/// Floors that judge one held-out day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judge<'a> {
    pub(super) floors: &'a Floors<'a>,
    /// Part of the floors that the other held-out days would have chosen; 1 at most.
    pub(super) share: f64,
}

impl Judge<'_> {
    /// Pods of a cell of the week: ready, and asked for.
    pub(super) fn pods(&self, cell: usize, outside: u32) -> Option<(u32, u32)> {
        let (ready, asked) = (self.floors.ready.get(cell)?, self.floors.asked.floors().get(cell)?);
        Some(((*ready).max(outside), (*asked).max(outside)))
    }

    /// The same by what the other held-out days chose.
    pub(super) fn pods_by_others(&self, cell: usize, outside: u32) -> Option<(u32, u32)> {
        let (ready, asked) = (self.floors.ready.get(cell)?, self.floors.asked.floors().get(cell)?);
        let of = |floor: u32| if self.share < 1.0 { whole_pods(f64::from(floor) * self.share) } else { floor };
        Some((of(*ready).max(outside), of(*asked).max(outside)))
    }
}

/// Judges days by floors of a week, with `outside` pods at least and a lead in which pods start.
pub(super) fn judge(seen: &Seen, origin: Origin, floors: &Cells, outside: u32, lead: usize) -> Judged {
    let mut judged = Judged::default();
    let ready = ready(floors.floors(), lead);
    for day in seen.days.iter().take(origin.until).skip(origin.learn) {
        let from = day.weekday.num_days_from_monday() as usize * DAY_CELLS;
        let pods = ready.iter().zip(floors.floors()).skip(from);
        for (cell, (ready, asked)) in day.cells.iter().zip(pods).filter(|(cell, _)| cell.is_seen()) {
            judged.take(cell, (*ready).max(outside), (*asked).max(outside));
        }
    }
    judged
}

/// Needs of the days before an origin, by kinds of days; a kind that was not seen then follows all days.
pub(super) fn sorted(seen: &Seen, before: usize, kinds: &[Days], slot_minutes: u32) -> Vec<Sorted> {
    let known = || seen.days.iter().take(before);
    let of = |days: Days| {
        let days_or_all = if known().any(|day| days.contains(day.weekday)) { days } else { Days::DAILY };
        Sorted::new(known(), days_or_all, slot_minutes).standing_for(days)
    };
    kinds.iter().map(|days| of(*days)).collect()
}
