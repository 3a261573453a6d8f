//! Giving an HPA back to its owner.

use std::fmt;

use scaling_core::{ApplyError, ApplyMode, Bounds, Target};
use serde_json::Value;

use super::KubeHpaApplier;
use super::answer::{backend, refused, unapplied, unknown};
use super::request::{Body, Read, Written};
use super::retry::Fate;
use crate::resting::{Release, ReleaseError, release};
use crate::stage;

/// Result of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Released {
    /// Nothing of ours is left.
    Done {
        /// True if something was.
        changed: bool,
        /// The bounds that are there, which are the owner's.
        bounds: Bounds,
    },
    /// Not given back: more pods run than the owner's max allows, and to restore it would make them leave (law 11). Either the host
    /// waits until fewer run, or it restores the max by hand.
    Held {
        /// Pods that run or start.
        pods: u32,
        /// The owner's max.
        max: u32,
    },
}

impl fmt::Display for Released {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done { changed: true, bounds } => write!(f, "given back with {bounds}"),
            Self::Done { bounds, .. } => write!(f, "nothing of ours was there, the bounds are {bounds}"),
            Self::Held { pods, max } => {
                write!(
                    f,
                    "not given back: {pods} pods run and the owner's max is {max}, and none of them leaves for it"
                )
            }
        }
    }
}

impl KubeHpaApplier {
    /// A [`release`](Self::release) as far as `mode` goes: told alone ([`ApplyMode::Plan`], one read), validated by the API server as far as its next
    /// step, or carried out. Below that nothing is changed (law 3), and `changed` says whether something would be.
    ///
    /// # Errors
    /// [`ApplyError`] as of a release.
    pub async fn release_as(&self, target: &Target, mode: ApplyMode) -> Result<Released, ApplyError> {
        if mode == ApplyMode::Apply {
            return self.release(target).await;
        }
        let mut patience = self.writer.patience();
        let read = self.read(target, &patience).await?;
        let (step, bounds) = match self.next_step(target, &read).map_err(|error| *error)? {
            Next::Ended(Released::Done { bounds, .. }) => {
                // The stage of its adoption is no part of the steps, and goes as well.
                return Ok(Released::Done { changed: stage::is_kept(&read.json, &self.writer.manager), bounds });
            }
            Next::Ended(held) => return Ok(held),
            Next::Step(step, bounds) => (step, bounds),
        };
        if mode == ApplyMode::ServerDryRun {
            let checked = self.checked(target, step.body(), bounds, true, &read, &mut patience).await;
            if let Written::Look { why, .. } = checked.map_err(unapplied)? {
                return Err(unapplied(backend(target, true, format!("not validated: {why}"))));
            }
        }
        Ok(Released::Done { changed: true, bounds })
    }

    /// The next step for an HPA as it was read, and the bounds after it.
    fn next_step(&self, target: &Target, read: &Read) -> Result<Next, Box<ApplyError>> {
        let step = release(&read.json, &self.writer.manager).map_err(|error| match error {
            ReleaseError::NoManagedFields => refused(target, error.to_string()),
            error @ ReleaseError::Invalid(_) => unapplied(backend(target, false, error)),
        });
        let bounds = read.seen.state.bounds;
        Ok(match step.map_err(Box::new)? {
            Release::Done => Next::Ended(Released::Done { changed: false, bounds }),
            Release::Held { pods, max } => Next::Ended(Released::Held { pods, max }),
            Release::Restore { body, bounds } => {
                if let Some(why) = self.would_remove(&read.hpa) {
                    return Err(refused(target, why).into());
                }
                Next::Step(Step::Restore(body), bounds)
            }
            Release::Disown { patch } => Next::Step(Step::Disown(patch), bounds),
        })
    }

    /// Gives an HPA back: the owner's bounds, no annotation of ours, the [stage](crate::stage) of its adoption included, and the two fields under the managers that owned them before us
    /// ([`release()`](crate::resting::release()) has the details). Released twice equals once.
    ///
    /// The bounds go back at once, whatever guards say; a host that wants a removal budget to be kept lets
    /// [`Proposal::restore`](scaling_core::Proposal::restore) bring them there first. Stop the ticks for this workload before: the
    /// next one that changes something would begin anew.
    ///
    /// # Errors
    /// [`ApplyError`] if it was not carried out to its end. The step that failed is taken when it is called again.
    pub async fn release(&self, target: &Target) -> Result<Released, ApplyError> {
        let mut patience = self.writer.patience();
        // A write was stored, or may be.
        let mut sent = false;
        // The attempts are used up, with the last answer.
        let mut last: Option<String> = None;
        loop {
            let read = self.read(target, &patience).await;
            let read = if sent { read.map_err(unknown)? } else { read? };
            if let Some(uid) = read
                .hpa
                .metadata
                .uid
                .as_deref()
                .filter(|_| last.is_none() && stage::is_kept(&read.json, &self.writer.manager))
            {
                self.keep_stage(target, uid, None).await.map_err(|error| if sent { unknown(error) } else { error })?;
                sent = true;
                last = (!patience.again()).then(|| "the stage of its adoption was taken away".to_owned());
                continue;
            }
            let (body, bounds) = match self.next_step(target, &read).map_err(|error| *error)? {
                Next::Ended(Released::Done { bounds, .. }) => return Ok(Released::Done { changed: sent, bounds }),
                Next::Ended(held) => return Ok(held),
                Next::Step(step, bounds) => (step, bounds),
            };
            if let Some(why) = last {
                let why = format!("there is still something to give back after the last attempt: {why}");
                let error = backend(target, true, why);
                return Err(if sent { error } else { unapplied(error) });
            }
            let written = self.rehearse_and_write(target, body.body(), bounds, &read, &mut patience).await;
            let why = match written {
                Ok(Written::Yes(_)) => {
                    sent = true;
                    "it was taken".to_owned()
                }
                Ok(Written::Look { fate, why }) => {
                    sent |= fate != Fate::Unsent;
                    why
                }
                // An earlier step may be stored.
                Err(error) if sent => return Err(unknown(error)),
                Err(error) => return Err(error),
            };
            last = (!patience.again()).then_some(why);
        }
    }
}

/// What is left to do.
enum Next {
    Ended(Released),
    Step(Step, Bounds),
}

/// A step that is to be sent.
enum Step {
    Restore(Value),
    Disown(Value),
}

impl Step {
    fn body(&self) -> Body<'_> {
        match self {
            Self::Restore(body) => Body::Apply(body),
            Self::Disown(patch) => Body::Patch(patch),
        }
    }
}
