//! The seconds of runs as CSV.

use crate::clock::Nanos;
use crate::record::{Finished, FleetRecord, Record, Used};
use crate::report::Run;
use crate::report::distribution::quoted;
use std::fmt::Write;

const HEADER: &str = "run,time_ns,phase,part,connected,offered,sent,acked,delivered,shed,connections_lost,stall_ns,\
                      ack_p50_ns,ack_p99_ns,flight_p50_ns,flight_p99_ns,broker_cpu_ns,broker_resident_bytes,broker_descriptors\n";

/// See [`report::series_csv`](crate::report::series_csv).
pub fn csv(runs: &[Run]) -> String {
    let mut text = HEADER.to_owned();
    for run in runs {
        let label = quoted(&run.label);
        match &run.record {
            Finished::Run(record) => of_run(&mut text, &label, record),
            Finished::Fleet(record) => of_fleet(&mut text, &label, record),
        }
    }
    text
}

fn of_run(text: &mut String, label: &str, record: &Record) {
    for second in &record.series {
        let latencies = [second.ack_p50_ns, second.ack_p99_ns, second.flight_p50_ns, second.flight_p99_ns];
        let [ack_p50, ack_p99, flight_p50, flight_p99] = latencies.map(cell);
        writeln!(
            text,
            "{label},{},{},{},{},{},{},{},{},{},{},{},{ack_p50},{ack_p99},{flight_p50},{flight_p99},{}",
            second.time_ns,
            second.phase.name(),
            second.part,
            second.connected,
            second.offered,
            second.sent,
            second.acked,
            second.delivered,
            second.shed,
            second.connections_lost,
            second.stall_ns,
            broker(second.broker.as_ref()),
        )
        .expect("a String takes everything");
    }
}

/// What the broker used in a second, and held at its end.
fn broker(used: Option<&Used>) -> String {
    let cells = [
        used.map(Used::cpu_ns),
        used.and_then(|used| used.resident_bytes),
        used.and_then(|used| used.descriptors),
    ];
    cells.map(cell).join(",")
}

/// A number, or nothing where there is none.
fn cell(ns: Option<Nanos>) -> String {
    ns.map_or(String::new(), |ns| ns.to_string())
}

/// A fleet has no phases and sheds nothing that is told by second.
fn of_fleet(text: &mut String, label: &str, record: &FleetRecord) {
    for second in &record.series {
        let latencies = [second.ack_p50_ns, second.ack_p99_ns, second.flight_p50_ns, second.flight_p99_ns];
        let [ack_p50, ack_p99, flight_p50, flight_p99] = latencies.map(cell);
        writeln!(
            text,
            "{label},{},,,{},,{},{},{},,{},{},{ack_p50},{ack_p99},{flight_p50},{flight_p99},{}",
            second.time_ns,
            second.connected,
            second.sent,
            second.acked,
            second.received,
            second.errors,
            second.stall_ns,
            broker(second.broker.as_ref()),
        )
        .expect("a String takes everything");
    }
}
