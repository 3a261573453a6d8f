//! Watching what a change does, and going back when it does harm.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::moment::Moment;
use scaling_core::{HpaState, Observation, Target};

use super::{Change, History, Rollback, RollbackRefused, cut};

/// Changes that are watched at one time, at most: the newest of each workload.
const MOST: usize = 20_000;
/// Longest reason that is kept, in bytes.
const MAX_WHY: usize = 600;

/// State of a workload, as a host-defined check sees it: its error budget, its readiness, its restarts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// Nothing is wrong.
    Healthy,
    /// Harm is done, for this reason.
    Burning(String),
    /// The check cannot tell, for this reason. That is neither a yes nor a no.
    Unknown(String),
}

/// A workload at an instant, for a check of it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Look<'a> {
    /// The instant.
    pub now: DateTime<Utc>,
    /// The HPA as it was just read.
    pub state: HpaState,
    /// What the source sees of the workload; none while it is down, or if the host does not say.
    pub observation: Option<&'a Observation>,
}

impl<'a> Look<'a> {
    /// The HPA at an instant, and nothing of the workload.
    pub fn new(state: HpaState, now: DateTime<Utc>) -> Self {
        Self { now, state, observation: None }
    }

    /// Adds what the source sees of the workload.
    #[must_use]
    pub fn seen(mut self, observation: Option<&'a Observation>) -> Self {
        self.observation = observation;
        self
    }
}

/// A check of a workload after a change. Any function of the form of [`check`](Self::check) is one.
///
/// It is asked at instants that the host chooses, and answers for the time since the change. What it needs for that and the [`Look`] does not
/// have, such as restarts or an error budget that is kept elsewhere, is its own to remember.
pub trait HealthCheck {
    /// Judges the workload, from the change on. It must not block.
    fn check(&mut self, target: &Target, change: &Change, look: &Look<'_>) -> Health;

    /// Whether this change is to be watched. Default: each is.
    fn watches(&self, change: &Change) -> bool {
        let _ = change;
        true
    }
}

impl<F: FnMut(&Target, &Change, &Look<'_>) -> Health> HealthCheck for F {
    fn check(&mut self, target: &Target, change: &Change, look: &Look<'_>) -> Health {
        self(target, change, look)
    }
}

/// How long a change is watched, and how sure a check must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchConfig {
    /// Time after the change in which it is undone if the workload burns. Default: 10 minutes.
    pub window: Duration,
    /// Answers in a row that say that it burns before it is undone, at least one. An unknown one in between neither counts nor starts anew.
    /// Default: 2.
    pub burning_in_a_row: u32,
    /// Time after an undo for which no bound of the workload is lowered again, so that the same change is not made at once. Whoever
    /// carries out the undo sees to it, as the fleet controller does; growth waits for nothing. Default: 30 minutes.
    pub hold: Duration,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self { window: Duration::from_secs(600), burning_in_a_row: 2, hold: Duration::from_secs(1800) }
    }
}

/// End of a watch, or that it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a change that burns is undone by nobody else"]
#[non_exhaustive]
pub enum Watched {
    /// It is watched until this instant.
    Watching {
        /// End of its window.
        until: DateTime<Utc>,
        /// The last answer of the check.
        health: Health,
    },
    /// It burns. The watch has ended, and the change is to be undone: through the guards ([`Rollback::approve`]), as any other change.
    Burns {
        /// Way back.
        rollback: Rollback,
        /// Reason of the check.
        why: String,
    },
    /// It burns, and there is no way back. The watch has ended.
    Stuck {
        /// Number of the change.
        number: u64,
        /// Reason of the check.
        why: String,
        /// Reason why it is not undone.
        refused: RollbackRefused,
    },
    /// It burns, and there is no way back yet: whether it was made at all is not known. The watch goes on, beyond its window too.
    Waiting {
        /// Reason of the check.
        why: String,
        /// What is not known.
        refused: RollbackRefused,
    },
    /// The window has passed, and the last answer of the check was that nothing is wrong.
    Passed {
        /// Number of the change.
        number: u64,
    },
    /// The window has passed, and whether the change did harm is not known: the check could not tell, or was not asked, or said too late
    /// that it burns. It is neither undone nor taken for harmless; somebody should look.
    Unjudged {
        /// Number of the change.
        number: u64,
        /// The last that the check said, or that it was not asked.
        why: String,
    },
}

/// Watches the latest change of each workload, for a while after it was made.
///
/// It has no clock and asks nothing of its own accord: the host calls [`begin`](Self::begin) after a change, and [`ask`](Self::ask) in
/// each tick, with the time. A later change of ours that is watched takes the place of the earlier one, and a rollback goes to before the **first**
/// one since the workload was last seen to be well. A change that [undoes](Change::undo) one is not watched: to undo it would bring the harm back.
///
/// A change that lies ahead of the clock counts as one of the first look that finds it there, in what the check is given as well.
///
/// ```
/// use scaling_core::chrono::{DateTime, TimeDelta, Utc};
/// use scaling_core::{ApplyMode, Bounds, BoundsChange, DecisionRecord, HpaState, Outcome, Target};
/// use scaling_k8s::history::{Change, Health, History, Look, Watch, WatchConfig, Watched};
///
/// # let target = Target::deployment("shop", "checkout");
/// # let mut record = DecisionRecord::new(target.clone(), DateTime::UNIX_EPOCH, ApplyMode::Apply);
/// # let (old, new) = (Bounds::new(6, 12)?, Bounds::new(2, 12)?);
/// # record.change = Some(BoundsChange { old, new, released: 4, min_without_floor: None, resources: None });
/// # record.outcome = Outcome::Applied;
/// let mut history = History::new();
/// history.take(&record, "kube-scaling"); // 6..12 -> 2..12
/// let mut watch = Watch::new(WatchConfig::default());
/// watch.begin(&target, &history);
///
/// let mut errors = |_: &Target, _: &Change, _: &Look<'_>| Health::Burning("5 % of requests fail".into());
/// let minute = |n| record.at + TimeDelta::minutes(n);
/// let look = |n| Look::new(HpaState::new(new), minute(n));
/// assert!(matches!(watch.ask(&target, &history, &look(1), &mut errors), Some(Watched::Watching { .. })));
/// let Some(Watched::Burns { rollback, why }) = watch.ask(&target, &history, &look(2), &mut errors) else { panic!() };
/// assert_eq!((rollback.to(), why.as_str()), (old, "5 % of requests fail"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Watch {
    config: WatchConfig,
    targets: BTreeMap<Target, Watching>,
}

#[derive(Clone, Debug)]
struct Watching {
    /// Number of the first change since the workload was last seen to be well: what is undone.
    first: u64,
    /// The newest change.
    newest: Change,
    /// Instant from which the window counts: that of the newest change.
    since: Moment,
    burning: u32,
    health: Option<Health>,
    /// Reason why it is to be undone, once that is certain.
    burns: Option<String>,
}

impl Watch {
    /// Watches nothing yet.
    pub fn new(config: WatchConfig) -> Self {
        Self { config, targets: BTreeMap::new() }
    }

    /// Watches the newest change of a workload from now on. Without a newer one than is watched already, nothing changes. An undo ends the
    /// watch instead.
    ///
    /// Of 20,000 workloads at most; beyond that the one whose change is the oldest is let go, and given back as [`Watched::Unjudged`].
    pub fn begin(&mut self, target: &Target, history: &History) -> Option<(Target, Watched)> {
        let newest = history.of(target).next_back()?;
        if newest.undo {
            self.targets.remove(target);
            return None;
        }
        match self.targets.get_mut(target) {
            Some(watching) if watching.newest.number >= newest.number => return None,
            Some(watching) => {
                // Well until then: what came before is not undone for what comes now.
                if watching.health == Some(Health::Healthy) {
                    (watching.first, watching.burning) = (newest.number, 0);
                }
                (watching.newest, watching.since) = (newest.clone(), Moment::new(newest.at));
                return None;
            }
            None => {}
        }
        let gone = if self.targets.len() >= MOST { self.oldest() } else { None };
        let (newest, since) = (newest.clone(), Moment::new(newest.at));
        let watching = Watching { first: newest.number, newest, since, burning: 0, health: None, burns: None };
        self.targets.insert(target.clone(), watching);
        gone
    }

    /// Asks the check about a workload at an instant. `None` if no change of it is watched.
    pub fn ask(
        &mut self,
        target: &Target,
        history: &History,
        look: &Look<'_>,
        check: &mut (impl HealthCheck + ?Sized),
    ) -> Option<Watched> {
        let Look { now, state: found, .. } = *look;
        let watching = self.targets.get_mut(target)?;
        let number = watching.newest.number;
        if history.of(target).all(|change| change.number != number) {
            // It was never made, as a read has told since, or is forgotten: there is nothing to undo.
            self.targets.remove(target);
            return Some(Watched::Unjudged { number, why: "the history does not have the change any more".to_owned() });
        }
        if watching.burns.is_none() {
            // Made by a clock that was ahead, it is judged from now on.
            let since = watching.since.look(now);
            let until = end(since, self.config.window);
            if now > until {
                // Too late for an answer: what has happened since may come from anything else.
                let watching = self.targets.remove(target)?;
                return Some(ended(&watching));
            }
            let newest = Change { at: since, ..watching.newest.clone() };
            let health = limited(check.check(target, &newest, look));
            watching.judge(&health, self.config);
            watching.health = Some(health.clone());
            if watching.burns.is_none() {
                return Some(Watched::Watching { until, health });
            }
        }
        let (first, why) = (watching.first, watching.burns.clone()?);
        Some(match history.rollback(target, first, found) {
            Err(refused @ RollbackRefused::Uncertain { .. }) => Watched::Waiting { why, refused },
            answer => {
                self.targets.remove(target);
                match answer {
                    Ok(rollback) => Watched::Burns { rollback, why },
                    Err(refused) => Watched::Stuck { number: first, why, refused },
                }
            }
        })
    }

    /// Watches a workload no more.
    pub fn forget(&mut self, target: &Target) {
        self.targets.remove(target);
    }

    /// The workloads with a change that is watched.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.targets.keys()
    }

    fn oldest(&mut self) -> Option<(Target, Watched)> {
        let oldest = self
            .targets
            .iter()
            .min_by_key(|(_, watching)| watching.since.instant())
            .map(|(target, _)| target.clone())?;
        let watching = self.targets.remove(&oldest)?;
        let why = "more changes are watched than there is room for".to_owned();
        Some((oldest, Watched::Unjudged { number: watching.newest.number, why }))
    }
}

impl Watching {
    fn judge(&mut self, health: &Health, config: WatchConfig) {
        match health {
            Health::Healthy => self.burning = 0,
            Health::Burning(why) => {
                self.burning = self.burning.saturating_add(1);
                self.burns = (self.burning >= config.burning_in_a_row.max(1)).then(|| why.clone());
            }
            Health::Unknown(_) => {}
        }
    }
}

/// End of a watch whose window has passed.
fn ended(watching: &Watching) -> Watched {
    let number = watching.newest.number;
    let why = match &watching.health {
        Some(Health::Healthy) => return Watched::Passed { number },
        Some(Health::Burning(why)) => format!("it burnt at last, too late to be sure: {why}"),
        Some(Health::Unknown(why)) => format!("the check could not tell: {why}"),
        None => "the check was not asked within the window".to_owned(),
    };
    Watched::Unjudged { number, why }
}

fn end(at: DateTime<Utc>, window: Duration) -> DateTime<Utc> {
    let window = TimeDelta::from_std(window).unwrap_or(TimeDelta::MAX);
    at.checked_add_signed(window).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

fn limited(health: Health) -> Health {
    match health {
        Health::Healthy => Health::Healthy,
        Health::Burning(why) => Health::Burning(cut(&why, MAX_WHY)),
        Health::Unknown(why) => Health::Unknown(cut(&why, MAX_WHY)),
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy => f.write_str("healthy"),
            Self::Burning(why) => write!(f, "burning: {why}"),
            Self::Unknown(why) => write!(f, "unknown: {why}"),
        }
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Watching { until, health } => write!(f, "watched until {until}: {health}"),
            Self::Burns { rollback, why } => {
                let (change, from, to) = (rollback.change().number, rollback.from(), rollback.to());
                write!(f, "change #{change} is undone, from {from} to {to}: {why}")
            }
            Self::Stuck { number, why, refused } => {
                write!(f, "change #{number} burns and is not undone, because {refused}: {why}")
            }
            Self::Waiting { why, refused } => write!(f, "burns, and is not undone yet: {refused}: {why}"),
            Self::Passed { number } => write!(f, "change #{number} did no harm"),
            Self::Unjudged { number, why } => write!(f, "whether change #{number} did harm is not known: {why}"),
        }
    }
}
