//! A finished [`Record`] for people and for machines: the summary on one screen, and JSON.

use crate::record::Record;
use crate::stats::HistogramError;

mod distribution;
pub mod fleet;
mod page;
mod summary;
#[cfg(test)]
mod tests;

/// Widest summary, in columns: longer lines are harder to read than shorter ones.
const WIDEST: usize = 100;
/// Narrowest summary, in columns.
const NARROWEST: usize = 32;

/// The summary: the verdict first, then what was asked, rates, latencies, delivery, connections, the
/// generator's health and warnings.
///
/// Lines have at most `width` columns (taken as 32 to 100) and end in a newline. From 80 columns on they fit
/// a screen of 40 lines, unless nearly everything went wrong at once. `color` adds ANSI escape sequences,
/// which take no columns.
pub fn text(record: &Record, width: usize, color: bool) -> String {
    let mut page = page::Page::new(width.clamp(NARROWEST, WIDEST), color);
    summary::write(record, &mut page);
    page.into_text()
}

/// The record as indented JSON, ending in a newline. [`Record::from_json`] reads it back.
pub fn json(record: &Record) -> String {
    let mut text = serde_json::to_string_pretty(record).expect("a record is plain data with string keys");
    text.push('\n');
    text
}

/// The distribution of every latency of the record as CSV with a header: `latency,quantile,value_ns,count`.
///
/// One line for each value that was counted (3 significant digits), ascending: how many samples had it, and the
/// share (0 to 1) of samples that were not above it. Latencies without samples have no lines.
///
/// # Errors
/// When a histogram of the record is not what it should be.
pub fn latency_csv(record: &Record) -> Result<String, HistogramError> {
    distribution::csv(record.latencies.iter())
}
