//! What came of the trials of one target: [`AdoptionReport`].

use std::fmt;
use std::time::Duration;

use scaling_core::adoption::{DayCost, PairedDay, TrialVerdict};
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::{Adoption, Currency, Target};

use crate::controller::settings::Promotion;

/// Report of a trial of one target.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AdoptionReport {
    /// The workload.
    pub target: Target,
    /// Instant of the tick that it was begun after.
    pub at: DateTime<Utc>,
    /// The stage in force.
    pub in_force: Adoption,
    /// Who hands it over further.
    pub promotion: Promotion,
    /// The trials, that of a stage which evidence has reached first; or why there are none.
    pub trials: Result<Vec<StageTrial>, Untried>,
    /// What follows from them.
    pub step: AdoptionStep,
    /// Reason why a stage that was reached could not be kept at the HPA: then it is not in force, unless it
    /// [may be](Self::may_be_kept).
    pub not_kept: Option<String>,
    /// True if the answer to the write of the stage was lost: it may be in force from the next tick on, as its HPA tells then.
    pub may_be_kept: bool,
}

/// One stage held against another over the days that were seen.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StageTrial {
    /// The lower stage: for [`Observe`](Adoption::Observe), the HPA as it is.
    pub champion: Adoption,
    /// The higher stage.
    pub challenger: Adoption,
    /// The days, oldest first.
    pub days: Vec<PairedDay>,
    /// What they say.
    pub verdict: TrialVerdict,
    /// Cost that the challenger saves over all days, below 0 if it costs more; none without a price.
    pub saved: Option<(f64, Currency)>,
}

/// What follows from a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdoptionStep {
    /// The stage in force stays.
    Stay,
    /// The owner may hand it over to this stage.
    Advise(Adoption),
    /// It is handed over to this stage, by evidence.
    Promote(Adoption),
    /// What evidence had reached goes back to this stage.
    StepBack(Adoption),
}

/// Reason why a target was not tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Untried {
    /// Nobody says how the engine is made that it names.
    #[error("there is no recipe of the engine {engine:?}")]
    NoRecipe {
        /// Its name.
        engine: String,
    },
    /// The engine cannot be made.
    #[error("the engine cannot be made: {why}")]
    NoEngine {
        /// Cause.
        why: String,
    },
    /// The past could not be had.
    #[error("its past is not known: {why}")]
    NoPast {
        /// Cause.
        why: String,
    },
    /// No whole day after the first was seen.
    #[error(
        "{samples} samples over {hours} hours are too few days: at least two whole ones are needed, of which the first is learnt from"
    )]
    TooFewDays {
        /// Samples that were seen.
        samples: usize,
        /// Hours from the first to the last.
        hours: i64,
    },
    /// What was seen is no load.
    #[error("{why}")]
    NoLoad {
        /// Cause.
        why: String,
    },
    /// Nothing tells what a pod serves.
    #[error(
        "nothing tells what a pod serves: request rate, CPU and pods together would, or the setting kube-scaling/pod-capacity"
    )]
    NoPodCapacity,
    /// The HPA could not be read.
    #[error("its HPA could not be read: {why}")]
    NoHpa {
        /// Cause.
        why: String,
    },
    /// A day could not be replayed.
    #[error("{why}")]
    Replay {
        /// Cause.
        why: String,
    },
    /// Something panicked over it. The other targets are tried all the same.
    #[error("a trial panicked: {why}")]
    Panicked {
        /// Words of the panic.
        why: String,
    },
}

impl AdoptionReport {
    /// The trial that says whether to go on, if there was one: that of the next stage, or of the one above it where the next does nothing.
    pub fn of_next(&self) -> Option<&StageTrial> {
        self.trials.as_ref().ok()?.iter().rfind(|trial| trial.champion == self.in_force)
    }
}

impl StageTrial {
    /// Sums over all days: of the champion, and of the challenger. The shares of violating requests are means.
    pub fn totals(&self) -> (DayCost, DayCost) {
        let days = (self.days.len().max(1)) as f64;
        let sum = |of: fn(&PairedDay) -> &DayCost| {
            let costs = || self.days.iter().map(of);
            DayCost {
                pod_hours: costs().map(|cost| cost.pod_hours).sum(),
                violating_share: costs().map(|cost| cost.violating_share).sum::<f64>() / days,
                changes: costs().map(|cost| cost.changes).sum(),
            }
        };
        (sum(|day| &day.champion), sum(|day| &day.challenger))
    }
}

impl fmt::Display for StageTrial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { champion, challenger, days, verdict, saved } = self;
        let (before, after) = self.totals();
        write!(
            f,
            "{challenger} instead of {champion} over {} days: {:.1} instead of {:.1} pod-hours",
            days.len(),
            after.pod_hours,
            before.pod_hours
        )?;
        if let Some((amount, currency)) = saved {
            write!(f, " ({amount:.2} {currency} saved)")?;
        }
        write!(
            f,
            ", {:.3} % instead of {:.3} % of requests violating, {} instead of {} changes of bounds; {verdict}",
            after.violating_share * 100.0,
            before.violating_share * 100.0,
            after.changes,
            before.changes
        )
    }
}

impl fmt::Display for AdoptionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is in force", self.in_force)?;
        match self.step {
            AdoptionStep::Stay => {}
            AdoptionStep::Advise(stage) => write!(f, "; annotate kube-scaling/mode={stage} to go on")?,
            AdoptionStep::Promote(stage) => write!(f, "; {stage} by evidence from now on")?,
            AdoptionStep::StepBack(stage) => write!(f, "; back to {stage}")?,
        }
        if let Some(why) = &self.not_kept {
            let kept =
                if self.may_be_kept { "may or may not be kept, the answer was lost" } else { "could not be kept" };
            write!(f, ", which {kept}: {why}")?;
        }
        match &self.trials {
            Ok(trials) => trials.iter().try_for_each(|trial| write!(f, "; {trial}")),
            Err(why) => write!(f, "; not tried: {why}"),
        }
    }
}

/// What came of trials since the controller was started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdoptionHealth {
    /// Targets that were tried, each time.
    pub tried: u64,
    /// Targets that could not be tried ([`Untried`]), each time.
    pub untried: u64,
    /// Reports after which their owners may go on.
    pub advised: u64,
    /// Targets that were promoted by evidence.
    pub promoted: u64,
    /// Targets that went back.
    pub stepped_back: u64,
    /// Stages that could not be kept at their HPAs.
    pub not_kept: u64,
    /// Trials that were dropped, since the target or its settings changed, or another replica took it over, meanwhile.
    pub overtaken: u64,
    /// Trials that panicked, and calls after a report that did.
    pub panics: u64,
    /// Time that replays took.
    pub busy: Duration,
    /// Instant of the newest report.
    pub newest: Option<DateTime<Utc>>,
}

impl AdoptionHealth {
    pub(super) fn take(&mut self, report: &AdoptionReport) {
        match &report.trials {
            Ok(_) => self.tried += 1,
            Err(why) => {
                self.untried += 1;
                self.panics += u64::from(matches!(why, Untried::Panicked { .. }));
            }
        }
        if report.not_kept.is_some() {
            self.not_kept += 1;
        } else {
            match report.step {
                AdoptionStep::Stay => {}
                AdoptionStep::Advise(_) => self.advised += 1,
                AdoptionStep::Promote(_) => self.promoted += 1,
                AdoptionStep::StepBack(_) => self.stepped_back += 1,
            }
        }
        self.newest = Some(report.at);
    }
}
