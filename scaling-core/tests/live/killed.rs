//! A process that is killed between the write to an HPA and its record: the next one tells its own bounds from the owner's.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use scaling_core::live::{Cadence, Entry, Loop, RecordFiles, Rotation, SimulatedClock, Stop, entries};
use scaling_core::{
    Applied, ApplyError, ApplyMode, Autoscaler, Bounds, ChangeLog, DecisionRecord, HpaApplier, HpaPlan, HpaState,
    RecordError, Recorder, Target,
};

use super::world::{Calendar, Scripted, bounds, minute, start, target};

/// Folder of the child, and where it stops.
const FOLDER: &str = "KILLED_FOLDER";
const POINT: &str = "KILLED_AT";
const REACHED: &str = "reached the point";

/// Where the child is killed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Point {
    /// The intent is kept, and nothing was sent.
    Intended,
    /// The HPA holds the new bounds, and no answer has come.
    Written,
    /// The answer has come, and there is no record.
    Answered,
    /// The record is kept, and nothing was flushed.
    Recorded,
}

const POINTS: [Point; 4] = [Point::Intended, Point::Written, Point::Answered, Point::Recorded];

impl Point {
    /// Says that it is reached, and waits to be killed.
    fn reached(self, stops_at: Option<Self>) {
        if stops_at == Some(self) {
            println!("{REACHED}");
            std::io::stdout().flush().unwrap();
            loop {
                std::thread::park();
            }
        }
    }
}

/// One HPA as a file. As the API server, it knows no resting bounds.
struct FileApplier {
    path: PathBuf,
    stops_at: Option<Point>,
}

impl FileApplier {
    fn bounds(path: &Path) -> Bounds {
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }
}

#[async_trait]
impl HpaApplier for FileApplier {
    async fn current(&self, _: &Target) -> Result<HpaState, ApplyError> {
        Ok(HpaState::new(Self::bounds(&self.path)).bounds_only())
    }

    async fn apply(&self, plan: &HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError> {
        std::fs::write(&self.path, serde_json::to_vec(&plan.new_bounds()).unwrap()).unwrap();
        Point::Written.reached(self.stops_at);
        Ok(Applied { mode, changed: true })
    }
}

/// Records in files, up to the point.
struct Stopping {
    files: RecordFiles,
    stops_at: Option<Point>,
}

impl Recorder for Stopping {
    fn record(&self, record: &DecisionRecord) -> Result<(), RecordError> {
        let has_written = record.change.is_some();
        if has_written {
            Point::Answered.reached(self.stops_at);
        }
        self.files.record(record)?;
        if has_written {
            Point::Recorded.reached(self.stops_at);
        }
        Ok(())
    }

    fn intend(&self, record: &DecisionRecord) -> Result<(), RecordError> {
        self.files.intend(record)?;
        Point::Intended.reached(self.stops_at);
        Ok(())
    }

    fn flush(&self) -> Result<(), RecordError> {
        self.files.flush()
    }
}

fn hpa(folder: &Path) -> PathBuf {
    folder.join("hpa.json")
}

fn records(folder: &Path) -> PathBuf {
    folder.join("records")
}

/// Ticks from a minute up to, not including, another. The floor of 6 pods begins at a minute of its own, if at all.
async fn run(folder: &Path, minutes: std::ops::Range<i64>, floor_from: i64, log: ChangeLog, stops_at: Option<Point>) {
    let files = RecordFiles::open(records(folder), Rotation::default()).unwrap();
    let clock = Arc::new(SimulatedClock::at(minute(minutes.start)));
    let autoscaler = Autoscaler::builder()
        .source(Scripted::new(&clock, []))
        .engine(Calendar { from: minute(floor_from), replicas: 6 })
        .applier(FileApplier { path: hpa(folder), stops_at })
        .recorder(Stopping { files, stops_at })
        .change_log(log)
        .mode(ApplyMode::Apply)
        .build();
    let (stop, end) = (Stop::new(), minute(minutes.end - 1));
    let enough = stop.clone();
    let live = Loop::new(autoscaler, [target(0)], Cadence::default()).clock(clock);
    let live = live.after_tick(move |tick, _| {
        if tick.at >= end {
            enough.request();
        }
    });
    live.run(&stop).await;
}

/// What the next process knows of this one.
fn resumed(folder: &Path) -> (ChangeLog, Vec<DateTime<Utc>>) {
    let (mut log, mut intents) = (ChangeLog::new(), Vec::new());
    for entry in entries(records(folder)).unwrap() {
        match entry {
            Entry::Record(record) => log.replay(&record),
            Entry::Intent(record) => {
                intents.push(record.at);
                log.replay_intent(&record);
            }
            other => panic!("{other:?}"),
        }
    }
    (log, intents)
}

fn kept(folder: &Path) -> Vec<DecisionRecord> {
    let record = |entry| if let Entry::Record(record) = entry { Some(*record) } else { None };
    entries(records(folder)).unwrap().filter_map(record).collect()
}

#[tokio::test]
async fn bounds_of_a_killed_process_are_given_back_to_the_owners_at_whatever_point_it_was_killed() {
    for point in POINTS {
        let temporary = tempfile::tempdir().unwrap();
        let (folder, owners) = (temporary.path(), bounds(2, 10));
        std::fs::write(hpa(folder), serde_json::to_vec(&owners).unwrap()).unwrap();

        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "--nocapture", "killed::runs_until_it_is_killed"])
            .env(FOLDER, folder)
            .env(POINT, POINTS.iter().position(|other| *other == point).unwrap().to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let reached = lines.any(|line| line.contains(REACHED));
        // SIGKILL: nothing of it runs any more, no destructor and no flush.
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(reached, "{point:?}");
        assert_eq!(FileApplier::bounds(&hpa(folder)).min(), if point == Point::Intended { 2 } else { 6 }, "{point:?}");

        let ((log, intents), recorded) = (resumed(folder), kept(folder).len());
        assert_eq!(intents, [minute(3)], "{point:?}: one line, before the write");
        let changes = kept(folder).iter().filter(|record| record.change.is_some()).count();
        assert_eq!(changes, usize::from(point == Point::Recorded), "{point:?}");
        if point != Point::Recorded {
            // Law 12: what may have happened counts.
            assert_eq!(log.last_changes(&target(0)).grown, Some(minute(3)), "{point:?}");
        }

        // The next process, by whose calendar the floor is over.
        run(folder, 4..40, 1000, log, None).await;
        let records = kept(folder);
        let first = &records[recorded];
        assert_eq!(first.resting.unwrap_or(first.bounds.unwrap()), owners, "{point:?}: whose bounds they are");
        assert_eq!(FileApplier::bounds(&hpa(folder)), owners, "{point:?}");
        // And it is the owner's still, whoever reads the records then.
        let mut log = resumed(folder).0;
        log.replay(records.last().unwrap());
        assert_eq!(records.last().unwrap().resting, None, "{point:?}");
    }
}

/// The process that is killed: calm for three minutes, then a floor of 6 pods.
#[tokio::test]
#[ignore = "run, and killed, by `bounds_of_a_killed_process_are_given_back_to_the_owners_at_whatever_point_it_was_killed`"]
async fn runs_until_it_is_killed() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    let point = POINTS[std::env::var(POINT).unwrap().parse::<usize>().unwrap()];
    assert_eq!(minute(0), start());
    run(&folder, 0..10, 3, ChangeLog::new(), Some(point)).await;
}
