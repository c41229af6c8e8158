//! The exit code of a fleet.

use std::collections::BTreeMap;

use super::{FleetRecord, ListenEnd, Listener};
use crate::clock::{MILLISECOND, Nanos};
use crate::record::exit::UNFINISHED;
use crate::record::{Ended, Exit, Outcome, bounds};
use crate::units;

/// A fleet whose workers notice what is due later than this (99th percentile) measures itself. Publishers
/// that simulate devices send a few messages a second, and malaria's own timer was no finer.
const LAG_ACCEPTED: Nanos = 100 * MILLISECOND;

impl Outcome {
    /// Of a fleet's record where everything else is filled in. An internal fault and an interrupt go before
    /// everything; of the others the lowest code that applies wins:
    ///
    /// - *environment*: the run ended by it.
    /// - *broker*: the run ended by it; a client never connected, was lost for good or failed; a subscription
    ///   failed; the broker violated the protocol.
    /// - *delivery*: a message was not acknowledged (at QoS 0: not sent, or unfinished); a listener misses messages or clients,
    ///   has duplicates at QoS 2, or ended before everything it expected was in; the broker dropped messages.
    /// - *generator-limited*: wake-up lag above 100 ms (p99, or the highest percentile the samples support).
    /// - *bounds*: a bound of `--require` did not hold.
    /// - *clean*.
    pub fn of_fleet(record: &FleetRecord) -> Outcome {
        let ended = |exit: Exit| Outcome {
            exit,
            reason: record.partial_reason.clone().unwrap_or_else(|| exit.name().to_owned()),
        };
        match record.ended {
            Ended::Internal => return ended(Exit::Internal),
            Ended::Interrupted => return ended(Exit::Interrupted),
            Ended::Environment => return ended(Exit::Environment),
            Ended::Broker => return ended(Exit::Broker),
            Ended::Completed => {}
        }
        let faults = [(Exit::Broker, broker_faults(record)), (Exit::Delivery, delivery_faults(record))];
        if let Some((exit, words)) = faults.into_iter().find(|(_, words)| !words.is_empty()) {
            return Outcome { exit, reason: words.join(", ") };
        }
        if let Some(tail) = record.latencies.wake_lag.tail().filter(|tail| tail.ns > LAG_ACCEPTED) {
            let (lag, limit) = (units::latency(tail.ns), units::latency(LAG_ACCEPTED));
            let reason =
                format!("the generator was the bottleneck: wake-up lag {} {lag}, above {limit}", tail.name);
            return Outcome { exit: Exit::GeneratorLimited, reason };
        }
        if let Some(reason) = bounds::broken(&record.bounds) {
            return Outcome { exit: Exit::Bounds, reason };
        }
        Outcome { exit: Exit::Clean, reason: "everything asked was done and delivered".to_owned() }
    }
}

/// `what: count` for each count that is not 0.
fn words(counts: &[(u64, &str)]) -> Vec<String> {
    let present = counts.iter().filter(|(count, _)| *count > 0);
    present.map(|(count, what)| format!("{what}: {}", units::grouped(*count))).collect()
}

fn broker_faults(record: &FleetRecord) -> Vec<String> {
    let counts = &record.counts;
    let mut faults = words(&[
        (counts.connections_asked.saturating_sub(counts.connections_established), "clients never connected"),
        // a lost connection that came back is no fault by itself: what it cost shows in the delivery
        (
            counts.connections_lost.saturating_sub(counts.reconnects),
            "connections lost and not established again",
        ),
        (counts.subscribe_failures, "subscriptions failed"),
        (counts.protocol_errors, "violations of the protocol by the broker"),
    ]);
    faults.extend(failed_clients(record));
    faults
}

/// How many clients failed, and the cause that most of them had.
fn failed_clients(record: &FleetRecord) -> Option<String> {
    let publishers = record.publishers.iter().filter_map(|publisher| publisher.failure.as_deref());
    let listeners = record.listeners.iter().filter_map(|listener| match &listener.failure {
        Some(failure) => Some(failure.as_str()),
        None => (listener.ended_by == ListenEnd::Failed).then_some("the connection could not be kept"),
    });
    let mut causes: BTreeMap<&str, u64> = BTreeMap::new();
    for cause in publishers.chain(listeners) {
        *causes.entry(cause).or_default() += 1;
    }
    let failed: u64 = causes.values().sum();
    // of equally frequent causes always the same one
    let (cause, count) =
        causes.into_iter().max_by_key(|(cause, count)| (*count, std::cmp::Reverse(*cause)))?;
    let of = if count < failed { format!("{} of them: ", units::grouped(count)) } else { String::new() };
    Some(format!("clients failed: {} ({of}{cause})", units::grouped(failed)))
}

fn delivery_faults(record: &FleetRecord) -> Vec<String> {
    let mut faults = Vec::new();
    let total: u64 = record.publishers.iter().map(|publisher| publisher.total()).sum();
    let open = record.publishers.iter().map(|publisher| publisher.total().saturating_sub(publisher.acked));
    // What is unfinished has not been sent either, and is told once: with its cause.
    let unfinished: u64 = record.publishers.iter().map(|publisher| publisher.unfinished).sum();
    let open = open.sum::<u64>().saturating_sub(unfinished);
    if open > 0 {
        let what = if record.qos == 0 { "sent" } else { "acknowledged" };
        faults.push(format!("messages not {what}: {} of {}", units::grouped(open), units::grouped(total)));
    }
    let unanswered: u64 = record.publishers.iter().map(|publisher| publisher.unanswered).sum();
    faults.extend(words(&[(unfinished, UNFINISHED), (unanswered, "requests not answered")]));
    // what a broker that drops has not delivered by the abort says nothing
    let checked = || record.listeners.iter().filter(|listener| listener.ended_by != ListenEnd::Drops);
    let missing: u64 = checked().flat_map(|listener| &listener.clients).map(|c| c.missing.len() as u64).sum();
    let never_seen = checked().map(|listener| listener.never_seen_count).sum();
    let duplicated: u64 = record.listeners.iter().map(|listener| listener.duplicated).sum();
    // all listeners of a broker read the same counter
    let dropped = record.listeners.iter().filter_map(|listener| listener.dropped).max().unwrap_or(0);
    faults.extend(words(&[
        (missing, "messages missing"),
        (never_seen, "clients never seen"),
        (if record.qos == 2 { duplicated } else { 0 }, "duplicates at QoS 2"),
        (dropped, "messages dropped by the broker"),
    ]));
    faults.extend(incomplete(&record.listeners));
    faults
}

/// Listeners that ended before everything they expected was in, by what ended them.
fn incomplete(listeners: &[Listener]) -> Vec<String> {
    let ends = [
        (ListenEnd::Quiet, "nothing more arrived"),
        (ListenEnd::Duration, "time was up"),
        (ListenEnd::Drops, "the broker drops messages"),
        (ListenEnd::Interrupted, "interrupted"),
        (ListenEnd::Failed, "the connection was lost"),
    ];
    let mut faults = Vec::new();
    for (end, why) in ends {
        let expecting = |listener: &&Listener| {
            listener.ended_by == end && (listener.expected_messages.is_some() || end == ListenEnd::Drops)
        };
        let count = listeners.iter().filter(expecting).count() as u64;
        if count > 0 {
            faults.push(format!("subscribers that ended incomplete: {} ({why})", units::grouped(count)));
        }
    }
    faults
}
