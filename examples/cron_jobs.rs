//! A weekly schedule as CronJobs that move the bounds of an HPA, without anything of ours running in the cluster.
//!
//!     cargo run --release --features live --example cron_jobs
//!     cargo run --release --features live --example cron_jobs -- --target shop/web --window 'Mon 08:00..Fri 18:30=5..20' \
//!         --image registry.example/kubectl-with-time-zones:1.37 --context staging --apply
//!
//! The image has `sh`, `date` and `kubectl` on its path and the time zones in `/usr/share/zoneinfo`; one of kubectl alone lacks the last, and
//! its jobs fail and change nothing.
//!
//! `--schedule FILE` takes the windows and the zone from a schedule in JSON, as `weekly_schedule` reads and `schedule_generator` writes it.
//!
//! Without `--context` the manifests are printed, with a placeholder where no image is given: a ServiceAccount, the least Role that does it, and the CronJobs. With it they are validated
//! (`--server-dry-run`) or applied and pruned (`--apply`): those of an earlier week are deleted. Exit code 1 if it is refused or failed.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use examples::by_hand::{self, Extent};
use examples::live::arguments::target;
use examples::{Failure, MayClose, reading};
use scaling_core::chrono::Weekday;
use scaling_core::{Bounds, Target};
use scaling_k8s::CronJobApplier;
use scaling_k8s::api::cronjob::CronJobs;
use scaling_k8s::api::{Moment, WeekPlan};
use scaling_schedule::Tz;

const EXAMPLES: &str = "Examples:
  cargo run --release --features live --example cron_jobs
  cargo run --release --features live --example cron_jobs -- --target shop/web --outside 2..10 --window 'Mon 08:00..Fri 18:30=5..20' \\
      --time-zone Europe/Berlin --image registry.example/kubectl-with-time-zones:1.37 --context staging --apply
  cargo run --release --features live --example cron_jobs -- --window 'weekdays 08:00..18:30=5..20' --window 'Sat-Sun 10:00..24:00=3..20'
  cargo run --release --features live --example cron_jobs -- --schedule schedule.json --outside 2..10 >jobs.yaml

A window is from a day to a day (Mon 08:00..Fri 18:30), which is one stretch, or on days (Mon-Fri 08:00..18:30), which is one on each of them:
a weekday, several as Mon-Fri, weekdays, weekend or daily. One that ends no later than it begins ends on the next day; 24:00 ends the day.";

/// Prints or applies the CronJobs of a weekly schedule.
#[derive(Debug, Parser)]
#[command(name = "cron_jobs", version, after_help = EXAMPLES)]
struct Arguments {
    /// The workload, with an HPA of its own name unless it is given.
    #[arg(long, value_name = "NAMESPACE/[KIND/]NAME[=HPA]", value_parser = target, default_value = "shop/web")]
    target: Target,
    /// Bounds that hold outside of all windows.
    #[arg(long, value_name = "MIN..MAX", value_parser = bounds, default_value = "2..10")]
    outside: Bounds,
    /// A window of the week and its bounds; may be given several times.
    #[arg(long = "window", value_name = "DAYS HH:MM..[DAY] HH:MM=MIN..MAX", value_parser = window, default_value = "Mon 08:00..Fri 18:30=5..20")]
    windows: Vec<Window>,
    /// Windows, events and time zone of a schedule in JSON.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["windows", "time_zone"])]
    schedule: Option<PathBuf>,
    /// Time zone of the windows.
    #[arg(long, value_name = "ZONE", value_parser = reading::zone, default_value = "Europe/Berlin")]
    time_zone: Tz,
    /// Image of the jobs: it has kubectl, a shell, date and the time zones in /usr/share/zoneinfo. Needed with --context.
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// The cluster, by its context in the kubeconfig.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    #[command(flatten)]
    extent: Extent,
}

/// Stretches of the week, each from when until when, and the bounds within them.
#[derive(Clone, Debug)]
struct Window {
    stretches: Vec<(Moment, Moment)>,
    within: Bounds,
}

fn bounds(text: &str) -> Result<Bounds, String> {
    let (min, max) = text.split_once("..").ok_or("expected MIN..MAX")?;
    let pods = |text: &str| text.trim().parse().map_err(|_| format!("{text:?} is not a number of pods"));
    Bounds::new(pods(min)?, pods(max)?).map_err(|error| error.to_string())
}

fn window(text: &str) -> Result<Window, String> {
    let form = || {
        format!(
            "{text:?}: expected 'Mon 08:00..Fri 18:30=5..20' for one stretch of the week, or 'Mon-Fri 08:00..18:30=5..20' for one on each day \
             (also a single day, weekdays, weekend, daily)"
        )
    };
    let (times, within) = text.split_once('=').ok_or_else(form)?;
    let (from, to) = times.split_once("..").ok_or_else(form)?;
    let (days, begin) = from.trim().split_once(' ').ok_or_else(form)?;
    let days = weekdays(days).ok_or_else(form)?;
    let begin = clock(begin).ok_or_else(form)?;
    let moment = |day: Weekday, (hour, minute): (u32, u32)| -> Result<Moment, String> {
        // The end of a day is the beginning of the next.
        let (day, hour) = if (hour, minute) == (24, 0) { (day.succ(), 0) } else { (day, hour) };
        Moment::new(day, hour, minute).map_err(|error| error.to_string())
    };
    let same = || format!("{text:?}: it begins and ends at the same minute; bounds of the whole week are --outside");
    let mut stretches = Vec::new();
    if let Some((day, end)) = to.trim().split_once(' ') {
        let ([first], Ok(last), Some(end)) = (days.as_slice(), day.parse::<Weekday>(), clock(end)) else {
            return Err(form());
        };
        let (from, to) = (moment(*first, begin)?, moment(last, end)?);
        if from == to {
            return Err(same());
        }
        stretches.push((from, to));
    } else {
        let end = clock(to).ok_or_else(form)?;
        for day in days {
            stretches.push((moment(day, begin)?, moment(if end > begin { day } else { day.succ() }, end)?));
        }
    }
    Ok(Window { stretches, within: bounds(within)? })
}

/// The days of a word: a weekday, several as Mon-Fri, weekdays, weekend or daily.
fn weekdays(word: &str) -> Option<Vec<Weekday>> {
    let (first, last) = match word.to_ascii_lowercase().as_str() {
        "daily" => (Weekday::Mon, Weekday::Sun),
        "weekdays" => (Weekday::Mon, Weekday::Fri),
        "weekend" => (Weekday::Sat, Weekday::Sun),
        _ => {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            (first.parse().ok()?, last.parse().ok()?)
        }
    };
    let mut days = vec![first];
    days.extend(std::iter::successors(Some(first), |day| (*day != last).then(|| day.succ())).skip(1));
    Some(days)
}

/// A time of day, up to 24:00.
fn clock(text: &str) -> Option<(u32, u32)> {
    let (hour, minute) = text.trim().split_once(':')?;
    let (hour, minute) = (hour.parse().ok()?, minute.parse().ok()?);
    (minute < 60 && (hour < 24 || (hour, minute) == (24, 0))).then_some((hour, minute))
}

/// The week of the schedule that is given, or of the windows.
fn week(arguments: &Arguments) -> Result<WeekPlan, Failure> {
    if let Some(path) = &arguments.schedule {
        let week = WeekPlan::of(&reading::schedule(path)?, arguments.outside);
        return week.map_err(|error| Failure::input(format!("{}: {error}", examples::place(path))));
    }
    let mut week = WeekPlan::new(arguments.time_zone.name(), arguments.outside).map_err(Failure::input)?;
    for Window { stretches, within } in &arguments.windows {
        for (from, to) in stretches {
            week.set(*from, *to, *within);
        }
    }
    Ok(week)
}

fn main() -> ExitCode {
    examples::exit(run(&Arguments::parse(), &mut MayClose(std::io::stdout().lock())))
}

fn run(arguments: &Arguments, out: &mut impl Write) -> Result<(), Failure> {
    let image = match (&arguments.image, &arguments.context) {
        (Some(image), _) => image.as_str(),
        (None, None) => by_hand::PLACEHOLDER_IMAGE,
        (None, Some(_)) => {
            let needs = "kubectl, a shell, date and the time zones in /usr/share/zoneinfo";
            return Err(Failure::input(format!("--context wants an --image that has {needs}")));
        }
    };
    let jobs = CronJobs::new(&arguments.target, week(arguments)?, image).map_err(Failure::input)?;
    let Some(context) = &arguments.context else {
        if arguments.image.is_none() {
            eprintln!("note: {}", by_hand::IS_PLACEHOLDER);
            writeln!(out, "# {}", by_hand::IS_PLACEHOLDER)?;
        }
        return Ok(write!(out, "{}", jobs.to_yaml().map_err(Failure::failed)?)?);
    };
    let mode = arguments.extent.mode();
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::failed)?;
    let done = runtime.block_on(async {
        let client = scaling_k8s::connect(context).await.map_err(Failure::input)?;
        CronJobApplier::new(client).apply(&jobs, mode).await.map_err(Failure::failed)
    })?;
    for (what, objects) in [("written", &done.written), ("unchanged", &done.unchanged), ("pruned", &done.pruned)] {
        objects.iter().try_for_each(|object| writeln!(out, "{what}: {object}"))?;
    }
    Ok(writeln!(out, "{}", by_hand::carried_out(mode))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(given: &[&str]) -> Result<String, String> {
        let arguments = Arguments::try_parse_from(std::iter::once(&"cron_jobs").chain(given));
        let arguments = arguments.map_err(|error| format!("2: {error}"))?;
        examples::outcome(|out| run(&arguments, out))
    }

    #[test]
    fn without_a_cluster_the_manifests_are_printed() {
        let text = output(&[]).unwrap();
        for said in
            ["kind: ServiceAccount", "kind: Role\n", "kind: CronJob", "timeZone: Europe/Berlin", "namespace: shop"]
        {
            assert!(text.contains(said), "{said}\n{text}");
        }
        assert!(text.starts_with("# the image of the jobs is a placeholder"), "{text}");
        assert!(text.contains(by_hand::PLACEHOLDER_IMAGE), "{text}");
        let named = output(&["--image", "registry.example/ours:1"]).unwrap();
        assert!(!named.contains("placeholder") && named.contains("registry.example/ours:1"), "{named}");
        let text = output(&["--context", "no-such-context"]).unwrap_err();
        assert!(text.starts_with("2: --context wants an --image"), "{text}");
        let text = output(&["--context", "no-such-context", "--image", "registry.example/kubectl:1"]).unwrap_err();
        assert!(text.starts_with("2: no connection"), "{text}");
    }

    #[test]
    fn a_window_on_days_is_one_on_each_of_them() {
        let plan = |windows: &[&str]| {
            let words = windows.iter().flat_map(|window| ["--window", window]);
            week(&Arguments::try_parse_from(std::iter::once("cron_jobs").chain(words)).unwrap()).unwrap()
        };
        let mut each = WeekPlan::new("Europe/Berlin", Bounds::new(2, 10).unwrap()).unwrap();
        let at = |day, hour, minute| Moment::new(day, hour, minute).unwrap();
        for day in [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri] {
            each.set(at(day, 8, 0), at(day, 18, 30), Bounds::new(5, 20).unwrap());
        }
        assert_eq!(plan(&["Mon-Fri 08:00..18:30=5..20"]), each);
        assert_eq!(plan(&["weekdays 8:00..18:30=5..20"]), each);
        assert_eq!(plan(&["Sat 10:00..24:00=3..9"]), plan(&["Sat 10:00..Sun 00:00=3..9"]));
        assert_eq!(plan(&["Sun 22:00..02:00=3..9"]), plan(&["Sun 22:00..Mon 02:00=3..9"]));
        assert_eq!(plan(&["weekend 00:00..24:00=3..9"]), plan(&["Sat 00:00..Sun 24:00=3..9"]));
    }

    #[test]
    fn a_schedule_of_ones_own_becomes_cron_jobs() {
        let path = examples::test_data("shop_schedule.json");
        let text = output(&["--schedule", path.to_str().unwrap(), "--outside", "2..60"]).unwrap();
        assert!(text.contains("kind: CronJob") && text.contains("timeZone: Europe/Berlin"), "{text}");
    }

    #[test]
    fn what_cannot_be_is_said_with_code_2() {
        for given in [
            &["--window", "Mon 08:00"][..],
            &["--window", "Mon 25:00..Fri 18:30=5..20"],
            &["--window", "Mon 08:00..Fri 18:30=9..3"],
            &["--outside", "x..3"],
            &["--window", "Mon 08:00..Mon 08:00=5..20"],
            &["--window", "Mon-Fri 08:00..Fri 18:30=5..20"],
            &["--window", "Mon 08:00..24:01=5..20"],
            &["--window", "someday 08:00..18:00=5..20"],
            &["--time-zone", "Local"],
            &["--time-zone", "Europe/Berln"],
            &["--schedule", "nowhere.json"],
            &["--schedule", "nowhere.json", "--time-zone", "Europe/Berlin"],
            &["--apply"],
        ] {
            assert!(output(given).unwrap_err().starts_with("2: "), "{given:?}");
        }
    }
}
