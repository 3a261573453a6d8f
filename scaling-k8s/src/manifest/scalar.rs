//! Meaning of a scalar to the API server, whose YAML is of version 1.1: `02` is 2, `010` is 8, `1e3` is 1000, `yes` is true.

use serde_json::{Number, Value};

/// Value of a plain scalar without a tag. Text in quotes is text, and does not come here.
pub(super) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Value::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Value::Bool(false),
        _ => number(text).map_or_else(|| text.into(), Value::Number),
    }
}

/// A number, if the text is one. Base 60 (`12:30`) is none to the server, either.
fn number(text: &str) -> Option<Number> {
    let first = text.bytes().next()?;
    if !(first.is_ascii_digit() || b"+-.".contains(&first)) {
        return None;
    }
    // Where a number begins with its point, underscores are none of it.
    let digits = if first == b'.' { text.to_owned() } else { text.replace('_', "") };
    if let Some(whole) = whole(&digits) {
        return Some(whole);
    }
    let value = is_float(&digits).then(|| digits.parse::<f64>().ok()).flatten()?;
    written(value)
}

/// As the server writes a float on the way to JSON: one without a fraction is an integer there.
#[allow(clippy::cast_possible_truncation)] // within the integers that a double holds exactly
fn written(value: f64) -> Option<Number> {
    if value.fract() == 0.0 && value.abs() < 9e15 {
        return Some(Number::from(value as i64));
    }
    Number::from_f64(value)
}

fn whole(text: &str) -> Option<Number> {
    let (sign, rest) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (if text.starts_with('-') { "-" } else { "" }, rest),
        None => ("", text),
    };
    let prefixed = |prefixes: [&str; 2]| prefixes.iter().find_map(|prefix| rest.strip_prefix(prefix));
    let (radix, digits) = if let Some(hex) = prefixed(["0x", "0X"]) {
        (16, hex)
    } else if let Some(binary) = prefixed(["0b", "0B"]) {
        (2, binary)
    } else if let Some(octal) = prefixed(["0o", "0O"]) {
        (8, octal)
    } else if rest.len() > 1 && rest.starts_with('0') {
        (8, rest)
    } else {
        (10, rest)
    };
    // A sign within is for `from_str_radix` to see, and it would take it.
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let signed = format!("{sign}{digits}");
    match i64::from_str_radix(&signed, radix) {
        Ok(value) => Some(value.into()),
        Err(_) => u64::from_str_radix(&signed, radix).ok().map(Number::from),
    }
}

/// `[+-]?(.d+|d+(.d*)?)([eE][+-]?d+)?`
fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    all_digits(whole)
        && all_digits(fraction)
        && whole.len() + fraction.len() > 0
        && exponent.is_none_or(|exponent| !exponent.is_empty() && all_digits(exponent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scalars_mean_what_they_mean_in_yaml_1_1() {
        for (text, meant) in [
            ("2", json!(2)),
            ("02", json!(2)),
            ("010", json!(8)),
            ("019", json!(19)),
            ("0o10", json!(8)),
            ("0x10", json!(16)),
            ("-0x10", json!(-16)),
            ("0b11", json!(3)),
            ("+5", json!(5)),
            ("5_0", json!(50)),
            ("1e3", json!(1000)),
            ("70.0", json!(70)),
            (".5", json!(0.5)),
            ("5.", json!(5)),
            ("2.5", json!(2.5)),
            ("18446744073709551615", json!(u64::MAX)),
            ("12:30", json!("12:30")),
            ("1.2.3", json!("1.2.3")),
            ("1K", json!("1K")),
            ("-", json!("-")),
            ("+-5", json!("+-5")),
            ("0x", json!("0x")),
            ("2001-01-01", json!("2001-01-01")),
            ("yes", json!(true)),
            ("Off", json!(false)),
            ("oN", json!("oN")),
            ("~", json!(null)),
            ("", json!(null)),
        ] {
            assert_eq!(plain(text), meant, "{text}");
        }
    }
}
