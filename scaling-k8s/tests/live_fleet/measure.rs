//! CPU and memory of this process, and what the API server counts.

use std::fmt;
use std::time::{Duration, Instant};

use crate::support::{ADMIN, ControlPlane};

/// Ticks of the clock by which Linux counts CPU time, a second.
const CLOCK: f64 = 100.0;

/// What a controller of HPAs asks for, whatever for.
const ASKED: [&str; 7] =
    ["horizontalpodautoscalers", "deployments", "statefulsets", "replicasets", "cronjobs", "events", "pods"];

/// CPU used so far, and memory held.
pub(crate) struct Usage {
    cpu: Duration,
    at: Instant,
    resident_kib: u64,
}

pub(crate) struct Used {
    pub(crate) cpu: Duration,
    wall: Duration,
}

impl Usage {
    pub(crate) fn now() -> Self {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        // After the name of the program, which may have anything in it.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: f64 = fields[11..13].iter().map(|field| field.parse::<f64>().unwrap()).sum();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let resident_kib = resident.split_whitespace().next().unwrap().parse().unwrap();
        Self { cpu: Duration::from_secs_f64(ticks / CLOCK), at: Instant::now(), resident_kib }
    }

    pub(crate) fn mib(&self) -> u64 {
        self.resident_kib / 1024
    }

    pub(crate) fn since(&self, before: &Self) -> Used {
        Used { cpu: self.cpu.saturating_sub(before.cpu), wall: self.at - before.at }
    }
}

impl fmt::Display for Used {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} s CPU in {:.2} s", self.cpu.as_secs_f64(), self.wall.as_secs_f64())
    }
}

/// The API server's own account.
pub(crate) struct Server {
    /// Requests that it has answered for HPAs and for what is looked at besides, but for watches.
    pub(crate) requests: u64,
    /// Requests for Leases.
    pub(crate) leases: u64,
    /// CPU that it has used, in seconds.
    pub(crate) cpu: f64,
}

impl Server {
    pub(crate) async fn now(plane: &ControlPlane) -> Self {
        let request = http::Request::get("/metrics").body(Vec::new()).unwrap();
        let text = plane.client(ADMIN).request_text(request).await.unwrap();
        let value = |line: &str| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap();
        let count = |resources: &[&str]| {
            let is_of = |line: &&str| {
                line.starts_with("apiserver_request_total{")
                    && resources.iter().any(|name| line.contains(&format!("resource=\"{name}\"")))
                    && !line.contains("verb=\"WATCH\"")
            };
            // A count far below 2⁵³.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let count = text.lines().filter(is_of).map(value).sum::<f64>() as u64;
            count
        };
        let (requests, leases) = (count(&ASKED), count(&["leases"]));
        let cpu = text.lines().find(|line| line.starts_with("process_cpu_seconds_total ")).map_or(0.0, value);
        Self { requests, leases, cpu }
    }
}
