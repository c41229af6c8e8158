//! The product itself: `malaria_bench::run` with the workload `publish`.

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;

use malaria_bench::clock::{self, MICROSECOND, Nanos, SECOND};
use malaria_bench::engine::thread_usage;
use malaria_bench::record::{Arrival, Plan, Schedule, Topology};
use malaria_bench::run::{self, Spec};

use crate::load::{KEEP_ALIVE_S, Load, PAYLOAD, Pace, Sample};

/// Runs the load on `cpu`. The calling thread, which is on the same CPU, is the conductor, and its time
/// counts too.
pub fn run(load: &Load, broker: SocketAddr, cpu: usize) -> Sample {
    let (usage, begin) = (thread_usage(), clock::now());
    let record = run::run(spec(load, broker, cpu), &AtomicBool::new(false), &mut |_| ())
        .unwrap_or_else(|error| panic!("{error}"));
    let conductor = thread_usage().since(usage);
    // The workers keep to the schedule's window; the conductor notes its edges when it gets to it.
    let span = load.measure;
    let part = |whole: Nanos| (whole as f64 * span as f64 / (clock::now() - begin) as f64) as Nanos;
    let counts = &record.counts;
    assert_eq!(counts.connections_established, u64::from(load.clients), "{:?}", record.warnings);
    assert_eq!((counts.sent, counts.shed), (counts.acked, 0), "{:?}", record.warnings);
    let generator = &record.generator;
    let cpu = generator.user_cpu_ns + generator.system_cpu_ns;
    let code = generator.code_ns.min(cpu);
    Sample {
        acked: counts.acked,
        user_ns: code + part(conductor.user_ns),
        system_ns: cpu - code + part(conductor.system_ns),
        span_ns: span,
        enters: Some(generator.enters),
    }
}

fn spec(load: &Load, broker: SocketAddr, cpu: usize) -> Spec {
    let (schedule, tolerance_ns) = match load.pace {
        Pace::Closed { inflight } => (Schedule::Closed { inflight: inflight.into() }, 100 * MICROSECOND),
        Pace::Open { rate, tolerance } => (
            Schedule::Open { rate_per_s: rate.into(), arrival: Arrival::Constant, inflight: 65_535 },
            tolerance,
        ),
    };
    let seed = 1;
    let plan = Plan {
        hosts: vec![broker.ip().to_string()],
        port: broker.port(),
        embedded: false,
        cores_asked: 1,
        cores_used: 1,
        workers: 1,
        clients: load.clients,
        publishers: load.clients,
        subscribers: 0,
        probes: 0,
        topology: Topology::Publish,
        schedule,
        qos: 1,
        sub_qos: 1,
        size_bytes: PAYLOAD as u64,
        msg_count: None,
        warmup_ns: load.warmup,
        duration_ns: Some(load.measure),
        drain_ns: 5 * SECOND,
        drain_limit_ns: 60 * SECOND,
        connect_rate_per_s: None,
        connect_timeout_ns: 10 * SECOND,
        ack_timeout_ns: 30 * SECOND,
        keepalive_ns: Nanos::from(KEEP_ALIVE_S) * SECOND,
        clean_session: true,
        client_id_prefix: "bench".to_owned(),
        topic_template: "bench/%p".to_owned(),
        backlog_ns: SECOND,
        tolerance_ns,
        verify: malaria_bench::record::Verify::Sampled,
        close: malaria_bench::record::Close::Fin,
        poll: malaria_bench::record::Poll::Sleep,
        reconnect: false,
        seed,
        run_id: format!("{:08x}", run::run_id(seed)),
    };
    Spec { cpus: vec![cpu], ..Spec::new(plan, vec![broker.into()]) }
}
