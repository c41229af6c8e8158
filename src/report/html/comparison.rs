//! Runs beside each other.

use super::look::{Look, legend, swatch};
use super::markup::Markup;
use super::percentiles::{self, Curve};
use super::seconds::{self, Measure, Stage};
use super::{NOTHING, read, verdict};
use crate::record::Figure;
use crate::report::digest::{ACK, Digest, FLIGHT, Rate};
use crate::units;

/// Units of the width of a bar.
const BAR: f64 = 1000.0;

/// What is said below tables with figures that are no broker's.
pub const VOID: &str =
    "In italics: the generator was the limit. These figures are its own, not the broker's.";

pub fn write(runs: &[Digest], curves: &[Vec<Curve>], page: &mut Markup) {
    if runs.len() > 1 {
        page.leaf("h2", &[], "Comparison");
        overview(runs, page);
        machines(runs, page);
    }
    throughput(runs, page);
    percentiles::write(runs, curves, page);
    if runs.len() > 1 {
        over_time(runs, page);
    }
}

type CellOf = fn(&Digest) -> Option<String>;

/// Columns, with what stands above those that belong together.
const COLUMNS: [(&str, &[(&str, CellOf)]); 6] = [
    (
        "per second",
        &[
            ("sent", |run| run.achieved("sent").map(units::rate)),
            ("acked", |run| run.achieved("acked").map(units::rate)),
            ("delivered", |run| run.achieved("delivered").map(units::rate)),
        ],
    ),
    (
        "ack response",
        &[
            ("p50", |run| latency(run, &ACK, Figure::P50)),
            ("p99", |run| latency(run, &ACK, Figure::P99)),
            ("p99.9", |run| latency(run, &ACK, Figure::P999)),
            ("max", |run| latency(run, &ACK, Figure::Max)),
        ],
    ),
    (
        "flight",
        &[
            ("p50", |run| latency(run, &FLIGHT, Figure::P50)),
            ("p99", |run| latency(run, &FLIGHT, Figure::P99)),
            ("p99.9", |run| latency(run, &FLIGHT, Figure::P999)),
            ("max", |run| latency(run, &FLIGHT, Figure::Max)),
        ],
    ),
    (
        "messages",
        &[("lost", |run| run.lost.map(units::grouped)), ("shed", |run| run.shed.map(units::grouped))],
    ),
    ("generator", &[("busiest CPU", |run| run.generator_busy().map(units::percent))]),
    (
        "broker",
        &[
            ("CPU per message", |run| run.cpu_per_message().map(units::latency)),
            ("memory per connection", |run| run.memory_per_connection().map(units::bytes)),
        ],
    ),
];

fn latency(run: &Digest, names: &[&str], figure: Figure) -> Option<String> {
    run.latency(names).map(|latency| read(Some(latency), figure))
}

/// A row for each run, without the columns in which none has anything.
fn overview(runs: &[Digest], page: &mut Markup) {
    let told = |(_, of): &&(&str, CellOf)| runs.iter().any(|run| of(run).is_some());
    let groups = COLUMNS.map(|(group, columns)| (group, columns.iter().filter(told).collect::<Vec<_>>()));
    let groups: Vec<_> = groups.into_iter().filter(|(_, columns)| !columns.is_empty()).collect();
    page.element(
        "div",
        &[("class", "scroll"), ("tabindex", "0"), ("role", "region"), ("aria-label", "Comparison")],
        |scroll| {
            scroll.element("table", &[("class", "overview")], |table| {
                table.element("thead", &[], |head| heads(&groups, head));
                table.element("tbody", &[], |rows| {
                    for (at, run) in runs.iter().enumerate() {
                        let class = if run.void { "void" } else { "" };
                        rows.element("tr", &[("class", class)], |row| {
                            name(run, at, row);
                            for (_, of) in groups.iter().flat_map(|(_, columns)| columns) {
                                row.leaf("td", &[], &of(run).unwrap_or_else(|| NOTHING.to_owned()));
                            }
                        });
                    }
                });
            });
        },
    );
    if runs.iter().any(|run| run.void) {
        page.leaf("p", &[("class", "quiet")], VOID);
    }
}

fn heads(groups: &[(&str, Vec<&(&str, CellOf)>)], head: &mut Markup) {
    let spans = groups.iter().map(|(group, columns)| (*group, columns.len()));
    let columns = groups.iter().flat_map(|(_, columns)| columns).map(|(header, _)| *header);
    double_heads("run", spans, columns, head);
}

/// Two rows: names of as many columns as they say, and below them those of the columns.
fn double_heads<'a>(
    first: &str,
    groups: impl Iterator<Item = (&'a str, usize)>,
    columns: impl Iterator<Item = &'a str>,
    head: &mut Markup,
) {
    head.element("tr", &[], |row| {
        row.leaf("th", &[("rowspan", "2"), ("scope", "col")], first);
        for (group, span) in groups {
            let span = span.to_string();
            row.leaf("th", &[("class", "group"), ("colspan", &span), ("scope", "colgroup")], group);
        }
    });
    head.element("tr", &[], |row| columns.for_each(|header| row.leaf("th", &[("scope", "col")], header)));
}

/// The same columns under each name.
pub fn grouped_heads(first: &str, groups: &[&str], columns: &[&str], head: &mut Markup) {
    let all = groups.iter().flat_map(|_| columns.iter().copied());
    double_heads(first, groups.iter().map(|group| (*group, columns.len())), all, head);
}

fn name(run: &Digest, at: usize, row: &mut Markup) {
    row.element("th", &[("scope", "row")], |name| {
        swatch(Look(at), name);
        name.text(run.label);
        name.element("span", &[("class", "under")], |under| {
            verdict::badge(&run.verdict, run.tint, run.void, under);
        });
    });
}

/// Says so when the runs are not from one machine: their figures then differ for more than one reason.
fn machines(runs: &[Digest], page: &mut Markup) {
    let machine = |run: &Digest| {
        let machine = run.machine;
        (machine.host.clone(), machine.cpu_model.clone(), machine.cpus, machine.kernel.clone())
    };
    let same = runs.windows(2).all(|pair| machine(&pair[0]) == machine(&pair[1]));
    if !same {
        let text = "The runs are not all from the same machine, or not under the same kernel: see each run.";
        page.leaf("p", &[("class", "warning")], text);
    }
}
/// A bar for each rate of each run, all on one scale.
fn throughput(runs: &[Digest], page: &mut Markup) {
    let all = runs.iter().flat_map(|run| &run.rates);
    let most = all.map(|rate| rate.achieved_per_s.max(rate.offered_per_s.unwrap_or(0.0))).fold(0.0, f64::max);
    if most <= 0.0 {
        return;
    }
    page.leaf("h3", &[], "Throughput");
    let class = if runs.len() > 1 { "bars" } else { "bars alone" };
    page.element("div", &[("class", class)], |bars| {
        for (number, run) in runs.iter().enumerate() {
            for (at, rate) in run.rates.iter().enumerate() {
                if runs.len() > 1 {
                    bars.leaf("span", &[("class", "name")], if at == 0 { run.label } else { "" });
                }
                bars.leaf("span", &[("class", "quiet")], rate.what);
                bar(rate, most, Look(number), bars);
                bars.leaf("span", &[("class", "figures")], &achieved_of_offered(rate));
            }
        }
    });
    let note = "Filled: achieved. Outlined: offered or expected. All bars have one scale.";
    page.leaf("p", &[("class", "quiet")], note);
}

fn achieved_of_offered(rate: &Rate) -> String {
    let achieved = units::rate(rate.achieved_per_s);
    match rate.offered_per_s.filter(|offered| *offered > 0.0) {
        Some(offered) => {
            let how = if rate.what == "delivered" { "expected" } else { "offered" };
            format!("{achieved} of {} {how}", units::rate(offered))
        }
        None => achieved,
    }
}

fn bar(rate: &Rate, most: f64, look: Look, page: &mut Markup) {
    let width = |per_s: f64| format!("{:.1}", per_s / most * BAR);
    let view = format!("0 0 {BAR} 16");
    let text = format!("{}: {}", rate.what, achieved_of_offered(rate));
    let svg =
        [("viewBox", view.as_str()), ("preserveAspectRatio", "none"), ("role", "img"), ("aria-label", &text)];
    page.element("svg", &svg, |svg| {
        let offered = rate.offered_per_s.map(width);
        if let Some(width) = &offered {
            svg.void("rect", &[("class", "offered"), ("y", "1"), ("width", width), ("height", "14")]);
        }
        let fill = look.fill();
        let achieved = width(rate.achieved_per_s);
        svg.void("rect", &[("class", &fill), ("y", "4"), ("width", &achieved), ("height", "8")]);
    });
}

/// What the runs did in each second, one line for each run.
fn over_time(runs: &[Digest], page: &mut Markup) {
    let stage = Stage::of_all(runs);
    page.leaf("h3", &[], "Over time");
    let lines = |measure: Measure| {
        let with = runs.iter().enumerate().filter(|(_, run)| measure.is_in(run));
        with.map(|(look, run)| measure.line(run, run.label, look)).collect::<Vec<_>>()
    };
    page.element("div", &[("class", "charts")], |charts| {
        for measure in [seconds::SENT, seconds::ACKED, seconds::DELIVERED, seconds::ERRORS] {
            let lines = lines(measure);
            if !lines.is_empty() {
                seconds::rates(measure.name, lines, stage, charts);
            }
        }
        for measure in [seconds::ACK_P99, seconds::FLIGHT_P99] {
            let lines = lines(measure);
            if !lines.is_empty() {
                seconds::latencies(measure.name, lines, stage, charts);
            }
        }
        seconds::broker(lines(seconds::BROKER_CPU), lines(seconds::BROKER_MEMORY), stage, charts);
    });
    let silent = runs.iter().enumerate().filter(|(_, run)| run.series.is_empty());
    let silent: Vec<_> = silent.map(|(at, run)| (run.label, Look(at), true)).collect();
    if !silent.is_empty() {
        page.leaf("p", &[("class", "quiet")], "Without a time series:");
        legend(silent.into_iter(), page);
    }
}
