//! TLS against mosquitto, the built-in broker, and servers that do wrong.
//!
//! Needs what `tools/test` installs. What is missing is skipped loudly, and fails where `CI=true`.

#[path = "../brokers/port.rs"]
mod port;
#[path = "../brokers/process.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod process;

mod certificates;
mod mosquitto;
mod refusals;
mod websocket;

use crate::process::{Process, piped};
use malaria_bench::record::{Exit, Record, Verdict};
use std::process::Command;

/// What came of a command.
struct Outcome {
    code: i32,
    stdout: String,
    said: String,
}

/// The program `name` with the words of `line`.
fn program(name: &str, line: &str) -> Outcome {
    let path = match name {
        "malaria" => env!("CARGO_BIN_EXE_malaria"),
        _ => env!("CARGO_BIN_EXE_malaria-bench"),
    };
    let mut command: Command = piped(path);
    command.args(line.split_whitespace()).env_remove("MALARIA_PASSWORD");
    let mut process = Process::spawn(&mut command);
    let (stdout, said) = process.output();
    let code = process.wait().code().expect("it ends by itself");
    Outcome { code, stdout: stdout.text(), said: said.text() }
}

/// The record of a run that lost nothing.
fn run(line: &str) -> Record {
    let Outcome { code, stdout, said } = program("malaria-bench", &format!("--json - {line}"));
    let record = Record::from_json(&stdout).unwrap_or_else(|error| panic!("exit {code}: {error}\n{said}"));
    // Whether the machine was free is no matter of TLS.
    let busy = record.verdict == Verdict::GeneratorLimited
        && Exit::from_code(record.exit_code) == Exit::GeneratorLimited;
    assert!(code == 0 || busy, "exit {code}\n{said}");
    let counts = &record.counts;
    assert_eq!((counts.lost, counts.duplicated, counts.reordered), (0, 0, 0), "{counts:?}");
    assert_eq!((counts.delivered, counts.unfinished), (counts.expected, 0), "{counts:?}");
    assert_eq!(counts.connections_established, u64::from(record.plan.clients), "{counts:?}");
    record
}

/// `--embedded --tls`: nothing has to be there, and every client has shaken hands.
#[test]
fn the_built_in_broker_speaks_tls() {
    for (qos, version) in [(0, "1.3"), (1, "1.2"), (2, "1.3")] {
        let line = format!("--embedded --tls --tls-version {version} --clients 40 --rate 400 -q {qos}");
        let record = run(&format!("{line} --duration 1s --warmup 0"));
        assert_eq!(record.latencies.handshake.count, 40);
        assert!(record.counts.delivered > 300, "{:?}", record.counts);
        assert_eq!(serde_json::json!(record.broker.transport.kind), "tls");
        assert_eq!(record.broker.transport.verified, Some(true));
    }
}

/// With keys in place of certificates, and WebSocket above; whoever is not known is told.
#[cfg(feature = "psk")]
#[test]
fn the_built_in_broker_speaks_tls_with_keys() {
    let keys = tempfile::NamedTempFile::new().unwrap();
    let lines: String = (0..40).map(|client| format!("bee-{client}:{client:040x}\n")).collect();
    std::fs::write(keys.path(), lines).unwrap();
    for (qos, more) in [(0, "--tls-version 1.2"), (1, ""), (2, "--websocket")] {
        let file = keys.path().display();
        let line = format!("--embedded --psk_file {file} {more} --clients 40 --rate 400 -q {qos}");
        let record = run(&format!("{line} --duration 1s --warmup 0"));
        assert_eq!(record.latencies.handshake.count, 40);
        assert!(record.counts.delivered > 300, "{:?}", record.counts);
        let transport = &record.broker.transport;
        assert_eq!((serde_json::json!(transport.kind), transport.verified), ("psk".into(), Some(true)));
        let said = serde_json::to_string(&record).unwrap();
        assert!(!said.contains("0000027"), "a key is in the record");
    }
    let few = format!("--embedded --psk_file {} --clients 41", keys.path().display());
    let Outcome { code, said, .. } = program("malaria-bench", &few);
    assert!(code == 2 && said.contains("40 keys") && said.contains("41 clients"), "exit {code}\n{said}");
}

/// A payload of many records, and a closed loop that fills sockets.
#[test]
fn long_messages_and_full_sockets_are_exact() {
    for line in ["-s 200KiB --rate 20 -q 1", "-s 30KiB -q 0 --rate max", "-q 2 --rate max --inflight 16"] {
        let record =
            run(&format!("--embedded --tls --clients 4 {line} --duration 1s --warmup 0 --drain 20s"));
        assert!(record.counts.delivered > 10, "{:?}", record.counts);
    }
}

/// Who comes back resumes its own session, and that is a time of its own.
#[test]
fn sessions_are_resumed_where_that_is_asked_for() {
    for (resume, resumed) in [("true", true), ("false", false)] {
        let record = run(&format!(
            "--embedded --tls --tls-resume {resume} --topology idle --clients 10 --stay 100ms --duration 1s --warmup 0"
        ));
        let (full, again) = (record.latencies.handshake.count, record.latencies.handshake_resumed.count);
        assert!(full >= 10 && (again > 0) == resumed, "{full} full, {again} resumed");
        assert!(full + again > 20, "nobody came back: {full} full, {again} resumed");
        assert_eq!(full == 10, resumed, "only the first handshakes are full: {full}");
        assert_eq!(record.broker.transport.resumption, resumed);
    }
}

/// Whoever is not verified is told of.
#[test]
fn trusting_anybody_is_told() {
    let Outcome { stdout, said, .. } =
        program("malaria-bench", "--embedded --tls --insecure --clients 2 --duration 500ms --warmup 0");
    let told = (stdout + &said).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("certificates not verified (--insecure)"), "{told}");
    let record = run("--embedded --tls --insecure --clients 2 --duration 500ms --warmup 0");
    assert_eq!(record.broker.transport.verified, Some(false));
}
