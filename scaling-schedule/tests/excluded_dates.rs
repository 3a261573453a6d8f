//! Dates from lists and iCalendar files, also hostile ones.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fmt::Write;

use proptest::prelude::*;
use scaling_core::chrono::{Datelike, NaiveDate, Weekday};
use scaling_schedule::{DatesFault, ExcludedDates};

fn calendar(event: &str) -> String {
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\n{event}END:VEVENT\r\nEND:VCALENDAR\r\n")
}

fn dates(event: &str) -> Vec<String> {
    ExcludedDates::parse_icalendar(&calendar(event), 2028).unwrap().iter().map(|date| date.to_string()).collect()
}

fn refused(text: &str) -> String {
    ExcludedDates::parse_icalendar(text, 2028).unwrap_err().to_string()
}

#[test]
fn a_list_says_the_line_that_is_no_date() {
    let list = |text: &str| ExcludedDates::parse_list(text);
    assert_eq!(list("\u{feff}2026-01-01\r\n# x\r\n 2026-12-30 .. 2027-01-02 # days off\n").unwrap().len(), 5);
    assert!(list("").unwrap().is_empty());
    let error = |text: &str| list(text).unwrap_err().to_string();
    assert_eq!(error("\n2026-02-29"), "line 2: \"2026-02-29\" is no date written YYYY-MM-DD");
    assert_eq!(error("26-01-01"), "line 1: \"26-01-01\" is no date written YYYY-MM-DD");
    assert_eq!(error("+12026-01-01"), "line 1: \"+12026-01-01\" is no date written YYYY-MM-DD");
    assert_eq!(error("2026-01-02..2026-01-01"), "line 1: it ends on 2026-01-01, before it starts on 2026-01-02");
    assert_eq!(error("1000-01-01..2999-01-01"), "line 1: more than 36525 dates");
    assert!(error(&"x".repeat(1000)).len() < 120, "long lines are cut");
}

#[test]
fn an_event_lasts_until_the_day_before_its_end() {
    assert_eq!(
        dates("DTSTART;VALUE=DATE:20261224\r\nDTEND;VALUE=DATE:20261227\r\n"),
        ["2026-12-24", "2026-12-25", "2026-12-26"]
    );
    assert_eq!(dates("DTSTART;VALUE=DATE:20261224\r\n"), ["2026-12-24"]);
    assert_eq!(dates("DTSTART;VALUE=DATE:20261224\r\nDTEND;VALUE=DATE:20261224\r\n"), ["2026-12-24"]);
    assert_eq!(dates("DTSTART;VALUE=DATE:20261231\r\nDURATION:P2D\r\n"), ["2026-12-31", "2027-01-01"]);
    assert_eq!(dates("DTSTART:20261224\r\nSTATUS:CANCELLED\r\n"), Vec::<String>::new());
}

#[test]
fn folded_lines_quotes_alarms_and_other_components_are_read_as_they_are_meant() {
    let text = "BEGIN:VCALENDAR\r\nBEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\nBEGIN:STANDARD\r\nDTSTART:19701025T030000\r\n\
        RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT\r\nSUMMARY;ALTREP=\"http://x:1\":A\r\n\
        \tfolded: day\r\nDTSTART;VAL\r\n UE=DATE:2026\r\n 1225\r\nBEGIN:VALARM\r\nTRIGGER:-P1D\r\nDURATION:PT5M\r\nEND:VALARM\r\n\
        end:vevent\r\nEND:VCALENDAR\r\n";
    let dates = ExcludedDates::parse_icalendar(text, 2028).unwrap();
    assert_eq!(dates.iter().map(|date| date.to_string()).collect::<Vec<_>>(), ["2026-12-25"]);
}

#[test]
fn yearly_holidays_recur() {
    assert_eq!(
        dates("DTSTART;VALUE=DATE:20261225\r\nRRULE:FREQ=YEARLY\r\n"),
        ["2026-12-25", "2027-12-25", "2028-12-25"]
    );
    assert_eq!(dates("DTSTART;VALUE=DATE:20240229\r\nRRULE:FREQ=YEARLY\r\n"), ["2024-02-29", "2028-02-29"]);
    // Thanksgiving, Memorial Day.
    let nth = "DTSTART;VALUE=DATE:20261126\r\nRRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH\r\n";
    assert_eq!(dates(nth), ["2026-11-26", "2027-11-25", "2028-11-23"]);
    let last = "DTSTART;VALUE=DATE:20260525\r\nRRULE:FREQ=YEARLY;BYDAY=-1MO;BYMONTH=5;COUNT=2\r\n";
    assert_eq!(dates(last), ["2026-05-25", "2027-05-31"]);
    let until = "DTSTART;VALUE=DATE:20240101\r\nRRULE:FREQ=YEARLY;INTERVAL=2;UNTIL=20270101T000000Z\r\n";
    assert_eq!(dates(until), ["2024-01-01", "2026-01-01"]);
    let except = "DTSTART;VALUE=DATE:20260601\r\nRRULE:FREQ=YEARLY;BYMONTH=6;BYMONTHDAY=1,-1\r\nEXDATE;VALUE=DATE:20270601,20280630\r\n\
        RDATE;VALUE=DATE:20280704\r\n";
    assert_eq!(dates(except), ["2026-06-01", "2026-06-30", "2027-06-30", "2028-06-01", "2028-07-04"]);
}

/// Every n-th weekday of every month, against a search day by day.
#[test]
fn nth_weekdays_are_those_of_the_calendar() {
    for (word, weekday) in [("MO", Weekday::Mon), ("WE", Weekday::Wed), ("SU", Weekday::Sun)] {
        for (nth, month) in [(1_i64, 2), (3, 7), (5, 10), (-1, 2), (-5, 8)] {
            let start = NaiveDate::from_ymd_opt(2020, 1, 1).unwrap();
            let event =
                format!("DTSTART;VALUE=DATE:20200101\r\nRRULE:FREQ=YEARLY;BYMONTH={month};BYDAY={nth}{word}\r\n");
            let such = |date: &NaiveDate| {
                let day = i64::from(date.day());
                let from_end = i64::from(date.num_days_in_month()) - day;
                let place = if nth > 0 { (day - 1) / 7 + 1 } else { -(from_end / 7 + 1) };
                date.month() == month && date.weekday() == weekday && place == nth
            };
            let expected: Vec<String> = start
                .iter_days()
                .take_while(|date| date.year() <= 2028)
                .filter(|date| *date == start || such(date))
                .map(|date| date.to_string())
                .collect();
            assert_eq!(dates(&event), expected, "{nth}{word} of {month}");
        }
    }
}

#[test]
fn what_is_not_understood_is_refused_with_its_line() {
    let event = |text: &str| refused(&calendar(text));
    assert_eq!(
        event("DTSTART:20261225T090000Z\r\n"),
        "line 4: DTSTART \"20261225T090000Z\": only whole days are understood, as YYYYMMDD"
    );
    assert!(
        event("SUMMARY:x\r\nDTSTART:20261225\r\nRRULE:FREQ=WEEKLY\r\n")
            .starts_with("line 6: RRULE \"FREQ=WEEKLY\": FREQ=YEARLY is")
    );
    assert!(event("DTSTART:20261225\r\nRRULE:FREQ=YEARLY;BYEASTER=0\r\n").starts_with("line 5: RRULE"));
    assert!(
        event("DTSTART:20261225\r\nRRULE:FREQ=YEARLY;BYDAY=1MO\r\n").starts_with("line 5: RRULE"),
        "of the year, not of a month"
    );
    assert_eq!(event("SUMMARY:x\r\n"), "line 3: the event has no DTSTART");
    assert_eq!(
        event("DTSTART:20261225\r\nDTEND:20261224\r\n"),
        "line 3: it ends on 2026-12-24, before it starts on 2026-12-25"
    );
    assert_eq!(event("DTSTART:20261225\r\nDTSTART:20261226\r\n"), "line 5: a second DTSTART in one event");
    assert!(event("DTSTART:20261225\r\nDURATION:PT1H\r\n").starts_with("line 5: DURATION"));
    assert!(event("DTSTART:20261225\r\nDTEND:20281225\r\n").contains("a year at most"));
    assert!(event("DTSTART:20261225\r\nRECURRENCE-ID:20261226\r\n").starts_with("line 3: RECURRENCE-ID"));
    assert!(event("DTSTART:20261225\r\nno colon\r\n").ends_with("\"no colon\" is no line of an iCalendar file"));
    assert_eq!(refused("2026-12-25\n"), "line 1: \"2026-12-25\" is no line of an iCalendar file");
    assert_eq!(refused(""), "line 1: there is no BEGIN:VCALENDAR");
    assert_eq!(
        refused("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20261225\n"),
        "line 3: \"BEGIN:VEVENT\" has no counterpart"
    );
    assert_eq!(refused("BEGIN:VCALENDAR\nEND:VEVENT\n"), "line 2: \"END:VEVENT\" has no counterpart");
}

#[test]
fn hostile_files_are_refused_in_good_time() {
    let nested = "BEGIN:VCALENDAR\n".to_owned() + &"BEGIN:X\n".repeat(100_000);
    assert!(refused(&nested).starts_with("line 9: \"BEGIN:X\""));
    let mut for_ever = String::from("BEGIN:VCALENDAR\n");
    for _ in 0..40_000 {
        for_ever.push_str("BEGIN:VEVENT\nDTSTART:00010101\nRRULE:FREQ=YEARLY\nEND:VEVENT\n");
    }
    assert!(refused(&(for_ever + "END:VCALENDAR\n")).ends_with("more than 36525 dates"));
    let lists = format!(
        "DTSTART:00010101\r\nRRULE:FREQ=YEARLY;BYMONTH=1,2,3,4,5,6,7,8,9,10,11,12;BYDAY={}MO\r\n",
        "1MO,".repeat(61)
    );
    assert!(refused(&calendar(&lists)).ends_with("more than 36525 dates"));
    let error = ExcludedDates::parse_icalendar(&"x".repeat(5 << 20), 2028).unwrap_err();
    assert_eq!(error.fault, DatesFault::TooLarge { bytes: 5 << 20 });
    // One range again and again holds few dates, and takes as much work as any other.
    let range = "2000-01-01..2099-12-31\n".repeat(27);
    assert_eq!(ExcludedDates::parse_list(&range).unwrap().len(), 36_525);
    let error = ExcludedDates::parse_list(&range.repeat(6_000)).unwrap_err();
    assert_eq!((error.line, error.fault), (28, DatesFault::TooMany));
    // One line, folded a million times.
    let folded = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20261225\nSUMMARY:".to_owned()
        + &"\n x".repeat(1_000_000)
        + "\nEND:VEVENT\nEND:VCALENDAR\n";
    assert_eq!(ExcludedDates::parse_icalendar(&folded, 2028).unwrap().len(), 1);
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*|(BEGIN|END|DTSTART|RRULE|DTEND):(VEVENT|VCALENDAR|[0-9]{8}|FREQ=YEARLY;?(COUNT|BYDAY|BYMONTH)?=?[-0-9A-Z,]*)\n", until: i32) {
        let _ = ExcludedDates::parse_list(&text);
        let _ = ExcludedDates::parse_icalendar(&text, until);
        let _ = ExcludedDates::parse_icalendar(&calendar(&text), until);
    }

    #[test]
    fn a_list_reads_back(days in prop::collection::btree_set(0..20_000_i32, 0..50)) {
        let dates: ExcludedDates = days.iter().filter_map(|day| NaiveDate::from_epoch_days(*day)).collect();
        let mut list = String::new();
        for date in dates.iter() {
            let _ = writeln!(list, "{date}");
        }
        prop_assert_eq!(ExcludedDates::parse_list(&list).unwrap(), dates);
    }
}
