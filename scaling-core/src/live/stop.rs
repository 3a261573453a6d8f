//! [`Stop`]: asking a loop to end.

use tokio::sync::watch;
use tokio::time::Instant;

/// Asks whoever waits for it to end. Clones are one and the same; once asked for, it stays so.
///
/// ```
/// use scaling_core::live::Stop;
///
/// let stop = Stop::new();
/// let theirs = stop.clone();
/// assert!(!theirs.is_requested());
/// stop.request();
/// assert!(theirs.is_requested());
/// ```
#[derive(Clone, Debug)]
pub struct Stop {
    /// When the end was asked for, first.
    requested: watch::Sender<Option<Instant>>,
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

impl Stop {
    /// Creates one that nobody has asked for.
    pub fn new() -> Self {
        Self { requested: watch::Sender::new(None) }
    }

    /// Asks for the end.
    pub fn request(&self) {
        self.requested.send_if_modified(|requested| {
            let is_first = requested.is_none();
            requested.get_or_insert_with(Instant::now);
            is_first
        });
    }

    /// Returns true once the end was asked for.
    pub fn is_requested(&self) -> bool {
        self.requested.borrow().is_some()
    }

    /// Waits until the end is asked for.
    pub async fn requested(&self) {
        self.requested_at().await;
    }

    /// Waits until the end is asked for, and tells when that was: how much of a grace is left follows from it.
    pub async fn requested_at(&self) -> Instant {
        let mut requested = self.requested.subscribe();
        // Waiting fails only without a sender, and here is one.
        let found = requested.wait_for(Option::is_some).await;
        found.ok().and_then(|requested| *requested).unwrap_or_else(Instant::now)
    }
}
