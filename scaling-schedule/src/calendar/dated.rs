//! A window of one date, such as a sale.

use chrono::{NaiveDateTime, Timelike};
use serde::{Deserialize, Serialize};

use super::window::{check_max, check_min, check_name};
use crate::{InvalidWindow, WindowFault};

const FORM: &str = "%Y-%m-%dT%H:%M";

/// Bounds of size from one wall-clock instant to another, once: a flash sale, a release, a match.
///
/// It opens at `from` and closes at `to`, which is not part of it. What is said of the ceiling of a [`Window`](crate::Window) holds here.
///
/// ```
/// use scaling_schedule::{DatedWindow, Schedule, Tz};
/// use scaling_core::chrono::{DateTime, Utc};
///
/// let sale = DatedWindow::parse("flash sale", "2026-11-27T18:00", "2026-11-27T20:00", 40)?;
/// let schedule = Schedule::new(Tz::Europe__Berlin, vec![])?.with_events(vec![sale])?;
/// let at: DateTime<Utc> = "2026-11-27T17:30:00Z".parse().unwrap();
/// assert_eq!(schedule.open_at(at).map(|open| (open.window, open.min)), Some(("flash sale", 40)));
/// # Ok::<(), scaling_schedule::InvalidSchedule>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub struct DatedWindow {
    name: String,
    from: NaiveDateTime,
    to: NaiveDateTime,
    min: u32,
    max: Option<u32>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    from: String,
    to: String,
    min: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max: Option<u32>,
}

impl TryFrom<Raw> for DatedWindow {
    type Error = InvalidWindow;

    fn try_from(raw: Raw) -> Result<Self, InvalidWindow> {
        Self::parse(raw.name, &raw.from, &raw.to, raw.min)?.with_ceiling(raw.max)
    }
}

impl From<DatedWindow> for Raw {
    fn from(window: DatedWindow) -> Self {
        Self {
            from: window.from.format(FORM).to_string(),
            to: window.to.format(FORM).to_string(),
            name: window.name,
            min: window.min,
            max: window.max,
        }
    }
}

/// Exactly `YYYY-MM-DDTHH:MM`: chrono's own parser takes fewer digits too.
fn instant(field: &'static str, text: &str) -> Result<NaiveDateTime, WindowFault> {
    let read = NaiveDateTime::parse_from_str(text, FORM).ok();
    read.filter(|read| text.len() == 16 && read.format(FORM).to_string() == text)
        .ok_or_else(|| WindowFault::Date { field, text: text.chars().take(20).collect() })
}

impl DatedWindow {
    /// Creates a window after checking it.
    ///
    /// # Errors
    /// [`InvalidWindow`] if the name is empty, longer than 63 characters or holds control characters, an instant is not a whole minute,
    /// it does not end after it begins, or the min is 0 or more than Kubernetes can store.
    pub fn new(
        name: impl Into<String>,
        from: NaiveDateTime,
        to: NaiveDateTime,
        min: u32,
    ) -> Result<Self, InvalidWindow> {
        let name = name.into();
        let whole = |field, at: NaiveDateTime| {
            // A year of five digits could not be read back.
            let is_whole = at.second() == 0 && at.nanosecond() == 0 && at.format(FORM).to_string().len() == 16;
            if is_whole { Ok(()) } else { Err(WindowFault::Date { field, text: at.to_string() }) }
        };
        let check = || {
            check_name(&name)?;
            whole("from", from)?;
            whole("to", to)?;
            if to <= from {
                return Err(WindowFault::Ends);
            }
            check_min(min)
        };
        match check() {
            Ok(()) => Ok(Self { name, from, to, min, max: None }),
            Err(fault) => Err(InvalidWindow { name, fault }),
        }
    }

    /// Creates a window from instants written as `YYYY-MM-DDTHH:MM`.
    ///
    /// # Errors
    /// As [`DatedWindow::new`], or if an instant is not written so.
    pub fn parse(name: impl Into<String>, from: &str, to: &str, min: u32) -> Result<Self, InvalidWindow> {
        let name = name.into();
        match instant("from", from).and_then(|from| Ok((from, instant("to", to)?))) {
            Ok((from, to)) => Self::new(name, from, to, min),
            Err(fault) => Err(InvalidWindow { name, fault }),
        }
    }

    /// States a ceiling: while the window is open, the max is at least that.
    ///
    /// # Errors
    /// [`InvalidWindow`] if it is lower than the floor, or more than Kubernetes can store.
    pub fn with_max(self, max: u32) -> Result<Self, InvalidWindow> {
        self.with_ceiling(Some(max))
    }

    fn with_ceiling(mut self, max: Option<u32>) -> Result<Self, InvalidWindow> {
        match check_max(self.min, max) {
            Ok(()) => {
                self.max = max;
                Ok(self)
            }
            Err(fault) => Err(InvalidWindow { name: self.name, fault }),
        }
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the instant at which it opens, by the wall clock.
    pub fn from(&self) -> NaiveDateTime {
        self.from
    }

    /// Returns the instant at which it closes, by the wall clock.
    pub fn to(&self) -> NaiveDateTime {
        self.to
    }

    /// Returns the floor in pods.
    pub fn min(&self) -> u32 {
        self.min
    }

    /// Returns the ceiling in pods, if one is stated.
    pub fn max(&self) -> Option<u32> {
        self.max
    }

    /// Returns true if it is open when the wall clock shows `local`.
    pub(crate) fn is_open(&self, local: NaiveDateTime) -> bool {
        self.from <= local && local < self.to
    }
}
