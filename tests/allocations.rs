//! The promise that no message costs an allocation, kept by a counting allocator.
//!
//! The product's own path runs against a reflector in the same process. Only threads of the generator
//! (`worker-0`, ...) are counted, and only in whole seconds of the measure phase: in each of them a worker may
//! allocate for its report, and for nothing else, however many messages pass.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use malaria_bench::clock::MILLISECOND;
use malaria_bench::load::{Name, PayloadOf, PayloadPlan, Payloads, Template, Values};
use malaria_bench::record::{Arrival, Phase, Plan, Schedule};
use malaria_bench::reflector::{Config, Manner, Reflector, WorkerPlacement};
use malaria_bench::run::{self, Spec};
use malaria_bench::stage::Progress;
use malaria_bench::transport::websocket::Upgrade;
use malaria_bench::transport::{Acceptor, Dialer};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations and reallocations by worker threads while [`WATCHED`].
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static WATCHED: AtomicBool = AtomicBool::new(false);

struct Counting;

impl Counting {
    fn note(&self) {
        if WATCHED.load(Ordering::Relaxed) && is_worker() {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Whether the calling thread is the generator's. Asks the kernel: Rust's thread handle may allocate.
fn is_worker() -> bool {
    let mut name = [0u8; 16];
    // SAFETY: PR_GET_NAME writes at most 16 bytes.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    name.starts_with(b"worker-")
}

// SAFETY: the system's allocator does it all.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.note();
        // SAFETY: what the caller promises of this function is what the system's asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.note();
        // SAFETY: what the caller promises of this function is what the system's asks for.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.note();
        // SAFETY: what the caller promises of this function is what the system's asks for.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: what the caller promises of this function is what the system's asks for.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// What a worker may allocate in a second: its report (a channel allocates a block now and then).
const PER_SECOND: u64 = 4;

/// The tests share the counter.
static TURN: Mutex<()> = Mutex::new(());

/// Topics and payloads of the malaria commands: writing a message, stamp and number and all.
#[test]
fn no_topic_or_payload_costs_an_allocation() {
    let _turn = TURN.lock().unwrap();
    let kinds = [
        ("hex", "malaria"),
        ("zeros", "none"),
        ("random", "own"),
        ("text", "ms:;"),
        ("pick:one,two,three", "seq"),
        ("pattern:0123456789", "binary:ms+seq"),
        ("message-from", "none"),
        ("int:0..100", "malaria"),
        ("binary-double:0..1", "flags"),
        (r#"json:{"id":"%{uuid}","n":%{seq},"x":%{float:-1..1},"w":%{ms}}"#, "none"),
    ];
    for (body, stamp) in kinds {
        let plan = PayloadPlan {
            body: body.parse().unwrap(),
            stamp: stamp.parse().unwrap(),
            ..PayloadPlan::default()
        };
        let payloads = Payloads::prepare(plan, 1).unwrap_or_else(|error| panic!("{body}: {error}"));
        let topic: Template = "load/%c/%i{4}/[a,b]/<x,y>/%n/%N".parse().unwrap();
        let render = move || {
            let (mut payload, mut name) = (Vec::with_capacity(payloads.room()), String::with_capacity(1000));
            WATCHED.store(true, Ordering::Relaxed);
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            for sequence in 1..=10_000 {
                payload.clear();
                name.clear();
                let of =
                    PayloadOf { client: 7, client_id: "c-7", sequence, total: 10_000, unix_ns: sequence };
                payloads.write(&of, &mut payload);
                let client = Name::Given("c-7");
                let values =
                    Values { client, index: 7, pair: 0, run_id: 0, sequence, total: 10_000, seed: 1 };
                topic.render(&values, &mut name).unwrap();
            }
            let count = ALLOCATIONS.load(Ordering::Relaxed) - before;
            WATCHED.store(false, Ordering::Relaxed);
            assert!(name.len() > 20);
            count
        };
        let thread = std::thread::Builder::new().name("worker-text".into()).spawn(render).unwrap();
        assert_eq!(thread.join().unwrap(), 0, "{body} after {stamp}");
    }
}

#[test]
fn no_message_costs_an_allocation() {
    no_allocation(None, Manner::default());
}

/// A frame is written and read where its bytes are.
#[test]
fn no_message_over_websocket_costs_an_allocation() {
    let upgrades = vec![Upgrade::new("localhost", "/mqtt", &[])];
    let dialer = Arc::new(Dialer::default().with_websocket(upgrades, 1));
    let transport = Some(Arc::new(Acceptor::default().with_websocket()));
    no_allocation(Some(dialer), Manner { transport, ..Manner::default() });
}

fn no_allocation(transport: Option<Arc<Dialer>>, manner: Manner) {
    let _turn = TURN.lock().unwrap();
    let config = Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        workers: vec![WorkerPlacement::default()],
        rings_per_worker: 1,
        max_connections_per_ring: 256,
    };
    let reflector = Reflector::start_as(config, manner).expect("a reflector");
    let open = |rate| Schedule::Open { rate_per_s: rate, arrival: Arrival::Constant, inflight: 65_535 };
    for qos in 0..3 {
        for (schedule, messages) in [(open(5000.0), 5000), (Schedule::Closed { inflight: 8 }, 1000)] {
            let mut spec = spec(reflector.addr(), qos, schedule);
            spec.connection.transport.clone_from(&transport);
            let seconds = watch(spec);
            println!("QoS {qos}, {schedule:?}: {seconds:?}");
            // Where a second of stalled CPUs makes the longest queue so far, queues grow once; a message
            // that costs an allocation does so in every second.
            let least = seconds.iter().min_by_key(|second| second.allocations);
            let least = least.expect("a whole second of the measure phase was seen");
            // A flood at QoS 0 has a longest queue every other moment; one message in 10,000 may set a record.
            let allowed = PER_SECOND + least.messages / 10_000;
            assert!(least.allocations <= allowed, "QoS {qos}, {schedule:?}: {seconds:?}");
            assert!(least.messages > messages, "QoS {qos}, {schedule:?}: {seconds:?}");
        }
    }
}

/// One second of the measure phase.
#[derive(Debug)]
struct Watched {
    /// Sent and delivered.
    messages: u64,
    allocations: u64,
}

/// Runs `spec` and counts in its whole seconds of the measure phase.
fn watch(spec: Spec) -> Vec<Watched> {
    let mut seconds = Vec::with_capacity(16);
    let mut before = None;
    let mut observe = |progress: &Progress| {
        WATCHED.store(progress.phase == Some(Phase::Measure), Ordering::Relaxed);
        let count = ALLOCATIONS.load(Ordering::Relaxed);
        let second = &progress.second.counters;
        match before.replace(count) {
            Some(before) if progress.phase == Some(Phase::Measure) => seconds
                .push(Watched { messages: second.sent + second.delivered, allocations: count - before }),
            _ => {}
        }
        if progress.phase != Some(Phase::Measure) {
            before = None;
        }
    };
    let record = run::run(spec, &AtomicBool::new(false), &mut observe).expect("it starts");
    WATCHED.store(false, Ordering::Relaxed);
    assert_eq!((record.counts.lost, record.counts.shed), (0, 0), "{:?}", record.warnings);
    seconds
}

/// 50 pairs on one worker. Message latencies are not this test's business, so nothing is pinned apart.
fn spec(broker: SocketAddr, qos: u8, schedule: Schedule) -> Spec {
    const PAIRS: u32 = 50;
    let plan = Plan {
        hosts: vec![broker.ip().to_string()],
        port: broker.port(),
        clients: 2 * PAIRS,
        publishers: PAIRS,
        subscribers: PAIRS,
        schedule,
        qos,
        sub_qos: qos,
        warmup_ns: 500 * MILLISECOND,
        duration_ns: Some(3500 * MILLISECOND),
        client_id_prefix: format!("allocations-{qos}"),
        reconnect: false,
        ..Plan::default()
    };
    let cpus = malaria_bench::cpu::allowed();
    Spec { cpus: vec![cpus[0]], ..Spec::new(plan, vec![broker.into()]) }
}
