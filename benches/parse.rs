//! Reading metrics: `cargo bench --bench parse`.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use scaling_core::source::parse;

fn main() {
    divan::main();
}

#[divan::bench]
fn csv_of_five_days(bencher: Bencher<'_, '_>) {
    let text = include_bytes!("../test_data/shop_history.csv");
    bencher.counter(BytesCount::of_slice(text)).bench(|| parse::metrics(black_box(text), None));
}
