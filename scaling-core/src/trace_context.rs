//! The W3C trace context of outgoing requests. Below both those who send them and those who trace, so that neither needs the other.

/// Headers that carry the current span to the server that is asked: `traceparent` and, where there is one, `tracestate`, as the W3C
/// recommendation "Trace Context" defines them. The crate's own HTTP client sends them by itself; this is for others.
///
/// Identifiers of traces come from OpenTelemetry: without the feature `otlp`, without its layer in the subscriber, or outside of any
/// span there is nothing to carry, and no header.
///
/// ```
/// assert!(scaling_core::telemetry::trace_headers().is_empty(), "nobody traces here");
/// ```
#[cfg(feature = "otlp")]
pub fn trace_headers() -> Vec<(String, String)> {
    use opentelemetry::propagation::{Injector, TextMapPropagator};
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use tracing_opentelemetry::OpenTelemetrySpanExt;

    struct Headers(Vec<(String, String)>);

    impl Injector for Headers {
        fn set(&mut self, key: &str, value: String) {
            // Without state the propagator gives an empty `tracestate`, which says nothing.
            if !value.is_empty() {
                self.0.push((key.to_owned(), value));
            }
        }
    }

    let mut headers = Headers(Vec::new());
    TraceContextPropagator::new().inject_context(&tracing::Span::current().context(), &mut headers);
    headers.0
}

/// Headers that carry the current span to the server that is asked. None: identifiers of traces come from OpenTelemetry, with the
/// feature `otlp`.
#[cfg(not(feature = "otlp"))]
// Exported by `telemetry`, without which only the HTTP client asks.
#[cfg_attr(not(feature = "telemetry"), allow(unreachable_pub))]
pub fn trace_headers() -> Vec<(String, String)> {
    Vec::new()
}
