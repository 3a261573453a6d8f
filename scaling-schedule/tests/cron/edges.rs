//! A whole schedule as expressions: one for each time of day at which its bounds change.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use proptest::prelude::*;
use scaling_schedule::{CronExpression, DatedWindow, Days, Schedule, Tz, Window};

use super::{at, days};

fn schedule(windows: Vec<Window>) -> Schedule {
    Schedule::new(Tz::UTC, windows).unwrap()
}

fn texts(schedule: &Schedule) -> Vec<String> {
    schedule.cron().unwrap().iter().map(CronExpression::to_string).collect()
}

fn window(name: &str, days: Days, from: &str, to: &str, min: u32) -> Window {
    Window::parse(name, days, from, to, min).unwrap()
}

#[test]
fn equal_neighbours_are_one_and_nothing_fires_twice() {
    let all = schedule(vec![
        window("morning", Days::WEEKDAYS, "08:00", "12:00", 5),
        window("afternoon", Days::WEEKDAYS, "12:00", "18:00", 5),
        window("lower", Days::DAILY, "09:00", "10:00", 2),
        window("night", Days::WEEKEND, "22:00", "02:00", 4),
    ]);
    assert_eq!(
        texts(&all),
        [
            "0 2 * * MON,SUN",
            "0 8 * * MON,TUE,WED,THU,FRI",
            "0 9 * * SAT,SUN",
            "0 10 * * SAT,SUN",
            "0 18 * * MON,TUE,WED,THU,FRI",
            "0 22 * * SAT,SUN"
        ]
    );
    assert_eq!(texts(&schedule(vec![])), Vec::<String>::new());
    // A window of 24 hours: the whole week never changes, and days in a row have one start and one end.
    assert_eq!(texts(&schedule(vec![window("all", Days::DAILY, "00:00", "00:00", 5)])), Vec::<String>::new());
    assert_eq!(texts(&schedule(vec![window("work", Days::WEEKDAYS, "00:00", "00:00", 5)])), ["0 0 * * MON,SAT"]);
}

#[test]
fn events_have_the_edges_that_the_week_has_not() {
    let event = |name, from, to, min| DatedWindow::parse(name, from, to, min).unwrap();
    let all = schedule(vec![window("day", Days::DAILY, "08:00", "20:00", 5)])
        .with_events(vec![
            event("sale", "2026-11-27T18:00", "2026-11-27T20:00", 40),
            event("small", "2026-11-28T10:00", "2026-11-28T11:00", 3),
        ])
        .unwrap();
    assert_eq!(texts(&all), ["0 8 * * *", "0 20 * * *", "0 18 27 11 *"]);
}

prop_compose! {
    fn schedules()(
        windows in prop::collection::vec((1_u8..128, 0_u32..96, 0_u32..96, 1_u32..5, prop::option::of(5_u32..8)), 0..5),
    ) -> Schedule {
        let time = |quarter: u32| NaiveTime::from_hms_opt(quarter / 4, quarter % 4 * 15, 0).unwrap();
        let named = windows.into_iter().enumerate().map(|(nth, (bits, from, to, min, max))| {
            let window = Window::new(format!("w{nth}"), days(bits), time(from), time(to), min).unwrap();
            max.map_or(Ok(window.clone()), |max| window.with_max(max)).unwrap()
        });
        schedule(named.collect())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    /// In a week without a clock change they fire once whenever the bounds change, and at no other time.
    #[test]
    fn they_fire_once_whenever_the_bounds_change(schedule in schedules()) {
        let after = at("2026-11-22T23:59:59Z");
        let end = after + TimeDelta::days(7);
        let week = |cron: &CronExpression| -> Vec<DateTime<Utc>> {
            cron.fires_after(Tz::UTC, after).map(|at| at.to_utc()).take_while(|at| *at <= end).collect()
        };
        let fired: Vec<DateTime<Utc>> = schedule.cron().unwrap().iter().flat_map(week).collect();
        let distinct: BTreeSet<DateTime<Utc>> = fired.iter().copied().collect();
        prop_assert_eq!(fired.len(), distinct.len());
        let bounds = |at| schedule.open_at(at).map(|open| (open.min, open.max));
        let minutes = (0..10_080).map(|minute| after + TimeDelta::seconds(1) + TimeDelta::minutes(minute));
        let changes: BTreeSet<DateTime<Utc>> = minutes.filter(|at| bounds(*at) != bounds(*at - TimeDelta::minutes(1))).collect();
        prop_assert_eq!(distinct, changes);
    }
}
