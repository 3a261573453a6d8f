//! Windows on the wall clock: reading, opening, closing, and clock changes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use chrono::{DateTime, NaiveTime, Offset, TimeDelta, Timelike, Utc, Weekday};
use proptest::prelude::*;
use scaling_schedule::{DatedWindow, Days, InvalidSchedule, Schedule, Tz, Window};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn one(zone: Tz, days: Days, from: &str, to: &str) -> Schedule {
    Schedule::new(zone, vec![Window::parse("w", days, from, to, 5).unwrap()]).unwrap()
}

fn is_open(schedule: &Schedule, text: &str) -> bool {
    schedule.open_at(at(text)).is_some()
}

/// The next changes after an instant, as text.
fn changes(schedule: &Schedule, after: &str, number: usize) -> Vec<String> {
    let next = |after: &DateTime<Utc>| schedule.next_change(*after);
    let chain = std::iter::successors(next(&at(after)), next).take(number);
    chain.map(|at| at.format("%dT%H:%M").to_string()).collect()
}

#[test]
fn a_window_is_open_from_its_start_until_just_before_its_end() {
    let schedule = one(Tz::UTC, Days::WEEKDAYS, "08:00", "11:00");
    assert!(!is_open(&schedule, "2026-11-24T07:59:59Z"));
    assert!(is_open(&schedule, "2026-11-24T08:00:00Z"));
    assert!(is_open(&schedule, "2026-11-24T10:59:59.999Z"));
    assert!(!is_open(&schedule, "2026-11-24T11:00:00Z"));
    assert!(!is_open(&schedule, "2026-11-28T09:00:00Z"), "a Saturday");
}

#[test]
fn a_window_that_ends_before_it_starts_ends_the_next_day() {
    let schedule = one(Tz::UTC, Days::of([Weekday::Fri]), "22:00", "05:00");
    assert!(is_open(&schedule, "2026-11-27T23:00:00Z"));
    assert!(is_open(&schedule, "2026-11-28T04:59:00Z"), "Saturday, but it opened on Friday");
    assert!(!is_open(&schedule, "2026-11-27T04:00:00Z"), "Friday, but Thursday is not one of its days");
    assert!((schedule.windows()[0].hours_per_week() - 7.0).abs() < 1e-9);
}

#[test]
fn the_largest_open_floor_counts() {
    let window = |name, from, to, replicas| Window::parse(name, Days::DAILY, from, to, replicas).unwrap();
    let windows =
        vec![window("day", "06:00", "22:00", 4), window("peak", "08:00", "10:00", 9), window("a", "09:00", "12:00", 9)];
    let schedule = Schedule::new(Tz::UTC, windows).unwrap();
    let floor = |text| schedule.open_at(at(text)).map(|open| (open.window, open.min));
    assert_eq!(floor("2026-11-24T07:00:00Z"), Some(("day", 4)));
    assert_eq!(floor("2026-11-24T09:30:00Z"), Some(("peak", 9)), "of equal floors the first");
    assert_eq!(floor("2026-11-24T23:00:00Z"), None);
    // At 10:00 the peak ends but the floor stays: no change.
    assert_eq!(changes(&schedule, "2026-11-24T05:00:00Z", 4), ["24T06:00", "24T08:00", "24T12:00", "24T22:00"]);
}

#[test]
fn the_largest_ceiling_counts_whichever_window_states_it() {
    let window = |name, from, to, min| Window::parse(name, Days::DAILY, from, to, min).unwrap();
    let windows = vec![window("day", "06:00", "22:00", 4).with_max(30).unwrap(), window("peak", "08:00", "10:00", 9)];
    let schedule = Schedule::new(Tz::UTC, windows).unwrap();
    let open = |text| schedule.open_at(at(text)).map(|open| (open.window, open.min, open.max));
    assert_eq!(open("2026-11-24T09:00:00Z"), Some(("peak", 9, Some(30))));
    assert!(window("w", "06:00", "22:00", 4).with_max(3).is_err_and(|error| error.to_string().contains("`max` is 3")));
    let week = schedule.week();
    let segments: Vec<_> = week.segments().iter().take(3).map(|segment| (segment.floor, segment.ceiling)).collect();
    assert_eq!(segments, [(None, None), (Some(4), Some(30)), (Some(9), Some(30))]);
}

#[test]
fn an_event_opens_once_by_the_wall_clock() {
    let sale = DatedWindow::parse("sale", "2026-11-27T18:00", "2026-11-28T02:00", 40).unwrap();
    let day = Window::parse("day", Days::DAILY, "06:00", "22:00", 4).unwrap();
    let schedule = Schedule::new(Tz::Europe__Berlin, vec![day]).unwrap().with_events(vec![sale.clone()]).unwrap();
    let floor = |text| schedule.open_at(at(text)).map(|open| (open.window, open.min));
    assert_eq!(floor("2026-11-27T16:59:59Z"), Some(("day", 4)));
    assert_eq!(floor("2026-11-27T17:00:00Z"), Some(("sale", 40)));
    assert_eq!(floor("2026-11-28T01:00:00Z"), None);
    assert_eq!(floor("2027-11-27T18:00:00Z"), Some(("day", 4)), "another year");
    assert_eq!(changes(&schedule, "2026-11-27T12:00:00Z", 3), ["27T17:00", "28T01:00", "28T05:00"]);
    assert!(schedule.week().pod_hours(0) < 7.0 * 16.0 * 4.0 + 0.1, "a week without events");
    let twice = schedule.with_events(vec![sale]).unwrap_err();
    assert!(twice.to_string().contains("\"sale\": another window"), "{twice}");
}

#[test]
fn what_is_wrong_with_an_event_is_said_with_its_name() {
    let read =
        |from: &str, to: &str, min: u32| DatedWindow::parse("sale", from, to, min).map_err(|error| error.to_string());
    for (from, to, min, expected) in [
        ("2026-11-27T18:00", "2026-11-27T18:00", 4, "`to` is not after `from`"),
        ("2026-11-27 18:00", "2026-11-27T20:00", 4, "`from` is \"2026-11-27 18:00\""),
        ("2026-11-27T18:00", "2026-11-31T20:00", 4, "`to` is \"2026-11-31T20:00\""),
        ("2026-1-27T18:00:0", "2026-11-30T20:00", 4, "`from` is"),
        ("2026-11-27T18:00", "2026-11-27T20:00", 0, "`min` is 0"),
    ] {
        let error = read(from, to, min).unwrap_err();
        assert!(error.contains("window \"sale\"") && error.contains(expected), "{error}");
    }
}

#[test]
fn a_schedule_has_so_many_windows_and_events_and_no_more() {
    let windows = |count: usize| -> Vec<Window> {
        let names = (0..count).map(|nth| format!("w{nth}"));
        names.map(|name| Window::parse(name, Days::DAILY, "08:00", "09:00", 1).unwrap()).collect()
    };
    let event = DatedWindow::parse("sale", "2026-11-27T18:00", "2026-11-27T20:00", 40).unwrap();
    let full = Schedule::new(Tz::UTC, windows(1_000)).unwrap();
    let text = serde_json::to_string(&full).unwrap();
    assert_eq!(serde_json::from_str::<Schedule>(&text).unwrap(), full);
    let refused = full.with_events(vec![event]).unwrap_err();
    assert_eq!(refused, InvalidSchedule::TooMany { windows: 1_000, events: 1 });
    assert_eq!(refused.to_string(), "1000 windows and 1 events are more than 1000 together");
    let more = text.replacen(
        "[{",
        "[{\"name\":\"x\",\"days\":\"weekdays\",\"from\":\"08:00\",\"to\":\"09:00\",\"min\":1},{",
        1,
    );
    assert!(serde_json::from_str::<Schedule>(&more).unwrap_err().to_string().starts_with("1001 windows"));
}

#[test]
fn a_start_skipped_by_the_clock_is_the_first_instant_after_the_gap() {
    // New York, 2026-03-08: 01:59:59 EST is followed by 03:00:00 EDT, at 07:00 UTC.
    let schedule = one(Tz::America__New_York, Days::DAILY, "02:30", "04:00");
    assert!(!is_open(&schedule, "2026-03-08T06:59:59Z"));
    assert!(is_open(&schedule, "2026-03-08T07:00:00Z"));
    assert_eq!(changes(&schedule, "2026-03-08T00:00:00Z", 2), ["08T07:00", "08T08:00"]);
    // A gap at midnight: São Paulo, 2018-11-04 began at 01:00.
    let schedule = one(Tz::America__Sao_Paulo, Days::of([Weekday::Sun]), "00:00", "02:00");
    assert_eq!(changes(&schedule, "2018-11-03T12:00:00Z", 2), ["04T03:00", "04T04:00"]);
    // Half an hour: Lord Howe, 2026-10-04, 02:00 becomes 02:30.
    let schedule = one(Tz::Australia__Lord_Howe, Days::DAILY, "02:10", "03:00");
    assert_eq!(changes(&schedule, "2026-10-03T15:00:00Z", 2), ["03T15:30", "03T16:00"]);
}

#[test]
fn a_window_inside_a_gap_does_not_open_that_day_and_opens_the_next_time() {
    let schedule = one(Tz::America__New_York, Days::of([Weekday::Sun]), "02:15", "02:45");
    assert_eq!(schedule.next_change(at("2026-03-07T00:00:00Z")), Some(at("2026-03-15T06:15:00Z")));
}

#[test]
fn a_repeated_time_is_open_in_both_passes() {
    // New York, 2026-11-01: 01:00 to 02:00 comes twice, from 05:00 and from 06:00 UTC.
    let schedule = one(Tz::America__New_York, Days::DAILY, "01:15", "01:45");
    assert!(is_open(&schedule, "2026-11-01T05:30:00Z"));
    assert!(!is_open(&schedule, "2026-11-01T05:50:00Z"));
    assert!(is_open(&schedule, "2026-11-01T06:30:00Z"));
    assert_eq!(changes(&schedule, "2026-11-01T00:00:00Z", 4), ["01T05:15", "01T05:45", "01T06:15", "01T06:45"]);
    // The clock falls back into a window that had closed: no edge is passed, yet it opens.
    let schedule = one(Tz::America__New_York, Days::DAILY, "00:30", "01:30");
    assert_eq!(changes(&schedule, "2026-11-01T00:00:00Z", 4), ["01T04:30", "01T05:30", "01T06:00", "01T06:30"]);
}

fn event(zone: Tz, from: &str, to: &str) -> Schedule {
    let event = DatedWindow::parse("e", from, to, 5).unwrap();
    Schedule::new(zone, vec![]).unwrap().with_events(vec![event]).unwrap()
}

#[test]
fn an_event_is_one_stretch_of_time_over_a_change_of_the_clock() {
    // Berlin, 2026-10-25: 02:00 to 03:00 comes twice, from 00:00 and from 01:00 UTC.
    for (from, to, opens, closes) in [
        ("02:30", "03:30", "25T00:30", "25T02:30"),
        ("01:30", "02:30", "24T23:30", "25T01:30"),
        ("02:15", "02:45", "25T00:15", "25T01:45"),
        ("01:00", "02:00", "24T23:00", "25T01:00"),
        ("03:00", "04:00", "25T02:00", "25T03:00"),
    ] {
        let event = event(Tz::Europe__Berlin, &format!("2026-10-25T{from}"), &format!("2026-10-25T{to}"));
        assert_eq!(changes(&event, "2026-10-24T00:00:00Z", 9), [opens, closes], "{from} to {to}");
    }
    // New York, 2026-03-08: 02:00 to 03:00 does not come; 03:00 is 07:00 UTC.
    for (from, to, expected) in [
        ("01:30", "02:30", &["08T06:30", "08T07:00"][..]),
        ("02:30", "04:00", &["08T07:00", "08T08:00"]),
        ("02:15", "02:45", &[]),
    ] {
        let event = event(Tz::America__New_York, &format!("2026-03-08T{from}"), &format!("2026-03-08T{to}"));
        assert_eq!(changes(&event, "2026-03-07T00:00:00Z", 9), expected, "{from} to {to}");
    }
    // A day that Samoa skipped.
    let skipped = event(Tz::Pacific__Apia, "2011-12-30T12:00", "2011-12-31T01:00");
    assert_eq!(changes(&skipped, "2011-12-29T00:00:00Z", 9), ["30T10:00", "30T11:00"]);
}

#[test]
fn the_ends_of_the_calendar_do_no_harm() {
    for zone in [Tz::Pacific__Kiritimati, Tz::Pacific__Pago_Pago] {
        let schedule = one(zone, Days::DAILY, "00:00", "12:00");
        for at in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
            let _ = (schedule.open_at(at), schedule.next_change(at));
        }
    }
}

#[test]
fn what_never_changes_has_no_next_change() {
    assert_eq!(one(Tz::UTC, Days::DAILY, "00:00", "00:00").next_change(at("2026-11-24T00:00:00Z")), None);
    assert_eq!(Schedule::new(Tz::UTC, vec![]).unwrap().next_change(at("2026-11-24T00:00:00Z")), None);
}

#[test]
fn written_form_reads_back_and_errors_name_the_window() {
    let text = r#"{"time_zone":"Europe/Berlin","windows":[
        {"name":"peak","days":"weekdays","from":"08:00","to":"11:00","min":8},
        {"name":"sale","days":["mon","thu"],"from":"20:00","to":"02:00","min":12,"max":40}],
        "events":[{"name":"flash","from":"2026-11-27T18:00","to":"2026-11-27T20:00","min":9}]}"#;
    let schedule: Schedule = serde_json::from_str(text).unwrap();
    let written = serde_json::to_string(&schedule).unwrap();
    assert_eq!(serde_json::from_str::<Schedule>(&written).unwrap(), schedule);
    assert!(written.contains(r#""days":["mon","thu"]"#), "{written}");

    let with =
        |from: &str, to: &str| serde_json::from_str::<Schedule>(&text.replace(from, to)).unwrap_err().to_string();
    for (from, to, expected) in [
        ("08:00", "8:00", "window \"peak\": `from` is \"8:00\""),
        ("02:00", "24:00", "window \"sale\": `to` is \"24:00\""),
        ("\"thu\"", "\"thursday\"", "window \"sale\": \"thursday\" is none of"),
        ("[\"mon\",\"thu\"]", "[]", "window \"sale\": it has no days"),
        ("\"min\":8", "\"min\":0", "window \"peak\": `min` is 0"),
        ("\"sale\"", "\"peak\"", "window \"peak\": another window"),
        ("\"min\":8", "\"pods\":8", "unknown field `pods`"),
        ("Europe/Berlin", "Mars/Phobos", "Mars/Phobos"),
    ] {
        let error = with(from, to);
        assert!(error.contains(expected), "{from} -> {to}: {error}");
    }
}

prop_compose! {
    fn window()(days in 1_u8..128, from in 0_u32..1440, to in 0_u32..1440, replicas in 1_u32..20) -> (Days, NaiveTime, NaiveTime, u32) {
        let time = |minute: u32| NaiveTime::from_hms_opt(minute / 60, minute % 60, 0).unwrap();
        let week = [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];
        let days = Days::of((0..7).filter(|bit| days & (1 << bit) != 0).map(|bit| week[bit]));
        (days, time(from), time(to), replicas)
    }
}

prop_compose! {
    fn schedules()(windows in prop::collection::vec(window(), 0..4), zone in prop::sample::select(vec![
        Tz::UTC, Tz::America__New_York, Tz::Australia__Lord_Howe, Tz::America__Sao_Paulo, Tz::Pacific__Apia,
    ])) -> Schedule {
        let named = windows.into_iter().enumerate().map(|(n, (days, from, to, replicas))| {
            Window::new(format!("w{n}"), days, from, to, replicas).unwrap()
        });
        Schedule::new(zone, named.collect()).unwrap()
    }
}

/// The so-manyth change of a zone's clock since 2010, if it has as many.
fn nth_change(zone: Tz, nth: usize) -> Option<DateTime<Utc>> {
    let offset = |day: i64| (at("2010-01-01T00:00:00Z") + TimeDelta::hours(day)).with_timezone(&zone).offset().fix();
    let day = (0..365 * 22).map(|day| day * 24).filter(|day| offset(*day) != offset(*day + 24)).nth(nth)?;
    let hour = (day..day + 24).find(|hour| offset(*hour) != offset(*hour + 1))?;
    let mut at = at("2010-01-01T00:00:00Z") + TimeDelta::hours(hour);
    let old = at.with_timezone(&zone).offset().fix();
    while at.with_timezone(&zone).offset().fix() == old {
        at += TimeDelta::minutes(1);
    }
    Some(at)
}

/// Instants around clock changes, and any others.
fn instants() -> impl Strategy<Value = DateTime<Utc>> {
    let changes = [
        "2026-03-08T07:00:00Z",
        "2026-11-01T06:00:00Z",
        "2026-10-03T15:30:00Z",
        "2018-11-04T03:00:00Z",
        "2011-12-30T10:00:00Z",
    ];
    let near = (prop::sample::select(changes.to_vec()), -200_000_i64..200_000);
    prop_oneof![
        near.prop_map(|(change, seconds)| at(change) + TimeDelta::seconds(seconds)),
        (0_i64..2_000_000_000_000).prop_map(|ms| DateTime::from_timestamp_millis(ms).unwrap()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn the_floor_is_constant_up_to_the_next_change_and_another_one_from_it_on(schedule in schedules(), after in instants()) {
        let floor = |at| schedule.open_at(at).map(|open| open.min);
        let now = floor(after);
        let next = schedule.next_change(after);
        let end = next.unwrap_or(after + TimeDelta::days(9));
        prop_assert!(end > after);
        let mut minute = after;
        while minute < end {
            prop_assert_eq!(floor(minute), now, "at {}", minute);
            minute += TimeDelta::minutes(7);
        }
        if let Some(next) = next {
            prop_assert_ne!(floor(next), now);
            prop_assert_eq!(floor(next - TimeDelta::milliseconds(1)), now);
        }
    }

    /// By the wall clock alone: an event is open once the clock has shown its start or a later time, and as long as it will still show a
    /// time before its end. Its instants, its next changes and its cron expressions say the same.
    #[test]
    fn an_event_is_one_stretch_of_time_in_every_zone(
        zone in prop::sample::select(chrono_tz::TZ_VARIANTS.to_vec()), change in 0_usize..40, from in -300_i64..300, minutes in 1_i64..400,
    ) {
        let Some(change) = nth_change(zone, change) else { return Ok(()) };
        let wall = |at: DateTime<Utc>| at.with_timezone(&zone).naive_local();
        let whole = (wall(change) + TimeDelta::minutes(from)).with_second(0).unwrap();
        let window = DatedWindow::new("e", whole, whole + TimeDelta::minutes(minutes), 5).unwrap();
        let schedule = Schedule::new(zone, vec![]).unwrap().with_events(vec![window.clone()]).unwrap();
        let start = change - TimeDelta::hours(40);
        let instants: Vec<DateTime<Utc>> = (0..80 * 12).map(|step| start + TimeDelta::minutes(5 * step)).collect();
        let mut shown = Vec::with_capacity(instants.len());
        let mut latest = wall(start);
        for at in &instants {
            // The time just before a change is shown, too.
            latest = latest.max(wall(*at)).max(wall(*at - TimeDelta::seconds(1)));
            shown.push(latest);
        }
        let mut earliest = wall(start + TimeDelta::hours(80));
        let mut still: Vec<_> = instants.iter().rev().map(|at| {
            earliest = earliest.min(wall(*at));
            earliest
        }).collect();
        still.reverse();
        let mut opened = 0;
        let mut before = false;
        for ((at, shown), still) in instants.iter().zip(shown).zip(still) {
            let is_open = schedule.open_at(*at).is_some();
            let within = window.opens_at(zone).unwrap() <= *at && *at < window.closes_at(zone).unwrap();
            prop_assert_eq!(is_open, within, "{} {}", zone, at);
            prop_assert_eq!(is_open, window.from() <= shown && still < window.to(), "{} {}", zone, at);
            opened += u32::from(is_open && !before);
            before = is_open;
        }
        prop_assert!(opened < 2);
        let edges: Vec<DateTime<Utc>> =
            std::iter::successors(schedule.next_change(start), |at| schedule.next_change(*at)).collect();
        let fired = |edge: &DateTime<Utc>| {
            schedule.cron().unwrap().iter().any(|cron| cron.fires_after(zone, *edge - TimeDelta::seconds(1)).next().is_some_and(|at| at == *edge))
        };
        if window.opens_at(zone) < window.closes_at(zone) {
            prop_assert_eq!(&edges, &[window.opens_at(zone).unwrap(), window.closes_at(zone).unwrap()]);
            // Cron knows whole minutes of the wall clock.
            prop_assert!(edges.iter().filter(|edge| wall(**edge).second() == 0).all(fired), "{:?}", edges);
        } else {
            prop_assert!(edges.is_empty());
        }
    }

    #[test]
    fn an_ordinary_week_has_the_hours_of_its_windows(schedule in schedules()) {
        let week = schedule.week();
        let hours: f64 = week.segments().iter().map(scaling_schedule::Segment::hours).sum();
        prop_assert!((hours - 168.0).abs() < 1e-9);
        for window in schedule.windows() {
            let alone = Schedule::new(Tz::UTC, vec![window.clone()]).unwrap();
            // Windows of a day may overlap with those of the next only when they last 24 hours at most: never.
            let pod_hours = window.hours_per_week() * f64::from(window.min());
            prop_assert!((alone.week().pod_hours(0) - pod_hours).abs() < 1e-6);
        }
    }

    #[test]
    fn the_written_form_reads_back(schedule in schedules()) {
        let text = serde_json::to_string(&schedule).unwrap();
        prop_assert_eq!(serde_json::from_str::<Schedule>(&text).unwrap(), schedule);
    }
}
