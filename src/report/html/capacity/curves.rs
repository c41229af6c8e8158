//! What trials found, as charts.

use crate::clock::Nanos;
use crate::record::{CapacityRecord, Grade, Over, Purpose, TrialRecord};
use crate::report::capacity::{grade, shown};
use crate::report::html::axis::Axis;
use crate::report::html::chart::{At, Chart, Guide, Line, Mark};
use crate::report::html::look::Look;
use crate::report::html::markup::Markup;
use crate::units::{self, Span};

type Of = fn(&TrialRecord) -> Option<f64>;

const P99: (&str, Of) = ("p99", |trial| trial.p99_ns.map(|ns| ns as f64));
const LATENCIES: [(&str, Of); 3] = [
    ("p50", |trial| trial.p50_ns.map(|ns| ns as f64)),
    P99,
    ("p99.9", |trial| trial.p999_ns.map(|ns| ns as f64)),
];

pub fn write(record: &CapacityRecord, page: &mut Markup) {
    let trials = told(record);
    page.element("div", &[("class", "charts")], |charts| {
        if !trials.is_empty() {
            latency(record, &trials, charts);
            done(record, &trials, charts);
            cost(record, &trials, charts);
        }
        if !record.trials.is_empty() {
            course(record, charts);
        }
    });
}

/// The 99th percentiles of several searches, of those over the same as the first.
pub fn beside(searches: &[(String, CapacityRecord)], page: &mut Markup) {
    let Some((_, first)) = searches.first() else { return };
    let alike = searches.iter().filter(|(_, record)| record.search.over == first.search.over);
    let line = |(at, (label, record)): (usize, &(String, CapacityRecord))| {
        line(record, label, Look(at), &told(record), P99.1, units_latency)
    };
    let lines: Vec<Line> = alike.enumerate().map(line).filter(|line| !line.marks.is_empty()).collect();
    if !lines.is_empty() {
        over_load(first, "99th percentile of latency", lines, Vec::new(), page);
    }
}

/// The trials of the curve, or the last at each load: those that say something.
fn told(record: &CapacityRecord) -> Vec<&TrialRecord> {
    shown(record).into_iter().filter(|trial| trial.grade != Grade::Void).collect()
}

fn units_latency(nanos: f64) -> String {
    units::latency(nanos.round() as u64)
}

/// The knee: latency over load, with what was found and what was asked.
fn latency(record: &CapacityRecord, trials: &[&TrialRecord], page: &mut Markup) {
    let lines = LATENCIES.iter().enumerate();
    let lines = lines.map(|(at, (name, of))| line(record, name, Look(at), trials, *of, units_latency));
    let lines: Vec<Line> = lines.filter(|line| !line.marks.is_empty()).collect();
    let limits = record.results.iter().flat_map(|result| &result.goal).filter_map(|bound| limit(bound));
    let limits = limits.map(|(bound, ns)| Guide { at: At::Y(ns as f64), text: bound.to_owned() });
    over_load(record, "Latency over load", lines, limits.collect(), page);
}

/// A chart of latencies over load; `limits` lie across it.
fn over_load(record: &CapacityRecord, name: &str, lines: Vec<Line>, limits: Vec<Guide>, page: &mut Markup) {
    let asked = limits.iter().map(|guide| match guide.at {
        At::X(value) | At::Y(value) => value,
    });
    let values: Vec<f64> =
        lines.iter().flat_map(|line| &line.marks).map(|mark| mark.y).chain(asked).collect();
    let y = Axis::logarithmic(
        values.iter().copied().fold(f64::INFINITY, f64::min),
        values.iter().copied().fold(0.0, f64::max),
    );
    let guides = capacities(record, At::X).into_iter().chain(limits).collect();
    draw(record, name, "logarithmic", (y, units_latency), (lines, guides), page);
}

/// What was done of what was offered.
fn done(record: &CapacityRecord, trials: &[&TrialRecord], page: &mut Markup) {
    let offered = line(record, "offered", Look(1), trials, |trial| Some(trial.offered), number);
    let done = line(record, "done", Look(0), trials, |trial| Some(trial.done), number);
    let most = trials.iter().map(|trial| trial.offered.max(trial.done)).fold(0.0, f64::max);
    let lines = vec![offered, done];
    let guides = capacities(record, At::X);
    draw(record, "Done of what was offered", "", (Axis::linear(most), number), (lines, guides), page);
}

/// What a message cost the broker, where it was watched.
fn cost(record: &CapacityRecord, trials: &[&TrialRecord], page: &mut Markup) {
    let of: Of = |trial| trial.broker_cpu_per_message_ns.map(|ns| ns as f64);
    let line = line(record, "CPU", Look(0), trials, of, units_latency);
    if !line.marks.is_empty() {
        let most = line.marks.iter().map(|mark| mark.y).fold(0.0, f64::max);
        let guides = capacities(record, At::X);
        let y = (Axis::linear(most), units_latency as fn(f64) -> String);
        draw(record, "Broker's CPU per message", "", y, (vec![line], guides), page);
    }
}

fn number(value: f64) -> String {
    units::count(value.round() as u64)
}

/// A line over the loads of trials.
fn line(
    record: &CapacityRecord,
    name: &str,
    look: Look,
    trials: &[&TrialRecord],
    of: Of,
    text: fn(f64) -> String,
) -> Line {
    let mark = |trial: &&TrialRecord| {
        let (x, y) = (trial.offered, of(trial)?);
        let (offered, grade) = (record.search.over.amount(x), grade(trial.grade));
        Some(Mark { x, y, text: format!("{} at {offered}, {grade}", text(y)) })
    };
    let values: Vec<Option<Mark>> = trials.iter().map(mark).collect();
    let stretches = values.split(Option::is_none).filter(|stretch| !stretch.is_empty());
    let stretches =
        stretches.map(|stretch| stretch.iter().flatten().map(|mark| (mark.x, mark.y)).collect()).collect();
    Line {
        name: name.to_owned(),
        look,
        faint: false,
        stretches,
        marks: values.into_iter().flatten().collect(),
    }
}

fn draw(
    record: &CapacityRecord,
    title: &str,
    note: &str,
    (y, y_text): (Axis, fn(f64) -> String),
    (lines, guides): (Vec<Line>, Vec<Guide>),
    page: &mut Markup,
) {
    let most = lines.iter().flat_map(|line| &line.marks).map(|mark| mark.x).fold(0.0, f64::max);
    let x_title = name(record.search.over);
    let x = Axis::linear(most);
    Chart { title, note, x, x_title, x_text: &number, y, y_text, shaded: None, guides, zooms: false, lines }
        .draw(page);
}

/// What was found for each goal.
fn capacities(record: &CapacityRecord, at: fn(f64) -> At) -> Vec<Guide> {
    let found = record.results.iter().filter_map(|result| Some((result.capacity?, result.regular)));
    let guide = |(found, regular): (f64, bool)| {
        let least = if regular { "" } else { "at least " };
        Guide { at: at(found), text: format!("{least}{}", record.search.over.amount(found)) }
    };
    let mut guides: Vec<Guide> = found.map(guide).collect();
    guides.dedup_by(|one, other| one.text == other.text);
    guides
}

/// What was tried when, and what came of it: the bounds closing in.
fn course(record: &CapacityRecord, page: &mut Markup) {
    let of = |grade: Grade| record.trials.iter().filter(move |trial| trial.grade == grade);
    let seconds = |ns: Nanos| ns as f64 / 1e9;
    let mark = |trial: &TrialRecord| {
        let (x, y) = (seconds(trial.start_ns), trial.offered);
        let why = if trial.reason.is_empty() { String::new() } else { format!(": {}", trial.reason) };
        let text =
            format!("{} at {x:.0} s, for {}{why}", record.search.over.amount(y), purpose(trial.purpose));
        Mark { x, y, text }
    };
    // Good and bad are as far apart as looks can be.
    let looks =
        [(Grade::Good, Look(2)), (Grade::Mixed, Look(12)), (Grade::Bad, Look(9)), (Grade::Void, Look(7))];
    let lines = looks.into_iter().map(|(of_grade, look)| Line {
        name: grade(of_grade).to_owned(),
        look,
        faint: false,
        stretches: Vec::new(),
        marks: of(of_grade).map(mark).collect(),
    });
    let lines = lines.filter(|line| !line.marks.is_empty()).collect();
    let end = record.trials.iter().map(|trial| trial.start_ns + trial.span_ns).max().unwrap_or(0);
    let loads = || record.trials.iter().map(|trial| trial.offered);
    let (least, most) = (loads().fold(f64::INFINITY, f64::min), loads().fold(0.0, f64::max));
    Chart {
        title: "Trials",
        note: "what was offered, and whether it kept the goals",
        x: Axis::linear(seconds(end)),
        x_title: "seconds since the start of the search",
        x_text: &|seconds| format!("{}", (seconds * 1000.0).round() / 1000.0),
        y: Axis::logarithmic(least, most),
        y_text: number,
        shaded: None,
        guides: capacities(record, At::Y),
        zooms: true,
        lines,
    }
    .draw(page);
}

/// What the axis of loads is called.
fn name(over: Over) -> &'static str {
    match over {
        Over::Rate => "offered, messages a second",
        Over::Clients => "clients",
        Over::ConnectRate => "offered, connects a second",
        Over::FanOut => "subscribers of each message",
    }
}

/// What a trial was for.
pub fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Search => "search",
        Purpose::Confirm => "confirm",
        Purpose::Curve => "curve",
    }
}

/// The latency that a bound asks for: of `flight p99 < 50ms` 50 ms; `None` for what is no percentile of one.
fn limit(bound: &str) -> Option<(&str, Nanos)> {
    let words: Vec<&str> = bound.split_whitespace().collect();
    let [.., figure, _, limit] = words[..] else { return None };
    let is_percentile =
        figure.strip_prefix('p').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let limit: Span = limit.parse().ok().filter(|_| is_percentile)?;
    Some((bound, limit.nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::MILLISECOND;

    #[test]
    fn bounds_on_percentiles_are_lines_of_the_chart() {
        assert_eq!(limit("flight p99 < 50ms"), Some(("flight p99 < 50ms", 50 * MILLISECOND)));
        assert_eq!(
            limit("ack response p99.9 <= 1s"),
            Some(("ack response p99.9 <= 1s", 1_000 * MILLISECOND))
        );
        for other in ["lost == 0", "broker-cpu-per-message < 5us", "acked > 99%", "flight max < 1s", ""] {
            assert_eq!(limit(other), None, "{other}");
        }
    }
}
