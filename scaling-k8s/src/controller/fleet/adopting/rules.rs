//! Which stages are held against each other, and what follows. Pure.

use scaling_core::Adoption;
use scaling_core::adoption::TrialVerdict;

use super::report::{AdoptionStep, StageTrial};
use crate::controller::cache::FleetTarget;
use crate::controller::settings::Promotion;

/// Champion and challenger.
pub(super) type Pair = (Adoption, Adoption);

fn above(stage: Adoption) -> Option<Adoption> {
    match stage {
        Adoption::Observe => Some(Adoption::Floors),
        Adoption::Floors => Some(Adoption::Full),
        Adoption::Full => None,
    }
}

fn below(stage: Adoption) -> Option<Adoption> {
    match stage {
        Adoption::Observe => None,
        Adoption::Floors => Some(Adoption::Observe),
        Adoption::Full => Some(Adoption::Floors),
    }
}

/// The trials of a target: first that of the stage which evidence has reached, against the one below it, then that of the next stage.
pub(super) fn pairs(listed: &FleetTarget) -> Vec<Pair> {
    if listed.settings.is_err() {
        return Vec::new();
    }
    let stage = listed.stage();
    let reached = listed.in_force().and_then(|_| Some((below(stage)?, stage)));
    let next = above(stage).map(|next| (stage, next));
    reached.into_iter().chain(next).collect()
}

/// The trial after one of a stage that does nothing, as floors do under an engine that has none: that of the stage above it.
pub(super) fn beyond(in_force: Adoption, trial: &StageTrial) -> Option<Pair> {
    let does_nothing = trial.days.iter().all(|day| day.challenger.changes == 0);
    let next = above(trial.challenger).filter(|_| does_nothing && trial.champion == in_force)?;
    Some((in_force, next))
}

/// Whether the trials of the stages above make no difference any more.
pub(super) fn is_rejected(in_force: Adoption, trial: &StageTrial) -> bool {
    trial.challenger == in_force && matches!(trial.verdict, TrialVerdict::Reject(_))
}

/// The step that follows. A stage that is not in force and is rejected changes nothing: a workload does not go back because it could not
/// go on.
pub(super) fn step(in_force: Adoption, promotion: Promotion, trials: &[StageTrial]) -> AdoptionStep {
    if let Some(back) = trials.iter().find(|trial| is_rejected(in_force, trial)) {
        return AdoptionStep::StepBack(back.champion);
    }
    // Of a stage that does nothing, the one above it tells.
    let next = trials.iter().rfind(|trial| trial.champion == in_force);
    match (next.map(|trial| &trial.verdict), promotion) {
        (Some(verdict @ TrialVerdict::Promote(_)), Promotion::Host) => AdoptionStep::Advise(verdict.adoption(in_force)),
        (Some(verdict @ TrialVerdict::Promote(_)), Promotion::Evidence) => {
            AdoptionStep::Promote(verdict.adoption(in_force))
        }
        _ => AdoptionStep::Stay,
    }
}

#[cfg(test)]
mod tests {
    use scaling_core::Target;
    use scaling_core::adoption::{DayCost, Evidence, PairedDay};
    use scaling_core::chrono::DateTime;

    use super::*;
    use crate::controller::settings::{Mode, Settings};
    use crate::stage::ReachedStage;

    use Adoption::{Floors, Full, Observe};

    fn trial((champion, challenger): Pair, verdict: fn(Evidence) -> TrialVerdict) -> StageTrial {
        StageTrial { champion, challenger, days: Vec::new(), verdict: verdict(Evidence::default()), saved: None }
    }

    fn listed(mode: Mode, promotion: Promotion, reached: Option<Adoption>) -> FleetTarget {
        let mut settings = Settings::default();
        (settings.mode, settings.promotion) = (mode, promotion);
        let reached = reached.map(|stage| ReachedStage {
            stage,
            begins: mode.into(),
            engine: None,
            since: DateTime::UNIX_EPOCH,
            uid: None,
        });
        FleetTarget { target: Target::deployment("a", "b"), uid: None, settings: Ok(settings), reached: Ok(reached) }
    }

    #[test]
    fn the_stage_in_force_is_held_against_the_next_and_what_was_reached_against_the_one_below() {
        use Promotion::{Evidence, Host};
        for (mode, promotion, reached, expected) in [
            (Mode::Observe, Host, None, vec![(Observe, Floors)]),
            (Mode::Floors, Host, None, vec![(Floors, Full)]),
            (Mode::Full, Host, None, vec![]),
            (Mode::Full, Evidence, None, vec![]),
            (Mode::Observe, Evidence, None, vec![(Observe, Floors)]),
            (Mode::Observe, Evidence, Some(Floors), vec![(Observe, Floors), (Floors, Full)]),
            (Mode::Floors, Evidence, Some(Full), vec![(Floors, Full)]),
            (Mode::Floors, Host, Some(Full), vec![(Floors, Full)]),
        ] {
            assert_eq!(pairs(&listed(mode, promotion, reached)), expected, "{mode} {promotion:?} {reached:?}");
        }
    }

    #[test]
    fn another_mode_or_engine_begins_anew() {
        let mut listed = listed(Mode::Observe, Promotion::Evidence, Some(Full));
        assert_eq!(listed.stage(), Full);
        let mut settings = Settings::default();
        (settings.promotion, settings.engine) = (Promotion::Evidence, Some("rules".into()));
        listed.settings = Ok(settings.clone());
        assert_eq!(listed.stage(), Observe);
        (settings.engine, settings.mode) = (None, Mode::Floors);
        listed.settings = Ok(settings.clone());
        assert_eq!(listed.stage(), Floors);
        (settings.mode, settings.promotion) = (Mode::Observe, Promotion::Host);
        listed.settings = Ok(settings);
        assert_eq!(listed.stage(), Observe, "the owner pulls the brake");
    }

    #[test]
    fn evidence_promotes_or_advises_and_a_rejection_takes_back_what_is_in_force_alone() {
        use AdoptionStep::{Advise, Promote, Stay, StepBack};
        use TrialVerdict::{Promote as Better, Reject as Worse, Wait};
        let (lower, upper) = ((Observe, Floors), (Floors, Full));
        for (in_force, trials, host, evidence) in [
            (Observe, vec![trial(lower, Better)], Advise(Floors), Promote(Floors)),
            (Observe, vec![trial(lower, Wait)], Stay, Stay),
            (Observe, vec![trial(lower, Worse)], Stay, Stay),
            (Floors, vec![trial(lower, Wait), trial(upper, Better)], Advise(Full), Promote(Full)),
            (Floors, vec![trial(lower, Better), trial(upper, Worse)], Stay, Stay),
            (Floors, vec![trial(lower, Worse)], StepBack(Observe), StepBack(Observe)),
            (Full, vec![trial(upper, Better)], Stay, Stay),
            (Full, vec![trial(upper, Worse)], StepBack(Floors), StepBack(Floors)),
        ] {
            assert_eq!(step(in_force, Promotion::Host, &trials), host, "{trials:?}");
            assert_eq!(step(in_force, Promotion::Evidence, &trials), evidence, "{trials:?}");
        }
    }

    #[test]
    fn a_stage_that_does_nothing_is_passed_by_the_evidence_for_the_one_above_it() {
        let day = |changes| PairedDay {
            begins: DateTime::UNIX_EPOCH,
            champion: DayCost::default(),
            challenger: DayCost { changes, ..DayCost::default() },
        };
        let floors =
            |changes| StageTrial { days: vec![day(0), day(changes)], ..trial((Observe, Floors), TrialVerdict::Wait) };
        assert_eq!(beyond(Observe, &floors(0)), Some((Observe, Full)));
        assert_eq!(beyond(Observe, &floors(3)), None, "it does something");
        assert_eq!(beyond(Floors, &floors(0)), None, "it is in force");
        let full = StageTrial { days: vec![day(0)], ..trial((Floors, Full), TrialVerdict::Wait) };
        assert_eq!(beyond(Floors, &full), None, "there is none above");
        let both = [floors(0), trial((Observe, Full), TrialVerdict::Promote)];
        assert_eq!(step(Observe, Promotion::Evidence, &both), AdoptionStep::Promote(Floors), "one stage at a time");
    }

    #[test]
    fn the_same_evidence_never_goes_to_and_fro() {
        let verdicts: [fn(Evidence) -> TrialVerdict; 3] =
            [TrialVerdict::Promote, TrialVerdict::Wait, TrialVerdict::Reject];
        for lower in verdicts {
            for upper in verdicts {
                for begins in [Observe, Floors, Full] {
                    let (mut stage, mut turns, mut last) = (begins, 0, AdoptionStep::Stay);
                    for _ in 0..10 {
                        let all = [trial((Observe, Floors), lower), trial((Floors, Full), upper)];
                        let step = step(stage, Promotion::Evidence, &all);
                        let up = |step| matches!(step, AdoptionStep::Promote(_));
                        turns +=
                            u32::from(step != AdoptionStep::Stay && last != AdoptionStep::Stay && up(step) != up(last));
                        if let AdoptionStep::Promote(to) | AdoptionStep::StepBack(to) = step {
                            (stage, last) = (to, step);
                        }
                    }
                    assert!(turns <= 1, "{lower:?} {upper:?} from {begins}: {turns} turns");
                }
            }
        }
    }
}
