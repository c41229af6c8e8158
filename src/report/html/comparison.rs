//! Runs beside each other.

use super::chart::{fill, legend, swatch};
use super::markup::Markup;
use super::percentiles::{self, Curve};
use super::seconds::{self, Measure, Stage};
use super::{NOTHING, class, read, table};
use crate::record::Figure;
use crate::report::digest::{ACK, Digest, FLIGHT, Rate};
use crate::units;

/// Units of the width of a bar.
const BAR: f64 = 1000.0;
/// Most characters of a name that stays on one line.
const SHORT: usize = 20;

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

fn overview(runs: &[Digest], page: &mut Markup) {
    let costs = runs.iter().any(|run| run.cost.is_some());
    let mut headers = vec!["run", "verdict", "sent", "acked", "delivered"];
    headers.extend(["ack p50", "ack p99", "flight p50", "flight p99", "lost"]);
    if costs {
        headers.extend(["broker's CPU per message", "memory per connection"]);
    }
    headers.push("broker");
    table(&headers, page, |rows| {
        for (style, run) in runs.iter().enumerate() {
            rows.element("tr", &[], |row| {
                // a name is on one line, unless it would push everything else out of sight
                let width = if run.label.chars().count() > SHORT { "long" } else { "short" };
                row.element("th", &[("scope", "row"), ("class", width)], |label| {
                    swatch(style, label);
                    label.text(run.label);
                });
                row.element("td", &[("class", "left")], |cell| {
                    cell.leaf("span", &[("class", class(run.tint))], &run.verdict);
                });
                let costs = costs.then(|| broker_costs(run)).into_iter().flatten();
                figures(run).into_iter().chain(costs).for_each(|figure| row.leaf("td", &[], &figure));
                row.leaf("td", &[("class", "left")], &run.broker);
            });
        }
    });
}

fn figures(run: &Digest) -> [String; 8] {
    let achieved = |what| run.achieved(what).map_or(NOTHING.to_owned(), units::rate);
    let (ack, flight) = (run.latency(&ACK), run.latency(&FLIGHT));
    [
        achieved("sent"),
        achieved("acked"),
        achieved("delivered"),
        read(ack, Figure::P50),
        read(ack, Figure::P99),
        read(flight, Figure::P50),
        read(flight, Figure::P99),
        run.lost.map_or(NOTHING.to_owned(), units::grouped),
    ]
}

fn broker_costs(run: &Digest) -> [String; 2] {
    [
        run.cpu_per_message().map_or(NOTHING.to_owned(), units::latency),
        run.memory_per_connection().map_or(NOTHING.to_owned(), units::bytes),
    ]
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
    page.element("div", &[("class", "bars")], |bars| {
        for (style, run) in runs.iter().enumerate() {
            for (at, rate) in run.rates.iter().enumerate() {
                bars.leaf("span", &[("class", "name")], if at == 0 { run.label } else { "" });
                bars.leaf("span", &[("class", "quiet")], rate.what);
                bar(rate, most, style, bars);
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

fn bar(rate: &Rate, most: f64, style: usize, page: &mut Markup) {
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
        let fill = fill(style);
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
        with.map(|(style, run)| measure.line(run, run.label, style)).collect::<Vec<_>>()
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
    let silent: Vec<_> = silent.map(|(style, run)| (run.label, style)).collect();
    if !silent.is_empty() {
        page.leaf("p", &[("class", "quiet")], "Without a time series:");
        legend(silent.into_iter(), page);
    }
}
