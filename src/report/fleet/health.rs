//! What is ours, below malaria's figures: times from the schedule, connections, the generator, the result.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::lines::{Lines, counted};
use super::publish::self_check;
use super::{LISTED, PERCENTILES};
use crate::record::{Evidence, Exit, Figure, FleetRecord, Latency, Verdict};
use crate::report::refusals::{self, REFUSALS};
use crate::report::summary::{self, around, beside, turned_away};
use crate::units;

pub fn write(record: &FleetRecord, lines: &mut Lines) {
    if !record.publishers.is_empty() {
        times(record, lines);
        if !record.listeners.is_empty() {
            self_check(record, lines);
        }
    }
    connections(record, lines);
    failures(record, lines);
    generator(record, lines);
    for warning in record.warnings.iter().take(LISTED) {
        lines.line(&format!("Warning: {warning}"));
    }
    lines.more_of(record.warnings.len(), "warnings");
    verdict(record, lines);
    let exit = Exit::from_code(record.exit_code).name();
    lines.line(&format!("Result: {exit}, exit code {}: {}", record.exit_code, record.exit_reason));
}

/// Which side set the limit, where one did.
fn verdict(record: &FleetRecord, lines: &mut Lines) {
    if matches!(record.verdict, Verdict::BrokerLimited | Verdict::GeneratorLimited) {
        let reasons = record.verdict_reasons.join("; ");
        lines.line(&format!("Verdict: {}: {reasons}", record.verdict.name()));
    }
}

fn times(record: &FleetRecord, lines: &mut Lines) {
    let rows = [
        ("Response time from the intended send time", &record.latencies.ack_response),
        ("Lateness of sending", &record.latencies.lateness),
        ("Round trips of requests", &record.latencies.round_trip),
    ];
    for (name, latency) in rows.into_iter().filter(|(_, latency)| latency.count > 0) {
        lines.line(&format!("{name}: {}", quantiles(latency)));
    }
}

/// `p50 1.20 ms, p90 3.10 ms, p99 -, p99.9 -, max 4.00 ms`
fn quantiles(latency: &Latency) -> String {
    let figures = PERCENTILES.iter().map(|(name, figure, _)| (*name, *figure)).chain([("max", Figure::Max)]);
    let cells = figures.map(|(name, figure)| format!("{name} {}", latency.read(figure)));
    cells.collect::<Vec<_>>().join(", ")
}

fn connections(record: &FleetRecord, lines: &mut Lines) {
    let counts = &record.counts;
    let grouped = units::grouped;
    lines.line(&format!(
        "Connections: {} of {} established, {} lost, {} reconnects",
        grouped(counts.connections_established),
        grouped(counts.connections_asked),
        grouped(counts.connections_lost),
        grouped(counts.reconnects)
    ));
    let others = [("by TCP", counts.refused_tcp), ("timed out", counts.connect_timeouts)];
    let attempts: Vec<String> = REFUSALS
        .into_iter()
        .zip(counts.refused)
        .chain(others)
        .filter(|(_, count)| *count > 0)
        .map(|(why, count)| format!("{why} {}", grouped(count)))
        .collect();
    if !attempts.is_empty() {
        lines.line(&format!("Attempts refused: {}", attempts.join(", ")));
    }
    if let Some(reasons) = refusals::reason_codes(counts) {
        lines.line(&format!("Reasons: {reasons}"));
    }
    if let Some((what, count)) = turned_away(&record.broker) {
        lines.line(&format!("Connections {what}: {}", grouped(count)));
    }
}

/// Each failure once, with how many clients had it; the most frequent ones first.
fn failures(record: &FleetRecord, lines: &mut Lines) {
    let publishers = record.publishers.iter().filter_map(|publisher| publisher.failure.as_deref());
    let listeners = record.listeners.iter().filter_map(|listener| listener.failure.as_deref());
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for failure in publishers.chain(listeners) {
        *counts.entry(failure).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(failure, count)| (Reverse(*count), *failure));
    for (failure, count) in counts.iter().take(LISTED) {
        lines.line(&format!("Failure of {}: {failure}", counted(*count, "client")));
    }
    lines.more_of(counts.len(), "failures");
}

fn generator(record: &FleetRecord, lines: &mut Lines) {
    let health = &record.generator;
    let cpu = (health.user_cpu_ns + health.system_cpu_ns) as f64;
    let share = (record.elapsed_ns > 0).then(|| cpu * 100.0 / record.elapsed_ns as f64);
    let busiest = health.busiest_cpu();
    let (lag, hearing) = (record.latencies.wake_lag.tail(), record.latencies.hearing_lag.tail());
    let evidence = Evidence::of_fleet(record);
    let items: Vec<String> = [
        summary::waiting(record.poll).map(str::to_owned),
        share.map(|share| format!("{share:.1} % of one core")),
        busiest.map(|(cpu, share)| format!("busiest CPU {cpu} at {}", units::percent(share))),
        lag.map(|tail| format!("wake-up lag {} {}", tail.name, units::latency(tail.ns))),
        hearing.map(|tail| format!("hearing lag {} {}", tail.name, units::latency(tail.ns))),
    ]
    .into_iter()
    .flatten()
    .chain(around(&evidence))
    .chain([format!("{:.2} secs in all", record.elapsed_ns as f64 / 1e9)])
    .chain(health.troubles().map(|(name, count)| format!("{name} {}", units::grouped(count))))
    .collect();
    lines.line(&format!("Generator: {}", items.join(", ")));
    let beside = beside(&evidence);
    if !beside.is_empty() {
        lines.line(&format!("Beside it: {}", beside.join("; ")));
    }
}
