//! The duration of `@every`.

use chrono::TimeDelta;

/// Units as Go writes them, with their nanoseconds. Both signs of micro are taken.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// The pause between two runs: whole seconds, and one at least, whatever was written.
pub(super) fn parse(text: &str) -> Option<TimeDelta> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(TimeDelta::seconds(1));
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let nanos = UNITS.iter().find(|(name, _)| *name == unit)?.1;
        let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
        total = total.checked_add(whole.checked_mul(nanos)?)?.checked_add(part(fraction, nanos))?;
        // The greatest of Go's durations.
        if total > i64::MAX.unsigned_abs() {
            return None;
        }
        rest = after;
    }
    let seconds = if negative { 0 } else { total / 1_000_000_000 };
    TimeDelta::try_seconds(i64::try_from(seconds.max(1)).ok()?)
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// A decimal fraction of a unit. Digits beyond the eighteenth are less than any nanosecond.
fn part(fraction: &str, nanos: u64) -> u64 {
    let digits = fraction.get(..fraction.len().min(18)).unwrap_or_default();
    let scale = 10_u128.pow(u32::try_from(digits.len()).unwrap_or(0));
    let value = digits.parse::<u128>().unwrap_or(0);
    u64::try_from(value * u128::from(nanos) / scale).unwrap_or(0)
}
