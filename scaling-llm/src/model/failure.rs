//! Answers that say what went wrong: of both APIs, and of the gateways and servers that imitate them.

use serde_json::Value;

use super::ModelError;
use crate::text::one_line;

/// Codes that say that the money or the quota is spent: waiting does not help, whatever the status.
const SPENT: [&str; 9] = [
    "billing_error",
    "contract_spend_limit_reached",
    "credit_balance_exhausted",
    "enforced_spend_limit_reached",
    "insufficient_quota",
    "linked_organization_spend_limit_reached",
    "organization_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
    "project_spend_limit_exceeded",
];

/// Codes of a filter that declined the question before a model saw it.
const FILTERED: [&str; 2] = ["content_filter", "invalid_prompt"];

/// Longest message of a server that is repeated, in characters.
const MESSAGE: usize = 200;

/// Longest body that is searched for codes, in bytes.
const LONGEST: usize = 64 << 10;

/// Failure as a body tells it. Nothing of it is sure to be there: proxies answer in HTML.
#[derive(Debug, Default)]
struct Said {
    codes: Vec<String>,
    message: Option<String>,
}

impl Said {
    fn read(body: &[u8]) -> Self {
        // A value takes many times the memory of its text.
        let root = Some(body).filter(|body| body.len() <= LONGEST);
        let Some(root) = root.and_then(|body| serde_json::from_slice::<Value>(body).ok()) else {
            return Self::default();
        };
        // Some servers write the fields without the object around them, or a message in its place.
        let error = root.get("error").filter(|error| !error.is_null()).unwrap_or(&root);
        // A code is a string, an integer or null.
        let code = |value: Option<&Value>| match value? {
            Value::String(code) => Some(code.clone()),
            Value::Number(code) => Some(code.to_string()),
            _ => None,
        };
        let detail = error.get("details").and_then(|details| details.get("error_code"));
        let codes = [error.get("type"), error.get("code"), detail].into_iter().filter_map(code).collect();
        let message = error.get("message").or_else(|| error.get("detail")).unwrap_or(error).as_str();
        Self { codes, message: message.map(str::to_owned) }
    }

    fn is_any(&self, known: &[&str]) -> bool {
        self.codes.iter().any(|code| known.contains(&code.as_str()))
    }
}

/// True if the body says that the account is spent.
pub(super) fn is_spent(body: &[u8]) -> bool {
    Said::read(body).is_any(&SPENT)
}

/// The failure that an answer tells of, by its status and its body.
pub(super) fn failure(status: u16, body: &[u8]) -> ModelError {
    let said = Said::read(body);
    let text = match &said.message {
        Some(message) => message.clone(),
        None => String::from_utf8_lossy(body.get(..4 * MESSAGE).unwrap_or(body)).into_owned(),
    };
    let codes: Vec<_> = said.codes.iter().map(|code| one_line(code, 64)).collect();
    let head = format!("status {status} {}", codes.join(" "));
    let head = head.trim_end();
    let text = one_line(&text.split_whitespace().collect::<Vec<_>>().join(" "), MESSAGE);
    let what = if text.is_empty() { head.to_owned() } else { format!("{head}: {text}") };
    match status {
        _ if said.is_any(&SPENT) => ModelError::Spent(what),
        402 => ModelError::Spent(what),
        400 if said.is_any(&FILTERED) => ModelError::Refused,
        401 | 403 | 404 | 407 => ModelError::Denied(what),
        408 | 409 | 425 | 429 => ModelError::Unavailable(what),
        400..=499 => ModelError::Rejected(what),
        _ => ModelError::Unavailable(what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_by_its_code_and_otherwise_by_its_status() {
        let spent = |body: &str| matches!(failure(429, body.as_bytes()), ModelError::Spent(_));
        assert!(spent(
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"m","details":{"error_code":"enforced_spend_limit_reached"}}}"#
        ));
        assert!(spent(r#"{"error":{"message":"m","type":"insufficient_quota","param":null,"code":null}}"#));
        assert!(spent(r#"{"error":{"message":"m","type":"x","code":"credit_balance_exhausted"}}"#));
        assert!(
            !spent(r#"{"error":{"message":"insufficient_quota","type":"rate_limit_error","code":429}}"#),
            "a message is no code"
        );
        assert!(!spent(
            r#"{"type":"error","error":{"type":"rate_limit_error","details":{"error_code":"ramp_limit_exceeded"}}}"#
        ));
        for (status, body, text) in [
            (500, "<html>\n<b>Bad\u{1b}[31m</b>", "the model is unavailable: status 500: <html> <b>Bad [31m</b>"),
            (
                503,
                r#"{"error":{"message":"loading","code":503,"type":"unavailable_error"}}"#,
                "the model is unavailable: status 503 unavailable_error 503: loading",
            ),
            (404, r#"{"error":"model not found"}"#, "the caller was denied: status 404: model not found"),
            (404, r#"{"detail":"Not Found"}"#, "the caller was denied: status 404: Not Found"),
            (
                400,
                r#"{"object":"error","message":"no","type":"BadRequestError","code":400}"#,
                "the request was rejected: status 400 BadRequestError 400: no",
            ),
            (400, r#"{"error":{"code":"content_filter","message":"x"}}"#, "the model declined to answer"),
            (402, "", "the account is spent: status 402"),
            (200, r#"{"error":null}"#, "the model is unavailable: status 200: {\"error\":null}"),
            (429, "[]", "the model is unavailable: status 429: []"),
        ] {
            assert_eq!(failure(status, body.as_bytes()).to_string(), text, "{body}");
        }
        let long =
            failure(500, format!(r#"{{"error":{{"type":"{0}","message":"{0}"}}}}"#, "x".repeat(60_000)).as_bytes());
        assert!(long.to_string().len() < 400, "{long}");
    }
}
