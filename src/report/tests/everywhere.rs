//! The same numbers wherever a record is told of: summary, JSON, tables, page, CSV, Markdown, and what others read.

use super::*;
use crate::record::capacity_samples::{irregular, searched};
use crate::record::{Finished, Latency};
use crate::stats::Histogram;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

fn run(record: &Record) -> [Run; 1] {
    [Run { label: "one".to_owned(), record: Finished::Run(Box::new(record.clone())) }]
}

/// Figures that a run is known by, by their names in tables: `ack p99`, `acked`, `lost`.
fn figures(record: &Record) -> Vec<(&'static str, String)> {
    let rate = |messages| units::rate(record.rate_per_s(messages).expect("a measure phase"));
    let read = |latency: &Latency, figure| latency.read(figure).to_string();
    let (ack, flight) = (&record.latencies.ack_response, &record.latencies.flight_response);
    let done = &record.throughput;
    vec![
        ("sent", rate(done.sent)),
        ("acked", rate(done.acked)),
        ("delivered", rate(done.delivered)),
        ("ack p50", read(ack, Figure::P50)),
        ("ack p99", read(ack, Figure::P99)),
        ("flight p50", read(flight, Figure::P50)),
        ("flight p99", read(flight, Figure::P99)),
        ("lost", units::grouped(record.counts.lost)),
    ]
}

/// The row of `text` that begins with `name`.
fn row<'t>(text: &'t str, name: &str) -> &'t str {
    text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {text}"))
}

/// What stands between the tags of the first row of the table of runs.
fn cells_of_page(page: &str) -> Vec<String> {
    let table = page.split_once("class=\"overview\"").expect("a table").1;
    let body = table.split_once("<tbody>").expect("its rows").1;
    let first = body.split_once("</tr>").expect("one row").0;
    let cells = first.split("<td>").skip(1);
    cells.map(|cell| cell.split_once('<').expect("an end").0.to_owned()).collect()
}

/// Files within a page, by their names.
fn files(page: &str) -> Vec<(String, String)> {
    let links = page.split("<a download=\"").skip(1);
    let file = |link: &str| {
        let (name, rest) = link.split_once('"').expect("a name");
        let data = rest.split_once(";base64,").expect("data").1.split_once('"').expect("an end").0;
        let text = BASE64_STANDARD.decode(data).expect("base64");
        (name.to_owned(), String::from_utf8(text).expect("UTF-8"))
    };
    links.map(file).collect()
}

/// The least value that at least `quantile` of the lines of a CSV are not above.
fn of_csv(csv: &str, latency: &str, quantile: f64) -> u64 {
    let prefix = format!("one,{latency},");
    let rows = csv.lines().filter_map(|line| line.strip_prefix(&prefix));
    let mut rows =
        rows.map(|row| row.split(',').map(|cell| cell.parse::<f64>().expect("a number")).collect::<Vec<_>>());
    rows.find(|row| row[0] >= quantile - 1e-12).expect("they go up to 1")[1] as u64
}

#[track_caller]
fn assert_agrees(record: &Record) {
    let runs = run(record);
    let figures = figures(record);
    let summary = text(record, 100, false);
    for (name, figure) in &figures {
        let line = match name.split_once(' ') {
            Some((what, _)) => row(&summary, &format!("{what} response")),
            None if *name == "lost" => &summary[summary.find("\ndelivery").expect("it is told")..],
            None => row(&summary, name),
        };
        // A dash says in the summary what it takes.
        let told = if figure == "-" { "n<".to_owned() } else { figure.clone() };
        let told = if *name == "lost" { format!("lost {told}") } else { told };
        assert!(line.contains(&told), "{name} {told}: {line}");
    }
    let values: Vec<&str> = figures.iter().map(|(_, value)| value.as_str()).collect();
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let table = comparison(&runs, 160, false).expect("ours");
    let of_table = squeezed(row(&table, "one"));
    assert!(of_table.starts_with(&format!("one {} ", values.join(" "))), "{values:?}: {of_table}");
    let markdown = markdown(&runs).expect("ours");
    // What it cost the broker stands behind them, where somebody watched.
    let costs = record.broker_cost.as_ref().map_or(String::new(), |cost| {
        let cpu = cost.cpu_per_message_ns.map_or("-".to_owned(), units::latency);
        let memory = cost.memory_per_connection_bytes.map_or("-".to_owned(), units::bytes);
        format!(" {cpu} | {memory} |")
    });
    assert!(
        row(&markdown, "| one").ends_with(&format!("| {} |{costs}", values.join(" | "))),
        "{values:?}: {markdown}"
    );
    assert_page(record, &values);
    assert_numbers(record);
}

/// The table of the page has them, and the file within it is the record.
fn assert_page(record: &Record, values: &[&str]) {
    let both = [run(record), run(record)].concat();
    let page = html(&both, &[]).expect("ours");
    let cells = cells_of_page(&page);
    let (ack, flight) = (&record.latencies.ack_response, &record.latencies.flight_response);
    let read = |latency: &Latency, figure| latency.read(figure).to_string();
    let expected = [
        values[0].to_owned(),
        values[1].to_owned(),
        values[2].to_owned(),
        values[3].to_owned(),
        values[4].to_owned(),
        read(ack, Figure::P999),
        read(ack, Figure::Max),
        values[5].to_owned(),
        values[6].to_owned(),
        read(flight, Figure::P999),
        read(flight, Figure::Max),
        values[7].to_owned(),
    ];
    assert_eq!(cells[..expected.len()], expected);
    let [(name, first), .., (seconds, csv)] = &files(&page)[..] else { panic!("files") };
    assert_eq!((name.as_str(), seconds.as_str()), ("one.json", "seconds.csv"));
    assert_eq!(&Record::from_json(first).expect("a record"), record);
    assert_eq!(*csv, series_csv(&both));
}

/// What is read by programs has the record's own numbers, to the last digit.
fn assert_numbers(record: &Record) {
    let runs = run(record);
    assert_eq!(&Record::from_json(&json(record)).expect("ours"), record);
    let csv = runs_csv(&runs).expect("ours");
    let hgrms = hgrms(&runs).expect("ours");
    let bencher: Value = serde_json::from_str(&bencher(&runs).expect("ours")).expect("JSON");
    for (name, of, latency) in [
        ("flight", "flight_response", &record.latencies.flight_response),
        ("ack", "ack_response", &record.latencies.ack_response),
    ] {
        // What never came has no line in a distribution.
        for (quantile, figure, ns) in [(0.5, "p50", latency.p50_ns), (0.99, "p99", latency.p99_ns)] {
            assert_eq!(bencher["one"][format!("{name}-{figure}")]["value"].as_f64(), ns.map(|ns| ns as f64));
            if let Some(ns) = ns.filter(|_| latency.missing == 0) {
                assert_eq!(of_csv(&csv, of, quantile), ns, "{name} {figure}");
            }
        }
        let (_, hgrm) =
            hgrms.iter().find(|(known, _)| *known == format!("one-{of}")).expect("a distribution");
        assert!(hgrm.trim_end().ends_with(&format!("{:>12}]", latency.count)), "{hgrm}");
        let histogram: Histogram = latency.histogram().expect("ours");
        assert_eq!((Some(histogram.max()), histogram.count()), (latency.max_ns, latency.count));
    }
    let acked = record.rate_per_s(record.throughput.acked);
    assert_eq!(bencher["one"]["acked"]["value"].as_f64(), acked);
    assert_eq!(bencher["one"]["lost"]["value"].as_f64(), Some(record.counts.lost as f64));
    let sent: u64 = record.series.iter().map(|second| second.sent).sum();
    let column = series_csv(&runs)
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(6).expect("a column").parse::<u64>().expect("a count"))
        .sum::<u64>();
    assert_eq!(column, sent);
}

#[test]
fn all_numbers_of_a_run_come_from_one_record() {
    for record in [clean(), watched(), probed(), broken()] {
        assert_agrees(&record);
    }
    let mut never = clean();
    never.latencies.flight_response = never.latencies.flight_response.missing(3_000);
    (never.counts.delivered, never.counts.lost) = (197_000, 3_000);
    never.conclude();
    assert_agrees(&never);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(32))]
    #[test]
    fn all_numbers_of_any_run_come_from_one_record(record in super::agreement::loads()) {
        assert_agrees(&record);
    }
}

/// Of a search: its summary, its record, the page, and the files within that.
#[test]
fn all_numbers_of_a_search_come_from_one_record() {
    for record in [searched(), irregular()] {
        let page = capacity_html(&[("one".to_owned(), record.clone())]);
        let summary = capacity_text(&record, 100, false);
        for told in [&summary, &page] {
            for result in &record.results {
                assert!(told.contains(&result.reason), "{} in {told}", result.reason);
            }
            assert!(told.contains("4,950/s") && told.contains("4,945/s"), "{told}");
        }
        // The curve: every rate and latency of its table is in the table of the page.
        let table = summary.split("\noffered").nth(1).expect("a table");
        let cells = table
            .lines()
            .skip(1)
            .take_while(|line| !line.is_empty())
            .flat_map(|line| line.split("  ").map(str::trim))
            .filter(|cell| !cell.is_empty());
        for cell in cells.collect::<BTreeSet<_>>() {
            assert!(
                page.contains(&format!(">{cell}<")) || page.contains(&format!("> {cell}<")),
                "`{cell}` is not in the page"
            );
        }
        let [(name, json), (trials, csv)] = &files(&page)[..] else { panic!("files") };
        assert_eq!((name.as_str(), trials.as_str()), ("one.json", "trials.csv"));
        assert_eq!(CapacityRecord::from_json(json).expect("ours"), record);
        assert_eq!(csv.lines().count(), record.trials.len() + 1);
        let p99: Vec<String> =
            csv.lines().skip(1).map(|line| line.split(',').nth(8).expect("p99").to_owned()).collect();
        let expected: Vec<String> = record
            .trials
            .iter()
            .map(|trial| trial.p99_ns.map_or(String::new(), |ns| ns.to_string()))
            .collect();
        assert_eq!(p99, expected);
    }
}
