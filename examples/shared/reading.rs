//! From arguments to metrics: the flags that say how files are read, and what is said of a file before it is used.

use std::path::Path;

use clap::Args;
use scaling_core::backtest::Trace;
use scaling_core::backtest::is_dated;
use scaling_core::chrono::{DateTime, NaiveDateTime, Offset, TimeZone, Utc};
use scaling_core::source::parse::{self, ColumnMapping, Note, Reader, Reading};
use scaling_schedule::{Schedule, Tz};

use crate::Failure;

/// Forms that are read, for `--help`.
pub const FORMS: &str = "\
Files are text in columns (separated by comma, semicolon, tab or pipe, with a header or not), JSON, JSON lines, or the answer of a
Prometheus range query; packed with gzip or not:

  timestamp_s,rps                           Time;CPU (%);requests/s
  1767571200,50.4                           2026-01-05 00:00:00;41,5;50,4      (with --time-zone Europe/Berlin)

  {\"timestamp\":\"2026-01-05T00:00:00Z\",\"current_pod_count\":4,\"cpu_utilization_percent\":41.5}

  curl -G http://prometheus/api/v1/query_range --data-urlencode 'query=sum(rate(http_requests_total[1m]))' \\
      -d start=2026-01-05T00:00:00Z -d end=2026-01-06T00:00:00Z -d step=60 >load.json

Columns are timestamp, request_rate_per_second, cpu_utilization_percent, memory_utilization_percent, response_time_ms,
error_rate_percent, queue_depth, current_pod_count and so on, and the usual names for them.
A column of another name or unit: --column request_rate=requests_per_minute/60 --column cpu='Load average*100'";

/// Arguments for reading metrics.
#[derive(Args, Clone, Debug, Default)]
pub struct ReadingArguments {
    /// Time zone of times that are written without one, of schedules and of printed dates, as Europe/Berlin. By default UTC, and times
    /// without a zone are refused.
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    pub time_zone: Option<Tz>,
    /// A column as a signal; may be given several times. As in request_rate=requests_per_minute/60.
    #[arg(long, value_name = "SIGNAL=HEADER[*FACTOR]")]
    pub column: Vec<ColumnMapping>,
}

impl ReadingArguments {
    /// Returns the zone in use.
    pub fn zone(&self) -> Tz {
        self.time_zone.unwrap_or(Tz::UTC)
    }

    /// Returns the offset of the zone in use to UTC, in seconds, for engines whose facts hold one offset and no zone: that at the end of
    /// the data, so that it is right for what comes next. Days before a change of the clocks are an hour beside it.
    pub fn utc_offset_seconds(&self, end: DateTime<Utc>) -> i32 {
        self.zone().offset_from_utc_datetime(&end.naive_utc()).fix().local_minus_utc()
    }

    /// Reads the instant of an option. One without a zone is by the clock of the zone that is given, else of `usual`.
    ///
    /// # Errors
    /// [`Failure::Input`] with the option if it is none, or no zone is known for it.
    pub fn instant(&self, option: &str, text: &str, usual: Option<Tz>) -> Result<DateTime<Utc>, Failure> {
        let forms = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"];
        let local = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text.trim(), form).ok());
        match (local, self.time_zone.or(usual)) {
            (Some(local), Some(zone)) => {
                let at = zone.from_local_datetime(&local).earliest();
                let at = at.ok_or_else(|| Failure::input(format!("{option}: the clock of {zone} never shows {text}")));
                at.map(|at| at.to_utc())
            }
            _ => parse::instant(text).map_err(|error| Failure::input(format!("{option}: {error} (--time-zone)"))),
        }
    }

    /// Makes the reader.
    pub fn reader(&self) -> Reader {
        let reader = self.column.iter().cloned().fold(Reader::new(), Reader::with_column);
        match self.time_zone {
            Some(zone) => reader.in_zone(zone.name(), zone),
            None => reader,
        }
    }

    /// Reads a trace of this name from the bytes of a file.
    ///
    /// # Errors
    /// [`Failure::Input`] with the file and what is wrong in it.
    pub fn trace(&self, name: &str, path: &Path, bytes: &[u8]) -> Result<Trace, Failure> {
        let bad = |what: &dyn std::fmt::Display| Failure::input(format!("{}: {what}", crate::place(path)));
        let reading = self.reader().read(bytes).map_err(|error| bad(&error))?;
        Trace::of_reading(name, reading).map_err(|error| bad(&error))
    }

    /// Tells from when to when a trace reaches, in the zone in use, and what was taken for granted.
    pub fn notes(&self, trace: &Trace) -> Vec<String> {
        let (start, end) = trace.span();
        let mut notes = vec![self.span(start, end)];
        notes.extend(crate::trace_notes(trace));
        notes
    }

    /// Tells a span of time: `note: data from Mon 2026-01-05 00:00 to Sat 2026-01-10 00:00 UTC`.
    fn span(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> String {
        if !is_dated(start) {
            let hour = |at: DateTime<Utc>| at.timestamp() as f64 / 3600.0;
            return format!(
                "note: data from hour {:.1} to hour {:.1} of a clock without dates",
                hour(start),
                hour(end)
            );
        }
        let zone = self.zone();
        let form = |at: DateTime<Utc>| at.with_timezone(&zone).format("%a %Y-%m-%d %H:%M").to_string();
        let hint = if self.time_zone.is_none() { " (--time-zone)" } else { "" };
        format!("note: data from {} to {} {}{hint}", form(start), form(end), zone.name())
    }
}

/// Tells what was taken for granted in a reading that is no trace, and which numbers in it cannot be.
pub fn notes(reading: &Reading) -> Vec<String> {
    let mut notes: Vec<String> = reading.notes.iter().map(note).collect();
    let impossible = reading.samples.iter().filter_map(|sample| Some((sample.place, sample.impossible.as_ref()?)));
    let (first, count) = (impossible.clone().next(), impossible.count());
    if let Some((place, what)) = first {
        let more = if count > 1 { format!(", and {} more", count - 1) } else { String::new() };
        notes.push(format!("note: {place}: {what}: taken as absent{more}"));
    }
    notes
}

/// Tells one note.
pub fn note(note: &Note) -> String {
    format!("note: {note}")
}

/// Reads a schedule in JSON, as the library writes it.
///
/// # Errors
/// [`Failure::Input`] with the file and what is wrong in it.
pub fn schedule(path: &Path) -> Result<Schedule, Failure> {
    let read = serde_json::from_slice(crate::unmarked(&crate::read(path)?));
    read.map_err(|error| Failure::input(format!("{}: {error}", crate::place(path))))
}

/// Reads the name of a time zone.
///
/// # Errors
/// The names that there are.
pub fn zone(text: &str) -> Result<Tz, String> {
    text.parse()
        .map_err(|_| "there is no such zone; names are those of the IANA database, as Europe/Berlin or UTC".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(zone: Option<&str>, columns: &[&str]) -> ReadingArguments {
        ReadingArguments {
            time_zone: zone.map(|zone| super::zone(zone).unwrap()),
            column: columns.iter().map(|column| column.parse().unwrap()).collect(),
        }
    }

    fn notes_of(arguments: &ReadingArguments, text: &str) -> Result<String, String> {
        match arguments.trace("load", Path::new("/a/load.csv"), text.as_bytes()) {
            Ok(trace) => Ok(arguments.notes(&trace).join("\n")),
            Err(Failure::Input(what)) => Err(what),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_span_is_told_with_dates_and_zone() {
        let text = "timestamp_s,rps\n1767571200,5\n1767571260,6\n";
        assert_eq!(
            notes_of(&arguments(None, &[]), text).unwrap(),
            "note: data from Mon 2026-01-05 00:00 to Mon 2026-01-05 00:02 UTC (--time-zone)"
        );
        assert_eq!(
            notes_of(&arguments(Some("Asia/Kolkata"), &[]), text).unwrap(),
            "note: data from Mon 2026-01-05 05:30 to Mon 2026-01-05 05:32 Asia/Kolkata"
        );
        assert!(super::zone("Berlin").unwrap_err().contains("IANA"));
    }

    #[test]
    fn an_instant_without_a_zone_is_by_the_clock_in_use() {
        let read = |zone, text: &str, usual: Option<Tz>| arguments(zone, &[]).instant("--at", text, usual);
        let at = read(Some("Europe/Berlin"), "2026-01-22T19:00", None).unwrap();
        assert_eq!(at.to_rfc3339(), "2026-01-22T18:00:00+00:00");
        assert_eq!(read(None, "2026-01-22 19:00:00", Some(Tz::Europe__Berlin)).unwrap(), at);
        assert_eq!(read(Some("Asia/Kolkata"), "2026-01-22T18:00:00Z", None).unwrap(), at);
        let error = |zone, text: &str| read(zone, text, None).unwrap_err().to_string();
        assert!(error(None, "2026-01-22T19:00").starts_with("--at: ") && error(None, "noon").contains("noon"));
        assert!(error(Some("Europe/Berlin"), "2026-03-29T02:30").ends_with("never shows 2026-03-29T02:30"));
    }

    #[test]
    fn a_clock_without_dates_tells_hours_and_the_offset_is_that_of_the_end() {
        let noted = notes_of(&arguments(None, &[]), "timestamp_s,rps\n0,5\n3600,6\n").unwrap();
        assert!(noted.starts_with("note: data from hour 0.0 to hour 2.0 of a clock without dates"), "{noted}");
        assert!(noted.contains("60 minutes apart"), "{noted}");
        let berlin = arguments(Some("Europe/Berlin"), &[]);
        // Before and after the clocks are put forward in March 2026.
        let offset = |second| berlin.utc_offset_seconds(DateTime::from_timestamp(second, 0).unwrap());
        assert_eq!((offset(1_774_745_999), offset(1_774_746_000)), (3600, 7200));
        assert_eq!(arguments(None, &[]).utc_offset_seconds(DateTime::UNIX_EPOCH), 0);
    }

    #[test]
    fn the_clock_of_a_zone_is_followed_over_its_changes() {
        // Ten minutes apart, through the hour that comes twice and the one that never is.
        let local = |from: &str, minutes: i64| {
            let start = scaling_core::chrono::NaiveDateTime::parse_from_str(from, "%Y-%m-%d %H:%M").unwrap();
            (start + scaling_core::chrono::TimeDelta::minutes(minutes)).format("%Y-%m-%d %H:%M:%S").to_string()
        };
        let autumn = [("2026-10-25 01:00", 12), ("2026-10-25 02:00", 12)];
        let rows: Vec<_> = autumn
            .iter()
            .flat_map(|(from, count)| (0..*count).map(move |nth| format!("{},5", local(from, nth * 10))))
            .collect();
        let text = format!("timestamp,rps\n{}\n", rows.join("\n"));
        let berlin = arguments(Some("Europe/Berlin"), &[]);
        let noted = notes_of(&berlin, &text).unwrap();
        assert!(noted.contains("read in Europe/Berlin; 12 that the clock showed twice"), "{noted}");
        assert!(!noted.contains("without data") && !noted.contains("out of order"), "{noted}");
        let spring = ["2026-03-29 01:40", "2026-03-29 01:50", "2026-03-29 03:00", "2026-03-29 03:10"];
        let text = format!("timestamp,rps\n{}\n", spring.map(|at| format!("{at},5")).join("\n"));
        let noted = notes_of(&berlin, &text).unwrap();
        assert!(!noted.contains("without data") && !noted.contains("never showed"), "{noted}");
        let error = notes_of(&arguments(None, &[]), &text).unwrap_err();
        assert!(error.starts_with("/a/load.csv: line 2: timestamp: ") && error.contains("give --time-zone"), "{error}");
    }

    #[test]
    fn columns_are_mapped_and_what_is_left_out_is_told() {
        let text = "timestamp_s,requests_per_minute,host\n0,600,a\n60,660,a\n";
        let error = notes_of(&arguments(None, &[]), text).unwrap_err();
        assert!(error.contains("--column 'request_rate_per_second=requests_per_minute/60'"), "{error}");
        let noted = notes_of(&arguments(None, &["request_rate=requests_per_minute/60"]), text).unwrap();
        assert!(noted.contains("note: not read: \"host\""), "{noted}");
    }
}
