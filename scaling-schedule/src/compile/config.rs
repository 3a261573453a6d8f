//! Settings of the compiler.

use chrono_tz::Tz;
use scaling_core::{InvalidSetting, WorkloadFacts};
use std::time::Duration;

use super::cells::CELL_MINUTES;
use crate::ExcludedDates;

/// Shortest window, where nothing else is wanted.
const SHORTEST_ALONE: Duration = Duration::from_secs(3600);
const SHORTEST_OVER_HPA: Duration = Duration::from_secs(600);

/// Settings of the compiler. Every field has a default.
#[derive(Clone, Debug, PartialEq)]
pub struct CompileConfig {
    /// The wall clock that the load follows. Default UTC.
    pub time_zone: Tz,
    /// Length of a slot of the profile: 30 or 60 minutes. Default 30.
    pub slot_minutes: u32,
    /// Share of the requests that may come while more pods are needed than the windows hold, on held-out days. 0 to 0.2, the unit of
    /// [`PredictiveConfig::violating_share`](crate::PredictiveConfig::violating_share); default 0.01.
    pub violating_share: f64,
    /// Time before the load at which its pods are wanted, rounded up to 5 minutes; a day at most. Default 16 minutes: a quarter of
    /// an hour and the usual start-up of a minute. See [`CompileConfig::for_workload`].
    pub lead: Duration,
    /// Windows are at least this long, and so are the breaks between them; 12 h at most. Longer: fewer windows, more pod-hours. Default
    /// none: 1 h for windows that hold the load by themselves, 10 min over an HPA, where a short window is no flapping: it only raises, and
    /// the HPA shrinks slowly.
    pub min_window: Option<Duration>,
    /// Most windows. Default none: as few as keep nine tenths of what any number would save.
    pub max_windows: Option<usize>,
    /// Pods that run without any window: floors up to this need none. Default 1.
    pub outside: u32,
    /// Dates on that wall clock that are neither learnt from nor held out, such as holidays. Default none.
    pub excluded: ExcludedDates,
}

impl Default for CompileConfig {
    fn default() -> Self {
        Self {
            time_zone: Tz::UTC,
            slot_minutes: 30,
            violating_share: 0.01,
            lead: Duration::from_secs(16 * 60),
            min_window: None,
            max_windows: None,
            outside: 1,
            excluded: ExcludedDates::default(),
        }
    }
}

impl CompileConfig {
    /// The defaults, on this wall clock, with the lead this workload needs: its start-up and a quarter of an hour.
    pub fn for_workload(time_zone: Tz, facts: &WorkloadFacts) -> Self {
        let lead = facts.start_up.saturating_add(Duration::from_secs(15 * 60));
        Self { time_zone, lead, ..Self::default() }
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`InvalidSetting`] with the first that cannot work.
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        let lead = self.lead.as_secs_f64() / 60.0;
        let min_window = self.min_window.map_or(0.0, |shortest| shortest.as_secs_f64() / 60.0);
        let share = self.violating_share;
        let checks = [
            ("slot_minutes", f64::from(self.slot_minutes), [30, 60].contains(&self.slot_minutes), "30 or 60"),
            ("violating_share", share, (0.0..=0.2).contains(&share), "within 0..=0.2"),
            ("lead (minutes)", lead, lead <= 1440.0, "at most a day"),
            ("min_window (minutes)", min_window, min_window <= 720.0, "at most half a day"),
            ("max_windows", 0.0, self.max_windows != Some(0), "at least 1"),
        ];
        match checks.into_iter().find(|(_, _, works, _)| !works) {
            Some((field, value, _, must)) => Err(InvalidSetting { field, value, must }),
            None => Ok(()),
        }
    }

    pub(super) fn lead_cells(&self) -> usize {
        cells(self.lead)
    }

    pub(super) fn min_cells(&self) -> usize {
        cells(self.min_window.unwrap_or(SHORTEST_ALONE))
    }

    /// Cells of the shortest window over an HPA.
    pub(crate) fn min_cells_over_hpa(&self) -> usize {
        cells(self.min_window.unwrap_or(SHORTEST_OVER_HPA))
    }
}

/// Cells that a duration fills, the last perhaps in part.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(crate) fn cells(duration: Duration) -> usize {
    (duration.as_secs_f64() / f64::from(CELL_MINUTES * 60)).ceil() as usize
}
