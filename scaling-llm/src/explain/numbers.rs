//! The numbers of a record, and whether a number of a text is one of them.

use scaling_core::chrono::{DateTime, Timelike, Utc};
use serde_json::Value;

use super::scan::{Amount, Found, What, scan};

/// Meaning of a number of a record, by the name of its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    Percent,
    Share,
    Seconds,
    Milliseconds,
    Days,
}

impl Kind {
    fn of(key: &str) -> Self {
        match key {
            "confidence" | "quantile" | "response_time_quantile" | "share" | "spread" => Self::Share,
            "seconds" => Self::Seconds,
            "ms" => Self::Milliseconds,
            "days" => Self::Days,
            _ if key == "percent" || key.ends_with("_percent") => Self::Percent,
            _ if key.ends_with("_share") => Self::Share,
            _ if key.ends_with("_s") => Self::Seconds,
            _ if key.ends_with("_ms") => Self::Milliseconds,
            _ => Self::Plain,
        }
    }
}

/// All numbers of a record.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    amounts: Vec<(Kind, f64)>,
    instants: Vec<DateTime<Utc>>,
    /// Numbers within texts: names, errors. A text may repeat them, whatever they mean.
    quoted: Vec<Found>,
}

impl Numbers {
    /// Collects the numbers of a written record or of a part of it.
    pub(super) fn of(value: &Value) -> Self {
        let mut numbers = Self::default();
        numbers.collect("", value);
        numbers
    }

    fn collect(&mut self, key: &str, value: &Value) {
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(number) => self.amounts.extend(number.as_f64().map(|number| (Kind::of(key), number))),
            Value::String(text) => {
                self.quoted.extend(scan(text));
                if let Ok(at) = text.parse::<DateTime<Utc>>() {
                    self.quoted.extend(scan(&at.format("%F %T").to_string()));
                    self.instants.push(at);
                }
            }
            Value::Array(elements) => elements.iter().for_each(|element| self.collect(key, element)),
            Value::Object(fields) => fields.iter().for_each(|(key, value)| self.collect(key, value)),
        }
    }

    /// Returns true if a number of a text is one of the record, at the digits that it shows.
    pub(super) fn hold(&self, found: &Found) -> bool {
        match &found.what {
            What::Foreign => false,
            What::Instant { date, time } => self.instants.iter().any(|at| {
                let shown = time.is_none_or(|(time, seconds)| {
                    let own = at.time();
                    (own.hour(), own.minute()) == (time.hour(), time.minute())
                        && (!seconds || own.second() == time.second())
                });
                shown && date.is_none_or(|date| at.date_naive() == date)
            }),
            What::Amount(amount) => self.amounts.iter().any(|(kind, number)| is_same(amount, *kind, *number)),
        }
    }

    /// Returns true if it is one of the record, or of a text in it: the rule for the template.
    #[cfg(test)]
    pub(super) fn hold_or_quote(&self, found: &Found) -> bool {
        let quotes = |quoted: &Found| match (&found.what, &quoted.what) {
            (What::Amount(one), What::Amount(other)) => near(one, other.value),
            (one, other) => one == other,
        };
        self.hold(found) || self.quoted.iter().any(quotes)
    }

    /// Returns true if a whole number is one of the record's counts: no share and no time.
    pub(super) fn hold_whole(&self, whole: f64) -> bool {
        self.amounts.iter().any(|(kind, number)| *kind == Kind::Plain && (number.abs() - whole).abs() <= 0.5)
    }
}

/// Returns true if the amount is the number, in the unit that it is shown with.
fn is_same(amount: &Amount, kind: Kind, number: f64) -> bool {
    if amount.negative.is_some_and(|negative| negative != number.is_sign_negative() && number != 0.0) {
        return false;
    }
    let unit = amount.unit.to_lowercase();
    let scales: &[f64] = match unit.as_str() {
        "%" | "percent" => match kind {
            Kind::Percent => &[1.0],
            Kind::Share => &[100.0],
            _ => &[],
        },
        "ms" | "millisecond" | "milliseconds" => seconds(kind, &[1000.0, 1.0]),
        "s" | "sec" | "second" | "seconds" => seconds(kind, &[1.0, 1e-3]),
        "min" | "minute" | "minutes" => seconds(kind, &[1.0 / 60.0, 1.0 / 60e3]),
        "h" | "hr" | "hour" | "hours" => seconds(kind, &[1.0 / 3600.0, 1.0 / 3600e3]),
        "d" | "day" | "days" if kind == Kind::Days => &[1.0],
        "d" | "day" | "days" => seconds(kind, &[1.0 / 86_400.0, 1.0 / 86_400e3]),
        // The quantile 0.95 is also written p95.
        _ if kind == Kind::Share && amount.before == Some('p') => &[100.0],
        _ => &[1.0],
    };
    scales.iter().any(|scale| near(amount, number.abs() * scale))
}

/// The scales of a time, given for seconds and milliseconds; none for what is no time.
fn seconds(kind: Kind, scales: &'static [f64; 2]) -> &'static [f64] {
    match kind {
        Kind::Seconds => scales.get(..1),
        Kind::Milliseconds => scales.get(1..),
        _ => None,
    }
    .unwrap_or_default()
}

/// Returns true if a number becomes the amount when it is rounded to the digits that are shown. A half may go either way.
#[allow(clippy::float_cmp)] // both infinite
fn near(amount: &Amount, number: f64) -> bool {
    amount.value == number || (amount.value - number).abs() <= amount.half + 1e-12 * number.abs()
}
