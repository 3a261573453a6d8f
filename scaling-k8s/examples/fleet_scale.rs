//! A whole fleet controller over thousands of HPAs of a real API server: what it takes while nothing changes, and while one percent does.
//!
//!     cargo run --release -p scaling-k8s --features controller,k8s-latest --example fleet_scale -- --hpas 10000 --interval 30
//!
//! It starts an API server of its own, from the programs in `KUBEBUILDER_ASSETS` (`.ci/control-plane/build` makes them), and prints for
//! each part CPU, memory and requests. It fails if a tick in which nothing changes asks the API server for anything but Leases, or if
//! others are written than those that change; and at 10,000 HPAs or more if such a tick of all takes a second of CPU or more, or the
//! process more than 300 MiB.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../tests/live_fleet/assembled.rs"]
mod assembled;
#[path = "../tests/live_fleet/fleet.rs"]
#[allow(dead_code)]
mod fleet;
#[path = "../tests/live_fleet/measure.rs"]
mod measure;
#[path = "../tests/support/mod.rs"]
mod support;

use std::process::ExitCode;
use std::time::Duration;

use scaling_core::RuleBasedEngine;

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |flag: &str, default: usize| match arguments.iter().position(|argument| argument == flag) {
        None => Some(default),
        Some(place) => arguments.get(place + 1).and_then(|value| value.parse().ok()).filter(|number| *number > 0),
    };
    let (Some(hpas), Some(interval)) = (number("--hpas", 10_000), number("--interval", 30)) else {
        eprintln!("usage: fleet_scale [--hpas NUMBER] [--interval SECONDS]");
        return ExitCode::from(2);
    };
    let Some(assets) = support::assets() else { return ExitCode::from(2) };
    let plane = support::ControlPlane::start(&assets).await;
    let interval = Duration::from_secs(u64::try_from(interval).unwrap_or(30));
    let steady = assembled::run(&plane, hpas, interval, RuleBasedEngine::default()).await;
    if hpas >= 10_000 && (steady.cpu >= 1.0 || steady.mib > 300) {
        eprintln!("a steady tick takes {:.2} s of CPU, the process {} MiB: more than is asked", steady.cpu, steady.mib);
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
