//! What a user runs first on a cluster: `autoscale check` and the past for `autoscale backtest`. Nothing is written.

use std::collections::BTreeSet;

use scaling_core::chrono::{DateTime, Utc};
use scaling_core::{MetricsSource, Requests, ScalingMetrics, Target};
use scaling_k8s::k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use scaling_k8s::k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use scaling_k8s::kube::api::PostParams;
use scaling_k8s::kube::{Api, Client};

use super::looping::Tell;
use super::{Setup, cluster, source};
use crate::Failure;
use crate::manifest::HpaFile;

/// Says what works and what does not.
///
/// # Errors
/// [`Failure::Failed`] if something does not work.
pub async fn checked(setup: &Setup<'_>, now: DateTime<Utc>, tell: Tell) -> Result<(), Failure> {
    setup.live.validate()?;
    let source = source::source(setup.live)?;
    let client = match &setup.live.context {
        Some(context) => Some(cluster::client(context).await?),
        None => None,
    };
    let mut bad = 0_usize;
    let mut told = |good: bool, line: &str| {
        bad += usize::from(!good);
        tell(&format!("  {} {line}", if good { "ok " } else { "BAD" }));
    };
    for target in &setup.live.targets {
        tell(&target.to_string());
        for query in source.check(target, now).await {
            told(query.verdict.is_good(), &query.to_string());
        }
        match cluster::manifest(setup, target).await {
            Ok(hpa) => match hpa.spec.bounds() {
                Ok(bounds) => told(true, &format!("HPA {:?}: {bounds} pods", hpa.name())),
                Err(error) => told(false, &format!("HPA {:?}: {error}", hpa.name())),
            },
            Err(error) => told(false, &error.to_string()),
        }
        if let Some(client) = &client {
            for verb in ["get", "patch"] {
                match is_allowed(client, target, verb).await {
                    Ok(true) => told(true, &format!("may {verb} the HPA")),
                    Ok(false) => told(false, &format!("may not {verb} horizontalpodautoscalers of autoscaling")),
                    Err(error) => told(false, &format!("whether it may {verb} the HPA is not known: {error}")),
                }
            }
            match owners(client, target).await {
                Ok(owners) if owners.is_empty() => told(true, "nobody owns its bounds by field management"),
                Ok(owners) => told(true, &format!("its bounds are owned by {}", owners.join(", "))),
                Err(error) => told(false, &error.to_string()),
            }
        }
    }
    if bad == 0 { Ok(()) } else { Err(Failure::failed(format!("{bad} checks have failed"))) }
}

async fn is_allowed(client: &Client, target: &Target, verb: &str) -> Result<bool, scaling_k8s::kube::Error> {
    let asked = ResourceAttributes {
        group: Some("autoscaling".to_owned()),
        resource: Some("horizontalpodautoscalers".to_owned()),
        namespace: Some(target.namespace.clone()),
        name: Some(target.hpa.clone()),
        verb: Some(verb.to_owned()),
        ..ResourceAttributes::default()
    };
    let spec =
        SelfSubjectAccessReviewSpec { resource_attributes: Some(asked), ..SelfSubjectAccessReviewSpec::default() };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let answer = Api::<SelfSubjectAccessReview>::all(client.clone()).create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// Field managers of the bounds.
async fn owners(client: &Client, target: &Target) -> Result<Vec<String>, scaling_k8s::kube::Error> {
    let api: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), &target.namespace);
    let fields = api.get(&target.hpa).await?.metadata.managed_fields.unwrap_or_default();
    let owned = fields.into_iter().filter(|entry| {
        let spec = entry.fields_v1.as_ref().and_then(|fields| fields.0.get("f:spec"));
        spec.is_some_and(|spec| spec.get("f:minReplicas").is_some() || spec.get("f:maxReplicas").is_some())
    });
    let names: BTreeSet<String> = owned.filter_map(|entry| entry.manager).collect();
    Ok(names.into_iter().collect())
}

/// Fetches the past of one workload, and the HPA that it is under.
///
/// # Errors
/// [`Failure`] if there is none, or not one.
pub async fn fetched(
    setup: &Setup<'_>,
    now: DateTime<Utc>,
    tell: Tell,
) -> Result<(Target, HpaFile, Vec<ScalingMetrics>), Failure> {
    setup.live.validate()?;
    let [target] = setup.live.targets.as_slice() else {
        return Err(Failure::input("one workload at a time: --target NAMESPACE/NAME"));
    };
    let source = source::source(setup.live)?;
    let manifest = cluster::manifest(setup, target).await?;
    let (spec, left_out) = manifest.spec.clone().without_metrics(&setup.hpas.leave_out).map_err(Failure::input)?;
    let hpa = HpaFile { manifest, spec, left_out, requests: Requests::default() };
    source::backfill(&source, std::slice::from_ref(target), setup.live.backfill.max(1), now, &tell).await;
    let seen = source.observe(target, now).await.map_err(Failure::failed)?;
    let mut samples: Vec<ScalingMetrics> = seen.history.iter().collect();
    samples.push(seen.current);
    Ok((target.clone(), hpa, samples))
}
