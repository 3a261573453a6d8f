//! Accounts of the cost of advice, by target: what was paid in, what was spent, and what is left.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::{Observation, ScalingDecision, Target, Urgency};

use super::ProofConfig;
use super::alone::{Alone, World};

/// Accounts that are kept at most; beyond it the one that was used longest ago is closed. That is safe: a new one is empty.
const TARGETS_AT_MOST: usize = 10_000;

/// Longest time between two decisions that is booked: after a longer pause nobody knows which pods ran.
const PAUSE_AT_MOST: Duration = Duration::from_secs(600);

/// Time for which a growth has to be covered when it is taken: until it is given back, guards and an HPA's stabilization included.
const COVERED_S: f64 = 600.0;

/// Time after a growth in which advice removes no pods. CPU is a mean over some time: pods that have just come are taken for as full as
/// those before, so a size that goes up and down makes the baseline ask for more and more.
const SETTLED_AFTER: Duration = Duration::from_secs(600);

/// Account of one target, in pod-seconds.
#[derive(Clone, Debug, PartialEq)]
struct Account {
    at: DateTime<Utc>,
    left: f64,
    /// Size in force at that time.
    there: u32,
    /// Since when the size in force has not grown; `None` if it has not been seen to grow.
    grown_at: Option<DateTime<Utc>>,
    /// Size of the baseline alone, while that in force differs by advice.
    alone: Option<Alone>,
    world: World,
    /// Until when full pods are the fault of advice for fewer.
    fewer_until: Option<DateTime<Utc>>,
    halted_until: Option<DateTime<Utc>>,
}

/// Accounts of all targets of one engine.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    accounts: Mutex<HashMap<Arc<Target>, Account>>,
}

/// Answer of an account to a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Credit {
    Covered,
    Short,
    Halted,
    Unsettled,
}

impl Accounts {
    /// The observation that the baseline is to decide by: with its own size, while advice has changed the one in force.
    ///
    /// While a declared signal is absent it sees the larger of both: pods that advice has removed must not be lost because of it (law 2).
    pub(super) fn seen<'a>(&self, observation: &'a Observation) -> Cow<'a, Observation> {
        let accounts = self.lock();
        let account = accounts.get(&observation.target);
        let there = observation.current.replicas().unwrap_or(u32::MAX);
        let is_larger = account.and_then(|account| account.alone).is_some_and(|alone| alone.pods > there);
        if !is_larger && observation.absences().next().is_some() {
            return Cow::Borrowed(observation);
        }
        let seen = account.and_then(|account| account.world.seen(account.alone, observation));
        seen.map_or(Cow::Borrowed(observation), Cow::Owned)
    }

    /// Books the time since the last decision, and measures the baseline's decision from the pods that are there.
    pub(super) fn observe(
        &self,
        config: &ProofConfig,
        observation: &Observation,
        mut baseline: ScalingDecision,
        overloaded: bool,
    ) -> ScalingDecision {
        let now = observation.now;
        let mut accounts = self.lock();
        if !accounts.contains_key(&observation.target) && accounts.len() >= TARGETS_AT_MOST {
            let key = |(target, account): (&Arc<Target>, &Account)| (account.at, Arc::clone(target));
            let oldest = accounts.iter().map(key).min();
            oldest.map(|(_, target)| accounts.remove(&target));
        }
        let account = accounts.entry(Arc::clone(&observation.target)).or_insert_with(|| Account {
            at: now,
            left: 0.0,
            there: u32::MAX,
            grown_at: None,
            alone: None,
            world: World::default(),
            fewer_until: None,
            halted_until: None,
        });
        let since = (now - account.at).to_std().unwrap_or_default().min(PAUSE_AT_MOST);
        account.at = now;
        let there = observation.current.replicas().unwrap_or(baseline.current_replicas);
        account.book(config, there, since.as_secs_f64());
        if there > account.there {
            account.grown_at = Some(now);
        }
        account.there = there;
        account.world.remember(account.alone, observation);
        account.grown_at = account.grown_at.filter(|at| (now - *at).to_std().unwrap_or_default() < SETTLED_AFTER);
        if let Some(alone) = &mut account.alone {
            let kept = baseline.desired_replicas == alone.pods;
            let goes_on = alone.goes_on(observation, &baseline, since);
            if baseline.current_replicas != there {
                baseline.current_replicas = there;
                baseline.cost = None;
                if kept {
                    // Only advice is undone: that the baseline is unsure of a change is no reason to keep what it never asked for.
                    baseline = baseline.with_confidence(1.0);
                    let urgency =
                        if baseline.grows() { baseline.urgency.max(Urgency::Normal) } else { baseline.urgency };
                    baseline.urgency = urgency;
                }
            }
            if alone.is_astray() {
                // The pods are not advice's: those that the baseline alone would have are not known.
                account.world = World::default();
            }
            if !goes_on {
                account.alone = None;
            }
        }
        account.fewer_until = account.fewer_until.filter(|until| now <= *until);
        if overloaded && account.fewer_until.take().is_some() {
            account.halted_until = later(now, config.halt);
        }
        // A clock that has jumped back prolongs no halt.
        let latest = later(now, config.halt);
        account.halted_until = account.halted_until.filter(|until| *until > now).min(latest);
        baseline
    }

    /// Returns whether a proposal can be taken.
    pub(super) fn credit(&self, observation: &Observation, baseline: &ScalingDecision, proposed: u32) -> Credit {
        let accounts = self.lock();
        let Some(account) = accounts.get(&observation.target) else { return Credit::Short };
        if account.halted_until.is_some() {
            return Credit::Halted;
        }
        let removes = proposed < baseline.desired_replicas.min(account.there);
        if removes && account.grown_at.is_some() {
            return Credit::Unsettled;
        }
        let extra = proposed.saturating_sub(baseline.desired_replicas);
        if f64::from(extra) * COVERED_S <= account.left.max(0.0) { Credit::Covered } else { Credit::Short }
    }

    /// Books a proposal that is taken. Full pods are its fault for `reaction`.
    pub(super) fn take(
        &self,
        observation: &Observation,
        baseline: &ScalingDecision,
        proposed: u32,
        reaction: Duration,
    ) {
        let mut accounts = self.lock();
        let Some(account) = accounts.get_mut(&observation.target) else { return };
        match &mut account.alone {
            Some(alone) => alone.ask(proposed),
            None => account.alone = Some(Alone::new(baseline, proposed)),
        }
        if proposed < baseline.desired_replicas {
            account.fewer_until = later(observation.now, reaction);
        }
    }

    /// Closes the account of a target.
    pub(super) fn forget(&self, target: &Target) {
        self.lock().remove(target);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<Target>, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    fn book(&mut self, config: &ProofConfig, there: u32, seconds: f64) {
        let own = self.alone.as_ref().map_or(there, |alone| alone.pods);
        let income = config.cost_margin * f64::from(own);
        let most = income * config.account.as_secs_f64();
        if self.left < most {
            self.left = (self.left + income * seconds).min(most);
        }
        self.left -= f64::from(there.saturating_sub(own)) * seconds;
    }
}

fn later(now: DateTime<Utc>, by: Duration) -> Option<DateTime<Utc>> {
    TimeDelta::from_std(by).ok().and_then(|by| now.checked_add_signed(by))
}
