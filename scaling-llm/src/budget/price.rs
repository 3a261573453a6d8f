//! Prices of models, as the host gives them.

use std::collections::BTreeMap;

use scaling_core::{Currency, InvalidSetting};

use crate::{ModelId, Usage};

/// Units of account in one unit of the currency: 10¹², so that a token at 0.01 a million costs a whole number of them.
const UNITS: f64 = 1e12;

/// Price of a model's tokens, each per million tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelPrice {
    /// Price of tokens of the question that come from no cache.
    input: f64,
    output: f64,
    cache_read: f64,
    cache_write: f64,
}

impl ModelPrice {
    /// Creates a price per million tokens of questions and of answers. Tokens read from or written to the provider's cache cost as much
    /// as other tokens of a question, until [`with_cache`](Self::with_cache) says otherwise.
    ///
    /// # Errors
    /// [`InvalidSetting`] if a price is negative, not a number, or above a million.
    pub fn per_million(input: f64, output: f64) -> Result<Self, InvalidSetting> {
        Self { input, output, cache_read: input, cache_write: input }.checked()
    }

    /// Sets what tokens read from and written to the provider's cache cost, per million.
    ///
    /// # Errors
    /// As [`per_million`](Self::per_million).
    pub fn with_cache(self, read: f64, write: f64) -> Result<Self, InvalidSetting> {
        Self { cache_read: read, cache_write: write, ..self }.checked()
    }

    fn checked(self) -> Result<Self, InvalidSetting> {
        let prices = [
            ("price of input", self.input),
            ("price of output", self.output),
            ("price of cache reads", self.cache_read),
            ("price of cache writes", self.cache_write),
        ];
        InvalidSetting::check(&prices, "from 0 to 1000000", |price| (0.0..=1e6).contains(&price))?;
        Ok(self)
    }

    /// Cost of a question and its answer, in units of account.
    pub(super) fn cost(&self, usage: Usage) -> u64 {
        let cached = usage.cache_read_tokens.saturating_add(usage.cache_write_tokens);
        let parts = [
            (usage.input_tokens.saturating_sub(cached), self.input),
            (usage.cache_read_tokens, self.cache_read),
            (usage.cache_write_tokens, self.cache_write),
            (usage.output_tokens, self.output),
        ];
        parts
            .into_iter()
            .fold(0, |sum: u64, (tokens, price)| sum.saturating_add(tokens.saturating_mul(units(price / 1e6))))
    }

    /// The most that so many tokens can cost, whatever a cache does, in units of account.
    pub(super) fn at_most(&self, input_tokens: u64, output_tokens: u64) -> u64 {
        let dearest = self.input.max(self.cache_read).max(self.cache_write);
        let input = input_tokens.saturating_mul(units(dearest / 1e6));
        input.saturating_add(output_tokens.saturating_mul(units(self.output / 1e6)))
    }
}

/// An amount in units of account; more than fits becomes the largest.
// Checked to be a number from 0 where it is set.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(super) fn units(amount: f64) -> u64 {
    (amount * UNITS).round() as u64
}

/// Units of account as an amount of the currency.
pub(super) fn amount(units: u64) -> f64 {
    units as f64 / UNITS
}

/// Prices by model, in one currency. None is built in: they change, and an account may have its own.
///
/// ```
/// use scaling_core::Currency;
/// use scaling_llm::{ModelId, ModelPrice, PriceTable};
///
/// let price = ModelPrice::per_million(0.10, 0.50)?.with_cache(0.01, 0.125)?;
/// let prices = PriceTable::new(Currency::USD).with(ModelId::new("anthropic", "claude-haiku-5-5"), price);
/// assert!(prices.price(&ModelId::new("anthropic", "another")).is_none());
/// # Ok::<(), scaling_core::InvalidSetting>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PriceTable {
    currency: Currency,
    prices: BTreeMap<ModelId, ModelPrice>,
}

impl PriceTable {
    /// Creates a table without prices.
    pub fn new(currency: Currency) -> Self {
        Self { currency, prices: BTreeMap::new() }
    }

    /// Sets the price of a model.
    #[must_use]
    pub fn with(mut self, model: ModelId, price: ModelPrice) -> Self {
        self.prices.insert(model, price);
        self
    }

    /// The price of a model, if it is known.
    pub fn price(&self, model: &ModelId) -> Option<&ModelPrice> {
        self.prices.get(model)
    }

    /// The currency of every price and of limits of money.
    pub fn currency(&self) -> Currency {
        self.currency
    }
}

impl Default for PriceTable {
    /// No prices, in US dollars.
    fn default() -> Self {
        Self::new(Currency::USD)
    }
}
