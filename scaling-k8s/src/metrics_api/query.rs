//! The questions, as paths. Pure.

use std::fmt::Write;

use super::config::ApiMetric;
use super::fault::ApiGroup;

/// Versions of the custom metrics API that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum CustomVersion {
    V1beta2,
    V1beta1,
}

impl CustomVersion {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V1beta2 => "v1beta2",
            Self::V1beta1 => "v1beta1",
        }
    }
}

/// One question. Two workloads that need the same answer ask one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Question {
    /// One object of `apps/v1`: plural, namespace, name.
    Workload(&'static str, String, String),
    /// All objects of `apps/v1` of a kind in a namespace.
    Workloads(&'static str, String),
    /// A scale subresource, by its path.
    Scale(String),
    /// Pods of a namespace, all of them or those of a selector.
    Pods(String, Option<String>),
    /// Usage of the same.
    Usage(String, Option<String>),
    /// Custom or external metric in a namespace; of pods, all of them or those of a selector.
    Metric(String, ApiMetric, Option<String>),
    /// The versions of the custom metrics API.
    CustomVersions,
}

impl Question {
    pub(super) fn api(&self) -> ApiGroup {
        match self {
            Self::Workload(..) | Self::Workloads(..) | Self::Scale(_) | Self::Pods(..) => ApiGroup::Core,
            Self::Usage(..) => ApiGroup::Resource,
            Self::Metric(_, ApiMetric::External { .. }, _) => ApiGroup::External,
            Self::Metric(..) | Self::CustomVersions => ApiGroup::Custom,
        }
    }

    /// Verbs that the account needs.
    pub(super) fn verbs(&self) -> &'static str {
        match self {
            Self::Workload(..) | Self::Scale(_) | Self::CustomVersions => "get",
            _ => "get and list",
        }
    }

    /// Lists of the API server itself come in pages.
    pub(super) fn is_paged(&self) -> bool {
        matches!(self, Self::Workloads(..) | Self::Pods(..) | Self::Usage(..))
    }

    /// The path with its query, if any.
    pub(super) fn path(&self, custom: CustomVersion) -> String {
        match self {
            Self::Workload(plural, namespace, name) => {
                format!("/apis/apps/v1/namespaces/{namespace}/{plural}/{name}")
            }
            Self::Workloads(plural, namespace) => format!("/apis/apps/v1/namespaces/{namespace}/{plural}"),
            Self::Scale(path) => path.clone(),
            Self::Pods(namespace, selector) => {
                with_query(format!("/api/v1/namespaces/{namespace}/pods"), &[("labelSelector", selector.as_deref())])
            }
            Self::Usage(namespace, selector) => with_query(
                format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods"),
                &[("labelSelector", selector.as_deref())],
            ),
            Self::Metric(namespace, metric, of_pods) => metric_path(namespace, metric, of_pods.as_deref(), custom),
            Self::CustomVersions => "/apis/custom.metrics.k8s.io".to_owned(),
        }
    }
}

fn metric_path(namespace: &str, metric: &ApiMetric, of_pods: Option<&str>, custom: CustomVersion) -> String {
    let custom = format!("/apis/custom.metrics.k8s.io/{}/namespaces/{namespace}", custom.name());
    match metric {
        ApiMetric::Pods { metric, selector, .. } => with_query(
            format!("{custom}/pods/*/{}", encoded(metric)),
            &[("labelSelector", of_pods), ("metricLabelSelector", selector.as_deref())],
        ),
        ApiMetric::Object { resource, name, metric, selector } => with_query(
            // A namespace is an object without one: its metrics are below itself.
            if resource == "namespaces" {
                format!("{custom}/metrics/{}", encoded(metric))
            } else {
                format!("{custom}/{}/{}/{}", encoded(resource), encoded(name), encoded(metric))
            },
            &[("metricLabelSelector", selector.as_deref())],
        ),
        ApiMetric::External { metric, selector, .. } => with_query(
            format!("/apis/external.metrics.k8s.io/v1beta1/namespaces/{namespace}/{}", encoded(metric)),
            &[("labelSelector", selector.as_deref())],
        ),
    }
}

/// A path and the parameters that have a value.
pub(super) fn with_query(mut path: String, parameters: &[(&str, Option<&str>)]) -> String {
    let mut separator = if path.contains('?') { '&' } else { '?' };
    for (name, value) in parameters {
        if let Some(value) = value {
            path.push(separator);
            path.push_str(name);
            path.push('=');
            path.push_str(&encoded(value));
            separator = '&';
        }
    }
    path
}

/// Everything but what RFC 3986 calls unreserved, as percent and two digits.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to text does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_apis() {
        let of = |question: Question| question.path(CustomVersion::V1beta2);
        let ns = || "shop".to_owned();
        assert_eq!(of(Question::Pods(ns(), None)), "/api/v1/namespaces/shop/pods");
        let selector = || Some("app=web,tier in (a,b)".to_owned());
        assert_eq!(
            of(Question::Usage(ns(), selector())),
            "/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods?labelSelector=app%3Dweb%2Ctier%20in%20%28a%2Cb%29"
        );
        let rate = ApiMetric::pods("http_requests").with_selector("verb=GET");
        assert_eq!(
            of(Question::Metric(ns(), rate, Some("app=web".into()))),
            "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/pods/*/http_requests?labelSelector=app%3Dweb&metricLabelSelector=verb%3DGET"
        );
        let object = |resource| ApiMetric::object(resource, "main", "rps");
        let v1 = |question: Question| question.path(CustomVersion::V1beta1);
        assert_eq!(
            v1(Question::Metric(ns(), object("ingresses.networking.k8s.io"), None)),
            "/apis/custom.metrics.k8s.io/v1beta1/namespaces/shop/ingresses.networking.k8s.io/main/rps"
        );
        assert_eq!(
            of(Question::Metric(ns(), object("namespaces"), None)),
            "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/metrics/rps"
        );
        assert_eq!(
            of(Question::Metric(ns(), ApiMetric::external("queue/depth?x#"), None)),
            "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/queue%2Fdepth%3Fx%23"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_leaves_its_place(text in "\\PC{0,30}") {
            let encoded = encoded(&text);
            proptest::prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)));
        }
    }
}
