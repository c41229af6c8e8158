//! Finished runs, a search for a capacity, or a scenario, as a page of HTML: what matters first.
//!
//! Names, commands and reasons come from command lines and brokers: everything goes through
//! [`Markup`](markup::Markup), which knows no other way to take text than as text.

use super::{ReportError, Run, Side};
use crate::record::{CapacityRecord, Figure, Finished, Latency, Reading, ScenarioRecord};
use data::File;
use markup::Markup;

mod axis;
mod baseline;
mod capacity;
mod chart;
mod comparison;
mod data;
mod look;
mod markup;
mod percentiles;
mod run;
mod scenario;
mod seconds;
#[cfg(test)]
mod tests;
mod verdict;

pub use capacity::page as capacity;

/// What stands where there is nothing to say.
const NOTHING: &str = "-";

/// Characters of a header that stays in one piece.
const LONG: usize = 24;

/// Most runs that are told of below their scenario; the page of each folder in it has the others.
const BELOW: usize = 12;

/// The page of a scenario, and of its runs and searches.
pub fn of_scenario(
    scenario: &ScenarioRecord,
    summary: &str,
    runs: &[Run],
    searches: &[(String, CapacityRecord)],
) -> Result<String, ReportError> {
    let summary =
        File { name: "summary.json".to_owned(), mime: "application/json", text: summary.to_owned() };
    let runs = if runs.len() > BELOW { &[] } else { runs };
    let searches = if searches.len() > BELOW { &[] } else { searches };
    let digests = super::digests(runs)?;
    let mut all = vec![summary];
    all.extend(files(runs));
    if !searches.is_empty() {
        all.extend(capacity::files(searches));
    }
    Ok(document(&format!("Scenario: {}", scenario.scenario), |body| {
        scenario::write(scenario, body);
        if !searches.is_empty() {
            body.leaf("h2", &[], "Searches");
            capacity::write(searches, body);
        }
        digests.iter().enumerate().for_each(|(at, run)| run::write(run, at, body));
        data::links(&all, body);
    }))
}

/// The page of runs; the first side, if there is any, is what the others are held against.
pub fn page(runs: &[Run], sides: &[Side]) -> Result<String, ReportError> {
    let digests = super::digests(runs)?;
    let mut percentiles = Vec::new();
    for run in &digests {
        let curves = percentiles::curves(run);
        percentiles.push(curves.map_err(|source| ReportError { label: run.label.to_owned(), source })?);
    }
    let files = files(runs);
    let title = match runs {
        [run] => run.label.clone(),
        runs => format!("{} runs", runs.len()),
    };
    Ok(document(&title, |body| {
        match &digests[..] {
            [run] => verdict::whole(run, body),
            runs => verdict::cards(runs, body),
        }
        baseline::write(&digests, sides, body);
        comparison::write(&digests, &percentiles, body);
        match &digests[..] {
            [run] => run::details(run, body),
            runs => runs.iter().enumerate().for_each(|(at, run)| run::write(run, at, body)),
        }
        data::links(&files, body);
    }))
}

/// The records, which have everything, and what is looked at most often.
fn files(runs: &[Run]) -> Vec<File> {
    let json = |run: &Run| match &run.record {
        Finished::Run(record) => serde_json::to_string(record),
        Finished::Fleet(record) => serde_json::to_string(record),
    };
    let record = |run: &Run| File {
        name: data::file_name(&run.label, "json"),
        mime: "application/json",
        text: json(run).expect("a record is plain data with string keys"),
    };
    let seconds =
        |runs| File { name: "seconds.csv".to_owned(), mime: "text/csv", text: super::series_csv(runs) };
    let seconds = Some(runs).filter(|runs| !runs.is_empty()).map(seconds);
    runs.iter().map(record).chain(seconds).collect()
}

/// A whole document, which asks for nothing: not even a broken one of us could.
fn document(title: &str, body: impl FnOnce(&mut Markup)) -> String {
    const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";
    let mut page = Markup::document();
    page.element("html", &[("lang", "en")], |html| {
        html.element("head", &[], |head| {
            head.void("meta", &[("charset", "utf-8")]);
            head.void("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")]);
            head.void("meta", &[("http-equiv", "Content-Security-Policy"), ("content", POLICY)]);
            head.leaf("title", &[], &format!("malaria-bench: {title}"));
            head.style(include_str!("html/style.css"));
        });
        html.element("body", &[], |within| {
            within.leaf("p", &[("class", "brand")], "malaria-bench");
            within.leaf("h1", &[], title);
            body(within);
            within.script(include_str!("html/script.js"));
        });
    });
    page.into_text()
}

/// A table that scrolls where it is too wide for the screen. Its cells are given to `rows`.
fn table(name: &str, headers: &[&str], page: &mut Markup, rows: impl FnOnce(&mut Markup)) {
    let scroll = [("class", "scroll"), ("tabindex", "0"), ("role", "region"), ("aria-label", name)];
    page.element("div", &scroll, |scroll| {
        scroll.element("table", &[], |table| {
            table.element("thead", &[], |head| {
                head.element("tr", &[], |row| {
                    for header in headers {
                        // names break where words do not
                        let class = if header.chars().count() > LONG { "long" } else { "" };
                        row.leaf("th", &[("scope", "col"), ("class", class)], header);
                    }
                });
            });
            table.element("tbody", &[], rows);
        });
    });
}

/// A latency of one sort, or a dash.
fn read(latency: Option<&Latency>, figure: Figure) -> String {
    latency.map_or(Reading::Unknown, |latency| latency.read(figure)).to_string()
}
