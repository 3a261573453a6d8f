//! Metrics from Azure Monitor: the metrics API of a resource, or the batch API of a region.
//!
//! [`query`] makes the calls and [`answer`] reads what comes back, both without a network; [`presets`] names metrics and says honestly what
//! platform metrics lack; [`Identity`] is who asks; [`AzureMonitorSource`] asks, and keeps what it learnt of each workload.
//!
//! What can go wrong with numbers from Azure Monitor, and what is done about it:
//!
//! | trap | here |
//! | --- | --- |
//! | only ten series come back where a dimension is split | `top` is stated, and an answer that reaches it is refused |
//! | the last minutes are missing, or filled with 0 | read three minutes late ([`config`]); a bucket with `count` 0 is not measured |
//! | a bucket without a value | absent, not 0 |
//! | no series of 5xx while there are none | [`Term::Sparse`](super::fleet::Term::Sparse): 0 beside responses that were measured |
//! | one wildcard in a filter | one dimension tells the series of a query apart |
//! | the unit of a metric | stated, and compared with the one that the answer reports |
//! | a metric fails inside of an answer with status 200 | its `errorCode` is read |
//! | throttling: 429, 529 | one call for all workloads behind a resource; batches of 50 resources |
//!
//! ```no_run
//! use scaling_core::http::HttpConfig;
//! use scaling_core::source::azure_monitor::{self, AzureMonitorApi, AzureMonitorSource, Cloud, Identity, ResourceId, presets};
//! use scaling_core::source::fleet::Workload;
//! use scaling_core::source::mapping::Mapping;
//! use scaling_core::{MetricsSource, Target};
//!
//! # async fn ask() -> Result<(), Box<dyn std::error::Error>> {
//! let api = AzureMonitorApi::new(Cloud::Public, &Identity::workload(), HttpConfig::default())?;
//! let gateway: ResourceId = std::env::var("AZURE_GATEWAY_ID")?.parse()?;
//! let target = Target::deployment("shop", "checkout");
//! let queries = presets::application_gateway(&gateway, "pool-shop-checkout-80-bp-8080")?;
//! let workload = Workload::new(target.clone(), Mapping::new(queries)?);
//! let source = AzureMonitorSource::new(api, [workload], azure_monitor::config())?;
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
mod credential;
pub mod presets;
pub mod query;
mod resource;

pub use client::{AzureMonitorApi, Cloud, InvalidApi};
pub use credential::{Identity, InvalidIdentity, Tokens};
pub use resource::{InvalidResourceId, ResourceId};

use chrono::TimeDelta;

use super::fleet::{FleetConfig, FleetSource};

/// A source over Azure Monitor.
pub type AzureMonitorSource = FleetSource<AzureMonitorApi>;

/// Time that a minute is given to be complete.
const SETTLE: TimeDelta = TimeDelta::minutes(3);

/// Time as Azure Monitor's platform metrics need it: minutes, read three minutes after they ended, fifteen back. A source takes the three
/// minutes by itself where [`FleetConfig::settle`] is left open.
pub fn config() -> FleetConfig {
    FleetConfig::default().with_settle(SETTLE).with_lookback(TimeDelta::minutes(15))
}
