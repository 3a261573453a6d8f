//! Faults of settings.

use std::fmt;

use scaling_core::HardLimits;

use super::PREFIX;

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// A value is not one that its annotation may have.
    #[error("{PREFIX}{key} is {value:?}; it must be {must}")]
    Value {
        /// Key of the annotation, without the prefix.
        key: &'static str,
        /// The value, or its beginning.
        value: String,
        /// Condition that the value must meet.
        must: &'static str,
    },
    /// An annotation or label of ours that nobody knows.
    #[error("{PREFIX}{key} is not known{}", nearest.map(|key| format!("; did you mean {PREFIX}{key}?")).unwrap_or_default())]
    Unknown {
        /// Its key without the prefix, or the beginning of it.
        key: String,
        /// The nearest key that is known, where one is near.
        nearest: Option<&'static str>,
    },
    /// A setting that is only read from annotations is a label.
    #[error("{PREFIX}{key} is a label; it must be an annotation")]
    Label {
        /// Key of the label, without the prefix.
        key: &'static str,
    },
    /// The mode is a label and an annotation, and they differ.
    #[error("{PREFIX}mode is {label:?} as a label and {annotation:?} as an annotation; one of them must go")]
    TwoModes {
        /// The label.
        label: String,
        /// The annotation, or its beginning.
        annotation: String,
    },
    /// There are settings without a mode.
    #[error("{PREFIX}mode is missing; it must be \"observe\", \"floors\" or \"full\"")]
    NoMode,
    /// The fewest pods allowed are more than the most.
    #[error("{PREFIX}hard-min is {min}; it must be at most {PREFIX}hard-max, which is {max}")]
    MinAboveMax {
        /// Fewest pods that are set.
        min: u32,
        /// Most pods that are set.
        max: u32,
    },
    /// The limits that are set have no size in common with those of the host.
    #[error("{PREFIX}hard-min and {PREFIX}hard-max allow {}; the host allows {host}", range(*min, *max))]
    OutsideHost {
        /// Fewest pods that are set.
        min: Option<u32>,
        /// Most pods that are set.
        max: Option<u32>,
        /// The host's limits.
        host: HardLimits,
    },
    /// There are more faults than are told.
    #[error("{faults} more faults are not told")]
    More {
        /// Faults that are left out.
        faults: usize,
    },
}

fn range(min: Option<u32>, max: Option<u32>) -> String {
    let text = |bound: Option<u32>| bound.map(|pods| pods.to_string()).unwrap_or_default();
    format!("{}..{}", text(min), text(max))
}

/// Every fault among the settings of one target; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingErrors(Vec<SettingError>);

impl SettingErrors {
    /// Faults that are told, at most.
    const MOST: usize = 16;

    /// None if there is no fault.
    pub(super) fn new(mut faults: Vec<SettingError>) -> Option<Self> {
        let more = faults.len().saturating_sub(Self::MOST);
        faults.truncate(Self::MOST);
        if more > 0 {
            faults.push(SettingError::More { faults: more });
        }
        (!faults.is_empty()).then_some(Self(faults))
    }

    /// The faults, in the order of the settings.
    pub fn iter(&self) -> std::slice::Iter<'_, SettingError> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a SettingErrors {
    type Item = &'a SettingError;
    type IntoIter = std::slice::Iter<'a, SettingError>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<SettingError> for SettingErrors {
    fn from(fault: SettingError) -> Self {
        Self(vec![fault])
    }
}

impl fmt::Display for SettingErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, fault) in self.0.iter().enumerate() {
            let between = if place == 0 { "" } else { "; " };
            write!(f, "{between}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingErrors {}
