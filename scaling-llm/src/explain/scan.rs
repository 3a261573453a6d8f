//! Finds the numbers of a text: amounts, dates and times of day.

use scaling_core::chrono::{NaiveDate, NaiveTime};

/// One number of a text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    /// As it stands in the text.
    pub(super) shown: String,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    Amount(Amount),
    /// A date, a time of day, or both. Seconds are none where the text shows none.
    Instant {
        date: Option<NaiveDate>,
        time: Option<(NaiveTime, bool)>,
    },
    /// A digit or numeral that is not one of `0-9`.
    Foreign,
}

/// An amount, its digits and what stands around it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Amount {
    /// Without its sign.
    pub(super) value: f64,
    /// Half of what the last digit shown is worth: how far the number that was rounded may lie.
    pub(super) half: f64,
    /// True for `-`, false for `+`.
    pub(super) negative: Option<bool>,
    /// Letter right before it.
    pub(super) before: Option<char>,
    /// True if a sign beside it makes a calculation of it (`3*4`, `3/4`), or if more digits follow as in `3 000` and `3'000`.
    pub(super) reckoned: bool,
    /// True if it is written with an exponent.
    pub(super) exponent: bool,
    /// Letters or `%` right behind it.
    pub(super) suffix: String,
    /// Word or `%` behind it, after at most one space; the suffix if there is one.
    pub(super) unit: String,
}

/// Finds all numbers, in their order.
pub(super) fn scan(text: &str) -> Vec<Found> {
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        if !c.is_ascii_digit() {
            // Other digits, fractions and numerals: they read like numbers and cannot be checked.
            if c.is_numeric() {
                found.push(Found { shown: c.to_string(), what: What::Foreign });
            }
            at += 1;
            continue;
        }
        let (what, end) = instant(&chars, at).unwrap_or_else(|| amount(&chars, at));
        // Each reads at least the digit that it begins with.
        let end = end.max(at + 1);
        found.push(Found { shown: chars.get(at..end).unwrap_or_default().iter().collect(), what });
        at = end;
    }
    found
}

/// The digits from a place on: their text and end.
fn digits(chars: &[char], from: usize) -> (String, usize) {
    let text: String = chars.iter().skip(from).take_while(|c| c.is_ascii_digit()).collect();
    let end = from + text.len();
    (text, end)
}

/// Exactly so many digits, not followed by another one.
fn exactly(chars: &[char], from: usize, number: usize) -> Option<(u32, usize)> {
    let (text, end) = digits(chars, from);
    (text.len() == number).then(|| text.parse().ok().map(|value| (value, end))).flatten()
}

fn is(chars: &[char], at: usize, wanted: char) -> Option<usize> {
    (chars.get(at) == Some(&wanted)).then_some(at + 1)
}

/// `YYYY-MM-DD`, `YYYY-MM-DD HH:MM[:SS]` or `HH:MM[:SS]`.
fn instant(chars: &[char], at: usize) -> Option<(What, usize)> {
    if let Some((date, end)) = date(chars, at) {
        let gap = matches!(chars.get(end), Some('T' | ' ')).then_some(end + 1);
        let time = gap.and_then(|from| time(chars, from));
        let end = time.map_or(end, |(_, end)| end);
        return Some((What::Instant { date: Some(date), time: time.map(|(time, _)| time) }, end));
    }
    time(chars, at).map(|(time, end)| (What::Instant { date: None, time: Some(time) }, end))
}

fn date(chars: &[char], at: usize) -> Option<(NaiveDate, usize)> {
    let (year, end) = exactly(chars, at, 4)?;
    let (month, end) = exactly(chars, is(chars, end, '-')?, 2)?;
    let (day, end) = exactly(chars, is(chars, end, '-')?, 2)?;
    Some((NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?, end))
}

/// A time of day, and whether it shows seconds.
fn time(chars: &[char], at: usize) -> Option<((NaiveTime, bool), usize)> {
    let (hour, end) = exactly(chars, at, 2)?;
    let (minute, end) = exactly(chars, is(chars, end, ':')?, 2)?;
    let seconds = is(chars, end, ':').and_then(|from| exactly(chars, from, 2));
    let (second, end) = seconds.unwrap_or((0, end));
    Some(((NaiveTime::from_hms_opt(hour, minute, second)?, seconds.is_some()), end))
}

fn amount(chars: &[char], at: usize) -> (What, usize) {
    let before = at.checked_sub(1).and_then(|place| chars.get(place)).copied();
    let (mut text, mut end) = digits(chars, at);
    // Thousands apart: one to three digits, then groups of three.
    if text.len() <= 3 {
        while let Some((group, after)) =
            is(chars, end, ',').map(|from| digits(chars, from)).filter(|(group, _)| group.len() == 3)
        {
            text.push_str(&group);
            end = after;
        }
    }
    let mut decimals = 0;
    if let Some((fraction, after)) =
        is(chars, end, '.').map(|from| digits(chars, from)).filter(|(text, _)| !text.is_empty())
    {
        (text, decimals, end) = (format!("{text}.{fraction}"), fraction.len(), after);
    }
    let power = exponent(chars, end);
    if let Some((power, after)) = &power {
        (text, end) = (format!("{text}e{power}"), *after);
    }
    let suffix = word(chars, end);
    let spaced = is(chars, end, ' ').map(|from| word(chars, from)).unwrap_or_default();
    let unit = if suffix.is_empty() { spaced } else { suffix.clone() };
    let places = i32::try_from(decimals).unwrap_or(i32::MAX);
    let sign = before.filter(|c| matches!(c, '-' | '+' | '−'));
    // A hyphen within a name or a range is no sign.
    let is_free = at
        .checked_sub(2)
        .and_then(|place| chars.get(place))
        .is_none_or(|c| !c.is_alphanumeric() && !"./,:_-".contains(*c));
    let amount = Amount {
        // Digits always parse; very many of them become infinite.
        value: text.parse().unwrap_or(f64::INFINITY),
        half: if power.is_some() { 0.0 } else { 0.5 * 10_f64.powi(places.saturating_neg()) },
        negative: sign.filter(|_| is_free).map(|sign| sign != '+'),
        before: before.filter(|c| c.is_alphabetic() || *c == '_' || *c == '#'),
        reckoned: is_operator(chars, at.checked_sub(1)) || is_operator(chars, Some(end)) || goes_on(chars, end),
        exponent: power.is_some(),
        suffix,
        unit,
    };
    (What::Amount(amount), end)
}

/// An `e` with the digits of a power behind it.
fn exponent(chars: &[char], at: usize) -> Option<(String, usize)> {
    let from = is(chars, at, 'e').or_else(|| is(chars, at, 'E'))?;
    let (sign, from) = match chars.get(from) {
        Some('-') => ("-", from + 1),
        Some('+') => ("", from + 1),
        _ => ("", from),
    };
    let (power, end) = digits(chars, from);
    (!power.is_empty()).then(|| (format!("{sign}{power}"), end))
}

/// True at a sign of a calculation: of the units only requests per second have a slash, and behind a word.
fn is_operator(chars: &[char], at: Option<usize>) -> bool {
    at.and_then(|at| chars.get(at)).is_some_and(|c| "*/^×·÷".contains(*c))
}

/// True where a number goes on behind a space or an apostrophe.
fn goes_on(chars: &[char], at: usize) -> bool {
    let apart = chars.get(at).is_some_and(|c| c.is_whitespace() || "'’_".contains(*c));
    apart && chars.get(at + 1).is_some_and(char::is_ascii_digit)
}

/// Letters from a place on, or a percent sign.
fn word(chars: &[char], from: usize) -> String {
    match chars.get(from) {
        Some(sign @ ('%' | '‰')) => sign.to_string(),
        _ => chars.iter().skip(from).take_while(|c| c.is_alphabetic() || **c == 'µ').collect(),
    }
}
