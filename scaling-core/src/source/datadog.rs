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
//! | the last one or two buckets are incomplete or `null` | [`FleetConfig::settle`](super::fleet::FleetConfig::settle) |
//! | a larger bucket than the one asked for | windows are kept small; what still comes stands once, at the end of its bucket |
//! | the same name in two clusters or environments | grouped by both; ambiguous, and not added up |
//! | 1,600 queries an hour | one request a step; after a 429 none until the limit is reset |
//!
//! ```no_run
//! use scaling_core::http::HttpConfig;
//! use scaling_core::source::datadog::{DatadogApi, DatadogSource, Keys, presets};
//! use scaling_core::source::fleet::{FleetConfig, Workload};
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
//! let source = DatadogSource::new(api, [workload], FleetConfig::default())?;
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

use super::fleet::FleetSource;

/// A source over Datadog's API.
pub type DatadogSource = FleetSource<DatadogApi>;
