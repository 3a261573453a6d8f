//! [`Note`]: what a reader took for granted, left out or doubts. Nothing of it stops the reading, and all of it is said.

use std::fmt;

use super::error::{Listed, hints, message, quoted};
use super::instants::{DateOrder, EpochUnit};

/// Something that somebody should know of a text that was read.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Note {
    /// Columns (or keys) that are not read.
    Unread {
        /// Their names.
        names: Vec<String>,
    },
    /// A column whose name says nothing was taken for a signal, because there is no other.
    Assumed {
        /// Name of the column.
        name: String,
        /// Signal that it was taken for.
        column: &'static str,
    },
    /// There is no header.
    NoHeader,
    /// Decimals are written with a comma.
    DecimalComma,
    /// Instants are not in seconds, as their size tells.
    Epoch(EpochUnit),
    /// Dates whose year comes last have this order, the only one that fits all of them.
    Dates(DateOrder),
    /// Times of day without a zone were read in this one.
    Zone {
        /// Name of the zone.
        zone: String,
        /// Times that the clock showed twice, as it was put back: told apart by their order.
        repeated: usize,
        /// Times that the clock never showed, as it was put forward: read as that much later.
        skipped: usize,
    },
    /// A column without any value.
    Valueless {
        /// Name of the column.
        name: String,
    },
    /// Values that are possible, and unlikely in the unit that they are read in.
    Doubtful {
        /// Name of the column.
        name: String,
        /// Largest value.
        largest: f64,
        /// Unit that they look like.
        looks_like: &'static str,
        /// Name of the signal, and the factor that would put it right.
        remedy: (&'static str, &'static str),
    },
    /// Samples were taken for the intervals that end at their timestamps, so that the data begin before the first.
    EndsAtTimestamp,
    /// Samples are further apart than what a forecast bridges.
    Sparse {
        /// Usual time between two samples, in minutes.
        minutes: f64,
    },
    /// A warning that the server added to its answer.
    Warned(String),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unread { names } => {
                write!(f, "not read: {}{}", Listed(names), hints(names))
            }
            Self::Assumed { name, column } => {
                write!(f, "{:?} is taken for {column} (--column {column}=HEADER)", quoted(name))
            }
            Self::NoHeader => f.write_str(
                "there is no header: the first column is taken for the time, the second for request_rate_per_second",
            ),
            Self::DecimalComma => f.write_str("decimals are written with a comma"),
            Self::Epoch(unit) => write!(f, "instants are {unit} since the epoch, by their size"),
            Self::Dates(order) => {
                let order = match order {
                    DateOrder::DayFirst => "the day first, as 31.01.2026",
                    DateOrder::MonthFirst => "the month first, as 01/31/2026",
                };
                write!(f, "dates are read with {order}: no other order fits all of them")
            }
            Self::Zone { zone, repeated, skipped } => {
                write!(f, "times without a zone are read in {zone}")?;
                if *repeated > 0 {
                    write!(f, "; {repeated} that the clock showed twice are told apart by their order")?;
                }
                if *skipped > 0 {
                    write!(f, "; {skipped} that the clock never showed are read as if it had not been put forward")?;
                }
                Ok(())
            }
            Self::Valueless { name } => write!(f, "{name} has no value in any sample"),
            Self::Doubtful { name, largest, looks_like, remedy: (signal, factor) } => write!(
                f,
                "is {name} right? At most {largest} looks like {looks_like}; --column '{signal}={name}{factor}' converts it"
            ),
            Self::EndsAtTimestamp => f.write_str(
                "a sample is taken for the time that ends at its timestamp, as metrics are: the data begin before the first (only in a \
                 table of time and load alone does that time start there)",
            ),
            Self::Sparse { minutes } => write!(
                f,
                "samples are {minutes:.0} minutes apart: a replay goes in straight lines from one to the next, so that peaks between them \
                 are not in it, and engines that forecast take more than 6 minutes for a gap and learn nothing of this history; export it \
                 with a step of 5 minutes or less"
            ),
            Self::Warned(text) => write!(f, "the server warns: {}", message(text)),
        }
    }
}
