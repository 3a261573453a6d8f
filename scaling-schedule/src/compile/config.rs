//! Settings of the compiler.

use chrono::TimeDelta;
use chrono_tz::Tz;
use scaling_core::{InvalidSetting, WorkloadFacts};
use std::time::Duration;

use super::cells::CELL_MINUTES;

/// Settings of the compiler. Every field has a default.
#[derive(Clone, Debug, PartialEq)]
pub struct CompileConfig {
    /// The wall clock that the load follows. Default UTC.
    pub time_zone: Tz,
    /// Length of a slot of the profile: 30 or 60 minutes. Default 30.
    pub slot_minutes: u32,
    /// Share of the samples of a slot, and of the days, whose need is met. Above 0, at most 1; default 0.9. With fewer than
    /// ten days that is the highest.
    pub quantile: f64,
    /// Time before the load at which its pods are wanted, rounded up to 5 minutes; a day at most. Default 16 minutes: a quarter of
    /// an hour and the usual start-up of a minute. See [`CompileConfig::for_workload`].
    pub lead: Duration,
    /// Windows are at least this long, and so are the breaks between them. Default 1 h, at most 12 h. Longer: fewer windows,
    /// more pod-hours.
    pub min_window: Duration,
    /// Floors this many pods apart count as one. Default 1.
    pub merge_pods: u32,
    /// Floors this share of the higher one apart count as one. At least 0, below 1; default 0.2.
    pub merge_share: f64,
    /// Pods that run without any window: floors up to this need none. Default 1.
    pub outside: u32,
}

impl Default for CompileConfig {
    fn default() -> Self {
        Self {
            time_zone: Tz::UTC,
            slot_minutes: 30,
            quantile: 0.9,
            lead: Duration::from_secs(16 * 60),
            min_window: Duration::from_secs(3600),
            merge_pods: 1,
            merge_share: 0.2,
            outside: 1,
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
        let min_window = self.min_window.as_secs_f64() / 60.0;
        let checks = [
            ("slot_minutes", f64::from(self.slot_minutes), [30, 60].contains(&self.slot_minutes), "30 or 60"),
            ("quantile", self.quantile, self.quantile > 0.0 && self.quantile <= 1.0, "above 0 and at most 1"),
            ("lead (minutes)", lead, lead <= 1440.0, "at most a day"),
            ("min_window (minutes)", min_window, min_window <= 720.0, "at most half a day"),
            ("merge_share", self.merge_share, (0.0..1.0).contains(&self.merge_share), "at least 0 and below 1"),
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
        cells(self.min_window)
    }

    pub(super) fn lead_rounded(&self) -> TimeDelta {
        TimeDelta::minutes(i64::try_from(self.lead_cells()).unwrap_or(0) * i64::from(CELL_MINUTES))
    }

    /// By how much a floor may be raised to make it one with a higher one.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(super) fn tolerance(&self, floor: u32) -> u32 {
        self.merge_pods.max((self.merge_share * f64::from(floor)) as u32)
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn cells(duration: Duration) -> usize {
    (duration.as_secs_f64() / f64::from(CELL_MINUTES * 60)).ceil() as usize
}
