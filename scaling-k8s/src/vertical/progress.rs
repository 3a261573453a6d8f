//! What of a plan is still to be done to a pod.

use scaling_core::{HpaPlan, ResourceChange};

use super::pod::PodSizes;
use super::resize::{LimitRule, Resize, by_percent};
use super::violation::shown;

/// A pod, or a template, that is not of the size that a plan was made for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the pod requests {found} of {resource}, and the plan to resize container {container} was made for {expected}; plan again"
)]
pub struct Stale {
    /// The container.
    pub container: String,
    /// The resource.
    pub resource: String,
    /// Amount of a pod that the plan starts from.
    pub expected: String,
    /// Amount that this pod requests.
    pub found: String,
}

impl Resize {
    /// The part of a plan that is still to be done to a pod or a template; none if all of it is. So a plan that is applied twice changes
    /// once, although it is a percentage.
    ///
    /// The plan starts from what the containers and sidecars of one pod request together. One that requests nothing adds nothing. What the
    /// others request now is taken for what they requested then, and the rest of the plan's amount for what this one did.
    ///
    /// # Errors
    /// [`Stale`] if the plan was made for other requests.
    pub fn remaining(
        plan: &HpaPlan,
        container: &str,
        limits: LimitRule,
        pod: &PodSizes,
    ) -> Result<Option<Self>, Stale> {
        let (Some(mut resize), Some((old, _))) = (Self::of(plan, container), plan.requests()) else { return Ok(None) };
        let milli = |amount: Option<u64>, unit: i128| amount.map(|amount| i128::from(amount) * unit);
        let ResourceChange { cpu_percent, memory_percent } = &mut resize.change;
        for (resource, percent, old) in [
            ("cpu", cpu_percent, milli(old.cpu_millicores, 1)),
            ("memory", memory_percent, milli(old.memory_bytes, 1000)),
        ] {
            let found = pod.container(container).and_then(|container| container.sizes.requests.get(resource));
            let Some(found) = found.filter(|_| *percent != 0) else { continue };
            let others = pod.beside(container, resource);
            let before = old.and_then(|old| i64::try_from(old - others).ok()).filter(|before| *before > 0);
            // Where rounding leaves the amount as it is, it is done before it is begun.
            if before.is_some_and(|before| found == by_percent(resource, before, *percent)) {
                *percent = 0;
            } else if old != Some(others + i128::from(found)) {
                let said = |amount: Option<i128>| {
                    let amount = amount.map(|amount| i64::try_from(amount).unwrap_or(i64::MAX));
                    amount.map_or_else(|| "nothing".to_owned(), |amount| shown(resource, amount))
                };
                let (expected, found) = (said(old), said(Some(others + i128::from(found))));
                let (container, resource) = (container.to_owned(), resource.to_owned());
                return Err(Stale { container, resource, expected, found });
            }
        }
        Ok(resize.change.filled().map(|_| resize.limits(limits)))
    }
}
