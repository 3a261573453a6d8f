//! A board to show, and a server that shows it.

use std::net::SocketAddr;
use std::sync::Arc;

use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::guard::{Clamp, Limit};
use scaling_core::policy::BoundsChange;
use scaling_core::record::{Step, Unchanged};
use scaling_core::telemetry::serve::Server;
use scaling_core::telemetry::serve::axum::Router;
use scaling_core::telemetry::{Board, Health, Metrics, page};
use scaling_core::{
    Absence, ApplyMode, Bounds, DecisionRecord, Floor, Outcome, OwnerSetting, Reason, Recorder, ScalingDecision,
    ScalingMetrics, SignalKind, SignalSet, SizeOwner, Target,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A name that would be markup, if anything were.
pub(crate) const HOSTILE: &str = "<img src=x onerror=alert(1)>";
/// An error that would be a script.
pub(crate) const SCRIPT: &str = "</script><script>document.title = 'owned'</script>\"'&amp;";

pub(crate) fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_571_200, 0).unwrap()
}

fn bounds(min: u32, max: u32) -> Bounds {
    Bounds::new(min, max).unwrap()
}

/// A tick of a workload whose load follows the hour of the day.
pub(crate) fn tick(target: &Target, second: i64, size: f64) -> DecisionRecord {
    let at = start() + TimeDelta::seconds(second);
    let rate = |second: i64| size * (1.0 - 0.6 * (second as f64 / 43_200.0 * std::f64::consts::PI).cos());
    let (now, soon) = (rate(second), rate(second + 105) * 1.1);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // small
    let pods = |rate: f64| (rate / 40.0).ceil().max(1.0) as u32;
    let (current, wanted) = (pods(now), pods(soon));
    let mut record = DecisionRecord::new(target.clone(), at, ApplyMode::Apply);
    let metrics = ScalingMetrics::new(at, current).with(SignalKind::RequestRate, now);
    record.metrics = Some(metrics.with(SignalKind::CpuUtilization, 62.0).with(SignalKind::ErrorRate, 0.2));
    let declared = [SignalKind::RequestRate, SignalKind::CpuUtilization, SignalKind::ErrorRate];
    record.declared = Some(SignalSet::of(declared));
    record.bounds = Some(bounds(wanted.max(2), 2 * wanted + 5));
    record.resting = Some(bounds(2, 2 * wanted + 5));
    let forecast = Reason::Forecast {
        signal: Some(SignalKind::RequestRate),
        observed: now,
        expected: soon,
        quantile: 0.97,
        ahead_s: 105.0,
    };
    record.decision =
        Some(ScalingDecision::replicas("predictive", at, current, wanted).with_confidence(0.9).because(forecast));
    let why = Unchanged::Allowed { bounds: record.bounds.unwrap(), replicas: wanted };
    record.outcome = Outcome::Unchanged { why };
    if second % 3600 < 15 {
        let (old, new) = (bounds(1, 20), bounds(wanted.max(2), 20));
        record.change = Some(BoundsChange { old, new, released: 0, min_without_floor: None, resources: None });
        record.outcome = Outcome::Applied;
    }
    record
}

/// A shop with a day of history, one without a rate, one whose source fails, one that is refused, and one of a hostile name.
pub(crate) fn board() -> Arc<Board> {
    let board = Board::new();
    let shop = Target::deployment("shop", "checkout");
    let day = 86_400 / 15;
    for nth in 0..=day {
        let mut record = tick(&shop, nth * 15, 300.0);
        if (3000..3100).contains(&nth) {
            record = failed(&shop, nth * 15, "prometheus: connection refused");
        }
        if (2000..2600).contains(&nth) {
            let window = Reason::Schedule { window: "lunch".into(), replicas: 20 };
            record.floor = Some(Floor::new(20, window).until(record.at + TimeDelta::hours(1)));
        }
        board.record(&record).unwrap();
    }
    let last = day * 15;
    for second in [last - 30, last - 15, last] {
        for record in others(second) {
            board.record(&record).unwrap();
        }
    }
    Arc::new(board)
}

fn others(second: i64) -> [DecisionRecord; 4] {
    let target = |name: &str| Target::deployment("shop", name);
    let mut blind = tick(&target("search"), second, 120.0);
    let stale = Absence::Stale { age_s: 300 };
    blind.metrics = blind.metrics.map(|metrics| metrics.without(SignalKind::RequestRate, stale));
    let mut refused = tick(&target("cart"), second, 80.0);
    refused.outcome = Outcome::Refused { guard: "freshness".into(), why: "metrics are 200 s old".into() };
    let (from, to) = (Limit::Replicas(30), Limit::Replicas(12));
    refused.owners = vec![owner("Argo CD (application shop)"), owner(HOSTILE)];
    refused.clamps = vec![Clamp { guard: "step_limit".into(), from, to, why: "at most double".into() }];
    let mut hostile = failed(&Target::deployment(HOSTILE, "a/b?c=d#e").in_cluster("eu-1"), second, SCRIPT);
    hostile.floor = Some(Floor::new(3, Reason::Custom { rule: SCRIPT.into(), text: HOSTILE.into() }));
    [blind, refused, failed(&target("mail"), second, "deadline has elapsed"), hostile]
}

/// Somebody else who sets the size, with a setting whose text is longer than a screen is wide.
fn owner(name: &str) -> SizeOwner {
    let text = "spec:\n  ignoreDifferences:\n    - group: autoscaling\n      kind: HorizontalPodAutoscaler\n      name: cart-of-a-name-that-is-as-long-as-names-in-a-cluster-may-be-and-longer\n";
    SizeOwner {
        owner: name.to_owned(),
        field: "spec.minReplicas and spec.maxReplicas of HorizontalPodAutoscaler shop/cart".to_owned(),
        since: Some(start()),
        advice: format!("have it leave both bounds to us {SCRIPT}"),
        setting: Some(OwnerSetting { place: "Argo CD Application shop".to_owned(), text: format!("{text}{SCRIPT}") }),
    }
}

pub(crate) fn failed(target: &Target, second: i64, error: &str) -> DecisionRecord {
    let mut record = DecisionRecord::new(target.clone(), start() + TimeDelta::seconds(second), ApplyMode::Apply);
    record.bounds = Some(bounds(2, 20));
    record.outcome =
        Outcome::Failed { step: Step::Observe, error: error.into(), transient: true, may_have_happened: false };
    record
}

/// A thousand workloads in forty namespaces, of which some fail and some lack a signal.
pub(crate) fn thousand() -> Arc<Board> {
    let board = Board::new();
    for nth in 0..1000_u32 {
        let target = Target::deployment(format!("team-{:02}", nth % 40), format!("service-{nth:03}"));
        for second in [0, 15] {
            let mut record = tick(&target, second, f64::from(nth) + 20.0);
            if nth % 50 == 7 {
                record = failed(&target, second, "no metrics");
            } else if nth % 20 == 3 {
                record.metrics =
                    record.metrics.map(|metrics| metrics.without(SignalKind::CpuUtilization, Absence::NotFinite));
            }
            board.record(&record).unwrap();
        }
    }
    Arc::new(board)
}

/// Serves a board, with routes of the test's own beside it.
pub(crate) async fn serve(board: Arc<Board>, more: Router) -> SocketAddr {
    let routes = page::routes(board).merge(more);
    let server = Server::new(Arc::new(Metrics::new()), Arc::new(Health::new())).on("127.0.0.1:0".parse().unwrap());
    let listening = server.with_routes(routes).bind().await.unwrap();
    let address = listening.address();
    tokio::spawn(listening.serve(std::future::pending()));
    address
}

/// Status line and headers, and body, of one request.
pub(crate) async fn ask(address: SocketAddr, line: &str, headers: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

/// Text in an address, every byte of it by its number.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |encoded, byte| format!("{encoded}%{byte:02X}"))
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> (String, String) {
    ask(address, &format!("GET {path}"), "").await
}
