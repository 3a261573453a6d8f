//! A client from the environment.

use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use rustls::crypto::{CryptoProvider, ring};
use tower::util::MapResponseLayer;

use super::retry_after;

/// There is no usable configuration of a cluster.
#[derive(Debug, thiserror::Error)]
#[error("no connection to a cluster: {0}")]
pub struct ConnectError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// Connects to the cluster of a context of the kubeconfig, whatever its current one is: a host says which cluster it means.
///
/// Where the process has no TLS provider yet, this installs ring as its default, because the client cannot be made without.
///
/// # Errors
/// [`ConnectError`] if there is no kubeconfig, or no usable context of this name in it.
pub async fn connect(context: &str) -> Result<Client, ConnectError> {
    install_provider();
    let failed = |error: &dyn std::fmt::Display| ConnectError(format!("context {context:?}: {error}").into());
    let kubeconfig = Kubeconfig::read().map_err(|error| failed(&unquoted(error)))?;
    let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| failed(&error))?;
    client(config).map_err(|error| failed(&error))
}

/// Connects to the cluster that the process runs in, or else to that of the kubeconfig's current context.
///
/// Where the process has no TLS provider yet, this installs ring as its default, because the client cannot be made without.
///
/// # Errors
/// [`ConnectError`] if there is no usable configuration.
pub async fn connect_from_environment() -> Result<Client, ConnectError> {
    install_provider();
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| ConnectError(error);
    let config = Config::infer().await.map_err(|error| failed(unquoted(error)))?;
    client(config).map_err(|error| failed(error.into()))
}

/// The error without what stands in the file: that may be a token, and an error may end in a log.
pub(crate) fn unquoted(
    error: impl std::error::Error + Send + Sync + 'static,
) -> Box<dyn std::error::Error + Send + Sync> {
    let quotes = |error: &(dyn std::error::Error + 'static)| {
        error.downcast_ref().is_some_and(|error| matches!(error, KubeconfigError::Parse(_)))
    };
    if quotes(&error) || error.source().is_some_and(quotes) {
        return "the kubeconfig is no YAML of the form that kubectl takes (kubectl config view)".into();
    }
    Box::new(error)
}

/// A client that asks once. By itself it would send a write again after 429, 503 and 504, for minutes, and what became of the first one could no
/// longer be told from the answer to the last (law 12).
pub(crate) fn client(mut config: Config) -> kube::Result<Client> {
    config.default_retry = false;
    let layer = MapResponseLayer::new(retry_after::told as fn(_) -> _);
    Ok(ClientBuilder::try_from(config)?.with_layer(&layer).build())
}

/// Without a provider the client panics as soon as two of them are linked, which an application may do without knowing.
pub(crate) fn install_provider() {
    if CryptoProvider::get_default().is_none() {
        // Fails only if another thread was faster, and then there is one.
        let _ = ring::default_provider().install_default();
    }
}
