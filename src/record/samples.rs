//! Records for tests.

use std::sync::LazyLock;

use super::*;
use crate::clock::{MICROSECOND, MILLISECOND, SECOND};
use crate::stats;

/// 1000 pairs at 20,000 messages a second and QoS 1 against the reflector, for ten seconds: nothing wrong.
pub(crate) fn clean() -> Record {
    static CLEAN: LazyLock<Record> = LazyLock::new(make_clean);
    CLEAN.clone()
}

fn make_clean() -> Record {
    let mut record = Record {
        schema: SCHEMA.to_owned(),
        started_at: "2026-11-22T12:31:07Z".to_owned(),
        command: "malaria-bench --embedded --clients 2000 --rate 20k".split(' ').map(str::to_owned).collect(),
        plan: plan(),
        versions: Versions { malaria_bench: "0.1.0".to_owned(), record: 1 },
        machine: Machine {
            host: "bench".to_owned(),
            cpu_model: "Intel(R) Xeon(R) Processor".to_owned(),
            cpus: 2,
            cpus_allowed: vec![0, 1],
            kernel: "6.18.44".to_owned(),
            memory_bytes: 24 << 30,
            governor: Some("performance".to_owned()),
            nofile_soft: Some(1024),
            nofile_hard: Some(20_000),
        },
        broker: Broker {
            addresses: vec!["127.0.0.1:18830".to_owned()],
            embedded: true,
            cpus: vec![1],
            connections_refused: Some(0),
            transport: Transport::default(),
        },
        verdict: Verdict::Unknown,
        verdict_reasons: vec![],
        exit_code: 0,
        exit_reason: String::new(),
        ended: Ended::Completed,
        partial: false,
        partial_reason: None,
        warnings: vec![],
        phases: phases(),
        counts: counts(),
        throughput: Throughput { sent: 200_000, acked: 200_000, delivered: 200_000 },
        latencies: Latencies::of(&latencies(), 0),
        generator: Generator {
            workers: vec![Worker { cpu: 0, busy_share: 0.413, waited_share: 0.008 }],
            user_cpu_ns: 312 * MILLISECOND,
            system_cpu_ns: 3_818 * MILLISECOND,
            code_ns: 298 * MILLISECOND,
            bytes_per_client: Some(219),
            enters: 61_234,
            receives: 389_000,
            neighbours: vec![Neighbour {
                cpu: 0,
                pid: 4711,
                name: "backup".to_owned(),
                busy_share: 0.06,
                broker: false,
            }],
            ..Generator::default()
        },
        series: (1..=3).map(second).collect(),
        broker_cost: None,
        broker_metrics: None,
        probes: None,
        calibration: None,
        windows: vec![],
        bounds: vec![],
    };
    record.conclude();
    record
}

fn plan() -> Plan {
    Plan {
        embedded: true,
        clients: 2_000,
        publishers: 1_000,
        subscribers: 1_000,
        schedule: Schedule::Open { rate_per_s: 20_000.0, arrival: Arrival::Constant, inflight: 65_535 },
        client_id_prefix: "malaria-bench-4711".to_owned(),
        seed: u64::MAX - 1,
        run_id: "6f3a90c1d2e4b587".to_owned(),
        ..Plan::default()
    }
}

fn phases() -> Vec<PhaseTimes> {
    let ends = [
        (Phase::Connect, 150),
        (Phase::Subscribe, 200),
        (Phase::WarmUp, 2_200),
        (Phase::Measure, 12_200),
        (Phase::Drain, 12_300),
        (Phase::Disconnect, 12_400),
    ];
    let mut start_ns = 0;
    let mut phases = Vec::new();
    for (phase, end_ms) in ends {
        let end_ns = end_ms * MILLISECOND;
        phases.push(PhaseTimes { phase, start_ns, end_ns });
        start_ns = end_ns;
    }
    phases
}

fn counts() -> Counters {
    Counters {
        due: 200_000,
        sent: 200_000,
        acked: 200_000,
        expected: 200_000,
        delivered: 200_000,
        connections_asked: 2_000,
        connections_established: 2_000,
        subscribed: 1_000,
        bytes_in: 31_000_000,
        bytes_out: 29_000_000,
        packets_in: 485_000,
        packets_out: 485_000,
        ..Counters::default()
    }
}

/// Latencies that rise evenly from `from` to `to`.
pub(crate) fn ramp(count: u64, from: Nanos, to: Nanos) -> stats::Histogram {
    let mut histogram = stats::Histogram::default();
    (0..count).for_each(|at| histogram.record(from + (to - from) * at / count.max(1)));
    histogram
}

fn latencies() -> stats::Latencies {
    stats::Latencies {
        tcp_connect: ramp(2_000, 20 * MICROSECOND, 900 * MICROSECOND),
        connack: ramp(2_000, 30 * MICROSECOND, 1_200 * MICROSECOND),
        suback: ramp(1_000, 25 * MICROSECOND, 800 * MICROSECOND),
        unsuback: ramp(1_000, 24 * MICROSECOND, 700 * MICROSECOND),
        disconnect: ramp(2_000, 26 * MICROSECOND, 950 * MICROSECOND),
        ack_response: ramp(200_000, 15 * MICROSECOND, 420 * MICROSECOND),
        ack_service: ramp(200_000, 12 * MICROSECOND, 350 * MICROSECOND),
        flight_response: ramp(200_000, 18 * MICROSECOND, 2 * MILLISECOND),
        flight_service: ramp(200_000, 16 * MICROSECOND, 1_900 * MICROSECOND),
        round_trip: stats::Histogram::default(),
        handshake: stats::Histogram::default(),
        handshake_resumed: stats::Histogram::default(),
        lateness: ramp(200_000, 850, 130 * MICROSECOND),
        wake_lag: ramp(200_000, 500, 110 * MICROSECOND),
        hearing_lag: ramp(150_000, 400, 90 * MICROSECOND),
    }
}

/// The same beside ten probes.
pub(crate) fn probed() -> Record {
    let mut record = clean();
    record.plan.probes = 10;
    record.probes = Some(Probes {
        worker: Worker { cpu: 1, busy_share: 0.012, waited_share: 0.001 },
        counts: Counters {
            due: 1_000,
            sent: 1_000,
            acked: 1_000,
            expected: 1_000,
            delivered: 1_000,
            connections_asked: 20,
            connections_established: 20,
            subscribed: 10,
            ..Counters::default()
        },
        latencies: Latencies {
            ack_response: (&ramp(1_000, 20 * MICROSECOND, 390 * MICROSECOND)).into(),
            flight_response: (&ramp(1_000, 25 * MICROSECOND, 1_700 * MICROSECOND)).into(),
            ..Latencies::default()
        },
    });
    record.conclude();
    record
}

/// Every figure of it has a value.
fn strain() -> Strain {
    Strain {
        busy_ns: 413 * MILLISECOND,
        waited_ns: 8 * MILLISECOND,
        handshakes_ns: 12 * MILLISECOND,
        gap_ns: 650_000,
        code_ns: 90_000,
        lag_ns: 110_000,
        hearing_ns: 700_000,
        receives_without_buffer: 1,
        queue_full: 3,
        sends_blocked: 2,
        caps_reached: 4,
    }
}

fn second(at: u64) -> Second {
    Second {
        phase: Phase::Measure,
        time_ns: at * SECOND,
        part: at == 1,
        connected: 2_000,
        offered: 20_000,
        sent: 20_000,
        acked: 20_000,
        delivered: 20_000,
        shed: 0,
        connections_lost: 0,
        stall_ns: 700_000,
        workers: vec![strain()],
        pressure: Pressure { others_ns: 20 * MILLISECOND, ..Pressure::default() },
        broker: None,
        metrics: vec![],
        ack_p50_ns: Some(218_000),
        ack_p99_ns: Some(416_000),
        flight_p50_ns: Some(1_010_000),
        flight_p99_ns: None,
    }
}

/// Closed loop at QoS 2 against a broker of its own machine, whose connections were reset after 3.2 s.
pub(crate) fn broken() -> Record {
    let mut record = clean();
    record.plan.embedded = false;
    record.plan.hosts = vec!["broker.lab".to_owned()];
    record.plan.cores_asked = 16;
    record.plan.schedule = Schedule::Closed { inflight: 8 };
    (record.plan.qos, record.plan.sub_qos) = (2, 2);
    record.broker = Broker { addresses: vec!["192.0.2.7:1883".to_owned()], ..Broker::default() };
    record.phases.truncate(4);
    record.phases[3].end_ns = 5_400 * MILLISECOND;
    record.ended = Ended::Broker;
    record.partial = true;
    record.partial_reason = Some("the broker reset every connection 3.2 s into the measure phase".to_owned());
    record.warnings = vec!["--cores 16 was asked for, this process may use 1 CPU: using 1".to_owned()];
    let counts = &mut record.counts;
    (counts.due, counts.sent, counts.acked, counts.unacked_at_end) = (64_500, 64_500, 64_000, 500);
    (counts.expected, counts.delivered, counts.lost, counts.duplicated) = (64_500, 63_990, 510, 3);
    record.throughput = Throughput { sent: 64_500, acked: 64_000, delivered: 63_990 };
    (counts.connections_established, counts.connections_lost, counts.reconnects) = (1_995, 1_995, 0);
    (counts.refused, counts.refused_tcp) = ([0, 0, 0, 0, 2, 3], 0);
    record.latencies.suback = Latency::default();
    record.latencies.flight_response = (&ramp(40, 18 * MICROSECOND, 2 * MILLISECOND)).into();
    record.latencies.flight_service = (&ramp(40, 16 * MICROSECOND, 2 * MILLISECOND)).into();
    record.conclude();
    record
}

/// A broker on the machine of the generator, that was watched: 5.5 us of CPU for each message, 3 KiB for each connection.
pub(crate) fn watched() -> Record {
    let used = |user, system| Used {
        user_cpu_ns: user * MILLISECOND,
        system_cpu_ns: system * MILLISECOND,
        voluntary_switches: Some(30_000),
        involuntary_switches: Some(1_200),
        throttled_ns: Some(40 * MILLISECOND),
        throttled: Some(3),
        resident_bytes: Some((8 << 20) + 2_000 * 3 * 1024),
        descriptors: Some(2_009),
    };
    let mut record = clean();
    record.plan.embedded = false;
    record.broker = Broker { addresses: vec!["127.0.0.1:1883".to_owned()], ..Broker::default() };
    let phases = record.phases.iter().map(|times| match times.phase {
        Phase::Measure => PhaseCost { phase: times.phase, used: Some(used(700, 1_500)) },
        phase => PhaseCost { phase, used: Some(used(10, 20)) },
    });
    let cost = BrokerCost {
        watched: vec![Watched { by: By::Port, name: "mosquitto".to_owned(), pid: Some(4711) }],
        whole: Some(used(760, 1_620)),
        phases: phases.collect(),
        at_first_bytes: Some(8 << 20),
        most_bytes: Some(15 << 20),
        most_descriptors: Some(2_010),
        ..BrokerCost::default()
    };
    record.broker_cost = Some(cost.per(&record.throughput, record.counts.connections_established));
    record.series.iter_mut().for_each(|second| second.broker = Some(used(70, 150)));
    record.conclude();
    record
}

/// The same, of which others tell, too: 4 us of CPU for each message, and how many it dropped; its memory nobody tells.
pub(crate) fn told() -> Record {
    let mut record = watched();
    let series = |name: &str, kind, each: f64| {
        let span = |at: usize, times: &PhaseTimes| {
            let first = each * at as f64;
            let last = first + each;
            let mean = Some((first + last) / 2.0);
            let (first, last) = (Some(first), Some(last));
            SeriesSpan { phase: times.phase, first, last, least: first, mean, most: last }
        };
        let phases = record.phases.iter().enumerate().map(|(at, times)| span(at, times));
        BrokerSeries {
            name: name.to_owned(),
            kind,
            before: Some(0.0),
            phases: phases.collect(),
            per_message: None,
            per_connection: None,
        }
    };
    let metrics = BrokerMetrics {
        sources: vec![MetricsSource {
            addresses: vec!["http://127.0.0.1:9100/metrics".to_owned()],
            looks: 20,
            failures: 2,
            error: Some("http://127.0.0.1:9100/metrics: io: Connection refused".to_owned()),
            note: None,
        }],
        series: vec![
            series("process_cpu_seconds_total", Some(SeriesKind::Counter), 1.6),
            series("dropped{node=\"a\"}", Some(SeriesKind::Counter), 12.0),
            series("process_resident_memory_bytes", Some(SeriesKind::Gauge), f64::from(3 << 20)),
            series("missing", None, 0.0),
        ],
    };
    let metrics = metrics.per(&record.throughput, record.counts.connections_established);
    record.warnings.extend(metrics.warnings());
    record.broker_metrics = Some(metrics);
    record.series.iter_mut().for_each(|second| second.metrics = vec![Some(4.8), Some(36.0), Some(9.5), None]);
    record.conclude();
    record
}

/// Nobody publishes, and the generator's CPU is full.
pub(crate) fn idle() -> Record {
    let mut record = clean();
    record.plan.topology = Topology::Idle;
    record.plan.schedule = Schedule::None;
    (record.plan.publishers, record.plan.subscribers) = (0, 0);
    record.generator.workers = vec![Worker { cpu: 0, busy_share: 0.95, waited_share: 0.02 }];
    record.counts = Counters {
        connections_asked: 2_000,
        connections_established: 2_000,
        pings: 12_000,
        pongs: 12_000,
        ..Counters::default()
    };
    let Latencies { tcp_connect, connack, .. } = record.latencies;
    record.latencies = Latencies { tcp_connect, connack, ..Latencies::default() };
    record.conclude();
    record
}
