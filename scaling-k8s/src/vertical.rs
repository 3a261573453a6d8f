//! Sizes of pods: what a change of requests and limits does, checked before anything is sent.
//!
//! Everything here is pure: pods, LimitRanges, ResourceQuotas and HPAs come as the API has them, and what comes out is the new sizes, or
//! every reason against them. [`check`] looks at
//!
//! - **use**: no request or limit comes below what the container uses now, plus a margin; of a use that nobody measures nothing is lowered;
//! - **QoS**: the class of the pod stays, which decides who is evicted first and which CPUs it may have, and which no resize may change;
//! - **limits**: a request stays within its limit, and a limit follows its request by default ([`LimitRule`]);
//! - **LimitRanges** of the namespace: min, max and ratio, of containers and of pods;
//! - **ResourceQuotas**: room for all pods of the workload, and for those that a rollout has on top.
//!
//! [`Effect`] is what it means to an HPA whose target is a share of the request: the target stays, and what it stands for moves.
//! [`Simulation`] is what the HPA then does over time, by the algorithm of its controller, and beside it what it would do if its targets were
//! changed with the requests.
//!
//! ```
//! use scaling_core::ResourceChange;
//! use scaling_k8s::vertical::{PodSizes, QosClass, Resize, Situation, Usage, check};
//! use serde_json::json;
//!
//! let pod = json!({ "containers": [{ "name": "app", "resources": {
//!     "requests": { "cpu": "200m", "memory": "256Mi" }, "limits": { "cpu": "400m" } } }] });
//! let before = PodSizes::of(&pod)?;
//! let more = Resize::new("app", ResourceChange { cpu_percent: 50, memory_percent: 0 });
//! let ranges = [json!({ "metadata": { "name": "small" }, "spec": { "limits": [{ "type": "Container", "max": { "cpu": "500m" } }] } })];
//!
//! let free = Situation::new(3, Usage::default());
//! assert_eq!(check(&before, &more, &free)?.sizes.requested("cpu"), Some(300));
//! let refused = check(&before, &more, &Situation { limit_ranges: &ranges, ..free }).unwrap_err();
//! assert_eq!(refused.to_string(), "container app: limit of cpu 600m is above the max 500m of LimitRange small");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod course;
mod effect;
mod limit_range;
mod pod;
mod progress;
mod quota;
mod resize;
mod violation;

pub use course::{Coordinated, Course, Hazard, NewTarget, Pace, Simulation};
pub use effect::{Effect, HpaUsage, MetricEffect};
pub use pod::{ContainerSizes, InvalidSize, PodSizes, QosClass, Role, Sizes};
pub use progress::Stale;
pub use resize::{Checked, LimitRule, Resize, Situation, Usage, check};
#[cfg(feature = "client")]
pub(crate) use violation::shown;
pub use violation::{Bound, Part, Refused, Violation};
