//! A schedule as commands, and back.

use std::fmt::Write as _;

use scaling_core::chrono::{DateTime, Utc, Weekday};
use scaling_core::{Bounds, Target};
use serde::Deserialize;
use serde_json::json;

use super::{in_context, quoted};
use crate::api::cronjob::script_of;
use crate::api::{Moment, OutputError, WeekPlan, check_names};

const OUTPUT: &str = "a list of commands";
const HEAD: &str = "# Bounds by the clock of ";
const OTHERWISE: &str = "# otherwise";
/// A time of an event: on the wall clock, with its distance from UTC, so that a time which comes twice is one of both.
const FORM: &str = "%Y-%m-%d %H:%M%:z";
/// Longest text that is read, in bytes.
const MAX_TEXT: usize = 1 << 20;

/// The command that sets the bounds of a target's HPA, for a POSIX shell. The target's cluster, where it has one, is taken for a context of
/// the kubeconfig.
///
/// It sets them whatever they are, under the field manager of a schedule; [`apply`](super::apply) carries out a plan that was made for
/// the bounds there are.
///
/// ```
/// # use scaling_core::{Bounds, Target};
/// let command = scaling_k8s::kubectl::set_bounds(&Target::deployment("shop", "checkout"), Bounds::new(5, 20)?)?;
/// assert_eq!(
///     command,
///     "kubectl --namespace shop patch horizontalpodautoscalers.autoscaling checkout --field-manager kube-scaling-schedule \
///      --type merge --patch '{\"spec\":{\"maxReplicas\":20,\"minReplicas\":5}}'"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`OutputError::Name`] if namespace, HPA or cluster cannot be called so.
pub fn set_bounds(target: &Target, bounds: Bounds) -> Result<String, OutputError> {
    check_names(target)?;
    let patch = json!({ "spec": { "minReplicas": bounds.min(), "maxReplicas": bounds.max() } });
    Ok(format!(
        "kubectl {}--namespace {} patch horizontalpodautoscalers.autoscaling {} --field-manager kube-scaling-schedule --type merge --patch '{patch}'",
        in_context(target.cluster.as_deref()),
        quoted(&target.namespace),
        quoted(&target.hpa),
    ))
}

/// A schedule as commands for a person: one for each pair of bounds, below the times at which they hold. Each command can be run alone, at
/// one of its times; to run all of them, one after the other, makes no sense. [`schedule_script`] writes the one of the moment.
///
/// ```
/// use scaling_core::chrono::Weekday::{Fri, Mon};
/// use scaling_core::{Bounds, Target};
/// use scaling_k8s::{api::{Moment, WeekPlan}, kubectl};
///
/// let mut week = WeekPlan::new("Europe/Berlin", Bounds::new(2, 10)?)?;
/// week.set(Moment::new(Mon, 8, 0)?, Moment::new(Fri, 18, 30)?, Bounds::new(5, 20)?);
/// let text = kubectl::schedule(&Target::deployment("shop", "checkout"), &week)?;
/// let times: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
/// assert_eq!(times, ["# Bounds by the clock of Europe/Berlin", "# otherwise", "# MON 08:00 to FRI 18:30"]);
/// assert_eq!(kubectl::read_schedule(&text)?, week);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`OutputError::Inexpressible`] if events last for so long that they would fill the list, or in a time zone of which nothing is known
/// (without the feature `schedule` all of them); [`OutputError::Name`] as [`set_bounds`].
pub fn schedule(target: &Target, week: &WeekPlan) -> Result<String, OutputError> {
    let mut times: Vec<(Bounds, Vec<String>)> = vec![(week.outside(), vec![OTHERWISE.to_owned()])];
    let mut add = |bounds: Bounds, line: String| match times.iter_mut().find(|(other, _)| *other == bounds) {
        Some((_, lines)) => lines.push(line),
        None => times.push((bounds, vec![line])),
    };
    for (from, to, bounds) in week.windows() {
        add(bounds, format!("# {} to {}", Moment::of_week(from), Moment::of_week(to)));
    }
    for (from, to, bounds) in week.dated_stretches(OUTPUT)? {
        add(bounds, format!("# {from} to {to}"));
    }
    let mut text = format!("{HEAD}{}\n", week.time_zone());
    for (bounds, lines) in times {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}\n{}", lines.join("\n"), set_bounds(target, bounds)?);
    }
    Ok(text)
}

/// A POSIX shell script that writes the bounds of the moment at which it is run, as the jobs of
/// [`CronJobs`](crate::api::cronjob::CronJobs) do: never a max below the pods that run. It needs `date` and the time zones in
/// `/usr/share/zoneinfo`. The target's cluster, where it has one, is taken for a context of the kubeconfig, as by [`set_bounds`].
///
/// # Errors
/// [`OutputError::Name`] as [`set_bounds`].
pub fn schedule_script(target: &Target, week: &WeekPlan) -> Result<String, OutputError> {
    check_names(target)?;
    Ok(script_of(week, &target.namespace, &target.hpa, target.cluster.as_deref()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    spec: Spec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Spec {
    min_replicas: u32,
    max_replicas: u32,
}

enum Time {
    Otherwise,
    Week(Moment, Moment),
    Dates(DateTime<Utc>, DateTime<Utc>),
}

/// Reads the schedule of a text that [`schedule`] has written.
///
/// # Errors
/// [`OutputError::Unreadable`] with the line that is none of it.
pub fn read_schedule(text: &str) -> Result<WeekPlan, OutputError> {
    if text.len() > MAX_TEXT {
        return Err(OutputError::unreadable("the text", format!("it has more than {MAX_TEXT} bytes")));
    }
    let mut lines = text.lines().zip(1..);
    let head = lines.next().and_then(|(line, _)| line.strip_prefix(HEAD));
    let zone = head.ok_or_else(|| OutputError::unreadable("line 1", format!("it does not begin with {HEAD:?}")))?;
    let (mut times, mut all) = (Vec::new(), Vec::new());
    for (line, number) in lines.filter(|(line, _)| !line.trim().is_empty()) {
        let unreadable = |why: &str| OutputError::unreadable(format!("line {number}"), why);
        if line.starts_with('#') {
            times.push(time(line).ok_or_else(|| unreadable("neither \"otherwise\" nor \"FROM to TO\""))?);
            continue;
        }
        let patch = line.rsplit_once("--patch '").and_then(|(_, patch)| patch.strip_suffix('\''));
        let patch =
            patch.filter(|_| line.starts_with("kubectl ")).ok_or_else(|| unreadable("no command with a patch"))?;
        let patch: Patch = serde_json::from_str(patch).map_err(|error| unreadable(&error.to_string()))?;
        if times.is_empty() {
            return Err(unreadable("nothing above it says when it holds"));
        }
        let bounds = Bounds::new(patch.spec.min_replicas, patch.spec.max_replicas)?;
        all.extend(times.drain(..).map(|time| (time, bounds)));
    }
    let outside = all.iter().find(|(time, _)| matches!(time, Time::Otherwise));
    let outside = outside.ok_or_else(|| OutputError::unreadable("the text", format!("{OTHERWISE:?} is missing")))?.1;
    let mut week = WeekPlan::new(zone, outside)?;
    for (time, bounds) in all {
        match time {
            Time::Otherwise => {}
            Time::Week(from, to) => week.set(from, to, bounds),
            Time::Dates(from, to) => week.raise(from, to, bounds.min(), Some(bounds.max()))?,
        }
    }
    Ok(week)
}

fn time(line: &str) -> Option<Time> {
    if line == OTHERWISE {
        return Some(Time::Otherwise);
    }
    let (from, to) = line.strip_prefix("# ")?.split_once(" to ")?;
    if let (Some(from), Some(to)) = (moment(from), moment(to)) {
        return Some(Time::Week(from, to));
    }
    let date = |text| DateTime::parse_from_str(text, FORM).ok().map(|at| at.to_utc());
    Some(Time::Dates(date(from)?, date(to)?))
}

fn moment(text: &str) -> Option<Moment> {
    let (day, time) = text.split_once(' ')?;
    let (hour, minute) = time.split_once(':')?;
    let day = day.parse::<Weekday>().ok()?;
    Moment::new(day, hour.parse().ok()?, minute.parse().ok()?).ok()
}
