//! Faults that an applier meets: each treatment of the proxy on each kind of request, once and for as long as it is not healed.

use std::time::Duration;

use super::proxy::{Proxy, Treatment};

/// Time that an applier of these tests waits for an answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
/// A delay after which it does not wait any more.
const TOO_LATE: Duration = Duration::from_secs(5);

/// The kinds of request that an applier sends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Request {
    Read,
    DryRun,
    Write,
}

impl Request {
    fn is(self, method: &str, query: &str) -> bool {
        let dry_run = query.contains("dryRun=All");
        match self {
            Self::Read => method == "GET",
            Self::DryRun => method == "PATCH" && dry_run,
            Self::Write => method == "PATCH" && !dry_run,
        }
    }
}

/// What happens to the first requests of a kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) treatment: Treatment,
    pub(crate) request: Request,
    pub(crate) times: usize,
}

impl Fault {
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for treatment in [
            Treatment::Refuse(409),
            Treatment::Refuse(429),
            Treatment::Refuse(500),
            Treatment::Refuse(503),
            Treatment::LoseRequest,
            Treatment::LoseAnswer,
            Treatment::Delay(Duration::from_millis(100)),
            Treatment::Delay(TOO_LATE),
            Treatment::DelayAnswer(TOO_LATE),
        ] {
            for request in [Request::Read, Request::DryRun, Request::Write] {
                all.extend([1, usize::MAX].map(|times| Self { treatment, request, times }));
            }
        }
        all
    }

    /// The fault of all writes.
    pub(crate) fn of_writes(treatment: Treatment) -> Self {
        Self { treatment, request: Request::Write, times: usize::MAX }
    }

    /// Has the requests for the object of this name meet the fault from now on.
    pub(crate) fn strike(self, proxy: &Proxy, name: &str) {
        let Self { treatment, request, times: mut left } = self;
        proxy.treat(name, move |method, query| {
            if left == 0 || !request.is(method, query) {
                return Treatment::Pass;
            }
            left -= 1;
            treatment
        });
    }
}

/// Lets all requests for the object of this name pass again.
pub(crate) fn heal(proxy: &Proxy, name: &str) {
    proxy.treat(name, |_, _| Treatment::Pass);
}
