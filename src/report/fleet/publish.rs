//! The publishers as malaria prints them.

use super::figures::PublisherFigures;
use super::lines::{Lines, counted};
use super::{LISTED, NOTHING, PERCENTILES};
use crate::record::{FleetRecord, Reading};
use crate::units;

pub fn write(record: &FleetRecord, lines: &mut Lines) {
    let publishers = &record.publishers;
    for publisher in publishers.iter().take(LISTED) {
        let figures = PublisherFigures::of(publisher);
        success(&figures, lines);
        timing(&figures, record.qos, lines);
        pace(&figures, lines);
    }
    lines.more_of(publishers.len(), "clients");
    let all = PublisherFigures::of_all(record);
    success(&all, lines);
    timing(&all, record.qos, lines);
    percentiles(record, lines);
    pace(&all, lines);
    let unfinished: u64 = publishers.iter().map(|publisher| publisher.unfinished).sum();
    if unfinished > 0 {
        let why = "written to a connection that ended before the kernel had taken them";
        lines.line(&format!("Messages unfinished   {}: {why}", units::grouped(unfinished)));
    }
}

/// A share that is not full never reads as 100 %.
fn success(figures: &PublisherFigures, lines: &mut Lines) {
    let PublisherFigures { clientid, count_ok, count_total, .. } = figures;
    let rate = match count_total {
        0 => NOTHING.to_owned(),
        _ => units::part(*count_ok, *count_total).replace(' ', ""),
    };
    lines.line(&format!("Clientid: {clientid}"));
    lines.line(&format!("Message succes rate: {rate} ({count_ok}/{count_total} messages)"));
}

fn timing(figures: &PublisherFigures, qos: u8, lines: &mut Lines) {
    if qos == 0 {
        let why = "none: QoS 0 has no acknowledgement, a message counts once it is sent";
        return lines.line(&format!("Message timing        {why}"));
    }
    let rows = [
        ("mean", figures.time_mean),
        ("stddev", figures.time_stddev),
        ("min", figures.time_min),
        ("max", figures.time_max),
    ];
    for (name, ms) in rows {
        lines.line(&format!("Message timing {name:<6} {}", milliseconds(ms)));
    }
}

/// Percentiles of the messages of all clients.
fn percentiles(record: &FleetRecord, lines: &mut Lines) {
    for (name, figure, needed) in PERCENTILES.into_iter().filter(|_| record.qos > 0) {
        let value = match record.latencies.ack_service.read(figure) {
            Reading::Is(ns) => milliseconds(Some(ns as f64 / 1e6)),
            Reading::Never => Reading::Never.to_string(),
            Reading::Unknown => format!("{NOTHING} (takes {needed} messages)"),
        };
        lines.line(&format!("Message timing {name:<6} {value}"));
    }
}

fn pace(figures: &PublisherFigures, lines: &mut Lines) {
    let rate = figures.msgs_per_sec.map_or(NOTHING.to_owned(), |rate| format!("{rate:.2}"));
    let total = figures.time_total.map_or(NOTHING.to_owned(), |seconds| format!("{seconds:.2} secs"));
    lines.line(&format!("Messages per second   {rate}"));
    lines.line(&format!("Total time            {total}"));
}

fn milliseconds(ms: Option<f64>) -> String {
    ms.map_or(NOTHING.to_owned(), |ms| format!("{ms:.2} ms"))
}

/// Messages made, taken by the kernel, and received by the subscribers of the same fleet.
pub fn self_check(record: &FleetRecord, lines: &mut Lines) {
    let generated: u64 = record.publishers.iter().map(|publisher| publisher.generated).sum();
    let published: u64 = record.publishers.iter().map(|publisher| publisher.sent).sum();
    let readable: u64 = record.listeners.iter().map(|listener| listener.readable()).sum();
    let again: u64 = record.listeners.iter().map(|listener| listener.duplicated).sum();
    let mut received = readable.saturating_sub(again).to_string();
    if record.listeners.len() > 1 {
        received.push_str(&format!(" by {}", counted(record.listeners.len() as u64, "subscriber")));
    }
    if again > 0 {
        received.push_str(&format!(" (and {} again)", counted(again, "arrival")));
    }
    lines.line(&format!("Messages Generated: {generated}"));
    lines.line(&format!("Messages Published: {published}"));
    lines.line(&format!("Messages Received: {received}"));
}
