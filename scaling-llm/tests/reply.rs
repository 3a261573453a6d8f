//! Answers: what is taken, and what was wrong with the others.
#![allow(clippy::unwrap_used, missing_docs)]

use proptest::prelude::*;
use scaling_llm::reply::{MAX_BYTES, SCHEMA, parse};
use scaling_llm::{Action, Advice, ReplyError};

const GOOD: &str = r#"{"assessment":"load doubles","action":"scale","target_replicas":7,"confidence_percent":82}"#;

fn error(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn exactly_the_object_is_taken_in_any_order_of_fields() {
    let advice =
        Advice { action: Action::Scale, target_replicas: 7, confidence_percent: 82, assessment: "load doubles".into() };
    assert_eq!(parse(GOOD), Ok(advice.clone()));
    assert_eq!(parse(&format!(" \r\n\t{GOOD}\n")), Ok(advice.clone()));
    let turned =
        r#"{"confidence_percent":82.0,"target_replicas":7e0,"action":"sc\u0061le","assessment":"load doubles"}"#;
    assert_eq!(parse(turned), Ok(advice));
}

#[test]
fn numbers_are_whole_or_refused() {
    let with = |number: &str| GOOD.replace(":7,", &format!(":{number},"));
    for (number, expected) in [("7.0", 7), ("0", 0), ("70e-1", 7), ("2147483647", i32::MAX.unsigned_abs())] {
        assert_eq!(parse(&with(number)).unwrap().target_replicas, expected, "{number}");
    }
    for number in [
        "7.5",
        "-1",
        "-0",
        "-7.0",
        "1e400",
        "-1e400",
        "1e-400x",
        "2147483648",
        "18446744073709551616",
        "1e19",
        "NaN",
        "\"7\"",
        "null",
        "true",
        "[7]",
        "{}",
        "07",
        "0x7",
        "7,5",
        "+7",
        "",
    ] {
        let error = error(&with(number));
        assert!(error.starts_with("the answer is not what was asked for: "), "{number}: {error}");
    }
    assert!(error(&with("7.5")).contains("floating point `7.5`, expected a whole number from 0 to 2147483647"));
    assert_eq!(parse(&GOOD.replace("82", "101")), Err(ReplyError::Confidence(101)));
    assert!(error(&GOOD.replace("82", "0.82")).contains("0.82"), "a fraction is not a percentage");
}

#[test]
fn every_refusal_says_what_was_wrong() {
    for (text, expected) in [
        ("", "empty"),
        (" \n ", "empty"),
        ("Sure! {}", "does not start with a JSON object"),
        ("[]", "does not start with a JSON object"),
        (r#"["x","scale",7,82]"#, "does not start with a JSON object"),
        (&format!("\u{feff}{GOOD}"), "does not start with a JSON object"),
        (&format!("```json\n{GOOD}\n```"), "markdown fence"),
        (&format!("{GOOD} as you wished"), "trailing characters"),
        (&format!("{GOOD}{GOOD}"), "trailing characters"),
        (&GOOD[..60], "EOF while parsing"),
        (&GOOD.replace(r#""action":"scale","#, ""), "missing field `action`"),
        (&GOOD.replace('}', r#","max_replicas":500}"#), "unknown field `max_replicas`"),
        (&GOOD.replace('}', r#","target_replicas":500}"#), "duplicate field `target_replicas`"),
        (&GOOD.replace("\"scale\"", "\"SCALE\""), "the action is \"SCALE\", not \"scale\" or \"hold\""),
        (&GOOD.replace("\"scale\"", r#"{"scale":null}"#), "invalid type: map"),
        (&GOOD.replace("\"load doubles\"", "null"), "invalid type: null"),
        (&GOOD.replace("load", r"\ud800"), "not what was asked for"),
        (&"[".repeat(MAX_BYTES), "does not start with a JSON object"),
        (&"{\"a\":".repeat(MAX_BYTES / 5), "unknown field `a`"),
        (&GOOD.replace("load", &"x".repeat(MAX_BYTES)), "more than 4096"),
    ] {
        let error = error(text);
        assert!(error.contains(expected), "{text:.60}: {error}");
    }
}

#[test]
fn what_an_answer_says_cannot_forge_a_line_or_fill_a_log() {
    let advice = parse(&GOOD.replace("load doubles", r"ok\n2026 ERROR \u001b[31mred \u202etxet \u200b!")).unwrap();
    assert_eq!(advice.assessment, "ok 2026 ERROR  [31mred  txet  !");
    let long = parse(&GOOD.replace("load", &"x".repeat(3000))).unwrap().assessment;
    assert_eq!(long.chars().count(), 301);
    let error = error(&GOOD.replace("\"scale\"", &format!(r#""\u001b{}""#, "x".repeat(3000))));
    assert!(error.len() < 300 && !error.contains('\u{1b}'), "{error}");
}

#[test]
fn the_schema_names_what_is_read_and_is_in_the_common_subset() {
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    let fields: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
    let required: Vec<_> = schema["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(fields.len(), 4);
    assert!(fields.iter().all(|field| required.contains(&field.as_str()) && GOOD.contains(field.as_str())));
    assert_eq!(schema["additionalProperties"], false);
    for refused_by_some in ["minimum", "maximum", "maxLength", "pattern", "oneOf", "default", "$ref"] {
        assert!(!SCHEMA.contains(&format!("\"{refused_by_some}\"")));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_damage_makes_the_parser_panic_or_read_more_than_a_pod_count(at in 0..GOOD.len(), length in 0_usize..12, with in ".{0,8}|[0-9eE.+-]{1,8}|[{}\\[\\]\",:]{1,4}") {
        let mut text = GOOD.to_owned();
        text.replace_range(at..(at + length).min(GOOD.len()), &with);
        match parse(&text) {
            Ok(advice) => {
                prop_assert!(advice.target_replicas <= i32::MAX.unsigned_abs() && advice.confidence_percent <= 100);
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
            }
            Err(error) => prop_assert!(!error.to_string().chars().any(char::is_control)),
        }
    }
}
