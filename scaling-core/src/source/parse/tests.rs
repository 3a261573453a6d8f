use super::*;
use crate::metrics::{Absence, SignalKind};

fn read(text: &str) -> Result<Reading, String> {
    Reader::new().read(text.as_bytes()).map_err(|error| error.to_string())
}

fn parse(text: &str) -> Result<Vec<ScalingMetrics>, String> {
    read(text).map(Reading::into_metrics)
}

fn notes(text: &str) -> String {
    let notes = read(text).unwrap().notes;
    notes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Rates by second.
fn rates(reading: &Reading) -> Vec<(i64, Option<f64>)> {
    let rate = |placed: &Placed| (placed.metrics.timestamp.timestamp(), placed.metrics.value(SignalKind::RequestRate));
    reading.samples.iter().map(rate).collect()
}

#[test]
fn object_array_and_lines_read_alike() {
    let object = r#"{"timestamp":"2026-01-05T10:00:00Z","current_pod_count":3,"cpu_utilization_percent":40.5}"#;
    let one = parse(object).unwrap();
    assert_eq!(one, parse(&format!("[{object}]")).unwrap());
    assert_eq!(one, parse(&format!("{object}\n\n")).unwrap());
    assert_eq!(one, parse(&object.replace(',', ",\n")).unwrap());
    assert_eq!(one[0].value(SignalKind::CpuUtilization), Some(40.5));
}

#[test]
fn faults_name_the_line_and_the_field() {
    let good = r#"{"timestamp":1,"current_pod_count":3}"#;
    for (bad, place, what) in [
        (r#"{"timestamp":2,"cpu_utilization_percent":"high"}"#, "line 2", "cpu_utilization_percent"),
        (r#"{"timestamp":2,"cpu_utilization_percent":[4]}"#, "line 2", "cpu_utilization_percent"),
        (r#"{"timestamp":2,"current_pod_count":2.5}"#, "line 2", "current_pod_count"),
        (r#"{"timestamp":2,"current_pod_count":-1}"#, "line 2", "current_pod_count"),
        (r#"{"timestamp":2,"current_pod_count":1e12}"#, "line 2", "current_pod_count"),
        (r#"{"timestamp":"noon","current_pod_count":1}"#, "line 2", "timestamp"),
        (r#"{"timestamp":1e300,"current_pod_count":1}"#, "line 2", "timestamp"),
        (r#"{"timestamp":2,"cpu":NaN}"#, "line 2", "not JSON"),
        (r#"{"timestamp":2,"#, "line 2", "not JSON"),
        (r#"{"hello":1}"#, "line 2", "no known field; found \"hello\""),
        (r#"{"current_pod_count":1}"#, "line 2", "timestamp is missing"),
        (r#"{"timestamp":2,"rps":1,"qps":1}"#, "line 2", "are both request_rate_per_second"),
        (r#"{"timestamp":2,"response_time_quantile":7}"#, "line 2", "not within 0..=1"),
        ("7", "line 2", "must be an object"),
    ] {
        let error = parse(&format!("{good}\n{bad}")).unwrap_err();
        assert!(error.contains(place) && error.contains(what), "{bad}: {error}");
    }
    assert!(parse("").unwrap_err().contains("empty"));
    assert!(parse("[]").unwrap_err().contains("empty"));
    assert!(metrics(&[0x7b, 0xff], None).is_err());
    let long = format!("{{\"timestamp\":1,\"cpu\":\"{}\"}}", "9x".repeat(50_000));
    assert!(parse(&long).unwrap_err().len() < 250);
}

#[test]
fn what_cannot_be_true_is_absent_and_says_why() {
    let text = r#"[{"timestamp":1,"cpu_utilization_percent":-4,"error_rate_percent":101,"queue_depth":"NaN",
                "memory_utilization_percent":null,"request_rate_per_second":{"absent":"stale","age_s":90}}]"#;
    let samples = parse(text).unwrap();
    let absences: Vec<_> = SignalKind::ALL.iter().map(|kind| samples[0].signal(*kind).absence()).collect();
    let (out, none) = (Some(Absence::OutOfRange), Some(Absence::NotMeasured));
    let stale = Some(Absence::Stale { age_s: 90 });
    assert_eq!(absences, [out, none, stale, none, out, none, Some(Absence::NotFinite)]);
    let impossible = read(text).unwrap().samples[0].impossible.clone().unwrap();
    assert_eq!(impossible, "cpu_utilization_percent: -4: out of range");
}

#[test]
fn undated_samples_are_dated_from_the_end() {
    let undated = Undated { end: DateTime::from_timestamp(600, 0).unwrap(), interval: TimeDelta::seconds(60) };
    let samples = metrics(b"[{\"pods\":1},{\"pods\":2},{\"pods\":3}]", Some(undated)).unwrap();
    let seconds: Vec<_> = samples.iter().map(|sample| sample.timestamp.timestamp()).collect();
    assert_eq!(seconds, [480, 540, 600]);
}

#[test]
fn keys_that_are_not_read_are_named_and_a_text_of_nothing_else_is_refused() {
    let noted = notes(r#"{"timestamp":1,"rps":3,"cpu_utilisaton":4,"host":"a"}"#);
    assert_eq!(
        noted,
        "not read: \"cpu_utilisaton\", \"host\" (did you mean \"cpu_utilization_percent\" by \"cpu_utilisaton\"?)"
    );
    let error = read(r#"{"timestamp":1,"requests_per_minute":3}"#).unwrap_err();
    assert!(error.contains("--column 'request_rate_per_second=requests_per_minute/60'"), "{error}");
}

#[test]
fn percentages_that_look_like_shares_are_doubted_aloud() {
    let noted = notes("{\"timestamp\":1,\"cpu\":0.91,\"memory_percent\":55}\n{\"timestamp\":2,\"cpu\":0.4}");
    assert!(
        noted.contains("At most 0.91 looks like a share, not a percentage") && !noted.contains("memory"),
        "{noted}"
    );
    assert_eq!(
        notes("{\"timestamp\":1,\"error_rate_percent\":0.2,\"cpu\":40}"),
        "",
        "a small share of errors is usual"
    );
    let mapped = Reader::new().with_column("cpu=cpu*100".parse().unwrap());
    let reading = mapped.read(b"{\"timestamp\":1,\"cpu\":0.91}").unwrap();
    assert_eq!((reading.samples[0].metrics.value(SignalKind::CpuUtilization), reading.notes.len()), (Some(91.0), 0));
}

#[test]
fn a_sample_survives_writing_and_reading_bit_by_bit() {
    let sample = ScalingMetrics::new(DateTime::from_timestamp_millis(1_700_000_000_123).unwrap(), 3)
        .with(SignalKind::RequestRate, 0.1 + 0.2)
        .with(SignalKind::CpuUtilization, f64::INFINITY);
    let text = serde_json::to_string(&sample).unwrap();
    assert_eq!(parse(&text).unwrap(), std::slice::from_ref(&sample));
    assert_eq!(serde_json::from_str::<ScalingMetrics>(&text).unwrap(), sample);
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused_in_one_short_line(
        head in "[ -~\n\t]{0,30}", body in proptest::collection::vec("[-0-9T:., ;|\t\"{}a-z\n]{0,20}", 0..8),
    ) {
        for reader in [Reader::new(), Reader::new().in_zone("UTC", Utc)] {
            if let Err(error) = reader.read(format!("{head}\n{}", body.join("\n")).as_bytes()) {
                let error = error.to_string();
                proptest::prop_assert!(!error.contains('\n') && error.len() < 2000, "{}", error);
            }
        }
    }
}

#[cfg(feature = "csv")]
mod tables {
    use super::*;

    const EXPECTED: [(i64, Option<f64>); 3] =
        [(1_767_571_200, Some(50.5)), (1_767_571_260, None), (1_767_571_320, Some(1200.25))];

    #[test]
    fn one_load_in_many_tables_reads_alike() {
        for text in [
            "timestamp_s,rps\n1767571200,50.5\n1767571260,\n1767571320,1200.25\n",
            "timestamp_s;rps\r\n1767571200;50.5\r\n1767571260;\r\n1767571320;1200.25\r\n",
            "timestamp_s;rps\n1767571200;50,5\n1767571260;-\n1767571320;1.200,25\n",
            "timestamp_s\trps\n1767571200\t50.5\n1767571260\tnil\n1767571320\t1200.25\n",
            "timestamp_s|rps\n1767571200|50.5\n1767571260|NA\n1767571320|1200.25\n",
            "\u{feff}\"timestamp_s\",\"rps\"\n\"1767571200\",\"50.5\"\n\"1767571260\",\"N/A\"\n\"1767571320\",\"1,200.25\"\n",
            "sep=;\ntimestamp;requests/s\n1767571200;50.5\n1767571260;NaN\n1767571320;1200.25\n",
            "# exported\n\n# timestamp rps\ntimestamp,rps\n1767571200,50.5\n1767571260,null\n1767571320,1200.25\n",
            "#timestamp,rps\n1767571200,50.5\n1767571260,null\n1767571320,1200.25\n",
            "1767571200,50.5\n1767571260,null\n1767571320,1200.25\n",
            "\"Time\",\"sum(rate(http_requests_total[1m]))\"\n1767571200000,50.5\n1767571260000,\n1767571320000,1200.25\n",
            "\"Time\",\"{app=\"\"checkout\"\", pod=\"\"a\"\"}\"\n2026-01-05T00:00:00Z,50.5\n2026-01-05T00:01:00Z,undefined\n2026-01-05T01:02:00+01:00,1200.25\n",
            "Time,Metric,Value\n1767571200000,web,50.5\n1767571260000,web,\n1767571320000,web,1200.25\n",
            "\"Series\";\"Time\";\"Value\"\n\"web\";\"2026-01-05T00:00:00+00:00\";50.5\n\"web\";\"2026-01-05T00:01:00+00:00\";null\n\"web\";\"2026-01-05T00:02:00+00:00\";1200.25\n",
            "Time (UTC),web\n2026-01-05 00:00:00,50.5\n2026-01-05 00:01:00,\n2026-01-05 00:02:00,1200.25\n",
            "timestamp_ns,qps\n1767571200000000000,50.5\n1767571260000000000,\n1767571320000000000,1200.25\n",
            "Zeit;Anfragen\n2026-01-05 00:00:00Z;50,5\n2026-01-05 00:01:00Z;\n2026-01-05 00:02:00Z;1200,25\n",
        ] {
            assert_eq!(rates(&read(text).unwrap_or_else(|error| panic!("{text}: {error}"))), EXPECTED, "{text}");
        }
        let text = "timestamp_s,rps\n1767571200,50.5\n1767571260,\n1767571320,1200.25\n";
        for (mark, big) in [([0xff, 0xfe], false), ([0xfe, 0xff], true)] {
            let wide = text.encode_utf16().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() });
            let bytes: Vec<u8> = mark.into_iter().chain(wide).collect();
            assert_eq!(rates(&Reader::new().read(&bytes).unwrap()), EXPECTED);
        }
    }

    #[test]
    fn what_was_taken_for_granted_is_said() {
        for (text, said) in [
            ("Time,web\n1767571200000,5\n", "\"web\" is taken for request_rate_per_second"),
            ("Time,rps\n1767571200000,5\n", "instants are milliseconds since the epoch"),
            ("1767571200,5\n1767571260,6\n", "there is no header"),
            ("x;rps\n1767571200;5,5\n", "\"x\" is taken for timestamp"),
            ("x;rps\n1767571200;5,5\n", "decimals are written with a comma"),
            ("timestamp,rps,host\n1767571200,5,a\n", "not read: \"host\""),
            ("timestamp,rps,queue_depth\n1767571200,5,\n", "queue_depth has no value in any sample"),
            (
                "timestamp,rps,latency (s)\n1767571200,5,0.2\n",
                "--column 'response_time_ms=latency (s)*1000' reads \"latency (s)\"",
            ),
            ("timestamp,CPU (%)\n1767571200,0.4\n", "is CPU (%) right? At most 0.4 looks like a share"),
        ] {
            let noted = notes(text);
            assert!(noted.contains(said), "{text}: {noted}");
        }
        assert_eq!(notes("timestamp,rps,cpu,pods\n1767571200,5,40,2\n"), "");
    }

    #[test]
    fn percent_signs_quantiles_and_several_series_are_understood() {
        let samples = parse("Time,CPU,P95 latency (ms)\n1767571200000,91.5 %,120\n1767571260000,40%,\n").unwrap();
        let cpu: Vec<_> = samples.iter().map(|sample| sample.value(SignalKind::CpuUtilization)).collect();
        assert_eq!(cpu, [Some(91.5), Some(40.0)]);
        let quantiles: Vec<_> = samples.iter().map(|sample| sample.response_time_quantile).collect();
        assert_eq!(quantiles, [Some(0.95), None]);
        let long = "Time,Metric,Value\n0,rps,5\n60,rps,6\n0,cpu_percent,40\n60,cpu_percent,50\n60,other,1\n";
        let reading = read(long).unwrap();
        assert_eq!(rates(&reading), [(0, Some(5.0)), (60, Some(6.0))]);
        assert_eq!(reading.samples[1].metrics.value(SignalKind::CpuUtilization), Some(50.0));
        assert!(notes(long).contains("not read: \"other\""));
        let two = read("Time,Metric,Value\n0,a,5\n0,b,6\n").unwrap_err();
        assert!(two.contains("2 series: \"a\", \"b\""), "{two}");
    }

    #[test]
    fn mappings_read_what_names_do_not_say() {
        let reader = |mappings: &[&str]| {
            mappings.iter().fold(Reader::new(), |reader, mapping| reader.with_column(mapping.parse().unwrap()))
        };
        let text = b"when;requests_per_minute;used\n1767571200;3030;0.5\n";
        let reading =
            reader(&["request_rate=requests_per_minute/60", "cpu=used*100", "timestamp=when"]).read(text).unwrap();
        assert_eq!(rates(&reading), [(1_767_571_200, Some(50.5))]);
        assert_eq!(reading.samples[0].metrics.value(SignalKind::CpuUtilization), Some(50.0));
        let error = reader(&["cpu=load"]).read(text).unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 1: there is no column \"load\"; found \"when\", \"requests_per_minute\", \"used\" (--column 'request_rate_per_second=requests_per_minute/60' reads \"requests_per_minute\")"
        );
        let headless = reader(&["rps=column 3"]).read(b"1767571200,7,5\n1767571260,8,6\n").unwrap();
        assert_eq!(rates(&headless), [(1_767_571_200, Some(5.0)), (1_767_571_260, Some(6.0))]);
        let long = reader(&["rps=web", "queue=jobs"]).read(b"Time,Metric,Value\n0,web,5\n0,jobs,6\n").unwrap();
        assert_eq!(long.samples[0].metrics.value(SignalKind::QueueDepth), Some(6.0));
        // What a name says counts only where no mapping speaks of it.
        let other = reader(&["rps=b"]).read(b"timestamp,rps,b\n0,1,2\n").unwrap();
        assert_eq!(rates(&other), [(0, Some(2.0))]);
    }

    #[test]
    fn tables_that_cannot_be_read_say_where_and_what_is_wrong() {
        for (text, what) in [
            ("timestamp_s,rps\n0,12\n60,many\n", "line 3: rps: \"many\" is not a number"),
            ("timestamp_s,rps\n0,12\n60,50.4 req/s\n", "export raw values"),
            ("timestamp_s,rps\n0,12,7\n", "line 2: 3 fields, where the first line has 2"),
            ("sep=,\ntimestamp_s,rps\n0,12\n60,1,2\n", "line 4: 3 fields"),
            ("timestamp_s,rps\n,12\n", "line 2: timestamp is missing"),
            (
                "timestamp_s,requests_per_minute\n0,12\n",
                "--column 'request_rate_per_second=requests_per_minute/60' reads",
            ),
            (
                "timestamp_s,a,b\n0,1,2\n",
                "line 1: no known field; found \"timestamp_s\", \"a\", \"b\"; expected names such as",
            ),
            ("timestamp_s,memory_bytes\n0,1\n", "no known field"),
            ("timestamp,reqest_rate,b\n0,1,2\n", "did you mean \"request_rate_per_second\" by \"reqest_rate\"?"),
            ("timestamp_s,rps,qps\n0,1,2\n", "\"rps\" and \"qps\" are both request_rate_per_second"),
            ("Time,http_requests_total\n0,1\n", "http_requests_total is a counter"),
            (
                "timestamp,rps\n2026-01-05T10:00:00,1\n",
                "line 2: timestamp: \"2026-01-05T10:00:00\" has no time zone: give --time-zone",
            ),
            ("timestamp,rps\n2026-01-05 10:00,1\n", "no time zone"),
            ("date,rps\n05/01/2026,1\n", "line 2: date: \"05/01/2026\" is ambiguous"),
            (
                "timestamp,rps\n1767571200,1\n1767571260000,1\n",
                "line 3: timestamp: 1767571260000 would be milliseconds",
            ),
            ("timestamp,rps\n20260105100000,1\n", "looks like a date"),
            ("timestamp_s;rps\n0;1,5\n60;1.500\n", "line 3: \"1.500\" is ambiguous beside decimal commas"),
            ("timestamp_s,rps\n0,\"1,500\"\n", "is ambiguous: its comma may group thousands"),
            ("timestamp_s,rps\n", "only a header"),
            ("\u{1}\u{2}", "only a header"),
            ("apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\n", "no known field"),
            ("timestamp_s,rps\n0,5%\n", "5 % is no request rate"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(what) && !error.contains('\n'), "{text}: {error}");
        }
    }

    #[test]
    fn a_clock_and_a_rate_alone_are_a_load_trace() {
        let time = |text: &str| read(text).unwrap().sample_time;
        assert_eq!(time("timestamp_s,rps\n0,1\n"), SampleTime::Starts);
        assert_eq!(time("timestamp_s,rps,host\n0,1,a\n"), SampleTime::Starts);
        assert_eq!(time("timestamp_s,rps,pods\n0,1,2\n"), SampleTime::Ends);
        assert_eq!(time("Time,web\n1767571200000,1\n"), SampleTime::Ends, "an export of metrics");
        assert_eq!(time("{\"timestamp\":0,\"rps\":1}"), SampleTime::Ends);
    }

    #[cfg(feature = "gzip")]
    #[test]
    fn packed_and_unpacked_read_alike() {
        use std::io::Write;
        let text = b"timestamp_s,rps\n0,1\n60,2\n";
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(text).unwrap();
        let bytes = packer.finish().unwrap();
        assert_eq!(Reader::new().read(&bytes), Reader::new().read(text));
        let torn = Reader::new().read(bytes.get(..12).unwrap()).unwrap_err();
        assert!(matches!(torn.fault(), Fault::Gzip(_)), "{torn}");
    }
}

#[test]
fn a_rate_by_name_that_only_rises_is_refused_unless_it_is_mapped() {
    let rows = |order: &mut dyn Iterator<Item = u32>| {
        let rows = order.map(|nth| format!("{},{}\n", nth * 60, nth * 3000 + nth % 3)).collect::<Vec<_>>().concat();
        format!("timestamp_s,rps\n{rows}")
    };
    let text = rows(&mut (0..600));
    let error = read(&text).unwrap_err();
    assert!(error.contains("rps rises at every one of 600 samples, up to 1797002: a counter"), "{error}");
    assert!(error.contains("--column 'request_rate_per_second=rps' takes it"), "{error}");
    assert!(read(&rows(&mut (0..600).rev())).unwrap_err().contains("rps rises at every one"));
    let mapped = Reader::new().with_column("request_rate_per_second=rps".parse().unwrap());
    assert_eq!(mapped.read(text.as_bytes()).unwrap().samples.len(), 600);
}

#[test]
fn a_counter_without_a_name_gets_advice_without_one() {
    let values: Vec<_> = (0..40).map(|nth| format!("[{},\"{}\"]", nth * 60, nth * 500)).collect();
    let error = read(&format!("[{{\"metric\":{{}},\"values\":[{}]}}]", values.join(","))).unwrap_err();
    assert!(error.contains("sum(rate(METRIC[1m]))") && !error.contains("{}"), "{error}");
}

#[test]
fn a_day_above_the_12th_tells_the_order_of_all_dates() {
    let table = |dates: [&str; 2]| format!("time;rps\n{} 10:00;5\n{} 10:00;6\n", dates[0], dates[1]);
    let utc = Reader::new().in_zone("UTC", Utc);
    let tenth = 1_768_039_200;
    for (dates, order) in [
        (["10.01.2026", "13.01.2026"], DateOrder::DayFirst),
        (["10/1/2026", "13/1/2026"], DateOrder::DayFirst),
        (["01/10/2026", "01/13/2026"], DateOrder::MonthFirst),
    ] {
        let reading = utc.read(table(dates).as_bytes()).unwrap();
        assert_eq!(rates(&reading), [(tenth, Some(5.0)), (tenth + 3 * 86_400, Some(6.0))], "{dates:?}");
        assert!(reading.notes.contains(&Note::Dates(order)), "{dates:?}");
        assert!(read(&table(dates)).unwrap_err().contains("no time zone"), "{dates:?}");
    }
    for dates in [["10.01.2026", "12.01.2026"], ["13.01.2026", "01.13.2026"], ["26-01-10", "26-01-13"]] {
        let error = utc.read(table(dates).as_bytes()).unwrap_err().to_string();
        assert!(error.contains("is ambiguous"), "{dates:?}: {error}");
    }
    let lines = "{\"timestamp\":\"13.01.2026 10:00:00Z\",\"rps\":5}";
    assert_eq!(rates(&read(lines).unwrap()), [(tenth + 3 * 86_400, Some(5.0))]);
}

#[test]
fn rows_of_several_series_are_refused_by_the_column_that_tells_them_apart() {
    let rows: Vec<_> = (0..30).flat_map(|nth| ["web-1", "web-2"].map(|pod| (nth * 60, pod))).collect();
    let csv = rows.iter().map(|(at, pod)| format!("{at},{pod},5\n")).collect::<Vec<_>>().concat();
    let lines: String = rows
        .iter()
        .map(|(at, pod)| format!("{{\"timestamp\":{at},\"pod\":{pod:?},\"rps\":5}}\n"))
        .collect::<Vec<_>>()
        .concat();
    for text in [format!("timestamp,pod,rps\n{csv}"), lines] {
        let error = read(&text).unwrap_err();
        let said =
            "most instants come several times, once for each \"pod\": 2 series: \"web-1\", \"web-2\"; add them up";
        assert!(error.contains(said), "{error}");
    }
    // One pod after another, and instants that an export wrote twice, are one series.
    let single = (0..30).map(|nth| format!("{},web-{},5\n", nth * 60, nth / 15)).collect::<Vec<_>>().concat();
    assert!(read(&format!("timestamp,pod,rps\n{single}")).is_ok());
    let twice = (0..60).map(|nth| format!("{},web,5\n", nth / 2 * 60)).collect::<Vec<_>>().concat();
    assert!(read(&format!("timestamp,pod,rps\n{twice}")).is_ok());
}

#[test]
fn date_and_time_in_two_columns_are_one_instant() {
    let utc_clock = Reader::new().in_zone("UTC", Utc);
    let at = 1_767_607_200;
    let expected = [(at, Some(5.0)), (at + 60, Some(6.0))];
    for text in [
        "Date,Time,rps\n2026-01-05,10:00:00,5\n2026-01-05,10:01:00,6\n",
        "Time;rps;Date\n10:00;5;2026-01-05\n10:01;6;2026-01-05\n",
        "date,time,rps\n1/13/2026,10:00 AM,5\n1/13/2026,10:01 AM,6\n",
        "Date,Time,metric,value\n2026-01-05,10:00:00,rps,5\n2026-01-05,10:01:00,rps,6\n",
    ] {
        let shift = if text.contains("1/13") { 8 * 86_400 } else { 0 };
        assert_eq!(
            rates(&utc_clock.read(text.as_bytes()).unwrap()),
            expected.map(|(at, rate)| (at + shift, rate)),
            "{text}"
        );
        assert!(read(text).unwrap_err().contains("no time zone"), "{text}");
    }
    let utc = read("Date,Time (UTC),rps\n2026-01-05,10:00:00,5\n2026-01-05,10:01:00,6\n").unwrap();
    assert_eq!(rates(&utc), expected);
    assert_eq!(utc.notes, []);
    // Midnight would be a guess, and two columns of whole instants stay two.
    let error = read("Date,Time,rps\n2026-01-05,10:00Z,5\n2026-01-05,,6\n").unwrap_err();
    assert!(error.contains("line 3") && error.contains("2026-01-05 (no time)"), "{error}");
    let error = read("Date,Time,rps\n2026-01-05T10:00Z,2026-01-05T10:00Z,5\n").unwrap_err();
    assert!(error.contains("Date") && error.contains("Time"), "{error}");
}

#[test]
fn instants_are_read_as_kibana_writes_them() {
    let text =
        "\"@timestamp per minute\",rps\n\"Jan 5, 2026 @ 10:00:00.000\",\"1,234.5\"\n\"Jan 5, 2026 @ 10:01:00.000\",6\n";
    let reading = Reader::new().in_zone("UTC", Utc).read(text.as_bytes()).unwrap();
    assert_eq!(rates(&reading), [(1_767_607_200, Some(1234.5)), (1_767_607_260, Some(6.0))]);
    assert!(read(text).unwrap_err().contains("no time zone"));
}
