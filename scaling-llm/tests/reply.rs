//! Answers: what is taken, and what was wrong with the others.
#![allow(clippy::unwrap_used, missing_docs)]

use proptest::prelude::*;
use scaling_core::{Reason, WindowDays};
use scaling_llm::reply::{MAX_BYTES, SCHEMA, parse};
use scaling_llm::{Action, Advice, ReplyError, Resize, SuggestedWindow};

const GOOD: &str = r#"{"assessment":"load doubles","action":"scale","target_replicas":7,"confidence_percent":82}"#;

/// With every field.
const WHOLE: &str = concat!(
    r#"{"assessment":"memory grows","action":"resize","target_replicas":7,"cpu_request_percent_of_now":100,"#,
    r#""memory_request_percent_of_now":150,"confidence_percent":82,"proposed_hpa_target_percent":65,"#,
    r#""proposed_window_days":"weekdays","proposed_window_start_hour":22,"proposed_window_end_hour":6,"#,
    r#""proposed_window_min_replicas":12}"#,
);

fn error(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn exactly_the_object_is_taken_in_any_order_of_fields() {
    let advice = Advice { action: Action::Scale, target_replicas: 7, ..Advice::hold(82, "load doubles") };
    assert_eq!(parse(GOOD), Ok(advice.clone()));
    assert_eq!(parse(&format!(" \r\n\t{GOOD}\n")), Ok(advice.clone()));
    let turned = r#"{"confidence_percent":82,"target_replicas":7,"action":"sc\u0061le","assessment":"load doubles"}"#;
    assert_eq!(parse(turned), Ok(advice));
}

#[test]
fn requests_and_suggestions_are_read() {
    let advice = parse(WHOLE).unwrap();
    assert_eq!(advice.action, Action::Resize(Resize { cpu_percent: 100, memory_percent: 150 }));
    let window = SuggestedWindow { days: WindowDays::Weekdays, start_hour: 22, end_hour: 6, min_replicas: 12 };
    assert_eq!((advice.suggested_target_percent, advice.suggested_window), (Some(65), Some(window)));
    let said: Vec<_> = advice.suggestions().map(|reason: Reason| reason.to_string()).collect();
    let expected = [
        "suggested to people, not applied: a CPU target of 65 %",
        "suggested to people, not applied: at least 12 pods Monday to Friday from 22:00 to 6:00",
    ];
    assert_eq!(said, expected);
    let without = WHOLE.replace(":65", ":0").replace("weekdays", "none");
    let without = parse(&without).unwrap();
    assert_eq!(
        (without.suggested_target_percent, without.suggested_window, without.suggestions().count()),
        (None, None, 0)
    );
}

#[test]
fn a_field_may_be_left_out_only_where_it_says_nothing() {
    let without = |field: &str| {
        let mut answer: serde_json::Map<String, serde_json::Value> = serde_json::from_str(WHOLE).unwrap();
        assert!(answer.remove(field).is_some());
        parse(&serde_json::Value::from(answer).to_string())
    };
    assert_eq!(without("proposed_hpa_target_percent").unwrap().suggested_target_percent, None);
    assert_eq!(without("proposed_window_days").unwrap().suggested_window, None);
    for field in [
        "cpu_request_percent_of_now",
        "memory_request_percent_of_now",
        "proposed_window_start_hour",
        "proposed_window_end_hour",
        "proposed_window_min_replicas",
    ] {
        assert_eq!(without(field), Err(ReplyError::Missing { field }));
    }
    for field in ["assessment", "action", "target_replicas", "confidence_percent"] {
        assert!(without(field).unwrap_err().to_string().contains(&format!("missing field `{field}`")));
    }
}

#[test]
fn suggestions_are_bounded() {
    for (from, to, expected) in [
        (":65", ":9", "proposed_hpa_target_percent is 9; it must be 0, or 10 to 95"),
        (":65", ":96", "proposed_hpa_target_percent is 96; it must be 0, or 10 to 95"),
        (":65", ":null", "invalid type: null"),
        ("\"weekdays\"", "\"monday\"", "proposed_window_days is \"monday\", not \"none\""),
        ("\"weekdays\"", "null", "invalid type: null"),
        (":22", ":24", "proposed_window_start_hour is 24; it must be 0 to 23"),
        (":6,", ":0,", "proposed_window_end_hour is 0; it must be 1 to 24, and not the hour of the start"),
        (":6,", ":25,", "proposed_window_end_hour is 25"),
        (":6,", ":22,", "proposed_window_end_hour is 22"),
        (":12}", ":0}", "proposed_window_min_replicas is 0; it must be at least 1"),
        (":12}", ":-3}", "a whole number from 0"),
        (":150", ":-50", "a whole number from 0"),
        (":150", ":150.5", "150.5"),
        (":150", ":\"150\"", "invalid type: string"),
    ] {
        assert!(WHOLE.contains(from), "{from}");
        let error = error(&WHOLE.replace(from, to));
        assert!(error.contains(expected), "{from} to {to}: {error}");
    }
}

#[test]
fn numbers_are_whole_or_refused() {
    let with = |number: &str| GOOD.replace(":7,", &format!(":{number},"));
    for (number, expected) in [("7", 7), ("0", 0), ("2147483647", i32::MAX.unsigned_abs())] {
        assert_eq!(parse(&with(number)).unwrap().target_replicas, expected, "{number}");
    }
    for number in [
        "7.5",
        "7.0",
        "7e0",
        "70e-1",
        "6.99999999999999999999",
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
        (&GOOD.replace("\"scale\"", "\"SCALE\""), "the action is \"SCALE\", not \"scale\", \"hold\" or \"resize\""),
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
    assert_eq!(long.chars().count(), 501);
    let error = error(&GOOD.replace("\"scale\"", &format!(r#""\u001b{}""#, "x".repeat(3000))));
    assert!(error.len() < 300 && !error.contains('\u{1b}'), "{error}");
}

#[test]
fn the_schema_names_what_is_read_and_is_in_the_common_subset() {
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    let fields: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
    let required: Vec<_> = schema["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!((fields.len(), required.len()), (11, 11));
    assert!(fields.iter().all(|field| required.contains(&field.as_str()) && WHOLE.contains(field.as_str())));
    assert_eq!(schema["additionalProperties"], false);
    // The words of the intersection, and none besides.
    assert_eq!(schema.as_object().unwrap().len(), 4);
    for (name, field) in schema["properties"].as_object().unwrap() {
        let words: Vec<_> = field.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(words.iter().all(|word| ["type", "description", "enum"].contains(word)), "{name}: {words:?}");
        assert!(field["type"] == "string" || field["type"] == "integer", "{name}");
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
