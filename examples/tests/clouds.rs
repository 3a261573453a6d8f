//! `autoscale` against CloudWatch, Azure Monitor and Datadog: by a file that says which series are whose, on servers as strict as the
//! real ones (CloudWatch: `moto`).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout, missing_docs)]
#![allow(dead_code, unreachable_pub)] // of the shared servers each test uses some

#[path = "clouds/azure.rs"]
mod azure;
#[path = "../../scaling-core/tests/azure_monitor/api.rs"]
mod azure_api;
#[path = "clouds/cloudwatch.rs"]
mod cloudwatch;
#[path = "clouds/datadog.rs"]
mod datadog;
#[path = "../../scaling-core/tests/datadog/api.rs"]
mod datadog_api;
#[path = "clouds/refusals.rs"]
mod refusals;
#[path = "../../scaling-core/tests/http/server.rs"]
mod server;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use clap::Parser;
use examples::Failure;
use examples::live::arguments::LiveArguments;
use examples::live::{Setup, Tell, checked, fetched, looped};
use examples::manifest::HpaArguments;
use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::live::{Clock, Entry, LoopReport, SimulatedClock, Stop, entries};
use scaling_core::{DecisionRecord, ScalingMetrics};

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    live: LiveArguments,
}

/// The program with a file for a cloud, in a folder of its own.
struct Program {
    folder: tempfile::TempDir,
    live: LiveArguments,
    hpas: HpaArguments,
    hpa: PathBuf,
    records: PathBuf,
    said: Arc<Mutex<String>>,
}

impl Program {
    /// `flag` is that of the cloud; the workload is the one of the shipped HPA.
    fn new(flag: &str, file: &str, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mappings.yaml");
        std::fs::write(&path, file).unwrap();
        let words = ["autoscale", flag, path.to_str().unwrap(), "--backfill", "1"];
        let words: Vec<&str> = words.iter().chain(more).copied().collect();
        let mut live = Arguments::try_parse_from(words).unwrap().live;
        if live.from.targets.is_empty() {
            live.from.targets =
                Arguments::try_parse_from(["autoscale", "--target", "shop/shop"]).unwrap().live.from.targets;
        }
        let (hpa, records) = (examples::test_data("shop_hpa.yaml"), folder.path().join("records"));
        Self { folder, live, hpas: HpaArguments::default(), hpa, records, said: Arc::default() }
    }

    fn setup(&self) -> Setup<'_> {
        Setup {
            live: &self.live,
            hpa: Some(&self.hpa),
            hpas: &self.hpas,
            engine: "rules",
            records: Some(&self.records),
            events: &[],
            limits: None,
            price: examples::price(0.05, "USD").unwrap(),
        }
    }

    fn tell(&self) -> Tell {
        let said = Arc::clone(&self.said);
        Arc::new(move |line| said.lock().unwrap().extend([line, "\n"]))
    }

    /// What was said since the last question.
    fn said(&self) -> String {
        std::mem::take(&mut self.said.lock().unwrap())
    }

    /// What `check` says, and whether all is well.
    async fn check(&self, now: DateTime<Utc>) -> (Result<(), Failure>, String) {
        let result = checked(&self.setup(), now, self.tell()).await;
        (result, self.said())
    }

    /// The past that `backtest` compares on.
    async fn past(&self, now: DateTime<Utc>) -> Vec<ScalingMetrics> {
        fetched(&self.setup(), now, self.tell()).await.unwrap().2
    }

    /// Ticks for some minutes; `at` is called with the number of each that comes.
    async fn run(
        &self,
        from: DateTime<Utc>,
        minutes: i64,
        at: impl Fn(i64) + Send + Sync + 'static,
    ) -> (LoopReport, String) {
        let stop = Stop::new();
        let (clock, end) = (SimulatedClock::at(from), stop.clone());
        let clock = Counting { clock, from, minutes, end, at: Box::new(at) };
        let report = looped(&self.setup(), clock, &stop, self.tell()).await.unwrap();
        (report, self.said())
    }

    fn records(&self) -> Vec<DecisionRecord> {
        read(&self.records)
    }
}

fn read(folder: &Path) -> Vec<DecisionRecord> {
    let record = |entry| if let Entry::Record(record) = entry { Some(*record) } else { None };
    entries(folder).unwrap().filter_map(record).collect()
}

/// A clock that tells each minute, and ends after some.
struct Counting {
    clock: SimulatedClock,
    from: DateTime<Utc>,
    minutes: i64,
    end: Stop,
    at: Box<dyn Fn(i64) + Send + Sync>,
}

#[async_trait]
impl Clock for Counting {
    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    async fn sleep(&self, time: std::time::Duration) {
        self.clock.sleep(time).await;
        let minute = (self.now() - self.from + TimeDelta::seconds(59)).num_minutes();
        (self.at)(minute);
        if minute >= self.minutes {
            self.end.request();
        }
    }
}
