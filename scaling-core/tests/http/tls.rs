//! TLS: nothing is installed in the process, and only the given authority is trusted.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use scaling_core::http::{Auth, Endpoint, HttpClient, HttpConfig, HttpError, HttpRequest, Retry};

/// Makes a self-signed certificate for 127.0.0.1 and its key, or says why there is none.
fn certificate(folder: &Path) -> Option<(Vec<u8>, Vec<u8>)> {
    let (key, certificate) = (folder.join("key.pem"), folder.join("cert.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output();
    if made.is_ok_and(|made| made.status.success()) {
        return Some((std::fs::read(&certificate).unwrap(), std::fs::read(&key).unwrap()));
    }
    let how = "openssl is not installed: no certificate to test TLS with";
    assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "{how}");
    eprintln!("skipped: {how}");
    None
}

/// Answers `connections` of them with 200, whether they trust it or not.
fn serve(certificate: &[u8], key: &[u8], connections: usize) -> String {
    let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>().unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_slice(key).unwrap())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for stream in listener.incoming().take(connections).flatten() {
            let mut stream = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
            let mut request = [0; 4096];
            if stream.read(&mut request).is_ok() {
                let _ = stream.write_all(b"HTTP/1.1 200 x\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    address
}

#[tokio::test]
async fn only_the_given_authority_is_trusted_and_no_provider_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let Some((certificate, key)) = certificate(folder.path()) else { return };
    let address = serve(&certificate, &key, 2);
    let request = HttpRequest::get(Endpoint::parse(&address).unwrap());
    let config = || HttpConfig::default().retry(Retry::NEVER).auth(Auth::bearer("t"));

    let strangers = HttpClient::new(config()).unwrap().send(&request).await.unwrap_err();
    assert!(matches!(&strangers, HttpError::Connect { cause, .. } if cause.contains("ertificate")), "{strangers:?}");
    let trusting = HttpClient::new(config().certificate_authority(certificate)).unwrap();
    assert_eq!(trusting.send(&request).await.unwrap().body(), b"ok");
    assert!(CryptoProvider::get_default().is_none(), "nothing is installed for others");
}
