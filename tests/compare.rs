//! Runs against runs, from the built binary: repeats, baselines, `compare` and `ab`, what they say and their exit codes.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use malaria_bench::record::Record;
use serde_json::Value;
use tempfile::TempDir;

#[path = "brokers/process.rs"]
#[allow(dead_code, reason = "other tests need the rest")]
mod process;
#[path = "brokers/quota.rs"]
mod quota;

use process::{find, skip};
use quota::Quota;

const BENCH: &str = env!("CARGO_BIN_EXE_malaria-bench");

/// A run that takes a second. The tolerance keeps a busy test machine out of the verdict: it is what wake-ups may lag.
const RUN: &str =
    "--cores 1 --clients 4 --rate 2k --warmup 100ms --duration 500ms --drain 2s --tolerance 10ms";

struct Ended {
    code: i32,
    text: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Ended {
        let text =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("text")).concat();
        Ended { code: output.status.code().expect("it ended by itself"), text }
    }
}

fn bench(arguments: &str, more: &[&str]) -> Ended {
    Command::new(BENCH).args(arguments.split_whitespace()).args(more).output().expect("it is built").into()
}

impl Ended {
    #[track_caller]
    fn ends_with(self, codes: &[i32]) -> Ended {
        assert!(codes.contains(&self.code), "exit code {}:\n{}", self.code, self.text);
        self
    }

    #[track_caller]
    fn says(&self, words: &str) {
        assert!(self.text.contains(words), "`{words}` is not said:\n{}", self.text);
    }
}

fn records(folder: &Path) -> Vec<Record> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| Record::from_json(&std::fs::read_to_string(file).unwrap()).unwrap()).collect()
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Repeats are kept, each of them; they are a baseline, and a baseline is no worse than itself.
#[test]
fn repeats_are_kept_and_are_a_baseline() {
    let dir = TempDir::new().unwrap();
    let [runs, base] = ["runs", "base"].map(|name| dir.path().join(name).display().to_string());
    // what is left of a longer series goes, and nothing else
    std::fs::create_dir(&runs).unwrap();
    std::fs::write(format!("{runs}/07.json"), "stale").unwrap();
    std::fs::write(format!("{runs}/notes.txt"), "mine").unwrap();
    let logs = dir.path().join("logs");
    let hlog = logs.display().to_string();
    let output = ["--repeat", "3", "--json", &runs, "--save-baseline", &base, "--hlog", &hlog];
    // A busy machine may make the generator the bottleneck; nothing else may go wrong.
    let ended = bench(&format!("--embedded {RUN}"), &output).ends_with(&[0, 6]);
    ended.says("run 3 of 3: ");
    ended.says("\nover all runs ");
    std::fs::remove_file(format!("{runs}/notes.txt")).expect("it was kept");
    let kept = records(runs.as_ref());
    assert_eq!(kept.len(), 3);
    for number in 1..=3 {
        let log = std::fs::read_to_string(logs.join(format!("0{number}.hlog"))).unwrap();
        assert!(log.contains("Tag=ack_response,"), "{log}");
    }
    assert!(kept.iter().all(|record| record.counts.sent == 1000 && record.counts.lost == 0));
    let saved = records(base.as_ref());
    assert_eq!(saved.len(), if ended.code == 0 { 3 } else { 0 }, "{}", ended.text);

    let json = dir.path().join("comparison.json").display().to_string();
    // which of the two it is hangs on how the runs scatter; the same runs are no worse than themselves
    let ended = bench("compare", &[&runs, "--json", &json, "--", &runs]).ends_with(&[0, 6, 9]);
    ended.says(", exit code ");
    let comparison: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(comparison["schema"], "malaria-bench/compare/1");
    assert_eq!(comparison["exit_code"], ended.code);
    let sent = comparison["metrics"].as_array().unwrap().iter().find(|metric| metric["metric"] == "sent");
    if ended.code != 6 {
        assert_eq!(sent.expect("it was measured")["change"]["percent"], 0.0, "{comparison:#}");
    }

    let against = ["--repeat", "2", "--baseline", &runs, "--gate", "sent"];
    let ended = bench(&format!("--embedded {RUN}"), &against).ends_with(&[0, 6, 8, 9]);
    ended.says("Result: ");
    ended.says("runs: 3 of the base, 2 new");
    // another load is no gate
    let ended = bench(&format!("--embedded {RUN} -q 0"), &["--baseline", &runs]).ends_with(&[2]);
    ended.says("qos 1 against 0");
}

/// A bound that is broken is in the exit code of a repeated run, and every code is told.
#[test]
fn a_broken_bound_of_one_of_many_runs_is_the_exit_code() {
    let bound = ["--repeat", "2", "--require", "sent < 5 messages"];
    let ended = bench(&format!("--embedded {RUN}"), &bound).ends_with(&[6, 7]);
    match ended.code {
        7 => ended.says("with 7 (bounds)"),
        _ => ended.says("with 6 (generator-limited)"),
    };
}

#[test]
fn what_makes_no_sense_is_a_usage_error() {
    let dir = TempDir::new().unwrap();
    let empty = dir.path().display().to_string();
    bench("compare", &[&empty, "--", &empty]).ends_with(&[2]).says("no record of the main job in it");
    bench("compare", &["nowhere.json", "--", &empty]).ends_with(&[2]).says("nowhere.json");
    bench("compare", &["a.json", "--gate", "lost", "--", "b.json"]).ends_with(&[2]).says("`lost`");
    bench("--embedded --repeat 2 --json -", &[]).ends_with(&[2]).says("folder");
    bench("--embedded --baseline", &[&empty]).ends_with(&[2]).says("no record");
    bench("ab --a-host one --b-host two --", &["--host", "three"]).ends_with(&[2]).says("--host");
    for elsewhere in ["publish --repeat 2", "subscribe --baseline x", "scenario x.toml --save-baseline y"] {
        bench(elsewhere, &[]).ends_with(&[2]).says("`run NAME`");
    }
    bench("ab --a-host one", &[]).ends_with(&[2]).says("--b");
    bench("ab --a-host one --b-host two --", &["--gate", "acked"])
        .ends_with(&[2])
        .says("--gate: leave it out");
    for words in [
        &["--gate", "acked"][..],
        &["--tolerate", "acked=5%"],
        &["--allow-other-machine"],
        &["--allow-other-plan"],
    ] {
        bench("--embedded", words).ends_with(&[2]).says(&format!("{}: it is of a comparison", words[0]));
    }
    bench("compare", &[&empty, &empty]).ends_with(&[2]).says("what is new goes behind --");
    bench("compare", &[&empty, "--", &empty, "--gate", "x"])
        .ends_with(&[2])
        .says("--gate: flags go before --");
}

/// Nothing is made for runs that cannot begin.
#[test]
fn a_host_without_an_address_leaves_no_folder() {
    let dir = TempDir::new().unwrap();
    let [runs, base] = ["runs", "base"].map(|name| dir.path().join(name).display().to_string());
    let output = ["--repeat", "2", "--json", &runs, "--save-baseline", &base];
    bench("-H nowhere.invalid", &output).ends_with(&[4]);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// `ab` of two commands; `{port}` in them is one that is free.
fn ab(dir: &TempDir, a: &str, b: &str, flags: &[&str]) -> Ended {
    let port = free_port().to_string();
    let [a, b] = [a, b].map(|command| command.replace("{port}", &port));
    let host = format!("127.0.0.1:{port}");
    let out = dir.path().join("out").display().to_string();
    let mut words = vec!["ab", "--a", &a, "--b", &b, "--a-host", &host, "--b-host", &host, "--out", &out];
    words.extend(flags);
    words.push("--");
    words.extend(RUN.split(' '));
    Command::new(BENCH).args(words).output().expect("it is built").into()
}

fn reflector(script: Option<&Path>) -> String {
    let script = script.map_or(String::new(), |script| format!(" --script {}", script.display()));
    format!("exec {BENCH} reflector --cores 1 --port {{port}}{script}")
}

/// A broker that takes three times as long fails, as soon as it can; every run is kept.
#[test]
fn a_slower_broker_fails() {
    let dir = TempDir::new().unwrap();
    let late = |name: &str, delay: &str| {
        let file = dir.path().join(name);
        std::fs::write(&file, format!("[[fault]]\non = \"delivery\"\ndo = {{ delay = \"{delay}\" }}\n"))
            .unwrap();
        reflector(Some(&file))
    };
    let (a, b) = (late("a.toml", "20ms"), late("b.toml", "60ms"));
    let ended = ab(&dir, &a, &b, &["--gate", "flight p50"]).ends_with(&[6, 8]);
    let out = dir.path().join("out");
    assert_eq!((records(&out.join("warm-up")).len(), records(&out.join("void")).len() % 2), (2, 0));
    if ended.code == 8 {
        ended.says("Result: FAIL, exit code 8: flight p50 +");
        let json = std::fs::read_to_string(out.join("comparison.json")).unwrap();
        let comparison: Value = serde_json::from_str(&json).unwrap();
        let runs = comparison["base"]["runs"].as_u64().unwrap() as usize;
        assert!([5, 10, 20].contains(&runs), "{json}");
        assert_eq!([records(&out.join("a")).len(), records(&out.join("b")).len()], [runs, runs]);
        let base = comparison["metrics"][0]["base"]["median"].as_f64().unwrap();
        assert!(base >= 20e6, "{json}");
    }
    // the other way round it is better
    let other = TempDir::new().unwrap();
    ab(&other, &b, &a, &["--gate", "flight p50"]).ends_with(&[0, 6]);
}

/// A broker that cannot be started is told, and nothing is left running.
#[test]
fn a_broker_that_does_not_start_ends_it() {
    let dir = TempDir::new().unwrap();
    let ended = ab(&dir, &reflector(None), "echo no such broker >&2; exit 7", &[]).ends_with(&[3]);
    ended.says("`start` ended with exit status: 7");
}

/// Nobody is there: that is no fault of the generator, and is known after one run.
#[test]
fn a_broker_that_nobody_can_reach_ends_it() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("out").display().to_string();
    let nobody = format!("127.0.0.1:{}", free_port());
    let a = reflector(None).replace("{port}", &free_port().to_string());
    let a_host = format!("127.0.0.1:{}", a.rsplit(' ').next().expect("the port"));
    let flags = ["--a", &a, "--a-host", &a_host, "--b-host", &nobody, "--out", &out, "--"];
    let words = flags.into_iter().chain(RUN.split(' '));
    let ended: Ended = Command::new(BENCH).arg("ab").args(words).output().expect("it is built").into();
    let ended = ended.ends_with(&[4]);
    ended.says(&format!("Result: FAILED, exit code 4: broker b at {nobody}: no client could connect"));
    assert!(!ended.text.contains("pair 1"), "{}", ended.text);
}

/// What cannot be stopped is told of at once.
#[test]
fn a_broker_that_goes_into_the_background_ends_it() {
    let dir = TempDir::new().unwrap();
    let pid = dir.path().join("pid");
    let broker = reflector(None).replace("exec ", "");
    let a = format!("{broker} & echo $! >{}", pid.display());
    let ended = ab(&dir, &a, &a, &[]);
    // it is not in anybody's hands any more
    let pid = std::fs::read_to_string(&pid).expect("it was started");
    assert!(Command::new("kill").arg(pid.trim()).status().expect("a program").success(), "{}", ended.text);
    ended.ends_with(&[3]).says("it has to stay in the foreground");
}

/// Whoever has enough has what was measured so far, in pairs.
#[test]
fn an_interrupted_ab_compares_what_it_has() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("out");
    let port = free_port().to_string();
    let (broker, host) = (reflector(None).replace("{port}", &port), format!("127.0.0.1:{port}"));
    let mut command = Command::new(BENCH);
    command.args(["ab", "--a", &broker, "--b", &broker, "--a-host", &host, "--b-host", &host, "--out"]);
    command.arg(&out).arg("--").args(RUN.split(' ')).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it is built");
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines().map(Result::unwrap);
    // the second side of a pair that follows one that counts
    let mut said = lines.by_ref().skip_while(|line| !line.starts_with("pair 1 of 5")).skip(1);
    let reached = said.next().is_some() && said.next().is_some();
    let pid = child.id().to_string();
    assert!(!reached || Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let rest: Vec<String> = lines.collect();
    let ended = Ended::from(child.wait_with_output().unwrap()).ends_with(&[6, 130]);
    if ended.code == 130 {
        ended.says("Result: INCONCLUSIVE, exit code 130: interrupted; complete pairs: 1");
        assert!(out.join("comparison.json").exists(), "{rest:?}");
        assert_eq!(["a", "b"].map(|name| records(&out.join(name)).len()), [1, 1], "{rest:?}");
    }
}

/// The command that starts mosquitto; `None` when it is not installed, which is a failure where `CI=true`.
fn mosquitto() -> Option<String> {
    let Some(program) = find("mosquitto") else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "no mosquitto: run tools/test");
        skip("no mosquitto: run tools/test");
        return None;
    };
    Some(format!("exec {} -p {{port}}", program.display()))
}

fn is_no_worse_than_itself() {
    let Some(mosquitto) = mosquitto() else { return };
    let dir = TempDir::new().unwrap();
    ab(&dir, &mosquitto, &mosquitto, &[]).ends_with(&[0, 6, 9]).says("Result: ");
}

#[test]
fn mosquitto_is_no_worse_than_itself() {
    is_no_worse_than_itself();
}

/// Takes a CPU from whoever wants it, as long as it lives.
struct Burner(Child);

impl Burner {
    fn start() -> Burner {
        Burner(Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("a shell runs"))
    }
}

impl Drop for Burner {
    fn drop(&mut self) {
        // It has no end of its own.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The step of the example for GitHub that gates a broker on its CPU per message, as a script.
fn example() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/action/example.yml");
    let text = std::fs::read_to_string(file).expect("it is there");
    let (_, step) = text.split_once("- name: Ten runs of each\n").expect("the step");
    let (env, run) = step.split_once("        run: |\n").expect("a script");
    let (_, load) = env.split_once("LOAD: ").expect("the load");
    let lines = run.lines().take_while(|line| line.starts_with("          "));
    format!("LOAD='{}'\n{}", load.trim(), lines.collect::<Vec<_>>().join("\n"))
}

/// Does what the example says, with `old` and `new` in place of brokers, and every `.0` in its script by `.1`.
fn gate(old: &str, new: &str, changes: &[(&str, &str)]) -> Ended {
    let dir = TempDir::new().unwrap();
    for (folder, broker) in [("base", old), ("new", new)] {
        let file = dir.path().join(folder).join("broker");
        std::fs::create_dir(dir.path().join(folder)).unwrap();
        std::fs::write(&file, format!("#!/bin/sh\nexec {broker} \"$@\" 2>/dev/null\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let port = free_port().to_string();
    let script = changes.iter().chain(&[("1884", port.as_str())]).fold(example(), |script, (from, to)| {
        assert!(script.contains(from), "`{from}` is not in the example");
        script.replace(from, to)
    });
    let programs = Path::new(BENCH).parent().expect("a folder").display().to_string();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("bash");
    shell.args(["-e", "-c", &script]).env("PATH", path).current_dir(dir.path());
    shell.output().expect("bash runs").into()
}

/// Beside other tests, which come and go, shorter runs scatter more: more is tolerated.
const SHORT: [(&str, &str); 3] =
    [("--warmup 500ms", "--warmup 100ms"), ("--duration 2s", "--duration 500ms"), ("=10%", "=30%")];

/// What no gate may say of a broker that is the same.
#[track_caller]
fn is_no_alarm(ended: Ended) {
    let ended = ended.ends_with(&[0]);
    assert!(!ended.text.contains("Result: FAIL"), "{}", ended.text);
    assert!(ended.text.contains("Result: ") || ended.text.contains("nobody can tell"), "{}", ended.text);
}

/// The example for continuous integration, on a machine of which something else has a CPU.
#[test]
fn the_ci_example_gives_no_false_alarm_on_a_busy_machine() {
    let (Some(_), Some(program)) = (mosquitto(), find("mosquitto")) else { return };
    let (_burner, program) = (Burner::start(), program.display().to_string());
    is_no_alarm(gate(&program, &program, &SHORT));
}

/// The example as it stands, ten times: ten minutes.
#[test]
#[ignore = "it takes ten minutes"]
fn the_ci_example_gives_no_false_alarm_for_long() {
    let (Some(_), Some(program)) = (mosquitto(), find("mosquitto")) else { return };
    let (_burner, program) = (Burner::start(), program.display().to_string());
    (0..10).for_each(|_| is_no_alarm(gate(&program, &program, &[])));
}

/// A broker that writes down each packet is dearer, and the example fails.
#[test]
fn the_ci_example_fails_for_a_dearer_broker() {
    let (Some(_), Some(program)) = (mosquitto(), find("mosquitto")) else { return };
    let program = program.display().to_string();
    let ended = gate(&program, &format!("{program} -v"), &SHORT[..2]).ends_with(&[0, 8]);
    // A machine that is too busy to tell says so.
    assert!(ended.code == 8 || ended.text.contains("nobody can tell"), "{}", ended.text);
}

/// The same broker with three hundredths of a CPU, where it takes four.
#[test]
fn mosquitto_is_worse_without_a_cpu() {
    let (Some(mosquitto), Some(quota)) = (mosquitto(), Quota::of(3)) else { return };
    let dir = TempDir::new().unwrap();
    let slowed = format!("{} && {mosquitto}", quota.joins());
    let ended = ab(&dir, &mosquitto, &slowed, &["--gate", "flight p99"]).ends_with(&[6, 8]);
    if ended.code == 8 {
        ended.says("Result: FAIL, exit code 8: flight p99 +");
    }
}

/// The false alarms of a gate: none of twenty.
#[test]
#[ignore = "takes twenty minutes"]
fn mosquitto_is_no_worse_than_itself_for_long() {
    (0..20).for_each(|_| is_no_worse_than_itself());
}
