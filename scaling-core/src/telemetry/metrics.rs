//! [`Metrics`]: counts and gauges of what was decided, in the OpenMetrics format. The table of all of them is in
//! [`telemetry`](super).

mod counts;
mod forecasts;
mod gauges;
mod write;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use prometheus_client::collector::Collector;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::Timed;
use crate::engine::{BreakerWatch, DecisionEngine};
use crate::record::{DecisionRecord, RecordError, Recorder};
use crate::target::Target;
use counts::Counts;
use gauges::Gauges;

/// Workloads with series of their own, if a host sets no limit. With some 20 series each that is a few megabytes for Prometheus.
const TARGETS_AT_MOST: usize = 1000;

/// Upper ends of the buckets of the latency, in seconds: rules take microseconds, a language model takes seconds.
const LATENCY_BUCKETS: [f64; 15] =
    [1e-5, 1e-4, 2.5e-4, 1e-3, 2.5e-3, 0.01, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Counts and gauges of what was decided.
///
/// It is a [`Recorder`]: what it shows comes from records, and a [`Tee`](crate::Tee) puts it beside the recorder that keeps them. Nothing
/// global is installed; two of them do not know of each other. What a record cannot tell is given to it: the latency of an engine
/// ([`timed`](Self::timed)), the state of a breaker ([`with_breaker`](Self::with_breaker)), missed ticks ([`missed_ticks`](Self::missed_ticks)).
///
/// Its size is bounded. Workloads beyond a limit (1,000 by default) are counted in the totals and have no series of their own, which
/// `ai_scaling_unlisted_records_total` and a warning say. One that is [forgotten](Self::forget) loses its series and leaves its place.
///
/// ```
/// use std::sync::Arc;
/// use scaling_core::chrono::DateTime;
/// use scaling_core::record::{MemoryRecorder, Recorder, Tee};
/// use scaling_core::telemetry::Metrics;
/// use scaling_core::{ApplyMode, DecisionRecord, Outcome, Target};
///
/// let metrics = Arc::new(Metrics::new());
/// let recorder = Tee::new().with(MemoryRecorder::new()).with(metrics.clone());
///
/// let mut record = DecisionRecord::new(Target::deployment("shop", "web"), DateTime::UNIX_EPOCH, ApplyMode::Apply);
/// record.outcome = Outcome::Refused { guard: "cooldown".into(), why: "120 s to go".into() };
/// recorder.record(&record)?;
/// let page = metrics.render()?;
/// assert!(page.contains("ai_scaling_refusals_total{guard=\"cooldown\"} 1\n"));
/// assert!(page.contains("ai_scaling_source_up{target_namespace=\"shop\",target_kind=\"Deployment\",target_name=\"web\"} 0.0\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Metrics {
    collected: Arc<Collected>,
    registry: Registry,
    latency: Histogram,
}

/// What a page is written from.
#[derive(Debug)]
struct Collected {
    /// Short locks, never held over an await.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    counts: Counts,
    targets: BTreeMap<Target, Gauges>,
    targets_at_most: usize,
    /// True once a workload was left without series, until one is forgotten.
    is_full: bool,
    breakers: Vec<(String, BreakerWatch)>,
    /// Instant of the newest record: the present, for breakers.
    newest: DateTime<Utc>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("targets", &self.state().targets.len()).finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Nothing counted yet.
    pub fn new() -> Self {
        let state = State {
            counts: Counts::new(),
            targets: BTreeMap::new(),
            targets_at_most: TARGETS_AT_MOST,
            is_full: false,
            breakers: Vec::new(),
            newest: DateTime::UNIX_EPOCH,
        };
        let collected = Arc::new(Collected { state: Mutex::new(state) });
        let latency = Histogram::new(LATENCY_BUCKETS);
        let mut registry = Registry::default();
        let help = "Time that an engine took to decide";
        registry.register_with_unit("ai_scaling_analysis_latency", help, Unit::Seconds, latency.clone());
        registry.register_collector(Box::new(Arc::clone(&collected)));
        Self { collected, registry, latency }
    }

    /// Sets how many workloads have series of their own. Default 1,000.
    #[must_use]
    pub fn with_target_limit(self, targets: usize) -> Self {
        self.state().targets_at_most = targets;
        self
    }

    /// Shows the state of a breaker ([`Breaker::watch`](crate::Breaker::watch)), under the name of the engine behind it.
    #[must_use]
    pub fn with_breaker(self, engine: impl Into<String>, watch: BreakerWatch) -> Self {
        self.state().breakers.push((engine.into(), watch));
        self
    }

    /// Shows what somebody else counts: a language model's calls and cost (`scaling_llm::LlmMetrics`), or the host's own numbers. Names and
    /// bounds are the collector's.
    #[must_use]
    pub fn with_collector(mut self, collector: impl Collector) -> Self {
        self.registry.register_collector(Box::new(collector));
        self
    }

    /// The same engine, its latency measured. `clock` tells the time since any fixed moment, such as `move || start.elapsed()`.
    ///
    /// ```
    /// use std::time::Instant;
    /// use scaling_core::telemetry::Metrics;
    /// use scaling_core::{DecisionEngine, RuleBasedEngine};
    ///
    /// let (metrics, start) = (Metrics::new(), Instant::now());
    /// let engine = metrics.timed(RuleBasedEngine::default(), move || start.elapsed());
    /// assert_eq!(engine.name(), "rules");
    /// ```
    pub fn timed<E: DecisionEngine>(
        &self,
        engine: E,
        clock: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Timed<E> {
        Timed::new(engine, self.latency.clone(), clock)
    }

    /// Counts ticks that the loop could not make in time and skipped.
    pub fn missed_ticks(&self, ticks: u64) {
        self.state().counts.missed(ticks);
    }

    /// Takes the series of a workload that is gone from the page. What was counted of it stays.
    pub fn forget(&self, target: &Target) {
        let mut state = self.state();
        if state.targets.remove(target).is_some() {
            state.is_full = false;
        }
    }

    /// The page that Prometheus reads, in the OpenMetrics text format.
    ///
    /// # Errors
    /// [`std::fmt::Error`] if it could not be written.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &self.registry)?;
        Ok(page)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.collected.state()
    }
}

impl Collected {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorder for Metrics {
    fn record(&self, record: &DecisionRecord) -> Result<(), RecordError> {
        self.state().record(record);
        Ok(())
    }
}

impl State {
    fn record(&mut self, record: &DecisionRecord) {
        self.newest = record.at;
        self.counts.record(record);
        if let Some(gauges) = self.targets.get_mut(&record.target) {
            gauges.record(record, &mut self.counts);
        } else if self.targets.len() < self.targets_at_most {
            self.targets.entry(record.target.clone()).or_default().record(record, &mut self.counts);
        } else {
            self.counts.unlisted();
            if !self.is_full {
                self.is_full = true;
                let limit = self.targets_at_most;
                tracing::warn!(limit, target_workload = %record.target, "no more workloads get metrics of their own");
            }
        }
    }
}
