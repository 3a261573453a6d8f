//! Writes of sizes: all of them in a dry run, then one by one. Each has a deadline and attempts of its own.

use std::collections::HashSet;

use kube::api::Patch;
use kube::core::Request;
use scaling_core::{ApplyError, ApplyMode, Target};
use serde_json::Value;

use super::seen::Write;
use super::{Preview, ResizeApplier, ResizeWay};
use crate::applier::answer::{self, backend, unapplied, unknown};
use crate::applier::retry::{self, Fate, Written};
use crate::vertical::PodSizes;

/// Outcome of a round of writes.
pub(super) enum Step {
    Done,
    /// A read has to tell what is left.
    Look {
        /// True if something may be stored.
        sent: bool,
        /// Answer of the server.
        why: String,
    },
}

/// Writes that the server has validated, each as what it says besides the version.
#[derive(Default)]
pub(in crate::applier) struct Rehearsals {
    taken: HashSet<String>,
    /// Objects that were gone when they should have been written.
    gone: HashSet<String>,
}

impl Rehearsals {
    fn key(write: &Write) -> String {
        let part = |pointer: &str| write.body.pointer(pointer).map(ToString::to_string).unwrap_or_default();
        format!("{} {} {}", write.name, part("/metadata/uid"), part("/spec"))
    }

    fn contains(&self, write: &Write) -> bool {
        self.taken.contains(&Self::key(write))
    }

    /// What was told, without the pods that were gone.
    pub(super) fn without_gone(&self, mut preview: Preview) -> Preview {
        preview.pods.retain(|pod| !self.gone.contains(pod));
        preview
    }

    fn lose(&mut self, write: &Write) -> String {
        self.gone.insert(write.name.clone());
        format!("{} is gone", write.name)
    }

    /// Steps that are left: each write, and each rehearsal.
    pub(super) fn left(&self, writes: &[Write]) -> usize {
        writes.len() + writes.iter().filter(|write| !self.contains(write)).count()
    }
}

impl ResizeApplier {
    /// Rehearses what is not yet, and writes once nothing is left to rehearse.
    pub(super) async fn send(
        &self,
        target: &Target,
        way: ResizeWay,
        writes: &[Write],
        mode: ApplyMode,
        rehearsals: &mut Rehearsals,
    ) -> Result<Step, ApplyError> {
        let mut outdated = None;
        for write in writes {
            if rehearsals.contains(write) {
                continue;
            }
            match self.write(target, way, write, true).await.map_err(unapplied) {
                Ok(Written::Yes(_)) => {
                    rehearsals.taken.insert(Rehearsals::key(write));
                }
                // The others are rehearsed all the same, so that those that change often do not keep them from it.
                Ok(Written::Look { why, .. }) => outdated = Some(why),
                Err(ApplyError::NotFound { .. }) => outdated = Some(rehearsals.lose(write)),
                Err(error) => return Err(error),
            }
        }
        if let Some(why) = outdated {
            return Ok(Step::Look { sent: false, why });
        }
        if mode != ApplyMode::Apply {
            return Ok(Step::Done);
        }
        let mut sent = false;
        for write in writes {
            match self.write(target, way, write, false).await {
                Ok(Written::Yes(_)) => sent = true,
                // Others may be stored, and this one as well.
                Ok(Written::Look { fate, why }) => return Ok(Step::Look { sent: sent || fate != Fate::Unsent, why }),
                Err(ApplyError::NotFound { .. }) => return Ok(Step::Look { sent, why: rehearsals.lose(write) }),
                Err(error) if sent => return Err(unknown(error)),
                Err(error) => return Err(error),
            }
        }
        Ok(Step::Done)
    }

    async fn write(
        &self,
        target: &Target,
        way: ResizeWay,
        write: &Write,
        dry_run: bool,
    ) -> Result<Written<Value>, ApplyError> {
        let params = self.writer.params(dry_run);
        let patch = Patch::Strategic(&write.body);
        let send = || async {
            let request = Request::new(&write.path);
            let request = match write.part {
                Some(part) => request.patch_subresource(part, &write.name, &params, &patch),
                None => request.patch(&write.name, &params, &patch),
            };
            self.writer.ask::<Value>(request).await
        };
        let written = retry::write(target, &mut self.writer.patience(), dry_run, answer::is_outdated, send).await?;
        if let Written::Yes(stored) = &written {
            let pod =
                if way == ResizeWay::Rollout { stored.pointer("/spec/template/spec") } else { stored.get("spec") };
            let sizes = pod.and_then(|pod| PodSizes::of(pod).ok());
            let got = sizes.as_ref().and_then(|sizes| sizes.container(&write.checked.container));
            if got.map(|container| &container.sizes) != Some(&write.checked.new) {
                let kept = if dry_run { "would be stored" } else { "is stored now" };
                let why = format!(
                    "{} did not get the size that was sent, as an admission webhook may do; what it got {kept}",
                    write.name
                );
                return Err(backend(target, false, why));
            }
        }
        Ok(written)
    }
}
