//! Spans with their attributes, as a collector receives them: over gRPC and over HTTP, read by the official protobufs.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, mpsc};

use async_trait::async_trait;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use scaling_core::chrono::{DateTime, TimeDelta, Timelike, Utc};
use scaling_core::http::{Endpoint, HttpClient, HttpConfig, HttpRequest};
use scaling_core::telemetry::otlp::{self, OtlpConfig};
use scaling_core::telemetry::trace_headers;
use scaling_core::{
    ApplyMode, Autoscaler, Bounds, DecisionEngine, EngineError, Guards, MemoryApplier, MetricsHistory, MetricsSource,
    Observation, Outcome, RuleBasedEngine, ScalingDecision, ScalingMetrics, SignalKind, SourceError, Target,
};
use scaling_llm::{ChatModel, Completion, LlmConfig, LlmEngine, ModelError, ModelId, Usage};
use scaling_schedule::{CompileConfig, compile, need_by_load};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tonic::transport::server::TcpIncoming;
use tracing::Instrument;
use tracing_subscriber::layer::SubscriberExt;

/// A request as it came: its headers by name, and its body.
type Received = (BTreeMap<String, String>, ExportTraceServiceRequest);

struct Grpc(mpsc::Sender<Received>);

#[async_trait]
impl TraceService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let headers = request.metadata().clone().into_headers();
        let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap_or("").to_owned()));
        self.0.send((headers.collect(), request.into_inner())).unwrap();
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Runs a receiver in a thread of its own: it must answer while the test's thread waits for spans to arrive.
fn receiver<F>(
    run: impl FnOnce(mpsc::Sender<Received>, mpsc::Sender<SocketAddr>) -> F + Send + 'static,
) -> (SocketAddr, mpsc::Receiver<Received>)
where
    F: Future<Output = ()>,
{
    let (sender, received) = mpsc::channel();
    let (bound, address) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(sender, bound));
    });
    (address.recv().unwrap(), received)
}

fn grpc_receiver() -> (SocketAddr, mpsc::Receiver<Received>) {
    receiver(|sender, bound| async move {
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        bound.send(incoming.local_addr().unwrap()).unwrap();
        let service = TraceServiceServer::new(Grpc(sender));
        tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming).await.unwrap();
    })
}

fn http_receiver() -> (SocketAddr, mpsc::Receiver<Received>) {
    receiver(|sender, bound| async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        bound.send(listener.local_addr().unwrap()).unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            answer_http(stream, &sender).await;
        }
    })
}

/// Answers the requests of one connection, and refuses what a collector would refuse.
async fn answer_http(mut stream: TcpStream, sender: &mpsc::Sender<Received>) {
    let mut bytes = Vec::new();
    loop {
        let head = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let text = String::from_utf8(bytes.drain(..head).collect()).unwrap();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("POST /v1/traces HTTP/1.1"));
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers: BTreeMap<_, _> =
            headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        assert_eq!(headers.get("content-type").map(String::as_str), Some("application/x-protobuf"));
        let length: usize = headers.get("content-length").unwrap().parse().unwrap();
        while bytes.len() < length {
            assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
        }
        let body: Vec<u8> = bytes.drain(..length).collect();
        sender.send((headers, ExportTraceServiceRequest::decode(&*body).unwrap())).unwrap();
        let ok = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(ok).await.unwrap();
    }
}

fn config(address: SocketAddr, protocol: &str) -> OtlpConfig {
    let endpoint = format!("http://{address}");
    let variables = |name: &str| {
        Some(match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => endpoint.clone(),
            "OTEL_EXPORTER_OTLP_PROTOCOL" => protocol.to_owned(),
            "OTEL_EXPORTER_OTLP_HEADERS" => "authorization=Bearer%20token".to_owned(),
            "OTEL_SERVICE_NAME" => "scaler".to_owned(),
            _ => return None,
        })
    };
    OtlpConfig::from_variables(variables).unwrap().unwrap()
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_600_000 + second, 0).unwrap()
}

/// Overload, and the headers that a client would send with its question.
struct Overload(Arc<Mutex<Vec<(String, String)>>>);

#[async_trait]
impl MetricsSource for Overload {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        *self.0.lock().unwrap() = trace_headers();
        if target.name == "lost" {
            return Err(SourceError::NoData { target: Box::new(target.clone()), at: now });
        }
        let metrics = ScalingMetrics::new(now, 4).with(SignalKind::CpuUtilization, 95.0);
        Ok(Observation::new(target.clone(), metrics).at(now))
    }
}

struct Holds;

#[async_trait]
impl ChatModel for Holds {
    fn id(&self) -> ModelId {
        ModelId::new("anthropic", "claude-haiku-5-5")
    }

    async fn complete(&self, _: &str, _: &str) -> Result<Completion, ModelError> {
        let text = r#"{"assessment":"fine","action":"hold","target_replicas":4,"confidence_percent":90}"#;
        let usage = Usage { input_tokens: 900, output_tokens: 40, cache_read_tokens: 800, cache_write_tokens: 0 };
        let (request_id, model) = (Some("msg_1".into()), Some("claude-haiku-5-5-20261001".into()));
        Ok(Completion { text: text.into(), usage, request_id, model })
    }
}

/// Asks for fewer pods without being sure: a guard refuses.
struct Unsure;

#[async_trait]
impl DecisionEngine for Unsure {
    fn name(&self) -> &'static str {
        "unsure"
    }
    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        Ok(ScalingDecision::replicas("unsure", observation.current.timestamp, 4, 3).with_confidence(0.1))
    }
}

/// Does everything that has a span, and returns the headers that the source would have sent in the first tick.
async fn work() -> Vec<(String, String)> {
    let headers = Arc::new(Mutex::new(Vec::new()));
    let target = Target::deployment("shop", "web").in_cluster("eu-1");
    let lost = Target::deployment("shop", "lost");
    let applier = MemoryApplier::new();
    for target in [&target, &lost] {
        applier.put(target, Bounds::new(2, 6).unwrap());
    }
    let applier = Arc::new(applier);
    let autoscaler = Autoscaler::builder()
        .source(Overload(Arc::clone(&headers)))
        .engine(LlmEngine::with_config(Holds, RuleBasedEngine::default(), LlmConfig::inline()).unwrap())
        .applier(Arc::clone(&applier))
        .guards(Guards::only_hard_limits())
        .mode(ApplyMode::Apply)
        .build();
    let record = autoscaler.tick(&target, at(0)).await.unwrap();
    assert_eq!(record.outcome, Outcome::Applied, "{record:?}");
    let sent = std::mem::take(&mut *headers.lock().unwrap());
    autoscaler.tick_all(&[lost], at(0)).await;
    let refused = Autoscaler::builder().source(Overload(headers)).engine(Unsure).applier(applier).build();
    refused.tick(&target, at(60)).await.unwrap();

    let samples = (0..7 * 24).map(|hour| {
        let at = DateTime::from_timestamp(1_767_571_200, 0).unwrap() + TimeDelta::hours(hour);
        let rate = if (9..17).contains(&at.hour()) { 750.0 } else { 50.0 };
        ScalingMetrics::new(at, 3).with(SignalKind::RequestRate, rate)
    });
    let (history, _) = MetricsHistory::from_unordered(samples.collect());
    let need = need_by_load(SignalKind::RequestRate, 100.0);
    compile(&history, &need, &CompileConfig::default()).unwrap();
    compile(&MetricsHistory::new(), &need, &CompileConfig::default()).unwrap_err();
    sent
}

/// What is sent when a span ends and its guard is dropped, in a task of a runtime with a single thread.
fn sent(config: &OtlpConfig) -> Vec<(String, String)> {
    let (layer, guard) = otlp::layer(config).unwrap();
    assert!(guard.is_exporting());
    let subscriber = tracing_subscriber::registry().with(layer);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tracing::subscriber::with_default(subscriber, || {
        runtime.block_on(async {
            let headers = work().await;
            drop(guard);
            headers
        })
    })
}

/// One span: its identifiers in hexadecimal, its attributes as text, and what went wrong.
#[derive(Debug)]
struct Seen {
    name: String,
    trace: String,
    id: String,
    parent: String,
    attributes: BTreeMap<String, String>,
    error: Option<String>,
}

fn seen(span: &Span) -> Seen {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::DoubleValue(number) => number.to_string(),
        Value::BoolValue(truth) => truth.to_string(),
        other => panic!("{other:?}"),
    };
    let value = |value: &Option<opentelemetry_proto::tonic::common::v1::AnyValue>| {
        value.as_ref().and_then(|value| value.value.as_ref()).map(text).unwrap_or_default()
    };
    Seen {
        name: span.name.clone(),
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        attributes: span.attributes.iter().map(|pair| (pair.key.clone(), value(&pair.value))).collect(),
        // 2 is STATUS_CODE_ERROR.
        error: span.status.as_ref().filter(|status| status.code == 2).map(|status| status.message.clone()),
    }
}

/// Checks the spans that arrived; all of them are there once the guard is dropped.
fn check(received: &mpsc::Receiver<Received>, headers: &[(String, String)]) {
    let requests: Vec<Received> = received.try_iter().collect();
    assert!(!requests.is_empty(), "nothing arrived");
    let mut spans = Vec::new();
    for (headers, request) in &requests {
        assert_eq!(headers.get("authorization").map(String::as_str), Some("Bearer token"));
        for resource in &request.resource_spans {
            let service = resource.resource.iter().flat_map(|resource| &resource.attributes);
            let service = service.filter(|pair| pair.key == "service.name").count();
            assert_eq!(service, 1);
            spans.extend(resource.scope_spans.iter().flat_map(|scope| &scope.spans).map(seen));
        }
    }
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let with = |span: &Seen, expected: &[(&str, &str)]| {
        for (key, value) in expected {
            assert_eq!(span.attributes.get(*key).map(String::as_str), Some(*value), "{key} of {span:#?}");
        }
    };
    let workload = [("namespace", "shop"), ("name", "web"), ("cluster", "eu-1")];

    let ticks = named("tick");
    let [tick, lost, refused] = ticks[..] else { panic!("{ticks:#?}") };
    with(tick, &workload);
    with(
        tick,
        &[("engine", "rules"), ("outcome", "applied"), ("kind", "Deployment"), ("mode", "apply"), ("replicas", "4")],
    );
    let wanted: u32 = tick.attributes["replicas_wanted"].parse().unwrap();
    assert!(wanted > 4 && tick.error.is_none(), "{tick:#?}");
    with(lost, &[("outcome", "failed"), ("name", "lost")]);
    assert!(!lost.attributes.contains_key("cluster") && !lost.attributes.contains_key("replicas"), "{lost:#?}");
    assert!(lost.error.as_ref().unwrap().contains("no metrics at "), "{lost:#?}");
    with(refused, &[("outcome", "refused"), ("guard", "confidence"), ("engine", "unsure"), ("replicas_wanted", "3")]);

    // What happens in a tick is inside of its span.
    let inside = |name: &str| {
        let mut spans = named(name).into_iter().filter(|span| span.trace == tick.trace);
        let span = spans.next().unwrap_or_else(|| panic!("no {name} in the trace of the tick"));
        assert_eq!(spans.next().map(|span| &span.name), None);
        span
    };
    let (observe, analyze) = (inside("observe_metrics"), inside("analyze_metrics"));
    assert_eq!((&observe.parent, &analyze.parent), (&tick.id, &tick.id));
    with(analyze, &workload);
    with(
        analyze,
        &[("engine", "llm over rules"), ("action", "scale_up_horizontal"), ("replicas_wanted", &wanted.to_string())],
    );
    let advice = inside("ai_analysis");
    assert_eq!(advice.parent, analyze.id);
    with(advice, &workload);
    // As the semantic conventions for generative AI name them.
    with(
        advice,
        &[
            ("outcome", "agreed"),
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", "anthropic"),
            ("gen_ai.request.model", "claude-haiku-5-5"),
            ("gen_ai.response.model", "claude-haiku-5-5-20261001"),
            ("gen_ai.response.id", "msg_1"),
            ("gen_ai.usage.input_tokens", "900"),
            ("gen_ai.usage.output_tokens", "40"),
            ("gen_ai.usage.cache_read.input_tokens", "800"),
            ("gen_ai.usage.cache_creation.input_tokens", "0"),
        ],
    );
    assert!(!advice.attributes.contains_key("error.type"), "{advice:#?}");
    let update = inside("update_hpa_from_metrics");
    assert_eq!(update.parent, tick.id);
    with(update, &workload);
    with(update, &[("outcome", "applied"), ("hpa", "web"), ("old_min_replicas", "2"), ("old_max_replicas", "6")]);

    // The source's client tells the server which span asks.
    let expected = [("traceparent".to_owned(), format!("00-{}-{}-01", tick.trace, observe.id))];
    assert_eq!(headers, expected);

    let schedules = named("generate_schedule");
    let [schedule, failed] = schedules[..] else { panic!("{schedules:#?}") };
    with(schedule, &[("samples", "168"), ("time_zone", "UTC"), ("windows", "1")]);
    assert!(failed.error.as_ref().unwrap().contains("a schedule needs a day"), "{failed:#?}");
    let patterns = named("analyze_patterns");
    let [patterns] = patterns[..] else { panic!("{patterns:#?}") };
    assert_eq!(patterns.parent, schedule.id);
    with(patterns, &[("covered_percent", "100"), ("profiles", "1")]);
}

#[test]
fn spans_arrive_over_grpc() {
    let (address, received) = grpc_receiver();
    let headers = sent(&config(address, "grpc"));
    check(&received, &headers);
}

#[test]
fn spans_arrive_over_http() {
    let (address, received) = http_receiver();
    let headers = sent(&config(address, "http/protobuf"));
    check(&received, &headers);
}

#[test]
fn what_does_not_arrive_is_an_error_and_dropping_the_guard_ends() {
    // A port that nobody listens on any more.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for protocol in ["grpc", "http/protobuf"] {
        let (layer, guard) = otlp::layer(&config(address, protocol)).unwrap();
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || drop(tracing::info_span!("lost")));
        let error = guard.flush().unwrap_err().to_string();
        assert!(error.starts_with("spans were not exported: ") && !error.contains("token"), "{protocol}: {error}");
        drop(guard);
    }
}

/// Headers of one request by a client that is set up as it comes, inside of a span.
async fn asked_in_a_span() -> (Vec<(String, String)>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let client = HttpClient::new(HttpConfig::default()).unwrap();
    let request = HttpRequest::get(Endpoint::parse(&address).unwrap());
    let answer = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        while !bytes.windows(4).any(|window| window == b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        String::from_utf8(bytes).unwrap()
    };
    let span = tracing::info_span!("asks");
    let (sent, head) = tokio::join!(client.send(&request).instrument(span.clone()), answer);
    sent.unwrap();
    (span.in_scope(trace_headers), head)
}

#[test]
fn a_client_says_which_span_asks_without_being_told_to() {
    let (layer, guard) = otlp::layer(&config("127.0.0.1:9".parse().unwrap(), "http/protobuf")).unwrap();
    let run =
        || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(asked_in_a_span());
    let (headers, head) = tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), run);
    let [(name, value)] = headers.as_slice() else { panic!("{headers:?}") };
    assert!(head.contains(&format!("\r\n{name}: {value}\r\n")), "{head}");
    let (_, head) = tracing::subscriber::with_default(tracing_subscriber::registry(), run);
    assert!(!head.contains("traceparent"), "{head}");
    drop(guard);
}

#[test]
fn outside_of_a_span_or_without_the_layer_there_is_no_header() {
    let (layer, guard) = otlp::layer(&config("127.0.0.1:9".parse().unwrap(), "http/protobuf")).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        assert!(trace_headers().is_empty());
    });
    tracing::subscriber::with_default(tracing_subscriber::registry(), || {
        let _entered = tracing::info_span!("here").entered();
        assert!(trace_headers().is_empty());
    });
    drop(guard);
}
