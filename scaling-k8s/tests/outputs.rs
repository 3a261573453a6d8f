//! A schedule in each form that it goes out as, read back from it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "outputs/hostile.rs"]
mod hostile;
#[cfg(unix)]
#[path = "outputs/shell.rs"]
mod shell;

use std::num::NonZeroU16;

use proptest::prelude::*;
use scaling_core::chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc, Weekday};
use scaling_core::{Bounds, Target};
use scaling_k8s::api::cronjob::CronJobs;
use scaling_k8s::api::{Moment, OutputError, WeekPlan, karmada, keda};
use scaling_k8s::kubectl;
use scaling_schedule::{CronExpression, DatedWindow, Days, Schedule, Tz, Window};
use serde_json::{Value, json};

fn bounds(min: u32, max: u32) -> Bounds {
    Bounds::new(min, max).unwrap()
}

fn moment(minute: u32) -> Moment {
    let day = Weekday::try_from(u8::try_from(minute / 1440 % 7).unwrap()).unwrap();
    Moment::new(day, minute % 1440 / 60, minute % 60).unwrap()
}

fn target() -> Target {
    Target::deployment("shop", "checkout")
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// Weekdays from 8:00 to 18:30, a night over the end of the week, and a sale.
fn schedule() -> Schedule {
    let windows = vec![
        Window::parse("work", Days::WEEKDAYS, "08:00", "18:30", 5).unwrap().with_max(20).unwrap(),
        Window::parse("night", Days::of([Weekday::Sun]), "22:00", "02:00", 12).unwrap(),
    ];
    let sale = DatedWindow::parse("sale", "2026-11-27T18:00", "2026-11-27T20:00", 40).unwrap();
    Schedule::new(Tz::Europe__Berlin, windows).unwrap().with_events(vec![sale]).unwrap()
}

fn week() -> WeekPlan {
    WeekPlan::of(&schedule(), bounds(2, 10)).unwrap()
}

#[test]
fn commands_stand_below_the_times_at_which_they_hold() {
    let set = |min, max| kubectl::set_bounds(&target(), bounds(min, max)).unwrap();
    let text = kubectl::schedule(&target(), &week()).unwrap();
    let expected = [
        "# Bounds by the clock of Europe/Berlin".to_owned(),
        "# otherwise".to_owned(),
        set(2, 10),
        "# MON 00:00 to MON 02:00\n# SUN 22:00 to MON 00:00".to_owned(),
        set(12, 12),
        (0..5)
            .map(|day| format!("# {0} 08:00 to {0} 18:30", ["MON", "TUE", "WED", "THU", "FRI"][day]))
            .collect::<Vec<_>>()
            .join("\n"),
        set(5, 20),
        "# 2026-11-27 18:00+01:00 to 2026-11-27 20:00+01:00".to_owned(),
        set(40, 40),
    ];
    assert_eq!(text, expected.join("\n") + "\n");
    assert!(
        kubectl::set_bounds(&target().in_cluster("eu 1"), bounds(1, 2))
            .unwrap()
            .starts_with("kubectl --context 'eu 1' --namespace shop patch ")
    );
}

#[test]
fn what_a_form_cannot_hold_is_said() {
    let inexpressible = |result: Result<Value, OutputError>, what: &str| match result {
        Err(OutputError::Inexpressible { what: seen, .. }) => assert!(seen.contains(what), "{seen}"),
        other => panic!("{other:?}"),
    };
    inexpressible(keda::scaled_object(&target(), &week(), None), "events");
    inexpressible(karmada::cron_federated_hpa(&target(), &week()), "events");
    inexpressible(keda::scaled_object(&target(), &week().without_events(), None), "a max that changes");
    let one_max = week().without_events().with_highest_max();
    assert_eq!(one_max.at(moment(9 * 60)), bounds(5, 20));
    assert_eq!(one_max.at(moment(20 * 60)), bounds(2, 20));
    assert!(keda::scaled_object(&target(), &one_max, None).is_ok());
    let mut long = week();
    let date = |year, month, day| NaiveDate::from_ymd_opt(year, month, day).unwrap().and_time(NaiveTime::MIN).and_utc();
    long.raise(date(2026, 1, 1), date(2036, 1, 1), 3, None).unwrap();
    assert!(matches!(kubectl::schedule(&target(), &long), Err(OutputError::Inexpressible { .. })));
    // The jobs and JSON hold it all.
    let job = CronJobs::new(&target(), long.clone(), "x").unwrap().objects().pop().unwrap();
    assert_eq!(CronJobs::read_week(&job).unwrap(), long);
}

#[test]
fn a_week_that_never_changes_is_no_set_of_jobs() {
    let constant = WeekPlan::new("UTC", bounds(2, 100)).unwrap();
    let refused = CronJobs::new(&target(), constant.clone(), "x").unwrap_err();
    assert!(matches!(refused, OutputError::Inexpressible { .. }), "{refused}");
    assert!(refused.to_string().contains("set the bounds of the HPA to 2..100 once"), "{refused}");
    let mut dated = constant;
    dated.raise(at("2026-11-27T17:00:00Z"), at("2026-11-27T19:00:00Z"), 40, None).unwrap();
    assert!(CronJobs::new(&target(), dated, "x").is_ok());
}

#[test]
fn an_event_over_a_change_of_the_clock_is_one_stretch_in_every_form() {
    let event = |name, from, to, min| DatedWindow::parse(name, from, to, min).unwrap();
    // In Berlin the hour from two to three comes twice, and in spring not at all.
    let events = vec![
        event("autumn", "2026-10-25T02:30", "2026-10-25T03:30", 9),
        event("spring", "2026-03-29T02:30", "2026-03-29T04:00", 8),
        event("never", "2027-03-28T02:15", "2027-03-28T02:45", 7),
    ];
    let early = Window::parse("early", Days::DAILY, "00:00", "02:45", 3).unwrap();
    let schedule = Schedule::new(Tz::Europe__Berlin, vec![early]).unwrap().with_events(events).unwrap();
    let week = WeekPlan::of(&schedule, bounds(1, 20)).unwrap();
    let text = kubectl::schedule(&target(), &week).unwrap();
    assert!(text.contains("# 2026-10-25 02:30+02:00 to 2026-10-25 03:30+01:00"), "{text}");
    assert!(text.contains("# 2026-03-29 03:00+02:00 to 2026-03-29 04:00+02:00"), "{text}");
    assert!(!text.contains("2027"), "{text}");
    let jobs = CronJobs::new(&target(), week.clone(), "x").unwrap().objects();
    let dated: Vec<[&str; 2]> = jobs
        .iter()
        .filter(|job| job["spec"]["timeZone"] == "Etc/UTC")
        .map(|job| [&job["spec"]["schedule"], &job["metadata"]["name"]].map(|text| text.as_str().unwrap()))
        .collect();
    assert_eq!(
        dated,
        [
            ["0 1 29 3 *", "checkout-0329t0100"],
            ["0 2 29 3 *", "checkout-0329t0200"],
            ["30 0 25 10 *", "checkout-1025t0030"],
            ["30 2 25 10 *", "checkout-1025t0230"],
        ]
    );
    for day in ["2026-10-24T12:00:00Z", "2026-03-28T12:00:00Z", "2027-03-27T12:00:00Z"] {
        for minute in 0..24 * 60 {
            let at = at(day) + TimeDelta::minutes(minute);
            let min = schedule.open_at(at).map_or(1, |open| open.min);
            assert_eq!(week.bounds_at(at), Some(bounds(min, 20)), "{at}");
            assert_eq!(kubectl::read_schedule(&text).unwrap().bounds_at(at), Some(bounds(min, 20)), "{at}");
        }
    }
}

#[test]
fn a_scaled_object_takes_over_the_hpa_that_it_names() {
    let target = target().with_hpa("checkout-cpu");
    let object =
        keda::scaled_object(&target, &week().without_events().with_highest_max(), NonZeroU16::new(60)).unwrap();
    assert_eq!(object["metadata"]["annotations"], json!({ "scaledobject.keda.sh/transfer-hpa-ownership": "true" }));
    assert_eq!(object["spec"]["advanced"], json!({ "horizontalPodAutoscalerConfig": { "name": "checkout-cpu" } }));
}

#[test]
fn a_min_of_0_is_for_keda_alone() {
    let mut week = WeekPlan::new("UTC", bounds(0, 10)).unwrap();
    week.set(moment(8 * 60), moment(18 * 60), bounds(3, 10));
    let said = [
        CronJobs::new(&target(), week.clone(), "x").map(|_| ()).unwrap_err(),
        karmada::cron_federated_hpa(&target(), &week).unwrap_err(),
    ];
    for error in said {
        assert!(error.to_string().ends_with("cannot express a min of 0 (MON 00:00): set it to 1 or more"), "{error}");
    }
    assert_eq!(keda::read(&keda::scaled_object(&target(), &week, NonZeroU16::new(60)).unwrap()).unwrap(), week);
    // Where a window lies over every minute, what is outside never holds.
    week.set(moment(0), moment(0), bounds(1, 10));
    assert!(karmada::cron_federated_hpa(&target(), &week).is_ok());
    let asleep = WeekPlan::new("UTC", bounds(0, 10)).unwrap();
    assert!(keda::scaled_object(&target(), &asleep, NonZeroU16::new(60)).is_err());
}

#[test]
fn more_than_cron_jobs_can_hold_is_said() {
    let new = |week: WeekPlan| CronJobs::new(&target(), week, "x").map(|jobs| jobs.objects().len());
    let refused = |week: WeekPlan, what: &str| {
        let error = new(week).unwrap_err();
        assert!(matches!(error, OutputError::Inexpressible { .. }) && error.to_string().contains(what), "{error}");
    };
    let week = |edges: u32| {
        let mut week = WeekPlan::new("UTC", bounds(1, 10)).unwrap();
        for minute in (0..edges).step_by(2) {
            week.set(moment(minute), moment(minute + 1), bounds(2, 10));
        }
        week
    };
    assert_eq!(new(week(500)).unwrap(), 504, "their account, its rights, and the one of every hour");
    refused(week(502), "502 times");
    let mut long = week(2);
    let start = at("2026-01-01T00:00:00Z");
    for nth in 0..5_000 {
        let from = start + TimeDelta::hours(nth);
        long.raise(from, from + TimeDelta::minutes(30), 3, None).unwrap();
    }
    refused(long, "bytes as a script");
}

#[test]
fn triggers_and_rules_are_as_few_as_the_times() {
    let object = keda::scaled_object(&target(), &week().without_events().with_highest_max(), None).unwrap();
    let triggers: Vec<[&str; 3]> = object["spec"]["triggers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|trigger| ["start", "end", "desiredReplicas"].map(|field| trigger["metadata"][field].as_str().unwrap()))
        .collect();
    assert_eq!(
        triggers,
        [["0 8 * * MON,TUE,WED,THU,FRI", "30 18 * * MON,TUE,WED,THU,FRI", "5"], ["0 22 * * SUN", "0 2 * * MON", "12"]]
    );
    assert_eq!((&object["spec"]["minReplicaCount"], &object["spec"]["maxReplicaCount"]), (&2.into(), &20.into()));
    let object = karmada::cron_federated_hpa(&target(), &week().without_events()).unwrap();
    let rules: Vec<[&str; 2]> = object["spec"]["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| ["name", "schedule"].map(|field| rule[field].as_str().unwrap()))
        .collect();
    assert_eq!(
        rules,
        [
            ["0200-2-10", "0 2 * * MON"],
            ["0800-5-20", "0 8 * * MON,TUE,WED,THU,FRI"],
            ["1830-2-10", "30 18 * * MON,TUE,WED,THU,FRI"],
            ["2200-12-12", "0 22 * * SUN"]
        ]
    );
    let constant = WeekPlan::new("UTC", bounds(2, 10)).unwrap();
    // KEDA takes no object without triggers.
    let refused = keda::scaled_object(&target(), &constant, None);
    assert!(matches!(refused, Err(OutputError::Inexpressible { .. })), "{refused:?}");
    let object = keda::scaled_object(&target(), &constant, NonZeroU16::new(60)).unwrap();
    let cpu = json!([{ "type": "cpu", "metricType": "Utilization", "metadata": { "value": "60" } }]);
    assert_eq!((&object["spec"]["triggers"], keda::read(&object).unwrap()), (&cpu, constant.clone()));
    assert_eq!(karmada::read(&karmada::cron_federated_hpa(&target(), &constant).unwrap()).unwrap(), constant);
    // The longest numbers are still a name of a rule.
    let large = WeekPlan::new("UTC", bounds(2_147_483_647, 2_147_483_647)).unwrap();
    assert!(
        karmada::cron_federated_hpa(&target(), &large).unwrap()["spec"]["rules"][0]["name"].as_str().unwrap().len()
            <= 32
    );
}

/// Weeks with and without a change of the clock, by UTC.
const WEEKS: [&str; 3] = ["2026-03-23T00:00:00Z", "2026-06-01T00:00:00Z", "2026-10-19T00:00:00Z"];

prop_compose! {
    fn schedules()(
        windows in prop::collection::vec((1_u8..128, 0_u32..96, 0_u32..96, 1_u32..6, prop::option::of(6_u32..9)), 0..5),
        events in prop::collection::vec((0_i64..14_000, 1_i64..3_000, 1_u32..8, prop::option::of(8_u32..12)), 0..3),
        monday in prop::sample::select(WEEKS.to_vec()),
        zone in prop::sample::select(vec![Tz::Europe__Berlin, Tz::UTC, Tz::Africa__Cairo, Tz::Australia__Lord_Howe]),
    ) -> (Schedule, DateTime<Utc>) {
        let time = |quarter: u32| NaiveTime::from_hms_opt(quarter / 4, quarter % 4 * 15, 0).unwrap();
        let all = (0..7).map(|day| Weekday::try_from(day).unwrap());
        let windows = windows.into_iter().enumerate().map(|(nth, (bits, from, to, min, max))| {
            let days = Days::of(all.clone().filter(|day| bits >> day.num_days_from_monday() & 1 == 1));
            let window = Window::new(format!("w{nth}"), days, time(from), time(to), min).unwrap();
            max.map_or(Ok(window.clone()), |max| window.with_max(max)).unwrap()
        }).collect();
        let events = events.into_iter().enumerate().map(|(nth, (from, minutes, min, max))| {
            let from = at(monday).naive_utc() + TimeDelta::minutes(from);
            let event = DatedWindow::new(format!("e{nth}"), from, from + TimeDelta::minutes(minutes), min).unwrap();
            max.map_or(Ok(event.clone()), |max| event.with_max(max)).unwrap()
        }).collect();
        (Schedule::new(zone, windows).unwrap().with_events(events).unwrap(), at(monday))
    }
}

/// The same bounds at every minute of a week, and a day on each side of it.
fn same(read: &WeekPlan, week: &WeekPlan, monday: DateTime<Utc>) -> Result<(), TestCaseError> {
    for minute in -1440..8 * 1440 {
        let at = monday + TimeDelta::minutes(minute);
        prop_assert_eq!(read.bounds_at(at), week.bounds_at(at), "at {}", at);
    }
    Ok(())
}

/// The objects of a week; none for one that never changes, which is refused.
fn jobs_of(week: &WeekPlan) -> Vec<Value> {
    match CronJobs::new(&target(), week.clone(), "x") {
        Ok(jobs) => jobs.objects(),
        Err(error) => {
            assert!(week.is_constant() && error.to_string().contains("never changes"), "{error}");
            Vec::new()
        }
    }
}

/// As Kubernetes stores it: numbers and texts, in another order.
fn stored(object: &Value) -> Value {
    serde_json::from_str(&object.to_string()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    /// The plan holds what the schedule in process does: its floors and ceilings on top of what is outside.
    #[test]
    fn a_plan_holds_the_bounds_of_its_schedule((schedule, monday) in schedules(), outside in (0_u32..4, 4_u32..7)) {
        let outside = bounds(outside.0, outside.1);
        let week = WeekPlan::of(&schedule, outside).unwrap();
        for minute in 0..8 * 1440 {
            let at = monday + TimeDelta::minutes(minute);
            let open = schedule.open_at(at);
            let min = outside.min().max(open.map_or(0, |open| open.min));
            let max = outside.max().max(open.and_then(|open| open.max).unwrap_or(0)).max(min);
            prop_assert_eq!(week.bounds_at(at), Some(bounds(min, max)), "at {}", at);
        }
    }

    #[test]
    fn what_goes_out_is_read_back((schedule, monday) in schedules()) {
        let week = WeekPlan::of(&schedule, bounds(1, 5)).unwrap();
        let copy: WeekPlan = serde_json::from_str(&serde_json::to_string(&week).unwrap()).unwrap();
        prop_assert_eq!(&copy, &week);
        let copy: Schedule = serde_json::from_str(&serde_json::to_string(&schedule).unwrap()).unwrap();
        prop_assert_eq!(WeekPlan::of(&copy, bounds(1, 5)).unwrap(), week.clone());
        for job in jobs_of(&week).iter().filter(|object| object["kind"] == "CronJob") {
            prop_assert_eq!(CronJobs::read_week(&stored(job)).unwrap(), week.clone());
        }
        same(&kubectl::read_schedule(&kubectl::schedule(&target(), &week).unwrap()).unwrap(), &week, monday)?;
        let recurring = week.without_events();
        same(&karmada::read(&stored(&karmada::cron_federated_hpa(&target(), &recurring).unwrap())).unwrap(), &recurring, monday)?;
        let one_max = recurring.with_highest_max();
        same(&keda::read(&stored(&keda::scaled_object(&target(), &one_max, NonZeroU16::new(70)).unwrap())).unwrap(), &one_max, monday)?;
    }

    /// A trigger of KEDA is active when its next end is not after its next start. By that rule, and the parser it has in common with
    /// Kubernetes, the most that active triggers ask for is the min of the moment; but around changes of the clock: a firing that is skipped
    /// is made up a week later.
    #[test]
    fn keda_asks_for_the_min_of_the_moment((schedule, monday) in schedules(), minute in 0..7_u32 * 1440) {
        let week = WeekPlan::of(&schedule, bounds(1, 5)).unwrap().without_events().with_highest_max();
        let object = keda::scaled_object(&target(), &week, NonZeroU16::new(70)).unwrap();
        let zone = schedule.time_zone();
        let now = monday + TimeDelta::minutes(minute.into());
        let (before, after) = (TimeDelta::days(2), TimeDelta::days(9));
        let offset = |at: DateTime<Utc>| at.with_timezone(&zone).format("%z").to_string();
        prop_assume!(offset(now - before) == offset(now + after));
        let next = |text: &Value| text.as_str().unwrap().parse::<CronExpression>().unwrap().fires_after(zone, now).next().unwrap();
        let active = object["spec"]["triggers"].as_array().unwrap().iter().filter(|trigger| trigger["type"] == "cron").filter(|trigger| {
            next(&trigger["metadata"]["end"]) <= next(&trigger["metadata"]["start"])
        });
        let asked = active.map(|trigger| trigger["metadata"]["desiredReplicas"].as_str().unwrap().parse::<u32>().unwrap()).max();
        let lowest = object["spec"]["minReplicaCount"].as_u64().unwrap();
        let min = asked.unwrap_or(0).max(u32::try_from(lowest).unwrap());
        prop_assert_eq!(Some(min), week.bounds_at(now).map(Bounds::min));
    }

    /// The rules of Karmada, run at their times, leave the bounds of the moment; but on days on which the clock changes.
    #[test]
    fn karmada_leaves_the_bounds_of_the_moment((schedule, monday) in schedules(), minute in 0..7_u32 * 1440) {
        let week = WeekPlan::of(&schedule, bounds(1, 5)).unwrap().without_events();
        let object = karmada::cron_federated_hpa(&target(), &week).unwrap();
        let zone = schedule.time_zone();
        let now = monday + TimeDelta::minutes(minute.into());
        let offset = |at: DateTime<Utc>| at.with_timezone(&zone).format("%z").to_string();
        let before = now - TimeDelta::days(8);
        prop_assume!(offset(before) == offset(now));
        let last = object["spec"]["rules"].as_array().unwrap().iter().filter_map(|rule| {
            let cron: CronExpression = rule["schedule"].as_str().unwrap().parse().unwrap();
            cron.fires_after(zone, before).take_while(|at| *at <= now).last().map(|at| (at, rule.clone()))
        });
        let (_, rule) = last.max_by_key(|(at, _)| *at).unwrap();
        let number = |field: &str| u32::try_from(rule[field].as_u64().unwrap()).unwrap();
        prop_assert_eq!(week.bounds_at(now), Some(bounds(number("targetMinReplicas"), number("targetMaxReplicas"))));
    }
}
