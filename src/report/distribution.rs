//! Distributions of latencies as CSV.

use std::fmt::Write;

use crate::record::Latency;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::MILLISECOND;
    use crate::record::samples::{clean, ramp};

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
            assert_eq!(rows.last().map(|row| row[0]), Some(1.0), "{name}");
        }
    }

    #[test]
    fn a_histogram_that_is_none_is_an_error() {
        let mut latency = Latency::from(&ramp(10, 1, MILLISECOND));
        latency.hdr_v2_base64 = "HISTE".to_owned();
        assert!(csv([("x", &latency)].into_iter()).is_err());
    }
}
