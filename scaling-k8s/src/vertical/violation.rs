//! Reasons against a change.

use std::fmt;

use super::pod::{InvalidSize, QosClass};

/// Requests or limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// What is reserved.
    Request,
    /// What is allowed at most.
    Limit,
}

/// Bound of a LimitRange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bound {
    /// Smallest amount.
    Min,
    /// Largest amount.
    Max,
    /// Largest limit, as a multiple of the request.
    Ratio,
}

/// One reason against a change. Amounts are in thousandths: millicores of `cpu`, thousandths of a byte of `memory`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// The pod has no such container, or it ends before the pod runs.
    NoContainer {
        /// Its name.
        container: String,
    },
    /// A percentage of nothing: the container does not request this.
    NotRequested {
        /// The container.
        container: String,
        /// The resource.
        resource: String,
    },
    /// Nothing would be left.
    Zero {
        /// The container.
        container: String,
        /// The resource.
        resource: String,
    },
    /// It would be lower than what is used now, with the margin.
    BelowUsage {
        /// The container.
        container: String,
        /// Request or limit.
        part: Part,
        /// The resource.
        resource: String,
        /// Amount that is wanted.
        wanted: i64,
        /// Amount that is used.
        used: i64,
        /// Margin above it, in percent.
        margin_percent: u32,
    },
    /// It would be lower, and what is used is not known.
    UsageUnknown {
        /// The container.
        container: String,
        /// The resource.
        resource: String,
    },
    /// The request would be above its limit.
    AboveLimit {
        /// The container.
        container: String,
        /// The resource.
        resource: String,
        /// The request.
        request: i64,
        /// The limit.
        limit: i64,
    },
    /// The class of the pod would change.
    Qos {
        /// Class before.
        before: QosClass,
        /// Class after.
        after: QosClass,
    },
    /// A LimitRange forbids it.
    LimitRange {
        /// Name of the LimitRange.
        name: String,
        /// The container; none for the pod as a whole.
        container: Option<String>,
        /// Bound that is crossed.
        bound: Bound,
        /// Request or limit; with a ratio, the limit.
        part: Part,
        /// The resource.
        resource: String,
        /// Amount that there would be; none if the bound asks for one and there is none. With a ratio, in thousandths of it.
        found: Option<i64>,
        /// The bound.
        allowed: i64,
    },
    /// A ResourceQuota has no room for it.
    Quota {
        /// Name of the ResourceQuota.
        name: String,
        /// Resource as the quota calls it: `requests.cpu`.
        resource: String,
        /// Amount that would be needed more.
        needed: i64,
        /// Amount that is used.
        used: i64,
        /// Amount that there is in all.
        hard: i64,
        /// Pods that it is for.
        pods: u32,
    },
    /// A ResourceQuota does not say yet how much is used.
    QuotaUnknown {
        /// Name of the ResourceQuota.
        name: String,
        /// Resource as the quota calls it.
        resource: String,
    },
    /// An object has an amount that is none.
    Unreadable {
        /// Kind and name of the object.
        object: String,
        /// The amount.
        why: InvalidSize,
    },
}

/// A change that must not be made, with every reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct Refused {
    /// The reasons; at least one.
    pub violations: Vec<Violation>,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request => "request",
            Self::Limit => "limit",
        })
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Min => "min",
            Self::Max => "max",
            Self::Ratio => "ratio",
        })
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoContainer { container } => write!(f, "there is no container {container} that goes on running"),
            Self::NotRequested { container, resource } => {
                write!(f, "container {container} requests no {resource}: there is nothing to change by percent")
            }
            Self::Zero { container, resource } => {
                write!(f, "container {container}: nothing would be left of its request of {resource}")
            }
            Self::BelowUsage { container, part, resource, wanted, used, margin_percent } => {
                let (wanted, used) = (shown(resource, *wanted), shown(resource, *used));
                write!(f, "container {container}: {part} of {resource} {wanted} is below the {used} that it uses")?;
                write!(f, " plus {margin_percent} %")
            }
            Self::UsageUnknown { container, resource } => {
                write!(f, "container {container}: it is not known how much {resource} it uses, so nothing is lowered")
            }
            Self::AboveLimit { container, resource, request, limit } => {
                let (request, limit) = (shown(resource, *request), shown(resource, *limit));
                write!(f, "container {container}: request of {resource} {request} is above its limit {limit}")
            }
            Self::Qos { before, after } => write!(f, "the pod would be {after} and not {before} any more"),
            Self::LimitRange { name, container, bound, part, resource, found, allowed } => {
                match container {
                    Some(container) => write!(f, "container {container}: ")?,
                    None => f.write_str("the pod: ")?,
                }
                let named = |amount: i64| match bound {
                    Bound::Ratio => format!("{} requests", times(amount)),
                    _ => shown(resource, amount),
                };
                match found {
                    Some(found) => write!(f, "{part} of {resource} {}", named(*found))?,
                    None => write!(f, "no {part} of {resource}")?,
                }
                let relation = match (found, bound) {
                    (None, _) => "against",
                    (_, Bound::Min) => "is below",
                    (_, Bound::Max | Bound::Ratio) => "is above",
                };
                write!(f, " {relation} the {bound} {} of LimitRange {name}", named(*allowed))
            }
            Self::Quota { name, resource, needed, used, hard, pods } => {
                let [needed, used, hard] = [needed, used, hard].map(|amount| shown(resource, *amount));
                write!(
                    f,
                    "{resource}: {needed} more for {pods} pods, and {used} of {hard} of ResourceQuota {name} are used"
                )
            }
            Self::QuotaUnknown { name, resource } => {
                write!(f, "{resource}: ResourceQuota {name} does not say yet how much is used")
            }
            Self::Unreadable { object, why } => write!(f, "{object}: {why}"),
        }
    }
}

/// An amount as Kubernetes writes it: millicores, or the largest binary unit that loses nothing.
pub(crate) fn shown(resource: &str, milli: i64) -> String {
    if !resource.ends_with("memory") || milli % 1000 != 0 {
        return scaling_core::hpa::Quantity::from_milli(milli).to_string();
    }
    let bytes = milli / 1000;
    let units = [("Gi", 1_i64 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
    let whole = units.into_iter().find(|(_, size)| bytes != 0 && bytes % size == 0);
    whole.map_or_else(|| bytes.to_string(), |(unit, size)| format!("{}{unit}", bytes / size))
}

#[allow(clippy::cast_precision_loss)] // for people
fn times(milli: i64) -> String {
    format!("{:.3}", milli as f64 / 1000.0).trim_end_matches('0').trim_end_matches('.').to_owned()
}
