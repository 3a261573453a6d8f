//! The decoders over the corpus of the fuzz targets, and over each entry cut anywhere, or with a byte changed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

#[path = "../../fuzz/decoders.rs"]
#[allow(unreachable_pub)]
mod decoders;

use std::path::Path;

/// Bytes that mean something in JSON and in tables.
const BYTES: [u8; 14] = *b"0-9.e\"[]{},:\\\xff";

fn entries(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.map(|file| std::fs::read(file).unwrap()).collect()
}

fn over(name: &str, decoder: fn(&[u8])) {
    let entries = entries(name);
    assert!(entries.len() >= 4, "{name}: {}", entries.len());
    for entry in entries {
        decoder(&entry);
        for place in 0..entry.len() {
            decoder(&entry[..place]);
            let mut changed = entry.clone();
            changed[place] = BYTES[place % BYTES.len()];
            decoder(&changed);
        }
    }
}

#[test]
fn answers_of_prometheus() {
    over("prometheus", decoders::prometheus);
}

#[test]
fn answers_of_azure_monitor() {
    over("azure_monitor", decoders::azure_monitor);
}

#[test]
fn answers_of_datadog() {
    over("datadog", decoders::datadog);
}

#[test]
fn files_of_metrics() {
    over("metrics_file", decoders::metrics_file);
}
