//! What advice has cost each target, and what it may still cost.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use scaling_core::chrono::{DateTime, Utc};
use scaling_core::{Observation, ScalingDecision, Target};

use super::ProofConfig;
use crate::range::own_request;

/// Accounts that are kept at most; beyond it the one that was used longest ago is closed. That is safe: a new one is empty.
const TARGETS_AT_MOST: usize = 10_000;

/// Longest time between two decisions that is booked: after a longer pause nobody knows which pods ran.
const PAUSE_AT_MOST: Duration = Duration::from_secs(600);

/// Time for which a growth has to be covered when it is taken: until the baseline has seen that it is not needed and let go of it.
const COVERED_S: f64 = 600.0;

/// Account of one target, in pod-seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Account {
    at: DateTime<Utc>,
    left: f64,
    /// Size that the baseline would have without the last growth by advice, while there are more pods.
    without: Option<u32>,
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
}

impl Accounts {
    /// Books the time since the last decision.
    pub(super) fn observe(
        &self,
        config: &ProofConfig,
        observation: &Observation,
        baseline: &ScalingDecision,
        overloaded: bool,
    ) {
        let now = observation.now;
        let mut accounts = self.lock();
        if !accounts.contains_key(&observation.target) && accounts.len() >= TARGETS_AT_MOST {
            let key = |(target, account): (&Arc<Target>, &Account)| (account.at, Arc::clone(target));
            let oldest = accounts.iter().map(key).min();
            oldest.map(|(_, target)| accounts.remove(&target));
        }
        let account = accounts.entry(Arc::clone(&observation.target)).or_insert(Account {
            at: now,
            left: 0.0,
            without: None,
            fewer_until: None,
            halted_until: None,
        });
        let since = (now - account.at).to_std().unwrap_or_default().min(PAUSE_AT_MOST);
        account.at = now;
        account.book(config, baseline, since.as_secs_f64());
        if account.fewer_until.is_some_and(|until| now > until) {
            account.fewer_until = None;
        }
        if overloaded && account.fewer_until.take().is_some() {
            account.halted_until = later(now, config.halt);
        }
        // A clock that has jumped back prolongs no halt.
        let latest = later(now, config.halt);
        account.halted_until = account.halted_until.filter(|until| *until > now).min(latest);
    }

    /// Returns whether a proposal can be taken.
    pub(super) fn credit(&self, observation: &Observation, baseline: &ScalingDecision, proposed: u32) -> Credit {
        let account = self.lock().get(&observation.target).copied();
        let Some(account) = account else { return Credit::Short };
        if account.halted_until.is_some() {
            return Credit::Halted;
        }
        let extra = proposed.saturating_sub(account.without(baseline));
        let covered = proposed <= baseline.desired_replicas || f64::from(extra) * COVERED_S <= account.left;
        if covered { Credit::Covered } else { Credit::Short }
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
        if proposed > baseline.desired_replicas {
            account.without = Some(account.without(baseline));
        } else if proposed < baseline.desired_replicas {
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
    /// The size that the baseline would have without advice, as far as it says so.
    fn without(&self, baseline: &ScalingDecision) -> u32 {
        let own = own_request(baseline, None).or(self.without).unwrap_or(baseline.desired_replicas);
        own.min(baseline.desired_replicas)
    }

    fn book(&mut self, config: &ProofConfig, baseline: &ScalingDecision, seconds: f64) {
        let pods = baseline.current_replicas;
        let mut own_pods = pods;
        if self.without.is_some() {
            let without = self.without(baseline);
            own_pods = without.min(pods);
            // More than there is, or no more than there would be: the growth by advice is over.
            let over = baseline.grows() || without >= pods;
            self.without = (!over).then_some(without);
        }
        let income = config.cost_margin * f64::from(own_pods);
        let most = income * config.account.as_secs_f64();
        if self.left < most {
            self.left = (self.left + income * seconds).min(most);
        }
        self.left -= f64::from(pods - own_pods) * seconds;
    }
}

fn later(now: DateTime<Utc>, by: Duration) -> Option<DateTime<Utc>> {
    scaling_core::chrono::TimeDelta::from_std(by).ok().and_then(|by| now.checked_add_signed(by))
}
