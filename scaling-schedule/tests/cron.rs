//! Cron expressions as Kubernetes reads them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[path = "cron/edges.rs"]
mod edges;
#[path = "cron/reference.rs"]
mod reference;
#[path = "cron/zones.rs"]
mod zones;

use chrono::{DateTime, NaiveDateTime, NaiveTime, TimeDelta, Utc, Weekday};
use proptest::prelude::*;
use scaling_schedule::{CronExpression, CronFault, CronField, Days, TermFault, Tz};

fn cron(text: &str) -> CronExpression {
    text.parse().unwrap()
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The first firings after an instant, in UTC.
fn firings(text: &str, zone: Tz, after: &str, count: usize) -> Vec<String> {
    let all = cron(text).fires_after(zone, at(after)).take(count);
    all.map(|at| at.to_utc().format("%Y-%m-%dT%H:%M:%SZ").to_string()).collect()
}

#[test]
fn fields_mean_what_kubernetes_means() {
    for (text, expected) in [
        ("0 8 * * 1-5", "2026-11-30T08:00:00Z"),
        ("0 8 * * sun", "2026-11-29T08:00:00Z"),
        ("0 8 * * Mon-wed", "2026-11-30T08:00:00Z"),
        // Either field of days.
        ("0 0 13 * FRI", "2026-12-04T00:00:00Z"),
        ("0 0 */2 * FRI", "2026-11-29T00:00:00Z"),
        // A star leaves the day to the other field, also in a list or with a step of one.
        ("0 0 13,* * FRI", "2026-12-04T00:00:00Z"),
        ("0 0 ?/1 * FRI", "2026-12-04T00:00:00Z"),
        ("*/70 8 * * *", "2026-11-29T08:00:00Z"),
        ("5/15 8 * * *", "2026-11-29T08:05:00Z"),
        ("1,,2 8 * * *", "2026-11-29T08:01:00Z"),
        ("*-x-y 8 * * *", "2026-11-29T08:00:00Z"),
        ("+5 08 * JAN-jan/07 *", "2027-01-01T08:05:00Z"),
        ("@midnight", "2026-11-29T00:00:00Z"),
        ("@weekly", "2026-11-29T00:00:00Z"),
        ("@annually", "2027-01-01T00:00:00Z"),
        ("@every 1h30m", "2026-11-28T13:30:00Z"),
        ("@every 1.5s", "2026-11-28T12:00:01Z"),
        ("@every -5h", "2026-11-28T12:00:01Z"),
        ("\t0\u{a0}8 * *  * ", "2026-11-29T08:00:00Z"),
    ] {
        assert_eq!(firings(text, Tz::UTC, "2026-11-28T12:00:00Z", 1), [expected], "{text}");
    }
    for never in [", 8 * * *", "0 8 , * *", "0 0 30 2 *", "0 0 31 4,6,9,11 *"] {
        assert_eq!(firings(never, Tz::UTC, "2026-11-28T12:00:00Z", 1), Vec::<String>::new(), "{never}");
    }
    // Nobody's day of the month is left over: the day of the week alone.
    assert_eq!(firings("0 8 , * SUN", Tz::UTC, "2026-11-28T12:00:00Z", 1), ["2026-11-29T08:00:00Z"]);
}

#[test]
fn what_kubernetes_refuses_is_refused_with_the_field() {
    use CronField::{DayOfMonth, DayOfWeek, Hour, Minute, Month};
    use TermFault::{Above, Below, Hyphens, NotANumber, Reversed, Slashes, ZeroStep};
    for (text, field, fault) in [
        ("60 8 * * *", Minute, Above(59)),
        ("0 24 * * *", Hour, Above(23)),
        ("0 22-6 * * *", Hour, Reversed),
        ("0 8 0 * *", DayOfMonth, Below(1)),
        ("0 8 L * *", DayOfMonth, NotANumber),
        ("0 8 15W * *", DayOfMonth, NotANumber),
        ("0 8 * 13 *", Month, Above(12)),
        ("0 8 * january *", Month, NotANumber),
        ("0 8 * * 7", DayOfWeek, Above(6)),
        ("0 8 * * 1,FRI-MON", DayOfWeek, Reversed),
        ("0 8 * * 5#2", DayOfWeek, NotANumber),
        ("0 8 * * monday", DayOfWeek, NotANumber),
        ("1-2-3 8 * * *", Minute, Hyphens),
        ("1/2/3 8 * * *", Minute, Slashes),
        ("*/0 8 * * *", Minute, ZeroStep),
        ("*/-5 8 * * *", Minute, NotANumber),
        ("5- 8 * * *", Minute, NotANumber),
        ("-5 8 * * *", Minute, NotANumber),
        ("/5 8 * * *", Minute, NotANumber),
        ("99999999999999999999 8 * * *", Minute, NotANumber),
    ] {
        let error = text.parse::<CronExpression>().unwrap_err();
        assert_eq!(error.expression, text);
        match error.fault {
            CronFault::Term { field: seen, fault: why, .. } => assert_eq!((seen, why), (field, fault), "{text}"),
            other => panic!("{text}: {other}"),
        }
    }
    for (text, fault) in [
        ("", CronFault::FieldCount(0)),
        ("0 8 * *", CronFault::FieldCount(4)),
        ("0 0 8 * * *", CronFault::FieldCount(6)),
        ("TZ=UTC 0 8 * * *", CronFault::TimeZone),
        ("CRON_TZ=UTC 0 8 * * *", CronFault::TimeZone),
        ("*-TZ 8 * * *", CronFault::TimeZone),
        ("@Daily", CronFault::Macro),
        ("@daily ", CronFault::Macro),
        ("@reboot", CronFault::Macro),
        ("@every 5", CronFault::Every("5".into())),
        ("@every 1d", CronFault::Every("1d".into())),
        ("@every .s", CronFault::Every(".s".into())),
        ("@every 9999999999h", CronFault::Every("9999999999h".into())),
    ] {
        assert_eq!(text.parse::<CronExpression>().unwrap_err().fault, fault, "{text}");
    }
}

#[test]
fn a_skipped_time_does_not_fire_and_a_repeated_one_fires_twice() {
    let fired = |text, after| firings(text, Tz::Europe__Berlin, after, 3);
    assert_eq!(
        fired("30 2 * * *", "2026-03-28T00:00:00Z"),
        ["2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z", "2026-03-31T00:30:00Z"]
    );
    assert_eq!(
        fired("30 2 * * *", "2026-10-24T12:00:00Z"),
        ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"]
    );
    // Several in the hour stay in order: the first pass, and then the second.
    assert_eq!(
        firings("0,30 2 * * *", Tz::Europe__Berlin, "2026-10-24T12:00:00Z", 4),
        ["2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z"]
    );
    // The end of the gap is a time like any other, and an instant between the passes is after the first.
    assert_eq!(fired("0 3 * * *", "2026-03-28T12:00:00Z")[0], "2026-03-29T01:00:00Z");
    assert_eq!(fired("30 2 * * *", "2026-10-25T00:30:00Z")[0], "2026-10-25T01:30:00Z");
    // Half an hour, and a day that a country left out.
    assert_eq!(firings("15 2 * * *", Tz::Australia__Lord_Howe, "2026-10-03T00:00:00Z", 1), ["2026-10-04T15:15:00Z"]);
    assert_eq!(firings("0 12 30,31 12 *", Tz::Pacific__Apia, "2011-12-01T00:00:00Z", 1), ["2011-12-30T22:00:00Z"]);
}

#[test]
fn the_ends_of_time_are_empty_and_quick() {
    let next = |text, after| cron(text).fires_after(Tz::Pacific__Kiritimati, after).next();
    assert_eq!(next("* * * * *", DateTime::<Utc>::MAX_UTC), None);
    assert_eq!(next("@every 9999h", DateTime::<Utc>::MAX_UTC), None);
    let first = next("0 0 1 1 *", DateTime::<Utc>::MIN_UTC).unwrap();
    assert_eq!(first.to_string(), "1970-01-01 00:00:00 -1040");
    assert_eq!(cron("0 0 30 2 *").fires_after(Tz::UTC, at("1971-01-01T00:00:00Z")).next(), None);
    assert_eq!(cron("* * * * *").fires_after(Tz::UTC, at("2100-12-31T23:59:00Z")).next(), None);
}

#[test]
fn windows_are_written_with_names_of_days() {
    let time = NaiveTime::from_hms_opt(7, 45, 0).unwrap();
    assert_eq!(CronExpression::weekly(time, Days::WEEKDAYS).unwrap().as_str(), "45 7 * * MON,TUE,WED,THU,FRI");
    assert_eq!(CronExpression::weekly(time, Days::DAILY).unwrap().as_str(), "45 7 * * *");
    assert_eq!(CronExpression::weekly(time, Days::of([])).unwrap_err().fault, CronFault::NoDays);
    let date: NaiveDateTime = "2026-11-27T18:00:00".parse().unwrap();
    assert_eq!(CronExpression::yearly(date).unwrap().as_str(), "0 18 27 11 *");
    assert_eq!(cron("0 1 * * SUN,MON").minutes_of_week(), Some(vec![60, 6 * 1440 + 60]));
    assert_eq!(cron("*/30 */12 * * 0").minutes_of_week().unwrap().len(), 4);
    for dated in ["0 1 1 * *", "0 1 * 1 *", "0 1 1-31 * MON", "@every 1h"] {
        assert_eq!(cron(dated).minutes_of_week(), None, "{dated}");
    }
    let copy: CronExpression = serde_json::from_str(r#""@daily""#).unwrap();
    assert_eq!(serde_json::to_string(&copy).unwrap(), r#""@daily""#);
    assert!(serde_json::from_str::<CronExpression>(r#""0 8 * * 7""#).is_err());
    assert_eq!(cron(", * * * *").upcoming(Tz::UTC, DateTime::UNIX_EPOCH, 3).to_string(), ", * * * * in UTC\nnever\n");
}

prop_compose! {
    /// Expressions of which most fire within some days.
    fn expressions()(
        minute in prop::sample::select(vec!["*/7", "0", "59", "15,45", "3-9/2"]),
        hour in prop::sample::select(vec!["*", "0", "2", "1-3", "23"]),
        day in prop::sample::select(vec!["*", "1-7", "25-31/2", "29"]),
        weekday in prop::sample::select(vec!["*", "SUN", "1-5", "6,0"]),
    ) -> String {
        format!("{minute} {hour} {day} * {weekday}")
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    /// It fires at exactly the instants at which the wall clock shows one of its times.
    #[test]
    fn it_fires_when_the_wall_clock_shows_a_time_of_it(
        text in expressions(), start in 1_700_000_000_i64..1_900_000_000,
        zone in prop::sample::select(vec![Tz::Europe__Berlin, Tz::Australia__Lord_Howe, Tz::Africa__Cairo, Tz::America__Santiago]),
    ) {
        let cron = cron(&text);
        let start = DateTime::from_timestamp(start, 0).unwrap();
        let end = start + TimeDelta::days(8);
        let fired: Vec<DateTime<Utc>> = cron.fires_after(zone, start).map(|at| at.to_utc()).take_while(|at| *at <= end).collect();
        let first = DateTime::from_timestamp(start.timestamp().div_euclid(60) * 60 + 60, 0).unwrap();
        let minutes = (0..=8 * 1440).map(|minute| first + TimeDelta::minutes(minute)).take_while(|at| *at <= end);
        let expected: Vec<DateTime<Utc>> = minutes.filter(|at| cron.matches(at.with_timezone(&zone).naive_local())).collect();
        prop_assert_eq!(fired, expected);
    }

    /// No text is too odd, and what is accepted survives its text.
    #[test]
    fn any_text_is_an_expression_or_an_error(text in "[-*?/,0-9a-zA-Z@ +#LW]{0,24}", words in "([-*/,0-9]{1,4} ){4}[-*/,0-9a-z]{1,4}") {
        for text in [text, words] {
            if let Ok(cron) = text.parse::<CronExpression>() {
                prop_assert_eq!(cron.to_string().parse::<CronExpression>().unwrap(), cron.clone());
                let mut fired = cron.fires_after(Tz::Europe__Berlin, DateTime::UNIX_EPOCH).take(3);
                if let (Some(one), Some(two)) = (fired.next(), fired.next()) {
                    prop_assert!(one < two);
                }
            }
        }
    }
}

/// Days of the week from bits.
fn days(bits: u8) -> Days {
    let all = [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];
    Days::of(all.into_iter().enumerate().filter(|(nth, _)| bits >> nth & 1 == 1).map(|(_, day)| day))
}
