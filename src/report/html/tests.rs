use crate::record::fleet_samples::{lossy, published, self_check, subscribed};
use crate::record::samples::{broken, clean, idle};
use crate::record::{Finished, FleetRecord, Record};
use crate::report::{Run, html};
use crate::units;

fn run(label: &str, record: Record) -> Run {
    Run { label: label.to_owned(), record: Finished::Run(Box::new(record)) }
}

fn fleet(label: &str, record: FleetRecord) -> Run {
    Run { label: label.to_owned(), record: Finished::Fleet(Box::new(record)) }
}

/// Every kind of record there is a sample of.
fn every() -> Vec<Run> {
    vec![
        run("reflector", clean()),
        run("broken broker", broken()),
        run("idle", idle()),
        fleet("publish", published()),
        fleet("subscribe", subscribed()),
        fleet("losses", lossy()),
        fleet("both", self_check()),
    ]
}

fn rendered(runs: &[Run]) -> String {
    html(runs).expect("our records")
}

/// The tags of `page` in their order, without what stands in angle brackets.
#[track_caller]
fn assert_balanced(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page.strip_prefix("<!DOCTYPE html>").expect("a doctype");
    while let Some((text, tag)) = rest.split_once('<') {
        assert!(!text.contains('>'), "a stray `>` in `{text}`");
        let (tag, after) = tag.split_once('>').expect("a tag that ends");
        rest = after;
        let name = tag.trim_start_matches('/').split([' ', '/']).next().expect("a name");
        assert!(!name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric()), "`<{tag}>`");
        assert_eq!(tag.matches('"').count() % 2, 0, "`<{tag}>`");
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "`<{tag}>` closes another");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest:?}");
}

/// checklist 77
#[test]
fn the_page_is_well_formed_and_needs_nothing_else() {
    let all = every();
    for runs in [&all[..], &all[..1], &all[2..3], &all[4..5], &all[1..6]] {
        let page = rendered(runs);
        assert_balanced(&page);
        for outside in ["http", "src=", "href", "url(", "@import", "<script", "<link", "<img", "<iframe"] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(!page.contains("NaN") && !page.contains("inf\""), "coordinates are numbers");
    }
}

/// checklist 77: several brokers beside each other, with machine details.
#[test]
fn every_run_is_told_of() {
    let page = rendered(&every());
    assert_eq!(page.matches("<article>").count(), 7);
    for part in [
        "malaria-bench: 7 runs",
        "malaria-bench --embedded --clients 2000 --rate 20k",
        "malaria publish -t -n 100 -P 4",
        "Intel(R) Xeon(R) Processor",
        "2 cores",
        "Linux 6.18.44",
        "open files 1,024 (soft), 20,000 (hard); allowed CPUs 0-1",
        "embedded reflector at 127.0.0.1:18830, on CPU 1",
        "192.0.2.7:1883",
        "CLEAN",
        "PARTIAL",
        "the broker reset every connection 3.2 s into the measure phase",
        "--cores 16 was asked for",
        "20.0 k/s of 20.0 k/s offered",
        "99.99 % within",
        "not authorized",
        "prefers-color-scheme: dark",
        "@media print",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn figures_are_those_of_the_record() {
    let record = clean();
    let page = rendered(&[run("one", record.clone())]);
    let latency = &record.latencies.flight_response;
    for ns in
        [latency.p50_ns, latency.p90_ns, latency.p99_ns, latency.p999_ns, latency.p9999_ns, latency.max_ns]
    {
        let cell = format!("<td>{}</td>", units::latency(ns.expect("enough samples")));
        assert!(page.contains(&cell), "{cell}");
    }
    for (name, ns) in [("50 %", latency.p50_ns), ("99.99 %", latency.p9999_ns)] {
        let mark = format!("one: {name} within {}", units::latency(ns.expect("enough samples")));
        assert!(page.contains(&mark), "{mark}");
    }
    assert!(page.contains("<span class=\"quiet\">delivered</span> <b>200,000</b>"));
}

/// checklist 59 and 62: time series of what was sent, answered and heard, of errors and latency; bytes both ways.
#[test]
fn time_series_and_traffic_are_shown() {
    let mut record = clean();
    record.series[1].connections_lost = 7;
    record.series[2].ack_p99_ns = None;
    let page = rendered(&[run("one", record)]);
    for part in [
        "sent: 20.0 k/s at 1 s",
        "acked: 20.0 k/s at 2 s",
        "delivered: 20.0 k/s at 3 s",
        "connections lost or failed: 7.00 /s at 2 s",
        "ack p99: 416 us at 2 s",
        "<span class=\"quiet\">bytes sent</span> <b>29,000,000</b>",
        "<span class=\"quiet\">bytes received</span> <b>31,000,000</b>",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("ack p99: 416 us at 3 s"), "a second without enough samples has no p99");
}

#[test]
fn a_percentile_without_enough_samples_is_not_drawn() {
    // 40 samples support the median, and nothing above 85 %
    let page = rendered(&[run("one", broken())]);
    let figure = page.split("<figure>").find(|figure| figure.contains("aria-label=\"flight response\""));
    let figure = figure.expect("a chart of 40 samples");
    assert!(figure.contains("one: 50 % within") && !figure.contains("one: 90 % within"), "{figure}");
}

/// Names come from command lines and from brokers.
#[test]
fn what_was_typed_or_heard_cannot_become_markup() {
    let evil = "</title></style><script>alert(1)</script>\"onload='x' & \u{1b}[2J";
    let mut record = broken();
    record.command = vec![evil.to_owned(), "with space".to_owned()];
    record.plan.hosts = vec![evil.to_owned()];
    record.broker.addresses = vec![evil.to_owned()];
    record.machine.host = evil.to_owned();
    record.machine.cpu_model = evil.to_owned();
    record.machine.kernel = evil.to_owned();
    record.started_at = evil.to_owned();
    record.partial_reason = Some(evil.to_owned());
    record.exit_reason = evil.to_owned();
    record.verdict_reasons = vec![evil.to_owned()];
    record.warnings = vec![evil.to_owned()];
    record.versions.malaria_bench = evil.to_owned();
    let mut other = lossy();
    (other.seed, other.exit_reason) = (evil.to_owned(), evil.to_owned());
    other.broker.addresses = vec![evil.to_owned()];
    let runs = [run(evil, record), fleet(evil, other)];
    for runs in [&runs[..], &runs[..1]] {
        let page = rendered(runs);
        assert_balanced(&page);
        assert!(!page.contains("<script") && !page.contains("onload='") && !page.contains('\u{1b}'));
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        assert!(!page.contains("</title></style>"));
    }
}

#[test]
fn a_damaged_histogram_is_blamed_on_its_run() {
    let mut record = clean();
    record.latencies.ack_response.hdr_v2_base64.truncate(40);
    let error = html(&[run("fine", clean()), run("damaged", record)]).expect_err("damaged");
    assert!(error.to_string().starts_with("damaged: the histogram"), "{error}");
}

#[test]
fn records_without_anything_measured_make_a_page() {
    let mut record = clean();
    record.latencies = Default::default();
    record.counts = Default::default();
    record.throughput = Default::default();
    record.series.clear();
    record.phases.clear();
    record.generator = Default::default();
    record.machine = Default::default();
    record.conclude();
    let mut silent = subscribed();
    silent.listeners.clear();
    silent.conclude();
    assert_balanced(&rendered(&[run("nothing", record), fleet("silence", silent)]));
    assert_balanced(&rendered(&[]));
}
