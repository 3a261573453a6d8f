//! Holds a model's text against the numbers that it was given.

use super::numbers::Numbers;
use super::scan::{Amount, Found, What, scan};

/// Longest answer that is read, in bytes. A longer one is refused unread.
const MAX_BYTES: usize = 8192;
/// Longest explanation, in characters. The rest is cut off, after a sentence.
const MAX_CHARS: usize = 900;

/// Reasons why a model's text does not explain a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfaithful {
    /// Nothing is left of it.
    #[error("the text is empty")]
    Empty,
    /// It is no short paragraph.
    #[error("the text is {0} bytes long and has no sentence that ends early enough")]
    TooLong(usize),
    /// It is JSON, a list, in a fence, or not in English letters.
    #[error("the text is not a plain paragraph")]
    NotPlain,
    /// A number in it is not one of the record, at the digits that it shows and in its unit.
    #[error("{0:?} is not a number of the record")]
    Number(String),
    /// A word in it is a number, and not one of the record.
    #[error("the word {0:?} is a number that the record does not hold")]
    Word(String),
}

/// Cleans a text and checks every number in it.
pub(super) fn checked(text: &str, numbers: &Numbers) -> Result<String, Unfaithful> {
    if text.len() > MAX_BYTES {
        return Err(Unfaithful::TooLong(text.len()));
    }
    let line = crate::text::one_line(text, MAX_BYTES);
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = shortened(&line).ok_or(Unfaithful::TooLong(text.len()))?;
    match line.chars().next() {
        None => return Err(Unfaithful::Empty),
        Some('{' | '[' | '`' | '#' | '*' | '|' | '<') => return Err(Unfaithful::NotPlain),
        Some(_) => {}
    }
    // English has no other letters: a word of another script could be a number, or one in disguise.
    if line.chars().any(|c| c.is_alphabetic() && !c.is_ascii()) {
        return Err(Unfaithful::NotPlain);
    }
    if let Some(found) = scan(line).into_iter().find(|found| !is_plain(found) || !numbers.hold(found)) {
        return Err(Unfaithful::Number(found.shown));
    }
    let words = || line.split(|c: char| !c.is_alphabetic() && c != '%').filter(|word| !word.is_empty());
    let measured =
        words().zip(words().skip(1)).find(|(word, unit)| is_small(word) && is_unit(unit)).map(|(word, _)| word);
    match measured.or_else(|| words().find(|word| is_number(word, numbers))) {
        Some(word) => Err(Unfaithful::Word(crate::text::one_line(word, 40))),
        None => Ok(line.to_owned()),
    }
}

/// The text up to the last sentence that ends early enough; `None` if none does.
fn shortened(line: &str) -> Option<&str> {
    let Some((most, _)) = line.char_indices().nth(MAX_CHARS) else { return Some(line) };
    let kept = line.get(..most)?;
    let end = kept.rfind(". ").or_else(|| kept.strip_suffix('.').map(str::len))?;
    line.get(..=end)
}

/// Units that may be written right behind a number.
const UNITS: [&str; 14] = ["", "%", "ms", "s", "sec", "min", "h", "hr", "d", "x", "th", "st", "nd", "rd"];
/// Words behind a number that make another one of it.
const MULTIPLES: [&str; 16] =
    ["k", "K", "m", "M", "G", "T", "B", "bn", "mn", "mm", "Ki", "Mi", "Gi", "Ti", "‰", "percentile"];

/// Returns true for a number that stands for itself: no part of a name, of a calculation or of a larger number.
fn is_plain(found: &Found) -> bool {
    let What::Amount(Amount { before, reckoned, exponent, suffix, unit, .. }) = &found.what else {
        return true;
    };
    let is_alone = before.is_none_or(|letter| letter == 'p') && UNITS.contains(&suffix.as_str());
    is_alone && !reckoned && !exponent && !MULTIPLES.contains(&unit.as_str())
}

/// Whole numbers that are checked like digits.
const SMALL: [&str; 13] =
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
/// Beginnings of words that are numbers, or change one. They are refused: a model is told to write digits.
const LARGE: [&str; 33] = [
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twent",
    "thirt",
    "fort",
    "fift",
    "sixt",
    "sevent",
    "eight",
    "ninet",
    "hundred",
    "thousand",
    "million",
    "billion",
    "trillion",
    "dozen",
    "half",
    "halv",
    "quarter",
    "twice",
    "thrice",
    "doubl",
    "tripl",
    "trebl",
    "quadrupl",
    "quintupl",
    "tenfold",
    "couple",
];
/// Ordinals, which are fractions as well; the second is also a unit.
const ORDINALS: [&str; 12] = [
    "third", "thirds", "fourth", "fourths", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
    "twelfth",
];

/// Returns true for a number up to twelve.
fn is_small(word: &str) -> bool {
    SMALL.contains(&&*word.to_lowercase())
}

/// Returns true for what makes a share or a time of the number before it. Such a number is written in digits, or not at all.
fn is_unit(word: &str) -> bool {
    let lower = word.to_lowercase();
    let times = ["percent", "millisecond", "second", "minute", "hour", "day", "week", "month"];
    matches!(&*lower, "%" | "ms" | "s" | "sec" | "min" | "h" | "hr" | "d")
        || times.contains(&lower.strip_suffix('s').unwrap_or(&lower))
}

fn is_number(word: &str, numbers: &Numbers) -> bool {
    let lower = word.to_lowercase();
    if let Some(value) = SMALL.iter().position(|small| *small == lower) {
        return !numbers.hold_whole(value as f64);
    }
    // "for" and "forty" begin alike, and so do "quarter" and nothing else.
    let is_large = LARGE.iter().any(|large| lower.starts_with(large));
    let is_fold =
        lower.len() > "fold".len() && lower.ends_with("fold") && !["unfold", "scaffold", "manifold"].contains(&&*lower);
    is_large || is_fold || ORDINALS.contains(&&*lower) || is_roman(word)
}

/// Returns true for a numeral of the Romans of two letters or more, in capitals.
fn is_roman(word: &str) -> bool {
    let places = [["M", "", "", ""], ["D", "CM", "CD", "C"], ["L", "XC", "XL", "X"], ["V", "IX", "IV", "I"]];
    let mut rest = word;
    for [five, nine, four, one] in places {
        if let Some(after) = [nine, four].iter().filter(|two| !two.is_empty()).find_map(|two| rest.strip_prefix(two)) {
            rest = after;
            continue;
        }
        // Thousands have no five of their own: any number of them is read.
        if one.is_empty() {
            rest = rest.trim_start_matches(five);
            continue;
        }
        rest = rest.strip_prefix(five).unwrap_or(rest);
        for _ in 0..3 {
            rest = rest.strip_prefix(one).unwrap_or(rest);
        }
    }
    word.len() > 1 && rest.is_empty()
}
