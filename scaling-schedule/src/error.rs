//! Why a schedule cannot be.

use scaling_core::MAX_REPLICAS;

use crate::calendar::MAX_NAME;

/// A window that cannot be, by its name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("window {name:?}: {fault}")]
pub struct InvalidWindow {
    /// The name of the window, as given.
    pub name: String,
    /// What is wrong with it.
    pub fault: WindowFault,
}

/// What is wrong with a window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WindowFault {
    /// The name is empty, too long, or holds control characters.
    #[error("a name has 1 to {MAX_NAME} characters and no control characters")]
    Name,
    /// It never opens.
    #[error("it has no days")]
    NoDays,
    /// Not a day.
    #[error("{0:?} is none of daily, weekdays, weekend, mon, tue, wed, thu, fri, sat, sun")]
    Day(String),
    /// Not a time of day.
    #[error("`{field}` is {text:?}, not a time of day from 00:00 to 23:59 written HH:MM")]
    Time {
        /// `from` or `to`.
        field: &'static str,
        /// What was given.
        text: String,
    },
    /// The floor cannot be.
    #[error("{0} replicas are not between 1 and {MAX_REPLICAS}")]
    Replicas(u32),
}

/// A schedule that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSchedule {
    /// One of its windows cannot be.
    #[error(transparent)]
    Window(#[from] InvalidWindow),
    /// Two windows have the same name, so a reason could not say which one it means.
    #[error("window {name:?}: another window has this name")]
    DuplicateName {
        /// The name.
        name: String,
    },
}
