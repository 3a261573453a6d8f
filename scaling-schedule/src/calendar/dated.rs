//! A window of one date, such as a sale.

use chrono::{DateTime, NaiveDateTime, Timelike, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::window::{check_max, check_min, check_name};
use super::zones;
use crate::{InvalidWindow, WindowFault};

const FORM: &str = "%Y-%m-%dT%H:%M";

/// Bounds of size from one wall-clock instant to another, once: a flash sale, a release, a match.
///
/// It opens at `from` and closes at `to`, which is not part of it. What is said of the ceiling of a [`Window`](crate::Window) holds here.
///
/// It is one stretch of time, whatever the clock does: where the clock shows `from` twice it opens the first time, and where it shows `to`
/// twice it closes the second time. A time that the clock skips is the first instant after the gap; an event that lies wholly inside the
/// gap never opens.
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

    /// Returns the first instant at which it is open, on the wall clock of a zone. `None` if the zone has no such time.
    ///
    /// ```
    /// use scaling_schedule::{DatedWindow, Tz};
    ///
    /// // The hour from 02:00 to 03:00 comes twice, from 00:00 and from 01:00 UTC.
    /// let event = DatedWindow::parse("release", "2026-10-25T02:30", "2026-10-25T03:30", 8)?;
    /// assert_eq!(event.opens_at(Tz::Europe__Berlin), "2026-10-25T00:30:00Z".parse().ok());
    /// assert_eq!(event.closes_at(Tz::Europe__Berlin), "2026-10-25T02:30:00Z".parse().ok());
    /// # Ok::<(), scaling_schedule::InvalidWindow>(())
    /// ```
    pub fn opens_at(&self, time_zone: Tz) -> Option<DateTime<Utc>> {
        zones::first_instant(time_zone, self.from)
    }

    /// Returns the first instant at which it is over; that of [`opens_at`](Self::opens_at) if the clock skips all of it.
    pub fn closes_at(&self, time_zone: Tz) -> Option<DateTime<Utc>> {
        zones::last_instant(time_zone, self.to)
    }

    /// Returns true if it is open at an instant, at which the wall clock of the zone shows `local`.
    pub(super) fn is_open(&self, time_zone: Tz, at: DateTime<Utc>, local: NaiveDateTime) -> bool {
        // Far from both, which is nearly always, the zone need not be asked.
        let (before, after) = (local.checked_add_signed(zones::FAR), local.checked_sub_signed(zones::FAR));
        if before.is_some_and(|late| late < self.from) || after.is_some_and(|early| early >= self.to) {
            return false;
        }
        self.opens_at(time_zone).is_some_and(|opens| opens <= at)
            && self.closes_at(time_zone).is_some_and(|closes| at < closes)
    }
}
