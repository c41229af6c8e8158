//! Markdown: what a pull request is told.

use crate::record::{BoundResult, BoundState, Figure, Finished};
use crate::report::digest::{ACK, Digest, FLIGHT};
use crate::units;
use std::fmt::Write;

/// See [`report::markdown`](crate::report::markdown).
pub fn markdown(runs: &[(Digest, &Finished)]) -> String {
    // Costs have columns where somebody watched.
    let costs = runs.iter().any(|(run, _)| run.cost.is_some());
    let mut text = String::from(
        "| run | result | sent | acked | delivered | ack p50 | ack p99 | flight p50 | flight p99 | lost |",
    );
    text += if costs { " CPU/msg | mem/conn |" } else { "" };
    text += "\n| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |";
    text += if costs { " ---: | ---: |\n" } else { "\n" };
    for (run, _) in runs {
        text += &row(run, costs);
    }
    for (run, record) in runs {
        let bounds = match record {
            Finished::Run(record) => &record.bounds,
            Finished::Fleet(record) => &record.bounds,
        };
        write(&mut text, run, bounds);
    }
    text
}

fn row(run: &Digest, costs: bool) -> String {
    let rate = |what| run.achieved(what).map_or_else(dash, units::rate);
    let latency = |names: &[&str], figure: Figure| {
        run.latency(names).map_or_else(dash, |latency| latency.read(figure).to_string())
    };
    let cells = [
        escaped(run.label),
        escaped(&run.verdict),
        rate("sent"),
        rate("acked"),
        rate("delivered"),
        latency(&ACK, Figure::P50),
        latency(&ACK, Figure::P99),
        latency(&FLIGHT, Figure::P50),
        latency(&FLIGHT, Figure::P99),
        run.lost.map_or_else(dash, units::grouped),
    ];
    let each = [
        run.cpu_per_message().map_or_else(dash, units::latency),
        run.memory_per_connection().map_or_else(dash, units::bytes),
    ];
    let cells: Vec<String> = cells.into_iter().chain(each.into_iter().filter(|_| costs)).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// The verdict of a run with its reasons, and its bounds.
fn write(text: &mut String, run: &Digest, bounds: &[BoundResult]) {
    let reasons: Vec<String> = run.reasons.iter().map(|reason| escaped(reason)).collect();
    writeln!(text, "\n**{}**: {}: {}", escaped(run.label), escaped(&run.headline), reasons.join("; "))
        .expect("a String takes everything");
    if bounds.is_empty() {
        return;
    }
    *text += "\n| bound | found | result |\n| --- | ---: | --- |\n";
    for bound in bounds {
        let reason = bound.reason.as_ref().map_or(String::new(), |reason| format!(" ({reason})"));
        let result = match bound.result {
            BoundState::Held => "held",
            BoundState::Broken | BoundState::NotMeasured => "**BROKEN**",
            BoundState::Void => "void",
        };
        let found = escaped(&(bound.found_in_words() + &reason));
        writeln!(text, "| {} | {found} | {result} |", escaped(&bound.bound))
            .expect("a String takes everything");
    }
}

fn dash() -> String {
    "-".to_owned()
}

/// Without what Markdown takes for its own.
fn escaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => plain += "&lt;",
            '&' => plain += "&amp;",
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '~' => plain.extend(['\\', c]),
            c if c.is_control() => plain.push(' '),
            c => plain.push(c),
        }
    }
    plain
}
