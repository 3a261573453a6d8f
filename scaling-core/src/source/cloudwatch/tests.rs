//! Over a scripted service: requests and answers as values, without a network.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::answer::{self, Answer, Page, Status};
use super::client::{Api, ApiError, CloudWatchBackend, Request};
use super::query::{self, Ask, Batch};
use super::series::{InvalidSeries, Metric, MetricStat, Series};
use super::{CloudWatch, presets};
use crate::conformance;
use crate::metrics::{Absence, Signal, SignalKind};
use crate::source::fleet::{Backend, Fault, Finding, FleetConfig, Line, Term, Window, Workload};
use crate::source::mapping::{Mapping, SignalQuery, Statistic, Unit};
use crate::{MetricsSource, SourceError, Target};

const DEADLINE: Duration = Duration::from_secs(10);

/// 14:14 and so many minutes.
fn at(minute: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_699_971_240, 0).unwrap() + TimeDelta::minutes(minute)
}

fn target() -> Target {
    Target::deployment("shop", "checkout")
}

/// Read a minute after it ended, so that little time passes in a test.
fn prompt() -> FleetConfig {
    FleetConfig::default().with_settle(TimeDelta::minutes(1))
}

/// Values by metric name and minute.
#[derive(Clone, Debug, Default)]
struct Script {
    series: BTreeMap<&'static str, Vec<(i64, f64)>>,
    status: BTreeMap<&'static str, Status>,
    /// Data points of a page.
    page: usize,
    error: Option<ApiError>,
    silent: bool,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// Number of queries, and the window.
type Asked = (usize, DateTime<Utc>, DateTime<Utc>);

impl Script {
    fn new<const N: usize>(series: [(&'static str, Vec<(i64, f64)>); N]) -> Self {
        Self { series: series.into(), page: 100_800, ..Self::default() }
    }

    /// A load balancer and a cluster of three pods over an hour.
    fn hour() -> Self {
        let minutes = |value: f64| (0..60).map(|minute| (minute, value)).collect::<Vec<_>>();
        Self::new([
            ("pod_cpu_utilization", minutes(6.0)),
            ("pod_cpu_reserved_capacity", minutes(12.0)),
            ("pod_memory_utilization", minutes(4.0)),
            ("pod_memory_reserved_capacity", minutes(5.0)),
            ("service_number_of_running_pods", minutes(3.0)),
            ("RequestCount", minutes(1200.0)),
            ("TargetResponseTime", minutes(0.25)),
            ("HTTPCode_Target_5XX_Count", vec![(57, 12.0)]),
        ])
    }

    fn with(mut self, name: &'static str, points: &[(i64, f64)]) -> Self {
        self.series.insert(name, points.to_vec());
        self
    }

    fn source(&self) -> CloudWatch {
        CloudWatch::new(self.backend(), [workload(target())], prompt()).unwrap()
    }

    fn backend(&self) -> CloudWatchBackend {
        CloudWatchBackend::over(self.clone(), DEADLINE)
    }

    async fn seen(&self, minute: i64) -> Result<crate::ScalingMetrics, SourceError> {
        self.source().observe(&target(), at(minute)).await.map(|seen| seen.current)
    }
}

fn workload(target: Target) -> Workload<Series> {
    let eks = presets::Eks::new("prod", &target.namespace, &target.name).queries();
    let alb = presets::Alb::new("app/shop/1", "targetgroup/checkout/2").response_time("p95".parse().unwrap()).queries();
    Workload::new(target, Mapping::new([eks, alb].concat()).unwrap())
}

#[async_trait]
impl Api for Script {
    async fn page(&self, request: Request<'_>) -> Result<Page, ApiError> {
        let Window { from, to, .. } = request.window;
        self.asked.lock().unwrap().push((request.queries.len(), from, to));
        if self.silent {
            std::future::pending::<()>().await;
        }
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        assert_eq!(request.period, 60);
        let skip: usize = request.token.map_or(0, |token| token.parse().unwrap());
        let (mut results, mut passed, mut more) = (Vec::new(), 0, false);
        for query in request.queries.iter().filter(|query| query.returned) {
            let Ask::Stat(stat) = &query.ask else { panic!("{query:?}") };
            let name = stat.metric.name.as_str();
            let points = self.series.get(name).into_iter().flatten();
            let points: Vec<_> = points.filter(|(minute, _)| from <= at(*minute) && at(*minute) < to).collect();
            let page: Vec<_> = points
                .iter()
                .filter(|_| {
                    passed += 1;
                    passed > skip && passed <= skip + self.page
                })
                .collect();
            more |= passed > skip + self.page;
            let held_back = passed > skip + self.page && !points.is_empty();
            let status = if held_back { Status::Partial } else { Status::Complete };
            results.push(Answer {
                id: query.id.clone(),
                status: self.status.get(name).cloned().unwrap_or(status),
                starts: page.iter().map(|(minute, _)| Some(at(*minute))).collect(),
                values: page.iter().map(|(_, value)| *value).collect(),
                message: None,
            });
        }
        Ok(Page { results, next: more.then(|| (skip + self.page).to_string()) })
    }
}

#[tokio::test]
async fn cloudwatch_keeps_the_promises() {
    let script = Script::hour();
    conformance::source(|| script.source(), &target(), at(60)).await;
    // Also when an answer has many pages.
    let paged = Script { page: 7, ..Script::hour() };
    conformance::source(|| paged.source(), &target(), at(60)).await;
}

#[tokio::test]
async fn presets_deliver_the_units_of_the_signals() {
    let seen = Script::hour().seen(59).await.unwrap();
    assert_eq!((seen.timestamp, seen.current_pod_count), (at(58), Some(3)));
    assert_eq!(seen.response_time_quantile, Some(0.95));
    for (kind, value) in [
        (SignalKind::CpuUtilization, 50.0),
        (SignalKind::MemoryUtilization, 80.0),
        (SignalKind::RequestRate, 20.0),
        (SignalKind::ResponseTime, 250.0),
        (SignalKind::ErrorRate, 1.0),
    ] {
        assert!((seen.value(kind).unwrap() - value).abs() < 1e-9, "{kind} {:?}", seen.signal(kind));
    }
    let tasks = Mapping::new(presets::Ecs::new("prod", "checkout").queries()).unwrap();
    assert_eq!(tasks.declared().iter().count(), 2);
}

#[tokio::test]
async fn a_count_that_is_left_out_is_0_only_beside_requests_in_a_whole_answer() {
    let errors = |seen: crate::ScalingMetrics| seen.signal(SignalKind::ErrorRate);
    assert_eq!(errors(Script::hour().seen(60).await.unwrap()), Signal::Present(0.0));
    let mut partial = Script::hour();
    partial.status.insert("HTTPCode_Target_5XX_Count", Status::Partial);
    assert!(matches!(errors(partial.seen(60).await.unwrap()), Signal::Absent(Absence::Partial { .. })));
    let mut forbidden = Script::hour();
    forbidden.status.insert("HTTPCode_Target_5XX_Count", Status::Forbidden);
    assert_eq!(errors(forbidden.seen(60).await.unwrap()), Signal::NOT_MEASURED);
    let idle = Script::hour().with("RequestCount", &[]);
    let seen = idle.seen(60).await.unwrap();
    assert_eq!(seen.value(SignalKind::RequestRate), None, "a silent load balancer is absent, not 0");
    // Minute 57 has a count, and nothing to take a share of.
    assert_eq!(errors(seen), Signal::NOT_MEASURED);
}

#[tokio::test]
async fn what_cannot_be_used_is_told_apart_and_never_0() {
    let cpu = |points: &[(i64, f64)]| Script::hour().with("pod_cpu_utilization", points);
    let signal = async |script: Script| script.seen(60).await.unwrap().signal(SignalKind::CpuUtilization);
    assert_eq!(signal(cpu(&[])).await, Signal::NOT_MEASURED);
    assert_eq!(signal(cpu(&[(58, f64::NAN)])).await, Signal::Absent(Absence::NotFinite));
    assert_eq!(signal(cpu(&[(58, f64::INFINITY)])).await, Signal::Absent(Absence::NotFinite));
    assert_eq!(signal(cpu(&[(58, -6.0)])).await, Signal::Absent(Absence::OutOfRange));
    assert_eq!(signal(cpu(&[(55, 6.0)])).await, Signal::Absent(Absence::Stale { age_s: 180 }));
    assert_eq!(signal(cpu(&[(58, 6.0), (57, 9.0)])).await, Signal::Present(50.0), "unsorted");
    assert_eq!(signal(cpu(&[(58, 6.0), (58, 6.0)])).await, Signal::Present(50.0), "twice the same");
    assert_eq!(signal(cpu(&[(58, 6.0), (58, 9.0)])).await, Signal::Absent(Absence::OutOfRange), "two numbers for one");
    assert_eq!(signal(cpu(&[(59, 90.0), (58, 6.0)])).await, Signal::Present(50.0), "a period that has not ended");
    assert_eq!(signal(cpu(&[(58, 0.0)])).await, Signal::Present(0.0), "a measured 0 is a 0");
    for status in [Status::InternalError, Status::Forbidden, Status::Other(None), Status::Other(Some("New".into()))] {
        let mut script = Script::hour();
        script.status.insert("pod_cpu_utilization", status.clone());
        assert_eq!(signal(script).await, Signal::NOT_MEASURED, "{status:?}");
    }
    let unreserved = Script::hour().with("pod_cpu_reserved_capacity", &[(58, 0.0)]);
    assert_eq!(signal(unreserved).await, Signal::NOT_MEASURED, "percent of no request");
}

#[tokio::test]
async fn an_error_of_the_service_names_query_and_cause_and_whether_to_try_again() {
    let denied = ApiError::lasting("AccessDenied (status 403): not authorized");
    let error = Script { error: Some(denied), ..Script::hour() }.seen(60).await.unwrap_err();
    assert!(!error.is_transient());
    let text = error.to_string();
    assert!(
        text.contains("shop/Deployment/checkout") && text.contains("GetMetricData") && text.contains("AccessDenied")
    );
    let throttled = ApiError::passing("Throttling (status 400)");
    assert!(Script { error: Some(throttled), ..Script::hour() }.seen(60).await.unwrap_err().is_transient());
    let nothing = Script::new([]).seen(60).await.unwrap_err();
    assert!(matches!(nothing, SourceError::NoData { .. }), "an empty answer is no failure: {nothing}");
}

#[tokio::test]
async fn a_minute_is_given_three_to_be_complete_unless_told_otherwise() {
    let source = CloudWatch::new(Script::hour().backend(), [workload(target())], FleetConfig::default()).unwrap();
    assert_eq!(source.observe(&target(), at(50)).await.unwrap().current.timestamp, at(47));
    assert_eq!(super::config(), FleetConfig::default().with_settle(TimeDelta::minutes(3)));
}

#[tokio::test(start_paused = true)]
async fn one_deadline_holds_for_all_requests_of_a_tick() {
    let started = tokio::time::Instant::now();
    let silent = Script { silent: true, ..Script::hour() };
    let targets: Vec<_> = (0..300).map(|n| Target::deployment("shop", format!("w{n}"))).collect();
    let workloads = targets.iter().cloned().map(workload);
    let source = CloudWatch::new(silent.backend(), workloads, prompt()).unwrap();
    let seen = source.observe_all(&targets, at(60)).await;
    assert!(seen.iter().all(|seen| seen.as_ref().is_err_and(SourceError::is_transient)));
    assert!(seen[0].as_ref().unwrap_err().to_string().contains("no answer within 10 s"));
    assert_eq!(started.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn a_thousand_workloads_take_at_most_twenty_requests() {
    let script = Script::hour();
    let targets: Vec<_> = (0..1000).map(|n| Target::deployment("shop", format!("w{n}"))).collect();
    let source = CloudWatch::new(script.backend(), targets.iter().cloned().map(workload), prompt()).unwrap();
    let seen = source.observe_all(&targets, at(60)).await;
    assert!(seen.iter().all(|seen| seen.as_ref().unwrap().current.value(SignalKind::RequestRate) == Some(20.0)));
    let asked = script.asked.lock().unwrap().clone();
    assert!(asked.len() <= 20 && asked.iter().all(|(queries, ..)| *queries <= query::MOST_QUERIES), "{asked:?}");
}

#[tokio::test]
async fn a_backfill_goes_in_days_and_no_further_than_minutes_are_kept() {
    let script = Script::hour();
    let source = script.source();
    source.backfill(at(60), TimeDelta::days(14)).await.unwrap();
    let seen = source.observe(&target(), at(60)).await.unwrap();
    assert_eq!((seen.history.len(), seen.history.oldest()), (58, Some(at(1))));
    let asked = std::mem::take(&mut *script.asked.lock().unwrap());
    assert_eq!(asked.len(), 14, "a day at a time, and the tick finds them there");
    assert!(asked.iter().all(|(_, from, to)| *to - *from <= TimeDelta::days(1)));
    assert!(asked.windows(2).take(12).all(|pair| pair[0].2 == pair[1].1));

    let longer = prompt().with_limit(40_000);
    let source = CloudWatch::new(script.backend(), [workload(target())], longer).unwrap();
    source.backfill(at(60), TimeDelta::days(20)).await.unwrap();
    let oldest = script.asked.lock().unwrap().iter().map(|(_, from, _)| *from).min().unwrap();
    assert!(oldest >= at(60) - TimeDelta::days(15) && oldest <= at(62) - TimeDelta::days(15), "{oldest}");
}

#[tokio::test]
async fn a_check_says_what_works_and_what_does_not_with_the_query_to_paste() {
    let mut script = Script::hour()
        .with("TargetResponseTime", &[])
        .with("service_number_of_running_pods", &[(50, 3.0), (51, 3.0), (52, 3.0), (53, 3.0)])
        .with("pod_memory_utilization", &[(58, f64::NAN)]);
    script.status.insert("RequestCount", Status::Forbidden);
    let checked = script.source().check(at(60)).await;
    let find = |field: &str| checked.iter().find(|checked| checked.measure.field() == field).unwrap();
    assert!(find("cpu_utilization_percent").finding.works());
    assert_eq!(find("response_time_ms").finding, Finding::Empty);
    assert_eq!(find("memory_utilization_percent").finding, Finding::NotFinite);
    assert_eq!(find("current_pod_count").finding, Finding::Stale { age: TimeDelta::minutes(5) });
    let rate = find("request_rate_per_second");
    assert!(matches!(&rate.finding, Finding::Failed { cause } if cause.contains("forbidden")), "{rate}");
    assert_eq!(
        rate.query,
        r#"["AWS/ApplicationELB","RequestCount","LoadBalancer","app/shop/1","TargetGroup","targetgroup/checkout/2",{"stat":"Sum"}]"#
    );

    // A ratio that is stated as percent.
    let cpu = Metric::new("Own", "cpu").by(Statistic::Average);
    let query =
        SignalQuery::new(SignalKind::CpuUtilization, Term::One(Series::Stat(cpu)), Unit::Percent, Statistic::Average);
    let workload = Workload::new(target(), Mapping::new([query]).unwrap());
    let ratio = Script::new([("cpu", (50..60).map(|minute| (minute, 0.4)).collect())]);
    let source = CloudWatch::new(ratio.backend(), [workload], prompt()).unwrap();
    assert!(matches!(source.check(at(60)).await[0].finding, Finding::WrongUnit { .. }));
}

#[tokio::test]
async fn pages_that_go_round_or_never_end_are_an_error() {
    struct Endless(bool);
    #[async_trait]
    impl Api for Endless {
        async fn page(&self, request: Request<'_>) -> Result<Page, ApiError> {
            let next = request.token.map_or(0, |token| token.parse::<u32>().unwrap());
            let next = if self.0 { (next + 1) % 3 } else { next + 1 };
            Ok(Page { results: Vec::new(), next: Some(next.to_string()) })
        }
    }
    for (round, what) in [(true, "one before it"), (false, "more than 100 pages")] {
        let backend = CloudWatchBackend::over(Endless(round), DEADLINE);
        let wanted = [(Series::Stat(Metric::new("Own", "m").by(Statistic::Sum)), Unit::Count)];
        let window = Window { from: at(0), to: at(10), step: TimeDelta::minutes(1) };
        let error = backend.fetch(&wanted, window, at(11)).await.unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[tokio::test]
async fn a_series_that_the_service_would_refuse_is_not_asked_and_harms_no_other() {
    let script = Script::new([("good", vec![(5, 1.0)])]);
    let (good, bad) = (Metric::new("Own", "good"), Metric::new("Own", "bad").with("Pod", ""));
    let wanted = [good, bad].map(|metric| (Series::Stat(metric.by(Statistic::Sum)), Unit::Count));
    let window = Window { from: at(0), to: at(10), step: TimeDelta::minutes(1) };
    let lines = script.backend().fetch(&wanted, window, at(11)).await.unwrap();
    assert_eq!(lines[&wanted[0].0].as_ref().unwrap().points.len(), 1);
    let fault = lines[&wanted[1].0].as_ref().unwrap_err().to_string();
    assert!(fault.contains("value of a dimension") && fault.contains("bad"), "{fault}");
    let odd = Window { step: TimeDelta::seconds(45), ..window };
    let error = script.backend().fetch(&wanted, odd, at(11)).await.unwrap_err();
    assert!(error.to_string().contains("45 s is no period"), "{error}");
}

#[test]
fn expressions_of_many_workloads_share_a_request_without_mixing_their_names() {
    let math = |namespace: &str, expression: &str| Series::Math {
        expression: expression.into(),
        metrics: ["m1", "used"].map(|id| (id.to_owned(), Metric::new(namespace, id).by(Statistic::Sum))).into(),
    };
    let wanted = [math("A", "100*m1/used"), math("B", r#"IF(m1 > 0, used, m1) + SEARCH("m1 'used'", 'Sum')"#)];
    let (batches, invalid) = query::batches(&wanted);
    assert!(invalid.is_empty() && batches.len() == 1);
    let queries = &batches[0].queries;
    let mut ids: Vec<_> = queries.iter().map(|query| query.id.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 6);
    let math_of = |query: &query::Query| if let Ask::Math(text) = &query.ask { Some(text.clone()) } else { None };
    let expressions: Vec<_> = queries.iter().filter_map(math_of).collect();
    assert_eq!(expressions, ["100*e0_m1/e0_used", r#"IF(e3_m1 > 0, e3_used, e3_m1) + SEARCH("m1 'used'", 'Sum')"#]);
    assert!(queries.iter().all(|query| query.returned == matches!(query.ask, Ask::Math(_))));

    assert_eq!(math("A", "m1").check(), Err(InvalidSeries::Unused { name: "used".into() }));
    let upper = Series::Math {
        expression: "M1".into(),
        metrics: [("M1".to_owned(), Metric::new("A", "m").by(Statistic::Sum))].into(),
    };
    assert_eq!(upper.check(), Err(InvalidSeries::Id { name: "M1".into() }));
}

#[test]
fn no_series_is_split_and_a_metric_is_paid_for_once() {
    let stat = |n: usize| Metric::new("Own", format!("m{n}")).by(Statistic::Sum);
    let pair = |n: usize| Series::Math {
        expression: "a / b".into(),
        metrics: [("a".to_owned(), stat(n)), ("b".to_owned(), stat(n + 10_000))].into(),
    };
    let wanted: Vec<_> = (0..300).map(pair).chain((0..300).map(|n| Series::Stat(stat(n + 10_000)))).collect();
    let (batches, _) = query::batches(&wanted);
    assert!(batches.iter().all(|batch| batch.queries.len() <= query::MOST_QUERIES));
    assert_eq!(batches.iter().map(|batch| batch.readings.len()).sum::<usize>(), 600);
    let once = [Series::Stat(stat(10_001)), Series::Stat(stat(1)), Series::Stat(stat(10_001))];
    assert_eq!(query::batches(&once).0[0].queries.len(), 2);
}

#[test]
fn a_mapping_is_read_from_a_file_of_ones_own() {
    let text = r#"{"math":{"expression":"100 * errors / all","metrics":{
        "errors":{"metric":{"namespace":"AWS/ApplicationELB","name":"HTTPCode_Target_5XX_Count",
        "dimensions":{"LoadBalancer":"app/shop/1"}},"statistic":"sum"},
        "all":{"metric":{"namespace":"AWS/ApplicationELB","name":"RequestCount"},"statistic":"p99.9"}}}}"#;
    let series: Series = serde_json::from_str(text).unwrap();
    let written = serde_json::to_string(&series).unwrap();
    assert_eq!(serde_json::from_str::<Series>(&written).unwrap(), series);
    assert!(
        serde_json::from_str::<Series>(
            r#"{"stat":{"metric":{"namespace":"A","name":"m","dims":{}},"statistic":"sum"}}"#
        )
        .is_err()
    );
}

#[test]
fn no_secret_is_shown() {
    let client = aws_sdk_cloudwatch::Client::from_conf(
        aws_sdk_cloudwatch::Config::builder()
            .behavior_version(aws_sdk_cloudwatch::config::BehaviorVersion::v2026_01_12())
            .region(aws_sdk_cloudwatch::config::Region::new("eu-central-1"))
            .credentials_provider(aws_sdk_cloudwatch::config::Credentials::new(
                "AKIDTEST",
                "hush-hush",
                None,
                None,
                "test",
            ))
            .build(),
    );
    let shown = format!("{:?}", CloudWatchBackend::new(client, DEADLINE));
    assert!(!shown.contains("hush") && !shown.contains("AKID"), "{shown}");
}

// ---- the decoder, whatever comes

fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![3 => 0.0..1e6_f64, 1 => Just(0.0), 1 => any::<f64>(), 1 => Just(f64::NAN)]
}

fn any_start() -> impl Strategy<Value = Option<DateTime<Utc>>> {
    prop_oneof![
        8 => (-3_i64..13).prop_map(|minute| Some(at(minute))),
        1 => any::<i64>().prop_map(DateTime::from_timestamp_nanos).prop_map(Some),
        1 => any::<i64>().prop_map(|seconds| DateTime::from_timestamp(seconds, 0)),
    ]
}

fn any_answer() -> impl Strategy<Value = Answer> {
    let status = prop_oneof![
        6 => Just(Status::Complete),
        2 => Just(Status::Partial),
        1 => Just(Status::InternalError),
        1 => Just(Status::Forbidden),
        1 => Just(Status::Other(None)),
    ];
    let points = prop::collection::vec((any_start(), any_value()), 0..12);
    (prop::sample::select(vec!["q0", "q1", "q2", "x"]), status, points, 0_usize..2).prop_map(
        |(id, status, points, cut)| {
            let (starts, mut values): (Vec<_>, Vec<_>) = points.into_iter().unzip();
            values.truncate(values.len().saturating_sub(cut / 2));
            Answer { id: id.into(), status, starts, values, message: None }
        },
    )
}

fn decoded(answers: Vec<Answer>) -> Vec<(usize, Result<Line, Fault>)> {
    let stat = |name: &str| -> MetricStat { Metric::new("Own", name).by(Statistic::Sum) };
    let wanted = [Series::Stat(stat("a")), Series::Stat(stat("b"))];
    let (batches, _): (Vec<Batch>, _) = query::batches(&wanted);
    let window = Window { from: at(0), to: at(10), step: TimeDelta::minutes(1) };
    answer::lines(&batches[0], vec![Page { results: answers, next: None }], window, |place| wanted[place].to_string())
}

proptest! {
    /// Law 2 begins here: whatever comes, no panic, nothing outside of the window, and each number was in the answer as it is.
    #[test]
    fn law_2_no_answer_panics_or_makes_a_0_of_an_absence(answers in prop::collection::vec(any_answer(), 0..6)) {
        let came = |id: &str, start: DateTime<Utc>, is: &dyn Fn(f64) -> bool| answers.iter().any(|answer| {
            answer.id == id && answer.starts.iter().zip(&answer.values).any(|(at, value)| *at == Some(start) && is(*value))
        });
        for (place, line) in decoded(answers.clone()) {
            let Ok(line) = line else { continue };
            prop_assert!(line.points.windows(2).all(|pair| pair[0].start < pair[1].start));
            for point in line.points {
                prop_assert!(point.start >= at(0) && point.start < at(10));
                let Ok(value) = point.value else { continue };
                prop_assert!(value.is_finite());
                let measured = came(if place == 0 { "q0" } else { "q1" }, point.start, &|came| came.total_cmp(&value).is_eq());
                prop_assert!(measured, "{} at {}", value, point.start);
            }
        }
    }

    /// An expression in pieces is the whole of it, and renaming touches names alone.
    #[test]
    fn expressions_of_any_text_are_taken_apart_without_loss(expression in "\\PC{0,40}|[a-z0-9_()*/ '\"]{0,40}") {
        let series = Series::Math { expression: expression.clone(), metrics: [("m".to_owned(), Metric::new("A", "m").by(Statistic::Sum))].into() };
        let (batches, invalid) = query::batches([&series]);
        prop_assert_eq!(batches.len() + invalid.len(), 1);
        if let Some(Ask::Math(renamed)) = batches.first().and_then(|batch| batch.queries.last()).map(|query| query.ask.clone()) {
            prop_assert_eq!(renamed.replace("e0_m", "m"), expression.replace("e0_m", "m"));
        }
    }
}
