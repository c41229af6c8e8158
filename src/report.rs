//! A finished [`Record`] for people and for machines: the summary on one screen, and JSON; and several
//! finished runs beside each other.

use crate::record::{CapacityRecord, Finished, Record, ScenarioRecord};
use crate::stats::HistogramError;
use digest::Digest;
use std::ops::Range;

mod capacity;
mod compare;
mod cost;
mod digest;
mod distribution;
mod export;
pub mod fleet;
mod html;
mod metrics;
mod page;
mod refusals;
mod summary;
#[cfg(test)]
mod tests;

pub use capacity::{json as capacity_json, schema as capacity_schema, text as capacity_text};

/// Widest summary, in columns: longer lines are harder to read than shorter ones.
const WIDEST: usize = 100;
/// Narrowest summary, in columns.
const NARROWEST: usize = 32;
/// Widest comparison, in columns: a table of that many figures is read along its rows.
const WIDEST_TABLE: usize = 160;

/// A finished run and what it is called in a report.
#[derive(Clone, PartialEq, Debug)]
pub struct Run {
    pub label: String,
    pub record: Finished,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[error("{label}: {source}")]
pub struct ReportError {
    /// Of the run that is to blame.
    label: String,
    source: HistogramError,
}

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

/// The JSON Schema (draft 2020-12) of what [`json`] writes.
pub fn schema() -> &'static str {
    include_str!("report/run.schema.json")
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

/// The distributions of several runs as CSV with a header: `run,latency,quantile,value_ns,count`, the lines of
/// each run as those of [`latency_csv`] behind its label, and at last those of all runs together, their
/// histograms merged, as the run `total`.
///
/// # Errors
/// When a histogram of a record is not what it should be.
pub fn runs_csv(runs: &[Run]) -> Result<String, ReportError> {
    distribution::csv_of_runs(runs)
}

/// Several runs as a table with one row for each: what was achieved in messages per second, latencies, losses,
/// verdict. Lines have at most `width` columns (taken as 32 to 160), unless labels are longer; what does not
/// fit is left out, the least telling columns first.
///
/// # Errors
/// When a histogram of a record is not what it should be.
pub fn comparison(runs: &[Run], width: usize, color: bool) -> Result<String, ReportError> {
    let mut page = page::Page::new(width.clamp(NARROWEST, WIDEST_TABLE), color);
    compare::write(&digests(runs)?, &mut page);
    Ok(page.into_text())
}

/// Runs in a row that are one side of a comparison.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Side {
    /// What it is called.
    pub name: String,
    /// Which of the runs.
    pub runs: Range<usize>,
}

/// Several runs as a page of HTML that needs nothing else: no font, no image, no script from anywhere, and it is read
/// without its own. Charts are SVG within it. It has light and dark colours, prints, and holds the records that it was
/// made of. The first of the sides, if there are any, is what the others are held against.
///
/// # Errors
/// When a histogram of a record is not what it should be.
pub fn html(runs: &[Run], sides: &[Side]) -> Result<String, ReportError> {
    html::page(runs, sides)
}

/// Searches for a capacity, each with what it is called, as such a page: the answer, the curve of latency over load, and
/// how it was searched.
pub fn capacity_html(searches: &[(String, CapacityRecord)]) -> String {
    html::capacity(searches)
}

/// A scenario, as its `summary` says, as such a page, and below it its searches and runs, unless there are many: broker against broker,
/// and a chart over each variable.
///
/// # Errors
/// When a histogram of a record is not what it should be.
pub fn scenario_html(
    scenario: &ScenarioRecord,
    summary: &str,
    runs: &[Run],
    searches: &[(String, CapacityRecord)],
) -> Result<String, ReportError> {
    html::of_scenario(scenario, summary, runs, searches)
}

/// The runs as JUnit XML: a suite for each, with a case for the run itself, one for each of its bounds, and what was
/// found. What was void is skipped, and then the run itself is an error.
pub fn junit(runs: &[Run]) -> String {
    export::junit(runs)
}

/// The runs as Markdown: a table, and the verdict and the bounds of each.
///
/// # Errors
/// When a histogram of a record is not what it should be.
pub fn markdown(runs: &[Run]) -> Result<String, ReportError> {
    Ok(export::markdown(
        &digests(runs)?.into_iter().zip(runs.iter().map(|run| &run.record)).collect::<Vec<_>>(),
    ))
}

/// Rates, tails and losses of the runs as Bencher Metric Format, a benchmark for each run.
///
/// # Errors
/// When a histogram of a record is not what it should be.
pub fn bencher(runs: &[Run]) -> Result<String, ReportError> {
    Ok(export::bencher(&digests(runs)?))
}

/// The same for github-action-benchmark: those figures of which more is better, or the others.
///
/// # Errors
/// When a histogram of a record is not what it should be.
pub fn github_benchmark(runs: &[Run], bigger: bool) -> Result<String, ReportError> {
    Ok(export::github_benchmark(&digests(runs)?, bigger))
}

/// The seconds of the runs as CSV with a header.
pub fn series_csv(runs: &[Run]) -> String {
    export::series_csv(runs)
}

/// Every latency of the runs as HdrHistogram's percentile distribution (`.hgrm`), by the names of run and latency.
///
/// # Errors
/// When a histogram of a record is not what it should be.
pub fn hgrms(runs: &[Run]) -> Result<Vec<(String, String)>, ReportError> {
    let mut all = Vec::new();
    for run in runs {
        let blame = |source| ReportError { label: run.label.clone(), source };
        let histograms = distribution::histograms(&run.record).map_err(blame)?;
        let named = |(name, histogram)| (format!("{}-{name}", run.label), export::hgrm(&histogram));
        all.extend(histograms.into_iter().map(named));
    }
    Ok(all)
}

fn digests(runs: &[Run]) -> Result<Vec<Digest<'_>>, ReportError> {
    let blame = |run: &Run, source| ReportError { label: run.label.clone(), source };
    runs.iter().map(|run| Digest::of(run).map_err(|error| blame(run, error))).collect()
}
