//! Errors of windows and schedules.

use scaling_core::MAX_REPLICAS;

use crate::calendar::{MAX_NAME, MAX_WINDOWS};

/// A window that is refused, by its name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("window {name:?}: {fault}")]
pub struct InvalidWindow {
    /// The name of the window, as given.
    pub name: String,
    /// The fault.
    pub fault: WindowFault,
}

/// A fault of a window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WindowFault {
    /// The name is empty, too long, or holds control characters.
    #[error("a name has 1 to {MAX_NAME} characters and no control characters")]
    Name,
    /// There is no day on which it opens.
    #[error("it has no days")]
    NoDays,
    /// A word is no day.
    #[error("{0:?} is none of daily, weekdays, weekend, mon, tue, wed, thu, fri, sat, sun")]
    Day(String),
    /// A text is no time of day.
    #[error("`{field}` is {text:?}, not a time of day from 00:00 to 23:59 written HH:MM; the end of a day is 00:00")]
    Time {
        /// `from` or `to`.
        field: &'static str,
        /// The text, as given.
        text: String,
    },
    /// A text is no date and time.
    #[error("`{field}` is {text:?}, not a date and time written YYYY-MM-DDTHH:MM")]
    Date {
        /// `from` or `to`.
        field: &'static str,
        /// The text, as given.
        text: String,
    },
    /// It ends before it begins, or as it begins.
    #[error("`to` is not after `from`")]
    Ends,
    /// No load was seen at the times that an announced event is expected to multiply.
    #[error("no load is known for its time, so there is nothing to multiply")]
    NoLoad,
    /// The floor is out of range.
    #[error("`min` is {0}, not between 1 and {MAX_REPLICAS}")]
    Min(u32),
    /// The ceiling is out of range.
    #[error("`max` is {max}, not between its min of {min} and {MAX_REPLICAS}")]
    Max {
        /// The floor.
        min: u32,
        /// The ceiling.
        max: u32,
    },
}

/// A schedule that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSchedule {
    /// More windows and events than a schedule may have together: each question looks at all of them.
    #[error("{windows} windows and {events} events are more than {MAX_WINDOWS} together")]
    TooMany {
        /// Number of windows.
        windows: usize,
        /// Number of events.
        events: usize,
    },
    /// A window is refused.
    #[error(transparent)]
    Window(#[from] InvalidWindow),
    /// Two windows have the same name, so a reason could not say which one it means.
    #[error("window {name:?}: another window has this name")]
    DuplicateName {
        /// The name.
        name: String,
    },
}
