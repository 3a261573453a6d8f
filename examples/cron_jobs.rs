//! A weekly schedule as CronJobs that move the bounds of an HPA, without anything of ours running in the cluster.
//!
//!     cargo run --release --features live --example cron_jobs
//!     cargo run --release --features live --example cron_jobs -- --target shop/web --window 'Mon 08:00..Fri 18:30=5..20' \
//!         --image registry.example/kubectl-with-time-zones:1.37 --context staging --apply
//!
//! The image has `sh`, `date` and `kubectl` on its path and the time zones in `/usr/share/zoneinfo`; one of kubectl alone lacks the last, and
//! its jobs fail and change nothing.
//!
//! Without `--context` the manifests are printed, with a placeholder where no image is given: a ServiceAccount, the least Role that does it, and the CronJobs. With it they are validated
//! (`--server-dry-run`) or applied and pruned (`--apply`): those of an earlier week are deleted. Exit code 1 if it is refused or failed.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use examples::by_hand::{self, Extent};
use examples::live::arguments::target;
use examples::{Failure, MayClose};
use scaling_core::chrono::Weekday;
use scaling_core::{Bounds, Target};
use scaling_k8s::CronJobApplier;
use scaling_k8s::api::cronjob::CronJobs;
use scaling_k8s::api::{Moment, WeekPlan};

const EXAMPLES: &str = "Examples:
  cargo run --release --features live --example cron_jobs
  cargo run --release --features live --example cron_jobs -- --target shop/web --outside 2..10 --window 'Mon 08:00..Fri 18:30=5..20' \\
      --time-zone Europe/Berlin --image registry.example/kubectl-with-time-zones:1.37 --context staging --apply";

/// Image of manifests that are only printed.
const PLACEHOLDER: &str = "registry.example/kubectl-with-time-zones:1.37";

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
    #[arg(long = "window", value_name = "DAY HH:MM..DAY HH:MM=MIN..MAX", value_parser = window, default_value = "Mon 08:00..Fri 18:30=5..20")]
    windows: Vec<Window>,
    /// Time zone of the windows.
    #[arg(long, value_name = "ZONE", default_value = "Europe/Berlin")]
    time_zone: String,
    /// Image of the jobs: it has kubectl, a shell, date and the time zones in /usr/share/zoneinfo. Needed with --context.
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// The cluster, by its context in the kubeconfig.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    #[command(flatten)]
    extent: Extent,
}

/// From when until when, and the bounds.
type Window = (Moment, Moment, Bounds);

fn bounds(text: &str) -> Result<Bounds, String> {
    let (min, max) = text.split_once("..").ok_or("expected MIN..MAX")?;
    let pods = |text: &str| text.trim().parse().map_err(|_| format!("{text:?} is not a number of pods"));
    Bounds::new(pods(min)?, pods(max)?).map_err(|error| error.to_string())
}

fn window(text: &str) -> Result<Window, String> {
    let form = || format!("{text:?}: expected DAY HH:MM..DAY HH:MM=MIN..MAX, such as 'Mon 08:00..Fri 18:30=5..20'");
    let (times, within) = text.split_once('=').ok_or_else(form)?;
    let (from, to) = times.split_once("..").ok_or_else(form)?;
    let moment = |text: &str| -> Result<Moment, String> {
        let (day, clock) = text.trim().split_once(' ').ok_or_else(form)?;
        let (hour, minute) = clock.trim().split_once(':').ok_or_else(form)?;
        let (day, hour, minute) = (day.parse::<Weekday>(), hour.parse(), minute.parse());
        let (Ok(day), Ok(hour), Ok(minute)) = (day, hour, minute) else { return Err(form()) };
        Moment::new(day, hour, minute).map_err(|error| error.to_string())
    };
    Ok((moment(from)?, moment(to)?, bounds(within)?))
}

fn main() -> ExitCode {
    examples::exit(run(&Arguments::parse(), &mut MayClose(std::io::stdout().lock())))
}

fn run(arguments: &Arguments, out: &mut impl Write) -> Result<(), Failure> {
    let mut week = WeekPlan::new(&arguments.time_zone, arguments.outside).map_err(Failure::input)?;
    for (from, to, within) in &arguments.windows {
        week.set(*from, *to, *within);
    }
    let image = match (&arguments.image, &arguments.context) {
        (Some(image), _) => image.as_str(),
        (None, None) => PLACEHOLDER,
        (None, Some(_)) => {
            let needs = "kubectl, a shell, date and the time zones in /usr/share/zoneinfo";
            return Err(Failure::input(format!("--context wants an --image that has {needs}")));
        }
    };
    let jobs = CronJobs::new(&arguments.target, week, image).map_err(Failure::input)?;
    let Some(context) = &arguments.context else {
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
        assert!(text.contains(PLACEHOLDER), "{text}");
        let text = output(&["--context", "no-such-context"]).unwrap_err();
        assert!(text.starts_with("2: --context wants an --image"), "{text}");
        let text = output(&["--context", "no-such-context", "--image", "registry.example/kubectl:1"]).unwrap_err();
        assert!(text.starts_with("2: no connection"), "{text}");
    }

    #[test]
    fn what_cannot_be_is_said_with_code_2() {
        for given in [
            &["--window", "Mon 08:00"][..],
            &["--window", "Mon 25:00..Fri 18:30=5..20"],
            &["--window", "Mon 08:00..Fri 18:30=9..3"],
            &["--outside", "x..3"],
            &["--time-zone", "Local"],
            &["--apply"],
        ] {
            assert!(output(given).unwrap_err().starts_with("2: "), "{given:?}");
        }
    }
}
