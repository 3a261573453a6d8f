//! A proxy on loopback that spoils answers on their way.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use scaling_core::http::Endpoint;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wire {
    /// It is passed on.
    Whole,
    /// It is passed on so much later.
    Late(Duration),
    /// Its first half is passed on, and the connection closed as if that were all.
    Half,
    /// The connection is closed without a byte of it.
    Nothing,
}

/// Spoils the answers to questions that hold some text.
#[derive(Clone, Debug)]
struct Fault {
    of: &'static str,
    wire: Wire,
}

pub struct Proxy {
    address: SocketAddr,
    fault: Arc<Mutex<Fault>>,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// In front of a server on a port of loopback.
    pub async fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let fault = Arc::new(Mutex::new(Fault { of: "", wire: Wire::Whole }));
        let shared = Arc::clone(&fault);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(pass(stream, port, Arc::clone(&shared)));
            }
        });
        Self { address, fault, task }
    }

    /// From now on, this becomes of answers to questions that hold `of`; empty is all of them.
    pub fn spoils(&self, of: &'static str, wire: Wire) {
        *self.fault.lock().unwrap() = Fault { of, wire };
    }

    pub fn endpoint(&self) -> Endpoint {
        Endpoint::parse(&format!("http://{}", self.address)).unwrap()
    }
}

/// One question and its answer; the client opens another connection for the next.
async fn pass(mut client: TcpStream, port: u16, fault: Arc<Mutex<Fault>>) {
    let Some(mut question) = message(&mut client).await else { return };
    let Fault { of, wire } = fault.lock().unwrap().clone();
    let text = String::from_utf8_lossy(&question).into_owned();
    let wire = if text.contains(of) { wire } else { Wire::Whole };
    // So that the answer's end is the connection's.
    let head = text.find("\r\n").unwrap();
    question.splice(head..head, b"\r\nconnection: close".iter().copied());
    let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    server.write_all(&question).await.unwrap();
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await.ok();
    let sent = match wire {
        Wire::Whole => answer.as_slice(),
        Wire::Late(by) => {
            tokio::time::sleep(by).await;
            answer.as_slice()
        }
        // Into the body, which is longer than the head or not.
        Wire::Half => {
            let body = answer.windows(4).position(|window| window == b"\r\n\r\n").map_or(0, |head| head + 4);
            &answer[..body + (answer.len() - body) / 2]
        }
        Wire::Nothing => &[],
    };
    client.write_all(sent).await.ok();
    client.shutdown().await.ok();
}

/// A request with its body.
async fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            if bytes.len() >= head + 4 + length.unwrap_or(0) {
                return Some(bytes);
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
