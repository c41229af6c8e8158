//! A finished [`Record`] for people and for machines: the summary on one screen, and JSON.

use crate::record::Record;

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
