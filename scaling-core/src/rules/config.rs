//! Every threshold of the rule engine.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::setting::InvalidSetting;

/// Every threshold of the [`RuleBasedEngine`](super::RuleBasedEngine), with its unit, default and effect. An unknown key in
/// written form is an error that names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuleConfig {
    /// CPU utilization to aim for, percent of request. Default 70. Lower: more pods, fewer slow requests. Where CPU tells that pods
    /// are full, the aim is at most nine tenths of `saturation_cpu_percent`.
    pub target_cpu_percent: f64,
    /// CPU utilization to aim for, in place of `target_cpu_percent`, where a [forecast](crate::Forecast) provides for growth, which
    /// the other target leaves to its slack. Percent; default 80.
    pub learnt_target_percent: f64,
    /// CPU utilization from which pods count as full, so that demand is unknown upward. Percent; default 85. CPU beyond what a
    /// well-known capacity explains counts once it has lasted for two metrics windows.
    pub saturation_cpu_percent: f64,
    /// True where a measured queue, rather than CPU, tells that full pods are too few. Without a queue CPU counts all the same.
    /// Default false.
    pub queue_tells: bool,
    /// By how much demand is raised at least while pods are full or requests fail. Share; default 0.15.
    pub saturation_uplift: f64,
    /// Growth that full pods or a failing service ask for whatever the capacity model says, over the pods that have served for
    /// long enough to be seen in the metrics. Factor; default 1.5.
    pub overload_growth: f64,
    /// True if a workload that its owner has set to zero pods may be woken by load. Default false.
    pub wake_from_zero: bool,

    /// Growing waits until the need exceeds the present size by this share. Default 0.1, the HPA's tolerance.
    pub grow_tolerance: f64,
    /// Shrinking waits until the need is at most this share of the present size. Default 0.6.
    pub shrink_below: f64,
    /// A shrink keeps what any moment of this window needed. Default 1 h.
    #[serde(with = "crate::serde_seconds")]
    pub shrink_window: Duration,
    /// Fewer samples of history than this, and a shrink keeps half. Default 5.
    pub shrink_min_samples: usize,

    /// Memory utilization that horizontal sizing does not exceed. Percent; default 80.
    pub memory_ceiling_percent: f64,
    /// Memory utilization from which pods are under pressure. Percent; default 85.
    pub memory_pressure_percent: f64,
    /// Memory utilization that bigger pods should have. Percent; default 70.
    pub memory_target_percent: f64,
    /// Memory grows in steps of this many percent of the request. Default 25.
    pub memory_step_percent: f64,
    /// Load counts as flat if its level changed by at most this share over the history. Default 0.25.
    pub flat_load: f64,

    /// Error rate up to which the service is healthy. Percent; default 1.
    pub healthy_error_percent: f64,
    /// Response time up to which the service is healthy, as a multiple of the usual. Default 1.5.
    pub healthy_slowdown: f64,
    /// Error rate that users notice soon (high urgency). Percent; default 2.
    pub high_error_percent: f64,
    /// Error rate that is severe. Percent; default 5. Two severe signs are critical.
    pub severe_error_percent: f64,
    /// Error rate that is critical by itself. Percent; default 10.
    pub critical_error_percent: f64,
    /// Slowdown that is severe, as a multiple of the usual response time. Default 4.
    pub severe_slowdown: f64,
    /// Waiting time in the queue that is severe, in seconds of the present request rate. Default 1.
    pub severe_queue_seconds: f64,
    /// Growth of the queue that users will notice soon (high urgency), as a multiple. Default 4.
    pub high_queue_growth: f64,

    /// Time in which a backlog should be worked off. Default 60 s.
    #[serde(with = "crate::serde_seconds")]
    pub drain: Duration,
    /// Load is expected to go on rising as it did over this time. Default 120 s.
    #[serde(with = "crate::serde_seconds")]
    pub slope_window: Duration,
    /// Share of its level by which load is expected to rise at most, from its slope. Default 0.25.
    pub slope_limit: f64,

    /// History older than this is not looked at. Default 7 days.
    #[serde(with = "crate::serde_seconds")]
    pub learn_window: Duration,
    /// Samples with less CPU utilization than this teach nothing about capacity. Percent; default 5.
    pub learn_min_cpu_percent: f64,
    /// Quantile of the capacities seen that is believed. Default 0.1: rather too small than too big.
    pub capacity_quantile: f64,

    /// Length of the past in which a trend is looked for. Default 8 h.
    #[serde(with = "crate::serde_seconds")]
    pub trend_window: Duration,
    /// Load over a trend must have grown by this factor. Default 1.3.
    pub trend_growth: f64,
    /// Steadiness that a trend must have: Kendall's rank correlation of load with time, −1 to 1. Default 0.5.
    pub trend_tau: f64,
    /// A trend must be this many times as long as a pod takes to start: else nobody could have scheduled it. Default 5.
    pub trend_horizons: f64,
    /// Highest over lowest hour of a day that counts as a daily pattern. Default 2.
    pub daily_swing: f64,
    /// Share of the variance that the hour of the day must explain. Default 0.5.
    pub daily_strength: f64,
    /// Load that a schedule is sized for, over the highest load it has to carry, because it cannot react. Factor; default 1.2.
    pub schedule_headroom: f64,
    /// Lead before a declared event with which its pods are wanted, or the start-up time if that is longer. Default 15 min.
    #[serde(with = "crate::serde_seconds")]
    pub event_lead: Duration,
}

impl Default for RuleConfig {
    fn default() -> Self {
        Self {
            target_cpu_percent: 70.0,
            learnt_target_percent: 80.0,
            saturation_cpu_percent: 85.0,
            queue_tells: false,
            saturation_uplift: 0.15,
            overload_growth: 1.5,
            wake_from_zero: false,
            grow_tolerance: 0.1,
            shrink_below: 0.6,
            shrink_window: Duration::from_secs(3600),
            shrink_min_samples: 5,
            memory_ceiling_percent: 80.0,
            memory_pressure_percent: 85.0,
            memory_target_percent: 70.0,
            memory_step_percent: 25.0,
            flat_load: 0.25,
            healthy_error_percent: 1.0,
            healthy_slowdown: 1.5,
            high_error_percent: 2.0,
            severe_error_percent: 5.0,
            critical_error_percent: 10.0,
            severe_slowdown: 4.0,
            severe_queue_seconds: 1.0,
            high_queue_growth: 4.0,
            drain: Duration::from_secs(60),
            slope_window: Duration::from_secs(120),
            slope_limit: 0.25,
            learn_window: Duration::from_secs(7 * 24 * 3600),
            learn_min_cpu_percent: 5.0,
            capacity_quantile: 0.1,
            trend_window: Duration::from_secs(8 * 3600),
            trend_growth: 1.3,
            trend_tau: 0.5,
            trend_horizons: 5.0,
            daily_swing: 2.0,
            daily_strength: 0.5,
            schedule_headroom: 1.2,
            event_lead: Duration::from_secs(900),
        }
    }
}

/// Share of the utilization of full pods that is aimed for at most.
const AIM_BELOW_FULL: f64 = 0.9;

impl RuleConfig {
    /// Follows demand closely, up and down, tick by tick: for driving a replica count directly, with a declared capacity and a
    /// [forecast](crate::Forecast), where the default leaves the ups and downs to the HPA between its bounds. It is no second
    /// default: whatever is called `rules` without more, here and in the tools, is [`RuleConfig::default`].
    pub fn tracking() -> Self {
        Self {
            target_cpu_percent: 95.0,
            learnt_target_percent: 95.0,
            // Full pods are the aim here, and a queue tells when they are too few. Where none is measured, pods at 98 % hide
            // demand: with a limit of 1000 % pods that had become twice as slow stayed at 83 % of the demand for hours.
            saturation_cpu_percent: 98.0,
            queue_tells: true,
            grow_tolerance: 0.0,
            shrink_below: 0.95,
            shrink_window: Duration::from_secs(75),
            drain: Duration::from_secs(30),
            ..Self::default()
        }
    }

    /// True if pods at this CPU utilization count as full.
    pub(super) fn is_full(&self, cpu_percent: f64, queue_measured: bool) -> bool {
        cpu_percent >= self.saturation_cpu_percent && !(self.queue_tells && queue_measured)
    }

    /// The utilization to aim for, as a share.
    pub(super) fn target(&self, learnt: bool, queue_measured: bool) -> f64 {
        let percent = if learnt { self.learnt_target_percent } else { self.target_cpu_percent };
        if self.queue_tells && queue_measured {
            return percent / 100.0;
        }
        // Pods that reach their aim must not pass for full: with an aim of 100 % and full at 98 %, sizes went from 12 to 18 and
        // back every five minutes at a constant load.
        percent.min(AIM_BELOW_FULL * self.saturation_cpu_percent) / 100.0
    }

    /// Checks what the engine divides by or compares with.
    ///
    /// # Errors
    /// [`InvalidSetting`] with the first field that cannot work.
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        let above_zero = [
            ("target_cpu_percent", self.target_cpu_percent),
            ("learnt_target_percent", self.learnt_target_percent),
            ("saturation_cpu_percent", self.saturation_cpu_percent),
            ("memory_ceiling_percent", self.memory_ceiling_percent),
            ("memory_pressure_percent", self.memory_pressure_percent),
            ("memory_target_percent", self.memory_target_percent),
            ("memory_step_percent", self.memory_step_percent),
            ("drain", self.drain.as_secs_f64()),
            ("healthy_slowdown", self.healthy_slowdown),
            ("severe_queue_seconds", self.severe_queue_seconds),
        ];
        let at_least_one = [
            ("overload_growth", self.overload_growth),
            ("schedule_headroom", self.schedule_headroom),
            ("trend_growth", self.trend_growth),
            ("daily_swing", self.daily_swing),
            ("severe_slowdown", self.severe_slowdown),
            ("high_queue_growth", self.high_queue_growth),
        ];
        let share = [
            ("shrink_below", self.shrink_below),
            ("capacity_quantile", self.capacity_quantile),
            ("trend_tau", self.trend_tau),
            ("daily_strength", self.daily_strength),
        ];
        let not_negative = [
            ("saturation_uplift", self.saturation_uplift),
            ("grow_tolerance", self.grow_tolerance),
            ("flat_load", self.flat_load),
            ("healthy_error_percent", self.healthy_error_percent),
            ("high_error_percent", self.high_error_percent),
            ("severe_error_percent", self.severe_error_percent),
            ("critical_error_percent", self.critical_error_percent),
            ("slope_limit", self.slope_limit),
            ("learn_min_cpu_percent", self.learn_min_cpu_percent),
            ("trend_horizons", self.trend_horizons),
        ];
        InvalidSetting::check(&above_zero, "a finite number above 0", |v| v > 0.0)?;
        InvalidSetting::check(&at_least_one, "a finite number of at least 1", |v| v >= 1.0)?;
        InvalidSetting::check(&share, "within 0..=1", |v| (0.0..=1.0).contains(&v))?;
        InvalidSetting::check(&not_negative, "a finite number of at least 0", |v| v >= 0.0)
    }
}
