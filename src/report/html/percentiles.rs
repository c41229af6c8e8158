//! Latency by percentile, from the histograms.

use super::axis::Axis;
use super::chart::{Chart, Line, Mark};
use super::look::Look;
use super::markup::Markup;
use crate::record::Latency;
use crate::report::digest::Digest;
use crate::stats::{Histogram, HistogramError};
use crate::units;

/// Latencies that are drawn: those that a user of the broker notices.
const DRAWN: [&str; 4] = ["ack response", "flight response", "flight time", "round trip"];
/// The percentiles that are named: quantile and text.
const NAMED: [(f64, &str); 5] =
    [(0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %")];
/// Points of a curve for each nine of the percentile.
const FINENESS: f64 = 25.0;

/// One latency of one run.
pub struct Curve {
    latency: &'static str,
    /// Nines of the percentile (see [`nines`]) and nanoseconds, ascending.
    points: Vec<(f64, f64)>,
    /// The same for the percentiles that are named.
    marks: Vec<Mark>,
}

/// Where a quantile lies on a logarithmic axis of what is beyond it: 1 for 90 %, 2 for 99 %, 3 for 99.9 %.
fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile).log10()
}

/// The curves of a run.
pub fn curves(run: &Digest) -> Result<Vec<Curve>, HistogramError> {
    let drawn = run.latencies.iter().filter(|(name, _)| DRAWN.contains(name));
    drawn.map(|(name, latency)| Ok(curve(name, &Latency::histogram(latency)?))).collect()
}

fn curve(latency: &'static str, histogram: &Histogram) -> Curve {
    let point = |quantile: f64| Some((nines(quantile), histogram.supported_quantile(quantile)? as f64));
    let (first, last) = (nines(NAMED[0].0), nines(NAMED[NAMED.len() - 1].0));
    let steps = ((last - first) * FINENESS).ceil();
    let between = (0..=steps as u32).map(|at| first + (last - first) * f64::from(at) / steps);
    let mut points: Vec<(f64, f64)> = between.filter_map(|nines| point(1.0 - 10f64.powf(-nines))).collect();
    let mut marks = Vec::new();
    for (quantile, text) in NAMED {
        if let Some((nines, nanos)) = point(quantile) {
            points.push((nines, nanos));
            let text = format!("{text} within {}", units::latency(nanos as u64));
            marks.push(Mark { x: nines, y: nanos, text });
        }
    }
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    Curve { latency, points, marks }
}

/// A chart for each latency that some run has enough samples of, one line for each run.
pub fn write(runs: &[Digest], curves: &[Vec<Curve>], page: &mut Markup) {
    let drawn = DRAWN.map(|name| (name, lines(name, runs, curves)));
    if drawn.iter().all(|(_, lines)| lines.is_empty()) {
        return;
    }
    page.leaf("h3", &[], "Latency by percentile");
    page.element("div", &[("class", "charts")], |charts| {
        for (name, lines) in drawn {
            if !lines.is_empty() {
                chart(name, lines).draw(charts);
            }
        }
    });
    let note = "Both axes are logarithmic. A line ends where fewer than six samples lie beyond.";
    page.leaf("p", &[("class", "quiet")], note);
}

fn lines(latency: &str, runs: &[Digest], curves: &[Vec<Curve>]) -> Vec<Line> {
    let mut lines = Vec::new();
    for (at, (run, curves)) in runs.iter().zip(curves).enumerate() {
        let curve = curves.iter().find(|curve| curve.latency == latency && !curve.points.is_empty());
        lines.extend(curve.map(|curve| Line {
            name: run.label.to_owned(),
            look: Look(at),
            faint: run.void,
            stretches: vec![curve.points.clone()],
            marks: curve.marks.clone(),
        }));
    }
    lines
}

fn chart(title: &str, lines: Vec<Line>) -> Chart<'_> {
    let points = || lines.iter().flat_map(|line| line.stretches.iter().flatten());
    let furthest = points().map(|point| point.0).fold(0.0, f64::max);
    let least = points().map(|point| point.1).fold(f64::INFINITY, f64::min);
    let most = points().map(|point| point.1).fold(0.0, f64::max);
    let ticks = NAMED.map(|(quantile, _)| nines(quantile));
    // up to the first name that no line goes beyond
    let shown = ticks.iter().take_while(|tick| **tick < furthest - 1e-9).count() + 1;
    Chart {
        title,
        note: "",
        x: Axis::between(ticks[..shown.clamp(2, ticks.len())].to_vec()),
        x_title: "percentile",
        x_text: &|at| {
            let named = NAMED.iter().find(|(quantile, _)| (nines(*quantile) - at).abs() < 1e-9);
            named.map_or(String::new(), |(_, text)| (*text).to_owned())
        },
        y: Axis::logarithmic(least, most),
        y_text: |nanos| units::latency(nanos.round() as u64),
        shaded: None,
        guides: Vec::new(),
        zooms: false,
        lines,
    }
}
