//! A finished [`FleetRecord`] for people and for machines, in the words, lines and keys of mqtt-malaria, with
//! what is ours below and beside them.
//!
//! The figures are those that malaria's users know, without its errors: the aggregate is over the messages of
//! all clients (malaria averaged the clients' figures, so that its "min" was not the minimum), rates and times
//! are not rounded to the interval of a poll, and what was lost shows in the success rate.

use crate::record::{Figure, FleetRecord};
use crate::stats::{Histogram, HistogramError};

use super::distribution;
use lines::Lines;

mod figures;
mod health;
mod json;
mod lines;
mod publish;
mod subscribe;
#[cfg(test)]
mod tests;

/// Most clients, ids, failures or warnings that a text lists; JSON has all of them.
const LISTED: usize = 20;
/// What stands where nothing was measured.
const NOTHING: &str = "-";

/// Percentiles beside malaria's figures: name, value, and the samples it takes to say anything about it.
const PERCENTILES: [(&str, Figure, &str); 4] = [
    ("p50", Figure::P50, "12"),
    ("p90", Figure::P90, "60"),
    ("p99", Figure::P99, "600"),
    ("p99.9", Figure::P999, "6,000"),
];

/// What `publish` prints at its end: a block for each client (the first 20, then a count), the aggregate over
/// all of them, what listeners of the same fleet heard, times from the schedule, health, warnings and the result.
pub fn publish_text(record: &FleetRecord) -> String {
    let mut lines = Lines::default();
    publish::write(record, &mut lines);
    subscribe::write(record, &mut lines);
    health::write(record, &mut lines);
    lines.into_text()
}

/// What `subscribe` prints at its end: a block for each subscriber (the first 20, then a count), the aggregate
/// when there are several, health, warnings and the result.
pub fn subscribe_text(record: &FleetRecord) -> String {
    let mut lines = Lines::default();
    subscribe::write(record, &mut lines);
    health::write(record, &mut lines);
    lines.into_text()
}

/// What `publish --json` writes: indented, ending in a newline, as [`publish_schema`] says.
pub fn publish_json(record: &FleetRecord) -> String {
    json::publish(record)
}

/// What `subscribe --json` writes: indented, ending in a newline, as [`subscribe_schema`] says.
pub fn subscribe_json(record: &FleetRecord) -> String {
    json::subscribe(record)
}

/// The JSON Schema (draft 2020-12) of [`publish_json`].
pub fn publish_schema() -> &'static str {
    include_str!("fleet/publish.schema.json")
}

/// The JSON Schema (draft 2020-12) of [`subscribe_json`].
pub fn subscribe_schema() -> &'static str {
    include_str!("fleet/subscribe.schema.json")
}

/// The distribution of every latency of the fleet as CSV, as [`latency_csv`](super::latency_csv) of a record.
/// `flight_time` (of all subscribers together) comes last.
///
/// # Errors
/// When a histogram of the record is not what it should be.
pub fn latency_csv(record: &FleetRecord) -> Result<String, HistogramError> {
    let mut text = distribution::csv(record.latencies.iter())?;
    distribution::write(&mut text, "flight_time", &flight_times(record)?);
    Ok(text)
}

/// Flight times of all subscribers together.
pub(super) fn flight_times(record: &FleetRecord) -> Result<Histogram, HistogramError> {
    record.flight_time()?.histogram()
}
