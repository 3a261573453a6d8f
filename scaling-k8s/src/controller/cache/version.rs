//! Versions of objects, and which of two is the newer one.

use std::cmp::Ordering;

/// A `resourceVersion`. Those of one kind of object are numbers that grow, in every API server since the first with etcd 3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Version(Option<Box<str>>);

impl Version {
    pub(crate) fn of(text: Option<String>) -> Self {
        Self(text.filter(|text| !text.is_empty()).map(Into::into))
    }

    pub(crate) fn text(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// The digits that count; none if it is no number.
    fn digits(&self) -> Option<&str> {
        let text = self.text()?;
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.trim_start_matches('0'))
    }

    pub(crate) fn is_number(&self) -> bool {
        self.digits().is_some()
    }

    /// The order of two versions; none if one of them is no number.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        if self.0.is_some() && self == other {
            return Some(Ordering::Equal);
        }
        let (one, other) = (self.digits()?, other.digits()?);
        Some(one.len().cmp(&other.len()).then_with(|| one.cmp(other)))
    }

    /// True if this one is known to be as new as the other, or newer.
    pub(crate) fn reaches(&self, other: &Self) -> bool {
        matches!(self.compare(other), Some(Ordering::Equal | Ordering::Greater))
    }

    /// True if this one is known to be older than the other.
    pub(crate) fn is_before(&self, other: &Self) -> bool {
        self.compare(other) == Some(Ordering::Less)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::of(Some(text.to_owned()))
    }

    #[test]
    fn versions_are_numbers_of_any_length() {
        assert!(version("10").reaches(&version("9")));
        assert!(version("9").is_before(&version("10")));
        assert!(version("007").reaches(&version("7")));
        assert!(version("99999999999999999999999").reaches(&version("18446744073709551616")));
    }

    #[test]
    fn what_is_no_number_equals_itself_alone() {
        assert!(version("x").reaches(&version("x")));
        assert!(!version("y").reaches(&version("x")) && !version("x").reaches(&version("9")));
        assert!(!version("x").is_before(&version("y")));
        assert!(!Version::default().reaches(&Version::default()), "no version tells nothing");
        assert!(!version("9").reaches(&version("")));
    }
}
