//! The metrics APIs, served behind a real API server: HTTPS on a loopback port, made known by a `Service` and an `APIService` each.
//!
//! What it answers is what the test has put in, by path without its query.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use kube::Client;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Group and version of each API that is served.
pub(crate) const APIS: [(&str, &str); 3] =
    [("metrics.k8s.io", "v1beta1"), ("custom.metrics.k8s.io", "v1beta2"), ("external.metrics.k8s.io", "v1beta1")];

/// A server of the metrics APIs. It ends with the runtime.
#[derive(Clone)]
pub(crate) struct Aggregated {
    answers: Arc<Mutex<BTreeMap<String, Value>>>,
    asked: Arc<Mutex<Vec<String>>>,
    port: u16,
}

impl Aggregated {
    /// Starts to serve. `folder` takes the certificate.
    pub(crate) async fn start(folder: &Path) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(tls(folder)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let this = Self { answers: Arc::default(), asked: Arc::default(), port };
        for (group, version) in APIS {
            let list = json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": format!("{group}/{version}"), "resources": [] });
            this.answer(&format!("/apis/{group}/{version}"), list);
        }
        let server = this.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (server, acceptor) = (server.clone(), acceptor.clone());
                tokio::spawn(async move { server.serve(acceptor, stream).await });
            }
        });
        this
    }

    /// Answers a path with a body from now on.
    pub(crate) fn answer(&self, path: &str, body: Value) {
        self.answers.lock().unwrap().insert(path.to_owned(), body);
    }

    /// Paths with their queries that were asked.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Makes the APIs known to an API server, and waits until it passes questions on.
    pub(crate) async fn register(&self, admin: &Client) {
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": "metrics", "namespace": "kube-system" },
            "spec": { "type": "ExternalName", "externalName": "localhost", "ports": [{ "port": self.port, "protocol": "TCP" }] },
        });
        post(admin, "/api/v1/namespaces/kube-system/services", &service).await;
        for (group, version) in APIS {
            let api = json!({
                "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": { "name": format!("{version}.{group}") },
                "spec": {
                    "group": group, "version": version, "groupPriorityMinimum": 100, "versionPriority": 100,
                    "insecureSkipTLSVerify": true,
                    "service": { "name": "metrics", "namespace": "kube-system", "port": self.port },
                },
            });
            post(admin, "/apis/apiregistration.k8s.io/v1/apiservices", &api).await;
        }
        for (group, version) in APIS {
            let path = format!("/apis/{group}/{version}");
            for attempt in 0.. {
                let request = http::Request::get(&path).body(Vec::new()).unwrap();
                match admin.request_text(request).await {
                    Ok(_) => break,
                    Err(error) => assert!(attempt < 600, "{path} is not served: {error}"),
                }
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }

    /// HTTP/1.1, one request after the other on a connection.
    async fn serve(&self, acceptor: TlsAcceptor, stream: TcpStream) {
        let Ok(mut stream) = acceptor.accept(stream).await else { return };
        let mut buffer = Vec::new();
        loop {
            let head = loop {
                if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                    break String::from_utf8_lossy(&buffer.drain(..end + 4).collect::<Vec<u8>>()).into_owned();
                }
                let mut chunk = [0; 4096];
                match stream.read(&mut chunk).await {
                    Ok(read) if read > 0 => buffer.extend_from_slice(&chunk[..read]),
                    _ => return,
                }
            };
            let uri = head.split(' ').nth(1).unwrap_or_default().to_owned();
            // The API server writes the star of `pods/*` like this.
            let path = uri.split('?').next().unwrap_or_default().replace("%2A", "*");
            let found = self.answers.lock().unwrap().get(&path).cloned();
            let (status, body) = match found {
                Some(body) => ("200 OK", body),
                None => (
                    "404 Not Found",
                    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound",
                        "message": format!("there is no {path}") }),
                ),
            };
            self.asked.lock().unwrap().push(uri);
            let body = body.to_string();
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
            );
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

async fn post(admin: &Client, path: &str, body: &Value) {
    let request = http::Request::post(path).header("content-type", "application/json");
    let made: kube::Result<Value> = admin.request(request.body(body.to_string().into_bytes()).unwrap()).await;
    made.unwrap_or_else(|error| panic!("{path}: {error}"));
}

fn tls(folder: &Path) -> ServerConfig {
    let (key, certificate) = (folder.join("metrics.key"), folder.join("metrics.pem"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout"]);
    let made = openssl.arg(&key).arg("-out").arg(&certificate).stdin(Stdio::null()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(&certificate).unwrap()],
            PrivateKeyDer::from_pem_file(&key).unwrap(),
        )
        .unwrap()
}
