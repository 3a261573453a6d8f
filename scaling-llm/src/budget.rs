//! [`Budget`]: what questions to models may cost.

mod price;
mod window;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use scaling_core::chrono::{DateTime, Utc};
use scaling_core::{Currency, InvalidSetting, Target};

use crate::{ModelId, Usage};
pub use price::{ModelPrice, PriceTable};
use price::{amount, units};
use window::{Charge, Window};

/// Workloads whose spending is kept at most. A further one is not asked about until one has spent nothing for an hour: forgetting what was
/// spent would be a way around the limit.
const TARGETS_AT_MOST: usize = 10_000;

/// Tokens that a server may add to a question: its own instructions, and the schema in its own words.
const ADDED_TOKENS: u64 = 1_000;

/// Limits for any hour; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SpendLimits {
    /// Questions.
    pub calls: Option<u64>,
    /// Tokens of questions and answers together.
    pub tokens: Option<u64>,
    /// Money, in the currency of the price table. With a limit, a model whose price is not known is not asked.
    pub money: Option<f64>,
}

/// Settings of a [`Budget`].
#[derive(Clone, Debug, PartialEq)]
pub struct BudgetConfig {
    /// Limits of each workload. Default: 120 calls and 400,000 tokens an hour, a question each 30 s of ordinary size.
    pub workload: SpendLimits,
    /// Limits of all that share the budget. Default: 1,000 calls and 4,000,000 tokens an hour.
    pub process: SpendLimits,
    /// Questions under way at one time, of all that share the budget. At least 1; default 4.
    pub under_way: usize,
    /// Most tokens of one answer, thinking included: the `max_tokens` that the model was set up with. Default 4,096. They are reserved
    /// before a question is put.
    pub answer_tokens: u64,
    /// Prices, for the cost and the limits of money. Default: none.
    pub prices: PriceTable,
}

impl Default for BudgetConfig {
    fn default() -> Self {
        Self {
            workload: SpendLimits { calls: Some(120), tokens: Some(400_000), money: None },
            process: SpendLimits { calls: Some(1_000), tokens: Some(4_000_000), money: None },
            under_way: 4,
            answer_tokens: 4_096,
            prices: PriceTable::default(),
        }
    }
}

impl BudgetConfig {
    /// Settings without a limit, but for one question under way for each of a million: for backtests with a recorded model.
    pub fn unlimited() -> Self {
        Self {
            workload: SpendLimits::default(),
            process: SpendLimits::default(),
            under_way: 1_000_000,
            ..Self::default()
        }
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`InvalidSetting`] with the first that cannot work.
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        InvalidSetting::check(&[("under_way", self.under_way as f64)], "at least 1", |calls| calls >= 1.0)?;
        let money = [self.workload.money, self.process.money].map(|money| ("money", money.unwrap_or(0.0)));
        InvalidSetting::check(&money, "from 0 to 1000000", |money| (0.0..=1e6).contains(&money))
    }
}

/// Budget of questions to models: calls, tokens and money per hour, of each workload and of all together.
///
/// The most that a question can cost, by the length of its prompt and the longest answer, is reserved before it is put; what it did cost
/// is entered once its answer is there. So questions that are under way at one time cannot pass a limit together. A question whose
/// answer is lost counts as its reservation, since it may have been paid for (law 12). A server that reports more tokens than there are
/// bytes in the prompt, or a longer answer than [`BudgetConfig::answer_tokens`], can pass a limit by that one question.
///
/// Clones share what is spent: one budget for every engine of a process. Time is that of the observations
/// ([`Observation::now`](scaling_core::Observation::now)); a clock that jumps back makes charges count for longer, never shorter.
///
/// ```
/// use scaling_core::RuleBasedEngine;
/// use scaling_llm::{Budget, BudgetConfig, LlmEngine, ReplayModel, SpendLimits, Transcript};
///
/// let workload = SpendLimits { calls: Some(30), ..SpendLimits::default() };
/// let budget = Budget::new(BudgetConfig { workload, ..BudgetConfig::default() })?;
/// let engine = LlmEngine::new(ReplayModel::new(Transcript::default()), RuleBasedEngine::default()).with_budget(budget.clone());
/// assert_eq!(budget.under_way(), 0);
/// # let _ = engine;
/// # Ok::<(), scaling_core::InvalidSetting>(())
/// ```
#[derive(Clone, Debug)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: BudgetConfig,
    ledger: Mutex<Ledger>,
}

#[derive(Debug, Default)]
struct Ledger {
    process: Account,
    workloads: HashMap<Arc<Target>, Account>,
    under_way: usize,
    /// When accounts were last dropped.
    cleared: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, Default)]
struct Account {
    spent: Window,
    reserved: Charge,
}

/// Reason why a question is not within the budget.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum OverBudget {
    /// As many questions as allowed are under way.
    UnderWay(usize),
    /// A limit of the last hour.
    Limit { whose: &'static str, what: &'static str },
    /// Money is limited, and nobody knows what the model costs.
    UnknownPrice(ModelId),
    /// The spending of too many workloads is kept already.
    Workloads,
}

impl fmt::Display for OverBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnderWay(most) => write!(f, "{most} questions are under way"),
            Self::Limit { whose, what } => write!(f, "the budget of {what} for {whose} is spent for this hour"),
            Self::UnknownPrice(ModelId { provider, model }) => {
                write!(f, "money is limited, and the price of {model:?} of {provider:?} is not known")
            }
            Self::Workloads => write!(f, "the budget keeps account of {TARGETS_AT_MOST} workloads already"),
        }
    }
}

impl Default for Budget {
    /// The defaults of [`BudgetConfig`].
    fn default() -> Self {
        Self::unchecked(BudgetConfig::default())
    }
}

impl Budget {
    /// Creates a budget of which nothing is spent.
    ///
    /// # Errors
    /// [`InvalidSetting`] if a setting cannot work.
    pub fn new(config: BudgetConfig) -> Result<Self, InvalidSetting> {
        config.validate()?;
        Ok(Self::unchecked(config))
    }

    fn unchecked(config: BudgetConfig) -> Self {
        Self(Arc::new(Shared { config, ledger: Mutex::default() }))
    }

    /// The settings.
    pub fn config(&self) -> &BudgetConfig {
        &self.0.config
    }

    /// Questions under way.
    pub fn under_way(&self) -> usize {
        self.0.ledger().under_way
    }

    /// The currency that costs are in.
    pub fn currency(&self) -> Currency {
        self.0.config.prices.currency()
    }

    /// Reserves what a question can cost at most.
    pub(crate) fn reserve(
        &self,
        target: &Arc<Target>,
        model: &ModelId,
        now: DateTime<Utc>,
        prompt_bytes: usize,
    ) -> Result<Reservation, OverBudget> {
        let config = &self.0.config;
        let price = config.prices.price(model).copied();
        if price.is_none() && (config.workload.money.is_some() || config.process.money.is_some()) {
            return Err(OverBudget::UnknownPrice(model.clone()));
        }
        // A token is at least one byte of text.
        let input = u64::try_from(prompt_bytes).unwrap_or(u64::MAX).saturating_add(ADDED_TOKENS);
        let money = price.map_or(0, |price| price.at_most(input, config.answer_tokens));
        let charge = Charge { calls: 1, tokens: input.saturating_add(config.answer_tokens), money };

        let mut ledger = self.0.ledger();
        if ledger.under_way >= config.under_way {
            return Err(OverBudget::UnderWay(config.under_way));
        }
        ledger.process.spent.advance(now);
        ledger.process.check(charge, config.process, "all workloads")?;
        if !ledger.workloads.contains_key(target) && ledger.workloads.len() >= TARGETS_AT_MOST {
            ledger.drop_idle(now);
            if ledger.workloads.len() >= TARGETS_AT_MOST {
                return Err(OverBudget::Workloads);
            }
        }
        let account = ledger.workloads.entry(Arc::clone(target)).or_default();
        account.spent.advance(now);
        account.check(charge, config.workload, "this workload")?;
        account.reserved = account.reserved.plus(charge);
        ledger.process.reserved = ledger.process.reserved.plus(charge);
        ledger.under_way += 1;
        drop(ledger);
        Ok(Reservation {
            shared: Arc::clone(&self.0),
            target: Arc::clone(target),
            at: now,
            charge,
            price,
            actual: None,
        })
    }
}

impl Shared {
    /// Short locks, never held over an await.
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    /// Drops accounts of workloads that have spent nothing for an hour; once a minute, since it looks at all of them.
    fn drop_idle(&mut self, now: DateTime<Utc>) {
        if self.cleared.is_some_and(|cleared| (now - cleared).num_seconds().abs() < 60) {
            return;
        }
        self.cleared = Some(now);
        self.workloads.retain(|_, account| {
            account.spent.advance(now);
            account.reserved.plus(account.spent.total()) != Charge::default()
        });
    }
}

impl Account {
    fn check(&self, more: Charge, limits: SpendLimits, whose: &'static str) -> Result<(), OverBudget> {
        let sum = self.spent.total().plus(self.reserved).plus(more);
        let sums = [
            ("calls", sum.calls, limits.calls),
            ("tokens", sum.tokens, limits.tokens),
            ("money", sum.money, limits.money.map(units)),
        ];
        match sums.into_iter().find(|(_, sum, limit)| limit.is_some_and(|limit| *sum > limit)) {
            Some((what, ..)) => Err(OverBudget::Limit { whose, what }),
            None => Ok(()),
        }
    }

    fn settle(&mut self, at: DateTime<Utc>, reserved: Charge, actual: Charge) {
        self.reserved = self.reserved.minus(reserved);
        self.spent.add(at, actual);
    }
}

/// Room in a budget for one question. Dropped, it is spent: as what was settled, or in full.
#[derive(Debug)]
pub(crate) struct Reservation {
    shared: Arc<Shared>,
    target: Arc<Target>,
    at: DateTime<Utc>,
    charge: Charge,
    price: Option<ModelPrice>,
    actual: Option<Charge>,
}

impl Reservation {
    /// Enters what the question took, and returns its cost in the currency of the prices, if it is known. A server that counts no tokens
    /// leaves the reservation as it is.
    pub(crate) fn settle(mut self, usage: Usage) -> Option<f64> {
        if usage == Usage::default() {
            return None;
        }
        let cost = self.price.map(|price| price.cost(usage));
        let tokens = usage.input_tokens.saturating_add(usage.output_tokens);
        self.actual = Some(Charge { calls: 1, tokens, money: cost.unwrap_or(0) });
        cost.map(amount)
    }

    /// Gives tokens and money back: the server did not answer the question, and said so.
    pub(crate) fn unanswered(mut self) {
        self.actual = Some(Charge { calls: 1, ..Charge::default() });
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let actual = self.actual.unwrap_or(self.charge);
        let mut ledger = self.shared.ledger();
        ledger.under_way = ledger.under_way.saturating_sub(1);
        ledger.process.settle(self.at, self.charge, actual);
        let account = ledger.workloads.entry(Arc::clone(&self.target)).or_default();
        account.settle(self.at, self.charge, actual);
    }
}

#[cfg(test)]
mod tests;
