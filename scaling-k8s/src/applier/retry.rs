//! Trying again: only what is transient, and only for a while.

use std::time::Duration;

use scaling_core::{ApplyError, Target};
use tokio::time::Instant;

use super::answer::{self, backend, unapplied};

/// Attempts at one thing.
pub(super) const ATTEMPTS: u32 = 5;

/// Pause before the second attempt, where the server names none; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The part of the whole time that a write needs at least.
const LEAST: u32 = 10;

/// The time and the attempts that are left.
pub(super) struct Patience {
    /// None if the time is too long to be told.
    until: Option<Instant>,
    attempts: u32,
    /// Time of the whole call.
    whole: Duration,
}

impl Patience {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { until: Instant::now().checked_add(timeout), attempts: 1, whole: timeout }
    }

    /// The attempts of one more thing, until the same deadline.
    pub(super) fn for_a_read(&self) -> Self {
        Self { attempts: 1, ..*self }
    }

    /// Time that the next request may take.
    pub(super) fn left(&self) -> Duration {
        self.until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()))
    }

    /// Time that the next read may take. The first one leaves most of it to the second: a request that was lost is not answered later.
    pub(super) fn left_for_a_read(&self) -> Duration {
        if self.attempts == 1 { self.left().min(self.whole / 3) } else { self.left() }
    }

    /// The failure of a write that is not begun because it cannot be answered in time: it would only leave a doubt.
    pub(super) fn too_late(&self, target: &Target) -> Option<ApplyError> {
        (self.left() < self.whole / LEAST).then(|| unapplied(self.late(target)))
    }

    /// The failure of a request that was not answered in time.
    pub(super) fn late(&self, target: &Target) -> ApplyError {
        backend(target, true, format!("no answer within {} s", self.whole.as_secs_f64()))
    }

    /// Takes one more attempt without a pause. Returns false if there is none.
    pub(super) fn again(&mut self) -> bool {
        self.attempts += 1;
        self.attempts <= ATTEMPTS && !self.left().is_zero()
    }

    /// Pauses before one more attempt, at least as long as the server `asked` for. Returns false at once if there is none, or if the pause
    /// would take all the time that is left.
    pub(super) async fn pause(&mut self, asked: Duration) -> bool {
        let usual = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.attempts.saturating_sub(1)));
        let pause = asked.max(usual);
        if pause >= self.left() || !self.again() {
            return false;
        }
        tokio::time::sleep(pause).await;
        true
    }
}

/// Outcome of a write.
pub(super) enum Written<T> {
    /// The object that is stored, or that would be.
    Yes(Box<T>),
    /// A read has to tell what to do: the object is not the version that was read, or the server was too busy to say what it did.
    Look {
        /// What is known of it.
        fate: Fate,
        /// Answer of the server.
        why: String,
    },
}

/// A write of which a read has to tell more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was a dry run.
    Unsent,
    /// The server said no, because the object was another version. It is a no indeed, unless the client had sent the write a second time by
    /// itself and the first one was stored.
    Outdated,
    /// The server said neither yes nor no.
    Unknown,
}

/// A read, its retries included. No error of it says that something may have changed.
pub(super) async fn read<T, F>(target: &Target, mut patience: Patience, ask: impl Fn() -> F) -> Result<T, ApplyError>
where
    F: Future<Output = kube::Result<T>>,
{
    loop {
        let answer = tokio::time::timeout(patience.left_for_a_read(), ask()).await;
        let (pause, error) = match answer {
            Ok(Ok(read)) => return Ok(read),
            Ok(Err(error)) => (answer::pause(&error, true), unapplied(answer::failure(target, error))),
            Err(_) => (Some(Duration::ZERO), unapplied(patience.late(target))),
        };
        match pause {
            Some(pause) if patience.pause(pause).await => {}
            _ => return Err(error),
        }
    }
}

/// A write, or its dry run.
///
/// What the server did not begin is sent again; of what it may have begun, a read has to tell. `patience` is that of the whole call, and
/// `is_outdated` says which errors mean that the object is not the version that was read.
pub(super) async fn write<T, F>(
    target: &Target,
    patience: &mut Patience,
    dry_run: bool,
    is_outdated: fn(&kube::Error) -> bool,
    send: impl Fn() -> F,
) -> Result<Written<T>, ApplyError>
where
    F: Future<Output = kube::Result<T>>,
{
    loop {
        if !dry_run && let Some(error) = patience.too_late(target) {
            return Err(error);
        }
        let error = match tokio::time::timeout(patience.left(), send()).await {
            Ok(Ok(written)) => return Ok(Written::Yes(Box::new(written))),
            Ok(Err(error)) => error,
            Err(_) => return Err(patience.late(target)),
        };
        if is_outdated(&error) {
            let fate = if dry_run { Fate::Unsent } else { Fate::Outdated };
            return Ok(Written::Look { fate, why: answer::said(&error) });
        }
        match answer::pause(&error, false) {
            Some(pause) if patience.pause(pause).await => {}
            _ => return Err(answer::failure(target, error)),
        }
        if !dry_run && !answer::is_unbegun(&error) {
            return Ok(Written::Look { fate: Fate::Unknown, why: answer::said(&error) });
        }
    }
}
