//! The sizes a workload may take: [`Bounds`], and the [`HardLimits`] nobody may leave.

use std::fmt;

use serde::{Deserialize, Serialize};

pub use crate::stats::MAX_REPLICAS;

/// Bounds that cannot exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidBounds {
    /// `min` is greater than `max`.
    #[error("min replicas {min} is above max replicas {max}")]
    MinAboveMax {
        /// The refused lower bound.
        min: u32,
        /// The refused upper bound.
        max: u32,
    },
    /// No pod at all would be allowed.
    #[error("max replicas is 0; an HPA needs at least 1")]
    MaxIsZero,
    /// Kubernetes cannot express the number.
    #[error("max replicas {max} is above {MAX_REPLICAS}, the largest count Kubernetes can store")]
    TooLarge {
        /// The refused upper bound.
        max: u32,
    },
}

/// Min and max replicas of an HPA. Cannot be built with min > max, a max of 0, or beyond [`MAX_REPLICAS`].
///
/// ```
/// use scaling_core::Bounds;
/// assert!(Bounds::new(2, 10).is_ok());
/// assert!(Bounds::new(11, 10).is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub struct Bounds {
    min: u32,
    max: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    min: u32,
    max: u32,
}

impl TryFrom<Raw> for Bounds {
    type Error = InvalidBounds;
    fn try_from(raw: Raw) -> Result<Self, InvalidBounds> {
        Self::new(raw.min, raw.max)
    }
}

impl From<Bounds> for Raw {
    fn from(bounds: Bounds) -> Self {
        Self { min: bounds.min, max: bounds.max }
    }
}

impl Bounds {
    /// Checked bounds.
    ///
    /// # Errors
    /// [`InvalidBounds`] if `min > max`, `max` is 0, or `max` is beyond what Kubernetes can store.
    pub fn new(min: u32, max: u32) -> Result<Self, InvalidBounds> {
        if max == 0 {
            return Err(InvalidBounds::MaxIsZero);
        }
        if max > MAX_REPLICAS {
            return Err(InvalidBounds::TooLarge { max });
        }
        if min > max {
            return Err(InvalidBounds::MinAboveMax { min, max });
        }
        Ok(Self { min, max })
    }

    /// Min replicas.
    pub fn min(self) -> u32 {
        self.min
    }

    /// Max replicas.
    pub fn max(self) -> u32 {
        self.max
    }

    /// Number of pods that these bounds leave no choice about: min and max alike, or none at all as 0..1, since no max is 0.
    ///
    /// ```
    /// use scaling_core::Bounds;
    /// assert_eq!(Bounds::exactly(7)?.number(), Some(7));
    /// assert_eq!(Bounds::exactly(0)?, Bounds::new(0, 1)?);
    /// assert_eq!(Bounds::new(2, 7)?.number(), None);
    /// # Ok::<(), scaling_core::InvalidBounds>(())
    /// ```
    pub fn number(self) -> Option<u32> {
        (self.max == self.min.max(1)).then_some(self.min)
    }

    /// Bounds that leave no choice: of a workload that is driven directly.
    ///
    /// # Errors
    /// [`InvalidBounds`] if the number is beyond what Kubernetes can store.
    pub fn exactly(replicas: u32) -> Result<Self, InvalidBounds> {
        Self::new(replicas, replicas.max(1))
    }

    /// `replicas`, moved into these bounds.
    pub fn clamp(self, replicas: u32) -> u32 {
        replicas.clamp(self.min, self.max)
    }

    /// Returns true if `other` lies inside these bounds, edges included.
    pub fn contains(self, other: Self) -> bool {
        self.min <= other.min && other.max <= self.max
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.min, self.max)
    }
}

/// The sizes the host allows at all: hard_min ≤ min ≤ max ≤ hard_max in everything planned or applied (law 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HardLimits(Bounds);

impl HardLimits {
    /// Limits from `min` to `max` replicas.
    ///
    /// # Errors
    /// As [`Bounds::new`].
    pub fn new(min: u32, max: u32) -> Result<Self, InvalidBounds> {
        Bounds::new(min, max).map(Self)
    }

    /// The limits as bounds.
    pub fn bounds(self) -> Bounds {
        self.0
    }
}

impl Default for HardLimits {
    /// From 1 to 1,000 replicas: wide enough to be no surprise, narrow enough to stop a runaway.
    fn default() -> Self {
        Self(Bounds { min: 1, max: 1000 })
    }
}

impl fmt::Display for HardLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
