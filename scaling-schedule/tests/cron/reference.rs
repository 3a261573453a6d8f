//! The same firings as the parser that the CronJob controller is built with, over many expressions, zones and clock changes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use chrono::{DateTime, NaiveTime, TimeDelta, TimeZone, Utc};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use scaling_schedule::{CronExpression, Tz};

use super::at;
use super::zones::{TO, offsets};

/// Expressions, each asked about in one zone near one clock change.
const QUESTIONS: usize = 20_000;
const COUNT: usize = 12;

/// Zones whose rules are the same in the data of the last years, each with instants near its clock changes.
const ZONES: [(Tz, [&str; 2]); 9] = [
    (Tz::UTC, ["2026-02-27T00:00:00Z", "2027-12-30T00:00:00Z"]),
    (Tz::Europe__Berlin, ["2026-03-28T12:00:00Z", "2026-10-24T12:00:00Z"]),
    (Tz::Europe__Dublin, ["2026-03-28T12:00:00Z", "2026-10-24T12:00:00Z"]),
    (Tz::America__New_York, ["2026-03-07T18:00:00Z", "2026-10-31T18:00:00Z"]),
    (Tz::Australia__Sydney, ["2026-04-03T12:00:00Z", "2026-10-02T12:00:00Z"]),
    (Tz::Asia__Kathmandu, ["2026-03-28T12:00:00Z", "2028-02-28T12:00:00Z"]),
    (Tz::Australia__Lord_Howe, ["2026-04-03T12:00:00Z", "2026-10-02T12:00:00Z"]),
    (Tz::America__Havana, ["2026-03-07T12:00:00Z", "2026-10-31T00:00:00Z"]),
    (Tz::Africa__Cairo, ["2026-04-23T06:00:00Z", "2026-10-29T00:00:00Z"]),
];

/// Returns true if a firing that only one of the two has comes of a fault of their parser.
///
/// It goes from hour to hour. So after a change by half an hour it is half an hour off, and loses what the expression has until it fires
/// for the first time. And it takes hour 0 for the start of a day, so that it loses a day without midnight, or runs on into it.
fn is_known(zone: Tz, firing: i64, theirs: &[i64]) -> bool {
    let at = DateTime::from_timestamp(firing, 0).unwrap();
    if zone == Tz::Australia__Lord_Howe {
        let changes = offsets(zone).into_iter().skip(1).map(|(change, _)| change.timestamp());
        let last = changes.filter(|change| *change <= firing).max();
        return last.is_some_and(|change| !theirs.iter().any(|at| (change..=firing).contains(at)));
    }
    let midnight = at.with_timezone(&zone).date_naive().and_time(NaiveTime::MIN);
    zone.from_local_datetime(&midnight).earliest().is_none()
}

fn program() -> Option<PathBuf> {
    let folder = std::env::var_os("KUBEBUILDER_ASSETS").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let found = folder.map(|folder| folder.join("cron-firings")).filter(|program| program.exists());
    if found.is_none() {
        let how = "KUBEBUILDER_ASSETS names no folder with cron-firings, the parser of Kubernetes; .ci/control-plane/build makes one with Go";
        assert!(std::env::var_os("CI").is_none(), "{how}");
        eprintln!("skipped: {how}");
    }
    found
}

/// Terms of a field: right ones, and now and then a wrong one.
fn term(greatest: u32, names: &'static [&'static str]) -> BoxedStrategy<String> {
    let number = prop_oneof![40 => 0..=greatest, 1 => Just(greatest + 1)];
    let range = (0..=greatest, 0..=greatest).prop_map(|(one, other)| format!("{}-{}", one.min(other), one.max(other)));
    let value = if names.is_empty() {
        number.prop_map(|value| value.to_string()).boxed()
    } else {
        prop_oneof![3 => number.prop_map(|value| value.to_string()), 2 => prop::sample::select(names).prop_map(str::to_owned)].boxed()
    };
    let step = prop_oneof![
        30 => Just(String::new()),
        10 => (1..greatest).prop_map(|step| format!("/{step}")),
        1 => prop::sample::select(vec!["/1", "/0", "/70", "/x", "/2/3", "/"]).prop_map(str::to_owned),
    ];
    let base = prop_oneof![
        30 => Just("*".to_owned()),
        5 => Just("?".to_owned()),
        40 => value.clone(),
        20 => range,
        2 => (value.clone(), value).prop_map(|(from, to)| format!("{from}-{to}")),
        1 => prop::sample::select(vec!["", "L", "-", "1-2-3", "+3", "-3", "*-4", "07", "monday", "5#1", "1W"]).prop_map(str::to_owned),
    ];
    (base, step).prop_map(|(base, step)| format!("{base}{step}")).boxed()
}

fn field(greatest: u32, names: &'static [&'static str]) -> impl Strategy<Value = String> {
    let one = term(greatest, names);
    prop_oneof![4 => one.clone(), 1 => prop::collection::vec(one, 2..4).prop_map(|terms| terms.join(","))]
}

fn expressions() -> impl Strategy<Value = String> {
    let day = prop_oneof![3 => Just("*".to_owned()), 2 => field(31, &[])];
    let month = prop_oneof![3 => Just("*".to_owned()), 1 => field(12, &["JAN", "mar", "Oct", "nov"])];
    let fields = (field(59, &[]), field(23, &[]), day, month, field(6, &["SUN", "mon", "Wed", "sat"]));
    let fields =
        fields.prop_map(|(minute, hour, day, month, weekday)| format!("{minute} {hour} {day} {month} {weekday}"));
    let others = prop::sample::select(vec![
        "@yearly",
        "@monthly",
        "@weekly",
        "@daily",
        "@midnight",
        "@hourly",
        "@Hourly",
        "@every 1h30m",
        "@every 90s",
        "@every 1.5h",
        "@every -2s",
        "@every .5m",
        "@every 5",
        "@every 1h1",
        "@every 0",
        "@every",
        "",
        "* * * *",
        "* * * * * *",
        "TZ=UTC 0 0 * * *",
        "0 0 * * *-TZ",
        " @daily",
        "@every 2562047h47m16.854775807s",
        "@every 2562047h47m16.854775808s",
        "@every 1\u{b5}s",
        "0\u{2003}4 * * *",
    ]);
    prop_oneof![30 => fields, 1 => others.prop_map(str::to_owned)]
}

/// Answers of the reference, one for each question; none where it refuses.
fn answers(program: &PathBuf, questions: &[(Tz, DateTime<Utc>, String)]) -> Vec<Option<Vec<i64>>> {
    let mut text = String::new();
    for (zone, after, expression) in questions {
        writeln!(text, "{zone}\t{}\t{COUNT}\t{expression}", after.timestamp()).unwrap();
    }
    let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let answer = |line: &str| {
        let accepted = !line.starts_with("refused: ");
        accepted.then(|| line.split_whitespace().map(|at| at.parse().unwrap()).collect())
    };
    String::from_utf8(output.stdout).unwrap().lines().map(answer).collect()
}

#[test]
fn it_fires_when_the_controller_of_kubernetes_would_run_it() {
    let Some(program) = program() else { return };
    let mut runner = TestRunner::deterministic();
    let question = (prop::sample::select(ZONES.to_vec()), 0..2_usize, -3600..90_000_i64, expressions());
    let questions: Vec<(Tz, DateTime<Utc>, String)> = (0..QUESTIONS)
        .map(|_| {
            let ((zone, near), which, seconds, expression) = question.new_tree(&mut runner).unwrap().current();
            (zone, at(near[which]) + TimeDelta::seconds(seconds), expression)
        })
        .collect();
    let answers = answers(&program, &questions);
    assert_eq!(answers.len(), questions.len());
    let (mut refused, mut fired) = (0, 0);
    let mut apart: BTreeMap<&str, usize> = BTreeMap::new();
    for ((zone, after, expression), answer) in questions.iter().zip(&answers) {
        let Ok(cron) = expression.parse::<CronExpression>() else {
            assert_eq!(*answer, None, "{expression:?} is accepted by Kubernetes");
            refused += 1;
            continue;
        };
        let theirs = answer.as_ref().unwrap_or_else(|| panic!("{expression:?} is refused by Kubernetes"));
        let ours: Vec<i64> = cron.fires_after(*zone, *after).take(COUNT).map(|at| at.timestamp()).collect();
        fired += ours.len();
        if ours == *theirs {
            continue;
        }
        // Of twelve each, the later ones of one may be beyond the end of the other.
        let end = ours.last().min(theirs.last()).copied().unwrap_or(i64::MAX).min(at(TO).timestamp());
        let only = ours.iter().filter(|at| !theirs.contains(at)).chain(theirs.iter().filter(|at| !ours.contains(at)));
        for firing in only.filter(|firing| **firing <= end) {
            let known = is_known(*zone, *firing, theirs);
            assert!(known, "{expression:?} in {zone} after {after}, {firing}:\n{ours:?}\n{theirs:?}");
            *apart.entry(zone.name()).or_default() += 1;
        }
    }
    eprintln!("{QUESTIONS} expressions, {refused} refused by both, {fired} firings; apart: {apart:?}");
    assert!(
        refused > QUESTIONS / 10 && fired > QUESTIONS * 6,
        "{refused} refused, {fired} firings: too few to tell anything"
    );
}
