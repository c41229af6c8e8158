//! Bounds on a run, from the built binary: what it says, and its exit code.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use malaria_bench::record::{BoundState, Finished, Record};
use malaria_bench::reflector::{Config, Reflector, WorkerPlacement};

/// A run against the built-in broker. The tolerance keeps a busy test machine out of the verdict: it is what
/// wake-ups may lag.
const RUN: &str = "--embedded --clients 10 --rate 200 --warmup 0 --drain 5s --tolerance 200ms";

struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Ended {
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Ended {
    #[track_caller]
    fn with(&self, code: i32, said: &[&str]) {
        let all = format!("{}{}", self.stdout, self.stderr);
        assert_eq!(self.code, Some(code), "{all}");
        said.iter().for_each(|words| assert!(all.contains(words), "`{words}` is not said:\n{all}"));
    }
}

fn program(arguments: &str, bounds: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_malaria-bench"));
    command.args(arguments.split_whitespace());
    bounds.iter().for_each(|bound| _ = command.args(["--require", bound]));
    command.output().expect("the binary is built").into()
}

/// A run until the generator was not the bottleneck, three times at most: of a run in which it was, the
/// machine was busy with something else.
fn run(arguments: &str, bounds: &[&str]) -> Ended {
    run_for("1s", arguments, bounds)
}

fn run_for(duration: &str, arguments: &str, bounds: &[&str]) -> Ended {
    let run = || program(&format!("{RUN} --duration {duration} {arguments}"), bounds);
    let mut ended = run();
    for _ in 0..2 {
        if ended.code == Some(6) {
            ended = run();
        }
    }
    ended
}

fn record(file: &Path) -> Record {
    Record::from_json(&std::fs::read_to_string(file).expect("a record")).expect("a record")
}

/// checklist 74
#[test]
fn bounds_that_hold_leave_the_exit_clean() {
    let bounds = ["ack p50 < 5s", "acked >= 1/s", "lost == 0", "success >= 99.9%", "connected == 10"];
    let ended = run("", &bounds);
    ended.with(0, &["bound lost == 0: 0, held\n", "bound success >= 99.9%: 100.00%, held\n"]);
    let after = ended.stdout.split("\nrun ").nth(1).expect("the end of the summary");
    assert_eq!(after.matches(", held\n").count(), 5, "{}", ended.stdout);
}

/// checklist 74, 75: a broken bound, and one that nobody could check, have an exit code of their own; the
/// record has every bound, and later judgement of it agrees.
#[test]
fn broken_bounds_have_an_exit_code_of_their_own() {
    let folder = tempfile::tempdir().expect("a directory");
    let file: PathBuf = folder.path().join("result.json");
    let path = file.display().to_string();
    let ended = run(&format!("--json {path}"), &["acked >= 1M/s", "ack p99.99 < 1h", "lost == 0"]);
    ended.with(
        7,
        &[
            "BOUNDS BROKEN, exit code 7",
            "2 bounds did not hold: acked >= 1M/s (",
            "bound ack p99.99 < 1h: not measured (it takes 60,000 samples, there are ",
            "bound lost == 0: 0, held\n",
        ],
    );
    let found = record(&file);
    let states: Vec<BoundState> = found.bounds.iter().map(|bound| bound.result).collect();
    assert_eq!(states, [BoundState::Broken, BoundState::NotMeasured, BoundState::Held]);
    assert_eq!(found.exit_code, 7);

    let check = |files: &str, bounds: &[&str]| program(&format!("check {files}"), bounds);
    check(&path, &["lost == 0"]).with(0, &[&format!("{path}: lost == 0: 0, held\n")]);
    check(&path, &["ack p99.99 < 1h"]).with(7, &[&format!("{path}: ack p99.99 < 1h: not measured (")]);

    let mut lossy = found;
    (lossy.counts.lost, lossy.counts.delivered) = (1, lossy.counts.delivered - 1);
    let other = folder.path().join("lossy.json");
    std::fs::write(&other, serde_json::to_string(&lossy).expect("plain data")).expect("a file");
    let other = other.display().to_string();
    let both = check(&format!("{path} {other}"), &["sent >= 1 message", "connected > 10"]);
    both.with(
        5,
        &[
            &format!("{path}: sent >= 1 message: "),
            &format!("{path}: connected > 10: 10, BROKEN\n"),
            &format!("{other}: exit code 5: deliveries lost: 1\n"),
        ],
    );
}

/// Windows are measured as the run goes on, and are in the record for later judgement.
#[test]
fn windows_are_bounded_and_kept() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("result.json").display().to_string();
    let bounds = ["ack p50 < 5s over 1s", "acked >= 1/s over 1s", "ack p50 < 5s over 5m", "verdict == clean"];
    let ended = run_for("4s", &format!("--json {file}"), &bounds);
    ended.with(
        7,
        &[
            "bound ack p50 < 5s over 1s: ",
            "bound ack p50 < 5s over 5m: not measured (the measure phase has no 5m of whole seconds), BROKEN\n",
            "bound verdict == clean: clean, held\n",
        ],
    );
    let kept = record(Path::new(&file));
    assert_eq!(kept.windows.len(), 2);
    assert!(kept.windows[0].windows >= 2 && kept.windows[0].unknown == 0, "{:?}", kept.windows);
    let states: Vec<BoundState> = kept.bounds.iter().map(|bound| bound.result).collect();
    assert_eq!(states[..2], [BoundState::Held, BoundState::Held]);
    let check = |bound: &str| program(&format!("check {file}"), &[bound]);
    check("ack p50 < 5s over 1s").with(0, &[": ack p50 < 5s over 1s: ", ", held\n"]);
    check("acked >= 1/s over 2s").with(0, &[", held\n"]);
    check("ack p50 < 5s over 2s").with(7, &["only a run that had this bound has measured its windows"]);
    program("publish -n 1", &["ack p50 < 5s over 1s"]).with(2, &["only the main job has windows"]);
}

/// A run ends in the second in which a condition comes true, in order, with a record.
#[test]
fn a_condition_that_comes_true_ends_the_run() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("result.json").display().to_string();
    let run = |flags: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_malaria-bench"));
        command.args(RUN.split_whitespace()).args(["--duration", "100s"]);
        command.args(["--abort-on", "acked > 1/s over 1s", "--json", &file]).args(flags.split_whitespace());
        Ended::from(command.output().expect("the binary is built"))
    };
    let ended = run("");
    let kept = record(Path::new(&file));
    assert_eq!((kept.ended, kept.partial), (malaria_bench::record::Ended::Aborted, true));
    if kept.exit_code != 6 {
        ended.with(7, &["ABORTED, PARTIAL, exit code 7", "--abort-on acked > 1/s over 1s ("]);
    }
    let measured = kept.span_of(malaria_bench::record::Phase::Measure).expect("it was");
    assert!(measured < 90_000_000_000, "{measured}");
    run("--abort-on lost>0").with(2, &["`lost>0` is known at the end only"]);
}

#[test]
fn quiet_runs_name_the_broken_bound() {
    let ended = run("--quiet", &["sent < 1 message"]);
    ended.with(7, &["error: a bound did not hold: sent < 1 message ("]);
    assert_eq!((ended.stdout.as_str(), ended.stderr.lines().count()), ("", 1));
}

/// The record has standard output to itself.
#[test]
fn bounds_go_where_the_summary_goes() {
    let ended = run("--json -", &["lost == 0"]);
    ended.with(0, &[]);
    assert!(ended.stderr.ends_with("bound lost == 0: 0, held\n"), "{}", ended.stderr);
    assert_eq!(Record::from_json(&ended.stdout).expect("nothing but the record").bounds.len(), 1);
}

/// checklist 75: before anything is connected.
#[test]
fn senseless_bounds_are_a_usage_error() {
    let said = "`p999` is no figure of the latency `ack`: expected min, mean, max or a percentile";
    for command in [RUN, "publish", "subscribe", "check some.json"] {
        let ended = program(command, &["ack p999 < 5ms"]);
        ended.with(2, &[said]);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
    program("check", &["lost == 0"]).with(2, &[]);
    program("check some.json", &[]).with(2, &[]);
    program("check /nowhere/some.json", &["lost == 0"]).with(2, &["error: /nowhere/some.json: No such file"]);
    program("check Cargo.toml", &["lost == 0"]).with(2, &["error: Cargo.toml: not a record: "]);
}

/// checklist 74: `publish` and `subscribe` as well.
#[test]
fn fleets_have_bounds_too() {
    let workers = vec![WorkerPlacement::default()];
    let listen = "127.0.0.1:0".parse().expect("an address");
    let reflector =
        Reflector::start(Config { listen, workers, rings_per_worker: 1, max_connections_per_ring: 1000 });
    let reflector = reflector.expect("the reflector starts");
    let broker = format!("-H 127.0.0.1 -p {} --progress never", reflector.addr().port());
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("published.json").display().to_string();

    let publish = format!("publish {broker} -P 2 -n 20 -T 100 --stagger 0 --json {file}");
    let bounds = ["acked == 40", "ack max < 10s", "lost == 0", "success == 100%", "sent >= 1/s"];
    let ended = program(&format!("{publish} --self-check"), &bounds);
    ended.with(0, &["bound acked == 40: 40, held\n", "bound lost == 0: 0, held\n"]);
    let ended = program(&publish, &["acked == 40", "lost == 0"]);
    ended.with(7, &["bound lost == 0: not measured (nobody subscribes), BROKEN\n"]);
    let kept = std::fs::read_to_string(&file).expect("what --json wrote");
    let Ok(Finished::Fleet(kept)) = Finished::from_json(&kept) else { panic!("{kept}") };
    assert_eq!((kept.exit_code, kept.bounds.len()), (7, 2));
    program(&format!("check {file}"), &["acked == 40"]).with(0, &[": acked == 40: 40, held\n"]);

    let ended = program(&format!("{publish} --round-trip"), &["round-trip p50 < 10s"]);
    ended.with(0, &["bound round-trip p50 < 10s: "]);
    let subscribe = format!("subscribe {broker} --endless --duration 100ms");
    program(&subscribe, &["delivered >= 1 message"])
        .with(7, &["bound delivered >= 1 message: not measured ("]);
    reflector.stop().expect("the reflector ends");
}
