//! Confidence in one window: the held-out days on which it held.

use std::fmt;

use scaling_core::InvalidSetting;
use serde::{Deserialize, Serialize};

/// Standard normal quantile of 95 %: the bound is one-sided.
const Z: f64 = 1.644_853_626_951_472_2;

/// Confidence in one window, as evidence: on how many held-out days it held, out of how many, and what these say of days to come.
///
/// A day is one on which the window opens; what follows after midnight belongs to it. Nothing was learnt from it: the floors that are judged
/// were made from earlier days, with the factor that the other held-out days chose. It is held if at most the wanted share of its requests
/// in the window's time came while more pods were needed. Over an HPA, days count on which the HPA alone or the windows kept requests
/// waiting for too long at that time, and one is held if at most the wanted part of what waited under the HPA alone waited all the same.
///
/// A day of which less than half of the window's time was seen proves nothing: it counts only where it was not held.
///
/// ```
/// use scaling_schedule::WindowConfidence;
///
/// let all = WindowConfidence::new(14, 14, 28)?;
/// assert!((all.lower_bound() - 0.838).abs() < 0.001);
/// assert_eq!(all.to_string(), "held on 14 of 14 held-out days (83 % at least, at 95 % confidence), from 28 days of history");
/// assert!(WindowConfidence::new(15, 14, 28).is_err());
/// # Ok::<(), scaling_core::InvalidSetting>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct WindowConfidence {
    held_days: u32,
    days: u32,
    span_days: u32,
}

/// The written form. The bound is for readers; when read back it follows from the counts.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    held_days: u32,
    days: u32,
    span_days: u32,
    #[serde(default)]
    lower_bound: Option<f64>,
}

impl TryFrom<Written> for WindowConfidence {
    type Error = InvalidSetting;

    fn try_from(written: Written) -> Result<Self, InvalidSetting> {
        Self::new(written.held_days, written.days, written.span_days)
    }
}

impl From<WindowConfidence> for Written {
    fn from(confidence: WindowConfidence) -> Self {
        let WindowConfidence { held_days, days, span_days } = confidence;
        Self { held_days, days, span_days, lower_bound: Some(confidence.lower_bound()) }
    }
}

impl WindowConfidence {
    /// Creates the evidence of so many held days out of so many held-out ones, from a history that spans so many dates.
    ///
    /// # Errors
    /// [`InvalidSetting`] if more days were held than there were.
    pub fn new(held_days: u32, days: u32, span_days: u32) -> Result<Self, InvalidSetting> {
        if held_days > days {
            let must = "at most the number of days";
            return Err(InvalidSetting { field: "held_days", value: f64::from(held_days), must });
        }
        Ok(Self { held_days, days, span_days })
    }

    /// Counts held days.
    pub(crate) fn counted(held: impl IntoIterator<Item = bool>, span_days: u32) -> Self {
        let mut confidence = Self { held_days: 0, days: 0, span_days };
        for held in held {
            confidence.days = confidence.days.saturating_add(1);
            confidence.held_days = confidence.held_days.saturating_add(u32::from(held));
        }
        confidence
    }

    /// Returns the held-out days on which the window held.
    pub fn held_days(&self) -> u32 {
        self.held_days
    }

    /// Returns the held-out days on which it was judged.
    pub fn days(&self) -> u32 {
        self.days
    }

    /// Returns the dates from the first to the last of the history, whatever was seen between them.
    pub fn span_days(&self) -> u32 {
        self.span_days
    }

    /// Returns the proportion of held days; `None` where no day was held out.
    pub fn share(&self) -> Option<f64> {
        (self.days > 0).then(|| f64::from(self.held_days) / f64::from(self.days))
    }

    /// Returns the lower bound of that proportion for days alike, at 95 % confidence, one-sided: Wilson's score interval (Wilson,
    /// *Probable Inference, the Law of Succession, and Statistical Inference*, 1927). 0 where no day was held out.
    ///
    /// Days are taken to be independent. Those of one spell of weather are not, and say less.
    pub fn lower_bound(&self) -> f64 {
        let Some(share) = self.share() else { return 0.0 };
        let (days, squared) = (f64::from(self.days), Z * Z);
        let middle = share + squared / (2.0 * days);
        let half = Z * (share * (1.0 - share) / days + squared / (4.0 * days * days)).sqrt();
        ((middle - half) / (1.0 + squared / days)).clamp(0.0, share)
    }
}

impl fmt::Display for WindowConfidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { held_days, days, span_days } = self;
        if *days == 0 {
            return write!(f, "no day was held out to judge it by, from {span_days} days of history");
        }
        // Rounded down: a bound that is told is not above the bound.
        let least = (self.lower_bound() * 100.0).floor();
        write!(
            f,
            "held on {held_days} of {days} held-out days ({least:.0} % at least, at 95 % confidence), from {span_days} days of history"
        )
    }
}
