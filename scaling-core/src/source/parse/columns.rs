//! The names of columns: which signal a head speaks of, as far as the head alone can say.
//!
//! Nothing is converted by a name alone: a head with another unit (`requests_per_minute`) is not read, and the hint says which
//! mapping reads it. A wrong guess would be a load wrong by a factor of 60.

use super::instants::EpochUnit;
use crate::metrics::SignalKind;

/// Meaning of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Time,
    ReadyPods,
    DesiredPods,
    Quantile,
    Signal(SignalKind),
}

impl Column {
    /// Every column that a mapping can name.
    const ALL: [Self; 11] = {
        let [cpu, memory, rate, response, error, connections, queue] = SignalKind::ALL;
        let signal = Self::Signal;
        [
            Self::Time,
            Self::ReadyPods,
            Self::DesiredPods,
            Self::Quantile,
            signal(cpu),
            signal(memory),
            signal(rate),
            signal(response),
            signal(error),
            signal(connections),
            signal(queue),
        ]
    };

    pub(super) fn index(self) -> usize {
        match self {
            Self::Time => 0,
            Self::ReadyPods => 1,
            Self::DesiredPods => 2,
            Self::Quantile => 3,
            Self::Signal(kind) => 4 + kind.index(),
        }
    }

    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Time => "timestamp",
            Self::ReadyPods => "current_pod_count",
            Self::DesiredPods => "desired_pod_count",
            Self::Quantile => "response_time_quantile",
            Self::Signal(kind) => kind.field(),
        }
    }

    /// Other names, in the normal form of [`normal`].
    fn aliases(self) -> impl Iterator<Item = &'static str> {
        self.alias_list().split_ascii_whitespace()
    }

    fn alias_list(self) -> &'static str {
        match self {
            Self::Time => {
                "time date datetime date_time t ts at instant epoch unix unixtime unix_time unix_timestamp event_time"
            }
            Self::ReadyPods => {
                "\
                pod_count pods replicas ready_pods pods_ready ready_replicas current_pods current_replicas \
                pod_number"
            }
            Self::DesiredPods => "desired_pods desired_replicas spec_replicas",
            Self::Quantile => "",
            Self::Signal(SignalKind::CpuUtilization) => {
                "\
                cpu cpu_percent cpu_pct cpu_util cpu_utilization cpu_utilisation cpu_usage_percent cpu_util_percent \
                cpu_utilisation_percent cpu_utilization_pct cpu_usage_pct percent_cpu"
            }
            Self::Signal(SignalKind::MemoryUtilization) => {
                "\
                memory_percent memory_pct memory_util memory_utilization memory_utilisation memory_usage_percent \
                memory_utilisation_percent memory_util_percent mem_percent mem_pct mem_util mem_utilization \
                mem_utilization_percent mem_usage_percent percent_memory"
            }
            Self::Signal(SignalKind::RequestRate) => {
                "\
                rps qps request_rate requests_rate requests_per_second requests_per_sec requests_per_s \
                request_per_second requests_rps request_rate_rps request_rate_per_s request_rate_per_sec \
                request_rate_req_per_s req_per_s req_per_sec req_per_second reqs_per_s reqs_per_second reqps \
                queries_per_second queries_per_s http_requests_per_second http_rps throughput_rps load_rps \
                calls_per_second"
            }
            Self::Signal(SignalKind::ResponseTime) => {
                "\
                response_time response_ms latency latency_ms response_time_milliseconds duration_ms \
                request_duration_ms request_latency_ms response_latency_ms"
            }
            Self::Signal(SignalKind::ErrorRate) => {
                "error_rate error_percent errors_percent error_pct errors_pct error_rate_pct failed_percent"
            }
            Self::Signal(SignalKind::ActiveConnections) => "connections open_connections connection_count conns",
            Self::Signal(SignalKind::QueueDepth) => {
                "\
                queue queue_length queue_len queue_size queued queued_requests backlog pending_requests lag_messages \
                queue_messages"
            }
        }
    }
}

/// Meaning of a head.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Head {
    /// A column that is read, and the quantile that its name says.
    Known(Column, Option<f64>),
    /// A signal in another unit, and the factor that converts it.
    OtherUnit(SignalKind, &'static str),
    /// Something that is no load, whatever it is.
    OtherThing,
    /// A name that says nothing.
    Unknown,
}

/// Endings of names by the signal, with what converts their unit.
const OTHER_UNITS: [(&[&str], &[&str], SignalKind, &str); 7] = [
    (
        &["request", "requests", "req", "reqs", "queries", "calls", "rate", "hits"],
        &["per_minute", "per_min", "per_m"],
        SignalKind::RequestRate,
        "/60",
    ),
    (&["rpm", "qpm"], &["rpm", "qpm"], SignalKind::RequestRate, "/60"),
    (
        &["request", "requests", "req", "reqs", "queries", "calls", "rate", "hits"],
        &["per_hour", "per_h"],
        SignalKind::RequestRate,
        "/3600",
    ),
    (&["latency", "response", "duration"], &["_s", "_sec", "_seconds"], SignalKind::ResponseTime, "*1000"),
    (&["cpu"], &["ratio", "fraction", "share"], SignalKind::CpuUtilization, "*100"),
    (&["memory", "mem"], &["ratio", "fraction", "share"], SignalKind::MemoryUtilization, "*100"),
    (&["error", "errors"], &["ratio", "fraction", "share"], SignalKind::ErrorRate, "*100"),
];

/// Words of heads that speak of something that is no load.
const NO_LOAD: [&str; 20] = [
    "cpu",
    "memory",
    "mem",
    "bytes",
    "cores",
    "millicores",
    "latency",
    "duration",
    "seconds",
    "response",
    "error",
    "errors",
    "percent",
    "ratio",
    "temperature",
    "disk",
    "pod",
    "pods",
    "replicas",
    "connections",
];

/// Reads a head.
pub(super) fn head(text: &str) -> Head {
    let name = normal(text);
    if let Some(column) =
        Column::ALL.into_iter().find(|column| column.field() == name || column.aliases().any(|alias| alias == name))
    {
        return Head::Known(column, None);
    }
    if let Some((_, _)) = time_unit(text) {
        return Head::Known(Column::Time, None);
    }
    if is_query(text) {
        let lower = text.to_ascii_lowercase();
        let is_other = ["histogram_quantile", "cpu", "memory"].iter().any(|word| lower.contains(word));
        return if is_other { Head::OtherThing } else { Head::Unknown };
    }
    if let Some(quantile) = quantile_of(&name) {
        return Head::Known(Column::Signal(SignalKind::ResponseTime), Some(quantile));
    }
    let words: Vec<&str> = name.split('_').collect();
    let other = OTHER_UNITS.iter().find(|(subjects, endings, _, _)| {
        subjects.iter().any(|subject| words.contains(subject)) && endings.iter().any(|ending| name.ends_with(ending))
    });
    match other {
        Some((_, _, kind, factor)) => Head::OtherUnit(*kind, factor),
        None if words.iter().any(|word| NO_LOAD.contains(word)) => Head::OtherThing,
        None => Head::Unknown,
    }
}

/// Returns the unit that the head of a column of instants says, and whether it says UTC; none if the head is of another kind.
pub(super) fn time_unit(text: &str) -> Option<(Option<EpochUnit>, bool)> {
    let name = normal(text);
    let is_time = |name: &str| name == Column::Time.field() || Column::Time.aliases().any(|alias| alias == name);
    if is_time(&name) {
        return Some((None, false));
    }
    let (name, ending) = name.rsplit_once('_')?;
    let unit = match ending {
        "s" | "sec" | "seconds" => Some(EpochUnit::Seconds),
        "ms" | "millis" | "milliseconds" => Some(EpochUnit::Milliseconds),
        "us" | "micros" | "microseconds" => Some(EpochUnit::Microseconds),
        "ns" | "nanos" | "nanoseconds" => Some(EpochUnit::Nanoseconds),
        "utc" | "gmt" => None,
        _ => return None,
    };
    is_time(name).then_some((unit, unit.is_none()))
}

/// Returns the quantile in the name of a response time in milliseconds: `latency_p95_ms`, `p99`.
fn quantile_of(name: &str) -> Option<f64> {
    let mut quantile = None;
    let mut words = Vec::new();
    for word in name.split('_') {
        match word
            .strip_prefix('p')
            .filter(|digits| (2..=4).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()))
        {
            Some(digits) => quantile = format!("0.{digits}").parse().ok(),
            None => words.push(word),
        }
    }
    let rest = words.join("_");
    let kind = Column::Signal(SignalKind::ResponseTime);
    (rest.is_empty() || rest == "ms" || rest == kind.field() || kind.aliases().any(|alias| alias == rest))
        .then_some(quantile)?
}

/// The normal form of a name: lower case, words joined by underscores, units spelt out.
fn normal(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '%' => name.push_str("_percent_"),
            '/' => name.push_str("_per_"),
            c if c.is_alphanumeric() => name.extend(c.to_lowercase()),
            _ => name.push('_'),
        }
    }
    name.split('_').filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_")
}

/// True for the text of a query or a set of labels, which Grafana writes as the head of a column.
fn is_query(text: &str) -> bool {
    text.contains('{')
        || (text.contains('(') && !text.trim_end().ends_with("(%)") && !text.contains(" ("))
        || text.contains('[') && text.contains('(')
}

/// Returns the name of a counter if a head or a query shows one without its rate being taken: by the endings that Prometheus
/// prescribes.
pub(super) fn counter_in(text: &str) -> Option<&str> {
    let lower = text.to_ascii_lowercase();
    if ["rate(", "increase(", "delta(", "deriv("].iter().any(|function| lower.contains(function)) {
        return None;
    }
    let mut names = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    names
        .find(|name| {
            ["_total", "_count", "_sum", "_bucket"]
                .iter()
                .any(|ending| name.len() > ending.len() && name.ends_with(ending))
        })
        // Known names such as current_pod_count end alike.
        .filter(|name| matches!(head(name), Head::Unknown | Head::OtherThing))
}

/// The names that are read.
pub(super) fn canonical() -> [&'static str; 11] {
    Column::ALL.map(Column::field)
}

/// Returns what to do about a name that is not read.
pub(super) fn hint(name: &str) -> Option<String> {
    let shown = super::error::quoted(name);
    match head(name) {
        Head::OtherUnit(kind, factor) => Some(format!("--column '{}={shown}{factor}' reads {shown:?}", kind.field())),
        Head::Known(..) => None,
        Head::OtherThing | Head::Unknown => nearest(name).map(|known| format!("did you mean {known:?} by {shown:?}?")),
    }
}

/// Returns the known name that a name is most like, if it is like one.
fn nearest(name: &str) -> Option<&'static str> {
    if name.len() > 60 {
        return None;
    }
    let name = normal(name);
    let every = Column::ALL
        .into_iter()
        .flat_map(|column| std::iter::once(column.field()).chain(column.aliases()).map(move |alias| (alias, column)));
    let likeness = every.map(|(alias, column)| (strsim::normalized_damerau_levenshtein(&name, alias), column));
    let (best, column) = likeness.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (best >= 0.6).then(|| column.field())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_known_by_what_they_say_and_never_converted_by_name() {
        use SignalKind::*;
        for (text, kind) in [
            ("rps", RequestRate),
            ("requests/s", RequestRate),
            ("Requests per second", RequestRate),
            ("request rate (req/s)", RequestRate),
            ("CPU (%)", CpuUtilization),
            ("cpu_percent", CpuUtilization),
            ("CPU utilization [%]", CpuUtilization),
            ("Memory %", MemoryUtilization),
            ("Latency (ms)", ResponseTime),
            ("Error rate (%)", ErrorRate),
            ("Queue Length", QueueDepth),
        ] {
            assert_eq!(head(text), Head::Known(Column::Signal(kind), None), "{text}");
        }
        assert_eq!(head("latency_p95_ms"), Head::Known(Column::Signal(ResponseTime), Some(0.95)));
        assert_eq!(head("P99 latency (ms)"), Head::Known(Column::Signal(ResponseTime), Some(0.99)));
        for (text, kind, factor) in [
            ("requests_per_minute", RequestRate, "/60"),
            ("Requests/min", RequestRate, "/60"),
            ("rpm", RequestRate, "/60"),
            ("response_time_seconds", ResponseTime, "*1000"),
            ("latency (s)", ResponseTime, "*1000"),
            ("cpu_utilization_ratio", CpuUtilization, "*100"),
        ] {
            assert_eq!(head(text), Head::OtherUnit(kind, factor), "{text}");
        }
        for text in ["Time", "timestamp_s", "@timestamp", "_time", "Time (UTC)", "epoch_ms", "Date"] {
            assert_eq!(head(text), Head::Known(Column::Time, None), "{text}");
        }
        for text in [
            "sum(rate(http_requests_total[1m]))",
            "{app=\"checkout\"}",
            "Value",
            "web",
            "sum(rate(http_request_duration_seconds_count[5m]))",
        ] {
            assert_eq!(head(text), Head::Unknown, "{text}");
        }
        for text in ["memory_bytes", "avg(cpu_usage{job=\"a\"})", "temperature", "histogram_quantile(0.9, x)"] {
            assert_eq!(head(text), Head::OtherThing, "{text}");
        }
    }

    #[test]
    fn counters_are_known_by_their_names() {
        assert_eq!(counter_in("http_requests_total"), Some("http_requests_total"));
        assert_eq!(counter_in("sum(http_requests_total{job=\"web\"})"), Some("http_requests_total"));
        assert_eq!(counter_in("http_request_duration_seconds_count"), Some("http_request_duration_seconds_count"));
        for text in
            ["sum(rate(http_requests_total[1m]))", "rps", "current_pod_count", "total", "increase(x_total[5m])/300"]
        {
            assert_eq!(counter_in(text), None, "{text}");
        }
    }

    #[test]
    fn a_name_that_is_not_known_gets_the_nearest_that_is() {
        assert_eq!(nearest("reqest_rate_per_sec"), Some("request_rate_per_second"));
        assert_eq!(nearest("cpu_utilizaton"), Some("cpu_utilization_percent"));
        assert_eq!(nearest("colour"), None);
        assert_eq!(
            hint("requests_per_minute").unwrap(),
            "--column 'request_rate_per_second=requests_per_minute/60' reads \"requests_per_minute\""
        );
    }
}
