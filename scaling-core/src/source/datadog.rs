//! Metrics from Datadog: the timeseries query of its API, version 2.
//!
//! One `POST /api/v2/query/timeseries` a step carries every query, each grouped by the tags that tell workloads apart, so that a fleet
//! costs what one workload costs. [`query`] makes the request and [`answer`] reads what comes back, both without a network; [`presets`] names
//! the metrics of the Kubernetes integration and of traces; [`DatadogSource`] asks, and keeps what it learnt of each workload.
//!
//! What can go wrong with numbers from Datadog, and what is done about it:
//!
//! | trap | here |
//! | --- | --- |
//! | usage in billionths of a core, requests in cores | units are stated, and compared with those that the answer reports |
//! | interpolation over five minutes | turned off: `fill(null)` |
//! | 0 for a missing count in arithmetic between queries | no arithmetic: shares are made here, of two answers |
//! | the last one or two buckets are incomplete or `null` | read two minutes late ([`config`]) |
//! | no series of errors while there are none | [`Term::Sparse`](super::fleet::Term::Sparse): 0 beside requests that were measured |
//! | a larger bucket than the one asked for | windows are kept small; what still comes stands once, at the end of its bucket |
//! | the same name in two clusters or environments | grouped by both; ambiguous, and not added up |
//! | 1,600 queries an hour | one request a step; after a 429 none until the limit is reset |
//!
//! ```no_run
//! use scaling_core::http::HttpConfig;
//! use scaling_core::source::datadog::{self, DatadogApi, DatadogSource, Keys, presets};
//! use scaling_core::source::fleet::Workload;
//! use scaling_core::source::mapping::Mapping;
//! use scaling_core::{MetricsSource, Target};
//!
//! # async fn ask() -> Result<(), Box<dyn std::error::Error>> {
//! let keys = Keys::new(std::env::var("DD_API_KEY")?, std::env::var("DD_APP_KEY")?);
//! let api = DatadogApi::new("datadoghq.eu", keys, HttpConfig::default())?;
//! let target = Target::deployment("shop", "checkout").in_cluster("eu-1");
//! let mut queries = presets::kubernetes(&target, &[])?;
//! queries.extend(presets::traces("http.request", "checkout", &[("env", "prod")])?);
//! let workload = Workload::new(target.clone(), Mapping::new(queries)?);
//! let source = DatadogSource::new(api, [workload], datadog::config())?;
//! # let now = scaling_core::chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap();
//! for checked in source.check(now).await {
//!     println!("{checked}");
//! }
//! let seen = source.observe(&target, now).await?;
//! # Ok(())
//! # }
//! ```

pub mod answer;
mod client;
pub mod presets;
pub mod query;
mod series;

pub use client::{DatadogApi, InvalidApi, Keys};
pub use series::TagSeries;

use chrono::TimeDelta;

use super::fleet::{FleetConfig, FleetSource};

/// A source over Datadog's API.
pub type DatadogSource = FleetSource<DatadogApi>;

/// Time that a minute is given to be complete: Agents flush every 15 s, traces come with their own delay, and of the last one or two
/// buckets a part is missing.
const SETTLE: TimeDelta = TimeDelta::minutes(2);

/// Time as Datadog needs it: minutes, read two minutes after they ended, ten back. A source takes the two minutes by itself where
/// [`FleetConfig::settle`] is left open.
pub fn config() -> FleetConfig {
    FleetConfig::default().with_settle(SETTLE)
}
