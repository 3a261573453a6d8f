//! The loop over the real Prometheus while answers come late, in half or not at all, and after all counters began anew.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use scaling_core::http::{HttpClient, HttpConfig, Retry};
use scaling_core::live::{Cadence, Loop, SimulatedClock, Stop};
use scaling_core::record::Tee;
use scaling_core::source::prometheus::{Measure, PrometheusSource, QueryBudget, QuerySet, QueryTemplate, Unit};
use scaling_core::telemetry::{Board, Metrics};
use scaling_core::{
    ApplyMode, Autoscaler, Bounds, DecisionRecord, MemoryApplier, MemoryRecorder, Outcome, RuleBasedEngine, SignalKind,
    Step, Target,
};

use super::proxy::{Proxy, Wire};
use super::servers::{Data, Running};
use super::{at, every, gauge, labels};

/// Time that all queries of a tick may take.
const BUDGET: Duration = Duration::from_secs(2);
/// The same where nothing is late, so that a busy machine makes nothing late either.
const AMPLE: Duration = Duration::from_secs(25);
const TICKS: usize = 40;
/// Ticks in which answers are spoilt.
const SPOILT: std::ops::Range<usize> = 10..14;
/// The tick at which the load falls: while answers are spoilt.
const FALLS: i64 = 12;

fn web() -> Target {
    Target::deployment("shop", "web")
}

/// Forty minutes of 8 pods: first busy, then, from some minute on, all but idle. At minute 30 all counters begin anew.
fn data() -> Data {
    let busy = |second: i64| second < FALLS * 60;
    let mut data = Data::default();
    let requests = |second: i64| {
        let (since, from) = if second >= 1800 { (second - 1800, 1800) } else { (second + 3600, -3600) };
        let busy_for = (FALLS * 60 - from).clamp(0, since);
        busy_for as f64 * 400.0 + (since - busy_for) as f64 * 40.0
    };
    data.add(format!("requests_total{}", labels(&web())), every(15, -3600..2700, requests));
    data.add(format!("cpu{}", labels(&web())), every(15, -3600..2700, |second| if busy(second) { 75.0 } else { 8.0 }));
    data.add(format!("pods{}", labels(&web())), every(15, -3600..2700, |_| 8.0));
    data
}

fn set() -> QuerySet {
    let rate =
        r#"sum by (namespace,workload) (rate(requests_total{namespace=~"{namespace}",workload=~"{workload}"}[1m]))"#;
    QuerySet::empty()
        .with(QueryTemplate::new(Measure::Signal(SignalKind::RequestRate), Unit::Own, rate).unwrap())
        .with(gauge(Measure::Signal(SignalKind::CpuUtilization), "cpu"))
        .with(gauge(Measure::ReadyPods, "pods"))
}

/// What came of a run, tick by tick.
struct Run {
    records: Vec<DecisionRecord>,
    /// What the page of metrics, the board and the source said after each tick.
    said: Vec<(String, String, String)>,
}

/// Runs the loop through a proxy that spoils answers to questions that hold some text.
async fn run(server: &Running, of: &'static str, wire: Wire) -> Run {
    let proxy = Proxy::before(server.port()).await;
    let tick = if matches!(wire, Wire::Late(_)) { BUDGET } else { AMPLE };
    let config = HttpConfig::default().retry(Retry::NEVER);
    let source = PrometheusSource::new(HttpClient::new(config).unwrap(), proxy.endpoint(), set());
    let source = Arc::new(source.with_budget(QueryBudget { tick, ..QueryBudget::default() }));
    let (metrics, board, kept) = (Arc::new(Metrics::new()), Arc::new(Board::new()), Arc::new(MemoryRecorder::new()));
    let recorder = Tee::new().with(Arc::clone(&metrics)).with(Arc::clone(&board)).with(Arc::clone(&kept));
    let autoscaler = Autoscaler::builder()
        .source(Arc::clone(&source))
        .engine(RuleBasedEngine::default())
        .applier(MemoryApplier::new().with(web(), Bounds::new(8, 20).unwrap()))
        .recorder(recorder)
        .mode(ApplyMode::Apply)
        .build();
    let (stop, said) = (Stop::new(), Arc::new(Mutex::new(Vec::new())));
    let (end, told) = (stop.clone(), Arc::clone(&said));
    let live = Loop::new(autoscaler, [web()], Cadence::default()).clock(SimulatedClock::at(at(0)));
    let live = live.longest_backoff(Duration::from_secs(60)).after_tick(move |_, _| {
        let view = serde_json::to_string(&board.target(&web()).unwrap()).unwrap();
        let report = source.report().failed.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let mut told = told.lock().unwrap();
        told.push((metrics.render().unwrap(), view, report));
        let next = told.len();
        proxy.spoils(of, if SPOILT.contains(&next) { wire } else { Wire::Whole });
        if next == TICKS {
            end.request();
        }
    });
    live.run(&stop).await;
    let said = std::mem::take(&mut *said.lock().unwrap());
    Run { records: kept.records(), said }
}

/// Value of a metric of the workload on the page of metrics.
fn value(page: &str, name: &str, more: &str) -> f64 {
    let labels = format!(r#"{name}{{target_namespace="shop",target_kind="Deployment",target_name="web"{more}}} "#);
    page.lines().find_map(|line| line.strip_prefix(&labels)?.parse().ok()).unwrap()
}

fn is_source_down(record: &DecisionRecord) -> bool {
    let ended = record.withheld.as_ref().unwrap_or(&record.outcome);
    matches!(ended, Outcome::Failed { step: Step::Observe, .. })
}

impl Run {
    /// Law 2, tick by tick; and that it ends with the fault.
    fn holds_law_2(&self, what: &str) {
        assert_eq!(self.records.len(), TICKS, "{what}");
        let mut min = 8;
        for (tick, record) in self.records.iter().enumerate() {
            if SPOILT.contains(&tick) {
                let bounds = record.change.map_or(record.bounds.unwrap(), |change| change.new);
                assert!(bounds.min() >= min, "{what}: tick {tick} lowers the min: {record:?}");
                min = min.max(bounds.min());
                if let Some(decision) = &record.decision {
                    assert!(decision.desired_replicas >= 8, "{what}: tick {tick}: {record:?}");
                }
            } else {
                assert!(!is_source_down(record), "{what}: tick {tick}: {record:?}");
                let metrics = record.metrics.as_ref().unwrap();
                assert_eq!(metrics.delivered(), record.declared.unwrap(), "{what}: tick {tick}");
            }
        }
    }
}

#[tokio::test]
async fn answers_that_are_late_cut_or_lost_lower_nothing_and_are_said() {
    let Some(server) = Running::prometheus(&data()).await else { return };
    let late = Wire::Late(Duration::from_secs(5));
    for (wire, why) in [(late, "that a tick may take"), (Wire::Half, ""), (Wire::Nothing, "")] {
        // Of all queries: the source is down.
        let all = run(&server, "", wire).await;
        all.holds_law_2(&format!("all, {wire:?}"));
        for tick in SPOILT {
            let record = &all.records[tick];
            assert!(is_source_down(record), "{wire:?}: tick {tick}: {record:?}");
            assert!(record.change.is_none(), "{wire:?}: tick {tick}: {record:?}");
            let (metrics, view, report) = &all.said[tick];
            assert_eq!(value(metrics, "ai_scaling_source_up", ""), 0.0, "{wire:?}: tick {tick}");
            assert!(view.contains("\"status\":\"failing\""), "{view}");
            assert!(!report.is_empty() && report.contains(why), "{wire:?}: {report}");
        }
        // Of one: what it measures is absent, the others count.
        let one = run(&server, "requests_total", wire).await;
        one.holds_law_2(&format!("one, {wire:?}"));
        for tick in SPOILT {
            let metrics = one.records[tick].metrics.as_ref().unwrap();
            assert_eq!(metrics.value(SignalKind::RequestRate), None, "{wire:?}: tick {tick}");
            assert!(metrics.value(SignalKind::CpuUtilization).is_some(), "{wire:?}: tick {tick}");
            let (page, view, report) = &one.said[tick];
            let absent = value(page, "ai_scaling_signal_absent", r#",signal="request_rate_per_second""#);
            assert_eq!(absent, 1.0, "{wire:?}: tick {tick}");
            assert!(view.contains("\"status\":\"absent\""), "{view}");
            assert!(report.starts_with("query for request rate: ") && report.contains(why), "{wire:?}: {report}");
        }
        for run in [all, one] {
            let (page, _, report) = &run.said[SPOILT.end];
            assert!(report.is_empty(), "{wire:?}: {report}");
            assert_eq!(value(page, "ai_scaling_source_up", ""), 1.0, "{wire:?}");
            // It decides again, on a history that has its gap.
            let last = run.records.last().unwrap();
            assert!(last.decision.is_some() && last.history_len > TICKS / 2, "{wire:?}: {last:?}");
        }
    }
}

#[tokio::test]
async fn counters_that_begin_anew_are_no_load_that_falls() {
    let Some(server) = Running::prometheus(&data()).await else { return };
    let run = run(&server, "", Wire::Whole).await;
    // Until the minute after the load has fallen, and from then on.
    for (tick, record) in run.records.iter().enumerate() {
        let rate = record.metrics.as_ref().unwrap().value(SignalKind::RequestRate).unwrap();
        let tick = i64::try_from(tick).unwrap();
        match tick {
            tick if tick <= FALLS => assert!((rate - 400.0).abs() < 1.0, "tick {tick}: {rate}"),
            tick if tick < FALLS + 2 => {}
            // The reset is within the window: what came between two samples is lost, and nothing is negative or huge.
            30..=31 => assert!((20.0..=60.0).contains(&rate), "tick {tick}: {rate}"),
            _ => assert!((rate - 40.0).abs() < 1.0, "tick {tick}: {rate}"),
        }
    }
}
