//! Recurring windows of size on the wall clock of a time zone.

mod cron;
mod dated;
mod days;
mod schedule;
mod table;
mod week;
mod window;
mod zones;

pub use cron::{CronExpression, CronFault, CronField, Firings, InvalidCron, TermFault, Upcoming};
pub use dated::DatedWindow;
pub use days::Days;
pub use schedule::{Open, Schedule};
pub use week::{Segment, Week};
pub use window::Window;

pub(crate) use window::MAX_NAME;
