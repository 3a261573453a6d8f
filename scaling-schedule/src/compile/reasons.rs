//! Why each window: the numbers of its own days.

use chrono::TimeDelta;

use super::cells::{CELL_MINUTES, Cells, DAY_CELLS};
use super::held_out::{Floors, Judge, Judged};
use super::profile::median;
use super::seen::Seen;
use super::windows::{first_cell_of_its_day, holders};
use super::{CompileConfig, WindowConfidence, WindowReason};
use crate::Window;

/// What is known of one window.
#[derive(Clone, Debug, Default)]
struct Numbers {
    /// First cell of a day that belongs to the opening of that day.
    first_cell: usize,
    /// Largest need of each opening.
    peaks: Vec<f64>,
    /// Of each opening that was held out and tells: true if it was held.
    held: Vec<bool>,
    all: Judged,
    held_out: Judged,
    hours_a_week: f64,
    opening: Opening,
}

/// The time from one opening of a window to its end, as far as no higher window is open.
#[derive(Clone, Copy, Debug, Default)]
struct Opening {
    /// The date on which it opens; none before the first.
    on: Option<i64>,
    cells: usize,
    /// Cells that were seen, and among them those that were held out.
    seen: usize,
    judged: usize,
    peak: f64,
    /// Work of held-out cells, and that above what the other held-out days chose.
    work: f64,
    work_above: f64,
}

impl Opening {
    /// Whether it was held; none if it does not tell.
    fn held(&self, wanted: f64) -> Option<bool> {
        // What a sum is off by is no work.
        let held = self.work_above <= self.work * (wanted + 1e-9);
        let is_held_out = self.judged > 0 && self.judged == self.seen;
        (is_held_out && (!held || 2 * self.judged >= self.cells)).then_some(held)
    }
}

/// The reason of each window. `judges` has the floors that judge each day of `seen`, of held-out days alone.
pub(super) fn reasons(
    seen: &Seen,
    config: &CompileConfig,
    judges: &[Option<Judge<'_>>],
    windows: &[Window],
    constant: u32,
) -> Vec<WindowReason> {
    let holders = holders(windows);
    let of = |window| Numbers { first_cell: first_cell_of_its_day(window), ..Numbers::default() };
    let mut numbers: Vec<Numbers> = windows.iter().map(of).collect();
    for place in holders.iter().flatten() {
        if let Some(numbers) = numbers.get_mut(*place) {
            numbers.hours_a_week += f64::from(CELL_MINUTES) / 60.0;
        }
    }
    let wanted = config.violating_share;
    for (day, judge) in seen.days.iter().zip(judges) {
        let from = day.weekday.num_days_from_monday() as usize * DAY_CELLS;
        for (place, cell) in day.cells.iter().enumerate() {
            let Some(holder) = holders.get(from + place).copied().flatten() else { continue };
            let (Some(window), Some(numbers)) = (windows.get(holder), numbers.get_mut(holder)) else { continue };
            numbers.open(day.date - i64::from(place < numbers.first_cell), wanted);
            if !cell.is_seen() {
                continue;
            }
            numbers.opening.seen += 1;
            numbers.opening.peak = numbers.opening.peak.max(cell.top);
            numbers.all.take(cell, window.min(), window.min());
            let Some(judge) = judge else { continue };
            let pods = judge.pods(from + place, config.outside).zip(judge.pods_by_others(from + place, config.outside));
            let Some(((ready, asked), (others, _))) = pods else { continue };
            let above = numbers.held_out.take(cell, ready, asked);
            let above = if others == ready { above } else { cell.above(f64::from(others)) };
            numbers.opening.judged += 1;
            numbers.opening.work += cell.work;
            numbers.opening.work_above += cell.work * above;
        }
    }
    let lead = TimeDelta::minutes(i64::try_from(config.lead_cells()).unwrap_or(0) * i64::from(CELL_MINUTES));
    let span_days = seen.span_days();
    let of = |(window, mut numbers): (&Window, Numbers)| {
        numbers.close(wanted);
        numbers.reason(window, lead, constant, span_days)
    };
    windows.iter().zip(numbers).map(of).collect()
}

impl Numbers {
    /// Goes on to a cell of the opening of a date.
    fn open(&mut self, on: i64, wanted: f64) {
        if self.opening.on != Some(on) {
            self.close(wanted);
            self.opening.on = Some(on);
        }
        self.opening.cells += 1;
    }

    fn close(&mut self, wanted: f64) {
        if self.opening.seen > 0 {
            self.peaks.push(self.opening.peak);
        }
        self.held.extend(self.opening.held(wanted));
        self.opening = Opening::default();
    }

    fn reason(mut self, window: &Window, lead: TimeDelta, constant: u32, span_days: u32) -> WindowReason {
        let usual = median(&mut self.peaks);
        let highest = self.peaks.iter().copied().fold(0.0, f64::max);
        let apart = self.peaks.iter().map(|peak| (peak - usual).abs()).sum::<f64>() / self.peaks.len().max(1) as f64;
        let judged = (self.held_out.ms > 0.0).then_some(self.held_out);
        WindowReason {
            window: window.name().to_owned(),
            pods: window.min(),
            days: self.peaks.len(),
            quantile: self.all.coverage(),
            usual,
            spread: if usual > 0.0 { apart / usual } else { 0.0 },
            highest,
            coverage: judged.map(|judged| judged.coverage()),
            risk: judged.map(|judged| judged.violating_share()),
            compared_risk: None,
            confidence: WindowConfidence::counted(self.held, span_days),
            saves_pod_hours_a_week: Some((f64::from(constant) - f64::from(window.min())) * self.hours_a_week),
            over_hpa: false,
            lead,
        }
    }
}

/// The reasons of windows over an HPA, and the profiles of their kinds of days. `judged_by` has the floors that each judged date had.
pub(crate) fn of_days(
    history: &scaling_core::MetricsHistory,
    need: super::Need,
    config: &CompileConfig,
    judged_by: &[(i64, Cells)],
    windows: &[Window],
    kinds: &[crate::Days],
) -> (Vec<WindowReason>, Vec<super::Profile>) {
    let seen = Seen::new(history, need, config.time_zone, &config.excluded);
    let lead = config.lead_cells();
    let judged_by: Vec<(i64, Floors<'_>)> =
        judged_by.iter().map(|(date, cells)| (*date, Floors::new(cells, lead))).collect();
    let judge = |day: &super::seen::Day| {
        let place = judged_by.binary_search_by_key(&day.date, |(date, _)| *date).ok()?;
        judged_by.get(place).map(|(_, floors)| Judge { floors, share: 1.0 })
    };
    let judges: Vec<Option<Judge<'_>>> = seen.days.iter().map(judge).collect();
    let profiles = super::sorted(&seen, seen.days.len(), kinds, config.slot_minutes)
        .iter()
        .map(|sorted| sorted.profile(1.0, seen.days_seen(sorted.days())))
        .collect();
    // What they save is told against the HPA alone, not against a constant size.
    (reasons(&seen, config, &judges, windows, 0), profiles)
}
