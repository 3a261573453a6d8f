//! `autoscaling/v2` as values: the spec as it is written, defaults, validation, and the form that the controller works with.
//!
//! Nothing here depends on the algorithm, which is in [`controller`](crate::hpa::controller).

mod behavior;
mod defaults;
mod leave_out;
mod metric;
pub mod names;
mod quantity;
mod resolved;
mod resources;
mod spec;
mod validate;

pub use behavior::{Behavior, Policy, PolicyKind, Rules, SelectPolicy};
pub use defaults::DEFAULT_CPU_PERCENT;
pub use leave_out::CannotLeaveOut;
pub use metric::{Metric, MetricKind, TargetFields, TargetKind, TargetValue};
pub use quantity::{InvalidQuantity, Quantity};
pub use resolved::Hpa;
pub use resources::Resources;
pub(crate) use spec::stored;
pub use spec::{
    CrossVersionObjectReference, HpaBehavior, HpaSpec, LabelSelector, LabelSelectorRequirement, MetricIdentifier,
    MetricSource, MetricSpec, MetricTarget, ScalingPolicy, ScalingRules,
};
pub use validate::{Fault, InvalidHpa, ValidationOptions};
