//! A program that runs as long as the test that started it.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Runs a program until it ends, or until the pipe at its input closes: when the test lets go of it, and when the test is killed.
/// Either way the whole process group goes.
const WATCHED: &str = r#"{ "$@" </dev/null; kill -9 0; } & cat >/dev/null; kill -9 0"#;

pub(crate) struct Process {
    pub(crate) name: &'static str,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts a program in a process group of its own; what it says goes to `NAME.log` in the folder, after what is there.
    pub(crate) fn start(name: &'static str, program: &Path, arguments: &[String], folder: &Path) -> Self {
        let log = folder.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", WATCHED, name]).arg(program).args(arguments).process_group(0);
        // The times in the logs.
        command.env("TZ", "UTC");
        command.stdin(Stdio::piped()).stdout(file.try_clone().unwrap()).stderr(file);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { name, log, child }
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Everything that it has said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Prints the end of its log.
    pub(crate) fn show_log(&self) {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        eprintln!("{}:\n{}", self.name, lines[lines.len().saturating_sub(20)..].join("\n"));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        // The shell's own, so that nothing needs to be installed; without it the shell ends at its closed input.
        let _ = Command::new("/bin/sh").args(["-c", "kill -9 \"$1\"", "kill", &group]).status();
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
