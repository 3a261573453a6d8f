//! [`Statistic`]: how the samples of one period became one number.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How a service makes one number of the samples of a period. Written `average`, `sum`, `minimum`, `maximum`, `sample_count`, or
/// `p95` for a percentile.
///
/// ```
/// use scaling_core::source::mapping::Statistic;
/// let p95: Statistic = "p95".parse()?;
/// assert_eq!(p95.quantile(), Some(0.95));
/// assert_eq!(p95.to_string(), "p95");
/// assert!("p100".parse::<Statistic>().is_err());
/// # Ok::<(), scaling_core::source::mapping::InvalidStatistic>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Statistic {
    /// The mean.
    Average,
    /// The total.
    Sum,
    /// The least.
    Minimum,
    /// The most.
    Maximum,
    /// The number of samples, whatever their values.
    SampleCount,
    /// The value below which this share of the samples lies.
    Percentile(Percent),
}

/// A percentile between 0 and 100, both excluded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percent(f64);

// Never NaN, nor 0 with a sign.
impl Eq for Percent {}

impl Hash for Percent {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

/// A statistic that there is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no statistic {name:?}; there are: average, sum, minimum, maximum, sample_count, and p50 or p99.9 for a percentile"
)]
pub struct InvalidStatistic {
    /// The refused name.
    pub name: String,
}

impl Statistic {
    const NAMED: [(Self, &'static str); 5] = [
        (Self::Average, "average"),
        (Self::Sum, "sum"),
        (Self::Minimum, "minimum"),
        (Self::Maximum, "maximum"),
        (Self::SampleCount, "sample_count"),
    ];

    /// The percentile, in percent: 95 for p95.
    ///
    /// # Errors
    /// [`InvalidStatistic`] unless it lies between 0 and 100, both excluded.
    pub fn percentile(percent: f64) -> Result<Self, InvalidStatistic> {
        if percent / 100.0 > 0.0 && percent < 100.0 {
            Ok(Self::Percentile(Percent(percent)))
        } else {
            Err(InvalidStatistic { name: format!("p{percent}") })
        }
    }

    /// The quantile that it is (0.95 for p95); `None` for the others.
    pub fn quantile(self) -> Option<f64> {
        match self {
            Self::Percentile(percent) => Some(percent.0 / 100.0),
            _ => None,
        }
    }

    /// True for a total over samples, which grows with their number or with the length of the period.
    pub(super) fn is_total(self) -> bool {
        matches!(self, Self::Sum | Self::SampleCount)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percentile(percent) => write!(f, "p{percent}"),
            named => {
                let name = Self::NAMED.iter().find(|(statistic, _)| statistic == named).map(|(_, name)| *name);
                f.write_str(name.unwrap_or_default())
            }
        }
    }
}

impl FromStr for Statistic {
    type Err = InvalidStatistic;

    fn from_str(text: &str) -> Result<Self, InvalidStatistic> {
        if let Some((statistic, _)) = Self::NAMED.iter().find(|(_, name)| *name == text) {
            return Ok(*statistic);
        }
        let refused = || InvalidStatistic { name: text.to_owned() };
        let digits = text.strip_prefix('p').filter(|digits| digits.starts_with(|first: char| first.is_ascii_digit()));
        let percent = digits.and_then(|digits| digits.parse().ok()).ok_or_else(refused)?;
        Self::percentile(percent).map_err(|_| refused())
    }
}

impl TryFrom<String> for Statistic {
    type Error = InvalidStatistic;

    fn try_from(text: String) -> Result<Self, InvalidStatistic> {
        text.parse()
    }
}

impl From<Statistic> for String {
    fn from(statistic: Statistic) -> Self {
        statistic.to_string()
    }
}
