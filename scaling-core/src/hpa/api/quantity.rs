//! Quantities of the Kubernetes API: `500m`, `1.5Gi`, `2e3`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Billionths in one.
const NANO: i128 = 1_000_000_000;
/// Digits that are read exactly. 10³⁶ billionths are far above 2⁶³, and the mantissa still fits 128 bits.
const MAX_DIGITS: u32 = 36;

/// Quantity of the Kubernetes API, kept as it was written.
///
/// Fractions finer than a billionth are rounded away from zero, as the API server does. Two quantities are equal if they are the
/// same amount, however they are written.
///
/// ```
/// use scaling_core::hpa::Quantity;
/// let half: Quantity = "0.5".parse()?;
/// assert_eq!(half.milli(), 500);
/// assert_eq!(half, "500m".parse()?);
/// assert_eq!(half.to_string(), "0.5");
/// assert!("half".parse::<Quantity>().is_err());
/// # Ok::<(), scaling_core::hpa::InvalidQuantity>(())
/// ```
#[derive(Clone, Debug)]
pub struct Quantity {
    text: String,
    nano: i128,
}

/// Error of a text that is not a quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a quantity such as 2, 0.5, 500m, 1.5Gi or 2e3")]
pub struct InvalidQuantity {
    text: String,
}

impl Quantity {
    /// Creates a quantity from thousandths.
    pub fn from_milli(milli: i64) -> Self {
        let text = if milli % 1000 == 0 { (milli / 1000).to_string() } else { format!("{milli}m") };
        Self { text, nano: i128::from(milli) * (NANO / 1000) }
    }

    /// Returns the amount in thousandths, rounded up as the controller does, and limited to 64 bits.
    pub fn milli(&self) -> i64 {
        saturated(-((-self.nano).div_euclid(NANO / 1000)))
    }

    /// Compares the amount with zero.
    pub fn sign(&self) -> Ordering {
        self.nano.cmp(&0)
    }

    /// Returns the amount as the controller reads a tolerance: an integer times a power of a thousand.
    ///
    /// So 0.118 is 118 × 0.001, which as a double is slightly more than 0.118.
    pub fn as_f64(&self) -> f64 {
        let unit = [(NANO, 1.0), (NANO / 1000, 1e-3), (NANO / 1_000_000, 1e-6)];
        let (divisor, factor) = unit.into_iter().find(|(size, _)| self.nano % size == 0).unwrap_or((1, 1e-9));
        (self.nano / divisor) as f64 * factor
    }
}

#[allow(clippy::cast_possible_truncation)] // clamped
fn saturated(value: i128) -> i64 {
    value.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nano == other.nano
    }
}

impl Eq for Quantity {}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Quantity {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        // The API server trims it.
        let trimmed = text.trim();
        let nano = parse(trimmed).ok_or_else(|| InvalidQuantity { text: text.chars().take(40).collect() })?;
        Ok(Self { text: trimmed.to_owned(), nano })
    }
}

/// Reads a quantity as billionths, rounded away from zero.
fn parse(text: &str) -> Option<i128> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let end = unsigned.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + fraction.len() == 0 || fraction.contains('.') {
        return None;
    }
    let (base, exponent) = scale(suffix)?;

    let mut mantissa: i128 = 0;
    let mut digits = 0;
    let mut tens: i64 = 9 - i64::try_from(fraction.len()).unwrap_or(i64::MAX);
    let mut rest = false;
    for digit in whole.bytes().chain(fraction.bytes()).map(|byte| i128::from(byte - b'0')) {
        if digits < MAX_DIGITS {
            mantissa = mantissa * 10 + digit;
            digits += u32::from(mantissa > 0);
        } else {
            tens = tens.saturating_add(1);
            rest |= digit > 0;
        }
    }
    if mantissa == 0 {
        return Some(0);
    }
    let mut nano = mantissa;
    if base == 2 {
        nano = nano.saturating_mul(1 << exponent);
    } else {
        tens = tens.saturating_add(exponent);
    }
    while tens > 0 && nano < i128::MAX {
        nano = nano.saturating_mul(10);
        tens -= 1;
    }
    while tens < 0 && nano > 1 {
        rest |= nano % 10 != 0;
        nano /= 10;
        tens += 1;
    }
    if tens < 0 {
        // Less than a billionth counts as a billionth.
        (nano, rest) = (1, false);
    }
    let nano = nano.saturating_add(i128::from(rest)).max(1);
    Some(if negative { -nano } else { nano })
}

/// Reads a suffix as a base, 2 or 10, and an exponent.
fn scale(suffix: &str) -> Option<(u32, i64)> {
    Some(match suffix {
        "n" => (10, -9),
        "u" => (10, -6),
        "m" => (10, -3),
        "" => (10, 0),
        "k" => (10, 3),
        "M" => (10, 6),
        "G" => (10, 9),
        "T" => (10, 12),
        "P" => (10, 15),
        "E" => (10, 18),
        "Ki" => (2, 10),
        "Mi" => (2, 20),
        "Gi" => (2, 30),
        "Ti" => (2, 40),
        "Pi" => (2, 50),
        "Ei" => (2, 60),
        _ => (10, suffix.strip_prefix(['e', 'E'])?.parse().ok()?),
    })
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    /// Reads text or, as the API server allows, a number.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct QuantityVisitor;

        impl Visitor<'_> for QuantityVisitor {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity such as \"500m\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Quantity, E> {
                self.visit_str(&value.to_string())
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Quantity, E> {
                self.visit_str(&value.to_string())
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Quantity, E> {
                self.visit_str(&value.to_string())
            }
        }

        deserializer.deserialize_any(QuantityVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milli(text: &str) -> i64 {
        text.parse::<Quantity>().unwrap().milli()
    }

    #[test]
    fn quantities_count_in_thousandths_rounded_up() {
        for (text, expected) in [
            ("1", 1000),
            ("+1", 1000),
            ("-1", -1000),
            ("0.5", 500),
            (".5", 500),
            ("5.", 5000),
            ("500m", 500),
            ("1n", 1),
            ("-1n", 0),
            ("1500u", 2),
            ("1.5Gi", 1_610_612_736_000),
            ("1k", 1_000_000),
            ("2Ti", 2_199_023_255_552_000),
            ("1e3", 1_000_000),
            ("1E-3", 1),
            ("1E", i64::MAX),
            ("1Ei", i64::MAX),
            ("1e999999999999", i64::MAX),
            ("1e-999999999999", 1),
            ("-1e30", i64::MIN),
            ("007", 7000),
            (" 1 ", 1000),
            ("0", 0),
            ("-0", 0),
            ("0e9", 0),
            ("0.0000000001", 1),
        ] {
            assert_eq!(milli(text), expected, "{text}");
        }
        assert_eq!(milli(&"9".repeat(400)), i64::MAX);
        assert_eq!(milli(&format!("0.{}1", "0".repeat(400))), 1);
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in
            ["", "+", "-", ".", "m", "1.2.3", "1K", "1mi", "1e", "1 0", "1e1.5", "0x1", "1_000", "--1", "NaN", "é"]
        {
            assert!(text.parse::<Quantity>().is_err(), "{text}");
        }
    }

    #[test]
    fn signs() {
        for (text, sign) in [("1n", Ordering::Greater), ("-0.5", Ordering::Less), ("0.00", Ordering::Equal)] {
            assert_eq!(text.parse::<Quantity>().unwrap().sign(), sign, "{text}");
        }
    }

    #[test]
    fn a_tolerance_is_an_integer_times_a_power_of_a_thousand() {
        let bits = |text: &str| text.parse::<Quantity>().unwrap().as_f64().to_bits();
        assert!(f64::from_bits(bits("0.118")) > 0.118);
        for (text, value) in [("0.118", 118.0 * 1e-3), ("0.1", 0.1), ("2", 2.0), ("0.0001", 100.0 * 1e-6)] {
            assert_eq!(bits(text), f64::to_bits(value), "{text}");
        }
    }

    #[test]
    fn json_takes_text_and_numbers_and_keeps_the_text() {
        let read = |text: &str| serde_json::from_str::<Quantity>(text);
        assert_eq!(read("10").unwrap(), read("\"10\"").unwrap());
        assert_eq!(read("0.5").unwrap(), read("\"500m\"").unwrap());
        assert_eq!(serde_json::to_string(&read("\"0.50\"").unwrap()).unwrap(), "\"0.50\"");
        assert!(read("true").is_err() && read("\"1K\"").unwrap_err().to_string().contains("1K"));
    }

    proptest::proptest! {
        #[test]
        fn thousandths_survive_writing_and_reading(value in proptest::num::i64::ANY) {
            let quantity = Quantity::from_milli(value);
            proptest::prop_assert_eq!(quantity.milli(), value);
            proptest::prop_assert_eq!(quantity.to_string().parse::<Quantity>().unwrap(), quantity);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[-+0-9.eEinumkKMGTP]{0,12}") {
            if let Ok(quantity) = text.parse::<Quantity>() {
                proptest::prop_assert_eq!(quantity.sign() == Ordering::Greater, quantity.milli() > 0);
            }
        }
    }
}
