//! Traces to an OpenTelemetry collector, set up from the environment: [`init`].
//!
//! | variable | meaning | default |
//! | --- | --- | --- |
//! | `OTEL_EXPORTER_OTLP_ENDPOINT` | URL of the collector; for HTTP `/v1/traces` is appended | none: nothing is exported |
//! | `OTEL_EXPORTER_OTLP_PROTOCOL` | `http/protobuf` or `grpc` | `http/protobuf` |
//! | `OTEL_EXPORTER_OTLP_HEADERS` | `name=value,name=value`, values percent-encoded: the way to a token | none |
//! | `OTEL_EXPORTER_OTLP_TIMEOUT` | milliseconds for one export | 10000 |
//! | `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | who the spans are of | `unknown_service` |
//! | `OTEL_TRACES_SAMPLER`, `OTEL_BSP_*` | which spans are kept, how they are batched | those of the SDK |
//! | `OTEL_SDK_DISABLED`, `OTEL_TRACES_EXPORTER=none` | export nothing | |
//! | `RUST_LOG` | what [`init`] logs on standard error, such as `info,scaling_core=debug` | `info` |
//!
//! The endpoint, the protocol, the headers and the timeout have a form for traces alone, `OTEL_EXPORTER_OTLP_TRACES_…`, which wins; such an
//! endpoint is taken as it is. All of it is as the OpenTelemetry specification says, but for the default of the endpoint: where none is
//! set, no exporter is made, rather than one that fails against `localhost` for ever.

mod config;
mod exporter;

use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::ExporterBuildError;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::filter::{EnvFilter, FilterFn, Filtered};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

pub use config::{InvalidOtlpConfig, OtlpConfig, OtlpProtocol};

/// Time for the last spans to reach the collector when a guard is dropped.
const FLUSH: Duration = Duration::from_secs(5);

/// Reasons why traces are not exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OtlpError {
    /// A variable of the environment cannot be used.
    #[error(transparent)]
    Config(#[from] InvalidOtlpConfig),
    /// The exporter cannot be made of the configuration.
    #[error("the exporter of traces cannot be made: {0}")]
    Exporter(#[from] ExporterBuildError),
    /// The HTTP client or the runtime of the exporter cannot be made.
    #[error("the connection of the exporter of traces cannot be made: {0}")]
    Connection(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Somebody has set a global subscriber before.
    #[error("a subscriber of traces is set already; add `layer` to it instead of calling `init`")]
    SubscriberSet,
    /// Spans did not reach the collector.
    #[error("spans were not exported: {0}")]
    Export(#[from] OTelSdkError),
}

/// Sets tracing up for a program: a log on standard error by `RUST_LOG` (default `info`), and the export of traces as the environment
/// says. Where it names no endpoint, nothing is exported, and the log says so.
///
/// It sets the global subscriber, so it is for programs; a library or a host with a subscriber of its own takes [`layer`]. Keep
/// the guard until the end: dropping it sends the last spans.
///
/// ```no_run
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let _traces = scaling_core::telemetry::otlp::init()?;
///     // ... the loop ...
///     Ok(())
/// }
/// ```
///
/// # Errors
/// [`OtlpError`] if the environment holds something that cannot be used, the exporter cannot be made, or a subscriber is set already.
pub fn init() -> Result<OtlpGuard, OtlpError> {
    init_with("info")
}

/// The same with another log where `RUST_LOG` is not set, such as `error`: for a program whose output is for people.
///
/// # Errors
/// As [`init`]; of `filter` too, if it is none.
pub fn init_with(filter: &str) -> Result<OtlpGuard, OtlpError> {
    let config = OtlpConfig::from_env()?;
    let (layer, guard) = config.as_ref().map(layer).transpose()?.unzip();
    let problem = "is no filter of a log, such as info,scaling_core=debug";
    let said = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|said| !said.is_empty());
    let by_level = EnvFilter::builder()
        .with_default_directive(tracing::Level::INFO.into())
        .parse(said.as_deref().unwrap_or(filter))
        .map_err(|_| InvalidOtlpConfig { variable: EnvFilter::DEFAULT_ENV.to_owned(), problem })?;
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let subscriber = tracing_subscriber::registry().with(layer).with(log.with_filter(by_level));
    subscriber.try_init().map_err(|_| OtlpError::SubscriberSet)?;
    if let Some(config) = &config {
        tracing::info!(endpoint = config.endpoint(), protocol = %config.protocol(), "traces are exported");
    } else {
        tracing::info!("traces are not exported: OTEL_EXPORTER_OTLP_ENDPOINT is not set, or export is turned off");
    }
    Ok(guard.unwrap_or(OtlpGuard { provider: None, connection: exporter::Connection::default() }))
}

/// The layer that exports traces, for a subscriber of the host's own, and the guard that flushes it.
///
/// Spans at level `INFO` and above are exported; those of the libraries that send them are not, since each export would make new ones.
///
/// # Errors
/// [`OtlpError`] if the exporter cannot be made.
pub fn layer<S>(config: &OtlpConfig) -> Result<(OtlpLayer<S>, OtlpGuard), OtlpError>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let (provider, connection) = exporter::provider(config)?;
    let tracer = provider.tracer(env!("CARGO_PKG_NAME"));
    let layer = tracing_opentelemetry::layer().with_tracer(tracer).with_filter(FilterFn::new(is_exported as Exported));
    Ok((layer, OtlpGuard { provider: Some(provider), connection }))
}

type Exported = fn(&tracing::Metadata<'_>) -> bool;

/// A layer that exports traces ([`layer`]).
pub type OtlpLayer<S> = Filtered<OpenTelemetryLayer<S, SdkTracer>, FilterFn<Exported>, S>;

/// Crates that an export itself goes through.
const SENDERS: [&str; 8] = ["h2", "hyper", "hyper_util", "opentelemetry", "reqwest", "rustls", "tonic", "tower"];

fn is_exported(metadata: &tracing::Metadata<'_>) -> bool {
    let sender = metadata.target().split("::").next().unwrap_or_default();
    let sends = SENDERS.contains(&sender) || sender.starts_with("opentelemetry");
    *metadata.level() <= tracing::Level::INFO && !sends
}

/// Keeps the export of traces going; dropping it sends what is left, for 5 s at most, in which it blocks.
#[derive(Debug)]
#[must_use = "traces end when it is dropped"]
pub struct OtlpGuard {
    /// None where nothing is exported.
    provider: Option<SdkTracerProvider>,
    connection: exporter::Connection,
}

impl OtlpGuard {
    /// Returns true if traces are exported.
    pub fn is_exporting(&self) -> bool {
        self.provider.is_some()
    }

    /// Sends all spans that have ended, and blocks until they have arrived.
    ///
    /// # Errors
    /// [`OtlpError::Export`] if they did not arrive.
    pub fn flush(&self) -> Result<(), OtlpError> {
        Ok(self.provider.as_ref().map_or(Ok(()), SdkTracerProvider::force_flush)?)
    }
}

impl Drop for OtlpGuard {
    fn drop(&mut self) {
        if let Some(provider) = &self.provider
            && let Err(error) = provider.shutdown_with_timeout(FLUSH)
        {
            tracing::warn!(%error, "the last spans were not exported");
        }
        self.connection.close();
    }
}
