//! What has to hold with every broker.

use crate::bench::{self, Totals, assert_connected, assert_exact, assert_exact_among_foreign};
use crate::broker::{Broker, Kind};
use crate::process::{BOUND, Process, find, piped, skip};
use malaria_bench::load::Stamp;
use malaria_bench::record::Record;
use std::io::Write;
use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::time::Instant;

/// A short run on a schedule.
const SHORT: &str = "--duration 1s --warmup 200ms --drain 20s";

/// One run: exact on our side, and the broker says the same.
fn check(kind: Kind, arguments: &str, audience: u64) {
    check_each(kind, &[(arguments, audience)]);
}

/// Runs against one broker, one after the other, each with its audience per message.
fn check_each(kind: Kind, runs: &[(&str, u64)]) {
    let Some(broker) = Broker::start(kind) else { return };
    let measure = |&(arguments, audience): &(&str, u64)| {
        let record = bench::run(broker.address(), arguments);
        assert_exact(&record, audience);
        record
    };
    let records: Vec<Record> = runs.iter().map(measure).collect();
    broker.confirm(Totals::of(&records));
}

pub fn pairs(kind: Kind, qos: u8) {
    check(kind, &format!("--clients 100 --rate 1000 -q {qos} {SHORT}"), 1);
}

pub fn fan_in(kind: Kind, qos: u8) {
    check(kind, &format!("--topology fan-in --clients 100 --rate 1000 -q {qos} {SHORT}"), 1);
}

pub fn fan_out(kind: Kind, qos: u8) {
    check(kind, &format!("--topology fan-out --clients 51 --rate 40 -q {qos} {SHORT}"), 50);
}

pub fn publish(kind: Kind, qos: u8) {
    check(kind, &format!("--topology publish --clients 100 --rate 1000 -q {qos} {SHORT}"), 0);
}

/// All topologies in MQTT 5, at one QoS.
pub fn five(kind: Kind, qos: u8) {
    let run = |rest: &str| format!("--protocol 5 -q {qos} {SHORT} {rest}");
    check_each(
        kind,
        &[
            (&run("--clients 100 --rate 1000"), 1),
            (&run("--topology fan-in --clients 100 --rate 1000"), 1),
            (&run("--topology fan-out --clients 51 --rate 40"), 50),
            (&run("--topology publish --clients 100 --rate 1000"), 0),
            (&run("--clients 100 --rate 1000 --topic-alias"), 1),
            (&run("--clients 20 --publishers 10 --rate 200 --user-property site=a --content-type x"), 1),
        ],
    );
}

pub fn idle(kind: Kind) {
    check(kind, "--topology idle --clients 100 --duration 500ms --warmup 0s", 0);
}

/// Silent clients ping and are kept.
pub fn keepalive(kind: Kind) {
    let Some(broker) = Broker::start(kind) else { return };
    let record = bench::run(broker.address(), "--topology idle --clients 20 -k 1s --duration 4s --warmup 0s");
    assert_connected(&record);
    let counts = &record.counts;
    assert!(counts.pings >= 3 * 20, "{counts:?}");
    assert!(counts.pongs <= counts.pings && counts.pongs + 20 >= counts.pings, "{counts:?}");
    broker.confirm(Totals::of(&[record]));
}

pub fn count_mode(kind: Kind) {
    let Some(broker) = Broker::start(kind) else { return };
    let record = bench::run(broker.address(), "--clients 20 -n 50 -T 100 -q 2 --drain 20s");
    assert_exact(&record, 1);
    let counts = &record.counts;
    assert_eq!((counts.due, counts.sent, counts.acked, counts.delivered), (500, 500, 500, 500));
    let totals = Totals::of(&[record]);
    assert_eq!((totals.sent, totals.delivered), ([0, 0, 500], 500), "there is no warm-up");
    broker.confirm(totals);
}

pub fn closed_loop(kind: Kind) {
    let timed = "--rate max --clients 4 --inflight 8 --duration 500ms --warmup 100ms --drain 20s";
    check_each(
        kind,
        &[
            (&format!("{timed} -q 1"), 1),
            (&format!("{timed} -q 2"), 1),
            ("--rate max --clients 4 -n 500 -q 1 --drain 20s", 1),
            ("--rate max --clients 4 -n 500 -q 0 --drain 20s", 1),
        ],
    );
}

pub fn poisson(kind: Kind) {
    check(kind, &format!("--arrival poisson --clients 40 --rate 1000 -q 1 {SHORT}"), 1);
}

pub fn lower_subscription(kind: Kind) {
    let run =
        |qos: u8, sub_qos: u8| format!("--clients 20 -n 20 -T 50 -q {qos} --sub-qos {sub_qos} --drain 20s");
    check_each(kind, &[(&run(2, 0), 1), (&run(2, 1), 1), (&run(1, 0), 1), (&run(0, 2), 1), (&run(1, 2), 1)]);
}

/// Pairs over two brokers that know nothing of each other: each gets its half.
pub fn several_hosts(kind: Kind) {
    let (Some(one), Some(other)) = (Broker::start(kind), Broker::start(kind)) else { return };
    let mut command = bench::command(one.address(), "--clients 20 -n 20 -T 50 --drain 20s");
    command.args(["--host", &format!("mqtt://{}", other.address())]);
    let record = bench::start(command).record();
    assert_exact(&record, 1);
    assert_eq!(record.broker.addresses, [one.address().to_string(), other.address().to_string()]);
    let half = Totals { sent: [0, 100, 0], delivered: 100, packets: None };
    one.confirm(half);
    other.confirm(half);
}

pub fn ipv6(kind: Kind) {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return skip("this machine has no IPv6 on loopback");
    }
    let access = "allow_anonymous true";
    let Some(broker) = Broker::start_with(kind, Ipv6Addr::LOCALHOST.into(), access) else { return };
    assert!(broker.address().is_ipv6());
    let record = bench::run(broker.address(), "--clients 20 -n 20 -T 50 --drain 20s");
    assert_exact(&record, 1);
    broker.confirm(Totals::of(&[record]));
}

pub fn topics(kind: Kind) {
    let run = |rest: &str| format!("--clients 6 -n 10 -T 50 --drain 20s {rest}");
    check_each(
        kind,
        &[
            (&run("-t by/client/%c"), 1),
            (&run("-t by/index/%i/x"), 1),
            (&run("-t %r/%p"), 1),
            (&run("-t dev/%i --topology fan-in"), 1),
            // Everybody hears everybody.
            (&run("-t constant -q 2"), 3),
        ],
    );
}

pub fn payload_sizes(kind: Kind) {
    let run = |size: &str, qos: u8| format!("--clients 4 -n 5 -T 10 -q {qos} --drain 20s -s {size}");
    let runs = [run("24", 0), run("24", 2), run("64KiB", 0), run("64KiB", 1), run("1MiB", 1), run("1MiB", 2)];
    check_each(kind, &runs.each_ref().map(|run| (run.as_str(), 1)));
}

/// Subscriptions outlive their connections: what others publish between two runs reaches the second.
pub fn persistent_sessions(kind: Kind) {
    let Some(broker) = Broker::start(kind) else { return };
    let run = |qos: u8| {
        let plan = "--clean-session false --clientid keeper --clients 10 -n 20 -T 50 --drain 20s";
        bench::run(broker.address(), &format!("{plan} -q {qos}"))
    };
    // At QoS 2 a client may leave before the broker has released its last message, which then comes again.
    let first = run(1);
    assert_exact(&first, 1);
    for pair in 0..5 {
        mosquitto_pub(broker.address(), &format!("bench/{pair}"), b"in between");
    }
    let second = run(2);
    assert_exact_among_foreign(&second, 1);
    assert_eq!(second.counts.foreign, 5);
    let mut totals = Totals::of(&[first, second]);
    totals.sent[1] += 5;
    totals.delivered += 5;
    totals.packets = None;
    broker.confirm(totals);
}

/// Payloads of others in the topics of a run are counted, and harm nothing.
pub fn foreign_payloads(kind: Kind) {
    let Some(broker) = Broker::start(kind) else { return };
    let command =
        bench::command(broker.address(), "--clients 10 --rate 100 --warmup 0s --drain 20s --seed 7");
    let run = bench::start(command);
    await_message(broker.address(), "bench/0");
    let run_id = malaria_bench::run::run_id(7);
    let stamp = |run_id, publisher| Stamp { run_id, publisher, sequence: 3, intended: 5 }.encode();
    let payloads: [&[u8]; 6] = [
        b"",
        b"hello",
        &[0xff; 23],
        &[0; 5000],
        // Of another run, and of a publisher there is not.
        &stamp(run_id ^ 1, 0),
        &stamp(run_id, u32::MAX),
    ];
    for payload in payloads {
        mosquitto_pub(broker.address(), "bench/0", payload);
    }
    let record = run.record();
    assert_exact_among_foreign(&record, 1);
    assert_eq!(record.counts.foreign, payloads.len() as u64);
}

/// Waits until somebody publishes to `topic`.
fn await_message(broker: SocketAddr, topic: &str) {
    let mut command = piped(find("mosquitto_sub").expect("not missing"));
    command.args(["-h", &broker.ip().to_string(), "-p", &broker.port().to_string()]);
    command.args(["-t", topic, "-C", "1", "-F", "%l"]).stderr(Stdio::inherit());
    let mut process = Process::spawn(&mut command);
    let line = process.lines().next(Instant::now() + BOUND);
    assert_eq!(line.as_deref(), Some("100"), "the length of a payload");
}

fn mosquitto_pub(broker: SocketAddr, topic: &str, payload: &[u8]) {
    let mut child = Command::new(find("mosquitto_pub").expect("not missing"))
        .args(["-h", &broker.ip().to_string(), "-p", &broker.port().to_string()])
        .args(["-q", "1", "-t", topic, if payload.is_empty() { "-n" } else { "-s" }])
        .stdin(Stdio::piped())
        .spawn()
        .expect("mosquitto_pub runs");
    child.stdin.take().expect("piped").write_all(payload).expect("it reads");
    assert!(child.wait().expect("it ends").success());
}
