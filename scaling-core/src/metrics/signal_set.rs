//! A set of signals.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::SignalKind;

/// A set of [`SignalKind`]s, one bit each: cheap to copy, in the order of [`SignalKind::ALL`]. Written as a list of names.
///
/// ```
/// use scaling_core::metrics::{SignalKind, SignalSet};
/// let delivered = SignalSet::of([SignalKind::CpuUtilization, SignalKind::RequestRate]);
/// assert!(delivered.contains(SignalKind::RequestRate) && !delivered.contains(SignalKind::QueueDepth));
/// assert_eq!(serde_json::to_string(&delivered)?, r#"["cpu_utilization","request_rate"]"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct SignalSet(u8);

impl SignalSet {
    /// No signal.
    pub const NONE: Self = Self(0);
    /// Every signal.
    pub const ALL: Self = Self((1 << SignalKind::ALL.len()) - 1);

    /// The set of these signals; one that comes twice counts once.
    pub fn of(kinds: impl IntoIterator<Item = SignalKind>) -> Self {
        kinds.into_iter().fold(Self::NONE, Self::with)
    }

    /// This set and one signal more.
    #[must_use]
    pub const fn with(self, kind: SignalKind) -> Self {
        Self(self.0 | 1 << kind.index())
    }

    /// Every signal that is in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// True if the signal is in the set.
    pub const fn contains(self, kind: SignalKind) -> bool {
        self.0 & 1 << kind.index() != 0
    }

    /// True if no signal is in the set.
    // By reference, as serde asks it.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// The signals in it, in the order of [`SignalKind::ALL`].
    pub fn iter(self) -> impl Iterator<Item = SignalKind> {
        SignalKind::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }
}

impl FromIterator<SignalKind> for SignalSet {
    fn from_iter<I: IntoIterator<Item = SignalKind>>(kinds: I) -> Self {
        Self::of(kinds)
    }
}

impl fmt::Debug for SignalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for SignalSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for SignalSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<SignalKind>::deserialize(deserializer).map(Self::of)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_signal_has_a_bit_of_its_own() {
        for kind in SignalKind::ALL {
            let alone = SignalSet::NONE.with(kind);
            assert_eq!(alone.iter().collect::<Vec<_>>(), [kind]);
            assert!(SignalKind::ALL.into_iter().all(|other| alone.contains(other) == (other == kind)));
        }
        assert_eq!(SignalSet::of(SignalKind::ALL), SignalSet::ALL);
        assert!(SignalSet::NONE.is_empty() && !SignalSet::ALL.is_empty());
    }

    #[test]
    fn a_set_reads_back_as_it_was_written_and_refuses_what_is_no_signal() {
        for bits in 0..=SignalSet::ALL.0 {
            let set = SignalSet(bits);
            let text = serde_json::to_string(&set).unwrap();
            assert_eq!(serde_json::from_str::<SignalSet>(&text).unwrap(), set, "{text}");
        }
        assert!(serde_json::from_str::<SignalSet>(r#"["cpu"]"#).unwrap_err().to_string().contains("cpu"));
    }
}
