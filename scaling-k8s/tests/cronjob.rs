//! A weekly schedule as CronJobs.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;
use scaling_core::chrono::Weekday;
use scaling_core::{Bounds, Target};
use scaling_k8s::api::cronjob::{CronJobs, LABEL};
use scaling_k8s::api::{Moment, OutputError, WeekPlan};
use serde_json::{Value, json};

fn bounds(min: u32, max: u32) -> Bounds {
    Bounds::new(min, max).unwrap()
}

fn moment(day: u32, hour: u32, minute: u32) -> Moment {
    Moment::new(Weekday::try_from(u8::try_from(day).unwrap()).unwrap(), hour, minute).unwrap()
}

fn target() -> Target {
    Target::deployment("shop", "checkout")
}

/// Weekdays from 7:45 to 20:00, and a sale over the end of the week.
fn week(zone: &str) -> WeekPlan {
    let mut week = WeekPlan::new(zone, bounds(2, 10)).unwrap();
    for day in 0..5 {
        week.set(moment(day, 7, 45), moment(day, 20, 0), bounds(5, 20));
    }
    week.set(moment(6, 22, 0), moment(0, 2, 0), bounds(8, 30));
    week
}

fn jobs(week: WeekPlan) -> Vec<Value> {
    CronJobs::new(&target(), week, "example/kubectl:1").unwrap().objects()
}

fn schedules(week: WeekPlan) -> Vec<String> {
    let jobs = jobs(week).into_iter().filter(|object| object["kind"] == "CronJob");
    jobs.map(|job| {
        format!("{}: {}", job["metadata"]["name"].as_str().unwrap(), job["spec"]["schedule"].as_str().unwrap())
    })
    .collect()
}

#[test]
fn there_is_one_job_for_each_time_and_one_for_every_hour() {
    assert_eq!(
        schedules(week("Europe/Berlin")),
        [
            "checkout-0200: 0 2 * * MON",
            "checkout-0745: 45 7 * * MON,TUE,WED,THU,FRI",
            "checkout-2000: 0 20 * * MON,TUE,WED,THU,FRI",
            "checkout-2200: 0 22 * * SUN",
            "checkout-hourly: 7 * * * *",
        ]
    );
    let mut daily = WeekPlan::new("UTC", bounds(1, 5)).unwrap();
    for day in 0..7 {
        daily.set(moment(day, 8, 0), moment(day, 9, 0), bounds(2, 5));
    }
    assert_eq!(schedules(daily)[0], "checkout-0800: 0 8 * * *");
}

#[test]
fn a_window_that_changes_nothing_needs_no_job() {
    let mut week = WeekPlan::new("UTC", bounds(1, 5)).unwrap();
    week.set(moment(0, 8, 0), moment(0, 9, 0), bounds(2, 5));
    week.set(moment(0, 9, 0), moment(0, 10, 0), bounds(2, 5));
    week.set(moment(3, 9, 0), moment(3, 10, 0), bounds(1, 5));
    assert_eq!(week.changes().map(|moment| moment.to_string()).collect::<Vec<_>>(), ["MON 08:00", "MON 10:00"]);
    week.set(moment(2, 0, 0), moment(2, 0, 0), bounds(3, 5));
    assert_eq!(week.changes().count(), 0, "the whole week");
}

#[test]
fn the_rights_are_for_this_hpa_alone() {
    let objects = jobs(week("UTC"));
    let role = objects.iter().find(|object| object["kind"] == "Role").unwrap();
    assert_eq!(
        role["rules"],
        json!([{ "apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "resourceNames": ["checkout"], "verbs": ["get", "patch"] }])
    );
    let binding = objects.iter().find(|object| object["kind"] == "RoleBinding").unwrap();
    assert_eq!(binding["roleRef"]["name"], role["metadata"]["name"]);
    for object in &objects {
        assert_eq!(object["metadata"]["labels"][LABEL], "checkout");
        assert_eq!(object["metadata"]["namespace"], "shop");
        if object["kind"] == "CronJob" {
            let (spec, pod) = (&object["spec"], &object["spec"]["jobTemplate"]["spec"]["template"]["spec"]);
            assert_eq!((&spec["concurrencyPolicy"], &spec["startingDeadlineSeconds"]), (&"Forbid".into(), &600.into()));
            assert_eq!(pod["serviceAccountName"], role["metadata"]["name"]);
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        }
    }
}

#[test]
fn names_of_any_length_stay_within_what_kubernetes_takes_and_apart() {
    let names = |hpa: &str| -> Vec<String> {
        let jobs = CronJobs::new(&target().with_hpa(hpa), week("UTC"), "example/kubectl:1").unwrap();
        assert!(jobs.selector().len() <= LABEL.len() + 1 + 63);
        jobs.objects().iter().map(|object| object["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let (one, other) = (names(&format!("{}-1", "a".repeat(200))), names(&format!("{}-2", "a".repeat(200))));
    assert!(one.iter().zip(&other).all(|(one, other)| one != other && one.len() <= 52 && other.len() <= 52));
}

#[test]
fn the_yaml_is_the_same_each_time() {
    let jobs = CronJobs::new(&target(), week("Europe/Berlin"), "example/kubectl:1").unwrap();
    let yaml = jobs.to_yaml().unwrap();
    assert_eq!(yaml, jobs.clone().to_yaml().unwrap());
    assert_eq!(yaml.matches("\n---\n").count(), jobs.objects().len() - 1);
    assert!(yaml.contains("timeZone: Europe/Berlin"));
    assert_eq!(jobs.starting_deadline_s(1).objects()[3]["spec"]["startingDeadlineSeconds"], 10);
}

#[test]
fn the_week_is_read_back_unless_somebody_edited_the_script() {
    for job in jobs(week("Europe/Berlin")).iter().filter(|object| object["kind"] == "CronJob") {
        assert_eq!(CronJobs::read_week(job).unwrap(), week("Europe/Berlin"));
        for (pointer, value) in [
            ("/spec/timeZone", json!("UTC")),
            ("/spec/jobTemplate/spec/template/spec/containers/0/command/2", json!("echo")),
            ("/metadata/annotations/kube-scaling~1week", json!("{}")),
            ("/metadata/annotations", json!(null)),
        ] {
            let mut edited = job.clone();
            *edited.pointer_mut(pointer).unwrap() = value;
            assert!(matches!(CronJobs::read_week(&edited), Err(OutputError::Unreadable { .. })), "{pointer}");
        }
    }
}

#[test]
fn what_kubernetes_would_not_take_is_refused() {
    for zone in ["", "local", "Local", "Europe//Berlin", "/UTC", "../etc", "Europe/Ber lin", "a'b", &"a".repeat(65)] {
        assert!(matches!(WeekPlan::new(zone, bounds(1, 2)), Err(OutputError::Name { .. })), "{zone}");
    }
    for (target, image) in [
        (Target::deployment("Shop", "a"), "x"),
        (target().with_hpa("a b"), "x"),
        (target(), ""),
        (target(), "a b"),
        (target(), "a\"$(b)"),
    ] {
        assert!(matches!(CronJobs::new(&target, week("UTC"), image), Err(OutputError::Name { .. })));
    }
    assert!(matches!(Moment::new(Weekday::Mon, 24, 0), Err(OutputError::Time { .. })));
    assert!(matches!(Moment::new(Weekday::Mon, 0, 60), Err(OutputError::Time { .. })));
    for written in [
        r#"{"time_zone":"UTC","outside":{"min":1,"max":2},"windows":[[5,5,1,2]]}"#,
        r#"{"time_zone":"UTC","outside":{"min":1,"max":2},"windows":[[0,10081,1,2]]}"#,
        r#"{"time_zone":"UTC","outside":{"min":1,"max":2},"windows":[[0,5,3,2]]}"#,
        r#"{"time_zone":"UTC","outside":{"min":1,"max":2},"windows":[],"more":1}"#,
    ] {
        assert!(serde_json::from_str::<WeekPlan>(written).is_err(), "{written}");
    }
}

#[cfg(feature = "schedule")]
#[test]
fn a_schedule_becomes_its_floors_on_top_of_what_is_outside() {
    use scaling_schedule::{Days, Schedule, Tz, Window};
    let window = |name, days, from, to, replicas| Window::parse(name, days, from, to, replicas).unwrap();
    let windows = vec![
        window("work", Days::WEEKDAYS, "08:00", "18:00", 5),
        window("peak", Days::WEEKDAYS, "12:00", "13:30", 12),
        window("night", Days::of([Weekday::Sun]), "22:00", "02:00", 8),
        window("little", Days::of([Weekday::Sat]), "10:00", "11:00", 1),
    ];
    let schedule = Schedule::new(Tz::America__New_York, windows).unwrap();
    let week = WeekPlan::of(&schedule, bounds(2, 10)).unwrap();
    assert_eq!(week.time_zone(), "America/New_York");
    // A week in November after the change of the clock.
    let monday: scaling_core::chrono::DateTime<scaling_core::chrono::Utc> = "2026-11-09T05:00:00Z".parse().unwrap();
    for minute in 0..10_080_u32 {
        let floor = schedule
            .open_at(monday + scaling_core::chrono::TimeDelta::minutes(minute.into()))
            .map_or(0, |open| open.min);
        let expected = bounds(floor.max(2), floor.max(10));
        assert_eq!(week.at(moment(minute / 1440, minute % 1440 / 60, minute % 60)), expected, "{minute}");
    }
    assert_eq!(schedules(week).len(), 7, "02:00, 08:00, 12:00, 13:30, 18:00, 22:00, and every hour");
}

/// The script of the jobs, run by a shell with a clock and a cluster of its own.
#[cfg(unix)]
mod script {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;

    /// The patch that the script sends at a moment, with so many pods; none if it fails.
    fn run(week: WeekPlan, date: &str, running: &str) -> Option<Value> {
        let folder = tempfile::tempdir().unwrap();
        let tool = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        tool("date", "echo \"$NOW\"");
        tool(
            "kubectl",
            "case $3 in get) echo \"$RUNNING\" ;; patch) for word; do last=$word; done; echo \"$last\" > \"$OUT\" ;; esac",
        );
        let job = jobs(week).pop().unwrap();
        let command = job.pointer("/spec/jobTemplate/spec/template/spec/containers/0/command").unwrap();
        let out = folder.path().join("out");
        let status = Command::new(command[0].as_str().unwrap())
            .args([command[1].as_str().unwrap(), command[2].as_str().unwrap()])
            .env_clear()
            .env("PATH", format!("{}:/bin:/usr/bin", folder.path().display()))
            .env("NOW", date)
            .env("RUNNING", running)
            .env("OUT", &out)
            .status()
            .unwrap();
        let patch = fs::read_to_string(out).ok();
        assert_eq!(status.success(), patch.is_some(), "it fails, or it writes");
        patch.map(|patch| serde_json::from_str(&patch).unwrap())
    }

    #[test]
    fn it_writes_what_holds_at_the_moment() {
        for (day, hour, minute) in [
            (0, 1, 59),
            (0, 2, 0),
            (0, 7, 44),
            (0, 7, 45),
            (0, 8, 9),
            (4, 19, 59),
            (4, 20, 0),
            (5, 12, 0),
            (6, 22, 0),
            (6, 23, 59),
        ] {
            let bounds = week("UTC").at(moment(day, hour, minute));
            let patch = run(week("UTC"), &format!("{}{hour:02}{minute:02}", day + 1), "3");
            assert_eq!(
                patch,
                Some(json!({ "spec": { "minReplicas": bounds.min(), "maxReplicas": bounds.max() } })),
                "{day} {hour}:{minute}"
            );
        }
    }

    #[test]
    fn law_11_it_sets_no_max_below_the_pods_that_run() {
        let max = |running: &str| run(week("UTC"), "61200", running).unwrap()["spec"]["maxReplicas"].clone();
        assert_eq!([max(""), max("10"), max("11")], [10, 10, 11]);
    }

    #[test]
    fn without_a_clock_a_zone_or_an_answer_it_changes_nothing() {
        assert_eq!(run(week("UTC"), "", "3"), None);
        assert_eq!(run(week("UTC"), "00800", "3"), None);
        assert_eq!(run(week("UTC"), "61200", "error"), None);
        assert_eq!(run(week("Nowhere/Atlantis"), "61200", "3"), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Windows cover what they claim, later ones on top of earlier ones, and the week survives its text.
    #[test]
    fn windows_cover_what_they_claim(
        windows in proptest::collection::vec((0..10080u32, 0..10080u32, 1..9u32), 0..6), minute in 0..10080u32,
    ) {
        let at = |minute: u32| moment(minute / 1440, minute % 1440 / 60, minute % 60);
        let mut week = WeekPlan::new("Asia/Kathmandu", bounds(1, 20)).unwrap();
        let mut expected = bounds(1, 20);
        for (from, to, min) in windows {
            week.set(at(from), at(to), bounds(min, 20));
            let within = if from < to { (from..to).contains(&minute) } else { minute >= from || minute < to };
            if within {
                expected = bounds(min, 20);
            }
        }
        prop_assert_eq!(week.at(at(minute)), expected);
        // The jobs run whenever something changes, and at no other time.
        let before = at((minute + 10079) % 10080);
        prop_assert_eq!(week.changes().any(|change| change == at(minute)), week.at(before) != week.at(at(minute)));
        let copy: WeekPlan = serde_json::from_str(&serde_json::to_string(&week).unwrap()).unwrap();
        prop_assert_eq!(copy, week);
    }
}
