//! Amounts spent within the last hour.

use std::collections::VecDeque;

use scaling_core::chrono::{DateTime, Utc};

/// Length of a slot of time, in seconds.
const SLOT_S: i64 = 300;
/// Slots of an hour.
const SLOTS: i64 = 3600 / SLOT_S;

/// Something spent, or that may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Charge {
    pub(super) calls: u64,
    pub(super) tokens: u64,
    /// In units of account.
    pub(super) money: u64,
}

impl Charge {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            calls: self.calls.saturating_add(other.calls),
            tokens: self.tokens.saturating_add(other.tokens),
            money: self.money.saturating_add(other.money),
        }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self {
            calls: self.calls.saturating_sub(other.calls),
            tokens: self.tokens.saturating_sub(other.tokens),
            money: self.money.saturating_sub(other.money),
        }
    }
}

/// Charges of the last hour in slots of five minutes. A charge counts for 60 to 65 minutes, so no hour ever holds more than it says.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    /// From old to new; empty ones are left out, so there are 13 at most.
    slots: VecDeque<(i64, Charge)>,
}

impl Window {
    /// Drops what is older than an hour. Charges that lie ahead were made by a clock that has jumped back since: they count from now.
    pub(super) fn advance(&mut self, now: DateTime<Utc>) {
        let now = slot(now);
        let mut ahead = Charge::default();
        while let Some((at, charge)) = self.slots.back().copied()
            && at > now
        {
            ahead = ahead.plus(charge);
            self.slots.pop_back();
        }
        if ahead != Charge::default() {
            self.push(now, ahead);
        }
        while self.slots.front().is_some_and(|(at, _)| *at < now - SLOTS) {
            self.slots.pop_front();
        }
    }

    /// Adds a charge; one from before the newest counts with it.
    pub(super) fn add(&mut self, at: DateTime<Utc>, charge: Charge) {
        let newest = self.slots.back().map_or(i64::MIN, |(at, _)| *at);
        self.push(slot(at).max(newest), charge);
    }

    fn push(&mut self, at: i64, charge: Charge) {
        match self.slots.back_mut() {
            Some((last, sum)) if *last == at => *sum = sum.plus(charge),
            _ => self.slots.push_back((at, charge)),
        }
    }

    pub(super) fn total(&self) -> Charge {
        self.slots.iter().fold(Charge::default(), |sum, (_, charge)| sum.plus(*charge))
    }
}

fn slot(at: DateTime<Utc>) -> i64 {
    at.timestamp().div_euclid(SLOT_S)
}
