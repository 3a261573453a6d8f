//! Reading what metrics servers answer: `cargo bench -p benches --bench sources`.
//!
//! A day of minutes of 200 workloads as Prometheus answers a range query, about 9 MB; beside it, the same text as `serde_json::Value`.

use std::fmt::Write;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use scaling_core::source::parse::prometheus::answer::{Shape, read};

fn main() {
    divan::main();
}

/// Values with as many digits as rates have, from a fixed sequence.
fn range_answer(series: usize, samples: usize) -> String {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut text = r#"{"status":"success","data":{"resultType":"matrix","result":["#.to_owned();
    for number in 0..series {
        let comma = if number > 0 { "," } else { "" };
        let _ = write!(
            text,
            r#"{comma}{{"metric":{{"namespace":"team-{}","workload":"service-{number}"}},"values":["#,
            number % 20
        );
        for sample in 0..samples {
            let comma = if sample > 0 { "," } else { "" };
            let _ = write!(text, r#"{comma}[{},"{}"]"#, 1_700_000_000 + sample * 60, random() * 1000.0);
        }
        text.push_str("]}");
    }
    text.push_str("]}}");
    text
}

#[divan::bench]
fn prometheus_range(bencher: Bencher<'_, '_>) {
    let text = range_answer(200, 1440);
    bencher.counter(BytesCount::of_str(&text)).bench(|| {
        read(black_box(text.as_bytes()), Shape::Matrix)
            .map(|answer| answer.series.iter().map(|series| series.samples.len()).sum::<usize>())
    });
}

/// The untyped tree alone: its numbers are still strings.
#[divan::bench]
fn prometheus_range_as_a_json_value(bencher: Bencher<'_, '_>) {
    let text = range_answer(200, 1440);
    bencher
        .counter(BytesCount::of_str(&text))
        .bench(|| serde_json::from_slice::<serde_json::Value>(black_box(text.as_bytes())).is_ok());
}
