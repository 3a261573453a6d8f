//! The decision to hand a workload over one stage further: each day that was seen is replayed under the stage in force and under the next.

use std::io::Write;

use clap::ValueEnum;
use futures::executor::block_on;
use scaling_core::adoption::{PairedDay, Trial, TrialVerdict, deployed, replayed_days};
use scaling_core::backtest::{Driver, Scenario};
use scaling_core::hpa::HpaSpec;
use scaling_core::{Adoption, ScalingMetrics, Target};

use crate::Failure;
use crate::candidates::EngineRecipe;

/// The stage to which a workload is handed over, as its annotation `kube-scaling/mode` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// Nothing is written.
    #[default]
    Observe,
    /// Floors alone are held.
    Floors,
}

impl Stage {
    /// The adoption that is in force.
    pub fn adoption(self) -> Adoption {
        match self {
            Self::Observe => Adoption::Observe,
            Self::Floors => Adoption::Floors,
        }
    }

    fn next(self) -> Adoption {
        match self {
            Self::Observe => Adoption::Floors,
            Self::Floors => Adoption::Full,
        }
    }
}

/// Replays each whole day but the first under the stage in force and under the next.
///
/// # Errors
/// [`Failure`] if a day cannot be replayed.
pub fn days(
    samples: &[ScalingMetrics],
    scenario: &Scenario,
    spec: &HpaSpec,
    engine: &EngineRecipe,
    stage: Stage,
) -> Result<Vec<PairedDay>, Failure> {
    let [champion, challenger] = [stage.adoption(), stage.next()].map(|adoption| {
        let engine = engine.clone();
        deployed(adoption, spec.clone(), move |_| Ok(Driver::bounds(engine()?)))
    });
    block_on(replayed_days(samples, scenario, &champion, &challenger)).map_err(Failure::failed)
}

/// Tells the days, the verdict of the usual trial, and the command that carries it out.
///
/// # Errors
/// [`Failure::Failed`] if the next stage is worse.
pub fn told(target: &Target, days: &[PairedDay], stage: Stage, out: &mut impl Write) -> Result<(), Failure> {
    let (now, next) = (stage.adoption(), stage.next());
    writeln!(
        out,
        "{target}: {now} is in force; each day replayed with {now} and with {next}, in pod-hours and late requests"
    )?;
    for PairedDay { begins, champion, challenger } in days {
        writeln!(
            out,
            "  {}  {now} {:8.1} {:7.3} %   {next} {:8.1} {:7.3} %",
            begins.format("%F"),
            champion.pod_hours,
            champion.violating_share * 100.0,
            challenger.pod_hours,
            challenger.violating_share * 100.0,
        )?;
    }
    let verdict = Trial::default().verdict(days);
    writeln!(out, "{verdict}")?;
    match verdict {
        TrialVerdict::Promote(_) => writeln!(
            out,
            "kubectl annotate hpa {} -n {} --overwrite kube-scaling/mode={}",
            target.hpa,
            target.namespace,
            verdict.adoption(now)
        )?,
        TrialVerdict::Reject(_) => {
            return Err(Failure::failed(format!("{target}: {next} is worse than {now} on what was seen")));
        }
        _ => writeln!(out, "stay with {now}, and ask again after another day")?,
    }
    Ok(())
}
