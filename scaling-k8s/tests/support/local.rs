//! HTTP servers on loopback, with and without TLS, that may also hang up instead of an answer.

use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use http::{Request, Response};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

pub(crate) type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// Answer of a handler; an error hangs up without one.
pub(crate) type Answer = io::Result<Response<Body>>;

/// Server that goes on until it is dropped.
pub(crate) struct Server {
    pub(crate) port: u16,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Starts on a free port; over TLS if there is a certificate.
    pub(crate) async fn start<H, F>(tls: Option<TlsAcceptor>, handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            // Dropped with the task, and every connection with it.
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let (tls, handler) = (tls.clone(), handler.clone());
                connections.spawn(async move { connection(stream, tls, handler).await });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { port, task }
    }
}

/// Serves one connection until either side has enough of it.
async fn connection<H, F>(stream: TcpStream, tls: Option<TlsAcceptor>, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let service = service_fn(handler);
    // An error is a connection that was cut, by the handler's wish or by the client.
    let _ = match tls {
        None => http1::Builder::new().serve_connection(TokioIo::new(stream), service).await,
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => http1::Builder::new().serve_connection(TokioIo::new(stream), service).await,
            Err(_) => return,
        },
    };
}

/// A certificate for localhost that nobody else signed, made in the folder.
pub(crate) fn self_signed(folder: &Path) -> TlsAcceptor {
    let (key, certificate) = (folder.join("localhost.key"), folder.join("localhost.pem"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout"]);
    super::run(openssl.arg(&key).arg("-out").arg(&certificate));
    let certificate = CertificateDer::from_pem_file(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth();
    let config = config.with_single_cert(vec![certificate], PrivateKeyDer::from_pem_file(key).unwrap()).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Answer with a JSON body.
pub(crate) fn json(code: u16, body: &Value) -> Response<Body> {
    let body = Full::from(serde_json::to_vec(body).unwrap()).map_err(|never| match never {}).boxed_unsync();
    Response::builder().status(code).header("content-type", "application/json").body(body).unwrap()
}

/// Answer of the API server that is a failure.
pub(crate) fn status(code: u16, reason: &str, message: &str) -> Response<Body> {
    let body = serde_json::json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "code": code, "reason": reason, "message": message,
    });
    json(code, &body)
}
