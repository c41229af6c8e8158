//! What ends a run before its first packet, or before its first connection.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use crate::bench::Bench;
use crate::broker::Broker;

/// An address at which nothing listens: bound for as long as the listener lives, but never listened on by
/// anybody once it is dropped.
fn nobody() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound socket")
}

#[test]
fn nothing_listening() {
    let address = nobody();
    let outcome = Bench::against(address, "--clients 20").run();
    outcome.ends(4, &[&address.to_string(), "refused", "--embedded", "--host"]);
    outcome.is_partial().within(Duration::from_secs(5));
    assert_eq!(outcome.record().counts.connections_established, 0);
    assert!(outcome.record().counts.refused_tcp > 0);
}

#[test]
fn an_unresolvable_host() {
    let outcome = Bench::recorded("-H no-such-host.invalid --clients 2").run();
    outcome.ends(4, &["cannot resolve `no-such-host.invalid`", "--host"]);
    assert!(!outcome.has_record(), "nothing has begun");
}

#[test]
fn command_lines_that_make_no_sense() {
    for (line, said) in [
        ("--clients none", &["none", "--clients"][..]),
        ("--size 10", &["--size 10", "24 bytes"]),
        ("--rate fast", &["fast", "--rate"]),
        ("--no-such-flag", &["--no-such-flag"]),
        ("-H http://x", &["http", "mqtt://host:port", "mqtts://"]),
        ("--password-file x", &["--username"]),
        ("--username u --password-file /no/such/file", &["--password-file /no/such/file", "No such file"]),
        ("--duration 0", &["--duration 0", "10s"]),
        ("-q 3", &["3", "0, 1 or 2"]),
    ] {
        let outcome = Bench::recorded(line).run();
        outcome.ends(2, said);
        assert!(outcome.stdout.is_empty() && !outcome.has_record(), "{line}: {}", outcome.stdout);
    }
}

/// A run that ends cleanly by itself.
const SHORT: &str = "--clients 2 -n 3 --rate 100";

#[track_caller]
fn cannot_write(path: &Path, why: &str) {
    let broker = Broker::honest();
    let arguments = format!("-H {} {SHORT} --json", broker.address);
    let outcome = Bench::bare(&arguments).argument(path.to_str().expect("UTF-8")).run();
    outcome.ends(3, &[&format!("--json {}", path.display()), why]);
    assert!(outcome.stdout.is_empty(), "{}", outcome.stdout);
    assert_eq!(broker.stop().connections, 0, "the path is checked before the first packet");
}

#[test]
fn a_record_into_a_directory_that_is_missing() {
    cannot_write(Path::new("/no/such/directory/record.json"), "No such file or directory");
}

#[test]
fn a_record_onto_a_directory() {
    cannot_write(&std::env::temp_dir(), "Is a directory");
}

#[test]
fn a_record_onto_a_read_only_file() {
    // What even root cannot write: a program that is running.
    cannot_write(Path::new("/proc/self/exe"), "Text file busy");
}

#[test]
fn a_full_disk_costs_the_record_but_not_the_summary() {
    let broker = Broker::honest();
    let arguments = format!("-H {} {SHORT} --tolerance 200ms --json /dev/full", broker.address);
    let outcome = Bench::bare(&arguments).run();
    outcome.ends(3, &["--json /dev/full", "No space left on device", "not written"]);
    assert!(outcome.stdout.contains("CLEAN"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("delivery"), "{}", outcome.stdout);
}

#[test]
fn nothing_wrong() {
    let broker = Broker::honest();
    for qos in 0..=2 {
        let arguments = format!("--clients 20 --rate 500 -q {qos} --warmup 200ms --duration 1s");
        let outcome = Bench::against(broker.address, &arguments).run();
        outcome.ends(0, &["CLEAN"]);
        let (record, counts) = (outcome.record(), &outcome.record().counts);
        assert!(!record.partial);
        assert_eq!((counts.due, counts.sent, counts.delivered), (500, 500, 500));
        assert_eq!(counts.acked, if qos == 0 { 0 } else { 500 });
        assert_eq!((counts.lost, counts.duplicated, counts.reordered), (0, 0, 0));
    }
}

#[test]
fn more_cores_than_there_are() {
    let broker = Broker::honest();
    let outcome = Bench::against(broker.address, &format!("{SHORT} --cores 999")).run();
    outcome.ends(0, &["--cores 999 asked for", "cores asked 999"]);
    let record = outcome.record();
    assert_eq!(record.plan.cores_asked, 999);
    assert!(record.plan.cores_used >= 1 && record.plan.cores_used < 999);
    assert!(record.warnings.iter().any(|warning| warning.contains("--cores 999")));
}

#[test]
fn a_reflector_on_a_port_that_is_taken() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    let outcome = Bench::bare(&format!("reflector --port {}", address.port())).run();
    outcome.ends(3, &[&format!("cannot listen on {address}"), "Address already in use", "another port"]);
}
