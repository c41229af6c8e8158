//! What reports of several runs say of each of them, whatever kind of record it left.

use std::borrow::Cow;

use super::page::Tint;
use super::summary::{self, Count};
use super::{Run, refusals};
use crate::clock::Nanos;
use crate::record::{
    BoundResult, Broker, BrokerCost, Counters, Exit, Finished, FleetRecord, Generator, Latency, Listener,
    Machine, Phase, Publisher, Record, Schedule, Verdict,
};
use crate::stats::HistogramError;
use crate::units;
use series::Moment;

pub mod series;

/// One run, ready to be told of.
pub struct Digest<'a> {
    pub label: &'a str,
    /// The verdict in one or two words.
    pub verdict: String,
    /// The verdict in full, with what is wrong.
    pub headline: String,
    pub tint: Tint,
    /// Why, in sentences.
    pub reasons: Vec<String>,
    /// Whether the figures are the generator's and not the broker's.
    pub void: bool,
    /// What it had to keep.
    pub bounds: &'a [BoundResult],
    pub started_at: &'a str,
    pub command: &'a [String],
    /// Who, what, for how long.
    pub asked: Vec<String>,
    pub broker: String,
    pub machine: &'a Machine,
    pub generator: &'a Generator,
    /// What it cost the broker, where somebody watched it.
    pub cost: Option<&'a BrokerCost>,
    pub seed: String,
    pub version: &'a str,
    pub rates: Vec<Rate>,
    /// Every latency of interest by its name.
    pub latencies: Vec<(&'static str, Cow<'a, Latency>)>,
    pub delivery: Vec<Count>,
    pub connections: Vec<Count>,
    /// Why connections were refused.
    pub refusals: Vec<Count>,
    /// Bytes and packets of MQTT.
    pub traffic: Vec<Count>,
    /// Messages that were due and never sent, for want of room; `None` where nothing says.
    pub shed: Option<u64>,
    /// Deliveries that never came; `None` where nothing said how many were to come.
    pub lost: Option<u64>,
    pub warnings: &'a [String],
    pub series: Vec<Moment>,
    /// Start and end of the measure phase in seconds, where there is one.
    pub measured_s: Option<(f64, f64)>,
}

/// Messages per second, to be done and done.
pub struct Rate {
    pub what: &'static str,
    /// `None` in a closed loop, or without an expectation.
    pub offered_per_s: Option<f64>,
    pub achieved_per_s: f64,
}

impl<'a> Digest<'a> {
    /// # Errors
    /// When a histogram of the record is not what it should be.
    pub fn of(run: &'a Run) -> Result<Digest<'a>, HistogramError> {
        match &run.record {
            Finished::Run(record) => Ok(of_run(&run.label, record)),
            Finished::Fleet(record) => of_fleet(&run.label, record),
        }
    }

    /// Achieved messages per second of `what`.
    pub fn achieved(&self, what: &str) -> Option<f64> {
        self.rates.iter().find(|rate| rate.what == what).map(|rate| rate.achieved_per_s)
    }

    /// Share of its time that the busiest CPU of the generator was.
    pub fn generator_busy(&self) -> Option<f64> {
        self.generator.busiest_cpu().map(|(_, share)| share)
    }

    /// CPU time of the broker for each message, in nanoseconds.
    pub fn cpu_per_message(&self) -> Option<Nanos> {
        self.cost?.cpu_per_message_ns
    }

    /// Memory of the broker for each connection, in bytes.
    pub fn memory_per_connection(&self) -> Option<u64> {
        self.cost?.memory_per_connection_bytes
    }

    /// The latency of one of these names that the run has.
    pub fn latency(&self, names: &[&str]) -> Option<&Latency> {
        let named = self.latencies.iter().find(|(name, latency)| names.contains(name) && latency.count > 0);
        named.map(|(_, latency)| latency.as_ref())
    }
}

/// Names of the time to a message's acknowledgement.
pub const ACK: [&str; 1] = ["ack response"];
/// Names of the time to a message's delivery: of the main job on one clock, of a fleet by what payloads say.
pub const FLIGHT: [&str; 2] = ["flight response", "flight time"];

fn of_run<'a>(label: &'a str, record: &'a Record) -> Digest<'a> {
    let (headline, tint) = summary::headline(record);
    let stall = series::stall(record).map(|stall| stall.to_string());
    // What stood still is not dressed in green, even where all came in the end.
    let tint = if stall.is_some() && tint == Tint::Good { Tint::Warning } else { tint };
    let per_s = |messages| record.rate_per_s(messages);
    let rates = summary::done(record).into_iter().filter_map(|done| {
        let offered_per_s = done.offered.and_then(per_s);
        Some(Rate { what: done.what, offered_per_s, achieved_per_s: per_s(done.achieved)? })
    });
    let publishes = record.plan.publishers > 0;
    let measure = record.phases.iter().find(|times| times.phase == Phase::Measure);
    Digest {
        label,
        verdict: short(record.exit_code, record.verdict, record.partial),
        headline,
        tint,
        reasons: summary::reasons(record).into_iter().chain(stall).collect(),
        void: record.is_void(),
        bounds: &record.bounds,
        started_at: &record.started_at,
        command: &record.command,
        asked: summary::plan(record),
        broker: summary::broker(record),
        machine: &record.machine,
        generator: &record.generator,
        cost: record.broker_cost.as_ref(),
        seed: record.plan.seed.to_string(),
        version: &record.versions.malaria_bench,
        rates: if publishes { rates.collect() } else { Vec::new() },
        latencies: run_latencies(record),
        delivery: if publishes { summary::delivery_counts(record) } else { Vec::new() },
        connections: connections(&record.counts, record.plan.subscribers > 0, &record.broker),
        refusals: refusals::all(&record.counts),
        traffic: traffic(&record.counts),
        shed: (publishes && matches!(record.plan.schedule, Schedule::Open { .. }))
            .then_some(record.counts.shed),
        lost: (publishes && record.plan.subscribers > 0).then_some(record.counts.lost),
        warnings: &record.warnings,
        series: series::of_run(&record.series),
        measured_s: measure.map(|times| (times.start_ns as f64 / 1e9, times.end_ns as f64 / 1e9)),
    }
}

fn run_latencies(record: &Record) -> Vec<(&'static str, Cow<'_, Latency>)> {
    let health = summary::health_rows(&record.latencies).into_iter().filter(|(_, latency)| latency.count > 0);
    let all = summary::latency_rows(record).into_iter().chain(health);
    all.map(|(name, latency)| (name, Cow::Borrowed(latency))).collect()
}

fn connections(counts: &Counters, subscribes: bool, broker: &Broker) -> Vec<Count> {
    let mut connections = summary::connection_counts(counts, subscribes);
    connections.extend(summary::turned_away(broker));
    connections
}

fn traffic(counts: &Counters) -> Vec<Count> {
    vec![
        ("bytes sent", counts.bytes_out),
        ("bytes received", counts.bytes_in),
        ("packets sent", counts.packets_out),
        ("packets received", counts.packets_in),
    ]
}

/// The verdict where there is no room for more.
fn short(exit_code: u8, verdict: Verdict, partial: bool) -> String {
    let word = match (Exit::from_code(exit_code), verdict) {
        (Exit::Clean | Exit::GeneratorLimited, verdict) => verdict.name(),
        (Exit::Broker, _) => "broker fault",
        (Exit::Delivery, _) => "delivery fault",
        (exit, _) => exit.name(),
    };
    if partial { format!("{word}, partial") } else { word.to_owned() }
}

fn of_fleet<'a>(label: &'a str, record: &'a FleetRecord) -> Result<Digest<'a>, HistogramError> {
    let exit = Exit::from_code(record.exit_code);
    let verdict = short(record.exit_code, record.verdict, record.partial_reason.is_some());
    let whole = exit == Exit::Clean && record.partial_reason.is_none();
    let tint = if whole { summary::tint(record.verdict) } else { Tint::Bad };
    let code = if exit == Exit::Clean { String::new() } else { format!(", exit code {}", exit.code()) };
    Ok(Digest {
        label,
        headline: verdict.to_uppercase() + &code,
        verdict,
        tint,
        reasons: fleet_reasons(record),
        void: record.is_void(),
        bounds: &record.bounds,
        started_at: &record.started_at,
        command: &record.command,
        asked: vec![fleet_asked(record)],
        broker: fleet_broker(&record.broker),
        machine: &record.machine,
        generator: &record.generator,
        cost: record.broker_cost.as_ref(),
        seed: record.seed.clone(),
        version: &record.versions.malaria_bench,
        rates: fleet_rates(record),
        latencies: fleet_latencies(record)?,
        delivery: fleet_delivery(record),
        connections: connections(&record.counts, !record.listeners.is_empty(), &record.broker),
        refusals: refusals::all(&record.counts),
        traffic: traffic(&record.counts),
        shed: (!record.publishers.is_empty()).then_some(record.counts.shed),
        lost: lost(&record.listeners),
        warnings: &record.warnings,
        series: series::of_fleet(&record.series),
        measured_s: None,
    })
}

/// Why the exit code and, unless that says it already, the verdict are what they are.
fn fleet_reasons(record: &FleetRecord) -> Vec<String> {
    let told = record.exit_code == Exit::GeneratorLimited.code() || record.verdict == Verdict::Clean;
    let verdict = record.verdict_reasons.iter().filter(|_| !told);
    [&record.exit_reason].into_iter().chain(verdict).cloned().collect()
}

fn fleet_asked(record: &FleetRecord) -> String {
    let clients = |count: usize| units::grouped(count as u64);
    let (publishers, listeners) = (record.publishers.len(), record.listeners.len());
    let elapsed = units::latency(record.elapsed_ns);
    format!(
        "{} publish, {} subscribe, QoS {}, took {elapsed}",
        clients(publishers),
        clients(listeners),
        record.qos
    )
}

fn fleet_broker(broker: &Broker) -> String {
    let addresses = summary::some_of(&broker.addresses);
    if broker.embedded { format!("embedded reflector at {addresses}") } else { addresses }
}

fn per_s(messages: u64, span: Option<Nanos>) -> Option<f64> {
    span.filter(|span| *span > 0).map(|span| messages as f64 * 1e9 / span as f64)
}

/// Of all publishers from the first message to the last acknowledgement, of all listeners from their first
/// message to their last.
fn fleet_rates(record: &FleetRecord) -> Vec<Rate> {
    let sum = |of: fn(&Publisher) -> u64| record.publishers.iter().map(of).sum::<u64>();
    let due = Some(sum(|publisher| publisher.generated));
    let acked = (record.qos > 0).then(|| sum(|publisher| publisher.acked));
    let (publishing, listening) = (record.publishing_ns(), record.listening_ns());
    let rows = [
        ("sent", due, Some(sum(|publisher| publisher.sent)), publishing),
        ("acked", due, acked, publishing),
        ("delivered", expected(&record.listeners), Some(delivered(&record.listeners)), listening),
    ];
    let rate = |(what, offered, done, span): (&'static str, Option<u64>, Option<u64>, Option<Nanos>)| {
        let offered_per_s = offered.and_then(|messages| per_s(messages, span));
        Some(Rate { what, offered_per_s, achieved_per_s: per_s(done?, span)? })
    };
    rows.into_iter().filter_map(rate).collect()
}

/// Deliveries all listeners were to have; `None` when one of them did not know.
fn expected(listeners: &[Listener]) -> Option<u64> {
    let each = listeners.iter().map(|listener| listener.expected_messages);
    each.sum::<Option<u64>>().filter(|_| !listeners.is_empty())
}

/// Different messages each listener had, in all.
fn delivered(listeners: &[Listener]) -> u64 {
    listeners.iter().map(Listener::delivered).sum()
}

fn lost(listeners: &[Listener]) -> Option<u64> {
    let of = |listener: &Listener| {
        let heard = listener.clients.iter().filter(|heard| heard.expected.is_some());
        let missing: u64 = heard.clone().map(|heard| heard.missing.len() as u64).sum();
        let unseen = listener.expected_per_client.map(|each| each.saturating_mul(listener.never_seen_count));
        (unseen.is_some() || heard.count() > 0).then(|| missing + unseen.unwrap_or(0))
    };
    let known: Vec<u64> = listeners.iter().filter_map(of).collect();
    (!known.is_empty()).then(|| known.iter().sum())
}

fn fleet_latencies(record: &FleetRecord) -> Result<Vec<(&'static str, Cow<'_, Latency>)>, HistogramError> {
    let measured = &record.latencies;
    let flight = record.flight_time()?;
    let rows = [
        ("TCP connect", &measured.tcp_connect),
        ("handshake", &measured.handshake),
        ("handshake resumed", &measured.handshake_resumed),
        ("CONNACK", &measured.connack),
        ("SUBACK", &measured.suback),
        ("ack response", &measured.ack_response),
        ("ack service", &measured.ack_service),
        ("round trip", &measured.round_trip),
    ];
    let rows = rows.into_iter().chain(summary::health_rows(measured));
    let mut latencies: Vec<_> = rows.map(|(name, latency)| (name, Cow::Borrowed(latency))).collect();
    latencies.insert(7, ("flight time", Cow::Owned(flight)));
    latencies.retain(|(_, latency)| latency.count > 0);
    Ok(latencies)
}

fn fleet_delivery(record: &FleetRecord) -> Vec<Count> {
    let sum = |of: fn(&Publisher) -> u64| record.publishers.iter().map(of).sum::<u64>();
    let heard = |of: fn(&Listener) -> u64| record.listeners.iter().map(of).sum::<u64>();
    let mut counts = Vec::new();
    if !record.publishers.is_empty() {
        counts.extend([("to send", sum(Publisher::total)), ("sent", sum(|one| one.sent))]);
        counts.push(("seen through", sum(|one| one.acked)));
        let unfinished = sum(|one| one.unfinished);
        counts.extend((unfinished > 0).then_some(("unfinished", unfinished)));
    }
    if !record.listeners.is_empty() {
        counts.extend(expected(&record.listeners).map(|count| ("expected", count)));
        counts.push(("delivered", delivered(&record.listeners)));
        counts.extend(lost(&record.listeners).map(|count| ("lost", count)));
        counts.push(("duplicated", heard(|one| one.duplicated)));
        counts.push(("foreign", heard(|one| one.foreign)));
        let dropped = record.listeners.iter().filter_map(|listener| listener.dropped).max();
        counts.extend(dropped.map(|count| ("dropped by the broker", count)));
    }
    counts
}
