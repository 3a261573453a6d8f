//! Settings of a [`Proof`](super::Proof).

use std::time::Duration;

use scaling_core::InvalidSetting;

/// Settings of a [`Proof`](super::Proof): how far a proposal may go below the baseline, how much worse it may be, and how much of the
/// past has to speak for it.
#[derive(Clone, Debug, PartialEq)]
pub struct ProofConfig {
    /// Room below the baseline's request, as a share of it, rounded to fewer pods less. 0 to 0.9; default 0.3: down to 70 %. With 0 a
    /// model may only propose more.
    pub share_below: f64,
    /// Rise of the share of violating requests over the baseline's that is no fault, in the past as a whole and on each path of the
    /// forecast's band. 0 to 0.1; default 0: none.
    pub violating_margin: f64,
    /// Pod-time that advice may add, as a share of the baseline's pod-time. 0 to 10; default 0.0025. It is an account: the baseline's
    /// pods pay in as they run, pods that only advice has brought are paid for from it, and a growth that it does not cover is not
    /// taken. What the baseline would have measured in its own pods is known to a few percent, so its later requests may change a
    /// little: the default leaves room for that below 1 % in all.
    pub cost_margin: f64,
    /// Time in which the account fills at the present size, if nothing is taken from it. Default a day. A host restarts with an empty one.
    pub account: Duration,
    /// Time for which nothing is taken after pods have been full while advice held fewer than the baseline had asked for. Default a day.
    pub halt: Duration,
    /// Length of the past that is replayed. An hour to 31 days; default 7 days.
    pub past: Duration,
    /// Largest factor between the load of a moment of the past and that of now, in either direction, for which that moment resembles
    /// the present. 1 to 100; default 2.
    pub likeness: f64,
    /// Moments of the past, one in five minutes at most, that have to resemble the present. At least 1; default 144, which take half a
    /// day at least.
    pub least_moments: u32,
}

impl Default for ProofConfig {
    fn default() -> Self {
        Self {
            share_below: 0.3,
            violating_margin: 0.0,
            cost_margin: 0.0025,
            account: Duration::from_secs(86_400),
            halt: Duration::from_secs(86_400),
            past: Duration::from_secs(7 * 86_400),
            likeness: 2.0,
            least_moments: 144,
        }
    }
}

impl ProofConfig {
    /// Checks every setting.
    ///
    /// ```
    /// use scaling_llm::ProofConfig;
    /// let error = ProofConfig { share_below: 0.95, ..ProofConfig::default() }.validate().unwrap_err();
    /// assert_eq!(error.to_string(), "share_below is 0.95; it must be from 0 to 0.9");
    /// ```
    ///
    /// # Errors
    /// [`InvalidSetting`] with the first that cannot work.
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        InvalidSetting::check(&[("share_below", self.share_below)], "from 0 to 0.9", |share| {
            (0.0..=0.9).contains(&share)
        })?;
        InvalidSetting::check(&[("violating_margin", self.violating_margin)], "from 0 to 0.1", |share| {
            (0.0..=0.1).contains(&share)
        })?;
        InvalidSetting::check(&[("cost_margin", self.cost_margin)], "from 0 to 10", |share| {
            (0.0..=10.0).contains(&share)
        })?;
        let times = [("account (seconds)", self.account.as_secs_f64()), ("halt (seconds)", self.halt.as_secs_f64())];
        InvalidSetting::check(&times, "at most 365 days", |seconds| seconds <= 365.0 * 86_400.0)?;
        InvalidSetting::check(&[("past (seconds)", self.past.as_secs_f64())], "from an hour to 31 days", |seconds| {
            (3600.0..=31.0 * 86_400.0).contains(&seconds)
        })?;
        InvalidSetting::check(&[("likeness", self.likeness)], "from 1 to 100", |factor| {
            (1.0..=100.0).contains(&factor)
        })?;
        InvalidSetting::check(&[("least_moments", f64::from(self.least_moments))], "at least 1", |moments| {
            moments >= 1.0
        })
    }
}
