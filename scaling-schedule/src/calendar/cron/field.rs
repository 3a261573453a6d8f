//! One field of an expression as a set of numbers.

use super::error::quoted;
use super::{CronFault, TermFault};

/// A field of a cron expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CronField {
    /// 0 to 59.
    Minute,
    /// 0 to 23.
    Hour,
    /// 1 to 31.
    DayOfMonth,
    /// 1 to 12, or `jan` to `dec`.
    Month,
    /// 0, which is Sunday, to 6, or `sun` to `sat`. There is no 7.
    DayOfWeek,
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
/// The order of their numbers.
pub(super) const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl CronField {
    /// Least and greatest value.
    fn limits(self) -> (u32, u32) {
        match self {
            Self::Minute => (0, 59),
            Self::Hour => (0, 23),
            Self::DayOfMonth => (1, 31),
            Self::Month => (1, 12),
            Self::DayOfWeek => (0, 6),
        }
    }

    /// Value of a name, or of a number as Go reads one: digits with a plus sign at most.
    fn value(self, text: &str) -> Result<u64, TermFault> {
        let names: &[&str] = match self {
            Self::Month => &MONTHS,
            Self::DayOfWeek => &DAYS,
            _ => &[],
        };
        if let Some(nth) = names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            return Ok(nth as u64 + u64::from(self.limits().0));
        }
        number(text)
    }
}

fn number(text: &str) -> Result<u64, TermFault> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(TermFault::NotANumber);
    }
    digits.parse::<i64>().map(i64::unsigned_abs).map_err(|_| TermFault::NotANumber)
}

/// Values of a field, and whether it leaves the day to the other field of days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FieldSet {
    bits: u64,
    /// True for a `*` or `?` without a step: the field does not restrict anything.
    pub(super) star: bool,
}

impl FieldSet {
    /// Terms between commas; empty ones mean nothing, so that a field of none but those has no value.
    pub(super) fn parse(field: CronField, text: &str) -> Result<Self, CronFault> {
        let mut set = Self { bits: 0, star: false };
        for term in text.split(',').filter(|term| !term.is_empty()) {
            let fault = |fault| CronFault::Term { field, term: quoted(term), fault };
            let (bits, star) = parse_term(field, term).map_err(fault)?;
            set.bits |= bits;
            set.star |= star;
        }
        Ok(set)
    }

    pub(super) fn contains(self, value: u32) -> bool {
        self.bits.checked_shr(value).is_some_and(|bits| bits & 1 == 1)
    }

    pub(super) fn is_empty(self) -> bool {
        self.bits == 0
    }

    pub(super) fn values(self) -> impl Iterator<Item = u32> {
        (0..60).filter(move |value| self.contains(*value))
    }
}

fn parse_term(field: CronField, term: &str) -> Result<(u64, bool), TermFault> {
    let (least, greatest) = field.limits();
    let mut parts = term.split('/');
    let range = parts.next().unwrap_or_default();
    let step = parts.next().map(number).transpose()?;
    if parts.next().is_some() {
        return Err(TermFault::Slashes);
    }
    let mut ends = range.split('-');
    let low = ends.next().unwrap_or_default();
    let is_star = matches!(low, "*" | "?");
    // What stands after the hyphen of a star is not looked at, there either.
    let (start, end) = if is_star {
        (u64::from(least), u64::from(greatest))
    } else {
        let start = field.value(low)?;
        match (ends.next(), step) {
            (Some(high), _) => (start, field.value(high)?),
            // A single number with a step goes on to the greatest.
            (None, Some(_)) => (start, u64::from(greatest)),
            (None, None) => (start, start),
        }
    };
    if !is_star && ends.next().is_some() {
        return Err(TermFault::Hyphens);
    }
    if start < u64::from(least) {
        return Err(TermFault::Below(least));
    }
    if end > u64::from(greatest) {
        return Err(TermFault::Above(greatest));
    }
    if start > end {
        return Err(TermFault::Reversed);
    }
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err(TermFault::ZeroStep);
    }
    let bits =
        (start..=end).filter(|value| (value - start).is_multiple_of(step)).fold(0, |bits, value| bits | 1 << value);
    Ok((bits, is_star && step == 1))
}
