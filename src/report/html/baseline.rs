//! Sides of runs against a base: ratios, and between which the truth is where several runs say how they scatter.

use super::markup::Markup;
use super::{NOTHING, table};
use crate::record::Figure;
use crate::report::Side;
use crate::report::digest::{ACK, Digest, FLIGHT};
use crate::stats::inference::{ALPHA, Change, mean};
use crate::units;

type Metric = (&'static str, fn(&Digest) -> Option<f64>, fn(f64) -> String);

/// What is compared: all of it is above 0.
const METRICS: [Metric; 11] = [
    ("sent", |run| run.achieved("sent"), units::rate),
    ("acked", |run| run.achieved("acked"), units::rate),
    ("delivered", |run| run.achieved("delivered"), units::rate),
    ("ack p50", |run| latency(run, &ACK, Figure::P50), time),
    ("ack p99", |run| latency(run, &ACK, Figure::P99), time),
    ("ack p99.9", |run| latency(run, &ACK, Figure::P999), time),
    ("flight p50", |run| latency(run, &FLIGHT, Figure::P50), time),
    ("flight p99", |run| latency(run, &FLIGHT, Figure::P99), time),
    ("flight p99.9", |run| latency(run, &FLIGHT, Figure::P999), time),
    ("broker's CPU per message", |run| run.cpu_per_message().map(|ns| ns as f64), time),
    (
        "broker's memory per connection",
        |run| run.memory_per_connection().map(|bytes| bytes as f64),
        |bytes| units::bytes(bytes.round() as u64),
    ),
];

fn time(nanos: f64) -> String {
    units::latency(nanos.round() as u64)
}

fn latency(run: &Digest, names: &[&str], figure: Figure) -> Option<f64> {
    run.latency(names)?.read(figure).nanos().map(|nanos| nanos as f64)
}

/// A row for each metric that the base has. Nothing where no side was chosen as the base.
pub fn write(runs: &[Digest], sides: &[Side], page: &mut Markup) {
    let Some((base, others)) = sides.split_first() else { return };
    page.leaf("h2", &[], &format!("Against {}", base.name));
    let headers: Vec<&str> =
        ["", base.name.as_str()].into_iter().chain(others.iter().map(|side| &*side.name)).collect();
    let rows = METRICS.iter().filter_map(|metric| Some((metric, values(metric, runs, base)?)));
    let rows: Vec<(&Metric, Vec<f64>)> = rows.collect();
    table("Against the base", &headers, page, |table| {
        for (metric, of_base) in &rows {
            table.element("tr", &[], |row| {
                row.leaf("th", &[("scope", "row")], metric.0);
                row.leaf("td", &[], &mean(of_base).map_or(NOTHING.to_owned(), metric.2));
                for side in others {
                    row.element("td", &[], |cell| {
                        ratio(of_base, values(metric, runs, side).as_deref(), cell);
                    });
                }
            });
        }
    });
    notes(runs, sides, page);
}

/// One value for each run that says something of its broker; `None` where one of them has none.
fn values(metric: &Metric, runs: &[Digest], side: &Side) -> Option<Vec<f64>> {
    let sound = runs[side.runs.clone()].iter().filter(|run| !run.void);
    let values: Option<Vec<f64>> = sound.map(metric.1).collect();
    values.filter(|values| !values.is_empty() && values.iter().all(|value| *value > 0.0))
}

/// `x 0.91`, and under it where it is.
fn ratio(base: &[f64], new: Option<&[f64]>, cell: &mut Markup) {
    let Some((was, is)) = mean(base).zip(new.and_then(mean)) else { return cell.text(NOTHING) };
    cell.leaf("b", &[], &times(is / was));
    if let Some(change) = new.and_then(|new| Change::between(base, new)) {
        let (low, high) = change.interval(ALPHA);
        let between = format!("{} to {}", times(low), times(high));
        cell.leaf("span", &[("class", "under quiet")], &between);
    }
}

fn times(ratio: f64) -> String {
    match ratio {
        ratio if ratio >= 100.0 => format!("\u{d7}{ratio:.0}"),
        ratio if ratio >= 10.0 => format!("\u{d7}{ratio:.1}"),
        ratio => format!("\u{d7}{ratio:.2}"),
    }
}

fn notes(runs: &[Digest], sides: &[Side], page: &mut Markup) {
    let counts = sides.iter().map(|side| {
        let void = runs[side.runs.clone()].iter().filter(|run| run.void).count();
        let left_out =
            if void > 0 { format!(" ({void} left out: the generator was the limit)") } else { String::new() };
        match side.runs.len() {
            1 => format!("{}: 1 run{left_out}", side.name),
            count => format!("{}: {count} runs{left_out}", side.name),
        }
    });
    let text = format!(
        "Ratios of geometric means. Under each: the truth is below the first and above the second with a chance of {:.0} % \
         each; one run a side says nothing of how runs scatter. {}.",
        ALPHA * 100.0,
        counts.collect::<Vec<_>>().join(", ")
    );
    page.leaf("p", &[("class", "quiet")], &text);
}
