//! [`ApiFault`]: a question that has no answer, and what to do about it.

use std::fmt;
use std::time::Duration;

/// Longest text of a server that is kept.
const SAID: usize = 300;

/// The APIs that are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ApiGroup {
    /// Pods, workloads and their scale, from the API server itself.
    Core,
    /// `metrics.k8s.io`: usage of CPU and memory.
    Resource,
    /// `custom.metrics.k8s.io`: metrics of pods and other objects.
    Custom,
    /// `external.metrics.k8s.io`: metrics of nothing in the cluster.
    External,
}

impl ApiGroup {
    /// The name of the group; of the API server's own, in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Core => "the API server",
            Self::Resource => "metrics.k8s.io",
            Self::Custom => "custom.metrics.k8s.io",
            Self::External => "external.metrics.k8s.io",
        }
    }

    fn advice(self) -> &'static str {
        match self {
            Self::Core => "is the kind of the workload right, and its API installed?",
            Self::Resource => {
                "is metrics-server installed and ready? See: kubectl get apiservice v1beta1.metrics.k8s.io"
            }
            Self::Custom => {
                "is an adapter for custom metrics installed and ready? See: kubectl get apiservice v1beta2.custom.metrics.k8s.io v1beta1.custom.metrics.k8s.io"
            }
            Self::External => {
                "is an adapter for external metrics installed and ready? See: kubectl get apiservice v1beta1.external.metrics.k8s.io"
            }
        }
    }
}

impl fmt::Display for ApiGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A question to the API server that has no usable answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{asked}: {cause}")]
pub struct ApiFault {
    /// Path of the question.
    pub asked: String,
    /// Cause.
    pub cause: ApiCause,
}

impl ApiFault {
    /// Returns true if asking again later can help.
    pub fn is_transient(&self) -> bool {
        // An API that is not available may be served soon, and a metric that is not found be measured.
        matches!(
            &self.cause,
            ApiCause::Busy { .. }
                | ApiCause::Late { .. }
                | ApiCause::Transport(_)
                | ApiCause::Ahead { .. }
                | ApiCause::Unavailable { .. }
                | ApiCause::NotFound { .. }
        )
    }

    /// Returns true if it tells of the cluster as a whole: its API server is not reached, late or busy. That one metric or workload is not
    /// found, or the server behind an API of metrics fails, is said by an API server that answers.
    pub(crate) fn is_of_cluster(&self) -> bool {
        match &self.cause {
            ApiCause::Transport(_) | ApiCause::Late { .. } => true,
            ApiCause::Busy { .. } => {
                let group = self.asked.strip_prefix("/apis/").and_then(|path| path.split(['/', '?']).next());
                let of_metrics = [ApiGroup::Resource, ApiGroup::Custom, ApiGroup::External].map(ApiGroup::name);
                !group.is_some_and(|group| of_metrics.contains(&group))
            }
            _ => false,
        }
    }
}

/// Reasons why a question has no usable answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApiCause {
    /// Nobody serves the API, or its server does not answer.
    #[error("{api} is not available (status {code}: {said}); {}", api.advice())]
    Unavailable {
        /// The API.
        api: ApiGroup,
        /// Status code of the answer.
        code: u16,
        /// Words of the server.
        said: String,
    },
    /// There is no such object, or no such metric of it.
    #[error("not found: {said}")]
    NotFound {
        /// Words of the server.
        said: String,
    },
    /// The account may not ask for it.
    #[error("not allowed ({code}): {said}; {verbs} on this resource must be granted")]
    Forbidden {
        /// Status code of the answer.
        code: u16,
        /// Words of the server.
        said: String,
        /// Verbs of the rule that is missing.
        verbs: &'static str,
    },
    /// The server is too busy, or failed.
    #[error("the server is busy or failed (status {code}): {said}")]
    Busy {
        /// Status code of the answer.
        code: u16,
        /// Words of the server.
        said: String,
    },
    /// The server refused the question.
    #[error("refused (status {code}): {said}")]
    Refused {
        /// Status code of the answer.
        code: u16,
        /// Words of the server.
        said: String,
    },
    /// There was no answer in time.
    #[error("no answer within {} s, the time for all questions of a tick", within.as_secs_f64())]
    Late {
        /// The time that all questions may take together.
        within: Duration,
    },
    /// The body of an answer is larger than the limit.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The list has more pages than the limit.
    #[error("the list has more than {limit} pages")]
    TooManyPages {
        /// The limit.
        limit: usize,
    },
    /// The answer is not what the API promises.
    #[error("the answer cannot be read: {why}")]
    Unreadable {
        /// Place and cause.
        why: String,
    },
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Transport(String),
    /// All samples are later than now.
    #[error("the metrics are of {newest}, later than {now}: one of the two clocks is wrong")]
    Ahead {
        /// Instant of the newest sample.
        newest: String,
        /// The instant asked for.
        now: String,
    },
    /// The workload has no selector that finds its pods.
    #[error("the workload has no selector of labels, so its pods cannot be found")]
    NoSelector,
}

impl ApiCause {
    /// The cause of an answer with a status that is no success. `reason` is that of the API's own status object: a path that the
    /// server does not know has none.
    pub(super) fn of_status(api: ApiGroup, code: u16, reason: &str, message: &str, verbs: &'static str) -> Self {
        let said: String = message.chars().filter(|c| !c.is_control()).take(SAID).collect();
        match code {
            404 if reason == "NotFound" => Self::NotFound { said },
            404 => Self::Unavailable { api, code, said },
            // The aggregation layer answers so while the server behind it does not.
            502..=504 if api != ApiGroup::Core => Self::Unavailable { api, code, said },
            401 | 403 => Self::Forbidden { code, said, verbs },
            // 0: JSON without a status code, from something between us and the server.
            0 | 408 | 429 | 500.. => Self::Busy { code, said },
            _ => Self::Refused { code, said },
        }
    }
}
