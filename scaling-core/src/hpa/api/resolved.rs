//! From an [`HpaSpec`] to what the controller works with: integers, and every default in its place.

use super::behavior::Behavior;
use super::metric::Metric;
use super::spec::HpaSpec;
use super::validate::InvalidHpa;

/// A HorizontalPodAutoscaler as the controller works with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Hpa {
    /// Min replicas.
    pub min_replicas: i32,
    /// Max replicas.
    pub max_replicas: i32,
    /// What it reacts to.
    pub metrics: Vec<Metric>,
    /// How fast; without it another algorithm runs than with an empty one.
    pub behavior: Option<Behavior>,
}

impl TryFrom<&HpaSpec> for Hpa {
    type Error = InvalidHpa;

    /// # Errors
    /// [`InvalidHpa`] if the API server would not have stored it.
    fn try_from(spec: &HpaSpec) -> Result<Self, InvalidHpa> {
        spec.validate()?;
        let spec = spec.clone().with_defaults();
        Ok(Self {
            min_replicas: spec.min_replicas.unwrap_or(1),
            max_replicas: spec.max_replicas,
            metrics: spec.metrics.iter().flatten().map(Metric::from).collect(),
            behavior: spec.behavior.as_ref().map(Behavior::from),
        })
    }
}
