//! Figures for people: [`grouped`] with thousands apart, [`significant`] with digits that matter.

/// Writes a number with so many decimals and its thousands apart, as tables and sentences for people do. JSON and CSV do not.
///
/// ```
/// use scaling_core::stats::grouped;
///
/// assert_eq!(grouped(1_234_567.25, 1), "1,234,567.2");
/// assert_eq!(grouped(-999.5, 2), "-999.50");
/// ```
pub fn grouped(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let (whole, fraction) = text.find('.').map_or((text.as_str(), ""), |point| text.split_at(point));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return text;
    }
    let mut grouped = sign.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + fraction
}

/// Writes a number with so many decimals or, where a small one would lose all of its digits, with as many as show three of them.
///
/// ```
/// use scaling_core::stats::significant;
///
/// assert_eq!(significant(12.345, 2), "12.35");
/// assert_eq!(significant(0.000_012_345, 2), "0.0000123");
/// assert_eq!(significant(0.0, 2), "0.00");
/// ```
pub fn significant(value: f64, decimals: usize) -> String {
    let zeros = -value.abs().log10().floor();
    // Finite numbers other than 0 have at most 323 zeros behind the point.
    let needed = if zeros.is_finite() && zeros > 0.0 { (zeros + 2.0).min(340.0) } else { 0.0 };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // within 0..=340
    let decimals = decimals.max(needed as usize);
    grouped(value, decimals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_loses_its_digits_or_its_sign() {
        let texts: Vec<_> = [0.0, 999.0, 1000.0, -1_234_567.0].map(|value| grouped(value, 0)).into();
        assert_eq!(texts, ["0", "999", "1,000", "-1,234,567"]);
        assert_eq!(grouped(f64::INFINITY, 1), "inf");
        assert_eq!(significant(0.25, 4), "0.2500");
        assert_eq!(significant(-0.000_05, 1), "-0.0000500");
        assert_eq!(significant(f64::MIN_POSITIVE, 4).trim_start_matches(['0', '.']).len(), 3);
        assert_eq!(significant(f64::NAN, 1), "NaN");
    }

    proptest::proptest! {
        #[test]
        fn no_number_panics(value: f64, decimals in 0..20_usize) {
            let _ = (grouped(value, decimals), significant(value, decimals));
        }
    }
}
