//! The part that the sources of CloudWatch, Azure Monitor and Datadog share in this program.

use std::time::Duration;

use async_trait::async_trait;
use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::source::fleet::{Backend, Checked, Fault, FleetConfig, FleetSource};
use scaling_core::{Target, WorkloadFacts};
use serde::Deserialize;

use super::{Finding, LiveSource, Past, Tried};
use crate::live::arguments::SourceArguments;
use crate::live::looping::Tell;

/// Gaps of the past that are told.
const TOLD: usize = 5;

/// Facts about a workload that no metric tells.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Facts {
    /// CPU request of one pod, in thousandths of a core.
    cpu_request_millicores: Option<u64>,
    /// Memory request of one pod, in bytes.
    memory_request_bytes: Option<u64>,
    /// Seconds from the creation of a pod to its first request. Default 60.
    start_up_seconds: Option<u64>,
    /// Requests a second that one pod serves at full utilization; learnt, where it is not stated.
    pod_capacity: Option<f64>,
}

impl Facts {
    /// The facts, by what the file says and what is known of the source: how old its numbers are, and how long each stands for.
    pub(super) fn stated(self, config: &FleetConfig, from: &SourceArguments) -> WorkloadFacts {
        let time = |time: TimeDelta| time.to_std().unwrap_or_default();
        let mut facts = WorkloadFacts::default();
        facts.cpu_request_millicores = self.cpu_request_millicores;
        facts.memory_request_bytes = self.memory_request_bytes;
        facts.pod_capacity = self.pod_capacity;
        facts.start_up = self.start_up_seconds.map_or(facts.start_up, Duration::from_secs);
        facts.metrics_lag = config.settle.map_or(facts.metrics_lag, time);
        facts.metrics_window = time(config.step);
        facts.sync_period = Duration::from_secs(from.origin.interval);
        facts
    }
}

/// Times of a source, keeping as much past as is fetched.
pub(super) fn config(config: FleetConfig, from: &SourceArguments) -> FleetConfig {
    let fetched = usize::try_from(from.backfill.saturating_mul(24 * 60)).unwrap_or(usize::MAX);
    let limit = config.limit.max(fetched);
    config.with_limit(limit)
}

#[async_trait]
impl<B: Backend> LiveSource for FleetSource<B> {
    async fn tried(&self, targets: &[Target], now: DateTime<Utc>) -> Vec<Tried> {
        let tried = |checked: Checked| Tried {
            works: checked.finding.works(),
            said: format!("{}: {}\n    {}", checked.measure, checked.finding, checked.query),
            target: checked.target,
        };
        let checked = self.check(now).await.into_iter();
        checked.filter(|checked| targets.contains(&checked.target)).map(tried).collect()
    }

    async fn fetch_past(&self, _: &[Target], days: u64, now: DateTime<Utc>, tell: &Tell) -> Past {
        let span = TimeDelta::days(i64::try_from(days).unwrap_or(i64::MAX));
        match self.backfill(now, span).await {
            Ok(brought) => {
                tell(&format!(
                    "fetched {} samples of the past {days} days in {} windows",
                    brought.samples, brought.windows
                ));
                for gap in brought.gaps.iter().take(TOLD) {
                    let (from, to) = (gap.from.format("%F %T"), gap.to.format("%F %T"));
                    tell(&format!(
                        "note: {}: a piece of the past is missing, {from} to {to}: {}",
                        gap.target, gap.error
                    ));
                }
                if brought.samples == 0 {
                    tell("note: there is no past; what is asked for: autoscale check");
                }
                let why = brought.gaps.first().map(|gap| gap.error.to_string());
                Past { samples: brought.samples, missing: brought.gaps.len(), why }
            }
            Err(error) => {
                tell(&format!("note: the past could not be fetched: {error}"));
                Past { samples: 0, missing: 1, why: Some(error.to_string()) }
            }
        }
    }

    fn findings(&self) -> Vec<Finding> {
        let faults = self.faults();
        let of_kind = |about: &str, ended, is: fn(&Fault) -> bool| {
            let mut found = faults.iter().filter(|(_, fault)| is(fault));
            let (series, fault) = found.next()?;
            let said = format!("{} cannot be used, as {series}: {fault}", 1 + found.count());
            Some(Finding { about: about.to_owned(), ended, said })
        };
        [
            of_kind("queries", "are answered again", |fault| matches!(fault, Fault::Failed(_))),
            of_kind("series", "are one each again", |fault| matches!(fault, Fault::Ambiguous { .. })),
            of_kind("units", "are the stated ones again", |fault| matches!(fault, Fault::WrongUnit { .. })),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn known(&self) -> Option<Vec<Target>> {
        Some(self.workloads().map(|workload| workload.target.clone()).collect())
    }
}
