//! What of a plan is still to be done to a pod.

use scaling_core::{HpaPlan, ResourceChange};

use super::pod::PodSizes;
use super::resize::{LimitRule, Resize, by_percent};
use super::violation::shown;

/// A pod, or a template, that is not of the size that a plan was made for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("container {container} requests {found} of {resource}, and the plan was made for {expected}; plan again")]
pub struct Stale {
    /// The container.
    pub container: String,
    /// The resource.
    pub resource: String,
    /// Amount that the plan starts from.
    pub expected: String,
    /// Amount that is there.
    pub found: String,
}

impl Resize {
    /// The part of a plan that is still to be done to a pod or a template; none if all of it is. So a plan that is applied twice changes
    /// once, although it is a percentage.
    ///
    /// The plan starts from what one container requests, or from what a whole pod does.
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
        let milli = |amount: Option<u64>, unit: u64| {
            amount.map(|amount| i64::try_from(amount.saturating_mul(unit)).unwrap_or(i64::MAX))
        };
        let ResourceChange { cpu_percent, memory_percent } = &mut resize.change;
        for (resource, percent, old) in [
            ("cpu", cpu_percent, milli(old.cpu_millicores, 1)),
            ("memory", memory_percent, milli(old.memory_bytes, 1000)),
        ] {
            let found = pod.container(container).and_then(|container| container.sizes.requests.get(resource));
            if *percent == 0 || found.is_none() {
                continue;
            }
            match old {
                Some(old) if found == Some(by_percent(resource, old, *percent)) => *percent = 0,
                Some(old) if found == Some(old) || pod.running(resource) == Some(old) => {}
                old => {
                    let said = |amount: Option<i64>| {
                        amount.map_or_else(|| "nothing".to_owned(), |amount| shown(resource, amount))
                    };
                    let (container, resource) = (container.to_owned(), resource.to_owned());
                    return Err(Stale { container, expected: said(old), found: said(found), resource });
                }
            }
        }
        Ok(resize.change.filled().map(|_| resize.limits(limits)))
    }
}
