//! Brokers that listen on a Unix socket.

use malaria_bench::record::Record;

use crate::broker::Mosquitto;
use crate::process::{Process, piped};
use crate::program::Malaria;

/// More clients than the 100 that wait to be accepted at a time.
#[test]
fn a_run_over_a_unix_socket_loses_nothing() {
    let Some(broker) = Mosquitto::start() else { return };
    let mut command = piped(env!("CARGO_BIN_EXE_malaria-bench"));
    command.args(["-H", &broker.socket, "--json", "-"]);
    command.args("--clients 300 -n 10 -T 10 -q 1 --drain 20s".split(' ')).env_remove("MALARIA_PASSWORD");
    let mut process = Process::spawn(&mut command);
    let (stdout, stderr) = process.output();
    let code = process.wait().code();
    let (stdout, stderr) = (stdout.text(), stderr.text());
    let record = Record::from_json(&stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    // A busy test machine may be late (6).
    assert!(matches!(code, Some(0 | 6)), "exit {code:?}: {stderr}");
    let counts = &record.counts;
    assert_eq!((counts.connections_established, counts.refused_tcp), (300, 0), "{counts:?}");
    assert_eq!(
        (counts.sent, counts.acked, counts.delivered, counts.lost),
        (1500, 1500, 1500, 0),
        "{counts:?}"
    );
    assert_eq!(record.plan.hosts, [broker.socket.as_str()]);
    assert_eq!(record.broker.addresses, [broker.socket.as_str()]);
    // Nobody came another way.
    let (socket, log) = (broker.socket.clone(), broker.log());
    let path = socket.trim_start_matches("unix:");
    let clients = || log.lines().filter(|line| line.contains("New client connected from"));
    assert_eq!(clients().filter(|line| line.contains(path)).count(), 300, "{log}");
    assert_eq!(clients().count(), 300, "{log}");
}

#[test]
fn publish_and_subscribe_meet_over_a_unix_socket() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let over = |arguments: &str| Malaria::bare(&format!("{arguments} -H {}", broker.socket)).with_result();
    let (subscribe, publish) =
        (over("subscribe -c ours -n 20 -N 3"), over("publish -c load --stagger 0 -P 3 -n 20 -t"));
    let listener = subscribe.start();
    broker.wait_for_listener("ours", 1);
    publish.run().went_well().published_all(60);
    listener.end().went_well().heard_all(3, 60);
}

#[test]
fn a_socket_that_nobody_listens_on_is_named() {
    let finished = Malaria::bare("publish -n 1 -H unix:/nowhere/mosquitto.sock").run();
    assert_ne!(finished.code, 0);
    finished.says("unix:/nowhere/mosquitto.sock").says("No such file or directory");
}
