//! The operator as a process.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::until;
use crate::world::{OWN, SHOP, World};

pub(crate) struct Operator {
    child: Child,
    log: PathBuf,
    records: PathBuf,
    address: String,
}

impl Operator {
    /// Starts it as a pod of the shipped Deployment would be, over one namespace.
    pub(crate) fn start(world: &World, kubeconfig: &Path, name: &str, more: &[String]) -> Self {
        let (log, records) = (world.folder().join(format!("{name}.log")), world.folder().join(name));
        let out = File::create(&log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_operator"));
        command.args(["--namespace", SHOP, "--interval=1", "--batches=1", "--engine=rules", "--listen=127.0.0.1:0"]);
        command.arg("--records").arg(&records).args(more);
        command.env("KUBECONFIG", kubeconfig).env("POD_NAME", name).env("POD_NAMESPACE", OWN).env("RUST_LOG", "warn");
        command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
        Self { child: command.spawn().unwrap(), log, records, address: String::new() }
    }

    pub(crate) fn records(&self) -> &Path {
        &self.records
    }

    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits for the address that it serves on.
    pub(crate) async fn serves(&mut self) {
        let log = self.log.clone();
        let address = || {
            let said = fs::read_to_string(&log).unwrap();
            let (_, rest) = said.split_once("serving on http://")?;
            rest.split_once(',').map(|(address, _)| address.to_owned())
        };
        until("it serves", || async { address().is_some() }).await;
        self.address = address().unwrap();
    }

    /// Status and body of a page; 0 without an answer.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let asked = async {
            let mut stream = TcpStream::connect(&self.address).await?;
            let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address);
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let Ok(Ok(answer)) = tokio::time::timeout(Duration::from_secs(5), asked).await else {
            return (0, String::new());
        };
        let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        (code, answer)
    }

    /// Ends it without a word.
    pub(crate) fn kill(&mut self) {
        assert_eq!(self.child.try_wait().unwrap(), None, "it runs: {}", self.said());
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, which it must do with exit code 0. Returns the line about its end.
    pub(crate) async fn terminate(&mut self) -> String {
        let pid = self.child.id().to_string();
        let asked = Command::new("/bin/sh").args(["-c", "kill -TERM \"$1\"", "kill", &pid]).status().unwrap();
        assert!(asked.success());
        let mut ended: Option<ExitStatus> = None;
        for _ in 0..600 {
            ended = self.child.try_wait().unwrap();
            if ended.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let said = self.said();
        assert_eq!(ended.and_then(|status| status.code()), Some(0), "{said}");
        said.lines().rfind(|line| line.contains("ended: ")).unwrap_or_else(|| panic!("{said}")).to_owned()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = self.said();
            let lines: Vec<&str> = said.lines().collect();
            eprintln!("{}:\n{}", self.log.display(), lines[lines.len().saturating_sub(30)..].join("\n"));
        }
        // One that has ended is none to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
