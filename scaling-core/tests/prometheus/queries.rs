//! What is asked: escaping, rendering, and how a fleet is split.

use proptest::prelude::*;
use scaling_core::http::Endpoint;
use scaling_core::source::prometheus::{Measure, QuerySet, QueryTemplate, Unit, escaped, instant, plan, range};
use scaling_core::{SignalKind, Target};
use std::time::Duration;

/// What a PromQL string in double quotes says, as far as escapes go that are used here.
fn string(written: &str) -> Option<String> {
    let mut chars = written.chars();
    let mut out = String::new();
    while let Some(c) = chars.next() {
        match c {
            '"' | '\n' => return None, // would end the string, or is no string
            '\\' => out.push(match chars.next()? {
                'n' => '\n',
                'r' => '\r',
                c @ ('\\' | '"') => c,
                _ => return None,
            }),
            c => out.push(c),
        }
    }
    Some(out)
}

/// The one text that a regular expression without operators matches.
fn literal(regex: &str) -> Option<String> {
    let mut chars = regex.chars();
    let mut out = String::new();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push(chars.next().filter(char::is_ascii_punctuation)?),
            '.' | '+' | '*' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$' => return None,
            c => out.push(c),
        }
    }
    Some(out)
}

proptest! {
    #[test]
    fn an_escaped_name_matches_itself_and_nothing_else(name in ".*") {
        let regex = string(&escaped(&name));
        prop_assert!(regex.is_some(), "{name:?} ends the string");
        prop_assert_eq!(literal(&regex.unwrap()), Some(name));
    }

    #[test]
    fn no_name_gets_out_of_its_place(namespace in ".{1,20}", name in ".{1,20}") {
        let set = QuerySet::empty().with(QueryTemplate::new(Measure::ReadyPods, Unit::Own, r#"a{n=~"{namespace}",w=~"{workload}"}"#).unwrap());
        let queries = plan(&set, &[Target::deployment(&namespace, &name)], 15_000, 60);
        let expected = format!(r#"a{{n=~"{}",w=~"{}"}}"#, escaped(&namespace), escaped(&name));
        prop_assert_eq!(&queries[0].promql, &expected);
    }

    #[test]
    fn a_plan_fits_and_asks_for_everyone(
        namespaces in 1..60_usize, workloads in 1..400_usize, longest in 300..20_000_usize, most in 1..40_usize,
    ) {
        let set = QuerySet::empty().with(QueryTemplate::new(Measure::ReadyPods, Unit::Own, r#"a{n=~"{namespace}",w=~"{workload}"}"#).unwrap());
        let targets: Vec<_> = (0..workloads).map(|n| Target::deployment(format!("namespace-{:03}", n % namespaces), format!("w.{n}"))).collect();
        let queries = plan(&set, &targets, longest, most);
        prop_assert!(!queries.is_empty() && queries.len() <= most);
        prop_assert!(queries.iter().all(|query| query.promql.len() <= longest));
        for target in &targets {
            let asking = queries.iter().filter(|query| query.promql.contains(&target.namespace) || query.promql.contains(r#"n=~".*""#));
            prop_assert_eq!(asking.count(), 1, "{} in {:?}", target, queries);
        }
    }
}

#[test]
fn ready_made_sets_say_what_they_deliver_and_leave_no_placeholder() {
    use SignalKind::{ActiveConnections, CpuUtilization, ErrorRate, MemoryUtilization, RequestRate, ResponseTime};
    let http = [RequestRate, ResponseTime, ErrorRate];
    for (set, delivers) in [
        (QuerySet::kubernetes(), &[CpuUtilization, MemoryUtilization][..]),
        (QuerySet::ingress_nginx(), &http),
        (QuerySet::istio(), &http),
        (QuerySet::linkerd(), &http),
        (QuerySet::opentelemetry(), &[RequestRate, ResponseTime, ErrorRate, ActiveConnections]),
    ] {
        assert_eq!(set.declared().iter().collect::<Vec<_>>(), delivers);
        let set = set.matching("cluster", "eu \"1\"");
        for query in plan(&set, &[Target::deployment("shop", "web")], 15_000, 60) {
            let text = &query.promql;
            assert!(text.contains("shop") && text.contains("web") && text.contains(r#",cluster="eu \"1\"""#), "{text}");
            for placeholder in ["{namespace", "{workload", "{matchers", "{window", "{fresh", "{quantile"] {
                // A selector that begins with a label has the same beginning.
                let rest = text.split(placeholder).skip(1);
                assert!(rest.clone().all(|rest| rest.starts_with("=~")), "{placeholder} is left in {text}");
            }
            assert_eq!(text.matches(['(', '{', '[']).count(), text.matches([')', '}', ']']).count(), "{text}");
        }
    }
}

#[test]
fn a_service_is_known_by_its_own_name() {
    let target = Target::deployment("shop", "web");
    let set = QuerySet::ingress_nginx().known_as(target.clone(), "web-svc");
    assert!(
        plan(&set, &[target], 15_000, 60).iter().all(|query| query.promql.contains(r#"exported_service=~"web-svc""#))
    );
}

#[test]
fn templates_that_cannot_work_are_refused_by_name() {
    for (promql, what) in [
        (" ".to_owned(), "empty"),
        ("a{n=~\"{name}\"}".to_owned(), "{name} is no placeholder"),
        ("a".repeat(9000), "9000 bytes long"),
    ] {
        let error = QueryTemplate::new(Measure::DesiredPods, Unit::Own, promql).unwrap_err().to_string();
        assert!(error.starts_with("query for desired pods: ") && error.contains(what), "{error}");
    }
    let plain = r#"sum(rate(x{a="b",c=~"{[a-z]+}"}[5m])) by (d) > bool 0"#;
    assert!(QueryTemplate::new(Measure::ReadyPods, Unit::Own, plain).is_ok());
}

#[test]
fn requests_are_forms_that_may_be_sent_twice() {
    let endpoint = Endpoint::parse("https://mimir.example.com/prometheus/").unwrap();
    let at = |ms| scaling_core::chrono::DateTime::from_timestamp_millis(ms).unwrap();
    let timeout = Duration::from_secs(10);
    let one = instant(&endpoint, "up{a=\"b&c\"}", at(1_700_000_000_250), timeout);
    assert_eq!(one.endpoint().to_string(), "https://mimir.example.com/prometheus/api/v1/query");
    assert_eq!(one.body(), b"query=up%7Ba%3D%22b%26c%22%7D&time=1700000000.250&timeout=10s");
    let many = range(&endpoint, "up", (at(60_000), at(120_000)), Duration::from_secs(60), timeout);
    assert_eq!(many.endpoint().to_string(), "https://mimir.example.com/prometheus/api/v1/query_range");
    assert_eq!(many.body(), b"query=up&start=60&end=120&step=60&timeout=10s");
}
