//! [`Proof`]: a proposed size is replayed beside the baseline's before it is taken.
//!
//! Both sizes are held, in the backtest's own queue, from now until the next decision could mend a wrong one: metrics lag, window,
//! sync period and start-up. The load that meets them is
//!
//! - **the past:** every moment of the last days whose load was like that of now, with what followed it, at the scale of now;
//! - **the forecast's band:** a lower, a middle and an upper path, and an event that begins on the way.
//!
//! A proposal is taken if it violates no more than the baseline's size by more than a margin, in the past as a whole and on each path
//! of the band, and if its cost is within another: an account of pod-time, into which the baseline's pods pay a small share. What
//! cannot be replayed is not taken, and the verdict says why.

mod account;
mod alone;
mod band;
mod config;
mod past;
mod present;

pub use config::ProofConfig;

use std::borrow::Cow;
use std::time::Duration;

use scaling_core::backtest::HeldScore;
use scaling_core::{InvalidSetting, Observation, Reason, ReplayVerdict, ReplayedSize, ScalingDecision, Target};

use account::{Accounts, Credit};
use band::Band;
use past::{Past, Stretch};
use present::{Present, Times, keeps_from_less};

use crate::prompt::BacktestSays;

/// Answer about one proposed size, with the scores of both.
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use = "a verdict takes nothing by itself"]
pub struct Verdict {
    /// Answer, with its reason.
    pub verdict: ReplayVerdict,
    /// Moments of the past that were replayed.
    pub moments: u32,
    /// The baseline's size.
    pub own: ReplayedSize,
    /// The proposed size.
    pub proposed: ReplayedSize,
}

impl Verdict {
    /// Returns true if the proposal is taken.
    pub fn is_accepted(&self) -> bool {
        self.verdict.is_accepted()
    }

    /// Returns the verdict as a reason, for the record.
    pub fn reason(&self) -> Reason {
        let Self { verdict, moments, own, proposed } = *self;
        Reason::Replayed { verdict, moments, own, proposed }
    }

    /// The answer where nothing was replayed.
    fn without_replay(verdict: ReplayVerdict, own: u32, proposed: u32) -> Self {
        let size = |replicas| ReplayedSize { replicas, ..ReplayedSize::default() };
        Self { verdict, moments: 0, own: size(own), proposed: size(proposed) }
    }
}

/// Replays of proposals, and accounts of what advice has cost each target.
///
/// [`prove`](Self::prove) is pure. State is kept per target and in memory: an account that begins empty, and a halt after advice for
/// fewer pods has met full ones. After a restart nothing may cost anything until the account has filled again.
///
/// ```
/// use scaling_core::chrono::{DateTime, TimeDelta};
/// use scaling_core::{MetricsHistory, Observation, ReplayVerdict, ScalingDecision, ScalingMetrics, SignalKind, Target};
/// use scaling_llm::{Proof, ProofConfig};
///
/// // A day of load that moves between 390 and 410 requests a second; a pod serves 50.
/// let at = |minute| DateTime::UNIX_EPOCH + TimeDelta::minutes(minute);
/// let sample = |minute: i64| {
///     let rate = if minute % 2 == 0 { 390.0 } else { 410.0 };
///     ScalingMetrics::new(at(minute), 12).with(SignalKind::RequestRate, rate)
/// };
/// let (history, _) = MetricsHistory::from_unordered((0..1440).map(sample).collect());
/// let mut observation = Observation::new(Target::deployment("shop", "web"), sample(1440)).with_history(history);
/// observation.facts.pod_capacity = Some(50.0);
///
/// let baseline = ScalingDecision::replicas("rules", at(1440), 12, 12);
/// let proof = Proof::new(ProofConfig::default())?;
/// assert_eq!(proof.prove(&observation, &baseline, 10).verdict, ReplayVerdict::NotWorse);
/// assert_eq!(proof.prove(&observation, &baseline, 8).verdict, ReplayVerdict::MoreViolations);
/// # Ok::<(), scaling_core::InvalidSetting>(())
/// ```
#[derive(Debug)]
pub struct Proof {
    config: ProofConfig,
    accounts: Accounts,
}

impl Proof {
    /// Creates it with no accounts yet.
    ///
    /// # Errors
    /// [`InvalidSetting`] if a setting cannot work.
    pub fn new(config: ProofConfig) -> Result<Self, InvalidSetting> {
        config.validate()?;
        Ok(Self { config, accounts: Accounts::default() })
    }

    /// The settings.
    pub fn config(&self) -> &ProofConfig {
        &self.config
    }

    /// Returns the smallest size that may be proposed in place of the baseline's: its request less
    /// [`ProofConfig::share_below`].
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a share of 32 bits
    pub fn lowest(&self, baseline: &ScalingDecision) -> u32 {
        let own = baseline.desired_replicas;
        // A share such as 0.3 of 10 must be 3, not a hair less.
        let kept = f64::from(own) * (1.0 - self.config.share_below) - 1e-9;
        (kept.ceil() as u32).min(own)
    }

    /// Returns the observation that the baseline is to decide by: with the size that it would have asked for without advice, its ready
    /// pods and their CPU utilization, where advice has changed them; also in the samples of the last day.
    pub fn seen<'a>(&self, observation: &'a Observation) -> Cow<'a, Observation> {
        self.accounts.seen(observation)
    }

    /// Books the time since the last decision about the target, and returns the baseline's decision, made by what it
    /// [sees](Self::seen), as a change of the pods that are there. Called once in every decision, whether there is advice or not.
    pub fn observe(&self, observation: &Observation, baseline: ScalingDecision) -> ScalingDecision {
        let overloaded = Present::of(observation, &baseline).is_none_or(|present| present.overloaded());
        self.accounts.observe(&self.config, observation, baseline, overloaded)
    }

    /// Decides whether a proposal is taken: nothing has halted them, the size has
    /// not just grown where it is for fewer, the account covers it, and [`prove`](Self::prove) finds it not
    /// worse. One that is taken is booked.
    pub fn admit(&self, observation: &Observation, baseline: &ScalingDecision, proposed: u32) -> Verdict {
        let own = baseline.desired_replicas;
        if proposed == own {
            return self.prove(observation, baseline, proposed);
        }
        let refused = match self.accounts.credit(observation, baseline, proposed) {
            Credit::Covered => None,
            Credit::Short => Some(ReplayVerdict::TooCostly),
            Credit::Halted => Some(ReplayVerdict::Halted),
            Credit::Unsettled => Some(ReplayVerdict::Unsettled),
        };
        if let Some(verdict) = refused {
            return Verdict::without_replay(verdict, own, proposed);
        }
        let verdict = self.prove(observation, baseline, proposed);
        if verdict.is_accepted() {
            let facts = &observation.facts;
            let seen = [facts.metrics_window, facts.sync_period, facts.start_up];
            let reaction = seen.into_iter().fold(facts.metrics_lag.saturating_mul(2), Duration::saturating_add);
            self.accounts.take(observation, baseline, proposed, reaction);
        }
        verdict
    }

    /// Replays a size beside the baseline's. Pure: the same arguments give the same verdict, whatever was asked before.
    pub fn prove(&self, observation: &Observation, baseline: &ScalingDecision, proposed: u32) -> Verdict {
        let own = baseline.desired_replicas;
        if proposed == own {
            return Verdict::without_replay(ReplayVerdict::NotWorse, own, proposed);
        }
        match self.replay(observation, baseline, proposed) {
            Ok(verdict) => verdict,
            Err(verdict) => Verdict::without_replay(verdict, own, proposed),
        }
    }

    /// Replays the baseline's own size: the score that a model is told of it. `None` where nothing can be replayed.
    pub fn says(&self, observation: &Observation, baseline: &ScalingDecision) -> Option<BacktestSays> {
        let Verdict { own, moments, .. } = self.replay(observation, baseline, baseline.desired_replicas).ok()?;
        let (times, moments) = (Times::of(observation)?, f64::from(moments));
        Some(BacktestSays {
            hours: moments * times.steps as f64 * times.step_s / 3600.0,
            violating_share: own.past_violating_share,
            // A size that is held costs the same on every path.
            pod_hours: moments * own.pod_hours,
            oracle_ratio: None,
            peak_pods: own.replicas,
        })
    }

    /// Forgets the account of a target.
    pub fn forget(&self, target: &Target) {
        self.accounts.forget(target);
    }

    fn replay(
        &self,
        observation: &Observation,
        baseline: &ScalingDecision,
        proposed: u32,
    ) -> Result<Verdict, ReplayVerdict> {
        let less = proposed < baseline.desired_replicas;
        if less && let Some(verdict) = keeps_from_less(observation, baseline, proposed) {
            return Err(verdict);
        }
        let times = Times::of(observation).ok_or(ReplayVerdict::UnusableFacts)?;
        let present = Present::of(observation, baseline).ok_or(ReplayVerdict::LoadUnknown)?;
        if less && present.overloaded() {
            return Err(ReplayVerdict::LoadHidden);
        }
        let past = Past::new(observation, present.signal, present.level, self.config.past, times.step_s);
        let moments = past.moments(present.level, self.config.likeness, times.hold.decided, times.steps);
        let count = u32::try_from(moments.len()).unwrap_or(u32::MAX);
        if count < self.config.least_moments {
            return Err(ReplayVerdict::TooLittlePast);
        }
        let band = Band::of(observation, baseline, usual(&moments), times.steps as f64 * times.step_s);
        let sizes = [baseline.desired_replicas, proposed];
        let replays = Replays { present, times, sizes };
        let over_past = replays.over_past(&past, &moments);
        let over_band = band.paths(times.step_s, times.steps).map(|path| replays.over(&path));
        let worse = |[own, proposed]: &[HeldScore; 2]| {
            // Sums of thousands of numbers differ in their last digits.
            let margin = self.config.violating_margin * own.arrived + 1e-9 * own.arrived.max(1.0);
            proposed.violating > own.violating + margin
        };
        let is_refused = over_band.iter().chain([&over_past]).any(worse);
        let verdict = if is_refused { ReplayVerdict::MoreViolations } else { ReplayVerdict::NotWorse };
        let size = |nth: usize| {
            let of = |pair: &[HeldScore; 2]| pair.get(nth).copied().unwrap_or_default();
            ReplayedSize {
                replicas: sizes.get(nth).copied().unwrap_or_default(),
                past_violating_share: of(&over_past).violating_share(),
                band_violating_share: over_band.iter().map(|pair| of(pair).violating_share()).fold(0.0, f64::max),
                pod_hours: over_band.first().map_or(0.0, |pair| of(pair).pod_hours),
            }
        };
        Ok(Verdict { verdict, moments: count, own: size(0), proposed: size(1) })
    }
}

/// The growth that all but one of a hundred moments stayed within.
fn usual(moments: &[Stretch]) -> f64 {
    let mut growths: Vec<f64> = moments.iter().map(|moment| moment.growth).collect();
    growths.sort_unstable_by(f64::total_cmp);
    let last = growths.len().saturating_sub(1);
    growths.get(last - last / 100).copied().unwrap_or(1.0)
}

/// Replays of two sizes from the present on.
struct Replays {
    present: Present,
    times: Times,
    sizes: [u32; 2],
}

impl Replays {
    /// Both sizes under the load of a path, in multiples of the present load.
    fn over(&self, path: &(impl Iterator<Item = f64> + Clone)) -> [HeldScore; 2] {
        let Self { present, times, sizes } = self;
        sizes.map(|size| times.hold.replay(present.start, size, path.clone().map(|factor| factor * present.work)))
    }

    /// Both sizes after each of the moments, together.
    fn over_past(&self, past: &Past, moments: &[Stretch]) -> [HeldScore; 2] {
        let Self { present, times, sizes } = self;
        let pods = sizes.iter().copied().chain([present.start.ready]).min().unwrap_or(0);
        let mut sums = [HeldScore::default(); 2];
        for start in moments.iter().flat_map(|stretch| stretch.moments()) {
            let path = past.path(start, times.steps);
            let peak = path.clone().fold(0.0, f64::max);
            let scores = if present.start.backlog <= 0.0 && peak * present.work <= f64::from(pods) {
                // Nobody can wait with either size: only what arrives needs to be known.
                let arrived = path.sum::<f64>() * present.work * times.step_s;
                [HeldScore { arrived, ..HeldScore::default() }; 2]
            } else {
                self.over(&path)
            };
            for (sum, score) in sums.iter_mut().zip(scores) {
                *sum = sum.and(score);
            }
        }
        sums
    }
}
