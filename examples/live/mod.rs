//! `autoscale` against live metrics: what of it needs a network, behind the cargo feature `live`.

pub mod arguments;

#[cfg(feature = "live")]
mod check;
#[cfg(feature = "live")]
mod cluster;
#[cfg(feature = "live")]
mod fleet;
#[cfg(feature = "live")]
mod learnt;
#[cfg(feature = "live")]
mod looping;
#[cfg(feature = "live")]
mod records;
#[cfg(feature = "live")]
mod source;
#[cfg(feature = "live")]
mod telling;
#[cfg(feature = "live")]
mod watch;

use std::path::Path;

use scaling_core::{HardLimits, PlannedEvent, Price, ScalingMetrics};

use crate::manifest::HpaArguments;
use arguments::{LiveArguments, SourceArguments};

#[cfg(feature = "live")]
pub use check::{checked, fetched, pasts as fetched_pasts};
#[cfg(feature = "live")]
pub use entry::{check, past, pasts, records_replay, run};
#[cfg(feature = "live")]
pub use fleet::{FleetMetrics, FleetPast};
#[cfg(feature = "live")]
pub use looping::{Tell, looped};
#[cfg(feature = "live")]
pub use records::replayed;
#[cfg(feature = "live")]
pub use telling::Telling;

/// What the live parts take from the rest of the command line.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// Where from, for whom, how often.
    pub live: &'a LiveArguments,
    /// Manifests of the HPAs, where they are not read from a cluster.
    pub hpa: Option<&'a Path>,
    /// Which HPA of a file.
    pub hpas: &'a HpaArguments,
    /// Name of the engine.
    pub engine: &'a str,
    /// Folder of the records.
    pub records: Option<&'a Path>,
    /// Declared events.
    pub events: &'a [PlannedEvent],
    /// Smallest and largest size allowed at all.
    pub limits: Option<HardLimits>,
    /// Price of a pod.
    pub price: Price,
}

/// Of each workload its samples, or why there are none.
pub type Pasts = Vec<Result<Vec<ScalingMetrics>, crate::Failure>>;

/// Says how to get the live parts, for a program that was built without.
#[cfg(not(feature = "live"))]
mod entry {
    use scaling_core::chrono::{DateTime, Utc};
    use scaling_core::{ScalingMetrics, Target};

    use super::{Pasts, Path, Setup, SourceArguments};
    use crate::Failure;
    use crate::manifest::HpaFile;

    fn left_out() -> Failure {
        Failure::input(
            "this program was built without its live part; build it with: cargo run --release --features live --example NAME -- …",
        )
    }

    /// Ticks by the clock.
    ///
    /// # Errors
    /// [`Failure::Input`], always.
    pub fn run(_: &Setup<'_>) -> Result<(), Failure> {
        Err(left_out())
    }

    /// Says what works and what does not.
    ///
    /// # Errors
    /// [`Failure::Input`], always.
    pub fn check(_: &Setup<'_>) -> Result<(), Failure> {
        Err(left_out())
    }

    /// The past of a workload.
    ///
    /// # Errors
    /// [`Failure::Input`], always.
    pub fn past(_: &Setup<'_>) -> Result<(Target, HpaFile, Vec<ScalingMetrics>), Failure> {
        Err(left_out())
    }

    /// The pasts of many workloads.
    ///
    /// # Errors
    /// [`Failure::Input`], always.
    pub fn pasts(_: &SourceArguments, _: &[Target], _: Option<DateTime<Utc>>) -> Result<Pasts, Failure> {
        Err(left_out())
    }

    /// Runs again from records.
    ///
    /// # Errors
    /// [`Failure::Input`], always.
    pub fn records_replay(_: &Setup<'_>, path: &Path) -> Result<(), Failure> {
        let place = crate::place(path);
        let what = if path.is_dir() { "a folder" } else { "it" };
        Err(Failure::input(format!(
            "{place}: {what} is taken for the records of a live run, which the program runs again when it is built with: cargo run \
             --release --features live --example autoscale -- …; metrics are in a file"
        )))
    }
}

#[cfg(not(feature = "live"))]
pub use entry::{check, past, pasts, records_replay, run};

#[cfg(feature = "live")]
mod entry {
    use std::future::Future;
    use std::io::Write;
    use std::sync::Arc;

    use scaling_core::chrono::{DateTime, Utc};
    use scaling_core::live::{Clock, Stop, SystemClock};
    use scaling_core::telemetry::otlp::{self, OtlpError};
    use scaling_core::{ScalingMetrics, Target};
    use tokio::signal::unix::{SignalKind, signal};

    use super::looping::{Tell, looped};
    use super::{Pasts, Path, Setup, SourceArguments};
    use crate::manifest::HpaFile;
    use crate::{Failure, MayClose};

    fn within<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        // Two workers, so that a page is served while an engine learns.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.map_err(Failure::failed)?.block_on(work)
    }

    /// Writes lines on standard output, as long as somebody reads it.
    fn tell() -> Tell {
        Arc::new(|line| {
            let written = writeln!(MayClose(std::io::stdout().lock()), "{line}");
            if let Err(error) = written {
                eprintln!("error: standard output: {error}");
            }
        })
    }

    /// Asks for the end at SIGTERM and SIGINT.
    fn stop_on_signals() -> Result<Stop, Failure> {
        let stop = Stop::new();
        for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
            let (mut asked, stop) = (signal(kind).map_err(Failure::failed)?, stop.clone());
            tokio::spawn(async move {
                asked.recv().await;
                stop.request();
            });
        }
        Ok(stop)
    }

    /// Ticks by the clock until SIGTERM or SIGINT. Logs on standard error by `RUST_LOG`, and exports traces if
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` says where to.
    ///
    /// # Errors
    /// [`Failure`] if it cannot begin, or what was learnt is not kept at the end.
    pub fn run(setup: &Setup<'_>) -> Result<(), Failure> {
        // Dropped after the runtime, so that the last spans are sent.
        let _traces = match otlp::init_with(crate::QUIET) {
            Ok(traces) => Some(traces),
            // Whoever set one up before logs for us.
            Err(OtlpError::SubscriberSet) => None,
            Err(error) => return Err(Failure::input(error)),
        };
        within(async { looped(setup, SystemClock, &stop_on_signals()?, tell()).await.map(|_| ()) })
    }

    /// Says what works and what does not: each query, the HPA, the permission to change it.
    ///
    /// # Errors
    /// [`Failure::Failed`] if something does not work.
    pub fn check(setup: &Setup<'_>) -> Result<(), Failure> {
        within(super::check::checked(setup, SystemClock.now(), tell()))
    }

    /// The last 14 days of one workload, and the HPA that it is under.
    ///
    /// # Errors
    /// [`Failure`] if there is none, or not one.
    pub fn past(setup: &Setup<'_>) -> Result<(Target, HpaFile, Vec<ScalingMetrics>), Failure> {
        within(super::check::fetched(setup, SystemClock.now(), tell()))
    }

    /// The pasts of many workloads up to an instant, now by default.
    ///
    /// # Errors
    /// [`Failure`] if the server could not be asked.
    pub fn pasts(from: &SourceArguments, targets: &[Target], until: Option<DateTime<Utc>>) -> Result<Pasts, Failure> {
        within(super::check::pasts(from, targets, until.unwrap_or_else(|| SystemClock.now()), tell()))
    }

    /// Runs again from the records of a loop.
    ///
    /// # Errors
    /// [`Failure`] if they do not tell how.
    pub fn records_replay(setup: &Setup<'_>, records: &Path) -> Result<(), Failure> {
        super::records::replayed(setup, records, &tell())
    }
}
