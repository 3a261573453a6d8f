//! Cost of a size, and the change that a decision makes to it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::metrics::WorkloadFacts;
use crate::resources::ResourceChange;

/// Hours in a year of 365 days.
pub const HOURS_PER_YEAR: f64 = 8760.0;
/// Hours in a month: a twelfth of [`HOURS_PER_YEAR`], 730.
pub const HOURS_PER_MONTH: f64 = HOURS_PER_YEAR / 12.0;

/// A price that cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPrice {
    /// Negative, not finite, or beyond all that a pod can cost.
    #[error("price {0} is not a number within 0..=1e12")]
    Amount(f64),
    /// Not three capital letters.
    #[error("currency {0:?} is not a code of three capital letters such as USD")]
    Currency(String),
    /// Priced by resource, but the workload states no request.
    #[error("a price by resource needs the pod's CPU and memory requests, and {0} is not known")]
    NoRequest(&'static str),
}

/// An ISO 4217 code: three capital letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// US dollar.
    pub const USD: Self = Self(*b"USD");
    /// Euro.
    pub const EUR: Self = Self(*b"EUR");

    /// The code as text.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }
}

impl TryFrom<String> for Currency {
    type Error = InvalidPrice;
    fn try_from(code: String) -> Result<Self, InvalidPrice> {
        match <[u8; 3]>::try_from(code.as_bytes()) {
            Ok(bytes) if bytes.iter().all(u8::is_ascii_uppercase) => Ok(Self(bytes)),
            _ => Err(InvalidPrice::Currency(code)),
        }
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().into()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Price of pods.
///
/// ```
/// use scaling_core::{Currency, Price};
/// // A weekend at 3 instead of 8 pods, at 50 a pod and month:
/// let price = Price::per_pod_month(50.0, Currency::USD)?;
/// let impact = price.pods(8, 3);
/// assert_eq!(impact.per_month.round(), -250.0);
/// # Ok::<(), scaling_core::InvalidPrice>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Price {
    /// Price of one pod for one hour, as it is sized now.
    pod_hour: f64,
    /// Share of that which CPU and memory requests cause; both 0 for a price by pod.
    cpu_pod_hour: f64,
    memory_pod_hour: f64,
    currency: Currency,
}

impl Price {
    /// A fixed price for a pod and hour.
    ///
    /// # Errors
    /// [`InvalidPrice::Amount`] if negative or not finite.
    pub fn per_pod_hour(amount: f64, currency: Currency) -> Result<Self, InvalidPrice> {
        let pod_hour = checked(amount)?;
        Ok(Self { pod_hour, cpu_pod_hour: 0.0, memory_pod_hour: 0.0, currency })
    }

    /// A fixed price for a pod and month of [`HOURS_PER_MONTH`].
    ///
    /// # Errors
    /// As [`Price::per_pod_hour`].
    pub fn per_pod_month(amount: f64, currency: Currency) -> Result<Self, InvalidPrice> {
        Self::per_pod_hour(checked(amount)? / HOURS_PER_MONTH, currency)
    }

    /// A price by what a pod requests: per CPU core and hour, and per GiB and hour.
    ///
    /// # Errors
    /// [`InvalidPrice`] if an amount is negative or not finite, or the facts lack a request.
    pub fn per_resource_hour(
        cpu_hour: f64,
        gib_hour: f64,
        currency: Currency,
        facts: &WorkloadFacts,
    ) -> Result<Self, InvalidPrice> {
        const GIB: f64 = 1024.0 * 1024.0 * 1024.0;
        let cores = facts.cpu_request_millicores.ok_or(InvalidPrice::NoRequest("the CPU request"))?;
        let bytes = facts.memory_request_bytes.ok_or(InvalidPrice::NoRequest("the memory request"))?;
        let cpu_pod_hour = checked(cpu_hour)? * cores as f64 / 1000.0;
        let memory_pod_hour = checked(gib_hour)? * bytes as f64 / GIB;
        Ok(Self { pod_hour: cpu_pod_hour + memory_pod_hour, cpu_pod_hour, memory_pod_hour, currency })
    }

    /// Price of one pod for one hour.
    pub fn pod_hour(&self) -> f64 {
        self.pod_hour
    }

    /// The currency of all amounts.
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// Computes the change from one number of pods to another.
    pub fn pods(&self, from: u32, to: u32) -> CostImpact {
        self.impact(from, to, None)
    }

    /// Computes the change by a whole decision: number of pods, and their size where the price goes by resource.
    pub fn impact(&self, from: u32, to: u32, resources: Option<&ResourceChange>) -> CostImpact {
        let grown = resources.map_or(self.pod_hour, |change| {
            self.pod_hour
                + self.cpu_pod_hour * f64::from(change.cpu_percent) / 100.0
                + self.memory_pod_hour * f64::from(change.memory_percent) / 100.0
        });
        // One product where the pod keeps its size: 5 pods less at 50 is 250, not 400 minus 150 with two roundings.
        let per_hour = if resources.is_none() {
            (f64::from(to) - f64::from(from)) * self.pod_hour
        } else {
            f64::from(to) * grown - f64::from(from) * self.pod_hour
        };
        CostImpact::per_hour(per_hour, self.currency)
    }
}

/// Dearer than any pod in any currency, and small enough that a year of a million of them is a number.
const DEAREST: f64 = 1e12;

fn checked(amount: f64) -> Result<f64, InvalidPrice> {
    if (0.0..=DEAREST).contains(&amount) { Ok(amount) } else { Err(InvalidPrice::Amount(amount)) }
}

/// Cost (above 0) or saving (below 0) of a change, if it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostImpact {
    /// While it lasts, each hour.
    pub per_hour: f64,
    /// Each month of 730 hours.
    pub per_month: f64,
    /// Each year of 8,760 hours.
    pub per_year: f64,
    /// Of all three.
    pub currency: Currency,
}

impl CostImpact {
    /// A change that lasts all day, every day.
    pub fn per_hour(per_hour: f64, currency: Currency) -> Self {
        Self { per_hour, per_month: per_hour * HOURS_PER_MONTH, per_year: per_hour * HOURS_PER_YEAR, currency }
    }

    /// Spreads it over so many hours of the week (168: always). `per_hour` stays what one such hour costs.
    ///
    /// ```
    /// use scaling_core::{Currency, Price};
    /// // Nights from 23:00 to 06:00 at 2 instead of 5 pods, 0.05 a pod-hour: 3 pods for 7 hours, each night.
    /// let nights = Price::per_pod_hour(0.05, Currency::USD)?.pods(5, 2).for_hours_a_week(7.0 * 7.0);
    /// assert!((nights.per_year - -0.05 * 3.0 * 7.0 * 365.0).abs() < 1e-9);
    /// # Ok::<(), scaling_core::InvalidPrice>(())
    /// ```
    #[must_use]
    pub fn for_hours_a_week(self, hours: f64) -> Self {
        let share = if hours.is_finite() { hours.clamp(0.0, 168.0) / 168.0 } else { 1.0 };
        Self {
            per_hour: self.per_hour,
            per_month: self.per_month * share,
            per_year: self.per_year * share,
            currency: self.currency,
        }
    }
}

impl fmt::Display for CostImpact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:+.2} {} an hour, {:+.2} a month, {:+.2} a year",
            self.per_hour, self.currency, self.per_month, self.per_year
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9 * b.abs().max(1.0)
    }

    #[test]
    fn weekend_from_8_to_3_pods_at_50_a_pod_month_saves_250_a_month() {
        let impact = Price::per_pod_month(50.0, Currency::USD).unwrap().pods(8, 3);
        assert!(close(impact.per_month, -250.0), "{impact}");
        assert!(close(impact.per_year, -3000.0), "{impact}");
    }

    #[test]
    fn nights_from_23_to_6_at_2_instead_of_5_pods_at_5_cents_save_a_dollar_and_5_cents_each() {
        let price = Price::per_pod_hour(0.05, Currency::USD).unwrap();
        let impact = price.pods(5, 2).for_hours_a_week(7.0 * 7.0);
        assert!(close(impact.per_hour * 7.0, -1.05), "{impact}");
        assert!(close(impact.per_year, -1.05 * 365.0), "{impact}");
        assert!(close(impact.per_month, -1.05 * 365.0 / 12.0), "{impact}");
    }

    #[test]
    fn scaling_to_8_a_quarter_of_an_hour_before_a_daily_peak_costs_5_pods_for_that_quarter() {
        let price = Price::per_pod_hour(0.08, Currency::EUR).unwrap();
        let impact = price.pods(3, 8).for_hours_a_week(0.25 * 7.0);
        assert!(close(impact.per_year, 5.0 * 0.08 * 0.25 * 365.0), "{impact}");
    }

    #[test]
    fn half_as_much_memory_again_costs_half_of_the_memory_again() {
        let facts = WorkloadFacts {
            cpu_request_millicores: Some(500),
            memory_request_bytes: Some(2 << 30),
            ..WorkloadFacts::default()
        };
        let price = Price::per_resource_hour(0.04, 0.005, Currency::USD, &facts).unwrap();
        assert!(close(price.pod_hour(), 0.02 + 0.01));
        let change = ResourceChange { cpu_percent: 0, memory_percent: 50 };
        assert!(close(price.impact(5, 5, Some(&change)).per_hour, 5.0 * 0.005));
    }

    #[test]
    fn impossible_prices_are_refused_with_what_was_wrong() {
        assert_eq!(Price::per_pod_hour(-1.0, Currency::USD), Err(InvalidPrice::Amount(-1.0)));
        assert!(Price::per_pod_month(f64::NAN, Currency::USD).is_err());
        assert!(Price::per_pod_hour(1e300, Currency::USD).is_err());
        assert!(Currency::try_from("usd".to_owned()).is_err());
        let nothing_known = WorkloadFacts::default();
        assert!(Price::per_resource_hour(1.0, 1.0, Currency::USD, &nothing_known).is_err());
    }
}
