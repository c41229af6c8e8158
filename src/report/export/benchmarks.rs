//! Figures for those that keep a history of them: Bencher, and github-action-benchmark.

use crate::record::{Figure, Reading};
use crate::report::digest::{ACK, Digest, FLIGHT};
use serde_json::{Map, Value, json};

/// A figure of a run, by the name that bounds know it by.
struct Measure {
    name: String,
    unit: &'static str,
    value: f64,
    more_is_better: bool,
}

/// Rates, tails, losses and what it cost the broker; none of what was not measured.
fn measures(run: &Digest) -> Vec<Measure> {
    let rates = run.rates.iter().map(|rate| Measure {
        name: rate.what.to_owned(),
        unit: "messages/s",
        value: rate.achieved_per_s,
        more_is_better: true,
    });
    let figures = [("p50", Figure::P50), ("p99", Figure::P99), ("p99.9", Figure::P999)];
    let latencies = [("flight", &FLIGHT[..]), ("ack", &ACK[..])].into_iter().flat_map(|(what, names)| {
        let latency = run.latency(names);
        figures.into_iter().filter_map(move |(figure, at)| match latency?.read(at) {
            Reading::Is(ns) => Some((format!("{what} {figure}"), ns)),
            Reading::Never | Reading::Unknown => None,
        })
    });
    let latencies =
        latencies.map(|(name, ns)| Measure { name, unit: "ns", value: ns as f64, more_is_better: false });
    let lost = run.lost.map(|lost| Measure {
        name: "lost".to_owned(),
        unit: "messages",
        value: lost as f64,
        more_is_better: false,
    });
    let cost = |name: &str, unit, value: u64| Measure {
        name: name.to_owned(),
        unit,
        value: value as f64,
        more_is_better: false,
    };
    let cpu = run.cpu_per_message().map(|ns| cost("broker-cpu-per-message", "ns", ns));
    let memory =
        run.memory_per_connection().map(|bytes| cost("broker-memory-per-connection", "bytes", bytes));
    rates.chain(latencies).chain(lost).chain(cpu).chain(memory).collect()
}

/// Bencher Metric Format: a benchmark for each run, a measure for each figure.
pub fn bencher(runs: &[Digest]) -> String {
    let benchmarks = runs.iter().map(|run| {
        // Measures are known by a slug.
        let slug = |name: &str| name.replace([' ', '.'], "-");
        let measures = measures(run).into_iter();
        let measures = measures.map(|one| (slug(&one.name), json!({ "value": one.value })));
        (run.label.to_owned(), Value::Object(measures.collect()))
    });
    pretty(&Value::Object(benchmarks.collect::<Map<_, _>>()))
}

/// What github-action-benchmark takes as `customBiggerIsBetter`, or else as `customSmallerIsBetter`: it has them in a
/// file each.
pub fn github_benchmark(runs: &[Digest], bigger: bool) -> String {
    let entries = runs.iter().flat_map(|run| {
        let some = measures(run).into_iter().filter(move |one| one.more_is_better == bigger);
        some.map(|one| {
            let name = format!("{}: {}", run.label, one.name);
            json!({ "name": name, "unit": one.unit, "value": one.value, "extra": run.headline })
        })
    });
    pretty(&Value::Array(entries.collect()))
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("plain data") + "\n"
}
