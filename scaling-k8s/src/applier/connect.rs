//! A client from the environment.

use kube::Client;
use rustls::crypto::{CryptoProvider, ring};

/// There is no usable configuration of a cluster.
#[derive(Debug, thiserror::Error)]
#[error("no connection to a cluster: {0}")]
pub struct ConnectError(#[source] Box<dyn std::error::Error + Send + Sync>);

pub(super) async fn client() -> Result<Client, ConnectError> {
    // Without a provider the client panics as soon as two of them are linked, which an application may do without knowing.
    if CryptoProvider::get_default().is_none() {
        // Fails only if another thread was faster, and then there is one.
        let _ = ring::default_provider().install_default();
    }
    Client::try_default().await.map_err(|error| ConnectError(Box::new(error)))
}
