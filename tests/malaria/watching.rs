//! `malaria watch`, read by `cat` while a load runs. Checklist 63.

use std::fs::Metadata;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::broker::Mosquitto;
use crate::process::{BOUND, Process};
use crate::program::{Malaria, publish};

/// What `cat` prints.
fn cat(file: &Path) -> String {
    let output = Command::new("cat").arg(file).output().expect("cat runs");
    assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// A file of one number and a newline.
fn count(file: &Path) -> u64 {
    let text = cat(file);
    let number = text.strip_suffix('\n').unwrap_or_else(|| panic!("{}: {text:?}", file.display()));
    number.parse().unwrap_or_else(|error| panic!("{}: {text:?}: {error}", file.display()))
}

/// Reads `file` until it says `value`, and never less than before.
fn await_count(file: &Path, value: u64) {
    let deadline = Instant::now() + BOUND;
    let mut before = 0;
    while before != value {
        assert!(Instant::now() < deadline, "{} says {before}, not {value}", file.display());
        let now = count(file);
        assert!(now >= before && now <= value, "{} says {now} after {before}", file.display());
        before = now;
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn counts_can_be_read_while_a_load_runs() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let directory = folder.path().join("counts");
    let mut watch = Malaria::plain(broker.address, "watch -c watcher -t mqtt-malaria/# -t other/+");
    watch.command.arg("-d").arg(&directory);
    let watch = watch.start();
    broker.wait_for(" watcher 1 mqtt-malaria/#\n");
    broker.wait_for(" watcher 1 other/+\n");
    broker.wait_for(" watcher 0 $SYS/broker/publish/messages/dropped\n");
    broker.wait_for(" watcher 0 $SYS/broker/messages/stored\n");

    let load = publish(broker.address, "-P 2 -n 300 -T 100").start();
    let total = directory.join("msgs_total");
    let deadline = Instant::now() + BOUND;
    while !total.exists() {
        assert!(Instant::now() < deadline, "no {}", total.display());
        std::thread::sleep(Duration::from_millis(20));
    }
    await_count(&total, 600);
    load.end().went_well().published_all(600);
    assert_eq!(count(&directory.join("drop_count")), 0);
    assert_eq!(cat(&directory.join("topic")), "mqtt-malaria/#\nother/+\n");
    // Mosquitto keeps its own $SYS messages.
    assert!(count(&directory.join("msgs_stored")) > 0);
    let uptime = count(&directory.join("uptime"));
    await_count(&directory.join("uptime"), uptime + 2);
    assert!(!cat(&directory.join("README")).is_empty());
    let detailed = cat(&directory.join("README.detailed"));
    for file in ["msgs_total", "msgs_stored", "drop_count", "uptime", "topic"] {
        assert!(detailed.contains(file), "{file} is not explained:\n{detailed}");
    }
    for file in std::fs::read_dir(&directory).expect("it is there").map(|entry| entry.expect("a file")) {
        let metadata: Metadata = file.metadata().expect("it is there");
        assert!(metadata.is_file(), "{:?} is no plain file", file.path());
        assert_eq!(
            metadata.permissions().mode() & 0o444,
            0o444,
            "{:?} is for everybody to read",
            file.path()
        );
    }
    watch.process.interrupt();
    watch.end().ends(0);
}

/// Without a directory given, a new one is announced, and is gone at the end.
#[test]
fn a_temporary_directory_is_announced_and_removed() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let mut command = Malaria::plain(broker.address, "watch -c watcher").command;
    // In one stream, whichever it says it on.
    command.stderr(std::process::Stdio::inherit());
    let mut process = Process::spawn(&mut command);
    let lines = process.lines();
    broker.wait_for(" watcher 1 #\n");
    let deadline = Instant::now() + BOUND;
    let directory = loop {
        let line = lines.next(deadline).expect("it says where the files are");
        let paths =
            line.split([' ', '`', '\'', '"', ':']).map(|word| PathBuf::from(word.trim_end_matches('.')));
        if let Some(directory) = paths.filter(|path| path.is_absolute()).find(|path| path.is_dir()) {
            break directory;
        }
    };
    let total = directory.join("msgs_total");
    publish(broker.address, "-n 20 -q 0").run().went_well().published_all(20);
    await_count(&total, 20);
    process.interrupt();
    assert!(process.wait().success());
    assert!(!directory.exists(), "{} is still there", directory.display());
}

/// The values at the end, as JSON.
#[test]
fn values_are_written_as_json() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let (directory, json) = (folder.path().join("counts"), folder.path().join("values.json"));
    let mut watch = Malaria::plain(broker.address, "watch -c watcher -t mqtt-malaria/#");
    watch.command.arg("-d").arg(&directory).arg("--json").arg(&json);
    let watch = watch.start();
    broker.wait_for(" watcher 1 mqtt-malaria/#\n");
    publish(broker.address, "-n 20").run().went_well().published_all(20);
    let total = directory.join("msgs_total");
    let deadline = Instant::now() + BOUND;
    while !total.exists() {
        assert!(Instant::now() < deadline, "no {}", total.display());
        std::thread::sleep(Duration::from_millis(20));
    }
    await_count(&total, 20);
    watch.process.interrupt();
    watch.end().ends(0);
    let text = std::fs::read_to_string(&json).expect("it wrote the values");
    let values: serde_json::Value = serde_json::from_str(&text).expect("whole JSON");
    assert_eq!((&values["msgs_total"], &values["drop_count"]), (&20.into(), &0.into()), "{values:#}");
}
