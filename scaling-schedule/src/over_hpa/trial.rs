//! What each window did on held-out days: violations and pods beside the HPA alone, by the model.

use super::{NEGLIGIBLE, SETTLE_S, Search};
use crate::compile::{Cells, DAY_CELLS, first_cell_of_its_day, holders};
use crate::{Window, WindowConfidence, WindowReason};

/// Work that arrived, and what of it waited for too long, in the time of a window.
#[derive(Clone, Copy, Debug, Default)]
struct Waits {
    arrived: f64,
    alone: f64,
    with: f64,
}

/// One opening of a window.
#[derive(Clone, Copy, Debug, Default)]
struct Opening {
    /// The date on which it opens; none before the first.
    on: Option<i64>,
    steps: usize,
    seen: usize,
    waits: Waits,
}

impl Opening {
    /// Whether it left at most this part of what waits under the HPA alone; none if nothing waits either way, or too little was seen.
    fn held(&self, left_limit: f64) -> Option<bool> {
        let Waits { arrived, alone, with } = self.waits;
        let something_waits = alone.max(with) > NEGLIGIBLE * arrived;
        let held = with <= left_limit * alone + arrived * 1e-9;
        (something_waits && (!held || 2 * self.seen >= self.steps)).then_some(held)
    }
}

/// What one window did.
#[derive(Clone, Debug, Default)]
struct Trial {
    /// First cell of a day that belongs to the opening of that day.
    first_cell: usize,
    /// First date that is held out.
    first_date: i64,
    waits: Waits,
    /// Pods more than under the HPA alone, times steps, until the next window opens.
    extra_pod_steps: f64,
    opening: Opening,
    held: Vec<bool>,
}

impl Trial {
    fn open(&mut self, on: i64, left_limit: f64) {
        if self.opening.on != Some(on) {
            self.close(left_limit);
            self.opening.on = Some(on);
        }
        self.opening.steps += 1;
    }

    fn close(&mut self, left_limit: f64) {
        if self.opening.on.is_some_and(|on| on >= self.first_date) {
            self.held.extend(self.opening.held(left_limit));
        }
        self.opening = Opening::default();
    }
}

impl Search<'_> {
    /// Says of each window what it did on held-out days. `judged_by` has the floors of each date that is judged.
    pub(super) fn tell(
        &self,
        reasons: &mut [WindowReason],
        windows: &[Window],
        judged_by: &[(i64, Cells)],
        left_limit: f64,
    ) {
        let holders = holders(windows);
        let first_date = judged_by.first().map_or(0, |(date, _)| *date);
        let of = |window| Trial { first_cell: first_cell_of_its_day(window), first_date, ..Trial::default() };
        let mut trials: Vec<Trial> = windows.iter().map(of).collect();
        let mut steps = 0;
        for (day, (_, floors)) in self.load.days.iter().skip(self.first).zip(judged_by) {
            let start = day.weekday().num_days_from_monday() as usize * DAY_CELLS;
            let (alone, with) = (self.steps_of(day, None), self.steps_of(day, Some(floors)));
            let mut last = opened_last(&holders, start);
            let cells = self.load.cells.get(day.first_step..day.end_step).unwrap_or_default();
            let demand = self.load.of(day.first_step, day.end_step);
            steps += cells.len();
            for (((cell, work), alone), with) in cells.iter().zip(demand).zip(alone).zip(with) {
                let open = holders.get(start + cell).copied().flatten();
                last = open.or(last);
                let Some(trial) = last.and_then(|place| trials.get_mut(place)) else { continue };
                let seen = alone.zip(with);
                if let Some((alone, with)) = seen {
                    trial.extra_pod_steps += with.0 - alone.0;
                }
                if open.is_none() {
                    continue;
                }
                trial.open(day.number - i64::from(*cell < trial.first_cell), left_limit);
                let Some((alone, with)) = seen else { continue };
                trial.opening.seen += 1;
                for waits in [&mut trial.waits, &mut trial.opening.waits] {
                    waits.arrived += work;
                    waits.alone += alone.1;
                    waits.with += with.1;
                }
            }
        }
        let span =
            self.load.days.last().zip(self.load.days.first()).map_or(0, |(last, first)| last.number - first.number + 1);
        let span_days = u32::try_from(span).unwrap_or(0);
        for (reason, mut trial) in reasons.iter_mut().zip(trials) {
            trial.close(left_limit);
            let Waits { arrived, alone, with } = trial.waits;
            let share = |part: f64| (arrived > 0.0).then(|| (part / arrived).min(1.0));
            reason.over_hpa = true;
            reason.confidence = WindowConfidence::counted(trial.held, span_days);
            (reason.risk, reason.compared_risk) = (share(with), share(alone));
            reason.saves_pod_hours_a_week = (steps > 0).then(|| -trial.extra_pod_steps / steps as f64 * 168.0);
        }
    }

    /// Pods, and work that waits for too long, in each step of a day; none where the demand is not known.
    fn steps_of(&self, day: &super::load::Day, floors: Option<&Cells>) -> Vec<Option<(f64, f64)>> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // an hour in steps
        let from = day.first_step.saturating_sub((SETTLE_S / self.load.step_s) as usize);
        let settle = day.first_step - from;
        let start = day.weekday().num_days_from_monday() as usize * DAY_CELLS;
        let floor = |step: usize| {
            let cell = self.load.cells.get(from + step).copied().unwrap_or(0) + start;
            floors.and_then(|floors| floors.floors().get(cell).copied()).unwrap_or(0)
        };
        let mut steps = vec![None; day.end_step - day.first_step];
        self.model.run(self.load.of(from, day.end_step), settle, floor, |step, pods, waits| {
            if let Some(slot) = step.checked_sub(settle).and_then(|step| steps.get_mut(step)) {
                *slot = Some((f64::from(pods), waits));
            }
        });
        steps
    }
}

/// The window that was open last before a cell of the week.
fn opened_last(holders: &[Option<usize>], cell: usize) -> Option<usize> {
    let (before, after) = holders.split_at(cell.min(holders.len()));
    before.iter().rev().chain(after.iter().rev()).copied().flatten().next()
}
