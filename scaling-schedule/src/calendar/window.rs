//! One recurring window.

use chrono::{NaiveDateTime, NaiveTime, Timelike};
use scaling_core::MAX_REPLICAS;
use serde::{Deserialize, Serialize};

use super::days::WrittenDays;
use crate::{Days, InvalidWindow, WindowFault};

/// Names this long fit into a label value of Kubernetes.
pub(crate) const MAX_NAME: usize = 63;

/// Bounds of size on some weekdays, from one wall-clock time to another: a floor, and a ceiling if one is stated.
///
/// It opens on each of its days at `from` and closes at `to`; with `to` at or before `from` it closes on the next day, so
/// `00:00` to `00:00` is the whole day. The closing minute is not part of it.
///
/// The ceiling is for where the schedule alone moves the bounds, as CronJobs in a cluster do: the max is at least that while the window is
/// open. In process a floor moves the min alone (law 6), and the max follows what is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub struct Window {
    name: String,
    days: Days,
    from: NaiveTime,
    to: NaiveTime,
    min: u32,
    max: Option<u32>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    days: WrittenDays,
    from: String,
    to: String,
    min: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max: Option<u32>,
}

impl TryFrom<Raw> for Window {
    type Error = InvalidWindow;

    fn try_from(raw: Raw) -> Result<Self, InvalidWindow> {
        let read = || -> Result<_, WindowFault> {
            let days = Days::try_from(raw.days).map_err(WindowFault::Day)?;
            Ok((days, time("from", &raw.from)?, time("to", &raw.to)?))
        };
        match read() {
            Ok((days, from, to)) => Self::new(raw.name, days, from, to, raw.min)?.with_ceiling(raw.max),
            Err(fault) => Err(InvalidWindow { name: raw.name, fault }),
        }
    }
}

pub(super) fn check_name(name: &str) -> Result<(), WindowFault> {
    let fits = !name.is_empty() && name.chars().count() <= MAX_NAME && !name.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(WindowFault::Name) }
}

pub(super) fn check_min(min: u32) -> Result<(), WindowFault> {
    if min == 0 || min > MAX_REPLICAS { Err(WindowFault::Min(min)) } else { Ok(()) }
}

pub(super) fn check_max(min: u32, max: Option<u32>) -> Result<(), WindowFault> {
    match max.filter(|max| *max < min || *max > MAX_REPLICAS) {
        Some(max) => Err(WindowFault::Max { min, max }),
        None => Ok(()),
    }
}

/// Exactly `HH:MM`: chrono's own parser would also take `9:5`.
fn time(field: &'static str, text: &str) -> Result<NaiveTime, WindowFault> {
    let well_formed =
        matches!(text.as_bytes(), [h1, h2, b':', m1, m2] if [h1, h2, m1, m2].iter().all(|d| d.is_ascii_digit()));
    NaiveTime::parse_from_str(text, "%H:%M")
        .ok()
        .filter(|_| well_formed)
        .ok_or_else(|| WindowFault::Time { field, text: text.chars().take(20).collect() })
}

impl From<Window> for Raw {
    fn from(window: Window) -> Self {
        Self {
            name: window.name,
            days: window.days.into(),
            from: window.from.format("%H:%M").to_string(),
            to: window.to.format("%H:%M").to_string(),
            min: window.min,
            max: window.max,
        }
    }
}

impl Window {
    /// Creates a window after checking it.
    ///
    /// # Errors
    /// [`InvalidWindow`] if the name is empty, longer than 63 characters or holds control characters, there is no day, a time
    /// is not a whole minute, or the min is 0 or more than Kubernetes can store.
    pub fn new(
        name: impl Into<String>,
        days: Days,
        from: NaiveTime,
        to: NaiveTime,
        min: u32,
    ) -> Result<Self, InvalidWindow> {
        let name = name.into();
        let whole = |field, time: NaiveTime| {
            // Cron, which windows become in a cluster, knows no seconds.
            if time.second() == 0 && time.nanosecond() == 0 {
                Ok(())
            } else {
                Err(WindowFault::Time { field, text: time.to_string() })
            }
        };
        let check = || {
            check_name(&name)?;
            if days.is_empty() {
                return Err(WindowFault::NoDays);
            }
            whole("from", from)?;
            whole("to", to)?;
            check_min(min)
        };
        match check() {
            Ok(()) => Ok(Self { name, days, from, to, min, max: None }),
            Err(fault) => Err(InvalidWindow { name, fault }),
        }
    }

    /// Creates a window from times written as `HH:MM`.
    ///
    /// # Errors
    /// As [`Window::new`], or if a time is not written so.
    pub fn parse(name: impl Into<String>, days: Days, from: &str, to: &str, min: u32) -> Result<Self, InvalidWindow> {
        let name = name.into();
        match time("from", from).and_then(|from| Ok((from, time("to", to)?))) {
            Ok((from, to)) => Self::new(name, days, from, to, min),
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

    /// Returns the days on which it opens.
    pub fn days(&self) -> Days {
        self.days
    }

    /// Returns the time at which it opens, by the wall clock.
    pub fn from(&self) -> NaiveTime {
        self.from
    }

    /// Returns the time at which it closes, by the wall clock; on the next day if not after [`Window::from`].
    pub fn to(&self) -> NaiveTime {
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

    /// Returns true if it closes on the day after it opens.
    pub fn ends_next_day(&self) -> bool {
        self.to <= self.from
    }

    /// Returns the hours for which it is open in a week without a clock change.
    pub fn hours_per_week(&self) -> f64 {
        let next_day = if self.ends_next_day() { 24 * 60 } else { 0 };
        let minutes = (self.to - self.from).num_minutes() + next_day;
        minutes as f64 / 60.0 * f64::from(self.days.len())
    }

    /// Returns true if it is open when the wall clock shows `local`.
    pub(crate) fn is_open(&self, local: NaiveDateTime) -> bool {
        use chrono::Datelike;
        let (today, time) = (local.weekday(), local.time());
        if self.ends_next_day() {
            (self.days.contains(today) && time >= self.from) || (self.days.contains(today.pred()) && time < self.to)
        } else {
            self.days.contains(today) && self.from <= time && time < self.to
        }
    }
}
