//! Percentile distributions as HdrHistogram's tools write and plot them.

use crate::stats::Histogram;
use std::fmt::Write;

/// Nanoseconds of a millisecond, which the values are in.
const MS: f64 = 1e6;

/// The distribution in milliseconds: a line for each value that was counted, with the share that is not above it.
pub fn hgrm(histogram: &Histogram) -> String {
    let mut text =
        format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let total = histogram.count() as f64;
    let (mut below, mut squares) = (0, 0.0);
    let mean = histogram.mean();
    for (ns, count) in histogram.values() {
        below += count;
        squares += count as f64 * (ns as f64 - mean).powi(2);
        let share = below as f64 / total;
        write!(text, "{:>12.6} {share:>2.12} {below:>10}", ns as f64 / MS)
            .expect("a String takes everything");
        // Of all of them it would be infinite.
        let inverse = if share < 1.0 { format!(" {:>14.2}", 1.0 / (1.0 - share)) } else { String::new() };
        text += &(inverse + "\n");
    }
    let deviation = (squares / total.max(1.0)).sqrt() / MS;
    let (mean, max) = (mean / MS, histogram.max() as f64 / MS);
    text += &format!("#[Mean    = {mean:>12.6}, StdDeviation   = {deviation:>12.6}]\n");
    text += &format!("#[Max     = {max:>12.6}, Total count    = {:>12}]\n", histogram.count());
    text
}
