//! Records in files: what is written is read back, whatever happened in between.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use scaling_core::live::{Entry, RecordFiles, Rotation, entries};
use scaling_core::{ApplyMode, DecisionRecord, Recorder, conformance};
use serde_json::json;

use super::world::{minute, target};

fn record(nth: i64) -> DecisionRecord {
    DecisionRecord::new(target(0), minute(nth), ApplyMode::Plan)
}

fn records(path: &Path) -> Vec<DecisionRecord> {
    let record = |entry| match entry {
        Entry::Record(record) => Some(*record),
        Entry::Header(_) | Entry::Intent(_) => None,
        bad => panic!("{bad:?}"),
    };
    entries(path).unwrap().filter_map(record).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = files.filter(|name| name != "records.lock").collect();
    names.sort();
    names
}

fn rotation(max_bytes: u64, max_age_s: u64, files: usize) -> Rotation {
    let mut rotation = Rotation::default();
    (rotation.max_bytes, rotation.max_age, rotation.files) = (max_bytes, Duration::from_secs(max_age_s), files);
    rotation
}

#[test]
fn the_promises_of_a_recorder_are_kept_over_many_files() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = || tempfile::tempdir_in(temporary.path()).unwrap().keep();
    for max_bytes in [1, 3000, u64::MAX] {
        conformance::recorder(
            || {
                let folder = folder();
                let files = RecordFiles::open(&folder, rotation(max_bytes, 86_400 * 365 * 100, 1000)).unwrap();
                Placed { folder, files }
            },
            |recorder| records(&recorder.folder),
        );
    }
}

struct Placed {
    folder: std::path::PathBuf,
    files: RecordFiles,
}

impl Recorder for Placed {
    fn record(&self, record: &DecisionRecord) -> Result<(), scaling_core::RecordError> {
        self.files.record(record)
    }

    fn intend(&self, record: &DecisionRecord) -> Result<(), scaling_core::RecordError> {
        self.files.intend(record)
    }
}

#[test]
fn files_rotate_by_size_and_by_age_and_their_number_is_bounded() {
    let temporary = tempfile::tempdir().unwrap();
    let by_size = temporary.path().join("by-size");
    let line = serde_json::to_vec(&record(0)).unwrap().len() as u64 + 1;
    let files = RecordFiles::open(&by_size, rotation(line * 4, 86_400, 3)).unwrap();
    (0..18).for_each(|nth| files.record(&record(nth)).unwrap());
    assert_eq!(names(&by_size), ["records.00000003.jsonl", "records.00000004.jsonl", "records.00000005.jsonl"]);
    assert!(fs::metadata(by_size.join("records.00000003.jsonl")).unwrap().len() <= line * 4);
    assert_eq!(records(&by_size), (8..18).map(record).collect::<Vec<_>>());

    let by_age = temporary.path().join("by-age");
    let files = RecordFiles::open(&by_age, rotation(u64::MAX, 3600, 16)).unwrap();
    // A clock that is set back by a day begins a new file too.
    for nth in [0, 30, 59, 60, 61, -1400, -1399] {
        files.record(&record(nth)).unwrap();
    }
    assert_eq!(names(&by_age).len(), 3);
    let first = records(&by_age.join("records.00000001.jsonl"));
    assert_eq!(first, [record(0), record(30), record(59)]);
}

#[test]
fn a_line_that_a_crash_has_torn_is_told_and_skipped_and_spoils_no_other() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let files = RecordFiles::open(folder, Rotation::default()).unwrap();
    (0..3).for_each(|nth| files.record(&record(nth)).unwrap());
    drop(files);
    let path = folder.join("records.00000001.jsonl");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 20]).unwrap();

    let bad = |entry: &Entry| if let Entry::Bad(line) = entry { Some(line.to_string()) } else { None };
    let told: Vec<_> = entries(folder).unwrap().filter_map(|entry| bad(&entry)).collect();
    assert!(told.len() == 1 && told[0].contains("records.00000001.jsonl: line 3, which was skipped: torn"), "{told:?}");

    let files = RecordFiles::open(folder, Rotation::default()).unwrap();
    files.record(&record(3)).unwrap();
    let read: Vec<_> = entries(folder).unwrap().collect();
    assert_eq!(read.iter().filter_map(bad).count(), 1);
    let kept = read.iter().filter_map(|entry| match entry {
        Entry::Record(record) => Some(record.at),
        _ => None,
    });
    let kept: Vec<_> = kept.collect();
    assert_eq!(kept, [minute(0), minute(1), minute(3)]);
}

#[test]
fn a_restart_goes_on_in_the_newest_file_until_it_is_full() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    for nth in 0..5 {
        let files = RecordFiles::open(folder, rotation(u64::MAX, 180, 16)).unwrap();
        files.record(&record(nth)).unwrap();
    }
    assert_eq!(names(folder).len(), 2, "the age counts from the first record of the file, over restarts");
    assert_eq!(records(folder), (0..5).map(record).collect::<Vec<_>>());
}

#[test]
fn each_file_and_each_run_begins_with_what_its_records_depend_on() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let open = |engine: &str| {
        let files = RecordFiles::open(folder, rotation(1, 86_400, 16)).unwrap();
        files.with_header(&json!({ "engine": engine })).unwrap()
    };
    let files = open("rules");
    (0..2).for_each(|nth| files.record(&record(nth)).unwrap());
    drop(files);
    open("predictive").record(&record(2)).unwrap();
    let told = entries(folder).unwrap().map(|entry| match entry {
        Entry::Record(record) => record.at.to_rfc3339(),
        Entry::Header(header) => header["engine"].to_string(),
        other => panic!("{other:?}"),
    });
    let told: Vec<_> = told.collect();
    let at = |nth| minute(nth).to_rfc3339();
    let (rules, predictive) = ("\"rules\"".to_owned(), "\"predictive\"".to_owned());
    assert_eq!(told, [rules.clone(), at(0), rules, at(1), predictive.clone(), predictive, at(2)]);
}

#[test]
fn a_second_process_is_refused_until_the_first_has_ended() {
    let temporary = tempfile::tempdir().unwrap();
    let first = RecordFiles::open(temporary.path(), Rotation::default()).unwrap();
    let refused = RecordFiles::open(temporary.path(), Rotation::default()).unwrap_err();
    assert!(refused.to_string().contains("another process writes records there"), "{refused}");
    drop(first);
    assert!(RecordFiles::open(temporary.path(), Rotation::default()).is_ok());
}

#[test]
fn what_is_no_record_is_told_with_its_line_and_a_line_without_end_is_not_read_into_memory() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("records.00000001.jsonl");
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(b"{\"header\":{},\"more\":1}\n\n{\"at\":1}\n\xff\xfe\n").unwrap();
    for _ in 0..17 {
        file.write_all(&vec![b' '; 1 << 20]).unwrap();
    }
    writeln!(file, "\n{}", serde_json::to_string(&record(0)).unwrap()).unwrap();
    let mut told = Vec::new();
    for entry in entries(temporary.path()).unwrap() {
        told.push(match entry {
            Entry::Bad(line) => (line.line, line.why),
            Entry::Record(_) => (0, "a record".to_owned()),
            other => panic!("{other:?}"),
        });
    }
    let lines: Vec<_> = told.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [1, 3, 4, 5, 0], "{told:?}");
    assert!(told[3].1.contains("more than 16 MiB"), "{told:?}");
    assert!(entries(temporary.path().join("none")).is_err());
}
