//! What each feature asks the API server for.

/// Feature, API group, resource with its subresource, and verbs.
pub(crate) type Right = (&'static str, &'static str, &'static str, &'static [&'static str]);

/// In the namespaces whose HPAs are scaled.
pub(crate) const TARGETS: &[Right] = &[
    ("KubeHpaApplier", "autoscaling", "horizontalpodautoscalers", &["get", "patch"]),
    ("watch cache", "autoscaling", "horizontalpodautoscalers", &["list", "watch"]),
    ("ownership", "apps", "deployments", &["get"]),
    ("ownership", "apps", "statefulsets", &["get"]),
    ("ownership", "apps", "replicasets", &["get"]),
    ("ownership", "autoscaling", "horizontalpodautoscalers", &["get", "list"]),
    ("ownership", "batch", "cronjobs", &["list"]),
    ("ownership", "keda.sh", "scaledobjects", &["list"]),
    ("ownership", "autoscaling.k8s.io", "verticalpodautoscalers", &["list"]),
    ("ownership", "kustomize.toolkit.fluxcd.io", "kustomizations", &["get"]),
    ("ownership", "helm.toolkit.fluxcd.io", "helmreleases", &["get"]),
    ("ownership", "argoproj.io", "applications", &["get"]),
    ("events", "", "events", &["create", "patch"]),
];

/// Beside these, where the metrics are those of the cluster.
pub(crate) const METRICS_API: &[Right] = &[
    ("metrics API", "apps", "deployments", &["list"]),
    ("metrics API", "apps", "statefulsets", &["list"]),
    ("metrics API", "apps", "replicasets", &["list"]),
    ("metrics API", "argoproj.io", "rollouts/scale", &["get"]),
    ("metrics API", "", "pods", &["list"]),
    ("metrics API", "metrics.k8s.io", "pods", &["list"]),
];

/// In the namespace of the operator.
pub(crate) const LEASES: &[Right] = &[("leases", "coordination.k8s.io", "leases", &["get", "list", "create", "patch"])];

/// What nobody needs, beside the rest of what is not listed.
pub(crate) const NEVER: &[(&str, &str, &str)] = &[
    ("", "secrets", "get"),
    ("", "secrets", "list"),
    ("", "configmaps", "get"),
    ("", "pods", "get"),
    ("", "pods", "delete"),
    ("", "pods/exec", "create"),
    ("", "nodes", "list"),
    ("apps", "deployments", "patch"),
    ("apps", "deployments/scale", "get"),
    ("apps", "deployments", "delete"),
    ("apps", "deployments/scale", "patch"),
    ("autoscaling", "horizontalpodautoscalers", "create"),
    ("autoscaling", "horizontalpodautoscalers", "update"),
    ("autoscaling", "horizontalpodautoscalers", "delete"),
    ("autoscaling", "horizontalpodautoscalers/status", "patch"),
    ("coordination.k8s.io", "leases", "delete"),
    ("rbac.authorization.k8s.io", "roles", "create"),
    ("rbac.authorization.k8s.io", "clusterrolebindings", "create"),
];
