//! Why each window: the numbers of its own days.

use chrono::TimeDelta;

use super::cells::{CELL_MINUTES, Cells, DAY_CELLS};
use super::held_out::{Judged, Origin, ready};
use super::profile::median;
use super::seen::Seen;
use super::windows::holders;
use super::{CompileConfig, WindowReason};
use crate::Window;

/// What is known of one window.
#[derive(Clone, Debug, Default)]
struct Numbers {
    /// Largest need of each day.
    peaks: Vec<f64>,
    all: Judged,
    held_out: Judged,
    hours_a_week: f64,
}

pub(super) fn reasons(
    seen: &Seen,
    config: &CompileConfig,
    origins: &[Origin],
    judged_by: &[Cells],
    windows: &[Window],
    constant: u32,
) -> Vec<WindowReason> {
    let holders = holders(windows);
    let mut numbers = vec![Numbers::default(); windows.len()];
    for place in holders.iter().flatten() {
        if let Some(numbers) = numbers.get_mut(*place) {
            numbers.hours_a_week += f64::from(CELL_MINUTES) / 60.0;
        }
    }
    let ready: Vec<Vec<u32>> = judged_by.iter().map(|cells| ready(cells.floors(), config.lead_cells())).collect();
    let mut peaks: Vec<f64> = Vec::new();
    for (nth, day) in seen.days.iter().enumerate() {
        let from = day.weekday.num_days_from_monday() as usize * DAY_CELLS;
        let by = origins.iter().position(|origin| (origin.learn..origin.until).contains(&nth));
        let by = by.and_then(|place| Some((ready.get(place)?, judged_by.get(place)?.floors())));
        peaks.clear();
        peaks.resize(windows.len(), f64::NEG_INFINITY);
        for (place, cell) in day.cells.iter().enumerate().filter(|(_, cell)| cell.is_seen()) {
            let Some(holder) = holders.get(from + place).copied().flatten() else { continue };
            let (Some(window), Some(numbers)) = (windows.get(holder), numbers.get_mut(holder)) else { continue };
            numbers.all.take(cell, window.min(), window.min());
            if let Some((ready, asked)) =
                by.and_then(|(ready, asked)| ready.get(from + place).zip(asked.get(from + place)))
            {
                numbers.held_out.take(cell, (*ready).max(config.outside), (*asked).max(config.outside));
            }
            if let Some(peak) = peaks.get_mut(holder) {
                *peak = peak.max(cell.top);
            }
        }
        for (numbers, peak) in numbers.iter_mut().zip(&peaks).filter(|(_, peak)| peak.is_finite()) {
            numbers.peaks.push(*peak);
        }
    }
    let lead = TimeDelta::minutes(i64::try_from(config.lead_cells()).unwrap_or(0) * i64::from(CELL_MINUTES));
    windows.iter().zip(numbers).map(|(window, numbers)| numbers.reason(window, lead, constant)).collect()
}

impl Numbers {
    fn reason(mut self, window: &Window, lead: TimeDelta, constant: u32) -> WindowReason {
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
            saves_pod_hours_a_week: (f64::from(constant) - f64::from(window.min())) * self.hours_a_week,
            lead,
        }
    }
}

/// The reasons of windows over an HPA, and the profiles of their kinds of days. `judged_by` has the floors that each judged day had.
pub(crate) fn of_days(
    history: &scaling_core::MetricsHistory,
    need: super::Need,
    config: &CompileConfig,
    judged_by: &[Cells],
    windows: &[Window],
    kinds: &[crate::Days],
) -> (Vec<WindowReason>, Vec<super::Profile>) {
    let seen = Seen::new(history, need, config.time_zone);
    let first = seen.days.len().saturating_sub(judged_by.len());
    let origins: Vec<Origin> = (first..seen.days.len()).map(|day| Origin { learn: day, until: day + 1 }).collect();
    let mut needs: Vec<(f64, f64)> = seen
        .days
        .iter()
        .flat_map(|day| &day.cells)
        .filter(|cell| cell.is_seen())
        .map(|cell| (cell.top, cell.work))
        .collect();
    let need = scaling_core::stats::weighted_quantile(&mut needs, 1.0 - config.violating_share).unwrap_or(0.0);
    let constant = scaling_core::stats::whole_pods(need).max(config.outside);
    let profiles = super::sorted(&seen, seen.days.len(), kinds, config.slot_minutes)
        .iter()
        .map(|sorted| sorted.profile(1.0, seen.days_seen(sorted.days())))
        .collect();
    (reasons(&seen, config, &origins, judged_by, windows, constant), profiles)
}
