//! Typed causes with their numbers. Prose is rendered from them, on demand.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::replayed::{ReplayVerdict, ReplayedSize};
use crate::metrics::NoForecast;
use crate::metrics::{Absence, SignalKind};
use crate::stats::grouped;

/// Source of the capacity of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CapacityModel {
    /// The host declared it.
    Declared,
    /// Learnt from history: load per pod against CPU utilization, healthy samples only.
    Learnt,
    /// Learnt from history: between the largest load seen healthy and the smallest seen unhealthy.
    HealthLimit,
    /// The last minutes: pods carry less than was declared or learnt.
    Recent,
    /// Not learnt: the present ratio of utilization to its target.
    UtilizationRatio,
    /// Not known.
    Unknown,
}

/// Cause of a need for pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NeedDriver {
    /// Load against capacity.
    Demand,
    /// CPU utilization against its target.
    Cpu,
    /// Memory utilization against its ceiling.
    Memory,
    /// Failing service whatever the utilization says.
    Overload,
}

/// Days on which a suggested window opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowDays {
    /// All seven.
    EveryDay,
    /// Monday to Friday.
    Weekdays,
    /// Saturday and Sunday.
    Weekends,
}

/// One cause of a decision, with its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// Which capacity model was used. `per_pod` is in the load signal's unit, at 100 % utilization.
    Capacity {
        /// The model.
        model: CapacityModel,
        /// The signal that measures load.
        load: Option<SignalKind>,
        /// Load that one pod carries at 100 %.
        per_pod: Option<f64>,
        /// Samples behind it.
        samples: u32,
        /// Spread of the samples around it, relative.
        spread: f64,
    },
    /// The load, and what it was raised to before sizing.
    Load {
        /// The signal that measures load.
        load: SignalKind,
        /// As observed.
        observed: f64,
        /// With backlog, failures, saturation and expected growth.
        demand: f64,
    },
    /// Something asks for this many pods, not rounded.
    Need {
        /// Cause of the need.
        driver: NeedDriver,
        /// Pods, before rounding up.
        replicas: f64,
    },
    /// Requests are waiting.
    Backlog {
        /// Requests that wait.
        requests: f64,
    },
    /// Requests fail.
    Errors {
        /// Percent of all.
        percent: f64,
    },
    /// Requests are slow.
    SlowResponses {
        /// Now, in ms.
        ms: f64,
        /// In good times, in ms.
        usual_ms: f64,
    },
    /// The pods are full; demand beyond what they serve is unseen.
    Saturated {
        /// CPU utilization in percent.
        cpu_percent: f64,
    },
    /// Memory is short and more pods would not help: load is flat.
    MemoryPressure {
        /// High recent memory utilization in percent (0.9 quantile).
        percent: f64,
        /// Utilization to be reached, in percent.
        target_percent: f64,
    },
    /// Fewer pods would do.
    OverProvisioned {
        /// Pods that would do, before rounding up.
        needed: f64,
    },
    /// The recent past needed this many.
    RecentDemand {
        /// Pods.
        replicas: u32,
    },
    /// Fewer pods would do, but too few fewer to be worth a change.
    SmallShrink {
        /// Pods that would do.
        replicas: u32,
        /// Share of the present size that must be enough before it is lowered.
        share: f64,
    },
    /// Load that may have come when new pods are ready.
    Forecast {
        /// The signal that measures the load, where it is known ([`LoadForecast`](crate::LoadForecast) says its unit).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<SignalKind>,
        /// As observed, in the unit of its signal.
        observed: f64,
        /// The quantile of what may come, in the same unit.
        expected: f64,
        /// Which quantile: 0.97 will be exceeded three times in a hundred.
        quantile: f64,
        /// From the observation to when it is for, in seconds.
        ahead_s: f64,
    },
    /// An engine that sizes by a forecast had none.
    NoForecast {
        /// Cause.
        cause: NoForecast,
    },
    /// Load has been moving one way for long.
    Trend {
        /// Last level over first.
        growth: f64,
        /// For how long, in seconds.
        seconds: f64,
    },
    /// Load follows the hour of the day.
    DailyPattern {
        /// Highest over lowest level.
        swing: f64,
        /// Days seen.
        days: f64,
    },
    /// A quiet Saturday or Sunday.
    Weekend,
    /// A declared event.
    Event {
        /// Name of the event.
        name: String,
        /// Load during over load before.
        factor: f64,
    },
    /// A signal has no value.
    SignalAbsent {
        /// Which.
        signal: SignalKind,
        /// Cause.
        absence: Absence,
    },
    /// Fewer pods would do by what is known, but too much is not known: this many are kept.
    HeldForAbsence {
        /// Pods.
        replicas: u32,
    },
    /// The owner has set the workload to zero pods, and nothing says that it may be woken.
    ScaledToZero,
    /// Another engine was asked because this one failed.
    FellBack {
        /// The engine that failed.
        engine: String,
        /// Error, for people.
        error: String,
    },
    /// Several engines were asked.
    Ensemble {
        /// The engine whose answer this is.
        chosen: String,
        /// Engines that answered.
        answered: u32,
        /// Engines that were asked.
        asked: u32,
    },
    /// A recurring or one-off window of a schedule is open.
    Schedule {
        /// Name of the window.
        window: String,
        /// The floor it holds.
        replicas: u32,
    },
    /// Answer of the HPA's algorithm to one metric.
    HpaProposal {
        /// The metric.
        metric: String,
        /// The size it asks for.
        replicas: u32,
    },
    /// A metric that says nothing to the HPA's algorithm.
    HpaMetricFailed {
        /// The metric.
        metric: String,
        /// Error, for people.
        error: String,
    },
    /// The HPA's algorithm limited the size.
    HpaLimited {
        /// The reason as the API spells it.
        limit: Cow<'static, str>,
    },
    /// A model suggests another CPU target for the HPA. It is for people to judge; nothing applies it.
    SuggestedTarget {
        /// Target of the mean CPU utilization, in percent of the request.
        cpu_percent: u32,
    },
    /// A model suggests a recurring window with more pods. It is for people to judge; nothing applies it.
    SuggestedWindow {
        /// Days on which the window opens.
        days: WindowDays,
        /// Hour at which it opens, 0 to 23, local time of the workload.
        start_hour: u32,
        /// Hour at which it closes, 1 to 24; one that is not after the start is of the next day.
        end_hour: u32,
        /// Pods that it would hold.
        min_replicas: u32,
    },
    /// A size was proposed in place of the engine's own, and both were replayed.
    Replayed {
        /// Answer, with its reason.
        verdict: ReplayVerdict,
        /// Moments of the past that were replayed.
        moments: u32,
        /// The engine's own size.
        own: ReplayedSize,
        /// The proposed size.
        proposed: ReplayedSize,
    },
    /// A host's own rule.
    Custom {
        /// Name of the rule.
        rule: Cow<'static, str>,
        /// Text for people.
        text: Cow<'static, str>,
    },
}

impl Reason {
    /// Moves every number to the nearest finite one.
    pub(crate) fn make_finite(&mut self) {
        if let Self::Forecast { quantile, ahead_s, .. } = self {
            (*quantile, *ahead_s) = (super::finite(*quantile), super::finite(*ahead_s));
        }
        if let Self::Replayed { own, proposed, .. } = self {
            own.make_finite();
            proposed.make_finite();
        }
        let numbers: [Option<&mut f64>; 2] = match self {
            Self::Capacity { per_pod, spread, .. } => [per_pod.as_mut(), Some(spread)],
            Self::Load { observed, demand, .. } => [Some(observed), Some(demand)],
            Self::Forecast { observed, expected, .. } => [Some(observed), Some(expected)],
            Self::SlowResponses { ms, usual_ms } => [Some(ms), Some(usual_ms)],
            Self::MemoryPressure { percent, target_percent } => [Some(percent), Some(target_percent)],
            Self::Trend { growth, seconds } => [Some(growth), Some(seconds)],
            Self::DailyPattern { swing, days } => [Some(swing), Some(days)],
            Self::Need { replicas: number, .. }
            | Self::Backlog { requests: number }
            | Self::Errors { percent: number }
            | Self::Saturated { cpu_percent: number }
            | Self::OverProvisioned { needed: number }
            | Self::SmallShrink { share: number, .. }
            | Self::Event { factor: number, .. } => [Some(number), None],
            Self::RecentDemand { .. }
            | Self::NoForecast { .. }
            | Self::Weekend
            | Self::SignalAbsent { .. }
            | Self::HeldForAbsence { .. }
            | Self::ScaledToZero
            | Self::FellBack { .. }
            | Self::Ensemble { .. }
            | Self::Schedule { .. }
            | Self::HpaProposal { .. }
            | Self::HpaMetricFailed { .. }
            | Self::HpaLimited { .. }
            | Self::SuggestedTarget { .. }
            | Self::SuggestedWindow { .. }
            | Self::Replayed { .. }
            | Self::Custom { .. } => [None, None],
        };
        for number in numbers.into_iter().flatten() {
            *number = super::finite(*number);
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capacity { model, load, per_pod, samples, spread } => {
                let how = match model {
                    CapacityModel::Declared => "declared by the host",
                    CapacityModel::Learnt => "learnt from history",
                    CapacityModel::HealthLimit => "between the largest healthy and the smallest unhealthy load",
                    CapacityModel::Recent => "seen in the last minutes, less than was declared or learnt",
                    CapacityModel::UtilizationRatio => "not learnt, using the ratio of utilization to its target",
                    CapacityModel::Unknown => "not known",
                };
                write!(f, "capacity of a pod: ")?;
                if let (Some(load), Some(per_pod)) = (load, per_pod) {
                    write!(f, "{per_pod:.1} ({load}) at 100 %, ")?;
                }
                write!(f, "{how}")?;
                if *samples > 0 {
                    write!(f, " ({samples} samples, spread {:.0} %)", spread * 100.0)?;
                }
                Ok(())
            }
            Self::Load { load, observed, demand } => {
                write!(f, "{load} {observed:.1}, sized for {demand:.1}")
            }
            Self::Need { driver, replicas } => {
                let what = match driver {
                    NeedDriver::Demand => "demand",
                    NeedDriver::Cpu => "CPU",
                    NeedDriver::Memory => "memory",
                    NeedDriver::Overload => "overload",
                };
                write!(f, "{what} needs {replicas:.2} pods")
            }
            Self::Backlog { requests } => write!(f, "{} requests are waiting", grouped(*requests, 0)),
            Self::Errors { percent } => write!(f, "{percent:.1} % of requests fail"),
            Self::SlowResponses { ms, usual_ms } => {
                write!(f, "responses take {ms:.0} ms, usually {usual_ms:.0} ms")
            }
            Self::Saturated { cpu_percent } => {
                write!(f, "pods are full (CPU {cpu_percent:.0} %): demand may be higher than what is seen")
            }
            Self::MemoryPressure { percent, target_percent } => write!(
                f,
                "memory at {percent:.0} % with flat load: more pods would not help, bigger ones bring it to {target_percent:.0} %"
            ),
            Self::OverProvisioned { needed } => write!(f, "{needed:.2} pods would do"),
            Self::SmallShrink { replicas, share } => write!(
                f,
                "{replicas} pods would do, which is more than {:.0} % of the present size: not worth a change",
                100.0 * share
            ),
            Self::RecentDemand { replicas } => write!(f, "the recent past needed {replicas} pods"),
            Self::Forecast { observed, expected, quantile, ahead_s, .. } => write!(
                f,
                "load of {observed:.1} may become {expected:.1} within {ahead_s:.0} s (quantile {quantile:.3} of the forecast)"
            ),
            Self::NoForecast { cause } => write!(f, "no forecast: {cause}"),
            Self::Trend { growth, seconds } => {
                write!(f, "load has grown {growth:.1}-fold over {:.1} h", seconds / 3600.0)
            }
            Self::DailyPattern { swing, days } => {
                write!(f, "load follows the hour of the day ({swing:.1}-fold swing, {days:.1} days seen)")
            }
            Self::Weekend => f.write_str("a quiet weekend"),
            Self::Event { name, factor } => write!(f, "event {name:?} brings {factor:.1} times the load"),
            Self::SignalAbsent { signal, absence } => write!(f, "{signal}: {absence}"),
            Self::HeldForAbsence { replicas } => {
                write!(f, "{replicas} pods kept because signals or history are missing")
            }
            Self::ScaledToZero => f.write_str("scaled to zero by its owner"),
            Self::FellBack { engine, error } => write!(f, "{engine} failed ({error})"),
            Self::Ensemble { chosen, answered, asked } => {
                write!(f, "{chosen} asked for most ({answered} of {asked} engines answered)")
            }
            Self::Schedule { window, replicas } => write!(f, "window {window:?} holds {replicas} pods"),
            Self::HpaProposal { metric, replicas } => write!(f, "{metric} asks for {replicas} pods"),
            Self::HpaMetricFailed { metric, error } => write!(f, "{metric} says nothing: {error}"),
            Self::HpaLimited { limit } => write!(f, "limited: {limit}"),
            Self::SuggestedTarget { cpu_percent } => {
                write!(f, "suggested to people, not applied: a CPU target of {cpu_percent} %")
            }
            Self::SuggestedWindow { days, start_hour, end_hour, min_replicas } => {
                let days = match days {
                    WindowDays::EveryDay => "every day",
                    WindowDays::Weekdays => "Monday to Friday",
                    WindowDays::Weekends => "on Saturdays and Sundays",
                };
                write!(
                    f,
                    "suggested to people, not applied: at least {min_replicas} pods {days} from {start_hour}:00 to {end_hour}:00"
                )
            }
            Self::Replayed { verdict, moments, own, proposed } => replayed(f, *verdict, *moments, own, proposed),
            Self::Custom { rule, text } => write!(f, "{rule}: {text}"),
        }
    }
}

fn replayed(
    f: &mut fmt::Formatter<'_>,
    verdict: ReplayVerdict,
    moments: u32,
    own: &ReplayedSize,
    proposed: &ReplayedSize,
) -> fmt::Result {
    write!(f, "{} pods instead of {}: {verdict}", proposed.replicas, own.replicas)?;
    if moments == 0 {
        return Ok(());
    }
    let share = |size: &ReplayedSize| {
        let [past, band] = [size.past_violating_share, size.band_violating_share];
        format!("{:.3} % and {:.3} %", 100.0 * past, 100.0 * band)
    };
    write!(
        f,
        " ({moments} moments of the past and the forecast's band: {} violating instead of {}, {:.3} pod-hours instead of {:.3})",
        share(proposed),
        share(own),
        proposed.pod_hours,
        own.pod_hours
    )
}
