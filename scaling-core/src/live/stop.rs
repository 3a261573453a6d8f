//! [`Stop`]: asking a loop to end.

use tokio::sync::watch;

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
    requested: watch::Sender<bool>,
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

impl Stop {
    /// Creates one that nobody has asked for.
    pub fn new() -> Self {
        Self { requested: watch::Sender::new(false) }
    }

    /// Asks for the end.
    pub fn request(&self) {
        self.requested.send_replace(true);
    }

    /// Returns true once the end was asked for.
    pub fn is_requested(&self) -> bool {
        *self.requested.borrow()
    }

    /// Waits until the end is asked for.
    pub async fn requested(&self) {
        // It fails only without a sender, and here is one.
        self.requested.subscribe().wait_for(|requested| *requested).await.ok();
    }
}
