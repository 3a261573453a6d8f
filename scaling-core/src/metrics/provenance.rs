//! [`Provenance`]: which source measured what.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{SignalKind, SignalSet};

/// Where the numbers of an observation are from, and which sources failed, for observations that several sources contribute to.
///
/// A signal that one source measured while another, which delivers it too, did not is [unconfirmed](Self::unconfirmed): the number
/// that is there gives cause to grow, and counts as absent for shrinking (law 2). Two sources seldom measure alike (percent of
/// request and percent of limit), so that losing the one whose number is higher must not look like less load.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Provenance {
    /// Source of each signal that has a value, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub signals: BTreeMap<SignalKind, String>,
    /// Source of the pod counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<String>,
    /// Sources without an observation, by name, each with its error.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub failed: BTreeMap<String, String>,
    /// Signals with a value that a source which delivers them too did not measure.
    #[serde(skip_serializing_if = "SignalSet::is_empty")]
    pub unconfirmed: SignalSet,
}
