//! Runs of the program, and what has to be true of each.

use crate::process::{Collected, Process, piped};
use malaria_bench::record::{Arrival, Exit, Latency, Record, Schedule, Second, Verdict};
use std::fmt::Display;
use std::process::Command;

/// A run under way.
pub struct Run {
    process: Process,
    record: Collected,
    said: Collected,
}

/// A run that has ended.
pub struct Finished {
    /// The process's exit code.
    pub code: i32,
    pub stdout: String,
    /// Summary and errors.
    pub said: String,
}

/// The program, to be run against `broker` with the words of `arguments`.
pub fn command(broker: impl Display, arguments: &str) -> Command {
    let mut command = piped(env!("CARGO_BIN_EXE_malaria-bench"));
    command.args(["--host", &broker.to_string(), "--json", "-"]);
    command.args(arguments.split_whitespace()).env_remove("MALARIA_PASSWORD");
    command
}

pub fn start(mut command: Command) -> Run {
    let mut process = Process::spawn(&mut command);
    let (record, said) = process.output();
    Run { process, record, said }
}

/// A whole run.
pub fn run(broker: impl Display, arguments: &str) -> Record {
    start(command(broker, arguments)).record()
}

impl Run {
    pub fn end(mut self) -> Finished {
        let status = self.process.wait();
        let code = status.code().unwrap_or_else(|| panic!("ended by a signal: {status}"));
        Finished { code, stdout: self.record.text(), said: self.said.text() }
    }

    /// The record of a run that went well.
    pub fn record(self) -> Record {
        self.end().record()
    }
}

impl Finished {
    /// The record of a run that went well.
    pub fn record(&self) -> Record {
        let Finished { code, stdout, said } = self;
        let record = Record::from_json(stdout).unwrap_or_else(|error| panic!("exit {code}: {error}\n{said}"));
        eprintln!("{said}");
        assert_eq!(*code, i32::from(record.exit_code), "the record knows the exit code");
        // A machine shared with other work may be late with everything. That is for the verdict to say,
        // and changes nothing about what was delivered.
        let noisy = record.verdict == Verdict::GeneratorLimited
            && Exit::from_code(record.exit_code) == Exit::GeneratorLimited;
        assert!(record.exit_code == 0 || noisy, "exit {}: {}", record.exit_code, record.exit_reason);
        assert!(!record.partial, "{:?}", record.partial_reason);
        record
    }
}

/// Totals of whole runs, warm-up and drain included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Totals {
    /// By QoS.
    pub sent: [u64; 3],
    pub delivered: u64,
    /// Packets that clients sent and received; `None` when not all clients were of the runs.
    pub packets: Option<(u64, u64)>,
}

impl Totals {
    pub fn of(records: &[Record]) -> Totals {
        let mut totals = Totals { sent: [0; 3], delivered: 0, packets: Some((0, 0)) };
        for record in records {
            let series = |field: fn(&Second) -> u64| record.series.iter().map(field).sum::<u64>();
            totals.sent[usize::from(record.plan.qos)] += series(|second| second.sent);
            totals.delivered += series(|second| second.delivered);
            totals.packets = totals.packets.map(|(sent, received)| {
                (sent + record.counts.packets_out, received + record.counts.packets_in)
            });
        }
        totals
    }

    pub fn sent_in_all(&self) -> u64 {
        self.sent.iter().sum()
    }
}

/// Everything sent was delivered to `audience` subscribers, once and in order, and every count and
/// histogram says so.
pub fn assert_exact(record: &Record, audience: u64) {
    assert_eq!(record.counts.foreign, 0);
    assert_exact_among_foreign(record, audience);
}

/// The same where others publish to the same topics.
pub fn assert_exact_among_foreign(record: &Record, audience: u64) {
    let counts = &record.counts;
    let plan = &record.plan;
    let context = format!("{counts:?}");
    let acked = if plan.qos > 0 { counts.sent } else { 0 };
    assert!(counts.due > 0 || plan.publishers == 0, "{context}");
    assert_eq!((counts.sent, counts.shed), (counts.due, 0), "{context}");
    assert_eq!((counts.acked, counts.ack_timeouts, counts.unacked_at_end), (acked, 0, 0), "{context}");
    assert_eq!(counts.expected, counts.sent * audience, "{context}");
    assert_eq!((counts.delivered, counts.lost), (counts.expected, 0), "{context}");
    assert_eq!((counts.duplicated, counts.reordered, counts.untold), (0, 0, 0), "{context}");
    assert_connected(record);
    assert_scheduled(record);
    assert_counted(record);
    assert_achieved(record);
}

/// Every client connected once and stayed; every subscription was granted.
pub fn assert_connected(record: &Record) {
    let counts = &record.counts;
    let context = format!("{counts:?}");
    let clients = u64::from(record.plan.clients);
    assert_eq!((counts.connections_asked, counts.connections_established), (clients, clients), "{context}");
    assert_eq!((counts.refused_tcp, counts.refused_by_connack(), counts.connect_timeouts), (0, 0, 0));
    assert_eq!((counts.connections_lost, counts.reconnects, counts.protocol_errors), (0, 0, 0), "{context}");
    assert_eq!(counts.subscribed, u64::from(record.plan.subscribers), "{context}");
    assert_eq!(counts.subscribe_failures, 0, "{context}");
}

/// As many messages came due as the schedule says.
fn assert_scheduled(record: &Record) {
    let plan = &record.plan;
    let due = record.counts.due;
    if let Some(count) = plan.msg_count {
        assert_eq!(due, count * u64::from(plan.publishers));
    } else if let Schedule::Open { rate_per_s, arrival, .. } = plan.schedule {
        let mean = rate_per_s * plan.duration_ns.expect("no count") as f64 / 1e9;
        // Constant arrivals are a grid; Poisson counts stay within six standard deviations.
        let slack = if arrival == Arrival::Constant { 1.0 } else { 6.0 * mean.sqrt() };
        assert!((due as f64 - mean).abs() <= slack, "{due} messages came due, {mean} were planned");
    }
}

/// Every histogram holds as many samples as the count it belongs to.
fn assert_counted(record: &Record) {
    let counts = &record.counts;
    let latencies = &record.latencies;
    let check = |name: &str, latency: &Latency, count: u64| {
        let histogram = latency.histogram().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((latency.count, histogram.count(), latency.overflow), (count, count, 0), "{name}");
    };
    check("tcp_connect", &latencies.tcp_connect, counts.connections_established);
    check("connack", &latencies.connack, counts.connections_established);
    check("suback", &latencies.suback, counts.subscribed);
    check("ack_response", &latencies.ack_response, counts.acked);
    check("ack_service", &latencies.ack_service, counts.acked);
    check("flight_response", &latencies.flight_response, counts.delivered);
    check("flight_service", &latencies.flight_service, counts.delivered);
    check("lateness", &latencies.lateness, counts.sent);
    let woken = if matches!(record.plan.schedule, Schedule::Open { .. }) { counts.due } else { 0 };
    check("wake_lag", &latencies.wake_lag, woken);
}

/// What was achieved within the measure phase is part of what the seconds of the run show, and most of what was
/// measured: a quarter allows for a test machine that stands still for most of the phase.
fn assert_achieved(record: &Record) {
    let (counts, achieved) = (&record.counts, &record.throughput);
    let all = |of: fn(&Second) -> u64| record.series.iter().map(of).sum::<u64>();
    for (name, achieved, measured, all) in [
        ("sent", achieved.sent, counts.sent, all(|second| second.sent)),
        ("acked", achieved.acked, counts.acked, all(|second| second.acked)),
        ("delivered", achieved.delivered, counts.delivered, all(|second| second.delivered)),
    ] {
        let least = if record.plan.msg_count.is_none() { measured / 4 } else { 0 };
        assert!(
            (least..=all).contains(&achieved),
            "{name}: {achieved} achieved, {measured} of {all} measured"
        );
    }
}
