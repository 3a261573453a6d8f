//! [`ResourceLimits`]: what a pod requests stays above what it uses.

use super::{Change, Guard, GuardContext, Limit, Verdict};
use crate::metrics::{Observation, SignalKind};
use crate::resources::ResourceChange;

/// Limits a change of what a pod requests: never below what its pods use now, nor by more than a share at once in either
/// direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceLimits {
    /// Largest growth of a request at once, in percent of it. Default 100: at most double.
    pub up_percent: u32,
    /// Largest reduction of a request at once, in percent of it; below 100. Default 50.
    pub down_percent: u32,
    /// Room above present usage that a smaller request must leave, in percent of the usage. Default 20.
    pub headroom_percent: u32,
}

impl Default for ResourceLimits {
    fn default() -> Self {
        Self { up_percent: 100, down_percent: 50, headroom_percent: 20 }
    }
}

impl Guard for ResourceLimits {
    fn name(&self) -> &'static str {
        "resources"
    }

    fn check(&self, change: &Change<'_>, context: &GuardContext<'_>) -> Verdict {
        let Some(ResourceChange { cpu_percent, memory_percent }) = change.resources else { return Verdict::Pass };
        let allowed = ResourceChange {
            cpu_percent: self.allowed(cpu_percent, context.observation, SignalKind::CpuUtilization),
            memory_percent: self.allowed(memory_percent, context.observation, SignalKind::MemoryUtilization),
        };
        if allowed == (ResourceChange { cpu_percent, memory_percent }) {
            return Verdict::Pass;
        }
        let why = format!(
            "a request is at most changed by +{} % or -{} %, and not below present usage",
            self.up_percent,
            self.down_percent.min(99)
        );
        Verdict::Limit { limit: Limit::Resources(allowed), why: why.into() }
    }
}

impl ResourceLimits {
    fn allowed(self, percent: i32, observation: Option<&Observation>, usage: SignalKind) -> i32 {
        if percent >= 0 {
            return percent.min(i32::try_from(self.up_percent).unwrap_or(i32::MAX));
        }
        // Usage that nobody measures may be all of the request.
        let used = observation.and_then(|observation| observation.current.value(usage)).unwrap_or(100.0);
        let needed = used * (1.0 + f64::from(self.headroom_percent) / 100.0);
        let by_usage = -whole_percent(100.0 - needed);
        let by_step = -i32::try_from(self.down_percent.min(99)).unwrap_or(99);
        percent.max(by_usage).max(by_step).min(0)
    }
}

/// Rounded down: a request is rather too large than too small.
#[allow(clippy::cast_possible_truncation)] // within 0..=100
fn whole_percent(percent: f64) -> i32 {
    percent.clamp(0.0, 100.0).floor() as i32
}
