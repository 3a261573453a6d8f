//! [`SizeOwner`]: somebody else who sets the size of a workload.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Somebody else who sets the size of a workload: a GitOps tool, another autoscaler, a person with kubectl. It stands in the way of our
/// writes until one of the two lets go.
///
/// All text may come from a cluster: whoever shows it treats it as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeOwner {
    /// The owner, for people: `Argo CD (application shop)`.
    pub owner: String,
    /// The fields that it owns, and of what; the object alone where it may write all of it.
    pub field: String,
    /// Time of its last write, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
    /// The way to live together, in a sentence.
    pub advice: String,
    /// The setting by which the owner leaves our fields alone, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setting: Option<OwnerSetting>,
}

impl fmt::Display for SizeOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sets {}", self.owner, self.field)?;
        match self.since {
            Some(since) => write!(f, " (since {since})"),
            None => Ok(()),
        }
    }
}

/// Setting of another tool by which it leaves our fields alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerSetting {
    /// Place of the text: a file or an object.
    pub place: String,
    /// The text, to be copied as it is.
    pub text: String,
}
