//! Courses and their hazards in words.

use std::fmt;

use super::{Coordinated, Course, Hazard, NewTarget, Simulation};

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { replicas, settled, settled_after_s, peak, .. } = self;
        let start = replicas.first().map_or(0, |(_, replicas)| *replicas);
        let replicas_then = if start == 1 { "replica becomes" } else { "replicas become" };
        match settled {
            Some(1) if replicas.len() == 1 => return f.write_str("stays at 1 replica"),
            Some(settled) if replicas.len() == 1 => return write!(f, "stays at {settled} replicas"),
            Some(settled) => {
                write!(f, "{start} {replicas_then} {settled} within {}", told(*settled_after_s))?;
            }
            None => write!(
                f,
                "{start} {} not come to rest within {}",
                if start == 1 { "replica does" } else { "replicas do" },
                told(*settled_after_s)
            )?,
        }
        if *peak > start.max(settled.unwrap_or(0)) {
            write!(f, ", {peak} on the way")?;
        }
        Ok(())
    }
}

/// A time in minutes and seconds.
fn told(seconds: u64) -> String {
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

impl fmt::Display for Hazard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeyondMax { max } => write!(f, "the HPA would want more than its max of {max}"),
            Self::Flaps { turns, without } => {
                write!(f, "the size would turn {turns} times between growth and shrinkage, instead of {without} times")
            }
            Self::Unsettled { within_s } => {
                write!(f, "the size would not come to rest within {}", told(*within_s))
            }
        }
    }
}

impl fmt::Display for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "simulated without the change: {}", self.without)?;
        write!(f, "\nsimulated with the change: {}", self.with)?;
        for hazard in &self.hazards {
            write!(f, "\n  danger: {hazard}")?;
        }
        if let Some(Coordinated { targets, course, hazards }) = &self.coordinated {
            f.write_str("\nsimulated with the change and ")?;
            for (place, target) in targets.iter().enumerate() {
                let NewTarget { resource, from_percent, to_percent, after_s, .. } = target;
                let and = if place == 0 { "" } else { ", " };
                write!(f, "{and}a target of {to_percent} % of {resource} in place of {from_percent} %")?;
                if *after_s > 0 {
                    write!(f, " after {}", told(*after_s))?;
                }
            }
            write!(f, ": {course}")?;
            for hazard in hazards {
                write!(f, "\n  danger: {hazard}")?;
            }
        }
        if self.unknown > 0 {
            write!(f, "\nmetrics left out, because nothing is known of them: {}", self.unknown)?;
        }
        Ok(())
    }
}
