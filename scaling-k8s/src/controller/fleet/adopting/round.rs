//! The replays of one target, day by day, away from the ticks: [`trials`].

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use scaling_core::adoption::{PairedDay, ReplayedDay, Trial, replayed_day};
use scaling_core::{Adoption, Price};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::Instant;

use super::prepare::{Case, too_few};
use super::report::{StageTrial, Untried};
use super::rules::{Pair, beyond, is_rejected};

/// Time that an engine may wait for something within the replays of one day.
const LONGEST_DAY: Duration = Duration::from_secs(600);

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
    let (mut trials, mut pairs) = (Vec::new(), VecDeque::from(pairs));
    while let Some((champion, challenger)) = pairs.pop_front() {
        let days = days(case, (champion, challenger), share).await?;
        if days.is_empty() {
            return Err(too_few(&case.samples));
        }
        let verdict = trial.verdict(&days);
        let saved = price.map(|price| (price.pod_hour() * verdict.evidence().saved_pod_hours, price.currency()));
        let trial = StageTrial { champion, challenger, days, verdict, saved };
        let back = is_rejected(in_force, &trial);
        pairs.extend(beyond(in_force, &trial));
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
        // Gone with this future: an engine that waits for something is not waited for at the end.
        let (_wanted, unwanted) = oneshot::channel::<()>();
        let replay = move || {
            let (champion, challenger) = &*pair;
            let replay = replayed_day(&case.samples, &case.scenario, champion, challenger, number);
            // It finds the runtime here.
            Handle::current().block_on(async {
                tokio::select! {
                    biased;
                    day = tokio::time::timeout(LONGEST_DAY, replay) => day.ok(),
                    _ = unwanted => None,
                }
            })
        };
        let day = spawn_blocking(replay).await.map_err(panicked)?;
        let took = began.elapsed();
        share.busy = share.busy.saturating_add(took);
        tokio::time::sleep(rest(took, share.of_a_core)).await;
        match day {
            Some(Ok(ReplayedDay::Paired(day))) => days.push(day),
            Some(Ok(ReplayedDay::NotSeen { begins })) => {
                tracing::info!(%begins, "a day was not seen, and says nothing");
            }
            Some(Ok(ReplayedDay::NotOver)) => break,
            Some(Err(error)) => return Err(Untried::Replay { why: error.to_string() }),
            None => {
                let why = format!("the engine was waited for {} s over one day", LONGEST_DAY.as_secs());
                return Err(Untried::Replay { why });
            }
        }
    }
    Ok(days)
}

/// Pause after which something that took so long has had its share.
fn rest(took: Duration, share: f64) -> Duration {
    let seconds = took.as_secs_f64() * (1.0 / share - 1.0);
    // A share so small that the pause is no time any more is one that is never had again.
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_leaves_the_rest_of_the_machine_its_share_whatever_that_is() {
        let second = Duration::from_secs(1);
        assert_eq!((rest(second, 1.0), rest(second, 0.5)), (Duration::ZERO, second));
        assert!(rest(second, 0.1).abs_diff(9 * second) < Duration::from_millis(1));
        assert_eq!(
            (rest(second, f64::MIN_POSITIVE), rest(Duration::ZERO, f64::MIN_POSITIVE)),
            (Duration::MAX, Duration::ZERO)
        );
    }
}
