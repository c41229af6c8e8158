//! Distributions of latencies as CSV.

use std::borrow::Cow;
use std::fmt::Write;

use super::{ReportError, Run, fleet};
use crate::record::{Finished, Latency};
use crate::stats::{Histogram, HistogramError};

const HEADER: &str = "latency,quantile,value_ns,count\n";

/// Named latencies, one after the other.
pub fn csv<'a>(
    latencies: impl Iterator<Item = (&'static str, &'a Latency)>,
) -> Result<String, HistogramError> {
    let mut text = HEADER.to_owned();
    for (name, latency) in latencies {
        write(&mut text, name, &latency.histogram()?);
    }
    Ok(text)
}

/// The lines of one histogram.
pub fn write(text: &mut String, name: &str, histogram: &Histogram) {
    let (total, mut below) = (histogram.count() as f64, 0);
    for (value_ns, count) in histogram.values() {
        below += count;
        let quantile = below as f64 / total;
        writeln!(text, "{name},{quantile},{value_ns},{count}").expect("a String takes everything");
    }
}

/// What all runs together are called.
const TOTAL: &str = "total";

/// The distributions of each run, and of all.
pub fn csv_of_runs(runs: &[Run]) -> Result<String, ReportError> {
    let mut text = format!("run,{HEADER}");
    let mut total: Vec<(&'static str, Histogram)> = Vec::new();
    for run in runs {
        let blame = |source| ReportError { label: run.label.clone(), source };
        for (name, histogram) in histograms(&run.record).map_err(blame)? {
            write(&mut text, &format!("{},{name}", quoted(&run.label)), &histogram);
            match total.iter_mut().find(|(known, _)| *known == name) {
                Some((_, all)) => all.merge(&histogram),
                None => total.push((name, histogram)),
            }
        }
    }
    for (name, histogram) in &total {
        write(&mut text, &format!("{TOTAL},{name}"), histogram);
    }
    Ok(text)
}

/// Every latency that has samples by its name in the record; `flight_time` is of all subscribers together.
pub fn histograms(record: &Finished) -> Result<Vec<(&'static str, Histogram)>, HistogramError> {
    let (latencies, of_fleet) = match record {
        Finished::Run(record) => (&record.latencies, None),
        Finished::Fleet(record) => (&record.latencies, Some(record)),
    };
    let named = latencies.iter().map(|(name, latency)| Ok::<_, HistogramError>((name, latency.histogram()?)));
    let mut all = named.collect::<Result<Vec<_>, _>>()?;
    if let Some(record) = of_fleet {
        all.push(("flight_time", fleet::flight_times(record)?));
    }
    all.retain(|(_, histogram)| !histogram.is_empty());
    Ok(all)
}

/// A cell of a CSV (RFC 4180). A run that is named as all of them is told apart by its quotes alone, so that
/// name is given a number.
pub fn quoted(label: &str) -> Cow<'_, str> {
    match label {
        TOTAL => Cow::Borrowed("total (1)"),
        label if label.contains([',', '"', '\n', '\r']) => {
            Cow::Owned(format!("\"{}\"", label.replace('"', "\"\"")))
        }
        label => Cow::Borrowed(label),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::MILLISECOND;
    use crate::record::fleet_samples::self_check;
    use crate::record::samples::{broken, clean, ramp};
    use std::collections::BTreeMap;

    fn run(label: &str, record: Finished) -> Run {
        Run { label: label.to_owned(), record }
    }

    /// checklist 76: the total is of the merged histograms of all runs, of either kind.
    #[test]
    fn the_csv_of_runs_has_each_and_their_total() {
        let runs = [
            run("one", Finished::Run(Box::new(clean()))),
            run("two", Finished::Run(Box::new(broken()))),
            run("three", Finished::Fleet(Box::new(self_check()))),
        ];
        let text = csv_of_runs(&runs).expect("ours");
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("run,latency,quantile,value_ns,count"));
        let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        let mut last: BTreeMap<(&str, &str), (f64, u64)> = BTreeMap::new();
        for line in lines {
            let cells: Vec<&str> = line.split(',').collect();
            let key = (cells[0], cells[1]);
            *counts.entry(key).or_default() += cells[4].parse::<u64>().expect("a count");
            let row = (cells[2].parse().expect("a quantile"), cells[3].parse().expect("nanoseconds"));
            let before = last.insert(key, row).unwrap_or((0.0, 0));
            assert!(before.0 < row.0 && before.1 < row.1, "{line}");
        }
        assert!(last.values().all(|row| row.0 == 1.0));
        assert_eq!(counts[&("total", "ack_response")], 400_400);
        assert_eq!(counts[&("total", "flight_response")], 200_040);
        assert_eq!(counts[&("total", "flight_time")], counts[&("three", "flight_time")]);
        let mut merged = clean().latencies.ack_response.histogram().expect("ours");
        for other in [broken().latencies, self_check().latencies] {
            merged.merge(&other.ack_response.histogram().expect("ours"));
        }
        assert_eq!(last[&("total", "ack_response")].1, merged.max());
    }

    #[test]
    fn labels_stay_in_their_cell() {
        assert_eq!(quoted("mosquitto 2.0"), "mosquitto 2.0");
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(quoted("total"), "total (1)");
    }

    #[test]
    fn a_damaged_record_is_blamed_by_name() {
        let mut record = clean();
        record.latencies.connack.hdr_v2_base64 = "HISTE".to_owned();
        let error = csv_of_runs(&[run("bad", Finished::Run(Box::new(record)))]).expect_err("damaged");
        assert!(error.to_string().starts_with("bad: the histogram is not"), "{error}");
    }

    #[test]
    fn a_known_distribution() {
        let mut histogram = Histogram::default();
        for (nanos, times) in [(1_000, 5), (2_000, 4), (3_000_000, 1)] {
            histogram.record_n(nanos, times);
        }
        let latency = Latency::from(&histogram);
        let rows = "x,0.5,1000,5\nx,0.9,2000,4\nx,1,3000319,1\n";
        assert_eq!(csv([("x", &latency)].into_iter()).expect("ours"), format!("{HEADER}{rows}"));
        assert_eq!(csv([("x", &Latency::default())].into_iter()).expect("ours"), HEADER);
    }

    /// checklist 76: the CSV of a record holds every sample of every latency, ascending to the quantile 1.
    #[test]
    fn every_sample_is_in_the_csv() {
        let record = clean();
        let text = crate::report::latency_csv(&record).expect("ours");
        for (name, latency) in record.latencies.iter() {
            let rows = text.lines().filter_map(|line| line.strip_prefix(&format!("{name},")));
            let rows: Vec<Vec<f64>> = rows
                .map(|row| row.split(',').map(|cell| cell.parse().expect("a number")).collect())
                .collect();
            assert_eq!(rows.iter().map(|row| row[2] as u64).sum::<u64>(), latency.count, "{name}");
            assert!(rows.is_sorted_by(|a, b| a[0] < b[0] && a[1] < b[1]), "{name}");
            let p99 = rows.iter().find(|row| row[0] >= 0.99).map(|row| row[1] as u64);
            assert_eq!(p99, latency.p99_ns, "{name}");
            assert_eq!(rows.last().map(|row| row[0]), (latency.count > 0).then_some(1.0), "{name}");
        }
    }

    #[test]
    fn a_histogram_that_is_none_is_an_error() {
        let mut latency = Latency::from(&ramp(10, 1, MILLISECOND));
        latency.hdr_v2_base64 = "HISTE".to_owned();
        assert!(csv([("x", &latency)].into_iter()).is_err());
    }
}
