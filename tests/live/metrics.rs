//! Figures that are scraped are those of the record.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use malaria_bench::record::Record;
use malaria_bench::stats::Histogram;

use crate::port::Port;
use crate::process::{Process, piped};
use crate::scrape::{LOCAL, Prometheus, get, python, until};

const TEXT: &str = "application/openmetrics-text;version=1.0.0";

/// A load that ends soon, and is there until somebody has had its end.
fn load(program: &str, flags: &str, address: SocketAddr, json: &Path) -> Process {
    let mut command = piped(program);
    command.args(flags.split_whitespace()).args(["--metrics", &address.to_string(), "--linger", "60s"]);
    command.arg("--json").arg(json).stdout(Stdio::null()).stderr(Stdio::null());
    Process::spawn(&mut command)
}

const RUN: &str = "--embedded --cores 1 --clients 20 --rate 500 --warmup 300ms --duration 1500ms --seed 7";

/// A broker in a process of its own, and its port.
fn reflector() -> (Port, Process) {
    let broker = Port::take(LOCAL);
    let mut reflector = piped(env!("CARGO_BIN_EXE_malaria-bench"));
    reflector.args(["reflector", "--cores", "1", "--port", &broker.number.to_string()]).stdout(Stdio::null());
    let mut reflector = Process::spawn(&mut reflector);
    assert!(crate::port::is_ready(SocketAddr::from((LOCAL, broker.number)), &mut reflector));
    (broker, reflector)
}

/// What is scraped last of `load`, which ends then.
fn last(load: &mut Process, address: SocketAddr) -> String {
    let text = until("the end of the load", || {
        let (head, body) = get(address, "/metrics", TEXT)?;
        assert!(head.contains("application/openmetrics-text; version=1.0.0"), "{head}");
        String::from_utf8(body).ok().filter(|text| text.contains("malaria_exit_code"))
    });
    load.wait();
    text
}

/// Every sample by its name and labels.
fn samples(text: &str) -> BTreeMap<&str, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
            (name, value.parse().unwrap_or_else(|_| panic!("no value: {line}")))
        })
        .collect()
}

/// What a strict parser makes of `text`: its families.
fn parsed(python: &Path, text: &str) -> Vec<String> {
    let script = "import sys\n\
                  from prometheus_client.openmetrics.parser import text_string_to_metric_families\n\
                  for family in text_string_to_metric_families(sys.stdin.read()): print(family.name, family.type)";
    let mut python = Command::new(python)
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python runs");
    python.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
    let output = python.wait_with_output().expect("it ends");
    assert!(output.status.success(), "not OpenMetrics:\n{text}");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// Every count and every latency of `counts` and `latencies`, as they are in a record.
fn holds(text: &str, counts: &serde_json::Value, latencies: &serde_json::Value) {
    let samples = samples(text);
    let sample = |name: &str| *samples.get(name).unwrap_or_else(|| panic!("{name} is not in\n{text}"));
    let counts = counts.as_object().expect("counts");
    // By their codes and names these are no sums; they are in the record.
    for (name, count) in counts.iter().filter(|(name, _)| !["refused", "reasons"].contains(&name.as_str())) {
        assert_eq!(sample(&format!("malaria_{name}_total")), count.as_f64().unwrap(), "{name}");
    }
    let latencies = latencies.as_object().expect("latencies");
    let mut some = 0;
    for (name, latency) in latencies {
        let count = latency["count"].as_f64().unwrap();
        assert_eq!(sample(&format!("malaria_{name}_seconds_count")), count, "{name}");
        let (sum, mean) = (sample(&format!("malaria_{name}_seconds_sum")), latency["mean_ns"].as_f64());
        let expected = mean.unwrap_or(0.0) * count / 1e9;
        assert!((sum - expected).abs() <= expected * 1e-3 + 1e-9, "{name}: {sum} is not {expected}");
        let Some(hdr) = latency["hdr_v2_base64"].as_str().filter(|hdr| !hdr.is_empty()) else { continue };
        let times = Histogram::from_base64_v2(hdr, 0).unwrap();
        for (le, limit) in [("0.001", 1_000_000), ("0.25", 250_000_000)] {
            let below: u64 = times.values().filter(|(value, _)| *value <= limit).map(|(_, n)| n).sum();
            let bucket = format!("malaria_{name}_seconds_bucket{{le=\"{le}\"}}");
            assert_eq!(sample(&bucket), below as f64, "{bucket}");
            some += below;
        }
    }
    assert!(some > 0, "no latency was compared");
}

/// Methodology rule R30: what is shown of a run is its record, whoever shows it.
#[test]
fn r30_the_last_scrape_has_the_figures_of_the_record() {
    let (folder, port) = (tempfile::tempdir().unwrap(), Port::take(LOCAL));
    let (json, address) = (folder.path().join("run.json"), SocketAddr::from((LOCAL, port.number)));
    let mut load = load(env!("CARGO_BIN_EXE_malaria-bench"), RUN, address, &json);
    let text = last(&mut load, address);
    let json = std::fs::read_to_string(&json).unwrap();
    let record = Record::from_json(&json).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(record.counts.sent, 750);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    holds(&text, &value["counts"], &value["latencies"]);
    assert_eq!(samples(&text)["malaria_exit_code"], f64::from(record.exit_code));
    let Some(python) = python() else { return };
    let families = parsed(&python, &text);
    for family in ["malaria_sent counter", "malaria_ack_response_seconds histogram", "malaria_build info"] {
        assert!(families.iter().any(|found| found == family), "{family} is not in {families:?}");
    }
}

/// A search is there for the last scrape, too, and says how it ended.
#[test]
fn the_end_of_a_search_is_scraped() {
    let (folder, port) = (tempfile::tempdir().unwrap(), Port::take(LOCAL));
    let (json, address) = (folder.path().join("capacity.json"), SocketAddr::from((LOCAL, port.number)));
    let flags = "capacity --embedded --cores 1 --clients 20 --min 500 --max 500 --duration 300ms --warmup 0 --trials 1 \
                 --confirm 0 --curve 0";
    let mut load = load(env!("CARGO_BIN_EXE_malaria-bench"), flags, address, &json);
    let text = last(&mut load, address);
    let record = std::fs::read_to_string(&json).unwrap();
    let record: malaria_bench::record::CapacityRecord = serde_json::from_str(&record).unwrap();
    assert!(!record.trials.is_empty());
    assert_eq!(samples(&text)["malaria_exit_code"], f64::from(record.exit_code));
}

#[test]
fn r30_a_fleet_is_scraped_as_a_run_is() {
    let (folder, port) = (tempfile::tempdir().unwrap(), Port::take(LOCAL));
    let (json, address) = (folder.path().join("fleet.json"), SocketAddr::from((LOCAL, port.number)));
    let (broker, _reflector) = reflector();
    let flags = format!("publish -P 4 -n 50 -T 0 --stagger 0 -H 127.0.0.1 -p {}", broker.number);
    let mut load = load(env!("CARGO_BIN_EXE_malaria"), &flags, address, &json);
    let text = last(&mut load, address);
    let value: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let ours = &value["malaria_bench"];
    assert_eq!(ours["counts"]["acked"], 200);
    holds(&text, &ours["counts"], &ours["latencies"]);
}

/// Debian's Prometheus, with native histograms: it asks for protobuf then.
#[test]
fn prometheus_has_the_figures_of_the_record() {
    let (folder, port) = (tempfile::tempdir().unwrap(), Port::take(LOCAL));
    let (json, address) = (folder.path().join("run.json"), SocketAddr::from((LOCAL, port.number)));
    let Some(prometheus) = Prometheus::start(address) else { return };
    let mut load = load(env!("CARGO_BIN_EXE_malaria-bench"), RUN, address, &json);
    load.wait();
    let record = Record::from_json(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let ask = |query: &str| until(query, || prometheus.value(query));
    let last = |name: &str| ask(&format!("last_over_time({name}[5m])"));
    let (counts, ack) = (record.counts, record.latencies.ack_response);
    until("the last scrape", || prometheus.value("last_over_time(malaria_exit_code[5m])"));
    assert_eq!(last("malaria_sent_total"), counts.sent as f64);
    assert_eq!(last("malaria_bytes_out_total"), counts.bytes_out as f64);
    assert_eq!(last("malaria_exit_code"), f64::from(record.exit_code));
    // Its functions over time know no native histograms: this is as of the last scrape.
    let then = ask("max_over_time(timestamp(malaria_exit_code)[5m:50ms])");
    let native = |of: &str| ask(&format!("{of} malaria_ack_response_seconds @ {then:.3})"));
    assert_eq!(native("histogram_count("), ack.count as f64);
    let (median, expected) = (native("histogram_quantile(0.5,"), ack.p50_ns.unwrap() as f64 / 1e9);
    assert!((median / expected - 1.0).abs() < 0.03, "{median} is not {expected}");
}

/// Every query of `dashboard`.
fn queries(dashboard: &serde_json::Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let queries = targets.map(|target| target["expr"].as_str().expect("a query").to_owned());
    let variables = dashboard["templating"]["list"].as_array().expect("variables").iter();
    queries.chain(variables.map(|variable| variable["query"].as_str().expect("a query").to_owned())).collect()
}

/// The names of metrics in `query`.
fn names(query: &str) -> Vec<&str> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("malaria_")).collect()
}

/// The dashboard asks for nothing that a run does not have, here one whose broker is watched and told of; and Prometheus
/// understands it.
#[test]
fn the_dashboard_asks_for_what_there_is() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/grafana.json");
    let dashboard = serde_json::from_str(&std::fs::read_to_string(file).expect("it is there")).expect("JSON");
    let queries = queries(&dashboard);
    let (folder, port) = (tempfile::tempdir().unwrap(), Port::take(LOCAL));
    let (json, address) = (folder.path().join("run.json"), SocketAddr::from((LOCAL, port.number)));
    let prometheus = Prometheus::start(address);
    let (broker, _reflector) = reflector();
    let told = format!("http://{address}/metrics");
    let flags = format!(
        "-H 127.0.0.1 -p {} --cores 1 --clients 20 --rate 500 --warmup 0 --duration 1500ms --broker-metrics {told} \
         --broker-series malaria_sent_total",
        broker.number
    );
    let mut load = load(env!("CARGO_BIN_EXE_malaria-bench"), &flags, address, &json);
    let text = last(&mut load, address);
    let known: Vec<&str> =
        samples(&text).into_keys().map(|name| name.split('{').next().expect("a name")).collect();
    let asked: Vec<&str> = queries.iter().flat_map(|query| names(query)).collect();
    assert!(asked.len() > 20, "{asked:?}");
    for name in asked {
        assert!(known.contains(&name), "{name} is not in\n{text}");
    }
    let Some(prometheus) = prometheus else { return };
    for query in queries.iter().filter(|query| query.contains('(') && !query.starts_with("label_values")) {
        // An answer, whatever it is: what it asks for is only there for a moment.
        let _ = prometheus.value(&query.replace("$__rate_interval", "5s").replace("$job", ".*"));
    }
}
