//! Prometheus and what speaks its HTTP API: VictoriaMetrics, Thanos, Mimir.
//!
//! A [`QuerySet`] says what is asked and so which signals are delivered; [`PrometheusSource`] asks it, once a tick for a whole fleet.
//! [`check`](PrometheusSource::check) runs each query once and says in words what is wrong with it;
//! [`backfill`](PrometheusSource::backfill) fetches the past that engines learn from. Queries and answers are pure ([`plan`],
//! [`answer`]) and can be used without the client.
//!
//! What can come instead of a number is told apart, and none of it becomes 0:
//!
//! | from the server | becomes |
//! | --- | --- |
//! | no series for the workload | stale since it was last seen, or not measured |
//! | NaN, ±Inf | [`Absence::NotFinite`](crate::Absence::NotFinite); for response time and error rate at a rate of 0: nothing to measure |
//! | negative, or beyond the quantity | [`Absence::OutOfRange`](crate::Absence::OutOfRange) |
//! | a sample older than [`QuerySet::fresh`] | [`Absence::Stale`](crate::Absence::Stale) |
//! | utilization of which not all ready pods answered | [`Absence::Partial`](crate::Absence::Partial), with how many did |
//! | a partial answer | [`Absence::Partial`](crate::Absence::Partial) for every workload in it, since nobody knows what is missing |
//! | two series for one workload | not measured, and in the [`Report`] |
//! | a target of another cluster | [`SourceError::Backend`](crate::SourceError::Backend), and nothing is asked |
//! | one query fails | its signals are absent, the others are there |
//! | all fail | [`SourceError::Backend`](crate::SourceError::Backend) |
//! | nothing at all of a workload | [`SourceError::NoData`](crate::SourceError::NoData) |
//!
//! ```no_run
//! use scaling_core::http::{Endpoint, HttpClient, HttpConfig};
//! use scaling_core::source::prometheus::{PrometheusSource, QuerySet};
//! use scaling_core::{MetricsSource, Target};
//!
//! # async fn see(now: scaling_core::chrono::DateTime<scaling_core::chrono::Utc>) -> Result<(), Box<dyn std::error::Error>> {
//! let source = PrometheusSource::new(
//!     HttpClient::new(HttpConfig::default())?,
//!     Endpoint::parse("http://prometheus.monitoring:9090")?,
//!     QuerySet::kubernetes().and(QuerySet::istio()),
//! );
//! let target = Target::deployment("shop", "checkout");
//! for line in source.check(&target, now).await {
//!     println!("{line}");
//! }
//! let seen = source.observe(&target, now).await?;
//! # Ok(())
//! # }
//! ```

mod backfill;
mod check;
mod client;
mod index;
mod query;
mod query_set;
mod report;
mod sets;
mod source;
mod template;

pub use crate::source::parse::prometheus::answer;
pub use backfill::{Backfill, BackfillReport};
pub use check::{QueryCheck, Verdict};
pub use client::{QueryError, QueryFault};
pub use query::{Query, escaped, instant, plan, range};
pub use query_set::QuerySet;
pub use report::{QueryBudget, Report};
pub use source::PrometheusSource;
pub use template::{InvalidTemplate, Measure, NamedBy, QueryTemplate, Unit};
