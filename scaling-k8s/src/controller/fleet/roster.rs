//! The targets of this replica, and what their owners ask for: [`Roster`].

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use scaling_core::live::Member;
use scaling_core::{Adoption, BoundsPolicy, HardLimits, Target};

use crate::controller::cache::FleetTarget;
use crate::controller::settings::{Promotion, SettingError, SettingErrors, Settings};

/// What a host allows, where the settings of a target say nothing else.
#[derive(Clone, Copy, Debug)]
pub(super) struct Host {
    pub(super) limits: HardLimits,
    pub(super) policy: BoundsPolicy,
    /// Whether it makes trials, without which there is no evidence.
    pub(super) trials: bool,
}

/// Settings of all targets, by target. Clones are one and the same; short locks.
#[derive(Clone, Debug, Default)]
pub(super) struct Roster(Arc<RwLock<HashMap<Target, Arc<FleetTarget>>>>);

impl Roster {
    pub(super) fn set(&self, targets: &[Arc<FleetTarget>]) {
        let listed = targets.iter().map(|target| (target.target.clone(), Arc::clone(target))).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = listed;
    }

    /// What `take` makes of the settings of a target; none if it is no target, or a setting of it has a fault.
    pub(super) fn of<T>(&self, target: &Target, take: impl FnOnce(&Settings) -> T) -> Option<T> {
        let listed = self.0.read().unwrap_or_else(PoisonError::into_inner);
        listed.get(target).and_then(|listed| listed.settings.as_ref().ok()).map(take)
    }
}

/// A target as a member of the loop, and the faults of its settings, those that only the host can know among them. With a fault it is
/// observed only.
pub(super) fn member(
    listed: &FleetTarget,
    host: &Host,
    knows: impl Fn(&str) -> Result<(), SettingError>,
) -> (Member, Result<Settings, SettingErrors>) {
    let member = Member::new(listed.target.clone());
    let usable = listed.settings.clone().and_then(|settings| {
        let limits = settings.limits(host.limits)?;
        settings.engine.as_deref().map_or(Ok(()), knows)?;
        if settings.promotion == Promotion::Evidence && !host.trials {
            let must = "\"host\", since this controller makes no trials";
            return Err(SettingError::Value { key: "promotion", value: "evidence".to_owned(), must }.into());
        }
        Ok((settings, limits))
    });
    match usable {
        Ok((settings, limits)) => {
            (member.adopted(listed.stage()).within(limits).mapped_by(settings.policy(host.policy)), Ok(settings))
        }
        Err(faults) => (member.adopted(Adoption::Observe), Err(faults)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::settings::Mode;

    #[allow(clippy::unwrap_used)]
    fn host() -> Host {
        Host { limits: HardLimits::new(1, 100).unwrap(), policy: BoundsPolicy::default(), trials: true }
    }

    fn listed(settings: Settings) -> FleetTarget {
        FleetTarget { target: Target::deployment("shop", "web"), uid: None, settings: Ok(settings), reached: Ok(None) }
    }

    #[test]
    fn the_mode_becomes_the_adoption_and_what_has_a_fault_is_observed() {
        for (mode, adoption) in
            [(Mode::Observe, Adoption::Observe), (Mode::Floors, Adoption::Floors), (Mode::Full, Adoption::Full)]
        {
            let mut settings = Settings::default();
            (settings.mode, settings.hard_max) = (mode, Some(40));
            let (member, read) = member(&listed(settings.clone()), &host(), |_| Ok(()));
            assert_eq!((member.adoption, read), (adoption, Ok(settings)));
            assert_eq!(member.limits.map(|limits| limits.bounds().max()), Some(40));
        }
        let mut outside = Settings::default();
        (outside.mode, outside.hard_min) = (Mode::Full, Some(500));
        let (observed, read) = member(&listed(outside), &host(), |_| Ok(()));
        assert_eq!(observed.adoption, Adoption::Observe);
        assert!(read.is_err_and(|faults| faults.to_string().contains("the host allows")));
    }

    #[test]
    fn evidence_is_for_controllers_that_make_trials() {
        let mut settings = Settings::default();
        (settings.mode, settings.promotion) = (Mode::Floors, Promotion::Evidence);
        let (tried, read) = member(&listed(settings.clone()), &host(), |_| Ok(()));
        assert_eq!((tried.adoption, read.is_ok()), (Adoption::Floors, true));
        let (observed, read) = member(&listed(settings), &Host { trials: false, ..host() }, |_| Ok(()));
        assert_eq!(observed.adoption, Adoption::Observe);
        assert!(read.is_err_and(|faults| faults.to_string().contains("makes no trials")));
    }

    #[test]
    fn an_engine_that_the_host_does_not_have_is_a_fault() {
        let mut settings = Settings::default();
        (settings.mode, settings.engine) = (Mode::Full, Some("clairvoyant".into()));
        let unknown = |_: &str| {
            let (key, value, must) = ("engine", "clairvoyant".to_owned(), "an engine that the controller has");
            Err(SettingError::Value { key, value, must })
        };
        let (observed, read) = member(&listed(settings), &host(), unknown);
        assert_eq!(observed.adoption, Adoption::Observe);
        assert!(read.is_err_and(|faults| faults.to_string().contains("kube-scaling/engine is \"clairvoyant\"")));
    }
}
