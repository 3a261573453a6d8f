//! A connection from the environment; alone in its process, because the TLS provider belongs to the whole of it.

use rustls::crypto::CryptoProvider;

#[tokio::test]
async fn without_a_tls_provider_one_is_installed() {
    assert!(CryptoProvider::get_default().is_none(), "nobody has installed one before");
    // With or without a cluster in the environment: it answers, and does not panic.
    if let Err(error) = scaling_k8s::connect_from_environment().await {
        assert!(error.to_string().starts_with("no connection to a cluster: "), "{error}");
    }
    assert!(CryptoProvider::get_default().is_some());

    // A cluster that is asked for by name is that one or none.
    let error = scaling_k8s::connect("no-such-context").await.map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with("no connection to a cluster: context \"no-such-context\": "), "{error}");
}
