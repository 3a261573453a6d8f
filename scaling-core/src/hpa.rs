//! The `HorizontalPodAutoscaler` as a value: [`HpaSpec`], and a whole configuration recommended from history.
//!
//! The types mirror `autoscaling/v2`, field by field, in its own spelling. Unknown fields are an error that names them, as with
//! the API server's strict validation: a misspelt `minReplica` must not silently mean 1.

mod recommend;
mod spec;

pub use recommend::{HpaRecommendation, RecommendError, recommend};
pub use spec::{
    CrossVersionObjectReference, HpaBehavior, HpaSpec, InvalidHpa, LabelSelector, LabelSelectorRequirement,
    MetricIdentifier, MetricSource, MetricSpec, MetricTarget, ScalingPolicy, ScalingRules,
};
