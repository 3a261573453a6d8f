//! Telemetry around a loop: traces to an OpenTelemetry collector, and the page of metrics that Prometheus reads.
//!
//!     OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 cargo run --release --features telemetry --example telemetry
//!
//! An hour of the history that comes with the examples is replayed, a tick a minute; then the page is printed. A host serves the same
//! page with `telemetry::serve::Server`. Without an endpoint one sentence says what to set, and the page is printed all the same.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use examples::Failure;
use futures::executor::block_on;
use scaling_core::chrono::TimeDelta;
use scaling_core::record::{MemoryRecorder, Tee};
use scaling_core::source::{Recording, Replay, parse};
use scaling_core::telemetry::Metrics;
use scaling_core::telemetry::otlp::{self, OtlpError};
use scaling_core::{ApplyMode, Autoscaler, Bounds, BreakerConfig, EngineExt, MemoryApplier, RuleBasedEngine, Target};
use scaling_schedule::{PredictiveConfig, PredictiveEngine};

const HELP: &str = "\
Examples:
  OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 telemetry
  OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4317 OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_SERVICE_NAME=scaler telemetry
  RUST_LOG=scaling_core=debug telemetry --ending-hours-ago 12";

#[derive(Parser)]
#[command(name = "telemetry", version, about = "Traces and metrics of an hour of ticks", after_help = HELP)]
struct Arguments {
    /// The hour that is replayed ends so many hours before the history does.
    #[arg(long, value_name = "HOURS", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=240))]
    ending_hours_ago: u16,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if std::env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT").is_none_or(|endpoint| endpoint.is_empty()) {
        eprintln!(
            "note: no traces are sent; set OTEL_EXPORTER_OTLP_ENDPOINT to the URL of a collector, such as http://localhost:4318"
        );
    }
    // Dropped at the end, which sends the last spans.
    let traces = match otlp::init_with(examples::QUIET) {
        Ok(traces) => traces,
        Err(OtlpError::Config(error)) => return examples::exit(Err(Failure::input(error))),
        Err(error) => return examples::exit(Err(Failure::failed(error))),
    };
    let done = run(&arguments, &mut examples::MayClose(std::io::stdout()));
    // What does not arrive is worth a word, and no failure of the loop.
    if let Err(error) = traces.flush() {
        eprintln!("note: {error}");
    }
    examples::exit(done)
}

fn run(arguments: &Arguments, out: &mut impl Write) -> Result<(), Failure> {
    let history = examples::shop_history();
    let samples = parse::metrics(&examples::read(&history)?, None)
        .map_err(|error| Failure::input(format!("{}: {error}", examples::place(&history))))?;
    let newest =
        samples.iter().map(|sample| sample.timestamp).max().ok_or_else(|| Failure::input("there is no sample"))?;
    let end = newest - TimeDelta::hours(arguments.ending_hours_ago.into());

    let target = Target::deployment("shop", "checkout");
    let source = Replay::new().with(target.clone(), Recording::of_samples(samples));
    let bounds = Bounds::new(2, 12).map_err(Failure::failed)?;
    let applier = MemoryApplier::new().with(target.clone(), bounds);

    // The breaker is inside of the engine; its state is watched from outside.
    let predictive = PredictiveEngine::new(PredictiveConfig::default()).map_err(Failure::failed)?;
    let breaker = predictive.breaker(BreakerConfig::default());
    let metrics = Metrics::new().with_breaker("predictive", breaker.watch());
    let start = Instant::now();
    let engine = metrics.timed(breaker.or_else(RuleBasedEngine::default()), move || start.elapsed());

    let metrics = Arc::new(metrics);
    let autoscaler = Autoscaler::builder()
        .source(source)
        .engine(engine)
        .applier(applier)
        .price(examples::price(0.05, "USD")?)
        // In place of the one in memory: one that keeps the records.
        .recorder(Tee::new().with(MemoryRecorder::new()).with(Arc::clone(&metrics)))
        .mode(ApplyMode::Apply) // in memory
        .build();
    for minute in (0..60).rev() {
        block_on(autoscaler.tick(&target, end - TimeDelta::minutes(minute))).map_err(Failure::failed)?;
    }
    Ok(write!(out, "{}", metrics.render().map_err(Failure::failed)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(arguments: &[&str]) -> Result<String, String> {
        let arguments = Arguments::try_parse_from(std::iter::once(&"telemetry").chain(arguments))
            .map_err(|error| error.to_string())?;
        examples::outcome(|out| run(&arguments, out))
    }

    #[test]
    #[allow(clippy::float_cmp)] // counts
    fn the_page_tells_of_every_tick() {
        let page = page(&["--ending-hours-ago", "12"]).unwrap();
        let sum = |metric: &str| -> f64 {
            let samples = page.lines().filter(|line| line.starts_with(metric));
            samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
        };
        for metric in
            ["ai_scaling_ticks_total", "ai_scaling_decisions_total", "ai_scaling_analysis_latency_seconds_count"]
        {
            assert_eq!(sum(metric), 60.0, "{metric} in {page}");
        }
        assert!(sum("ai_scaling_forecasts_total{result=\"held\"}") > 30.0, "{page}");
        assert_eq!(sum("ai_scaling_signal_absent"), 0.0, "{page}");
        assert!(page.ends_with("# EOF\n"));
    }

    #[test]
    fn an_hour_before_the_history_is_refused_by_the_parser() {
        assert!(page(&["--ending-hours-ago", "100000"]).unwrap_err().contains("0..=240"));
        assert!(page(&["--help"]).unwrap_err().contains("Examples:"));
    }
}
