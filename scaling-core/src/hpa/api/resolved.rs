//! An HPA as the controller works with it.

use super::behavior::Behavior;
use super::metric::Metric;
use super::spec::HpaSpec;
use super::validate::InvalidHpa;

/// `HorizontalPodAutoscaler` as the controller works with it: integers, and every default in place.
///
/// Made from an [`HpaSpec`] with `Hpa::try_from(&spec)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Hpa {
    /// Fewest replicas.
    pub min_replicas: i32,
    /// Most replicas.
    pub max_replicas: i32,
    /// Metrics that the size follows; the largest proposal counts.
    pub metrics: Vec<Metric>,
    /// Speed in both directions. Without it another algorithm runs than with an empty one.
    pub behavior: Option<Behavior>,
}

impl TryFrom<&HpaSpec> for Hpa {
    type Error = InvalidHpa;

    /// Validates a spec and fills in its defaults.
    ///
    /// # Errors
    /// [`InvalidHpa`] if the API server would have refused the spec.
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
