//! The Prometheus source against a server made by hand: what may come instead of a number, and what is asked.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, unreachable_pub)]

mod decoder;
mod queries;
#[path = "../http/server.rs"]
mod server;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::http::{Auth, Endpoint, HttpClient, HttpConfig, Retry};
use scaling_core::source::PastSource;
use scaling_core::source::prometheus::{
    Backfill, Measure, PrometheusSource, QueryBudget, QueryFault, QuerySet, QueryTemplate, Unit, Verdict,
};
use scaling_core::{Absence, MetricsSource, Observation, Signal, SignalKind, SourceError, Target, conformance};
use server::{Reply, Seen, Server};

const RATE: SignalKind = SignalKind::RequestRate;
const CPU: SignalKind = SignalKind::CpuUtilization;
const ERRORS: SignalKind = SignalKind::ErrorRate;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

fn web() -> Target {
    Target::deployment("shop", "web")
}

/// A set of one query for each measure, told apart by the name of its metric.
fn set(measures: &[(Measure, &str)]) -> QuerySet {
    measures.iter().fold(QuerySet::empty(), |set, (measure, metric)| {
        let promql = format!(r#"{metric}{{namespace=~"{{namespace}}",workload=~"{{workload}}"}}"#);
        set.with(QueryTemplate::new(*measure, Unit::Own, promql).unwrap())
    })
}

fn small() -> QuerySet {
    set(&[
        (Measure::Signal(RATE), "load"),
        (Measure::Signal(CPU), "cpu"),
        (Measure::Signal(ERRORS), "errors"),
        (Measure::ReadyPods, "ready"),
    ])
}

fn source(server: &Server, set: QuerySet) -> PrometheusSource {
    let retry = Retry { attempts: 2, initial: Duration::ZERO, max: Duration::ZERO };
    let client = HttpClient::new(HttpConfig::default().retry(retry).seed(1)).unwrap();
    PrometheusSource::new(client, Endpoint::parse(&server.url()).unwrap(), set)
}

/// The fields of the form that came.
fn field(seen: &Seen, name: &str) -> Option<String> {
    let body = String::from_utf8(seen.body.clone()).unwrap();
    let pair = body.split('&').find_map(|pair| pair.split_once('=').filter(|(known, _)| *known == name))?;
    let mut bytes = Vec::new();
    let mut rest = pair.1.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let hex = [rest.next().unwrap(), rest.next().unwrap()];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
            }
            byte => bytes.push(byte),
        }
    }
    Some(String::from_utf8(bytes).unwrap())
}

fn time(seen: &Seen, name: &str) -> i64 {
    field(seen, name).unwrap().split('.').next().unwrap().parse::<i64>().unwrap() - 1_700_000_000
}

fn answered(kind: &str, result: &str, more: &str) -> Reply {
    Reply::ok(format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":[{result}]}}{more}}}"#))
}

fn series(workload: &str, second: i64, value: &str) -> String {
    let labels = format!(r#"{{"namespace":"shop","workload":"{workload}"}}"#);
    format!(r#"{{"metric":{labels},"value":[{},"{value}"]}}"#, 1_700_000_000 + second)
}

/// Answers each metric by a function of its name and the instant asked for; `None`: no series.
async fn serving(value: impl Fn(&str, i64) -> Option<String> + Send + Sync + 'static) -> Server {
    Server::start(move |seen, _| {
        let query = field(seen, "query").unwrap();
        let metric = query.split('{').next().unwrap();
        let second = time(seen, "time");
        let ours = if query.contains("\"web\"") || query.contains(".*") { value(metric, second) } else { None };
        answered("vector", &ours.map(|value| series("web", second, &value)).unwrap_or_default(), "")
    })
    .await
}

fn said(observation: &Observation, kind: SignalKind) -> Signal {
    observation.current.signal(kind)
}

#[tokio::test]
async fn it_keeps_the_promises_of_a_source() {
    let server = serving(|metric, second| {
        let value = if metric == "ready" { 3.0 } else { 50.0 + second as f64 / 1e6 };
        (second > -90_000).then(|| value.to_string())
    })
    .await;
    conformance::source(|| source(&server, small()), &web(), at(0)).await;
    let missing = [SignalKind::QueueDepth, SignalKind::ResponseTime];
    conformance::source::what_is_missing_is_absent(&|| source(&server, small()), &web(), at(0), &missing).await;
}

#[tokio::test]
async fn history_grows_tick_by_tick_and_an_earlier_instant_changes_nothing() {
    let server = serving(|_, second| Some((second + 100).to_string())).await;
    let source = source(&server, small());
    for second in [0, 15, 30] {
        source.observe(&web(), at(second)).await.unwrap();
    }
    let seen = source.observe(&web(), at(45)).await.unwrap();
    let rates: Vec<_> = seen.history.iter().map(|sample| sample.value(RATE)).collect();
    assert_eq!(rates, [Some(100.0), Some(115.0), Some(130.0)]);
    assert_eq!((seen.current.value(RATE), seen.current.timestamp, seen.now), (Some(145.0), at(45), at(45)));
    assert_eq!(seen.declared, Some(small().declared()));
    let earlier = source.observe(&web(), at(20)).await.unwrap();
    assert_eq!((earlier.history.len(), earlier.current.value(RATE)), (2, Some(120.0)));
    assert_eq!(source.observe(&web(), at(60)).await.unwrap().history.len(), 4);
}

#[tokio::test]
async fn the_history_is_appended_to_and_never_copied_once_a_tick_is_over() {
    let server = serving(|_, second| Some((second + 100).to_string())).await;
    let source = source(&server, small());
    source.observe(&web(), at(0)).await.unwrap();
    let before = Arc::as_ptr(&source.observe(&web(), at(15)).await.unwrap().history);
    // The observation of the tick before is gone: only the source holds the history now.
    let seen = source.observe(&web(), at(30)).await.unwrap();
    assert_eq!((Arc::as_ptr(&seen.history), seen.history.len()), (before, 2));
    // One that is still held is left as it is.
    let next = source.observe(&web(), at(45)).await.unwrap();
    assert_eq!((seen.history.len(), next.history.len()), (2, 3));
}

#[tokio::test]
async fn a_target_of_another_cluster_is_refused_before_anything_is_asked() {
    let server = serving(|_, _| Some("5".to_owned())).await;
    let [here, there] = ["eu-1", "eu-2"].map(|cluster| web().in_cluster(cluster));
    let undeclared = source(&server, small());
    for target in [&here, &there] {
        let error = undeclared.observe(target, at(0)).await.unwrap_err();
        assert!(matches!(error, SourceError::Backend { transient: false, .. }), "{error}");
        assert!(error.to_string().contains("of_cluster"), "{error}");
    }
    assert!(server.seen().is_empty());
    let declared = source(&server, small().of_cluster("eu-1"));
    let seen = declared.observe_all(&[there.clone(), here.clone(), web()], at(0)).await;
    let [Err(refused), Ok(of_here), Ok(of_none)] = &seen[..] else { panic!("{seen:?}") };
    assert!(refused.to_string().contains("eu-1") && refused.to_string().contains("eu-2"), "{refused}");
    assert_eq!((&*of_here.target, &*of_none.target), (&here, &web()));
    assert_eq!((said(of_here, RATE), said(of_none, RATE)), (Signal::Present(5.0), Signal::Present(5.0)));
    let asked = server.seen().len();
    let report = declared.backfill(std::slice::from_ref(&there), at(0), Backfill::default()).await;
    assert_eq!((&report.foreign[..], report.queries), (&[there.clone()][..], 0));
    let checks = declared.check(&there, at(0)).await;
    assert!(!checks.is_empty() && checks.iter().all(|check| !check.verdict.is_good()), "{checks:?}");
    assert_eq!(server.seen().len(), asked);
}

#[tokio::test]
async fn a_secret_that_a_successful_answer_repeats_is_not_passed_on() {
    let repeated = [
        r#"{"status":"error","errorType":"no hunter&2","error":"token hunter&2 is unknown"}"#,
        r#"{"status":"error","errorType":"bad_data","error":"token hunter\u00262 is unknown"}"#,
        r#"{"status":"success","data":{"resultType":"hunter&2","result":[]}}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["token hunter&2 expires"]}"#,
    ];
    for body in repeated {
        for status in [200, 422] {
            let server = Server::always(Reply::answer(status, &[], body)).await;
            let retry = Retry { attempts: 1, initial: Duration::ZERO, max: Duration::ZERO };
            let auth = Auth::bearer("hunter&2");
            let client = HttpClient::new(HttpConfig::default().retry(retry).auth(auth)).unwrap();
            let source = PrometheusSource::new(client, Endpoint::parse(&server.url()).unwrap(), small());
            let seen = source.observe(&web(), at(0)).await;
            let text = format!("{seen:?} {:?} {:?}", source.report(), source.check(&web(), at(0)).await);
            assert!(!source.report().failed.is_empty() && !text.contains("hunter"), "{text}");
        }
    }
}

#[tokio::test]
async fn what_is_no_number_is_absent_with_its_cause_and_never_0() {
    let nan = Signal::Absent(Absence::NotFinite);
    for (value, signal) in [
        ("NaN", nan),
        ("+Inf", nan),
        ("-Inf", nan),
        ("-1", Signal::Absent(Absence::OutOfRange)),
        ("1e300", Signal::Absent(Absence::OutOfRange)),
        ("0", Signal::Present(0.0)),
    ] {
        let server = serving(move |metric, _| Some(if metric == "load" { value } else { "1" }.to_owned())).await;
        let seen = source(&server, small()).observe(&web(), at(0)).await.unwrap();
        assert_eq!(said(&seen, RATE), signal, "{value}");
        assert_eq!(said(&seen, CPU), Signal::Present(1.0));
    }
    for value in ["NaN", "1.5", "-1", "1e30"] {
        let server = serving(move |metric, _| Some(if metric == "ready" { value } else { "1" }.to_owned())).await;
        let seen = source(&server, small()).observe(&web(), at(0)).await.unwrap();
        assert_eq!(seen.current.current_pod_count, None, "{value} pods");
    }
}

#[tokio::test]
async fn a_series_that_ends_is_stale_since_it_was_seen_and_one_that_never_was_is_not_measured() {
    let server = serving(|metric, second| match metric {
        "errors" => None,
        "cpu" if second > 60 => None,
        _ => Some("2".to_owned()),
    })
    .await;
    let source = source(&server, small());
    for second in [30, 60, 90] {
        source.observe(&web(), at(second)).await.unwrap();
    }
    let seen = source.observe(&web(), at(150)).await.unwrap();
    assert_eq!(said(&seen, CPU), Signal::Absent(Absence::Stale { age_s: 90 }));
    assert_eq!(said(&seen, ERRORS), Signal::NOT_MEASURED);
    let absent: Vec<_> = seen.absences().map(|(kind, _)| kind).collect();
    assert_eq!(absent, [CPU, ERRORS], "both are declared");
}

#[tokio::test]
async fn a_sample_that_is_older_than_fresh_or_of_the_future_does_not_speak_of_now() {
    for (second, signal) in [
        (-119, Signal::Present(5.0)),
        (-121, Signal::Absent(Absence::Stale { age_s: 121 })),
        (10, Signal::NOT_MEASURED),
    ] {
        let server = Server::start(move |seen, _| {
            let is_load = field(seen, "query").unwrap().starts_with("load");
            answered("vector", &series("web", if is_load { second } else { 0 }, "5"), "")
        });
        let server = server.await;
        let seen = source(&server, small()).observe(&web(), at(0)).await.unwrap();
        assert_eq!(said(&seen, RATE), signal);
    }
}

#[tokio::test]
async fn a_ratio_over_nothing_is_nothing_to_measure_while_the_rate_is_0() {
    let server = serving(|metric, _| {
        Some(
            match metric {
                "load" => "0",
                "errors" => "NaN",
                _ => "1",
            }
            .to_owned(),
        )
    })
    .await;
    let seen = source(&server, small()).observe(&web(), at(0)).await.unwrap();
    assert_eq!(seen.absences().count(), 0);
    assert_eq!(seen.current.value(ERRORS), None);
}

#[tokio::test]
async fn two_series_for_one_workload_are_no_value_and_are_told() {
    let server = Server::start(|seen, _| {
        let is_load = field(seen, "query").unwrap().starts_with("load");
        let one = series("web", 0, "5");
        answered("vector", &if is_load { format!("{one},{one}") } else { one }, "")
    });
    let server = server.await;
    let source = source(&server, small());
    let seen = source.observe(&web(), at(0)).await.unwrap();
    assert_eq!((said(&seen, RATE), said(&seen, CPU)), (Signal::NOT_MEASURED, Signal::Present(5.0)));
    assert_eq!(source.report().ambiguous, [(web(), Measure::Signal(RATE), 2)]);
}

#[tokio::test]
async fn a_partial_answer_vouches_for_nobody() {
    for more in [r#","isPartial":true"#, r#","warnings":["No StoreAPIs matched: store 10.0.0.1 is down"]"#] {
        let server = Server::start(move |seen, _| {
            let more = if field(seen, "query").unwrap().starts_with("load") { more } else { "" };
            answered("vector", &series("web", 0, "5"), more)
        });
        let server = server.await;
        let source = source(&server, small());
        let seen = source.observe(&web(), at(0)).await.unwrap();
        assert_eq!(said(&seen, RATE), Signal::Absent(Absence::Partial { covered_percent: 0 }), "{more}");
        assert!(matches!(&source.report().failed[..], [error] if matches!(error.fault, QueryFault::Partial(_))));
    }
    // The query language warns of the query, not of the data.
    let more = r#","warnings":["PromQL warning: quantile value should be between 0 and 1"],"infos":["PromQL info: x"]"#;
    let server = Server::start(move |_, _| answered("vector", &series("web", 0, "5"), more)).await;
    assert_eq!(said(&source(&server, small()).observe(&web(), at(0)).await.unwrap(), RATE), Signal::Present(5.0));
}

#[tokio::test]
async fn a_series_that_says_that_not_all_answered_is_partial() {
    for (value, covered_percent) in [("66.67", 66), ("99.99", 99), ("0", 0), ("NaN", 0), ("-1", 0), ("+Inf", 100)] {
        let whole = series("web", 0, "5");
        let labels = r#""workload":"web","answered":"partly""#;
        let part = series("web", 0, value).replace(r#""workload":"web""#, labels);
        let partial = Signal::Absent(Absence::Partial { covered_percent });
        // In any order, and alone.
        for answer in [format!("{whole},{part}"), format!("{part},{whole}"), part] {
            let server = Server::always(answered("vector", &answer, "")).await;
            let source = source(&server, small());
            let seen = source.observe(&web(), at(0)).await.unwrap();
            assert_eq!((said(&seen, RATE), seen.current.current_pod_count), (partial, None), "{answer}");
            assert_eq!(source.report().ambiguous, []);
        }
    }
}

#[tokio::test]
async fn one_query_that_fails_makes_its_signals_absent_and_no_others() {
    let refused = r#"{"status":"error","errorType":"execution","error":"many-to-many matching not allowed"}"#;
    for (reply, transient) in [
        (Reply::answer(422, &[], refused), false),
        (Reply::answer(503, &[], ""), true),
        (Reply::Raw(Vec::new()), true),
        (Reply::ok("<html>sign in</html>"), false),
        (Reply::ok(r#"{"status":"success","data":{"resultType":"vector","resu"#), true),
        (answered("matrix", "", ""), false),
        (Reply::ok(r#"{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}"#), false),
        (answered("vector", r#"{"metric":{},"histogram":[1,{"count":"1"}]}"#, ""), false),
    ] {
        let failing = reply.clone();
        let server = Server::start(move |seen, _| {
            let is_cpu = field(seen, "query").unwrap().starts_with("cpu");
            if is_cpu { failing.clone() } else { answered("vector", &series("web", 0, "5"), "") }
        });
        let server = server.await;
        let source = source(&server, small());
        let seen = source.observe(&web(), at(0)).await.unwrap();
        assert_eq!((said(&seen, CPU), said(&seen, RATE)), (Signal::NOT_MEASURED, Signal::Present(5.0)), "{reply:?}");
        let [error] = &source.report().failed[..] else { panic!("{reply:?}") };
        assert_eq!((error.measure, error.fault.is_transient()), (Measure::Signal(CPU), transient), "{error}");
        assert!(error.to_string().starts_with("query for CPU utilization: "), "{error}");

        // All queries fail: nothing is known of the workload.
        let server = Server::always(reply.clone()).await;
        let error = self::source(&server, small()).observe(&web(), at(0)).await.unwrap_err();
        assert!(matches!(error, SourceError::Backend { transient: told, .. } if told == transient), "{error:?}");
    }
    let server = Server::always(Reply::answer(422, &[], refused)).await;
    let error = source(&server, small()).observe(&web(), at(0)).await.unwrap_err();
    assert!(error.to_string().ends_with("the server answers execution: many-to-many matching not allowed"), "{error}");
}

#[tokio::test]
async fn a_server_that_knows_nothing_of_a_workload_is_no_zero() {
    let server = serving(|_, _| None).await;
    let source = source(&server, small());
    let error = source.observe(&web(), at(0)).await.unwrap_err();
    assert!(matches!(error, SourceError::NoData { .. }) && error.is_transient(), "{error}");
    assert!(!source.forget(&web()), "nothing is kept of it");
}

#[tokio::test]
async fn a_fleet_is_asked_for_in_few_queries_and_each_target_gets_its_own_answer() {
    let targets: Vec<_> = (0..1000)
        .map(|number| {
            Target::deployment(format!("team-{}", number % 50), format!("service-{number}-with-a-longer-name"))
        })
        .collect();
    let asked = Arc::new(Mutex::new(BTreeSet::new()));
    let (fleet, log) = (targets.clone(), asked.clone());
    let server = Server::start(move |seen, _| {
        let query = field(seen, "query").unwrap();
        assert!(query.len() <= 15_000 && time(seen, "time") == 0);
        log.lock().unwrap().insert(query.clone());
        let (namespace, workload) = if query.contains("istio") {
            ("destination_workload_namespace", "destination_workload")
        } else {
            ("namespace", "workload")
        };
        let of = |(number, target): (usize, &Target)| {
            let (ns, name) = (&target.namespace, &target.name);
            format!(
                r#"{{"metric":{{"{namespace}":"{ns}","{workload}":"{name}"}},"value":[1700000000,"{}"]}}"#,
                number % 97
            )
        };
        let mut all: Vec<_> = fleet.iter().enumerate().map(of).collect();
        all.push(series("stranger", 0, "1"));
        answered("vector", &all.join(","), "")
    });
    let server = server.await;
    let source = source(&server, QuerySet::kubernetes().and(QuerySet::istio()));
    let seen = source.observe_all(&targets, at(0)).await;
    assert!(source.report().queries <= 20, "{} queries", source.report().queries);
    assert_eq!(asked.lock().unwrap().len(), server.seen().len());
    for (number, (target, seen)) in targets.iter().zip(seen).enumerate() {
        let seen = seen.unwrap();
        assert_eq!((&*seen.target, seen.current.value(RATE)), (target, Some((number % 97) as f64)));
        assert_eq!(seen.current.current_pod_count, u32::try_from(number % 97).ok());
    }
}

#[tokio::test]
async fn a_fleet_over_the_budget_is_refused_with_the_number() {
    let server = Server::always(Reply::ok("")).await;
    let budget = QueryBudget { per_tick: 3, ..QueryBudget::default() };
    let source = source(&server, small()).with_budget(budget);
    let error = source.observe(&web(), at(0)).await.unwrap_err();
    assert!(error.to_string().ends_with("4 queries a tick are needed, 3 allowed") && !error.is_transient(), "{error}");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_tick_may_take_for_ever() {
    let server = Server::start(|_, _| answered("vector", &series("web", 0, "5"), "")).await;
    let budget = QueryBudget { tick: std::time::Duration::MAX, ..QueryBudget::default() };
    let seen = source(&server, small()).with_budget(budget).observe(&web(), at(0)).await.unwrap();
    assert_eq!(said(&seen, RATE), Signal::Present(5.0));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_costs_a_tick_its_time_and_no_more() {
    let server = Server::start(|seen, _| {
        let is_ready = field(seen, "query").unwrap().starts_with("ready");
        if is_ready { Reply::Hang } else { answered("vector", &series("web", 0, "5"), "") }
    });
    let (server, began) = (server.await, tokio::time::Instant::now());
    let source = source(&server, small());
    let seen = source.observe(&web(), at(0)).await.unwrap();
    assert_eq!((began.elapsed().as_secs(), seen.current.current_pod_count), (12, None));
    assert_eq!(said(&seen, RATE), Signal::Present(5.0));
    assert!(matches!(&source.report().failed[..], [error] if matches!(error.fault, QueryFault::TickOver { .. })));

    let (server, began) = (Server::always(Reply::Hang).await, tokio::time::Instant::now());
    let budget = QueryBudget { concurrent: 1, ..QueryBudget::default() };
    let error = self::source(&server, small()).with_budget(budget).observe(&web(), at(0)).await.unwrap_err();
    assert!(
        error.is_transient() && error.to_string().ends_with("no answer within the 12 s that a tick may take"),
        "{error}"
    );
    assert_eq!(began.elapsed().as_secs(), 12);
}

#[tokio::test]
async fn a_clock_that_is_two_minutes_off_is_told() {
    for (ahead, told) in [(120, true), (-120, true), (20, false)] {
        let server = Server::start(move |_, _| {
            let date = (Utc::from_system(ahead)).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
            let body = format!(
                r#"{{"status":"success","data":{{"resultType":"vector","result":[{}]}}}}"#,
                series("web", 0, "1")
            );
            Reply::answer(200, &[("date", &date)], body)
        });
        let server = server.await;
        let source = source(&server, small());
        source.observe(&web(), at(0)).await.unwrap();
        let skew = source.report().skew.map(|skew| (skew.num_seconds() - ahead).abs() < 30);
        assert_eq!(skew, told.then_some(true), "{ahead} s");
    }
}

/// The clock of the machine, some seconds ahead.
trait FromSystem {
    fn from_system(ahead: i64) -> DateTime<Utc>;
}

impl FromSystem for Utc {
    fn from_system(ahead: i64) -> DateTime<Utc> {
        DateTime::<Utc>::from(std::time::SystemTime::now()) + TimeDelta::seconds(ahead)
    }
}

/// Answers a range query with a value at each step.
fn stepped(seen: &Seen, value: impl Fn(i64) -> Option<String>) -> String {
    let (start, end, step) =
        (time(seen, "start"), time(seen, "end"), field(seen, "step").unwrap().parse::<i64>().unwrap());
    let seconds = (start..=end).step_by(usize::try_from(step).unwrap());
    let written = |second| value(second).map(|value| format!(r#"[{},"{value}"]"#, 1_700_000_000 + second));
    let values: Vec<_> = seconds.filter_map(written).collect();
    format!(r#"{{"metric":{{"namespace":"shop","workload":"web"}},"values":[{}]}}"#, values.join(","))
}

#[tokio::test]
async fn a_backfill_asks_in_aligned_pieces_and_the_ticks_go_on_from_it() {
    let server = Server::start(|seen, _| {
        if !seen.line.contains("query_range") {
            return answered("vector", &series("web", time(seen, "time"), "7"), "");
        }
        let is_errors = field(seen, "query").unwrap().starts_with("errors");
        let value =
            |second: i64| Some(if is_errors { "NaN".to_owned() } else { (second.rem_euclid(86_400)).to_string() });
        answered("matrix", &stepped(seen, value), "")
    });
    let server = server.await;
    let source = source(&server, small());
    let gentle = Backfill { pause: Duration::ZERO, ..Backfill::default() };
    let report = source.backfill(&[web()], at(20), gentle).await;
    assert_eq!((report.samples, report.failed.len(), report.empty.len(), report.stopped), (20_160, 0, 0, false));
    let asked = server.seen();
    assert_eq!(asked.len(), report.queries);
    for seen in &asked {
        let (start, end) = (time(seen, "start"), time(seen, "end"));
        assert!((end - start) / 60 < 11_000, "{start} {end}");
        assert_eq!([start, end].map(|second| (second + 1_700_000_000) % 60), [0, 0], "aligned");
        assert!(end < 20);
    }
    let seen = source.observe(&web(), at(20)).await.unwrap();
    assert_eq!((seen.history.len(), seen.history.newest().unwrap() < at(20)), (20_160, true));
    assert_eq!(seen.history.value(ERRORS, 20_000), None, "NaN stays a gap");
    assert_eq!(said(&seen, RATE), Signal::Present(7.0));
    // Fetched late, the past is put before what came since.
    let other = self::source(&server, small());
    other.observe(&web(), at(20)).await.unwrap();
    other.backfill(&[web()], at(40), gentle).await;
    let joined = other.observe(&web(), at(40)).await.unwrap();
    assert_eq!(joined.history.newest(), Some(at(20)));
    assert!(joined.history.len() > 20_000);
}

#[tokio::test]
async fn a_backfill_stops_when_query_after_query_fails_and_leaves_gaps_for_single_ones() {
    let server = Server::always(Reply::answer(404, &[], "")).await;
    let report = source(&server, small()).backfill(&[web()], at(0), Backfill::default()).await;
    assert_eq!((report.queries, report.failed.len(), report.stopped), (3, 3, true));
    assert_eq!(report.empty, [web()]);
    let server = Server::start(|seen, _| {
        if field(seen, "query").unwrap().starts_with("cpu") {
            Reply::answer(404, &[], "")
        } else {
            answered("matrix", &stepped(seen, |_| Some("1".into())), "")
        }
    });
    let server = server.await;
    let hour = Backfill { span: Duration::from_secs(3600), pause: Duration::ZERO, ..Backfill::default() };
    let report = source(&server, small()).backfill(&[web()], at(0), hour).await;
    assert_eq!((report.samples, report.failed.len(), report.stopped), (60, 1, false));
}

#[tokio::test]
async fn a_past_is_whole_or_none_and_the_present_knows_nothing_of_it() {
    let server = Server::start(|seen, _| answered("matrix", &stepped(seen, |_| Some("1".into())), "")).await;
    let source = source(&server, set(&[(Measure::Signal(RATE), "load"), (Measure::ReadyPods, "ready")]));
    let past = source.past(&web(), at(0) - TimeDelta::hours(1), at(0)).await.unwrap();
    assert_eq!(past.len(), 60);
    assert!(past.iter().all(|sample| sample.timestamp >= at(-3600) && sample.timestamp < at(0)));
    assert!(past.windows(2).all(|pair| pair[0].timestamp < pair[1].timestamp));
    assert_eq!(source.past(&web(), at(-3600), at(0)).await.unwrap(), past, "the same whoever asks");
    assert_eq!(source.observe(&web(), at(60)).await.map_or(0, |seen| seen.history.len()), 0);
    // A piece that is missing is no gap in the load.
    let server = Server::start(|seen, _| {
        let is_load = field(seen, "query").unwrap().starts_with("load");
        if is_load { answered("matrix", &stepped(seen, |_| Some("1".into())), "") } else { Reply::answer(404, &[], "") }
    });
    let torn = self::source(&server.await, small()).past(&web(), at(-3600), at(0)).await;
    assert!(matches!(&torn, Err(error) if error.is_transient() && error.to_string().contains("missing")), "{torn:?}");
    let server = Server::start(|_, _| answered("matrix", "", "")).await;
    let none = self::source(&server, small()).past(&web(), at(-3600), at(0)).await;
    assert!(matches!(none, Err(SourceError::NoData { .. })));
}

#[tokio::test]
async fn unordered_and_repeated_samples_of_a_range_are_counted_and_sorted() {
    let server = Server::start(|seen, _| {
        let start = 1_700_000_000 + time(seen, "start");
        let values =
            [(60, 2), (0, 1), (120, 3), (120, 4)].map(|(second, value)| format!(r#"[{},"{value}"]"#, start + second));
        answered(
            "matrix",
            &format!(r#"{{"metric":{{"namespace":"shop","workload":"web"}},"values":[{}]}}"#, values.join(",")),
            "",
        )
    });
    let server = server.await;
    let source = source(&server, set(&[(Measure::Signal(RATE), "load")]));
    let hour = Backfill { span: Duration::from_secs(3600), pause: Duration::ZERO, ..Backfill::default() };
    let report = source.backfill(&[web()], at(0), hour).await;
    assert_eq!((report.reordered, report.duplicates, report.samples), (1, 1, 3));
}

#[tokio::test]
async fn a_check_says_of_each_query_what_is_wrong_with_it() {
    async fn verdict(promql: &str, measure: Measure, server: &Server) -> Verdict {
        let template = QueryTemplate::new(measure, Unit::Own, promql).unwrap();
        let checks = source(server, QuerySet::empty().with(template)).check(&web(), at(0)).await;
        assert!(checks[0].promql.contains("shop"), "{}", checks[0]);
        assert_eq!(checks.len(), 1);
        checks[0].verdict.clone()
    }
    let load = r#"load{namespace=~"{namespace}",workload=~"{workload}"}"#;
    let hour =
        |value: fn(i64) -> Option<String>| Server::start(move |seen, _| answered("matrix", &stepped(seen, value), ""));
    let rate = Measure::Signal(RATE);

    let steady = hour(|_| Some("50".into())).await;
    assert_eq!(verdict(load, rate, &steady).await, Verdict::Works { value: 50.0 });
    let counter = load.replace("load{", "http_requests_total{");
    assert_eq!(verdict(&counter, rate, &steady).await, Verdict::Counter);
    assert_eq!(verdict(&format!("rate({counter}[1m])"), rate, &steady).await, Verdict::Works { value: 50.0 });
    let rising = hour(|second| Some((second + 4000).to_string())).await;
    assert_eq!(verdict(load, rate, &rising).await, Verdict::Counter);

    let ratio = hour(|_| Some("0.63".into())).await;
    let looks_like = Unit::Ratio;
    assert_eq!(verdict(load, Measure::Signal(CPU), &ratio).await, Verdict::WrongUnit { largest: 0.63, looks_like });
    assert_eq!(verdict(load, Measure::Signal(ERRORS), &ratio).await, Verdict::Works { value: 0.63 });
    let (seconds, looks_like) = (hour(|_| Some("0.085".into())).await, Unit::Seconds);
    let time = Measure::Signal(SignalKind::ResponseTime);
    assert_eq!(verdict(load, time, &seconds).await, Verdict::WrongUnit { largest: 0.085, looks_like });

    let ended = hour(|second| (second <= -1200).then(|| "5".into())).await;
    assert_eq!(verdict(load, rate, &ended).await, Verdict::Stale { age: TimeDelta::minutes(20) });
    let nan = hour(|_| Some("NaN".into())).await;
    for (kind, expected) in [
        (ERRORS, Verdict::NothingToMeasure),
        (SignalKind::ResponseTime, Verdict::NothingToMeasure),
        (RATE, Verdict::NotFinite),
        (CPU, Verdict::NotFinite),
    ] {
        assert_eq!(verdict(load, Measure::Signal(kind), &nan).await, expected, "{kind}");
    }
    assert_eq!(verdict(load, Measure::ReadyPods, &nan).await, Verdict::NotFinite);
    let negative = hour(|_| Some("-3".into())).await;
    assert_eq!(verdict(load, rate, &negative).await, Verdict::OutOfRange { value: -3.0 });

    let empty =
        Server::start(|seen, _| answered(if seen.line.contains("range") { "matrix" } else { "vector" }, "", "")).await;
    assert_eq!(verdict(load, rate, &empty).await, Verdict::Empty);
    let others = Server::start(|seen, _| {
        let is_any = field(seen, "query").unwrap().contains(r#"workload=~".*""#);
        if is_any { answered("vector", &series("web-v2", 0, "1"), "") } else { answered("matrix", "", "") }
    });
    let found = vec![r#"{namespace="shop", workload="web-v2"}"#.to_owned()];
    assert_eq!(verdict(load, rate, &others.await).await, Verdict::LabelsDoNotMatch { found });
    let refused = r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
    let broken = Server::always(Reply::answer(400, &[], refused)).await;
    let failed = verdict(load, rate, &broken).await;
    assert!(
        matches!(&failed, Verdict::Failed(fault) if fault.to_string().contains("bad_data: parse error")),
        "{failed}"
    );
}
