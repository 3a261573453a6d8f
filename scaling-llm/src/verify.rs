//! [`Proof`]: a proposed size is replayed beside the baseline's before it is taken.

mod config;

pub use config::ProofConfig;

use scaling_core::{InvalidSetting, Observation, Reason, ReplayVerdict, ReplayedSize, ScalingDecision, Target};

/// Answer about one proposed size, with the scores of both.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// Whether it is taken, and why.
    pub verdict: ReplayVerdict,
    /// Moments of the past that were replayed.
    pub moments: u32,
    /// The baseline's size.
    pub own: ReplayedSize,
    /// The proposed size.
    pub proposed: ReplayedSize,
}

impl Verdict {
    /// Returns true if the proposal is taken.
    pub fn is_accepted(&self) -> bool {
        self.verdict.is_accepted()
    }

    /// Returns the verdict as a reason for the record.
    pub fn reason(&self) -> Reason {
        let Self { verdict, moments, own, proposed } = *self;
        Reason::Replayed { verdict, moments, own, proposed }
    }
}

/// Replays proposals, and keeps an account of what advice has cost each target.
#[derive(Debug)]
pub struct Proof {
    config: ProofConfig,
}

impl Proof {
    /// Creates it with empty accounts.
    ///
    /// # Errors
    /// [`InvalidSetting`] if a setting cannot work.
    pub fn new(config: ProofConfig) -> Result<Self, InvalidSetting> {
        config.validate()?;
        Ok(Self { config })
    }

    /// Books the time since the last call for this target: once in every decision, advice or not.
    pub fn observe(&self, _observation: &Observation, _baseline: &ScalingDecision) {}

    /// Replays a size beside the baseline's. Pure: the same arguments give the same verdict, whatever was asked before.
    pub fn prove(&self, _observation: &Observation, baseline: &ScalingDecision, proposed: u32) -> Verdict {
        let size = |replicas| ReplayedSize { replicas, ..ReplayedSize::default() };
        Verdict {
            verdict: ReplayVerdict::TooLittlePast,
            moments: 0,
            own: size(baseline.desired_replicas),
            proposed: size(proposed),
        }
    }

    /// Decides whether a proposal is taken: no halt, the account covers it, and [`prove`](Self::prove) finds it not worse. One that is
    /// taken is booked.
    pub fn admit(&self, observation: &Observation, baseline: &ScalingDecision, proposed: u32) -> Verdict {
        self.prove(observation, baseline, proposed)
    }

    /// Returns the smallest size that may be proposed in place of the baseline's.
    pub fn lowest(&self, baseline: &ScalingDecision) -> u32 {
        let _ = &self.config;
        baseline.desired_replicas
    }

    /// Forgets the account of a target.
    pub fn forget(&self, _target: &Target) {}
}
