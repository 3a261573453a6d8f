//! Staged adoption, driven by the controller: [`AdoptionTrials`].

mod event;
mod prepare;
mod report;
mod round;
mod rules;
mod schedule;
mod task;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use scaling_core::adoption::Trial;
use scaling_core::backtest::CandidateError;
use scaling_core::source::PastSource;
use scaling_core::{DecisionEngine, InvalidSetting};

pub use report::{AdoptionHealth, AdoptionReport, AdoptionStep, StageTrial, Untried};
pub(super) use task::{Adopting, Shards, Terms};

/// Recipe of an engine: each replay begins with a new one, which remembers nothing of another.
pub(super) type Recipe = Arc<dyn Fn() -> Result<Box<dyn DecisionEngine>, CandidateError> + Send + Sync>;

pub(super) type Hook = Box<dyn FnMut(&AdoptionReport) + Send>;

const DAY: Duration = Duration::from_secs(86_400);
/// Shortest time between two trials of a target.
const SHORTEST: Duration = Duration::from_secs(60);

/// Trials of the next stage of adoption, for [`FleetControllerBuilder::adopting`](super::FleetControllerBuilder::adopting).
///
/// Once a day, at an instant of its own, each target is tried: the days that were seen of it are replayed under the stage in force and under the
/// next one ([`deployed`](scaling_core::adoption::deployed), with the guards, the policy and the limits that the controller has for it), and a
/// [`Trial`] says whether they are evidence enough. The report goes to the host and to the HPA as an Event. A target that is
/// [promoted by evidence](crate::controller::settings::Promotion) is then handed over one stage further; every other waits for its owner.
///
/// # What is compared
/// | in force | champion | challenger |
/// | --- | --- | --- |
/// | observe | the HPA as it is | floors |
/// | floors | floors | full |
/// | observe, where floors would change nothing | the HPA as it is | full; if it is better, floors are the next stage all the same |
/// | a stage that evidence has reached | the stage below it | the stage itself, which goes back if it is rejected |
///
/// A target that its owner has handed over in full is not tried.
///
/// # What is lost with the process
/// Nothing. The days come from the source, the stage stands at the HPA, the instants follow from the names.
///
/// # What a replay cannot know
/// Pods that other workloads leave no room for, a freeze of the fleet, what the other targets take of the removal budget, and clients
/// that change what they ask when they are served better. Start-up, lag and window of the metrics are rounded up to 15 s, the step of the replay.
///
/// # What it costs
/// One read of the HPA and one past from the source for each target and day, and the time of the replays, of which
/// [`cpu_share`](Self::cpu_share) says how much. Thirteen days under two stages took 2 s with the rule engine and 40 s with the
/// predictive one (test build, busy machine). A write when the stage changes, none when it does not.
///
/// ```
/// use scaling_core::RuleBasedEngine;
/// use scaling_k8s::controller::fleet::AdoptionTrials;
///
/// let trials = AdoptionTrials::new(|| Ok(Box::new(RuleBasedEngine::default())))
///     .cpu_share(0.1)?
///     .after_report(|report| println!("{report}"));
/// # let _ = trials;
/// # Ok::<(), scaling_core::InvalidSetting>(())
/// ```
#[must_use = "nothing is tried unless the builder gets it"]
pub struct AdoptionTrials {
    pub(super) trial: Trial,
    pub(super) first: Recipe,
    pub(super) named: BTreeMap<String, Recipe>,
    pub(super) past: Option<Arc<dyn PastSource>>,
    pub(super) span: Duration,
    pub(super) every: Duration,
    pub(super) cpu_share: f64,
    pub(super) events: bool,
    pub(super) hook: Hook,
}

impl fmt::Debug for AdoptionTrials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdoptionTrials")
            .field("trial", &self.trial)
            .field("named", &self.named.keys())
            .field("span", &self.span)
            .field("every", &self.every)
            .field("cpu_share", &self.cpu_share)
            .finish_non_exhaustive()
    }
}

impl AdoptionTrials {
    /// Creates trials by the usual rule ([`Trial::default`]), of the last two weeks, once a day. `engine` makes the engine of targets that name
    /// no other, as it decides live: each replay begins with a new one.
    pub fn new(engine: impl Fn() -> Result<Box<dyn DecisionEngine>, CandidateError> + Send + Sync + 'static) -> Self {
        Self {
            trial: Trial::default(),
            first: Arc::new(engine),
            named: BTreeMap::new(),
            past: None,
            span: 14 * DAY,
            every: DAY,
            cpu_share: 0.1,
            events: true,
            hook: Box::new(|_| {}),
        }
    }

    /// Says how an engine is made that targets name in their settings. A target whose engine has no recipe is not tried
    /// ([`Untried::NoRecipe`]).
    pub fn engine(
        mut self,
        name: impl Into<String>,
        recipe: impl Fn() -> Result<Box<dyn DecisionEngine>, CandidateError> + Send + Sync + 'static,
    ) -> Self {
        self.named.insert(name.into(), Arc::new(recipe));
        self
    }

    /// Sets where the days come from. Default: the history that the controller's source tells with its observations, which begins anew with
    /// the process unless the source was given a past. A Prometheus source is one that has the past itself.
    pub fn past(mut self, source: impl PastSource + 'static) -> Self {
        self.past = Some(Arc::new(source));
        self
    }

    /// Sets the rule. Default: [`Trial::default`], by which a stage has to cost less. One that only raises floors over the HPA never does, so a
    /// host says what better service [may cost](Trial::dearer_by). The error rate holds for the days of one history, however often they
    /// are looked at.
    pub fn judged_by(mut self, trial: Trial) -> Self {
        self.trial = trial;
        self
    }

    /// Sets how far back the days go. Default: 14 days. At least two, of which the first is learnt from.
    pub fn span(mut self, span: Duration) -> Self {
        self.span = span.max(2 * DAY);
        self
    }

    /// Sets the time between two trials of a target, over which the targets are spread. Default: a day, after which there is one day more. At
    /// least a minute.
    pub fn every(mut self, time: Duration) -> Self {
        self.every = time.max(SHORTEST);
        self
    }

    /// Sets the share of one core that replays take, in the long run. Default: 0.1. Targets that it is too small for are tried less often, in
    /// turn.
    ///
    /// # Errors
    /// [`InvalidSetting`] if it is not above 0 and at most 1.
    pub fn cpu_share(mut self, share: f64) -> Result<Self, InvalidSetting> {
        InvalidSetting::check(&[("cpu_share", share)], "above 0 and at most 1", |share| share > 0.0 && share <= 1.0)?;
        self.cpu_share = share;
        Ok(self)
    }

    /// Says whether reports are told as Events of their HPAs: `AdoptionReport`, `AdoptionPromoted`, `AdoptionSteppedBack` and
    /// `AdoptionNotKept`, one series for each HPA, and of what is no step one an hour at most. Default: yes. Needs `create` and `patch` on
    /// `events`. Below [`Apply`](scaling_core::ApplyMode::Apply) none is written.
    pub fn events(mut self, events: bool) -> Self {
        self.events = events;
        self
    }

    /// Sets what is called with each report. It holds up the next trial, and no tick, for as long as it takes.
    pub fn after_report(mut self, hook: impl FnMut(&AdoptionReport) + Send + 'static) -> Self {
        self.hook = Box::new(hook);
        self
    }
}
