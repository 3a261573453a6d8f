//! The replays of one target, day by day, away from the ticks: [`trials`].

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use scaling_core::adoption::{DaysError, PairedDay, Trial, replayed_day};
use scaling_core::{Adoption, Price};
use tokio::runtime::Handle;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::Instant;

use super::prepare::Case;
use super::report::{StageTrial, Untried};
use super::rules::{Pair, is_rejected};

/// What a replay may take.
pub(super) struct Share {
    pub(super) of_a_core: f64,
    /// Time that replays took so far.
    pub(super) busy: Duration,
}

/// Replays all days of some pairs of stages. One day is replayed at a time, on a thread for what takes its time; after each, the rest of the
/// machine has its share. Dropped, it ends after the day that is under way.
pub(super) async fn trials(
    case: &Arc<Case>,
    pairs: Vec<Pair>,
    in_force: Adoption,
    trial: &Trial,
    price: Option<Price>,
    share: &mut Share,
) -> Result<Vec<StageTrial>, Untried> {
    let mut trials = Vec::new();
    for (champion, challenger) in pairs {
        let days = days(case, (champion, challenger), share).await?;
        if days.is_empty() {
            return Err(Untried::TooFewDays { samples: case.samples.len(), hours: 24 });
        }
        let verdict = trial.verdict(&days);
        let saved = price.map(|price| (price.pod_hour() * verdict.evidence().saved_pod_hours, price.currency()));
        let trial = StageTrial { champion, challenger, days, verdict, saved };
        let back = is_rejected(in_force, &trial);
        trials.push(trial);
        if back {
            break;
        }
    }
    Ok(trials)
}

async fn days(case: &Arc<Case>, (champion, challenger): Pair, share: &mut Share) -> Result<Vec<PairedDay>, Untried> {
    let pair = Arc::new((case.candidate(champion), case.candidate(challenger)));
    let mut days = Vec::new();
    for number in 1.. {
        let (case, pair, began) = (Arc::clone(case), Arc::clone(&pair), Instant::now());
        // An engine may wait for something: it finds the runtime here.
        let replay = move || {
            let (champion, challenger) = &*pair;
            Handle::current().block_on(replayed_day(&case.samples, &case.scenario, champion, challenger, number))
        };
        let day = spawn_blocking(replay).await.map_err(panicked)?;
        let took = began.elapsed();
        share.busy = share.busy.saturating_add(took);
        tokio::time::sleep(took.mul_f64(1.0 / share.of_a_core - 1.0)).await;
        match day {
            Ok(Some(day)) => days.push(day),
            Ok(None) => break,
            Err(error) => return Err(Untried::Replay { why: told(&error) }),
        }
    }
    Ok(days)
}

fn told(error: &DaysError) -> String {
    error.to_string()
}

/// The words of a panic.
pub(super) fn panicked(error: JoinError) -> Untried {
    let why = match error.try_into_panic() {
        Ok(panic) => words(&*panic),
        Err(error) => error.to_string(),
    };
    Untried::Panicked { why }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word").to_owned()
}
