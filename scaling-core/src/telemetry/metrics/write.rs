//! The page, from the state.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::counts::Counter;
use super::gauges::Gauges;
use super::{Collected, State};
use crate::metrics::{SignalKind, SignalSet};
use crate::target::Target;

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let state = self.state();
        for counter in state.counts.all() {
            write_counter(counter, &mut encoder)?;
        }
        write_fleet(&state, &mut encoder)?;
        write_targets(&state.targets, &mut encoder)
    }
}

type Labels<'a> = Vec<(&'static str, &'a str)>;

fn write_counter(counter: &Counter, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(counter.name, counter.help, None, MetricType::Counter)?;
    for (values, count) in &counter.values {
        let labels = counter.labels.into_iter().zip(values).filter(|(label, _)| !label.is_empty());
        let labels: Labels<'_> = labels.map(|(label, value)| (label, &**value)).collect();
        if labels.is_empty() {
            // Written as a family it would end in `{}`.
            return ConstCounter::new(*count).encode(metric);
        }
        ConstCounter::new(*count).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

fn write_fleet(state: &State, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "Workloads with series of their own";
    let metric = encoder.encode_descriptor("ai_scaling_targets", help, None, MetricType::Gauge)?;
    ConstGauge::new(i64::try_from(state.targets.len()).unwrap_or(i64::MAX)).encode(metric)?;
    let help = "Workloads for which the engine is not asked, because it failed too often";
    let mut metric = encoder.encode_descriptor("ai_scaling_breaker_open_targets", help, None, MetricType::Gauge)?;
    for (engine, watch) in &state.breakers {
        let open = i64::try_from(watch.open(state.newest)).unwrap_or(i64::MAX);
        ConstGauge::new(open).encode(metric.encode_family(&vec![("engine", engine)])?)?;
    }
    let help = "Workloads for which the engine failed when it was last asked";
    let mut metric = encoder.encode_descriptor("ai_scaling_breaker_failing_targets", help, None, MetricType::Gauge)?;
    for (engine, watch) in &state.breakers {
        let failing = i64::try_from(watch.failing()).unwrap_or(i64::MAX);
        ConstGauge::new(failing).encode(metric.encode_family(&vec![("engine", engine)])?)?;
    }
    Ok(())
}

/// A gauge of a workload: name, help, and its value where it is known.
type Gauge = (&'static str, &'static str, fn(&Gauges) -> Option<f64>);

const GAUGES: [Gauge; 11] = [
    ("last_tick_timestamp_seconds", "Instant of the newest tick, in seconds since 1970", |gauges| {
        gauges.at.map(|at| at.timestamp_millis() as f64 / 1000.0)
    }),
    ("source_up", "1 if the source answered in the newest tick, otherwise 0", |gauges| {
        Some(f64::from(u8::from(gauges.source_up)))
    }),
    ("source_age_seconds", "Age of the newest metrics at the newest tick", Gauges::source_age),
    ("current_replicas", "Pods asked for now", |gauges| gauges.current.map(f64::from)),
    ("wanted_replicas", "Pods that the engine wants, before guards", |gauges| gauges.wanted.map(f64::from)),
    ("floor_replicas", "Pods that must be there: a schedule, a forecast or an event", |gauges| {
        gauges.floor.map(f64::from)
    }),
    ("min_replicas", "Min of the HPA, as the newest tick left it", |gauges| {
        gauges.bounds.map(|bounds| bounds.min().into())
    }),
    ("max_replicas", "Max of the HPA, as the newest tick left it", |gauges| {
        gauges.bounds.map(|bounds| bounds.max().into())
    }),
    ("resting_min_replicas", "Min that the owner of the HPA set", |gauges| {
        gauges.resting.map(|bounds| bounds.min().into())
    }),
    ("resting_max_replicas", "Max that the owner of the HPA set", |gauges| {
        gauges.resting.map(|bounds| bounds.max().into())
    }),
    ("forecast_quantile", "Share of the forecasts that should hold", |gauges| gauges.forecasts.quantile),
];

fn write_targets(targets: &BTreeMap<Target, Gauges>, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    for (name, help, value) in GAUGES {
        let name = format!("ai_scaling_{name}");
        let mut metric = encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?;
        for (target, gauges) in targets {
            if let Some(value) = value(gauges) {
                ConstGauge::new(value).encode(metric.encode_family(&labels(target, None))?)?;
            }
        }
    }
    let help = "1 for a declared signal without a usable value, 0 for one with a value";
    let mut metric = encoder.encode_descriptor("ai_scaling_signal_absent", help, None, MetricType::Gauge)?;
    for (target, gauges) in targets {
        for signal in gauges.declared.into_iter().flat_map(SignalSet::iter) {
            let labels = labels(target, Some(("signal", SignalKind::field(signal))));
            ConstGauge::new(i64::from(gauges.absent.contains(signal))).encode(metric.encode_family(&labels)?)?;
        }
    }
    let help = "What the newest decision saves each hour, if it lasts; below 0 for what it costs more";
    let name = "ai_scaling_estimated_savings_per_hour";
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (target, gauges) in targets {
        if let Some((amount, currency)) = &gauges.savings {
            let labels = labels(target, Some(("currency", currency.code())));
            ConstGauge::new(*amount).encode(metric.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

/// Labels of a workload. With a prefix, because a scrape inside Kubernetes adds a `namespace` of its own to every series.
fn labels<'a>(target: &'a Target, more: Option<(&'static str, &'a str)>) -> Labels<'a> {
    let cluster = target.cluster.as_deref().map(|cluster| ("target_cluster", cluster));
    let name =
        [("target_namespace", &*target.namespace), ("target_kind", &*target.kind), ("target_name", &*target.name)];
    cluster.into_iter().chain(name).chain(more).collect()
}
