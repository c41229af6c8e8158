//! Standard workloads by name, end to end: the built binary, against mosquitto where there is one.

use malaria_bench::record::Record;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const BENCH: &str = env!("CARGO_BIN_EXE_malaria-bench");

/// A mosquitto with room for whatever a workload does.
struct Mosquitto {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Mosquitto {
    /// `None` where there is none, but not in CI.
    fn start() -> Option<Mosquitto> {
        let known = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/usr/bin/mosquitto"];
        let Some(program) = known.iter().find(|path| std::path::Path::new(path).exists()) else {
            assert!(std::env::var_os("CI").is_none(), "CI has mosquitto");
            eprintln!("skipped: there is no mosquitto");
            return None;
        };
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("mosquitto.conf");
        let settings =
            "allow_anonymous true\nset_tcp_nodelay true\nmax_inflight_messages 0\nmax_queued_messages 0\n";
        std::fs::write(&config, format!("listener {port} 127.0.0.1\n{settings}")).unwrap();
        let mut command = Command::new(program);
        command.arg("-c").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let began = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(30), "mosquitto does not listen on {port}");
            std::thread::yield_now();
        }
        Some(Mosquitto { child, port, _dir: dir })
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bench(words: &[&str]) -> Output {
    Command::new(BENCH).args(words).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a workload, small and short, and holds its figures against what it is to be. Its own bounds hold, unless the
/// machine was too busy to say.
fn run(port: u16, words: &str, [sent, expected]: [u64; 2]) {
    let port = port.to_string();
    let mut all: Vec<&str> = words.split(' ').collect();
    let warmup = if all.contains(&"-n") { &[][..] } else { &["--warmup", "0"] };
    all.extend(warmup);
    let quick = "--drain 10s --cores 1 --quiet --progress never --json - --host 127.0.0.1 --port";
    all.extend(quick.split(' ').chain([port.as_str()]));
    let output = bench(&[&["run"], &all[..]].concat());
    let shown = || format!("{words}: {}", text(&output.stderr));
    let record: Record =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", shown()));
    let counts = &record.counts;
    // Of a subscription that comes and goes nobody knows beforehand what is expected.
    let expected = if record.plan.flap.is_some() { counts.delivered } else { expected };
    assert_eq!((counts.due, counts.expected), (sent, expected), "{}", shown());
    assert_eq!(
        (counts.lost, counts.undelivered_at_end, counts.duplicated),
        (0, 0, 0),
        "{counts:?}: {}",
        shown()
    );
    assert_eq!(counts.connections_established, u64::from(record.plan.clients), "{}", shown());
    assert!(!record.bounds.is_empty(), "it has an objective");
    let (code, limited) =
        (record.exit_code, record.verdict == malaria_bench::record::Verdict::GeneratorLimited);
    assert!(code == 0 || limited && [6, 7].contains(&code), "exit code {code}: {}", shown());
}

/// What is typed for the Open MQTT Benchmark Suite and vmq_mzbench; and what is to be sent and expected.
const SUITE: &[(&str, [u64; 2])] = &[
    ("mqttbs/conn-tcp-10k --scale 0.01 --duration 500ms --connect-rate 10k", [0, 0]),
    ("mqttbs/conn-tcp-1m --scale 0.0001 --connect-rate 1M --duration 500ms", [0, 0]),
    ("mqttbs/fanout-1k --scale 0.05 --duration 2s", [2, 100]),
    ("mqttbs/fanout-5-1000 --scale 0.02 --duration 2s --publishers 250", [500, 10_000]),
    ("mqttbs/p2p-1k --scale 0.1 --duration 2s", [200, 200]),
    ("mqttbs/p2p-50k --scale 0.002 --duration 2s --connect-rate 1M", [200, 200]),
    ("mqttbs/sharedsub-1k --scale 0.1 --subscribers 50 --duration 2s", [200, 200]),
    ("mqttbs/sharedsub-50k --scale 0.004 --subscribers 1000 --connect-rate 1M --duration 2s", [400, 400]),
    ("vmq/1to1 --scale 0.1 --connect-rate 1M --duration 2s", [200, 200]),
    ("vmq/fanin --scale 0.1 --duration 2s", [200, 200]),
    ("vmq/fanout --scale 0.1 --duration 2s", [2, 200]),
];

/// The same for EMQX and TBMQ,
const VENDORS: &[(&str, [u64; 2])] = &[
    ("emqx/fanout-2m --scale 0.05 --duration 1s", [100, 5000]),
    ("emqx/latency-1k --scale 0.05 --duration 2s -q 2", [100, 100]),
    ("emqx/fanin-2k --scale 0.1 --duration 2s", [400, 400]),
    ("emqx/ci-pubsub --scale 0.005 --connect-rate 1M --duration 2s", [100, 100]),
    ("emqx/fanin-50k --scale 0.002 --connect-rate 1M --duration 2s", [200, 200]),
    ("emqx/symmetric --scale 0.05 --duration 2s", [100, 100]),
    ("emqx/fanout-2k --scale 0.1 --duration 2s", [2, 400]),
    ("emqx/payload-20k --scale 0.02 --duration 1s", [400, 400]),
    ("tbmq/fanout-3m --scale 0.02 --duration 1s", [20, 1200]),
    ("tbmq/p2p-100k --scale 0.0005 --connect-rate 1M --duration 2s", [100, 100]),
    ("tbmq/fanin --scale 0.0005 --connect-rate 1M --duration 2s", [200, 200]),
];

/// and for all others.
const OTHERS: &[(&str, [u64; 2])] = &[
    ("sparkplug-like --scale 0.001 --connect-rate 1M --duration 5s", [400, 400]),
    ("persistent-drain --scale 0.2 --away subscribers,0,1s --duration 1s", [2000, 2000]),
    ("reconnect-storm --scale 0.05 --connect-rate 1M --away all,1s,0s --duration 2s", [100, 100]),
    ("conn-churn --scale 0.005 --connect-rate 1M --stay 500ms --duration 2s", [0, 0]),
    ("sub-flapping --scale 0.02 --away subscribers,500ms,0 --away subscribers,1s,0 --duration 2s", [20, 400]),
    ("sub-unsub-flapping --scale 0.05 --connect-rate 1M --flap 500ms --duration 2s", [100, 100]),
    ("chirino/1-1-1 -n 200", [200, 200]),
    ("chirino/fanin-10 -n 50", [500, 500]),
    ("chirino/fanout-10 -n 50", [50, 500]),
    ("chirino/partitioned-10 -n 50", [500, 500]),
    ("20_20_qos1_p64_5mps --duration 1s", [100, 100]),
];

/// Runs them against a mosquitto.
fn run_all(workloads: &[(&str, [u64; 2])]) {
    let Some(mosquitto) = Mosquitto::start() else { return };
    for (words, counts) in workloads {
        run(mosquitto.port, words, *counts);
    }
}

/// Issue section 4: the scaled suite against mosquitto, by name and with its bounds.
#[test]
fn the_scaled_suite_runs_against_mosquitto() {
    run_all(SUITE);
}

#[test]
fn scaled_workloads_of_vendors_run_against_mosquitto() {
    run_all(VENDORS);
}

#[test]
fn all_other_scaled_workloads_run_against_mosquitto() {
    run_all(OTHERS);
}

/// Nothing is listed that nobody has run.
#[test]
fn every_workload_is_run() {
    let listed = text(&bench(&["scenarios"]).stdout);
    let names = listed.lines().skip(1).filter(|line| !line.starts_with([' ', 'P']));
    let names: Vec<&str> = names.filter_map(|line| line.split(' ').next()).collect();
    assert!(names.len() > 30, "{listed}");
    let run = [SUITE, VENDORS, OTHERS].concat();
    let is_run = |name: &&&str| run.iter().any(|(words, _)| words.split(' ').next() == Some(**name));
    let missing: Vec<_> = names.iter().filter(|name| !is_run(name)).collect();
    assert!(missing.is_empty(), "nobody runs {missing:?}");
}

/// A workload is a run like any other: it is repeated, and has a baseline.
#[test]
fn workloads_are_repeated_and_compared() {
    let dir = tempfile::tempdir().unwrap();
    let kept = dir.path().join("kept");
    let kept = kept.to_str().unwrap();
    let run =
        "run mqttbs/p2p-1k --embedded --cores 1 --scale 0.01 --warmup 0 --duration 500ms --progress never";
    let run = |more: &[&str]| bench(&[&run.split(' ').collect::<Vec<_>>(), more].concat());
    let first = run(&["--repeat", "2", "--json", kept]);
    assert!(matches!(first.status.code(), Some(0 | 6)), "{}", text(&first.stderr));
    assert!(text(&first.stdout).contains("over all runs"), "{}", text(&first.stdout));
    assert_eq!(std::fs::read_dir(kept).unwrap().count(), 2);
    let second = run(&["--repeat", "2", "--baseline", kept, "--gate", "sent"]);
    assert!(matches!(second.status.code(), Some(0 | 6 | 8 | 9)), "{}", text(&second.stderr));
    assert!(text(&second.stdout).contains("runs: 2 of the base, 2 new"), "{}", text(&second.stdout));
}

/// What is printed is a scenario, and its steps are the workload.
#[test]
fn what_is_printed_is_a_scenario_file() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["mqttbs/sharedsub-1k", "2k_1_qos0_p32_100mps"] {
        let printed = bench(&["run", name, "--print"]);
        assert_eq!(printed.status.code(), Some(0), "{}", text(&printed.stderr));
        let file = dir.path().join("mine.toml");
        std::fs::write(&file, &printed.stdout).unwrap();
        let file = file.to_str().unwrap();
        let shown = bench(&["scenario", file, "--dry-run", "--set", "scale=0.5", "--set", "host=broker.lab"]);
        let shown = text(&shown.stdout) + &text(&shown.stderr);
        assert!(shown.contains("-H broker.lab --scale 0.5 ") && shown.contains("1 combinations"), "{shown}");
    }
}

/// The list says what goes in and comes out, at any scale.
#[test]
fn the_list_has_everything_by_name() {
    let output = bench(&["scenarios", "--scale", "0.1"]);
    let listed = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let line = listed.lines().find(|line| line.starts_with("mqttbs/p2p-50k ")).expect("it is listed");
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[1..6], ["10,000", "5.00", "k/s", "5.00", "k/s"], "{line}");
    assert!(listed.contains("emqx/mqttbs, singlenode-p2p-50K-50K-50K-50K"), "{listed}");
    let unknown = bench(&["run", "mqttbs/p2p-2k"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("malaria-bench scenarios"), "{}", text(&unknown.stderr));
}
