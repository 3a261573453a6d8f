//! Settings of the analysis.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use scaling_core::InvalidSetting;

use crate::{Days, ExcludedDates};

/// Settings of the analysis. Every field has a default.
#[derive(Clone, Debug, PartialEq)]
pub struct AnalyzeConfig {
    /// The wall clock that the load follows. Default UTC.
    pub time_zone: Tz,
    /// Dates that do not count, such as holidays. Default none.
    pub excluded: ExcludedDates,
    /// The weekend. Default Saturday and Sunday.
    pub weekend: Days,
    /// Length of a slot in minutes: 5, 10, 15, 20, 30 or 60. Default 15. Slots are longer where samples are further apart.
    pub slot_minutes: u32,
    /// Error rate up to which a statement counts as proven. Above 0, below 0.5; default 0.01.
    pub significance: f64,
    /// Samples later than this do not count: the present, where a clock may have been wrong. Default all count.
    pub until: Option<DateTime<Utc>>,
}

impl Default for AnalyzeConfig {
    fn default() -> Self {
        Self {
            time_zone: Tz::UTC,
            excluded: ExcludedDates::default(),
            weekend: Days::WEEKEND,
            slot_minutes: 15,
            significance: 0.01,
            until: None,
        }
    }
}

impl AnalyzeConfig {
    /// The defaults, on this wall clock.
    pub fn in_zone(time_zone: Tz) -> Self {
        Self { time_zone, ..Self::default() }
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`InvalidSetting`] with the first that cannot work.
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        let (weekend, slot) = (f64::from(self.weekend.len()), f64::from(self.slot_minutes));
        let checks = [
            ("weekend (days)", weekend, (1..7).contains(&self.weekend.len()), "1 to 6 days"),
            ("slot_minutes", slot, [5, 10, 15, 20, 30, 60].contains(&self.slot_minutes), "5, 10, 15, 20, 30 or 60"),
            (
                "significance",
                self.significance,
                self.significance > 0.0 && self.significance < 0.5,
                "above 0 and below 0.5",
            ),
        ];
        match checks.into_iter().find(|(_, _, works, _)| !works) {
            Some((field, value, _, must)) => Err(InvalidSetting { field, value, must }),
            None => Ok(()),
        }
    }
}
