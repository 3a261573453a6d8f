//! A stage of adoption as a candidate of a replay: [`deployed`].

use crate::backtest::{Candidate, CandidateError, Driver, TrainingPeriod};
use crate::hpa::{ControllerConfig, HpaSpec};
use crate::state::Adoption;

/// An HPA that is handed over so far, as it runs in a cluster: as it is while it is [observed](Adoption::Observe); with a driver of its bounds that
/// holds [floors](Adoption::Floors) alone; with that driver [in full](Adoption::Full). The driver has the guards and the policy of the host.
///
/// ```
/// use scaling_core::adoption::deployed;
/// use scaling_core::backtest::Driver;
/// use scaling_core::hpa::{CrossVersionObjectReference, HpaSpec};
/// use scaling_core::{Adoption, Bounds, RuleBasedEngine};
///
/// let spec = HpaSpec::new(CrossVersionObjectReference::deployment("web"), Bounds::new(3, 30)?);
/// let floors = deployed(Adoption::Floors, spec, |_| Ok(Driver::bounds(RuleBasedEngine::default())));
/// assert_eq!(floors.name(), "floors");
/// # Ok::<(), scaling_core::InvalidBounds>(())
/// ```
pub fn deployed(
    adoption: Adoption,
    spec: HpaSpec,
    driver: impl Fn(&TrainingPeriod<'_>) -> Result<Driver, CandidateError> + Send + Sync + 'static,
) -> Candidate {
    let hpa = Candidate::hpa(adoption.to_string(), spec, ControllerConfig::default());
    match adoption {
        Adoption::Observe => hpa,
        Adoption::Floors => hpa.driven_by(move |training| {
            let mut driver = driver(training)?;
            driver.policy.floors_only = true;
            Ok(driver)
        }),
        Adoption::Full => hpa.driven_by(driver),
    }
}
