//! [`Cell`]: a number as people and tools write it, or nothing.

/// Content of a cell that should hold a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cell {
    /// A number, NaN and infinities included.
    Number(f64),
    /// A number with a percent sign behind it.
    Percent(f64),
    /// Nothing, or a word for it.
    Missing,
}

/// Notation of decimals where the text itself leaves it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comma {
    /// A comma before three digits may group thousands: `1,234` is ambiguous.
    Ambiguous,
    /// A comma is a decimal comma: fields are not separated by it, and whoever separates them otherwise needs it for decimals.
    #[cfg_attr(not(feature = "csv"), allow(dead_code))]
    Decimal,
}

/// Words for no value, in lower case. (NaN is a number to Rust, and absent for another cause.)
const NULLS: [&str; 13] =
    ["null", "n/a", "na", "nil", "none", "-", "--", "–", "undefined", "(null)", "\\n", "#n/a", "no data"];

/// Reads a cell; the fault is the reason why it is no number.
pub(super) fn cell(text: &str, comma: Comma) -> Result<Cell, &'static str> {
    if text.is_empty() {
        return Ok(Cell::Missing);
    }
    if let Ok(number) = text.parse() {
        return Ok(Cell::Number(number));
    }
    if text.len() <= 9 && NULLS.contains(&text.to_ascii_lowercase().as_str()) {
        return Ok(Cell::Missing);
    }
    if let Some(share) = text.strip_suffix('%') {
        let share = share.trim_end();
        return match share.parse().ok().map_or_else(|| with_commas(share, comma), Ok)? {
            number if number.is_nan() => Ok(Cell::Missing),
            number => Ok(Cell::Percent(number)),
        };
    }
    with_commas(text, comma).map(Cell::Number)
}

/// True if the text writes its decimals with a comma: `50,4`, `1.234,5`.
pub(super) fn has_decimal_comma(text: &str) -> bool {
    text.rfind(',').is_some_and(|comma| text.rfind('.').is_none_or(|dot| dot < comma))
}

fn with_commas(text: &str, comma: Comma) -> Result<f64, &'static str> {
    const NO_NUMBER: &str = "is not a number (export raw values, without units)";
    let count = |separator| text.matches(separator).count();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let grouped = |whole: &str, separator: char| {
        let mut groups = whole.trim_start_matches(['+', '-']).split(separator);
        groups.next().is_some_and(|first| first.len() <= 3 && digits(first))
            && groups.all(|group| group.len() == 3 && digits(group))
    };
    let (dots, commas) = (count('.'), count(','));
    let without = |separator: char, text: &str| text.replace(separator, "");
    let plain = match (dots, commas) {
        (_, 0) => None,
        (0, 1) => {
            let decimals = text.rsplit(',').next().unwrap_or_default();
            if comma == Comma::Ambiguous && decimals.len() == 3 {
                return Err("is ambiguous: its comma may group thousands or begin decimals");
            }
            Some(text.replace(',', "."))
        }
        (0, _) => grouped(text, ',').then(|| without(',', text)),
        _ if has_decimal_comma(text) => {
            let whole = text.rsplit_once(',').filter(|(whole, _)| commas == 1 && grouped(whole, '.'));
            whole.map(|(whole, decimals)| format!("{}.{decimals}", without('.', whole)))
        }
        _ => {
            let whole = text.rsplit_once('.').filter(|(whole, _)| dots == 1 && grouped(whole, ','));
            whole.map(|(whole, decimals)| format!("{}.{decimals}", without(',', whole)))
        }
    };
    plain.and_then(|plain| plain.parse().ok()).ok_or(NO_NUMBER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are_written_or_refused_with_the_reason() {
        for (text, expected) in [
            ("50.4", Cell::Number(50.4)),
            ("5e1", Cell::Number(50.0)),
            ("50,4", Cell::Number(50.4)),
            ("1.234,5", Cell::Number(1234.5)),
            ("1,234.5", Cell::Number(1234.5)),
            ("-1,234,567", Cell::Number(-1_234_567.0)),
            ("91.5%", Cell::Percent(91.5)),
            ("91,5 %", Cell::Percent(91.5)),
            ("", Cell::Missing),
            ("N/A", Cell::Missing),
            ("null", Cell::Missing),
            ("-", Cell::Missing),
            ("NaN%", Cell::Missing),
        ] {
            assert_eq!(cell(text, Comma::Ambiguous), Ok(expected), "{text}");
        }
        assert!(matches!(cell("NaN", Comma::Decimal), Ok(Cell::Number(nan)) if nan.is_nan()));
        assert_eq!(cell("1,234", Comma::Decimal), Ok(Cell::Number(1.234)));
        assert!(cell("1,234", Comma::Ambiguous).unwrap_err().contains("ambiguous"));
        for text in ["many", "50.4 req/s", "1.2.3", "1,23,4", "1,2.3,4", "%", "12,,5", ","] {
            assert!(cell(text, Comma::Decimal).is_err(), "{text}");
        }
    }
}
