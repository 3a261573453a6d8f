//! What a user runs first on a cluster: `autoscale check` and the past for `autoscale backtest`. Nothing is written.

use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::{MetricsSource, Observation, ScalingMetrics, SourceError, Target};
use scaling_k8s::ClientFault;
use scaling_k8s::k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use scaling_k8s::kube::api::PostParams;
use scaling_k8s::kube::{Api, Client};
use scaling_k8s::ownership::{Survey, Writes};

use super::arguments::SourceArguments;
use super::cluster::{self, Hpas};
use super::looping::Tell;
use super::{Setup, source};
use crate::Failure;
use crate::manifest::HpaFile;

/// Says what works and what does not.
///
/// # Errors
/// [`Failure::Failed`] if something does not work.
pub async fn checked(setup: &Setup<'_>, now: DateTime<Utc>, tell: Tell) -> Result<(), Failure> {
    let source = source::live_source(setup.live).await?;
    let client = cluster::client(setup).await?;
    let hpas = Hpas::new(setup, client.as_ref())?;
    let mut bad = 0_usize;
    let mut told = |good: bool, line: &str| {
        bad += usize::from(!good);
        tell(&format!("  {} {line}", if good { "ok " } else { "BAD" }));
    };
    let within = source::question(&setup.live.from);
    source::tell_asked(&setup.live.from, "an hour", &tell);
    let tried = source.tried(&setup.live.from.targets, now).await;
    let is_answered = match (&client, &setup.live.context) {
        (Some(client), Some(context)) => {
            tell(&format!("asking the cluster {context:?}; {} s at most for an answer", within.as_secs()));
            let reached = cluster::reached(client, within).await;
            if let Err(why) = &reached {
                told(false, &format!("cluster {context:?}: {why}; nothing else is asked of it"));
            }
            reached.is_ok()
        }
        _ => true,
    };
    let client = client.filter(|_| is_answered);
    for target in &setup.live.from.targets {
        tell(&target.to_string());
        for query in tried.iter().filter(|query| query.target == *target) {
            told(query.works, &query.said);
        }
        if !is_answered && matches!(hpas, Hpas::Cluster(..)) {
            continue;
        }
        match hpas.manifest(target).await {
            Ok(hpa) => match hpa.spec.bounds() {
                Ok(bounds) => told(true, &format!("HPA {:?}: {bounds} pods", hpa.name())),
                Err(error) => told(false, &format!("HPA {:?}: {error}", hpa.name())),
            },
            Err(error) => told(false, &error.to_string()),
        }
        if let Some(client) = &client {
            for verb in ["get", "patch"] {
                let allowed = tokio::time::timeout(within, is_allowed(client, target, verb)).await;
                match allowed {
                    Ok(Ok(true)) => told(true, &format!("may {verb} the HPA")),
                    Ok(Ok(false)) => told(
                        false,
                        &format!(
                            "may not {verb} horizontalpodautoscalers.autoscaling in namespace {}: grant the verb {verb} on it by a Role",
                            target.namespace
                        ),
                    ),
                    Ok(Err(error)) => {
                        let why = ClientFault::explain(&error);
                        told(false, &format!("whether it may {verb} the HPA is not known: {why}"));
                    }
                    Err(_) => told(false, &format!("whether it may {verb} the HPA is not known: no answer in time")),
                }
            }
            let report = Survey::new(client.clone()).timeout(within).report(target).await;
            match (report.owners.is_empty(), report.notes.is_empty()) {
                (true, true) => told(true, "nobody else sets its size"),
                (true, false) => told(true, "nobody else is seen to set its size; what could not be looked at:"),
                (false, _) => {}
            }
            for owned in &report.owners {
                told(setup.live.take || !owned.stands_in_the_way_of(Writes::Bounds), &owned.to_string());
            }
            for note in &report.notes {
                tell(&format!("      note: {note}"));
            }
            for text in report.coexistence() {
                text.to_string().lines().for_each(|line| tell(&format!("      {line}")));
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
    let [target] = setup.live.from.targets.as_slice() else {
        return Err(Failure::input("one workload at a time: --target NAMESPACE/NAME"));
    };
    let days = setup.live.from.backfill;
    if days == 0 {
        return Err(Failure::input("--backfill 0: there is nothing to compare on without a past"));
    }
    if !setup.live.metrics_api.is_empty() {
        return Err(Failure::input(
            "the metrics API has no past to compare on; name a monitoring service, or --source RECORDS",
        ));
    }
    let source = source::source(&setup.live.from).await?;
    let client = cluster::client(setup).await?;
    let hpa = Hpas::new(setup, client.as_ref())?.file(setup, target).await?;
    source::tell_asked(&setup.live.from, &format!("the past {days} days"), &tell);
    let past = source::backfill(&*source, std::slice::from_ref(target), days, now, &tell).await;
    if let (0, Some(why)) = (past.samples, past.why) {
        return Err(Failure::failed(format!("{target}: nothing of its past could be fetched: {why}")));
    }
    let seen = newest(&*source, target, now, days, &tell).await?;
    let mut samples: Vec<ScalingMetrics> = seen.history.iter().collect();
    samples.push(seen.current);
    Ok((target.clone(), hpa, samples))
}

/// Fetches the past of many workloads up to an instant: of each its samples, or why there are none. A part of a past is none: what is
/// replayed must not depend on which queries failed.
///
/// # Errors
/// [`Failure`] if the server could not be asked.
pub async fn pasts(
    from: &SourceArguments,
    targets: &[Target],
    now: DateTime<Utc>,
    tell: Tell,
) -> Result<Vec<Result<Vec<ScalingMetrics>, Failure>>, Failure> {
    let from = SourceArguments { targets: targets.to_vec(), ..from.clone() };
    let days = from.backfill;
    if days == 0 {
        return Err(Failure::input("--backfill 0: there is nothing to replay without a past"));
    }
    let source = source::source(&from).await?;
    source::tell_asked(&from, &format!("the past {days} days"), &tell);
    let past = source::backfill(&*source, targets, days, now, &tell).await;
    if past.missing > 0 {
        let (missing, why) = (past.missing, past.why.unwrap_or_default());
        return Err(Failure::failed(format!(
            "the past is not whole, {missing} pieces of it are missing; run it again ({why})"
        )));
    }
    let mut pasts = Vec::with_capacity(targets.len());
    for (target, seen) in targets.iter().zip(source.observe_all(targets, now).await) {
        let seen = match seen {
            Ok(seen) => Ok(seen),
            Err(SourceError::NoData { .. }) => newest(&*source, target, now, days, &tell).await,
            Err(error) => return Err(Failure::failed(error)),
        };
        pasts.push(seen.map(|seen| seen.history.iter().chain([seen.current]).collect()));
    }
    Ok(pasts)
}

/// The newest observation that there is. A workload that has no metrics just now, because it is down or they come late, has a past all
/// the same: it is looked for a minute ago, then two, then four, up to the length of what was fetched.
async fn newest(
    source: &(impl MetricsSource + ?Sized),
    target: &Target,
    now: DateTime<Utc>,
    days: u64,
    tell: &Tell,
) -> Result<Observation, Failure> {
    let nothing = match source.observe(target, now).await {
        Err(nothing @ SourceError::NoData { .. }) => nothing,
        other => return other.map_err(Failure::failed),
    };
    let longest = i64::try_from(days.saturating_mul(24 * 60)).unwrap_or(i64::MAX);
    for minutes in (0..).map(|doubled| 1_i64 << doubled).take_while(|minutes| *minutes < longest) {
        match source.observe(target, now - TimeDelta::minutes(minutes)).await {
            Err(SourceError::NoData { .. }) => {}
            Ok(seen) => {
                tell(&format!("note: {nothing}; compared on the past up to {}", seen.now.format("%F %T UTC")));
                return Ok(seen);
            }
            Err(error) => return Err(Failure::failed(error)),
        }
    }
    Err(Failure::failed(nothing))
}
