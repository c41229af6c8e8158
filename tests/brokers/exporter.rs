//! What others tell of a broker, held against what the kernel says of its process.

use crate::bench::{command, start};
use crate::broker::{Broker, Kind};
use malaria_bench::record::{BoundState, Phase, Record, SeriesKind};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;

const LOAD: &str = "--clients 100 --rate 1000 --warmup 200ms --tolerance 200ms --duration 2s";

/// The CPU time of a process, in seconds as the kernel has it in nanoseconds; mosquitto has one thread.
fn ran(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("it runs");
    let ran: u64 = text.split_whitespace().next().and_then(|ran| ran.parse().ok()).expect("a number");
    ran as f64 / 1e9
}

/// An exporter of a process: a counter, and a gauge by its state.
fn export(pid: u32) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let url = format!("http://{}/metrics", listener.local_addr().expect("it is bound"));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let head = BufReader::new(stream.try_clone().expect("a socket")).lines();
            assert!(head.map_while(Result::ok).any(|line| line.is_empty()), "a request");
            let body = format!(
                "# TYPE cpu_seconds_total counter\ncpu_seconds_total{{mode=\"user\"}} {}\n\
                 cpu_seconds_total{{mode=\"system\"}} 0\n# TYPE state gauge\nstate{{of=\"it\"}} 3\n",
                ran(pid)
            );
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            // Who has gone has its figures.
            let _ = stream.write_all((head + &body).as_bytes());
        }
    });
    url
}

#[test]
fn the_series_of_an_exporter_are_in_the_record_and_bounds_rest_on_them() {
    let Some(broker) = Broker::start(Kind::Mosquitto) else { return };
    let url = export(broker.pid());
    let before = ran(broker.pid());
    let mut run = command(broker.address(), LOAD);
    run.args([
        "--broker-metrics",
        &url,
        "--broker-series",
        "cpu_seconds_total",
        "--broker-series",
        "state{of=\"it\"}",
    ]);
    for bound in [
        "metric cpu_seconds_total per message < 1s",
        "metric cpu_seconds_total > 0",
        "metric state{of=\"it\"} max < 3.5",
    ] {
        run.args(["--require", bound]);
    }
    let record = start(run).record();
    let had = ran(broker.pid()) - before;
    let metrics = record.broker_metrics.as_ref().expect("it was asked");
    let source = &metrics.sources[0];
    // Before the run, where six phases began, at the end, and once a second.
    assert!(source.addresses == [url] && source.failures == 0 && source.looks >= 3, "{source:?}");
    let [cpu, state] = &metrics.series[..] else { panic!("{metrics:?}") };
    assert_eq!((cpu.kind, state.kind), (Some(SeriesKind::Counter), Some(SeriesKind::Gauge)));
    let phases: Vec<Phase> = cpu.phases.iter().map(|span| span.phase).collect();
    assert_eq!(phases, record.phases.iter().map(|times| times.phase).collect::<Vec<_>>());
    let rises: f64 = cpu.phases.iter().map(|span| span.rise().expect("it was told")).sum();
    assert!(rises <= had && cpu.rise().is_some_and(|rise| rise > 0.0), "{rises} {had} {cpu:?}");
    assert!(cpu.phases.windows(2).all(|pair| pair[0].last == pair[1].first), "{cpu:?}");
    let messages = (record.throughput.sent + record.throughput.delivered) as f64;
    assert_eq!(cpu.per_message, cpu.rise().map(|rise| rise / messages));
    assert!(state.phases.iter().all(|span| span.mean == Some(3.0)), "{state:?}");
    assert!(record.series.iter().all(|second| second.metrics.len() == 2 && second.metrics[1] == Some(3.0)));
    let results: Vec<BoundState> = record.bounds.iter().map(|bound| bound.result).collect();
    let expected = if record.exit_code == 6 { BoundState::Void } else { BoundState::Held };
    assert_eq!(results, [expected; 3], "{:?}", record.bounds);
}

/// How a run with these flags went, with its record.
fn run(broker: &Broker, url: &str) -> Record {
    let mut run = command(broker.address(), LOAD);
    run.args(["--broker-metrics", url]);
    start(run).record()
}

/// Who refuses, who says nothing and who says something else cost a warning each, and the run nothing.
#[test]
fn who_tells_nothing_costs_a_warning() {
    let Some(broker) = Broker::start(Kind::Mosquitto) else { return };
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let silent_url = format!("http://{}/", silent.local_addr().expect("it is bound"));
    let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let gone_url = format!("http://{}/", gone.local_addr().expect("it is bound"));
    drop(gone);
    let other = export(broker.pid());
    for (url, words) in [
        (&gone_url, "looks at what the broker tells of itself failed, the last: "),
        (&silent_url, "looks at what the broker tells of itself failed, the last: "),
        (&other, "nobody tells process_cpu_seconds_total, process_resident_memory_bytes"),
    ] {
        let record = run(&broker, url);
        assert!([0, 6].contains(&record.exit_code), "{}", record.exit_reason);
        assert_eq!((record.counts.due, record.counts.delivered), (2_000, 2_000));
        let told: Vec<_> = record.warnings.iter().filter(|warning| warning.contains(words)).collect();
        assert_eq!(told.len(), 1, "{url}: {:?}", record.warnings);
        let metrics = record.broker_metrics.expect("it was asked");
        assert!(metrics.series.iter().all(|series| series.kind.is_none() && series.phases.len() == 6));
    }
}

/// What mosquitto says of itself, over a connection that is in no figure of the run.
#[test]
fn what_the_broker_says_of_itself_is_in_the_record() {
    let Some(broker) = Broker::start(Kind::Mosquitto) else { return };
    let mut run = command(broker.address(), &LOAD.replace("--duration 2s", "--duration 5s"));
    run.args(["--broker-sys", "--broker-series", "$SYS/broker/clients/maximum"]);
    run.args(["--require", "metric $SYS/broker/publish/messages/dropped == 0"]);
    let record = start(run).record();
    let metrics = record.broker_metrics.as_ref().expect("it was asked");
    assert!(metrics.sources[0].failures == 0, "{metrics:?}");
    assert_eq!((record.counts.connections_asked, record.counts.connections_established), (100, 100));
    let series = |name: &str| {
        let name = format!("$SYS/broker/{name}");
        metrics
            .series
            .iter()
            .find(|series| series.name == name)
            .unwrap_or_else(|| panic!("{name}: {metrics:?}"))
    };
    assert_eq!(series("publish/messages/dropped").rise(), Some(0.0));
    // Those of the load, the one that asks, and the test's own watch: in the last report of several.
    let connected = series("clients/connected").measured().expect("it was told");
    assert_eq!(connected.most, Some(102.0), "{connected:?}");
    assert_eq!(series("clients/maximum").kind, Some(SeriesKind::Gauge));
    let received = series("messages/received");
    let rises: f64 = received.phases.iter().filter_map(|span| span.rise()).sum();
    assert_eq!(received.kind, Some(SeriesKind::Counter));
    // Of the run it has at most what went in: what was published, acknowledged and asked.
    assert!(rises > 0.0 && rises <= record.counts.packets_out as f64 + 100.0, "{rises} {:?}", record.counts);
    let expected = if record.exit_code == 6 { BoundState::Void } else { BoundState::Held };
    assert_eq!(record.bounds[0].result, expected, "{:?}", record.bounds);
}
