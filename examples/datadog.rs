//! Eyes on Datadog: every query of a workload tried once, then what the rule engine would decide now.
//!
//!     DD_API_KEY=… DD_APP_KEY=… cargo run --release --example datadog --features datadog -- --target shop/checkout --site datadoghq.eu
//!
//! Nothing is written anywhere. Notice that the check prints each query to paste into a notebook, and that what is missing is named with its
//! cause: an absent number never shrinks a workload.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use examples::Failure;
use examples::clouds::looked;
use scaling_core::Target;
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::http::HttpConfig;
use scaling_core::source::datadog::{DatadogApi, DatadogSource, Keys, presets};
use scaling_core::source::fleet::{FleetConfig, Workload};
use scaling_core::source::mapping::Mapping;

/// Tries the queries for a workload on Datadog, and says what the rule engine would decide
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Example:\n  DD_API_KEY=… DD_APP_KEY=… cargo run --release --example datadog --features datadog -- --target shop/checkout"
)]
struct Arguments {
    /// The Deployment, as NAMESPACE/NAME
    #[arg(long, default_value = "default/web")]
    target: String,
    /// Name of the cluster: the value of the tag kube_cluster_name
    #[arg(long)]
    cluster: Option<String>,
    /// The site of the organization, such as datadoghq.eu or us5.datadoghq.com
    #[arg(long, default_value = "datadoghq.com")]
    site: String,
    /// The service in traces; without it, no request rate, errors and latency
    #[arg(long)]
    service: Option<String>,
    /// The operation that serves requests in traces
    #[arg(long, default_value = "http.request")]
    operation: String,
    /// The environment, as the tag env says it
    #[arg(long)]
    env: Option<String>,
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
    let (Some(api), Some(application)) = (variable("DD_API_KEY"), variable("DD_APP_KEY")) else {
        return Err(Failure::input(
            "set DD_API_KEY and DD_APP_KEY to an API key and an application key (with timeseries_query) of your Datadog organization",
        ));
    };
    let (namespace, name) =
        arguments.target.split_once('/').ok_or_else(|| Failure::input("--target: expected NAMESPACE/NAME"))?;
    let mut target = Target::deployment(namespace, name);
    target.cluster.clone_from(&arguments.cluster);

    let filters: Vec<_> = arguments.env.iter().map(|env| ("env", env.as_str())).collect();
    let mut queries = presets::kubernetes(&target, &filters).map_err(Failure::input)?;
    if let Some(service) = &arguments.service {
        queries.extend(presets::traces(&arguments.operation, service, &filters).map_err(Failure::input)?);
    }
    let workload = Workload::new(target.clone(), Mapping::new(queries).map_err(Failure::input)?);
    let api = DatadogApi::new(&arguments.site, Keys::new(api, application), HttpConfig::default());
    let source = DatadogSource::new(api.map_err(Failure::input)?, [workload], FleetConfig::default());
    let source = source.map_err(Failure::input)?;

    looked(&source, &target, arguments.minutes, now, out).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_keys_it_says_in_one_sentence_what_to_set() {
        let arguments = Arguments::parse_from(["datadog", "--target", "shop/checkout"]);
        let mut printed = Vec::new();
        let refused = run(&arguments, |_| None, DateTime::UNIX_EPOCH, &mut printed).await.unwrap_err();
        assert!(
            matches!(&refused, Failure::Input(what) if what.starts_with("set DD_API_KEY and DD_APP_KEY")),
            "{refused}"
        );
        assert!(printed.is_empty());
    }

    #[tokio::test]
    async fn a_target_or_site_that_is_none_is_refused_and_no_key_is_repeated() {
        for (option, value, what) in
            [("--target", "checkout", "NAMESPACE/NAME"), ("--site", "evil/host", "no Datadog site")]
        {
            let arguments = Arguments::parse_from(["datadog", option, value]);
            let key = |_: &str| Some("hunter2".to_owned());
            let refused = run(&arguments, key, DateTime::UNIX_EPOCH, &mut Vec::new()).await.unwrap_err().to_string();
            assert!(refused.contains(what) && !refused.contains("hunter2"), "{refused}");
        }
    }
}
