//! What kind of clients the broker sees.

use crate::broker::Mosquitto;
use crate::paho::{self, Subscriber};
use crate::program::{Malaria, publish};

/// Checklist 41: mosquitto 2 and later, where the old bridges never got in, takes ours for bridges; their topics
/// are those of the clients.
#[test]
fn bridges_are_bridges_to_mosquitto() {
    let (Some(mut broker), Some(python)) = (Mosquitto::start(), paho::python()) else { return };
    broker.wait_for("mosquitto version 2.");
    let listener = Subscriber::start(&python, broker.address, "-c theirs -n 20 -N 3");
    broker.wait_for_listener("theirs", 1);
    let finished = publish(broker.address, "-b -P 3 -n 20 -t").run().went_well();
    finished.published_all(60);
    let heard = listener.complete();
    assert_eq!(heard["unreadable"], serde_json::json!([]));
    for client in ["load-0", "load-1", "load-2"] {
        let expected = serde_json::json!({"received": 20, "missing": [], "duplicated": []});
        assert_eq!(heard["clients"][client], expected, "{heard:#}");
    }
    let log = broker.log();
    for index in 0..3 {
        let line = connected(&log, &format!("mal-bridge-load-{index}"));
        assert!(line.contains("New bridge connected"), "{line}");
        assert!(line.ends_with("(p2, c1, k60)."), "{line}");
    }
}

/// The line of the log about the connection of `client`.
fn connected<'l>(log: &'l str, client: &str) -> &'l str {
    let wanted = format!(" as {client} (");
    log.lines().find(|line| line.contains(&wanted)).unwrap_or_else(|| panic!("no {client} in\n{log}"))
}

/// Checklist 34: mosquitto writes the version as p1 (3.1) and p2 (3.1.1); and the rest of CONNECT is that of the
/// old tool, whose keep alive was 60 s.
#[test]
fn clients_speak_the_version_they_are_told_to() {
    for (flag, version) in [("", "p2"), ("--protocol 3.1.1", "p2"), ("--protocol 3.1", "p1")] {
        let Some(mut broker) = Mosquitto::start() else { return };
        let listener = Malaria::against(broker.address, &format!("subscribe -c ours -N 2 {flag}")).start();
        let watcher = Malaria::plain(broker.address, &format!("watch -c watcher -t watched {flag}")).start();
        broker.wait_for_listener("ours", 1);
        broker.wait_for(" watcher 1 watched\n");
        for (prefix, bridge) in [("plain", ""), ("bridged", "-b")] {
            let arguments = format!("-c {prefix} -n 10 --stagger 0 -t -q 2 {bridge} {flag}");
            let finished = Malaria::against(broker.address, &format!("publish {arguments}")).run();
            finished.went_well().published_all(10);
        }
        listener.end().went_well().heard_all(2, 20);
        watcher.process.interrupt();
        watcher.end().ends(0);
        let log = broker.log();
        for client in ["ours", "watcher", "plain-0", "mal-bridge-bridged-0"] {
            let line = connected(&log, client);
            assert!(line.ends_with(&format!("({version}, c1, k60).")), "{line}");
        }
    }
}

/// Checklist 38: every normal end says so.
#[test]
fn clients_disconnect_in_good_order() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let listener = Malaria::against(broker.address, "subscribe -c ours -N 3").start();
    broker.wait_for_listener("ours", 1);
    publish(broker.address, "-P 3 -n 10 -t").run().went_well().published_all(30);
    listener.end().went_well().heard_all(3, 30);
    let log = broker.log();
    for client in ["ours", "load-0", "load-1", "load-2"] {
        assert!(log.contains(&format!("Client {client} disconnected.\n")), "{log}");
    }
}
