//! An engine as a process, for other languages and for evaluators: JSON lines in, JSON lines out.
//!
//!     cargo run --release --example policy_stdio -- --engine rules < ticks.jsonl
//!
//! First line in: `{"config":{"pod_capacity":50.0,"startup_s":60,"min":1,"max":200,"tick_s":15.0,"metrics_lag_s":30,
//! "metrics_window_s":60,"start_second_of_day":28800.0,"knob":"0.95","history":[[0.0,812.4],[60.0,801.9]]}}` (unknown keys are
//! ignored, missing ones have these defaults and no history). Then a line for each tick, and for each a line out:
//! `{"t":604800.0,"rps":790.2,"utilization":0.71,"ready":22,"starting":0,"desired":22,"queue":0.0}` → `{"desired":24}`. `rps`,
//! `utilization` and `queue` are means over the window that ended `metrics_lag_s` ago. A bad line: its number on stderr, exit 2.
//!
//! The knob of `rules` (as they are by default) and `tracking` (the rules as they follow demand closely) is the utilization of capacity
//! to aim for; that of `predictive` is the share of requests that may wait for more than a second, on the long run: 0.01 by default.

use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use examples::Failure;
use futures::executor::block_on;
use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::source::Accumulator;
use scaling_core::{
    Bounds, DecisionEngine, MetricsHistory, Observation, RuleBasedEngine, RuleConfig, ScalingMetrics, SignalKind,
    Target, WorkloadFacts,
};
use scaling_schedule::{PredictiveConfig, PredictiveEngine};
use serde::Deserialize;

/// The engines that can be asked for.
const ENGINES: &str = "rules, predictive, tracking";
/// The longest lag, start-up or tick, in seconds: a week.
const LONGEST_S: f64 = 604_800.0;
/// History kept: 14 days of ticks.
const KEPT: usize = 90_000;

const EXAMPLES: &str = r#"Example:
  cargo run --release --example policy_stdio -- --engine predictive < ticks.jsonl

where ticks.jsonl is a line of configuration, then a line for each tick, each answered by a line such as {"desired":24}:
  {"config":{"pod_capacity":50.0,"startup_s":60,"min":1,"max":200,"tick_s":15.0,"history":[[0.0,812.4],[60.0,801.9]]}}
  {"t":604800.0,"rps":790.2,"utilization":0.71,"ready":22,"starting":0,"desired":22,"queue":0.0}"#;

#[derive(Parser)]
#[command(
    name = "policy_stdio",
    version,
    about = "An engine as a process: JSON lines in, JSON lines out",
    after_help = EXAMPLES
)]
struct Arguments {
    /// The engine.
    #[arg(long, default_value = "rules")]
    engine: String,
    /// Its one knob; the knob in the configuration line comes first.
    #[arg(long)]
    knob: Option<f64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    examples::exit(run(&arguments, std::io::stdin().lock(), &mut std::io::stdout().lock()))
}

#[derive(Deserialize)]
struct First {
    config: Config,
}

#[derive(Deserialize)]
#[serde(default)]
struct Config {
    pod_capacity: f64,
    startup_s: f64,
    min: u32,
    max: u32,
    tick_s: f64,
    metrics_lag_s: f64,
    metrics_window_s: f64,
    start_second_of_day: f64,
    knob: Option<Knob>,
    history: Vec<(f64, f64)>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            pod_capacity: 50.0,
            startup_s: 60.0,
            min: 1,
            max: 200,
            tick_s: 15.0,
            metrics_lag_s: 30.0,
            metrics_window_s: 60.0,
            start_second_of_day: 28_800.0,
            knob: None,
            history: Vec::new(),
        }
    }
}

/// A number, or a number as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Knob {
    Number(f64),
    Text(String),
}

#[derive(Deserialize)]
struct Tick {
    t: f64,
    rps: f64,
    utilization: f64,
    ready: u32,
    #[serde(default)]
    starting: u32,
    desired: u32,
    #[serde(default)]
    queue: f64,
}

fn run(arguments: &Arguments, input: impl BufRead, out: &mut impl Write) -> Result<(), Failure> {
    let mut lines = input.lines().enumerate();
    let Some((_, first)) = lines.next() else {
        return Err(Failure::input("line 1: there is no configuration"));
    };
    let bad = |line: usize, what: &dyn std::fmt::Display| Failure::input(format!("line {}: {what}", line + 1));
    let First { config } = serde_json::from_str(&first?).map_err(|error| bad(0, &error))?;
    let mut policy = Policy::new(&arguments.engine, arguments.knob, config).map_err(|what| bad(0, &what))?;
    for (number, line) in lines {
        let line = line.map_err(|error| bad(number, &error))?;
        let tick: Tick = serde_json::from_str(&line).map_err(|error| bad(number, &error))?;
        let desired = policy.decide(&tick).map_err(|what| bad(number, &what))?;
        writeln!(out, "{{\"desired\":{desired}}}")?;
        out.flush()?;
    }
    Ok(())
}

/// An engine with what it has seen.
struct Policy {
    engine: Box<dyn DecisionEngine>,
    bounds: Bounds,
    origin: DateTime<Utc>,
    target: Arc<Target>,
    past: Vec<ScalingMetrics>,
    facts: WorkloadFacts,
    samples: Accumulator,
    /// Time of the tick before.
    last: Option<f64>,
}

impl Policy {
    fn new(engine: &str, knob: Option<f64>, config: Config) -> Result<Self, String> {
        let knob = match &config.knob {
            Some(Knob::Number(number)) => Some(*number),
            Some(Knob::Text(text)) => Some(text.trim().parse().map_err(|_| format!("knob {text:?} is not a number"))?),
            None => knob,
        };
        let seconds = |name: &str, value: f64| {
            let within = (0.0..=LONGEST_S).contains(&value);
            if within {
                Ok(Duration::from_secs_f64(value))
            } else {
                Err(format!("{name} is {value}; 0 to {LONGEST_S} is possible"))
            }
        };
        if !(config.pod_capacity.is_finite() && config.pod_capacity > 0.0) {
            return Err(format!("pod_capacity is {}; it must be above 0", config.pod_capacity));
        }
        let mut facts = WorkloadFacts::default();
        facts.pod_capacity = Some(config.pod_capacity);
        facts.start_up = seconds("startup_s", config.startup_s)?;
        facts.sync_period = seconds("tick_s", config.tick_s)?;
        facts.metrics_lag = seconds("metrics_lag_s", config.metrics_lag_s)?;
        facts.metrics_window = seconds("metrics_window_s", config.metrics_window_s)?;
        // 1970-01-05 was a Monday; the second of the day is all that is known of the date.
        let origin = instant(DateTime::UNIX_EPOCH + TimeDelta::days(4), config.start_second_of_day)?;
        let mut policy = Self {
            engine: engine_by_name(engine, knob)?,
            bounds: Bounds::new(config.min, config.max).map_err(|error| error.to_string())?,
            origin,
            target: Arc::new(Target::deployment("policy", "workload")),
            past: Vec::new(),
            facts,
            samples: Accumulator::continuing(Arc::new(MetricsHistory::with_limit(KEPT))),
            last: None,
        };
        for (t, rate) in config.history {
            let mut sample = ScalingMetrics::new(instant(policy.origin, t)?, 0).with(SignalKind::RequestRate, rate);
            sample.current_pod_count = None;
            policy.past.push(sample);
        }
        Ok(policy)
    }

    /// The history that came with the configuration, up to what can be known when the first tick comes.
    ///
    /// Its times are taken for the starts of its minutes, so that each mean is known a minute later; if that would put its end
    /// into the future, they were the ends.
    fn settle_past(&mut self, seen: DateTime<Utc>) {
        let mut past = std::mem::take(&mut self.past);
        let minute = TimeDelta::minutes(1);
        let newest = past.iter().map(|sample| sample.timestamp).max();
        if newest.is_some_and(|newest| newest + minute <= seen + self.lag() + minute / 2) {
            for sample in &mut past {
                sample.timestamp += minute;
            }
        }
        past.retain(|sample| sample.timestamp < seen);
        let (history, _) = MetricsHistory::from_unordered(past);
        self.samples = Accumulator::continuing(Arc::new(history.limited(KEPT)));
    }

    fn lag(&self) -> TimeDelta {
        TimeDelta::from_std(self.facts.metrics_lag).unwrap_or(TimeDelta::MAX)
    }

    fn decide(&mut self, tick: &Tick) -> Result<u32, String> {
        for (name, value) in [("rps", tick.rps), ("utilization", tick.utilization), ("queue", tick.queue)] {
            if value < 0.0 {
                return Err(format!("{name} is {value}; it cannot be below 0"));
            }
        }
        let at = instant(self.origin, tick.t)? - self.lag();
        if let Some(before) = self.last.replace(tick.t).filter(|before| tick.t <= *before) {
            return Err(format!("t is {}, not after the {before} of the tick before", tick.t));
        }
        if !self.past.is_empty() {
            self.settle_past(at);
        }
        let mut current = ScalingMetrics::new(at, tick.ready)
            .with(SignalKind::RequestRate, tick.rps)
            .with(SignalKind::CpuUtilization, tick.utilization * 100.0)
            .with(SignalKind::QueueDepth, tick.queue);
        current.desired_pod_count = Some(tick.desired.max(tick.ready.saturating_add(tick.starting)));
        self.samples.push(current.clone(), at).map_err(|error| error.to_string())?;
        let observation = Observation::new(Arc::clone(&self.target), current)
            .with_history(self.samples.history().clone())
            .with_facts(self.facts.clone());
        let decision = block_on(self.engine.decide(&observation)).map_err(|error| error.to_string())?;
        Ok(self.bounds.clamp(decision.wanted()))
    }
}

/// An engine and what its knob means.
fn engine_by_name(name: &str, knob: Option<f64>) -> Result<Box<dyn DecisionEngine>, String> {
    match name {
        "rules" | "tracking" => {
            let mut config = if name == "rules" { RuleConfig::default() } else { RuleConfig::tracking() };
            if let Some(knob) = knob {
                config.learnt_target_percent = knob * 100.0;
                config.target_cpu_percent = knob * 100.0;
            }
            Ok(Box::new(RuleBasedEngine::new(config).map_err(|error| format!("knob: {error}"))?))
        }
        "predictive" => {
            let mut config = PredictiveConfig::default();
            if let Some(knob) = knob {
                config.violating_share = knob;
            }
            let engine = PredictiveEngine::new(config).map_err(|error| format!("knob: {error}"))?;
            Ok(Box::new(engine))
        }
        _ => Err(format!("there is no engine {name:?}; there are: {ENGINES}")),
    }
}

#[allow(clippy::cast_possible_truncation)] // checked to be small
fn instant(origin: DateTime<Utc>, seconds: f64) -> Result<DateTime<Utc>, String> {
    let milliseconds = (seconds * 1000.0).round();
    let within = milliseconds.abs() < 1e14;
    within
        .then(|| origin.checked_add_signed(TimeDelta::milliseconds(milliseconds as i64)))
        .flatten()
        .ok_or_else(|| format!("{seconds} s is no time that can be dealt with"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(input: &str) -> Result<String, String> {
        output_of("rules", input)
    }

    fn output_of(engine: &str, input: &str) -> Result<String, String> {
        let arguments = Arguments { engine: engine.into(), knob: None };
        examples::outcome(|out| run(&arguments, input.as_bytes(), out))
    }

    /// Ticks with a knob that the engine takes.
    fn ticks(engine: &str, rates: &[f64]) -> String {
        let knob = if engine == "predictive" { 0.01 } else { 0.9 };
        let history: Vec<_> = (0..600).map(|i| format!("[{}.0,{}]", i * 60, 800 + i % 7)).collect();
        let mut input =
            format!("{{\"config\":{{\"knob\":\"{knob}\",\"extra\":1,\"history\":[{}]}}}}\n", history.join(","));
        for (i, rate) in rates.iter().enumerate() {
            let t = 600 * 60 + 30 + 15 * (i + 1);
            let tick = format!(
                "{{\"t\":{t}.0,\"rps\":{rate},\"utilization\":0.8,\"ready\":20,\"starting\":0,\"desired\":20,\"queue\":0.0}}"
            );
            input.push_str(&tick);
            input.push('\n');
        }
        input
    }

    #[test]
    fn a_line_for_each_tick() {
        for engine in ["rules", "predictive"] {
            let text = output_of(engine, &ticks(engine, &[800.0; 8])).unwrap();
            assert_eq!(text.lines().count(), 8);
            for line in text.lines() {
                let value: serde_json::Value = serde_json::from_str(line).unwrap();
                let desired = value["desired"].as_u64().unwrap();
                assert!((16..=22).contains(&desired), "{engine}: {line}");
            }
        }
    }

    #[test]
    fn rising_load_is_met_with_more_pods() {
        let text = output(&ticks("rules", &[800.0, 800.0, 900.0, 1000.0, 1100.0])).unwrap();
        let last = text.lines().last().unwrap();
        let value: serde_json::Value = serde_json::from_str(last).unwrap();
        assert!(value["desired"].as_u64() >= Some(24), "{last}");
    }

    #[test]
    fn nothing_looks_ahead() {
        let first = |text: String| text.lines().take(4).map(ToOwned::to_owned).collect::<Vec<_>>();
        for engine in ["rules", "predictive"] {
            let rates = [[800.0; 6], [800.0, 800.0, 800.0, 800.0, 4000.0, 9000.0]];
            let [calm, wild] = rates.map(|rates| first(output_of(engine, &ticks(engine, &rates)).unwrap()));
            assert_eq!(calm, wild, "{engine}");
        }
    }

    #[test]
    fn bad_lines_are_named() {
        assert!(output("").unwrap_err().contains("line 1"));
        assert!(output("{}").unwrap_err().contains("line 1"));
        assert!(output("{\"config\":{\"knob\":\"x\"}}").unwrap_err().contains("knob"));
        assert!(output("{\"config\":{\"min\":5,\"max\":2}}").unwrap_err().contains("above max"));
        assert!(output("{\"config\":{\"pod_capacity\":0}}").unwrap_err().contains("pod_capacity"));
        for engine in ["rules", "predictive"] {
            assert!(output_of(engine, "{\"config\":{\"knob\":-1}}").unwrap_err().contains("knob"));
        }
        assert!(output_of("oracle", "{\"config\":{}}").unwrap_err().contains("rules, predictive"));
        let good = "{\"t\":60,\"rps\":1,\"utilization\":0.1,\"ready\":1,\"desired\":1}";
        assert!(output(&format!("{{\"config\":{{}}}}\n{good}\nnot json")).unwrap_err().contains("line 3"));
        assert!(output(&format!("{{\"config\":{{}}}}\n{good}\n{good}")).unwrap_err().contains("line 3"));
        let back = good.replace("60", "45");
        let error = output(&format!("{{\"config\":{{}}}}\n{good}\n{back}")).unwrap_err();
        assert!(error.contains("line 3: t is 45, not after the 60"), "{error}");
        let negative = good.replace("\"rps\":1", "\"rps\":-5");
        let error = output(&format!("{{\"config\":{{}}}}\n{negative}")).unwrap_err();
        assert!(error.contains("line 2: rps is -5; it cannot be below 0"), "{error}");
    }
}
