//! Metrics that the cluster itself serves: [`MetricsApi`] reads `metrics.k8s.io`, `custom.metrics.k8s.io` and
//! `external.metrics.k8s.io`, and the pods beside them.
//!
//! No Prometheus is needed: what an HPA sees is seen here, read as its controller reads it, and with what it does not look at: how long
//! pods take to start, measured.
//!
//! | what | from where |
//! | --- | --- |
//! | desired pods | `spec.replicas` of the Deployment, StatefulSet or ReplicaSet; the scale subresource of other [kinds](MetricsApi::with_kind) |
//! | ready pods | pods of its selector that run, are ready and are not being deleted |
//! | CPU and memory, percent of request | `PodMetrics` of the pods that the HPA's controller would count, total over total |
//! | request rate, response time, … | metrics that the host [maps](WorkloadMetrics::with_metrics), of pods, of an object or external, in units that it states |
//! | requests and limits | the newest pod: those to come will be like it |
//! | highest use of a container | the same samples, over all pods and [a window](MetricsApiConfig::usage_window): [`PodUsage`](crate::PodUsage) |
//! | start-up time | creation of a pod to its readiness, at a quantile of the [starts seen](MetricsApi::start_up) |
//!
//! What can go wrong, and what is done about it:
//!
//! | trap | here |
//! | --- | --- |
//! | a pod that starts burns CPU | left out as the HPA's controller does ([`scaling_core::hpa::classify`]) |
//! | a ready pod without a sample | [`Absence::Partial`](scaling_core::Absence::Partial), once it has had [time for one](MetricsApiConfig::first_sample_within) |
//! | a pod without a request | [`Absence::NoRequest`](scaling_core::Absence::NoRequest): there is no share of it |
//! | a sample that is old | [`Absence::Stale`](scaling_core::Absence::Stale) beyond [a limit](MetricsApiConfig::stale_after) |
//! | a sample of a former pod of the same name | not counted |
//! | samples later than now | not counted; an error if all are |
//! | an API that nobody serves | an error with what to look at |
//! | a list cut in the middle | an error: half of the pods are no workload |
//!
//! Workloads of one namespace share their questions, so a fleet costs three a namespace: its workloads, its pods, their samples. The API
//! tells the present alone: history begins with the first tick, and a host that has a monitoring service joins that by
//! [`Composite`](scaling_core::source::Composite).
//!
//! Needs the verbs `get` and `list` on `pods`, on `pods` of `metrics.k8s.io`, and on the workloads in `apps` (or `get` on the scale
//! subresource of another kind); where they are mapped, on the resources of `custom.metrics.k8s.io` and `external.metrics.k8s.io`.
//!
//! ```no_run
//! use scaling_core::source::mapping::{Mapping, SignalQuery, Statistic, Unit};
//! use scaling_core::{MetricsSource, SignalKind, Target};
//! use scaling_k8s::metrics_api::{ApiMetric, MetricsApi, WorkloadMetrics};
//!
//! # async fn see(now: scaling_core::chrono::DateTime<scaling_core::chrono::Utc>) -> Result<(), Box<dyn std::error::Error>> {
//! let rate = ApiMetric::pods("http_requests_per_second");
//! let rate = SignalQuery::new(SignalKind::RequestRate, rate, Unit::PerSecond, Statistic::Average);
//! let web = Target::deployment("shop", "web");
//! let source = MetricsApi::new(scaling_k8s::connect("staging").await?)
//!     .with_workload(web.clone(), WorkloadMetrics::default().with_metrics(Mapping::new([rate])?))?;
//! let seen = source.observe(&web, now).await?;
//! println!("{:?} of {:?} pods are ready", seen.current.current_pod_count, seen.current.desired_pod_count);
//! # Ok(())
//! # }
//! ```

mod answer;
mod client;
mod config;
mod fault;
mod measure;
mod plan;
mod pods;
mod query;
mod source;
mod start_up;
mod state;
mod usage;

pub use config::{ApiMetric, Combine, InvalidMetrics, MetricsApiConfig, ScaledKind, WorkloadMetrics};
pub use fault::{ApiCause, ApiFault, ApiGroup};
pub use plan::InvalidTarget;
pub use source::MetricsApi;
pub use start_up::StartUpTimes;
