//! The same loads over WebSocket, against mosquitto's own (libwebsockets).

use crate::bench::{self, Totals, assert_exact};
use crate::broker::{Broker, Kind};
use malaria_bench::record::Record;

/// Runs against one mosquitto, one after the other, each with its audience per message.
fn check(runs: &[(&str, u64)]) {
    let Some(broker) = Broker::start(Kind::Mosquitto) else { return };
    let measure = |&(arguments, audience): &(&str, u64)| {
        let record = bench::run(broker.websocket(), arguments);
        assert_exact(&record, audience);
        assert_eq!(record.plan.hosts, [broker.websocket()]);
        let handshakes = &record.latencies.handshake;
        assert_eq!(handshakes.count, record.counts.connections_established, "each has an upgrade");
        record
    };
    let records: Vec<Record> = runs.iter().map(measure).collect();
    // Over WebSocket mosquitto 2.0 counts what it sends at QoS 0 alone; all the rest is among all packets.
    let at_0 = records.iter().filter(|record| record.plan.qos == 0);
    let delivered = at_0.map(|record| Totals::of(std::slice::from_ref(record)).delivered).sum();
    broker.confirm(Totals { delivered, ..Totals::of(&records) });
}

#[test]
fn every_topology_at_every_qos() {
    for qos in 0..3 {
        let run = |rest: &str| format!("-q {qos} --duration 1s --warmup 200ms --drain 20s {rest}");
        check(&[
            (&run("--clients 100 --rate 1000"), 1),
            (&run("--topology fan-in --clients 100 --rate 1000"), 1),
            (&run("--topology fan-out --clients 51 --rate 40"), 50),
            (&run("--topology publish --clients 100 --rate 1000"), 0),
        ]);
    }
}

/// Lengths of one, two and eight bytes; and frames that the broker cuts where it likes.
#[test]
fn sizes() {
    let run = |size: &str| format!("--clients 4 -n 10 -T 20 -q 1 --drain 20s -s {size}");
    check(&[(&run("40"), 1), (&run("126"), 1), (&run("2KiB"), 1), (&run("65400"), 1), (&run("300KiB"), 1)]);
}

/// As fast as it goes, so that many packets are in a frame, and frames in parts.
#[test]
fn closed_loops() {
    let timed = "--rate max --clients 4 --inflight 8 --duration 500ms --warmup 100ms --drain 20s";
    check(&[
        (&format!("{timed} -q 1"), 1),
        (&format!("{timed} -q 2"), 1),
        ("--rate max --clients 4 -n 500 -q 0 --drain 20s", 1),
    ]);
}
