//! `autoscale` against a server: the shipped history served over loopback, by a simulated clock, with a server that dies and comes back.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use clap::Parser;
use examples::adopting::{self, Stage};
use examples::live::arguments::LiveArguments;
use examples::live::{Setup, Tell, checked, fetched, looped, replayed};
use examples::manifest::HpaArguments;
use examples::scenario::ScenarioArguments;
use examples::{Failure, candidates};
use scaling_core::adoption::{DayCost, PairedDay};
use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::live::{Clock, Entry, LoopReport, SimulatedClock, Stop, entries};
use scaling_core::source::parse;
use scaling_core::telemetry::serve::axum;
use scaling_core::{DecisionRecord, Outcome, PlannedEvent, Reason, ScalingMetrics, SignalKind, Step};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Workload and namespace of the shipped HPA.
const NAME: &str = "shop";

// ---- a server of the shipped history

/// What is measured, by the name of its series.
const SERIES: [(&str, &str); 4] = [
    ("shop_rate", "request_rate_per_second"),
    ("shop_cpu", "cpu_utilization_percent"),
    ("shop_memory", "memory_utilization_percent"),
    ("shop_pods", "current_pod_count"),
];

struct History(BTreeMap<i64, ScalingMetrics>);

impl History {
    fn shipped() -> Self {
        let samples = parse::metrics(&examples::read(&examples::shop_history()).unwrap(), None).unwrap();
        Self(samples.into_iter().map(|sample| (sample.timestamp.timestamp(), sample)).collect())
    }

    fn end(&self) -> DateTime<Utc> {
        self.0.values().next_back().unwrap().timestamp
    }

    fn value(&self, series: &str, at: i64) -> Option<(i64, f64)> {
        let (at, sample) = self.0.range(at - 119..=at).next_back()?;
        let value = match series {
            "shop_rate" => sample.value(SignalKind::RequestRate),
            "shop_cpu" => sample.value(SignalKind::CpuUtilization),
            "shop_memory" => sample.value(SignalKind::MemoryUtilization),
            _ => sample.replicas().map(f64::from),
        };
        Some((*at, value?))
    }

    fn answer(&self, path: &str, form: &BTreeMap<String, String>) -> Value {
        let query = &form["query"];
        let Some((series, _)) = SERIES.iter().find(|(series, _)| query.contains(series)) else {
            let kind = if path.ends_with("/query_range") { "matrix" } else { "vector" };
            return json!({ "status": "success", "data": { "resultType": kind, "result": [] } });
        };
        assert!(query.contains(&format!("workload=~\"{NAME}\"")), "the workload is asked for by name: {query}");
        let labels = json!({ "namespace": NAME, "workload": NAME });
        let number = |name: &str| form[name].trim_end_matches('s').split('.').next().unwrap().parse::<i64>().unwrap();
        let result = if path.ends_with("/query_range") {
            let instants = (number("start")..=number("end")).step_by(usize::try_from(number("step")).unwrap());
            let values: Vec<_> = instants
                .filter_map(|at| self.value(series, at).map(|(_, value)| json!([at, value.to_string()])))
                .collect();
            json!({ "resultType": "matrix", "result": [{ "metric": labels, "values": values }] })
        } else {
            let found = self.value(series, number("time"));
            let found: Vec<_> = found
                .map(|(at, value)| json!({ "metric": labels, "value": [at, value.to_string()] }))
                .into_iter()
                .collect();
            json!({ "resultType": "vector", "result": found })
        };
        json!({ "status": "success", "data": result })
    }
}

/// Pairs of a form, decoded.
fn form(text: &str) -> BTreeMap<String, String> {
    let decoded = |text: &str| {
        let (mut bytes, mut rest) = (Vec::new(), text.bytes());
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'+' => b' ',
                b'%' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                other => other,
            });
        }
        String::from_utf8(bytes).unwrap()
    };
    let pair = |pair: &str| pair.split_once('=').map(|(name, value)| (decoded(name), decoded(value)));
    text.split('&').filter_map(pair).collect()
}

/// How a server misbehaves.
#[derive(Default)]
struct Faults {
    /// Questions for the past are never answered.
    holds_past: AtomicBool,
    /// Every series comes twice.
    doubles: AtomicBool,
}

/// A server that can be killed and started again on its port.
struct Server {
    history: Arc<History>,
    faults: Arc<Faults>,
    address: SocketAddr,
    running: Mutex<Option<JoinHandle<()>>>,
}

impl Server {
    async fn start(history: Arc<History>) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Arc::new(Self { history, faults: Arc::default(), address, running: Mutex::new(None) });
        server.serve(listener);
        server
    }

    fn serve(&self, listener: TcpListener) {
        let (history, faults) = (Arc::clone(&self.history), Arc::clone(&self.faults));
        let answer = move |request: axum::extract::Request| {
            let (history, faults) = (Arc::clone(&history), Arc::clone(&faults));
            async move {
                let path = request.uri().path().to_owned();
                let mut text = request.uri().query().unwrap_or_default().to_owned();
                let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
                text.push('&');
                text.push_str(std::str::from_utf8(&body).unwrap());
                if path.ends_with("/query_range") && faults.holds_past.load(Relaxed) {
                    std::future::pending::<()>().await;
                }
                let mut answer = history.answer(&path, &form(&text));
                if faults.doubles.load(Relaxed)
                    && let Some(series) = answer["data"]["result"].as_array_mut()
                {
                    let mut again = series.clone();
                    for series in &mut again {
                        series["metric"]["replica"] = json!("b");
                    }
                    series.extend(again);
                }
                let body = answer.to_string();
                axum::response::Response::builder().header("content-type", "application/json").body(body).unwrap()
            }
        };
        // A connection is closed after each answer, so that none outlives the listener.
        let closing = axum::middleware::map_response(|mut response: axum::response::Response| async move {
            response.headers_mut().insert("connection", axum::http::HeaderValue::from_static("close"));
            response
        });
        let router = axum::Router::new().fallback(answer).layer(closing);
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        *self.running.lock().unwrap() = Some(task);
    }

    async fn kill(&self) {
        let task = self.running.lock().unwrap().take().unwrap();
        task.abort();
        task.await.ok();
    }

    async fn restart(&self) {
        self.serve(TcpListener::bind(self.address).await.unwrap());
    }
}

// ---- a clock by which things happen

enum Event {
    Kill,
    Restart,
    Double(bool),
    /// Lets so much time pass in which nobody ticks, and asks the status page.
    Ask(TimeDelta, &'static str),
    End,
}

/// A simulated clock by which the server dies, comes back, and the end is asked for.
struct Eventful {
    clock: SimulatedClock,
    server: Arc<Server>,
    stop: Stop,
    said: Arc<Mutex<String>>,
    events: Mutex<Vec<(DateTime<Utc>, Event)>>,
}

#[async_trait]
impl Clock for Eventful {
    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    async fn sleep(&self, time: Duration) {
        self.clock.sleep(time).await;
        let now = self.now();
        let due: Vec<_> = self.events.lock().unwrap().extract_if(.., |(at, _)| *at <= now).collect();
        for (_, event) in due {
            match event {
                Event::Kill => self.server.kill().await,
                Event::Restart => self.server.restart().await,
                Event::Double(doubles) => self.server.faults.doubles.store(doubles, Relaxed),
                Event::Ask(passes, path) => {
                    self.clock.advance(passes);
                    let address = page(&self.said.lock().unwrap());
                    let answer = asked(address.unwrap(), path).await;
                    self.said.lock().unwrap().extend([path, ": ", &answer, "\n"]);
                }
                Event::End => self.stop.request(),
            }
        }
    }
}

/// Address of the status page, once it was told.
fn page(said: &str) -> Option<SocketAddr> {
    let (_, address) = said.split_once("status page: http://")?;
    address.split('/').next()?.parse().ok()
}

/// Status and body of a page.
async fn asked(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap();
    format!("{status} {body}")
}

// ---- the program

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    live: LiveArguments,
    #[command(flatten)]
    cluster: ScenarioArguments,
}

struct World {
    temporary: tempfile::TempDir,
    server: Arc<Server>,
    live: LiveArguments,
    hpas: HpaArguments,
    hpa: PathBuf,
    records: PathBuf,
    engine: &'static str,
    events: Vec<PlannedEvent>,
    said: Arc<Mutex<String>>,
}

/// Each question by its own series; from a day of history, in folders of its own.
async fn world() -> World {
    let temporary = tempfile::tempdir().unwrap();
    let server = Server::start(Arc::new(History::shipped())).await;
    let mut words = vec!["autoscale".to_owned(), "--prometheus".to_owned(), format!("http://{}", server.address)];
    words.extend(["--target", "shop/shop", "--queries", "none", "--backfill", "1"].map(str::to_owned));
    for (series, name) in SERIES {
        let labels = r#"namespace=~"{namespace}",workload=~"{workload}""#;
        words.extend(["--query".to_owned(), format!("{name}={series}{{{labels}}}")]);
    }
    let state = temporary.path().join("state");
    words.extend(["--state".to_owned(), state.to_str().unwrap().to_owned()]);
    let live = Arguments::try_parse_from(words).unwrap().live;
    let (hpa, records) = (examples::test_data("shop_hpa.yaml"), temporary.path().join("records"));
    let (hpas, engine, events, said) = (HpaArguments::default(), "predictive", Vec::new(), Arc::default());
    World { temporary, server, live, hpas, hpa, records, engine, events, said }
}

impl World {
    fn setup(&self) -> Setup<'_> {
        Setup {
            live: &self.live,
            hpa: Some(&self.hpa),
            hpas: &self.hpas,
            engine: self.engine,
            records: Some(&self.records),
            events: &self.events,
            limits: None,
            price: examples::price(0.05, "USD").unwrap(),
        }
    }

    fn tell(&self) -> Tell {
        let said = Arc::clone(&self.said);
        Arc::new(move |line| {
            let mut said = said.lock().unwrap();
            said.push_str(line);
            said.push('\n');
        })
    }

    /// What was said since the last question.
    fn said(&self) -> String {
        std::mem::take(&mut self.said.lock().unwrap())
    }

    /// Runs from an instant until its last event. Returns what was said, too.
    async fn run(
        &self,
        from: DateTime<Utc>,
        events: Vec<(DateTime<Utc>, Event)>,
    ) -> Result<(LoopReport, String), Failure> {
        let stop = Stop::new();
        let (server, events) = (Arc::clone(&self.server), Mutex::new(events));
        let said = Arc::clone(&self.said);
        let clock = Eventful { clock: SimulatedClock::at(from), server, stop: stop.clone(), said, events };
        let report = looped(&self.setup(), clock, &stop, self.tell()).await?;
        let said = self.said();
        Ok((report, said))
    }
}

fn read(folder: &Path) -> Vec<DecisionRecord> {
    let record = |entry| match entry {
        Entry::Record(record) => Some(*record),
        Entry::Header(_) | Entry::Intent(_) => None,
        bad => panic!("{bad:?}"),
    };
    entries(folder).unwrap().filter_map(record).collect()
}

#[tokio::test]
async fn a_server_dies_and_comes_back_and_so_does_the_program() {
    let world = world().await;
    let start = world.server.history.end() - TimeDelta::hours(3);
    let after = |minutes| start + TimeDelta::minutes(minutes);

    let events = vec![(after(60), Event::Kill), (after(70), Event::Restart), (after(90), Event::End)];
    let (report, said) = world.run(start, events).await.unwrap();
    assert_eq!((report.missed, report.overrun, report.unrecorded), (0, 0, 0), "{said}");
    assert!(report.ticks >= 90 && report.records == report.ticks, "{report}\n{said}");
    let records = read(&world.records);
    assert_eq!(records.len() as u64, report.records, "every tick has its record");
    let failed = |record: &DecisionRecord| {
        let ended = record.withheld.as_ref().unwrap_or(&record.outcome);
        matches!(ended, Outcome::Failed { step: Step::Observe, .. })
    };
    let outage: Vec<_> = records.iter().filter(|record| failed(record)).map(|record| record.at).collect();
    assert_eq!(outage.first(), Some(&after(60)), "{said}");
    // Asked at 60, 61, 63, 65, 67, 69 and 71: at most two minutes late.
    assert_eq!(outage.last(), Some(&after(70)), "{said}");
    assert_eq!((outage.len(), report.unasked), (11, 5), "{said}");
    let shrinks = |record: &&DecisionRecord| record.change.is_some_and(|change| change.new.min() < change.old.min());
    assert_eq!(records.iter().filter(|record| failed(record)).find(shrinks), None, "law 2");
    for record in records.iter().filter(|record| !failed(record)) {
        let decision = record.decision.as_ref().unwrap();
        assert!(decision.desired_replicas > 0 && record.history_len > 1000, "{record:?}");
    }
    assert!(said.contains("dry run, nothing is changed"), "{said}");
    for once in ["failed to observe", "the source answers again"] {
        assert_eq!(said.matches(once).count(), 1, "{once}, though the words of the error change: {said}");
    }
    assert!(said.contains("ended: ") && !said.contains("goes on from"), "{said}");

    // The same folders again: from its records and from what it had learnt.
    let file = world.temporary.path().join("state/shop_Deployment_shop.learnt");
    let learnt = std::fs::read(&file).unwrap();
    let (report, said) = world.run(after(95), vec![(after(99), Event::End)]).await.unwrap();
    assert!(said.contains(&format!("goes on from {} records", records.len())), "{said}");
    assert!(!said.contains("learnt anew"), "{said}");
    assert_eq!(read(&world.records).len() as u64, records.len() as u64 + report.records);

    // Damaged, foreign, and torn: each is told, and does no harm.
    let mut damaged = learnt.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let foreign = String::from_utf8_lossy(&learnt[..60]).replace("\"shop\"", "\"other\"").into_bytes();
    for (bytes, what) in [(damaged, "the snapshot is damaged"), (foreign, "whose it is"), (Vec::new(), "whose it is")] {
        std::fs::write(&file, bytes).unwrap();
        let (report, said) = world.run(after(100), vec![(after(101), Event::End)]).await.unwrap();
        assert!(said.contains(what) && said.contains("it is learnt anew from the source's history"), "{what}: {said}");
        assert!(report.ticks > 0 && report.failed == 0, "{report}");
    }
}

#[tokio::test]
async fn what_works_and_what_does_not_is_said_query_by_query() {
    let mut world = world().await;
    let now = world.server.history.end();
    checked(&world.setup(), now, world.tell()).await.unwrap();
    let said = world.said();
    assert!(said.contains("ok  request rate: works: ") && said.contains("ok  HPA \"shop\": 4..10 pods"), "{said}");
    assert!(!said.contains("BAD"), "{said}");

    world.live.from.origin.own_queries.push(r#"queue_depth=shop_queue{namespace=~"{namespace}"}"#.to_owned());
    let error = checked(&world.setup(), now, world.tell()).await.unwrap_err();
    assert!(matches!(&error, Failure::Failed(what) if what == "1 checks have failed"), "{error}");
    let said = world.said();
    assert!(said.contains("BAD queue depth: empty: ") && said.contains("shop_queue{namespace=~\"shop\"}"), "{said}");
}

#[tokio::test]
async fn the_past_of_a_workload_is_a_load_to_compare_on() {
    let world = world().await;
    let now = world.server.history.end();
    let (target, hpa, samples) = fetched(&world.setup(), now, world.tell()).await.unwrap();
    assert_eq!((target.to_string().as_str(), hpa.manifest.name()), ("shop/Deployment/shop", "shop"));
    assert_eq!((samples.len(), samples.last().unwrap().timestamp), (1441, now), "a day, and now");

    let cluster = Arguments::try_parse_from(["autoscale"]).unwrap().cluster;
    let mut out = Vec::new();
    let alone = hpa.clone().candidate("alone");
    let scenario = cluster.fetched("shop", samples, &[alone], &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    // What a pod serves is told by its CPU, as from a file.
    assert!(scenario.trace.pod_capacity().is_some() && out.contains("data from "), "{out}");
}

#[tokio::test]
async fn the_days_that_were_seen_say_whether_to_go_on() {
    let mut world = world().await;
    world.live.from.backfill = 5;
    let now = world.server.history.end();
    let (target, hpa, samples) = fetched(&world.setup(), now, world.tell()).await.unwrap();
    let cluster = Arguments::try_parse_from(["autoscale"]).unwrap().cluster;
    let alone = hpa.clone().candidate("alone");
    let scenario = cluster.fetched("shop", samples.clone(), &[alone], &mut Vec::new()).unwrap();
    // It waits for nobody, and brings its own executor.
    let replay = |stage| {
        let engine = candidates::engine("rules").unwrap();
        let replay = || adopting::days(&samples, &scenario, &hpa.spec, &engine, stage);
        std::thread::scope(|scope| scope.spawn(replay).join()).unwrap().unwrap()
    };
    for (stage, next) in [(Stage::Observe, "floors"), (Stage::Floors, "full")] {
        let days = replay(stage);
        assert_eq!(days.len(), 4, "each whole day but the first, which is learnt from");
        let mut out = Vec::new();
        adopting::told(&target, &days, stage, &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains(&format!("{next} ")) && out.contains("wait: ") && out.contains("ask again"), "{out}");
        // A trial of a fortnight as good as the best of them, and one as bad.
        let cost = |pod_hours, violating_share| DayCost { pod_hours, violating_share, ..DayCost::default() };
        let (good, bad) = (cost(1.0, 0.0), cost(9.0, 0.5));
        let all = |champion, challenger| vec![PairedDay { begins: now, champion, challenger }; 14];
        let mut out = Vec::new();
        adopting::told(&target, &all(bad, good), stage, &mut out).unwrap();
        let command = format!("kubectl annotate hpa shop -n shop --overwrite kube-scaling/mode={next}");
        assert!(String::from_utf8(out).unwrap().ends_with(&format!("{command}\n")));
        let refused = adopting::told(&target, &all(good, bad), stage, &mut Vec::new()).unwrap_err();
        assert!(matches!(&refused, Failure::Failed(why) if why.contains(&format!("{next} is worse"))), "{refused}");
    }
}

#[tokio::test]
async fn what_was_recorded_is_decided_again() {
    let world = world().await;
    let start = world.server.history.end() - TimeDelta::hours(1);
    let (report, _) = world.run(start, vec![(start + TimeDelta::minutes(30), Event::End)]).await.unwrap();
    let (ticks, setup, records) = (report.ticks, world.setup(), world.records.clone());
    let tell = world.tell();
    // It waits for nobody, and brings its own executor.
    std::thread::scope(|scope| scope.spawn(|| replayed(&setup, &records, &tell)).join()).unwrap().unwrap();
    let said = world.said();
    let line = format!("shop/Deployment/shop: {ticks} ticks by engine \"predictive\"; of {ticks} decisions ");
    assert!(said.contains(&line) && said.contains("files hold no history"), "{said}");
}

#[tokio::test]
async fn what_cannot_begin_says_what_is_missing() {
    let mut world = world().await;
    let start = world.server.history.end();
    world.live.from.origin.own_queries = vec!["requests=up".to_owned()];
    let error = world.run(start, Vec::new()).await.unwrap_err();
    assert!(matches!(&error, Failure::Input(what) if what.contains("no signal \"requests\"")), "{error}");
}

#[tokio::test]
async fn a_declared_event_raises_the_floor_before_it_begins() {
    let mut world = world().await;
    let start = world.server.history.end() - TimeDelta::hours(2);
    let (begins, ends) = (start + TimeDelta::minutes(20), start + TimeDelta::minutes(40));
    world.events = vec![PlannedEvent::new("sale", begins, ends, 3.0).unwrap()];
    world.run(start, vec![(start + TimeDelta::minutes(30), Event::End)]).await.unwrap();
    let of_the_sale = |record: &DecisionRecord| {
        let floor = record.floor.as_ref();
        floor.is_some_and(|floor| matches!(&floor.reason, Reason::Event { name, .. } if name == "sale"))
    };
    let held: Vec<_> = read(&world.records).into_iter().filter(of_the_sale).map(|record| record.at).collect();
    assert!(held.first().is_some_and(|first| *first < begins) && held.len() > 10, "{held:?}");
}

#[tokio::test]
async fn it_is_alive_before_the_past_is_there_and_ends_when_told_so() {
    let mut world = world().await;
    world.live.listen = Some("127.0.0.1:0".parse().unwrap());
    world.server.faults.holds_past.store(true, Relaxed);
    let start = world.server.history.end() - TimeDelta::hours(1);
    let (stop, told, setup) = (Stop::new(), tokio::sync::Notify::new(), world.setup());
    let told = Arc::new(told);
    let tell = {
        let (told, tell) = (Arc::clone(&told), world.tell());
        Arc::new(move |line: &str| {
            tell(line);
            told.notify_one();
        })
    };
    let asks = async {
        let address = loop {
            told.notified().await;
            let address = page(&world.said.lock().unwrap());
            if let Some(address) = address {
                break address;
            }
        };
        let answers = (asked(address, "/healthz").await, asked(address, "/readyz").await);
        stop.request();
        answers
    };
    let (report, (alive, ready)) = tokio::join!(looped(&setup, SimulatedClock::at(start), &stop, tell), asks);
    assert!(alive.starts_with("200 ") && ready.starts_with("503 no tick is complete yet"), "{alive} {ready}");
    assert_eq!(report.unwrap().ticks, 0);
    let said = world.said();
    assert!(said.contains("told to end before the past was fetched"), "{said}");
}

#[tokio::test]
async fn a_loop_that_hangs_is_not_alive_and_the_page_has_an_hpa_to_compare_with() {
    let mut world = world().await;
    world.live.listen = Some("127.0.0.1:0".parse().unwrap());
    let start = world.server.history.end() - TimeDelta::hours(1);
    let events = vec![
        (start + TimeDelta::minutes(3), Event::Ask(TimeDelta::minutes(3), "/healthz?late")),
        (start + TimeDelta::minutes(9), Event::Ask(TimeDelta::zero(), "/api/targets/shop/shop/savings")),
        (start + TimeDelta::minutes(10), Event::Ask(TimeDelta::minutes(20), "/healthz?hangs")),
        (start + TimeDelta::minutes(32), Event::End),
    ];
    let (report, said) = world.run(start, events).await.unwrap();
    assert!(report.missed > 15, "{report}");
    assert!(said.contains("/healthz?late: 200 alive"), "{said}");
    assert!(said.contains("/healthz?hangs: 503 no tick since "), "{said}");
    assert!(said.contains("in mode plan nothing is changed") && !said.contains("given no HPA"), "{said}");
}

#[tokio::test]
async fn what_is_found_in_the_answers_is_told_when_it_begins_and_when_it_ends() {
    let world = world().await;
    let start = world.server.history.end() - TimeDelta::hours(1);
    let after = |minutes| start + TimeDelta::minutes(minutes);
    let events = vec![(after(5), Event::Double(true)), (after(15), Event::Double(false)), (after(20), Event::End)];
    let (_, said) = world.run(start, events).await.unwrap();
    for line in ["several series of request rate", "series of request rate: are one each again"] {
        assert_eq!(said.matches(line).count(), 1, "{line}: {said}");
    }
}

#[tokio::test]
async fn a_restart_with_another_engine_is_decided_again_by_that_engine() {
    let mut world = world().await;
    let start = world.server.history.end() - TimeDelta::hours(1);
    let mut said = String::new();
    for (engine, from) in [("predictive", 0), ("predictive", 10), ("rules", 20)] {
        world.engine = engine;
        let from = start + TimeDelta::minutes(from);
        world.run(from, vec![(from + TimeDelta::minutes(5), Event::End)]).await.unwrap();
    }
    let (setup, records, tell) = (world.setup(), world.records.clone(), world.tell());
    std::thread::scope(|scope| scope.spawn(|| replayed(&setup, &records, &tell)).join()).unwrap().unwrap();
    said.push_str(&world.said());
    for (ticks, engine) in [(10, "predictive"), (5, "rules")] {
        assert!(said.contains(&format!("{ticks} ticks by engine {engine:?}; of {ticks} decisions ")), "{said}");
    }
}

#[tokio::test]
async fn a_workload_without_metrics_now_has_a_past_to_compare_on() {
    let world = world().await;
    let end = world.server.history.end();
    let (_, _, samples) = fetched(&world.setup(), end + TimeDelta::minutes(10), world.tell()).await.unwrap();
    let said = world.said();
    assert!(said.contains("no metrics at ") && said.contains("compared on the past up to "), "{said}");
    assert!(samples.len() > 1400 && samples.last().unwrap().timestamp <= end + TimeDelta::minutes(2), "{said}");

    // Nothing at all is still nothing.
    let error = fetched(&world.setup(), end + TimeDelta::days(30), world.tell()).await.unwrap_err();
    assert!(matches!(&error, Failure::Failed(what) if what.contains("no metrics at ")), "{error}");
}
