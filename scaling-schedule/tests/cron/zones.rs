//! Windows in every zone whose clock changes, over three years.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone, Timelike, Utc};
use scaling_schedule::chrono_tz::TZ_VARIANTS;
use scaling_schedule::{CronExpression, Schedule, Tz, Window};

use super::{at, days};

const FROM: &str = "2025-01-01T00:00:00Z";
pub(crate) const TO: &str = "2028-01-01T00:00:00Z";

/// The offsets of a zone over the three years: from when on each holds.
pub(crate) fn offsets(zone: Tz) -> Vec<(DateTime<Utc>, TimeDelta)> {
    let offset = |at: DateTime<Utc>| {
        TimeDelta::seconds(zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc().into())
    };
    let mut found = vec![(at(FROM), offset(at(FROM)))];
    let mut day = at(FROM);
    while day < at(TO) {
        let next = day + TimeDelta::days(1);
        if offset(next) != offset(day) {
            // Every change is at a whole minute these days.
            let change =
                (1..=1440).map(|minute| day + TimeDelta::minutes(minute)).find(|at| offset(*at) != offset(day));
            found.push((change.unwrap(), offset(next)));
        }
        day = next;
    }
    found
}

/// Instants at which the wall clock shows a time, by the offsets: none, one or two.
fn instants(offsets: &[(DateTime<Utc>, TimeDelta)], local: NaiveDateTime) -> Vec<DateTime<Utc>> {
    let ends = offsets.iter().skip(1).map(|(from, _)| *from).chain([at(TO)]);
    let stretches = offsets.iter().zip(ends);
    stretches
        .filter_map(|((from, offset), to)| {
            let at = local.and_utc() - *offset;
            (*from <= at && at < to).then_some(at)
        })
        .collect()
}

/// From when on which offset holds.
type Offsets = Vec<(DateTime<Utc>, TimeDelta)>;

/// Zones in which the wall clock moves in the three years, one for each history of offsets: others of the same history would tell the same.
fn zones() -> Vec<(Tz, Offsets)> {
    let mut one_of = BTreeMap::new();
    let moving = TZ_VARIANTS.into_iter().map(|zone| (zone, offsets(zone))).filter(|(_, offsets)| offsets.len() > 1);
    let mut count = 0;
    for (zone, offsets) in moving {
        count += 1;
        one_of.entry(offsets).or_insert(zone);
    }
    assert!(count > 150, "{count} zones change their clock");
    eprintln!("{count} zones change their clock, in {} ways", one_of.len());
    one_of.into_iter().map(|(offsets, zone)| (zone, offsets)).collect()
}

#[test]
fn windows_open_and_close_at_the_firings_of_their_expressions_in_every_zone() {
    let time = |hour, minute| NaiveTime::from_hms_opt(hour, minute, 0).unwrap();
    // Edges inside of the skipped and repeated hours of all zones, at midnight, and far from both.
    let windows = [
        (time(8, 0), time(18, 30), 0b001_1111),
        (time(22, 45), time(2, 15), 0b111_1111),
        (time(2, 30), time(3, 30), 0b100_0000),
        (time(0, 0), time(1, 30), 0b110_0001),
        (time(23, 59), time(0, 0), 0b111_0000),
        // 24 hours: on days in a row, apart, and on all.
        (time(0, 0), time(0, 0), 0b001_1111),
        (time(2, 30), time(2, 30), 0b100_0001),
        (time(12, 0), time(12, 0), 0b001_0101),
        (time(0, 0), time(0, 0), 0b111_1111),
    ];
    for (zone, offsets) in zones() {
        for (from, to, bits) in windows {
            let window = Window::new("w", days(bits), from, to, 3).unwrap();
            let (opens, closes) = window.cron().unwrap();
            let schedule = Schedule::new(zone, vec![window]).unwrap();
            let never = bits == 0b111_1111 && from == to;
            assert_eq!(closes.is_none(), never, "{from} to {to}");
            let closes = closes.as_ref().map(|closes| (closes, to, false));
            for (cron, edge, is_open) in [(&opens, from, true)].into_iter().chain(closes) {
                let fired = fired(cron, zone);
                assert_eq!(fired, expected(&schedule, &offsets, edge, is_open), "{cron} in {zone}");
                let second = TimeDelta::seconds(1);
                for at in &fired {
                    // The clock shows the edge, so the window is open from now on; a second before it shows another minute.
                    assert_eq!(schedule.open_at(*at).is_some(), is_open, "{cron} in {zone} at {at}");
                    assert_eq!(
                        schedule.open_at(*at + second).is_some(),
                        is_open,
                        "{cron} in {zone} at {at}, a second later"
                    );
                    // One of 24 hours opens again while it is open.
                    let again = is_open && from == to;
                    if !again && !offsets.iter().any(|(change, _)| change == at) {
                        assert_ne!(
                            schedule.open_at(*at - second).is_some(),
                            is_open,
                            "{cron} in {zone} at {at}, a second before"
                        );
                    }
                }
            }
        }
    }
}

fn fired(cron: &CronExpression, zone: Tz) -> Vec<DateTime<Utc>> {
    let after = at(FROM) - TimeDelta::seconds(1);
    cron.fires_after(zone, after).map(|at| at.to_utc()).take_while(|fired| *fired < at(TO)).collect()
}

/// Instants at which the wall clock shows the edge of the window on one of its days.
fn expected(
    schedule: &Schedule,
    offsets: &[(DateTime<Utc>, TimeDelta)],
    edge: NaiveTime,
    opens: bool,
) -> Vec<DateTime<Utc>> {
    let window = &schedule.windows()[0];
    let first = at(FROM).date_naive().pred_opt().unwrap();
    let dates = first.iter_days().take_while(|date| date.year() < 2028 || date.ordinal() < 3);
    let day = |date: &chrono::NaiveDate| {
        let day = if opens || !window.ends_next_day() { date.weekday() } else { date.weekday().pred() };
        let goes_on = !opens && window.from() == window.to() && window.days().contains(date.weekday());
        window.days().contains(day) && !goes_on
    };
    let mut all: Vec<DateTime<Utc>> =
        dates.filter(day).flat_map(|date| instants(offsets, date.and_time(edge))).collect();
    all.retain(|instant| *instant >= at(FROM));
    all.sort_unstable();
    assert!(all.iter().all(|at| at.second() == 0));
    all
}
