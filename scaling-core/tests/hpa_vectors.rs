//! The HPA against vectors: those in `test_data/hpa`, and those in the folder that `HPA_VECTORS` names.
//!
//! Prints one line for each failing vector (id, expected, got) and closes with `N passed, M failed`. The format is described in
//! `test_data/hpa/README.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

mod hpa_vectors {
    pub(crate) mod read;
    pub(crate) mod run;
}

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;

fn main() -> ExitCode {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../test_data/hpa");
    let given = std::env::var_os("HPA_VECTORS").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let (mut passed, mut failed) = (0, 0);
    for folder in std::iter::once(own).chain(given) {
        let files = match vector_files(&folder) {
            Ok(files) => files,
            Err(error) => {
                println!("{}: {error}", folder.display());
                return ExitCode::FAILURE;
            }
        };
        for file in files {
            match vectors(&file) {
                Ok(vectors) => {
                    for vector in &vectors {
                        match hpa_vectors::run::vector(vector) {
                            Ok(()) => passed += 1,
                            Err(difference) => {
                                failed += 1;
                                println!("{}: {difference}", vector["id"].as_str().unwrap_or("a vector without id"));
                            }
                        }
                    }
                }
                Err(error) => {
                    failed += 1;
                    println!("{}: {error}", file.display());
                }
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn vector_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()).map_err(|error| error.to_string()));
    let mut files = paths.collect::<Result<Vec<_>, _>>()?;
    let is_vectors = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".json") || name.ends_with(".json.gz")
    };
    files.retain(is_vectors);
    files.sort();
    Ok(files)
}

fn vectors(file: &Path) -> Result<Vec<Value>, String> {
    let raw = std::fs::File::open(file).map_err(|error| error.to_string())?;
    let mut text = String::new();
    let read = if file.extension().is_some_and(|extension| extension == "gz") {
        flate2::read::MultiGzDecoder::new(raw).read_to_string(&mut text)
    } else {
        std::io::BufReader::new(raw).read_to_string(&mut text)
    };
    read.map_err(|error| error.to_string())?;
    let mut envelope: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    if envelope["schema"] != "hpa-vectors/1" {
        return Err(format!("schema is {}, not \"hpa-vectors/1\"", envelope["schema"]));
    }
    match envelope["vectors"].take() {
        Value::Array(vectors) => Ok(vectors),
        other => Err(format!("vectors is no list but {other}")),
    }
}
