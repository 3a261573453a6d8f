//! Reasons why no model is asked.

use std::fmt;
use std::time::Duration;

use scaling_core::chrono::{DateTime, Utc};

use crate::budget::OverBudget;

/// Reason why no model is asked about a decision.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NotAsked {
    /// No model is set up.
    NoModel,
    /// The baseline's request is the only size.
    NoRoom { pods: u32 },
    /// Advice has brought pods lately.
    Cooling { left: Duration },
    /// The baseline keeps what is there, and the same question was put before.
    Unchanged,
    /// An earlier question about this workload is under way.
    Busy,
    /// Nobody to keep the deadline.
    NoRuntime,
    /// The model failed too often.
    Open { until: DateTime<Utc> },
    /// The budget does not allow it.
    OverBudget(OverBudget),
}

impl fmt::Display for NotAsked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoModel => f.write_str("there is no model"),
            Self::NoRoom { pods } => write!(f, "the baseline's own request leaves no room above {pods} pods"),
            Self::Cooling { left } => write!(f, "advice may grow again in {} s", left.as_secs_f64().ceil()),
            Self::Unchanged => {
                f.write_str("the baseline keeps what is there, and nothing has changed since the last question")
            }
            Self::Busy => f.write_str("an earlier question about this workload is under way"),
            Self::NoRuntime => f.write_str("there is no tokio runtime to keep the deadline"),
            Self::Open { until } => write!(f, "the model failed too often and is not asked before {until}"),
            Self::OverBudget(why) => why.fmt(f),
        }
    }
}
