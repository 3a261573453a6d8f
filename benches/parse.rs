//! Reading metrics: `cargo bench -p benches --bench parse`.

use std::io::Read;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use flate2::read::GzDecoder;
use scaling_core::source::parse;

fn main() {
    divan::main();
}

#[divan::bench]
fn csv_of_two_weeks(bencher: Bencher<'_, '_>) {
    let mut text = Vec::new();
    let packed = include_bytes!("../test_data/shop_history.csv.gz");
    if GzDecoder::new(packed.as_slice()).read_to_end(&mut text).is_ok() {
        bencher.counter(BytesCount::of_slice(&text)).bench(|| parse::metrics(black_box(&text), None));
    }
}
