//! LimitRanges, by the rules of the API server's admission.

use scaling_core::hpa::Resources;
use serde_json::Value;

use super::pod::{PodSizes, amounts};
use super::violation::{Bound, Part, Violation};

/// LimitRanges and their items that are looked at.
const MOST: usize = 1000;

/// Looks at one container and at the pod as a whole. Other containers are as they were, and none of our business.
pub(super) fn check(pod: &PodSizes, container: &str, ranges: &[Value], violations: &mut Vec<Violation>) {
    let Some(changed) = pod.container(container) else { return };
    for range in ranges.iter().take(MOST) {
        let name = range.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("without a name");
        let items = range.pointer("/spec/limits").and_then(Value::as_array);
        for item in items.into_iter().flatten().take(MOST) {
            let sizes = &changed.sizes;
            match item.get("type").and_then(Value::as_str) {
                Some("Container") => {
                    let of = |part: Part, resource: &str| match part {
                        Part::Request => sizes.requests.get(resource),
                        Part::Limit => sizes.limits.get(resource),
                    };
                    Range { name, item, container: Some(container) }.check(of, violations);
                }
                Some("Pod") => {
                    let of = |part: Part, resource: &str| match part {
                        Part::Request => pod.requested(resource),
                        Part::Limit => pod.limit(resource),
                    };
                    Range { name, item, container: None }.check(of, violations);
                }
                _ => {}
            }
        }
    }
}

struct Range<'a> {
    name: &'a str,
    item: &'a Value,
    container: Option<&'a str>,
}

impl Range<'_> {
    fn check(&self, amount: impl Fn(Part, &str) -> Option<i64>, violations: &mut Vec<Violation>) {
        for (field, bound) in [("min", Bound::Min), ("max", Bound::Max), ("maxLimitRequestRatio", Bound::Ratio)] {
            let bounds = match self.bounds(field) {
                Ok(bounds) => bounds,
                Err(why) => {
                    violations.push(why);
                    continue;
                }
            };
            for resource in bounds.names() {
                let Some(allowed) = bounds.get(resource) else { continue };
                let (request, limit) = (amount(Part::Request, resource), amount(Part::Limit, resource));
                let against = |part: Part, found: Option<i64>| Violation::LimitRange {
                    name: self.name.to_owned(),
                    container: self.container.map(str::to_owned),
                    bound,
                    part,
                    resource: resource.to_owned(),
                    found,
                    allowed,
                };
                match bound {
                    // Either of the two is asked for, and each that is there is held to it.
                    Bound::Min => match (request, limit) {
                        (None, _) => violations.push(against(Part::Request, None)),
                        (Some(request), limit) => {
                            let low = |amount: &i64| *amount < allowed;
                            violations.extend(Some(request).filter(low).map(|low| against(Part::Request, Some(low))));
                            violations.extend(limit.filter(low).map(|low| against(Part::Limit, Some(low))));
                        }
                    },
                    Bound::Max => match limit {
                        None => violations.push(against(Part::Limit, None)),
                        Some(limit) => {
                            let high = |amount: &i64| *amount > allowed;
                            violations.extend(Some(limit).filter(high).map(|high| against(Part::Limit, Some(high))));
                            let request = request.filter(high).filter(|_| limit <= allowed);
                            violations.extend(request.map(|high| against(Part::Request, Some(high))));
                        }
                    },
                    Bound::Ratio => match (request.filter(|request| *request > 0), limit) {
                        (Some(request), Some(limit)) => {
                            if i128::from(limit) * 1000 > i128::from(request) * i128::from(allowed) {
                                let ratio = i128::from(limit) * 1000 / i128::from(request);
                                violations.push(against(Part::Limit, Some(i64::try_from(ratio).unwrap_or(i64::MAX))));
                            }
                        }
                        (None, _) => violations.push(against(Part::Request, None)),
                        (_, None) => violations.push(against(Part::Limit, None)),
                    },
                }
            }
        }
    }

    fn bounds(&self, field: &str) -> Result<Resources, Violation> {
        let given = self.item.get(field).and_then(Value::as_object);
        let object = format!("LimitRange {}", self.name);
        amounts(given.into_iter().flatten(), field).map_err(|why| Violation::Unreadable { object, why })
    }
}
