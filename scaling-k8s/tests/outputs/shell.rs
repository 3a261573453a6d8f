//! The commands in a shell of their own: each line runs, and the script writes the bounds of its moment.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;

use super::*;

/// Runs a text with a `kubectl` that shows its last argument, and a clock; three pods run.
fn run(folder: &Path, script: &str, now: &str) -> Output {
    let tool = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    tool("date", "case $1 in +%u%H%M-*) echo \"$NOW\" ;; *) echo \"${NOW%-*}\" ;; esac");
    tool("kubectl", "case $3 in get) echo 3 ;; patch) for word; do last=$word; done; echo \"$last\" ;; esac");
    let path = format!("{}:/bin:/usr/bin", folder.display());
    Command::new("/bin/sh").args(["-c", script]).env_clear().env("PATH", path).env("NOW", now).output().unwrap()
}

/// What `date` says in Berlin at an instant.
fn clock(at: DateTime<Utc>) -> String {
    at.with_timezone(&Tz::Europe__Berlin).format("%u%H%M-%s").to_string()
}

#[test]
fn the_script_holds_an_event_over_a_change_of_the_clock() {
    let folder = tempfile::tempdir().unwrap();
    let event = DatedWindow::parse("release", "2026-10-25T02:30", "2026-10-25T03:30", 40).unwrap();
    let schedule = Schedule::new(Tz::Europe__Berlin, vec![]).unwrap().with_events(vec![event]).unwrap();
    let week = WeekPlan::of(&schedule, bounds(2, 50)).unwrap();
    let script = kubectl::schedule_script(&target(), &week).unwrap();
    for (text, min) in [
        ("2026-10-25T00:29:59Z", 2),
        ("2026-10-25T00:30:00Z", 40),
        ("2026-10-25T01:00:00Z", 40),
        ("2026-10-25T01:29:00Z", 40),
        ("2026-10-25T02:29:59Z", 40),
        ("2026-10-25T02:30:00Z", 2),
    ] {
        assert_eq!(patch(&run(folder.path(), &script, &clock(at(text)))), expected(bounds(min, 50)), "{text}");
    }
}

fn patch(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn expected(bounds: Bounds) -> Value {
    json!({ "spec": { "minReplicas": bounds.min(), "maxReplicas": bounds.max() } })
}

#[test]
fn each_line_runs_alone() {
    let folder = tempfile::tempdir().unwrap();
    let text = kubectl::schedule(&target(), &week()).unwrap();
    let commands: Vec<Value> =
        text.lines().filter(|line| !line.starts_with('#')).map(|line| patch(&run(folder.path(), line, ""))).collect();
    assert_eq!(
        commands,
        [expected(bounds(2, 10)), expected(bounds(12, 12)), expected(bounds(5, 20)), expected(bounds(40, 40))]
    );
}

#[test]
fn the_script_writes_the_bounds_of_its_moment_and_an_event_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut week = week();
    week.raise(at("2026-11-27T16:00:00Z"), at("2026-11-28T08:00:00Z"), 3, Some(50)).unwrap();
    let script = kubectl::schedule_script(&target(), &week).unwrap();
    let bounds_at = |at: DateTime<Utc>| week.bounds_at(at).unwrap();
    for text in [
        "2026-11-27T15:59:00Z",
        "2026-11-27T16:00:00Z",
        "2026-11-27T16:59:00Z",
        "2026-11-27T17:00:00Z",
        "2026-11-27T17:30:00Z",
        "2026-11-27T18:59:59Z",
        "2026-11-27T19:00:00Z",
        "2026-11-28T07:59:00Z",
        "2026-11-28T08:00:00Z",
        "2026-11-30T00:59:00Z",
        "2026-11-30T07:09:00Z",
        // The same day of the next year, and of the one before.
        "2027-11-27T17:00:00Z",
        "2025-11-27T17:00:00Z",
        "2027-11-27T16:00:00Z",
    ] {
        let output = run(folder.path(), &script, &clock(at(text)));
        assert_eq!(patch(&output), expected(bounds_at(at(text))), "{text}");
    }
    assert_eq!(bounds_at(at("2026-11-27T17:00:00Z")), bounds(40, 50));
    assert_eq!(bounds_at(at("2027-11-27T17:00:00Z")), bounds(2, 10));
    for odd in ["", "51800-", "51800-x795798800", "51800-1795798800x", "1795798800"] {
        let output = run(folder.path(), &script, odd);
        assert!(!output.status.success() && output.stdout.is_empty(), "{odd}");
    }
}

/// Cron knows no year: until the next apply prunes them, the CronJobs of an event run again whenever its date comes.
#[test]
fn jobs_of_an_event_that_is_over_write_what_the_week_says() {
    let folder = tempfile::tempdir().unwrap();
    let jobs = CronJobs::new(&target(), week(), "x").unwrap().objects();
    let mut written = Vec::new();
    for job in jobs.iter().filter(|job| job["metadata"]["name"].as_str().unwrap().contains("1127t")) {
        let cron: CronExpression = job["spec"]["schedule"].as_str().unwrap().parse().unwrap();
        let script = job.pointer("/spec/jobTemplate/spec/template/spec/containers/0/command/2").unwrap();
        let zone: Tz = job["spec"]["timeZone"].as_str().unwrap().parse().unwrap();
        for run_at in cron.fires_after(zone, at("2026-11-01T00:00:00Z")).take(4) {
            let local = run_at.with_timezone(&Tz::Europe__Berlin);
            let output = run(folder.path(), script.as_str().unwrap(), &clock(run_at.to_utc()));
            written.push((local.format("%a %Y-%m-%d %H:%M").to_string(), patch(&output)));
        }
    }
    let expected = [
        ("Fri 2026-11-27 18:00", bounds(40, 40)),
        ("Sat 2027-11-27 18:00", bounds(2, 10)),
        ("Mon 2028-11-27 18:00", bounds(5, 20)),
        ("Tue 2029-11-27 18:00", bounds(5, 20)),
        ("Fri 2026-11-27 20:00", bounds(2, 10)),
        ("Sat 2027-11-27 20:00", bounds(2, 10)),
        ("Mon 2028-11-27 20:00", bounds(2, 10)),
        ("Tue 2029-11-27 20:00", bounds(2, 10)),
    ];
    assert_eq!(written, expected.map(|(local, bounds)| (local.to_owned(), self::expected(bounds))));
}

#[test]
fn events_that_are_over_are_left_out_and_so_are_their_jobs() {
    let dated = |text: &str| {
        let left = week().without_past_events(at(text));
        let jobs = CronJobs::new(&target(), left, "x").unwrap().objects();
        jobs.iter().filter(|job| job["metadata"]["name"].as_str().unwrap().contains("1127t")).count()
    };
    assert_eq!(["2026-11-27T16:00:00Z", "2026-11-27T18:59:00Z", "2026-11-27T19:00:00Z"].map(dated), [2, 2, 0]);
    assert_eq!(week().without_past_events(at("2026-11-27T19:00:00Z")), week().without_events());
}

#[test]
fn jobs_of_two_hpas_have_different_names() {
    let names = |hpa: &str, week: WeekPlan| -> Vec<String> {
        let jobs = CronJobs::new(&target().with_hpa(hpa), week, "x").unwrap().objects();
        let named = jobs.iter().map(|object| format!("{} {}", object["kind"], object["metadata"]["name"]));
        named.collect()
    };
    let date = |hour| NaiveDate::from_ymd_opt(2026, 11, 27).unwrap().and_hms_opt(hour, 0, 0).unwrap().and_utc();
    let mut dated = WeekPlan::new("UTC", bounds(1, 5)).unwrap();
    dated.raise(date(8), date(9), 3, None).unwrap();
    let mut weekly = WeekPlan::new("UTC", bounds(1, 5)).unwrap();
    weekly.set(moment(8 * 60), moment(9 * 60), bounds(3, 5));
    let (one, other) = (names("shop", dated), names("shop-1127", weekly));
    assert!(one.iter().all(|name| !other.contains(name)), "{one:?} {other:?}");
}

#[test]
fn the_script_asks_the_cluster_of_its_target() {
    let folder = tempfile::tempdir().unwrap();
    let odd = target().in_cluster("eu 1; $(exit)");
    // A `kubectl` that answers in this context alone.
    let only = "kubectl() { test \"$1 $2\" = '--context eu 1; $(exit)' || exit 7; shift 2; command kubectl \"$@\"; }\n";
    let run = |target: &Target| {
        run(
            folder.path(),
            &format!("{only}{}", kubectl::schedule_script(target, &week()).unwrap()),
            &clock(at("2026-11-30T08:00:00Z")),
        )
    };
    assert_eq!(patch(&run(&odd)), expected(bounds(5, 20)));
    assert!(!run(&target()).status.success());
    // The jobs run in their own cluster, which no kubeconfig names.
    let (here, there) = [target(), odd].map(|target| CronJobs::new(&target, week(), "x").unwrap().objects()).into();
    assert_eq!(here, there);
}

#[test]
fn jobs_run_at_the_edges_of_events_too() {
    let jobs = CronJobs::new(&target(), week(), "x").unwrap().objects();
    let named: Vec<(&str, &str)> = jobs
        .iter()
        .filter(|object| object["kind"] == "CronJob")
        .map(|job| (job["metadata"]["name"].as_str().unwrap(), job["spec"]["schedule"].as_str().unwrap()))
        .collect();
    assert_eq!(
        named,
        [
            ("checkout-0200", "0 2 * * MON"),
            ("checkout-0800", "0 8 * * MON,TUE,WED,THU,FRI"),
            ("checkout-1830", "30 18 * * MON,TUE,WED,THU,FRI"),
            ("checkout-2200", "0 22 * * SUN"),
            ("checkout-1127t1700", "0 17 27 11 *"),
            ("checkout-1127t1900", "0 19 27 11 *"),
            ("checkout-hourly", "7 * * * *"),
        ]
    );
    for job in jobs.iter().filter(|object| object["kind"] == "CronJob") {
        let spec = &job["spec"];
        let is_dated = job["metadata"]["name"].as_str().unwrap().contains("1127t");
        let zone = if is_dated { "Etc/UTC" } else { "Europe/Berlin" };
        assert_eq!(
            [
                &spec["concurrencyPolicy"],
                &spec["timeZone"],
                &spec["startingDeadlineSeconds"],
                &spec["successfulJobsHistoryLimit"],
                &spec["failedJobsHistoryLimit"]
            ],
            [&json!("Forbid"), &json!(zone), &json!(600), &json!(1), &json!(3)]
        );
        // What the controller runs is what the expression says here.
        assert!(spec["schedule"].as_str().unwrap().parse::<CronExpression>().is_ok());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

    /// In a week without a clock change a job runs whenever the bounds change, events and all, and two of the week never at once.
    #[test]
    fn a_job_runs_whenever_the_bounds_change((schedule, _) in schedules()) {
        let monday = at("2026-06-01T00:00:00Z");
        let week = WeekPlan::of(&schedule, bounds(1, 5)).unwrap();
        let crons: Vec<(CronExpression, Tz)> = jobs_of(&week)
            .iter()
            .filter(|job| job["kind"] == "CronJob" && !job["metadata"]["name"].as_str().unwrap().ends_with("hourly"))
            .map(|job| (&job["spec"]["schedule"], &job["spec"]["timeZone"]))
            .map(|(cron, zone)| (cron.as_str().unwrap().parse().unwrap(), zone.as_str().unwrap().parse().unwrap()))
            .collect();
        for minute in 0..7 * 1440 {
            let at = monday + TimeDelta::minutes(minute);
            let run = crons.iter().filter(|(cron, zone)| cron.matches(at.with_timezone(zone).naive_local()));
            let (weekly, dated): (Vec<_>, Vec<_>) = run.partition(|(cron, _)| cron.as_str().contains(" * * "));
            prop_assert!(weekly.len() < 2 && dated.len() < 2, "at {}", at);
            if week.bounds_at(at) != week.bounds_at(at - TimeDelta::minutes(1)) {
                prop_assert!(!weekly.is_empty() || !dated.is_empty(), "at {}", at);
            }
        }
    }

    /// On the days on which the clock changes, too, a job runs at each edge of an event, and only then one of its own.
    #[test]
    fn an_event_has_its_jobs_at_its_own_instants((schedule, monday) in schedules()) {
        let week = WeekPlan::of(&schedule, bounds(1, 5)).unwrap();
        let jobs = jobs_of(&week);
        let dated: Vec<CronExpression> = jobs
            .iter()
            .filter(|job| job["spec"]["schedule"].as_str().is_some_and(|cron| cron.ends_with(" *") && !cron.contains("* *")))
            .map(|job| job["spec"]["schedule"].as_str().unwrap().parse().unwrap())
            .collect();
        let zone = schedule.time_zone();
        let edges: std::collections::BTreeSet<_> = schedule
            .events()
            .iter()
            .map(|event| [event.opens_at(zone).unwrap(), event.closes_at(zone).unwrap()])
            .filter(|[opens, closes]| opens < closes)
            .flatten()
            .collect();
        let mut fired = std::collections::BTreeSet::new();
        for cron in &dated {
            fired.extend(cron.fires_after(Tz::UTC, monday - TimeDelta::days(9)).take_while(|at| *at < monday + TimeDelta::days(90)).map(|at| at.to_utc()));
        }
        prop_assert_eq!(fired, edges);
    }
}
