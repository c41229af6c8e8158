//! Several commands as one experiment, end to end: the built binaries, without a broker.

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

const BENCH: &str = env!("CARGO_BIN_EXE_malaria-bench");
const MALARIA: &str = env!("CARGO_BIN_EXE_malaria");

fn scenario(dir: &TempDir, text: &str, flags: &[&str]) -> Output {
    let file = dir.path().join("scenario.toml");
    std::fs::write(&file, text).unwrap();
    let out = dir.path().join("out");
    let mut command = Command::new(BENCH);
    command.arg("scenario").arg(&file).arg("--out").arg(&out).args(flags);
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn summary(dir: &TempDir) -> Value {
    let text = std::fs::read_to_string(dir.path().join("out/summary.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn read(dir: &TempDir, path: &str) -> String {
    std::fs::read_to_string(dir.path().join("out").join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// checklist 78, 79: a sweep of the main job leaves a record for each combination, a table, a CSV and a summary.
#[test]
fn a_sweep_leaves_records_and_a_table() {
    let dir = TempDir::new().unwrap();
    let output = scenario(
        &dir,
        "[vars]\nqos = [0, 1]\nsize = ['24', '1KiB']\n[[step]]\nname = 'load'\n\
         run = '--embedded --cores 1 --clients 4 --rate 200 --warmup 0.1 --duration 0.5 -q ${qos} -s ${size}'\n",
        &[],
    );
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(stdout.starts_with("qos  size  exit  "), "{stdout}{stderr}");
    let rows = stdout.lines().filter(|line| !line.starts_with("exit codes: ")).count();
    assert_eq!(rows, 5, "{stdout}{stderr}");
    // What is left is told until nothing is.
    let ends: Vec<&str> =
        stderr.lines().filter(|line| line.contains("clean") || line.contains("exit code")).collect();
    let (last, before) = ends.split_last().expect("each says how it ended");
    assert!(before.iter().all(|line| line.contains(", about ") && line.ends_with(" left")), "{stderr}");
    assert!(!last.contains(" left"), "{stderr}");
    let summary = summary(&dir);
    assert_eq!(summary["schema"], "malaria-bench/scenario/1");
    let combinations = summary["combinations"].as_array().unwrap();
    assert_eq!(combinations.len(), 4);
    for (at, combination) in combinations.iter().enumerate() {
        // A busy machine may make the generator the bottleneck; nothing else may go wrong.
        assert!([0, 6].contains(&combination["exit_code"].as_u64().unwrap()), "{combination}");
        let figures = &combination["steps"][0]["figures"];
        assert_eq!((figures["sent"].as_u64(), figures["lost"].as_u64()), (Some(100), Some(0)));
        assert_eq!(figures["acked"].is_null(), at < 2, "QoS 0 has no acknowledgements");
        let directory = combination["directory"].as_str().unwrap();
        assert!(read(&dir, &format!("{directory}/load.json")).contains("malaria-bench/1"));
        assert!(read(&dir, &format!("{directory}/load.stdout")).contains("embedded reflector"));
    }
    assert_eq!(combinations[3]["variables"], serde_json::json!({ "qos": "1", "size": "1KiB" }));
    assert_eq!(read(&dir, "summary.csv").lines().count(), 5);
    let code = u64::try_from(output.status.code().unwrap()).unwrap();
    assert_eq!(summary["exit_code"], code);
    // Its folder has a page: of the whole, and of the runs below.
    let report =
        Command::new(BENCH).arg("report").arg(dir.path().join("out")).args(["--html", "-"]).output().unwrap();
    let page = text(&report.stdout);
    assert!(report.status.success(), "{}", text(&report.stderr));
    for part in [
        "4 combinations: ",
        "<h2>Over qos</h2>",
        "<h2>Over size</h2>",
        "size=1KiB: ",
        "<a download=\"summary.json\"",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert_eq!(page.matches("<article id=").count(), 4);
}

/// What several brokers hold, beside each other.
#[test]
fn a_capacity_is_searched_on_each_broker() {
    let dir = TempDir::new().unwrap();
    let broker = |name: &str, rate: &str, port: u16| {
        let script = dir.path().join(format!("{name}.toml"));
        std::fs::write(&script, format!("rate = '{rate}'\n")).unwrap();
        let script = script.display();
        format!(
            "[brokers.{name}]\nhost = '127.0.0.1:{port}'\nready = {port}\n\
             start = 'exec ${{program}} reflector --cores 1 --port {port} --script {script}'\n"
        )
    };
    let step = "[[step]]\nname = 'search'\nrun = 'capacity -H ${host} --cores 1 --clients 20 --min 200 --max 8k \
                --duration 300ms --warmup 100ms --trials 1 --width 10% --confirm 0 --curve 0 --tolerance 2ms'\n";
    let brokers = broker("slow", "500", free_port()) + &broker("fast", "2k", free_port());
    let output = scenario(&dir, &(step.to_owned() + &brokers), &[]);
    let (summary, stdout) = (summary(&dir), text(&output.stdout));
    let combinations = summary["combinations"].as_array().unwrap();
    assert_eq!(combinations.len(), 2, "{summary:#}");
    assert!(stdout.lines().next().is_some_and(|header| header.ends_with("capacity")), "{stdout}");
    for combination in combinations {
        // Who is too busy says nothing, or only that it is at least so much.
        assert!([0, 6, 9].contains(&combination["exit_code"].as_u64().unwrap()), "{summary:#}");
        let figures = &combination["steps"][0]["figures"];
        assert_eq!((figures["capacity_over"].as_str(), figures["sent"].as_u64()), (Some("rate"), None));
        assert_eq!(combination["problems"], Value::Array(vec![]), "{summary:#}");
    }
    let capacity = |at: usize| combinations[at]["steps"][0]["figures"]["capacity"].as_f64();
    if let (Some(slow), Some(fast)) = (capacity(0), capacity(1))
        && combinations.iter().all(|combination| combination["exit_code"] == 0)
    {
        assert!(slow < fast, "{stdout}");
    }
}

/// checklist 78, 87: subscriber and publisher at once, the publisher when the subscription stands, against brokers
/// that are started and stopped, with their output and logs kept.
#[test]
fn sections_run_at_once_against_brokers_that_are_started_and_stopped() {
    let dir = TempDir::new().unwrap();
    let stopped = dir.path().join("stopped");
    let output = scenario(
        &dir,
        &format!(
            r#"
            [[step]]
            name = "both"
            parallel = [
                {{ name = "sub", run = "subscribe -H ${{host}} -n 20 -N 2" }},
                {{ name = "count", run = "subscribe -H ${{host}} --endless", background = true }},
                "publish -H ${{host}} -t -n 20 -P 2 --stagger 0",
            ]
            [brokers.one]
            host = "127.0.0.1:{one}"
            start = "exec ${{program}} reflector --cores 1 --port {one}"
            ready = {one}
            stop = "echo ${{broker}} > {stopped}"
            [brokers.two]
            host = "127.0.0.1:{two}"
            start = "${{program}} reflector --cores 1 --port {two} > ${{dir}}/own.log"
            log = "${{dir}}/own.log"
            ready = "127.0.0.1:{two}"
            restart = true
            [brokers.broken]
            host = "127.0.0.1:1"
            start = "echo no such broker >&2; exit 7"
            ready = {broken}
            "#,
            one = free_port(),
            two = free_port(),
            broken = free_port(),
            stopped = stopped.display(),
        ),
        &[],
    );
    let summary = summary(&dir);
    let shown = format!("{summary:#}{}", text(&output.stderr));
    let combinations = summary["combinations"].as_array().unwrap();
    assert_eq!(combinations.len(), 3, "{shown}");
    for combination in &combinations[..2] {
        assert_eq!(
            (&combination["exit_code"], &combination["problems"]),
            (&0.into(), &Value::Array(vec![])),
            "{shown}"
        );
        let step = &combination["steps"][0];
        assert_eq!(step["sections"].as_array().unwrap().len(), 3);
        let figures = &step["figures"];
        assert_eq!(
            (&figures["sent"], &figures["acked"], &figures["lost"]),
            (&40.into(), &40.into(), &0.into()),
            "{shown}"
        );
        assert_eq!(figures["delivered"], 80, "two subscribers: {shown}");
    }
    ["one/run/both-3.json", "two/run/both-3.json"].iter().for_each(|at| was_watched(&read(&dir, at)));
    assert!(combinations[2]["problems"][0].as_str().unwrap().contains("exit status: 7"), "{shown}");
    assert_eq!(output.status.code(), Some(3), "{shown}");
    assert!(read(&dir, "one/run/broker-start.stdout").contains("40 messages in"), "it was stopped in order");
    assert_eq!(std::fs::read_to_string(&stopped).unwrap(), "one\n");
    assert!(read(&dir, "two/run/broker.log").contains("reflector listens on"));
    assert_eq!(read(&dir, "broken/run/broker-start.stderr"), "no such broker\n");
}

/// Who was started is watched without being asked.
fn was_watched(record: &str) {
    let record: Value = serde_json::from_str(record).unwrap();
    let cost = &record["malaria_bench"]["broker_cost"];
    let watched = &cost["watched"][0];
    assert_eq!((&watched["by"], &watched["name"]), (&"port".into(), &"malaria-bench".into()));
    assert!(cost["cpu_per_message_ns"].as_u64() > Some(0) && cost["whole"]["user_cpu_ns"].is_u64(), "{cost}");
}

/// checklist 78: what fails ends its combination, not the others; the lowest code wins.
#[test]
fn a_failure_ends_its_combination_only() {
    let dir = TempDir::new().unwrap();
    let output = scenario(
        &dir,
        "[vars]\nn = [1, 2]\n[[step]]\nname = 'a'\nshell = 'test ${n} = 2'\n[[step]]\nname = 'b'\nshell = 'echo ${n}'\n",
        &["--quiet"],
    );
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(text(&output.stderr), "");
    let summary = summary(&dir);
    let steps = |at: usize| summary["combinations"][at]["steps"].as_array().unwrap().len();
    assert_eq!((steps(0), steps(1)), (1, 2));
    assert_eq!(read(&dir, "n=2/b.stdout"), "2\n");
}

/// Mistakes are one line with the file's line and exit code 2, before anything runs.
#[test]
fn mistakes_are_told_before_anything_runs() {
    for (source, line, words) in [
        ("[[step]]\nshell = 'touch ran'\n\n[oops]\n", 4, "oops"),
        ("[[step]]\nrun = 'publish ${count}'\n", 2, "count"),
        ("[[step]]\nrun = 'publish ${count'\n", 2, "not closed"),
        ("[[step]]\nname = 'x'\nrun = 'publish --clouds'\n", 3, "--clouds"),
        ("[[step]]\nrun = 'scenario x.toml'\n", 2, "cannot be a step"),
    ] {
        let dir = TempDir::new().unwrap();
        let output = scenario(&dir, source, &[]);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.contains(&format!("line {line}: ")) && stderr.contains(words), "{stderr}");
        assert!(!dir.path().join("out").exists());
    }
}

#[test]
fn a_dry_run_shows_everything_and_runs_nothing() {
    let dir = TempDir::new().unwrap();
    let source =
        "[vars]\nn = [1, 2]\n[[step]]\nname = 'load'\nrun = 'publish -n ${n}'\n[[step]]\nsleep = '1m'\n";
    let output = scenario(&dir, source, &["--dry-run", "--set", "n=[5, 6, 7]"]);
    assert_eq!(output.status.code(), Some(0));
    let stdout = text(&output.stdout);
    assert!(stdout.contains("n=6\n  load: malaria-bench publish -n 6\n  step-2: sleep 60\n"), "{stdout}");
    assert!(stdout.ends_with("3 combinations\n"), "{stdout}");
    assert!(!dir.path().join("out").exists());
}

/// checklist 82: results that cannot be kept are not begun.
#[test]
fn the_place_of_the_results_is_looked_at_first() {
    let dir = TempDir::new().unwrap();
    let source = format!("[[step]]\nshell = 'touch {}/ran'\n", dir.path().display());
    std::fs::create_dir(dir.path().join("out")).unwrap();
    std::fs::write(dir.path().join("out/old.json"), "{}").unwrap();
    let output = scenario(&dir, &source, &[]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    std::fs::remove_dir_all(dir.path().join("out")).unwrap();
    std::fs::write(dir.path().join("out"), "a file").unwrap();
    let output = scenario(&dir, &source, &[]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert!(!dir.path().join("ran").exists());
}

/// checklist 80: Ctrl-C ends the step that runs in order; its partial record is kept and nothing else is begun.
#[test]
fn an_interrupt_keeps_what_there_is() {
    let dir = TempDir::new().unwrap();
    let measuring = dir.path().join("measuring");
    let file = dir.path().join("scenario.toml");
    std::fs::write(
        &file,
        format!(
            "[vars]\nn = [1, 2]\n[[step]]\nname = 'load'\nparallel = [\n\
             {{ name = 'x', run = '--embedded --cores 1 --clients 4 --duration 1h --progress always', ready = 'measure' }},\n\
             {{ name = 'y', shell = 'touch {}; exec sleep 1000' }}]\n",
            measuring.display()
        ),
    )
    .unwrap();
    let mut child = Command::new(BENCH)
        .arg("scenario")
        .arg(&file)
        .arg("--out")
        .arg(dir.path().join("out"))
        .process_group(0)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The second section says that the first one measures.
    while !measuring.exists() {
        assert_eq!(child.try_wait().unwrap(), None, "it ended before it was interrupted");
        std::thread::sleep(Duration::from_millis(10));
    }
    interrupt(child.id());
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{stdout}");
    assert!(stdout.contains("1 of 2 combinations were not run"), "{stdout}");
    let summary = summary(&dir);
    let step = &summary["combinations"][0]["steps"][0];
    assert_eq!((&summary["exit_code"], &step["exit_code"]), (&130.into(), &130.into()));
    let record: Value = serde_json::from_str(&read(&dir, "n=1/load-x.json")).unwrap();
    assert_eq!((&record["ended"], &record["partial"]), (&"interrupted".into(), &true.into()));
}

/// SIGINT to one process, as Ctrl-C is to the foreground's.
fn interrupt(pid: u32) {
    assert!(Command::new("kill").args(["-s", "INT", &pid.to_string()]).status().unwrap().success());
}

/// checklist 53: the built-in matrix runs.
#[test]
fn the_matrix_runs_against_the_reflector() {
    let dir = TempDir::new().unwrap();
    let output = Command::new(BENCH)
        .args([
            "matrix",
            "--embedded",
            "--quiet",
            "--set",
            "qos=1",
            "--set",
            "size=24",
            "--set",
            "clean=true",
        ])
        .args(["--set", "duration=0.2s", "--set", "warmup=0", "--out"])
        .arg(dir.path().join("out"))
        .args(["--", "--cores", "1"])
        .output()
        .unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!([Some(0), Some(6)].contains(&output.status.code()), "{stdout}{stderr}");
    // what the codes were is told where they are not all 0
    let rows = stdout.lines().filter(|line| !line.starts_with("exit codes: ")).count();
    assert_eq!(rows, 10, "{stdout}{stderr}");
    let summary = summary(&dir);
    for combination in summary["combinations"].as_array().unwrap() {
        let figures = &combination["steps"][0]["figures"];
        assert!(figures["sent_per_s"].as_f64().unwrap() > 0.0 && figures["lost"] == 0, "{combination}");
    }
}

/// checklist 53: every command of the whole matrix makes sense, against each host.
#[test]
fn a_dry_run_of_the_matrix_checks_every_command() {
    let output = Command::new(BENCH)
        .args(["matrix", "--dry-run", "-H", "one", "-H", "two:1884", "--", "--cores", "1"])
        .output()
        .unwrap();
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{stdout}{}", text(&output.stderr));
    for (target, directory) in [("-H one:1883", "one_1883/"), ("-H two:1884", "two_1884/")] {
        let runs = |line: &&str| line.contains(target) && line.ends_with(" --cores 1");
        assert_eq!(stdout.lines().filter(runs).count(), 162, "{target}");
        assert!(stdout.lines().any(|line| line.starts_with(directory)), "{directory}");
    }
}

fn attack(dir: &TempDir, warhead: &str, target: &str) -> Output {
    let file = dir.path().join("test.warhead");
    std::fs::write(&file, warhead).unwrap();
    // Whatever is called malaria on PATH is not what runs.
    let decoys = dir.path().join("bin");
    std::fs::create_dir_all(&decoys).unwrap();
    std::fs::write(decoys.join("malaria"), "#!/bin/sh\necho decoy\n").unwrap();
    Command::new("chmod").arg("+x").arg(decoys.join("malaria")).status().unwrap();
    let path = format!("{}:{}", decoys.display(), std::env::var("PATH").unwrap());
    let temporary = dir.path().join("tmp");
    std::fs::create_dir_all(&temporary).unwrap();
    let mut command = Command::new(MALARIA);
    command.args(["attack", target, "--warhead"]).arg(&file).env("PATH", path).env("TMPDIR", temporary);
    command.output().unwrap()
}

fn is_empty(path: &Path) -> bool {
    std::fs::read_dir(path).unwrap().next().is_none()
}

/// checklist 11: comments, blank lines, sleep, the target; `malaria` is this program, also within a command.
#[test]
fn a_warhead_runs_unchanged() {
    let dir = TempDir::new().unwrap();
    let keys = dir.path().join("keys");
    let warhead = format!(
        "# bees\n; and more bees\n\nmalaria keygen -n 3 -f {0}\nsleep 0\n\
         echo target %(malaria_target)s 100%%\nsh -c 'malaria keygen -n 1 | wc -l'\n",
        keys.display()
    );
    let output = attack(&dir, &warhead, "broker.lab");
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    assert_eq!(std::fs::read_to_string(&keys).unwrap().lines().count(), 3);
    assert!(stdout.contains("target broker.lab 100%\n1\n") && !stdout.contains("decoy"), "{stdout}{stderr}");
    assert!(!stderr.contains("bees") && stderr.contains("+ sleep 0\n"), "{stderr}");
    assert!(is_empty(&dir.path().join("tmp")), "nothing is left behind");
}

/// checklist 11: failures do not end it, usage errors do; the lowest code wins.
#[test]
fn a_warhead_goes_on_but_for_a_usage_error() {
    let dir = TempDir::new().unwrap();
    let port = free_port();
    let nobody = format!("malaria publish -n 1 --stagger 0 -H 127.0.0.1 -p {port}");
    let output = attack(&dir, &format!("{nobody}\necho on\n"), "x");
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("on\n"));
    let output = attack(&dir, &format!("false\n{nobody}\necho on\n"), "x");
    assert_eq!(output.status.code(), Some(3), "commands of other programs count as environment");
    let output = attack(&dir, "malaria publish --clouds 3\necho on\n", "x");
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(2), ""));
    let output = attack(&dir, "echo on\necho %(malaria_home)s\n", "x");
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(2), ""), "read before it runs");
    assert!(text(&output.stderr).contains("line 2: "), "{}", text(&output.stderr));
}
