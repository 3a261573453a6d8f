//! Kubernetes quantities, as far as validation looks at them.

/// -1, 0 or 1 as the quantity is below, at or above 0; none if it is no quantity.
pub(crate) fn sign(text: &str) -> Option<i8> {
    // The API server trims it.
    let text = text.trim();
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = unsigned.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    if digits == 0 || number.len() - digits > 1 || !is_suffix(suffix) {
        return None;
    }
    let zero = number.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    Some(if zero { 0 } else { 1 - 2 * i8::from(text.starts_with('-')) })
}

fn is_suffix(suffix: &str) -> bool {
    match suffix {
        "" | "n" | "u" | "m" | "k" | "M" | "G" | "T" | "P" | "E" | "Ki" | "Mi" | "Gi" | "Ti" | "Pi" | "Ei" => true,
        _ => suffix.strip_prefix(['e', 'E']).is_some_and(|exponent| exponent.parse::<i64>().is_ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_of_quantities() {
        for text in
            ["1", "+1", "0.05", ".5", "5.", "1.5Gi", "100m", "1k", "2Ti", "1E", "1e3", "1E-3", "1n", "007", " 1 "]
        {
            assert_eq!(sign(text), Some(1), "{text}");
            assert_eq!(sign(&format!("-{}", text.trim_start_matches(['+', ' ']))), Some(-1), "{text}");
        }
        for text in ["0", "-0", "0.00", "0m", "0e9"] {
            assert_eq!(sign(text), Some(0), "{text}");
        }
        for text in
            ["", "+", "-", ".", "m", "1.2.3", "1K", "1mi", "1e", "1 0", "1e1.5", "0x1", "1_000", "--1", "NaN", "é"]
        {
            assert_eq!(sign(text), None, "{text}");
        }
    }
}
