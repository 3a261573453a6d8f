//! Rules for names, as the API server has them.
//!
//! Names end up in URLs and in file names, so nothing else may pass.

/// Returns true for one label of a DNS name, as the names of namespaces and containers must be.
pub fn is_dns_label(name: &str) -> bool {
    name.len() <= 63 && is_label(name)
}

/// Returns true for a DNS subdomain, as the names of most objects must be, an HPA among them.
pub fn is_dns_subdomain(name: &str) -> bool {
    // Unlike in DNS itself a single label may be longer than 63: the API server limits only the whole.
    name.len() <= 253 && name.split('.').all(is_label)
}

/// Returns true for one segment of a path, as the name of a metric and of a scaled object of any kind must be.
pub fn is_path_segment(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '%'])
}

/// Returns true for the value of a label: empty, or at most 63 letters, digits, `-`, `_` and `.`.
pub fn is_label_value(value: &str) -> bool {
    value.is_empty() || is_plain(value)
}

/// Returns true for the key of a label or annotation and for the name of a resource: a plain name, optionally after a DNS
/// subdomain and a `/`.
pub fn is_qualified_name(name: &str) -> bool {
    match name.split_once('/') {
        Some((prefix, name)) => is_dns_subdomain(prefix) && is_plain(name),
        None => is_plain(name),
    }
}

fn is_plain(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.len() <= 63
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

fn is_label(label: &str) -> bool {
    let edge = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = label.as_bytes();
    bytes.first().is_some_and(edge)
        && bytes.last().is_some_and(edge)
        && bytes.iter().all(|byte| edge(byte) || *byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_their_place_are_none() {
        for name in [
            "", ".", "..", "a/b", "../a", "a\\b", "A", "a_b", "-a", "a-", "a..b", ".a", "a.", "a b", "ä", "a\n", "a%2f",
        ] {
            assert!(!is_dns_subdomain(name), "{name:?}");
            assert!(!is_dns_label(name), "{name:?}");
        }
        assert!(!is_dns_label("a.b"));
        assert!(!is_dns_label(&"a".repeat(64)));
        assert!(!is_dns_subdomain(&"a".repeat(254)));
    }

    #[test]
    fn usual_names_pass() {
        for name in ["a", "0", "checkout", "checkout-2", "a--b"] {
            assert!(is_dns_subdomain(name) && is_dns_label(name), "{name:?}");
        }
        assert!(is_dns_subdomain("checkout.v2.eu-1"));
    }
}
