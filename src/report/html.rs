//! Several finished runs as a page of HTML: beside each other first, then each by itself.
//!
//! Names, commands and reasons come from command lines and brokers: everything goes through
//! [`Markup`](markup::Markup), which knows no other way to take text than as text.

use super::ReportError;
use super::digest::Digest;
use super::page::Tint;
use crate::record::{Figure, Latency, Reading};
use markup::Markup;

mod axis;
mod chart;
mod comparison;
mod markup;
mod percentiles;
mod run;
mod seconds;
#[cfg(test)]
mod tests;

/// What stands where there is nothing to say.
const NOTHING: &str = "-";

/// The whole page.
pub fn page(runs: &[Digest]) -> Result<String, ReportError> {
    let mut percentiles = Vec::new();
    for run in runs {
        let curves = percentiles::curves(run);
        percentiles.push(curves.map_err(|source| ReportError { label: run.label.to_owned(), source })?);
    }
    let title = match runs {
        [run] => format!("malaria-bench: {}", run.label),
        runs => format!("malaria-bench: {} runs", runs.len()),
    };
    let mut page = Markup::document();
    page.element("html", &[("lang", "en")], |html| {
        html.element("head", &[], |head| {
            head.void("meta", &[("charset", "utf-8")]);
            head.void("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")]);
            head.leaf("title", &[], &title);
            head.style(include_str!("html/style.css"));
        });
        html.element("body", &[], |body| {
            body.leaf("h1", &[], &title);
            comparison::write(runs, &percentiles, body);
            for (style, run) in runs.iter().enumerate() {
                run::write(run, style, body);
            }
        });
    });
    Ok(page.into_text())
}

/// How a verdict stands out.
fn class(tint: Tint) -> &'static str {
    match tint {
        Tint::Good => "verdict good",
        Tint::Warning => "verdict warning",
        Tint::Bad => "verdict bad",
        Tint::Label => "verdict",
    }
}

/// A table that scrolls where it is too wide for the screen. Its cells are given to `rows`.
fn table(headers: &[&str], page: &mut Markup, rows: impl FnOnce(&mut Markup)) {
    page.element("div", &[("class", "scroll")], |scroll| {
        scroll.element("table", &[], |table| {
            table.element("thead", &[], |head| {
                head.element("tr", &[], |row| {
                    for header in headers {
                        let words = matches!(*header, "verdict" | "broker");
                        let class = if words { "left" } else { "" };
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
