//! The programs as processes: words that are no text, signals, outputs that cannot be written, and what they leave
//! behind. The built binaries, without a broker.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use malaria_bench::record::{Ended, Record};
use tempfile::TempDir;

const BENCH: &str = env!("CARGO_BIN_EXE_malaria-bench");
const MALARIA: &str = env!("CARGO_BIN_EXE_malaria");

/// A run that ends by itself, soon.
const SHORT: &str = "--embedded --cores 1 --clients 2 --rate 100 --warmup 0 --duration 300ms";
/// One that does not.
const LONG: &str = "--embedded --cores 1 --clients 2 --rate 100 --warmup 0 --duration 1h --progress always";

/// A word that is no UTF-8.
fn no_text(before: &str, behind: &str) -> OsString {
    OsString::from_vec([before.as_bytes(), b"\xff", behind.as_bytes()].concat())
}

fn command(program: &str, line: &str) -> Command {
    let mut command = Command::new(program);
    command.args(line.split_whitespace());
    command
}

/// A command line for a port that nobody listens on.
fn for_nobody(line: &str) -> String {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    format!("{line} -H 127.0.0.1 -p {port}")
}

#[track_caller]
fn ends(output: &Output, codes: &[i32]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("panicked"), "{said}");
    assert!(output.status.code().is_some_and(|code| codes.contains(&code)), "{}: {said}", output.status);
}

fn record(path: &Path) -> Record {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Record::from_json(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Methodology rule R22: what this machine can do is measured and kept, and every later run says how much of it it
/// used. On a machine that is busy with other things nothing is kept.
#[test]
fn r22_a_machine_is_calibrated_and_runs_say_how_much_of_it_they_used() {
    let state = TempDir::new().unwrap();
    let kept = state.path().join("malaria-bench/calibration.json");
    let with_state = |line: &str| {
        let mut command = command(BENCH, line);
        command.env("XDG_STATE_HOME", state.path());
        command
    };
    let output = with_state("calibrate --cores 1 --duration 200ms").output().unwrap();
    ends(&output, &[0, 3]);
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(3) {
        assert!(said.contains("nothing was kept") && !kept.exists(), "{said}");
        eprintln!("others have the CPU: no more of this can be shown here");
        return;
    }
    let known: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&kept).unwrap()).unwrap();
    let positive = |value: &serde_json::Value| value.as_f64().is_some_and(|value| value > 0.0);
    for rate in ["out_per_s", "in_per_s"] {
        assert!(known[rate].as_array().unwrap().iter().all(positive), "{known}");
    }
    for figure in
        ["both_per_s", "connects_per_s", "round_trip_p50_ns", "wake_lag_p50_ns", "hearing_lag_p50_ns"]
    {
        assert!(positive(&known[figure]), "{figure}: {known}");
    }
    let path = state.path().join("run.json");
    let output = with_state(SHORT).arg("--json").arg(&path).output().unwrap();
    ends(&output, &[0, 6]);
    let calibrated = record(&path).calibration.expect("the machine is known");
    assert!(calibrated.share > 0.0 && calibrated.share < 0.5, "100 messages a second: {calibrated:?}");
    let summary = String::from_utf8_lossy(&output.stdout);
    assert!(summary.contains("of its ceiling"), "{summary}");
}

/// A path keeps its bytes; where a record has it, it is text.
#[test]
fn a_path_that_is_no_text_is_written_to() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join(no_text("result-", ".json"));
    let output = command(BENCH, SHORT).arg("--quiet").arg("--json").arg(&path).output().unwrap();
    ends(&output, &[0, 6]);
    let words = record(&path).command;
    assert!(words.last().is_some_and(|word| word.ends_with("result-\u{fffd}.json")), "{words:?}");
    for line in ["report", "check --require sent>0"] {
        ends(&command_with(BENCH, line, &path), &[0]);
    }
    let keys = dir.path().join(no_text("keys", ""));
    ends(&command(MALARIA, "keygen -f").arg(&keys).output().unwrap(), &[0]);
    assert!(keys.exists());
}

fn command_with(program: &str, line: &str, word: impl AsRef<OsStr>) -> Output {
    command(program, line).arg(word).output().unwrap()
}

/// The commands of malaria, too: whether there is a broker is found after the words were read.
#[test]
fn every_command_takes_a_path_that_is_no_text() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join(no_text("result", ""));
    for line in ["publish --stagger 0 -n 1", "subscribe", "watch"] {
        ends(&command_with(MALARIA, &format!("{} --json", for_nobody(line)), &path), &[4]);
    }
}

/// Where text is needed, such a word is a mistake like others.
#[test]
fn a_value_that_is_no_text_is_a_usage_error() {
    let topic = no_text("plant/", "");
    ends(&command_with(BENCH, &format!("{SHORT} --topic"), &topic), &[2]);
    ends(&command_with(MALARIA, "publish --topic", &topic), &[2]);
    ends(&command_with(MALARIA, "attack", &topic), &[2]);
    ends(&command_with(BENCH, "", &topic), &[2]);
}

/// A scenario's results go where they are asked for; its texts name that place, or cannot.
#[test]
fn a_scenario_keeps_a_place_that_is_no_text() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join(no_text("out-", ""));
    let file = dir.path().join(no_text("scenario-", ".toml"));
    std::fs::write(&file, "[[step]]\nname = 'keys'\nrun = 'keygen -n 1'\n").unwrap();
    let run = || command(BENCH, "scenario").arg(&file).arg("--out").arg(&out).output().unwrap();
    ends(&run(), &[0]);
    assert!(out.join("summary.json").exists() && out.join("run/keys.stdout").exists());
    std::fs::remove_dir_all(&out).unwrap();
    std::fs::write(&file, "[[step]]\nshell = 'touch ${dir}/x'\n").unwrap();
    let output = run();
    ends(&output, &[2]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("${dir}"), "{output:?}");
}

/// A long run that measures. Its standard error is read on, so that it never waits for a reader.
fn measuring(mut command: Command) -> Child {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("measure ")), "it never measured");
    std::thread::spawn(move || lines.for_each(drop));
    child
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
    assert!(status.unwrap().success());
}

/// A result that cannot be written costs no earlier one. (A limit on the size of files is a disk that is full.)
#[test]
fn an_earlier_result_survives_a_full_disk() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("result.json");
    let run = |before: &str| {
        let mut bench = Command::new("sh");
        bench.args(["-c", &format!("{before}; exec \"$0\" \"$@\""), BENCH]);
        bench.args(SHORT.split_whitespace()).arg("--quiet").arg("--json").arg(&path).output().unwrap()
    };
    ends(&run("true"), &[0, 6]);
    let first = std::fs::read(&path).unwrap();
    ends(&run("trap '' XFSZ; ulimit -f 1"), &[3]);
    assert_eq!(std::fs::read(&path).unwrap(), first);
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    std::fs::remove_file(&path).unwrap();
    ends(&run("trap '' XFSZ; ulimit -f 1"), &[3]);
    assert!(!path.exists());
}

/// A terminal that goes away ends a run as SIGTERM does; it says so twice (the shell, and the kernel).
#[test]
fn a_hangup_keeps_what_was_measured() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("result.json");
    let mut bench = command(BENCH, LONG);
    bench.arg("--json").arg(&path);
    let mut child = measuring(bench);
    signal(&child, "HUP");
    signal(&child, "HUP");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let record = record(&path);
    assert_eq!((record.ended, record.partial), (Ended::Interrupted, true));
}

/// nohup: who starts it can have hangups ignored.
#[test]
fn an_ignored_hangup_stays_ignored() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("result.json");
    let mut bench = Command::new("sh");
    bench.args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", BENCH]);
    bench.args(LONG.replace("1h", "2s").split_whitespace()).arg("--json").arg(&path);
    let mut child = measuring(bench);
    signal(&child, "HUP");
    assert!(matches!(child.wait().unwrap().code(), Some(0 | 6)));
    let record = record(&path);
    assert_eq!((record.ended, record.partial), (Ended::Completed, false));
}

/// A scenario passes it on, and keeps its summary.
#[test]
fn a_hangup_ends_a_scenario_in_order() {
    let dir = TempDir::new().unwrap();
    let (file, out) = (dir.path().join("long.toml"), dir.path().join("out"));
    std::fs::write(&file, format!("[[step]]\nname = 'load'\nrun = '{LONG}'\n")).unwrap();
    let mut child = command(BENCH, "scenario")
        .arg(&file)
        .arg("--out")
        .arg(&out)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let said = out.join("run/load.stderr");
    while !std::fs::read_to_string(&said).is_ok_and(|text| text.contains("measure ")) {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it measured");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    signal(&child, "HUP");
    signal(&child, "HUP");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(record(&out.join("run/load.json")).partial);
    assert!(std::fs::read_to_string(out.join("summary.json")).unwrap().contains("\"exit_code\": 130"));
}

/// What never had a result leaves no file, and what was in a file stays.
#[test]
fn a_run_that_never_starts_leaves_its_file_alone() {
    let dir = TempDir::new().unwrap();
    let (new, old) = (dir.path().join("new.json"), dir.path().join("old.json"));
    std::fs::write(&old, "old").unwrap();
    for (program, line) in [
        (BENCH, "--json"),
        (MALARIA, "publish --json"),
        (MALARIA, "subscribe --json"),
        (MALARIA, "watch --json"),
    ] {
        for path in [&new, &old] {
            let mut bench = command(program, line);
            let output = bench.arg(path).args(["-H", "no-such-host.invalid"]).output().unwrap();
            ends(&output, &[4]);
            assert!(!new.exists(), "{line}");
            assert_eq!(std::fs::read_to_string(&old).unwrap(), "old", "{line}");
        }
    }
}

/// Nor does a run that is killed.
#[test]
fn a_run_that_is_killed_leaves_no_empty_file() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("result.json");
    let mut bench = command(BENCH, LONG);
    bench.arg("--json").arg(&path);
    let mut child = measuring(bench);
    signal(&child, "KILL");
    child.wait().unwrap();
    assert!(!path.exists());
}

/// Nobody may be reading what is said on standard error, least of all when the terminal has gone away.
#[test]
fn complaints_that_cannot_be_written_are_no_fault() {
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let code = |program: &str, line: &str| command(program, line).stderr(full()).status().unwrap().code();
    assert_eq!(code(BENCH, "--no-such-flag"), Some(2));
    assert_eq!(code(BENCH, &for_nobody("--clients 2")), Some(4));
    assert_eq!(code(MALARIA, &for_nobody("publish --stagger 0 --quiet")), Some(4));
    let watched = SHORT.replace("300ms", "1500ms");
    assert!(matches!(code(BENCH, &format!("{watched} --progress always")), Some(0 | 6)));
    let mut attack =
        command(MALARIA, "attack --warhead /dev/stdin").stdin(Stdio::piped()).stderr(full()).spawn();
    let child = attack.as_mut().unwrap();
    child.stdin.take().unwrap().write_all(b"true\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Also behind flags of the main job.
#[test]
fn a_mistyped_command_is_called_by_its_name() {
    for line in ["pubish", "-H x pubish", "-H x -p 1 pubish -n 3"] {
        let output = command(BENCH, line).output().unwrap();
        ends(&output, &[2]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("'pubish'") && said.contains("'publish'"), "{line}: {said}");
        assert!(!said.contains("cannot be used with"), "{line}: {said}");
    }
}
