//! The fields of an answer, checked one by one.

use scaling_core::WindowDays;
use serde::{Deserialize, Deserializer};

use super::error::quoted;
use super::number::Whole;
use super::{Action, Raw, ReplyError, Resize, SuggestedWindow};

/// A field that may be left out and is not `null`, which an `Option` would take.
pub(super) fn some<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn present(value: Option<Whole>, field: &'static str) -> Result<u32, ReplyError> {
    value.map(|Whole(value)| value).ok_or(ReplyError::Missing { field })
}

fn within(
    value: u32,
    fits: impl Fn(u32) -> bool,
    field: &'static str,
    expected: &'static str,
) -> Result<u32, ReplyError> {
    if fits(value) { Ok(value) } else { Err(ReplyError::Field { field, value, expected }) }
}

impl Raw<'_> {
    pub(super) fn action(&self) -> Result<Action, ReplyError> {
        match self.action.as_ref() {
            "scale" => Ok(Action::Scale),
            "hold" => Ok(Action::Hold),
            "resize" => Ok(Action::Resize(Resize {
                cpu_percent: present(self.cpu_request_percent_of_now, "cpu_request_percent_of_now")?,
                memory_percent: present(self.memory_request_percent_of_now, "memory_request_percent_of_now")?,
            })),
            other => Err(ReplyError::Action(quoted(other))),
        }
    }

    pub(super) fn suggested_target(&self) -> Result<Option<u32>, ReplyError> {
        let Some(Whole(percent)) = self.proposed_hpa_target_percent.filter(|percent| percent.0 != 0) else {
            return Ok(None);
        };
        let fits = |percent| (10..=95).contains(&percent);
        within(percent, fits, "proposed_hpa_target_percent", "0, or 10 to 95").map(Some)
    }

    pub(super) fn suggested_window(&self) -> Result<Option<SuggestedWindow>, ReplyError> {
        let days = match self.proposed_window_days.as_deref() {
            None | Some("none") => return Ok(None),
            Some("every_day") => WindowDays::EveryDay,
            Some("weekdays") => WindowDays::Weekdays,
            Some("weekends") => WindowDays::Weekends,
            Some(other) => return Err(ReplyError::Days(quoted(other))),
        };
        let (start, end) = ("proposed_window_start_hour", "proposed_window_end_hour");
        let pods = "proposed_window_min_replicas";
        let start_hour = within(present(self.proposed_window_start_hour, start)?, |hour| hour <= 23, start, "0 to 23")?;
        let ends = |hour| (1..=24).contains(&hour) && hour != start_hour;
        let end_hour =
            within(present(self.proposed_window_end_hour, end)?, ends, end, "1 to 24, and not the hour of the start")?;
        let min_replicas =
            within(present(self.proposed_window_min_replicas, pods)?, |pods| pods >= 1, pods, "at least 1")?;
        Ok(Some(SuggestedWindow { days, start_hour, end_hour, min_replicas }))
    }
}
