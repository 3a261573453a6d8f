//! Trying again: only what is transient, and only for a while.

use std::time::Duration;

use tokio::time::Instant;

/// Attempts at one thing.
pub(super) const ATTEMPTS: u32 = 5;

/// Pause before the second attempt, where the server names none; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The time and the attempts that are left.
pub(super) struct Patience {
    /// None if the time is too long to be told.
    until: Option<Instant>,
    attempts: u32,
}

impl Patience {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { until: Instant::now().checked_add(timeout), attempts: 1 }
    }

    /// Time that the next request may take.
    pub(super) fn left(&self) -> Duration {
        self.until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()))
    }

    /// Time that the next read may take. The first one leaves most of it to the second: a request that was lost is not answered later.
    pub(super) fn left_for_a_read(&self) -> Duration {
        if self.attempts == 1 { self.left() / 3 } else { self.left() }
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
