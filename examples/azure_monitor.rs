//! Eyes on Azure Monitor: the requests of a backend pool of an Application Gateway, every query tried once, then what the rule engine would
//! decide now.
//!
//!     AZURE_GATEWAY_ID=/subscriptions/… cargo run --release --example azure_monitor --features azure-monitor -- --pool pool-shop-checkout-80-bp-8080
//!
//! Who asks is the workload identity of the pod, else the service principal in `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and
//! `AZURE_CLIENT_SECRET`, else the managed identity of the machine (`--managed`). Nothing is written anywhere. Notice that platform metrics
//! know no CPU and memory of a Deployment: the decision is made of requests and, with `AZURE_CLUSTER_ID`, of ready pods.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use examples::Failure;
use examples::clouds::{azure_identity, looked};
use scaling_core::Target;
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::http::HttpConfig;
use scaling_core::source::azure_monitor::{self, AzureMonitorApi, AzureMonitorSource, Cloud, ResourceId, presets};
use scaling_core::source::fleet::Workload;
use scaling_core::source::mapping::Mapping;

/// Tries the queries for a workload on Azure Monitor, and says what the rule engine would decide
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Example:\n  AZURE_GATEWAY_ID=/subscriptions/… cargo run --release --example azure_monitor --features azure-monitor -- --pool web"
)]
struct Arguments {
    /// The Deployment, as NAMESPACE/NAME
    #[arg(long, default_value = "default/web")]
    target: String,
    /// The backend pool of the gateway that is the workload
    #[arg(long, default_value = "web")]
    pool: String,
    /// Ask as the managed identity of this machine
    #[arg(long)]
    managed: bool,
    /// Minutes of history to learn from
    #[arg(long, default_value_t = 120)]
    minutes: u32,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let now = std::time::SystemTime::now().into();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    examples::exit(
        runtime
            .map_err(Failure::failed)
            .and_then(|runtime| runtime.block_on(run(&arguments, examples::variable, now, &mut std::io::stdout()))),
    )
}

async fn run(
    arguments: &Arguments,
    variable: impl Fn(&str) -> Option<String>,
    now: DateTime<Utc>,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let (Some(gateway), Some(identity)) = (variable("AZURE_GATEWAY_ID"), azure_identity(arguments.managed, &variable))
    else {
        return Err(Failure::input(
            "set AZURE_GATEWAY_ID to the resource id of an Application Gateway, and AZURE_TENANT_ID, AZURE_CLIENT_ID and \
             AZURE_CLIENT_SECRET to a service principal with Monitoring Reader on it (or run where there is a workload identity, or --managed)",
        ));
    };
    let resource = |id: String| id.parse::<ResourceId>().map_err(Failure::input);
    let (namespace, name) =
        arguments.target.split_once('/').ok_or_else(|| Failure::input("--target: expected NAMESPACE/NAME"))?;
    let target = Target::deployment(namespace, name);

    let mut queries = presets::application_gateway(&resource(gateway)?, &arguments.pool).map_err(Failure::input)?;
    if let Some(cluster) = variable("AZURE_CLUSTER_ID") {
        queries.extend(presets::aks_ready_pods(&resource(cluster)?, &target).map_err(Failure::input)?);
    }
    let workload = Workload::new(target.clone(), Mapping::new(queries).map_err(Failure::input)?);
    let api = AzureMonitorApi::new(Cloud::Public, &identity, HttpConfig::default()).map_err(Failure::input)?;
    let source = AzureMonitorSource::new(api, [workload], azure_monitor::config()).map_err(Failure::input)?;

    looked(&source, &target, arguments.minutes, now, out).await
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(arguments: &[&str], variables: &[(&str, &str)]) -> String {
        let arguments = Arguments::parse_from([&["azure_monitor"], arguments].concat());
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        match run(&arguments, variable, DateTime::UNIX_EPOCH, &mut Vec::new()).await {
            Err(Failure::Input(what)) => what,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn what_is_missing_is_said_in_one_sentence_and_no_secret_is_repeated() {
        assert!(refused(&[], &[]).await.starts_with("set AZURE_GATEWAY_ID to the resource id"));
        let secret = [("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c"), ("AZURE_CLIENT_SECRET", "hunter2")];
        assert!(refused(&[], &secret).await.starts_with("set AZURE_GATEWAY_ID"));
        let wrong = [&secret[..], &[("AZURE_GATEWAY_ID", "edge")]].concat();
        let said = refused(&[], &wrong).await;
        assert!(said.contains("is no resource id") && !said.contains("hunter2"), "{said}");
        assert!(refused(&["--target", "web"], &wrong).await.contains("NAMESPACE/NAME"));
    }
}
