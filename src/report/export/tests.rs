use crate::record::fleet_samples::{lossy, published};
use crate::record::samples::{broken, clean, watched};
use crate::record::{Amount, BoundResult, BoundState, Finished, FleetRecord, Record};
use crate::report::{self, Run};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use serde_json::json;

fn run(label: &str, record: Record) -> Run {
    Run { label: label.to_owned(), record: Finished::Run(Box::new(record)) }
}

fn fleet(label: &str, record: FleetRecord) -> Run {
    Run { label: label.to_owned(), record: Finished::Fleet(Box::new(record)) }
}

fn bound(text: &str, result: BoundState, reason: Option<&str>) -> BoundResult {
    let found = reason.is_none().then_some(Amount::Ns(416_000));
    BoundResult {
        bound: text.to_owned(),
        result,
        found,
        limit: Amount::Ns(5_000_000),
        reason: reason.map(str::to_owned),
    }
}

/// A run with a bound in each state.
fn bounded() -> Record {
    let mut record = clean();
    record.bounds = vec![
        bound("ack p99 < 5ms", BoundState::Held, None),
        bound("ack p99 < 400us", BoundState::Broken, None),
        bound("flight p99.9 < 1s", BoundState::NotMeasured, Some("it takes 6,000 samples, there are 7")),
        bound("ack max < 1s", BoundState::Void, None),
    ];
    record.conclude();
    record
}

/// Elements with their attributes, in the order in which they begin.
fn elements(xml: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut reader = Reader::from_str(xml);
    let mut all = Vec::new();
    let mut note = |start: &BytesStart| {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let attributes = start.attributes().map(|attribute| {
            let attribute = attribute.expect("well-formed");
            (text(attribute.key.as_ref()), attribute.unescape_value().expect("well-formed").into_owned())
        });
        all.push((text(start.name().as_ref()), attributes.collect()));
    };
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Start(start) | Event::Empty(start) => note(&start),
            Event::Eof => return all,
            _ => {}
        }
    }
}

#[test]
fn junit_has_a_case_for_each_bound_and_one_for_the_run() {
    let xml = report::junit(&[run("a<b>&\"c\u{7}", bounded()), fleet("lossy", lossy())]);
    let all = elements(&xml);
    let of = |name: &str| {
        all.iter().filter(|(known, _)| known == name).map(|(_, a)| a.clone()).collect::<Vec<_>>()
    };
    let get = |attributes: &[(String, String)], name: &str| {
        attributes
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
            .expect("it is there")
    };
    let suites = of("testsuite");
    assert_eq!(suites.iter().map(|suite| get(suite, "name")).collect::<Vec<_>>(), ["a<b>&\"c?", "lossy"]);
    let counts = ["tests", "failures", "errors", "skipped"].map(|name| get(&suites[0], name));
    assert_eq!(counts, ["5", "2", "0", "1"], "broken bounds are no error of the run itself");
    assert_eq!(["tests", "failures", "errors"].map(|name| get(&suites[1], name)), ["1", "0", "1"]);
    assert_eq!(get(&of("testsuites")[0], "failures"), "2");
    assert_eq!(get(&suites[0], "timestamp"), "2026-11-22T12:31:07");
    let cases: Vec<String> = of("testcase").iter().map(|case| get(case, "name")).collect();
    assert_eq!(
        cases,
        ["run", "ack p99 < 5ms", "ack p99 < 400us", "flight p99.9 < 1s", "ack max < 1s", "run"]
    );
    let failures = of("failure");
    assert_eq!(get(&failures[0], "message"), "ack p99 < 400us: 416 us, BROKEN");
    assert!(get(&failures[1], "message").contains("it takes 6,000 samples"));
    assert_eq!((of("skipped").len(), get(&of("error")[0], "type")), (1, "delivery".to_owned()));
}

#[test]
fn markdown_tells_a_pull_request_what_came_of_it() {
    let text = report::markdown(&[run("a|b", bounded()), fleet("fleet_1", published())]).expect("ours");
    assert!(text.starts_with("| run | result | sent |"), "{text}");
    assert!(text.contains("| a\\|b | bounds | 20.0 k/s | 20.0 k/s | 20.0 k/s |"), "{text}");
    assert!(text.contains("| fleet\\_1 | clean |"), "{text}");
    assert!(text.contains("\n| ack p99 &lt; 400us | 416 us | **BROKEN** |\n"), "{text}");
    assert!(text.contains("not measured (it takes 6,000 samples, there are 7) | **BROKEN** |"), "{text}");
    let columns = |line: &str| line.replace("\\|", "").matches('|').count();
    let tables: Vec<usize> = text.lines().filter(|line| line.starts_with('|')).map(columns).collect();
    assert!(tables.iter().all(|columns| [4, 11].contains(columns)), "{text}");
}

#[test]
fn histories_get_figures_with_their_direction() {
    let runs = [run("main", clean()), fleet("fleet", published())];
    let bencher: serde_json::Value =
        serde_json::from_str(&report::bencher(&runs).expect("ours")).expect("JSON");
    let schema = json!({
        "type": "object",
        "minProperties": 2,
        "additionalProperties": {
            "type": "object",
            "minProperties": 1,
            "propertyNames": { "pattern": "^[0-9a-z-]{1,64}$" },
            "additionalProperties": {
                "type": "object",
                "required": ["value"],
                "properties": { "value": { "type": "number" } },
                "additionalProperties": false,
            },
        },
    });
    let validator = jsonschema::draft202012::new(&schema).expect("a schema");
    assert!(validator.is_valid(&bencher), "{bencher:#}");
    assert_eq!(bencher["main"]["acked"]["value"], 20_000.0);
    let p99 = clean().latencies.flight_response.p99_ns.expect("samples") as f64;
    assert_eq!(bencher["main"]["flight-p99"]["value"], p99);
    assert!(bencher["main"].get("flight-p99-9").is_some() && bencher["main"]["lost"]["value"] == 0.0);
    let entry = json!({
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "object",
            "required": ["name", "unit", "value"],
            "properties": {
                "name": { "type": "string" }, "unit": { "type": "string" }, "value": { "type": "number" },
                "range": { "type": "string" }, "extra": { "type": "string" },
            },
            "additionalProperties": false,
        },
    });
    let validator = jsonschema::draft202012::new(&entry).expect("a schema");
    let of = |bigger| -> serde_json::Value {
        let text = report::github_benchmark(&runs, bigger).expect("ours");
        serde_json::from_str(&text).expect("JSON")
    };
    let (bigger, smaller) = (of(true), of(false));
    assert!(validator.is_valid(&bigger) && validator.is_valid(&smaller), "{bigger:#} {smaller:#}");
    let names = |value: &serde_json::Value| -> Vec<String> {
        value
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|one| Some(one["name"].as_str()?.to_owned()))
            .collect()
    };
    assert!(names(&bigger).contains(&"main: delivered".to_owned()));
    assert!(
        names(&smaller).contains(&"main: flight p99".to_owned())
            && names(&smaller).contains(&"main: lost".to_owned())
    );
    assert!(names(&bigger).iter().all(|name| !names(&smaller).contains(name)));
}

/// What it cost the broker is wherever rates and tails are.
#[test]
fn every_export_has_what_it_cost_the_broker() {
    let runs = [run("watched", watched()), run("not", clean())];
    let bencher = report::bencher(&runs).expect("ours");
    let bencher: serde_json::Value = serde_json::from_str(&bencher).expect("JSON");
    assert_eq!(bencher["watched"]["broker-cpu-per-message"]["value"], 5_500.0);
    assert_eq!(bencher["watched"]["broker-memory-per-connection"]["value"], 3_072.0);
    assert!(bencher["not"].get("broker-cpu-per-message").is_none(), "{bencher:#}");
    let smaller = report::github_benchmark(&runs, false).expect("ours");
    assert!(smaller.contains("\"watched: broker-cpu-per-message\""), "{smaller}");
    let markdown = report::markdown(&runs).expect("ours");
    let lines: Vec<&str> = markdown.lines().collect();
    assert!(lines[0].ends_with("| lost | CPU/msg | mem/conn |"), "{markdown}");
    assert!(
        lines[2].ends_with("| 0 | 5.50 us | 3.0 KiB |") && lines[3].ends_with("| 0 | - | - |"),
        "{markdown}"
    );
    assert!(lines[..4].iter().all(|line| line.matches('|').count() == 13), "{markdown}");
    let csv = report::series_csv(&runs);
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines[0].ends_with(",broker_cpu_ns,broker_resident_bytes,broker_descriptors"), "{csv}");
    assert!(lines[1].ends_with(",220000000,14532608,2009"), "{csv}");
    assert!(lines.last().expect("seconds").ends_with(",,,"), "{csv}");
}

/// What was not measured is in no history.
#[test]
fn a_percentile_of_too_few_samples_is_in_no_history() {
    let runs = [run("broken", broken())];
    let text = report::bencher(&runs).expect("ours");
    assert!(!text.contains("flight-p99") && text.contains("\"ack-p99\""), "{text}");
}

#[test]
fn seconds_are_rows_with_a_cell_for_each_column() {
    let text = report::series_csv(&[run("a,b", clean()), fleet("fleet", published())]);
    let lines: Vec<&str> = text.lines().collect();
    let columns = lines[0].split(',').count();
    assert_eq!((lines.len() - 1, columns), (clean().series.len() + published().series.len(), 19));
    let row = lines[2].strip_prefix("\"a,b\",").expect("quoted");
    assert!(
        row.starts_with("2000000000,measure,false,2000,20000,20000,20000,20000,0,0,700000,218000,"),
        "{row}"
    );
    assert!(
        lines[1..].iter().all(|line| line.replace("\"a,b\"", "x").split(',').count() == columns),
        "{text}"
    );
}

/// The same shares as the record's percentiles, in milliseconds, and ends that HdrHistogram's tools look for.
#[test]
fn distributions_are_those_of_the_record() {
    let all = report::hgrms(&[run("run", clean())]).expect("ours");
    let (_, text) = all.iter().find(|(name, _)| name == "run-ack_response").expect("it was measured");
    let latency = clean().latencies.ack_response;
    let rows: Vec<Vec<f64>> = text
        .lines()
        .skip(2)
        .take_while(|line| !line.starts_with('#'))
        .map(|line| line.split_whitespace().map(|cell| cell.parse().expect("a number")).collect())
        .collect();
    assert!(rows.windows(2).all(|two| two[0][0] < two[1][0] && two[0][1] < two[1][1]), "ascending");
    let at = |share: f64| rows.iter().find(|row| row[1] >= share).expect("a row")[0];
    for (share, ns) in [(0.5, latency.p50_ns), (0.99, latency.p99_ns), (1.0, latency.max_ns)] {
        let expected = ns.expect("samples") as f64 / 1e6;
        assert!((at(share) - expected).abs() <= expected / 500.0, "{share}: {} {expected}", at(share));
    }
    let last = rows.last().expect("rows");
    assert_eq!((last[1], last[2], last.len()), (1.0, latency.count as f64, 3));
    assert!(
        rows[0].len() == 4 && text.contains("\n#[Mean    = ") && text.contains("Total count    = "),
        "{text}"
    );
}
