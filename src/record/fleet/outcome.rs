//! The exit code of a fleet.

use std::collections::BTreeMap;

use super::{FleetRecord, ListenEnd, Listener};
use crate::record::Outcome;
use crate::record::exit::{Course, UNCONFIRMED, UNFINISHED, words};
use crate::units;

impl Outcome {
    /// Of a fleet's record where everything else is filled in. An internal fault and an interrupt go before
    /// everything; of the others the lowest code that applies wins:
    ///
    /// - *environment*: the run ended by it.
    /// - *broker*: the run ended by it; a client never connected, was lost for good or failed; a subscription
    ///   failed; the broker violated the protocol.
    /// - *delivery*: a message was not acknowledged (at QoS 0: not sent, or unfinished); a listener misses messages or clients,
    ///   has duplicates at QoS 2, or ended before everything it expected was in; the broker dropped messages.
    /// - *generator-limited*: the [`verdict`](FleetRecord::verdict) is.
    /// - *bounds*: a bound of `--require` did not hold.
    /// - *clean*.
    pub fn of_fleet(record: &FleetRecord) -> Outcome {
        let course = Course {
            ended: record.ended,
            partial_reason: record.partial_reason.as_deref(),
            verdict: (record.verdict, &record.verdict_reasons),
            bounds: &record.bounds,
        };
        course.outcome(broker_faults(record), delivery_faults(record))
    }
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
    faults.extend(words(&[
        (unfinished, UNFINISHED),
        (record.counts.unconfirmed, UNCONFIRMED),
        (unanswered, "requests not answered"),
    ]));
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
