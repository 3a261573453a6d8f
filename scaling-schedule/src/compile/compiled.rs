//! The answers of the compiler: a schedule with its proof, or no schedule with its reason.

use std::fmt;

use chrono::{NaiveDateTime, TimeDelta};
use scaling_core::Confidence;
use scaling_core::stats::whole_pods;
use serde::{Deserialize, Serialize};

use super::{Profile, WindowConfidence};
use crate::{DatedWindow, InvalidSchedule, InvalidWindow, Schedule, WindowFault};

/// The answer of the compiler.
#[derive(Clone, Debug, PartialEq)]
pub enum Compiled {
    /// Windows that held on days that they were not made from.
    Schedule(Box<CompiledSchedule>),
    /// The history does not prove that windows hold what comes.
    NoSchedule(Box<NoSchedule>),
}

impl Compiled {
    /// Returns the schedule, if it is proven.
    pub fn schedule(&self) -> Option<&CompiledSchedule> {
        match self {
            Self::Schedule(compiled) => Some(compiled),
            Self::NoSchedule(_) => None,
        }
    }

    /// Returns the reason why there is no schedule.
    pub fn why_not(&self) -> Option<&Unproven> {
        match self {
            Self::Schedule(_) => None,
            Self::NoSchedule(none) => Some(&none.why),
        }
    }

    /// Sets the pods for each pod of the profiles' need.
    pub(crate) fn with_pods_per_need(mut self, pods: f64) -> Self {
        match &mut self {
            Self::Schedule(compiled) => compiled.pods_per_need = pods,
            Self::NoSchedule(none) => none.draft.pods_per_need = pods,
        }
        self
    }

    /// Returns the windows that the history suggests, proven or not: for a person to look at.
    pub fn draft(&self) -> &CompiledSchedule {
        match self {
            Self::Schedule(compiled) => compiled,
            Self::NoSchedule(none) => &none.draft,
        }
    }
}

/// No schedule, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct NoSchedule {
    /// Reason.
    pub why: Unproven,
    /// The windows that the history suggests. Nothing proves that they hold what comes; their confidence is one half at most.
    pub draft: CompiledSchedule,
}

/// Reason why no schedule is proven, with its numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Unproven {
    /// Too few days were seen to hold some out.
    TooFewDays {
        /// Days seen.
        days: usize,
        /// Days needed.
        least: usize,
    },
    /// No windows of this kind hold the held-out days.
    NotHeld {
        /// Share of the requests of held-out days that came above the highest floors that earlier days suggest.
        violating_share: f64,
        /// Share that was wanted.
        wanted: f64,
    },
    /// Windows hold some held-out days much worse than others.
    Drifts {
        /// Largest share of violating requests in one part of the held-out days.
        worst: f64,
        /// Share that was wanted.
        wanted: f64,
    },
    /// Held-out days say little of each other, and so little of days to come.
    Unsure {
        /// Share of the time of held-out days in which windows held the need.
        held: f64,
        /// Share that may be expected of other days.
        expected: f64,
    },
    /// The need grows, and windows that are made once do not.
    Grows {
        /// Growth in a week, relative to the need.
        per_week: f64,
    },
    /// Days differ, and too few weeks were seen to tell whether they do so by the week.
    DaysDiffer {
        /// Distance of the day that is furthest from the median day, relative to it.
        apart: f64,
        /// Days seen.
        days: usize,
        /// Days needed: two weeks.
        least: usize,
    },
    /// A constant size costs no more at the same share of violating requests.
    NothingGained {
        /// Pod-hours a week of the windows.
        pod_hours_a_week: f64,
        /// Pod-hours a week of the constant size.
        constant_pod_hours_a_week: f64,
    },
    /// The pods that run without any window are enough at all times.
    NothingNeeded {
        /// Those pods.
        outside: u32,
    },
    /// The HPA alone leaves next to nothing to prevent.
    NothingToPrevent {
        /// Share of the requests of held-out days that the HPA alone keeps waiting for too long.
        violating_share: f64,
    },
    /// No windows that were tried leave few enough violations on held-out days: neither those made from the days before each of them nor
    /// those of all days, which would go out.
    NothingPrevents {
        /// Most that may be left of those of the HPA alone.
        wanted: f64,
    },
    /// Windows that prevent enough are more than are wanted.
    MoreWindowsNeeded {
        /// Fewest that prevent enough.
        needed: usize,
        /// Most that are wanted.
        most: usize,
    },
    /// On held-out days, windows prevent too few violations for what they cost.
    TooLittlePrevented {
        /// Violations of the best windows within the limit of cost, relative to the HPA alone: 1 prevents none.
        left: f64,
        /// Most that may be left.
        wanted: f64,
        /// Cost of those windows, relative to the HPA alone.
        cost: f64,
    },
}

impl fmt::Display for Unproven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: &f64| share * 100.0;
        match self {
            Self::TooFewDays { days, least } => {
                write!(
                    f,
                    "no schedule: {days} days were seen, and {least} are needed to learn from some and judge by others"
                )
            }
            Self::NotHeld { violating_share, wanted } => write!(
                f,
                "no schedule: windows from earlier days leave {:.1} % of the requests of held-out days above them; {:.1} % were wanted",
                percent(violating_share),
                percent(wanted)
            ),
            Self::Drifts { worst, wanted } => write!(
                f,
                "no schedule: in one part of the held-out days {:.1} % of the requests come above the windows; {:.1} % were wanted of all",
                percent(worst),
                percent(wanted)
            ),
            Self::Unsure { held, expected } => write!(
                f,
                "no schedule: windows hold {:.1} % of the time of held-out days, which differ so much that of others {:.1} % may be expected",
                percent(held),
                percent(expected)
            ),
            Self::Grows { per_week } => write!(
                f,
                "no schedule: the need grows by {:.0} % a week, and windows that are made once do not",
                percent(per_week)
            ),
            Self::DaysDiffer { apart, days, least } => {
                write!(f, "no schedule: ")?;
                if apart.is_finite() {
                    write!(f, "days differ by up to {:.0} %", percent(apart))?;
                } else {
                    write!(f, "the usual day needs nothing, and others do")?;
                }
                write!(f, ", and {days} days do not tell whether they do so by the week; {least} would")
            }
            Self::NothingGained { pod_hours_a_week, constant_pod_hours_a_week } => write!(
                f,
                "no schedule: windows cost {pod_hours_a_week:.0} pod-hours a week, a constant size that holds as much {constant_pod_hours_a_week:.0}"
            ),
            Self::NothingNeeded { outside } => {
                write!(f, "no schedule: the {outside} pods that run without any window are enough at all times")
            }
            Self::NothingToPrevent { violating_share } => write!(
                f,
                "no schedule: in the model the HPA alone keeps {:.3} % of the requests of held-out days waiting for too long",
                percent(violating_share)
            ),
            Self::NothingPrevents { wanted } => write!(
                f,
                "no schedule: in the model none of the windows that were tried leave at most {:.0} % of the violations on held-out days",
                percent(wanted)
            ),
            Self::MoreWindowsNeeded { needed, most } => {
                write!(f, "no schedule: {needed} windows are needed to prevent enough; at most {most} were wanted")
            }
            Self::TooLittlePrevented { left, wanted, cost } => write!(
                f,
                "no schedule: in the model the best windows leave {:.0} % of the violations of held-out days at {cost:.3} times the cost; at most {:.0} % were wanted",
                percent(left),
                percent(wanted)
            ),
        }
    }
}

/// A schedule made from history, with its reasons.
#[derive(Clone, Debug, PartialEq)]
pub struct CompiledSchedule {
    /// The schedule.
    pub schedule: Schedule,
    /// One for each recurring window, in the same order.
    pub reasons: Vec<WindowReason>,
    /// The profiles it was made from: one for all days, or those of kinds of days.
    pub profiles: Vec<Profile>,
    /// Outcome on days that were held out; none if there were none.
    pub held_out: Option<HeldOut>,
    /// Numbers of windows that were weighed against each other, fewest first.
    pub curve: Vec<CurvePoint>,
    /// Trust in it: days seen against one more, less what held-out days did not confirm. Of what is not proven one half at most.
    pub confidence: Confidence,
    /// Dates of the history that were excluded: neither learnt from nor held out.
    pub excluded_days: usize,
    /// Time before a load at which the pods of its window are wanted, and those of an [`AnnouncedEvent`]: 5 minutes at least, for a CronJob
    /// must be run and the HPA must see it.
    pub lead: TimeDelta,
    /// Settings by which it was fitted over an HPA.
    pub(crate) over_hpa: Option<crate::over_hpa::Settings>,
    /// Pods for each pod of the profiles' need: more than 1 where that is need at full use, and a target leaves room.
    pub(crate) pods_per_need: f64,
}

/// Outcome on days from which nothing was learnt: windows are made from the days before each of them (rolling origin), so they are not those
/// of all days, which go out.
///
/// Over an HPA it is computed by the model of the HPA that chose the windows, day by day. [`prove`](crate::prove) replays windows in the
/// simulated cluster of the backtest, which runs on over all days and knows more of a cluster, and gives other figures for the same days: the
/// HPA keeps whichever size within its tolerance it arrived at, so a plateau can have a pod more in one of them, and with start-ups from its
/// CPU initialization period on (5 minutes) the model waits longer for it. What is told of savings comes from the replay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeldOut {
    /// Days judged.
    pub days: usize,
    /// Share of their time in which the windows held the need, each day judged by what the others chose, less two standard errors between
    /// days, so that as much may be expected of others; over an HPA, of their requests that did not wait for too long.
    pub coverage: f64,
    /// Share of their requests that came while more was needed than the windows hold or, over an HPA, that waited for too long.
    pub violating_share: f64,
    /// Pod-hours a week.
    pub pod_hours_a_week: f64,
    /// The same of what it is compared with: the constant size that violates as much or, over an HPA, the HPA alone.
    pub compared_pod_hours_a_week: f64,
    /// Share of violating requests of what it is compared with, on the same days.
    pub compared_violating_share: f64,
}

/// One choice of the number of windows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePoint {
    /// Number of windows.
    pub windows: usize,
    /// Pod-hours a week.
    pub pod_hours_a_week: f64,
    /// Share of violating requests on held-out days.
    pub violating_share: f64,
    /// True for the choice that was made.
    pub chosen: bool,
}

/// The numbers of the days of a window, in the time in which its floor is the highest that is open: why it is there, how far it can be
/// trusted, what it saves and what it risks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowReason {
    /// Name of the window.
    pub window: String,
    /// Its floor, in pods.
    pub pods: u32,
    /// Days on which it opens that were seen.
    pub days: usize,
    /// Share of its time in which the need was at most its floor, over all days that were seen.
    pub quantile: f64,
    /// Median over its days of the largest need of the day, in pods.
    pub usual: f64,
    /// Mean distance of a day's largest need from the median, relative to it.
    pub spread: f64,
    /// Largest need of all, in pods.
    pub highest: f64,
    /// Share of its time on held-out days in which the windows made from earlier days held the need; none without such days.
    pub coverage: Option<f64>,
    /// What it risks: share of its work on held-out days that came while more was needed or, over an HPA, that waited for too long.
    pub risk: Option<f64>,
    /// What waited for too long at that time under the HPA alone; none elsewhere, and without held-out days.
    pub compared_risk: Option<f64>,
    /// Held-out days on which it held, and what they say of days to come.
    pub confidence: WindowConfidence,
    /// Pod-hours a week that it saves against the constant size that holds as much; negative if it holds more. Over an HPA against the HPA
    /// alone on held-out days, until the next window opens: negative, what it costs; none without such days.
    pub saves_pod_hours_a_week: Option<f64>,
    /// True for a window over an HPA, which adds what is needed above it.
    pub over_hpa: bool,
    /// Time before the load at which its pods are wanted.
    #[serde(rename = "lead_minutes", with = "super::written::minutes")]
    pub lead: TimeDelta,
}

impl fmt::Display for WindowReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} pods hold {:.1} % of its time on {} days, which need {:.1} at most as a rule (spread {:.0} %) and {:.1} once, wanted {} min ahead",
            self.window,
            self.pods,
            self.quantile * 100.0,
            self.days,
            self.usual,
            self.spread * 100.0,
            self.highest,
            self.lead.num_minutes()
        )?;
        if let Some((coverage, risk)) = self.coverage.zip(self.risk) {
            let (coverage, risk) = (coverage * 100.0, risk * 100.0);
            write!(f, "; on held-out days it held {coverage:.1} %, and {risk:.1} % of the requests ")?;
            match self.compared_risk.map(|risk| risk * 100.0) {
                Some(alone) => write!(f, "waited for too long ({alone:.1} % under the HPA alone)")?,
                None => f.write_str("came above it")?,
            }
        }
        write!(f, "; {}", self.confidence)?;
        match self.saves_pod_hours_a_week {
            Some(saved) if self.over_hpa => {
                let (hours, than) = (saved.abs(), if saved > 0.0 { "fewer" } else { "more" });
                write!(f, "; {hours:.1} pod-hours a week {than} than the HPA alone")
            }
            Some(saved) => write!(f, "; {saved:.0} pod-hours a week fewer than a constant size that holds as much"),
            None => Ok(()),
        }
    }
}

/// A load that is announced: a flash sale on Friday from 18:00 to 20:00, tenfold.
#[derive(Clone, Debug, PartialEq)]
pub struct AnnouncedEvent {
    /// Name, for the window.
    pub name: String,
    /// First instant on the wall clock of the schedule, and the first after it.
    pub from: NaiveDateTime,
    /// First instant after it.
    pub to: NaiveDateTime,
    /// Times the load that is expected at that time.
    pub factor: f64,
}

impl CompiledSchedule {
    /// Adds announced events as windows of one date, each as long before its load as the other windows ([`lead`](Self::lead)): the largest
    /// need of the profile within its time, times its factor.
    ///
    /// # Errors
    /// [`InvalidSchedule`] if a name is taken or no name, an event does not end after it begins, or its factor is no number above 0.
    pub fn with_events(mut self, events: &[AnnouncedEvent]) -> Result<Self, InvalidSchedule> {
        let windows = events.iter().map(|event| self.event(event)).collect::<Result<Vec<_>, _>>()?;
        self.schedule = self.schedule.with_events(windows)?;
        Ok(self)
    }

    fn event(&self, event: &AnnouncedEvent) -> Result<DatedWindow, InvalidWindow> {
        let expected = self.expected(event.from, event.to) * self.pods_per_need;
        if expected <= 0.0 && event.from < event.to {
            return Err(InvalidWindow { name: event.name.clone(), fault: WindowFault::NoLoad });
        }
        let pods = whole_pods(expected * event.factor);
        let from = event.from.checked_sub_signed(self.lead).unwrap_or(event.from);
        // A factor that is no number needs no pods, which the window refuses.
        DatedWindow::new(event.name.clone(), from, event.to, pods)
    }

    /// The largest need of the profiles within a time, in pods.
    fn expected(&self, from: NaiveDateTime, to: NaiveDateTime) -> f64 {
        use chrono::{Datelike, Timelike};
        let mut most = 0.0_f64;
        let mut at = from;
        // A week has seen everything.
        let end = to.min(from.checked_add_signed(TimeDelta::days(7)).unwrap_or(to));
        while at < end {
            let profile = self.profiles.iter().find(|profile| profile.days.contains(at.weekday()));
            if let Some(profile) = profile.filter(|profile| !profile.needs.is_empty()) {
                let slot = at.num_seconds_from_midnight() as usize * profile.needs.len() / (24 * 3600);
                most = most.max(profile.needs.get(slot).copied().flatten().unwrap_or(0.0));
            }
            at = match at.checked_add_signed(TimeDelta::minutes(5)) {
                Some(next) => next,
                None => break,
            };
        }
        most
    }
}
