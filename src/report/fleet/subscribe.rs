//! The subscribers as malaria prints them.

use std::fmt::Display;

use super::figures::ListenerFigures;
use super::lines::{Lines, counted};
use super::{LISTED, NOTHING, PERCENTILES};
use crate::record::{FleetRecord, Heard, Latency, ListenEnd, Listener, Reading};
use crate::units;

/// Every subscriber (the first 20, then a count), and all together when there are several.
pub fn write(record: &FleetRecord, lines: &mut Lines) {
    let listeners = &record.listeners;
    for listener in listeners.iter().take(LISTED) {
        one(listener, lines);
    }
    lines.more_of(listeners.len(), "subscribers");
    if listeners.len() > 1 {
        let figures = ListenerFigures::of_all(record);
        // without its histograms a record still has everything else to say
        let flight_time = record.flight_time().unwrap_or_default();
        counts(&figures, lines);
        flight(&figures, &flight_time, lines);
    }
}

fn one(listener: &Listener, lines: &mut Lines) {
    let figures = ListenerFigures::of(listener);
    counts(&figures, lines);
    if listener.ended_by == ListenEnd::Drops {
        lines.line("Test aborted, unable to gather duplicate/missing stats");
    } else {
        missing(listener, lines);
        duplicated(listener, lines);
    }
    flight(&figures, &listener.flight_time, lines);
    ours(listener, lines);
}

fn counts(figures: &ListenerFigures, lines: &mut Lines) {
    let total = figures.time_total.map_or(NOTHING.to_owned(), |seconds| format!("{seconds:.2} secs"));
    let rate = figures.msg_per_sec.map_or(NOTHING.to_owned(), |rate| (rate as u64).to_string());
    let each = figures.ms_per_msg.map_or(NOTHING.to_owned(), |ms| format!("{ms:.6}"));
    lines.line(&format!("Clientid: {}", figures.clientid));
    lines.line(&format!("Total clients tracked: {}", figures.client_count));
    lines.line(&format!("Total messages: {}", figures.msg_count));
    lines.line(&format!("Total time: {total}"));
    lines.line(&format!("Messages per second: {rate} ({each} ms per message)"));
}

/// Clients with missing messages, and those that were never heard.
fn missing(listener: &Listener, lines: &mut Lines) {
    let lossy = || listener.clients.iter().filter(|heard| !heard.missing.is_empty());
    for Heard { client_id, missing, .. } in lossy().take(LISTED) {
        let ids = list(missing.iter(), missing.len() as u64);
        lines.line(&format!("Messages missing for client {client_id}: {ids}"));
    }
    lines.more_of(lossy().count(), "clients with missing messages");
    if listener.never_seen_count > 0 {
        let count = units::grouped(listener.never_seen_count);
        let ids = match listener.never_seen.as_slice() {
            [] => String::new(),
            ids => format!(" {}", list(ids.iter(), listener.never_seen_count)),
        };
        lines.line(&format!("Clients never seen: {count}{ids}"));
    }
}

fn duplicated(listener: &Listener, lines: &mut Lines) {
    let ids = listener
        .clients
        .iter()
        .flat_map(|heard| heard.duplicate_ids.iter().map(|id| format!("MSG({}:{id})", heard.client_id)));
    let count = listener.clients.iter().map(|heard| heard.duplicate_ids.len() as u64).sum();
    let arrivals = match listener.duplicated {
        0 => String::new(),
        arrivals => format!(" ({})", counted(arrivals, "arrival")),
    };
    lines.line(&format!("Messages duplicated: {}{arrivals}", list(ids, count)));
}

/// The first of `count` things, as Python writes a list.
fn list(things: impl Iterator<Item = impl Display>, count: u64) -> String {
    let shown: Vec<String> = things.take(LISTED).map(|thing| thing.to_string()).collect();
    let more = match count.saturating_sub(shown.len() as u64) {
        0 => String::new(),
        more => format!(" and {} more", units::grouped(more)),
    };
    format!("[{}]{more}", shown.join(", "))
}

fn flight(figures: &ListenerFigures, flight_time: &Latency, lines: &mut Lines) {
    let ms = |seconds: f64| format!("{:.2} ms", seconds * 1e3);
    let rows = [
        ("mean:", figures.flight_time_mean),
        ("stddev:", figures.flight_time_stddev),
        ("min:", figures.flight_time_min),
        ("max:", figures.flight_time_max),
    ];
    if rows.iter().all(|(_, seconds)| seconds.is_none()) {
        return lines.line("Flight time:        none: no message had a time stamp");
    }
    for (name, seconds) in rows {
        lines.line(&format!("Flight time {name:<7} {}", seconds.map_or(NOTHING.to_owned(), ms)));
    }
    for (name, figure, needed) in PERCENTILES {
        let value = match flight_time.read(figure) {
            Reading::Is(nanos) => ms(nanos as f64 / 1e9),
            Reading::Never => Reading::Never.to_string(),
            Reading::Unknown => format!("{NOTHING} (takes {needed} messages)"),
        };
        lines.line(&format!("Flight time {:<7} {value}", format!("{name}:")));
    }
}

/// What malaria does not tell.
fn ours(listener: &Listener, lines: &mut Lines) {
    if listener.flight_negative > 0 {
        let messages = counted(listener.flight_negative, "message");
        lines.line(&format!("Flight time negative: {messages}, counted as 0: the clocks disagree"));
    }
    if listener.foreign > 0 {
        let count = units::grouped(listener.foreign);
        lines.line(&format!("Messages foreign: {count}, whose topic or payload could not be read"));
    }
    if let Some(dropped) = listener.dropped {
        lines.line(&format!("Messages dropped by the broker: {}", units::grouped(dropped)));
    }
    if let Some(stored) = listener.stored {
        lines.line(&format!("Messages stored by the broker: {}", units::grouped(stored)));
    }
    lines.line(&format!("Ended because: {}", end(listener.ended_by)));
}

fn end(ended_by: ListenEnd) -> &'static str {
    match ended_by {
        ListenEnd::Complete => "every message expected has arrived",
        ListenEnd::Quiet => "no message arrived for as long as was allowed",
        ListenEnd::Drops => "the broker drops messages",
        ListenEnd::Duration => "its time was up",
        ListenEnd::Interrupted => "interrupted",
        ListenEnd::Failed => "the connection could not be kept",
    }
}
