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
    ("metrics API", "apps", "deployments", &["get", "list"]),
    ("metrics API", "apps", "statefulsets", &["get", "list"]),
    ("metrics API", "apps", "replicasets", &["get", "list"]),
    ("metrics API", "apps", "deployments/scale", &["get"]),
    ("metrics API", "apps", "statefulsets/scale", &["get"]),
    ("metrics API", "apps", "replicasets/scale", &["get"]),
    ("metrics API", "", "pods", &["get", "list"]),
    ("metrics API", "metrics.k8s.io", "pods", &["get", "list"]),
    ("events", "", "events", &["create", "patch"]),
];

/// In the namespace of the operator.
pub(crate) const LEASES: &[Right] = &[("leases", "coordination.k8s.io", "leases", &["get", "list", "create", "patch"])];

/// What nobody needs, beside the rest of what is not listed.
pub(crate) const NEVER: &[(&str, &str, &str)] = &[
    ("", "secrets", "get"),
    ("", "secrets", "list"),
    ("", "configmaps", "get"),
    ("", "pods", "delete"),
    ("", "pods/exec", "create"),
    ("", "nodes", "list"),
    ("apps", "deployments", "patch"),
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
