//! Connections that break while messages are under way, and brokers that stop taking any.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use malaria_bench::record::{Exit, Outcome as Judged, Phase, Record, Verdict};
use malaria_bench::wire::PacketType;

use crate::bench::Bench;
use crate::broker::{Act, Broker};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn one_publisher_is_reset_and_comes_back() {
    let broker = Broker::start(|heard| if heard.publish() == 50 { Act::Reset } else { Act::Honest });
    let outcome = Bench::against(broker.address, "--clients 4 -T 50 --warmup 0 --duration 2s").run();
    outcome.ends(5, &["deliveries lost", "lost 1", "reconnects 1", "Connection reset by peer"]);
    let counts = outcome.record().counts;
    assert_eq!((counts.connections_lost, counts.reconnects, counts.closed_by_broker), (1, 1, 0));
    assert_eq!(counts.connections_established, 4, "each client counts once");
    assert!(counts.acked > 100 && counts.delivered > 100, "it goes on: {counts:#?}");
    assert!(!outcome.record().partial);
    outcome.acks_account_for_what_was_sent();
}

#[test]
fn one_subscriber_is_reset_and_subscribes_again() {
    let mut acks = 0;
    let broker = Broker::start(move |heard| {
        acks += u32::from(heard.is(PacketType::PubAck));
        if heard.is(PacketType::PubAck) && acks == 30 { Act::Reset } else { Act::Honest }
    });
    let outcome = Bench::against(broker.address, "--clients 4 -T 50 --warmup 0 --duration 2s").run();
    let counts = outcome.record().counts;
    assert_eq!((counts.connections_lost, counts.reconnects, counts.subscribed), (1, 1, 3));
    assert_eq!((counts.duplicated, counts.reordered), (0, 0));
    assert!(counts.delivered > 130, "deliveries go on: {counts:#?}");
    outcome.ends(if counts.lost > 0 { 5 } else { 0 }, &["reconnects 1"]);
    assert_eq!(broker.stop().of(PacketType::Subscribe), 3);
}

#[test]
fn everybody_is_reset_and_comes_back() {
    let broker = Broker::start(|heard| if heard.publish() == 50 { Act::ResetAll } else { Act::Honest });
    let outcome = Bench::against(broker.address, "--clients 10 -T 50 --warmup 0 --duration 2s").run();
    outcome.ends(5, &["reconnects 10"]);
    let counts = outcome.record().counts;
    assert_eq!((counts.connections_lost, counts.reconnects, counts.subscribed), (10, 10, 10));
    assert!(counts.delivered > 100, "{counts:#?}");
    outcome.acks_account_for_what_was_sent();
}

#[test]
fn everybody_is_reset_for_good() {
    let broker = Broker::start(|heard| if heard.publish() == 50 { Act::ResetAll } else { Act::Honest });
    let arguments = "--clients 10 -T 50 --warmup 0 --duration 25s --reconnect false";
    let outcome = Bench::against(broker.address, arguments).run();
    outcome.ends(4, &["every connection was lost", "--reconnect", "Connection reset by peer"]);
    outcome.is_partial().within(8 * SECOND);
    let counts = outcome.record().counts;
    assert_eq!((counts.connections_lost, counts.reconnects), (10, 0));
    assert!(counts.acked > 0, "{counts:#?}");
    outcome.acks_account_for_what_was_sent();
}

#[test]
fn sessions_that_are_kept_lose_nothing() {
    for qos in [1, 2] {
        // One reset of a publisher before its message is taken, one of a subscriber before its answer is.
        let answer = if qos == 1 { PacketType::PubAck } else { PacketType::PubRec };
        let mut answers = 0;
        let broker = Broker::start(move |heard| {
            answers += u32::from(heard.is(answer));
            match heard.publish() == 50 || heard.is(answer) && answers == 80 {
                true => Act::Reset,
                false => Act::Honest,
            }
        });
        let arguments = format!(
            "--clients 2 -n 100 -T 100 -q {qos} --clean-session false --clientid faults-{}",
            std::process::id()
        );
        let outcome = Bench::against(broker.address, &arguments).run();
        outcome.ends(0, &["reconnects 2"]);
        let counts = outcome.record().counts;
        assert_eq!((counts.sent, counts.acked, counts.delivered), (100, 100, 100));
        assert_eq!((counts.lost, counts.reordered, counts.unacked_at_end), (0, 0, 0));
        // At QoS 1 messages whose PUBACK was lost come again. At QoS 2 packets do, but not the messages.
        assert_eq!(counts.duplicated > 0, qos == 1, "{counts:#?}");
    }
}

#[test]
fn a_broker_that_stops_reading() {
    // 32 MiB a second are more than all buffers of the kernel hold for long.
    let arguments = "--clients 4 --topology publish --cores 1 --rate 2k -s 16KiB --backlog 250ms \
                     --warmup 0 --duration 4s --drain 500ms";
    let outcome = Bench::run_in_peace(|| {
        let broker = Broker::start(|heard| if heard.published >= 1000 { Act::Deaf } else { Act::Honest });
        Bench::against(broker.address, arguments).keeping(broker)
    });
    outcome.ends(5, &["BROKER-LIMITED", "shed from full backlogs", "not acknowledged"]).within(15 * SECOND);
    let record = outcome.record();
    let counts = &record.counts;
    assert_eq!(record.verdict, Verdict::BrokerLimited, "{:?}", record.verdict_reasons);
    assert_eq!(counts.due, 8000, "the schedule does not wait");
    assert!(counts.shed > 1000, "{counts:#?}");
    assert!(outcome.stdout.contains("shed"), "{}", outcome.stdout);
    outcome.acks_account_for_what_was_sent();
    assert!(outcome.peak_memory < 150 << 20, "{} bytes", outcome.peak_memory);
}

/// A mosquitto on a port of its own.
struct Mosquitto {
    child: Child,
    config: tempfile::NamedTempFile,
    address: SocketAddr,
}

impl Mosquitto {
    /// `None`: it is not installed. Where that must not go unnoticed, it is a failure.
    fn start() -> Option<Mosquitto> {
        let address = free_address();
        let mut config = tempfile::NamedTempFile::new().expect("a file");
        writeln!(config, "listener {} 127.0.0.1\nallow_anonymous true", address.port()).expect("a file");
        writeln!(config, "persistence false\nlog_dest none\nuser root").expect("a file");
        let Ok(child) = spawn(config.path()) else {
            let how = "apt-get install mosquitto";
            assert!(std::env::var("CI").as_deref() != Ok("true"), "mosquitto is missing: {how}");
            eprintln!("\n*** SKIPPED: mosquitto is missing: {how} ***\n");
            return None;
        };
        let mosquitto = Mosquitto { child, config, address };
        mosquitto.wait_until_it_listens();
        Some(mosquitto)
    }

    fn wait_until_it_listens(&self) {
        let started = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            assert!(started.elapsed() < 10 * SECOND, "mosquitto does not listen on {}", self.address);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// SIGKILL.
    fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is ours");
    }

    fn come_back(&mut self) {
        self.child = spawn(self.config.path()).expect("it was there a moment ago");
        self.wait_until_it_listens();
    }
}

fn spawn(config: &std::path::Path) -> std::io::Result<Child> {
    // Debian has it in /usr/sbin, which not every PATH names.
    let spawn = |program| {
        Command::new(program).arg("-c").arg(config).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    };
    spawn("mosquitto").or_else(|_| spawn("/usr/sbin/mosquitto"))
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Below the range from which outgoing connections take theirs: it stays free while the broker is away.
fn free_address() -> SocketAddr {
    let first = 20_000 + (std::process::id() % 5_000) as u16;
    let free = (first..first + 5_000).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    SocketAddr::from(([127, 0, 0, 1], free.expect("one of 5,000 ports is free")))
}

/// The exit code that follows from the counts of a run that went through.
fn code_of(record: &Record) -> i32 {
    assert_eq!(record.exit_code, Judged::of(record).exit.code());
    let counts = &record.counts;
    match counts.lost + counts.reordered + counts.ack_timeouts + counts.unacked_at_end {
        0 if record.verdict == Verdict::GeneratorLimited => Exit::GeneratorLimited.code().into(),
        0 => 0,
        _ => 5,
    }
}

#[test]
fn mosquitto_is_killed_and_comes_back() {
    let Some(mut mosquitto) = Mosquitto::start() else { return };
    let arguments = "--progress always --clients 20 -T 50 --warmup 0 --duration 6s --drain 1s";
    let mut running = Bench::against(mosquitto.address, arguments).start();
    running.wait_for("measure ");
    mosquitto.kill();
    mosquitto.come_back();
    let outcome = running.wait();
    let record = outcome.record();
    let counts = &record.counts;
    outcome.ends(code_of(record), &["reconnects 20", "lost 20"]).within(15 * SECOND);
    assert_eq!((counts.connections_lost, counts.reconnects), (20, 20));
    assert_eq!(counts.connections_established, 20);
    assert_eq!(counts.due, 3000);
    // The one after it ends with the run, which may be quick when nothing was lost on the way.
    let last = record.series.iter().rfind(|second| second.phase == Phase::Measure).expect("six seconds");
    assert!(last.delivered > 0 && last.connected == 20, "it goes on to the end: {:#?}", record.series);
    outcome.acks_account_for_what_was_sent();
}

#[test]
fn mosquitto_is_killed_for_good() {
    let Some(mut mosquitto) = Mosquitto::start() else { return };
    let arguments = "--progress always --clients 20 -T 50 --warmup 0 --duration 4s --drain 1s";
    let mut running = Bench::against(mosquitto.address, arguments).start();
    running.wait_for("measure ");
    mosquitto.kill();
    let outcome = running.wait();
    outcome.ends(4, &["connections lost and not established again: 20", &mosquitto.address.to_string()]);
    outcome.is_partial().within(12 * SECOND);
    let counts = outcome.record().counts;
    assert_eq!((counts.connections_lost, counts.reconnects, counts.due), (20, 0, 2000));
    assert!(counts.acked > 0 && counts.shed > 0, "{counts:#?}");
    outcome.acks_account_for_what_was_sent();
}
