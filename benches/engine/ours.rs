//! The product itself: `malaria_bench::run`.

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;

use malaria_bench::clock::{self, MICROSECOND, MILLISECOND, Nanos, SECOND};
use malaria_bench::engine::{process_usage, thread_usage};
use malaria_bench::record::{Arrival, Phase, Plan, Record, Schedule, Topology};
use malaria_bench::run::{self, Spec};

use crate::load::{KEEP_ALIVE_S, Load, MEMBERS, PING_EVERY, Pace, Sample, Work};

/// Runs the load on `cpu`. The calling thread, which is on the same CPU, is the conductor, and its time
/// counts too.
pub fn run(load: &Load, broker: SocketAddr, cpu: usize) -> Sample {
    let (usage, all, begin) = (thread_usage(), process_usage(), clock::now());
    let record = run::run(spec(load, broker, cpu), &AtomicBool::new(false), &mut |_| ())
        .unwrap_or_else(|error| panic!("{error}"));
    let conductor = thread_usage().since(usage);
    // The workers keep to the schedule's window; the conductor notes its edges when it gets to it.
    let span = load.measure;
    let part = |whole: Nanos| (whole as f64 * span as f64 / (clock::now() - begin) as f64) as Nanos;
    let counts = &record.counts;
    assert_eq!(counts.connections_established, u64::from(load.clients), "{:?}", record.warnings);
    let done = done(load, &record);
    if load.work == Work::Connects {
        // All in, from the start of the process to its end; the time is that of connecting.
        let phase = record.phases.iter().find(|phase| phase.phase == Phase::Connect).expect("the first");
        let (all, span_ns) = (process_usage().since(all), phase.end_ns - phase.start_ns);
        return Sample { done, user_ns: all.user_ns, system_ns: all.system_ns, span_ns, enters: None };
    }
    let generator = &record.generator;
    let cpu = generator.user_cpu_ns + generator.system_cpu_ns;
    let code = generator.code_ns.min(cpu);
    Sample {
        done,
        user_ns: code + part(conductor.user_ns),
        system_ns: cpu - code + part(conductor.system_ns),
        span_ns: span,
        enters: Some(generator.enters),
    }
}

/// What is counted of the load's work; it was done in full.
fn done(load: &Load, record: &Record) -> u64 {
    let counts = &record.counts;
    let (asked, done) = match load.work {
        Work::Sent => (counts.due, counts.sent),
        Work::Acked | Work::Completed | Work::Ramp => (counts.due, counts.acked),
        Work::FanOut | Work::FanIn | Work::Shared => (counts.expected, counts.delivered),
        // As many as are due in the measure phase: they are counted over the whole run.
        Work::Pings => (counts.pings, u64::from(load.clients) * load.measure / PING_EVERY),
        Work::Connects => (counts.connections_asked, counts.connections_established),
    };
    let enough = if load.work == Work::Pings { done <= asked } else { done == asked };
    assert!(enough && done > 0, "{done} of {asked}: {:?}", record.warnings);
    done
}

fn spec(load: &Load, broker: SocketAddr, cpu: usize) -> Spec {
    let (schedule, tolerance_ns) = match load.pace {
        Pace::Closed { inflight } => (Schedule::Closed { inflight: inflight.into() }, 100 * MICROSECOND),
        Pace::Open { rate, tolerance } => (
            Schedule::Open { rate_per_s: rate.into(), arrival: Arrival::Constant, inflight: 65_535 },
            tolerance,
        ),
    };
    let clients = load.clients;
    let (topology, publishers, subscribers) = match load.work {
        Work::Sent | Work::Acked | Work::Completed | Work::Ramp => (Topology::Publish, clients, 0),
        Work::FanOut => (Topology::FanOut, 1, clients - 1),
        Work::FanIn => (Topology::FanIn, clients - 1, 1),
        Work::Shared => (Topology::FanIn, clients - MEMBERS, MEMBERS),
        Work::Pings | Work::Connects => (Topology::Idle, 0, 0),
    };
    let schedule = if topology == Topology::Idle { Schedule::None } else { schedule };
    // Pings are spread evenly in time if connections are.
    let pings = load.work == Work::Pings;
    let connect_rate_per_s = pings.then(|| f64::from(clients) * SECOND as f64 / PING_EVERY as f64);
    let shared = load.work == Work::Shared;
    let profile = match (load.work, load.pace) {
        (Work::Ramp, Pace::Open { rate, .. }) => {
            Some(format!("line(0,{},{}ms)", 2 * rate, load.span() / MILLISECOND))
        }
        _ => None,
    };
    let plan = Plan {
        share: shared.then(|| "bench".to_owned()),
        groups: shared.then_some(1),
        filters: if shared { vec!["bench/+".to_owned()] } else { Vec::new() },
        topic_template: if shared { "bench/%i" } else { "bench/%p" }.to_owned(),
        profile,
        hosts: vec![broker.ip().to_string()],
        port: broker.port(),
        clients,
        publishers,
        subscribers,
        topology,
        schedule,
        qos: load.work.qos() as u8,
        sub_qos: 0,
        size_bytes: load.payload as u64,
        warmup_ns: load.warmup,
        duration_ns: Some(load.measure),
        connect_rate_per_s,
        keepalive_ns: if pings { SECOND } else { Nanos::from(KEEP_ALIVE_S) * SECOND },
        client_id_prefix: "bench".to_owned(),
        tolerance_ns,
        reconnect: false,
        ..Plan::default()
    };
    Spec { cpus: vec![cpu], ..Spec::new(plan, vec![broker.into()]) }
}
