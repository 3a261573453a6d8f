//! Who takes part in which group of replicas, and how fast: [`LeaseSettings`].

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

/// Times of a Lease. [`LeaseTiming::default`] has those of the controllers of Kubernetes itself: 15 s, 10 s and 2 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTiming {
    duration: Duration,
    renew_deadline: Duration,
    retry: Duration,
}

impl Default for LeaseTiming {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

impl LeaseTiming {
    /// Creates times: how long a Lease must be unchanged until others take it; how long after its last renewal a holder is sure; and
    /// the pause between two looks at the Leases.
    ///
    /// Shorter ones hand a killed replica's shards over sooner, and hold nothing while the API server does not answer for longer than
    /// the deadline.
    ///
    /// # Errors
    /// [`LeaseSettingsError::Timing`] unless `duration` is whole seconds from 1 s to 1 h (the object holds seconds), the deadline at most
    /// nine tenths of it (the rest is for clocks that do not run equally fast), and `retry` at least 10 ms and at most a third of the deadline.
    ///
    /// ```
    /// use std::time::Duration;
    /// use scaling_k8s::controller::lease::LeaseTiming;
    ///
    /// let seconds = Duration::from_secs;
    /// assert_eq!(LeaseTiming::new(seconds(15), seconds(10), seconds(2))?, LeaseTiming::default());
    /// assert!(LeaseTiming::new(seconds(15), seconds(15), seconds(2)).is_err());
    /// # Ok::<(), scaling_k8s::controller::lease::LeaseSettingsError>(())
    /// ```
    pub fn new(duration: Duration, renew_deadline: Duration, retry: Duration) -> Result<Self, LeaseSettingsError> {
        let whole = duration.subsec_nanos() == 0 && (1..=LONGEST.as_secs()).contains(&duration.as_secs());
        // Only what is whole is short enough to be multiplied.
        let ordered = whole && renew_deadline <= duration * 9 / 10 && retry <= renew_deadline / 3;
        if !ordered || retry < Duration::from_millis(10) {
            return Err(LeaseSettingsError::Timing { duration, renew_deadline, retry });
        }
        Ok(Self { duration, renew_deadline, retry })
    }

    /// Time that a Lease must be seen unchanged until another replica takes it.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Time after the sending of its last successful renewal for which a holder is sure.
    pub fn renew_deadline(&self) -> Duration {
        self.renew_deadline
    }

    /// Pause between two looks at the Leases, and before what failed is tried again.
    pub fn retry(&self) -> Duration {
        self.retry
    }

    /// Age of a renewal at which it is renewed: early enough for a second attempt after one that took all its time.
    pub(super) fn renew_after(&self) -> Duration {
        self.renew_deadline * 2 / 5
    }

    /// Part of the duration that has gone by, at most, when a Lease is first seen as it is: the pause since the look before, if that leaves
    /// half of the time between the deadline and the duration for clocks that do not run equally fast.
    pub(super) fn credit(&self) -> Duration {
        self.retry.min(self.duration.saturating_sub(self.renew_deadline) / 2)
    }

    /// Time that one request may take.
    pub(super) fn request(&self) -> Duration {
        self.renew_deadline / 4
    }
}

/// The longest duration that a Lease is believed to have, whatever it says: nobody can set a longer one.
pub(super) const LONGEST: Duration = Duration::from_secs(3600);

/// The greatest number of shards. Each is an object that its holder renews every few seconds.
pub(super) const MOST_SHARDS: u32 = 1024;

/// The group of replicas, and the one that this process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseSettings {
    pub(super) prefix: String,
    pub(super) namespace: String,
    pub(super) identity: String,
    pub(super) shards: u32,
    pub(super) timing: LeaseTiming,
}

/// Settings that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseSettingsError {
    /// A name that objects cannot have.
    #[error("{what} {value:?}: must be 1 to {max} of a-z, 0-9 and '-', with a letter or digit at both ends")]
    Name {
        /// Which name.
        what: &'static str,
        /// The name.
        value: String,
        /// Number of characters that it may have.
        max: usize,
    },
    /// No replica name, or a very long one.
    #[error("replica {0:?}: must be 1 to 253 characters")]
    Replica(String),
    /// A number of shards that is not from 1 to 1024.
    #[error("shards {0}: must be 1 to 1024")]
    Shards(u32),
    /// Times that do not fit together.
    #[error(
        "lease duration {duration:?}, renew deadline {renew_deadline:?}, retry {retry:?}: the duration must be whole seconds from 1 s to 1 h, \
         the deadline at most 9/10 of it, retry from 10 ms to 1/3 of the deadline"
    )]
    Timing {
        /// Duration of a lease.
        duration: Duration,
        /// Time for which a renewal is sure.
        renew_deadline: Duration,
        /// Pause between two looks.
        retry: Duration,
    },
}

impl LeaseSettings {
    /// Creates settings with one shard and the default times.
    ///
    /// `prefix` names the group, begins the names of its Leases (`PREFIX-shard-0`, `PREFIX-member-0`) and is the value of their label
    /// `kube-scaling/lease-group`. `replica` is for people, best the name of the pod. It stands in the Leases followed by a
    /// random number: a process is never taken for its predecessor in the same pod, nor for another one by mistake.
    ///
    /// # Errors
    /// [`LeaseSettingsError`] if the prefix (at most 40 characters) or the namespace is not a DNS label, or `replica` is empty or longer than
    /// 253 characters.
    pub fn new(
        prefix: impl Into<String>,
        namespace: impl Into<String>,
        replica: &str,
    ) -> Result<Self, LeaseSettingsError> {
        let (prefix, namespace) = (prefix.into(), namespace.into());
        for (what, value, max) in [("lease prefix", &prefix, 40), ("namespace", &namespace, 63)] {
            if !is_label(value, max) {
                return Err(LeaseSettingsError::Name { what, value: value.clone(), max });
            }
        }
        if replica.is_empty() || replica.chars().count() > 253 {
            return Err(LeaseSettingsError::Replica(replica.to_owned()));
        }
        // Each state has keys of its own, from the randomness of the operating system.
        let nonce = RandomState::new().hash_one(std::process::id());
        let identity = format!("{replica}_{nonce:016x}");
        Ok(Self { prefix, namespace, identity, shards: 1, timing: LeaseTiming::default() })
    }

    /// Sets the number of shards. Default: 1, leader election.
    ///
    /// Every replica must have the same; where they differ, as during a rollout, those wait that hold nothing yet. Some four to eight for
    /// each replica make the shares even.
    ///
    /// # Errors
    /// [`LeaseSettingsError::Shards`] if it is not from 1 to 1024.
    pub fn shards(mut self, shards: u32) -> Result<Self, LeaseSettingsError> {
        if !(1..=MOST_SHARDS).contains(&shards) {
            return Err(LeaseSettingsError::Shards(shards));
        }
        self.shards = shards;
        Ok(self)
    }

    /// Sets the times.
    #[must_use]
    pub fn timing(mut self, timing: LeaseTiming) -> Self {
        self.timing = timing;
        self
    }

    /// Name that stands in the Leases as holder: that of the replica, and a random number.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Number of shards.
    pub fn shard_count(&self) -> u32 {
        self.shards
    }
}

/// Returns true for a DNS label (RFC 1123) of at most `max` characters.
fn is_label(value: &str, max: usize) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let ends = !value.starts_with('-') && !value.ends_with('-');
    (1..=max).contains(&value.len()) && ends && value.bytes().all(inner)
}
