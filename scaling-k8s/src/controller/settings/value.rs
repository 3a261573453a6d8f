//! From the text of an annotation to a checked value.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use scaling_core::{Ceiling, MAX_REPLICAS};

use super::error::{SettingError, SettingErrors};
use super::{KNOWN, Mode, OTHERS, PREFIX, Promotion};

/// Longest text of a value or key that an error shows, in bytes.
const SHOWN: usize = 64;
/// Longest name of an engine, in bytes: that of a DNS label.
const LONGEST_NAME: usize = 63;
/// Longest duration: nothing here is set for longer than a day.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Least likeness at which a key counts as near. Two of eight letters may be wrong.
const NEAR: f64 = 0.6;

/// Labels and annotations of ours at one HPA, and the faults found so far.
pub(super) struct Reader<'a> {
    labels: BTreeMap<&'a str, &'a str>,
    annotations: BTreeMap<&'a str, &'a str>,
    faults: Vec<SettingError>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(labels: &'a BTreeMap<String, String>, annotations: &'a BTreeMap<String, String>) -> Self {
        Self { labels: ours(labels), annotations: ours(annotations), faults: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.annotations.is_empty()
    }

    pub(super) fn mode(&mut self) -> Option<Mode> {
        let label = self.labels.get("mode").copied();
        if let (Some(label), Some(annotation)) = (label, self.annotations.get("mode"))
            && label != *annotation
        {
            self.faults.push(SettingError::TwoModes { label: shown(label), annotation: shown(annotation) });
            return None;
        }
        let Some(value) = label.or_else(|| self.annotations.get("mode").copied()) else {
            self.faults.push(SettingError::NoMode);
            return None;
        };
        let mode = Mode::NAMES.iter().find(|(name, _)| *name == value).map(|(_, mode)| *mode);
        self.checked("mode", value, mode, "\"observe\", \"floors\" or \"full\"")
    }

    pub(super) fn promotion(&mut self) -> Option<Promotion> {
        let value = self.value("promotion")?;
        let promotion = match value {
            "host" => Some(Promotion::Host),
            "evidence" => Some(Promotion::Evidence),
            _ => None,
        };
        self.checked("promotion", value, promotion, "\"host\" or \"evidence\"")
    }

    pub(super) fn name(&mut self, key: &'static str) -> Option<Arc<str>> {
        let value = self.value(key)?;
        let takes = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
        let is_name = (1..=LONGEST_NAME).contains(&value.len()) && value.chars().all(takes);
        let must = "a name of 1 to 63 lower-case letters, digits, '-', '_' and '.'";
        self.checked(key, value, is_name.then(|| value.into()), must)
    }

    pub(super) fn pods(&mut self, key: &'static str, least: u32) -> Option<u32> {
        let value = self.value(key)?;
        let pods = whole(value).and_then(|pods| u32::try_from(pods).ok());
        let pods = pods.filter(|pods| (least..=MAX_REPLICAS).contains(pods));
        let must =
            if least == 0 { "a whole number from 0 to 2147483647" } else { "a whole number from 1 to 2147483647" };
        self.checked(key, value, pods, must)
    }

    pub(super) fn duration(&mut self, key: &'static str) -> Option<Duration> {
        let value = self.value(key)?;
        let must = "a duration of at most 24h, such as 500ms, 90s, 10m or 1h30m";
        self.checked(key, value, duration(value), must)
    }

    pub(super) fn decimal(&mut self, key: &'static str, from: f64, to: f64, must: &'static str) -> Option<f64> {
        let value = self.value(key)?;
        let number = decimal(value).filter(|number| (from..=to).contains(number));
        self.checked(key, value, number, must)
    }

    /// A share, from a number with a percent sign.
    pub(super) fn percent(&mut self, key: &'static str, to: f64, must: &'static str) -> Option<f64> {
        let value = self.value(key)?;
        let number = value.strip_suffix('%').and_then(decimal).filter(|number| (0.0..=to).contains(number));
        self.checked(key, value, number.map(|percent| percent / 100.0), must)
    }

    pub(super) fn ceiling(&mut self, key: &'static str) -> Option<Ceiling> {
        let value = self.value(key)?;
        let ceiling = match value {
            "rest" => Some(Ceiling::Rest),
            "follow" => Some(Ceiling::Follow),
            _ => None,
        };
        self.checked(key, value, ceiling, "\"rest\" or \"follow\"")
    }

    /// A fault that lies in no single value.
    pub(super) fn fault(&mut self, fault: SettingError) {
        self.faults.push(fault);
    }

    /// Everything that is left is a fault.
    pub(super) fn finish(mut self) -> Result<(), SettingErrors> {
        let known = |key: &str| KNOWN.iter().find(|known| **known == key).copied();
        for key in self.labels.keys().filter(|key| **key != "mode") {
            self.faults.push(known(key).map_or_else(|| unknown(key), |key| SettingError::Label { key }));
        }
        let strangers = self.annotations.keys().filter(|key| known(key).is_none());
        self.faults.extend(strangers.map(|key| unknown(key)));
        SettingErrors::new(self.faults).map_or(Ok(()), Err)
    }

    fn value(&self, key: &str) -> Option<&'a str> {
        self.annotations.get(key).copied()
    }

    fn checked<T>(&mut self, key: &'static str, value: &str, read: Option<T>, must: &'static str) -> Option<T> {
        if read.is_none() {
            self.faults.push(SettingError::Value { key, value: shown(value), must });
        }
        read
    }
}

/// Those with our prefix, without what we keep there ourselves.
fn ours(all: &BTreeMap<String, String>) -> BTreeMap<&str, &str> {
    let from = all.range::<str, _>((std::ops::Bound::Included(PREFIX), std::ops::Bound::Unbounded));
    from.map_while(|(key, value)| Some((key.strip_prefix(PREFIX)?, value.as_str())))
        .filter(|(key, _)| !OTHERS.contains(key))
        .collect()
}

fn unknown(key: &str) -> SettingError {
    let lower = shown(key).to_lowercase().replace('_', "-");
    let likeness = KNOWN.iter().map(|known| (strsim::normalized_damerau_levenshtein(&lower, known), *known));
    let nearest = likeness.max_by(|(one, _), (other, _)| one.total_cmp(other));
    let nearest = nearest.filter(|(likeness, _)| *likeness >= NEAR).map(|(_, known)| known);
    SettingError::Unknown { key: shown(key), nearest }
}

/// Digits alone, without leading zeros: `010` means two numbers to two readers.
fn whole(text: &str) -> Option<u64> {
    let digits = (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let leading = text.len() > 1 && text.starts_with('0');
    if digits && !leading { text.parse().ok() } else { None }
}

/// Digits, and digits after a point: no sign, no exponent, no `inf`.
fn decimal(text: &str) -> Option<f64> {
    let (before, after) = text.split_once('.').unwrap_or((text, "0"));
    let digits = (1..=18).contains(&after.len()) && after.bytes().all(|byte| byte.is_ascii_digit());
    if whole(before).is_some() && digits { text.parse().ok() } else { None }
}

/// Whole numbers with `h`, `m`, `s` and `ms`, each at most once and in this order.
fn duration(text: &str) -> Option<Duration> {
    let (mut rest, mut total) = (text, Duration::ZERO);
    let mut units = [("h", 3_600_000_u64), ("m", 60_000), ("s", 1000), ("ms", 1)].into_iter();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, from_unit) = rest.split_at_checked(digits)?;
        let length = from_unit.find(|c: char| c.is_ascii_digit()).unwrap_or(from_unit.len());
        let (unit, after) = from_unit.split_at_checked(length)?;
        let (_, millis) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(Duration::from_millis(whole(number)?.checked_mul(millis)?))?;
        rest = after;
    }
    (!text.is_empty() && total <= LONGEST).then_some(total)
}

/// The beginning of a text that may be of any length and have any characters.
fn shown(text: &str) -> String {
    crate::history::cut(text, SHOWN)
}
