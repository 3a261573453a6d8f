//! Metrics from Amazon CloudWatch, by `GetMetricData`: many workloads in one request, pages followed, absence told apart.
//!
//! [`CloudWatch`] is a [`FleetSource`]: it asks for each [`Series`] once a step for all workloads together, 500 in a request, keeps the
//! samples of each, [backfills](FleetSource::backfill) the learning history and [checks](FleetSource::check) every query.
//! What is a workload's CPU, rate or pod count is stated by a [`Mapping`](crate::source::mapping::Mapping), from [`presets`] or one's own.
//!
//! The account needs the permission `cloudwatch:GetMetricData`, and pays for each metric asked for. Credentials come from the SDK's
//! default chain (environment, shared files, web identity, container and instance roles). Profiles that need AWS SSO or a credential
//! process are not in this build: make a client with them and hand it to [`CloudWatchBackend::new`].
//!
//! ```no_run
//! use scaling_core::chrono::{DateTime, TimeDelta, Utc};
//! use scaling_core::source::cloudwatch::{CloudWatch, CloudWatchBackend, Connection, presets};
//! use scaling_core::source::fleet::{FleetConfig, Workload};
//! use scaling_core::source::mapping::{Mapping, Statistic};
//! use scaling_core::Target;
//!
//! # async fn connect(now: DateTime<Utc>) -> Result<(), Box<dyn std::error::Error>> {
//! let queries = presets::Eks::new("prod", "shop", "checkout").queries().into_iter().chain(
//!     presets::Alb::new("app/shop/50dc6c495c0c9188", "targetgroup/checkout/73e2d6bc24d8a067")
//!         .response_time(Statistic::percentile(95.0)?)
//!         .queries(),
//! );
//! let mapping = Mapping::new(queries.collect::<Vec<_>>())?;
//! let backend = CloudWatchBackend::connect(&Connection::default().with_region("eu-central-1")).await?;
//! let workload = Workload::new(Target::deployment("shop", "checkout"), mapping);
//! let source = CloudWatch::new(backend, [workload], FleetConfig::default())?;
//!
//! for checked in source.check(now).await {
//!     println!("{checked}");
//! }
//! source.backfill(now, TimeDelta::days(14)).await?;
//! # Ok(())
//! # }
//! # use scaling_core::chrono;
//! ```

mod answer;
mod client;
mod connection;
pub mod presets;
mod query;
mod series;
#[cfg(test)]
mod tests;

pub use aws_sdk_cloudwatch;
pub use client::CloudWatchBackend;
pub use connection::{ConnectError, Connection};
pub use series::{InvalidSeries, Metric, MetricStat, Series};

use chrono::TimeDelta;

use super::fleet::{FleetConfig, FleetSource};

/// A [`MetricsSource`](crate::MetricsSource) over CloudWatch.
pub type CloudWatch = FleetSource<CloudWatchBackend>;

/// Time that a minute is given to be complete: load balancers and Container Insights report once a minute, and the data point of a minute
/// may come, or grow, for two more.
const SETTLE: TimeDelta = TimeDelta::minutes(3);

/// Time as CloudWatch needs it: minutes, read three minutes after they ended, ten back. A source takes the three minutes by itself where
/// [`FleetConfig::settle`] is left open.
pub fn config() -> FleetConfig {
    FleetConfig::default().with_settle(SETTLE)
}
