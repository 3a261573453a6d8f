//! A workload on EKS as CloudWatch sees it: what works, what is missing, and the decision that would come of it. Nothing is changed.
//!
//!     AWS_REGION=eu-central-1 EKS_CLUSTER=prod WORKLOAD=shop/checkout \
//!         cargo run --release -p examples --features cloudwatch --example cloudwatch
//!
//! Needs Container Insights, and credentials where the AWS SDK finds them. With `LOAD_BALANCER` and `TARGET_GROUP` (the ends of their ARNs)
//! the requests of an Application Load Balancer count as well. Notice that each query is checked by name before anything is decided:
//! a misspelt dimension is an empty answer to CloudWatch, not an error.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::time::SystemTime;

use examples::Failure;
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::source::cloudwatch::{CloudWatch, CloudWatchBackend, Connection, Series, presets};
use scaling_core::source::fleet::{FleetConfig, Term, Workload};
use scaling_core::source::mapping::{Mapping, SignalQuery};
use scaling_core::{MetricsSource, RuleBasedEngine, Target};

const TO_SET: &str = "set AWS_REGION, EKS_CLUSTER and WORKLOAD=NAMESPACE/NAME (and LOAD_BALANCER with TARGET_GROUP for \
                      the requests) to the workload that CloudWatch is to be asked about";

fn main() -> ExitCode {
    examples::no_arguments(
        "cloudwatch",
        "A workload on EKS as CloudWatch sees it; what to ask about is set in the environment",
    );
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let out = &mut examples::MayClose(std::io::stdout());
    examples::exit(run(&environment.collect(), SystemTime::now().into(), out))
}

type Environment = BTreeMap<String, String>;

#[tokio::main(flavor = "current_thread")]
async fn run(environment: &Environment, now: DateTime<Utc>, out: &mut impl Write) -> Result<(), Failure> {
    let (target, queries) = asked(environment).ok_or_else(|| Failure::input(TO_SET))?;
    let mapping = Mapping::new(queries).map_err(Failure::input)?;
    let connection = match environment.get("AWS_REGION") {
        Some(region) => Connection::default().with_region(region),
        None => return Err(Failure::input(TO_SET)),
    };
    let backend = CloudWatchBackend::connect(&connection).await.map_err(Failure::input)?;
    let workload = Workload::new(target.clone(), mapping);
    let source = CloudWatch::new(backend, [workload], FleetConfig::default()).map_err(Failure::input)?;

    for checked in source.check(now).await {
        writeln!(out, "{checked}")?;
    }
    let seen = source.observe(&target, now).await.map_err(Failure::failed)?;
    for (signal, absence) in seen.absences() {
        writeln!(out, "absent: {signal} is {absence}")?;
    }
    let decision = RuleBasedEngine::default().evaluate(&seen).map_err(Failure::failed)?;
    writeln!(out, "{} -> {} pods", decision.current_replicas, decision.desired_replicas)?;
    for reason in &decision.reasons {
        writeln!(out, "  {reason}")?;
    }
    Ok(())
}

/// The workload and the queries about it; `None` if the environment does not say.
fn asked(environment: &Environment) -> Option<(Target, Vec<SignalQuery<Term<Series>>>)> {
    let set = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let (namespace, name) = set("WORKLOAD")?.split_once('/')?;
    let mut queries = presets::Eks::new(set("EKS_CLUSTER")?, namespace, name).queries();
    if let (Some(balancer), Some(group)) = (set("LOAD_BALANCER"), set("TARGET_GROUP")) {
        queries.extend(presets::Alb::new(balancer, group).queries());
    }
    Some((Target::deployment(namespace, name), queries))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(set: &[(&str, &str)]) -> Result<String, String> {
        let environment = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        examples::outcome(|out| run(&environment, DateTime::from_timestamp(1_700_000_000, 0).unwrap(), out))
    }

    #[test]
    fn without_an_account_it_says_what_to_set() {
        for set in [&[][..], &[("AWS_REGION", "eu-central-1"), ("WORKLOAD", "checkout")]] {
            assert!(said(set).unwrap_err().starts_with("2: set AWS_REGION, EKS_CLUSTER and WORKLOAD=NAMESPACE/NAME"));
        }
    }

    #[test]
    fn the_requests_of_a_load_balancer_are_asked_for_where_it_is_named() {
        let set = |more: &[(&str, &str)]| {
            let pairs = [("EKS_CLUSTER", "prod"), ("WORKLOAD", "shop/checkout")];
            let all = pairs.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            asked(&all.collect()).unwrap().1.len()
        };
        assert_eq!(set(&[]), 3);
        assert_eq!(set(&[("LOAD_BALANCER", "app/shop/1"), ("TARGET_GROUP", "targetgroup/checkout/2")]), 6);
    }
}
