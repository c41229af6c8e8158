//! Time series: what happened in each second.

use super::axis::Axis;
use super::chart::{Chart, Line, Mark};
use super::look::Look;
use super::markup::Markup;
use crate::report::digest::Digest;
use crate::report::digest::series::Moment;
use crate::units;

/// What charts of the same runs have in common, so that they can be read one under the other.
#[derive(Clone, Copy)]
pub struct Stage {
    /// End of the longest run in seconds.
    until_s: f64,
    /// A stretch of time to be shaded, in seconds.
    shaded_s: Option<(f64, f64)>,
}

impl Stage {
    pub fn of_all(runs: &[Digest]) -> Stage {
        let ends = runs.iter().filter_map(|run| run.series.last()).map(|moment| moment.to_s);
        Stage { until_s: ends.fold(0.0, f64::max), shaded_s: None }
    }

    /// Of one run: its measure phase is shaded.
    pub fn of(run: &Digest) -> Stage {
        let until_s = run.series.last().map_or(0.0, |moment| moment.to_s);
        Stage { until_s, shaded_s: run.measured_s }
    }
}

/// A figure of each second.
#[derive(Clone, Copy)]
pub struct Measure {
    pub name: &'static str,
    of: fn(&Moment) -> Option<f64>,
    text: fn(f64) -> String,
}

pub const SENT: Measure = Measure { name: "sent", of: |m| m.rate(|done| done.sent), text: units::rate };
pub const ACKED: Measure = Measure { name: "acked", of: |m| m.rate(|done| done.acked), text: units::rate };
pub const DELIVERED: Measure =
    Measure { name: "delivered", of: |m| m.rate(|done| done.delivered), text: units::rate };
pub const ERRORS: Measure =
    Measure { name: "connections lost or failed", of: |m| Some(m.per_s(m.errors)), text: units::rate };
pub const ACK_P99: Measure =
    Measure { name: "ack p99", of: |m| m.ack_p99_ns.map(|nanos| nanos as f64), text: latency };
pub const FLIGHT_P99: Measure =
    Measure { name: "flight p99", of: |m| m.flight_p99_ns.map(|nanos| nanos as f64), text: latency };

pub const BROKER_CPU: Measure =
    Measure { name: "broker's CPU", of: |m| m.broker_cpu_ns.map(|nanos| m.per_s(nanos) / 1e9), text: cpus };
pub const BROKER_MEMORY: Measure =
    Measure { name: "broker's memory", of: |m| m.broker_bytes.map(|bytes| bytes as f64), text: bytes };

/// CPU time over time.
fn cpus(share: f64) -> String {
    format!("{share:.2} CPUs")
}

fn bytes(bytes: f64) -> String {
    units::bytes(bytes.round() as u64)
}

fn latency(nanos: f64) -> String {
    units::latency(nanos.round() as u64)
}

impl Measure {
    /// Whether a run has anything of it.
    pub fn is_in(&self, run: &Digest) -> bool {
        run.series.iter().filter_map(self.of).any(|value| value > 0.0)
    }

    /// Its line for a run. Seconds without a value interrupt it, but for those that are a part of their phase: what was
    /// done in them is no rate, and no dip either.
    pub fn line(&self, run: &Digest, name: &str, look: usize) -> Line {
        let whole = run.series.iter().filter(|moment| !self.is_rate() || moment.is_whole());
        let values: Vec<Option<(f64, f64)>> =
            whole.map(|moment| Some((moment.to_s, (self.of)(moment)?))).collect();
        let stretches = values.split(Option::is_none).filter(|stretch| !stretch.is_empty());
        let stretches = stretches.map(|stretch| stretch.iter().flatten().copied().collect()).collect();
        let marks = values.iter().flatten().map(|(x, y)| Mark {
            x: *x,
            y: *y,
            text: format!("{} at {x:.0} s", (self.text)(*y)),
        });
        let marks = marks.collect();
        Line { name: name.to_owned(), look: Look(look), faint: run.void, stretches, marks }
    }

    fn is_rate(&self) -> bool {
        [SENT.name, ACKED.name, DELIVERED.name].contains(&self.name)
    }
}

/// A chart of rates, from 0 on.
pub fn rates(title: &str, lines: Vec<Line>, stage: Stage, page: &mut Markup) {
    let most = values(&lines).fold(0.0, f64::max);
    draw(title, "per second", Axis::linear(most), units::rate, lines, stage, page);
}

/// Charts of what the broker used: its CPU, and its memory, each from 0 on.
pub fn broker(cpu: Vec<Line>, memory: Vec<Line>, stage: Stage, page: &mut Markup) {
    for (measure, note, lines) in [
        (BROKER_CPU, "CPU time per second", cpu),
        (BROKER_MEMORY, "resident, at the end of each second", memory),
    ] {
        if !lines.is_empty() {
            let most = values(&lines).fold(0.0, f64::max);
            draw(measure.name, note, Axis::linear(most), measure.text, lines, stage, page);
        }
    }
}

/// A chart of latencies, on a logarithmic axis.
pub fn latencies(title: &str, lines: Vec<Line>, stage: Stage, page: &mut Markup) {
    let (least, most) = (values(&lines).fold(f64::INFINITY, f64::min), values(&lines).fold(0.0, f64::max));
    draw(title, "of each second, logarithmic", Axis::logarithmic(least, most), latency, lines, stage, page);
}

fn values(lines: &[Line]) -> impl Iterator<Item = f64> {
    lines.iter().flat_map(|line| line.stretches.iter().flatten()).map(|point| point.1)
}

fn draw(
    title: &str,
    note: &str,
    y: Axis,
    y_text: fn(f64) -> String,
    lines: Vec<Line>,
    stage: Stage,
    page: &mut Markup,
) {
    Chart {
        title,
        note,
        x: Axis::linear(stage.until_s),
        x_title: "seconds since the start of the run",
        x_text: &|seconds| format!("{}", (seconds * 1000.0).round() / 1000.0),
        y,
        y_text,
        shaded: stage.shaded_s,
        guides: Vec::new(),
        zooms: true,
        lines,
    }
    .draw(page);
}
