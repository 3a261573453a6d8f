//! The exporter of spans, and what it needs to run.

use std::sync::Arc;

use ::http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::runtime::{Builder, Runtime};

use super::{OtlpConfig, OtlpError, OtlpProtocol};

/// The runtime that a connection of gRPC lives on. One of its own, since spans are also sent while the host's is blocked or gone: by
/// the guard when it is dropped, most of all.
#[derive(Debug, Default)]
pub(super) struct Connection {
    runtime: Option<Runtime>,
}

impl Connection {
    /// Ends it without waiting: to wait is not allowed where the guard may be dropped, in a task.
    pub(super) fn close(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

pub(super) fn provider(config: &OtlpConfig) -> Result<(SdkTracerProvider, Connection), OtlpError> {
    let (exporter, connection) = match config.protocol() {
        OtlpProtocol::HttpProtobuf => (over_http(config)?, Connection::default()),
        OtlpProtocol::Grpc => over_grpc(config)?,
    };
    let resource = Resource::builder();
    let resource = match config.service_name() {
        Some(name) => resource.with_service_name(name.to_owned()),
        None => resource,
    };
    Ok((SdkTracerProvider::builder().with_resource(resource.build()).with_batch_exporter(exporter).build(), connection))
}

fn over_http(config: &OtlpConfig) -> Result<SpanExporter, OtlpError> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(config.endpoint())
        .with_timeout(config.timeout())
        .with_headers(config.headers().iter().cloned().collect())
        .with_http_client(client(config)?);
    Ok(exporter.build()?)
}

fn connection_failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> OtlpError {
    OtlpError::Connection(error.into())
}

/// A client that blocks: the processor of spans sends from a thread of its own, in which an async one would panic. With TLS of its own
/// making, since what the exporter would make by itself depends on a provider that the process may not have installed.
fn client(config: &OtlpConfig) -> Result<reqwest::blocking::Client, OtlpError> {
    let timeout = config.timeout();
    let build = move || -> Result<_, OtlpError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(BuilderVerifierExt::with_platform_verifier)
            .map_err(connection_failed)?
            .with_no_client_auth();
        let client = reqwest::blocking::Client::builder()
            .tls_backend_preconfigured(tls)
            // A token belongs to the collector alone.
            .redirect(reqwest::redirect::Policy::none())
            .timeout(timeout);
        client.build().map_err(connection_failed)
    };
    // In a thread, because it blocks, which is not allowed in a task.
    match std::thread::spawn(build).join() {
        Ok(client) => client,
        Err(_) => Err(connection_failed("the thread that makes the HTTP client panicked")),
    }
}

fn over_grpc(config: &OtlpConfig) -> Result<(SpanExporter, Connection), OtlpError> {
    let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("otlp").enable_all().build();
    let runtime = runtime.map_err(connection_failed)?;
    let metadata = metadata(config)?;
    let exporter = {
        let _on_it = runtime.enter();
        let mut exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(config.endpoint())
            .with_timeout(config.timeout())
            .with_metadata(metadata);
        if config.endpoint().to_ascii_lowercase().starts_with("https:") {
            exporter = exporter.with_tls_config(ClientTlsConfig::new().with_native_roots());
        }
        exporter.build()
    };
    let connection = Connection { runtime: Some(runtime) };
    Ok((exporter?, connection))
}

fn metadata(config: &OtlpConfig) -> Result<MetadataMap, OtlpError> {
    let mut headers = HeaderMap::new();
    for (name, value) in config.headers() {
        let mut value = HeaderValue::from_str(value).map_err(connection_failed)?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(connection_failed)?, value);
    }
    Ok(MetadataMap::from_headers(headers))
}
