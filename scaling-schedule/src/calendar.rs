//! Recurring windows of size on the wall clock of a time zone.

mod cron;
mod dated;
mod dates;
mod days;
mod ical;
mod schedule;
mod table;
mod week;
mod window;
mod yearly;
mod zones;

pub use cron::{CronExpression, CronFault, CronField, Firings, InvalidCron, TermFault, Upcoming};
pub use dated::DatedWindow;
pub use dates::{DatesFault, ExcludedDates, InvalidDates};
pub use days::Days;
pub use schedule::{Open, Schedule};
pub use week::{Segment, Week};
pub use window::Window;

pub(crate) use days::WrittenDays;
pub(crate) use schedule::MAX_WINDOWS;
pub(crate) use window::MAX_NAME;
